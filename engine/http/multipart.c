/* multipart.c -- see multipart.h.
 *
 * The delimiter is CRLF "--" boundary; the first one may stand at the very beginning, so the parser
 * starts as if its CRLF had been seen. CR occurs in the delimiter only at its start (boundaries
 * have no CR), hence a failed match can restart only at the byte that broke it.
 */
#include "multipart.h"

#include "chars.h"
#include "parser.h"

#include <string.h>

enum { M_PREAMBLE, M_DATA, M_AFTER, M_AFTER_DASH, M_AFTER_CR, M_HEAD, M_END, M_BAD };

static iz_multipart_event bad(iz_multipart *m, const char *why) {
  m->state = M_BAD;
  m->why = why;
  return IZ_MULTIPART_BAD;
}

/* ---- parameters: ;name=value or ;name="value" ---- */

/* Does the value begin with `word`, and is what follows, if anything, parameters? */
static bool is_word(const char *s, size_t n, const char *word) {
  size_t len = strlen(word);
  return n >= len && iz_http_equal_nocase(s, len, word, len) &&
         (n == len || s[len] == ';' || s[len] == ' ' || s[len] == '\t');
}

typedef struct param {
  const char *name;
  size_t name_len;
  iz_buf *value;
} param;

/* Reads one parameter at *at; false at the end. A quoted value may escape with a backslash;
 * browsers write a quote as %22, which stays. `bad_form` is set when it is malformed. */
static bool next_param(const char *s, size_t n, size_t *at, param *p, bool *bad_form) {
  size_t i = *at;
  while (i < n && (s[i] == ' ' || s[i] == '\t' || s[i] == ';')) i++;
  if (i >= n) return false;
  p->name = s + i;
  while (i < n && iz_is_class(s[i], IZ_CHAR_TOKEN)) i++;
  p->name_len = (size_t)(s + i - p->name);
  iz_buf_clear(p->value);
  *bad_form = p->name_len == 0 || i >= n || s[i] != '=';
  if (*bad_form) return false;
  i++;
  if (i < n && s[i] == '"') {
    for (i++; i < n && s[i] != '"'; i++) {
      if (s[i] == '\\' && i + 1 < n && (s[i + 1] == '"' || s[i + 1] == '\\')) i++;
      iz_buf_addc(p->value, s[i]);
    }
    *bad_form = i >= n;
    i++;
  } else {
    while (i < n && iz_is_class(s[i], IZ_CHAR_TOKEN)) iz_buf_addc(p->value, s[i++]);
  }
  while (i < n && (s[i] == ' ' || s[i] == '\t')) i++;
  if (i < n && s[i] != ';') *bad_form = true;
  *at = i;
  return !*bad_form && !p->value->oom;
}

static bool name_is(const param *p, const char *name) {
  return iz_http_equal_nocase(p->name, p->name_len, name, strlen(name));
}

static bool boundary_ok(const char *s, size_t n) {
  if (n < 1 || n > IZ_MULTIPART_BOUNDARY_MAX || s[n - 1] == ' ') return false;
  for (size_t i = 0; i < n; i++)
    if (s[i] < 0x20 || s[i] > 0x7e) return false;
  return true;
}

bool iz_multipart_begin(iz_multipart *m, const char *type, size_t n) {
  static const char wanted[] = "multipart/form-data";
  size_t at = sizeof wanted - 1;
  *m = (iz_multipart){0};
  if (!is_word(type, n, wanted)) return false;
  iz_buf value = {0};
  param p = {.value = &value};
  bool bad_form = false, found = false;
  while (!found && next_param(type, n, &at, &p, &bad_form)) found = name_is(&p, "boundary");
  found = found && boundary_ok(value.data, value.len);
  if (found) {
    memcpy(m->delimiter, "\r\n--", 4);
    memcpy(m->delimiter + 4, value.data, value.len);
    m->delimiter_len = value.len + 4;
    m->matched = 2;
  }
  iz_buf_free(&value);
  return found;
}

/* ---- content ---- */

/* Content up to the delimiter, or to the end of the input. In the preamble it is thrown away. */
static iz_multipart_event content(iz_multipart *m, const char *in, size_t n, size_t *used,
                                  const char **data, size_t *len) {
  size_t i = 0;
  while (i < n) {
    if (m->matched) {
      if (in[i] == m->delimiter[m->matched]) {
        i++;
        if (++m->matched < m->delimiter_len) continue;
        m->matched = 0;
        *used = i;
        bool first = m->state == M_PREAMBLE;
        m->state = M_AFTER;
        return first ? IZ_MULTIPART_MORE : IZ_MULTIPART_PART_END;
      }
      *data = m->delimiter; /* the bytes held back were content: they equal the delimiter's start */
      *len = m->matched;
      m->matched = 0;
      *used = i;
      return m->state == M_PREAMBLE ? IZ_MULTIPART_MORE : IZ_MULTIPART_DATA;
    }
    const char *cr = memchr(in + i, '\r', n - i);
    size_t run = cr ? (size_t)(cr - in) - i : n - i;
    if (run && m->state == M_DATA) {
      *data = in + i;
      *len = run;
      *used = i + run;
      return IZ_MULTIPART_DATA;
    }
    i += run;
    if (cr) {
      m->matched = 1;
      i++;
    }
  }
  *used = i;
  return IZ_MULTIPART_MORE;
}

