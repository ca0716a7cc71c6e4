/* crypto.h -- digests, HMAC, random bytes, UUIDs, and the text forms of bytes.
 *
 * Digests and HMAC come from OpenSSL (base/openssl.h), loaded at the first one. Random bytes come
 * straight from the kernel (getrandom), which is also where OpenSSL takes its seed, so they load
 * nothing. All functions may be called from any thread.
 */
#ifndef IZ_CRYPTO_H
#define IZ_CRYPTO_H

#include "base/buf.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

enum { IZ_DIGEST_MAX = 64 }; /* bytes of the longest digest */

typedef enum iz_digest_alg {
  IZ_MD5, /* md5 and sha1 are here for protocols that demand them; they resist no attacker */
  IZ_SHA1,
  IZ_SHA256,
  IZ_SHA384,
  IZ_SHA512,
  IZ_DIGEST_ALGS
} iz_digest_alg;

/* "sha256" -> IZ_SHA256. False: no such algorithm. */
bool iz_digest_find(const char *name, iz_digest_alg *alg);
/* Length of its digest in bytes. */
size_t iz_digest_size(iz_digest_alg alg);
/* The digest of n bytes into out. Errors: "missing_library", "openssl". */
bool iz_digest(iz_digest_alg alg, const void *data, size_t n, uint8_t out[IZ_DIGEST_MAX],
               iz_err *err);
/* HMAC (RFC 2104); key_len at most INT_MAX. Errors: as iz_digest. */
bool iz_hmac(iz_digest_alg alg, const void *key, size_t key_len, const void *data, size_t n,
             uint8_t out[IZ_DIGEST_MAX], iz_err *err);

/* Fills `out` with n unpredictable bytes. Errors: an errno name. */
bool iz_random(void *out, size_t n, iz_err *err);
/* Whether the n bytes are equal; the time taken depends on n only. */
bool iz_equal(const void *a, const void *b, size_t n);

/* A UUID as 36 characters and NUL (RFC 9562): version 4 is random; version 7 begins with the wall
 * clock in milliseconds, and those of one process sort in the order they were made. */
bool iz_uuid4(char out[37], iz_err *err);
bool iz_uuid7(char out[37], iz_err *err);

/* Append the text form. False: out of memory. */
bool iz_hex_encode(iz_buf *out, const void *data, size_t n);
bool iz_base64_encode(iz_buf *out, const void *data, size_t n);    /* RFC 4648 §4, padded */
bool iz_base64url_encode(iz_buf *out, const void *data, size_t n); /* RFC 4648 §5, unpadded */
/* Append the bytes. Strict: no white space, no foreign character, no bits left over. Padding must
 * be right in base64 and may be absent in base64url. Errors: "invalid" with the position, "oom". */
bool iz_hex_decode(iz_buf *out, const char *s, size_t n, iz_err *err);
bool iz_base64_decode(iz_buf *out, const char *s, size_t n, iz_err *err);
bool iz_base64url_decode(iz_buf *out, const char *s, size_t n, iz_err *err);

#endif
