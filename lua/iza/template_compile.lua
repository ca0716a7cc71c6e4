--- Turns the source of a template into a Lua function. Used by iza.template.
---
--- The generated code stands on the same lines as its source, so that Lua's own messages name the
--- template's line. Each expression is compiled alone first: it cannot reach into the code around
--- it.
local fail = require "iza.fail"
local html = require "iza.template_html"

local load = load

local TAG_LIMIT = 10000 -- tags in a template

-- ---- expressions ----

local function check_lua(wrapped)
  local f, why = load(wrapped, "=expr", "t", {})
  if f then return true end
  return nil, (why:gsub("^expr:%d+: ", ""))
end

local function check_expression(text) return check_lua("return (" .. text .. ")") end
local function check_list(text) return check_lua("return _(" .. text .. ")") end

local function is_name(text)
  return text:match "^[%a_][%w_]*$" and (check_lua("local " .. text)) or false
end

local function check_names(text)
  for name in (text .. ","):gmatch "([^,]*)," do
    local bare = name:match "^%s*(.-)%s*$"
    if not is_name(bare) then return nil, "'" .. bare .. "' is not a name" end
    if bare:sub(1, 2) == "__" then return nil, "names with __ are reserved" end
  end
  return true
end

-- ---- the compiler's state ----

local function bad(c, line, format, ...)
  return fail("template", "%s:%d: %s", c.name, line, format:format(...))
end

