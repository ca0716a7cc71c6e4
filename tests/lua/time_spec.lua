local time = require "iza.time"
local zones = require "iza.zone"
local calendar = require "iza.calendar"

-- the instant of local fields, as text in UTC
local function utc(zone, y, mo, d, h, mi, later)
  return time.rfc3339(assert(time.of({year = y, month = mo, day = d, hour = h, min = mi,
    later = later}, zone)))
end

describe("iza.time zones", function()
  -- the change of 2024 in each, as the IANA database has it: instant, offset before, offset after
  local changes = {
    {"Europe/Paris", "2024-03-31T01:00:00Z", 3600, 7200}, {"Europe/Paris", "2024-10-27T01:00:00Z",
      7200, 3600},
    {"America/New_York", "2024-03-10T07:00:00Z", -18000, -14400},
    {"America/New_York", "2024-11-03T06:00:00Z", -14400, -18000},
    {"Australia/Lord_Howe", "2024-04-06T15:00:00Z", 39600, 37800},
    {"Australia/Lord_Howe", "2024-10-05T15:30:00Z", 37800, 39600},
    -- by the rule in the footer, long after the last transition in the file
    {"Europe/Paris", "2124-03-26T01:00:00Z", 3600, 7200}, {"America/New_York",
      "2124-11-05T06:00:00Z", -14400, -18000},
    -- before the rules of today
    {"America/New_York", "1918-03-31T07:00:00Z", -18000, -14400},
  }
  it("change at the right second", function()
    for _, c in ipairs(changes) do
      local t = time.parse(c[2])
      assert.equal(c[3], time.date(t - 1, c[1]).offset, c[1] .. c[2])
      assert.equal(c[4], time.date(t, c[1]).offset, c[1] .. c[2])
    end
  end)

  it("name themselves", function()
    local d = time.date(time.parse "2024-07-01T00:00:00Z", "Europe/Paris")
    assert.equal("CEST", d.abbr)
    assert.is_true(d.isdst)
    assert.equal("UTC", time.date(0).abbr)
    assert.equal("+11", time.date(time.parse "2024-12-01T00:00:00Z", "Australia/Lord_Howe").abbr)
  end)

  it("are found as offsets, and by the machine's own", function()
    assert.equal(7200, time.date(0, "+02:00").offset)
    assert.equal(-19800, time.date(0, "-0530").offset)
    assert.is_number(time.date(0, "local").offset)
  end)

  it("that do not exist give an error, not another zone", function()
    for name, code in pairs {["Europe/Atlantis"] = "not_found", ["../../etc/passwd"] = "invalid",
      ["/etc/passwd"] = "invalid",
      [""] = "invalid", ["Europe"] = "not_found", ["Europe/Paris\0x"] = "invalid",
        ["+25:00"] = "invalid",
      [("a"):rep(80)] = "invalid", ["a//b"] = "invalid", ["tzdata.zi"] = "invalid"} do
      local d, err = time.date(0, name)
      assert.is_nil(d, name)
      assert.equal(code, err.code, name)
    end
  end)

  it("skip a gap forward and take the first of two", function()
    assert.equal("2024-03-31T01:30:00Z", utc("Europe/Paris", 2024, 3, 31, 2, 30))
    assert.equal("2024-03-10T07:30:00Z", utc("America/New_York", 2024, 3, 10, 2, 30))
    assert.equal("2024-10-27T00:30:00Z", utc("Europe/Paris", 2024, 10, 27, 2, 30))
    assert.equal("2024-10-27T01:30:00Z", utc("Europe/Paris", 2024, 10, 27, 2, 30, true))
    assert.equal("2024-11-03T05:30:00Z", utc("America/New_York", 2024, 11, 3, 1, 30))
    assert.equal("2024-11-03T06:30:00Z", utc("America/New_York", 2024, 11, 3, 1, 30, true))
    -- Lord Howe moves by half an hour: 02:00 -> 02:30, and 02:00 -> 01:30
    assert.equal("2024-10-05T15:45:00Z", utc("Australia/Lord_Howe", 2024, 10, 6, 2, 15))
    assert.equal("2024-04-06T14:45:00Z", utc("Australia/Lord_Howe", 2024, 4, 7, 1, 45))
    assert.equal("2024-04-06T15:15:00Z", utc("Australia/Lord_Howe", 2024, 4, 7, 1, 45, true))
    -- a whole day that Samoa skipped
    assert.equal("2011-12-30T22:00:00Z", utc("Pacific/Apia", 2011, 12, 30, 12, 0))
  end)

  it("survive the way to local time and back", function()
    for _, name in ipairs {"Europe/Paris", "America/New_York", "Australia/Lord_Howe",
      "Asia/Kolkata", "Africa/Casablanca"} do
      for t = 1700000000, 1740000000, 86400 * 3 + 3601 do
        local d = time.date(t, name)
        assert.equal(t, time.of(d, name))
      end
    end
  end)

  it("read every form of a POSIX rule", function()
    local south = zones.rule "NZST-12NZDT,M9.5.0,M4.1.0/3"
    assert.same({46800, "NZDT", true}, {south(time.parse "2024-01-15T00:00:00Z")})
    assert.same({43200, "NZST", false}, {south(time.parse "2024-07-15T00:00:00Z")})
    -- J60 is March 1 in every year; 300 counts from 0
    local julian = zones.rule "AAA3BBB,J60/0,300/24:30:15"
    assert.same({-10800, "AAA", false}, {julian(time.parse "2024-03-01T02:59:59Z")})
    assert.same({-7200, "BBB", true}, {julian(time.parse "2024-03-01T03:00:00Z")})
    assert.same({-7200, "BBB", true}, {julian(time.parse "2024-10-28T02:30:14Z")})
    assert.same({-10800, "AAA", false}, {julian(time.parse "2024-10-28T02:30:15Z")})
    assert.same({-9000, "-0230", false}, {zones.rule "<-0230>2:30"(0)})
    for _, bad in ipairs {"", "CET", "CET-1CEST", "CET-1CEST,M3", "CET-1CEST,M3.5.0,M10.5.0x",
      "<+01-1", "A168", "A1:60", "A99999999999999999999", "A1B,M13.1.0,M1.1.0", "A1B,M1.6.0,M1.1.0",
      "A1B,M1.1.7,M1.1.0", "A1B,J0,J1", "A1B,0,366"} do
      assert.is_nil((zones.rule(bad)), bad)
    end
  end)

  it("refuse damaged files", function()
    local data = require("iza.core.zone").read "Europe/Paris"
    for n = 0, #data - 40, 37 do
      local ok, at = pcall(zones.parse, data:sub(1, n), "x")
      assert.is_true(ok, at)
      assert.is_nil(at)
    end
    assert.is_nil((zones.parse("", "x")))
    assert.is_nil((zones.parse(("TZif2"):rep(200), "x")))
  end)
end)

