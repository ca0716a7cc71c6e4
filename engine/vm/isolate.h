/* isolate.h -- isolates: Lua states of their own on the same loop.
 *
 * An isolate has a memory limit, a CPU budget between waits and the sandbox as its world. Programs
 * (snapshots: a source and the modules it may require) are compiled once and run afresh for each
 * call. Native inside are the scheduler, json, time, url and template; every other field of `iza`
 * is a stub that calls the isolate's bridge, a function of the main state, in a main-state task
 * that lives in the caller's scope. Only data crosses, by structured copy; objects of the main
 * state cross as handles.
 */
#ifndef IZ_ISOLATE_H
#define IZ_ISOLATE_H

#include "vm/vm.h"

/* Lua: iza.core.isolate (lua/iza/isolate.lua documents it):
 *   new{memory=, cpu=, bridge=, closer=, once=} -> isolate
 *     bridge(path, ...) runs what stubs call; closer(objects, failed) closes what a run left open;
 *     once: the state comes from those kept ready and ends after its first call
 *   isolate:load(source, name, modules?) -> program | nil, err
 *   isolate:call(program, entry?, ...) -> results     waits; raises what the program raised
 *   isolate:stats() -> {memory=, running=}      isolate:close() */
int iz_open_isolate(lua_State *L);

#endif
