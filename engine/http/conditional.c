/* conditional.c -- see conditional.h. */
#include "conditional.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const char days[] = "SunMonTueWedThuFriSat";
static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

void iz_http_date_format(int64_t seconds, char *out) {
  time_t t = (time_t)seconds;
  struct tm tm;
  gmtime_r(&t, &tm);
  char text[80];
  snprintf(text, sizeof text, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT", days + 3 * tm.tm_wday,
           tm.tm_mday, months + 3 * tm.tm_mon, (tm.tm_year + 1900) % 10000, tm.tm_hour, tm.tm_min,
           tm.tm_sec);
  memcpy(out, text, 29);
  out[29] = 0;
}

/* Names are English whatever the locale. */
int64_t iz_http_date_parse(const char *s, size_t n) {
  if (n != 29) return -1;
  struct tm tm = {0};
  for (int m = 0; m < 12; m++)
    if (memcmp(months + 3 * m, s + 8, 3) == 0) tm.tm_mon = m;
  static const char form[] = "DDD, 00 MMM 0000 00:00:00 GMT";
  for (int i = 0; i < 29; i++)
    if (form[i] == '0' && (s[i] < '0' || s[i] > '9')) return -1;
#define TWO(i) ((s[i] - '0') * 10 + s[(i) + 1] - '0')
  tm.tm_mday = TWO(5);
  tm.tm_year = TWO(12) * 100 + TWO(14) - 1900;
  tm.tm_hour = TWO(17);
  tm.tm_min = TWO(20);
  tm.tm_sec = TWO(23);
#undef TWO
  int64_t seconds = timegm(&tm);
  char back[30];
  iz_http_date_format(seconds, back); /* exactly one text stands for a moment */
  return memcmp(back, s, 29) == 0 ? seconds : -1;
}

/* Whether a list of entity tags has ours; W/ is passed over where a weak comparison is asked for.
 */
static bool has_tag(const char *s, size_t n, const char *etag, bool weak) {
  size_t want = strlen(etag), i = 0;
  if (n == 1 && *s == '*') return true;
  while (i < n) {
    while (i < n && (s[i] == ' ' || s[i] == '\t' || s[i] == ',')) i++;
    bool is_weak = n - i > 2 && s[i] == 'W' && s[i + 1] == '/';
    if (is_weak) i += 2;
    const char *close = i < n && s[i] == '"' ? memchr(s + i + 1, '"', n - i - 1) : NULL;
    if (!close) return false;
    size_t len = (size_t)(close - (s + i)) + 1;
    if (len == want && memcmp(s + i, etag, want) == 0 && (weak || !is_weak)) return true;
    i += len;
  }
  return false;
}

/* Whether the file is no newer than the date in a field; `other` without such a date. */
static bool as_old_as(const iz_http_head *h, const char *field, int64_t modified, bool other) {
  size_t n;
  const char *v = iz_http_find(h, field, &n);
  int64_t date = v ? iz_http_date_parse(v, n) : -1;
  return date < 0 ? other : modified <= date;
}

int iz_http_precondition(const iz_http_head *h, const char *etag, int64_t modified) {
  size_t n;
  const char *v = iz_http_find(h, "if-match", &n);
  if (v ? !has_tag(v, n, etag, false) : !as_old_as(h, "if-unmodified-since", modified, true))
    return 412;
  v = iz_http_find(h, "if-none-match", &n);
  bool same = v ? has_tag(v, n, etag, true) : as_old_as(h, "if-modified-since", modified, false);
  return same ? 304 : 200;
}

/* Digits at *at; -1 when there are none or too many. */
static int64_t number(const char *s, size_t n, size_t *at) {
  int64_t value = 0;
  size_t from = *at;
  while (*at < n && s[*at] >= '0' && s[*at] <= '9' && *at - from < 18)
    value = value * 10 + (s[(*at)++] - '0');
  return *at > from ? value : -1;
}

iz_range iz_http_range(const iz_http_head *h, const char *etag, int64_t modified, int64_t size,
                       int64_t *from, int64_t *length) {
  size_t n, m, at = 6;
  const char *s = iz_http_find(h, "range", &n);
  if (h->method != IZ_HTTP_GET) return IZ_RANGE_ALL;
  if (!s || n < 7 || memcmp(s, "bytes=", 6) != 0 || memchr(s, ',', n)) return IZ_RANGE_ALL;
  const char *v = iz_http_find(h, "if-range", &m);
  if (v && !(*v == '"' ? has_tag(v, m, etag, false) : iz_http_date_parse(v, m) == modified))
    return IZ_RANGE_ALL;
  int64_t first = number(s, n, &at);
  if (at >= n || s[at++] != '-') return IZ_RANGE_ALL;
  int64_t last = number(s, n, &at);
  if (at != n || (first < 0 && last < 0)) return IZ_RANGE_ALL;
  if (first >= 0 && last >= 0 && last < first) return IZ_RANGE_ALL;
  if (first < 0) { /* the last `last` bytes */
    first = last < size ? size - last : 0;
    if (last == 0) first = size;
    last = -1;
  }
  if (first >= size) return IZ_RANGE_NONE;
  if (last < 0 || last >= size) last = size - 1;
  *from = first;
  *length = last - first + 1;
  return IZ_RANGE_PART;
}
