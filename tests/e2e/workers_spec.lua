-- workers_spec.lua -- `iza --workers N`: one port, a dead worker replaced, SIGTERM drains all.

local script = [[
local me = os.getenv "IZA_WORKER"
iza.http.serve{port = tonumber((...)), routes = {
  ["GET /me"] = function() return me end,
  ["GET /die"] = function() os.exit(3) end,
}}
]]

local function free_port()
  local server = assert(iza.http.serve{port = 0, routes = {}})
  local port = server.port
  server:stop()
  return port
end

-- Asks on a connection of its own; nil while nobody answers.
local function ask(port, path)
  local res = iza.http.get(("http://127.0.0.1:%d%s"):format(port, path),
    {headers = {Connection = "close"}, retry = {max = 0}})
  return res and res:text()
end

local function seen_workers(port)
  local seen = {}
  for _ = 1, 2000 do
    local worker = ask(port, "/me")
    if worker then seen[worker] = true else iza.sleep "10ms" end
    if seen["1"] and seen["2"] then return seen end
  end
  return seen
end

describe("iza --workers", function()
  local dir, file

  setup(function()
    dir = assert(iza.fs.tempdir())
    file = dir .. "/served.lua"
    assert(iza.fs.write(file, script))
  end)
  teardown(function() iza.exec{"rm", "-r", dir} end)

  it("serves one port from all, replaces one that dies, and drains on SIGTERM", function()
    local port = free_port()
    local p <close> = assert(iza.exec{os.getenv "IZA" or "./iza", "--workers", "2", file,
      tostring(port), stream = true, stderr = "null"})
    assert.same({["1"] = true, ["2"] = true}, seen_workers(port))
    ask(port, "/die")
    assert.same({["1"] = true, ["2"] = true}, seen_workers(port))
    p:kill "TERM"
    assert.equal(0, p:wait().status)
    assert.is_nil(ask(port, "/me"))
  end)

  it("says what it takes", function()
    local program = os.getenv "IZA" or "./iza"
    for _, arguments in ipairs{{}, {"0", file}, {"x", file}, {"65", file}, {"2"}} do
      local result = assert(iza.exec{program, "--workers", table.unpack(arguments)})
      assert.equal(2, result.status)
      assert.matches("%-%-workers takes a number from 1 to 64 and a script", result.stderr)
    end
    local missing = assert(iza.exec{program, "--workers", "2", dir .. "/none.lua"})
    assert.equal(2, missing.status)
    assert.matches("cannot read the script", missing.stderr)
  end)
end)
