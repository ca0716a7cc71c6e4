--- The entries typed so far, also of earlier sessions, in $XDG_STATE_HOME/iza/history.
---
--- One entry a line, whatever its own lines: a line feed is written \n, a backslash \\. The file is
--- readable by its owner alone. Each entry is appended at once, so several REPLs may share it. An
--- entry that begins with a blank is not kept.
local host = require "iza.core.host"

local KEPT = 10000

local history = {}

---@class iza.History
---@field entries string[]
---@field path? string nil: kept in memory only
local History = {}
History.__index = History

local function directory()
  local state = os.getenv "XDG_STATE_HOME"
  if state and state:sub(1, 1) == "/" then return state .. "/iza" end
  local home = os.getenv "HOME"
  return home and home .. "/.local/state/iza"
end

local codes = {["\n"] = "\\n", ["\\"] = "\\\\"}
local plain = {n = "\n", ["\\"] = "\\"}

local function to_line(entry) return (entry:gsub("[\n\\]", codes)) end
local function from_line(line) return (line:gsub("\\(.)", plain)) end

local function read(path)
  local entries = {}
  local f <close> = io.open(path, "rb")
  if not f then return entries end
  for line in f:lines() do entries[#entries + 1] = from_line(line) end
  return entries
end

-- Makes the file, or shortens it when it has grown far beyond what is kept.
local function prepare(path, entries)
  if host.kind(path) and #entries < 2 * KEPT then return true end
  local lines = {}
  for i = math.max(#entries - KEPT + 1, 1), #entries do lines[#lines + 1] = to_line(entries[i]) end
  lines[#lines + 1] = ""
  return host.replace(path, table.concat(lines, "\n"), 384) -- rw-------
end

--- Reads the history. When its file cannot be had, entries are kept in memory.
---@return iza.History history
---@return iza.Error? err why it is not written to a file
function history.open()
  local dir = directory()
  local self = setmetatable({entries = {}}, History)
  if not dir then return self end
  local path = dir .. "/history"
  self.entries = read(path)
  local ok, err = host.mkdir(dir, 448) -- rwx------
  if ok then ok, err = prepare(path, self.entries) end
  table.move(self.entries, math.max(#self.entries - KEPT + 1, 1), #self.entries, 1)
  for i = #self.entries, KEPT + 1, -1 do self.entries[i] = nil end
  if not ok then return self, err end
  self.path = path
  return self
end

--- Adds an entry; false when it is the same as the last or shall not be kept.
---@param entry string
---@return boolean added
function History:add(entry)
  if entry:find "^%s" or entry == self.entries[#self.entries] then return false end
  self.entries[#self.entries + 1] = entry
  self.at = nil
  local f <close> = self.path and io.open(self.path, "ab")
  if f then f:write(to_line(entry), "\n") end
  return true
end

--- Steps to the nearest older (-1) or newer (1) entry that begins with what was typed.
---@param step -1|1
---@param text string what stands in the line now
---@param cursor integer bytes in front of the cursor
---@return string? entry nil: there is none
function History:step(step, text, cursor)
  if not self.at or text ~= self.shown then
    self.at, self.typed, self.prefix = #self.entries + 1, text, text:sub(1, cursor)
  end
  local i = self.at
  while true do
    i = i + step
    if i > #self.entries then
      if self.at > #self.entries then return nil end
      self.at, self.shown = #self.entries + 1, self.typed
      return self.shown
    end
    local entry = self.entries[i]
    if not entry then return nil end
    if entry:sub(1, #self.prefix) == self.prefix and entry ~= text then
      self.at, self.shown = i, entry
      return entry
    end
  end
end

return history
