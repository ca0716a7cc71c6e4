--- The main job on sample data: starts a made-up enrichment service as a process of its own, runs
--- qualify_leads against it, and says what to try next. `make run` runs this.
local IZA = "/proc/self/exe" -- this very program
local SAMPLE = "data/samples/client_acquisition.csv"
local OUT = "build/qualified_leads.csv"
local SERVER = "lua/demos/enrichment_server.lua"
local RULES = "lua/workflows/customer_flows/qualify_leads/rules.lua"

local function stop(text, ...)
  io.stderr:write("first_run: ", text:format(...), "\n")
  os.exit(1, true)
end

-- The address is in the server's first line.
local function address_of(server)
  local line = server:read "l"
  local address = line and line:match "(http://%S+)"
  if address then return address end
  server:kill()
  local result = server:wait()
  stop("the enrichment server did not start: %s", result and result.stderr or line)
end

local function show(...)
  print(...)
  io.stdout:flush()
end

local server <close>, err = iza.exec {IZA, SERVER, "--port", "0", stream = true}
if not server then stop("cannot start the enrichment server: %s", err) end
local address = address_of(server)
show("$ iza " .. SERVER .. " --port 0 &")
show(address .. " answers; now and then it is slow or fails, as such services do")

local command = {"run", "qualify_leads", SAMPLE, "--enrich", address, "--out", OUT,
  "--timeout", "1s"}
show("\n$ iza " .. table.concat(command, " "))
local job <close> = assert(iza.exec {IZA, stdout = "inherit", stderr = "inherit", stream = true,
  table.unpack(command)})
local result = job:wait()
server:close()
if not result.ok then os.exit(result.status or 1, true) end

show((([[

What to try next
  less OUT
      the leads, best first, with the reasons of each score
  $EDITOR RULES
      change points or tiers and `make run` again; an edit during a run counts from there on
  ./iza run qualify_leads --help
      a file and a service of your own
  ./iza
      the REPL: for row in iza.csv.rows "OUT" do print(row.score, row.company) end
  ./iza new DIR
      a project of your own]]):gsub("%u%u%u+", {OUT = OUT, RULES = RULES})))
