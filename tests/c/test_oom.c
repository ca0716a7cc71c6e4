/* test_oom.c -- no memory, anywhere: tests/c/oom.lua touches every primitive with the n-th
 * allocation (the engine's, Lua's, libevent's, libcurl's) failing, for n = 1, 2, 3 ... and then for
 * a seeded sample of the rest, as far as the time goes.
 *
 * Two workers each load everything and run the script once, then fork a child for each n: it has
 * all modules, libraries and caches warm, so the failures fall on the work and not on loading. A
 * child must end by itself: no signal, no sanitizer report, no leak (a child of SAN=1 is checked at
 * its exit), no hang (alarm), no wrong answer; a part that fails must say why. Some children then
 * run the script again with memory back: everything must work.
 *
 * OOM_N=n runs that one in the foreground; OOM_SECONDS and OOM_SEED set the time and the sample.
 */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "loop/pool.h"
#include "loop/signals.h"
#include "vm/modules.h"
#include "vm/run.h"
#include "vm/vm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <ftw.h>
#include <lauxlib.h>
#include <locale.h>
#include <lualib.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS 2
#define ALL_UP_TO 5000
#define HANG_SECONDS 20

#ifdef __SANITIZE_ADDRESS__
#define EACH false /* slower by far: the sample alone */
#else
#define EACH true
#endif
#define SECONDS 52

static char dir[64];
static iz_loop *loop;
static iz_vm *vm;
static char key_touch;
static char failures[4096]; /* what the script's parts reported in this run */
static bool wrong;
static uint64_t seen; /* allocations of the last run */

/* ---- what the script gets ---- */

static int l_send(lua_State *L) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  to.sin_port = htons((uint16_t)luaL_checkinteger(L, 1));
  size_t n;
  const char *bytes = luaL_checklstring(L, 2, &n);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0 ||
      send(fd, bytes, n, MSG_NOSIGNAL) != (ssize_t)n)
    return luaL_error(L, "cannot send: %s", strerror(errno));
  lua_pushinteger(L, fd);
  return 1;
}

static int l_recv(lua_State *L) {
  char bytes[4096];
  ssize_t n = recv((int)luaL_checkinteger(L, 1), bytes, sizeof bytes, MSG_DONTWAIT);
  if (n > 0)
    lua_pushlstring(L, bytes, (size_t)n);
  else if (n < 0 && errno == EAGAIN)
    lua_pushboolean(L, 0);
  else
    lua_pushnil(L);
  return 1;
}

static int l_close(lua_State *L) {
  close((int)luaL_checkinteger(L, 1));
  return 0;
}

static int l_failed(lua_State *L) {
  const char *part = luaL_checkstring(L, 1), *why = luaL_checkstring(L, 2);
  size_t n = strlen(failures);
  snprintf(failures + n, sizeof failures - n, "  %s: %s\n", part, why);
  if (strstr(why, "WRONG") || !why[0]) wrong = true;
  return 0;
}

/* Pushes the script's function. */
static int push_touch(lua_State *L, void *ctx) {
  (void)ctx;
  static const luaL_Reg functions[] = {
      {"send", l_send}, {"recv", l_recv}, {"close", l_close}, {"failed", l_failed}, {NULL, NULL}};
  if (luaL_loadfile(L, "tests/c/oom.lua") != LUA_OK) return lua_error(L);
  luaL_newlib(L, functions);
  lua_pushstring(L, dir);
  lua_setfield(L, -2, "dir");
  lua_call(L, 1, 1);
  return 0;
}

static int load_script(lua_State *L) {
  iz_modules_open(L);
  push_touch(L, NULL);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &key_touch);
  return 0;
}

/* ---- one run of it ---- */

static void note_failure(iz_vm *of, iz_fiber *f) {
  (void)of, (void)f; /* a task nobody joined: the script's parts notice by their results */
}

static int spawn_touch(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key_touch);
  iz_fiber_spawn(L, 0, &vm->root, 0);
  return 1;
}

