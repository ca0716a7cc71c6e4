/* test_json.c -- engine/json without Lua: tokens, positions, numbers, strings, memory. */
#include "base/alloc.h"
#include "json/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static iz_buf scratch;

/* Reads to the end or the first error; returns the last token's type. */
static iz_json_type drain(iz_json *j, const char *s, size_t n, unsigned depth) {
  iz_json_begin(j, s, n, depth, &scratch);
  iz_json_type t;
  do {
    t = iz_json_next(j);
  } while (t > IZ_JSON_END);
  return t;
}

static void assert_error(const char *s, const char *message) {
  iz_json j;
  iz_err err;
  assert_int_equal(drain(&j, s, strlen(s), IZ_JSON_DEPTH), IZ_JSON_ERROR);
  assert_int_equal(iz_json_next(&j), IZ_JSON_ERROR);
  assert_false(iz_json_error(&j, &err));
  assert_string_equal(err.code, "invalid");
  assert_string_equal(err.message, message);
}

static void tokens(void **state) {
  (void)state;
  static const char text[] =
      " {\"a\" : [1, -2.5, \"x\\n\\u00e9\\ud83d\\ude00\", true, false, null], \"b\":{}} ";
  static const iz_json_type want[] = {
      IZ_JSON_OBJECT, IZ_JSON_KEY,    IZ_JSON_ARRAY,      IZ_JSON_INT,        IZ_JSON_FLOAT,
      IZ_JSON_STRING, IZ_JSON_TRUE,   IZ_JSON_FALSE,      IZ_JSON_NULL,       IZ_JSON_ARRAY_END,
      IZ_JSON_KEY,    IZ_JSON_OBJECT, IZ_JSON_OBJECT_END, IZ_JSON_OBJECT_END, IZ_JSON_END};
  iz_json j;
  iz_json_begin(&j, text, sizeof text - 1, IZ_JSON_DEPTH, &scratch);
  for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
    assert_int_equal(iz_json_next(&j), want[i]);
    if (i == 2) assert_false(j.in_object);
    if (i == 3) assert_int_equal(j.i, 1);
    if (i == 4) assert_true(j.f == -2.5);
    if (i == 5) {
      assert_int_equal(j.n, 8);
      assert_memory_equal(j.s, "x\n\xc3\xa9\xf0\x9f\x98\x80", 8);
    }
    if (i == 9) assert_true(j.in_object);
  }
  assert_int_equal(iz_json_next(&j), IZ_JSON_END);
}

static void positions(void **state) {
  (void)state;
  assert_error("[1,\n  2,\n  ?]", "3:3: expected a value, found '?'");
  assert_error("{\"日本\": é}", "1:8: expected a value, found the byte 0xc3");
  assert_error("[1 2]", "1:4: expected ',' or ']', found '2'");
  assert_error("{\"a\":1 \"b\"}", "1:8: expected ',' or '}', found '\"'");
  assert_error("{\"a\" 1}", "1:6: expected ':', found '1'");
  assert_error("{a:1}", "1:2: expected a string key or '}', found 'a'");
  assert_error("[1]]", "1:4: expected the end of the text, found ']'");
  assert_error("", "1:1: expected a value, found the end of the text");
  assert_error("\"a\nb\"",
               "1:3: expected an escape instead of a control character, found the byte 0x0a");
  assert_error("\"\xff\"", "1:2: expected valid UTF-8, found the byte 0xff");
  assert_error("\"\\ud800\"", "1:2: expected a pair of surrogates, found '\\'");
  assert_error("\xef\xbb\xbf{}",
               "1:1: expected a value without a byte order mark before it, found the byte 0xef");
  assert_error("01", "1:1: expected a number without leading zeros, found '0'");
  assert_error("1e400", "1:1: expected a number within the range of a double, found '1'");
}

/* Every prefix of a text is read from memory that ends where the prefix ends, so that a sanitizer
 * sees any look beyond. */
static void prefixes(void **state) {
  (void)state;
  static const char text[] =
      "{\"k\":[\"\\ud83d\\ude00 \xe2\x82\xac\xf0\x9f\x98\x80 abcdefgh\",-12.5e+3,true,null]}";
  size_t n = sizeof text - 1;
  for (size_t len = 0; len <= n; len++) {
    char *copy = malloc(len + 1);
    char *at = copy + 1; /* unaligned */
    iz_json j;
    iz_err err;
    memcpy(at, text, len);
    assert_int_equal(drain(&j, at, len, 10), len == n ? IZ_JSON_END : IZ_JSON_ERROR);
    if (j.bad) iz_json_error(&j, &err);
    free(copy);
  }
}

