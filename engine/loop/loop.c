/* loop.c -- turns, deferred calls and timers over libevent: see loop.h.
 *
 * libevent watches descriptors only. Timers live in a heap of our own, since they must obey the
 * replaceable clock; one libevent timeout wakes the loop for the earliest of them.
 */
#include "loop.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

typedef struct queue {
  iz_defer *head, **tail;
} queue;

struct iz_loop {
  struct event_base *base;
  queue ready;    /* runs next turn */
  queue turn_end; /* runs before the loop waits */
  iz_timer **heap;
  uint32_t heap_len, heap_cap;
  struct event tick; /* wakes the loop for heap[0] */
  int64_t tick_due;  /* what `tick` is set to; 0 = not set */
  int refs;
  int busy;
  bool (*is_pending)(iz_loop *);
  bool stopped;
  void (*stuck)(void *);
  void *stuck_ctx;
  int own_events; /* descriptors that were watched before anybody asked */
  void (*before_wait)(void *);
  void *before_wait_ctx;
  /* from other threads */
  pthread_mutex_t lock;
  queue posted;
  int wake_fd;
  struct event wake;
};

/* ---- queues ---- */

static void queue_init(queue *q) {
  q->head = NULL;
  q->tail = &q->head;
}

static void queue_push(queue *q, iz_defer *d) {
  d->next = NULL;
  *q->tail = d;
  q->tail = &d->next;
}

static bool queue_remove(queue *q, iz_defer *d) {
  for (iz_defer **p = &q->head; *p; p = &(*p)->next) {
    if (*p != d) continue;
    *p = d->next;
    if (!*p) q->tail = p;
    return true;
  }
  return false;
}

/* Runs what is queued now; what is queued meanwhile waits for the next call, so that I/O gets its
 * turn between two slices of a busy task. */
static void queue_run(queue *q) {
  iz_defer *last = IZ_OUTER(q->tail, iz_defer, next);
  for (bool more = q->head != NULL; more;) {
    iz_defer *d = q->head;
    if (!d) break; /* an iz_loop_undefer took the rest */
    more = d != last;
    q->head = d->next;
    if (!q->head) q->tail = &q->head;
    d->queued = false;
    d->fn(d);
  }
}

void iz_loop_defer(iz_loop *loop, iz_defer *d) {
  if (d->queued) return;
  d->queued = true;
  queue_push(&loop->ready, d);
}

void iz_loop_at_turn_end(iz_loop *loop, iz_defer *d) {
  if (d->queued) return;
  d->queued = true;
  queue_push(&loop->turn_end, d);
}

void iz_loop_before_wait(iz_loop *loop, void (*fn)(void *), void *ctx) {
  loop->before_wait = fn;
  loop->before_wait_ctx = ctx;
}

void iz_loop_undefer(iz_loop *loop, iz_defer *d) {
  if (!d->queued) return;
  if (queue_remove(&loop->ready, d) || queue_remove(&loop->turn_end, d)) d->queued = false;
}

void iz_loop_post(iz_loop *loop, iz_defer *d) {
  pthread_mutex_lock(&loop->lock);
  bool first = loop->posted.head == NULL;
  queue_push(&loop->posted, d);
  pthread_mutex_unlock(&loop->lock);
  if (!first) return;
  uint64_t one = 1;
  while (write(loop->wake_fd, &one, sizeof one) < 0 && errno == EINTR) {
  }
}

static void take_posted(evutil_socket_t fd, short what, void *arg) {
  (void)what;
  iz_loop *loop = arg;
  uint64_t count;
  while (read(fd, &count, sizeof count) < 0 && errno == EINTR) {
  }
  pthread_mutex_lock(&loop->lock);
  iz_defer *d = loop->posted.head;
  queue_init(&loop->posted);
  pthread_mutex_unlock(&loop->lock);
  while (d) {
    iz_defer *next = d->next;
    d->queued = false;
    iz_loop_defer(loop, d);
    d = next;
  }
}

/* ---- timers ---- */

static void heap_put(iz_loop *loop, iz_timer *t, uint32_t i) {
  loop->heap[i] = t;
  t->at = i + 1;
}

static void sift_up(iz_loop *loop, iz_timer *t, uint32_t i) {
  while (i > 0) {
    uint32_t up = (i - 1) / 4;
    if (loop->heap[up]->due <= t->due) break;
    heap_put(loop, loop->heap[up], i);
    i = up;
  }
  heap_put(loop, t, i);
}

