/* test_workers.c -- engine/loop/workers.c: a parent in a process of its own, observed through
 * shared memory. */
#include "base/log.h"
#include "loop/workers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef struct board {
  atomic_int starts[4];
  atomic_int pids[4];
  atomic_int hups, terms;
  int mode;
} board;

enum { SERVE, END, CRASH_ONCE, FAIL };

static board *shared;

static void on_hup(int sig) {
  (void)sig;
  shared->hups++;
}
static void on_term(int sig) {
  (void)sig;
  shared->terms++;
  _exit(0);
}

static int child_main(void *ctx, int index) {
  board *b = ctx;
  signal(SIGHUP, on_hup);
  signal(SIGTERM, on_term);
  signal(SIGINT, on_term);
  b->pids[index] = getpid();
  int starts = ++b->starts[index];
  if (b->mode == END) return 0;
  if (b->mode == FAIL) return 7;
  if (b->mode == CRASH_ONCE && starts == 1) raise(SIGKILL);
  for (;;) pause();
}

static pid_t run(int n, int mode) {
  shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  assert_true(shared != MAP_FAILED);
  shared->mode = mode;
  iz_log_set_level(IZ_OFF);
  pid_t pid = fork();
  if (pid == 0) _exit(iz_workers_run(n, child_main, shared));
  return pid;
}

static int end_of(pid_t pid) {
  int how;
  assert_int_equal(waitpid(pid, &how, 0), pid);
  assert_true(WIFEXITED(how));
  munmap(shared, sizeof *shared);
  return WEXITSTATUS(how);
}

static void wait_until(atomic_int *n, int wanted) {
  for (int i = 0; i < 5000 && *n < wanted; i++)
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
  assert_true(*n >= wanted);
}

static void test_passes_signals_on(void **state) {
  (void)state;
  pid_t parent = run(2, SERVE);
  wait_until(&shared->starts[0], 1);
  wait_until(&shared->starts[1], 1);
  kill(parent, SIGHUP);
  wait_until(&shared->hups, 2);
  kill(parent, SIGTERM);
  wait_until(&shared->terms, 2);
  assert_int_equal(end_of(parent), 0);
}

static void test_interrupt(void **state) {
  (void)state;
  pid_t parent = run(1, SERVE);
  wait_until(&shared->starts[0], 1);
  kill(parent, SIGINT);
  wait_until(&shared->terms, 1);
  assert_int_equal(end_of(parent), 130);
}

static void test_restarts_who_crashed(void **state) {
  (void)state;
  pid_t parent = run(2, CRASH_ONCE);
  wait_until(&shared->starts[0], 2);
  wait_until(&shared->starts[1], 2);
  kill(parent, SIGTERM);
  assert_int_equal(end_of(parent), 0);
}

static void test_who_is_done_is_not_restarted(void **state) {
  (void)state;
  pid_t parent = run(3, END);
  assert_int_equal(end_of(parent), 0);
}

static void test_gives_up_on_an_error_that_repeats(void **state) {
  (void)state;
  pid_t parent = run(1, FAIL);
  wait_until(&shared->starts[0], 5);
  assert_int_equal(end_of(parent), 7);
}

static void test_workers_do_not_outlive_the_parent(void **state) {
  (void)state;
  pid_t parent = run(1, SERVE);
  wait_until(&shared->starts[0], 1);
  kill(parent, SIGKILL);
  wait_until(&shared->terms, 1);
  int how;
  waitpid(parent, &how, 0);
  munmap(shared, sizeof *shared);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_passes_signals_on),
      cmocka_unit_test(test_interrupt),
      cmocka_unit_test(test_restarts_who_crashed),
      cmocka_unit_test(test_who_is_done_is_not_restarted),
      cmocka_unit_test(test_gives_up_on_an_error_that_repeats),
      cmocka_unit_test(test_workers_do_not_outlive_the_parent),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
