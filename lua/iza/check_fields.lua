--- What `iza check` knows of fields: those of `iza` and its modules, of Lua's own libraries, and of
--- modules of the project that return a plain table. Where a table's fields cannot be known for
--- sure (a metatable, computed keys, the table handed to somebody else) nothing is said.
local doc = require "iza.doc"
local lexer = require "iza.lexer"
local nearest = require "iza.nearest"

local check_fields = {}

local libraries = {coroutine = coroutine, debug = debug, io = io, math = math, os = os,
  package = package, string = string, table = table, utf8 = utf8}

-- ---- plain modules ----

local function is(token, text)
  return token ~= nil and token.text == text
    and (token.kind == "symbol" or token.kind == "keyword")
end

local opens = {["{"] = true, ["("] = true, ["["] = true, ["function"] = true, ["do"] = true,
  ["if"] = true, ["repeat"] = true}
local closes = {["}"] = true, [")"] = true, ["]"] = true, ["end"] = true, ["until"] = true}

-- Adds the names of the constructor whose "{" is at i; returns the index of its "}", or nil when
-- it has computed keys.
local function take_constructor(tokens, i, fields)
  local depth = 0
  for at = i, #tokens do
    local token, before = tokens[at], tokens[at - 1]
    local code = token.kind == "symbol" or token.kind == "keyword"
    local begins = depth == 1 and (is(before, "{") or is(before, ",") or is(before, ";"))
    if begins and is(token, "[") then return nil end
    if begins and token.kind == "name" and is(tokens[at + 1], "=") then
      fields[token.text] = true
    end
    if code and opens[token.text] then depth = depth + 1 end
    if code and closes[token.text] then depth = depth - 1 end
    if depth == 0 then return at end
  end
end

-- The fields of the local table `name` that a module returns; nil when they cannot be known.
local function fields_of_local(tokens, name)
  local fields, made = {}, false
  for i, token in ipairs(tokens) do
    if token.kind == "name" and token.text == name then
      local before, after = tokens[i - 1], tokens[i + 1]
      if is(before, "local") and is(after, "=") and is(tokens[i + 2], "{") and not made then
        made = true
        if not take_constructor(tokens, i + 2, fields) then return nil end
      elseif is(after, ".") or is(after, ":") then
        fields[tokens[i + 2].text] = true
      elseif not (is(before, "return") and tokens[i + 1].kind == "end")
        and not is(before, ".") and not is(before, ":") then
        return nil
      end
    end
  end
  return made and fields or nil
end

--- The fields of the table that a module's source returns; nil when it is not plain.
--- Example: `check_fields.of_source("local M = {} function M.f() end return M").f`
---@param source string valid Lua
---@return table<string, true>?
function check_fields.of_source(source)
  local tokens = lexer.tokens(source)
  local last = #tokens - 1 -- before the end
  if last >= 2 and tokens[last].kind == "name" and is(tokens[last - 1], "return") then
    return fields_of_local(tokens, tokens[last].text)
  end
  for i = last, 1, -1 do
    if is(tokens[i], "return") and is(tokens[i + 1], "{") then
      local fields = {}
      if take_constructor(tokens, i + 1, fields) == last then return fields end
    end
  end
end

-- ---- looking a name up ----

local function keys_of(t)
  local names = {}
  for key in pairs(t) do
    if type(key) == "string" then names[#names + 1] = key end
  end
  table.sort(names)
  return names
end

local function read_module(name, file)
  local here = file:match "^(.*)/[^/]*$" or "."
  local path = package.searchpath(name, here .. "/?.lua;" .. here .. "/?/init.lua;" .. package.path)
  local f = path and io.open(path, "rb")
  if not f then return nil end
  local source = f:read "a"
  f:close()
  source = source and source:gsub("^\xEF\xBB\xBF", ""):gsub("^#[^\n]*", "")
  return source and load(source, "=?", "t") and source
end

local function unknown(what, field, names)
  local guess = nearest(field, names)
  return ("%s has no field '%s'%s"):format(what, field,
    guess and "; did you mean '" .. guess .. "'?" or ""), guess
end

-- The value of a field behind whatever metatable; ok is false when it cannot be had.
local function get(value, name)
  return pcall(function() return value[name] end)
end

-- A field of a module of iza; nil says nothing is wrong or known.
local function in_module(path, value, field)
  if type(value) ~= "table" then return nil end
  local ok, found = get(value, field)
  if not ok or found ~= nil then return nil end
  local names = doc.names(path)
  table.move(keys_of(value), 1, #keys_of(value), #names + 1, names)
  return (unknown("iza." .. path, field, names))
end

local function in_iza(first, second)
  local iza = _G.iza
  local ok, value = get(iza, first)
  if not ok or value == nil then
    local names = keys_of(iza)
    for _, name in ipairs(doc.members()) do names[#names + 1] = name end
    return (unknown("iza", first, names)), 1
  end
  return second and in_module(first, value, second), 2
end

local function in_library(name, field, alone)
  local library = libraries[name]
  if library[field] ~= nil then return nil end
  local message, guess = unknown(name, field, keys_of(library))
  return (alone or guess) and message or nil -- another file may have added a function
end

local function in_required(module, field, file)
  local own = module:match "^iza%.([%w_.]+)$"
  if own then
    local ok, value = pcall(require, module)
    return ok and in_module(own, value, field) or nil
  end
  local source = read_module(module, file)
  local fields = source and check_fields.of_source(source)
  if not fields or fields[field] then return nil end
  return (unknown(("module '%s'"):format(module), field, keys_of(fields)))
end

---@class iza.FieldUse
---@field name string of the global or local
---@field fields table[] tokens of the names behind it
---@field entry? {module: string?} of a local
---@field assigned? boolean the field is assigned to
---@field used? boolean the last of them is called or indexed, not just looked at

--- What is wrong with the uses of fields in one file.
---@param file string
---@param uses iza.FieldUse[]
---@param alone boolean no other file of the program may have added fields to Lua's libraries
---@return {token: table, message: string}[]
function check_fields.findings(file, uses, alone)
  local found, added = {}, {}
  for _, use in ipairs(uses) do
    local path = use.name .. "." .. use.fields[1].text
    local tested = not use.used and #use.fields == 1 -- as in `if string.trim then`
    if use.assigned or tested then added[path] = true end
    if not use.used and use.fields[2] then added[path .. "." .. use.fields[2].text] = true end
  end
  for _, use in ipairs(uses) do
    local first, second = use.fields[1], use.fields[2]
    local message, at
    if added[use.name .. "." .. first.text] then
      message = nil
    elseif use.entry then
      if use.entry.module then message = in_required(use.entry.module, first.text, file) end
    elseif use.name == "iza" then
      local whole = second and use.name .. "." .. first.text .. "." .. second.text
      local tested = whole and added[whole]
      message, at = in_iza(first.text, second and not tested and second.text or nil)
    elseif libraries[use.name] then
      message = in_library(use.name, first.text, alone)
    end
    if message then found[#found + 1] = {token = at == 2 and second or first, message = message} end
  end
  return found
end

return check_fields
