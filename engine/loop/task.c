/* task.c -- the scheduler's bookkeeping: see task.h. */
#include "task.h"

#include "base/clock.h"

#define SHIELD_NS (5 * IZ_SEC)

/* ---- waits ---- */

void iz_task_wait(iz_task *t, iz_wait *w) {
  t->flags &= ~(uint32_t)IZ_TASK_INTERRUPTED;
  w->task = t;
  t->wait = w;
}

void iz_task_queue(iz_task *t) {
  iz_loop_defer(t->loop, &t->queue);
}

static void end_wait(iz_task *t) {
  t->wait->task = NULL;
  t->wait = NULL;
  iz_task_queue(t);
}

void iz_wait_done(iz_wait *w) {
  if (w->task) end_wait(w->task);
}

static void cancel_wait(iz_task *t) {
  iz_wait *w = t->wait;
  if (!w) return;
  if (w->ask) {
    w->ask(w);
    return;
  }
  w->cancel(w);
  t->flags |= IZ_TASK_INTERRUPTED;
  end_wait(t);
}

void iz_waitlist_remove(iz_waiter *w) {
  iz_waitlist *list = w->list;
  if (!list) return;
  if (w->prev)
    w->prev->next = w->next;
  else
    list->head = w->next;
  if (w->next)
    w->next->prev = w->prev;
  else
    list->tail = w->prev;
  w->list = NULL;
}

static void cancel_waiter(iz_wait *wait) {
  iz_waitlist_remove(IZ_OUTER(wait, iz_waiter, wait));
}

void iz_waitlist_add(iz_waitlist *list, iz_waiter *w) {
  w->wait.cancel = cancel_waiter;
  w->list = list;
  w->prev = list->tail;
  w->next = NULL;
  if (list->tail)
    list->tail->next = w;
  else
    list->head = w;
  list->tail = w;
}

iz_waiter *iz_waitlist_wake_one(iz_waitlist *list) {
  iz_waiter *w = list->head;
  if (!w) return NULL;
  iz_waitlist_remove(w);
  iz_wait_done(&w->wait);
  return w;
}

void iz_waitlist_wake_all(iz_waitlist *list) {
  while (iz_waitlist_wake_one(list)) {
  }
}

/* ---- tasks ---- */

static void run_step(iz_defer *d) {
  iz_task *t = IZ_OUTER(d, iz_task, queue);
  t->step(t);
}

void iz_task_start(iz_loop *loop, iz_task *t, iz_scope *scope, void (*step)(iz_task *),
                   uint32_t flags) {
  static uint64_t last_id;
  t->id = ++last_id;
  t->loop = loop;
  t->queue.fn = run_step;
  t->step = step;
  t->flags = flags;
  iz_scope_init(&t->own, t);
  t->inner = &t->own;
  t->scope = scope;
  t->prev = NULL;
  t->next = scope->first;
  if (t->next) t->next->prev = t;
  scope->first = t;
  if (!(flags & IZ_TASK_DAEMON)) {
    iz_loop_ref(loop);
    scope->lasting++;
  }
  iz_task_queue(t);
  if (scope->cancelled) iz_task_cancel(t);
}

static void shield_over(iz_timer *timer) {
  iz_task *t = IZ_OUTER(timer, iz_task, shield);
  t->flags |= IZ_TASK_EXPIRED;
  cancel_wait(t);
}

void iz_task_cancel(iz_task *t) {
  if (t->flags & (IZ_TASK_CANCELLED | IZ_TASK_DONE)) return;
  t->flags |= IZ_TASK_CANCELLED;
  /* Without a timer there is no shield: better stopped hard than never. */
  if (!iz_timer_start(t->loop, &t->shield, SHIELD_NS, shield_over)) t->flags |= IZ_TASK_EXPIRED;
  if (t->wait && !(t->shielded && t->shielded(t))) cancel_wait(t);
}

bool iz_task_must_stop(const iz_task *t, bool shielded) {
  if (!(t->flags & IZ_TASK_CANCELLED)) return false;
  return !shielded || (t->flags & IZ_TASK_EXPIRED);
}

static void cancel_all(iz_scope *s) {
  for (iz_task *t = s->first, *next; t; t = next) {
    next = t->next;
    iz_task_cancel(t);
  }
}

void iz_task_done(iz_task *t) {
  t->flags |= IZ_TASK_DONE;
  iz_timer_stop(t->loop, &t->shield);
  iz_loop_undefer(t->loop, &t->queue);
  iz_scope *scope = t->scope;
  if (t->prev)
    t->prev->next = t->next;
  else
    scope->first = t->next;
  if (t->next) t->next->prev = t->prev;
  t->scope = NULL;
  iz_waitlist_wake_all(&t->joiners);
  if (iz_scope_is_empty(scope)) iz_waitlist_wake_all(&scope->empty);
  if (t->flags & IZ_TASK_DAEMON) return;
  iz_loop_unref(t->loop);
  if (--scope->lasting == 0 && scope->closing) cancel_all(scope);
}

/* ---- scopes ---- */

void iz_scope_init(iz_scope *s, iz_task *owner) {
  *s = (iz_scope){.owner = owner};
}

void iz_scope_close(iz_scope *s) {
  s->closing = true;
  if (!s->lasting) cancel_all(s);
}

void iz_scope_cancel(iz_scope *s) {
  s->cancelled = true;
  cancel_all(s);
}
