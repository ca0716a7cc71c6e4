-- Every place of an HTML page where a value may stand, and what becomes of hostile values there. A
-- second opinion comes from other parsers: Python's for HTML, iza's own loader of JSON for strings.
local template = require "iza.template"
local json = require "iza.json"

local REFUSED = false

-- {template, value, output}; REFUSED: does not compile.
local places = {
  -- text
  {"<p>{{x}}</p>", "<script>", "<p>&lt;script&gt;</p>"},
  {"<title>{{x}}</title>", "</title><script>", "<title>&lt;/title&gt;&lt;script&gt;</title>"},
  {"<textarea>{{x}}</textarea>", "</textarea>", "<textarea>&lt;/textarea&gt;</textarea>"},
  {"<title><a href=\"</title>{{x}}", "<b>", "<title><a href=\"</title>&lt;b&gt;"},
  {"<svg><title>{{x}}</title></svg>", "<", "<svg><title>&lt;</title></svg>"},
  {"a <{{x}}", "b", REFUSED}, {"a </{{x}}", "b", REFUSED}, {"<!{{x}}>", "--", REFUSED},
  {"<!doctype {{x}}>", "html", REFUSED}, {"<?xml {{x}}?>", "a", REFUSED},
  {"<![CDATA[ {{x}} ]]>", "a", REFUSED}, {"</ {{x}}>", "a", REFUSED},
  {"<plaintext>{{x}}", "a", REFUSED},
  {"<xmp>{{x}}</xmp>", "a", REFUSED}, {"<iframe>{{x}}</iframe>", "a", REFUSED},
  {"<noembed>{{x}}</noembed>", "a", REFUSED}, {"<noframes>{{x}}</noframes>", "a", REFUSED},
  -- comments
  {"<!-- {{x}}>b-->", "--", "<!-- &#45;&#45;>b-->"}, {"<!--{{x}}>b-->", "", "<!-- >b-->"},
  {"<!--{{x}}>-->", "--!", "<!--&#45;&#45;!>-->"},
  {"<!--><p title='{{x}}'>", "'", "<!--><p title='&#39;'>"},
  {"<!-- a --!><p title='{{x}}'>", "'", "<!-- a --!><p title='&#39;'>"},
  -- attributes
  {"<p title=\"{{x}}\">", "\" onclick=\"a", "<p title=\"&quot; onclick=&quot;a\">"},
  {"<p title='{{x}}'>", "' onclick='a", "<p title='&#39; onclick=&#39;a'>"},
  {"<p title={{x}}>", "a", REFUSED}, {"<p title=a{{x}}>", "a", REFUSED},
  {"<p {{x}}='a'>", "a", REFUSED}, {"<p title/=\"{{x}}\">", "a", REFUSED},
  {"<p title\v=\"{{x}}\">", "\"", "<p title\v=\"&quot;\">"},
  {"<p onclick=\"{{x}}\">", "a", REFUSED}, {"<p ONLOAD='f({{x}})'>", "a", REFUSED},
  {"<p @click='{{x}}'>", "a", REFUSED}, {"<p hx-on:click='{{x}}'>", "a", REFUSED},
  {"<p style='color: {{x}}'>", "a", REFUSED}, {"<iframe srcdoc='{{x}}'>", "a", REFUSED},
  {"<img srcset='{{x}}'>", "a", REFUSED}, {"<meta http-equiv='{{x}}'>", "a", REFUSED},
  {"<svg><animate attributeName=href to='{{x}}'/></svg>", "javascript:a", REFUSED},
  {"<svg><set attributeName='href' to='{{x}}'/></svg>", "javascript:a", REFUSED},
  -- styles
  {"<style>{{x}}</style>", "a", REFUSED}, {"<style>p { color: '{{x}}' }</style>", "a", REFUSED},
  {"<svg><style>{{x}}</style></svg>", "a", REFUSED},
  {"<style></styles>{{x}}</style>", "a", REFUSED},
  -- URLs with a part known before
  {"<a href='/s?q={{x}}'>", "a&b='<#", "<a href='/s?q=a%26b%3D%27%3C%23'>"},
  {"<a href='/u/{{x}}'>", "a'b", "<a href='/u/a&#39;b'>"},
  {"<a href='/{{x}}'>", "/evil.example", "<a href='/evil.example'>"},
  {"<a href='/{{x}}'>", "\t\\evil.example", "<a href='/evil.example'>"},
  {"<a href='https://a.example/{{x}}'>", "b", "<a href='https://a.example/b'>"},
  {"<a href='mailto:{{x}}'>", "a@b.example", "<a href='mailto:a@b.example'>"},
  {"<a href='javascript:{{x}}'>", "a", REFUSED}, {"<a href='javascript:/{{x}}'>", "a", REFUSED},
  {"<a href='javascript:f?{{x}}'>", "a", REFUSED}, {"<a href='java{{x}}'>", "a", REFUSED},
  {"<a href='javascript&colon;{{x}}'>", "a", REFUSED},
  {"<a href='javascript&#58;{{x}}'>", "a", REFUSED},
  {"<a href=' data:text/html,{{x}}'>", "a", REFUSED},
  {"<a href='{{x}}:alert(1)'>", "javascript", REFUSED},
  {"<a href='{{x}}&colon;alert(1)'>", "javascript", REFUSED},
  {"<a href='{{x}}&#58;alert(1)'>", "javascript", REFUSED},
  {"<a href='{{x}}#a:b'>", "/p", "<a href='/p#a:b'>"},
  {"<a href='{% if x %}javascript{% else %}https{% end %}:{{x}}'>", "a", REFUSED},
  {"<script src='{{x}}'></script>", "https://evil.example", REFUSED},
  {"<base href='{{x}}'>", "https://evil.example", REFUSED},
  {"<script src='/js/{{x}}.js'></script>", "a", "<script src='/js/a.js'></script>"},
  -- what a meta says
  {"<meta name='a' content='{{x}}'>", "javascript:'", "<meta name='a' content='javascript:&#39;'>"},
  {"<meta http-equiv=refresh content='0;url={{x}}'>", "javascript:a",
    "<meta http-equiv=refresh content='0;url=about:invalid#refused'>"},
  {"<meta http-equiv=refresh content='0;url={{x}}'>", "'javascript:a",
    "<meta http-equiv=refresh content='0;url=about:invalid#refused'>"},
  {"<meta http-equiv='Refresh' content='5; URL=/o/{{x}}'>", "7",
    "<meta http-equiv='Refresh' content='5; URL=/o/7'>"},
  {"<meta http-equiv='refresh' content='{{x}}'>", "0;url=javascript:a", REFUSED},
  {"<meta http-equiv='refresh' content='0;{{x}}'>", "url=javascript:a", REFUSED},
  {"<meta content='{{x}}' http-equiv='refresh'>", "0;url=javascript:a", REFUSED},
  {"<meta http-equiv='content-security-policy' content='{{x}}'>", "a", REFUSED},
  {"<meta{% if x %} http-equiv='refresh'{% end %} content='{{x}}'>", "a", REFUSED},
  -- types of scripts
  {"<script type='text/template'><p title='{{x}}'>{{x}}</p></script>", "'</script>{{a}}<%b",
    "<script type='text/template'><p title='&#39;&lt;/script&gt;&#123;&#123;a&#125;&#125;"
      .. "&lt;&#37;b'>&#39;&lt;/script&gt;&#123;&#123;a&#125;&#125;&lt;&#37;b</p></script>"},
  {"<script type=text/x-handlebars><a onclick='{{x}}'></script>", "a", REFUSED},
  {"<script type='text/html'><a href='{{x}}'></script>", "a", REFUSED},
  {"<script type='application/json'>{\"a\": {{x}}}</script>", "</script>",
    "<script type='application/json'>{\"a\": \"\\u003c/script\\u003e\"}</script>"},
  {"<script type='application/ld+json'>{\"a\": \"b {{x}}\"}</script>", "\"</script>\n",
    "<script type='application/ld+json'>{\"a\": \"b \\u0022\\u003c\\u002fscript\\u003e\\u000a\"}"
      .. "</script>"},
  {"<script type='text/babel'>{{x}}</script>", "a", REFUSED},
  {"<script type='importmap'>{{x}}</script>", "a", REFUSED},
  {"<script type='{{x}}'></script>", "a", REFUSED},
  {"<script type type='text/template'>var a = {{x}}</script>", "<",
    "<script type type='text/template'>var a = \"\\u003c\"</script>"},
  {"<script{% if x %} type='text/template'{% end %}>{{x}}</script>", "a", REFUSED},
  {"<script type='text/{% if x %}template{% else %}javascript{% end %}'>{{x}}</script>", "a",
    REFUSED},
  {"<script type=module>f({{x}})</script>", "\"", "<script type=module>f(\"\\\"\")</script>"},
  {"<svg><script>f({{x}})</script></svg>", "a", REFUSED},
  {"<script>f('</scripts>', {{x}})</script>{{x}}", "<",
    "<script>f('</scripts>', \"\\u003c\")</script>&lt;"},
  {"<script><!-- <script> </script>{{x}}", "a", REFUSED},
  {"<script><!--\n</script>{{x}}", "<", "<script><!--\n</script>&lt;"},
  {"<script>a <{{x}}</script>", "a", REFUSED},
}

