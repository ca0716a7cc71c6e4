--- Terminal output: colours, aligned tables, bars, sparklines, progress. Everything returns or
--- writes plain text when the stream is no terminal.
---
--- Colour is on for a terminal unless NO_COLOR is set, CLICOLOR is 0 or TERM is "dumb";
--- CLICOLOR_FORCE turns it on everywhere. Text from outside is cleaned where it is laid out:
--- control characters cannot move the cursor or recolour the screen.
local core = require "iza.core.term"
local clock = require "iza.core.clock"
local digits = require "iza.digits"
local options = require "iza.options"

local term = {}

---@alias iza.Stream "stdin"|"stdout"|"stderr"

local descriptors = {stdin = 0, stdout = 1, stderr = 2}

local function descriptor(stream)
  local fd = descriptors[stream or "stdout"]
  if not fd then
    error("a stream is \"stdin\", \"stdout\" or \"stderr\", not " .. tostring(stream), 3)
  end
  return fd
end

--- Whether the stream is a terminal.
--- Example: `if term.is_tty("stderr") then ... end`
---@param stream? iza.Stream default "stdout"
---@return boolean
function term.is_tty(stream) return core.isatty(descriptor(stream)) end

--- Width of the terminal in columns, by COLUMNS or the terminal itself; nil when stdout is none.
--- Example: `term.columns() or 80`
---@return integer?
function term.columns()
  if not core.isatty(1) then return nil end
  local asked = math.tointeger(tonumber(os.getenv "COLUMNS"))
  return asked and asked > 0 and asked or core.size(1) or 80
end

local function set(name)
  local value = os.getenv(name)
  return value ~= nil and value ~= ""
end

--- Whether coloured output is wanted on the stream.
--- Example: `term.has_colour("stderr")`
---@param stream? iza.Stream default "stdout"
---@return boolean
function term.has_colour(stream)
  if set "NO_COLOR" then return false end
  if set "CLICOLOR_FORCE" and os.getenv "CLICOLOR_FORCE" ~= "0" then return true end
  return core.isatty(descriptor(stream)) and os.getenv "TERM" ~= "dumb"
    and os.getenv "CLICOLOR" ~= "0"
end

local codes = {bold = 1, dim = 2, italic = 3, underline = 4, reverse = 7, black = 30, red = 31,
  green = 32,
  yellow = 33, blue = 34, magenta = 35, cyan = 36, white = 37, grey = 90}

