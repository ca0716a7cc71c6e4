/* crypto.c -- digests, random bytes and UUIDs: see crypto.h. The text forms are in encode.c. */
#include "crypto.h"

#include "base/clock.h"
#include "base/openssl.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

static const struct {
  const char *name, *fetch;
  size_t size;
} algs[IZ_DIGEST_ALGS] = {
    [IZ_MD5] = {"md5", "MD5", 16},          [IZ_SHA1] = {"sha1", "SHA1", 20},
    [IZ_SHA256] = {"sha256", "SHA256", 32}, [IZ_SHA384] = {"sha384", "SHA384", 48},
    [IZ_SHA512] = {"sha512", "SHA512", 64},
};

bool iz_digest_find(const char *name, iz_digest_alg *alg) {
  for (int i = 0; i < IZ_DIGEST_ALGS; i++) {
    if (strcmp(name, algs[i].name) == 0) {
      *alg = (iz_digest_alg)i;
      return true;
    }
  }
  return false;
}

size_t iz_digest_size(iz_digest_alg alg) {
  return algs[alg].size;
}

/* OpenSSL 3 looks an algorithm up anew at each use unless it was fetched; fetched ones are kept for
 * the life of the process. */
static const EVP_MD *fetched(const iz_libcrypto *lib, iz_digest_alg alg, iz_err *err) {
  static _Atomic(EVP_MD *) kept[IZ_DIGEST_ALGS];
  static pthread_mutex_t fetching = PTHREAD_MUTEX_INITIALIZER;
  EVP_MD *md = atomic_load_explicit(&kept[alg], memory_order_acquire);
  if (md) return md;
  pthread_mutex_lock(&fetching);
  md = atomic_load(&kept[alg]);
  if (!md) {
    md = lib->EVP_MD_fetch(NULL, algs[alg].fetch, NULL);
    atomic_store_explicit(&kept[alg], md, memory_order_release);
  }
  pthread_mutex_unlock(&fetching);
  if (!md) iz_openssl_fail(err, algs[alg].name);
  return md;
}

bool iz_digest(iz_digest_alg alg, const void *data, size_t n, uint8_t out[IZ_DIGEST_MAX],
               iz_err *err) {
  const iz_libcrypto *lib = iz_libcrypto_load(err);
  const EVP_MD *md = lib ? fetched(lib, alg, err) : NULL;
  if (!md) return false;
  if (!lib->EVP_Digest(data, n, out, NULL, md, NULL)) return iz_openssl_fail(err, algs[alg].name);
  return true;
}

bool iz_hmac(iz_digest_alg alg, const void *key, size_t key_len, const void *data, size_t n,
             uint8_t out[IZ_DIGEST_MAX], iz_err *err) {
  if (key_len > INT_MAX) return iz_fail(err, "too_large", "an HMAC key is at most 2 GB");
  const iz_libcrypto *lib = iz_libcrypto_load(err);
  const EVP_MD *md = lib ? fetched(lib, alg, err) : NULL;
  if (!md) return false;
  /* a NULL key would mean "the key of the call before" */
  if (!lib->HMAC(md, key_len ? key : "", (int)key_len, data, n, out, NULL))
    return iz_openssl_fail(err, "hmac");
  return true;
}

bool iz_random(void *out, size_t n, iz_err *err) {
  size_t done = 0;
  while (done < n) {
    ssize_t got = getrandom((char *)out + done, n - done, 0);
    if (got > 0)
      done += (size_t)got;
    else if (errno != EINTR)
      return iz_fail_errno(err, errno, "no random bytes from the kernel");
  }
  return true;
}

bool iz_equal(const void *a, const void *b, size_t n) {
  const volatile uint8_t *x = a, *y = b;
  uint8_t differ = 0;
  for (size_t i = 0; i < n; i++) differ |= x[i] ^ y[i];
  return differ == 0;
}

static void uuid_text(char out[37], uint8_t u[16], int version) {
  u[6] = (uint8_t)((u[6] & 0x0f) | version << 4);
  u[8] = (uint8_t)((u[8] & 0x3f) | 0x80);
  static const char hex[] = "0123456789abcdef";
  char *p = out;
  for (int i = 0; i < 16; i++) {
    if (i == 4 || i == 6 || i == 8 || i == 10) *p++ = '-';
    *p++ = hex[u[i] >> 4];
    *p++ = hex[u[i] & 15];
  }
  *p = '\0';
}

bool iz_uuid4(char out[37], iz_err *err) {
  uint8_t u[16];
  if (!iz_random(u, sizeof u, err)) return false;
  uuid_text(out, u, 4);
  return true;
}

/* The next stamp: milliseconds << 12 | 12 bits that start anywhere in the lower half of a new
 * millisecond and count on within it (RFC 9562 §6.2, method 1). Should the count overflow, or the
 * clock step back, the milliseconds run ahead of the clock. */
static uint64_t uuid7_stamp(uint64_t start) {
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  static uint64_t last;
  uint64_t stamp = (uint64_t)(iz_wall() / IZ_MS) << 12 | (start & 0x7ff);
  pthread_mutex_lock(&lock);
  if (stamp >> 12 <= last >> 12) stamp = last + 1;
  last = stamp;
  pthread_mutex_unlock(&lock);
  return stamp;
}

bool iz_uuid7(char out[37], iz_err *err) {
  uint8_t u[16];
  if (!iz_random(u + 6, 10, err)) return false;
  uint64_t stamp = uuid7_stamp((uint64_t)u[6] << 8 | u[7]);
  for (int i = 0; i < 6; i++) u[i] = (uint8_t)(stamp >> (52 - 8 * i));
  u[6] = (uint8_t)(stamp >> 8 & 0x0f);
  u[7] = (uint8_t)stamp;
  uuid_text(out, u, 7);
  return true;
}
