/* await.h -- how a binding (a lua_*.c file) suspends the Lua code that called it.
 *
 * A waiting C function starts its operation, then `return iz_await(L, &op->wait, k, ctx)`. The
 * calling task sleeps until iz_wait_done(&op->wait); then k(L, LUA_YIELD, ctx) runs with the stack
 * as it was and pushes the results. If the task is cancelled meanwhile, wait->cancel is called and
 * an error is raised; k does not run. The operation's memory must therefore outlive the wait: a
 * userdata on the Lua stack, or a C struct freed by whichever of k and cancel comes.
 */
#ifndef IZ_AWAIT_H
#define IZ_AWAIT_H

#include "base/err.h"
#include "loop/task.h"

#include <lua.h>

/* Suspends. Raises at once (after calling w->cancel) when the task is cancelled, when L runs
 * outside any task, or when a C function that cannot be suspended (sort, gsub callback, require) is
 * on the stack; the error names it. Never returns to its caller: always `return iz_await(...)`. */
int iz_await(lua_State *L, iz_wait *w, lua_KFunction k, lua_KContext ctx);
/* The same for a condition that a list of waiters stands for: sleeps until the list is woken. k
 * looks whether the condition holds now, and may wait again. */
int iz_await_list(lua_State *L, iz_waitlist *list, lua_KFunction k, lua_KContext ctx);
/* Gives others a turn: k runs on the next turn of the loop, after it looked at the descriptors. For
 * operations that would never wait while they are served at once. */
int iz_await_turn(lua_State *L, lua_KFunction k, lua_KContext ctx);
/* Raises those same errors before anything is started: for operations costly to begin. */
void iz_await_check(lua_State *L);

/* The running task; NULL outside one. The loop of this state. */
iz_task *iz_lua_task(lua_State *L);
iz_loop *iz_lua_loop(lua_State *L);

/* Pushes nil and an error object {code, message, retryable} that prints as one line; returns 2. */
int iz_push_error(lua_State *L, const iz_err *err);
/* The same for "out of memory". */
int iz_push_oom(lua_State *L);
/* Pushes only the error object. */
void iz_push_err(lua_State *L, const char *code, const char *message, bool retryable);
/* Raises misuse ("bad argument" style errors use luaL_error and friends) as an error object. */
int iz_raise(lua_State *L, const iz_err *err);

/* Reads a duration argument: a number of seconds or "250ms" "1.5s" "1h30m" "3d"; nanoseconds. */
int64_t iz_check_duration(lua_State *L, int arg);
/* Reads a size argument: a number of bytes or "64MB" "1.5GB" "16KB" (powers of 1024). */
int64_t iz_check_size(lua_State *L, int arg);

#endif
