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

return {
  group = "server",
  summary = "Shows what runs on the data directory.",
  about = "Ends with 1 when nothing runs.",
  args = {
    {"--json", help = "as JSON"},
    examples = {"iza status", "iza status --json"},
  },
  run = function(opts)
    local status, err = api.ask(project.data_dir(), "/api/status")
    if not status and err.code ~= "not_running" then return nil, err end
    if opts.json then
      local json = require "iza.json"
      local answer = status or {data = project.data_dir()}
      answer.running = status ~= nil
      print(json.encode(answer))
    elseif status then
      show(status)
    else
      print(err.message)
    end
    return status and 0 or 1
  end,
}
