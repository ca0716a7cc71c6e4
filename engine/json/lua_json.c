/* lua_json.c -- iza.core.json: null, array, is_array, decode, lines. lua/iza/json.lua documents
 * each.
 *
 * Decoding is a loop over the reader's tokens with the open tables on the Lua stack, each nested
 * one above its key (in an array: its index), so depth costs no C stack. Sizes of tables are
 * guessed from the last one at the same level, which is right for lists of like things and saves
 * most rehashing; the guess is capped, so that a hostile text cannot multiply its memory.
 */
#include "lua_json.h"

#include "base/alloc.h"
#include "vm/await.h"
#include "vm/field.h"
#include "vm/vm.h"

#include <lauxlib.h>

#define LEVELS 32            /* size guesses are kept for depths modulo this */
#define GUESS_MAX 32         /* entries */
#define KEEP (1 << 18)       /* bytes a codec keeps between calls */
#define LONG_TEXT (16 << 10) /* bytes that are decoded without letting others run */

int iz_open_json(lua_State *L);

typedef struct builder {
  iz_json j;
  bool drop_nulls;
  int array_meta;                 /* stack index */
  unsigned seen[LEVELS];          /* entries so far of the open container at that level */
  unsigned char guess[2][LEVELS]; /* of the last array and object there */
  bool in_array;
  lua_Integer n;   /* elements so far of the innermost open array */
  unsigned tokens; /* read since others were last let run */
} builder;

enum { BUILT, FAILED, PREEMPTED };

void iz_json_codec_trim(json_codec *c) {
  if (c->text.cap > KEEP) iz_buf_free(&c->text);
  if (c->key_cap * 16 > KEEP) {
    iz_free(c->keys);
    c->keys = NULL;
    c->key_cap = 0;
  }
}

void iz_json_codec_free(json_codec *c) {
  iz_buf_free(&c->text);
  iz_free(c->frames);
  iz_free(c->keys);
  *c = (json_codec){0};
}

static int codec_gc(lua_State *L) {
  iz_json_codec_free(lua_touserdata(L, 1));
  return 0;
}

unsigned iz_json_opt_depth(lua_State *L, int arg) {
  if (lua_getfield(L, arg, "depth") == LUA_TNIL) {
    lua_pop(L, 1);
    return IZ_JSON_DEPTH;
  }
  lua_Integer depth = lua_isinteger(L, -1) ? lua_tointeger(L, -1) : 0;
  if (depth < 1 || depth > IZ_JSON_DEPTH_MAX) {
    luaL_error(L, "depth must be an integer from 1 to %d", IZ_JSON_DEPTH_MAX);
  }
  lua_pop(L, 1);
  return (unsigned)depth;
}

/* ---- decode ---- */

/* Pushes an empty table for the container that has just been opened, above its index if it has one.
 */
static void open_table(lua_State *L, builder *b, bool array, lua_Integer *n, bool in_array) {
  unsigned level = b->j.depth % LEVELS;
  if (in_array) lua_pushinteger(L, ++*n);
  if (array) {
    lua_createtable(L, b->guess[0][level], 0);
    lua_pushvalue(L, b->array_meta);
    lua_setmetatable(L, -2);
  } else {
    lua_createtable(L, 0, b->guess[1][level]);
  }
  b->seen[level] = 0;
  *n = 0;
}

/* Remembers the size of the container of kind `object` that was closed. */
static inline void note_size(builder *b, bool object, lua_Integer n) {
  unsigned level = (b->j.depth + 1) % LEVELS;
  lua_Integer size = object ? (lua_Integer)b->seen[level] : n;
  b->guess[object][level] = (unsigned char)(size < GUESS_MAX ? size : GUESS_MAX);
}

