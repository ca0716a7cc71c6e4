/* bridge.h -- the way from an isolate into the main state.
 *
 * A stub stands for a function of the main state ("http.get"); indexing it gives a longer stub,
 * calling it runs the isolate's bridge function there, in a task that lives in the caller's scope.
 * handle.h has the objects such calls return.
 */
#ifndef IZ_BRIDGE_H
#define IZ_BRIDGE_H

#include "vm/copy.h"
#include "vm/vm.h"

#include <lauxlib.h>

/* An isolate is a userdata of the main state. */
typedef struct iz_isolate {
  iz_vm *vm, *home;
  iz_defer closing; /* one that runs a single call closes itself afterwards */
  bool once;
  lua_Integer last_handle;
} iz_isolate;

/* Its user values: the function that stubs call, the one that closes a run's objects, its handles
 * (number -> object), and the handles each run owns (fiber -> set of numbers). */
enum { IZ_BRIDGE_FUNCTION = 1, IZ_BRIDGE_CLOSER, IZ_BRIDGE_HANDLES, IZ_BRIDGE_OWNED };
#define IZ_BRIDGE_VALUES IZ_BRIDGE_OWNED

/* In the isolate: the global `iza`, its native modules and the metatables. Raises on memory. */
void iz_bridge_open(lua_State *I);
/* In the main state: makes the isolate's userdata (index) findable from its pointer. */
void iz_bridge_remember(lua_State *L, iz_isolate *iso, int index);
/* Keeps the userdata from the collector while fibers run in the isolate, or lets it go. */
void iz_bridge_anchor(iz_isolate *iso, bool hold);
/* Pushes the isolate's userdata in the main state; nil once it is collected. Allocates nothing. */
void iz_bridge_push_isolate(lua_State *L, iz_isolate *iso);
/* The isolate whose state this is. */
iz_isolate *iz_bridge_isolate(lua_State *I);
/* Registers a metatable that code in the isolate cannot reach. */
void iz_bridge_class(lua_State *I, const char *name, const luaL_Reg *methods);

/* Runs fn in the other state `to` as a protected call of its own, with `ctx` (light userdata) and
 * copies of the n values on top of `from` as arguments; `results` of them stay on `to`'s stack. On
 * failure err is filled, with `code` when fn raised, and nothing stays. */
bool iz_bridge_enter(lua_State *from, lua_State *to, lua_CFunction fn, void *ctx, int n,
                     int results, const iz_copy_rules *rules, const char *code, iz_err *err);
/* Pushes on L what a fiber of another state left (its results), or raises its error; unpins it. */
int iz_bridge_take(lua_State *L, iz_fiber *f, const iz_copy_rules *rules);

/* A call into the main state. `push` pushes there the function, and what comes before the
 * arguments. */
typedef struct iz_bridge_call {
  void (*push)(lua_State *H, const struct iz_bridge_call *c);
  const char *path;   /* of a stub; the name of a method */
  lua_Integer handle; /* whose object is meant */
  iz_isolate *iso;    /* from here on: the bridge's own */
  iz_scope *scope;
  iz_fiber *fiber;
} iz_bridge_call;

/* Ends a C function of the isolate (`return iz_bridge_cross(...)`): calls with the n values on top
 * of the stack, waits, and returns the results. */
int iz_bridge_cross(lua_State *I, iz_bridge_call *c, int n);

#endif
