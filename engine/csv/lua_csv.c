/* lua_csv.c -- iza.core.csv: the reader as Lua sees it; lua/iza/csv.lua documents and names things.
 *
 * A reader is a userdata over one of three sources: a file (csv_io.h, read ahead on the pool), a
 * string, a function that returns the next piece. Rows come in three shapes: an array, a table
 * keyed by the header, or the values of some columns (no table, no string that is not asked for).
 * All three are one loop, advance(), which may be left and entered again wherever it waits.
 */
#include "csv/lua_csv.h"

#include "base/alloc.h"

#include <lauxlib.h>

#define READER "iza.csv.reader"

/* What a row becomes; with ITERATING the error of a row goes to on_error or is raised, without it
 * is returned. Both travel through waits in the continuation's context. */
enum { ARRAY, RECORD, COLUMNS, SHAPES = 3, ITERATING = 4 };

/* Where the reader's userdata is on the stack of every function that advances it. */
enum { UD = 1 };

/* Its user values: the text or function it reads, the header's names, the handler of bad rows, what
 * errors call the file. */
enum { SOURCE = 1, NAMES, ON_ERROR, LABEL, USER_VALUES = 4 };

typedef struct column {
  uint32_t at; /* field of the row */
  iz_csv_type type;
} column;

typedef struct reader {
  iz_csv_reader *csv;
  iz_csv_io *file;
  enum { FROM_FILE, FROM_TEXT, FROM_FUNCTION } from;
  size_t text_at;
  bool ended, closed;
  char decimal;
  uint32_t width;     /* fields of the header; 0 = none, rows may differ */
  iz_csv_type *types; /* of the first `type_count` fields */
  uint32_t type_count;
  column *columns; /* what COLUMNS asks for */
  uint32_t column_count;
} reader;

static reader *check_reader(lua_State *L, int arg) {
  return luaL_checkudata(L, arg, READER);
}

static int close_reader(lua_State *L) {
  reader *r = check_reader(L, UD);
  iz_csv_io_free(r->file);
  iz_csv_reader_free(r->csv);
  iz_free(r->types);
  iz_free(r->columns);
  *r = (reader){.closed = true, .ended = true};
  return 0;
}

/* ---- errors ---- */

/* Sets fields of the error object on top of the stack. */
static void set_int(lua_State *L, const char *name, uint64_t n) {
  lua_pushinteger(L, (lua_Integer)n);
  lua_setfield(L, -2, name);
}

/* Pushes the name of field i (0-based) of the reader, or its number. */
static void push_name(lua_State *L, uint32_t i) {
  lua_getiuservalue(L, UD, NAMES);
  if (lua_istable(L, -1) && lua_rawgeti(L, -1, (lua_Integer)i + 1) == LUA_TSTRING) {
    lua_remove(L, -2);
    return;
  }
  lua_settop(L, UD);
  lua_pushinteger(L, (lua_Integer)i + 1);
}

/* Pushes an error object with the place; the message in Lua's format is on top of the stack. */
static void push_placed(lua_State *L, const char *code, uint64_t line) {
  iz_push_err(L, code, lua_tostring(L, -1), false);
  lua_remove(L, -2);
  set_int(L, "line", line);
}

static void push_syntax_error(lua_State *L, const iz_csv_error *e) {
  lua_getiuservalue(L, UD, LABEL);
  lua_pushfstring(L, "%s:%I:%I: %s", lua_tostring(L, -1), (LUAI_UACINT)e->line,
                  (LUAI_UACINT)e->column, e->what);
  lua_remove(L, -2);
  push_placed(L, e->code, e->line);
  set_int(L, "column", e->column);
  set_int(L, "field", e->field);
  set_int(L, "row_line", e->row_line);
}

