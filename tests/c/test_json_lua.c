/* test_json_lua.c -- engine/json/lua_json*.c when memory runs out: Lua's or ours, at any
 * allocation. */
#include "base/alloc.h"

#include <lauxlib.h>
#include <lualib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

int iz_open_json(lua_State *L);

/* Lua's memory through our door, so that one count covers both; `live` are the bytes Lua holds. */
static void *lua_memory(void *live, void *p, size_t old, size_t size) {
  if (!p) old = 0;
  if (size == 0) {
    iz_free(p);
    *(size_t *)live -= old;
    return NULL;
  }
  void *q = iz_realloc(p, size);
  if (q) *(size_t *)live += size - old;
  return q;
}

static const char script[] =
    "local json = ...\n"
    "local text = '{\"a\":[1,2.5,\"x\\\\n\\\\u00e9\",{\"b\":null,\"c\":[[[]]]}],\"d\":\"日本\"}'\n"
    "local value, err = json.decode(text)\n"
    "if not value then return err.code end\n"
    "for _, opts in ipairs {{}, {sort = true}, {indent = 2, sort = true}} do\n"
    "  local out, why = json.encode(value, opts)\n"
    "  if not out then return why.code end\n"
    "end\n"
    "local _, no = json.encode {a = {b = {print}}}\n"
    "if no.code ~= 'invalid' then return no.code end\n"
    "for _, v, why in json.lines '[1]\\n{\"k\":\"\\\\n\"}\\n' do if not v then return why.code end "
    "end\n"
    "return 'done'\n";

/* Runs the script with the n-th allocation failing, or all from the n-th on. Whatever happens, it
 * ends as "done", as an error object with code "oom", or as Lua's own memory error; true when the
 * failure was not reached. */
static bool attempt(uint64_t n, int every) {
  size_t live = 0;
  lua_State *L = lua_newstate(lua_memory, &live);
  assert_non_null(L);
  luaL_openlibs(L);
  iz_open_json(L);
  assert_int_equal(luaL_loadstring(L, script), LUA_OK);
  lua_insert(L, -2);
  iz_alloc_fail(n, every);
  int status = lua_pcall(L, 1, 1, 0);
  bool reached = iz_alloc_failed();
  iz_alloc_fail(0, 0);
  if (status == LUA_OK) {
    const char *end = lua_tostring(L, -1);
    assert_true(!strcmp(end, "done") || !strcmp(end, "oom"));
  } else {
    assert_int_equal(status, LUA_ERRMEM);
  }
  lua_close(L);
  assert_int_equal(live, 0);
  return !reached;
}

static void any_allocation_may_fail(void **state) {
  (void)state;
  for (int every = 0; every <= 1; every++) {
    uint64_t n = 1;
    while (!attempt(n, every)) n++;
    assert_true(n > 30);
  }
}

static void each_state_has_its_own(void **state) {
  (void)state;
  lua_State *L[2] = {luaL_newstate(), luaL_newstate()};
  for (int i = 0; i < 2; i++) {
    assert_non_null(L[i]);
    iz_open_json(L[i]);
    lua_getfield(L[i], 1, "decode");
    lua_pushstring(L[i], "[\"a\\n\"]");
    lua_call(L[i], 1, 1);
  }
  lua_close(L[0]);
  lua_getfield(L[1], 1, "encode");
  lua_insert(L[1], -2);
  lua_call(L[1], 1, 1);
  assert_string_equal(lua_tostring(L[1], -1), "[\"a\\n\"]");
  lua_close(L[1]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(any_allocation_may_fail),
      cmocka_unit_test(each_state_has_its_own),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
