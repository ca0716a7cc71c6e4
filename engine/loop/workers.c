/* workers.c -- see workers.h. */
#include "workers.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define FIRST_DELAY (100 * IZ_MS)
#define LAST_DELAY (5 * IZ_SEC)
#define DRAIN (30 * IZ_SEC)
#define GIVE_UP 5

typedef struct worker {
  pid_t pid;       /* 0: not running */
  int64_t started; /* iz_now() */
  int64_t due;     /* when to start it (again); 0: not to be started */
  int64_t delay;
  int failures; /* in a row, each within a second of its start */
} worker;

typedef struct crew {
  worker workers[IZ_WORKERS_MAX];
  int count;
  int (*child_main)(void *ctx, int index);
  void *ctx;
  sigset_t before; /* the signal mask of the start */
  int signal;      /* the one that asked us to stop */
  int64_t kill_at; /* when patience ends */
  int status;
} crew;

static void be_worker(crew *c, int index, pid_t parent) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent) _exit(1); /* it died before prctl */
  sigprocmask(SIG_SETMASK, &c->before, NULL);
  exit(c->child_main(c->ctx, index));
}

static void try_again(worker *w) {
  w->due = iz_now() + w->delay;
  w->delay = w->delay * 2 < LAST_DELAY ? w->delay * 2 : LAST_DELAY;
}

static void start(crew *c, int index) {
  worker *w = &c->workers[index];
  pid_t parent = getpid();
  pid_t pid = fork();
  if (pid == 0) be_worker(c, index, parent);
  if (pid < 0) {
    iz_log(IZ_ERROR, "workers", "cannot start worker %d: %s", index + 1, strerrordesc_np(errno));
    try_again(w);
    return;
  }
  w->pid = pid;
  w->due = 0;
  w->started = iz_now();
}

static void pass_on(crew *c, int sig) {
  for (int i = 0; i < c->count; i++)
    if (c->workers[i].pid) kill(c->workers[i].pid, sig);
}

static void stop(crew *c, int sig) {
  if (!c->signal) c->kill_at = iz_now() + DRAIN;
  c->signal = sig;
  for (int i = 0; i < c->count; i++) c->workers[i].due = 0;
  pass_on(c, sig);
}

static void note_end(crew *c, worker *w, int how) {
  int64_t lived = iz_now() - w->started;
  w->pid = 0;
  if (c->signal || (WIFEXITED(how) && WEXITSTATUS(how) == 0)) return;
  int status = WIFEXITED(how) ? WEXITSTATUS(how) : 128 + WTERMSIG(how);
  w->failures = lived < IZ_SEC ? w->failures + 1 : 1;
  if (lived > 10 * IZ_SEC) w->delay = FIRST_DELAY;
  iz_log(IZ_WARN, "workers", "worker %d ended with %s %d after %.1f s", (int)(w - c->workers) + 1,
         WIFEXITED(how) ? "status" : "signal", WIFEXITED(how) ? status : WTERMSIG(how),
         (double)lived / (double)IZ_SEC);
  if (w->failures < GIVE_UP) {
    try_again(w);
    return;
  }
  iz_log(IZ_ERROR, "workers", "worker %d failed %d times at its start: giving up",
         (int)(w - c->workers) + 1, GIVE_UP);
  c->status = status;
  stop(c, SIGTERM);
}

static void reap(crew *c) {
  int how;
  pid_t pid;
  while ((pid = waitpid(-1, &how, WNOHANG)) > 0)
    for (int i = 0; i < c->count; i++)
      if (c->workers[i].pid == pid) note_end(c, &c->workers[i], how);
}

/* Starts who is due. Returns the nanoseconds until the next thing to do; -1: nothing is left. */
static int64_t tend(crew *c) {
  int64_t now = iz_now(), next = INT64_MAX;
  bool any = false;
  for (int i = 0; i < c->count; i++) {
    worker *w = &c->workers[i];
    if (w->due && w->due <= now) start(c, i);
    if (w->due && w->due < next) next = w->due;
    any = any || w->pid || w->due;
  }
  if (!any) return -1;
  if (c->signal && c->kill_at <= now) {
    pass_on(c, SIGKILL);
    c->kill_at = INT64_MAX;
  }
  if (c->signal && c->kill_at < next) next = c->kill_at;
  return next == INT64_MAX ? 3600 * IZ_SEC : next > now ? next - now : 0;
}

static void wait_for_signal(crew *c, const sigset_t *set, int64_t ns) {
  struct timespec time = {ns / IZ_SEC, ns % IZ_SEC};
  int sig = sigtimedwait(set, NULL, &time);
  if (sig == SIGTERM || sig == SIGINT) stop(c, sig);
  if (sig == SIGHUP) pass_on(c, sig);
  reap(c);
}

int iz_workers_run(int n, int (*child_main)(void *ctx, int index), void *ctx) {
  crew c = {.count = n, .child_main = child_main, .ctx = ctx};
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGHUP);
  sigprocmask(SIG_BLOCK, &set, &c.before);
  for (int i = 0; i < n; i++) c.workers[i] = (worker){.due = 1, .delay = FIRST_DELAY};
  int64_t ns;
  while ((ns = tend(&c)) >= 0) wait_for_signal(&c, &set, ns);
  sigprocmask(SIG_SETMASK, &c.before, NULL);
  if (c.status) return c.status;
  return c.signal == SIGINT ? 130 : 0;
}
