-- isolate_spec.lua -- lua/iza/isolate.lua over engine/vm: limits, sandbox, bridge, capabilities.

local isolate = require "iza.core.isolate"

local function load_into(state, source)
  return assert(state:load(source, "@prog.lua"))
end

local function run(source, options)
  options = options or {}
  local state = isolate.new{memory = options.memory or "8MB", cpu = options.cpu or "100ms",
    bridge = options.bridge or function() end}
  return state:call(load_into(state, source), nil)
end

local function fails(source, options)
  local ok, err = pcall(run, source, options)
  assert.is_false(ok)
  return err
end

describe("an isolate", function()
  it("runs a program afresh for each call", function()
    local state = isolate.new{}
    local program = load_into(state, "local n = 0 return function(a) n = n + 1 return n, a end")
    assert.same({1, "x"}, {state:call(program, nil, "x")})
    assert.same({1, "y"}, {state:call(program, nil, "y")})
  end)

  it("calls a named function and copies data both ways", function()
    local state = isolate.new{}
    local program = load_into(state, "return {twice = function(t) t.list[1] = 9 return t, t end}")
    local given = {list = {1, 2}, name = "n"}
    local a, b = state:call(program, "twice", given)
    assert.equal(a, b)
    assert.same({list = {9, 2}, name = "n"}, a)
    assert.equal(1, given.list[1])
    assert.error_matches(function() state:call(program, "nope") end, "no function 'nope'")
  end)

  it("gives all values of a program that returns no function", function()
    assert.same({n = 2, nil, "why"}, table.pack(run "return nil, 'why'"))
    assert.same({n = 0}, table.pack(run ""))
  end)

  it("refuses what cannot cross, with its place", function()
    local state = isolate.new{}
    local program = load_into(state, "return function() return {a = {print}} end")
    assert.error_matches(function() state:call(program, nil) end, "a function .*value%.a%[1%]")
  end)

  it("gives syntax errors with their line", function()
    local state = isolate.new{}
    local program, err = state:load("local x = 1\nx = = 2", "@bad.lua")
    assert.is_nil(program)
    assert.equal("syntax", err.code)
    assert.matches("bad.lua:2:", err.message)
    -- a source cannot close the function around it
    assert.is_nil((state:load("end, function() ", "@bad.lua")))
  end)

  it("names its files in errors", function()
    assert.matches("prog.lua:3: boom", tostring(fails "\n\nreturn function() error 'boom' end"))
  end)

  it("waits, spawns and selects by itself", function()
    assert.equal(6, run [[return function()
      local ch = iza.channel()
      iza.spawn(function() for i = 1, 3 do iza.sleep("1ms") ch:send(i) end ch:close() end)
      local sum = 0
      for v in ch:each() do sum = sum + v end
      local a, b = iza.all{function() iza.sleep(0.001) return sum end, function() return 0 end}
      return a + b
    end]])
  end)

  it("has json, time, url and template inside", function()
    local text, stamp, part, page = run [[return function()
      return iza.json.encode{1, iza.json.null}, iza.time.rfc3339(0), iza.url.encode "a b",
        require "iza.template".render("<i>{{ x }}</i>", {x = "<"})
    end]]
    assert.same({"[1,null]", "1970-01-01T00:00:00Z", "a%20b", "<i>&lt;</i>"},
      {text, stamp, part, page})
  end)
end)

