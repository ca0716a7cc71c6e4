/* lua_worker.c -- the tasks that run handlers.
 *
 * A worker calls `run(handler, req)`, one Lua function for all requests, and then waits for the
 * next request instead of ending: making a task costs more than a small handler. Only a task that
 * is as good as new goes on: it was not cancelled (the client left), has no living children and no
 * failure to report. The client's leaving cancels the worker.
 */
#include "http/lua_http.h"

#include <lauxlib.h>

#define CLASS "iza.http.worker"

enum { IDLE_MAX = 64 };

/* ---- the idle ---- */

static void leave_idle(lworker *w) {
  *(w->prev ? &w->prev->next : &w->server->idle) = w->next;
  if (w->next) w->next->prev = w->prev;
  w->idle = false;
  w->server->idle_count--;
}

static void join_idle(lworker *w) {
  lserver *s = w->server;
  w->prev = NULL;
  w->next = s->idle;
  if (w->next) w->next->prev = w;
  s->idle = w;
  s->idle_count++;
  w->idle = true;
}

static void cancel_idle(iz_wait *wait) {
  lworker *w = IZ_OUTER(wait, lworker, wait);
  if (w->idle) leave_idle(w);
}

/* ---- the body ---- */

static bool as_new(const lworker *w) {
  const iz_task *t = &w->fiber->task;
  return !(t->flags & IZ_TASK_CANCELLED) && !t->own.failure && iz_scope_is_empty(&t->own) &&
         !w->fiber->limit && w->server->idle_count < IDLE_MAX && !w->server->over;
}

enum { GOT_REQUEST, RAN };

/* Stack: worker. */
static int work(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  lworker *w = lua_touserdata(L, 1);
  for (;;) {
    lua_settop(L, 1);
    if (ctx == RAN) {
      if (!as_new(w)) return 0;
      lua_pushnil(L);
      lua_setiuservalue(L, 1, 1);
      join_idle(w);
      w->wait = (iz_wait){.cancel = cancel_idle};
      return iz_await(L, &w->wait, work, GOT_REQUEST);
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, w->server->run);
    lua_rawgeti(L, LUA_REGISTRYINDEX, w->server->handlers);
    lua_rawgeti(L, -1, w->handler + 1);
    lua_remove(L, -2);
    iz_push_request(L, w);
    lua_callk(L, 2, 0, RAN, work);
    ctx = RAN;
  }
}

static int work_first(lua_State *L) {
  return work(L, LUA_OK, GOT_REQUEST);
}

/* ---- giving requests ---- */

/* The request in its hands, which nobody answers any more. */
static iz_http_req *let_go(lworker *w) {
  iz_http_req *req = w->req;
  if (w->lua) iz_request_over(w->lua);
  iz_buf_free(&w->text);
  w->req = NULL;
  return req;
}

static void unanchor(lworker *w) {
  lua_State *L = w->server->vm->L;
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, w);
}

/* Without memory a task may end before it or its <close> could do anything about the request. */
static void worker_over(void *ctx) {
  lworker *w = ctx;
  iz_http_req *req = let_go(w);
  unanchor(w);
  if (req) iz_request_release(req);
}

/* Only a state that closes collects one with a request. */
static int worker_gc(lua_State *L) {
  iz_http_req *req = let_go(luaL_checkudata(L, 1, CLASS));
  if (req) iz_http_release(req);
  return 0;
}

typedef struct arrival {
  lserver *server;
  iz_http_req *req;
  lworker *worker; /* anchored */
  int handler;
} arrival;

static int new_worker(lua_State *L) {
  arrival *a = lua_touserdata(L, 1);
  lua_pushcfunction(L, work_first);
  lworker *w = lua_newuserdatauv(L, sizeof *w, 1);
  *w = (lworker){.server = a->server, .handler = a->handler};
  luaL_setmetatable(L, CLASS);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, w);
  a->worker = w;
  w->fiber = iz_fiber_spawn(L, 1, &a->server->scope, 0);
  w->fiber->over = worker_over;
  w->fiber->over_ctx = w;
  w->req = a->req;
  w->req->user = w;
  return 0;
}

void iz_worker_run(lserver *s, iz_http_req *req, int handler) {
  lworker *w = s->idle;
  if (w) {
    leave_idle(w);
    w->handler = handler;
    w->req = req;
    req->user = w;
    iz_wait_done(&w->wait);
    return;
  }
  lua_State *L = s->vm->L;
  arrival a = {.server = s, .req = req, .handler = handler};
  lua_pushcfunction(L, new_worker);
  lua_pushlightuserdata(L, &a);
  if (lua_pcall(L, 1, 0, 0) == LUA_OK) return;
  lua_pop(L, 1); /* no memory for a task */
  if (a.worker) unanchor(a.worker);
  iz_http_error(req, 503, "out of memory");
  iz_http_release(req);
}

void iz_worker_news(iz_http_req *req) {
  lworker *w = req->user;
  if (w->lua) iz_wait_done(&w->lua->wait);
}

void iz_worker_gone(iz_http_req *req) {
  lworker *w = req->user;
  if (w->lua) iz_wait_done(&w->lua->wait);
  iz_task_cancel(&w->fiber->task);
}

void iz_open_worker(lua_State *L) {
  luaL_newmetatable(L, CLASS);
  lua_pushcfunction(L, worker_gc);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
}
