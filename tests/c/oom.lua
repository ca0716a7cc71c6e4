--- The script of test_oom.c: one pass over every primitive, `iza` fully loaded before the first
--- allocation fails. Returns a function that runs all parts, each protected, and returns a list of
--- "part: error". A part checks what it gets back: wrong data is a failure whatever the memory.
---
--- From C: oom.send(port, bytes) -> fd; oom.recv(fd) -> text, nil at the end, false when nothing
--- came yet; oom.close(fd); oom.dir, a folder of its own.
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
end

function parts.library()
  same("example.com", need(iza.url.parse("http://example.com:80/a?b=c")).host)
  same("a=1+2", iza.url.build_query{a = "1 2"})
  same("2024-01-01T00:00:00Z", iza.time.rfc3339(need(iza.time.parse("2024-01-01T00:00:00Z"))))
  need(iza.time.date(1704067200, "Europe/Berlin"))
  same("<b>&lt;3</b>", need(iza.template.render("<b>{{ x }}</b>", {x = "<3"})))
  local spec = iza.args.new{name = "t", about = "t", {"file", help = "f"},
    {"-n, --limit N", type = "integer", default = 8, help = "n"}}
  same(3, need(spec:parse{"a", "-n", "3"}).limit)
  same(64, #need(iza.crypto.hash("sha256", "x")))
  need(iza.crypto.hmac("sha256", "k", "x"))
  need(iza.crypto.random(8))
  need(iza.crypto.base64("abc"))
  iza.log.info("said", {n = 1, t = {1, 2}})
  need(iza.term.table({{a = 1, b = "x"}, {a = 22, b = "日本"}}))
  need(iza.term.sparkline{1, 2, 3})
end

function parts.files()
  local path = dir .. "/note.txt"
  need(iza.fs.write(path, "hello\nworld\n"))
  same("hello\nworld\n", need(iza.fs.read(path)))
  same("file", need(iza.fs.stat(path)).type)
  same(true, #need(iza.fs.list(dir)) >= 1)
  do
    local f <close> = need(iza.fs.open(path))
    same("hello", need(f:read "l"))
  end
  local missing, err = iza.fs.read(dir .. "/missing")
  same(nil, missing)
  need(err.code)
end

function parts.watch()
  local watch <close> = need(iza.fs.watch(dir .. "/watched", {quiet = 0.001}))
  local file = dir .. "/watched/w.txt"
  need(iza.fs.write(file, "x"))
  local event, err = iza.timeout(5, function() return watch:next() end)
  need(event, err)
end

function parts.exec()
  same(true, need(iza.exec{"/bin/true"}).ok)
  local p <close> = need(iza.exec{"/bin/cat", stdin = true, stream = true})
  need(p:write "ping\n")
  same("ping", need(p:read "l"))
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

local function expect(status, answer, err)
  if not answer then error(err, 0) end
  local got = answer:match "^HTTP/1.1 (%d+)"
  if got ~= status then error("answer: " .. (got or "the connection was closed"), 0) end
end

function parts.server()
  local s = need(iza.http.serve{host = "127.0.0.1", port = 0, routes = {
    ["GET /hello/:name"] = function(req) return {json = {hello = req.params.name}} end,
    ["POST /echo"] = function(req) return 200, {text = need(req:text())} end,
    ["GET /slow"] = function() return {stream = function(w) w:write "a" w:write "b" end} end,
    ["GET /events"] = function() return {sse = function(e) e:send{data = "x"} end} end,
    ["GET /file"] = function() return {file = dir .. "/page.html"} end,
    ["GET /fail"] = function() error "boom" end,
  }})
  local _ <close> = setmetatable({}, {__close = function() s:stop{drain = 0} end})
  local tail = " HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
  expect("200", ask(s.port, "GET /hello/ada" .. tail .. "\r\n"))
  expect("200", ask(s.port, "POST /echo" .. tail .. "Content-Length: 3\r\n\r\nabc"))
  expect("200", ask(s.port, "GET /slow" .. tail .. "\r\n"))
  expect("200", ask(s.port, "GET /events" .. tail .. "\r\n"))
  expect("200", ask(s.port, "GET /file" .. tail .. "\r\n"))
  expect("500", ask(s.port, "GET /fail" .. tail .. "\r\n"))
  expect("400", ask(s.port, "nonsense\r\n\r\n"))
end

function parts.client()
  local s = need(iza.http.serve{host = "127.0.0.1", port = 0, routes = {
    ["GET /json"] = function() return {json = {n = 7}} end,
    ["POST /echo"] = function(req) return {text = need(req:text())} end,
  }})
  local _ <close> = setmetatable({}, {__close = function() s:stop{drain = 0} end})
  local r = need(iza.http.get(s.url .. "/json", {timeout = 5, retry = 0}))
  if r.status == 200 then same(7, need(r:json()).n) end -- the server may be the one without memory
  r = need(iza.http.post(s.url .. "/echo", {body = "abc", timeout = 5, retry = 0}))
  if r.status == 200 then same("abc", r.body) end
end

function parts.isolate()
  local box <close> = need(iza.isolate{source = [[
    local M = {}
    function M.twice(t) iza.sleep(0) return {n = t.n * 2, list = t.list} end
    function M.hash(x) return iza.crypto.hash("sha256", x) end
    return M]], capabilities = {"iza:crypto"}})
  same(42, box:call("twice", {n = 21, list = {1, {2}}}).n)
  same(64, #need(box:call("hash", "x")))
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
end

function parts.inspect() need(iza.inspect{a = {1, {b = 2}}, s = "x"}) end

function parts.errors()
  local t = iza.spawn(function() iza.spawn(function() error "deep" end):join() end)
  local ok, err = pcall(t.join, t)
  same(false, ok)
  need(iza.report(err))
end

local names = {}
for name in pairs(parts) do
  -- Only what this program has; test_oom.c counts the parts.
  local needs = ({files = "iza.fs", watch = "iza.fs", inspect = "iza.inspect"})[name]
  if not needs or pcall(require, needs) then names[#names + 1] = name end
end
table.sort(names)

return function()
  for _, name in ipairs(names) do
    local ok, err = pcall(parts[name])
    if not ok then oom.failed(name, tostring(err)) end
  end
end
