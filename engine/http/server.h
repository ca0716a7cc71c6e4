/* server.h -- an HTTP/1.1 server on the loop, without knowing Lua.
 *
 * Life of a request: `events.request` hands over an iz_http_req when its head is complete. The
 * owner reads the body if it wants it (iz_http_body_read), answers once (iz_http_respond, or
 * iz_http_start, iz_http_write ..., iz_http_finish), and in the end calls iz_http_release, always.
 * The req stays valid until then, whatever happens to the connection; the answer functions do
 * nothing once it is gone.
 *
 * Nothing is read ahead of need: a body is taken from the socket as the owner asks for it, and
 * `100 Continue` is sent when it first asks. Output that the client does not take makes
 * iz_http_write say so, and `events.drained` tells when to go on. All callbacks come from the loop,
 * never from inside one of these functions.
 *
 * Time limits: a head must be complete 10 s after its first byte (or after the connection), a body
 * must come at a minimum rate while the owner waits for it, output must make progress, an idle
 * connection is kept 75 s. All are total deadlines: one byte a second does not extend them.
 */
#ifndef IZ_HTTP_SERVER_H
#define IZ_HTTP_SERVER_H

#include "base/buf.h"
#include "http/parser.h"
#include "loop/loop.h"

#include <sys/types.h>

typedef struct iz_http_server iz_http_server;
typedef struct iz_http_conn iz_http_conn;
typedef struct iz_http_req iz_http_req;
struct iz_tls_context;

typedef struct iz_http_events {
  void (*request)(void *arg, iz_http_req *req);
  void (*readable)(iz_http_req *req); /* body_read has something to say again */
  void (*drained)(iz_http_req *req);  /* output may go on */
  /* The client left before the answer was complete. Comes with req->conn set when it closed its
   * sending half only (most likely it left; an answer can still be sent), and with NULL when the
   * connection is lost; the one, the other, or both in this order. */
  void (*gone)(iz_http_req *req);
  void (*stopped)(void *arg); /* after iz_http_stop: all is over, the server may be freed */
} iz_http_events;

/* Fill with iz_http_defaults, then change. Strings are copied. */
typedef struct iz_http_options {
  const char *host;   /* "127.0.0.1"; a name, an address, or "unix:/path" */
  uint16_t port;      /* 0: any free one */
  bool reuse_port;    /* SO_REUSEPORT: several processes share the port */
  uint32_t head_max;  /* bytes of a request head */
  uint64_t body_max;  /* bytes of a request body */
  uint32_t conns_max; /* beyond it idle connections are closed, then accepting pauses */
  int64_t head_ns, idle_ns, stall_ns;
  uint32_t body_rate; /* bytes a second, over 5 s, while the owner waits for the body */
  double rate, burst; /* requests a second and at once, per client address; 0: no limit */
  const char *hosts;  /* Host names served, separated by blanks, "*" for all; NULL: those of a
                         loopback listener, all for others */
  struct iz_tls_context *tls; /* taken over; NULL: plain */
  int access_fd;              /* access log, JSON lines; -1: none. Stays the caller's */
  iz_http_events events;
  void *arg;
} iz_http_options;

typedef struct iz_http_stats {
  uint64_t accepted, requests, bytes_in, bytes_out, refused, limited;
  uint32_t connections, active; /* open now; of these with a request in work */
} iz_http_stats;

/* A request in work. Read-only for its owner but for `user`. */
struct iz_http_req {
  iz_http_head head;
  iz_http_server *server;
  iz_http_conn *conn;           /* NULL: over, or the connection is lost */
  const iz_http_events *events; /* whom to tell; the server's until the owner sets others */
  void *user;                   /* the owner's */
  uint64_t serial;
  int64_t started; /* iz_now() at the end of the head */
  iz_buf fields;   /* of the answer so far */
  uint64_t sent;   /* bytes of the answer's body */
  int64_t left;    /* bytes that a declared length still wants; -1: not declared */
  const char *body_why;
  uint16_t status;     /* answered with; 0: not yet */
  uint16_t body_error; /* the status that says why the body failed */
  bool body_done, want_body, want_drain, left_early, close, chunked, finished, continued;
  bool has_type;  /* a Content-Type was given */
  bool head_only; /* HEAD, 204, 304: the body is not sent */
  int64_t heartbeat_ns;
};

