/* reader.c -- the pull reader of json.h.
 *
 * A state says what may come next; each call consumes the punctuation before a token and the token.
 * Whatever is wrong ends in fail(), which notes the place and what was expected; line, column and
 * the sentence are worked out only if somebody asks.
 */
#include "json.h"

#include "base/utf8.h"
#include "scan.h"

#include <stdlib.h>

enum { VALUE, FIRST_ITEM, FIRST_KEY, AFTER, DONE, FAILED };

void iz_json_begin(iz_json *j, const char *s, size_t n, unsigned max_depth, iz_buf *scratch) {
  j->s = NULL;
  j->n = 0;
  j->depth = 0;
  j->in_object = false;
  j->line = 1;
  j->bad = j->expected = NULL;
  j->p = j->start = s;
  j->end = s + n;
  j->scratch = scratch;
  j->max_depth = max_depth < IZ_JSON_DEPTH_MAX ? max_depth : IZ_JSON_DEPTH_MAX;
  j->state = VALUE;
  iz_buf_clear(scratch);
}

static iz_json_type fail(iz_json *j, const char *at, const char *expected) {
  j->bad = at;
  j->expected = expected;
  j->state = FAILED;
  return IZ_JSON_ERROR;
}

static inline const char *skip_space(const char *p, const char *end) {
  while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')) p++;
  return p;
}

/* ---- strings ---- */

/* The end of the run of ordinary characters at p: the next `"`, `\`, control character, malformed
 * sequence or the end of input. */
static inline const char *plain_run(const char *p, const char *end) {
  for (;;) {
    while (end - p >= 8) {
      unsigned k = scan8(p);
      p += k;
      if (k < 8) break;
    }
    while (p < end && !scan_special(*p)) p++;
    if (p >= end || !(*p & 0x80)) return p;
    do {
      size_t len = iz_utf8_len(p, end);
      if (!len) return p;
      p += len;
    } while (p < end && (*p & 0x80));
  }
}

/* Four hexadecimal digits at p, or -1. */
static int hex4(const char *p, const char *end) {
  int v = 0;
  if (end - p < 4) return -1;
  for (int i = 0; i < 4; i++) {
    int c = (unsigned char)p[i], d;
    if (c >= '0' && c <= '9') {
      d = c - '0';
    } else if ((c | 32) >= 'a' && (c | 32) <= 'f') {
      d = (c | 32) - 'a' + 10;
    } else {
      return -1;
    }
    v = v << 4 | d;
  }
  return v;
}

static bool add_code_point(iz_buf *b, unsigned c) {
  char o[4];
  size_t n = 0;
  if (c < 0x80) {
    o[n++] = (char)c;
  } else {
    if (c < 0x800) {
      o[n++] = (char)(0xc0 | c >> 6);
    } else {
      if (c < 0x10000) {
        o[n++] = (char)(0xe0 | c >> 12);
      } else {
        o[n++] = (char)(0xf0 | c >> 18);
        o[n++] = (char)(0x80 | (c >> 12 & 0x3f));
      }
      o[n++] = (char)(0x80 | (c >> 6 & 0x3f));
    }
    o[n++] = (char)(0x80 | (c & 0x3f));
  }
  return iz_buf_add(b, o, n);
}

/* Reads `\uXXXX` (and its second half) at p into scratch; the place behind it, or NULL after fail.
 */
static const char *unicode_escape(iz_json *j, const char *p) {
  int c = hex4(p + 2, j->end);
  if (c < 0) return fail(j, p, "four hexadecimal digits after \\u"), NULL;
  const char *next = p + 6;
  if (c >= 0xd800 && c <= 0xdfff) {
    int low = -1;
    if (c < 0xdc00 && j->end - next >= 2 && next[0] == '\\' && next[1] == 'u') {
      low = hex4(next + 2, j->end);
    }
    if (low < 0xdc00 || low > 0xdfff) return fail(j, p, "a pair of surrogates"), NULL;
    c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    next += 6;
  }
  if (!add_code_point(j->scratch, (unsigned)c)) return fail(j, p, NULL), NULL;
  return next;
}

/* The character a one-letter escape stands for; 0 when there is no such escape. */
static char short_escape(char c) {
  switch (c) {
  case '"':
  case '\\':
  case '/':
    return c;
  case 'b':
    return '\b';
  case 'f':
    return '\f';
  case 'n':
    return '\n';
  case 'r':
    return '\r';
  case 't':
    return '\t';
  default:
    return 0;
  }
}

static iz_json_type unterminated(iz_json *j, const char *p) {
  if (p >= j->end) return fail(j, p, "'\"' to end the string");
  if (*p & 0x80) return fail(j, p, "valid UTF-8");
  return fail(j, p, "an escape instead of a control character");
}

