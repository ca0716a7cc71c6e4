--- What an enrichment answer adds to a lead: the fields that a row of the result can hold.
---
--- A service decides what it answers, so nothing of it is taken unseen. What a lead is made of and
--- what qualify_leads itself finds out (score, tier ...) cannot be set by it. null and blank text
--- are no value. Text is cleaned as the file's is. What no cell can hold is named and left out.
local cells = require "workflows.customer_flows.qualify_leads.cells"
local json = require "iza.json"
local term = require "iza.term"

local MAX_NAME = 100 -- bytes of a field's name
local MAX_CELL = 32767 -- bytes: what a spreadsheet's cell holds
local MAX_COLUMNS = 1000 -- that answers may add to the result

---@class EnrichmentAnswers
---@field taken table<string, any> names that an answer cannot set
---@field names table<string, true> of the fields taken so far
---@field count integer how many those are
local Answers = {}
Answers.__index = Answers

local answer = {}

--- What keeps the answers of one run.
--- Example: `local answers = answer.new(report.reserved)`
---@param taken table<string, any> names that an answer cannot set
---@return EnrichmentAnswers
function answer.new(taken)
  return setmetatable({taken = taken, names = {}, count = 0}, Answers)
end

local function without_nulls(list)
  local kept = json.array()
  for _, item in ipairs(list) do
    if item ~= json.null then kept[#kept + 1] = item end
  end
  return kept
end

-- The value as a lead has it; nil for none, or nil and what is wrong. An empty object becomes an
-- empty list: some languages cannot tell the two.
local function value_of(value)
  if value == json.null then return nil end
  if type(value) == "string" then value = cells.text(value) end
  if type(value) == "table" and next(value) == nil then value = json.array() end
  if json.is_array(value) then value = without_nulls(value) end
  local size = type(value) == "string" and #value or type(value) == "table"
    and #json.encode(value, {max = "16MB"}) or 0
  if size > MAX_CELL then return nil, ("%d bytes are too long for a cell"):format(size) end
  return value
end

local function accept_name(self, name)
  if name == "" or #name > MAX_NAME or name:find "%c" then return nil, "it cannot name a column" end
  if self.names[name] then return true end
  if self.count == MAX_COLUMNS then
    return nil, ("the answers have more than %d fields"):format(MAX_COLUMNS)
  end
  self.names[name], self.count = true, self.count + 1
  return true
end

--- The fields of an answer that join a lead, and what is wrong with others.
--- Example: `local fields, problems = answers:read {employees = 12, spend = 5}`
---@param fields table<string, any> a decoded JSON object
---@return table<string, any> fields
---@return string[] problems one line each, by the fields' names
function Answers:read(fields)
  local names, kept, problems = {}, {}, {}
  for name in pairs(fields) do
    if not self.taken[name] then names[#names + 1] = name end
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local value, problem = value_of(fields[name])
    if value ~= nil then
      local ok
      ok, problem = accept_name(self, name)
      if ok then kept[name] = value end
    end
    if problem then
      local shown = term.truncate(cells.text(name) or "", 60)
      problems[#problems + 1] = ("'%s' of the answer: %s"):format(shown, problem)
    end
  end
  return kept, problems
end

return answer
