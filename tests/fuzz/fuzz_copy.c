/* fuzz_copy.c -- bytes build a graph of Lua values in one state; its structured copy into a second
 * state and back into a third must be the same graph, or be refused with a reason.
 *
 * The bytes are a program for a small stack machine that makes scalars, tables, JSON arrays, error
 * objects, cycles and shared parts, and what must not cross: functions, coroutines, userdata,
 * tables with a metatable, tables as keys. It knows when it has stored something forbidden in a
 * table, so a copy that succeeds although that table is reachable is caught by the comparison,
 * which knows no such values. Comparison walks both graphs side by side and demands that each table
 * meets always the same partner.
 */
#include "json/lua_json.h"
#include "vm/copy.h"
#include "vm/vm.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_TABLES 300
#define MAX_OPS 4000

static lua_State *a, *b, *c;

static void open_states(void) {
  iz_loop *loop = iz_loop_new(NULL);
  lua_State **states[] = {&a, &b, &c};
  for (int i = 0; i < 3; i++) {
    iz_vm *vm = loop ? iz_vm_new(loop, 0) : NULL;
    if (!vm) abort();
    *states[i] = vm->L;
    iz_error_open(vm->L);
  }
}

typedef struct input {
  const uint8_t *p, *end;
} input;

static unsigned take(input *in) {
  return in->p < in->end ? *in->p++ : 0;
}

static void push_text(lua_State *L, input *in) {
  size_t n = take(in) % 48, left = (size_t)(in->end - in->p);
  if (n > left) n = left;
  lua_pushlstring(L, (const char *)in->p, n);
  in->p += n;
}

static void push_number(lua_State *L, input *in) {
  uint64_t bits = 0;
  for (int i = 0; i < 8; i++) bits = bits << 8 | take(in);
  double d;
  memcpy(&d, &bits, sizeof d);
  if (d == d)
    lua_pushnumber(L, d);
  else
    lua_pushinteger(L, (lua_Integer)bits);
}

static void push_new_table(lua_State *L, unsigned kind) {
  lua_newtable(L);
  if (kind % 8 == 1) {
    luaL_newmetatable(L, IZ_JSON_ARRAY_META);
    lua_setmetatable(L, -2);
  } else if (kind % 8 == 2) {
    iz_error_mark(L);
  } else if (kind % 32 == 3) {
    lua_newtable(L);
    lua_setmetatable(L, -2);
  }
}

static void push_forbidden(lua_State *L, unsigned kind) {
  if (kind % 4 == 0)
    lua_pushcfunction(L, iz_error_new);
  else if (kind % 4 == 1)
    lua_newthread(L);
  else if (kind % 4 == 2)
    lua_newuserdatauv(L, 1, 0);
  else
    lua_pushlightuserdata(L, L);
}

/* A value: one of the tables made so far (below *count, at stack 1...), or a new one of its own. */
static void push_value(lua_State *L, input *in, int *count) {
  unsigned op = take(in);
  switch (op % 12) {
  case 0:
    lua_pushboolean(L, op & 16);
    break;
  case 1:
    lua_pushinteger(L, (int8_t)take(in));
    break;
  case 2:
    push_number(L, in);
    break;
  case 3:
  case 4:
    push_text(L, in);
    break;
  case 5:
    lua_pushlightuserdata(L, NULL);
    break;
  case 6:
    if (op / 12 % 4 == 0)
      push_forbidden(L, take(in));
    else
      lua_pushinteger(L, op);
    break;
  case 7:
  case 8:
    lua_pushvalue(L, 1 + (int)(take(in) % (unsigned)*count));
    break;
  default:
    push_new_table(L, op < 48 ? take(in) : 0);
    if (*count < MAX_TABLES && lua_checkstack(L, 8)) {
      lua_pushvalue(L, -1);
      lua_insert(L, ++*count);
    }
  }
}

/* Leaves the root at stack 1. */
static void build(lua_State *L, input *in) {
  int count = 1;
  push_new_table(L, take(in));
  for (int i = 0; i < MAX_OPS && in->p < in->end; i++) {
    unsigned where = take(in);
    int into = where & 1 ? count : 1 + (int)(where / 2 % (unsigned)count);
    lua_pushvalue(L, into);
    if (where & 2) {
      push_value(L, in, &count); /* its new tables go below */
      lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    } else {
      push_value(L, in, &count);
      bool usable = !lua_isnil(L, -1) && (lua_type(L, -1) != LUA_TTABLE || where > 250);
      if (lua_type(L, -1) == LUA_TNUMBER && lua_tonumber(L, -1) != lua_tonumber(L, -1))
        usable = false;
      if (!usable) {
        lua_pop(L, 1);
        lua_pushinteger(L, where);
      }
      push_value(L, in, &count);
      lua_rawset(L, -3);
    }
    lua_settop(L, count);
  }
  lua_settop(L, 1);
}

