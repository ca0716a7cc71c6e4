local cli = require "iza.cli"
local embedded = require "iza.core.embedded"
local fail = require "iza.fail"
local host = require "iza.core.host"
local nearest = require "iza.nearest"
local owner = require "iza.owner"
local project = require "iza.project"
local term = require "iza.term"
local walk = require "iza.walk"

local FOLDER = "lua/workflows/"

local function name_of(path) return path:match "([^/]+)%.lua$" end

-- Whether a file lies in the folder of a workflow, as NAME/part.lua beside NAME.lua, and is a
-- module of it; also when it takes the place of a module of a workflow that is built in.
local function is_part(path, there)
  local folder = path:match "^(.*)/"
  while folder do
    local workflow = folder .. ".lua"
    local below = workflow:sub(1, 1) == "/" and workflow:sub(#project.root + 2) or workflow
    if there[workflow] or embedded.read(below) then return true end
    folder = folder:match "^(.*)/"
  end
  return false
end

-- All workflows by name: the project's own, then those inside the program. A name that is found
-- twice in one place is an error when it is asked for.
local function find_all()
  local found = {}
  local function add(paths, where)
    local there = {}
    for _, path in ipairs(paths) do there[path] = true end
    for _, path in ipairs(paths) do
      local name = not is_part(path, there) and name_of(path)
      local known = name and found[name]
      if known and known.where == where then known.twin = path end
      if name and not known then found[name] = {name = name, path = path, where = where} end
    end
  end
  if project.root then
    add((walk.files(project.root .. "/" .. FOLDER:sub(1, -2), "%.lua$")), "project")
  end
  add(embedded.list(FOLDER), "iza")
  return found
end

local function sorted(found)
  local list = {}
  for _, workflow in pairs(found) do list[#list + 1] = workflow end
  table.sort(list, function(a, b) return a.name < b.name end)
  return list
end

local function load_file(workflow)
  if workflow.where == "project" then return loadfile(workflow.path, "t") end
  return load(embedded.read(workflow.path), "@" .. workflow.path, "t")
end

local function source_of(workflow)
  if workflow.where ~= "project" then return embedded.read(workflow.path) end
  local f = io.open(workflow.path, "rb")
  local source = f and f:read "a" or ""
  if f then f:close() end
  return source
end

-- The options that a file declares for iza.args, read without running it.
local function options_of(workflow)
  local options = {"--help"}
  for declaration in source_of(workflow):gmatch '{%s*"(%-[^"\n]*)"' do
    for name in declaration:gmatch "%-%-[%w-]+" do options[#options + 1] = name end
  end
  return options
end

-- The first sentence of the comment at the top of the file.
local function about(workflow)
  local lines = {}
  for line in source_of(workflow):gmatch "[^\n]+" do
    local text = line:match "^%-%-%-? ?(.*)$"
    if not text and line:sub(1, 2) ~= "#!" then break end
    lines[#lines + 1] = text
  end
  local text = table.concat(lines, " ")
  return text:match "^(.-%.)%s" or text
end

local function print_list(found, as_json)
  local rows = {}
  for i, workflow in ipairs(sorted(found)) do
    local ok, why = load_file(workflow)
    rows[i] = {name = workflow.name, from = workflow.where,
      about = ok and about(workflow) or "cannot run: " .. why:gsub("\n.*", "")}
  end
  if as_json then
    local json = require "iza.json"
    print(json.encode(json.array(rows)))
  elseif #rows == 0 then
    print "There are no workflows here. `iza new DIR` makes a project with one."
  else
    print(term.table(rows, {columns = {"name", "from", "about"}}))
  end
end

local function pick(found, name)
  local workflow = found[name]
  if workflow and workflow.twin then
    return fail("ambiguous", "there are two workflows '%s': %s and %s", name, workflow.path,
      workflow.twin)
  end
  if workflow then return workflow end
  local names = {}
  for known in pairs(found) do names[#names + 1] = known end
  table.sort(names)
  local plain = name:match "([^/]*)%.lua$"
  local guess = found[plain] and plain or nearest(plain or name, names)
  return fail("not_found", "there is no workflow '%s'; %s`iza run` lists them", name,
    guess and "did you mean '" .. guess .. "'? " or "")
end

-- Where the data directory has an owner or cannot be written, the script runs all the same.
local function own_data()
  local data = project.data_dir()
  if host.mkdir(data, 448) then owner.take(data, "run") end -- rwx------
end

local function execute(workflow, argv)
  local chunk, why = load_file(workflow)
  if not chunk then return fail("invalid", "%s", why) end
  own_data()
  rawset(_G, "arg", table.move(argv, 1, #argv, 1, {[0] = workflow.path}))
  local status = chunk(table.unpack(argv))
  return math.type(status) == "integer" and status or 0
end

-- Our own options stand before the name; all behind it belongs to the workflow.
local function split(argv)
  local at = 1
  while argv[at] and argv[at]:sub(1, 1) == "-" do
    at = at + (argv[at] == "--data" and 2 or 1)
  end
  return table.move(argv, 1, at - 1, 1, {}), argv[at], table.move(argv, at + 1, #argv, 1, {})
end

local verb
verb = {
  group = "project",
  summary = "Runs a workflow by its name.",
  about = "Runs lua/workflows/**/NAME.lua of the project, or one that is built in (a folder NAME "
    .. "beside it holds its modules). Without a name it lists them.",
  raw = true,
  args = {
    {"--json", help = "the list as JSON"},
    {"name", required = false, help = "the workflow"},
    {"args...", help = "what it is given"},
    examples = {"iza run", "iza run hello Ada"},
  },
  complete = function(words)
    local _, name, rest = split(words)
    local found, names = find_all(), {}
    if name and #rest > 0 then return found[name] and options_of(found[name]) or {} end
    if not name then return nil end
    for known in pairs(found) do names[#names + 1] = known end
    return names
  end,
  run = function(argv)
    local own, name, rest = split(argv)
    local opts, status = cli.options(verb, own)
    if not opts then return status end
    local found = find_all()
    if not name then return print_list(found, opts.json) end
    local workflow, err = pick(found, name)
    if not workflow then return nil, err end
    return execute(workflow, rest)
  end,
}
return verb
