/* fiber.c -- tasks whose body is a Lua coroutine.
 *
 * A fiber is a userdata: struct iz_fiber, with its coroutine as user value 1 and the text of where
 * it was spawned as user value 2. While it lives the registry's fiber table anchors it. Its results
 * (or its error object) stay on the coroutine's stack until they are joined or the userdata is
 * collected.
 *
 * A body that returns waits for the tasks it spawned; one that fails cancels them first. An error
 * that nobody joined is raised in the task that owns the failed one, when that one ends.
 */
#include "vm/vm.h"

#include "base/clock.h"

#include <lauxlib.h>
#include <string.h>

#define MAX_ORIGIN 1000

static char key_fibers, key_fiber_meta, key_scope_meta;

/* ---- anchoring ---- */

/* Pushes the fiber's userdata (nil after its end). */
static void push_fiber(lua_State *L, iz_fiber *f) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key_fibers);
  lua_rawgetp(L, -1, f);
  lua_remove(L, -2);
}

/* Lets the collector have it, once Lua holds it no more. */
static void release(iz_fiber *f) {
  lua_State *L = f->vm->L;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key_fibers);
  lua_pushnil(L);
  lua_rawsetp(L, -2, f);
  lua_pop(L, 1);
}

/* The failure is somebody's now: its scope need not raise it. */
static void let_go(iz_fiber *f) {
  if (!f->held_by) return;
  f->held_by->failure = NULL;
  f->held_by = NULL;
  release(f);
}

/* ---- stepping ---- */

static void keep_failure(iz_fiber *f, iz_scope *scope) {
  iz_vm *vm = f->vm;
  bool raised_later = scope->owner || scope->fail_fast;
  if (raised_later && !scope->failure) {
    scope->failure = &f->task;
    f->held_by = scope;
  }
  if (scope->fail_fast)
    iz_scope_cancel(scope);
  else if (vm->on_failure)
    vm->on_failure(vm, f);
}

/* It is over, and nobody needs what it left. */
static void gone(iz_fiber *f) {
  iz_vm *vm = f->vm;
  if (vm->on_gone) vm->on_gone(vm, f);
  if (!f->held_by) release(f);
  if (--vm->fibers == 0 && vm->on_idle) vm->on_idle(vm);
}

static void finish(iz_fiber *f, int status) {
  iz_scope *scope = f->task.scope;
  f->failed = status != LUA_OK;
  f->cancelled = f->failed && (f->task.flags & IZ_TASK_CANCELLED) && !f->limit;
  bool awaited = f->crossing || f->task.joiners.head;
  if (f->failed && !f->cancelled && !awaited) keep_failure(f, scope);
  iz_timer_stop(f->vm->loop, &f->timer);
  if (f->over) f->over(f->over_ctx);
  iz_task_done(&f->task);
  if (!f->pinned) gone(f);
}

void iz_fiber_unpin(iz_fiber *f) {
  f->pinned = false;
  if (f->task.flags & IZ_TASK_DONE) gone(f);
}

/* Its scope, the waiting fiber's own, ends it. */
static void stop_crossing(iz_wait *w) {
  iz_fiber *me = IZ_OUTER(w, iz_fiber, wait.wait);
  iz_waitlist_remove(&me->wait);
  iz_fiber_unpin((iz_fiber *)me->ctx);
}

int iz_fiber_await(lua_State *L, iz_fiber *f, lua_KFunction k) {
  iz_fiber *me = iz_vm_of(L)->current;
  me->ctx = (lua_KContext)f; /* stop_crossing may come before the wait begins */
  iz_waitlist_add(&f->task.joiners, &me->wait);
  me->wait.wait.ask = NULL;
  me->wait.wait.cancel = stop_crossing;
  return iz_await(L, &me->wait.wait, k, (lua_KContext)f);
}

static void step(iz_task *t) {
  iz_fiber *f = IZ_OUTER(t, iz_fiber, task);
  iz_vm *vm = f->vm;
  int nargs = f->nargs, n;
  f->nargs = 0;
  f->preempted = false;
  vm->current = f;
  vm->suspending = false;
  vm->running = f->co;
  iz_guard_enter(vm);
  int status = lua_resume(f->co, vm->L, nargs, &n);
  vm->running = NULL;
  vm->current = NULL;
  vm->suspending = false;
  if (status != LUA_YIELD)
    finish(f, status);
  else if (f->preempted)
    iz_task_queue(t);
  else
    f->ticks = 0;
}

