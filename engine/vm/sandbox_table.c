/* sandbox_table.c -- table functions for isolates: work bounded between two looks at the guard.
 *
 * A C function cannot be preempted by a hook, and a table with metamethods can make stock functions
 * loop for ever. Each loop here asks the guard every CHECK steps and yields in the middle when its
 * slice is over. sort is a bottom-up merge sort: stable, and its comparison may wait.
 */
#include "vm/sandbox.h"

#include <lauxlib.h>
#include <string.h>

#define CHECK 1024

/* Every CHECK steps: must the function yield now and go on at this step? */
static bool slice_over(lua_State *L, lua_Integer step) {
  return step % CHECK == CHECK - 1 && iz_guard_preempt(L);
}

/* ---- move, insert, remove ---- */

/* Stack: source, first, count, to, target. ctx: elements done. Runs backwards when they overlap. */
static int move_on(lua_State *L, int status, lua_KContext done) {
  (void)status;
  lua_Integer f = lua_tointeger(L, 2), n = lua_tointeger(L, 3), t = lua_tointeger(L, 4);
  bool backwards = t > f && t < f + n && lua_rawequal(L, 1, 5);
  for (lua_Integer i = done; i < n; i++) {
    if (i != done && slice_over(L, i)) return lua_yieldk(L, 0, i, move_on);
    lua_Integer k = backwards ? n - 1 - i : i;
    lua_geti(L, 1, f + k);
    lua_seti(L, 5, t + k);
  }
  lua_settop(L, 5);
  return 1;
}

static int t_move(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_Integer f = luaL_checkinteger(L, 2), e = luaL_checkinteger(L, 3), t = luaL_checkinteger(L, 4);
  lua_settop(L, 5);
  if (lua_isnil(L, 5)) {
    lua_pushvalue(L, 1);
    lua_replace(L, 5);
  }
  luaL_checktype(L, 5, LUA_TTABLE);
  if (e < f) return 1;
  luaL_argcheck(L, f > 0 || e < LUA_MAXINTEGER + f, 3, "too many elements to move");
  luaL_argcheck(L, t <= LUA_MAXINTEGER - (e - f + 1) + 1, 4, "destination wrap around");
  lua_pushinteger(L, e - f + 1);
  lua_replace(L, 3);
  return move_on(L, LUA_OK, 0);
}

/* Stack: table, position, value, size + 1. ctx: elements moved up. */
static int insert_on(lua_State *L, int status, lua_KContext done) {
  (void)status;
  lua_Integer pos = lua_tointeger(L, 2), e = lua_tointeger(L, 4);
  for (lua_Integer i = done; e - i > pos; i++) {
    if (i != done && slice_over(L, i)) return lua_yieldk(L, 0, i, insert_on);
    lua_geti(L, 1, e - i - 1);
    lua_seti(L, 1, e - i);
  }
  lua_pushvalue(L, 3);
  lua_seti(L, 1, pos);
  return 0;
}

static int t_insert(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_Integer e = luaL_len(L, 1) + 1;
  if (lua_gettop(L) == 2) {
    lua_seti(L, 1, e);
    return 0;
  }
  if (lua_gettop(L) != 3) return luaL_error(L, "wrong number of arguments to 'insert'");
  lua_Integer pos = luaL_checkinteger(L, 2);
  luaL_argcheck(L, pos >= 1 && pos <= e, 2, "position out of bounds");
  lua_pushinteger(L, e);
  return insert_on(L, LUA_OK, 0);
}

/* Stack: table, position, size, the removed value. ctx: elements moved down. */
static int remove_on(lua_State *L, int status, lua_KContext done) {
  (void)status;
  lua_Integer pos = lua_tointeger(L, 2), size = lua_tointeger(L, 3);
  for (lua_Integer i = done; pos + i < size; i++) {
    if (i != done && slice_over(L, i)) return lua_yieldk(L, 0, i, remove_on);
    lua_geti(L, 1, pos + i + 1);
    lua_seti(L, 1, pos + i);
  }
  lua_pushnil(L);
  lua_seti(L, 1, size > pos ? size : pos);
  return 1;
}

static int t_remove(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_Integer size = luaL_len(L, 1), pos = luaL_optinteger(L, 2, size);
  if (!lua_isnoneornil(L, 2))
    luaL_argcheck(L, (lua_Unsigned)pos - 1u <= (lua_Unsigned)size, 2, "position out of bounds");
  lua_settop(L, 1);
  lua_pushinteger(L, pos);
  lua_pushinteger(L, size);
  lua_geti(L, 1, pos);
  return remove_on(L, LUA_OK, 0);
}

/* ---- concat, unpack ---- */

/* Joins `count` strings of the table at `from`, with what stands at `sep` between and, if `open`,
 * also behind; pushes the result. */
static void join(lua_State *L, int from, lua_Integer first, lua_Integer count, int sep, bool open) {
  size_t sep_len;
  const char *between = lua_tolstring(L, sep, &sep_len);
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (lua_Integer i = 0; i < count; i++) {
    lua_geti(L, from, first + i);
    if (!lua_isstring(L, -1))
      luaL_error(L, "invalid value (at index %I) in table for 'concat'", (LUAI_UACINT)(first + i));
    luaL_addvalue(&b);
    if (open || i < count - 1) luaL_addlstring(&b, between, sep_len);
  }
  luaL_pushresult(&b);
}

/* Stack: 1 table, 2 separator, 3 last, 4 pieces, 5 "". Each step joins CHECK elements to a piece.
 */
