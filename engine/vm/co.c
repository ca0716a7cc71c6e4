/* co.c -- coroutine.*, pcall and xpcall as iza's scheduler needs them.
 *
 * A wait deep inside a user's coroutine yields that coroutine; coroutine.resume (ours) sees that
 * the scheduler is meant (vm->suspending) and yields its own caller in turn, until the fiber's base
 * is left. Resuming runs the chain inwards again. So every wait costs one yield a nesting level,
 * and the guard always knows the innermost coroutine.
 *
 * Each body runs under a protected call: when an error leaves it, its <close> variables are closed
 * while the coroutine can still yield (lua_resetthread cannot), and the traceback is taken where
 * the error happened.
 */
#include "vm/vm.h"

#include <lauxlib.h>

/* ---- protected bodies ---- */

static int body_end(lua_State *L, int status, lua_KContext ctx) {
  (void)ctx;
  if (status != LUA_OK && status != LUA_YIELD) return lua_error(L);
  return lua_gettop(L) - 1;
}

int iz_co_body(lua_State *L) {
  iz_co_of(L)->depth = 1;
  lua_pushcfunction(L, iz_error_note);
  lua_insert(L, 1);
  return body_end(L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 1, 0, body_end), 0);
}

void iz_co_unwind(lua_State *L) {
  iz_co_of(L)->unwind = iz_co_of(L)->depth;
}

/* The closed-upon-error case is known from `unwind`; the ordinary one (a block ends) from the name
 * under which Lua calls the metamethod. */
bool iz_co_shielded(lua_State *L) {
  if (iz_co_of(L)->unwind || (iz_co_of(L)->flags & IZ_CO_SHIELDED)) return true;
  lua_Debug ar;
  for (int level = 0; lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "n", &ar);
    if (ar.name && ar.namewhat[0] == 'm' && ar.name[0] == 'c' && ar.name[1] == 'l' &&
        ar.name[2] == 'o')
      return true;
  }
  return false;
}

/* ---- pcall, xpcall ---- */

/* ctx carries the depth outside the call, shifted by the number of slots to drop below results. */
static int pcall_end(lua_State *L, int status, lua_KContext ctx) {
  iz_co *co = iz_co_of(L);
  uint16_t depth = (uint16_t)(ctx >> 2);
  int drop = (int)(ctx & 3);
  co->depth = depth;
  if (status == LUA_OK || status == LUA_YIELD) return lua_gettop(L) - drop;
  iz_vm *vm = iz_vm_of(L);
  if (status == LUA_ERRMEM && vm->mem_hit && vm->current && !vm->current->limit)
    vm->current->limit = IZ_LIMIT_MEMORY;
  if (vm->current && vm->current->limit) return lua_error(L);
  if (co->unwind > depth) co->unwind = 0;
  lua_pushboolean(L, 0);
  lua_insert(L, -2);
  return 2;
}

static lua_KContext enter(lua_State *L, int drop) {
  iz_co *co = iz_co_of(L);
  lua_KContext ctx = (lua_KContext)co->depth << 2 | drop;
  if (co->depth == UINT16_MAX) luaL_error(L, "too many nested protected calls");
  co->depth++;
  return ctx;
}

static int co_pcall(lua_State *L) {
  luaL_checkany(L, 1);
  lua_pushboolean(L, 1); /* first result when nothing fails */
  lua_insert(L, 1);
  lua_KContext ctx = enter(L, 0);
  return pcall_end(L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, ctx, pcall_end), ctx);
}

/* Upvalue: the user's message handler. After a limit fired it is not called: Lua runs it inside the
 * hook that raised, where no further hook could stop it. */
static int guarded_handler(lua_State *L) {
  iz_fiber *f = iz_vm_of(L)->current;
  if (f && f->limit) return 1;
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, 1, 1);
  return 1;
}

