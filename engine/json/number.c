/* number.c -- decimal to binary and back, exactly rounded and shortest, without the C library.
 *
 * Reading multiplies the decimal digits with a 128-bit power of ten (D. Lemire, "Number Parsing at
 * a Gigabyte per Second", 2021): the product decides the rounding in all but a handful of cases,
 * which are left to strtod. Writing finds the shortest decimal inside the interval of numbers that
 * round to the double (R. Giulietti, "The Schubfach way to render doubles", 2020), the nearest of
 * them if there are several. Both want one table, pow10.h. snprintf("%.17g") and a strtod to check
 * are ten times slower, and numbers are a large part of what programs say to each other.
 */
#include "json.h"
#include "pow10.h"

__extension__ typedef unsigned __int128 u128;

#define MANTISSA_BITS 52
#define EXPONENT_BIAS 1075 /* of a mantissa read as an integer */

bool iz_json_scale(uint64_t w, int64_t q, double *out) {
  if (w == 0) {
    *out = 0;
    return true;
  }
  if (q < IZ_POW10_MIN || q > 308) return false;
  const struct iz_pow10 *t = &iz_pow10[q - IZ_POW10_MIN];
  int lz = __builtin_clzll(w);
  w <<= lz;
  u128 first = (u128)w * t->hi;
  uint64_t hi = (uint64_t)(first >> 64), lo = (uint64_t)first;
  if ((hi & 0x1ff) == 0x1ff) { /* the low half of the power may carry into the bits that round */
    uint64_t carry = (uint64_t)(((u128)w * t->lo) >> 64);
    lo += carry;
    hi += lo < carry;
    if (lo == UINT64_MAX && (q < -27 || q > 55)) return false;
  }
  int upper = (int)(hi >> 63);
  uint64_t m = hi >> (upper + 9);
  int64_t e = (((152170 + 65536) * q) >> 16) + 63 + upper - lz + 1023;
  if (e <= 0) return false;
  if (lo <= 1 && q >= -4 && q <= 23 && (m & 3) == 1 && m << (upper + 9) == hi) m &= ~UINT64_C(1);
  m = (m + (m & 1)) >> 1;
  if (m >> (MANTISSA_BITS + 1)) {
    m >>= 1;
    e++;
  }
  if (e >= 0x7ff) return false;
  uint64_t bits = (m & ((UINT64_C(1) << MANTISSA_BITS) - 1)) | (uint64_t)e << MANTISSA_BITS;
  memcpy(out, &bits, sizeof bits);
  return true;
}

/* The upper 64 bits of g * c / 2^64, with the lowest bit set when anything below was cut off. */
static uint64_t round_to_odd(u128 g, uint64_t c) {
  u128 low = (u128)(uint64_t)g * c;
  u128 sum = (u128)(uint64_t)(g >> 64) * c + (uint64_t)(low >> 64);
  return (uint64_t)(sum >> 64) | ((uint64_t)sum > 1);
}

typedef struct decimal {
  uint64_t digits;
  int exponent;
} decimal;

/* The shortest decimal that rounds to the positive finite double with these bits. */
static decimal shortest(uint64_t bits) {
  uint64_t fraction = bits & ((UINT64_C(1) << MANTISSA_BITS) - 1);
  int biased = (int)(bits >> MANTISSA_BITS);
  uint64_t c = biased ? fraction | UINT64_C(1) << MANTISSA_BITS : fraction;
  int q = (biased ? biased : 1) - EXPONENT_BIAS;
  bool closer = fraction == 0 && biased > 1; /* the neighbour below is half as far */
  bool odd = c & 1;                          /* the ends of the interval do not belong to it */
  int k = (q * 1262611 - (closer ? 524031 : 0)) >> 22; /* floor(log10(2^q)) or of 3/4 of it */
  int h = q + ((-k * 1741647) >> 19) + 1;              /* ... + floor(log2(10^-k)) */
  const struct iz_pow10 *t = &iz_pow10[-k - IZ_POW10_MIN];
  u128 g = ((u128)t->hi << 64 | t->lo) + (-k > 55); /* rounded up */
  uint64_t low = round_to_odd(g, (4 * c - 2 + closer) << h) + odd;
  uint64_t mid = round_to_odd(g, (4 * c) << h);
  uint64_t high = round_to_odd(g, (4 * c + 2) << h) - odd;
  uint64_t s = mid / 4;
  if (s >= 10) {
    uint64_t tens = s / 10;
    bool down = low <= 40 * tens, up = 40 * tens + 40 <= high;
    if (down != up) return (decimal){tens + up, k + 1};
  }
  bool down = low <= 4 * s, up = 4 * s + 4 <= high;
  if (down != up) return (decimal){s + up, k};
  uint64_t half = 4 * s + 2;
  return (decimal){s + (mid > half || (mid == half && (s & 1))), k};
}

