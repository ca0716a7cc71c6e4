/* fuzz_multipart.c -- engine/http/multipart.c: any cut of the body gives the same parts, no content
 * holds the delimiter, and the parts written anew read back the same.
 *
 * Byte 0 chooses the cuts; up to the first LF the value of Content-Type; the rest is the body.
 */
#include "http/multipart.h"
#include "must.h"

#include <stdlib.h>

static void log_text(iz_buf *log, const char *s, size_t n) {
  iz_buf_add(log, &n, sizeof n);
  iz_buf_add(log, s, n);
}

static void add_quoted(iz_buf *out, const char *name, const iz_buf *value) {
  iz_buf_addf(out, "; %s=\"", name);
  for (size_t i = 0; i < value->len; i++) {
    if (value->data[i] == '"' || value->data[i] == '\\') iz_buf_addc(out, '\\');
    iz_buf_addc(out, value->data[i]);
  }
  iz_buf_addc(out, '"');
}

/* One reading of a body: what it logs, and the same parts as a body of their own. */
typedef struct reading {
  iz_multipart m;
  iz_buf log, content, written;
} reading;

static void take_part(reading *r) {
  const iz_multipart *m = &r->m;
  size_t n = 0;
  const char *type = iz_multipart_header(m, "content-type", &n);
  log_text(&r->log, m->name.data, m->name.len);
  log_text(&r->log, m->has_filename ? m->filename.data : "-",
           m->has_filename ? m->filename.len : 1);
  log_text(&r->log, type, n);
  iz_buf_clear(&r->content);
  iz_buf_add(&r->written, m->delimiter + 2, m->delimiter_len - 2);
  iz_buf_adds(&r->written, "\r\nContent-Disposition: form-data");
  add_quoted(&r->written, "name", &m->name);
  if (m->has_filename) add_quoted(&r->written, "filename", &m->filename);
  if (type) iz_buf_addf(&r->written, "\r\nContent-Type: %.*s", (int)n, type);
  iz_buf_adds(&r->written, "\r\n\r\n");
}

static void take_content(reading *r) {
  const iz_multipart *m = &r->m;
  must(!r->content.len || !memmem(r->content.data, r->content.len, m->delimiter, m->delimiter_len),
       "a delimiter inside content");
  log_text(&r->log, r->content.data, r->content.len);
  iz_buf_add(&r->written, r->content.data, r->content.len);
  iz_buf_adds(&r->written, "\r\n");
}

/* Reads a body cut by `seed` (0: not cut). Returns the last event. */
static iz_multipart_event read_body(reading *r, const char *type, size_t type_len, const char *in,
                                    size_t n, uint32_t seed) {
  iz_multipart_event e = IZ_MULTIPART_MORE;
  must(iz_multipart_begin(&r->m, type, type_len), "the type was good before");
  for (size_t at = 0; at < n && e != IZ_MULTIPART_END && e != IZ_MULTIPART_BAD;) {
    size_t cut = n - at, used = 0, len = 0;
    seed = seed * 1664525u + (seed ? 1013904223u : 0);
    if (seed && 1 + (seed >> 24) % 20 < cut) cut = 1 + (seed >> 24) % 20;
    char *piece = malloc(cut);
    must(piece != NULL, "memory");
    memcpy(piece, in + at, cut);
    const char *data = NULL;
    e = iz_multipart_parse(&r->m, piece, cut, &used, &data, &len);
    must(used <= cut && (used > 0 || e == IZ_MULTIPART_DATA), "no progress, or too much");
    at += used;
    if (e == IZ_MULTIPART_PART) take_part(r);
    if (e == IZ_MULTIPART_DATA) iz_buf_add(&r->content, data, len);
    if (e == IZ_MULTIPART_PART_END) take_content(r);
    free(piece);
  }
  iz_buf_addf(&r->log, "%d %s", e, e == IZ_MULTIPART_BAD ? r->m.why : "");
  iz_buf_add(&r->written, r->m.delimiter + 2, r->m.delimiter_len - 2);
  iz_buf_adds(&r->written, "--");
  return e;
}

static void forget(reading *r) {
  iz_multipart_free(&r->m);
  iz_buf_free(&r->log);
  iz_buf_free(&r->content);
  iz_buf_free(&r->written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const char *type = (const char *)data + 1;
  const char *lf = size > 1 ? memchr(type, '\n', size - 1) : NULL;
  if (!lf) return 0;
  size_t type_len = (size_t)(lf - type), n = size - 2 - type_len;
  iz_multipart probe;
  bool good = iz_multipart_begin(&probe, type, type_len);
  iz_multipart_free(&probe);
  if (!good) return 0;
  reading whole = {0}, cut = {0}, again = {0};
  iz_multipart_event e = read_body(&whole, type, type_len, lf + 1, n, 0);
  read_body(&cut, type, type_len, lf + 1, n, data[0] + 1u);
  must(whole.log.len == cut.log.len && !memcmp(whole.log.data, cut.log.data, cut.log.len),
       "a cut changed the parts");
  if (e == IZ_MULTIPART_END) {
    read_body(&again, type, type_len, whole.written.data, whole.written.len, 0);
    must(whole.log.len == again.log.len && !memcmp(whole.log.data, again.log.data, again.log.len),
         "what was written reads back differently");
  }
  forget(&whole);
  forget(&cut);
  forget(&again);
  return 0;
}
