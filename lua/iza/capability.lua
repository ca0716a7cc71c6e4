--- What code in an isolate may do outside of it.
---
--- A capability is KIND:SCOPE: `http:HOST` (or `http:*.example.com`, `http:*`), `fs:read:DIR/`,
--- `fs:write:DIR/`, `exec:PROGRAM`, `iza:MODULE`. None listed, none given. They are checked in the
--- main state, at the call, so code in the isolate cannot reach around them. A path is judged by
--- where it leads when links are followed, and that is the path the call then gets.

local fail = require "iza.fail"
local host = require "iza.core.host"
local url = require "iza.url"
local misuse = require "iza.misuse"

local capability = {}

local Set = {}
Set.__index = Set

local kinds = {http = true, exec = true, iza = true}

-- "a/../b/" -> the absolute path without "." and "..".
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

-- Where `path` leads, links followed, also at its end if `follow`. What does not exist yet lies in
-- the nearest folder that does. Nothing for a link that leads nowhere.
local function real_path(path, root, follow)
  local full = absolute(path, root)
  local real = follow and host.real(full)
  if real then return real end
  if follow and host.readlink(full) then return nil end
  local dir, tail = full, ""
  repeat
    local last
    dir, last = dir:match "^(.*)/([^/]+)$"
    if not dir then return full end
    tail = "/" .. last .. tail
    real = host.real(dir == "" and "/" or dir)
  until real
  return (real == "/" and "" or real) .. tail
end

--- Parses a list of capabilities; raises on one that means nothing.
--- Example: `capability.set({"http:api.example.com", "fs:read:data/"}, "/srv/app")`
---@param list string[]
---@param root? string what relative folders start from (default: the working directory)
---@return table set with `allows(path, ...)`
function capability.set(list, root)
  local set = setmetatable({http = {}, exec = {}, iza = {}, read = {}, write = {},
    root = root or host.cwd() or "/"}, Set)
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

local requests = {get = true, post = true, put = true, patch = true, delete = true, head = true,
  request = true, stream = true}

local function absent(call) return fail("denied", "iza.%s is not available in an isolate", call) end

local function check_http(set, call, target, ...)
  if not requests[call:match "^http%.(.*)$"] then return absent(call) end
  local address = target
  if type(target) == "table" then address = target.url end
  local parts = type(address) == "string" and url.parse(address)
  local name = parts and parts.host
  if not name then return fail("invalid", "iza.%s needs an absolute URL", call) end
  name = name:lower()
  local tail = name:match "%.(.+)$"
  if set.http["*"] or set.http[name] or tail and set.http["*." .. tail] then
    return table.pack(target, ...)
  end
  return denied(call, "http:" .. name)
end

-- What each function of iza.fs does with its first path and its second; "link" means the entry
-- itself, not what a link leads to.
local uses = {
  read = {{"read"}}, list = {{"read"}}, stat = {{"read"}}, exists = {{"read"}},
  write = {{"write"}}, mkdir = {{"write"}}, remove = {{"write", link = true}},
  copy = {{"read"}, {"write"}},
  rename = {{"read", "write", link = true}, {"write", link = true}},
}

local function is_below(path, dir)
  return dir == "/" or path == dir or path:sub(1, #dir + 1) == dir .. "/"
end

-- The path to give to the call.
local function check_path(set, call, path, use)
  if type(path) ~= "string" then return fail("invalid", "iza.%s needs a path", call) end
  local real = real_path(path, set.root, not use.link)
  for _, mode in ipairs(use) do
    local inside = false
    for _, dir in ipairs(set[mode]) do
      inside = inside or real and is_below(real, real_path(dir, "/", true) or dir)
    end
    if not inside then
      return denied(call, ("fs:%s:%s"):format(mode, path:match "^(.*/)" or "./"))
    end
  end
  return real
end

local function check_paths(set, call, paths, ...)
  local arguments = table.pack(...)
  for i, use in ipairs(paths) do
    local real, err = check_path(set, call, arguments[i], use)
    if not real then return nil, err end
    arguments[i] = real
  end
  return arguments
end

local function check_fs(set, call, ...)
  local paths = uses[call:match "^fs%.(.*)$"]
  if not paths then return absent(call) end
  return check_paths(set, call, paths, ...)
end

-- What else a program may be given would reach past it: variables that change what it loads, a
-- folder of its own.
local exec_options = {stdin = true, stdout = true, stderr = true, timeout = true,
  max_output = true, check = true, stream = true}

local function check_exec(set, call, command)
  local program = call == "exec" and type(command) == "table" and command[1]
  if type(program) ~= "string" then return fail("invalid", "iza.exec needs a list") end
  for name in pairs(command) do
    if type(name) == "string" and not exec_options[name] then
      return fail("denied", "the option '%s' of iza.exec is not available in an isolate", name)
    end
  end
  if set.exec[program] then return table.pack(command) end
  return denied(call, "exec:" .. program)
end

-- Functions of other modules that open a file when they are given its name.
local opens = {["csv.open"] = {{"read"}}, ["csv.rows"] = {{"read"}}, ["csv.columns"] = {{"read"}},
  ["csv.writer"] = {{"write"}}}

local function check_module(set, call, module, ...)
  if not set.iza[module] then return denied(call, "iza:" .. module) end
  if opens[call] and type((...)) == "string" then
    return check_paths(set, call, opens[call], ...)
  end
  return table.pack(...)
end

local never = {isolate = true, hot = true, core = true}

--- The arguments with which the code may call iza.CALL: paths are made absolute, links followed.
--- Example: `local arguments, err = set:admit("fs.read", "data/x.txt")`
---@param call string "module.function"
---@param ... any the call's arguments
---@return table? arguments as table.pack gives them
---@return iza.Error? err code "denied": names the capability that is missing
function Set:admit(call, ...)
  local module = call:match "^[^.]*"
  if never[module] then return absent(call) end
  if module == "http" then return check_http(self, call, ...) end
  if module == "fs" then return check_fs(self, call, ...) end
  if module == "exec" then return check_exec(self, call, ...) end
  return check_module(self, call, module, ...)
end

--- May the code call iza.CALL with these arguments?
--- Example: `local ok, err = set:allows("http.get", "https://api.example.com/x")`
---@param call string "module.function"
---@param ... any the call's arguments
---@return true? ok
---@return iza.Error? err code "denied": names the capability that is missing
function Set:allows(call, ...)
  local arguments, err = self:admit(call, ...)
  if not arguments then return nil, err end
  return true
end

return capability
