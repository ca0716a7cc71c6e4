-- A user's own rocks: LuaRocks installs into rocks/ of a project, and `require` finds them there.

local IZA = assert(os.getenv("IZA"), "IZA names the program")

local function run(dir, words)
  words.cwd, words.timeout = dir, "100s"
  local r = assert(iza.exec(words))
  assert.is_true(r.ok, r.stderr .. r.stdout)
  return r.stdout
end

local function write(path, text)
  local f <close> = assert(io.open(path, "w"))
  f:write(text)
end

describe("a project's rocks/", function()
  local dir

  setup(function()
    dir = run(nil, { "mktemp", "-d" }):match("%S+")
    run(dir, { "mkdir", "-p", "project/deeper", "rock" })
    write(dir .. "/project/iza.lua", "return {}\n")
    write(dir .. "/rock/greet-1.0-1.rockspec", [[
      package = "greet"
      version = "1.0-1"
      source = { url = "file://greet.lua" }
      build = {
        type = "builtin",
        modules = { greet = "greet.lua", ["greet.core"] = "core.c" },
      }
    ]])
    write(dir .. "/rock/greet.lua", "return { say = function() return (require 'greet.core') end }")
    write(dir .. "/rock/core.c", [[
      #include <lua.h>
      int luaopen_greet_core(lua_State *L) { lua_pushliteral(L, "hello from C"); return 1; }
    ]])
    run(dir .. "/rock",
      { "luarocks", "--lua-version", "5.4", "--tree", "../project/rocks", "make" })
  end)

  teardown(function() run(nil, { "rm", "-rf", dir }) end)

  it("gives its Lua and C modules to a script anywhere in the project", function()
    write(dir .. "/project/deeper/main.lua", 'print(require("greet").say())\n')
    assert.are.equal("hello from C\n", run(dir, { IZA, "project/deeper/main.lua" }))
    assert.are.equal("hello from C\n",
      run(dir .. "/project/deeper", { IZA, "-e", 'print(require("greet").say())' }))
  end)

  it("is not seen outside the project", function()
    local r = assert(iza.exec { IZA, "-e", 'require "greet"', cwd = dir })
    assert.is_false(r.ok)
    assert.matches("module 'greet' not found", r.stderr, 1, true)
  end)
end)

describe("the rockspec of iza", function()
  it("installs the program and its editor types", function()
    local tree = run(nil, { "mktemp", "-d" }):match("%S+")
    -- Not as a part of the make that may have started us.
    run(nil, { "env", "-u", "MAKEFLAGS", "-u", "MAKELEVEL", "-u", "SAN",
      "luarocks", "--lua-version", "5.4", "--tree", tree, "make", "rocks/iza-dev-1.rockspec" })
    assert.are.equal("42\n", run(nil, { tree .. "/bin/iza", "-e", "print(6 * 7)" }))
    local types = tree .. "/lib/luarocks/rocks-5.4/iza/dev-1/share/iza/types/"
    local first = run(nil, { "head", "-n", "1", types .. "iza/init.lua" })
    assert.matches("---@meta iza", first, 1, true)
    run(nil, { "test", "-f", types .. "iza/json.lua" })
    run(nil, { "rm", "-rf", tree })
  end)
end)
