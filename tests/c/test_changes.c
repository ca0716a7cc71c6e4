/* test_changes.c -- engine/loop/changes.c: how editors save, and what is told of it. */
#include "base/alloc.h"
#include "base/clock.h"
#include "loop/changes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static iz_changes *c;
static int64_t now;

static int setup(void **state) {
  (void)state;
  now = IZ_SEC;
  c = iz_changes_new(10 * IZ_MS);
  return c ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  iz_changes_free(c);
  return 0;
}

static void add(iz_raw_event ev, const char *path, uint32_t cookie) {
  iz_changes_add(c, now, ev, path, cookie);
  now += IZ_MS;
}

/* All that is told within a second, as "kind path<from ..." */
static const char *told(void) {
  static char text[1000];
  text[0] = 0;
  iz_change change;
  while (iz_changes_pop(c, now + IZ_SEC, &change)) {
    size_t n = strlen(text);
    snprintf(text + n, sizeof text - n, "%s%s %s%s%s", n ? ", " : "", iz_change_name(change.kind),
             change.path ? change.path : "", change.from ? "<" : "",
             change.from ? change.from : "");
  }
  assert_true(iz_changes_due(c) == INT64_MAX);
  return text;
}

static void test_write_in_place(void **state) {
  (void)state;
  add(IZ_RAW_WRITING, "a", 0);
  add(IZ_RAW_WRITING, "a", 0);
  add(IZ_RAW_SAVED, "a", 0);
  assert_true(iz_changes_due(c) == now - IZ_MS + 10 * IZ_MS);
  assert_string_equal(told(), "changed a");
}

static void test_temporary_file_renamed_over(void **state) {
  (void)state;
  add(IZ_RAW_BORN, ".a.tmp", 0);
  add(IZ_RAW_WRITING, ".a.tmp", 0);
  add(IZ_RAW_SAVED, ".a.tmp", 0);
  add(IZ_RAW_LEFT, ".a.tmp", 7);
  add(IZ_RAW_CAME, "a", 7);
  assert_string_equal(told(), "changed a");
}

static void test_old_file_moved_away_first(void **state) {
  (void)state;
  add(IZ_RAW_BORN, "4913", 0);
  add(IZ_RAW_SAVED, "4913", 0);
  add(IZ_RAW_GONE, "4913", 0);
  add(IZ_RAW_LEFT, "a", 3);
  add(IZ_RAW_CAME, "a~", 3);
  add(IZ_RAW_BORN, "a", 0);
  add(IZ_RAW_WRITING, "a", 0);
  add(IZ_RAW_SAVED, "a", 0);
  add(IZ_RAW_GONE, "a~", 0);
  assert_string_equal(told(), "changed a");
}

static void test_created_removed_and_both(void **state) {
  (void)state;
  add(IZ_RAW_BORN, "new", 0);
  add(IZ_RAW_SAVED, "new", 0);
  add(IZ_RAW_GONE, "old", 0);
  add(IZ_RAW_BORN, "brief", 0);
  add(IZ_RAW_GONE, "brief", 0);
  assert_string_equal(told(), "created new, removed old");
}

static void test_a_rename_is_told_once(void **state) {
  (void)state;
  add(IZ_RAW_LEFT, "a", 5);
  add(IZ_RAW_CAME, "b", 5);
  assert_string_equal(told(), "moved b<a");
}

static void test_a_rename_then_a_removal(void **state) {
  (void)state;
  add(IZ_RAW_LEFT, "a", 5);
  add(IZ_RAW_CAME, "b", 5);
  add(IZ_RAW_GONE, "b", 0);
  assert_string_equal(told(), "removed a");
}

static void test_from_and_to_outside(void **state) {
  (void)state;
  add(IZ_RAW_LEFT, "a", 5);
  add(IZ_RAW_CAME, "b", 6);
  assert_string_equal(told(), "created b, removed a");
}

static void test_a_file_that_is_never_closed_is_told(void **state) {
  (void)state;
  iz_change change;
  int64_t start = now;
  while (!iz_changes_pop(c, now, &change)) {
    add(IZ_RAW_WRITING, "log", 0);
    assert_true(now < start + 2 * IZ_SEC);
  }
  assert_true(now - start >= 400 * IZ_MS);
  assert_string_equal(change.path, "log");
}

static void test_too_many_paths_become_a_rescan(void **state) {
  (void)state;
  char path[16];
  for (int i = 0; i <= IZ_CHANGES_MOST; i++) {
    snprintf(path, sizeof path, "%d", i);
    iz_changes_add(c, now, IZ_RAW_SAVED, path, 0);
  }
  assert_string_equal(told(), "rescan ");
  add(IZ_RAW_SAVED, "a", 0);
  assert_string_equal(told(), "changed a");
}

static void test_no_memory_becomes_a_rescan(void **state) {
  (void)state;
  for (uint64_t n = 1;; n++) {
    iz_alloc_fail(n, 0);
    add(IZ_RAW_LEFT, "a", 5);
    add(IZ_RAW_CAME, "b", 5);
    bool failed = iz_alloc_failed();
    iz_alloc_fail(0, 0);
    assert_string_equal(told(), failed ? "rescan " : "moved b<a");
    if (!failed) break;
  }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_write_in_place),
      TEST(test_temporary_file_renamed_over),
      TEST(test_old_file_moved_away_first),
      TEST(test_created_removed_and_both),
      TEST(test_a_rename_is_told_once),
      TEST(test_a_rename_then_a_removal),
      TEST(test_from_and_to_outside),
      TEST(test_a_file_that_is_never_closed_is_told),
      TEST(test_too_many_paths_become_a_rescan),
      TEST(test_no_memory_becomes_a_rescan),
  };
  return cmocka_run_group_tests_name("changes", tests, NULL, NULL);
}
