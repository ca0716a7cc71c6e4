--- The server against Node's http and nginx with LuaJIT: a 13-byte text, JSON built per request, a
--- POST of 1 KB echoed; 1, 16 and 64 connections by wrk, one process each, in alternated rounds.
--- With the arguments "serve PORT [CERT KEY AUTHORITIES]" this script is our side.
local compare = require "tests.bench.compare"

if arg[1] == "serve" then
  assert(iza.http.serve{port = tonumber(arg[2]), tls = arg[3] and {cert = arg[3], key = arg[4]},
    routes = {
      ["GET /hello"] = function() return "Hello, World!" end,
      ["GET /json"] = function()
        return {json = {message = "Hello, World!", id = 42, items = {1, 2, 3}}}
      end,
      ["POST /echo"] = function(req) return {body = req:text()} end,
      ["GET /fetched"] = function() -- the same process as a client over TLS, verifying
        local url = "https://localhost:" .. arg[2] .. "/hello"
        return assert(iza.http.get(url, {ca = arg[5]})):text()
      end,
    }})
  return
end

local ROUNDS, SECONDS = 5, os.getenv "WRK_SECONDS" or "1"
local node = os.getenv "NODE"
if not (node and io.open(node)) then node = "node" end

local dir = os.tmpname()
os.remove(dir)
assert(iza.exec{"mkdir", dir, check = true})

local function write(name, text)
  local path = dir .. "/" .. name
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  return path
end

local function nginx_conf(port)
  return ([[
load_module /usr/lib/nginx/modules/ndk_http_module.so;
load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;
daemon off; master_process off; pid DIR/nginx.pid; error_log DIR/error.log crit;
events { worker_connections 1024; }
http {
  access_log off; keepalive_requests 100000000; client_body_temp_path DIR/body;
  proxy_temp_path DIR/p; fastcgi_temp_path DIR/f; uwsgi_temp_path DIR/u; scgi_temp_path DIR/s;
  client_body_buffer_size 16k;
  init_by_lua_block { cjson = require "cjson" }
  server {
    listen 127.0.0.1:PORT;
    location = /hello { content_by_lua_block {
      ngx.header.content_type = "text/plain; charset=utf-8"
      ngx.header.content_length = 13
      ngx.print("Hello, World!")
    } }
    location = /json { content_by_lua_block {
      local body = cjson.encode{message = "Hello, World!", id = 42, items = {1, 2, 3}}
      ngx.header.content_type = "application/json"
      ngx.header.content_length = #body
      ngx.print(body)
    } }
    location = /echo { content_by_lua_block {
      ngx.req.read_body()
      local body = ngx.req.get_body_data()
      ngx.header.content_length = #body
      ngx.print(body)
    } }
  }
}]]):gsub("DIR", dir):gsub("PORT", port)
end

local function free_port()
  local probe = assert(iza.http.serve{})
  local port = probe.port
  probe:stop()
  return tostring(port)
end

local function started(contestant)
  local p = assert(iza.exec(contestant.command))
  contestant.process = p
  for _ = 1, 200 do
    local r = iza.exec{"curl", "-ks", "-m", "1", contestant.url .. "/hello"}
    if r and r.stdout == "Hello, World!" then return contestant end
    iza.sleep(0.02)
  end
  error(contestant.name .. " did not start")
end

local function command(...)
  local list = {...}
  list.stream, list.stdout, list.stderr = true, "null", "inherit"
  return list
end

local function contestant(name, make, scheme)
  local port = free_port()
  return started{name = name, url = (scheme or "http") .. "://127.0.0.1:" .. port,
    command = make(port)}
end

local self = "tests/bench/bench_http.lua"
local iza_program = os.getenv "IZA" or "./iza"
assert(iza.exec{"sh", "-c", [[cd $0 && openssl req -x509 -newkey rsa:2048 -nodes -keyout k.pem \
  -out c.pem -days 2 -subj /CN=localhost 2>/dev/null
  cat /etc/ssl/certs/ca-certificates.crt c.pem >all.pem]], dir, check = true})