/* ---- part headers ---- */

const char *iz_multipart_header(const iz_multipart *m, const char *name, size_t *len) {
  const char *s = m->head.data, *end = s ? s + m->head.len : NULL;
  size_t want = strlen(name);
  while (s < end) {
    const char *eol = memchr(s, '\r', (size_t)(end - s));
    const char *colon = memchr(s, ':', (size_t)(eol - s));
    if (iz_http_equal_nocase(s, (size_t)(colon - s), name, want)) {
      const char *v = colon + 1, *last = eol;
      while (v < last && (*v == ' ' || *v == '\t')) v++;
      while (last > v && (last[-1] == ' ' || last[-1] == '\t')) last--;
      *len = (size_t)(last - v);
      return v;
    }
    s = eol + 2;
  }
  return NULL;
}

static bool lines_ok(const iz_multipart *m) {
  const char *s = m->head.data, *end = s + m->head.len;
  for (int count = 0; s < end; count++) {
    const char *eol = memchr(s, '\r', (size_t)(end - s));
    const char *colon = eol ? memchr(s, ':', (size_t)(eol - s)) : NULL;
    if (!colon || count >= 16 || !iz_http_is_token(s, (size_t)(colon - s)) ||
        !iz_http_is_field_value(colon + 1, (size_t)(eol - colon - 1)) || eol[1] != '\n')
      return false;
    s = eol + 2;
  }
  return true;
}

static iz_multipart_event part_begins(iz_multipart *m) {
  static const char wanted[] = "form-data";
  size_t n = 0, at = sizeof wanted - 1;
  iz_buf value = {0};
  param p = {.value = &value};
  bool bad_form = false, named = false, twice = false;
  const char *v = lines_ok(m) ? iz_multipart_header(m, "content-disposition", &n) : NULL;
  if (!v || !is_word(v, n, wanted)) return bad(m, "a part without a form-data Content-Disposition");
  iz_buf_clear(&m->name);
  iz_buf_clear(&m->filename);
  m->has_filename = false;
  while (next_param(v, n, &at, &p, &bad_form)) {
    if (name_is(&p, "name")) {
      twice |= named;
      named = true;
      iz_buf_add(&m->name, value.data, value.len);
    } else if (name_is(&p, "filename")) {
      twice |= m->has_filename;
      m->has_filename = true;
      iz_buf_add(&m->filename, value.data, value.len);
    }
  }
  bool oom = value.oom || m->name.oom || m->filename.oom;
  iz_buf_free(&value);
  if (oom) return bad(m, "out of memory");
  if (bad_form || !named) return bad(m, "a part without a name");
  if (twice) return bad(m, "a part with two names");
  m->state = M_DATA;
  m->matched = 0;
  return IZ_MULTIPART_PART;
}

/* One byte of a part's headers; they end with an empty line. */
static iz_multipart_event head_byte(iz_multipart *m, char c) {
  iz_buf *h = &m->head;
  if (h->len >= IZ_MULTIPART_HEAD_MAX) return bad(m, "part headers too large");
  if (!iz_buf_addc(h, c)) return bad(m, "out of memory");
  bool first = h->len == 2 && memcmp(h->data, "\r\n", 2) == 0;
  if (!first && (h->len < 4 || memcmp(h->data + h->len - 4, "\r\n\r\n", 4) != 0))
    return IZ_MULTIPART_MORE;
  h->len -= 2;
  return part_begins(m);
}

static iz_multipart_event after_delimiter(iz_multipart *m, char c) {
  if (m->state == M_AFTER && c == '-') {
    m->state = M_AFTER_DASH;
  } else if (m->state == M_AFTER_DASH && c == '-') {
    m->state = M_END;
    return IZ_MULTIPART_END;
  } else if (m->state == M_AFTER && c == '\r') {
    m->state = M_AFTER_CR;
  } else if (m->state == M_AFTER_CR && c == '\n') {
    m->state = M_HEAD;
    iz_buf_clear(&m->head);
  } else if (m->state != M_AFTER || (c != ' ' && c != '\t')) {
    return bad(m, "malformed multipart delimiter");
  }
  return IZ_MULTIPART_MORE;
}

iz_multipart_event iz_multipart_parse(iz_multipart *m, const char *in, size_t n, size_t *used,
                                      const char **data, size_t *len) {
  size_t at = 0;
  iz_multipart_event e = IZ_MULTIPART_MORE;
  if (m->state == M_BAD) e = IZ_MULTIPART_BAD;
  while (at < n && e == IZ_MULTIPART_MORE) {
    size_t took = 1;
    if (m->state == M_END)
      took = n - at;
    else if (m->state == M_PREAMBLE || m->state == M_DATA)
      e = content(m, in + at, n - at, &took, data, len);
    else if (m->state == M_HEAD)
      e = head_byte(m, in[at]);
    else
      e = after_delimiter(m, in[at]);
    at += took;
  }
  *used = at;
  return e;
}

void iz_multipart_free(iz_multipart *m) {
  iz_buf_free(&m->head);
  iz_buf_free(&m->name);
  iz_buf_free(&m->filename);
  m->delimiter_len = 0;
}