static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                            "25262728293031323334353637383940414243444546474849"
                            "50515253545556575859606162636465666768697071727374"
                            "75767778798081828384858687888990919293949596979899";

/* Writes u in decimal so that it ends before `end`; returns its first character. */
static char *digits_before(char *end, uint64_t u) {
  while (u >= 100) {
    end -= 2;
    memcpy(end, pairs + u % 100 * 2, 2);
    u /= 100;
  }
  if (u < 10) {
    *--end = (char)('0' + u);
    return end;
  }
  end -= 2;
  memcpy(end, pairs + u * 2, 2);
  return end;
}

bool iz_json_put_int(iz_buf *b, int64_t i) {
  if (!iz_buf_reserve(b, 20)) return false;
  char text[20], *end = text + sizeof text;
  char *s = digits_before(end, i < 0 ? -(uint64_t)i : (uint64_t)i);
  if (i < 0) *--s = '-';
  memcpy(b->data + b->len, s, (size_t)(end - s));
  b->len += (size_t)(end - s);
  return true;
}

/* Lays out n digits whose point stands behind the first `point` of them, at o; returns its end. */
static char *lay_out(char *o, const char *digits, int n, int point) {
  if (point > 16 || point < -4) { /* d.ddde+XX */
    *o++ = digits[0];
    if (n > 1) *o++ = '.';
    memcpy(o, digits + 1, (size_t)n - 1);
    o += n - 1;
    int e = point - 1;
    *o++ = 'e';
    *o++ = e < 0 ? '-' : '+';
    char text[4], *end = text + sizeof text, *s = digits_before(end, (uint64_t)(e < 0 ? -e : e));
    memcpy(o, s, (size_t)(end - s));
    return o + (end - s);
  }
  if (point <= 0) {
    *o++ = '0';
    *o++ = '.';
    memset(o, '0', (size_t)-point);
    o -= point;
    memcpy(o, digits, (size_t)n);
    return o + n;
  }
  int whole = n < point ? n : point;
  memcpy(o, digits, (size_t)whole);
  memset(o + whole, '0', (size_t)(point - whole));
  o += point;
  *o++ = '.';
  if (n <= point) {
    *o++ = '0';
    return o;
  }
  memcpy(o, digits + point, (size_t)(n - point));
  return o + (n - point);
}

bool iz_json_put_float(iz_buf *b, double f) {
  uint64_t bits;
  memcpy(&bits, &f, sizeof bits);
  bool negative = bits >> 63;
  bits &= ~(UINT64_C(1) << 63);
  if (bits >> MANTISSA_BITS == 0x7ff || !iz_buf_reserve(b, 32)) return false;
  char *o = b->data + b->len;
  if (negative) *o++ = '-';
  if (bits == 0) {
    b->len = (size_t)(lay_out(o, "0", 1, 1) - b->data);
    return true;
  }
  decimal d = shortest(bits);
  while (d.digits % 10 == 0) {
    d.digits /= 10;
    d.exponent++;
  }
  char text[20], *end = text + sizeof text, *s = digits_before(end, d.digits);
  int n = (int)(end - s);
  b->len = (size_t)(lay_out(o, s, n, n + d.exponent) - b->data);
  return true;
}
