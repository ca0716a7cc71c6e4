/* task.h -- tasks, waits and scopes: structured concurrency on the loop, without knowing Lua.
 *
 * A task is something the scheduler can resume (`step`); how it suspends is its own business (a Lua
 * coroutine, see vm/). While suspended it waits for exactly one iz_wait. Whoever completes the
 * operation calls iz_wait_done; whoever cancels the task makes the scheduler call `wait->cancel`,
 * which must detach the operation at once: after it returned, nobody touches the wait or the task
 * for that operation again. What waits can be cancelled, by construction.
 *
 * Every task lives in a scope, every scope belongs to a task (or is a root). A scope that closes
 * cancels its tasks or waits for them; no task outlives its scope.
 */
#ifndef IZ_TASK_H
#define IZ_TASK_H

#include "loop/loop.h"

typedef struct iz_task iz_task;
typedef struct iz_scope iz_scope;
typedef struct iz_wait iz_wait;

struct iz_wait {
  iz_task *task;             /* who waits; NULL when nobody does */
  void (*cancel)(iz_wait *); /* detach the operation; never calls back */
  void (*ask)(iz_wait *);    /* if set, called instead: the operation cannot be left alone (a queued
                                write, a scope with living children); it is asked to end soon and
                                iz_wait_done still comes */
};

/* The operation is over: its task is queued to run. Does nothing when nobody waits. */
void iz_wait_done(iz_wait *w);

/* Tasks that wait for one condition, woken in order. */
typedef struct iz_waiter iz_waiter;
typedef struct iz_waitlist {
  iz_waiter *head, *tail;
} iz_waitlist;
struct iz_waiter {
  iz_wait wait;
  iz_waiter *prev, *next;
  iz_waitlist *list; /* NULL: in none */
};

/* Enters w at the end; cancelling the wait takes it out again. A zeroed list is an empty one. */
void iz_waitlist_add(iz_waitlist *list, iz_waiter *w);
void iz_waitlist_remove(iz_waiter *w);
/* Wakes the first (returns it, NULL when there is none) or all. */
iz_waiter *iz_waitlist_wake_one(iz_waitlist *list);
void iz_waitlist_wake_all(iz_waitlist *list);

struct iz_scope {
  iz_task *owner; /* NULL for a root scope */
  iz_task *first; /* its living tasks */
  iz_waitlist empty;
  iz_task *failure; /* the first that failed and was not joined; for the layer above */
  uint32_t lasting; /* its living tasks that are no daemons */
  bool cancelled;   /* tasks spawned into it start cancelled */
  bool closing;     /* its body is over */
  bool fail_fast;   /* a failure cancels the rest */
};

enum {
  IZ_TASK_CANCELLED = 1,   /* every unshielded wait fails */
  IZ_TASK_EXPIRED = 2,     /* the shield's time is over: every wait fails */
  IZ_TASK_INTERRUPTED = 4, /* the last wait was cancelled, not completed */
  IZ_TASK_DONE = 8,
  IZ_TASK_DAEMON = 16, /* keeps neither the loop nor its scope: once the scope's body is over and
                          only daemons are left, they are cancelled */
};

struct iz_task {
  iz_defer queue; /* its place on the run queue */
  iz_loop *loop;
  void (*step)(iz_task *);     /* resumes it; called only from the loop */
  bool (*shielded)(iz_task *); /* is its present wait inside a <close>? NULL: never */
  iz_scope *scope;             /* where it lives */
  iz_task *prev, *next;        /* in its scope */
  iz_wait *wait;               /* what it waits for; NULL when running or runnable */
  iz_scope *inner;             /* its innermost open scope: where it spawns */
  iz_scope own;                /* its own outermost scope */
  iz_waitlist joiners;         /* who waits for its end */
  iz_timer shield;             /* how long <close> may still wait */
  uint64_t id;
  uint32_t flags;
};

/* Sets up a zeroed task in `scope` and queues its first step. Holds a loop reference until done
 * unless `flags` has IZ_TASK_DAEMON. */
void iz_task_start(iz_loop *loop, iz_task *t, iz_scope *scope, void (*step)(iz_task *),
                   uint32_t flags);
/* Puts it on the run queue (a preempted task, for example). */
void iz_task_queue(iz_task *t);
/* Begins a wait; the caller suspends right after. w->cancel must be set. */
void iz_task_wait(iz_task *t, iz_wait *w);
/* Asks it to stop: its present wait, unless shielded, is cancelled and it is queued; every later
 * wait outside a shield fails. From then on shields last 5 s in all. */
void iz_task_cancel(iz_task *t);
/* True when a wait must fail now. */
bool iz_task_must_stop(const iz_task *t, bool shielded);
/* The body is over: leaves its scope, wakes its joiners. The memory stays the caller's. */
void iz_task_done(iz_task *t);

void iz_scope_init(iz_scope *s, iz_task *owner);
/* Nothing more begins in it but by its own tasks: daemons go when the others have gone. */
void iz_scope_close(iz_scope *s);
/* Cancels every task in it, and those spawned into it later. */
void iz_scope_cancel(iz_scope *s);
static inline bool iz_scope_is_empty(const iz_scope *s) {
  return s->first == NULL;
}

#endif