local function emit(c, line, code)
  if c.line < line then
    c.code[#c.code + 1] = ("\n"):rep(line - c.line)
    c.line = line
  end
  c.code[#c.code + 1] = code
  c.line = c.line + select(2, code:gsub("\n", ""))
end

local function open(c, kind, line)
  c.stack[#c.stack + 1] = {kind = kind, line = line, start = html.copy(c.html)}
end

-- ---- tags ----

local tags = {}

tags["if"] = function(c, line, rest)
  local ok, why = check_expression(rest)
  if not ok then return bad(c, line, "in if: %s", why) end
  open(c, "if", line)
  emit(c, line, " if (" .. rest .. ") then ")
  return true
end

-- Notes how a branch ended and goes back to where its if began.
local function end_branch(c, line, tag)
  local top = c.stack[#c.stack]
  if not top or top.kind ~= "if" or top.has_else then return bad(c, line, "%s without if", tag) end
  local finish = top.finish and html.join(top.finish, c.html) or (not top.finish and c.html)
  if not finish then
    return bad(c, line, "the branches of this if end at different places in the HTML")
  end
  top.finish, c.html = finish, html.copy(top.start)
  return top
end

tags["elseif"] = function(c, line, rest)
  local ok, why = check_expression(rest)
  if not ok then return bad(c, line, "in elseif: %s", why) end
  local top, err = end_branch(c, line, "elseif")
  if not top then return nil, err end
  emit(c, line, " elseif (" .. rest .. ") then ")
  return true
end

tags["else"] = function(c, line, rest)
  if rest ~= "" then return bad(c, line, "else takes no condition; use elseif") end
  local top, err = end_branch(c, line, "else")
  if not top then return nil, err end
  top.has_else = true
  emit(c, line, " else ")
  return true
end

tags["for"] = function(c, line, rest)
  local names, list = rest:match "^([%w_,%s]-)%s+in%s+(.*)$"
  local joint = " in "
  if not names then
    names, list = rest:match "^%s*([%w_]+)%s*=%s*(.*)$"
    joint = " = "
  end
  if not names then return bad(c, line, "for wants 'NAME in LIST' or 'NAME = FROM, TO'") end
  local ok, why = check_names(names)
  if ok then ok, why = check_list(list) end
  if not ok then return bad(c, line, "in for: %s", why) end
  open(c, "for", line)
  html.loop(c.html)
  emit(c, line, " for " .. names .. joint .. list .. " do ")
  return true
end

tags["local"] = function(c, line, rest)
  local names, list = rest:match "^([%w_,%s]-)%s*=%s*(.*)$"
  if not names then return bad(c, line, "local wants 'NAME = VALUE'") end
  local ok, why = check_names(names)
  if ok then ok, why = check_list(list) end
  if not ok then return bad(c, line, "in local: %s", why) end
  emit(c, line, " local " .. names .. " = " .. list .. " ")
  return true
end

tags["block"] = function(c, line, rest)
  if not is_name(rest) then return bad(c, line, "block wants a name") end
  if not html.is_text(c.html) then return bad(c, line, "a block may not stand inside a tag") end
  if c.blocks[rest] then return bad(c, line, "block %s is there twice", rest) end
  c.blocks[rest] = true
  open(c, "block", line)
  emit(c, line, (" __rt:block(%q, function() "):format(rest))
  return true
end

tags["include"] = function(c, line, rest)
  if not html.is_text(c.html) then return bad(c, line, "an include may not stand inside a tag") end
  local ok, why = check_list(rest)
  if not ok or rest == "" then return bad(c, line, "in include: %s", why or "a name is missing") end
  emit(c, line, " __rt:include(" .. rest .. ") ")
  return true
end

tags["layout"] = function(c, line, rest)
  if c.has_layout or #c.stack > 0 then
    return bad(c, line, "layout stands once, outside of everything")
  end
  local ok, why = check_expression(rest)
  if not ok then return bad(c, line, "in layout: %s", why) end
  c.has_layout = true
  emit(c, line, " __rt:layout((" .. rest .. ")) ")
  return true
end

tags["end"] = function(c, line, rest)
  local top = table.remove(c.stack)
  if not top or rest ~= "" then return bad(c, line, "end without anything to end") end
  local after = c.html
  if top.kind ~= "if" then
    after = html.repeats(top.start, c.html)
  else
    if top.finish then after = html.join(top.finish, after) end
    if not top.has_else then after = after and html.join(top.start, after) end
  end
  if not after then
    return bad(c, top.line, "the HTML inside this %s must end where it began", top.kind)
  end
  c.html = after
  emit(c, line, top.kind == "block" and " end) " or " end ")
  return true
end

local function take_tag(c, line, text)
  local word, rest = text:match "^%s*(%a+)%s*(.-)%s*$"
  local f = word and tags[word]
  if not f then return bad(c, line, "unknown tag '%s'", text:match "^%s*(.-)%s*$":sub(1, 40)) end
  return f(c, line, rest)
end

-- ---- literal text and values ----

local function take_literal(c, line, text)
  if text == "" then return true end
  local ok, err = html.read(c.html, text)
  if not ok then return bad(c, line, "%s", err.message) end
  emit(c, line, " __rt:write(" .. ("%q"):format(text):gsub("\\\n", "\\n") .. ") ")
  return true
end

local function take_value(c, line, text, raw)
  local escaper, err = "raw", nil
  if raw then html.unknown(c.html) else escaper, err = html.escaper(c.html) end
  if not escaper then return bad(c, line, "%s", err.message) end
  local shown = text:match "^%s*(.-)%s*$":sub(1, 60)
  emit(c, line, (" __rt:%s((%s), %s) "):format(escaper, text, ("%q"):format(shown):gsub("\\\n",
    " ")))
  return true
end

-- An expression may itself hold the closing braces ("{{ f{a = {1}} }}"): it ends at the first ones
-- up to which it is Lua.
local function end_of_value(source, from, close)
  local at, first_why = from, nil
  for _ = 1, 16 do
    at = source:find(close, at, true)
    if not at then break end
    local ok, why = check_expression(source:sub(from, at - 1))
    if ok then return at end
    first_why = first_why or why
    at = at + 1
  end
  return nil, first_why or "no " .. close .. " behind it"
end

-- A tag alone on its line takes the whole line away.
local function trims_line(source, start, stop)
  local line_start = source:sub(1, start - 1):match "()[ \t]*$"
  local before = line_start == 1 or source:sub(line_start - 1, line_start - 1) == "\n"
  local line_end = source:match("^[ \t]*\r?\n()", stop)
  if not line_end and source:match("^[ \t]*$", stop) then line_end = #source + 1 end
  if before and line_end then return line_start, line_end end
  return start, stop
end

-- One step: the literal up to the next opening, and what stands there. Returns the position behind.
local function take_next(c, source, at)
  local start = source:find("{[{%%#]", at)
  if not start then
    local ok, err = take_literal(c, c.source_line, source:sub(at))
    if not ok then return nil, err end
    return #source + 1
  end
  local kind = source:sub(start + 1, start + 1)
  local raw = source:sub(start, start + 2) == "{{{"
  local close = raw and "}}}" or kind == "{" and "}}" or kind .. "}"
  local from = start + #close
  local line = c.source_line + select(2, source:sub(at, start - 1):gsub("\n", ""))
  local finish, why
  if kind == "{" then finish, why = end_of_value(source, from,
    close) else finish = source:find(close, from, true) end
  if not finish then
    return bad(c, line, "%s: %s", source:sub(start, from - 1), why or "no " .. close
      .. " behind it")
  end
  local left, right = start, finish + #close
  if kind ~= "{" then left, right = trims_line(source, left, right) end
  local ok, err = take_literal(c, c.source_line, source:sub(at, math.max(left, at) - 1))
  if not ok then return nil, err end
  local text = source:sub(from, finish - 1)
  if kind == "{" then
    ok, err = take_value(c, line, text, raw)
  elseif kind == "%" then
    ok, err = take_tag(c, line, text)
  end
  if not ok then return nil, err end
  c.source_line = c.source_line + select(2, source:sub(at, right - 1):gsub("\n", ""))
  return right
end

--- Compiles a template.
---@param source string
---@param name string for messages
---@return function? f called with the environment and the runtime
---@return table? err code "template", message "NAME:LINE: what"
return function(source, name)
  local c = {name = name, html = html.start(), stack = {}, blocks = {}, line = 1, source_line = 1,
    code = {"local _ENV, __rt = ... "}}
  local at, count = 1, 0
  while at <= #source do
    local err
    count = count + 1
    at, err = take_next(c, source, at)
    if not at then return nil, err end
    if count > TAG_LIMIT then return bad(c, c.line, "more than %d tags", TAG_LIMIT) end
  end
  local top = c.stack[#c.stack]
  if top then return bad(c, top.line, "this %s has no end", top.kind) end
  local where = html.unfinished(c.html)
  if where then return bad(c, c.source_line, "the template ends inside %s", where) end
  local f, why = load(table.concat(c.code), "=" .. name, "t", {})
  if not f then return fail("template", "%s", why) end
  return f
end
