--- Command lines: declare options once, get parsing, checks, --help and completion from it.
---
---     local cli = args.new {
---       name = "iza run qualify_leads", about = "Scores a leads file.",
---       {"file", type = "file", help = "the CSV to read"},
---       {"-o, --out FILE", help = "where the result goes"},
---       {"--limit N", type = "integer", default = 8, min = 1, help = "requests at once"},
---       {"-v, --verbose", help = "say more"},
---       examples = {"iza run qualify_leads leads.csv --limit 4"},
---     }
---     local opts = cli:parse_or_exit(arg)   --> {file = "leads.csv", limit = 4}
---
--- A declaration that starts with "-" is an option: a flag without a placeholder (a word in
--- capitals), a value with one. Else it is a positional argument, required unless
--- `required = false` or it has a default; "name..." takes all the rest. The result's field is the
--- long name with "_" for "-", or `key`.
--- Understood are --name value, --name=value, --no-flag, -abc, -ofile, and "--" before what only
--- looks like an option.
local duration = require "iza.duration"
local fail = require "iza.fail"
local help = require "iza.args_help"
local nearest = require "iza.nearest"
local misuse = require "iza.misuse"

local args = {}

---@alias iza.ArgType "string"|"number"|"integer"|"duration"|"size"|"enum"|"file"

---@class iza.Arg
---@field [1] string "-o, --out FILE", "--flag", "name" or "name..."
---@field type? iza.ArgType default "string"; duration gives seconds, size bytes; file must be
---readable
---@field choices? string[] for type "enum"
---@field min? number
---@field max? number
---@field many? boolean may be repeated; the result is a list
---@field required? boolean
---@field default? any
---@field env? string variable read when the option is not given
---@field key? string field of the result
---@field help? string

---@class iza.ArgSpec
---@field name string as typed: "iza runs"
---@field about? string one or two sentences
---@field examples? string[]
---@field version? string answered to --version
---@field commands? iza.ArgSpec[] subcommands; each name is one word
local Spec = {}
Spec.__index = Spec

-- ---- values ----

local sizes = {B = 1, KB = 1 << 10, MB = 1 << 20, GB = 1 << 30, TB = 1 << 40}

local function parse_size(text)
  local number, unit = text:match "^(%d+%.?%d*)(%u*)$"
  local factor = number and sizes[unit == "" and "B" or unit]
  if not factor or tonumber(number) * factor >= 2 ^ 53 then
    return fail("usage", "wants a size such as 16KB, 64MB, 1.5GB, not '%s'", text)
  end
  return math.floor(tonumber(number) * factor)
end

local function decimal(text) return text:match "^[+-]?[%d.][%d.eE+-]*$" and tonumber(text) end

local readers = {
  string = function(text) return text end,
  number = function(text)
    local n = decimal(text)
    if n then return n end
    return fail("usage", "wants a number, not '%s'", text)
  end,
  integer = function(text)
    local n = text:match "^[+-]?%d+$" and math.tointeger(tonumber(text))
    if n then return n end
    return fail("usage", "wants a whole number, not '%s'", text)
  end,
  duration = function(text)
    local seconds = duration.parse(decimal(text) or text)
    if seconds then return seconds end
    return fail("usage", "wants a duration such as 250ms, 5m, 1h30m, not '%s'", text)
  end,
  size = parse_size,
  enum = function(text, option)
    for _, choice in ipairs(option.choices) do
      if choice == text then return text end
    end
    local near = nearest(text, option.choices)
    return fail("usage", "wants %s, not '%s'%s", table.concat(option.choices, ", "), text,
      near and "; did you mean '" .. near .. "'?" or "")
  end,
  file = function(text)
    if text == "-" then return text end
    local f, why = io.open(text, "rb")
    if not f then return fail("usage", "cannot be read: %s", why) end
    local ok, problem, code = f:read(0)
    f:close()
    if not ok and code then return fail("usage", "cannot be read: %s: %s", text, problem) end
    return text
  end,
}

