/* handle.c -- see handle.h.
 *
 * The objects stand in a table of the main state (number -> object); the isolate knows the number
 * alone. Whatever may raise in the main state runs there as a protected call of its own.
 */
#include "vm/handle.h"

#include <lauxlib.h>

#define HANDLE "iza.handle"
#define METHOD "iza.method"

typedef struct handle {
  lua_Integer id;
  const void *run; /* whose it is; NULL: the caller's. Only compared: the run may be gone */
} handle;

/* ---- the tables in the main state ---- */

/* Replaces the isolate's userdata on top of H by one of its user values. */
static void push_value(lua_State *H, iz_isolate *iso, int which) {
  iz_bridge_push_isolate(H, iso);
  lua_getiuservalue(H, -1, which);
  lua_remove(H, -2);
}

typedef struct keeping {
  iz_isolate *iso;
  const void *run;
  lua_Integer id;
} keeping;

/* Protected in the main state. Stack: keeping, object. */
static int keep_object(lua_State *H) {
  keeping *k = lua_touserdata(H, 1);
  push_value(H, k->iso, IZ_BRIDGE_HANDLES);
  k->id = ++k->iso->last_handle;
  if (k->run) {
    push_value(H, k->iso, IZ_BRIDGE_OWNED);
    if (lua_rawgetp(H, -1, k->run) == LUA_TNIL) {
      lua_pop(H, 1);
      lua_createtable(H, 0, 1);
      lua_pushvalue(H, -1);
      lua_rawsetp(H, -3, k->run);
    }
    lua_pushboolean(H, 1);
    lua_rawseti(H, -2, k->id);
    lua_pop(H, 2);
  }
  lua_pushvalue(H, 2);
  lua_rawseti(H, -2, k->id);
  return 0;
}

/* Pushes the object; nil when there is none any more. Allocates nothing. */
static void push_object(lua_State *H, iz_isolate *iso, lua_Integer id) {
  push_value(H, iso, IZ_BRIDGE_HANDLES);
  lua_rawgeti(H, -1, id);
  lua_remove(H, -2);
}

/* Takes the handle from its run. Allocates nothing: only existing keys become nil. */
static void disown(lua_State *H, iz_isolate *iso, const handle *h) {
  push_value(H, iso, IZ_BRIDGE_OWNED);
  if (h->run && lua_rawgetp(H, -1, h->run) == LUA_TTABLE) {
    lua_pushnil(H);
    lua_rawseti(H, -2, h->id);
  }
  lua_pop(H, h->run ? 2 : 1);
}

/* ---- copying ---- */

/* Raises on `to` when memory runs out in either state; then nothing is kept. */
static bool make_handle(iz_isolate *iso, const void *run, lua_State *from, lua_State *to) {
  keeping k = {.iso = iso, .run = run};
  handle *h = lua_newuserdatauv(to, sizeof *h, 0);
  if (!lua_checkstack(from, 4)) return luaL_error(to, "not enough memory");
  lua_pushcfunction(from, keep_object);
  lua_pushlightuserdata(from, &k);
  lua_pushvalue(from, -3);
  if (lua_pcall(from, 2, 0, 0) != LUA_OK) {
    lua_pop(from, 1);
    return luaL_error(to, "not enough memory");
  }
  *h = (handle){k.id, run};
  luaL_setmetatable(to, HANDLE);
  return true;
}

static bool lend(void *ctx, lua_State *from, lua_State *to) {
  return !lua_isfunction(from, -1) && make_handle(ctx, NULL, from, to);
}

/* The run of the running fiber: the nearest one around it that another state waits for. */
static iz_fiber *run_of(iz_fiber *f) {
  while (f && !f->crossing) f = iz_fiber_parent(f);
  return f;
}

static bool give(void *ctx, lua_State *from, lua_State *to) {
  iz_isolate *iso = ctx;
  return make_handle(iso, run_of(iso->vm->current), from, to);
}

static bool resolve(void *ctx, lua_State *from, lua_State *to) {
  handle *h = luaL_testudata(from, -1, HANDLE);
  if (!h) return false;
  push_object(to, ctx, h->id);
  return true;
}

