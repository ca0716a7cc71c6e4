/* lua_answer.c -- answering a request from Lua: whole, streamed, SSE, a file. */
#include "http/lua_http.h"

#include "vm/push.h"

#include <lauxlib.h>
#include <string.h>

/* ---- fields ---- */

static void add_header(lua_State *L, iz_http_req *req, const char *name, size_t nlen) {
  size_t vlen;
  const char *value = lua_tolstring(L, -1, &vlen);
  if (!value) luaL_error(L, "header %s: a string is expected", name);
  if (iz_http_header(req, name, nlen, value, vlen)) return;
  if (req->fields.oom) luaL_error(L, "not enough memory");
  if (iz_http_is_token(name, nlen) && iz_http_is_field_value(value, vlen))
    luaL_error(L, "header %s is written by the server itself", name);
  luaL_error(L, "header %s: a line break or another character that no header may have", name);
}

/* The table at arg: name = value, or name = {value, value}. */
static void add_headers(lua_State *L, iz_http_req *req, int arg) {
  if (lua_isnoneornil(L, arg)) return;
  luaL_checktype(L, arg, LUA_TTABLE);
  for (lua_pushnil(L); lua_next(L, arg); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING) luaL_error(L, "headers: names must be strings");
    size_t nlen;
    const char *name = lua_tolstring(L, -2, &nlen);
    if (!lua_istable(L, -1)) {
      lua_pushvalue(L, -1); /* a number would be converted in the table */
      add_header(L, req, name, nlen);
      lua_pop(L, 1);
      continue;
    }
    for (lua_Integer i = 1; lua_rawgeti(L, -1, i) != LUA_TNIL; i++) {
      add_header(L, req, name, nlen);
      lua_pop(L, 1);
    }
    lua_pop(L, 1);
  }
}

/* Fields of an answer: those of the table first; `type` only when they had none. */
static void add_fields(lua_State *L, iz_http_req *req, int type, int headers) {
  size_t n;
  iz_buf_clear(&req->fields); /* of an attempt that failed */
  req->has_type = false;
  add_headers(L, req, headers);
  const char *text = lua_tolstring(L, type, &n);
  if (text && !req->has_type && !iz_http_header(req, "Content-Type", 12, text, n))
    luaL_error(L, req->fields.oom ? "not enough memory" : "malformed content type");
}

static int check_status(lua_State *L, int arg) {
  lua_Integer status = luaL_checkinteger(L, arg);
  luaL_argcheck(L, status >= 200 && status <= 599, arg, "a status from 200 to 599 is expected");
  return (int)status;
}

static iz_http_req *unanswered(lua_State *L) {
  iz_http_req *req = iz_check_request(L, 1, true)->req;
  if (req->status) luaL_error(L, "the request was answered already");
  return req;
}

/* ---- answers ---- */

/* respond(req, status, body, content type or nil, headers or nil) */
static int l_respond(lua_State *L) {
  iz_http_req *req = unanswered(L);
  size_t n;
  int status = check_status(L, 2);
  const char *body = luaL_optlstring(L, 3, "", &n);
  add_fields(L, req, 4, 5);
  iz_http_respond(req, status, body, n);
  return 0;
}

/* Pushes whether a body is to follow the head just sent. */
static int push_wants_body(lua_State *L, const iz_http_req *req) {
  lua_pushboolean(L, iz_http_wants_body(req));
  return 1;
}

/* start(req, status, length or nil, content type or nil, headers or nil) -> is a body wanted */
static int l_start(lua_State *L) {
  iz_http_req *req = unanswered(L);
  int status = check_status(L, 2);
  lua_Integer length = luaL_optinteger(L, 3, -1);
  add_fields(L, req, 4, 5);
  iz_http_start(req, status, length);
  return push_wants_body(L, req);
}

