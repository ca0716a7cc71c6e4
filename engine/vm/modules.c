/* modules.c -- `require` and the global `iza`.
 *
 * require is ours so that a module may wait while it loads (stock require cannot be suspended). It
 * asks package.searchers in order: package.preload, C modules `iza.core.NAME`, lua/ of a checkout
 * in develop mode, the embedded lua/, then package.path and package.cpath (beside the script, the
 * project, rocks/, the system).
 *
 * `iza` is a table whose fields load on first use: iza.http is require "iza.http".
 */
#include "vm/modules.h"

#include "base/clock.h"
#include "vm/embed.h"
#include "vm/project.h"
#include "vm/source.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- C modules ---- */

/* Lua: iza.core.clock, what iza.time and others read the time from. */
static int clock_now(lua_State *L) {
  lua_pushnumber(L, (lua_Number)iz_now() / 1e9);
  return 1;
}

static int clock_wall(lua_State *L) {
  lua_pushnumber(L, (lua_Number)iz_wall() / 1e9);
  return 1;
}

static int clock_wall_ns(lua_State *L) {
  lua_pushinteger(L, iz_wall());
  return 1;
}

static int iz_open_clock(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"now", clock_now}, {"wall", clock_wall}, {"wall_ns", clock_wall_ns}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}

typedef struct c_module {
  const char *name;
  lua_CFunction open;
} c_module;

int iz_open_channel(lua_State *L);
int luaopen_cjson(lua_State *L);
int iz_open_embedded(lua_State *L);
int iz_open_host(lua_State *L);
int iz_open_repl(lua_State *L);
int iz_open_json(lua_State *L);
int iz_open_csv(lua_State *L);
int iz_open_http_server(lua_State *L);
int iz_open_http_client(lua_State *L);
int iz_open_crypto(lua_State *L);
int iz_open_term(lua_State *L);
int iz_open_zone(lua_State *L);
int iz_open_exec(lua_State *L);
int iz_open_fs(lua_State *L);
int iz_open_isolate(lua_State *L);

static const c_module c_modules[] = {
    {"iza.core.task", iz_open_task},
    {"iza.core.channel", iz_open_channel},
    {"iza.core.clock", iz_open_clock},
    {"iza.core.isolate", iz_open_isolate},
    {"iza.core.repl", iz_open_repl},
    {"iza.core.json", iz_open_json},
    {"iza.core.csv", iz_open_csv},
    {"iza.core.http_server", iz_open_http_server},
    {"iza.core.http_client", iz_open_http_client},
    {"iza.core.crypto", iz_open_crypto},
    {"iza.core.term", iz_open_term},
    {"iza.core.zone", iz_open_zone},
    {"iza.core.exec", iz_open_exec},
    {"iza.core.fs", iz_open_fs},
    {"iza.core.embedded", iz_open_embedded},
    {"iza.core.host", iz_open_host},
    {"iza.core.project", iz_open_project},
    {"cjson", luaopen_cjson},
};

static lua_CFunction find_c_module(const char *name) {
  for (size_t i = 0; i < sizeof c_modules / sizeof *c_modules; i++)
    if (!strcmp(c_modules[i].name, name)) return c_modules[i].open;
  return NULL;
}

/* iza.json without a Lua file is iza.core.json. */
static lua_CFunction find_core(const char *name) {
  if (strncmp(name, "iza.", 4) != 0) return find_c_module(name);
  char core[64];
  int n = snprintf(core, sizeof core, "iza.core.%s", name + 4);
  lua_CFunction open = find_c_module(name);
  return open || n >= (int)sizeof core ? open : find_c_module(core);
}

/* ---- Lua modules ---- */

static char key_develop;

/* Pushes lua/a/b.lua or lua/a/b/init.lua. */
static const char *push_path(lua_State *L, const char *name, const char *tail) {
  luaL_gsub(L, name, ".", "/");
  lua_pushfstring(L, "lua/%s%s", lua_tostring(L, -1), tail);
  lua_remove(L, -2);
  return lua_tostring(L, -1);
}

