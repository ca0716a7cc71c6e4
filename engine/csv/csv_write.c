/* csv_write.c -- rows out: quotes only where they are needed, and nothing a spreadsheet would run.
 *
 * A program that opens a CSV file may take text such as =HYPERLINK(...) or @SUM(...) for a formula
 * and run it. Text that begins like one gets a leading apostrophe, unless it is a plain number.
 */
#include "csv/csv.h"

#include <stdio.h>
#include <stdlib.h>

static void begin_cell(iz_csv_writer *w, iz_buf *out, bool empty) {
  if (w->fields++) iz_buf_addc(out, w->format.delimiter ? w->format.delimiter : ',');
  w->blank = empty && w->fields == 1;
}

static bool must_quote(const iz_csv_writer *w, const char *s, size_t len) {
  char delimiter = w->format.delimiter ? w->format.delimiter : ',';
  if (len >= 3 && memcmp(s, "\xef\xbb\xbf", 3) == 0)
    return true; /* else read as a byte order mark */
  for (size_t i = 0; i < len; i++)
    if (s[i] == delimiter || s[i] == '"' || s[i] == '\n' || s[i] == '\r') return true;
  return false;
}

static bool like_formula(const char *s, size_t len) {
  if (len == 0 || !memchr("=+-@\t\r", s[0], 6)) return false;
  iz_csv_value v;
  return s[len - 1] == ' ' || s[0] == '\t' || !iz_csv_parse(s, len, IZ_CSV_NUMBER, '.', &v);
}

void iz_csv_put_text(iz_csv_writer *w, iz_buf *out, const char *s, size_t len) {
  begin_cell(w, out, len == 0);
  const char *guard = !w->format.formulas && like_formula(s, len) ? "'" : "";
  if (!must_quote(w, s, len)) {
    iz_buf_adds(out, guard);
    iz_buf_add(out, s, len);
    return;
  }
  iz_buf_addc(out, '"');
  iz_buf_adds(out, guard);
  while (len) {
    const char *quote = memchr(s, '"', len);
    size_t n = quote ? (size_t)(quote - s) + 1 : len;
    iz_buf_add(out, s, n);
    if (quote) iz_buf_addc(out, '"');
    s += n;
    len -= n;
  }
  iz_buf_addc(out, '"');
}

/* A number may hold the delimiter when that is one of "-+.e" or a digit. */
static void put_number(iz_csv_writer *w, iz_buf *out, const char *s) {
  size_t len = strlen(s);
  begin_cell(w, out, false);
  bool quote = must_quote(w, s, len);
  if (quote) iz_buf_addc(out, '"');
  iz_buf_add(out, s, len);
  if (quote) iz_buf_addc(out, '"');
}

void iz_csv_put_int(iz_csv_writer *w, iz_buf *out, int64_t n) {
  char text[32];
  snprintf(text, sizeof text, "%lld", (long long)n);
  put_number(w, out, text);
}

void iz_csv_put_float(iz_csv_writer *w, iz_buf *out, double n) {
  char text[40];
  for (int digits = 15; digits <= 17; digits++) {
    snprintf(text, sizeof text, "%.*g", digits, n);
    if (strtod(text, NULL) == n) break;
  }
  put_number(w, out, text);
}

void iz_csv_put_end(iz_csv_writer *w, iz_buf *out) {
  if (w->blank) iz_buf_adds(out, "\"\""); /* an empty line would be no row */
  iz_buf_adds(out, w->format.crlf ? "\r\n" : "\n");
  w->fields = 0;
  w->blank = false;
}
