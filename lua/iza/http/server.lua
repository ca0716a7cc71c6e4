--- HTTP servers: routes, middleware, answers.
---
--- Each request runs its handler in a task of its own. The handler returns the answer; what it
--- waits for is cancelled when the client leaves. An error answers 500 with the request's id; the
--- log has the whole report under the same id.
local core = require "iza.core.http_server"
local json = require "iza.core.json"
local task = require "iza.core.task"
local misuse = require "iza.misuse"
local options = require "iza.options"

local server = {}

local respond, encode, wrap = core.respond, json.encode, core.wrap

--- What a URL or a form says is UTF-8, otherwise it is answered with 400; headers and bodies may be
--- any bytes.
---@class iza.Request
---@field method string
---@field path string as sent, percent-encoded, without the query
---@field params table<string, string> of the route, decoded
---@field query table<string, string> decoded; of equal names the first (query_all has all)
---@field query_string string behind the "?", as sent
---@field headers table<string, string> names in any case
---@field host string
---@field remote string the client's address, or "unix:UID"
---@field id string the same in the access log and in errors
local methods = core.methods

---@class iza.Response
---@field status? integer 200 unless given
---@field headers? table<string, string|string[]>
---@field json? any sent as JSON
---@field html? string
---@field text? string
---@field body? string sent as it is; give a Content-Type in headers
---@field file? string path of a file, with its type by name; as 200 also with ETag and ranges
---@field stream? fun(w: iza.ResponseWriter) writes the body piece by piece; not called for HEAD
---@field sse? fun(s: iza.EventWriter) sends server-sent events until it returns; not for HEAD

---@alias iza.Handler fun(req: iza.Request): iza.Response|string|integer|nil, any

---@class iza.ServerLimits
---@field header? integer|string bytes of a request head, at most 48 KB; default "16KB" (then 431)
---@field body? integer|string bytes of a request body; default "1MB" (then 413)
---@field connections? integer default 10000
---@field rate? number requests a second for each client address; default: no limit (then 429)
---@field burst? number how many at once; default: as rate
---@field time? number|string until the handler, middleware included, has returned its answer (then
--- 503); default: no limit. The bodies of stream and sse come after that: `stall` bounds them
---@field header_time? number|string until a head is complete; default 10 s
---@field idle? number|string how long an idle connection is kept; default 75 s
---@field stall? number|string how long a client may not take what we send; default 30 s
---@field body_rate? integer|string bytes a second a body must come at, over 5 s; default 240

---@class iza.ServerOptions
---@field host? string address or name, or "unix:/path"; default "127.0.0.1"
---@field port? integer default: any free one; see server.port
---@field routes? table<string, iza.Handler> by "GET /orders/:id", "GET /files/*path", "ANY /x"
---@field middleware? (fun(req: iza.Request, next: iza.Handler): any, any)[] the first is outermost
---@field static? table<string, string> folders by prefix: {["/assets"] = "web/assets"}
---@field tls? {cert: string, key: string} PEM files
---@field limits? iza.ServerLimits
---@field access_log? boolean|string true: JSON lines on stdout; or a file to append to
---@field hosts? string[] Host names served; default: on loopback its own names, elsewhere all
---@field develop? boolean answers of failed requests show the whole error
---@field reuse_port? boolean several processes share the port (default: in a worker)

-- ---- the body of a request ----

--- The whole body as a string.
--- Example: `local text, err = req:text()`
---@return string? text
---@return table? err "too_large", "timeout", "invalid"; return nil, err answers accordingly
methods.text = core.text

--- The body decoded from JSON.
--- Example: `local order, err = req:json() if err then return nil, err end`
---@return any value
---@return table? err code "invalid" with line and column, or as text()
function methods:json()
  local text, err = core.text(self)
  if not text then return nil, err end
  local value
  value, err = json.decode(text)
  if err then err.status = 400 end
  return value, err
end