static void run_touch(void) {
  failures[0] = 0;
  lua_State *L = vm->L;
  lua_pushcfunction(L, spawn_touch);
  if (lua_pcall(L, 0, 1, 0) == LUA_OK) {
    const iz_fiber *f = lua_touserdata(L, -1);
    while (!(f->task.flags & IZ_TASK_DONE)) iz_loop_turn(loop, true);
  }
  lua_pop(L, 1);
}

/* As the program ends: what still runs is cancelled, then the state closes. */
static void end_world(void) {
  iz_scope_cancel(&vm->root);
  while (!iz_scope_is_empty(&vm->root)) iz_loop_turn(loop, true);
  iz_guard_stop();
  iz_pool_stop();
  iz_vm_free(vm);
  for (int i = 0; i < 2; i++) iz_loop_turn(loop, false);
  iz_loop_free(loop);
}

enum { UNREACHED = 0, SURVIVED = 10, WRONG = 11, LASTING = 12, SETUP = 13 };

/* The child's life; its exit code. */
static int child(uint64_t n, bool again, bool loud) {
  alarm(HANG_SECONDS);
  if (event_reinit(iz_loop_base(loop)) != 0 || !iz_guard_start(NULL)) return SETUP;
  iz_alloc_fail(n, 0);
  run_touch();
  bool reached = iz_alloc_failed();
  seen = iz_alloc_seen();
  iz_alloc_fail(0, 0);
  if (loud) printf("# n = %lu\n%s", (unsigned long)n, failures);
  int code = wrong ? WRONG : reached ? SURVIVED : UNREACHED;
  if (code != WRONG && (again || !reached)) {
    run_touch();
    if (failures[0]) code = LASTING;
  }
  if (code == WRONG || code == LASTING)
    printf("# n = %lu%s:\n%s", (unsigned long)n, code == LASTING ? ", afterwards" : "", failures);
  fflush(stdout);
  end_world();
  return code;
}

/* The whole life of a program, from its first allocation on. */
static int cold_child(uint64_t n) {
  alarm(HANG_SECONDS);
  iz_run program = {.load = push_touch};
  failures[0] = 0;
  iz_alloc_fail(n, 0);
  iz_run_main(&program);
  bool reached = iz_alloc_failed();
  seen = iz_alloc_seen();
  iz_alloc_fail(0, 0);
  if (wrong) printf("# cold, n = %lu:\n%s", (unsigned long)n, failures);
  fflush(stdout);
  return wrong ? WRONG : reached ? SURVIVED : UNREACHED;
}

enum life { WARM, WARM_TWICE, COLD };

static int fork_child(uint64_t n, enum life life) {
  fflush(NULL);
  pid_t pid = fork();
  if (pid == 0) {
    if (!getenv("OOM_LOUD") && !freopen("/dev/null", "w", stderr)) _exit(SETUP);
    exit(life == COLD ? cold_child(n) : child(n, life == WARM_TWICE, false));
  }
  int status;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFSIGNALED(status)) {
    printf("# %sn = %lu: ended by signal %d%s\n", life == COLD ? "cold, " : "", (unsigned long)n,
           WTERMSIG(status), WTERMSIG(status) == SIGALRM ? " (it hung)" : "");
    return -1;
  }
  return WEXITSTATUS(status);
}

/* ---- a worker ---- */

static void put(const char *name, const char *text) {
  char path[128];
  snprintf(path, sizeof path, "%s/%s", dir, name);
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  fputs(text, f);
  fclose(f);
}

