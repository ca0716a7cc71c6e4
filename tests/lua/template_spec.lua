local template = require "iza.template"

local function render(source, data)
  local text, err = template.render(source, data)
  assert.is_nil(err)
  return text
end

local function refused(source, message, data)
  local text, err = template.render(source, data or {x = "v"})
  assert.is_nil(text, source)
  assert.equal("template", err.code)
  assert.equal(message, err.message)
end

describe("iza.template", function()
  it("puts values in and escapes them", function()
    assert.equal("Hello &lt;b&gt;Ada&lt;/b&gt; &amp; &quot;co&quot; &#39;&#96;",
      render("Hello {{ name }}", {name = "<b>Ada</b> & \"co\" '`"}))
    assert.equal("<b>x</b>", render("{{{ h }}}", {h = "<b>x</b>"}))
    assert.equal("3 true 1.5", render("{{1 + 2}} {{ 1 < 2 }} {{ 1.5 }}"))
    assert.equal("", render(""))
    assert.equal("a { b } % {x}", render("a { b } % {x}"))
  end)

  it("reads expressions that hold braces", function()
    assert.equal("2", render("{{ #{{1}, {2}} }}"))
    assert.equal("}}", render('{{ "}}" }}'))
    assert.equal("2", render("{{ (function(t) return t.a[1] end){a = {2}} }}"))
  end)

  it("has if, for, local, comments", function()
    local source = "{% if n > 1 %}many{% elseif n == 1 %}one{% else %}none{% end %}"
    assert.equal("many", render(source, {n = 2}))
    assert.equal("one", render(source, {n = 1}))
    assert.equal("none", render(source, {n = 0}))
    assert.equal("1a 2b ", render("{% for i, v in ipairs(list) %}{{i}}{{v}} {% end %}",
      {list = {"a", "b"}}))
    assert.equal("123", render("{% for i = 1, 3 %}{{ i }}{% end %}"))
    assert.equal("7", render("{# not {{ this }} #}{% local a, b = 3, 4 %}{{ a + b }}"))
  end)

  it("takes away the lines of tags that stand alone", function()
    assert.equal("<ul>\n  <li>1</li>\n  <li>2</li>\n</ul>\n",
      render("<ul>\n  {% for i = 1, 2 %}\n  <li>{{ i }}</li>\n  {% end %}\n</ul>\n"))
    assert.equal("a\nb", render("a\n{# c #}\nb"))
    assert.equal("x", render("{% if true %}\r\nx{% end %}"))
  end)

  it("shows expressions the data and pure libraries, nothing else", function()
    for _, name in ipairs {"os", "io", "require", "load", "_G", "debug", "getmetatable",
      "setmetatable", "coroutine", "rawset", "iza", "print", "package", "pcall", "error"} do
      assert.equal("nil", render("{{ tostring(" .. name .. ") }}"), name)
    end
    assert.equal("ADA 3", render("{{ name:upper() }} {{ math.floor(3.5) }}", {name = "Ada"}))
    local text, err = template.render("{{ (function() string.format = nil end)() or 1 }}")
    assert.is_nil(text)
    assert.truthy(err.message:find("cannot change a library", 1, true))
    refused("{{ (function() x = 2 return x end)() }}",
      "template:1: a template cannot set 'x'; use {% local %}")
    assert.equal("mine", render("{{ math }}", {math = "mine"}))
  end)

  it("cannot be broken out of by an expression", function()
    for _, expression in ipairs {"1) end (", "x) ; f(", "x -- y", "--[[", "", "1, 2 --", "end",
      "]]"} do
      assert.is_nil((template.render("{{ " .. expression .. " }}", {x = 1})), expression)
      assert.is_nil((template.render("{% if " .. expression .. " %}{% end %}", {x = 1})),
        expression)
    end
    for _, tag in ipairs {"for x in y do end for z in w", "for x in y -- z", "for __rt in pairs{}",
      "local __rt = 1", "local x = 1 end", "for end in pairs{}", "local x", "for x",
        "while true"} do
      assert.is_nil((template.render("{% " .. tag .. " %}{% end %}")), tag)
    end
  end)

  it("names the line of what failed", function()
    refused("a\nb\n{{ missing }}", "template:3: 'missing' is nil, not a text")
    refused("a\n\n{{ x.y.z }}", "template:3: attempt to index a nil value (field 'y')")
    refused("\n{% for i = 1,\n 2 %}\n{{ nil .. i }}{% end %}",
      "template:4: attempt to concatenate a nil value")
    refused("\n{# two\nlines #}\n{{ t }}", "template:4: 't' is a table, not a text", {t = {}})
    refused("a\n{{ 1 +* 2 }}", "template:2: {{: unexpected symbol near '*'")
    refused("a\n{% if x %}\nb", "template:2: this if has no end")
    refused("a\n{% end %}", "template:2: end without anything to end")
    refused("a\n{% else %}", "template:2: else without if")
    refused("\n\n{{ x", "template:3: {{: no }} behind it")
    refused("{% wihle x %}", "template:1: unknown tag 'wihle x'")
    local t = assert(template.compile("\n{{ f() }}", "order.html"))
    assert.equal("order.html:2: broken", select(2, t:render {f = function() error("broken",
      2) end}).message)
  end)

  it("escapes by the place a value stands in", function()
    assert.equal('<a title="a&quot; onclick=&quot;x">', render('<a title="{{ v }}">',
      {v = 'a" onclick="x'}))
    assert.equal("<a title='&#39;'>", render("<a title='{{ v }}'>", {v = "'"}))
    assert.equal('<a href="/x?q=a%26b%22%3D">', render('<a href="/x?q={{ v }}">', {v = 'a&b"='}))
    assert.equal('<a href="/u/7">', render('<a href="/u/{{ v }}">', {v = 7}))
    assert.equal("<!-- &lt; --><p>&lt;", render("<!-- {{ v }} --><p>{{ v }}", {v = "<"}))
    assert.equal("a < b &lt;", render("a < b {{ v }}", {v = "<"}))
    assert.equal('<input value = "&lt;" >&lt;', render('<input value = "{{ v }}" >{{ v }}',
      {v = "<"}))
  end)

  it("refuses URLs that run scripts", function()
    local function href(v) return render('<a href="{{ v }}">', {v = v}):match '"(.*)"' end
    for _, bad in ipairs {"javascript:alert(1)", "JavaScript:x", " javascript:x", "java\nscript:x",
      "\1javascript:x",
      "data:text/html,x", "vbscript:x", "javascript&colon;x:", "blob:x", "file:///etc/passwd"} do
      assert.equal("about:invalid#refused", href(bad), bad)
    end
    for _, good in ipairs {"https://a.example/?b=c", "/path:x", "x/y:z", "?a:b", "#a:b",
      "mailto:a@b.example", "",
      "HTTP://a"} do
      assert.equal(good, href(good), good)
    end
    assert.equal('<img src=\'about:invalid#refused\'>', render("<img src='{{ v }}'>",
      {v = "data:x"}))
  end)

  it("writes JSON into scripts that no value can leave", function()
    local function js(v)
      return render("<script>f({{ v }})</script>", {v = v}):match "^<script>f%((.*)%)</script>$"
    end
    assert.equal("5", js(5))
    local coded = js "</script><!--'`${x}\"\u{2028}&"
    assert.falsy(coded:find "[<>'`$&]")
    assert.falsy(coded:find("\u{2028}", 1, true))
    assert.equal("</script><!--'`${x}\"\u{2028}&", require("iza.json").decode("[" .. coded
      .. "]")[1])
    assert.equal("<script>1</script>&lt;", render("<script>1</script>{{ v }}", {v = "<"}))
    refused("<script>{{ y }}</script>", "template:1: 'y' is nil, not a value")
  end)

  it("refuses values where no escaping is safe", function()
    refused("<a {{ x }}>", "template:1: no value may stand inside a tag")
    refused("<{{ x }}>", "template:1: no value may stand inside a tag")
    refused("<a{{ x }}>", "template:1: no value may stand inside a tag")
    refused("<a b{{ x }}='c'>", "template:1: no value may stand inside a tag")
    refused("<a title={{ x }}>", "template:1: the value of title needs quotes around it")
    refused("<a title=y{{ x }}>", "template:1: the value of title needs quotes around it")
    refused("<a onclick=\"f('{{ x }}')\">",
      "template:1: no value may stand in the attribute onclick")
    refused('<p STYLE="color:{{ x }}">', "template:1: no value may stand in the attribute style")
    refused("<style>p { color: {{ x }} }</style>", "template:1: no value may stand in <style>")
    refused('<a href="java{{ x }}">',
      "template:1: a URL must start with /, ?, # or https: before a value, or be one value")
    refused('<a href="{{ x }}{{ x }}">',
      "template:1: a URL must start with /, ?, # or https: before a value, or be one value")
    refused('<a href="javascript:{{ x }}">',
      "template:1: no value may stand in a URL that starts like this")
  end)

  it("follows the HTML through branches", function()
    assert.equal('<p class="on">x', render('<p class="{% if y %}on{% else %}off{% end %}">x',
      {y = true}))
    assert.equal("<option selected>", render("<option{% if y %} selected{% end %}>", {y = true}))
    local attribute = '<a{% if y %} on{% else %} x{% end %}click="{{ v }}">'
    refused(attribute, "template:1: the value of this attribute needs quotes around it")
    refused('<a {% for i = 1, 2 %}click="{{ x }}" on{% end %}>',
      "template:1: the HTML inside this for must end where it began")
    refused('<a{% if x %} b{% end %}="{{ x }}">',
      "template:1: the value of this attribute needs quotes around it")
    assert.equal('<a data-1="v" data-2="v">',
      render('<a{% for i = 1, 2 %} data-{{{ i }}}="{{ x }}"{% end %}>', {x = "v"}))
    refused('{% if x %}<a href="{% else %}<a title="{% end %}{{ x }}">',
      "template:1: the HTML inside this if must end where it began")
    refused('{% if x %}<a title="{% end %}',
      "template:1: the HTML inside this if must end where it began")
    refused("{% for i = 1, 2 %}<a {% end %}",
      "template:1: the HTML inside this for must end where it began")
  end)
end)