-- JSON and databases take no other text.
local function check_utf8(fields)
  for name, value in pairs(fields) do
    if not (utf8.len(name) and utf8.len(value)) then
      local err = task.error("invalid", "the form's text is not UTF-8")
      err.status = 400
      return nil, err
    end
  end
  return fields
end

--- The fields of an HTML form, urlencoded or multipart without files; of equal names the first.
--- Example: `local form = req:form()  print(form.email)`
---@return table<string, string>? fields
---@return table? err
function methods:form()
  local type = self.headers["content-type"] or ""
  if type:lower():find("^multipart/form%-data") then
    local fields = {}
    for part, err in self:multipart() do
      if not part then return nil, err end
      local text
      text, err = part:text()
      if not text then return nil, err end
      if not fields[part.name] then fields[part.name] = text end
    end
    return check_utf8(fields)
  end
  local text, err = core.text(self)
  if not text then return nil, err end
  return check_utf8(core.parse_form(text))
end

--- All values of a query parameter.
--- Example: `for _, tag in ipairs(req:query_all("tag")) do print(tag) end`
---@param name string
---@return string[]
function methods:query_all(name) return core.parse_form(self.query_string, name) end

-- An iterator over a function that returns a value, nil at the end, or nil and an error. The error
-- is handed out once, behind false: nil would end the loop before anybody saw it.
local function iterate(step)
  local over = false
  return function()
    if over then return nil end
    local value, err = step()
    if value ~= nil then return value end
    over = true
    if err then return false, err end
    return nil
  end
end

--- Walks the body in pieces, as they come. A failure gives `false, err` once and ends the walk.
--- Example: `for piece, err in req:body() do if err then return nil, err end f:write(piece) end`
---@return fun(): string|false|nil, table?
function methods:body()
  return iterate(function() return core.read(self) end)
end

---@class iza.Part
---@field name string
---@field filename string? as the client sent it: never a path to trust
---@field headers table<string, string>
local Part = {}
Part.__index = Part
Part.__name = "part"

--- The next piece of the part's content; nil at its end.
---@return string? piece
---@return table? err
function Part:read() return core.part_data(self.parser) end

