--- An enrichment service: GET URL?domain=DOMAIN answers a JSON object about a company.
---
--- Every request has an Idempotency-Key made of the service's URL and the domain, so that a service
--- that charges by the key charges once, however often it is asked, also by a later run.
---
--- 429, and 503 with Retry-After, hold back all requests to the source until its time is over.
--- Other 5xx, a time limit and a lost connection are tried again after a growing wait. A source
--- that refuses us, that asks for more patience than we have, or that fails for domain after domain
--- is closed: nothing more is asked of it, and `closed` says why.
local crypto = require "iza.crypto"
local fail = require "iza.fail"
local http = require "iza.http"
local time = require "iza.time"

local TRIES = 4 -- for one domain
local LIMITED = 10 -- answers 429 for one domain
local MAX_WAIT = 60 -- seconds; the longest Retry-After waited for
local BACKOFF = 0.1 -- seconds; doubles with each try
local IN_A_ROW = 10 -- domains that fail one after the other, then the source is closed
local MAX_SIZE = 1 << 20 -- bytes of an answer

---@class EnrichmentCounts
---@field requests integer
---@field retries integer requests that repeat one
---@field limited integer answers that asked to wait
---@field slow integer requests that ran into the time limit
---@field broken integer other answers and failures that were tried again
---@field statuses table<string, integer> how many answers had each status

---@class EnrichmentSource
---@field url string
---@field closed? table why nothing more is asked of it
---@field answered boolean it knew a domain, or said that it does not
---@field failure? table the last one that was no answer about a domain
---@field counts EnrichmentCounts
local Source = {}
Source.__index = Source

local enrichment = {}

--- A source of enrichment.
--- Example: `local source = enrichment.source("http://127.0.0.1:8090/enrich", 5)`
---@param url string
---@param timeout number seconds for one request
---@return EnrichmentSource
function enrichment.source(url, timeout)
  return setmetatable({url = url, timeout = timeout, resume_at = 0, answered = false, failures = 0,
    counts = {requests = 0, retries = 0, limited = 0, slow = 0, broken = 0,
      statuses = {}}}, Source)
end

--- The key of a question, the same in every run.
---@param domain string
---@return string
function Source:key(domain)
  return crypto.hash("sha256", self.url .. "\n" .. domain, "hex"):sub(1, 32)
end

local function close(source, text, ...)
  local place = source.url:match "^[^?#]*"
  source.closed = source.closed
    or iza.error("closed", ("the enrichment source %s " .. text):format(place, ...))
  return nil, source.closed
end

-- RFC 9110 §10.2.3: seconds or a date.
local function retry_after(res)
  local value = res.headers["Retry-After"]
  if not value then return nil end
  if value:match "^%d+$" then return tonumber(value) end
  local at = time.parse_http(value)
  return at and math.max(0, at - time.now())
end

-- ---- what an answer means: fields | nil, err; a third result says to ask again ----

local function read_fields(res)
  local fields, err = res:json {drop_nulls = true}
  if err then return fail("answer", "the answer is no JSON: %s", err) end
  if type(fields) ~= "table" or iza.json.is_array(fields) then
    return fail("answer", "the answer is no JSON object")
  end
  return fields
end

local function hold_back(source, wait)
  if wait > MAX_WAIT then return close(source, "asks to wait %.0f s", wait) end
  source.counts.limited = source.counts.limited + 1
  source.resume_at = math.max(source.resume_at, iza.now() + wait)
  return nil, iza.error("limited", "it asks to wait"), "limited"
end

local function judge(source, res, err)
  if not res then
    local kind = err.code == "timeout" and "slow" or "broken"
    source.counts[kind] = source.counts[kind] + 1
    if err.code == "invalid" then return close(source, "cannot be asked: %s", err) end
    return nil, err, "failed"
  end
  local status, wait, statuses = res.status, retry_after(res), source.counts.statuses
  statuses[tostring(status)] = (statuses[tostring(status)] or 0) + 1
  if res.ok then return read_fields(res) end
  if status == 404 then return fail("unknown", "not known there") end
  if status == 429 or status == 503 and wait then return hold_back(source, wait or 1) end
  if status == 401 or status == 403 then
    return close(source, "refuses us: it answers %d", status)
  end
  local failure = iza.error("status", ("it answers %d"):format(status))
  if status < 500 then return nil, failure end
  source.counts.broken = source.counts.broken + 1
  return nil, failure, "failed"
end

-- ---- asking ----

local function wait_for_turn(source)
  local wait = source.resume_at - iza.now()
  while wait > 0 do
    iza.sleep(wait)
    wait = source.resume_at - iza.now()
  end
end

local function ask(source, domain)
  source.counts.requests = source.counts.requests + 1
  return http.get(source.url, {query = {domain = domain}, timeout = source.timeout, retry = false,
    headers = {["Idempotency-Key"] = source:key(domain), Accept = "application/json"},
    max_size = MAX_SIZE})
end

-- Counts failures in a row; too many close the source.
local function note_failure(source, err)
  source.failures, source.failure = source.failures + 1, err
  if source.failures >= IN_A_ROW then
    return close(source, "fails for one domain after the other: %s", err)
  end
  return nil, err
end

--- Asks about a domain; waits, also for a source that holds us back.
--- Example: `local fields, err = source:lookup("acme.example")`
---@param domain string
---@return table? fields
---@return table? err code "unknown": the source does not know it; "closed": do not go on
function Source:lookup(domain)
  local tries, limited = 0, 0
  while true do
    wait_for_turn(self)
    if self.closed then return nil, self.closed end
    local fields, err, again = judge(self, ask(self, domain))
    if fields or err.code == "unknown" then
      self.answered, self.failures = true, 0
      return fields, err
    end
    if again == "limited" then limited = limited + 1 else tries = tries + 1 end
    if not again or tries >= TRIES or limited >= LIMITED then
      if err.code == "closed" then return nil, err end
      return note_failure(self, err)
    end
    self.counts.retries = self.counts.retries + 1
    if again == "failed" then iza.sleep(BACKOFF * 2 ^ tries * (0.5 + math.random() / 2)) end
  end
end

--- Why the source as a whole is of no use: it is closed, or answered nothing; nil when it is.
---@return table? err code "closed"
function Source:problem()
  if not self.closed and not self.answered and self.failure then
    close(self, "answered about no domain: %s", self.failure)
  end
  return self.closed
end

return enrichment
