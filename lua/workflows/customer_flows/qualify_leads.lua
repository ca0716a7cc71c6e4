--- Enriches, scores and ranks the leads of a CSV file.
---
--- It asks an enrichment service about each company, scores every lead by rules that can be edited
--- meanwhile, and writes the leads, best first, with a summary:
---
---     iza run qualify_leads leads.csv --enrich http://127.0.0.1:8090/enrich --out scored.csv
---
--- Leads of one domain share one request. A lead whose domain the service does not know, or about
--- which it gave no usable answer, is kept and marked in the column `enrichment`. When the service
--- as a whole fails, nothing is written. The result takes its place at the end and in one go, so
--- that a run that is stopped leaves an older result as it was. Its rows are ordered by score from
--- the highest, and those of one score by their line in the input.
local args = require "iza.args"
local cells = require "workflows.customer_flows.qualify_leads.cells"
local csv = require "iza.csv"
local enrichment = require "workflows.customer_flows.qualify_leads.enrichment"
local hot = require "iza.hot"
local json = require "iza.json"
local lead_file = require "workflows.customer_flows.qualify_leads.file"
local report = require "workflows.customer_flows.qualify_leads.report"
local scoring = require "workflows.customer_flows.qualify_leads.scoring"
local term = require "iza.term"

local RULES = "workflows.customer_flows.qualify_leads.rules"

local cli = args.new {
  name = "iza run qualify_leads",
  about = "Reads a leads file, enriches each lead over HTTP, scores it by rules, and writes the "
    .. "leads, best first. A row with a problem is reported by its line and left out.",
  {"file", type = "file", help = "the CSV; its columns are found by their header: company, domain, "
    .. "contact, email, source, spend, date, and what such files call them"},
  {"--enrich URL", required = true, help = "GET URL?domain=... answers a JSON object"},
  {"-o, --out OUT", help = "the result; default: FILE_qualified.csv in the present folder"},
  {"--rules FILE", type = "file", help = "the rules; default: the project's "
    .. "lua/workflows/customer_flows/qualify_leads/rules.lua, else those built in"},
  {"--limit N", type = "integer", default = 16, min = 1, max = 1000, help = "requests at once"},
  {"--timeout D", type = "duration", default = 10, min = 0.01,
    help = "for one request, such as 5 or 500ms"},
  {"--currency CODE", type = "enum", choices = cells.currencies, default = "USD",
    help = "of amounts that name none"},
  {"--dates ORDER", type = "enum", choices = {"dmy", "mdy"},
    help = "how 3/4/2026 is meant; default: as the file's other dates show"},
  {"--encoding NAME", help = "of the file, such as windows-1252; default UTF-8"},
  {"--json", help = "print the summary as JSON"},
  examples = {
    "iza run qualify_leads leads.csv --enrich https://data.example/v1/company",
    "iza run qualify_leads leads.csv --enrich http://127.0.0.1:8090/enrich --limit 4 --json",
  },
}

local function say(text, ...) io.stderr:write(text:format(...), "\n") end

local function stop(status, text, ...)
  say("qualify_leads: " .. text, ...)
  os.exit(status, true)
end

-- ---- what the run works with ----

-- The rules in use and where they are; those built in cannot be edited.
local function load_rules(path)
  path = path or package.searchpath(RULES, package.path)
  if not path then return {value = require(RULES), version = 1} end
  local rules, err = hot.file(path, {check = scoring.check})
  if not rules then stop(1, "%s", tostring(err):match "^[^\n]*") end
  rules.on_change = function() say("%s: the edit is in use from here on", path) end
  return rules
end

local function same_file(a, b)
  local fa, fb = io.open(a, "r"), io.open(b, "r")
  if fa then fa:close() end
  if fb then fb:close() end
  local strip = function(path) return path:gsub("/%./", "/"):gsub("^%./", "") end
  return fa and fb and strip(a) == strip(b)
end

local function out_path(opts)
  local out = opts.out or opts.file:match "[^/]*$":gsub("%.[^.]*$", "") .. "_qualified.csv"
  if same_file(out, opts.file) then stop(2, "--out %s is the input", out) end
  local try, err = csv.writer(out) -- better now than after all the work
  if not try then stop(1, "%s", err) end
  try:abort()
  return out
