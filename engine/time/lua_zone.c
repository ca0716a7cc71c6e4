/* lua_zone.c -- iza.core.zone: zone.h for Lua. */
#include "time/zone.h"

#include "vm/await.h"
#include "vm/push.h"

#include <lauxlib.h>
#include <string.h>

int iz_open_zone(lua_State *L);

/* read(name) -> the zone file's bytes, or nil and an error. */
static int l_read(lua_State *L) {
  size_t n;
  const char *name = luaL_checklstring(L, 1, &n);
  iz_buf b = {0};
  iz_err err;
  bool ok = n == strlen(name) ? iz_zone_read(name, &b, &err)
                              : iz_fail(&err, "invalid", "not the name of a time zone");
  if (ok) return iz_push_buf(L, &b);
  iz_buf_free(&b);
  return iz_push_error(L, &err);
}

/* local_name() -> the name of this machine's zone. */
static int l_local_name(lua_State *L) {
  char name[IZ_ZONE_NAME_MAX + 1];
  iz_zone_local(name);
  lua_pushstring(L, name);
  return 1;
}

int iz_open_zone(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"read", l_read},
      {"local_name", l_local_name},
      {NULL, NULL},
  };
  luaL_newlib(L, functions);
  return 1;
}
