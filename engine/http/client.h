/* client.h -- HTTP requests on the loop.
 *
 * An iz_client is a pool: idle connections, limits per host and in all, and a queue for what
 * exceeds them. An iz_transfer is one request and its answer. It moves by itself; `notify` tells
 * its owner that something changed, from a deferred call in which everything here may be called,
 * closing any transfer included. After iz_transfer_close nothing of it runs any more.
 *
 * The body of the answer collects in a buffer that the owner empties. With a `window` the transfer
 * pauses while more than that is waiting, and the sender is slowed down by TCP. The body of the
 * request is either borrowed bytes or pushed piece by piece.
 *
 * What this room decides: HTTP/1.1 only (a limit is then a number of connections, and a pause holds
 * back one answer only); certificates are verified; proxies come from the environment; gzip,
 * deflate, brotli and zstd are undone; a request that is not `repeatable` is never sent twice, even
 * when a kept connection turns out dead. What it leaves to its caller: redirects (so that each hop
 * can be judged anew), retries, authentication, everything about content.
 *
 * Limits run on real time (see multi.h). A transfer under way counts as busy for virtual time.
 */
#ifndef IZ_CLIENT_H
#define IZ_CLIENT_H

#include "base/err.h"
#include "loop/loop.h"

#include <stdint.h>

typedef struct iz_client iz_client;
typedef struct iz_transfer iz_transfer;

enum {
  IZ_CLIENT_PER_HOST = 1024, /* connections to one scheme://host:port at a time, unless changed */
  IZ_CLIENT_TOTAL = 4096,    /* connections at a time, unless changed; idle ones kept */
  IZ_CLIENT_IDLE_S = 60,     /* after so long without a request everything kept is dropped */
  IZ_HEADERS_MAX = 256,      /* fields in an answer's head */
  IZ_HEAD_BYTES_MAX = 256 * 1024,
};

/* Loads libcurl. */
iz_client *iz_client_new(iz_loop *loop, iz_err *err);
/* How many connections (at least 1) to one host and in all may run at a time. What runs already
 * goes on. */
void iz_client_set_limits(iz_client *c, int per_host, int total);
void iz_client_get_limits(const iz_client *c, int *per_host, int *total);
/* Every transfer must be closed. */
void iz_client_free(iz_client *c);

typedef struct iz_field {
  const char *name, *value;
} iz_field;

/* A request. Everything is copied by iz_transfer_start except `body`. Durations are nanoseconds, 0
 * = no limit. */
typedef struct iz_request {
  const char *method;
  const char *url; /* http or https */
  const iz_field *fields;
  size_t n_fields;
  const void *body; /* NULL: none, or pushed. Must stay valid until the transfer is closed */
  size_t body_len;
  bool push;           /* the body comes by iz_transfer_push */
  int64_t push_size;   /* its length, -1 = unknown (sent chunked) */
  bool repeatable;     /* may be sent again when a kept connection was dead */
  int64_t connect;     /* from the start until the connection stands, TLS included */
  int64_t first_byte;  /* from the last byte sent until the first byte of the answer */
  int64_t stall;       /* without a byte of the body, while not paused */
  int64_t total;       /* everything, waiting for a free connection included */
  int64_t total_name;  /* the total limit as its message names it, when earlier tries used some up;
                          0 = total */
  uint64_t max_size;   /* bytes of body, decoded; 0 = no limit */
  size_t window;       /* 0: the whole body is collected */
  const char *proxy;   /* NULL: from the environment; "": none */
  const char *socket;  /* connect to this Unix socket instead of the host */
  const char *ca_file; /* trust these certificates (PEM) instead of the system's */
  bool insecure;       /* do not verify the certificate */
  void (*notify)(iz_transfer *t, void *ctx);
  void *ctx;
} iz_request;

/* Starts or queues it. NULL with code "invalid" for a request that cannot be sent (bad URL, method,
 * header), or "oom". Later errors: "dns", "connect", "tls", "timeout" (the message says which
 * limit), "too_large", "aborted" (the connection was lost), "protocol", "oom"; retryable is true
 * where the same request may succeed later and the error left no doubt that it should be tried. */
iz_transfer *iz_transfer_start(iz_client *c, const iz_request *rq, iz_err *err);
/* Stops it if it runs and frees it. */
void iz_transfer_close(iz_transfer *t);

/* ---- the answer ---- */

/* The status once the head of the final answer is complete; 0 before. */
int iz_transfer_status(const iz_transfer *t);
/* Header fields in order, names in lower case, values trimmed. Start with *at = 0; false at the
 * end. */
bool iz_transfer_field(const iz_transfer *t, size_t *at, iz_field *out);
/* All of them as they are kept: name, NUL, value, NUL, and so on. */
const char *iz_transfer_head(const iz_transfer *t, size_t *len);
/* The URL as it was sent. */
const char *iz_transfer_url(const iz_transfer *t);
/* Where the answer redirects to, absolute; NULL when it does not. Valid until the next call. False:
 * out of memory, so it is not known. */
bool iz_transfer_redirect(iz_transfer *t, const char **to);
/* What of the body waits to be taken. */
const char *iz_transfer_peek(const iz_transfer *t, size_t *len);
/* Takes n bytes (n <= len) and resumes a paused transfer when half of the window is free. */
void iz_transfer_take(iz_transfer *t, size_t n);
/* Whether it is over; *err is filled when it failed. Bytes may still wait to be taken. */
bool iz_transfer_over(const iz_transfer *t, const iz_err **err);

/* ---- a pushed body ---- */

/* True when the next piece is wanted (less than 64 KB waits to be sent). */
bool iz_transfer_wants(const iz_transfer *t);
/* Gives a piece (copied). False: out of memory. */
bool iz_transfer_push(iz_transfer *t, const void *p, size_t n);
/* The body is complete. */
void iz_transfer_push_end(iz_transfer *t);

#endif
