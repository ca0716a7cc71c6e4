/* parser.c -- the state machine of parser.h.
 *
 * The head is read by states that take runs of bytes of one class; a limit is checked at the byte
 * that passes it, so that the cut of the input cannot matter. What needs the whole head (framing,
 * Host, the form of the target) is judged once, at its end, in request.c.
 */
#include "parser.h"

#include "base/alloc.h"
#include "chars.h"
#include "request.h"

#include <string.h>

enum {
  S_START,
  S_START_LF,
  S_METHOD,
  S_TARGET,
  S_VERSION,
  S_LINE_LF,
  S_FIELD,
  S_NAME,
  S_OWS,
  S_VALUE,
  S_VALUE_LF,
  S_HEAD_LF,
  /* body */
  S_LENGTH,
  S_SIZE_FIRST,
  S_SIZE,
  S_EXT,       /* behind a size or an extension: BWS, ';' or CR */
  S_EXT_BWS,   /* blanks, which only a ';' may follow */
  S_EXT_NAME0, /* behind ';' */
  S_EXT_NAME,
  S_EXT_EQ,     /* BWS before '=' */
  S_EXT_VALUE0, /* behind '=' */
  S_EXT_TOKEN,
  S_EXT_QUOTED,
  S_EXT_ESCAPE,
  S_SIZE_LF,
  S_CHUNK,
  S_CHUNK_CR,
  S_CHUNK_LF,
  S_TRAILER,
  S_TRAILER_NAME,
  S_TRAILER_VALUE,
  S_TRAILER_LF,
  S_LAST_LF,
  S_END,
  S_BAD,
};

bool iz_http_refuse(iz_http_parser *p, int status, const char *why) {
  p->state = S_BAD;
  p->status = (uint16_t)status;
  p->why = why;
  return false;
}

/* ---- the head's memory ---- */

bool iz_http_push(iz_http_parser *p, const char *s, size_t n) {
  iz_http_head *h = p->head;
  if (h->text_cap - h->text_len < n) {
    size_t cap = h->text_cap ? h->text_cap * 2 : 512;
    while (cap - h->text_len < n) cap *= 2;
    char *text = iz_realloc(h->text, cap);
    if (!text) return iz_http_refuse(p, 503, "out of memory");
    h->text = text;
    h->text_cap = (uint32_t)cap;
  }
  memcpy(h->text + h->text_len, s, n);
  h->text_len += (uint32_t)n;
  return true;
}

static bool push_char(iz_http_parser *p, char c) {
  return iz_http_push(p, &c, 1);
}

static bool add_field(iz_http_parser *p) {
  iz_http_head *h = p->head;
  if (h->field_count >= IZ_HTTP_FIELDS_MAX)
    return iz_http_refuse(p, 431, "more than 100 header fields");
  if (h->field_count == h->field_cap) {
    uint16_t cap = h->field_cap ? (uint16_t)(h->field_cap * 2) : 12;
    iz_http_field *fields = iz_realloc(h->fields, cap * sizeof *fields);
    if (!fields) return iz_http_refuse(p, 503, "out of memory");
    h->fields = fields;
    h->field_cap = cap;
  }
  h->fields[h->field_count++] = (iz_http_field){.name = {.at = (uint16_t)h->text_len}};
  return true;
}

void iz_http_head_free(iz_http_head *h) {
  iz_free(h->text);
  iz_free(h->fields);
  *h = (iz_http_head){0};
}

void iz_http_parser_begin(iz_http_parser *p, iz_http_head *head, uint32_t head_max,
                          uint64_t body_max) {
  *p = (iz_http_parser){.head = head, .head_max = head_max, .body_max = body_max};
  *head = (iz_http_head){.text = head->text,
                         .fields = head->fields,
                         .text_cap = head->text_cap,
                         .field_cap = head->field_cap,
                         .content_length = 0};
}

/* ---- request line ---- */

static size_t run_of(const char *s, const char *end, uint8_t class) {
  const char *at = s;
  while (at < end && iz_is_class(*at, class)) at++;
  return (size_t)(at - s);
}

static const char *read_start(iz_http_parser *p, const char *s) {
  if (*s == '\r' && p->at == 0) {
    p->at = 1; /* one empty line before the request is forgiven (RFC 9112 2.2) */
    p->state = S_START_LF;
    return s + 1;
  }
  if (!iz_is_class(*s, IZ_CHAR_TOKEN)) {
    iz_http_refuse(p, 400, "not an HTTP request");
    return s;
  }
  p->state = S_METHOD;
  return s;
}

