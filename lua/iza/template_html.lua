--- Where in an HTML text a value stands, and so how it must be escaped. Used by iza.template.
---
--- A small state machine reads the literal parts of a template, one byte at a time, at compile
--- time, as the tokenizer of the HTML standard does: text, tags, attributes, comments, the elements
--- whose content is no markup. Scripts are read by iza.template_script. A value is refused where no
--- escaping can make it safe, and where what stands around it does not tell what it would become.
local fail = require "iza.fail"
local script = require "iza.template_script"

local html = {}

---@class iza.HtmlState
---@field mode string a key of `step` below
---@field element string lower-case name of the tag
---@field attr string lower-case name of the attribute
---@field quote string
---@field value string what of the attribute's value is known; elsewhere the last bytes
---@field dynamic boolean whether a value stands in the attribute already
---@field foreign boolean inside <svg> or <math>
---@field kind string? type of a <script>, as written
---@field equiv string? http-equiv of a <meta>
---@field described boolean? a value stands in the content of this <meta>
---@field content string? how the content of a raw element is read: a key of `inside`
---@field hidden boolean? behind "<!--" in a script
---@field script iza.ScriptState? inside a script
---@field inner iza.HtmlState? inside a script that holds markup
---@field problem string? why what was read cannot be

local UNKNOWN = "\0" -- as an attribute or its value: it may be any

local function set(words)
  local list = {}
  for word in words:gmatch "%S+" do list[word] = true end
  return list
end

local url_attributes = set [[href src action formaction poster cite background data manifest ping
  longdesc usemap profile codebase classid archive icon lowsrc dynsrc code]]
local refused_attributes = set "style srcdoc srcset imagesrcset http-equiv"
local animations = set "animate set animatemotion animatetransform"
local raw_elements = {script = "script", style = "refused", textarea = "text", title = "text",
  xmp = "refused", iframe = "refused", noembed = "refused", noframes = "refused"}
local safe_schemes = {http = true, https = true, mailto = true, tel = true, sms = true}

-- What a script's type says of its content; of other types nothing is known.
local javascript = set [[module text/javascript application/javascript text/ecmascript
  application/ecmascript application/x-javascript text/x-javascript application/x-ecmascript
  text/x-ecmascript text/jscript text/livescript]]
local markup = set [[text/template text/html text/x-template text/x-handlebars text/mustache
  text/x-handlebars-template text/x-mustache text/ng-template text/x-tmpl text/x-jquery-tmpl
  x-tmpl-mustache text/x-underscore]]

--- The state at the beginning of a text.
---@return iza.HtmlState
function html.start()
  return {mode = "text", element = "", attr = "", quote = "", value = "", dynamic = false,
    foreign = false}
end

---@param s iza.HtmlState
---@return iza.HtmlState
function html.copy(s)
  local c = {}
  for k, v in pairs(s) do c[k] = type(v) == "table" and html.copy(v) or v end
  return c
end

local step = {}

function step.text(s, c)
  if c == "<" then s.mode, s.value = "open", "" end
end

-- behind "<": a tag, a comment, a declaration, or just a character
function step.open(s, c)
  s.value = s.value .. c
  if s.value == "!--" then
    s.mode, s.value = "comment", "<!--"
  elseif s.value:find "^/?%a$" then
    s.mode, s.element = "element", s.value
    s.kind, s.equiv, s.described = nil, nil, nil
  elseif s.value == "![" then
    s.mode = "lost" -- CDATA in svg, a comment elsewhere
  elseif s.value:find "^[!?]" then
    if not ("!--"):find(s.value, 1, true) then
      s.mode = "declaration"
      step.declaration(s, c)
    end
  elseif s.value == "/>" then
    s.mode = "text"
  elseif #s.value > 1 then
    s.mode = "declaration"
  elseif s.value ~= "/" then
    s.mode = "text"
    step.text(s, c)
  end
end

function step.declaration(s, c)
  if c == ">" then s.mode, s.value = "text", "" end
end

function step.comment(s, c)
  s.value = (s.value .. c):sub(-7)
  local odd = s.value:find "%-%-!>$" and s.value ~= "<!--!>" and s.value ~= "<!---!>"
  if odd or s.value:find "%-%->$" then s.mode, s.value = "text", "" end
end

-- nothing behind here is clear
function step.lost() end

-- ---- tags ----

