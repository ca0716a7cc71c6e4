--- The one way library code looks at a table of options: what is misspelt or of the wrong type is
--- raised in the caller's line, with the name of the option and the names there are.
local misuse = require "iza.misuse"
local task = require "iza.core.task"

local options = {}

local SHORT = 12 -- a list of so many names is shown whole

-- The name that begins as the word does: "mem" is memory, "retries" retry.
local function begun(word, names)
  for _, name in ipairs(names) do
    local least = math.max(3, math.min(#word, #name) - 1)
    if word:sub(1, least) == name:sub(1, least) then return name end
  end
end

-- "; did you mean 'port'?" and what else helps to find the right name.
local function hint(name, fields, class)
  local names = {}
  for known in pairs(fields) do names[#names + 1] = known end
  table.sort(names)
  local near = type(name) == "string" and #name > 1
    and (require("iza.nearest")(name, names) or begun(name, names))
  local text = near and ("; did you mean '%s'?"):format(near) or ""
  if #names <= SHORT then
    local list = "there are: " .. table.concat(names, ", ")
    return text .. (near and " (" .. list .. ")" or "; " .. list)
  end
  local where = ("`iza help %s` lists them"):format(class)
  return text .. (near and " (" .. where .. ")" or "; " .. where)
end

local function fits(value, kind)
  local is = type(value)
  for name in kind:gmatch "[^|]+" do
    if name == "any" or is == name or name == "integer" and math.type(value) == "integer" then
      return true
    end
  end
  return false
end

local function check_duration(where, name, value)
  local text_or_number = type(value) == "number" or type(value) == "string"
  local ok, why = pcall(task.seconds, text_or_number and value or "")
  if ok then return end
  if tostring(why):find("not enough memory", 1, true) then error(why, 0) end
  misuse("%s: %s must be a duration, seconds or text such as \"250ms\", \"1h30m\"; got %s", where,
    name, type(value) == "string" and ("%q"):format(value) or tostring(value))
end

local function check_size(where, name, value)
  local text = type(value) == "string"
    and value:upper():match "^%d+%.?%d*%s*([KMGT]?)I?B?$" ~= nil
  if text or type(value) == "number" and value >= 0 then return end
  misuse("%s: %s must be a size, bytes or text such as \"64MB\"; got %s", where, name,
    type(value) == "string" and ("%q"):format(value) or tostring(value))
end

--- Raises what is wrong in a table of options.
--- Kinds: Lua's types, "integer", "any", joined by "|" where several fit; "duration" and "size".
--- Example: `options.check("iza.hot.file", "HotOptions", opts, {check = "function"})`
---@param where string the function as its caller knows it
---@param class string where its fields are described, for `iza help`
---@param given table? nil is no options
---@param fields table<string, string> the kind of each option
---@return table given
function options.check(where, class, given, fields)
  if given == nil then return {} end
  if type(given) ~= "table" then
    misuse("%s: options must be a table, got %s", where, type(given))
  end
  for name, value in pairs(given) do
    local kind = fields[name]
    if not kind then
      misuse("%s: unknown option '%s'%s", where, tostring(name), hint(name, fields, class))
    elseif kind == "duration" then
      check_duration(where, name, value)
    elseif kind == "size" then
      check_size(where, name, value)
    elseif not fits(value, kind) then
      misuse("%s: %s must be a %s, got %s", where, name, kind:gsub("|", " or "), type(value))
    end
  end
  return given
end

return options
