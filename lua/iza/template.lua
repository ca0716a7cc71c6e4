--- HTML templates: values are escaped by default, as fits the place where they stand.
---
---     {{ expr }}     a Lua expression, escaped for its place, see below
---     {{{ expr }}}   as it is; only for text known to be HTML
---     {% if expr %} {% elseif expr %} {% else %} {% end %}
---     {% for k, v in pairs(t) %} {% for i = 1, 9 %} {% end %}
---     {% local name = expr %}        {# a comment #}
---     {% include "part.html" %} or {% include "part.html", {title = "x"} %}
---     {% layout "base.html" %} and {% block body %}default{% end %}
---
--- In text and quoted attributes a value is escaped as HTML; a whole URL in href and the like
--- stands only if its scheme runs no script; in the query of a URL it is percent-encoded. In
--- <script> a value is JSON where code stands (`var user = {{ user }};`, without quotes), and text
--- inside a string's quotes. Scripts of a JSON type are treated alike, those of a template type
--- (text/template ...) as markup.
---
--- Where no escaping is safe a value is refused when the template is compiled: unquoted attributes,
--- on*, style, srcdoc, inside a tag, comments and regular expressions of scripts, scripts of other
--- types, and where the text around it does not tell what its place is. Messages name the line.
---
--- Expressions see the data given to render, and pairs, ipairs, next, select, type, tostring,
--- tonumber, math, string, table, utf8: nothing else. A value that is nil is an error; where it may
--- be, write {{ x or '' }}.
local compile = require "iza.template_compile"
local fail = require "iza.fail"
local html = require "iza.template_html"
local url = require "iza.url"

local template = {}

local MAX_DEPTH = 32 -- includes and layouts within one another

-- ---- what expressions see ----

local function frozen(library)
  return setmetatable({}, {__index = library, __metatable = false,
    __newindex = function() error("a template cannot change a library", 2) end})
end

local builtins = {pairs = pairs, ipairs = ipairs, next = next, select = select, type = type,
  tostring = tostring, tonumber = tonumber, math = frozen(math), string = frozen(string),
  table = frozen(table), utf8 = frozen(utf8)}

local function environment(data)
  return setmetatable({}, {__metatable = false, __index = function(_, name)
    local value = data[name]
    if value == nil then return builtins[name] end
    return value
  end, __newindex = function(_, name)
    error("a template cannot set '" .. tostring(name) .. "'; use {% local %}", 2)
  end})
end

-- ---- the runtime of one rendering ----

local Runtime = {}
Runtime.__index = Runtime

local entities = {["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;",
  ["'"] = "&#39;",
  ["`"] = "&#96;"}

local function escape(text)
  if not text:find "[&<>\"'`]" then return text end
  return (text:gsub("[&<>\"'`]", entities))
end

-- The text of a value; level 3 is the line of the template.
local function text_of(value, expression)
  local kind = type(value)
  if kind == "string" then return value end
  if kind == "number" or kind == "boolean" then return tostring(value) end
  local meta = kind == "table" and getmetatable(value)
  if type(meta) == "table" and meta.__tostring then return tostring(value) end
  error(("'%s' is %s, not a text"):format(expression, kind == "nil" and "nil" or "a " .. kind), 3)
end

function Runtime:write(text)
  if self.muted then return end
  local out = self.out
  out[#out + 1] = text
end

function Runtime:raw(value, expression) self:write(text_of(value, expression)) end

function Runtime:html(value, expression) self:write(escape(text_of(value, expression))) end

-- Neither "-->" nor "--!>" can come of it, nor "<!-->" of nothing.
function Runtime:comment(value, expression)
  local text = escape(text_of(value, expression)):gsub("-", "&#45;")
  self:write(text == "" and " " or text)
end

-- In markup that a page's script takes up: its own placeholders cannot come of a value.
function Runtime:markup(value, expression)
  local text = escape(text_of(value, expression)):gsub("[{}%%$%[%]]", function(c)
    return ("&#%d;"):format(c:byte())
  end)
  self:write(text)
end

function Runtime:url(value, expression)
  local text = text_of(value, expression)
  self:write(html.safe_url(text) and escape(text) or "about:invalid#refused")
end

function Runtime:url_part(value, expression) self:write(url.encode(text_of(value, expression))) end

-- Behind the first "/" of a path: no second one may make a host of it.
function Runtime:url_path(value, expression)
  self:write(escape((text_of(value, expression):gsub("^[%c /\\]+", ""))))
end

-- Text inside the quotes of a string, in JavaScript and in JSON.
function Runtime:script_string(value, expression)
  local text = text_of(value, expression):gsub("[%c\"'`\\<>&/${}]", function(c)
    return ("\\u%04x"):format(c:byte())
  end)
  self:write((text:gsub("\u{2028}", "\\u2028"):gsub("\u{2029}", "\\u2029")))
end

-- JSON that stays inside a script, and inside any of its quotes
local json_escapes = {["<"] = "\\u003c", [">"] = "\\u003e", ["&"] = "\\u0026", ["'"] = "\\u0027",
  ["`"] = "\\u0060", ["$"] = "\\u0024", ["\u{2028}"] = "\\u2028", ["\u{2029}"] = "\\u2029"}

function Runtime:json(value, expression)
  if value == nil then error("'" .. expression .. "' is nil, not a value", 2) end
  local text, err = require("iza.json").encode(value)
  if not text then error("'" .. expression .. "': " .. tostring(err), 2) end
  text = text:gsub("[<>&'`$]", json_escapes):gsub("\u{2028}", json_escapes)
  if text:sub(1, 1) == "-" then text = " " .. text end -- no "--" with a minus before it
  self:write((text:gsub("\u{2029}", json_escapes)))
end

function Runtime:block(name, f)
  if not self.muted then
    (self.blocks[name] or f)()
  elseif not self.blocks[name] then
    self.blocks[name] = f
  end
end

-- The page itself prints nothing from here on; its blocks fill those of the layout.
function Runtime:layout(name) self.parent, self.muted = name, true end

function Runtime:include(name, data)
  if self.muted then return end
  if data ~= nil and type(data) ~= "table" then error("the data of an include is a table", 2) end
  self.set:run(name, data and environment(data) or self.env, self.out, self.depth + 1)
end

-- ---- sets ----

---@class iza.TemplateSet
local Set = {}
Set.__index = Set

-- Raises, with the template's line, when it cannot be found or compiled.
function Set:find(name)
  if type(name) ~= "string" then error("the name of a template is a string", 0) end
  local source, why = self.load(name)
  if not source then error(("template '%s': %s"):format(name, tostring(why or "not found")), 0) end
  local known = self.compiled[name]
  if known and known.source == source then return known.f end
  local f, err = compile(source, name)
  if not f then error(err, 0) end
  self.compiled[name] = {source = source, f = f}
  return f
end

function Set:run(name, env, out, depth)
  local rt = setmetatable({set = self, env = env, out = out, blocks = {}, depth = depth}, Runtime)
  while name do
    if rt.depth > MAX_DEPTH then error("templates within one another more than 32 deep", 0) end
    rt.muted, rt.parent = false, nil
    self:find(name)(env, rt)
    name, rt.depth = rt.parent, rt.depth + 1
  end
end

--- Renders a template of the set. It is compiled at the first use and again when its source
--- changes.
--- Example: `local page, err = pages:render("order.html", {order = order})`
---@param name string
---@param data? table
---@return string? text
---@return table? err code "template", message "NAME:LINE: what"
function Set:render(name, data)
  local out = {}
  local ok, err = pcall(self.run, self, name, environment(data or {}), out, 1)
  if ok then return table.concat(out) end
  if type(err) == "table" then return nil, err end
  return fail("template", "%s", tostring(err))
end

--- A set of templates that include one another by name.
--- Example: `local pages = template.set(function(name) return sources[name] end)`
---@param load fun(name: string): string?, any the source, or nil and why not
---@return iza.TemplateSet
function template.set(load)
  return setmetatable({load = load, compiled = {}}, Set)
end

-- ---- single templates ----

---@class iza.Template
local Template = {}
Template.__index = Template

--- Renders the template.
--- Example: `t:render{name = "Ada"}`
---@param data? table
---@return string? text
---@return table? err code "template"
function Template:render(data) return self.set:render(self.name, data) end

--- Compiles a template that stands alone: it includes nothing.
--- Example: `local t = template.compile("Hello {{ name }}!")`
---@param source string
---@param name? string for messages; default "template"
---@return iza.Template? t
---@return table? err code "template", message "NAME:LINE: what"
function template.compile(source, name)
  name = name or "template"
  local f, err = compile(source, name)
  if not f then return nil, err end
  local set = template.set(function(wanted) return wanted == name and source or nil end)
  set.compiled[name] = {source = source, f = f}
  return setmetatable({set = set, name = name}, Template)
end

local MAX_KEPT = 256
local kept, kept_count = {}, 0

--- Renders a source at once; the last few hundred sources stay compiled.
--- Example: `template.render("<p>{{ text }}</p>", {text = "a < b"})` --> "<p>a &lt; b</p>"
---@param source string
---@param data? table
---@return string? text
---@return table? err code "template"
function template.render(source, data)
  local t = kept[source]
  if not t then
    local err
    t, err = template.compile(source)
    if not t then return nil, err end
    if kept_count >= MAX_KEPT then kept, kept_count = {}, 0 end
    kept[source], kept_count = t, kept_count + 1
  end
  return t:render(data)
end

--- Text escaped for HTML.
--- Example: `template.escape("a < b")` --> "a &lt; b"
---@param text string
---@return string
function template.escape(text) return escape(text) end

return template
