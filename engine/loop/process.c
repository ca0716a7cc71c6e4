/* process.c -- child processes on the loop: see process.h.
 *
 * One struct a child: an input queue, two output streams, a pidfd watched for the exit, and one
 * timer that is first the grace before SIGKILL and, after the exit, the time that pipes held open
 * by others still get. A stopped child that lost its owner (`orphan`) frees itself when it is
 * reaped.
 */
#include "process.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "signals.h"
#include "spawn.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define READ_CHUNK 65536
#define READS_PER_EVENT 16 /* then others get their turn */
#define LINGER (500 * IZ_MS)

typedef struct stream {
  int fd; /* our end; -1: at its end, or no pipe */
  iz_process *owner;
  iz_buf buf;
  size_t off; /* bytes of buf already taken */
  size_t limit;
  iz_keep keep;
  struct event ev;
} stream;

struct iz_process {
  iz_loop *loop;
  pid_t pid;
  int pidfd;
  struct event exit_ev;
  stream out[2]; /* stdout, stderr */
  int in_fd;     /* -1: closed */
  iz_buf in;
  size_t in_off; /* bytes of `in` already written */
  bool in_ending;
  struct event in_ev;
  iz_timer timer;
  int status, sig;
  bool exited, stopping, lingered, orphan, oom;
  void (*on_change)(iz_process *, void *);
  void *ctx;
};

static void changed(iz_process *p) {
  if (p->on_change) p->on_change(p, p->ctx);
}

/* Also for events that were never set up: a start that failed half-way. */
static void unwatch(struct event *ev) {
  if (event_initialized(ev)) event_del(ev);
}

/* ---- output ---- */

static size_t held(const stream *s) {
  return s->buf.len - s->off;
}

static void end_stream(stream *s) {
  if (s->fd < 0) return;
  unwatch(&s->ev);
  close(s->fd);
  s->fd = -1;
}

static void out_of_memory(iz_process *p) {
  p->oom = true;
  iz_process_signal(p, SIGKILL);
  end_stream(&p->out[0]);
  end_stream(&p->out[1]);
}

static void drop(stream *s, size_t n) {
  s->off += n;
  if (s->off < s->buf.len) return;
  s->off = 0;
  iz_buf_clear(&s->buf);
}

static void compact(stream *s) {
  if (s->off < s->buf.len / 2) return;
  iz_buf_consume(&s->buf, s->off);
  s->off = 0;
}

static bool is_full(const stream *s) {
  return s->keep == IZ_KEEP_ALL && held(s) >= s->limit;
}

/* Reads once. False when there is nothing to read now, or no room, or the stream has ended. */
static bool read_once(stream *s) {
  iz_process *p = s->owner;
  if (s->fd < 0 || is_full(s)) return false;
  compact(s);
  if (!iz_buf_reserve(&s->buf, READ_CHUNK)) return out_of_memory(p), false;
  size_t want = s->buf.cap - s->buf.len;
  if (s->keep == IZ_KEEP_ALL && want > s->limit - held(s)) want = s->limit - held(s);
  ssize_t n = read(s->fd, s->buf.data + s->buf.len, want);
  if (n > 0) {
    s->buf.len += (size_t)n;
    if (held(s) > s->limit) drop(s, held(s) - s->limit);
    return true;
  }
  if (n < 0 && errno == EINTR) return true;
  if (n < 0 && errno == EAGAIN) return false;
  end_stream(s);
  return false;
}

static void read_some(stream *s) {
  for (int i = 0; i < READS_PER_EVENT && read_once(s); i++) {
  }
  if (s->fd >= 0 && is_full(s)) event_del(&s->ev);
}

/* Once the time after the exit is over, what the pipe holds now is the last. */
static void read_last(stream *s) {
  read_some(s);
  if (!is_full(s)) end_stream(s);
}

