/* request.c -- the judgement of a complete request head: target, Host, framing, persistence.
 *
 * RFC 9112 sections 3.2 (target), 6 (framing), 9.3 (persistence); RFC 9110 7.2 (Host), 10.1.1
 * (Expect).
 */
#include "request.h"

#include "base/utf8.h"
#include "chars.h"

#include <string.h>

static bool text_is(const iz_http_head *h, iz_http_span s, const char *word) {
  return s.len == strlen(word) && memcmp(h->text + s.at, word, s.len) == 0;
}

static iz_http_method method_of(const iz_http_head *h) {
  static const char *const names[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};
  for (int i = 0; i < IZ_HTTP_OTHER; i++)
    if (text_is(h, h->method_name, names[i])) return (iz_http_method)i;
  return IZ_HTTP_OTHER;
}

/* ---- target ---- */

/* The byte that "%XX" at s stands for; -1 when it is not two hexadecimal digits. */
static int escaped(const char *s, const char *end) {
  if (end - s < 3) return -1;
  int hi = iz_http_hex((unsigned char)s[1]), lo = iz_http_hex((unsigned char)s[2]);
  return hi < 0 || lo < 0 ? -1 : hi << 4 | lo;
}

/* Text that is not UTF-8 could go neither into JSON nor into a database; no browser sends it. */
static bool escapes_utf8(const char *s, const char *end) {
  while (s < end) {
    int c = *s == '%' ? escaped(s, end) : 0;
    if (c < 0x80) {
      s++;
      continue;
    }
    char bytes[4] = {0};
    size_t n = 0;
    for (const char *e = s; n < 4 && e < end && *e == '%' && c >= 0; e += 3)
      if ((c = escaped(e, end)) >= 0) bytes[n++] = (char)c;
    size_t len = iz_utf8_len(bytes, bytes + n);
    if (!len) return false;
    s += 3 * len;
  }
  return true;
}

/* Every escape valid and none a NUL; no segment that decodes to "." or "..": clients resolve those
 * before they send, so one on the wire is an attempt to leave a folder. */
static bool path_ok(const char *s, const char *end) {
  size_t dots = 0, others = 0;
  while (s < end) {
    int c = *s == '%' ? escaped(s, end) : (unsigned char)*s;
    if (c <= 0) return false;
    s += *s == '%' ? 3 : 1;
    if (c == '/') {
      if (dots && dots <= 2 && !others) return false;
      dots = others = 0;
    } else if (c == '.') {
      dots++;
    } else {
      others++;
    }
  }
  return !(dots && dots <= 2 && !others);
}

/* A lone '%' is common in hand-written queries and stays as it is; a NUL is refused. */
static bool query_ok(const char *s, const char *end) {
  for (; s < end; s++)
    if (*s == '%' && escaped(s, end) == 0) return false;
  return true;
}

static bool split_path(iz_http_parser *p, uint32_t at, uint32_t end) {
  iz_http_head *h = p->head;
  const char *mark = memchr(h->text + at, '?', end - at);
  uint32_t path_end = mark ? (uint32_t)(mark - h->text) : end;
  h->path = (iz_http_span){(uint16_t)at, (uint16_t)(path_end - at)};
  if (mark) h->query = (iz_http_span){(uint16_t)(path_end + 1), (uint16_t)(end - path_end - 1)};
  if (!path_ok(h->text + at, h->text + path_end))
    return iz_http_refuse(p, 400, "path with a bad escape, a NUL or a dot segment");
  if (mark && !query_ok(mark + 1, h->text + end)) return iz_http_refuse(p, 400, "NUL in the query");
  if (!escapes_utf8(h->text + at, h->text + end))
    return iz_http_refuse(p, 400, "the URL's escapes are not UTF-8");
  return true;
}

/* http://authority[/path][?query]: the authority counts, not Host (RFC 9112 3.2.2). */
static bool absolute_form(iz_http_parser *p, uint32_t scheme) {
  iz_http_head *h = p->head;
  uint32_t at = h->target.at + scheme, end = h->target.at + (uint32_t)h->target.len, stop = at;
  while (stop < end && h->text[stop] != '/' && h->text[stop] != '?') stop++;
  h->host = (iz_http_span){(uint16_t)at, (uint16_t)(stop - at)};
  if (!iz_http_host_len(h->text + at, stop - at))
    return iz_http_refuse(p, 400, "malformed host in the URL");
  if (stop < end && h->text[stop] == '/') return split_path(p, stop, end);
  /* No path: it is "/". Written behind everything, with the query. */
  uint32_t from = h->text_len;
  char rest[IZ_HTTP_URL_MAX + 2];
  size_t n = end - stop;
  rest[0] = '/';
  memcpy(rest + 1, h->text + stop, n);
  rest[n + 1] = 0;
  if (!iz_http_push(p, rest, n + 2)) return false;
  return split_path(p, from, from + 1 + (uint32_t)n);
}

