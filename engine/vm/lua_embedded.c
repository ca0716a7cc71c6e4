/* lua_embedded.c -- iza.core.embedded: the files inside the program, for Lua (help, sources). */
#include "vm/embed.h"
#include "vm/vm.h"

#include <lauxlib.h>
#include <string.h>

int iz_open_embedded(lua_State *L);

/* read(path) -> the bytes, or nil. */
static int l_read(lua_State *L) {
  const iz_embedded *e = iz_embedded_find(luaL_checkstring(L, 1));
  if (e)
    lua_pushlstring(L, e->data, e->size);
  else
    lua_pushnil(L);
  return 1;
}

/* list(prefix) -> the paths that begin with it, sorted. */
static int l_list(lua_State *L) {
  size_t n;
  const char *prefix = luaL_optlstring(L, 1, "", &n);
  const iz_embedded *e;
  lua_newtable(L);
  lua_Integer found = 0;
  for (size_t i = 0; (e = iz_embedded_at(i)); i++) {
    if (strncmp(e->path, prefix, n) != 0) continue;
    lua_pushstring(L, e->path);
    lua_rawseti(L, -2, ++found);
  }
  return 1;
}

int iz_open_embedded(lua_State *L) {
  static const luaL_Reg functions[] = {{"read", l_read}, {"list", l_list}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