static bool shielded(iz_task *t) {
  iz_fiber *f = IZ_OUTER(t, iz_fiber, task);
  return f->waiter && iz_co_shielded(f->waiter);
}

/* ---- waiting for a scope ---- */

static void ask_scope(iz_wait *w) {
  iz_scope_cancel(IZ_OUTER(IZ_OUTER(w, iz_waiter, wait)->list, iz_scope, empty));
}

static int await_scope(lua_State *L, iz_scope *scope, lua_KFunction k, lua_KContext ctx) {
  iz_fiber *f = iz_vm_of(L)->current;
  iz_waitlist_add(&scope->empty, &f->wait);
  f->wait.wait.ask = ask_scope;
  return iz_await(L, &f->wait.wait, k, ctx);
}

/* Raises what a task in the scope failed with, if one did. */
static void raise_failure(lua_State *L, iz_scope *scope) {
  if (!scope->failure) return;
  iz_fiber *f = IZ_OUTER(scope->failure, iz_fiber, task);
  iz_fiber_push_error(L, f);
  let_go(f);
  lua_error(L);
}

static void drop_failure(iz_scope *scope) {
  if (scope->failure) let_go(IZ_OUTER(scope->failure, iz_fiber, task));
}

/* ---- the body ---- */

/* Stack: handler, then results, or one error value. */
static int body_closed(lua_State *L, int status, lua_KContext failed) {
  (void)status;
  iz_scope *own = &iz_vm_of(L)->current->task.own;
  if (failed) {
    drop_failure(own);
    return lua_error(L);
  }
  raise_failure(L, own);
  return lua_gettop(L) - 1;
}

static int body_over(lua_State *L, int status, lua_KContext ctx) {
  (void)ctx;
  iz_vm *vm = iz_vm_of(L);
  iz_fiber *f = vm->current;
  bool failed = status != LUA_OK && status != LUA_YIELD;
  *iz_co_of(L) = (iz_co){.flags = IZ_CO_BASE};
  if (failed) {
    if (status == LUA_ERRMEM && vm->mem_hit && !f->limit) f->limit = IZ_LIMIT_MEMORY;
    iz_scope_cancel(&f->task.own);
  }
  iz_scope_close(&f->task.own);
  if (iz_scope_is_empty(&f->task.own)) return body_closed(L, LUA_OK, failed);
  return await_scope(L, &f->task.own, body_closed, failed);
}

static int body(lua_State *L) {
  iz_co_of(L)->depth = 1;
  lua_pushcfunction(L, iz_error_wrap);
  lua_insert(L, 1);
  return body_over(L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 1, 0, body_over), 0);
}

/* ---- spawning ---- */

bool iz_fiber_push_origin(lua_State *L) {
  iz_vm *vm = iz_vm_of(L);
  if (!vm->current) return false;
  push_fiber(L, vm->current);
  if (!lua_isnil(L, -1)) {
    lua_getiuservalue(L, -1, 2);
    lua_remove(L, -2);
    if (lua_rawlen(L, -1) > 0) return true;
  }
  lua_pop(L, 1);
  return false;
}

/* Pushes "\tfile:line" of the caller, and below it where the running fiber itself was spawned. */
static void push_new_origin(lua_State *L) {
  luaL_where(L, 1);
  size_t n = lua_rawlen(L, -1);
  const char *where = lua_tostring(L, -1);
  bool has_parent = iz_fiber_push_origin(L);
  if (!has_parent) lua_pushliteral(L, "");
  size_t older = lua_rawlen(L, -1);
  bool keep = has_parent && older + n < MAX_ORIGIN;
  if (n > 2) { /* "file:12: " */
    const char *site = lua_pushlstring(L, where, n - 2);
    lua_pushfstring(L, "\t%s%s%s", site, keep ? "\n" : "", keep ? lua_tostring(L, -2) : "");
    lua_remove(L, -2);
  } else {
    lua_pushstring(L, keep ? lua_tostring(L, -1) : "");
  }
  lua_replace(L, -3);
  lua_pop(L, 1);
}

