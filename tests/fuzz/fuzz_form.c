/* fuzz_form.c -- engine/http/form.c: queries and urlencoded bodies.
 *
 * The pairs and what lies between them are the whole text; decoding in place and into a block of
 * its own agree; any bytes survive being encoded and decoded.
 */
#include "base/buf.h"
#include "http/form.h"
#include "must.h"

#include <stdlib.h>

static char *copy_of(const char *s, size_t n) {
  char *p = calloc(1, n ? n : 1);
  must(p != NULL, "memory");
  if (n) memcpy(p, s, n);
  return p;
}

static void check_decode(const char *s, size_t n, bool plus) {
  char *apart = malloc(n ? n : 1), *in_place = copy_of(s, n);
  must(apart != NULL, "memory");
  size_t len = iz_http_decode(apart, s, n, plus);
  must(len <= n, "decoding made it longer");
  must(iz_http_decode(in_place, in_place, n, plus) == len && !memcmp(apart, in_place, len),
       "decoding in place differs");
  if (!memchr(s, '%', n) && !(plus && memchr(s, '+', n)))
    must(len == n && !memcmp(apart, s, n), "plain text changed");
  free(apart);
  free(in_place);
}

/* Every byte as %XX, then back. */
static void check_round_trip(const char *s, size_t n) {
  iz_buf b = {0};
  for (size_t i = 0; i < n; i++)
    iz_buf_addf(&b, i & 1 ? "%%%02x" : "%%%02X", (unsigned)(unsigned char)s[i]);
  if (n) must(iz_http_decode(b.data, b.data, b.len, true) == n && !memcmp(b.data, s, n), "escapes");
  iz_buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *s = copy_of((const char *)data, size);
  const char *end = s;
  size_t at = 0;
  iz_form_pair p;
  while (iz_form_next(s, size, &at, &p)) {
    must(p.name >= end && at <= size, "a pair outside the text");
    for (; end < p.name; end++) must(*end == '&', "something passed over");
    const char *name_end = p.name + p.name_len;
    must(p.value == name_end + (name_end < s + size && *name_end == '='), "a hole in a pair");
    must(!memchr(p.name, '=', p.name_len), "'=' in a name");
    end = p.value + p.value_len;
    must(end == s + at && !memchr(p.name, '&', (size_t)(end - p.name)), "'&' in a pair");
    check_decode(p.name, p.name_len, true);
    check_decode(p.value, p.value_len, true);
  }
  for (; end < s + size; end++) must(*end == '&', "the end passed over");
  check_decode(s, size, false);
  check_round_trip(s, size);
  free(s);
  return 0;
}
