--- Hot reload: a file's value that follows its edits while the program serves.
---
--- A changed file is compiled and run aside. If that fails, the old value serves on and the error
--- is shown with its line; else the new value takes over at once: new work takes it, work that runs
--- keeps the functions it holds. State that must survive is named with iza.hot{name=, keep=}.

local task = require "iza.core.task"
local fail = require "iza.fail"
local misuse = require "iza.misuse"

local hot = {}

---@class iza.HotFile
---@field path string
---@field value any what the file returned, as of its last good version
---@field version integer 1, then one more a reload
---@field error? iza.Error why the last edit is not live
local File = {}
File.__index = File
File.__name = "hot file"
File.__call = function(self) return self.value end

local living = {} -- name -> {keep, dispose, accept}: the registrations of the code that serves
local staged = {} -- coroutine -> registrations of a file that is being loaded in it

-- The registrations of the load that runs in this task, if one does.
local function current_stage() return staged[task.current()] end

local function register(_, registration)
  local name = registration.name or misuse "iza.hot needs a name"
  local old = living[name]
  local entry = {keep = old and old.keep or registration.keep, dispose = registration.dispose,
    accept = registration.accept}
  if entry.keep == nil then entry.keep = {} end
  local stage = current_stage()
  if stage then
    stage[name] = entry
  else
    if old and old.dispose then old.dispose(old.keep) end
    living[name] = entry
    if old and entry.accept then entry.accept(old.keep) end
  end
  return entry.keep
end

local function failed(what, self, err)
  _G.iza.log.error(what, {file = self.path, error = task.report(err)})
end

-- New code accepts the state while the old still serves: if it cannot, nothing has changed yet.
local function accept(stage)
  for name, entry in pairs(stage) do
    local old = living[name]
    if old and entry.accept then entry.accept(old.keep) end
  end
end

local function commit(self, stage)
  for name, entry in pairs(stage) do
    local old = living[name]
    living[name] = entry
    if old and old.dispose then
      local ok, err = pcall(old.dispose, old.keep)
      if not ok then failed("dispose of the replaced version failed", self, err) end
    end
  end
end

local function load_aside(self)
  local chunk, syntax = loadfile(self.path, "t")
  if not chunk then error(task.error("syntax", syntax), 0) end
  local stage, me = {}, task.current()
  staged[me] = stage
  local _ <close> = setmetatable({}, {__close = function() staged[me] = nil end})
  local value = chunk(self.path)
  if self.check then self.check(value) end
  accept(stage)
  return value, stage
end

--- Loads the file again now, as an edit would.
--- Example: `local ok, err = rules:reload()`
---@return true? ok
---@return iza.Error? err the old value serves on
function File:reload()
  local runner = task.spawn(function() return load_aside(self) end)
  local ok, value, stage = pcall(runner.join, runner)
  if not ok then
    self.error = value
    return nil, value
  end
  commit(self, stage)
  self.value, self.error = value, nil
  self.version = self.version + 1
  if self.on_change then
    ok, value = pcall(self.on_change, value)
    if not ok then failed("on_change failed", self, value) end
  end
  return true
end

--- A function that calls the named function of the file's present value: a route, a handler.
--- Example: `routes = {["GET /"] = pages:fn "index"}`
---@param name string
---@return fun(...): any
function File:fn(name)
  return function(...)
    local f = self.value[name]
    if not f then misuse("%s has no function '%s'", self.path, name) end
    return f(...)
  end
end

-- An edit that failed is told to on_error, else logged.
local function tell(self, err)
  if not self.on_error then
    return failed("edit not taken, the old version serves on", self, err)
  end
  local ok, problem = pcall(self.on_error, err)
  if not ok then failed("on_error failed", self, problem) end
end

-- A file that is removed stays as it was last; a moved editor's save is an event like any other.
local function follow(self, watch)
  local _ <close> = watch
  for event in watch do
    local ok, err = true, nil
    if event.kind ~= "removed" then ok, err = self:reload() end
    if not ok then tell(self, err) end
  end
end

--- Loads a Lua file and follows its edits.
--- Example: `local rules = iza.hot.file "rules.lua"; print(rules.value.minimum)`
---@param path string
---@class iza.HotOptions
---@field check? fun(value: any) raises on a value it refuses
---@field on_change? fun(value: any)
---@field on_error? fun(err: any) told of an edit that is not taken; default: it is logged
---@field watch? boolean false: only reload() takes edits
---@param options? iza.HotOptions
---@return iza.HotFile?
---@return iza.Error? err the first load failed, or the file cannot be watched
function hot.file(path, options)
  options = options or {}
  local self = setmetatable({path = path, version = 0, check = options.check,
    on_change = options.on_change, on_error = options.on_error}, File)
  local watch
  if options.watch ~= false then -- before the first load, so that no edit falls between
    local why
    watch, why = _G.iza.fs.watch(path)
    if not watch then return nil, why end
  end
  local ok, err = self:reload()
  if not ok then
    if watch then watch:close() end
    return fail(err.code or "error", "%s", task.report(err))
  end
  if watch then self.follower = task.daemon(follow, self, watch) end
  return self
end

--- Ends the following; the value stays.
function File:close()
  if self.follower then self.follower:cancel() end
end
File.__close = File.close

--- iza.hot{name=, keep=, dispose=, accept=} inside a hot file: names a table that outlives its
--- versions. `keep` is used the first time; later versions get the kept one. dispose(state) runs
--- when the version is replaced, accept(state) of a new version before it takes over.
--- Example: `local seen = iza.hot{name = "greeter.seen", keep = {}}`
return setmetatable(hot, {__call = register})
