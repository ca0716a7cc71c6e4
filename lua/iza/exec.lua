--- Child processes: `iza.exec{"git", "log"}` runs a program and waits for it.
--- No shell is involved: each argument arrives as it is. For a pipeline run {"sh", "-c", "a | b"}.
--- A child never outlives the scope it was started in; it and what it started are stopped by
--- SIGTERM, then SIGKILL 2 s later. Only standard input, output and error are passed on.
local core = require "iza.core.exec"
local fail = require "iza.fail"
local misuse = require "iza.misuse"
local options = require "iza.options"

---@class iza.ExecOptions
---@field [integer] string|number the program (looked up in PATH), its arguments
---@field cwd? string the folder to run in
---@field env? table<string, string|number|false> variables to set, with false to take away
---@field stdin? string|true what it reads (default: nothing); true: p:write writes to it
---@field stdout? "pipe"|"inherit"|"null" default "pipe": collected; "inherit": ours
---@field stderr? "pipe"|"inherit"|"null"|"stdout" default "pipe": collected; "stdout": joins stdout
---@field timeout? number|string stopped after this long, with code "timeout"
---@field max_output? number|string most output of each kind; default "10MB"; more is "too_large"
---@field stream? boolean return the running process instead of waiting for it
---@field check? boolean a status other than 0 is an error with code "exit"

---@class iza.ExecResult
---@field status? integer exit status; nil when a signal ended it
---@field signal? string "SIGKILL" ...; nil when it exited by itself
---@field stdout string
---@field stderr string with stream: the last 64 KB of it
---@field ok boolean status is 0

---@class iza.Process
local Process = core.methods

local fields = {cwd = "string", env = "table", stdin = "string|boolean", stdout = "string",
  stderr = "string", timeout = "duration", max_output = "size", stream = "boolean",
  check = "boolean"}

local function argv_of(opts)
  local argv = {}
  for i = 1, #opts do
    local arg = opts[i]
    argv[i] = type(arg) == "number" and tostring(arg) or arg
  end
  local named = {}
  for key, value in pairs(opts) do
    if type(key) == "string" then named[key] = value end
  end
  options.check("iza.exec", "ExecOptions", named, fields)
  return argv
end

-- Our own environment with the changes, as core.start wants it; nil when there are none.
local function environment(changes)
  if not changes then return nil end
  local list = {}
  for _, pair in ipairs(core.environ()) do
    local name = pair:match("^([^=]*)=")
    if name and changes[name] == nil then list[#list + 1] = pair end
  end
  for name, value in pairs(changes) do
    if type(name) ~= "string" or name == "" or name:find "[=%z]" then
      misuse("exec: '%s' cannot be a variable's name", tostring(name))
    end
    if value then list[#list + 1] = name .. "=" .. value end
  end
  return list
end

local function failed(name, result)
  local how = result.signal and "was ended by " .. result.signal
    or ("ended with status %d"):format(result.status)
  local last = result.stderr:match("([^\n]+)%s*$")
  local _, err = fail("exit", 'exec: "%s" %s%s', name, how, last and ": " .. last or "")
  err.result = result
  return nil, err
end

--- Runs a program and returns what came of it; with `stream` a process to talk to.
--- A program that cannot be started is nil and an error ("ENOENT": there is no such program).
--- Example: `local r = iza.exec{"git", "log", cwd = "repo", timeout = "10s"}; print(r.stdout)`
---@param opts iza.ExecOptions
---@return iza.ExecResult|iza.Process|nil result
---@return iza.Error? err code "timeout", "too_large", "exit" (err.result) or an errno name
local function exec(opts)
  if type(opts) ~= "table" then misuse "exec: a table such as {\"git\", \"log\"} expected" end
  local input, stream = opts.stdin, opts.stream or false
  if input == true and not stream then misuse "exec: stdin = true needs stream = true" end
  local most = opts.max_output or "10MB"
  local argv = argv_of(opts)
  local p, err = core.start(argv, environment(opts.env), opts.cwd, input and "pipe" or "null",
    opts.stdout or "pipe", opts.stderr or "pipe", stream and "64KB" or most, most, stream,
    opts.timeout)
  if not p then return nil, err end
  if type(input) == "string" then
    local ok, why = core.write(p, input)
    core.end_input(p)
    if not ok then
      core.close(p)
      return nil, why
    end
  end
  if stream then return p end
  local running <close> = p
  local result, why = running:wait()
  if result and opts.check and not result.ok then return failed(argv[1], result) end
  return result, why
end

--- Reads from the child's output; waits while there is none.
--- Example: `for piece in function() return p:read() end do io.write(piece) end`
---@param how? integer|"l"|"a" at most so many bytes; a line; all to the end. Default: what has come
---@return string? data nil at the end
---@return iza.Error? err
function Process:read(how) return core.read(self, how) end

--- The lines of the child's output, as they come, without their newlines.
--- Example: `for line in p:lines() do print(line) end`
---@return fun(): string?
function Process:lines()
  return function()
    local line, err = core.read(self, "l")
    if err then error(err, 0) end
    return line
  end
end

--- Writes to the child's input (started with stdin = true); waits while the child is behind.
--- Example: `p:write("question\n")`
---@param text string
---@return true|nil ok
---@return iza.Error? err code "EPIPE": the child has closed its input
function Process:write(text) return core.write(self, text, true) end

--- Closes the child's input: it sees the end of the file after what was written.
function Process:close_stdin() core.end_input(self) end

--- Waits for the end. What was not read of the output is in the result.
--- Example: `local r = p:wait(); print(r.status, r.signal)`
---@return iza.ExecResult? result
---@return iza.Error? err code "timeout" or "too_large"
function Process:wait()
  local status, signal, stdout, stderr = core.wait(self)
  if status == nil then return nil, signal end
  return {
    status = status or nil, signal = signal, stdout = stdout, stderr = stderr, ok = status == 0,
  }
end

--- Sends a signal to the child and what it started.
--- Example: `p:kill("SIGINT")`
---@param signal? string|integer default "SIGTERM"
---@return boolean alive false when it had ended already
function Process:kill(signal) return core.kill(self, signal) end

--- The child's process id.
---@return integer
function Process:pid() return core.pid(self) end

--- Ends it: SIGTERM, 2 s later SIGKILL, and waits until it is dead. At the end of a block
--- `local p <close> = iza.exec{...}` does this.
function Process:close() core.close(self) end

return exec