iz_fiber *iz_fiber_spawn(lua_State *L, int nargs, iz_scope *scope, uint32_t flags) {
  iz_vm *vm = iz_vm_of(L);
  luaL_checkstack(L, 8, "too many arguments to spawn");
  iz_fiber *f = lua_newuserdatauv(L, sizeof *f, 2);
  memset(f, 0, sizeof *f);
  f->vm = vm;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key_fiber_meta);
  lua_setmetatable(L, -2);
  f->co = lua_newthread(L);
  *iz_co_of(f->co) = (iz_co){.flags = IZ_CO_BASE};
  lua_setiuservalue(L, -2, 1);
  push_new_origin(L);
  lua_setiuservalue(L, -2, 2);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key_fibers);
  lua_pushvalue(L, -2);
  lua_rawsetp(L, -2, f);
  lua_pop(L, 1);
  lua_insert(L, -nargs - 2); /* userdata below function and arguments */
  if (!lua_checkstack(f->co, nargs + 4)) {
    release(f);
    luaL_error(L, "too many arguments to spawn");
  }
  lua_pushcfunction(f->co, body);
  lua_xmove(L, f->co, nargs + 1);
  f->nargs = nargs + 1;
  f->task.shielded = shielded;
  vm->fibers++;
  iz_task_start(vm->loop, &f->task, scope, step, flags);
  return f;
}

iz_fiber *iz_check_fiber(lua_State *L, int arg) {
  iz_fiber *f = lua_touserdata(L, arg);
  if (f && lua_getmetatable(L, arg)) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &key_fiber_meta);
    bool is = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    if (is) return f;
  }
  luaL_typeerror(L, arg, "task");
  return NULL;
}

void iz_fiber_push_error(lua_State *L, iz_fiber *f) {
  lua_pushvalue(f->co, -1);
  lua_xmove(f->co, L, 1);
  if (iz_error_is(L, -1)) return;
  const char *text = luaL_tolstring(L, -1, NULL);
  iz_push_err(L, f->limit ? "limit" : "error", text, false);
  lua_replace(L, -3);
  lua_pop(L, 1);
}

/* Pushes what f's body returned (again each time). */
static int push_results(lua_State *L, iz_fiber *f) {
  int n = lua_gettop(f->co);
  if (!lua_checkstack(f->co, n) || !lua_checkstack(L, n)) return luaL_error(L, "too many results");
  for (int i = 1; i <= n; i++) lua_pushvalue(f->co, i);
  lua_xmove(f->co, L, n);
  return n;
}

void iz_fiber_open(lua_State *L) {
  lua_createtable(L, 0, 8);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &key_fibers);
  lua_createtable(L, 0, 4);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &key_fiber_meta);
  lua_createtable(L, 0, 4);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &key_scope_meta);
}

/* ---- task objects ---- */

static int join_over(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  iz_fiber *f = (iz_fiber *)ctx, *me = iz_vm_of(L)->current;
  bool timed_out = !(f->task.flags & IZ_TASK_DONE);
  if (me) iz_timer_stop(me->vm->loop, &me->timer);
  if (timed_out) {
    iz_err err;
    iz_fail(&err, "timeout", "the task did not end within the time given to join");
    return iz_push_error(L, &err);
  }
  let_go(f);
  if (!f->failed) return push_results(L, f);
  iz_fiber_push_error(L, f);
  return lua_error(L);
}

static void timed_out(iz_timer *t) {
  iz_waiter *w = &IZ_OUTER(t, iz_fiber, timer)->wait;
  iz_waitlist_remove(w);
  iz_wait_done(&w->wait);
}

static void set_timeout(lua_State *L, iz_fiber *me, int arg) {
  if (lua_isnoneornil(L, arg)) return;
  if (!iz_timer_start(me->vm->loop, &me->timer, iz_check_duration(L, arg), timed_out))
    luaL_error(L, "not enough memory");
}

