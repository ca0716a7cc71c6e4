/* test_csv.c -- engine/csv: rows, places of errors, how reading goes on, encodings, limits, cells,
 * the writer, the byte scanner. */
#include "base/alloc.h"
#include "csv/csv.h"
#include "csv/csv_scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

/* Reads text in pieces of `step` bytes (0: one piece) into a line of "1[a|b] 2:5 stray_quote ..."
 */
static void dump(const iz_csv_opts *o, const char *p, size_t n, size_t step, iz_buf *out) {
  iz_csv_reader *r = iz_csv_reader_new(o);
  for (bool more = true; more;) {
    size_t piece = step && step < n ? step : n;
    assert_true(n ? iz_csv_push(r, p, piece) : iz_csv_finish(r));
    p += piece;
    n -= piece;
    iz_csv_error e;
    iz_csv_result result;
    while ((result = iz_csv_next(r, &e)) == IZ_CSV_ROW || result == IZ_CSV_ERROR) {
      if (out->len) iz_buf_addc(out, ' ');
      if (result == IZ_CSV_ERROR) {
        iz_buf_addf(out, "%d:%d %s", (int)e.line, (int)e.column, e.code);
        continue;
      }
      iz_buf_addf(out, "%d[", (int)iz_csv_line(r));
      for (uint32_t i = 0; i < iz_csv_count(r); i++) {
        size_t len;
        const char *s = iz_csv_field(r, i, &len, NULL);
        if (i) iz_buf_addc(out, '|');
        iz_buf_add(out, s, len);
      }
      iz_buf_addc(out, ']');
    }
    assert_int_not_equal(result, IZ_CSV_OOM);
    more = result == IZ_CSV_MORE;
  }
  iz_csv_reader_free(r);
}

static void check_bytes(const iz_csv_opts *o, const char *text, size_t n, const char *want) {
  for (size_t step = 0; step < 8; step++) {
    iz_buf out = {0};
    dump(o, text, n, step, &out);
    assert_string_equal(iz_buf_cstr(&out), want);
    iz_buf_free(&out);
  }
}

static void check(const iz_csv_opts *o, const char *text, const char *want) {
  check_bytes(o, text, strlen(text), want);
}

static const iz_csv_opts comma = {.delimiter = ','};

static void test_rows(void **state) {
  (void)state;
  check(&comma, "", "");
  check(&comma, "a,b\n1,2", "1[a|b] 2[1|2]");
  check(&comma, "a,\r\n,\r\n", "1[a|] 2[|]");
  check(&comma, "a\rb\r", "1[a] 2[b]");
  check(&comma, "\n\r\n\ra\n\n\nb\n", "4[a] 7[b]");
  check(&comma, "\"\"\n\"a,b\",\"c\"\"d\",\"\"\"\"\n", "1[] 2[a,b|c\"d|\"]");
  check(&comma, "\"x\ny\r\nz\rw\",1\nlast,2\n", "1[x\ny\r\nz\rw|1] 5[last|2]");
  check(&comma, "\xef\xbb\xbf\"a\",b", "1[a|b]");
}

static void test_bad_rows_cost_only_themselves(void **state) {
  (void)state;
  check(&comma, "a,b\"c,d\nok\n", "1:4 stray_quote 2[ok]");
  check(&comma, "\"a\"b,c\r\nok\n", "1:4 stray_quote 2[ok]");
  check(&comma, "ok\n1,\"never closed\n2,x\n3,y\n", "1[ok] 2:3 unterminated 3[2|x] 4[3|y]");
  check(&comma, "a,\"", "1:3 unterminated");
  check(&comma, "a,\"x\nb,\"y\"\nok,1\n", "2:4 stray_quote 3[ok|1]");
  check(&comma, "\xc3\xa4,\xe9,x\nok\n", "1:3 encoding 2[ok]");
  check(&comma, "\"1\r\n\xc3\xa4\xed\xa0\x80\",x\nok\n", "2:2 encoding 3[ok]");
}

static void test_limits(void **state) {
  (void)state;
  iz_csv_opts o = {.delimiter = ',', .max_field = 4, .max_row = 10, .max_fields = 3};
  check(&o, "abcd,efgh\nabcde\nok\n", "1[abcd|efgh] 2:5 too_large 3[ok]");
  check(&o, "aaaa,bbbb,cc\nok\n", "1:11 too_large 2[ok]");
  check(&o, "1,2,3,4\nok\n", "1:7 too_many 2[ok]");
  check(&o, "\"a\nb,c\nd\n", "2:2 too_large 2[b|c] 3[d]");
}

