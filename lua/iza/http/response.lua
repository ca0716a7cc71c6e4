--- The answer to a request: status, headers, and the body whole or as it arrives.
local fail = require "iza.fail"

local MAX_LINE, MAX_EVENT = 1 << 20, 16 << 20

--- Fields are looked up in any case: `headers["Content-Type"]`. A field that came more than once
--- has its values joined with ", "; `response:values(name)` has them apart (for Set-Cookie).
local headers_meta = {
  __index = function(headers, name)
    return type(name) == "string" and rawget(headers, name:lower()) or nil
  end,
}

local function headers_of(head)
  local headers = {}
  for name, value in head:gmatch "([^\0]*)\0([^\0]*)\0" do
    headers[name] = headers[name] and headers[name] .. ", " .. value or value
  end
  return setmetatable(headers, headers_meta)
end

---@class iza.http.Response
---@field status integer
---@field ok boolean status is 200 to 299
---@field headers table<string, string> names in any case; repeated ones joined with ", "
---@field url string where it came from, after redirects
---@field tries integer how often it was asked for
---@field body? string of a whole answer
local Response = {}
local meta = {}

-- The headers become a table when somebody looks at them.
function meta.__index(res, name)
  if name ~= "headers" then return Response[name] end
  local headers = headers_of(res._head)
  res.headers = headers
  return headers
end

--- All values of a header, in order: needed for Set-Cookie, whose values cannot be joined.
--- Example: `for _, cookie in ipairs(res:values "Set-Cookie") do print(cookie) end`
---@param name string
---@return string[]
function Response:values(name)
  local list = {}
  name = name:lower()
  for field, value in self._head:gmatch "([^\0]*)\0([^\0]*)\0" do
    if field == name then list[#list + 1] = value end
  end
  return list
end

--- The whole body. Of a stream it reads what is still to come, up to 64 MB.
--- Example: `local text, err = iza.http.get("https://example.com"):text()`
---@return string? text
---@return table? err the stream was cut, or is too large
function Response:text()
  if self.body then return self.body end
  local pieces, size = {}, 0
  while true do
    local piece, err = self:chunk()
    if err then return nil, err end
    if not piece then break end
    size = size + #piece
    if size > self._max_text then
      self:close()
      return fail("too_large", "the answer is larger than %d bytes", self._max_text)
    end
    pieces[#pieces + 1] = piece
  end
  self.body = table.concat(pieces)
  return self.body
end

--- The body decoded from JSON, exact as iza.json.decode is.
--- Example: `local order = iza.http.get(url):json()`
---@param opts? table of iza.json.decode
---@return any value
---@return table? err code "json" with the position, or why the body could not be read
function Response:json(opts)
  local text, err = self:text()
  if not text then return nil, err end
  return require("iza.json").decode(text, opts)
end

--- The next piece of a stream as it arrives; nil at its end.
---@return string? bytes
---@return table? err the stream was cut or a limit passed
function Response:chunk()
  local rest = self._rest -- what lines have not used
  if rest then
    self._rest = nil
    return rest:sub(self._at)
  end
  if not self._transfer then
    if self.body then return nil end
    return fail("closed", "the answer was closed")
  end
  return self._transfer:read()
end

--- The next line of a stream without its end; nil at the end. Lines are at most 1 MB.
---@return string? line
---@return table? err
function Response:line()
  local pieces, size = {}, 0
  while true do
    local from = self._at
    local bytes, err = self._rest, nil
    if not bytes then
      bytes, err = self:chunk()
      from = 1
    end
    if err then return nil, err end
    if not bytes then break end
    local at = bytes:find("\n", from, true)
    local piece = bytes:sub(from, at and at - 1)
    size = size + #piece
    if size > MAX_LINE then return fail("too_large", "a line is longer than %d bytes", MAX_LINE) end
    pieces[#pieces + 1] = piece
    self._rest, self._at = at and at < #bytes and bytes or nil, at and at + 1
    if at then return (table.concat(pieces):gsub("\r$", "")) end
  end
  if #pieces > 0 then return (table.concat(pieces)) end
end

---@class iza.http.Event
---@field event string its type; "message" when the stream named none
---@field data string
---@field id string the last id the stream set
---@field retry? number seconds the stream asks to wait before reconnecting

--- The next server-sent event of a stream; nil at its end.
---@return iza.http.Event? event
---@return table? err
function Response:event()
  if not self._transfer then return fail("closed", "the answer was closed") end
  return self._transfer:event(MAX_EVENT)
end

local function each(self, method)
  return function()
    local value, err = self[method](self)
    if err then error(err, 0) end
    return value
  end
end

--- Goes through the body piece by piece as it arrives. A stream that is cut raises its error, so
--- that half an answer is not taken for the whole.
--- Example: `for bytes in res:chunks() do file:write(bytes) end`
---@return fun(): string?
function Response:chunks() return each(self, "chunk") end

--- Goes through the lines; raises when the stream is cut.
--- Example: `for line in res:lines() do print(line) end`
---@return fun(): string?
function Response:lines() return each(self, "line") end

--- Goes through server-sent events; raises when the stream is cut.
--- Example: `for event in res:sse() do print(event.data) end`
---@return fun(): iza.http.Event?
function Response:sse() return each(self, "event") end

--- Writes the body to a file as it arrives. The file appears when it is whole: a cut stream leaves
--- what was there.
--- Example: `local size, err = iza.http.stream(url):save("data.bin")`
---@param path string
---@return integer? size bytes written
---@return table? err
function Response:save(path)
  local _ <close> = self
  return require("iza.save")(path, function() return self:chunk() end)
end

--- Ends a stream; what it is still sending is dropped. Repeating it does nothing.
function Response:close()
  if self._transfer then self._transfer:close() end
  self._transfer, self._rest = nil, nil
end

meta.__close = Response.close

function meta.__tostring(res) return ("HTTP %d from %s"):format(res.status, res.url) end

--- Makes a response.
---@param status integer
---@param head string name, NUL, value, NUL and so on
---@param from string its URL
---@param body? string of a whole answer
---@param transfer? userdata of a stream
---@param max_text? integer for text() of a stream
---@return iza.http.Response
local function new(status, head, from, body, transfer, max_text)
  return setmetatable({
    status = status, ok = status >= 200 and status < 300, url = from, body = body, tries = 1,
    _head = head, _transfer = transfer, _max_text = max_text,
  }, meta)
end

return {new = new}
