--- Running things side by side: all, race, timeout, channel, select.
--
--- Built on the primitives of the scheduler (spawn, scope, park, unpark). A parked task stands in
--- the
--- queue of whatever may wake it; a channel keeps one queue of receivers and one of senders.

local core = require "iza.core.task"

local M = {}

--- Runs every function in a task of its own and returns their first results, in order.
--- When one fails, the others are cancelled and its error is raised.
--- Example: `local a, b = iza.all{function() return get(1) end, function() return get(2) end}`
---@param functions (fun(): any)[]
---@return any ...
function M.all(functions)
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
  local seconds, result = core.seconds(duration), nil
  core.scope(function(scope)
    local task = scope:spawn(function() result = table.pack(f()) end)
    task:join(seconds)
    if not result then scope:cancel() end
  end)
  if result then return table.unpack(result, 1, result.n) end
  return nil, core.error("timeout", ("it took longer than the %gs allowed"):format(seconds), true)
end

local function wake(waiters)
  while waiters.first <= waiters.last do
    local entry = waiters[waiters.first]
    waiters[waiters.first] = nil
    waiters.first = waiters.first + 1
    if not entry.gone then
      entry.gone = true
      core.unpark(entry.task)
      return
    end
  end
end

local function wake_all(waiters)
  while waiters.first <= waiters.last do wake(waiters) end
end

--- Forgets those at both ends who have left: a receiver that times out again and again leaves
--- nothing behind.
local function trim(waiters)
  while waiters.first <= waiters.last and waiters[waiters.last].gone do
    waiters[waiters.last] = nil
    waiters.last = waiters.last - 1
  end
  while waiters.first <= waiters.last and waiters[waiters.first].gone do
    waiters[waiters.first] = nil
    waiters.first = waiters.first + 1
  end
end

local leaving = {__close = function(entry)
  entry.gone = true
  for _, waiters in ipairs(entry.queues) do trim(waiters) end
end}

--- Parks the running task in all the queues until one wakes it or the time is up.
local function wait_in(queues, seconds)
  local entry <close> = setmetatable({task = core.current(), queues = queues}, leaving)
  for _, waiters in ipairs(queues) do
    waiters.last = waiters.last + 1
    waiters[waiters.last] = entry
  end
  core.park(seconds)
end

--- Calls try until its first result is true, waiting in the queues between. False: time is up.
local function attempt(queues, duration, try)
  local deadline = duration and core.now() + core.seconds(duration)
  while true do
    local done, a, b = try()
    if done then return true, a, b end
    local left = deadline and deadline - core.now()
    if left and left <= 0 then return false end
    wait_in(queues, left)
  end
end

local function closed() return nil, core.error("closed", "the channel is closed") end

---@class iza.Channel
local Channel = {}
Channel.__index = Channel
Channel.__name = "channel"

--- Makes a channel that holds up to n values; with 0 (the default) a sender waits for a receiver.
--- Example: `local jobs = iza.channel(16)`
---@param n? integer
---@return iza.Channel
function M.channel(n)
  return setmetatable({
    size = n or 0, wanted = 0, head = 1, tail = 0, queue = {}, closed = false,
    receivers = {first = 1, last = 0}, senders = {first = 1, last = 0},
  }, Channel)
end

--- Sends a value; waits while the channel is full.
--- Example: `local ok, err = jobs:send({id = 7}, "1s")`
---@param value any anything but nil
---@param duration? number|string give up after this long
---@return true|nil ok
---@return iza.Error? err code "closed" or "timeout"
function Channel:send(value, duration)
  if value == nil then error("a channel cannot carry nil", 2) end
  local ok, shut = attempt({self.senders}, duration, function()
    if self.closed then return true, true end
    if self.tail - self.head + 1 >= self.size + self.wanted then return false end
    self.tail = self.tail + 1
    self.queue[self.tail] = value
    wake(self.receivers)
    return true
  end)
  if not ok then return nil, core.error("timeout", "nobody received in time", true) end
  if shut then return closed() end
  return true
end

--- done, value; a nil value says closed and empty.
local function take(channel)
  if channel.head > channel.tail then return channel.closed, nil end
  local value = channel.queue[channel.head]
  channel.queue[channel.head] = nil
  channel.head = channel.head + 1
  wake(channel.senders)
  return true, value
end

--- While a receiver stands at the channels, each has room for one value more.
local wanting = {__close = function(channels)
  for _, channel in ipairs(channels) do channel.wanted = channel.wanted - 1 end
end}

local function want(channels)
  for _, channel in ipairs(channels) do
    channel.wanted = channel.wanted + 1
    wake(channel.senders)
  end
  return setmetatable(channels, wanting)
end

--- Receives the next value; waits while there is none.
--- Example: `local job, err = jobs:recv("5s")`
---@param duration? number|string give up after this long
---@return any value
---@return iza.Error? err code "closed" (and empty) or "timeout"
function Channel:recv(duration)
  local _ <close> = want{self}
  local ok, value = attempt({self.receivers}, duration, function() return take(self) end)
  if not ok then return nil, core.error("timeout", "nothing was sent in time", true) end
  if value == nil then return closed() end
  return value
end

--- Closes it: receivers get what is left, then "closed"; senders get "closed".
function Channel:close()
  self.closed = true
  wake_all(self.receivers)
  wake_all(self.senders)
end

--- Iterates over what is sent until the channel is closed.
--- Example: `for job in jobs:each() do work(job) end`
---@return fun(): any
function Channel:each()
  return function() return (self:recv()) end
end

--- Waits for the first of several channels to have a value.
--- Each case is {channel, f}; f(value) is called and its results are returned (without f: the
--- value).
--- Example: `iza.select{{jobs, run}, {stop, finish}, timeout = "1s"}`
---@param cases table
---@return any ... or nil and an error with code "timeout", or "closed" when all channels are
function M.select(cases)
  local channels, queues = {}, {}
  for i, case in ipairs(cases) do channels[i], queues[i] = case[1], case[1].receivers end
  local _ <close> = want(channels)
  local ok, case, value = attempt(queues, cases.timeout, function()
    local open = false
    for _, candidate in ipairs(cases) do
      local done, taken = take(candidate[1])
      if taken ~= nil then return true, candidate, taken end
      open = open or not done
    end
    return not open
  end)
  if not ok then return nil, core.error("timeout", "no channel had a value in time", true) end
  if not case then return closed() end
  if case[2] then return case[2](value) end
  return value
end

return M
