/* test_kernel.c -- what the shape of the kernel stands on: a task sleeps inside a user's coroutine,
 * is cancelled inside <close>, is preempted, is killed by its CPU budget with a pcall in the way;
 * and the same scripts with the n-th allocation failing, for every n. */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "vm/vm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char out[4096];

static int l_note(lua_State *L) {
  size_t n = strlen(out);
  snprintf(out + n, sizeof out - n, "%s ", luaL_checkstring(L, 1));
  return 0;
}

static int open_all(lua_State *L) {
  luaL_openlibs(L);
  iz_co_open(L);
  iz_open_task(L);
  lua_setglobal(L, "iza");
  lua_pushcfunction(L, l_note);
  lua_setglobal(L, "note");
  return 0;
}

static int start(lua_State *L) {
  const char *code = lua_touserdata(L, 1);
  if (luaL_loadstring(L, code) != LUA_OK) return lua_error(L);
  iz_fiber_spawn(L, 0, &iz_vm_of(L)->root, 0);
  return 1;
}

static char failure[1024];

static int take_result(lua_State *L) {
  iz_fiber *f = iz_check_fiber(L, 1);
  if (!f->failed) return 0;
  iz_fiber_push_error(L, f);
  iz_error_report(L, -1);
  snprintf(failure, sizeof failure, "%s", lua_tostring(L, -1));
  return 0;
}

/* Runs code as a fiber. Returns false when it failed (text in `failure`). */
static bool run(const char *code, int cpu_slices, size_t mem_limit) {
  out[0] = failure[0] = 0;
  bool ok = false;
  iz_loop *loop = iz_loop_new(NULL);
  iz_vm *vm = loop ? iz_vm_new(loop, 0) : NULL;
  if (vm) {
    vm->cpu_slices = cpu_slices;
    lua_State *L = vm->L;
    lua_pushcfunction(L, open_all);
    if (lua_pcall(L, 0, 0, 0) == LUA_OK) {
      if (mem_limit) vm->mem_limit = vm->mem_used + mem_limit;
      lua_pushcfunction(L, start);
      lua_pushlightuserdata(L, (void *)(uintptr_t)code);
      if (lua_pcall(L, 1, 1, 0) == LUA_OK) {
        iz_loop_run(loop);
        lua_pushcfunction(L, take_result);
        lua_insert(L, -2);
        if (lua_pcall(L, 1, 0, 0) != LUA_OK) snprintf(failure, sizeof failure, "report failed");
        ok = !failure[0];
      }
    }
  }
  iz_vm_free(vm);
  iz_loop_free(loop);
  return ok;
}

static const char in_coroutine[] =
    "local gen = coroutine.wrap(function()\n"
    "  for i = 1, 3 do iza.sleep(0.001); coroutine.yield(i) end\n"
    "end)\n"
    "local t = iza.spawn(function() for i = 1, 3 do note('b' .. i); iza.sleep(0) end return 7 "
    "end)\n"
    "for i in gen do note('a' .. i) end\n"
    "local inner = coroutine.create(function(x)\n"
    "  local ok, v = pcall(function() iza.sleep(0.001) return coroutine.yield(x + 1) end)\n"
    "  return ok, v\n"
    "end)\n"
    "local ok, v = coroutine.resume(inner, 1)\n"
    "assert(ok and v == 2, v)\n"
    "local ok, a, b = coroutine.resume(inner, 'back')\n"
    "assert(ok and a == true and b == 'back')\n"
    "assert(coroutine.status(inner) == 'dead')\n"
    "assert(t:join() == 7)\n"
    "local ok, err = pcall(table.sort, {3, 2, 1}, function(x, y) iza.sleep(0) return x < y end)\n"
    "assert(not ok and tostring(err):find('sort'), err)\n"
    "note('end')";

static const char cancelled_in_close[] =
    "local t = iza.spawn(function()\n"
    "  local function closing(name) return setmetatable({}, {__close = function()\n"
    "    iza.sleep(0.002); note(name) end}) end\n"
    "  local a <close> = closing('a')\n"
    "  local co = coroutine.wrap(function()\n"
    "    local b <close> = closing('b')\n"
    "    local ok, err = pcall(iza.sleep, 100)\n"
    "    assert(not ok and err.code == 'cancelled')\n"
    "    note('caught')\n"
    "    iza.sleep(100)\n"
    "    note('never')\n"
    "  end)\n"
    "  co()\n"
    "end)\n"
    "iza.sleep(0.001)\n"
    "t:cancel()\n"
    "local ok, err = pcall(t.join, t)\n"
    "assert(not ok and err.code == 'cancelled' and t.status == 'cancelled')\n"
    "local u = iza.spawn(function()\n"
    "  do local a <close> = setmetatable({}, {__close = function() iza.sleep(0.003) note('c') "
    "end}) end\n"
    "  iza.sleep(100)\n"
    "end)\n"
    "iza.sleep(0.001) u:cancel() pcall(u.join, u)\n"
    "note('end')";

