--- The script of test_oom.c: one pass over every primitive, `iza` fully loaded before the first
--- allocation fails. Returns a function that runs all parts, each protected, and returns a list of
--- "part: error". A part checks what it gets back: wrong data is a failure whatever the memory.
---
--- From C: oom.send(port, bytes) -> fd; oom.recv(fd) -> text, nil at the end, false when nothing
--- came yet; oom.close(fd); oom.failed(part, why); oom.is_enough(): the allocation has failed and
--- the parts behind it need not run; oom.dir, a folder of its own.
local oom = ...
local iza, dir = iza, oom.dir

local parts = {}

-- An operation that must work but for memory.
local function need(value, err)
  if value == nil then error(err or "nothing came back", 0) end
  return value
end

local function same(want, got)
  if want ~= got then error(("WRONG: expected %s, got %s"):format(want, got), 0) end
end

function parts.tasks()
  local t = iza.spawn(function(a) iza.sleep(0) return a + 1 end, 1)
  same(2, t:join())
  local gen = coroutine.wrap(function() for i = 1, 3 do iza.sleep(0) coroutine.yield(i) end end)
  same(1, gen())
  same(2, gen())
  local closed = false
  local slow = iza.spawn(function()
    local _ <close> = setmetatable({}, {__close = function() iza.sleep(0) closed = true end})
    iza.sleep(100)
  end)
  iza.sleep(0)
  slow:cancel()
  local ok = pcall(slow.join, slow)
  same(false, ok)
  if slow.status == "cancelled" then same(true, closed or slow.status == "cancelled") end
  local parked = iza.spawn(function() return iza.park(5) end)
  iza.sleep(0)
  iza.unpark(parked)
  same(true, parked:join())
  local late = iza.spawn(function() iza.park() end)
  local none, err = late:join(0.001)
  same(nil, none)
  need(err.code)
  late:cancel()
  need(#iza.list() > 0 or nil)
  iza.daemon(function() iza.sleep(0) end)
end

function parts.scope()
  local sum = 0
  iza.scope(function(s) for i = 1, 3 do s:spawn(function() iza.sleep(0) sum = sum + i end) end end)
  same(6, sum)
  local a, b = iza.all{function() return 1 end, function() iza.sleep(0) return 2 end}
  same(3, a + b)
  same("fast", iza.race{function() return "fast" end, function() iza.sleep(50) end})
  local ok, err = iza.timeout(0.001, function() iza.sleep(50) end)
  same(nil, ok)
  need(err.code)
  ok = pcall(iza.scope, function(s)
    s:spawn(function() error "one fails" end)
    s:spawn(function() iza.sleep(50) end)
    iza.sleep(50)
  end)
  same(false, ok)
end

function parts.channel()
  local c, d = iza.channel(1), iza.channel()
  iza.scope(function(s)
    s:spawn(function() for i = 1, 3 do need(c:send(i)) end c:close() end)
    local sum = 0
    for v in c:each() do sum = sum + v end
    same(6, sum)
    s:spawn(function() need(d:send("x")) end)
    same("x", need(iza.select{{d, function(v) return v end}, {c}, timeout = 1}))
    s:spawn(function() same("y", need(d:recv())) end)
    need(iza.select{{d, send = "y"}, {c}, timeout = 1})
    local none, err = d:recv(0.001)
    same(nil, none)
    need(err.code)
  end)
end

function parts.json()
  local text = need(iza.json.encode{a = {1, 2.5, "x\u{e9}\n"}, b = iza.json.array{}, c = true})
  local value = need(iza.json.decode(text))
  same(2.5, value.a[2])
  same(true, value.c)
  local bad, err = iza.json.decode('{"a":[1,')
  same(nil, bad)
  need(err.code)
  local deep = {}
  for i = 1, 20 do deep = {[("k"):rep(i)] = {i, "v", deep}} end
  same(20, need(iza.json.decode(need(iza.json.encode(deep))))[("k"):rep(20)][1])
  local n = 0
  for _, v, why in iza.json.lines '{"n":1}\n[2]\n{' do
    if v then n = n + 1 else need(why) end
  end
  same(2, n)
end

function parts.csv()
  local text = iza.csv.encode({{a = 1, b = "x,y"}, {a = 2, b = 'q"'}}, {columns = {"a", "b"}})
  if type(text) ~= "string" then error("no text", 0) end
  local rows = 0
  for row in need(iza.csv.parse(text, {types = {a = "integer"}})):rows() do
    rows = rows + 1
    same(rows, row.a)
  end
  same(2, rows)
  local path = dir .. "/out.csv"
  do
    local w <close> = need(iza.csv.writer(path, {columns = {"n"}}))
    for i = 1, 3 do need(w:write{n = i}) end
    need(w:close())
  end
  local sum = 0
  for row in iza.csv.rows(path, {types = {n = "integer"}}) do sum = sum + row.n end
  same(6, sum)
  for _, n in iza.csv.columns(path, {"n", "n"}, {types = {n = "integer"}}) do sum = sum - n end
  same(0, sum)
  local bad <close> = need(iza.csv.open(dir .. "/bad.csv", {types = {n = "integer"}}))
  local row, err = bad:read()
  same(nil, row)
  need(err).code = nil
end

function parts.url()
  local url = iza.url
  same("example.com", need(url.parse("http://example.com:80/a?b=c")).host)
  same("a=1+2", url.build_query{a = "1 2"})
  same("x y", need(url.parse_query "a=1&b=x+y").b)
  same("http://a/b/g", need(url.join("http://a/b/c/d;p?q", "../g")))
  same("http://a.example/x", need(url.normalise "HTTP://A.Example:80/%7euser/../x"))
  same("https://a.example/x?q=a+b",
    need(url.build{scheme = "https", host = "a.example", path = "/x", query = {q = "a b"}}))
  same("a b", need(url.decode(url.encode "a b")))
end

function parts.time()
  local time = iza.time
  same("2024-01-01T00:00:00Z", time.rfc3339(need(time.parse("2024-01-01T00:00:00Z"))))
  need(time.date(1704067200, "Europe/Berlin"))
  same(1711879200, need(time.of({year = 2024, month = 3, day = 31, hour = 12}, "Europe/Paris")))
  need(time.add(0, {months = 1}, "Europe/Paris"))
  need(time.format(0, "%a %d %b %H:%M", "Europe/Paris"))
  same(784111777, need(time.parse_http(time.http(784111777))))
  same("1h30m", time.format_duration(need(time.duration "1h30m")))
  need(time.ago(time.now() - 180))
end

function parts.template()
  same("<b>&lt;3</b>", need(iza.template.render("<b>{{ x }}</b>", {x = "<3"})))
  local pages = iza.template.set(function(name)
    return ({page = "{% layout 'base' %}{% block body %}{% for _, i in ipairs(list) %}" ..
      "<a href=\"/{{ i }}\">{{ i }}</a>{% end %}{% end %}",
      base = "<p>{% block body %}{% end %}</p>"})[name]
  end)
  local text, err = pages:render("page", {list = {1, 2}})
  if not text then error(err, 0) end
end

function parts.args()
  local spec = iza.args.new{name = "t", about = "t", {"file", help = "f"},
    {"-n, --limit N", type = "integer", default = 8, help = "n"}}
  same(3, need(spec:parse{"a", "-n", "3"}).limit)
  local none, err = spec:parse{"a", "--limt", "3"}
  same(nil, none)
  need(err)
  need(spec:help())
  need(spec:complete{"--lim"})
end

function parts.crypto()
  local crypto = iza.crypto
  same(64, #need(crypto.hash("sha256", "x")))
  need(crypto.hmac("sha256", "k", "x"))
  need(crypto.uuid(7))
  same(true, crypto.equal("a", "a"))
  same("\1\255", need(crypto.from_hex(crypto.hex "\1\255")))
  same("abc", need(crypto.from_base64(crypto.base64 "abc")))
  same("abc", need(crypto.from_base64url(crypto.base64url "abc")))
  same(8, #need(crypto.random(8)))
end

function parts.log()
  iza.log.info("said", {n = 1, t = {1, 2}, password = "hidden"})
  iza.log.with{order = 7}:warn("said", {err = iza.error("code", "message")})
end

function parts.term()
  local term = iza.term
  need(term.table({{a = 1, b = "x"}, {a = 22, b = "日本"}}, {columns = {"a", "b"}}))
  need(term.sparkline{1, 2, 3})
  need(term.bars{{"web", 12}, {"mail", 7}})
  need(term.style("failed", "bold red"))
  same("ab…", term.truncate("abcdef", 3))
  local p <close> = term.progress{label = "rows", total = 5}
  p:add(1)
end

function parts.files()
  local fs, path = iza.fs, dir .. "/note.txt"
  need(fs.write(path, "hello\nworld\n"))
  need(fs.write(path, "more\n", {append = true}))
  same("hello\nworld\nmore\n", need(fs.read(path)))
  same("file", need(fs.stat(path)).type)
  same(true, #need(fs.list(dir)) >= 1)
  do
    local f <close> = need(fs.open(path))
    same("hello", need(f:read "l"))
    same("wor", need(f:read(3)))
  end
  do
    local f <close> = need(fs.open(dir .. "/piece.txt", "w"))
    need(f:write "abc")
    need(f:close())
  end
  local missing, err = fs.read(dir .. "/missing")
  same(nil, missing)
  need(err.code)
end

function parts.folders()
  local fs = iza.fs
  local top = need(fs.tempdir())
  local _ <close> = setmetatable({}, {__close = function() fs.remove(top, {recursive = true}) end})
  need(fs.mkdir(top .. "/a/b"))
  need(fs.write(top .. "/a/b/one.txt", "1"))
  need(fs.copy(top .. "/a/b/one.txt", top .. "/a/two.txt"))
  need(fs.rename(top .. "/a/two.txt", top .. "/a/three.txt"))
  same(2, #need(fs.list(top, {glob = "**/*.txt"})))
  need(fs.remove(top, {recursive = true}))
  same(nil, (fs.stat(top)))
end

function parts.watch()
  local watch <close> = need(iza.fs.watch(dir .. "/watched", {quiet = 0.001, recursive = true}))
  local file = dir .. "/watched/w.txt"
  need(iza.fs.write(file, "x"))
  local event, err = iza.timeout(5, function() return watch:next() end)
  need(event, err)
end

function parts.exec()
  same(true, need(iza.exec{"/bin/true"}).ok)
  local p <close> = need(iza.exec{"/bin/cat", stdin = true, stream = true, env = {A = "1"}})
  need(p:write "ping\n")
  same("ping", need(p:read "l"))
  p:close_stdin()
  same(true, need(p:wait()).ok)
  same("in", need(iza.exec{"/bin/cat", stdin = "in"}).stdout)
  local slow, err = iza.exec{"/bin/sleep", "50", timeout = 0.001}
  same(nil, slow)
  need(err.code)
  local none, why = iza.exec{dir .. "/no-such-program"}
  same(nil, none)
  need(why.code)
end

-- What a server on this loop answers to bytes from a plain socket.
local function ask(port, bytes)
  local fd = oom.send(port, bytes)
  local _ <close> = setmetatable({}, {__close = function() oom.close(fd) end})
  return iza.timeout(5, function()
    local all = {}
    while true do
      local piece = oom.recv(fd)
      if piece == nil then return table.concat(all) end
      if piece then all[#all + 1] = piece else iza.sleep(0) end
    end
  end)
end

-- The answer's status is as wanted, or says that it failed.
local function expect(status, answer, err)
  if not answer then error(err, 0) end
  local got = answer:match "^HTTP/1.1 (%d+)"
  if got ~= status then error("answer: " .. (got or "the connection was closed"), 0) end
  return answer
end

-- Runs use(server), then stops the server; the part's scope ends it when even that fails.
local at_once = {drain = 0}
local function with_server(options, use)
  options.host, options.port = "127.0.0.1", 0
  local s = need(iza.http.serve(options))
  local _ <close> = setmetatable({}, {__close = function() s:stop(at_once) end})
  use(s)
end

local tail = " HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"

function parts.server()
  with_server({routes = {
    ["GET /hello/:name"] = function(req) return {json = {hello = req.params.name}} end,
    ["POST /echo"] = function(req) return 200, {text = need(req:text())} end,
    ["GET /slow"] = function() return {stream = function(w) w:write "a" w:write "b" end} end,
    ["GET /events"] = function() return {sse = function(e) e:send{data = "x"} end} end,
    ["GET /file"] = function() return {file = dir .. "/page.html"} end,
    ["GET /fail"] = function() error "boom" end,
  }}, function(s)
    expect("200", ask(s.port, "GET /hello/ada" .. tail .. "\r\n"))
    expect("200", ask(s.port, "POST /echo" .. tail .. "Content-Length: 3\r\n\r\nabc"))
    expect("200", ask(s.port, "GET /slow" .. tail .. "\r\n"))
    expect("200", ask(s.port, "GET /events" .. tail .. "\r\n"))
    expect("200", ask(s.port, "GET /file" .. tail .. "\r\n"))
    expect("500", ask(s.port, "GET /fail" .. tail .. "\r\n"))
    expect("400", ask(s.port, "nonsense\r\n\r\n"))
    expect("404", ask(s.port, "GET /none" .. tail .. "\r\n"))
    expect("405", ask(s.port, "GET /echo" .. tail .. "\r\n"))
    -- several at once on one connection
    expect("200", ask(s.port, "GET /hello/a HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" ..
      "GET /hello/b HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET /hello/c" .. tail .. "\r\n"))
  end)
end

local form = table.concat({"--edge", 'Content-Disposition: form-data; name="a"', "", "1", "--edge",
  'Content-Disposition: form-data; name="f"; filename="x.txt"', "Content-Type: text/plain", "",
  "bytes", "--edge--", ""}, "\r\n")

-- All a request can be asked, and what stands around handlers.
function parts.requests()
  with_server({
    middleware = {function(req, next) req.seen = true return next(req) end},
    limits = {rate = 1000, time = 5, body = "1MB"},
    access_log = dir .. "/access.log", static = {["/files"] = dir},
    routes = {
      ["POST /json"] = function(req)
        local value, err = req:json()
        if not value then return nil, err end
        return {json = {value.n, req.query.q, req.headers["x-a"], req.remote, req.id}}
      end,
      ["POST /form"] = function(req) return {text = need(req:form()).a} end,
      ["POST /parts"] = function(req)
        local n = 0
        for part, err in req:multipart() do
          if not part then return nil, err end
          if part.filename then n = n + need(part:save(dir .. "/upload")) else need(part:text()) end
        end
        return {text = tostring(n)}
      end,
      ["POST /pieces"] = function(req)
        local n = 0
        for piece, err in req:body() do
          if not piece then return nil, err end
          n = n + #piece
        end
        return {text = tostring(n), headers = {["X-List"] = {"a", "b"}}}
      end,
    }}, function(s)
    local function post(path, type, body)
      return ask(s.port, ("POST %s%sContent-Type: %s\r\nContent-Length: %d\r\nX-A: b\r\n\r\n%s")
        :format(path, tail, type, #body, body))
    end
    expect("200", post("/json?q=1", "application/json", '{"n":7}'))
    expect("400", post("/json", "application/json", '{"n":'))
    expect("200", post("/form", "application/x-www-form-urlencoded", "a=1&b=2"))
    expect("200", post("/parts", "multipart/form-data; boundary=edge", form))
    expect("200", ask(s.port, "POST /pieces" .. tail ..
      "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"))
    expect("200", ask(s.port, "GET /files/page.html" .. tail .. "\r\n"))
    expect("206", ask(s.port, "GET /files/page.html" .. tail .. "Range: bytes=1-2\r\n\r\n"))
    expect("301", ask(s.port, "GET /files/folder" .. tail .. "\r\n"))
    expect("404", ask(s.port, "GET /files/.hidden" .. tail .. "\r\n"))
    need(s:stats().requests)
  end)
end

-- A client that leaves, with its handler waiting.
function parts.leaving()
  local began, left = false, false
  with_server({routes = {["GET /wait"] = function()
    local _ <close> = setmetatable({}, {__close = function() left = true end})
    began = true
    iza.sleep(50)
  end}}, function(s)
    oom.close(oom.send(s.port, "GET /wait" .. tail .. "\r\n"))
    for _ = 1, 20 do iza.sleep(0) end
  end)
  same(began, left)
end

local function client_routes()
  return {
    ["GET /json"] = function() return {json = {n = 7}} end,
    ["POST /echo"] = function(req) return {text = need(req:text())} end,
    ["GET /to"] = function() return {status = 302, headers = {Location = "/json"}} end,
    ["GET /busy"] = function() return 503, "busy" end,
    ["GET /lines"] = function() return {stream = function(w) w:write "one\ntwo\n" end} end,
    ["GET /events"] = function()
      return {sse = function(e) e:send{data = {n = 1}, event = "e", id = "1"} e:send "two" end}
    end,
    ["POST /parts"] = function(req)
      local n = 0
      for part, err in req:multipart() do
        if not part then return nil, err end
        n = n + #need(part:text())
      end
      return {text = tostring(n)}
    end,
  }
end

local limits = {timeout = 5, retry = false}
local function with(more) for k, v in pairs(limits) do more[k] = v end return more end

function parts.client()
  with_server({routes = client_routes()}, function(s)
    local http, base = iza.http, s.url
    local r = need(http.get(base .. "/json", limits))
    if r.status == 200 then same(7, need(r:json()).n) end -- the server may be without memory
    r = need(http.post(base .. "/echo", with{body = "abc"}))
    if r.status == 200 then same("abc", r.body) end
    need(http.post(base .. "/echo", with{form = {a = "1 2"}, query = {q = "x"},
      headers = {["X-List"] = {"a", "b"}}, auth = {user = "u", password = "p"}}))
    r = need(http.get(base .. "/to", limits))
    same(true, r.status == 200 or r.status >= 500)
    if r.status == 200 then same(base .. "/json", r.url) end
    need(http.get(base .. "/busy", {timeout = 5, retry = {max = 1, backoff = 0.001}}))
    local pieces, at = {"a", "b", "c"}, 0
    r = need(http.put(base .. "/none", with{body = function() at = at + 1 return pieces[at] end}))
    same(true, r.status >= 400)
    need(http.get(base .. "/json", with{aws = {access_key = "k", secret_key = "s",
      region = "r", service = "execute-api"}}))
    local none, err = http.get("http://127.0.0.1:1/", limits)
    same(nil, none)
    need(err.code)
  end)
end

function parts.streams()
  with_server({routes = client_routes()}, function(s)
    local http, base = iza.http, s.url
    local text = {}
    do
      local r <close> = need(http.stream(base .. "/lines", limits))
      for line in r:lines() do text[#text + 1] = line end
      if r.status == 200 then same("one", text[1]) end
    end
    do
      local r <close> = need(http.stream(base .. "/events", limits))
      for event in r:sse() do need(event.data) end
    end
    do
      local r <close> = need(http.stream(base .. "/lines", limits))
      need(r:save(dir .. "/saved"))
    end
    local r = need(http.post(base .. "/parts", with{multipart = {{name = "a", body = "12"},
      {name = "f", file = dir .. "/page.html"}}}))
    if r.status == 200 then same(tostring(2 + #"<p>page</p>"), r.body) end
    http.stream(base .. "/lines", limits) -- left to be closed with the state
  end)
end

function parts.tls()
  local pem = {cert = dir .. "/cert.pem", key = dir .. "/key.pem"}
  with_server({tls = pem, routes = client_routes()}, function(s)
    for _ = 1, 2 do
      local r = need(iza.http.get(s.url .. "/json", with{ca = pem.cert}))
      if r.status == 200 then same(7, need(r:json()).n) end
    end
  end)
end

function parts.isolate()
  local box <close> = need(iza.isolate{source = [[
    local M = {}
    function M.twice(t) iza.sleep(0) return {n = t.n * 2, list = t.list} end
    function M.hash(x) return iza.crypto.hash("sha256", x) end
    function M.text(path)
      return (assert(iza.fs.read(path)))
    end
    function M.row(text) return (assert(iza.csv.parse(text)):read()) end
    function M.fail() error "inside" end
    return M]], capabilities = {"iza:crypto", "iza:csv", "fs:read:" .. dir .. "/"}})
  same(42, box:call("twice", {n = 21, list = {1, {2}}}).n)
  same(64, #need(box:call("hash", "x")))
  same("<p>page</p>", need(box:call("text", dir .. "/page.html")))
  same("1", need(box:call("row", "a\n1\n")).a)
  same(false, (pcall(box.call, box, "fail")))
  need(box:stats().memory)
end

-- A state of its own, which meets its limits.
function parts.stranger()
  local box <close> = need(iza.isolate{untrusted = true, limits = {memory = "2MB"}, source = [[
    local M = {}
    function M.text(s) return s:rep(3):gsub("a", "b"), s:find "c", table.concat({s, s}, ",") end
    function M.bomb() local t = {} for i = 1, 1e9 do t[i] = ("x"):rep(1e5) .. i end end
    return M]]})
  need(box:call("text", "abc"))
  same(false, (pcall(box.call, box, "bomb")))
end

function parts.code()
  local snapshot = need(require "iza.code".snapshot(dir .. "/main.lua", {dir}))
  same(64, #snapshot.hash)
  need(snapshot.modules.part)
end

function parts.hot()
  local rules <close> = need(iza.hot.file(dir .. "/rules.lua", {watch = false}))
  same(7, rules.value.minimum)
  need(rules:reload())
  same(2, rules.version)
  local followed <close> = need(iza.hot.file(dir .. "/rules.lua"))
  same(7, followed.value.minimum)
end

function parts.inspect() need(iza.inspect{a = {1, {b = 2}}, s = "x"}) end

function parts.errors()
  local t = iza.spawn(function() iza.spawn(function() error "deep" end):join() end)
  local ok, err = pcall(t.join, t)
  same(false, ok)
  need(iza.report(err))
end

local names = {}
for name in pairs(parts) do names[#names + 1] = name end
table.sort(names)

return function()
  for _, name in ipairs(names) do
    local ok, err = pcall(iza.scope, parts[name]) -- which ends what a failed part left running
    if not ok then oom.failed(name, tostring(err)) end
    if oom.is_enough() then return end
  end
end