/* The rest of a string from its first escape on, which stands at p; `from` is its first byte. */
static iz_json_type escaped_string(iz_json *j, const char *from, const char *p, iz_json_type type) {
  iz_buf *b = j->scratch;
  iz_buf_clear(b);
  for (;;) {
    if (!iz_buf_add(b, from, (size_t)(p - from))) return fail(j, p, NULL);
    if (p >= j->end || (*p != '"' && *p != '\\')) return unterminated(j, p);
    if (*p == '"') break;
    if (j->end - p >= 2 && p[1] == 'u') {
      p = unicode_escape(j, p);
      if (!p) return IZ_JSON_ERROR;
    } else {
      char c = j->end - p >= 2 ? short_escape(p[1]) : 0;
      if (!c) return fail(j, p, "one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u");
      if (!iz_buf_addc(b, c)) return fail(j, p, NULL);
      p += 2;
    }
    from = p;
    p = plain_run(p, j->end);
  }
  j->s = b->len ? b->data : "";
  j->n = b->len;
  j->p = p + 1;
  return type;
}

/* A string whose opening quote stands before p. */
static inline iz_json_type read_string(iz_json *j, const char *p, iz_json_type type) {
  const char *q = plain_run(p, j->end);
  if (q < j->end && *q == '"') {
    j->s = p;
    j->n = (size_t)(q - p);
    j->p = q + 1;
    return type;
  }
  if (q < j->end && *q == '\\') return escaped_string(j, p, q, type);
  return unterminated(j, q);
}

static inline iz_json_type read_key(iz_json *j, const char *p, const char *expected) {
  if (p >= j->end || *p != '"') return fail(j, p, expected);
  iz_json_type t = read_string(j, p + 1, IZ_JSON_KEY);
  if (t == IZ_JSON_ERROR) return t;
  p = skip_space(j->p, j->end);
  if (p >= j->end || *p != ':') return fail(j, p, "':'");
  j->p = p + 1;
  j->state = VALUE;
  return t;
}

/* ---- numbers ---- */

/* The number from `from` to p as strtod reads it: for what 128 bits cannot decide. */
static iz_json_type slow_float(iz_json *j, const char *from, const char *p) {
  char small[64], *text = small;
  size_t n = (size_t)(p - from);
  if (n >= sizeof small) {
    iz_buf_clear(j->scratch);
    if (!iz_buf_add(j->scratch, from, n)) return fail(j, from, NULL);
    text = iz_buf_cstr(j->scratch);
    if (!text) return fail(j, from, NULL);
  } else {
    memcpy(small, from, n);
    small[n] = 0;
  }
  j->f = strtod(text, NULL);
  if (j->f - j->f != 0) return fail(j, from, "a number within the range of a double");
  return IZ_JSON_FLOAT;
}

static inline bool is_digit(const char *p, const char *end) {
  return p < end && (unsigned char)(*p - '0') <= 9;
}

/* Reads the exponent behind `e`, cut to +-99999; its end, or NULL when there are no digits. */
static const char *exponent(const char *p, const char *end, int64_t *e) {
  bool minus = p < end && *p == '-';
  if (p < end && (*p == '-' || *p == '+')) p++;
  if (!is_digit(p, end)) return NULL;
  int64_t v = 0;
  for (; is_digit(p, end); p++) {
    if (v < 10000) v = v * 10 + (*p - '0');
  }
  *e += minus ? -v : v;
  return p;
}

static inline iz_json_type finish_int(iz_json *j, uint64_t w, bool minus) {
  j->i = (int64_t)(minus ? -w : w);
  return IZ_JSON_INT;
}

static iz_json_type read_number(iz_json *j, const char *from) {
  const char *p = from, *end = j->end;
  bool minus = *p == '-';
  p += minus;
  if (!is_digit(p, end)) return fail(j, p, "a digit");
  const char *first = p;
  uint64_t w = 0;
  for (; is_digit(p, end); p++) w = w * 10 + (uint64_t)(*p - '0');
  size_t digits = (size_t)(p - first);
  if (*first == '0' && digits > 1) return fail(j, first, "a number without leading zeros");
  bool integer = true;
  int64_t e = 0;
  if (p < end && *p == '.') {
    integer = false;
    const char *point = ++p;
    for (; is_digit(p, end); p++) w = w * 10 + (uint64_t)(*p - '0');
    if (p == point) return fail(j, p, "a digit after the point");
    e = point - p;
    digits += (size_t)(p - point);
  }
  if (p < end && (*p | 32) == 'e') {
    integer = false;
    const char *q = exponent(p + 1, end, &e);
    if (!q) return fail(j, p + 1, "a digit in the exponent");
    p = q;
  }
  j->p = p;
  if (digits > 19) return slow_float(j, from, p); /* w has overflowed */
  if (integer && w <= (uint64_t)INT64_MAX + minus) return finish_int(j, w, minus);
  if (!iz_json_scale(w, e, &j->f)) return slow_float(j, from, p);
  if (minus) j->f = -j->f;
  return IZ_JSON_FLOAT;
}

