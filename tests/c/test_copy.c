/* test_copy.c -- engine/vm/copy.c: what crosses between states and what does not. */
#include "base/alloc.h"
#include "vm/copy.h"
#include "vm/vm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include <lauxlib.h>
#include <lualib.h>
#include <string.h>

static iz_loop *loop;
static iz_vm *a, *b;

static int setup(void **state) {
  (void)state;
  loop = iz_loop_new(NULL);
  a = iz_vm_new(loop, 0);
  b = iz_vm_new(loop, 0);
  luaL_openlibs(a->L);
  luaL_openlibs(b->L);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  iz_vm_free(a);
  iz_vm_free(b);
  iz_loop_free(loop);
  return 0;
}

static void eval(const char *code) {
  if (luaL_dostring(a->L, code) != LUA_OK) fail_msg("%s", lua_tostring(a->L, -1));
}

/* Copies what `code` returns and lets `check`, a function body over `v`, look at it. */
static void crosses(const char *code, const char *check) {
  eval(code);
  iz_err err;
  int before = lua_gettop(a->L);
  if (!iz_copy(a->L, b->L, 1, NULL, &err)) fail_msg("%s", err.message);
  assert_int_equal(lua_gettop(a->L), before);
  lua_setglobal(b->L, "v");
  if (luaL_dostring(b->L, check) != LUA_OK) fail_msg("%s", lua_tostring(b->L, -1));
  lua_settop(a->L, 0);
  lua_settop(b->L, 0);
}

static void refused(const char *code, const char *want_code, const char *text) {
  eval(code);
  iz_err err;
  assert_false(iz_copy(a->L, b->L, 1, NULL, &err));
  assert_string_equal(err.code, want_code);
  if (!strstr(err.message, text)) fail_msg("'%s' lacks '%s'", err.message, text);
  assert_int_equal(lua_gettop(b->L), 0);
  assert_int_equal(lua_gettop(a->L), 1);
  lua_settop(a->L, 0);
}

static void test_values(void **state) {
  (void)state;
  crosses("return nil", "assert(v == nil)");
  crosses("return math.maxinteger", "assert(v == math.maxinteger and math.type(v) == 'integer')");
  crosses("return 1.0", "assert(math.type(v) == 'float')");
  crosses("return 'a\\0b'", "assert(v == 'a\\0b')");
  crosses("return {1, 2, {x = {y = 'z', [true] = 1.5}}, n = 4}",
          "assert(v[3].x.y == 'z' and v[3].x[true] == 1.5 and v.n == 4 and #v == 3)");
  crosses("local t = {{}, {1}, {{}}, 5} return t", "assert(#v == 4 and #v[2] == 1 and v[3][1])");
}

static void test_shared_and_cyclic(void **state) {
  (void)state;
  crosses("local t = {} t.me = t t.list = {t, t} return t",
          "assert(v.me == v and v.list[1] == v and v.list[2] == v)");
  crosses("local s = {} return {s, s}", "assert(v[1] == v[2])");
}

static void test_errors_stay_errors(void **state) {
  (void)state;
  iz_push_err(a->L, "timeout", "too late", true);
  iz_err err;
  assert_true(iz_copy(a->L, b->L, 1, NULL, &err));
  assert_true(iz_error_is(b->L, -1));
  assert_string_equal(luaL_tolstring(b->L, -1, NULL), "too late");
  lua_settop(a->L, 0);
  lua_settop(b->L, 0);
}

static void test_refusals_say_where(void **state) {
  (void)state;
  refused("return {a = {1, {cb = print}}}", "uncopyable", "a function");
  refused("return {a = {1, {cb = print}}}", "uncopyable", "value.a[2].cb");
  refused("return coroutine.create(print)", "uncopyable", "coroutine");
  refused("return setmetatable({}, {})", "uncopyable", "metatable");
  refused("return io.stdout", "uncopyable", "userdata");
  refused("return {[{}] = 1}", "uncopyable", "key");
  refused("local t = {} for i = 1, 300 do t = {t} end return t", "too_deep", "200");
}

static void test_deep_but_allowed(void **state) {
  (void)state;
  crosses("local t = {} for i = 1, 198 do t = {t} end return t",
          "local n = 0 while v[1] do v = v[1] n = n + 1 end assert(n == 198)");
}

static void test_allocations_may_fail(void **state) {
  (void)state;
  for (uint64_t n = 1; n < 1000; n++) {
    eval("local t = {1, 'two', {three = {3.5}}} t.me = t return t");
    iz_err err = {{0}, {0}, false};
    iz_alloc_fail(n, 0);
    bool ok = iz_copy(a->L, b->L, 1, NULL, &err);
    bool reached = iz_alloc_failed();
    iz_alloc_fail(0, 0);
    if (!ok) assert_string_equal(err.code, "oom");
    lua_settop(a->L, 0);
    lua_settop(b->L, 0);
    if (!reached) return;
  }
  fail();
}

static void test_allocates_nothing_at_the_source(void **state) {
  (void)state;
  eval("return setmetatable({}, {})");
  iz_err err;
  lua_checkstack(a->L, 20);
  a->mem_limit = 1;
  assert_false(iz_copy(a->L, b->L, 1, NULL, &err));
  a->mem_limit = 0;
  assert_string_equal(err.code, "uncopyable");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_values, setup, teardown),
      cmocka_unit_test_setup_teardown(test_shared_and_cyclic, setup, teardown),
      cmocka_unit_test_setup_teardown(test_errors_stay_errors, setup, teardown),
      cmocka_unit_test_setup_teardown(test_refusals_say_where, setup, teardown),
      cmocka_unit_test_setup_teardown(test_deep_but_allowed, setup, teardown),
      cmocka_unit_test_setup_teardown(test_allocations_may_fail, setup, teardown),
      cmocka_unit_test_setup_teardown(test_allocates_nothing_at_the_source, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