describe("iza.time far from now", function()
  it("stays in its second, however fine the fraction", function()
    for _, text in ipairs {"9999-12-31T23:59:59.999999999Z", "0001-01-01T00:00:00.999999999Z",
      "1969-12-31T23:59:59.9999999999999999999Z", "1970-01-01T00:00:00.9999999999999999999Z"} do
      local t = assert(time.parse(text))
      assert.equal(text:sub(1, 19), time.format(t, "%Y-%m-%dT%H:%M:%S"))
    end
    assert.equal(1.5, time.add(0.75, {seconds = 0.75}))
  end)
end)

describe("iza.time calendar", function()
  it("counts days both ways", function()
    assert.equal(0, calendar.days(1970, 1, 1))
    assert.equal(19782, calendar.days(2024, 2, 29))
    assert.equal(-719468, calendar.days(0, 3, 1))
    local last
    for n = -800000, 800000, 97 do
      local y, m, d = calendar.civil(n)
      assert.equal(n, calendar.days(y, m, d))
      local key = y * 10000 + m * 100 + d
      assert.is_true(not last or key > last)
      last = key
    end
    assert.same({2020, 53}, {calendar.iso_week(calendar.days(2021, 1, 3))})
    assert.same({2025, 1}, {calendar.iso_week(calendar.days(2024, 12, 30))})
  end)

  local function added(text, by, zone)
    return time.rfc3339(time.add(time.parse(text), by, zone), zone)
  end

  it("adds months and years with the day clamped", function()
    assert.equal("2024-02-29T10:00:00Z", added("2024-01-31T10:00:00Z", {months = 1}))
    assert.equal("2023-02-28T10:00:00Z", added("2023-01-31T10:00:00Z", {months = 1}))
    assert.equal("2025-02-28T00:00:00Z", added("2024-02-29T00:00:00Z", {years = 1}))
    assert.equal("2023-12-31T00:00:00Z", added("2024-01-31T00:00:00Z", {months = -1}))
    assert.equal("2024-03-01T00:00:00Z", added("2024-01-31T00:00:00Z", {months = 1, days = 1}))
    assert.equal("2025-03-31T00:00:00Z", added("2024-12-31T00:00:00Z", {months = 3}))
  end)

  it("keeps the time of day over days and real time over hours", function()
    assert.equal("2024-03-31T12:00:00+02:00", added("2024-03-30T12:00:00+01:00", {days = 1},
      "Europe/Paris"))
    assert.equal("2024-03-31T13:00:00+02:00", added("2024-03-30T12:00:00+01:00", {hours = 24},
      "Europe/Paris"))
    assert.equal("2024-03-31T03:30:00+02:00", added("2024-03-30T02:30:00+01:00", {days = 1},
      "Europe/Paris"))
    assert.equal("2024-10-27T02:30:00+01:00", added("2024-10-28T02:30:00+01:00", {days = -1},
      "Europe/Paris"))
    assert.equal("2024-10-27T02:30:00+02:00", added("2024-10-26T02:30:00+02:00", {days = 1},
      "Europe/Paris"))
    assert.equal(1.75, time.add(0.5, {seconds = 1.25}))
  end)

  it("refuses dates that do not exist", function()
    for _, d in ipairs {{year = 2023, month = 2, day = 29}, {year = 2023, month = 13},
      {year = 2023, day = 0},
      {year = 2023, hour = 24}, {year = 2023, min = 60}, {year = 2023, sec = 60}, {year = 2023.5},
        {month = 1}} do
      local t, err = time.of(d)
      assert.is_nil(t)
      assert.equal("invalid", err.code)
    end
    assert.has_error(function() time.date(0 / 0) end)
    assert.has_error(function() time.date(math.huge) end)
  end)
end)

