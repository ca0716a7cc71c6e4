/* await.c -- suspending Lua code in the middle of a C function: see await.h. */
#include "vm/await.h"

#include "vm/vm.h"

#include <lauxlib.h>
#include <string.h>

iz_task *iz_lua_task(lua_State *L) {
  iz_fiber *f = iz_vm_of(L)->current;
  return f ? &f->task : NULL;
}

iz_loop *iz_lua_loop(lua_State *L) {
  return iz_vm_of(L)->loop;
}

/* ---- what stands in the way ---- */

/* Is the function at fn a field of the table on top of the stack, the library `lib`? Then its name,
 * "table.sort", takes the place of the function and all above it. */
static bool name_in_library(lua_State *L, int fn, const char *lib) {
  if (!lua_istable(L, -1)) return false;
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING || !lua_rawequal(L, -1, fn)) continue;
    bool global = !strcmp(lib, "_G");
    lua_pushfstring(L, "%s%s%s", global ? "" : lib, global ? "" : ".", lua_tostring(L, -2));
    lua_replace(L, fn);
    lua_settop(L, fn);
    return true;
  }
  return false;
}

/* Looks the function on top of the stack up in the loaded libraries, Lua's own first; replaces it
 * by its name or by nil. */
static void name_function(lua_State *L) {
  static const char *const own[] = {"_G", "table", "string", "coroutine", "utf8", "io", "os"};
  int fn = lua_gettop(L);
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  for (size_t i = 0; i < sizeof own / sizeof *own; i++, lua_pop(L, 1)) {
    lua_getfield(L, fn + 1, own[i]);
    if (name_in_library(L, fn, own[i])) return;
  }
  for (lua_pushnil(L); lua_next(L, fn + 1); lua_pop(L, 1))
    if (lua_type(L, -2) == LUA_TSTRING && name_in_library(L, fn, lua_tostring(L, -2))) return;
  lua_pushnil(L);
  lua_replace(L, fn);
  lua_settop(L, fn);
}

/* Pushes the name of the C function on L's stack that Lua cannot suspend. */
static void push_blocker(lua_State *L) {
  lua_Debug ar;
  for (int level = 1; lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "Snf", &ar);
    name_function(L);
    if (ar.what[0] == 'C') {
      const char *name = lua_isnil(L, -1) ? ar.name : lua_tostring(L, -1);
      if (name && strcmp(name, "pcall") && strcmp(name, "xpcall")) {
        lua_pushstring(L, name);
        lua_replace(L, -2);
        return;
      }
    }
    lua_pop(L, 1);
  }
  lua_pushliteral(L, "a C function");
}

static int refuse(lua_State *L) {
  iz_vm *vm = iz_vm_of(L);
  if (!vm->current)
    return luaL_error(L, "cannot wait here: this code runs outside any task; wrap it in iza.spawn");
  if (iz_co_of(L)->flags & IZ_CO_BLOCKED)
    return luaL_error(L,
                      "cannot wait here: the coroutine was resumed inside a C function that cannot "
                      "be suspended (sort, gsub, coroutine.close); wait outside of it");
  push_blocker(L);
  return luaL_error(
      L,
      "cannot wait inside %s, which cannot be suspended; collect first, wait afterwards "
      "(for example with iza.all)",
      lua_tostring(L, -1));
}

static bool can_suspend(lua_State *L) {
  return iz_vm_of(L)->current && lua_isyieldable(L) && !(iz_co_of(L)->flags & IZ_CO_BLOCKED);
}

int iz_raise_cancelled(lua_State *L) {
  iz_co_unwind(L);
  iz_push_err(L, "cancelled", "the task was cancelled", false);
  return lua_error(L);
}

static bool must_stop(lua_State *L, iz_task *t) {
  return (t->flags & IZ_TASK_CANCELLED) && iz_task_must_stop(t, iz_co_shielded(L));
}

void iz_await_check(lua_State *L) {
  if (!can_suspend(L)) refuse(L);
  if (must_stop(L, iz_lua_task(L))) iz_raise_cancelled(L);
}

/* ---- the wait ---- */

static int resumed(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  iz_fiber *f = iz_vm_of(L)->current;
  if (f->task.flags & IZ_TASK_INTERRUPTED) {
    iz_timer_stop(f->vm->loop, &f->timer); /* the limit of a wait that is no more */
    return iz_raise_cancelled(L);
  }
  return f->k(L, LUA_YIELD, f->ctx);
}