--- The whole content.
---@return string? text
---@return table? err
function Part:text()
  local pieces = {}
  while true do
    local piece, err = core.part_data(self.parser)
    if err then return nil, err end
    if not piece then return table.concat(pieces) end
    pieces[#pieces + 1] = piece
  end
end

--- Writes the content to a file as it arrives; returns its size. The file appears when it is
--- whole: a cut upload leaves what was there.
--- Example: `local size, err = part:save("data/uploads/" .. id)`
---@param path string
---@return integer? size
---@return table? err
function Part:save(path)
  return require("iza.save")(path, function() return core.part_data(self.parser) end)
end

--- Walks the parts of a multipart/form-data body as they come; what is not read of a part is passed
--- over. A failure gives `false, err` once and ends the walk.
--- Example: `for part in req:multipart() do if part.filename then part:save(path) end end`
---@return fun(): iza.Part|false|nil, table?
function methods:multipart()
  local parser, failure = core.multipart(self)
  return iterate(function()
    if not parser then return nil, failure end
    local name, filename, headers = core.next_part(parser)
    if not name then return nil, filename end
    local part = {parser = parser, name = name, filename = filename, headers = headers}
    return setmetatable(part, Part)
  end)
end

-- ---- answers ----

---@class iza.ResponseWriter
local Writer = {}
Writer.__index = Writer
Writer.__name = "response writer"

--- Sends a piece; waits while the client has not taken what was sent before.
---@param data string
---@return true? ok
---@return table? err code "closed"
function Writer:write(data) return core.write(self.req, data) end

---@class iza.EventWriter
local Events = {}
Events.__index = Events
Events.__name = "event writer"

--- Sends one event; a table as data is sent as JSON. Waits while the client is behind.
--- Example: `s:send{event = "progress", data = {done = 3, of = 9}}`
---@param event string|{data: any, event: string?, id: string?, retry: number|string?}
---@return true? ok
---@return table? err code "closed"
function Events:send(event)
  if type(event) == "string" then return core.sse(self.req, event) end
  local data = event.data
  if data ~= nil and type(data) ~= "string" then
    local err
    data, err = encode(data)
    if not data then error(err) end
  end
  return core.sse(self.req, data, event.event, event.id, event.retry)
end

local function send_json(req, status, value, headers)
  local text, err = encode(value)
  if not text then error(err, 0) end
  return respond(req, status, text, "application/json", headers)
end

-- How each kind of body is sent.
local senders = {}

function senders.json(req, status, answer)
  return send_json(req, status, answer.json, answer.headers)
end
function senders.text(req, status, answer)
  return respond(req, status, answer.text, "text/plain; charset=utf-8", answer.headers)
end
function senders.html(req, status, answer)
  return respond(req, status, answer.html, "text/html; charset=utf-8", answer.headers)
end
function senders.body(req, status, answer)
  return respond(req, status, answer.body, nil, answer.headers)
end
function senders.file(req, status, answer)
  return core.file(req, status, answer.file, nil, answer.headers)
end
function senders.stream(req, status, answer)
  if core.start(req, status, nil, "application/octet-stream", answer.headers) then
    answer.stream(setmetatable({req = req}, Writer))
  end
  return core.finish(req)
end
function senders.sse(req, status, answer)
  if status ~= 200 then error("an answer with sse has the status 200: clients take no other", 0) end
  if core.start_sse(req, 15, answer.headers) then
    answer.sse(setmetatable({req = req}, Events))
  end
  return core.finish(req)
end

local answer_names = {"status", "headers", "json", "html", "text", "body", "file", "stream", "sse"}

local function refuse_field(key)
  local guess = type(key) == "string" and require("iza.nearest")(key, answer_names)
  error(("an answer has no field %q%s: it has status, headers and one of json, html, text, " ..
    "body, file, stream, sse"):format(tostring(key),
    guess and "; did you mean " .. guess .. "?" or ""), 0)
end

local function send_table(req, status, answer)
  local body
  for key in next, answer do
    if senders[key] then
      if body then error(("an answer has one body, not %s and %s"):format(body, key), 0) end
      body = key
    elseif key ~= "status" and key ~= "headers" then
      refuse_field(key)
    end
  end
  if not body then return respond(req, status, nil, nil, answer.headers) end
  return senders[body](req, status, answer)
end

local function error_body(req, code, message)
  return {error = {code = code, message = message, id = req.id}}
end

-- A handler's nil, err: what the body functions returned says its status itself.
local function send_error(req, err)
  if type(err) == "table" and err.status then
    return send_json(req, err.status, error_body(req, err.code, err.message))
  end
  error(err, 0)
end

local function check_status(status)
  if math.type(status) == "integer" and status >= 200 and status <= 599 then return status end
  error(("the status of an answer is an integer from 200 to 599, not %s"):format(
    tostring(status)), 0)
end

local function send(req, a, b)
  local kind = type(a)
  if kind == "table" then return send_table(req, check_status(a.status or 200), a) end
  if kind == "string" then return respond(req, 200, a, "text/plain; charset=utf-8") end
  if kind == "number" then
    check_status(a)
    if type(b) == "table" then return send_table(req, a, b) end
    return respond(req, a, b, b and "text/plain; charset=utf-8")
  end
  if a == nil and b == nil then return respond(req, 204) end
  if a == nil then return send_error(req, b) end
  error("a handler returns a table, a string, or a status and one of them; got a " .. kind, 0)
end

local develop = setmetatable({}, {__mode = "k"}) -- handlers whose failures are shown
local given_as = setmetatable({}, {__mode = "k"}) -- handler -> the function of routes

-- Whether some code outside the library was running when it failed.
local function names_user_code(trace)
  for file in (trace or ""):gmatch "\n%s*([^%[\n][^\n]-):%d+:" do
    if not ("/" .. file):find("/lua/iza/", 1, true) then return true end
  end
  return false
end

-- What a handler returned may be wrong when it has left the stack: says whose answer it was.
local function name_handler(req, handler, err)
  if names_user_code(err.trace) then return end
  local info = debug.getinfo(given_as[handler] or handler, "S")
  err.message = ("%s:%d: the handler of %s %s: %s"):format(info.short_src, info.linedefined,
    req.method, req.path, (err.message:gsub("^[^\n]*lua/iza/[%w_/]+%.lua:%d+: ", "")))
end

local function fail(req, handler, err)
  local state = core.state(req)
  if err.code == "cancelled" then
    if state == "open" then
      send_json(req, 503, error_body(req, "unavailable", "the server is stopping"))
    end
    return
  end
  name_handler(req, handler, err)
  local report = core.report(err)
  core.log(("request %s %s %s failed: %s"):format(req.id, req.method, req.path, report))
  if state ~= "open" then return end
  local message = develop[handler] and report or "internal error; the log has the details"
  send_json(req, 500, error_body(req, "internal", message))
end

local function handle(handler, req) return send(req, handler(req)) end

-- The body of every request's task.
local function run(handler, req)
  local open <close> = req -- luacheck: ignore
  local ok, err = xpcall(handle, wrap, handler, req)
  if not ok then fail(req, handler, err) end
end

-- ---- middleware ----

-- What middleware gets from next is always a table.
local function as_table(a, b)
  local kind = type(a)
  if kind == "table" then return a end
  if kind == "string" then return {text = a} end
  if kind == "number" then
    local answer = {status = a}
    if type(b) == "table" then
      for key, value in pairs(b) do answer[key] = value end
    else
      answer.text = b
    end
    return answer
  end
  if a == nil and b == nil then return {status = 204} end
  return a, b
end

local function chain(middleware, handler)
  for i = #middleware, 1, -1 do
    local outer, inner = middleware[i], handler
    local function next(req) return as_table(inner(req)) end
    handler = function(req) return outer(req, next) end
  end
  return handler
end

local function limited(handler, duration)
  local timeout = require("iza.task").timeout
  return function(req)
    local a, b = timeout(duration, function() return table.pack(handler(req)) end)
    if a then return table.unpack(a, 1, a.n) end
    if b and b.code == "timeout" then
      return 503, {json = error_body(req, "timeout", "the handler took too long")}
    end
    return nil, b
  end
end

-- ---- the server ----

---@class iza.Server
---@field host string
---@field port integer
---@field url string
local Server = {}
Server.__index = Server
Server.__name = "server"

-- Workers (`iza --workers N`) serve on one port unless told otherwise.
local function shared_port(opts)
  if opts.reuse_port ~= nil then return opts.reuse_port end
  return os.getenv "IZA_WORKER" ~= nil
end

local serve_fields = {host = "string", port = "integer", routes = "table", middleware = "table",
  static = "table", tls = "table", limits = "table", hosts = "table", develop = "boolean",
  reuse_port = "boolean", access_log = "boolean|string"}

local tls_fields = {cert = "string", key = "string"}

local limit_fields = {header = "size", body = "size", connections = "integer", rate = "number",
  burst = "number", time = "duration", header_time = "duration", idle = "duration",
  stall = "duration", body_rate = "size"}

local function check_list(name, list, kind)
  for i, value in ipairs(list or {}) do
    if type(value) ~= kind then
      misuse("iza.http.serve: %s[%d] must be a %s, got %s", name, i, kind, type(value))
    end
  end
end

local function check_rate(limits)
  if limits.rate and not (limits.rate > 0 and limits.rate < math.huge) then
    misuse("iza.http.serve: limits: rate must be greater than 0, got %s", tostring(limits.rate))
  elseif limits.burst and not (limits.burst >= 1 and limits.rate) then
    misuse(limits.rate and "iza.http.serve: limits: burst must be at least 1"
      or "iza.http.serve: limits: burst needs rate")
  end
end

local function core_options(opts)
  local limits = options.check("iza.http.serve: limits", "ServerLimits", opts.limits, limit_fields)
  local tls = options.check("iza.http.serve: tls", "ServerOptions", opts.tls, tls_fields)
  check_rate(limits)
  check_list("middleware", opts.middleware, "function")
  check_list("hosts", opts.hosts, "string")
  local given = {host = opts.host, port = opts.port, static = opts.static, run = run,
    access_log = opts.access_log, reuse_port = shared_port(opts), patterns = {}, handlers = {},
    hosts = opts.hosts and table.concat(opts.hosts, " "),
    cert = tls.cert, key = tls.key}
  for key, value in pairs(limits) do
    given[key] = value
  end
  if opts.tls and not (tls.cert and tls.key) then
    misuse "iza.http.serve: tls needs cert and key, the paths of PEM files"
  end
  return given
end

local function add_routes(given, opts)
  local limits = opts.limits or {}
  for pattern, handler in pairs(opts.routes or {}) do
    if type(handler) ~= "function" then
      misuse("iza.http.serve: the handler of %q must be a function", tostring(pattern))
    end
    local own = handler
    handler = chain(opts.middleware or {}, handler)
    if limits.time then handler = limited(handler, limits.time) end
    given_as[handler] = own
    if opts.develop then develop[handler] = true end
    table.insert(given.patterns, pattern)
    table.insert(given.handlers, handler)
  end
end

-- The task that stands for the server in the scope it was started in: the scope is not over as long
-- as it serves; when the scope is cancelled, the server drains.
local function keep(self)
  local guard <close> = self.guard -- luacheck: ignore
  while not self.stopping do task.park() end
end

-- What an error leaves of a server that was being made.
local half = {__close = function(h, err) if err then h.self:stop{drain = 0} end end}

--- Starts a server and returns at once; it serves until it is stopped or its scope is cancelled.
--- Example: `iza.http.serve{port = 8080, routes = {["GET /"] = function() return "hi" end}}`
---@param opts iza.ServerOptions
---@return iza.Server? server
---@return table? err "EADDRINUSE", "EACCES" ...: the message says what to do
function server.serve(opts)
  opts = options.check("iza.http.serve", "ServerOptions", opts, serve_fields)
  local given = core_options(opts)
  add_routes(given, opts)
  local host = opts.host or "127.0.0.1"
  local self = setmetatable({host = host, drain = 4, stopping = false}, Server)
  self.guard = setmetatable({}, {__close = function()
    if self.handle then core.stop(self.handle, self.drain) end
  end})
  local _ <close> = setmetatable({self = self}, half)
  self.keeper = task.spawn(keep, self)
  local fits, listening, err = pcall(core.listen, given)
  if not fits then misuse("iza.http.serve: %s", listening) end
  if not listening then
    self:stop()
    return nil, err
  end
  self.handle = listening
  core.keep(self.handle, self.keeper)
  self.port = core.port(self.handle)
  if host:find("^unix:") then
    self.url = host
  else
    self.url = ("%s://%s:%d"):format(opts.tls and "https" or "http",
      host:find(":", 1, true) and "[" .. host .. "]" or host, self.port)
  end
  return self
end

--- Stops accepting, lets requests in work finish, and returns when all is over.
--- Example: `s:stop{drain = 5}`
---@param opts? {drain: number|string} how long requests may still take; default 5 s
function Server:stop(opts)
  self.drain = opts and opts.drain or 5
  self.stopping = true
  if self.keeper then task.unpark(self.keeper) end
  if self.handle then core.stop(self.handle, self.drain) end
end

--- Counters since the start: connections and active (now), accepted, requests, refused, limited,
--- bytes_in, bytes_out.
--- Example: `print(s:stats().requests)`
---@return table<string, integer>
function Server:stats() return core.stats(self.handle) end

return server
