local crypto = require "iza.crypto"

describe("iza.crypto", function()
  it("hashes the vectors of FIPS 180 and RFC 1321", function()
    assert.equal("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
      crypto.hash("sha256", "abc"))
    assert.equal("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
      crypto.hash("sha256", ""))
    assert.equal("a9993e364706816aba3e25717850c26c9cd0d89d", crypto.hash("sha1", "abc"))
    assert.equal("900150983cd24fb0d6963f7d28e17f72", crypto.hash("md5", "abc"))
    assert.equal("ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a" ..
      "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f", crypto.hash("sha512",
        "abc"))
    assert.equal("cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed" ..
      "8086072ba1e7cc2358baeca134c825a7", crypto.hash("sha384", "abc"))
  end)

  it("gives a digest in four forms", function()
    local raw = crypto.hash("sha256", "abc", "raw")
    assert.equal(32, #raw)
    assert.equal(crypto.hash("sha256", "abc"), crypto.hex(raw))
    assert.equal("ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=", crypto.hash("sha256", "abc",
      "base64"))
    assert.equal("ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0", crypto.hash("sha256", "abc",
      "base64url"))
  end)

  it("refuses an unknown algorithm as misuse", function()
    assert.has_error(function() crypto.hash("sha3", "abc") end)
    assert.has_error(function() crypto.hash("sha256", "abc", "binary") end)
  end)

  -- RFC 4231 §4: key, data, HMAC-SHA-256, start of HMAC-SHA-512
  local rfc4231 = {
    {("\x0b"):rep(20), "Hi There",
      "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        "87aa7cdea5ef619d4ff0b4241a1d6cb0"},
    {"Jefe", "what do ya want for nothing?",
      "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        "164b7a7bfcf819e2e395fbe73b56e0a3"},
    {("\xaa"):rep(20), ("\xdd"):rep(50),
      "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
        "fa73b0089d56a284efb0f0756c890be9"},
    {("\xaa"):rep(131), "Test Using Larger Than Block-Size Key - Hash Key First",
      "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        "80b24263c7c1a3ebb71493c1dd7be8b4"},
  }
  it("computes the HMACs of RFC 4231", function()
    for _, v in ipairs(rfc4231) do
      assert.equal(v[3], crypto.hmac("sha256", v[1], v[2]))
      assert.equal(v[4], crypto.hmac("sha512", v[1], v[2]):sub(1, 32))
    end
  end)

  it("takes an empty key, and not that of the call before", function()
    crypto.hmac("sha256", "secret", "x")
    assert.equal("b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad",
      crypto.hmac("sha256", "", ""))
  end)

  it("draws random bytes of the wanted length that differ", function()
    assert.equal("", crypto.random(0))
    assert.equal(32, #crypto.random(32))
    assert.are_not.equal(crypto.random(16), crypto.random(16))
    assert.has_error(function() crypto.random(-1) end)
  end)

  it("makes UUIDs of version 4 and 7", function()
    local form = "^%x+%-%x+%-(%x)%x+%-([89ab])%x+%-%x+$"
    assert.equal("4", (crypto.uuid():match(form)))
    assert.equal("7", (crypto.uuid(7):match(form)))
    assert.equal(36, #crypto.uuid())
    assert.has_error(function() crypto.uuid(1) end)
  end)

  it("makes version 7 UUIDs that sort in the order they were made, with the time in front",
    function()
    local last = crypto.uuid(7)
    for _ = 1, 10000 do
      local u = crypto.uuid(7)
      assert.is_true(last < u)
      last = u
    end
    local ms = tonumber((last:sub(1, 13):gsub("-", "")), 16)
    assert.is_true(math.abs(ms / 1000 - require("iza.core.clock").wall()) < 60)
  end)

  it("compares without telling where", function()
    assert.is_true(crypto.equal("", ""))
    assert.is_true(crypto.equal("abc\0d", "abc\0d"))
    assert.is_false(crypto.equal("abc\0d", "abc\0e"))
    assert.is_false(crypto.equal("abc", "abcd"))
  end)

  it("encodes the base64 vectors of RFC 4648 both ways", function()
    for text, coded in pairs {
      [""] = "", f = "Zg==", fo = "Zm8=", foo = "Zm9v", foob = "Zm9vYg==", fooba = "Zm9vYmE=",
        foobar = "Zm9vYmFy",
    } do
      assert.equal(coded, crypto.base64(text))
      assert.equal(text, crypto.from_base64(coded))
      assert.equal((coded:gsub("=", "")), crypto.base64url(text))
      assert.equal(text, crypto.from_base64url((coded:gsub("=", ""))))
      assert.equal(text, crypto.from_base64url(coded))
    end
    assert.equal("--8", crypto.base64url("\251\239"))
  end)

  it("refuses base64 that is not canonical", function()
    for _, bad in ipairs {"Zg", "Zg=", "Zh==", "Zm9v\n", "Zm9v Zg==", "Z===", "====", "--8=",
      "Zg==Zg=="} do
      local data, err = crypto.from_base64(bad)
      assert.is_nil(data, bad)
      assert.equal("invalid", err.code)
    end
    assert.is_nil((crypto.from_base64url("+/8")))
    assert.is_nil((crypto.from_base64url("Zg=")))
    assert.is_nil((crypto.from_base64url("A")))
  end)

  it("turns every byte into hex and back", function()
    local all = {}
    for i = 0, 255 do all[#all + 1] = string.char(i) end
    all = table.concat(all)
    assert.equal(all, crypto.from_hex(crypto.hex(all)))
    assert.equal(all, crypto.from_hex(crypto.hex(all):upper()))
    assert.equal(all, crypto.from_base64(crypto.base64(all)))
    local data, err = crypto.from_hex("0g")
    assert.is_nil(data)
    assert.equal("not a hex digit at position 2", tostring(err))
    assert.is_nil((crypto.from_hex("abc")))
  end)
end)