/* There may be room again: reading goes on. */
static void resume(stream *s) {
  if (s->fd < 0 || is_full(s)) return;
  if (s->owner->lingered) return read_last(s);
  if (event_pending(&s->ev, EV_READ, NULL)) return;
  if (event_add(&s->ev, NULL) != 0) out_of_memory(s->owner);
}

static void on_readable(evutil_socket_t fd, short what, void *arg) {
  (void)fd, (void)what;
  stream *s = arg;
  read_some(s);
  changed(s->owner);
}

const char *iz_process_held(const iz_process *p, int fd, size_t *len) {
  const stream *s = &p->out[fd - 1];
  *len = held(s);
  return *len ? s->buf.data + s->off : "";
}

void iz_process_take(iz_process *p, int fd, size_t n) {
  stream *s = &p->out[fd - 1];
  drop(s, n < held(s) ? n : held(s));
  resume(s);
}

bool iz_process_eof(const iz_process *p, int fd) {
  return p->out[fd - 1].fd < 0;
}

void iz_process_set_limit(iz_process *p, int fd, size_t limit) {
  p->out[fd - 1].limit = limit ? limit : 1;
  resume(&p->out[fd - 1]);
}

bool iz_process_out_of_memory(const iz_process *p) {
  return p->oom;
}

/* ---- input ---- */

static void close_input(iz_process *p) {
  if (p->in_fd >= 0) {
    unwatch(&p->in_ev);
    close(p->in_fd);
  }
  p->in_fd = -1;
  p->in_off = 0;
  iz_buf_free(&p->in);
}

size_t iz_process_unwritten(const iz_process *p) {
  return p->in.len - p->in_off;
}

/* Writes what the pipe takes; closes the input when the child has closed its end, or when all is
 * written and it was to end. */
static void write_some(iz_process *p) {
  while (iz_process_unwritten(p) > 0) {
    ssize_t n = write(p->in_fd, p->in.data + p->in_off, iz_process_unwritten(p));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n < 0) return close_input(p);
    p->in_off += (size_t)n;
  }
  p->in_off = 0;
  iz_buf_clear(&p->in);
  event_del(&p->in_ev);
  if (p->in_ending) close_input(p);
}

static void on_writable(evutil_socket_t fd, short what, void *arg) {
  (void)fd, (void)what;
  iz_process *p = arg;
  write_some(p);
  changed(p);
}

bool iz_process_write(iz_process *p, const void *data, size_t n, iz_err *err) {
  if (p->in_fd < 0 || p->in_ending)
    return iz_fail(err, "EPIPE", "exec: the input of process %d is closed", (int)p->pid);
  if (p->in_off > p->in.len / 2) {
    iz_buf_consume(&p->in, p->in_off);
    p->in_off = 0;
  }
  if (!iz_buf_add(&p->in, data, n)) {
    p->in.oom = false;
    return iz_fail_oom(err);
  }
  write_some(p);
  if (!iz_process_unwritten(p) || event_add(&p->in_ev, NULL) == 0) return true;
  return iz_fail_oom(err);
}

void iz_process_end_input(iz_process *p) {
  p->in_ending = true;
  if (!iz_process_unwritten(p)) close_input(p);
}

/* ---- the end ---- */

static void release(iz_process *p) {
  iz_timer_stop(p->loop, &p->timer);
  close_input(p);
  for (int i = 0; i < 2; i++) {
    end_stream(&p->out[i]);
    iz_buf_free(&p->out[i].buf);
  }
  iz_free(p);
}

static void end_lingering(iz_process *p) {
  p->lingered = true;
  read_last(&p->out[0]);
  read_last(&p->out[1]);
}

static void on_lingered(iz_timer *t) {
  iz_process *p = IZ_OUTER(t, iz_process, timer);
  end_lingering(p);
  changed(p);
}

static void kill_group(iz_timer *t) {
  iz_process_signal(IZ_OUTER(t, iz_process, timer), SIGKILL);
}

