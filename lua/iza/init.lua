---@meta iza

--- The global `iza` as editors and `:help` see it: its own functions are C (engine/vm/fiber.c), its
--- modules load on first use. This file is never run; it is where the C functions are described.
--- Durations are seconds (a number) or "250ms" "5m" "3d".
---@class iza
local iza = {}

---@alias iza.Duration number|string

--- What an operation that failed returns beside nil; prints as one line.
---@class iza.Error
---@field code string what programs test: "timeout", "closed", "ENOENT"
---@field message string what people read
---@field retryable boolean whether the same call may succeed later
---@field trace? string

---@class iza.Task
local Task = {}

--- Waits until the task is over and returns what its function returned. A failure is raised here,
--- with the place where it happened.
--- Example: `local page = iza.spawn(fetch, url):join()`
---@param duration? iza.Duration give up after this long; the task goes on
---@return any ...
function Task:join(duration) end

--- Asks the task to stop: whatever it waits for now or later raises. `<close>` blocks still run and
--- may wait for up to 5 s.
--- Example: `task:cancel()`
function Task:cancel() end

---@class iza.Scope
local Scope = {}

--- Starts a task that belongs to the scope.
---@param f fun(...): any
---@param ... any its arguments
---@return iza.Task
function Scope:spawn(f, ...) end

--- Cancels every task of the scope.
function Scope:cancel() end

--- Suspends the running task; all others go on.
--- Example: `iza.sleep("250ms")`
---@param duration iza.Duration
function iza.sleep(duration) end

--- Seconds on the clock that only goes forward; its zero means nothing. For dates see iza.time.
--- Example: `local t0 = iza.now(); work(); print(iza.now() - t0)`
---@return number
function iza.now() end

--- Starts a function as a task of its own, in the caller's scope.
--- Example: `local task = iza.spawn(function(url) return iza.http.get(url) end, url)`
---@param f fun(...): any
---@param ... any its arguments
---@return iza.Task
function iza.spawn(f, ...) end

--- Runs f(scope) and waits until every task started in it is over. When one fails, the others are
--- cancelled and its error is raised: no task outlives the block that started it.
--- Example: `iza.scope(function(s) s:spawn(a); s:spawn(b) end)`
---@param f fun(scope: iza.Scope): any
---@return any ... what f returned
function iza.scope(f) end

--- Starts a task that belongs to the program, not to the caller, and does not keep it alive.
---@param f fun(...): any
---@param ... any its arguments
---@return iza.Task
function iza.daemon(f, ...) end

--- Starts a task that is stopped when it uses more CPU time than that between two waits, and takes
--- turns with others meanwhile, as code in an isolate does.
--- Example: `iza.bounded("50ms", parse):join()`
---@param cpu iza.Duration
---@param f fun(): any
---@return iza.Task
function iza.bounded(cpu, f) end

--- Whether the running task has been asked to stop: for loops that never wait.
---@return boolean
function iza.cancelled() end

--- The running task.
---@return iza.Task
function iza.current() end

--- Suspends the running task until iza.unpark names it.
---@param duration? iza.Duration
---@return boolean woken false when time was up
function iza.park(duration) end

--- Ends the task's park, or lets its next one return at once.
---@param task iza.Task
function iza.unpark(task) end

--- A duration as a number of seconds; raises when it is none.
--- Example: `iza.seconds("5m")` is 300
---@param duration iza.Duration
---@return number
function iza.seconds(duration) end

--- Makes an error object, to return beside nil or to raise.
--- Example: `return nil, iza.error("not_found", "no such order")`
---@param code string
---@param message string
---@param retryable? boolean
---@return iza.Error
function iza.error(code, message, retryable) end

--- Raises what a caller did wrong. The message begins with the place of the first function outside
--- iza's own library; a library of yours uses `error(message, 2)`.
--- Example: `iza.misuse("name must be a string")`
---@param message string
---@private
function iza.misuse(message) end

--- The text a script would end with for this error: message, line, stack, who spawned the task.
---@param err any
---@return string
function iza.report(err) end

local task = require "iza.task"
--- The tasks that live in this state.
--- Example: `for _, t in ipairs(iza.list()) do print(t.id, t.status) end`
---@return iza.Task[]
function iza.list() end

iza.all = task.all
iza.race = task.race
iza.timeout = task.timeout
iza.channel = task.channel
iza.select = task.select

iza.args = require "iza.args"
iza.crypto = require "iza.crypto"
iza.csv = require "iza.csv"
iza.exec = require "iza.exec"
iza.fs = require "iza.fs"
iza.hot = require "iza.hot"
iza.http = require "iza.http"
iza.inspect = require "iza.inspect"
iza.isolate = require "iza.isolate"
iza.json = require "iza.json"
iza.log = require "iza.log"
iza.template = require "iza.template"
iza.term = require "iza.term"
iza.time = require "iza.time"
iza.url = require "iza.url"

return iza
