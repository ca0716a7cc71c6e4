/* isolate.c -- making isolates, calling into them: see isolate.h. bridge.c is the way out.
 *
 * The two directions are the same: copy the arguments, spawn a fiber in the other state inside the
 * caller's own scope (so that cancelling reaches it), await it, copy the results.
 */
#include "vm/isolate.h"

#include "vm/bridge.h"
#include "vm/copy.h"
#include "vm/field.h"
#include "vm/handle.h"
#include "vm/sandbox.h"
#include "vm/source.h"
#include "vm/warm.h"

#include <lauxlib.h>
#include <string.h>

#define ISOLATE "iza.isolate"
#define DEFAULT_MEMORY (64 << 20)

static char key_programs;

static iz_isolate *check_isolate(lua_State *L) {
  iz_isolate *iso = luaL_checkudata(L, 1, ISOLATE);
  if (!iso->vm) luaL_error(L, "the isolate is closed");
  return iso;
}

/* ---- loading programs ---- */

typedef struct source {
  const char *text, *name;
  size_t size;
  lua_State *home; /* its stack index `modules` holds name -> source, or nil */
  int modules;
} source;

/* Compiles the modules into the table on top. Each is {source, chunk name}. */
static void load_modules(lua_State *L, const source *s) {
  lua_State *home = s->home;
  for (lua_pushnil(home); lua_next(home, s->modules); lua_pop(home, 1)) {
    lua_rawgeti(home, -1, 1);
    lua_rawgeti(home, -2, 2);
    size_t n;
    const char *name = lua_tostring(home, -4), *text = lua_tolstring(home, -2, &n);
    const char *chunk = lua_tostring(home, -1);
    if (!name || !text || !chunk) luaL_error(L, "a module must be {source, chunk name}");
    lua_pushstring(L, name);
    iz_sandbox_compile(L, text, n, chunk);
    lua_rawset(L, -3);
    lua_pop(home, 2);
  }
}

/* Protected in the isolate. Stores {program, modules}; returns its number. */
static int load_program(lua_State *L) {
  const source *s = lua_touserdata(L, 1);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key_programs);
  lua_createtable(L, 2, 0);
  iz_sandbox_compile(L, s->text, s->size, s->name);
  lua_rawseti(L, -2, 1);
  lua_createtable(L, 0, 0);
  if (s->modules) load_modules(L, s);
  lua_rawseti(L, -2, 2);
  lua_pushinteger(L, luaL_ref(L, -2));
  return 1;
}

/* For error reports, which are made in the main state. */
static void keep_sources(lua_State *L, const source *s) {
  lua_pushlstring(L, s->text, s->size);
  iz_source_keep(L, s->name);
  if (!s->modules) return;
  for (lua_pushnil(L); lua_next(L, s->modules); lua_pop(L, 1)) {
    if (!lua_istable(L, -1)) continue;
    lua_rawgeti(L, -1, 2);
    lua_rawgeti(L, -2, 1);
    if (lua_isstring(L, -1) && lua_isstring(L, -2))
      iz_source_keep(L, lua_tostring(L, -2));
    else
      lua_pop(L, 1);
    lua_pop(L, 1);
  }
}

/* isolate:load(source, name, modules?) */
static int l_load(lua_State *L) {
  iz_isolate *iso = check_isolate(L);
  source s = {.home = L};
  s.text = luaL_checklstring(L, 2, &s.size);
  s.name = luaL_optstring(L, 3, "=program");
  s.modules = lua_istable(L, 4) ? 4 : 0;
  lua_settop(L, 4);
  luaL_checkstack(L, 8, NULL);
  keep_sources(L, &s);
  lua_State *I = iso->vm->L;
  lua_pushcfunction(I, load_program);
  lua_pushlightuserdata(I, &s);
  int status = lua_pcall(I, 1, 1, 0);
  lua_settop(L, 4);
  if (status == LUA_OK) {
    lua_pushinteger(L, lua_tointeger(I, -1));
    lua_pop(I, 1);
    return 1;
  }
  iz_err err;
  iz_fail(&err, status == LUA_ERRMEM ? "oom" : "syntax", "%s", lua_tostring(I, -1));
  lua_pop(I, 1);
  return iz_push_error(L, &err);
}

