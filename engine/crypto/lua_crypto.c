/* lua_crypto.c -- iza.core.crypto: crypto.h for Lua. lua/iza/crypto.lua documents each function. */
#include "crypto/crypto.h"

#include "vm/await.h"
#include "vm/push.h"

#include <lauxlib.h>

int iz_open_crypto(lua_State *L);

typedef bool encoder(iz_buf *out, const void *data, size_t n);
typedef bool decoder(iz_buf *out, const char *s, size_t n, iz_err *err);

static iz_digest_alg check_alg(lua_State *L, int arg) {
  iz_digest_alg alg = IZ_SHA256;
  const char *name = luaL_checkstring(L, arg);
  if (!iz_digest_find(name, &alg))
    luaL_argerror(L, arg, "no such algorithm: md5, sha1, sha256, sha384, sha512");
  return alg;
}

static int encode(lua_State *L, const void *data, size_t n, encoder *f) {
  iz_buf b = {0};
  if (!f(&b, data, n)) {
    iz_buf_free(&b);
    return luaL_error(L, "not enough memory");
  }
  return iz_push_buf(L, &b);
}

/* Returns the digest in the form check_form found. */
static int return_digest(lua_State *L, int form, const uint8_t *md, size_t n) {
  static encoder *const encoders[] = {iz_hex_encode, NULL, iz_base64_encode, iz_base64url_encode};
  if (encoders[form]) return encode(L, md, n, encoders[form]);
  lua_pushlstring(L, (const char *)md, n);
  return 1;
}

static int check_form(lua_State *L, int arg) {
  static const char *const forms[] = {"hex", "raw", "base64", "base64url", NULL};
  return luaL_checkoption(L, arg, "hex", forms);
}

static int l_hash(lua_State *L) {
  iz_digest_alg alg = check_alg(L, 1);
  size_t n;
  const char *data = luaL_checklstring(L, 2, &n);
  int form = check_form(L, 3);
  uint8_t md[IZ_DIGEST_MAX];
  iz_err err;
  if (!iz_digest(alg, data, n, md, &err)) return iz_push_error(L, &err);
  return return_digest(L, form, md, iz_digest_size(alg));
}

static int l_hmac(lua_State *L) {
  iz_digest_alg alg = check_alg(L, 1);
  size_t key_len, n;
  const char *key = luaL_checklstring(L, 2, &key_len);
  const char *data = luaL_checklstring(L, 3, &n);
  int form = check_form(L, 4);
  uint8_t md[IZ_DIGEST_MAX];
  iz_err err;
  if (!iz_hmac(alg, key, key_len, data, n, md, &err)) return iz_push_error(L, &err);
  return return_digest(L, form, md, iz_digest_size(alg));
}

static int l_random(lua_State *L) {
  lua_Integer n = luaL_checkinteger(L, 1);
  luaL_argcheck(L, n >= 0 && n <= 1 << 20, 1, "between 0 and 1048576 bytes");
  luaL_Buffer b;
  char *out = luaL_buffinitsize(L, &b, (size_t)n);
  iz_err err;
  if (!iz_random(out, (size_t)n, &err)) return iz_push_error(L, &err);
  luaL_pushresultsize(&b, (size_t)n);
  return 1;
}

static int l_uuid(lua_State *L) {
  lua_Integer version = luaL_optinteger(L, 1, 4);
  luaL_argcheck(L, version == 4 || version == 7, 1, "version 4 or 7");
  char text[37];
  iz_err err;
  if (!(version == 4 ? iz_uuid4 : iz_uuid7)(text, &err)) return iz_push_error(L, &err);
  lua_pushlstring(L, text, 36);
  return 1;
}

static int l_equal(lua_State *L) {
  size_t n, m;
  const char *a = luaL_checklstring(L, 1, &n);
  const char *b = luaL_checklstring(L, 2, &m);
  lua_pushboolean(L, n == m && iz_equal(a, b, n));
  return 1;
}

static int encode_arg(lua_State *L, encoder *f) {
  size_t n;
  const char *s = luaL_checklstring(L, 1, &n);
  return encode(L, s, n, f);
}

static int decode_arg(lua_State *L, decoder *f) {
  size_t n;
  const char *s = luaL_checklstring(L, 1, &n);
  iz_buf b = {0};
  iz_err err;
  if (f(&b, s, n, &err)) return iz_push_buf(L, &b);
  iz_buf_free(&b);
  return iz_push_error(L, &err);
}

static int l_hex(lua_State *L) {
  return encode_arg(L, iz_hex_encode);
}
static int l_base64(lua_State *L) {
  return encode_arg(L, iz_base64_encode);
}
static int l_base64url(lua_State *L) {
  return encode_arg(L, iz_base64url_encode);
}
static int l_from_hex(lua_State *L) {
  return decode_arg(L, iz_hex_decode);
}
static int l_from_base64(lua_State *L) {
  return decode_arg(L, iz_base64_decode);
}
static int l_from_base64url(lua_State *L) {
  return decode_arg(L, iz_base64url_decode);
}

int iz_open_crypto(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"hash", l_hash},
      {"hmac", l_hmac},
      {"random", l_random},
      {"uuid", l_uuid},
      {"equal", l_equal},
      {"hex", l_hex},
      {"base64", l_base64},
      {"base64url", l_base64url},
      {"from_hex", l_from_hex},
      {"from_base64", l_from_base64},
      {"from_base64url", l_from_base64url},
      {NULL, NULL},
  };
  luaL_newlib(L, functions);
  return 1;
}