local ours = contestant("iza", function(port) return command(iza_program, self, "serve", port) end)
local nodejs = contestant("node", function(port)
  return command(node, "tests/bench/peers/http_server.mjs", port)
end)
local nginx = contestant("nginx", function(port)
  return command("nginx", "-c", write("nginx.conf", nginx_conf(port)))
end)
local tls = contestant("tls", function(port)
  return command(iza_program, self, "serve", port, dir .. "/c.pem", dir .. "/k.pem",
    dir .. "/all.pem")
end, "https")

local echo = write("echo.lua", [[
wrk.method, wrk.path, wrk.body = "POST", "/echo", ("x"):rep(1024)
]])

-- Nanoseconds of CPU of all threads.
local function cpu(c)
  local r = assert(iza.exec{"sh", "-c", "cat /proc/$0/task/*/schedstat", c.process:pid()})
  local sum = 0
  for ns in r.stdout:gmatch("(%d+) %d+ %d+\n") do sum = sum + tonumber(ns) end
  return sum
end

local units = {us = 1e-3, ms = 1, s = 1000}

-- requests a second, CPU microseconds a request, p99 in ms
local function load_with(c, workload, connections)
  local before = cpu(c)
  local args = {"wrk", "-t1", "-c" .. connections, "-d" .. SECONDS .. "s", "--latency",
    c.url .. "/" .. workload, check = true}
  if workload == "echo" then table.move({"-s", echo}, 1, 2, #args + 1, args) end
  local out = assert(iza.exec(args)).stdout
  local total = tonumber(out:match("(%d+) requests in"))
  local rate = tonumber(out:match("Requests/sec:%s+(%S+)"))
  local p99, unit = out:match("99%%%s+([%d.]+)(%a+)")
  if out:find("Non-2xx", 1, true) or out:find("Socket errors", 1, true) then error(out) end
  return {rate = rate, cpu = (cpu(c) - before) / 1000 / total, p99 = tonumber(p99) * units[unit]}
end

local function column(rows, key)
  local list = {}
  for i, row in ipairs(rows) do list[i] = row[key] end
  return list
end

local function report(name, key, unit, mine, peer, theirs)
  local ratios = {}
  for i in ipairs(mine) do ratios[i] = mine[i][key] / theirs[i][key] end
  compare.line(name, unit, compare.median(column(mine, key)), peer,
    compare.median(column(theirs, key)), compare.median(ratios))
end

local contestants = {ours, nodejs, nginx}
local function measure(workload, connections)
  local got = {{}, {}, {}}
  for round = 1, ROUNDS do
    for turn = 1, #contestants do
      local i = (round + turn) % #contestants + 1
      got[i][round] = load_with(contestants[i], workload, connections)
    end
  end
  local name = ("http.%s.c%d"):format(workload, connections)
  for i = 2, 3 do
    local peer = contestants[i].name
    report(name .. ".rate", "rate", "req/s", got[1], peer, got[i])
    report(name .. ".cpu", "cpu", "us/req", got[1], peer, got[i])
    report(name .. ".p99", "p99", "ms", got[1], peer, got[i])
  end
end

for _, workload in ipairs{"hello", "json", "echo"} do
  for _, connections in ipairs{1, 16, 64} do measure(workload, connections) end
end

local plain, secure = {}, {}
for round = 1, ROUNDS do
  plain[round] = load_with(ours, "hello", 16)
  secure[round] = load_with(tls, "hello", 16)
end
report("http.tls.c16.rate", "rate", "req/s", secure, "plain", plain)

local function peak_mb(c)
  for line in io.lines("/proc/" .. c.process:pid() .. "/status") do
    local kb = line:match("^VmHWM:%s+(%d+)")
    if kb then return tonumber(kb) / 1024 end
  end
end
compare.line("http.rss", "MB", peak_mb(ours), "node", peak_mb(nodejs))
compare.line("http.rss", "MB", peak_mb(ours), "nginx", peak_mb(nginx))
local fetched = assert(iza.exec{"curl", "-ks", tls.url .. "/fetched"}).stdout
assert(fetched == "Hello, World!", fetched)
compare.line("http.tls_and_client.rss", "MB", peak_mb(tls), "plain", peak_mb(ours))

for _, c in ipairs{ours, nodejs, nginx, tls} do c.process:close() end
iza.exec{"rm", "-rf", dir}
