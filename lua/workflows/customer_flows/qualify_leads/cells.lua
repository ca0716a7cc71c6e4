--- What a person typed into a cell of a leads file, as a value: text, domains, addresses, amounts
--- of money, dates. Each reader returns the value, or nil and what is wrong in words that fit
--- behind the column's name; an empty cell is nil alone.
local term = require "iza.term"
local time = require "iza.time"

local cells = {}

local function problem(what, text, ...)
  return nil, ("'%s' " .. what):format(term.truncate(text, 60), ...)
end

--- The text without blanks around it; line ends, control characters and runs of blanks inside
--- become one blank.
--- Example: `cells.text("  Acme\n GmbH ")` --> "Acme GmbH"
---@param text string
---@return string?
function cells.text(text)
  text = text:gsub("\u{A0}", " "):gsub("[%c%s]+", " "):match "^ ?(.-) ?$"
  return text ~= "" and text or nil
end

-- Capital letters beyond ASCII: from, to, every how many-th, and what to add for the small one.
local capitals = {
  {0xC0, 0xD6, 1, 32}, {0xD8, 0xDE, 1, 32}, {0x100, 0x12E, 2, 1}, {0x132, 0x136, 2, 1},
  {0x139, 0x147, 2, 1}, {0x14A, 0x176, 2, 1}, {0x178, 0x178, 1, -121}, {0x179, 0x17D, 2, 1},
  {0x386, 0x386, 1, 38}, {0x388, 0x38A, 1, 37}, {0x38C, 0x38C, 1, 64}, {0x38E, 0x38F, 1, 63},
  {0x391, 0x3A1, 1, 32}, {0x3A3, 0x3AB, 1, 32}, {0x400, 0x40F, 1, 80}, {0x410, 0x42F, 1, 32},
  {0x1E00, 0x1E94, 2, 1}, {0x1E9E, 0x1E9E, 1, -7615}, {0x1EA0, 0x1EFE, 2, 1},
}
local small = {}
for _, range in ipairs(capitals) do
  for code = range[1], range[2], range[3] do
    small[utf8.char(code)] = utf8.char(code + range[4])
  end
end

--- The text in lower case: Latin, Greek and Cyrillic letters.
--- Example: `cells.lower("MÜLLER")` --> "müller"
---@param text string
---@return string
function cells.lower(text)
  return (text:lower():gsub("[\xC3-\xE1][\x80-\xBF]+", small))
end

--- The number that a text plainly is, as a program would write it: "17", "-2.50"; nil for other
--- text, also for what only looks like one, such as the postcode "01067".
--- Example: `cells.number("12.50")` --> 12.5
---@param text string
---@return number?
function cells.number(text)
  local whole, decimals = text:match "^%-?(%d+)(%.?%d*)$"
  if not whole or #text > 15 or whole:find "^0%d" or decimals == "." then return nil end
  return tonumber(text)
end

local function is_host(host)
  if #host > 253 or not host:find(".", 1, true) or host:find("..", 1, true) then return false end
  if host:match "%.%d*$" or host:sub(1, 1) == "." then return false end
  for label in host:gmatch "[^.]+" do
    if #label > 63 or label:find "[^%w\128-\255-]" or label:find "^%-" or label:find "%-$" then
      return false
    end
  end
  return true
end

--- A domain, also out of a URL: in lower case, without scheme, "www.", port and path.
--- Example: `cells.domain("https://www.Acme.example/about")` --> "acme.example"
---@param text string
---@return string? domain
---@return string? problem
function cells.domain(text)
  text = cells.text(text)
  if not text then return nil end
  local host = cells.lower(text):gsub("^%a[%w+.-]*://", ""):gsub("[/?#:].*$", ""):gsub("^www%.", "")
    :gsub("%.$", "")
  if not is_host(host) then return problem("is not a domain", text) end
  return host
end

