/* sandbox.c -- the environment of isolates: see sandbox.h. */
#include "vm/sandbox.h"

#include "vm/modules.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <string.h>

#define MAX_CHUNK (256 << 10) /* bytes that `load` takes */

static char key_frozen, key_env_meta;

/* ---- frozen tables ---- */

static int refuse_write(lua_State *L) {
  return luaL_error(L, "this table is read-only here (field '%s')", luaL_tolstring(L, 2, NULL));
}

static int frozen_next(lua_State *L) {
  lua_settop(L, 2);
  if (lua_next(L, 1)) return 2;
  lua_pushnil(L);
  return 1;
}

/* pairs over the frozen content, not over the empty view. */
static int frozen_pairs(lua_State *L) {
  lua_pushcfunction(L, frozen_next);
  lua_getmetatable(L, 1);
  lua_getfield(L, -1, "__index");
  lua_remove(L, -2);
  lua_pushnil(L);
  return 3;
}

void iz_sandbox_freeze(lua_State *L) {
  lua_createtable(L, 0, 0);
  lua_createtable(L, 0, 4);
  lua_rotate(L, -3, -1); /* view meta content */
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, refuse_write);
  lua_setfield(L, -2, "__newindex");
  lua_pushcfunction(L, frozen_pairs);
  lua_setfield(L, -2, "__pairs");
  lua_pushlightuserdata(L, &key_frozen);
  lua_setfield(L, -2, "__metatable");
  lua_setmetatable(L, -2);
}

static bool is_frozen(lua_State *L, int index) {
  if (luaL_getmetafield(L, index, "__metatable") == LUA_TNIL) return false;
  bool frozen = lua_touserdata(L, -1) == &key_frozen;
  lua_pop(L, 1);
  return frozen;
}

static int safe_rawset(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checkany(L, 3);
  if (is_frozen(L, 1)) return refuse_write(L);
  lua_settop(L, 3);
  lua_rawset(L, 1);
  return 1;
}

/* ---- changed base functions ---- */

static int safe_setmetatable(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_argexpected(L, lua_isnil(L, 2) || lua_istable(L, 2), 2, "nil or table");
  lua_settop(L, 2);
  if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
    return luaL_error(L, "cannot change a protected metatable");
  if (lua_istable(L, 2)) {
    lua_pushliteral(L, "__gc");
    if (lua_rawget(L, 2) != LUA_TNIL)
      return luaL_error(L, "finalisers (__gc) do not run here; use a <close> variable");
    lua_pop(L, 1);
  }
  lua_setmetatable(L, 1);
  return 1;
}

static int safe_collectgarbage(lua_State *L) {
  const char *what = luaL_optstring(L, 1, "collect");
  if (strcmp(what, "count") != 0)
    return luaL_error(L, "collectgarbage(\"%s\") is not available here; only \"count\" is", what);
  lua_pushnumber(L, (lua_Number)iz_vm_of(L)->mem_used / 1024);
  return 1;
}

/* load(chunk, name, mode, env): text only; the environment is the run's own unless given. */
static int safe_load(lua_State *L) {
  bool own_env = lua_gettop(L) >= 4;
  lua_settop(L, 4);
  size_t n;
  const char *text = luaL_checklstring(L, 1, &n);
  const char *name = luaL_optstring(L, 2, text);
  if (n > MAX_CHUNK) { /* compiling is not interruptible: this takes 10 ms */
    lua_pushnil(L);
    lua_pushfstring(L, "a chunk may have %d bytes at most here", MAX_CHUNK);
    return 2;
  }
  if (luaL_loadbufferx(L, text, n, name, "t") != LUA_OK) {
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
  }
  lua_pushvalue(L, own_env ? 4 : lua_upvalueindex(1));
  if (!lua_setupvalue(L, -2, 1)) lua_pop(L, 1);
  return 1;
}

static int print_line(lua_State *L) {
  int n = lua_gettop(L);
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (int i = 1; i <= n; i++) {
    if (i > 1) luaL_addchar(&b, '\t');
    luaL_tolstring(L, i, NULL);
    luaL_addvalue(&b);
  }
  luaL_addchar(&b, '\n');
  luaL_pushresult(&b);
  size_t len;
  const char *line = lua_tolstring(L, -1, &len);
  fwrite(line, 1, len, stdout);
  return 0;
}

/* ---- opening ---- */

static void remove_fields(lua_State *L, const char *const *names) {
  for (; *names; names++) {
    lua_pushnil(L);
    lua_setfield(L, -2, *names);
  }
}

static void keep_fields(lua_State *L, const char *const *names) {
  lua_createtable(L, 0, 4);
  for (; *names; names++) {
    lua_getfield(L, -2, *names);
    lua_setfield(L, -2, *names);
  }
  lua_replace(L, -2);
}

static void open_base(lua_State *L) {
  static const char *const unsafe[] = {"dofile", "loadfile", "warn", "_G", NULL};
  static const luaL_Reg changed[] = {{"rawset", safe_rawset},
                                     {"setmetatable", safe_setmetatable},
                                     {"collectgarbage", safe_collectgarbage},
                                     {"print", print_line},
                                     {NULL, NULL}};
  lua_pushcfunction(L, luaopen_base);
  lua_call(L, 0, 1);
  remove_fields(L, unsafe);
  luaL_setfuncs(L, changed, 0);
  lua_pop(L, 1);
  iz_co_open(L);
}

