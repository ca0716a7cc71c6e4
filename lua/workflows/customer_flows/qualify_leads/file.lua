--- A leads file as it comes out of a CRM, a form or a spreadsheet, read into leads.
---
--- Columns are found by their header, whatever its case, blanks and underscores, under the names
--- that such files use. A row with a problem is reported by its line with all that is wrong in it
--- and left out; nothing is guessed. Excel's first line "sep=;" is understood. All leads are held
--- in memory, about 1 KB each; other tasks have their turn while they are read.
local cells = require "workflows.customer_flows.qualify_leads.cells"
local csv = require "iza.csv"
local fs = require "iza.fs"
local nearest = require "iza.nearest"
local new_pace = require "workflows.customer_flows.qualify_leads.pace"

local lead_file = {}

---@class Lead
---@field line integer where it begins in the file
---@field company string
---@field domain string
---@field contact? string
---@field email? string
---@field source? string
---@field spend? integer in minor units of `currency`
---@field currency? string ISO 4217: what the cell or its row says, else what LeadFileOptions says
---@field date? string YYYY-MM-DD
--- and one field for each other column of the file, as its text

--- The columns a lead is made of, in the order of the result.
lead_file.columns = {"company", "domain", "contact", "email", "source", "spend", "currency", "date"}

local required = {"company", "domain"}

-- ---- encodings ----

--- What --encoding takes.
lead_file.encodings = "utf-8, windows-1252 (also latin-1, iso-8859-1), utf-16"

-- without blanks and marks -> as iza.csv has it; what is labelled latin-1 is windows-1252
local encoding_names = {utf8 = "utf-8", utf16 = "utf-16", windows1252 = "windows-1252",
  cp1252 = "windows-1252", ansi = "windows-1252", latin1 = "windows-1252",
  iso88591 = "windows-1252"}