describe("the limits of an isolate", function()
  local endless = {
    ["a loop"] = "while true do end",
    ["a loop under pcall"] = "while true do pcall(function() while true do end end) end",
    ["a loop in coroutines"] = [[local function f() while true do end end
      while true do pcall(coroutine.wrap(function() coroutine.wrap(f)() end)) end]],
    ["a resumed coroutine"] = [[while true do
      coroutine.resume(coroutine.create(function() while true do end end)) end]],
    ["a sort"] = "table.sort({3, 2, 1}, function() while true do end end)",
    ["a replacement"] = "('x'):gsub('x', function() while true do end end)",
    ["a <close>"] = [[local x <close> = setmetatable({}, {__close = function()
      while true do end end}) while true do end]],
    ["a pattern"] = [[while true do
      pcall(string.find, ('a'):rep(30), ('a?'):rep(30) .. ('a'):rep(30)) end]],
    ["table.move"] = [[table.move(setmetatable({}, {__index = function() return 1 end}), 1, 1 << 50,
      1, setmetatable({}, {__newindex = function() end}))]],
    ["table.insert"] = [[table.insert(setmetatable({}, {__len = function() return 1 << 50 end,
      __index = function() return 1 end, __newindex = function() end}), 1, 1)]],
    ["table.remove"] = [[table.remove(setmetatable({}, {__len = function() return 1 << 50 end,
      __index = function() return 1 end, __newindex = function() end}), 1)]],
    ["a metamethod"] = [[local t = setmetatable({}, {__index = function() while true do end end})
      return t.x]],
    ["tostring"] = "tostring(setmetatable({}, {__tostring = function() while true do end end}))",
    ["an iterator"] = "for _ in function() while true do end end do end",
    ["a message handler"] = "xpcall(error, function() while true do end end)",
  }
  for name, code in pairs(endless) do
    it("stop " .. name, function()
      local turns, stop = 0, false
      local neighbour = iza.spawn(function()
        while not stop do iza.sleep "1ms" turns = turns + 1 end
      end)
      local err = fails("return function() " .. code .. " end")
      stop = true
      neighbour:join()
      assert.matches("stopped: it used more CPU time", tostring(err))
      assert.is_true(turns > 0, "the neighbour never ran")
    end)
  end

  it("refuse a pattern that needs too many steps as an ordinary error", function()
    assert.matches("too many steps", run [[return function()
      local ok, err = pcall(string.find, ("a"):rep(30), ("a?"):rep(30) .. ("a"):rep(30))
      return err end]])
  end)

  local bombs = {
    ["a table"] = "local t = {} while true do t[#t + 1] = {} end",
    ["a string"] = "local s = 'x' while true do s = s .. s end",
    ["rep"] = "while true do local s = ('x'):rep(7 << 20) .. ('y'):rep(1 << 20) end",
    ["concat"] = [[local t = {} for i = 1, 1000 do t[i] = ('x'):rep(100000) end
      return table.concat(t)]],
    ["coroutines"] = "local t = {} while true do t[#t + 1] = coroutine.create(function() end) end",
    ["recursion"] = "local function f() local t = {1, 2, 3, 4} return f() or t end f()",
  }
  for name, code in pairs(bombs) do
    it("end a memory bomb of " .. name .. ", which cannot catch it", function()
      local err = fails("return function() pcall(function() " .. code ..
        " end) error('caught it') end", {cpu = "10s"})
      assert.matches("memory", tostring(err))
    end)
  end

  it("let <close> run, with waits, before the end", function()
    local noted
    local err = fails([[return function()
      local x <close> = setmetatable({}, {__close = function() iza.sleep("1ms") iza.note() end})
      while true do end end]], {bridge = function() noted = true end})
    assert.matches("stopped", tostring(err))
    assert.is_true(noted)
  end)
end)

