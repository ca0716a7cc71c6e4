/* test_watch.c -- engine/loop/watch.c on real folders: saves, trees, overflow, failing memory. */
#include "count_fds.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "loop/pool.h"
#include "loop/watch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LONG_QUIET (100 * IZ_MS) /* a busy machine must not cut a save in two */

static iz_loop *loop;
static char top[64];
static iz_watch *watch;
/* "kind path<from;" ... with paths relative to top; room for what overflows the kernel's queue */
static char log_text[256 * 1024];
static bool ready, failed;
static iz_err ready_err;

static const char *in_top(const char *name) {
  static char path[4][200];
  static int next;
  next = (next + 1) % 4;
  snprintf(path[next], sizeof path[0], "%s%s%s", top, *name ? "/" : "", name);
  return path[next];
}

static void put(const char *name, const char *text) {
  FILE *f = fopen(in_top(name), "w");
  assert_non_null(f);
  fputs(text, f);
  fclose(f);
}

static const char *below_top(const char *path) {
  return strncmp(path, top, strlen(top)) == 0 ? path + strlen(top) + (path[strlen(top)] == '/')
                                              : path;
}

static void on_change(void *ctx, const iz_change *c) {
  (void)ctx;
  size_t n = strlen(log_text);
  snprintf(log_text + n, sizeof log_text - n, "%s %s%s%s;", iz_change_name(c->kind),
           below_top(c->path), c->from ? "<" : "", c->from ? below_top(c->from) : "");
}

static void on_ready(void *ctx, const iz_err *err) {
  (void)ctx;
  ready = true;
  failed = err != NULL;
  if (err) ready_err = *err;
}

static int setup(void **state) {
  (void)state;
  snprintf(top, sizeof top, "/tmp/iz_watch_XXXXXX");
  log_text[0] = 0;
  ready = failed = false;
  watch = NULL;
  loop = iz_loop_new(NULL);
  if (loop) iz_loop_ref(loop); /* a turn waits only for a loop in use */
  return loop && mkdtemp(top) ? 0 : -1;
}

static void settle(void) {
  iz_pool_stop();
  for (int i = 0; i < 3; i++) iz_loop_turn(loop, false);
}

static int remove_one(const char *path, const struct stat *st, int what, struct FTW *at) {
  (void)st, (void)what, (void)at;
  return remove(path);
}

