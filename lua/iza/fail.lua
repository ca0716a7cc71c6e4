--- The one way library code reports an operational failure.
local new = require("iza.core.task").error

--- Returns nil and an error object, for `return fail(...)`.
--- Example: `return fail("invalid", "line %d: %s", line, why)`
---@param code string a short stable word a program can test
---@param format string one line for a person, as for string.format
---@param ... any
---@return nil
---@return table err {code, message}
return function(code, format, ...)
  return nil, new(code, select("#", ...) > 0 and format:format(...) or format)
end