describe("the sandbox", function()
  local function in_sandbox(expression)
    return run("return function() return " .. expression .. " end")
  end

  it("has no way out", function()
    for _, name in ipairs{"io", "debug", "package", "dofile", "loadfile"} do
      assert.matches("undefined name '" .. name .. "'", tostring(fails("return " .. name)))
    end
    for _, name in ipairs{"execute", "getenv", "remove", "exit", "tmpname", "rename"} do
      assert.equal("nil", in_sandbox("type(os." .. name .. ")"))
    end
    assert.equal("nil", in_sandbox "type(string.dump)")
    assert.is_nil((in_sandbox [[load("\27Lua", "x", "b")]]))
    assert.equal(false, in_sandbox [[getmetatable("")]])
  end)

  it("keeps libraries from being changed", function()
    for _, code in ipairs{"string.x = 1", "rawset(string, 'x', 1)", "rawset(_G, 'x', 1)", "x = 1",
        "setmetatable(string, {})", "iza.sleep = nil", "setmetatable({}, {__gc = print})"} do
      assert.is_false((in_sandbox("pcall(load([[" .. code .. "]]))")), code)
    end
  end)

  it("loads text in the environment of the run", function()
    assert.equal(3, in_sandbox "load('return 1 + 2')()")
    assert.matches("undefined name", select(2, in_sandbox "pcall(load 'return nothing')"))
    assert.equal(5, in_sandbox "load('return x', 'n', 't', {x = 5})()")
  end)

  it("matches patterns as Lua does", function()
    local cases = {
      {"hello world", "o w"}, {"hello", "l+"}, {"  trim  ", "^%s*(.-)%s*$"},
      {"key = value", "(%w+) = (%w+)"},
      {"THE (quick) fox", "%((%a+)%)"}, {"f(a(b)c)d", "%b()"}, {"THE quick", "%f[%l]%a+"},
      {"aXb", "[^%l]"}, {"a]b", "[]]"}, {"a-b", "[a%-]+"}, {"a-z", "[+--]"}, {"abcabc", "(abc)%1"},
      {"x", "()x()"}, {"", ""}, {"abc", "$"}, {"a$", "%$$"}, {"a.b", "%."},
      {"2024-01-02", "(%d+)-(%d+)-(%d+)"},
      {"aaa", "a-"}, {"aaab", "a-b"}, {"aaa", "a?a?a?a"}, {"\0a\0", "%z?a"}, {"é", "[\xc3-\xc4]"},
      {"abc", "[a-]"}, {"-", "[a-]"}, {"^a", "[%^a]+"}, {"a^", "[a^]+"},
    }
    local packed = {}
    for i, case in ipairs(cases) do
      packed[i] = ("{%q, %q}"):format(case[1], case[2])
    end
    local results = run("local cases = {" .. table.concat(packed, ",") .. [[}
      return function()
        local out = {}
        for i, c in ipairs(cases) do
          local all = {}
          for a, b in c[1]:gmatch(c[2]) do all[#all + 1] = tostring(a) .. "|" .. tostring(b) end
          out[i] = {table.concat({tostring(c[1]:find(c[2])), tostring(c[1]:match(c[2]))}, " "),
            table.concat({c[1]:gsub(c[2], "<%0>")}, " "), table.concat(all, ";")}
        end
        return out
      end]])
    for i, c in ipairs(cases) do
      local all = {}
      for a, b in c[1]:gmatch(c[2]) do all[#all + 1] = tostring(a) .. "|" .. tostring(b) end
      assert.same({table.concat({tostring(c[1]:find(c[2])), tostring(c[1]:match(c[2]))}, " "),
        table.concat({c[1]:gsub(c[2], "<%0>")}, " "), table.concat(all, ";")}, results[i], c[2])
    end
    for _, bad in ipairs{"[a", "%", "(a", "(a))", "%b", "%f", "%1", "[a%", "[]"} do
      local ours = tostring(fails(("return string.find('abc', %q)"):format(bad)))
      assert.matches("pattern", ours, bad)
    end
  end)

  it("sorts stably, and waits in the comparison", function()
    local list = run [[return function()
      local t = {}
      for i = 1, 500 do t[i] = {key = (i * 7919) % 10, i = i} end
      table.sort(t, function(a, b)
        if a.i % 100 == 0 then iza.sleep(0) end
        return a.key < b.key
      end)
      return t
    end]]
    for i = 2, #list do
      local a, b = list[i - 1], list[i]
      assert.is_true(a.key < b.key or a.key == b.key and a.i < b.i)
    end
  end)

  it("moves, inserts, removes and joins as Lua does", function()
    assert.same({"1,1,2,3", "2,3,3", "0,1,2,3", "1,3", "a-b", "nil"}, run [[return function()
      local t = {1, 2, 3}
      local a = table.concat(table.move({1, 2, 3}, 1, 3, 2), ",")
      local b = table.concat(table.move({1, 2, 3}, 2, 3, 1), ",")
      table.insert(t, 1, 0)
      local c = table.concat(t, ",")
      local u = {1, 2, 3}
      table.remove(u, 2)
      return {a, b, c, table.concat(u, ","), table.concat({"a", "b"}, "-"),
        tostring(table.remove({}))}
    end]])
  end)
end)

describe("the bridge", function()
  it("runs calls in the main state and copies what they return", function()
    local calls = {}
    local result = run("return function() return iza.some.thing(1, {x = 2}) end",
      {bridge = function(path, a, b)
        iza.sleep "1ms"
        calls[#calls + 1] = path
        return {a, b.x}
      end})
    assert.same({"some.thing"}, calls)
    assert.same({1, 2}, result)
  end)

  it("passes objects as handles", function()
    local object = setmetatable({x = 5}, {__index = {add = function(self, n)
      iza.sleep "1ms"
      return self.x + n
    end}})
    local seen
    local x, sum = run([[return function() local o = iza.object()
      iza.take(o)
      return o.x, o:add(10) end]], {bridge = function(path, o)
      if path == "take" then seen = o else return object end
    end})
    assert.same({5, 15}, {x, sum})
    assert.equal(object, seen)
  end)

  it("brings errors back as errors", function()
    assert.matches("no luck", run([[return function()
      local ok, err = pcall(function() return iza.x() end) return tostring(err) end]],
      {bridge = function() error "no luck" end}))
  end)

  it("cancels what was called when the caller is cancelled", function()
    local cancelled
    local bridge = function()
      local _ <close> = setmetatable({}, {__close = function() cancelled = true end})
      iza.sleep(100)
    end
    local t = iza.spawn(function() run("return function() iza.x() end", {bridge = bridge}) end)
    iza.sleep "5ms"
    t:cancel()
    pcall(t.join, t)
    assert.is_true(cancelled)
  end)
end)

describe("iza.isolate", function()
  it("allows nothing that is not listed", function()
    local iso = assert(iza.isolate{source = [[return function()
      return select(2, iza.http.get "http://example.com/"), select(2, iza.fs.read "/etc/passwd"),
        select(2, iza.exec{"id"}), select(2, iza.log.info "x") end]]})
    local http, fs, exec, log = iso:call()
    assert.equal("denied", http.code)
    assert.matches('"http:example.com"', http.message)
    assert.matches('"fs:read:/etc/"', fs.message)
    assert.matches('"exec:id"', exec.message)
    assert.matches('"iza:log"', log.message)
  end)

  it("keeps to the folders listed, whatever the path says", function()
    local set = require "iza.capability".set({"fs:read:data/", "http:*.example.com"}, "/srv")
    assert.is_true(set:allows("fs.read", "data/x"))
    assert.is_true(set:allows("fs.read", "/srv/data/a/../b"))
    for _, path in ipairs{"data/../secret", "/srv/database", "../srv/x", "/srv"} do
      assert.is_nil((set:allows("fs.read", path)), path)
    end
    assert.is_nil((set:allows("fs.write", "data/x", "y")))
    assert.is_true(set:allows("http.get", "https://api.example.com/x"))
    assert.is_nil((set:allows("http.get", "https://example.com.evil.test/")))
    assert.error_matches(function() require "iza.capability".set{"fs:everything"} end,
      "unknown capability")
  end)

  describe("with folders", function()
    local dir
    local function put(name, text) assert(iza.fs.write(dir .. "/" .. name, text)) end
    local function run_in(source, capabilities)
      return assert(iza.isolate{source = "return function(dir) " .. source .. " end", root = dir,
        capabilities = capabilities}):call(nil, dir)
    end
    before_each(function()
      dir = assert(iza.fs.tempdir())
      assert(iza.fs.mkdir(dir .. "/in"))
      assert(iza.fs.mkdir(dir .. "/out"))
      put("secret", "s")
      put("in/a", "a")
    end)
    after_each(function() iza.fs.remove(dir, {recursive = true}) end)

    it("takes relative paths from the root it was given", function()
      assert.equal("a", run_in("return (iza.fs.read 'in/a')", {"fs:read:in/"}))
    end)

    it("follows no link out of them", function()
      assert(os.execute("cd " .. dir .. "/in;ln -s ../secret l;ln -s .. up;ln -s ../new n"))
      for _, path in ipairs{"in/l", "in/up/secret"} do
        local code = run_in("return select(2, iza.fs.read '" .. path .. "').code", {"fs:read:in/"})
        assert.equal("denied", code, path)
      end
      for _, path in ipairs{"in/l", "in/up/x", "in/n"} do
        local code = run_in("return select(2, iza.fs.write('" .. path .. "', 'x')).code",
          {"fs:write:in/"})
        assert.equal("denied", code, path)
      end
      assert.equal("s", iza.fs.read(dir .. "/secret"))
      assert.is_nil((iza.fs.read(dir .. "/new")))
      assert.is_true(run_in("return (iza.fs.remove 'in/l')", {"fs:write:in/"})) -- the link itself
      assert.equal("s", iza.fs.read(dir .. "/secret"))
    end)

    it("moves nothing out of a folder it may only read", function()
      local move = "return select(2, iza.fs.rename('in/a', 'out/a')).code"
      assert.equal("denied", run_in(move, {"fs:read:in/", "fs:write:out/"}))
      assert.equal("a", iza.fs.read(dir .. "/in/a"))
    end)

    it("lets no other module open files past them", function()
      local read = "return select(2, iza.csv.open(dir .. '/secret')).code"
      assert.equal("denied", run_in(read, {"iza:csv"}))
      local write = "return select(2, iza.csv.writer(dir .. '/secret')).code"
      assert.equal("denied", run_in(write, {"iza:csv", "fs:read:" .. dir}))
      assert.equal("s", iza.fs.read(dir .. "/secret"))
    end)
  end)

  it("gives a program no environment, no folder", function()
    for _, option in ipairs{"env = {PATH = '/tmp'}", "cwd = '/'"} do
      local _, err = assert(iza.isolate{capabilities = {"exec:true"}, source = ([[return function()
        return iza.exec{"true", %s} end]]):format(option)}):call()
      assert.equal("denied", err.code, option)
    end
  end)

  it("reaches no more of an object than its own methods", function()
    local dir = assert(iza.fs.tempdir())
    local routes = {["GET /"] = function() return "x" end}
    local server = assert(iza.http.serve{port = 0, routes = routes})
    local iso = assert(iza.isolate{capabilities = {"http:127.0.0.1"}, source = [[
      return function(url, path)
        local r = assert(iza.http.stream(url))
        local tries = {
          function() return r.new(200, "", "x", nil, r._transfer, 1000):save(path) end,
          function() return r:new("", "x", "body"):save(path) end,
          function() return r.save({_transfer = r, body = "x"}, path) end,
          function() return (select(2, r:save(path))) end,
          function() return (select(2, iza.http.response.new(200, "", "x", "body"))) end,
        }
        local out = {transfer = r._transfer}
        for i, try in ipairs(tries) do out[i] = tostring(select(2, pcall(try))) end
        return out
      end]]})
    local said = iso:call(nil, server.url .. "/", dir .. "/f")
    server:stop()
    assert.is_nil(said.transfer)
    assert.equal(5, #said)
    for i, text in ipairs(said) do
      assert.truthy(text:find "nil value" or text:find "colon" or text:find "isolate", i .. text)
    end
    assert.is_nil((iza.fs.stat(dir .. "/f")))
    iza.fs.remove(dir, {recursive = true})
  end)

  it("lets requests out to the hosts listed, and no further", function()
    local server = assert(iza.http.serve{port = 0, routes = {
      ["GET /x"] = function() return {json = {n = 7}} end,
      ["GET /away"] = function()
        return {status = 302, headers = {Location = "http://localhost:1/"}, text = ""}
      end,
    }})
    local iso = assert(iza.isolate{capabilities = {"http:127.0.0.1"}, source = [[return function(
      url)
      local res = assert(iza.http.get(url .. "/x"))
      local _, away = iza.http.get(url .. "/away")
      local _, option = iza.http.get(url .. "/x", {insecure = true})
      local parts = {{name = "f", file = "/etc/passwd"}}
      local _, file = iza.http.post(url .. "/x", {multipart = parts})
      return res.status, res:json().n, tostring(away), option.code, file.code
    end]]})
    local status, n, away, option, file = iso:call(nil, server.url)
    server:stop()
    assert.same({200, 7, "denied", "denied"}, {status, n, option, file})
    assert.matches("lacks the capability \"http:localhost\"", away)
  end)

  it("ends a call whose time is up, also when it computes", function()
    for name, body in pairs{
      sleep = "iza.sleep(100)", loop = "while true do end",
      pcall = "while true do pcall(function() while true do end end) end",
      wait = "while true do pcall(iza.sleep, 1) end",
      pattern = [[while true do
        pcall(string.find, ('a'):rep(30), ('a?'):rep(30) .. ('a'):rep(30)) end]],
    } do
      local iso = assert(iza.isolate{source = "return function() " .. body .. " end",
        limits = {time = "10ms", cpu = "20s"}})
      local used = os.clock()
      assert.error_matches(function() iso:call() end, "longer than the 0.01s")
      assert.is_true(os.clock() - used < 5, name) -- a quarter of the budget
    end
  end)
end)

describe("the C functions of an isolate", function()
  -- How long each can keep the loop. What is new here must be put into one of the lists.
  local bounds = {
    -- a fixed time, or that of the code they call, which the guard sees
    constant = [[assert collectgarbage coroutine.close coroutine.create coroutine.isyieldable
      coroutine.resume coroutine.running coroutine.status coroutine.wrap coroutine.yield error
      getmetatable iza.json.array iza.json.is_array iza.json.lines math.abs math.acos math.asin
      math.atan math.atan2 math.ceil math.cos math.cosh math.deg math.exp math.floor math.fmod
      math.frexp math.ldexp math.log math.log10 math.modf math.pow math.rad math.random
      math.randomseed math.sin math.sinh math.sqrt math.tan math.tanh math.tointeger math.type
      math.ult ipairs next os.clock os.date os.difftime os.time pairs pcall rawequal rawget rawlen
      rawset require setmetatable tostring type xpcall string.len]],
    -- one pass over arguments that the memory limit bounds
    linear = [[math.max math.min print select string.byte string.char string.format string.lower
      string.pack string.packsize string.reverse string.sub string.unpack string.upper table.pack
      table.unpack tonumber utf8.char utf8.codepoint utf8.codes utf8.len utf8.offset]],
    -- refuse to do more than takes some 10 ms
    size = "load string.rep",
    -- count their steps, and give up
    steps = "string.find string.match string.gmatch",
    -- yield in the middle
    preempted = [[iza.json.decode iza.json.encode string.gsub table.concat table.insert table.move
      table.remove table.sort]],
  }

  it("are all listed with their bound", function()
    local base = {}
    for name, f in pairs(_G) do
      if type(f) == "function" then base[#base + 1] = name end
    end
    local iso = assert(iza.isolate{source = [[return function(base)
      local found = {}
      local function note(name, f) if type(f) == "function" then found[name] = true end end
      for _, name in ipairs(base) do
        note(name, select(2, pcall(function() return _ENV[name] end)))
      end
      for _, lib in ipairs{"string", "table", "math", "utf8", "os", "coroutine"} do
        for name, f in pairs(_ENV[lib]) do note(lib .. "." .. name, f) end
      end
      for name, f in pairs(iza.json) do note("iza.json." .. name, f) end
      return found
    end]]})
    local listed = {}
    for _, names in pairs(bounds) do
      for name in names:gmatch "%S+" do
        assert.is_nil(listed[name], name)
        listed[name] = true
      end
    end
    assert.same(listed, iso:call(nil, base))
  end)

  it("refuse what would take too long", function()
    assert.matches("at most", run [[return function()
      return select(2, load(('x=1 '):rep(1 << 17))) end]])
    assert.matches("too large", fails "return function() return ('x'):rep(17 << 20) end".message)
    assert.matches("1,000,000 values", fails([[return function()
      local t = {} for i = 1, 130000 do t[i] = {} end return t end]], {memory = "64MB"}).message)
  end)

  it("let others run in the middle of long ones", function()
    for name, code in pairs{
      decode = "local s = '[' .. ('[1,{}],'):rep(300000) .. '1]' go() return #iza.json.decode(s)",
      encode = [[local t = {} for i = 1, 300000 do t[i] = {a = i} end go()
        return #iza.json.encode(t, {sort = true})]],
      concat = [[local t = {} for i = 1, 2000000 do t[i] = 'a' end go()
        return #table.concat(t, ',')]],
    } do
      local steps, counting = 0, false
      local neighbour = iza.spawn(function()
        while true do
          iza.sleep(0)
          if counting then steps = steps + 1 end
        end
      end)
      run("return function() local go = iza.go " .. code .. " end", {memory = "256MB", cpu = "5s",
        bridge = function() counting = true end})
      neighbour:cancel()
      assert.is_true(steps > 3, name .. ": " .. steps)
    end
  end)
end)

describe("objects a call leaves open", function()
  -- What iza.probe.open makes notes in `log` how it was closed.
  local log
  local function open(name)
    return setmetatable({name = name, each = function()
      local n = 0
      return function() n = n + 1 return n < 3 and n or nil end
    end}, {__close = function(_, err)
      iza.sleep "1ms"
      log[#log + 1] = name .. (err and " dropped" or " closed")
    end})
  end

  local function probe(source, options)
    log = {}
    rawset(iza, "probe", {open = open})
    options = options or {}
    options.source, options.capabilities = source, {"iza:probe"}
    return assert(iza.isolate(options))
  end

  local function settle()
    for _ = 1, 100 do
      if #log > 0 then break end
      iza.sleep "1ms"
    end
    iza.sleep "5ms" -- and whatever more there would be
  end

  after_each(function() rawset(iza, "probe", nil) end)

  it("are closed with it, latest first", function()
    local iso = probe [[return function()
      local a, b = iza.probe.open "a", iza.spawn(function() return iza.probe.open "b" end):join()
      return a.name, b.name
    end]]
    assert.same({"a", "b"}, {iso:call()})
    settle()
    assert.same({"b closed", "a closed"}, log)
  end)

  it("are dropped when it fails or is cancelled", function()
    local iso = probe [[return function(wait)
      local a = iza.probe.open "a"
      if wait then iza.sleep(100) end
      error(a.name)
    end]]
    assert.is_false((pcall(iso.call, iso, nil, false)))
    settle()
    assert.same({"a dropped"}, log)
    log = {}
    local t = iza.spawn(iso.call, iso, nil, true)
    iza.sleep "5ms"
    t:cancel()
    pcall(t.join, t)
    settle()
    assert.same({"a dropped"}, log)
  end)

  it("stay open when they are its results or its arguments", function()
    local iso = probe "return function(given) return iza.probe.open 'a', given.name end"
    local a, name = iso:call(nil, open "given")
    assert.same({"a", "given"}, {a.name, name})
    iza.sleep "10ms"
    assert.same({}, log)
  end)

  it("are closed earlier by <close>, once, and told of the error", function()
    local iso = probe [[return function()
      do local a <close> = iza.probe.open "a" end
      pcall(function() local b <close> = iza.probe.open "b" error "no" end)
      local s = 0
      for n in iza.probe.open("c"):each() do s = s + n end
      return s
    end]]
    assert.equal(3, iso:call())
    settle()
    assert.same({"a closed", "b dropped"}, {log[1], log[2]})
  end)
end)

describe("a state of its own", function()
  it("is what each call gets with a memory limit, and it ends with the call", function()
    local iso = assert(iza.isolate{limits = {memory = "3MB"}, source = [[return function(size)
      local kept = ("x"):rep(size)
      iza.sleep "10ms"
      return #kept
    end]]})
    local size = 1200000 -- rep needs it twice; a second call would not fit into the same state
    local sizes = {iza.all{function() return iso:call(nil, size) end,
      function() return iso:call(nil, size) end}}
    assert.same({size, size}, sizes)
    iza.sleep "1ms"
    assert.same({memory = 0, running = 0}, iso:stats())
    assert.error_matches(function() iso:call(nil, 5 << 20) end, "memory")
    assert.equal(10, iso:call(nil, 10))
    iso:close()
    assert.error_matches(function() iso:call(nil, 1) end, "closed")
  end)

  it("never ran code before", function()
    -- the string metatable's index is one table a state: an address tells states apart
    local source = "return function() return tostring(string):match('0x%x+') end"
    local shared = assert(iza.isolate{source = source})
    assert.equal(shared:call(), shared:call())
    local strange = assert(iza.isolate{source = source, untrusted = true})
    local seen = {}
    local calls = {}
    for i = 1, 8 do calls[i] = function() return strange:call() end end
    for _, address in ipairs{iza.all(calls)} do
      assert.is_nil(seen[address])
      seen[address] = true
    end
  end)
end)

describe("iza.code", function()
  local code = require "iza.code"

  it("finds constant requires and nothing else", function()
    assert.same({"x.y", "z", "w"}, code.requires [==[
      local a = require "x.y" -- require "no"
      local s = "require 'no'" .. 'require "no"' --[[ require "no" ]]
      local b, c = require('z'), require ( "w" )
      local d = [[ require "no" ]]
      required "no"]==])
    assert.same({"d", "e", "f", "g", "h"}, code.requires [==[
      local a = require [[d]] local b = require[=[e]=]
      local ok, c = pcall(require, "f")
      local d = require --[[ x ]] ( -- y
        "g") local r = require local e = pcall(require , 'h') return require]==])
  end)

  it("hashes a file with the modules it may require", function()
    local dir = os.tmpname()
    os.remove(dir)
    assert(os.execute("mkdir -p " .. dir))
    local function put(name, text)
      local f <close> = assert(io.open(dir .. "/" .. name, "w"))
      f:write(text)
    end
    put("main.lua", 'local a = require "part" return a')
    put("part.lua", "return 1")
    local one = assert(code.snapshot(dir .. "/main.lua"))
    assert.equal("return 1", one.modules.part[1])
    assert.equal(one.hash, code.snapshot(dir .. "/main.lua").hash)
    put("part.lua", "return 2")
    assert.not_equal(one.hash, code.snapshot(dir .. "/main.lua").hash)
    local iso = assert(iza.isolate{file = dir .. "/main.lua"})
    assert.equal(2, iso:call())
    os.execute("rm -r " .. dir)
    assert.equal("not_found", select(2, code.snapshot(dir .. "/main.lua")).code)
  end)
end)
