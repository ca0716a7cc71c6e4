/* sse.c -- a line reader and the field rules of the event stream format: see sse.h.
 *
 * A line that lies whole in the caller's bytes is never copied; only one split over two feeds is
 * collected in `line`.
 */
#include "sse.h"

#include "base/alloc.h"

void iz_sse_init(iz_sse *s, size_t max) {
  *s = (iz_sse){.max = max, .retry_ms = -1};
}

void iz_sse_free(iz_sse *s) {
  iz_buf_free(&s->line);
  iz_buf_free(&s->data);
  iz_buf_free(&s->type);
  iz_buf_free(&s->id);
}

static bool set(iz_buf *b, const char *p, size_t n) {
  iz_buf_clear(b);
  return iz_buf_add(b, p, n);
}

/* Only digits count (9.2.6); more than 15 of them are no time. */
static void set_retry(iz_sse *s, const char *p, size_t n) {
  int64_t ms = 0;
  if (!n || n > 15) return;
  for (size_t i = 0; i < n; i++) {
    if (p[i] < '0' || p[i] > '9') return;
    ms = ms * 10 + (p[i] - '0');
  }
  s->retry_ms = ms;
}

static bool is(const char *name, const char *p, size_t n) {
  return strlen(name) == n && memcmp(name, p, n) == 0;
}

static enum iz_sse_result take_field(iz_sse *s, const char *p, size_t n) {
  const char *colon = memchr(p, ':', n);
  size_t name = colon ? (size_t)(colon - p) : n;
  const char *value = p + name;
  size_t len = n - name;
  if (colon) value++, len--;
  if (len && value[0] == ' ') value++, len--;
  bool ok = true;
  if (is("data", p, name)) {
    if (s->data.len + len + 1 > s->max) return IZ_SSE_TOO_LARGE;
    ok = iz_buf_add(&s->data, value, len) && iz_buf_addc(&s->data, '\n');
  } else if (is("event", p, name)) {
    ok = set(&s->type, value, len);
  } else if (is("id", p, name)) {
    if (!memchr(value, 0, len)) ok = set(&s->id, value, len);
  } else if (is("retry", p, name)) {
    set_retry(s, value, len);
  }
  return ok ? IZ_SSE_MORE : IZ_SSE_OOM;
}

static enum iz_sse_result take_line(iz_sse *s, const char *p, size_t n) {
  if (!s->begun && n >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0) p += 3, n -= 3;
  s->begun = true;
  if (n && p[0] != ':') return take_field(s, p, n);
  if (n) return IZ_SSE_MORE;
  if (!s->data.len) {
    iz_buf_clear(&s->type);
    return IZ_SSE_MORE;
  }
  s->data.len--; /* the last line's end */
  s->is_ready = true;
  return IZ_SSE_EVENT;
}

/* A line is complete: its end may be the whole of it or follow what earlier feeds left. */
static enum iz_sse_result end_line(iz_sse *s, const char *p, size_t n) {
  if (s->line.len + n > s->max) return IZ_SSE_TOO_LARGE;
  if (!s->line.len) return take_line(s, p, n);
  if (!iz_buf_add(&s->line, p, n)) return IZ_SSE_OOM;
  enum iz_sse_result r = take_line(s, s->line.data, s->line.len);
  iz_buf_clear(&s->line);
  return r;
}

enum iz_sse_result iz_sse_feed(iz_sse *s, const char *p, size_t n, size_t *used) {
  if (s->is_ready) {
    iz_buf_clear(&s->data);
    iz_buf_clear(&s->type);
    s->is_ready = false;
  }
  size_t at = 0;
  if (n && s->skip_lf) {
    if (p[0] == '\n') at = 1;
    s->skip_lf = false;
  }
  for (size_t i = at; i < n; i++) {
    if (p[i] != '\n' && p[i] != '\r') continue;
    enum iz_sse_result r = end_line(s, p + at, i - at);
    if (p[i] == '\r') {
      if (i + 1 == n) s->skip_lf = true;
      if (i + 1 < n && p[i + 1] == '\n') i++;
    }
    at = i + 1;
    if (r == IZ_SSE_MORE) continue;
    *used = at;
    return r;
  }
  *used = n;
  if (s->line.len + (n - at) > s->max) return IZ_SSE_TOO_LARGE;
  return iz_buf_add(&s->line, p + at, n - at) ? IZ_SSE_MORE : IZ_SSE_OOM;
}

iz_sse_event iz_sse_event_of(const iz_sse *s) {
  return (iz_sse_event){
      .type = s->type.len ? s->type.data : "",
      .data = s->data.len ? s->data.data : "",
      .id = s->id.len ? s->id.data : "",
      .type_len = s->type.len,
      .data_len = s->data.len,
      .id_len = s->id.len,
      .retry_ms = s->retry_ms,
  };
}
