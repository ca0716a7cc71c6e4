--- The files of iza itself, as a program sees them: those inside it, and in a checkout (a project
--- with `develop = true`) the edited and the new ones under lua/.
local embedded = require "iza.core.embedded"
local project = require "iza.project"

local sources = {}

local function checkout() return project.settings.develop and project.root end

--- The text of a file.
--- Example: `sources.read("lua/iza/help/csv.md")`
---@param path string "lua/..."
---@return string? text nil: there is none
function sources.read(path)
  local root = checkout()
  local f = root and io.open(root .. "/" .. path, "rb")
  if not f then return embedded.read(path) end
  local text = f:read "a"
  f:close()
  return text
end

--- The paths of all files in a folder, sorted.
--- Example: `sources.list("lua/iza/cli/")` --> {"lua/iza/cli/check.lua", ...}
---@param folder string with a "/" at its end
---@return string[]
function sources.list(folder)
  local paths, root, known = embedded.list(folder), checkout(), {}
  if not root then return paths end
  for _, path in ipairs(paths) do known[path] = true end
  for _, file in ipairs((require("iza.walk").files(root .. "/" .. folder, ""))) do
    local path = file:sub(#root + 2)
    if not known[path] then paths[#paths + 1] = path end
  end
  table.sort(paths)
  return paths
end

--- The names of the files in a folder that end in `tail`, without it; sorted.
--- Example: `sources.names("lua/iza/help/", ".md")` --> {"csv", "errors", ...}
---@param folder string with a "/" at its end
---@param tail string
---@return string[]
function sources.names(folder, tail)
  local names = {}
  for _, path in ipairs(sources.list(folder)) do
    local name = path:sub(#folder + 1, -#tail - 1)
    if path:sub(-#tail) == tail and name:find "^[%w_]+$" then names[#names + 1] = name end
  end
  return names
end

return sources
