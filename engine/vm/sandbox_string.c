/* sandbox_string.c -- find, match, gmatch, gsub and rep for isolates.
 *
 * Lua's pattern matcher backtracks without bound: ("a?"):rep(30) .. ("a"):rep(30) runs for hours,
 * and no hook can stop it inside C. This one, written to the reference manual (Lua 5.4 §6.4.1),
 * counts its steps and gives up with an error once one match took WORK steps more than the text has
 * bytes. gsub and gmatch are bounded match by match; gsub yields between matches when its slice is
 * over, and its replacement function may wait: its output lives in a userdata, not in a C local.
 */
#include "vm/sandbox.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdint.h>
#include <string.h>

#define MAX_REP (16u << 20) /* bytes: filling them takes some 10 ms, in which others wait */
#define MAX_CAPTURES 32
#define MAX_DEPTH 200
#define WORK 2000000
#define OPEN (-1)     /* a capture that has begun */
#define POSITION (-2) /* the capture () */

typedef struct capture {
  const char *start;
  ptrdiff_t len;
} capture;

typedef struct matcher {
  lua_State *L;
  const char *text, *text_end, *pattern_end;
  int64_t work; /* steps left */
  int depth;
  int level; /* captures, finished or not */
  capture captures[MAX_CAPTURES];
} matcher;

static const char *match(matcher *m, const char *s, const char *p);

static void spend(matcher *m) {
  if (--m->work < 0)
    luaL_error(m->L, "pattern too complex: this match needs too many steps; anchor it or split it");
}

/* ---- single characters ---- */

static bool in_named_class(int c, int name) {
  bool in;
  int lower = name | 0x20;
  bool upper_c = c >= 'A' && c <= 'Z', lower_c = c >= 'a' && c <= 'z', digit = c >= '0' && c <= '9';
  bool visible = c > 32 && c < 127;
  switch (lower) {
  case 'a':
    in = upper_c || lower_c;
    break;
  case 'c':
    in = c < 32 || c == 127;
    break;
  case 'd':
    in = digit;
    break;
  case 'g':
    in = visible;
    break;
  case 'l':
    in = lower_c;
    break;
  case 'p':
    in = visible && !upper_c && !lower_c && !digit;
    break;
  case 's':
    in = c == ' ' || (c >= 9 && c <= 13);
    break;
  case 'u':
    in = upper_c;
    break;
  case 'w':
    in = upper_c || lower_c || digit;
    break;
  case 'x':
    in = digit || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    break;
  case 'z': /* deprecated, still there */
    in = c == 0;
    break;
  default:
    return name == c;
  }
  return (name >= 'A' && name <= 'Z') ? !in : in;
}

/* p stands behind '['. Returns the place behind the closing ']'. */
static const char *set_end(matcher *m, const char *p) {
  if (p < m->pattern_end && *p == '^') p++;
  do { /* a ']' that comes first is an ordinary one */
    if (p >= m->pattern_end) luaL_error(m->L, "malformed pattern (missing ']')");
    if (*p++ == '%') {
      if (p >= m->pattern_end) luaL_error(m->L, "malformed pattern (missing ']')");
      p++;
    }
  } while (p >= m->pattern_end || *p != ']');
  return p + 1;
}

static const char *item_end(matcher *m, const char *p) {
  if (*p == '[') return set_end(m, p + 1);
  if (*p != '%') return p + 1;
  if (p + 1 >= m->pattern_end) luaL_error(m->L, "malformed pattern (ends with '%%')");
  return p + 2;
}

/* p stands behind '[', end before the closing ']'. */
static bool in_set(int c, const char *p, const char *end) {
  bool found = true;
  if (*p == '^') {
    found = false;
    p++;
  }
  for (; p < end; p++) {
    if (*p == '%') {
      p++;
      if (in_named_class(c, (unsigned char)*p)) return found;
    } else if (p + 2 < end && p[1] == '-') {
      if ((unsigned char)*p <= c && c <= (unsigned char)p[2]) return found;
      p += 2;
    } else if ((unsigned char)*p == c) {
      return found;
    }
  }
  return !found;
}

