/* openssl.c -- finding OpenSSL's functions: see openssl.h. */
#include "openssl.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define ROW(table, fn)                                                                             \
  { #fn, offsetof(table, fn) }

typedef struct symbol {
  const char *name;
  size_t offset; /* of its member in the table */
} symbol;

static const symbol crypto_symbols[] = {
    ROW(iz_libcrypto, EVP_MD_fetch),
    ROW(iz_libcrypto, EVP_Digest),
    ROW(iz_libcrypto, HMAC),
    ROW(iz_libcrypto, ERR_get_error),
    ROW(iz_libcrypto, ERR_clear_error),
    ROW(iz_libcrypto, ERR_error_string_n),
};
/* libssl depends on libcrypto, so a look-up in its handle finds the BIO functions too. */
static const symbol ssl_symbols[] = {
    ROW(iz_libssl, TLS_server_method),
    ROW(iz_libssl, SSL_CTX_new),
    ROW(iz_libssl, SSL_CTX_free),
    ROW(iz_libssl, SSL_CTX_ctrl),
    ROW(iz_libssl, SSL_CTX_set_options),
    ROW(iz_libssl, SSL_CTX_use_certificate_chain_file),
    ROW(iz_libssl, SSL_CTX_use_PrivateKey_file),
    ROW(iz_libssl, SSL_CTX_check_private_key),
    ROW(iz_libssl, SSL_CTX_set_session_id_context),
    ROW(iz_libssl, SSL_CTX_set_alpn_select_cb),
    ROW(iz_libssl, SSL_new),
    ROW(iz_libssl, SSL_free),
    ROW(iz_libssl, SSL_set_bio),
    ROW(iz_libssl, SSL_set_accept_state),
    ROW(iz_libssl, SSL_do_handshake),
    ROW(iz_libssl, SSL_read),
    ROW(iz_libssl, SSL_write),
    ROW(iz_libssl, SSL_shutdown),
    ROW(iz_libssl, SSL_get_error),
    ROW(iz_libssl, SSL_get_version),
    ROW(iz_libssl, BIO_s_mem),
    ROW(iz_libssl, BIO_new),
    ROW(iz_libssl, BIO_free),
    ROW(iz_libssl, BIO_read),
    ROW(iz_libssl, BIO_write),
    ROW(iz_libssl, BIO_ctrl_pending),
    ROW(iz_libssl, BIO_ctrl),
};

static iz_libcrypto crypto_table;
static iz_libssl ssl_table;
static atomic_bool crypto_ready, ssl_ready;
static pthread_mutex_t loading = PTHREAD_MUTEX_INITIALIZER;

/* Opens `file` and fills `table` from it. The handle stays open for good: OpenSSL's exit handler
 * needs its code. */
static bool fill(const char *file, void *table, const symbol *symbols, size_t n, iz_err *err) {
  void *lib = dlopen(file, RTLD_NOW | RTLD_LOCAL);
  if (!lib)
    return iz_fail(err, "missing_library",
                   "%s could not be loaded: install the package libssl3 (%s)", file, dlerror());
  for (size_t i = 0; i < n; i++) {
    void *fn = dlsym(lib, symbols[i].name);
    if (!fn)
      return iz_fail(err, "missing_library", "%s has no %s: install OpenSSL 3 (package libssl3)",
                     file, symbols[i].name);
    memcpy((char *)table + symbols[i].offset, &fn, sizeof fn);
  }
  return true;
}

static bool load(atomic_bool *ready, const char *file, void *table, const symbol *symbols, size_t n,
                 iz_err *err) {
  if (atomic_load_explicit(ready, memory_order_acquire)) return true;
  pthread_mutex_lock(&loading);
  bool ok = atomic_load(ready) || fill(file, table, symbols, n, err);
  if (ok) atomic_store_explicit(ready, true, memory_order_release);
  pthread_mutex_unlock(&loading);
  return ok;
}

const iz_libcrypto *iz_libcrypto_load(iz_err *err) {
  bool ok = load(&crypto_ready, "libcrypto.so.3", &crypto_table, crypto_symbols,
                 sizeof crypto_symbols / sizeof *crypto_symbols, err);
  return ok ? &crypto_table : NULL;
}

const iz_libssl *iz_libssl_load(iz_err *err) {
  if (!iz_libcrypto_load(err)) return NULL;
  bool ok = load(&ssl_ready, "libssl.so.3", &ssl_table, ssl_symbols,
                 sizeof ssl_symbols / sizeof *ssl_symbols, err);
  return ok ? &ssl_table : NULL;
}

bool iz_openssl_fail(iz_err *err, const char *what) {
  unsigned long e = crypto_table.ERR_get_error();
  char text[256] = "no reason given";
  if (e) crypto_table.ERR_error_string_n(e, text, sizeof text);
  crypto_table.ERR_clear_error();
  return iz_fail(err, "openssl", "%s: %s", what, text);
}
