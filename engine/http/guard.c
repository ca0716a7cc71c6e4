/* guard.c -- what a request must pass before anybody sees it: method, Host, Origin, rate.
 *
 * Host and Origin protect servers on loopback. A page in the user's browser can have its own name
 * resolve to 127.0.0.1 (DNS rebinding) and can post forms anywhere; both show in these two fields.
 *
 * Rates are token buckets in a fixed table of 2,048 sets of 8. When a set is full the fullest
 * bucket makes room (it belongs to whoever asked least), so a flood of addresses costs no memory
 * and cannot free one that is being limited.
 */
#include "conn.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "chars.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

/* ---- names ---- */

static bool in_list(const char *list, const char *name, size_t n) {
  while (*list) {
    size_t len = strcspn(list, " ");
    if (len == 1 && *list == '*') return true;
    if (len && iz_http_equal_nocase(list, len, name, n)) return true;
    list += len;
    while (*list == ' ') list++;
  }
  return false;
}

static bool host_ok(const iz_http_req *r) {
  const char *hosts = r->server->hosts;
  const char *host = iz_http_text(&r->head, r->head.host);
  if (!hosts || !r->head.host.len) return true; /* HTTP/1.0 without Host: no browser sends that */
  return in_list(hosts, host, iz_http_host_len(host, r->head.host.len));
}

/* A browser's Origin on what may change something: its authority is our Host, or a listed host. */
static bool origin_ok(const iz_http_req *r) {
  const char *hosts = r->server->hosts;
  if (!hosts || r->head.method == IZ_HTTP_GET || r->head.method == IZ_HTTP_HEAD ||
      r->head.method == IZ_HTTP_OPTIONS)
    return true;
  size_t n;
  const char *origin = iz_http_find(&r->head, "origin", &n);
  if (!origin) return true;
  const char *authority = memmem(origin, n, "://", 3);
  if (!authority) return in_list(hosts, "*", 1);
  authority += 3;
  n -= (size_t)(authority - origin);
  if (iz_http_equal_nocase(authority, n, iz_http_text(&r->head, r->head.host), r->head.host.len))
    return true;
  return r->server->o.hosts && in_list(hosts, authority, iz_http_host_len(authority, n));
}

/* ---- rates ---- */

enum { SETS = 2048, WAYS = 8 };

typedef struct bucket {
  uint64_t key; /* a keyed hash of the address; 0: free */
  int64_t seen; /* when `tokens` was right */
  double tokens;
} bucket;

struct iz_http_limiter {
  uint64_t seed[2];
  bucket buckets[SETS][WAYS];
};

bool iz_http_limiter_new(iz_http_server *s) {
  if (s->o.rate <= 0) return true;
  s->limiter = iz_calloc(1, sizeof *s->limiter);
  if (!s->limiter) return false;
  ssize_t n = getrandom(s->limiter->seed, sizeof s->limiter->seed, 0);
  if (s->o.burst < 1) s->o.burst = s->o.rate < 1 ? 1 : s->o.rate;
  return n == (ssize_t)sizeof s->limiter->seed;
}

void iz_http_limiter_free(iz_http_server *s) {
  iz_free(s->limiter);
}

static uint64_t mix(uint64_t x) {
  x ^= x >> 32;
  x *= UINT64_C(0xd6e8feb86659fd93);
  x ^= x >> 32;
  x *= UINT64_C(0xd6e8feb86659fd93);
  return x ^ x >> 32;
}

/* IPv6 counts by its /64: one subscriber has at least that many addresses. */
static uint64_t address_key(const iz_http_limiter *l, const iz_http_addr *a) {
  uint64_t part = 0;
  memcpy(&part, a->bytes, a->family == AF_INET ? 4 : 8);
  if (a->family == AF_UNIX) part = a->uid;
  uint64_t key = mix(mix(part ^ l->seed[0]) + l->seed[1] + a->family);
  return key ? key : 1;
}

static double tokens_now(const iz_http_server *s, const bucket *b, int64_t now) {
  double tokens = b->tokens + (double)(now - b->seen) / (double)IZ_SEC * s->o.rate;
  return tokens < s->o.burst ? tokens : s->o.burst;
}

static bucket *find_bucket(iz_http_server *s, uint64_t key, int64_t now) {
  bucket *set = s->limiter->buckets[key % SETS], *fullest = set;
  for (int i = 0; i < WAYS; i++) {
    if (set[i].key == key) return &set[i];
    if (!set[i].key || (fullest->key && tokens_now(s, &set[i], now) > tokens_now(s, fullest, now)))
      fullest = &set[i];
  }
  *fullest = (bucket){.key = key, .seen = now, .tokens = s->o.burst};
  return fullest;
}

/* 0 when the request may pass, else the seconds until the next one may. */
static unsigned limited(iz_http_server *s, const iz_http_addr *a) {
  if (!s->limiter) return 0;
  int64_t now = iz_now();
  bucket *b = find_bucket(s, address_key(s->limiter, a), now);
  b->tokens = tokens_now(s, b, now);
  b->seen = now;
  if (b->tokens >= 1) {
    b->tokens -= 1;
    return 0;
  }
  double wait = (1 - b->tokens) / s->o.rate;
  return wait > 3600 ? 3600 : (unsigned)(wait + 0.999);
}

int iz_http_guard(iz_http_req *r, const char **why) {
  iz_http_server *s = r->server;
  unsigned wait = limited(s, &r->conn->addr);
  if (wait) {
    char text[16];
    int n = snprintf(text, sizeof text, "%u", wait);
    iz_http_header(r, "Retry-After", 11, text, (size_t)n);
    s->stats.limited++;
    *why = "too many requests from this address";
    return 429;
  }
  if (r->head.method == IZ_HTTP_OTHER) {
    *why = "method not served";
    return 501;
  }
  if (!host_ok(r)) {
    *why = "this server does not serve that Host; list it in `hosts` if it should";
    return 421;
  }
  if (!origin_ok(r)) {
    *why = "cross-origin request refused; list the origin's host in `hosts` if it is yours";
    return 403;
  }
  return 0;
}
