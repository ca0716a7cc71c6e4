/* lua_exec.c -- iza.core.exec: child processes as Lua objects. lua/iza/exec.lua is the face of it.
 *
 * A child is two things that end apart: the Lua object, and a daemon task in the scope it was
 * started in, the guard. The guard sleeps until the child has exited; when its scope ends or is
 * cancelled it stops the child and holds the scope until the child is dead. So no child outlives
 * its scope. An object that is collected stops its child as well.
 */
#include "base/alloc.h"
#include "base/clock.h"
#include "loop/lua_class.h"
#include "loop/process.h"
#include "vm/await.h"

#include <lauxlib.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

int iz_open_exec(lua_State *L);

#define TYPE "process"
#define TAIL (64 * 1024)      /* of stderr, when it is not collected */
#define UNWRITTEN (64 * 1024) /* input a writer may leave behind */

typedef struct child {
  iz_process *p; /* NULL: closed */
  iz_task guard;
  iz_wait guard_wait;
  bool guarded, held; /* who still needs the struct: the guard, the Lua object */
  iz_waitlist readers, writers, enders;
  iz_timer limit;
  bool timed_out, too_much;
  size_t most; /* bytes of output */
  char name[64];
} child;

static void release(child *c) {
  if (!c->guarded && !c->held) iz_free(c);
}

/* ---- the guard ---- */

static void ask_guard(iz_wait *w) {
  child *c = IZ_OUTER(w, child, guard_wait);
  if (c->p) iz_process_stop(c->p, IZ_STOP_GRACE);
}

static bool is_alive(const child *c) {
  int status, sig;
  return c->p && !iz_process_exited(c->p, &status, &sig);
}

static void guard_step(iz_task *t) {
  child *c = IZ_OUTER(t, child, guard);
  if (is_alive(c)) {
    iz_task_wait(t, &c->guard_wait);
    if (t->flags & IZ_TASK_CANCELLED) ask_guard(&c->guard_wait);
    return;
  }
  iz_task_done(t);
  c->guarded = false;
  release(c);
}

static void start_guard(child *c, iz_task *parent) {
  c->guarded = true;
  c->guard_wait = (iz_wait){.cancel = ask_guard, .ask = ask_guard};
  iz_task_start(parent->loop, &c->guard, parent->inner, guard_step, IZ_TASK_DAEMON);
}

/* ---- changes ---- */

static bool has_failed(const child *c) {
  return c->timed_out || c->too_much || iz_process_out_of_memory(c->p);
}

/* Nothing is left to wait for. What a failed child still has in its pipes is of no interest. */
static bool is_over(const child *c) {
  return iz_process_finished(c->p) || (has_failed(c) && !is_alive(c));
}

static void on_change(iz_process *p, void *ctx) {
  child *c = ctx;
  size_t out, err;
  iz_process_held(p, 1, &out);
  iz_process_held(p, 2, &err);
  if (out > c->most || err > c->most) {
    c->too_much = true;
    iz_process_stop(p, IZ_STOP_GRACE);
  }
  if (out || iz_process_eof(p, 1)) iz_waitlist_wake_all(&c->readers);
  if (iz_process_unwritten(p) <= UNWRITTEN) iz_waitlist_wake_all(&c->writers);
  if (!is_alive(c)) {
    iz_timer_stop(c->guard.loop, &c->limit);
    iz_wait_done(&c->guard_wait);
    iz_waitlist_wake_all(&c->enders);
  }
}

static void on_limit(iz_timer *t) {
  child *c = IZ_OUTER(t, child, limit);
  c->timed_out = true;
  iz_process_stop(c->p, IZ_STOP_GRACE);
}

/* Lets go of the process; a living one is stopped, and the guard need not wait for it. */
static void close_child(child *c) {
  if (!c->p) return;
  iz_timer_stop(c->guard.loop, &c->limit);
  iz_process_free(c->p);
  c->p = NULL;
  iz_wait_done(&c->guard_wait);
  iz_waitlist_wake_all(&c->readers);
  iz_waitlist_wake_all(&c->writers);
  iz_waitlist_wake_all(&c->enders);
}

