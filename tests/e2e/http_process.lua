-- A server in a process of its own, for end-to-end specs that probe it from outside.
local program = os.getenv("IZA") or "./iza"

local M = {}

--- Runs a script that serves and prints its ports in one line, then f(port, second port, pid).
function M.with(script, arguments, f)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write(script)
  file:close()
  local command = {program, path, stream = true, stderr = "inherit"}
  table.move(arguments, 1, #arguments, #command + 1, command)
  local p = assert(iza.exec(command))
  local running <close> = p -- luacheck: ignore
  local line = p:read("l")
  os.remove(path)
  local port, other = line:match("(%d+)%s*(%d*)")
  return f(port, other, p:pid())
end

--- What curl prints within 5 s, and its exit code: 28 when the time was up.
function M.curl(port, path, ...)
  local r = assert(iza.exec{"curl", "-s", "-m", "5", "http://127.0.0.1:" .. port .. path, ...})
  return r.stdout, r.status
end

--- Sends bytes; what came within the seconds, and whether the server closed the connection.
function M.raw(port, bytes, seconds)
  local r = assert(iza.exec{"bash", "-c",
    "exec 3<>/dev/tcp/127.0.0.1/$0; cat >&3; timeout $1 cat <&3", port, seconds or 1.5,
    stdin = bytes})
  return r.stdout, r.status == 0
end

function M.stats(port)
  return require("iza.json").decode((M.curl(port, "/")))
end

return M
