/* project.c -- finding and opening a project: see project.h.
 *
 * Finding is here, in C, because every script pays for it; what the settings mean is decided in
 * lua/iza/project.lua, which is loaded only inside a project.
 */
#include "vm/project.h"

#include "vm/modules.h"
#include "vm/source.h"

#include <lauxlib.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SETTINGS "/iza.lua"

static char key_root, key_settings, key_problem;

bool iz_project_find(const char *from, char *root, size_t size) {
  char path[PATH_MAX + sizeof SETTINGS];
  if (!realpath(from, path)) return false;
  size_t n = strlen(path);
  for (;;) {
    memcpy(path + n, SETTINGS, sizeof SETTINGS);
    if (n < size && access(path, R_OK) == 0) {
      memcpy(root, path, n);
      root[n] = 0;
      if (n == 0 && size > 1) memcpy(root, "/", 2);
      return true;
    }
    if (n == 0) return false;
    while (n > 0 && path[n - 1] != '/') n--;
    if (n > 0) n--;
  }
}

/* Runs iza.lua and keeps what it returns; its `develop` decides where modules come from. */
static void load_settings(lua_State *L, const char *root) {
  const char *file = lua_pushfstring(L, "%s%s", root, SETTINGS);
  if (iz_source_load(L, file, "t") != LUA_OK) lua_error(L);
  lua_call(L, 0, 1);
  if (!lua_istable(L, -1))
    luaL_error(L, "%s: it must return a table of settings, as in: return {}", file);
  if (lua_getfield(L, -1, "develop") == LUA_TBOOLEAN && lua_toboolean(L, -1))
    iz_modules_develop(L, root);
  lua_pop(L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &key_settings);
  lua_pop(L, 1);
}

void iz_project_open(lua_State *L, const char *from) {
  char root[PATH_MAX];
  if (!iz_project_find(from, root, sizeof root)) return;
  lua_pushstring(L, root);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &key_root);
  iz_modules_add_rocks(L, root);
  lua_pushfstring(L, "%s/lua", root);
  iz_modules_add_dir(L, lua_tostring(L, -1));
  lua_pop(L, 1);
  load_settings(L, root);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "iza.project");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "open");
  lua_call(L, 0, 0);
  lua_pop(L, 1);
}

static int open_from(lua_State *L) {
  iz_project_open(L, lua_tostring(L, 1));
  return 0;
}

void iz_project_try(lua_State *L, const char *from) {
  lua_pushcfunction(L, open_from);
  lua_pushstring(L, from);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) lua_rawsetp(L, LUA_REGISTRYINDEX, &key_problem);
}

/* problem() -> what iz_project_try kept, or nil. */
static int l_problem(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key_problem);
  return 1;
}

int iz_open_project(lua_State *L) {
  lua_createtable(L, 0, 3);
  lua_pushcfunction(L, l_problem);
  lua_setfield(L, -2, "problem");
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key_root);
  lua_setfield(L, -2, "root");
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key_settings);
  lua_setfield(L, -2, "settings");
  return 1;
}
