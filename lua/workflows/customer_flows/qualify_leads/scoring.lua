--- Scores a lead by a table of rules (rules.lua shows its form).
---
--- The table comes from a file that people edit while it is in use, so it is checked whole before
--- it is taken, on a lead with nothing but a company and a domain too: a rule that forgets that a
--- field may be missing is refused with its name and line instead of failing on the hundredth lead.
---
--- Rules see a copy of the lead in which values have the types that the rules name: a file has only
--- text, and a service answers as it likes.
local cells = require "workflows.customer_flows.qualify_leads.cells"
local json = require "iza.json"
local lead_file = require "workflows.customer_flows.qualify_leads.file"
local nearest = require "iza.nearest"
local term = require "iza.term"

local scoring = {}

---@class LeadRules
---@field fields? table<string, "number"|"text"|"list"> what the rules need of a field
---@field rules {name: string, points: number, when: fun(lead: Lead): any}[]
---@field tiers {name: string, at_least: number}[] from the highest to the lowest, which is 0
---@field segment fun(lead: Lead): string

-- ---- what a rule sees ----

local own = {line = true, enrichment = true}
for _, name in ipairs(lead_file.columns) do own[name] = true end

-- What report.cell made of a list, as a list again.
local function split(text)
  local list = {}
  for item in text:gmatch "[^;]+" do list[#list + 1] = cells.text(item) end
  return list
end

-- The value as the type, or nil.
local as = {
  number = function(value)
    if type(value) == "string" then value = cells.number(value) end
    return type(value) == "number" and value or nil
  end,
  text = function(value)
    if type(value) == "number" then value = tostring(value) end
    return type(value) == "string" and value or nil
  end,
  list = function(value)
    if type(value) == "string" then value = split(value) end
    return type(value) == "table" and (json.is_array(value) or #value > 0) and value or nil
  end,
}

local function shown(value)
  local text = type(value) == "table" and json.encode(value) or tostring(value)
  return "'" .. term.truncate(text, 40) .. "'"
end

-- A copy of the lead for the rules, and what in it was not of its type.
local function view(rules, lead)
  local copy, unfit = {}, nil
  for name, value in pairs(lead) do
    local want = not own[name] and rules.fields and rules.fields[name]
    if want then
      copy[name] = as[want](value)
      if copy[name] == nil then
        unfit = unfit or {}
        unfit[#unfit + 1] = ("%s %s is no %s, so the rules do not see it"):format(name,
          shown(value), want)
      end
    elseif not own[name] and type(value) == "string" then
      copy[name] = cells.number(value) or value
    else
      copy[name] = value
    end
  end
  if unfit then table.sort(unfit) end
  return copy, unfit
end

-- ---- scoring ----

-- What code raised, in one line.
local function in_words(err)
  if type(err) == "table" and not (getmetatable(err) or {}).__tostring then
    err = type(err.message) == "string" and err.message or json.encode(err) or "a table"
  end
  return term.truncate(cells.text(tostring(err)) or "no reason given", 300)
end

-- Calls a function of the rules: its value, or nil and what it raised.
local function ask(f, lead, watch)
  if watch.stopped[f] then return nil, watch.stopped[f] end
  watch.at = f
  local ok, value = pcall(f, lead)
  watch.at = nil
  if ok then return value end
  return nil, in_words(value)
end

local function tier_of(rules, score)
  for _, tier in ipairs(rules.tiers) do
    if score >= tier.at_least then return tier.name end
  end
end

local function is_name(value) return type(value) == "string" and value ~= "" end

---@class LeadWatch
---@field at? function of the rules, which runs now
---@field stopped table<function, string> those not to be called, and why

--- Scores a lead. A rule that raises gives no points; the first such is in `failed`.
--- Example: `scoring.score(rules, lead).tier` --> "A"
---@param rules LeadRules
---@param lead Lead
---@param watch? LeadWatch
---@return {score: integer, tier: string, segment: string, reasons: string,
--- failed: {name: string, problem: string}?, unfit: string[]?} result unfit: values that are not of
--- the type in rules.fields
function scoring.score(rules, lead, watch)
  watch = watch or {stopped = {}}
  local seen, unfit = view(rules, lead)
  local sum, reasons, failed = 0, {}, nil
  for _, rule in ipairs(rules.rules) do
    local matched, problem = ask(rule.when, seen, watch)
    local points = matched and rule.points or 0
    failed = failed or problem and {name = rule.name, problem = problem}
    sum = sum + points
    if points ~= 0 then reasons[#reasons + 1] = ("%s %+g"):format(rule.name, points) end
  end
  local score = math.floor(math.max(0, math.min(100, sum)) + 0.5)
  local segment, problem = ask(rules.segment, seen, watch)
  failed = failed or problem and {name = "segment", problem = problem}
  return {score = score, tier = tier_of(rules, score), failed = failed, unfit = unfit,
    segment = is_name(segment) and segment or "unknown",
    reasons = table.concat(reasons, "; ")}
end

-- ---- the check ----

-- Raises the problem, with its place where a function of the file shows it.
local function refuse(where, text, ...)
  local place = "rules: "
  if type(where) == "function" then
    local info = debug.getinfo(where, "S")
    place = ("%s:%d: "):format(info.short_src, info.linedefined)
  end
  error(place .. text:format(...), 0)
end

-- A name that is nearly a known one is that one misspelt; any other is the author's own.
local function check_names(where, what, value, known)
  for name in pairs(value) do
    local near = type(name) == "string" and nearest(name, known)
    if near and near ~= name then
      refuse(where, "%s has '%s'; did you mean '%s'?", what, name, near)
    end
  end
end

local function check_fields(fields)
  if fields == nil then return end
  if type(fields) ~= "table" then refuse(nil, "fields must be a table") end
  for name, want in pairs(fields) do
    if not is_name(name) or not as[want] then
      refuse(nil, "fields: %s must be \"number\", \"text\" or \"list\"", tostring(name))
    end
    if own[name] then refuse(nil, "fields: %s has a type of its own", name) end
  end
end

local function check_rule(i, rule)
  local when = type(rule) == "table" and rule.when
  if type(rule) ~= "table" or not is_name(rule.name) then refuse(when, "rule %d has no name", i) end
  check_names(when, "'" .. rule.name .. "'", rule, {"name", "points", "when"})
  if math.type(rule.points) == nil or rule.points - rule.points ~= 0 then
    refuse(when, "points of '%s' must be a number", rule.name)
  end
  if type(when) ~= "function" then refuse(nil, "when of '%s' must be a function", rule.name) end
end

local function check_tiers(tiers)
  if type(tiers) ~= "table" or #tiers == 0 then refuse(nil, "tiers must be a list") end
  local last = math.huge
  for i, tier in ipairs(tiers) do
    if type(tier) ~= "table" or not is_name(tier.name) then
      refuse(nil, "tier %d has no name", i)
    end
    check_names(nil, "tier '" .. tier.name .. "'", tier, {"name", "at_least"})
    local at_least = tier.at_least
    if type(at_least) ~= "number" or at_least ~= at_least or at_least >= last then
      refuse(nil, "at_least of tier '%s' must be a number below that of the tier before it",
        tier.name)
    end
    last = at_least
  end
  if last > 0 then
    refuse(nil, "the last tier, '%s', must have at_least = 0", tiers[#tiers].name)
  end
end

--- Raises what is wrong with the rules; where a function shows the place, with FILE:LINE.
---@param rules any
---@param score? fun(lead: Lead): table as scoring.score with these rules
function scoring.check(rules, score)
  if type(rules) ~= "table" then refuse(nil, "the file must return a table") end
  check_names(nil, "the table", rules, {"fields", "rules", "tiers", "segment"})
  if type(rules.rules) ~= "table" then refuse(nil, "rules must be a list") end
  for i, rule in ipairs(rules.rules) do check_rule(i, rule) end
  check_tiers(rules.tiers)
  check_fields(rules.fields)
  if type(rules.segment) ~= "function" then refuse(nil, "segment must be a function") end
  local least = {line = 2, company = "A", domain = "a.example"}
  local failed = (score and score(least) or scoring.score(rules, least)).failed
  if not failed then return end
  local place, problem = failed.problem:match "^(.-:%d+: )(.*)$"
  error(("%s'%s': %s (a field that is not known is nil)"):format(place or "rules: ", failed.name,
    problem or failed.problem), 0)
end

return scoring
