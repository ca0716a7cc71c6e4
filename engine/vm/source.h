/* source.h -- the text of the code that runs, so that an error quotes the line that failed and not
 * what its file says by now.
 */
#ifndef IZ_SOURCE_H
#define IZ_SOURCE_H

#include <lauxlib.h>

/* Loads a file as luaL_loadfilex does (NULL: standard input) and remembers its text. */
int iz_source_load(lua_State *L, const char *file, const char *mode);
/* Remembers the text on top of the stack (popped) as that of a chunk, named as for lua_load, when
 * it is a file's: "@path". */
void iz_source_keep(lua_State *L, const char *chunk);
/* Adds "\n   12 | the text of line 12" of a chunk, named as in a traceback, to the report of an
 * error with this message; nothing when it is not known for sure. */
void iz_source_quote(luaL_Buffer *b, const char *name, int line, const char *message);
/* Makes load, loadfile, dofile and require remember the files they load. */
void iz_source_open(lua_State *L);

#endif
