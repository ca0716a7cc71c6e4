/* error.c -- error objects and how they are shown.
 *
 * An error object is a table {code, message, retryable, trace, origin, cause} whose metatable
 * prints it as one line. Errors raised by plain `error("text")` stay what they are for pcall; only
 * where a task's body ends are they wrapped. The traceback is taken by a message handler in the
 * coroutine that failed. When the value is no error object, the trace waits in the registry beside
 * the value until the wrapping handler meets the same value.
 */
#include "vm/source.h"
#include "vm/vm.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#define MAX_TRACE 8000

static char key_meta, key_value, key_trace;

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

/* ---- values that are no error objects ---- */

#define MAX_SHOWN 300

/* Pushes a field of the table at index as text, raw; nothing and false when it is none. */
static bool push_text_field(lua_State *L, int index, const char *name) {
  lua_pushstring(L, name);
  lua_rawget(L, index);
  if (lua_isstring(L, -1)) return true;
  lua_pop(L, 1);
  return false;
}

/* Stack: table. Its content on one line. */
static int inspect(lua_State *L) {
  lua_getglobal(L, "require");
  lua_pushliteral(L, "iza.inspect");
  lua_call(L, 1, 1);
  lua_insert(L, 1);
  lua_createtable(L, 0, 2);
  lua_pushinteger(L, 1 << 20);
  lua_setfield(L, -2, "width");
  lua_pushinteger(L, 100);
  lua_setfield(L, -2, "values");
  lua_call(L, 2, 1);
  luaL_gsub(L, lua_tostring(L, -1), "\n", " ");
  return 1;
}

/* Pushes what a table raised as an error says: its code and message, else its content. An isolate
 * has no inspect. */
static void push_table_text(lua_State *L, int index) {
  if (push_text_field(L, index, "message")) {
    if (!push_text_field(L, index, "code")) return;
    lua_pushfstring(L, "%s: %s", lua_tostring(L, -1), lua_tostring(L, -2));
    lua_replace(L, -3);
    lua_pop(L, 1);
    return;
  }
  int top = lua_gettop(L);
  lua_pushcfunction(L, inspect);
  lua_pushvalue(L, index);
  size_t n;
  if (iz_vm_of(L)->owner || lua_pcall(L, 1, 1, 0) != LUA_OK) {
    lua_settop(L, top);
    if (push_text_field(L, index, "code")) return;
    lua_pushliteral(L, "an error that is a table without a message");
    return;
  }
  const char *text = lua_tolstring(L, -1, &n);
  if (n <= MAX_SHOWN) return;
  n = MAX_SHOWN;
  while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80) n--;
  lua_pushlstring(L, text, n);
  lua_pushliteral(L, "…");
  lua_concat(L, 2);
  lua_replace(L, -2);
}

/* Pushes any error value as text for people. */
static const char *push_text(lua_State *L, int index) {
  bool bare = lua_istable(L, index);
  if (bare && luaL_getmetafield(L, index, "__tostring") != LUA_TNIL) {
    lua_pop(L, 1);
    bare = false;
  }
  if (bare)
    push_table_text(L, index);
  else
    luaL_tolstring(L, index, NULL);
  return lua_tostring(L, -1);
}

int iz_error_wrap(lua_State *L) {
  lua_settop(L, 1);
  if (!iz_error_is(L, 1)) {
    push_noted(L, 1);
    const char *text = push_text(L, 1);
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
bool iz_error_in_library(const char *file) {
  return !strncmp(file, "lua/iza/", 8) || strstr(file, "/lua/iza/");
}

int iz_error_misuse(lua_State *L) {
  luaL_checkstring(L, 1);
  lua_settop(L, 1);
  lua_Debug ar;
  for (int level = 1; lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "Sl", &ar);
    if (ar.currentline <= 0 || (*ar.source == '@' && iz_error_in_library(ar.source + 1))) continue;
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
    if (!outside || !iz_error_in_library(file)) return n;
  }
  return 0;
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
    push_text(L, index);
  }
  message = lua_tostring(L, -1);
  if (!message) message = "(no message)";
  char file[512], caller[512];
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  /* the message of error("x") starts with the failing line; else the trace does */
  int line = find_site(message, file, sizeof file, false);
  if (line && iz_error_in_library(file)) {
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
  if (line) iz_source_quote(&b, file, line, message);
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
