-- iza start, status and stop against the built program: stages, owner, token, socket, draining.
local process = require "e2e.iza_process"
local host = require "iza.core.host"

describe("iza start", function()
  local dir, running
  before_each(function()
    dir = process.sandbox()
    running = nil
  end)
  after_each(function()
    if running then running:close() end
    process.remove(dir)
  end)

  local function sh(command, more) return process.sh(dir, dir, command, more) end

  -- Starts it and reads up to the line of stage 9; returns the lines and the URL.
  local function start(...)
    running = assert(iza.exec {process.program, "start", "--data", "d", "--port", "0", cwd = dir,
      env = process.env(dir), stream = true, ...})
    local lines = {}
    for line in running:lines() do
      lines[#lines + 1] = line
      if line:find "^9 " then break end
    end
    return lines, (lines[#lines] or ""):match "http://%S+"
  end

  local function token() return process.read(dir .. "/d/token"):match "%x+" end

  it("goes through its stages, each with its milliseconds", function()
    local lines, url = start()
    assert.are.equal(3, #lines)
    for i, stage in ipairs {"1 kernel", "7 interfaces", "9 ready"} do
      assert.truthy(lines[i]:find("^" .. stage .. " +ready +%d+%.%d ms"), lines[i])
    end
    assert.truthy(url:find "^http://127%.0%.0%.1:%d+$")
  end)

  it("answers who has the token, and nobody else", function()
    local _, url = start()
    local function get(path, opts)
      local r = assert(iza.http.get(url .. path, opts))
      return r.status, r:json()
    end
    local status, body = get "/api/health"
    assert.are.same({200, true}, {status, body.ok})
    status, body = get "/api/status"
    assert.are.same({401, "unauthorized"}, {status, body.error.code})
    assert.are.equal(401, (get("/api/status", {auth = {bearer = ("0"):rep(64)}})))
    assert.are.equal(401, (get("/api/status", {auth = {bearer = token():sub(1, 63)}})))
    status, body = get("/api/status", {auth = {bearer = token()}})
    assert.are.same({200, running:pid(), url}, {status, body.pid, body.url})
    local evil = {auth = {bearer = token()}, headers = {Host = "evil.example"}}
    assert.are_not.equal(200, (get("/api/status", evil)))
  end)

  it("keeps its token and its files to its owner", function()
    start()
    for name, mode in pairs {token = 384, ["iza.sock"] = 384, lock = 384} do
      assert.are.same({name, mode}, {name, select(2, host.kind(dir .. "/d/" .. name))})
    end
    local first = token()
    running:close()
    start()
    assert.are.equal(first, token())
  end)

  it("is found by status, in words and as JSON", function()
    start()
    local out, _, code = sh "iza status --data d"
    assert.are.equal(0, code)
    assert.truthy(out:find("process " .. running:pid(), 1, true), out)
    local report = iza.json.decode((sh "IZA_DATA=d iza status --json"))
    assert.is_true(report.running)
    assert.are.same({"kernel", "interfaces"}, {report.stages[1].name, report.stages[2].name})
    out, _, code = sh "iza status --data other --json"
    assert.are.equal(1, code)
    assert.is_false(iza.json.decode(out).running)
  end)

  it("owns its data directory alone", function()
    start()
    local out, err, code = sh "iza start --data d --port 0"
    assert.are.equal(1, code)
    assert.truthy(out:find "1 kernel +failed", out)
    assert.truthy(err:find("belongs to process " .. running:pid(), 1, true), err)
  end)

  it("ends by stop, which waits, and leaves no lock and no socket", function()
    local _, url = start()
    assert(iza.http.get(url .. "/api/health")) -- leaves a connection that is kept alive
    local pid = running:pid()
    local out, err, code = sh "iza stop --data d --timeout 3"
    assert.are.same({0, "stopped process " .. pid .. " on " .. dir .. "/d\n"}, {code, out}, err)
    assert.are.equal(0, running:wait().status)
    assert.is_nil(host.owner(dir .. "/d/lock"))
    assert.is_nil(host.kind(dir .. "/d/iza.sock"))
    out, _, code = sh "iza stop --data d"
    assert.are.same({0, "no iza runs on " .. dir .. "/d\n"}, {code, out})
  end)

  it("is not taken for nothing by a user who cannot see it", function()
    start()
    process.sh(dir, dir, "cp " .. process.program .. " iza && chmod 755 . iza && chmod 0 d")
    local as = host.uid() == 0 and "setpriv --reuid=65534 --clear-groups " or ""
    for _, verb in ipairs {"status", "stop"} do
      local out, err, code = sh(as .. "./iza " .. verb .. " --data d")
      assert.are.same({1, ""}, {code, out})
      assert.truthy(err:find("cannot see who holds " .. dir .. "/d/lock", 1, true), err)
    end
    sh "chmod 700 d"
  end)

  it("that hangs is told by status and by stop", function()
    start()
    local pid = running:pid()
    running:kill "SIGSTOP"
    local out, err, code = sh "iza status --data d"
    assert.are.same({1, ""}, {code, out})
    local hangs = ("process %d on %s/d does not answer"):format(pid, dir)
    assert.truthy(err:find(hangs, 1, true), err)
    assert.truthy(err:find("\n  do: `iza stop` ends it; by force: kill -9 " .. pid, 1, true), err)
    local report = iza.json.decode((sh "iza status --data d --json || true"))
    assert.are.same({true, pid, "no_answer"}, {report.running, report.pid, report.error.code})
    out, err, code = sh "iza stop --data d --timeout 100ms"
    assert.are.same({1, ""}, {code, out})
    assert.truthy(err:find("process " .. pid .. " still runs", 1, true), err)
    running:kill "SIGKILL"
  end)

  it("listens where the settings say", function()
    local free = assert(iza.http.serve {host = "127.0.0.2", routes = {}})
    local port = free.port
    free:stop {drain = 0}
    process.write(dir .. "/iza.lua", ("return {host = '127.0.0.2', port = %d}"):format(port))
    running = assert(iza.exec {process.program, "start", cwd = dir, env = process.env(dir),
      stream = true})
    local line
    for text in running:lines() do
      line = text
      if text:find "^9 " then break end
    end
    assert.truthy(line:find("http://127.0.0.2:" .. port, 1, true), line)
    assert.are.equal(200, iza.http.get(("http://127.0.0.2:%d/api/health"):format(port)).status)
  end)

  it("lets its user and root alone use the socket", function()
    local api = require "iza.api"
    local function status_of(remote)
      return api.by_uid({remote = remote}, function() return {status = 200} end).status
    end
    assert.are.equal(200, status_of("unix:" .. host.uid()))
    assert.are.equal(200, status_of "unix:0")
    assert.are.equal(403, status_of("unix:" .. host.uid() + 1))
    assert.are.equal(403, status_of "127.0.0.1")
    start()
    local ask = "iza.http.get('http://localhost/api/status', {socket = arg[1]}).status"
    local as = host.uid() == 0 and "setpriv --reuid=65534 --clear-groups " or ""
    sh("cp " .. process.program .. " iza; chmod 755 . d iza; chmod 666 d/iza.sock")
    local out = sh(("%s./iza -e \"print(%s)\" d/iza.sock"):format(as, ask))
    assert.are.equal(as == "" and "200\n" or "403\n", out)
  end)

  it("takes over at once from one that was killed", function()
    start()
    running:kill "SIGKILL"
    running:wait()
    assert.are.equal(1, select(3, sh "iza status --data d"))
    local lines = start()
    assert.are.equal(3, #lines)
  end)

  it("says once why a stage failed and what to do, and ends with 1", function()
    local taken = assert(iza.http.serve {routes = {}})
    local out, err, code = sh("iza start --data d --port " .. taken.port)
    taken:stop {drain = 0}
    assert.are.equal(1, code)
    assert.truthy(out:find "7 interfaces +failed", out)
    local _, count = (out .. err):gsub("port " .. taken.port, "")
    assert.are.equal(1, count)
    assert.truthy(err:find("\n  do: another address: --port P", 1, true), err)
    out, err, code = sh("iza start --port 0 --data " .. ("x"):rep(100))
    assert.are.equal(1, code)
    assert.truthy(err:find("too long for the socket", 1, true), out .. err)
    assert.truthy(err:find("\n  do: a data directory with a shorter name", 1, true), err)
    assert.is_nil(host.owner(dir .. "/d/lock"))
  end)
end)

describe("iza.stages", function()
  local stages = require "iza.stages"

  -- Runs these stages instead of the real ones; returns ok, err and what was reported.
  local function run(list)
    local real, reported = stages.list, {}
    local _ <close> = setmetatable({}, {__close = function() stages.list = real end})
    stages.list = {}
    for _, stage in ipairs(list) do stages.add(stage) end
    local ctx = {stages = {}}
    local ok, err = stages.run(ctx, function(entry)
      reported[#reported + 1] = entry.number .. " " .. entry.state
    end)
    return ok, err, reported, ctx.stages
  end

  local function works() return true end

  it("run in their order, whatever order they were added in", function()
    local _, _, reported = run {
      {number = 7, name = "c", start = works, probe = works},
      {number = 2, name = "a", start = works, probe = works},
      {number = 4, name = "b", start = works, probe = works},
    }
    assert.are.same({"2 ready", "4 ready", "7 ready"}, reported)
  end)

  it("that fail are degraded with their cure, and the rest goes on", function()
    local ok, _, reported, entries = run {
      {number = 2, name = "a", start = function() error("broken", 0) end, cure = "mend it"},
      {number = 3, name = "b", start = works, probe = function() return nil, "no answer" end},
      {number = 4, name = "c", start = works, probe = works},
    }
    assert.is_true(ok)
    assert.are.same({"2 degraded", "3 degraded", "4 ready"}, reported)
    assert.are.same({"broken", "mend it"}, {entries[1].error, entries[1].cure})
    assert.are.equal("no answer", entries[2].error)
  end)

  it("that are required end the start", function()
    local ok, err, reported = run {
      {number = 2, name = "a", required = true, start = works,
        probe = function() return nil, "no" end},
      {number = 3, name = "b", start = works, probe = works},
    }
    assert.is_nil(ok)
    assert.are.equal("no", err)
    assert.are.same({"2 failed"}, reported)
  end)
end)
