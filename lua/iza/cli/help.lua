local cli = require "iza.cli"
local doc = require "iza.doc"
local fail = require "iza.fail"
local help = require "iza.args_help"
local nearest = require "iza.nearest"
local page = require "iza.page"
local term = require "iza.term"
local topics = require "iza.topics"

local groups = {
  {"project", "your work"}, {"server", "the server"}, {"iza", "iza itself"},
}

local function print_verbs()
  local by_group = {}
  for _, name in ipairs(cli.names()) do
    local verb = cli.verb(name)
    local list = by_group[verb.group or ""] or {}
    list[#list + 1] = verb
    by_group[verb.group or ""] = list
  end
  for _, group in ipairs(groups) do
    local rows, lines = {}, {}
    for i, verb in ipairs(by_group[group[1]] or {}) do rows[i] = {verb.name, verb.summary} end
    help.add_rows(lines, rows)
    print("\n" .. term.style(group[2] .. ":", "bold"))
    if #lines > 0 then print(table.concat(lines, "\n")) end
  end
end

local function print_names(names)
  local lines = {}
  page.add(lines, "  ", table.concat(names, " "), page.width())
  print(table.concat(lines, "\n"))
end

local function print_overview()
  print [[
usage: iza FILE.lua [ARGS]     run a script
       iza -e CODE [ARGS]      run a line of Lua
       iza -                   run the script on standard input
       iza --workers N FILE    run a server's script in N processes on one port
       iza                     type Lua and see what it gives
       iza VERB [ARGS]         one of these:]]
  print_verbs()
  print("\n" .. term.style("topics for `iza help TOPIC`:", "bold"))
  print_names(topics.names())
  print("\n" .. term.style("modules for `iza help MODULE`:", "bold"))
  print_names(doc.modules())
  print("\n`iza VERB --help` shows a verb's options, `iza help json.encode` a function.")
end

local function print_topic(topic)
  local text, verb = topics.text(topic), cli.verb(topic)
  if text then print(text) end
  if text and verb then print() end
  if verb then print(cli.spec(verb):help()) end
  if text or verb then return 0 end
  local found, guess = doc.find(topic)
  if found then
    print(found)
    return 0
  end
  local all = topics.names()
  table.move(cli.names(), 1, 100, #all + 1, all)
  guess = nearest(topic, all) or guess
  return fail("not_found", "there is no help on '%s'%s", topic,
    guess and "; did you mean '" .. guess .. "'?" or "; `iza help` lists the topics")
end

return {
  group = "iza",
  always = true,
  summary = "Explains verbs, topics and functions.",
  args = {
    {"topic", required = false, help = "a verb, a topic, or a function such as json.encode"},
    examples = {"iza help", "iza help tasks", "iza help json.encode"},
  },
  complete = function()
    local words = topics.subjects()
    return table.move(cli.listed(), 1, #cli.listed(), #words + 1, words)
  end,
  run = function(opts)
    if opts.topic then return print_topic(opts.topic) end
    print_overview()
  end,
}
