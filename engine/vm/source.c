/* source.c -- remembering what was loaded: see source.h.
 *
 * A table in the registry holds for each chunk name {text, text before it, broken text, message of
 * its syntax error}. A function does not know which text it was compiled from, and after a reload
 * functions of both run side by side. So where the two differ in a line, the one that holds the
 * name the message speaks of (field 'spend') is quoted, and none when that does not tell.
 */
#include "vm/source.h"

#include "vm/embed.h"
#include "vm/vm.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { NOW = 1, BEFORE, BROKEN, MESSAGE };

static char key_sources;

/* ---- remembering ---- */

/* The chunk's name as tracebacks show it (Lua's luaO_chunkid for files). */
static void shown_name(const char *chunk, char out[LUA_IDSIZE]) {
  size_t n = strlen(++chunk);
  if (n < LUA_IDSIZE)
    memcpy(out, chunk, n + 1);
  else
    snprintf(out, LUA_IDSIZE, "...%s", chunk + n - (LUA_IDSIZE - 4));
}

/* Pushes the entry of a name; makes it when asked to. False: there is none, nothing pushed. */
static bool push_entry(lua_State *L, const char *name, bool make) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &key_sources) != LUA_TTABLE) {
    lua_pop(L, 1);
    if (!make) return false;
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &key_sources);
  }
  bool there = lua_getfield(L, -1, name) == LUA_TTABLE;
  if (!there) {
    lua_pop(L, 1);
    if (make) {
      lua_createtable(L, 1, 0);
      lua_pushvalue(L, -1);
      lua_setfield(L, -3, name);
    }
  }
  if (there || make)
    lua_remove(L, -2);
  else
    lua_pop(L, 1);
  return there || make;
}

static void forget(lua_State *L, const char *name) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &key_sources) == LUA_TTABLE) {
    lua_pushnil(L);
    lua_setfield(L, -2, name);
  }
  lua_pop(L, 1);
}

void iz_error_source(lua_State *L, const char *name) {
  if (lua_isnil(L, -1)) {
    forget(L, name);
    lua_pop(L, 1);
    return;
  }
  push_entry(L, name, true);
  if (lua_rawgeti(L, -1, NOW) != LUA_TNIL && !lua_rawequal(L, -1, -3))
    lua_rawseti(L, -2, BEFORE);
  else
    lua_pop(L, 1);
  lua_pushvalue(L, -2);
  lua_rawseti(L, -2, NOW);
  lua_pop(L, 2);
}

void iz_source_keep(lua_State *L, const char *chunk) {
  char name[LUA_IDSIZE];
  const char *text = lua_tostring(L, -1);
  if (*chunk != '@' || !text || *text == LUA_SIGNATURE[0]) { /* a compiled chunk has no lines */
    lua_pop(L, 1);
    return;
  }
  shown_name(chunk, name);
  iz_error_source(L, name);
}

/* Stack: ..., text, message. Leaves the message. */
static void keep_broken(lua_State *L, const char *chunk) {
  char name[LUA_IDSIZE];
  shown_name(chunk, name);
  push_entry(L, name, true);
  lua_pushvalue(L, -3);
  lua_rawseti(L, -2, BROKEN);
  lua_pushvalue(L, -2);
  lua_rawseti(L, -2, MESSAGE);
  lua_pop(L, 1);
  lua_remove(L, -2);
}

/* ---- loading ---- */

/* Protected, so that the file is closed when memory runs out. */
static int read_all(lua_State *L) {
  FILE *f = lua_touserdata(L, 1);
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  size_t n;
  do {
    n = fread(luaL_prepbuffer(&b), 1, LUAL_BUFFERSIZE, f);
    luaL_addsize(&b, n);
  } while (n == LUAL_BUFFERSIZE);
  luaL_pushresult(&b);
  return 1;
}

static int cannot(lua_State *L, const char *what, const char *file, int why) {
  lua_pushfstring(L, "cannot %s %s: %s", what, file ? file : "stdin", strerror(why));
  return LUA_ERRFILE;
}

