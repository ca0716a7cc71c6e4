-- The main job on its sample data, against the demo's service in a process of its own.
local IZA = os.getenv "IZA" or "./iza"
local RULES = "lua/workflows/customer_flows/qualify_leads/rules.lua"

describe("the sample", function()
  -- The demo's service in a process of its own; returns its address and a way to its counters.
  local function demo(...)
    local p = assert(iza.exec {IZA, "lua/demos/enrichment_server.lua", stream = true, "--port",
      "0", ...})
    local url = p:read "l":match "http%S+"
    return p, url, function() return iza.http.get((url:gsub("enrich$", "stats"))):json() end
  end

  local function qualify(url, ...)
    local out = os.tmpname()
    local result = assert(iza.exec {IZA, "run", "qualify_leads",
      "data/samples/client_acquisition.csv", "--enrich", url, "--out", out, "--json", ...})
    assert.equal(0, result.status, result.stderr)
    local f <close> = assert(io.open(out, "rb"))
    os.remove(out)
    return f:read "a", iza.json.decode(result.stdout)
  end

  it("gives the same result when the service fails now and then as when it does not", function()
    local calm <close>, url, stats = demo "--no-faults"
    local text, summary = qualify(url)
    assert.same({read = 500, used = 478, left_out = 22}, summary.rows)
    assert.equal(RULES, summary.rules.file:sub(-#RULES))
    local keys = 0
    for _, n in pairs(stats().keys) do
      keys = keys + 1
      assert.equal(1, n)
    end
    assert.equal(summary.enrichment.requests, keys)
    calm:close()

    local rough <close>, url2, stats2 = demo("--slow", "20")
    local text2, summary2 = qualify(url2, "--timeout", "1s")
    assert.equal(text, text2)
    local s, counted = stats2(), summary2.enrichment
    assert.is_true(s.broken > 0 and s.slow > 0 and s.limited > 0)
    assert.same({s.requests, s.limited}, {counted.requests, counted.limited})
    rough:close()
  end)

  it("is missed in words when the first run stands in another folder", function()
    local program = iza.exec {"readlink", "-f", IZA}.stdout:gsub("\n", "")
    local script = iza.exec {"readlink", "-f", "lua/demos/first_run.lua"}.stdout:gsub("\n", "")
    local result = iza.exec {program, script, cwd = "/tmp"}
    assert.equal(1, result.status)
    assert.matches("^first_run: the enrichment server did not start: [^\n]*"
      .. "lua/demos/enrichment_server.lua", result.stderr)
    assert.is_nil(result.stderr:find("stack", 1, true))
  end)

  it("is what the first run shows", function()
    local result = assert(iza.exec {IZA, "lua/demos/first_run.lua"})
    assert.equal(0, result.status, result.stderr)
    assert.matches("acquisition.csv: 500 rows, 478 used, 22 left out", result.stdout, 1, true)
    assert.matches("What to try next\n.*a project of your own\n$", result.stdout)
    assert.matches("client_acquisition.csv:60: left out: domain is empty", result.stderr, 1, true)
    local f <close> = assert(io.open "build/qualified_leads.csv")
    assert.matches("^company,domain,", f:read "l")
  end)
end)
