-- iza.http's requests against iza.http.serve on the same loop.
local http = require "iza.http"
local sigv4 = require "iza.http.sigv4"

local server, base
local hits = {} -- requests by path
local seen -- the last request's method, headers and body, as the handler of /echo saw them

local function counted(handler)
  return function(req)
    hits[req.path] = (hits[req.path] or 0) + 1
    return handler(req, hits[req.path])
  end
end

local function echo(req)
  seen = {method = req.method, headers = req.headers, query = req.query, body = req:text()}
  return {headers = {["X-Twice"] = {"a", "b"}}, json = {method = req.method}}
end

local routes = {
  ["ANY /echo"] = echo,
  ["GET /status/:code"] = function(req) return tonumber(req.params.code), "so it is" end,
  ["GET /to/*url"] = function(req)
    return {status = tonumber(req.query.status or 302), headers = {Location = req.query.to}}
  end,
  ["ANY /move"] = function(req)
    return {status = tonumber(req.query.status), headers = {Location = req.query.to or "/echo"}}
  end,
  ["GET /loop"] = counted(function() return {status = 302, headers = {Location = "/loop"}} end),
  ["ANY /flaky"] = counted(function(_, n)
    if n < 3 then return {status = 503, headers = {["Retry-After"] = "0"}} end
    return "at last"
  end),
  ["ANY /busy"] = counted(function()
    return {status = 429, headers = {["Retry-After"] = "3600"}}
  end),
  ["GET /slow"] = function() iza.sleep(60) return "late" end,
  ["GET /late-move"] = function()
    iza.sleep(0.05)
    return {status = 302, headers = {Location = "/slow"}}
  end,
  ["GET /lines"] = function()
    return {stream = function(w)
      for _, piece in ipairs {"one\ntw", "o\r\n", "\n", "three\nfour", " five"} do
        w:write(piece)
        iza.sleep(0.002)
      end
    end}
  end,
  ["GET /events"] = function()
    return {sse = function(s)
      s:send "plain"
      s:send{event = "sum", data = {n = 1}, id = "7", retry = 2}
      s:send{data = "two\nlines"}
    end}
  end,
  ["GET /flood"] = counted(function()
    return {stream = function(w)
      local piece = ("x"):rep(65536)
      for i = 1, 400 do
        hits.flood = i
        if not w:write(piece) then return end
      end
    end}
  end),
  ["POST /upload"] = function(req)
    local parts = {}
    for part in req:multipart() do
      parts[#parts + 1] = {name = part.name, filename = part.filename, text = part:text(),
        type = part.headers["content-type"]}
    end
    return {json = parts}
  end,
}

local function failing(f, ...)
  local ok, err = pcall(f, ...)
  assert.is_false(ok)
  return tostring(err)
end

