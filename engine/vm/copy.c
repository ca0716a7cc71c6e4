/* copy.c -- structured copy: see copy.h.
 *
 * A walk in depth with its stack in the two Lua states: `from` holds (table, key) a level, `to` the
 * table being filled. It runs as a protected call of `to`, the only state that allocates.
 */
#include "vm/copy.h"

#include "base/buf.h"
#include "json/lua_json.h"
#include "vm/vm.h"

#include <lauxlib.h>

#define TABLE_WORK 8 /* a table takes about as long as so many scalars */

typedef struct walk {
  lua_State *from, *to;
  const iz_copy_rules *rules;
  iz_err *err;
  int count;     /* values to copy */
  int from_base; /* from's height before the walk pushed anything */
  int seen;      /* index in `to` of the table source pointer -> copy */
  int depth;
  int work; /* steps taken: see IZ_COPY_WORK */
} walk;

/* ---- refusals ---- */

static void add_key(lua_State *L, iz_buf *path, int index) {
  if (lua_type(L, index) == LUA_TSTRING)
    iz_buf_addf(path, ".%.40s", lua_tostring(L, index));
  else if (lua_isinteger(L, index))
    iz_buf_addf(path, "[%lld]", (long long)lua_tointeger(L, index));
  else
    iz_buf_adds(path, "[?]");
}

/* Fills err with the place of the value on top of `from`, and raises on `to`. */
static void refuse(walk *w, const char *code, const char *what) {
  iz_buf path = {0};
  for (int level = 0; level < w->depth; level++)
    add_key(w->from, &path, w->from_base + 2 + level * 2);
  const char *where = iz_buf_cstr(&path);
  iz_fail(w->err, code, "%s cannot cross between Lua states%s%.200s", what,
          w->depth ? ": found at value" : "", w->depth && where ? where : "");
  iz_buf_free(&path);
  lua_pushnil(w->to);
  lua_error(w->to);
}

static void count_work(walk *w, int steps) {
  w->work += steps;
  if (w->work > IZ_COPY_WORK) refuse(w, "too_large", "more than 1,000,000 values at once");
}

/* ---- values ---- */

/* Pushes a scalar; false when the value is none. */
static bool push_scalar(lua_State *from, int index, lua_State *to) {
  switch (lua_type(from, index)) {
  case LUA_TNIL:
    lua_pushnil(to);
    return true;
  case LUA_TBOOLEAN:
    lua_pushboolean(to, lua_toboolean(from, index));
    return true;
  case LUA_TNUMBER:
    if (lua_isinteger(from, index))
      lua_pushinteger(to, lua_tointeger(from, index));
    else
      lua_pushnumber(to, lua_tonumber(from, index));
    return true;
  case LUA_TSTRING: {
    size_t n;
    const char *s = lua_tolstring(from, index, &n);
    lua_pushlstring(to, s, n);
    return true;
  }
  case LUA_TLIGHTUSERDATA: /* json.null */
    if (lua_touserdata(from, index)) return false;
    lua_pushlightuserdata(to, NULL);
    return true;
  default:
    return false;
  }
}

void iz_copy_open(lua_State *L) {
  luaL_newmetatable(L, IZ_JSON_ARRAY_META);
  lua_pop(L, 1);
}

enum kind { PLAIN, ARRAY, ERROR, FOREIGN };

/* Runs unprotected: the name it looks up exists since iz_copy_open, so nothing is allocated. */
static enum kind kind_of(lua_State *L) {
  if (lua_type(L, -1) != LUA_TTABLE) return FOREIGN;
  if (!lua_getmetatable(L, -1)) return PLAIN;
  luaL_getmetatable(L, IZ_JSON_ARRAY_META);
  bool array = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  if (array) return ARRAY;
  return iz_error_is(L, -1) ? ERROR : FOREIGN;
}

static void mark(lua_State *to, enum kind kind) {
  if (kind == ERROR) {
    iz_error_mark(to);
  } else if (kind == ARRAY) {
    luaL_newmetatable(to, IZ_JSON_ARRAY_META);
    lua_setmetatable(to, -2);
  }
}

/* The value on top of `from` is no scalar. Pushes its copy on `to`; true when that is a new table
 * whose content is still to come. */
