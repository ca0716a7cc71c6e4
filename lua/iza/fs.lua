--- Files and folders. Every call waits without holding up other tasks; the work is done on helper
--- threads. Failures are nil and an error whose code is an errno name ("ENOENT") and whose message
--- names the path. What is written appears at once or not at all.
local core = require "iza.core.fs"
local options = require "iza.options"

local fs = {}

local fields = {read = {max = "size"}, write = {append = "boolean"},
  list = {recursive = "boolean", glob = "string"}, remove = {recursive = "boolean"},
  watch = {recursive = "boolean", quiet = "duration"}}

local function check(name, opts)
  return options.check("iza.fs." .. name, "fs." .. name, opts, fields[name])
end

---@class iza.FsInfo
---@field type "file"|"folder"|"link"|"other"
---@field size integer bytes
---@field mtime number when it was last written, Unix seconds
---@field mode integer permission bits

---@class iza.FsEntry
---@field name string path below the listed folder
---@field type "file"|"folder"|"link"|"other"

--- Reads a whole file.
--- Example: `local text = iza.fs.read("notes.txt")`
---@param path string
---@param opts? {max: number|string} most bytes, default "1GB"; more is code "too_large"
---@return string? data
---@return iza.Error? err
function fs.read(path, opts)
  return core.read(path, opts and check("read", opts).max or "1GB")
end

--- Writes a whole file: readers see the old one or the new one, also after a crash. Mode and owner
--- are kept. With append, adds to its end instead.
--- Example: `iza.fs.write("out.csv", text)`
---@param path string
---@param data string
---@param opts? {append: boolean}
---@return true|nil ok
---@return iza.Error? err
function fs.write(path, data, opts)
  return core.write(path, data, opts and check("write", opts).append or false)
end

--- Opens a file to read or write it in pieces. "w" writes aside: the file appears when it is
--- closed, and not at all when its block ends with an error. "a" adds to the end at once.
--- Example: `local f <close> = iza.fs.open("big.log"); for line in f:lines() do print(line) end`
---@param path string
---@param mode? "r"|"w"|"a" default "r"
---@return iza.File? file
---@return iza.Error? err
function fs.open(path, mode) return core.open(path, mode or "r") end

--- Lists a folder, sorted by name; hidden files too. Links are not followed.
--- Example: `for _, e in ipairs(iza.fs.list("lua", {glob = "**/*.lua"})) do print(e.name) end`
---@param path string
---@param opts? {recursive: boolean, glob: string} a glob with a slash lists folders below as well;
--- one without is matched with the last part of the name
---@return iza.FsEntry[]? entries
---@return iza.Error? err
function fs.list(path, opts)
  opts = check("list", opts)
  local glob = opts.glob
  local recursive = opts.recursive or glob and glob:find("/", 1, true)
  return core.list(path, recursive and true or false, glob)
end

--- What is known of a path (behind links).
--- Example: `print(iza.fs.stat("iza").size)`
---@param path string
---@return iza.FsInfo? info
---@return iza.Error? err code "ENOENT": there is nothing
function fs.stat(path) return core.stat(path) end

--- Is there anything at this path?
--- Example: `if iza.fs.exists("config.json") then ... end`
---@param path string
---@return boolean? exists nil and an error when that cannot be seen
---@return iza.Error? err
function fs.exists(path)
  local info, err = core.stat(path)
  if info then return true end
  if err.code == "ENOENT" or err.code == "ENOTDIR" then return false end
  return nil, err
end

--- Makes a folder and those above it; fine if it is there.
--- Example: `iza.fs.mkdir("data/reports/2026")`
---@param path string
---@return true|nil ok
---@return iza.Error? err
function fs.mkdir(path) return core.mkdir(path) end

--- Removes a file, a link or an empty folder; with recursive a folder and all in it.
--- Example: `iza.fs.remove("build", {recursive = true})`
---@param path string
---@param opts? {recursive: boolean}
---@return true|nil ok
---@return iza.Error? err
function fs.remove(path, opts)
  return core.remove(path, check("remove", opts).recursive or false)
end

--- Renames within a file system; a file in the way is replaced.
--- Example: `iza.fs.rename("a.txt", "b.txt")`
---@param from string
---@param to string
---@return true|nil ok
---@return iza.Error? err
function fs.rename(from, to) return core.rename(from, to) end

--- Copies a file and its mode.
--- Example: `iza.fs.copy("a.txt", "backup/a.txt")`
---@param from string
---@param to string
---@return true|nil ok
---@return iza.Error? err
function fs.copy(from, to) return core.copy(from, to) end

--- Makes a new, empty folder for temporary files. Removing it is up to you.
--- Example: `local dir = iza.fs.tempdir()`
---@return string? path
---@return iza.Error? err
function fs.tempdir() return core.tempdir() end

---@class iza.FsEvent
---@field kind "created"|"changed"|"removed"|"moved"|"rescan" rescan: events were lost, look again
---@field path? string begins with the path given to watch
---@field from? string the old path of what was moved

--- Watches a file, or a folder (recursive: with those below, hidden ones left out). A save is one
--- event, however the editor does it. The watch is an iterator; close it, or use <close>.
--- Example: `for event in iza.fs.watch("lua", {recursive = true}) do print(event.path) end`
---@param path string
---@param opts? {recursive: boolean, quiet: number|string} quiet: time without an event that ends a
--- save, default "10ms"
---@return iza.Watch? watch
---@return iza.Error? err code "limit": the system's limit of watched folders is reached
function fs.watch(path, opts)
  opts = check("watch", opts)
  return core.watch(path, opts.recursive or false, opts.quiet)
end

---@class iza.File
local File = core.file_methods

--- Reads a piece: what comes next, exactly n bytes (fewer at the end), or a line.
--- Example: `local header = f:read(512)`
---@param how? integer|"l"
---@return string? data nil at the end
---@return iza.Error? err
function File:read(how) return core.file_read(self, how) end

--- The lines of the file without their newlines.
--- Example: `for line in f:lines() do print(line) end`
---@return fun(): string?
function File:lines()
  return function()
    local line, err = core.file_read(self, "l")
    if err then error(err, 0) end
    return line
  end
end

--- Writes a piece.
--- Example: `f:write("a line\n")`
---@param data string
---@return true|nil ok
---@return iza.Error? err
function File:write(data) return core.file_write(self, data) end

--- Closes it. A file opened with "w" appears now.
---@return true|nil ok
---@return iza.Error? err
function File:close() return core.file_close(self) end

---@class iza.Watch
local Watch = core.watch_methods

--- Waits for the next event.
--- Example: `local event = watch:next()`
---@return iza.FsEvent? event nil once the watch is closed
function Watch:next() return core.watch_next(self) end

--- Ends the watch; whoever waits for an event gets nil.
function Watch:close() core.watch_close(self) end

return fs
