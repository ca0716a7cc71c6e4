-- One owner a data directory: iza start and iza run beside each other, as real processes.
local process = require "e2e.iza_process"
local host = require "iza.core.host"

-- Runs until the file named by its argument is there.
local WORKFLOW = [[
print "in"
io.stdout:flush()
while not io.open((...)) do iza.sleep(0.01) end
print "out"
]]

describe("the owner of a data directory", function()
  local dir, started
  before_each(function()
    dir = process.sandbox()
    process.write(dir .. "/iza.lua", "return {}")
    process.write(dir .. "/lua/workflows/hold.lua", WORKFLOW)
    started = {}
  end)
  after_each(function()
    for _, p in ipairs(started) do p:kill "SIGKILL" end
    for _, p in ipairs(started) do p:close() end
    process.remove(dir)
  end)

  local function sh(command) return process.sh(dir, dir, command) end

  local function exec(...)
    local command = {...}
    command.cwd, command.env, command.stream = dir, process.env(dir), true
    local p = assert(iza.exec(command))
    started[#started + 1] = p
    return p, p:lines()
  end

  local function launch(...) return exec(process.program, ...) end

  -- Reads lines until one matches; returns it.
  local function until_line(lines, pattern)
    local seen = {}
    for line in lines do
      if line:find(pattern) then return line end
      seen[#seen + 1] = line
    end
    error(("no line '%s' in: %s"):format(pattern, table.concat(seen, "\n")), 2)
  end

  local function hold(file)
    local p, lines = launch("run", "hold", file)
    until_line(lines, "^in$")
    return p, lines
  end

  local function owner() return host.owner(dir .. "/data/lock") end

  it("is a run, with its pid and verb, until it ends", function()
    local run, lines = hold "go"
    assert.are.same({run:pid(), "run"}, {owner()})
    assert.are.equal(run:pid() .. " run\n", process.read(dir .. "/data/lock"))
    process.write(dir .. "/go", "")
    until_line(lines, "^out$")
    assert.are.equal(0, run:wait().status)
    assert.is_nil(owner())
  end)

  it("has a second run beside it, which works all the same", function()
    local first = hold "go"
    local second = hold "go"
    assert.are.equal(first:pid(), (owner()))
    process.write(dir .. "/go", "")
    assert.are.same({0, 0}, {first:wait().status, second:wait().status})
  end)

  it("stays the owner while tasks of the script go on", function()
    process.write(dir .. "/lua/workflows/late.lua",
      "iza.spawn(function() while not io.open 'go' do iza.sleep(0.01) end end) print 'in' "
      .. "io.stdout:flush()")
    local run, lines = launch("run", "late")
    until_line(lines, "^in$")
    sh "sleep 0.1"
    assert.are.equal(run:pid(), (owner()))
    process.write(dir .. "/go", "")
    assert.are.equal(0, run:wait().status)
  end)

  it("is told by status and stop when it is a run", function()
    local run = hold "go"
    local said = ("no server runs on %s/data; process %d (iza run) owns it until it ends\n")
      :format(dir, run:pid())
    local out, _, code = sh "iza status"
    assert.are.same({1, said}, {code, out})
    out, _, code = sh "iza stop"
    assert.are.same({0, said}, {code, out})
    local report = iza.json.decode((sh "iza status --json || true"))
    assert.are.same({false, run:pid(), "run"}, {report.running, report.pid, report.verb})
  end)

  it("that is a run is waited for by start, which then goes on", function()
    local run = hold "go"
    local server, lines = launch("start", "--port", "0")
    local waits = until_line(lines, "waiting")
    assert.are.equal(("waiting for process %d (iza run), which owns %s/data; Ctrl-C gives up")
      :format(run:pid(), dir), waits)
    process.write(dir .. "/go", "")
    until_line(lines, "^1 kernel +ready")
    until_line(lines, "^9 ready")
    assert.are.same({server:pid(), "start"}, {owner()})
    local again = hold "go" -- a run beside a server
    assert.are.equal(0, again:wait().status)
    assert.are.same({server:pid(), "start"}, {owner()})
  end)

  it("that is killed leaves no lock: a waiting start takes over", function()
    local run = hold "go"
    local server, lines = launch("start", "--port", "0")
    until_line(lines, "waiting")
    run:kill "SIGKILL"
    until_line(lines, "^9 ready")
    assert.are.same({server:pid(), "start"}, {owner()})
  end)

  it("is not waited for after Ctrl-C", function()
    local run = hold "go"
    -- a job of a background shell ignores SIGINT, env --default-signal does not
    local server, lines = exec("env", "--default-signal=INT", process.program, "start")
    until_line(lines, "waiting")
    server:kill "SIGINT"
    for line in lines do error("went on: " .. line) end
    assert.are.equal(130, server:wait().status)
    assert.are.equal(run:pid(), (owner()))
  end)

  it("is nobody where the data directory cannot be made: the script runs", function()
    process.write(dir .. "/go", "")
    process.write(dir .. "/data", "a file")
    local out, err, code = sh "iza run hold go"
    assert.are.same({0, "in\nout\n"}, {code, out}, err)
  end)

  it("that has not come to its socket yet is starting, by status", function()
    iza.fs.mkdir(dir .. "/data")
    process.write(dir .. "/holder.lua", [[
      local lock = assert(require "iza.core.host".lock("data/lock", "start"))
      print "in" io.stdout:flush() iza.sleep(30) lock:close()]])
    local holder, lines = launch "holder.lua"
    until_line(lines, "^in$")
    local out, err, code = sh "iza status"
    assert.are.same({1, ""}, {code, out})
    assert.truthy(err:find(("process %d on %s/data does not answer: it is starting or ending")
      :format(holder:pid(), dir), 1, true), err)
  end)
end)
