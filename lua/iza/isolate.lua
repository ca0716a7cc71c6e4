--- Isolates: code with a Lua state, a memory limit, a CPU budget and capabilities of its own.
---
--- The code sees the safe standard functions, the scheduler, iza.json, time, url and template;
--- other
--- fields of iza call the main state, if a capability allows it. Only data crosses. Each call runs
--- the
--- program afresh, with globals and module locals of its own.

local capability = require "iza.capability"
local code = require "iza.code"
local core = require "iza.core.isolate"
local fail = require "iza.fail"
local task = require "iza.core.task"

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
local function check_request(options)
  for _, name in ipairs{"socket", "proxy", "insecure", "ca"} do
    if options[name] ~= nil then
      return fail("denied", "the request option '%s' is not available in an isolate", name)
    end
  end
  for _, part in ipairs(type(options.multipart) == "table" and options.multipart or {}) do
    if type(part) == "table" and part.file then
      return fail("denied", "a file cannot be sent from an isolate; give its bytes as body")
    end
  end
  return true
end

local function no_save()
  return fail("denied", "an isolate cannot save to a file; read the chunks")
end

local function call_http(allowed, path, target, options)
  if type(target) == "table" then options = target end
  options = options or {}
  local ok, err = check_request(options)
  if not ok then return nil, err end
  options.allow = function(url) return allowed:allows(path, url) end -- also where redirects lead
  local response
  response, err = resolve(path)(target, options)
  if type(response) == "table" then response.save = no_save end
  return response, err
end

-- What the isolate's stubs call, in the main state.
local function make_bridge(allowed)
  return function(path, ...)
    local ok, err = allowed:allows(path, ...)
    if not ok then return nil, err end
    if path:find "^http%." then return call_http(allowed, path, ...) end
    return resolve(path)(...)
  end
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
---@param options iza.IsolateOptions
---@return iza.Isolate?
---@return iza.Error? err code "not_found" or "syntax"
local function new(_, options)
  local snapshot, err
  if options.source then
    snapshot = code.snapshot_of(options.source, options.name or "=isolate", options.dirs)
  else
    local file = options.file or error("isolate needs file or source", 2)
    snapshot, err = code.snapshot(file, options.dirs)
    if not snapshot then return nil, err end
  end
  local limits = options.limits or {}
  local state = core.new{memory = limits.memory, cpu = limits.cpu,
    bridge = make_bridge(capability.set(options.capabilities or {}, options.root))}
  local program
  program, err = state:load(snapshot.source, snapshot.name, snapshot.modules)
  if not program then return nil, err end
  return setmetatable({state = state, program = program, hash = snapshot.hash,
    time = limits.time and task.seconds(limits.time)}, Isolate)
end

--- Runs the program and calls the function it returned under that name (nil: the value it returned
--- itself). Waits for its end; an error in it is raised here.
--- Example: `print(greeter:call("greet", {name = "Ada"}))`
---@param name? string
---@param ... any data
---@return any ...
function Isolate:call(name, ...)
  if not self.time then return self.state:call(self.program, name, ...) end
  local arguments = table.pack(...)
  local results = table.pack(_G.iza.timeout(self.time, function()
    return table.pack(self.state:call(self.program, name, table.unpack(arguments, 1, arguments.n)))
  end))
  if not results[1] then error(results[2], 0) end
  return table.unpack(results[1], 1, results[1].n)
end

--- Memory in use (bytes) and tasks running in it.
--- Example: `greeter:stats().memory`
---@return {memory: integer, running: integer}
function Isolate:stats() return self.state:stats() end

--- Frees it; raises while calls run in it.
function Isolate:close() self.state:close() end
Isolate.__close = Isolate.close

return setmetatable({}, {__call = new})
