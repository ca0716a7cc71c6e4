/* test_zone.c -- engine/time/zone.c: names that may reach the file system, and their files. */
#include "base/alloc.h"
#include "time/zone.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static void test_names(void **state) {
  (void)state;
  static const char *const good[] = {"UTC", "Europe/Paris", "America/Argentina/Buenos_Aires",
                                     "Etc/GMT+1", "EST5EDT"};
  static const char *const bad[] = {"",     "/etc/passwd", "..",    "../x", "a/../b", "a//b",
                                    "a/",   "a b",         "a.b",   "a\n",  "/",      "Zone\\x",
                                    "\xc3", "~root",       "a/./b", "%41"};
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) assert_true(iz_zone_name_ok(good[i]));
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_false(iz_zone_name_ok(bad[i]));
  char longest[IZ_ZONE_NAME_MAX + 2];
  memset(longest, 'a', sizeof longest);
  longest[IZ_ZONE_NAME_MAX + 1] = '\0';
  assert_false(iz_zone_name_ok(longest));
  longest[IZ_ZONE_NAME_MAX] = '\0';
  assert_true(iz_zone_name_ok(longest));
}

static void test_read(void **state) {
  (void)state;
  iz_buf b = {0};
  iz_err err;
  assert_true(iz_zone_read("Europe/Paris", &b, &err));
  assert_memory_equal(b.data, "TZif", 4);
  iz_buf_free(&b);
  assert_false(iz_zone_read("Europe/Atlantis", &b, &err));
  assert_string_equal(err.code, "not_found");
  assert_false(iz_zone_read("Europe", &b, &err)); /* a directory */
  assert_string_equal(err.code, "not_found");
  assert_false(iz_zone_read("Europe/Paris/x", &b, &err));
  assert_string_equal(err.code, "not_found");
  assert_false(iz_zone_read("../passwd", &b, &err));
  assert_string_equal(err.code, "invalid");
  iz_alloc_fail(1, 1);
  assert_false(iz_zone_read("Europe/Paris", &b, &err));
  assert_string_equal(err.code, "oom");
  iz_alloc_fail(0, 0);
  iz_buf_free(&b);
}

static void test_local_name(void **state) {
  (void)state;
  char name[IZ_ZONE_NAME_MAX + 1];
  setenv("TZ", ":America/New_York", 1);
  iz_zone_local(name);
  assert_string_equal(name, "America/New_York");
  setenv("TZ", "/etc/shadow", 1); /* not a name: the machine's setting holds */
  iz_zone_local(name);
  assert_true(iz_zone_name_ok(name));
  unsetenv("TZ");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_names),
      cmocka_unit_test(test_read),
      cmocka_unit_test(test_local_name),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
