--- A field of iza that is none of its modules: one that a rock added, or a mistake.

local misuse = require "iza.misuse"
local nearest = require "iza.nearest"

--- Loads iza.KEY from package.path, or raises with the name that was probably meant.
---@param key string
---@return any module
return function(key)
  local module = "iza." .. key
  if package.searchpath(module, package.path) or package.searchpath(module, package.cpath) then
    return require(module)
  end
  local guess = nearest(key, require("iza.doc").members())
  misuse("iza has no '%s'%s", key, guess and ("; did you mean 'iza.%s'?"):format(guess) or "")
end
