--- Where in an HTML text a value stands, and so how it must be escaped. Used by iza.template.
---
--- A small state machine reads the literal parts of a template, one character at a time, at compile
--- time. It knows text, tags, attributes, comments, <script> and <style>; a value is refused where
--- no
--- escaping can make it safe. It reads well-formed HTML; in doubt it refuses.
local fail = require "iza.fail"

local html = {}

---@class iza.HtmlState
---@field mode string a key of `step` below
---@field element string lower-case name of the tag
---@field attr string lower-case name of the attribute
---@field quote string
---@field value string what of the attribute's value is known
---@field dynamic boolean whether a value stands in the attribute already

local url_attributes = {href = true, src = true, action = true, formaction = true, poster = true,
  cite = true, background = true, ["xlink:href"] = true, data = true, manifest = true, ping = true}
local refused_attributes = {style = true, srcdoc = true, srcset = true}
local raw_elements = {script = true, style = true}
local safe_schemes = {http = true, https = true, mailto = true, tel = true, sms = true}

--- The state at the beginning of a text.
---@return iza.HtmlState
function html.start()
  return {mode = "text", element = "", attr = "", quote = "", value = "", dynamic = false}
end

---@param s iza.HtmlState
---@return iza.HtmlState
function html.copy(s)
  local c = {}
  for k, v in pairs(s) do c[k] = v end
  return c
end

local step = {}

function step.text(s, c)
  if c == "<" then s.mode, s.value = "open", "" end
end

-- behind "<": a tag, a comment, or just a character
function step.open(s, c)
  s.value = s.value .. c
  if s.value == "!--" then
    s.mode, s.value = "comment", ""
  elseif s.value:match "^/?%a$" then
    s.mode, s.element = "element", s.value
  elseif s.value ~= "/" and s.value ~= "!" and s.value ~= "!-" then
    s.mode = "text"
    step.text(s, c)
  end
end

function step.comment(s, c)
  s.value = (s.value .. c):sub(-3)
  if s.value == "-->" then s.mode, s.value = "text", "" end
end

local function end_tag(s)
  s.mode = raw_elements[s.element] and "raw" or "text"
  s.attr, s.value, s.quote = "", "", ""
end

function step.element(s, c)
  if c:match "[%s/]" and not (s.element == "/" and c == "/") then
    s.mode, s.element = "tag", s.element:lower()
  elseif c == ">" then
    s.element = s.element:lower()
    end_tag(s)
  else
    s.element = s.element .. c
  end
end

function step.tag(s, c)
  if c == ">" then
    end_tag(s)
  elseif c == "=" then
    s.mode, s.attr = "bare", "this attribute"
  elseif not c:match "[%s/]" then
    s.mode, s.attr = "name", c
  end
end

function step.name(s, c)
  if c == "=" then
    s.mode, s.attr = "equals", s.attr:lower()
  elseif c == ">" then
    end_tag(s)
  elseif c:match "[%s/]" then
    s.mode = "blank"
  else
    s.attr = s.attr .. c
  end
end

-- behind branches that ended at different places of a tag: only what ends a name is clear
function step.joint(s, c)
  if c:match "[%s/>]" then
    s.mode, s.attr = "tag", ""
    step.tag(s, c)
  else
    s.mode, s.attr = "bare", "this attribute"
  end
end

-- behind a name and a blank: "=" still belongs to the name
function step.blank(s, c)
  if c:match "%s" then return end
  s.mode = c == "=" and "equals" or "tag"
  if s.mode == "equals" then s.attr = s.attr:lower() else step.tag(s, c) end
end

function step.equals(s, c)
  if c:match "%s" then return end
  s.value, s.dynamic = "", false
  if c == '"' or c == "'" then
    s.mode, s.quote = "value", c
  elseif c == ">" then
    end_tag(s)
  else
    s.mode = "bare"
  end
end

function step.value(s, c)
  if c == s.quote then
    s.mode, s.attr, s.value, s.quote = "tag", "", "", ""
  elseif #s.value < 256 then
    s.value = s.value .. c
  end
end

