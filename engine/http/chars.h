/* chars.h -- character classes of HTTP, for the files of this folder. */
#ifndef IZ_HTTP_CHARS_H
#define IZ_HTTP_CHARS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
  IZ_CHAR_TOKEN = 1, /* tchar, RFC 9110 5.6.2 */
  IZ_CHAR_VALUE = 2, /* HTAB, SP, VCHAR, obs-text */
  IZ_CHAR_URL = 4,   /* visible ASCII without '#' */
  IZ_CHAR_HOST = 8,  /* reg-name, RFC 3986 3.2.2 */
};

extern const uint8_t iz_char_class[256];

static inline bool iz_is_class(char c, uint8_t class) {
  return iz_char_class[(unsigned char)c] & class;
}

static inline char iz_lower(char c) {
  return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* Length of the host in `host[:port]`; 0 when the whole is no valid authority. */
size_t iz_http_host_len(const char *s, size_t n);

#endif
