/* test_width.c -- engine/term/width.c: columns of text, with every broken start and end of it. */
#include "base/alloc.h"
#include "term/width.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

static size_t width(const char *s) {
  return iz_text_width(s, strlen(s));
}

static void test_columns(void **state) {
  (void)state;
  assert_int_equal(width(""), 0);
  assert_int_equal(width("abc"), 3);
  assert_int_equal(width("日本"), 4);
  assert_int_equal(width("e\u0301"), 1);
  assert_int_equal(width("\U0001F44D\U0001F3FD"), 2);
  assert_int_equal(width("\U0001F1EB\U0001F1F7\U0001F1E9\U0001F1EA"), 4);
  assert_int_equal(width("\U0001F469\u200D\U0001F469\u200D\U0001F467"), 2);
  assert_int_equal(width("\u2764\uFE0F"), 2);
  assert_int_equal(width("\x1b[1;31mab\x1b[0m"), 2);
  assert_int_equal(width("\x1b[2J"), 4); /* no colour: shown as a mark */
  assert_int_equal(width("\xff\xc3"), 2);
}

/* Every cut of a text with everything in it: no read past the end (the sanitizers watch), and a fit
 * that is never wider than asked. */
static void test_every_cut(void **state) {
  (void)state;
  static const char all[] =
      "a\x1b[1;31m日\U0001F469\u200D\U0001F467e\u0301\x1b[\u2764\uFE0F\xf0\x9f"
      "\U0001F1EB\U0001F1F7\x01\t";
  for (size_t n = 0; n < sizeof all; n++) {
    char *copy = iz_strndup(all, n);
    char *tight = iz_alloc(n);
    assert_non_null(copy);
    assert_non_null(tight);
    memcpy(tight, copy, n);
    for (size_t columns = 0; columns < 20; columns++) {
      size_t fit = iz_text_fit(tight, n, columns);
      assert_true(fit <= n);
      assert_true(iz_text_width(tight, fit) <= columns);
    }
    iz_buf out = {0};
    assert_true(iz_text_clean(&out, tight, n));
    iz_buf_free(&out);
    iz_free(tight);
    iz_free(copy);
  }
}

static void test_clean(void **state) {
  (void)state;
  iz_buf out = {0};
  static const char dirty[] = "a\nb\tc\x1b[2J\x1b[31md\xff\xc2\x85";
  assert_true(iz_text_clean(&out, dirty, sizeof dirty - 1));
  assert_string_equal(iz_buf_cstr(&out), "a b c\uFFFD[2J\x1b[31md\uFFFD\uFFFD");
  iz_buf_free(&out);
  iz_alloc_fail(1, 1);
  assert_false(iz_text_clean(&out, "abc", 3));
  iz_alloc_fail(0, 0);
  iz_buf_free(&out);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_columns),
      cmocka_unit_test(test_every_cut),
      cmocka_unit_test(test_clean),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