static const char *read_method(iz_http_parser *p, const char *s, const char *end) {
  size_t n = run_of(s, end, IZ_CHAR_TOKEN);
  if (p->head->text_len + n > 32) {
    iz_http_refuse(p, 501, "method too long");
    return s;
  }
  if (!iz_http_push(p, s, n)) return s;
  s += n;
  if (s == end) return s;
  if (*s != ' ') {
    iz_http_refuse(p, 400, "malformed request line");
    return s;
  }
  p->head->method_name.len = (uint16_t)p->head->text_len;
  if (!push_char(p, 0)) return s;
  p->head->target.at = (uint16_t)p->head->text_len;
  p->state = S_TARGET;
  return s + 1;
}

static const char *read_target(iz_http_parser *p, const char *s, const char *end) {
  iz_http_head *h = p->head;
  size_t n = run_of(s, end, IZ_CHAR_URL);
  if (h->text_len - h->target.at + n > IZ_HTTP_URL_MAX) {
    iz_http_refuse(p, 414, "URL longer than 8 KB");
    return s;
  }
  if (!iz_http_push(p, s, n)) return s;
  s += n;
  if (s == end) return s;
  h->target.len = (uint16_t)(h->text_len - h->target.at);
  if (*s != ' ' || h->target.len == 0) {
    iz_http_refuse(p, 400, "malformed request line");
    return s;
  }
  if (!push_char(p, 0)) return s;
  p->state = S_VERSION;
  p->at = 0;
  return s + 1;
}

/* "HTTP/" DIGIT "." DIGIT CR, one byte at a time. */
static const char *read_version(iz_http_parser *p, const char *s) {
  static const char form[] = "HTTP/0.0\r";
  char want = form[p->at], c = *s;
  if (want == '0' ? c < '0' || c > '9' : c != want) {
    iz_http_refuse(p, 400, "malformed request line");
    return s;
  }
  if (p->at == 5 && c != '1') {
    iz_http_refuse(p, c == '0' ? 400 : 505, "only HTTP/1.0 and HTTP/1.1 are served");
    return s;
  }
  if (p->at == 7) p->head->minor = c != '0';
  if (++p->at == sizeof form - 1) p->state = S_LINE_LF;
  return s + 1;
}

/* ---- fields ---- */

static const char *read_field(iz_http_parser *p, const char *s) {
  if (*s == '\r') {
    p->state = S_HEAD_LF;
    return s + 1;
  }
  if (*s == ' ' || *s == '\t')
    iz_http_refuse(p, 400, "folded header lines are not accepted");
  else if (!iz_is_class(*s, IZ_CHAR_TOKEN))
    iz_http_refuse(p, 400, "malformed header line");
  else if (add_field(p))
    p->state = S_NAME;
  return s;
}

static const char *read_name(iz_http_parser *p, const char *s, const char *end) {
  iz_http_head *h = p->head;
  size_t n = run_of(s, end, IZ_CHAR_TOKEN);
  uint32_t from = h->text_len;
  if (!iz_http_push(p, s, n)) return s;
  for (uint32_t i = from; i < h->text_len; i++) h->text[i] = iz_lower(h->text[i]);
  s += n;
  if (s == end) return s;
  if (*s != ':') {
    iz_http_refuse(p, 400, *s == ' ' ? "space before the colon" : "malformed header name");
    return s;
  }
  iz_http_field *f = &h->fields[h->field_count - 1];
  f->name.len = (uint16_t)(h->text_len - f->name.at);
  if (!push_char(p, 0)) return s;
  f->value.at = (uint16_t)h->text_len;
  p->state = S_OWS;
  return s + 1;
}

static const char *read_value(iz_http_parser *p, const char *s, const char *end) {
  iz_http_head *h = p->head;
  size_t n = run_of(s, end, IZ_CHAR_VALUE);
  if (!iz_http_push(p, s, n)) return s;
  s += n;
  if (s == end) return s;
  if (*s != '\r') {
    iz_http_refuse(p, 400,
                   *s == '\n' ? "line ended by a bare LF" : "control character in a header");
    return s;
  }
  iz_http_field *f = &h->fields[h->field_count - 1];
  while (h->text_len > f->value.at &&
         (h->text[h->text_len - 1] == ' ' || h->text[h->text_len - 1] == '\t'))
    h->text_len--;
  f->value.len = (uint16_t)(h->text_len - f->value.at);
  if (!push_char(p, 0)) return s;
  p->state = S_VALUE_LF;
  return s + 1;
}

static const char *read_lf(iz_http_parser *p, const char *s, uint8_t next) {
  if (*s != '\n') {
    iz_http_refuse(p, 400, "CR without LF");
    return s;
  }
  p->state = next;
  return s + 1;
}

static const char *skip_blank(iz_http_parser *p, const char *s, const char *end) {
  while (s < end && (*s == ' ' || *s == '\t')) s++;
  if (s < end) p->state = S_VALUE;
  return s;
}

