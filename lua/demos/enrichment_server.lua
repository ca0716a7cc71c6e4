--- A stand-in for an enrichment service, to try qualify_leads against without one.
---
---     iza lua/demos/enrichment_server.lua --port 8090
---     curl -H 'Idempotency-Key: k1' 'http://127.0.0.1:8090/enrich?domain=acme.example'
---
--- What it knows about a company is made up from the domain's hash, the same each time. It also
--- fails as such services do, by rule: of all domains 1 in 25 is unknown (404); the first question
--- about 1 in 40 is answered with 500, about 1 in 60 late; and every 300th request is one too many:
--- 429, and whoever asks before Retry-After is over gets it again. GET /stats counts all of it.
local args = require "iza.args"
local crypto = require "iza.crypto"

local LIMITED = 1 -- seconds that a client is told to wait

local cli = args.new {
  name = "iza lua/demos/enrichment_server.lua",
  about = "A made-up enrichment service on loopback. Its first line says where it listens.",
  {"--port P", type = "integer", default = 8090, min = 0, max = 65535, help = "0: any free one"},
  {"--faults", default = true, help = "fail now and then"},
  {"--slow D", type = "duration", default = 3, help = "how late a late answer is, in seconds"},
}
local opts = cli:parse_or_exit(arg)

local stats = {requests = 0, found = 0, unknown = 0, limited = 0, early = 0, broken = 0, slow = 0,
  keys = {}}
local limited_until = 0

-- ---- companies ----

local industries = {"software", "finance", "healthcare", "logistics", "retail", "education",
  "manufacturing", "hospitality"}
local countries = {"DE", "FR", "GB", "US", "NL", "ES", "PL", "BR"}
local technologies = {"crm", "webshop", "postgresql", "kubernetes", "spreadsheets", "erp"}
local sizes = {{4, "under 1M"}, {20, "1M to 5M"}, {80, "5M to 20M"}, {300, "20M to 100M"},
  {1200, "100M to 500M"}}

-- Numbers that belong to a domain: draw(n) gives the next one from 0 to n - 1.
local function dice(domain)
  local hash, at = crypto.hash("sha256", domain, "raw"), 1
  return function(n)
    local value = string.unpack(">I4", hash, at)
    at = at + 4
    return value % n
  end
end

local function company(domain, draw)
  local size = sizes[draw(#sizes) + 1]
  local tech = iza.json.array {technologies[draw(3) + 1]}
  if draw(2) == 1 then tech[2] = technologies[draw(3) + 4] end
  return {
    domain = domain, industry = industries[draw(#industries) + 1],
    employees = size[1] + draw(size[1]), revenue = size[2],
    country = countries[draw(#countries) + 1], tech = tech,
  }
end

-- ---- answers ----

local function problem(status, message, headers)
  return {status = status, headers = headers, json = {error = message}}
end

-- 429 when this request is one too many, or comes before the time of the last such one is over.
local function limit()
  local left = limited_until - iza.now()
  if left > 0 then
    stats.early = stats.early + 1
  elseif stats.requests % 300 == 0 then
    limited_until, left = iza.now() + LIMITED, LIMITED
  else
    return nil
  end
  stats.limited = stats.limited + 1
  return problem(429, "too many requests", {["Retry-After"] = tostring(math.ceil(left))})
end

-- The first question about some domains does not go well.
local function first_time(draw)
  if draw(40) == 0 then
    stats.broken = stats.broken + 1
    return problem(500, "try again")
  end
  if draw(60) == 0 then
    stats.slow = stats.slow + 1
    iza.sleep(opts.slow)
  end
end

local function enrich(req)
  local domain, key = req.query.domain, req.headers["Idempotency-Key"]
  if not domain or domain == "" then return problem(400, "the parameter domain is missing") end
  if not key then return problem(400, "the header Idempotency-Key is missing") end
  stats.requests = stats.requests + 1
  stats.keys[key] = (stats.keys[key] or 0) + 1
  local first, draw = stats.keys[key] == 1, dice(domain)
  local unknown = draw(25) == 0
  local failure = opts.faults and (limit() or first and first_time(draw))
  if failure then return failure end
  if unknown then
    stats.unknown = stats.unknown + 1
    return problem(404, "no such company")
  end
  stats.found = stats.found + 1
  return {json = company(domain, dice(domain .. "/company"))}
end

local server, err = iza.http.serve {port = opts.port, routes = {
  ["GET /enrich"] = enrich,
  ["GET /stats"] = function() return {json = stats} end,
}}
if not server then
  io.stderr:write("enrichment server: ", tostring(err), "\n")
  os.exit(1, true)
end
print("enrichment server on " .. server.url .. "/enrich")
io.stdout:flush()
