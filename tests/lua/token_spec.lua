local host = require "iza.core.host"
local token = require "iza.token"

describe("iza.token", function()
  local dir
  before_each(function()
    dir = iza.exec {"mktemp", "-d"}.stdout:gsub("\n", "") .. "/data"
  end)
  after_each(function() iza.exec {"rm", "-r", (dir:match "^(.*)/data$")} end)

  local function code_of(path)
    local value, err = token.read(path)
    assert.is_nil(value)
    return err.code
  end

  it("is made once, with its folder, for its owner alone", function()
    assert.are.equal("not_found", code_of(dir))
    local value, made = assert(token.ensure(dir))
    assert.is_true(made)
    assert.truthy(value:find("^" .. ("%x"):rep(64) .. "$"))
    assert.are.same({448, 384}, {select(2, host.kind(dir)), select(2, host.kind(dir .. "/token"))})
    assert.are.same({value, false}, {token.ensure(dir)})
    assert.are.equal(value, token.read(dir))
    iza.exec {"rm", dir .. "/token"}
    assert.are_not.equal(value, (token.ensure(dir)))
  end)

  it("is refused when anybody else may read or write it", function()
    token.ensure(dir)
    for _, mode in ipairs {"640", "620", "610", "604", "602", "601"} do
      iza.exec {"chmod", mode, dir .. "/token"}
      assert.are.equal("insecure", code_of(dir), mode)
      local value, err = token.ensure(dir)
      assert.are.same({nil, "insecure"}, {value, err.code})
    end
    for _, mode in ipairs {"600", "400"} do
      iza.exec {"chmod", mode, dir .. "/token"}
      assert.is_string(token.read(dir), mode)
    end
  end)

  it("is refused when it is a link or no token", function()
    token.ensure(dir)
    iza.exec {"mv", dir .. "/token", dir .. "/other"}
    host.symlink(dir .. "/other", dir .. "/token")
    assert.are.equal("insecure", code_of(dir))
    os.remove(dir .. "/token")
    host.replace(dir .. "/token", ("0"):rep(63) .. "\n", 384)
    assert.are.equal("invalid", code_of(dir))
  end)
end)
