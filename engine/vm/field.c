/* field.c -- see field.h. */
#include "vm/field.h"

#include <lauxlib.h>
#include <string.h>

/* Pushes the field; false when it is absent. */
static bool push(lua_State *L, int at, const char *name) {
  return lua_getfield(L, at, name) != LUA_TNIL;
}

const char *iz_field_text(lua_State *L, int at, const char *name, const char *other) {
  if (push(L, at, name)) {
    if (lua_type(L, -1) != LUA_TSTRING) luaL_error(L, "%s must be a string", name);
    other = lua_tostring(L, -1);
    if (strlen(other) != lua_rawlen(L, -1)) luaL_error(L, "%s has a NUL byte in it", name);
  }
  lua_pop(L, 1);
  return other;
}

bool iz_field_flag(lua_State *L, int at, const char *name) {
  push(L, at, name);
  bool on = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return on;
}

lua_Number iz_field_number(lua_State *L, int at, const char *name, lua_Number other) {
  if (push(L, at, name)) {
    int ok;
    other = lua_tonumberx(L, -1, &ok);
    if (!ok) luaL_error(L, "%s must be a number", name);
  }
  lua_pop(L, 1);
  return other;
}

lua_Integer iz_field_integer(lua_State *L, int at, const char *name, lua_Integer low,
                             lua_Integer high, lua_Integer other) {
  if (push(L, at, name)) {
    int ok;
    other = lua_tointegerx(L, -1, &ok);
    if (!ok || other < low || other > high)
      luaL_error(L, "%s: a whole number from %I to %I is expected", name, (LUAI_UACINT)low,
                 (LUAI_UACINT)high);
  }
  lua_pop(L, 1);
  return other;
}

int64_t iz_field_quantity(lua_State *L, int at, const char *name,
                          int64_t (*check)(lua_State *, int), int64_t other) {
  if (push(L, at, name)) other = check(L, lua_gettop(L));
  lua_pop(L, 1);
  return other;
}
