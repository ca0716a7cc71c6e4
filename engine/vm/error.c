/* error.c -- error objects and how they are shown.
 *
 * An error object is a table {code, message, retryable, trace, origin, cause} whose metatable
 * prints it as one line. Errors raised by plain `error("text")` stay what they are for pcall; only
 * where a task's body ends are they wrapped. The traceback is taken by a message handler in the
 * coroutine that failed. When the value is no error object, the trace waits in the registry beside
 * the value until the wrapping handler meets the same value.
 */
#include "vm/embed.h"
#include "vm/vm.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#define MAX_TRACE 8000

static char key_meta, key_value, key_trace, key_sources;

bool iz_error_is(lua_State *L, int index) {
  if (!lua_istable(L, index) || !lua_getmetatable(L, index)) return false;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key_meta);
  bool is = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return is;
}

void iz_error_mark(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key_meta);
  lua_setmetatable(L, -2);
}

void iz_push_err(lua_State *L, const char *code, const char *message, bool retryable) {
  lua_createtable(L, 0, 4);
  lua_pushstring(L, code);
  lua_setfield(L, -2, "code");
  lua_pushstring(L, message);
  lua_setfield(L, -2, "message");
  if (retryable) {
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, "retryable");
  }
  iz_error_mark(L);
}

int iz_push_error(lua_State *L, const iz_err *err) {
  lua_pushnil(L);
  iz_push_err(L, err->code, err->message, err->retryable);
  return 2;
}

int iz_push_oom(lua_State *L) {
  iz_err err;
  iz_fail_oom(&err);
  return iz_push_error(L, &err);
}

int iz_raise(lua_State *L, const iz_err *err) {
  iz_push_err(L, err->code, err->message, err->retryable);
  return lua_error(L);
}

/* ---- tracebacks ---- */

/* Pushes L's traceback without its heading and without our own frames. */
static void push_trace(lua_State *L) {
  luaL_traceback(L, L, NULL, 1);
  const char *s = lua_tostring(L, -1);
  const char *nl = strchr(s, '\n');
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  while (nl) {
    const char *line = nl + 1;
    nl = strchr(line, '\n');
    size_t n = nl ? (size_t)(nl - line) : strlen(line);
    if (n > 4 && !strncmp(line, "\t[C]: in ?", n < 10 ? n : 10)) continue;
    luaL_addchar(&b, '\n');
    luaL_addlstring(&b, line, n);
  }
  luaL_pushresult(&b);
  lua_remove(L, -2);
}

/* Appends L's traceback to the text at index `at` (or nothing there); pushes the result. */
static void extend_trace(lua_State *L, int at) {
  size_t n = 0;
  const char *old = lua_tolstring(L, at, &n);
  if (!old) {
    push_trace(L);
  } else if (n > MAX_TRACE) {
    lua_pushvalue(L, at);
  } else {
    lua_pushvalue(L, at);
    push_trace(L);
    lua_concat(L, 2);
  }
}

/* Stack: value. Sets value.trace. */
static void trace_object(lua_State *L, int value) {
  lua_getfield(L, value, "trace");
  extend_trace(L, lua_gettop(L));
  lua_setfield(L, value, "trace");
  lua_pop(L, 1);
}

/* Pushes the trace remembered beside this very value, or nil. */
static void push_noted(lua_State *L, int value) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key_value);
  bool same = lua_rawequal(L, -1, value);
  lua_pop(L, 1);
  if (same)
    lua_rawgetp(L, LUA_REGISTRYINDEX, &key_trace);
  else
    lua_pushnil(L);
}

int iz_error_note(lua_State *L) {
  lua_settop(L, 1);
  if (iz_error_is(L, 1)) {
    trace_object(L, 1);
    return 1;
  }
  push_noted(L, 1);
  extend_trace(L, 2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &key_trace);
  lua_pushvalue(L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &key_value);
  lua_settop(L, 1);
  return 1;
}

