-- How leads are scored. Edit it while a run is going: what is scored from then on follows the edit.
-- `iza run qualify_leads` says which rules it used; --write-rules FILE makes a copy of them to
-- edit, and --rules FILE uses it.
--
-- A rule gives its points when `when(lead)` is true. A lead has
--   company domain contact email source date   text as in the file, date as YYYY-MM-DD
--   spend currency                             what it cost, in minor units of the currency:
--                                              12.50 is 1250
--   enrichment                                 "ok" when the enrichment service knew the domain
--   employees industry revenue country tech    and whatever else the service answered
-- and any other column of the file by its header; where the service answers the same field, its
-- answer counts. A field that is not known is nil. Text that plainly is a number (17, 2.50; not
-- 017) is that number here, unless `fields` says otherwise.

local function one_of(list)
  local set = {}
  for word in list:gmatch "%S+" do set[word] = true end
  return function(value) return set[value] == true end
end

local core_industry = one_of "software finance healthcare logistics"
local near_country = one_of "DE FR GB NL US"
local warm_source = one_of "referral partner webinar"

local function uses(lead, product)
  for _, name in ipairs(lead.tech or {}) do
    if name == product then return true end
  end
  return false
end

return {
  -- What the rules need of a field: "number", "text" or "list". A value that is none, such as
  -- "many" for employees, is reported with its lead and is nil here.
  fields = {employees = "number", industry = "text", country = "text", tech = "list"},

  rules = {
    {name = "500 or more employees", points = 25,
      when = function(lead) return (lead.employees or 0) >= 500 end},
    {name = "50 to 499 employees", points = 15,
      when = function(lead) return (lead.employees or 0) >= 50 and lead.employees < 500 end},
    {name = "core industry", points = 20,
      when = function(lead) return core_industry(lead.industry) end},
    {name = "country we serve", points = 10,
      when = function(lead) return near_country(lead.country) end},
    {name = "uses a CRM", points = 10,
      when = function(lead) return uses(lead, "crm") end},
    {name = "warm source", points = 20,
      when = function(lead) return warm_source((lead.source or ""):lower()) end},
    {name = "person with an address", points = 10,
      when = function(lead) return lead.contact ~= nil and lead.email ~= nil end},
    {name = "cost more than 500", points = -10,
      when = function(lead) return (lead.spend or 0) > 50000 end},
  },

  -- The first tier whose `at_least` the score reaches. Scores go from 0 to 100.
  tiers = {
    {name = "A", at_least = 65},
    {name = "B", at_least = 40},
    {name = "C", at_least = 0},
  },

  -- The group a lead is counted in.
  segment = function(lead) return lead.industry or "unknown" end,
}
