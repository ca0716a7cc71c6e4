/* lua_csv_write.c -- the writer of iza.core.csv: rows into a file, a function, or a string.
 *
 * Rows gather in a buffer; past 256 KB it goes to the file (on the pool) or the function. A row is
 * added whole or not at all: its values are on the Lua stack before the first byte is added, and a
 * value that cannot be a cell takes the row back out.
 */
#include "csv/lua_csv.h"

#include "base/alloc.h"
#include "vm/field.h"

#include <lauxlib.h>
#include <math.h>

#define WRITER "iza.csv.writer"

enum { UD = 1 };
/* User values: the function that takes the pieces (nil: a file, or a string at the end); the names
 * of the columns. */
enum { SINK = 1, NAMES, USER_VALUES = 2 };

typedef struct writer {
  iz_csv_writer csv;
  iz_csv_io *file;
  iz_buf text; /* where there is no file; else file->data */
  bool closed;
  uint32_t width; /* cells of every row; 0 = what the first one has */
} writer;

static writer *check_writer(lua_State *L) {
  return luaL_checkudata(L, UD, WRITER);
}

static void discard(writer *w) {
  iz_csv_io_free(w->file);
  w->file = NULL;
  iz_buf_free(&w->text);
  w->closed = true;
}

static int collect(lua_State *L) {
  discard(check_writer(L));
  return 0;
}

static int push_failure(lua_State *L, writer *w) {
  iz_err err = w->file->err;
  discard(w);
  return iz_push_error(L, &err);
}

/* ---- rows ---- */

/* Adds the value at index as a cell; false: it cannot be one. */
static bool put_cell(lua_State *L, int index, writer *w, iz_buf *out) {
  size_t len;
  const char *s;
  switch (lua_type(L, index)) {
  case LUA_TNIL:
    iz_csv_put_text(&w->csv, out, "", 0);
    return true;
  case LUA_TBOOLEAN:
    s = lua_toboolean(L, index) ? "true" : "false";
    iz_csv_put_text(&w->csv, out, s, strlen(s));
    return true;
  case LUA_TNUMBER:
    if (lua_isinteger(L, index))
      iz_csv_put_int(&w->csv, out, lua_tointeger(L, index));
    else if (isfinite(lua_tonumber(L, index)))
      iz_csv_put_float(&w->csv, out, lua_tonumber(L, index));
    else
      return false;
    return true;
  case LUA_TSTRING:
    s = lua_tolstring(L, index, &len);
    iz_csv_put_text(&w->csv, out, s, len);
    return true;
  case LUA_TLIGHTUSERDATA: /* json.null */
    if (lua_touserdata(L, index)) return false;
    iz_csv_put_text(&w->csv, out, "", 0);
    return true;
  default:
    return false;
  }
}

static int refuse_cell(lua_State *L, int index, int at) {
  const char *what =
      lua_type(L, index) == LUA_TNUMBER ? lua_tostring(L, index) : luaL_typename(L, index);
  if (lua_getiuservalue(L, UD, NAMES) == LUA_TTABLE) {
    lua_rawgeti(L, -1, at);
    return luaL_error(L, "column %s: %s cannot be a cell", lua_tostring(L, -1), what);
  }
  return luaL_error(L, "column %d: %s cannot be a cell", at, what);
}

/* Pushes the row's values; returns how many. */
static int push_values(lua_State *L, writer *w) {
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  bool named = lua_getiuservalue(L, UD, NAMES) == LUA_TTABLE;
  int n = (int)w->width;
  if (!n) {
    lua_Integer len = luaL_len(L, 2);
    luaL_argcheck(L, len >= 1 && len <= 1 << 20, 2, "a row of 1 to 1048576 cells expected");
    n = (int)len;
  } else if (!named && luaL_len(L, 2) > n) {
    return luaL_error(L, "the row has %d cells, the first one had %d", (int)luaL_len(L, 2), n);
  }
  luaL_checkstack(L, n + 5, "too many columns");
  for (int i = 1; i <= n; i++) {
    if (named) {
      lua_rawgeti(L, 3, i);
      lua_gettable(L, 2);
    } else {
      lua_geti(L, 2, i);
    }
  }
  return n;
}

static void put_row(lua_State *L, writer *w, iz_buf *out) {
  int n = push_values(L, w);
  if (w->closed) luaL_error(L, "the writer is closed");
  size_t before = out->len;
  for (int i = 1; i <= n; i++) {
    if (put_cell(L, 3 + i, w, out)) continue;
    out->len = before;
    w->csv.fields = 0;
    w->csv.blank = false;
    refuse_cell(L, 3 + i, i);
  }
  iz_csv_put_end(&w->csv, out);
  if (out->oom) {
    iz_buf_clear(out);
    discard(w);
    luaL_error(L, "out of memory");
  }
  w->width = (uint32_t)n;
  lua_settop(L, 2);
}

/* ---- bytes out ---- */

static int done(lua_State *L) {
  lua_pushboolean(L, 1);
  return 1;
}

/* A write is waited for even when the task is cancelled meanwhile; that is raised here. What was
 * committed is told as done. */
static int after_file(lua_State *L, int status, lua_KContext op) {
  if (status == LUA_YIELD && op == IZ_CSV_WRITE) iz_await_check(L);
  writer *w = lua_touserdata(L, UD);
  if (!w->file) return luaL_error(L, "the writer was closed while it was writing");
  if (w->file->failed) return push_failure(L, w);
  if (w->file->ended) discard(w);
  return done(L);
}

