-- lua/iza/init.lua, what editors and :help know of the global `iza`, against the real one.

local function declared()
  local names = {}
  for line in io.lines("lua/iza/init.lua") do
    local name = line:match("^function iza%.([%w_]+)") or line:match("^iza%.([%w_]+) =")
    if name then names[name] = true end
  end
  return names
end

describe("the declarations in lua/iza/init.lua", function()
  it("name only what exists", function()
    for name in pairs(declared()) do assert.is_not_nil(iza[name], "iza." .. name) end
  end)

  it("name every function that iza itself has", function()
    local names = declared()
    for name in pairs(require "iza.core.task") do
      assert.is_true(names[name] or false, "iza." .. name .. " is not declared")
    end
  end)
end)
