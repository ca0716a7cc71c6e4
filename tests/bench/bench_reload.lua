--- Hot reload: from the moment a save is over to the first answer of the new code, over HTTP.
--- The bar is what an edit may take, not a peer. Median of alternated ways to save.
local compare = require "tests.bench.compare"

local ROUNDS = 21

local dir = assert(iza.fs.tempdir())
local path = dir .. "/pages.lua"

local function save(n, by_renaming)
  local target = by_renaming and path .. ".tmp" or path
  local f = assert(io.open(target, "w"))
  f:write(("return {index = function() return {json = %d} end}\n"):format(n))
  f:close()
  if by_renaming then assert(os.rename(target, path)) end
end

save(1)
local pages <close> = assert(iza.hot.file(path))
local server = assert(iza.http.serve{port = 0, routes = {["GET /"] = pages:fn "index"}})

local times = {}
for n = 2, ROUNDS + 1 do
  iza.sleep(0.05)
  save(n, n % 2 == 0)
  local start = iza.now()
  while assert(iza.http.get(server.url .. "/")):json() ~= n do
    if iza.now() - start > 10 then error "the edit did not go live" end
  end
  times[#times + 1] = (iza.now() - start) * 1000
end
server:stop{drain = 0}
iza.fs.remove(dir, {recursive = true})
compare.line("reload.save_to_live", "ms", compare.median(times), "bar", 50)
