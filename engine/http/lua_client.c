/* lua_client.c -- iza.core.http_client: transfers for Lua.
 *
 * The thin part: one request, started and read piece by piece. Redirects, retries, bodies of forms
 * and the friendly face are lua/iza/http/client.lua. A transfer object is used by one task at a
 * time; cancelling a task that waits on it ends the transfer. It also ends with <close> and when it
 * is collected. All transfers of a state share one client, made at the first request.
 */
#include "base/clock.h"
#include "http/client.h"
#include "http/sse.h"
#include "vm/await.h"
#include "vm/field.h"

#include <lauxlib.h>
#include <limits.h>
#include <string.h>

int iz_open_http_client(lua_State *L);

#define TRANSFER "iza.http.transfer"
#define CLIENT "iza.http.client"

/* What the waiting task waits for. */
enum want { HEAD, BYTES, ROOM, END };

typedef struct transfer {
  iz_transfer *t; /* NULL: closed */
  iz_wait wait;
  enum want want;
  bool has_sse;
  iz_sse sse;
} transfer;

/* ---- the client of this state ---- */

static int client_gc(lua_State *L) {
  iz_client **c = lua_touserdata(L, 1);
  iz_client_free(*c);
  *c = NULL;
  return 0;
}

/* NULL with err when libcurl cannot be had. */
static iz_client *get_client(lua_State *L, iz_err *err) {
  static const char key;
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &key) == LUA_TNIL) {
    lua_pop(L, 1);
    iz_client **c = lua_newuserdatauv(L, sizeof(iz_client *), 0);
    *c = NULL;
    if (luaL_newmetatable(L, CLIENT)) {
      lua_pushcfunction(L, client_gc);
      lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &key);
  }
  iz_client **c = lua_touserdata(L, -1);
  lua_pop(L, 1);
  if (!*c) *c = iz_client_new(iz_lua_loop(L), err);
  return *c;
}

/* ---- waiting ---- */

static bool ready(const transfer *x) {
  size_t n = 0;
  if (!x->t || iz_transfer_over(x->t, NULL)) return true;
  if (x->want == HEAD) return iz_transfer_status(x->t) != 0;
  if (x->want == BYTES) iz_transfer_peek(x->t, &n);
  if (x->want == ROOM) return iz_transfer_wants(x->t);
  return n > 0;
}

static void changed(iz_transfer *t, void *ctx) {
  (void)t;
  transfer *x = ctx;
  if (x->wait.task && ready(x)) iz_wait_done(&x->wait);
}

static void close_transfer(transfer *x) {
  iz_transfer_close(x->t);
  x->t = NULL;
  if (x->has_sse) iz_sse_free(&x->sse);
  x->has_sse = false;
}

static void cancel(iz_wait *w) {
  close_transfer(IZ_OUTER(w, transfer, wait));
}

static transfer *check_transfer(lua_State *L) {
  transfer *x = luaL_checkudata(L, 1, TRANSFER);
  if (x->wait.task) luaL_error(L, "another task is waiting for this answer");
  return x;
}

static int wait_for(lua_State *L, transfer *x, enum want want, lua_KFunction k) {
  x->want = want;
  if (ready(x)) return k(L, LUA_OK, 0);
  x->wait.cancel = cancel;
  return iz_await(L, &x->wait, k, 0);
}

/* True when the transfer failed or is closed: the results are pushed then. */
static bool failed(lua_State *L, const transfer *x, int *results) {
  const iz_err *err = NULL;
  iz_err closed;
  if (!x->t) {
    iz_fail(&closed, "closed", "the answer was closed");
    err = &closed;
  } else {
    iz_transfer_over(x->t, &err);
  }
  if (err) *results = iz_push_error(L, err);
  return err != NULL;
}

/* ---- start ---- */

/* Seconds to nanoseconds; absent or 0 = no limit. */
static int64_t limit_field(lua_State *L, const char *name) {
  lua_Number s = iz_field_number(L, 1, name, 0);
  if (s <= 0) return 0;
  return s < 1e9 ? (int64_t)(s * (lua_Number)IZ_SEC) + 1 : 0;
}

/* fields = {name, value, name, value ...}, strings; made an array behind the Lua stack's back in a
 * userdata that stays on the stack. */
static void read_fields(lua_State *L, iz_request *rq) {
  if (lua_getfield(L, 1, "fields") != LUA_TTABLE) luaL_error(L, "fields must be a table");
  lua_Integer n = (lua_Integer)lua_rawlen(L, -1) / 2;
  iz_field *f = lua_newuserdatauv(L, ((size_t)n + 1) * sizeof *f, 0);
  for (lua_Integer i = 0; i < n; i++) {
    const char *part[2];
    for (int k = 0; k < 2; k++) {
      if (lua_rawgeti(L, -2, 2 * i + k + 1) != LUA_TSTRING)
        luaL_error(L, "header names and values must be strings");
      part[k] = lua_tostring(L, -1);
      if (strlen(part[k]) != lua_rawlen(L, -1)) luaL_error(L, "a header has a NUL byte in it");
      lua_pop(L, 1);
    }
    f[i] = (iz_field){part[0], part[1]};
  }
  rq->fields = f;
  rq->n_fields = (size_t)n;
}