/* Does the single-character item [p, end) match at s? */
static bool item_matches(matcher *m, const char *s, const char *p, const char *end) {
  spend(m);
  if (s >= m->text_end) return false;
  int c = (unsigned char)*s;
  switch (*p) {
  case '.':
    return true;
  case '%':
    return in_named_class(c, (unsigned char)p[1]);
  case '[':
    return in_set(c, p + 1, end - 1);
  default:
    return (unsigned char)*p == c;
  }
}

/* ---- repetitions ---- */

static const char *greedy(matcher *m, const char *s, const char *p, const char *end) {
  ptrdiff_t n = 0;
  while (item_matches(m, s + n, p, end)) n++;
  for (; n >= 0; n--) {
    const char *r = match(m, s + n, end + 1);
    if (r) return r;
  }
  return NULL;
}

static const char *lazy(matcher *m, const char *s, const char *p, const char *end) {
  for (;; s++) {
    const char *r = match(m, s, end + 1);
    if (r) return r;
    if (!item_matches(m, s, p, end)) return NULL;
  }
}

/* ---- captures, %b, %f, %1 ---- */

static const char *open_capture(matcher *m, const char *s, const char *p, ptrdiff_t what) {
  if (m->level >= MAX_CAPTURES) luaL_error(m->L, "too many captures");
  m->captures[m->level] = (capture){s, what};
  m->level++;
  const char *r = match(m, s, p);
  if (!r) m->level--;
  return r;
}

static const char *close_capture(matcher *m, const char *s, const char *p) {
  int i = m->level - 1;
  while (i >= 0 && m->captures[i].len != OPEN) i--;
  if (i < 0) luaL_error(m->L, "invalid pattern capture");
  m->captures[i].len = s - m->captures[i].start;
  const char *r = match(m, s, p);
  if (!r) m->captures[i].len = OPEN;
  return r;
}

static const char *balanced(matcher *m, const char *s, const char *p) {
  if (p + 1 >= m->pattern_end) luaL_error(m->L, "malformed pattern (missing arguments to '%%b')");
  if (s >= m->text_end || *s != p[0]) return NULL;
  int open = 1;
  for (s++; s < m->text_end; s++) {
    spend(m);
    if (*s == p[1]) {
      if (--open == 0) return s + 1;
    } else if (*s == p[0]) {
      open++;
    }
  }
  return NULL;
}

static bool at_frontier(matcher *m, const char *s, const char *p, const char *end) {
  int before = s == m->text ? 0 : (unsigned char)s[-1];
  int here = s < m->text_end ? (unsigned char)*s : 0;
  return !in_set(before, p + 1, end - 1) && in_set(here, p + 1, end - 1);
}

static const char *same_again(matcher *m, const char *s, int digit) {
  int i = digit - '1';
  if (i < 0 || i >= m->level || m->captures[i].len == OPEN)
    luaL_error(m->L, "invalid capture index %%%d in pattern", i + 1);
  size_t n = m->captures[i].len < 0 ? 0 : (size_t)m->captures[i].len;
  m->work -= (int64_t)n;
  if ((size_t)(m->text_end - s) < n || memcmp(m->captures[i].start, s, n) != 0) return NULL;
  return s + n;
}

/* ---- the matcher ---- */

/* A special item that takes the rest of the match on itself sets *done. */
static const char *special(matcher *m, const char **s, const char **p, bool *done) {
  const char *r = NULL;
  *done = true;
  if (**p == '(') {
    bool position = *p + 1 < m->pattern_end && (*p)[1] == ')';
    return open_capture(m, *s, *p + (position ? 2 : 1), position ? POSITION : OPEN);
  }
  if (**p == ')') return close_capture(m, *s, *p + 1);
  char kind = *p + 1 < m->pattern_end ? (*p)[1] : 0;
  if (**p == '%' && kind == 'b') {
    r = balanced(m, *s, *p + 2);
    *p += 4;
  } else if (**p == '%' && kind == 'f') {
    const char *set = *p + 2;
    if (set >= m->pattern_end || *set != '[')
      luaL_error(m->L, "missing '[' after '%%f' in pattern");
    const char *end = item_end(m, set);
    r = at_frontier(m, *s, set, end) ? *s : NULL;
    *p = end;
  } else if (**p == '%' && kind >= '0' && kind <= '9') {
    r = same_again(m, *s, kind);
    *p += 2;
  } else {
    *done = false;
    return NULL;
  }
  if (r) {
    *s = r;
    *done = false;
  }
  return r;
}

