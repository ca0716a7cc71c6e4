/* test_virtual.c -- the scheduler, child processes and files under virtual time: sleeps pass at
 * once, and time stands still while work outside the loop is under way. */
#include "base/clock.h"
#include "loop/pool.h"
#include "vm/modules.h"
#include "vm/vm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

static char failure[2000];

static int start(lua_State *L) {
  iz_modules_open(L);
  if (luaL_loadstring(L, lua_touserdata(L, 1)) != LUA_OK) return lua_error(L);
  iz_fiber_spawn(L, 0, &iz_vm_of(L)->root, 0);
  return 1;
}

static int take_result(lua_State *L) {
  iz_fiber *f = iz_check_fiber(L, 1);
  if (!f->failed) return 0;
  iz_fiber_push_error(L, f);
  iz_error_report(L, -1);
  snprintf(failure, sizeof failure, "%s", lua_tostring(L, -1));
  return 0;
}

static void run(const char *code) {
  failure[0] = 0;
  iz_clock_virtual(1000 * IZ_SEC);
  iz_loop *loop = iz_loop_new(NULL);
  iz_vm *vm = iz_vm_new(loop, 0);
  lua_State *L = vm->L;
  lua_pushcfunction(L, start);
  lua_pushlightuserdata(L, (void *)(uintptr_t)code);
  if (lua_pcall(L, 1, 1, 0) != LUA_OK) fail_msg("%s", lua_tostring(L, -1));
  iz_loop_run(loop);
  lua_pushcfunction(L, take_result);
  lua_insert(L, -2);
  assert_int_equal(lua_pcall(L, 1, 0, 0), LUA_OK);
  iz_pool_stop();
  iz_vm_free(vm);
  for (int i = 0; i < 2; i++) iz_loop_turn(loop, false);
  iz_loop_free(loop);
  iz_clock_real();
  if (failure[0]) fail_msg("%s", failure);
}

static void test_a_month_passes_at_once(void **state) {
  (void)state;
  run("local t0, order = iza.now(), {}\n"
      "iza.scope(function(scope)\n"
      "  for _, days in ipairs{30, 1, 7} do\n"
      "    scope:spawn(function() iza.sleep(days .. 'd'); order[#order + 1] = days end)\n"
      "  end\n"
      "end)\n"
      "assert(table.concat(order, ' ') == '1 7 30')\n"
      "assert(iza.now() - t0 == 30 * 86400, iza.now() - t0)\n"
      "local _, err = iza.timeout('1h', function() iza.sleep('2h') end)\n"
      "assert(err.code == 'timeout')\n"
      "assert(math.abs(iza.now() - t0 - 30 * 86400 - 3600) < 1e-3)\n");
}

static void test_time_stands_still_while_a_child_or_a_file_is_busy(void **state) {
  (void)state;
  run("local t0 = iza.now()\n"
      "local sleeper = iza.spawn(function() iza.sleep('1h') end)\n"
      "assert(iza.exec{'sleep', '0.05', timeout = '1m'}.ok)\n"
      "assert(iza.now() == t0)\n"
      "local path = os.tmpname()\n"
      "for i = 1, 50 do assert(iza.fs.write(path, 'x')) end\n"
      "assert(iza.fs.remove(path))\n"
      "assert(iza.now() == t0)\n"
      "sleeper:join()\n"
      "assert(iza.now() == t0 + 3600)\n");
}

static void test_the_grace_of_a_stubborn_child_passes_at_once(void **state) {
  (void)state;
  run("local p = iza.exec{'sh', '-c', \"trap '' TERM; echo; while :; do sleep 0.01; done\",\n"
      "                   stream = true}\n"
      "p:read('l')\n"
      "p:close()\n");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_month_passes_at_once),
      cmocka_unit_test(test_time_stands_still_while_a_child_or_a_file_is_busy),
      cmocka_unit_test(test_the_grace_of_a_stubborn_child_passes_at_once),
  };
  return cmocka_run_group_tests_name("virtual time", tests, NULL, NULL);
}