static int task_join(lua_State *L) {
  iz_fiber *f = iz_check_fiber(L, 1);
  if (f->task.flags & IZ_TASK_DONE) return join_over(L, LUA_OK, (lua_KContext)f);
  iz_await_check(L);
  iz_fiber *me = iz_vm_of(L)->current;
  if (f == me) return luaL_error(L, "a task cannot join itself");
  set_timeout(L, me, 2);
  me->wait.wait.ask = NULL;
  iz_waitlist_add(&f->task.joiners, &me->wait);
  return iz_await(L, &me->wait.wait, join_over, (lua_KContext)f);
}

static int task_cancel(lua_State *L) {
  iz_task_cancel(&iz_check_fiber(L, 1)->task);
  return 0;
}

static const char *status_of(iz_fiber *f) {
  if (f->task.flags & IZ_TASK_DONE)
    return f->cancelled ? "cancelled" : f->failed ? "failed" : "done";
  if (f->vm->current == f) return "running";
  return f->task.wait ? "waiting" : "ready";
}

static int task_index(lua_State *L) {
  iz_fiber *f = iz_check_fiber(L, 1);
  const char *key = luaL_checkstring(L, 2);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL) return 1;
  if (!strcmp(key, "status"))
    lua_pushstring(L, status_of(f));
  else if (!strcmp(key, "id"))
    lua_pushinteger(L, (lua_Integer)f->task.id);
  else if (!strcmp(key, "origin"))
    lua_getiuservalue(L, 1, 2);
  else
    lua_pushnil(L);
  return 1;
}

static int task_tostring(lua_State *L) {
  iz_fiber *f = iz_check_fiber(L, 1);
  lua_pushfstring(L, "task %I (%s)", (LUAI_UACINT)f->task.id, status_of(f));
  return 1;
}

/* ---- sleep, park ---- */

static int sleep_over(lua_State *L, int status, lua_KContext ctx) {
  (void)L, (void)status, (void)ctx;
  return 0;
}

static void wake_sleeper(iz_timer *t) {
  iz_wait_done(&IZ_OUTER(t, iz_fiber, timer)->wait.wait);
}

static void cancel_sleep(iz_wait *w) {
  iz_fiber *f = IZ_OUTER(w, iz_fiber, wait.wait);
  f->parked = false;
  iz_timer_stop(f->vm->loop, &f->timer);
}

static int l_sleep(lua_State *L) {
  int64_t ns = iz_check_duration(L, 1);
  iz_await_check(L);
  iz_fiber *me = iz_vm_of(L)->current;
  if (!iz_timer_start(me->vm->loop, &me->timer, ns, wake_sleeper))
    return luaL_error(L, "not enough memory");
  me->wait.wait = (iz_wait){.cancel = cancel_sleep};
  return iz_await(L, &me->wait.wait, sleep_over, 0);
}

static int park_over(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  iz_fiber *me = iz_vm_of(L)->current;
  iz_timer_stop(me->vm->loop, &me->timer);
  lua_pushboolean(L, me->permit);
  me->permit = me->parked = false;
  return 1;
}

/* park(timeout?) -> true when unparked, false when time was up. */
static int l_park(lua_State *L) {
  iz_await_check(L);
  iz_fiber *me = iz_vm_of(L)->current;
  if (me->permit) return park_over(L, LUA_OK, 0);
  me->wait.wait = (iz_wait){.cancel = cancel_sleep};
  if (!lua_isnoneornil(L, 1) &&
      !iz_timer_start(me->vm->loop, &me->timer, iz_check_duration(L, 1), wake_sleeper))
    return luaL_error(L, "not enough memory");
  me->parked = true;
  return iz_await(L, &me->wait.wait, park_over, 0);
}

/* unpark(task): ends its park, or lets its next one return at once. */
static int l_unpark(lua_State *L) {
  iz_fiber *f = iz_check_fiber(L, 1);
  f->permit = true;
  if (f->task.wait == &f->wait.wait && f->parked) iz_wait_done(&f->wait.wait);
  return 0;
}

/* ---- spawn, scope ---- */

static int l_spawn(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  iz_vm *vm = iz_vm_of(L);
  iz_scope *scope = vm->current ? vm->current->task.inner : &vm->root;
  iz_fiber_spawn(L, lua_gettop(L) - 1, scope, 0);
  return 1;
}

