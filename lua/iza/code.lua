--- Code versions: a file and every project module it may require, named by the hash of their bytes.
---
--- A snapshot is what an isolate runs and what a workflow will pin: the source as it stood, not the
--- path. The modules are those named in `require "name"` with a constant string, found in the
--- project's lua/ or in the program's own (never in lua/iza/, the library), and what these require.

local crypto = require "iza.crypto"
local fail = require "iza.fail"

local code = {}

---@class iza.Snapshot
---@field hash string SHA-256 over the manifest, hex
---@field name string chunk name, "@path"
---@field source string
---@field modules table<string, {[1]: string, [2]: string}> module name -> {source, chunk name}

-- Through the pool: a path may be a pipe that nobody writes.
local function read_file(path) return (_G.iza.fs.read(path)) end

-- Where the scanner stands behind a long bracket that opens at i, or nil when none does.
local function skip_long(source, i)
  local level = source:match("^%[(=*)%[", i)
  if not level then return nil end
  local _, stop = source:find("]" .. level .. "]", i, true)
  return stop and stop + 1 or #source + 1
end

local function skip_comment(source, i)
  return skip_long(source, i + 2) or source:find("\n", i, true) or #source + 1
end

-- The text of the quoted string at i and the place behind it; an escape makes the text nil.
local function read_string(source, i)
  local quote, at = source:sub(i, i), i + 1
  while true do
    local stop = source:find("[\\\n" .. quote .. "]", at)
    if not stop then return nil, #source + 1 end
    local c = source:sub(stop, stop)
    if c ~= "\\" then
      local text = source:sub(i + 1, stop - 1)
      return not text:find("\\", 1, true) and text or nil, stop + 1
    end
    at = stop + 2
  end
end

-- The place of the next character that is neither blank nor comment.
local function skip_blank(source, i)
  while true do
    i = source:find("%S", i) or #source + 1
    if not source:find("^%-%-", i) then return i end
    i = skip_comment(source, i)
  end
end

-- The constant name after the word `require`, as in require "a", require("a"), require[[a]] and
-- pcall(require, "a"), and the place behind it; only the place when there is none.
local function read_name(source, i)
  i = skip_blank(source, i)
  if source:find("^[(,]", i) then i = skip_blank(source, i + 1) end
  if source:find("^[\"']", i) then return read_string(source, i) end
  local stop = skip_long(source, i)
  if stop then return source:sub(i, stop - 1):match "^%[=*%[\n?(.*)%]=*%]$", stop end
  return nil, i
end

--- Lists the module names a source requires by constant strings, in order of appearance.
--- Example: `code.requires(source)[1]`
---@param source string
---@return string[]
function code.requires(source)
  local names, i = {}, 1
  while i <= #source do
    local stop = source:find("[%a_\"'%[%-]", i)
    if not stop then break end
    local word = source:match("^[%a_][%w_]*", stop)
    if word then
      i = stop + #word
      if word == "require" then
        local name
        name, i = read_name(source, i)
        names[#names + 1] = name
      end
    elseif source:find("^%-%-", stop) then
      i = skip_comment(source, stop)
    elseif source:find("^[\"']", stop) then
      i = select(2, read_string(source, stop))
    else
      i = skip_long(source, stop) or stop + 1
    end
  end
  return names
end

--- Is this module the library's own, which no snapshot holds?
--- Example: `code.is_library "iza.json" --> true`
---@param name string
---@return boolean
function code.is_library(name) return name == "iza" or name:find("^iza%.") ~= nil end

-- A module's source and chunk name: from the folders given, then from the program itself.
local function find_module(name, dirs)
  local path = name:gsub("%.", "/")
  for _, dir in ipairs(dirs) do
    for _, tail in ipairs{".lua", "/init.lua"} do
      local file = dir .. "/" .. path .. tail
      local source = read_file(file)
      if source then return source, "@" .. file end
    end
  end
end

local function add_modules(source, find, modules)
  local names = code.requires(source)
  for _, name in ipairs(names) do
    if not modules[name] and not code.is_library(name) then
      local found, chunk = find(name)
      if found then
        local module = {found, chunk}
        modules[name] = module
        module.requires = add_modules(found, find, modules)
      end
    end
  end
  return names
end

--- All modules a source may require, and what these require.
--- Example: `code.modules(source, function(name) return texts[name], "@" .. name end)`
---@param source string
---@param find fun(name: string): string?, string? the source and chunk name of a module
---@return table<string, {[1]: string, [2]: string, requires: string[]}>
function code.modules(source, find)
  local modules = {}
  add_modules(source, find, modules)
  return modules
end

local function manifest_hash(snapshot)
  local names, lines = {}, {"program " .. crypto.hash("sha256", snapshot.source)}
  for name in pairs(snapshot.modules) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    lines[#lines + 1] = name .. " " .. crypto.hash("sha256", snapshot.modules[name][1])
  end
  return crypto.hash("sha256", table.concat(lines, "\n"))
end

--- Takes a snapshot of source text.
--- Example: `local snapshot = code.snapshot_of("return 1", "@one.lua", {"lua"})`
---@param source string
---@param name string chunk name
---@param dirs? string[] where required modules are looked for
---@return iza.Snapshot
function code.snapshot_of(source, name, dirs)
  local function find(module) return find_module(module, dirs or {}) end
  local snapshot = {source = source, name = name, modules = code.modules(source, find)}
  snapshot.hash = manifest_hash(snapshot)
  return snapshot
end

--- Takes a snapshot of a file and of the modules it may require: those beside it, then those in
--- dirs.
--- Example: `local snapshot, err = code.snapshot("lua/agents/greeter.lua", {"lua"})`
---@param path string
---@param dirs? string[]
---@return iza.Snapshot?
---@return iza.Error? err code "not_found"
function code.snapshot(path, dirs)
  local source = read_file(path)
  if not source then return fail("not_found", "cannot read '%s'", path) end
  local places = {path:match "^(.*)/[^/]*$" or "."}
  for _, dir in ipairs(dirs or {}) do places[#places + 1] = dir end
  return code.snapshot_of(source, "@" .. path, places)
end

return code
