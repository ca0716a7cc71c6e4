--- Hot reload: a file's value that follows its edits while the program serves.
---
--- A changed file is compiled and run aside, with a CPU budget. If that fails, the old value serves
--- on and the error is shown with its line; else the new value takes over at once: new work takes
--- it, work that runs keeps the functions it holds. State that must survive is named with
--- iza.hot{name=, keep=}.
---
--- What the file requires by constant names counts as part of it: an edit there is an edit of the
--- file. Of the modules only those that changed, and those that require them, are loaded again.

local code = require "iza.code"
local task = require "iza.core.task"
local fail = require "iza.fail"
local misuse = require "iza.misuse"

local LOAD_CPU, LOAD_TIME = "2s", "30s" -- what running a file aside may take

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

-- New code accepts the state while the old still serves. An accept that raises keeps the new
-- version out; what it did to the state by then stays done.
local function accept(stage)
  for name, entry in pairs(stage) do
    local old = living[name]
    if old and entry.accept then entry.accept(old.keep) end
  end
end

local function dispose(self, entry)
  if not entry.dispose then return end
  local ok, err = pcall(entry.dispose, entry.keep)
  if not ok then failed("dispose of the replaced version failed", self, err) end
end

-- The new registrations live; those they replace, and those the file no longer makes, are disposed.
local function commit(self, stage)
  local replaced = {}
  for name in pairs(self.stage or {}) do
    replaced[name], living[name] = living[name], nil
  end
  for name, entry in pairs(stage) do
    replaced[name] = replaced[name] or living[name]
    living[name] = entry
  end
  self.stage = stage
  for _, entry in pairs(replaced) do dispose(self, entry) end
end

-- ---- the modules a file needs ----

-- The source and chunk name of a module, found as `require` finds it.
local function find_module(name)
  local path = package.searchpath(name, package.path)
  local text = path and _G.iza.fs.read(path)
  return text or nil, path and "@" .. path
end

local function any_in(list, set)
  for _, name in ipairs(list) do
    if set[name] then return true end
  end
  return false
end

-- The names whose text is another than when this file was loaded last, and of those that need them.
local function find_stale(needed, before)
  local stale, again = {}, true
  for name, module in pairs(needed) do
    stale[name] = before[name] and before[name][1] ~= module[1] or nil
  end
  while again do
    again = false
    for name, module in pairs(needed) do
      if not stale[name] and any_in(module.requires, stale) then stale[name], again = true, true end
    end
  end
  return stale
end

-- Takes the stale modules out, so that the load requires them anew; returns how to put them back.
local function unload(stale)
  local kept = {}
  for name in pairs(stale) do kept[name], package.loaded[name] = package.loaded[name], nil end
  return function()
    for name, value in pairs(kept) do package.loaded[name] = value end
  end
end

-- ---- loading ----

local function load_aside(self, source)
  local chunk, syntax = load(source, "@" .. self.path, "t")
  if not chunk then error(task.error("syntax", syntax), 0) end
  local stage, me = {}, task.current()
  staged[me] = stage
  local _ <close> = setmetatable({}, {__close = function() staged[me] = nil end})
  local value = chunk(self.path)
  if value == nil then error(self.path .. " returned nothing; it must end in `return`", 0) end
  if self.check then self.check(value) end
  accept(stage)
  return value, stage
end

-- Runs the file in a task with a budget; raises what went wrong.
local function run_aside(self, source)
  local runner = task.bounded(LOAD_CPU, function() return load_aside(self, source) end)
  local value, stage = runner:join(LOAD_TIME)
  if value == nil then
    runner:cancel()
    error(stage, 0)
  end
  return value, stage
end

-- As loadfile takes a file: without a byte order mark, a first line with # empty.
local function plain_source(source)
  return (source:gsub("^\xEF\xBB\xBF", ""):gsub("^#[^\n]*", ""))
end

local function load_version(self)
  local source, err = _G.iza.fs.read(self.path)
  if not source then error(err, 0) end
  local needed = code.modules(source, find_module)
  local restore = unload(find_stale(needed, self.needed))
  local ok, value, stage = pcall(run_aside, self, plain_source(source))
  if not ok then
    restore()
    error(value, 0)
  end
  self.needed = needed
  return value, stage
end

local watch_needed

--- Loads the file again now, as an edit would.
--- Example: `local ok, err = rules:reload()`
---@return true? ok
---@return iza.Error? err the old value serves on
function File:reload()
  local ok, value, stage = pcall(load_version, self)
  if not ok then
    if task.cancelled() then error(value, 0) end
    self.error = value
    return nil, value
  end
  commit(self, stage)
  self.value, self.error = value, nil
  self.version = self.version + 1
  if self.followers then watch_needed(self) end
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

-- A module that cannot be watched is told of and left; the file itself is watched.
function watch_needed(self)
  for _, module in pairs(self.needed) do
    local path = module[2]:sub(2) -- without "@"
    if not self.followers[path] then
      local watch, err = _G.iza.fs.watch(path)
      if watch then
        self.followers[path] = task.daemon(follow, self, watch)
      else
        failed("a required module is not followed", self, err)
      end
    end
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
    on_change = options.on_change, on_error = options.on_error, needed = {}}, File)
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
  if watch then
    self.followers = {[path] = task.daemon(follow, self, watch)}
    watch_needed(self)
  end
  return self
end

--- Ends the following; the value stays.
function File:close()
  for _, follower in pairs(self.followers or {}) do follower:cancel() end
  self.followers = nil
end
File.__close = File.close

--- iza.hot{name=, keep=, dispose=, accept=} inside a hot file: names a table that outlives its
--- versions. `keep` is used the first time; later versions get the kept one. dispose(state) runs
--- when the version is replaced, accept(state) of a new version before it takes over.
--- Example: `local seen = iza.hot{name = "greeter.seen", keep = {}}`
return setmetatable(hot, {__call = register})
