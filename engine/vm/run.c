/* run.c -- the life of the main state: see run.h.
 *
 * The entry runs as the main task. The program ends when it and everything it started is over.
 * The first Ctrl-C cancels all tasks, so <close> handlers run; SIGTERM, SIGHUP and a standard
 * output that nobody reads do the same.
 */
#include "vm/run.h"

#include "base/log.h"
#include "loop/pool.h"
#include "loop/signals.h"
#include "vm/modules.h"

#include <lauxlib.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct state {
  const iz_run *run;
  iz_vm *vm;
  int status;
  int signal;  /* the one that asked us to stop */
  bool served; /* there was a server when it came */
  bool exiting;
  iz_fiber *main; /* anchored in the registry under key_main */
} state;

static char key_main, key_told;

static state *the_state; /* for the failure hook */

static void print_report(lua_State *L, int index, const char *prefix) {
  iz_error_report(L, index);
  fflush(stdout);
  fprintf(stderr, "%s%s\n", prefix, lua_tostring(L, -1));
  lua_pop(L, 1);
}

/* Stack: the error with which the program could not begin. */
static int report_start(lua_State *L) {
  print_report(L, 1, "iza: ");
  return 0;
}

/* The errors that were reported, as weak keys. */
static void push_told(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &key_told) == LUA_TTABLE) return;
  lua_pop(L, 1);
  lua_createtable(L, 0, 1);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "k");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &key_told);
}

/* Reports what the fiber failed with, unless that is an error of another one that it passed on. */
static int report_failure(lua_State *L) {
  iz_fiber *f = lua_touserdata(L, 1);
  iz_fiber_push_error(L, f);
  push_told(L);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, 3) != LUA_TNIL) return 0;
  print_report(L, 2, "iza: ");
  lua_pushvalue(L, 2);
  lua_pushboolean(L, 1);
  lua_rawset(L, 3);
  return 0;
}

/* Told at once, as the task that will join it or raise it again may run for long. */
static void on_failure(iz_vm *vm, iz_fiber *f) {
  if (the_state->exiting) return;
  if (!f->held_by) the_state->status = 1;
  lua_pushcfunction(vm->L, report_failure);
  lua_pushlightuserdata(vm->L, f);
  if (lua_pcall(vm->L, 1, 0, 0) != LUA_OK) {
    iz_log(IZ_ERROR, "vm", "a task failed and memory ran out while reporting it");
    lua_pop(vm->L, 1);
  }
}

static void on_signal(void *ctx, int sig) {
  state *s = ctx;
  if (sig == SIGINT && s->vm->on_interrupt && s->vm->on_interrupt(s->vm)) {
    iz_signals_answered();
    return;
  }
  if (!s->signal) {
    s->signal = sig;
    s->served = s->vm->servers > 0;
  }
  iz_scope_cancel(&s->vm->root);
}

/* os.exit(code = true, close = false) */
static int l_exit(lua_State *L) {
  state *s = the_state;
  int code = lua_isboolean(L, 1) ? (lua_toboolean(L, 1) ? EXIT_SUCCESS : EXIT_FAILURE)
                                 : (int)luaL_optinteger(L, 1, EXIT_SUCCESS);
  iz_fiber *f = s->vm->current;
  if (!lua_toboolean(L, 2) || !f) exit(code);
  if (!s->exiting) s->status = code;
  s->exiting = true;
  f->limit = IZ_LIMIT_EXIT; /* no pcall stops it */
  iz_scope_cancel(&s->vm->root);
  iz_co_unwind(L);
  iz_push_err(L, "limit", "the program ends", false);
  return lua_error(L);
}

static int open_state(lua_State *L) {
  state *s = lua_touserdata(L, 1);
  iz_modules_open(L);
  lua_getglobal(L, "os");
  lua_pushcfunction(L, l_exit);
  lua_setfield(L, -2, "exit");
  lua_pop(L, 1);
  lua_pushboolean(L, 0); /* the place, so that nothing fails once the main task is spawned */
  lua_rawsetp(L, LUA_REGISTRYINDEX, &key_main);
  int nargs = s->run->load(L, s->run->ctx);
  s->main = iz_fiber_spawn(L, nargs, &s->vm->root, 0);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &key_main);
  return 0;
}