/* Pushes the scalar value of token t. */
static inline void push_scalar(lua_State *L, const iz_json *j, iz_json_type t) {
  switch (t) {
  case IZ_JSON_STRING:
    lua_pushlstring(L, j->s, j->n);
    break;
  case IZ_JSON_INT:
    lua_pushinteger(L, (lua_Integer)j->i);
    break;
  case IZ_JSON_FLOAT:
    lua_pushnumber(L, j->f);
    break;
  case IZ_JSON_NULL:
    lua_pushlightuserdata(L, NULL);
    break;
  default:
    lua_pushboolean(L, t == IZ_JSON_TRUE);
  }
}

/* Pushes the one value of the text b->j has begun. On failure the stack is undefined above its top
 * at entry, and err is filled. A caller that `can_yield` calls it again after a turn of the others
 * when it was PREEMPTED. */
static int build(lua_State *L, builder *b, bool can_yield, iz_err *err) {
  iz_json *j = &b->j;
  for (;;) {
    if (++b->tokens % IZ_JSON_TURN == 0 && can_yield && lua_gethook(L) && iz_guard_preempt(L))
      return PREEMPTED;
    iz_json_type t = iz_json_next(j);
    switch (t) {
    case IZ_JSON_KEY:
      lua_pushlstring(L, j->s, j->n);
      continue;
    case IZ_JSON_ARRAY:
    case IZ_JSON_OBJECT:
      if (!lua_checkstack(L, 8)) {
        iz_fail_oom(err);
        return FAILED;
      }
      open_table(L, b, t == IZ_JSON_ARRAY, &b->n, b->in_array);
      b->in_array = t == IZ_JSON_ARRAY;
      continue;
    case IZ_JSON_ARRAY_END:
    case IZ_JSON_OBJECT_END:
      note_size(b, t == IZ_JSON_OBJECT_END, b->n);
      if (!j->depth) continue;
      b->in_array = !j->in_object;
      if (b->in_array) b->n = lua_tointeger(L, -2);
      lua_rawset(L, -3);
      b->seen[j->depth % LEVELS]++;
      continue;
    case IZ_JSON_END:
      return BUILT;
    case IZ_JSON_ERROR:
      iz_json_error(j, err);
      return FAILED;
    default:
      break;
    }
    if (b->drop_nulls && t == IZ_JSON_NULL && j->in_object) {
      lua_pop(L, 1); /* its key */
      continue;
    }
    push_scalar(L, j, t);
    if (b->in_array) {
      lua_rawseti(L, -2, ++b->n);
    } else if (j->depth) {
      lua_rawset(L, -3);
      b->seen[j->depth % LEVELS]++;
    }
  }
}

static void begin(lua_State *L, builder *b, json_codec *c, const char *s, size_t n,
                  unsigned depth) {
  iz_json_begin(&b->j, s, n, depth, &c->text);
  b->drop_nulls = b->in_array = false;
  b->n = b->tokens = 0;
  memset(b->guess, 0, sizeof b->guess);
  lua_pushvalue(L, lua_upvalueindex(2));
  b->array_meta = lua_gettop(L);
}

static int decode_on(lua_State *L, int status, lua_KContext ctx);

/* Stack: text, options, the builder of a long text, array metatable, open tables. */
static int decode_step(lua_State *L, builder *b) {
  json_codec *c = lua_touserdata(L, lua_upvalueindex(1));
  iz_err err;
  int result = build(L, b, true, &err);
  if (result == PREEMPTED) return lua_yieldk(L, 0, 0, decode_on);
  iz_json_codec_trim(c);
  return result == BUILT ? 1 : iz_push_error(L, &err);
}

static int decode_on(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  return decode_step(L, lua_touserdata(L, 3));
}

