/* csv_value.c -- a cell's text as a number, a date, a boolean.
 *
 * Numbers of up to 15 digits and a small exponent, nearly all there are, are one exact integer
 * divided by one exact power of ten, which IEEE 754 rounds correctly; the rest goes through strtod
 * (the process stays in LC_NUMERIC "C").
 */
#include "csv/csv.h"

#include <stdlib.h>

#define MAX_NUMBER 512

static bool digit(char c) {
  return c >= '0' && c <= '9';
}

static bool trim(const char **s, size_t *len) {
  while (*len && (**s == ' ' || **s == '\t')) (*s)++, (*len)--;
  while (*len && ((*s)[*len - 1] == ' ' || (*s)[*len - 1] == '\t')) (*len)--;
  return *len > 0;
}

/* Rewrites "-1.234,56" as "-1234.56". Groups must be of three digits. False: badly grouped. */
static bool from_comma(const char *s, size_t len, char *out, size_t *out_len) {
  size_t n = 0, run = 0, dots = 0;
  bool comma = false;
  for (size_t i = 0; i < len; i++) {
    if (s[i] == '.') {
      if (comma || run == 0 || run > 3 || (dots && run != 3)) return false;
      dots++;
      run = 0;
      continue;
    }
    if (s[i] == ',' && comma) return false;
    if (!digit(s[i]) && dots && !comma && run != 3) return false;
    run = digit(s[i]) ? run + 1 : 0;
    comma |= s[i] == ',';
    out[n++] = s[i] == ',' ? '.' : s[i];
  }
  *out_len = n;
  return comma || !dots || run == 3;
}

/* Is it [+-]digits[.digits][e[+-]digits], with a digit before the exponent? `*plain`: without point
 * and exponent. */
static bool is_number(const char *s, size_t len, bool *plain) {
  size_t i = 0, digits = 0;
  *plain = true;
  if (i < len && (s[i] == '-' || s[i] == '+')) i++;
  for (; i < len && digit(s[i]); i++) digits++;
  if (i < len && s[i] == '.') {
    *plain = false;
    for (i++; i < len && digit(s[i]); i++) digits++;
  }
  if (!digits) return false;
  if (i < len && (s[i] == 'e' || s[i] == 'E')) {
    *plain = false;
    i++;
    if (i < len && (s[i] == '-' || s[i] == '+')) i++;
    if (i == len) return false;
    while (i < len && digit(s[i])) i++;
  }
  return i == len;
}

static bool to_int(const char *s, size_t len, int64_t *out) {
  bool minus = s[0] == '-';
  uint64_t n = 0, most = (uint64_t)INT64_MAX + minus;
  for (size_t i = s[0] == '-' || s[0] == '+'; i < len; i++) {
    unsigned d = (unsigned)(s[i] - '0');
    if (n > (most - d) / 10) return false;
    n = n * 10 + d;
  }
  *out = minus ? (int64_t)(0 - n) : (int64_t)n;
  return true;
}

/* The exact quotient when s is [+-]digits.digits of at most 15 digits. */
static bool quick_float(const char *s, size_t len, double *out) {
  static const double tens[] = {1,   1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
  size_t i = s[0] == '-' || s[0] == '+', places = 0;
  if (len - i > 16) return false;
  bool point = false;
  int64_t n = 0;
  for (; i < len; i++) {
    if (s[i] == '.') {
      point = true;
      continue;
    }
    if (!digit(s[i])) return false;
    n = n * 10 + (s[i] - '0');
    places += point;
  }
  if (n >= INT64_C(1) << 53 || places > 15) return false;
  *out = (double)n / tens[places];
  if (s[0] == '-') *out = -*out;
  return true;
}

static bool to_number(const char *s, size_t len, bool integer, iz_csv_value *out) {
  bool plain;
  if (!is_number(s, len, &plain)) return false;
  if (plain && to_int(s, len, &out->i)) {
    out->is = IZ_CSV_IS_INT;
    return true;
  }
  if (integer) return false;
  out->is = IZ_CSV_IS_FLOAT;
  if (quick_float(s, len, &out->f)) return true;
  char text[MAX_NUMBER + 1];
  memcpy(text, s, len);
  text[len] = 0;
  out->f = strtod(text, NULL);
  return out->f - out->f == 0; /* finite */
}

static bool to_boolean(const char *s, size_t len, int64_t *out) {
  static const char *const words[] = {"no", "yes", "false", "true", "n", "y", "f", "t", "0", "1"};
  for (size_t w = 0; w < sizeof words / sizeof *words; w++) {
    size_t i = 0;
    while (i < len && words[w][i] && (s[i] | 0x20) == (words[w][i] | 0x20)) i++;
    if (i < len || words[w][i]) continue;
    *out = w & 1;
    return true;
  }
  return false;
}

/* YYYY-MM-DD of the proleptic Gregorian calendar (RFC 3339 full-date). */
static bool is_date(const char *s, size_t len) {
  static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  if (len != 10 || s[4] != '-' || s[7] != '-') return false;
  for (size_t i = 0; i < 10; i++)
    if (i != 4 && i != 7 && !digit(s[i])) return false;
  int year = (s[0] - '0') * 1000 + (s[1] - '0') * 100 + (s[2] - '0') * 10 + (s[3] - '0');
  int month = (s[5] - '0') * 10 + (s[6] - '0'), day = (s[8] - '0') * 10 + (s[9] - '0');
  if (month < 1 || month > 12 || day < 1) return false;
  bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  return day <= days[month - 1] + (month == 2 && leap);
}

bool iz_csv_parse(const char *s, size_t len, iz_csv_type type, char decimal, iz_csv_value *out) {
  *out = (iz_csv_value){.is = IZ_CSV_IS_TEXT, .s = s, .len = len};
  if (type == IZ_CSV_TEXT) return true;
  if (!trim(&s, &len)) {
    out->is = IZ_CSV_IS_NONE;
    return true;
  }
  out->s = s;
  out->len = len;
  if (type == IZ_CSV_DATE) return is_date(s, len);
  if (type == IZ_CSV_BOOLEAN) {
    out->is = IZ_CSV_IS_BOOL;
    return to_boolean(s, len, &out->i);
  }
  if (len > MAX_NUMBER) return false;
  char rewritten[MAX_NUMBER];
  if (decimal == ',') {
    if (!from_comma(s, len, rewritten, &len)) return false;
    s = rewritten;
  }
  return to_number(s, len, type == IZ_CSV_INTEGER, out);
}