static int teardown(void **state) {
  (void)state;
  iz_watch_stop(watch);
  settle();
  iz_loop_free(loop);
  return nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static iz_watch_opts options(const char *name, bool recursive) {
  return (iz_watch_opts){.path = in_top(name),
                         .recursive = recursive,
                         .quiet_ns = LONG_QUIET,
                         .on_change = on_change,
                         .on_ready = on_ready};
}

static void nothing(iz_timer *t) {
  (void)t;
}

/* One turn that waits for 20 ms at most. */
static void turn(void) {
  iz_timer t = {0};
  if (!iz_timer_start(loop, &t, 20 * IZ_MS, nothing)) return;
  iz_loop_turn(loop, true);
  iz_timer_stop(loop, &t);
}

static void begin(const char *name, bool recursive) {
  iz_watch_opts o = options(name, recursive);
  iz_err err;
  watch = iz_watch_start(loop, &o, &err);
  if (!watch) fail_msg("%s", err.message);
  while (!ready) turn();
  assert_false(failed);
}

/* Turns the loop until `text` has been told, or for at most ten seconds. */
static void wait_for(const char *text) {
  int64_t end = iz_now() + 10 * IZ_SEC;
  while (!strstr(log_text, text)) {
    turn();
    if (iz_now() > end) fail_msg("waited for \"%s\", told: \"%s\"", text, log_text);
  }
}

/* A marker is made last; what is told before it is all there is. */
static void assert_told(const char *want) {
  put("zz_marker", "");
  wait_for("zz_marker");
  char *at = strstr(log_text, "created zz_marker");
  assert_non_null(at);
  *at = 0;
  assert_string_equal(log_text, want);
  log_text[0] = 0;
}

static void let_settle(void) {
  int64_t end = iz_now() + 3 * LONG_QUIET;
  while (iz_now() < end) turn();
}

static void test_each_way_to_save_is_one_change(void **state) {
  (void)state;
  put("a", "1");
  begin("", false);
  put("a", "2");
  let_settle();
  put(".a.tmp", "3");
  rename(in_top(".a.tmp"), in_top("a"));
  let_settle();
  rename(in_top("a"), in_top("a~"));
  put("a", "4");
  unlink(in_top("a~"));
  let_settle();
  assert_told("changed a;changed a;changed a;");
}

static void test_created_removed_moved(void **state) {
  (void)state;
  put("old", "");
  put("here", "");
  begin("", false);
  put("new", "");
  let_settle();
  unlink(in_top("old"));
  let_settle();
  rename(in_top("here"), in_top("there"));
  let_settle();
  assert_told("created new;removed old;moved there<here;");
}

static void test_new_folders_are_picked_up_with_what_is_in_them(void **state) {
  (void)state;
  mkdir(in_top("d"), 0755);
  mkdir(in_top(".git"), 0755);
  begin("", true);
  put("d/one", "");
  put(".git/index", "");
  let_settle();
  mkdir(in_top("d/e"), 0755);
  mkdir(in_top("d/e/f"), 0755);
  put("d/e/f/two", "");
  wait_for("created d/e/f/two");
  let_settle();
  log_text[0] = 0;
  put("d/e/f/two", "changed now");
  put("d/e/three", "");
  wait_for("changed d/e/f/two");
  wait_for("created d/e/three");
  assert_null(strstr(log_text, ".git/"));
}

static void test_a_moved_folder_is_followed_under_its_new_name(void **state) {
  (void)state;
  mkdir(in_top("d"), 0755);
  mkdir(in_top("d/e"), 0755);
  put("d/e/a", "");
  begin("", true);
  rename(in_top("d"), in_top("g"));
  wait_for("moved g<d");
  let_settle();
  log_text[0] = 0;
  put("g/e/a", "more");
  wait_for("changed g/e/a");
  assert_null(strstr(log_text, " d/"));
}

static void test_a_folder_without_recursion(void **state) {
  (void)state;
  mkdir(in_top("d"), 0755);
  begin("", false);
  put("d/one", "");
  let_settle();
  assert_told("");
}

static void test_one_file_replaced_and_its_neighbours_not_told(void **state) {
  (void)state;
  put("a", "");
  put("b", "");
  begin("a", false);
  put("b", "x");
  put("tmp", "y");
  rename(in_top("tmp"), in_top("a"));
  wait_for("changed a");
  let_settle();
  unlink(in_top("a"));
  wait_for("removed a");
  assert_string_equal(log_text, "changed a;removed a;");
}

static void test_a_file_behind_a_link(void **state) {
  (void)state;
  put("real", "");
  assert_int_equal(symlink("real", in_top("link")), 0);
  begin("link", false);
  put("real", "x");
  wait_for("changed link");
}

static void test_the_root_goes(void **state) {
  (void)state;
  mkdir(in_top("d"), 0755);
  begin("d", true);
  rmdir(in_top("d"));
  wait_for("removed d");
  mkdir(in_top("d"), 0755);
  wait_for("rescan d");
  put("d/x", "1");
  wait_for("d/x");
}

static void test_the_folder_of_a_file_is_made_anew(void **state) {
  (void)state;
  mkdir(in_top("d"), 0755);
  put("d/f", "1");
  begin("d/f", false);
  rename(in_top("d"), in_top("old"));
  mkdir(in_top("d"), 0755);
  put("d/f", "2");
  wait_for("rescan d/f");
  let_settle();
  put("d/f", "3");
  wait_for("changed d/f");
}

static void test_what_cannot_be_watched(void **state) {
  (void)state;
  iz_watch_opts o = options("nothing", false);
  iz_err err;
  assert_null(iz_watch_start(loop, &o, &err));
  assert_string_equal(err.code, "ENOENT");
  assert_non_null(strstr(err.message, "nothing"));
}

static void stop_in_callback(void *ctx, const iz_change *c) {
  on_change(ctx, c);
  iz_watch_stop(watch);
  watch = NULL;
}

static void test_stopped_by_its_own_callback_and_before_it_is_ready(void **state) {
  (void)state;
  iz_watch_opts o = options("", true);
  iz_watch *early = iz_watch_start(loop, &o, NULL);
  iz_watch_stop(early);
  o.on_change = stop_in_callback;
  watch = iz_watch_start(loop, &o, NULL);
  while (!ready) turn();
  put("a", "");
  put("b", "");
  wait_for("created");
  let_settle();
  assert_null(strstr(strchr(log_text, ';'), "created"));
}

/* More events than the kernel keeps while nobody reads. */
static void test_overflow_becomes_a_rescan(void **state) {
  (void)state;
  int most = 0;
  FILE *f = fopen("/proc/sys/fs/inotify/max_queued_events", "r");
  if (!f || fscanf(f, "%d", &most) != 1) fail();
  fclose(f);
  if (most > 100000) skip();
  mkdir(in_top("d"), 0755);
  begin("", true);
  char name[32];
  for (int i = 0; i < most / 2 + 10; i++) {
    snprintf(name, sizeof name, "d/%d", i);
    put(name, "x"); /* three events each */
  }
  wait_for("rescan ;");
  let_settle();
  log_text[0] = 0;
  put("d/0", "again");
  wait_for("changed d/0");
}

static void test_every_allocation_may_fail(void **state) {
  (void)state;
  mkdir(in_top("d"), 0755);
  int before = count_fds();
  bool failed_once;
  uint64_t n = 0;
  do {
    ready = failed = false;
    log_text[0] = 0;
    mkdir(in_top("d/e"), 0755);
    iz_watch_opts o = options("", true);
    o.quiet_ns = IZ_MS;
    iz_err err = {0};
    iz_alloc_fail(++n, 0);
    watch = iz_watch_start(loop, &o, &err);
    while (watch && !ready) turn();
    if (watch && !failed) {
      put("d/e/a", "");
      int64_t end = iz_now() + 10 * IZ_SEC;
      while (!strstr(log_text, "d/e/a") && !strstr(log_text, "rescan") && iz_now() < end) turn();
      assert_true(iz_now() < end);
    }
    failed_once = iz_alloc_failed();
    if (!watch) assert_string_equal(err.code, "oom");
    if (failed) assert_string_equal(ready_err.code, "oom");
    iz_alloc_fail(0, 0);
    iz_watch_stop(watch);
    watch = NULL;
    settle();
    unlink(in_top("d/e/a"));
    rmdir(in_top("d/e"));
    assert_int_equal(count_fds(), before);
  } while (failed_once);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_each_way_to_save_is_one_change),
      TEST(test_created_removed_moved),
      TEST(test_new_folders_are_picked_up_with_what_is_in_them),
      TEST(test_a_moved_folder_is_followed_under_its_new_name),
      TEST(test_a_folder_without_recursion),
      TEST(test_one_file_replaced_and_its_neighbours_not_told),
      TEST(test_a_file_behind_a_link),
      TEST(test_the_root_goes),
      TEST(test_the_folder_of_a_file_is_made_anew),
      TEST(test_what_cannot_be_watched),
      TEST(test_stopped_by_its_own_callback_and_before_it_is_ready),
      TEST(test_overflow_becomes_a_rescan),
      TEST(test_every_allocation_may_fail),
  };
  return cmocka_run_group_tests_name("watch", tests, NULL, NULL);
}
