local api = require "iza.api"
local duration = require "iza.duration"
local project = require "iza.project"
local term = require "iza.term"

local function show(status)
  print(("iza %s runs on %s: process %d, up %s, %s"):format(status.version, status.data, status.pid,
    duration.format(math.floor(status.uptime)), status.url))
  print(term.table(status.stages, {columns = {
    {key = "number", title = ""}, {key = "name", title = "stage"}, "state", {key = "ms"},
    {key = "text", title = "", format = function(_, row) return row.error or row.detail or "" end},
  }}))
end

-- The answer as JSON; `running` (a server) is null where that cannot be seen. pid and verb are the
-- owner's.
local function status_or(status, err)
  local answer = status or {data = project.data_dir(), pid = err.pid, verb = err.verb}
  answer.running = not err or err.code ~= "not_running"
  if err and err.code ~= "not_running" then
    answer.error = {code = err.code, message = err.message}
    if not err.pid then answer.running = require("iza.json").null end
  end
  return answer
end

return {
  group = "server",
  summary = "Shows what runs on the data directory.",
  about = "Ends with 1 when no server runs, or it does not answer.",
  args = {
    {"--json", help = "as JSON"},
    examples = {"iza status", "iza status --json"},
  },
  run = function(opts)
    local status, err = api.ask(project.data_dir(), "/api/status")
    local nothing = err and err.code == "not_running"
    if opts.json then
      print(require("iza.json").encode(status_or(status, err)))
    elseif status then
      show(status)
    elseif nothing then
      print(err.message)
    else
      return nil, err
    end
    return status and 0 or 1
  end,
}
