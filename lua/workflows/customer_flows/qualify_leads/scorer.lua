--- Scores leads by rules that others write and edit meanwhile, so that none can hold up the run.
---
--- The leads of an answer are scored in one task with a budget of CPU time, one such task at a
--- time. A rule that uses it up is stopped, gives no points and is not asked again until it is
--- edited. (Inside one long C call, such as a pattern's, it cannot be stopped.)
local new_pace = require "workflows.customer_flows.qualify_leads.pace"
local scoring = require "workflows.customer_flows.qualify_leads.scoring"
local task = require "iza.core.task"

local CPU = 0.5 -- seconds between two waits; a lead takes some microseconds

---@class LeadScorer
---@field rules {value: LeadRules, version: integer} those in use; both change with an edit
local Scorer = {}
Scorer.__index = Scorer

local scorer = {}

--- What scores the leads of one run.
--- Example: `local by_rules = scorer.new(hot.file "rules.lua")`
---@param rules {value: LeadRules, version: integer}
---@return LeadScorer
function scorer.new(rules)
  return setmetatable({rules = rules, watch = {stopped = {}}, turn = iza.channel(1)}, Scorer)
end

local function place_of(f)
  local info = debug.getinfo(f, "S")
  return ("%s:%d"):format(info.short_src, info.linedefined)
end

-- Waits for the end; a rule that had to be stopped is noted as such, anything else is raised.
local function finish(self, running)
  local ok, err = pcall(running.join, running)
  local at = self.watch.at
  self.watch.at = nil
  if ok then return end
  if not at or type(err) ~= "table" or err.code ~= "limit" then error(err, 0) end
  self.watch.stopped[at] = ("%s: it was stopped after %g s without an end"):format(place_of(at),
    CPU)
end

--- Scores leads one after the other and hands out each result, which has the rules' version.
--- Example: `by_rules:each(leads, function(lead, result) print(lead.company, result.score) end)`
---@param leads Lead[]
---@param done fun(lead: Lead, result: table) not called twice for a lead
function Scorer:each(leads, done)
  self.turn:send(true)
  local _ <close> = setmetatable({}, {__close = function() self.turn:recv() end})
  local n, watch = 1, self.watch
  local function some()
    local pace = new_pace()
    while leads[n] do
      pace()
      local version = self.rules.version
      local result = scoring.score(self.rules.value, leads[n], watch)
      result.version = version
      n = n + 1
      done(leads[n - 1], result)
    end
  end
  while leads[n] do finish(self, task.bounded(CPU, some)) end
end

--- Raises what is wrong with the rules, as scoring.check, also that one of them does not end.
--- Example: `hot.file("rules.lua", {check = scorer.check})`
---@param rules any
function scorer.check(rules)
  scoring.check(rules, function(lead)
    local found
    scorer.new({value = rules, version = 1}):each({lead}, function(_, result) found = result end)
    return found
  end)
end

return scorer
