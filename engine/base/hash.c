/* hash.c -- SipHash-1-3: see hash.h. */
#include "hash.h"

#include "clock.h"

#include <pthread.h>
#include <sys/random.h>

typedef struct sip {
  uint64_t v0, v1, v2, v3;
} sip;

static inline uint64_t rotl(uint64_t x, int b) {
  return (x << b) | (x >> (64 - b));
}

static inline void sip_round(sip *s) {
  s->v0 += s->v1;
  s->v1 = rotl(s->v1, 13) ^ s->v0;
  s->v0 = rotl(s->v0, 32);
  s->v2 += s->v3;
  s->v3 = rotl(s->v3, 16) ^ s->v2;
  s->v0 += s->v3;
  s->v3 = rotl(s->v3, 21) ^ s->v0;
  s->v2 += s->v1;
  s->v1 = rotl(s->v1, 17) ^ s->v2;
  s->v2 = rotl(s->v2, 32);
}

static inline void sip_word(sip *s, uint64_t m) {
  s->v3 ^= m;
  sip_round(s);
  s->v0 ^= m;
}

static inline uint64_t little_endian(const uint8_t *p, size_t n) {
  uint64_t m = 0;
  for (size_t i = 0; i < n; i++) m |= (uint64_t)p[i] << (8 * i);
  return m;
}

uint64_t iz_hash64(const iz_hash_key *key, const void *data, size_t n) {
  sip s = {key->k0 ^ UINT64_C(0x736f6d6570736575), key->k1 ^ UINT64_C(0x646f72616e646f6d),
           key->k0 ^ UINT64_C(0x6c7967656e657261), key->k1 ^ UINT64_C(0x7465646279746573)};
  const uint8_t *p = data;
  size_t words = n / 8;
  for (size_t i = 0; i < words; i++) sip_word(&s, little_endian(p + 8 * i, 8));
  uint64_t last = (uint64_t)(n & 0xff) << 56;
  if (n % 8) last |= little_endian(p + 8 * words, n % 8);
  sip_word(&s, last);
  s.v2 ^= 0xff;
  sip_round(&s);
  sip_round(&s);
  sip_round(&s);
  return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

static iz_hash_key process_key;
static pthread_once_t drawn = PTHREAD_ONCE_INIT;

static void draw_key(void) {
  if (getrandom(&process_key, sizeof process_key, 0) == (ssize_t)sizeof process_key) return;
  process_key.k0 = (uint64_t)iz_now(); /* no kernel source: still differs from run to run */
  process_key.k1 = (uint64_t)iz_wall();
}

const iz_hash_key *iz_hash_process_key(void) {
  pthread_once(&drawn, draw_key);
  return &process_key;
}