/* Returns where the match of [p, pattern_end) that begins at s ends, or NULL. */
static const char *match_here(matcher *m, const char *s, const char *p) {
  while (p < m->pattern_end) {
    spend(m);
    if (*p == '$' && p + 1 == m->pattern_end) return s == m->text_end ? s : NULL;
    bool done;
    const char *before = p, *r = special(m, &s, &p, &done);
    if (done) return r;
    if (p != before) continue;
    const char *end = item_end(m, p);
    char suffix = end < m->pattern_end ? *end : 0;
    if (suffix == '*') return greedy(m, s, p, end);
    if (suffix == '-') return lazy(m, s, p, end);
    bool here = item_matches(m, s, p, end);
    if (suffix == '+') return here ? greedy(m, s + 1, p, end) : NULL;
    if (suffix == '?') {
      if (here && (r = match(m, s + 1, end + 1))) return r;
      p = end + 1;
      continue;
    }
    if (!here) return NULL;
    s++;
    p = end;
  }
  return s;
}

static const char *match(matcher *m, const char *s, const char *p) {
  if (++m->depth > MAX_DEPTH) luaL_error(m->L, "pattern too complex");
  const char *r = match_here(m, s, p);
  m->depth--;
  return r;
}

/* ---- what a match found ---- */

static void begin(matcher *m, lua_State *L, const char *text, size_t n, const char *p, size_t pn) {
  m->L = L;
  m->text = text;
  m->text_end = text + n;
  m->pattern_end = p + pn;
}

static const char *try_at(matcher *m, const char *s, const char *p) {
  m->level = m->depth = 0;
  return match(m, s, p);
}

static void push_capture(matcher *m, int i, const char *s, const char *e) {
  if (i >= m->level) {
    if (i != 0) luaL_error(m->L, "invalid capture index %%%d in pattern", i + 1);
    lua_pushlstring(m->L, s, (size_t)(e - s));
  } else if (m->captures[i].len == POSITION) {
    lua_pushinteger(m->L, m->captures[i].start - m->text + 1);
  } else if (m->captures[i].len == OPEN) {
    luaL_error(m->L, "malformed pattern (unfinished capture)");
  } else {
    lua_pushlstring(m->L, m->captures[i].start, (size_t)m->captures[i].len);
  }
}

/* Pushes all captures; the whole match when there are none and `whole` asks for it. */
static int push_captures(matcher *m, const char *s, const char *e, bool whole) {
  int n = m->level == 0 && whole ? 1 : m->level;
  luaL_checkstack(m->L, n, "too many captures");
  for (int i = 0; i < n; i++) push_capture(m, i, s, e);
  return n;
}

static size_t start_at(lua_Integer init, size_t n) {
  if (init > 0) return (size_t)init - 1;
  if (init == 0 || init < -(lua_Integer)n) return 0;
  return n - (size_t)-init;
}

/* ---- find, match ---- */

static bool is_plain(const char *p, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (p[i] && strchr("^$*+?.([%-", p[i])) return false;
  return true;
}

static int find_plain(lua_State *L, const char *text, size_t n, size_t init, const char *p,
                      size_t pn) {
  const char *at = pn ? memmem(text + init, n - init, p, pn) : text + init;
  if (!at) {
    lua_pushnil(L);
    return 1;
  }
  lua_pushinteger(L, at - text + 1);
  lua_pushinteger(L, at - text + (lua_Integer)pn);
  return 2;
}

static int find_or_match(lua_State *L, bool find) {
  size_t n, pn;
  const char *text = luaL_checklstring(L, 1, &n), *p = luaL_checklstring(L, 2, &pn);
  size_t init = start_at(luaL_optinteger(L, 3, 1), n);
  if (init > n) {
    lua_pushnil(L);
    return 1;
  }
  if (find && (lua_toboolean(L, 4) || is_plain(p, pn))) return find_plain(L, text, n, init, p, pn);
  matcher m;
  bool anchored = pn && *p == '^';
  begin(&m, L, text, n, p, pn);
  m.work = WORK + (int64_t)(n - init);
  const char *s = text + init;
  do {
    const char *e = try_at(&m, s, p + anchored);
    if (e && find) {
      lua_pushinteger(L, s - text + 1);
      lua_pushinteger(L, e - text);
      return push_captures(&m, NULL, NULL, false) + 2;
    }
    if (e) return push_captures(&m, s, e, true);
  } while (s++ < m.text_end && !anchored);
  lua_pushnil(L);
  return 1;
}

