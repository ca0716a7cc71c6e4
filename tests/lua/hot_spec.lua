-- hot_spec.lua -- lua/iza/hot.lua: edits go live, broken ones do not, named state lives on.

local host = require "iza.core.host"

describe("iza.hot", function()
  local dir, path, logged, kept_write
  local term = require "iza.core.term"

  before_each(function()
    dir = assert(iza.fs.tempdir())
    path = dir .. "/rules.lua"
    logged, kept_write = {}, term.write
    term.write = function(_, text) logged[#logged + 1] = text return true end
  end)
  after_each(function()
    term.write = kept_write
    iza.fs.remove(dir, {recursive = true})
  end)

  local function save(text)
    local f <close> = assert(io.open(path, "w"))
    f:write(text)
  end

  -- As editors save: a file beside it takes its place.
  local function save_by_renaming(text)
    local f <close> = assert(io.open(path .. ".tmp", "w"))
    f:write(text)
    f:close()
    assert(os.rename(path .. ".tmp", path))
  end

  -- Waits until f holds.
  local function eventually(f)
    for _ = 1, 2000 do
      if f() then return end
      iza.sleep(0.005)
    end
    error("it did not come to hold", 2)
  end

  it("takes edits, however they are saved", function()
    save "return {n = 1}"
    local seen = {}
    local file <close> = assert(iza.hot.file(path,
      {on_change = function(v) seen[#seen + 1] = v.n end}))
    assert.equal(1, file().n)
    save "return {n = 2}"
    eventually(function() return file.value.n == 2 end)
    save_by_renaming "return {n = 3}"
    eventually(function() return file.value.n == 3 end)
    save_by_renaming "return {n = 4}"
    eventually(function() return file.value.n == 4 end)
    save "return {n = 5}"
    eventually(function() return file.value.n == 5 end)
    assert.equal(5, seen[#seen])
  end)

  it("keeps the old value after a broken edit, logs its line, and recovers", function()
    save "return {n = 1}"
    local file <close> = assert(iza.hot.file(path))
    for _, broken in ipairs{"return {\n n = = 2}", "local x = 1\nerror 'no'", "return 7"} do
      file.check = function(v) assert(type(v) == "table", "rules.lua:2: must return a table") end
      logged = {}
      save(broken)
      eventually(function() return #logged > 0 end)
      assert.equal(1, file.value.n)
      assert.matches("rules.lua:2:", logged[1])
      assert.truthy(file.error)
    end
    assert.equal(1, file.version)
    save "return {n = 2}"
    eventually(function() return file.value.n == 2 end)
    assert.is_nil(file.error)
  end)

  it("is stopped when its load never ends, while others go on", function()
    save "return {n = 1}"
    local file <close> = assert(iza.hot.file(path, {watch = false}))
    save "while true do end"
    local turns = 0
    local neighbour = iza.spawn(function()
      while true do iza.sleep "1ms" turns = turns + 1 end
    end)
    local ok, err = file:reload()
    neighbour:cancel()
    assert.is_nil(ok)
    assert.equal("limit", err.code)
    assert.is_true(turns > 10)
    assert.equal(1, file.value.n)
    save "return {n = 2}"
    assert.is_true(file:reload())
    assert.equal(2, file.value.n)
  end)

  it("refuses a file that returns nothing", function()
    save "return {n = 1}"
    local file <close> = assert(iza.hot.file(path, {watch = false}))
    save "local n = 2"
    local ok, err = file:reload()
    assert.is_nil(ok)
    assert.matches("rules.lua returned nothing", tostring(err))
    assert.equal(1, file.value.n)
  end)

  describe("with modules", function()
    local kept_path = package.path
    before_each(function() package.path = dir .. "/?.lua;" .. kept_path end)
    after_each(function()
      package.path = kept_path
      for _, name in ipairs{"hot_a", "hot_b", "hot_c"} do package.loaded[name] = nil end
    end)

    local function save_module(name, text)
      local f <close> = assert(io.open(("%s/%s.lua"):format(dir, name), "w"))
      f:write(text)
    end

    it("follows edits of what the file requires, and loads only that again", function()
      save_module("hot_a", "return {n = require('hot_b').n, from = 'a'}")
      save_module("hot_b", "return {n = 1}")
      save_module("hot_c", "return {}")
      save "return {a = require 'hot_a', c = require 'hot_c'}"
      local file <close> = assert(iza.hot.file(path))
      local old_c = file.value.c
      assert.equal(1, file.value.a.n)
      save_module("hot_b", "return {n = 2}")
      eventually(function() return file.value.a.n == 2 end)
      assert.equal(old_c, file.value.c)
      assert.equal(2, package.loaded.hot_b.n)
    end)

    it("keeps the modules too when an edit is not taken", function()
      save_module("hot_a", "return {n = 1}")
      save "return {a = require 'hot_a'}"
      local file <close> = assert(iza.hot.file(path, {watch = false}))
      save_module("hot_a", "error 'broken'")
      assert.is_nil((file:reload()))
      assert.equal(1, package.loaded.hot_a.n)
      save_module("hot_a", "return {n = 3}")
      assert.is_true(file:reload())
      assert.equal(3, file.value.a.n)
    end)
  end)

  it("disposes of named state that the new version no longer has", function()
    save [[return {state = iza.hot{name = "spec.gone",
      dispose = function(s) s.disposed = true end}}]]
    local file <close> = assert(iza.hot.file(path, {watch = false}))
    local state = file.value.state
    save "return 2"
    assert.is_true(file:reload())
    assert.is_true(state.disposed)
  end)

  it("tells on_error instead of the log, and goes on when that fails too", function()
    save "return 1"
    local told = {}
    local file <close> = assert(iza.hot.file(path, {on_error = function(err)
      told[#told + 1] = err
      if #told == 2 then error "on_error is broken" end
    end}))
    save "return = 1"
    eventually(function() return #told == 1 end)
    assert.matches("rules.lua:1: unexpected symbol", tostring(told[1]))
    assert.same({}, logged)
    save "error 'second'"
    eventually(function() return #logged == 1 end)
    assert.matches("on_error is broken", logged[1])
    assert.equal(1, file.value)
    save "return 2"
    eventually(function() return file.value == 2 end)
    assert.equal(2, #told)
  end)

  it("serves on when the file goes, and follows its return", function()
    save "return 1"
    local file <close> = assert(iza.hot.file(path))
    os.remove(path)
    iza.sleep(0.05)
    assert.equal(1, file.value)
    save "return 2"
    eventually(function() return file.value == 2 end)
  end)

  it("lets running work finish on the functions it began with", function()
    local function version(n)
      return ("return {work = function(gate) local a = %d gate() return a, %d end}"):format(n, n)
    end
    save(version(1))
    local file = assert(iza.hot.file(path, {watch = false}))
    local work, gate = file:fn "work", iza.channel()
    local running = iza.spawn(function() return work(function() gate:recv() end) end)
    iza.sleep(0)
    save(version(2))
    assert(file:reload())
    assert.same({2, 2}, {work(function() end)})
    gate:send(true)
    assert.same({1, 1}, {running:join()})
    assert.error_matches(function() file:fn "gone" () end, "has no function 'gone'")
  end)

  it("fails at the start with the error of the first load", function()
    save "return = 1"
    local file, err = iza.hot.file(path)
    assert.is_nil(file)
    assert.equal("syntax", err.code)
    assert.matches("rules.lua:1:", err.message)
    assert.is_nil((iza.hot.file(dir .. "/none.lua")))
  end)

  it("keeps named state, lets the new accept it and the old dispose of it", function()
    local name = "spec." .. path
    local function version(n, extra)
      save(([[
        local s = iza.hot{name = %q, keep = {count = 0, log = {}},
          accept = function(s) %s s.log[#s.log + 1] = "accept%d" end,
          dispose = function(s) s.log[#s.log + 1] = "dispose%d" end}
        return function() s.count = s.count + 1 return s.count, s.log end]])
        :format(name, extra or "", n, n))
    end
    version(1)
    local file = assert(iza.hot.file(path, {watch = false}))
    assert.equal(1, (file()()))
    version(2)
    assert(file:reload())
    local count, log = file()()
    assert.equal(2, count)
    assert.same({"accept2", "dispose1"}, log)
    version(3, "error 'cannot take it'")
    local ok, err = file:reload()
    assert.is_nil(ok)
    assert.matches("cannot take it", err.message)
    count, log = file()()
    assert.equal(3, count)
    assert.same({"accept2", "dispose1"}, log)
    version(4)
    assert(file:reload())
    count, log = file()()
    assert.equal(4, count)
    assert.same({"accept2", "dispose1", "accept4", "dispose2"}, log)
  end)

  it("does not let a failing on_change or dispose end the following", function()
    save(("iza.hot{name = %q, dispose = function() error 'old' end} return 1"):format(path))
    local file <close> = assert(iza.hot.file(path, {on_change = function() error "mine" end}))
    save(("iza.hot{name = %q} return 2"):format(path))
    eventually(function() return file.value == 2 end)
    save "return 3"
    eventually(function() return file.value == 3 end)
    local text = table.concat(logged)
    assert.matches("old", text)
    assert.matches("mine", text)
  end)

  it("stops following when closed", function()
    save "return 1"
    local file = assert(iza.hot.file(path))
    file:close()
    save "return 2"
    iza.sleep(0.1)
    assert.equal(1, file.value)
    assert(file:reload())
    assert.equal(2, file.value)
  end)

  it("keeps no script from ending", function()
    save "return 1"
    local script = dir .. "/main.lua"
    assert(iza.fs.write(script, ("print(assert(iza.hot.file(%q)).value)"):format(path)))
    local program = os.getenv "IZA" or host.real "/proc/self/exe"
    local r = assert(iza.exec{program, script, timeout = "20s"})
    assert.equal("1\n", r.stdout)
    assert.equal("", r.stderr)
    assert.equal(0, r.status)
  end)
end)
