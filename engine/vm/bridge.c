/* bridge.c -- calls out of an isolate: see bridge.h.
 *
 * Whatever may raise in the main state runs there as a protected call of its own: an error of one
 * state must never unwind the C frames of another.
 */
#include "vm/bridge.h"

#include "vm/handle.h"
#include "vm/modules.h"
#include "vm/sandbox.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#define STUB "iza.stub"

static char key_isolates, key_anchors, key_native;

iz_isolate *iz_bridge_isolate(lua_State *I) {
  return iz_vm_of(I)->owner;
}

/* ---- finding the isolate's userdata in the main state ---- */

static void push_registry(lua_State *L, void *key, const char *mode) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, key) != LUA_TNIL) return;
  lua_pop(L, 1);
  lua_createtable(L, 0, 1);
  if (mode) {
    lua_createtable(L, 0, 1);
    lua_pushstring(L, mode);
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
  }
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, key);
}

void iz_bridge_remember(lua_State *L, iz_isolate *iso, int index) {
  index = lua_absindex(L, index);
  push_registry(L, &key_anchors, NULL);
  lua_pushboolean(L, 0); /* makes the place, so that holding it later cannot fail */
  lua_rawsetp(L, -2, iso);
  push_registry(L, &key_isolates, "v");
  lua_pushvalue(L, index);
  lua_rawsetp(L, -2, iso);
  lua_pop(L, 2);
}

void iz_bridge_push_isolate(lua_State *L, iz_isolate *iso) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key_isolates);
  lua_rawgetp(L, -1, iso);
  lua_remove(L, -2);
}

void iz_bridge_anchor(iz_isolate *iso, bool hold) {
  lua_State *L = iso->home->L;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key_anchors);
  if (hold)
    iz_bridge_push_isolate(L, iso);
  else
    lua_pushboolean(L, 0);
  lua_rawsetp(L, -2, iso);
  lua_pop(L, 1);
}

/* ---- crossing ---- */

bool iz_bridge_enter(lua_State *from, lua_State *to, lua_CFunction fn, void *ctx, int n,
                     int results, const iz_copy_rules *rules, const char *code, iz_err *err) {
  if (!lua_checkstack(to, 8)) return iz_fail_oom(err);
  lua_pushcfunction(to, fn);
  lua_pushlightuserdata(to, ctx);
  if (!iz_copy(from, to, n, rules, err)) {
    lua_pop(to, 2);
    return false;
  }
  if (lua_pcall(to, n + 1, results, 0) == LUA_OK) return true;
  const char *text = lua_tostring(to, -1);
  iz_fail(err, code, "%s", text ? text : "the call into the other state failed");
  lua_pop(to, 1);
  return false;
}

int iz_bridge_take(lua_State *L, iz_fiber *f, const iz_copy_rules *rules) {
  iz_err err;
  bool failed = f->failed;
  int n = failed ? 1 : lua_gettop(f->co);
  bool copied = iz_copy(f->co, L, n, rules, &err);
  iz_fiber_unpin(f);
  if (!copied) return iz_raise(L, &err);
  return failed ? lua_error(L) : n;
}

/* Protected in the main state. Stack: call, args... */
static int spawn_call(lua_State *H) {
  iz_bridge_call *c = lua_touserdata(H, 1);
  int n = lua_gettop(H) - 1;
  luaL_checkstack(H, n + 8, NULL);
  int before = lua_gettop(H);
  c->push(H, c);
  for (int i = 0; i < n; i++) lua_pushvalue(H, 2 + i);
  c->fiber = iz_fiber_spawn(H, lua_gettop(H) - before - 1, c->scope, 0);
  c->fiber->crossing = c->fiber->pinned = true;
  return 0;
}

static int call_over(lua_State *I, int status, lua_KContext ctx) {
  (void)status;
  iz_copy_rules rules = iz_handle_give(iz_bridge_isolate(I));
  return iz_bridge_take(I, (iz_fiber *)ctx, &rules);
}

int iz_bridge_cross(lua_State *I, iz_bridge_call *c, int n) {
  iz_await_check(I);
  c->iso = iz_bridge_isolate(I);
  c->scope = &iz_lua_task(I)->own;
  iz_copy_rules rules = iz_handle_resolve(c->iso, false);
  iz_err err;
  if (!iz_bridge_enter(I, c->iso->home->L, spawn_call, c, n, 0, &rules, "bridge", &err))
    return iz_raise(I, &err);
  return iz_fiber_await(I, c->fiber, call_over);
}

