--- HTTP requests: get, post, put, patch, delete, head, request, stream.
---
--- A request that got any answer succeeded, whatever its status: test `res.ok`. Only one that got
--- none returns nil and an error with code "dns", "connect", "tls", "timeout" (the message names
--- the limit), "too_large", "redirects", "aborted" (the connection was lost), "protocol" or
--- "invalid".
---
--- Without options: 10 s to connect, 60 s to the first byte, 60 s without a byte, no limit in all;
--- 64 MB of body; up to 10 redirects; two more tries where that is safe (iza.http.retry); TLS
--- certificates verified; proxies from http_proxy, https_proxy, all_proxy and no_proxy. At most
--- 1,024 connections to one host and 4,096 in all run at a time (iza.http.limits), the rest wait.
---
--- A redirect to another origin keeps only the headers that cannot hold a secret, and neither aws,
--- socket nor insecure.
local core = require "iza.core.http_client"
local fail = require "iza.fail"
local Response = require "iza.http.response"
local task = require "iza.core.task"
local misuse = require "iza.misuse"
local options = require "iza.options"

local client = {}

local MAX_SIZE = 64 << 20
local WINDOW = 256 << 10
local DRAIN = 64 << 10 -- the body of a redirect that is read so that its connection is kept

---@class iza.http.Part
---@field name string
---@field body? string the content, or
---@field file? string the path of a file that has it
---@field filename? string what the server is told; the name of the file unless given
---@field type? string of its content; application/octet-stream for files unless given

---@class iza.http.Options
---@field headers? table<string, string|number|string[]> a list sends a field more than once
---@field query? table added to the URL's own: iza.url.build_query
---@field json? any the body, as JSON
---@field form? table the body, as a form: iza.url.build_query
---@field multipart? iza.http.Part[]
---@field body? string|fun(): string? the body; a function gives its pieces, nil at the end
---@field timeout? number|string a limit for everything, redirects and retries included
---@field timeouts? {connect: any, first_byte: any, stall: any, total: any} durations, 0 = no limit
---@field retry? boolean|integer|iza.http.Retry false for none
---@field redirects? integer how many are followed (10)
---@field max_size? integer|string the largest body accepted ("64MB"), counted decompressed
---@field auth? {user: string?, password: string?, bearer: string?}
---@field proxy? string|false instead of the environment's; false for none
---@field socket? string path of a Unix socket to connect to instead of the URL's host
---@field ca? string a file of certificates (PEM) to trust instead of the system's
---@field insecure? boolean do not verify the server's certificate
---@field aws? iza.http.Aws sign for an AWS service
---@field allow? fun(url: string): boolean?, table? asked before each request; nil, err stops it

local fields_of_options = {headers = "table", query = "table", json = "any", form = "table",
  multipart = "table", body = "string|function", timeout = "duration", timeouts = "table",
  retry = "boolean|integer|table", redirects = "integer", max_size = "size", auth = "table",
  proxy = "string|boolean", socket = "string", ca = "string", insecure = "boolean", aws = "table",
  allow = "function", method = "string", url = "string"}

-- ---- preparing ----

