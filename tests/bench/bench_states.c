/* bench_states.c -- what Lua states and tasks cost: isolates beside luaL_newstate + luaL_openlibs,
 * the bytes of a parked task, and the guard's overhead. Prints one line a figure. */
#include "base/clock.h"
#include "vm/bridge.h"
#include "vm/modules.h"
#include "vm/vm.h"

#include <lauxlib.h>
#include <lualib.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#define STATES 10000
#define ROUNDS 5

int iz_open_isolate(lua_State *L);

static double median(double *v, int n) {
  for (int i = 1; i < n; i++)
    for (int j = i; j > 0 && v[j] < v[j - 1]; j--) {
      double t = v[j];
      v[j] = v[j - 1];
      v[j - 1] = t;
    }
  return v[n / 2];
}

static iz_loop *loop;
static iz_vm *home;
static lua_State *plain[STATES];

/* Microseconds for one state, STATES of them alive. */
static double time_plain(void) {
  int64_t t0 = iz_now();
  for (int i = 0; i < STATES; i++) {
    plain[i] = luaL_newstate();
    luaL_openlibs(plain[i]);
  }
  double us = (double)(iz_now() - t0) / 1e3 / STATES;
  for (int i = 0; i < STATES; i++) lua_close(plain[i]);
  return us;
}

static const char make_isolates[] =
    "local isolate, n = ...\n"
    "local list = {}\n"
    "for i = 1, n do list[i] = isolate.new{memory = '8MB', bridge = print} end\n"
    "return list";

static const char hello[] = "local list = ...\n"
                            "for i = 1, #list do\n"
                            "  local p = list[i]:load('return \"hello\"', '@hello.lua')\n"
                            "  assert(list[i]:call(p) == 'hello')\n"
                            "end";

static void check(lua_State *L, int status) {
  if (status == LUA_OK) return;
  fprintf(stderr, "bench_states: %s\n", lua_tostring(L, -1));
  exit(1);
}

static double time_isolates(void) {
  lua_State *L = home->L;
  check(L, luaL_loadstring(L, make_isolates));
  lua_pushcfunction(L, iz_open_isolate);
  lua_call(L, 0, 1);
  lua_pushinteger(L, STATES);
  int64_t t0 = iz_now();
  check(L, lua_pcall(L, 2, 1, 0));
  double us = (double)(iz_now() - t0) / 1e3 / STATES;
  lua_setglobal(L, "isolates");
  return us;
}

static int spawn_code(lua_State *L) {
  iz_fiber_spawn(L, lua_gettop(L) - 1, &iz_vm_of(L)->root, 0);
  return 0;
}

static void drop_isolates(void) {
  lua_State *L = home->L;
  lua_pushnil(L);
  lua_setglobal(L, "isolates");
  lua_gc(L, LUA_GCCOLLECT);
  lua_gc(L, LUA_GCCOLLECT);
}

/* Bytes of the heap in use, with malloc's own. */
static size_t in_use(void) {
  struct mallinfo2 m = mallinfo2();
  return m.uordblks + m.hblkhd;
}

static void run_hello(void) {
  lua_State *L = home->L;
  lua_pushcfunction(L, spawn_code);
  check(L, luaL_loadstring(L, hello));
  lua_getglobal(L, "isolates");
  check(L, lua_pcall(L, 2, 0, 0));
  iz_loop_run(loop);
}

static double parked_bytes(void) {
  static const char code[] = "for i = 1, 10000 do iza.spawn(function() iza.sleep(0.2) end) end";
  lua_State *L = home->L;
  lua_gc(L, LUA_GCCOLLECT);
  size_t before = in_use();
  lua_pushcfunction(L, spawn_code);
  check(L, luaL_loadstring(L, code));
  check(L, lua_pcall(L, 1, 0, 0));
  for (int i = 0; i < 4; i++) iz_loop_turn(loop, false);
  size_t after = in_use();
  iz_loop_run(loop);
  return (double)(after - before) / 10000;
}

static const char mixed[] = "local t, s = {}, 0\n"
                            "for i = 1, 3000000 do t[i % 100] = i s = s + #tostring(i % 1000) end";

/* Seconds of CPU for the mixed load, with or without the guard's timer. */
static double time_mixed(bool guarded) {
  lua_State *L = home->L;
  if (guarded) iz_guard_start(NULL);
  home->cpu_slices = 100000;
  lua_pushcfunction(L, spawn_code);
  check(L, luaL_loadstring(L, mixed));
  int64_t t0 = iz_now();
  check(L, lua_pcall(L, 1, 0, 0));
  iz_loop_run(loop);
  double s = (double)(iz_now() - t0) / 1e9;
  iz_guard_stop();
  return s;
}

int main(void) {
  loop = iz_loop_new(NULL);
  home = iz_vm_new(loop, 0);
  iz_modules_open(home->L);
  double ratio[ROUNDS], ours[ROUNDS], theirs[ROUNDS];
  size_t before = 0;
  for (int i = 0; i < ROUNDS; i++) {
    theirs[i] = time_plain();
    before = in_use();
    ours[i] = time_isolates();
    ratio[i] = ours[i] / theirs[i];
    if (i < ROUNDS - 1) drop_isolates();
  }
  run_hello();
  double bytes = (double)(in_use() - before) / STATES;
  drop_isolates();
  printf("bench state.isolate %.1f us | peer newstate+openlibs %.1f | ratio %.2f\n",
         median(ours, ROUNDS), median(theirs, ROUNDS), median(ratio, ROUNDS));
  printf("bench state.isolate_memory %.0f bytes | peer bar 28672 | ratio %.2f\n", bytes,
         bytes / 28672);
  double parked = parked_bytes();
  printf("bench task.parked %.0f bytes | peer bar 2048 | ratio %.2f\n", parked, parked / 2048);
  for (int i = 0; i < ROUNDS; i++) {
    theirs[i] = time_mixed(false);
    ours[i] = time_mixed(true);
    ratio[i] = ours[i] / theirs[i];
  }
  printf("bench guard.mixed %.3f s | peer unguarded %.3f | ratio %.3f\n", median(ours, ROUNDS),
         median(theirs, ROUNDS), median(ratio, ROUNDS));
  return 0;
}
