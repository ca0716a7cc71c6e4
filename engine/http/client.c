/* client.c -- the pool: hosts, queues, starting and ending of transfers: see client.h.
 *
 * A transfer waits in its host's queue, then runs. Hosts with waiting transfers stand in a ring and
 * take turns, so that one busy host does not starve the others at the total limit. While a host's
 * name is unknown only one transfer starts and looks it up; the rest follow once libcurl has it in
 * its cache (it would start a resolver thread for each).
 *
 * A host is remembered only while it has transfers.
 */
#include "client.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "pending.h"
#include "transfer.h"

#include <event2/event.h>
#include <string.h>

#define NAME_FRESH (50 * IZ_SEC) /* libcurl forgets a name after 60 s */

/* ---- hosts ---- */

static uint32_t hash(const char *s) {
  uint32_t h = 2166136261u; /* FNV-1a */
  for (; *s; s++) h = (h ^ (unsigned char)*s) * 16777619u;
  return h;
}

static iz_host **bucket(iz_client *c, const char *key) {
  return &c->hosts[hash(key) % IZ_HOST_BUCKETS];
}

/* The host of that key, made when it is new. Owns key from here on. */
static iz_host *find_host(iz_client *c, char *key, bool numeric) {
  iz_host **b = bucket(c, key);
  for (iz_host *h = *b; h; h = h->next) {
    if (strcmp(h->key, key)) continue;
    iz_free(key);
    return h;
  }
  iz_host *h = iz_calloc(1, sizeof *h);
  if (!h) {
    iz_free(key);
    return NULL;
  }
  h->key = key;
  h->numeric = numeric;
  TAILQ_INIT(&h->waiting);
  h->next = *b;
  *b = h;
  return h;
}

static void drop_host(iz_client *c, iz_host *h) {
  if (--h->users > 0) return;
  iz_host **at = bucket(c, h->key);
  while (*at != h) at = &(*at)->next;
  *at = h->next;
  iz_free(h->key);
  iz_free(h);
}

static bool needs_lookup(const iz_host *h) {
  return !h->numeric && (!h->resolved || iz_real_now() - h->resolved > NAME_FRESH);
}

void iz_transfer_resolved(iz_transfer *t, bool fresh) {
  iz_host *h = t->host;
  if (fresh) h->resolved = iz_real_now();
  if (h->resolving != t) return;
  h->resolving = NULL;
  iz_multi_wake(&t->client->multi);
}

/* Drops all that is kept for later requests. */
static void drop_kept(iz_client *c) {
  iz_multi_close(&c->multi);
  while (c->spares) c->multi.curl->easy_cleanup(c->spare[--c->spares]);
}

/* ---- the queue ---- */

static void move_to(iz_transfer *t, struct iz_transfers *to) {
  if (t->list) TAILQ_REMOVE(t->list, t, link);
  if (to) TAILQ_INSERT_TAIL(to, t, link);
  t->list = to;
}

static void enqueue(iz_client *c, iz_transfer *t) {
  iz_host *h = t->host;
  if (TAILQ_EMPTY(&h->waiting)) TAILQ_INSERT_TAIL(&c->queue, h, link);
  move_to(t, &h->waiting);
}

static void dequeue(iz_client *c, iz_transfer *t, struct iz_transfers *to) {
  iz_host *h = t->host;
  move_to(t, to);
  if (TAILQ_EMPTY(&h->waiting)) TAILQ_REMOVE(&c->queue, h, link);
}

static void run(iz_client *c, iz_transfer *t) {
  iz_host *h = t->host;
  dequeue(c, t, &c->running);
  c->active++;
  h->active++;
  if (needs_lookup(h)) h->resolving = t;
  iz_transfer_began(t);
  if (t->err.code[0] || !iz_multi_add(&c->multi, t->easy, &t->err)) iz_transfer_end(t);
}

static iz_host *next_host(iz_client *c) {
  iz_host *h;
  TAILQ_FOREACH(h, &c->queue, link)
  if (h->active < c->per_host && !h->resolving) return h;
  return NULL;
}