static int s_find(lua_State *L) {
  return find_or_match(L, true);
}
static int s_match(lua_State *L) {
  return find_or_match(L, false);
}

/* ---- gmatch ---- */

/* Upvalues: text, pattern, next start, end of the last match (an empty match may not touch it). */
static int gmatch_next(lua_State *L) {
  size_t n, pn;
  const char *text = lua_tolstring(L, lua_upvalueindex(1), &n);
  const char *p = lua_tolstring(L, lua_upvalueindex(2), &pn);
  const char *last = text + lua_tointeger(L, lua_upvalueindex(4));
  matcher m;
  begin(&m, L, text, n, p, pn);
  m.work = WORK + (int64_t)n;
  for (const char *s = text + lua_tointeger(L, lua_upvalueindex(3)); s <= m.text_end; s++) {
    const char *e = try_at(&m, s, p);
    if (!e || e == last) continue;
    lua_pushinteger(L, e - text);
    lua_copy(L, -1, lua_upvalueindex(3));
    lua_replace(L, lua_upvalueindex(4));
    return push_captures(&m, s, e, true);
  }
  lua_pushinteger(L, (lua_Integer)n + 1);
  lua_replace(L, lua_upvalueindex(3));
  return 0;
}

static int s_gmatch(lua_State *L) {
  size_t n;
  luaL_checklstring(L, 1, &n);
  luaL_checkstring(L, 2);
  size_t init = start_at(luaL_optinteger(L, 3, 1), n);
  lua_settop(L, 2);
  lua_pushinteger(L, init > n ? (lua_Integer)n + 1 : (lua_Integer)init);
  lua_pushinteger(L, -1);
  lua_pushcclosure(L, gmatch_next, 4);
  return 1;
}

/* ---- gsub ---- */

/* Stack: 1 text, 2 pattern, 3 replacement, 4 limit, 5 state, 6 list of output pieces. */
typedef struct substituting {
  size_t at;         /* next place to try */
  size_t copied;     /* text before this is in the output */
  ptrdiff_t last;    /* end of the last match; -1 */
  size_t start, end; /* of the match whose replacement is being made */
  lua_Integer count, limit, pieces;
  bool asked; /* a replacement function was called */
} substituting;

/* Adds the string on top to the output. */
static void add_piece(lua_State *L, substituting *g) {
  lua_rawseti(L, 6, ++g->pieces);
}

static void add_text(lua_State *L, substituting *g, const char *s, size_t n) {
  if (!n) return;
  lua_pushlstring(L, s, n);
  add_piece(L, g);
}

static void add_template(matcher *m, substituting *g, const char *s, const char *e) {
  lua_State *L = m->L;
  size_t n;
  const char *t = lua_tolstring(L, 3, &n);
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (size_t i = 0; i < n; i++) {
    if (t[i] != '%') {
      luaL_addchar(&b, t[i]);
      continue;
    }
    char c = ++i < n ? t[i] : 0;
    if (c == '%') {
      luaL_addchar(&b, '%');
    } else if (c == '0') {
      luaL_addlstring(&b, s, (size_t)(e - s));
    } else if (c >= '1' && c <= '9') {
      push_capture(m, c - '1', s, e);
      luaL_tolstring(L, -1, NULL);
      lua_remove(L, -2);
      luaL_addvalue(&b);
    } else {
      luaL_error(L, "invalid use of '%%' in replacement string");
    }
  }
  luaL_pushresult(&b);
  add_piece(L, g);
}

/* The replacement value is on top: false and nil keep the match. */
static void add_value(lua_State *L, substituting *g, const char *text) {
  if (!lua_toboolean(L, -1)) {
    lua_pop(L, 1);
    add_text(L, g, text + g->start, g->end - g->start);
  } else if (lua_isstring(L, -1)) {
    lua_tostring(L, -1);
    add_piece(L, g);
  } else {
    luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
  }
}

static int gsub_on(lua_State *L, int status, lua_KContext ctx);

