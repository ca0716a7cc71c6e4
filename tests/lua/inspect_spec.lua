local inspect = iza.inspect

describe("iza.inspect", function()
  it("sorts fields and shows the sequence first", function()
    assert.equal('{"x", 2, [1.5] = true, a = 1, b = {}, ["end"] = 0}',
      inspect({"x", 2, b = {}, a = 1, [1.5] = true, ["end"] = 0}))
  end)

  it("gives a long table a line an entry and fills lines with scalars", function()
    assert.equal('{\n  a = {1, 2},\n  b = "xxxxxxxxxx",\n}',
      inspect({a = {1, 2}, b = ("x"):rep(10)}, {width = 24}))
    assert.equal("{\n  1, 2, 3,\n  4, 5, 6,\n}", inspect({1, 2, 3, 4, 5, 6}, {width = 12}))
  end)

  it("ends at cycles and at the depth", function()
    local t = {1}
    t.me = t
    assert.equal("{1, me = <cycle>}", inspect(t))
    assert.equal("{{{…}}}", inspect({{{{}, 1}}}, {depth = 2}))
    local deep = {}
    for _ = 1, 100000 do deep = {deep} end
    assert.is_truthy(inspect(deep))
  end)

  it("says how much it cut", function()
    local list = {}
    for i = 1, 500 do list[i] = i end
    assert.is_truthy(inspect(list, {items = 5}):find("5, … 495 more}", 1, true))
    assert.equal('"xxx" … 7 more bytes', inspect(("x"):rep(10), {chars = 3}))
    assert.equal('"é" … 2 more bytes', inspect("éé", {chars = 3}))
    local wide = {}
    for i = 1, 50 do
      wide[i] = {}
      for j = 1, 200 do wide[i][j] = {j} end
    end
    assert.is_true(#inspect(wide) < 100000)
  end)

  it("keeps every digit and every byte", function()
    assert.equal("0.30000000000000004", inspect(0.1 + 0.2))
    assert.equal("9007199254740993", inspect((1 << 53) + 1))
    assert.equal("3.0", inspect(3.0))
    assert.equal("9007199254740992.0", inspect(2.0 ^ 53))
    assert.equal("0.3333333333333333", inspect(1 / 3))
    assert.equal("5e-324", inspect(5e-324))
    assert.equal("1e+300", inspect(1e300))
    assert.equal("12345678901234568.0", inspect(12345678901234568.0))
    assert.equal("-0.0", inspect(-0.0))
    assert.equal("nan", inspect(0 / 0))
    for _, n in ipairs {0.1, 1 / 3, 2.0 ^ 53, 1e15, 1e16, 1e22, 5e-324, 123456.789, 2 ^ 63} do
      local back = load("return " .. inspect(n))()
      assert.equal(n, back)
      assert.equal("float", math.type(back))
    end
    assert.equal("-math.huge", inspect(-math.huge))
    assert.equal('"a\\n\\x00\\xffé"', inspect("a\n\0\xffé"))
    assert.equal("'say \"x\"'", inspect('say "x"'))
  end)

  it("asks __tostring and __name, nothing else", function()
    local function boom() error "called" end
    local loud = setmetatable({1}, {__index = boom, __pairs = boom, __len = boom, __name = "loud"})
    assert.equal("loud {1}", inspect(loud))
    assert.equal("error: no such file", inspect(iza.error("ENOENT", "no such file")))
    assert.equal("point", inspect(setmetatable({}, {__tostring = function() return "point" end})))
    assert.is_truthy(inspect(setmetatable({}, {__tostring = boom})))
  end)

  it("shows JSON's null by its name", function()
    assert.equal("iza.json.array {1, json.null}", inspect(iza.json.decode "[1, null]"))
  end)

  it("cuts tables to a number of lines and says how much is left", function()
    local rows = {}
    for i = 1, 50 do rows[i] = {id = i, name = ("x"):rep(50)} end
    local text = inspect(rows, {lines = 20})
    assert.is_truthy(text:find "id = 20, .*\n  … 30 more\n}$", text)
    assert.is_nil(text:find "id = 21,")
    text = inspect({a = rows, b = 1}, {lines = 20})
    local _, breaks = text:gsub("\n", "")
    assert.is_true(breaks >= 20 and breaks <= 26, text)
    assert.is_truthy(text:find "\n    … %d+ more\n  },\n  … 1 more\n}$", text)
    assert.equal(inspect(rows), inspect(rows, {lines = 60}))
    local short = {}
    for i = 1, 100 do short[i] = i end
    assert.equal(inspect(short), inspect(short, {lines = 10})) -- scalars share lines
  end)

  it("has colours only when asked", function()
    assert.is_nil(inspect({1, "x", a = true}):find "\27")
    assert.is_truthy(inspect("x", {colour = true}):find "\27%[32m\"x\"\27%[0m")
  end)
end)