static void sift_down(iz_loop *loop, iz_timer *t, uint32_t i) {
  for (;;) {
    uint32_t first = i * 4 + 1, best = first;
    if (first >= loop->heap_len) break;
    uint32_t end = first + 4 < loop->heap_len ? first + 4 : loop->heap_len;
    for (uint32_t c = first + 1; c < end; c++)
      if (loop->heap[c]->due < loop->heap[best]->due) best = c;
    if (loop->heap[best]->due >= t->due) break;
    heap_put(loop, loop->heap[best], i);
    i = best;
  }
  heap_put(loop, t, i);
}

static bool heap_grow(iz_loop *loop) {
  if (loop->heap_len < loop->heap_cap) return true;
  if (loop->heap_cap > UINT32_MAX / 4) return false;
  uint32_t cap = loop->heap_cap ? loop->heap_cap * 2 : 16;
  iz_timer **heap = iz_realloc(loop->heap, cap * sizeof(iz_timer *));
  if (!heap) return false;
  loop->heap = heap;
  loop->heap_cap = cap;
  return true;
}

bool iz_timer_start(iz_loop *loop, iz_timer *t, int64_t ns, void (*fn)(iz_timer *)) {
  iz_timer_stop(loop, t);
  if (!heap_grow(loop)) return false;
  int64_t now = iz_now();
  if (ns < 0) ns = 0;
  t->due = ns > INT64_MAX - now ? INT64_MAX : now + ns;
  t->fn = fn;
  sift_up(loop, t, loop->heap_len++);
  return true;
}

void iz_timer_stop(iz_loop *loop, iz_timer *t) {
  if (!t->at) return;
  uint32_t i = t->at - 1;
  t->at = 0;
  iz_timer *last = loop->heap[--loop->heap_len];
  if (last == t) return;
  if (i > 0 && last->due < loop->heap[(i - 1) / 4]->due)
    sift_up(loop, last, i);
  else
    sift_down(loop, last, i);
}

static void fire_due(iz_loop *loop) {
  if (!loop->heap_len) return;
  int64_t now = iz_now();
  while (loop->heap_len && loop->heap[0]->due <= now) {
    iz_timer *t = loop->heap[0];
    iz_timer_stop(loop, t);
    t->fn(t);
  }
}

static void on_tick(evutil_socket_t fd, short what, void *arg) {
  (void)fd, (void)what;
  ((iz_loop *)arg)->tick_due = 0;
}

/* Sets `tick` for the earliest timer; re-armed only when that changed. */
static void set_tick(iz_loop *loop) {
  int64_t due = loop->heap_len ? loop->heap[0]->due : 0;
  if (due == loop->tick_due) return;
  loop->tick_due = due;
  if (!due) {
    event_del(&loop->tick);
    return;
  }
  int64_t ns = due - iz_now();
  if (ns < 0) ns = 0;
  if (ns > 3600 * IZ_SEC) ns = 3600 * IZ_SEC;
  struct timeval tv = {ns / IZ_SEC, (ns % IZ_SEC + IZ_US - 1) / IZ_US};
  event_add(&loop->tick, &tv);
}

/* ---- turns ---- */

static bool runnable(iz_loop *loop) {
  return loop->ready.head || loop->turn_end.head;
}

/* Virtual time: nothing to run and nothing coming back, so the next timer is due now. */
static bool jump(iz_loop *loop) {
  if (loop->busy || !loop->heap_len) return false;
  if (loop->is_pending && loop->is_pending(loop)) return false;
  int64_t ns = loop->heap[0]->due - iz_now();
  if (ns > 0) iz_clock_advance(ns);
  return true;
}

void iz_loop_ask_stuck(iz_loop *loop, void (*fn)(void *), void *ctx) {
  loop->stuck = fn;
  loop->stuck_ctx = ctx;
  loop->own_events = event_base_get_num_events(loop->base, EVENT_BASE_COUNT_ADDED);
}

static bool has_posted(iz_loop *loop) {
  pthread_mutex_lock(&loop->lock);
  bool has = loop->posted.head != NULL;
  pthread_mutex_unlock(&loop->lock);
  return has;
}