--- Text in a style when the stream has colour, else the text itself. The words of a style are bold,
--- dim, italic, underline, reverse, black, red, green, yellow, blue, magenta, cyan, white and grey.
--- Example: `print(term.style("failed", "bold red"))`
---@param text string
---@param style string words as in "bold red"
---@param stream? iza.Stream default "stdout"
---@return string
function term.style(text, style, stream)
  local list = {}
  for word in style:gmatch "%S+" do
    list[#list + 1] = codes[word] or error("term.style knows no '" .. word .. "'", 2)
  end
  if #list == 0 or not term.has_colour(stream) then return text end
  return "\27[" .. table.concat(list, ";") .. "m" .. text .. "\27[0m"
end

--- The text without colour sequences.
--- Example: `term.strip("\27[31mred\27[0m")` --> "red"
---@param text string
---@return string
function term.strip(text) return (text:gsub("\27%[[%d;:]*m", "")) end

--- How many columns a text takes: 2 for CJK and emoji, 0 for combining marks and colour sequences.
--- Example: `term.width("日本")` --> 4
---@param text string
---@return integer
function term.width(text) return core.width(text) end

--- The text cut to a width, with "…" where something is missing.
--- Example: `term.truncate("abcdef", 4)` --> "abc…"
---@param text string
---@param width integer columns, at least 1
---@return string
function term.truncate(text, width)
  if core.width(text) <= width then return text end
  local kept = text:sub(1, core.fit(text, width - 1))
  return kept .. (kept:find("\27", 1, true) and "\27[0m…" or "…")
end

--- The text filled with blanks to a width; a longer one stays as it is.
--- Example: `term.pad("7", 3, "right")` --> "  7"
---@param text string
---@param width integer columns
---@param align? "left"|"right"|"center" where the text goes; default "left"
---@return string
function term.pad(text, width, align)
  local gap = width - core.width(text)
  if gap <= 0 then return text end
  if align == "right" then return (" "):rep(gap) .. text end
  if align == "center" then return (" "):rep(gap // 2) .. text .. (" "):rep(gap - gap // 2) end
  return text .. (" "):rep(gap)
end

-- ---- tables ----

---@class iza.Column
---@field key any the field of a row shown here
---@field title? string default: the key
---@field align? "left"|"right"|"center" default: right when all values are numbers
---@field format? string|fun(value: any, row: table): string|nil for string.format, or a function
---@field max? integer widest it may get

local function cell_text(column, row)
  local value = row[column.key]
  local text
  if type(column.format) == "function" then
    text = column.format(value, row)
  elseif column.format and value ~= nil then
    text = column.format:format(value)
  elseif type(value) == "number" then
    text = digits.text(value)
  else
    text = value
  end
  return core.clean(text == nil and "" or tostring(text))
end

local function columns_of(rows, given)
  local columns = {}
  if given then
    for i, c in ipairs(given) do columns[i] = type(c) == "table" and c or {key = c} end
    return columns
  end
  local first = rows[1] or {}
  for i = 1, #first do columns[i] = {key = i} end
  if #columns > 0 then return columns end
  local keys = {}
  for key in pairs(first) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  for i, key in ipairs(keys) do columns[i] = {key = key} end
  return columns
end

local function all_numbers(rows, key)
  local seen = false
  for _, row in ipairs(rows) do
    local value = row[key]
    if value ~= nil and type(value) ~= "number" then return false end
    seen = seen or value ~= nil
  end
  return seen
end

-- Lays one column out: its cells, its natural width, its alignment.
local function lay_column(rows, column)
  local c = {title = core.clean(tostring(column.title or column.key)), cells = {}}
  c.align = column.align or (all_numbers(rows, column.key) and "right" or "left")
  c.width = core.width(c.title)
  for i, row in ipairs(rows) do
    c.cells[i] = cell_text(column, row)
    c.width = math.max(c.width, core.width(c.cells[i]))
  end
  c.least = math.min(c.width, math.max(4, c.align == "right" and c.width or 0))
  if column.max then c.width = math.min(c.width, math.max(column.max, 1)) end
  return c
end

-- Takes columns from the widest until the table fits; numbers are cut last.
local function shrink(columns, spare)
  for _, floor in ipairs {"least", "one"} do
    while spare < 0 do
      local widest
      for _, c in ipairs(columns) do
        local least = floor == "least" and c.least or 1
        if c.width > least and (not widest or c.width > widest.width) then widest = c end
      end
      if not widest then break end
      widest.width, spare = widest.width - 1, spare + 1
    end
  end
end

local function line_of(columns, text_of, gap, left, right)
  local parts = {}
  for i, c in ipairs(columns) do
    parts[i] = term.pad(term.truncate(text_of(c), c.width), c.width, c.align)
  end
  local line = left .. table.concat(parts, gap) .. right
  return right == "" and line:gsub(" +$", "") or line
end

local function plain_table(columns, count)
  local out = {line_of(columns, function(c) return c.title end, "  ", "", "")}
  out[2] = line_of(columns, function(c) return ("─"):rep(c.width) end, "  ", "", "")
  for i = 1, count do
    out[#out + 1] = line_of(columns, function(c) return c.cells[i] end, "  ", "", "")
  end
  return out
end

local function markdown_table(columns, count)
  for _, c in ipairs(columns) do
    c.title, c.width = c.title:gsub("|", "\\|"), math.max(c.width, 3)
    for i, text in ipairs(c.cells) do
      c.cells[i] = text:gsub("|", "\\|")
      c.width = math.max(c.width, core.width(c.cells[i]))
    end
  end
  local out = {line_of(columns, function(c) return c.title end, " | ", "| ", " |")}
  out[2] = line_of(columns, function(c)
    return ("-"):rep(c.width - 1) .. (c.align == "right" and ":" or "-")
  end, " | ", "| ", " |")
  for i = 1, count do
    out[#out + 1] = line_of(columns, function(c) return c.cells[i] end, " | ", "| ", " |")
  end
  return out
end

--- An aligned table as text, one line a row. Numbers align right and keep all their digits. On a
--- terminal it is cut to its width; elsewhere nothing is cut.
--- Example: `print(term.table({{name = "A", n = 1}}, {columns = {"name", "n"}}))`
---@param rows table[] rows with fields, or lists of values
---@param opts? {columns?: (iza.Column|any)[], width?: integer, markdown?: boolean}
---@return string text without a line end behind the last row
function term.table(rows, opts)
  opts = options.check("iza.term.table", "term.table", opts,
    {columns = "table", width = "integer", markdown = "boolean"})
  local columns = {}
  for i, column in ipairs(columns_of(rows, opts.columns)) do
    columns[i] = lay_column(rows, column)
  end
  if opts.markdown then return table.concat(markdown_table(columns, #rows), "\n") end
  local width = opts.width or term.columns()
  if width then
    local used = 2 * math.max(#columns - 1, 0)
    for _, c in ipairs(columns) do used = used + c.width end
    shrink(columns, width - used)
  end
  return table.concat(plain_table(columns, #rows), "\n")
end

-- ---- bars and sparklines ----

local eighths = {"▏", "▎", "▍", "▌", "▋", "▊", "▉"}

--- A bar whose length shows value against max, in eighths of a column.
--- Example: `term.bar(50, 100, 10)` --> "█████"
---@param value number
---@param max number
---@param width integer columns of a full bar
---@return string at most `width` columns; empty when value or max is not above 0
function term.bar(value, max, width)
  if not (value > 0 and max > 0) then return "" end
  local steps = math.floor(math.min(value / max, 1) * width * 8 + 0.5)
  return ("█"):rep(steps // 8) .. (eighths[steps % 8] or "")
end

--- A bar chart: one line an item with label, bar and number.
--- Example: `print(term.bars({{"web", 12}, {"mail", 7}}))`
---@param items table[] list of {label, value}
---@param width? integer columns of the longest bar; default 40
---@return string
function term.bars(items, width)
  local max, label_width, values, value_width = 0, 0, {}, 0
  for i, item in ipairs(items) do
    values[i] = digits.text(item[2])
    max = math.max(max, item[2])
    label_width = math.max(label_width, core.width(core.clean(tostring(item[1]))))
    value_width = math.max(value_width, #values[i])
  end
  local out = {}
  for i, item in ipairs(items) do
    local label = term.pad(core.clean(tostring(item[1])), label_width)
    local line = label .. "  " .. term.pad(values[i], value_width, "right") .. "  "
      .. term.bar(item[2], max, width or 40)
    out[i] = line:gsub(" +$", "")
  end
  return table.concat(out, "\n")
end

local levels = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"}

--- Numbers as one line of small columns, from the least to the greatest. NaN leaves a blank.
--- Example: `term.sparkline({1, 5, 22, 13, 5})` --> "▁▂█▅▂"
---@param values number[]
---@return string
function term.sparkline(values)
  local low, high = math.huge, -math.huge
  for _, v in ipairs(values) do
    if v == v then low, high = math.min(low, v), math.max(high, v) end
  end
  local out = {}
  for i, v in ipairs(values) do
    if v ~= v then
      out[i] = " "
    elseif high == low then
      out[i] = levels[4]
    else
      out[i] = levels[math.min(math.floor((v - low) / (high - low) * 7 + 0.5), 7) + 1]
    end
  end
  return table.concat(out)
end

-- ---- progress ----

---@class iza.Progress
local Progress = {}
Progress.__index = Progress

-- seconds: nothing before, between redraws, between plain lines
local QUIET, REDRAW, PLAIN = 2, 0.1, 5

--- Progress of a long work on stderr: count, rate, time left. Nothing shows in the first 2 seconds;
--- on a terminal one line is redrawn in place, elsewhere a plain line is written every 5 seconds.
--- Example: `local p <close> = term.progress{label = "rows", total = 500}; p:add(1)`
---@param opts {label: string, total?: number}
---@return iza.Progress
function term.progress(opts)
  options.check("iza.term.progress", "term.progress", opts, {label = "string", total = "number"})
  local p = {label = core.clean(opts.label), total = opts.total, count = 0, started = clock.now(),
    drawn = false}
  p.tty = core.isatty(2)
  p.next = p.started + QUIET
  return setmetatable(p, Progress)
end

local function progress_text(p, now)
  local elapsed = now - p.started
  local rate = elapsed > 0 and p.count / elapsed or 0
  local out = {p.label .. " " .. digits.text(p.count)}
  if p.total then
    out[1] = out[1] .. "/" .. digits.text(p.total)
    out[2] = p.total > 0 and ("%d %%"):format(p.count * 100 // p.total) or nil
  end
  out[#out + 1] = ("%.3g/s"):format(rate)
  if p.total and rate > 0 and p.count < p.total then
    out[#out + 1] = require("iza.duration").format(math.ceil((p.total - p.count) / rate)) .. " left"
  end
  return table.concat(out, "  ")
end

local function draw(p, now)
  local text = progress_text(p, now)
  if p.tty then
    local columns = core.size(2) or 80
    if p.total and p.total > 0 then
      text = term.pad(term.bar(p.count, p.total, 20), 20) .. "  " .. text
    end
    core.write(2, "\r" .. term.truncate(text, columns - 1) .. "\27[K")
    p.next = now + REDRAW
  else
    core.write(2, text .. "\n")
    p.next = now + PLAIN
  end
  p.drawn = true
end

--- Counts n more as done.
--- Example: `p:add(1)`
---@param n? number default 1
function Progress:add(n) self:update(self.count + (n or 1)) end

--- Sets how much is done.
--- Example: `p:update(120)`
---@param count number
function Progress:update(count)
  self.count = count
  local now = clock.now()
  if now >= self.next and not self.ended then draw(self, now) end
end

--- Ends it: what was shown is brought to the last state, what never showed stays silent.
--- Example: `p:done()`
function Progress:done()
  if self.ended then return end
  self.ended = true
  if not self.drawn then return end
  draw(self, clock.now())
  if self.tty then core.write(2, "\n") end
end

Progress.__close = Progress.done

return term