/* Starts what the limits allow; each host that started one goes to the end of the ring. */
static void pump(iz_client *c) {
  iz_host *h;
  while (c->active < c->total && (h = next_host(c))) {
    TAILQ_REMOVE(&c->queue, h, link);
    TAILQ_INSERT_TAIL(&c->queue, h, link);
    run(c, TAILQ_FIRST(&h->waiting));
  }
}

/* ---- telling the owners ---- */

void iz_transfer_mark(iz_transfer *t) {
  iz_client *c = t->client;
  if (t->marked) return;
  t->marked = true;
  t->round = c->round;
  TAILQ_INSERT_TAIL(&c->marked, t, mark);
  iz_multi_wake(&c->multi);
}

static void unmark(iz_transfer *t) {
  if (t->marked) TAILQ_REMOVE(&t->client->marked, t, mark);
  t->marked = false;
}

/* What is marked meanwhile waits for the next turn. */
static void settled(void *ctx) {
  iz_client *c = ctx;
  iz_transfer *t;
  while ((t = TAILQ_FIRST(&c->finished))) iz_transfer_end(t);
  pump(c);
  uint32_t round = c->round++;
  while ((t = TAILQ_FIRST(&c->marked)) && t->round == round) {
    unmark(t);
    t->notify(t, t->ctx);
  }
}

/* Removing a handle searches all of libcurl's queued messages: it is done when they are read. */
static void done(void *ctx, CURL *easy, CURLcode code) {
  iz_client *c = ctx;
  char *p = NULL;
  c->multi.curl->easy_getinfo(easy, CURLINFO_PRIVATE, &p);
  iz_transfer *t = (void *)p;
  iz_transfer_verdict(t, code);
  t->done = true;
  move_to(t, &c->finished);
}

static void broken(void *ctx) {
  iz_client *c = ctx;
  iz_transfer *t;
  while ((t = TAILQ_FIRST(&c->finished))) iz_transfer_end(t);
  while ((t = TAILQ_FIRST(&c->running))) {
    if (!t->err.code[0]) iz_fail_oom(&t->err);
    iz_transfer_end(t);
  }
  iz_multi_close(&c->multi);
}

/* ---- transfers ---- */

static void on_idle(iz_timer *timer) {
  iz_client *c = IZ_OUTER(timer, iz_client, idle);
  if (!c->active) drop_kept(c);
}

void iz_transfer_end(iz_transfer *t) {
  iz_client *c = t->client;
  iz_host *h = t->host;
  if (t->phase == IZ_OVER) return;
  if (t->phase == IZ_WAITING) {
    dequeue(c, t, NULL);
  } else {
    iz_multi_remove(&c->multi, t->easy);
    move_to(t, NULL);
    c->active--;
    h->active--;
    if (h->resolving == t) h->resolving = NULL;
    if (!c->active) iz_timer_start(c->loop, &c->idle, IZ_CLIENT_IDLE_S * IZ_SEC, on_idle);
  }
  t->phase = IZ_OVER;
  iz_transfer_clear(t);
  iz_transfer_mark(t);
}

static void free_transfer(iz_transfer *t) {
  iz_transfer_clear(t);
  if (t->host) drop_host(t->client, t->host);
  iz_buf_free(&t->in);
  iz_buf_free(&t->head);
  iz_free(t->redirect);
  iz_free(t->url);
  iz_free(t->method);
  iz_free(t);
}

iz_transfer *iz_transfer_start(iz_client *c, const iz_request *rq, iz_err *err) {
  char *key;
  bool numeric;
  iz_transfer *t = iz_calloc(1, sizeof *t);
  if (!t) return iz_fail_oom(err), NULL;
  t->client = c;
  if (!iz_url_check(c->multi.curl, rq->url, &t->url, &key, &numeric, err)) {
    iz_free(t);
    return NULL;
  }
  t->host = find_host(c, key, numeric);
  if (!t->host) iz_fail_oom(err);
  if (t->host) t->host->users++;
  if (!t->host || !iz_transfer_setup(t, rq, err)) {
    free_transfer(t);
    return NULL;
  }
  enqueue(c, t);
  pump(c);
  return t;
}

void iz_transfer_close(iz_transfer *t) {
  if (!t) return;
  iz_transfer_end(t);
  unmark(t);
  free_transfer(t);
}