static void depth(void **state) {
  (void)state;
  size_t n = 100000;
  char *text = malloc(2 * n);
  memset(text, '[', n);
  memset(text + n, ']', n);
  iz_json j;
  assert_int_equal(drain(&j, text, 2 * n, IZ_JSON_DEPTH), IZ_JSON_ERROR);
  assert_ptr_equal(j.bad, text + IZ_JSON_DEPTH);
  assert_int_equal(drain(&j, text, 2 * n, 1u << 30), IZ_JSON_ERROR);
  assert_ptr_equal(j.bad, text + IZ_JSON_DEPTH_MAX);
  assert_int_equal(drain(&j, text + n - IZ_JSON_DEPTH, 2 * IZ_JSON_DEPTH, IZ_JSON_DEPTH),
                   IZ_JSON_END);
  free(text);
}

static uint64_t seed = 88172645463325252u;
static uint64_t rnd(void) {
  seed ^= seed << 13;
  seed ^= seed >> 7;
  seed ^= seed << 17;
  return seed;
}

static double read_number(const char *s) {
  iz_json j;
  iz_json_begin(&j, s, strlen(s), 1, &scratch);
  iz_json_type t = iz_json_next(&j);
  assert_true(t == IZ_JSON_FLOAT || t == IZ_JSON_INT);
  return t == IZ_JSON_INT ? (double)j.i : j.f;
}

/* Fewest significant digits that strtod reads back as f. */
static int fewest(double f) {
  char s[40];
  int p = 1;
  do {
    snprintf(s, sizeof s, "%.*e", p - 1, f);
  } while (strtod(s, NULL) != f && p++ < 17);
  return p;
}

static int significant(const char *s) {
  int n = 0, zeros = 0;
  for (; *s && *s != 'e'; s++) {
    if (*s < '0' || *s > '9' || (n == 0 && *s == '0')) continue;
    n++;
    zeros = *s == '0' ? zeros + 1 : 0;
  }
  return n - zeros;
}

static void assert_round_trip(double f) {
  iz_buf b = {0};
  assert_true(iz_json_put_float(&b, f));
  const char *s = iz_buf_cstr(&b);
  double back = strtod(s, NULL), ours = read_number(s);
  assert_memory_equal(&back, &f, sizeof f);
  assert_memory_equal(&ours, &f, sizeof f);
  assert_true(strpbrk(s, ".e") != NULL);
  if (f != 0) assert_true(significant(s) <= fewest(f)); /* fewer: at a power of two */
  iz_buf_free(&b);
}

static void floats_are_shortest_and_exact(void **state) {
  (void)state;
  static const double edges[] = {0.0,
                                 -0.0,
                                 1.0,
                                 0.1,
                                 0.1 + 0.2,
                                 1e15,
                                 1e16,
                                 1e17,
                                 1e22,
                                 1e23,
                                 5e-324,
                                 2.2250738585072011e-308,
                                 2.2250738585072014e-308,
                                 1.7976931348623157e308,
                                 9007199254740993.0,
                                 123456789012345.0,
                                 1e-4,
                                 1e-5,
                                 9.5,
                                 4.35,
                                 0.3,
                                 2e-310};
  for (size_t i = 0; i < sizeof edges / sizeof *edges; i++) assert_round_trip(edges[i]);
  for (int e = -1074; e < 1024; e++) assert_round_trip(ldexp(1.0, e));
  for (int i = 0; i < 20000; i++) {
    uint64_t bits = rnd();
    double f;
    memcpy(&f, &bits, sizeof f);
    if (isfinite(f)) assert_round_trip(f);
    assert_round_trip((double)(int64_t)(rnd() >> 40) / 1000);
  }
}

