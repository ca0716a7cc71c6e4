-- What is sent is received by exactly one task, whoever chooses, leaves or is stopped meanwhile.

-- A sender on the channel in a task of its own; status() is what send gave, nil while it waits.
local function sending(ch, value, duration)
  local state = {}
  local task = iza.spawn(function() state.ok, state.err = ch:send(value, duration) end)
  return state, task
end

describe("iza.select on channels without room", function()
  it("leaves the sender of the channel that was not chosen waiting", function()
    local a, b = iza.channel(), iza.channel()
    local chooser = iza.spawn(function() return iza.select{{a}, {b}} end)
    iza.sleep(0)
    local to_a, to_b = sending(a, "for a"), sending(b, "for b") -- both in the same turn
    assert.equal("for a", chooser:join())
    iza.sleep(0.002)
    assert.is_true(to_a.ok)
    assert.is_nil(to_b.ok)
    assert.equal("for b", b:recv())
    iza.sleep(0)
    assert.is_true(to_b.ok)
  end)

  it("leaves no value behind: a sender whose time is up was not heard", function()
    local a, b = iza.channel(), iza.channel()
    local chooser = iza.spawn(function() return iza.select{{a}, {b}} end)
    iza.sleep(0)
    sending(a, 1)
    local to_b, task = sending(b, 2, "1ms")
    assert.equal(1, chooser:join())
    task:join()
    assert.equal("timeout", to_b.err.code)
    assert.equal("timeout", select(2, b:recv("1ms")).code)
  end)

  it("one of two choosers gets a value, and the other goes on waiting", function()
    local a, b = iza.channel(), iza.channel()
    local got = {}
    for i = 1, 2 do
      iza.spawn(function() got[i] = iza.select{{a}, {b}} end)
    end
    iza.sleep(0)
    assert.is_true(a:send("first"))
    iza.sleep(0)
    assert.same({"first"}, got)
    assert.is_true(b:send("second"))
    iza.sleep(0)
    assert.same({"first", "second"}, got)
  end)

  it("sends or receives, never both", function()
    local to, from = iza.channel(), iza.channel()
    local function choose() return iza.select{{to, send = "out"}, {from}, timeout = "1ms"} end
    local _, err = choose()
    assert.equal("timeout", err.code)
    assert.equal("timeout", select(2, to:recv(0)).code)

    local receiver = iza.spawn(function() return to:recv() end)
    iza.sleep(0)
    local waiting = sending(from, "in")
    iza.sleep(0)
    assert.is_true(choose())
    assert.equal("out", receiver:join())
    assert.is_nil(waiting.ok)
    assert.equal("in", choose())
    iza.sleep(0)
    assert.is_true(waiting.ok)
  end)

  it("calls the function of the case that happened", function()
    local ch = iza.channel(1)
    local function sent(value) return "sent", value end
    assert.same({"sent", true}, {iza.select{{ch, sent, send = 5}}})
    assert.same({"got", 5}, {iza.select{{ch, function(v) return "got", v end}}})
    assert.is_false((function() ch:send(false) return iza.select{{ch}} end)())
  end)

  it("two that send and receive on the same channels meet", function()
    local a, b = iza.channel(), iza.channel()
    local function both(mine) return iza.select{{a, send = mine}, {b, send = mine}, {a}, {b}} end
    local one, two = iza.all{function() return both "x" end, function() return both "y" end}
    assert.is_true((one == true and two == "x") or (two == true and one == "y"))
  end)

  it("goes on with the others when one channel is closed, and ends with the last", function()
    local a, b, to = iza.channel(), iza.channel(), iza.channel()
    local chooser = iza.spawn(function() return iza.select{{a}, {b}, {to, send = 1}} end)
    iza.sleep(0)
    a:close()
    to:close()
    iza.sleep(0)
    assert.equal("waiting", chooser.status)
    b:close()
    assert.equal("closed", select(2, chooser:join()).code)
  end)

  it("misuse raises", function()
    assert.error_matches(function() iza.select{{"no channel"}} end, "case 1: a channel expected")
    assert.error_matches(function() iza.select{iza.channel()} end, "case 1: a table")
    assert.error_matches(function() iza.channel(-1) end, "0 or more")
    assert.error_matches(function() iza.channel():send(nil) end, "cannot carry nil")
  end)
end)

