/* test_multipart.c -- engine/http/multipart.c: parts, and that the cut of the input never matters.
 */
#include "http/multipart.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#define TYPE "multipart/form-data; boundary=XX"

/* "name[filename](type)=content;" for each part, then "END" or "BAD why" or "OPEN". */
static void run(const char *type, const char *in, size_t n, size_t cut, iz_buf *out) {
  iz_multipart m;
  if (!iz_multipart_begin(&m, type, strlen(type))) {
    iz_buf_adds(out, "REFUSED");
    iz_buf_cstr(out);
    return;
  }
  iz_multipart_event e = IZ_MULTIPART_MORE;
  for (size_t at = 0; at < n && e != IZ_MULTIPART_END && e != IZ_MULTIPART_BAD;) {
    size_t piece = n - at < cut ? n - at : cut, used = 0, len = 0;
    const char *data;
    char *copy = malloc(piece + 1);
    memcpy(copy, in + at, piece);
    e = iz_multipart_parse(&m, copy, piece, &used, &data, &len);
    at += used;
    if (e == IZ_MULTIPART_PART) {
      const char *t = iz_multipart_header(&m, "Content-Type", &len);
      iz_buf_add(out, m.name.data, m.name.len);
      if (m.has_filename)
        iz_buf_addf(out, "[%.*s]", (int)m.filename.len, m.filename.len ? m.filename.data : "");
      if (t) iz_buf_addf(out, "(%.*s)", (int)len, t);
      iz_buf_addc(out, '=');
    }
    if (e == IZ_MULTIPART_DATA) iz_buf_add(out, data, len);
    if (e == IZ_MULTIPART_PART_END) iz_buf_addc(out, ';');
    free(copy);
  }
  if (e == IZ_MULTIPART_BAD)
    iz_buf_addf(out, "BAD %s", m.why);
  else
    iz_buf_adds(out, e == IZ_MULTIPART_END ? "END" : "OPEN");
  iz_buf_cstr(out);
  iz_multipart_free(&m);
}

static void check(const char *type, const char *in, const char *want) {
  for (size_t cut = 1; cut <= strlen(in) + 1; cut += cut < 12 ? 1 : 50) {
    iz_buf out = {0};
    run(type, in, strlen(in), cut, &out);
    if (!strstr(out.data, want)) fail_msg("cut %zu: got %s, want %s", cut, out.data, want);
    iz_buf_free(&out);
  }
}

#define PART(head, body) "--XX\r\nContent-Disposition: form-data; " head "\r\n\r\n" body "\r\n"

static void test_parts(void **state) {
  (void)state;
  check(TYPE, PART("name=\"a\"", "1") PART("name=b", "2\r\n3") "--XX--\r\n", "a=1;b=2\r\n3;END");
  check(TYPE,
        PART("name=\"f\"; filename=\"x \\\"y\\\".txt\"\r\nContent-Type: text/plain", "hi") "--XX--",
        "f[x \"y\".txt](text/plain)=hi;END");
  check(TYPE, PART("name=\"e\"; filename=\"\"", "") "--XX--", "e[]=;END");
  check(TYPE, "preamble\r\n--X\r\n" PART("name=a", "1") "--XX-- \r\nepilogue", "a=1;END");
  check(TYPE, PART("name=a", "\r\r\n-\r\n--\r\n--X\r\n--Xx\r\n\r") "--XX--",
        "a=\r\r\n-\r\n--\r\n--X\r\n--Xx\r\n\r;END");
  check(TYPE, "--XX--\r\n", "END");
  check("Multipart/Form-Data; charset=utf-8; Boundary=\"a b\"",
        "--a b\r\ncontent-disposition: FORM-DATA; name=x\r\n\r\ny\r\n--a b--", "x=y;END");
}

static void test_refuses(void **state) {
  (void)state;
  check("text/plain", "", "REFUSED");
  check("multipart/form-data", "", "REFUSED");
  check("multipart/form-data; boundary=", "", "REFUSED");
  check("multipart/form-data; boundary=\"a ", "", "REFUSED");
  check(TYPE, "--XX\r\n\r\nx\r\n--XX--", "BAD a part without a form-data");
  check(TYPE, "--XX\r\nContent-Disposition: attachment; name=a\r\n\r\nx",
        "BAD a part without a form");
  check(TYPE, PART("filename=x", "1"), "BAD a part without a name");
  check(TYPE, PART("name=\"a", "1"), "BAD a part without a name");
  check("multipart/form-databoundary=XX", "", "REFUSED");
  check(TYPE, "--XX\r\nContent-Disposition: form-dataname=a\r\n\r\nx", "BAD a part without a form");
  check(TYPE, PART("name=a; name=b", "1"), "BAD a part with two names");
  check(TYPE, PART("name=a; filename=b; FileName=c", "1"), "BAD a part with two names");
  check(TYPE, "--XX\nContent-Disposition: form-data; name=a\r\n\r\n", "BAD malformed");
  check(TYPE, "--XX\r\nno colon\r\n\r\n", "BAD ");
  check(TYPE, PART("name=a", "1") "--XXY", "BAD malformed");
  check(TYPE, PART("name=a", "never ended"), "OPEN");
}

static void test_head_is_bounded(void **state) {
  (void)state;
  iz_buf b = {0}, out = {0};
  iz_buf_adds(&b, "--XX\r\nX: ");
  for (int i = 0; i < 9000; i++) iz_buf_addc(&b, 'x');
  run(TYPE, b.data, b.len, 4096, &out);
  assert_string_equal(out.data, "BAD part headers too large");
  iz_buf_free(&b);
  iz_buf_free(&out);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_parts),
      cmocka_unit_test(test_refuses),
      cmocka_unit_test(test_head_is_bounded),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