static int co_xpcall(lua_State *L) {
  int n = lua_gettop(L);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_pushvalue(L, 2);
  lua_pushcclosure(L, guarded_handler, 1);
  lua_replace(L, 2);
  lua_pushboolean(L, 1);
  lua_pushvalue(L, 1);
  lua_rotate(L, 3, 2); /* f handler true f args... */
  lua_KContext ctx = enter(L, 2);
  return pcall_end(L, lua_pcallk(L, n - 2, LUA_MULTRET, 2, ctx, pcall_end), ctx);
}

/* ---- resume ---- */

static lua_State *check_co(lua_State *L) {
  lua_State *co = lua_tothread(L, 1);
  luaL_argexpected(L, co, 1, "coroutine");
  return co;
}

static bool is_base(lua_State *L) {
  return iz_co_of(L)->flags & IZ_CO_BASE;
}

static const char *co_state(lua_State *L, lua_State *co) {
  if (L == co) return "running";
  if (iz_co_of(co)->flags & IZ_CO_WAITING) return "waiting";
  switch (lua_status(co)) {
  case LUA_YIELD:
    return "suspended";
  case LUA_OK: {
    lua_Debug ar;
    if (lua_getstack(co, 0, &ar)) return "normal";
    return lua_gettop(co) == 0 ? "dead" : "suspended";
  }
  default:
    return "dead";
  }
}

/* Runs co with nargs values on its stack. Returns its number of results (on co's stack), -1 after
 * an error (the value on co's stack), or -2 when the caller must yield to the scheduler. */
static int run(lua_State *L, lua_State *co, int nargs) {
  iz_vm *vm = iz_vm_of(L);
  iz_co *inner = iz_co_of(co), *outer = iz_co_of(L);
  inner->flags &= (uint16_t) ~(IZ_CO_WAITING | IZ_CO_SHIELDED | IZ_CO_BLOCKED);
  if (outer->unwind || (outer->flags & IZ_CO_SHIELDED)) inner->flags |= IZ_CO_SHIELDED;
  if (!lua_isyieldable(L) || (outer->flags & IZ_CO_BLOCKED)) inner->flags |= IZ_CO_BLOCKED;
  int n;
  vm->running = co;
  int status = lua_resume(co, L, nargs, &n);
  vm->running = L;
  if (status == LUA_YIELD) {
    if (!vm->suspending) return n;
    inner->flags |= IZ_CO_WAITING;
    return -2;
  }
  if (status == LUA_OK) return n;
  if (status == LUA_ERRMEM && vm->mem_hit && vm->current && !vm->current->limit)
    vm->current->limit = IZ_LIMIT_MEMORY;
  return -1;
}

static int give_results(lua_State *L, lua_State *co, int n) {
  if (!lua_checkstack(L, n + 1)) {
    lua_pop(co, n);
    return luaL_error(L, "too many results to resume");
  }
  lua_xmove(co, L, n);
  return n;
}

static bool give_args(lua_State *L, lua_State *co, int n) {
  if (!lua_checkstack(co, n)) return false;
  lua_xmove(L, co, n);
  return true;
}

static int resume_again(lua_State *L, int status, lua_KContext ctx);

static int resume_end(lua_State *L, lua_State *co, int n) {
  if (n == -2) return lua_yieldk(L, 0, (lua_KContext)co, resume_again);
  if (n >= 0) {
    lua_pushboolean(L, 1);
    return give_results(L, co, n) + 1;
  }
  iz_vm *vm = iz_vm_of(L);
  lua_pushboolean(L, 0);
  lua_xmove(co, L, 1);
  if (vm->current && vm->current->limit) return lua_error(L);
  return 2;
}

static int resume_again(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  lua_State *co = (lua_State *)ctx;
  return resume_end(L, co, run(L, co, 0));
}

/* Why co cannot be resumed, or NULL. */
static const char *refusal(lua_State *L, lua_State *co) {
  const char *state = co_state(L, co);
  if (state[0] == 's') return NULL;
  return lua_pushfstring(L, "cannot resume %s coroutine",
                         state[0] == 'r' || state[0] == 'n' ? "non-suspended" : state);
}

