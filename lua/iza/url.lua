--- URLs by RFC 3986: taken apart, put together, joined, normalised; percent-encoding; queries.
---
--- A parsed URL is a table {scheme, user, password, host, port, path, query, fragment}. Absent
--- parts are nil, which is not the same as empty: "http://a?" has query "". The parts stay as they
--- were written (percent-encoded); only `port` becomes an integer and `host` of an IPv6 address
--- keeps its brackets. International host names are not converted.
local fail = require "iza.fail"

local url = {}

---@class iza.Url
---@field scheme? string
---@field user? string
---@field password? string
---@field host? string
---@field port? integer
---@field path string
---@field query? string without "?"
---@field fragment? string without "#"

local MAX = 65536
local default_port = {http = 80, https = 443, ws = 80, wss = 443, ftp = 21}

local UNRESERVED = "A-Za-z0-9%-._~" -- RFC 3986 §2.3

local function hex(c) return ("%%%02X"):format(c:byte()) end

--- Percent-encodes everything but letters, digits and "-._~": safe as any one part of a URL.
--- Example: `url.encode("a b&c/é")` --> "a%20b%26c%2F%C3%A9"
---@param text string
---@return string
function url.encode(text) return (text:gsub("[^" .. UNRESERVED .. "]", hex)) end

