-- errors_spec.lua -- what people see when something fails, against golden files.
--
-- tests/e2e/golden/NAME.txt holds the whole text; the sandbox is DIR, the library's lines are N,
-- request ids ID. GOLDEN=write writes them anew: read the difference.
local p = require "e2e.iza_process"

local GOLDEN = "tests/e2e/golden/"

local dir
setup(function()
  dir = p.sandbox()
end)
teardown(function() p.remove(dir) end)

local function plain(s) return (s:gsub("%p", "%%%0")) end

local function neutral(text)
  text = text:gsub(plain(dir) .. "/", ""):gsub(plain(dir), "DIR")
  text = text:gsub("[%w_/.]*lua/(iza/[%w_/]+%.lua):%d+", "%1:N")
  text = text:gsub("request [%x%-]+ ", "request ID "):gsub('"id":"[%x%-]+"', '"id":"ID"')
  text = text:gsub("%d%d%d%d%-%d%d%-%d%dT[%d:.]+Z", "TIME")
  return text
end

local function golden(name, text)
  local path = GOLDEN .. name .. ".txt"
  text = neutral(text)
  if os.getenv "GOLDEN" == "write" then p.write(path, text) end
  local f <close> = assert(io.open(path, "rb"))
  assert.equal(f:read "a", text)
end

-- Runs files[1] in the sandbox and compares what it writes on stderr.
local function fails(name, files)
  for file, text in pairs(files) do p.write(dir .. "/" .. file, text) end
  local _, err, status = p.sh(dir, dir, "iza main.lua")
  assert.equal(1, status)
  golden(name, err)
  return err
end

local DEEP = [[
local function third()
  local t = {}
  return t.price.amount
end

local function second()
  iza.spawn(third):join()
end

local function first()
  iza.spawn(second):join()
end

iza.spawn(first):join()
]]

