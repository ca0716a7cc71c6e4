-- The scheduler as Lua sees it: tasks, scopes, cancellation, deadlines, channels (design §3, §4).

local pack = table.pack

--- Calls f on leaving the block.
local function at_end(f) return setmetatable({}, {__close = f}) end

--- A text that grows, to see the order of things.
local function recorder()
  local seen = {}
  return function(word)
    if not word then return table.concat(seen, " ") end
    seen[#seen + 1] = word
  end
end

local function is_cancelled(err) return type(err) == "table" and err.code == "cancelled" end

describe("iza.sleep", function()
  it("takes seconds and words", function()
    for duration, least in pairs{[0.01] = 0.01, ["10ms"] = 0.01, ["0.01s"] = 0.01, [0] = 0} do
      local t0 = iza.now()
      iza.sleep(duration)
      assert.is_true(iza.now() - t0 >= least)
    end
    assert.error_matches(function() iza.sleep("soon") end, "duration expected")
    assert.error_matches(function() iza.sleep(-1) end, "duration expected")
  end)

  it("lets others run", function()
    local note = recorder()
    local other = iza.spawn(function() note "other" end)
    note "before"
    iza.sleep(0)
    note "after"
    other:join()
    assert.equal("before other after", note())
  end)

  it("wakes in the order of the times", function()
    local note, tasks = recorder(), {}
    for i, ms in ipairs{30, 10, 20} do
      tasks[i] = function()
        iza.sleep(ms .. "ms")
        note(tostring(ms))
      end
    end
    iza.all(tasks)
    assert.equal("10 20 30", note())
  end)
end)

describe("a task", function()
  it("gets arguments and gives results", function()
    local task = iza.spawn(function(...) return select("#", ...), ... end, 1, nil, 3, nil)
    assert.same(pack(4, 1, nil, 3, nil), pack(task:join()))
    assert.same(pack(4, 1, nil, 3, nil), pack(task:join()))
    assert.equal("done", task.status)
  end)

  it("does not start before its parent waits", function()
    local note = recorder()
    local task = iza.spawn(function() note "child" end)
    note "parent"
    task:join()
    assert.equal("parent child", note())
  end)

  it("raises its failure where it is joined, with its own place", function()
    local task = iza.spawn(function()
      iza.sleep(0)
      error("no luck")
    end)
    local ok, err = pcall(task.join, task)
    assert.is_false(ok)
    assert.truthy(tostring(err):find("tasks_spec.lua:%d+: no luck"))
    assert.equal("failed", task.status)
  end)

  it("keeps error objects as they are", function()
    local thrown = iza.error("odd", "something odd", true)
    local task = iza.spawn(function() error(thrown) end)
    local _, err = pcall(task.join, task)
    assert.equal("odd", err.code)
    assert.is_true(err.retryable)
    assert.equal("something odd", err.message)
  end)

  it("can be waited for with a limit, and goes on after it", function()
    local task = iza.spawn(function()
      iza.sleep(0.05)
      return "late"
    end)
    local value, err = task:join(0.001)
    assert.is_nil(value)
    assert.equal("timeout", err.code)
    assert.equal("late", task:join())
  end)

  it("cancelled while it joins, waits in its <close> without the join's time limit", function()
    local slow = iza.spawn(function() iza.sleep(0.05) return "done" end)
    local never = iza.spawn(iza.park)
    local got
    local task = iza.spawn(function()
      local _ <close> = at_end(function() got = pack(slow:join()) end)
      never:join(0.01)
    end)
    iza.sleep(0)
    task:cancel()
    assert.is_false(pcall(task.join, task))
    never:cancel()
    assert.same(pack "done", got)
  end)

  it("can be joined by many", function()
    local task = iza.spawn(function()
      iza.sleep(0.01)
      return 7
    end)
    local function join() return task:join() end
    assert.same({7, 7, 7}, {iza.all{join, join, join}})
  end)

  it("cannot join itself", function()
    local task
    task = iza.spawn(function() task:join() end)
    assert.error_matches(function() task:join() end, "cannot join itself")
  end)

  it("waits for the tasks it spawned", function()
    local note = recorder()
    iza.spawn(function()
      iza.spawn(function()
        iza.sleep(0.01)
        note "child"
      end)
      note "body"
    end):join()
    note "joined"
    assert.equal("body child joined", note())
  end)

  it("takes its tasks with it when it fails", function()
    local child
    local task = iza.spawn(function()
      child = iza.spawn(function() iza.sleep(100) end)
      iza.sleep(0)
      error("no luck")
    end)
    assert.error_matches(function() task:join() end, "no luck")
    assert.equal("cancelled", child.status)
  end)

  it("fails with the failure of a child that nobody joined", function()
    local task = iza.spawn(function()
      iza.spawn(function() error("child's bad luck") end)
    end)
    assert.error_matches(function() task:join() end, "child's bad luck")
  end)

  it("runs ten thousand side by side", function()
    local sum = 0
    iza.scope(function(scope)
      for i = 1, 10000 do
        scope:spawn(function()
          iza.sleep(0.001)
          sum = sum + i
        end)
      end
    end)
    assert.equal(50005000, sum)
  end)
end)

describe("cancellation", function()
  --- Starts f, lets it begin, cancels it and waits for its end.
  local function cancelled(f)
    local task = iza.spawn(f)
    iza.sleep(0.005)
    task:cancel()
    pcall(task.join, task)
    return task
  end

  it("raises in the present wait", function()
    local err
    local task = cancelled(function()
      local ok
      ok, err = pcall(iza.sleep, 100)
      assert.is_false(ok)
      error(err)
    end)
    assert.is_true(is_cancelled(err))
    assert.equal("the task was cancelled", tostring(err))
    assert.equal("cancelled", task.status)
  end)

  it("raises in every later wait as well", function()
    local raised = 0
    cancelled(function()
      for _ = 1, 5 do
        local ok, err = pcall(iza.sleep, 100)
        if not ok and is_cancelled(err) then raised = raised + 1 end
      end
      local ok = pcall(iza.spawn(function() iza.sleep(0) end).join)
      if not ok then raised = raised + 1 end
    end)
    assert.equal(6, raised)
  end)

  it("reaches a task that has not begun", function()
    local begun, waited = false, false
    local task = iza.spawn(function()
      begun = true
      iza.sleep(0)
      waited = true
    end)
    task:cancel()
    pcall(task.join, task)
    assert.is_true(begun)
    assert.is_false(waited)
  end)

  it("does nothing to a task that is over", function()
    local task = iza.spawn(function() return 1 end)
    task:join()
    task:cancel()
    assert.equal(1, task:join())
    assert.equal("done", task.status)
  end)

  it("lets <close> wait", function()
    local note = recorder()
    cancelled(function()
      local a <close> = at_end(function()
        iza.sleep(0.01)
        note "a"
      end)
      local b <close> = at_end(function(_, err)
        assert(is_cancelled(err))
        iza.sleep(0.01)
        iza.spawn(function() note "helper" end):join()
        note(tostring(a ~= nil))
      end)
      note(tostring(b ~= nil))
      iza.sleep(100)
    end)
    assert.equal("true helper true a", note())
  end)

  it("lets <close> wait inside a user's coroutine", function()
    local note = recorder()
    cancelled(function()
      local outer <close> = at_end(function()
        iza.sleep(0)
        note "outer"
      end)
      coroutine.wrap(function()
        local inner <close> = at_end(function()
          iza.sleep(0)
          note "inner"
        end)
        iza.sleep(100)
        return inner
      end)()
      return outer
    end)
    assert.equal("inner outer", note())
  end)

  it("comes back after the <close> of a block", function()
    local note = recorder()
    cancelled(function()
      pcall(function()
        local x <close> = at_end(function()
          iza.sleep(0)
          note "closed"
        end)
        iza.sleep(100)
        return x
      end)
      local _, err = pcall(iza.sleep, 100)
      note(is_cancelled(err) and "raised" or "slept")
    end)
    assert.equal("closed raised", note())
  end)

  it("passes a loop that never waits, which can ask", function()
    local rounds = 0
    local task = iza.spawn(function()
      while not iza.cancelled() do rounds = rounds + 1 end
    end)
    task:cancel()
    task:join()
    assert.equal(0, rounds)
    assert.is_false(iza.cancelled())
  end)

  it("reaches all tasks of a scope", function()
    local tasks = {}
    iza.scope(function(scope)
      for i = 1, 10 do tasks[i] = scope:spawn(iza.sleep, 100) end
      iza.sleep(0)
      scope:cancel()
    end)
    for _, task in ipairs(tasks) do assert.equal("cancelled", task.status) end
  end)

  it("reaches children of children", function()
    local inner
    cancelled(function()
      iza.spawn(function()
        inner = iza.spawn(function() iza.sleep(100) end)
        inner:join()
      end):join()
    end)
    assert.equal("cancelled", inner.status)
  end)
end)

describe("a wait inside", function()
  it("a user's coroutine suspends the task, not the coroutine", function()
    local function numbers()
      for i = 1, 3 do
        iza.sleep(0.001)
        coroutine.yield(i)
      end
    end
    local sum = 0
    for i in coroutine.wrap(numbers) do sum = sum + i end
    assert.equal(6, sum)
    local co = coroutine.create(numbers)
    assert.same({true, 1}, {coroutine.resume(co)})
    assert.equal("suspended", coroutine.status(co))
  end)

  it("coroutines in coroutines in pcall", function()
    local depth = 0
    local function nest(n)
      if n == 0 then
        iza.sleep(0.001)
        return "bottom"
      end
      depth = depth + 1
      return coroutine.wrap(function() return select(2, pcall(nest, n - 1)) end)()
    end
    assert.equal("bottom", nest(20))
    assert.equal(20, depth)
  end)

  it("a metamethod, an iterator and a <close> block works", function()
    local t = setmetatable({}, {
      __index = function(_, key)
        iza.sleep(0)
        return key
      end,
      __add = function()
        iza.sleep(0)
        return "sum"
      end,
    })
    assert.equal("x", t.x)
    assert.equal("sum", t + 1)
    local n = 0
    for i in function(_, i)
      iza.sleep(0)
      if (i or 0) < 3 then return (i or 0) + 1 end
    end do
      n = n + i
    end
    assert.equal(6, n)
  end)

  it("a module while it loads works", function()
    package.preload.iza_spec_slow = function()
      iza.sleep(0.001)
      return {slow = true}
    end
    assert.is_true(require "iza_spec_slow".slow)
    package.loaded.iza_spec_slow, package.preload.iza_spec_slow = nil, nil
  end)

  local function refused(name, f)
    local ok, err = pcall(f)
    assert.is_false(ok)
    assert.truthy(tostring(err):find("cannot wait inside " .. name, 1, true), tostring(err))
    assert.truthy(tostring(err):find("collect first, wait afterwards", 1, true))
    iza.sleep(0) -- and nothing is broken
  end

  it("a C function that cannot be suspended is refused, with the cure", function()
    refused("table.sort", function()
      table.sort({3, 1, 2}, function(a, b)
        iza.sleep(0)
        return a < b
      end)
    end)
    refused("string.gsub", function() ("abc"):gsub(".", function() iza.sleep(0) end) end)
    refused("string.gsub", function() ("abc"):gsub(".", function() iza.spawn(print):join() end) end)
    refused("tostring", function()
      tostring(setmetatable({}, {__tostring = function() iza.sleep(0) end}))
    end)
    refused("load", function() assert(load(function() iza.sleep(0) end)) end)
  end)

  it("a coroutine inside such a function is refused too", function()
    local ok, err = pcall(table.sort, {2, 1}, function(a, b)
      coroutine.wrap(function() iza.sleep(0) end)()
      return a < b
    end)
    assert.is_false(ok)
    assert.truthy(tostring(err):find("cannot wait here", 1, true))
  end)
end)

describe("iza.scope", function()
  it("waits for its tasks and returns what its function returned", function()
    local note = recorder()
    local a, b = iza.scope(function(scope)
      scope:spawn(function()
        iza.sleep(0.01)
        note "scope's"
      end)
      iza.spawn(function()
        iza.sleep(0.005)
        note "spawned"
      end)
      return 1, 2
    end)
    note "over"
    assert.same({1, 2}, {a, b})
    assert.equal("spawned scope's over", note())
  end)

  it("cancels the others when one fails, and raises that failure", function()
    local sibling
    local ok, err = pcall(iza.scope, function(scope)
      sibling = scope:spawn(iza.sleep, 100)
      scope:spawn(function()
        iza.sleep(0.001)
        error("no luck")
      end)
      iza.sleep(100)
    end)
    assert.is_false(ok)
    assert.truthy(tostring(err):find("no luck"))
    assert.equal("cancelled", sibling.status)
  end)

  it("leaves a failure to who joins it", function()
    iza.scope(function(scope)
      local task = scope:spawn(function()
        iza.sleep(0.001)
        error("expected")
      end)
      assert.is_false(pcall(task.join, task))
    end)
  end)

  it("cannot be used after its end", function()
    local kept
    iza.scope(function(scope) kept = scope end)
    assert.error_matches(function() kept:spawn(print) end, "closed")
  end)
end)

describe("iza.timeout", function()
  it("gives the results when they come in time", function()
    assert.same(pack(1, nil, 3), pack(iza.timeout("1s", function() return 1, nil, 3 end)))
  end)

  it("cancels what takes too long", function()
    local ran_on = false
    local value, err = iza.timeout("5ms", function()
      iza.sleep(100)
      ran_on = true
    end)
    assert.is_nil(value)
    assert.equal("timeout", err.code)
    assert.is_true(err.retryable)
    assert.is_false(ran_on)
  end)

  it("nests: the nearer deadline counts", function()
    local value, err = iza.timeout(10, function()
      local inner, why = iza.timeout("5ms", function() iza.sleep(100) end)
      assert.is_nil(inner)
      return why.code
    end)
    assert.equal("timeout", value)
    assert.is_nil(err)
    local reached = false
    value, err = iza.timeout("5ms", function()
      iza.timeout(10, function() iza.sleep(100) end)
      reached = true
    end)
    assert.is_nil(value)
    assert.equal("timeout", err.code)
    assert.is_false(reached)
  end)

  it("passes failures on", function()
    assert.error_matches(function()
      iza.timeout(10, function() error("no luck") end)
    end, "no luck")
  end)
end)

describe("iza.all and iza.race", function()
  local function slow() iza.sleep(100) end

  it("pass a cancellation on instead of returning without results", function()
    for name, wait in pairs{
      all = function() return iza.all{slow, slow} end,
      race = function() return iza.race{slow, slow} end,
      scope = function() return iza.scope(function(s) s:spawn(slow) return "body" end) end,
      nested = function() return iza.all{function() return iza.race{slow} end} end,
    } do
      local went_on = false
      local result, err = iza.timeout("5ms", function()
        wait()
        went_on = true
      end)
      assert.is_nil(result, name)
      assert.equal("timeout", err.code, name)
      assert.is_false(went_on, name)
    end
  end)

  it("let a <close> of a cancelled task use them", function()
    local got
    local t = iza.spawn(function()
      local _ <close> = setmetatable({}, {__close = function()
        got = iza.all{function() iza.sleep "1ms" return "closed" end}
      end})
      slow()
    end)
    iza.sleep "2ms"
    t:cancel()
    pcall(t.join, t)
    assert.equal("closed", got)
  end)

  it("all: gives results in order", function()
    assert.same({1, 2, 3}, {iza.all{
      function() iza.sleep(0.01) return 1 end,
      function() return 2 end,
      function() iza.sleep(0.005) return 3 end,
    }})
    assert.equal(0, select("#", iza.all{}))
  end)

  it("all: cancels the rest after a failure", function()
    local finished = false
    assert.error_matches(function()
      iza.all{
        function() iza.sleep(0.001) error("no luck") end,
        function() iza.sleep(100) finished = true end,
      }
    end, "no luck")
    assert.is_false(finished)
  end)

  it("race: gives the first result and cancels the rest", function()
    local note = recorder()
    local a, b = iza.race{
      function()
        local x <close> = at_end(function() note "slow closed" end)
        iza.sleep(100)
        return x
      end,
      function() iza.sleep(0.001) return "fast", 2 end,
    }
    assert.same({"fast", 2}, {a, b})
    assert.equal("slow closed", note())
    assert.error_matches(function() iza.race{function() error("no luck") end} end, "no luck")
  end)
end)

describe("a channel", function()
  it("hands values over in order", function()
    local ch, got = iza.channel(), {}
    iza.scope(function(scope)
      scope:spawn(function()
        for i = 1, 100 do assert(ch:send(i)) end
        ch:close()
      end)
      for value in ch:each() do got[#got + 1] = value end
    end)
    assert.equal(100, #got)
    for i = 1, 100 do assert.equal(i, got[i]) end
  end)

  it("without room makes the sender wait for a receiver", function()
    local ch, note = iza.channel(), recorder()
    local sender = iza.spawn(function()
      ch:send("x")
      note "sent"
    end)
    iza.sleep(0.005)
    note "receiving"
    assert.equal("x", ch:recv())
    sender:join()
    assert.equal("receiving sent", note())
  end)

  it("with room holds that many", function()
    local ch = iza.channel(2)
    assert.is_true(ch:send(1))
    assert.is_true(ch:send(false))
    local ok, err = ch:send(3, 0.001)
    assert.is_nil(ok)
    assert.equal("timeout", err.code)
    assert.equal(1, ch:recv())
    assert.is_false(ch:recv())
    local value
    value, err = ch:recv("1ms")
    assert.is_nil(value)
    assert.equal("timeout", err.code)
    assert.error_matches(function() ch:send(nil) end, "nil")
  end)

  it("gives what is left after it was closed", function()
    local ch = iza.channel(2)
    ch:send(1)
    ch:close()
    assert.equal("closed", select(2, ch:send(2)).code)
    assert.equal(1, ch:recv())
    local value, err = ch:recv()
    assert.is_nil(value)
    assert.equal("closed", err.code)
  end)

  it("wakes all who wait when it is closed", function()
    local ch = iza.channel()
    local function recv() return select(2, ch:recv()).code end
    iza.spawn(function()
      iza.sleep(0.005)
      ch:close()
    end)
    assert.same({"closed", "closed", "closed"}, {iza.all{recv, recv, recv}})
  end)

  it("loses nothing when receivers are cancelled or time out", function()
    local ch, got, sent = iza.channel(), 0, 0
    iza.scope(function(scope)
      for i = 1, 20 do
        scope:spawn(function()
          while true do
            local value, err = ch:recv((i % 3) * 0.001)
            if value then got = got + 1 end
            if err and err.code == "closed" then return end
            iza.sleep(0)
          end
        end)
      end
      for i = 1, 200 do
        local doomed = iza.spawn(function() if ch:recv() then got = got + 1 end end)
        iza.sleep(0)
        assert(ch:send(i))
        sent = sent + 1
        doomed:cancel()
        pcall(doomed.join, doomed)
      end
      ch:close()
    end)
    while ch:recv() do got = got + 1 end
    assert.equal(sent, got)
  end)

  it("does not grow while receivers come and go", function()
    local ch = iza.channel()
    local function wait_often()
      for _ = 1, 2000 do ch:recv(0) end
      for _ = 1, 200 do ch:recv(1e-6) end
    end
    wait_often()
    collectgarbage()
    local before = collectgarbage("count")
    for _ = 1, 5 do iza.all{wait_often, wait_often} end
    collectgarbage()
    collectgarbage()
    assert.is_true(collectgarbage("count") - before < 40)
  end)
end)

describe("iza.select", function()
  it("takes from the first channel that has a value", function()
    local a, b = iza.channel(), iza.channel(1)
    b:send("from b")
    assert.equal("from b", iza.select{{a}, {b}})
    iza.spawn(function()
      iza.sleep(0.005)
      a:send("from a")
    end)
    assert.equal("got from a", iza.select{{a, function(v) return "got " .. v end}, {b}})
  end)

  it("has a time limit and knows closed channels", function()
    local a, b = iza.channel(), iza.channel()
    assert.equal("timeout", select(2, iza.select{{a}, {b}, timeout = "1ms"}).code)
    a:close()
    assert.equal("timeout", select(2, iza.select{{a}, {b}, timeout = "1ms"}).code)
    b:close()
    assert.equal("closed", select(2, iza.select{{a}, {b}}).code)
  end)
end)

describe("iza.park", function()
  it("sleeps until it is unparked, also when that came first", function()
    local me = iza.current()
    iza.unpark(me)
    assert.is_true(iza.park())
    iza.spawn(function() iza.unpark(me) end)
    assert.is_true(iza.park())
    assert.is_false(iza.park(0.001))
  end)
end)

describe("a duration", function()
  it("is seconds, or numbers with units that add up", function()
    local cases = {[3] = 3,
      ["250ms"] = 0.25, ["1h30m"] = 5400, ["0.5h10s"] = 1810, ["2w"] = 1209600}
    for given, seconds in pairs(cases) do assert.equal(seconds, iza.seconds(given)) end
    for _, bad in ipairs{"", "5", "m", "1h30", "1x", "-1s", "1..2s"} do
      assert.error_matches(function() iza.seconds(bad) end, "duration expected", bad)
    end
  end)
end)