-- Places in a script: {code, value, output}.
local scripts = {
  {"a = {{x}}", "\"</script>", "a = \"\\\"\\u003c/script\\u003e\""},
  {"a = -{{x}}", -1, "a = - -1"}, {"a{{x}}", "b", REFUSED},
  {"a = \"{{x}}\"", "\"+alert(1)+\"", "a = \"\\u0022+alert(1)+\\u0022\""},
  {"a = '{{x}}'", "'+alert(1)+'", "a = '\\u0027+alert(1)+\\u0027'"},
  {"a = \"b\\\"{{x}}\"", "\\\"", "a = \"b\\\"\\u005c\\u0022\""},
  {"a = \"\\{{x}}\"", "", REFUSED}, {"a = 'b\n{{x}}'", "c", REFUSED},
  {"a = 'b\\\r\n{{x}}'", "'", "a = 'b\\\r\n\\u0027'"},
  {"a = `{{x}}`", "`${b}\n", "a = `\\u0060\\u0024\\u007bb\\u007d\\u000a`"},
  {"a = `$${{x}}`", "{b}", "a = `$$\\u007bb\\u007d`"},
  {"a = `${{x}}{'{{x}}`", "a", REFUSED},
  {"a = `b ${f({c: {{x}}})} {{x}}`", "`", "a = `b ${f({c: \"\\u0060\"})} \\u0060`"},
  {"a = `${b}`; c = '{{x}}'", "'", "a = `${b}`; c = '\\u0027'"},
  {"// {{x}}", "a", REFUSED}, {"/* {{x}} */", "a", REFUSED},
  {"// it's\na = {{x}}", "'", "// it's\na = \"\\u0027\""},
  {"// it's\u{2028}a = {{x}}", 1, "// it's\u{2028}a = 1"},
  {"/* \" */ a = '{{x}}'", "'", "/* \" */ a = '\\u0027'"},
  {"a = /{{x}}/", "a", REFUSED}, {"a = /[/{{x}}]/", "a", REFUSED},
  {"a = /[/'\"]/.test({{x}})", 1, "a = /[/'\"]/.test(1)"},
  {"a = b / 2 / '{{x}}'", "'", "a = b / 2 / '\\u0027'"},
  {"a = (b) / 2 / '{{x}}'", "'", "a = (b) / 2 / '\\u0027'"},
  {"if (a) /'/.test({{x}})", 1, "if (a) /'/.test(1)"},
  {"a.if (b) / '{{x}}'", "'", "a.if (b) / '\\u0027'"},
  {"return /'/.test({{x}})", 1, "return /'/.test(1)"},
  {"a.return / '{{x}}'", "'", "a.return / '\\u0027'"},
  {"a = b / {{x}}", 2, "a = b / 2"}, {"a = {{x}} / {{x}}", 2, "a = 2 / 2"},
  {"{} /a/; b = {{x}}", 1, REFUSED}, {"a++ / b / {{x}}", 1, REFUSED},
  {"a = b) {{x}}", 1, REFUSED}, {"<!-- a\nb = {{x}}", 1, REFUSED},
  {"a\n--> ' \nb = {{x}}", 1, REFUSED}, {"\\u0061 = {{x}}", 1, REFUSED},
  {"{% if x %}a{% else %}return{% end %} /'/; b = {{x}}", 1, REFUSED},
  {"{% if x %}'{% else %}\"{% end %}{{x}}", 1, REFUSED},
  {"{% if x %}a = 1;{% end %} b = {{x}}", 1, "a = 1; b = 1"},
  {"a = [{% for i = 1, 2 %}{% if i > 1 %},{% end %}{{x}}{% end %}]", 1, "a = [1,1]"},
  {"{% for i = 1, 2 %}/'/; b = {{x}}; return {% end %}", 1, REFUSED},
  {"{% for i = 1, 2 %}`{% end %}{{x}}", 1, REFUSED},
  {"{{{x}}} / '/'; b = '{{x}}'", "a", REFUSED},
  {"a = '</scr{{x}}ipt>'", "", REFUSED},
}

