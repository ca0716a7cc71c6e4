/* test_http_parser.c -- engine/http/parser.c: the table of what is accepted and refused, and that
 * the cut of the input into reads never matters. */
#include "base/alloc.h"
#include "base/buf.h"
#include "http/parser.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include <stdlib.h>

/* Feeds `n` bytes in pieces of `cut` (all requests in it) and writes what happened into `out`:
 * "HEAD <method> <path>?<query> host=<host> <framing> <keep>|name: value|...; body=<bytes>; END" */
static void run(const char *in, size_t n, size_t cut, iz_buf *out) {
  iz_http_head head = {0};
  iz_http_parser p;
  iz_http_parser_begin(&p, &head, IZ_HTTP_HEAD_MAX, IZ_HTTP_BODY_MAX);
  size_t at = 0;
  bool in_body = false;
  while (true) {
    size_t piece = n - at < cut ? n - at : cut, used, len;
    const char *body;
    char *copy = malloc(piece ? piece : 1); /* exact size: ASan sees every over-read */
    memcpy(copy, in + at, piece);
    iz_http_event e = iz_http_parse(&p, copy, piece, &used, &body, &len);
    at += used;
    if (e == IZ_HTTP_HEADED) {
      iz_buf_addf(out, "HEAD %s %.*s?%s host=%.*s %s%lld%s%s",
                  iz_http_text(&head, head.method_name), head.path.len,
                  iz_http_text(&head, head.path),
                  head.query.len ? iz_http_text(&head, head.query) : "", head.host.len,
                  iz_http_text(&head, head.host), head.chunked ? "chunked " : "",
                  (long long)head.content_length, head.keep_alive ? " keep" : " close",
                  head.expect_continue ? " expect" : "");
      for (int i = 0; i < head.field_count; i++)
        iz_buf_addf(out, "|%s: %s", iz_http_text(&head, head.fields[i].name),
                    iz_http_text(&head, head.fields[i].value));
      iz_buf_adds(out, "; ");
    } else if (e == IZ_HTTP_DATA) {
      if (!in_body) iz_buf_adds(out, "body=");
      in_body = true;
      iz_buf_add(out, body, len);
    } else if (e == IZ_HTTP_END) {
      iz_buf_adds(out, in_body ? "; END " : "END ");
      in_body = false;
      iz_http_parser_begin(&p, &head, IZ_HTTP_HEAD_MAX, IZ_HTTP_BODY_MAX);
    } else if (e == IZ_HTTP_BAD) {
      iz_buf_addf(out, "BAD %d", p.status);
    }
    free(copy);
    if (e == IZ_HTTP_BAD || (e == IZ_HTTP_MORE && at == n)) break;
  }
  iz_buf_cstr(out);
  iz_http_head_free(&head);
}

static void check(const char *in, size_t n, const char *want) {
  static const size_t cuts[] = {SIZE_MAX, 1, 2, 3, 7, 16};
  for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
    iz_buf out = {0};
    run(in, n, cuts[i], &out);
    if (!strstr(out.data, want))
      fail_msg("cut %zu of %.80s\n got %s\nwant %s", cuts[i], in, out.data, want);
    iz_buf_free(&out);
  }
}

#define CHECK(in, want) check(in, sizeof(in) - 1, want)
#define GET "GET / HTTP/1.1\r\nHost: x\r\n"
#define POST "POST /p HTTP/1.1\r\nHost: x\r\n"
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"

