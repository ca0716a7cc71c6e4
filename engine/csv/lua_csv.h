/* lua_csv.h -- what the reader's and the writer's binding share. */
#ifndef IZ_LUA_CSV_H
#define IZ_LUA_CSV_H

#include "csv/csv.h"
#include "csv/csv_io.h"
#include "vm/await.h"

#include <lua.h>

/* The option `delimiter` of the table at index 2, 0 when there is none. Raises when it cannot be
 * one. */
char iz_csv_lua_delimiter(lua_State *L);
/* The loop, when L can wait here; NULL: do it at once. */
iz_loop *iz_csv_lua_loop(lua_State *L);
/* lua_csv_write.c: adds its functions to the module table on top of the stack. */
void iz_csv_lua_open_writer(lua_State *L);

#endif