static bool load_developed(lua_State *L, const char *path) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key_develop);
  const char *dir = lua_tostring(L, -1);
  const char *file = dir ? lua_pushfstring(L, "%s/%s", dir, path) : NULL;
  bool there = file && access(file, R_OK) == 0;
  if (there && iz_source_load(L, file, "t") != LUA_OK) lua_error(L);
  if (there) lua_insert(L, -3);
  lua_pop(L, file ? 2 : 1);
  return there;
}

static bool load_embedded(lua_State *L, const char *path) {
  const iz_embedded *e = iz_embedded_find(path);
  if (!e) return false;
  const char *chunk = lua_pushfstring(L, "@%s", path);
  if (luaL_loadbufferx(L, e->data, e->size, chunk, "t") != LUA_OK) lua_error(L);
  lua_remove(L, -2); /* the chunk's name */
  return true;
}

bool iz_modules_load(lua_State *L, const char *name) {
  static const char *const tails[] = {".lua", "/init.lua"};
  for (int i = 0; i < 2; i++) {
    const char *path = push_path(L, name, tails[i]);
    if (load_developed(L, path) || load_embedded(L, path)) {
      lua_remove(L, -2);
      return true;
    }
    lua_pop(L, 1);
  }
  return false;
}

static int search_iza(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  if (iz_modules_load(L, name)) {
    lua_pushliteral(L, "iza");
    return 2;
  }
  lua_CFunction open = find_core(name);
  if (!open) {
    lua_pushfstring(L, "no module '%s' in iza", name);
    return 1;
  }
  lua_pushcfunction(L, open);
  lua_pushliteral(L, "iza");
  return 2;
}

/* ---- require ---- */

/* Stack: name, loader data, result. */
static int require_over(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (!lua_isnil(L, 3)) {
    lua_pushvalue(L, 3);
  } else {
    lua_pushvalue(L, 1);
    if (lua_gettable(L, 4) == LUA_TNIL) {
      lua_pop(L, 1);
      lua_pushboolean(L, 1);
    }
  }
  lua_pushvalue(L, 1);
  lua_pushvalue(L, -2);
  lua_settable(L, 4);
  lua_pushvalue(L, 2);
  return 2;
}

/* Leaves the stack as: name, loader data, loader. Raises with everything that was tried. */
static void find_loader(lua_State *L, const char *name) {
  lua_settop(L, 1);
  if (lua_getfield(L, lua_upvalueindex(1), "searchers") != LUA_TTABLE)
    luaL_error(L, "'package.searchers' must be a table");
  lua_pushliteral(L, ""); /* slot 3: what was tried */
  for (int i = 1; lua_rawgeti(L, 2, i) != LUA_TNIL; i++) {
    lua_pushstring(L, name);
    lua_call(L, 1, 2);
    if (lua_isfunction(L, -2)) {
      lua_replace(L, 2);
      lua_replace(L, 3);
      return;
    }
    lua_pop(L, 1);
    if (lua_isstring(L, -1)) {
      lua_pushfstring(L, "%s\n\t%s", lua_tostring(L, 3), lua_tostring(L, -1));
      lua_replace(L, 3);
    }
    lua_settop(L, 3);
  }
  luaL_error(L, "module '%s' not found:%s", name, lua_tostring(L, 3));
}

static int l_require(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  lua_settop(L, 1);
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_getfield(L, 2, name) != LUA_TNIL) return 1;
  find_loader(L, name);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 2);
  lua_callk(L, 2, 1, 0, require_over);
  return require_over(L, LUA_OK, 0);
}

/* ---- the global iza ---- */

static bool is_one_of(const char *word, const char *const *list) {
  for (; *list; list++)
    if (!strcmp(word, *list)) return true;
  return false;
}

const char *iz_modules_home(const char *key) {
  static const char *const in_task[] = {"all", "race", "timeout", "channel", "select", NULL};
  return is_one_of(key, in_task) ? "iza.task" : NULL;
}

bool iz_modules_is_native(const char *name) {
  static const char *const native[] = {"iza.task", "iza.json",     "iza.time",
                                       "iza.url",  "iza.template", NULL};
  return is_one_of(name, native);
}

