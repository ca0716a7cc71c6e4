---@meta
--- What `iza` offers by itself, without a module. Times are seconds, or text such as "250ms", "5m".
local iza = {}

--- Waits; other tasks run meanwhile.
--- Example: `iza.sleep("250ms")`
---@param duration number|string
function iza.sleep(duration) end

--- The time in seconds, from a clock that never jumps. Its zero means nothing; for the time of day
--- there is iza.time.now.
--- Example: `local started = iza.now()`
---@return number
function iza.now() end

--- Starts a task. It ends at the latest with the task that spawned it, which waits for it; when it
--- fails and nobody joins it, the failure is raised there.
--- Example: `local task = iza.spawn(fetch, "a"); local result = task:join()`
---@param f function
---@param ... any its arguments
---@return iza.Task task with join(duration?), cancel(), status, id
function iza.spawn(f, ...) end

--- Runs f(scope) and waits for all that scope:spawn started. When one task fails, the others are
--- cancelled and its error is raised; scope:cancel() cancels them all.
--- Example: `iza.scope(function(scope) for _, x in ipairs(list) do scope:spawn(work, x) end end)`
---@param f fun(scope: table): any
---@return any ... what f returned
function iza.scope(f) end

--- An error object as iza's functions return them: it prints as its message.
--- Example: `return nil, iza.error("not_found", "no such lead")`
---@param code string a short stable word a program can test
---@param message string one line for a person
---@param retryable? boolean the same call may succeed later
---@return iza.Error
function iza.error(code, message, retryable) end

return iza