function step.bare(s, c)
  if c == ">" then end_tag(s) elseif c:match "%s" then s.mode, s.attr = "tag", "" end
end

-- inside <script> and <style>: up to "</script"
function step.raw(s, c)
  local ending = "</" .. s.element
  s.value = (s.value .. c):sub(-#ending)
  if s.value:lower() == ending then s.mode, s.element, s.value = "element", "/" .. s.element, "" end
end

--- Reads a literal part; changes s.
---@param s iza.HtmlState
---@param text string
function html.read(s, text)
  for i = 1, #text do step[s.mode](s, text:sub(i, i)) end
end

-- How far the known part of a URL has come.
local function url_part(s)
  local known = s.value:match "^%s*(.*)$"
  if known == "" and not s.dynamic then return "whole" end
  if known:find "[?#]" then return "query" end
  if known:find("/", 1, true) then return "path" end
  local scheme = known:match "^(%a[%w+.-]*):"
  if scheme then return safe_schemes[scheme:lower()] and "path" or "refused" end
  return "unclear"
end

local function url_escaper(s)
  local part = url_part(s)
  if part == "whole" then return "url" end
  if part == "query" then return "url_part" end
  if part == "path" then return "html" end
  if part == "refused" then
    return fail("template", "no value may stand in a URL that starts like this")
  end
  return fail("template", "a URL must start with /, ?, # or https: before a value, or be one value")
end

--- The escaper for a value at this place; notes in s that one stands here.
---@param s iza.HtmlState
---@return "html"|"url"|"url_part"|"json"|nil escaper
---@return table? err where none is safe
function html.escaper(s)
  if s.mode == "text" or s.mode == "comment" then return "html" end
  if s.mode == "raw" then
    if s.element == "script" then return "json" end
    return fail("template", "no value may stand in <style>")
  end
  if s.mode == "equals" or s.mode == "bare" then
    return fail("template", "the value of %s needs quotes around it", s.attr)
  end
  if s.mode ~= "value" then return fail("template", "no value may stand inside a tag") end
  if s.attr:match "^on" or refused_attributes[s.attr] then
    return fail("template", "no value may stand in the attribute %s", s.attr)
  end
  local escaper, err = "html", nil
  if url_attributes[s.attr] then escaper, err = url_escaper(s) end
  s.dynamic = true
  return escaper, err
end

local inside_tag = {element = true, tag = true, name = true, blank = true, joint = true}

local function identical(a, b)
  if a.mode == "text" and b.mode == "text" then return true end
  for _, field in ipairs {"mode", "element", "attr", "quote"} do
    if a[field] ~= b[field] then return false end
  end
  return a.mode ~= "value" or not url_attributes[a.attr] or url_part(a) == url_part(b)
end

--- The state after two branches that end at a and b; nil when they end at places too different.
---@param a iza.HtmlState
---@param b iza.HtmlState
---@return iza.HtmlState?
function html.join(a, b)
  if identical(a, b) then return html.copy(b) end
  if not inside_tag[a.mode] or not inside_tag[b.mode] then return nil end
  if a.element:lower() ~= b.element:lower() then return nil end
  local joint = html.start()
  joint.mode, joint.element = "joint", a.element:lower()
  return joint
end

--- Whether a loop's body that began at a and ended at b may run again.
---@param a iza.HtmlState
---@param b iza.HtmlState
---@return boolean
function html.repeats(a, b)
  return identical(a, b) or (b.mode == "tag" and html.join(a, b) ~= nil)
end

--- Whether whole pieces of HTML may be put here.
---@param s iza.HtmlState
---@return boolean
function html.is_text(s) return s.mode == "text" end

--- Whether a URL may be the target of a link: relative, or of a scheme that runs no script.
--- Example: `html.safe_url("javascript:alert(1)")` --> false
---@param url string
---@return boolean
function html.safe_url(url)
  -- browsers drop control characters and blanks before they read the scheme
  local scheme = url:gsub("[%z\1-\32\127]", ""):match "^([^/?#:]*):"
  return scheme == nil or safe_schemes[scheme:lower()] == true
end

return html
