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
---
--- The columns that a lead is made of (company, domain ... date) are the file's alone. In any other
--- column an answer of the service takes the place of what the file says, so that a result can be
--- read again and gets fresh answers.
local answer = require "workflows.customer_flows.qualify_leads.answer"
local args = require "iza.args"
local cells = require "workflows.customer_flows.qualify_leads.cells"
local csv = require "iza.csv"
local embedded = require "iza.core.embedded"
local enrichment = require "workflows.customer_flows.qualify_leads.enrichment"
local fs = require "iza.fs"
local host = require "iza.core.host"
local hot = require "iza.hot"
local json = require "iza.json"
local lead_file = require "workflows.customer_flows.qualify_leads.file"
local nearest = require "iza.nearest"
local new_pace = require "workflows.customer_flows.qualify_leads.pace"
local report = require "workflows.customer_flows.qualify_leads.report"
local scorer = require "workflows.customer_flows.qualify_leads.scorer"
local term = require "iza.term"

local RULES = "workflows.customer_flows.qualify_leads.rules"

local cli = args.new {
  name = "iza run qualify_leads",
  about = "Reads a leads file, enriches each lead over HTTP, scores it by rules, and writes the "
    .. "leads, best first. A row with a problem is reported by its line and left out.",
  {"file", type = "file", help = "the CSV (-: standard input); its columns are found by their "
    .. "header: company, domain, contact, email, source, spend, currency, date, and what such "
    .. "files call them. Others are carried along; there an answer of the service counts more"},
  {"--enrich URL", required = true, help = "GET URL?domain=... answers a JSON object, whose fields "
    .. "join the lead; they never change its own columns"},
  {"-o, --out OUT", help = "the result; default: FILE_qualified.csv in the present folder"},
  {"--column MAP", many = true, help = "a column's header where it is not found, such as "
    .. "contact=\"Account owner\""},
  {"--rules FILE", type = "file", help = "rules of your own, which you may edit meanwhile"},
  {"--write-rules FILE", help = "only write the rules to a new FILE, to be edited and used by "
    .. "--rules"},
  {"--limit N", type = "integer", default = 16, min = 1, max = 1000, help = "requests at once"},
  {"--timeout D", type = "duration", default = 10, min = 0.01,
    help = "for one request, such as 5 or 500ms"},
  {"--currency CODE", type = "enum", choices = cells.currencies, default = "USD",
    help = "of amounts whose row names none"},
  {"--dates ORDER", type = "enum", choices = {"dmy", "mdy"},
    help = "how 3/4/2026 is meant; default: as the file's other dates show"},
  {"--encoding NAME", default = "utf-8", help = "of the file: " .. lead_file.encodings},
  {"--json", help = "print the summary as JSON"},
  examples = {
    "iza run qualify_leads leads.csv --enrich https://data.example/v1/company",
    "iza run qualify_leads leads.csv --enrich http://127.0.0.1:8090/enrich --limit 4 --json",
    "iza run qualify_leads --write-rules rules.lua",
  },
}

-- --write-rules stands alone: it needs neither a file nor a service.
local rules_cli = args.new {name = "iza run qualify_leads", {"--write-rules FILE", required = true}}

local function say(text, ...) io.stderr:write(text:format(...), "\n") end

local function stop(status, text, ...)
  say("qualify_leads: " .. text, ...)
  os.exit(status, true)
end

-- ---- what the run works with ----

local function line_of(path, number)
  local f <close> = io.open(path, "r")
  if not f then return nil end
  local n = 0
  for line in f:lines() do
    n = n + 1
    if n == number then return line end
  end
end

-- What is wrong with a rules file: its place, the problem, and the line as it stands there.
local function quoted(path, err)
  local text = tostring(err):match "^[^\n]*"
  local file, number, problem = text:match "^(.-):(%d+): (.*)$"
  if not file then return ("%s: %s"):format(path, text) end
  if file:sub(1, 3) == "..." then file = path end -- Lua cuts long names
  local line = line_of(file, math.tointeger(number))
  return ("%s:%s: %s"):format(file, number, problem)
    .. (line and ("\n%8s | %s"):format(number, line) or "")
end

-- The rules in use and where they are; those built in cannot be edited.
local function load_rules(path)
  path = path or package.searchpath(RULES, package.path)
  if not path then return {value = require(RULES), version = 1} end
  local rules, err = hot.file(path, {check = scorer.check, on_error = function(err)
    say("the edit is not taken, the old rules go on: %s", quoted(path, err))
  end})
  if not rules then stop(1, "%s", quoted(path, err)) end
  rules.on_change = function() say("%s: the edit is in use from here on", path) end
  return rules
