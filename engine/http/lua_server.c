/* lua_server.c -- iza.core.http_server: servers for Lua; what to answer is
 * lua/iza/http/server.lua's.
 *
 * A request becomes a task of the server's scope that runs `run(handler, req)`, one Lua function
 * for all. The client's leaving cancels it. Routes that are unknown, and static files, never reach
 * Lua.
 */
#include "http/lua_http.h"

#include "base/alloc.h"
#include "base/log.h"
#include "http/tls.h"
#include "vm/field.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <string.h>
#include <unistd.h>

#define CLASS "iza.http.server"
#define MOUNT 1000000 /* handler numbers from here on are static mounts */

int iz_open_http_server(lua_State *L);

static lserver *check_server(lua_State *L) {
  return luaL_checkudata(L, 1, CLASS);
}

/* ---- requests ---- */

static void answer_options(iz_http_req *req, unsigned methods) {
  char allow[64];
  size_t n = iz_route_allow(methods, allow, sizeof allow);
  iz_http_header(req, "Allow", 5, allow, n);
  if (req->head.method == IZ_HTTP_OPTIONS)
    iz_http_respond(req, 204, NULL, 0);
  else
    iz_http_error(req, 405, "this path does not know the method");
  iz_http_release(req);
}

static void on_request(void *arg, iz_http_req *req) {
  lserver *s = arg;
  iz_route route;
  const iz_http_head *h = &req->head;
  const char *path = iz_http_text(h, h->path);
  if (iz_router_find(s->router, h->method, path, h->path.len, &route)) {
    if (route.handler < MOUNT)
      iz_worker_run(s, req, route.handler);
    else if (route.param_count)
      iz_static_serve(s->mounts[route.handler - MOUNT], req, route.params[0].value,
                      route.params[0].len);
    else
      iz_static_serve(s->mounts[route.handler - MOUNT], req, "", 0);
  } else if (route.methods || *path == '*') {
    answer_options(req, *path == '*' ? ~0u : route.methods);
  } else {
    iz_http_error(req, 404, "nothing is here");
    iz_http_release(req);
  }
}

static void on_stopped(void *arg) {
  lserver *s = arg;
  s->over = true;
  iz_waitlist_wake_all(&s->stopped);
}

/* ---- options ---- */

static void read_options(lua_State *L, iz_http_options *o) {
  iz_http_defaults(o);
  o->host = iz_field_text(L, 1, "host", o->host);
  o->hosts = iz_field_text(L, 1, "hosts", NULL);
  o->port = (uint16_t)iz_field_integer(L, 1, "port", 0, 65535, 0);
  o->reuse_port = iz_field_flag(L, 1, "reuse_port");
  int64_t head = iz_field_quantity(L, 1, "header", iz_check_size, o->head_max);
  if (head < 256 || head > IZ_HTTP_HEAD_CAP)
    luaL_error(L, "limits.header: 256 bytes to 48 KB are expected");
  o->head_max = (uint32_t)head;
  o->body_max = (uint64_t)iz_field_quantity(L, 1, "body", iz_check_size, (int64_t)o->body_max);
  o->conns_max = (uint32_t)iz_field_integer(L, 1, "connections", 1, 1000000, o->conns_max);
  o->head_ns = iz_field_quantity(L, 1, "header_time", iz_check_duration, o->head_ns);
  o->idle_ns = iz_field_quantity(L, 1, "idle", iz_check_duration, o->idle_ns);
  o->stall_ns = iz_field_quantity(L, 1, "stall", iz_check_duration, o->stall_ns);
  o->body_rate = (uint32_t)iz_field_quantity(L, 1, "body_rate", iz_check_size, o->body_rate);
  o->rate = iz_field_number(L, 1, "rate", 0);
  o->burst = iz_field_number(L, 1, "burst", 0);
}

/* ---- making one ---- */

/* patterns[i] leads to handlers[i]. */
static bool add_routes(lua_State *L, lserver *s, iz_err *err) {
  lua_getfield(L, 1, "patterns");
  bool ok = true;
  for (int i = 1; ok && lua_rawgeti(L, -1, i) == LUA_TSTRING; i++) {
    ok = iz_router_add(s->router, lua_tostring(L, -1), i - 1, err);
    lua_pop(L, 1);
  }
  lua_settop(L, 2);
  return ok;
}

/* A route to the last mount. One of the program's own at the same place wins. */
static bool add_mount_route(lserver *s, const char *pattern, iz_err *err) {
  if (iz_router_add(s->router, pattern, MOUNT + s->mount_count - 1, err)) return true;
  return strcmp(err->code, "exists") == 0;
}