int iz_error_wrap(lua_State *L) {
  lua_settop(L, 1);
  if (!iz_error_is(L, 1)) {
    push_noted(L, 1);
    const char *text = luaL_tolstring(L, 1, NULL);
    iz_push_err(L, "error", text, false);
    lua_pushvalue(L, 2);
    lua_setfield(L, -2, "trace");
    if (!lua_isstring(L, 1)) {
      lua_pushvalue(L, 1);
      lua_setfield(L, -2, "cause");
    }
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &key_value);
    lua_replace(L, 1);
    lua_settop(L, 1);
  }
  trace_object(L, 1);
  if (lua_getfield(L, 1, "origin") == LUA_TNIL && iz_fiber_push_origin(L))
    lua_setfield(L, 1, "origin");
  lua_settop(L, 1);
  return 1;
}

/* ---- the report ---- */

/* Whether a source is one of the library's own: what is wrong there is mostly the caller's. */
static bool is_library(const char *file) {
  return !strncmp(file, "lua/iza/", 8) || strstr(file, "/lua/iza/");
}

int iz_error_misuse(lua_State *L) {
  luaL_checkstring(L, 1);
  lua_settop(L, 1);
  lua_Debug ar;
  for (int level = 1; lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "Sl", &ar);
    if (ar.currentline <= 0 || (*ar.source == '@' && is_library(ar.source + 1))) continue;
    lua_pushfstring(L, "%s:%d: ", ar.short_src, ar.currentline);
    lua_insert(L, 1);
    lua_concat(L, 2);
    break;
  }
  return lua_error(L);
}

/* Finds the first line of a traceback that names a source line, outside the library if so wanted:
 * writes its file and returns its number, or 0. */
static int find_site(const char *trace, char *file, size_t size, bool outside) {
  for (const char *line = trace; line && *line; line = strchr(line + 1, '\n')) {
    while (*line == '\n' || *line == '\t' || *line == ' ') line++;
    const char *colon = strchr(line, ':');
    const char *end = strchr(line, '\n');
    if (!colon || (end && colon > end) || *line == '[') continue;
    int n = 0;
    const char *p = colon + 1;
    while (*p >= '0' && *p <= '9' && n < 100000000) n = n * 10 + (*p++ - '0');
    size_t len = (size_t)(colon - line);
    if (!n || *p != ':' || len >= size) continue;
    memcpy(file, line, len);
    file[len] = 0;
    if (!outside || !is_library(file)) return n;
  }
  return 0;
}

void iz_error_source(lua_State *L, const char *name) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &key_sources) != LUA_TTABLE) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &key_sources);
  }
  lua_insert(L, -2);
  lua_setfield(L, -2, name);
  lua_pop(L, 1);
}

const char *iz_error_find_source(lua_State *L, const char *name, size_t *n) {
  const char *text = NULL;
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &key_sources) == LUA_TTABLE) {
    lua_getfield(L, -1, name);
    text = lua_tolstring(L, -1, n);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  const iz_embedded *e = text ? NULL : iz_embedded_find(name);
  if (e) *n = e->size;
  return e ? e->data : text;
}

static void add_line(luaL_Buffer *b, int line, const char *text, size_t n) {
  char head[32];
  snprintf(head, sizeof head, "\n  %6d | ", line);
  luaL_addstring(b, head);
  luaL_addlstring(b, text, n);
}

static void quote_text(luaL_Buffer *b, const char *p, size_t n, int line) {
  const char *end = p + n;
  for (int at = 1; p && at < line; at++) {
    p = memchr(p, '\n', (size_t)(end - p));
    if (p) p++;
  }
  const char *stop = p ? memchr(p, '\n', (size_t)(end - p)) : NULL;
  if (p && p < end) add_line(b, line, p, (size_t)((stop ? stop : end) - p));
}

