/* csv_scan.c -- the byte work under the reader.
 *
 * A CSV parser spends its time looking for four bytes. We compare 64 bytes at once (AVX2 where the
 * machine has it, SSE2 on other x86-64, portable words elsewhere), get a bit for each hit and write
 * the hits out as offsets, so that the state machine in csv.c visits only bytes that matter and
 * needs no look-ahead of its own. The same pass notices whether anything is outside ASCII: only
 * then is a row checked for UTF-8.
 */
#include "csv/csv_scan.h"

#include "base/utf8.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

typedef struct masks {
  uint64_t hit, high;
} masks;

static inline size_t spread(uint64_t hit, uint32_t at, uint32_t *out) {
  size_t n = (size_t)__builtin_popcountll(hit);
  for (; hit; hit &= hit - 1) *out++ = at + (uint32_t)__builtin_ctzll(hit);
  return n;
}

/* The last, short block is copied behind zeros, so no load passes the end. */
#define INDEX_BODY(BLOCK)                                                                          \
  size_t count = 0;                                                                                \
  uint64_t any = 0;                                                                                \
  for (size_t i = 0; i < n; i += 64) {                                                             \
    char tail[64];                                                                                 \
    const char *at = p + i;                                                                        \
    if (n - i < 64) {                                                                              \
      memset(tail, 0, sizeof tail);                                                                \
      memcpy(tail, at, n - i);                                                                     \
      at = tail;                                                                                   \
    }                                                                                              \
    masks m = BLOCK(at, delimiter);                                                                \
    any |= m.high;                                                                                 \
    count += spread(m.hit, base + (uint32_t)i, out + count);                                       \
  }                                                                                                \
  if (any) *high = true;                                                                           \
  return count;

#if defined(__x86_64__)
static inline masks block_sse2(const char *p, char delimiter) {
  masks m = {0, 0};
  __m128i d = _mm_set1_epi8(delimiter), q = _mm_set1_epi8('"');
  __m128i lf = _mm_set1_epi8('\n'), cr = _mm_set1_epi8('\r');
  for (int i = 0; i < 4; i++) {
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(p + i * 16));
    __m128i hit = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(v, d), _mm_cmpeq_epi8(v, q)),
                               _mm_or_si128(_mm_cmpeq_epi8(v, lf), _mm_cmpeq_epi8(v, cr)));
    m.hit |= (uint64_t)(uint32_t)_mm_movemask_epi8(hit) << (i * 16);
    m.high |= (uint64_t)(uint32_t)_mm_movemask_epi8(v) << (i * 16);
  }
  return m;
}

__attribute__((target("avx2,popcnt,bmi"))) static inline masks block_avx2(const char *p,
                                                                          char delimiter) {
  masks m = {0, 0};
  __m256i d = _mm256_set1_epi8(delimiter), q = _mm256_set1_epi8('"');
  __m256i lf = _mm256_set1_epi8('\n'), cr = _mm256_set1_epi8('\r');
  for (int i = 0; i < 2; i++) {
    __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)(p + i * 32));
    __m256i hit =
        _mm256_or_si256(_mm256_or_si256(_mm256_cmpeq_epi8(v, d), _mm256_cmpeq_epi8(v, q)),
                        _mm256_or_si256(_mm256_cmpeq_epi8(v, lf), _mm256_cmpeq_epi8(v, cr)));
    m.hit |= (uint64_t)(uint32_t)_mm256_movemask_epi8(hit) << (i * 32);
    m.high |= (uint64_t)(uint32_t)_mm256_movemask_epi8(v) << (i * 32);
  }
  return m;
}

static size_t index_sse2(const char *p, size_t n, uint32_t base, char delimiter, uint32_t *out,
                         bool *high) {
  INDEX_BODY(block_sse2)
}

__attribute__((target("avx2,popcnt,bmi"))) static size_t
index_avx2(const char *p, size_t n, uint32_t base, char delimiter, uint32_t *out,
           bool *high){INDEX_BODY(block_avx2)}

size_t iz_csv_index(const char *p, size_t n, uint32_t base, char delimiter, uint32_t *out,
                    bool *high) {
  if (__builtin_cpu_supports("avx2")) return index_avx2(p, n, base, delimiter, out, high);
  return index_sse2(p, n, base, delimiter, out, high);
}

#else
#define ONES UINT64_C(0x0101010101010101)
#define LOWS UINT64_C(0x7f7f7f7f7f7f7f7f)

/* The top bit of each byte of v that equals the byte repeated in `same`; exact, no carries. */
static inline uint64_t equal(uint64_t v, uint64_t same) {
  uint64_t x = v ^ same;
  return ~(((x & LOWS) + LOWS) | x | LOWS);
}

static inline uint64_t gather(uint64_t tops) {
  return ((tops >> 7) * UINT64_C(0x0102040810204080)) >> 56;
}

static inline masks block_words(const char *p, char delimiter) {
  masks m = {0, 0};
  for (int i = 0; i < 8; i++) {
    const unsigned char *b = (const unsigned char *)p + i * 8;
    uint64_t v = 0;
    for (int j = 7; j >= 0; j--) v = v << 8 | b[j];
    uint64_t hit = equal(v, ONES * (unsigned char)delimiter) | equal(v, ONES * '"') |
                   equal(v, ONES * '\n') | equal(v, ONES * '\r');
    m.hit |= gather(hit) << (i * 8);
    m.high |= v & ~LOWS;
  }
  return m;
}

size_t iz_csv_index(const char *p, size_t n, uint32_t base, char delimiter, uint32_t *out,
                    bool *high){INDEX_BODY(block_words)}
#endif

size_t iz_csv_utf8_bad(const char *p, size_t n) {
  size_t i = 0;
  while (i < n) {
    uint64_t word;
    if (n - i >= 8 && (memcpy(&word, p + i, 8), (word & UINT64_C(0x8080808080808080)) == 0)) {
      i += 8;
    } else {
      size_t len = iz_utf8_len(p + i, p + n);
      if (!len) return i;
      i += len;
    }
  }
  return n;
}
