local commands = require "iza.repl.commands"
local complete = require "iza.repl.complete"
local session = require "iza.repl.session"
local source = require "iza.repl.source"

local function run(s, text) return assert(s:compile(text))() end

describe("an entry", function()
  it("is unfinished only when more lines could finish it", function()
    for _, text in ipairs {"for i = 1, 3 do", "f(", "x =", "[[a", "local function f()", "{1,\n"} do
      assert.is_true(source.incomplete(text), text)
    end
    for _, text in ipairs {"x", "1 + 1", "f()", "x x", "'a", "end", "x = 1 -- note", ""} do
      assert.is_false(source.incomplete(text), text)
    end
  end)

  it("finds the end of each top-level declaration", function()
    local text = [[
local a, b = f(1)
(g)(), function() local inner = 1 end local c <const>, d = 5 x = 2 local function h() local q end
do local k end local t = {1, [2] = function() end} .. "x" ::l:: local e local r <close> = nil
local s = "local z" -- local y
if a then local n end repeat local m until m local u = -#t // 2 and not b or t.x:y "z" {1}
return a]]
    local marked = source.after_locals(text, function(names)
      return "<" .. table.concat(names, " ") .. ">"
    end)
    assert.equal([[
local a, b = f(1)
(g)(), function() local inner = 1 end<a b> local c <const>, d = 5<c d> x = 2 ]]
      .. [[local function h() local q end<h>
do local k end local t = {1, [2] = function() end} .. "x"<t> ::l:: local e<e> local r <close> = nil
local s = "local z"<s> -- local y
if a then local n end repeat local m until m ]]
      .. [[local u = -#t // 2 and not b or t.x:y "z" {1}<u>
return a]], marked)
  end)

  it("indents by what is open on earlier lines", function()
    local levels, following =
      source.levels "foo(function()\nif x then\ny()\nelse\nz{\n1\n}\nend\nend)"
    assert.same({0, 1, 2, 1, 2, 3, 2, 1, 0}, levels)
    assert.equal(0, following)
    assert.equal(1, (select(2, source.levels "foo({function()")))
  end)
end)

describe("a session", function()
  it("shares a local between entries and closures", function()
    local s = session.new()
    run(s, "local n, f = 1; local function inc() n = n + 1 return n end")
    assert.equal(2, run(s, "inc()"))
    run(s, "n = 10")
    assert.equal(11, run(s, "inc()"))
    assert.equal(11, run(s, "n"))
    assert.equal(11, (s:get "n"))
    assert.is_nil(rawget(_G, "n"))
  end)

  it("makes a new variable of a second declaration", function()
    local s = session.new()
    run(s, "local n = 1; local function get() return n end")
    run(s, "local n = n + 1")
    assert.equal(2, run(s, "n"))
    assert.equal(1, run(s, "get()"))
  end)

  it("keeps what was declared before an error", function()
    local s = session.new()
    assert.is_false(pcall(assert(s:compile "local a = 1 error 'x' local b = 2")))
    assert.equal(1, run(s, "a"))
    assert.is_nil((s:get "b"))
  end)

  it("keeps constants, and many variables", function()
    local s = session.new()
    run(s, "local c <const> = 7")
    assert.equal(7, run(s, "c"))
    for i = 1, 400 do run(s, ("local v%d = %d"):format(i, i)) end
    assert.equal(401, run(s, "v1 + v400"))
  end)

  it("names the entry and the line of an error", function()
    local s = session.new()
    local _, err = s:compile "x\nx x"
    assert.equal("entry 1:2: syntax error near 'x'", err)
    local ok, message = pcall(assert(s:compile "local a = 1\n\nerror 'boom'"))
    assert.is_false(ok)
    assert.equal("entry 2:3: boom", message)
  end)
end)