/* Sets err.row, the row as it stood there. */
static void set_row(lua_State *L, reader *r) {
  uint32_t n = iz_csv_count(r->csv);
  lua_createtable(L, (int)n, 0);
  for (uint32_t i = 0; i < n; i++) {
    size_t len;
    const char *s = iz_csv_field(r->csv, i, &len, NULL);
    lua_pushlstring(L, s, len);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_setfield(L, -2, "row");
}

static void push_ragged(lua_State *L, reader *r) {
  uint32_t n = iz_csv_count(r->csv);
  lua_getiuservalue(L, UD, LABEL);
  lua_pushfstring(L, "%s:%I: the row has %d %s, the header %d", lua_tostring(L, -1),
                  (LUAI_UACINT)iz_csv_line(r->csv), (int)n, n == 1 ? "field" : "fields",
                  (int)r->width);
  lua_remove(L, -2);
  push_placed(L, "ragged", iz_csv_line(r->csv));
  set_row(L, r);
}

static void push_bad_cell(lua_State *L, reader *r, column c) {
  static const char *const what[] = {"text", "a number", "an integer", "a date (YYYY-MM-DD)",
                                     "a boolean (true or false, yes or no, 1 or 0)"};
  size_t len;
  const char *s = iz_csv_field(r->csv, c.at, &len, NULL);
  lua_settop(L, UD);
  push_name(L, c.at);
  lua_getiuservalue(L, UD, LABEL);
  lua_pushlstring(L, s, len > 60 ? 60 : len);
  lua_pushfstring(L, "%s:%I: column %s: \"%s\" is not %s", lua_tostring(L, -2),
                  (LUAI_UACINT)iz_csv_line(r->csv), lua_tostring(L, -3), lua_tostring(L, -1),
                  what[c.type]);
  push_placed(L, "invalid", iz_csv_line(r->csv));
  lua_pushvalue(L, UD + 1);
  lua_setfield(L, -2, "name");
  set_int(L, "field", c.at + 1);
  lua_pushlstring(L, s, len);
  lua_setfield(L, -2, "value");
  set_row(L, r);
}

/* ---- rows ---- */

/* Pushes field c as its type; an empty typed cell is nil. False: it is not of its type. */
static inline bool push_cell(lua_State *L, reader *r, column c) {
  size_t len;
  const char *s = iz_csv_field(r->csv, c.at, &len, NULL);
  if (c.type == IZ_CSV_TEXT) {
    lua_pushlstring(L, s, len);
    return true;
  }
  iz_csv_value v;
  if (!iz_csv_parse(s, len, c.type, r->decimal, &v)) return false;
  switch (v.is) {
  case IZ_CSV_IS_NONE:
    lua_pushnil(L);
    break;
  case IZ_CSV_IS_INT:
    lua_pushinteger(L, v.i);
    break;
  case IZ_CSV_IS_FLOAT:
    lua_pushnumber(L, v.f);
    break;
  case IZ_CSV_IS_BOOL:
    lua_pushboolean(L, (int)v.i);
    break;
  case IZ_CSV_IS_TEXT:
    lua_pushlstring(L, v.s, v.len);
    break;
  }
  return true;
}

static column field_column(const reader *r, uint32_t i) {
  return (column){i, i < r->type_count ? r->types[i] : IZ_CSV_TEXT};
}

static int push_array(lua_State *L, reader *r) {
  uint32_t n = iz_csv_count(r->csv);
  lua_createtable(L, (int)n, 0);
  for (uint32_t i = 0; i < n; i++) {
    column c = field_column(r, i);
    if (!push_cell(L, r, c)) {
      push_bad_cell(L, r, c);
      return 0;
    }
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

static int push_record(lua_State *L, reader *r) {
  lua_getiuservalue(L, UD, NAMES);
  int names = lua_gettop(L);
  lua_createtable(L, 0, (int)r->width);
  for (uint32_t i = 0; i < r->width; i++) {
    lua_rawgeti(L, names, (lua_Integer)i + 1);
    column c = field_column(r, i);
    if (!push_cell(L, r, c)) {
      push_bad_cell(L, r, c);
      return 0;
    }
    lua_rawset(L, -3);
  }
  return 1;
}

/* An empty typed cell is false here: nil as the first value would end the caller's loop. */
static int push_columns(lua_State *L, reader *r) {
  for (uint32_t i = 0; i < r->column_count; i++) {
    column c = r->columns[i];
    if (!push_cell(L, r, c)) {
      push_bad_cell(L, r, c);
      return 0;
    }
    if (lua_isnil(L, -1)) {
      lua_pop(L, 1);
      lua_pushboolean(L, 0);
    }
  }
  return (int)r->column_count;
}

/* Pushes the present row and returns how many values that is; 0: pushed an error object. */
static int push_row(lua_State *L, reader *r, int shape) {
  if (r->width && iz_csv_count(r->csv) != r->width) {
    push_ragged(L, r);
    return 0;
  }
  if (shape == COLUMNS) return push_columns(L, r);
  int n = shape == RECORD ? push_record(L, r) : push_array(L, r);
  if (!n) return 0;
  lua_pushinteger(L, (lua_Integer)iz_csv_line(r->csv));
  return 2;
}

/* ---- bytes ---- */

enum fill { FILLED, WAIT, CALL, FAILED };

iz_loop *iz_csv_lua_loop(lua_State *L) {
  return lua_isyieldable(L) && iz_lua_task(L) ? iz_lua_loop(L) : NULL;
}

static void push_out_of_memory(lua_State *L) {
  iz_push_err(L, "oom", "out of memory", false);
}

/* Takes what the file's last read brought, and starts the next. */
static enum fill take_chunk(lua_State *L, reader *r) {
  iz_csv_io *f = r->file;
  iz_loop *loop = iz_csv_lua_loop(L);
  if (f->busy) return WAIT;
  if (!f->data.len && !f->ended && !f->failed && iz_csv_io_start(f, loop, IZ_CSV_READ)) return WAIT;
  if (f->failed) {
    iz_push_err(L, f->err.code, f->err.message, f->err.retryable);
    return FAILED;
  }
  bool ok = f->data.len ? iz_csv_push(r->csv, f->data.data, f->data.len) : iz_csv_finish(r->csv);
  f->data.len = 0;
  if (ok && loop) iz_csv_io_start(f, loop, IZ_CSV_READ);
  return FILLED;
}

static enum fill take_text(lua_State *L, reader *r) {
  size_t len;
  lua_getiuservalue(L, UD, SOURCE);
  const char *s = lua_tolstring(L, -1, &len);
  size_t n = len - r->text_at < IZ_CSV_CHUNK ? len - r->text_at : IZ_CSV_CHUNK;
  if (n)
    iz_csv_push(r->csv, s + r->text_at, n);
  else
    iz_csv_finish(r->csv);
  r->text_at += n;
  lua_pop(L, 1);
  return FILLED;
}

/* Takes the two results of the source function from the stack. */
static enum fill take_piece(lua_State *L, reader *r) {
  if (lua_isnil(L, -2) && !lua_isnil(L, -1)) return FAILED; /* nil, err */
  lua_pop(L, 1);
  size_t len;
  const char *s = lua_isnil(L, -1) ? NULL : luaL_checklstring(L, -1, &len);
  if (s)
    iz_csv_push(r->csv, s, len);
  else
    iz_csv_finish(r->csv);
  lua_pop(L, 1);
  return FILLED;
}

static enum fill fill(lua_State *L, reader *r) {
  if (r->from == FROM_FILE) return take_chunk(L, r);
  if (r->from == FROM_TEXT) return take_text(L, r);
  lua_getiuservalue(L, UD, SOURCE);
  return CALL;
}

/* ---- the loop ---- */

static int advance(lua_State *L, int how);

static int after_wait(lua_State *L, int status, lua_KContext how) {
  (void)status;
  lua_settop(L, UD);
  return advance(L, (int)how);
}

/* Nothing more can be read; the error object is on top of the stack. */
static int fatal(lua_State *L, int how) {
  ((reader *)lua_touserdata(L, UD))->ended = true;
  if (how & ITERATING) return lua_error(L);
  lua_pushnil(L);
  lua_insert(L, -2);
  return 2;
}

static int closed_meanwhile(lua_State *L) {
  return luaL_error(L, "the reader was closed while it was being read");
}

static int after_piece(lua_State *L, int status, lua_KContext how) {
  (void)status;
  reader *r = lua_touserdata(L, UD);
  if (r->closed) return closed_meanwhile(L);
  if (take_piece(L, r) == FAILED) return fatal(L, (int)how);
  return after_wait(L, LUA_OK, how);
}

/* The error object on top of the stack concerns one row. */
static int bad_row(lua_State *L, int how) {
  if (!(how & ITERATING)) {
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
  }
  if (lua_getiuservalue(L, UD, ON_ERROR) == LUA_TNIL) {
    lua_pop(L, 1);
    return lua_error(L);
  }
  lua_insert(L, -2);
  lua_callk(L, 1, 0, how, after_wait);
  return after_wait(L, LUA_OK, how);
}

/* More bytes are wanted. 0: they are there; else what the caller returns. */
static int fill_more(lua_State *L, reader *r, int how) {
  switch (fill(L, r)) {
  case FILLED:
    return 0;
  case FAILED:
    return fatal(L, how);
  case WAIT:
    if (r->file->wait.task) return luaL_error(L, "another task is waiting for this reader");
    return iz_await(L, &r->file->wait, after_wait, how);
  case CALL:
    break;
  }
  lua_callk(L, 0, 2, how, after_piece);
  return after_piece(L, LUA_OK, how);
}

/* The next row in the shape asked for, or nothing at the end. */
static int advance(lua_State *L, int how) {
  reader *r = lua_touserdata(L, UD);
  if (r->closed) return closed_meanwhile(L);
  while (!r->ended) {
    iz_csv_error e;
    int n;
    switch (iz_csv_next(r->csv, &e)) {
    case IZ_CSV_ROW:
      n = push_row(L, r, how & SHAPES);
      return n ? n : bad_row(L, how);
    case IZ_CSV_ERROR:
      push_syntax_error(L, &e);
      return bad_row(L, how);
    case IZ_CSV_MORE:
      n = fill_more(L, r, how);
      if (n) return n;
      break;
    case IZ_CSV_OOM:
      push_out_of_memory(L);
      return fatal(L, how);
    case IZ_CSV_END:
      r->ended = true;
      break;
    }
  }
  lua_pushnil(L);
  return 1;
}

/* ---- methods ---- */

static int shape_of(lua_State *L) {
  int shape = lua_getiuservalue(L, UD, NAMES) == LUA_TTABLE ? RECORD : ARRAY;
  lua_pop(L, 1);
  return shape;
}

static reader *open_reader(lua_State *L) {
  reader *r = check_reader(L, UD);
  if (r->closed) luaL_error(L, "the reader is closed");
  lua_settop(L, UD);
  return r;
}

static int read_row(lua_State *L) {
  open_reader(L);
  return advance(L, shape_of(L));
}

static int line(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)iz_csv_line(open_reader(L)->csv));
  return 1;
}

static int delimiter(lua_State *L) {
  char c = iz_csv_delimiter(open_reader(L)->csv);
  lua_pushlstring(L, &c, c ? 1 : 0);
  return 1;
}

/* Upvalue 1 the reader, 2 how. */
static int iterate(lua_State *L) {
  lua_settop(L, 0);
  lua_pushvalue(L, lua_upvalueindex(1));
  return advance(L, (int)lua_tointeger(L, lua_upvalueindex(2)));
}

static int push_iterator(lua_State *L, int shape) {
  lua_pushvalue(L, UD);
  lua_pushinteger(L, shape | ITERATING);
  lua_pushcclosure(L, iterate, 2);
  return 1;
}

static int rows(lua_State *L) {
  open_reader(L);
  return push_iterator(L, shape_of(L));
}

/* columns(reader, {field, ...}): an iterator over the values of these fields (1-based). */
static int columns(lua_State *L) {
  reader *r = check_reader(L, UD);
  if (r->closed) return luaL_error(L, "the reader is closed");
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_Unsigned n = lua_rawlen(L, 2);
  luaL_argcheck(L, n >= 1 && n <= 200, 2, "1 to 200 columns expected");
  column *list = iz_realloc(r->columns, n * sizeof *list);
  if (!list) return luaL_error(L, "out of memory");
  r->columns = list;
  r->column_count = 0;
  for (lua_Unsigned i = 0; i < n; i++) {
    lua_rawgeti(L, 2, (lua_Integer)i + 1);
    lua_Integer at = lua_tointeger(L, -1);
    luaL_argcheck(L, at >= 1 && (uint64_t)at <= r->width, 2, "no such column");
    list[i] = field_column(r, (uint32_t)at - 1);
    lua_pop(L, 1);
  }
  r->column_count = (uint32_t)n;
  luaL_checkstack(L, (int)n + 10, NULL);
  return push_iterator(L, COLUMNS);
}

/* ---- making one ---- */

static int option(lua_State *L, const char *name, const char *def, const char *const list[]) {
  lua_getfield(L, 2, name);
  const char *s = luaL_optstring(L, -1, def);
  for (int i = 0; list[i]; i++)
    if (!strcmp(list[i], s)) {
      lua_pop(L, 1);
      return i;
    }
  return luaL_error(L, "option %s: '%s' is unknown", name, s);
}

static uint32_t size_option(lua_State *L, const char *name, uint32_t most) {
  int64_t n = 0;
  if (lua_getfield(L, 2, name) != LUA_TNIL) {
    n = iz_check_size(L, lua_gettop(L));
    if (n < 1 || n > most) luaL_error(L, "option %s: 1 to %d expected", name, (int)most);
  }
  lua_pop(L, 1);
  return (uint32_t)n;
}

char iz_csv_lua_delimiter(lua_State *L) {
  size_t n;
  lua_getfield(L, 2, "delimiter");
  const char *s = luaL_optlstring(L, -1, "", &n);
  char c = n ? s[0] : 0;
  if (n && (n > 1 || !iz_csv_delimiter_ok(c)))
    luaL_error(L, "option delimiter: one ASCII character expected, no quote and no line end");
  lua_pop(L, 1);
  return c;
}

static iz_csv_opts read_opts(lua_State *L) {
  static const char *const names[] = {"utf-8",  "utf8", "windows-1252", "latin1", "cp1252",
                                      "utf-16", NULL};
  static const iz_csv_encoding encodings[] = {IZ_CSV_UTF8,         IZ_CSV_UTF8,
                                              IZ_CSV_WINDOWS_1252, IZ_CSV_WINDOWS_1252,
                                              IZ_CSV_WINDOWS_1252, IZ_CSV_UTF16};
  return (iz_csv_opts){
      .delimiter = iz_csv_lua_delimiter(L),
      .encoding = encodings[option(L, "encoding", "utf-8", names)],
      .max_field = size_option(L, "max_field", 1 << 30),
      .max_row = size_option(L, "max_row", 1 << 30),
      .max_fields = size_option(L, "max_fields", 1 << 20),
  };
}

static void set_source(lua_State *L, reader *r) {
  lua_getfield(L, 2, "path");
  const char *path = lua_tostring(L, -1);
  if (path) {
    r->from = FROM_FILE;
    r->file = iz_csv_io_new(path);
    if (!r->file) luaL_error(L, "out of memory");
  } else {
    r->from = lua_isfunction(L, 1) ? FROM_FUNCTION : FROM_TEXT;
    if (r->from == FROM_TEXT) luaL_checktype(L, 1, LUA_TSTRING);
  }
  lua_setiuservalue(L, -2, LABEL);
  if (!path) {
    lua_pushliteral(L, "csv");
    lua_setiuservalue(L, -2, LABEL);
  }
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, SOURCE);
}

