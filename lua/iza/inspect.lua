--- Values as text for people: sorted, nested, cut where they grow too long. What the REPL prints.
---
--- Short tables stay on one line, longer ones get a line an entry; arrays of scalars fill lines.
--- What is cut: deep nesting, tables with many entries, long strings, and the whole after some
--- thousand values; each cut says how much is missing. Fields are read raw: only __tostring and
--- __name of a metatable are asked.
local digits = require "iza.digits"
local null = require("iza.core.json").null
local term = require "iza.core.term"

local KEYS = 100000 -- a table with more fields than this is neither counted nor sorted whole

local colours = {string = 32, number = 33, boolean = 35, ["nil"] = 35, key = 36, ["function"] = 34,
  note = 90, error = 31}

---@class iza.InspectOptions
---@field width? integer columns to fill, default 80
---@field depth? integer tables inside one another that are shown, default 6
---@field items? integer entries shown of each table, default 100
---@field chars? integer bytes shown of each string, default 1000
---@field values? integer values shown in all, default 3000
---@field lines? integer lines that tables are cut to, about; default as many as it takes
---@field colour? boolean with colour sequences

local Printer = {}
Printer.__index = Printer

function Printer:paint(kind, text)
  if not self.colour then return text end
  return "\27[" .. colours[kind] .. "m" .. text .. "\27[0m"
end

local function width_of(text)
  text = text:gsub("\27%[%d*m", "")
  return text:find "[\128-\255]" and term.width(text) or #text
end

-- ---- scalars ----

