--- The REPL: type Lua, see what it gives. Timers, servers and tasks go on while you type.
---
--- Each entry runs as a task of its own, so it may wait; Ctrl-C cancels it. What it spawns without
--- waiting for it goes on in the background. The line editor (iza.core.repl) lives on the loop and
--- says what happened; here is decided what that means. What the first prompt does not need is
--- loaded when it is needed.
local cli = require "iza.cli"
local core = require "iza.core.repl"
local fail = require "iza.fail"
local history = require "iza.repl.history"
local session = require "iza.repl.session"
local task = require "iza.core.task"
local term = require "iza.term"

local WIDTH = 5 -- columns of both prompts

local Repl = {}
Repl.__index = Repl

-- ---- showing ----

local function say(text) print(term.style(text, "grey")) end

-- Lines that one value may fill.
local function room()
  local _, rows = require("iza.core.term").size(1)
  return math.max((rows or 24) - 6, 10)
end

--- Prints the values of an entry, one below the other if one is long; of `iza` what it offers.
--- A long table is cut to a screenful.
function Repl:show(values)
  if values.n == 1 and rawequal(values[1], iza) then
    return print((require("iza.doc").find "iza"))
  end
  local texts, long = {}, false
  for i = 1, values.n do
    local inspect = require "iza.inspect"
    if type(values[i]) == "table" then require("iza.doc").fill(values[i]) end
    texts[i] = inspect(values[i], {width = (term.columns() or 80) - 1, colour = self.colour,
      chars = values.n == 1 and 4000 or 1000, lines = room()})
    long = long or texts[i]:find("\n", 1, true) ~= nil
  end
  if values.n > 0 then print(table.concat(texts, long and "\n" or "  ")) end
end

local function complain(err)
  io.stdout:flush()
  io.stderr:write(term.style("error: ", "red", "stderr"), core.report(err), "\n")
end

-- ---- running ----

-- Runs f as the entry that Ctrl-C cancels. False: it failed, which has been told.
local function run(f)
  local entry = core.spawn(f)
  local results = table.pack(pcall(entry.join, entry))
  if task.cancelled() then error(results[2], 0) end -- the REPL itself must end
  if results[1] then return true, table.pack(table.unpack(results, 2, results.n)) end
  if entry.status == "cancelled" then
    print()
    say "interrupted"
  else
    complain(results[2])
  end
  return false
end

function Repl:run_command(name, argument)
  local commands = require "iza.repl.commands"
  local ok, results = run(function() return commands.run(self, name, argument) end)
  if ok and results[1] ~= nil then print(results[1]) end
end

function Repl:run_entry(text)
  local f, err = self.session:compile(text)
  if not f then return complain(task.error("syntax", err)) end
  local ok, results = run(f)
  if not ok or results.n == 0 then return end
  if results.n == 1 and results[1] == io.stdout then return end -- what io.write returns
  self.session:set("_", results[1])
  run(function() self:show(results) end)
end

function Repl:accept(text)
  if not text:find "%S" then return end
  if self.history:add(text) then self.editor:remember(text) end
  local commands = require "iza.repl.commands"
  local name, argument = commands.parse(text)
  name = name or commands.plain(text, self.session)
  if name then return self:run_command(name, argument or "") end
  self:run_entry(text)
end

-- ---- the loop ----

local function is_whole(text)
  return require("iza.repl.commands").parse(text) or not require("iza.repl.source").incomplete(text)
end

-- Reads until an entry is finished; nil at the end of input.
function Repl:read()
  local pending = ""
  while true do
    local first, more = self.prompt, self.more
    local event, text, cursor = self.editor:read(pending == "" and first or more, more, WIDTH)
    if event == "eof" then return nil end
    if event == "interrupt" then
      pending = ""
    elseif event == "line" then
      pending = pending .. text
      if is_whole(pending) then return pending end
      pending = pending .. "\n"
    else
      require("iza.repl.keys")[event](self, text, cursor)
    end
  end
end

function Repl:loop()
  while not self.leaving do
    local text = self:read()
    if not text then return end
    self:accept(text)
  end
end

-- What tasks write while a line is edited is held back and shown above it, all at once. Flushing it
-- early would write into the line, and stock print flushes; so would code that writes to the
-- descriptor itself.
local function guard_output()
  local stdout = io.stdout
  rawset(_G, "print", function(...)
    local texts = table.pack(...)
    for i = 1, texts.n do texts[i] = tostring(texts[i]) end
    stdout:write(table.concat(texts, "\t"), "\n")
  end)
  local files = getmetatable(stdout).__index
  local flush = files.flush
  local function is_ours(f) return f == stdout or f == io.stderr end
  files.flush = function(f)
    if is_ours(f) and core.held() then return f end
    return flush(f)
  end
  rawset(io, "flush", function() return files.flush(io.output()) end)
  local terminal = require "iza.core.term"
  local write = terminal.write
  terminal.write = function(fd, text)
    local stream = fd == 1 and stdout or fd == 2 and io.stderr
    if not stream or not core.held() then return write(fd, text) end
    stream:write(text)
    return true
  end
end

local function banner(version, why)
  print(("iza %s, %s  (:help explains, Ctrl-D leaves)"):format(version, _VERSION))
  if why then say("plain line input: " .. why.message) end
end

local function start()
  local editor <close>, why = core.open()
  if not editor then
    return fail("no_terminal", "it needs a terminal (%s); to run what is on standard input: iza -",
      why.message)
  end
  local past, not_kept = history.open()
  local repl = setmetatable({editor = editor, history = past, session = session.new(),
    task = task.current(), colour = term.has_colour(),
    prompt = term.style("iza>", "bold green") .. " ",
    more = term.style("  ..", "grey") .. " "}, Repl)
  for _, entry in ipairs(past.entries) do editor:remember(entry) end
  banner(require "iza.version", why)
  if not_kept then say("the history is not kept: " .. not_kept.message) end
  guard_output()
  repl:loop()
end

local verb
verb = {
  group = "iza",
  summary = "Type Lua and see what it gives; `iza` alone on a terminal does this.",
  args = {examples = {"iza", "iza repl"}},
  raw = true, -- without words there is nothing to parse
  run = function(argv)
    if #argv > 0 then
      local opts, status = cli.options(verb, argv)
      if not opts then return status end
    end
    local _, err = start()
    if err then return nil, err end
    core.quit()
  end,
}
return verb