describe("iza.time text", function()
  it("writes RFC 3339", function()
    assert.equal("1970-01-01T00:00:00Z", time.rfc3339(0))
    assert.equal("1969-12-31T23:59:59Z", time.rfc3339(-1))
    assert.equal("2024-03-31T03:00:00.123+02:00", time.rfc3339(1711846800.123, "Europe/Paris"))
    assert.equal("2024-03-31T01:00:00.999999Z", time.rfc3339(1711846800.9999998, nil, 6))
    assert.equal("2024-03-31T01:00:00.00Z", time.rfc3339(1711846800, nil, 2))
    assert.equal("2024-03-31T01:00:00Z", time.rfc3339(1711846800.9, nil, 0))
    assert.equal("1969-12-31T20:30:00-03:30", time.rfc3339(0, "-03:30"))
  end)

  it("reads the examples of RFC 3339 §5.8", function()
    assert.equal(482196050.52, (time.parse "1985-04-12T23:20:50.52Z"))
    assert.same({851042397, -28800}, {time.parse "1996-12-19T16:39:57-08:00"})
    assert.equal("1991-01-01T00:00:00Z", time.rfc3339(time.parse "1990-12-31T23:59:60Z"))
    assert.equal("1937-01-01T12:00:27+00:20",
      time.rfc3339(time.parse "1937-01-01T12:00:27.00+00:20"))
    assert.equal(0, (time.parse "1970-01-01 01:00:00+01:00"))
    assert.equal("integer", math.type((time.parse "1970-01-01T00:00:05.000z")))
  end)

  it("refuses what names no instant", function()
    for _, bad in ipairs {"", "2024-01-01", "2024-01-01T00:00:00", "2024-02-30T00:00:00Z",
      "2024-01-01T24:00:00Z",
      "2024-01-01T00:00:00.Z", "2024-01-01T00:00:61Z", "2024-01-01T00:00:00+0100",
        "2024-01-01T00:00:00+24:00",
      "24-01-01T00:00:00Z", " 2024-01-01T00:00:00Z", "2024-01-01T00:00:00Zx"} do
      local t, err = time.parse(bad)
      assert.is_nil(t, bad)
      assert.equal("invalid", err.code)
    end
  end)

  it("formats like strftime", function()
    local t = time.parse "2024-03-05T13:07:09.25Z"
    assert.equal("2024-03-05 13:07:09.250 +0000 UTC", time.format(t, "%F %T.%L %z %Z"))
    assert.equal("Tue Tuesday Mar March  5 01 PM 065 2 2 10 24%", time.format(t,
      "%a %A %b %B %e %I %p %j %u %w %V %y%%"))
    assert.equal("250000 1709644029", time.format(t, "%f %s"))
    assert.equal("14:07", time.format(t, "%R", "Europe/Paris"))
    assert.has_error(function() time.format(t, "%Q") end)
    assert.has_error(function() time.format(t, "%") end)
  end)

  it("writes and reads HTTP dates", function()
    assert.equal("Sun, 06 Nov 1994 08:49:37 GMT", time.http(784111777))
    for _, text in ipairs {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
      "Sun Nov  6 08:49:37 1994"} do
      assert.equal(784111777, time.parse_http(text))
    end
    assert.is_nil((time.parse_http "Sun, 06 Foo 1994 08:49:37 GMT"))
    assert.is_nil((time.parse_http "Sun, 31 Feb 1994 08:49:37 GMT"))
    assert.is_nil((time.parse_http "1994-11-06T08:49:37Z"))
  end)

  it("reads and writes durations", function()
    for text, seconds in pairs {["250ms"] = 0.25, ["1h30m"] = 5400, ["3d"] = 259200,
      ["1.5s"] = 1.5, ["-2m"] = -120,
      ["1w"] = 604800, ["10us"] = 1e-5, ["5ns"] = 5e-9, ["1d12h"] = 129600} do
      assert.equal(seconds, time.duration(text), text)
      assert.equal(seconds, time.duration(time.format_duration(seconds)), text)
    end
    assert.equal("integer", math.type(time.duration "1h"))
    assert.equal(1.5, time.duration(1.5))
    assert.equal("1h30m", time.format_duration(5400))
    assert.equal("1m0.25s", time.format_duration(60.25))
    assert.equal("0s", time.format_duration(0))
    assert.equal("100ms", time.format_duration(0.1))
    assert.equal("-1d", time.format_duration(-86400))
    for _, bad in ipairs {"", "5", "h", "1m1h", "1h1h", "1 h", "1y", "-", "1h-5m", "1e3s", true,
      0 / 0, "99999999w"} do
      assert.is_nil((time.duration(bad)), tostring(bad))
    end
  end)

  it("says how long ago", function()
    assert.equal("just now", time.ago(1000, 1000.5))
    assert.equal("1 second ago", time.ago(1000, 1001))
    assert.equal("3 minutes ago", time.ago(1000, 1180))
    assert.equal("in 2 hours", time.ago(8200, 1000))
    assert.equal("29 days ago", time.ago(0, 86400 * 29.5))
    assert.equal("2 years ago", time.ago(0, 86400 * 800))
    assert.equal("just now", time.ago(time.now()))
  end)
end)
