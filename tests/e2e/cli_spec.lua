-- The command line as a shell meets it: scripts, exit codes, projects, verbs.
local process = require "e2e.iza_process"
local host = require "iza.core.host"
local sources = require "iza.sources"

describe("iza", function()
  local dir
  before_each(function() dir = process.sandbox() end)
  after_each(function() process.remove(dir) end)

  local function sh(command, more) return process.sh(dir, dir, command, more) end
  local function write(name, text) process.write(dir .. "/" .. name, text) end

  -- Checks code and stdout of a command; gives stderr.
  local function is(command, code, out, more)
    local stdout, stderr, status = sh(command, more)
    assert.are.same({code, out}, {status, stdout}, command .. "\n" .. stderr)
    return stderr
  end

  local function names_in(folder)
    local names = {}
    for i, entry in ipairs(assert(iza.fs.list(folder))) do names[i] = entry.name end
    return names
  end

  local function says(text, what) assert.truthy(text:find(what, 1, true), text) end

  describe("FILE", function()
    it("gets arg and ...", function()
      write("a.lua", "print(arg[0], arg[1], arg[2], #arg, ...)")
      is("iza a.lua x 'y z'", 0, "a.lua\tx\ty z\t2\tx\ty z\n")
    end)

    it("runs by its first line", function()
      write("a.lua", "#!/usr/bin/env iza\nprint('by itself', ...)\n")
      is("chmod +x a.lua && ./a.lua 1", 0, "by itself\t1\n")
    end)

    it("comes from standard input, and from -e", function()
      is("echo 'print(1, ...)' | iza - a", 0, "1\ta\n")
      is("echo 'print(2)' | iza", 0, "2\n")
      is("iza -e 'return 7, print(...)' a b", 0, "a\tb\n")
      says(is("iza -e", 2, ""), "-e needs code")
    end)

    it("that fails ends with 1 and shows where", function()
      write("a.lua", "local t = nil\nprint(t.x)\n")
      local err = is("iza a.lua", 1, "")
      says(err, "a.lua:2: attempt to index a nil value")
      says(err, "2 | print(t.x)")
    end)

    it("that is no Lua ends with 1 and shows where", function()
      write("a.lua", "print(1)\nlocal = 2\n")
      says(is("iza a.lua", 1, ""), "a.lua:2: <name> expected near '='")
    end)

    it("is no option", function()
      for _, word in ipairs {"-x", "-l foo", "--colour", "''"} do
        local err = is("iza " .. word, 2, "")
        says(err, "The options are -e CODE, --workers N FILE")
        assert.is_nil(err:find(".lua", 1, true))
      end
    end)

    it("that is not there ends with 2", function()
      says(is("iza gone.lua", 2, ""), "There is no such file.")
    end)

    it("says its exit code, and its output comes whole", function()
      is("iza -e 'io.write(\"x\") os.exit(7)'", 7, "x")
      is("iza -e 'io.write(\"x\") os.exit(false)'", 1, "x")
      is("iza -e 'io.write(\"x\") os.exit(true, true)'", 0, "x")
    end)

    it("closes everything on os.exit(code, true), also of other tasks", function()
      write("a.lua", [[
        local function closing(name)
          return setmetatable({}, {__close = function() iza.sleep(0.01) print(name) end})
        end
        iza.spawn(function() local _ <close> = closing "other" iza.sleep(60) end)
        iza.sleep(0)
        local _ <close> = closing "main"
        coroutine.wrap(function()
          local _ <close> = closing "inner"
          print(pcall(os.exit, 3, true))
        end)()
        print "not reached"
      ]])
      local out, err, code = sh "iza a.lua"
      local names = {}
      for name in out:gmatch "%a+" do names[#names + 1] = name end
      table.sort(names)
      assert.are.same({"inner", "main", "other"}, names)
      assert.are.same({3, ""}, {code, err})
    end)

    it("that is interrupted closes what is open and ends with 130", function()
      write("a.lua", [[
        local _ <close> = setmetatable({}, {__close = function() print "closed" end})
        io.stdout:setvbuf "no"
        print "waiting"
        iza.sleep(60)
      ]])
      local p = assert(iza.exec {process.program, "a.lua", cwd = dir, stream = true})
      assert.are.equal("waiting", p:read "l")
      p:kill "SIGINT"
      assert.are.equal("closed\n", p:read "a")
      assert.are.equal(130, p:wait().status)
    end)

    it("may require the scheduler's core inside a scope", function()
      write("a.lua", [[
        iza.scope(function(scope)
          scope:spawn(iza.sleep, 60)
          require "iza.core.task"
          scope:cancel()
        end)
        print "over"
      ]])
      is("iza a.lua", 0, "over\n")
    end)

    it("finds modules beside itself", function()
      write("sub/main.lua", "print((require 'friend'))")
      write("sub/friend.lua", "return 'friend'")
      is("iza sub/main.lua", 0, "friend\n")
    end)
  end)

  describe("in a project", function()
    before_each(function()
      write("p/iza.lua", "return {name = 'p'}\n")
      write("p/lua/agents/helper.lua", "return 'of the project'")
      write("p/deep/er/main.lua", "print(require('agents.helper'), iza.project.root)")
    end)

    it("modules of lua/ are found from anywhere in it, also by a link", function()
      is("iza p/deep/er/main.lua", 0, "of the project\t" .. dir .. "/p\n")
      is("cd p/deep/er && iza main.lua", 0, "of the project\t" .. dir .. "/p\n")
      is("ln -s p/deep/er/main.lua a.lua && iza a.lua", 0, "of the project\t" .. dir .. "/p\n")
    end)

    it("data lies in data/, unless chosen", function()
      write("p/data.lua", "print(iza.project.data_dir())")
      is("iza p/data.lua", 0, dir .. "/p/data\n")
      is("iza p/data.lua", 0, dir .. "/elsewhere\n", {IZA_DATA = "elsewhere"})
      write("p/iza.lua", "return {data = 'var'}\n")
      is("iza p/data.lua", 0, dir .. "/p/var\n")
      write("data.lua", "print(iza.project.data_dir(), iza.project.root)")
      is("iza data.lua", 0, dir .. "/home/.local/share/iza\tnil\n")
      is("iza data.lua", 0, dir .. "/x/iza\tnil\n", {XDG_DATA_HOME = dir .. "/x"})
    end)

    it("globals are strict for its own code only", function()
      write("p/read.lua", "print(1)\nprint(prnt)\n")
      local err = is("iza p/read.lua", 1, "1\n")
      says(err, "p/read.lua:2: there is no global 'prnt'; did you mean 'print'?")
      write("p/assign.lua", "count = 1")
      says(is("iza p/assign.lua", 1, ""), "p/assign.lua:1: assigning the global 'count'")
      write("p/lua/agents/bad.lua", "helper = 1")
      write("p/main.lua", "require 'agents.bad'")
      says(is("iza p/main.lua", 1, ""), "agents/bad.lua:1: assigning the global 'helper'")
      write("p/rocks/share/lua/5.4/old.lua", "old = 1 return undefined")
      write("p/main.lua", "require 'old' rawset(_G, 'mine', 2) print(old, mine)")
      is("iza p/main.lua", 0, "1\t2\n")
      write("plain.lua", "x = 1 print(x, y)")
      is("iza plain.lua", 0, "1\tnil\n")
    end)

    it("wrong settings are told before anything runs", function()
      write("p/iza.lua", "return {\n  prot = 80,\n}\n")
      says(is("iza p/deep/er/main.lua", 1, ""), "p/iza.lua:2: there is no setting 'prot'; did you "
        .. "mean 'port'?")
      write("p/iza.lua", "return 1")
      says(is("iza p/deep/er/main.lua", 1, ""), "it must return a table of settings")
      write("p/iza.lua", "return {")
      says(is("iza p/deep/er/main.lua", 1, ""), "p/iza.lua:1:")
    end)

    it("wrong settings stop no verb that shows or mends them", function()
      local function broken(where, message)
        for _, verb in ipairs {"help", "version", "new fresh && rm -r fresh", "check ."} do
          local _, err, code = sh("cd " .. where .. " && iza " .. verb)
          assert.are.same({0, ""}, {code, err}, verb)
        end
        local out, _, code = sh("cd " .. where .. " && iza doctor")
        assert.are.equal(1, code)
        says(out, message)
        assert.is_nil(out:find "report this", out)
        for _, verb in ipairs {"start", "status", "run"} do
          local err
          _, err, code = sh("cd " .. where .. " && iza " .. verb)
          assert.are.equal(1, code)
          local lines = select(2, err:gsub("\n", ""))
          assert.are.equal(1, lines, err)
          says(err, message)
        end
      end
      write("p/iza.lua", "return {name = 1}")
      broken("p", "p/iza.lua:1: the setting 'name' wants a string")
      write("home/.config/iza/config.lua", "return {\n  prot = 80}")
      broken(".", "config.lua:2: there is no setting 'prot'; did you mean 'port'?")
      write("home/.config/iza/config.lua", "return 1")
      says(sh "iza doctor || true", "config.lua: it must return a table of settings")
      says(is("iza -e 'print(iza.project.data_dir())'", 1, ""), "it must return a table")
      says(sh "iza setup --dry-run", "home/.local/share/iza/token")
    end)

    it("only a checkout overrides iza's own modules", function()
      write("p/lua/iza/duration.lua", "return 'mine'")
      write("p/main.lua", "print(type(require 'iza.duration'))")
      is("iza p/main.lua", 0, "table\n")
      write("p/iza.lua", "return {develop = true}")
      is("iza p/main.lua", 0, "string\n")
    end)
  end)

  describe("VERB", function()
    it("that is unknown ends with 2 and the one that was meant", function()
      local err = is("iza chekc", 2, "")
      says(err, "did you mean 'iza check'?")
    end)

    it("repl says what to do without a terminal", function()
      says(is("echo 1 | iza repl", 1, ""), "to run what is on standard input: iza -")
    end)

    it("is told what it does not know, with 2", function()
      local err = is("iza check --jsno .", 2, "")
      says(err, "did you mean --json?")
      says(err, "usage: iza check")
      says(is("iza version extra", 2, ""), "unexpected argument 'extra'")
    end)

    it("wins over a file of its name", function()
      write("version", "print 'the file'")
      says(sh "iza version", "iza ")
      is("iza ./version", 0, "the file\n")
    end)

    it("version says it, also as JSON and as an option", function()
      local version = require "iza.version"
      is("iza version", 0, "iza " .. version .. " (Lua 5.4)\n")
      is("iza --version", 0, "iza " .. version .. " (Lua 5.4)\n")
      local out = sh "iza version --json"
      assert.are.same({iza = version, lua = "5.4"}, iza.json.decode(out))
    end)

    it("help fits into a terminal of 80 columns", function()
      for _, what in ipairs {"help csv", "help reload", "setup --help", "help errors"} do
        local out = sh(("script -qec 'stty cols 80; iza %s' /dev/null"):format(what))
        for line in out:gsub("\r", ""):gsub("\27%[[%d;]*m", ""):gmatch "[^\n]+" do
          local prose = line:find "^%a" and not line:find "[{}=()]"
          assert(not prose or #line <= 80, line)
        end
      end
    end)

    it("help breaks its lines between words, code never", function()
      for _, what in ipairs {"help", "help tasks", "help iza", "help template", "help json.encode",
        "help http.get", "setup --help"} do
        for line in sh("iza " .. what):gmatch "[^\n]+" do
          assert(iza.term.width(line) <= 80, what .. ": " .. line)
        end
      end
      local out = sh "script -qec 'stty cols 40; iza help tasks' /dev/null":gsub("\r", "")
      says(out, "\nCode that waits suspends only its own\ntask; ")
      says(out, "\n-- all of them, results in order; the first failure cancels the others\n")
    end)

    it("pages hold no code wider than 78 columns", function()
      for _, path in ipairs(sources.list "lua/iza/help/") do
        local in_code = false
        for line in sources.read(path):gmatch "[^\n]*" do
          if line:find "^```" then in_code = not in_code end
          assert(not in_code or iza.term.width(line) <= 78, path .. ": " .. line)
        end
      end
    end)

    it("help lists every verb and topic, and knows what was meant", function()
      local out = sh "iza help"
      for _, word in ipairs {"check", "doctor", "new", "run", "setup", "start", "stop", "status",
        "version", "quickstart", "errors"} do
        assert.truthy(out:find("%f[%w]" .. word .. "%f[%W]"), word)
      end
      assert.are.equal(out, (sh "iza --help"))
      says(is("iza help quikstart", 1, ""), "did you mean 'quickstart'?")
      says(sh "iza help json.encode", "iza.json.encode(value, opts)")
      says(sh "iza help csv", "\nfunctions of iza.csv:\n  open(path, opts)\n")
    end)
  end)

  describe("in a checkout", function()
    it("new verbs and topics are there at once", function()
      write("p/iza.lua", "return {develop = true}")
      write("p/lua/iza/cli/greet.lua", "return {group = 'iza', summary = 'Greets.', run = "
        .. "function() print 'hello' end}")
      write("p/lua/iza/help/manners.md", "# Manners\n\nGreet.\n")
      is("cd p && iza greet", 0, "hello\n")
      local out = sh "cd p && iza help"
      says(out, "greet    Greets.")
      says(out, " manners ")
      says(sh "cd p && iza help manners", "Manners\n\nGreet.\n")
      says(is("iza greet", 2, ""), "neither a file nor a verb")
    end)
  end)

  describe("check", function()
    it("shows findings with place and line, and ends with 1", function()
      write("a.lua", "local x = 1\nif x then pirnt(x) end\n")
      is("iza check a.lua", 1, "a.lua:2:11: unknown global 'pirnt'; did you mean 'print'?\n"
        .. "     2 | if x then pirnt(x) end\n       |           ^\n1 finding in 1 file\n")
      write("b.lua", "x = = 1")
      says(sh("iza check b.lua || true"), "b.lua:1: unexpected symbol near '='")
    end)

    it("walks folders, leaves out rocks and data, and is strict in projects", function()
      write("p/iza.lua", "return {}")
      write("p/lua/a.lua", "count = 1")
      write("p/rocks/r.lua", "oops(")
      write("p/data/d.lua", "oops(")
      local out, _, code = sh "cd p && iza check . --json"
      local report = iza.json.decode(out)
      assert.are.same({1, 2, 1}, {code, report.files, #report.findings})
      assert.are.same({"lua/a.lua", 1, 1}, {report.findings[1].file, report.findings[1].line,
        report.findings[1].column})
      write("plain/a.lua", "count = 1")
      is("iza check plain", 0, "0 findings in 1 file\n")
      is("iza check p/lua --global count", 0, "0 findings in 1 file\n")
    end)

    it("tells what cannot be read, and the findings all the same", function()
      write("a.lua", "pirnt(1)")
      local out, err, code = sh "iza check a.lua gone.lua"
      assert.are.equal(1, code)
      says(out, "a.lua:1:1: unknown global 'pirnt'")
      says(out, "1 finding in 1 file\n")
      says(err, "gone.lua: No such file")
      local report = iza.json.decode((sh "iza check a.lua gone.lua --json || true"))
      assert.are.same({1, 1, 1}, {report.files, #report.findings, #report.errors})
      sh("mkdir -p deep/" .. ("d/"):rep(40) .. " && cp a.lua deep/")
      out, err, code = sh "iza check deep"
      assert.are.equal(1, code)
      says(out, "1 finding in 1 file\n")
      says(err, "folders more than 32 deep")
    end)

    it("reads standard input", function()
      says(sh "echo 'pirnt(1)' | iza check - || true", "(standard input):1:1: unknown global")
    end)

    it("leaves out hidden folders and repos of others", function()
      write("p/iza.lua", "return {}")
      for _, folder in ipairs {".git", "lua/.hidden", "repos/theirs", "build"} do
        write("p/" .. folder .. "/a.lua", "oops(")
      end
      write("p/lua/repos/a.lua", "return 1")
      for _, where in ipairs {"cd p && iza check .", "iza check p", "iza check p/"} do
        is(where, 0, "0 findings in 2 files\n")
      end
    end)
  end)

  describe("new", function()
    it("makes a project whose next steps work", function()
      local out = sh "iza new my-shop"
      local steps = {}
      for step in out:gmatch "\n  ([^\n]+)" do steps[#steps + 1] = step end
      assert.are.equal("cd my-shop", steps[1])
      local ran, err, code = sh(table.concat(steps, "\n"))
      assert.are.equal(0, code, err)
      says(ran, "Hello, Ada.")
      says(process.read(dir .. "/my-shop/iza.lua"), 'name = "my-shop"')
      for _, path in ipairs {"lua/agents", "lua/workflows", "catalog", "data/samples", "repos",
        "n8n-workflows", ".gitignore", "README.md"} do
        assert.truthy(host.kind(dir .. "/my-shop/" .. path), path)
      end
    end)

    it("refuses what is no name, and leaves nothing behind", function()
      for _, name in ipairs {"''", "'a:b'", "no/..", "'?'"} do
        local err = is("iza new " .. name, 1, "")
        assert.are.equal(1, select(2, err:gsub("\n", "")), err)
      end
      assert.are.same({"bin", "home"}, names_in(dir))
      says(sh "iza new 'my shop'", "  cd 'my shop'\n")
    end)

    it("leaves a folder alone that is not empty", function()
      write("full/file", "mine")
      says(is("iza new full", 1, ""), "full is not empty; nothing was changed")
      assert.are.same({"file"}, names_in(dir .. "/full"))
      is("mkdir empty && cd empty && iza new . >/dev/null && iza run hello Bo | head -n 1", 0,
        "Hello, Bo. This is what we can do for you:\n")
    end)
  end)

  describe("run", function()
    before_each(function()
      write("p/iza.lua", "return {}")
      write("p/lua/workflows/flows/greet.lua", "--- Greets. Politely.\nprint('hi', arg[0], arg[1], "
        .. "...) if ... == 'fail' then return 3 end")
    end)

    it("finds a workflow in any folder and gives it all that stands behind its name", function()
      local path = dir .. "/p/lua/workflows/flows/greet.lua"
      is("cd p && iza run greet --json x", 0, "hi\t" .. path .. "\t--json\t--json\tx\n")
      is("cd p && iza run greet fail", 3, "hi\t" .. path .. "\tfail\tfail\n")
    end)

    it("lists them", function()
      local out = sh "cd p && iza run --json"
      local found
      for _, row in ipairs(iza.json.decode(out)) do
        if row.name == "greet" then found = row end
      end
      assert.are.same({name = "greet", from = "project", about = "Greets."}, found)
    end)

    it("says what was meant, and when a name is not clear", function()
      says(is("cd p && iza run gret", 1, ""), "there is no workflow 'gret'; did you mean 'greet'? "
        .. "`iza run` lists them\n")
      says(is("cd p && iza run greet.lua", 1, ""), "did you mean 'greet'? ")
      write("p/lua/workflows/wrong.lua", "print = =\n")
      says((sh "cd p && iza run"), "lua/workflows/wrong.lua:1: unexpected symbol near '='")
      os.remove(dir .. "/p/lua/workflows/wrong.lua")
      write("p/lua/workflows/greet.lua", "")
      says(is("cd p && iza run greet", 1, ""), "there are two workflows 'greet'")
    end)

    it("never lists the part of a workflow, also one that replaces a part of a built-in", function()
      write("p/lua/workflows/flows/greet/words.lua", "return {}")
      write("p/lua/workflows/customer_flows/qualify_leads/rules.lua", "return {}")
      local names = {}
      for i, item in ipairs(iza.json.decode((sh "cd p && iza run --json"))) do
        names[i] = item.name
      end
      assert.same({"greet", "qualify_leads"}, names)
    end)

    it("chooses the data directory before the name", function()
      write("p/lua/workflows/data.lua", "print(iza.project.data_dir())")
      is("cd p && iza run --data d data", 0, dir .. "/p/d\n")
    end)
  end)

  describe("setup", function()
    local made = {"home/.local/bin/iza", "home/.local/share/bash-completion/completions/iza",
      "home/.config/iza/config.lua", "home/.local/share/iza/token"}
    local setup = "iza setup --prefix ~/.local"

    it("makes its files, again without change, and undoes them", function()
      sh(setup .. " --dry-run")
      for _, path in ipairs(made) do assert.is_nil(host.kind(dir .. "/" .. path)) end
      for _ = 1, 2 do
        local _, err, code = sh(setup)
        assert.are.equal(0, code, err)
        for _, path in ipairs(made) do assert.truthy(host.kind(dir .. "/" .. path), path) end
      end
      local _, mode = host.kind(dir .. "/" .. made[4])
      assert.are.equal(384, mode) -- rw-------
      assert.truthy(process.read(dir .. "/" .. made[4]):find("^" .. ("%x"):rep(64) .. "\n$"))
      is("~/.local/bin/iza -e 'print(1)'", 0, "1\n")
      sh(setup .. " --undo")
      for _, path in ipairs(made) do assert.is_nil(host.kind(dir .. "/" .. path), path) end
    end)

    it("is the user's, from whatever folder, and leaves no empty ones", function()
      write("p/iza.lua", "return {}")
      sh("cd p && " .. setup)
      assert.is_nil(host.kind(dir .. "/p/data"))
      assert.truthy(host.kind(dir .. "/" .. made[4]))
      sh(setup .. " --undo")
      assert.are.same({}, names_in(dir .. "/home"))
      local out = sh "iza setup --prefix here --dry-run"
      says(out, dir .. "/here/bin/iza")
      says(out, 'PATH="' .. dir .. "/here/bin:$PATH")
    end)

    it("keeps the token of a data directory in use", function()
      sh(setup)
      write("home/.local/share/iza/store.db", "")
      says(sh(setup .. " --undo"), "the data directory holds more")
      assert.truthy(host.kind(dir .. "/" .. made[4]))
    end)

    it("renews what an older or a moved iza left", function()
      sh(setup)
      local completion = process.read(dir .. "/" .. made[2])
      sh("ln -sfn /gone/iza ~/.local/bin/iza")
      local older = "try\n"
      local sum = 0
      for i = 1, #older do sum = (sum * 31 + older:byte(i)) & 0xffffffff end
      write(made[2], completion:match "^[^\n]*\n":gsub("%x%x%x%x%x%x%x%x", ("%08x"):format(sum))
        .. older)
      local out, _, code = sh(setup)
      assert.are.equal(0, code)
      says(out, "renewed")
      is("~/.local/bin/iza -e 'print(1)'", 0, "1\n")
      assert.are.equal(completion, process.read(dir .. "/" .. made[2]))
      write(made[2], completion .. "# mine\n")
      sh(setup)
      assert.are.equal(completion .. "# mine\n", process.read(dir .. "/" .. made[2]))
      sh("ln -sfn /bin/true ~/.local/bin/iza")
      out, _, code = sh(setup .. " || exit 3")
      assert.are.equal(3, code)
      says(out, "remove it to have it made anew")
    end)

    it("leaves alone what somebody changed", function()
      sh(setup)
      write(made[3], "return {port = 9999}\n")
      write(made[1] .. "x", "")
      local out = sh(setup .. "; " .. setup .. " --undo")
      says(out, "left alone")
      assert.are.equal("return {port = 9999}\n", process.read(dir .. "/" .. made[3]))
      write("a.lua", "print(iza.project.setting 'port')")
      is("iza a.lua", 0, "9999\n")
    end)

    it("completes words in bash", function()
      write("some.lua", "")
      write("try.sh", ". ~/.local/share/bash-completion/completions/iza\n"
        .. "try() { COMP_WORDS=(\"$@\") COMP_CWORD=$(($# - 1)); _iza; "
        .. "echo $(printf '%s\\n' \"${COMPREPLY[@]}\" | LC_ALL=C sort); }\n"
        .. "try iza che\ntry iza check --js\ntry iza check so\ntry iza run he\n"
        .. "try iza so\ntry iza --ver\ntry iza new ''\ntry iza help quick\ntry iza help doc\n"
        .. "try iza help temp\n"
        .. "try iza run qualify_leads q\ntry iza run qualify_leads --enr\n"
        .. "try iza run --js\ntry iza run qualify_leads so\n")
      sh(setup .. "; iza new p; rm -r p/*/; mkdir p/sub; cp try.sh some.lua p/")
      write("p/lua/workflows/hello.lua", "")
      is("cd p && bash try.sh", 0, "check\n--json\nsome.lua\nhello\nsome.lua\n--version\n"
        .. ".gitignore README.md iza.lua lua some.lua sub try.sh\nquickstart\ndoctor\n"
        .. "template\n\n--enrich\n"
        .. "--json\nsome.lua\n")
    end)
  end)

  describe("doctor", function()
    it("finds this machine fit", function()
      local out, err, code = sh "iza doctor --json"
      assert.are.equal(0, code, out .. err)
      local report = iza.json.decode(out)
      assert.is_true(report.ok)
      local states = {}
      for _, check in ipairs(report.checks) do states[check.name] = check.state end
      for _, name in ipairs {"lua", "libevent", "libcurl", "openssl", "time zones", "certificates",
        "data", "token", "port", "inotify", "open files"} do
        assert.truthy(states[name], name)
      end
    end)

    it("fails, with a cure, when there is no place for data", function()
      write("file", "")
      local out, _, code = sh "iza doctor --data file"
      assert.are.equal(1, code)
      assert.truthy(out:find "fail  data +%S+/file is no folder\n +do: choose another", out)
    end)

    it("fails when the name of the data directory is too long for a socket", function()
      local out, _, code = sh("iza doctor --data " .. ("x"):rep(100))
      assert.are.equal(1, code)
      assert.truthy(out:find "fail  data +%S+x: its name is too long for the socket in it", out)
    end)

    it("warns of a taken port and of an open token", function()
      local server = assert(iza.http.serve {routes = {}})
      write("p/iza.lua", ("return {port = %d}"):format(server.port))
      local out, _, code = sh "cd p && iza doctor"
      server:stop {drain = 0}
      assert.are.equal(0, code)
      assert.truthy(out:find "warn  port", out)
      write("p/data/token", "x")
      out, _, code = sh "cd p && chmod 644 data/token && iza doctor"
      assert.are.equal(1, code)
      assert.truthy(out:find "fail  token +%S+ can be read by others", out)
    end)
  end)
end)
