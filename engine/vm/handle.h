/* handle.h -- objects of the main state as code in an isolate sees them.
 *
 * A handle is a number behind a metatable. Reading a field copies it; methods, calling the handle
 * (an iterator) and <close> work as on the object, in the main state. Functions that a call
 * returned are handles too. What a run was given by its calls is its own: when the run ends, the
 * objects it left open are closed as <close> would, latest first. A result of the run goes to its
 * caller open.
 */
#ifndef IZ_HANDLE_H
#define IZ_HANDLE_H

#include "vm/bridge.h"

/* Registers the metatables in a new isolate. Raises on memory. */
void iz_handle_open(lua_State *I);

/* Copy rules inwards: `lend` for arguments of a run, which stay the caller's; `give` for results of
 * a call, which become the running run's. */
iz_copy_rules iz_handle_lend(iz_isolate *iso);
iz_copy_rules iz_handle_give(iz_isolate *iso);
/* Copy rules outwards: handles become objects again; `leave` also takes them from their run. */
iz_copy_rules iz_handle_resolve(iz_isolate *iso, bool leave);

/* The run (a fiber that was spawned with `crossing`) is over: closes what it owns, in a task of the
 * main state. */
void iz_handle_run_over(iz_isolate *iso, iz_fiber *run);

#endif
