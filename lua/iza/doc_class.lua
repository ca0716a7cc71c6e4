--- The classes of the library, read from its sources: the fields that LuaLS `@field` lines
--- describe, option tables among them. Used by iza.doc.
local page = require "iza.page"
local sources = require "iza.sources"

local doc_class = {}

---@class iza.DocClass
---@field name string as written: "iza.http.Options"
---@field path string of its source
---@field var? string the local that its methods are functions of
---@field fields {[1]: string, [2]: string}[] name, and type with comment

local function short(name) return (name:lower():gsub("^iza%.", "")) end

-- One line of a source, given to the reader's state.
local function take(state, line, path)
  local name = line:match "^%-%-%-@class%s+([%w_.]+)"
  if name then
    state.class = {name = name, path = path, fields = {}}
    state.found[#state.found + 1] = state.class
    return
  end
  local class = state.class
  if not class then return end
  local field, rest = line:match "^%-%-%-@field (%S+) (.*)$"
  local more = line:match "^%-%-%- ?([^@].*)$"
  if field then
    class.fields[#class.fields + 1] = {field, rest}
  elseif more and class.fields[1] then
    local last = class.fields[#class.fields]
    last[2] = last[2] .. " " .. more
  elseif not more then
    class.var = line:match "^local ([%w_]+) ="
    state.class = nil
  end
end

local all

--- All classes, by short name in small letters: "http.options", "channel".
---@return table<string, iza.DocClass>
function doc_class.all()
  if all then return all end
  local state = {found = {}}
  for _, path in ipairs(sources.list "lua/iza/") do
    local source = path:find "%.lua$" and sources.read(path) or ""
    for line in (source .. "\n"):gmatch "(.-)\n" do take(state, line, path) end
    state.class = nil
  end
  all = {}
  for _, class in ipairs(state.found) do
    local key = short(class.name)
    -- A class may be declared where it is returned and again where its methods are.
    if not all[key] or #class.fields > #all[key].fields then all[key] = class end
  end
  return all
end

--- A class by its name, whole or without "iza.", letters in any case.
--- Example: `doc_class.find("ServerOptions").fields[1][1]`
---@param name string
---@return iza.DocClass?
function doc_class.find(name) return doc_class.all()[short(name)] end

--- The lines that list its fields.
---@param class iza.DocClass
---@return string[]
function doc_class.lines(class)
  local out = {}
  for _, field in ipairs(class.fields) do
    page.add(out, "  ", ("%s: %s"):format(field[1], field[2]), page.width(), "      ")
  end
  return out
end

--- The tables of options that a source describes.
---@param path string "lua/iza/exec.lua"
---@return iza.DocClass[]
function doc_class.options_in(path)
  local found = {}
  for _, class in pairs(doc_class.all()) do
    if class.path == path and class.name:find "Options$" then found[#found + 1] = class end
  end
  table.sort(found, function(a, b) return a.name < b.name end)
  return found
end

--- The classes that a type names: "iza.ServerOptions?" and the like.
---@param text string a type, with what follows it
---@return iza.DocClass[]
function doc_class.named(text)
  local found = {}
  for name in text:gmatch "iza%.[%w_.]+" do
    local class = doc_class.find((name:gsub("%.$", "")))
    if class and class.name ~= "iza.Error" then found[#found + 1] = class end
  end
  return found
end

return doc_class
