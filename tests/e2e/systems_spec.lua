-- Every system on the list is complete, and the check can fail.
local systems = require "iza.systems"

describe("the system", function()
  local whole = systems.list[1]

  for _, system in ipairs(systems.list) do
    it(system.name .. " is complete", function()
      assert.are.same({}, systems.missing(system))
    end)
  end

  it("that has nothing lacks every part", function()
    assert.are.same({"api", "bench", "doctor", "help", "module", "stage", "tests", "verb"},
      systems.missing {name = "nothing"})
  end)

  local wrong = {module = "iza.nosuch", verb = "start", api = "GET /api/nosuch", stage = 6,
    doctor = "nosuch", help = "nosuch", tests = {"tests/e2e/nosuch_spec.lua"},
    bench = "tests/bench/nosuch.lua"}
  for part, value in pairs(wrong) do
    it("whose " .. part .. " is not there is found out", function()
      local broken = {}
      for key, stated in pairs(whole) do broken[key] = stated end
      broken[part] = value
      assert.are.same({part}, systems.missing(broken))
      broken[part] = nil
      assert.are.same({part}, systems.missing(broken))
    end)
  end
end)
