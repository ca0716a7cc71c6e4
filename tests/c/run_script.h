/* run_script.h -- runs a Lua script as the main task of a fresh state with all modules. */
#ifndef IZ_TEST_RUN_SCRIPT_H
#define IZ_TEST_RUN_SCRIPT_H

#include "base/alloc.h"
#include "loop/pool.h"
#include "vm/modules.h"
#include "vm/vm.h"

#include <lauxlib.h>
#include <stdio.h>

static char script_failure[2000]; /* of the last run; empty when it went well */

static inline int script_start(lua_State *L) {
  const char *const *scripts = lua_touserdata(L, 1);
  iz_modules_open(L);
  if (luaL_dostring(L, scripts[0]) != LUA_OK) return lua_error(L);
  if (luaL_loadstring(L, scripts[1]) != LUA_OK) return lua_error(L);
  iz_fiber_spawn(L, 0, &iz_vm_of(L)->root, 0);
  return 1;
}

static inline int script_result(lua_State *L) {
  iz_fiber *f = iz_check_fiber(L, 1);
  if (!f->failed) return 0;
  iz_fiber_push_error(L, f);
  iz_error_report(L, -1);
  snprintf(script_failure, sizeof script_failure, "%s", lua_tostring(L, -1));
  return 0;
}

/* Runs `before` outside any task, then `script` with the n-th allocation failing (0: none). True
 * when an allocation did fail. */
static inline bool run_script(const char *before, const char *script, uint64_t n) {
  script_failure[0] = 0;
  iz_loop *loop = iz_loop_new(NULL);
  iz_vm *vm = iz_vm_new(loop, 0);
  lua_State *L = vm->L;
  const char *scripts[] = {before, script};
  lua_pushcfunction(L, script_start);
  lua_pushlightuserdata(L, (void *)scripts);
  bool began = lua_pcall(L, 1, 1, 0) == LUA_OK;
  if (!began) snprintf(script_failure, sizeof script_failure, "%s", lua_tostring(L, -1));
  iz_alloc_fail(n, 0);
  if (began) iz_loop_run(loop);
  bool failed = iz_alloc_failed();
  iz_alloc_fail(0, 0);
  lua_pushcfunction(L, script_result);
  lua_insert(L, -2);
  if (began && lua_pcall(L, 1, 0, 0) != LUA_OK)
    snprintf(script_failure, sizeof script_failure, "%s", lua_tostring(L, -1));
  iz_pool_stop();
  iz_vm_free(vm);
  for (int i = 0; i < 2; i++) iz_loop_turn(loop, false);
  iz_loop_free(loop);
  return failed;
}

#endif