static bool leave(void *ctx, lua_State *from, lua_State *to) {
  if (!resolve(ctx, from, to)) return false;
  disown(to, ctx, lua_touserdata(from, -1));
  return true;
}

iz_copy_rules iz_handle_lend(iz_isolate *iso) {
  return (iz_copy_rules){.foreign = lend, .ctx = iso};
}

iz_copy_rules iz_handle_give(iz_isolate *iso) {
  return (iz_copy_rules){.foreign = give, .ctx = iso};
}

iz_copy_rules iz_handle_resolve(iz_isolate *iso, bool leaves) {
  return (iz_copy_rules){.foreign = leaves ? leave : resolve, .ctx = iso};
}

/* ---- the end of a run ---- */

typedef struct ending {
  iz_isolate *iso;
  iz_fiber *run;
} ending;

/* Moves the objects that can be closed from the handles into the table at `into`. */
static void take_objects(lua_State *H, iz_isolate *iso, int ids, int into) {
  push_value(H, iso, IZ_BRIDGE_HANDLES);
  int handles = lua_gettop(H);
  for (lua_pushnil(H); lua_next(H, ids); lua_pop(H, 1)) {
    lua_Integer id = lua_tointeger(H, -2);
    lua_rawgeti(H, handles, id);
    if (luaL_getmetafield(H, -1, "__close") != LUA_TNIL) {
      lua_pop(H, 1);
      lua_rawseti(H, into, id);
    } else {
      lua_pop(H, 1);
    }
    lua_pushnil(H);
    lua_rawseti(H, handles, id);
  }
  lua_pop(H, 1);
}

/* Protected in the main state. Stack: ending. Spawns closer({number = object}, failed). */
static int close_owned(lua_State *H) {
  ending *e = lua_touserdata(H, 1);
  push_value(H, e->iso, IZ_BRIDGE_OWNED);
  if (lua_rawgetp(H, 2, e->run) != LUA_TTABLE) return 0;
  lua_pushnil(H);
  lua_rawsetp(H, 2, e->run);
  push_value(H, e->iso, IZ_BRIDGE_CLOSER);
  lua_createtable(H, 0, 1);
  take_objects(H, e->iso, 3, 5);
  lua_pushnil(H);
  if (!lua_next(H, 5)) return 0;
  lua_settop(H, 5);
  lua_pushboolean(H, e->run->failed);
  iz_fiber_spawn(H, 2, &e->iso->home->root, 0);
  return 0;
}

void iz_handle_run_over(iz_isolate *iso, iz_fiber *run) {
  lua_State *H = iso->home->L;
  ending e = {iso, run};
  if (!lua_checkstack(H, 4)) return;
  lua_pushcfunction(H, close_owned);
  lua_pushlightuserdata(H, &e);
  if (lua_pcall(H, 1, 0, 0) != LUA_OK) lua_pop(H, 1); /* no memory: the collector closes them */
}

/* ---- use ---- */

/* Pushes the object of a handle in use. Raises when it is closed. */
static void push_living(lua_State *H, iz_isolate *iso, lua_Integer id) {
  push_object(H, iso, id);
  if (lua_isnil(H, -1)) luaL_error(H, "the object was closed when the run that opened it ended");
}

static void push_method(lua_State *H, const iz_bridge_call *c) {
  push_living(H, c->iso, c->handle);
  lua_getfield(H, -1, c->path);
  lua_remove(H, -2);
}

static void push_itself(lua_State *H, const iz_bridge_call *c) {
  push_living(H, c->iso, c->handle);
}

static int nothing(lua_State *H) {
  (void)H;
  return 0;
}

/* The object's __close and the object; an object that has none needs no closing. */
static void push_closing(lua_State *H, const iz_bridge_call *c) {
  push_object(H, c->iso, c->handle);
  if (luaL_getmetafield(H, -1, "__close") == LUA_TNIL) lua_pushcfunction(H, nothing);
  lua_insert(H, -2);
}

/* Stack: method, args... The object itself must be the first of them: a function of its class that
 * takes something else (a constructor) is no method. */