static void read_request(lua_State *L, iz_request *rq) {
  rq->method = iz_field_text(L, 1, "method", NULL);
  rq->url = iz_field_text(L, 1, "url", NULL);
  if (!rq->method || !rq->url) luaL_error(L, "method and url are needed");
  rq->proxy = iz_field_text(L, 1, "proxy", NULL);
  rq->socket = iz_field_text(L, 1, "socket", NULL);
  rq->ca_file = iz_field_text(L, 1, "ca", NULL);
  rq->insecure = iz_field_flag(L, 1, "insecure");
  rq->repeatable = iz_field_flag(L, 1, "repeatable");
  rq->push = iz_field_flag(L, 1, "push");
  rq->push_size = iz_field_integer(L, 1, "push_size", -1, INT64_MAX, -1);
  rq->connect = limit_field(L, "connect");
  rq->first_byte = limit_field(L, "first_byte");
  rq->stall = limit_field(L, "stall");
  rq->total = limit_field(L, "total");
  rq->total_name = limit_field(L, "limit");
  rq->max_size = (uint64_t)iz_field_integer(L, 1, "max_size", 0, INT64_MAX, 0);
  rq->window = (size_t)iz_field_integer(L, 1, "window", 0, INT64_MAX, 0);
  read_fields(L, rq);
}

/* start(request) -> transfer | nil, err. The fields of the request are those of iz_request;
 * limits in seconds. */
static int l_start(lua_State *L) {
  iz_request rq = {.notify = changed};
  iz_err err;
  luaL_checktype(L, 1, LUA_TTABLE);
  iz_await_check(L);
  lua_settop(L, 1);
  iz_client *c = get_client(L, &err);
  if (!c) return iz_push_error(L, &err);
  read_request(L, &rq);
  transfer *x = lua_newuserdatauv(L, sizeof *x, 1);
  memset(x, 0, sizeof *x);
  luaL_setmetatable(L, TRANSFER);
  if (lua_getfield(L, 1, "body") == LUA_TSTRING) {
    size_t n;
    rq.body = lua_tolstring(L, -1, &n);
    rq.body_len = n;
  }
  lua_setiuservalue(L, -2, 1);
  rq.ctx = x;
  x->t = iz_transfer_start(c, &rq, &err);
  return x->t ? 1 : iz_push_error(L, &err);
}

/* ---- reading ---- */

/* Pushes status, head and URL. */
static int push_head(lua_State *L, const iz_transfer *t) {
  size_t n;
  const char *head = iz_transfer_head(t, &n);
  lua_pushinteger(L, iz_transfer_status(t));
  lua_pushlstring(L, head, n);
  lua_pushstring(L, iz_transfer_url(t));
  return 3;
}

static int head_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  transfer *x = lua_touserdata(L, 1);
  int results;
  if ((!x->t || !iz_transfer_status(x->t)) && failed(L, x, &results)) return results;
  return push_head(L, x->t);
}

/* t:head() -> status, head, url | nil, err. Waits for the head of the answer of a transfer with a
 * window; `head` is name, NUL, value, NUL and so on, names in lower case. */
static int l_head(lua_State *L) {
  return wait_for(L, check_transfer(L), HEAD, head_k);
}

/* Pushes what waits and takes it. */
static int take(lua_State *L, transfer *x) {
  size_t n;
  const char *p = iz_transfer_peek(x->t, &n);
  lua_pushlstring(L, p, n);
  iz_transfer_take(x->t, n);
  return 1;
}

static int read_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  transfer *x = lua_touserdata(L, 1);
  size_t n = 0;
  int results;
  if (x->t) iz_transfer_peek(x->t, &n);
  if (n) return take(L, x);
  if (failed(L, x, &results)) return results;
  lua_pushnil(L);
  return 1;
}

/* t:read() -> bytes | nil at the end | nil, err. Waits until there are some. */
static int l_read(lua_State *L) {
  return wait_for(L, check_transfer(L), BYTES, read_k);
}

static int all_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  transfer *x = lua_touserdata(L, 1);
  int results;
  return failed(L, x, &results) ? results : push_head(L, x->t) + take(L, x);
}

/* t:all() -> status, head, url, body | nil, err. Waits for the end of a transfer without window. */
static int l_all(lua_State *L) {
  return wait_for(L, check_transfer(L), END, all_k);
}

/* t:redirect() -> where the answer redirects to, absolute | nil. */
static int l_redirect(lua_State *L) {
  transfer *x = check_transfer(L);
  const char *to = NULL;
  if (x->t && !iz_transfer_redirect(x->t, &to)) return luaL_error(L, "not enough memory");
  lua_pushstring(L, to);
  return 1;
}

/* ---- events ---- */

