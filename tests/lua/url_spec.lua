local url = require "iza.url"

-- RFC 3986 §5.4, base http://a/b/c/d;p?q
local joins = {
  {"g:h", "g:h"}, {"g", "http://a/b/c/g"}, {"./g", "http://a/b/c/g"}, {"g/", "http://a/b/c/g/"},
  {"/g", "http://a/g"}, {"//g", "http://g"}, {"?y", "http://a/b/c/d;p?y"}, {"g?y",
    "http://a/b/c/g?y"},
  {"#s", "http://a/b/c/d;p?q#s"}, {"g#s", "http://a/b/c/g#s"}, {"g?y#s", "http://a/b/c/g?y#s"},
  {";x", "http://a/b/c/;x"}, {"g;x", "http://a/b/c/g;x"}, {"g;x?y#s", "http://a/b/c/g;x?y#s"},
  {"", "http://a/b/c/d;p?q"}, {".", "http://a/b/c/"}, {"./", "http://a/b/c/"}, {"..",
    "http://a/b/"},
  {"../", "http://a/b/"}, {"../g", "http://a/b/g"}, {"../..", "http://a/"}, {"../../", "http://a/"},
  {"../../g", "http://a/g"}, {"../../../g", "http://a/g"}, {"../../../../g", "http://a/g"},
  {"/./g", "http://a/g"}, {"/../g", "http://a/g"}, {"g.", "http://a/b/c/g."}, {".g",
    "http://a/b/c/.g"},
  {"g..", "http://a/b/c/g.."}, {"..g", "http://a/b/c/..g"}, {"./../g", "http://a/b/g"},
  {"./g/.", "http://a/b/c/g/"}, {"g/./h", "http://a/b/c/g/h"}, {"g/../h", "http://a/b/c/h"},
  {"g;x=1/./y", "http://a/b/c/g;x=1/y"}, {"g;x=1/../y", "http://a/b/c/y"},
  {"g?y/./x", "http://a/b/c/g?y/./x"}, {"g?y/../x", "http://a/b/c/g?y/../x"},
  {"g#s/./x", "http://a/b/c/g#s/./x"}, {"g#s/../x", "http://a/b/c/g#s/../x"}, {"http:g", "http:g"},
}

