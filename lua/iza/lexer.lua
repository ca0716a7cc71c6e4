--- Lua 5.4 source as a list of tokens with their places.
---
--- It reads only text that `load` accepts: what is wrong with a source is Lua's to say. A token is
--- {kind, text, line, column}; kinds are "name", "keyword", "string", "number", "symbol" and "end".
local lexer = {}

---@class iza.Token
---@field kind "name"|"keyword"|"string"|"number"|"symbol"|"end"
---@field text string
---@field line integer
---@field column integer in bytes, from 1

local keywords = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat
    return then true until while]]):gmatch "%a+" do
  keywords[word] = true
end

-- Longest first.
local symbols = {"...", "..", "==", "~=", "<=", ">=", "<<", ">>", "//", "::"}

local function symbol_at(source, at)
  for _, symbol in ipairs(symbols) do
    if source:sub(at, at + #symbol - 1) == symbol then return symbol end
  end
  return source:sub(at, at)
end

-- The end of a long bracket that opens at `at`; nil when none does.
local function long_bracket(source, at)
  local level = source:match("^%[(=*)%[", at)
  if not level then return nil end
  local _, stop = source:find("]" .. level .. "]", at, true)
  return stop or #source
end

local function quoted(source, at)
  local quote, i = source:sub(at, at), at + 1
  while i <= #source do
    local c = source:sub(i, i)
    if c == quote then return i end
    i = i + (c == "\\" and 2 or 1)
  end
  return #source
end

local function number_end(source, at)
  local exponent = source:match("^0[xX]", at) and "[pP]" or "[eE]"
  local _, stop = source:find("^[%w_.]+", at)
  while source:find("^" .. exponent .. "[+-]%w", stop) do
    _, stop = source:find("^[%w_.]+", stop + 2)
  end
  return stop
end

-- Where the blank or the comment at `at` ends; nil when there is neither.
local function skip(source, at)
  local _, stop = source:find("^%s+", at)
  if stop then return stop end
  if source:sub(at, at + 1) ~= "--" then return nil end
  return long_bracket(source, at + 2) or (source:find("\n", at, true) or #source + 1) - 1
end

local function scan(source, at)
  local c = source:sub(at, at)
  if c:find "[%a_]" then
    local word = source:match("^[%w_]+", at)
    return keywords[word] and "keyword" or "name", at + #word - 1
  end
  if c:find "%d" or source:find("^%.%d", at) then return "number", number_end(source, at) end
  if c == '"' or c == "'" then return "string", quoted(source, at) end
  local stop = long_bracket(source, at)
  if stop then return "string", stop end
  return "symbol", at + #symbol_at(source, at) - 1
end

--- The tokens of a source, the last of kind "end".
--- Example: `lexer.tokens("x = 1")[1].text` --> "x"
---@param source string
---@return iza.Token[]
function lexer.tokens(source)
  local tokens, line, line_start, at = {}, 1, 1, 1
  local function count(from, to)
    local newline = source:find("\n", from, true)
    while newline and newline <= to do
      line, line_start = line + 1, newline + 1
      newline = source:find("\n", newline + 1, true)
    end
  end
  if source:sub(1, 1) == "#" then at = source:find("\n", 1, true) or #source + 1 end
  count(1, at - 1)
  while at <= #source do
    local kind
    local stop = skip(source, at)
    if not stop then
      kind, stop = scan(source, at)
      tokens[#tokens + 1] = {kind = kind, text = source:sub(at, stop), line = line,
        column = at - line_start + 1}
    end
    count(at, stop)
    at = stop + 1
  end
  tokens[#tokens + 1] = {kind = "end", text = "", line = line, column = at - line_start + 1}
  return tokens
end

return lexer
