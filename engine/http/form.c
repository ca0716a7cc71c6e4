/* form.c -- see form.h. */
#include "form.h"

#include "parser.h"

#include <string.h>

size_t iz_http_decode(char *out, const char *s, size_t n, bool plus) {
  size_t to = 0;
  for (size_t i = 0; i < n; i++) {
    char c = s[i];
    if (c == '%' && n - i >= 3) {
      int hi = iz_http_hex((unsigned char)s[i + 1]), lo = iz_http_hex((unsigned char)s[i + 2]);
      if (hi >= 0 && lo >= 0) {
        c = (char)(hi << 4 | lo);
        i += 2;
      }
    } else if (c == '+' && plus) {
      c = ' ';
    }
    out[to++] = c;
  }
  return to;
}

bool iz_form_next(const char *s, size_t n, size_t *at, iz_form_pair *pair) {
  while (*at < n && s[*at] == '&') ++*at;
  if (*at >= n) return false;
  const char *from = s + *at;
  const char *end = memchr(from, '&', n - *at);
  if (!end) end = s + n;
  const char *eq = memchr(from, '=', (size_t)(end - from));
  pair->name = from;
  pair->name_len = (size_t)((eq ? eq : end) - from);
  pair->value = eq ? eq + 1 : end;
  pair->value_len = (size_t)(end - pair->value);
  *at = (size_t)(end - s);
  return true;
}
