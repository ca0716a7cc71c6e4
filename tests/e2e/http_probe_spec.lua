-- A server in a process of its own, probed with raw sockets: what must be accepted, what refused,
-- and what it does about clients that are slow, many, or gone.

local script = [[
local s = assert(iza.http.serve{limits = {header_time = arg[1]}, routes = {
  ["GET /"] = function() return "hello" end,
  ["ANY /echo"] = function(req) return {body = req:text(), headers = {["X-Admin"] =
    req.headers["x-admin"]}} end,
  ["GET /a"] = function() return "should not be reached by a%00b" end,
  ["GET /late"] = function() iza.sleep(0.2) return "late" end,
  ["GET /events"] = function() return {sse = function(e) e:send("first") iza.sleep(3600) end} end,
}})
local stats
stats = assert(iza.http.serve{routes = {["GET /"] = function() return {json = s:stats()} end}})
print(s.port, stats.port)
io.stdout:flush()
]]

local served = require "tests.e2e.http_process"
local raw, stats_of = served.raw, served.stats

local function with_server(header_time, f) return served.with(script, {header_time}, f) end

local GET = "GET / HTTP/1.1\r\nHost: localhost\r\n"
local POST = "POST /echo HTTP/1.1\r\nHost: localhost\r\n"
local CHUNKED = POST .. "Transfer-Encoding: chunked\r\n\r\n"
local OPEN, CLOSED = false, true

