--- When a request is made again, and after how long.
---
--- Only where a second try cannot do harm: the method is idempotent (RFC 9110 §9.2.2), or the
--- request has an Idempotency-Key header, or the connection never stood, so that nothing was sent.
--- Tried again are connection failures and the statuses of `on`. Waiting grows from `backoff` by
--- doubling, with a random part, up to `cap`; a Retry-After header rules, unless it asks for more
--- than `max_wait`: then the answer is given to the caller.
local task = require "iza.core.task"
local time = require "iza.time"
local options = require "iza.options"

local retry = {}

---@class iza.http.Retry
---@field max? integer tries after the first one (2)
---@field on? integer[] statuses that are tried again ({429, 502, 503, 504})
---@field backoff? number|string the first wait ("250ms")
---@field cap? number|string the longest wait of our own ("10s")
---@field max_wait? number|string the longest Retry-After that is waited for ("60s")

local before_sending = {dns = true, connect = true, tls = true}
local transient = {dns = true, connect = true, tls = true, aborted = true}
local fields = {max = "integer", on = "table", backoff = "duration", cap = "duration",
  max_wait = "duration"}

--- Raises what is wrong in the option.
---@param option iza.http.Retry
function retry.check(option) options.check("iza.http: retry", "http.Retry", option, fields) end

local function read_policy(option)
  if option == false then option = 0 end
  if type(option) == "number" then option = {max = option} end
  if type(option) ~= "table" then option = {} end
  local on = {}
  for _, status in ipairs(option.on or {429, 502, 503, 504}) do on[status] = true end
  return {
    max = option.max or 2,
    on = on,
    backoff = task.seconds(option.backoff or 0.25),
    cap = task.seconds(option.cap or 10),
    max_wait = task.seconds(option.max_wait or 60),
  }
end

-- RFC 9110 §10.2.3: seconds or a date.
local function retry_after(value, now)
  if not value then return nil end
  local s = value:match "^%d+$" and tonumber(value)
  if s then return s end
  local at = time.parse_http(value)
  return at and math.max(0, at - now)
end

--- The wait before the next try; nil when there is to be none.
---@param option nil|boolean|integer|iza.http.Retry nil for the defaults, false for none
---@param tries integer how many were made
---@param safe boolean? doing it twice is the same as once
---@param res iza.http.Response? the answer
---@param err table? the error when there was none
---@return number? seconds
function retry.wait(option, tries, safe, res, err)
  local policy = read_policy(option)
  if tries > policy.max then return nil end
  if not res then
    if not (err.retryable and transient[err.code]) then return nil end
    if not (safe or before_sending[err.code]) then return nil end
  else
    if not (safe and policy.on[res.status]) then return nil end
    local asked = retry_after(res.headers["retry-after"], time.now())
    if asked then return asked <= policy.max_wait and asked or nil end
  end
  local most = math.min(policy.cap, policy.backoff * 2 ^ (tries - 1))
  return most / 2 + math.random() * most / 2
end

return retry
