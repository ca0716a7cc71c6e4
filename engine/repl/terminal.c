/* terminal.c -- raw mode, signals that must leave the terminal usable: see terminal.h. */
#include "terminal.h"

#include "loop/signals.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define PASTE_ON "\033[?2004h"
#define PASTE_OFF "\033[?2004l"

static const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGQUIT};
enum { FATAL = sizeof fatal / sizeof fatal[0] };

static int tty = -1, wake_fd = -1;
static struct termios found, raw; /* as at the start; as the line editor wants it */
static volatile sig_atomic_t is_raw;
static struct sigaction before[FATAL], before_stop, before_resize;
static struct event wake;
static void (*told)(void *);
static void *told_ctx;

/* Safe in a signal handler. */
static void put_modes(const struct termios *modes, const char *paste) {
  int saved = errno;
  tcsetattr(tty, TCSADRAIN, modes);
  ssize_t ignored = write(tty, paste, sizeof PASTE_ON - 1);
  (void)ignored;
  errno = saved;
}

void iz_terminal_restore(void) {
  if (!is_raw) return;
  is_raw = 0;
  put_modes(&found, PASTE_OFF);
}

void iz_terminal_is_raw(void) {
  if (is_raw || tcgetattr(tty, &raw) != 0) return;
  raw.c_iflag &=
      ~(tcflag_t)(ICRNL | INLCR | IXON); /* a paste keeps its line ends; Ctrl-S is a key */
  put_modes(&raw, PASTE_ON);
  is_raw = 1;
}

static void wake_loop(void) {
  int saved = errno;
  uint64_t one = 1;
  ssize_t ignored = write(wake_fd, &one, sizeof one);
  (void)ignored;
  errno = saved;
}

static void on_fatal(int sig) {
  iz_terminal_restore();
  for (int i = 0; i < FATAL; i++)
    if (fatal[i] == sig) sigaction(sig, &before[i], NULL);
  raise(sig);
}

static void on_stop(int sig) {
  (void)sig;
  bool was_raw = is_raw;
  iz_terminal_restore();
  raise(SIGSTOP);
  if (!was_raw) return;
  put_modes(&raw, PASTE_ON);
  is_raw = 1;
  wake_loop();
}

static void on_resize(int sig) {
  (void)sig;
  wake_loop();
}

static void on_wake(evutil_socket_t fd, short what, void *arg) {
  (void)what, (void)arg;
  uint64_t count;
  while (read(fd, &count, sizeof count) < 0 && errno == EINTR) {
  }
  told(told_ctx);
}

static void take_signals(void) {
  struct sigaction sa = {.sa_handler = on_fatal};
  for (int i = 0; i < FATAL; i++) sigaction(fatal[i], &sa, &before[i]);
  sa = (struct sigaction){.sa_handler = on_stop, .sa_flags = SA_RESTART};
  sigaction(SIGTSTP, &sa, &before_stop);
  sa.sa_handler = on_resize;
  sigaction(SIGWINCH, &sa, &before_resize);
  iz_signals_before_exit(iz_terminal_restore);
}

bool iz_terminal_open(iz_loop *loop, int fd, void (*changed)(void *), void *ctx, iz_err *err) {
  static bool at_exit;
  if (tcgetattr(fd, &found) != 0) return iz_fail_errno(err, errno, "standard input");
  wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (wake_fd < 0) return iz_fail_errno(err, errno, "terminal: cannot make an eventfd");
  event_assign(&wake, iz_loop_base(loop), wake_fd, EV_READ | EV_PERSIST, on_wake, NULL);
  if (event_add(&wake, NULL) != 0 || (!at_exit && atexit(iz_terminal_restore) != 0)) {
    close(wake_fd);
    return iz_fail_oom(err);
  }
  at_exit = true;
  tty = fd;
  told = changed;
  told_ctx = ctx;
  take_signals();
  return true;
}

void iz_terminal_close(void) {
  if (tty < 0) return;
  iz_terminal_restore();
  iz_signals_before_exit(NULL);
  for (int i = 0; i < FATAL; i++) sigaction(fatal[i], &before[i], NULL);
  sigaction(SIGTSTP, &before_stop, NULL);
  sigaction(SIGWINCH, &before_resize, NULL);
  event_del(&wake);
  close(wake_fd);
  tty = -1;
}

void iz_terminal_size(int *columns, int *rows) {
  struct winsize w;
  bool known = ioctl(tty, TIOCGWINSZ, &w) == 0;
  *columns = known && w.ws_col ? w.ws_col : 80;
  *rows = known && w.ws_row ? w.ws_row : 24;
}
