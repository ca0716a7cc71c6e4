--- What lives from entry to entry: the top-level locals, `_`, the numbered entries.
---
--- A top-level `local` stays the variable that it is, not a copy: behind each declaration the entry
--- hands over a function that closes over the new variables, and later entries that name one are
--- joined to the same variable (debug.upvaluejoin). So closures and later entries share it, and a
--- second `local x` makes a new variable, as in one long file. Limits: a <close> variable ends with
--- its entry, <const> is not enforced in later entries, and a goto cannot leave its entry.
local core = require "iza.core.repl"

local KEPT = 1000 -- entries whose source is remembered for error reports and :source
local NAMES = 180 -- locals of earlier entries that one entry may use; Lua's limit is 200

local Session = {}
Session.__index = Session

---@class iza.Session
---@field variables table<string, {[1]: function, [2]: integer}> name -> a function and which of its
--- upvalues is the variable
---@field count integer entries so far
local session = {}

--- A session without variables.
---@return iza.Session
function session.new() return setmetatable({variables = {}, count = 0}, Session) end

local function box(value)
  return {function() return value end, 1}
end

--- Makes `name` a variable of the session.
---@param name string
---@param value any
function Session:set(name, value) self.variables[name] = box(value) end

--- The value of a variable.
---@param name string
---@return any value
---@return boolean known
function Session:get(name)
  local variable = self.variables[name]
  if not variable then return nil, false end
  local _, value = debug.getupvalue(variable[1], variable[2])
  return value, true
end

-- f returns the variables called names.
function Session:keep(f, ...)
  local at = {}
  for i = 1, 255 do
    local name = debug.getupvalue(f, i)
    if not name then break end
    at[name] = i
  end
  local current = table.pack(f())
  for i, name in ipairs {...} do
    self.variables[name] = at[name] and {f, at[name]} or box(current[i]) -- a constant has none
  end
end

-- The variables that the text may name.
function Session:used(text)
  local names, seen = {}, {}
  for word in text:gmatch "[%a_][%w_]*" do
    if self.variables[word] and not seen[word] and #names < NAMES then
      seen[word], names[#names + 1] = true, word
    end
  end
  return names
end

local function free_name(text)
  local name = "__keep"
  while text:find(name, 1, true) do name = name .. "_" end
  return name
end

local function join(f, variables, keeper, keep)
  for i = 1, 255 do
    local name = debug.getupvalue(f, i)
    if not name then return end
    if name == keeper then
      debug.setupvalue(f, i, keep)
    elseif variables[name] then
      debug.upvaluejoin(f, i, variables[name][1], variables[name][2])
    end
  end
end

function Session:build(text, chunk)
  local keeper = free_name(text)
  local names = self:used(text)
  names[#names + 1] = keeper
  local body = require("iza.repl.source").after_locals(text, function(declared)
    return ("; %s(function() return %s end, '%s');"):format(keeper, table.concat(declared, ", "),
      table.concat(declared, "', '"))
  end)
  local make, err = load("local " .. table.concat(names, ", ") .. "; return function(...) " .. body
    .. "\nend", "=" .. chunk, "t")
  if not make then return nil, err end
  local f = make()
  join(f, self.variables, keeper, function(...) self:keep(...) end)
  return f
end

--- Compiles Lua that sees the variables: as an expression if it is one, else as statements.
---@param text string
---@param chunk string its name in error reports
---@return function? f
---@return string? err the syntax error
function Session:load(text, chunk)
  if load("return " .. text .. "\n", "=" .. chunk, "t") then text = "return " .. text end
  local f, err = load(text .. "\n", "=" .. chunk, "t")
  if not f then return nil, err end
  return self:build(text, chunk)
end

--- The same for the next entry, whose source is remembered.
---@param text string
---@return function? f
---@return string? err the syntax error
function Session:compile(text)
  self.count = self.count + 1
  local chunk = "entry " .. self.count
  core.source(chunk, text)
  core.source("entry " .. self.count - KEPT, nil)
  return self:load(text, chunk)
end

return session
