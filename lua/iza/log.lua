--- Log lines on stderr: coloured text on a terminal, one JSON object a line elsewhere.
---
--- IZA_LOG=json or text chooses the form, IZA_LOG_LEVEL=debug, info, warn or error the least level
--- shown (default info). Each line is written in one piece. Fields whose names look secret
--- (password, token, authorization, cookie, api_key ...) are never written, at any depth, nor are
--- bearer tokens.
local core = require "iza.core.term"
local json = require "iza.json"
local time = require "iza.time"
local misuse = require "iza.misuse"

local log = {}

---@alias iza.LogLevel "debug"|"info"|"warn"|"error"

local rank = {debug = 1, info = 2, warn = 3, error = 4}
local colour = {debug = "90", info = "32", warn = "33", error = "1;31"}

local function level_of(name)
  return rank[name] or misuse("a log level is debug, info, warn or error, not %s", tostring(name))
end

local wanted_level = (os.getenv "IZA_LOG_LEVEL" or ""):lower()
local wanted_form = (os.getenv "IZA_LOG" or ""):lower()
local least, form = rank[wanted_level] or rank.info, wanted_form
if form ~= "json" and form ~= "text" then form = core.isatty(2) and "text" or "json" end

--- Sets the least level that is written.
--- Example: `log.set_level("debug")`
---@param level iza.LogLevel
function log.set_level(level) least = level_of(level) end

--- Sets the form of the lines.
--- Example: `log.set_form("json")`
---@param name "text"|"json"
function log.set_form(name)
  if name ~= "text" and name ~= "json" then
    misuse("a log form is text or json, not %s", tostring(name))
  end
  form = name
end

-- ---- redaction ----

local secret_words = {authorization = true, password = true, passwd = true, passphrase = true,
  pwd = true, secret = true, secrets = true, token = true, cookie = true, cookies = true,
  credential = true, credentials = true, apikey = true,
  signature = true}
local secret_pairs = {["api key"] = true, ["private key"] = true, ["access key"] = true,
  ["signing key"] = true}

