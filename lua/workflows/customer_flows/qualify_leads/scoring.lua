--- Scores a lead by a table of rules (rules.lua shows its form).
---
--- The table comes from a file that people edit while it is in use, so it is checked whole before
--- it is taken, on a lead with nothing but a company and a domain too: a rule that forgets that a
--- field may be missing is refused with its name instead of failing on the hundredth lead.
local scoring = {}

---@class LeadRules
---@field rules {name: string, points: number, when: fun(lead: Lead): any}[]
---@field tiers {name: string, at_least: number}[] from the highest to the lowest, which is 0
---@field segment fun(lead: Lead): string

local function refuse(text, ...) error("rules: " .. text:format(...), 0) end

local function is_name(value) return type(value) == "string" and value ~= "" end

local function check_rule(i, rule)
  if type(rule) ~= "table" or not is_name(rule.name) then refuse("rule %d has no name", i) end
  if type(rule.points) ~= "number" or rule.points ~= rule.points then
    refuse("points of '%s' must be a number", rule.name)
  end
  if type(rule.when) ~= "function" then refuse("when of '%s' must be a function", rule.name) end
end

local function check_tiers(tiers)
  if type(tiers) ~= "table" or #tiers == 0 then refuse "tiers must be a list" end
  local last = math.huge
  for i, tier in ipairs(tiers) do
    if type(tier) ~= "table" or not is_name(tier.name) then refuse("tier %d has no name", i) end
    local at_least = tier.at_least
    if type(at_least) ~= "number" or at_least ~= at_least or at_least >= last then
      refuse("at_least of tier '%s' must be a number below that of the tier before it", tier.name)
    end
    last = at_least
  end
  if last > 0 then refuse("the last tier, '%s', must have at_least = 0", tiers[#tiers].name) end
end

--- Raises what is wrong with the rules.
---@param rules any
function scoring.check(rules)
  if type(rules) ~= "table" then refuse "the file must return a table" end
  if type(rules.rules) ~= "table" then refuse "rules must be a list" end
  for i, rule in ipairs(rules.rules) do check_rule(i, rule) end
  check_tiers(rules.tiers)
  if type(rules.segment) ~= "function" then refuse "segment must be a function" end
  local result = scoring.score(rules, {line = 2, company = "A", domain = "a.example"})
  if result.failed then refuse("%s (a field that is not known is nil)", result.failed) end
end

-- Which points a rule gives, and what it raised.
local function apply(rule, lead)
  local ok, matched = pcall(rule.when, lead)
  if not ok then return 0, ("'%s': %s"):format(rule.name, tostring(matched)) end
  return matched and rule.points or 0
end

local function tier_of(rules, score)
  for _, tier in ipairs(rules.tiers) do
    if score >= tier.at_least then return tier.name end
  end
end

--- Scores a lead. A rule that raises gives no points and is named in `failed`.
--- Example: `scoring.score(rules, lead).tier` --> "A"
---@param rules LeadRules
---@param lead Lead
---@return {score: integer, tier: string, segment: string, reasons: string, failed: string?} result
function scoring.score(rules, lead)
  local sum, reasons, failed = 0, {}, nil
  for _, rule in ipairs(rules.rules) do
    local points, problem = apply(rule, lead)
    failed = failed or problem
    sum = sum + points
    if points ~= 0 then reasons[#reasons + 1] = ("%s %+g"):format(rule.name, points) end
  end
  local score = math.floor(math.max(0, math.min(100, sum)) + 0.5)
  local ok, segment = pcall(rules.segment, lead)
  if not ok then failed = failed or "segment: " .. tostring(segment) end
  return {score = score, tier = tier_of(rules, score), failed = failed,
    segment = ok and is_name(segment) and segment or "unknown",
    reasons = table.concat(reasons, "; ")}
end

return scoring