-- Places at which loops and branches change what follows.
local flows = {
  {"<a{% for i = 1, 0 %} b='c'{% end %}href='{{x}}'>", "a", REFUSED},
  {"<a b{% for i = 1, 2 %}='{{x}}'{% end %}>", "a", REFUSED},
  {"<a{% for i = 1, 2 %} b{% end %} title='{{x}}'>", "'", "<a b b title='&#39;'>"},
  {"<script>", "a", REFUSED}, {"<p title='", "a", REFUSED}, {"<!-- ", "a", REFUSED},
  {"{% if x %}<svg>{% end %}<script>{{x}}</script>", "a", REFUSED},
  {"<!-- {% if x %}--{% end %}>{{x}}-->", "a", REFUSED},
}

local function check(list, before, behind)
  for _, row in ipairs(list) do
    local source = before .. row[1] .. behind
    local text, err = template.render(source, {x = row[2]})
    if row[3] == REFUSED then
      assert(text == nil, source .. "\ngave\n" .. tostring(text))
      assert.equal("template", err.code)
      assert.truthy(err.message:find "^template:%d+: ")
    else
      assert.is_nil(err, source)
      assert.equal(before .. row[3] .. behind, text)
    end
  end
end

describe("a value in HTML", function()
  it("is escaped or refused at each place", function() check(places, "", "") end)

  it("is escaped or refused at each place of a script", function()
    check(scripts, "<script>", "</script>")
  end)

  it("stands where every way through the template leads to the same place", function()
    check(flows, "", "")
  end)

  it("is refused with the line it stands on", function()
    local _, err = template.compile "<script>\nvar a = 1;\n// {{ x }}\n</script>"
    assert.equal("template:3: no value may stand in a comment of a script", err.message)
    _, err = template.compile "<p>\n\n<meta content='{{x}}' http-equiv='refresh'>"
    assert.truthy(err.message:find("^template:3: http%-equiv must stand"), err.message)
  end)
end)