static void decimals_are_read_exactly(void **state) {
  (void)state;
  for (int i = 0; i < 50000; i++) {
    char s[64];
    uint64_t w = rnd() >> rnd() % 60;
    int q = i % 2 ? (int)(rnd() % 620) - 330 : (int)(rnd() % 30) - 20;
    snprintf(s, sizeof s, "%llue%d", (unsigned long long)w, q);
    double want = strtod(s, NULL);
    if (!isfinite(want)) continue;
    double got = read_number(s);
    assert_memory_equal(&got, &want, sizeof got);
  }
  assert_true(read_number("125798105041802110e-1") == 12579810504180212.0); /* halfway: to even */
  assert_true(read_number("0.00000000000000000000000000000000000000000000000000000000000000001") ==
              1e-65);
  assert_true(read_number("18446744073709551616") == 18446744073709551616.0);
  assert_true(read_number("1e-400") == 0);
}

static void integers(void **state) {
  (void)state;
  static const int64_t edges[] = {0, 9, 10, 99, 100, -1, INT64_MAX, INT64_MIN, 9007199254740993};
  for (size_t i = 0; i < sizeof edges / sizeof *edges; i++) {
    iz_buf b = {0};
    iz_json j;
    assert_true(iz_json_put_int(&b, edges[i]));
    assert_int_equal(strtoll(iz_buf_cstr(&b), NULL, 10), edges[i]);
    iz_json_begin(&j, b.data, b.len, 1, &scratch);
    assert_int_equal(iz_json_next(&j), IZ_JSON_INT);
    assert_int_equal(j.i, edges[i]);
    iz_buf_free(&b);
  }
}

static void strings(void **state) {
  (void)state;
  iz_buf b = {0};
  static const char all[] = "a/\"\\\n\t\b\f\r\0\x1f\x7f é😀 0123456789";
  assert_true(iz_json_put_string(&b, all, sizeof all - 1));
  assert_string_equal(iz_buf_cstr(&b),
                      "\"a/\\\"\\\\\\n\\t\\b\\f\\r\\u0000\\u001f\x7f é😀 0123456789\"");
  static const char *bad[] = {
      "\x80",     "\xc0\xaf",     "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80",
      "\xe2\x82", "12345678\xff", "\xe0\x80\x80", "\xf0\x80\x80\x80"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    iz_buf_clear(&b);
    assert_false(iz_json_put_string(&b, bad[i], strlen(bad[i])));
    assert_false(b.oom);
  }
  iz_buf_free(&b);
}

/* A byte of every value at every offset of a long run is escaped, kept or refused alike. */
static void every_byte_everywhere(void **state) {
  (void)state;
  for (int c = 0; c < 256; c++) {
    for (size_t at = 0; at < 20; at++) {
      char s[20];
      iz_buf b = {0};
      iz_json j;
      memset(s, 'x', sizeof s);
      s[at] = (char)c;
      bool ok = iz_json_put_string(&b, s, sizeof s);
      assert_int_equal(ok, c < 0x80);
      if (ok) {
        iz_json_begin(&j, b.data, b.len, 1, &scratch);
        assert_int_equal(iz_json_next(&j), IZ_JSON_STRING);
        assert_int_equal(j.n, sizeof s);
        assert_memory_equal(j.s, s, sizeof s);
      }
      iz_buf_free(&b);
    }
  }
}

static void memory_runs_out(void **state) {
  (void)state;
  iz_json j;
  iz_err err;
  iz_buf b = {0};
  iz_buf_free(&scratch);
  iz_alloc_fail(1, 1);
  assert_int_equal(drain(&j, "\"a\\nb\"", 6, 1), IZ_JSON_ERROR);
  assert_false(iz_json_error(&j, &err));
  assert_string_equal(err.code, "oom");
  assert_false(iz_json_put_string(&b, "x", 1));
  assert_false(iz_json_put_float(&b, 1));
  assert_false(iz_json_put_int(&b, 1));
  assert_true(b.oom);
  iz_alloc_fail(0, 0);
}

static int teardown(void **state) {
  (void)state;
  iz_buf_free(&scratch);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(tokens),
      cmocka_unit_test(positions),
      cmocka_unit_test(prefixes),
      cmocka_unit_test(depth),
      cmocka_unit_test(floats_are_shortest_and_exact),
      cmocka_unit_test(decimals_are_read_exactly),
      cmocka_unit_test(integers),
      cmocka_unit_test(strings),
      cmocka_unit_test(every_byte_everywhere),
      cmocka_unit_test(memory_runs_out),
  };
  return cmocka_run_group_tests(tests, NULL, teardown);
}
