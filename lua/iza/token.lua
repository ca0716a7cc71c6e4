--- The token of a data directory: who knows it may use the HTTP API. It lies in DATA/token,
--- readable by its owner alone, and is made at the first start.
local crypto = require "iza.crypto"
local fail = require "iza.fail"
local host = require "iza.core.host"

local token = {}

local function path_of(dir) return dir .. "/token" end

--- The token of a data directory.
--- Example: `local value, err = token.read(project.data_dir())`
---@param dir string
---@return string? value 64 hex digits
---@return iza.Error? err code "not_found" when there is none yet, "insecure" when others can read
--- it
function token.read(dir)
  local path = path_of(dir)
  local kind, mode = host.kind(path)
  if not kind then return fail("not_found", "%s is not there yet; `iza start` makes it", path) end
  if kind ~= "file" or mode & 63 ~= 0 then
    return fail("insecure", "%s can be read by others; run: chmod 600 %s", path, path)
  end
  local f, why = io.open(path, "rb")
  if not f then return fail("io", "%s", why) end
  local value = f:read "l" or ""
  f:close()
  if not value:find("^" .. ("%x"):rep(64) .. "$") then
    return fail("invalid", "%s does not hold 64 hex digits; remove it to have a new one", path)
  end
  return value
end

--- The token of a data directory, made together with the directory if it is not there.
---@param dir string
---@return string? value
---@return iza.Error|boolean? made true when it is new; or the error
function token.ensure(dir)
  local value, err = token.read(dir)
  if value then return value, false end
  if err.code ~= "not_found" then return nil, err end
  local ok, bytes
  ok, err = host.mkdir(dir, 448) -- rwx------
  if not ok then return nil, err end
  bytes, err = crypto.random(32)
  if not bytes then return nil, err end
  value = crypto.hex(bytes)
  ok, err = host.replace(path_of(dir), value .. "\n", 384) -- rw-------
  if not ok then return nil, err end
  return value, true
end

return token
