-- readme_spec.lua -- the tour of the README is true: its files are written, its commands run, their
-- output compared to the letter.

local function read(path)
  local f <close> = assert(io.open(path, "r"))
  return f:read "a"
end

-- {language, text} of each fenced block, in order.
local function blocks(text)
  local list = {}
  for language, body in text:gmatch "\n```(%a+)\n(.-)\n```" do
    list[#list + 1] = {language = language, body = body}
  end
  return list
end

-- {command, expected output} of a console block.
local function commands(body)
  local list = {}
  for line in (body .. "\n"):gmatch "(.-)\n" do
    local command = line:match "^%$ (.*)"
    if command then
      list[#list + 1] = {command = command, expected = {}}
    else
      table.insert(list[#list].expected, line)
    end
  end
  return list
end

describe("the README", function()
  local dir, bin
  local program = os.getenv "IZA" or "./iza"

  setup(function()
    dir = assert(iza.fs.tempdir())
    bin = dir .. "/bin"
    assert(iza.fs.mkdir(bin))
    local found = assert(iza.exec{"realpath", program})
    assert(iza.exec{"ln", "-s", (found.stdout:gsub("%s+$", "")), bin .. "/iza"})
  end)

  teardown(function() iza.exec{"rm", "-r", dir} end)

  local ran = 0
  for _, block in ipairs(blocks(read "README.md")) do
    if block.language == "lua" then
      local name = assert(block.body:match "^%-%- (%S+%.lua)", "a file's name on its first line")
      it("has the file " .. name, function()
        assert(iza.fs.write(dir .. "/" .. name, block.body .. "\n"))
      end)
    elseif block.language == "console" then
      for _, c in ipairs(commands(block.body)) do
        ran = ran + 1
        it("says what prints: " .. c.command, function()
          local result = assert(iza.exec{"sh", "-c", c.command .. " 2>&1", cwd = dir,
            env = {PATH = bin .. ":" .. os.getenv "PATH", NO_COLOR = "1"}})
          assert.equal(table.concat(c.expected, "\n") .. "\n", result.stdout)
        end)
      end
    end
  end

  it("has commands", function() assert.is_true(ran >= 6) end)
end)
