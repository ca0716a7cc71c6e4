/* lua_body.c -- request bodies for Lua: whole, in pieces, and as multipart parts. */
#include "http/lua_http.h"

#include "multipart.h"
#include "vm/push.h"

#include <lauxlib.h>

#define MULTIPART "iza.http.multipart"

int iz_push_body_error(lua_State *L, const iz_http_req *req) {
  int status = req->body_error;
  const char *code = status == 413   ? "too_large"
                     : status == 408 ? "timeout"
                     : status == 503 ? "oom"
                                     : "invalid";
  lua_pushnil(L);
  iz_push_err(L, code, req->body_why ? req->body_why : "malformed request body", false);
  lua_pushinteger(L, status);
  lua_setfield(L, -2, "status");
  return 2;
}

/* ---- pieces ---- */

/* read(req) -> the next piece, nil at the end, or nil and an error. */
static int read_step(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  lreq *r = iz_check_request(L, 1, true);
  const char *data;
  ssize_t n = iz_http_body_read(r->req, &data);
  if (n == IZ_HTTP_WAIT) return iz_request_wait(L, r, read_step, 0);
  if (n == IZ_HTTP_FAILED) return iz_push_body_error(L, r->req);
  if (n == 0)
    lua_pushnil(L);
  else
    lua_pushlstring(L, data, (size_t)n);
  return 1;
}

static int l_read(lua_State *L) {
  return read_step(L, LUA_OK, 0);
}

/* ---- whole ---- */

static int text_done(lua_State *L) {
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, 1, 2);
  return 1;
}

/* Takes what there is; the number of bytes, or as iz_http_body_read. */
static ssize_t collect(lua_State *L, lreq *r) {
  const char *data;
  ssize_t n;
  while ((n = iz_http_body_read(r->req, &data)) > 0) {
    if (!r->worker->text.len && (int64_t)n == r->req->head.content_length) {
      lua_pushlstring(L, data, (size_t)n);
      return iz_http_body_read(r->req, &data) == 0 ? n : IZ_HTTP_FAILED;
    }
    if (!iz_buf_add(&r->worker->text, data, (size_t)n)) luaL_error(L, "not enough memory");
  }
  return n;
}

static int text_step(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  lreq *r = iz_check_request(L, 1, true);
  ssize_t n = collect(L, r);
  if (n == IZ_HTTP_WAIT) return iz_request_wait(L, r, text_step, 0);
  if (n == IZ_HTTP_FAILED) return iz_push_body_error(L, r->req);
  if (n == 0) iz_push_buf(L, &r->worker->text);
  return text_done(L);
}

/* text(req) -> the body, or nil and an error; the same again when asked again. */
static int l_text(lua_State *L) {
  iz_check_request(L, 1, false);
  lua_settop(L, 1);
  if (lua_getiuservalue(L, 1, 2) == LUA_TSTRING) return 1;
  lua_settop(L, 1);
  return text_step(L, LUA_OK, 0);
}

/* ---- multipart ---- */

/* User value 1: the request; 2: the piece of body being parsed. */
typedef struct lmultipart {
  iz_multipart parser;
  size_t at; /* in the piece */
  bool open; /* between PART and PART_END */
  bool over;
} lmultipart;

static lmultipart *check_multipart(lua_State *L) {
  return luaL_checkudata(L, 1, MULTIPART);
}

static int multipart_gc(lua_State *L) {
  iz_multipart_free(&check_multipart(L)->parser);
  return 0;
}

static int fail_multipart(lua_State *L, const char *why) {
  lua_pushnil(L);
  iz_push_err(L, "invalid", why, false);
  lua_pushinteger(L, 400);
  lua_setfield(L, -2, "status");
  return 2;
}

/* multipart(req) -> parser, or nil and an error. */
static int l_multipart(lua_State *L) {
  lreq *r = iz_check_request(L, 1, true);
  size_t n = 0;
  const char *type = iz_http_find(&r->req->head, "content-type", &n);
  lmultipart *m = lua_newuserdatauv(L, sizeof *m, 2);
  *m = (lmultipart){0};
  luaL_setmetatable(L, MULTIPART);
  if (!type || !iz_multipart_begin(&m->parser, type, n)) {
    fail_multipart(L, "the request is no multipart/form-data with a boundary");
    lua_pushinteger(L, 415);
    lua_setfield(L, -2, "status");
    return 2;
  }
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  return 1;
}