static void test_delimiter_is_found(void **state) {
  (void)state;
  check(NULL, "a;b\n1,5;2,5\n", "1[a|b] 2[1,5|2,5]");
  check(NULL, "a\tb c, d\n1\t2\n", "1[a|b c, d] 2[1|2]");
  check(NULL, "a|b\n\"x,y,z\"|2\n", "1[a|b] 2[x,y,z|2]");
  check(NULL, "a,b\n\"x;\n;\",2\n", "1[a|b] 2[x;\n;|2]");
  check(NULL, "only\none\n", "1[only] 2[one]");
  assert_false(iz_csv_delimiter_ok('"'));
  assert_false(iz_csv_delimiter_ok('\n'));
  assert_true(iz_csv_delimiter_ok('\t'));
}

#define BYTES(s) s, sizeof s - 1

static void test_encodings(void **state) {
  (void)state;
  iz_csv_opts latin = {.delimiter = ',', .encoding = IZ_CSV_WINDOWS_1252};
  iz_csv_opts wide = {.delimiter = ',', .encoding = IZ_CSV_UTF16};
  check(&latin, "M\xfcller,\x80\n", "1[M\xc3\xbcller|\xe2\x82\xac]");
  check(&latin, "\xef\xbb\xbf\xc3\xa4,b", "1[\xc3\xa4|b]");
  check_bytes(&comma, BYTES("\xff\xfe\xe4\0,\0\x3d\xd8\x00\xde\n\0"),
              "1[\xc3\xa4|\xf0\x9f\x98\x80]");
  check_bytes(&comma, BYTES("\xfe\xff\0a\0,\0b\0\n"), "1[a|b]");
  check_bytes(&wide, BYTES("a\0,\0b\0"), "1[a|b]");
  check_bytes(&wide, BYTES("a\0,\0\x3d\xd8\n\0b\0\n\0"), "1:3 encoding 2[b]");
  check_bytes(&wide, BYTES("a\0,\0b\0\n\0c"), "1[a|b] 2:1 encoding");
}

static void test_long_rows_cross_windows(void **state) {
  (void)state;
  iz_buf text = {0}, want = {0};
  for (int row = 1; row <= 3; row++) {
    iz_buf_addf(&want, "%s%d[", row > 1 ? " " : "", row);
    for (int i = 0; i < 3000; i++) {
      iz_buf_addf(&text, "%s\"%d\"", i ? "," : "", i);
      iz_buf_addf(&want, "%s%d", i ? "|" : "", i);
    }
    iz_buf_addc(&text, '\n');
    iz_buf_addc(&want, ']');
  }
  check_bytes(&comma, text.data, text.len, iz_buf_cstr(&want));
  iz_buf_free(&text);
  iz_buf_free(&want);
}

static void test_scanner_finds_every_byte(void **state) {
  (void)state;
  char text[200];
  uint32_t out[208];
  for (size_t i = 0; i < sizeof text; i++) text[i] = (char)(i * 7);
  for (size_t n = 0; n <= sizeof text; n++) {
    bool high = false, want_high = false;
    size_t count = iz_csv_index(text, n, 1000, ';', out, &high), k = 0;
    for (size_t i = 0; i < n; i++) {
      want_high |= (text[i] & 0x80) != 0;
      if (text[i] && strchr(";\"\r\n", text[i])) assert_int_equal(out[k++], 1000 + i);
    }
    assert_int_equal(count, k);
    assert_int_equal(high, want_high);
  }
}

static iz_csv_value cell(const char *s, iz_csv_type type, char decimal) {
  iz_csv_value v;
  if (!iz_csv_parse(s, strlen(s), type, decimal, &v)) v.is = 99;
  return v;
}

