-- ending_spec.lua -- how a script ends: signals while it computes, output that cannot be written.

local IZA = os.getenv "IZA" or "./iza"

-- Runs bash with $IZA; gives what it printed and its status.
local function bash(script)
  local result = assert(iza.exec({"timeout", "-s", "KILL", "30", "bash", "-c", script},
    {env = {IZA = IZA}}))
  return result.stdout, result.status, result.stderr
end

-- Starts `before` and the code, sends the signal once it printed "ready" in between, prints its
-- status.
local function signalled(signal, code, before)
  return (bash(([[
    exec 3< <(exec "$IZA" -e '%s print "ready" io.stdout:flush() %s'; )
    p=$!
    read -r -u 3 line
    kill -%s $p
    tail --pid=$p -f /dev/null
    cat <&3
    wait $p
    echo "status $?"]]):format(before or "", code, signal)))
end

describe("a script that computes", function()
  for signal, status in pairs{TERM = "143", INT = "130", HUP = "129"} do
    it("is ended by SIG" .. signal .. ", pcall or not, and closes what it holds", function()
      local out = signalled(signal, [[
        local _ <close> = setmetatable({}, {__close = function()
          iza.sleep "1ms" print "closed" end})
        while true do pcall(function() while true do end end) end]])
      assert.matches("^closed\nstatus " .. status .. "\n$", out)
    end)
  end
end)

describe("a script that waits", function()
  local function ends(signal, before)
    return signalled(signal, "iza.sleep(20)", [[
      local _ <close> = setmetatable({}, {__close = function()
        iza.sleep "1ms" print "closed" end}) ]] .. before)
  end

  it("ends with 128 and the signal's number, after <close>", function()
    assert.equal("closed\nstatus 143\n", ends("TERM", ""))
    assert.equal("closed\nstatus 130\n", ends("INT", ""))
    assert.equal("closed\nstatus 143\n", ends("TERM", "iza.http.serve{routes = {}}:stop()"))
  end)

  it("and serves has drained on SIGTERM: 0; on Ctrl-C: 130", function()
    local serve = "assert(iza.http.serve{routes = {}})"
    assert.equal("closed\nstatus 0\n", ends("TERM", serve))
    assert.equal("closed\nstatus 130\n", ends("INT", serve))
  end)
end)

describe("a deep recursion", function()
  it("ends as an ordinary error", function()
    local out, status = bash([["$IZA" -e 'local function f() return f() + 1 end print(pcall(f))']])
    assert.equal(0, status)
    assert.matches("stack overflow", out)
  end)
end)

describe("standard output", function()
  it("that nobody reads any more ends the script like other programs", function()
    for _, code in ipairs{"while true do print(1) iza.sleep(0) end",
      "while true do io.write('1\\n') end"} do
      local out = bash(([["$IZA" -e "%s" | head -1; echo ${PIPESTATUS[0]}]]):format(code))
      assert.equal("1\n141\n", out)
    end
  end)

  it("that cannot be written is an error", function()
    for _, how in ipairs{[["$IZA" -e 'print(1)' >/dev/full]], [["$IZA" help >/dev/full]],
      [["$IZA" -e 'print(1)' >&-]]} do
      local _, status, err = bash(how)
      assert.equal(1, status, how)
      assert.matches("standard output could not be written: ", err)
    end
  end)

  it("and input, when closed, are not taken by other files", function()
    local _, status = bash([["$IZA" -e '
      local f = assert(io.open("/dev/null", "w"))
      assert(io.read() == nil)
      io.stderr:write(io.popen("readlink /proc/$PPID/fd/0"):read())' <&- 2>/dev/null]])
    assert.equal(0, status)
  end)
end)
