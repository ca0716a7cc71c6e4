/* encode.c -- hex and base64: see crypto.h. */
#include "crypto.h"

#include "base/err.h"

static const char std_alphabet[65] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_alphabet[65] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

bool iz_hex_encode(iz_buf *out, const void *data, size_t n) {
  static const char hex[] = "0123456789abcdef";
  if (n > SIZE_MAX / 2 || !iz_buf_reserve(out, n * 2)) return false;
  const uint8_t *p = data;
  char *to = out->data + out->len;
  for (size_t i = 0; i < n; i++) {
    *to++ = hex[p[i] >> 4];
    *to++ = hex[p[i] & 15];
  }
  out->len += n * 2;
  return true;
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool iz_hex_decode(iz_buf *out, const char *s, size_t n, iz_err *err) {
  if (n % 2) return iz_fail(err, "invalid", "hex text of odd length %zu", n);
  if (!iz_buf_reserve(out, n / 2)) return iz_fail_oom(err);
  for (size_t i = 0; i < n; i += 2) {
    int hi = hex_digit(s[i]), lo = hex_digit(s[i + 1]);
    if (hi < 0 || lo < 0)
      return iz_fail(err, "invalid", "not a hex digit at position %zu", i + (hi < 0 ? 1 : 2));
    out->data[out->len++] = (char)(hi << 4 | lo);
  }
  return true;
}

static bool encode64(iz_buf *out, const uint8_t *p, size_t n, const char *alphabet, bool pad) {
  if (n > SIZE_MAX / 2 || !iz_buf_reserve(out, n / 3 * 4 + 4)) return false;
  char *to = out->data + out->len;
  for (; n >= 3; n -= 3, p += 3) {
    uint32_t v = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
    *to++ = alphabet[v >> 18];
    *to++ = alphabet[v >> 12 & 63];
    *to++ = alphabet[v >> 6 & 63];
    *to++ = alphabet[v & 63];
  }
  if (n) {
    uint32_t v = (uint32_t)p[0] << 16 | (n == 2 ? (uint32_t)p[1] << 8 : 0);
    *to++ = alphabet[v >> 18];
    *to++ = alphabet[v >> 12 & 63];
    if (n == 2)
      *to++ = alphabet[v >> 6 & 63];
    else if (pad)
      *to++ = '=';
    if (pad) *to++ = '=';
  }
  out->len = (size_t)(to - out->data);
  return true;
}

bool iz_base64_encode(iz_buf *out, const void *data, size_t n) {
  return encode64(out, data, n, std_alphabet, true);
}

bool iz_base64url_encode(iz_buf *out, const void *data, size_t n) {
  return encode64(out, data, n, url_alphabet, false);
}

static int digit64(char c, char plus, char slash) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == plus) return 62;
  return c == slash ? 63 : -1;
}

/* The text without its padding. */
static bool decode64(iz_buf *out, const char *s, size_t n, char plus, char slash, iz_err *err) {
  if (n % 4 == 1) return iz_fail(err, "invalid", "base64 text is cut off at position %zu", n);
  if (!iz_buf_reserve(out, n / 4 * 3 + 3)) return iz_fail_oom(err);
  uint32_t bits = 0;
  int held = 0;
  for (size_t i = 0; i < n; i++) {
    int d = digit64(s[i], plus, slash);
    if (d < 0) return iz_fail(err, "invalid", "not a base64 character at position %zu", i + 1);
    bits = bits << 6 | (uint32_t)d;
    held += 6;
    if (held < 8) continue;
    held -= 8;
    out->data[out->len++] = (char)(bits >> held);
    bits &= (1u << held) - 1;
  }
  if (bits) return iz_fail(err, "invalid", "base64 text has bits left over at position %zu", n);
  return true;
}

static size_t padding(const char *s, size_t n) {
  size_t pad = 0;
  while (pad < 2 && pad < n && s[n - 1 - pad] == '=') pad++;
  return pad;
}

bool iz_base64_decode(iz_buf *out, const char *s, size_t n, iz_err *err) {
  if (n % 4) return iz_fail(err, "invalid", "base64 text of length %zu: not a multiple of 4", n);
  return decode64(out, s, n - padding(s, n), '+', '/', err);
}

bool iz_base64url_decode(iz_buf *out, const char *s, size_t n, iz_err *err) {
  size_t pad = padding(s, n);
  if (pad && n % 4) return iz_fail(err, "invalid", "base64 text with wrong padding");
  return decode64(out, s, n - pad, '-', '_', err);
}
