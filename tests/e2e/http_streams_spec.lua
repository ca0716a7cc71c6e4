-- Streams without an end, beside everybody else: clients that leave, read fast, or ask by HEAD.
local served = require "tests.e2e.http_process"
local curl = served.curl

local script = [[
local piece = ("x"):rep(1000)
local s = assert(iza.http.serve{routes = {
  ["GET /"] = function() return "hello" end,
  ["GET /sse"] = function() return {sse = function(e) while e:send("tick") do end end} end,
  ["GET /stream"] = function()
    return {stream = function(w) while w:write(piece) do end end}
  end,
  ["GET /deaf"] = function() return {stream = function(w) while true do w:write(piece) end end} end,
  ["GET /nursed"] = function()
    return {stream = function(w)
      iza.scope(function(scope) scope:spawn(function() while w:write(piece) do end end) end)
    end}
  end,
}})
local stats
stats = assert(iza.http.serve{routes = {["GET /"] = function() return {json = s:stats()} end}})
print(s.port, stats.port)
io.stdout:flush()
]]

local endless = {"/sse", "/stream", "/deaf", "/nursed"}

local function answers(port, when)
  local text, status = curl(port, "/")
  assert.same({"hello", 0}, {text, status}, when)
end

describe("an endless stream", function()
  it("ends when its client leaves, and the server serves on", function()
    served.with(script, {}, function(port, stats_port)
      for _, path in ipairs(endless) do
        local r = assert(iza.exec{"sh", "-c", "curl -s -m 5 http://127.0.0.1:$0$1 | head -c 100000",
          port, path})
        assert.equal(100000, #r.stdout, path)
        answers(port, "after " .. path)
        assert.equal(0, served.stats(stats_port).active, path)
      end
    end)
  end)

  it("is not begun for HEAD: the connection goes on to its next request", function()
    served.with(script, {}, function(port)
      for _, path in ipairs(endless) do
        local text = served.raw(port, "HEAD " .. path .. " HTTP/1.1\r\nHost: localhost\r\n\r\n" ..
          "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 1)
        local head, rest = text:match("^(HTTP/1.1 200 OK\r\n.-\r\n\r\n)(.*)$")
        assert.truthy(head, path .. ": " .. text)
        assert.truthy(head:find("Transfer-Encoding: chunked", 1, true), path)
        assert.truthy(rest:find("^HTTP/1.1 200 OK\r\n.*\r\n\r\nhello$"), path .. ": " .. rest)
      end
    end)
  end)

  it("leaves others their turn, however fast its client reads", function()
    served.with(script, {}, function(port)
      for _, path in ipairs(endless) do
        local fast <close> = assert(iza.exec{"curl", "-sN", "http://127.0.0.1:" .. port .. path,
          stream = true, stdout = "null"})
        for _ = 1, 5 do answers(port, "beside " .. path) end
        fast:kill("SIGKILL")
      end
    end)
  end)
end)
