/* writer.c -- strings as JSON, copied eight bytes at a time while nothing needs an escape.
 *
 * Numbers are in number.c; punctuation a caller appends itself.
 */
#include "json.h"

#include "base/utf8.h"
#include "scan.h"

#define SLACK 16 /* room for one escape and one blind store of eight */

/* Writes the escape of c at o; returns its end. */
static char *escape(char *o, unsigned char c) {
  static const char hex[] = "0123456789abcdef";
  static const char letters[] = "btn\0fr"; /* of 8, 9, 10, 12, 13 */
  *o++ = '\\';
  if (c == '"' || c == '\\') {
    *o++ = (char)c;
  } else if (c >= 8 && c <= 13 && c != 11) {
    *o++ = letters[c - 8];
  } else {
    *o++ = 'u';
    *o++ = '0';
    *o++ = '0';
    *o++ = hex[c >> 4];
    *o++ = hex[c & 15];
  }
  return o;
}

bool iz_json_put_string(iz_buf *b, const char *s, size_t n) {
  const char *end = s + n;
  if (!iz_buf_reserve(b, n + SLACK + 2)) return false;
  char *o = b->data + b->len;
  *o++ = '"';
  for (;;) {
    while (end - s >= 8) {
      unsigned k = scan8(s);
      memcpy(o, s, 8);
      s += k;
      o += k;
      if (k < 8) break;
    }
    while (s < end && !scan_special(*s)) *o++ = *s++;
    if (s >= end) break;
    if (*s & 0x80) {
      do {
        size_t len = iz_utf8_len(s, end);
        if (!len) return false;
        memcpy(o, s, len);
        s += len;
        o += len;
      } while (s < end && (*s & 0x80));
      continue;
    }
    o = escape(o, (unsigned char)*s++);
    b->len = (size_t)(o - b->data);
    if (!iz_buf_reserve(b, (size_t)(end - s) + SLACK)) return false;
    o = b->data + b->len;
  }
  *o++ = '"';
  b->len = (size_t)(o - b->data);
  return true;
}