/* isolate:unload(program): forgets it; calls that run keep what they run. */
static int l_unload(lua_State *L) {
  iz_isolate *iso = check_isolate(L);
  lua_Integer program = luaL_checkinteger(L, 2);
  lua_State *I = iso->vm->L;
  lua_rawgetp(I, LUA_REGISTRYINDEX, &key_programs);
  luaL_unref(I, -1, (int)program);
  lua_pop(I, 1);
  return 0;
}

/* ---- running one: inside the isolate, as a fiber ---- */

/* Stack: entry, args..., module; what is left to do is call it. */
static int run_over(lua_State *L, int status, lua_KContext base) {
  (void)status;
  return lua_gettop(L) - (int)base;
}

/* Stack: entry, args..., what the program returned above `base`. */
static int run_entry(lua_State *L, int status, lua_KContext base) {
  (void)status;
  bool named = !lua_isnil(L, 1);
  if (!named && !lua_isfunction(L, (int)base + 1))
    return lua_gettop(L) - (int)base; /* its values are the results */
  lua_settop(L, (int)base + 1);
  if (named) {
    if (!lua_istable(L, -1))
      return luaL_error(L, "the program returned no table to find '%s' in", lua_tostring(L, 1));
    lua_getfield(L, -1, lua_tostring(L, 1));
    lua_remove(L, -2);
    if (lua_isnil(L, -1))
      return luaL_error(L, "the program has no function '%s'", lua_tostring(L, 1));
  }
  lua_insert(L, 2);
  int n = lua_gettop(L) - 2;
  lua_callk(L, n, LUA_MULTRET, 1, run_over);
  return run_over(L, LUA_OK, 1);
}

/* Stack: program, modules, entry, args... */
static int run_program(lua_State *L) {
  iz_sandbox_env(L, 2);
  lua_replace(L, 2);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 2);
  lua_remove(L, 2);
  lua_remove(L, 1);
  int base = lua_gettop(L) - 2;
  lua_callk(L, 1, LUA_MULTRET, base, run_entry);
  return run_entry(L, LUA_OK, base);
}

typedef struct spawning {
  int program;
  iz_scope *scope;
  iz_fiber *fiber;
} spawning;

/* Protected in the isolate. Stack: spawning, entry, args... */
static int spawn_run(lua_State *L) {
  spawning *s = lua_touserdata(L, 1);
  int n = lua_gettop(L) - 1;
  luaL_checkstack(L, 8, NULL);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key_programs);
  if (lua_rawgeti(L, -1, s->program) != LUA_TTABLE) return luaL_error(L, "no such program");
  lua_pushcfunction(L, run_program);
  lua_rawgeti(L, -2, 1);
  lua_rawgeti(L, -3, 2);
  for (int i = 0; i < n; i++) lua_pushvalue(L, 2 + i);
  s->fiber = iz_fiber_spawn(L, n + 2, s->scope, 0);
  s->fiber->crossing = s->fiber->pinned = true;
  return 0;
}

static int call_over(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  iz_copy_rules rules = iz_handle_resolve(lua_touserdata(L, 1), true);
  return iz_bridge_take(L, (iz_fiber *)ctx, &rules);
}

/* isolate:call(program, entry, ...) */
static int l_call(lua_State *L) {
  iz_isolate *iso = check_isolate(L);
  spawning s = {.program = (int)luaL_checkinteger(L, 2)};
  if (lua_gettop(L) == 2) lua_pushnil(L); /* no entry: the program's own value is called */
  iz_await_check(L);
  s.scope = &iz_lua_task(L)->own;
  iz_err err;
  iz_copy_rules rules = iz_handle_lend(iso);
  int n = lua_gettop(L) - 2;
  if (!iz_bridge_enter(L, iso->vm->L, spawn_run, &s, n, 0, &rules, "isolate", &err))
    return iz_raise(L, &err);
  iz_bridge_anchor(iso, true);
  return iz_fiber_await(L, s.fiber, call_over);
}

/* ---- life ---- */

static void close_isolate(iz_isolate *iso) {
  if (!iso->vm) return;
  iz_loop_undefer(iso->home->loop, &iso->closing);
  iz_vm_free(iso->vm);
  iso->vm = NULL;
}