/* Pushes the bytes of the file; else a message, and the status is not LUA_OK. */
static int push_bytes(lua_State *L, const char *file) {
  lua_pushcfunction(L, read_all);
  FILE *f = file ? fopen(file, "rb") : stdin;
  if (!f) {
    int why = errno;
    lua_pop(L, 1);
    return cannot(L, "open", file, why);
  }
  lua_pushlightuserdata(L, f);
  int status = lua_pcall(L, 1, 1, 0), why = ferror(f) ? errno : 0;
  if (file) fclose(f);
  if (status != LUA_OK || !why) return status;
  lua_pop(L, 1);
  return cannot(L, "read", file, why);
}

/* Behind the byte order mark and a first line that begins with #, whose end is kept. */
static const char *skip_head(const char *text, size_t *n) {
  const char *p = text, *end = text + *n;
  if (*n >= 3 && !memcmp(p, "\xef\xbb\xbf", 3)) p += 3;
  if (p < end && *p == '#') {
    const char *line = memchr(p, '\n', (size_t)(end - p));
    p = line ? line : end;
  }
  *n = (size_t)(end - p);
  return p;
}

int iz_source_load(lua_State *L, const char *file, const char *mode) {
  luaL_checkstack(L, 8, NULL);
  int status = push_bytes(L, file);
  if (status != LUA_OK) return status;
  size_t n;
  const char *bytes = lua_tolstring(L, -1, &n), *text = skip_head(bytes, &n);
  const char *chunk = file ? lua_pushfstring(L, "@%s", file) : lua_pushliteral(L, "=stdin");
  lua_insert(L, -2);
  status = luaL_loadbufferx(L, text, n, chunk, mode);
  lua_insert(L, -2); /* chunk's name, function or message, bytes */
  if (status == LUA_OK) {
    if (file)
      iz_source_keep(L, chunk);
    else
      iz_error_source(L, "stdin");
  } else {
    lua_insert(L, -2);
    if (status == LUA_ERRSYNTAX)
      keep_broken(L, chunk);
    else
      lua_remove(L, -2);
  }
  lua_remove(L, -2);
  return status;
}

/* loadfile(file, mode, env) */
static int l_loadfile(lua_State *L) {
  const char *file = luaL_optstring(L, 1, NULL), *mode = luaL_optstring(L, 2, NULL);
  bool env = !lua_isnone(L, 3);
  if (iz_source_load(L, file, mode) != LUA_OK) {
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
  }
  if (env) {
    lua_pushvalue(L, 3);
    if (!lua_setupvalue(L, -2, 1)) lua_pop(L, 1);
  }
  return 1;
}

static int dofile_over(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  return lua_gettop(L) - 1;
}

static int l_dofile(lua_State *L) {
  const char *file = luaL_optstring(L, 1, NULL);
  lua_settop(L, 1);
  if (iz_source_load(L, file, NULL) != LUA_OK) return lua_error(L);
  lua_callk(L, 0, LUA_MULTRET, 0, dofile_over);
  return dofile_over(L, LUA_OK, 0);
}

/* load(chunk, chunkname, mode, env): Lua's own is the upvalue. */
static int l_load(lua_State *L) {
  const char *chunk = lua_isstring(L, 1) ? lua_tostring(L, 2) : NULL;
  int n = lua_gettop(L);
  luaL_checkstack(L, n + 4, NULL);
  lua_pushvalue(L, lua_upvalueindex(1));
  for (int i = 1; i <= n; i++) lua_pushvalue(L, i);
  lua_call(L, n, LUA_MULTRET);
  int results = lua_gettop(L) - n;
  if (!chunk || *chunk != '@') return results;
  lua_pushvalue(L, 1);
  if (results == 1) {
    iz_source_keep(L, chunk);
    return 1;
  }
  lua_pushvalue(L, -2);
  keep_broken(L, chunk);
  lua_pop(L, 1);
  return results;
}

/* The searcher of package.path; package is its upvalue. */
static int search_path(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  lua_getfield(L, lua_upvalueindex(1), "searchpath");
  lua_pushstring(L, name);
  if (lua_getfield(L, lua_upvalueindex(1), "path") != LUA_TSTRING)
    return luaL_error(L, "'package.path' must be a string");
  lua_call(L, 2, 2);
  if (lua_isnil(L, -2)) return 1;
  lua_pop(L, 1);
  const char *file = lua_tostring(L, -1);
  if (iz_source_load(L, file, NULL) != LUA_OK)
    return luaL_error(L, "error loading module '%s' from file '%s':\n\t%s", name, file,
                      lua_tostring(L, -1));
  lua_pushvalue(L, -2);
  return 2;
}