-- name, bytes, status of each answer in order, whether the connection is closed, text of the last
local probes = {
  {"plain", GET .. "\r\n", {200}, OPEN, "hello"},
  {"CL beside TE chunked", POST .. "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" ..
    "0\r\n\r\n" .. GET .. "\r\n", {400}, CLOSED},
  {"TE gzip, chunked beside CL", POST .. "Transfer-Encoding: gzip, chunked\r\n" ..
    "Content-Length: 5\r\n\r\nhello", {400}, CLOSED},
  {"two TE", POST .. "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    {400}, CLOSED},
  {"TE unknown", POST .. "Transfer-Encoding: gzip\r\n\r\n" .. GET .. "\r\n", {501}, CLOSED},
  {"trailers do not become headers", CHUNKED .. "2\r\nhi\r\n0\r\nX-Admin: yes\r\n\r\n", {200}, OPEN,
    "\r\n\r\nhi"},
  {"two Content-Length", POST .. "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", {400},
    CLOSED},
  {"Content-Length +5", POST .. "Content-Length: +5\r\n\r\nhello", {400}, CLOSED},
  {"space before colon", POST .. "Content-Length : 5\r\n\r\nhello", {400}, CLOSED},
  {"bare LF", "GET / HTTP/1.1\nHost: localhost\n\n", {400}, CLOSED},
  {"folded line", GET .. "A: b\r\n c\r\n\r\n", {400}, CLOSED},
  {"empty header name", GET .. ": b\r\n\r\n", {400}, CLOSED},
  {"NUL in a value", GET .. "A: b\0c\r\n\r\n", {400}, CLOSED},
  {"chunk 0x5", CHUNKED .. "0x5\r\nhello\r\n0\r\n\r\n", {400}, CLOSED},
  {"chunk +5", CHUNKED .. "+5\r\nhello\r\n0\r\n\r\n", {400}, CLOSED},
  {"bare LF in chunks", CHUNKED .. "5\nhello\n0\n\n", {400}, CLOSED},
  {"chunk extension", CHUNKED .. "5;a=b\r\nhello\r\n0\r\n\r\n", {200}, OPEN, "\r\n\r\nhello"},
  {"missing Host", "GET / HTTP/1.1\r\n\r\n", {400}, CLOSED},
  {"two Host", GET .. "Host: localhost\r\n\r\n", {400}, CLOSED},
  {"foreign Host", "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", {421}, OPEN},
  {"HEAD has no body", "HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n" .. GET .. "\r\n", {200, 200},
    OPEN, "hello"},
  {"PATCH", "PATCH /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi", {200}, OPEN,
    "hi"},
  {"OPTIONS", "OPTIONS / HTTP/1.1\r\nHost: localhost\r\n\r\n", {204}, OPEN,
    "Allow: GET, HEAD, OPTIONS"},
  {"OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", {204}, OPEN, "Allow: GET"},
  {"unknown method", "BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n", {501}, OPEN},
  {"%00", "GET /a%00b HTTP/1.1\r\nHost: localhost\r\n\r\n", {400}, CLOSED},
  {"//x/y is a path", "GET //x/y HTTP/1.1\r\nHost: localhost\r\n\r\n", {404}, OPEN},
  {"absolute form", "GET http://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n", {200}, OPEN,
    "hello"},
  {"absolute form wins over Host", "GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    {421}, OPEN},
  {"head of 20 KB", GET .. "A: " .. ("b"):rep(20000) .. "\r\n\r\n", {431}, CLOSED},
  {"101 headers", GET .. ("A: b\r\n"):rep(100) .. "\r\n", {431}, CLOSED},
  {"URL of 9 KB", "GET /" .. ("a"):rep(9000) .. " HTTP/1.1\r\n", {414}, CLOSED},
  {"body of 2 MB", POST .. "Content-Length: 2000000\r\n\r\n", {413}, CLOSED},
  {"Expect", POST .. "Expect: 100-continue\r\nContent-Length: 2\r\n\r\nhi", {200}, OPEN, "hi"},
  {"Expect, body too large", POST .. "Expect: 100-continue\r\nContent-Length: 2000000\r\n\r\n",
    {413}, CLOSED},
  {"Expect unknown", POST .. "Expect: magic\r\nContent-Length: 2\r\n\r\nhi", {417}, CLOSED},
  {"HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", {200}, CLOSED, "hello"},
  {"HTTP/2.0", "PRI * HTTP/2.0\r\n\r\n", {505}, CLOSED},
  {"close is honoured", GET .. "Connection: close\r\n\r\n" .. GET .. "\r\n", {200}, CLOSED,
    "hello"},
  {"pipelining in order", "GET /late HTTP/1.1\r\nHost: localhost\r\n\r\n" .. POST ..
    "Content-Length: 2\r\n\r\nhi" .. GET .. "\r\n", {200, 200, 200}, OPEN, "hello"},
  {"not HTTP", "\22\3\1\2\0", {400}, CLOSED},
}

local function check(port, probe)
  local name, bytes, statuses, want_closed, last = table.unpack(probe)
  local text, closed = raw(port, bytes)
  local seen = {}
  for status in text:gmatch("HTTP/1%.1 (%d%d%d) ") do
    if status ~= "100" then seen[#seen + 1] = tonumber(status) end
  end
  assert.same(statuses, seen, name .. ": " .. text)
  assert.equal(want_closed, closed, name)
  if last then assert.truthy(text:find(last, 1, true), name .. ": " .. text) end
  assert.falsy(text:find("X-Admin", 1, true), name)
end

describe("a served port", function()
  it("answers the probe table", function()
    with_server("10s", function(port)
      for from = 1, #probes, 8 do
        local group = {}
        for i = from, math.min(from + 7, #probes) do
          group[#group + 1] = function() check(port, probes[i]) end
        end
        iza.all(group)
      end
    end)
  end)

  it("cuts a head that comes by one byte a second", function()
    with_server("10s", function(port)
      local started = iza.now()
      assert(iza.exec{"bash", "-c", [[exec 3<>/dev/tcp/127.0.0.1/$0
        (for c in G E T ' ' / a b c d e f g h i j k l m n; do printf '%s' "$c"; sleep 1; done >&3) \
          2>/dev/null & cat <&3; kill $!]], port})
      local took = iza.now() - started
      assert.truthy(took > 9 and took < 11.5, "cut after " .. took .. " s")
    end)
  end)

  it("cuts a body that trickles, not one that is merely slow", function()
    with_server("10s", function(port)
      local function send(pieces, pause, piece)
        local r = assert(iza.exec{"bash", "-c", [[exec 3<>/dev/tcp/127.0.0.1/$0
          printf 'POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n' \
            $(($1 * $3)) >&3
          (for ((i = 0; i < $1; i++)); do printf "%$3s" >&3; sleep $2; done) 2>/dev/null &
          timeout 20 cat <&3; kill $!]], port, pieces, pause, piece})
        return r.stdout:match "^HTTP/1.1 (%d+)"
      end
      local trickle, slow
      iza.all{
        function() trickle = send(100, 0.5, 10) end,
        function() slow = send(7, 1, 1500) end,
      }
      assert.same({"408", "200"}, {trickle, slow})
    end)
  end)

  it("says 100 when the handler asks for the body, not before", function()
    served.with([[
      local gate
      local s = assert(iza.http.serve{routes = {
        ["POST /read"] = function(req)
          while not gate do iza.sleep "10ms" end
          return req:text()
        end,
        ["POST /refuse"] = function() return 403 end,
        ["GET /gate"] = function() gate = true return "open" end,
      }})
      print(s.port)
      io.stdout:flush()]], {}, function(port)
      local expect = "Host: localhost\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
      local text = raw(port, "POST /refuse HTTP/1.1\r\n" .. expect, 0.5)
      assert.truthy(text:find "^HTTP/1.1 403 ", text)
      local client <close> = assert(iza.exec{"bash", "-c", [[exec 3<>/dev/tcp/127.0.0.1/$0
        printf "$1" >&3; timeout 0.5 head -c 1 <&3; echo closed; read -r line <&3; echo "$line"
        read -r line <&3; printf hi >&3; timeout 1 cat <&3]], port,
        "POST /read HTTP/1.1\r\n" .. expect, stream = true})
      assert.equal("closed", client:read "l")
      assert.equal("open", (served.curl(port, "/gate")))
      assert.equal("HTTP/1.1 100 Continue\r", client:read "l")
      assert.truthy(client:read("a"):find "^HTTP/1.1 200 OK\r\n.*\r\n\r\nhi$")
    end)
  end)

  it("closes an idle connection, not one in use", function()
    served.with([[
      local s = assert(iza.http.serve{limits = {idle = "500ms"}, routes = {
        ["GET /"] = function() return "hello" end,
        ["GET /late"] = function() iza.sleep(1) return "late" end,
      }})
      print(s.port)
      io.stdout:flush()]], {}, function(port)
      local text, closed = raw(port, GET .. "\r\n", 10)
      assert.truthy(text:find "hello$")
      assert.is_true(closed)
      assert.truthy(raw(port, "GET /late HTTP/1.1\r\nHost: localhost\r\n\r\n", 2):find "late$")
      local r = assert(iza.exec{"bash", "-c", [[exec 3<>/dev/tcp/127.0.0.1/$0
        for i in {1..5}; do printf 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n' >&3; sleep 0.3; done
        timeout 10 cat <&3]], port})
      assert.same({5, 0}, {select(2, r.stdout:gsub("hello", "")), r.status})
    end)
  end)

  it("keeps 1,000 idle event streams in little memory, and sees at once that they leave", function()
    with_server("10s", function(port, stats_port, pid)
      local function resident()
        for line in io.lines("/proc/" .. pid .. "/status") do
          local kb = line:match("^VmRSS:%s+(%d+)")
          if kb then return tonumber(kb) end
        end
      end
      stats_of(stats_port)
      local before = resident()
      local crowd <close> = assert(iza.exec{"bash", "-c", [[ulimit -n 2000; for i in {1..1000}; do
        exec {fd}<>/dev/tcp/127.0.0.1/$0
        printf 'GET /events HTTP/1.1\r\nHost: localhost\r\nUser-Agent: crowd\r\n\r\n' >&$fd
        head -c 20 <&$fd >/dev/null; done; echo ready; sleep 60]], port, stream = true})
      assert.equal("ready", crowd:read("l"))
      assert.equal(1000, stats_of(stats_port).active)
      local each = (resident() - before) / 1000
      assert.truthy(each <= 12, ("%.1f KB a stream"):format(each))
      crowd:kill("SIGKILL")
      local active
      local deadline = iza.now() + 1
      repeat
        iza.sleep(0.05)
        active = stats_of(stats_port).active
      until active == 0 or iza.now() > deadline
      assert.equal(0, active)
    end)
  end)
end)