static void test_accepts(void **state) {
  (void)state;
  CHECK(GET "\r\n", "HEAD GET /? host=x 0 keep|host: x; END ");
  CHECK("\r\n" GET "\r\n", "HEAD GET /? host=x 0 keep|host: x; END ");
  CHECK("GET /a/b?c=d&e=%41 HTTP/1.1\r\nhOsT:\t a.b:80 \t\r\nX-Y:\r\n\r\n",
        "HEAD GET /a/b?c=d&e=%41 host=a.b:80 0 keep|host: a.b:80|x-y: ; END ");
  CHECK("GET / HTTP/1.0\r\n\r\n", "HEAD GET /? host= 0 close; END ");
  CHECK("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", " keep|");
  CHECK(GET "Connection: foo , CLOSE\r\n\r\n", " close|");
  CHECK("GET http://h.example:81/p?q HTTP/1.1\r\nHost: other\r\n\r\n", "/p?q host=h.example:81 ");
  CHECK("GET http://h?q HTTP/1.1\r\nHost: other\r\n\r\n", "HEAD GET /?q host=h ");
  CHECK("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "HEAD OPTIONS *? ");
  CHECK("GET //x/y HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "HEAD GET //x/y? host=[::1]:80 ");
  CHECK("BREW / HTTP/1.1\r\nHost: x\r\n\r\n", "HEAD BREW /? ");
  CHECK("GET / HTTP/1.9\r\nHost: x\r\n\r\n", "HEAD GET /? ");
  CHECK("GET /?a=100% HTTP/1.1\r\nHost: x\r\n\r\n", "HEAD GET /?a=100% ");
}

static void test_bodies(void **state) {
  (void)state;
  CHECK(POST "Content-Length: 5\r\n\r\nhello" GET "\r\n", "; body=hello; END HEAD GET /? ");
  CHECK(POST "Content-Length: 0\r\n\r\n", "; END ");
  CHECK(CHUNKED "5\r\nhello\r\n0a;a=b ; c = \"q\\\"\r\" ;d\r\n", "BAD 400");
  CHECK(CHUNKED "5\r\nhello\r\n0006;a=b ;c=\"q\\\";\";d\r\n world\r\n0\r\n\r\n" GET "\r\n",
        "; body=hello world; END HEAD GET /? ");
  CHECK(CHUNKED "1\r\nx\r\n0\r\nX-Admin: yes\r\nY:\r\n\r\n" GET "\r\n",
        "chunked -1 keep|host: x|transfer-encoding: chunked; body=x; END HEAD GET /? host=x 0 "
        "keep|host: x; END ");
  CHECK(POST "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\nx", " expect|");
  CHECK(POST "Content-Length: 1048577\r\n\r\n", "BAD 413");
  CHECK(POST "Content-Length: 99999999999999999999999999\r\n\r\n", "BAD 413");
  CHECK(CHUNKED "100001\r\n", "BAD 413");
  CHECK(CHUNKED "fffffffffffffff\r\n", "BAD 413");
}

static void test_refuses_framing(void **state) {
  (void)state;
  CHECK(POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "BAD 400");
  CHECK(POST "Transfer-Encoding: gzip, chunked\r\nContent-Length: 5\r\n\r\n", "BAD 400");
  CHECK(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "BAD 400");
  CHECK(POST "Transfer-Encoding: xchunked\r\n\r\n", "BAD 501");
  CHECK(POST "Transfer-Encoding: identity\r\n\r\n", "BAD 501");
  CHECK(POST "Transfer-Encoding: gzip, chunked\r\n\r\n", "BAD 501");
  CHECK(POST "Transfer-Encoding:\r\n\r\n", "BAD 400");
  CHECK("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "BAD 400");
  CHECK(POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", "BAD 400");
  CHECK(POST "Content-Length: 5, 5\r\n\r\n", "BAD 400");
  CHECK(POST "Content-Length: +5\r\n\r\n", "BAD 400");
  CHECK(POST "Content-Length: -5\r\n\r\n", "BAD 400");
  CHECK(POST "Content-Length: 0x5\r\n\r\n", "BAD 400");
  CHECK(POST "Content-Length:\r\n\r\n", "BAD 400");
  CHECK(POST "Content-Length : 5\r\n\r\n", "BAD 400");
  CHECK(POST "Expect: 200-ok\r\n\r\n", "BAD 417");
}

static void test_refuses_lines(void **state) {
  (void)state;
  CHECK("GET / HTTP/1.1\nHost: x\n\n", "BAD 400");
  CHECK("GET / HTTP/1.1\r\nHost: x\n\r\n", "BAD 400");
  CHECK("GET / HTTP/1.1\r\nHost: x\r\n\n", "BAD 400");
  CHECK(GET "A: b\rc\r\n\r\n", "BAD 400");
  CHECK(GET "A: b\r\n c\r\n\r\n", "BAD 400");
  CHECK("GET / HTTP/1.1\r\n Host: x\r\n\r\n", "BAD 400");
  CHECK(GET ": b\r\n\r\n", "BAD 400");
  CHECK(GET "A b: c\r\n\r\n", "BAD 400");
  CHECK(GET "A\r\n\r\n", "BAD 400");
  CHECK(GET "A: b\0c\r\n\r\n", "BAD 400");
  CHECK(GET "A\0: b\r\n\r\n", "BAD 400");
  CHECK("GET / HTTP/1.1\r\n\r\n", "BAD 400");
  CHECK(GET "Host: x\r\n\r\n", "BAD 400");
  CHECK("GET / HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n", "BAD 400");
  CHECK("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "BAD 400");
  CHECK("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", "BAD 400");
  CHECK("GET / HTTP/1.1\r\nHost:\r\n\r\n", "BAD 400");
  CHECK("GET / HTTP/1.1\r\nHost: x:8x\r\n\r\n", "BAD 400");
}

static void test_refuses_request_lines(void **state) {
  (void)state;
  CHECK("GET /\r\n", "BAD 400");
  CHECK("GET  / HTTP/1.1\r\n", "BAD 400");
  CHECK("GET / HTTP/1.1 \r\n", "BAD 400");
  CHECK("GET / http/1.1\r\n", "BAD 400");
  CHECK("GET / HTTP/0.9\r\n", "BAD 400");
  CHECK("PRI * HTTP/2.0\r\n", "BAD 505");
  CHECK("\r\n\r\nGET / HTTP/1.1\r\n", "BAD 400");
  CHECK("GET /a#b HTTP/1.1\r\n", "BAD 400");
  CHECK("GET /a\xc3\xa4 HTTP/1.1\r\n", "BAD 400");
  CHECK("GET * HTTP/1.1\r\nHost: x\r\n\r\n", "BAD 400");
  CHECK("GET a HTTP/1.1\r\nHost: x\r\n\r\n", "BAD 400");
  CHECK("GET http://u@h/ HTTP/1.1\r\nHost: x\r\n\r\n", "BAD 400");
  CHECK("CONNECT a:1 HTTP/1.1\r\nHost: x\r\n\r\n", "BAD 501");
  CHECK("GET /a%00b HTTP/1.1\r\nHost: x\r\n\r\n", "BAD 400");
  CHECK("GET /a?b=%00 HTTP/1.1\r\nHost: x\r\n\r\n", "BAD 400");
  CHECK("GET /a%zz HTTP/1.1\r\nHost: x\r\n\r\n", "BAD 400");
  CHECK("GET /a% HTTP/1.1\r\nHost: x\r\n\r\n", "BAD 400");
  CHECK("GET /a/../b HTTP/1.1\r\nHost: x\r\n\r\n", "BAD 400");
  CHECK("GET /a/%2e%2E HTTP/1.1\r\nHost: x\r\n\r\n", "BAD 400");
  CHECK("GET /..%2fb HTTP/1.1\r\nHost: x\r\n\r\n", "BAD 400");
  CHECK("GET /.../.a/..b/a.. HTTP/1.1\r\nHost: x\r\n\r\n", "HEAD ");
  CHECK("\x16\x03\x01", "BAD 400");
}

static void test_refuses_chunks(void **state) {
  (void)state;
  CHECK(CHUNKED "0x5\r\nhello\r\n", "BAD 400");
  CHECK(CHUNKED "+5\r\nhello\r\n", "BAD 400");
  CHECK(CHUNKED " 5\r\nhello\r\n", "BAD 400");
  CHECK(CHUNKED "5 \r\nhello\r\n", "BAD 400");
  CHECK(CHUNKED "\r\nhello\r\n", "BAD 400");
  CHECK(CHUNKED "5\nhello\r\n", "BAD 400");
  CHECK(CHUNKED "5\r\nhello\n", "BAD 400");
  CHECK(CHUNKED "5\r\nhelloo\r\n", "BAD 400");
  CHECK(CHUNKED "5;\r\nhello\r\n", "BAD 400");
  CHECK(CHUNKED "5;a=\"b\r\nhello\r\n", "BAD 400");
  CHECK(CHUNKED "0000000000000005\r\nhello\r\n", "BAD 400");
  CHECK(CHUNKED "0\r\n X: y\r\n\r\n", "BAD 400");
  CHECK(CHUNKED "0\r\nX : y\r\n\r\n", "BAD 400");
  CHECK(CHUNKED "0\r\nX: y\n\r\n", "BAD 400");
}

static void repeated(const char *prefix, const char *part, int count, const char *want) {
  iz_buf b = {0};
  iz_buf_adds(&b, prefix);
  for (int i = 0; i < count; i++) iz_buf_adds(&b, part);
  iz_buf_adds(&b, "\r\n");
  check(b.data, b.len, want);
  iz_buf_free(&b);
}

static void test_limits(void **state) {
  (void)state;
  repeated(GET, "A: b\r\n", 99, "END");
  repeated(GET, "A: b\r\n", 100, "BAD 431");
  repeated(GET "A: ", "bbbbbbbbbb", 1700, "BAD 431");
  repeated("GET /", "a", 8193, "BAD 414");
  repeated("", "A", 40, "BAD 501");
  repeated(CHUNKED "0\r\n", "A: b\r\n", 101, "BAD 400");
  repeated(CHUNKED "0\r\nA: ", "bbbbbbbbbb", 1700, "BAD 431");
  repeated(CHUNKED "5;a=", "bbbbbbbbbb", 30, "BAD 400");
}

static void test_each_allocation_may_fail(void **state) {
  (void)state;
  iz_buf b = {0};
  iz_buf_adds(&b, GET);
  for (int i = 0; i < 60; i++) iz_buf_adds(&b, "Some-Header: some value of a header\r\n");
  iz_buf_adds(&b, "\r\n");
  for (uint64_t n = 1; n < 20; n++) {
    iz_http_head head = {0};
    iz_http_parser p;
    size_t used, len;
    const char *body;
    iz_http_parser_begin(&p, &head, IZ_HTTP_HEAD_MAX, IZ_HTTP_BODY_MAX);
    iz_alloc_fail(n, 0);
    iz_http_event e = iz_http_parse(&p, b.data, b.len, &used, &body, &len);
    if (iz_alloc_failed()) {
      assert_int_equal(e, IZ_HTTP_BAD);
      assert_int_equal(p.status, 503);
    } else {
      assert_int_equal(e, IZ_HTTP_HEADED);
    }
    iz_alloc_fail(0, 0);
    iz_http_head_free(&head);
  }
  iz_buf_free(&b);
}

static void test_finds_fields(void **state) {
  (void)state;
  static const char in[] = GET "Accept: a\r\nACCEPT: b\r\n\r\n";
  iz_http_head head = {0};
  iz_http_parser p;
  size_t used, len;
  const char *body;
  iz_http_parser_begin(&p, &head, IZ_HTTP_HEAD_MAX, IZ_HTTP_BODY_MAX);
  assert_int_equal(iz_http_parse(&p, in, sizeof in - 1, &used, &body, &len), IZ_HTTP_HEADED);
  assert_string_equal(iz_http_find(&head, "accept", &len), "a");
  assert_int_equal(len, 1);
  assert_null(iz_http_find(&head, "accep", NULL));
  iz_http_head_free(&head);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_accepts),
      cmocka_unit_test(test_bodies),
      cmocka_unit_test(test_refuses_framing),
      cmocka_unit_test(test_refuses_lines),
      cmocka_unit_test(test_refuses_request_lines),
      cmocka_unit_test(test_refuses_chunks),
      cmocka_unit_test(test_limits),
      cmocka_unit_test(test_each_allocation_may_fail),
      cmocka_unit_test(test_finds_fields),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
