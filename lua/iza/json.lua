--- JSON (RFC 8259) that loses nothing: 64-bit integers stay integers, floats stay floats and read
--- back the same, `[]` stays an array, null stays visible; what JSON cannot say is an error with
--- its place.
local core = require "iza.core.json"

local json = {}

--- JSON's null, in tables where nil would leave a hole. It is the same value as cjson.null, and
--- true in conditions: compare with `== json.null`.
json.null = core.null

local encode_fields = {indent = "any", sort = "any", depth = "any", max = "any"}
local decode_fields = {depth = "any", drop_nulls = "any"}

-- The engine looks at the values.
local function check(name, class, opts, fields)
  require("iza.options").check("iza.json." .. name, class, opts, fields)
end

---@class iza.JsonEncodeOptions
---@field indent? integer spaces a level, 0 to 16; 0 (default) writes one line
---@field sort? boolean keys in the order of their bytes: the same value always gives the same text
---@field depth? integer levels of nesting allowed, 1 to 10000; default 1000
---@field max? integer|string longest text, bytes or "64MB"; default 256 MB

---@class iza.JsonDecodeOptions
---@field depth? integer levels of nesting allowed, 1 to 10000; default 1000
---@field drop_nulls? boolean leave out an object's fields that are null; arrays keep json.null

--- The value as JSON text. A table is an array when its keys are exactly 1..n or json.array marked
--- it, an object when all keys are strings; an empty unmarked table is `{}`. nil is null.
--- Metatables are ignored. Refused with code "invalid" and the path ("$.items[3].price"): other
--- keys and holes, NaN and infinities, text that is not UTF-8, functions, userdata, coroutines,
--- cycles, nesting beyond depth. A text beyond max is refused with code "too_large".
--- Example: `json.encode({id = 7})` --> '{"id":7}'
---@param value any
---@param opts? iza.JsonEncodeOptions
---@return string? text
---@return table? err
function json.encode(value, opts)
  if opts then check("encode", "JsonEncodeOptions", opts, encode_fields) end
  return core.encode(value, opts)
end

--- The value of a JSON text. Arrays come back marked as arrays. A number without fraction and
--- exponent is an integer if it fits 64 bits, else the nearest float; one beyond a float's range is
--- an error.
--- Of equal keys the last one counts. Refused, with "LINE:COLUMN: expected X, found Y" and code
--- "invalid": everything RFC 8259 does not allow, a byte order mark, bytes that are not UTF-8, lone
--- surrogates, nesting beyond depth.
--- Example: `json.decode('{"id": 9007199254740993}').id` --> 9007199254740993
---@param text string
---@param opts? iza.JsonDecodeOptions
---@return any value
---@return table? err
function json.decode(text, opts)
  if opts then check("decode", "JsonDecodeOptions", opts, decode_fields) end
  return core.decode(text, opts)
end

--- Walks JSON Lines: a value a line, blank lines skipped. A bad line gives nil and its error, and
--- the walk goes on behind it.
--- Example: `for line, value, err in json.lines(text) do print(line, value, err) end`
---@param text string
---@return fun(): integer?, any, table?
function json.lines(text) return core.lines(text) end

--- Marks a table (or a new one) as an array, so that it is `[]` when empty; returns it. It must not
--- have a metatable of its own.
--- Example: `json.encode(json.array())` --> '[]'
---@param t? table
---@return table t
function json.array(t) return core.array(t) end

--- Whether a value is a table marked as an array, by json.array or by having been decoded from one.
--- Example: `json.is_array(json.decode("[]"))` --> true
---@param value any
---@return boolean
function json.is_array(value) return core.is_array(value) end

return json