static void on_gone(iz_vm *vm, iz_fiber *f) {
  if (f->crossing) iz_handle_run_over(vm->owner, f);
}

static void after_last(iz_defer *d) {
  iz_isolate *iso = IZ_OUTER(d, iz_isolate, closing);
  close_isolate(iso);
  iz_bridge_anchor(iso, false);
}

/* No task runs in it any more: it ends, in a later turn because its last task is still on the
 * stack, or the collector may have it. */
static void on_idle(iz_vm *vm) {
  iz_isolate *iso = vm->owner;
  if (iso->once)
    iz_loop_defer(iso->home->loop, &iso->closing);
  else
    iz_bridge_anchor(iso, false);
}

/* Makes the userdata, with no state yet, from the options at 1. */
static iz_isolate *push_isolate(lua_State *L) {
  iz_isolate *iso = lua_newuserdatauv(L, sizeof *iso, IZ_BRIDGE_VALUES);
  memset(iso, 0, sizeof *iso);
  iso->home = iz_vm_of(L);
  iso->closing.fn = after_last;
  luaL_setmetatable(L, ISOLATE);
  lua_getfield(L, 1, "bridge");
  lua_setiuservalue(L, -2, IZ_BRIDGE_FUNCTION);
  lua_getfield(L, 1, "closer");
  lua_setiuservalue(L, -2, IZ_BRIDGE_CLOSER);
  lua_createtable(L, 0, 0);
  lua_setiuservalue(L, -2, IZ_BRIDGE_HANDLES);
  lua_createtable(L, 0, 0);
  lua_setiuservalue(L, -2, IZ_BRIDGE_OWNED);
  iso->once = iz_field_flag(L, 1, "once");
  return iso;
}

/* Protected in the isolate. */
static int open_programs(lua_State *I) {
  lua_createtable(I, 1, 0);
  lua_rawsetp(I, LUA_REGISTRYINDEX, &key_programs);
  return 0;
}

/* new{memory=, cpu=, bridge=, closer=, once=} */
static int l_new(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  int64_t memory = iz_field_quantity(L, 1, "memory", iz_check_size, DEFAULT_MEMORY);
  int64_t cpu = iz_field_quantity(L, 1, "cpu", iz_check_duration, 1000000000);
  iz_isolate *iso = push_isolate(L);
  iz_bridge_remember(L, iso, -1);
  iso->vm = iso->once ? iz_warm_take(L) : iz_warm_open(iso->home->loop);
  if (!iso->vm) return luaL_error(L, "not enough memory");
  iso->vm->owner = iso;
  lua_pushcfunction(iso->vm->L, open_programs);
  if (lua_pcall(iso->vm->L, 0, 0, 0) != LUA_OK) return luaL_error(L, "not enough memory");
  iso->vm->on_gone = on_gone;
  iso->vm->on_idle = on_idle;
  iso->vm->mem_limit = (size_t)memory;
  iso->vm->cpu_slices = (int)iz_slices(cpu);
  return 1;
}

static int l_close(lua_State *L) {
  iz_isolate *iso = luaL_checkudata(L, 1, ISOLATE);
  if (iso->vm && iso->vm->fibers)
    return luaL_error(L, "the isolate still runs %d tasks", iso->vm->fibers);
  close_isolate(iso);
  return 0;
}

static int isolate_gc(lua_State *L) {
  close_isolate(luaL_checkudata(L, 1, ISOLATE));
  return 0;
}

static int l_stats(lua_State *L) {
  iz_isolate *iso = check_isolate(L);
  lua_createtable(L, 0, 2);
  lua_pushinteger(L, (lua_Integer)iso->vm->mem_used);
  lua_setfield(L, -2, "memory");
  lua_pushinteger(L, iso->vm->fibers);
  lua_setfield(L, -2, "running");
  return 1;
}

int iz_open_isolate(lua_State *L) {
  static const luaL_Reg methods[] = {{"load", l_load},   {"unload", l_unload}, {"call", l_call},
                                     {"close", l_close}, {"stats", l_stats},   {NULL, NULL}};
  luaL_newmetatable(L, ISOLATE);
  lua_pushcfunction(L, isolate_gc);
  lua_setfield(L, -2, "__gc");
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, l_new);
  lua_setfield(L, -2, "new");
  return 1;
}
