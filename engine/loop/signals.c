/* signals.c -- handlers that only count and wake the loop: see signals.h. */
#include "signals.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <termios.h>
#include <unistd.h>

#define UNHEARD_MS 1000

static const int watched[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
enum { WATCHED = sizeof watched / sizeof watched[0] };

static atomic_int came[WATCHED]; /* since the loop last looked */
static atomic_int interrupts;    /* SIGINTs not answered */
static atomic_int unheard;       /* ms computed since the first of them */
static atomic_bool ending;       /* another watched signal came: there is no going back */
static struct sigaction before[WATCHED];
static bool taken[WATCHED];
static int wake_fd = -1;
static struct event wake_ev;
static void (*told)(void *, int);
static void *told_ctx;
static void (*volatile last_words)(void);

static bool output_is_broken(void) {
  struct pollfd out = {.fd = STDOUT_FILENO};
  return poll(&out, 1, 0) == 1 && (out.revents & POLLERR);
}

static void on_signal(int sig) {
  int saved = errno;
  if (sig == SIGPIPE) {
    bool ends = wake_fd >= 0 && output_is_broken() && !atomic_load(&ending);
    errno = saved;
    if (!ends) return;
  }
  if (sig == SIGINT && atomic_fetch_add(&interrupts, 1) > 0) {
    if (last_words) last_words();
    _exit(130);
  }
  if (sig != SIGINT) atomic_store(&ending, true);
  for (int i = 0; i < WATCHED; i++)
    if (watched[i] == sig) atomic_store(&came[i], 1);
  uint64_t one = 1;
  ssize_t ignored = write(wake_fd, &one, sizeof one);
  (void)ignored;
  errno = saved;
}

void iz_signals_deliver(void) {
  for (int i = 0; i < WATCHED; i++)
    if (atomic_exchange(&came[i], 0)) told(told_ctx, watched[i]);
}

static void on_wake(evutil_socket_t fd, short what, void *arg) {
  (void)what, (void)arg;
  uint64_t count;
  while (read(fd, &count, sizeof count) < 0 && errno == EINTR) {
  }
  iz_signals_deliver();
}

static void take(int i) {
  sigaction(watched[i], NULL, &before[i]);
  if (before[i].sa_handler == SIG_IGN && watched[i] != SIGTERM) return;
  struct sigaction mine = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  taken[i] = sigaction(watched[i], &mine, NULL) == 0;
}

bool iz_signals_start(iz_loop *loop, void (*fn)(void *ctx, int sig), void *ctx, iz_err *err) {
  wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (wake_fd < 0) return iz_fail_errno(err, errno, "signals: cannot make an eventfd");
  event_assign(&wake_ev, iz_loop_base(loop), wake_fd, EV_READ | EV_PERSIST, on_wake, NULL);
  if (event_add(&wake_ev, NULL) != 0) {
    close(wake_fd);
    wake_fd = -1;
    return iz_fail_oom(err);
  }
  told = fn;
  told_ctx = ctx;
  for (int i = 0; i < WATCHED; i++) take(i);
  return true;
}

void iz_signals_stop(void) {
  if (wake_fd < 0) return;
  for (int i = 0; i < WATCHED; i++) {
    if (taken[i]) sigaction(watched[i], &before[i], NULL);
    taken[i] = false;
    atomic_store(&came[i], 0);
  }
  atomic_store(&interrupts, 0);
  atomic_store(&ending, false);
  event_del(&wake_ev);
  close(wake_fd);
  wake_fd = -1;
}

void iz_signals_answered(void) {
  atomic_store(&unheard, 0);
  atomic_store(&interrupts, 0);
}

bool iz_signals_stop_asked(void) {
  return atomic_load(&interrupts) > 0 || atomic_load(&ending);
}

void iz_signals_computed(int ms) {
  if (atomic_load(&interrupts) == 0) {
    atomic_store(&unheard, 0);
    return;
  }
  static const char hint[] = "\nCtrl-C again ends the program\n";
  struct termios terminal;
  int before_it = atomic_fetch_add(&unheard, ms);
  bool now = before_it < UNHEARD_MS && before_it + ms >= UNHEARD_MS;
  if (!now || tcgetattr(STDERR_FILENO, &terminal) != 0) return;
  ssize_t ignored = write(STDERR_FILENO, hint, sizeof hint - 1);
  (void)ignored;
}

void iz_signals_before_exit(void (*fn)(void)) {
  last_words = fn;
}

void iz_signals_no_sigpipe(void) {
  struct sigaction now;
  if (sigaction(SIGPIPE, NULL, &now) != 0 || now.sa_handler != SIG_DFL) return;
  struct sigaction mine = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  sigaction(SIGPIPE, &mine, NULL);
}