int iz_transfer_status(const iz_transfer *t) {
  return t->status;
}
const char *iz_transfer_url(const iz_transfer *t) {
  return t->url;
}

bool iz_transfer_over(const iz_transfer *t, const iz_err **err) {
  if (err) *err = t->phase == IZ_OVER && t->err.code[0] ? &t->err : NULL;
  return t->phase == IZ_OVER;
}

const char *iz_transfer_head(const iz_transfer *t, size_t *len) {
  *len = t->status ? t->head.len : 0;
  return *len ? t->head.data : "";
}

bool iz_transfer_field(const iz_transfer *t, size_t *at, iz_field *out) {
  if (!t->status || *at >= t->head.len) return false;
  out->name = t->head.data + *at;
  *at += strlen(out->name) + 1;
  out->value = t->head.data + *at;
  *at += strlen(out->value) + 1;
  return true;
}

static const char *location(const iz_transfer *t) {
  int s = t->status;
  if (s != 301 && s != 302 && s != 303 && s != 307 && s != 308) return NULL;
  iz_field f;
  for (size_t at = 0; iz_transfer_field(t, &at, &f);)
    if (!strcmp(f.name, "location")) return f.value;
  return NULL;
}

/* `where` as seen from t's own URL, for curl->free; NULL with libcurl's reason. */
static char *resolve(const iz_transfer *t, const char *where, CURLUcode *code) {
  const iz_curl *curl = t->client->multi.curl;
  char *text = NULL;
  CURLU *u = curl->url();
  *code = u ? curl->url_set(u, CURLUPART_URL, t->url, 0) : CURLUE_OUT_OF_MEMORY;
  if (*code)
    *code = CURLUE_OUT_OF_MEMORY; /* it was parsed before */
  else
    *code = curl->url_set(u, CURLUPART_URL, where, CURLU_URLENCODE | CURLU_NON_SUPPORT_SCHEME);
  if (!*code) *code = curl->url_get(u, CURLUPART_URL, &text, 0);
  curl->url_cleanup(u);
  return text;
}

bool iz_transfer_redirect(iz_transfer *t, const char **to) {
  const char *where = location(t);
  iz_free(t->redirect);
  *to = t->redirect = NULL;
  if (!where) return true;
  CURLUcode code;
  char *text = resolve(t, where, &code);
  /* libcurl calls a relative one malformed when memory ran out for the URL it is relative to */
  if (!text && code != CURLUE_OUT_OF_MEMORY) text = resolve(t, where, &code);
  *to = t->redirect = text ? iz_strdup(text) : NULL;
  t->client->multi.curl->free(text);
  return *to || (!text && code != CURLUE_OUT_OF_MEMORY);
}

/* ---- life ---- */

void iz_client_set_limits(iz_client *c, int per_host, int total) {
  c->per_host = per_host;
  c->total = total;
  pump(c);
}

void iz_client_get_limits(const iz_client *c, int *per_host, int *total) {
  *per_host = c->per_host;
  *total = c->total;
}

iz_client *iz_client_new(iz_loop *loop, iz_err *err) {
  iz_client *c = iz_calloc(1, sizeof *c);
  if (!c) return iz_fail_oom(err), NULL;
  c->loop = loop;
  c->total = IZ_CLIENT_TOTAL;
  c->per_host = IZ_CLIENT_PER_HOST;
  TAILQ_INIT(&c->queue);
  TAILQ_INIT(&c->running);
  TAILQ_INIT(&c->finished);
  TAILQ_INIT(&c->marked);
  c->multi.loop = loop;
  c->multi.idle_max = c->total;
  c->multi.ctx = c;
  c->multi.done = done;
  c->multi.settled = settled;
  c->multi.broken = broken;
  if (!iz_multi_init(&c->multi, err)) {
    iz_free(c);
    return NULL;
  }
  iz_pending_add_client(c);
  return c;
}

void iz_client_free(iz_client *c) {
  if (!c) return;
  iz_pending_remove_client(c);
  iz_timer_stop(c->loop, &c->idle);
  drop_kept(c);
  iz_free(c);
}
