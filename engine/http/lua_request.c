/* lua_request.c -- the request object: its fields, read when somebody asks for them.
 *
 * A request costs Lua one userdata. Strings and tables are made at first use and kept in the
 * object's own table, beside what middleware stores there; parameters are found by asking the
 * router again, which is cheaper than keeping them for handlers that have none.
 */
#include "http/lua_http.h"

#include "form.h"

#include <lauxlib.h>
#include <string.h>

#define CLASS "iza.http.request"

lreq *iz_check_request(lua_State *L, int arg, bool live) {
  lreq *r = luaL_checkudata(L, arg, CLASS);
  if (live && !r->req) luaL_error(L, "the request is over");
  return r;
}

void iz_push_request(lua_State *L, lworker *w) {
  lreq *r = lua_newuserdatauv(L, sizeof *r, 2);
  *r = (lreq){.server = w->server, .worker = w, .req = w->req};
  luaL_setmetatable(L, CLASS);
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, 1, 1); /* without memory its <close> may never run: the worker needs it */
  w->lua = r;
}

/* ---- fields ---- */

static void push_span(lua_State *L, const iz_http_head *h, iz_http_span s) {
  lua_pushlstring(L, iz_http_text(h, s), s.len);
}

/* Fields of the same name become one, as RFC 9110 5.3 allows; cookies have their own separator. */
static void push_headers(lua_State *L, lreq *r) {
  const iz_http_head *h = &r->req->head;
  lua_createtable(L, 0, h->field_count);
  for (int i = 0; i < h->field_count; i++) {
    push_span(L, h, h->fields[i].name);
    lua_pushvalue(L, -1);
    if (lua_rawget(L, -3) == LUA_TSTRING) {
      lua_pushstring(L, strcmp(lua_tostring(L, -2), "cookie") ? ", " : "; ");
      push_span(L, h, h->fields[i].value);
      lua_concat(L, 3);
    } else {
      lua_pop(L, 1);
      push_span(L, h, h->fields[i].value);
    }
    lua_rawset(L, -3);
  }
  luaL_setmetatable(L, CLASS ".headers");
}

/* headers["Content-Type"]: any case. */
static int headers_index(lua_State *L) {
  char name[128];
  size_t n;
  const char *key = lua_tolstring(L, 2, &n);
  if (!key || n >= sizeof name) return 0;
  for (size_t i = 0; i < n; i++)
    name[i] = (char)(key[i] >= 'A' && key[i] <= 'Z' ? key[i] | 0x20 : key[i]);
  lua_pushlstring(L, name, n);
  lua_rawget(L, 1);
  return 1;
}

static void push_params(lua_State *L, lreq *r) {
  iz_route route;
  const iz_http_head *h = &r->req->head;
  iz_router_find(r->server->router, h->method, iz_http_text(h, h->path), h->path.len, &route);
  lua_createtable(L, 0, route.param_count);
  for (int i = 0; i < route.param_count; i++) {
    lua_pushlstring(L, route.params[i].value, route.params[i].len);
    lua_setfield(L, -2, route.params[i].name);
  }
}

static void push_decoded(lua_State *L, const char *s, size_t n) {
  luaL_Buffer b;
  char *out = luaL_buffinitsize(L, &b, n);
  luaL_pushresultsize(&b, iz_http_decode(out, s, n, true));
}

/* parse_form(text, name?) -> {name = first value}; with a name: the list of its values. */
static int l_parse_form(lua_State *L) {
  size_t n, at = 0, wanted_len = 0;
  const char *s = luaL_checklstring(L, 1, &n), *wanted = luaL_optlstring(L, 2, NULL, &wanted_len);
  iz_form_pair p;
  lua_Integer count = 0;
  lua_settop(L, 2);
  lua_newtable(L);
  while (iz_form_next(s, n, &at, &p)) {
    push_decoded(L, p.name, p.name_len);
    if (wanted) {
      size_t len;
      const char *name = lua_tolstring(L, -1, &len);
      if (len == wanted_len && memcmp(name, wanted, len) == 0) {
        push_decoded(L, p.value, p.value_len);
        lua_rawseti(L, 3, ++count);
      }
    } else {
      lua_pushvalue(L, -1);
      if (lua_rawget(L, 3) == LUA_TNIL) {
        lua_pop(L, 1);
        push_decoded(L, p.value, p.value_len);
        lua_rawset(L, 3);
      }
    }
    lua_settop(L, 3);
  }
  return 1;
}

