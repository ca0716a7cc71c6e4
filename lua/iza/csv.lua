--- CSV (RFC 4180) as it is and as it should be: a streaming reader that reports every bad row with
--- its line instead of guessing, typed columns, and a writer whose files are replaced whole and are
--- safe to open in a spreadsheet.
local core = require "iza.core.csv"
local misuse = require "iza.misuse"
local options = require "iza.options"

local csv = {}

---@alias iza.CsvType "string"|"number"|"integer"|"date"|"boolean"

---@class iza.CsvReadOptions
---@field header? boolean|string[] true (default): the first row names the columns; false: rows are
--- arrays; a list: the names, for a file without that row
---@field types? table<string|integer, iza.CsvType> by column name (by position without a header).
--- number: an integer where one is written, else a float; date: YYYY-MM-DD, which must exist;
--- boolean: true/false, yes/no, t/f, y/n, 1/0. An empty cell of a type other than string is nil
---@field decimal? string "." (default) or ",": then "1.234,56" is a number
---@field delimiter? string one character; default: found among , ; tab | in the first 16 KB
---@field encoding? string "utf-8" (default), "windows-1252" (also "latin1"), "utf-16"; a byte order
--- mark decides before it
---@field on_error? fun(err: table) called for each bad row, which is then left out. Without it
--- read() returns nil, err and an iterator raises err
---@field max_field? integer|string longest field, default "4MB"
---@field max_row? integer|string longest row, default "16MB"
---@field max_fields? integer fields in a row, default 16384

---@class iza.CsvReader
---@field read fun(self): table?, integer|table? the next row and its line; nil at the end; nil, err
--- for a bad row, behind which reading goes on
---@field rows fun(self): fun(): table?, integer? iterator over the rows and their lines
---@field columns fun(self, names: (string|integer)[]): fun(): ... iterator over the values of these
--- columns, far cheaper than rows; an empty typed cell is false
---@field header fun(self): string[]? the names of the columns
---@field line fun(self): integer the line on which the present row began
---@field delimiter fun(self): string
---@field close fun(self)

local Reader = core.methods
local names_of = setmetatable({}, {__mode = "k"})

--- Names that can be keys: an empty one becomes column_N, the second "x" becomes x_2.
local function distinct(row)
  local taken, names = {}, {}
  for _, name in ipairs(row) do taken[name] = 0 end
  for i, name in ipairs(row) do
    if name == "" then name = "column_" .. i end
    if names[i] == nil and (taken[name] or 0) > 0 then
      local n = 2
      while taken[name .. "_" .. n] do n = n + 1 end
      name = name .. "_" .. n
    end
    taken[name] = 1
    names[i] = name
  end
  return names
end

local function position(names, key)
  if math.type(key) == "integer" then return key end
  for i, name in ipairs(names or {}) do
    if name == key then return i end
  end
end

local function unknown(key, names)
  local err = iza.error("no_column",
    ("there is no column %q; there are: %s"):format(tostring(key), table.concat(names or {}, ", ")))
  err.name = key
  return err
end

--- types by position; nil, err when a column is not there.
local function positions(types, names)
  local by = {}
  for key, kind in pairs(types or {}) do
    local at = position(names, key)
    if not at or at < 1 or names and at > #names then return nil, unknown(key, names) end
    by[at] = kind
  end
  return by
end

local read_fields = {header = "boolean|table", types = "table", decimal = "string",
  delimiter = "string", encoding = "string", on_error = "function", max_field = "size",
  max_row = "size", max_fields = "integer"}
local write_fields = {columns = "table", delimiter = "string", crlf = "boolean",
  formulas = "boolean"}
local kinds = {string = true, number = true, integer = true, date = true, boolean = true}

local function check_options(opts)
  opts = options.check("iza.csv", "CsvReadOptions", opts, read_fields)
  for key, kind in pairs(opts.types or {}) do
    if not kinds[kind] then
      misuse("iza.csv: types: the type of %s must be string, number, integer, date or boolean, "
        .. "not %s", tostring(key), tostring(kind))
    end
  end
  local decimal = opts.decimal or "."
  if decimal ~= "." and decimal ~= "," then misuse "iza.csv: decimal must be \".\" or \",\"" end
  return opts, decimal