--- Undoes percent-encoding. "+" stays "+" (only in queries it is a space: url.parse_query).
--- Example: `url.decode("a%20b")` --> "a b"
---@param text string
---@return string? decoded
---@return table? err code "invalid" when a "%" is not followed by two hex digits
function url.decode(text)
  local plain = text:gsub("%%%x%x", "")
  if plain:find("%", 1, true) then
    return fail("invalid", "a %% without two hex digits behind it")
  end
  return (text:gsub("%%(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end))
end

local function check_characters(text)
  if #text > MAX then return fail("too_large", "URL longer than %d bytes", MAX) end
  local at = text:find("[%z\1-\32\127<>\"{}|\\^`]")
  if at then
    local c = text:byte(at)
    local shown = c > 32 and c < 127 and "'" .. string.char(c) .. "'" or ("byte 0x%02X"):format(c)
    return fail("invalid", "%s at position %d must be percent-encoded in a URL", shown, at)
  end
  if text:gsub("%%%x%x", ""):find("%", 1, true) then
    return fail("invalid", "a %% without two hex digits behind it")
  end
  return true
end

local function parse_port(text)
  if text == "" then return nil end
  local port = #text <= 5 and text:match "^%d+$" and math.tointeger(tonumber(text))
  if not port or port > 65535 then
    return fail("invalid", "port '%s' is not a number up to 65535", text)
  end
  return port
end

-- Fills u from "user:password@host:port".
local function parse_authority(u, text)
  local userinfo, rest = text:match "^(.*)@(.*)$"
  if userinfo then
    if userinfo:find("@", 1, true) then
      return fail("invalid", "two '@' before the path of a URL")
    end
    u.user, u.password = userinfo:match "^([^:]*):(.*)$"
    u.user = u.user or userinfo
    text = rest
  end
  local host, port = text:match "^(%[[%x:.vV]+%]):?(.*)$"
  if host then
    if not text:match "^%b[]$" and not text:match "^%b[]:" then
      return fail("invalid", "'%s' behind an IPv6 address", port)
    end
  else
    host, port = text:match "^([^:]*):?(.*)$"
    local bad = host:match("[^" .. UNRESERVED .. "!$&'()*+,;=%%\128-\255]")
    if bad then return fail("invalid", "'%s' in the host of a URL", bad) end
  end
  local number, err = parse_port(port)
  if err then return nil, err end
  u.host, u.port = host, number
  return true
end

--- Takes a URL or a relative reference apart. Refuses control characters, spaces and other
--- characters that must be percent-encoded; bytes above 127 are let through.
--- Example: `url.parse("https://a.example:8443/x?y=1#z").port` --> 8443
---@param text string at most 64 KB
---@return iza.Url? parts
---@return table? err code "invalid" or "too_large"
function url.parse(text)
  local ok, err = check_characters(text)
  if not ok then return nil, err end
  local u, rest = {}, text
  rest = rest:gsub("#(.*)$", function(fragment) u.fragment = fragment return "" end)
  rest = rest:gsub("%?(.*)$", function(query) u.query = query return "" end)
  local scheme, behind = rest:match "^(%a[%w+.-]*):(.*)$"
  if scheme then
    u.scheme, rest = scheme:lower(), behind
  elseif rest:match "^[^/]*:" then
    return fail("invalid", "the part before ':' is not a scheme")
  end
  local authority, path = rest:match "^//([^/]*)(.*)$"
  if authority then
    ok, err = parse_authority(u, authority)
    if not ok then return nil, err end
    rest = path
  end
  u.path = rest
  return u
end

local function authority_of(u)
  local out = {}
  if u.user then
    out[#out + 1] = u.user .. (u.password and ":" .. u.password or "") .. "@"
  end
  out[#out + 1] = u.host
  if u.port then out[#out + 1] = ":" .. math.tointeger(u.port) end
  return table.concat(out)
end

-- RFC 3986 §5.3
local function recompose(u)
  local out, path = {}, u.path or ""
  if u.scheme then out[#out + 1] = u.scheme .. ":" end
  if u.host then
    out[#out + 1] = "//" .. authority_of(u)
    if path ~= "" and path:sub(1, 1) ~= "/" then path = "/" .. path end
  elseif path:sub(1, 2) == "//" then
    path = "/." .. path -- else it would read as a host
  elseif not u.scheme and path:match "^[^/]*:" then
    path = "./" .. path -- else it would read as a scheme
  end
  out[#out + 1] = path
  if u.query then out[#out + 1] = "?" .. u.query end
  if u.fragment then out[#out + 1] = "#" .. u.fragment end
  return table.concat(out)
end

--- Puts a URL together from its parts, which must be encoded already; `query` may be a table, which
--- is encoded by url.build_query.
--- Example: `url.build{scheme = "https", host = "a.example", path = "/x", query = {q = "a b"}}`
---@param parts iza.Url|table
---@return string? text
---@return table? err code "invalid"
function url.build(parts)
  local u = {}
  for k, v in pairs(parts) do u[k] = v end
  if type(u.query) == "table" then u.query = url.build_query(u.query) end
  local text = recompose(u)
  -- reading it back must give the same parts: nothing smuggled through a host or a path
  local back, err = url.parse(text)
  if not back then return nil, err end
  for _, part in ipairs {"host", "port", "query", "fragment", "user", "password"} do
    if back[part] ~= u[part] then
      return fail("invalid", "'%s' cannot be the %s of a URL", tostring(u[part]), part)
    end
  end
  return text
end

local function split(path)
  local parts, from = {}, 1
  while true do
    local at = path:find("/", from, true)
    parts[#parts + 1] = path:sub(from, at and at - 1)
    if not at then return parts end
    from = at + 1
  end
end

-- RFC 3986 §5.2.4, with nothing above the root
local function remove_dots(path)
  local parts, out = split(path), {}
  local first = path:sub(1, 1) == "/" and 2 or 1
  for i = first, #parts do
    local part = parts[i]
    if part == ".." then out[#out] = nil end
    if part ~= "." and part ~= ".." then
      out[#out + 1] = part
    elseif i == #parts then
      out[#out + 1] = "" -- a trailing dot segment leaves a directory
    end
  end
  return (first == 2 and "/" or "") .. table.concat(out, "/")
end

local function merge(base, path)
  if base.host and base.path == "" then return "/" .. path end
  return (base.path:match "^(.*/)" or "") .. path
end

--- Resolves a reference against a base URL (RFC 3986 §5.2, strict).
--- Example: `url.join("http://a/b/c/d;p?q", "../g")` --> "http://a/b/g"
---@param base string an absolute URL
---@param reference string
---@return string? target
---@return table? err code "invalid"
function url.join(base, reference)
  local b, err = url.parse(base)
  if not b then return nil, err end
  if not b.scheme then
    return fail("invalid", "the base of a join must be an absolute URL: %s", base)
  end
  local r
  r, err = url.parse(reference)
  if not r then return nil, err end
  local t = {fragment = r.fragment, query = r.query}
  t.scheme = r.scheme or b.scheme
  local authority = (r.scheme or r.host) and r or b
  t.host, t.port, t.user, t.password = authority.host, authority.port, authority.user,
    authority.password
  if r.scheme or r.host or r.path:sub(1, 1) == "/" then
    t.path = remove_dots(r.path)
  elseif r.path == "" then
    t.path, t.query = b.path, r.query or b.query
  else
    t.path = remove_dots(merge(b, r.path))
  end
  return recompose(t)
end

local function normal_escapes(text)
  if not text then return nil end
  text = text:gsub("%%(%x%x)", function(digits)
    local c = string.char(tonumber(digits, 16))
    return c:match("[" .. UNRESERVED .. "]") or "%" .. digits:upper()
  end)
  return (text:gsub("[\128-\255]", hex))
end

--- One spelling for URLs that mean the same (RFC 3986 §6.2): scheme and host in lower case, no
--- default port, no needless escapes, no dot segments, "/" for an empty path under a host.
--- Example: `url.normalise("HTTP://A.Example:80/%7euser/../x")` --> "http://a.example/x"
---@param text string
---@return string? text
---@return table? err code "invalid"
function url.normalise(text)
  local u, err = url.parse(text)
  if not u then return nil, err end
  for _, part in ipairs {"user", "password", "host", "path", "query", "fragment"} do
    u[part] = normal_escapes(u[part])
  end
  if u.host then u.host = u.host:lower():gsub("%%%x%x", string.upper) end
  if u.port == default_port[u.scheme] then u.port = nil end
  if u.scheme then u.path = remove_dots(u.path) end
  if u.host and u.path == "" then u.path = "/" end
  return recompose(u)
end

local function form_encode(value) return (url.encode(value):gsub("%%20", "+")) end

local function append(out, name, value)
  if type(value) == "table" then
    for _, one in ipairs(value) do append(out, name, one) end
    return
  end
  out[#out + 1] = form_encode(tostring(name)) .. "=" .. form_encode(tostring(value))
end

--- The query text of a table of names and values: strings, numbers, booleans, or lists of them for
--- repeated names. Names are sorted; a list of {name, value} pairs keeps its order instead.
--- Example: `url.build_query{q = "a b", tag = {"x", "y"}}` --> "q=a+b&tag=x&tag=y"
---@param query table
---@return string
function url.build_query(query)
  local out = {}
  if type(query[1]) == "table" then
    for _, pair in ipairs(query) do append(out, pair[1], pair[2]) end
    return table.concat(out, "&")
  end
  local names = {}
  for name in pairs(query) do names[#names + 1] = name end
  table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
  for _, name in ipairs(names) do append(out, name, query[name]) end
  return table.concat(out, "&")
end

--- Reads a query ("a=1&b=2", with or without "?"), as browsers write forms: "+" is a space. The
--- first result has one value a name, the last one given; the second has all pairs in order.
--- Example: `url.parse_query("a=1&b=x+y").b` --> "x y"
---@param text string
---@return table<string, string>? values
---@return table pairs_or_err list of {name, value}; on failure the error, code "invalid"
function url.parse_query(text)
  local values, list = {}, {}
  for field in text:gsub("^%?", ""):gmatch "[^&]+" do
    local name, value = field:match "^([^=]*)=?(.*)$"
    local err
    name, err = url.decode((name:gsub("%+", " ")))
    if not name then return nil, err end
    value, err = url.decode((value:gsub("%+", " ")))
    if not value then return nil, err end
    values[name] = value
    list[#list + 1] = {name, value}
  end
  return values, list
end

return url