describe("iza.http requests", function()
  setup(function()
    server = assert(http.serve{routes = routes, limits = {body = "8MB"}, hosts = {"127.0.0.1",
      "localhost"}})
    base = server.url
  end)

  teardown(function() server:stop{drain = 0} end)

  before_each(function() hits, seen = {}, nil end)

  it("gives status, headers in any case, and the body as text or JSON", function()
    local res = assert(http.get(base .. "/echo"))
    assert.equal(200, res.status)
    assert.is_true(res.ok)
    assert.equal("GET", res:json().method)
    assert.equal('{"method":"GET"}', res:text())
    assert.equal('{"method":"GET"}', res.body)
    assert.equal("application/json", res.headers["Content-Type"])
    assert.equal("a, b", res.headers["x-twice"])
    assert.same({"a", "b"}, res:values "X-Twice")
    assert.is_nil(res.headers["X-None"])
    assert.equal(base .. "/echo", res.url)
    assert.equal("HTTP 200 from " .. base .. "/echo", tostring(res))
  end)

  it("takes a bad status for an answer", function()
    local res = assert(http.get(base .. "/status/404"))
    assert.is_false(res.ok)
    assert.equal("so it is", res:text())
  end)

  it("sends every method", function()
    for _, name in ipairs {"post", "put", "patch", "delete"} do
      assert.is_true(http[name](base .. "/echo").ok)
      assert.equal(name:upper(), seen.method)
    end
    assert.equal("", http.head(base .. "/echo").body)
    http.request{method = "OPTIONS", url = base .. "/echo"}
    assert.equal("OPTIONS", seen.method)
    http.request{url = base .. "/echo", body = "x"}
    assert.equal("POST", seen.method)
  end)

  it("sends queries, headers and authentication", function()
    http.get(base .. "/echo?a=1#frag", {query = {b = "x y&"}, headers = {["X-N"] = 5,
      ["X-List"] = {"p", "q"}}, auth = {user = "u", password = "p:w"}})
    assert.same({a = "1", b = "x y&"}, {a = seen.query.a, b = seen.query.b})
    assert.equal("5", seen.headers["x-n"])
    assert.equal("p, q", seen.headers["x-list"])
    assert.equal("Basic dTpwOnc=", seen.headers.authorization)
    http.get(base .. "/echo", {auth = {bearer = "t"}})
    assert.equal("Bearer t", seen.headers.authorization)
  end)

  it("sends JSON, forms and bytes with their type", function()
    http.post(base .. "/echo", {json = {n = 1}})
    assert.equal('{"n":1}', seen.body)
    assert.equal("application/json", seen.headers["content-type"])
    http.post(base .. "/echo", {form = {a = "1 2", b = "ü"}})
    assert.equal("a=1+2&b=%C3%BC", seen.body)
    assert.equal("application/x-www-form-urlencoded", seen.headers["content-type"])
    http.post(base .. "/echo", {body = "\0\1", headers = {["Content-Type"] = "x/y"}})
    assert.equal("\0\1", seen.body)
    assert.equal("x/y", seen.headers["content-type"])
    http.post(base .. "/echo", {body = "plain"})
    assert.is_nil(seen.headers["content-type"])
    assert.equal("5", seen.headers["content-length"])
  end)

  it("sends a body piece by piece from a function that may wait", function()
    local left = 40
    http.post(base .. "/echo", {body = function()
      left = left - 1
      if left % 10 == 0 then iza.sleep(0.001) end
      return left >= 0 and ("p"):rep(50000) or nil
    end})
    assert.equal(("p"):rep(2000000), seen.body)
    assert.equal("chunked", seen.headers["transfer-encoding"])
  end)

  it("ends the request when the body's function fails", function()
    local text = failing(http.post, base .. "/echo", {body = function() error("no more", 0) end})
    assert.equal("no more", text)
  end)

  it("sends multipart with files of any size", function()
    local name = os.tmpname()
    local file = io.open(name, "wb")
    file:write(("f"):rep(200000))
    file:close()
    local res = assert(http.post(base .. "/upload", {multipart = {
      {name = 'quo"te', body = "text"},
      {name = "doc", file = name, filename = "a.txt", type = "text/plain"},
      {name = "last", body = ""},
    }}))
    os.remove(name)
    assert.same({
      {name = "quo%22te", text = "text"},
      {name = "doc", filename = "a.txt", text = ("f"):rep(200000), type = "text/plain"},
      {name = "last", text = ""},
    }, res:json())
    local none, err = http.post(base .. "/upload", {multipart = {{name = "x", file = "/nowhere"}}})
    assert.is_nil(none)
    assert.equal("ENOENT", err.code)
  end)

  it("follows redirects as the Fetch standard says", function()
    for _, case in ipairs {
      {301, "POST", "GET", ""}, {302, "POST", "GET", ""}, {303, "PUT", "GET", ""},
      {307, "POST", "POST", "b"}, {308, "PUT", "PUT", "b"}, {302, "PUT", "PUT", "b"},
    } do
      local res = assert(http.request{method = case[2], body = "b",
        url = base .. "/move?status=" .. case[1]})
      assert.equal(base .. "/echo", res.url)
      assert.same({case[3], case[4]}, {seen.method, seen.body}, case[1] .. " " .. case[2])
    end
  end)

  it("bounds redirects and can leave them alone", function()
    local none, err = http.get(base .. "/loop", {redirects = 3})
    assert.is_nil(none)
    assert.equal("redirects", err.code)
    assert.equal(4, hits["/loop"])
    assert.equal(302, http.get(base .. "/loop", {redirects = 0}).status)
    none, err = http.get(base .. "/move?status=302&to=file:///etc/passwd")
    assert.is_nil(none)
    assert.equal("invalid", err.code)
    none, err = http.post(base .. "/move?status=307", {body = function() end})
    assert.is_nil(none)
    assert.equal("redirects", err.code)
  end)

  it("keeps secrets from another origin", function()
    local other = base:gsub("127%.0%.0%.1", "localhost")
    local opts = {auth = {bearer = "t"}, headers = {Cookie = "c=1", ["X-Api-Key"] = "k",
      Accept = "x/y", ["Idempotency-Key"] = "i"}}
    http.get(base .. "/move?status=302", opts)
    assert.equal("k", seen.headers["x-api-key"])
    http.get(base .. "/move?status=302&to=" .. other .. "/echo", opts)
    assert.is_nil(seen.headers.authorization)
    assert.is_nil(seen.headers.cookie)
    assert.is_nil(seen.headers["x-api-key"])
    assert.equal("x/y", seen.headers.accept)
    assert.equal("i", seen.headers["idempotency-key"])
  end)

  it("asks before each hop", function()
    local asked = {}
    local none, err = http.get(base .. "/move?status=302", {allow = function(url)
      asked[#asked + 1] = url:sub(#base + 1)
      return #asked < 2
    end})
    assert.is_nil(none)
    assert.equal("denied", err.code)
    assert.same({"/move?status=302", "/echo"}, asked)
    assert.is_nil(seen)
  end)

  it("tries again only where that is safe", function()
    local res = http.get(base .. "/flaky")
    assert.same({200, 3, "at last"}, {res.status, res.tries, res.body})
    hits = {}
    assert.equal(503, http.post(base .. "/flaky", {body = "x"}).status)
    assert.equal(1, hits["/flaky"])
    hits = {}
    res = http.post(base .. "/flaky", {body = "x", headers = {["Idempotency-Key"] = "k"}})
    assert.equal("at last", res.body)
    hits = {}
    assert.equal(503, http.get(base .. "/flaky", {retry = false}).status)
    assert.equal(1, hits["/flaky"])
    hits = {}
    assert.equal(503, http.get(base .. "/flaky", {retry = {max = 5, on = {500}}}).status)
    assert.equal(1, hits["/flaky"])
  end)

  it("does not wait longer than allowed for another try", function()
    assert.equal(429, http.get(base .. "/busy").status)
    assert.equal(1, hits["/busy"])
    hits = {}
    assert.equal(429, http.get(base .. "/busy", {retry = {max_wait = "2h"}, timeout = 30}).status)
    assert.equal(1, hits["/busy"])
  end)

  it("tries a connection that never stood again, whatever the method", function()
    local gone = assert(http.serve{})
    local address = gone.url
    gone:stop{drain = 0}
    local none, err = http.post(address, {body = "x", retry = {max = 2, backoff = "1ms"}})
    assert.is_nil(none)
    assert.equal("connect", err.code)
    assert.is_true(err.retryable)
  end)

  it("names the limit that passed", function()
    local none, err = http.get(base .. "/slow", {timeout = 0.05})
    assert.is_nil(none)
    assert.equal("timeout", err.code)
    assert.matches("total limit of 0.05 s", err.message)
    none, err = http.get(base .. "/late-move", {timeout = 0.2})
    assert.is_nil(none)
    assert.matches("total limit of 0.2 s", err.message) -- not what the first hop left of it
    none, err = http.get(base .. "/slow", {timeouts = {first_byte = "50ms"}})
    assert.is_nil(none)
    assert.matches("first_byte limit", err.message)
  end)

  it("runs as many requests at a time as its limits say", function()
    local now, most = 0, 0
    local s = assert(http.serve{routes = {["GET /"] = function()
      now = now + 1
      most = math.max(most, now)
      iza.sleep(0.01)
      now = now - 1
      return "ok"
    end}})
    local before = http.limits()
    assert.same({per_host = 1024, total = 4096}, before)
    assert.same({per_host = 2, total = 4096}, http.limits{per_host = 2})
    local calls = {}
    for i = 1, 8 do calls[i] = function() assert(http.get(s.url)) end end
    iza.all(calls)
    http.limits(before)
    assert.equal(2, most)
    s:stop()
    assert.matches("unknown limit 'host'", failing(http.limits, {host = 1}))
    assert.matches("per_host must be an integer", failing(http.limits, {per_host = 0}))
  end)

  it("caps the size of an answer", function()
    local none, err = http.get(base .. "/flood", {max_size = "1MB"})
    assert.is_nil(none)
    assert.equal("too_large", err.code)
  end)

  it("aborts the transfer when its task is cancelled", function()
    local task = iza.spawn(function() http.get(base .. "/slow") end)
    repeat iza.sleep(0.002) until server:stats().active > 0
    task:cancel()
    assert.matches("cancelled", failing(task.join, task))
    repeat iza.sleep(0.002) until server:stats().active == 0
  end)

  it("raises misuse", function()
    assert.matches("unknown option 'jsno'", failing(http.get, base, {jsno = 1}))
    assert.matches("url must be a string", failing(http.get))
    assert.matches("two bodies", failing(http.post, base, {json = 1, body = "x"}))
    assert.matches("unknown option 'conect'", failing(http.get, base, {timeouts = {conect = 1}}))
    assert.matches("retry: unknown option 'maxx'", failing(http.get, base, {retry = {maxx = 1}}))
    assert.matches("timeout must be a duration", failing(http.get, base, {timeout = "soon"}))
    assert.matches("NUL byte", failing(http.get, base .. "/\0"))
  end)

  it("refuses what cannot be sent", function()
    local _, bare = http.get "127.0.0.1:8090/enrich?key=1"
    assert.equal("invalid", bare.code)
    assert.equal("bad URL: 127.0.0.1:8090/enrich has no scheme; put http:// or https:// in front",
      bare.message)
    for _, case in ipairs {
      {"ftp://x/"}, {"not a url"}, {base, {headers = {["X-A"] = "1\r\nX-B: 2"}}},
      {base, {headers = {["Content-Length"] = 1}}},
    } do
      local none, err = http.get(case[1], case[2])
      assert.is_nil(none)
      assert.equal("invalid", err.code)
    end
  end)
end)

describe("iza.http.stream", function()
  setup(function()
    server = assert(http.serve{routes = routes})
    base = server.url
  end)

  teardown(function() server:stop{drain = 0} end)

  before_each(function() hits, seen = {}, nil end)

  it("gives lines however they were split", function()
    local res <close> = assert(http.stream(base .. "/lines"))
    local lines = {}
    for line in res:lines() do lines[#lines + 1] = line end
    assert.same({"one", "two", "", "three", "four five"}, lines)
  end)

  it("gives pieces, text, and what lines left over", function()
    local res <close> = assert(http.stream(base .. "/lines"))
    assert.equal("one", res:line())
    local pieces = {}
    for piece in res:chunks() do pieces[#pieces + 1] = piece end
    assert.equal("two\r\n\nthree\nfour five", table.concat(pieces))
    assert.equal("one\ntwo\r\n\nthree\nfour five", http.stream(base .. "/lines"):text())
    local patched = http.stream(base .. "/echo", {method = "PATCH", body = "x"})
    assert.equal("PATCH", patched:json().method)
  end)

  it("gives server-sent events", function()
    local res <close> = assert(http.stream(base .. "/events"))
    local events = {}
    for event in res:sse() do events[#events + 1] = event end
    assert.same({
      {event = "message", data = "plain", id = ""},
      {event = "sum", data = '{"n":1}', id = "7", retry = 2},
      {event = "message", data = "two\nlines", id = "7", retry = 2},
    }, events)
  end)

  it("slows the sender down to the reader", function()
    local res <close> = assert(http.stream(base .. "/flood"))
    iza.sleep(0.2)
    assert.is_true(hits.flood < 300)
    local size = 0
    for piece in res:chunks() do size = size + #piece end
    assert.equal(400 * 65536, size)
  end)

  it("ends the transfer when it is closed", function()
    do
      local res <close> = assert(http.stream(base .. "/flood"))
      assert.is_string(res:chunk())
    end
    repeat iza.sleep(0.002) until server:stats().active == 0
    assert.is_true(hits.flood < 400)
    local res = assert(http.stream(base .. "/flood"))
    res:close()
    res:close()
    local none, err = res:chunk()
    assert.is_nil(none)
    assert.equal("closed", err.code)
  end)

  it("saves to a file, whole or not at all", function()
    local name = os.tmpname()
    assert.equal(400 * 65536, http.stream(base .. "/flood"):save(name))
    assert.equal(400 * 65536, io.open(name):seek "end")
    os.remove(name)
    local none, err = http.stream(base .. "/flood", {max_size = "1MB"}):save(name)
    assert.is_nil(none)
    assert.equal("too_large", err.code)
    assert.is_nil(io.open(name))
    none, err = http.stream(base .. "/lines"):save("/nowhere/x")
    assert.is_nil(none)
    assert.equal("ENOENT", err.code)
  end)

  it("raises when a stream is cut, so that half is not taken for the whole", function()
    local res <close> = assert(http.stream(base .. "/flood", {max_size = "1MB"}))
    assert.matches("larger than the limit", failing(function()
      for _ in res:chunks() do end -- luacheck: ignore
    end))
  end)

  it("follows and tries again before the first byte", function()
    local res <close> = assert(http.stream(base .. "/move?status=302&to=/lines"))
    assert.equal("one", res:line())
    local again <close> = assert(http.stream(base .. "/flaky"))
    assert.equal("at last", again:text())
    assert.equal(3, again.tries)
  end)
end)

describe("iza.http over TLS and Unix sockets", function()
  local dir

  local function run(command, ...) assert(os.execute(command:format(...))) end

  setup(function()
    dir = os.tmpname()
    os.remove(dir)
    run("mkdir %s", dir)
    run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj " ..
      "/CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout %s/key.pem " ..
      "-out %s/cert.pem 2>/dev/null", dir, dir)
  end)

  teardown(function() run("rm -r %s", dir) end)

  it("verifies the server", function()
    local tls = assert(http.serve{tls = {cert = dir .. "/cert.pem", key = dir .. "/key.pem"},
      routes = {["GET /"] = function() return "secret" end}})
    local none, err = http.get(tls.url)
    assert.is_nil(none)
    assert.equal("tls", err.code)
    assert.equal("secret", http.get(tls.url, {ca = dir .. "/cert.pem"}).body)
    assert.equal("secret", http.get(tls.url, {insecure = true}).body)
    local other = tls.url:gsub("127%.0%.0%.1", "127.0.0.2") -- not in the certificate
    none, err = http.get(other, {ca = dir .. "/cert.pem", retry = false})
    assert.is_nil(none)
    assert.is_true(err.code == "tls" or err.code == "connect")
    tls:stop{drain = 0}
  end)

  it("holds many connections at a time", function()
    local tls = assert(http.serve{tls = {cert = dir .. "/cert.pem", key = dir .. "/key.pem"},
      routes = {["GET /:n"] = function(req) iza.sleep(0.01) return req.params.n:rep(1000) end}})
    local opts, sum = {ca = dir .. "/cert.pem"}, 0
    iza.scope(function(scope)
      for i = 1, 60 do
        scope:spawn(function()
          local size = #assert(http.get(tls.url .. "/" .. i, opts)).body
          sum = sum + size
        end)
      end
    end)
    assert.equal(9 * 1000 + 51 * 2000, sum)
    tls:stop{drain = 0}
  end)

  it("speaks over a Unix socket", function()
    local path = dir .. "/s"
    local local_server = assert(http.serve{host = "unix:" .. path,
      routes = {["GET /x"] = function() return "here" end}})
    assert.equal("here", http.get("http://localhost/x", {socket = path}).body)
    local_server:stop{drain = 0}
  end)
end)

describe("iza.http.sigv4", function()
  local suite = {region = "us-east-1", service = "service", access_key = "AKIDEXAMPLE",
    secret_key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
  local s3 = {region = "us-east-1", service = "s3", access_key = "AKIAIOSFODNN7EXAMPLE",
    secret_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
  local at_suite, at_s3 = 1440938160, 1369353600
  local host = "https://example.amazonaws.com"
  local form = {"Content-Type", "application/x-www-form-urlencoded"}

  local function authorization(request, aws, now)
    request.fields = request.fields or {}
    local fields = assert(sigv4.sign(request, aws, now))
    for i = 1, #fields, 2 do
      if fields[i] == "Authorization" then return fields[i + 1] end
    end
  end

  it("reproduces the signatures that AWS published", function()
    -- the AWS Signature Version 4 test suite, then "GET Object" of the S3 API Reference
    for _, case in ipairs {
      {suite, at_suite, {method = "GET", url = host .. "/"},
        "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
      {suite, at_suite, {method = "GET", url = host .. "/?Param2=value2&Param1=value1"},
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
      {suite, at_suite,
        {method = "POST", url = host .. "/", fields = form, bytes = "Param1=value1"},
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
      {suite, at_suite, {method = "GET", url = host .. "/",
        fields = {"My-Header1", " value1", "My-Header2", ' "a   b   c"'}},
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
      {s3, at_s3, {method = "GET", url = "https://examplebucket.s3.amazonaws.com/test.txt",
        fields = {"Range", "bytes=0-9"}},
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
    } do
      assert.equal(case[4], authorization(case[3], case[1], case[2]):match "Signature=(%x+)$")
    end
    assert.equal("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
      .. "SignedHeaders=host;x-amz-date, Signature="
      .. "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
      authorization({method = "GET", url = host .. "/"}, suite, at_suite))
  end)

  it("signs requests as they are sent", function()
    local got
    local aws_server = assert(http.serve{routes = {["ANY /*path"] = function(req)
      got = req.headers
      return "ok"
    end}})
    assert(http.put(aws_server.url .. "/a b/é", {body = "x", aws = {region = "r", service = "s3",
      access_key = "A", secret_key = "S", session_token = "T"}}))
    assert.matches("^AWS4%-HMAC%-SHA256 Credential=A/%d+/r/s3/aws4_request", got.authorization)
    assert.matches("host;x%-amz%-content%-sha256;x%-amz%-date;x%-amz%-security%-token",
      got.authorization)
    assert.equal("T", got["x-amz-security-token"])
    assert.equal("2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881",
      got["x-amz-content-sha256"])
    aws_server:stop{drain = 0}
  end)
end)
