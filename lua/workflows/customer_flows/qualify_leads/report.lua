--- What a run of qualify_leads hands out: the rows of the result file and the summary.
local cells = require "workflows.customer_flows.qualify_leads.cells"
local json = require "iza.json"
local new_pace = require "workflows.customer_flows.qualify_leads.pace"
local term = require "iza.term"

local SEGMENTS = 10 -- lines of the table; the JSON summary has all

local report = {}

local first = {"company", "domain", "contact", "email", "source", "spend", "currency", "date"}
local scored = {"score", "tier", "segment", "enrichment"}
local last = {"reasons", "rules_version", "line"}

local function set_of(lists)
  local set = {}
  for _, list in ipairs(lists) do
    for _, name in ipairs(list) do set[name] = true end
  end
  return set
end

--- Columns that only the result has: a file cannot fill them.
---@type table<string, true>
report.own_columns = set_of {scored, last}

--- Those, and what a lead is made of: an enrichment answer cannot fill them.
---@type table<string, true>
report.reserved = set_of {first, scored, last}

-- ---- the result file ----

--- The columns of the result: those of a lead, the score, what enrichment added (sorted), the
--- file's other columns, the reasons.
---@param file table of lead_file.read
---@param leads Lead[]
---@return string[]
function report.columns(file, leads)
  local known, added, pace = set_of {first, scored, file.extras, last}, {}, new_pace()
  for _, lead in ipairs(leads) do
    pace()
    for name in pairs(lead) do
      if not known[name] then
        known[name] = true
        added[#added + 1] = name
      end
    end
  end
  table.sort(added)
  local columns = {}
  for _, list in ipairs {first, scored, added, file.extras, last} do
    table.move(list, 1, #list, #columns + 1, columns)
  end
  return columns
end

-- Lists of plain values read as a person writes them; anything deeper stays JSON.
local function cell(value)
  if type(value) ~= "table" then return value end
  if not json.is_array(value) then return (json.encode(value)) end
  local out = {}
  for i, item in ipairs(value) do
    if type(item) == "table" then return (json.encode(value)) end
    out[i] = tostring(item)
  end
  return table.concat(out, "; ")
end

--- One row of the result.
---@param lead Lead
---@param result table of scoring.score, with the version of the rules
---@param columns string[]
---@return table<string, any>
function report.row(lead, result, columns)
  local row = {}
  for _, name in ipairs(columns) do row[name] = cell(lead[name]) end
  row.spend = lead.spend and cells.money_text(lead.spend, true)
  row.score, row.tier, row.segment = result.score, result.tier, result.segment
  row.reasons, row.rules_version = result.reasons, result.version
  return row
end

-- ---- the summary ----

local function new_group(name)
  return {name = name, leads = 0, enriched = 0, score = 0, spend = {}}
end

local function count(group, lead, result)
  group.leads = group.leads + 1
  group.score = group.score + result.score
  if lead.enrichment == "ok" then group.enriched = group.enriched + 1 end
  if lead.spend then
    group.spend[lead.currency] = (group.spend[lead.currency] or 0) + lead.spend
  end
end

local function finish(group)
  local average = group.leads > 0 and group.score / group.leads or 0
  group.average_score = math.floor(average * 10 + 0.5) / 10
  group.score = nil
  return group
end

-- The groups that `name_of` makes; those in `names` come first, also when they are empty.
local function grouped(run, names, name_of)
  local groups, of = {}, {}
  local function group_of(name)
    if not of[name] then
      of[name] = new_group(name)
      groups[#groups + 1] = of[name]
    end
    return of[name]
  end
  for _, name in ipairs(names) do group_of(name) end
  local pace = new_pace()
  for _, lead in ipairs(run.leads) do
    pace()
    count(group_of(name_of(run.results[lead])), lead, run.results[lead])
  end
  for _, group in ipairs(groups) do finish(group) end
  return json.array(groups)
end

-- How many leads each version of the rules scored.
local function versions(run)
  local list, pace = json.array(), new_pace()
  for version = 1, run.rules.version do list[version] = 0 end
  for _, lead in ipairs(run.leads) do
    pace()
    local version = run.results[lead].version
    list[version] = list[version] + 1
  end
  return list
end

--- The summary as data; --json prints it.
---@param run table
---@return table
function report.summary(run)
  local names = {}
  for i, tier in ipairs(run.rules.value.tiers) do names[i] = tier.name end
  local segments = grouped(run, {}, function(result) return result.segment end)
  table.sort(segments, function(a, b)
    if a.leads ~= b.leads then return a.leads > b.leads end
    return a.name < b.name
  end)
  local total = grouped(run, {"total"}, function() return "total" end)[1]
  return {
    file = run.file, out = run.out,
    rows = {read = #run.leads + #run.input.bad, used = #run.leads, left_out = #run.input.bad},
    left_out = json.array(run.input.bad), columns = run.input.found,
    tiers = grouped(run, names, function(result) return result.tier end),
    segments = segments, total = total,
    enrichment = run.counts,
    rules = {file = run.rules.path or "built in", scored_by_version = versions(run)},
    seconds = math.floor(run.seconds * 1000 + 0.5) / 1000,
  }
end

-- A column for each currency of the file.
local function spend_columns(columns, total)
  local currencies = {}
  for currency in pairs(total.spend) do currencies[#currencies + 1] = currency end
  table.sort(currencies)
  for _, currency in ipairs(currencies) do
    columns[#columns + 1] = {key = "spend", title = "spend " .. currency, align = "right",
      format = function(spend) return spend[currency] and cells.money_text(spend[currency]) end}
  end
  return columns
end

local function group_table(title, groups, total)
  local rows = table.move(groups, 1, #groups, 1, {})
  rows[#rows + 1] = total
  return term.table(rows, {columns = spend_columns({
    {key = "name", title = title}, {key = "leads"}, {key = "enriched"},
    {key = "average_score", title = "avg score", format = "%.1f"},
  }, total)})
end

-- "1 retry", "2 retries"
local function times(n, one, many) return ("%d %s"):format(n, n == 1 and one or many) end

--- The statuses answered, and how often.
--- Example: `report.answers {statuses = {["200"] = 4, ["404"] = 1}}` --> "200 4 times, 404 once"
---@param counts EnrichmentCounts
---@return string
function report.answers(counts)
  local statuses = {}
  for status in pairs(counts.statuses) do statuses[#statuses + 1] = status end
  table.sort(statuses)
  for i, status in ipairs(statuses) do
    local n = counts.statuses[status]
    statuses[i] = n == 1 and status .. " once" or ("%s %d times"):format(status, n)
  end
  return #statuses > 0 and table.concat(statuses, ", ") or "never"
end

local function enrichment_line(s)
  local c = s.enrichment
  local line = ("enrichment: %d of %s enriched by %s, %s (%d slow, %d broken, %d told to wait)")
    :format(s.total.enriched, times(s.total.leads, "lead", "leads"),
      times(c.requests, "request", "requests"), times(c.retries, "retry", "retries"), c.slow,
      c.broken, c.limited)
  if s.total.enriched == s.total.leads then return line end
  return line .. "; it answered " .. report.answers(c)
end

-- Under which header each column was found.
local function columns_line(s)
  local parts = {}
  for _, column in ipairs(first) do
    local header = s.columns[column]
    if header then parts[#parts + 1] = ('%s "%s"'):format(column, cells.text(header) or "") end
  end
  return "columns: " .. table.concat(parts, ", ")
end

local function rules_line(s)
  local by, parts = s.rules.scored_by_version, {}
  if #by == 1 then return "rules: " .. s.rules.file end
  for version, n in ipairs(by) do parts[version] = ("%d by version %d"):format(n, version) end
  return ("rules: %s, edited during the run: %s"):format(s.rules.file, table.concat(parts, ", "))
end

--- The summary for people.
---@param s table of report.summary
---@return string
function report.text(s)
  local shown = table.move(s.segments, 1, math.min(#s.segments, SEGMENTS), 1, {})
  local rest = #s.segments - #shown
  return table.concat({
    ("%s: %s, %d used, %d left out"):format(s.file, times(s.rows.read, "row", "rows"), s.rows.used,
      s.rows.left_out), columns_line(s),
    "", group_table("tier", s.tiers, s.total),
    "", group_table("segment", shown, s.total)
      .. (rest > 0 and ("\n(and %s)"):format(times(rest, "segment more", "segments more")) or ""),
    "", enrichment_line(s), rules_line(s), ("%.1f s; result in %s"):format(s.seconds, s.out),
  }, "\n")
end

return report