static void reap(iz_process *p) {
  siginfo_t info = {0};
  while (waitid(P_PIDFD, (id_t)p->pidfd, &info, WEXITED | WNOHANG) < 0 && errno == EINTR) {
  }
  bool by_signal = info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED;
  p->status = by_signal ? -1 : info.si_status;
  p->sig = by_signal ? info.si_status : 0;
}

static void on_exit_seen(evutil_socket_t fd, short what, void *arg) {
  (void)fd, (void)what;
  iz_process *p = arg;
  if (p->stopping)
    kill(-p->pid, SIGKILL); /* what ignored SIGTERM; the id is ours until the reaping */
  reap(p);
  p->exited = true;
  event_del(&p->exit_ev);
  close(p->pidfd);
  iz_timer_stop(p->loop, &p->timer);
  if (!p->stopping) iz_loop_busy(p->loop, -1);
  if (p->orphan) {
    iz_loop_unref(p->loop);
    return release(p);
  }
  close_input(p);
  read_some(&p->out[0]);
  read_some(&p->out[1]);
  if (!iz_process_finished(p) && !iz_timer_start(p->loop, &p->timer, LINGER, on_lingered))
    end_lingering(p);
  changed(p);
}

bool iz_process_exited(const iz_process *p, int *status, int *sig) {
  if (!p->exited) return false;
  *status = p->status;
  *sig = p->sig;
  return true;
}

bool iz_process_finished(const iz_process *p) {
  return p->exited && p->out[0].fd < 0 && p->out[1].fd < 0;
}

pid_t iz_process_pid(const iz_process *p) {
  return p->pid;
}

bool iz_process_signal(iz_process *p, int sig) {
  return !p->exited && kill(-p->pid, sig) == 0;
}

/* A child that is being stopped no longer counts as busy: under virtual time its grace passes at
 * once instead of never. */
void iz_process_stop(iz_process *p, int64_t grace_ns) {
  if (p->exited || p->stopping) return;
  p->stopping = true;
  iz_loop_busy(p->loop, -1);
  iz_process_signal(p, SIGTERM);
  iz_process_signal(p, SIGCONT); /* a stopped one could not die of it */
  if (!iz_timer_start(p->loop, &p->timer, grace_ns, kill_group)) iz_process_signal(p, SIGKILL);
}

void iz_process_free(iz_process *p) {
  if (!p) return;
  p->on_change = NULL;
  if (p->exited) return release(p);
  iz_process_stop(p, IZ_STOP_GRACE);
  close_input(p);
  end_stream(&p->out[0]);
  end_stream(&p->out[1]);
  p->orphan = true;
  iz_loop_ref(p->loop);
}

/* ---- the start ---- */

static void close_fd(int *fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

/* Moves fd above 2: the child's dup2 to 0, 1, 2 must not meet its own sources. */
static int above_stdio(int fd) {
  if (fd < 0 || fd > 2) return fd;
  int moved = fcntl(fd, F_DUPFD_CLOEXEC, 3);
  int saved = errno;
  close(fd);
  errno = saved;
  return moved;
}

static bool make_pipe(int *reader, int *writer) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return false;
  *reader = above_stdio(ends[0]);
  *writer = above_stdio(ends[1]);
  return *reader >= 0 && *writer >= 0;
}

/* Opens the child's side of stream i into *theirs and ours into *ours (-1 when there is none). */
static bool open_stdio(iz_stdio how, int i, int *theirs, int *ours) {
  *ours = -1;
  switch (how) {
  case IZ_STDIO_PIPE:
    if (!(i == 0 ? make_pipe(theirs, ours) : make_pipe(ours, theirs))) return false;
    return fcntl(*ours, F_SETFL, O_NONBLOCK) == 0;
  case IZ_STDIO_INHERIT:
    *theirs = fcntl(i, F_DUPFD_CLOEXEC, 3);
    if (*theirs >= 0 || errno != EBADF) break;
    /* ours is closed */
    /* fall through */
  default:
    *theirs = above_stdio(open("/dev/null", O_RDWR | O_CLOEXEC));
  }
  return *theirs >= 0;
}

