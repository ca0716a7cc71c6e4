--- Numbers as text that reads back equal, as short as that allows.
local digits = {}

local SMALLEST_NORMAL = 0x1p-1022
local EXPONENT = 1e16 -- whole floats from here on are written with one

--- The shortest text of a number that reads back equal: integers whole, floats without the noise of
--- their last bits. A whole float looks like an integer; nan, inf and -inf by name.
--- Example: `digits.text(0.1)` --> "0.1"
---@param n number
---@return string
function digits.text(n)
  if math.type(n) == "integer" then return tostring(n) end
  if n ~= n then return "nan" end
  if n == math.huge or n == -math.huge then return n > 0 and "inf" or "-inf" end
  if n == math.floor(n) and math.abs(n) < EXPONENT then return ("%.0f"):format(n) end
  -- a double holds any 15 digits and needs at most 17; the smallest hold fewer
  for places = math.abs(n) < SMALLEST_NORMAL and 1 or 15, 16 do
    local text = ("%." .. places .. "g"):format(n)
    if tonumber(text) == n then return text end
  end
  return ("%.17g"):format(n)
end

return digits
