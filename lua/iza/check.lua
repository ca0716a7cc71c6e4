--- What can be known about Lua source without running it: syntax errors and unknown globals.
---
--- Syntax is judged by Lua itself. Then every name is resolved as the compiler does it: locals,
--- parameters, loop variables, attributes, methods, labels, and `_ENV`, under a local one of which
--- free names are not globals. What is left are the globals.
local fail = require "iza.fail"
local lexer = require "iza.lexer"
local nearest = require "iza.nearest"
local check_fields = require "iza.check_fields"

local check = {}

-- ---- resolving names ----

---@class iza.GlobalUse
---@field name string
---@field assigned boolean
---@field line integer
---@field column integer

-- A reader walks the tokens once; `scope` is a chain of tables of local names.
local Reader = {}
Reader.__index = Reader

function Reader:next()
  local token = self.tokens[self.at]
  self.at = self.at + 1
  return token
end

function Reader:peek() return self.tokens[self.at] end

-- Whether the next token is this keyword or symbol (a string that reads like one is not).
function Reader:is(text)
  local token = self.tokens[self.at]
  return token.text == text and (token.kind == "keyword" or token.kind == "symbol")
end

function Reader:take(text)
  if not self:is(text) then return false end
  self.at = self.at + 1
  return true
end

function Reader:open() self.scope = {outer = self.scope, names = {}} end

function Reader:close() self.scope = self.scope.outer end

function Reader:declare(name, known) self.scope.names[name] = known or true end

-- The module's name when what follows is `require "name"` and nothing more.
function Reader:required()
  local tokens, at = self.tokens, self.at
  if tokens[at].text ~= "require" or self:is_local "require" then return nil end
  local bracket = tokens[at + 1].text == "(" and tokens[at + 1].kind == "symbol"
  local name = tokens[at + (bracket and 2 or 1)]
  if name.kind ~= "string" or bracket and tokens[at + 3].text ~= ")" then return nil end
  local after = tokens[at + (bracket and 4 or 2)]
  if after.kind == "symbol" and after.text ~= ";" or after.kind == "string"
    or after.text == "and" or after.text == "or" then
    return nil
  end
  return name.text:match "^[\"']([%w_.%-]+)[\"']$"
end

-- What is known of a local; nil for other names.
function Reader:is_local(name)
  local scope = self.scope
  while scope do
    if scope.names[name] then return scope.names[name] end
    scope = scope.outer
  end
end

local uses_value = {["("] = true, ["{"] = true, ["["] = true, [":"] = true}

