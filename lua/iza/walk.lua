--- Files under a folder, for verbs.
local fail = require "iza.fail"
local host = require "iza.core.host"

local walk = {}

local MAX_DEPTH = 32

local function visit(dir, pattern, skip, found, depth)
  local names, err
  if depth > MAX_DEPTH then
    err = select(2, fail("too_deep", "%s: folders more than %d deep", dir, MAX_DEPTH))
  else
    names, err = host.list(dir)
  end
  if not names then
    table.insert(found.unread, err)
    return
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local path = dir == "." and name or dir .. "/" .. name
    local kind = host.kind(path)
    if kind == "dir" and name:sub(1, 1) ~= "." and not skip[path] then
      visit(path, pattern, skip, found, depth + 1)
    elseif kind == "file" and name:find(pattern) then
      table.insert(found.files, path)
    end
  end
end

--- The files under a folder whose names match a pattern, sorted by folder. Hidden folders and links
--- are left out.
--- Example: `walk.files("lua", "%.lua$")` --> {"lua/agents/greeter.lua", ...}
---@param dir string
---@param pattern string a Lua pattern for the file's name
---@param skip? table<string, true> folders to leave out
---@return string[] files
---@return iza.Error[] unread why folders could not be read
function walk.files(dir, pattern, skip)
  local found = {files = {}, unread = {}}
  visit((dir:gsub("(.)/+$", "%1")), pattern, skip or {}, found, 0)
  return found.files, found.unread
end

return walk