static void head_complete(iz_http_parser *p) {
  if (!iz_http_judge(p)) return;
  iz_http_head *h = p->head;
  p->left = h->chunked ? 0 : (uint64_t)h->content_length;
  p->state = h->chunked ? S_SIZE_FIRST : p->left ? S_LENGTH : S_END;
}

static const char *head_step(iz_http_parser *p, const char *s, const char *end) {
  switch (p->state) {
  case S_START:
    return read_start(p, s);
  case S_START_LF:
    return read_lf(p, s, S_START);
  case S_METHOD:
    return read_method(p, s, end);
  case S_TARGET:
    return read_target(p, s, end);
  case S_VERSION:
    return read_version(p, s);
  case S_LINE_LF:
    return read_lf(p, s, S_FIELD);
  case S_FIELD:
    return read_field(p, s);
  case S_NAME:
    return read_name(p, s, end);
  case S_OWS:
    return skip_blank(p, s, end);
  case S_VALUE:
    return read_value(p, s, end);
  case S_VALUE_LF:
    return read_lf(p, s, S_FIELD);
  default:
    s = read_lf(p, s, S_END);
    if (p->state == S_END) head_complete(p);
    return s;
  }
}

static iz_http_event parse_head(iz_http_parser *p, const char *data, size_t n, size_t *used) {
  size_t room = p->head_max - p->bytes;
  const char *s = data, *end = data + (n < room ? n : room);
  while (s < end && p->state <= S_HEAD_LF) s = head_step(p, s, end);
  *used = (size_t)(s - data);
  p->bytes += (uint32_t)*used;
  if (p->state == S_BAD) return IZ_HTTP_BAD;
  if (p->state > S_HEAD_LF) {
    p->bytes = 1;
    return IZ_HTTP_HEADED;
  }
  if (*used == n) return IZ_HTTP_MORE;
  iz_http_refuse(p, 431, "request head too large");
  return IZ_HTTP_BAD;
}

/* ---- bodies ---- */

static const char *read_size(iz_http_parser *p, const char *s) {
  int digit = iz_http_hex((unsigned char)*s);
  if (digit < 0) {
    p->ext = 0;
    p->state = S_EXT;
    return s;
  }
  if (++p->ext > 15) { /* digits; 60 bits */
    iz_http_refuse(p, 400, "chunk size out of range");
    return s;
  }
  p->left = p->left << 4 | (unsigned)digit;
  return s + 1;
}

static const char *read_size_first(iz_http_parser *p, const char *s) {
  if (iz_http_hex((unsigned char)*s) < 0) {
    iz_http_refuse(p, 400, "malformed chunk size");
    return s;
  }
  p->left = 0;
  p->ext = 0;
  p->state = S_SIZE;
  return s;
}

/* Between the parts of extensions: which state a byte leads to; S_BAD where it must not be. */
static uint8_t ext_next(uint8_t state, char c) {
  bool blank = c == ' ' || c == '\t', token = iz_is_class(c, IZ_CHAR_TOKEN);
  switch (state) {
  case S_EXT:
    return blank ? S_EXT_BWS : c == ';' ? S_EXT_NAME0 : c == '\r' ? S_SIZE_LF : S_BAD;
  case S_EXT_BWS:
    return blank ? S_EXT_BWS : c == ';' ? S_EXT_NAME0 : S_BAD;
  case S_EXT_NAME0:
    return blank ? S_EXT_NAME0 : token ? S_EXT_NAME : S_BAD;
  case S_EXT_NAME:
    if (token) return S_EXT_NAME;
    return c == '=' ? S_EXT_VALUE0 : blank ? S_EXT_EQ : ext_next(S_EXT, c);
  case S_EXT_EQ:
    return blank ? S_EXT_EQ : c == '=' ? S_EXT_VALUE0 : ext_next(S_EXT_BWS, c);
  case S_EXT_VALUE0:
    return blank ? S_EXT_VALUE0 : c == '"' ? S_EXT_QUOTED : token ? S_EXT_TOKEN : S_BAD;
  case S_EXT_TOKEN:
    return token ? S_EXT_TOKEN : ext_next(S_EXT, c);
  case S_EXT_QUOTED:
    if (c == '"') return S_EXT;
    if (c == '\\') return S_EXT_ESCAPE;
    return iz_is_class(c, IZ_CHAR_VALUE) ? S_EXT_QUOTED : S_BAD;
  default:
    return iz_is_class(c, IZ_CHAR_VALUE) ? S_EXT_QUOTED : S_BAD;
  }
}