-- How the content of the script that begins here is read.
local function script_content(s)
  local type = (s.kind or ""):lower():match "^[\t\n\f\r ]*(.-)[\t\n\f\r ]*$"
  if s.foreign then return "refused" end
  if type == "" or javascript[type] or type:find "^[%w.-]+/json$"
    or type:find "^[%w.-]+/[%w.-]+%+json$" then
    return "script"
  end
  return markup[type] and "markup" or "refused"
end

local function end_tag(s)
  local element = s.element
  s.mode, s.attr, s.value, s.quote = "text", "", "", ""
  if element == "svg" or element == "math" then
    s.foreign = true
  elseif element == "/svg" or element == "/math" then
    s.foreign = false
  elseif element == "plaintext" then
    s.mode = "lost"
  elseif raw_elements[element] and not (s.foreign and element == "title") then
    s.mode, s.content, s.hidden = "raw", raw_elements[element], false
    if element == "script" then s.content = script_content(s) end
    if s.content == "script" then s.script = script.start() end
    if s.content == "markup" then s.inner = html.start() end
  end
end

function step.element(s, c)
  if c:find "[\t\n\f\r /]" then
    s.mode, s.element = "tag", s.element:lower()
  elseif c == ">" then
    s.element = s.element:lower()
    end_tag(s)
  elseif #s.element < 64 then
    s.element = s.element .. c
  end
end

function step.tag(s, c)
  if c == ">" then
    end_tag(s)
  elseif not c:find "[\t\n\f\r /]" then
    s.mode, s.attr, s.value = "name", c, ""
  end
end

-- Notes what an attribute says of its element. The first of several of one name counts.
local function end_attribute(s)
  local unknown = s.attr == UNKNOWN
  if s.element == "script" and (s.attr == "type" or unknown) and not s.kind then
    s.kind = unknown and UNKNOWN or s.value
  elseif s.element == "meta" and (s.attr == "http-equiv" or unknown) and not s.equiv then
    s.equiv = unknown and UNKNOWN or s.value:lower()
    if s.described then
      s.problem = "http-equiv must stand before the content of a meta, not behind its value"
    end
  end
  s.attr, s.value, s.quote = "", "", ""
end

function step.name(s, c)
  if c == "=" then
    s.mode, s.attr = "equals", s.attr:lower()
  elseif c:find "[\t\n\f\r ]" then
    s.mode, s.attr = "blank", s.attr:lower()
  elseif c == "/" or c == ">" then
    s.mode, s.attr = "tag", s.attr:lower()
    end_attribute(s)
    step.tag(s, c)
  elseif #s.attr < 64 then
    s.attr = s.attr .. c
  end
end

-- behind branches that ended at different places of a tag: only what ends a name is clear
function step.joint(s, c)
  if c:find "[\t\n\f\r />]" then
    s.mode, s.attr = "tag", ""
    step.tag(s, c)
  else
    s.mode, s.attr, s.value = "bare", UNKNOWN, ""
  end
end

-- behind a name and a blank: "=" still belongs to the name
function step.blank(s, c)
  if c:find "[\t\n\f\r ]" then return end
  if c == "=" then
    s.mode = "equals"
  else
    s.mode = "tag"
    end_attribute(s)
    step.tag(s, c)
  end
end

function step.equals(s, c)
  if c:find "[\t\n\f\r ]" then return end
  s.value, s.dynamic = "", false
  if c == '"' or c == "'" then
    s.mode, s.quote = "value", c
  else
    s.mode = "bare"
    step.bare(s, c)
  end
end

local function is_url(s)
  return url_attributes[s.attr] or s.attr:find ":href$" or (s.attr == "content" and s.equiv)
end

-- Behind a value at the start of a URL: text that would make a scheme of the value.
local function check_scheme(s)
  local first = s.value:match "^[^/?#:]*[:#]?"
  if first:find ":$" or first:find "&#$" or first:find "&colon;" then
    s.problem = "a value may not be the scheme of a URL"
  end
end

function step.value(s, c)
  if c == s.quote then
    s.mode = "tag"
    end_attribute(s)
  elseif #s.value < 256 then
    s.value = s.value .. c
    if s.dynamic and is_url(s) then check_scheme(s) end
  end
end

function step.bare(s, c)
  if c == ">" or c:find "[\t\n\f\r ]" then
    s.mode = "tag"
    end_attribute(s)
    step.tag(s, c)
  elseif #s.value < 256 then
    s.value = s.value .. c
  end
end

-- ---- elements whose content is no markup ----

