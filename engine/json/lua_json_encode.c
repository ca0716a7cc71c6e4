/* lua_json_encode.c -- json.encode: Lua values as JSON text.
 *
 * A loop with a frame an open table, so depth costs no C stack; cycles are found by looking for the
 * table among the open ones. Tables are walked raw, once: a table whose first key is 1 is taken for
 * an array as long as the keys come in order. Lua keeps part of some arrays in its hash part, where
 * they come in any order; then the rest is first proved to be exactly 1..n and read by index. What
 * is neither a sequence nor has only string keys is an error that names the place, as is everything
 * that could not be read back the same: NaN, functions, text that is not UTF-8.
 */
#include "lua_json.h"

#include "base/alloc.h"
#include "vm/await.h"
#include "vm/field.h"
#include "vm/vm.h"

#include <lauxlib.h>
#include <stdlib.h>

#define MAX_SIZE (256u << 20) /* of the text, unless told otherwise */
#define MAX_INDENT 16
#define MAX_PATH 300

enum { WALK_ARRAY, INDEX_ARRAY, WALK_OBJECT, SORTED_OBJECT };

struct json_frame {
  const void *table;
  int at; /* its stack index; a walk keeps the key in the slot above */
  int kind;
  lua_Integer i, n; /* elements written; how many there are, when known */
  size_t keys;      /* the first of its keys in the codec, when sorted */
};

struct json_key {
  const char *s;
  size_t n;
  int at; /* stack index of the string */
};

typedef struct encoder {
  lua_State *L;
  json_codec *c;
  iz_buf *out;
  iz_err *err;
  size_t depth; /* open frames */
  size_t max_depth, max_size;
  int indent; /* spaces a level; 0: none */
  bool sort;
  unsigned steps; /* values written */
} encoder;

enum { WHOLE, FAILED, PREEMPTED };

/* What an encoding that was preempted goes on with. */
typedef struct suspended {
  json_codec codec; /* first: it has the codec's finaliser */
  encoder e;
} suspended;

/* ---- errors ---- */

static bool plain_name(const char *s, size_t n) {
  for (size_t i = 0; i < n; i++) {
    char c = s[i];
    bool letter = ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '_';
    if (!letter && (i == 0 || c < '0' || c > '9')) return false;
  }
  return n > 0 && n < 64;
}

static void add_string_key(iz_buf *b, const char *s, size_t n) {
  if (plain_name(s, n)) {
    iz_buf_addc(b, '.');
    iz_buf_add(b, s, n);
    return;
  }
  iz_buf_addc(b, '[');
  size_t start = b->len;
  if (!iz_json_put_string(b, s, n < 64 ? n : 0)) {
    b->len = start;
    iz_buf_adds(b, "?");
  }
  iz_buf_addc(b, ']');
}

/* Appends the step from frame f to what is being written inside it. */
static void add_step(encoder *e, const json_frame *f, iz_buf *b) {
  if (f->kind == INDEX_ARRAY || f->kind == WALK_ARRAY) {
    iz_buf_addf(b, "[%lld]", (long long)f->i);
  } else if (f->kind == SORTED_OBJECT) {
    const json_key *k = &e->c->keys[f->keys + (size_t)f->i - 1];
    add_string_key(b, k->s, k->n);
  } else {
    size_t n;
    const char *s = lua_tolstring(e->L, f->at + 1, &n); /* a string: nothing is converted */
    add_string_key(b, s, n);
  }
}

/* Fails with "cannot encode WHAT at $.path[3].to.it"; very long paths lose their middle. */
static bool fail_at(encoder *e, const char *what) {
  iz_buf path = {0};
  iz_buf_addc(&path, '$');
  for (size_t i = 0; i < e->depth; i++) {
    if (i == 8 && e->depth > 16) {
      i = e->depth - 8;
      iz_buf_adds(&path, " ... ");
    }
    add_step(e, &e->c->frames[i], &path);
  }
  const char *text = iz_buf_cstr(&path);
  if (text) {
    iz_fail(e->err, "invalid", "cannot encode %s at %.*s", what, MAX_PATH, text);
  } else {
    iz_fail_oom(e->err);
  }
  iz_buf_free(&path);
  return false;
}