/* Nothing can ever wake anybody. */
static bool is_stuck(iz_loop *loop) {
  if (!loop->stuck || loop->heap_len || loop->busy || has_posted(loop)) return false;
  if (loop->is_pending && loop->is_pending(loop)) return false;
  return event_base_get_num_events(loop->base, EVENT_BASE_COUNT_ADDED) <= loop->own_events;
}

void iz_loop_turn(iz_loop *loop, bool wait) {
  queue_run(&loop->ready);
  fire_due(loop);
  queue_run(&loop->turn_end);
  if (loop->before_wait) loop->before_wait(loop->before_wait_ctx);
  if (loop->stopped) return;
  bool idle = wait && !runnable(loop) && loop->refs > 0;
  if (idle && iz_clock_is_virtual()) {
    event_base_loop(loop->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    idle =
        !runnable(loop) && loop->refs > 0 && !jump(loop); /* the events may have woken somebody */
  } else if (idle) {
    set_tick(loop);
  }
  if (idle && is_stuck(loop)) {
    loop->stuck(loop->stuck_ctx);
    return;
  }
  event_base_loop(loop->base, idle ? EVLOOP_ONCE : EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

bool iz_loop_run(iz_loop *loop) {
  loop->stopped = false;
  while (!loop->stopped && (loop->refs > 0 || runnable(loop))) iz_loop_turn(loop, true);
  return true;
}

void iz_loop_stop(iz_loop *loop) {
  loop->stopped = true;
  event_base_loopbreak(loop->base);
}

void iz_loop_ref(iz_loop *loop) {
  loop->refs++;
}
void iz_loop_unref(iz_loop *loop) {
  loop->refs--;
}
int iz_loop_refs(const iz_loop *loop) {
  return loop->refs;
}
void iz_loop_busy(iz_loop *loop, int delta) {
  loop->busy += delta;
}
void iz_loop_ask_pending(iz_loop *loop, bool (*is_pending)(iz_loop *)) {
  loop->is_pending = is_pending;
}
struct event_base *iz_loop_base(iz_loop *loop) {
  return loop->base;
}

/* ---- life ---- */

static struct event_base *new_base(void) {
  struct event_config *cfg = event_config_new();
  if (!cfg) return NULL;
  event_config_set_flag(cfg, EVENT_BASE_FLAG_NOLOCK);
  event_config_set_flag(cfg, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
  struct event_base *base = event_base_new_with_config(cfg);
  event_config_free(cfg);
  return base;
}

static void pass_log(int severity, const char *message) {
  iz_log(severity >= EVENT_LOG_ERR ? IZ_ERROR : IZ_DEBUG, "loop", "%s", message);
}

iz_loop *iz_loop_new(iz_err *err) {
  static bool hooked;
  if (!hooked) {
    event_set_mem_functions(iz_alloc, iz_realloc, iz_free);
    event_set_log_callback(pass_log);
  }
  hooked = true;
  iz_loop *loop = iz_calloc(1, sizeof *loop);
  if (!loop) return iz_fail_oom(err), NULL;
  queue_init(&loop->ready);
  queue_init(&loop->turn_end);
  queue_init(&loop->posted);
  pthread_mutex_init(&loop->lock, NULL);
  loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  loop->base = new_base();
  if (loop->wake_fd < 0 || !loop->base) {
    iz_fail(err, "loop", "cannot start the event loop");
    iz_loop_free(loop);
    return NULL;
  }
  event_assign(&loop->tick, loop->base, -1, 0, on_tick, loop);
  event_assign(&loop->wake, loop->base, loop->wake_fd, EV_READ | EV_PERSIST, take_posted, loop);
  /* libevent's own heap gets its one place now, so that setting the tick can never fail */
  struct timeval hour = {3600, 0};
  if (event_add(&loop->wake, NULL) != 0 || event_add(&loop->tick, &hour) != 0 ||
      event_del(&loop->tick) != 0) {
    iz_fail_oom(err);
    iz_loop_free(loop);
    return NULL;
  }
  return loop;
}

void iz_loop_free(iz_loop *loop) {
  if (!loop) return;
  if (loop->base) {
    if (event_initialized(&loop->tick)) event_del(&loop->tick);
    if (event_initialized(&loop->wake)) event_del(&loop->wake);
    event_base_free(loop->base);
  }
  if (loop->wake_fd >= 0) close(loop->wake_fd);
  pthread_mutex_destroy(&loop->lock);
  iz_free(loop->heap);
  iz_free(loop);
}
