--- Doc comments, read from the sources inside the program: what `iza help MODULE.function` and the
--- REPL's `:help` show.
---
--- A doc comment is a run of comment lines right above a function; the first begins with "---". The
--- comment at the top of a module is the module's. What has no Lua source (the scheduler's own
--- functions) is described in lua/iza/init.lua in the same form.
---
--- That file is also the one list of what `iza` offers: help and completion know no other names,
--- and none that is marked `@private`.
local doc_class = require "iza.doc_class"
local help = require "iza.args_help"
local nearest = require "iza.nearest"
local page = require "iza.page"
local sources = require "iza.sources"
local term = require "iza.term"

local doc = {}

local GLOBALS = "lua/iza/init.lua"
local IN_TASK = {all = true, race = true, timeout = true, channel = true, select = true}

---@class iza.Doc
---@field name string as called, without the module: "encode", "send"
---@field signature string "encode(value, opts)"
---@field class string of a method, what it stands behind: "Channel"
---@field lines string[] the comment without dashes

-- The comment line without its dashes; nil when it is none.
local function comment_of(line) return line:match "^%-%-%-? ?(.*)$" end

-- Of "function M.all(functions)", "function Channel:send(value)" and "M.spawn = f": the name, the
-- signature, and what stands before it; nil for other lines.
local function signature_of(line)
  local class, separator, name, params = line:match "^function ([%w_]+)([.:])([%w_]+)(%b())"
  if name then return name, (separator == ":" and ":" or "") .. name .. params, class end
  name = line:match "^[%w_]+%.([%w_]+) = "
  return name, name
end