/* After an append of text or a number failed: no memory, or a value JSON has no words for. */
static bool fail_put(encoder *e, const char *what) {
  return e->out->oom ? iz_fail_oom(e->err) : fail_at(e, what);
}

/* ---- layout ---- */

static void new_line(encoder *e) {
  if (!e->indent) return;
  size_t n = e->depth * (size_t)e->indent;
  if (!iz_buf_reserve(e->out, n + 1)) return;
  char *o = e->out->data + e->out->len;
  *o = '\n';
  memset(o + 1, ' ', n);
  e->out->len += n + 1;
}

/* What stands before the next element of f. */
static inline void separate(encoder *e, json_frame *f) {
  if (f->i++) iz_buf_addc(e->out, ',');
  if (e->indent) new_line(e);
}

static inline bool put_key(encoder *e, const char *s, size_t n) {
  if (!iz_json_put_string(e->out, s, n)) return fail_put(e, "a key that is not UTF-8");
  return e->indent ? iz_buf_add(e->out, ": ", 2) : iz_buf_addc(e->out, ':');
}

/* ---- tables ---- */

/* Closes the innermost table and takes it off the stack. */
static bool close_table(encoder *e) {
  json_frame *f = &e->c->frames[--e->depth];
  if (f->i) new_line(e);
  iz_buf_addc(e->out, f->kind == WALK_ARRAY || f->kind == INDEX_ARRAY ? ']' : '}');
  if (f->kind == SORTED_OBJECT) e->c->key_count = f->keys;
  lua_settop(e->L, f->at - 1);
  return true;
}

/* Proves that the keys of f are exactly 1..n, and lets the rest be read by index. */
static bool index_array(encoder *e, json_frame *f) {
  lua_State *L = e->L;
  lua_Integer count = 0, max = 0;
  lua_settop(L, f->at);
  lua_pushnil(L);
  while (lua_next(L, f->at)) {
    lua_pop(L, 1);
    lua_Integer k = lua_isinteger(L, -1) ? lua_tointeger(L, -1) : 0;
    if (k < 1) {
      e->depth--; /* the path names the table itself */
      return fail_at(e, "a table that has both a sequence and other keys");
    }
    count++;
    if (k > max) max = k;
  }
  if (count != max) {
    e->depth--;
    return fail_at(e, "a sequence with holes");
  }
  f->kind = INDEX_ARRAY;
  f->n = max;
  return true;
}

static int by_bytes(const void *a, const void *b) {
  const json_key *x = a, *y = b;
  int c = memcmp(x->s, y->s, x->n < y->n ? x->n : y->n);
  return c ? c : (x->n > y->n) - (x->n < y->n);
}

static bool add_key(encoder *e, int at) {
  json_codec *c = e->c;
  if (c->key_count == c->key_cap) {
    size_t cap = c->key_cap ? c->key_cap * 2 : 32;
    json_key *keys = iz_realloc(c->keys, cap * sizeof *keys);
    if (!keys) return iz_fail_oom(e->err);
    c->keys = keys;
    c->key_cap = cap;
  }
  json_key *k = &c->keys[c->key_count++];
  k->s = lua_tolstring(e->L, at, &k->n);
  k->at = at;
  return true;
}

/* Leaves all keys of the object f on the stack and sorted in the codec. */
static bool sort_object(encoder *e, json_frame *f) {
  lua_State *L = e->L;
  f->kind = SORTED_OBJECT;
  f->keys = e->c->key_count;
  f->i = 0;
  lua_settop(L, f->at);
  lua_pushnil(L);
  while (lua_next(L, f->at)) {
    lua_pop(L, 1);
    if (lua_type(L, -1) != LUA_TSTRING) {
      e->depth--;
      return fail_at(e, "a table that has both string keys and others");
    }
    if (!lua_checkstack(L, 8)) return iz_fail(e->err, "too_large", "too many keys to sort");
    if (!add_key(e, lua_gettop(L))) return false;
    lua_pushvalue(L, -1);
  }
  f->n = (lua_Integer)(e->c->key_count - f->keys);
  qsort(e->c->keys + f->keys, (size_t)f->n, sizeof *e->c->keys, by_bytes);
  return true;
}

