-- The test runner itself: what fails must be seen to fail.

local IZA = assert(os.getenv("IZA"), "IZA names the program")

local function run(words)
  words.timeout = "60s"
  local r = assert(iza.exec(words))
  return r.status, r.stdout
end

-- Runs one spec file made of `body`; returns the exit code and the lines of TAP.
local function spec(body)
  local name = os.tmpname()
  local path = name .. "_spec.lua"
  do
    local f <close> = assert(io.open(path, "w"))
    f:write('describe("d", function()\n', body, "\nend)\n")
  end
  local status, out = run { IZA, "tests/run.lua", path }
  os.remove(path)
  os.remove(name)
  local results = {}
  for line in out:gmatch("[^\n]+") do
    if line:match("^ok ") or line:match("^not ok ") then table.insert(results, line) end
  end
  return status, results, out
end

describe("tests/run.lua", function()
  it("passes what passes, and lets it wait", function()
    local status, results = spec 'it("a", function() iza.sleep(0.01) assert.is_true(true) end)'
    assert.are.equal(0, status)
    assert.are.same({ "ok d a" }, results)
  end)

  it("fails an assertion, an error and a pending test", function()
    local status, results, out = spec [[
      it("a", function() assert.are.equal(1, 2) end)
      it("b", function() error("broken") end)
      pending("c")
    ]]
    assert.are.equal(1, status)
    assert.are.same({ "not ok d a", "not ok d b", "not ok d c" }, results)
    assert.matches("broken", out, 1, true)
  end)

  it("fails a test whose task fails elsewhere", function()
    local status, results = spec [[
      it("a", function() iza.spawn(function() error("in a child") end) iza.sleep(1) end)
    ]]
    assert.are.equal(1, status)
    assert.are.same({ "not ok d a" }, results)
  end)

  it("fails a set-up that fails and a file that does not compile", function()
    local status, results = spec 'before_each(function() error("no") end) it("a", function() end)'
    assert.are.equal(1, status)
    assert.are.equal(1, #results)
    assert.matches("^not ok", results[1])
    status, results = spec "it("
    assert.are.equal(1, status)
    assert.are.equal(1, #results)
    assert.matches("^not ok", results[1])
  end)

  it("fails a file without tests", function() assert.are.equal(1, (spec "")) end)

  it("ends what a test left running with the test", function()
    local status = spec [[
      local n = 0
      it("a", function()
        iza.spawn(function() while true do iza.sleep(0.001) n = n + 1 end end)
        iza.sleep(0.01)
      end)
      it("b", function() local m = n iza.sleep(0.02) assert.are.equal(m, n) end)
    ]]
    assert.are.equal(0, status)
  end)
end)

describe("tests/run.sh", function()
  local function total(out) return out:match("([^\n]+)\n$") end

  it("fails when no test ran", function()
    local status, out = run { "tests/run.sh", "lua", env = { ONLY = "no such file" } }
    assert.are.equal(1, status)
    assert.are.equal("0 passed, 0 failed", total(out))
  end)

  it("counts a skipped test apart", function()
    local b = os.tmpname()
    os.remove(b)
    iza.exec { "mkdir", "-p", b .. "/tests/c" }
    do
      local f <close> = assert(io.open(b .. "/tests/c/test_kernel", "w"))
      f:write("#!/bin/sh\necho 'ok 1 - a'\necho 'ok 2 - b # SKIP'\n")
    end
    iza.exec { "chmod", "755", b .. "/tests/c/test_kernel" }
    local status, out = run { "tests/run.sh", "c", env = { ONLY = "test_kernel", B = b } }
    iza.exec { "rm", "-r", b }
    assert.are.equal(0, status)
    assert.matches("\n1 skipped", out)
    assert.are.equal("1 passed, 0 failed", total(out))
  end)

  it("counts a program that cannot run as a failure", function()
    local env = { ONLY = "test_kernel", B = "/nonexistent" }
    local status, out = run { "tests/run.sh", "c", env = env }
    assert.are.equal(1, status)
    assert.are.equal("0 passed, 1 failed", total(out))
  end)
end)
