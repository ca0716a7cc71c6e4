-- The main job against services in this process, where a test decides what they answer and when.
local IZA = os.getenv "IZA" or "./iza"

local dir, servers

local function path(name) return dir .. "/" .. name end

local function write(name, text)
  local f <close> = assert(io.open(path(name), "wb"))
  f:write(text)
  return path(name)
end

local function read(name)
  local f <close> = assert(io.open(path(name), "rb"))
  return f:read "a"
end

local function files()
  local names = {}
  for name in iza.exec {"ls", "-A", dir}.stdout:gmatch "[^\n]+" do names[#names + 1] = name end
  return names
end

-- A service: answer(domain, n) is asked for the n-th request.
local function serve(answer)
  local service = {requests = {}}
  local server = assert(iza.http.serve {routes = {["GET /enrich"] = function(req)
    local n = #service.requests + 1
    service.requests[n] = {domain = req.query.domain, key = req.headers["Idempotency-Key"],
      at = iza.now()}
    return answer(req.query.domain, n)
  end}})
  servers[#servers + 1] = server
  service.url = server.url .. "/enrich"
  return service
end

local function plain(domain) return {json = {industry = "software", employees = #domain}} end

local function command(...)
  return {IZA, "run", "qualify_leads", path "leads.csv", "--out", path "out.csv", ...}
end

local function run(...)
  local result = assert(iza.exec(command(...)))
  return result
end

-- The result by domain, and its domains in order.
local function rows()
  local by, order = {}, {}
  for row in iza.csv.rows(path "out.csv") do
    by[row.domain], order[#order + 1] = row, row.domain
  end
  return by, order
end

local function leads(n)
  local lines = {"company,domain,contact,email,source,spend,date\n"}
  for i = 1, n do lines[i + 1] = ("Firm %d,firm%d.example,,,,,\n"):format(i, i) end
  return table.concat(lines)
end

-- Rules by which each lead gets `points`.
local function rules(points)
  return ([[return {
    rules = {{name = "all", points = %d, when = function() return true end}},
    tiers = {{name = "hot", at_least = 50}, {name = "cold", at_least = 0}},
    segment = function(lead) return lead.industry or "unknown" end,
  }]]):format(points)
end

describe("qualify_leads", function()
  before_each(function()
    dir, servers = os.tmpname() .. ".d", {}
    assert(iza.exec {"mkdir", dir, check = true})
  end)

  after_each(function()
    for _, server in ipairs(servers) do server:stop {drain = 0} end
    iza.exec {"rm", "-rf", dir}
    os.remove((dir:gsub("%.d$", "")))
  end)

  it("reads, enriches, scores, writes; other input or rules give another result", function()
    write("leads.csv", "\u{FEFF}Company Name;Web_Site;CONTACT;E-Mail Address;Lead Source;Ad Spend;"
      .. "Created At;CRM id\r\nAcme;https://www.acme.example/;Ann;Ann@Acme.example;Referral;"
      .. "€ 1.200,50;3/27/2026;17\r\nBeta;beta.example;;;ads;99;4/5/2026;18\r\n")
    local service = serve(function(domain)
      if domain == "acme.example" then
        return {json = {industry = "finance", employees = 800, country = "DE",
          tech = {"crm", "erp"}, company = "ACME Holding", score = 1, parent = {name = "X"},
          gone = iza.json.null}}
      end
      return {json = {industry = "retail", employees = 12}}
    end)
    local result = run("--enrich", service.url)
    assert.equal(0, result.status, result.stderr)
    assert.equal("", result.stderr)
    local by, order = rows()
    assert.same({"acme.example", "beta.example"}, order)
    local acme = by["acme.example"]
    assert.same({"Acme", "Ann", "ann@acme.example", "1200.50", "EUR", "2026-03-27", "17", "2"},
      {acme.company, acme.contact, acme.email, acme.spend, acme.currency, acme.date, acme["CRM id"],
        acme.line})
    assert.same({"ok", "800", "finance", "crm; erp", '{"name":"X"}'},
      {acme.enrichment, acme.employees, acme.industry, acme.tech, acme.parent})
    assert.is_nil(acme.gone)
    assert.same({"85", "A", "finance", "1"}, {acme.score, acme.tier, acme.segment,
      acme.rules_version})
    assert.matches("500 or more employees +25; core industry +20", acme.reasons, 1, true)
    assert.same({"2026-04-05", "99.00", "USD", "C"}, {by["beta.example"].date,
      by["beta.example"].spend, by["beta.example"].currency, by["beta.example"].tier})
    assert.matches("A +1 +1 +85%.0 +1,200%.50", result.stdout)
    assert.matches("2 rows, 2 used, 0 left out", result.stdout)

    run("--enrich", service.url, "--rules", write("rules.lua", rules(60)))
    by = rows()
    assert.same({"60", "hot", "60", "hot"}, {by["acme.example"].score, by["acme.example"].tier,
      by["beta.example"].score, by["beta.example"].tier})

    write("leads.csv", "firm,site\nGamma,gamma.example\n")
    run("--enrich", service.url)
    by, order = rows()
    assert.same({"gamma.example"}, order)
    assert.equal("0", by["gamma.example"].score)
  end)

  it("reports each bad row by its line and leaves it out", function()
    write("leads.csv", 'company,domain,email,spend,date\nGood,good.example,,,\n'
      .. 'No domain,,,,\n"Two\nlines",nothing here,x@,free,2026-02-30\nShort,short.example\n'
      .. 'By mail,,ann@mail.example,,\n"L\xe4tin",latin.example,,,\nGood,good.example,,5,\n'
      .. "Which day,day.example,,,3/4/2026\n")
    local result = run("--enrich", serve(plain).url)
    assert.equal(1, result.status)
    assert.matches("qualify_leads: 5 of 8 rows could not be used\n$", result.stderr)
    local reported = {}
    for line, reason in result.stderr:gmatch "leads%.csv:(%d+): left out: ([^\n]+)" do
      reported[#reported + 1] = line .. " " .. reason
    end
    assert.same({
      "3 domain is empty and no address shows it",
      "4 domain 'nothing here' is not a domain; email 'x@' is not an address; "
        .. "spend 'free' is not an amount; date '2026-02-30' is no day of the calendar",
      "6 the row has 2 fields, the header 5",
      "8 bytes that are no valid utf-8 text: try --encoding windows-1252",
      "9 the same lead as in line 2",
      "10 date '3/4/2026' may be 3 April or 4 March: say --dates dmy or mdy",
    }, reported)
    local _, order = rows()
    assert.same({"good.example", "mail.example"}, order)
    assert.matches("8 rows, 2 used, 6 left out", result.stdout)

    result = run("--enrich", serve(plain).url, "--dates", "dmy", "--encoding", "windows-1252")
    local by = rows()
    assert.equal("2026-04-03", by["day.example"].date)
    assert.equal("Lätin", by["latin.example"].company)
    assert.matches("8 rows, 4 used, 4 left out", result.stdout)
  end)

  it("takes encodings by the names people know them by, and names those there are", function()
    write("leads.csv", "company,domain\nL\xe4tin,latin.example\n")
    local service = serve(plain)
    for _, name in ipairs {"windows-1252", "latin-1", "iso-8859-1", "ISO-8859-1", "Latin1"} do
      local result = run("--enrich", service.url, "--encoding", name)
      assert.equal(0, result.status, result.stderr)
      assert.equal("Lätin", rows()["latin.example"].company)
    end
    for name, help in pairs {["ISO-8859-15"] = "; windows-1252 is the nearest: ", klingon = "",
      ["utf-9"] = "; did you mean utf-8?"} do
      local result = run("--enrich", service.url, "--encoding", name)
      assert.equal(2, result.status)
      assert.matches("^qualify_leads: %-%-encoding wants utf%-8, windows%-1252 %(also latin%-1, "
        .. "iso%-8859%-1%), utf%-16, not '" .. name:gsub("%p", "%%%0") .. "'[^\n]*\n$",
        result.stderr)
      assert.matches(help, result.stderr, 1, true)
    end
  end)

  it("says which columns are missing and what it found", function()
    write("leads.csv", "Name,Phone Number\nAnn,1\n")
    local result = run("--enrich", "http://127.0.0.1:1/")
    assert.equal(1, result.status)
    assert.matches('no column for company and domain; its first row has "Name", "Phone Number"',
      result.stderr, 1, true)
    assert.matches("--column company=HEADER says which it is", result.stderr, 1, true)
    assert.same({"leads.csv"}, files())
  end)

  it("says which columns it found, which not, and takes them from --column", function()
    write("leads.csv", "Organisation;Web Site;Betreuer;eMail;Herkunft;Kosten;Konto;Note\n"
      .. "Acme;acme.example;Ann;ann@acme.example;referral;1.200,50;7;x\n")
    local service = serve(function() return {json = {industry = "finance"}} end)
    local result = run("--enrich", service.url)
    assert.equal(0, result.status)
    assert.matches('columns: company "Organisation", domain "Web Site", email "eMail", '
      .. 'source "Herkunft", spend "Kosten"\n', result.stdout, 1, true)
    assert.matches('leads.csv: no column for contact, date, so the rules see none; of no known '
      .. 'meaning are "Betreuer", "Konto", "Note"; --column contact=HEADER says which it is\n'
      .. '  contact may be called: contact contactname', result.stderr, 1, true)
    assert.is_nil(rows()["acme.example"].reasons:find("person with an address", 1, true))

    result = run("--enrich", service.url, "--column", "contact=betreuer", "--column=source=Konto")
    local acme = rows()["acme.example"]
    assert.same({"Ann", "7", "1200.50", "referral"},
      {acme.contact, acme.source, acme.spend, acme.Herkunft})
    assert.matches("person with an address +10", acme.reasons, 1, true)
    assert.matches("no column for date, so", result.stderr, 1, true)

    result = run("--enrich", service.url, "--column", "contact=Boss")
    assert.equal(1, result.status)
    assert.matches('no column "Boss" to be the contact; its first row has "Organisation"',
      result.stderr, 1, true)
    for text, problem in pairs {contact = "wants such as contact=HEADER", ["contct=x"] =
      "no column 'contct'; did you mean 'contact'?; there are: company, domain"} do
      result = run("--enrich", service.url, "--column", text)
      assert.equal(2, result.status)
      assert.matches(problem, result.stderr, 1, true)
    end
    assert.equal(2, run("--enrich", service.url, "--column", "date=Note", "--column",
      "date=Konto").status)
  end)

  it("knows the headers of German and French files", function()
    for _, header in ipairs {"Firma,Webseite,Ansprechpartner,E-Mail-Adresse,Quelle,Kosten,Datum",
      "Société,Site Web,Interlocuteur,Courriel,Provenance,COÛTS,Date de création"} do
      write("leads.csv", header .. "\nA,a.example,Ann,ann@a.example,ads,5,2026-03-04\n")
      local result = run("--enrich", serve(plain).url)
      assert.same({0, ""}, {result.status, result.stderr})
      local a = rows()["a.example"]
      assert.same({"A", "Ann", "ann@a.example", "ads", "5.00", "2026-03-04"},
        {a.company, a.contact, a.email, a.source, a.spend, a.date})
    end
  end)

  it("says so when no lead was enriched, by status, and ends with 1", function()
    write("leads.csv", leads(3))
    local result = run("--enrich", serve(function() return 404 end).url)
    assert.equal(1, result.status)
    assert.matches("no lead was enriched: http://[^\n]+/enrich answered 404 3 times; is it the "
      .. "right address%?\n", result.stderr)
    result = run("--enrich", serve(function(_, n) return n < 3 and 400 or 422 end).url, "--limit",
      "1")
    assert.equal(1, result.status)
    assert.matches("nothing was written; it answered 400 2 times, 422 once\n", result.stderr, 1,
      true)
    result = run("--enrich", serve(function(_, n) return n < 3 and 404 or 422 end).url, "--limit",
      "1")
    assert.equal(1, result.status)
    assert.matches("answered 404 2 times, 422 once (it answers 422); is it", result.stderr, 1, true)
    result = run("--enrich", serve(function(domain, n) return n < 3 and 404 or plain(domain) end)
      .url)
    assert.equal(0, result.status)
    assert.matches("1 of 3 leads enriched [^\n]+%); it answered 200 once, 404 2 times\n",
      result.stdout)
  end)

  it("asks once for each domain, with a key that stays the same", function()
    write("leads.csv", leads(40) .. "Firm 1,www.firm1.example,Bob,bob@firm1.example,,,\n")
    local service = serve(plain)
    local result = run("--enrich", service.url, "--limit", "7")
    assert.equal(0, result.status)
    local key_of, seen = {}, {}
    for _, request in ipairs(service.requests) do
      assert.is_nil(key_of[request.domain], "asked twice")
      assert.is_nil(seen[request.key], "a key for two domains")
      key_of[request.domain], seen[request.key] = request.key, true
    end
    assert.equal(40, #service.requests)
    local first = read "out.csv"
    run("--enrich", service.url, "--limit", "40")
    assert.equal(80, #service.requests)
    for _, request in ipairs(service.requests) do
      assert.equal(key_of[request.domain], request.key)
    end
    assert.equal(first, read "out.csv")
  end)

  it("holds back all requests when the service says 429 and how long", function()
    write("leads.csv", leads(12))
    local told
    local service = serve(function(domain, n)
      if n > 4 then return plain(domain) end
      told = iza.now()
      return {status = 429, headers = {["Retry-After"] = "1"}, text = "slow down"}
    end)
    local result = run("--enrich", service.url, "--limit", "4")
    assert.equal(0, result.status, result.stderr)
    assert.equal(16, #service.requests)
    assert.is_true(service.requests[5].at - told > 0.9)
    assert.matches("12 of 12 leads enriched by 16 requests, 4 retries (0 slow, 0 broken, 4 told",
      result.stdout, 1, true)
  end)

  -- The first request is answered by `refusal`; returns how long the second came after it.
  local function held_back(refusal)
    write("leads.csv", leads(1))
    local service = serve(function(domain, n) return n == 1 and refusal or plain(domain) end)
    local result = run("--enrich", service.url)
    assert.equal(0, result.status, result.stderr)
    assert.matches("by 2 requests, 1 retry (0 slow, 0 broken, 1 told to wait)", result.stdout, 1,
      true)
    return service.requests[2].at - service.requests[1].at
  end

  local function http_date(from_now) return iza.time.http(iza.time.now() + from_now) end

  it("understands Retry-After with 503, and as a date", function()
    assert.is_true(held_back {status = 503, headers = {["Retry-After"] = "1"}} > 0.9)
    assert.is_true(held_back {status = 429, headers = {["Retry-After"] = http_date(3)}} > 1.5)
    assert.is_true(held_back {status = 429, headers = {["Retry-After"] = http_date(-90)}} >= 0)
    assert.is_true(held_back {status = 429} > 0.9)
  end)

  it("waits longer each time when the service is broken, then marks the lead", function()
    write("leads.csv", leads(2))
    local at = {}
    local service = serve(function(domain)
      if domain == "firm2.example" then return plain(domain) end
      at[#at + 1] = iza.now()
      return {status = #at == 2 and 503 or 500}
    end)
    local result = run("--enrich", service.url)
    assert.equal(0, result.status, result.stderr)
    assert.equal(4, #at)
    for i, least in ipairs {0.1, 0.2, 0.4} do assert.is_true(at[i + 1] - at[i] >= least - 0.01) end
    assert.equal("failed: it answers 500", rows()["firm1.example"].enrichment)
    assert.matches("3 retries (0 slow, 4 broken", result.stdout, 1, true)
  end)

  it("shows how far it is with what takes long", function()
    local service = serve(function(domain, n)
      if n == 3 then iza.sleep(2.1) end
      return plain(domain)
    end)
    local p <close> = assert(iza.exec {IZA, "run", "qualify_leads", "-", "--enrich", service.url,
      "--limit", "1", "--out", path "out.csv", stdin = true, stream = true})
    local rows_of = leads(5)
    p:write(rows_of:sub(1, -20))
    iza.sleep(2.1)
    p:write(rows_of:sub(-19))
    p:close_stdin()
    local result = p:wait()
    assert.equal(0, result.status, result.stderr)
    assert.matches("rows read 5  [^\n]*/s\nleads 3/5  60 %%  [^\n]+ left\nleads 5/5  100 %%  ",
      result.stderr)
  end)

  it("lets others have their turn however many rows there are", function()
    local lines = {"company,domain,contact,email,source,spend,date\n"}
    for i = 1, 25000 do
      lines[i + 1] = ("Firm %d,firm%d.example,Ann %d,a%d@firm.example,referral,%d.50,3/%d/2026\n")
        :format(i, i % 3, i, i, i % 900, i % 28 + 1)
    end
    write("leads.csv", table.concat(lines))
    local result = run("--enrich", serve(plain).url)
    assert.equal(0, result.status)
    assert.matches("25000 rows, 25000 used", result.stdout, 1, true)
    assert.is_nil(result.stderr:match "over 100 ms[^\n]*")
  end)

  it("lists the segments from the largest, ten of them; the JSON has all", function()
    local lines = {"company,domain,spend\n"}
    for i = 1, 12 do
      for j = 1, i do lines[#lines + 1] = ("F,f%d-%d.example,1\n"):format(i, j) end
    end
    write("leads.csv", table.concat(lines))
    local service = serve(function(domain)
      return {json = {industry = ("trade %02d"):format(math.tointeger(domain:match "%d+"))}}
    end)
    local result = run("--enrich", service.url)
    local shown = {}
    for name, n in result.stdout:gmatch "(trade %d%d) +(%d+)" do shown[#shown + 1] = name .. n end
    local expected = {}
    for i = 12, 3, -1 do expected[#expected + 1] = ("trade %02d%d"):format(i, i) end
    assert.same(expected, shown)
    assert.matches("(and 2 segments more)", result.stdout, 1, true)
    local segments = iza.json.decode(run("--enrich", service.url, "--json").stdout).segments
    assert.equal(12, #segments)
    assert.same({"trade 12", 12, 12, 1200}, {segments[1].name, segments[1].leads,
      segments[1].enriched, segments[1].spend.USD})
    assert.equal("trade 01", segments[12].name)
  end)

  it("asks again after 500 and after the time limit, with the same key", function()
    write("leads.csv", leads(3))
    local asked = {}
    local service = serve(function(domain)
      asked[domain] = (asked[domain] or 0) + 1
      if domain == "firm1.example" and asked[domain] < 4 then return 500, "no" end
      if domain == "firm2.example" and asked[domain] == 1 then iza.sleep(20) end
      return plain(domain)
    end)
    local result = run("--enrich", service.url, "--timeout", "2s")
    assert.equal(0, result.status, result.stderr)
    assert.same({["firm1.example"] = 4, ["firm2.example"] = 2, ["firm3.example"] = 1}, asked)
    local keys = {}
    for _, request in ipairs(service.requests) do keys[request.key] = true end
    local n = 0
    for _ in pairs(keys) do n = n + 1 end
    assert.equal(3, n)
    assert.matches("4 retries (1 slow, 3 broken, 0 told", result.stdout, 1, true)
  end)

  it("keeps and marks what the service does not know or answers badly", function()
    write("leads.csv", leads(4))
    local answers = {
      ["firm1.example"] = {status = 404, text = "unknown"}, ["firm2.example"] = {text = "<html>"},
      ["firm3.example"] = {json = {1, 2}}, ["firm4.example"] = {status = 422, text = "what?"},
    }
    local result = run("--enrich", serve(function(domain) return answers[domain] end).url)
    assert.equal(1, result.status, result.stderr)
    local by = rows()
    assert.equal("unknown", by["firm1.example"].enrichment)
    assert.matches("^failed: the answer is no JSON: ", by["firm2.example"].enrichment)
    assert.equal("failed: the answer is no JSON object", by["firm3.example"].enrichment)
    assert.equal("failed: it answers 422", by["firm4.example"].enrichment)
    assert.matches("0 of 4 leads enriched", result.stdout)
  end)

  it("writes nothing when the service as a whole fails, and asks no more", function()
    write("leads.csv", leads(60))
    write("out.csv", "the old result")
    local service = serve(function() return 401, "who are you?" end)
    local result = run("--enrich", service.url, "--limit", "3")
    assert.equal(1, result.status)
    assert.matches("refuses us: it answers 401; nothing was written", result.stderr, 1, true)
    assert.is_true(#service.requests <= 3)
    result = run("--enrich", "http://127.0.0.1:1/enrich")
    assert.equal(1, result.status)
    assert.matches("fails for one domain after the other", result.stderr, 1, true)
    assert.equal("", result.stdout)
    service = serve(function() return {status = 429, headers = {["Retry-After"] = "7200"}} end)
    result = run("--enrich", service.url)
    assert.equal(1, result.status)
    assert.matches("asks to wait 7200 s", result.stderr, 1, true)
    write("leads.csv", leads(2))
    result = run("--enrich", "http://127.0.0.1:1/enrich")
    assert.equal(1, result.status)
    assert.matches("answered about no domain", result.stderr, 1, true)
    result = run("--enrich", "http://[x/")
    assert.equal(1, result.status)
    assert.matches("cannot be asked", result.stderr, 1, true)
    assert.same({"leads.csv", "out.csv"}, files())
    assert.equal("the old result", read "out.csv")
  end)

  it("leaves nothing behind when it is interrupted", function()
    write("leads.csv", leads(5))
    local asked = iza.channel(10)
    local service = serve(function(domain)
      asked:send(domain)
      if domain == "firm3.example" then iza.sleep(60) end
      return plain(domain)
    end)
    local argv = command("--enrich", service.url)
    argv.stream = true
    local p <close> = assert(iza.exec(argv))
    for _ = 1, 5 do assert(asked:recv "20s") end
    p:kill "SIGINT"
    assert.equal(130, p:wait().status)
    assert.same({"leads.csv"}, files())
  end)

  -- Runs with --limit 1; before the second lead is answered, the rules file becomes `text`, and the
  -- run has said `expected` about it.
  local function edit_during_run(text, expected)
    write("leads.csv", leads(3))
    write("rules.lua", rules(10))
    local noticed = iza.channel(1)
    local service = serve(function(domain, n)
      if n == 2 then
        write("rules.lua", text)
        assert(noticed:recv "20s")
      end
      return plain(domain)
    end)
    local argv = command("--enrich", service.url, "--rules", path "rules.lua", "--limit", "1")
    argv.stream, argv.stderr = true, "stdout"
    local p <close> = assert(iza.exec(argv))
    local output = {}
    for line in p:lines() do
      output[#output + 1] = line
      if line:find(expected, 1, true) then noticed:send(true) end
    end
    assert.equal(0, p:wait().status)
    local by, order = rows()
    return by, order, table.concat(output, "\n")
  end

  it("scores by the edited rules from the edit on", function()
    local by, order = edit_during_run(rules(70), "the edit is in use")
    assert.same({"firm2.example", "firm3.example", "firm1.example"}, order)
    assert.same({"10", "cold", "1"}, {by["firm1.example"].score, by["firm1.example"].tier,
      by["firm1.example"].rules_version})
    assert.same({"70", "hot", "2"}, {by["firm3.example"].score, by["firm3.example"].tier,
      by["firm3.example"].rules_version})
  end)

  it("keeps the rules it has when an edit is broken", function()
    local by = edit_during_run("return {rules = {", "edit not taken")
    assert.same({"10", "1"}, {by["firm3.example"].score, by["firm3.example"].rules_version})
    by = edit_during_run((rules(70):gsub("hot", "")), "tier 1 has no name")
    assert.same({"10", "1"}, {by["firm3.example"].score, by["firm3.example"].rules_version})
  end)

  it("tells what is wrong with an edit as it tells all else, with the line", function()
    local _, _, output = edit_during_run("return {\n  rules = = {", "2 |   rules = = {")
    assert.matches("the edit is not taken, the old rules go on: /[^\n]*rules.lua:2: unexpected "
      .. "symbol near '='\n       2 |   rules = = {\n", output)
    assert.is_nil(output:find("stack", 1, true) or output:find('{"', 1, true))
    _, _, output = edit_during_run((rules(70):gsub("return true", "return nil > 1")),
      "when = function() return nil > 1")
    assert.matches("/[^\n]*rules.lua:2: 'all': attempt to compare [^\n]+%(a field that is not "
      .. "known is nil%)\n       2 |     rules = {{name = \"all\", points = 70, when", output)
  end)

  it("fails, after writing, when a rule fails for a lead", function()
    write("leads.csv", leads(2))
    write("rules.lua", (rules(30):gsub("return true",
      'if lead.employees then error "no luck" end return true'):gsub("function%(%)",
      "function(lead)")))
    local result = run("--enrich", serve(plain).url, "--rules", path "rules.lua")
    assert.equal(1, result.status)
    assert.matches("a rule fails: 'all': .*no luck %(Firm 1, line 2%)", result.stderr)
    assert.equal("0", rows()["firm2.example"].score)
  end)

  it("names a failing rule once, whatever it raises", function()
    write("leads.csv", leads(3))
    for _, raised in ipairs {"{}", "lead.domain", "{message = lead.domain}"} do
      write("rules.lua", (rules(30):gsub("function%(%) return true",
        "function(lead) if lead.employees then error(" .. raised .. ", 0) end return true")))
      local result = run("--enrich", serve(plain).url, "--rules", path "rules.lua", "--limit", "1")
      assert.equal(1, result.status)
      assert.equal(1, select(2, result.stderr:gsub("a rule fails", "")))
      assert.is_nil(result.stderr:find "0x")
    end
  end)

  it("stops a rule that does not end, names it by file and line, and goes on without it", function()
    write("leads.csv", leads(20))
    write("rules.lua", [[return {
      rules = {
        {name = "all", points = 7, when = function() return true end},
        {name = "endless", points = 5, when = function(lead)
          while lead.employees do pcall(function() while true do end end) end
          return true
        end},
      },
      tiers = {{name = "one", at_least = 0}},
      segment = function(lead)
        while lead.domain == "firm3.example" do end
        return "any"
      end,
    }]])
    local result = assert(iza.exec {timeout = 60, table.unpack(command("--enrich",
      serve(plain).url, "--rules", path "rules.lua"))})
    assert.equal(1, result.status, result.stderr)
    assert.matches("a rule fails: 'endless': [^\n]*rules.lua:4: it was stopped after 0.5 s without "
      .. "an end %(Firm %d+, line %d+%)\n", result.stderr)
    assert.equal(1, select(2, result.stderr:gsub("a rule fails: 'endless'", "")))
    assert.matches("some leads were scored without a rule that failed", result.stderr)
    local by, order = rows()
    assert.equal(20, #order)
    for _, row in pairs(by) do assert.equal("all +7", row.reasons) end
    assert.equal("unknown", by["firm3.example"].segment)

    write("rules.lua", (rules(7):gsub("return true", "while true do end")))
    result = run("--enrich", "http://127.0.0.1:1/", "--rules", path "rules.lua")
    assert.equal(1, result.status)
    assert.matches("rules.lua:2: 'all': it was stopped after 0.5 s without an end", result.stderr)
  end)

  it("does not start with rules that cannot work or a place that cannot be written", function()
    write("leads.csv", leads(1))
    local service = serve(plain)
    local result = run("--enrich", service.url, "--rules", write("rules.lua", "return {"))
    assert.equal(1, result.status)
    assert.matches("rules.lua:1: unexpected symbol near <eof>\n       1 | return {\n$",
      result.stderr)
    result = run("--enrich", service.url, "--out", path "none/out.csv")
    assert.equal(1, result.status)
    assert.matches("cannot write .*none/out.csv", result.stderr)
    assert.same({}, service.requests)
  end)

  it("gives the summary as JSON", function()
    write("leads.csv", "company,domain,spend\nA,a.example,10\nB,b.example,€ 5.50\nC,,\n")
    local result = run("--enrich", serve(plain).url, "--json", "--rules",
      write("rules.lua", rules(50)))
    local summary = assert(iza.json.decode(result.stdout))
    assert.same({read = 3, used = 2, left_out = 1}, summary.rows)
    assert.equal(4, summary.left_out[1].line)
    assert.same({name = "total", leads = 2, enriched = 2, average_score = 50.0,
      spend = {USD = 1000, EUR = 550}}, summary.total)
    assert.same({"hot", 2, "cold", 0}, {summary.tiers[1].name, summary.tiers[1].leads,
      summary.tiers[2].name, summary.tiers[2].leads})
    assert.equal("software", summary.segments[1].name)
    assert.same({requests = 2, retries = 0, limited = 0, slow = 0, broken = 0,
      statuses = {["200"] = 2}}, summary.enrichment)
    assert.same({2}, summary.rules.scored_by_version)
  end)

  it("keeps money in its currency, whoever names it, and never adds two currencies", function()
    write("leads.csv", 'company,domain,spend,Currency\nA,a.example,100.00,EUR\n'
      .. 'B,b.example,"1.000,50",GBP\nC,c.example,€ 7,\nD,d.example,5,\nE,e.example,,eur\n'
      .. 'F,f.example,€ 5,GBP\nG,g.example,500,JPY\n')
    local service = serve(plain)
    local result = run("--enrich", service.url, "--json")
    local summary = assert(iza.json.decode(result.stdout))
    assert.same({EUR = 10700, GBP = 100050, USD = 500}, summary.total.spend)
    assert.equal("integer", math.type(summary.total.spend.GBP))
    assert.equal("Currency", summary.columns.currency)
    assert.same({"currency 'GBP' is not that of the amount, EUR"}, {summary.left_out[1].reason})
    assert.matches("^currency 'JPY' is not one of AUD", summary.left_out[2].reason)
    local by = rows()
    local function money(name) return {by[name].spend, by[name].currency} end
    assert.same({{"100.00", "EUR"}, {"1000.50", "GBP"}, {"7.00", "EUR"}, {"5.00", "USD"},
      {"", "EUR"}}, {money "a.example", money "b.example", money "c.example", money "d.example",
      money "e.example"})
    write("leads.csv", read "out.csv")
    result = run("--enrich", service.url)
    assert.matches("total +5 +5 +%d+%.0 +107%.00 +1,000%.50 +5%.00\n", result.stdout)
    assert.same({"1000.50", "GBP"}, {rows()["b.example"].spend, rows()["b.example"].currency})
  end)

  it("does not let the service touch a lead's own columns, and survives what it answers", function()
    write("leads.csv", leads(2))
    local answers = {
      {spend = 5}, {spend = 5.5}, {spend = "12.50"}, {spend = 5, currency = {1}}, {source = 5},
      {contact = "Eve", email = "eve@x.example", date = {}, company = 1, domain = false,
        currency = "EUR", line = 0, score = "x", tier = {}, reasons = 1, rules_version = {}},
      {tech = {iza.json.null, "crm"}}, {tech = "crm"}, {parts = {}}, {employees = "500"},
      {industry = ""}, {revenue = iza.json.null}, {note = "a\0b\nc"},
      {big = true, ratio = 1e300, deep = {{{}}}},
    }
    for _, answered in ipairs(answers) do
      local result = run("--enrich", serve(function() return {json = answered} end).url)
      assert.same({0, ""}, {result.status, result.stderr})
      local lead = rows()["firm1.example"]
      assert.same({"", "", "", "", "", "", "Firm 1", "2", "ok"}, {lead.spend, lead.currency,
        lead.source, lead.contact, lead.email, lead.date, lead.company, lead.line,
        lead.enrichment})
      assert.equal(answered.tech and "uses a CRM +10"
        or answered.employees and "500 or more employees +25" or "", lead.reasons)
      if answered.tech then assert.equal("crm", lead.tech) end
      if answered.parts then assert.equal("", lead.parts) end
      if answered.note then assert.equal("a b c", lead.note) end
      if answered.big then
        assert.same({"true", "1e+300", "[[{}]]"}, {lead.big, lead.ratio, lead.deep})
      end
    end
  end)

  it("reports by lead what no cell or rule can use, and goes on", function()
    write("leads.csv", leads(2))
    local answers = {
      ["firm1.example"] = {employees = "many", tech = {crm = true}, industry = "finance"},
      ["firm2.example"] = {[""] = 1, ["a\nb"] = 2, long = ("x"):rep(40000), employees = 60},
    }
    local result = run("--enrich", serve(function(domain) return {json = answers[domain]} end).url)
    assert.equal(0, result.status)
    local reported = {}
    for line in result.stderr:gmatch "leads%.csv:([^\n]+)" do reported[#reported + 1] = line end
    table.sort(reported)
    assert.same({
      "2: employees 'many' is no number, so the rules do not see it",
      "2: tech '{\"crm\":true}' is no list, so the rules do not see it",
      "3: left out: '' of the answer: it cannot name a column",
      "3: left out: 'a b' of the answer: it cannot name a column",
      "3: left out: 'long' of the answer: 40000 bytes are too long for a cell",
    }, reported)
    local by = rows()
    assert.same({"core industry +20", "50 to 499 employees +15"},
      {by["firm1.example"].reasons, by["firm2.example"].reasons})
    assert.is_nil(by["firm2.example"].long)
  end)

  it("takes at most 1,000 columns from the service", function()
    write("leads.csv", leads(3))
    local service = serve(function(domain)
      local fields = {}
      for i = 1, 400 do fields[domain .. i] = i end
      return {json = fields}
    end)
    local result = run("--enrich", service.url, "--limit", "1")
    assert.equal(0, result.status)
    assert.equal(200, select(2, result.stderr:gsub("the answers have more than 1000 fields", "")))
  end)

  it("compares the file's numbers as numbers, keeps their text, and prefers the answer", function()
    write("leads.csv", "company,domain,employees,rank,zip,industry\nA,a.example,800,2.50,01067,x\n"
      .. "B,b.example,30,9.10,80331,x\nC,c.example,about 9,7,1,\n")
    write("rules.lua", [[return {
      rules = {
        {name = "rank", points = 30, when = function(l) return (l.rank or 0) < 5 end},
        {name = "zip", points = 40, when = function(l) return l.zip == "01067" end},
        {name = "big", points = 5, when = function(l) return (l.employees or 0) >= 500 end},
      },
      fields = {employees = "number"},
      tiers = {{name = "all", at_least = 0}},
      segment = function(lead) return lead.industry end,
    }]])
    local service = serve(function(domain)
      return domain == "b.example" and {json = {employees = 900, industry = "retail"}}
        or {json = {other = 1}}
    end)
    local result = run("--enrich", service.url, "--rules", path "rules.lua")
    assert.equal(0, result.status, result.stderr)
    assert.equal(1, select(2, result.stderr:gsub("the file's column 'employees'", "")))
    assert.matches("leads.csv:4: employees 'about 9' is no number", result.stderr, 1, true)
    local by = rows()
    assert.same({"rank +30; zip +40; big +5", "2.50", "01067", "800", "x"},
      {by["a.example"].reasons, by["a.example"].rank, by["a.example"].zip,
        by["a.example"].employees, by["a.example"].segment})
    assert.same({"big +5", "9.10", "900", "retail"}, {by["b.example"].reasons,
      by["b.example"].rank, by["b.example"].employees, by["b.example"].industry})
    assert.equal("about 9", by["c.example"].employees)
  end)

  it("reads its own result again and comes to the same", function()
    write("leads.csv", leads(3))
    local service = serve(function(domain, n)
      if n > 3 and domain == "firm2.example" then return 404 end
      return {json = {industry = "finance", employees = 800, country = "DE",
        tech = {"crm", "erp"}}}
    end)
    run("--enrich", service.url)
    local first = rows()
    write("leads.csv", read "out.csv")
    assert.equal(0, run("--enrich", service.url).status)
    local again = rows()
    for domain, row in pairs(first) do
      assert.same({row.score, row.reasons, row.tech, row.employees},
        {again[domain].score, again[domain].reasons, again[domain].tech, again[domain].employees})
    end
    assert.equal("65", again["firm2.example"].score)
    assert.equal("unknown", again["firm2.example"].enrichment)
  end)

  it("never takes the input or the rules for the result, however they are spelt", function()
    write("leads.csv", leads(1))
    write("rules.lua", rules(1))
    assert(iza.exec {"ln", "-s", "leads.csv", path "link.csv", check = true})
    local inside = dir .. "/../" .. dir:match "[^/]+$" .. "/leads.csv"
    for _, out in ipairs {inside, path "link.csv", path "./leads.csv", path "rules.lua"} do
      local result = run("--enrich", "http://127.0.0.1:1/", "--rules", path "rules.lua", "--out",
        out)
      assert.equal(2, result.status)
      assert.matches(out == path "rules.lua" and "has the rules" or "is the input", result.stderr)
    end
    local argv = command("--enrich", "http://127.0.0.1:1/", "--out", "-")
    assert.equal(2, iza.exec(argv).status)
    assert.equal(leads(1), read "leads.csv")
  end)

  it("reads standard input, and Excel's first line", function()
    local text = "sep=|\r\ncompany|domain\r\nA, Inc|a.example\r\nB;|\r\n"
    write("leads.csv", "\u{FEFF}" .. text)
    local service = serve(plain)
    local result = run("--enrich", service.url)
    assert.equal(0, result.status, result.stderr)
    assert.same({"A, Inc", "3"}, {rows()["a.example"].company, rows()["a.example"].line})
    assert.matches("leads.csv:4: left out: domain is empty", result.stderr, 1, true)
    result = iza.exec {IZA, "run", "qualify_leads", "-", "--enrich", service.url, "--out",
      path "piped.csv", stdin = leads(2)}
    assert.equal(0, result.status, result.stderr)
    assert.same({"leads.csv", "out.csv", "piped.csv"}, files())
  end)

  it("sees repeated leads whatever the case of their letters", function()
    write("leads.csv", "company,domain,contact\nA,a.example,Jörg MÜLLER\nA,a.example,JÖRG Müller\n"
      .. "M,MÜLLER.example,\nM,müller.example,\n")
    local result = run("--enrich", serve(plain).url)
    assert.matches(":3: left out: the same lead as in line 2\n", result.stderr)
    assert.matches(":5: left out: the same lead as in line 4\n", result.stderr)
  end)

  it("gives out the rules to edit, never over a file", function()
    local mine = path "mine.lua"
    local argv = {IZA, "run", "qualify_leads", "--write-rules", mine}
    local result = iza.exec(argv)
    assert.equal(0, result.status, result.stderr)
    assert.matches(mine .. " has the rules", result.stdout, 1, true)
    local text = read "mine.lua"
    assert.matches("name = \"warm source\"", text, 1, true)
    write("mine.lua", (text:gsub("points = 10", "points = 77")))
    write("leads.csv", "company,domain,contact,email\nA,a.example,Ann,ann@a.example\n")
    run("--enrich", serve(plain).url, "--rules", mine)
    assert.matches("person with an address +77", rows()["a.example"].reasons, 1, true)
    result = iza.exec(argv)
    assert.equal(1, result.status)
    assert.matches("is there already", result.stderr)
    assert.matches("points = 77", read "mine.lua")
    argv[#argv + 1] = "leads.csv"
    assert.equal(2, iza.exec(argv).status)
  end)

  it("gives out the rules from inside the program, where there is no checkout", function()
    local argv = {iza.exec {"readlink", "-f", IZA}.stdout:gsub("\n", ""), "run", "qualify_leads",
      "--write-rules", "mine.lua", cwd = dir}
    local result = iza.exec(argv)
    assert.equal(0, result.status, result.stderr)
    assert.matches("return {\n", read "mine.lua", 1, true)
    argv[4], argv[5] = nil, nil
    argv[3] = nil
    assert.is_nil(iza.exec(argv).stdout:find("rules", 1, true))
  end)

  it("is safe to open in a spreadsheet", function()
    write("leads.csv", 'company,domain\n"=HYPERLINK(""http://x.example"")",a.example\n')
    run("--enrich", serve(function() return {json = {note = "+1+1"}} end).url)
    local row = rows()["a.example"]
    assert.equal("'=HYPERLINK(\"http://x.example\")", row.company)
    assert.equal("'+1+1", row.note)
  end)

  it("tells misuse by exit code 2 and how to call it", function()
    write("leads.csv", leads(1))
    local result = run()
    assert.equal(2, result.status)
    assert.matches("--enrich is missing\nusage: ", result.stderr, 1, true)
    result = assert(iza.exec {IZA, "run", "qualify_leads", path "none.csv", "--enrich", "x"})
    assert.equal(2, result.status)
    for url, help in pairs {["127.0.0.1:8090/enrich"] =
      ": put http:// in front, or https://: http://127.0.0.1:8090/enrich\n",
      ["ftp://x/"] = "wants http:// or https://, not ftp://x/\n", ["no url"] = " is no URL such"} do
      result = run("--enrich", url)
      assert.equal(2, result.status)
      assert.matches(help, result.stderr, 1, true)
    end
    result = run("--enrich", "http://x/", "--out", path "leads.csv")
    assert.equal(2, result.status)
    assert.equal(leads(1), read "leads.csv")
  end)
end)
