/* lua_class.c -- see lua_class.h. */
#include "lua_class.h"

#include <lauxlib.h>

static void set_function(lua_State *L, const char *key, lua_CFunction f) {
  if (!f) return;
  lua_pushcfunction(L, f);
  lua_setfield(L, -2, key);
}

void iz_class_add(lua_State *L, const iz_class *c) {
  lua_createtable(L, 0, 8);
  luaL_newmetatable(L, c->type);
  lua_pushvalue(L, -2);
  lua_setfield(L, -2, "__index");
  set_function(L, "__gc", c->gc);
  set_function(L, "__close", c->close);
  set_function(L, "__call", c->call);
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
  lua_setfield(L, -2, c->methods);
}