/* bounded(cpu, f) -> task that is stopped when it uses more CPU time than that between two waits,
 * and takes turns with others meanwhile, as code in an isolate does. */
static int l_bounded(lua_State *L) {
  int64_t slices = iz_slices(iz_check_duration(L, 1));
  luaL_checktype(L, 2, LUA_TFUNCTION);
  luaL_argcheck(L, slices > 0 && slices <= UINT16_MAX, 1, "out of range");
  lua_settop(L, 2);
  iz_task *me = iz_lua_task(L);
  if (!me) return luaL_error(L, "only a task can do this");
  iz_fiber *f = iz_fiber_spawn(L, 0, me->inner, 0);
  f->budget = (uint16_t)slices;
  return 1;
}

/* daemon(f, ...): a task that belongs to the program, not to the caller, and does not keep it
 * alive. */
static int l_daemon(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  iz_fiber_spawn(L, lua_gettop(L) - 1, &iz_vm_of(L)->root, IZ_TASK_DAEMON);
  return 1;
}

/* report(err) -> the text a script would end with. */
static int l_report(lua_State *L) {
  luaL_checkany(L, 1);
  iz_error_report(L, 1);
  return 1;
}

static iz_scope *check_scope(lua_State *L) {
  iz_scope *scope = lua_touserdata(L, 1);
  if (!scope || !lua_getmetatable(L, 1)) luaL_typeerror(L, 1, "scope");
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key_scope_meta);
  if (!lua_rawequal(L, -1, -2)) luaL_typeerror(L, 1, "scope");
  lua_pop(L, 2);
  return scope;
}

static int scope_spawn(lua_State *L) {
  iz_scope *scope = check_scope(L);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  if (!scope->fail_fast) return luaL_error(L, "the scope is closed");
  iz_fiber_spawn(L, lua_gettop(L) - 2, scope, 0);
  return 1;
}

static int scope_cancel(lua_State *L) {
  iz_scope_cancel(check_scope(L));
  return 0;
}

/* Stack: scope, body's task. */
static int scope_over(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  iz_scope *scope = lua_touserdata(L, 1);
  iz_fiber *f = (iz_fiber *)ctx;
  scope->fail_fast = false;
  const iz_task *me = iz_lua_task(L);
  if (me->flags & IZ_TASK_CANCELLED && !f->limit) {
    drop_failure(scope);
    if (!f->failed && !iz_task_must_stop(me, iz_co_shielded(L))) return push_results(L, f);
    if (!f->failed) return iz_raise_cancelled(L); /* its other tasks were cut short */
    iz_fiber_push_error(L, f);
    iz_co_unwind(L);
    return lua_error(L);
  }
  raise_failure(L, scope);
  if (!f->failed) return push_results(L, f);
  iz_fiber_push_error(L, f);
  return lua_error(L);
}

/* scope(f): runs f(scope) in a task of its own and waits until every task of the scope is over. */
static int l_scope(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  iz_await_check(L);
  lua_settop(L, 1);
  iz_task *me = iz_lua_task(L);
  iz_scope *scope = lua_newuserdatauv(L, sizeof *scope, 0);
  iz_scope_init(scope, me);
  scope->fail_fast = true;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key_scope_meta);
  lua_setmetatable(L, -2);
  lua_insert(L, 1);
  lua_pushvalue(L, 1);
  iz_fiber *f = iz_fiber_spawn(L, 1, scope, 0);
  f->task.inner = scope;
  iz_scope_close(scope); /* over when the tasks of the scope are, f among them */
  return await_scope(L, scope, scope_over, (lua_KContext)f);
}

static int l_now(lua_State *L) {
  lua_pushnumber(L, (lua_Number)iz_now() / 1e9);
  return 1;
}

/* seconds(duration) -> the duration as a number of seconds. */
static int l_seconds(lua_State *L) {
  lua_pushnumber(L, (lua_Number)iz_check_duration(L, 1) / 1e9);
  return 1;
}

static int l_current(lua_State *L) {
  iz_vm *vm = iz_vm_of(L);
  if (!vm->current) return 0;
  push_fiber(L, vm->current);
  return 1;
}

