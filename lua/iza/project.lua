--- The project a program belongs to: its root, its settings, its data directory.
---
--- A project is a folder with iza.lua, which returns a table of settings. Outside a project the
--- settings come from the user's config file, and the data lies in the user's data directory.
---
--- Every script of a project loads this file before its first line: it requires what it needs for
--- an error only when there is one.
local core = require "iza.core.project"
local host = require "iza.core.host"

local project = {
  root = core.root, ---@type string? absolute path; nil outside a project
  settings = core.settings or {}, ---@type iza.Settings
  problem = nil, ---@type iza.Error? what is wrong with the settings, once project.load() met it
}

---@class iza.Settings
---@field name? string what the project is called
---@field develop? boolean its lua/iza replaces the embedded one (a checkout of iza)
---@field data? string the data directory, relative to the root; default "data"
---@field host? string where `iza start` listens; default "127.0.0.1"
---@field port? integer and on which port; default 8321
local types = {name = "string", develop = "boolean", data = "string", host = "string",
  port = "integer"}

local function fail(...) return require "iza.fail"("invalid", ...) end

-- "; did you mean 'print'?", or nothing.
local function guess(name, known)
  local near = require("iza.nearest")(name, known)
  return near and "; did you mean '" .. near .. "'?" or ""
end

-- ---- settings ----

local function read_all(path)
  local f, why = io.open(path, "rb")
  if not f then return nil, why end
  local text = f:read "a"
  f:close()
  return text
end

-- Where a key stands in the file, as "file:line".
local function place(path, key)
  local tokens = require("iza.lexer").tokens(read_all(path) or "")
  for i, token in ipairs(tokens) do
    local name = token.kind == "string" and token.text:sub(2, -2) or token.text
    local after = tokens[i + 1] and tokens[i + 1].text
    if name == key and (after == "=" or after == "]") then return path .. ":" .. token.line end
  end
  return path
end

