/* test_csv_lua.c -- engine/csv/lua_csv*.c on a loop: any allocation may fail, ours or Lua's, on the
 * loop's thread or a pool's; and readers and writers that are dropped half-way leave nothing. */
#include "base/alloc.h"
#include "loop/pool.h"
#include "vm/vm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int iz_open_csv(lua_State *L);

static char dir[] = "/tmp/iza-csv-XXXXXX", outcome[256];

/* `csv` is the core module, `path` a file; the script returns nothing or raises. */
static const char whole[] =
    "local function soft(v, err)\n"
    "  if v == nil and err then error(err, 0) end\n"
    "  return v\n"
    "end\n"
    "local w = soft(csv.writer(path, {}, {'a', 'b'}))\n"
    "soft(w:write({a = 'a', b = 'b'}))\n"
    "for i = 1, 40 do soft(w:write({a = i, b = 'say \"x\",\\n' .. i / 2})) end\n"
    "soft(w:close())\n"
    "local bad = 0\n"
    "local r = csv.reader(nil, {path = path})\n"
    "soft(r:read())\n"
    "csv.setup(r, 2, {'a', 'b'}, {[1] = 'integer', [2] = 'number'}, '.', function() bad = bad + 1 "
    "end)\n"
    "for _ in r:rows() do end\n"
    "r:close()\n"
    "assert(bad == 40, bad)\n"
    "local left = csv.reader(nil, {path = path})\n"
    "csv.setup(left, 2, nil, {[1] = 'string'}, '.', nil)\n"
    "for a, b in csv.columns(left, {2, 1}) do break end\n"
    "local gone = csv.writer(path, {})\n"
    "if gone then gone:write({'half'}) end\n";

static const char dropped[] = "local r = csv.reader(nil, {path = path})\n"
                              "r:read()\n"
                              "kept = r\n"
                              "local w = assert(csv.writer(path, {}))\n"
                              "for i = 1, 40000 do w:write({'0123456789'}) end\n"
                              "kept_too = w\n";

static const char cancelled[] = "local t = iza.spawn(function()\n"
                                "  local w <close> = assert(csv.writer(path, {}))\n"
                                "  for i = 1, 1000000 do w:write({'0123456789'}) end\n"
                                "end)\n"
                                "iza.sleep(0.005)\n"
                                "t:cancel()\n"
                                "local ok, err = pcall(t.join, t)\n"
                                "assert(not ok and err.code == 'cancelled', err)\n";

static int open_all(lua_State *L) {
  luaL_openlibs(L);
  iz_co_open(L);
  iz_open_task(L);
  lua_setglobal(L, "iza");
  iz_open_csv(L);
  lua_setglobal(L, "csv");
  lua_pushfstring(L, "%s/file.csv", dir);
  lua_setglobal(L, "path");
  return 0;
}

static int start(lua_State *L) {
  if (luaL_loadstring(L, lua_touserdata(L, 1)) != LUA_OK) return lua_error(L);
  iz_fiber_spawn(L, 0, &iz_vm_of(L)->root, 0);
  return 1;
}

static int take_result(lua_State *L) {
  iz_fiber *f = iz_check_fiber(L, 1);
  if (f->failed) {
    iz_fiber_push_error(L, f);
    snprintf(outcome, sizeof outcome, "%s", luaL_tolstring(L, -1, NULL));
  }
  return 0;
}

static void files_are(const char *want) {
  char got[512] = "";
  DIR *d = opendir(dir);
  assert_non_null(d);
  for (struct dirent *e; (e = readdir(d));) {
    size_t n = strlen(got);
    if (e->d_name[0] != '.') snprintf(got + n, sizeof got - n, "%s", e->d_name);
  }
  closedir(d);
  assert_string_equal(got, want);
}

/* Runs the script in a fresh state, from its start with the n-th allocation failing (0: none).
 * Leaves its error in `outcome`; true when the failure was not reached. */
static bool attempt(const char *script, uint64_t n, int every) {
  outcome[0] = 0;
  iz_loop *loop = iz_loop_new(NULL);
  iz_vm *vm = iz_vm_new(loop, 0);
  lua_State *L = vm->L;
  lua_pushcfunction(L, open_all);
  assert_int_equal(lua_pcall(L, 0, 0, 0), LUA_OK);
  lua_pushcfunction(L, start);
  lua_pushlightuserdata(L, (void *)(uintptr_t)script);
  assert_int_equal(lua_pcall(L, 1, 1, 0), LUA_OK);
  iz_alloc_fail(n, every);
  iz_loop_run(loop);
  bool reached = iz_alloc_failed();
  iz_alloc_fail(0, 0);
  lua_pushcfunction(L, take_result);
  lua_insert(L, -2);
  assert_int_equal(lua_pcall(L, 1, 0, 0), LUA_OK);
  iz_pool_stop();
  iz_vm_free(vm);
  for (int i = 0; i < 2; i++) iz_loop_turn(loop, false);
  iz_loop_free(loop);
  return !reached;
}

static void any_allocation_may_fail(void **state) {
  (void)state;
  assert_true(attempt(whole, 0, 0));
  assert_string_equal(outcome, "");
  for (int every = 0; every <= 1; every++) {
    uint64_t n = 1;
    for (; !attempt(whole, n, every); n++) {
      if (outcome[0] && !strstr(outcome, "memory")) fail_msg("allocation %d: %s", (int)n, outcome);
      if (every && n > 60) break;
    }
    assert_true(n > 60);
    files_are("file.csv");
  }
}

static void what_is_dropped_leaves_nothing(void **state) {
  (void)state;
  assert_true(attempt(dropped, 0, 0));
  assert_string_equal(outcome, "");
  files_are("file.csv");
}

static void a_cancelled_writer_leaves_the_old_file(void **state) {
  (void)state;
  assert_true(attempt(whole, 0, 0));
  assert_true(attempt(cancelled, 0, 0));
  assert_string_equal(outcome, "");
  files_are("file.csv");
  char path[64], first[8] = "";
  snprintf(path, sizeof path, "%s/file.csv", dir);
  FILE *f = fopen(path, "r");
  assert_non_null(f);
  assert_non_null(fgets(first, sizeof first, f));
  fclose(f);
  assert_string_equal(first, "a,b\n");
}

static int make_dir(void **state) {
  (void)state;
  return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state) {
  (void)state;
  char path[64];
  snprintf(path, sizeof path, "%s/file.csv", dir);
  unlink(path);
  return rmdir(dir);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(any_allocation_may_fail),
      cmocka_unit_test(what_is_dropped_leaves_nothing),
      cmocka_unit_test(a_cancelled_writer_leaves_the_old_file),
  };
  return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