/* reader(source, opts): source a string or a function, or opts.path. */
static int new_reader(lua_State *L) {
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  iz_csv_opts opts = read_opts(L);
  reader *r = lua_newuserdatauv(L, sizeof *r, USER_VALUES);
  *r = (reader){.decimal = '.'};
  luaL_setmetatable(L, READER);
  set_source(L, r);
  r->csv = iz_csv_reader_new(&opts);
  if (!r->csv) return luaL_error(L, "out of memory");
  return 1;
}

/* setup(reader, width, names or nil, types {[field] = name}, decimal, on_error or nil) */
static int setup(lua_State *L) {
  static const char *const types[] = {"string", "number", "integer", "date", "boolean", NULL};
  reader *r = check_reader(L, UD);
  r->width = (uint32_t)luaL_checkinteger(L, 2);
  r->decimal = luaL_checkstring(L, 5)[0];
  lua_Integer most = 0;
  for (lua_pushnil(L); lua_next(L, 4); lua_pop(L, 1))
    if (lua_tointeger(L, -2) > most) most = lua_tointeger(L, -2);
  luaL_argcheck(L, most <= 1 << 20, 4, "no such column");
  iz_csv_type *list = iz_calloc((size_t)most, sizeof *list);
  if (!list) return luaL_error(L, "out of memory");
  iz_free(r->types);
  r->types = list;
  r->type_count = (uint32_t)most;
  for (lua_Integer i = 0; i < most; i++) {
    lua_rawgeti(L, 4, i + 1);
    list[i] = (iz_csv_type)luaL_checkoption(L, -1, "string", types);
    lua_pop(L, 1);
  }
  lua_pushvalue(L, 3);
  lua_setiuservalue(L, UD, NAMES);
  lua_pushvalue(L, 6);
  lua_setiuservalue(L, UD, ON_ERROR);
  return 0;
}

int iz_open_csv(lua_State *L);

int iz_open_csv(lua_State *L) {
  static const luaL_Reg methods[] = {{"read", read_row},      {"rows", rows},
                                     {"line", line},          {"delimiter", delimiter},
                                     {"close", close_reader}, {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", close_reader}, {"__close", close_reader}, {NULL, NULL}};
  static const luaL_Reg functions[] = {
      {"reader", new_reader}, {"setup", setup}, {"columns", columns}, {NULL, NULL}};
  luaL_newmetatable(L, READER);
  luaL_setfuncs(L, meta, 0);
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  luaL_newlib(L, functions);
  luaL_getmetatable(L, READER);
  lua_getfield(L, -1, "__index");
  lua_setfield(L, -3, "methods");
  lua_pop(L, 1);
  iz_csv_lua_open_writer(L);
  return 1;
}
