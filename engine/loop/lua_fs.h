/* lua_fs.h -- the parts of iza.core.fs. Each adds its functions to the table on top of the stack.
 */
#ifndef IZ_LUA_FS_H
#define IZ_LUA_FS_H

#include <lua.h>

int iz_open_fs(lua_State *L);
void iz_fs_add_file(lua_State *L);  /* open(path, mode) */
void iz_fs_add_watch(lua_State *L); /* watch(path, recursive, quiet) */

/* A path argument: a string without a zero byte. */
const char *iz_check_path(lua_State *L, int arg);

#endif