static bool push_frame(encoder *e, const void *table, int at) {
  json_codec *c = e->c;
  if (e->depth >= e->max_depth) return fail_at(e, "a table nested beyond the depth limit");
  for (size_t i = e->depth; i-- > 0;) {
    if (c->frames[i].table == table) return fail_at(e, "a table that contains itself");
  }
  if (e->depth == c->frame_cap) {
    size_t cap = c->frame_cap ? c->frame_cap * 2 : 16;
    json_frame *frames = iz_realloc(c->frames, cap * sizeof *frames);
    if (!frames) return iz_fail_oom(e->err);
    c->frames = frames;
    c->frame_cap = cap;
  }
  c->frames[e->depth++] = (json_frame){.table = table, .at = at};
  return true;
}

/* Begins the table on top of the stack; the first key and value of a walk are left above it. */
static bool open_table(encoder *e) {
  lua_State *L = e->L;
  int at = lua_gettop(L);
  bool marked = false;
  if (!lua_checkstack(L, 8)) return iz_fail_oom(e->err);
  if (lua_getmetatable(L, at)) {
    marked = lua_rawequal(L, -1, lua_upvalueindex(2));
    lua_pop(L, 1);
  }
  if (!push_frame(e, lua_topointer(L, at), at)) return false;
  json_frame *f = &e->c->frames[e->depth - 1];
  lua_pushnil(L);
  if (!lua_next(L, at)) {
    f->kind = marked ? WALK_ARRAY : WALK_OBJECT;
    iz_buf_addc(e->out, marked ? '[' : '{');
    return close_table(e);
  }
  if (lua_type(L, -2) == LUA_TSTRING) {
    if (marked) {
      e->depth--;
      return fail_at(e, "an array with a string key");
    }
    f->kind = WALK_OBJECT;
    iz_buf_addc(e->out, '{');
    return e->sort ? sort_object(e, f) : true;
  }
  f->kind = WALK_ARRAY;
  iz_buf_addc(e->out, '[');
  return true;
}

/* ---- values ---- */

/* Writes the value on top of the stack and takes it off, or opens it. */
static inline bool put_value(encoder *e) {
  lua_State *L = e->L;
  size_t n;
  const char *s;
  switch (lua_type(L, -1)) {
  case LUA_TSTRING:
    s = lua_tolstring(L, -1, &n);
    if (!iz_json_put_string(e->out, s, n)) return fail_put(e, "a string that is not UTF-8");
    break;
  case LUA_TNUMBER:
    if (lua_isinteger(L, -1)) {
      iz_json_put_int(e->out, (int64_t)lua_tointeger(L, -1));
    } else if (!iz_json_put_float(e->out, lua_tonumber(L, -1))) {
      return fail_put(e, "NaN or an infinity");
    }
    break;
  case LUA_TBOOLEAN:
    iz_buf_adds(e->out, lua_toboolean(L, -1) ? "true" : "false");
    break;
  case LUA_TTABLE:
    return open_table(e);
  case LUA_TLIGHTUSERDATA:
    if (lua_touserdata(L, -1)) return fail_at(e, "a userdata");
    iz_buf_add(e->out, "null", 4);
    break;
  case LUA_TNIL:
    iz_buf_add(e->out, "null", 4);
    break;
  case LUA_TFUNCTION:
    return fail_at(e, "a function");
  case LUA_TTHREAD:
    return fail_at(e, "a coroutine");
  default:
    return fail_at(e, "a userdata");
  }
  lua_pop(L, 1);
  return true;
}

/* Puts the next value of the innermost table on the stack, with everything that stands before it in
 * the text; sets *more to false when there is none. */
static inline bool next_value(encoder *e, json_frame *f, bool *more) {
  lua_State *L = e->L;
  size_t n;
  const char *s;
  *more = true;
  if (f->kind == WALK_ARRAY || f->kind == WALK_OBJECT) {
    /* a fresh walk has key and value there; else the key of the last element is on top */
    if (lua_gettop(L) == f->at + 1) *more = lua_next(L, f->at) != 0;
    if (!*more) return true;
    if (f->kind == WALK_OBJECT) {
      if (lua_type(L, -2) != LUA_TSTRING) {
        e->depth--;
        return fail_at(e, "a table that has both string keys and others");
      }
      separate(e, f);
      s = lua_tolstring(L, -2, &n);
      return put_key(e, s, n);
    }
    if (lua_isinteger(L, -2) && lua_tointeger(L, -2) == f->i + 1) {
      separate(e, f);
      return true;
    }
    if (!index_array(e, f)) return false;
  }
  if (f->i == f->n) {
    *more = false;
    return true;
  }
  separate(e, f);
  if (f->kind == INDEX_ARRAY) {
    lua_rawgeti(L, f->at, f->i);
    return true;
  }
  const json_key *k = &e->c->keys[f->keys + (size_t)f->i - 1];
  lua_pushvalue(L, k->at);
  lua_rawget(L, f->at);
  return put_key(e, k->s, k->n);
}

