/* copy.h -- structured copy of values from one Lua state into another.
 *
 * What crosses: nil, booleans, numbers, strings, json.null, and tables of these with string, number
 * or boolean keys; shared and cyclic references are kept, JSON arrays stay arrays, error objects
 * stay error objects. What does not: coroutines, and (unless the caller's `foreign` knows them)
 * functions, userdata and tables with a metatable. Nesting is bounded by IZ_COPY_DEPTH; it uses no
 * C recursion.
 */
#ifndef IZ_COPY_H
#define IZ_COPY_H

#include "base/err.h"

#include <lua.h>

#define IZ_COPY_DEPTH 200
/* Copying is one turn of the loop, in which others wait: so many scalars, a table counting as eight
 * of them, take some 30 ms. */
#define IZ_COPY_WORK 1000000

typedef struct iz_copy_rules {
  /* Asked about the value on top of `from`, a function, a userdata or a table with a foreign
   * metatable, which must stay there: pushes its stand-in on `to` and returns true, or pushes
   * nothing and returns false. It may raise on `to` only. NULL: refuse all. */
  bool (*foreign)(void *ctx, lua_State *from, lua_State *to);
  void *ctx;
} iz_copy_rules;

/* Registers in a new state what copying out of it, where nothing may be allocated, looks up. */
void iz_copy_open(lua_State *L);
/* Copies the n values on top of `from` (which stay) onto `to`'s stack. On failure nothing is pushed
 * and err says what cannot be copied, and where: code "uncopyable", "too_deep",
 * "too_large" or "oom". */
bool iz_copy(lua_State *from, lua_State *to, int n, const iz_copy_rules *rules, iz_err *err);

#endif
