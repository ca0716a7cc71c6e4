--- Digests, HMAC, random bytes, UUIDs, and the text forms of bytes (hex, base64).
--- Digests come from OpenSSL, loaded at the first one; where it is missing they return nil and an
--- error with code "missing_library".
local core = require "iza.core.crypto"

local crypto = {}

---@alias iza.DigestAlg "sha256"|"sha512"|"sha384"|"sha1"|"md5"
---@alias iza.DigestForm "hex"|"raw"|"base64"|"base64url"

--- The digest of a string. md5 and sha1 are for protocols that demand them, never for security.
--- Example: `crypto.hash("sha256", "abc")` --> "ba7816bf8f01cfea4141..."
---@param alg iza.DigestAlg
---@param data string
---@param form? iza.DigestForm default "hex"
---@return string? digest
---@return table? err
function crypto.hash(alg, data, form) return core.hash(alg, data, form) end

--- The HMAC (RFC 2104) of a string under a key. Compare it with crypto.equal, never with `==`.
--- Example: `crypto.hmac("sha256", secret, body) --> hex text`
---@param alg iza.DigestAlg
---@param key string
---@param data string
---@param form? iza.DigestForm default "hex"
---@return string? mac
---@return table? err
function crypto.hmac(alg, key, data, form) return core.hmac(alg, key, data, form) end

--- n unpredictable bytes (0 to 1048576) from the kernel.
--- Example: `local token = crypto.base64url(crypto.random(32))`
---@param n integer
---@return string? bytes
---@return table? err
function crypto.random(n) return core.random(n) end

--- A new UUID (RFC 9562): version 4 is random; version 7 starts with the time, and those of one
--- process sort in the order they were made.
--- Example: `crypto.uuid(7)` --> "019aa0c2-7f4e-7a31-9d0c-5b1f0e6f2a77"
---@param version? 4|7 default 4
---@return string? uuid
---@return table? err
function crypto.uuid(version) return core.uuid(version) end

--- Whether two strings are equal, in a time that does not tell where they differ. For secrets.
--- Example: `if not crypto.equal(given, expected) then return 401 end`
---@param a string
---@param b string
---@return boolean
function crypto.equal(a, b) return core.equal(a, b) end

--- Bytes as lower-case hex digits.
--- Example: `crypto.hex("\1\255")` --> "01ff"
---@param data string
---@return string
function crypto.hex(data) return core.hex(data) end

--- Bytes as base64 (RFC 4648 §4, padded).
--- Example: `crypto.base64("foob")` --> "Zm9vYg=="
---@param data string
---@return string
function crypto.base64(data) return core.base64(data) end

--- Bytes as base64 for URLs and file names (RFC 4648 §5, without padding).
--- Example: `crypto.base64url("\251\239")` --> "--8"
---@param data string
---@return string
function crypto.base64url(data) return core.base64url(data) end

--- The bytes of hex digits of either case.
--- Example: `crypto.from_hex("01FF")` --> "\1\255"
---@param text string
---@return string? data
---@return table? err code "invalid", with the position
function crypto.from_hex(text) return core.from_hex(text) end

--- The bytes of base64 text. Strict: padded, no white space, nothing left over.
--- Example: `crypto.from_base64("Zm9vYg==")` --> "foob"
---@param text string
---@return string? data
---@return table? err code "invalid", with the position
function crypto.from_base64(text) return core.from_base64(text) end

--- The bytes of base64url text; padding may be absent.
--- Example: `crypto.from_base64url("--8")` --> "\251\239"
---@param text string
---@return string? data
---@return table? err code "invalid", with the position
function crypto.from_base64url(text) return core.from_base64url(text) end

return crypto