/* cancelled() -> has the running task been asked to stop? For loops that never wait. */
static int l_cancelled(lua_State *L) {
  iz_task *t = iz_lua_task(L);
  lua_pushboolean(L, t && (t->flags & IZ_TASK_CANCELLED));
  return 1;
}

/* Pushes "file:line" of the innermost Lua code of the fiber, outside the library if there is some;
 * false: there is none. */
static bool push_place(lua_State *L, iz_fiber *f) {
  lua_State *co = f->task.wait && f->waiter ? f->waiter : f->co;
  lua_Debug ar, found;
  bool any = false, outside = false;
  for (int level = 0; !outside && lua_getstack(co, level, &ar); level++) {
    lua_getinfo(co, "Sl", &ar);
    if (ar.currentline <= 0) continue;
    outside = *ar.source != '@' || !iz_error_in_library(ar.source + 1);
    if (!any || outside) found = ar;
    any = true;
  }
  if (any) lua_pushfstring(L, "%s:%d", found.short_src, found.currentline);
  return any;
}

/* Pushes the name under which the fiber's waiter called the function that waits; false: unknown. */
static bool push_wait_name(lua_State *L, iz_fiber *f) {
  lua_Debug ar;
  if (!f->task.wait || !f->waiter || !lua_getstack(f->waiter, 0, &ar)) return false;
  lua_getinfo(f->waiter, "n", &ar);
  if (!ar.name) return false;
  lua_pushstring(L, ar.name);
  return true;
}

/* For each living task {id, status, at, waits, origin}: where its code stands, the function it
 * waits in, where it was spawned. */
int iz_fiber_list(lua_State *L) {
  lua_newtable(L);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key_fibers);
  lua_Integer n = 0;
  for (lua_pushnil(L); lua_next(L, 2); lua_pop(L, 1)) {
    iz_fiber *f = lua_touserdata(L, -1);
    if (f->task.flags & IZ_TASK_DONE) continue;
    lua_createtable(L, 0, 5);
    lua_pushinteger(L, (lua_Integer)f->task.id);
    lua_setfield(L, -2, "id");
    lua_pushstring(L, status_of(f));
    lua_setfield(L, -2, "status");
    if (push_place(L, f)) lua_setfield(L, -2, "at");
    if (push_wait_name(L, f)) lua_setfield(L, -2, "waits");
    lua_getiuservalue(L, -2, 2);
    lua_setfield(L, -2, "origin");
    lua_rawseti(L, 1, ++n);
  }
  lua_settop(L, 1);
  return 1;
}

/* Fills the table under key_meta: a method table behind `index`, and a tostring. */
static void open_class(lua_State *L, const char *name, const luaL_Reg *methods,
                       lua_CFunction index) {
  lua_createtable(L, 0, 4);
  luaL_setfuncs(L, methods, 0);
  if (index) lua_pushcclosure(L, index, 1);
  lua_setfield(L, -2, "__index");
  lua_pushstring(L, name);
  lua_setfield(L, -2, "__name");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
}

int iz_open_task(lua_State *L) {
  static const luaL_Reg task_methods[] = {
      {"join", task_join}, {"cancel", task_cancel}, {NULL, NULL}};
  static const luaL_Reg scope_methods[] = {
      {"spawn", scope_spawn}, {"cancel", scope_cancel}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"sleep", l_sleep},
                                       {"spawn", l_spawn},
                                       {"scope", l_scope},
                                       {"bounded", l_bounded},
                                       {"daemon", l_daemon},
                                       {"report", l_report},
                                       {"now", l_now},
                                       {"seconds", l_seconds},
                                       {"park", l_park},
                                       {"unpark", l_unpark},
                                       {"current", l_current},
                                       {"list", iz_fiber_list},
                                       {"error", iz_error_new},
                                       {"misuse", iz_error_misuse},
                                       {"cancelled", l_cancelled},
                                       {NULL, NULL}};
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key_fiber_meta);
  open_class(L, "task", task_methods, task_index);
  lua_pushcfunction(L, task_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key_scope_meta);
  open_class(L, "scope", scope_methods, NULL);
  lua_createtable(L, 0, 12);
  luaL_setfuncs(L, functions, 0);
  return 1;
}
