/* fuzz_zone.c -- lua/iza/zone.lua: any bytes as a zone file, or as the rule in its footer, are
 * refused with a reason or give a zone that answers for every instant.
 *
 * Byte 0 tells which of the two the rest is. The reader is Lua, where the fuzzer sees no branches:
 * a line hook counts them for it.
 */
#include "vm/modules.h"
#include "vm/vm.h"

#include <lauxlib.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

__attribute__((section("__libfuzzer_extra_counters"))) static uint8_t lines[1024];

static void on_line(lua_State *L, lua_Debug *ar) {
  (void)L;
  lines[(unsigned)ar->currentline % sizeof lines]++;
}

static void must(lua_State *L, int ok, const char *what) {
  if (ok) return;
  const char *message = luaL_tolstring(L, -1, NULL);
  fprintf(stderr, "broken: %s (%s)\n", what, message);
  abort();
}

#define OFFSET_MAX (7 * 86400)

/* Asks the zone on top of the stack. */
static void ask(lua_State *L, lua_Integer t) {
  lua_pushvalue(L, -1);
  lua_pushinteger(L, t);
  must(L, lua_pcall(L, 1, 3, 0) == LUA_OK, "an instant raised");
  must(L, lua_isinteger(L, -3) && llabs(lua_tointeger(L, -3)) <= OFFSET_MAX, "offset");
  must(L, lua_type(L, -2) == LUA_TSTRING && lua_type(L, -1) == LUA_TBOOLEAN, "answer");
  lua_pop(L, 3);
}

static lua_State *open_zone(void) {
  iz_loop *loop = iz_loop_new(NULL);
  iz_vm *vm = loop ? iz_vm_new(loop, 0) : NULL;
  if (!vm) abort();
  iz_modules_open(vm->L);
  lua_settop(vm->L, 0);
  if (luaL_dostring(vm->L, "return require 'iza.zone'") != LUA_OK) abort();
  lua_sethook(vm->L, on_line, LUA_MASKLINE, 0);
  return vm->L;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static lua_State *L;
  if (!L) L = open_zone();
  if (size < 1) return 0;
  bool is_file = data[0] & 1;
  lua_settop(L, 1);
  lua_getfield(L, 1, is_file ? "parse" : "rule");
  lua_pushlstring(L, (const char *)data + 1, size - 1);
  lua_pushliteral(L, "Fuzz/Zone");
  must(L, lua_pcall(L, 2, 2, 0) == LUA_OK, "reading raised");
  if (lua_isnil(L, -2)) {
    must(L, iz_error_is(L, -1), "refused without a reason");
    return 0;
  }
  lua_pop(L, 1);
  static const lua_Integer around[] = {0, 951782400, 1711846800, 253402300799, -62135596800};
  for (size_t i = 0; i < sizeof around / sizeof *around; i++)
    for (int day = 0; day < 366; day += 61) ask(L, around[i] + (lua_Integer)day * 86400);
  return 0;
}