describe("a channel whose tasks are stopped", function()
  it("gives the value to a receiver that is cancelled just after it was handed over", function()
    local ch, got = iza.channel(), nil
    local receiver = iza.spawn(function() got = ch:recv() end)
    iza.sleep(0)
    assert.is_true(ch:send("x"))
    receiver:cancel()
    iza.sleep(0)
    assert.equal("x", got)
  end)

  it("does not hand over to a receiver that was cancelled just before", function()
    for _, wait in ipairs{
      function(ch) return ch:recv() end,
      function(ch) return iza.select{{iza.channel()}, {ch}} end,
    } do
      local ch = iza.channel()
      local receiver = iza.spawn(wait, ch)
      iza.sleep(0)
      receiver:cancel()
      local ok, err = ch:send("x", 0)
      assert.is_nil(ok)
      assert.equal("timeout", err.code)
    end
  end)

  it("wakes the next receiver when the first was cancelled", function()
    local ch, got = iza.channel(1), nil
    local first = iza.spawn(function() ch:recv() end)
    iza.spawn(function() got = ch:recv() end)
    iza.sleep(0)
    first:cancel()
    ch:send("x")
    iza.sleep(0)
    assert.equal("x", got)
  end)

  it("takes back what a cancelled sender brought, and lets the next one in", function()
    local ch = iza.channel(1)
    ch:send(1)
    local _, second = sending(ch, 2)
    local third = sending(ch, 3)
    iza.sleep(0)
    second:cancel()
    assert.equal(1, ch:recv())
    assert.equal(3, ch:recv())
    iza.sleep(0)
    assert.is_true(third.ok)
    assert.equal("timeout", select(2, ch:recv(0)).code)
  end)

  -- Every value acknowledged is received once, whatever times out or is cancelled.
  local function storm(size, seed)
    local channels, sent, got = {iza.channel(size), iza.channel(size)}, {}, {}
    local state = seed
    local function any(n)
      state = (state * 1103515245 + 12345) % 2147483648
      return state // 65536 % n + 1
    end
    local function note(value)
      if value == nil or value == true then return end
      assert.is_nil(got[value])
      got[value] = true
    end
    local last = 0
    local function step()
      last = last + 1
      local value, a, b, kind = last, channels[any(2)], channels[any(2)], any(4)
      if kind == 1 then
        sent[value] = a:send(value, any(3) / 10000) or nil
      elseif kind == 2 then
        note((a:recv(any(3) / 10000)))
      elseif kind == 3 then
        note((iza.select{{channels[1]}, {channels[2]}, timeout = any(3) / 10000}))
      else
        local result = iza.select{{a, send = value}, {b}, timeout = any(3) / 10000}
        if result == true then sent[value] = true else note(result) end
      end
    end
    iza.scope(function(scope)
      for _ = 1, 30 do
        local task = scope:spawn(function() for _ = 1, 40 do step() end end)
        if any(3) == 1 then
          scope:spawn(function() iza.sleep(any(20) / 10000) task:cancel() end)
        end
      end
    end)
    for _, ch in ipairs(channels) do
      ch:close()
      for value in ch:each() do note(value) end
    end
    assert.same(sent, got)
  end

  it("loses and doubles nothing in a storm", function()
    for seed = 1, 6 do storm(seed % 3, seed) end
  end)
end)

describe("a channel in an isolate", function()
  it("keeps its values when tasks are preempted in the middle", function()
    local program <close> = iza.isolate{limits = {cpu = "20s"}, source = [[return function(n)
      local ch, sums = iza.channel(2), {0, 0, 0, 0}
      iza.scope(function(scope)
        for task = 1, 4 do
          scope:spawn(function() for i = 1, n do ch:send(i) end end)
          scope:spawn(function()
            for _ = 1, n do
              local value = ch:recv()
              sums[task] = sums[task] + value
            end
          end)
        end
      end)
      return sums[1] + sums[2] + sums[3] + sums[4]
    end]]}
    assert.equal(4 * 10000 * 10001 // 2, program:call(nil, 10000))
  end)
end)