/* ---- comparison: y's stack has the table {pointer in x -> table of y} at 2 ---- */

static int compare(lua_State *x, lua_State *y, int level);

static void compare_scalars(lua_State *x, lua_State *y) {
  if (lua_type(x, -1) != lua_type(y, -1)) abort();
  size_t n, m;
  switch (lua_type(x, -1)) {
  case LUA_TBOOLEAN:
    if (lua_toboolean(x, -1) != lua_toboolean(y, -1)) abort();
    break;
  case LUA_TNUMBER:
    if (lua_isinteger(x, -1) != lua_isinteger(y, -1)) abort();
    if (lua_isinteger(x, -1) ? lua_tointeger(x, -1) != lua_tointeger(y, -1)
                             : lua_tonumber(x, -1) != lua_tonumber(y, -1))
      abort();
    break;
  case LUA_TSTRING: {
    const char *s = lua_tolstring(x, -1, &n), *t = lua_tolstring(y, -1, &m);
    if (n != m || memcmp(s, t, n) != 0) abort();
    break;
  }
  case LUA_TLIGHTUSERDATA:
    if (lua_touserdata(x, -1) || lua_touserdata(y, -1)) abort();
    break;
  default: /* what must not cross has crossed */
    abort();
  }
}

static char mark_of(lua_State *L) {
  if (!lua_getmetatable(L, -1)) return 0;
  luaL_getmetatable(L, IZ_JSON_ARRAY_META);
  bool array = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return array ? 'a' : iz_error_is(L, -1) ? 'e' : 'x';
}

static int count_entries(lua_State *L) {
  int n = 0;
  for (lua_pushnil(L); lua_next(L, -2); n++) lua_pop(L, 1);
  return n;
}

/* The entries of the tables on top of both, new to each other. */
static void compare_entries(lua_State *x, lua_State *y, int level) {
  char mark = mark_of(x);
  if (mark == 'x' || mark != mark_of(y) || count_entries(x) != count_entries(y)) abort();
  lua_pushnil(x);
  while (lua_next(x, -2)) {
    switch (lua_type(x, -2)) { /* the same key in y */
    case LUA_TSTRING: {
      size_t n;
      const char *s = lua_tolstring(x, -2, &n);
      lua_pushlstring(y, s, n);
      break;
    }
    case LUA_TNUMBER:
      if (lua_isinteger(x, -2))
        lua_pushinteger(y, lua_tointeger(x, -2));
      else
        lua_pushnumber(y, lua_tonumber(x, -2));
      break;
    case LUA_TBOOLEAN:
      lua_pushboolean(y, lua_toboolean(x, -2));
      break;
    default:
      abort();
    }
    lua_rawget(y, -2);
    compare(x, y, level + 1);
    lua_pop(x, 1);
    lua_pop(y, 1);
  }
}

/* The values on top of both; a copy is at most IZ_COPY_DEPTH deep by the path it was walked, and
 * another order of keys may find a longer one, but never one of more than all tables. */
static int compare(lua_State *x, lua_State *y, int level) {
  if (level > MAX_OPS || !lua_checkstack(x, 10) || !lua_checkstack(y, 10)) abort();
  if (lua_type(x, -1) != LUA_TTABLE) {
    compare_scalars(x, y);
    return 0;
  }
  if (lua_type(y, -1) != LUA_TTABLE) abort();
  const void *p = lua_topointer(x, -1);
  bool known = lua_rawgetp(y, 2, p) == LUA_TTABLE;
  if (known && !lua_rawequal(y, -1, -2)) abort();
  lua_pop(y, 1);
  if (known) return 0;
  lua_pushvalue(y, -1);
  lua_rawsetp(y, 2, p);
  compare_entries(x, y, level);
  return 0;
}

static void same(lua_State *x, lua_State *y) {
  lua_settop(y, 1);
  lua_newtable(y);
  lua_pushvalue(y, 1);
  lua_pushvalue(x, 1);
  compare(x, y, 0);
  lua_settop(x, 1);
  lua_settop(y, 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (!a) open_states();
  input in = {data, data + size};
  build(a, &in);
  iz_err err = {{0}, {0}, false};
  if (iz_copy(a, b, 1, NULL, &err)) {
    if (lua_gettop(a) != 1 || lua_gettop(b) != 1) abort();
    same(a, b);
    /* back: another order of keys may meet the depth limit, nothing else */
    if (iz_copy(b, c, 1, NULL, &err))
      same(a, c);
    else if (strcmp(err.code, "too_deep") != 0)
      abort();
  } else if ((strcmp(err.code, "uncopyable") != 0 && strcmp(err.code, "too_deep") != 0) ||
             !err.message[0] || lua_gettop(b) != 0 || lua_gettop(a) != 1) {
    abort();
  }
  lua_settop(a, 0);
  lua_settop(b, 0);
  lua_settop(c, 0);
  return 0;
}
