/* appender.c -- see appender.h.
 *
 * Two buffers: lines gather in one while a pool job writes the other. A descriptor that is no
 * regular file is polled before each write of at most PIPE_BUF bytes, so that the job comes back
 * soon when nobody reads; a timer tries again.
 */
#include "appender.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "loop/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
  KEPT_MAX = 1024 * 1024,  /* bytes that may wait */
  KEEP_BUFFER = 64 * 1024, /* an emptied buffer larger than this is given back */
  PATIENCE_MS = 50,        /* of a job with a reader that does not read */
  LAST_PATIENCE_MS = 1000, /* of the close */
  JOB_WAIT_S = 2,          /* what the close gives a job that runs */
};
#define RETRY_NS (100 * IZ_MS)

struct iz_appender {
  LIST_ENTRY(iz_appender) all;
  iz_loop *loop;
  int fd;
  bool regular;
  iz_buf waiting, writing; /* `writing` is the job's while it runs */
  size_t at;               /* written of `writing` */
  bool torn;               /* the last byte written did not end a line */
  bool handed, closed;     /* handed: job_back is to come */
  iz_job job;
  iz_defer turn_end;
  iz_timer retry;
  pthread_mutex_t lock;
  pthread_cond_t ended;
  bool running; /* under the lock */
};

static LIST_HEAD(, iz_appender) all = LIST_HEAD_INITIALIZER(all);

static void hand_over(iz_appender *a);

/* ---- writing, on any thread ---- */

static bool takes_more(const iz_appender *a, int patience_ms) {
  struct pollfd p = {.fd = a->fd, .events = POLLOUT};
  return a->regular || poll(&p, 1, patience_ms) > 0;
}

/* One write of what comes next: the rest of `writing`, or first the end of a line that was torn
 * when what stood behind it was lost. */
static ssize_t write_some(iz_appender *a) {
  if (a->at == 0 && a->torn) {
    ssize_t n = write(a->fd, "\n", 1);
    a->torn = n != 1;
    if (n != 1) return n;
  }
  size_t n = a->writing.len - a->at;
  if (!a->regular && n > PIPE_BUF) n = PIPE_BUF;
  return write(a->fd, a->writing.data + a->at, n);
}

/* Writes what `writing` holds, as far as it can be written within the patience. */
static void push(iz_appender *a, int patience_ms) {
  while (a->at < a->writing.len && takes_more(a, patience_ms)) {
    ssize_t n = write_some(a);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    if (n > 0) {
      a->at += (size_t)n;
      a->torn = a->writing.data[a->at - 1] != '\n';
    } else {
      a->at = a->writing.len; /* a full disk must not stop the service */
    }
  }
}

static void run(iz_job *job) {
  iz_appender *a = IZ_OUTER(job, iz_appender, job);
  push(a, PATIENCE_MS);
  pthread_mutex_lock(&a->lock);
  a->running = false;
  pthread_cond_signal(&a->ended);
  pthread_mutex_unlock(&a->lock);
}

/* ---- on the loop ---- */

static void destroy(iz_appender *a) {
  close(a->fd);
  iz_buf_free(&a->waiting);
  iz_buf_free(&a->writing);
  pthread_mutex_destroy(&a->lock);
  pthread_cond_destroy(&a->ended);
  iz_free(a);
}

static void try_again(iz_timer *t) {
  hand_over(IZ_OUTER(t, iz_appender, retry));
}

static void job_done(iz_job *job) {
  iz_appender *a = IZ_OUTER(job, iz_appender, job);
  a->handed = false;
  if (a->closed)
    destroy(a);
  else if (a->at == a->writing.len)
    hand_over(a);
  else
    iz_timer_start(a->loop, &a->retry, RETRY_NS, try_again);
}

/* Makes what waits the next to be written, when all before it is. */
static void take_waiting(iz_appender *a) {
  if (a->at < a->writing.len) return;
  iz_buf spare = a->writing;
  iz_buf_clear(&spare);
  if (spare.cap > KEEP_BUFFER) iz_buf_free(&spare);
  a->writing = a->waiting;
  a->waiting = spare;
  a->at = 0;
}

static void hand_over(iz_appender *a) {
  if (a->handed) return;
  take_waiting(a);
  if (a->at == a->writing.len) return;
  a->running = a->handed = true;
  if (iz_pool_submit(a->loop, &a->job)) return;
  a->running = a->handed = false;
  iz_timer_start(a->loop, &a->retry, RETRY_NS, try_again);
}

static void turn_ends(iz_defer *d) {
  hand_over(IZ_OUTER(d, iz_appender, turn_end));
}

bool iz_appender_add(iz_appender *a, const char *lines, size_t n) {
  if (n > KEPT_MAX - a->waiting.len) return false;
  if (!iz_buf_reserve(&a->waiting, n)) {
    a->waiting.oom = false;
    return false;
  }
  iz_buf_add(&a->waiting, lines, n);
  if (!iz_timer_running(&a->retry)) iz_loop_at_turn_end(a->loop, &a->turn_end);
  return true;
}

/* ---- the end ---- */

/* Waits for a job that runs, then writes the rest here. */
static void finish(iz_appender *a) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += JOB_WAIT_S;
  pthread_mutex_lock(&a->lock);
  while (a->running && pthread_cond_timedwait(&a->ended, &a->lock, &until) == 0) {
  }
  bool stuck = a->running;
  pthread_mutex_unlock(&a->lock);
  if (stuck) return;
  push(a, LAST_PATIENCE_MS);
  take_waiting(a);
  push(a, LAST_PATIENCE_MS);
}

/* exit() while appenders live: os.exit, a task that ends the program. */
static void finish_all(void) {
  iz_appender *a;
  LIST_FOREACH(a, &all, all) finish(a);
}

void iz_appender_close(iz_appender *a) {
  if (!a) return;
  LIST_REMOVE(a, all);
  iz_timer_stop(a->loop, &a->retry);
  iz_loop_undefer(a->loop, &a->turn_end);
  finish(a);
  a->closed = true;
  if (!a->handed) destroy(a);
}

iz_appender *iz_appender_new(iz_loop *loop, int fd, iz_err *err) {
  static bool hooked;
  iz_appender *a = iz_calloc(1, sizeof *a);
  if (!a) return iz_fail_oom(err), NULL;
  a->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  struct stat st;
  if (a->fd < 0 || fstat(a->fd, &st) != 0) {
    iz_fail_errno(err, errno, "log");
    if (a->fd >= 0) close(a->fd);
    iz_free(a);
    return NULL;
  }
  a->loop = loop;
  a->regular = S_ISREG(st.st_mode);
  a->job = (iz_job){.run = run, .done = job_done};
  a->turn_end.fn = turn_ends;
  pthread_mutex_init(&a->lock, NULL);
  pthread_cond_init(&a->ended, NULL);
  if (!hooked) hooked = atexit(finish_all) == 0;
  LIST_INSERT_HEAD(&all, a, all);
  return a;
}