static bool add_mount(lua_State *L, lserver *s, const char *prefix, const char *dir, iz_err *err) {
  size_t n = strlen(prefix);
  if (*prefix != '/') return iz_fail(err, "invalid", "static \"%s\" must begin with /", prefix);
  while (n > 0 && prefix[n - 1] == '/') n--;
  lua_pushlstring(L, prefix, n);
  const char *base = lua_tostring(L, -1);
  iz_static **mounts = iz_realloc(s->mounts, ((size_t)s->mount_count + 1) * sizeof(iz_static *));
  if (!mounts) return iz_fail_oom(err);
  s->mounts = mounts;
  mounts[s->mount_count] = iz_static_new(s->vm->loop, dir, err);
  if (!mounts[s->mount_count]) return false;
  s->mount_count++; /* from here on freed with the server */
  bool ok = add_mount_route(s, lua_pushfstring(L, "GET %s/*path", base), err) &&
            add_mount_route(s, lua_pushfstring(L, "GET %s/", base), err) &&
            (n == 0 || add_mount_route(s, lua_pushfstring(L, "GET %s", base), err));
  lua_pop(L, n ? 4 : 3);
  return ok;
}

static bool add_mounts(lua_State *L, lserver *s, iz_err *err) {
  bool ok = true;
  if (lua_getfield(L, 1, "static") == LUA_TTABLE) {
    for (lua_pushnil(L); ok && lua_next(L, 3); lua_pop(L, 1)) {
      if (lua_type(L, -2) != LUA_TSTRING || !lua_isstring(L, -1))
        luaL_error(L, "static: {[\"/prefix\"] = \"folder\"} is expected");
      ok = add_mount(L, s, lua_tostring(L, -2), lua_tostring(L, -1), err);
    }
  }
  lua_settop(L, 2);
  return ok;
}

/* access_log: true for standard output, or a file that is appended to. */
static bool open_access_log(lua_State *L, lserver *s, iz_err *err) {
  int type = lua_getfield(L, 1, "access_log");
  const char *path = type == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
  if (path)
    s->access_fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
  else if (lua_toboolean(L, -1))
    s->access_fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
  bool ok = s->access_fd >= 0 || !lua_toboolean(L, -1);
  if (!ok) iz_fail_errno(err, errno, "cannot open the access log %s", path ? path : "on stdout");
  lua_pop(L, 1);
  return ok;
}

static bool make_tls(lua_State *L, iz_http_options *o, iz_err *err) {
  const char *cert = iz_field_text(L, 1, "cert", NULL), *key = iz_field_text(L, 1, "key", NULL);
  if (!cert && !key) return true;
  if (!cert || !key) return iz_fail(err, "invalid", "tls needs both cert and key");
  o->tls = iz_tls_context_new(cert, key, err);
  return o->tls != NULL;
}

static bool start(lua_State *L, lserver *s, iz_http_options *o, iz_err *err) {
  s->router = iz_router_new();
  if (!s->router) return iz_fail_oom(err);
  if (!add_routes(L, s, err) || !add_mounts(L, s, err)) return false;
  if (!open_access_log(L, s, err) || !make_tls(L, o, err)) return false;
  o->access_fd = s->access_fd;
  o->arg = s;
  o->events = (iz_http_events){.request = on_request,
                               .readable = iz_worker_news,
                               .drained = iz_worker_news,
                               .gone = iz_worker_gone,
                               .stopped = on_stopped};
  s->http = iz_http_listen(s->vm->loop, o, err);
  if (!s->http) iz_tls_context_free(o->tls);
  return s->http != NULL;
}

/* listen(options) -> server, or nil and an error. Beside limits and addresses the options hold
 * `patterns`, `handlers` (of the same index) and `run`. */
static int l_listen(lua_State *L) {
  iz_http_options o;
  iz_err err = {0};
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  read_options(L, &o);
  lserver *s = lua_newuserdatauv(L, sizeof *s, 0);
  *s = (lserver){.vm = iz_vm_of(L), .access_fd = -1};
  s->self = s->run = s->handlers = LUA_NOREF;
  iz_scope_init(&s->scope, NULL);
  luaL_setmetatable(L, CLASS);
  lua_getfield(L, 1, "handlers");
  s->handlers = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_getfield(L, 1, "run");
  s->run = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_pushboolean(L, 0);
  s->self = luaL_ref(L, LUA_REGISTRYINDEX); /* the place, so that nothing fails once it listens */
  if (!start(L, s, &o, &err)) return iz_push_error(L, &err);
  s->vm->servers++;
  lua_pushvalue(L, 2);
  lua_rawseti(L, LUA_REGISTRYINDEX, s->self);
  return 1;
}