-- "X-Api-Key", "apiKey" and "api_key" alike: {"x", "api", "key"}
local function words(name)
  local list = {}
  name = name:gsub("(%l)(%u)", "%1_%2")
  for word in name:gmatch "%w+" do list[#list + 1] = word:lower() end
  return list
end

local function is_secret(name)
  if type(name) ~= "string" then return false end
  local list = words(name)
  for i, word in ipairs(list) do
    if secret_words[word] or secret_pairs[word .. " " .. (list[i + 1] or "")] then return true end
  end
  return false
end

local HIDDEN, MAX_DEPTH, MAX_STRING = "[redacted]", 8, 4096

local function plain_string(text)
  if #text > MAX_STRING then text = text:sub(1, MAX_STRING) .. "…" end
  text = text:gsub("([Bb]earer%s+)%S+", "%1" .. HIDDEN)
  text = text:gsub("([Bb]asic%s+)[%w+/=_-]+", "%1" .. HIDDEN)
  return utf8.len(text) and text or text:gsub("[\128-\255]", "?")
end

local plain

local function plain_table(value, depth, inside)
  if inside[value] then return "[cycle]" end
  if depth > MAX_DEPTH then return "[deep]" end
  inside[value] = true
  local out = {}
  for k, v in next, value do
    if type(k) ~= "string" and math.type(k) ~= "integer" then k = tostring(k) end
    out[k] = is_secret(k) and HIDDEN or plain(v, depth + 1, inside)
  end
  inside[value] = nil
  for k in pairs(out) do
    if math.type(k) == "integer" and (k < 1 or k > #out) or type(k) == "string" and #out > 0 then
      local named = {} -- neither a list nor an object for JSON
      for key, v in pairs(out) do named[tostring(key)] = v end
      return named
    end
  end
  return out
end

-- A copy that JSON can hold and that shows no secret.
plain = function(value, depth, inside)
  local kind = type(value)
  if kind == "string" then return plain_string(value) end
  if kind == "boolean" or math.type(value) == "integer" then return value end
  if kind == "number" then return value - value == 0 and value or tostring(value) end
  local meta = getmetatable(value)
  local printable = type(meta) == "table" and meta.__tostring
  if kind == "table" and not printable then return plain_table(value, depth, inside) end
  return plain_string(tostring(value))
end

-- ---- lines ----

local function sorted_keys(fields)
  local keys = {}
  for k in pairs(fields) do keys[#keys + 1] = k end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  return keys
end

local function json_text(value) return (json.encode(value)) or '"[unprintable]"' end

local function text_value(value)
  if type(value) == "string" and value:match "^[%w%-._/:@+%%\128-\255]+$" then return value end
  return json_text(value)
end

local function json_line(level, message, fields)
  local out = {'{"time":"', time.rfc3339(time.now(), nil, 3), '","level":"', level, '","msg":',
    json_text(message)}
  for _, k in ipairs(sorted_keys(fields)) do
    local name = tostring(k)
    if name == "time" or name == "level" or name == "msg" then name = name .. "_" end
    out[#out + 1] = "," .. json_text(plain_string(name)) .. ":" .. json_text(fields[k])
  end
  out[#out + 1] = "}\n"
  return table.concat(out)
end

local function text_line(level, message, fields)
  local coloured = require("iza.term").has_colour "stderr"
  local shown = ("%-5s"):format(level:upper())
  if coloured then shown = "\27[" .. colour[level] .. "m" .. shown .. "\27[0m" end
  local out = {time.rfc3339(time.now(), nil, 3), shown, core.clean(message)}
  for _, k in ipairs(sorted_keys(fields)) do
    out[#out + 1] = core.clean(tostring(k)) .. "=" .. core.clean(text_value(fields[k]))
  end
  return table.concat(out, " ") .. "\n"
end

local function write(level, message, fields, more)
  if rank[level] < least then return end
  local all = {}
  for k, v in pairs(fields) do all[k] = v end
  for k, v in pairs(more or {}) do all[k] = v end
  local line = form == "json" and json_line or text_line
  core.write(2, line(level, plain_string(tostring(message)), plain_table(all, 1, {})))
end

-- ---- loggers ----

---@class iza.Logger
local Logger = {}
Logger.__index = Logger

local function new(fields) return setmetatable({fields = fields}, Logger) end

--- Writes a line for whoever looks for an error in this code.
--- Example: `log.debug("cache miss", {key = key})`
---@param message string
---@param fields? table
function Logger:debug(message, fields) write("debug", message, self.fields, fields) end

--- Writes a line about what went as it should.
--- Example: `log.info("order paid", {order = id, cents = 4900})`
---@param message string
---@param fields? table
function Logger:info(message, fields) write("info", message, self.fields, fields) end

--- Writes a line about what went wrong and was dealt with.
--- Example: `log.warn("retrying", {attempt = 2, err = err})`
---@param message string
---@param fields? table
function Logger:warn(message, fields) write("warn", message, self.fields, fields) end

--- Writes a line about what went wrong and needs somebody.
--- Example: `log.error("payment failed", {order = id, err = err})`
---@param message string
---@param fields? table
function Logger:error(message, fields) write("error", message, self.fields, fields) end

--- A logger whose lines all carry these fields.
--- Example: `local l = log.with{order = id}; l:info("paid")`
---@param fields table
---@return iza.Logger
function Logger:with(fields)
  local all = {}
  for k, v in pairs(self.fields) do all[k] = v end
  for k, v in pairs(fields) do all[k] = v end
  return new(all)
end

local root = new {}
for _, name in ipairs {"debug", "info", "warn", "error", "with"} do
  log[name] = function(...) return root[name](root, ...) end
end

if wanted_level ~= "" and not rank[wanted_level] then
  log.warn("IZA_LOG_LEVEL is debug, info, warn or error, not " .. wanted_level)
end
if wanted_form ~= "" and wanted_form ~= form then
  log.warn("IZA_LOG is text or json, not " .. wanted_form)
end

return log
