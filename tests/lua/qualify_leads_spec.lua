-- How the cells of a leads file are read; tests/e2e/qualify_leads_spec.lua runs the whole.
local cells = require "workflows.customer_flows.qualify_leads.cells"
local scoring = require "workflows.customer_flows.qualify_leads.scoring"

local function each(reader, table_of)
  for _, case in ipairs(table_of) do
    local value, more = reader(case[1])
    assert.same({case[1], case[2], case[3]}, {case[1], value, more})
  end
end

describe("cells", function()
  it("read amounts in the ways they are written", function()
    each(cells.money, {
      {"1,234.50", 123450}, {"1.234,50", 123450}, {"1 234,50", 123450}, {"1'234.50", 123450},
      {"12.345.678", 1234567800}, {"1,234", 123400}, {"0.5", 50}, {"99", 9900}, {"0", 0},
      {" $ 1,200 ", 120000, "USD"}, {"€1.234,5", 123450, "EUR"}, {"12 €", 1200, "EUR"},
      {"1\u{202F}234,50\u{A0}€", 123450, "EUR"}, {"1’234.50 CHF", 123450, "CHF"},
      {"gbp 7.01", 701, "GBP"}, {""}, {"  "},
    })
  end)

  it("refuse amounts that mean nothing or too much", function()
    for _, text in ipairs {"abc", "1.2.3", "1,23,456", "1234.567", "0.125", "5 points", "5 ¥",
      "12345678901234567", "$"} do
      local cents, problem = cells.money(text)
      assert.is_nil(cents, text)
      assert.matches("is not an amount", problem)
    end
    assert.matches("below zero", select(2, cells.money "-5"))
    assert.matches("below zero", select(2, cells.money "(5.00)"))
  end)

  it("write amounts", function()
    assert.equal("1,234,567.89", cells.money_text(123456789))
    assert.equal("0.05", cells.money_text(5))
    assert.equal("1000.00", cells.money_text(100000, true))
  end)

  it("read dates that can mean one day", function()
    each(cells.date, {
      {"2026-03-04", "2026-03-04"}, {"2026/3/4", "2026-03-04"}, {"4.3.2026", "2026-03-04"},
      {"2026-03-04 10:30", "2026-03-04"}, {"2026-03-04T10:30:00+02:00", "2026-03-04"},
      {"4 Mar 2026", "2026-03-04"}, {"04-march-2026", "2026-03-04"}, {"Mar. 4, 2026", "2026-03-04"},
      {"2026-02-30", nil, "'2026-02-30' is no day of the calendar"},
      {"last week", nil, "'last week' is not a date"}, {""},
    })
  end)

  it("read 3/4/2026 by what the other dates of the file show", function()
    local open, proof = cells.date "3/4/2026", cells.date "3/27/26"
    assert.equal("mdy", cells.order_of {open, proof})
    assert.is_nil(cells.order_of {open, proof, cells.date "27/3/2026"})
    assert.equal("2026-03-04", (cells.settle(open, "mdy")))
    assert.equal("2026-04-03", (cells.settle(open, "dmy")))
    assert.equal("2026-03-27", (cells.settle(proof)))
    local date, problem = cells.settle(open)
    assert.is_nil(date)
    assert.equal("'3/4/2026' may be 3 April or 4 March: say --dates dmy or mdy", problem)
    assert.matches("no day", select(2, cells.settle(proof, "dmy")))
  end)

  it("find the domain in what people paste", function()
    each(cells.domain, {
      {"Acme.example", "acme.example"}, {"https://www.Acme.example:8080/a?b#c", "acme.example"},
      {" acme.example. ", "acme.example"}, {"müller.example", "müller.example"}, {""},
      {"acme", nil, "'acme' is not a domain"}, {"a..example", nil, "'a..example' is not a domain"},
      {"not available", nil, "'not available' is not a domain"},
      {"10.0.0.1", nil, "'10.0.0.1' is not a domain"},
    })
  end)

  it("read addresses and see whose they are", function()
    each(cells.email, {
      {" Ann@Acme.example", "ann@acme.example"}, {""},
      {"ann(at)acme.example", nil, "'ann(at)acme.example' is not an address"},
      {"a@b.example, c@d.example", nil, "'a@b.example, c@d.example' is not an address"},
    })
    assert.equal("acme.example", cells.domain_of "ann@acme.example")
    assert.is_nil(cells.domain_of "ann@gmail.com")
  end)

  it("read currencies by code or sign, and no others", function()
    each(cells.currency, {{"eur", "EUR"}, {" € ", "EUR"}, {"US$", "USD"}, {""}})
    assert.matches("^'JPY' is not one of AUD .* USD$", select(2, cells.currency "JPY"))
  end)

  it("write any letter in lower case", function()
    each(cells.lower, {{"MÜLLER & Søn", "müller & søn"}, {"ŁÓDŹ ŽIŽKA ŸES", "łódź žižka ÿes"},
      {"ΑΘΉΝΑ МОСКВА ЁЛКА", "αθήνα москва ёлка"}, {"ẞ × \xC3 日本", "ß × \xC3 日本"}})
    assert.equal("müller.example", cells.domain "https://MÜLLER.example/")
    assert.equal("jörg@müller.example", cells.email "JÖRG@Müller.example")
  end)

  it("see numbers only where text plainly is one", function()
    each(cells.number, {{"17", 17}, {"-2.50", -2.5}, {"0", 0}, {"0.5", 0.5}, {"007"}, {"01067"},
      {"1,5"}, {"1e5"}, {"5."}, {".5"}, {"+5"}, {"0x10"}, {" 5"}, {"1234567890123456"}, {""}})
    assert.equal("integer", math.type(cells.number "17"))
  end)

  it("clean text and keep reports short", function()
    assert.equal("Acme GmbH", cells.text "  Acme\r\n\u{A0}\27 GmbH\t")
    assert.is_nil(cells.text " \n ")
    local _, problem = cells.date(("x"):rep(500))
    assert.is_true(#problem < 100)
  end)
end)

describe("scoring", function()
  local function rules(change)
    local r = {
      rules = {{name = "big", points = 40.4, when = function(lead) return lead.size == "big" end},
        {name = "old", points = -60, when = function(lead) return lead.old end}},
      tiers = {{name = "top", at_least = 40}, {name = "rest", at_least = 0}},
      segment = function(lead) return lead.size end,
    }
    if change then change(r) end
    return r
  end

  it("adds points, keeps 0 to 100, names tier, segment and reasons", function()
    local r = rules()
    scoring.check(r)
    assert.same({score = 40, tier = "top", segment = "big", reasons = "big +40.4"},
      scoring.score(r, {size = "big"}))
    assert.same({score = 0, tier = "rest", segment = "big", reasons = "big +40.4; old -60"},
      scoring.score(r, {size = "big", old = true}))
    assert.same({score = 0, tier = "rest", segment = "unknown", reasons = ""}, scoring.score(r, {}))
  end)

  it("gives no points for a rule that fails, and names it", function()
    local r = rules(function(t)
      t.rules[2].when = function(lead) return lead.size.x.y end
    end)
    local result = scoring.score(r, {size = "big"})
    assert.equal(40, result.score)
    assert.equal("old", result.failed.name)
    assert.matches("^tests/.*: attempt to index", result.failed.problem)
    for _, case in ipairs {{{}, "{}"}, {{message = "no luck"}, "no luck"}, {"a\nb", "a b"}, {{
        print}, "a table"}} do
      r.rules[2].when = function() error(case[1], 0) end
      assert.equal(case[2], scoring.score(r, {}).failed.problem)
    end
  end)

  it("shows rules the types they name, and plain numbers as numbers", function()
    local seen
    local r = rules(function(t)
      t.fields = {staff = "number", zip = "text", tech = "list"}
      t.rules[1].when = function(lead) seen = lead end
    end)
    local function shown(lead)
      local unfit = scoring.score(r, lead).unfit
      return seen, unfit
    end
    assert.same({staff = 12, zip = "80331", tech = {"crm", "erp"}, rank = 2.5, code = "007",
      company = "99", spend = 5},
      shown {staff = "12", zip = "80331", tech = "crm; erp", rank = "2.50", code = "007",
        company = "99", spend = 5})
    local lead = {staff = "many", zip = 80331, tech = {name = "crm"}}
    local got, unfit = shown(lead)
    assert.same({zip = "80331"}, got)
    assert.same({"staff 'many' is no number, so the rules do not see it",
      "tech '{\"name\":\"crm\"}' is no list, so the rules do not see it"}, unfit)
    got.zip = "changed by a rule"
    assert.equal(80331, lead.zip)
  end)

  local function refused(change)
    local ok, problem = pcall(scoring.check, rules(change))
    assert.is_false(ok)
    return problem
  end

  it("refuses rules that cannot work, by name", function()
    assert.matches("rule 1 has no name", refused(function(r) r.rules[1].name = nil end))
    assert.matches("points of 'big'", refused(function(r) r.rules[1].points = "x" end))
    assert.matches("when of 'big'", refused(function(r) r.rules[1].when = 3 end))
    assert.matches("tier 'rest'", refused(function(r) r.tiers[2].at_least = 50 end))
    assert.matches("'rest', must have at_least = 0", refused(function(r)
      r.tiers[2].at_least = 10
    end))
    assert.matches("^tests/[%w/]*qualify_leads_spec.lua:%d+: 'big': attempt to compare",
      refused(function(r)
        r.rules[1].when = function(lead) return lead.employees > 10 end
      end))
    assert.matches("^tests/[%w/]*qualify_leads_spec.lua:%d+: points of 'big'",
      refused(function(r) r.rules[1].points = 1 / 0 end))
    local function misspelt(list, from, to)
      return refused(function(r)
        local where = list and r[list][1] or r
        where[to], where[from] = where[from], nil
      end)
    end
    assert.matches("_spec.lua:%d+: 'big' has 'pionts'; did you mean 'points'%?",
      misspelt("rules", "points", "pionts"))
    assert.matches("'big' has 'wehn'; did you mean 'when'?", misspelt("rules", "when", "wehn"), 1,
      true)
    assert.matches("tier 'top' has 'at_lest'; did you mean 'at_least'?",
      misspelt("tiers", "at_least", "at_lest"), 1, true)
    assert.matches("has 'segmnet'; did you mean 'segment'?", misspelt(nil, "segment", "segmnet"), 1,
      true)
    scoring.check(rules(function(r) r.rules[1].note, r.author = "ours", "me" end))
    assert.matches("fields: size must be", refused(function(r) r.fields = {size = "date"} end))
    assert.matches("fields: spend has a type", refused(function(r) r.fields = {spend = "text"} end))
    assert.matches("segment", refused(function(r) r.segment = nil end))
    assert.matches("must return a table", select(2, pcall(scoring.check, nil)))
  end)
end)
