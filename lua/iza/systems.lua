--- The systems that are complete: each has all its parts (see below), and
--- tests/e2e/systems_spec.lua
--- fails for one that lacks any. A system is one of the stages 2 to 8 of `iza start`, or a noun of
--- `iza VERB` with data of its own.
local systems = {}

---@class iza.System
---@field name string
---@field module string its Lua module: "iza.api"
---@field verb string its verb, which has --json and --help
---@field api string its HTTP API: "GET /api/status"
---@field stage integer its stage in `iza start`
---@field doctor string its check in `iza doctor`
---@field help string its topic in `iza help`
---@field tests string[] its spec files
---@field bench string its file in tests/bench/

---@type iza.System[]
systems.list = {
  {
    name = "interfaces", module = "iza.api", verb = "status", api = "GET /api/status", stage = 7,
    doctor = "port", help = "server", tests = {"tests/e2e/start_spec.lua"},
    bench = "tests/bench/bench_http.lua",
  },
}

-- ---- the parts ----

local function has_file(path)
  local f = io.open(path, "rb")
  if f then f:close() end
  return f ~= nil
end

local function has_option(verb, name)
  for _, option in ipairs(verb.args or {}) do
    if option[1]:find(name, 1, true) then return true end
  end
  return false
end

local function has_entry(list, field, value)
  for _, entry in ipairs(list) do
    if entry[field] == value then return true end
  end
  return false
end

-- Each says whether the named part is there.
local parts = {
  module = function(name) return (pcall(require, name)) end,
  verb = function(name)
    local verb = require("iza.cli").verb(name)
    return verb ~= nil and verb.group ~= nil and has_option(verb, "--json")
      and require("iza.cli").spec(verb):help() ~= ""
  end,
  api = function(pattern)
    return pattern:find "^%u+ /api/" ~= nil and require("iza.api").routes[pattern] ~= nil
  end,
  stage = function(number) return has_entry(require("iza.stages").list, "number", number) end,
  doctor = function(name) return has_entry(require("iza.doctor").checks, "name", name) end,
  help = function(topic)
    return require("iza.core.embedded").read("lua/iza/help/" .. topic .. ".md") ~= nil
  end,
  tests = function(files)
    for _, file in ipairs(files) do
      if not has_file(file) then return false end
    end
    return #files > 0
  end,
  bench = has_file,
}

--- What a system lacks, sorted: names of parts that it does not state or that are not there. Files
--- are looked for from the working directory, a checkout.
--- Example: `systems.missing{name = "memory"}` --> {"api", "bench", "doctor", ...}
---@param system iza.System|table
---@return string[]
function systems.missing(system)
  local lacking = {}
  for part, is_there in pairs(parts) do
    local stated = system[part]
    if stated == nil or not is_there(stated) then lacking[#lacking + 1] = part end
  end
  table.sort(lacking)
  return lacking
end

return systems