static int concat_on(lua_State *L, int status, lua_KContext at) {
  (void)status;
  lua_Integer i = (lua_Integer)at, last = lua_tointeger(L, 3);
  for (bool more = true; more; i += CHECK) {
    more = last - i >= CHECK;
    join(L, 1, i, more ? CHECK : last - i + 1, 2, more);
    lua_rawseti(L, 4, (lua_Integer)lua_rawlen(L, 4) + 1);
    if (more && iz_guard_preempt(L)) return lua_yieldk(L, 0, (lua_KContext)(i + CHECK), concat_on);
  }
  join(L, 4, 1, (lua_Integer)lua_rawlen(L, 4), 5, false);
  return 1;
}

static int t_concat(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_optstring(L, 2, "");
  lua_Integer i = luaL_optinteger(L, 3, 1),
              last = luaL_opt(L, luaL_checkinteger, 4, luaL_len(L, 1));
  lua_settop(L, 2);
  if (lua_isnil(L, 2)) {
    lua_pushliteral(L, "");
    lua_replace(L, 2);
  }
  if (i > last) {
    lua_pushliteral(L, "");
    return 1;
  }
  if ((lua_Unsigned)last - (lua_Unsigned)i > 5000000)
    return luaL_error(L, "too many values to concatenate in one call (5 million at most)");
  lua_pushinteger(L, last);
  lua_createtable(L, 1, 0);
  lua_pushliteral(L, "");
  return concat_on(L, LUA_OK, (lua_KContext)i);
}

/* ---- sort ---- */

/* Stack: 1 table, 2 comparison or nil, 3 scratch table, 4 state. Each pass merges runs of `width`
 * from the source (table or scratch) into the other. */
typedef struct sorting {
  lua_Integer n, width, low, i, j, out;
  int from, to; /* stack indices */
  bool asked;   /* a comparison is on its way */
} sorting;

static lua_Integer least(lua_Integer a, lua_Integer b) {
  return a < b ? a : b;
}

static void begin_run(sorting *s, lua_Integer low) {
  s->low = s->i = s->out = low;
  s->j = least(low + s->width, s->n + 1);
}

static void put(lua_State *L, sorting *s, lua_Integer *from) {
  lua_geti(L, s->from, (*from)++);
  lua_seti(L, s->to, s->out++);
}

static int sort_on(lua_State *L, int status, lua_KContext ctx);

/* Is element j less than element i? When the comparison waits, this does not return: sort_on goes
 * on with its answer. */
static bool less(lua_State *L, sorting *s) {
  lua_geti(L, s->from, s->j);
  lua_geti(L, s->from, s->i);
  if (lua_isnil(L, 2)) {
    bool r = lua_compare(L, -2, -1, LUA_OPLT);
    lua_pop(L, 2);
    return r;
  }
  lua_pushvalue(L, 2);
  lua_insert(L, -3);
  s->asked = true;
  lua_callk(L, 2, 1, 0, sort_on);
  s->asked = false;
  bool r = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return r;
}

/* One merge of two runs. Returns false when it must yield. */
static bool merge(lua_State *L, sorting *s) {
  lua_Integer mid = least(s->low + s->width, s->n + 1), end = least(mid + s->width, s->n + 1);
  while (s->i < mid && s->j < end) {
    if (slice_over(L, s->out)) return false;
    bool right = less(L, s);
    put(L, s, right ? &s->j : &s->i);
  }
  while (s->i < mid || s->j < end) put(L, s, s->i < mid ? &s->i : &s->j);
  return true;
}

static int sort_on(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  sorting *s = lua_touserdata(L, 4);
  if (s->asked) { /* the comparison yielded: its answer is on top */
    s->asked = false;
    bool right = lua_toboolean(L, -1);
    lua_settop(L, 4);
    put(L, s, right ? &s->j : &s->i);
  }
  while (s->width < s->n) {
    while (s->low <= s->n) {
      if (!merge(L, s)) return lua_yieldk(L, 0, 0, sort_on);
      begin_run(s, s->low + 2 * s->width);
    }
    int swap = s->from;
    s->from = s->to;
    s->to = swap;
    s->width *= 2;
    begin_run(s, 1);
  }
  for (; s->from == 3 && s->out <= s->n; s->out++) { /* the last pass ended in the scratch table */
    if (s->out != 1 && slice_over(L, s->out)) return lua_yieldk(L, 0, 0, sort_on);
    lua_geti(L, 3, s->out);
    lua_seti(L, 1, s->out);
  }
  return 0;
}

static int t_sort(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_Integer n = luaL_len(L, 1);
  luaL_argcheck(L, n < INT32_MAX, 1, "array too big");
  if (!lua_isnoneornil(L, 2)) luaL_checktype(L, 2, LUA_TFUNCTION);
  if (n < 2) return 0;
  lua_settop(L, 2);
  lua_createtable(L, n < 1 << 20 ? (int)n : 1 << 20, 0);
  sorting *s = lua_newuserdatauv(L, sizeof *s, 0);
  *s = (sorting){.n = n, .width = 1, .from = 1, .to = 3};
  begin_run(s, 1);
  return sort_on(L, LUA_OK, 0);
}

void iz_sandbox_bound_table(lua_State *L) {
  static const luaL_Reg functions[] = {{"move", t_move},     {"insert", t_insert},
                                       {"remove", t_remove}, {"concat", t_concat},
                                       {"sort", t_sort},     {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