static bool push_object(walk *w) {
  lua_State *from = w->from, *to = w->to;
  int type = lua_type(from, -1);
  if (type == LUA_TTHREAD) refuse(w, "uncopyable", "a coroutine");
  const void *p = lua_topointer(from, -1);
  if (lua_rawgetp(to, w->seen, p) != LUA_TNIL) return false;
  lua_pop(to, 1);
  enum kind kind = type == LUA_TFUNCTION ? FOREIGN : kind_of(from);
  if (kind == FOREIGN) {
    if (!w->rules || !w->rules->foreign || !w->rules->foreign(w->rules->ctx, from, to))
      refuse(w, "uncopyable",
             type == LUA_TTABLE      ? "a table with a metatable"
             : type == LUA_TFUNCTION ? "a function"
                                     : luaL_typename(from, -1));
  } else {
    count_work(w, TABLE_WORK);
    lua_Unsigned n = lua_rawlen(from, -1);
    lua_createtable(to, n > 1 << 20 ? 1 << 20 : (int)n, 0);
    mark(to, kind);
  }
  lua_pushvalue(to, -1);
  lua_rawsetp(to, w->seen, p);
  return kind != FOREIGN;
}

/* ---- the walk ---- */

static void enter(walk *w) {
  if (w->depth >= IZ_COPY_DEPTH) refuse(w, "too_deep", "a table nested deeper than 200 levels");
  luaL_checkstack(w->to, 8, NULL);
  if (!lua_checkstack(w->from, 8)) {
    iz_fail_oom(w->err);
    lua_pushnil(w->to);
    lua_error(w->to);
  }
  w->depth++;
  lua_pushnil(w->from);
}

/* Fills the table on top of `to` from the one on top of `from`, and all below it. */
static void copy_table(walk *w) {
  lua_State *from = w->from, *to = w->to;
  enter(w);
  while (w->depth > 0) {
    if (!lua_next(from, -2)) {
      w->depth--;
      if (w->depth > 0) {
        lua_pop(from, 1); /* the table was a value one level up; its key stays */
        lua_pop(to, 1);
      }
      continue;
    }
    count_work(w, 1);
    if (lua_islightuserdata(from, -2) || !push_scalar(from, -2, to))
      refuse(w, "uncopyable", "a table's key that is no string, number or boolean");
    if (push_scalar(from, -1, to)) {
      lua_rawset(to, -3);
      lua_pop(from, 1);
    } else if (push_object(w)) { /* to: table key copy */
      lua_pushvalue(to, -1);
      lua_insert(to, -3); /* table copy key copy */
      lua_rawset(to, -4);
      enter(w);
    } else {
      lua_rawset(to, -3);
      lua_pop(from, 1);
    }
  }
}

/* Protected by iz_copy. Returns the copies. */
static int copy_all(lua_State *to) {
  walk *w = lua_touserdata(to, 1);
  luaL_checkstack(to, w->count + 8, NULL);
  lua_createtable(to, 0, 4);
  w->seen = lua_gettop(to);
  int first = w->from_base - w->count + 1;
  for (int i = 0; i < w->count; i++) {
    if (push_scalar(w->from, first + i, to)) continue;
    lua_pushvalue(w->from, first + i);
    if (push_object(w)) copy_table(w);
    lua_pop(w->from, 1);
  }
  return w->count;
}

bool iz_copy(lua_State *from, lua_State *to, int n, const iz_copy_rules *rules, iz_err *err) {
  iz_err local;
  walk w = {.from = from,
            .to = to,
            .rules = rules,
            .err = err ? err : &local,
            .count = n,
            .from_base = lua_gettop(from)};
  w.err->code[0] = 0;
  if (!lua_checkstack(from, 8) || !lua_checkstack(to, n + 8)) return iz_fail_oom(err);
  lua_pushcfunction(to, copy_all);
  lua_pushlightuserdata(to, &w);
  bool ok = lua_pcall(to, 1, n, 0) == LUA_OK;
  if (!ok) {
    if (!w.err->code[0]) iz_fail_oom(w.err);
    lua_pop(to, 1);
  }
  lua_settop(from, w.from_base);
  return ok;
}
