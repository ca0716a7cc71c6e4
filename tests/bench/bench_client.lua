--- 1,000 concurrent GETs of a server that answers after 50 ms, three rounds: iza.http against a
--- plain C program (libcurl on libevent) and Node's fetch. Each is a process of its own, in turns.
--- With the arguments "fan URL N" this script is our side.
local compare = require "tests.bench.compare"

local COUNT, ROUNDS = 1000, 5

local function peak_mb()
  for line in io.lines("/proc/self/status") do
    local kb = line:match("^VmHWM:%s+(%d+)")
    if kb then return tonumber(kb) / 1024 end
  end
end

local function round_of(url, n)
  local start = iza.now()
  iza.scope(function(scope)
    for _ = 1, n do
      scope:spawn(function()
        local res = assert(iza.http.get(url))
        assert(res.ok and #res.body == 13)
      end)
    end
  end)
  return (iza.now() - start) * 1000
end

if arg[1] == "fan" then
  local url, n = arg[2], tonumber(arg[3])
  local cold = round_of(url, n)
  local warm = round_of(url, n) + round_of(url, n)
  print(("%.1f %.1f %.1f %.1f"):format(cold, warm, os.clock() * 1000, peak_mb()))
  return
end

local bin = os.getenv "BENCH_BIN" or "build/release/tests/bench"
local node = os.getenv "NODE"
if not (node and io.open(node)) then node = "node" end

local function run(command)
  local pipe = assert(io.popen(command))
  local cold, warm, cpu, rss = pipe:read("a"):match "(%S+) (%S+) (%S+) (%S+)"
  assert(pipe:close() and rss, command .. " failed")
  return {cold = tonumber(cold), warm = tonumber(warm), cpu = tonumber(cpu), rss = tonumber(rss)}
end

-- The server ends when its standard input does.
local note = os.tmpname()
local server = assert(io.popen(bin .. "/peer_delay > " .. note, "w"))
local port
repeat
  iza.sleep(0.02)
  port = io.lines(note)()
until port
os.remove(note)
local url = ("http://127.0.0.1:%s/ %d"):format(port, COUNT)

local contestants = {
  {"iza", "./iza tests/bench/bench_client.lua fan " .. url},
  {"c", bin .. "/peer_client " .. url},
  {"node", node .. " tests/bench/peers/fetch.mjs " .. url},
}
local got = {}
for round = 1, ROUNDS do
  for turn = 1, #contestants do
    local i = (round + turn) % #contestants + 1
    got[i] = got[i] or {}
    got[i][round] = run(contestants[i][2])
  end
end
server:close()

local function report(name, unit, peer, value)
  local ours, theirs, ratios = {}, {}, {}
  for round = 1, ROUNDS do
    ours[round], theirs[round] = value(got[1][round]), value(got[peer][round])
    ratios[round] = ours[round] / theirs[round]
  end
  compare.line("client." .. name, unit, compare.median(ours), contestants[peer][1],
    compare.median(theirs), compare.median(ratios))
end

for _, peer in ipairs {2, 3} do
  report("wall_cold", "ms", peer, function(x) return x.cold end)
  report("wall_warm", "ms", peer, function(x) return x.warm / 2 end)
  report("cpu", "ms", peer, function(x) return x.cpu end)
  report("rss", "MB", peer, function(x) return x.rss end)
end
