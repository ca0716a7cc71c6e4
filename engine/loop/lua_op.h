/* lua_op.h -- blocking work on the pool, awaited by a Lua task.
 *
 * The binding makes an op (iz_calloc; its own struct begins with iz_op), fills in work and release,
 * and ends with `return iz_op_await(L, op, k)`. work runs on a pool thread and sees no Lua. Then k
 * runs with the op as its ctx; it pushes the results and returns their number. The op is released
 * after that, or, when its task was cancelled, as soon as the thread is done with it. So all that
 * work reads must belong to the op: Lua strings are copied into it.
 */
#ifndef IZ_LUA_OP_H
#define IZ_LUA_OP_H

#include "loop/pool.h"
#include "vm/await.h"

#include <stdatomic.h>

typedef struct iz_op iz_op;
struct iz_op {
  void (*work)(iz_op *);    /* on a pool thread */
  void (*release)(iz_op *); /* frees the op; on the loop's thread */
  atomic_bool stop;         /* its task was cancelled: long work may look at it and end early */
  bool ok;                  /* for work to set; false: err says why */
  iz_err err;
  bool over, abandoned; /* ours, like the rest */
  iz_wait wait;
  iz_job job;
  lua_KFunction k;
  iz_op **box;
};

/* Takes the op over in any case. Raises like iz_await_check; without threads the results are nil
 * and an error. */
int iz_op_await(lua_State *L, iz_op *op, lua_KFunction k);
/* Releases the op before k returns: for a k that waits again. */
void iz_op_end(iz_op *op);

#endif
