local project = require "iza.project"
local stages = require "iza.stages"
local task = require "iza.core.task"
local term = require "iza.term"

local styles = {ready = "green", degraded = "yellow", failed = "bold red"}

-- Why a start failed is told at its end.
local function show(entry)
  print(("%d %-14s %s %7.1f ms  %s"):format(entry.number, entry.name,
    term.style(("%-8s"):format(entry.state), styles[entry.state]), entry.ms,
    entry.state ~= "failed" and entry.error or entry.detail or ""))
  if entry.cure and entry.state ~= "failed" then print((" "):rep(33) .. "do: " .. entry.cure) end
  io.stdout:flush()
end

local function new_context(opts)
  return {
    data = project.data_dir(), started = iza.now(), stages = {},
    host = opts.host or project.setting "host" or "127.0.0.1",
    port = opts.port or project.setting "port" or 8321,
    say = function(text)
      print(text)
      io.stdout:flush()
    end,
  }
end

local function total(ctx) return (iza.now() - ctx.started) * 1000 end

local goodbye = {__close = function()
  print "stopping: no new requests; those in work may finish"
  io.stdout:flush()
end}

-- Serves until it is told to stop. The scope ends when the servers have drained.
local function serve(ctx)
  return iza.scope(function()
    local ok, err = stages.run(ctx, show)
    if not ok then error(err, 0) end
    show {number = 9, name = "ready", state = "ready", ms = total(ctx), detail = ctx.url}
    local _ <close> = setmetatable({}, goodbye)
    while true do task.park() end
  end)
end

return {
  group = "server",
  summary = "Starts the server: all stages, then the API.",
  about = "Starts stage by stage and serves until `iza stop`, SIGTERM or Ctrl-C; requests in work"
    .. " may then finish. One process owns a data directory; while that is `iza run`, it waits.",
  args = {
    {"--port P", type = "integer", min = 0, max = 65535,
      help = "default 8321, or the setting; 0: any"},
    {"--host H", help = "default 127.0.0.1, or the setting"},
    examples = {"iza start", "iza start --port 0 --data elsewhere"},
  },
  run = function(opts)
    local ctx = new_context(opts)
    local ok, err = pcall(serve, ctx)
    if not ok and type(err) == "table" and err.code ~= "cancelled" then return nil, err end
    if not ok then error(err, 0) end
  end,
}
