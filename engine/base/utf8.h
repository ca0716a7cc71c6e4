/* utf8.h -- well-formed UTF-8, one sequence at a time (RFC 3629; table 3-7 of the Unicode
 * standard).
 *
 * Overlong forms, surrogates and code points above U+10FFFF are not well-formed.
 */
#ifndef IZ_UTF8_H
#define IZ_UTF8_H

#include <stddef.h>

/* Length (1 to 4) of the well-formed sequence at p; 0 when there is none. p < end. */
static inline size_t iz_utf8_len(const char *s, const char *end) {
  const unsigned char *p = (const unsigned char *)s;
  size_t left = (size_t)(end - s);
  unsigned a = p[0];
  if (a < 0x80) return 1;
  if (a >= 0xe0 && a < 0xf0) {
    if (left < 3 || (p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80) return 0;
    if ((a == 0xe0 && p[1] < 0xa0) || (a == 0xed && p[1] > 0x9f)) return 0;
    return 3;
  }
  if (a < 0xe0) return a >= 0xc2 && left >= 2 && (p[1] & 0xc0) == 0x80 ? 2 : 0;
  if (a > 0xf4 || left < 4) return 0;
  if ((p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80 || (p[3] & 0xc0) != 0x80) return 0;
  if ((a == 0xf0 && p[1] < 0x90) || (a == 0xf4 && p[1] > 0x8f)) return 0;
  return 4;
}

#endif
