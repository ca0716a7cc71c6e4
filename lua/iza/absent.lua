--- A field of iza that is none of its modules: one that a rock added, or a mistake.

local embedded = require "iza.core.embedded"
local misuse = require "iza.misuse"
local nearest = require "iza.nearest"

local function names()
  local list = {"all", "race", "timeout", "channel", "select"}
  for name in pairs(require "iza.core.task") do list[#list + 1] = name end
  for _, path in ipairs(embedded.list "lua/iza/") do
    list[#list + 1] = path:match "^lua/iza/([^/]+)%.lua$"
  end
  return list
end

--- Loads iza.KEY from package.path, or raises with the name that was probably meant.
---@param key string
---@return any module
return function(key)
  local module = "iza." .. key
  if package.searchpath(module, package.path) or package.searchpath(module, package.cpath) then
    return require(module)
  end
  local guess = nearest(key, names())
  misuse("iza has no '%s'%s", key, guess and ("; did you mean 'iza.%s'?"):format(guess) or "")
end
