/* test_appender.c -- engine/loop/appender.c: the loop never waits, nothing is lost or out of order
 * while it can be kept, and the end writes what is left. */
#include "base/buf.h"
#include "loop/appender.h"
#include "loop/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static iz_loop *loop;

static int setup(void **state) {
  (void)state;
  loop = iz_loop_new(NULL);
  return loop ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  iz_pool_stop();
  for (int i = 0; i < 2; i++) iz_loop_turn(loop, false);
  iz_loop_free(loop);
  return 0;
}

static void add_number(iz_appender *a, int i) {
  char line[128];
  int n = snprintf(line, sizeof line, "line %d %0100d\n", i, 0);
  assert_true(iz_appender_add(a, line, (size_t)n));
}

/* The numbers of the lines in text are 0 to count - 1. */
static void check_lines(const char *text, int count) {
  for (int i = 0; i < count; i++) {
    assert_non_null(text);
    assert_int_equal(strtol(text + 5, NULL, 10), i);
    text = strchr(text, '\n');
    assert_non_null(text);
    text++;
  }
  assert_string_equal(text, "");
}

static void read_all(int fd, iz_buf *out) {
  char piece[4096];
  ssize_t n;
  while ((n = read(fd, piece, sizeof piece)) > 0) iz_buf_add(out, piece, (size_t)n);
  iz_buf_cstr(out);
}

static void test_a_file_gets_all_in_order(void **state) {
  (void)state;
  char path[] = "/tmp/iza-appender-XXXXXX";
  int fd = mkstemp(path);
  iz_appender *a = iz_appender_new(loop, fd, NULL);
  for (int i = 0; i < 2000; i++) {
    add_number(a, i);
    if (i % 7 == 0) iz_loop_turn(loop, false);
  }
  iz_appender_close(a);
  iz_buf b = {0};
  lseek(fd, 0, SEEK_SET);
  read_all(fd, &b);
  check_lines(b.data, 2000);
  iz_buf_free(&b);
  close(fd);
  unlink(path);
}

static void test_a_pipe_that_nobody_reads_holds_nothing_up(void **state) {
  (void)state;
  int fds[2];
  assert_int_equal(pipe(fds), 0);
  iz_appender *a = iz_appender_new(loop, fds[1], NULL);
  close(fds[1]);
  for (int i = 0; i < 3000; i++) { /* 320 KB: more than a pipe takes */
    add_number(a, i);
    if (i % 50 == 0) iz_loop_turn(loop, false);
  }
  char big[4096];
  memset(big, 'x', sizeof big);
  int kept = 0;
  while (iz_appender_add(a, big, sizeof big)) kept++;
  assert_in_range(kept, 1, 256); /* then they are dropped */
  iz_buf b = {0};
  fcntl(fds[0], F_SETFL, O_NONBLOCK);
  while (b.len < 3000 * 108) {
    iz_loop_turn(loop, false);
    read_all(fds[0], &b);
  }
  char *rest = strchr(b.data, 'x');
  if (rest) *rest = 0;
  check_lines(b.data, 3000);
  iz_buf_free(&b);
  close(fds[0]); /* and now the reader is gone */
  iz_appender_close(a);
}

static void test_a_reader_that_comes_late_gets_what_was_kept(void **state) {
  (void)state;
  int fds[2];
  assert_int_equal(pipe(fds), 0);
  iz_appender *a = iz_appender_new(loop, fds[1], NULL);
  close(fds[1]);
  for (int i = 0; i < 100; i++) add_number(a, i);
  iz_appender_close(a); /* without a turn of the loop */
  iz_buf b = {0};
  read_all(fds[0], &b);
  check_lines(b.data, 100);
  iz_buf_free(&b);
  close(fds[0]);
}

static void test_a_full_disk_loses_lines_and_goes_on(void **state) {
  (void)state;
  int fd = open("/dev/full", O_WRONLY);
  iz_appender *a = iz_appender_new(loop, fd, NULL);
  close(fd);
  for (int i = 0; i < 100; i++) {
    add_number(a, i);
    iz_loop_turn(loop, false);
  }
  iz_appender_close(a);
  assert_null(iz_appender_new(loop, -1, &(iz_err){0}));
}

int main(void) {
  signal(SIGPIPE, SIG_IGN);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_a_file_gets_all_in_order, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_pipe_that_nobody_reads_holds_nothing_up, setup,
                                      teardown),
      cmocka_unit_test_setup_teardown(test_a_reader_that_comes_late_gets_what_was_kept, setup,
                                      teardown),
      cmocka_unit_test_setup_teardown(test_a_full_disk_loses_lines_and_goes_on, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
