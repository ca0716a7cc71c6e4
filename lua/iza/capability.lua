--- What code in an isolate may do outside of it.
---
--- A capability is KIND:SCOPE: `http:HOST` (or `http:*.example.com`, `http:*`), `fs:read:DIR/`,
--- `fs:write:DIR/`, `exec:PROGRAM`, `iza:MODULE`. None listed, none given. They are checked in the
--- main state, at the call, so code in the isolate cannot reach around them.

local fail = require "iza.fail"
local url = require "iza.url"
local misuse = require "iza.misuse"

local capability = {}

local Set = {}
Set.__index = Set

local kinds = {http = true, exec = true, iza = true}

-- "fs:read:a/../b/" -> the folder as an absolute path without "." and "..", a slash at its end.
local function absolute(path, cwd)
  if path:sub(1, 1) ~= "/" then path = cwd .. "/" .. path end
  local parts = {}
  for part in path:gmatch "[^/]+" do
    if part == ".." then
      parts[#parts] = nil
    elseif part ~= "." then
      parts[#parts + 1] = part
    end
  end
  return "/" .. table.concat(parts, "/")
end

--- Parses a list of capabilities; raises on one that means nothing.
--- Example: `capability.set({"http:api.example.com", "fs:read:data/"}, "/srv/app")`
---@param list string[]
---@param root? string what relative folders start from (default: the working directory)
---@return table set with `allows(path, ...)`
function capability.set(list, root)
  local set = setmetatable({http = {}, exec = {}, iza = {}, read = {}, write = {},
    root = root or os.getenv "PWD" or "/"}, Set)
  for _, text in ipairs(list) do
    local kind, scope = text:match "^(%w+):(.+)$"
    local mode, dir = text:match "^fs:(%w+):(.+)$"
    if mode == "read" or mode == "write" then
      table.insert(set[mode], absolute(dir, set.root))
    elseif kinds[kind] then
      set[kind][scope] = true
    else
      misuse("unknown capability '%s': http:HOST, fs:read:DIR/, fs:write:DIR/, exec:PROGRAM or "
        .. "iza:MODULE expected", text)
    end
  end
  return set
end

local function denied(call, needed)
  return fail("denied", "this code may not call iza.%s: it lacks the capability \"%s\"", call,
    needed)
end

local function check_http(set, call, target)
  if type(target) == "table" then target = target.url end
  local parts = type(target) == "string" and url.parse(target)
  local host = parts and parts.host
  if not host then return fail("invalid", "iza.%s needs an absolute URL", call) end
  host = host:lower()
  local tail = host:match "%.(.+)$"
  if set.http["*"] or set.http[host] or tail and set.http["*." .. tail] then return true end
  return denied(call, "http:" .. host)
end

local modes = {read = "read", list = "read", stat = "read", exists = "read", write = "write",
  mkdir = "write", remove = "write", copy = "both", rename = "both"}

local function check_folder(set, mode, call, path)
  if type(path) ~= "string" then return fail("invalid", "iza.%s needs a path", call) end
  local full = absolute(path, set.root)
  for _, dir in ipairs(set[mode]) do
    if dir == "/" or full == dir or full:sub(1, #dir + 1) == dir .. "/" then return true end
  end
  return denied(call, ("fs:%s:%s"):format(mode, path:match "^(.*/)" or "./"))
end

local function check_fs(set, call, from, to)
  local mode = modes[call:match "%.(.*)$"]
  if not mode then return fail("denied", "iza.%s is not available in an isolate", call) end
  if mode ~= "both" then return check_folder(set, mode, call, from) end
  local ok, err = check_folder(set, "read", call, from)
  if not ok then return nil, err end
  return check_folder(set, "write", call, to)
end

--- May the code call iza.CALL with these arguments?
--- Example: `local ok, err = set:allows("http.get", "https://api.example.com/x")`
---@param call string "module.function"
---@param ... any the call's arguments
---@return true? ok
---@return iza.Error? err code "denied": names the capability that is missing
function Set:allows(call, ...)
  local module = call:match "^[^.]*"
  if call == "http.serve" or module == "isolate" or module == "hot" then
    return fail("denied", "iza.%s is not available in an isolate", call)
  elseif module == "http" then
    return check_http(self, call, ...)
  elseif module == "fs" then
    return check_fs(self, call, ...)
  elseif module == "exec" then
    local command = ...
    local program = type(command) == "table" and command[1]
    if type(program) ~= "string" then return fail("invalid", "iza.exec needs a list") end
    if self.exec[program] then return true end
    return denied(call, "exec:" .. program)
  elseif self.iza[module] then
    return true
  end
  return denied(call, "iza:" .. module)
end

return capability
