--- What iza needs of the machine, checked: the verb `doctor` prints it.
---
--- A check is {name, function}; the function returns "ok", "warn" or "fail", what was found, and
--- for the last two what to do. Each system adds its own with doctor.add.
local host = require "iza.core.host"
local project = require "iza.project"

local doctor = {checks = {}}

---@alias iza.Health "ok"|"warn"|"fail"

--- Adds a check.
--- Example: `doctor.add("disk", function() return "ok", "12 GB free" end)`
---@param name string
---@param f fun(): iza.Health, string, string? state, what was found, the cure
function doctor.add(name, f) doctor.checks[#doctor.checks + 1] = {name = name, run = f} end

local function content(path)
  local f = io.open(path, "rb")
  local text = f and f:read "a"
  if f then f:close() end
  return text
end

doctor.add("settings", function()
  local file = project.root and project.root .. "/iza.lua" or project.config_file()
  if project.problem then
    return "fail", project.problem.message, "correct " .. file
  end
  return "ok", host.kind(file) and file or "none; the defaults hold"
end)

doctor.add("lua", function() return "ok", _VERSION .. ", built in" end)

--- Whether a Debian version of libevent has the fixes that count: 2.1.12-stable-8 has known holes
--- up to +deb12u1.
--- Example: `doctor.libevent_is_fixed "2.1.12-stable-8"` --> false
---@param version string
---@return boolean
function doctor.libevent_is_fixed(version)
  local base, revision, update = version:match "^([%d.]+)%-stable%-(%d+)%+deb12u(%d+)"
  if base == "2.1.12" and revision == "8" then return tonumber(update) >= 1 end
  local major, minor, patch, rest = version:match "^(%d+)%.(%d+)%.(%d+)(.*)"
  if not major then return false end
  local number = tonumber(major) * 10000 + tonumber(minor) * 100 + tonumber(patch)
  return number > 20112 or (number == 20112 and (tonumber(rest:match "%-stable%-(%d+)") or 0) > 8)
end

doctor.add("libevent", function()
  local version = host.libevent()
  if version == "" then return "ok", "built in; its Debian version is not known" end
  if doctor.libevent_is_fixed(version) then return "ok", version .. ", built in" end
  return "warn", version .. " is built in and has known holes",
    "apt-get update && apt-get install libevent-dev, then make build"
end)

local function library(name, file, purpose, package)
  doctor.add(name, function()
    local there = host.library(file)
    if there then return "ok", file end
    return "warn", file .. " does not load: no " .. purpose, "apt-get install " .. package
  end)
end
library("libcurl", "libcurl.so.4", "HTTP client", "libcurl4")
library("openssl", "libssl.so.3", "TLS and digests", "libssl3")
library("libedit", "libedit.so.2", "line editing in the REPL", "libedit2")

doctor.add("time zones", function()
  if host.kind "/usr/share/zoneinfo/UTC" then return "ok", "/usr/share/zoneinfo" end
  return "warn", "/usr/share/zoneinfo is missing: iza.time knows UTC only",
    "apt-get install tzdata"
end)

doctor.add("certificates", function()
  local file = os.getenv "SSL_CERT_FILE" or "/etc/ssl/certs/ca-certificates.crt"
  if host.access(file, "r") then return "ok", file end
  return "warn", file .. " cannot be read: no https server can be verified",
    "apt-get install ca-certificates"
end)

-- The data directory, or the folder in which it would be made.
doctor.add("data", function()
  local dir = project.data_dir()
  local place = dir
  while place ~= "" and not host.kind(place) do place = place:match "^(.*)/[^/]*$" end
  if place == "" then place = "/" end
  if host.kind(place .. "/.") ~= "dir" then
    return "fail", place .. " is no folder", "choose another with --data or IZA_DATA"
  end
  if not host.access(place, "w") then
    return "fail", place .. " is not writable", "choose another with --data or IZA_DATA"
  end
  local fits, err = require("iza.api").check_socket(dir)
  if not fits then return "fail", err.message, err.cure end
  return "ok", dir .. (place == dir and "" or " (made at the first start)")
end)

doctor.add("token", function()
  local token = require "iza.token"
  local value, err = token.read(project.data_dir())
  if value then return "ok", "0600, 256 bits" end
  if err.code == "not_found" then return "ok", "made at the first start" end
  return "fail", err.message, "see the message"
end)

doctor.add("port", function()
  local address = project.setting "host" or "127.0.0.1"
  local port = project.setting "port" or 8321
  local serves = require("iza.api").server(project.data_dir())
  if serves then return "ok", "served by the running iza" end
  local server, err = iza.http.serve {host = address, port = port}
  if not server then
    return "warn", err.message, "iza start --port P, or the setting `port` of iza.lua"
  end
  server:stop {drain = 0}
  return "ok", ("%s:%d is free"):format(address, port)
end)

local function number_in(path)
  return math.tointeger(tonumber((content(path) or ""):match "%d+"))
end

doctor.add("inotify", function()
  local watches = number_in "/proc/sys/fs/inotify/max_user_watches"
  if not watches then return "warn", "no inotify here: files are not watched", "run it on Linux" end
  if watches >= 8192 then return "ok", watches .. " watches a user" end
  return "warn", watches .. " watches a user are few",
    "sysctl fs.inotify.max_user_watches=65536"
end)

doctor.add("open files", function()
  local soft, hard = host.open_files()
  if soft >= 1024 then return "ok", ("%d a process (up to %d)"):format(soft, hard) end
  return "warn", soft .. " a process are few for a server", "ulimit -n 4096"
end)

--- Runs all checks.
--- Example: `for _, r in ipairs(doctor.run()) do print(r.name, r.state) end`
---@return {name: string, state: iza.Health, found: string, cure: string?}[]
function doctor.run()
  local results = {}
  for i, check in ipairs(doctor.checks) do
    local ok, state, found, cure = pcall(check.run)
    if not ok then state, found, cure = "fail", tostring(state), "report this" end
    results[i] = {name = check.name, state = state, found = found, cure = cure}
  end
  return results
end

return doctor