static int run_file(lua_State *L, writer *w, iz_csv_op op) {
  if (iz_csv_io_start(w->file, iz_csv_lua_loop(L), op))
    return iz_await(L, &w->file->wait, after_file, op);
  return after_file(L, LUA_OK, op);
}

/* The sink's results are on top: false or nil with an error means that it failed. */
static int after_sink(lua_State *L, int status, lua_KContext closing) {
  (void)status;
  writer *w = lua_touserdata(L, UD);
  bool failed = !lua_toboolean(L, -2) && !lua_isnil(L, -1);
  if (failed || closing) discard(w);
  if (!failed) return done(L);
  lua_pushnil(L);
  lua_insert(L, -2);
  return 2;
}

static int run_sink(lua_State *L, writer *w, bool closing) {
  lua_getiuservalue(L, UD, SINK);
  lua_pushlstring(L, w->text.data ? w->text.data : "", w->text.len);
  iz_buf_clear(&w->text);
  lua_callk(L, 1, 2, closing, after_sink);
  return after_sink(L, LUA_OK, closing);
}

static void check_idle(lua_State *L, const writer *w) {
  if (w->file && w->file->busy) luaL_error(L, "another task is writing to this writer");
}

/* write(writer, row) -> true | nil, err */
static int write_row(lua_State *L) {
  writer *w = check_writer(L);
  if (w->closed) return luaL_error(L, "the writer is closed");
  check_idle(L, w);
  iz_buf *out = w->file ? &w->file->data : &w->text;
  put_row(L, w, out);
  if (out->len < IZ_CSV_CHUNK) return done(L);
  if (w->file) return run_file(L, w, IZ_CSV_WRITE);
  bool sink = lua_getiuservalue(L, UD, SINK) == LUA_TFUNCTION;
  lua_pop(L, 1);
  return sink ? run_sink(L, w, false) : done(L);
}

/* close(writer) -> true (or the text, where there is neither file nor function) | nil, err */
static int finish(lua_State *L) {
  writer *w = check_writer(L);
  if (w->closed) return done(L);
  check_idle(L, w);
  lua_settop(L, UD);
  if (w->file) return run_file(L, w, IZ_CSV_COMMIT);
  bool sink = lua_getiuservalue(L, UD, SINK) == LUA_TFUNCTION;
  lua_pop(L, 1);
  if (sink) return run_sink(L, w, true);
  lua_pushlstring(L, w->text.data ? w->text.data : "", w->text.len);
  discard(w);
  return 1;
}

static int raise_failure(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  return lua_toboolean(L, -2) ? 0 : lua_error(L);
}

/* __close(writer, err): commits, or forgets everything when an error is on its way. */
static int leave_block(lua_State *L) {
  writer *w = check_writer(L);
  if (!lua_isnil(L, 2)) {
    discard(w);
    return 0;
  }
  lua_pushcfunction(L, finish);
  lua_pushvalue(L, UD);
  lua_callk(L, 1, 2, 0, raise_failure);
  return raise_failure(L, LUA_OK, 0);
}

/* abort(writer): forgets everything; the file stays what it was. */
static int abort_writer(lua_State *L) {
  discard(check_writer(L));
  return 0;
}

/* ---- making one ---- */

static int created(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  writer *w = lua_touserdata(L, UD);
  if (w->file->failed) return push_failure(L, w);
  lua_settop(L, UD);
  return 1;
}

static int create_file(lua_State *L, writer *w, const char *path) {
  w->file = iz_csv_io_new(path);
  if (!w->file) return luaL_error(L, "out of memory");
  lua_remove(L, 1); /* the path: the writer is then at UD, also in what follows the wait */
  if (iz_csv_io_start(w->file, iz_csv_lua_loop(L), IZ_CSV_CREATE))
    return iz_await(L, &w->file->wait, created, 0);
  return created(L, LUA_OK, 0);
}

/* writer(path | function | nil, opts, names or nil) -> writer | nil, err */
static int new_writer(lua_State *L) {
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 3);
  iz_csv_format format = {.delimiter = iz_csv_lua_delimiter(L),
                          .crlf = iz_field_flag(L, 2, "crlf"),
                          .formulas = iz_field_flag(L, 2, "formulas")};
  writer *w = lua_newuserdatauv(L, sizeof *w, USER_VALUES);
  *w = (writer){.csv = {.format = format}};
  luaL_setmetatable(L, WRITER);
  if (lua_istable(L, 3)) w->width = (uint32_t)lua_rawlen(L, 3);
  lua_pushvalue(L, 3);
  lua_setiuservalue(L, -2, NAMES);
  const char *path = lua_tostring(L, 1);
  if (!path) {
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, SINK);
    return 1;
  }
  lua_pushvalue(L, -1);
  lua_replace(L, 2);
  lua_settop(L, 2);
  return create_file(L, w, path);
}

void iz_csv_lua_open_writer(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"write", write_row}, {"close", finish}, {"abort", abort_writer}, {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", collect}, {"__close", leave_block}, {NULL, NULL}};
  luaL_newmetatable(L, WRITER);
  luaL_setfuncs(L, meta, 0);
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  lua_pushcfunction(L, new_writer);
  lua_setfield(L, -2, "writer");
}
