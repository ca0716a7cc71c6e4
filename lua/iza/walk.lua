--- Files under a folder, for verbs.
local fail = require "iza.fail"
local fs = require "iza.fs"

local walk = {}

local MAX_DEPTH = 32

local function visit(dir, pattern, skip, found, depth)
  local entries, err
  if depth > MAX_DEPTH then
    err = select(2, fail("too_deep", "%s: folders more than %d deep", dir, MAX_DEPTH))
  else
    entries, err = fs.list(dir)
  end
  if not entries then
    table.insert(found.unread, err)
    return
  end
  for _, entry in ipairs(entries) do
    local name = entry.name
    local path = dir == "." and name or dir .. "/" .. name
    if entry.type == "folder" and name:sub(1, 1) ~= "." and not skip[path] then
      visit(path, pattern, skip, found, depth + 1)
    elseif entry.type == "file" and name:find(pattern) then
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