static const char preempted[] =
    "local stop = false\n"
    "local hog = iza.spawn(function() local n = 0 while not stop do n = n + 1 end return n end)\n"
    "local hog2 = iza.spawn(function() local co = coroutine.wrap(function()\n"
    "  while not stop do end return 1 end) return co() end)\n"
    "for i = 1, 5 do iza.sleep(0.001) note(i) end\n"
    "stop = true\n"
    "hog:join() hog2:join()";

static const char killed[] =
    "local ok, err = pcall(function() while true do\n"
    "  pcall(coroutine.wrap(function() pcall(function() while true do end end) end)) end end)\n"
    "note('escaped')";

static const char killed_in_close[] =
    "local x <close> = setmetatable({}, {__close = function() while true do end end})\n"
    "local y <close> = setmetatable({}, {__close = function() iza.sleep(0) note('closed') end})\n"
    "while true do pcall(table.sort, {3,2,1,4}, function() while true do end end) end";

static const char scopes[] =
    "local ok, err = pcall(iza.scope, function(s)\n"
    "  s:spawn(function() iza.sleep(0.001) error('boom') end)\n"
    "  s:spawn(function() local c <close> = setmetatable({}, {__close = function() note('closed') "
    "end})\n"
    "    iza.sleep(100) end)\n"
    "  iza.sleep(100)\n"
    "end)\n"
    "assert(not ok and err.message:find('boom'), tostring(err))\n"
    "local v = iza.scope(function(s) local t = s:spawn(function() return 5 end) return t:join() "
    "end)\n"
    "assert(v == 5)\n"
    "local t = iza.spawn(function() iza.scope(function() iza.sleep(100) end) end)\n"
    "iza.sleep(0) iza.sleep(0) t:cancel() local ok, err = pcall(t.join, t)\n"
    "assert(not ok and err.code == 'cancelled')\n"
    "note('end')";

static void test_sleep_inside_coroutines(void **state) {
  (void)state;
  if (!run(in_coroutine, 0, 0)) fail_msg("%s", failure);
  assert_non_null(strstr(out, "b1 "));
  assert_non_null(strstr(out, "a1 a2 a3 "));
  assert_non_null(strstr(out, "end "));
}

static void test_cancel_inside_close(void **state) {
  (void)state;
  if (!run(cancelled_in_close, 0, 0)) fail_msg("%s", failure);
  assert_string_equal(out, "caught b a c end ");
}

static void test_preemption_lets_neighbours_run(void **state) {
  (void)state;
  if (!run(preempted, 1000, 0)) fail_msg("%s", failure);
  assert_string_equal(out, "1 2 3 4 5 ");
}

static void test_budget_passes_every_pcall(void **state) {
  (void)state;
  assert_false(run(killed, 3, 0));
  assert_string_equal(out, "");
  assert_non_null(strstr(failure, "more CPU time"));
}

static void test_budget_reaches_into_close(void **state) {
  (void)state;
  assert_false(run(killed_in_close, 3, 0));
  assert_string_equal(out, "closed ");
}

static void test_scopes(void **state) {
  (void)state;
  if (!run(scopes, 0, 0)) fail_msg("%s", failure);
  assert_string_equal(out, "closed end ");
}

static void test_allocation_bomb_is_an_error(void **state) {
  (void)state;
  assert_false(run("local ok = pcall(function() local t = {} for i = 1, 1e9 do t[i] = {} end end)\n"
                   "note('escaped')",
                   100, 1 << 20));
  assert_string_equal(out, "");
  assert_non_null(strstr(failure, "memory"));
}

/* Each script with allocation 1, 2, 3 ... failing, until it passes untouched. */
static void fail_each(const char *code, int cpu_slices) {
  for (uint64_t n = 1;; n++) {
    iz_clock_virtual(0);
    iz_alloc_fail(n, 0);
    run(code, cpu_slices, 0);
    iz_clock_real();
    bool reached = iz_alloc_failed();
    iz_alloc_fail(0, 0);
    if (!reached) break;
    assert_true(n < 20000);
  }
}

static void test_every_allocation_may_fail(void **state) {
  (void)state;
  iz_log_set_level(IZ_OFF);
  fail_each(in_coroutine, 0);
  fail_each(cancelled_in_close, 0);
  fail_each(scopes, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_sleep_inside_coroutines),
      cmocka_unit_test(test_cancel_inside_close),
      cmocka_unit_test(test_preemption_lets_neighbours_run),
      cmocka_unit_test(test_budget_passes_every_pcall),
      cmocka_unit_test(test_budget_reaches_into_close),
      cmocka_unit_test(test_scopes),
      cmocka_unit_test(test_allocation_bomb_is_an_error),
      cmocka_unit_test(test_every_allocation_may_fail),
  };
  if (!iz_guard_start(NULL)) return 1;
  return cmocka_run_group_tests(tests, NULL, NULL);
}
