/* modules.c -- `require` and the global `iza`.
 *
 * require is ours so that a module may wait while it loads (stock require cannot be suspended): a
 * second task that wants it meanwhile waits for the same load. It asks package.searchers in order:
 * package.preload; for iza.* the library (C modules, lua/ of a checkout in develop mode, the
 * embedded lua/); package.path and package.cpath (beside the script, the project, rocks/, the
 * system); the embedded workflows and agents, which a project's own modules thus replace.
 *
 * `iza` is a table whose fields load on first use: iza.http is require "iza.http".
 */
#include "vm/modules.h"

#include "base/clock.h"
#include "vm/embed.h"
#include "vm/project.h"
#include "vm/source.h"

#include <lauxlib.h>
#include <locale.h>
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

static int found_in_iza(lua_State *L) {
  lua_pushliteral(L, "iza");
  return 2;
}

static int search_library(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  if (!strncmp(name, "iza.", 4) && iz_modules_load(L, name)) return found_in_iza(L);
  lua_CFunction open = find_core(name);
  if (!open) return 0;
  lua_pushcfunction(L, open);
  return found_in_iza(L);
}

static int search_embedded(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  if (iz_modules_load(L, name)) return found_in_iza(L);
  lua_pushfstring(L, "no module '%s' in iza", name);
  return 1;
}

/* ---- loads under way ---- */

static char key_loading; /* registry: module name -> loading, fiber -> the one it is in */

/* Stands in require's frame as a <close> variable. User values: 1 the module's name, 2 the name of
 * the module whose load this one waits for, 3 the load around it in the same task. */
typedef struct loading {
  const iz_fiber *fiber;
  iz_waitlist waiters;
} loading;
enum { LOADING_NAME = 1, LOADING_NEEDS, LOADING_OUTER };

static void push_loading(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &key_loading) != LUA_TNIL) return;
  lua_pop(L, 1);
  lua_createtable(L, 0, 2);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &key_loading);
}

/* The load that the running task is in needs the module at `name` (0: none any more). */
static void note_need(lua_State *L, int name) {
  push_loading(L);
  if (lua_rawgetp(L, -1, iz_vm_of(L)->current) == LUA_TUSERDATA) {
    if (name)
      lua_pushvalue(L, name);
    else
      lua_pushnil(L);
    lua_setiuservalue(L, -2, LOADING_NEEDS);
  }
  lua_pop(L, 2);
}

/* Over, well or not: whoever waits looks again. Stack: loading. */
static int load_over(lua_State *L) {
  loading *l = lua_touserdata(L, 1);
  lua_settop(L, 1);
  push_loading(L);
  lua_getiuservalue(L, 1, LOADING_NAME);
  lua_pushnil(L);
  lua_rawset(L, 2);
  lua_getiuservalue(L, 1, LOADING_OUTER);
  if (lua_isuserdata(L, -1)) {
    lua_pushnil(L);
    lua_setiuservalue(L, -2, LOADING_NEEDS);
  }
  lua_rawsetp(L, 2, l->fiber);
  iz_waitlist_wake_all(&l->waiters);
  return 0;
}

/* Pushes the loading of the module at 1. */
static void push_new_load(lua_State *L) {
  note_need(L, 1);
  loading *l = lua_newuserdatauv(L, sizeof *l, 3);
  *l = (loading){.fiber = iz_vm_of(L)->current};
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, LOADING_NAME);
  push_loading(L);
  lua_rawgetp(L, -1, l->fiber);
  lua_setiuservalue(L, -3, LOADING_OUTER);
  lua_pop(L, 1);
  luaL_newmetatable(L, "iza.loading"); /* filled each time: the first may have found no memory */
  lua_pushcfunction(L, load_over);
  lua_setfield(L, -2, "__close");
  lua_setmetatable(L, -2);
}

/* Makes the load at `at` known: a <close> variable already, as this may raise half-way. */
static void begin_load(lua_State *L, int at) {
  loading *l = lua_touserdata(L, at);
  push_loading(L);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, at);
  lua_rawset(L, -3);
  lua_pushvalue(L, at);
  lua_rawsetp(L, -2, l->fiber);
  lua_pop(L, 1);
}

/* Is `fiber` the running one, or one that the running one lives in? */
static bool is_around(lua_State *L, const iz_fiber *fiber) {
  const iz_fiber *f = iz_vm_of(L)->current;
  while (f && f != fiber) f = iz_fiber_parent(f);
  return f == fiber;
}

/* Raises when the load of the module at 1 waits, through others perhaps, for the running task. */
static void refuse_circle(lua_State *L) {
  push_loading(L);
  int table = lua_gettop(L);
  bool circle = false;
  lua_pushvalue(L, 1); /* the path so far */
  lua_pushvalue(L, 1); /* the name looked at */
  for (int i = 0; i < 100 && lua_isstring(L, -1); i++) {
    lua_rawget(L, table);
    loading *l = lua_touserdata(L, -1);
    if (!l) break;
    circle = circle || is_around(L, l->fiber);
    lua_getiuservalue(L, -1, LOADING_NEEDS);
    lua_remove(L, -2);
    if (!lua_isstring(L, -1)) break;
    lua_pushfstring(L, "%s -> %s", lua_tostring(L, -2), lua_tostring(L, -1));
    lua_replace(L, -3);
  }
  const char *name = lua_tostring(L, 1), *path = lua_tostring(L, table + 1);
  if (circle) luaL_error(L, "modules require each other in a circle: %s -> %s", path, name);
  lua_settop(L, 1);
}

