local term = require "iza.term"

-- Runs f with iza.core.term replaced in part, against a fresh iza.term.
local function with_core(replaced, f)
  local core = require "iza.core.term"
  local kept = {}
  for k, v in pairs(replaced) do kept[k], core[k] = core[k], v end
  local ok, err = pcall(f)
  for k, v in pairs(kept) do core[k] = v end
  if not ok then error(err, 0) end
end

-- Runs f as if these variables were all that the environment says of colour.
local function with_environment(variables, f)
  local kept = os.getenv
  local of_colour = {NO_COLOR = true, CLICOLOR = true, CLICOLOR_FORCE = true, TERM = true,
    COLUMNS = true}
  rawset(os, "getenv", function(name)
    if of_colour[name] then return variables[name] end
    return kept(name)
  end)
  local ok, err = pcall(f)
  rawset(os, "getenv", kept)
  if not ok then error(err, 0) end
end

local function with_clock(f)
  local clock = require "iza.core.clock"
  local kept, now = clock.now, 1000.0
  clock.now = function() return now end
  local ok, err = pcall(f, function(seconds) now = now + seconds end)
  clock.now = kept
  if not ok then error(err, 0) end
end

describe("iza.term", function()
  it("knows how wide text is", function()
    for text, width in pairs {[""] = 0, abc = 3, ["日本語"] = 6, ["é"] = 1, ["e\u{301}"] = 1,
      ["👍"] = 2, ["👍🏽"] = 2,
      ["👩‍👩‍👧"] = 2, ["🇫🇷🇩🇪"] = 4, ["❤️"] = 2, ["ｱ"] = 1, ["\27[1;31mred\27[0m"] = 3,
        ["\u{200B}"] = 0, ["한"] = 2,
      ["\xff\xfe"] = 2, ["a\u{200D}b"] = 2} do
      assert.equal(width, term.width(text), text)
    end
  end)

  it("cuts text at a width, never inside a character", function()
    assert.equal("abcdef", term.truncate("abcdef", 6))
    assert.equal("abcd…", term.truncate("abcdef", 5))
    assert.equal("日…", term.truncate("日本語", 4))
    assert.equal("日本…", term.truncate("日本語", 5))
    assert.equal("…", term.truncate("日本語", 1))
    assert.equal("👩‍👩‍👧…", term.truncate("👩‍👩‍👧abc", 3))
    assert.equal("\27[31mab\27[0m…", term.truncate("\27[31mabcd\27[0m", 3))
  end)

  it("pads by columns", function()
    assert.equal("日 ", term.pad("日", 3))
    assert.equal("  7", term.pad("7", 3, "right"))
    assert.equal(" a  ", term.pad("a", 4, "center"))
    assert.equal("long", term.pad("long", 2))
  end)

  it("aligns tables with numbers on the right", function()
    local rows = {{name = "Müller", n = 5, note = "x"}, {name = "日本", n = 1200.5}, {n = 3.0,
      name = "a\nb\27[2J"}}
    local text = term.table(rows, {columns = {"name", "n", {key = "note", title = "Note"}}})
    assert.equal(table.concat({
      "name          n  Note",
      "───────  ──────  ────",
      "Müller        5  x",
      "日本     1200.5",
      "a b�[2J       3",
    }, "\n"), text)
  end)

  it("prints numbers with all their digits", function()
    local list = {}
    for i, n in ipairs {1234567.891, 12345.678, 0.1, 1 / 3, 1 << 62, 3.0, 1e15, 1e300, -0.5, 0 / 0,
      1 / 0, -1 / 0} do
      list[i] = {n}
    end
    local text = term.table(list, {columns = {{key = 1, title = "n"}}})
    local shown = {}
    for cell in text:gmatch "\n *([^\n]+)" do shown[#shown + 1] = cell end
    assert.same({"1234567.891", "12345.678", "0.1", "0.3333333333333333", "4611686018427387904",
      "3", "1000000000000000", "1e+300", "-0.5", "nan", "inf", "-inf"},
      table.move(shown, 2, #shown, 1, {}))
  end)

  it("takes lists, and the sorted fields of the first row", function()
    assert.equal("1  2\n─  ─\na  b", term.table {{"a", "b"}})
    assert.equal("x  y\n─  ─\n1  2", term.table {{y = 2, x = 1}})
    assert.equal("\n", term.table {})
  end)

  it("cuts the widest columns to fit, numbers last", function()
    local text = term.table({{("w"):rep(50), 123456, ("v"):rep(20)}}, {width = 30})
    for line in text:gmatch "[^\n]+" do assert.is_true(term.width(line) <= 30) end
    assert.truthy(text:find("123456", 1, true))
    assert.truthy(text:find("…", 1, true))
    local uncut = term.table({{("w"):rep(500)}}, {width = 500})
    assert.falsy(uncut:find("…", 1, true))
  end)

  it("formats cells and limits columns", function()
    local text = term.table({{p = 0.5, s = "abcdef"}}, {columns = {
      {key = "p", format = "%.2f"}, {key = "s", max = 4}, {key = "s", title = "n",
        format = function(v) return #v end}}})
    assert.equal("   p  s     n\n────  ────  ─\n0.50  abc…  6", text)
  end)

  it("writes markdown", function()
    assert.equal("| a    |   n |\n| ---- | --: |\n| x\\|y |   1 |", term.table({{a = "x|y",
      n = 1}}, {markdown = true}))
  end)

  it("draws bars in eighths", function()
    assert.equal("█████", term.bar(50, 100, 10))
    assert.equal("██████████", term.bar(500, 100, 10))
    assert.equal("▌", term.bar(5, 100, 10))
    assert.equal("", term.bar(0, 100, 10))
    assert.equal("", term.bar(5, 0, 10))
    assert.equal("web   12  ████\nmail   6  ██\nnone   0", term.bars({{"web", 12}, {"mail", 6},
      {"none", 0}}, 4))
  end)

  it("draws sparklines", function()
    assert.equal("▁▂█▅▂", term.sparkline {1, 5, 22, 13, 5})
    assert.equal("▄▄", term.sparkline {3, 3})
    assert.equal("▁ █", term.sparkline {0, 0 / 0, 1})
    assert.equal("", term.sparkline {})
  end)

  it("is plain when the stream is no terminal, coloured when it is", function()
    with_core({isatty = function() return false end}, function()
      assert.equal("x", term.style("x", "bold red"))
      assert.is_nil(term.columns())
      assert.is_false(term.is_tty())
    end)
    with_environment({TERM = "xterm"}, function()
      with_core({isatty = function() return true end}, function()
        assert.equal("\27[1;31mx\27[0m", term.style("x", "bold red"))
      end)
    end)
  end)

  it("has colour as the environment says", function()
    for _, case in ipairs {
      {true, {TERM = "xterm"}, true}, {true, {}, true}, {false, {TERM = "xterm"}, false},
      {true, {TERM = "dumb"}, false}, {true, {CLICOLOR = "0"}, false},
      {true, {CLICOLOR = "1"}, true}, {true, {NO_COLOR = "1"}, false},
      {true, {NO_COLOR = ""}, true}, {false, {CLICOLOR_FORCE = "1"}, true},
      {true, {CLICOLOR_FORCE = "1", TERM = "dumb"}, true},
      {false, {CLICOLOR_FORCE = "0"}, false}, {false, {CLICOLOR_FORCE = ""}, false},
      {false, {CLICOLOR_FORCE = "1", CLICOLOR = "0"}, true},
      {true, {CLICOLOR_FORCE = "1", NO_COLOR = "1"}, false},
    } do
      local tty, variables, expected = table.unpack(case)
      with_environment(variables, function()
        with_core({isatty = function() return tty end}, function()
          for _, stream in ipairs {"stdout", "stderr"} do
            assert.equal(expected, term.has_colour(stream), iza.inspect(case))
          end
          assert.equal(expected and "\27[31mx\27[0m" or "x", term.style("x", "red"))
        end)
      end)
    end
  end)

  it("refuses unknown styles and streams", function()
    assert.has_error(function() term.style("x", "pink") end)
    assert.has_error(function() term.is_tty "out" end)
    assert.equal("red", term.strip "\27[31mred\27[0m")
  end)
end)

describe("iza.term.progress", function()
  local written
  local function collect(tty)
    return {isatty = function() return tty end, size = function() return 60, 20
  end,
    write = function(fd, s) written[#written + 1] = fd .. s end} end
  before_each(function() written = {} end)

  it("says nothing about short work", function()
    with_clock(function(pass)
      with_core(collect(true), function()
        local p = term.progress {label = "rows", total = 10}
        for _ = 1, 10 do p:add() pass(0.19) end
        p:done()
      end)
    end)
    assert.same({}, written)
  end)

  it("writes at most one plain line in 5 seconds when stderr is no terminal", function()
    with_clock(function(pass)
      with_core(collect(false), function()
        local p <close> = term.progress {label = "rows", total = 200}
        for _ = 1, 100 do pass(0.125) p:add() end
      end)
    end)
    assert.equal(4, #written) -- after 2, 7 and 12 seconds, and at the end
    assert.equal("2rows 16/200  8 %  8/s  23s left\n", written[1])
    assert.equal("2rows 100/200  50 %  8/s  13s left\n", written[4])
  end)

  it("redraws one line on a terminal and ends it", function()
    with_clock(function(pass)
      with_core(collect(true), function()
        local p = term.progress {label = "a label that is much too long for this narrow terminal",
          total = 10}
        for _ = 1, 10 do pass(0.5) p:add() end
        p:done()
        p:done()
      end)
    end)
    assert.equal("2\n", written[#written])
    for i = 1, #written - 1 do
      local text = written[i]:match "^2\r(.*)\27%[K$"
      assert.is_true(term.width(text) <= 59)
    end
  end)
end)
