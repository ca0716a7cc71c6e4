/* fuzz_conditional.c -- engine/http/conditional.c: conditional and range fields of any request.
 *
 * Byte 0 is the file's size; the rest are header fields. A range lies within the file; a date reads
 * back as it was written.
 */
#include "base/buf.h"
#include "http/conditional.h"
#include "must.h"

#include <stdlib.h>

static bool parse_head(iz_http_head *head, const char *fields, size_t n) {
  iz_http_parser p;
  iz_buf text = {0};
  iz_buf_adds(&text, "GET / HTTP/1.1\r\nHost: x\r\n");
  iz_buf_add(&text, fields, n);
  iz_buf_adds(&text, "\r\n\r\n");
  size_t used = 0, len = 0;
  const char *body = NULL;
  iz_http_parser_begin(&p, head, IZ_HTTP_HEAD_MAX, 0);
  iz_http_event e = iz_http_parse(&p, text.data, text.len, &used, &body, &len);
  iz_buf_free(&text);
  return e == IZ_HTTP_HEADED;
}

static void check_dates(const iz_http_head *h) {
  for (int i = 0; i < h->field_count; i++) {
    iz_http_span v = h->fields[i].value;
    const char *text = iz_http_text(h, v);
    int64_t t = iz_http_date_parse(text, v.len);
    if (t == -1) continue;
    char back[30];
    iz_http_date_format(t, back);
    must(v.len == 29 && !memcmp(back, text, 29), "a date that reads back differently");
  }
}

static void check_range(const iz_http_head *h, int64_t size) {
  int64_t from = -1, length = -1;
  iz_range r = iz_http_range(h, "\"tag\"", 784887151, size, &from, &length);
  if (r == IZ_RANGE_PART)
    must(from >= 0 && length > 0 && from < size && length <= size - from, "outside the file");
  else
    must(from == -1 && length == -1, "no part, but its place");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 1) return 0;
  iz_http_head head = {0};
  if (parse_head(&head, (const char *)data + 1, size - 1)) {
    check_dates(&head);
    check_range(&head, data[0]);
    check_range(&head, INT64_MAX - data[0]);
    int status = iz_http_precondition(&head, "\"tag\"", 784887151);
    must(status == 200 || status == 304 || status == 412, "a status of its own");
  }
  iz_http_head_free(&head);
  return 0;
}
