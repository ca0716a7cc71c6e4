/* width.c -- text width: see width.h. */
#include "width.h"

#include "base/utf8.h"

#include <locale.h>
#include <pthread.h>
#include <stdint.h>
#include <wchar.h>

enum { ZWJ = 0x200D, VS16 = 0xFE0F, BROKEN = -1 };

/* One character: its code point, or BROKEN for a byte that starts none. */
typedef struct glyph {
  int32_t code;
  size_t bytes;
} glyph;

static glyph decode(const char *s, size_t n) {
  static const uint8_t first_bits[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
  size_t len = iz_utf8_len(s, s + n);
  if (len == 0) return (glyph){BROKEN, 1};
  int32_t code = (uint8_t)s[0] & first_bits[len];
  for (size_t i = 1; i < len; i++) code = code << 6 | ((uint8_t)s[i] & 0x3F);
  return (glyph){code, len};
}

/* Length of a colour sequence at s, else 0. */
static size_t colour_length(const char *s, size_t n) {
  if (n < 3 || s[0] != '\x1b' || s[1] != '[') return 0;
  size_t i = 2;
  while (i < n && i < 32 && ((s[i] >= '0' && s[i] <= '9') || s[i] == ';' || s[i] == ':')) i++;
  return i < n && s[i] == 'm' ? i + 1 : 0;
}

static bool is_control(int32_t c) {
  return c < 0x20 || (c >= 0x7F && c < 0xA0);
}
static bool is_regional(int32_t c) {
  return c >= 0x1F1E6 && c <= 0x1F1FF;
}
static bool is_skin_tone(int32_t c) {
  return c >= 0x1F3FB && c <= 0x1F3FF;
}

static size_t base_width(int32_t c) {
  if (is_control(c)) return 1; /* BROKEN too */
  if (is_regional(c)) return 2;
  int w = wcwidth((wchar_t)c);
  return w < 0 ? 1 : (size_t)w;
}

/* The next cluster: a character with what belongs to it. */
typedef struct cluster {
  size_t bytes, columns;
} cluster;

static cluster next_cluster(const char *s, size_t n) {
  size_t colour = colour_length(s, n);
  if (colour) return (cluster){colour, 0};
  glyph g = decode(s, n);
  cluster c = {g.bytes, base_width(g.code)};
  bool flag = is_regional(g.code), joined = false;
  while (c.bytes < n && !is_control(g.code)) {
    glyph next = decode(s + c.bytes, n - c.bytes);
    if (is_control(next.code)) break;
    bool second_half = flag && is_regional(next.code);
    bool attached = joined || second_half || next.code == ZWJ || next.code == VS16 ||
                    (c.columns == 2 && is_skin_tone(next.code)) ||
                    (c.columns > 0 && wcwidth((wchar_t)next.code) == 0);
    if (!attached) break;
    if (next.code == VS16 && c.columns == 1) c.columns = 2;
    joined = next.code == ZWJ && c.columns == 2; /* joins emoji; in other scripts it only shapes */
    flag = flag && !second_half;
    c.bytes += next.bytes;
  }
  return c;
}

/* wcwidth asks the thread's locale, so it is lent a UTF-8 one; made at first use, to cost a script
 * that never lays text out nothing. */
static locale_t utf8;

static void make_locale(void) {
  utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
}

static locale_t enter_utf8(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, make_locale);
  return uselocale(utf8);
}

size_t iz_text_width(const char *s, size_t n) {
  locale_t before = enter_utf8();
  size_t columns = 0;
  for (size_t i = 0; i < n;) {
    cluster c = next_cluster(s + i, n - i);
    columns += c.columns;
    i += c.bytes;
  }
  uselocale(before);
  return columns;
}

size_t iz_text_fit(const char *s, size_t n, size_t columns) {
  locale_t before = enter_utf8();
  size_t i = 0;
  while (i < n) {
    cluster c = next_cluster(s + i, n - i);
    if (c.columns > columns) break;
    columns -= c.columns;
    i += c.bytes;
  }
  uselocale(before);
  return i;
}

bool iz_text_clean(iz_buf *out, const char *s, size_t n) {
  for (size_t i = 0; i < n;) {
    size_t colour = colour_length(s + i, n - i);
    glyph g = colour ? (glyph){' ', colour} : decode(s + i, n - i);
    bool ok = true;
    if (g.code == '\t' || g.code == '\n' || g.code == '\r')
      ok = iz_buf_addc(out, ' ');
    else if (is_control(g.code))
      ok = iz_buf_adds(out, "\xEF\xBF\xBD");
    else
      ok = iz_buf_add(out, s + i, g.bytes);
    if (!ok) return false;
    i += g.bytes;
  }
  return true;
}
