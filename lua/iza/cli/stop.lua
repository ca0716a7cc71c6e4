local api = require "iza.api"
local fail = require "iza.fail"
local host = require "iza.core.host"
local owner = require "iza.owner"
local project = require "iza.project"

return {
  group = "server",
  summary = "Stops the server; requests in work may finish.",
  args = {
    {"--timeout D", type = "duration", default = 15,
      help = "how long to wait, in seconds or as 1m"},
    examples = {"iza stop", "iza stop --timeout 1m"},
  },
  run = function(opts)
    local data = project.data_dir()
    local pid, err = api.server(data)
    if not pid then
      if err.code ~= "not_running" then return nil, err end
      print(err.message)
      return 0
    end
    local ok
    ok, err = host.kill(pid, "TERM")
    if not ok and err.code ~= "ESRCH" then return nil, err end
    local deadline = iza.now() + opts.timeout
    while owner.of(data) == pid do
      if iza.now() > deadline then
        return fail("timeout", "process %d still runs; to end it by force: kill -9 %d", pid, pid)
      end
      iza.sleep(0.02)
    end
    print(("stopped process %d on %s"):format(pid, data))
  end,
}
