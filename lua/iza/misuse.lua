--- The one way library code raises what its caller did wrong.
local raise = require("iza.core.task").misuse

--- Raises a message that begins with the place of the first function outside the library.
--- Example: `misuse("unknown option '%s'", name)`
---@param format string one line for a person, as for string.format
---@param ... any
return function(format, ...) raise(select("#", ...) > 0 and format:format(...) or format) end