/* Adds "\n   12 | the text of line 12", from a source we know or from the file if it can be read.
 */
static void add_quote(luaL_Buffer *b, const char *file, int line) {
  size_t known;
  const char *source = iz_error_find_source(b->L, file, &known);
  if (source) {
    quote_text(b, source, known, line);
    return;
  }
  FILE *f = fopen(file, "r");
  if (!f) return;
  char text[256];
  int at = 1;
  bool fresh = true;
  while (fgets(text, sizeof text, f)) {
    size_t n = strcspn(text, "\r\n");
    bool whole = text[n] != 0;
    if (fresh && at == line) {
      add_line(b, line, text, n);
      break;
    }
    fresh = whole;
    if (whole) at++;
  }
  fclose(f);
}

static void add_field(lua_State *L, luaL_Buffer *b, int index, const char *field,
                      const char *heading) {
  lua_getfield(L, index, field);
  if (lua_isstring(L, -1) && lua_rawlen(L, -1) > 0) {
    lua_pushfstring(L, "%s%s", heading, lua_tostring(L, -1));
    lua_remove(L, -2);
    luaL_addvalue(b);
  } else {
    lua_pop(L, 1);
  }
}

/* The message behind its "file:12: "; the whole one when it does not begin with that. */
static const char *without_place(const char *message, const char *file) {
  size_t n = strlen(file);
  if (strncmp(message, file, n) != 0 || message[n] != ':') return message;
  const char *p = message + n + 1 + strspn(message + n + 1, "0123456789");
  return *p == ':' && p[1] == ' ' ? p + 2 : message;
}

static void add_place(luaL_Buffer *b, const char *file, int line) {
  char number[16];
  snprintf(number, sizeof number, ":%d: ", line);
  luaL_addstring(b, file);
  luaL_addstring(b, number);
}

void iz_error_report(lua_State *L, int index) {
  index = lua_absindex(L, index);
  luaL_checkstack(L, 12, NULL);
  bool object = iz_error_is(L, index);
  const char *trace = NULL, *message;
  if (object) {
    lua_getfield(L, index, "trace");
    trace = lua_tostring(L, -1);
    lua_getfield(L, index, "message");
  } else {
    lua_pushnil(L);
    luaL_tolstring(L, index, NULL);
  }
  message = lua_tostring(L, -1);
  if (!message) message = "(no message)";
  char file[512], caller[512];
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  /* the message of error("x") starts with the failing line; else the trace does */
  int line = find_site(message, file, sizeof file, false);
  if (line && is_library(file)) {
    int from = trace ? find_site(trace, caller, sizeof caller, true) : 0;
    if (from) {
      message = without_place(message, file);
      line = from;
      memcpy(file, caller, sizeof file);
      add_place(&b, file, line);
    }
  }
  if (!line && trace) line = find_site(trace, file, sizeof file, true);
  if (!line && trace) line = find_site(trace, file, sizeof file, false);
  luaL_addstring(&b, message);
  if (line) add_quote(&b, file, line);
  if (object) {
    add_field(L, &b, index, "trace", "\nstack:");
    add_field(L, &b, index, "origin", "\nspawned at:\n");
  }
  luaL_pushresult(&b);
  lua_replace(L, -3);
  lua_pop(L, 1);
}

static int error_tostring(lua_State *L) {
  lua_getfield(L, 1, "message");
  if (!lua_isstring(L, -1)) lua_pushliteral(L, "(no message)");
  return 1;
}

int iz_error_new(lua_State *L) {
  const char *code = luaL_checkstring(L, 1), *message = luaL_checkstring(L, 2);
  iz_push_err(L, code, message, lua_toboolean(L, 3));
  return 1;
}

void iz_error_open(lua_State *L) {
  lua_createtable(L, 0, 3);
  lua_pushcfunction(L, error_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_pushliteral(L, "iza.error");
  lua_setfield(L, -2, "__name");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &key_meta);
}
