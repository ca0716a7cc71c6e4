/* csv_decode.c -- bytes of another encoding into UTF-8.
 *
 * A byte order mark at the start decides: FF FE and FE FF are UTF-16 (Excel's "Unicode text"),
 * which no UTF-8 file begins with; EF BB BF is UTF-8. Half a surrogate pair becomes the three bytes
 * UTF-8 forbids for it, an odd last byte becomes FF: the reader's check then reports them with line
 * and column like any other bad byte.
 */
#include "csv/csv_scan.h"

/* windows-1252, 0x80 to 0x9F (WHATWG index; the five unassigned bytes are C1 controls). */
static const uint16_t upper[32] = {0x20AC, 0x81,   0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021,
                                   0x02C6, 0x2030, 0x0160, 0x2039, 0x0152, 0x8D,   0x017D, 0x8F,
                                   0x90,   0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014,
                                   0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x9D,   0x017E, 0x0178};

static bool add_code(iz_buf *out, uint32_t c) {
  char b[4];
  size_t n = 0;
  if (c < 0x80) {
    b[n++] = (char)c;
  } else if (c < 0x800) {
    b[n++] = (char)(0xc0 | c >> 6);
    b[n++] = (char)(0x80 | (c & 63));
  } else if (c < 0x10000) {
    b[n++] = (char)(0xe0 | c >> 12);
    b[n++] = (char)(0x80 | (c >> 6 & 63));
    b[n++] = (char)(0x80 | (c & 63));
  } else {
    b[n++] = (char)(0xf0 | c >> 18);
    b[n++] = (char)(0x80 | (c >> 12 & 63));
    b[n++] = (char)(0x80 | (c >> 6 & 63));
    b[n++] = (char)(0x80 | (c & 63));
  }
  return iz_buf_add(out, b, n);
}

static void add_unit(iz_csv_decoder *d, uint16_t u, iz_buf *out) {
  if (d->high && u >= 0xdc00 && u <= 0xdfff) {
    add_code(out, 0x10000 + ((uint32_t)(d->high - 0xd800) << 10) + (u - 0xdc00));
    d->high = 0;
    return;
  }
  if (d->high) add_code(out, d->high);
  d->high = u >= 0xd800 && u <= 0xdbff ? u : 0;
  if (!d->high) add_code(out, u);
}

static void add_utf16(iz_csv_decoder *d, const unsigned char *p, size_t n, iz_buf *out) {
  size_t i = 0;
  while (i < n) {
    d->held[d->held_len++] = p[i++];
    if (d->held_len < 2) continue;
    d->held_len = 0;
    unsigned a = d->held[0], b = d->held[1];
    add_unit(d, (uint16_t)(d->big_endian ? a << 8 | b : b << 8 | a), out);
  }
}

static void add_bytes(iz_csv_decoder *d, const unsigned char *p, size_t n, iz_buf *out) {
  if (d->encoding == IZ_CSV_UTF8) {
    iz_buf_add(out, p, n);
  } else if (d->encoding == IZ_CSV_UTF16) {
    add_utf16(d, p, n, out);
  } else {
    for (size_t i = 0; i < n; i++)
      add_code(out, p[i] >= 0x80 && p[i] < 0xa0 ? upper[p[i] - 0x80] : p[i]);
  }
}

/* Looks at the first bytes; true once they are known, `*skip` is then the mark's length. */
static bool find_mark(iz_csv_decoder *d, const unsigned char *b, size_t n, bool last,
                      size_t *skip) {
  *skip = 0;
  if (n < 3 && !last) return false;
  if (n >= 3 && b[0] == 0xef && b[1] == 0xbb && b[2] == 0xbf) {
    d->encoding = IZ_CSV_UTF8;
    *skip = 3;
  } else if (n >= 2 && ((b[0] == 0xff && b[1] == 0xfe) || (b[0] == 0xfe && b[1] == 0xff))) {
    d->encoding = IZ_CSV_UTF16;
    d->big_endian = b[0] == 0xfe;
    *skip = 2;
  }
  return true;
}

static void start(iz_csv_decoder *d, const unsigned char **p, size_t *n, bool last, iz_buf *out) {
  while (d->held_len < 3 && *n) {
    d->held[d->held_len++] = *(*p)++;
    (*n)--;
  }
  size_t skip;
  if (!find_mark(d, d->held, d->held_len, last, &skip)) return;
  d->started = true;
  unsigned char first[4];
  size_t len = d->held_len;
  memcpy(first, d->held, sizeof first);
  d->held_len = 0;
  add_bytes(d, first + skip, len - skip, out);
}

bool iz_csv_decode(iz_csv_decoder *d, const unsigned char *p, size_t n, bool last, iz_buf *out) {
  if (!d->started) start(d, &p, &n, last, out);
  if (d->started) add_bytes(d, p, n, out);
  if (last) {
    if (d->high) add_code(out, d->high);
    if (d->held_len) iz_buf_addc(out, (char)0xff);
    d->high = 0;
    d->held_len = 0;
  }
  return !out->oom;
}