describe("completion", function()
  local s = session.new()
  local function at(text)
    local word, list, best = complete.at(s, text)
    return list, best, word
  end

  it("knows globals, locals, fields, methods and modules", function()
    run(s, "local greeting = {hello = 1, help = function() end}")
    assert.same({"greeting"}, (at "x = greet"))
    assert.same({"hello", "help"}, (at "greeting.he"))
    assert.same({"help"}, (at "greeting:"))
    assert.same({"upper"}, (at "('x'):upp"))
    assert.same({"string"}, (at "str"))
    assert.same({"encode"}, (at "iza.json.en"))
    assert.same({"json"}, (at "iza.js"))
    assert.same({"iza.inspect"}, (at "require 'iza.insp"))
    assert.same({"/etc/hosts"}, (at "io.open('/etc/hosts"))
    assert.same({}, (at "nothing.at.all."))
  end)

  it("knows what iza offers, loaded or not, and none of its parts", function()
    assert.same({"delete", "get", "head", "limits", "patch", "post", "put", "request", "serve",
      "stream"}, (at "iza.http."))
    run(s, "local web = iza.http")
    assert.same({"serve"}, (at "web.ser"))
    local _ = {iza.lexer, iza.walk} -- they are fields now
    local offered = {}
    for _, name in ipairs((at "iza.")) do offered[name] = true end
    for _, name in ipairs {"lexer", "token", "walk", "template_compile", "calendar", "capability",
      "fail", "absent", "misuse", "init", "doc", "topics"} do
      assert.is_nil(offered[name], name)
    end
    for _, name in ipairs(require("iza.doc").members()) do
      assert.is_true(offered[name] or false, name)
      assert.is_not_nil(iza[name], name)
    end
    rawset(iza, "spec_added", 1)
    local added = at "iza.spec_a"
    rawset(iza, "spec_added", nil)
    assert.same({"spec_added"}, added)
  end)

  it("finds one name among very many, or says that it did not look at all", function()
    run(s, [[many = {} for i = 1, 50000 do many["x" .. i] = i end many.needle = 1]])
    local _, list, _, cut = complete.at(s, "many.need")
    assert.same({"needle"}, list)
    assert.falsy(cut)
    _, list, _, cut = complete.at(s, "many.x")
    assert.is_true(cut)
    assert.is_true(#list > 9000)
    run(s, "many = nil")
    local clock = require "iza.core.clock"
    local now, time = clock.now, 0
    clock.now = function() time = time + 10 return time end
    run(s, [[big = {} for i = 1, 5000 do big["x" .. i] = i end]])
    _, _, _, cut = complete.at(s, "big.none")
    clock.now = now
    run(s, "big = nil")
    assert.is_true(cut)
  end)

  it("finds the methods of C objects", function()
    run(s, "local job = iza.spawn(function() end)")
    assert.same({"cancel", "join"}, (at "job:"))
  end)

  it("calls no metamethod to list, and gives up on one that does not return", function()
    run(s, [[local bad = setmetatable({own = 1}, {__index = function() while true do end end,
      __pairs = function() error "called" end})]])
    assert.same({"own"}, (at "bad.o"))
    assert.same({}, (at "bad.x.y"))
    run(s, [[local slow = setmetatable({}, {__index = function() iza.sleep(1000) end})]])
    assert.same({}, (at "slow.x.y"))
  end)
end)

describe("a command", function()
  it("is also a word that people try, unless it is a variable", function()
    local s = session.new()
    assert.equal("quit", commands.plain("exit", s))
    assert.equal("quit", commands.plain(" quit() ", s))
    assert.equal("help", commands.plain("help", s))
    assert.is_nil(commands.plain("exit + 1", s))
    assert.is_nil(commands.plain("leave", s))
    s:set("exit", nil)
    assert.is_nil(commands.plain("exit", s))
    rawset(_G, "quit", false)
    local mine = commands.plain("quit", s)
    rawset(_G, "quit", nil)
    assert.is_nil(mine)
  end)

  it("is asked for by a question mark", function()
    assert.same({"help", ""}, {commands.parse " ? "})
    assert.same({"help", "json.encode"}, {commands.parse "json.encode?"})
  end)
end)
