/* lua_fs_watch.c -- watching files from Lua: events wait in a queue until they are asked for.
 *
 * The queue is bytes: for each change its kind, its path and where it came from, each with a NUL. A
 * reader that stays away makes it a single "rescan" once it is full.
 */
#include "base/alloc.h"
#include "base/buf.h"
#include "lua_class.h"
#include "lua_fs.h"
#include "vm/await.h"
#include "watch.h"

#include <lauxlib.h>
#include <string.h>

#define TYPE "watch"
#define MOST_QUEUED (1024 * 1024)

typedef struct watcher {
  iz_watch *watch; /* NULL: closed */
  iz_buf queue;
  size_t off;  /* bytes of queue already taken */
  bool rescan; /* events were dropped */
  bool ready;
  iz_err err; /* why it failed; err.code is empty when it did not */
  iz_waitlist waiters;
} watcher;

static void on_change(void *ctx, const iz_change *c) {
  watcher *w = ctx;
  const char *from = c->from ? c->from : "";
  bool fits = c->kind != IZ_RESCAN && !w->rescan && w->queue.len < MOST_QUEUED;
  if (fits)
    fits = iz_buf_addc(&w->queue, (char)c->kind) &&
           iz_buf_add(&w->queue, c->path, strlen(c->path) + 1) &&
           iz_buf_add(&w->queue, from, strlen(from) + 1);
  if (!fits) {
    iz_buf_clear(&w->queue);
    w->off = 0;
    w->rescan = true;
  }
  iz_waitlist_wake_all(&w->waiters);
}

static void on_ready(void *ctx, const iz_err *err) {
  watcher *w = ctx;
  w->ready = true;
  if (err) w->err = *err;
  iz_waitlist_wake_all(&w->waiters);
}

static void close_watch(watcher *w) {
  iz_watch_stop(w->watch);
  w->watch = NULL;
  iz_buf_free(&w->queue);
  w->off = 0;
  iz_waitlist_wake_all(&w->waiters);
}

/* ---- opening ---- */

/* Stack: path, watch. */
static int open_over(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  watcher *w = (watcher *)ctx;
  if (!w->ready) return iz_await_list(L, &w->waiters, open_over, ctx);
  if (w->err.code[0]) {
    close_watch(w);
    return iz_push_error(L, &w->err);
  }
  lua_pushvalue(L, 2);
  return 1;
}

/* watch(path, recursive, quiet|nil) -> watch; nil, err */
static int l_watch(lua_State *L) {
  iz_watch_opts o = {.path = iz_check_path(L, 1), .recursive = lua_toboolean(L, 2)};
  if (!lua_isnoneornil(L, 3)) o.quiet_ns = iz_check_duration(L, 3);
  iz_await_check(L);
  lua_settop(L, 1);
  watcher *w = lua_newuserdatauv(L, sizeof *w, 0);
  memset(w, 0, sizeof *w);
  luaL_setmetatable(L, TYPE);
  o.on_change = on_change;
  o.on_ready = on_ready;
  o.ctx = w;
  w->watch = iz_watch_start(iz_lua_loop(L), &o, &w->err);
  if (!w->watch) return iz_push_error(L, &w->err);
  return open_over(L, LUA_OK, (lua_KContext)w);
}

/* ---- events ---- */

static const char *next_text(watcher *w) {
  const char *s = w->queue.data + w->off;
  w->off += strlen(s) + 1;
  return s;
}

static void set_text(lua_State *L, const char *key, const char *value) {
  lua_pushstring(L, value);
  lua_setfield(L, -2, key);
}

static int push_event(lua_State *L, watcher *w) {
  lua_createtable(L, 0, 3);
  if (w->off >= w->queue.len) {
    w->rescan = false;
    set_text(L, "kind", iz_change_name(IZ_RESCAN));
    return 1;
  }
  set_text(L, "kind", iz_change_name((iz_change_kind)w->queue.data[w->off++]));
  set_text(L, "path", next_text(w));
  const char *from = next_text(w);
  if (*from) set_text(L, "from", from);
  if (w->off < w->queue.len) return 1;
  w->off = 0;
  iz_buf_clear(&w->queue);
  return 1;
}

static int next_over(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  watcher *w = (watcher *)ctx;
  if (!w->watch) return 0;
  if (w->queue.len || w->rescan) return push_event(L, w);
  return iz_await_list(L, &w->waiters, next_over, ctx);
}

/* next(watch) -> event; nil once it is closed */
static int l_next(lua_State *L) {
  watcher *w = luaL_checkudata(L, 1, TYPE);
  return next_over(L, LUA_OK, (lua_KContext)w);
}

static int l_close(lua_State *L) {
  close_watch(luaL_checkudata(L, 1, TYPE));
  return 0;
}

void iz_fs_add_watch(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"watch", l_watch}, {"watch_next", l_next}, {"watch_close", l_close}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
  iz_class_add(L, &(iz_class){.type = TYPE,
                              .methods = "watch_methods",
                              .gc = l_close,
                              .close = l_close,
                              .call = l_next});
}
