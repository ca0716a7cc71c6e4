/* test_sse.c -- engine/http/sse.c: the examples of the HTML standard and every way to split them.
 */
#include "base/alloc.h"
#include "http/sse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

/* Events as text: "type|data|id|retry;" each. Fed in pieces of `piece` bytes. */
static enum iz_sse_result read_all(iz_sse *s, const char *p, size_t n, size_t piece, iz_buf *out) {
  for (size_t at = 0; at < n;) {
    size_t part = n - at < piece ? n - at : piece, used;
    enum iz_sse_result r = iz_sse_feed(s, p + at, part, &used);
    at += used;
    if (r == IZ_SSE_MORE) continue;
    if (r != IZ_SSE_EVENT) return r;
    iz_sse_event e = iz_sse_event_of(s);
    iz_buf_addf(out, "%.*s|%.*s|%.*s|%d;", (int)e.type_len, e.type, (int)e.data_len, e.data,
                (int)e.id_len, e.id, (int)e.retry_ms);
  }
  return IZ_SSE_MORE;
}

static void check_n(const char *p, size_t n, const char *expect) {
  for (size_t piece = 1; piece <= n; piece++) {
    iz_sse s;
    iz_buf out = {0};
    iz_sse_init(&s, 1000);
    assert_int_equal(read_all(&s, p, n, piece, &out), IZ_SSE_MORE);
    assert_string_equal(iz_buf_cstr(&out), expect);
    iz_buf_free(&out);
    iz_sse_free(&s);
  }
}

static void check(const char *text, const char *expect) {
  check_n(text, strlen(text), expect);
}

static void test_examples_of_the_standard(void **state) {
  (void)state;
  check("data: YHOO\ndata: +2\ndata: 10\n\n", "|YHOO\n+2\n10||-1;");
  check(": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third "
        "event\n\n",
        "|first event|1|-1;|second event||-1;| third event||-1;");
  check("data\n\ndata\ndata\n\ndata:", "|||-1;|\n||-1;");
  check("data:test\n\ndata: test\n\n", "|test||-1;|test||-1;");
  check("event: add\ndata: 7\n\nevent: remove\ndata: 9\n\n", "add|7||-1;remove|9||-1;");
}

static void test_line_ends_and_the_byte_order_mark(void **state) {
  (void)state;
  check("data: a\r\rdata: b\r\n\r\ndata: c\n\n", "|a||-1;|b||-1;|c||-1;");
  check("\xef\xbb\xbf"
        "data: a\n\n",
        "|a||-1;");
  check("\xef\xbb\xbf\xef\xbb\xbf"
        "data: a\n\n",
        "");
  check("data: a\n\n\xef\xbb\xbf"
        "data: b\n\n",
        "|a||-1;");
  check("data: a\r\n\r\n\r\n\r\ndata: b\r\n\r\n", "|a||-1;|b||-1;");
}

static void test_fields(void **state) {
  (void)state;
  check("event: x\n\ndata: a\n\n", "|a||-1;"); /* a type without data is forgotten */
  check("id: 5\n\ndata: a\n\n", "|a|5|-1;");   /* an id is not */
  check("Data: a\nfoo: b\nDATA\n\n", "");
  check("retry: 3000\ndata: a\n\nretry: 5x\nretry: -1\nretry:\ndata: b\n\n", "|a||3000;|b||3000;");
  check("data: a\nretry: 9999999999999999999\n\n", "|a||-1;");
  check("data: unfinished\n", "");
  static const char nul[] = "id: a\0b\ndata: x\n\nid: c\ndata: y\n\n";
  check_n(nul, sizeof nul - 1, "|x||-1;|y|c|-1;");
}

static void test_size_is_bounded(void **state) {
  (void)state;
  static const char line[] = "data: 0123456789\n";
  for (int i = 0; i < 2; i++) { /* one endless line; endless lines of one event */
    iz_sse s;
    iz_buf out = {0};
    iz_sse_init(&s, 100);
    enum iz_sse_result r = IZ_SSE_MORE;
    for (int n = 0; n < 20 && r == IZ_SSE_MORE; n++)
      r = read_all(&s, line, sizeof line - 1 - (i == 0), 7, &out);
    assert_int_equal(r, IZ_SSE_TOO_LARGE);
    assert_true(s.line.cap + s.data.cap < 1000);
    iz_sse_free(&s);
  }
}

static void test_every_allocation_may_fail(void **state) {
  (void)state;
  static const char text[] = "event: x\nid: 1\ndata: 0123456789012345678901234567890123456789\n"
                             "data: 0123456789012345678901234567890123456789\n\n";
  bool failed = true;
  for (uint64_t n = 1; failed; n++) {
    iz_sse s;
    size_t used = 0, at = 0;
    enum iz_sse_result r = IZ_SSE_MORE;
    iz_sse_init(&s, 1000);
    iz_alloc_fail(n, 0);
    for (; r == IZ_SSE_MORE && at < sizeof text - 1; at += used)
      r = iz_sse_feed(&s, text + at, 1, &used);
    failed = iz_alloc_failed();
    iz_alloc_fail(0, 0);
    assert_int_equal(r, failed ? IZ_SSE_OOM : IZ_SSE_EVENT);
    iz_sse_free(&s);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_examples_of_the_standard),
      cmocka_unit_test(test_line_ends_and_the_byte_order_mark),
      cmocka_unit_test(test_fields),
      cmocka_unit_test(test_size_is_bounded),
      cmocka_unit_test(test_every_allocation_may_fail),
  };
  return cmocka_run_group_tests_name("sse", tests, NULL, NULL);
}