/* ---- the end ---- */

static void free_server(lua_State *L, lserver *s) {
  if (s->http) s->vm->servers--;
  if (s->keeper) s->keeper->over = NULL;
  s->keeper = NULL;
  iz_http_server_free(s->http);
  s->http = NULL;
  iz_router_free(s->router);
  s->router = NULL;
  for (int i = 0; i < s->mount_count; i++) iz_static_free(s->mounts[i]);
  iz_free(s->mounts);
  s->mounts = NULL;
  s->mount_count = 0;
  if (s->access_fd >= 0) close(s->access_fd);
  s->access_fd = -1;
  luaL_unref(L, LUA_REGISTRYINDEX, s->handlers);
  luaL_unref(L, LUA_REGISTRYINDEX, s->run);
  luaL_unref(L, LUA_REGISTRYINDEX, s->self);
  s->handlers = s->run = s->self = LUA_NOREF;
}

static int server_gc(lua_State *L) {
  free_server(L, check_server(L));
  return 0;
}

static int stop_step(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  lserver *s = check_server(L);
  iz_waitlist *list = NULL;
  if (!s->over)
    list = &s->stopped;
  else if (!iz_scope_is_empty(&s->scope))
    list = &s->scope.empty;
  if (!list) {
    free_server(L, s);
    return 0;
  }
  if (s->over) iz_scope_cancel(&s->scope);
  iz_waiter *w = &s->vm->current->wait;
  w->wait.ask = NULL;
  iz_waitlist_add(list, w);
  return iz_await(L, &w->wait, stop_step, 0);
}

/* stop(server, seconds to drain): returns when all is over. */
static int l_stop(lua_State *L) {
  lserver *s = check_server(L);
  int64_t drain = iz_check_duration(L, 2);
  lua_settop(L, 1);
  iz_await_check(L);
  if (s->http && !s->over) iz_http_stop(s->http, drain);
  return stop_step(L, LUA_OK, 0);
}

static void keeper_over(void *ctx) {
  lserver *s = ctx;
  s->keeper = NULL;
  if (!s->over) iz_http_stop(s->http, 0);
}

/* keep(server, task): when the task is over, so is the server. For a task that stops it itself and
 * may fail to, without memory. */
static int l_keep(lua_State *L) {
  lserver *s = check_server(L);
  iz_fiber *f = iz_check_fiber(L, 2);
  if (!s->http) return 0;
  f->over = keeper_over;
  f->over_ctx = s;
  s->keeper = f;
  return 0;
}

static int l_port(lua_State *L) {
  lserver *s = check_server(L);
  lua_pushinteger(L, s->http ? iz_http_port(s->http) : 0);
  return 1;
}

static int l_stats(lua_State *L) {
  lserver *s = check_server(L);
  iz_http_stats st = {0};
  if (s->http) iz_http_get_stats(s->http, &st);
  const struct {
    const char *name;
    uint64_t value;
  } rows[] = {
      {"connections", st.connections}, {"active", st.active},       {"accepted", st.accepted},
      {"requests", st.requests},       {"refused", st.refused},     {"limited", st.limited},
      {"bytes_in", st.bytes_in},       {"bytes_out", st.bytes_out},
  };
  lua_createtable(L, 0, 8);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    lua_pushinteger(L, (lua_Integer)rows[i].value);
    lua_setfield(L, -2, rows[i].name);
  }
  return 1;
}

/* report(err) -> the whole report, as a script would show it. */
static int l_report(lua_State *L) {
  luaL_checkany(L, 1);
  iz_error_report(L, 1);
  return 1;
}

/* log(text): an error of the operator's concern. */
static int l_log(lua_State *L) {
  iz_log(IZ_ERROR, "http", "%s", luaL_checkstring(L, 1));
  return 0;
}

int iz_open_http_server(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"listen", l_listen}, {"stop", l_stop},        {"port", l_port},
      {"stats", l_stats},   {"keep", l_keep},        {"report", l_report},
      {"log", l_log},       {"wrap", iz_error_wrap}, {NULL, NULL}};
  luaL_newmetatable(L, CLASS);
  lua_pushcfunction(L, server_gc);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
  luaL_newlib(L, functions);
  iz_open_worker(L);
  iz_open_request_class(L);
  iz_open_body(L);
  iz_open_answer(L);
  return 1;
}