describe("an error report", function()
  it("is told once, at once, however many tasks pass it on", function()
    local ways = {"iza.sleep(0.05) t:join()", "iza.sleep(0.05)", "t:join()",
      "pcall(t.join, t) iza.sleep(0.01) t:join()"}
    for _, way in ipairs(ways) do
      local code = "local t = iza.spawn(function() iza.spawn(function() error'boom' end) "
        .. "iza.sleep(0.01) end) " .. way
      local r = assert(iza.exec {os.getenv "IZA" or "./iza", "-e", code})
      local _, times = r.stderr:gsub("boom\n", "")
      assert.are.same({1, 1}, {r.status, times}, way .. "\n" .. r.stderr)
    end
    local r = assert(iza.exec {os.getenv "IZA" or "./iza", "-e", "iza.spawn(error, 'a') "
      .. "iza.spawn(error, 'b') iza.sleep(0.01)"})
    assert.truthy(r.stderr:find("iza: a.*iza: b"), r.stderr)
  end)

  it("shows each file and line, the line itself and the spawn chain, three tasks deep", function()
    local err = fails("three_tasks", {["main.lua"] = DEEP})
    assert.matches("main.lua:3:", err, 1, true)
    assert.matches("3 |   return t.price.amount", err, 1, true)
    for _, line in ipairs{7, 11, 14} do assert.matches("main.lua:" .. line, err, 1, true) end
  end)

  it("has the same form from -e", function()
    local _, err, status = p.sh(dir, dir, 'iza -e "$(cat main.lua)"')
    assert.equal(1, status)
    golden("command_line", err)
  end)

  it("has the same form in the REPL", function()
    p.write(dir .. "/entries", "function third() local t = {} return t.price.amount end\n"
      .. "iza.spawn(function() iza.spawn(third):join() end):join()\n\4")
    local typing = "(sleep 0.5; cat entries; sleep 2) | script -qec 'iza repl' /dev/null"
    local out = p.sh(dir, dir, typing, {TERM = "dumb"})
    golden("repl", assert(out:gsub("\r", ""):match "(error: .-\n)iza>"))
  end)

  it("goes through coroutine.wrap", function()
    fails("coroutine", {["main.lua"] = [[
local function inner() error("in the coroutine") end
local step = coroutine.wrap(function()
  coroutine.yield(1)
  inner()
end)
step()
step()
]]})
  end)

  it("names the lines of a required module", function()
    fails("module", {
      ["main.lua"] = "local m = require 'helper'\nm.check(nil)\n", ["helper.lua"] = [[
local M = {}
function M.check(order)
  return order.id
end
return M
]]})
  end)

  it("names the line of a module that fails while it loads, and of one that does not compile",
    function()
      fails("module_load", {["main.lua"] = "require 'broken'\n",
        ["broken.lua"] = "local x = 1\nerror('not today')\n"})
      fails("module_syntax", {["main.lua"] = "require 'wrong'\n",
        ["wrong.lua"] = "local x = 1\nlocal y = = 2\n"})
    end)

  it("names the line of a script that does not compile", function()
    fails("syntax", {["main.lua"] = "print 'never'\nif true the\nend\n"})
  end)

  it("crosses out of an isolate", function()
    fails("isolate", {["main.lua"] = [[
local box <close> = iza.isolate{file = "box.lua"}
box:call("work", {})
]], ["box.lua"] = [[
local M = {}
local function deep(order) return order.items[1] end
function M.work(order)
  return deep(order)
end
return M
]]})
  end)

  it("shows error objects with their message, from where they were raised", function()
    fails("error_object", {["main.lua"] = [[
local function save() return nil, iza.error("not_found", "there is no order 7") end
local function work()
  local ok, err = save()
  if not ok then error(err) end
end
iza.spawn(work):join()
]]})
  end)

  it("shows errors that are no strings", function()
    fails("no_string", {["main.lua"] = "local function f() error(42) end\nf()\n"})
    fails("nil_error", {["main.lua"] = "local function f() error() end\nf()\n"})
    fails("table_error", {["main.lua"] = [[
error(setmetatable({}, {__tostring = function() return "a table of ours" end}))
]]})
  end)

  it("shows an error in a hot file, before and after an edit", function()
    fails("hot", {["rules.lua"] = "return {score = function(lead) return lead.spend / 2 end}\n",
      ["main.lua"] = [[
local rules = assert(iza.hot.file("rules.lua", {watch = false}))
local f = assert(io.open("rules.lua", "w"))
f:write("local M = {}\n\nfunction M.score(lead)\n  return lead.spend.amount\nend\n\nreturn M\n")
f:close()
assert(rules:reload())
rules:fn "score" {spend = nil}
]]})
    fails("hot_broken", {["rules.lua"] = "return 1\n", ["main.lua"] = [[
local rules = assert(iza.hot.file("rules.lua", {watch = false}))
local f = assert(io.open("rules.lua", "w"))
f:write("return {\n  score = = 2,\n}\n")
f:close()
assert(rules:reload())
]]})
  end)

  it("quotes the code that failed, whatever its file says by now", function()
    local err = fails("edited", {["main.lua"] = [[
local f = assert(io.open("main.lua", "w"))
f:write("-- another\n-- text\n-- of the file\n-- line 4\n-- line 5\n")
f:close()
local function price(order) return order.items.count end
price {}
]]})
    assert.matches("4 | local function price(order)", err, 1, true)
    local first = "return {score = function(lead) return lead.a.b end}\n"
    err = fails("edited_hot", {["rules.lua"] = first, ["main.lua"] = [[
local rules = assert(iza.hot.file("rules.lua", {watch = false}))
local old = rules.value.score
local f = assert(io.open("rules.lua", "w"))
f:write("return {score = function(lead) return lead.other.thing end}\n")
f:close()
assert(rules:reload())
old {}
]]})
    assert.matches("1 | return {score = function(lead) return lead.a.b end}", err, 1, true)
    fails("edited_broken", {["rules.lua"] = first, ["main.lua"] = [[
local rules = assert(iza.hot.file("rules.lua", {watch = false}))
local f = assert(io.open("rules.lua", "w"))
f:write("return {score = = 2}\n")
f:close()
io.stderr:write(iza.report(select(2, rules:reload())), "\n")
rules:fn "score" {}
]]})
  end)

  it("shows what a table without a metatable says", function()
    fails("plain_table", {["main.lua"] = 'error {code = "x", a = 1}\n'})
    fails("plain_message", {["main.lua"] =
      'local function f() error {code = "no_stock", message = "sold out", left = 0} end\n'
      .. "iza.spawn(f):join()\n"})
    fails("plain_isolate", {["main.lua"] = [[
local box <close> = iza.isolate{source = "error {message = 'from inside'}"}
box:call()
]]})
  end)

  it("tells a program that can never go on, and lets it close", function()
    fails("deadlock", {["main.lua"] = [[
local todo, done = iza.channel(), iza.channel(1)
iza.spawn(function() for job in todo:each() do print(job) end end)
local open <close> = setmetatable({}, {__close = function() io.stderr:write "closed\n" end})
done:recv()
]]})
  end)

  it("is what a server logs, and in develop mode answers", function()
    p.write(dir .. "/main.lua", [[
local function price(order) return order.items.count end
local function handler() return iza.spawn(function() return price{} end):join() end
local s = assert(iza.http.serve{port = 0, develop = true, routes = {["GET /"] = handler}})
local r = iza.exec{"curl", "-s", "-m", "5", s.url .. "/"}
io.stdout:write(r.stdout, "\n")
s:stop{drain = 0}
]])
    local out, err, status = p.sh(dir, dir, "iza main.lua", {IZA_LOG = "text"})
    assert.equal(0, status)
    golden("server_log", err)
    golden("server_answer", iza.json.decode(out).error.message .. "\n")
    err = select(2, p.sh(dir, dir, "iza main.lua"))
    local line = assert(iza.json.decode((assert(err:match "^([^\n]*)\n$"))))
    assert.same({"error", "http"}, {line.level, line.from})
    assert.matches("main.lua:1: attempt to index a nil value (field 'items')\n       1 | ",
      line.msg, 1, true)
  end)

  it("of misuse shows the caller's line, not the library's", function()
    local function blames(code, message)
      p.write(dir .. "/main.lua", "local iza = iza\n" .. code .. "\n")
      local _, err = p.sh(dir, dir, "iza main.lua || true")
      local first, second = err:match "^([^\n]*)\n([^\n]*)"
      assert.are.same({"iza: main.lua:2: " .. message, "       2 | " .. code}, {first, second})
    end
    blames("iza.http.get(5)", "iza.http: url must be a string")
    blames("local a = iza.args.new{{'--x X', typ = 1}}", "--x X: no field 'typ' in a "
      .. "declaration; did you mean 'type'?; there are: choices, default, env, help, key, many, "
      .. "max, min, required, type")
    blames("print((iza.crypto.hash('sha', 'x')))",
      "bad argument #1 to 'hash' (no such algorithm: md5, sha1, sha256, sha384, sha512)")
    blames("local _ = iza.csv.open(5)", "path: a string expected, got number")
    blames("iza.args.new{'file'}", 'iza.args: an argument is declared by a table such as {"file"} '
      .. 'or {"--limit N"}, not by "file"')
    blames("iza.all(1, 2)", "iza.all takes a list of functions, got number")
    blames("iza.race{print, 1}", "iza.race takes a list of functions, its value 2 is a number")
    blames("iza.timeout(print, 1)", "iza.timeout takes a duration and a function, got number")
    blames("local _ = iza.channel('x')", "bad argument #1 to 'channel' (number expected, got "
      .. "string)")
    blames("iza.http.get('http://a.b', {retries = 3})", "iza.http: unknown option 'retries'; "
      .. "did you mean 'retry'? (`iza help http.Options` lists them)")
    blames("iza.http.get('http://a.b', {retry = {n = 3}})", "iza.http: retry: unknown option 'n'; "
      .. "there are: backoff, cap, max, max_wait, on")
    blames("iza.http.get('http://a.b', {timeout = 'bald'})", "iza.http: timeout must be a "
      .. 'duration, seconds or text such as "250ms", "1h30m"; got "bald"')
    blames("iza.http.get('http://a.b', 5)", "iza.http: options must be a table, got number")
    blames("iza.isolate{source = '', capabilites = {}}", "iza.isolate: unknown option "
      .. "'capabilites'; did you mean 'capabilities'? (there are: capabilities, dirs, file, "
      .. "limits, name, root, source, untrusted)")
    blames("iza.isolate{source = '', limits = {mem = 1}}", "iza.isolate: limits: unknown option "
      .. "'mem'; did you mean 'memory'? (there are: cpu, memory, time)")
    blames("iza.isolate{source = '', limits = {memory = 'viel'}}", "iza.isolate: limits: memory "
      .. 'must be a size, bytes or text such as "64MB"; got "viel"')
    blames("for _ in iza.csv.rows('a.csv', {encodng = 'x'}) do end", "iza.csv: unknown option "
      .. "'encodng'; did you mean 'encoding'? (there are: decimal, delimiter, encoding, header, "
      .. "max_field, max_fields, max_row, on_error, types)")
    blames("local _ = iza.csv.parse('a', {types = {a = 'zahl'}})", "iza.csv: types: the type of a "
      .. "must be string, number, integer, date or boolean, not zahl")
    p.write(dir .. "/one.csv", "a\n1\n")
    blames("for r in iza.csv.open('one.csv') do print(r) end", "a reader is no iterator: loop over "
      .. "reader:rows(), or over iza.csv.rows(path)")
    blames("iza.fs.write('x', 'y', {apend = true})", "iza.fs.write: unknown option 'apend'; did "
      .. "you mean 'append'? (there are: append)")
    blames("iza.exec{'true', nix = 1}", "iza.exec: unknown option 'nix'; there are: "
      .. "check, cwd, env, max_output, stderr, stdin, stdout, stream, timeout")
    blames("local _ = iza.time.format(0, '%Q')", "time.format knows no directive %Q")
    blames("iza.http.serve{prot = 1}", "iza.http.serve: unknown option 'prot'; did you mean "
      .. "'port'? (there are: access_log, develop, host, hosts, limits, middleware, port, "
      .. "reuse_port, routes, static, tls)")
    p.write(dir .. "/main.lua", "print(pcall(function() iza.isolate{source = 'iza.time.format(0, "
      .. "\"%Q\")', name = '@in.lua'}:call() end))")
    assert.are.equal("false\tin.lua:1: time.format knows no directive %Q\n",
      (p.sh(dir, dir, "iza main.lua")))
    p.write(dir .. "/main.lua", "print(pcall(iza.http.get, 5))\n"
      .. "print(pcall(function() local r = iza.http.get(5) return r end))")
    assert.are.equal("false\tmain.lua:1: iza.http: url must be a string\n"
      .. "false\tmain.lua:2: iza.http: url must be a string\n", (p.sh(dir, dir, "iza main.lua")))
  end)
end)