--- An e-mail address, in lower case.
--- Example: `cells.email("Ann@Acme.example ")` --> "ann@acme.example"
---@param text string
---@return string? email
---@return string? problem
function cells.email(text)
  text = cells.text(text)
  if not text then return nil end
  local name, host = cells.lower(text):match "^([^%s@,;<>\"]+)@([^@]+)$"
  if not name or not is_host(host) then return problem("is not an address", text) end
  return name .. "@" .. host
end

-- Hosts whose addresses say nothing about a company.
local mailbox_hosts = {}
for host in ([[aol.com gmail.com gmx.de gmx.net googlemail.com hotmail.com icloud.com live.com
  outlook.com proton.me protonmail.com web.de yahoo.com]]):gmatch "%S+" do
  mailbox_hosts[host] = true
end

--- The company's domain that an address shows; nil for a public mail host.
--- Example: `cells.domain_of("ann@acme.example")` --> "acme.example"
---@param email string as of cells.email
---@return string?
function cells.domain_of(email)
  local host = email:match "@(.+)$"
  return not mailbox_hosts[host] and host or nil
end

-- ---- money ----

local signs = {["$"] = "USD", ["us$"] = "USD", ["€"] = "EUR", ["£"] = "GBP"}
for code in ("AUD CAD CHF CZK DKK EUR GBP NOK NZD PLN SEK USD"):gmatch "%S+" do
  signs[code:lower()] = code
end

--- The currencies understood, all with two decimals: their ISO 4217 codes.
---@type string[]
cells.currencies = {}
for sign, code in pairs(signs) do
  if sign == code:lower() then table.insert(cells.currencies, code) end
end
table.sort(cells.currencies)

--- A currency by its code or sign: the ISO 4217 code.
--- Example: `cells.currency("€")` --> "EUR"
---@param text string
---@return string? code
---@return string? problem
function cells.currency(text)
  text = cells.text(text)
  if not text then return nil end
  local code = signs[text:lower()]
  if code then return code end
  return problem("is not one of %s", text, table.concat(cells.currencies, " "))
end

-- The last separator is the decimal one when both kinds occur. One kind alone separates thousands
-- when three digits follow it each time, as amounts have at most two decimals.
local function split_number(digits)
  local whole, mark, decimals = digits:match "^(.*%d)([.,])(%d+)$"
  if not whole then return digits, "" end
  local other = mark == "." and "," or "."
  if whole:find(mark, 1, true) or #decimals == 3 and not whole:find(other, 1, true)
    and not whole:match "^0*$" then
    return digits, ""
  end
  return whole, decimals
end

-- Whether the groups between separators have one, two or three digits first and then three each.
local function whole_digits(whole)
  if whole:match "^%d+$" then return whole end
  local mark = whole:match "%D"
  local first, rest = whole:match "^(%d%d?%d?)(%D.*)$"
  if not first then return nil end
  local left = rest:gsub("[" .. mark .. "]%d%d%d", "")
  return left == "" and whole:gsub("%D", "") or nil
end

--- An amount of money in minor units (cents), and its currency when the cell names one.
--- Understood are "1,234.50", "1.234,50", "1 234,50", "1'234.50", each with a sign or code on
--- either side.
--- Example: `cells.money("€ 1.234,5")` --> 123450, "EUR"
---@param text string
---@return integer? cents
---@return string? currency_or_problem
function cells.money(text)
  text = cells.text(text)
  if not text then return nil end
  local shown = text
  text = text:gsub("\u{202F}", " "):gsub("\u{2019}", "'")
  local before, digits, after = text:match "^(%D-) ?(%d[%d., ']*)(.-)$"
  if not before then return problem("is not an amount", shown) end
  if before:find("-", 1, true) or before:find("(", 1, true) then
    return problem("is below zero", shown)
  end
  local sign = (before .. after):lower()
  if sign ~= "" and not signs[sign] then
    return problem("is not an amount in a known currency", shown)
  end
  digits = digits:gsub(" $", "")
  local whole, decimals = split_number(digits)
  whole = whole_digits(whole)
  if not whole or #decimals > 2 or #whole > 15 then
    return problem("is not an amount", shown)
  end
  return math.tointeger(whole .. (decimals .. "00"):sub(1, 2)), signs[sign]