end

local function called()
  misuse "a reader is no iterator: loop over reader:rows(), or over iza.csv.rows(path)"
end

--- Reads the header and sets the reader up; nil, err when that fails.
local function prepare(reader, opts, decimal)
  debug.getmetatable(reader).__call = called
  local names
  if type(opts.header) == "table" then
    names = distinct(opts.header)
  elseif opts.header ~= false then
    local row, err = reader:read()
    if not row and err then
      reader:close()
      return nil, err
    end
    names = distinct(row or {})
  end
  local types, err = positions(opts.types, names)
  if not types and names and #names > 0 then
    reader:close()
    return nil, err
  end
  core.setup(reader, names and #names or 0, names, types or {}, decimal, opts.on_error)
  names_of[reader] = names
  return reader
end

--- Something with a read method (a file, a response's body) as a function that gives pieces.
local function pieces(source)
  if type(source) == "function" or type(source) == "string" then return source end
  local ok, read = pcall(function() return source.read end)
  if not ok or not read then
    misuse("source: a path, a function or something with a read method expected, got %s",
      type(source))
  end
  return function() return read(source, 65536) end
end

--- Opens a CSV file for reading; the file is read ahead of you and never blocks other tasks.
--- Fails with an errno name ("ENOENT"), with a bad header's error, or "no_column" when a typed
--- column is missing. An empty file has no columns and no rows.
--- Errors of rows have code "ragged", "invalid" (a cell is not of its type), "stray_quote",
--- "unterminated", "encoding", "too_large" or "too_many" and err.line; with a cell err.name,
--- err.field and err.value, with bad syntax err.column (characters), and err.row where the row's
--- fields are known.
--- Example: `local r <close> = assert(csv.open("leads.csv", {types = {spend = "number"}}))`
---@param path string
---@param opts? iza.CsvReadOptions
---@return iza.CsvReader? reader
---@return table? err
function csv.open(path, opts)
  local o, decimal = check_options(opts)
  if type(path) ~= "string" then misuse("path: a string expected, got %s", type(path)) end
  return prepare(core.reader(nil, setmetatable({path = path}, {__index = o})), o, decimal)
end

--- Reads CSV from a string. Errors as csv.open.
--- Example: `for row in csv.parse("a,b\n1,2\n"):rows() do print(row.a) end`
---@param text string
---@param opts? iza.CsvReadOptions
---@return iza.CsvReader? reader
---@return table? err
function csv.parse(text, opts)
  local o, decimal = check_options(opts)
  if type(text) ~= "string" then misuse("text: a string expected, got %s", type(text)) end
  return prepare(core.reader(text, o), o, decimal)
end

--- A reader over a path, a reader, a function that returns the next piece (nil at the end; nil, err
--- when it failed) or something with read(self, n). Raises what csv.open returns.
local function reader_of(source, opts)
  if type(source) == "userdata" and getmetatable(source) and getmetatable(source).__index == Reader
  then
    return source
  end
  if type(source) == "string" then
    local reader, err = csv.open(source, opts)
    if not reader then error(err, 0) end
    return reader
  end
  local o, decimal = check_options(opts)
  local reader, err = prepare(core.reader(pieces(source), o), o, decimal)
  if not reader then error(err, 0) end
  return reader
end

--- Iterates over rows: `row, line`. The source is a path, a reader, a function that returns the
--- next piece of text, or something with read(self, n) such as a response's body. What csv.open
--- returns as an error is raised here, and so is a bad row unless opts.on_error takes it. The
--- reader is closed when the loop ends, however it ends.
--- Example: `for row, line in csv.rows("leads.csv") do print(line, row.company) end`
---@param source string|iza.CsvReader|fun(): string?|table
---@param opts? iza.CsvReadOptions
---@return fun(): table?, integer?
function csv.rows(source, opts)
  local reader = reader_of(source, opts)
  return reader:rows(), nil, nil, reader
end

--- Iterates over the values of some columns, without a table for each row: the way to aggregate
--- large files. An empty cell of a type other than string is false. Sources and errors as csv.rows.
--- Example: `for name, n in csv.columns(path, {"name", "n"}, {types = {n = "integer"}}) do end`
---@param source string|iza.CsvReader|fun(): string?|table
---@param names (string|integer)[] 1 to 200 columns
---@param opts? iza.CsvReadOptions
---@return fun(): ...
function csv.columns(source, names, opts)
  local reader = reader_of(source, opts)
  return reader:columns(names), nil, nil, reader
end

function Reader:header() return names_of[self] end

function Reader:columns(names)
  local header, at = names_of[self], {}
  for i, name in ipairs(names) do
    at[i] = position(header, name)
    if not at[i] or header and at[i] > #header then
      if header and #header == 0 then return function() end end
      error(unknown(name, header), 0)
    end
  end
  return core.columns(self, at)
end

---@class iza.CsvWriteOptions
---@field columns? string[] the header; rows are then tables keyed by these names. Without it rows
--- are arrays, as long as the first
---@field delimiter? string one character, default ","
---@field crlf? boolean end rows with CRLF instead of LF
---@field formulas? boolean true: write text that begins with = + - @ tab or CR as it is. By default
--- it gets a leading ' so that no spreadsheet runs it; numbers stay numbers

---@class iza.CsvWriter
---@field write fun(self, row: table): true?, table? adds a row: strings, numbers, booleans, nil
---@field close fun(self): true|string|nil, table? puts the file in its place; without a target
--- gives the text
---@field abort fun(self) forgets everything written

--- Opens a writer. A path: rows go to a new file beside it, which takes its place at close(), when
--- all of it is on disk; after an error (also one that leaves a `<close>` block) the old file is
--- untouched. A function: called with pieces of text (it may return nil, err). nil: close() returns
--- the text. Fails with an errno name.
--- Example: `local w <close> = assert(csv.writer("out.csv", {columns = {"company", "score"}}))`
---@param target? string|fun(piece: string)|table a path, a function, or anything with write
---@param opts? iza.CsvWriteOptions
---@return iza.CsvWriter? writer
---@return table? err
function csv.writer(target, opts)
  local o = options.check("iza.csv", "CsvWriteOptions", opts, write_fields)
  local sink = target
  if target ~= nil and type(target) ~= "string" and type(target) ~= "function" then
    local ok, write = pcall(function() return target.write end)
    if not ok or not write then
      misuse("target: a path, a function or something with a write method expected, got %s",
        type(target))
    end
    sink = function(piece) return write(target, piece) end
  end
  if o.columns and #o.columns == 0 then misuse "option columns: the list is empty" end
  local writer, err = core.writer(sink, o, o.columns)
  if not writer then return nil, err end
  if o.columns then
    local names = {}
    for i, name in ipairs(o.columns) do names[name] = o.columns[i] end
    local ok, failure = writer:write(names)
    if not ok then return nil, failure end
  end
  return writer
end

--- The rows as CSV text. Rows keyed by name need opts.columns, or get all their names, sorted.
--- Example: `csv.encode({{company = "Acme", spend = 12.5}})` --> "company,spend\nAcme,12.5\n"
---@param rows table[]
---@param opts? iza.CsvWriteOptions
---@return string text
function csv.encode(rows, opts)
  local o = options.check("iza.csv", "CsvWriteOptions", opts, write_fields)
  if not o.columns and rows[1] and rows[1][1] == nil and next(rows[1]) ~= nil then
    local seen, names = {}, {}
    for _, row in ipairs(rows) do
      for name in pairs(row) do
        if not seen[name] then
          seen[name] = true
          names[#names + 1] = name
        end
      end
    end
    table.sort(names)
    o = setmetatable({columns = names}, {__index = o})
  end
  local writer <close> = csv.writer(nil, o)
  for _, row in ipairs(rows) do writer:write(row) end
  return (writer:close())
end

return csv
