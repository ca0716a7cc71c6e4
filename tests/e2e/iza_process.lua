-- Running the built program in a folder of its own, for end-to-end specs.
local host = require "iza.core.host"

local M = {}

M.program = os.getenv "IZA" or host.real "/proc/self/exe"

-- A fresh folder with a bin/iza; `remove` takes it away.
function M.sandbox()
  local dir = assert(iza.exec {"mktemp", "-d"}).stdout:gsub("\n", "")
  dir = host.real(dir)
  iza.fs.mkdir(dir .. "/bin")
  host.symlink(M.program, dir .. "/bin/iza")
  iza.fs.mkdir(dir .. "/home")
  return dir
end

function M.remove(dir) iza.exec {"rm", "-rf", dir} end

-- The environment of a program in the sandbox: nothing of ours leaks in.
function M.env(dir, more)
  local env = {HOME = dir .. "/home", PATH = dir .. "/bin:" .. os.getenv "PATH", NO_COLOR = "1",
    IZA_DATA = false, XDG_DATA_HOME = false, XDG_CONFIG_HOME = false, LUA_INIT = false}
  for name, value in pairs(more or {}) do env[name] = value end
  return env
end

-- Runs a shell command in `cwd`; returns stdout, stderr, exit code.
function M.sh(dir, cwd, command, more)
  local r = assert(iza.exec {"sh", "-ec", command, cwd = cwd, env = M.env(dir, more),
    timeout = "60s"})
  return r.stdout, r.stderr, r.status
end

function M.write(path, text)
  iza.fs.mkdir(path:match "^(.*)/[^/]*$")
  local f <close> = assert(io.open(path, "wb"))
  f:write(text)
end

function M.read(path)
  local f <close> = assert(io.open(path, "rb"))
  return f:read "a"
end

return M
