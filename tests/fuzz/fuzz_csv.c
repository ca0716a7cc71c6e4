/* fuzz_csv.c -- any split gives the rows and errors of one piece; what is written reads back.
 *
 * Byte 0 chooses delimiter and encoding, byte 1 the seed of the split and the limits; the rest is
 * the file.
 */
#include "base/alloc.h"
#include "csv/csv.h"
#include "must.h"

#include <stdlib.h>

static void add_number(iz_buf *log, uint64_t n) {
  iz_buf_add(log, &n, sizeof n);
}

static void log_row(iz_csv_reader *r, iz_buf *log) {
  add_number(log, iz_csv_line(r));
  add_number(log, iz_csv_count(r));
  for (uint32_t i = 0; i < iz_csv_count(r); i++) {
    size_t len;
    bool quoted;
    const char *s = iz_csv_field(r, i, &len, &quoted);
    add_number(log, len);
    add_number(log, quoted);
    iz_buf_add(log, s, len);
    iz_csv_value v;
    for (int type = IZ_CSV_TEXT; type <= IZ_CSV_BOOLEAN; type++)
      iz_csv_parse(s, len, (iz_csv_type)type, i & 1 ? ',' : '.', &v);
  }
}

static void write_row(iz_csv_reader *r, iz_csv_writer *w, iz_buf *out) {
  for (uint32_t i = 0; i < iz_csv_count(r); i++) {
    size_t len;
    const char *s = iz_csv_field(r, i, &len, NULL);
    iz_csv_put_text(w, out, s, len);
  }
  iz_csv_put_end(w, out);
}

/* Pulls what there is; true when more bytes are wanted. */
static int pull(iz_csv_reader *r, iz_buf *log, iz_csv_writer *w, iz_buf *written) {
  for (;;) {
    iz_csv_error err;
    switch (iz_csv_next(r, &err)) {
    case IZ_CSV_ROW:
      log_row(r, log);
      if (written) write_row(r, w, written);
      break;
    case IZ_CSV_ERROR:
      add_number(log, err.line);
      add_number(log, err.column);
      add_number(log, err.field);
      iz_buf_adds(log, err.code);
      break;
    case IZ_CSV_MORE:
      return 1;
    case IZ_CSV_END:
      return 0;
    case IZ_CSV_OOM:
      must(0, "memory");
    }
  }
}

/* step 0: one piece; else pieces of pseudo-random length up to step. */
static void read_all(const iz_csv_opts *o, const char *p, size_t n, unsigned step, iz_buf *log,
                     iz_csv_writer *w, iz_buf *written) {
  iz_csv_reader *r = iz_csv_reader_new(o);
  unsigned seed = step;
  while (n) {
    seed = seed * 1103515245u + 12345u;
    size_t piece = step ? (seed >> 16) % step + 1 : n;
    if (piece > n) piece = n;
    must(iz_csv_push(r, p, piece), "push");
    pull(r, log, w, written);
    p += piece;
    n -= piece;
  }
  must(iz_csv_finish(r), "finish");
  must(pull(r, log, w, written) == 0, "end");
  iz_csv_reader_free(r);
}

static void log_plain_rows(const iz_csv_opts *o, const iz_buf *text, iz_buf *again) {
  iz_buf log = {0};
  iz_csv_writer w = {.format = {.delimiter = o->delimiter, .formulas = true}};
  read_all(o, text->data, text->len, 0, &log, &w, again);
  iz_buf_free(&log);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 2) return 0;
  static const char delimiters[] = {0, ',', ';', '\t', '|', 'x', '-', '1'};
  iz_csv_opts o = {.delimiter = delimiters[data[0] & 7], .encoding = (data[0] >> 3) % 3};
  if (data[0] & 128) o.max_field = 1 + (data[1] & 15), o.max_row = 40, o.max_fields = 4;
  const char *p = (const char *)data + 2;
  size_t n = size - 2;
  iz_buf whole = {0}, split = {0}, bytes = {0}, written = {0}, again = {0};
  iz_csv_opts w_opts = {.delimiter = o.delimiter ? o.delimiter : ','};
  iz_csv_writer w = {.format = {.delimiter = w_opts.delimiter, .formulas = true}};
  read_all(&o, p, n, 0, &whole, &w, &written);
  read_all(&o, p, n, data[1] + 2u, &split, NULL, NULL);
  read_all(&o, p, n, 1, &bytes, NULL, NULL);
  must(whole.len == split.len && (!whole.len || !memcmp(whole.data, split.data, whole.len)),
       "split");
  must(whole.len == bytes.len && (!whole.len || !memcmp(whole.data, bytes.data, whole.len)),
       "bytes");
  log_plain_rows(&w_opts, &written, &again);
  must(written.len == again.len && (!written.len || !memcmp(written.data, again.data, again.len)),
       "round trip");
  iz_buf_free(&whole);
  iz_buf_free(&split);
  iz_buf_free(&bytes);
  iz_buf_free(&written);
  iz_buf_free(&again);
  return 0;
}