static int co_resume(lua_State *L) {
  lua_State *co = check_co(L);
  const char *why = refusal(L, co);
  if (!why && !give_args(L, co, lua_gettop(L) - 1)) why = "too many arguments to resume";
  if (why) {
    lua_pushboolean(L, 0);
    lua_pushstring(L, why);
    return 2;
  }
  return resume_end(L, co, run(L, co, lua_gettop(co) - (lua_status(co) == LUA_OK ? 1 : 0)));
}

static int wrap_again(lua_State *L, int status, lua_KContext ctx);

static int wrap_end(lua_State *L, lua_State *co, int n) {
  if (n == -2) return lua_yieldk(L, 0, (lua_KContext)co, wrap_again);
  if (n >= 0) return give_results(L, co, n);
  iz_vm *vm = iz_vm_of(L);
  lua_xmove(co, L, 1);
  if (vm->current && (vm->current->task.flags & IZ_TASK_CANCELLED)) iz_co_unwind(L);
  return lua_error(L);
}

static int wrap_again(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  lua_State *co = (lua_State *)ctx;
  return wrap_end(L, co, run(L, co, 0));
}

static int wrap_call(lua_State *L) {
  lua_State *co = lua_tothread(L, lua_upvalueindex(1));
  const char *why = refusal(L, co);
  int n = lua_gettop(L) - (why ? 1 : 0);
  if (!why && !give_args(L, co, n)) why = "too many arguments to resume";
  if (why) return luaL_error(L, "%s", why);
  return wrap_end(L, co, run(L, co, lua_gettop(co) - (lua_status(co) == LUA_OK ? 1 : 0)));
}

/* ---- the rest of the library ---- */

static int co_create(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_State *co = lua_newthread(L);
  *iz_co_of(co) = (iz_co){0};
  lua_pushcfunction(co, iz_co_body);
  lua_pushvalue(L, 1);
  lua_xmove(L, co, 1);
  return 1;
}

static int co_wrap(lua_State *L) {
  co_create(L);
  lua_pushcclosure(L, wrap_call, 1);
  return 1;
}

static int co_yield (lua_State *L) {
  if (is_base(L)) return luaL_error(L, "attempt to yield from outside a coroutine");
  return lua_yield(L, lua_gettop(L));
}

static int co_status(lua_State *L) {
  const char *state = co_state(L, check_co(L));
  lua_pushstring(L, state[0] == 'w' ? "suspended" : state);
  return 1;
}

static int co_running(lua_State *L) {
  bool main = lua_pushthread(L) == 1 || is_base(L);
  lua_pushboolean(L, main);
  return 2;
}

static int co_isyieldable(lua_State *L) {
  lua_State *co = lua_isnone(L, 1) ? L : check_co(L);
  lua_pushboolean(L, lua_isyieldable(co) && !is_base(co));
  return 1;
}

/* A suspended coroutine is closed by lua_resetthread: its <close> handlers run, but cannot wait. */
static int co_close(lua_State *L) {
  lua_State *co = check_co(L);
  const char *state = co_state(L, co);
  if (state[0] != 's' && state[0] != 'd')
    return luaL_error(L, "cannot close a %s coroutine", state);
  iz_vm *vm = iz_vm_of(L);
  iz_co_of(co)->flags |= IZ_CO_BLOCKED;
  vm->running = co;
  int status = lua_resetthread(co);
  vm->running = L;
  lua_pushboolean(L, status == LUA_OK);
  if (status == LUA_OK) return 1;
  lua_xmove(co, L, 1);
  return 2;
}

void iz_co_open(lua_State *L) {
  static const luaL_Reg co_lib[] = {
      {"create", co_create}, {"resume", co_resume},           {"wrap", co_wrap},
      {"yield", co_yield },  {"status", co_status},           {"running", co_running},
      {"close", co_close},   {"isyieldable", co_isyieldable}, {NULL, NULL},
  };
  lua_createtable(L, 0, 8);
  luaL_setfuncs(L, co_lib, 0);
  lua_setglobal(L, "coroutine");
  lua_pushcfunction(L, co_pcall);
  lua_setglobal(L, "pcall");
  lua_pushcfunction(L, co_xpcall);
  lua_setglobal(L, "xpcall");
}
