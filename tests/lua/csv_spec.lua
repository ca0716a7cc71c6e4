local csv = require "iza.csv"

local function temp(text)
  local path = os.tmpname()
  if text then
    local f <close> = assert(io.open(path, "wb"))
    f:write(text)
  end
  return path
end

local function content(path)
  local f <close> = assert(io.open(path, "rb"))
  return f:read("a")
end

--- All rows of a text as "LINE{name=value ...}" and all errors as "CODE@LINE".
local function dump(text, opts)
  opts = opts or {}
  local out = {}
  opts.on_error = function(e) out[#out + 1] = e.code .. "@" .. e.line end
  local reader = assert(csv.parse(text, opts))
  for row, line in reader:rows() do
    local cells = {}
    for name, v in pairs(row) do
      cells[#cells + 1] = name .. "=" .. tostring(v)
    end
    table.sort(cells)
    out[#out + 1] = line .. "{" .. table.concat(cells, " ") .. "}"
  end
  return table.concat(out, " ")
end

describe("reading", function()
  it("keys rows by the header and knows their lines", function()
    assert.equal("2{a=1 b=x,y} 4{a=two\nlines b=} 6{a=3 b=4}",
      dump('\u{FEFF}a;b\r\n1;"x,y"\r\n\r\n"two\nlines";\r\n3;4'))
  end)

  it("gives arrays without a header, and takes names from the caller", function()
    assert.equal("1{1=a 2=b} 2{1=1 2=2 3=3}", dump("a,b\n1,2,3\n", {header = false}))
    assert.equal("1{x=a y=b}", dump("a,b\n", {header = {"x", "y"}}))
  end)

  it("makes doubled and empty names distinct", function()
    local reader = csv.parse("x,x,,x_2,x\n1,2,3,4,5\n")
    assert.same({"x", "x_3", "column_3", "x_2", "x_4"}, reader:header())
    assert.same({x = "1", x_3 = "2", column_3 = "3", x_2 = "4", x_4 = "5"}, reader:read())
  end)

  it("reports bad rows by line and goes on behind them", function()
    assert.equal("2{a=1 b=2} ragged@3 stray_quote@4 encoding@5 unterminated@6 7{a=3 b=4}",
      dump('a,b\n1,2\n1,2,3\nx"y,2\n\xff,2\n5,"open\n3,4\n'))
  end)

  it("read() returns nil, err for a bad row, nil at the end", function()
    local reader = csv.parse('a,b\n1\n2,3\n')
    local row, err = reader:read()
    assert.is_nil(row)
    assert.equal("csv:2: the row has 1 field, the header 2", tostring(err))
    assert.same({"1"}, err.row)
    assert.same({a = "2", b = "3"}, (reader:read()))
    assert.equal(3, reader:line())
    assert.same({n = 1}, table.pack(reader:read()))
    assert.same({n = 1}, table.pack(reader:read()))
  end)

  it("an iterator raises a bad row that nobody takes", function()
    local ok, err = pcall(function()
      for _ in csv.parse('a,b\n1,2\nx"y,2\n'):rows() do end
    end)
    assert.is_false(ok)
    assert.equal(3, err.line)
    assert.equal(2, err.column)
    assert.equal("stray_quote", err.code)
    assert.matches("^csv:3:2: a quote inside a field", tostring(err))
  end)

  it("converts encodings", function()
    assert.equal("2{name=Müller price=5€}",
      dump("name,price\nM\xfcller,5\x80\n", {encoding = "latin1"}))
    assert.equal("2{ä=1}", dump("\xff\xfe\xe4\0\n\0001\0\n\0"))
  end)

  it("holds its limits", function()
    assert.equal("too_large@2 3{a=ok}", dump("a\n" .. ("x"):rep(100) .. "\nok\n", {max_field = 50}))
    assert.equal("too_large@2 3{a=ok}",
      dump("a\n" .. ("x"):rep(3000) .. "\nok\n", {max_row = "2KB"}))
    assert.equal("too_many@2 3{a=ok}", dump("a\n1,2,3\nok\n", {max_fields = 2}))
  end)

  it("an empty text has no columns and no rows", function()
    for _, text in ipairs {"", "\n\n", "\u{FEFF}"} do
      local reader = assert(csv.parse(text, {types = {a = "number"}}))
      assert.same({}, reader:header())
      assert.is_nil((reader:read()))
      for _ in reader:columns {"a"} do error("a row?") end
    end
  end)

  it("refuses misuse", function()
    assert.has_error(function() csv.parse("a\n", {delimiter = '"'}) end)
    assert.has_error(function() csv.parse("a\n", {encoding = "ebcdic"}) end)
    assert.has_error(function() csv.parse("a\n", {types = {a = "money"}}) end)
    assert.has_error(function() csv.parse("a\n", {decimal = "x"}) end)
    assert.has_error(function() csv.parse(7) end)
    assert.has_error(function() csv.rows(7) end)
    local reader = csv.parse("a\n1\n")
    reader:close()
    reader:close()
    assert.has_error(function() reader:read() end)
  end)
end)

describe("typed columns", function()
  local types = {n = "integer", spend = "number", day = "date", ok = "boolean"}

  it("gives Lua values, nil for what is empty", function()
    local text = "n,spend,day,ok,text\n 7 ,2.50,2024-02-29,Yes,\n,,,,\n"
    local reader = csv.parse(text, {types = types})
    local row = reader:read()
    assert.equal("integer", math.type(row.n))
    assert.same({n = 7, spend = 2.5, day = "2024-02-29", ok = true, text = ""}, row)
    assert.same({text = ""}, (reader:read()))
  end)

  it("names the cell that is not of its type", function()
    local text = "n,spend,day,ok\n1,2,2023-02-29,no\n1,2,2023-02-28,no\n"
    local reader = csv.parse(text, {types = types})
    local row, err = reader:read()
    assert.is_nil(row)
    assert.equal('csv:2: column day: "2023-02-29" is not a date (YYYY-MM-DD)', err.message)
    assert.same({"invalid", 2, "day", 3, "2023-02-29"},
      {err.code, err.line, err.name, err.field, err.value})
    assert.same({"1", "2", "2023-02-29", "no"}, err.row)
    assert.is_false(reader:read().ok)
  end)

  it("reads decimal commas only when told", function()
    local opts = {types = {spend = "number"}, decimal = ","}
    assert.equal(1234.56, csv.parse("spend;x\n1.234,56;\n", opts):read().spend)
    assert.equal("invalid@2", dump("spend;x\n1.234,56;\n", {types = {spend = "number"}}))
  end)

  it("by position without a header", function()
    local _, err = csv.parse("1,x\n", {header = false, types = {[2] = "number"}}):read()
    assert.equal('csv:1: column 2: "x" is not a number', err.message)
  end)

  it("a typed column must exist", function()
    local reader, err = csv.parse("a,b\n", {types = {c = "number"}})
    assert.is_nil(reader)
    assert.equal('there is no column "c"; there are: a, b', err.message)
  end)
end)

describe("columns", function()
  it("gives values; an empty typed cell is false, so that the loop goes on", function()
    local got = {}
    local text = "a,b,c\n1,x,9\n,y,9\n3,,9\n"
    for a, b in csv.parse(text, {types = {a = "number"}}):columns {"a", "b"} do
      got[#got + 1] = tostring(a) .. b
    end
    assert.same({"1x", "falsey", "3"}, got)
  end)

  it("names a column that is not there", function()
    local ok, err = pcall(csv.columns, function() end, {"z"}, {header = {"a"}})
    assert.is_false(ok)
    assert.equal("no_column", err.code)
    assert.equal("z", err.name)
  end)
end)

describe("sources", function()
  it("a file larger than the pieces it is read in, other tasks running meanwhile", function()
    local lines = {"n,text"}
    for i = 1, 60000 do lines[#lines + 1] = i .. ',"line ' .. i .. '\nnext"' end
    local path = temp(table.concat(lines, "\n"))
    local ticks, going = 0, true
    local other = iza.spawn(function()
      while going do
        ticks = ticks + 1
        iza.sleep(0)
      end
    end)
    local sum, last = 0, nil
    for row, line in csv.rows(path, {types = {n = "integer"}}) do
      sum = sum + row.n
      if row.text ~= "line " .. row.n .. "\nnext" then error("row " .. row.n) end
      last = line
    end
    going = false
    other:join()
    assert.equal(60000 * 60001 // 2, sum)
    assert.equal(2 + 2 * 59999, last)
    assert.is_true(ticks >= 3)
    os.remove(path)
  end)

  it("a missing file: open returns the error, the iterators raise it", function()
    local reader, err = csv.open("/nonexistent/a.csv")
    assert.is_nil(reader)
    assert.equal("ENOENT", err.code)
    assert.matches("/nonexistent/a.csv", err.message, 1, true)
    local ok, raised = pcall(csv.rows, "/nonexistent/a.csv")
    assert.is_false(ok)
    assert.equal("ENOENT", raised.code)
    assert.equal("EISDIR", select(2, csv.open("/tmp")).code)
  end)

  it("a function that may wait, in any pieces", function()
    local text, at = 'a,b\n"1\n2",x\n3,y\n', 0
    local function piece()
      iza.sleep(0)
      at = at + 1
      return at <= #text and text:sub(at, at) or nil
    end
    local got = {}
    for row in csv.rows(piece) do got[#got + 1] = row.a .. row.b end
    assert.same({"1\n2x", "3y"}, got)
  end)

  it("a function's error ends the reading", function()
    local n = 0
    local function piece()
      n = n + 1
      if n == 1 then return "a\n1\n2\n" end
      return nil, iza.error("broken", "the line broke")
    end
    local got = {}
    local ok, err = pcall(function()
      for row in csv.rows(piece, {delimiter = ","}) do got[#got + 1] = row.a end
    end)
    assert.is_false(ok)
    assert.equal("broken", err.code)
    assert.same({"1", "2"}, got)
  end)

  it("something with a read method", function()
    local path = temp("a,b\n1,2\n")
    local f <close> = assert(io.open(path))
    for row in csv.rows(f) do assert.equal("2", row.b) end
    os.remove(path)
  end)

  it("on_error may wait", function()
    local bad = 0
    local rows = 0
    local function on_error()
      iza.sleep(0)
      bad = bad + 1
    end
    for _ in csv.parse("a,b\n1\n1,2\n3\n", {on_error = on_error}):rows() do rows = rows + 1 end
    assert.equal(2, bad)
    assert.equal(1, rows)
  end)
end)

describe("writing", function()
  it("quotes where needed and disarms formulas", function()
    assert.equal('a,b\n"x,y","say ""hi"""\n"1\n2",\n\'=1+1,\'@x\n-5,-5\n+1.5,\'+49 1\n',
      csv.encode({{a = "x,y", b = 'say "hi"'}, {a = "1\n2"}, {a = "=1+1", b = "@x"},
        {a = -5, b = "-5"}, {a = "+1.5", b = "+49 1"}}, {columns = {"a", "b"}}))
    local opts = {delimiter = ";", crlf = true, formulas = true}
    assert.equal("=1;x\r\n", csv.encode({{"=1", "x"}}, opts))
  end)

  it("numbers read back the same", function()
    local numbers =
      {1, -7, 0.1, 1 / 3, 2.0, 1e300, 5e-324, math.maxinteger, math.mininteger, 123456.789}
    local text = csv.encode({numbers})
    local types = {}
    for i = 1, #numbers do types[i] = "number" end
    local row = csv.parse(text, {header = false, types = types}):read()
    for i, n in ipairs(numbers) do assert.is_true(row[i] == n) end
  end)

  it("collects the names of keyed rows, sorted", function()
    assert.equal("a,b,c\n1,,true\n,2,\n", csv.encode {{a = 1, c = true}, {b = 2}})
    assert.equal("", csv.encode {})
    assert.equal('""\nx\n', csv.encode {{""}, {"x"}})
  end)

  it("refuses what cannot be a cell, and takes the whole row back", function()
    local w = csv.writer(nil, {columns = {"a", "b"}})
    w:write {a = 1, b = 2}
    local ok, err = pcall(w.write, w, {a = 1, b = {}})
    assert.is_false(ok)
    assert.matches("column b: table cannot be a cell", err)
    assert.is_false(pcall(w.write, w, {a = 0 / 0}))
    w:write {a = 3}
    assert.equal("a,b\n1,2\n3,\n", w:close())
    assert.is_false(pcall(w.write, w, {a = 1}))
    local v = csv.writer()
    v:write {1, 2}
    assert.is_false(pcall(v.write, v, {1, 2, 3}))
    v:write {1}
    assert.equal("1,2\n1,\n", v:close())
  end)

  it("replaces a file only when all is written", function()
    local path = temp("old")
    local w = assert(csv.writer(path, {columns = {"a"}}))
    w:write {a = 1}
    assert.equal("old", content(path))
    assert.is_true(w:close())
    assert.equal("a\n1\n", content(path))
    do
      local again <close> = assert(csv.writer(path))
      again:write {"x"}
    end
    assert.equal("x\n", content(path))
    os.remove(path)
  end)

  it("an error in the block leaves the old file, and no other behind", function()
    local dir = os.tmpname()
    os.remove(dir)
    assert(os.execute("mkdir " .. dir))
    local path = dir .. "/a.csv"
    local ok = pcall(function()
      local w <close> = assert(csv.writer(path))
      for _ = 1, 30000 do w:write {"0123456789", "0123456789"} end
      error("no")
    end)
    assert.is_false(ok)
    local ls <close> = assert(io.popen("ls -A " .. dir))
    assert.equal("", ls:read("a"))
    assert(os.execute("rmdir " .. dir))
  end)

  it("tells why a file cannot be written", function()
    local w, err = csv.writer("/nonexistent/a.csv")
    assert.is_nil(w)
    assert.equal("ENOENT", err.code)
    assert.equal("EISDIR", select(2, csv.writer("/tmp")).code)
    w = assert(csv.writer("/dev/full"))
    w:write {"x"}
    local done, full = w:close()
    assert.is_nil(done)
    assert.equal("ENOSPC", full.code)
  end)

  it("gives pieces to a function, which may wait and fail", function()
    local pieces = {}
    local w = csv.writer(function(piece)
      iza.sleep(0)
      pieces[#pieces + 1] = piece
    end)
    for i = 1, 40000 do w:write {i, "text"} end
    assert.is_true(w:close())
    assert.is_true(#pieces > 1)
    assert.equal(40000, select(2, table.concat(pieces):gsub("\n", "")))
    w = csv.writer(function() return nil, iza.error("gone", "the reader left") end)
    w:write {1}
    assert.equal("gone", select(2, w:close()).code)
  end)
end)

it("what is written reads back", function()
  local seed = 7
  local function random(n)
    seed = (seed * 1103515245 + 12345) & 0x7fffffff
    return (seed >> 8) % n
  end
  local alphabet = {"a", '"', ",", "\n", "\r", " ", "é", ";", "'", ""}
  local rows = {}
  for i = 1, 200 do
    rows[i] = {}
    for j = 1, 3 do
      local s = ""
      for _ = 1, random(6) do s = s .. alphabet[random(#alphabet) + 1] end
      rows[i][j] = s
    end
  end
  local text = csv.encode(rows, {formulas = true})
  local got = {}
  for row in csv.parse(text, {header = false, delimiter = ","}):rows() do got[#got + 1] = row end
  assert.same(rows, got)
end)