static void push_query(lua_State *L, lreq *r) {
  const iz_http_head *h = &r->req->head;
  lua_pushcfunction(L, l_parse_form);
  push_span(L, h, h->query);
  lua_call(L, 1, 1);
}

static void push_method(lua_State *L, lreq *r) {
  push_span(L, &r->req->head, r->req->head.method_name);
}
static void push_path(lua_State *L, lreq *r) {
  push_span(L, &r->req->head, r->req->head.path);
}
static void push_query_string(lua_State *L, lreq *r) {
  push_span(L, &r->req->head, r->req->head.query);
}
static void push_host(lua_State *L, lreq *r) {
  push_span(L, &r->req->head, r->req->head.host);
}
static void push_remote(lua_State *L, lreq *r) {
  char text[64];
  iz_http_peer(r->req, text, sizeof text);
  lua_pushstring(L, text);
}
static void push_id(lua_State *L, lreq *r) {
  char text[32];
  iz_http_id(r->req, text, sizeof text);
  lua_pushstring(L, text);
}

typedef struct field {
  const char *name;
  void (*push)(lua_State *L, lreq *r);
} field;

static const field fields[] = {
    {"method", push_method}, {"path", push_path},       {"params", push_params},
    {"query", push_query},   {"headers", push_headers}, {"host", push_host},
    {"remote", push_remote}, {"id", push_id},           {"query_string", push_query_string},
};

/* Pushes the object's own table, made when it has none yet. */
static void push_own(lua_State *L) {
  if (lua_getiuservalue(L, 1, 1) == LUA_TTABLE) return;
  lua_pop(L, 1);
  lua_createtable(L, 0, 4);
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, 1, 1);
}

/* Upvalue 1: the methods. */
static int request_index(lua_State *L) {
  lreq *r = lua_touserdata(L, 1);
  lua_settop(L, 2);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL) return 1;
  if (lua_getiuservalue(L, 1, 1) == LUA_TTABLE) {
    lua_pushvalue(L, 2);
    if (lua_rawget(L, -2) != LUA_TNIL) return 1;
  }
  const char *key = lua_tostring(L, 2);
  for (size_t i = 0; key && i < sizeof fields / sizeof *fields; i++) {
    if (strcmp(fields[i].name, key) != 0) continue;
    if (!r->req) return luaL_error(L, "the request is over: read %s before", key);
    lua_settop(L, 2);
    push_own(L);
    fields[i].push(L, r);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, -2);
    lua_rawset(L, 3);
    return 1;
  }
  return 0;
}

static int request_newindex(lua_State *L) {
  lua_settop(L, 3);
  push_own(L);
  lua_insert(L, 2);
  lua_rawset(L, 2);
  return 0;
}

/* ---- waiting ---- */

static void forget(iz_wait *w) {
  (void)w; /* news for nobody are no news */
}

int iz_request_wait(lua_State *L, lreq *r, lua_KFunction k, lua_KContext ctx) {
  if (r->wait.task) return luaL_error(L, "another task waits for this request already");
  r->wait = (iz_wait){.cancel = forget};
  return iz_await(L, &r->wait, k, ctx);
}

/* ---- the end ---- */

void iz_request_over(lreq *r) {
  iz_wait_done(&r->wait);
  iz_buf_free(&r->worker->text);
  r->worker->req = NULL;
  r->worker->lua = NULL;
  r->req = NULL;
}

void iz_request_release(iz_http_req *req) {
  if (iz_http_alive(req) && !req->status) iz_http_error(req, 500, "the handler was stopped");
  iz_http_release(req);
}

static int request_close(lua_State *L) {
  lreq *r = luaL_checkudata(L, 1, CLASS);
  iz_http_req *req = r->req;
  if (!req) return 0;
  iz_request_over(r);
  iz_request_release(req);
  return 0;
}

void iz_open_request_class(lua_State *L) {
  static const luaL_Reg meta[] = {
      {"__newindex", request_newindex}, {"__close", request_close}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"parse_form", l_parse_form}, {NULL, NULL}};
  luaL_newmetatable(L, CLASS);
  luaL_setfuncs(L, meta, 0);
  lua_newtable(L);
  lua_pushvalue(L, -1);
  lua_pushcclosure(L, request_index, 1);
  lua_setfield(L, -3, "__index");
  lua_setfield(L, -3, "methods");
  lua_pop(L, 1);
  luaL_newmetatable(L, CLASS ".headers");
  lua_pushcfunction(L, headers_index);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  luaL_setfuncs(L, functions, 0);
}
