--- Time: instants, time zones, calendar arithmetic, durations, and their text forms.
---
--- An instant is a number of seconds since 1970-01-01T00:00:00Z (Unix time; leap seconds are not
--- counted): an integer, or a float when it has a fraction. A zone is "UTC" (the default),
--- "+02:00", an offset in seconds as time.parse returns it, an IANA name such as "Europe/Paris", or
--- "local". Where the system has no tzdata package, named zones give nil and an error that says so;
--- UTC and fixed offsets always work.
---
--- When clocks change: a local time that does not exist (spring) is read with the offset that held
--- before the change, so it moves forward by the gap; one that exists twice (autumn) means the
--- first, unless `later = true`.
local clock = require "iza.core.clock"
local calendar = require "iza.calendar"
local duration = require "iza.duration"
local fail = require "iza.fail"
local zones = require "iza.zone"
local misuse = require "iza.misuse"

local time = {}

---@class iza.Date
---@field year integer
---@field month integer 1 to 12
---@field day integer 1 to 31
---@field hour? integer 0 to 23
---@field min? integer
---@field sec? number 0 to 59.999..
---@field wday? integer 0 = Sunday (only read)
---@field yday? integer 1 to 366 (only read)
---@field offset? integer seconds east of UTC (only read)
---@field abbr? string "CEST" (only read)
---@field isdst? boolean (only read)
---@field later? boolean of two instants with this local time take the later

---@class iza.Span
---@field years? integer
---@field months? integer
---@field weeks? integer
---@field days? integer
---@field hours? number
---@field minutes? number
---@field seconds? number

local days_short = {[0] = "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"}
local days_long = {[0] = "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday",
  "Saturday"}
local months_short = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov",
  "Dec"}
local months_long = {"January", "February", "March", "April", "May", "June", "July", "August",
  "September",
  "October", "November", "December"}
local month_number = {}
for i, name in ipairs(months_short) do month_number[name] = i end

local MAX = 253402300800 -- years -9999 to 9999

local function check_instant(t)
  if type(t) ~= "number" or not (t >= -2 * MAX and t < MAX) then
    misuse("an instant is a number of Unix seconds up to the year 9999, not %s", tostring(t))
  end
  local whole = math.floor(t)
  return whole, t - whole
end

--- The instant now.
--- Example: `time.now()` --> 1732466400.123
---@return number t
function time.now() return clock.wall() end

-- Far from 1970 a float is too coarse for the fraction: it never becomes the next second.
local function with_fraction(whole, fraction)
  if fraction == 0 then return whole end
  local t, after = whole + fraction, whole + 1
  if t < after or whole % 1 ~= 0 then return t end
  return after - math.max(math.abs(after), 1) * 2.0 ^ -53
end

local function fields(whole, fraction, offset)
  local shifted = whole + offset
  local days = shifted // 86400
  local rest = shifted - days * 86400
  local year, month, day = calendar.civil(days)
  return {
    year = year, month = month, day = day, hour = rest // 3600, min = rest // 60 % 60,
    sec = with_fraction(rest % 60, fraction), wday = calendar.weekday(days),
    yday = days - calendar.days(year, 1, 1) + 1, offset = offset,
  }
end

--- The calendar fields of an instant in a zone.
--- Example: `time.date(0, "Europe/Paris").hour` --> 1
---@param t number
---@param zone? string|integer
---@return iza.Date? date
---@return table? err unknown zone
function time.date(t, zone)
  local whole, fraction = check_instant(t)
  local z, err = zones.find(zone)
  if not z then return nil, err end
  local offset, abbr, isdst = z.at(whole)
  local d = fields(whole, fraction, offset)
  d.abbr, d.isdst = abbr, isdst
  return d
end

-- The instant of local seconds (counted as if they were UTC). The offset cannot change twice within
-- two days, so those of the day before and the day after are the only candidates.
local function resolve(z, seconds, later)
  local before, after = z.at(seconds - 86400), z.at(seconds + 86400)
  local first, second = seconds - before, seconds - after
  local first_ok, second_ok = z.at(first) == before, z.at(second) == after
  if first_ok and second_ok then
    return later and math.max(first, second) or math.min(first, second)
  end
  if second_ok then return second end
  return first -- it exists with the old offset, or lies in a gap
end