/* start_sse(req, heartbeat in seconds, headers or nil) -> is a body wanted */
static int l_start_sse(lua_State *L) {
  iz_http_req *req = unanswered(L);
  int64_t heartbeat = iz_check_duration(L, 2);
  lua_settop(L, 3);
  lua_pushnil(L);
  add_fields(L, req, 4, 3);
  iz_http_start_sse(req, heartbeat);
  return push_wants_body(L, req);
}

/* So many bytes may be written without a wait before the turn is given up: a few milliseconds at
 * most, since a write costs more than its bytes. */
enum { TURN = 256 * 1024, WRITE_COST = 512 };

/* Waits until the client has caught up: true, or nil and an error when it left. Whoever writes on
 * regardless, for a client that left or one as fast as we are, must not stop the loop. */
static int write_over(lua_State *L, int status, lua_KContext ctx) {
  (void)ctx;
  lreq *r = iz_check_request(L, 1, true);
  if (!iz_http_wants_body(r->req)) {
    if (status == LUA_OK) return iz_await_turn(L, write_over, 0);
    iz_err err;
    iz_fail(&err, "closed", "the client left");
    return iz_push_error(L, &err);
  }
  if (r->req->want_drain || r->written >= TURN) {
    r->written = 0;
    return r->req->want_drain ? iz_request_wait(L, r, write_over, 0)
                              : iz_await_turn(L, write_over, 0);
  }
  lua_pushboolean(L, 1);
  return 1;
}

static int wrote(lua_State *L, lreq *r, size_t n) {
  r->written += n + WRITE_COST;
  return write_over(L, LUA_OK, 0);
}

/* write(req, data) */
static int l_write(lua_State *L) {
  lreq *r = iz_check_request(L, 1, true);
  size_t n;
  const char *data = luaL_checklstring(L, 2, &n);
  if (!r->req->status) return luaL_error(L, "the answer has not begun");
  iz_http_write(r->req, data, n);
  return wrote(L, r, n);
}

/* sse(req, data, event, id, retry in seconds) */
static int l_sse(lua_State *L) {
  lreq *r = iz_check_request(L, 1, true);
  size_t n = 0;
  const char *data = luaL_optlstring(L, 2, NULL, &n);
  const char *event = luaL_optstring(L, 3, NULL), *id = luaL_optstring(L, 4, NULL);
  int64_t retry = lua_isnoneornil(L, 5) ? -1 : iz_check_duration(L, 5) / 1000000;
  iz_buf b = {0};
  if (!iz_http_sse(&b, event, id, retry, data, n)) {
    bool oom = b.oom;
    iz_buf_free(&b);
    return luaL_error(L, oom ? "not enough memory" : "a line break in an event's name or id");
  }
  size_t len = b.len;
  iz_http_write(r->req, b.data, len);
  iz_buf_free(&b);
  return wrote(L, r, len);
}

static int l_finish(lua_State *L) {
  iz_http_finish(iz_check_request(L, 1, true)->req);
  return 0;
}

/* file(req, status, path, content type or nil, headers or nil): from here on it is answered. */
static int l_file(lua_State *L) {
  lreq *r = iz_check_request(L, 1, true);
  iz_http_req *req = unanswered(L);
  int status = check_status(L, 2);
  const char *path = luaL_checkstring(L, 3);
  add_fields(L, req, 4, 5);
  iz_request_over(r);
  iz_static_send(r->server->vm->loop, req, path, status);
  return 0;
}

/* state(req) -> "open", "begun", "answered" or "gone" */
static int l_state(lua_State *L) {
  iz_http_req *req = iz_check_request(L, 1, false)->req;
  lua_pushstring(L, !req || req->finished ? "answered"
                    : !req->conn          ? "gone"
                    : req->status         ? "begun"
                                          : "open");
  return 1;
}

void iz_open_answer(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"respond", l_respond}, {"start", l_start}, {"start_sse", l_start_sse},
      {"write", l_write},     {"sse", l_sse},     {"finish", l_finish},
      {"file", l_file},       {"state", l_state}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
