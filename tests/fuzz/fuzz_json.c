/* fuzz_json.c -- any bytes into iza.json: decode, and decode -> encode -> decode -> encode is a
 * fixed point.
 *
 * The first byte chooses options. Texts are compared with sorted keys, where floats and integers,
 * and arrays and objects, differ. A bare core reading of the same bytes must agree on whether they
 * are JSON.
 */
#include "json/json.h"

#include <lauxlib.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int iz_open_json(lua_State *L);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Calls json.NAME(value at the top, {depth = 300, FLAG = indent or true}); the result replaces it.
 */
static void call(lua_State *L, const char *name, const char *flag, int indent) {
  lua_getfield(L, 1, name);
  lua_insert(L, -2);
  lua_createtable(L, 0, 3);
  lua_pushinteger(L, 300);
  lua_setfield(L, -2, "depth");
  lua_pushinteger(L, indent);
  lua_setfield(L, -2, "indent");
  lua_pushboolean(L, 1);
  lua_setfield(L, -2, flag);
  lua_call(L, 2, 1);
}

static int is_json(const char *s, size_t n) {
  iz_buf scratch = {0};
  iz_json j;
  iz_err err;
  iz_json_type t;
  iz_json_begin(&j, s, n, 300, &scratch);
  do {
    t = iz_json_next(&j);
  } while (t > IZ_JSON_END);
  if (t == IZ_JSON_ERROR) iz_json_error(&j, &err);
  iz_buf_free(&scratch);
  return t == IZ_JSON_END;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static lua_State *L;
  if (!L) {
    L = luaL_newstate();
    if (!L) abort();
    iz_open_json(L);
  }
  if (size == 0) return 0;
  const char *drop = data[0] & 1 ? "drop_nulls" : "keep_nulls";
  int indent = data[0] >> 1 & 3;
  const char *text = (const char *)data + 1;
  lua_pushlstring(L, text, size - 1);
  call(L, "decode", drop, 0);
  if (lua_isnil(L, -1) == is_json(text, size - 1)) abort();
  if (!lua_isnil(L, -1)) {
    call(L, "encode", "sort", indent);
    if (lua_isnil(L, -1)) abort();
    lua_pushvalue(L, -1);
    call(L, "decode", drop, 0);
    call(L, "encode", "sort", indent);
    if (!lua_rawequal(L, -1, -2)) abort();
  }
  lua_settop(L, 1);
  return 0;
}