local function check_field(d, name, low, high, default)
  local v = d[name]
  if v == nil then v = default end
  local n = math.tointeger(v)
  if not n then return fail("invalid", "%s must be a whole number, not %s", name, tostring(v)) end
  if n < low or n > high then
    return fail("invalid", "%s %d is not within %d and %d", name, n, low, high)
  end
  return n
end

local function day_of(d)
  local year, err = check_field(d, "year", -9999, 9999)
  if not year then return nil, err end
  local month, day
  month, err = check_field(d, "month", 1, 12, 1)
  if not month then return nil, err end
  day, err = check_field(d, "day", 1, calendar.month_length(year, month), 1)
  if not day then return nil, err end
  return calendar.days(year, month, day)
end

local function second_of_day(d)
  local hour, err = check_field(d, "hour", 0, 23, 0)
  if not hour then return nil, err end
  local min
  min, err = check_field(d, "min", 0, 59, 0)
  if not min then return nil, err end
  local sec = d.sec or 0
  if type(sec) ~= "number" or not (sec >= 0 and sec < 60) then
    return fail("invalid", "sec %s is not within 0 and 60", tostring(sec))
  end
  local whole = math.floor(sec)
  return hour * 3600 + min * 60 + whole, sec - whole
end

--- The instant of calendar fields in a zone. Gaps and repeated times: see the top of this file.
--- Example: `time.of({year = 2024, month = 3, day = 31, hour = 12}, "Europe/Paris")` --> 1711879200
---@param date iza.Date
---@param zone? string|integer
---@return number? t
---@return table? err code "invalid" (no such date) or an unknown zone
function time.of(date, zone)
  local z, err = zones.find(zone)
  if not z then return nil, err end
  local days, seconds, fraction
  days, err = day_of(date)
  if not days then return nil, err end
  seconds, fraction = second_of_day(date)
  if not seconds then return nil, fraction end
  return with_fraction(resolve(z, days * 86400 + seconds, date.later), fraction)
end

local function whole_amount(by, name)
  local n = math.tointeger(by[name] or 0)
  if not n then misuse("%s must be a whole number", name) end
  return n
end

--- Moves an instant by calendar units in a zone. Years and months come first and clamp the day to
--- the month's length (Jan 31 + 1 month = Feb 28 or 29); then weeks and days keep the local time of
--- day; then hours, minutes and seconds pass as real time.
--- Example: `time.add(t, {months = 1, days = -1}, "Europe/Paris")`
---@param t number
---@param by iza.Span
---@param zone? string|integer
---@return number? t
---@return table? err unknown zone
function time.add(t, by, zone)
  local whole, fraction = check_instant(t)
  local z, err = zones.find(zone)
  if not z then return nil, err end
  local months = whole_amount(by, "years") * 12 + whole_amount(by, "months")
  local days = whole_amount(by, "weeks") * 7 + whole_amount(by, "days")
  if months ~= 0 or days ~= 0 then
    local offset = z.at(whole)
    local d = fields(whole, 0, offset)
    local month0 = d.year * 12 + d.month - 1 + months
    local year, month = month0 // 12, month0 % 12 + 1
    local day = calendar.days(year, month, math.min(d.day, calendar.month_length(year, month)))
    local seconds = (day + days) * 86400 + d.hour * 3600 + d.min * 60 + d.sec
    -- where the local time exists twice, stay on the side we came from
    local early, late = resolve(z, seconds), resolve(z, seconds, true)
    whole = z.at(late) == offset and late or early
  end
  local rest = (by.hours or 0) * 3600 + (by.minutes or 0) * 60 + (by.seconds or 0)
  return with_fraction(whole + (math.tointeger(rest) or rest), fraction)
end

