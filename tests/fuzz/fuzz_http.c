/* fuzz_http.c -- engine/http/parser.c: any cut of the input gives the same events.
 *
 * The first byte chooses the cuts; the rest is the stream of a connection.
 */
#include "base/buf.h"
#include "http/parser.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct cutter {
  uint32_t seed;
  bool whole;
} cutter;

static size_t next_cut(cutter *c, size_t left) {
  if (c->whole) return left;
  c->seed = c->seed * 1664525u + 1013904223u;
  size_t n = 1 + (c->seed >> 24) % (c->seed & 0x100 ? 3 : 40);
  return n < left ? n : left;
}

static void note_head(iz_buf *out, const iz_http_head *h) {
  iz_buf_addf(out, "H%d %d %d %d %lld ", h->method, h->minor, h->keep_alive, h->expect_continue,
              (long long)h->content_length);
  iz_buf_add(out, h->text, h->text_len);
  iz_buf_add(out, h->text + h->path.at, h->path.len);
  iz_buf_add(out, h->text + h->query.at, h->query.len);
  iz_buf_add(out, h->text + h->host.at, h->host.len);
  for (int i = 0; i < h->field_count; i++)
    if (h->text[h->fields[i].value.at + h->fields[i].value.len] != 0) abort();
}

/* What happened, as bytes. A refusal ends it. */
static void run(cutter c, const char *in, size_t n, iz_buf *out) {
  iz_http_head head = {0};
  iz_http_parser p;
  iz_http_parser_begin(&p, &head, 2048, 4096);
  size_t at = 0;
  for (bool more = true; more;) {
    size_t cut = next_cut(&c, n - at), used = 0, len = 0;
    char *piece = malloc(cut ? cut : 1);
    if (!piece) abort();
    memcpy(piece, in + at, cut);
    const char *body = NULL;
    iz_http_event e = iz_http_parse(&p, piece, cut, &used, &body, &len);
    if (used > cut) abort();
    at += used;
    if (e == IZ_HTTP_HEADED) note_head(out, &head);
    if (e == IZ_HTTP_DATA) {
      if (len == 0 || body < piece || body + len > piece + cut) abort();
      iz_buf_add(out, body, len);
    }
    if (e == IZ_HTTP_END) {
      iz_buf_adds(out, "E");
      iz_http_parser_begin(&p, &head, 2048, 4096);
    }
    if (e == IZ_HTTP_BAD) iz_buf_addf(out, "B%d", p.status);
    free(piece);
    more = e != IZ_HTTP_BAD && !(e == IZ_HTTP_MORE && at == n);
  }
  iz_http_head_free(&head);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 1) return 0;
  iz_buf whole = {0}, cut = {0};
  const char *in = (const char *)data + 1;
  run((cutter){.whole = true}, in, size - 1, &whole);
  run((cutter){.seed = data[0]}, in, size - 1, &cut);
  if (whole.len != cut.len || (whole.len && memcmp(whole.data, cut.data, whole.len) != 0)) abort();
  iz_buf_free(&whole);
  iz_buf_free(&cut);
  return 0;
}
