/* fuzz_sse.c -- any split of a stream gives the events of one piece, within the size bound.
 *
 * Byte 0 is the seed of the split, byte 1 the size bound; the rest is the stream.
 */
#include "http/sse.h"
#include "must.h"

#include <stdlib.h>

static void log_part(iz_buf *log, const char *p, size_t n) {
  iz_buf_add(log, &n, sizeof n);
  iz_buf_add(log, p, n);
}

static void log_event(const iz_sse *s, iz_buf *log) {
  iz_sse_event e = iz_sse_event_of(s);
  must(e.data_len < s->max, "an event over the bound");
  must(memchr(e.type, '\n', e.type_len) == NULL, "a type with a line end");
  must(memchr(e.id, 0, e.id_len) == NULL, "an id with a NUL");
  log_part(log, e.type, e.type_len);
  log_part(log, e.data, e.data_len);
  log_part(log, e.id, e.id_len);
  iz_buf_add(log, &e.retry_ms, sizeof e.retry_ms);
}

/* Logs every event and how it ended; seed 0 feeds all at once. */
static void read_stream(const char *p, size_t n, size_t max, unsigned seed, iz_buf *log) {
  iz_sse s;
  iz_sse_init(&s, max);
  enum iz_sse_result r = IZ_SSE_MORE;
  for (size_t at = 0; at < n && (r == IZ_SSE_MORE || r == IZ_SSE_EVENT);) {
    size_t part = n - at, used = 0;
    seed = seed * 1103515245u + (seed ? 12345u : 0);
    if (seed && (seed >> 16) % 9 + 1 < part) part = (seed >> 16) % 9 + 1;
    r = iz_sse_feed(&s, p + at, part, &used);
    must(used <= part, "more used than given");
    must(used > 0 || r == IZ_SSE_TOO_LARGE, "no progress");
    at += used;
    if (r == IZ_SSE_EVENT) log_event(&s, log);
  }
  must(r != IZ_SSE_OOM, "out of memory");
  iz_buf_addc(log, r == IZ_SSE_TOO_LARGE ? 'L' : 'E');
  iz_sse_free(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 2) return 0;
  const char *stream = (const char *)data + 2;
  size_t max = 1 + (size_t)data[1] * 8;
  iz_buf whole = {0}, split = {0};
  read_stream(stream, size - 2, max, 0, &whole);
  read_stream(stream, size - 2, max, data[0] | 1u, &split);
  must(whole.len == split.len && memcmp(whole.data, split.data, whole.len) == 0,
       "a split changed the events");
  iz_buf_free(&whole);
  iz_buf_free(&split);
  return 0;
}