local function keys_of(t)
  local keys = {}
  for key in pairs(t) do
    if type(key) == "string" then keys[#keys + 1] = key end
  end
  table.sort(keys)
  return keys
end

local function check_key(path, key, value)
  local want = types[key]
  if not want then
    local known = keys_of(types)
    return fail("%s: there is no setting '%s'%s (settings: %s)", place(path, key), tostring(key),
      type(key) == "string" and guess(key, known) or "", table.concat(known, ", "))
  end
  local is = math.type(value) == "integer" and "integer" or type(value)
  if is ~= want then
    return fail("%s: the setting '%s' wants %s %s, not %s", place(path, key), key,
      want == "integer" and "an" or "a", want,
      is == "string" and ("'" .. value .. "'") or is)
  end
  return true
end

--- Checks a table of settings.
--- Example: `project.check("iza.lua", {prot = 80})` --> nil, "... did you mean 'port'?"
---@param path string the file they stand in
---@param settings table
---@return true? ok
---@return iza.Error? err code "invalid"; the message has the file and the line
function project.check(path, settings)
  local keys = {}
  for key in pairs(settings) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  for _, key in ipairs(keys) do
    local ok, err = check_key(path, key, settings[key])
    if not ok then return nil, err end
  end
  if settings.port and (settings.port < 0 or settings.port > 65535) then
    return fail("%s: the setting 'port' wants 0 to 65535, not %d", place(path, "port"),
      settings.port)
  end
  return true
end

local function home() return os.getenv "HOME" or "/" end

local function xdg(variable, default)
  local dir = os.getenv(variable)
  return (dir and dir:sub(1, 1) == "/" and dir or home() .. "/" .. default) .. "/iza"
end

--- The user's config file, used outside of projects: returns settings as iza.lua does.
---@return string path
function project.config_file() return xdg("XDG_CONFIG_HOME", ".config") .. "/config.lua" end

-- The settings of the config file, or nil, err.
local function user_settings()
  local path = project.config_file()
  local text = read_all(path)
  if not text then return {} end
  local chunk, why = load(text, "@" .. path, "t", {})
  if not chunk then return fail("%s", why) end
  local ran, settings = pcall(chunk)
  if not ran then return fail("%s", tostring(settings)) end
  if type(settings) ~= "table" then
    return fail("%s: it must return a table of settings", path)
  end
  local ok, err = project.check(path, settings)
  if not ok then return nil, err end
  return settings
end

--- Reads the settings for a verb. When they are wrong it goes on without any, so that verbs that
--- show or mend them can run; `project.problem` keeps what is wrong.
---@return true? ok
---@return iza.Error? err code "invalid"; the message has the file and the line
function project.load()
  local problem, err = core.problem(), nil
  if problem ~= nil then
    err = select(2, fail("%s", tostring(problem)))
  elseif not project.root then
    project.user, err = user_settings()
  end
  if not err then return true end
  project.settings, project.user, project.problem = {}, {}, err
  return nil, err
end

--- One setting, of the project or else of the user's config file.
--- Example: `project.setting("port") or 8321`
---@param key string
---@return any
function project.setting(key)
  if not project.root and not project.user then
    local settings, err = user_settings()
    if not settings then error(err, 0) end
    project.user = settings
  end
  return (project.user or project.settings)[key]
end

-- ---- the data directory ----

local chosen

--- Chooses the data directory for this program (what `--data DIR` does).
---@param dir string
function project.use_data(dir) chosen = dir end

local function absolute(dir, base)
  if dir:sub(1, 1) == "/" then return dir end
  return base .. "/" .. dir
end

local function of_user(set)
  return set and absolute(set, home()) or xdg("XDG_DATA_HOME", ".local/share")
end

-- What --data or IZA_DATA say.
local function named()
  local dir = chosen or os.getenv "IZA_DATA"
  if not dir or dir == "" then return nil end
  return absolute(dir:gsub("(.)/+$", "%1"), host.cwd() or "/")
end

--- The data directory: `--data`, IZA_DATA, the setting `data`, the project's data/, or the user's
--- ($XDG_DATA_HOME/iza). It may not exist yet.
--- Example: `local file = project.data_dir() .. "/token"`
---@return string dir absolute
function project.data_dir()
  local dir = named()
  if dir then return dir end
  local set = project.setting "data"
  return project.root and absolute(set or "data", project.root) or of_user(set)
end

--- The data directory of the user, whatever project we are in: `--data`, IZA_DATA, or what holds
--- outside of projects (without the config file, if that is broken).
---@return string dir absolute
function project.user_data_dir()
  return named() or of_user((project.user or user_settings() or {}).data)
end

-- ---- strict globals ----

-- Whether a chunk is the project's own code, by the name of its source; typed is for entries of the
-- REPL, which may make globals but not read what does not exist.
local function is_own(cache, cwd, source, typed)
  if typed and source:find "^=entry %d" then return true end
  local own = cache[source]
  if own == nil then
    local path = source:match "^@(.*)"
    if path and path:sub(1, 1) ~= "/" then path = cwd .. "/" .. path:gsub("^%./", "") end
    own = path ~= nil and path:sub(1, #project.root + 1) == project.root .. "/"
      and path:sub(#project.root + 1, #project.root + 7) ~= "/rocks/"
    cache[source] = own
  end
  return own
end

--- Makes the project's code raise when it reads or assigns a global that does not exist. Modules
--- from elsewhere stay plain Lua. `rawset(_G, name, value)` makes a global on purpose.
function project.strict()
  local cache, cwd = {}, host.cwd() or "/"
  local function refused(name, reading)
    local info = debug.getinfo(3, "S")
    return type(name) == "string" and info and info.what ~= "C"
      and is_own(cache, cwd, info.source, reading)
  end
  setmetatable(_G, {
    __index = function(_, name)
      if not refused(name, true) then return nil end
      error(("there is no global '%s'%s"):format(name, guess(name, keys_of(_G))), 2)
    end,
    __newindex = function(_, name, value)
      if refused(name) then
        error(("assigning the global '%s', which does not exist; make it local, or on purpose: "
          .. "rawset(_G, \"%s\", value)"):format(name, name), 2)
      end
      rawset(_G, name, value)
    end,
  })
end

--- Checks the settings of the project and makes its globals strict. Called once, at the start.
function project.open()
  local ok, err = project.check(project.root .. "/iza.lua", project.settings)
  if not ok then error(err, 0) end
  project.strict()
end

return project
