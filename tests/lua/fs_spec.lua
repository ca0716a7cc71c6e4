-- iza.fs: whole files, pieces, folders, watching; cancelled work leaves nothing behind.

local fs = iza.fs

describe("iza.fs", function()
  local dir

  before_each(function() dir = assert(fs.tempdir()) end)
  after_each(function() assert(fs.remove(dir, {recursive = true})) end)

  local function at(name) return dir .. "/" .. name end

  local function names(...)
    local out = {}
    for i, e in ipairs(assert(fs.list(...))) do out[i] = e.name end
    return table.concat(out, " ")
  end

  it("writes, reads and appends", function()
    local data = "a\0b\r\n" .. ("x"):rep(3000000)
    assert.is_true(fs.write(at "a", data))
    assert.is_true(fs.read(at "a") == data)
    assert.is_true(fs.write(at "a", ""))
    assert.equal("", fs.read(at "a"))
    assert(fs.write(at "a", "one ", {append = true}))
    assert(fs.write(at "a", "two", {append = true}))
    assert.equal("one two", fs.read(at "a"))
    assert.equal("a", names(dir))
  end)

  it("says what failed, where and why", function()
    local function refused(code, ok, err)
      assert.is_nil(ok)
      assert.equal(code, err.code)
      assert.truthy(err.message:find(dir, 1, true))
    end
    refused("ENOENT", fs.read(at "none"))
    refused("EISDIR", fs.read(dir))
    refused("ENOENT", fs.write(at "no/where", ""))
    refused("ENOENT", fs.list(at "none"))
    refused("ENOENT", fs.stat(at "none"))
    refused("ENOENT", fs.remove(at "none"))
    refused("ENOENT", fs.open(at "none"))
    refused("ENOENT", fs.watch(at "none"))
    assert(fs.write(at "big", ("x"):rep(2000)))
    refused("too_large", fs.read(at "big", {max = "1KB"}))
    assert.equal("fs: cannot open \"" .. at "none" .. "\": No such file or directory",
      tostring(select(2, fs.read(at "none"))))
  end)

  it("refuses misuse", function()
    assert.error_matches(function() fs.read() end, "string expected")
    assert.error_matches(function() fs.read("a\0b") end, "zero byte")
    assert.error_matches(function() fs.write(at "a", {}) end, "string expected")
    assert.error_matches(function() fs.open(at "a", "rw") end, "invalid option")
  end)

  it("lists, with globs and below", function()
    assert(fs.mkdir(at "d/e"))
    for _, name in ipairs{"b.lua", ".h", "d/c.lua", "d/e/f.txt"} do
      assert(fs.write(at(name), ""))
    end
    assert.equal(".h b.lua d", names(dir))
    assert.equal(".h b.lua d d/c.lua d/e d/e/f.txt", names(dir, {recursive = true}))
    assert.equal("b.lua", names(dir, {glob = "*.lua"}))
    assert.equal("b.lua d/c.lua", names(dir, {glob = "**/*.lua"}))
    assert.equal("folder", fs.list(dir)[3].type)
  end)

  it("knows what is there", function()
    assert(fs.write(at "a", "12345"))
    local info = assert(fs.stat(at "a"))
    assert.equal("file", info.type)
    assert.equal(5, info.size)
    assert.is_true(math.abs(info.mtime - os.time()) < 60)
    assert.equal("folder", fs.stat(dir).type)
    assert.is_true(fs.exists(at "a"))
    assert.is_false(fs.exists(at "b"))
    assert.is_false(fs.exists(at "a/b"))
  end)

  it("renames, copies and removes", function()
    assert(fs.write(at "a", "text"))
    assert(fs.rename(at "a", at "b"))
    assert(fs.copy(at "b", at "c"))
    assert.equal("text", fs.read(at "c"))
    assert(fs.remove(at "b"))
    assert.equal("c", names(dir))
    assert(fs.mkdir(at "d/e"))
    assert.equal("ENOTEMPTY", select(2, fs.remove(at "d")).code)
    assert(fs.remove(at "d", {recursive = true}))
  end)

  it("does not hold up other tasks", function()
    local turns = 0
    local other <close> = setmetatable({iza.spawn(function()
      while true do
        turns = turns + 1
        iza.sleep(0)
      end
    end)}, {__close = function(t) t[1]:cancel() end})
    local data = ("x"):rep(20000000)
    turns = 0
    assert(fs.write(at "a", data))
    assert.is_true(turns > 0, tostring(other))
  end)

  it("reads many at once", function()
    assert(fs.write(at "a", "text"))
    local list = {}
    for i = 1, 200 do list[i] = function() return assert(fs.read(at "a")) end end
    local all = {iza.all(list)}
    assert.equal(200, #all)
    for i = 1, 200 do assert.equal("text", all[i]) end
  end)

  it("drops the result of a cancelled call and shows no half-written file", function()
    assert(fs.write(at "a", "old"))
    local data = ("x"):rep(20000000)
    for i = 0, 5 do
      local task = iza.spawn(function() fs.write(at "a", data) end)
      iza.sleep(i * 0.003)
      task:cancel()
      pcall(task.join, task)
      local size = #fs.read(at "a")
      assert.is_true(size == 3 or size == #data, "size " .. size)
    end
    for _ = 1, 500 do -- the last job may still be on its way
      if names(dir) == "a" then break end
      iza.sleep(0.01)
    end
    assert.equal("a", names(dir))
  end)

  it("stops reading a silent pipe when cancelled", function()
    assert(iza.exec{"mkfifo", at "pipe", check = true})
    local writer <close> = iza.exec{"sh", "-c", "exec >'" .. at "pipe" .. "'; exec sleep 1000",
      stream = true}
    local task = iza.spawn(function()
      repeat until #fs.read(at "pipe") > 0
    end)
    iza.sleep(0.05)
    task:cancel()
    pcall(task.join, task)
    assert.equal("cancelled", task.status)
    assert.is_true(writer:kill())
  end)

  describe("a file", function()
    it("is read in pieces", function()
      assert(fs.write(at "a", "first line\n\nsecond\nlast"))
      local f <close> = assert(fs.open(at "a"))
      assert.equal("first", f:read(5))
      assert.equal(" line", f:read("l"))
      assert.equal("", f:read("l"))
      assert.equal("second\nlast", f:read(1000))
      assert.is_nil(f:read())
      assert.is_nil(f:read(1))
    end)

    it("gives many lines", function()
      local lines = {}
      for i = 1, 200000 do lines[i] = "line " .. i end
      assert(fs.write(at "a", table.concat(lines, "\n") .. "\n"))
      local f <close> = assert(fs.open(at "a"))
      local n = 0
      for line in f:lines() do
        n = n + 1
        if line ~= lines[n] then error("line " .. n .. " is " .. line) end
      end
      assert.equal(200000, n)
    end)

    it("appears when it is closed", function()
      assert(fs.write(at "a", "old"))
      local f = assert(fs.open(at "a", "w"))
      for _ = 1, 1000 do assert(f:write(("x"):rep(1000))) end
      assert.equal("old", fs.read(at "a"))
      assert.is_true(f:close())
      assert.equal(1000000, #fs.read(at "a"))
      assert.is_true(f:close())
      assert.error_matches(function() f:write("more") end, "closed")
      assert.equal("a", names(dir))
    end)

    it("appears at the end of its block, but not after an error", function()
      do
        local f <close> = assert(fs.open(at "a", "w"))
        f:write("whole")
      end
      assert.equal("whole", fs.read(at "a"))
      pcall(function()
        local f <close> = assert(fs.open(at "a", "w"))
        f:write(("x"):rep(1000000))
        error("no luck")
      end)
      assert.equal("whole", fs.read(at "a"))
      assert.equal("a", names(dir))
    end)

    it("does not appear when its writer is cancelled, or forgets it", function()
      local task = iza.spawn(function()
        local f <close> = assert(fs.open(at "a", "w"))
        f:write("half")
        iza.sleep(100)
      end)
      iza.sleep(0.05)
      task:cancel()
      pcall(task.join, task)
      fs.open(at "b", "w"):write("half")
      collectgarbage()
      collectgarbage()
      assert.equal("", names(dir))
    end)

    it("is appended to at once", function()
      local f <close> = assert(fs.open(at "log", "a"))
      f:write("one\n")
      assert.equal("one\n", fs.read(at "log"))
      f:write("two\n")
      assert.equal("one\ntwo\n", fs.read(at "log"))
    end)

    it("refuses the wrong direction", function()
      assert(fs.write(at "a", ""))
      local f <close> = assert(fs.open(at "a"))
      assert.error_matches(function() f:write("x") end, "open for reading")
      local g <close> = assert(fs.open(at "b", "a"))
      assert.error_matches(function() g:read() end, "open for writing")
    end)
  end)

  describe("a watch", function()
    local quiet = 0.1 -- a busy machine must not cut a save in two

    it("tells each save once, however it is done", function()
      assert(fs.write(at "a", "1"))
      local w <close> = assert(fs.watch(dir, {quiet = quiet}))
      assert(fs.write(at "a", "2"))
      assert.same({kind = "changed", path = at "a"}, w:next())
      local f = assert(io.open(at "a", "w"))
      f:write("3")
      f:close()
      assert.same({kind = "changed", path = at "a"}, w:next())
      os.rename(at "a", at "b")
      assert.same({kind = "moved", path = at "b", from = at "a"}, w:next())
      os.remove(at "b")
      assert.same({kind = "removed", path = at "b"}, w:next())
    end)

    it("is an iterator over folders below", function()
      assert(fs.mkdir(at "d"))
      local seen = {}
      local w = assert(fs.watch(dir, {recursive = true, quiet = quiet}))
      iza.spawn(function()
        assert(fs.mkdir(at "d/new/deep"))
        assert(fs.write(at "d/new/deep/file", "x"))
      end)
      for event in w do
        seen[event.path] = event.kind
        if event.path == at "d/new/deep/file" then break end
      end
      w:close()
      assert.equal("created", seen[at "d/new"])
      assert.is_nil(w:next())
    end)

    it("ends a reader's wait when it is closed", function()
      local w = assert(fs.watch(dir))
      local task = iza.spawn(function() return w:next() end)
      iza.sleep(0.02)
      w:close()
      assert.is_nil(task:join())
    end)
  end)
end)
