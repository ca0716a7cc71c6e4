--- Isolates: code with a Lua state, a memory limit, a CPU budget and capabilities of its own.
---
--- The code sees the safe standard functions, the scheduler, iza.json, time, url and template;
--- other fields of iza call the main state, if a capability allows it. Only data crosses; objects
--- stay in the main state and are closed when the call that opened them ends. Each call runs the
--- program afresh, with globals and module locals of its own.
---
--- Calls share one state, which costs about a microsecond each. With limits.memory, or `untrusted`,
--- each call has a state of its own that ran no other code before and runs none after.

local capability = require "iza.capability"
local code = require "iza.code"
local core = require "iza.core.isolate"
local fail = require "iza.fail"
local options = require "iza.options"
local task = require "iza.core.task"
local misuse = require "iza.misuse"

---@class iza.Isolate
---@field hash string the code's version
local Isolate = {}
Isolate.__index = Isolate
Isolate.__name = "isolate"

-- Walks "http.get" from iza.
local function resolve(path)
  local value = _G.iza
  for name in path:gmatch "[^.]+" do value = value[name] end
  return value
end

-- Options of a request that would reach past its host: the machine's files, sockets, trust.
local function check_request(request)
  for _, name in ipairs{"socket", "proxy", "insecure", "ca"} do
    if request[name] ~= nil then
      return fail("denied", "the request option '%s' is not available in an isolate", name)
    end
  end
  for _, part in ipairs(type(request.multipart) == "table" and request.multipart or {}) do
    if type(part) == "table" and part.file then
      return fail("denied", "a file cannot be sent from an isolate; give its bytes as body")
    end
  end
  return true
end

local function no_save()
  return fail("denied", "an isolate cannot save to a file; read the chunks")
end

local function call_http(allowed, path, target, request)
  if type(target) == "table" then request = target end
  request = request or {}
  local ok, err = check_request(request)
  if not ok then return nil, err end
  request.allow = function(url) return allowed:allows(path, url) end -- also where redirects lead
  local response
  response, err = resolve(path)(target, request)
  if type(response) == "table" then response.save = no_save end
  return response, err
end

-- What the isolate's stubs call, in the main state.
local function make_bridge(allowed)
  return function(path, ...)
    local arguments, err = allowed:admit(path, ...)
    if not arguments then return nil, err end
    if path:find "^http%." then return call_http(allowed, path, ...) end
    return resolve(path)(table.unpack(arguments, 1, arguments.n))
  end
end

-- Closes what a call left open, latest first, as <close> would.
local function close_objects(objects, failed)
  local ids = {}
  for id in pairs(objects) do ids[#ids + 1] = id end
  table.sort(ids, function(a, b) return a > b end)
  local why = failed and task.error("failed", "the isolate's call failed") or nil
  for _, id in ipairs(ids) do
    local object = objects[id]
    local ok, err = pcall(debug.getmetatable(object).__close, object, why)
    if not ok then
      _G.iza.log.error("an object an isolate left open did not close", {error = task.report(err)})
    end
  end
end

-- A new state with the program in it.
local function make_state(self)
  local limits = self.limits
  local state = core.new{memory = limits.memory, cpu = limits.cpu, bridge = self.bridge,
    closer = close_objects, once = self.once}
  local snapshot = self.snapshot
  local program, err = state:load(snapshot.source, snapshot.name, snapshot.modules)
  if not program then return nil, err end
  return {state = state, program = program}
end

local fields = {file = "string", source = "string", name = "string", dirs = "table",
  capabilities = "table", root = "string", limits = "table", untrusted = "boolean"}
local limit_fields = {memory = "size", cpu = "duration", time = "duration"}

local function take_snapshot(given)
  if given.source then
    return code.snapshot_of(given.source, given.name or "=isolate", given.dirs)
  end
  return code.snapshot(given.file or misuse "isolate needs file or source", given.dirs)
end

--- Makes an isolate from a file or from source text.
--- Example: `local greeter = iza.isolate{file = "greeter.lua", capabilities =
--- {"http:api.example.com"}}`
---@class iza.IsolateOptions
---@field file? string
---@field source? string instead of a file
---@field name? string chunk name of the source
---@field dirs? string[] where required modules are looked for
---@field capabilities? string[]
---@field root? string what relative folders in capabilities start from
---@field limits? {memory?: integer|string, cpu?: number|string, time?: number|string}
---@field untrusted? boolean a model or a stranger wrote it: each call gets a state of its own
---@param given iza.IsolateOptions
---@return iza.Isolate?
---@return iza.Error? err code "not_found" or "syntax"
local function new(_, given)
  options.check("iza.isolate", "IsolateOptions", given, fields)
  local limits = options.check("iza.isolate: limits", "IsolateOptions", given.limits, limit_fields)
  local snapshot, err = take_snapshot(given)
  if not snapshot then return nil, err end
  local self = setmetatable({snapshot = snapshot, hash = snapshot.hash, limits = limits,
    once = limits.memory ~= nil or given.untrusted == true, calls = {},
    time = limits.time and task.seconds(limits.time),
    bridge = make_bridge(capability.set(given.capabilities or {}, given.root))}, Isolate)
  self.ready, err = make_state(self)
  if not self.ready then return nil, err end
  return self
end

-- The shared state, or one more call's own.
local function enter(self)
  if self.closed then misuse "the isolate is closed" end
  local run = self.ready or assert(make_state(self))
  if self.once then self.ready = nil end
  return run
end

local leaving = {__close = function(entry) entry.calls[entry] = nil end}

local function call(self, name, ...)
  local run = enter(self)
  local entry <close> = setmetatable({calls = self.calls, state = run.state}, leaving)
  self.calls[entry] = true
  return run.state:call(run.program, name, ...)
end

--- Runs the program and calls the function it returned under that name (nil: the value it returned
--- itself). Waits for its end; an error in it is raised here.
--- Example: `print(greeter:call("greet", {name = "Ada"}))`
---@param name? string
---@param ... any data
---@return any ...
function Isolate:call(name, ...)
  if not self.time then return call(self, name, ...) end
  local arguments = table.pack(...)
  local results = table.pack(_G.iza.timeout(self.time, function()
    return table.pack(call(self, name, table.unpack(arguments, 1, arguments.n)))
  end))
  if not results[1] then error(results[2], 0) end
  return table.unpack(results[1], 1, results[1].n)
end

--- Memory in use (bytes) and calls running in it.
--- Example: `greeter:stats().memory`
---@return {memory: integer, running: integer}
function Isolate:stats()
  local states, stats = {}, {memory = 0, running = 0}
  if self.ready then states[self.ready.state] = true end
  for entry in pairs(self.calls) do
    states[entry.state] = true
    stats.running = stats.running + 1
  end
  for state in pairs(states) do stats.memory = stats.memory + state:stats().memory end
  return stats
end

--- Frees it; raises while calls run in it.
function Isolate:close()
  if next(self.calls) then misuse "the isolate still runs a call" end
  if self.ready then self.ready.state:close() end
  self.ready, self.closed = nil, true
end
Isolate.__close = Isolate.close

return setmetatable({}, {__call = new})
