--- Files under a folder, for verbs.
local host = require "iza.core.host"

local walk = {}

local function visit(dir, pattern, skip, found, depth)
  local names = host.list(dir)
  if not names or depth > 32 then return end
  table.sort(names)
  for _, name in ipairs(names) do
    local path = dir == "." and name or dir .. "/" .. name
    local kind = host.kind(path)
    if kind == "dir" and name:sub(1, 1) ~= "." and not skip[path] then
      visit(path, pattern, skip, found, depth + 1)
    elseif kind == "file" and name:find(pattern) then
      found[#found + 1] = path
    end
  end
end

--- The files under a folder whose names match a pattern, sorted by folder. Hidden folders and links
--- are left out.
--- Example: `walk.files("lua", "%.lua$")` --> {"lua/agents/greeter.lua", ...}
---@param dir string
---@param pattern string a Lua pattern for the file's name
---@param skip? table<string, true> folders to leave out
---@return string[]
function walk.files(dir, pattern, skip)
  local found = {}
  visit((dir:gsub("(.)/+$", "%1")), pattern, skip or {}, found, 0)
  return found
end

return walk