/* ---- the start ---- */

/* Pushes a userdata that holds the strings of the array at `index`, with a NULL behind them. The
 * strings stay the array's. */
static const char **push_strings(lua_State *L, int index, const char *what) {
  luaL_checktype(L, index, LUA_TTABLE);
  lua_Integer n = luaL_len(L, index);
  if (n > 1000000) luaL_error(L, "exec: too many %s", what);
  const char **list = lua_newuserdatauv(L, ((size_t)n + 1) * sizeof *list, 0);
  for (lua_Integer i = 0; i < n; i++) {
    size_t len;
    if (lua_rawgeti(L, index, i + 1) != LUA_TSTRING)
      luaL_error(L, "exec: %s must be strings", what);
    list[i] = lua_tolstring(L, -1, &len);
    if (strlen(list[i]) != len) luaL_error(L, "exec: %s must not contain a zero byte", what);
    lua_pop(L, 1);
  }
  list[n] = NULL;
  return list;
}

static iz_stdio check_stdio(lua_State *L, int arg) {
  static const char *const names[] = {"null", "pipe", "inherit", "stdout", NULL};
  return (iz_stdio)luaL_checkoption(L, arg, "pipe", names);
}

static child *push_child(lua_State *L, const char *name) {
  child **box = lua_newuserdatauv(L, sizeof(void *), 0);
  *box = NULL;
  luaL_setmetatable(L, TYPE);
  child *c = iz_calloc(1, sizeof *c);
  if (!c) return NULL;
  *box = c;
  c->held = true;
  snprintf(c->name, sizeof c->name, "%s", name);
  return c;
}

/* start(argv, env|nil, cwd|nil, stdin, stdout, stderr, held, most, tail, timeout|nil) -> process;
 * nil, err. env is an array of "NAME=value". `held` bounds the bytes of stdout kept unread, `most`
 * what may be collected; `tail`: of stderr only the end is kept. */
static int l_start(lua_State *L) {
  iz_await_check(L);
  lua_settop(L, 10);
  iz_process_opts o = {.on_change = on_change};
  o.argv = push_strings(L, 1, "arguments");
  if (!o.argv[0]) return luaL_error(L, "exec: there is no program to run");
  if (!lua_isnil(L, 2)) o.env = push_strings(L, 2, "environment");
  o.cwd = luaL_optstring(L, 3, NULL);
  o.in = check_stdio(L, 4);
  o.out = check_stdio(L, 5);
  o.err = check_stdio(L, 6);
  int64_t held = iz_check_size(L, 7), most = iz_check_size(L, 8);
  bool tail = lua_toboolean(L, 9);
  int64_t limit = lua_isnil(L, 10) ? -1 : iz_check_duration(L, 10);
  o.limit = (size_t)held;
  o.err_limit = tail ? TAIL : (size_t)most + 1;
  o.keep_err = tail ? IZ_KEEP_TAIL : IZ_KEEP_ALL;
  iz_task *me = iz_lua_task(L);
  child *c = push_child(L, o.argv[0]);
  if (!c) return iz_push_oom(L);
  o.ctx = c;
  iz_err err;
  c->most = (size_t)most;
  c->p = iz_process_start(me->loop, &o, &err);
  if (!c->p) return iz_push_error(L, &err);
  start_guard(c, me);
  if (limit < 0 || iz_timer_start(me->loop, &c->limit, limit, on_limit)) return 1;
  close_child(c);
  return iz_push_oom(L);
}

static child *check_child(lua_State *L) {
  child *c = *(child **)luaL_checkudata(L, 1, TYPE);
  if (!c) luaL_argerror(L, 1, "the process did not start");
  return c;
}

static child *check_open(lua_State *L) {
  child *c = check_child(L);
  if (!c->p) luaL_argerror(L, 1, "the process object is closed");
  return c;
}

