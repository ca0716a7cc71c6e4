/* loop.h -- the event loop: one a process, one thread.
 *
 * A turn of the loop: run what was deferred, fire due timers, wait for file descriptors (libevent).
 * All functions are for the loop's thread, except iz_loop_post. Time comes from base/clock.h; under
 * virtual time the loop jumps to the next timer as soon as nothing is runnable or
 * pending.
 *
 * Life: iz_loop_run returns when no reference is left (tasks and servers hold one each) or after
 * iz_loop_stop. Timers and descriptors alone do not keep a loop running.
 */
#ifndef IZ_LOOP_H
#define IZ_LOOP_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;
typedef struct iz_loop iz_loop;

iz_loop *iz_loop_new(iz_err *err);
/* Frees the loop. Nothing may be queued, pending or busy any more. */
void iz_loop_free(iz_loop *loop);
/* For `event_assign` on descriptors. Do not run it or set timeouts on it: use iz_timer. */
struct event_base *iz_loop_base(iz_loop *loop);

/* Runs until no references are left or iz_loop_stop. Returns false when libevent fails. */
bool iz_loop_run(iz_loop *loop);
/* One turn. `wait` allows it to sleep when nothing is runnable. */
void iz_loop_turn(iz_loop *loop, bool wait);
void iz_loop_stop(iz_loop *loop);

void iz_loop_ref(iz_loop *loop);
void iz_loop_unref(iz_loop *loop);
/* How many there are. */
int iz_loop_refs(const iz_loop *loop);
/* Counts work outside the loop that will come back (pool jobs, children); virtual time stands still
 * while there is any. */
void iz_loop_busy(iz_loop *loop, int delta);
/* Asked before virtual time passes: is anything else on its way? One a loop (HTTP). */
void iz_loop_ask_pending(iz_loop *loop, bool (*is_pending)(iz_loop *loop));

/* From now on fn is called instead of a wait that could never end: there are references, but no
 * timer, no descriptor that was not watched before this call, and nothing on its way from outside
 * the loop. It must end what is left. */
void iz_loop_ask_stuck(iz_loop *loop, void (*fn)(void *ctx), void *ctx);

/* ---- deferred calls: run on the next turn, in order ---- */

typedef struct iz_defer iz_defer;
struct iz_defer {
  iz_defer *next;
  void (*fn)(iz_defer *);
  bool queued;
};

/* Queues d (once: a second call before it ran does nothing). d is the caller's memory. */
void iz_loop_defer(iz_loop *loop, iz_defer *d);
/* Takes d out again if it is queued. O(queue). */
void iz_loop_undefer(iz_loop *loop, iz_defer *d);
/* The same from any thread: wakes the loop. */
void iz_loop_post(iz_loop *loop, iz_defer *d);

/* ---- end of turn: called once, after everything runnable ran and before the loop waits ---- */

/* Like iz_loop_defer, but for the end of this turn (group commit, flushing sockets). */
void iz_loop_at_turn_end(iz_loop *loop, iz_defer *d);

/* Called each turn just before the loop waits for descriptors; one a loop, NULL ends it. */
void iz_loop_before_wait(iz_loop *loop, void (*fn)(void *ctx), void *ctx);

/* ---- timers: a 4-ary heap; start and stop are O(log n), a million of them cost 8 MB of heap ----
 */

typedef struct iz_timer iz_timer;
struct iz_timer {
  int64_t due;            /* iz_now() time, nanoseconds */
  void (*fn)(iz_timer *); /* called once; may start the timer again or free it */
  uint32_t at;            /* place in the heap + 1; 0 = not running */
};

/* Starts (or restarts) t to fire in `ns` from now. Zero-initialise t first. False: out of memory.
 */
bool iz_timer_start(iz_loop *loop, iz_timer *t, int64_t ns, void (*fn)(iz_timer *));
/* Stops it if it runs. */
void iz_timer_stop(iz_loop *loop, iz_timer *t);
static inline bool iz_timer_running(const iz_timer *t) {
  return t->at != 0;
}

/* container_of for the intrusive structs above. */
#define IZ_OUTER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif
