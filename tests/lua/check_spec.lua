local check = require "iza.check"
local lexer = require "iza.lexer"

-- The globals a source uses: "name" read, "name=" assigned.
local function uses(source)
  assert(load(source))
  local list = {}
  for i, use in ipairs(check.globals(source)) do
    list[i] = use.name .. (use.assigned and "=" or "")
  end
  return table.concat(list, " ")
end

describe("iza.check resolves names as the compiler does:", function()
  local cases = {
    {"locals, from the statement behind their declaration", "local a = a; print(a)", "a print"},
    {"attributes", "local x <const>, y <close> = 1, nil; return x, y", ""},
    {"local functions, which see themselves", "local function f() return f end f()", ""},
    {"function statements, which assign a global", "function f() return f end", "f= f"},
    {"functions in tables, which read it", "function t.a.b() end function u:m() return self end",
      "t u"},
    {"self only in methods", "function t.f() return self end", "t self"},
    {"parameters", "return function(a, b, ...) return a, b, c, ... end", "c"},
    {"loop variables, not in their bounds", "for i = i, n do print(i) end", "i n print"},
    {"generic loops", "for k, v in pairs(k) do return k, v end", "pairs k"},
    {"blocks", "do local a = 1 end return a", "a"},
    {"repeat, whose condition sees the body", "repeat local ok = f() until ok; return ok", "f ok"},
    {"branches", "if a then local b = 1 elseif b then else return b end", "a b b"},
    {"fields and methods, which are no globals", "return a.b.c:d(e).f", "a e"},
    {"indices", "a[b].c = d", "a b d"},
    {"several targets", "a, t.b, c = 1, 2, 3", "t a= c="},
    {"table keys", "return {a = b, [c] = d; e}", "b c d e"},
    {"calls without parentheses", "f 'x' g {h} k [[s]]", "f g h k"},
    {"labels", "goto done; ::done:: return", ""},
    {"_ENV, and globals under a local one", "local a = _ENV.x; local _ENV = {}; b = c", ""},
    {"_ENV as a parameter", "local function f(_ENV) return z end return z", "z"},
    {"operators", "return not a and -b .. #c or ~d // e ~= f", "a b c d e f"},
    {"strings that look like code", [[return "end", 'a', [=[ b ]] .. "]]" .. [[ ]=] ]], ""},
    {"comments", "--[==[ a\nb ]==] local c -- d\nreturn c --[[e]]", ""},
    {"numbers", "return 0x1p-3 + 1e+5 + 3.e-2 .. 0xA", ""},
    {"escapes", [[return "\"a\z
      b\\", 'c\'d']], ""},
    {"a first line for the shell", "#!/usr/bin/env iza\nreturn 1", ""},
  }
  for _, case in ipairs(cases) do
    it(case[1], function()
      if case[2]:sub(1, 1) == "#" then
        assert.are.same({}, check.globals(case[2]))
      else
        assert.are.equal(case[3], uses(case[2]))
      end
    end)
  end

  it("each place is the token's", function()
    local use = check.globals("local a\n\tprint(a,\n  zed)")[2]
    assert.are.same({3, 3}, {use.line, use.column})
  end)

  it("every Lua file of iza itself is read to its end", function()
    local embedded = require "iza.core.embedded"
    for _, path in ipairs(embedded.list "lua/") do
      local source = embedded.read(path)
      if path:find "%.lua$" and load(source) then
        local tokens = lexer.tokens(source)
        assert.are.equal("end", tokens[#tokens].kind)
        assert.are.same({}, check.source(path, source, {strict = true}), path)
        iza.sleep(0)
      end
    end
  end)
end)

describe("iza.check finds", function()
  local function messages(source, opts, name)
    local list = {}
    for i, f in ipairs(check.source(name or "a.lua", source, opts)) do
      list[i] = ("%d:%s: %s"):format(f.line, f.column or "-", f.message)
    end
    return list
  end

  it("a syntax error, with its line and nothing else", function()
    local found = check.source("a.lua", "print(undefined)\nlocal = 3\n")
    assert.are.equal(1, #found)
    assert.are.same({2, "local = 3"}, {found[1].line, found[1].source})
    assert.truthy(found[1].message:find("<name> expected", 1, true))
  end)

  it("an unknown global, and what was meant", function()
    assert.are.same({"1:1: unknown global 'pirnt'; did you mean 'print'?"}, messages "pirnt(1)")
  end)

  it("nothing in a byte order mark", function()
    assert.are.same({}, messages "\xEF\xBB\xBFprint(1)")
    assert.are.same({}, messages "\xEF\xBB\xBF#!/usr/bin/env iza\nprint(1)")
  end)

  it("a local that is not one yet", function()
    assert.are.same({"1:30: unknown global 'fn': the local of that name begins behind its "
      .. "statement; declare it before, or write `local function fn`"},
      messages "local fn = function() return fn() end")
  end)

  it("many unknown names, of which only the first get a guess", function()
    local source = {"return {pirnt, "}
    for i = 1, 5000 do source[#source + 1] = "pirnt" .. i .. "," end
    source[#source + 1] = "pirnt}"
    local found = messages(table.concat(source))
    assert.are.equal(5002, #found)
    assert.truthy(found[1]:find("did you mean 'print'?", 1, true))
    assert.is_nil(found[5002]:find "did you mean")
  end)

  it("nothing where a script defines its own globals", function()
    assert.are.same({}, messages "function helper() end helper()")
  end)

  it("every assigned global in strict code", function()
    assert.are.same({"1:10: assigns the global 'helper'; make it local",
      "1:23: unknown global 'helper'"}, messages("function helper() end helper()", {strict = true}))
  end)

  it("nothing in the names it is told", function()
    assert.are.same({}, messages("return ngx.now()", {globals = {ngx = true}}))
  end)

  it("nothing in busted's names, in spec files only", function()
    assert.are.same({}, messages("describe('a', function() it() end)", nil, "a_spec.lua"))
    assert.are.equal(2, #messages "describe('a', function() it() end)")
  end)

  it("the file that cannot be read", function()
    local found, err = check.file "/nonexistent/a.lua"
    assert.is_nil(found)
    assert.truthy(tostring(err):find("/nonexistent/a.lua", 1, true))
  end)

  it("fields that iza, its modules and Lua's libraries lack", function()
    assert.are.same({"1:5: iza has no field 'htpp'; did you mean 'http'?"},
      messages "iza.htpp.get('x')")
    assert.are.same({"1:10: iza.http has no field 'gte'; did you mean 'get'?"},
      messages "iza.http.gte('x')")
    assert.are.same({"1:38: iza.http has no field 'psot'; did you mean 'post'?"},
      messages "local http = require 'iza.http' http.psot('x')")
    assert.are.same({"1:8: string has no field 'foo'"}, messages "string.foo('x')")
    assert.are.same({}, messages [[
      iza.http.get(iza.json.encode{iza.json.null}) iza.all{} iza.sleep(1) iza.channel(1)
      return math.pi, table.unpack{1}, ("x"):foo()]])
  end)

  it("no field that may be there", function()
    for _, source in ipairs {"if string.trim then string.trim('x') end",
      "function string.trim(s) return s end string.trim('x')",
      "string.trim = print string.trim('x')", "if iza.store then iza.store.open() end",
      "local string = f() string.foo()", "require 'ext' string.foo()",
      "local m = require 'iza.http' m = other m.psot()", "local _ENV = {} string.foo()"} do
      for _, message in ipairs(messages(source)) do
        assert.not_matches("has no field", message, source)
      end
    end
  end)

  it("the fields of a module that returns a plain table", function()
    local of = require("iza.check_fields").of_source
    assert.are.same({a = true, f = true, g = true, b = true},
      of "local M = {a = 1, {x = 2}} function M.f() end function M:g() end M.b = 1 return M")
    assert.are.same({a = true, b = true}, of "return {a = {c = 1}, b = function() return {} end}")
    for _, source in ipairs {"local M = setmetatable({}, {}) return M", "return f()",
      "local M = {} M[x] = 1 return M", "local M = {} add(M) return M", "return {[x] = 1}",
      "local M = {} return setmetatable(M, {})", "local M = f() return M", ""} do
      assert.is_nil(of(source), source)
    end
  end)
end)