local function in_range(option, value)
  if option.min and value < option.min then
    return fail("usage", "wants at least %s, not %s", tostring(option.min), tostring(value))
  end
  if option.max and value > option.max then
    return fail("usage", "wants at most %s, not %s", tostring(option.max), tostring(value))
  end
  return value
end

-- The value of a text, or nil and an error that names the option.
local function read_value(option, text, from)
  local value, err = readers[option.type](text, option)
  if value ~= nil then value, err = in_range(option, value) end
  if value == nil then return fail("usage", "%s %s", from or option.label, err.message) end
  return value
end

-- ---- declarations ----

local known_fields = {type = true, choices = true, min = true, max = true, many = true,
  required = true, default = true, env = true, key = true, help = true}

local function check_declaration(d)
  for field in pairs(d) do
    if field ~= 1 and not known_fields[field] then
      local names = {}
      for name in pairs(known_fields) do names[#names + 1] = name end
      table.sort(names)
      local near = nearest(tostring(field), names)
      misuse("%s: no field '%s' in a declaration%s; there are: %s", tostring(d[1]), tostring(field),
        near and "; did you mean '" .. near .. "'?" or "", table.concat(names, ", "))
    end
  end
  if not readers[d.type] then misuse("%s: no type '%s'", d[1], tostring(d.type)) end
  if (d.type == "enum") ~= (d.choices ~= nil) then
    misuse("%s: choices belong to type \"enum\"", d[1])
  end
end

local function declare_option(d)
  local o = {names = {}}
  local names, placeholder = d[1]:match "^(.-) +([^%s-]%S*)$"
  if placeholder and not placeholder:find "^%u[%u%d_:]*$" then
    misuse("%s: a placeholder is one word in capitals, as in \"--out FILE\", not '%s'", d[1],
      placeholder)
  end
  o.placeholder = placeholder
  for name in ((names or d[1]) .. ","):gmatch " ?([^,]*)," do
    if not name:find "^%-%w$" and not name:find "^%-%-%w[%w-]*$" then
      misuse("%s: '%s' is not an option's name, as in \"-o, --out FILE\"", d[1], name)
    end
    o.names[#o.names + 1] = name
    if name:sub(1, 2) == "--" then o.long = name end
  end
  o.flag = o.placeholder == nil
  o.label = o.long or o.names[1]
  o.key = d.key or o.label:gsub("^%-+", ""):gsub("-", "_")
  return o
end

local function declare_positional(d)
  local word, dots = d[1]:match "^([%w_-]+)(%.*)$"
  if not word then misuse("'%s' is neither an option nor a positional argument", d[1]) end
  local p = {label = word, key = d.key or word:gsub("-", "_"), rest = dots == "..."}
  p.required = d.required
  if p.required == nil then p.required = d.default == nil and not p.rest end
  return p
end

local function declare(spec, d)
  if type(d) ~= "table" or type(d[1]) ~= "string" then
    misuse("iza.args: an argument is declared by a table such as {\"file\"} or {\"--limit N\"}, "
      .. "not by %s", type(d) == "string" and ("%q"):format(d) or "a " .. type(d))
  end
  d.type = d.type or (d.choices and "enum" or "string")
  check_declaration(d)
  local is_option = d[1]:sub(1, 1) == "-"
  local item = is_option and declare_option(d) or declare_positional(d)
  for field, value in pairs(d) do
    if field ~= 1 and item[field] == nil then item[field] = value end
  end
  if not is_option then
    spec.positionals[#spec.positionals + 1] = item
    return
  end
  spec.options[#spec.options + 1] = item
  for _, name in ipairs(item.names) do
    if spec.by_name[name] then misuse("%s is declared twice", name) end
    spec.by_name[name] = item
  end
end

--- Makes a parser of a declaration (see the top of this file). A wrong declaration raises.
--- Example: `local cli = args.new{name = "greet", {"name"}, {"--loud"}}`
---@param declaration iza.ArgSpec|iza.Arg[]
---@return iza.ArgSpec
function args.new(declaration)
  local spec = setmetatable({options = {}, positionals = {}, by_name = {}, commands = {}}, Spec)
  for _, field in ipairs {"name", "about", "examples", "version"} do
    spec[field] = declaration[field]
  end
  for _, d in ipairs(declaration) do declare(spec, d) end
  if not spec.by_name["--help"] then declare(spec, {"-h, --help", help = "show this help"}) end
  if spec.version and not spec.by_name["--version"] then
    declare(spec, {"--version", help = "show the version"})
  end
  for _, command in ipairs(declaration.commands or {}) do
    local sub = getmetatable(command) == Spec and command or args.new(command)
    spec.commands[#spec.commands + 1] = sub
    spec.commands[sub.name] = sub
  end
  return spec
end

-- ---- parsing ----

local function store(state, item, value)
  if item.many or item.rest then
    local list = state.given[item] or {}
    list[#list + 1] = value
    value = list
  end
  state.given[item] = value
end

-- Finds "--name" also as "--no-name"; returns the option and the value a flag gets.
local function find_option(state, name)
  local option = state.by_name[name]
  if option then return option, true end
  local positive = name:match "^%-%-no%-(.+)$"
  option = positive and state.by_name["--" .. positive]
  if option and option.flag then return option, false end
end

local function unknown_option(state, name)
  local names = {}
  for known in pairs(state.by_name) do names[#names + 1] = known end
  table.sort(names)
  local near = nearest(name, names)
  return fail("usage", "unknown option %s%s", name, near and "; did you mean " .. near .. "?" or "")
end

local function take_value(state, option, text)
  if not text then
    state.at = state.at + 1
    text = state.argv[state.at]
    if not text then return fail("usage", "%s wants %s", option.label, option.placeholder) end
  end
  local value, err = read_value(option, text)
  if value == nil then return nil, err end
  store(state, option, value)
  return true
end

local function take_long(state, word)
  local name, text = word:match "^(%-%-[^=]+)=(.*)$"
  name = name or word
  local option, on = find_option(state, name)
  if not option then return unknown_option(state, name) end
  if not option.flag then
    if on == false then return unknown_option(state, name) end
    return take_value(state, option, text)
  end
  if text then return fail("usage", "%s takes no value", name) end
  store(state, option, on)
  return true
end

local function take_short(state, word)
  local at = 2
  while at <= #word do
    local name = "-" .. word:sub(at, at)
    local option = state.by_name[name]
    if not option then return unknown_option(state, name) end
    if not option.flag then
      local rest = word:sub(at + 1):gsub("^=", "")
      return take_value(state, option, #word > at and rest or nil)
    end
    store(state, option, true)
    at = at + 1
  end
  return true
end

local function enter_command(state, word)
  local command = state.spec.commands[word]
  if not command then
    local names = {}
    for _, c in ipairs(state.spec.commands) do names[#names + 1] = c.name end
    local near = nearest(word, names)
    return fail("usage", "unknown command '%s'%s", word,
      near and "; did you mean '" .. near .. "'?" or "")
  end
  state.path[#state.path + 1] = word
  state.spec, state.position = command, 1
  state.specs[#state.specs + 1] = command
  -- the options before it stay known behind it
  local all = {}
  for _, spec in ipairs(state.specs) do
    for name, option in pairs(spec.by_name) do all[name] = option end
  end
  state.by_name = all
  return true
end

local function take_positional(state, word)
  if #state.spec.commands > 0 then return enter_command(state, word) end
  local item = state.spec.positionals[state.position]
  if not item then return fail("usage", "unexpected argument '%s'", word) end
  local value, err = read_value(item, word)
  if value == nil then return nil, err end
  store(state, item, value)
  if not item.rest then state.position = state.position + 1 end
  return true
end

local function looks_like_option(state, word)
  if state.only_positional or word == "-" or word:sub(1, 1) ~= "-" then return false end
  -- a negative number is an option only where one is declared
  return not (word:match "^%-[%d.]+$" and not state.by_name[word:sub(1, 2)])
end

local function take_word(state, word)
  if not looks_like_option(state, word) then return take_positional(state, word) end
  if word == "--" then
    state.only_positional = true
    return true
  end
  if word:sub(1, 2) == "--" then return take_long(state, word) end
  return take_short(state, word)
end

-- A value that was not given: from the environment, else the default.
local function fallback(item)
  local text = item.env and os.getenv(item.env)
  if text and text ~= "" then
    if item.flag then return text ~= "0" and text ~= "false" end
    local value, err = read_value(item, text, item.env)
    if value == nil then return nil, err end
    return item.many and {value} or value
  end
  if item.default ~= nil then return item.default end
  if item.many or item.rest then return {} end
  return nil
end

local function finish_item(result, state, item)
  local value = state.given[item]
  local missing = value == nil
  if missing then
    local err
    value, err = fallback(item)
    if err then return nil, err end
  end
  local empty = missing and (value == nil or (item.required and type(value) == "table"))
  if empty and item.required then
    return fail("usage", "%s is missing", item.flag == nil and "<" .. item.label .. ">"
      or item.label)
  end
  result[item.key] = value
  return true
end

local function finish(state)
  local result = {}
  if #state.path > 0 then result.command = table.concat(state.path, " ") end
  for _, spec in ipairs(state.specs) do
    for _, list in ipairs {spec.options, spec.positionals} do
      for _, item in ipairs(list) do
        local ok, err = finish_item(result, state, item)
        if not ok then return nil, err end
      end
    end
  end
  result.help, result.version = nil, nil
  if #state.spec.commands > 0 then return fail("usage", "a command is missing") end
  return result
end

local function new_state(spec, argv)
  return {spec = spec, specs = {spec}, by_name = spec.by_name, argv = argv, at = 0, position = 1,
    given = {}, path = {}}
end

local function asked(state, name)
  local option = state.by_name[name]
  return option and state.given[option]
end

--- Reads a command line. Asking for help or the version is also an `err`: code "help" or "version",
--- whose message is the text to print.
--- Example: `local opts, err = cli:parse({"leads.csv", "--limit=4"})`
---@param argv string[]
---@return table? values by key; subcommands add `command`, their words joined by a blank
---@return table? err code "usage", "help" or "version"; err.usage is a line on how to call it
function Spec:parse(argv)
  local state = new_state(self, argv)
  local result, err = true, nil
  while result and state.at < #argv do
    state.at = state.at + 1
    result, err = take_word(state, argv[state.at])
    if result and asked(state, "--help") then return fail("help", "%s", help.text(state.specs)) end
    if result and self.version and asked(state, "--version") then
      return fail("version", "%s", self.version)
    end
  end
  if result then result, err = finish(state) end
  if err then err.usage = help.usage(state.specs) end
  return result, err
end

--- Reads a command line, or prints and ends the program: help to stdout with exit code 0, an error
--- and the usage to stderr with exit code 2.
--- Example: `local opts = cli:parse_or_exit(arg)`
---@param argv string[]
---@return table values
function Spec:parse_or_exit(argv)
  local result, err = self:parse(argv)
  if result then return result end
  if err.code == "usage" then
    io.stderr:write(self.name, ": ", err.message, "\n", err.usage, "\n")
    os.exit(2, true)
  end
  io.stdout:write(err.message, "\n")
  os.exit(0, true)
end

--- The text of --help.
--- Example: `print(cli:help())`
---@return string
function Spec:help() return help.text {self} end

--- What may come next on a command line, for a shell's completion: options, subcommands, choices.
--- An empty list means "files".
--- Example: `cli:complete({"--lim"})` --> {"--limit"}
---@param words string[] typed so far; the last one is unfinished, perhaps ""
---@return string[]
function Spec:complete(words)
  local state = new_state(self, words)
  local last = words[#words] or ""
  for i = 1, #words - 1 do
    state.at = i
    local option = looks_like_option(state, words[i]) and state.by_name[words[i]]
    if option and not option.flag then
      if i == #words - 1 then return help.starting(option.choices or {}, last) end
    elseif not option and #state.spec.commands > 0 and words[i]:sub(1, 1) ~= "-" then
      enter_command(state, words[i])
    end
  end
  return help.starting(help.next_words(state), last)
end

return args
