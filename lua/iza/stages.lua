--- The stages of `iza start`, in order. A system adds its own with stages.add.
---
--- A stage starts and is then probed through its public call; only then it is ready. A required
--- stage that fails ends the start; another one degrades it: the rest goes on, and status shows
--- why.
local api = require "iza.api"
local fail = require "iza.fail"
local fs = require "iza.fs"
local owner = require "iza.owner"
local token = require "iza.token"

local stages = {list = {}}

---@class iza.Stage
---@field number integer its place: 1 kernel, 2 memory, 3 API orchestrator, 4 agents, 5 repository
---bridge, 6 revenue systems, 7 interfaces, 8 performance monitoring
---@field name string
---@field required? boolean without it there is nothing to serve
---@field start fun(ctx: iza.StartContext): string|true|nil, iza.Error? a detail to show
---@field probe fun(ctx: iza.StartContext): any, iza.Error?
---@field cure? string what to do when it fails

--- Adds a stage.
--- Example: `stages.add{number = 2, name = "memory", start = open, probe = recall_nothing}`
---@param stage iza.Stage
function stages.add(stage)
  local at = #stages.list + 1
  while at > 1 and stages.list[at - 1].number > stage.number do at = at - 1 end
  table.insert(stages.list, at, stage)
end

-- ---- stage 1 ----

-- The data directory is ours alone until we end.
local function take_data(ctx)
  local value, err = token.ensure(ctx.data)
  if not value then return nil, err end
  ctx.token = value
  local ok
  ok, err = owner.await(ctx.data, ctx.say)
  if not ok then return nil, err end
  fs.remove(api.socket(ctx.data)) -- of an owner that was killed
  return ctx.data
end

-- A value through a channel, from one task to another.
local function probe_tasks()
  local channel = iza.channel(1)
  local task = iza.spawn(function() channel:send "ready" end)
  local value, err = channel:recv "5s"
  task:join()
  return value, err
end

stages.add {number = 1, name = "kernel", required = true, start = take_data, probe = probe_tasks,
  cure = "another data directory: --data DIR, or IZA_DATA"}
stages.add(api.stage)

-- ---- running them ----

-- What f gives, or nil and what it raised. Being told to stop is no failure of a stage.
local function try(f, ctx)
  local ok, result, err = pcall(f, ctx)
  if ok then return result, err end
  if type(result) == "table" and result.code == "cancelled" then error(result, 0) end
  return nil, result
end

local function run(stage, ctx)
  local detail, err = try(stage.start, ctx)
  if not detail then return nil, err end
  local answer
  answer, err = try(stage.probe, ctx)
  if not answer then return nil, err end
  return detail
end

local function entry_of(stage, started, detail, err)
  local entry = {number = stage.number, name = stage.name, state = err and "degraded" or "ready",
    ms = math.floor((iza.now() - started) * 10000) / 10}
  if err then
    entry.error = tostring(err)
    entry.cure = type(err) == "table" and err.cure or stage.cure
  elseif type(detail) == "string" then
    entry.detail = detail
  end
  return entry
end

--- Starts and probes all stages, in order. ctx.stages gets an entry for each.
--- Example: `local ok, err = stages.run(ctx, print_entry)`
---@param ctx iza.StartContext
---@param report fun(entry: table) told of each as it ends
---@return true? ok
---@return iza.Error? err of the required stage that failed
function stages.run(ctx, report)
  for _, stage in ipairs(stages.list) do
    local started = iza.now()
    local detail, err = run(stage, ctx)
    if not detail then err = err or select(2, fail("failed", "%s said no reason", stage.name)) end
    local entry = entry_of(stage, started, detail, err)
    if err and stage.required then entry.state = "failed" end
    ctx.stages[#ctx.stages + 1] = entry
    report(entry)
    if err and stage.required then
      if type(err) == "table" then err.cure = entry.cure end
      return nil, err
    end
  end
  return true
end

return stages