static void make_files(void) {
  char path[128];
  snprintf(dir, sizeof dir, "%s/iza-oom-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
  assert_non_null(mkdtemp(dir));
  snprintf(path, sizeof path, "%s/watched", dir);
  assert_int_equal(mkdir(path, 0700), 0);
  put("page.html", "<p>page</p>");
  put("main.lua", "local part = require 'part'\nreturn part\n");
  put("part.lua", "return {}\n");
  put("rules.lua", "local s = iza.hot{name = 'oom', keep = {}}\nreturn {minimum = 7, s = s}\n");
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at) {
  (void)st, (void)type, (void)at;
  return remove(path);
}

/* Everything loaded and run once; no thread left, so that it can be forked. */
static bool warm_up(void) {
  setlocale(LC_CTYPE, "C.UTF-8");
  iz_signals_no_sigpipe();
  make_files();
  loop = iz_loop_new(NULL);
  vm = iz_vm_new(loop, 0);
  vm->on_failure = note_failure;
  if (!iz_guard_start(NULL)) return false;
  lua_pushcfunction(vm->L, load_script);
  if (lua_pcall(vm->L, 0, 0, 0) != LUA_OK) {
    printf("# %s\n", lua_tostring(vm->L, -1));
    return false;
  }
  for (int i = 0; i < 2; i++) run_touch();
  iz_guard_stop();
  iz_pool_stop();
  if (failures[0]) printf("# with all memory:\n%s", failures);
  return !failures[0];
}

static uint64_t random_next(uint64_t *x) { /* splitmix64 */
  uint64_t z = (*x += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

static long env_number(const char *name, long fallback) {
  const char *text = getenv(name);
  return text ? strtol(text, NULL, 10) : fallback;
}

/* Allocations of an undisturbed run; 0 when it failed. */
static uint64_t count_all(enum life life) {
  int ends[2];
  uint64_t total = 0;
  if (pipe(ends) != 0) return 0;
  fflush(NULL);
  pid_t pid = fork();
  if (pid == 0) {
    if (!freopen("/dev/null", "w", stderr)) _exit(SETUP);
    if (life == COLD)
      cold_child(UINT64_MAX);
    else
      child(UINT64_MAX, false, false);
    total = seen;
    _exit(write(ends[1], &total, sizeof total) != sizeof total);
  }
  close(ends[1]);
  if (read(ends[0], &total, sizeof total) != sizeof total) total = 0;
  close(ends[0]);
  waitpid(pid, NULL, 0);
  return total;
}

/* Children until the time is up: each n of the warm script, then by turns a warm and a cold one.
 * Returns the number of bad ones. */
static int work(int me, uint64_t seed) {
  int64_t end = iz_now() + env_number("OOM_SECONDS", SECONDS) * IZ_SEC;
  uint64_t warm = count_all(WARM), cold = count_all(COLD), x = seed + (uint64_t)me;
  uint64_t n = (uint64_t)me + 1, each = EACH && warm > ALL_UP_TO ? ALL_UP_TO : EACH ? warm : 0;
  if (!warm || !cold) return printf("# an undisturbed run failed\n"), 1;
  int bad = 0, ran = 0;
  for (; iz_now() < end && bad < 20; ran++, n += WORKERS) {
    enum life life = n > each && ran % 2 ? COLD : ran % 8 ? WARM : WARM_TWICE;
    uint64_t at = n <= each ? n : random_next(&x) % (life == COLD ? cold : warm) + 1;
    int code = fork_child(at, life);
    if (code == SURVIVED || code == UNREACHED) continue;
    if (code > 0)
      printf("# %sn = %lu: exit code %d\n", life == COLD ? "cold, " : "", (unsigned long)at, code);
    bad++;
  }
  printf("# worker %d: %d runs, each n up to %lu; %lu allocations warm, %lu cold\n", me, ran,
         (unsigned long)(n < each ? n : each), (unsigned long)warm, (unsigned long)cold);
  return bad;
}

static void test_every_primitive(void **state) {
  (void)state;
  iz_log_set_level(IZ_OFF);
  uint64_t seed = (uint64_t)env_number("OOM_SEED", (long)(iz_now() & 0xffffff));
  printf("# OOM_SEED=%lu\n", (unsigned long)seed);
  fflush(NULL);
  pid_t pids[WORKERS];
  for (int i = 0; i < WORKERS; i++) {
    pids[i] = fork();
    if (pids[i] > 0) continue;
    int bad = warm_up() ? work(i, seed) : 1;
    fflush(stdout);
    nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    _exit(bad ? 1 : 0);
  }
  int failed = 0;
  for (int i = 0; i < WORKERS; i++) {
    int status;
    waitpid(pids[i], &status, 0);
    failed += status != 0;
  }
  assert_int_equal(failed, 0);
}

int main(void) {
  long n = env_number("OOM_N", 0);
  if (n > 0) return warm_up() ? child((uint64_t)n, true, true) : 1;
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_primitive)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