--- The doc comments of a source: that of the module, and one for each documented function.
---@param source string
---@return string[] top
---@return iza.Doc[] items in order
function doc.parse(source)
  local top, items, run, first = nil, {}, nil, true
  for line in (source .. "\n"):gmatch "(.-)\n" do
    local text = comment_of(line)
    if text and (run or line:sub(1, 3) == "---") then
      run = run or {}
      run[#run + 1] = text
    elseif not text then
      local name, signature, class = signature_of(line)
      if run and name then
        items[#items + 1] = {name = name, signature = signature, class = class or "", lines = run}
      elseif run and first then
        top = run
      end
      run, first = nil, false
    end
  end
  return top or {}, items
end

local function read_module(name)
  for _, tail in ipairs {".lua", "/init.lua"} do
    local source = sources.read("lua/iza/" .. name:gsub("%.", "/") .. tail)
    if source then return source end
  end
end

-- ---- showing ----

local function value_line(line)
  local name, type, text = line:match "^@param ([%w_.?]+) (fun%b():? ?%S*) ?(.*)$"
  if not name then name, type, text = line:match "^@param ([%w_.?]+) (%b{}%S*) ?(.*)$" end
  if not name then name, type, text = line:match "^@param ([%w_.?]+) (%S+) ?(.*)$" end
  if name then return ("%s: %s%s"):format(name, type, text ~= "" and "  " .. text or "") end
  local result = line:match "^@return (.*)$"
  if result then return "returns " .. result end
end

-- The first sentence of a comment.
local function summary_of(lines)
  local text = {}
  for _, line in ipairs(lines) do
    if line:sub(1, 1) == "@" then break end
    text[#text + 1] = line
  end
  return table.concat(text, " "):match "^(.-%.)%s" or table.concat(text, " ")
end

local function add_list(out, items)
  for _, item in ipairs(items) do
    out[#out + 1] = "  " .. item.signature
    page.add(out, "      ", summary_of(item.lines), page.width())
  end
end

-- What a source inside the program documents.
local function items_in(path) return select(2, doc.parse(sources.read(path) or "")) end

local function is_method(item) return item.signature:sub(1, 1) == ":" end

-- The methods of a class: functions of the local behind its description, or of its last name.
local function methods_of(class)
  local found, last = {}, class.name:match "[%w_]+$"
  for _, path in ipairs {class.path, GLOBALS} do
    for _, item in ipairs(items_in(path)) do
      local own = path == class.path and item.class == class.var or item.class == last
      if is_method(item) and own then found[#found + 1] = item end
    end
    if #found > 0 or class.path == GLOBALS then break end
  end
  return found
end

-- Adds the fields and methods of a class under a heading; nothing when it has none.
local function add_class(out, class)
  local methods = methods_of(class)
  if #class.fields > 0 then
    out[#out + 1] = "\n" .. class.name .. " has:"
    for _, line in ipairs(doc_class.lines(class)) do out[#out + 1] = line end
  end
  if #methods > 0 then
    out[#out + 1] = "\n" .. class.name .. " has the methods:"
    add_list(out, methods)
  end
end

-- Adds the classes that its parameters and results name.
local function add_classes(out, item)
  local seen = {}
  for _, line in ipairs(item.lines) do
    local text = line:match "^@param %S+ (.*)$" or line:match "^@return (.*)$"
    for _, class in ipairs(text and doc_class.named(text) or {}) do
      if not seen[class] then add_class(out, class) end
      seen[class] = true
    end
  end
end

local function show_item(prefix, item)
  local text, values = {}, {}
  for _, line in ipairs(item.lines) do
    if line:sub(1, 1) == "@" then
      values[#values + 1] = value_line(line)
    elseif #values > 0 then
      values[#values] = values[#values] .. " " .. line
    else
      text[#text + 1] = line
    end
  end
  local out = {prefix .. item.signature, "", page.lay(table.concat(text, "\n"), page.width())}
  if #values > 0 then out[#out + 1] = "" end
  for _, value in ipairs(values) do page.add(out, "  ", value, page.width(), "      ") end
  add_classes(out, item)
  return table.concat(out, "\n")
end

local function show_module(name, top, items)
  local text = {}
  for _, line in ipairs(top) do
    if line:sub(1, 1) ~= "@" then text[#text + 1] = line end
  end
  local out = {"iza." .. name, "", page.lay(table.concat(text, "\n"), page.width())}
  if #items > 0 then out[#out + 1] = "" end
  add_list(out, items)
  for _, class in ipairs(doc_class.options_in("lua/iza/" .. name:gsub("%.", "/") .. ".lua")) do
    add_class(out, class)
  end
  return table.concat(out, "\n")
end

-- ---- finding ----

-- What the parts of a module (lua/iza/NAME/PART.lua) document and the module itself gives.
local function items_of_parts(module)
  local found = {}
  for _, path in ipairs(sources.list("lua/iza/" .. module:gsub("%.", "/") .. "/")) do
    local part = path:match "^lua/(.*)%.lua$":gsub("/", ".")
    for _, item in ipairs(part:find "%.init$" and {} or items_in(path)) do
      local given = not is_method(item) and require("iza." .. module)[item.name]
      if given and given == require(part)[item.name] then found[#found + 1] = item end
    end
  end
  return found
end

-- The comment at the top of a module, and all it gives; nil when there is no such module.
local function parse_module(module)
  local source = read_module(module)
  if not source then return nil end
  local top, items = doc.parse(source)
  return top, #items > 0 and items or items_of_parts(module)
end

-- The method of a class, in whatever file: "channel:send".
local function of_class(class, name)
  local paths = sources.list "lua/iza/"
  table.insert(paths, 1, GLOBALS)
  for _, path in ipairs(paths) do
    for _, item in ipairs(path:find "%.lua$" and items_in(path) or {}) do
      if is_method(item) and item.name == name and item.class:lower() == class:lower() then
        return show_item(class:lower(), item)
      end
    end
  end
end

--- The names of the modules that `iza` has.
---@return string[]
function doc.modules()
  local names = {}
  for name in sources.read(GLOBALS):gmatch '\niza%.([%w_]+) = require "iza%.' do
    names[#names + 1] = name
  end
  return names
end

-- The first sentence of a comment as far as it fits on a line, ended where it may.
local function line_of(lines, room)
  local text = summary_of(lines)
  if term.width(text) <= room then return text end
  local part = text:sub(1, room):match "^(.*)[:;,] "
  local whole = part and select(2, part:gsub("`", "")) % 2 == 0
  return whole and part or term.truncate(text, room)
end

-- Rows of a name and one line each.
local function add_index(out, items)
  local left, rows = 0, {}
  for _, item in ipairs(items) do left = math.max(left, #item.name + 4) end
  for i, item in ipairs(items) do
    rows[i] = {"iza." .. item.name, line_of(item.lines, page.width() - left - 4)}
  end
  help.add_rows(out, rows)
end

local function is_private(item)
  for _, line in ipairs(item.lines) do
    if line == "@private" then return true end
  end
  return false
end

-- The functions of `iza` itself.
local function own_functions()
  local functions = {}
  for _, path in ipairs {GLOBALS, "lua/iza/task.lua"} do
    for _, item in ipairs(items_in(path)) do
      if not is_method(item) and not is_private(item) then functions[#functions + 1] = item end
    end
  end
  return functions
end

--- The names of all that `iza` offers: modules and functions.
---@return string[]
function doc.members()
  local names = doc.modules()
  for _, item in ipairs(own_functions()) do names[#names + 1] = item.name end
  return names
end

-- The page of the global `iza`: its modules and its own functions, each with a line.
local function of_iza()
  local modules, functions = {}, own_functions()
  for i, name in ipairs(doc.modules()) do
    modules[i] = {name = name, lines = doc.parse(read_module(name))}
  end
  local out = {"iza", "", "Modules (`iza help NAME`, in the REPL `:help NAME`):"}
  add_index(out, modules)
  out[#out + 1] = "\nFunctions:"
  add_index(out, functions)
  return table.concat(out, "\n")
end

local function item_named(items, name, no_methods)
  for _, item in ipairs(items) do
    if item.name == name and not (no_methods and is_method(item)) then return item end
  end
end

-- Of a function that is a field of `iza` itself.
local function direct(name)
  local source = IN_TASK[name] and read_module "task" or sources.read(GLOBALS)
  local _, items = doc.parse(source)
  local item = item_named(items, name, true)
  return item and show_item("iza.", item)
end

local function of_module(module, name)
  local top, items = parse_module(module)
  if not top then return nil end
  if not name then return show_module(module, top, items) end
  local item = item_named(items, name)
  if item then
    return show_item("iza." .. module .. (is_method(item) and "" or "."), item)
  end
  return nil, nearest(name, doc.names(module))
end

--- The names of what a module documents.
---@param module string "json"
---@return string[]
function doc.names(module)
  local names = {}
  local _, items = parse_module(module)
  for i, item in ipairs(items or {}) do names[i] = item.name end
  return names
end

--- The list of a module's functions, each with a sentence; nil when there is no such module.
---@param module string "csv"
---@return string?
function doc.list(module)
  local _, items = parse_module(module)
  if not items or #items == 0 then return nil end
  local out = {}
  add_list(out, items)
  return table.concat(out, "\n")
end

--- Loads all fields of a module of `iza` that come on first use, so that they can be listed. Any
--- other value stays as it is.
--- Example: `doc.fill(iza.http)`
---@param value any
function doc.fill(value)
  local meta = type(value) == "table" and debug.getmetatable(value)
  if not meta or rawget(meta, "__index") == nil or rawequal(value, iza) then return end
  for _, module in ipairs(doc.modules()) do
    if rawequal(rawget(iza, module), value) then
      for _, name in ipairs(doc.names(module)) do local _ = value[name] end
    end
  end
end

local function show_class(name)
  local class = doc_class.find(name)
  if not class then return nil end
  local out = {}
  add_class(out, class)
  return #out > 0 and (table.concat(out, "\n"):gsub("^\n", "")) or nil
end

-- The member of `iza` that a word begins, or is near to.
local function meant(word)
  local names = doc.members()
  table.sort(names)
  for _, name in ipairs(names) do
    if word ~= "" and name:sub(1, #word) == word then return name end
  end
  return nearest(word, names)
end

--- The text for a name: `iza`, a module, a function of one or of `iza` itself, a method, or a class
--- such as a table of options.
--- Example: `print(doc.find "json.encode")`
---@param name string "json.encode", "iza.json", "sleep", "channel:send", "ServerOptions"
---@return string? text
---@return string? guess a name in the same module, or of a module, that was probably meant
function doc.find(name)
  if name == "iza" then return of_iza() end
  name = name:gsub("^iza%.", "")
  local text = direct(name) or of_module(name)
  if text then return text end
  local module, field = name:match "^(.+)[.:]([%w_]+)$"
  if not module then return show_class(name), meant(name) end
  local found, guess = of_module(module, field)
  if not found then found = of_class(module, field) or show_class(name) end
  return found, guess and module .. "." .. guess
end

return doc