static const char *read_ext(iz_http_parser *p, const char *s) {
  uint8_t next = ext_next(p->state, *s);
  if (next == S_BAD || ++p->ext > IZ_HTTP_CHUNK_EXT_MAX) {
    iz_http_refuse(p, 400, next == S_BAD ? "malformed chunk" : "chunk extension too long");
    return s;
  }
  p->state = next;
  return s + 1;
}

static void size_complete(iz_http_parser *p) {
  if (p->left == 0) {
    p->state = S_TRAILER;
    p->bytes = 1;
  } else if (p->left > p->body_max - p->body_seen) {
    iz_http_refuse(p, 413, "request body too large");
  } else {
    p->body_seen += p->left;
    p->state = S_CHUNK;
  }
}

static const char *read_trailer(iz_http_parser *p, const char *s) {
  if (*s == '\r') {
    p->state = S_LAST_LF;
    return s + 1;
  }
  if (!iz_is_class(*s, IZ_CHAR_TOKEN) || ++p->trailers > IZ_HTTP_FIELDS_MAX)
    iz_http_refuse(p, 400, "malformed trailer");
  else
    p->state = S_TRAILER_NAME;
  return s;
}

/* A trailer's name up to ':' or its value up to CR: checked, not kept. */
static const char *skip_trailer(iz_http_parser *p, const char *s, const char *end, uint8_t class,
                                char stop, uint8_t next) {
  size_t n = run_of(s, end, class);
  p->bytes += (uint32_t)(n + 1);
  s += n;
  if (p->bytes > p->head_max) {
    iz_http_refuse(p, 431, "trailer section too large");
    return s;
  }
  if (s == end) {
    p->bytes--;
    return s;
  }
  if (*s != stop) {
    iz_http_refuse(p, 400, "malformed trailer");
    return s;
  }
  p->state = next;
  return s + 1;
}

static const char *body_step(iz_http_parser *p, const char *s, const char *end) {
  switch (p->state) {
  case S_SIZE_FIRST:
    return read_size_first(p, s);
  case S_SIZE:
    return read_size(p, s);
  case S_SIZE_LF:
    s = read_lf(p, s, S_CHUNK);
    if (p->state == S_CHUNK) size_complete(p);
    return s;
  case S_CHUNK_CR:
    if (*s != '\r') {
      iz_http_refuse(p, 400, "chunk longer than its size");
      return s;
    }
    p->state = S_CHUNK_LF;
    return s + 1;
  case S_CHUNK_LF:
    return read_lf(p, s, S_SIZE_FIRST);
  case S_TRAILER:
    return read_trailer(p, s);
  case S_TRAILER_NAME:
    return skip_trailer(p, s, end, IZ_CHAR_TOKEN, ':', S_TRAILER_VALUE);
  case S_TRAILER_VALUE:
    return skip_trailer(p, s, end, IZ_CHAR_VALUE, '\r', S_TRAILER_LF);
  case S_TRAILER_LF:
    return read_lf(p, s, S_TRAILER);
  case S_LAST_LF:
    return read_lf(p, s, S_END);
  default:
    return read_ext(p, s);
  }
}

static iz_http_event take_data(iz_http_parser *p, const char *s, const char *end, const char *data,
                               size_t *used, const char **body, size_t *body_len) {
  size_t n = (size_t)(end - s);
  if (n > p->left) n = (size_t)p->left;
  p->left -= n;
  if (!p->left) p->state = p->state == S_LENGTH ? S_END : S_CHUNK_CR;
  *body = s;
  *body_len = n;
  *used = (size_t)(s - data) + n;
  return IZ_HTTP_DATA;
}

iz_http_event iz_http_parse(iz_http_parser *p, const char *data, size_t n, size_t *used,
                            const char **body, size_t *body_len) {
  *used = 0;
  if (p->state <= S_HEAD_LF) return n ? parse_head(p, data, n, used) : IZ_HTTP_MORE;
  const char *s = data, *end = n ? data + n : data;
  while (s < end && p->state < S_END) {
    if (p->state == S_LENGTH || p->state == S_CHUNK)
      return take_data(p, s, end, data, used, body, body_len);
    s = body_step(p, s, end);
  }
  *used = (size_t)(s - data);
  return p->state == S_BAD ? IZ_HTTP_BAD : p->state == S_END ? IZ_HTTP_END : IZ_HTTP_MORE;
}

const char *iz_http_find(const iz_http_head *h, const char *name, size_t *len) {
  size_t n = strlen(name);
  for (int i = 0; i < h->field_count; i++) {
    const iz_http_field *f = &h->fields[i];
    if (f->name.len != n || memcmp(h->text + f->name.at, name, n) != 0) continue;
    if (len) *len = f->value.len;
    return h->text + f->value.at;
  }
  return NULL;
}