static void push_part_headers(lua_State *L, const lmultipart *m) {
  lua_newtable(L);
  const char *s = m->parser.head.data, *end = s ? s + m->parser.head.len : s;
  while (s < end) {
    const char *eol = memchr(s, '\r', (size_t)(end - s));
    const char *colon = memchr(s, ':', (size_t)(eol - s));
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (const char *c = s; c < colon; c++)
      luaL_addchar(&b, (char)(*c >= 'A' && *c <= 'Z' ? *c | 0x20 : *c));
    luaL_pushresult(&b);
    const char *v = colon + 1;
    while (v < eol && (*v == ' ' || *v == '\t')) v++;
    lua_pushlstring(L, v, (size_t)(eol - v));
    lua_rawset(L, -3);
    s = eol + 2;
  }
  luaL_setmetatable(L, "iza.http.request.headers");
}

static int push_part(lua_State *L, const lmultipart *m) {
  const iz_multipart *p = &m->parser;
  lua_pushlstring(L, p->name.len ? p->name.data : "", p->name.len);
  if (p->has_filename)
    lua_pushlstring(L, p->filename.len ? p->filename.data : "", p->filename.len);
  else
    lua_pushnil(L);
  push_part_headers(L, m);
  return 3;
}

/* Gets the next piece of the body into user value 2. 1: there is one; else as iz_http_body_read. */
static ssize_t next_piece(lua_State *L, lmultipart *m, iz_http_req *req) {
  const char *data;
  ssize_t n = iz_http_body_read(req, &data);
  if (n <= 0) return n;
  lua_pushlstring(L, data, (size_t)n);
  lua_setiuservalue(L, 1, 2);
  m->at = 0;
  return 1;
}

/* One event of the parser. `data`: where DATA lies (in the piece, or in the parser). */
static iz_multipart_event next_event(lua_State *L, lmultipart *m, const char **data, size_t *len) {
  size_t n = 0, used = 0;
  const char *piece = lua_getiuservalue(L, 1, 2) == LUA_TSTRING ? lua_tolstring(L, -1, &n) : "";
  iz_multipart_event e = iz_multipart_parse(&m->parser, piece + m->at, n - m->at, &used, data, len);
  m->at += used;
  lua_pop(L, 1);
  return e;
}

/* ctx 1: on to the next part; 0: the next data of this one. */
static int multipart_step(lua_State *L, int status, lua_KContext to_part) {
  (void)status;
  lmultipart *m = check_multipart(L);
  lua_settop(L, 1);
  while (!m->over && (to_part || m->open)) {
    const char *data = NULL;
    size_t len = 0;
    iz_multipart_event e = next_event(L, m, &data, &len);
    if (e == IZ_MULTIPART_PART) {
      m->open = true;
      return push_part(L, m);
    }
    if (e == IZ_MULTIPART_DATA && !to_part) {
      lua_pushlstring(L, data, len);
      return 1;
    }
    if (e == IZ_MULTIPART_PART_END) m->open = false;
    if (e == IZ_MULTIPART_END) m->over = true;
    if (e == IZ_MULTIPART_BAD) return fail_multipart(L, m->parser.why);
    if (e != IZ_MULTIPART_MORE) continue;
    lua_getiuservalue(L, 1, 1);
    lreq *r = iz_check_request(L, -1, true);
    ssize_t n = next_piece(L, m, r->req);
    if (n == IZ_HTTP_WAIT) return iz_request_wait(L, r, multipart_step, to_part);
    if (n == IZ_HTTP_FAILED) return iz_push_body_error(L, r->req);
    if (n == 0) return fail_multipart(L, "the multipart body ends too early");
    lua_settop(L, 1);
  }
  lua_pushnil(L);
  return 1;
}

/* next_part(parser) -> name, filename or nil, headers; nil at the end; or nil and an error. */
static int l_next_part(lua_State *L) {
  return multipart_step(L, LUA_OK, 1);
}

/* part_data(parser) -> the next data of the present part; nil at its end; or nil and an error. */
static int l_part_data(lua_State *L) {
  return multipart_step(L, LUA_OK, 0);
}

void iz_open_body(lua_State *L) {
  static const luaL_Reg functions[] = {{"read", l_read},           {"text", l_text},
                                       {"multipart", l_multipart}, {"next_part", l_next_part},
                                       {"part_data", l_part_data}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
  luaL_newmetatable(L, MULTIPART);
  lua_pushcfunction(L, multipart_gc);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
}
