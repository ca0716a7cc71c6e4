local args = require "iza.args"

local function cli(more)
  local declaration = {
    name = "iza demo", about = "Shows what args can do.", version = "1.2.3",
    {"file", help = "the input"},
    {"rest...", help = "more inputs"},
    {"-o, --out FILE", help = "where to write"},
    {"-n, --limit N", type = "integer", default = 8, min = 1, max = 64, help = "requests at once"},
    {"-v, --verbose", help = "say more"},
    {"--colour", default = true},
    {"-t, --tag TAG", many = true},
    {"--mode MODE", choices = {"fast", "careful"}},
    {"--wait TIME", type = "duration"},
    {"--size SIZE", type = "size"},
    {"--ratio X", type = "number"},
    {"--api-key KEY", env = "IZA_SPEC_KEY"},
    examples = {"iza demo a.csv --limit 4"},
  }
  for k, v in pairs(more or {}) do declaration[k] = v end
  return args.new(declaration)
end

local function parse(...) return cli():parse {...} end

local function refused(message, ...)
  local opts, err = parse(...)
  assert.is_nil(opts)
  assert.equal("usage", err.code)
  assert.equal(message, err.message)
end

describe("iza.args", function()
  it("reads every spelling of an option", function()
    for _, argv in ipairs {{"f", "--out", "x"}, {"--out=x", "f"}, {"-o", "x", "f"}, {"-ox", "f"},
      {"-o=x", "f"}, {"-vo", "x", "f"}, {"f", "-vox"}} do
      local opts = assert(cli():parse(argv))
      assert.equal("x", opts.out)
      assert.equal("f", opts.file)
    end
    assert.equal("", parse("f", "--out=").out)
    assert.equal("a=b", parse("f", "--out=a=b").out)
  end)

  it("reads flags, and --no- before them", function()
    assert.is_nil(parse("f").verbose)
    assert.is_true(parse("f", "-v").verbose)
    assert.is_false(parse("f", "--no-verbose").verbose)
    assert.is_true(parse("f").colour)
    assert.is_false(parse("f", "--no-colour").colour)
    refused("--verbose takes no value", "f", "--verbose=1")
    refused("unknown option --no-out", "f", "--no-out")
  end)

  it("reads values by type", function()
    local opts = parse("f", "-n", "5", "--wait", "1m30s", "--size", "1.5KB", "--ratio", "-2.5e1",
      "--mode", "fast", "-t", "a", "--tag=b")
    assert.same({5, 90, 1536, -25.0, "fast"},
      {opts.limit, opts.wait, opts.size, opts.ratio, opts.mode})
    assert.same({"a", "b"}, opts.tag)
    assert.equal(8, parse("f").limit)
    assert.same({}, parse("f").tag)
    assert.equal(2.5, parse("f", "--wait", "2.5").wait)
    assert.equal(100, parse("f", "--size=100").size)
  end)

  it("says what a value should have been", function()
    refused("--limit wants a whole number, not '5.5'", "f", "-n", "5.5")
    refused("--limit wants a whole number, not '0x10'", "f", "-n", "0x10")
    refused("--limit wants a whole number, not '99999999999999999999'", "f", "-n",
      "99999999999999999999")
    refused("--limit wants at least 1, not 0", "f", "-n", "0")
    refused("--limit wants at most 64, not 65", "f", "-n", "65")
    refused("--wait wants a duration such as 250ms, 5m, 1h30m, not '5x'", "f", "--wait", "5x")
    refused("--size wants a size such as 16KB, 64MB, 1.5GB, not '5kb'", "f", "--size", "5kb")
    refused("--ratio wants a number, not 'nan'", "f", "--ratio", "nan")
    refused("--mode wants fast, careful, not 'carefull'; did you mean 'careful'?", "f", "--mode",
      "carefull")
    refused("--limit wants N", "f", "--limit")
  end)

  it("suggests the option that was meant", function()
    refused("unknown option --limt; did you mean --limit?", "f", "--limt", "5")
    refused("unknown option --verb; did you mean --verbose?", "f", "--verb")
    refused("unknown option --verbsoe; did you mean --verbose?", "f", "--verbsoe")
    refused("unknown option --zzzzzz", "f", "--zzzzzz")
    refused("unknown option -z", "f", "-z")
  end)

  it("takes positionals, the rest, and what follows --", function()
    local opts = parse("f", "-v", "a", "b")
    assert.equal("f", opts.file)
    assert.same({"a", "b"}, opts.rest)
    assert.same({"-v", "--"}, parse("f", "--", "-v", "--").rest)
    assert.equal("-", parse("-").file)
    assert.same({"-5"}, parse("f", "-5").rest)
    refused("<file> is missing")
    refused("<file> is missing", "-v")
    local one = args.new {name = "x", {"only", required = false}}
    assert.same({}, one:parse {})
    assert.equal("unexpected argument 'b'", select(2, one:parse {"a", "b"}).message)
  end)

  it("demands what is required", function()
    local spec = args.new {name = "x", {"--to ADDR", required = true}, {"files...",
      required = true}}
    assert.equal("--to is missing", select(2, spec:parse {"a"}).message)
    assert.equal("<files> is missing", select(2, spec:parse {"--to", "a"}).message)
    assert.same({to = "a", files = {"b"}}, spec:parse {"--to", "a", "b"})
    assert.equal("usage: x --to ADDR <files>...", (select(2,
      spec:parse {}).usage:gsub(" %[options%]",
      "")))
  end)

  it("falls back on the environment, checks it, and prefers the command line", function()
    local home = os.getenv "HOME" and "HOME" or "PATH"
    local spec = args.new {name = "x", {"--key KEY", env = home, default = "d"},
      {"--n N", type = "integer", env = "IZA_SPEC_UNSET", default = 3}}
    assert.equal(os.getenv(home), spec:parse({}).key)
    assert.equal("mine", spec:parse({"--key", "mine"}).key)
    assert.equal(3, spec:parse({}).n)
    local bad = args.new {name = "x", {"--n N", type = "integer", env = home}}
    assert.truthy(select(2, bad:parse {}).message:find(home .. " wants a whole number", 1, true))
  end)

  it("opens files it is told to check", function()
    local spec = args.new {name = "x", {"file", type = "file"}}
    local name = os.tmpname()
    assert.equal(name, spec:parse({name}).file)
    os.remove(name)
    assert.truthy(select(2, spec:parse {name}).message:find("<?file>? cannot be read", 1))
    assert.truthy(select(2, spec:parse {"/tmp"}).message:find("cannot be read: /tmp", 1, true))
    assert.equal("-", spec:parse({"-"}).file)
  end)

  it("enters subcommands", function()
    local spec = args.new {name = "iza", {"--json"}, commands = {
      {name = "runs", about = "Works with runs.", {"-q, --queue NAME"}, commands = {
        {name = "show", {"id"}}, {name = "list", {"--limit N", type = "integer"}}}},
      {name = "help", {"topic", required = false}}}}
    assert.same({command = "runs show", id = "7", json = true, queue = "q"},
      spec:parse {"runs", "-q", "q", "show", "7", "--json"})
    assert.same({command = "help"}, spec:parse {"help"})
    assert.equal("unknown command 'rnus'; did you mean 'runs'?", select(2,
      spec:parse {"rnus"}).message)
    assert.equal("a command is missing", select(2, spec:parse {"runs"}).message)
    local err = select(2, spec:parse {"runs", "show"})
    assert.equal("<id> is missing", err.message)
    assert.equal("usage: iza runs show [options] <id>", err.usage)
    assert.truthy(select(2, spec:parse {"runs", "--help"}).message:find("show", 1, true))
    assert.truthy(select(2, spec:parse {"--help"}).message:find("Works with runs.", 1, true))
  end)

  it("prints help: usage, aligned options, notes, examples", function()
    local opts, err = parse("--help")
    assert.is_nil(opts)
    assert.equal("help", err.code)
    local text = err.message:gsub("\27%[[%d;]*m", "")
    assert.truthy(text:find("usage: iza demo [options] <file> [<rest>...]", 1, true), text)
    assert.truthy(text:find("Shows what args can do.", 1, true))
    assert.truthy(text:find("  -o, --out FILE     where to write\n", 1, true), text)
    assert.truthy(text:find("  -n, --limit N      requests at once (default 8)\n", 1, true), text)
    assert.truthy(text:find("      --[no-]colour  (default true)\n", 1, true), text)
    assert.truthy(text:find("      --mode MODE    (fast, careful)\n", 1, true), text)
    assert.truthy(text:find("(or IZA_SPEC_KEY)", 1, true))
    assert.truthy(text:find("examples:\n  iza demo a.csv --limit 4", 1, true), text)
    assert.equal(text, (cli():help():gsub("\27%[[%d;]*m", "")))
    assert.equal("1.2.3", select(2, parse("--version")).message)
    assert.equal("help", select(2, parse("-vh", "--nonsense")).code)
  end)

  it("completes options, commands and choices", function()
    assert.same({"--limit"}, cli():complete {"--lim"})
    assert.same({"careful", "fast"}, cli():complete {"f", "--mode", ""})
    assert.same({"careful"}, cli():complete {"--mode", "c"})
    assert.same({}, cli():complete {"--out", ""})
    local spec = args.new {name = "iza", commands = {{name = "runs", {"--queue NAME"}},
      {name = "run"}}}
    assert.same({"run", "runs"}, spec:complete {"r"})
    assert.same({"--queue"}, spec:complete {"runs", "--q"})
  end)

  it("refuses wrong declarations at once", function()
    for _, d in ipairs {{"--a X", type = "float"}, {"--a X", typo = 1}, {"--a X", type = "enum"},
      {"two words"}, {"--a X", type = "string", choices = {"x"}}} do
      assert.has_error(function() args.new {name = "x", d} end)
    end
    assert.has_error(function() args.new {name = "x", {"--a"}, {"-b, --a"}} end)
    for _, form in ipairs {"--out <file>", "--out [FILE]", "--out file", "--out File",
      "--out=FILE", "--out FILE NAME", "-o --out FILE", "--out, FILE", "-out", "-o, FILE --out",
      "--", "-", "--out "} do
      local ok, err = pcall(args.new, {name = "x", {form}})
      assert.is_false(ok, form)
      assert.truthy(tostring(err):find("args_spec.lua:%d+: " .. form:gsub("%p", "%%%0")), err)
    end
    for _, form in ipairs {"-o, --out FILE", "-o,--out FILE", "-o FILE", "--out KEY:VALUE"} do
      assert.equal("x", select(2, next((args.new {name = "x", {form}}:parse {"-ox"})
        or args.new {name = "x", {form}}:parse {"--out=x"})))
    end
  end)
end)