bool iz_modules_native(lua_State *L, const char *name) {
  static const char *const parts[] = {"iza.fail",
                                      "iza.misuse",
                                      "iza.calendar",
                                      "iza.duration",
                                      "iza.zone",
                                      "iza.template_compile",
                                      "iza.core.task",
                                      "iza.core.channel",
                                      "iza.core.clock",
                                      "iza.core.json",
                                      "iza.core.zone",
                                      "iza.template_html",
                                      NULL};
  if (!iz_modules_is_native(name) && !is_one_of(name, parts)) return false;
  if (iz_modules_load(L, name)) return true;
  lua_CFunction open = find_core(name);
  if (open) lua_pushcfunction(L, open);
  return open != NULL;
}

/* Stack: iza, key, module. */
static int field_loaded(lua_State *L, int status, lua_KContext shared) {
  (void)status;
  lua_settop(L, 3);
  if (shared) lua_getfield(L, 3, lua_tostring(L, 2));
  lua_pushvalue(L, 2);
  lua_pushvalue(L, -2);
  lua_rawset(L, 1);
  return 1;
}

static int iza_index(lua_State *L) {
  if (lua_type(L, 2) != LUA_TSTRING) return 0;
  const char *key = lua_tostring(L, 2), *home = iz_modules_home(key);
  lua_settop(L, 2);
  const char *module = home ? home : lua_pushfstring(L, "iza.%s", key);
  if (!home && strchr(key, '.')) return 0;
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, -1, "_G");
  lua_getfield(L, -1, "require");
  lua_pushstring(L, module);
  lua_replace(L, 3);
  lua_replace(L, 4);
  lua_settop(L, 4);
  lua_insert(L, 3); /* iza key require name */
  lua_callk(L, 1, 1, home != NULL, field_loaded);
  return field_loaded(L, LUA_OK, home != NULL);
}

static void open_iza(lua_State *L) {
  iz_open_task(L);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, iza_index);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushvalue(L, -2);
  lua_setfield(L, -2, "iza");
  lua_pop(L, 1);
  lua_setglobal(L, "iza");
}

static void open_require(lua_State *L) {
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "searchers");
  for (lua_Integer i = luaL_len(L, -1); i >= 2; i--) {
    lua_rawgeti(L, -1, i);
    lua_rawseti(L, -2, i + 1);
  }
  lua_pushcfunction(L, search_iza);
  lua_rawseti(L, -2, 2);
  lua_pop(L, 1);
  lua_pushcclosure(L, l_require, 1);
  lua_setglobal(L, "require");
}

void iz_modules_open(lua_State *L) {
  luaL_openlibs(L);
  iz_co_open(L);
  iz_source_open(L);
  open_require(L);
  open_iza(L);
}

static void prepend(lua_State *L, const char *field, const char *dir, const char *const *patterns) {
  lua_getglobal(L, "package");
  lua_getfield(L, -1, field);
  const char *old = lua_tostring(L, -1);
  for (; *patterns; patterns++) {
    old = lua_pushfstring(L, "%s/%s;%s", dir, *patterns, old ? old : "");
    lua_replace(L, -2);
  }
  lua_setfield(L, -2, field);
  lua_pop(L, 1);
}

void iz_modules_add_dir(lua_State *L, const char *dir) {
  static const char *const lua[] = {"?/init.lua", "?.lua", NULL};
  static const char *const c[] = {"?.so", NULL};
  prepend(L, "path", dir, lua);
  prepend(L, "cpath", dir, c);
}

void iz_modules_add_rocks(lua_State *L, const char *root) {
  static const char *const lua[] = {"rocks/share/lua/5.4/?/init.lua", "rocks/share/lua/5.4/?.lua",
                                    NULL};
  static const char *const c[] = {"rocks/lib/lua/5.4/?.so", NULL};
  prepend(L, "path", root, lua);
  prepend(L, "cpath", root, c);
}

void iz_modules_develop(lua_State *L, const char *dir) {
  lua_pushstring(L, dir);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &key_develop);
}