end

local function read_leads(opts)
  local file, err = lead_file.read(opts.file, {currency = opts.currency, dates = opts.dates,
    encoding = opts.encoding, taken = report.own_columns})
  if not file then stop(1, "%s", err) end
  for _, row in ipairs(file.bad) do say("%s:%d: left out: %s", opts.file, row.line, row.reason) end
  if #file.leads == 0 then stop(1, "%s has no lead that can be used", opts.file) end
  return file
end

-- ---- the work ----

-- The leads of each domain, in the order in which the domains first appear.
local function by_domain(leads)
  local groups, of = {}, {}
  for _, lead in ipairs(leads) do
    local group = of[lead.domain]
    if not group then
      group = {domain = lead.domain}
      of[lead.domain], groups[#groups + 1] = group, group
    end
    group[#group + 1] = lead
  end
  return groups
end

-- What the file says about a lead stays; the answer adds to it.
local function join(lead, fields, err)
  lead.enrichment = fields and "ok" or err.code == "unknown" and "unknown"
    or "failed: " .. err.message
  for name, value in pairs(fields or {}) do
    if lead[name] == nil and not report.own_columns[name] then lead[name] = value end
  end
end

local function score(lead, rules, run)
  local result = scoring.score(rules.value, lead)
  result.version = rules.version
  run.results[lead] = result
  if result.failed and not run.rule_errors[result.failed] then
    run.rule_errors[result.failed] = true
    run.failed = true
    say("qualify_leads: a rule fails: %s (%s, line %d)", result.failed, lead.company, lead.line)
  end
end

-- Takes up one domain after the other until none is left or the source is closed.
local function work(queue, source, rules, run, progress)
  while not source.closed do
    queue.at = queue.at + 1
    local group = queue[queue.at]
    if not group then return end
    local fields, err = source:lookup(group.domain)
    if err and err.code == "closed" then return end
    for _, lead in ipairs(group) do
      join(lead, fields, err)
      score(lead, rules, run)
      progress:add(1)
    end
  end
end

local function enrich_and_score(opts, leads, source, rules)
  local run = {results = {}, rule_errors = {}}
  local queue = by_domain(leads)
  queue.at = 0
  local progress <close> = term.progress {label = "leads", total = #leads}
  iza.scope(function(scope)
    for _ = 1, math.min(opts.limit, #queue) do
      scope:spawn(work, queue, source, rules, run, progress)
    end
  end)
  local problem = source:problem()
  if problem then
    progress:done()
    stop(1, "%s; nothing was written", problem)
  end
  return run
end

local function best_first(leads, results)
  local order = table.move(leads, 1, #leads, 1, {})
  table.sort(order, function(a, b)
    local x, y = results[a].score, results[b].score
    if x ~= y then return x > y end
    return a.line < b.line
  end)
  return order
end

local function write(path, file, order, results)
  local columns = report.columns(file, order)
  local writer <close>, err = csv.writer(path, {columns = columns})
  local ok = writer
  for _, lead in ipairs(ok and order or {}) do
    ok, err = writer:write(report.row(lead, results[lead], columns))
    if not ok then break end
  end
  if ok then ok, err = writer:close() end
  if not ok then stop(1, "%s", err) end
end

-- ---- the run ----

local function main(argv)
  local started = iza.now()
  local opts = cli:parse_or_exit(argv)
  local out = out_path(opts)
  local rules = load_rules(opts.rules)
  local file = read_leads(opts)
  local source = enrichment.source(opts.enrich, opts.timeout)
  local run = enrich_and_score(opts, file.leads, source, rules)
  local order = best_first(file.leads, run.results)
  write(out, file, order, run.results)
  local summary = report.summary {file = opts.file, out = out, input = file, leads = order,
    results = run.results, counts = source.counts, rules = rules, seconds = iza.now() - started}
  print(opts.json and json.encode(summary) or report.text(summary))
  if run.failed then stop(1, "some leads were scored without a rule that failed") end
end

main {...}
