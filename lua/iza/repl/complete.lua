--- Completion: what may stand at the cursor.
---
--- Names are read raw, from tables and from __index tables. An __index function is called only to
--- follow a chain (a.b.c), in a task with a limit of CPU and time, so that neither a slow nor an
--- endless one holds the prompt up. Tables are looked at for a moment; when that is not enough, it
--- is said.
local clock = require "iza.core.clock"
local doc = require "iza.doc"
local embedded = require "iza.core.embedded"
local fs = require "iza.fs"
local scheduler = require "iza.core.task"

local LOOK = 0.2 -- seconds to look at the fields of a value
local NAMES = 10000 -- found in it
local CPU, SECONDS = "50ms", 0.3 -- and time that following a chain may take

local complete = {}

-- ---- what has fields ----

-- The tables that a look-up in value may reach, nearest first, and the __index function if it ends
-- in one. Methods of a C class stand in a table upvalue of its __index.
local function layers(value)
  local found = {}
  for _ = 1, 16 do
    if type(value) == "table" then found[#found + 1] = value end
    local meta = debug.getmetatable(value)
    local index = meta and rawget(meta, "__index")
    if type(index) == "function" then
      local _, methods = debug.getupvalue(index, 1)
      if debug.getinfo(index, "S").what == "C" and type(methods) == "table" then
        found[#found + 1] = methods
      end
      return found, index
    end
    if index == nil then return found end
    value = index
  end
  return found
end

local function field(value, name)
  local tables, index = layers(value)
  for _, t in ipairs(tables) do
    local v = rawget(t, name)
    if v ~= nil then return v end
  end
  if index then return index(value, name) end
end

local function first_value(session, name)
  local value, known = session:get(name)
  if known then return value end
  return field(_G, name)
end

-- The value of "a.b.c"; nil when it has none or takes too long.
local function resolve(session, chain)
  local names = {}
  for name in chain:gmatch "[%a_][%w_]*" do names[#names + 1] = name end
  local task = scheduler.bounded(CPU, function()
    local value = first_value(session, names[1])
    for i = 2, #names do
      if value == nil then return nil end
      value = field(value, names[i])
    end
    return value
  end)
  local ok, value = pcall(task.join, task, SECONDS)
  task:cancel()
  return ok and value or nil
end

-- ---- candidates ----

local function begins(name, prefix) return name:sub(1, #prefix) == prefix end

-- What `iza` offers, and what else has been put into it, but for its own parts.
local function add_members(out, prefix)
  for _, name in ipairs(doc.members()) do
    if begins(name, prefix) then out[name] = true end
  end
  for name in next, iza do
    local fits = type(name) == "string" and begins(name, prefix) and not scheduler[name]
    if fits and not embedded.read("lua/iza/" .. name .. ".lua") then out[name] = true end
  end
end

-- True when it did not get through all of them.
local function add_fields(out, value, prefix, callable)
  if rawequal(value, iza) and not callable then return add_members(out, prefix) end
  doc.fill(value)
  local seen, found, stop = 0, 0, clock.now() + LOOK
  for _, t in ipairs((layers(value))) do
    for k, v in next, t do
      seen = seen + 1
      if found > NAMES or (seen % 1024 == 0 and clock.now() > stop) then return true end
      local fits = type(k) == "string" and begins(k, prefix) and k:find "^[%a_][%w_]*$"
      local meta = callable and debug.getmetatable(v)
      if fits and (not callable or type(v) == "function" or meta and meta.__call) then
        out[k], found = true, found + 1
      end
    end
  end
end

local keywords = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat
    return then true until while]]):gmatch "%a+" do
  keywords[#keywords + 1] = word
end

local function names_at(session, prefix)
  local out = {}
  add_fields(out, _G, prefix)
  for name in pairs(session.variables) do
    if begins(name, prefix) then out[name] = true end
  end
  for _, word in ipairs(keywords) do
    if begins(word, prefix) then out[word] = true end
  end
  return out
end

local function files_at(prefix)
  local dir, base = prefix:match "^(.*/)([^/]*)$"
  dir, base = dir or "", base or prefix
  local where = dir:gsub("^~/", (os.getenv "HOME" or "~") .. "/")
  local out = {}
  for _, entry in ipairs(fs.list(where == "" and "." or where) or {}) do
    local name = entry.name
    if begins(name, base) and (base ~= "" or name:sub(1, 1) ~= ".") then
      local is_dir = entry.type == "folder"
      out[dir .. name .. (is_dir and "/" or "")] = true
    end
  end
  return out
end

local function modules_at(prefix)
  local out = {}
  for _, path in ipairs(embedded.list "lua/") do
    local name = path:match "^lua/([%w_/]+)%.lua$"
    name = name and name:gsub("/init$", ""):gsub("/", ".")
    if name and begins(name, prefix) then out[name] = true end
  end
  for name in pairs(package.loaded) do
    if begins(name, prefix) then out[name] = true end
  end
  for pattern in package.path:gmatch "[^;]+" do
    local dir, tail = pattern:match "^(.-)%?(.*)$"
    if dir and tail == ".lua" then
      for _, entry in ipairs(fs.list(dir == "" and "." or dir) or {}) do
        local name = entry.name:match "^([%w_]+)%.lua$"
        if name and begins(name, prefix) then out[name] = true end
      end
    end
  end
  return out
end

-- ---- where the cursor stands ----

-- The beginning of the string that is open at the end of the text: what is in it, and what is in
-- front of it; nil when none is.
local function open_string(text)
  local line = text:match "[^\n]*$"
  local quote, from, i = nil, nil, 1
  while i <= #line do
    local c = line:sub(i, i)
    if quote and c == "\\" then
      i = i + 1
    elseif c == quote then
      quote = nil
    elseif not quote and (c == '"' or c == "'") then
      quote, from = c, i
    elseif not quote and line:find("^%-%-", i) then
      return nil
    end
    i = i + 1
  end
  if quote then return line:sub(from + 1), line:sub(1, from - 1) end
end

local function candidates(session, text)
  local inside, ahead = open_string(text)
  if inside then
    if ahead:find "require%s*%(?%s*$" then return inside, modules_at(inside) end
    return inside, files_at(inside)
  end
  local prefix = text:match "[%a_][%w_]*$" or ""
  local rest = text:sub(1, #text - #prefix)
  local out, cut = {}, false
  local chain, separator = rest:match "([%a_][%w_.]*)%s*([.:])%s*$"
  if rest:find "%.%.$" then
    return prefix, names_at(session, prefix)
  elseif chain then
    local value = resolve(session, chain)
    if value ~= nil then cut = add_fields(out, value, prefix, separator == ":") end
  elseif rest:find "[\"'%]]%)?%s*:$" then
    add_fields(out, string, prefix, true)
  elseif not rest:find "[.:]$" then
    out = names_at(session, prefix)
  end
  return prefix, out, cut
end

local function common(list)
  local prefix = list[1] or ""
  for i = 2, #list do
    local n = 0
    while n < #prefix and prefix:byte(n + 1) == list[i]:byte(n + 1) do n = n + 1 end
    prefix = prefix:sub(1, n)
  end
  return prefix
end

--- What the text may be completed with.
---@param session iza.Session
---@param text string what stands in front of the cursor
---@return string word the part of it that is completed
---@return string[] list sorted whole words
---@return string best what all of them begin with
---@return boolean? cut whether there may be more
function complete.at(session, text)
  local word, out, cut = candidates(session, text)
  local list = {}
  for name in pairs(out) do list[#list + 1] = name end
  table.sort(list)
  return word, list, common(list), cut
end

--- The same among given words.
---@param word string
---@param words string[]
---@return string word
---@return string[] list
---@return string best
function complete.among(word, words)
  local list = {}
  for _, name in ipairs(words) do
    if begins(name, word) then list[#list + 1] = name end
  end
  table.sort(list)
  return word, list, common(list)
end

return complete