/* Moves the encoding into a userdata in slot 2, unless it is there. */
static encoder *settle(encoder *e) {
  lua_State *L = e->L;
  suspended *own = lua_touserdata(L, 2);
  if (own) return e;
  own = lua_newuserdatauv(L, sizeof *own, 0);
  own->codec = *e->c;
  *e->c = (json_codec){0};
  own->e = *e;
  own->e.c = &own->codec;
  own->e.out = &own->codec.text;
  lua_getmetatable(L, lua_upvalueindex(1));
  lua_setmetatable(L, -2);
  lua_replace(L, 2);
  return &own->e;
}

static int encode_all(encoder *e) {
  while (e->depth && e->out->len <= e->max_size) {
    bool more;
    if (++e->steps % IZ_JSON_TURN == 0 && lua_gethook(e->L)) {
      e = settle(e); /* before the guard is asked: it may raise */
      if (iz_guard_preempt(e->L)) return PREEMPTED;
    }
    if (!next_value(e, &e->c->frames[e->depth - 1], &more)) return FAILED;
    if (more ? !put_value(e) : !close_table(e)) return FAILED;
  }
  if (e->out->len > e->max_size) {
    iz_fail(e->err, "too_large", "the text would be longer than %zu bytes", e->max_size);
    return FAILED;
  }
  if (e->out->oom) iz_fail_oom(e->err);
  return e->out->oom ? FAILED : WHOLE;
}

static void read_options(lua_State *L, int arg, encoder *e) {
  luaL_checktype(L, arg, LUA_TTABLE);
  e->max_depth = iz_json_opt_depth(L, arg);
  e->sort = iz_field_flag(L, arg, "sort");
  if (lua_getfield(L, arg, "indent") != LUA_TNIL) {
    lua_Integer indent = lua_isinteger(L, -1) ? lua_tointeger(L, -1) : -1;
    if (indent < 0 || indent > MAX_INDENT) {
      luaL_error(L, "indent must be an integer from 0 to %d", MAX_INDENT);
    }
    e->indent = (int)indent;
  }
  lua_pop(L, 1);
  e->max_size = (size_t)iz_field_quantity(L, arg, "max", iz_check_size, (int64_t)e->max_size);
}

static int encode_on(lua_State *L, int status, lua_KContext ctx);

/* Stack: value, what was suspended or nil, value and all open tables. */
static int encode_end(lua_State *L, json_codec *c, int result, const iz_err *err) {
  suspended *own = lua_touserdata(L, 2);
  if (own) c = &own->codec;
  if (result == PREEMPTED) return lua_yieldk(L, 0, 0, encode_on);
  if (result == WHOLE) lua_pushlstring(L, c->text.data, c->text.len);
  if (own)
    iz_json_codec_free(c);
  else
    iz_json_codec_trim(c);
  return result == WHOLE ? 1 : iz_push_error(L, err);
}

static int encode_on(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  suspended *own = lua_touserdata(L, 2);
  iz_err err;
  own->e.err = &err;
  return encode_end(L, &own->codec, encode_all(&own->e), &err);
}

int iz_json_lua_encode(lua_State *L) {
  json_codec *c = lua_touserdata(L, lua_upvalueindex(1));
  iz_err err;
  encoder e = {.L = L, .c = c, .out = &c->text, .err = &err, .max_depth = IZ_JSON_DEPTH};
  e.max_size = MAX_SIZE;
  luaL_checkany(L, 1);
  if (!lua_isnoneornil(L, 2)) read_options(L, 2, &e);
  lua_settop(L, 1);
  lua_pushnil(L);
  lua_pushvalue(L, 1);
  iz_buf_clear(&c->text);
  c->key_count = 0;
  return encode_end(L, c, put_value(&e) ? encode_all(&e) : FAILED, &err);
}
