--- Time zones: which offset from UTC holds at an instant. Used by iza.time, which is the public
--- face.
---
--- A zone is "UTC", a fixed offset ("+02:00", "-0530", "Z", or seconds), a name of the IANA
--- database ("Europe/Paris"), or "local". Named zones are read from the system's files (RFC 8536):
--- the bytes stay as they are and are searched in place; instants after the last transition follow
--- the POSIX rule in the file's footer. Instants are Unix seconds, offsets are seconds east of UTC.
local core = require "iza.core.zone"
local fail = require "iza.fail"
local calendar = require "iza.calendar"

local zone = {}

---@class iza.Zone
---@field name string
---@field at fun(t: integer): integer, string, boolean offset in seconds, abbreviation, daylight
---saving

-- ---- the POSIX rule in the footer: "CET-1CEST,M3.5.0,M10.5.0/3" ----

local function take_name(text)
  local name, rest = text:match "^<([%w+-]+)>(.*)$"
  if name then return name, rest end
  return text:match "^(%a+)(.*)$"
end

local function number_in(digits, from, to)
  local n = #digits <= 3 and math.tointeger(digits)
  return n and n >= from and n <= to and n or nil
end

-- [+-]hh[:mm[:ss]], in seconds; hours to 167 (RFC 8536 §3.3.1)
local function take_time(text)
  local sign, digits, rest = text:match "^([+-]?)(%d+)(.*)$"
  local h = digits and number_in(digits, 0, 167)
  if not h then return nil end
  local m, s
  m, rest = (rest:match "^:([0-5]%d)" or "0"), rest:gsub("^:[0-5]%d", "", 1)
  s, rest = (rest:match "^:([0-5]%d)" or "0"), rest:gsub("^:[0-5]%d", "", 1)
  local seconds = h * 3600 + math.tointeger(m) * 60 + math.tointeger(s)
  return sign == "-" and -seconds or seconds, rest
end

-- A day of the year: returns a function year -> days since 1970-01-01.
local function take_day(text)
  local m, w, d, rest = text:match "^M(%d+)%.(%d)%.(%d)(.*)$"
  if m then
    m, w, d = number_in(m, 1, 12), number_in(w, 1, 5), number_in(d, 0, 6)
    if not (m and w and d) then return nil end
    return function(year)
      local first = calendar.days(year, m, 1)
      local day = (d - calendar.weekday(first)) % 7 + (w - 1) * 7
      if day >= calendar.month_length(year, m) then day = day - 7 end
      return first + day
    end, rest
  end
  local j, n, tail = text:match "^(J?)(%d+)(.*)$"
  if not n then return nil end
  n = number_in(n, j == "" and 0 or 1, 365)
  if not n then return nil end
  if j == "" then return function(year) return calendar.days(year, 1, 1) + n end, tail end
  return function(year) -- counts 1 to 365 and never February 29
    local leap = calendar.is_leap(year) and n >= 60 and 1 or 0
    return calendar.days(year, 1, 1) + n - 1 + leap
  end, tail
end

-- ",date[/time]"; returns a function year -> local seconds of that change
local function take_change(text)
  local day, rest = take_day(text:sub(2))
  if text:sub(1, 1) ~= "," or not day then return nil end
  local seconds = 7200
  if rest:sub(1, 1) == "/" then
    seconds, rest = take_time(rest:sub(2))
    if not seconds then return nil end
  end
  return function(year) return day(year) * 86400 + seconds end, rest
end

