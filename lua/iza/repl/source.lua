--- The shape of an entry, while it is typed and before it runs: is it finished, how deep is a line,
--- which local variables does it declare at top level.
local lexer = require "iza.lexer"

local source = {}

-- ---- finished or not ----

--- Whether a text is the beginning of valid Lua that needs more lines.
--- Example: `source.incomplete "for i = 1, 3 do"` --> true
---@param text string
---@return boolean
function source.incomplete(text)
  local value, first = load("return " .. text .. "\n", "=", "t")
  local chunk, second = load(text .. "\n", "=", "t")
  if value or chunk then return false end
  return first:find "<eof>'?$" ~= nil or second:find "<eof>'?$" ~= nil
end

-- ---- indentation ----

local opens = {["function"] = true, ["do"] = true, ["if"] = true, ["repeat"] = true,
  ["("] = true, ["["] = true, ["{"] = true}
local closes = {["end"] = true, ["until"] = true, [")"] = true, ["]"] = true, ["}"] = true}
local turns = {["else"] = true, ["elseif"] = true}

-- Several brackets opened on one line indent once.
local function level(stack)
  local n, last = 0, nil
  for _, line in ipairs(stack) do
    if line ~= last then n = n + 1 end
    last = line
  end
  return n
end

--- How deep the lines of a text stand.
---@param text string
---@return table<integer, integer> levels of each line that begins with a token
---@return integer next of the line after the last
---@return table<integer, boolean> closing the lines that begin by closing what was open
function source.levels(text)
  local stack, levels, closing = {}, {}, {}
  local leading -- nothing but closing words so far on this line
  for _, token in ipairs(lexer.tokens(text)) do
    local code = token.kind == "keyword" or token.kind == "symbol"
    local shuts, turn = code and closes[token.text], code and turns[token.text]
    local outer = stack[#stack]
    if shuts or turn then stack[#stack] = nil end
    if token.kind ~= "end" and not levels[token.line] then
      levels[token.line], closing[token.line] = level(stack), shuts or turn
      leading = closing[token.line]
    elseif leading and shuts then
      levels[token.line] = level(stack)
    else
      leading = false
    end
    if turn then stack[#stack + 1] = outer end
    if code and opens[token.text] then stack[#stack + 1] = token.line end
  end
  return levels, level(stack), closing
end

-- ---- top-level locals ----

-- The place behind the last byte of each token.
local function add_ends(text, tokens)
  local starts, at = {1}, 0
  while true do
    at = text:find("\n", at + 1, true)
    if not at then break end
    starts[#starts + 1] = at + 1
  end
  for _, token in ipairs(tokens) do
    token.stop = starts[token.line] + token.column - 1 + #token.text
  end
end

local function is(token, text)
  return token.text == text and (token.kind == "symbol" or token.kind == "keyword")
end

local block_opens = {["function"] = true, ["do"] = true, ["if"] = true, ["repeat"] = true}

-- The index of the token that closes the block which the token at i opens.
local function block_end(tokens, i)
  local depth = 0
  while tokens[i].kind ~= "end" do
    local token = tokens[i]
    if token.kind == "keyword" then
      if block_opens[token.text] then depth = depth + 1 end
      if token.text == "end" or token.text == "until" then depth = depth - 1 end
      if depth == 0 then return i end
    end
    i = i + 1
  end
  return i
end

local goes_on = {}
for symbol in ("+ - * / // % ^ & | ~ << >> .. < <= > >= == ~= . : ( [ { ,"):gmatch "%S+" do
  goes_on[symbol] = true
end

-- Whether an expression that could end before this token goes on with it.
local function continues(token)
  return token.kind == "string" or token.kind == "symbol" and goes_on[token.text]
    or is(token, "and") or is(token, "or")
end

local values = {["nil"] = true, ["true"] = true, ["false"] = true, ["..."] = true}

-- The index of the last token of the expressions that begin at i.
local function expressions_end(tokens, i)
  local depth, complete = 0, false
  while tokens[i].kind ~= "end" do
    local token = tokens[i]
    if depth == 0 and complete and not continues(token) then break end
    if is(token, "function") then
      i, complete = block_end(tokens, i), true
    elseif is(token, ")") or is(token, "]") or is(token, "}") then
      depth, complete = depth - 1, true
    elseif token.kind == "symbol" and opens[token.text] then
      depth, complete = depth + 1, false
    else
      complete = token.kind == "name" or token.kind == "number" or token.kind == "string"
        or values[token.text] == true
    end
    i = i + 1
  end
  return i - 1
end

-- The declaration whose `local` is at i: its names and the index of its last token. No names: one
-- of them is <close>, which ends with the entry.
local function declaration(tokens, i)
  if is(tokens[i + 1], "function") then
    return {tokens[i + 2].text}, block_end(tokens, i + 1)
  end
  local names, closed = {}, false
  i = i + 1
  while true do
    names[#names + 1] = tokens[i].text
    if is(tokens[i + 1], "<") then
      closed = closed or tokens[i + 2].text == "close"
      i = i + 3
    end
    if not is(tokens[i + 1], ",") then break end
    i = i + 2
  end
  if is(tokens[i + 1], "=") then i = expressions_end(tokens, i + 2) end
  return closed and {} or names, i
end

--- Puts text behind each top-level declaration of locals, on the same line.
---@param text string Lua that compiles
---@param what fun(names: string[]): string
---@return string
function source.after_locals(text, what)
  local tokens = lexer.tokens(text)
  add_ends(text, tokens)
  local out, from, depth, i = {}, 1, 0, 1
  while tokens[i].kind ~= "end" do
    local token = tokens[i]
    local names
    if token.kind == "keyword" and depth == 0 and token.text == "local" then
      names, i = declaration(tokens, i)
    elseif token.kind == "keyword" and block_opens[token.text] then
      depth = depth + 1
    elseif is(token, "end") or is(token, "until") then
      depth = depth - 1
    end
    if names and #names > 0 then
      out[#out + 1] = text:sub(from, tokens[i].stop - 1) .. what(names)
      from = tokens[i].stop
    end
    i = i + 1
  end
  out[#out + 1] = text:sub(from)
  return table.concat(out)
end

return source
