--- Who owns a data directory: one process at a time, which alone opens its databases.
---
--- The owner holds an flock on DATA/lock, with its pid and verb inside, until it ends in whatever
--- way. `iza start` and `iza run` become owner. A run whose data directory has an owner, or cannot
--- be made, works beside it as a plain script: it opens no database there. `iza start` waits for a
--- run, as that ends by itself, and refuses to start beside another server.
local fail = require "iza.fail"
local host = require "iza.core.host"

local owner = {}

local function path_of(data) return data .. "/lock" end

--- Makes this process the owner of a data directory that exists, until it ends.
--- Example: `local ok, err = owner.take(project.data_dir(), "run")`
---@param data string the data directory
---@param verb string what this process does, for others to see
---@return true? ok
---@return iza.Error? err code "locked" when there is another owner
function owner.take(data, verb)
  local lock, err = host.lock(path_of(data), verb)
  if not lock then return nil, err end
  owner.lock = lock -- the collector would free it
  return true
end

--- Who owns a data directory now.
--- Example: `local pid, verb = owner.of(project.data_dir())`
---@param data string
---@return integer? pid nil: nobody
---@return string|iza.Error? verb "start" or "run"; or why it cannot be seen
function owner.of(data) return host.owner(path_of(data)) end

--- Becomes the owner as `iza start` does: waits while a run is the owner, as long as it takes.
--- Example: `local ok, err = owner.await(data, print)`
---@param data string
---@param say fun(text: string) is told whom it waits for, once for each
---@return true? ok
---@return iza.Error? err code "locked" when another server is the owner
function owner.await(data, say)
  local told
  while true do
    local pid, verb = owner.of(data)
    if not pid then
      local ok, err = owner.take(data, "start")
      if ok or err.code ~= "locked" then return ok, err end
    elseif verb ~= "run" then
      return fail("locked", "%s belongs to process %d; `iza status` shows it, `iza stop` ends it",
        data, pid)
    elseif pid ~= told then
      say(("waiting for process %d (iza run), which owns %s; Ctrl-C gives up"):format(pid, data))
      told = pid
    end
    iza.sleep(0.1)
  end
end

return owner
