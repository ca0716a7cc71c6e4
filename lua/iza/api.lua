--- The HTTP API of a running iza, and stage 7 of its start: one set of routes, served on a port of
--- loopback and on the socket DATA/iza.sock.
---
--- Over the port every request needs `Authorization: Bearer TOKEN` (DATA/token), but for GET
--- /api/health; over the socket the uid of the process that runs iza, or root. A system adds its
--- routes with api.add before the stage starts.
local crypto = require "iza.crypto"
local fail = require "iza.fail"
local host = require "iza.core.host"
local misuse = require "iza.misuse"
local owner = require "iza.owner"

local api = {routes = {}}

---@class iza.StartContext
---@field data string the data directory
---@field host string
---@field port integer
---@field token string
---@field started number iza.now() at the start
---@field stages table[] what became of each stage so far
---@field say fun(text: string) tells the user something at once
---@field url? string where the API answers

-- The start this process serves for; the routes below tell about it.
local context ---@type iza.StartContext

--- Adds routes, as iza.http.serve takes them, under "/api/".
--- Example: `api.add{["GET /api/queues"] = list}`
---@param routes table<string, iza.Handler>
function api.add(routes)
  for pattern, handler in pairs(routes) do
    if not pattern:find "^%u+ /api/" then misuse "a route of the API begins with /api/" end
    if api.routes[pattern] then misuse("%s is there already", pattern) end
    api.routes[pattern] = handler
  end
end

--- What GET /api/status answers.
---@return table
function api.status()
  return {
    version = require "iza.version", pid = host.pid(), data = context.data, url = context.url,
    uptime = math.floor((iza.now() - context.started) * 1000) / 1000, stages = context.stages,
  }
end

api.add {
  ["GET /api/health"] = function() return {json = {ok = true}} end,
  ["GET /api/status"] = function() return {json = api.status()} end,
}

-- ---- who may ask ----

local function refuse(status, code, message)
  return {status = status, json = {error = {code = code, message = message}},
    headers = status == 401 and {["WWW-Authenticate"] = "Bearer"} or nil}
end

local function by_token(req, next)
  if req.path == "/api/health" then return next(req) end
  local given = (req.headers["authorization"] or ""):match "^[Bb]earer +(%S+)$"
  if given and crypto.equal(given, context.token) then return next(req) end
  return refuse(401, "unauthorized", "send Authorization: Bearer with the content of DATA/token")
end

--- Middleware of the socket: lets in who runs iza, and root.
---@param req {remote: string} "unix:UID"
---@param next fun(req: table): any
---@return any
function api.by_uid(req, next)
  local uid = math.tointeger(tonumber(req.remote:match "^unix:(%d+)$"))
  if uid == host.uid() or uid == 0 then return next(req) end
  return refuse(403, "forbidden", "this socket is for the user who runs iza")
end

-- ---- the stage ----

local function serve_port(ctx)
  local server, err = iza.http.serve {
    host = ctx.host, port = ctx.port, routes = api.routes, middleware = {by_token},
  }
  if not server then return nil, err end
  ctx.url = server.url:gsub("//0%.0%.0%.0:", "//127.0.0.1:"):gsub("//%[::%]:", "//[::1]:")
  return server
end

--- The path of a data directory's socket.
---@param data string
---@return string
function api.socket(data) return data .. "/iza.sock" end

-- What the address of a socket can hold.
local MAX_SOCKET = 107

--- Whether the socket of a data directory can be served: its path has a limit.
---@param data string
---@return true? ok
---@return iza.Error? err code "too_long"
function api.check_socket(data)
  if #api.socket(data) <= MAX_SOCKET then return true end
  local _, err = fail("too_long", "%s: its name is too long for the socket in it, by %d bytes",
    data, #api.socket(data) - MAX_SOCKET)
  err.cure = "a data directory with a shorter name: --data DIR, or IZA_DATA"
  return nil, err
end

local function serve_socket(ctx)
  local fits, err = api.check_socket(ctx.data)
  if not fits then return nil, err end
  return iza.http.serve {host = "unix:" .. api.socket(ctx.data), routes = api.routes,
    middleware = {api.by_uid}}
end

--- The server that owns a data directory.
--- Example: `local pid, err = api.server(project.data_dir())`
---@param data string
---@return integer? pid
---@return iza.Error? err code "not_running", with pid and verb when what owns it is no server; or
--- an errno's name when it cannot be seen (another user's)
function api.server(data)
  local pid, verb = owner.of(data)
  if not pid and verb then return nil, verb end
  if not pid then return fail("not_running", "no iza runs on %s", data) end
  if verb ~= "run" then return pid end
  local _, err = fail("not_running", "no server runs on %s; process %d (iza run) owns it until it"
    .. " ends", data, pid)
  err.pid, err.verb = pid, verb
  return nil, err
end

-- Why a server does not answer. Its socket comes with its last stage.
local function no_answer(data, pid, why)
  if not host.kind(api.socket(data)) then why = "it is starting or ending" end
  local _, err = fail("no_answer", "process %d on %s does not answer: %s", pid, data, why)
  err.pid = pid
  err.cure = ("`iza stop` ends it; by force: kill -9 %d"):format(pid)
  return nil, err
end

--- Asks the iza that owns a data directory, through its socket.
--- Example: `local status, err = api.ask(project.data_dir(), "/api/status")`
---@param data string the data directory
---@param path string
---@return any? answer the decoded JSON
---@return iza.Error? err code "not_running", "EACCES" (another user's), or "no_answer", which has
--- the pid
function api.ask(data, path)
  local pid, err = api.server(data)
  if not pid then return nil, err end
  local response
  response, err = iza.http.get("http://localhost" .. path,
    {socket = api.socket(data), timeout = "5s", proxy = false})
  if response and response.status == 200 then return response:json() end
  return no_answer(data, pid, response and ("%s gives %d"):format(path, response.status)
    or err.message)
end

local function probe(ctx)
  local response, err = iza.http.get(ctx.url .. "/api/status",
    {auth = {bearer = ctx.token}, timeout = "5s", proxy = false})
  if not response then return nil, err end
  if response.status ~= 200 then
    return fail("refused", "GET /api/status answered %d", response.status)
  end
  return api.ask(ctx.data, "/api/status")
end

--- Stage 7 of the start.
api.stage = {
  number = 7, name = "interfaces", required = true, probe = probe,
  cure = "another address: --port P, --host H, or the settings `port` and `host`",
  start = function(ctx)
    context = ctx
    local server, err = serve_port(ctx)
    if server then server, err = serve_socket(ctx) end
    if not server then return nil, err end
    return ctx.url
  end,
}

return api