/* ---- values ---- */

static inline bool word(iz_json *j, const char *p, const char *text, size_t n) {
  if ((size_t)(j->end - p) < n || memcmp(p, text, n) != 0) return false;
  j->p = p + n;
  return true;
}

static iz_json_type open_container(iz_json *j, const char *p, bool object) {
  if (j->depth >= j->max_depth) return fail(j, p, "less nesting (the depth limit is reached)");
  unsigned char bit = (unsigned char)(1u << (j->depth & 7));
  if (j->in_object) {
    j->nest[j->depth >> 3] |= bit;
  } else {
    j->nest[j->depth >> 3] &= (unsigned char)~bit;
  }
  j->depth++;
  j->in_object = object;
  j->p = p + 1;
  j->state = object ? FIRST_KEY : FIRST_ITEM;
  return object ? IZ_JSON_OBJECT : IZ_JSON_ARRAY;
}

static inline iz_json_type close_container(iz_json *j, const char *p) {
  iz_json_type t = j->in_object ? IZ_JSON_OBJECT_END : IZ_JSON_ARRAY_END;
  j->depth--;
  j->in_object = j->nest[j->depth >> 3] >> (j->depth & 7) & 1;
  j->p = p + 1;
  j->state = j->depth ? AFTER : DONE;
  return t;
}

static iz_json_type no_value(iz_json *j, const char *p, const char *expected) {
  if (p == j->start && j->end - p >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0) {
    return fail(j, p, "a value without a byte order mark before it");
  }
  return fail(j, p, expected);
}

static inline iz_json_type read_value(iz_json *j, const char *p, const char *expected) {
  if (p >= j->end) return fail(j, p, expected);
  char c = *p;
  if (c == '{' || c == '[') return open_container(j, p, c == '{');
  j->state = j->depth ? AFTER : DONE;
  if (c == '"') return read_string(j, p + 1, IZ_JSON_STRING);
  if (c == '-' || (unsigned char)(c - '0') <= 9) return read_number(j, p);
  if (c == 't' && word(j, p, "true", 4)) return IZ_JSON_TRUE;
  if (c == 'f' && word(j, p, "false", 5)) return IZ_JSON_FALSE;
  if (c == 'n' && word(j, p, "null", 4)) return IZ_JSON_NULL;
  return no_value(j, p, expected);
}

iz_json_type iz_json_next(iz_json *j) {
  const char *end = j->end, *p = skip_space(j->p, end);
  switch (j->state) {
  case VALUE:
    return read_value(j, p, "a value");
  case FIRST_ITEM:
    if (p < end && *p == ']') return close_container(j, p);
    return read_value(j, p, "a value or ']'");
  case FIRST_KEY:
    if (p < end && *p == '}') return close_container(j, p);
    return read_key(j, p, "a string key or '}'");
  case AFTER:
    if (p < end && *p == ',') {
      p = skip_space(p + 1, end);
      return j->in_object ? read_key(j, p, "a string key") : read_value(j, p, "a value");
    }
    if (p < end && *p == (j->in_object ? '}' : ']')) return close_container(j, p);
    return fail(j, p, j->in_object ? "',' or '}'" : "',' or ']'");
  case DONE:
    j->p = p;
    return p == end ? IZ_JSON_END : fail(j, p, "the end of the text");
  default:
    return IZ_JSON_ERROR;
  }
}

/* ---- errors ---- */

bool iz_json_error(const iz_json *j, iz_err *err) {
  if (!j->expected) return iz_fail_oom(err);
  size_t line = j->line, column = 1;
  for (const char *p = j->start; p < j->bad; p++) {
    if (*p == '\n') {
      line++;
      column = 1;
    } else {
      column += (*p & 0xc0) != 0x80;
    }
  }
  unsigned char c = j->bad < j->end ? (unsigned char)*j->bad : 0;
  if (j->bad >= j->end) {
    return iz_fail(err, "invalid", "%zu:%zu: expected %s, found the end of the text", line, column,
                   j->expected);
  }
  if (c <= 0x20 || c >= 0x7f) {
    return iz_fail(err, "invalid", "%zu:%zu: expected %s, found the byte 0x%02x", line, column,
                   j->expected, c);
  }
  return iz_fail(err, "invalid", "%zu:%zu: expected %s, found '%c'", line, column, j->expected, c);
}