void iz_http_defaults(iz_http_options *o);
/* Binds, listens and holds a loop reference. NULL: err says what to do. */
iz_http_server *iz_http_listen(iz_loop *loop, const iz_http_options *o, iz_err *err);
uint16_t iz_http_port(const iz_http_server *s);
void iz_http_get_stats(const iz_http_server *s, iz_http_stats *out);
/* Stops accepting at once; requests in work may finish for drain_ns, then they are cut off. */
void iz_http_stop(iz_http_server *s, int64_t drain_ns);
/* After events.stopped, never from inside it; or at the program's end, when every request has been
 * released: then open connections are cut without telling anybody. */
void iz_http_server_free(iz_http_server *s);

/* ---- the request ---- */

enum { IZ_HTTP_WAIT = -1, IZ_HTTP_FAILED = -2 };
/* The next part of the body: its length and where it lies (until the next call); 0 at its end;
 * IZ_HTTP_WAIT: `readable` will come; IZ_HTTP_FAILED: req->body_error and body_why tell. */
ssize_t iz_http_body_read(iz_http_req *req, const char **data);
/* "203.0.113.7", "2001:db8::1" or "unix:UID"; size at least 64. */
void iz_http_peer(const iz_http_req *req, char *out, size_t size);
/* A name for this request that is unique over processes and restarts; size at least 32. */
void iz_http_id(const iz_http_req *req, char *out, size_t size);
/* Whether somebody still waits for the answer. */
static inline bool iz_http_alive(const iz_http_req *req) {
  return req->conn && !req->left_early;
}
/* The owner is done with it; without a complete answer the connection is cut. */
void iz_http_release(iz_http_req *req);

/* ---- the answer ---- */

/* Adds a field. False: the name is no token, the value has control characters, the field belongs to
 * the server (Content-Length, Transfer-Encoding, Date, Keep-Alive, Upgrade), or memory is out.
 * "Connection: close" closes after the answer. */
bool iz_http_header(iz_http_req *req, const char *name, size_t nlen, const char *value,
                    size_t vlen);
/* The whole answer. Without a Content-Type field, none is sent. When the body of the request was
 * refused (malformed, too large, too slow), a status below 400 becomes that refusal. */
void iz_http_respond(iz_http_req *req, int status, const char *body, size_t len);
/* An error in the common JSON form: {"error":{"code":"not_found","message":...}}. */
void iz_http_error(iz_http_req *req, int status, const char *message);
/* Whether a streamed answer has begun and somebody takes its body: not for HEAD, 204 and 304, and
 * not once it is finished or the connection is lost. */
bool iz_http_wants_body(const iz_http_req *req);
/* Begins a streamed answer of `length` bytes; -1: unknown (chunked, or until close in HTTP/1.0). */
void iz_http_start(iz_http_req *req, int status, int64_t length);
/* Begins an SSE stream; a comment goes out whenever it was quiet for heartbeat_ns (0: never). */
void iz_http_start_sse(iz_http_req *req, int64_t heartbeat_ns);
/* Sends a part. False: enough is queued (the part itself was taken, `drained` will come), or the
 * connection is lost (`gone` will come). */
bool iz_http_write(iz_http_req *req, const char *data, size_t n);
/* Ends a streamed answer. */
void iz_http_finish(iz_http_req *req);
/* "Not Found"; "Status" for codes without a name. */
const char *iz_http_reason(int status);

/* ---- SSE ---- */

/* Appends one event in wire form. event, id may be NULL; retry_ms < 0: none. False: a line break in
 * event or id (it would forge fields), or out of memory. */
bool iz_http_sse(iz_buf *out, const char *event, const char *id, int64_t retry_ms, const char *data,
                 size_t n);

#endif
