--- tests/run.lua FILE: runs one busted spec file inside iza and reports in TAP.
--
-- Each `it` runs in a task of its own, so it may wait for anything. A test that hangs is cancelled.
-- Set-up and tear-down functions may wait too; what they spawn lives on to the tests.

local busted = require "busted.core"()
local TEST_LIMIT = 120 -- seconds; below the limit of tests/run.sh for the whole file

require "busted.languages.en"
require "busted"(busted)

-- The protected call around a test's body also gives it its task, in a scope that ends with the
-- body: whatever the test still has running then is cancelled.
local safe = busted.safe
function busted.safe(descriptor, body, element)
  if descriptor ~= "it" or body ~= element.run then return safe(descriptor, body, element) end
  local status
  local ok, err = pcall(iza.scope, function(scope)
    scope:spawn(function()
      iza.sleep(TEST_LIMIT)
      print("# still running after " .. TEST_LIMIT .. " s: cancelled")
      scope:cancel()
    end)
    status = safe(descriptor, body, element)
    scope:cancel()
  end)
  if ok then return status end
  local function fail() error("a task it spawned failed: " .. tostring(err), 0) end
  return safe(descriptor, fail, element)
end

local function full_name(element)
  local names = {}
  while element and element.descriptor ~= "file" do
    table.insert(names, 1, element.name)
    element = busted.context.parent(element)
  end
  return (table.concat(names, " "):gsub("%s+", " "))
end

local passed, failed = 0, 0
local complaints -- of the running test; nil between tests

local function diagnose(text)
  for line in tostring(text):gmatch("[^\n]+") do print("#   " .. line) end
end

local function complain(element, _, message, trace)
  local text = tostring(message)
  if trace and trace.traceback and trace.traceback ~= "" then text = text .. trace.traceback end
  if complaints then
    table.insert(complaints, text)
  else -- in a file, a describe, a set-up or a tear-down
    failed = failed + 1
    print("not ok " .. (element.descriptor or "file") .. " " .. (element.name or ""))
    diagnose(text)
  end
  return nil, true
end
busted.subscribe({ "failure" }, complain)
busted.subscribe({ "error" }, complain)

busted.subscribe({ "test", "start" }, function(element)
  complaints = {}
  print("# " .. full_name(element))
  return nil, true
end)

busted.subscribe({ "test", "end" }, function(element, _, status)
  local ok = status == "success" and #complaints == 0
  if ok then passed = passed + 1 else failed = failed + 1 end
  print((ok and "ok " or "not ok ") .. full_name(element))
  for _, text in ipairs(complaints) do diagnose(text) end
  complaints = nil
  if status == "pending" then diagnose("a pending test is a failing test: finish or remove it") end
  return nil, true
end)

io.stdout:setvbuf("line")
local load_files = require "busted.modules.test_file_loader"(busted, { "lua" })
load_files({ arg[1] or error("usage: iza tests/run.lua FILE", 0) }, {}, { excludes = {} })
require "busted.execute"(busted)(1, {})
os.exit(failed == 0 and passed > 0)