static int decode(lua_State *L) {
  size_t n;
  json_codec *c = lua_touserdata(L, lua_upvalueindex(1));
  luaL_checktype(L, 1, LUA_TSTRING);
  const char *s = lua_tolstring(L, 1, &n);
  bool options = !lua_isnoneornil(L, 2);
  if (options) luaL_checktype(L, 2, LUA_TTABLE);
  unsigned depth = options ? iz_json_opt_depth(L, 2) : IZ_JSON_DEPTH;
  lua_settop(L, 2);
  builder local;
  /* a long text may be preempted, and its builder must then outlive this call's C stack */
  builder *b = n > LONG_TEXT ? lua_newuserdatauv(L, sizeof *b, 0) : &local;
  if (b == &local) lua_pushnil(L);
  begin(L, b, c, s, n, depth);
  if (options) b->drop_nulls = iz_field_flag(L, 2, "drop_nulls");
  if (b != &local) return decode_step(L, b);
  iz_err err;
  bool ok = build(L, b, false, &err) == BUILT;
  iz_json_codec_trim(c);
  return ok ? 1 : iz_push_error(L, &err);
}

/* ---- lines ---- */

static bool blank(const char *p, const char *end) {
  while (p < end && (*p == ' ' || *p == '\t' || *p == '\r')) p++;
  return p == end;
}

/* Upvalues: 1 codec, 2 array metatable, 3 the text, 4 the next byte, 5 lines before it. */
static int lines_next(lua_State *L) {
  size_t n, len = 0;
  json_codec *c = lua_touserdata(L, lua_upvalueindex(1));
  const char *text = lua_tolstring(L, lua_upvalueindex(3), &n);
  const char *end = text + n, *p = text + lua_tointeger(L, lua_upvalueindex(4));
  lua_Integer line = lua_tointeger(L, lua_upvalueindex(5));
  for (bool empty = true; empty; p += empty ? len + 1 : 0) {
    if (p >= end) return 0;
    const char *nl = memchr(p, '\n', (size_t)(end - p));
    len = (size_t)((nl ? nl : end) - p);
    line++;
    empty = blank(p, p + len);
  }
  lua_pushinteger(L, (lua_Integer)(p - text) + (lua_Integer)len + 1);
  lua_replace(L, lua_upvalueindex(4));
  lua_pushinteger(L, line);
  lua_replace(L, lua_upvalueindex(5));
  builder b;
  iz_err err;
  lua_pushinteger(L, line);
  begin(L, &b, c, p, len, IZ_JSON_DEPTH);
  b.j.line = (size_t)line;
  int at = lua_gettop(L);
  bool ok = build(L, &b, false, &err) == BUILT;
  lua_remove(L, at);
  iz_json_codec_trim(c);
  if (ok) return 2;
  lua_settop(L, at - 1);
  return 1 + iz_push_error(L, &err);
}

static int lines(lua_State *L) {
  luaL_checktype(L, 1, LUA_TSTRING);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_pushvalue(L, 1);
  lua_pushinteger(L, 0);
  lua_pushinteger(L, 0);
  lua_pushcclosure(L, lines_next, 5);
  return 1;
}

/* ---- arrays ---- */

static int array(lua_State *L) {
  if (lua_isnoneornil(L, 1)) {
    lua_settop(L, 0);
    lua_newtable(L);
  }
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  lua_pushvalue(L, lua_upvalueindex(2));
  if (lua_getmetatable(L, 1) && !lua_rawequal(L, -1, -2)) {
    return luaL_argerror(L, 1, "a table with a metatable of its own cannot be marked as an array");
  }
  lua_settop(L, 2);
  lua_setmetatable(L, 1);
  return 1;
}

static int is_array(lua_State *L) {
  lua_pushboolean(L, lua_istable(L, 1) && lua_getmetatable(L, 1) &&
                         lua_rawequal(L, -1, lua_upvalueindex(2)));
  return 1;
}

int iz_open_json(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"encode", iz_json_lua_encode}, {"decode", decode}, {"lines", lines}, {"array", array},
      {"is_array", is_array},         {NULL, NULL}};
  luaL_newlibtable(L, functions);
  json_codec *c = lua_newuserdatauv(L, sizeof *c, 0);
  *c = (json_codec){0};
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, codec_gc);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  luaL_newmetatable(L, IZ_JSON_ARRAY_META);
  luaL_setfuncs(L, functions, 2);
  lua_pushlightuserdata(L, NULL);
  lua_setfield(L, -2, "null");
  return 1;
}
