-- reload_spec.lua -- a server whose routes come from a hot file, edited while it is asked.

local RELOADS, TASKS = 100, 16

describe("a server over a hot file", function()
  local dir, path
  before_each(function()
    dir = assert(iza.fs.tempdir())
    path = dir .. "/pages.lua"
  end)
  after_each(function() iza.fs.remove(dir, {recursive = true}) end)

  local function page(n)
    return ("local M = {}\nfunction M.index(req)\n  iza.sleep(0.001)\n  return {json = {n = %d}}\n"
      .. "end\nreturn M\n"):format(n)
  end

  -- Serves the file's index while f(server, pages) runs.
  local function serving(f)
    assert(iza.fs.write(path, page(1)))
    local pages <close> = assert(iza.hot.file(path))
    local server = assert(iza.http.serve{port = 0, routes = {["GET /"] = pages:fn "index"}})
    local _ <close> = setmetatable({}, {__close = function() server:stop{drain = 1} end})
    return f(server, pages)
  end

  local function until_version(pages, n)
    for _ = 1, 4000 do
      if pages.version >= n then return end
      iza.sleep(0.002)
    end
    error("the edit did not go live", 2)
  end

  it("answers every request while it is edited, and never goes back to an old version", function()
    serving(function(server, pages)
      local asked, failed, over = 0, {}, false
      local function ask_on()
        local last = 0
        while not over do
          local r, err = iza.http.get(server.url .. "/")
          asked = asked + 1
          local n = r and r.status == 200 and r:json().n
          if not n or n < last then failed[#failed + 1] = tostring(err or r.status) end
          last = n or last
        end
        return last
      end
      local tasks = {}
      for i = 1, TASKS do tasks[i] = iza.spawn(ask_on) end
      for n = 2, RELOADS + 1 do
        assert(iza.fs.write(path, page(n)))
        until_version(pages, n)
      end
      local before = asked
      while asked < before + 2 * TASKS do iza.sleep(0.002) end
      over = true
      for i = 1, TASKS do assert.equal(RELOADS + 1, tasks[i]:join()) end
      assert.same({}, failed)
      assert.is_true(asked > RELOADS)
    end)
  end)

  it("serves the old version on when the file is broken", function()
    local term = require "iza.core.term"
    local kept, logged = term.write, {}
    local _ <close> = setmetatable({}, {__close = function() term.write = kept end})
    serving(function(server, pages)
      term.write = function(_, text) logged[#logged + 1] = text return true end
      assert(iza.fs.write(path, "local M = {}\nreturn M +\n"))
      for _ = 1, 2000 do
        if pages.error then break end
        iza.sleep(0.005)
      end
      assert.matches("pages.lua:3:", logged[1])
      assert.equal(1, assert(iza.http.get(server.url .. "/")):json().n)
      assert(iza.fs.write(path, page(2)))
      until_version(pages, 2)
      assert.equal(2, assert(iza.http.get(server.url .. "/")):json().n)
    end)
  end)

  local function resident() -- bytes
    local f <close> = assert(io.open("/proc/self/statm"))
    local _, pages = f:read("n", "n")
    return pages * 4096
  end

  -- ASan keeps freed memory for a while, so that its use is seen: RSS says nothing then.
  local function sanitized()
    local f <close> = assert(io.open("/proc/self/maps"))
    return f:read("a"):find("libasan", 1, true)
  end

  it("grows by at most 1 MB in 1,000 reloads", function()
    assert(iza.fs.write(path, page(1)))
    local pages = assert(iza.hot.file(path, {watch = false}))
    local function reload(times)
      for n = 1, times do
        local f <close> = assert(io.open(path, "w"))
        f:write(page(n))
        f:close()
        assert(pages:reload())
      end
      collectgarbage()
      collectgarbage()
      return collectgarbage "count" * 1024, resident()
    end
    local lua_before, all_before = reload(200)
    local lua_after, all_after = reload(1000)
    assert.is_true(lua_after - lua_before < 64 * 1024, "Lua: " .. lua_after - lua_before)
    if not sanitized() then
      assert.is_true(all_after - all_before <= 1024 * 1024, "RSS: " .. all_after - all_before)
    end
  end)
end)