static void test_cells(void **state) {
  (void)state;
  assert_int_equal(cell(" -42 ", IZ_CSV_NUMBER, '.').i, -42);
  assert_true(cell("9223372036854775807", IZ_CSV_INTEGER, '.').i == INT64_MAX);
  assert_true(cell("-9223372036854775808", IZ_CSV_INTEGER, '.').i == INT64_MIN);
  assert_int_equal(cell("9223372036854775808", IZ_CSV_INTEGER, '.').is, 99);
  assert_int_equal(cell("1.5", IZ_CSV_INTEGER, '.').is, 99);
  assert_true(cell("0.1", IZ_CSV_NUMBER, '.').f == 0.1);
  assert_true(cell("-.5e-3", IZ_CSV_NUMBER, '.').f == -.5e-3);
  assert_true(cell("123456789012345678901234567890", IZ_CSV_NUMBER, '.').f ==
              123456789012345678901234567890.0);
  assert_true(cell("0.30000000000000004", IZ_CSV_NUMBER, '.').f == 0.30000000000000004);
  const char *bad[] = {"0x10", "inf", "nan", "1e", "1e999", "1,5", "--1", ".", "1.2.3", "1 2"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_int_equal(cell(bad[i], IZ_CSV_NUMBER, '.').is, 99);
  assert_true(cell("1.234.567,89", IZ_CSV_NUMBER, ',').f == 1234567.89);
  assert_int_equal(cell("-1.234", IZ_CSV_NUMBER, ',').i, -1234);
  const char *bad_comma[] = {"1.23,4", "1.2345", "1,2,3", "1234.567", ".123", "1.234.5", "1,2.345"};
  for (size_t i = 0; i < sizeof bad_comma / sizeof *bad_comma; i++)
    assert_int_equal(cell(bad_comma[i], IZ_CSV_NUMBER, ',').is, 99);
  assert_int_equal(cell("  ", IZ_CSV_NUMBER, '.').is, IZ_CSV_IS_NONE);
  assert_int_equal(cell("", IZ_CSV_TEXT, '.').is, IZ_CSV_IS_TEXT);
  assert_int_equal(cell("2024-02-29", IZ_CSV_DATE, '.').is, IZ_CSV_IS_TEXT);
  assert_int_equal(cell("2023-02-29", IZ_CSV_DATE, '.').is, 99);
  assert_int_equal(cell("2023-13-01", IZ_CSV_DATE, '.').is, 99);
  assert_int_equal(cell("Yes", IZ_CSV_BOOLEAN, '.').i, 1);
  assert_int_equal(cell("FALSE", IZ_CSV_BOOLEAN, '.').i, 0);
  assert_int_equal(cell("maybe", IZ_CSV_BOOLEAN, '.').is, 99);
}

static void put_row(iz_csv_writer *w, iz_buf *out, const char *const *cells) {
  for (; *cells; cells++) iz_csv_put_text(w, out, *cells, strlen(*cells));
  iz_csv_put_end(w, out);
}

static void test_writer(void **state) {
  (void)state;
  iz_buf out = {0};
  iz_csv_writer w = {0};
  put_row(&w, &out, (const char *const[]){"plain", "a,b", "q\"q", "two\nlines", "", NULL});
  put_row(&w, &out, (const char *const[]){"", NULL});
  put_row(&w, &out,
          (const char *const[]){"=1+1", "@x", "+49 30", "-5", "+1.5", "-x,y", "\tz", NULL});
  iz_csv_put_int(&w, &out, -7);
  iz_csv_put_float(&w, &out, -0.1);
  iz_csv_put_float(&w, &out, 3);
  iz_csv_put_end(&w, &out);
  assert_string_equal(iz_buf_cstr(&out), "plain,\"a,b\",\"q\"\"q\",\"two\nlines\",\n\"\"\n"
                                         "'=1+1,'@x,'+49 30,-5,+1.5,\"'-x,y\",'\tz\n-7,-0.1,3\n");
  iz_buf_clear(&out);
  w = (iz_csv_writer){.format = {.delimiter = ';', .crlf = true, .formulas = true}};
  put_row(&w, &out, (const char *const[]){"=1", "a;b", NULL});
  assert_string_equal(iz_buf_cstr(&out), "=1;\"a;b\"\r\n");
  iz_buf_free(&out);
}

/* Every allocation fails once: the answer is OOM, never a wrong row. */
static void test_out_of_memory(void **state) {
  (void)state;
  char text[600];
  memset(text, ',', sizeof text);
  for (uint64_t n = 1;; n++) {
    iz_alloc_fail(n, 0);
    iz_csv_reader *r = iz_csv_reader_new(NULL);
    bool ok = r && iz_csv_push(r, text, sizeof text) && iz_csv_finish(r);
    iz_csv_error e;
    iz_csv_result result = ok ? iz_csv_next(r, &e) : IZ_CSV_OOM;
    int failed = iz_alloc_failed();
    iz_alloc_fail(0, 0);
    assert_int_equal(result, failed ? IZ_CSV_OOM : IZ_CSV_ROW);
    if (result == IZ_CSV_ROW) assert_int_equal(iz_csv_count(r), 601);
    iz_csv_reader_free(r);
    if (!failed) break;
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_rows),
      cmocka_unit_test(test_bad_rows_cost_only_themselves),
      cmocka_unit_test(test_limits),
      cmocka_unit_test(test_delimiter_is_found),
      cmocka_unit_test(test_encodings),
      cmocka_unit_test(test_long_rows_cross_windows),
      cmocka_unit_test(test_scanner_finds_every_byte),
      cmocka_unit_test(test_cells),
      cmocka_unit_test(test_writer),
      cmocka_unit_test(test_out_of_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
