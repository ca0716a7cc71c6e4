/* push.h -- handing a buffer's bytes to Lua without losing the buffer. */
#ifndef IZ_PUSH_H
#define IZ_PUSH_H

#include "base/buf.h"

#include <lua.h>

/* Pushes the bytes as a string and frees the buffer, also when Lua has no memory for the string
 * (then it raises). Returns 1, so that a binding can `return iz_push_buf(L, &b)`. */
int iz_push_buf(lua_State *L, iz_buf *b);

#endif
