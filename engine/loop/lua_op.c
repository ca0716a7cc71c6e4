/* lua_op.c -- see lua_op.h. A userdata on the waiting coroutine's stack owns the op, so that it is
 * released however the wait ends: results pushed, an error while pushing them, a state closed. */
#include "lua_op.h"

#include <lauxlib.h>

#define TYPE "iza.op"

/* Nobody wants the results any more. */
static void abandon(iz_op *op) {
  atomic_store(&op->stop, true);
  if (op->over)
    op->release(op);
  else
    op->abandoned = true;
}

static int gc_box(lua_State *L) {
  iz_op **box = lua_touserdata(L, 1);
  iz_op *op = *box;
  *box = NULL;
  if (op) abandon(op);
  return 0;
}

static int new_box(lua_State *L) {
  iz_op **box = lua_newuserdatauv(L, sizeof(void *), 0);
  *box = NULL;
  if (luaL_newmetatable(L, TYPE)) {
    lua_pushcfunction(L, gc_box);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  return 1;
}

/* Until it is in its box nobody but us would release the op when memory runs out. */
static void push_box(lua_State *L, iz_op *op) {
  lua_pushcfunction(L, new_box);
  if (lua_pcall(L, 0, 1, 0) != LUA_OK) {
    op->release(op);
    lua_error(L);
  }
  op->box = lua_touserdata(L, -1);
  *op->box = op;
}

static void run_job(iz_job *job) {
  iz_op *op = IZ_OUTER(job, iz_op, job);
  op->work(op);
}

static void job_done(iz_job *job) {
  iz_op *op = IZ_OUTER(job, iz_op, job);
  op->over = true;
  if (op->abandoned)
    op->release(op);
  else
    iz_wait_done(&op->wait);
}

/* The box does the rest when it is collected; large results need not wait for that. */
static void cancel_op(iz_wait *w) {
  atomic_store(&IZ_OUTER(w, iz_op, wait)->stop, true);
}

void iz_op_end(iz_op *op) {
  *op->box = NULL;
  op->release(op);
}

static int op_over(lua_State *L, int status, lua_KContext ctx) {
  iz_op *op = (iz_op *)ctx;
  iz_op **box = op->box; /* at the top of the stack */
  int n = op->k(L, status, ctx);
  if (*box) iz_op_end(op);
  return n;
}

int iz_op_await(lua_State *L, iz_op *op, lua_KFunction k) {
  op->over = true; /* nothing runs yet */
  push_box(L, op);
  iz_await_check(L);
  op->over = false;
  op->k = k;
  op->wait = (iz_wait){.cancel = cancel_op};
  op->job = (iz_job){.run = run_job, .done = job_done};
  if (iz_pool_submit(iz_lua_loop(L), &op->job))
    return iz_await(L, &op->wait, op_over, (lua_KContext)op);
  op->over = true;
  return iz_push_oom(L);
}
