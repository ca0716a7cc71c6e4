local json = require "iza.json"
local log = require "iza.log"
local core = require "iza.core.term"

-- What a program writes on standard error, with these variables.
local function errors_of(code, env)
  local r = assert(iza.exec {os.getenv "IZA", "-e", code, env = env, timeout = "20s"})
  return r.stderr
end

describe("iza.log in the environment", function()
  it("takes level and form", function()
    local code = "iza.log.debug 'low' iza.log.error 'high'"
    local both = errors_of(code, {IZA_LOG_LEVEL = "Debug", IZA_LOG = "text"})
    assert.truthy(both:find "DEBUG low\n.*ERROR high\n$", both)
    local one = errors_of(code, {IZA_LOG_LEVEL = "error", IZA_LOG = "JSON"})
    local line = json.decode(one)
    assert.same({"error", "high"}, {line.level, line.msg})
    assert.truthy(errors_of(code, {IZA_LOG_LEVEL = "error", IZA_LOG = "text"}):find "ERROR high\n$")
    assert.truthy(errors_of(code, {IZA_LOG_LEVEL = false, IZA_LOG = false}):find '"msg":"high"')
  end)

  it("tells what it does not know", function()
    local text = errors_of("iza.log.info 'x'", {IZA_LOG_LEVEL = "nope", IZA_LOG = "xml"})
    assert.truthy(text:find("IZA_LOG_LEVEL is debug, info, warn or error, not nope", 1, true), text)
    assert.truthy(text:find("IZA_LOG is text or json, not xml", 1, true), text)
    assert.truthy(text:find '"msg":"x"', text)
    assert.equal("", errors_of("iza.log.debug 'x'", {IZA_LOG_LEVEL = "warn", IZA_LOG = "json"}))
  end)
end)

describe("iza.log", function()
  local lines, kept
  before_each(function()
    lines, kept = {}, core.write
    core.write = function(fd, text)
      lines[#lines + 1] = fd == 2 and text or "wrong stream" return true
    end
    log.set_form "json"
    log.set_level "info"
  end)
  after_each(function() core.write = kept end)

  local function last()
    assert.equal("\n", lines[#lines]:sub(-1))
    assert.equal(1, select(2, lines[#lines]:gsub("\n", "")))
    return json.decode(lines[#lines])
  end

  it("writes one JSON object a line, in one write", function()
    log.info("order paid", {order = 7, cents = 4900, nested = {a = {1, 2}}, ok = true})
    assert.equal(1, #lines)
    local line = last()
    assert.equal("order paid", line.msg)
    assert.equal("info", line.level)
    assert.equal(4900, line.cents)
    assert.same({1, 2}, line.nested.a)
    assert.truthy(line.time:match "^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ$")
    assert.truthy(lines[1]:match '^{"time":"[^"]+","level":"info","msg":"order paid","cents":4900')
  end)

  it("keeps its own fields apart from those of the caller", function()
    log.info("m", {msg = "other", level = "x"})
    local line = last()
    assert.equal("m", line.msg)
    assert.equal("other", line.msg_)
    assert.equal("x", line.level_)
  end)

  it("drops what is below the level", function()
    log.debug("no")
    log.set_level "warn"
    log.info("no")
    log.warn("yes")
    log.error("yes")
    assert.equal(2, #lines)
    log.set_level "debug"
    log.debug("yes")
    assert.equal(3, #lines)
    assert.has_error(function() log.set_level "loud" end)
  end)

  it("never writes secrets, however they are spelled and however deep", function()
    for _, key in ipairs {"password", "Authorization", "api_key", "apiKey", "X-API-Key",
      "access_token", "accessToken",
      "Set-Cookie", "client_secret", "token", "STRIPE_SECRET_KEY", "private_key", "dbPassword",
        "aws-access-key"} do
      log.info("m", {a = {{[key] = "s3cr3t"}}, [key] = {"s3cr3t"}})
      assert.falsy(lines[#lines]:find("s3cr3t", 1, true), key)
      assert.truthy(lines[#lines]:find("[redacted]", 1, true), key)
    end
    log.info("sent Authorization: Bearer s3cr3t", {header = "Basic czNjcjN0",
      list = {"bearer s3cr3t"}})
    assert.falsy(lines[#lines]:find("s3cr3t", 1, true))
    assert.falsy(lines[#lines]:find("czNjcjN0", 1, true))
  end)

  it("leaves alone what only resembles a secret", function()
    log.info("m", {prompt_tokens = 12, max_tokens = 5, key = "k", author = "a", tokenizer = "t",
      keyboard = "b"})
    local line = last()
    assert.equal(12, line.prompt_tokens)
    assert.equal("k", line.key)
    assert.equal("t", line.tokenizer)
  end)

  it("survives cycles, depth, functions, NaN, broken UTF-8 and odd keys", function()
    local t = {f = print, nan = 0 / 0, bad = "\xff", [true] = 1, [1.5] = 2}
    t.self = t
    local deep = {}
    for _ = 1, 50 do deep = {deep} end
    log.warn("m\xff", {t = t, deep = deep, list = {1, nil, 3}, mixed = {1, a = 2},
      err = setmetatable({}, {
      __tostring = function() return "one line" end})})
    local line = last()
    assert.equal("[cycle]", line.t.self)
    assert.equal("one line", line.err)
    assert.equal("?", line.t.bad)
    assert.equal(2, line.mixed.a)
    log.info(("x"):rep(100000))
    assert.is_true(#lines[#lines] < 5000)
  end)

  it("gives child loggers their fields", function()
    local l = log.with({order = 7}):with {step = "charge"}
    l:info("m", {n = 1})
    local line = last()
    assert.equal(7, line.order)
    assert.equal("charge", line.step)
    assert.equal(1, line.n)
    log.info("m")
    assert.is_nil(last().order)
  end)

  it("writes text that no field can break out of", function()
    log.set_form "text"
    log.warn("two\nlines \27[2J", {a = "plain", b = "two words", c = "x\ny", n = 5})
    local text = lines[1]:gsub("\27%[[%d;]*m", "")
    assert.truthy(
      text:match "^%S+Z WARN  two lines �%[2J a=plain b=\"two words\" c=\"x\\ny\" n=5\n$", text)
  end)
end)