local function add_fields(fields, headers)
  local names = {}
  for name in pairs(headers) do
    if type(name) ~= "string" then misuse("iza.http: headers is a table of names and values") end
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local values = headers[name]
    if type(values) ~= "table" then values = {values} end
    for _, value in ipairs(values) do
      fields[#fields + 1] = name
      fields[#fields + 1] = tostring(value)
    end
  end
end

local function has(fields, name)
  for i = 1, #fields, 2 do
    if fields[i]:lower() == name then return true end
  end
  return false
end

local function authorization(auth)
  if auth.bearer then return "Bearer " .. auth.bearer end
  if not auth.user then misuse "iza.http: auth needs user and password, or bearer" end
  return "Basic " .. require("iza.crypto").base64(auth.user .. ":" .. (auth.password or ""))
end

local function with_query(text, query)
  local added = require("iza.url").build_query(query)
  if added == "" then return text end
  local front, fragment = text:match "^([^#]*)(.*)$"
  local mark = front:find("?", 1, true) and (front:match "[?&]$" and "" or "&") or "?"
  return front .. mark .. added .. fragment
end

local limits = {connect = "duration", first_byte = "duration", stall = "duration",
  total = "duration"}

local function set_limits(spec, opts)
  for name, value in pairs(options.check("iza.http: timeouts", "http.Options", opts.timeouts,
    limits)) do
    spec[name] = task.seconds(value)
  end
  if opts.timeout then spec.total = task.seconds(opts.timeout) end
  if spec.total > 0 then spec.limit, spec.deadline = spec.total, task.now() + spec.total end
end

local function set_content(spec, content)
  spec.content, spec.body = content, content.bytes
  spec.push, spec.push_size = content.open ~= nil, content.size
end

local idempotent = {GET = true, HEAD = true, OPTIONS = true, PUT = true, DELETE = true}
local no_options, no_content = {}, {}

-- What core.start takes, and beside it what this file needs: content, opts, aws, deadline.
local function prepare(method, address, opts, window)
  if type(address) ~= "string" then misuse "iza.http: url must be a string" end
  if not address:find("://", 1, true) then
    return fail("invalid", "bad URL: %s has no scheme; put http:// or https:// in front",
      (address:match "^[^?#]*"))
  end
  local spec = {method = method or "GET", url = address, fields = {}, window = window,
    max_size = window == 0 and MAX_SIZE or 0, repeatable = idempotent[method or "GET"],
    connect = 10, first_byte = 60, stall = 60, total = 0, opts = opts, content = no_content}
  if opts == no_options then return spec end
  options.check("iza.http", "http.Options", opts, fields_of_options)
  if type(opts.retry) == "table" then require("iza.http.retry").check(opts.retry) end
  if opts.json ~= nil or opts.form or opts.multipart or opts.body then
    local content, err = require("iza.http.body").prepare(opts)
    if not content then return nil, err end
    set_content(spec, content)
  end
  local content, fields = spec.content, spec.fields
  add_fields(fields, opts.headers or {})
  if content.type and not has(fields, "content-type") then
    add_fields(fields, {["Content-Type"] = content.type})
  end
  if opts.auth then add_fields(fields, {Authorization = authorization(opts.auth)}) end
  if opts.query then spec.url = with_query(address, opts.query) end
  set_limits(spec, opts)
  spec.method = method or opts.method or (content ~= no_content and "POST" or "GET")
  spec.repeatable = not content.once
    and (idempotent[spec.method] or has(fields, "idempotency-key"))
  if opts.max_size then spec.max_size = core.size(opts.max_size) end
  spec.proxy = opts.proxy == false and "" or opts.proxy
  spec.socket, spec.ca, spec.insecure, spec.aws = opts.socket, opts.ca, opts.insecure, opts.aws
  return spec
end

-- ---- one exchange ----

local function out_of_time(spec)
  return nil, task.error("timeout", ("%s %s: no answer within the total limit of %g s"):format(
    spec.method, spec.url:match "^[^?#]*", spec.limit), true)
end

-- Signs for AWS: a copy of spec with other fields and the URL in its normal form.
local function signed(spec)
  local encoded = spec.url:gsub("[ \128-\255]", require("iza.url").encode)
  local address, err = require("iza.url").normalise(encoded)
  if not address then return nil, err end
  local request = {method = spec.method, url = address, fields = spec.fields,
    bytes = spec.content.bytes, pieces = spec.content.open ~= nil}
  local fields
  fields, err = require("iza.http.sigv4").sign(request, spec.aws, require("iza.time").now())
  if not fields then return nil, err end
  return setmetatable({url = address, fields = fields}, {__index = spec})
end

local function start(spec)
  if spec.deadline then
    spec.total = spec.deadline - task.now()
    if spec.total <= 0 then return out_of_time(spec) end
  end
  local allow = spec.opts.allow
  if allow then
    local ok, err = allow(spec.url)
    if not ok then return nil, err or task.error("denied", "request not allowed: " .. spec.url) end
  end
  local err
  if spec.aws then
    spec, err = signed(spec)
    if not spec then return nil, err end
  end
  return core.start(spec)
end

-- Gives the pieces of the body; the answer may come before they are all sent.
local function send_body(transfer, content)
  for piece in content.open() do
    if piece ~= "" then
      local wanted, err = transfer:send(piece)
      if err then return nil, err end
      if not wanted then return true end
    end
  end
  transfer:finish()
  return true
end

-- One request; waits for the head of a stream and the whole of any other answer.
-- Returns transfer, status, head, url, body | nil, err.
local function exchange(spec)
  local transfer, err = start(spec)
  if not transfer then return nil, err end
  if spec.content.open then
    local ran, sent, why = pcall(send_body, transfer, spec.content)
    if not ran or not sent then transfer:close() end
    if not ran then error(sent, 0) end
    if not sent then return nil, why end
  end
  local status, head, from, body
  if spec.window > 0 then
    status, head, from = transfer:head()
  else
    status, head, from, body = transfer:all()
  end
  if status then return transfer, status, head, from, body end
  transfer:close()
  return nil, head
end

-- ---- redirects ----

local harmless = {}
for name in ([[accept accept-encoding accept-language user-agent content-type content-language range
  if-match if-none-match if-modified-since if-unmodified-since if-range idempotency-key]]
):gmatch "%S+" do harmless[name] = true end

local function origin(text)
  return text:match "^%a[%w+.-]*://[^/?#]*"
end

local function keep(fields, wanted)
  local kept = {}
  for i = 1, #fields, 2 do
    if wanted(fields[i]:lower()) then
      kept[#kept + 1] = fields[i]
      kept[#kept + 1] = fields[i + 1]
    end
  end
  return kept
end

-- Makes spec ask for `to`, as the Fetch standard says (HTTP-redirect fetch).
local function follow(spec, status, from, to)
  local m = spec.method
  if status == 303 and m ~= "HEAD" or (status == 301 or status == 302) and m == "POST" then
    spec.method, spec.repeatable = "GET", true
    set_content(spec, no_content)
    spec.fields = keep(spec.fields, function(name) return not name:find "^content%-" end)
  elseif spec.content.once then
    return fail("redirects", "the answer redirects to %s, but a body made by a function cannot be "
      .. "sent again", to:match "^[^?#]*")
  end
  spec.fields = keep(spec.fields, function(name) return name ~= "host" end)
  if origin(from) ~= origin(to) then
    spec.fields = keep(spec.fields, function(name) return harmless[name] end)
    spec.aws, spec.socket, spec.insecure = nil, nil, nil
  end
  spec.url = to
  return true
end

-- Reads a short body to its end, so that the connection can be used again.
local function drain(transfer)
  local left = DRAIN
  repeat
    local piece = transfer:read()
    left = left - #(piece or "")
  until not piece or left < 0
  transfer:close()
end

-- Goes on where an answer redirects to. A try changes its own copy of spec.
local function exchange_all(spec)
  local most, hop = spec.opts.redirects or 10, 0
  local transfer, status, head, from, body = exchange(spec)
  while transfer and status >= 301 and status <= 308 and most > 0 do
    local to = transfer:redirect()
    if not to then break end
    if hop == 0 then
      local copy = {}
      for k, v in pairs(spec) do copy[k] = v end
      spec = copy
    end
    hop = hop + 1
    if hop > most then
      transfer:close()
      return fail("redirects", "%s %s: more than %d redirects", spec.method,
        spec.url:match "^[^?#]*", most)
    end
    local ok, err = follow(spec, status, from, to)
    if ok then drain(transfer) else transfer:close() end
    if not ok then return nil, err end
    transfer, status, head, from, body = exchange(spec)
  end
  return transfer, status, head, from, body
end

-- ---- retries ----

-- Whether the outcome may be worth another try: cheap, and false for nearly every one.
local function failed(transfer, status) return not transfer or status >= 400 end

local function perform(method, address, opts, window)
  local spec, err = prepare(method, address, opts or no_options, window)
  if not spec then return nil, err end
  local tries = 0
  while true do
    tries = tries + 1
    local transfer, status, head, from, body = exchange_all(spec)
    local res = transfer and Response.new(status, head, from, body, window > 0 and transfer or nil,
      spec.max_size > 0 and spec.max_size or MAX_SIZE)
    local wait
    if failed(transfer, status) and not spec.content.once then
      wait = require("iza.http.retry").wait(spec.opts.retry, tries, spec.repeatable, res, status)
    end
    if wait and spec.deadline and task.now() + wait >= spec.deadline then wait = nil end
    if transfer and (window == 0 or wait) then drain(transfer) end
    if not wait then
      if not res then return nil, status end
      res.tries = tries
      return res
    end
    task.sleep(wait)
  end
end

-- ---- the surface ----

--- Sets how many connections of this program run at a time; requests beyond them wait for their
--- turn. What is not given stays. Returns the limits there are now.
--- Example: `iza.http.limits{per_host = 8, total = 64}`
---@param opts? {per_host: integer?, total: integer?} 1,024 and 4,096 at the start
---@return {per_host: integer, total: integer}? limits
---@return table? err when libcurl cannot be loaded
function client.limits(opts)
  for name, value in pairs(opts or {}) do
    if name ~= "per_host" and name ~= "total" then
      misuse("iza.http.limits: unknown limit '%s'; there are per_host and total", tostring(name))
    elseif math.type(value) ~= "integer" or value < 1 or value > 65535 then
      misuse("iza.http.limits: %s must be an integer from 1 to 65535", name)
    end
  end
  local per_host, total = core.limits(opts and opts.per_host, opts and opts.total)
  if not per_host then return nil, total end
  return {per_host = per_host, total = total}
end

--- Asks for a URL with any method and waits for the whole answer. Without `method` it is GET, or
--- POST when there is a body.
--- Example: `local res, err = iza.http.request{method = "PROPFIND", url = "https://example.com/"}`
---@param opts iza.http.Options|{url: string, method: string?}
---@return iza.http.Response? res
---@return table? err
function client.request(opts)
  if type(opts) ~= "table" then misuse "iza.http: request takes one table" end
  return perform(nil, opts.url, opts, 0)
end

--- Asks for a URL and waits for the whole answer.
--- Example: `local res, err = iza.http.get("https://example.com", {query = {q = "a b"}})`
---@param address string http or https
---@param opts? iza.http.Options
---@return iza.http.Response? res whatever its status; test res.ok
---@return table? err when there was no answer
function client.get(address, opts) return perform("GET", address, opts, 0) end

--- Sends a body by POST. It is tried again only with an Idempotency-Key header.
--- Example: `local res, err = iza.http.post(url, {json = {name = "Ann"}})`
---@param address string
---@param opts? iza.http.Options
---@return iza.http.Response? res
---@return table? err
function client.post(address, opts) return perform("POST", address, opts, 0) end

--- Sends a body by PUT.
--- Example: `local res, err = iza.http.put(url, {body = text, headers = {["If-Match"] = etag}})`
---@param address string
---@param opts? iza.http.Options
---@return iza.http.Response? res
---@return table? err
function client.put(address, opts) return perform("PUT", address, opts, 0) end

--- Sends a body by PATCH. It is tried again only with an Idempotency-Key header.
--- Example: `local res, err = iza.http.patch(url, {json = {name = "Ann"}})`
---@param address string
---@param opts? iza.http.Options
---@return iza.http.Response? res
---@return table? err
function client.patch(address, opts) return perform("PATCH", address, opts, 0) end

--- Asks for the deletion of what a URL names.
--- Example: `local res, err = iza.http.delete(url)`
---@param address string
---@param opts? iza.http.Options
---@return iza.http.Response? res
---@return table? err
function client.delete(address, opts) return perform("DELETE", address, opts, 0) end

--- Asks for the headers alone.
--- Example: `print(iza.http.head(url).headers["Content-Length"])`
---@param address string
---@param opts? iza.http.Options
---@return iza.http.Response? res
---@return table? err
function client.head(address, opts) return perform("HEAD", address, opts, 0) end

--- Asks for a URL and returns as soon as the head of the answer is there; the body is read as it
--- arrives with chunks, lines, sse, text, json or save, and a slow reader slows the sender down.
--- The method is opts.method, or GET (POST with a body). Close it, best by `<close>`.
--- Example: `local res <close> = assert(iza.http.stream(url)); for line in res:lines() do ... end`
---@param address string
---@param opts? iza.http.Options|{method: string?}
---@return iza.http.Response? res
---@return table? err
function client.stream(address, opts) return perform(nil, address, opts, WINDOW) end

return client