static int push_event(lua_State *L, const iz_sse *s) {
  iz_sse_event e = iz_sse_event_of(s);
  lua_createtable(L, 0, 4);
  lua_pushlstring(L, e.type_len ? e.type : "message", e.type_len ? e.type_len : 7);
  lua_setfield(L, -2, "event");
  lua_pushlstring(L, e.data, e.data_len);
  lua_setfield(L, -2, "data");
  lua_pushlstring(L, e.id, e.id_len);
  lua_setfield(L, -2, "id");
  if (e.retry_ms >= 0) {
    lua_pushnumber(L, (lua_Number)e.retry_ms / 1000);
    lua_setfield(L, -2, "retry");
  }
  return 1;
}

static int event_error(lua_State *L, enum iz_sse_result r) {
  iz_err err;
  if (r == IZ_SSE_OOM)
    iz_fail_oom(&err);
  else
    iz_fail(&err, "too_large", "an event of the stream is larger than the limit (max_event)");
  return iz_push_error(L, &err);
}

static int event_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  transfer *x = lua_touserdata(L, 1);
  for (;;) {
    size_t n = 0, used;
    int results;
    const char *p = x->t ? iz_transfer_peek(x->t, &n) : "";
    if (!n && failed(L, x, &results)) return results;
    if (!n && !iz_transfer_over(x->t, NULL)) return wait_for(L, x, BYTES, event_k);
    if (!n) {
      lua_pushnil(L);
      return 1;
    }
    enum iz_sse_result r = iz_sse_feed(&x->sse, p, n, &used);
    iz_transfer_take(x->t, used);
    if (r == IZ_SSE_EVENT) return push_event(L, &x->sse);
    if (r != IZ_SSE_MORE) return event_error(L, r);
  }
}

/* t:event(max) -> {event, data, id, retry} | nil at the end | nil, err. `max`: bytes an event may
 * have; the first call decides. */
static int l_event(lua_State *L) {
  transfer *x = check_transfer(L);
  lua_Integer max = luaL_checkinteger(L, 2);
  luaL_argcheck(L, max > 0, 2, "must be positive");
  lua_settop(L, 1);
  if (x->t && !x->has_sse) {
    iz_sse_init(&x->sse, (size_t)max);
    x->has_sse = true;
  }
  return event_k(L, LUA_OK, 0);
}

/* ---- pushing the body ---- */

static int send_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  transfer *x = lua_touserdata(L, 1);
  bool wanted = x->t && iz_transfer_wants(x->t);
  if (wanted) {
    size_t n;
    const char *p = lua_tolstring(L, 2, &n);
    iz_err err;
    if (!iz_transfer_push(x->t, p, n)) {
      iz_fail_oom(&err);
      return iz_push_error(L, &err);
    }
  }
  lua_pushboolean(L, wanted);
  return 1;
}

/* t:send(bytes) -> true; false when no more is wanted, since the transfer is over. Waits until the
 * piece can be taken. */
static int l_send(lua_State *L) {
  transfer *x = check_transfer(L);
  luaL_checkstring(L, 2);
  return wait_for(L, x, ROOM, send_k);
}

/* t:finish(): the body is complete. */
static int l_finish(lua_State *L) {
  transfer *x = check_transfer(L);
  if (x->t) iz_transfer_push_end(x->t);
  return 0;
}

/* ---- the end ---- */

static int l_close(lua_State *L) {
  transfer *x = luaL_checkudata(L, 1, TRANSFER);
  iz_wait *w = &x->wait;
  close_transfer(x);
  if (w->task) iz_wait_done(w); /* another task closed it: the waiting one gets "closed" */
  return 0;
}

/* size(value) -> bytes of a size such as "64MB". */
static int l_size(lua_State *L) {
  lua_pushinteger(L, iz_check_size(L, 1));
  return 1;
}

static int limit(lua_State *L, int arg, int other) {
  lua_Integer n = luaL_optinteger(L, arg, other);
  luaL_argcheck(L, n >= 1 && n <= 65535, arg, "connections, from 1 to 65535");
  return (int)n;
}

/* limits(per_host or nil, total or nil) -> per_host, total. Nil leaves as it is. */
static int l_limits(lua_State *L) {
  int per_host, total;
  iz_err err;
  iz_client *c = get_client(L, &err);
  if (!c) return iz_push_error(L, &err);
  iz_client_get_limits(c, &per_host, &total);
  per_host = limit(L, 1, per_host);
  total = limit(L, 2, total);
  iz_client_set_limits(c, per_host, total);
  lua_pushinteger(L, per_host);
  lua_pushinteger(L, total);
  return 2;
}

int iz_open_http_client(lua_State *L) {
  static const luaL_Reg methods[] = {{"head", l_head},         {"read", l_read},   {"all", l_all},
                                     {"redirect", l_redirect}, {"event", l_event}, {"send", l_send},
                                     {"finish", l_finish},     {"close", l_close}, {NULL, NULL}};
  static const luaL_Reg functions[] = {
      {"start", l_start}, {"size", l_size}, {"limits", l_limits}, {NULL, NULL}};
  if (luaL_newmetatable(L, TRANSFER)) {
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, l_close);
    lua_setfield(L, -2, "__close");
    lua_pushcfunction(L, l_close);
    lua_setfield(L, -2, "__gc");
  }
  lua_pop(L, 1);
  luaL_newlib(L, functions);
  return 1;
}