/* Calls open, lets `change` work on the library table, freezes it and makes it a global. */
static void open_lib(lua_State *L, const char *name, lua_CFunction open,
                     void (*change)(lua_State *L)) {
  lua_pushcfunction(L, open);
  lua_call(L, 0, 1);
  if (change) change(L);
  iz_sandbox_freeze(L);
  lua_setglobal(L, name);
}

static void change_string(lua_State *L) {
  static const char *const unsafe[] = {"dump", NULL};
  remove_fields(L, unsafe);
  iz_sandbox_bound_string(L);
  /* ("x"):upper() finds the same functions, and the metatable cannot be reached */
  lua_pushliteral(L, "");
  lua_getmetatable(L, -1);
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 2);
}

static void change_os(lua_State *L) {
  static const char *const safe[] = {"time", "date", "clock", "difftime", NULL};
  keep_fields(L, safe);
}

static int get_coroutine(lua_State *L) {
  lua_getglobal(L, "coroutine");
  return 1;
}

/* Stack: environment, name. */
static int undefined(lua_State *L) {
  lua_pushglobaltable(L);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, -2) != LUA_TNIL) return 1;
  return luaL_error(L, "undefined name '%s'", luaL_tolstring(L, 2, NULL));
}

static int no_globals(lua_State *L) {
  return luaL_error(L, "assignment to the undeclared name '%s'; make it local",
                    luaL_tolstring(L, 2, NULL));
}

static void open_env_meta(lua_State *L) {
  lua_createtable(L, 0, 3);
  lua_pushcfunction(L, undefined);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, no_globals);
  lua_setfield(L, -2, "__newindex");
  lua_pushlightuserdata(L, &key_frozen);
  lua_setfield(L, -2, "__metatable");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &key_env_meta);
}

void iz_sandbox_open(lua_State *L) {
  open_base(L);
  open_lib(L, "coroutine", get_coroutine, NULL);
  open_lib(L, "string", luaopen_string, change_string);
  open_lib(L, "table", luaopen_table, iz_sandbox_bound_table);
  open_lib(L, "math", luaopen_math, NULL);
  open_lib(L, "utf8", luaopen_utf8, NULL);
  open_lib(L, "os", luaopen_os, change_os);
  open_env_meta(L);
}

/* ---- programs ---- */

typedef struct pieces {
  const char *text[3];
  size_t size[3];
  int next;
} pieces;

static const char *next_piece(lua_State *L, void *ud, size_t *size) {
  (void)L;
  pieces *p = ud;
  while (p->next < 3 && !p->size[p->next]) p->next++;
  if (p->next == 3) return NULL;
  *size = p->size[p->next];
  return p->text[p->next++];
}

/* A shebang line stays a line, so that numbers agree. */
static size_t shebang(const char *text, size_t n) {
  if (!n || text[0] != '#') return 0;
  const char *nl = memchr(text, '\n', n);
  return nl ? (size_t)(nl - text) : n;
}

void iz_sandbox_compile(lua_State *L, const char *text, size_t n, const char *name) {
  static const char head[] = "return function(_ENV, ...) ", tail[] = "\nend";
  size_t skip = shebang(text, n);
  /* alone first: its errors are then its own, and it cannot close our function early */
  if (luaL_loadbufferx(L, text + skip, n - skip, name, "t") != LUA_OK) lua_error(L);
  lua_pop(L, 1);
  pieces p = {{head, text + skip, tail}, {sizeof head - 1, n - skip, sizeof tail - 1}, 0};
  if (lua_load(L, next_piece, &p, name, "t") != LUA_OK) lua_error(L);
  lua_call(L, 0, 1);
}

/* ---- require in a run ---- */

/* Upvalues: 1 modules (name -> program), 2 environment, 3 what is loaded. Stack: name, module. */
static int required(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  lua_settop(L, 2);
  if (lua_isnil(L, 2)) {
    lua_pushboolean(L, 1);
    lua_replace(L, 2);
  }
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 2);
  lua_rawset(L, lua_upvalueindex(3));
  return 1;
}

static int run_require(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  lua_settop(L, 1);
  lua_pushvalue(L, 1);
  if (lua_rawget(L, lua_upvalueindex(3)) != LUA_TNIL) return 1;
  lua_settop(L, 1);
  lua_pushvalue(L, 1);
  if (lua_istable(L, lua_upvalueindex(1)) &&
      lua_gettable(L, lua_upvalueindex(1)) == LUA_TFUNCTION) {
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_pushvalue(L, 1);
    lua_callk(L, 2, 1, 0, required);
    return required(L, LUA_OK, 0);
  }
  lua_settop(L, 1);
  if (!strcmp(name, "iza")) {
    lua_getglobal(L, "iza");
    return 1;
  }
  if (!strncmp(name, "iza.", 4)) {
    lua_getglobal(L, "iza");
    lua_getfield(L, -1, name + 4);
    return 1;
  }
  return luaL_error(L,
                    "module '%s' is not part of this program: it must stand in the project as "
                    "lua/… and be required with a constant name",
                    name);
}

void iz_sandbox_env(lua_State *L, int modules) {
  modules = lua_absindex(L, modules);
  lua_createtable(L, 0, 3);
  int env = lua_gettop(L);
  lua_pushvalue(L, modules);
  lua_pushvalue(L, env);
  lua_createtable(L, 0, 0);
  lua_pushcclosure(L, run_require, 3);
  lua_setfield(L, env, "require");
  lua_pushvalue(L, env);
  lua_pushcclosure(L, safe_load, 1);
  lua_setfield(L, env, "load");
  lua_pushvalue(L, env);
  lua_setfield(L, env, "_G");
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key_env_meta);
  lua_setmetatable(L, env);
}
