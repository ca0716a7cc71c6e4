-- modules_spec.lua -- engine/vm/modules.c: require that may wait, circles, who is found first.

describe("require", function()
  local dir, kept_path
  local names = {}

  local function put(name, text)
    names[#names + 1] = name
    local path = dir .. "/" .. name:gsub("%.", "/") .. ".lua"
    assert(iza.fs.mkdir(path:match "^(.*)/"))
    assert(iza.fs.write(path, text))
  end

  before_each(function()
    dir, kept_path = assert(iza.fs.tempdir()), package.path
    package.path = dir .. "/?.lua;" .. package.path
    rawset(_G, "loads", 0)
  end)
  after_each(function()
    package.path = kept_path
    rawset(_G, "loads", nil)
    iza.fs.remove(dir, {recursive = true})
    for _, name in ipairs(names) do package.loaded[name] = nil end
    names = {}
  end)

  it("loads a module once for tasks that want it at the same time", function()
    put("spec_slow", "loads = loads + 1 iza.sleep(0.005) return {}")
    local function load() return require "spec_slow" end
    local a, b, c = iza.all{load, load, load}
    assert.equal(a, b)
    assert.equal(a, c)
    assert.equal(1, _G.loads)
  end)

  it("lets those who waited for a load that failed try themselves", function()
    put("spec_bad", "loads = loads + 1 iza.sleep(0.002) if loads < 3 then error 'no luck' end")
    local function load() return (pcall(require, "spec_bad")) end
    assert.same({false, false, true}, {iza.all{load, load, load}})
    assert.equal(3, _G.loads)
  end)

  it("goes on when the task that loads is cancelled", function()
    put("spec_cut", "loads = loads + 1 iza.sleep(loads == 1 and 100 or 0) return 7")
    local first = iza.spawn(function() return require "spec_cut" end)
    iza.sleep "1ms"
    local second = iza.spawn(function() return require "spec_cut" end)
    iza.sleep "1ms"
    first:cancel()
    assert.equal(7, second:join())
    pcall(first.join, first)
  end)

  it("names a circle, in one task and between tasks", function()
    put("spec_a", "iza.sleep(0.002) return require 'spec_b'")
    put("spec_b", "iza.sleep(0.002) return require 'spec_a'")
    assert.error_matches(function() require "spec_a" end,
      "in a circle: spec_a %-> spec_b %-> spec_a")
    assert.error_matches(function()
      iza.all{function() require "spec_a" end, function() require "spec_b" end}
    end, "in a circle: spec_")
    put("spec_child", "return iza.all{function() return require 'spec_child' end}")
    assert.error_matches(function() require "spec_child" end, "circle: spec_child %-> spec_child")
  end)

  it("finds a project's own before an embedded workflow, but never another iza.*", function()
    local cells = "workflows.customer_flows.qualify_leads.cells"
    local embedded = require(cells)
    package.loaded[cells] = nil
    put(cells, "return 'mine'")
    assert.equal("mine", require(cells))
    package.loaded[cells] = embedded
    table.remove(names)
    local duration = require "iza.duration"
    package.loaded["iza.duration"] = nil
    put("iza.duration", "return 'mine'")
    assert.not_equal("mine", require "iza.duration")
    package.loaded["iza.duration"] = duration
    table.remove(names)
  end)
end)

describe("iza", function()
  it("says what was meant by a field it lacks, at the caller's line", function()
    local ok, err = pcall(function() return iza.jsno end)
    assert.is_false(ok)
    assert.matches("^tests/lua/modules_spec.lua:%d+: iza has no 'jsno'; did you mean 'iza.json'%?",
      tostring(err))
    assert.error_matches(function() return iza.zzzzzzzz end, "iza has no 'zzzzzzzz'$")
  end)

  it("loads what a rock added", function()
    local dir = assert(iza.fs.tempdir())
    local kept = package.path
    package.path = dir .. "/?.lua;" .. kept
    assert(iza.fs.mkdir(dir .. "/iza"))
    assert(iza.fs.write(dir .. "/iza/spec_rock.lua", "return 'rock'"))
    assert.equal("rock", iza.spec_rock)
    package.path, package.loaded["iza.spec_rock"] = kept, nil
    rawset(iza, "spec_rock", nil)
    iza.fs.remove(dir, {recursive = true})
  end)
end)

-- Debian's C modules, which busted brings, find Lua's API in the program.
describe("a C module of the system", function()
  local uses = {
    lfs = function(lfs) assert.equal("directory", lfs.attributes(".", "mode")) end,
    system = function(system) assert.is_number(system.gettime()) end,
    term = function(term) assert.is_boolean(term.isatty(io.stdout)) end,
  }
  for name, use in pairs(uses) do
    it("loads: " .. name, function() use(require(name)) end)
  end
end)
