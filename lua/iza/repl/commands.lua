--- The commands of the REPL: `:help NAME`, `:source NAME`, `:reload`, `:tasks`, `:time`, `:mem`.
---
--- A command is {usage, summary, run(repl, argument)}. What run returns is printed; it may wait.
local core = require "iza.core.repl"
local task = require "iza.core.task"
local term = require "iza.term"

local commands = {}

-- The value an argument names, by running it as an expression.
local function value_of(repl, text)
  local f, err = load("return " .. text, "=argument", "t")
  if f then f, err = repl.session:load(text, "argument") end
  if not f then return nil, err end
  return f()
end

-- ---- help ----

local function overview()
  local lines = {"Type Lua; the value of an expression is shown and kept in _.", ""}
  for _, name in ipairs(commands.names()) do
    local c = commands[name]
    lines[#lines + 1] = ("  %-18s %s"):format(c.usage, c.summary)
  end
  lines[#lines + 1] = ""
  lines[#lines + 1] = "  Tab completes, arrow up and Ctrl-R find earlier entries, Alt-Enter begins"
  lines[#lines + 1] = "  a new line, Ctrl-C stops the entry, Ctrl-D leaves."
  return table.concat(lines, "\n")
end

-- The doc comment right above line `at` of a source.
local function comment_above(text, at)
  local lines, n = {}, 0
  for line in (text .. "\n"):gmatch "(.-)\n" do
    n = n + 1
    lines[n] = line
    if n >= at then break end
  end
  local first = at
  while first > 1 and lines[first - 1] and lines[first - 1]:find "^%s*%-%-" do first = first - 1 end
  local out = {}
  for i = first, at - 1 do out[#out + 1] = lines[i]:gsub("^%s*%-%-%-? ?", "") end
  local comment = require("iza.page").lay(table.concat(out, "\n"), require("iza.page").width())
  return (comment ~= "" and comment .. "\n" or "") .. (lines[at] or "")
end

local function read_source(name)
  local text = core.find_source(name)
  if text then return text end
  local f <close> = io.open(name, "rb")
  return f and f:read "a"
end

local function describe(repl, name)
  local value = value_of(repl, name)
  if value == nil then return nil end
  if type(value) ~= "function" then return iza.inspect(value, {depth = 2}) end
  local info = debug.getinfo(value, "S")
  if info.what == "C" then return name .. " is built in; it has no Lua source" end
  local text = read_source(info.short_src)
  return text and comment_above(text, info.linedefined)
end

commands.help = {
  usage = ":help NAME", summary = "explains a topic, module or function (also NAME?)",
  run = function(repl, name)
    if name == "" then return overview() end
    if name:sub(1, 1) == ":" and commands[name:sub(2)] then
      local c = commands[name:sub(2)]
      return c.usage .. "\n\n" .. c.summary
    end
    local topics = require "iza.topics"
    local text, guess = require("iza.doc").find(name)
    text = text or topics.text(name)
    if text then return text end
    local ok, other = pcall(describe, repl, name)
    if ok and other then return other end
    guess = guess or require "iza.nearest"(name, topics.names())
    return ("nothing is known about '%s'%s"):format(name,
      guess and "; did you mean '" .. guess .. "'?" or "")
  end,
}

-- ---- sources ----

local function numbered(text, first, last)
  local out, n = {}, 0
  for line in (text .. "\n"):gmatch "(.-)\n" do
    n = n + 1
    if n > last then break end
    if n >= first then out[#out + 1] = ("%6d  %s"):format(n, line) end
  end
  return table.concat(out, "\n")
end

commands.source = {
  usage = ":source NAME", summary = "the source of a function, with line numbers",
  run = function(repl, name)
    if name == "" then return "which function? as in :source iza.json.encode" end
    local f, err = value_of(repl, name)
    if type(f) ~= "function" then return err or name .. " is not a function" end
    local info = debug.getinfo(f, "S")
    if info.what == "C" then return name .. " is built in: it is written in C" end
    local text = read_source(info.short_src)
    if not text then return "the source of " .. info.short_src .. " cannot be read" end
    return info.short_src .. ":\n" .. numbered(text, info.linedefined, info.lastlinedefined)
  end,
}

-- ---- reload ----

-- Everyone who holds the old module table sees the new fields in it.
local function replace_fields(old, new)
  for k in pairs(old) do
    if rawget(new, k) == nil then rawset(old, k, nil) end
  end
  for k, v in pairs(new) do rawset(old, k, v) end
  return setmetatable(old, getmetatable(new))
end

local function reload(name)
  local old = package.loaded[name]
  package.loaded[name] = nil
  local ok, new = pcall(require, name)
  if not ok then
    package.loaded[name] = old
    return nil, tostring(new)
  end
  if type(old) == "table" and type(new) == "table" and old ~= new then
    new = replace_fields(old, new)
    package.loaded[name] = new
  end
  local field = name:match "^iza%.([%w_]+)$"
  if field and rawget(iza, field) ~= nil then rawset(iza, field, new) end
  return true
end

-- Modules that came from the user's files.
local function own_modules()
  local names = {}
  for name in pairs(package.loaded) do
    if not name:find "^iza%f[%W]" and package.searchpath(name, package.path) then
      names[#names + 1] = name
    end
  end
  table.sort(names)
  return names
end

local function not_loaded(name)
  local file = "lua/" .. name:gsub("%.", "/") .. ".lua"
  if package.searchpath(name, package.path) or require("iza.sources").read(file) then
    return ("'%s' is not loaded yet: the first use of it loads it"):format(name)
  end
  local known = {}
  for loaded in pairs(package.loaded) do known[#known + 1] = loaded end
  local guess = require "iza.nearest"(name, known)
  return ("'%s' is not loaded%s"):format(name, guess and "; did you mean '" .. guess .. "'?" or "")
end

commands.reload = {
  usage = ":reload [MODULE]", summary = "loads a module again (none: all of your own)",
  run = function(_, name)
    if name ~= "" and package.loaded[name] == nil then return not_loaded(name) end
    local names, lines = name ~= "" and {name} or own_modules(), {}
    for _, each in ipairs(names) do
      local ok, err = reload(each)
      lines[#lines + 1] = ok and each .. " loaded again" or each .. " stays as it was: " .. err
    end
    return #lines > 0 and table.concat(lines, "\n") or "none of your modules is loaded"
  end,
}

-- ---- tasks ----

commands.tasks = {
  usage = ":tasks", summary = "the living tasks: where each stands, who spawned it",
  run = function(repl)
    local rows = {}
    local me = task.current()
    for _, t in ipairs(task.list()) do
      if t.id ~= repl.task.id and t.id ~= me.id then
        local spawned = (t.origin or ""):match "^%s*([^\n]*)" or ""
        rows[#rows + 1] = {task = t.id, status = t.status, ["in"] = t.waits or "", at = t.at or "",
          ["spawned at"] = spawned}
      end
    end
    if #rows == 0 then return "no task is running" end
    table.sort(rows, function(a, b) return a.task < b.task end)
    return term.table(rows, {columns = {"task", "status", "in", "at", "spawned at"}})
  end,
}

-- ---- time and memory ----

local function seconds(s)
  if s < 1e-3 then return ("%.1f µs"):format(s * 1e6) end
  if s < 1 then return ("%.2f ms"):format(s * 1e3) end
  return ("%.3f s"):format(s)
end

local function bytes(n)
  if n < 1024 then return ("%d B"):format(n) end
  if n < 1024 * 1024 then return ("%.1f KB"):format(n / 1024) end
  return ("%.1f MB"):format(n / 1024 / 1024)
end

commands.time = {
  usage = ":time CODE", summary = "runs it: wall time, CPU time, bytes allocated",
  run = function(repl, code)
    if code == "" then return "time what? as in :time iza.sleep(0.1)" end
    local f, err = repl.session:compile(code)
    if not f then return err end
    local _, allocated = core.memory()
    local cpu, wall = os.clock(), task.now()
    local results = table.pack(f())
    wall, cpu = task.now() - wall, os.clock() - cpu
    local _, after = core.memory()
    repl:show(results)
    return ("wall %s, CPU %s, allocated %s"):format(seconds(wall), seconds(cpu),
      bytes(after - allocated))
  end,
}

-- A field of /proc/self/status in bytes.
local function resident()
  local f <close> = io.open("/proc/self/status", "r")
  local kb = f and f:read("a"):match "VmRSS:%s*(%d+) kB"
  return kb and tonumber(kb) * 1024
end

commands.mem = {
  usage = ":mem", summary = "memory of Lua and of the process",
  run = function()
    local before = core.memory()
    collectgarbage()
    local used, total = core.memory()
    local rss = resident()
    return ("Lua holds %s (%s of garbage collected), allocated %s so far%s"):format(bytes(used),
      bytes(math.max(before - used, 0)), bytes(total), rss and "; process " .. bytes(rss) or "")
  end,
}

commands.quit = {
  usage = ":quit", summary = "leaves, as Ctrl-D does",
  run = function(repl) repl.leaving = true end,
}

-- ---- finding ----

--- The names of the commands, sorted.
---@return string[]
function commands.names()
  local names = {}
  for name, c in pairs(commands) do
    if type(c) == "table" then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

--- Splits ":help json" or "json.encode?"; nil when the text is no command. "?" alone is ":help".
---@param text string
---@return string? name
---@return string? argument
function commands.parse(text)
  local asked = text:match "^%s*([%a_][%w_.:]*)%?%s*$" or text:match "^%s*%?([%a_][%w_.:]*)%s*$"
  if asked then return "help", asked end
  if text:find "^%s*%?%s*$" then return "help", "" end
  local name, argument = text:match "^%s*:(%a+)%s*(.-)%s*$"
  return name, argument
end

local plain = {exit = "quit", quit = "quit", help = "help"}

--- The command that a word alone means (`exit`, `quit()`, `help`), unless it is a variable.
---@param text string
---@param session iza.Session
---@return string? name
function commands.plain(text, session)
  local word = text:match "^%s*(%a+)%s*$" or text:match "^%s*(%a+)%s*%(%s*%)%s*$"
  local name = plain[word]
  if not name or rawget(_G, word) ~= nil or select(2, session:get(word)) then return nil end
  return name
end

--- Runs a command; one that does not exist says which was probably meant.
---@param repl table
---@param name string
---@param argument string
---@return string? text to print
function commands.run(repl, name, argument)
  local command = commands[name]
  if type(command) == "table" then return command.run(repl, argument) end
  local guess = require "iza.nearest"(name, commands.names())
  return ("there is no command :%s%s"):format(name, guess and "; did you mean :" .. guess .. "?"
    or "; :help lists them")
end

return commands