end

local function write_rules(path)
  local there = package.searchpath(RULES, package.path)
  local text, err = there and fs.read(there), nil
  if not there then text = embedded.read("lua/" .. RULES:gsub("%.", "/") .. ".lua") end
  if fs.exists(path) then stop(1, "%s is there already; it was left as it is", path) end
  if text then text, err = fs.write(path, text) end
  if not text then stop(1, "%s", err) end
  print(("%s has the rules. Edit it, also during a run, and use it by --rules %s"):format(path,
    path))
end

-- Whether two paths lead to one file. (A hard link is another: the result takes a name's place.)
local function same_file(a, b)
  local there = host.real(a)
  return there ~= nil and there == host.real(b)
end

local function out_path(opts)
  local out = opts.out or opts.file:match "[^/]*$":gsub("%.[^.]*$", "") .. "_qualified.csv"
  if out == "-" then stop(2, "--out - is no file; the result needs one") end
  if same_file(out, opts.file) then stop(2, "--out %s is the input", out) end
  if opts.rules and same_file(out, opts.rules) then stop(2, "--out %s has the rules", out) end
  local try, err = csv.writer(out) -- better now than after all the work
  if not try then stop(1, "%s", err) end
  try:abort()
  return out
end

-- The name that iza.csv has for what --encoding says.
local function encoding_of(text)
  local name, near = lead_file.encoding(text)
  if name then return name end
  stop(2, "--encoding wants %s, not '%s'%s", lead_file.encodings, text, near and "; " .. near or "")
end

-- A service's address is given with its scheme.
local function check_url(url)
  local scheme = url:match "^(%a[%w+.-]*)://"
  if scheme and (scheme:lower() == "http" or scheme:lower() == "https") then return end
  if scheme then stop(2, "--enrich wants http:// or https://, not %s", url) end
  if url:find "%s" then stop(2, "--enrich %s is no URL such as http://host/enrich", url) end
  stop(2, "--enrich %s: put http:// in front, or https://: http://%s", url, url)
end

-- column -> header, of what --column says.
local function mapped(list)
  local columns = {}
  for _, text in ipairs(list) do
    local column, header = text:match "^(%w+)=(.+)$"
    if not column then stop(2, "--column wants such as contact=HEADER, not '%s'", text) end
    if not table.concat(lead_file.columns, " "):find("%f[%w]" .. column .. "%f[%W]") then
      local near = nearest(column, lead_file.columns)
      stop(2, "--column %s: there is no column '%s'%s; there are: %s", text, column,
        near and ("; did you mean '%s'?"):format(near) or "", table.concat(lead_file.columns, ", "))
    end
    if columns[column] then stop(2, "--column %s=... is given twice", column) end
    columns[column] = header
  end
  return columns
end

local function read_leads(opts, given)
  local progress, pace = term.progress {label = "rows read"}, new_pace()
  local file, err = lead_file.read(opts.file, {currency = opts.currency, dates = opts.dates,
    encoding = given.encoding, columns = given.columns, taken = report.own_columns,
    progress = progress})
  progress:done()
  if not file then stop(1, "%s", err) end
  for _, row in ipairs(file.bad) do
    pace()
    say("%s:%d: left out: %s", opts.file, row.line, row.reason)
  end
  if #file.leads == 0 then stop(1, "%s has no lead that can be used", opts.file) end
  local missing = lead_file.missing(file)
  if missing then say("%s: %s", opts.file, missing) end
  return file
end

-- ---- the work ----

-- The leads of each domain, in the order in which the domains first appear.
local function by_domain(leads)
  local groups, of, pace = {}, {}, new_pace()
  for _, lead in ipairs(leads) do
    pace()
    local group = of[lead.domain]
    if not group then
      group = {domain = lead.domain}
      of[lead.domain], groups[#groups + 1] = group, group
    end
    group[#group + 1] = lead
  end
  return groups
end

-- What one of many leads shows is told once for all.
local function say_once(run, key, text, ...)
  if run.told[key] then return end
  run.told[key] = true
  say("qualify_leads: " .. text, ...)
end

local function join(lead, fields, err, run)
  lead.enrichment = fields and "ok" or err.code == "unknown" and "unknown"
    or "failed: " .. err.message
  for name, value in pairs(fields or {}) do
    if run.extras[name] then
      say_once(run, "column " .. name, "the service answers about the file's column '%s'; where it "
        .. "does, its answer counts", name)
    end
    lead[name] = value
  end
end

local function note(lead, result, run)
  run.results[lead] = result
  for _, problem in ipairs(result.unfit or {}) do say("%s:%d: %s", run.file, lead.line, problem) end
  local failed = result.failed
  if failed then
    run.failed = true
    say_once(run, ("rule %d %s"):format(result.version, failed.name), "a rule fails: '%s': %s "
      .. "(%s, line %d)", failed.name, failed.problem, lead.company, lead.line)
  end
end

-- Joins the answer about a domain to its leads and scores them.
local function take(group, fields, err, run, progress)
  local problems, pace = {}, new_pace()
  if fields then fields, problems = run.answers:read(fields) end
  for _, lead in ipairs(group) do
    pace()
    for _, problem in ipairs(problems) do
      say("%s:%d: left out: %s", run.file, lead.line, problem)
    end
    join(lead, fields, err, run)
  end
  run.scorer:each(group, function(lead, result)
    note(lead, result, run)
    progress:add(1)
  end)
end

-- Takes up one domain after the other until none is left or the source is closed.
local function work(queue, source, run, progress)
  while not source.closed do
    queue.at = queue.at + 1
    local group = queue[queue.at]
    if not group then return end
    local fields, err = source:lookup(group.domain)
    if err and err.code == "closed" then return end
    take(group, fields, err, run, progress)
  end
end

local function enrich_and_score(opts, file, source, rules)
  local run = {file = opts.file, extras = {}, answers = answer.new(report.reserved), results = {},
    scorer = scorer.new(rules), told = {}}
  for _, name in ipairs(file.extras) do run.extras[name] = true end
  local queue = by_domain(file.leads)
  queue.at = 0
  local progress <close> = term.progress {label = "leads", total = #file.leads}
  iza.scope(function(scope)
    for _ = 1, math.min(opts.limit, #queue) do
      scope:spawn(work, queue, source, run, progress)
    end
  end)
  local problem = source:problem()
  if problem then
    progress:done()
    stop(1, "%s; nothing was written%s", problem, next(source.counts.statuses)
      and "; it answered " .. report.answers(source.counts) or "")
  end
  return run
end

-- The leads by their score from 100 to 0; those of one score stay in the order of the file.
local function best_first(leads, results)
  local by_score, order, pace = {}, {}, new_pace()
  for value = 0, 100 do by_score[value] = {} end
  for _, lead in ipairs(leads) do
    pace()
    table.insert(by_score[results[lead].score], lead)
  end
  for value = 100, 0, -1 do
    table.move(by_score[value], 1, #by_score[value], #order + 1, order)
  end
  return order
end

local function write(path, file, order, results)
  local columns = report.columns(file, order)
  local writer <close>, err = csv.writer(path, {columns = columns})
  local progress <close> = term.progress {label = "leads written", total = #order}
  local ok, pace = writer, new_pace()
  for _, lead in ipairs(ok and order or {}) do
    pace()
    progress:add(1)
    ok, err = writer:write(report.row(lead, results[lead], columns))
    if not ok then break end
  end
  if ok then ok, err = writer:close() end
  if not ok then stop(1, "%s", err) end
end

-- ---- the run ----

local function main(argv)
  local started = iza.now()
  for _, word in ipairs(argv) do
    if word:find("--write-rules", 1, true) == 1 then
      return write_rules(rules_cli:parse_or_exit(argv).write_rules)
    end
  end
  local opts = cli:parse_or_exit(argv)
  if opts.file == "-" then opts.file = "/dev/stdin" end
  check_url(opts.enrich)
  local given = {columns = mapped(opts.column), encoding = encoding_of(opts.encoding)}
  local out = out_path(opts)
  local rules = load_rules(opts.rules)
  local file = read_leads(opts, given)
  local source = enrichment.source(opts.enrich, opts.timeout)
  local run = enrich_and_score(opts, file, source, rules)
  local order = best_first(file.leads, run.results)
  write(out, file, order, run.results)
  local summary = report.summary {file = opts.file, out = out, input = file, leads = order,
    results = run.results, counts = source.counts, rules = rules, seconds = iza.now() - started}
  print(opts.json and json.encode(summary) or report.text(summary))
  if run.failed then say("qualify_leads: some leads were scored without a rule that failed") end
  if summary.total.enriched == 0 then
    say("qualify_leads: no lead was enriched: %s answered %s%s; is it the right address?",
      opts.enrich, report.answers(source.counts),
      source.failure and (" (%s)"):format(source.failure) or "")
  end
  local most = file.unusable * 2 > summary.rows.read
  if most then
    say("qualify_leads: %d of %d rows could not be used", file.unusable, summary.rows.read)
  end
  if run.failed or summary.total.enriched == 0 or most then os.exit(1, true) end
end

main {...}
