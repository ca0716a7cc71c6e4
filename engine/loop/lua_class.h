/* lua_class.h -- the metatable of an object whose methods are written in Lua. */
#ifndef IZ_LUA_CLASS_H
#define IZ_LUA_CLASS_H

#include <lua.h>

typedef struct iz_class {
  const char *type;    /* the metatable's name, for luaL_checkudata */
  const char *methods; /* the field of the module through which Lua fills in the methods */
  lua_CFunction gc, close, call; /* close and call may be NULL */
} iz_class;

/* Makes the metatable and puts an empty method table into the module table on top of the stack. */
void iz_class_add(lua_State *L, const iz_class *c);

#endif