/* ---- reading ---- */

static int push_failure(lua_State *L, const child *c) {
  iz_err err;
  if (c->timed_out)
    iz_fail(&err, "timeout", "exec: \"%s\" was stopped: it ran longer than its timeout", c->name);
  else if (c->too_much)
    iz_fail(&err, "too_large", "exec: \"%s\" was stopped: it wrote more than max_output", c->name);
  else
    iz_fail_oom(&err);
  return iz_push_error(L, &err);
}

static int take(lua_State *L, child *c, size_t n, size_t skip) {
  size_t len;
  lua_pushlstring(L, iz_process_held(c->p, 1, &len), n);
  iz_process_take(c->p, 1, n + skip);
  return 1;
}

static int read_again(lua_State *L, int status, lua_KContext ctx);

/* More is needed than is held: the buffer may grow up to `most`. */
static int read_more(lua_State *L, child *c, size_t held) {
  size_t room = held < c->most / 2 ? held * 2 : c->most + 1;
  iz_process_set_limit(c->p, 1, room < TAIL ? TAIL : room);
  if (has_failed(c)) return push_failure(L, c);
  return iz_await_list(L, &c->readers, read_again, 0);
}

/* Stack: process, then a number of bytes, "l", "a" or nil. */
static int read_again(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  child *c = check_open(L);
  size_t len;
  const char *data = iz_process_held(c->p, 1, &len);
  bool eof = iz_process_eof(c->p, 1);
  const char *how = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
  const char *nl = *how == 'l' && len ? memchr(data, '\n', len) : NULL;
  if (nl) return take(L, c, (size_t)(nl - data), 1);
  if (eof && has_failed(c)) return push_failure(L, c);
  if (eof && !len) {
    if (*how != 'a')
      lua_pushnil(L);
    else
      lua_pushliteral(L, "");
    return 1;
  }
  if (eof && *how) return take(L, c, len, 0);
  if (*how) return read_more(L, c, len);
  if (!len) return iz_await_list(L, &c->readers, read_again, 0);
  size_t n = lua_isnil(L, 2) ? len : (size_t)lua_tointeger(L, 2);
  return take(L, c, n < len ? n : len, 0);
}

/* read(process, n | "l" | "a" | nil) -> string; nil at the end; nil, err. */
static int l_read(lua_State *L) {
  check_open(L);
  lua_settop(L, 2);
  if (lua_type(L, 2) == LUA_TNUMBER) {
    luaL_argcheck(L, luaL_checkinteger(L, 2) > 0, 2, "a positive number of bytes expected");
  } else if (!lua_isnil(L, 2)) {
    static const char *const names[] = {"l", "a", NULL};
    luaL_checkoption(L, 2, NULL, names);
  }
  return read_again(L, LUA_OK, 0);
}

/* ---- writing ---- */

static int write_over(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  child *c = check_open(L);
  if (iz_process_unwritten(c->p) > UNWRITTEN) return iz_await_list(L, &c->writers, write_over, 0);
  lua_pushboolean(L, 1);
  return 1;
}

/* write(process, string, wait) -> true; nil, err. With `wait` it sleeps while too much is queued.
 */
static int l_write(lua_State *L) {
  child *c = check_open(L);
  size_t n;
  const char *data = luaL_checklstring(L, 2, &n);
  iz_err err;
  if (!iz_process_write(c->p, data, n, &err)) return iz_push_error(L, &err);
  if (lua_toboolean(L, 3)) return write_over(L, LUA_OK, 0);
  lua_pushboolean(L, 1);
  return 1;
}

static int l_end_input(lua_State *L) {
  iz_process_end_input(check_open(L)->p);
  return 0;
}

/* ---- the end ---- */

static void push_signal_name(lua_State *L, int sig) {
  const char *name = sigabbrev_np(sig);
  if (name)
    lua_pushfstring(L, "SIG%s", name);
  else
    lua_pushfstring(L, "SIG%d", sig);
}