-- ---- a real parser ----

-- Prints the tokens of each page: tags with the names of their attributes, and where text and
-- comments stand.
local PARSER = [==[
import sys, json
from html.parser import HTMLParser
class P(HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.out = []
    def handle_starttag(self, tag, attrs): self.out.append(["tag", tag, [a[0] for a in attrs]])
    def handle_endtag(self, tag): self.out.append(["end", tag])
    def handle_comment(self, data): self.out.append(["comment"])
    def handle_data(self, data):
        if self.out and self.out[-1] == ["data"]: return
        self.out.append(["data"])
    def handle_decl(self, decl): self.out.append(["decl"])
    def handle_pi(self, data): self.out.append(["pi"])
for line in sys.stdin:
    p = P()
    p.feed(json.loads(line)); p.close()
    print(json.dumps(p.out))
]==]

local hostile = {"\"", "'", "`", "<", ">", "&", "</script>", "</title>", "</textarea>", "-->",
  "--!>", "--", "<!--", "<script>", "\" onclick=\"", "' onclick='", " onclick=", "/>", "]]>", "?>",
  "\n", "\0", "\\", "\\\"", "${alert(1)}", "javascript:alert(1)", "&quot;", "&#34;", "{{", "<%",
  "//evil.example", "*/", "\u{2028}", "=", " ", "\t", "/"}

describe("a hostile value", function()
  it("changes no tag, attribute or end in the eyes of Python's parser", function()
    local sources, pages = {}, {}
    for _, list in ipairs {places, scripts, flows} do
      for _, row in ipairs(list) do
        local source = list == scripts and "<script>" .. row[1] .. "</script>" or row[1]
        -- Python knows neither "--!>" nor that "/" ends a name, nor text behind <title>
        local odd = source:find("--!>", 1, true) or source:find("/=", 1, true)
          or source:find "</?title" or source:find "</?textarea" or source:find "<!%-%->"
          or source:find "</?xmp" or source:find("\v", 1, true)
        if row[3] ~= REFUSED and not odd then
          for _, value in ipairs {"x", table.unpack(hostile)} do
            pages[#pages + 1] = json.encode(assert(template.render(source, {x = value})))
            sources[#sources + 1] = source
          end
        end
      end
    end
    local result = assert(iza.exec {"python3", "-c", PARSER, check = true, max_output = "100MB",
      stdin = table.concat(pages, "\n") .. "\n"})
    local n, expected = 0, nil
    for line in result.stdout:gmatch "[^\n]+" do
      n = n + 1
      if sources[n] ~= sources[n - 1] then expected = line end
      assert(line == expected, sources[n] .. "\ngave " .. pages[n] .. "\nread as " .. line)
    end
    assert.equal(#pages, n)
    assert.is_true(n > 1000)
  end)

  it("comes back whole from JSON and from the quotes of a string", function()
    for _, value in ipairs(hostile) do
      for _, place in ipairs {"{{x}}", '"{{x}}"'} do
        local text = assert(template.render("<script type='application/json'>{\"a\": " .. place
          .. "}</script>", {x = value}))
        assert.equal(value, assert(json.decode(text:match "^<script[^>]*>(.*)</script>$")).a)
      end
    end
  end)
end)