static bool judge_target(iz_http_parser *p) {
  iz_http_head *h = p->head;
  const char *t = h->text + h->target.at;
  if (t[0] == '/') return split_path(p, h->target.at, h->target.at + (uint32_t)h->target.len);
  if (text_is(h, h->target, "*") && h->method == IZ_HTTP_OPTIONS) {
    h->path = h->target;
    return true;
  }
  if (h->target.len > 7 && iz_http_equal_nocase(t, 7, "http://", 7)) return absolute_form(p, 7);
  if (h->target.len > 8 && iz_http_equal_nocase(t, 8, "https://", 8)) return absolute_form(p, 8);
  if (text_is(h, h->method_name, "CONNECT")) return iz_http_refuse(p, 501, "CONNECT is not served");
  return iz_http_refuse(p, 400, "malformed request target");
}

/* ---- fields ---- */

typedef struct seen {
  int hosts, lengths, encodings;
  bool close, keep_alive, bad_expect;
} seen;

static bool judge_host(iz_http_parser *p, const seen *s, iz_http_span value) {
  iz_http_head *h = p->head;
  if (s->hosts > 1) return iz_http_refuse(p, 400, "more than one Host");
  if (s->hosts == 0) return h->minor == 0 || iz_http_refuse(p, 400, "missing Host");
  if (!iz_http_host_len(h->text + value.at, value.len))
    return iz_http_refuse(p, 400, "malformed Host");
  if (!h->host.len) h->host = value;
  return true;
}

/* 1*DIGIT; a number past int64 counts as "very large". */
static bool read_length(iz_http_parser *p, iz_http_span value) {
  const char *s = p->head->text + value.at;
  uint64_t n = 0;
  for (int i = 0; i < value.len; i++) {
    if (s[i] < '0' || s[i] > '9') return iz_http_refuse(p, 400, "malformed Content-Length");
    n = n > INT64_MAX / 16 ? INT64_MAX : n * 10 + (uint64_t)(s[i] - '0');
  }
  if (!value.len) return iz_http_refuse(p, 400, "malformed Content-Length");
  p->head->content_length = n > INT64_MAX ? INT64_MAX : (int64_t)n;
  return true;
}

static void read_connection(const iz_http_head *h, iz_http_span value, seen *s) {
  const char *at = h->text + value.at, *end = at + value.len;
  while (at < end) {
    const char *comma = memchr(at, ',', (size_t)(end - at));
    const char *stop = comma ? comma : end, *last = stop;
    while (at < last && (*at == ' ' || *at == '\t')) at++;
    while (last > at && (last[-1] == ' ' || last[-1] == '\t')) last--;
    size_t n = (size_t)(last - at);
    if (iz_http_equal_nocase(at, n, "close", 5)) s->close = true;
    if (iz_http_equal_nocase(at, n, "keep-alive", 10)) s->keep_alive = true;
    at = stop + 1;
  }
}

static bool judge_framing(iz_http_parser *p, const seen *s, iz_http_span encoding) {
  iz_http_head *h = p->head;
  if (s->lengths > 1) return iz_http_refuse(p, 400, "more than one Content-Length");
  if (!s->encodings) {
    if ((uint64_t)h->content_length > p->body_max)
      return iz_http_refuse(p, 413, "request body too large");
    p->body_seen = (uint64_t)h->content_length;
    return true;
  }
  if (s->lengths) return iz_http_refuse(p, 400, "Content-Length beside Transfer-Encoding");
  if (s->encodings > 1) return iz_http_refuse(p, 400, "more than one Transfer-Encoding");
  if (h->minor == 0) return iz_http_refuse(p, 400, "Transfer-Encoding in HTTP/1.0");
  if (!iz_http_equal_nocase(h->text + encoding.at, encoding.len, "chunked", 7))
    return iz_http_refuse(p, encoding.len ? 501 : 400,
                          "only the chunked transfer coding is served");
  h->chunked = true;
  h->content_length = -1;
  return true;
}

static bool read_fields(iz_http_parser *p, seen *s, iz_http_span *host, iz_http_span *encoding) {
  iz_http_head *h = p->head;
  for (int i = 0; i < h->field_count; i++) {
    const iz_http_field *f = &h->fields[i];
    if (text_is(h, f->name, "host")) {
      s->hosts++;
      *host = f->value;
    } else if (text_is(h, f->name, "content-length")) {
      s->lengths++;
      if (!read_length(p, f->value)) return false;
    } else if (text_is(h, f->name, "transfer-encoding")) {
      s->encodings++;
      *encoding = f->value;
    } else if (text_is(h, f->name, "connection")) {
      read_connection(h, f->value, s);
    } else if (text_is(h, f->name, "expect")) {
      if (iz_http_equal_nocase(h->text + f->value.at, f->value.len, "100-continue", 12))
        h->expect_continue = h->minor == 1;
      else
        s->bad_expect = true;
    }
  }
  return true;
}

bool iz_http_judge(iz_http_parser *p) {
  iz_http_head *h = p->head;
  seen s = {0};
  iz_http_span host = {0}, encoding = {0};
  h->method = method_of(h);
  h->keep_alive = false;
  if (!judge_target(p) || !read_fields(p, &s, &host, &encoding)) return false;
  if (!judge_host(p, &s, host) || !judge_framing(p, &s, encoding)) return false;
  if (s.bad_expect) return iz_http_refuse(p, 417, "unknown expectation");
  if (h->content_length == 0) h->expect_continue = false;
  h->keep_alive = !s.close && (h->minor == 1 || s.keep_alive);
  return true;
}
