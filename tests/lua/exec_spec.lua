-- iza.exec: results, options, streaming, and that no child outlives its scope.

local exec = iza.exec

--- Is the process gone (or a zombie that its new parent has not reaped)?
local function is_gone(pid)
  local f = io.open(("/proc/%d/stat"):format(pid))
  if not f then return true end
  local stat = f:read("a")
  f:close()
  return stat:match("%) (%a)") == "Z"
end

local function assert_gone(pid)
  for _ = 1, 500 do
    if is_gone(pid) then return end
    iza.sleep(0.01)
  end
  error(("process %d still runs"):format(pid))
end

local function sh(script, more)
  local opts = {"sh", "-c", script}
  for k, v in pairs(more or {}) do opts[k] = v end
  return opts
end

describe("iza.exec", function()
  it("is a function, also as a module", function()
    assert.equal("function", type(exec))
    assert.equal(exec, require "iza.exec")
  end)

  it("gives status, output and errors", function()
    local r = assert(exec(sh "echo out; echo err >&2; exit 3"))
    assert.same({status = 3, stdout = "out\n", stderr = "err\n", ok = false}, r)
    assert.is_true(exec{"true"}.ok)
  end)

  it("tells the signal that ended it", function()
    local r = assert(exec(sh "kill -KILL $$"))
    assert.same({signal = "SIGKILL", stdout = "", stderr = "", ok = false}, r)
  end)

  it("passes arguments as they are, numbers too", function()
    local r = exec{"printf", "%s|", "a b", "$(x)", "*", "", 7}
    assert.equal("a b|$(x)|*||7|", r.stdout)
  end)

  it("says which program is missing", function()
    local r, err = exec{"no-such-program-here"}
    assert.is_nil(r)
    assert.equal("ENOENT", err.code)
    assert.equal('exec: there is no program "no-such-program-here" in PATH', tostring(err))
    err = select(2, exec{"true", cwd = "/no/such/folder"})
    assert.equal("ENOENT", err.code)
    assert.truthy(err.message:find("/no/such/folder", 1, true))
  end)

  it("runs in a folder with a changed environment", function()
    local env = {A = 1, HOME = false}
    local r = exec(sh("pwd; echo $A,$HOME,${PATH:+path}", {cwd = "/usr", env = env}))
    assert.equal("/usr\n1,,path\n", r.stdout)
  end)

  it("feeds input and collects more than a pipe holds", function()
    local text = ("0123456789"):rep(300000)
    local r = exec{"cat", stdin = text}
    assert.is_true(r.stdout == text)
    assert.equal("", exec{"cat"}.stdout)
    assert.is_true(exec{"true", stdin = text}.ok)
  end)

  it("joins or passes on streams", function()
    assert.equal("a\nb\n", exec(sh("echo a; echo b >&2", {stderr = "stdout"})).stdout)
    assert.equal("", exec(sh("echo a", {stdout = "null"})).stdout)
  end)

  it("stops what takes too long or writes too much", function()
    local r, err = exec(sh("echo $$; exec sleep 1000", {timeout = "50ms"}))
    assert.is_nil(r)
    assert.equal("timeout", err.code)
    r, err = exec{"yes", max_output = "100KB"}
    assert.is_nil(r)
    assert.equal("too_large", err.code)
    r, err = exec(sh("yes >&2", {max_output = "100KB"}))
    assert.is_nil(r)
    assert.equal("too_large", err.code)
    assert.equal(100, #exec{"head", "-c", 100, "/dev/zero", max_output = 100}.stdout)
  end)

  it("makes a failure an error with check", function()
    local r, err = exec(sh("echo first >&2; echo last words >&2; exit 4", {check = true}))
    assert.is_nil(r)
    assert.equal("exit", err.code)
    assert.equal('exec: "sh" ended with status 4: last words', err.message)
    assert.equal(4, err.result.status)
    assert.is_true(exec{"true", check = true}.ok)
  end)

  it("refuses misuse", function()
    assert.error_matches(function() exec{} end, "no program")
    assert.error_matches(function() exec "ls" end, "table")
    assert.error_matches(function() exec{"ls", cdw = "/"} end,
      "unknown option 'cdw'; did you mean 'cwd'?")
    assert.error_matches(function() exec{"ls", "a\0b"} end, "zero byte")
    assert.error_matches(function() exec{"ls", {}} end, "arguments must be strings")
    assert.error_matches(function() exec{"ls", env = {["A=B"] = "c"}} end, "variable's name")
    assert.error_matches(function() exec{"ls", stdin = true} end, "stream")
  end)

  it("runs two hundred at once", function()
    local results = {}
    iza.scope(function(scope)
      for i = 1, 200 do
        scope:spawn(function() results[i] = exec{"cat", stdin = tostring(i)}.stdout end)
      end
    end)
    for i = 1, 200 do assert.equal(tostring(i), results[i]) end
  end)
end)

describe("a process", function()
  it("is talked to while it runs", function()
    local p <close> = exec{"cat", stdin = true, stream = true}
    assert(p:write("one\n"))
    assert.equal("one", p:read("l"))
    assert(p:write("two\nthree"))
    assert.equal("two", p:read("l"))
    p:close_stdin()
    assert.equal("thr", p:read(3))
    assert.equal("ee", p:read())
    assert.is_nil(p:read())
    assert.equal("", p:read("a"))
    assert.is_true(p:wait().ok)
    local ok, err = p:write("more")
    assert.is_nil(ok)
    assert.equal("EPIPE", err.code)
  end)

  it("gives lines, long ones and the last without newline", function()
    local script = "seq 100000; head -c 300000 /dev/zero | tr '\\0' x; printf '\\n\\nend'"
    local p <close> = exec(sh(script, {stream = true}))
    local n, last = 0, {}
    for line in p:lines() do
      n = n + 1
      if n > 100000 then last[#last + 1] = line
      elseif line ~= tostring(n) then error(("line %d is %q"):format(n, line)) end
    end
    assert.equal(3, #last)
    assert.equal(300000, #last[1])
    assert.same({"", "end"}, {last[2], last[3]})
  end)

  it("makes a writer wait for a slow reader, and the child for us", function()
    local p <close> = exec(sh("sleep 0.05; cat", {stdin = true, stream = true}))
    local block, sent = ("x"):rep(50000), 0
    local writer = iza.spawn(function()
      for _ = 1, 40 do
        assert(p:write(block))
        sent = sent + #block
      end
      p:close_stdin()
    end)
    iza.sleep(0.1)
    assert.is_true(sent < 40 * 50000)
    assert.equal(40 * 50000, #p:read("a"))
    writer:join()
  end)

  it("keeps what was not read, and the end of its errors, for wait", function()
    local p = exec(sh("echo a; echo b; seq 30000 >&2", {stream = true}))
    assert.equal("a", p:read("l"))
    local r = p:wait()
    assert.equal("b\n", r.stdout)
    assert.equal(64 * 1024, #r.stderr)
    assert.truthy(r.stderr:find("\n29999\n30000\n$"))
    assert.equal(0, p:wait().status)
  end)

  it("can be sent signals", function()
    local script = "trap 'echo got it; exit 9' USR1; echo ready; while :; do sleep 0.01; done"
    local p <close> = exec(sh(script, {stream = true}))
    assert.equal("ready", p:read("l"))
    assert.is_true(p:kill("SIGUSR1"))
    assert.equal("got it\n", p:read("a"))
    assert.equal(9, p:wait().status)
    assert.is_false(p:kill())
    assert.error_matches(function() p:kill("SIGNOPE") end, "no such signal")
  end)

  it("has a timeout for its whole life", function()
    local p <close> = exec{"sleep", 1000, stream = true, timeout = "30ms"}
    local r, err = p:wait()
    assert.is_nil(r)
    assert.equal("timeout", err.code)
    assert.equal("timeout", select(2, p:read()).code)
  end)

  it("dies with its block", function()
    local pid
    do
      local p <close> = exec(sh("sleep 1000 & echo $!; wait", {stream = true}))
      pid = p:pid()
      assert.is_false(is_gone(pid))
    end
    assert.is_true(is_gone(pid))
  end)

  it("dies with its scope, and the scope waits for its death", function()
    local child, grandchild
    iza.scope(function()
      local p = exec(sh("sleep 1000 & echo $!; wait", {stream = true}))
      child, grandchild = p:pid(), tonumber(p:read("l"))
    end)
    assert.is_true(is_gone(child))
    assert_gone(grandchild)
  end)

  it("lives as long as other tasks of its scope", function()
    local lines = {}
    iza.scope(function(scope)
      local p = exec(sh("sleep 0.05; echo late; exec sleep 1000", {stream = true}))
      scope:spawn(function() lines[1] = p:read("l") end)
    end)
    assert.same({"late"}, lines)
  end)

  it("dies when its scope fails", function()
    local pid
    local ok, err = pcall(iza.scope, function()
      pid = exec{"sleep", 1000, stream = true}:pid()
      error("no luck")
    end)
    assert.is_false(ok)
    assert.truthy(tostring(err):find("no luck"))
    assert.is_true(is_gone(pid))
  end)

  it("dies when its task is cancelled or out of time", function()
    local pid
    local task = iza.spawn(function()
      local p = exec{"sleep", 1000, stream = true}
      pid = p:pid()
      p:wait()
    end)
    iza.sleep(0.05)
    task:cancel()
    pcall(task.join, task)
    assert.is_true(is_gone(pid))

    local file = os.tmpname()
    local r, err = iza.timeout(0.1, function()
      return exec(sh("echo $$ > " .. file .. "; exec sleep 1000"))
    end)
    assert.is_nil(r)
    assert.equal("timeout", err.code)
    local f <close> = assert(io.open(file))
    assert.is_true(is_gone(f:read("n")))
    os.remove(file)
  end)

  it("is killed after its grace when it ignores SIGTERM", function()
    local p = exec(sh("trap '' TERM; echo ready; while :; do sleep 0.01; done", {stream = true}))
    assert.equal("ready", p:read("l"))
    local pid = p:pid()
    p:close()
    assert.is_true(is_gone(pid))
  end)

  it("dies when nobody holds it any more", function()
    local pid = exec{"sleep", 1000, stream = true}:pid()
    collectgarbage()
    collectgarbage()
    assert_gone(pid)
  end)

  it("cannot be used after it was closed", function()
    local p = exec{"sleep", 1000, stream = true}
    p:close()
    p:close()
    assert.error_matches(function() p:read() end, "closed")
    assert.error_matches(function() p:wait() end, "closed")
  end)
end)
