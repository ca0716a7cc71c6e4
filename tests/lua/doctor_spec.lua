local doctor = require "iza.doctor"
local host = require "iza.core.host"

-- What a check finds; `files` stand in for real ones, a value of false: the file is not there.
local function check(name, files)
  local open = io.open
  local _ <close> = setmetatable({}, {__close = function() rawset(io, "open", open) end})
  rawset(io, "open", function(path, ...)
    local text = files and files[path]
    if text == nil then return open(path, ...) end
    if not text then return nil, path .. ": No such file or directory" end
    local f = assert(io.tmpfile())
    f:write(text)
    f:seek "set"
    return f
  end)
  for _, entry in ipairs(doctor.checks) do
    if entry.name == name then return entry.run() end
  end
  error("no check " .. name)
end

describe("iza.doctor", function()
  it("knows which libevent has known holes", function()
    for _, version in ipairs {"2.1.12-stable-8+deb12u1", "2.1.12-stable-8+deb12u2",
      "2.1.12-stable-9", "2.1.12-stable-10+b1", "2.2.1-alpha-1"} do
      assert.is_true(doctor.libevent_is_fixed(version), version)
    end
    for _, version in ipairs {"2.1.12-stable-8", "2.1.12-stable-8+b1", "2.1.12-stable-1",
      "2.1.11-stable-9", "2.0.21-stable-3", "unknown"} do
      assert.is_false(doctor.libevent_is_fixed(version), version)
    end
  end)

  it("judges the libevent inside the program", function()
    local real = host.libevent
    local _ <close> = setmetatable({}, {__close = function() host.libevent = real end})
    assert.truthy(real():find "^2%.", real())
    host.libevent = function() return "2.1.12-stable-8" end
    local state, found, cure = check "libevent"
    assert.are.equal("warn", state)
    assert.truthy(found:find("2.1.12-stable-8", 1, true))
    assert.truthy(cure:find("make build", 1, true))
    host.libevent = function() return "2.1.12-stable-8+deb12u1" end
    assert.are.equal("ok", (check "libevent"))
    host.libevent = function() return "" end
    assert.are.equal("ok", (check "libevent"))
  end)

  it("tells when files can hardly be watched", function()
    local path = "/proc/sys/fs/inotify/max_user_watches"
    assert.are.equal("ok", (check("inotify", {[path] = "8192\n"})))
    local state, found, cure = check("inotify", {[path] = "100\n"})
    assert.are.same({"warn", "100 watches a user are few"}, {state, found})
    assert.truthy(cure:find("sysctl", 1, true))
    assert.are.equal("warn", (check("inotify", {[path] = false})))
  end)
end)
