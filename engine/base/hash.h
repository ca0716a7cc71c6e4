/* hash.h -- a fast keyed 64-bit hash for maps.
 *
 * SipHash-1-3 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012, with the reduced
 * rounds the authors propose for hash tables). It is keyed, so whoever chooses the keys of a map
 * but does not know the seed cannot make them collide. It is not a digest: for content addresses
 * use crypto/crypto.h.
 */
#ifndef IZ_HASH_H
#define IZ_HASH_H

#include <stddef.h>
#include <stdint.h>

typedef struct iz_hash_key {
  uint64_t k0, k1;
} iz_hash_key;

/* The hash of n bytes under `key`. The same on every machine. Any thread. */
uint64_t iz_hash64(const iz_hash_key *key, const void *data, size_t n);
/* A key drawn from the kernel at first use, the same for the whole process. Any thread. */
const iz_hash_key *iz_hash_process_key(void);

#endif