end

--- Minor units as text.
--- Example: `cells.money_text(123450)` --> "1,234.50"
---@param cents integer
---@param plain? boolean without thousands separators
---@return string
function cells.money_text(cents, plain)
  local whole = tostring(cents // 100)
  if not plain then
    whole = whole:reverse():gsub("(%d%d%d)", "%1,"):reverse():gsub("^,", "")
  end
  return ("%s.%02d"):format(whole, cents % 100)
end

-- ---- dates ----

local months = {"January", "February", "March", "April", "May", "June", "July", "August",
  "September", "October", "November", "December"}

local function month_of(name)
  for i, month in ipairs(months) do
    if #name >= 3 and month:sub(1, #name):lower() == name:lower() then return i end
  end
end

-- Year, month, day of the ways of writing that can mean one thing only.
local function read_clear(text)
  local y, m, d = text:match "^(%d%d%d%d)[-/.](%d%d?)[-/.](%d%d?)$"
  if y then return y, m, d end
  y, m, d = text:match "^(%d%d%d%d)%-(%d%d)%-(%d%d)[T ]%d%d:%d%d[%d:.]*[Z%d:+-]*$"
  if y then return y, m, d end
  d, m, y = text:match "^(%d%d?)%.(%d%d?)%.(%d%d%d%d)$"
  if y then return y, m, d end
  d, m, y = text:match "^(%d%d?)[ -](%a+)%.?[ -](%d%d%d%d)$"
  if y then return y, month_of(m), d end
  m, d, y = text:match "^(%a+)%.? (%d%d?),? (%d%d%d%d)$"
  if y then return y, month_of(m), d end
end

local function checked(y, m, d, shown)
  y, m, d = math.tointeger(y), math.tointeger(m), math.tointeger(d)
  if not m or not time.of {year = y, month = m, day = d} then
    return problem("is no day of the calendar", shown)
  end
  return ("%04d-%02d-%02d"):format(y, m, d)
end

---@class SlashDate a date such as 3/4/2026, which only its file can explain
---@field [1] integer
---@field [2] integer
---@field year integer
---@field shown string

--- A date as YYYY-MM-DD. One like 3/4/2026 comes back as a SlashDate for cells.settle.
--- Example: `cells.date("4 Mar 2026")` --> "2026-03-04"
---@param text string
---@return string|SlashDate|nil date
---@return string? problem
function cells.date(text)
  text = cells.text(text)
  if not text then return nil end
  local y, m, d = read_clear(text)
  if y then return checked(y, m, d, text) end
  local a, b, year = text:match "^(%d%d?)/(%d%d?)/(%d%d%d?%d?)$"
  if not a or #year == 3 then return problem("is not a date", text) end
  year = math.tointeger(year) + (#year == 2 and 2000 or 0)
  return {math.tointeger(a), math.tointeger(b), year = year, shown = text}
end

--- Which order the dates of a file are in, when one of them proves it and none the other.
---@param dates SlashDate[]
---@return "dmy"|"mdy"|nil
function cells.order_of(dates)
  local dmy, mdy
  for _, date in ipairs(dates) do
    if date[1] > 12 then dmy = "dmy" end
    if date[2] > 12 then mdy = "mdy" end
  end
  if not (dmy and mdy) then return dmy or mdy end
end

--- A SlashDate as YYYY-MM-DD by the order of its file; without one only if it can mean one day.
---@param date SlashDate
---@param order "dmy"|"mdy"|nil
---@return string? date
---@return string? problem
function cells.settle(date, order)
  local a, b = date[1], date[2]
  if not order and (a > 12 or b > 12 or a == b) then order = a > 12 and "dmy" or "mdy" end
  if not order then
    return problem("may be %d %s or %d %s: say --dates dmy or mdy", date.shown, a, months[b], b,
      months[a])
  end
  if order == "dmy" then a, b = b, a end
  return checked(date.year, a, b, date.shown)
end

return cells