describe("iza.url", function()
  it("joins as RFC 3986 §5.4 lists", function()
    for _, case in ipairs(joins) do
      assert.equal(case[2], url.join("http://a/b/c/d;p?q", case[1]), case[1])
    end
    assert.equal("http://a/g", url.join("http://a", "g"))
    assert.equal("http://u:p@a:81/g", url.join("http://u:p@a:81/x", "g"))
    assert.is_nil((url.join("/relative", "g")))
  end)

  it("never lets a joined path read as a host", function()
    assert.equal("file:/.//b", url.join("file:/a", "/.//b"))
  end)

  it("parses every part", function()
    assert.same({scheme = "https", user = "u", password = "p:q", host = "a.example", port = 8443,
      path = "/x/y",
      query = "k=v&l", fragment = "f?/"}, url.parse("HTTPS://u:p:q@a.example:8443/x/y?k=v&l#f?/"))
    assert.same({path = ""}, url.parse(""))
    assert.same({path = "a/b"}, url.parse("a/b"))
    assert.same({path = "", query = "", fragment = ""}, url.parse("?#"))
    assert.same({scheme = "mailto", path = "a@b.example"}, url.parse("mailto:a@b.example"))
    assert.same({scheme = "http", host = "[::1]", port = 80, path = "/"},
      url.parse("http://[::1]:80/"))
    assert.same({scheme = "file", host = "", path = "/etc"}, url.parse("file:///etc"))
    assert.same({scheme = "http", host = "a", path = "", query = "x"}, url.parse("http://a?x"))
  end)

  it("refuses what would be read differently by others", function()
    for _, bad in ipairs {
      "http://a/\n", "http://a/ b", "http://a\0b/", "http://a:99999/", "http://a:8o/",
        "http://a@b@c/", "http://a/%",
      "http://a/%g0", "http://[::1/", "http://[::1]x/", "1a:b", "http://a\\b/", "http://a/<x>",
        "http://[::1]]/",
      "http://a:-1/", "\127",
    } do
      local u, err = url.parse(bad)
      assert.is_nil(u, bad)
      assert.equal("invalid", err.code, bad)
    end
    local _, err = url.parse(("a"):rep(70000))
    assert.equal("too_large", err.code)
  end)

  it("names the character and its place", function()
    assert.equal("byte 0x0A at position 10 must be percent-encoded in a URL", tostring(select(2,
      url.parse("http://a/\n"))))
  end)

  it("builds, and refuses parts that would smuggle others in", function()
    assert.equal("https://a.example:81/x?q=a+b&t=1&t=2#f", url.build {
      scheme = "https", host = "a.example", port = 81, path = "x", query = {q = "a b", t = {1, 2}},
        fragment = "f"})
    assert.equal("http://u:p@h", url.build {scheme = "http", user = "u", password = "p",
      host = "h"})
    assert.is_nil((url.build {scheme = "http", host = "a/b", path = "/x"}))
    assert.is_nil((url.build {scheme = "http", host = "good.example@evil.example", path = "/x"}))
    assert.is_nil((url.build {scheme = "http", host = "a", path = "/x?y"}))
    assert.is_nil((url.build {scheme = "http", host = "a", path = "/x y"}))
    assert.equal("./a:b", url.build {path = "a:b"})
  end)

  it("survives parse and build unchanged", function()
    for _, text in ipairs {"http://a", "http://a?", "http://a/#", "//h/p", "/p?q", "a:b:c",
      "http://u@h/", "x://h:1/%20"} do
      assert.equal(text, url.build(url.parse(text)))
    end
  end)

  it("encodes and decodes components", function()
    assert.equal("a%20b%26c%2F%C3%A9~-._", url.encode("a b&c/é~-._"))
    assert.equal("a b+\0", url.decode("a%20b+%00"))
    assert.is_nil((url.decode("%")))
    assert.is_nil((url.decode("%2")))
    assert.is_nil((url.decode("%zz")))
    assert.equal("%41", url.decode("%2541"))
    local all = {}
    for i = 0, 255 do all[#all + 1] = string.char(i) end
    all = table.concat(all)
    assert.equal(all, url.decode(url.encode(all)))
  end)

  it("normalises", function()
    assert.equal("http://a.example/x", url.normalise("HTTP://A.Example:80/%7euser/../x"))
    assert.equal("http://a.example/~%2F%C3%A9", url.normalise("http://a.example/%7e%2fé"))
    assert.equal("https://a/", url.normalise("https://a:443"))
    assert.equal("https://a:80/", url.normalise("https://a:80"))
    assert.equal("http://%C3%A9.example/", url.normalise("http://%c3%a9.Example/"))
    assert.equal("../a", url.normalise("../a"))
  end)

  it("reads and writes queries", function()
    local values, pairs_ = url.parse_query("?a=1&b=x+y&a=2&c&=e&d=%26%3D")
    assert.same({a = "2", b = "x y", c = "", [""] = "e", d = "&="}, values)
    assert.same({{"a", "1"}, {"b", "x y"}, {"a", "2"}, {"c", ""}, {"", "e"}, {"d", "&="}}, pairs_)
    assert.equal("a=1&b=x+y&a=2&c=&=e&d=%26%3D", url.build_query(pairs_))
    assert.equal("n=1&ok=true&tag=x&tag=y+z", url.build_query {tag = {"x", "y z"}, n = 1,
      ok = true})
    assert.is_nil((url.parse_query("a=%")))
    assert.same({}, (url.parse_query("")))
  end)
end)
