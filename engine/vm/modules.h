/* modules.h -- which modules there are and where `require` finds them. */
#ifndef IZ_MODULES_H
#define IZ_MODULES_H

#include "vm/vm.h"

/* Opens the standard libraries, our coroutine/pcall/require and the global `iza` in a main state.
 * Raises on memory. */
void iz_modules_open(lua_State *L);
/* Puts a folder at the front of package.path and package.cpath. */
void iz_modules_add_dir(lua_State *L, const char *dir);
/* Puts the tree of a project's own rocks, root/rocks, there. */
void iz_modules_add_rocks(lua_State *L, const char *root);
/* Prefers the files under dir/lua to the embedded ones (a checkout: `develop = true`). */
void iz_modules_develop(lua_State *L, const char *dir);
/* Pushes the chunk of an embedded or overridden module (its name with dots); false: there is none.
 * A syntax error raises. */
bool iz_modules_load(lua_State *L, const char *name);

/* ---- for isolates ---- */

/* The module in which the field iza.KEY lives when it has none of its own ("all": "iza.task"). */
const char *iz_modules_home(const char *key);
/* May code in an isolate have this module inside its own state? */
bool iz_modules_is_native(const char *name);
/* Pushes the loader of a native module or of what one needs; false: there is none. */
bool iz_modules_native(lua_State *L, const char *name);

#endif
