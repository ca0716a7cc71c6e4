--- Where in a script a value stands, and so how it must be written. Used by iza.template_html.
---
--- Reads JavaScript one byte at a time: strings, template literals with code inside them, comments,
--- regular expressions; JSON reads as a part of it. Whether a "/" divides or begins a regular
--- expression follows from the token before it. Where that does not tell (behind "}" or "++") and
--- where the text is no script as written, the rest counts as unclear, and values are refused there
--- rather than misplaced.
local fail = require "iza.fail"

local script = {}

local UNCLEAR = "\0" -- as a token: it may have been any
local MAX_OPEN = 200 -- brackets within one another

---@class iza.ScriptState
---@field mode string a key of `step` below
---@field token string the last word or mark
---@field before string the token before the word that is being read
---@field touches boolean whether the last byte belongs to a word
---@field open string what is open: ( [ { ` and k for the bracket of if, while, for, with
---@field quote string of a string
---@field escaped boolean behind a backslash
---@field seen string the last bytes, where endings have several
---@field was string? the last byte

--- The state at the beginning of a script.
---@return iza.ScriptState
function script.start()
  return {mode = "code", token = ";", before = "", touches = false, open = "", quote = "",
    escaped = false, seen = ""}
end

local step = {}

local function enter(s, mode, token)
  s.mode, s.seen, s.quote, s.escaped, s.touches = mode, "", "", false, false
  s.token = token or s.token
end

-- ---- code ----

local function set(words)
  local list = {}
  for word in words:gmatch "%S+" do list[word] = true end
  return list
end

local before_regex = set [[return typeof instanceof in new delete void throw case do else
  ( , = : [ ! & | ? { ; + - * % ~ ^ < > / )k]]
local before_unclear = set "yield await of let static async get set } . ++ --"
before_unclear[UNCLEAR] = true
local before_bracket = set "if while for with"

-- A word behind a dot is a name, whatever it spells.
local function is_name(s)
  return s.token:find "^%a" and (s.before == "." or s.before == "#")
end

local function read_word(s, c)
  if s.touches then
    if s.token ~= UNCLEAR and #s.token < 32 then s.token = s.token .. c end
  else
    s.before, s.token, s.touches = s.token, c, true
  end
end

local function open_bracket(s, c)
  if c == "(" and not is_name(s) then
    if before_bracket[s.token] then c = "k" end
    if s.token == UNCLEAR or s.token == "await" then c = UNCLEAR end
  end
  s.open = s.open .. c
  return #s.open <= MAX_OPEN
end

local closing = {[")"] = "(", ["]"] = "[", ["}"] = "{"}

local function close_bracket(s, c)
  local top = s.open:sub(-1)
  s.open = s.open:sub(1, -2)
  if c == "}" and top == "`" then return enter(s, "template") end
  if c == ")" and top == "k" then
    s.token = ")k"
  elseif c == ")" and top == UNCLEAR then
    s.token = UNCLEAR
  elseif top == closing[c] then
    s.token = c
  else
    s.mode = "unclear"
  end
end

function step.code(s, c)
  s.seen = (s.seen .. c):sub(-4)
  if c:find "[%w_$\128-\255]" then return read_word(s, c) end
  s.touches = false
  if c:find "%s" then return end
  if c == "\\" or s.seen == "<!--" or s.seen:find "-->$" then
    s.mode = "unclear"
  elseif c == '"' or c == "'" then
    enter(s, "string")
    s.quote = c
  elseif c == "`" then
    enter(s, "template")
  elseif c == "/" then
    enter(s, "slash")
  elseif c:find "[(%[{]" then
    if not open_bracket(s, c) then s.mode = "unclear" end
    s.token = c
  elseif closing[c] then
    close_bracket(s, c)
  elseif (c == "+" or c == "-") and s.token == c and s.seen:sub(-2) == c .. c then
    s.token = c .. c
  else
    s.token = c
  end
end

-- behind "/": a comment, a regular expression or a division
function step.slash(s, c)
  if c == "/" then
    enter(s, "line")
  elseif c == "*" then
    enter(s, "block")
  elseif before_unclear[s.token] and not is_name(s) then
    s.mode = "unclear"
  elseif before_regex[s.token] and not is_name(s) then
    enter(s, "regex")
    step.regex(s, c)
  else
    enter(s, "code", "/")
    step.code(s, c)
  end
end

-- ---- what is not code ----

function step.string(s, c)
  if s.escaped then
    s.escaped = false
  elseif c == "\\" then
    s.escaped = true
  elseif c == s.quote then
    enter(s, "code", '"')
  elseif c == "\n" then
    s.mode = "unclear"
  end
end

function step.template(s, c)
  local seen = s.seen
  s.seen = c
  if s.escaped then
    s.escaped, s.seen = false, ""
  elseif c == "\\" then
    s.escaped = true
  elseif c == "`" then
    enter(s, "code", '"')
  elseif c == "{" and seen == "$" then
    enter(s, "code", "{")
    s.open = s.open .. "`"
    if #s.open > MAX_OPEN then s.mode = "unclear" end
  elseif c == "{" and seen == UNCLEAR then
    s.mode = "unclear" -- "$", a value that may be empty, "{"
  end
end

function step.line(s, c)
  s.seen = (s.seen .. c):sub(-3)
  if c == "\n" or s.seen == "\u{2028}" or s.seen == "\u{2029}" then enter(s, "code") end
end

function step.block(s, c)
  s.seen = (s.seen .. c):sub(-2)
  if s.seen == "*/" then enter(s, "code") end
end

function step.regex(s, c)
  s.seen = (s.seen .. c):sub(-3)
  if c == "\n" or s.seen == "\u{2028}" or s.seen == "\u{2029}" then
    s.mode = "unclear"
  elseif s.escaped then
    s.escaped = false
  elseif c == "\\" then
    s.escaped = true
  elseif s.quote == "[" then
    if c == "]" then s.quote = "" end
  elseif c == "[" then
    s.quote = c
  elseif c == "/" then
    enter(s, "code", '"')
  end
end

function step.unclear() end

--- Reads one byte of the script; changes s.
---@param s iza.ScriptState
---@param c string
function script.read(s, c)
  local follows_cr = s.was == "\r"
  s.was = c
  if c == "\n" and follows_cr then return end -- browsers make one LF of CRLF before they read
  step[s.mode](s, c == "\r" and "\n" or c)
end

-- ---- values ----

--- The escaper for a value at this place; notes in s that one stands here.
---@param s iza.ScriptState
---@return "json"|"script_string"|nil escaper
---@return table? err where none is safe
function script.escaper(s)
  if s.mode == "code" then
    if s.touches then return fail("template", "a value may not touch the name before it") end
    s.token, s.seen = '"', ""
    return "json"
  end
  if s.mode == "string" or s.mode == "template" then
    if s.escaped then return fail("template", "no value may stand right behind a backslash") end
    s.seen = s.seen == "$" and UNCLEAR or ""
    return "script_string"
  end
  if s.mode == "line" or s.mode == "block" then
    return fail("template", "no value may stand in a comment of a script")
  end
  if s.mode == "regex" then
    return fail("template", "no value may stand in a regular expression")
  end
  return fail("template",
    "this place in the script cannot be told for sure; give the value a <script> of its own")
end

--- Notes that text nobody knows stands here.
---@param s iza.ScriptState
function script.unknown(s)
  if s.mode == "code" then s.token, s.before = UNCLEAR, "" end
end

-- whether more text may make "<!--" or "-->" of it
local function begins_comment(seen) return seen:find "<!?%-?$" or seen:find "%-%-$" end

--- The state after two branches that end at a and b; nil when they end at places too different.
---@param a iza.ScriptState
---@param b iza.ScriptState
---@return iza.ScriptState?
function script.join(a, b)
  for _, field in ipairs {"mode", "open", "quote", "escaped"} do
    if a[field] ~= b[field] then return nil end
  end
  local joint = {}
  for k, v in pairs(b) do joint[k] = v end
  if a.mode ~= "code" then return a.seen == b.seen and joint or nil end
  if a.seen ~= b.seen and (begins_comment(a.seen) or begins_comment(b.seen)) then return nil end
  if a.token ~= b.token or a.before ~= b.before then script.unknown(joint) end
  joint.touches = a.touches or b.touches
  return joint
end

--- Whether a loop's body that began at a and ended at b may run again.
---@param a iza.ScriptState
---@param b iza.ScriptState
---@return boolean
function script.repeats(a, b)
  return script.join(a, b) ~= nil and (a.mode ~= "code" or a.touches == b.touches or not b.touches)
end

return script