static int method_call(lua_State *I) {
  handle *h = luaL_checkudata(I, 1, METHOD);
  const handle *self = luaL_testudata(I, 2, HANDLE);
  int n = lua_gettop(I) - 1;
  if (!self || self->id != h->id)
    return luaL_error(I, "methods are called with a colon, on their own object");
  lua_getiuservalue(I, 1, 1);
  iz_bridge_call c = {.push = push_method, .path = lua_tostring(I, -1), .handle = h->id};
  lua_insert(I, 1); /* the name stays anchored below */
  return iz_bridge_cross(I, &c, n);
}

/* Stack: handle, args... */
static int handle_call(lua_State *I) {
  handle *h = luaL_checkudata(I, 1, HANDLE);
  iz_bridge_call c = {.push = push_itself, .handle = h->id};
  return iz_bridge_cross(I, &c, lua_gettop(I) - 1);
}

/* Stack: handle, error or nil. The error crosses as its text: whether there is one is what counts.
 */
static int handle_close(lua_State *I) {
  handle *h = luaL_checkudata(I, 1, HANDLE);
  iz_bridge_call c = {.push = push_closing, .handle = h->id};
  lua_settop(I, 2);
  if (!lua_isnil(I, 2)) luaL_tolstring(I, 2, NULL);
  return iz_bridge_cross(I, &c, 1);
}

typedef struct reading {
  iz_isolate *iso;
  lua_Integer id;
  bool is_function;
} reading;

/* Protected in the main state. Stack: reading, key. */
static int read_field(lua_State *H) {
  reading *r = lua_touserdata(H, 1);
  push_living(H, r->iso, r->id);
  lua_pushvalue(H, 2);
  lua_gettable(H, -2);
  r->is_function = lua_isfunction(H, -1);
  return 1;
}

/* Stack: handle, name. */
static int push_method_stub(lua_State *I, lua_Integer id) {
  luaL_checkstring(I, 2);
  handle *m = lua_newuserdatauv(I, sizeof *m, 1);
  *m = (handle){id, NULL};
  lua_pushvalue(I, 2);
  lua_setiuservalue(I, -2, 1);
  luaL_setmetatable(I, METHOD);
  return 1;
}

static int handle_index(lua_State *I) {
  handle *h = luaL_checkudata(I, 1, HANDLE);
  iz_isolate *iso = iz_bridge_isolate(I);
  lua_State *H = iso->home->L;
  reading r = {.iso = iso, .id = h->id};
  iz_err err;
  lua_settop(I, 2);
  const char *name = lua_type(I, 2) == LUA_TSTRING ? lua_tostring(I, 2) : "";
  if (name[0] == '_') return 0; /* the object's own affair */
  if (!iz_bridge_enter(I, H, read_field, &r, 1, 1, NULL, "bridge", &err)) return iz_raise(I, &err);
  if (r.is_function) {
    lua_pop(H, 1);
    return push_method_stub(I, h->id);
  }
  iz_copy_rules rules = iz_handle_lend(iso);
  bool ok = iz_copy(H, I, 1, &rules, &err);
  lua_pop(H, 1);
  return ok ? 1 : iz_raise(I, &err);
}

static int handle_gc(lua_State *I) {
  handle *h = luaL_checkudata(I, 1, HANDLE);
  iz_isolate *iso = iz_bridge_isolate(I);
  lua_State *H = iso->home->L;
  iz_bridge_push_isolate(H, iso);
  bool living = lua_isuserdata(H, -1);
  lua_pop(H, 1);
  if (!living) return 0;
  push_value(H, iso, IZ_BRIDGE_HANDLES);
  lua_pushnil(H);
  lua_rawseti(H, -2, h->id); /* the key exists: nothing is allocated */
  lua_pop(H, 1);
  disown(H, iso, h);
  return 0;
}

void iz_handle_open(lua_State *I) {
  static const luaL_Reg of_handle[] = {{"__index", handle_index},
                                       {"__call", handle_call},
                                       {"__close", handle_close},
                                       {"__gc", handle_gc},
                                       {NULL, NULL}};
  static const luaL_Reg of_method[] = {{"__call", method_call}, {NULL, NULL}};
  iz_bridge_class(I, HANDLE, of_handle);
  iz_bridge_class(I, METHOD, of_method);
}
