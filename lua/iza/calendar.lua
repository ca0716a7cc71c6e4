--- The proleptic Gregorian calendar in integers: days since 1970-01-01 and back. Used by iza.time.
local calendar = {}

local lengths = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

---@param year integer
---@return boolean
function calendar.is_leap(year) return year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0) end

---@param year integer
---@param month integer 1 to 12
---@return integer days in that month
function calendar.month_length(year, month)
  return month == 2 and calendar.is_leap(year) and 29 or lengths[month]
end

-- Both directions count in years that begin in March, so that the leap day comes last, and in eras
-- of 400 years (146097 days), which all look alike.

--- Days from 1970-01-01 to a date.
--- Example: `calendar.days(2024, 2, 29)` --> 19782
---@param year integer
---@param month integer 1 to 12
---@param day integer any: day 0 is the day before the first
---@return integer
function calendar.days(year, month, day)
  local y = month <= 2 and year - 1 or year
  local era = y // 400
  local year_of_era = y - era * 400
  local day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
  local day_of_era = year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year
  return era * 146097 + day_of_era - 719468
end

--- The date that lies `days` after 1970-01-01.
--- Example: `calendar.civil(19782)` --> 2024, 2, 29
---@param days integer
---@return integer year
---@return integer month
---@return integer day
function calendar.civil(days)
  local z = days + 719468
  local era = z // 146097
  local doe = z - era * 146097
  local yoe = (doe - doe // 1460 + doe // 36524 - doe // 146096) // 365
  local doy = doe - (365 * yoe + yoe // 4 - yoe // 100)
  local mp = (5 * doy + 2) // 153
  local month = mp < 10 and mp + 3 or mp - 9
  return yoe + era * 400 + (month <= 2 and 1 or 0), month, doy - (153 * mp + 2) // 5 + 1
end

--- The weekday of a day number: 0 is Sunday.
---@param days integer
---@return integer
function calendar.weekday(days) return (days + 4) % 7 end

--- ISO 8601 week: the week that holds the year's first Thursday is week 1.
--- Example: `calendar.iso_week(calendar.days(2021, 1, 3))` --> 2020, 53
---@param days integer
---@return integer year
---@return integer week
function calendar.iso_week(days)
  local thursday = days - (calendar.weekday(days) + 6) % 7 + 3
  local year = calendar.civil(thursday)
  return year, (thursday - calendar.days(year, 1, 1)) // 7 + 1
end

return calendar