/* ---- require ---- */

/* Stack: name, loader data, loading, result. */
static int require_over(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (!lua_isnil(L, 4)) {
    lua_pushvalue(L, 4);
  } else {
    lua_pushvalue(L, 1);
    if (lua_gettable(L, 5) == LUA_TNIL) {
      lua_pop(L, 1);
      lua_pushboolean(L, 1);
    }
  }
  lua_pushvalue(L, 1);
  lua_pushvalue(L, -2);
  lua_settable(L, 5);
  lua_pushvalue(L, 2);
  return 2;
}

/* Leaves the stack as: name, loader data, loader; or, when there is none, as: name, what was
 * tried. */
static bool find_loader(lua_State *L) {
  lua_settop(L, 1);
  if (lua_getfield(L, lua_upvalueindex(1), "searchers") != LUA_TTABLE)
    luaL_error(L, "'package.searchers' must be a table");
  lua_pushliteral(L, ""); /* slot 3: what was tried */
  for (int i = 1; lua_rawgeti(L, 2, i) != LUA_TNIL; i++) {
    lua_pushvalue(L, 1);
    lua_call(L, 1, 2);
    if (lua_isfunction(L, -2)) {
      lua_replace(L, 2);
      lua_replace(L, 3);
      return true;
    }
    lua_pop(L, 1);
    if (lua_isstring(L, -1)) {
      lua_pushfstring(L, "%s\n\t%s", lua_tostring(L, 3), lua_tostring(L, -1));
      lua_replace(L, 3);
    }
    lua_settop(L, 3);
  }
  lua_remove(L, 2);
  lua_settop(L, 2);
  return false;
}

static int l_require(lua_State *L);

static int require_again(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  note_need(L, 0);
  lua_settop(L, 1);
  return l_require(L);
}

static int l_require(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  lua_settop(L, 1);
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_getfield(L, 2, name) != LUA_TNIL) return 1;
  lua_settop(L, 1);
  push_loading(L);
  lua_pushvalue(L, 1);
  lua_rawget(L, 2);
  loading *l = lua_touserdata(L, 3);
  if (l) {
    refuse_circle(L);
    note_need(L, 1);
    return iz_await_list(L, &l->waiters, require_again, 0);
  }
  if (!find_loader(L)) return luaL_error(L, "module '%s' not found:%s", name, lua_tostring(L, 2));
  push_new_load(L);
  lua_insert(L, 3);
  lua_toclose(L, 3);
  begin_load(L, 3);
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
                                      "iza.options",
                                      "iza.nearest",
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
                                      "iza.template_script",
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

static void push_require(lua_State *L) {
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, -1, "_G");
  lua_getfield(L, -1, "require");
  lua_replace(L, -3);
  lua_pop(L, 1);
}

/* Pushes what a field that is no module of iza is looked up with: lua/iza/absent.lua. */
static void push_absent(lua_State *L) {
  push_require(L);
  lua_pushliteral(L, "iza.absent");
  lua_call(L, 1, 1);
}

static bool is_module(lua_State *L, const char *name) {
  const char *path = push_path(L, name, ".lua");
  bool is = iz_embedded_find(path) || find_core(name);
  lua_pop(L, 1);
  return is;
}

/* Stack: iza, key. */
static int iza_index(lua_State *L) {
  if (lua_type(L, 2) != LUA_TSTRING) return 0;
  const char *key = lua_tostring(L, 2), *home = iz_modules_home(key);
  lua_settop(L, 2);
  if (!home && strchr(key, '.')) return 0;
  const char *module = home ? home : lua_pushfstring(L, "iza.%s", key);
  if (is_module(L, module)) {
    push_require(L);
    lua_pushstring(L, module);
  } else {
    push_absent(L);
    lua_pushvalue(L, 2);
  }
  if (!home) lua_remove(L, 3);
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

/* Upvalue: a stock function that loads C code. That code may count on characters (wcwidth,
 * mbstowcs), while Lua and the engine need no locale: its file is 150 kB that a plain script would
 * not use. LC_CTYPE alone, so that numbers keep their point. */
static int with_locale(lua_State *L) {
  static bool set;
  if (!set) setlocale(LC_CTYPE, "C.UTF-8");
  set = true;
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

/* package.searchers becomes: preload, the library, package.path, package.cpath, all-in-one C
 * modules, embedded. */
static void open_require(lua_State *L) {
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "searchers");
  for (lua_Integer i = luaL_len(L, -1); i >= 2; i--) {
    lua_rawgeti(L, -1, i);
    if (i > 2) lua_pushcclosure(L, with_locale, 1); /* behind the one for Lua files: C */
    lua_rawseti(L, -2, i + 1);
  }
  lua_getfield(L, -2, "loadlib");
  lua_pushcclosure(L, with_locale, 1);
  lua_setfield(L, -3, "loadlib");
  lua_pushcfunction(L, search_library);
  lua_rawseti(L, -2, 2);
  lua_pushcfunction(L, search_embedded);
  lua_rawseti(L, -2, luaL_len(L, -2) + 1);
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
