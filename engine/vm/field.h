/* field.h -- reading the fields of an option table that Lua has checked already (iza.options).
 *
 * Each takes the table's index and the field's name, and leaves the stack as it was. A field that
 * is absent is `other`; one that does not fit raises with its name.
 */
#ifndef IZ_FIELD_H
#define IZ_FIELD_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

/* A string without NUL; the table keeps it alive. */
const char *iz_field_text(lua_State *L, int at, const char *name, const char *other);
bool iz_field_flag(lua_State *L, int at, const char *name);
lua_Number iz_field_number(lua_State *L, int at, const char *name, lua_Number other);
/* A whole number from low to high. */
lua_Integer iz_field_integer(lua_State *L, int at, const char *name, lua_Integer low,
                             lua_Integer high, lua_Integer other);
/* A duration or a size: `check` is iz_check_duration or iz_check_size. */
int64_t iz_field_quantity(lua_State *L, int at, const char *name,
                          int64_t (*check)(lua_State *, int), int64_t other);

#endif