describe("iza.template sets", function()
  local sources
  local pages = template.set(function(name) return sources[name], "no such page" end)
  before_each(function()
    sources = {
      base = "<title>{% block title %}Home{% end %}</title>\n"
        .. "<body>{% block body %}{% end %}</body>",
      page = '{% layout "base" %}lost {% block body %}<p>{{ text }}</p>'
        .. '{% include "part" %}{% end %}',
      sub = '{% layout "page" %}{% block title %}Sub{% end %}',
      part = "[{{ text }}]",
    }
  end)

  it("fill the blocks of a layout, through several layers", function()
    assert.equal("<title>Home</title>\n<body></body>", pages:render "base")
    assert.equal("<title>Home</title>\n<body><p>&lt;</p>[&lt;]</body>", pages:render("page",
      {text = "<"}))
    assert.equal("<title>Sub</title>\n<body><p>a</p>[a]</body>", pages:render("sub", {text = "a"}))
  end)

  it("include with other data, and by computed names", function()
    sources.list = "{% for _, v in ipairs(items) %}{% include which, {text = v} %}{% end %}"
    assert.equal("[1][2]", pages:render("list", {items = {1, 2}, which = "part"}))
  end)

  it("take up a changed source", function()
    assert.equal("[a]", pages:render("part", {text = "a"}))
    sources.part = "({{ text }})"
    assert.equal("(a)", pages:render("part", {text = "a"}))
  end)

  it("name the template that failed", function()
    sources.part = "\n{{ nothing }}"
    assert.equal("part:2: 'nothing' is nil, not a text", select(2, pages:render("page",
      {text = "a"})).message)
    assert.equal("template 'gone': no such page", select(2, pages:render "gone").message)
    sources.part = "{{"
    assert.equal("part:1: {{: no }} behind it", select(2, pages:render("page",
      {text = "a"})).message)
  end)

  it("end endless inclusion", function()
    sources.loop = '{% include "loop" %}'
    assert.truthy(select(2, pages:render "loop").message:find("32 deep", 1, true))
    sources.around = '{% layout "around" %}'
    assert.truthy(select(2, pages:render "around").message:find("32 deep", 1, true))
  end)
end)
