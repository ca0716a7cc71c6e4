-- What help shows is run: the Lua of every topic is written to the file it names, every command is
-- executed in order, and its output is compared. "..." stands for what may differ.
local embedded = require "iza.core.embedded"
local cli = require "iza.cli"
local process = require "e2e.iza_process"

local TOPICS = "lua/iza/help/"

-- The fenced blocks of a page: {language, text}.
local function blocks(page)
  local list = {}
  for language, text in page:gmatch "\n```(%l+)\n(.-)\n```" do
    list[#list + 1] = {language, text}
  end
  return list
end

-- The commands of a block, each with the output lines that follow it.
local function commands(text)
  local list = {}
  for line in (text .. "\n"):gmatch "(.-)\n" do
    local command = line:match "^%$ (.*)$"
    if command then
      list[#list + 1] = {command = command, output = {}}
    else
      table.insert(list[#list].output, line)
    end
  end
  return list
end

local function as_pattern(lines)
  local pattern = ""
  for _, line in ipairs(lines) do
    if line == "..." then
      pattern = pattern .. ".-"
    else
      local escaped = line:gsub("%p", "%%%0"):gsub("%%%.%%%.%%%.", "[^\n]*")
      pattern = pattern .. escaped .. "\n"
    end
  end
  return "^" .. pattern .. "$"
end

local function run_page(dir, page)
  local at = dir
  for _, block in ipairs(blocks(page)) do
    local language, text = block[1], block[2]
    if language == "lua" then
      process.write(dir .. "/" .. text:match "^%-%- (%S+)", text)
    else
      for _, c in ipairs(commands(text)) do
        local out, err, code = process.sh(dir, at, c.command .. "\npwd >\"$WHERE\"",
          {WHERE = dir .. "/where"})
        assert(code == 0, ("`%s` ended with %s: %s%s"):format(c.command, code, out, err))
        assert(out:find(as_pattern(c.output)),
          ("`%s` printed:\n%s\nexpected:\n%s"):format(c.command, out, table.concat(c.output, "\n")))
        at = process.read(dir .. "/where"):gsub("\n", "")
      end
    end
  end
end

-- Until the server is ready; the log of an earlier one must be gone.
local READY = "for i in $(seq 100); do grep -q '^9 ready' log && break; sleep 0.1; done"

-- The shell command that tries an example: servers are ended again, the REPL gets a terminal.
local function command_of(verb, example)
  if verb == "start" then
    return ("rm -f log; touch log; %s >log & %s; grep '^9 ready' log; iza stop %s; wait"):format(
      example, READY, example:match "%-%-data %S+" or "")
  end
  if verb == "status" or verb == "stop" then
    return ("rm -f log; touch log; iza start >log & %s; %s; iza stop; wait"):format(READY, example)
  end
  if verb == "repl" then return ("echo ':quit' | script -qec '%s' /dev/null"):format(example) end
  return example
end

describe("help", function()
  local dir
  before_each(function() dir = process.sandbox() end)
  after_each(function() process.remove(dir) end)

  for _, path in ipairs(embedded.list(TOPICS)) do
    local topic = path:match "([%w_]+)%.md$"
    if topic then
      it("shows what is true about " .. topic, function()
        run_page(dir, "\n" .. embedded.read(path))
      end)
    end
  end

  it("has the topics a beginner looks for", function()
    for topic in ("quickstart tasks http json csv isolates reload projects errors testing")
      :gmatch "%a+" do
      assert.is_string(embedded.read(TOPICS .. topic .. ".md"), topic)
    end
  end)

  for _, name in ipairs(cli.listed()) do
    local examples = (cli.verb(name).args or {}).examples
    it("has examples of `iza " .. name .. "` that work", function()
      assert.is_table(examples)
      process.sh(dir, dir, "iza new shop")
      process.write(dir .. "/shop/iza.lua", "return {port = 0}\n")
      for _, example in ipairs(examples) do
        local command = command_of(name, example)
        local out, err, code = process.sh(dir, dir .. "/shop", command)
        assert(code == 0, ("`%s` ended with %s: %s%s"):format(example, code, out, err))
      end
    end)

    it("explains `iza " .. name .. "`", function()
      local out, _, code = process.sh(dir, dir, ("iza help %s; iza %s --help"):format(name, name))
      assert.are.equal(0, code)
      local _, count = out:gsub("usage: iza " .. name, "")
      assert.are.equal(2, count)
    end)
  end
end)
