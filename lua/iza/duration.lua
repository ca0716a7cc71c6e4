--- Durations as text: "250ms", "1h30m", "3d". Used by iza.time and iza.args.
local fail = require "iza.fail"
local misuse = require "iza.misuse"

local duration = {}

-- from large to small; nanoseconds each
local units = {{"w", 604800 * 10 ^ 9}, {"d", 86400 * 10 ^ 9}, {"h", 3600 * 10 ^ 9},
  {"m", 60 * 10 ^ 9},  {"s", 10 ^ 9}, {"ms", 10 ^ 6}, {"us", 10 ^ 3}, {"ns", 1}}
local rank = {}
for i, unit in ipairs(units) do rank[unit[1]] = i end

local MAX = 292 * 365 * 86400 -- what fits 64 bits of nanoseconds

local function bad(value)
  return fail("invalid", '"%s" is not a duration: seconds, or text such as "250ms", "1h30m", "3d"',
    tostring(value))
end

local function checked(seconds, value)
  if not (seconds > -MAX and seconds < MAX) then return bad(value) end
  return math.tointeger(seconds) or seconds
end

--- Reads a duration.
--- Example: `duration.parse("1h30m")` --> 5400
---@param value number|string
---@return number? seconds
---@return table? err code "invalid"
function duration.parse(value)
  if type(value) == "number" then return checked(value, value) end
  if type(value) ~= "string" then return bad(value) end
  local sign, rest = value:match "^([+-]?)(.+)$"
  if not rest then return bad(value) end
  local ns, last = 0, 0
  while rest ~= "" do
    local number, unit, behind = rest:match "^(%d+%.?%d*)(%a+)(.*)$"
    local at = unit and rank[unit]
    if not at or at <= last then return bad(value) end
    ns, last, rest = ns + tonumber(number) * units[at][2], at, behind
  end
  return checked((sign == "-" and -ns or ns) / 10 ^ 9, value)
end

--- Seconds as text that duration.parse reads back, exact down to a nanosecond.
--- Example: `duration.format(0.25)` --> "250ms"
---@param seconds number
---@return string
function duration.format(seconds)
  local limit = checked(seconds, seconds)
  if not limit then misuse("not a duration in seconds: %s", tostring(seconds)) end
  local sign = seconds < 0 and "-" or ""
  local ns = math.floor(math.abs(seconds) * 1e9 + 0.5)
  if ns == 0 then return "0s" end
  if ns < 10 ^ 9 then
    for i = rank.ms, rank.ns do
      local size = math.tointeger(units[i][2])
      if ns >= size then
        return sign .. (("%.6f"):format(ns / size):gsub("%.?0+$", "")) .. units[i][1]
      end
    end
  end
  local out = {sign}
  for i = rank.d, rank.m do
    local size = math.tointeger(units[i][2])
    if ns >= size then
      out[#out + 1] = ns // size .. units[i][1]
      ns = ns % size
    end
  end
  if ns > 0 then out[#out + 1] = ("%.9f"):format(ns / 1e9):gsub("%.?0+$", "") .. "s" end
  return table.concat(out)
end

return duration