static void replace(matcher *m, substituting *g) {
  lua_State *L = m->L;
  const char *s = m->text + g->start, *e = m->text + g->end;
  switch (lua_type(L, 3)) {
  case LUA_TFUNCTION: {
    lua_pushvalue(L, 3);
    int n = push_captures(m, s, e, true);
    g->asked = true;
    lua_callk(L, n, 1, 0, gsub_on);
    g->asked = false;
    add_value(L, g, m->text);
    break;
  }
  case LUA_TTABLE:
    push_capture(m, 0, s, e);
    lua_gettable(L, 3);
    add_value(L, g, m->text);
    break;
  default:
    add_template(m, g, s, e);
  }
}

/* Joins the pieces; they are strings, so no more than memory allows. */
static int gsub_result(lua_State *L, substituting *g, const char *text, size_t n) {
  add_text(L, g, text + g->copied, n - g->copied);
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (lua_Integer i = 1; i <= g->pieces; i++) {
    lua_rawgeti(L, 6, i);
    luaL_addvalue(&b);
  }
  luaL_pushresult(&b);
  lua_pushinteger(L, g->count);
  return 2;
}

static int gsub_on(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  substituting *g = lua_touserdata(L, 5);
  size_t n, pn;
  const char *text = lua_tolstring(L, 1, &n), *p = lua_tolstring(L, 2, &pn);
  bool anchored = pn && *p == '^';
  if (g->asked) {
    g->asked = false;
    add_value(L, g, text);
  }
  lua_settop(L, 6);
  matcher m;
  begin(&m, L, text, n, p, pn);
  while (g->count < g->limit && g->at <= n) {
    if (iz_guard_preempt(L)) return lua_yieldk(L, 0, 0, gsub_on);
    m.work = WORK + (int64_t)(n - g->at);
    const char *s = text + g->at, *e = try_at(&m, s, p + anchored);
    if (e && e - text != g->last) {
      g->count++;
      add_text(L, g, text + g->copied, g->at - g->copied);
      g->start = g->at;
      g->end = (size_t)(e - text);
      g->at = g->copied = g->end;
      g->last = e - text;
      if (anchored) g->limit = g->count;
      replace(&m, g);
    } else {
      g->at++;
      if (anchored) break;
    }
  }
  return gsub_result(L, g, text, n);
}

static int s_gsub(lua_State *L) {
  size_t n;
  luaL_checklstring(L, 1, &n);
  luaL_checkstring(L, 2);
  int type = lua_type(L, 3);
  luaL_argexpected(
      L, type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TFUNCTION || type == LUA_TTABLE,
      3, "string/function/table");
  lua_Integer limit = luaL_optinteger(L, 4, (lua_Integer)n + 1);
  lua_settop(L, 4);
  substituting *g = lua_newuserdatauv(L, sizeof *g, 0);
  *g = (substituting){.last = -1, .limit = limit};
  lua_createtable(L, 0, 0);
  return gsub_on(L, LUA_OK, 0);
}

/* ---- rep ---- */

/* At most what memory allows: its loop runs once a kilobyte or more of output. */
static int s_rep(lua_State *L) {
  size_t n, sep_len;
  const char *s = luaL_checklstring(L, 1, &n), *sep = luaL_optlstring(L, 3, "", &sep_len);
  lua_Integer count = luaL_checkinteger(L, 2);
  if (count <= 0 || n + sep_len == 0) {
    lua_pushliteral(L, "");
    return 1;
  }
  if ((lua_Unsigned)count > (lua_Unsigned)INT32_MAX / (n + sep_len) + 1)
    return luaL_error(L, "resulting string too large");
  size_t unit = n + sep_len, total = (size_t)count * unit - sep_len;
  if (total > MAX_REP) return luaL_error(L, "resulting string too large (16 MB at most here)");
  luaL_Buffer b;
  char *out = luaL_buffinitsize(L, &b, total);
  memcpy(out, s, n);
  size_t done = n;
  if (count > 1) {
    memcpy(out + n, sep, sep_len);
    done = unit;
  }
  while (done < total) { /* doubling */
    size_t more = done < total - done ? done : total - done;
    memcpy(out + done, out, more);
    done += more;
  }
  luaL_pushresultsize(&b, total);
  return 1;
}

void iz_sandbox_bound_string(lua_State *L) {
  static const luaL_Reg functions[] = {{"find", s_find}, {"match", s_match}, {"gmatch", s_gmatch},
                                       {"gsub", s_gsub}, {"rep", s_rep},     {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
