--- The bodies a request can have: bytes, JSON, a form, parts with files, or pieces from a function.
---
--- prepare() turns the options into {bytes=} or {open=, size=, once=}: `open` gives an iterator
--- over the pieces, `size` is their sum when it is known, and `once` says that they cannot be had
--- again (so such a body is not sent a second time, be it for a redirect or a retry).
local crypto = require "iza.crypto"
local fs = require "iza.fs"
local json = require "iza.json"
local url = require "iza.url"
local misuse = require "iza.misuse"

local PIECE = 65536

local body = {}

local function quoted(text)
  return (text:gsub('[\r\n"]', {["\r"] = "%0D", ["\n"] = "%0A", ['"'] = "%22"}))
end

-- The head of one part, RFC 7578 with the escapes of the HTML standard.
local function part_head(part, filename)
  local out = {'Content-Disposition: form-data; name="', quoted(part.name), '"'}
  if filename then out[#out + 1] = '; filename="' .. quoted(filename) .. '"' end
  local kind = part.type or filename and "application/octet-stream"
  if kind and kind:find "[\r\n]" then misuse("iza.http: a part's type with a line end in it") end
  if kind then out[#out + 1] = "\r\nContent-Type: " .. kind end
  out[#out + 1] = "\r\n\r\n"
  return table.concat(out)
end

local function check_part(part)
  if type(part) ~= "table" or type(part.name) ~= "string" then
    misuse("iza.http: each part of multipart is a table with a name")
  end
  if (part.body == nil) == (part.file == nil) then
    misuse("iza.http: part '%s' needs body or file, and not both", part.name)
  end
  if part.body ~= nil and type(part.body) ~= "string" then
    misuse("iza.http: the body of part '%s' must be a string", part.name)
  end
end

-- A list of strings and {file=, size=} in sending order, and their total size.
local function lay_out(parts, boundary)
  local list, size = {}, 0
  local function add(piece, n)
    list[#list + 1] = piece
    size = size + (n or #piece)
  end
  for _, part in ipairs(parts) do
    check_part(part)
    local filename = part.filename or part.file and part.file:match "[^/]*$"
    add("--" .. boundary .. "\r\n" .. part_head(part, filename))
    if part.file then
      local info, err = fs.stat(part.file)
      if not info then return nil, err end
      add({file = part.file, size = info.size}, info.size)
    else
      add(part.body)
    end
    add "\r\n"
  end
  add("--" .. boundary .. "--\r\n")
  return list, size
end

-- Goes through the list; a file is read piece by piece and must keep its size.
local function pieces(list)
  local i, file, left = 0, nil, 0
  return function()
    if file and left == 0 then
      file:close()
      file = nil
    end
    if not file then
      i = i + 1
      local piece = list[i]
      if type(piece) ~= "table" then return piece end
      file, left = assert(fs.open(piece.file)), piece.size
      if left == 0 then return "" end
    end
    local bytes, err = file:read(math.min(PIECE, left))
    if not bytes then error(err or "became shorter while it was sent: " .. list[i].file, 0) end
    left = left - #bytes
    return bytes
  end
end

local function multipart(parts)
  local boundary = "iza-" .. assert(crypto.random(16)):gsub(".", function(c)
    return ("%02x"):format(c:byte())
  end)
  local list, size = lay_out(parts, boundary)
  if not list then return nil, size end
  local kind = "multipart/form-data; boundary=" .. boundary
  for _, piece in ipairs(list) do
    if type(piece) == "table" then
      return {open = function() return pieces(list) end, size = size, type = kind}
    end
  end
  return {bytes = table.concat(list), type = kind}
end

local makers = {
  json = function(value)
    local bytes, err = json.encode(value)
    if not bytes then return nil, err end
    return {bytes = bytes, type = "application/json"}
  end,
  form = function(fields)
    return {bytes = url.build_query(fields), type = "application/x-www-form-urlencoded"}
  end,
  multipart = multipart,
  body = function(given)
    if type(given) == "string" then return {bytes = given} end
    if type(given) ~= "function" then misuse("iza.http: body must be a string or a function") end
    return {open = function() return given end, once = true}
  end,
}

--- Makes the body that the options ask for; an empty table when they ask for none.
---@param opts table the options of a request: json, form, multipart or body
---@return table? body {bytes=} or {open=, size=, once=}, with `type` when the content has one
---@return table? err a file cannot be read, or a value has no JSON
function body.prepare(opts)
  local found
  for name in pairs(makers) do
    if opts[name] ~= nil then
      if found then misuse("iza.http: %s and %s are two bodies: give one", found, name) end
      found = name
    end
  end
  if not found then return {} end
  return makers[found](opts[found])
end

return body