--- An encoding as iza.csv has it, however its name is spelt; else nil and what helps, if anything.
--- Example: `lead_file.encoding("ISO-8859-1")` --> "windows-1252"
---@param text string
---@return string? name
---@return string? help
function lead_file.encoding(text)
  local plain = text:lower():gsub("[^%w]", "")
  local name = encoding_names[plain]
  if name then return name end
  if plain == "iso885915" or plain == "latin9" then
    return nil, "windows-1252 is the nearest: it has all but a few rare characters in the same "
      .. "place, not the euro sign"
  end
  local names = {}
  for known in pairs(encoding_names) do names[#names + 1] = known end
  table.sort(names)
  local near = nearest(plain, names)
  return nil, near and ("did you mean %s?"):format(encoding_names[near])
end

-- What is wrong with a row, without its place, which is told apart from it; and what to type.
local function reason_of(err, encoding)
  if err.code ~= "encoding" then return (err.message:gsub("^.-:%d+: ", "", 1)) end
  local other = encoding == "utf-8" and "windows-1252" or "utf-8"
  return ("bytes that are no valid %s text: try --encoding %s"):format(encoding, other)
end

-- ---- columns ----

-- As they are spelt in the end; English first, then German, French.
local synonyms = {
  company = "company companyname organisation organization account accountname business firm "
    .. "firma firmenname unternehmen entreprise société societe raisonsociale",
  domain = "domain domainname companydomain website websiteurl site web url homepage "
    .. "webseite internetseite webadresse siteweb siteinternet",
  contact = "contact contactname contactperson person fullname leadname name "
    .. "ansprechpartner ansprechperson kontakt kontaktperson interlocuteur",
  email = "email emailaddress mail contactemail workemail businessemail "
    .. "emailadresse mailadresse courriel adresseemail adressemail",
  source = "source leadsource channel medium origin campaign utmsource acquisitionchannel "
    .. "herkunft quelle leadquelle kanal kampagne provenance origine canal campagne",
  spend = "spend adspend cost costs acquisitioncost cac budget amount spent "
    .. "kosten werbekosten ausgaben betrag coût cout coûts couts dépense depense montant",
  currency = "currency currencycode currencyiso isocurrency spendcurrency ccy curr "
    .. "währung waehrung devise monnaie",
  date = "date leaddate created createdat createddate createdon acquired acquiredon signupdate day "
    .. "datum leaddatum erstelltam angelegtam eingangsdatum datecréation datecreation "
    .. "datedecréation datedecreation",
}

-- header spelling -> {column, rank}: a lower rank is the better match
local meaning = {}
for column, words in pairs(synonyms) do
  local rank = 0
  for word in words:gmatch "%S+" do
    rank = rank + 1
    meaning[word] = {column = column, rank = rank}
  end
end

-- "E-Mail Address", "email_address" and "emailAddress" are one.
local function spelling(name) return cells.lower(name):gsub("[^%w\128-\255]", "") end

local function quoted(names)
  local shown = {}
  for i = 1, math.min(#names, 30) do shown[i] = ('"%s"'):format(cells.text(names[i]) or "") end
  return #names > 0 and table.concat(shown, ", ") .. (#names > #shown and ", ..." or "")
end

-- The header that a person means, who may spell it otherwise.
local function header_of(header, text)
  local like
  for _, name in ipairs(header) do
    if name == text then return name end
    if spelling(name) == spelling(text) then like = like or name end
  end
  return like
end

-- column -> its name in the header: as `told` says, else by the header's meaning.
local function map_columns(path, header, told)
  local found, ranks, used = {}, {}, {}
  for column, text in pairs(told) do
    local name = header_of(header, text)
    if not name then
      return nil, iza.error("no_column", ("%s has no column \"%s\" to be the %s; its first row has "
        .. "%s"):format(path, text, column, quoted(header) or "nothing"))
    end
    found[column], used[name] = name, true
  end
  for _, name in ipairs(header) do
    local m = not used[name] and meaning[spelling(name)]
    if m and not told[m.column] and m.rank < (ranks[m.column] or math.huge) then
      found[m.column], ranks[m.column] = name, m.rank
    end
  end
  return found
end

local function missing_of(columns, found)
  local missing = {}
  for _, column in ipairs(columns) do
    if not found[column] then missing[#missing + 1] = column end
  end
  return missing
end

-- One line for each column: the names it may have.
local function accepted(columns)
  local lines = {}
  for i, column in ipairs(columns) do
    lines[i] = ("\n  %s may be called: %s"):format(column, synonyms[column])
  end
  return table.concat(lines)
end

local function mapping_hint(column)
  return ("; --column %s=HEADER says which it is"):format(column)
end

-- nil, err that names what is missing and what is there.
local function check_columns(path, found, header)
  local missing = missing_of(required, found)
  if #missing == 0 then return true end
  return nil, iza.error("no_column", ("%s has no column for %s; its first row has %s%s%s"):format(
    path, table.concat(missing, " and "), quoted(header) or "nothing",
    mapping_hint(missing[1]), accepted(missing)))
end

--- Which columns were not found, in words that help to find them; nil when all were. A currency
--- is not missed: amounts mostly name theirs, or have one for the whole file.
--- Example: `local missing = lead_file.missing(file)`
---@param file {found: table<string, string>, extras: string[]}
---@return string?
function lead_file.missing(file)
  local missing = {}
  for _, column in ipairs(missing_of(lead_file.columns, file.found)) do
    if column ~= "currency" then missing[#missing + 1] = column end
  end
  if #missing == 0 then return nil end
  local others = quoted(file.extras)
  return ("no column for %s, so the rules see none%s%s%s"):format(table.concat(missing, ", "),
    others and "; of no known meaning are " .. others or "", mapping_hint(missing[1]),
    accepted(missing))
end

local function read_spend(text, lead)
  local cents, what = cells.money(text)
  if not cents then return nil, what end
  lead.currency = what -- nil unless the amount names it
  return cents
end

-- The row's currency counts for an amount that names none; two that differ are a problem.
local function read_currency(text, lead)
  local code, problem = cells.currency(text)
  if not code then return lead.currency, problem end
  if lead.currency and lead.currency ~= code then
    return nil, ("'%s' is not that of the amount, %s"):format(code, lead.currency)
  end
  return code
end

-- in the order of lead_file.columns: the amount before its currency
local readers = {company = cells.text, domain = cells.domain, contact = cells.text,
  email = cells.email, source = cells.text, spend = read_spend, currency = read_currency,
  date = cells.date}

-- The lead of a row, and the list of its problems.
local function read_row(row, line, found, extras, opts)
  local lead, problems = {line = line}, {}
  for _, column in ipairs(lead_file.columns) do
    local text = found[column] and row[found[column]] or ""
    local problem
    lead[column], problem = readers[column](text, lead)
    if problem then problems[#problems + 1] = column .. " " .. problem end
  end
  if lead.spend and not lead.currency then lead.currency = opts.currency end
  if row[found.domain] == "" and lead.email then lead.domain = cells.domain_of(lead.email) end
  if not lead.company then problems[#problems + 1] = "company is empty" end
  if not lead.domain and cells.text(row[found.domain]) == nil then
    problems[#problems + 1] = "domain is empty and no address shows it"
  end
  for _, extra in ipairs(extras) do lead[extra] = cells.text(row[extra]) end
  return lead, problems
end

-- Columns of the file that mean nothing here but are carried through.
local function other_columns(header, found, taken)
  local used, extras = {line = true}, {}
  for _, name in ipairs(lead_file.columns) do used[name] = true end
  for _, name in pairs(found) do used[name] = true end
  for _, name in ipairs(header) do
    if not used[name] and not taken[name] then
      extras[#extras + 1] = name
    end
  end
  return extras
end

-- Dates like 3/4/2026 are read by the order that the rest of the file shows.
local function settle_dates(leads, order, bad)
  local open, kept, pace = {}, {}, new_pace()
  for _, lead in ipairs(leads) do
    pace()
    if type(lead.date) == "table" then open[#open + 1] = lead.date end
  end
  order = order or cells.order_of(open)
  for _, lead in ipairs(leads) do
    pace()
    local problem
    if type(lead.date) == "table" then lead.date, problem = cells.settle(lead.date, order) end
    if problem then
      bad(lead.line, "date " .. problem)
    else
      kept[#kept + 1] = lead
    end
  end
  return kept
end

-- The same person of the same company twice is one lead.
local function drop_repeated(leads, bad)
  local first, kept, pace = {}, {}, new_pace()
  for _, lead in ipairs(leads) do
    pace()
    local id = lead.domain .. "\n" .. cells.lower(lead.email or lead.contact or "")
    if first[id] then
      bad(lead.line, ("the same lead as in line %d"):format(first[id]))
    else
      first[id], kept[#kept + 1] = lead.line, lead
    end
  end
  return kept
end

-- The character that Excel's first line "sep=;" names. A pipe is not looked into: what is read from
-- it is gone.
local function named_separator(path)
  local info = fs.stat(path)
  local f <close> = info and info.type == "file" and fs.open(path) or nil
  local start = f and f:read(16)
  return start and start:gsub("^\u{FEFF}", ""):match "^[sS][eE][pP]=([^\r\n\"])\r?\n"
end

-- A reader of the file. The line "sep=;" is read as an empty one, so that all lines keep their
-- numbers.
local function open_csv(path, opts)
  opts.delimiter = named_separator(path)
  if not opts.delimiter then return csv.open(path, opts) end
  local f, err = fs.open(path)
  if not f then return nil, err end
  f:read "l"
  local first = "\n"
  local function piece()
    local text, problem = first, nil
    first = nil
    if not text then text, problem = f:read(65536) end
    if not text then f:close() end
    return text, problem
  end
  local ok, rows, _, _, reader = pcall(csv.rows, piece, opts)
  if not ok then return nil, rows end
  return reader
end

-- Lists that are in the order of their lines, as one.
local function merged(a, b)
  local out, i, j, pace = {}, 1, 1, new_pace()
  while a[i] or b[j] do
    pace()
    if not b[j] or a[i] and a[i].line <= b[j].line then
      out[#out + 1], i = a[i], i + 1
    else
      out[#out + 1], j = b[j], j + 1
    end
  end
  return out
end

---@class LeadFileOptions
---@field currency string of amounts that name none
---@field dates? "dmy"|"mdy" how 3/4/2026 is read; default: as the file's other dates show
---@field encoding? string as for iza.csv
---@field columns? table<string, string> the headers of columns that are not to be guessed
---@field taken? table<string, true> names that the file's other columns cannot have
---@field progress? iza.Progress told of each row

--- Reads a leads file. An err has the code "no_column", an errno name, or one of iza.csv.
--- Example: `local file, err = lead_file.read("leads.csv", {currency = "USD"})`
---@param path string
---@param opts LeadFileOptions
---@return {leads: Lead[], bad: {line: integer, reason: string}[], found: table<string, string>,
--- extras: string[], unusable: integer}? file bad by line; unusable: how many of them do not just
--- repeat a lead; found: the header of each column; extras: the other columns
---@return table? err
function lead_file.read(path, opts)
  local bad, late, repeated = {}, {}, {}
  local function into(list)
    return function(line, reason) list[#list + 1] = {line = line, reason = reason} end
  end
  local report = into(bad)
  local encoding = opts.encoding or "utf-8"
  local reader, err = open_csv(path, {encoding = encoding, on_error = function(e)
    report(e.line, reason_of(e, encoding))
  end})
  if not reader then return nil, err end
  local open <close> = reader -- luacheck: ignore
  local header = reader:header()
  local found, ok
  found, err = map_columns(path, header, opts.columns or {})
  if not found then return nil, err end
  ok, err = check_columns(path, found, header)
  if not ok then return nil, err end
  local extras, leads = other_columns(header, found, opts.taken or {}), {}
  local pace = new_pace()
  for row, line in reader:rows() do
    local lead, problems = read_row(row, line, found, extras, opts)
    if #problems > 0 then
      report(line, table.concat(problems, "; "))
    else
      leads[#leads + 1] = lead
    end
    if opts.progress then opts.progress:add(1) end
    pace()
  end
  leads = drop_repeated(settle_dates(leads, opts.dates, into(late)), into(repeated))
  return {leads = leads, bad = merged(merged(bad, late), repeated), unusable = #bad + #late,
    found = found, extras = extras}
end

return lead_file