static void push_held(lua_State *L, child *c, int fd) {
  size_t len;
  const char *data = iz_process_held(c->p, fd, &len);
  lua_pushlstring(L, data, len);
  iz_process_take(c->p, fd, len);
}

/* Pushes status, signal, stdout, stderr: what wait returns. */
static int wait_over(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  child *c = check_open(L);
  if (!is_over(c)) return iz_await_list(L, &c->enders, wait_over, 0);
  if (has_failed(c)) return push_failure(L, c);
  int code = 0, sig = 0;
  iz_process_exited(c->p, &code, &sig);
  if (sig)
    lua_pushboolean(L, 0);
  else
    lua_pushinteger(L, code);
  if (sig)
    push_signal_name(L, sig);
  else
    lua_pushnil(L);
  push_held(L, c, 1);
  push_held(L, c, 2);
  return 4;
}

/* wait(process) -> exit code or false, signal name or nil, unread stdout, stderr; nil, err. */
static int l_wait(lua_State *L) {
  child *c = check_open(L);
  iz_process_set_limit(c->p, 1, c->most + 1);
  return wait_over(L, LUA_OK, 0);
}

static int check_signal(lua_State *L, int arg) {
  if (lua_isnoneornil(L, arg)) return SIGTERM;
  if (lua_isinteger(L, arg)) {
    lua_Integer n = lua_tointeger(L, arg);
    luaL_argcheck(L, n > 0 && n < NSIG, arg, "no such signal");
    return (int)n;
  }
  const char *name = luaL_checkstring(L, arg);
  if (strncmp(name, "SIG", 3) == 0) name += 3;
  for (int sig = 1; sig < NSIG; sig++) {
    const char *known = sigabbrev_np(sig);
    if (known && strcmp(known, name) == 0) return sig;
  }
  return luaL_argerror(L, arg, "no such signal");
}

/* kill(process, signal?) -> was it still alive? */
static int l_kill(lua_State *L) {
  int sig = check_signal(L, 2);
  child *c = check_child(L);
  lua_pushboolean(L, c->p && iz_process_signal(c->p, sig));
  return 1;
}

static int l_pid(lua_State *L) {
  lua_pushinteger(L, iz_process_pid(check_open(L)->p));
  return 1;
}

static int close_over(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  child *c = check_child(L);
  if (is_alive(c)) return iz_await_list(L, &c->enders, close_over, 0);
  close_child(c);
  return 0;
}

/* close(process): stops it if it runs, and waits until it is dead where waiting is possible. */
static int l_close(lua_State *L) {
  child *c = *(child **)luaL_checkudata(L, 1, TYPE);
  if (!c) return 0;
  if (c->p) iz_process_stop(c->p, IZ_STOP_GRACE);
  if (is_alive(c) && iz_lua_task(L) && lua_isyieldable(L)) return close_over(L, LUA_OK, 0);
  close_child(c);
  return 0;
}

static int l_gc(lua_State *L) {
  child **box = luaL_checkudata(L, 1, TYPE);
  child *c = *box;
  *box = NULL;
  if (!c) return 0;
  close_child(c);
  c->held = false;
  release(c);
  return 0;
}

/* environ() -> our environment as an array of "NAME=value". */
static int l_environ(lua_State *L) {
  lua_createtable(L, 64, 0);
  for (int i = 0; environ && environ[i]; i++) {
    lua_pushstring(L, environ[i]);
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

int iz_open_exec(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"start", l_start},     {"read", l_read}, {"write", l_write}, {"end_input", l_end_input},
      {"wait", l_wait},       {"kill", l_kill}, {"pid", l_pid},     {"close", l_close},
      {"environ", l_environ}, {NULL, NULL}};
  luaL_newlib(L, functions);
  iz_class_add(L, &(iz_class){.type = TYPE, .methods = "methods", .gc = l_gc, .close = l_close});
  return 1;
}