void iz_source_open(lua_State *L) {
  lua_pushcfunction(L, l_loadfile);
  lua_setglobal(L, "loadfile");
  lua_pushcfunction(L, l_dofile);
  lua_setglobal(L, "dofile");
  lua_getglobal(L, "load");
  lua_pushcclosure(L, l_load, 1);
  lua_setglobal(L, "load");
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "searchers");
  lua_pushvalue(L, -2);
  lua_pushcclosure(L, search_path, 1);
  lua_rawseti(L, -2, 2); /* in place of Lua's own */
  lua_pop(L, 2);
}

/* ---- quoting ---- */

typedef struct span {
  const char *text;
  size_t n;
} span;

/* A line of a text; .text is NULL when it has none of that number. */
static span line_of(const char *p, size_t n, int line) {
  const char *end = p + n;
  for (int at = 1; p && at < line; at++) {
    p = memchr(p, '\n', (size_t)(end - p));
    if (p) p++;
  }
  if (!p || p >= end) return (span){NULL, 0};
  const char *stop = memchr(p, '\n', (size_t)(end - p));
  span s = {p, (size_t)((stop ? stop : end) - p)};
  if (s.n && p[s.n - 1] == '\r') s.n--;
  return s;
}

static void add_line(luaL_Buffer *b, int line, span s) {
  char head[32];
  snprintf(head, sizeof head, "\n  %6d | ", line);
  luaL_addstring(b, head);
  luaL_addlstring(b, s.text, s.n);
}

static bool same(span a, span b) {
  return a.text && b.text && a.n == b.n && !memcmp(a.text, b.text, a.n);
}

static bool is_word(const char *p, const char *from, const char *end) {
  return p >= from && p < end && (isalnum((unsigned char)*p) || *p == '_');
}

/* Does the line hold, as a word, what the message quotes: ... (field 'spend')? */
static bool is_meant(span s, const char *message) {
  const char *open = message ? strrchr(message, '(') : NULL;
  const char *from = open ? strchr(open, '\'') : NULL, *to = from ? strchr(from + 1, '\'') : NULL;
  if (!to || !s.text) return false;
  size_t n = (size_t)(to - from - 1);
  const char *end = s.text + s.n;
  for (const char *p = s.text; n && p + n <= end; p++)
    if (!memcmp(p, from + 1, n) && !is_word(p - 1, s.text, end) && !is_word(p + n, s.text, end))
      return true;
  return false;
}

/* The entry is at `e`. */
static span text_line(lua_State *L, int e, int field, int line) {
  size_t n = 0;
  lua_rawgeti(L, e, field);
  const char *text = lua_tolstring(L, -1, &n); /* the entry keeps it */
  lua_pop(L, 1);
  return text ? line_of(text, n, line) : (span){NULL, 0};
}

static bool is_broken(lua_State *L, int e, const char *message) {
  lua_rawgeti(L, e, MESSAGE);
  const char *broken = lua_tostring(L, -1);
  lua_pop(L, 1);
  return broken && message && strstr(message, broken);
}

static span pick(lua_State *L, int e, int line, const char *message) {
  if (is_broken(L, e, message)) return text_line(L, e, BROKEN, line);
  span now = text_line(L, e, NOW, line), before = text_line(L, e, BEFORE, line);
  if (!before.text || same(now, before)) return now;
  if (!now.text) return before;
  if (is_meant(now, message)) return now;
  return is_meant(before, message) ? before : (span){NULL, 0};
}

void iz_source_quote(luaL_Buffer *b, const char *name, int line, const char *message) {
  lua_State *L = b->L;
  span s;
  const iz_embedded *e;
  if (push_entry(L, name, false)) {
    s = pick(L, lua_gettop(L), line, message);
    lua_pop(L, 1); /* the registry keeps it */
  } else if ((e = iz_embedded_find(name))) {
    s = line_of(e->data, e->size, line);
  } else {
    return;
  }
  if (s.text) add_line(b, line, s);
}

const char *iz_error_find_source(lua_State *L, const char *name, size_t *n) {
  if (push_entry(L, name, false)) {
    lua_rawgeti(L, -1, NOW);
    const char *text = lua_tolstring(L, -1, n);
    lua_pop(L, 2);
    return text;
  }
  const iz_embedded *e = iz_embedded_find(name);
  if (e) *n = e->size;
  return e ? e->data : NULL;
}