static bool open_all(iz_process *p, const iz_process_opts *o, int theirs[3]) {
  if (!open_stdio(o->in, 0, &theirs[0], &p->in_fd)) return false;
  if (!open_stdio(o->out, 1, &theirs[1], &p->out[0].fd)) return false;
  if (o->err != IZ_STDIO_STDOUT) return open_stdio(o->err, 2, &theirs[2], &p->out[1].fd);
  theirs[2] = fcntl(theirs[1], F_DUPFD_CLOEXEC, 3);
  return theirs[2] >= 0;
}

/* Registers the descriptors; before the child starts, so that nothing can fail after. */
static bool watch_streams(iz_process *p) {
  struct event_base *base = iz_loop_base(p->loop);
  event_assign(&p->in_ev, base, p->in_fd, EV_WRITE | EV_PERSIST, on_writable, p);
  for (int i = 0; i < 2; i++) {
    stream *s = &p->out[i];
    event_assign(&s->ev, base, s->fd, EV_READ | EV_PERSIST, on_readable, s);
    if (s->fd >= 0 && event_add(&s->ev, NULL) != 0) return false;
  }
  return true;
}

static bool watch_exit(iz_process *p) {
  event_assign(&p->exit_ev, iz_loop_base(p->loop), p->pidfd, EV_READ | EV_PERSIST, on_exit_seen, p);
  return event_add(&p->exit_ev, NULL) == 0;
}

/* The exit cannot be watched (memory): ends the child here and now. */
static bool give_up(iz_process *p, iz_err *err) {
  kill(-p->pid, SIGKILL);
  siginfo_t info;
  while (waitid(P_PIDFD, (id_t)p->pidfd, &info, WEXITED) < 0 && errno == EINTR) {
  }
  close(p->pidfd);
  return iz_fail_oom(err);
}

static bool start(iz_process *p, const iz_process_opts *o, int theirs[3], iz_err *err) {
  if (!open_all(p, o, theirs))
    return iz_fail_errno(err, errno, "exec: cannot open pipes for \"%s\"", o->argv[0]);
  iz_spawn spawn = {.argv = o->argv, .env = o->env, .cwd = o->cwd};
  memcpy(spawn.fds, theirs, sizeof spawn.fds);
  if (!watch_streams(p)) return iz_fail_oom(err);
  if (!iz_spawn_start(&spawn, &p->pid, &p->pidfd, err)) return false;
  return watch_exit(p) || give_up(p, err);
}

static iz_process *new_process(iz_loop *loop, const iz_process_opts *o) {
  iz_process *p = iz_calloc(1, sizeof *p);
  if (!p) return NULL;
  p->loop = loop;
  p->in_fd = -1;
  p->on_change = o->on_change;
  p->ctx = o->ctx;
  for (int i = 0; i < 2; i++) {
    p->out[i].fd = -1;
    p->out[i].owner = p;
  }
  p->out[0].limit = o->limit ? o->limit : 1;
  p->out[1].limit = o->err_limit ? o->err_limit : 1;
  p->out[1].keep = o->keep_err;
  return p;
}

iz_process *iz_process_start(iz_loop *loop, const iz_process_opts *opts, iz_err *err) {
  iz_signals_no_sigpipe();
  iz_process *p = new_process(loop, opts);
  if (!p) return iz_fail_oom(err), NULL;
  int theirs[3] = {-1, -1, -1};
  bool ok = start(p, opts, theirs, err);
  for (int i = 0; i < 3; i++) close_fd(&theirs[i]);
  if (!ok) return release(p), NULL;
  iz_loop_busy(loop, 1);
  return p;
}