-- Notes the names that follow this one, as in http.get: the reader stands behind it.
function Reader:note_fields(token, assigned)
  local entry = self:is_local(token.text)
  if entry == true or self:is_local "_ENV" then return end
  local fields, at = {}, self.at
  while #fields < 3 and self.tokens[at].kind == "symbol" and self.tokens[at].text == "." do
    fields[#fields + 1] = self.tokens[at + 1]
    at = at + 2
  end
  if #fields == 0 then return end
  local after = self.tokens[at]
  local symbol = after.kind == "symbol" and after.text
  self.field_uses[#self.field_uses + 1] = {name = token.text, entry = entry, fields = fields,
    assigned = assigned or symbol == "=",
    used = after.kind == "string" or uses_value[symbol] or symbol == "."}
end

function Reader:use(token, assigned)
  local entry = self:is_local(token.text)
  if assigned and type(entry) == "table" then entry.module = nil end
  if self:is_local(token.text) or token.text == "_ENV" or self:is_local "_ENV" then return end
  self.uses[#self.uses + 1] = {name = token.text, assigned = assigned, scope = self.scope,
    line = token.line,
    column = token.column}
end

local block_ends = {["end"] = true, ["else"] = true, ["elseif"] = true, ["until"] = true}

function Reader:at_block_end()
  local token = self:peek()
  return token.kind == "end" or (token.kind == "keyword" and block_ends[token.text])
end

function Reader:statements()
  while not self:at_block_end() do self:statement() end
end

function Reader:block()
  self:open()
  self:statements()
  self:close()
end

-- The parameters and the body, up to its "end".
function Reader:body(is_method)
  self:open()
  if is_method then self:declare "self" end
  self:take "("
  while not self:take ")" do
    local token = self:next()
    if token.kind == "name" then self:declare(token.text) end
  end
  self:statements()
  self:take "end"
  self:close()
end

function Reader:table()
  while not self:take "}" do
    if self:take "[" then
      self:expression()
      self:take "]"
      self:take "="
      self:expression()
    else
      local after = self.tokens[self.at + 1]
      if self:peek().kind == "name" and after.kind == "symbol" and after.text == "=" then
        self.at = self.at + 2
      end
      self:expression()
    end
    if not self:take "," then self:take ";" end
  end
end

function Reader:list()
  self:expression()
  while self:take "," do self:expression() end
end

-- Arguments of a call, if there are some here.
function Reader:arguments()
  if self:peek().kind == "string" then
    self:next()
  elseif self:take "{" then
    self:table()
  elseif self:take "(" then
    if self:take ")" then return true end
    self:list()
    self:take ")"
  else
    return false
  end
  return true
end

-- A name or a parenthesis with all that follows it: fields, indices, calls. A bare name is given
-- back unresolved: it may stand before "=".
function Reader:suffixed()
  local bare
  if self:take "(" then
    self:expression()
    self:take ")"
  else
    bare = self:next()
  end
  while true do
    local token = self:peek()
    local follows = token.kind == "string" or (token.kind == "symbol"
      and (token.text == "." or token.text == "[" or token.text == ":" or token.text == "("
        or token.text == "{"))
    if not follows then return bare end
    if bare then
      self:use(bare, false)
      self:note_fields(bare)
    end
    bare = nil
    if self:take "." then
      self:next()
    elseif self:take "[" then
      self:expression()
      self:take "]"
    else
      if self:take ":" then self:next() end
      self:arguments()
    end
  end
end

local values = {["nil"] = true, ["true"] = true, ["false"] = true, ["..."] = true}

function Reader:simple()
  local token = self:peek()
  if token.kind == "number" or token.kind == "string" or values[token.text] then
    self:next()
  elseif self:take "function" then
    self:body(false)
  elseif self:take "{" then
    self:table()
  else
    local bare = self:suffixed()
    if bare then self:use(bare, false) end
  end
end

local unary = {["not"] = true, ["-"] = true, ["#"] = true, ["~"] = true}
local binary = {}
for operator in ("+ - * / // % ^ .. == ~= < <= > >= & | ~ << >> and or"):gmatch "%S+" do
  binary[operator] = true
end

local function is_operator(token, set)
  return (token.kind == "symbol" or token.kind == "keyword") and set[token.text]
end

-- Precedence does not matter to names.
function Reader:expression()
  repeat
    while is_operator(self:peek(), unary) do self:next() end
    self:simple()
    local again = is_operator(self:peek(), binary)
    if again then self:next() end
  until not again
end

-- ---- statements ----

local statements = {}

statements["do"] = function(self)
  self:block()
  self:take "end"
end

statements["while"] = function(self)
  self:expression()
  self:take "do"
  self:block()
  self:take "end"
end

-- The condition sees the locals of the body.
statements["repeat"] = function(self)
  self:open()
  self:statements()
  self:take "until"
  self:expression()
  self:close()
end

statements["if"] = function(self)
  repeat
    self:expression()
    self:take "then"
    self:block()
  until not self:take "elseif"
  if self:take "else" then self:block() end
  self:take "end"
end

local function names(self)
  local list = {}
  repeat
    list[#list + 1] = self:next().text
    if self:take "<" then
      self:next()
      self:take ">"
    end
  until not self:take ","
  return list
end

statements["for"] = function(self)
  local variables = names(self)
  if not self:take "=" then self:take "in" end
  self:list()
  self:take "do"
  self:open()
  for _, name in ipairs(variables) do self:declare(name) end
  self:statements()
  self:take "end"
  self:close()
end

statements["function"] = function(self)
  local name, is_field, is_method = self:next(), false, false
  self:note_fields(name, true)
  while self:take "." do
    self:next()
    is_field = true
  end
  if self:take ":" then
    self:next()
    is_method = true
  end
  self:use(name, not (is_field or is_method))
  self:body(is_method)
end

statements["local"] = function(self)
  if self:take "function" then
    self:declare(self:next().text)
    self:body(false)
    return
  end
  local list = names(self)
  local module
  if self:take "=" then
    module = #list == 1 and self:required()
    self:list()
  end
  for _, name in ipairs(list) do self:declare(name, module and {module = module}) end
end

statements["return"] = function(self)
  if not self:at_block_end() and not self:is ";" then self:list() end
end

statements["break"] = function() end
statements["goto"] = function(self) self:next() end
statements["::"] = function(self)
  self:next()
  self:take "::"
end
statements[";"] = function() end

function Reader:statement()
  local token = self:peek()
  local known = token.kind ~= "name" and token.kind ~= "string" and statements[token.text]
  if known then
    self:next()
    known(self)
    return
  end
  local targets = {self:suffixed() or nil}
  while self:take "," do targets[#targets + 1] = self:suffixed() end
  if self:take "=" then self:list() end
  for _, name in ipairs(targets) do self:use(name, true) end
end

--- The uses of globals in a source, in order.
--- Example: `check.globals("local a = b")` --> {{name = "b", assigned = false, line = 1, ...}}
---@param source string valid Lua
---@return iza.GlobalUse[]
---@return iza.FieldUse[] fields
function check.globals(source)
  local reader = setmetatable({tokens = lexer.tokens(source), at = 1, uses = {}, field_uses = {}},
    Reader)
  reader:block()
  return reader.uses, reader.field_uses
end

-- ---- findings ----

---@class iza.Finding
---@field file string
---@field line integer
---@field column? integer
---@field message string
---@field source string the text of the line

local standard = {}
for name in ([[_G _VERSION arg assert collectgarbage coroutine debug dofile error getmetatable io
    ipairs iza load loadfile math next os package pairs pcall print rawequal rawget rawlen rawset
    require select setmetatable string table tonumber tostring type utf8 warn xpcall]])
  :gmatch "[%w_]+" do
  standard[name] = true
end

-- What busted gives to a file that it runs.
local of_specs = {}
for name in ([[describe it before_each after_each setup teardown lazy_setup lazy_teardown pending
    spy stub mock match finally insulate expose randomize strict_setup]]):gmatch "[%w_]+" do
  of_specs[name] = true
end

local function lines_of(source)
  local lines = {}
  for line in (source .. "\n"):gmatch "(.-)\r?\n" do lines[#lines + 1] = line end
  return lines
end

local function syntax_finding(file, source, message)
  local line, text = message:match "^%?:(%d+): (.*)$"
  line = math.tointeger(line) or 1
  local quoted = lines_of(source)[line] or ""
  return {file = file, line = line, message = text or message, source = quoted}
end

local function known_names(known)
  local list = {}
  for _, set in ipairs(known) do
    for name in pairs(set) do list[#list + 1] = name end
  end
  table.sort(list)
  return list
end

local function contains(sets, name)
  for _, set in ipairs(sets) do
    if set[name] then return true end
  end
  return false
end

-- The name that was probably meant. Looking for it takes time: a source that is no program (a table
-- of words) has no more than MAX_GUESSES.
local MAX_GUESSES = 100

local function guess_for(use, known, guesses)
  if guesses.left == 0 then return nil end
  guesses.left = guesses.left - 1
  local sets, scope = {table.unpack(known)}, use.scope
  while scope do
    sets[#sets + 1] = scope.names
    scope = scope.outer
  end
  return nearest(use.name, known_names(sets))
end

local function message_of(use, known, guesses)
  if use.assigned then
    return ("assigns the global '%s'; make it local"):format(use.name)
  end
  local message, guess = ("unknown global '%s'"):format(use.name), guess_for(use, known, guesses)
  if not guess then return message end
  if guess ~= use.name then return ("%s; did you mean '%s'?"):format(message, guess) end
  return ("%s: the local of that name begins behind its statement; declare it before, or write "
    .. "`local function %s`"):format(message, guess)
end

-- Sets of names this file may use.
local function known_globals(file, uses, opts)
  local known = {standard, opts.globals or {}}
  if file:find "_spec%.lua$" then known[#known + 1] = of_specs end
  if not opts.strict then
    local own = {}
    for _, use in ipairs(uses) do
      if use.assigned then own[use.name] = true end
    end
    known[#known + 1] = own
  end
  return known
end

--- Checks one source. A syntax error is the only finding of a source that has one.
--- Example: `check.source("a.lua", "prnt(1)")` --> {{line = 1, column = 1, message = ...}}
---@param file string its name, for the findings
---@param source string
---@param opts? {strict?: boolean, globals?: table<string, true>} strict: assigning a global is a
--- finding, as in a project; globals: names that exist
---@return iza.Finding[]
function check.source(file, source, opts)
  opts = opts or {}
  source = source:gsub("^\xEF\xBB\xBF", "")
  local ok, message = load(source:gsub("^#[^\n]*", ""), "=?", "t")
  if not ok then return {syntax_finding(file, source, message)} end
  local uses, fields = check.globals(source)
  local lines = lines_of(source)
  local known, findings = known_globals(file, uses, opts), {}
  local guesses = {left = MAX_GUESSES}
  for _, use in ipairs(uses) do
    if not contains(known, use.name) then
      findings[#findings + 1] = {file = file, line = use.line, column = use.column,
        message = message_of(use, known, guesses), source = lines[use.line]}
    end
  end
  local alone = not source:find("require", 1, true)
  local in_fields = #fields > 0 and check_fields.findings(file, fields, alone) or {}
  if #in_fields == 0 then return findings end
  for _, found in ipairs(in_fields) do
    local token = found.token
    findings[#findings + 1] = {file = file, line = token.line, column = token.column,
      message = found.message, source = lines[token.line]}
  end
  table.sort(findings, function(a, b)
    if a.line ~= b.line then return a.line < b.line end
    return a.column < b.column
  end)
  return findings
end

--- Checks one file.
--- Example: `for _, finding in ipairs(check.file("job.lua")) do print(finding.message) end`
---@param file string
---@param opts? table as for check.source
---@return iza.Finding[]? findings
---@return iza.Error? err
function check.file(file, opts)
  local f, why = io.open(file, "rb")
  if not f then return fail("io", "%s", why) end
  local source, problem = f:read "a"
  f:close()
  if not source then return fail("io", "%s: %s", file, problem) end
  return check.source(file, source, opts)
end

return check
