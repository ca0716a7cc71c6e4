/* bridge.h -- the way from an isolate into the main state: stubs and handles.
 *
 * A stub stands for a function of the main state ("http.get"); indexing it gives a longer stub,
 * calling it runs the isolate's bridge function there. A handle stands for an object of the main
 * state; it is a number behind a metatable. Reading a field copies it, a method is a stub.
 */
#ifndef IZ_BRIDGE_H
#define IZ_BRIDGE_H

#include "vm/copy.h"
#include "vm/vm.h"

typedef struct iz_isolate {
  iz_vm *vm, *home;
  lua_Integer last_handle;
} iz_isolate;

/* In the isolate: the global `iza`, its native modules and the metatables. Raises on memory. */
void iz_bridge_open(lua_State *I);
/* In the main state: makes the isolate's userdata (index) findable from its pointer. */
void iz_bridge_remember(lua_State *L, iz_isolate *iso, int index);
/* Keeps the userdata from the collector while fibers run in the isolate, or lets it go. */
void iz_bridge_anchor(iz_isolate *iso, bool hold);

/* Copy rules: objects become handles inwards, handles become objects again outwards. */
iz_copy_rules iz_bridge_inward(iz_isolate *iso);
iz_copy_rules iz_bridge_outward(iz_isolate *iso);

/* Runs fn in the other state `to` as a protected call of its own, with `ctx` (light userdata) and
 * copies of the n values on top of `from` as arguments; `results` of them stay on `to`'s stack. On
 * failure err is filled, with `code` when fn raised, and nothing stays. */
bool iz_bridge_enter(lua_State *from, lua_State *to, lua_CFunction fn, void *ctx, int n,
                     int results, const iz_copy_rules *rules, const char *code, iz_err *err);
/* Pushes on L what a fiber of another state left (its results), or raises its error; unpins it. */
int iz_bridge_take(lua_State *L, iz_fiber *f, const iz_copy_rules *rules);

#endif
