/* chars.c -- the character classes of RFC 9110 and what is read with them: see parser.h. */
#include "chars.h"

#include "parser.h"

#define T IZ_CHAR_TOKEN
#define V IZ_CHAR_VALUE
#define U IZ_CHAR_URL
#define H IZ_CHAR_HOST

#define VU (V | U)
#define VUH (V | U | H)
#define ALL (T | V | U | H)
#define TVU (T | V | U)

const uint8_t iz_char_class[256] = {
    ['\t'] = V,          [' '] = V,   ['!'] = ALL,         ['"'] = VU,   ['#'] = T | V,
    ['$'] = ALL,         ['%'] = ALL, ['&'] = ALL,         ['\''] = ALL, ['('] = VUH,
    [')'] = VUH,         ['*'] = ALL, ['+'] = ALL,         [','] = VUH,  ['-'] = ALL,
    ['.'] = ALL,         ['/'] = VU,  ['0' ... '9'] = ALL, [':'] = VU,   [';'] = VUH,
    ['<'] = VU,          ['='] = VUH, ['>'] = VU,          ['?'] = VU,   ['@'] = VU,
    ['A' ... 'Z'] = ALL, ['['] = VU,  ['\\'] = VU,         [']'] = VU,   ['^'] = TVU,
    ['_'] = ALL,         ['`'] = TVU, ['a' ... 'z'] = ALL, ['{'] = VU,   ['|'] = TVU,
    ['}'] = VU,          ['~'] = ALL, [0x80 ... 0xff] = V,
};

static bool all_of(const char *s, size_t n, uint8_t class) {
  for (size_t i = 0; i < n; i++)
    if (!iz_is_class(s[i], class)) return false;
  return true;
}

bool iz_http_is_token(const char *s, size_t n) {
  return n && all_of(s, n, IZ_CHAR_TOKEN);
}

bool iz_http_is_field_value(const char *s, size_t n) {
  return all_of(s, n, IZ_CHAR_VALUE);
}

bool iz_http_equal_nocase(const char *a, size_t an, const char *b, size_t bn) {
  if (an != bn) return false;
  for (size_t i = 0; i < an; i++)
    if (iz_lower(a[i]) != iz_lower(b[i])) return false;
  return true;
}

int iz_http_hex(unsigned char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

static bool is_port(const char *s, size_t n) {
  if (n > 5) return false;
  for (size_t i = 0; i < n; i++)
    if (s[i] < '0' || s[i] > '9') return false;
  return true;
}

static bool is_ip_literal(const char *s, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (iz_http_hex((unsigned char)s[i]) < 0 && s[i] != ':' && s[i] != '.') return false;
  return n >= 2;
}

/* Where the host of `host[:port]` ends; 0 when the whole is not valid. */
size_t iz_http_host_len(const char *s, size_t n) {
  size_t end = 0;
  if (n && s[0] == '[') {
    while (end < n && s[end] != ']') end++;
    if (end == n || !is_ip_literal(s + 1, end - 1)) return 0;
    end++;
  } else {
    while (end < n && iz_is_class(s[end], IZ_CHAR_HOST)) end++;
  }
  if (end == n) return end;
  return s[end] == ':' && is_port(s + end + 1, n - end - 1) ? end : 0;
}
