/* sandbox.h -- what code in an isolate sees.
 *
 * Its globals are a short list of safe functions (no io, debug, package, dofile; no finalisers;
 * only text chunks) and frozen libraries. Each run of a program gets an environment of its own on
 * top: undefined names raise, globals cannot be assigned, `require` finds only the modules of the
 * program's snapshot and those native to every isolate.
 */
#ifndef IZ_SANDBOX_H
#define IZ_SANDBOX_H

#include "vm/vm.h"

/* Fills the globals of a fresh state. Raises on memory. */
void iz_sandbox_open(lua_State *L);
/* Freezes the table on top: replaces it by a read-only view. */
void iz_sandbox_freeze(lua_State *L);
/* Compiles text as a program: pushes a function of an environment that runs it afresh at each call.
 * Syntax errors raise with the text's own lines. `name` is its chunk name ("@file"). */
void iz_sandbox_compile(lua_State *L, const char *text, size_t n, const char *name);
/* Pushes a new environment; the table at `modules` maps module names to compiled programs. */
void iz_sandbox_env(lua_State *L, int modules);

/* sandbox_string.c, sandbox_table.c: find, match, gmatch, gsub, rep and move, insert, remove, sort,
 * concat, unpack with bounded work between two looks at the guard; they replace the stock ones in
 * the library table on top of the stack. */
void iz_sandbox_bound_string(lua_State *L);
void iz_sandbox_bound_table(lua_State *L);

#endif
