local project = require "iza.project"
local doc = require "iza.doc"

describe("iza.project checks settings:", function()
  local path = os.tmpname()
  teardown(function() os.remove(path) end)

  -- The message about iza.lua with this text.
  local function complaint(text)
    local f <close> = assert(io.open(path, "w"))
    f:write(text)
    f:flush()
    local ok, err = project.check(path, assert(load(text))())
    return ok or tostring(err):gsub(path:gsub("%p", "%%%0"), "iza.lua")
  end

  it("good ones pass", function()
    assert.is_true(complaint
      "return {name = 'a', port = 80, host = '::1', data = 'd', develop = false}")
  end)

  it("an unknown one is named with its line and what was meant", function()
    local message = complaint "return {\n  name = 'prot = 1',\n  prot = 80,\n}"
    assert.are.equal("iza.lua:3: there is no setting 'prot'; did you mean 'port'? (settings: "
      .. "data, develop, host, name, port)", message)
  end)

  it("a wrong type is named with its line", function()
    assert.are.equal("iza.lua:2: the setting 'port' wants an integer, not '80'",
      (complaint "return {\n  port = '80',\n}"))
    assert.are.equal("iza.lua:1: the setting 'port' wants an integer, not number",
      (complaint "return {port = 80.5}"))
  end)

  it("a port has its range", function()
    assert.truthy(complaint("return {port = 70000}"):find("0 to 65535, not 70000", 1, true))
  end)

  it("a key that is no name is told", function()
    assert.truthy(complaint("return {'x'}"):find("there is no setting '1'", 1, true))
  end)
end)

describe("iza.doc", function()
  local source = [[
--- A module.
--- Its second line.
local m = {}

-- not a doc comment
function m.hidden() end

--- Adds. Slowly.
--- Example: `m.add(1, 2)` --> 3
---@param a integer the first
---@param f fun(x: any): any what to do
---@return integer sum
function m.add(a, f) end

--- A method.
-- With an old-style second line.
function Thing:send(value) end

return m
]]

  it("reads the module's comment and those of its functions", function()
    local top, items = doc.parse(source)
    assert.are.same({"A module.", "Its second line."}, top)
    assert.are.equal(2, #items)
    assert.are.same({"add", "add(a, f)"}, {items[1].name, items[1].signature})
    assert.are.equal(":send(value)", items[2].signature)
    assert.are.equal("With an old-style second line.", items[2].lines[2])
  end)

  it("shows modules, functions, methods and iza's own", function()
    assert.truthy(doc.find("json"):find("encode(value, opts)", 1, true))
    assert.truthy(doc.find("iza.json.encode"):find("^iza%.json%.encode%(value, opts%)"))
    assert.truthy(doc.find("sleep"):find("^iza%.sleep%(duration%)"))
    assert.truthy(doc.find("channel"):find("^iza%.channel%("))
    assert.truthy(doc.find("http.server.serve"):find("^iza%.http%.server%.serve%(opts%)"))
  end)

  it("shows functions of a module's parts, methods of classes, and iza itself", function()
    for _, name in ipairs {"get", "post", "request", "stream", "serve"} do
      assert.truthy(doc.find("http." .. name):find("^iza%.http%." .. name .. "%("), name)
    end
    assert.truthy(doc.find("http"):find("\n  get(address, opts)", 1, true))
    assert.is_nil((doc.find "http.prepare"))
    assert.truthy(doc.find("task:join"):find("^task:join%(duration%)"))
    assert.truthy(doc.find("channel:send"):find("^channel:send%(value, duration%)"))
    assert.truthy(doc.find("response:json"):find "^response:json%(")
    local page = doc.find "iza"
    for _, line in ipairs {"  iza.sleep      Suspends the running task; all others go on.",
      "  iza.all        Runs every function", "  iza.csv       CSV (RFC 4180)"} do
      assert.truthy(page:find("\n" .. line, 1, true), line)
    end
    assert.is_nil(page:find("join(", 1, true))
    assert.truthy(doc.list("csv"):find("  open(path, opts)", 1, true))
    assert.is_nil(doc.list "tasks")
  end)

  it("lists the fields of option tables and the methods of what is returned", function()
    for _, name in ipairs {"http.serve", "ServerOptions", "iza.ServerOptions"} do
      assert.truthy(doc.find(name):find('\n  port?: integer default: any free one', 1, true), name)
    end
    assert.truthy(doc.find("http.get"):find("\n  timeout?: number|string a limit for", 1, true))
    assert.truthy(doc.find("http.Retry"):find("\n  max?: integer", 1, true))
    assert.truthy(doc.find("csv.open"):find("read() returns nil, err and an iterator", 1, true))
    assert.truthy(doc.find("exec"):find("\n  cwd?: string", 1, true))
    for _, name in ipairs {"channel", "Channel"} do
      assert.truthy(doc.find(name):find("\n  :recv(duration)\n", 1, true), name)
    end
    assert.truthy(doc.find("spawn"):find("\n  :join(duration)\n", 1, true))
  end)

  it("knows what was meant", function()
    local text, guess = doc.find "json.encod"
    assert.is_nil(text)
    assert.are.equal("json.encode", guess)
    assert.is_nil((doc.find "nothing.here"))
  end)

  it("finds every function of the scheduler described", function()
    for _, name in ipairs {"sleep", "now", "spawn", "scope", "error", "all", "race", "timeout",
      "channel", "select"} do
      assert.is_string(doc.find(name), name)
    end
  end)
end)
