/* openssl.h -- OpenSSL 3 by dlopen on first use.
 *
 * Linking it would make every script start slower, so its functions sit in two tables, filled when
 * a digest or a TLS connection is first wanted: libcrypto for digests, libssl on top of it for TLS
 * over memory BIOs. The types are OpenSSL's own struct tags and the signatures those of its manual
 * pages (man 3ssl), so no development package is needed to build. A member is named as the function
 * it points to.
 */
#ifndef IZ_OPENSSL_H
#define IZ_OPENSSL_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

typedef struct evp_md_st EVP_MD;
typedef struct ssl_st SSL;
typedef struct ssl_ctx_st SSL_CTX;
typedef struct ssl_method_st SSL_METHOD;
typedef struct bio_st BIO;
typedef struct bio_method_st BIO_METHOD;

typedef struct iz_libcrypto {
  EVP_MD *(*EVP_MD_fetch)(void *libctx, const char *name, const char *properties);
  int (*EVP_Digest)(const void *data, size_t n, unsigned char *md, unsigned *size,
                    const EVP_MD *type, void *engine);
  unsigned char *(*HMAC)(const EVP_MD *type, const void *key, int key_len,
                         const unsigned char *data, size_t n, unsigned char *md, unsigned *md_len);
  unsigned long (*ERR_get_error)(void);
  void (*ERR_clear_error)(void);
  void (*ERR_error_string_n)(unsigned long e, char *buf, size_t len);
} iz_libcrypto;

typedef int (*iz_alpn_select)(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                              const unsigned char *in, unsigned in_len, void *arg);

typedef struct iz_libssl {
  const SSL_METHOD *(*TLS_server_method)(void);
  SSL_CTX *(*SSL_CTX_new)(const SSL_METHOD *method);
  void (*SSL_CTX_free)(SSL_CTX *ctx);
  long (*SSL_CTX_ctrl)(SSL_CTX *ctx, int cmd, long larg, void *parg);
  uint64_t (*SSL_CTX_set_options)(SSL_CTX *ctx, uint64_t options);
  int (*SSL_CTX_use_certificate_chain_file)(SSL_CTX *ctx, const char *file);
  int (*SSL_CTX_use_PrivateKey_file)(SSL_CTX *ctx, const char *file, int type);
  int (*SSL_CTX_check_private_key)(const SSL_CTX *ctx);
  int (*SSL_CTX_set_session_id_context)(SSL_CTX *ctx, const unsigned char *sid, unsigned len);
  void (*SSL_CTX_set_alpn_select_cb)(SSL_CTX *ctx, iz_alpn_select cb, void *arg);
  SSL *(*SSL_new)(SSL_CTX *ctx);
  void (*SSL_free)(SSL *ssl);
  void (*SSL_set_bio)(SSL *ssl, BIO *rbio, BIO *wbio);
  void (*SSL_set_accept_state)(SSL *ssl);
  int (*SSL_do_handshake)(SSL *ssl);
  int (*SSL_read)(SSL *ssl, void *buf, int n);
  int (*SSL_write)(SSL *ssl, const void *buf, int n);
  int (*SSL_shutdown)(SSL *ssl);
  int (*SSL_get_error)(const SSL *ssl, int ret);
  const char *(*SSL_get_version)(const SSL *ssl);
  /* of libcrypto, wanted only together with TLS */
  const BIO_METHOD *(*BIO_s_mem)(void);
  BIO *(*BIO_new)(const BIO_METHOD *type);
  int (*BIO_free)(BIO *bio);
  int (*BIO_read)(BIO *bio, void *buf, int n);
  int (*BIO_write)(BIO *bio, const void *buf, int n);
  size_t (*BIO_ctrl_pending)(BIO *bio);
  long (*BIO_ctrl)(BIO *bio, int cmd, long larg, void *parg);
} iz_libssl;

/* The tables; loaded at the first call, afterwards only returned. NULL with code "missing_library"
 * when the library or a function is absent; the message names the Debian package. A later call
 * tries again. Any thread; the tables live until the program ends. */
const iz_libcrypto *iz_libcrypto_load(iz_err *err);
const iz_libssl *iz_libssl_load(iz_err *err);

/* Fills err with code "openssl" and the oldest queued error of this thread behind `what`, and
 * empties the queue. Call after a failed call only; libcrypto must be loaded. */
bool iz_openssl_fail(iz_err *err, const char *what);

#endif
