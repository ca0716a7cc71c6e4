/* conn.h -- the inside of the server, shared by conn.c, response.c, guard.c, access.c and server.c.
 */
#ifndef IZ_HTTP_CONN_H
#define IZ_HTTP_CONN_H

#include "http/server.h"
#include "http/tls.h"
#include "loop/appender.h"

#include <event2/event_struct.h>
#include <sys/queue.h>

enum {
  IZ_HTTP_READ_SIZE = 64 * 1024, /* one recv */
  IZ_HTTP_IN_PAUSE = 16 * 1024,  /* unread input at which reading pauses */
  IZ_HTTP_OUT_HIGH = 64 * 1024,  /* unsent output at which writers wait */
  IZ_HTTP_OUT_LOW = 16 * 1024,   /* and at which they go on */
};

typedef enum conn_state {
  CONN_HEAD,    /* idle, or a head is coming */
  CONN_REQUEST, /* a request is in work */
  CONN_LINGER,  /* answered and shut; what the client still sends is thrown away */
  CONN_CLOSED,  /* freed on the next turn */
} conn_state;

typedef struct iz_http_addr {
  uint8_t bytes[16]; /* IPv4 in the first four */
  uint8_t family;    /* AF_INET, AF_INET6, AF_UNIX */
  bool own;          /* a unix peer that is this process */
  uint16_t port;     /* 0 for a unix peer */
  uint32_t uid;      /* of a unix peer */
} iz_http_addr;

struct iz_http_conn {
  iz_http_server *server;
  iz_http_conn *prev, *next;
  struct event ev;
  iz_timer timer;   /* runs no later than `deadline`, which moves without touching it */
  int64_t deadline; /* 0: none */
  iz_defer later;   /* freeing */
  iz_defer flush;   /* output of pipelined answers, at the end of the turn */
  iz_http_parser parser;
  iz_http_req *req;
  iz_buf in;        /* input that waits */
  const char *view; /* the unread input: in `in`, or in the server's read buffer during an event */
  size_t view_len;
  iz_buf out; /* output that waits; sent up to out_at */
  size_t out_at;
  iz_tls *tls;
  uint64_t window; /* bytes of the body that came while it was waited for */
  int64_t waited, wait_from;
  iz_http_addr addr;
  int fd;
  short watch; /* what ev watches */
  uint8_t state;
  bool processing, eof, broken, closing, linger, head_timed;
};

typedef struct iz_http_limiter iz_http_limiter;

struct iz_http_server {
  LIST_ENTRY(iz_http_server) all; /* pending.c's */
  iz_loop *loop;
  iz_http_options o;
  int fd;
  uint16_t port;
  bool loopback, listening, accepting, stopping, stopped, over;
  bool abandoned; /* no turn of the loop will come: connections are freed at once */
  struct event ev;
  iz_timer retry; /* accepting again after the system ran out of descriptors */
  iz_timer cut;   /* the end of draining */
  iz_defer ended;
  iz_http_conn *first, *last; /* by their last activity, oldest first */
  iz_http_req *spare;         /* released requests, linked by `user` */
  uint32_t spare_count, live; /* live: requests in their owner's hands */
  iz_http_stats stats;
  uint64_t serial;
  uint32_t boot;
  int64_t date_second;
  char date[40];       /* "Date: ...\r\n" */
  iz_buf scratch;      /* an answer being put together */
  iz_appender *access; /* the access log; NULL: none */
  iz_buf lines;        /* of it, being put together */
  uint64_t lines_lost; /* since the last one kept */
  iz_http_limiter *limiter;
  char *read_buf, *tls_buf; /* IZ_HTTP_READ_SIZE each */
  char *hosts, *unix_path;
};

/* conn.c */
void iz_conn_open(iz_http_server *s, int fd, const iz_http_addr *addr);
void iz_conn_close(iz_http_conn *c);
/* The connection is lost, noticed while somebody else's code is on the stack: the next turn closes.
 */
void iz_conn_fail(iz_http_conn *c);
/* Sends now what the socket takes and keeps the rest. */
void iz_conn_send(iz_http_conn *c, const char *head, size_t head_len, const char *body,
                  size_t body_len);
/* The answer is complete: next request, or the end. */
void iz_conn_answered(iz_http_conn *c);
/* Brings watching up to date; after every change from outside an event. */
void iz_conn_settle(iz_http_conn *c);
/* Sets the deadline to ns from now; 0 clears it. */
void iz_conn_deadline(iz_http_conn *c, int64_t ns);
static inline size_t iz_conn_unsent(const iz_http_conn *c) {
  return c->out.len - c->out_at;
}
/* Takes and drops what has come of the body; whether it is complete. */
bool iz_conn_body_over(iz_http_conn *c);

/* guard.c: 0, or the status with which a request is refused before anybody sees it. */
int iz_http_guard(iz_http_req *req, const char **why);
bool iz_http_limiter_new(iz_http_server *s);
void iz_http_limiter_free(iz_http_server *s);

/* access.c */
void iz_http_access(const iz_http_req *req);
void iz_http_addr_text(const iz_http_addr *a, char *out, size_t size);

/* server.c */
void iz_http_conn_gone(iz_http_server *s);
void iz_http_request_gone(iz_http_server *s);
const char *iz_http_date(iz_http_server *s);

#endif
