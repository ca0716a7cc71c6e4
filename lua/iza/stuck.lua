--- What a program says that can never go on: each of its tasks waits for another one, and there is
--- no timer, request, server, child or file that could wake one of them.
local MOST = 20 -- tasks that are named

local function line_of(task)
  local line = ("  task %d waits%s%s"):format(task.id, task.waits and " in " .. task.waits or "",
    task.at and " at " .. task.at or "")
  local origin = task.origin and task.origin:match "[^%s][^\n]*"
  return origin and line .. ", spawned at " .. origin or line
end

--- The report.
---@param tasks table[] as iza.list gives them
---@return string
return function(tasks)
  table.sort(tasks, function(a, b) return a.id < b.id end)
  local lines = {"deadlock: nothing can wake the tasks that are left, so the program ends"}
  for i = 1, math.min(#tasks, MOST) do lines[#lines + 1] = line_of(tasks[i]) end
  if #tasks > MOST then lines[#lines + 1] = ("  and %d more"):format(#tasks - MOST) end
  return table.concat(lines, "\n")
end
