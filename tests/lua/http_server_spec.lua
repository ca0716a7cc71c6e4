local serve = require("iza.http.server").serve
local json = require "iza.json"

-- Serves as opts say on a free port while f(server) runs.
local function with(opts, f)
  local s, err = serve(opts)
  assert.is_nil(err)
  local stop <close> = setmetatable({}, {__close = function() -- luacheck: ignore
    s:stop{drain = 1}
  end})
  return f(s)
end

-- curl's output: status line, headers and body as they came.
local function curl(s, path, ...)
  local r = assert(iza.exec{"curl", "-s", "-i", "-m", "10", s.url .. path, ...})
  return (r.stdout:gsub("\r\n", "\n"))
end

local function body_of(answer) return answer:match("\n\n(.*)$") end

local function routes(t) return {routes = t} end

-- Sends bytes as they are; what came within the seconds, and whether the server closed.
local function raw(s, bytes, seconds)
  local r = assert(iza.exec{"bash", "-c",
    'exec 3<>/dev/tcp/127.0.0.1/$0; cat >&3; timeout $1 cat <&3', s.port, seconds or 0.3,
    stdin = bytes})
  return r.stdout, r.status == 0
end

describe("iza.http.serve", function()
  it("answers with a string, a table, a status, nothing", function()
    with(routes{
      ["GET /text"] = function() return "plain" end,
      ["GET /json"] = function() return {json = {a = 1}} end,
      ["GET /html"] = function() return {html = "<p>", headers = {["X-A"] = {"1", "2"}}} end,
      ["GET /made"] = function() return 201, {json = {id = 7}} end,
      ["GET /short"] = function() return 418 end,
      ["GET /none"] = function() end,
    }, function(s)
      local text = curl(s, "/text")
      assert.truthy(text:find("^HTTP/1.1 200 OK\nDate: "))
      assert.truthy(text:find("Content-Type: text/plain; charset=utf-8\n", 1, true))
      assert.equal("plain", body_of(text))
      assert.equal('{"a":1}', body_of(curl(s, "/json")))
      local html = curl(s, "/html")
      assert.truthy(html:find("X-A: 1\n", 1, true) and html:find("X-A: 2\n", 1, true))
      assert.truthy(html:find("text/html", 1, true))
      assert.truthy(curl(s, "/made"):find("^HTTP/1.1 201 Created"))
      assert.truthy(curl(s, "/short"):find("^HTTP/1.1 418 "))
      assert.truthy(curl(s, "/none"):find("^HTTP/1.1 204 No Content\n"))
    end)
  end)

  it("names the handler whose answer is wrong", function()
    local function first_line(handler)
      return with({develop = true, routes = {["GET /a"] = handler}}, function(s)
        return json.decode(body_of(curl(s, "/a"))).error.message:match "^[^\n]*"
      end)
    end
    local function named(what, handler)
      local info = debug.getinfo(handler, "S")
      assert.equal(("%s:%d: the handler of GET /a: %s"):format(info.short_src, info.linedefined,
        what), first_line(handler))
    end
    named("the status of an answer is an integer from 200 to 599, not 42",
      function() return 42 end)
    named('an answer has no field "jsn"; did you mean json?: it has status, headers and one of '
      .. "json, html, text, body, file, stream, sse", function() return {jsn = 1} end)
    named('an answer has no field "staus"; did you mean status?: it has status, headers and one of '
      .. "json, html, text, body, file, stream, sse",
      function() return {json = 1, staus = 404} end)
    named("an answer with sse has the status 200: clients take no other",
      function() return {status = 404, sse = print} end)
    assert.matches("an answer has one body, not %a+ and %a+$",
      first_line(function() return {json = 1, text = "a"} end))
    named("schade", function() return nil, "schade" end)
    named("a handler returns a table, a string, or a status and one of them; got a boolean",
      function() return true end)
    local own = function()
      local t = {}
      return t.a.b
    end
    assert.matches("attempt to index a nil value", first_line(own))
    assert.not_matches("the handler of", first_line(own))
  end)

  it("ends the waits of other tasks for a request that is over", function()
    local told = iza.channel(1)
    with(routes{["POST /"] = function(req)
      iza.spawn(function()
        local _, err = pcall(req.text, req)
        told:send(tostring(err))
      end)
      iza.sleep(0)
      return "early"
    end}, function(s)
      local answer = raw(s, "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n\r\n")
      assert.truthy(answer:find "early$")
      assert.matches("the request is over", (told:recv(2)))
    end)
  end)

  it("gives the request's parts", function()
    with(routes{
      ["GET /o/:id/*rest"] = function(req)
        return {json = {method = req.method, path = req.path, id = req.params.id,
          rest = req.params.rest, a = req.query.a, all = req:query_all("a"), host = req.host,
          agent = req.headers["USER-agent"], remote = req.remote, query = req.query_string}}
      end,
    }, function(s)
      local t = json.decode(body_of(curl(s, "/o/a%20b/c/d%2Fe?a=1+2&b&a=%33", "-A", "me")))
      assert.same({method = "GET", path = "/o/a%20b/c/d%2Fe", id = "a b", rest = "c/d/e", a = "1 2",
        all = json.array{"1 2", "3"}, host = "127.0.0.1:" .. s.port, agent = "me",
        remote = "127.0.0.1", query = "a=1+2&b&a=%33"}, t)
    end)
  end)

  it("answers unknown paths and methods in JSON", function()
    with(routes{["GET /a"] = function() return "a" end, ["PUT /a"] = function() return "b" end},
      function(s)
        local missing = curl(s, "/b")
        assert.truthy(missing:find("^HTTP/1.1 404 "))
        assert.equal("not_found", json.decode(body_of(missing)).error.code)
        local wrong = curl(s, "/a", "-X", "DELETE")
        assert.truthy(wrong:find("^HTTP/1.1 405 "))
        assert.truthy(wrong:find("Allow: GET, HEAD, PUT, OPTIONS\n", 1, true))
        assert.equal("method_not_allowed", json.decode(body_of(wrong)).error.code)
        assert.truthy(curl(s, "/a", "-X", "OPTIONS"):find("^HTTP/1.1 204 "))
        assert.equal("", body_of(curl(s, "/a", "-I")))
      end)
  end)

  it("reads bodies: text, JSON, forms, pieces", function()
    with(routes{
      ["POST /text"] = function(req) return req:text() .. "|" .. req:text() end,
      ["POST /json"] = function(req)
        local value, err = req:json()
        if err then return nil, err end
        return {json = {got = value.n}}
      end,
      ["POST /form"] = function(req)
        local form = req:form()
        return form.a .. "," .. form["b c"]
      end,
      ["POST /pieces"] = function(req)
        local n = 0
        for piece in req:body() do n = n + #piece end
        return {json = n}
      end,
    }, function(s)
      assert.equal("x=1|x=1", body_of(curl(s, "/text", "-d", "x=1")))
      assert.equal('{"got":5}', body_of(curl(s, "/json", "-d", '{"n":5}')))
      local bad = curl(s, "/json", "-d", '{"n":}')
      assert.truthy(bad:find("^HTTP/1.1 400 "))
      assert.equal("invalid", json.decode(body_of(bad)).error.code)
      assert.equal("1 2,ä", body_of(curl(s, "/form", "-d", "a=1+2&b+c=%C3%A4")))
      assert.equal("1,2", body_of(curl(s, "/form", "-F", "a=1", "-F", "b c=2")))
      local big = ("x"):rep(900000)
      local r = assert(iza.exec{"curl", "-s", "-T", "-", "-X", "POST", s.url .. "/pieces",
        stdin = big})
      assert.equal("900000", r.stdout)
    end)
  end)

  it("takes UTF-8 in URLs and forms, nothing else", function()
    with(routes{
      ["GET /echo/:name"] = function(req) return {json = {req.params.name, req.query.q}} end,
      ["POST /form"] = function(req)
        local form, err = req:form()
        if not form then return nil, err end
        return {json = form}
      end,
    }, function(s)
      for escaped, text in pairs{["%C3%A4%E2%82%AC%F0%9F%98%80"] = "ä€😀", ["a%C3%A4b"] = "aäb"} do
        assert.same(json.array{text, text},
          json.decode(body_of(curl(s, "/echo/" .. escaped .. "?q=" .. escaped))))
      end
      assert.same(json.array{"x", "%C%zz%"}, json.decode(body_of(curl(s, "/echo/x?q=%C%zz%"))))
      for _, escaped in ipairs{"%FF", "%C3", "%C3x%A4", "%C0%AF", "%ED%A0%80", "a%80"} do
        assert.truthy(curl(s, "/echo/x?q=" .. escaped):find("^HTTP/1.1 400 "), escaped)
        assert.truthy(curl(s, "/echo/" .. escaped):find("^HTTP/1.1 400 "), escaped)
        assert.truthy(curl(s, "/form", "-d", "a=" .. escaped):find("^HTTP/1.1 400 "), escaped)
      end
      assert.truthy(curl(s, "/form", "-F", "a=\xff"):find("^HTTP/1.1 400 "))
      assert.equal('{"a":"ä"}', body_of(curl(s, "/form", "-F", "a=ä")))
    end)
  end)

  it("refuses a body beyond the limit", function()
    with({routes = {["POST /"] = function(req) return req:text() end}, limits = {body = "1KB"}},
      function(s)
        local big = ("x"):rep(2000)
        assert.truthy(curl(s, "/", "-d", big):find("^HTTP/1.1 413 "))
        assert.truthy(curl(s, "/", "-d", big, "-H", "Transfer-Encoding: chunked")
          :find("HTTP/1.1 413 ", 1, true))
      end)
  end)

  it("streams the parts of a multipart body", function()
    local dir = os.tmpname()
    os.remove(dir)
    with(routes{
      ["POST /"] = function(req)
        local seen = {}
        for part, err in req:multipart() do
          if err then return nil, err end
          local row = {name = part.name, filename = part.filename,
            type = part.headers["Content-Type"]}
          if part.filename then row.size = part:save(dir) else row.text = part:text() end
          seen[#seen + 1] = row
        end
        return {json = seen}
      end,
    }, function(s)
      local file = os.tmpname()
      local f = assert(io.open(file, "wb"))
      f:write(("\r\n--"):rep(50000))
      f:close()
      local t = json.decode(body_of(curl(s, "/", "-F", "a=hello", "-F",
        "f=@" .. file .. ";filename=x.bin;type=text/x", "-F", "z=")))
      assert.same({name = "a", text = "hello"}, t[1])
      assert.same({name = "f", filename = "x.bin", type = "text/x", size = 200000}, t[2])
      assert.same({name = "z", text = ""}, t[3])
      f = assert(io.open(dir, "rb"))
      assert.equal(("\r\n--"):rep(50000), f:read("a"))
      f:close()
      os.remove(file)
      os.remove(dir)
      assert.truthy(curl(s, "/", "-d", "a=1"):find("^HTTP/1.1 415 "))
      assert.truthy(curl(s, "/", "-H", "Content-Type: multipart/form-data; boundary=B", "-d", "--B")
        :find("^HTTP/1.1 400 "))
    end)
  end)

  it("an upload that is cut leaves the file that was there", function()
    local path, failure = os.tmpname(), nil
    assert(iza.fs.write(path, "old"))
    local over = iza.channel(1)
    with(routes{
      ["POST /"] = function(req)
        local size, err = req:multipart()():save(path)
        failure = {size, err and err.code}
        over:send(true)
        return {status = 400}
      end,
    }, function(s)
      raw(s, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 200\r\nConnection: close\r\n"
        .. "Content-Type: multipart/form-data; boundary=B\r\n\r\n--B\r\n"
        .. 'Content-Disposition: form-data; name=a; filename=b\r\n\r\nnew content')
      over:recv "5s"
    end)
    assert.same({nil, "invalid"}, failure)
    assert.equal("old", iza.fs.read(path))
    assert.equal("invalid", select(2, require("iza.save")(path, function()
      return nil, iza.error("invalid", "no more")
    end)).code)
    os.remove(path)
  end)

  it("runs middleware outside in, and shows it answers as tables", function()
    local order = {}
    with({
      middleware = {
        function(req, next)
          order[#order + 1] = "a"
          req.user = "me"
          local answer = next(req)
          answer.headers = {["X-Status"] = tostring(answer.status or 200)}
          return answer
        end,
        function(req, next)
          order[#order + 1] = "b"
          if req.query.stop then return 403, "no" end
          return next(req)
        end,
      },
      routes = {["GET /"] = function(req) return "hi " .. req.user end},
    }, function(s)
      local answer = curl(s, "/")
      assert.equal("hi me", body_of(answer))
      assert.truthy(answer:find("X-Status: 200\n", 1, true))
      assert.same({"a", "b"}, order)
      answer = curl(s, "/?stop=1")
      assert.truthy(answer:find("^HTTP/1.1 403 "))
      assert.truthy(answer:find("X-Status: 403\n", 1, true))
    end)
  end)

  it("answers an error with 500 and an id, and lives on", function()
    local handlers = {
      ["GET /fail"] = function() error("secret detail") end,
      ["GET /misuse"] = function() return {jsn = 1} end,
      ["GET /cr"] = function() return {text = "", headers = {["X-A"] = "a\r\nB: c"}} end,
      ["GET /cycle"] = function()
        local t = {}
        t.t = t
        return {json = t}
      end,
      ["GET /ok"] = function() return "ok" end,
    }
    with(routes(handlers), function(s)
      for _, path in ipairs{"/fail", "/misuse", "/cr", "/cycle"} do
        local answer = curl(s, path)
        assert.truthy(answer:find("^HTTP/1.1 500 "), path)
        local err = json.decode(body_of(answer)).error
        assert.truthy(err.id:find("^%x+%-%x+$"))
        assert.falsy(answer:find("secret", 1, true))
      end
      assert.equal("ok", body_of(curl(s, "/ok")))
    end)
    with({routes = handlers, develop = true}, function(s)
      assert.truthy(curl(s, "/fail"):find("secret detail", 1, true))
      assert.truthy(curl(s, "/misuse"):find("no field", 1, true))
    end)
  end)

  it("holds a stream back while its client does not read", function()
    local written = 0
    with(routes{
      ["GET /"] = function()
        return {stream = function(w)
          local piece = ("x"):rep(100000)
          while w:write(piece) do written = written + #piece end
        end}
      end,
    }, function(s)
      local idle <close> = assert(iza.exec{"bash", "-c", [[exec 3<>/dev/tcp/127.0.0.1/$0
        printf 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n' >&3; sleep 60]], s.port, stream = true})
      local before
      repeat -- until it stands still: what the kernel's buffers hold, some MB, is gone then
        before = written
        iza.sleep(0.3)
        assert.truthy(written < 64 << 20, "64 MB are queued for a client that reads nothing")
      until written > 0 and written == before
      idle:kill("SIGKILL")
    end)
  end)

  it("streams and sends events", function()
    with(routes{
      ["GET /stream"] = function()
        return {headers = {["Content-Type"] = "text/csv"}, stream = function(w)
          for _ = 1, 200 do w:write(("0123456789"):rep(1000)) end
        end}
      end,
      ["GET /events"] = function()
        return {sse = function(e)
          e:send("a\nb")
          e:send{event = "n", id = "1", data = {x = 1}}
        end}
      end,
      ["GET /broken"] = function()
        return {stream = function(w)
          w:write("some")
          error("half-way")
        end}
      end,
    }, function(s)
      local answer = curl(s, "/stream")
      assert.truthy(answer:find("Transfer-Encoding: chunked\n", 1, true))
      assert.truthy(answer:find("Content-Type: text/csv\n", 1, true))
      assert.equal(2000000, #body_of(answer))
      assert.equal("data: a\ndata: b\n\nevent: n\nid: 1\ndata: {\"x\":1}\n\n",
        body_of(curl(s, "/events")))
      local r = assert(iza.exec{"curl", "-s", s.url .. "/broken"})
      assert.equal("some", r.stdout)
      assert.equal(18, r.status) -- curl: transfer closed with data outstanding
    end)
  end)

  it("cancels the handler when the client leaves", function()
    local left, began
    local at_end = {__close = function() left = iza.now() end}
    with(routes{
      ["GET /"] = function()
        local gone <close> = setmetatable({}, at_end) -- luacheck: ignore
        began = true
        iza.sleep(30)
      end,
    }, function(s)
      local started = iza.now()
      iza.exec{"curl", "-s", "-m", "0.2", s.url .. "/"}
      for _ = 1, 100 do
        if left then break end
        iza.sleep(0.01)
      end
      assert.truthy(began and left)
      assert.truthy(left - started < 1.5)
    end)
  end)

  it("serves files, whole and in part", function()
    local dir = os.tmpname()
    os.remove(dir)
    assert(iza.exec{"sh", "-c", [[
      mkdir -p $0/sub/.git $0/idx && cd $0 && printf 0123456789 >a.txt && echo '<p>' >idx/index.html
      echo secret >sub/.git/config && ln -s /etc/passwd out && ln -s a.txt in
      ln -s ../.. sub/up && head -c 300000 /dev/zero >big.bin]], dir, check = true})
    with({static = {["/f"] = dir}, routes = {
      ["GET /one"] = function() return {file = dir .. "/a.txt", headers = {["X-A"] = "b"}} end,
      ["GET /lost"] = function() return {status = 404, file = dir .. "/big.bin"} end,
    }}, function(s)
      local whole = curl(s, "/f/a.txt")
      assert.equal("0123456789", body_of(whole))
      assert.truthy(whole:find("Content-Type: text/plain; charset=utf-8\n", 1, true))
      local etag, modified = whole:match("ETag: (%S+)\n"), whole:match("Last%-Modified: ([^\n]+)\n")
      local function header(path, line) return curl(s, path, "-H", line) end
      assert.truthy(header("/f/a.txt", "If-None-Match: " .. etag):find("^HTTP/1.1 304 "))
      assert.truthy(header("/f/a.txt", 'If-None-Match: W/"x", W/' .. etag):find("^HTTP/1.1 304 "))
      assert.truthy(header("/f/a.txt", 'If-None-Match: "x"'):find("^HTTP/1.1 200 "))
      assert.truthy(header("/f/a.txt", "If-Modified-Since: " .. modified):find("^HTTP/1.1 304 "))
      local old = "Tue, 15 Nov 1994 08:12:31 GMT"
      for line, status in pairs{
        ['If-Match: "x"'] = 412, ["If-Match: W/" .. etag] = 412, ["If-Match: *"] = 200,
        ['If-Match: "x", ' .. etag] = 200, ["If-Unmodified-Since: " .. old] = 412,
        ["If-Unmodified-Since: " .. modified] = 200, ["If-Unmodified-Since: then"] = 200,
      } do
        assert.truthy(header("/f/a.txt", line):find("^HTTP/1.1 " .. status), line)
      end
      local order = curl(s, "/f/a.txt", "-H", "If-Unmodified-Since: " .. old, "-H", "If-Match: "
        .. etag, "-H", "If-None-Match: " .. etag, "-H", "Range: bytes=99-")
      assert.truthy(order:find("^HTTP/1.1 304 "))
      local part = header("/f/a.txt", "Range: bytes=2-4")
      assert.truthy(part:find("^HTTP/1.1 206 "))
      assert.truthy(part:find("Content-Range: bytes 2-4/10\n", 1, true))
      assert.equal("234", body_of(part))
      assert.equal("789", body_of(header("/f/a.txt", "Range: bytes=-3")))
      assert.equal("89", body_of(header("/f/a.txt", "Range: bytes=8-99")))
      assert.truthy(header("/f/a.txt", "Range: bytes=10-"):find("^HTTP/1.1 416 "))
      assert.truthy(header("/f/a.txt", "Range: bytes=0-1,3-4"):find("^HTTP/1.1 200 "))
      assert.equal("0123456789", body_of(curl(s, "/f/a.txt", "-H", "Range: bytes=0-1", "-H",
        'If-Range: "old"')))
      assert.equal(300000, #body_of(curl(s, "/f/big.bin")))
      assert.equal(200000, #body_of(header("/f/big.bin", "Range: bytes=100000-")))
      local head = curl(s, "/f/big.bin", "-I")
      assert.truthy(head:find("Content-Length: 300000\n", 1, true))
      assert.equal("", body_of(head))
      head = curl(s, "/f/big.bin", "-I", "-H", "Range: bytes=0-9")
      assert.truthy(head:find("^HTTP/1.1 200 .*\nContent%-Length: 300000\n"))
      assert.equal("0123456789", body_of(curl(s, "/f/in")))
      assert.equal("<p>\n", body_of(curl(s, "/f/idx/")))
      assert.truthy(curl(s, "/f/idx"):find("^HTTP/1.1 301 .*Location: /f/idx/\n"))
      assert.truthy(curl(s, "/f/idx?a=1&b"):find("\nLocation: /f/idx/?a=1&b\n", 1, true))
      for _, path in ipairs{"/f/out", "/f/sub/up/etc/passwd", "/f/sub/.git/config", "/f/none",
        "/f/sub/", "/f/a.txt/"} do
        assert.truthy(curl(s, path):find("^HTTP/1.1 404 "), path)
      end
      for _, path in ipairs{"/f/../etc/passwd", "/f/%2e%2e/x", "/f/..%2fx", "/f/a%00.txt"} do
        assert.truthy(curl(s, path, "--path-as-is"):find("^HTTP/1.1 400 "), path)
      end
      assert.truthy(curl(s, "/f/a.txt", "-X", "POST"):find("^HTTP/1.1 405 "))
      local one = curl(s, "/one")
      assert.equal("0123456789", body_of(one))
      assert.truthy(one:find("X-A: b\n", 1, true) and one:find("Accept-Ranges", 1, true))
      local lost = header("/lost", "Range: bytes=0-9")
      assert.truthy(lost:find("^HTTP/1.1 404 "))
      assert.equal(300000, #body_of(lost))
    end)
    iza.exec{"rm", "-rf", dir}
  end)

  it("speaks TLS 1.2 and 1.3", function()
    local dir = os.tmpname()
    os.remove(dir)
    assert(iza.exec{"sh", "-c", [[mkdir $0 && cd $0 && openssl req -x509 -newkey ec -pkeyopt \
      ec_paramgen_curve:P-256 -nodes -keyout k.pem -out c.pem -days 2 -subj /CN=localhost \
      -addext subjectAltName=IP:127.0.0.1 2>/dev/null]], dir, check = true})
    local tls = {cert = dir .. "/c.pem", key = dir .. "/k.pem"}
    with({tls = tls, routes = {
      ["GET /"] = function() return "safe" end,
      ["GET /big"] = function() return {body = ("x"):rep(1000000)} end,
      ["POST /"] = function(req) return {json = #req:text()} end,
    }}, function(s)
      assert.truthy(s.url:find("^https://"))
      for _, version in ipairs{"1.2", "1.3"} do
        assert.equal("safe", body_of(curl(s, "/", "--cacert", tls.cert, "--tls-max", version)))
      end
      assert.equal(1000000, #body_of(curl(s, "/big", "--cacert", tls.cert)))
      local big = os.tmpname()
      local f = assert(io.open(big, "wb"))
      f:write(("y"):rep(700000))
      f:close()
      assert.equal("700000", body_of(curl(s, "/", "--cacert", tls.cert, "-H", "Expect:",
        "--data-binary", "@" .. big)))
      os.remove(big)
      local old = iza.exec{"curl", "-s", "--cacert", tls.cert, "--tls-max", "1.1", s.url}
      assert.equal("", old.stdout)
      local text, closed = raw(s, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 2)
      assert.falsy(text:find("safe", 1, true))
      assert.truthy(closed)
    end)
    local s, err = serve{tls = {cert = dir .. "/c.pem", key = dir .. "/none.pem"}}
    assert.is_nil(s)
    assert.truthy(err.message:find("none.pem", 1, true))
    iza.exec{"rm", "-rf", dir}
  end)

  it("limits rate and time, and takes hosts", function()
    with({routes = {
      ["GET /"] = function() return "ok" end,
      ["GET /slow"] = function() iza.sleep(30) end,
      ["GET /long"] = function()
        return {stream = function(w)
          iza.sleep(0.2)
          w:write("done")
        end}
      end,
    }, middleware = {function(req, next)
      if req.query.wait then iza.sleep(30) end
      return next(req)
    end}, limits = {rate = 0.001, burst = 6, time = "100ms"}, hosts = {"shop.example"}}, function(s)
      assert.truthy(curl(s, "/slow"):find("^HTTP/1.1 503 "))
      assert.truthy(curl(s, "/?wait=1"):find("^HTTP/1.1 503 "))
      assert.equal("done", body_of(curl(s, "/long")))
      assert.equal("ok", body_of(curl(s, "/", "-H", "Host: shop.example")))
      assert.truthy(curl(s, "/", "-H", "Host: evil.example"):find("^HTTP/1.1 421 "))
      assert.equal("ok", body_of(curl(s, "/")))
      local limited = curl(s, "/")
      assert.truthy(limited:find("^HTTP/1.1 429 "))
      assert.truthy(limited:find("Retry-After: 1000\n", 1, true))
    end)
  end)

  it("looks for the authority in Origin alone", function()
    with({routes = {["POST /"] = function() return "in" end}, hosts = {"shop.example"}},
      function(s)
        local function post(origin, ...)
          return curl(s, "/", "-d", "", "-H", "Host: shop.example", "-H", "Origin: " .. origin, ...)
        end
        assert.equal("in", body_of(post "https://shop.example"))
        assert.truthy(post("https://evil.example"):find("^HTTP/1.1 403 "))
        assert.truthy(post("null", "-H", "X-A: x://shop.example:1"):find("^HTTP/1.1 403 "))
        local heads = {} -- of every length: some fill their memory to the last byte
        for n = 1, 1100 do
          heads[n] = "POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 0\r\nX-A: " ..
            ("x"):rep(n) .. "\r\nOrigin: null\r\n\r\n"
        end
        local answers = select(2, raw(s, table.concat(heads)):gsub("HTTP/1.1 403 ", ""))
        assert.equal(1100, answers)
      end)
  end)

  it("writes an access log", function()
    local path = os.tmpname()
    with({routes = {["GET /a"] = function() return "hello" end}, access_log = path}, function(s)
      curl(s, "/a?secret=1")
      curl(s, "/b")
    end)
    local rows = {}
    for line in io.lines(path) do rows[#rows + 1] = json.decode(line) end
    os.remove(path)
    assert.equal(2, #rows)
    assert.same({"GET", "/a", 200, 5, "127.0.0.1"},
      {rows[1].method, rows[1].path, rows[1].status, rows[1].bytes, rows[1].addr})
    assert.equal(404, rows[2].status)
    assert.truthy(rows[1].ms >= 0 and rows[1].time:find("^%d+%-%d+%-%d+T") and rows[1].id)
  end)

  it("goes on serving when nobody reads the access log, or its disk is full", function()
    local fifo = os.tmpname()
    os.remove(fifo)
    assert(iza.exec{"mkfifo", fifo}.ok)
    local fifo_ends = assert(io.open(fifo, "r+")) -- both: opening waits for nobody
    local path = "/" .. ("x"):rep(4000)
    with({routes = {["GET /*rest"] = function() return "hello" end}, access_log = fifo},
      function(s)
        local url = "http://127.0.0.1:" .. s.port .. path
        for i = 1, 50 do assert.equal("hello", iza.http.get(url .. i).body) end
        local log, i = assert(iza.exec{"head", "-n", "50", fifo, timeout = "20s"}).stdout, 0
        for line in log:gmatch "[^\n]+" do
          i = i + 1
          assert.equal(path .. i, json.decode(line).path)
        end
        assert.equal(50, i)
      end)
    fifo_ends:close()
    os.remove(fifo)
    with({routes = {["GET /"] = function() return "hello" end}, access_log = "/dev/full"},
      function(s)
        for _ = 1, 5 do assert.truthy(curl(s, "/"):find("hello", 1, true)) end
      end)
  end)

  it("listens on a unix socket and tells who asks", function()
    local path = os.tmpname()
    os.remove(path)
    with({host = "unix:" .. path, routes = {["GET /"] = function(req) return req.remote end}},
      function()
        local r = assert(iza.exec{"curl", "-s", "--unix-socket", path, "http://x/"})
        local uid = assert(iza.exec{"id", "-u"}).stdout:match("%d+")
        assert.equal("unix:" .. uid, r.stdout)
      end)
  end)

  it("drains: requests in work are answered, then all is over", function()
    local s = assert(serve{routes = {["GET /"] = function() iza.sleep(0.3) return "done" end}})
    local task = iza.spawn(function() return curl(s, "/") end)
    iza.sleep(0.1)
    s:stop{drain = 5}
    local answer = task:join()
    assert.equal("done", body_of(answer))
    assert.truthy(answer:find("Connection: close\n", 1, true))
    assert.equal(7, (iza.exec{"curl", "-s", s.url}).status) -- curl: could not connect
    s:stop()
  end)

  it("ends handlers that outlive the drain", function()
    local started, cancelled
    local at_end = {__close = function() cancelled = true end}
    local s = assert(serve{routes = {["GET /"] = function()
      local mark <close> = setmetatable({}, at_end) -- luacheck: ignore
      started = true
      iza.sleep(30)
    end}})
    local task = iza.spawn(function() return curl(s, "/") end)
    while not started do iza.sleep "5ms" end
    s:stop{drain = 0.1}
    assert.is_true(cancelled)
    task:join()
  end)

  it("names what is wrong with its options", function()
    with({}, function(s)
      local other, err = serve{port = s.port}
      assert.is_nil(other)
      assert.equal("EADDRINUSE", err.code)
      assert.truthy(err.message:find("another port", 1, true))
    end)
    local s, err = serve{routes = {["GET a"] = print}}
    assert.is_nil(s)
    assert.truthy(err.message:find('"GET a"', 1, true))
    s, err = serve{static = {["/x"] = "/no/such/folder"}}
    assert.is_nil(s)
    assert.equal("ENOENT", err.code)
    for expected, opts in pairs{
      ["unknown option 'prot'"] = {prot = 80},
      ["limits: unknown option 'bdy'"] = {limits = {bdy = 1}},
      ["handler of \"GET /\" must be a function"] = {routes = {["GET /"] = "text"}},
      ["rate must be greater than 0, got %-1"] = {limits = {rate = -1}},
      ["burst must be at least 1"] = {limits = {rate = 1, burst = 0.5}},
      ["burst needs rate"] = {limits = {burst = 2}},
      ["time must be a duration"] = {limits = {time = "x"}},
      ["serve: connections: a whole number from 1"] = {limits = {connections = 0}},
      ["serve: port: a whole number from 0 to 65535"] = {port = 99999},
      ["serve: limits.header: 256 bytes to 48 KB"] = {limits = {header = "1MB"}},
      ["middleware%[1%] must be a function, got number"] = {middleware = {1}},
      ["hosts%[2%] must be a string, got table"] = {hosts = {"a", {}}},
      ["tls: cert must be a string"] = {tls = {cert = 1, key = "k.pem"}},
      ["tls needs cert and key"] = {tls = {cert = "c.pem"}},
    } do
      local ok, why = pcall(serve, opts)
      assert.is_false(ok, expected)
      assert.matches("http_server_spec.lua:%d+: iza.http.serve: .*" ..
        expected:gsub("^serve: ", ""), tostring(why))
    end
  end)
end)