static void take_status(state *s) {
  const iz_fiber *f = s->main;
  if (!s->run->returns_status || s->status || s->exiting || f->failed) return;
  if (lua_gettop(f->co) > 0 && lua_isinteger(f->co, 1)) s->status = (int)lua_tointeger(f->co, 1);
}

/* As the shell reports a program that the signal ended. For a server SIGTERM is the normal end: it
 * drained as asked. */
static int exit_status(const state *s) {
  bool drained = s->signal == SIGTERM && s->served;
  if (s->signal && !drained) return 128 + s->signal;
  return s->status;
}

/* What was printed must have been written: nobody can tell from a result that is cut short. */
static void check_output(state *s) {
  bool ok = fflush(stdout) == 0 && !ferror(stdout);
  if (ok || s->signal == SIGPIPE) return;
  fprintf(stderr, "iza: standard output could not be written%s%s\n", errno ? ": " : "",
          errno ? strerror(errno) : "");
  if (!s->status) s->status = 1;
}

/* Pushes, with iza.core.task's list, what waits for what: lua/iza/stuck.lua. */
static int tell_stuck(lua_State *L) {
  lua_getglobal(L, "require");
  lua_pushliteral(L, "iza.stuck");
  lua_call(L, 1, 1);
  lua_pushcfunction(L, iz_fiber_list);
  lua_call(L, 0, 1);
  lua_call(L, 1, 1);
  fflush(stdout);
  fprintf(stderr, "iza: %s\n", lua_tostring(L, -1));
  return 0;
}

/* Every task waits for another: the program could only hang. */
static void on_stuck(void *ctx) {
  state *s = ctx;
  lua_State *L = s->vm->L;
  lua_pushcfunction(L, tell_stuck);
  if (lua_pcall(L, 0, 0, 0) != LUA_OK) {
    print_report(L, -1, "iza: deadlock: ");
    lua_pop(L, 1);
  }
  if (!s->status) s->status = 1;
  iz_scope_cancel(&s->vm->root);
}

/* What does not keep the program alive gets a few turns to run its <close>. */
static void end_daemons(const state *s) {
  iz_scope_cancel(&s->vm->root);
  for (int i = 0; i < 100 && !iz_scope_is_empty(&s->vm->root); i++)
    iz_loop_turn(s->vm->loop, false);
}

int iz_run_main(const iz_run *run) {
  iz_err err;
  state s = {.run = run};
  the_state = &s;
  iz_loop *loop = iz_loop_new(&err);
  s.vm = loop ? iz_vm_new(loop, 0) : NULL;
  if (!s.vm || !iz_guard_start(&err) || !iz_signals_start(loop, on_signal, &s, &err)) {
    fprintf(stderr, "iza: %s\n", loop && !s.vm ? "out of memory" : err.message);
    iz_guard_stop();
    iz_vm_free(s.vm);
    iz_loop_free(loop);
    return 1;
  }
  s.vm->on_failure = on_failure;
  lua_State *L = s.vm->L;
  lua_pushcfunction(L, open_state);
  lua_pushlightuserdata(L, &s);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
    lua_pushcfunction(L, report_start);
    lua_insert(L, -2);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) fprintf(stderr, "iza: out of memory\n");
    s.status = 1;
  } else {
    iz_loop_ask_stuck(loop, on_stuck, &s);
    iz_loop_run(loop);
    end_daemons(&s);
    take_status(&s);
  }
  iz_guard_stop();
  iz_pool_stop();
  iz_vm_free(s.vm);
  /* Pool jobs that nobody waits for any more give their memory back: one turn takes them from the
   * threads, the next runs their `done`. */
  for (int i = 0; i < 2; i++) iz_loop_turn(loop, false);
  check_output(&s);
  iz_signals_stop();
  iz_loop_free(loop);
  return exit_status(&s);
}