local escapes = {["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ["\\"] = "\\\\", ["\a"] = "\\a",
  ["\b"] = "\\b", ["\f"] = "\\f", ["\v"] = "\\v", ["\27"] = "\\27"}

local function escape_bytes(text)
  return (text:gsub("[\128-\255]", function(c) return ("\\x%02x"):format(c:byte()) end))
end

local function escape(text, quote)
  text = text:gsub("[%c\\" .. quote .. "]", function(c)
    return escapes[c] or c == quote and "\\" .. c or ("\\x%02x"):format(c:byte())
  end)
  if utf8.len(text) then return text end
  local out, at = {}, 1
  while at <= #text do
    local n, bad = utf8.len(text, at)
    bad = n and #text + 1 or bad
    out[#out + 1] = text:sub(at, bad - 1)
    out[#out + 1] = escape_bytes(text:sub(bad, bad))
    at = bad + 1
  end
  return table.concat(out)
end

-- The first n bytes or a few less, so that no character is torn.
local function head(text, n)
  while n > 0 and (text:byte(n + 1) or 0) & 0xc0 == 0x80 do n = n - 1 end
  return text:sub(1, n)
end

function Printer:string(text)
  local quote = text:find('"', 1, true) and not text:find("'", 1, true) and "'" or '"'
  if #text <= self.chars then return self:paint("string", quote .. escape(text, quote) .. quote) end
  local shown = head(text, self.chars)
  return self:paint("string", quote .. escape(shown, quote) .. quote)
    .. self:paint("note", (" … %d more bytes"):format(#text - #shown))
end

-- As Lua writes it: a float never looks like an integer.
function Printer:number(n)
  local text = digits.text(n)
  if n == math.huge or n == -math.huge then
    text = n > 0 and "math.huge" or "-math.huge"
  elseif math.type(n) == "float" and text:find "^-?%d+$" then
    text = text .. ".0"
  end
  return self:paint("number", text)
end

local function function_text(f)
  local info = debug.getinfo(f, "S")
  if info.what == "C" then return "function (built in)" end
  return ("function (%s:%d)"):format(info.short_src, info.linedefined)
end

-- What the value's own __tostring says; nil when it has none or it fails.
local function own_text(value)
  local meta = debug.getmetatable(value)
  if not meta or rawget(meta, "__tostring") == nil then return nil end
  local ok, text = pcall(tostring, value)
  return ok and text or nil
end

function Printer:scalar(value)
  local kind = math.type(value) and "number" or type(value)
  if kind == "string" then return self:string(value) end
  if kind == "number" then return self:number(value) end
  if kind == "function" then return self:paint("function", function_text(value)) end
  if kind == "thread" then
    return self:paint("function", ("coroutine (%s)"):format(coroutine.status(value)))
  end
  if kind == "boolean" or kind == "nil" then return self:paint("boolean", tostring(value)) end
  if value == null then return self:paint("boolean", "json.null") end
  return self:paint("function", own_text(value) or tostring(value))
end

-- ---- tables ----

local ranks = {number = 1, string = 2, boolean = 3}

local function before(a, b)
  local ra, rb = ranks[type(a)] or 4, ranks[type(b)] or 4
  if ra ~= rb then return ra < rb end
  if ra <= 2 then return a < b end
  return tostring(a) < tostring(b)
end

-- The keys outside the sequence 1..n, sorted, and whether that is all of them.
local function other_keys(t, n)
  local keys, seen = {}, 0
  for k in next, t do
    seen = seen + 1
    if seen > KEYS then return keys, false end
    if math.type(k) ~= "integer" or k < 1 or k > n then keys[#keys + 1] = k end
  end
  table.sort(keys, before)
  return keys, true
end

local reserved = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat
    return then true until while]]):gmatch "%a+" do
  reserved[word] = true
end

function Printer:key(k)
  if type(k) == "string" and k:find "^[%a_][%w_]*$" and not reserved[k] and #k <= self.chars then
    return self:paint("key", k)
  end
  if type(k) == "table" then return "[" .. self:paint("note", "a table") .. "]" end
  return "[" .. self:scalar(k) .. "]"
end

-- The lines that a text takes on the screen.
function Printer:height(text)
  local height = 0
  for line in (text .. "\n"):gmatch "(.-)\n" do
    height = height + math.max(1, math.ceil(width_of(line) / self.width))
  end
  return height
end

-- Room for the entries of one table on the screen. A table that fits on one line takes none of it.
local function full(self, used, wide) return used >= self.lines and wide > self.width end

-- The entries as texts, whether every one is a scalar of the sequence, whether some are missing.
function Printer:entries(t, depth)
  local n, lines, used, wide = rawlen(t), self.lines, 0, 0
  local keys, all = other_keys(t, n)
  local out, left, scalars = {}, self.items, #keys == 0
  local function add(prefix, value, taken)
    self.lines = lines - used - 3 -- its first line, what is left, its last line
    local text = prefix .. self:value(value, depth, taken)
    self.lines = lines
    out[#out + 1] = text
    wide = text:find("\n", 1, true) and math.huge or wide + width_of(text) + 2
    if not scalars then used = used + self:height(text) end -- scalars share lines
  end
  for i = 1, math.min(n, left) do
    if self.values <= 0 or full(self, used, wide) then break end
    local v = rawget(t, i)
    scalars = scalars and type(v) ~= "table"
    add("", v)
  end
  left = #out == n and left - n or 0
  for i = 1, math.min(#keys, left) do
    if self.values <= 0 or full(self, used, wide) then break end
    local k = self:key(keys[i])
    add(k .. " = ", rawget(t, keys[i]), width_of(k) + 3)
  end
  local missing = n + #keys - #out
  if missing > 0 or not all then
    out[#out + 1] = self:paint("note", all and ("… %d more"):format(missing)
      or ("… more than %d more"):format(missing))
  end
  return out, scalars, missing > 0 or not all
end

-- Several scalars a line.
local function fill(out, width)
  local lines, line, used = {}, {}, 0
  for _, text in ipairs(out) do
    local w = width_of(text) + 2
    if used + w > width and #line > 0 then
      lines[#lines + 1] = table.concat(line, ", ")
      line, used = {}, 0
    end
    line[#line + 1] = text
    used = used + w
  end
  lines[#lines + 1] = table.concat(line, ", ")
  return lines
end

function Printer:layout(out, scalars, cut, depth, taken)
  local room = self.width - 2 * depth - (taken or 0)
  local width, flat = 2 * #out, true
  for _, text in ipairs(out) do
    if width > room or text:find("\n", 1, true) then
      flat = false
      break
    end
    width = width + width_of(text)
  end
  if flat and width <= room then return "{" .. table.concat(out, ", ") .. "}" end
  local indent = ("  "):rep(depth + 1)
  if scalars then out = fill(out, self.width - 2 * depth - 2) end
  local comma = cut and "" or ","
  return "{\n" .. indent .. table.concat(out, ",\n" .. indent) .. comma .. "\n"
    .. ("  "):rep(depth) .. "}"
end

function Printer:table(t, depth, taken)
  local meta = debug.getmetatable(t)
  local name = meta and rawget(meta, "__name")
  local prefix = type(name) == "string" and self:paint("note", name) .. " " or ""
  if self.path[t] then return self:paint("note", "<cycle>") end
  if next(t) == nil then return prefix .. "{}" end
  if depth >= self.depth then return prefix .. self:paint("note", "{…}") end
  self.path[t] = true
  local out, scalars, cut = self:entries(t, depth + 1)
  self.path[t] = nil
  return prefix .. self:layout(out, scalars, cut, depth, (taken or 0) + width_of(prefix))
end

function Printer:value(value, depth, taken)
  self.values = self.values - 1
  if self.values < 0 then return self:paint("note", "…") end
  if type(value) ~= "table" then return self:scalar(value) end
  local text = own_text(value)
  if not text then return self:table(value, depth, taken) end
  local is_error = rawget(value, "code") ~= nil and rawget(value, "message") ~= nil
  return self:paint(is_error and "error" or "function", is_error and "error: " .. text or text)
end

--- A value as text. Tables are sorted, nested, and cut where they are too large.
--- Example: `print(iza.inspect({b = {1, 2}, a = "x"}))` --> {a = "x", b = {1, 2}}
---@param value any
---@param opts? iza.InspectOptions
---@return string
local function inspect(value, opts)
  opts = opts or {}
  local printer = setmetatable({width = opts.width or 80, depth = opts.depth or 6,
    items = opts.items or 100, chars = opts.chars or 1000,
    values = opts.values or 3000, lines = opts.lines or math.huge,
    colour = opts.colour, path = {}}, Printer)
  return printer:value(value, 0)
end

return inspect
