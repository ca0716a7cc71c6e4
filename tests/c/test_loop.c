/* test_loop.c -- engine/loop/loop.c and pool.c: deferred calls, timers, virtual time, jobs. */
#include "base/alloc.h"
#include "base/clock.h"
#include "loop/loop.h"
#include "loop/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include <malloc.h>
#include <stdlib.h>

static int order[16], ordered;
static iz_loop *loop;

static void note(int n) {
  order[ordered++] = n;
}

static int setup(void **state) {
  (void)state;
  ordered = 0;
  loop = iz_loop_new(NULL);
  return loop ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  iz_loop_free(loop);
  iz_clock_real();
  return 0;
}

static iz_defer d1, d2;
static void run2(iz_defer *d) {
  (void)d;
  note(2);
}
static void run1(iz_defer *d) {
  note(1);
  if (ordered < 4) iz_loop_defer(loop, d);
}

static void test_defer_runs_in_order_and_new_ones_wait_a_turn(void **state) {
  (void)state;
  d1 = (iz_defer){.fn = run1};
  d2 = (iz_defer){.fn = run2};
  iz_loop_defer(loop, &d1);
  iz_loop_defer(loop, &d1);
  iz_loop_defer(loop, &d2);
  iz_loop_turn(loop, false);
  assert_int_equal(ordered, 2);
  assert_int_equal(order[0], 1);
  assert_int_equal(order[1], 2);
  iz_loop_undefer(loop, &d1);
  iz_loop_turn(loop, false);
  assert_int_equal(ordered, 2);
}

static iz_timer timers[100];
static int64_t last_due;
static int fired;
static void on_timer(iz_timer *t) {
  assert_true(t->due >= last_due);
  last_due = t->due;
  if (++fired == 50) iz_loop_unref(loop);
}

static void test_timers_fire_in_order_under_virtual_time(void **state) {
  (void)state;
  iz_clock_virtual(0);
  srand(7);
  fired = 0;
  last_due = 0;
  for (int i = 0; i < 100; i++) {
    timers[i] = (iz_timer){0};
    assert_true(iz_timer_start(loop, &timers[i], rand() % 1000 * IZ_SEC, on_timer));
  }
  for (int i = 0; i < 100; i += 2) iz_timer_stop(loop, &timers[i]);
  iz_loop_ref(loop);
  iz_loop_run(loop);
  assert_int_equal(fired, 50);
}

/* A million outstanding: they fire in order, and cost their place in the heap, not more. */
#define MANY 1000000

static void on_many(iz_timer *t) {
  assert_true(t->due >= last_due);
  last_due = t->due;
  if (++fired == MANY / 2) iz_loop_unref(loop);
}

static size_t in_use(void) {
  struct mallinfo2 m = mallinfo2();
  return m.uordblks + m.hblkhd;
}

static void test_a_million_timers(void **state) {
  (void)state;
  iz_clock_virtual(0);
  fired = 0;
  last_due = 0;
  iz_timer *many = calloc(MANY, sizeof *many);
  assert_non_null(many);
  size_t before = in_use();
  for (int i = 0; i < MANY; i++)
    assert_true(iz_timer_start(loop, &many[i], rand() % 1000 * IZ_SEC, on_many));
  assert_true(in_use() - before <= 16 << 20);
  for (int i = 0; i < MANY; i += 2) iz_timer_stop(loop, &many[i]);
  iz_loop_ref(loop);
  iz_loop_run(loop);
  assert_int_equal(fired, MANY / 2);
  for (int i = 0; i < MANY; i++) assert_false(iz_timer_running(&many[i]));
  free(many);
}

static void on_real_timer(iz_timer *t) {
  (void)t;
  iz_loop_unref(loop);
}

static void test_real_timer_is_not_early(void **state) {
  (void)state;
  iz_timer t = {0};
  int64_t t0 = iz_now();
  iz_timer_start(loop, &t, 20 * IZ_MS, on_real_timer);
  iz_loop_ref(loop);
  iz_loop_run(loop);
  assert_true(iz_now() - t0 >= 20 * IZ_MS);
}

static int jobs_done;
static void job_run(iz_job *job) {
  (void)job;
}
static void job_done(iz_job *job) {
  iz_free(job);
  if (++jobs_done == 1000) iz_loop_unref(loop);
}

static void test_pool_brings_every_job_back(void **state) {
  (void)state;
  jobs_done = 0;
  iz_loop_ref(loop);
  for (int i = 0; i < 1000; i++) {
    iz_job *job = iz_calloc(1, sizeof *job);
    job->run = job_run;
    job->done = job_done;
    assert_true(iz_pool_submit(loop, job));
  }
  iz_loop_run(loop);
  assert_int_equal(jobs_done, 1000);
  iz_pool_stop();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_defer_runs_in_order_and_new_ones_wait_a_turn, setup,
                                      teardown),
      cmocka_unit_test_setup_teardown(test_timers_fire_in_order_under_virtual_time, setup,
                                      teardown),
      cmocka_unit_test_setup_teardown(test_a_million_timers, setup, teardown),
      cmocka_unit_test_setup_teardown(test_real_timer_is_not_early, setup, teardown),
      cmocka_unit_test_setup_teardown(test_pool_brings_every_job_back, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