/* ---- stubs ---- */

/* A module's function is called by the isolate's bridge, with its path before the arguments. */
static void push_bridge(lua_State *H, const iz_bridge_call *c) {
  iz_bridge_push_isolate(H, c->iso);
  lua_getiuservalue(H, -1, IZ_BRIDGE_FUNCTION);
  lua_remove(H, -2);
  lua_pushstring(H, c->path);
}

/* Stack: stub, args... */
static int stub_call(lua_State *I) {
  luaL_checkudata(I, 1, STUB);
  int n = lua_gettop(I) - 1;
  lua_getiuservalue(I, 1, 1);
  iz_bridge_call c = {.push = push_bridge, .path = lua_tostring(I, -1)};
  lua_insert(I, 1); /* the path stays anchored below */
  return iz_bridge_cross(I, &c, n);
}

/* The path on top is replaced by its stub. */
static void push_stub(lua_State *I) {
  lua_newuserdatauv(I, 0, 1);
  lua_insert(I, -2);
  lua_setiuservalue(I, -2, 1);
  luaL_setmetatable(I, STUB);
}

static int stub_index(lua_State *I) {
  luaL_checkudata(I, 1, STUB);
  const char *key = luaL_checkstring(I, 2);
  lua_getiuservalue(I, 1, 1);
  lua_pushfstring(I, "%s.%s", lua_tostring(I, -1), key);
  push_stub(I);
  return 1;
}

/* ---- the global iza ---- */

/* Stack: name. What lua/iza's native modules are loaded with. */
static int native_require(lua_State *I) {
  const char *name = luaL_checkstring(I, 1);
  lua_settop(I, 1);
  push_registry(I, &key_native, NULL);
  lua_pushvalue(I, 1);
  if (lua_rawget(I, 2) != LUA_TNIL) return 1;
  lua_settop(I, 2);
  if (!iz_modules_native(I, name)) return luaL_error(I, "module '%s' is not native", name);
  lua_pushvalue(I, 1);
  lua_call(I, 1, 1);
  lua_pushvalue(I, 1);
  lua_pushvalue(I, -2);
  lua_rawset(I, 2);
  return 1;
}

/* Stack: iza, key. */
static int iza_index(lua_State *I) {
  const char *key = luaL_checkstring(I, 2);
  lua_settop(I, 2);
  const char *home = iz_modules_home(key);
  char name[64];
  snprintf(name, sizeof name, "%s%.40s", home ? "" : "iza.", home ? home : key);
  if (!iz_modules_is_native(name)) {
    lua_pushvalue(I, 2);
    push_stub(I);
  } else {
    lua_pushcfunction(I, native_require);
    lua_pushstring(I, name);
    lua_call(I, 1, 1);
    if (home) {
      lua_getfield(I, -1, key);
      lua_replace(I, -2);
    } else if (lua_istable(I, -1)) {
      iz_sandbox_freeze(I);
    }
  }
  lua_pushvalue(I, 2);
  lua_pushvalue(I, -2);
  lua_rawset(I, 1);
  return 1;
}

void iz_bridge_class(lua_State *I, const char *name, const luaL_Reg *methods) {
  luaL_newmetatable(I, name);
  luaL_setfuncs(I, methods, 0);
  lua_pushboolean(I, 0);
  lua_setfield(I, -2, "__metatable");
  lua_pop(I, 1);
}

void iz_bridge_open(lua_State *I) {
  static const luaL_Reg of_stub[] = {{"__index", stub_index}, {"__call", stub_call}, {NULL, NULL}};
  iz_bridge_class(I, STUB, of_stub);
  iz_handle_open(I);
  lua_pushcfunction(I, native_require);
  lua_setglobal(I, "require");
  iz_open_task(I);
  push_registry(I, &key_native, NULL);
  lua_pushvalue(I, -2);
  lua_setfield(I, -2, "iza.core.task");
  lua_pop(I, 1);
  lua_createtable(I, 0, 1);
  lua_pushcfunction(I, iza_index);
  lua_setfield(I, -2, "__index");
  lua_setmetatable(I, -2);
  iz_sandbox_freeze(I);
  lua_setglobal(I, "iza");
}
