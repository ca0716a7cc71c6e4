local fail = require "iza.fail"
local fs = require "iza.fs"
local host = require "iza.core.host"
local sources = require "iza.sources"

local SKELETON = "lua/iza/skeleton/"
local hidden = {gitignore = ".gitignore"}

-- Whether a project may be made there: nothing is there yet, or an empty folder.
local function check_target(dir)
  local kind = host.kind(dir)
  if not kind then return true end
  local entries, err = fs.list(dir)
  if not entries then return nil, err end
  if #entries > 0 then return fail("exists", "%s is not empty; nothing was changed", dir) end
  return true
end

local function write(path, text)
  local ok, err = fs.mkdir(path:match "^(.*)/[^/]*$")
  if ok then ok, err = host.replace(path, text, 420) end -- rw-r--r--
  return ok, err
end

local function make(dir, name)
  for _, path in ipairs(sources.list(SKELETON)) do
    local relative = path:sub(#SKELETON + 1)
    local text = sources.read(path):gsub("PROJECT_NAME", name)
    local ok, err = write(dir .. "/" .. (hidden[relative] or relative), text)
    if not ok then return nil, err end
  end
  for _, folder in ipairs {"data/samples", "repos", "n8n-workflows"} do
    local ok, err = fs.mkdir(dir .. "/" .. folder)
    if not ok then return nil, err end
  end
  return true
end

-- As a shell takes it.
local function quoted(path)
  if path:find "^[%w_./][%w_./-]*$" then return path end
  return "'" .. path:gsub("'", "'\\''") .. "'"
end

return {
  group = "project",
  always = true,
  summary = "Makes a new project.",
  args = {
    {"dir", help = "the folder; it must be empty or not exist"},
    examples = {"iza new shop"},
  },
  run = function(opts)
    local dir = opts.dir:gsub("(.)/+$", "%1")
    local name = (host.real(dir) or dir):match "([^/]*)$"
    if not name:find "^[%w_. -]*%w[%w_. -]*$" then
      return fail("invalid", "'%s' cannot be a project's name: use letters, digits, - and _", name)
    end
    local ok, err = check_target(dir)
    if ok then ok, err = fs.mkdir(dir) end
    if ok then ok, err = make(dir, name) end
    if not ok then return nil, err end
    print("Made the project '" .. name .. "' in " .. dir .. ". Next:")
    print("  cd " .. quoted(dir))
    print("  iza run hello Ada")
    print("  iza check .")
  end,
}
