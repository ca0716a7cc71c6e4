--- What iza.args says to people and shells: help texts, usage lines, completion lists.
local term = require "iza.term"

local help = {}

-- ---- help ----

local function positional_form(p)
  local form = "<" .. p.label .. ">" .. (p.rest and "..." or "")
  return p.required and form or "[" .. form .. "]"
end

local function option_form(o)
  return o.label .. (o.placeholder and " " .. o.placeholder or "")
end

local function name_of(specs)
  local names = {}
  for i, spec in ipairs(specs) do names[i] = spec.name end
  return table.concat(names, " ")
end

--- One line on how to call it.
--- Example: `help.usage{spec}` --> "usage: greet [options] <name>"
---@param specs table[] the spec and the subcommands entered
---@return string
function help.usage(specs)
  local spec = specs[#specs]
  local parts = {"usage:", name_of(specs)}
  local optional = false
  for _, o in ipairs(spec.options) do
    if o.required then parts[#parts + 1] = option_form(o) else optional = true end
  end
  if optional then table.insert(parts, 3, "[options]") end
  if #spec.commands > 0 then parts[#parts + 1] = "<command>" end
  for _, p in ipairs(spec.positionals) do parts[#parts + 1] = positional_form(p) end
  return table.concat(parts, " ")
end

-- What a reader must know about a value besides its help text.
local function notes(item)
  local out = {}
  if item.choices then out[#out + 1] = table.concat(item.choices, ", ") end
  if item.required and item.flag ~= nil then out[#out + 1] = "required" end
  if item.many then out[#out + 1] = "repeatable" end
  if item.default ~= nil then out[#out + 1] = "default " .. tostring(item.default) end
  if item.env then out[#out + 1] = "or " .. item.env end
  return #out > 0 and "(" .. table.concat(out, "; ") .. ")" or nil
end

--- Breaks a text into lines of at most `width` columns.
--- Example: `help.wrap("one two three", 8)` --> {"one two", "three"}
---@param text string
---@param width integer
---@return string[]
function help.wrap(text, width)
  local lines, line = {}, ""
  for word in text:gmatch "%S+" do
    local longer = line == "" and word or line .. " " .. word
    if line ~= "" and term.width(longer) > width then
      lines[#lines + 1], line = line, word
    else
      line = longer
    end
  end
  lines[#lines + 1] = line
  return lines
end

local LEFT, WIDTH = 30, 96

local function page_width() return math.min(term.columns() or 80, WIDTH) end

-- A text whose lines are at most as long as a page is wide.
local function fitted(text)
  local out = {}
  for line in (text .. "\n"):gmatch "(.-)\n" do
    local fits = term.width(line) <= page_width()
    out[#out + 1] = fits and line or table.concat(help.wrap(line, page_width()), "\n")
  end
  return table.concat(out, "\n")
end

--- Adds rows of a name and what it is, in two columns.
---@param out string[] lines
---@param rows {[1]: string, [2]: string}[]
function help.add_rows(out, rows)
  local left = 0
  for _, row in ipairs(rows) do
    if #row[1] <= LEFT then left = math.max(left, #row[1]) end
  end
  for _, row in ipairs(rows) do
    local lines = help.wrap(row[2], page_width() - left - 4)
    local first = term.pad(row[1], left)
    if #row[1] > LEFT then
      out[#out + 1] = "  " .. row[1]
      first = (" "):rep(left)
    end
    for i, line in ipairs(lines) do
      out[#out + 1] = ("  " .. (i == 1 and first or (" "):rep(left)) .. "  " .. line):gsub(" +$",
        "")
    end
  end
end

local function add_section(out, title, rows)
  if #rows == 0 then return end
  out[#out + 1] = "\n" .. term.style(title .. ":", "bold")
  help.add_rows(out, rows)
end

local function described(item)
  local parts = {}
  if item.help then parts[1] = item.help end
  parts[#parts + 1] = notes(item)
  return table.concat(parts, " ")
end

local function option_rows(spec)
  local rows = {}
  for _, o in ipairs(spec.options) do
    local form = table.concat(o.names, ", ")
    if o.names[1]:sub(1, 2) == "--" then form = "    " .. form end
    if o.flag and o.default == true then form = form:gsub("%-%-", "--[no-]", 1) end
    rows[#rows + 1] = {form .. (o.placeholder and " " .. o.placeholder or ""), described(o)}
  end
  return rows
end

--- The text of --help.
---@param specs table[] the spec and the subcommands entered
---@return string
function help.text(specs)
  local spec = specs[#specs]
  local out = {help.usage(specs)}
  if spec.about then out[#out + 1] = "\n" .. fitted(spec.about) end
  local commands, positionals = {}, {}
  for _, c in ipairs(spec.commands) do commands[#commands + 1] = {c.name, c.about or ""} end
  for _, p in ipairs(spec.positionals) do
    positionals[#positionals + 1] = {p.label .. (p.rest and "..." or ""), described(p)}
  end
  add_section(out, "commands", commands)
  add_section(out, "arguments", positionals)
  add_section(out, "options", option_rows(spec))
  if spec.examples then
    out[#out + 1] = "\n" .. term.style("examples:", "bold")
    for _, example in ipairs(spec.examples) do out[#out + 1] = "  " .. example end
  end
  return table.concat(out, "\n")
end

-- ---- completion ----

--- Those of the words that begin with `start`, sorted.
---@param words string[]
---@param start string
---@return string[]
function help.starting(words, start)
  local out = {}
  for _, word in ipairs(words) do
    if word:sub(1, #start) == start then out[#out + 1] = word end
  end
  table.sort(out)
  return out
end

--- All words that iza.args would take next.
---@param state table
---@return string[]
function help.next_words(state)
  local out = {}
  for _, command in ipairs(state.spec.commands) do out[#out + 1] = command.name end
  local item = state.spec.positionals[1]
  for _, choice in ipairs(item and item.choices or {}) do out[#out + 1] = choice end
  local seen = {}
  for _, option in pairs(state.by_name) do
    if not seen[option] then out[#out + 1] = option.label end
    seen[option] = true
  end
  return out
end

return help
