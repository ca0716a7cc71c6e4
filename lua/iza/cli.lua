--- The command line: finds a verb, reads its options, runs it, makes its result an exit code.
---
--- A verb is lua/iza/cli/VERB.lua and returns
---
---     return {
---       group = "project",              -- where `iza help` lists it; none: it is not listed
---       summary = "one line",
---       args = { ... },                 -- for iza.args; `--data DIR` is added to each
---       run = function(opts) ... end,   -- opts: the values by name
---       complete = function(words) ... end, -- what may come next; nil: what args say
---       always = true,                  -- it runs although the settings are wrong
---     }
---
--- `run` returns an exit code, nothing (0), or nil and an error (printed, 1). A command line that
--- iza.args refuses ends with 2. A verb with `raw = true` gets the words themselves instead,
--- because some of them are not its own.
local project = require "iza.project"
local sources = require "iza.sources"

local cli = {}

local FOLDER = "lua/iza/cli/"

---@class iza.Verb
---@field name string
---@field group? string
---@field summary string
---@field args iza.ArgSpec|iza.Arg[]
---@field raw? boolean
---@field complete? fun(words: string[]): string[]?
---@field always? boolean
---@field run fun(opts: table): integer|nil, any

--- The names of all verbs, sorted.
---@return string[]
function cli.names() return sources.names(FOLDER, ".lua") end

local function is_verb(name) return sources.read(FOLDER .. name .. ".lua") ~= nil end

--- Loads a verb.
--- Example: `cli.verb("check").summary`
---@param name string
---@return iza.Verb? verb nil: there is none
function cli.verb(name)
  if not is_verb(name) then return nil end
  local verb = require("iza.cli." .. name)
  verb.name = name
  return verb
end

--- The names of the verbs that `iza help` lists.
---@return string[]
function cli.listed()
  local names = {}
  for _, name in ipairs(cli.names()) do
    if cli.verb(name).group then names[#names + 1] = name end
  end
  return names
end

--- The parser of a verb's options.
--- Example: `print(cli.spec(cli.verb "check"):help())`
---@param verb iza.Verb
---@return iza.ArgSpec
function cli.spec(verb)
  local declaration = {name = "iza " .. verb.name, about = verb.about or verb.summary}
  for key, value in pairs(verb.args or {}) do declaration[key] = value end
  declaration[#declaration + 1] = {"--data DIR", env = "IZA_DATA", help = "the data directory"}
  return require("iza.args").new(declaration)
end

local function say(...) io.stderr:write(table.concat {...}, "\n") end

-- What `iza WORD` says when WORD is neither a verb nor a file.
local function unknown(word)
  if word == "" or word:sub(1, 1) == "-" then
    local what = word == "" and "script with an empty name" or "option '" .. word .. "'"
    say("iza: there is no ", what)
    say("The options are -e CODE, --workers N FILE, --help and --version; `iza help` says more.")
    return 2
  end
  local guess = require "iza.nearest"(word, cli.listed())
  say("iza: '", word, "' is neither a file nor a verb", guess and "; did you mean 'iza " .. guess
    .. "'?" or "")
  if word:find("/", 1, true) or word:find("%.lua$") then
    say("There is no such file.")
  else
    say("`iza help` lists the verbs; a script is named by its path, as in `iza ", word, ".lua`.")
  end
  return 2
end

local function refuse(spec, err)
  if err.code == "usage" then
    say(spec.name, ": ", err.message, "\n", err.usage)
    return 2
  end
  print(err.message)
  return 0
end

--- Tells an error on standard error, with what to do about it (err.cure) if that is known, and
--- gives the exit code for it.
--- Example: `return cli.failed("iza new", err)`
---@param name string who speaks
---@param err any
---@return integer
function cli.failed(name, err)
  say(name, ": ", tostring(err))
  if type(err) == "table" and err.cure then say("  do: ", err.cure) end
  return 1
end

--- Reads a verb's options. What is said about a wrong command line, or the help, is printed.
---@param verb iza.Verb
---@param argv string[]
---@return table? opts
---@return integer? status when there are no options: the exit code
function cli.options(verb, argv)
  local spec = cli.spec(verb)
  local opts, err = spec:parse(argv)
  if not opts then return nil, refuse(spec, err) end
  if opts.data then project.use_data(opts.data) end
  return opts
end

--- Runs `iza WORD ARGV...`.
---@param word string
---@param argv string[]
---@return integer status
function cli.main(word, argv)
  local verb = cli.verb(word)
  if not verb then return unknown(word) end
  local fine, problem = project.load()
  if not fine and not verb.always then return cli.failed("iza " .. word, problem) end
  local opts, status = argv, nil
  if not verb.raw then opts, status = cli.options(verb, argv) end
  if not opts then return status end
  local result, err = verb.run(opts)
  if err ~= nil then return cli.failed("iza " .. word, err) end
  return result or 0
end

return cli
