/* lua_json.h -- what the two halves of the JSON binding share.
 *
 * One codec a Lua state, a userdata with a finaliser in upvalue 1 of the functions: it owns all C
 * memory, so an error raised half-way leaks nothing. Nothing of it is in use while Lua code can run
 * (a finaliser may decode or encode while we allocate): decoding copies a string out of `text`
 * before Lua sees it, and encoding creates no Lua object until the text is whole. An encoding that
 * is preempted takes its memory along into a userdata of its own; that is in an isolate, where no
 * finalisers run.
 */
#ifndef IZ_LUA_JSON_H
#define IZ_LUA_JSON_H

#include "json/json.h"

#include <lua.h>

/* The metatable that marks arrays, by luaL_getmetatable. json.null is lua_pushlightuserdata(L,
 * NULL). */
#define IZ_JSON_ARRAY_META "iza.json.array"

typedef struct json_frame json_frame;
typedef struct json_key json_key;

typedef struct json_codec {
  iz_buf text; /* decode: the string with escapes being read; encode: the output */
  json_frame *frames;
  size_t frame_cap;
  json_key *keys; /* of the sorted objects that are open */
  size_t key_count, key_cap;
} json_codec;

/* encode(value, opts). Upvalue 1: the codec; 2: the array metatable. */
int iz_json_lua_encode(lua_State *L);
/* Reads the option `depth` of the table at arg (or none there). */
unsigned iz_json_opt_depth(lua_State *L, int arg);
/* Gives memory back: what an unusually large value needed, or all. */
void iz_json_codec_trim(json_codec *c);
void iz_json_codec_free(json_codec *c);

/* Values written or tokens read between two looks at the guard: in an isolate others may run then.
 */
#define IZ_JSON_TURN 512

#endif
