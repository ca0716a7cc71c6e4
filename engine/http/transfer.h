/* transfer.h -- what client.c (pool and queue) and transfer.c (one request) share. Private to them.
 */
#ifndef IZ_TRANSFER_H
#define IZ_TRANSFER_H

#include "base/buf.h"
#include "http/client.h"
#include "http/multi.h"

#include <sys/queue.h>

typedef struct iz_host iz_host;
TAILQ_HEAD(iz_transfers, iz_transfer);
TAILQ_HEAD(iz_hosts, iz_host);

enum iz_phase {
  IZ_WAITING, /* in its host's queue */
  IZ_CONNECTING,
  IZ_SENT, /* the connection stands; the request is being or has been sent */
  IZ_BODY, /* the head is complete */
  IZ_OVER,
};

enum { IZ_HOST_BUCKETS = 256, IZ_SPARE_MAX = 1024 };

struct iz_client {
  LIST_ENTRY(iz_client) all; /* pending.c's */
  iz_loop *loop;
  iz_multi multi;
  int per_host, total, active;
  iz_host *hosts[IZ_HOST_BUCKETS];
  struct iz_hosts queue; /* those with waiting transfers, next one first */
  struct iz_transfers running, finished, marked;
  CURL *spare[IZ_SPARE_MAX]; /* easy handles for later transfers */
  int spares;
  uint32_t round;
  iz_timer idle;
};

struct iz_transfer {
  iz_client *client;
  iz_host *host;
  TAILQ_ENTRY(iz_transfer) link;
  struct iz_transfers *list;     /* its list: waiting, running or finished */
  TAILQ_ENTRY(iz_transfer) mark; /* to be notified */
  bool marked, done;             /* done: libcurl finished with it */
  bool special;                  /* its handle has options that others must not inherit */
  uint32_t round;                /* when it was marked */
  enum iz_phase phase;
  CURL *easy;
  struct curl_slist *fields;
  char *url, *method;
  void (*notify)(iz_transfer *t, void *ctx);
  void *ctx;
  iz_err err; /* code "" = none */
  char detail[CURL_ERROR_SIZE];
  /* limits */
  struct event alarm;
  int64_t connect, first_byte, stall, total, total_name;
  int64_t began, opened, last; /* real time: queued, left the queue, last progress */
  int64_t alarm_at;            /* 0 = not set */
  /* the request */
  uint32_t attempts;
  int local_port; /* of its connection; not above 0 on a unix socket */
  bool repeatable;
  bool push, push_over, send_paused;
  int64_t push_left; /* -1 = unknown */
  iz_buf out;
  size_t out_at;
  /* the answer */
  int status;
  iz_buf head; /* name NUL value NUL ... */
  uint32_t n_head;
  char *redirect;
  iz_buf in;
  size_t in_at, window;
  uint64_t received, max_size;
  bool recv_paused;
};

struct iz_host {
  iz_host *next;             /* in its bucket */
  TAILQ_ENTRY(iz_host) link; /* in the client's queue while transfers wait */
  char *key;                 /* its origin as the URLs have it */
  int users, active;         /* transfers there are, and those that run */
  struct iz_transfers waiting;
  bool numeric;           /* an address: nothing to look up */
  iz_transfer *resolving; /* who looks the name up for all */
  int64_t resolved;       /* when it was last looked up; 0 = never */
};

/* Real monotonic nanoseconds, whatever clock the program runs on. */
int64_t iz_real_now(void);

/* client.c: notifies t's owner soon; allowed in libcurl callbacks. */
void iz_transfer_mark(iz_transfer *t);
/* client.c: ends a running or waiting transfer; t->err holds the reason, if any. Not in callbacks.
 */
void iz_transfer_end(iz_transfer *t);
/* client.c: t is past the look-up of its host's name; `fresh`: it was looked up, not avoided by a
 * kept connection. Allowed in libcurl callbacks. */
void iz_transfer_resolved(iz_transfer *t, bool fresh);

/* transfer.c: makes the easy handle of a fresh transfer. */
bool iz_transfer_setup(iz_transfer *t, const iz_request *rq, iz_err *err);
/* Checks that a URL can be requested; gives it in full and its origin, "scheme://name:port". */
bool iz_url_check(const iz_curl *curl, const char *url, char **full, char **key, bool *numeric,
                  iz_err *err);
/* It left the queue. */
void iz_transfer_began(iz_transfer *t);
/* Sets t->err from libcurl's verdict unless a better reason is known. */
void iz_transfer_verdict(iz_transfer *t, CURLcode code);
/* Releases what only a running transfer needs. */
void iz_transfer_clear(iz_transfer *t);

#endif