local function step_hidden(s)
  if s.value:find "<!%-%-$" then
    s.hidden = true
  elseif s.value:find "%-%->$" then
    s.hidden = false
  elseif s.hidden and s.value:find "<script[\t\n\f\r />]$" then
    s.mode = "lost" -- from here on "</script" does not end the script
  end
end

function step.raw(s, c)
  s.value = (s.value .. c:lower()):sub(-#s.element - 3)
  if s.value:match "^</(%a+)[\t\n\f\r />]$" == s.element then
    s.mode, s.element, s.value = "element", "/" .. s.element, ""
    s.script, s.inner, s.content = nil, nil, nil
    return step.element(s, c)
  end
  if s.element == "script" then step_hidden(s) end
  if s.script then script.read(s.script, c) end
  if s.inner then step[s.inner.mode](s.inner, c) end
end

--- Reads a literal part; changes s.
---@param s iza.HtmlState
---@param text string
---@return boolean? ok
---@return table? err where it makes something unsafe of a value before it
function html.read(s, text)
  for i = 1, #text do step[s.mode](s, text:sub(i, i)) end
  local problem = s.problem or (s.inner and s.inner.problem)
  if problem then return fail("template", "%s", problem) end
  return true
end

-- ---- values ----

-- The known part of the URL before a value; of a refresh what stands behind "5; url=".
local function known_url(s)
  local text = s.value
  if s.attr == "content" then
    text = text:match "^%s*[%d.]+%s*[;,]%s*[uU][rR][lL]%s*=(.*)$"
    if not text then return nil end
  end
  return text:match "^[%z\1-\32]*(.*)$"
end

-- How far the known part of a URL has come.
local function url_part(s)
  local known = known_url(s)
  if not known then return "unclear" end
  if known == "" and not s.dynamic then return "whole" end
  local scheme = known:match "^([^/?#:]*):"
  if scheme and not safe_schemes[scheme:lower()] then return "refused" end
  if not scheme and known:find "^[^/?#]*&" then return "unclear" end -- "&colon;"
  if known:find "[?#]" then return "query" end
  if known == "/" then return "root" end
  return (scheme or known:find "[/]") and "path" or "unclear"
end

local url_escapers = {whole = "url", query = "url_part", root = "url_path", path = "html"}

local function url_escaper(s)
  local part = url_part(s)
  if part == "whole" and (s.element == "script" or s.element == "base") then
    return fail("template", "the address of a <%s> may not be a value: begin it with / or https://",
      s.element)
  end
  if url_escapers[part] then return url_escapers[part] end
  if part == "refused" then
    return fail("template", "no value may stand in a URL that starts like this")
  end
  if s.attr == "content" then
    return fail("template", "in a refresh a value may stand only in its URL, as in \"5; url=/x\"")
  end
  return fail("template", "a URL must start with /, ?, # or https: before a value, or be one value")
end

-- Attributes that hold scripts, and those that libraries take for such.
local function runs_script(attr)
  return attr:find "^on" or attr:find "^@" or attr:find "[-:]on[-:]"
end

local function attribute_escaper(s)
  if s.attr == UNKNOWN or runs_script(s.attr) or refused_attributes[s.attr]
    or animations[s.element] or (s.element == "script" and s.attr == "type") then
    return fail("template", "no value may stand in the attribute %s", s.attr)
  end
  if s.attr == "content" and s.equiv and s.equiv ~= "refresh" then
    return fail("template", "no value may stand in the content of this http-equiv")
  end
  local escaper, err = "html", nil
  if is_url(s) then escaper, err = url_escaper(s) end
  s.dynamic = true
  if s.element == "meta" and s.attr == "content" and not s.equiv then s.described = true end
  return escaper, err
end

local inside = {}

function inside.text() return "html" end

function inside.script(s) return script.escaper(s.script) end

-- Only where it stays a value when the page's scripts take the markup up.
function inside.markup(s)
  local escaper, err = html.escaper(s.inner)
  if escaper == "html" then return "markup" end
  if escaper == "url_part" then return escaper end
  return nil, err or select(2, fail("template", "no value may stand here in markup for scripts"))
end

function inside.refused(s)
  if s.element == "script" and not s.foreign then
    return fail("template", "no value may stand in a <script> of this type")
  end
  return fail("template", "no value may stand in <%s>%s", s.element,
    s.foreign and " inside <svg> or <math>" or "")
end

local function raw_escaper(s)
  if s.value:find "<[/!]?[%a-]*$" then
    return fail("template", "no value may stand right behind a <")
  end
  s.value = ""
  return inside[s.content](s)
end

--- The escaper for a value at this place; notes in s that one stands here.
---@param s iza.HtmlState
---@return string? escaper a method of the runtime
---@return table? err where none is safe
function html.escaper(s)
  if s.mode == "text" then return "html" end
  if s.mode == "comment" then
    s.value = "x"
    return "comment"
  end
  if s.mode == "raw" then return raw_escaper(s) end
  if s.mode == "equals" or s.mode == "bare" then
    return fail("template", "the value of %s needs quotes around it",
      s.attr == UNKNOWN and "this attribute" or s.attr)
  end
  if s.mode == "lost" then
    return fail("template", "what this place in the HTML is cannot be told for sure")
  end
  if s.mode ~= "value" then return fail("template", "no value may stand inside a tag") end
  return attribute_escaper(s)
end

--- Notes that text nobody knows, or a loop's body for the second time, stands before what follows.
---@param s iza.HtmlState
function html.unknown(s)
  if s.script then script.unknown(s.script) end
  if s.inner then html.unknown(s.inner) end
end

-- ---- branches and loops ----

local inside_tag = {element = true, tag = true, name = true, blank = true, joint = true}
local shared = {"mode", "element", "attr", "quote", "kind", "equiv", "described", "content",
  "hidden"}
local settled = {path = true, query = true}
-- where the last bytes may be the beginning of an ending
local begins = {raw = "<[/!]?[%a-]*$", comment = "%-!?$", open = "."}

local function same_value(a, b)
  if a.value == b.value then return true end
  if begins[a.mode] then
    return not a.value:find(begins[a.mode]) and not b.value:find(begins[a.mode])
  end
  if a.mode ~= "value" then return true end
  if is_url(a) then return settled[url_part(a)] and url_part(a) == url_part(b) end
  return a.attr ~= "type" and a.attr ~= "http-equiv"
end

local function same_place(a, b)
  for _, field in ipairs(shared) do
    if a[field] ~= b[field] then return false end
  end
  return same_value(a, b)
end

local function join_identical(a, b)
  if not (a.mode == "text" and b.mode == "text") and not same_place(a, b) then return nil end
  local joint = html.copy(b)
  joint.foreign = a.foreign or b.foreign
  if a.script then joint.script = script.join(a.script, b.script) end
  if a.inner then joint.inner = html.join(a.inner, b.inner) end
  if (a.script and not joint.script) or (a.inner and not joint.inner) then return nil end
  return joint
end

local function either(a, b)
  if a == b then return a end
  return UNKNOWN
end

--- The state after two branches that end at a and b; nil when they end at places too different.
---@param a iza.HtmlState
---@param b iza.HtmlState
---@return iza.HtmlState?
function html.join(a, b)
  local joint = join_identical(a, b)
  if joint then return joint end
  if not inside_tag[a.mode] or not inside_tag[b.mode] then return nil end
  if a.element:lower() ~= b.element:lower() then return nil end
  joint = html.start()
  joint.mode, joint.element, joint.foreign = "joint", a.element:lower(), a.foreign or b.foreign
  joint.kind, joint.equiv = either(a.kind, b.kind), either(a.equiv, b.equiv)
  joint.described = a.described or b.described
  return joint
end

--- Notes at s that a loop's body begins, which may run again behind itself.
---@param s iza.HtmlState
function html.loop(s)
  html.unknown(s)
  if inside_tag[s.mode] and s.mode ~= "tag" then s.mode, s.element = "joint", s.element:lower() end
end

--- The state behind a loop whose body began at a and ended at b; nil when it may not run again.
---@param a iza.HtmlState
---@param b iza.HtmlState
---@return iza.HtmlState?
function html.repeats(a, b)
  if a.script and b.script and not script.repeats(a.script, b.script) then return nil end
  if a.mode == "tag" and b.mode ~= "tag" then return nil end
  return html.join(a, b)
end

--- Where the text ends when that is not in plain text, in words.
---@param s iza.HtmlState
---@return string?
function html.unfinished(s)
  if s.mode == "text" or s.mode == "open" or s.mode == "lost" then return nil end
  if s.mode == "raw" then return "<" .. s.element .. ">" end
  return s.mode == "comment" and "a comment" or "a tag"
end

--- Whether whole pieces of HTML may be put here: in text, also that of <title> and <textarea>,
--- where no escaped value can make an end tag.
---@param s iza.HtmlState
---@return boolean
function html.is_text(s) return s.mode == "text" or (s.mode == "raw" and s.content == "text") end

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
