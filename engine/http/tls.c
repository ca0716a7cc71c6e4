/* tls.c -- TLS over memory BIOs: see tls.h.
 *
 * SSL_MODE_RELEASE_BUFFERS gives an idle connection's buffers back. Sessions are resumed by tickets
 * only, so nothing accumulates here. Renegotiation is off: it is an old way to burn a server's CPU.
 */
#include "tls.h"

#include "base/alloc.h"
#include "base/openssl.h"

#include <limits.h>
#include <stdio.h>

/* Of openssl/ssl.h and bio.h: the macros behind these numbers are part of OpenSSL 3's ABI. */
enum {
  CTRL_MODE = 33,
  CTRL_SESS_CACHE_MODE = 44,
  CTRL_MIN_PROTO_VERSION = 123,
  MODE_RELEASE_BUFFERS = 0x10,
  TLS1_2 = 0x0303,
  FILETYPE_PEM = 1,
  ERROR_WANT_READ = 2,
  ALPN_OK = 0,
  ALPN_FATAL = 2,
};
#define OP_NO_RENEGOTIATION (UINT64_C(1) << 30)

struct iz_tls_context {
  const iz_libssl *lib;
  SSL_CTX *ctx;
};

struct iz_tls {
  const iz_libssl *lib;
  SSL *ssl;
  BIO *in, *out; /* owned by ssl */
};

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                           const unsigned char *in, unsigned n, void *arg) {
  static const unsigned char ours[] = "http/1.1";
  (void)ssl, (void)arg;
  for (unsigned at = 0; at < n; at += 1u + in[at]) {
    if (at + 1 + in[at] > n) break;
    if (in[at] != sizeof ours - 1 || memcmp(in + at + 1, ours, sizeof ours - 1) != 0) continue;
    *out = in + at + 1;
    *out_len = in[at];
    return ALPN_OK;
  }
  return ALPN_FATAL;
}

static bool load_files(iz_tls_context *t, const char *cert, const char *key, iz_err *err) {
  char what[256];
  if (t->lib->SSL_CTX_use_certificate_chain_file(t->ctx, cert) != 1) {
    snprintf(what, sizeof what, "cannot read the TLS certificate %.180s", cert);
    return iz_openssl_fail(err, what);
  }
  if (t->lib->SSL_CTX_use_PrivateKey_file(t->ctx, key, FILETYPE_PEM) != 1 ||
      t->lib->SSL_CTX_check_private_key(t->ctx) != 1) {
    snprintf(what, sizeof what, "cannot use the TLS key %.180s", key);
    return iz_openssl_fail(err, what);
  }
  return true;
}

iz_tls_context *iz_tls_context_new(const char *cert, const char *key, iz_err *err) {
  const iz_libssl *lib = iz_libssl_load(err);
  if (!lib) return NULL;
  iz_tls_context *t = iz_calloc(1, sizeof *t);
  if (!t) return iz_fail_oom(err), NULL;
  t->lib = lib;
  t->ctx = lib->SSL_CTX_new(lib->TLS_server_method());
  if (!t->ctx) {
    iz_openssl_fail(err, "TLS");
    iz_tls_context_free(t);
    return NULL;
  }
  lib->SSL_CTX_ctrl(t->ctx, CTRL_MIN_PROTO_VERSION, TLS1_2, NULL);
  lib->SSL_CTX_ctrl(t->ctx, CTRL_MODE, MODE_RELEASE_BUFFERS, NULL);
  lib->SSL_CTX_ctrl(t->ctx, CTRL_SESS_CACHE_MODE, 0, NULL);
  lib->SSL_CTX_set_options(t->ctx, OP_NO_RENEGOTIATION);
  lib->SSL_CTX_set_alpn_select_cb(t->ctx, choose_protocol, NULL);
  if (!load_files(t, cert, key, err)) {
    iz_tls_context_free(t);
    return NULL;
  }
  return t;
}

void iz_tls_context_free(iz_tls_context *t) {
  if (!t) return;
  if (t->ctx) t->lib->SSL_CTX_free(t->ctx);
  iz_free(t);
}

iz_tls *iz_tls_new(iz_tls_context *ctx) {
  const iz_libssl *lib = ctx->lib;
  iz_tls *t = iz_calloc(1, sizeof *t);
  if (!t) return NULL;
  t->lib = lib;
  t->ssl = lib->SSL_new(ctx->ctx);
  t->in = lib->BIO_new(lib->BIO_s_mem());
  t->out = lib->BIO_new(lib->BIO_s_mem());
  if (!t->ssl || !t->in || !t->out) {
    if (t->in) lib->BIO_free(t->in);
    if (t->out) lib->BIO_free(t->out);
    if (t->ssl) lib->SSL_free(t->ssl);
    iz_free(t);
    return NULL;
  }
  lib->SSL_set_bio(t->ssl, t->in, t->out);
  lib->SSL_set_accept_state(t->ssl);
  return t;
}

void iz_tls_free(iz_tls *t) {
  if (!t) return;
  t->lib->SSL_free(t->ssl);
  iz_free(t);
}

bool iz_tls_feed(iz_tls *t, const char *p, size_t n) {
  return n <= INT_MAX && t->lib->BIO_write(t->in, p, (int)n) == (int)n;
}

/* Moves what OpenSSL wants to send. */
static bool collect(iz_tls *t, iz_buf *out) {
  size_t n;
  while ((n = t->lib->BIO_ctrl_pending(t->out)) > 0) {
    if (n > INT_MAX / 2 || !iz_buf_reserve(out, n)) return false;
    int m = t->lib->BIO_read(t->out, out->data + out->len, (int)n);
    if (m <= 0) return false;
    out->len += (size_t)m;
  }
  return true;
}

ssize_t iz_tls_read(iz_tls *t, char *buf, size_t size, iz_buf *out) {
  int n = t->lib->SSL_read(t->ssl, buf, size < INT_MAX ? (int)size : INT_MAX);
  int why = n > 0 ? 0 : t->lib->SSL_get_error(t->ssl, n);
  if (n <= 0) iz_openssl_fail(NULL, "TLS"); /* empties this thread's error queue */
  if (!collect(t, out)) return -1;
  if (n > 0) return n;
  return why == ERROR_WANT_READ ? 0 : -1;
}

bool iz_tls_write(iz_tls *t, const char *p, size_t n, iz_buf *out) {
  while (n > 0) {
    int part = n < INT_MAX / 2 ? (int)n : INT_MAX / 2;
    if (t->lib->SSL_write(t->ssl, p, part) != part) {
      iz_openssl_fail(NULL, "TLS");
      return false;
    }
    p += part;
    n -= (size_t)part;
  }
  return collect(t, out);
}

void iz_tls_bye(iz_tls *t, iz_buf *out) {
  t->lib->SSL_shutdown(t->ssl);
  iz_openssl_fail(NULL, "TLS");
  collect(t, out);
}