local function offset_text(offset, colon)
  local sign = offset < 0 and "-" or "+"
  local minutes = math.abs(offset) // 60
  return ("%s%02d%s%02d"):format(sign, minutes // 60, colon and ":" or "", minutes % 60)
end

-- The first digits of a fraction, cut off. A float near now resolves a quarter of a microsecond, so
-- it is brought to whole microseconds first: 0.123 is stored a hair below itself.
local function fraction_digits(fraction, digits)
  local us = math.min(math.floor(fraction * 1e6 + 0.5), 999999)
  return ("%06d"):format(us):sub(1, digits)
end

local directives = {
  Y = function(d) return ("%04d"):format(d.year) end,
  y = function(d) return ("%02d"):format(d.year % 100) end,
  m = function(d) return ("%02d"):format(d.month) end,
  d = function(d) return ("%02d"):format(d.day) end,
  e = function(d) return ("%2d"):format(d.day) end,
  H = function(d) return ("%02d"):format(d.hour) end,
  I = function(d) return ("%02d"):format((d.hour + 11) % 12 + 1) end,
  M = function(d) return ("%02d"):format(d.min) end,
  S = function(d) return ("%02d"):format(d.whole_sec) end,
  L = function(d) return fraction_digits(d.fraction, 3) end,
  f = function(d) return fraction_digits(d.fraction, 6) end,
  p = function(d) return d.hour < 12 and "AM" or "PM" end,
  j = function(d) return ("%03d"):format(d.yday) end,
  a = function(d) return days_short[d.wday] end,
  A = function(d) return days_long[d.wday] end,
  b = function(d) return months_short[d.month] end,
  B = function(d) return months_long[d.month] end,
  u = function(d) return tostring((d.wday + 6) % 7 + 1) end,
  w = function(d) return tostring(d.wday) end,
  G = function(d) return ("%04d"):format((calendar.iso_week(d.days))) end,
  V = function(d) return ("%02d"):format((select(2, calendar.iso_week(d.days)))) end,
  z = function(d) return offset_text(d.offset) end,
  Z = function(d) return d.abbr end,
  s = function(d) return tostring(d.unix) end,
  n = function() return "\n" end,
  ["%"] = function() return "%" end,
}
local groups = {F = "%Y-%m-%d", T = "%H:%M:%S", R = "%H:%M", D = "%m/%d/%y"}

--- An instant as text, by the directives of strftime (in English): %Y %y %m %d %e %H %I %M %S %p %j
--- %a %A %b %B %u %w %G %V %z %Z %s %F %T %R %D %%, and %L for milliseconds, %f for microseconds.
--- Example: `time.format(t, "%a %d %b %H:%M", "Europe/Paris")` --> "Sun 31 Mar 12:00"
---@param t number
---@param format string
---@param zone? string|integer
---@return string? text
---@return table? err unknown zone
function time.format(t, format, zone)
  local d, err = time.date(t, zone)
  if not d then return nil, err end
  d.unix, d.fraction = check_instant(t)
  d.whole_sec, d.days = math.floor(d.sec), calendar.days(d.year, d.month, d.day)
  format = format:gsub("%%([FTRD])", groups)
  return (format:gsub("%%(.?)", function(c)
    local f = directives[c]
    if not f then misuse("time.format knows no directive %%%s", c) end
    return f(d)
  end))
end

--- An instant in RFC 3339 form.
--- Example: `time.rfc3339(0)` --> "1970-01-01T00:00:00Z"
---@param t number
---@param zone? string|integer
---@param digits? integer of the fraction, 0 to 6 (cut, not rounded); default 0, or 3 if t has one
---@return string? text
---@return table? err unknown zone
function time.rfc3339(t, zone, digits)
  local d, err = time.date(t, zone)
  if not d then return nil, err end
  local _, fraction = check_instant(t)
  digits = digits or (fraction == 0 and 0 or 3)
  local tail = digits > 0 and "." .. fraction_digits(fraction, digits) or ""
  return ("%04d-%02d-%02dT%02d:%02d:%02d%s%s"):format(d.year, d.month, d.day, d.hour, d.min,
    math.floor(d.sec), tail, d.offset == 0 and "Z" or offset_text(d.offset, true))
end

local function parse_offset(text)
  if text == "Z" or text == "z" then return 0 end
  local sign, h, m = text:match "^([+-])(%d%d):(%d%d)$"
  if not sign or tonumber(h) > 23 or tonumber(m) > 59 then return nil end
  local seconds = math.tointeger(h) * 3600 + math.tointeger(m) * 60
  return sign == "-" and -seconds or seconds
end

--- Reads RFC 3339 ("2024-03-31T12:00:00.5+02:00"); a blank may stand for the T. A leap second (:60)
--- is read as the first of the next minute. A bare date or a time without offset is refused,
--- because it names no instant: use time.of.
--- Example: `time.parse("1970-01-01T01:00:00+01:00")` --> 0, 3600
---@param text string
---@return number? t
---@return integer|table offset_or_err seconds east of UTC, or the error (code "invalid")
function time.parse(text)
  local y, mo, d, h, mi, s, fraction, zone =
    text:match "^(%d%d%d%d)%-(%d%d)%-(%d%d)[Tt ](%d%d):(%d%d):(%d%d)(%.?%d*)([Zz+-].*)$"
  local offset = y and fraction ~= "." and parse_offset(zone)
  if not offset then return fail("invalid", "not an RFC 3339 time: '%s'", text:sub(1, 64)) end
  local leap = s == "60" and 1 or 0
  local t, err = time.of {year = tonumber(y), month = tonumber(mo), day = tonumber(d),
    hour = tonumber(h), min = tonumber(mi), sec = tonumber(s) - leap}
  if not t then return nil, err end
  t = t - offset + leap
  if fraction ~= "" then t = with_fraction(t, tonumber("0" .. fraction)) end
  return t, offset
end

--- An instant as an HTTP date (RFC 9110 §5.6.7).
--- Example: `time.http(784111777)` --> "Sun, 06 Nov 1994 08:49:37 GMT"
---@param t number
---@return string
function time.http(t) return (time.format(math.floor(t), "%a, %d %b %Y %H:%M:%S GMT")) end

-- RFC 9110: a two-digit year more than 50 years ahead is in the past century
local function full_year(two)
  local now = calendar.civil(math.floor(clock.wall()) // 86400)
  local year = now // 100 * 100 + two
  return year > now + 50 and year - 100 or year
end

--- Reads an HTTP date in any of the three forms that RFC 9110 §5.6.7 demands.
--- Example: `time.parse_http("Sun, 06 Nov 1994 08:49:37 GMT")` --> 784111777
---@param text string
---@return integer? t
---@return table? err code "invalid"
function time.parse_http(text)
  local d, mon, y, h, mi, s =
    text:match "^%a%a%a, (%d%d) (%a%a%a) (%d%d%d%d) (%d%d):(%d%d):(%d%d) GMT$"
  if not d then
    d, mon, y, h, mi, s = text:match "^%a+day, (%d%d)%-(%a%a%a)%-(%d%d) (%d%d):(%d%d):(%d%d) GMT$"
    y = d and full_year(math.tointeger(y))
  end
  if not d then
    mon, d, h, mi, s, y = text:match "^%a%a%a (%a%a%a) ([%d ]%d) (%d%d):(%d%d):(%d%d) (%d%d%d%d)$"
  end
  if not d or not month_number[mon] then
    return fail("invalid", "not an HTTP date: '%s'", text:sub(1, 64))
  end
  local leap = s == "60" and 1 or 0
  local t, err = time.of {year = tonumber(y), month = month_number[mon], day = tonumber(d),
    hour = tonumber(h), min = tonumber(mi), sec = tonumber(s) - leap}
  return t and math.tointeger(t + leap), err
end

--- Reads a duration: a number of seconds, or text such as "250ms", "1h30m", "-3d" (units ns us ms s
--- m h d w, each at most once, from large to small).
--- Example: `time.duration("1h30m")` --> 5400
---@param value number|string
---@return number? seconds
---@return table? err code "invalid"
function time.duration(value) return duration.parse(value) end

--- Seconds as a duration text that time.duration reads back, exact down to a nanosecond.
--- Example: `time.format_duration(5400)` --> "1h30m"
---@param seconds number
---@return string
function time.format_duration(seconds) return duration.format(seconds) end

--- How far an instant lies from now, in words.
--- Example: `time.ago(time.now() - 180)` --> "3 minutes ago"
---@param t number
---@param now? number default time.now()
---@return string
function time.ago(t, now)
  local gap = (now or time.now()) - t
  local size, text = math.abs(gap), nil
  if size < 1 then return "just now" end
  local steps = {{60, 1, "second"}, {3600, 60, "minute"}, {86400, 3600, "hour"},
    {86400 * 30, 86400, "day"}, {86400 * 365, 86400 * 30, "month"},
    {math.huge, 86400 * 365, "year"}}
  for _, step in ipairs(steps) do
    if size < step[1] then
      local n = math.floor(size / step[2])
      text = ("%d %s%s"):format(n, step[3], n == 1 and "" or "s")
      break
    end
  end
  return gap > 0 and text .. " ago" or "in " .. text
end

return time
