local json = require "iza.json"

--- A decoded value as one comparable text that tells integers from floats and arrays from objects.
local function show(v)
  if v == json.null then return "null" end
  if math.type(v) == "integer" then return "i" .. string.format("%d", v) end
  if math.type(v) then return "f" .. string.format("%.17g", v) end
  if type(v) == "string" then return string.format("%q", v) end
  if type(v) ~= "table" then return tostring(v) end
  local out = {}
  if json.is_array(v) then
    for i = 1, #v do out[i] = show(v[i]) end
    return "[" .. table.concat(out, " ") .. "]"
  end
  for k, x in pairs(v) do out[#out + 1] = k .. "=" .. show(x) end
  table.sort(out)
  return "{" .. table.concat(out, " ") .. "}"
end

local function refused(message, value, err)
  assert.is_nil(value)
  assert.equal("invalid", err.code)
  assert.equal(message, err.message)
end

local rep = string.rep

--- Texts that must be read, with what they are.
local y_cases = {
  {"y_array_empty", "[]", "[]"},
  {"y_array_spaces", "[[]   ]", "[[]]"},
  {"y_array_null", "[null]", "[null]"},
  {"y_array_mixed", '[null, 1, "1", {}]', '[null i1 "1" {}]'},
  {"y_array_with_newline", "[1\n]", "[i1]"},
  {"y_object_empty", "{}", "{}"},
  {"y_object_empty_key", '{"":0}', "{=i0}"},
  {"y_object_duplicate_key", '{"a":1,"a":2}', "{a=i2}"},
  {"y_object_nul_in_key", '{"a\\u0000b":1}', "{a\0b=i1}"},
  {"y_object_nested", '{"a":{"b":[{"c":[]}]},"d":1}', "{a={b=[{c=[]}]} d=i1}"},
  {"y_lonely_int", "42", "i42"},
  {"y_lonely_string", '"x"', '"x"'},
  {"y_lonely_null", "null", "null"},
  {"y_lonely_true", "true", "true"},
  {"y_lonely_false", " false ", "false"},
  {"y_whitespace", " \t\r\n[ 1 ,\r\n2 ] \n", "[i1 i2]"},
  {"y_number_zero", "0", "i0"},
  {"y_number_minus_zero", "-0", "i0"},
  {"y_number_minus_zero_float", "-0.0", "f-0"},
  {"y_number_float", "1.0", "f1"},
  {"y_number_exponent", "1e2", "f100"},
  {"y_number_exponent_plus", "1E+2", "f100"},
  {"y_number_exponent_minus", "12.5e-1", "f1.25"},
  {"y_number_exponent_zeros", "1e0002", "f100"},
  {"y_number_0e1", "0e1", "f0"},
  {"y_number_2^53+1", "9007199254740993", "i9007199254740993"},
  {"y_number_maxinteger", "9223372036854775807", "i9223372036854775807"},
  {"y_number_mininteger", "-9223372036854775808", "i-9223372036854775808"},
  {"y_number_beyond_integers", "9223372036854775808", "f9.2233720368547758e+18"},
  {"y_number_far_beyond_integers", "123456789012345678901234567890", "f1.2345678901234568e+29"},
  {"y_number_tenth", "0.1", "f0.10000000000000001"},
  {"y_number_max_double", "1.7976931348623157e308", "f1.7976931348623157e+308"},
  {"y_number_denormal", "5e-324", "f4.9406564584124654e-324"},
  {"y_number_underflow", "1e-400", "f0"},
  {"y_number_long_fraction", "0." .. rep("3", 400), "f0.33333333333333331"},
  {"y_string_escapes", [["\"\\\/\b\f\n\r\t"]], string.format("%q", '"\\/\b\f\n\r\t')},
  {"y_string_unicode", [["\u00e9\u20AC"]], '"é€"'},
  {"y_string_surrogates", [["\ud83d\ude00"]], '"😀"'},
  {"y_string_u0000", [["\u0000"]], string.format("%q", "\0")},
  {"y_string_del", '"\127"', string.format("%q", "\127")},
  {"y_string_utf8", '"日本 😀 é \u{10FFFF}"', '"日本 😀 é \u{10FFFF}"'},
  {"y_string_u2028", '"\u{2028}"', '"\u{2028}"'},
  {"y_string_noncharacter", '"\u{FFFF}"', '"\u{FFFF}"'},
  {"y_string_long", '"' .. rep("x", 5000) .. '\\n"', string.format("%q", rep("x", 5000) .. "\n")},
  {"y_depth_1000", rep("[", 1000) .. rep("]", 1000), rep("[", 1000) .. rep("]", 1000)},
}

--- Texts that must be refused, with the message.
local eot = "the end of the text"
local n_cases = {
  {"n_empty", "", "1:1: expected a value, found " .. eot},
  {"n_space_only", "  \n ", "2:2: expected a value, found " .. eot},
  {"n_bom", "\u{FEFF}{}",
   "1:1: expected a value without a byte order mark before it, found the byte 0xef"},
  {"n_utf16", "[\0\"\0", "1:2: expected a value or ']', found the byte 0x00"},
  {"n_array_unclosed", "[1", "1:3: expected ',' or ']', found " .. eot},
  {"n_array_comma_first", "[,1]", "1:2: expected a value or ']', found ','"},
  {"n_array_trailing_comma", "[1,]", "1:4: expected a value, found ']'"},
  {"n_array_double_comma", "[1,,2]", "1:4: expected a value, found ','"},
  {"n_array_no_comma", "[1 true]", "1:4: expected ',' or ']', found 't'"},
  {"n_array_closed_as_object", "[1}", "1:3: expected ',' or ']', found '}'"},
  {"n_array_colon", '["":1]', "1:4: expected ',' or ']', found ':'"},
  {"n_array_extra_close", "[1]]", "1:4: expected the end of the text, found ']'"},
  {"n_object_unclosed", '{"a":1', "1:7: expected ',' or '}', found " .. eot},
  {"n_object_trailing_comma", '{"a":1,}', "1:8: expected a string key, found '}'"},
  {"n_object_bare_key", "{a:1}", "1:2: expected a string key or '}', found 'a'"},
  {"n_object_single_quotes", "{'a':1}", "1:2: expected a string key or '}', found '''"},
  {"n_object_number_key", "{1:1}", "1:2: expected a string key or '}', found '1'"},
  {"n_object_no_colon", '{"a" 1}', "1:6: expected ':', found '1'"},
  {"n_object_no_value", '{"a":}', "1:6: expected a value, found '}'"},
  {"n_object_closed_as_array", '{"a":1]', "1:7: expected ',' or '}', found ']'"},
  {"n_trailing_garbage", "{} x", "1:4: expected the end of the text, found 'x'"},
  {"n_trailing_nul", "1\0", "1:2: expected the end of the text, found the byte 0x00"},
  {"n_two_values", "1 2", "1:3: expected the end of the text, found '2'"},
  {"n_comment", "[1] // one", "1:5: expected the end of the text, found '/'"},
  {"n_comment_inside", "[/**/1]", "1:2: expected a value or ']', found '/'"},
  {"n_form_feed", "[\f1]", "1:2: expected a value or ']', found the byte 0x0c"},
  {"n_nbsp", "[\u{A0}1]", "1:2: expected a value or ']', found the byte 0xc2"},
  {"n_word_nan", "NaN", "1:1: expected a value, found 'N'"},
  {"n_word_nan_lower", "[nan]", "1:2: expected a value or ']', found 'n'"},
  {"n_word_infinity", "[Infinity]", "1:2: expected a value or ']', found 'I'"},
  {"n_word_minus_infinity", "[-Infinity]", "1:3: expected a digit, found 'I'"},
  {"n_word_true_capital", "True", "1:1: expected a value, found 'T'"},
  {"n_word_cut", "nul", "1:1: expected a value, found 'n'"},
  {"n_word_run_on", "truefalse", "1:5: expected the end of the text, found 'f'"},
  {"n_number_hex", "0x10", "1:2: expected the end of the text, found 'x'"},
  {"n_number_leading_zero", "012", "1:1: expected a number without leading zeros, found '0'"},
  {"n_number_minus_leading_zero", "[-01]",
   "1:3: expected a number without leading zeros, found '0'"},
  {"n_number_plus", "+1", "1:1: expected a value, found '+'"},
  {"n_number_point_first", ".5", "1:1: expected a value, found '.'"},
  {"n_number_point_last", "[1.]", "1:4: expected a digit after the point, found ']'"},
  {"n_number_minus_alone", "-", "1:2: expected a digit, found " .. eot},
  {"n_number_no_exponent", "[1e]", "1:4: expected a digit in the exponent, found ']'"},
  {"n_number_exponent_sign", "1e+", "1:3: expected a digit in the exponent, found '+'"},
  {"n_number_overflow", "[1e400]",
   "1:2: expected a number within the range of a double, found '1'"},
  {"n_number_overflow_minus", "-1e309",
   "1:1: expected a number within the range of a double, found '-'"},
  {"n_number_huge_integer", rep("9", 400),
   "1:1: expected a number within the range of a double, found '9'"},
  {"n_number_two_points", "1.2.3", "1:4: expected the end of the text, found '.'"},
  {"n_number_underscore", "1_000", "1:2: expected the end of the text, found '_'"},
  {"n_string_unclosed", '"abc', "1:5: expected '\"' to end the string, found " .. eot},
  {"n_string_backslash_last", '"\\',
   [[1:2: expected one of \" \\ \/ \b \f \n \r \t \u, found '\']]},
  {"n_string_bad_escape", [["\x41"]],
   [[1:2: expected one of \" \\ \/ \b \f \n \r \t \u, found '\']]},
  {"n_string_bad_hex", [["\u12g4"]], [[1:2: expected four hexadecimal digits after \u, found '\']]},
  {"n_string_short_hex", [["\u12"]], [[1:2: expected four hexadecimal digits after \u, found '\']]},
  {"n_string_newline", '"a\nb"',
   "1:3: expected an escape instead of a control character, found the byte 0x0a"},
  {"n_string_nul", '"a\0b"',
   "1:3: expected an escape instead of a control character, found the byte 0x00"},
  {"n_string_tab", '"\t"',
   "1:2: expected an escape instead of a control character, found the byte 0x09"},
  {"n_surrogate_high_alone", [["\ud800"]], "1:2: expected a pair of surrogates, found '\\'"},
  {"n_surrogate_low_alone", [["\udc00"]], "1:2: expected a pair of surrogates, found '\\'"},
  {"n_surrogate_two_highs", [["\ud800\ud800"]], "1:2: expected a pair of surrogates, found '\\'"},
  {"n_surrogate_then_text", [["\ud800x"]], "1:2: expected a pair of surrogates, found '\\'"},
  {"n_surrogate_in_key", [[{"\ud800":1}]], "1:3: expected a pair of surrogates, found '\\'"},
  {"n_utf8_continuation", '"\x80"', "1:2: expected valid UTF-8, found the byte 0x80"},
  {"n_utf8_overlong_slash", '"\xc0\xaf"', "1:2: expected valid UTF-8, found the byte 0xc0"},
  {"n_utf8_overlong_3", '"\xe0\x80\xaf"', "1:2: expected valid UTF-8, found the byte 0xe0"},
  {"n_utf8_surrogate", '"\xed\xa0\x80"', "1:2: expected valid UTF-8, found the byte 0xed"},
  {"n_utf8_beyond", '"\xf4\x90\x80\x80"', "1:2: expected valid UTF-8, found the byte 0xf4"},
  {"n_utf8_cut", '"\xe2\x82"', "1:2: expected valid UTF-8, found the byte 0xe2"},
  {"n_utf8_after_escape", '"\\n\xff"', "1:4: expected valid UTF-8, found the byte 0xff"},
  {"n_column_counts_characters", '{"日本": ?}', "1:8: expected a value, found '?'"},
  {"n_depth_1001", rep("[", 1001) .. rep("]", 1001),
   "1:1001: expected less nesting (the depth limit is reached), found '['"},
  {"n_depth_100000", rep("[", 100000),
   "1:1001: expected less nesting (the depth limit is reached), found '['"},
  {"n_depth_100000_objects", rep('{"a":', 100000),
   "1:5001: expected less nesting (the depth limit is reached), found '{'"},
}

describe("json.decode", function()
  for _, case in ipairs(y_cases) do
    it("reads " .. case[1], function()
      local value, err = json.decode(case[2])
      assert.is_nil(err)
      assert.equal(case[3], show(value))
    end)
  end

  for _, case in ipairs(n_cases) do
    it("refuses " .. case[1], function() refused(case[3], json.decode(case[2])) end)
  end

  it("names the line", function()
    refused("3:8: expected a value, found 'o'", json.decode('{\n  "a": 1,\n  "b": oops\n}'))
  end)

  it("has a depth option up to 10000, which counts arrays and objects", function()
    assert.is_table(json.decode('[{"a":1}]', {depth = 2}))
    refused("1:2: expected less nesting (the depth limit is reached), found '{'",
      json.decode('[{"a":1}]', {depth = 1}))
    assert.is_table(json.decode(rep("[", 10000) .. rep("]", 10000), {depth = 10000}))
    for _, bad in ipairs {0, 10001, 1.5, "1", -1} do
      assert.error_matches(function() json.decode("1", {depth = bad}) end,
        "depth must be an integer from 1 to 10000")
    end
  end)

  it("drops null fields when asked, never null elements", function()
    local value = json.decode('{"a":null,"b":[null,1],"c":{"d":null}}', {drop_nulls = true})
    assert.equal("{b=[null i1] c={}}", show(value))
    assert.equal("{a=null}", show(json.decode('{"a":null}')))
  end)

  it("keeps its place over long lists of unlike things", function()
    local parts = {}
    for i = 1, 3000 do
      local nested = rep("[1,", i % 50) .. "[]" .. rep("]", i % 50)
      parts[i] = i % 3 == 0 and nested or '{"i":' .. i .. ',"n":{"x":[' .. i .. "]}}"
    end
    local list = json.decode("[" .. table.concat(parts, ",") .. "]")
    assert.equal(3000, #list)
    assert.equal(2999, list[2999].n.x[1])
    assert.equal(1, list[3][1])
  end)

  it("raises for what is no string", function()
    assert.has_error(function() json.decode() end)
    assert.has_error(function() json.decode(12) end)
    assert.has_error(function() json.decode("1", 7) end)
  end)
end)

describe("json.encode", function()
  local values = {
    {nil, "null"}, {json.null, "null"}, {true, "true"}, {false, "false"},
    {0, "0"}, {-1, "-1"}, {math.maxinteger, "9223372036854775807"},
    {math.mininteger, "-9223372036854775808"},
    {9007199254740993, "9007199254740993"}, {123456789012345, "123456789012345"},
    {1.0, "1.0"}, {-0.0, "-0.0"}, {0.1, "0.1"}, {0.1 + 0.2, "0.30000000000000004"},
    {100.0, "100.0"},
    {1e15, "1000000000000000.0"}, {1e17, "1e+17"}, {1e300, "1e+300"}, {1.5e-7, "1.5e-7"},
    {0.0001, "0.0001"},
    {5e-324, "5e-324"}, {1.7976931348623157e308, "1.7976931348623157e+308"},
    {123456.789, "123456.789"},
    {"", '""'}, {"a/b", '"a/b"'}, {'"\\', [["\"\\"]]}, {"\b\f\n\r\t", [["\b\f\n\r\t"]]},
    {"\0\1\11\31", [["\u0000\u0001\u000b\u001f"]]}, {"\127", '"\127"'}, {"日本 😀", '"日本 😀"'},
    {{}, "{}"}, {json.array(), "[]"}, {{1, 2, 3}, "[1,2,3]"},
    {{{}, json.array {}, {1}}, "[{},[],[1]]"},
    {{a = 1}, '{"a":1}'}, {{a = {b = {1, {c = json.null}}}}, '{"a":{"b":[1,{"c":null}]}}'},
    {{[""] = 1}, '{"":1}'}, {json.array {1, "x"}, '[1,"x"]'},
  }
  for i = 1, #values do
    it("writes " .. values[i][2]:sub(1, 40):gsub("%c", "?"), function()
      local text, err = json.encode(values[i][1])
      assert.is_nil(err)
      assert.equal(values[i][2], text)
    end)
  end

  local loop = {name = "x"}
  loop.list = {1, loop}
  local deep = {}
  for _ = 1, 100000 do deep = {deep} end
  local errors = {
    {"a hole", {items = {1, nil, 3}}, "a sequence with holes at $.items"},
    {"a lone high index", {[1000] = 1}, "a sequence with holes at $"},
    {"index 0", {[0] = 1}, "a table that has both a sequence and other keys at $"},
    {"a mixed table", {a = {{1, 2, x = 3}}},
     "a table that has both a sequence and other keys at $.a[1]"},
    {"a float key", {[1.5] = 1}, "a table that has both a sequence and other keys at $"},
    {"a boolean key", {[true] = 1}, "a table that has both a sequence and other keys at $"},
    {"an array with a string key", {json.array {x = 1}}, "an array with a string key at $[1]"},
    {"NaN", {a = {0, 0 / 0}}, "NaN or an infinity at $.a[2]"},
    {"infinity", math.huge, "NaN or an infinity at $"},
    {"minus infinity", {-math.huge}, "NaN or an infinity at $[1]"},
    {"a function", {a = {print}}, "a function at $.a[1]"},
    {"a coroutine", {coroutine.create(print)}, "a coroutine at $[1]"},
    {"a userdata", {f = io.stdout}, "a userdata at $.f"},
    {"text that is not UTF-8", {["a b"] = {"ok", "\xff"}},
     'a string that is not UTF-8 at $["a b"][2]'},
    {"text cut in a character", "12345678\xe2\x82", "a string that is not UTF-8 at $"},
    {"a surrogate in UTF-8", "\xed\xa0\x80", "a string that is not UTF-8 at $"},
    {"a key that is not UTF-8", {["\xff"] = 1}, "a key that is not UTF-8 at $[?]"},
    {"a cycle", loop, "a table that contains itself at $.list[2]"},
    {"nesting of 100000", deep,
     "a table nested beyond the depth limit at $" .. rep("[1]", 8) .. " ... " .. rep("[1]", 8)},
  }
  for _, case in ipairs(errors) do
    for _, sort in ipairs {false, true} do
      it("refuses " .. case[1] .. (sort and ", sorted" or ""), function()
        refused("cannot encode " .. case[3], json.encode(case[2], {sort = sort}))
      end)
    end
  end

  it("refuses string keys beside others whichever comes first", function()
    for i = 1, 50 do
      local _, err = json.encode {["k" .. i] = 1, [i * 7] = 2}
      assert.equal("invalid", err.code)
      _, err = json.encode({["k" .. i] = 1, [i * 7] = 2}, {sort = true})
      assert.equal("invalid", err.code)
    end
  end)

  it("finds a sequence however Lua keeps it", function()
    for n = 1, 70 do
      local t, want = {}, {}
      for i = n, 1, -1 do
        t[i] = {i}
        want[i] = "[" .. i .. "]"
      end
      assert.equal("[" .. table.concat(want, ",") .. "]", json.encode(t))
      t[n + 2] = 1
      assert.is_nil((json.encode(t)))
    end
  end)

  it("writes a table that appears twice, twice", function()
    local shared = {1}
    assert.equal("[[1],[1]]", json.encode {shared, shared})
  end)

  it("ignores metatables", function()
    local t = setmetatable({a = 1}, {__index = {b = 2}, __pairs = error, __tojson = error})
    assert.equal('{"a":1}', json.encode(t))
    assert.equal("[1,2]", json.encode(setmetatable({1, 2}, {__len = function() return 9 end})))
  end)

  it("sorts keys by their bytes", function()
    local t = {b = 1, a = {z = 1, y = {2, 1}}, B = 2, ["é"] = 3, ab = 4, [""] = 5}
    assert.equal('{"":5,"B":2,"a":{"y":[2,1],"z":1},"ab":4,"b":1,"é":3}',
      json.encode(t, {sort = true}))
    local big, keys = {}, {}
    for i = 1, 500 do
      big["key" .. i * 7919 % 1000] = i
      keys[i] = "key" .. i * 7919 % 1000
    end
    table.sort(keys)
    local text = json.encode(big, {sort = true})
    local at = 0
    for _, k in ipairs(keys) do
      local found = text:find('"' .. k .. '":', at + 1, true)
      assert.is_truthy(found and found > at)
      at = found
    end
  end)

  it("indents", function()
    local want =
      '{\n  "a": [\n    1,\n    {\n      "b": null\n    }\n  ],\n  "c": {},\n  "d": []\n}'
    assert.equal(want,
      json.encode({a = {1, {b = json.null}}, c = {}, d = json.array()}, {indent = 2, sort = true}))
    assert.equal("[\n 1\n]", json.encode({1}, {indent = 1}))
    assert.equal("[1]", json.encode({1}, {indent = 0}))
    for _, bad in ipairs {-1, 17, 1.5, "  "} do
      assert.error_matches(function() json.encode(1, {indent = bad}) end,
        "indent must be an integer from 0 to 16")
    end
  end)

  it("bounds the text, also of shared tables that multiply", function()
    local t = {1}
    for _ = 1, 60 do t = {t, t} end
    local text, err = json.encode(t, {max = 100000})
    assert.is_nil(text)
    assert.equal("too_large", err.code)
    assert.equal("the text would be longer than 100000 bytes", err.message)
    assert.equal("[1]", json.encode({1}, {max = 3}))
    assert.is_nil((json.encode({12}, {max = 3})))
    assert.is_nil((json.encode("12", {max = 3})))
  end)

  it("goes as deep as asked", function()
    local t = {}
    for _ = 2, 10000 do t = {a = t} end
    assert.is_nil((json.encode(t)))
    local text = json.encode(t, {depth = 10000})
    assert.equal(text, json.encode(json.decode(text, {depth = 10000}), {depth = 10000}))
  end)
end)

describe("json round trips", function()
  it("keeps every float and its kind", function()
    for _ = 1, 5000 do
      local f = string.unpack("d", string.pack("I8", math.random(0)))
      if f == f and f ~= math.huge and f ~= -math.huge then
        local back = json.decode(json.encode(f))
        assert.equal("float", math.type(back))
        assert.equal(string.pack("d", f), string.pack("d", back))
      end
      local i = math.random(0)
      assert.equal(i, json.decode(json.encode(i)))
      assert.equal("integer", math.type(json.decode(json.encode(i))))
    end
  end)

  it("keeps [] and {} apart", function()
    local text = '{"tools":[{"parameters":{"properties":{},"required":[]}}]}'
    assert.equal(json.encode(json.decode(text), {sort = true}), text)
  end)

  it("keeps an emptied array an array", function()
    local list = json.decode "[1]"
    table.remove(list)
    assert.equal("[]", json.encode(list))
  end)

  it("keeps every character", function()
    local all = {}
    for c = 0, 0x10FFFF, 61 do
      if c < 0xD800 or c > 0xDFFF then all[#all + 1] = utf8.char(c) end
    end
    local s = table.concat(all)
    assert.equal(s, json.decode(json.encode(s)))
  end)

  it("survives finalisers that use it in the middle", function()
    local ran = 0
    local function trap()
      setmetatable({}, {__gc = function()
        ran = ran + 1
        assert(json.encode(json.decode '["a\\nb",{"c":[1]}]') == '["a\\nb",{"c":[1]}]')
      end})
    end
    local parts = {}
    for i = 1, 2000 do parts[i] = '{"k' .. i .. '":"x\\ty' .. i .. '"}' end
    local text = "[" .. table.concat(parts, ",") .. "]"
    collectgarbage("generational")
    for _ = 1, 50 do
      for _ = 1, 20 do trap() end
      assert.equal(text, json.encode(json.decode(text)))
    end
    collectgarbage("incremental")
    assert.is_true(ran > 0)
  end)
end)

describe("json.lines", function()
  it("walks values by line, skips blank lines, goes on after a bad one", function()
    local seen = {}
    for line, value, err in json.lines '{"a":1}\r\n\n  \n[1,2\n3\nnull' do
      seen[#seen + 1] = line .. " " .. (err and err.message or show(value))
    end
    assert.same({"1 {a=i1}", "4 4:5: expected ',' or ']', found the end of the text", "5 i3",
      "6 null"}, seen)
  end)

  it("gives nothing for an empty text", function()
    for _ in json.lines "\n \n" do error "a line" end
    for _ in json.lines "" do error "a line" end
  end)
end)

describe("json.array", function()
  it("marks and tells", function()
    local t = {}
    assert.equal(t, json.array(t))
    assert.is_true(json.is_array(t))
    assert.is_true(json.is_array(json.array(json.array())))
    assert.is_true(json.is_array(json.decode "[1]"))
    for _, v in ipairs {{}, {1}, "x", 1, json.decode "{}", setmetatable({}, {})} do
      assert.is_false(json.is_array(v))
    end
    assert.is_false(json.is_array(nil))
  end)

  it("raises for tables with a metatable of their own and for other things", function()
    assert.has_error(function() json.array(setmetatable({}, {})) end)
    assert.has_error(function() json.array "x" end)
  end)
end)
