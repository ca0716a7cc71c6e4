/* test_oom.c -- no memory, anywhere: tests/c/oom.lua touches every primitive with the n-th
 * allocation (the engine's, Lua's, libevent's) failing, for every n up to 5,000 and then
 * for a seeded sample of the rest and of whole programs from their first allocation on.
 *
 * Some workers each load everything and run the script twice, then fork a child for each n: it has
 * all modules, libraries and caches warm, so the failures fall on the work and not on loading. A
 * child must end by itself: no signal, no sanitizer report, no hang (alarm), no wrong answer; a
 * part that fails must say why. At its end the world is closed, and as many blocks must have been
 * given back as an undisturbed child gives back: one more or less is a leak. One of eight children
 * runs on behind the part that failed, and then the whole script again: everything must work.
 *
 * With sanitizers a child takes four times as long: there the sample is all, and LeakSanitizer sees
 * what is not ours (OpenSSL's memory, for example).
 *
 * OOM_N=n runs that one in the foreground. OOM_SECONDS is the sample's time, OOM_SEED its seed,
 * OOM_FROM and OOM_UP_TO are the first and the last n of those that are all run, OOM_COLD=1 runs
 * whole programs for them; OOM_LOUD=1 shows what the children say.
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

#define WORKERS 4
#define HANG_SECONDS 20
#define SAMPLE_SECONDS 40

#ifdef __SANITIZE_ADDRESS__
#define EACH_UP_TO 0
#else
#define EACH_UP_TO 5000
#endif

static char dir[64];
static iz_loop *loop;
static iz_vm *vm;
static char key_touch;
static char failures[4096]; /* what the script's parts reported in this run */
static bool wrong;
static bool stop_early; /* once the allocation has failed and its part is over */
/* Of a run: its allocations, and blocks taken less those given back, at the end of the world. */
typedef struct tally {
  uint64_t seen;
  int64_t live;
} tally;
static tally undisturbed[2]; /* warm, cold */

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

static int l_is_enough(lua_State *L) {
  lua_pushboolean(L, stop_early && iz_alloc_failed());
  return 1;
}

/* Pushes the script's function. */
static int push_touch(lua_State *L, void *ctx) {
  (void)ctx;
  static const luaL_Reg functions[] = {{"send", l_send},           {"recv", l_recv},
                                       {"close", l_close},         {"failed", l_failed},
                                       {"is_enough", l_is_enough}, {NULL, NULL}};
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

enum { UNREACHED = 0, SURVIVED = 10, WRONG, LASTING, LEAK, SETUP };
enum life { WARM, WARM_TWICE, COLD };

static const char *life_name(enum life life) {
  return life == COLD ? "cold, " : "";
}

/* The child's life; its exit code. */
static int warm_child(uint64_t n, bool again, bool loud, tally *t) {
  if (event_reinit(iz_loop_base(loop)) != 0 || !iz_guard_start(NULL)) return SETUP;
  stop_early = !again;
  iz_alloc_fail(n, 0);
  run_touch();
  bool reached = iz_alloc_failed();
  t->seen = iz_alloc_seen();
  iz_alloc_fail(UINT64_MAX, 0);
  if (loud) printf("# n = %lu\n%s", (unsigned long)n, failures);
  int code = wrong ? WRONG : reached ? SURVIVED : UNREACHED;
  if (code != WRONG && (again || !reached)) {
    run_touch();
    if (failures[0]) code = LASTING;
  }
  end_world();
  return code;
}

/* The whole life of a program, from its first allocation on. */
static int cold_child(uint64_t n, tally *t) {
  iz_run program = {.load = push_touch};
  failures[0] = 0;
  iz_alloc_fail(n, 0);
  iz_run_main(&program);
  t->seen = iz_alloc_seen();
  return wrong ? WRONG : iz_alloc_failed() ? SURVIVED : UNREACHED;
}

/* Runs one and says what was wrong with it. */
static int run_child(uint64_t n, enum life life, bool loud, tally *t) {
  alarm(HANG_SECONDS);
  int code = life == COLD ? cold_child(n, t) : warm_child(n, life == WARM_TWICE, loud, t);
  t->live = iz_alloc_live();
  iz_alloc_fail(0, 0);
  const tally *expected = &undisturbed[life == COLD];
  if (code == SURVIVED && life != COLD && expected->seen && t->live != expected->live) code = LEAK;
  if (code > SURVIVED)
    printf("# %sn = %lu: %s %ld\n%s", life_name(life), (unsigned long)n,
           code == WRONG     ? "wrong"
           : code == LASTING ? "a lasting failure"
           : code == LEAK    ? "blocks leaked:"
                             : "not set up",
           (long)(t->live - expected->live), failures);
  fflush(stdout);
  return code;
}

static int fork_child(uint64_t n, enum life life) {
  fflush(NULL);
  pid_t pid = fork();
  if (pid == 0) {
    tally t;
    if (!getenv("OOM_LOUD") && !freopen("/dev/null", "w", stderr)) _exit(SETUP);
    exit(run_child(n, life, false, &t));
  }
  int status;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFSIGNALED(status)) return WEXITSTATUS(status);
  printf("# %sn = %lu: ended by signal %d%s\n", life_name(life), (unsigned long)n, WTERMSIG(status),
         WTERMSIG(status) == SIGALRM ? " (it hung)" : "");
  return -1;
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
  for (const char **name = (const char *[]){"watched", "folder", NULL}; *name; name++) {
    snprintf(path, sizeof path, "%s/%s", dir, *name);
    assert_int_equal(mkdir(path, 0700), 0);
  }
  put("folder/index.html", "<p>index</p>");
  put("page.html", "<p>page</p>");
  put("main.lua", "local part = require 'part'\nreturn part\n");
  put("part.lua", "return {}\n");
  put("bad.csv", "n\nx\n");
  put("rules.lua", "local s = iza.hot{name = 'oom', keep = {}}\nreturn {minimum = 7, s = s}\n");
}

