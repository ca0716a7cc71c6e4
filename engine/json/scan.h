/* scan.h -- finds the bytes of a string that need a closer look, eight at a time. Private to json/.
 */
#ifndef IZ_JSON_SCAN_H
#define IZ_JSON_SCAN_H

#include <stdint.h>
#include <string.h>

#define SCAN_EACH UINT64_C(0x0101010101010101)

/* Whether c is a control character, '"', '\' or outside ASCII. */
static inline int scan_special(char c) {
  unsigned char u = (unsigned char)c;
  return u < 0x20 || u == '"' || u == '\\' || u >= 0x80;
}

/* Index (0 to 7) of the first special byte of the eight at s; 8 when there is none. A borrow in the
 * subtractions can only mark bytes behind a true one, so the first mark is always right. */
static inline unsigned scan8(const char *s) {
  uint64_t x;
  memcpy(&x, s, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  x = __builtin_bswap64(x);
#endif
  uint64_t control = x - 0x20 * SCAN_EACH;
  uint64_t quote = (x ^ '"' * SCAN_EACH) - SCAN_EACH;
  uint64_t slash = (x ^ '\\' * SCAN_EACH) - SCAN_EACH;
  uint64_t mark = (control | quote | slash | x) & (0x80 * SCAN_EACH);
  return mark ? (unsigned)__builtin_ctzll(mark) / 8 : 8;
}

#endif
