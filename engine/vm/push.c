/* push.c -- see push.h. */
#include "push.h"

static int push_bytes(lua_State *L) {
  const iz_buf *b = lua_touserdata(L, 1);
  lua_pushlstring(L, b->len ? b->data : "", b->len);
  return 1;
}

int iz_push_buf(lua_State *L, iz_buf *b) {
  lua_pushcfunction(L, push_bytes);
  lua_pushlightuserdata(L, b);
  int status = lua_pcall(L, 1, 1, 0);
  iz_buf_free(b);
  return status == LUA_OK ? 1 : lua_error(L);
}