--- Reads a POSIX TZ rule. Returns a function t -> offset, abbreviation, daylight saving.
--- Example: `zone.rule("CET-1CEST,M3.5.0,M10.5.0/3")(0)` --> 3600, "CET", false
---@param text string
---@return fun(t: integer): integer, string, boolean
---@overload fun(text: string): nil, table
function zone.rule(text)
  local std, rest = take_name(text)
  local west
  if std then west, rest = take_time(rest) end
  if not west then return fail("invalid", "time zone rule '%s' cannot be read", text) end
  local std_offset = -west
  if rest == "" then return function() return std_offset, std, false end end
  local dst
  dst, rest = take_name(rest)
  if not dst then return fail("invalid", "time zone rule '%s' cannot be read", text) end
  local dst_offset = std_offset + 3600
  if rest:sub(1, 1) ~= "," then
    west, rest = take_time(rest)
    if not west then return fail("invalid", "time zone rule '%s' cannot be read", text) end
    dst_offset = -west
  end
  local starts, ends
  starts, rest = take_change(rest)
  if starts then ends, rest = take_change(rest) end
  if not ends or rest ~= "" then
    return fail("invalid", "time zone rule '%s' cannot be read", text)
  end
  return function(t)
    local year = calendar.civil((t + std_offset) // 86400)
    local from, to = starts(year) - std_offset, ends(year) - dst_offset
    local daylight
    if from < to then daylight = t >= from and t < to else daylight = t >= from or t < to end
    if daylight then return dst_offset, dst, true end
    return std_offset, std, false
  end
end

-- ---- the file ----

local HEADER = ">c4 c1 c15 I4 I4 I4 I4 I4 I4"

-- Positions of the tables in the data block that starts at `at` (behind its header).
local function layout(at, word, isut, isstd, leap, times, types, chars)
  local b = {times = times, types = types, chars = chars, word = word}
  b.time_at = at
  b.index_at = b.time_at + times * word
  b.type_at = b.index_at + times
  b.char_at = b.type_at + types * 6
  b.done = b.char_at + chars + leap * (word + 4) + isstd + isut
  return b
end

local function read_header(data, at, word)
  if #data < at + 43 then return nil end
  local magic, version, _, isut, isstd, leap, times, types, chars = string.unpack(HEADER, data, at)
  if magic ~= "TZif" then return nil end
  return layout(at + 44, word, isut, isstd, leap, times, types, chars), version
end

local function type_info(data, b, index)
  local offset, dst, abbr = string.unpack(">i4 B B", data, b.type_at + index * 6)
  return offset, string.unpack("z", data, b.char_at + abbr), dst == 1
end

-- Index of the last transition at or before t, from 0; -1 if t is before the first.
local function search(data, b, t)
  local low, high = 0, b.times
  while low < high do
    local mid = (low + high) // 2
    if string.unpack(">i8", data, b.time_at + mid * 8) <= t then low = mid + 1 else high = mid end
  end
  return low - 1
end

local OFFSET_MAX = 7 * 86400 -- seconds; RFC 8536 §3.2 hopes for 26 hours

-- Transitions ascend and name a type there is; types have a sane offset and a name that ends.
local function is_sound(data, b)
  local last = math.mininteger
  for i = 0, b.times - 1 do
    local at = string.unpack(">i8", data, b.time_at + i * 8)
    if i > 0 and at <= last or data:byte(b.index_at + i) >= b.types then return false end
    last = at
  end
  for i = 0, b.types - 1 do
    local offset, _, name = string.unpack(">i4 B B", data, b.type_at + i * 6)
    if math.abs(offset) > OFFSET_MAX or name >= b.chars then return false end
  end
  return data:byte(b.char_at + b.chars - 1) == 0
end

--- Reads the bytes of a zone file, version 2 or later.
---@param data string
---@param name string for messages
---@return fun(t: integer): integer, string, boolean
---@overload fun(data: string, name: string): nil, table
function zone.parse(data, name)
  local old, version = read_header(data, 1, 4)
  local b = old and version >= "2" and read_header(data, old.done, 8)
  if not b or b.types == 0 or b.done > #data then
    return fail("invalid", "the file of time zone %s is damaged or too old", name)
  end
  if not is_sound(data, b) then
    return fail("invalid", "the file of time zone %s is damaged", name)
  end
  local footer, rule = data:match("^\n([^\n]*)\n", b.done), nil
  if footer and footer ~= "" then
    local err
    rule, err = zone.rule(footer)
    if not rule then return nil, err end
  end
  return function(t)
    local i = search(data, b, t)
    if i == b.times - 1 and rule then return rule(t) end
    return type_info(data, b, i < 0 and 0 or data:byte(b.index_at + i))
  end
end

-- ---- finding a zone by what a caller wrote ----

local function fixed(seconds, name)
  return {name = name, at = function() return seconds, name, false end}
end

local known = {UTC = fixed(0, "UTC")}
known.Z = known.UTC

local function offset_name(seconds)
  local minutes = math.abs(seconds) // 60
  return ("%s%02d:%02d"):format(seconds < 0 and "-" or "+", minutes // 60, minutes % 60)
end

local function parse_offset(text)
  local sign, h, m = text:match "^([+-])(%d%d):?(%d%d)$"
  if not sign or tonumber(h) > 23 or tonumber(m) > 59 then return nil end
  local seconds = math.tointeger(h) * 3600 + math.tointeger(m) * 60
  if sign == "-" then seconds = -seconds end
  return fixed(seconds, offset_name(seconds))
end

--- Finds a zone.
--- Example: `zone.find("Europe/Paris").at(1711846800)` --> 7200, "CEST", true
---@param name? string|integer default "UTC"; an integer is an offset in seconds east of UTC
---@return iza.Zone?
---@return table? err code "not_found", "invalid" or "missing_tzdata"
function zone.find(name)
  name = name or "UTC"
  if math.type(name) == "integer" and math.abs(name) < 86400 then
    return fixed(name, offset_name(name))
  end
  if known[name] then return known[name] end
  local found = parse_offset(name)
  if found then return found end
  if name == "local" then return zone.find(core.local_name()) end
  local data, err = core.read(name)
  if not data then return nil, err end
  local at
  at, err = zone.parse(data, name)
  if not at then return nil, err end
  known[name] = {name = name, at = at}
  return known[name]
end

return zone