/* A certificate for the server: the openssl of the test packages makes it. */
static bool make_certificate(void) {
  char command[512];
  snprintf(command, sizeof command,
           "cd %s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
           "-subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out cert.pem "
           "2>/dev/null",
           dir);
  return system(command) == 0;
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
  if (!make_certificate()) {
    printf("# no certificate: is openssl installed?\n");
    return false;
  }
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

/* What an undisturbed run does; false when it failed. */
static bool count(enum life life) {
  int ends[2];
  tally *t = &undisturbed[life == COLD];
  if (pipe(ends) != 0) return false;
  fflush(NULL);
  pid_t pid = fork();
  if (pid == 0) {
    if (!freopen("/dev/null", "w", stderr)) _exit(SETUP);
    if (run_child(UINT64_MAX, life, false, t) != UNREACHED) _exit(WRONG);
    _exit(write(ends[1], t, sizeof *t) != sizeof *t);
  }
  close(ends[1]);
  bool ok = read(ends[0], t, sizeof *t) == sizeof *t;
  close(ends[0]);
  waitpid(pid, NULL, 0);
  return ok;
}

static int bad; /* children that did not end well */

static void try(uint64_t n, enum life life) {
  int code = fork_child(n, life);
  if (code == SURVIVED || code == UNREACHED) return;
  if (code > 0) printf("# %sn = %lu: exit code %d\n", life_name(life), (unsigned long)n, code);
  bad++;
}

/* The n that fall to this worker: each one up to a limit, then a sample of all, warm and cold by
 * turns. */
static void work(int me, uint64_t seed) {
  const tally *warm = &undisturbed[0], *cold = &undisturbed[1];
  enum life life = env_number("OOM_COLD", 0) ? COLD : WARM;
  uint64_t most = undisturbed[life == COLD].seen, x = seed + (uint64_t)me;
  uint64_t up_to = (uint64_t)env_number("OOM_UP_TO", life == COLD ? (long)most : EACH_UP_TO);
  uint64_t n = (uint64_t)(me + env_number("OOM_FROM", 1)), last = up_to < most ? up_to : most;
  for (; n <= last && bad < 20; n += WORKERS)
    try(n, life == WARM && n / WORKERS % 8 == 0 ? WARM_TWICE : life);
  int64_t end = iz_now() + env_number("OOM_SECONDS", SAMPLE_SECONDS) * IZ_SEC;
  int sampled = 0;
  for (; iz_now() < end && bad < 20; sampled++) {
    life = sampled % 2 ? COLD : sampled % 8 ? WARM : WARM_TWICE;
    try(random_next(&x) % undisturbed[life == COLD].seen + 1, life);
  }
  printf("# worker %d: its part of each n up to %lu and %d of the sample; %lu allocations warm, "
         "%lu cold\n",
         me, (unsigned long)last, sampled, (unsigned long)warm->seen, (unsigned long)cold->seen);
}

static int worker(int me, uint64_t seed) {
  if (warm_up() && count(WARM) && count(COLD))
    work(me, seed);
  else
    bad = printf("# an undisturbed run failed\n");
  fflush(stdout);
  nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
  return bad ? 1 : 0;
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
    if (pids[i] == 0) _exit(worker(i, seed));
  }
  int failed = 0;
  for (int i = 0; i < WORKERS; i++) {
    int status;
    waitpid(pids[i], &status, 0);
    failed += status != 0;
  }
  assert_int_equal(failed, 0);
}

static int fail_to_load(lua_State *L, void *ctx) {
  (void)ctx;
  return luaL_error(L,
                    "there is no such script; its report is longer than what a state keeps anyway");
}

/* A program that cannot begin says so with less memory, too. */
static void test_start_that_fails(void **state) {
  (void)state;
  iz_run program = {.load = fail_to_load};
  bool reached = true;
  for (uint64_t n = 1; reached; n++) {
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
      if (!freopen("/dev/null", "w", stderr)) _exit(SETUP);
      iz_alloc_fail(n, 0);
      int status = iz_run_main(&program);
      exit(status != 1 ? WRONG : iz_alloc_failed() ? SURVIVED : UNREACHED);
    }
    int status;
    waitpid(pid, &status, 0);
    assert_true(WIFEXITED(status));
    reached = WEXITSTATUS(status) == SURVIVED;
    assert_true(reached || WEXITSTATUS(status) == UNREACHED);
  }
}

int main(void) {
  long n = env_number("OOM_N", 0);
  tally t;
  if (n > 0) return warm_up() ? run_child((uint64_t)n, WARM_TWICE, true, &t) : 1;
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_start_that_fails),
                                     cmocka_unit_test(test_every_primitive)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
