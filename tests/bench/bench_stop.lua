--- Endless code in isolates: when it is stopped, and how late a neighbour that sleeps 1 ms at a
--- time wakes up meanwhile. The bars, budget plus 80 ms and 40 ms, are iza's own: Lua has no limit.
local compare = require "tests.bench.compare"

local BUDGET = 0.1 -- seconds
local ROUNDS = 5

local endless = {
  {"loop", "while true do end"},
  {"pcall", "while true do pcall(function() while true do end end) end"},
  {"coroutine", [[local function f() while true do end end
    while true do pcall(coroutine.wrap(function() coroutine.wrap(f)() end)) end]]},
  {"sort", "table.sort({3, 2, 1}, function() while true do end end)"},
  {"close", [[local x <close> = setmetatable({}, {__close = function() while true do end end})
    while true do end]]},
  {"pattern", [[while true do
    pcall(string.find, ('a'):rep(30), ('a?'):rep(30) .. ('a'):rep(30)) end]]},
  {"move", "local t = {} for i = 1, 1 << 16 do t[i] = i end "
    .. "while true do table.move(t, 1, #t, 2) end"},
}

-- Milliseconds from the start to the end; `delays` gets each of the neighbour's, in ms.
local function stop(code, delays)
  local iso = assert(iza.isolate{source = "return function() " .. code .. " end",
    limits = {cpu = BUDGET, memory = "64MB"}})
  local neighbour = iza.spawn(function()
    while true do
      local before = iza.now()
      iza.sleep "1ms"
      delays[#delays + 1] = (iza.now() - before - 0.001) * 1000
    end
  end)
  local start = iza.now()
  local ok, err = pcall(iso.call, iso)
  local took = (iza.now() - start) * 1000
  assert(not ok and err.code == "limit", err)
  neighbour:cancel()
  return took
end

for _, case in ipairs(endless) do
  local times, delays = {}, {}
  for i = 1, ROUNDS do times[i] = stop(case[2], delays) end
  table.sort(delays)
  compare.line("stop." .. case[1] .. ".time", "ms", compare.median(times), "bar",
    BUDGET * 1000 + 80)
  compare.line("stop." .. case[1] .. ".neighbour_p99", "ms", delays[math.ceil(#delays * 0.99)],
    "bar", 40)
end
