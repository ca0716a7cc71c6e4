/* tls.h -- TLS for the server side over memory BIOs: bytes in, bytes out, no sockets here.
 *
 * OpenSSL is loaded when the first context is made. TLS 1.2 and 1.3, ALPN http/1.1.
 */
#ifndef IZ_HTTP_TLS_H
#define IZ_HTTP_TLS_H

#include "base/buf.h"
#include "base/err.h"

#include <sys/types.h>

typedef struct iz_tls_context iz_tls_context;
typedef struct iz_tls iz_tls;

/* Reads a PEM certificate chain and its key. NULL: err names the file and what is wrong with it. */
iz_tls_context *iz_tls_context_new(const char *cert_file, const char *key_file, iz_err *err);
void iz_tls_context_free(iz_tls_context *ctx);

/* A connection's state; NULL when memory is out. */
iz_tls *iz_tls_new(iz_tls_context *ctx);
void iz_tls_free(iz_tls *t);
/* Bytes from the network. */
bool iz_tls_feed(iz_tls *t, const char *p, size_t n);
/* Decrypted bytes: how many; 0: none yet; -1: the connection is broken or was ended. Bytes that
 * must go to the network (handshake) are appended to `out`. */
ssize_t iz_tls_read(iz_tls *t, char *buf, size_t size, iz_buf *out);
/* Encrypts into `out`. */
bool iz_tls_write(iz_tls *t, const char *p, size_t n, iz_buf *out);
/* Says goodbye (close_notify) into `out`. */
void iz_tls_bye(iz_tls *t, iz_buf *out);

#endif
