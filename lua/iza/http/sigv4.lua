--- AWS Signature Version 4: the Authorization header of a request to an AWS service.
---
--- Every header of the request is signed except those a proxy or this client may change. S3 signs
--- the path as it is sent, the other services its encoded form once more; S3 also wants the hash of
--- the body as a header. A body that is sent in pieces goes to S3 unsigned, which TLS makes good.
local crypto = require "iza.crypto"
local fail = require "iza.fail"
local url = require "iza.url"
local misuse = require "iza.misuse"

local sigv4 = {}

---@class iza.http.Aws
---@field region string
---@field service string
---@field access_key string
---@field secret_key string
---@field session_token? string

local unsigned = {
  ["authorization"] = true, ["connection"] = true, ["user-agent"] = true, ["expect"] = true,
  ["accept-encoding"] = true, ["x-amzn-trace-id"] = true,
}

local function encode_path(path, service)
  if path == "" then return "/" end
  if service == "s3" then return path end
  return (path:gsub("[^/]+", url.encode))
end

local function reencode(text)
  local plain = text:gsub("%%(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end)
  return url.encode(plain)
end

-- Names and values encoded the one way and sorted.
local function canonical_query(query)
  local list = {}
  for field in (query or ""):gmatch "[^&]+" do
    local name, value = field:match "^([^=]*)=?(.*)$"
    list[#list + 1] = {reencode(name), reencode(value)}
  end
  table.sort(list, function(a, b)
    if a[1] ~= b[1] then return a[1] < b[1] end
    return a[2] < b[2]
  end)
  for i, pair in ipairs(list) do list[i] = pair[1] .. "=" .. pair[2] end
  return table.concat(list, "&")
end

-- The canonical headers and the list of their names.
local function canonical_headers(fields)
  local values, names = {}, {}
  for i = 1, #fields, 2 do
    local name = fields[i]:lower()
    if not unsigned[name] then
      local value = fields[i + 1]:gsub("^%s+", ""):gsub("%s+$", ""):gsub("  +", " ")
      if not values[name] then
        values[name] = {}
        names[#names + 1] = name
      end
      table.insert(values[name], value)
    end
  end
  table.sort(names)
  local lines = {}
  for i, name in ipairs(names) do
    lines[i] = name .. ":" .. table.concat(values[name], ",") .. "\n"
  end
  return table.concat(lines), table.concat(names, ";")
end

local function signing_key(aws, date)
  local key = "AWS4" .. aws.secret_key
  for _, text in ipairs {date, aws.region, aws.service, "aws4_request"} do
    local err
    key, err = crypto.hmac("sha256", key, text, "raw")
    if not key then return nil, err end
  end
  return key
end

local function check(aws)
  for _, name in ipairs {"region", "service", "access_key", "secret_key"} do
    if type(aws[name]) ~= "string" then misuse("iza.http: aws.%s is needed", name) end
  end
end

local function host_of(u)
  local port = u.port
  if port == (u.scheme == "https" and 443 or 80) then port = nil end
  return u.host .. (port and ":" .. port or "")
end

--- Signs a request: returns its fields with those that AWS wants added. `fields` is not changed.
---@param request {method: string, url: string, fields: string[], bytes: string?, pieces: boolean?}
---@param aws iza.http.Aws
---@param now number Unix time
---@return string[]? fields name, value, name, value ...
---@return table? err
function sigv4.sign(request, aws, now)
  check(aws)
  local u, err = url.parse(request.url)
  if not u then return nil, err end
  if request.pieces and aws.service ~= "s3" then
    return fail("invalid", "%s signs the whole body: give it as a string", aws.service)
  end
  local hash = "UNSIGNED-PAYLOAD"
  if not request.pieces then
    hash, err = crypto.hash("sha256", request.bytes or "")
    if not hash then return nil, err end
  end
  local stamp = os.date("!%Y%m%dT%H%M%SZ", now // 1 | 0)
  local date = stamp:sub(1, 8)
  local fields = table.move(request.fields, 1, #request.fields, 1, {})
  local function add(name, value)
    for i = 1, #fields, 2 do
      if fields[i]:lower() == name:lower() then return end
    end
    fields[#fields + 1] = name
    fields[#fields + 1] = value
  end
  add("Host", host_of(u))
  add("X-Amz-Date", stamp)
  if aws.service == "s3" then add("X-Amz-Content-Sha256", hash) end
  if aws.session_token then add("X-Amz-Security-Token", aws.session_token) end
  local headers, names = canonical_headers(fields)
  local canonical = table.concat({
    request.method, encode_path(u.path, aws.service), canonical_query(u.query), headers, names,
    hash,
  }, "\n")
  local scope = table.concat({date, aws.region, aws.service, "aws4_request"}, "/")
  local digest = crypto.hash("sha256", canonical)
  local text = table.concat({"AWS4-HMAC-SHA256", stamp, scope, digest}, "\n")
  local key
  key, err = signing_key(aws, date)
  if not key then return nil, err end
  add("Authorization", ("AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s"):format(
    aws.access_key, scope, names, crypto.hmac("sha256", key, text)))
  return fields
end

return sigv4