/* The caller yields right after. */
static void begin(lua_State *L, iz_wait *w, lua_KFunction k, lua_KContext ctx) {
  iz_vm *vm = iz_vm_of(L);
  iz_fiber *f = vm->current;
  f->waiter = L;
  f->k = k;
  f->ctx = ctx;
  iz_task_wait(&f->task, w);
  vm->suspending = true;
}

int iz_await(lua_State *L, iz_wait *w, lua_KFunction k, lua_KContext ctx) {
  if (!can_suspend(L)) {
    w->cancel(w);
    return refuse(L);
  }
  if (must_stop(L, iz_lua_task(L))) {
    if (!w->ask) {
      w->cancel(w);
      return iz_raise_cancelled(L);
    }
    w->ask(w);
  }
  begin(L, w, k, ctx);
  return lua_yieldk(L, 0, 0, resumed);
}

static void nothing_to_detach(iz_wait *w) {
  (void)w;
}

int iz_await_turn(lua_State *L, lua_KFunction k, lua_KContext ctx) {
  iz_await_check(L);
  iz_wait *w = &iz_vm_of(L)->current->wait.wait;
  *w = (iz_wait){.cancel = nothing_to_detach};
  begin(L, w, k, ctx);
  iz_wait_done(w);
  return lua_yieldk(L, 0, 0, resumed);
}

int iz_await_list(lua_State *L, iz_waitlist *list, lua_KFunction k, lua_KContext ctx) {
  iz_await_check(L);
  iz_fiber *me = iz_vm_of(L)->current;
  me->wait.wait.ask = NULL;
  iz_waitlist_add(list, &me->wait);
  return iz_await(L, &me->wait.wait, k, ctx);
}

/* ---- arguments ---- */

static int64_t scaled(lua_State *L, int arg, double n, double unit, const char *what) {
  double v = n * unit;
  if (!(v >= 0 && v < 9.2e18)) luaL_argerror(L, arg, what);
  return (int64_t)v;
}

typedef struct unit {
  const char *name;
  double factor;
} unit;

/* Reads one "NUMBER UNIT" at s; returns its length, 0 when it is none. */
static size_t read_part(lua_State *L, const char *s, const unit *units, double *sum) {
  size_t digits = strspn(s, "0123456789.");
  size_t letters = strspn(s + digits, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
  int ok;
  lua_pushlstring(L, s, digits);
  double number = lua_tonumberx(L, -1, &ok);
  lua_pop(L, 1);
  for (; ok && units->name; units++) {
    if (strlen(units->name) != letters || strncmp(s + digits, units->name, letters) != 0) continue;
    *sum += number * units->factor;
    return digits + letters;
  }
  return 0;
}

static int64_t check_quantity(lua_State *L, int arg, const unit *units, double plain,
                              const char *what) {
  if (lua_type(L, arg) == LUA_TNUMBER) return scaled(L, arg, lua_tonumber(L, arg), plain, what);
  const char *s = lua_tostring(L, arg);
  double sum = 0;
  size_t n = s ? read_part(L, s, units, &sum) : 0;
  while (n && *(s += n)) n = read_part(L, s, units, &sum); /* "1h30m" */
  if (!n) luaL_argerror(L, arg, what);
  return scaled(L, arg, sum, 1, what);
}

int64_t iz_check_duration(lua_State *L, int arg) {
  static const unit units[] = {{"ns", 1},      {"us", 1e3},     {"ms", 1e6},
                               {"s", 1e9},     {"m", 60e9},     {"h", 3600e9},
                               {"d", 86400e9}, {"w", 604800e9}, {NULL, 0}};
  return check_quantity(L, arg, units, 1e9,
                        "duration expected: seconds, or text such as \"250ms\", \"5m\", \"3d\"");
}

int64_t iz_check_size(lua_State *L, int arg) {
  static const unit units[] = {{"B", 1},
                               {"KB", 1024},
                               {"MB", 1024.0 * 1024},
                               {"GB", 1024.0 * 1024 * 1024},
                               {"TB", 1024.0 * 1024 * 1024 * 1024},
                               {NULL, 0}};
  return check_quantity(L, arg, units, 1,
                        "size expected: bytes, or text such as \"16KB\", \"64MB\"");
}
