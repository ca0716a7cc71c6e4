/* test_signals.c -- engine/loop/signals.c: each case in a process of its own, signalled for real.
 */
#include "base/clock.h"
#include "loop/signals.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static iz_loop *loop;
static int heard[NSIG];

static void on_signal(void *ctx, int sig) {
  heard[sig]++;
  if (ctx) iz_loop_stop(loop);
}

/* Runs `body` in a child and returns what waitpid says; a child that hangs is killed by its alarm.
 */
static int in_child(void (*body)(void)) {
  pid_t pid = fork();
  if (pid == 0) {
    alarm(20);
    loop = iz_loop_new(NULL);
    body();
    iz_loop_free(loop);
    _exit(0);
  }
  int status;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  return status;
}

static void expect(bool ok, int code) {
  if (!ok) _exit(code);
}

static void run_until_told(void) {
  iz_loop_ref(loop);
  iz_loop_run(loop);
  iz_loop_unref(loop);
}

static void each_is_told(void) {
  expect(iz_signals_start(loop, on_signal, loop, NULL), 2);
  kill(getpid(), SIGINT);
  run_until_told();
  expect(heard[SIGINT] == 1, 3);
  expect(iz_signals_stop_asked(), 4);
  iz_signals_answered();
  expect(!iz_signals_stop_asked(), 5);
  kill(getpid(), SIGINT);
  run_until_told();
  expect(heard[SIGINT] == 2, 6);
  iz_signals_answered();
  static const int final[] = {SIGTERM, SIGHUP};
  for (int i = 0; i < 2; i++) {
    kill(getpid(), final[i]);
    run_until_told();
    expect(heard[final[i]] == 1, 7 + i);
  }
  iz_signals_answered();
  expect(iz_signals_stop_asked(), 9); /* nothing takes these back */
  iz_signals_stop();
}

static void test_each_signal_is_told_on_the_loop(void **state) {
  (void)state;
  assert_int_equal(in_child(each_is_told), 0);
}

/* A computation asks for them without a turn of the loop. */
static void delivered(void) {
  expect(iz_signals_start(loop, on_signal, loop, NULL), 2);
  kill(getpid(), SIGTERM);
  expect(heard[SIGTERM] == 0, 3);
  iz_signals_deliver();
  expect(heard[SIGTERM] == 1, 4);
  iz_signals_deliver();
  expect(heard[SIGTERM] == 1, 5);
  iz_signals_stop();
}

static void test_a_computation_takes_what_came(void **state) {
  (void)state;
  assert_int_equal(in_child(delivered), 0);
}

/* Standard output a pipe: with a reader a broken pipe elsewhere is nothing, without it is told. */
static void pipes(void) {
  int out[2], other[2];
  expect(pipe(out) == 0 && pipe(other) == 0 && dup2(out[1], STDOUT_FILENO) >= 0, 2);
  expect(iz_signals_start(loop, on_signal, loop, NULL), 3);
  close(other[0]);
  expect(write(other[1], "x", 1) < 0 && errno == EPIPE && !iz_signals_stop_asked(), 4);
  close(out[0]);
  expect(write(STDOUT_FILENO, "x", 1) < 0 && errno == EPIPE && iz_signals_stop_asked(), 5);
  run_until_told();
  expect(heard[SIGPIPE] == 1, 6);
  iz_signals_stop();
}

static void test_output_without_a_reader_is_told(void **state) {
  (void)state;
  assert_int_equal(in_child(pipes), 0);
}

static void wakes(void) {
  expect(iz_signals_start(loop, on_signal, loop, NULL), 2);
  pid_t me = getpid();
  if (fork() == 0) {
    usleep(50000);
    kill(me, SIGTERM);
    _exit(0);
  }
  run_until_told();
  expect(heard[SIGTERM] == 1, 3);
  wait(NULL);
  iz_signals_stop();
}

static void test_a_sleeping_loop_wakes(void **state) {
  (void)state;
  assert_int_equal(in_child(wakes), 0);
}

/* The loop never turns: the second must not need it. */
static void stuck(void) {
  expect(iz_signals_start(loop, on_signal, NULL, NULL), 2);
  kill(getpid(), SIGINT);
  expect(iz_signals_stop_asked(), 3);
  kill(getpid(), SIGINT);
  _exit(4);
}

static void test_the_second_interrupt_ends_a_stuck_process(void **state) {
  (void)state;
  int status = in_child(stuck);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 130);
}

static void stopped(void) {
  expect(iz_signals_start(loop, on_signal, NULL, NULL), 2);
  iz_signals_stop();
  kill(getpid(), SIGTERM);
  _exit(3);
}

static void test_stop_puts_the_old_handlers_back(void **state) {
  (void)state;
  int status = in_child(stopped);
  assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

static void ignored_before(void) {
  signal(SIGHUP, SIG_IGN);
  signal(SIGINT, SIG_IGN);
  expect(iz_signals_start(loop, on_signal, NULL, NULL), 2);
  for (int i = 0; i < 3; i++) {
    kill(getpid(), SIGHUP);
    kill(getpid(), SIGINT);
  }
  iz_loop_turn(loop, false);
  expect(heard[SIGHUP] == 0 && heard[SIGINT] == 0, 3);
  iz_signals_stop();
}

static void test_nohup_is_respected(void **state) {
  (void)state;
  assert_int_equal(in_child(ignored_before), 0);
}

static void broken_pipe(void) {
  expect(iz_signals_start(loop, on_signal, NULL, NULL), 2);
  int ends[2];
  expect(pipe(ends) == 0, 3);
  close(ends[0]);
  expect(write(ends[1], "x", 1) < 0 && errno == EPIPE, 4);
  /* As os.execute does. NOLINTNEXTLINE(cert-env33-c) */
  expect(system("grep -q 'SigIgn:.*0000$' /proc/self/status && "
                "grep -q 'SigBlk:.*0000$' /proc/self/status") == 0,
         5);
  iz_signals_stop();
}

static void test_sigpipe_is_an_error_and_no_child_inherits_it(void **state) {
  (void)state;
  assert_int_equal(in_child(broken_pipe), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_each_signal_is_told_on_the_loop),
      cmocka_unit_test(test_a_computation_takes_what_came),
      cmocka_unit_test(test_output_without_a_reader_is_told),
      cmocka_unit_test(test_a_sleeping_loop_wakes),
      cmocka_unit_test(test_the_second_interrupt_ends_a_stuck_process),
      cmocka_unit_test(test_stop_puts_the_old_handlers_back),
      cmocka_unit_test(test_nohup_is_respected),
      cmocka_unit_test(test_sigpipe_is_an_error_and_no_child_inherits_it),
  };
  return cmocka_run_group_tests_name("signals", tests, NULL, NULL);
}
