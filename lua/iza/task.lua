--- Running things side by side: all, race, timeout, channel, select.
--
--- Built on the primitives of the scheduler (spawn, scope, join) and the channels of the engine.

local channels = require "iza.core.channel"
local core = require "iza.core.task"
local misuse = require "iza.misuse"

local M = {}

local function check_functions(name, functions)
  if type(functions) ~= "table" then
    misuse("iza.%s takes a list of functions, got %s", name, type(functions))
  end
  for i = 1, #functions do
    if type(functions[i]) ~= "function" then
      misuse("iza.%s takes a list of functions, its value %d is a %s", name, i, type(functions[i]))
    end
  end
end

--- Runs every function in a task of its own and returns their first results, in order.
--- When one fails, the others are cancelled and its error is raised.
--- Example: `local a, b = iza.all{function() return get(1) end, function() return get(2) end}`
---@param functions (fun(): any)[]
---@return any ...
function M.all(functions)
  check_functions("all", functions)
  local results, n = {}, #functions
  core.scope(function(scope)
    for i = 1, n do
      local f = functions[i]
      scope:spawn(function() results[i] = f() end)
    end
  end)
  return table.unpack(results, 1, n)
end

--- Runs the functions side by side and returns what the first to finish returned; the others are
--- cancelled. A failure also ends the race: it is raised.
--- Example: `local answer = iza.race{from_cache, from_server}`
---@param functions (fun(): any)[]
---@return any ...
function M.race(functions)
  check_functions("race", functions)
  local winner
  core.scope(function(scope)
    for i = 1, #functions do
      local f = functions[i]
      scope:spawn(function()
        local result = table.pack(f())
        if winner then return end
        winner = result
        scope:cancel()
      end)
    end
  end)
  if not winner then return nil end
  return table.unpack(winner, 1, winner.n)
end

--- Runs f with a time limit. When time is up, what f waits for is cancelled.
--- Example: `local page, err = iza.timeout("3s", fetch_page)`
---@param duration number|string seconds, or "250ms", "5m"
---@param f fun(): any
---@return any ... what f returned; or nil and an error with code "timeout"
function M.timeout(duration, f)
  if type(f) ~= "function" then
    misuse("iza.timeout takes a duration and a function, got %s", type(f))
  end
  local seconds, result = core.seconds(duration), nil
  core.scope(function(scope)
    local task = scope:spawn(function() result = table.pack(f()) end)
    task:join(seconds)
    if not result then scope:cancel() end
  end)
  if result then return table.unpack(result, 1, result.n) end
  return nil, core.error("timeout", ("it took longer than the %gs allowed"):format(seconds), true)
end

---@class iza.Channel
local Channel = channels.methods

--- Makes a channel that holds up to n values; with 0 (the default) a sender waits for a receiver.
--- Example: `local jobs = iza.channel(16)`
---@param n? integer
---@return iza.Channel
function M.channel(n) return channels.channel(n) end

--- Sends a value; waits while the channel is full.
--- Example: `local ok, err = jobs:send({id = 7}, "1s")`
---@param value any anything but nil
---@param duration? number|string give up after this long
---@return true|nil ok
---@return iza.Error? err code "closed" or "timeout"
function Channel:send(value, duration)
  if value == nil then error("a channel cannot carry nil", 2) end
  return channels.send(self, value, duration)
end

--- Receives the next value; waits while there is none.
--- Example: `local job, err = jobs:recv("5s")`
---@param duration? number|string give up after this long
---@return any value
---@return iza.Error? err code "closed" (and empty) or "timeout"
function Channel:recv(duration) return channels.recv(self, duration) end

--- Closes it: receivers get what is left, then "closed"; senders get "closed".
function Channel:close() channels.close(self) end

--- Iterates over what is sent until the channel is closed.
--- Example: `for job in jobs:each() do work(job) end`
---@return fun(): any
function Channel:each()
  return function() return (channels.recv(self)) end
end

local in_case = {[1] = true, [2] = true, send = true}

-- A case that is misread waits for ever.
local function check_cases(cases)
  for name, case in pairs(cases) do
    if math.type(name) ~= "integer" and name ~= "timeout" then
      require("iza.options").check("iza.select", "select", {[name] = case}, {timeout = "duration"})
    elseif type(case) == "table" then
      for field in pairs(case) do
        if not in_case[field] then
          require("iza.options").check("iza.select: a case", "select", {[field] = true},
            {send = "any"})
        end
      end
    end
  end
end

--- Waits for the first of several channels: one that has a value, or takes the one to be sent.
--- Each case is {channel, f} to receive or {channel, f, send = value} to send; exactly one happens.
--- Its f(value) is called and what that returns is returned; without f: the value received, or
--- true.
--- Example: `iza.select{{jobs, run}, {stop, finish}, {log, send = "idle"}, timeout = "1s"}`
---@param cases table
---@return any ... or nil and an error with code "timeout", or "closed" when all channels are
function M.select(cases)
  check_cases(cases)
  local i, value = channels.select(cases)
  if not i then return nil, value end
  local f = cases[i][2]
  if f then return f(value) end
  return value
end

return M
