/* watch.c -- inotify on the loop: see watch.h.
 *
 * While a scan is on the pool, events stay in the kernel's queue: they may name folders whose watch
 * the scan has just added and that we do not know yet. A watch that is stopped during a scan, or by
 * one of its own callbacks, is freed when that is over.
 */
#include "watch.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "pool.h"
#include "watch_scan.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define READS_PER_EVENT 8
#define LOOK_AGAIN INT64_C(250000000) /* ns between two looks for a root that is gone */

typedef struct dir {
  int32_t wd;
  char *path;
} dir;

struct iz_watch {
  iz_loop *loop;
  iz_watch_opts opts;
  char *root; /* the folder watched: opts.path, or the one the file really lies in */
  char *file; /* the file's name there; NULL: a folder is watched */
  bool ready, stopped, scanning;
  bool whole;    /* the next scan starts at the root */
  bool gone;     /* the root is not there */
  int callbacks; /* running */
  int fd;
  struct event ev;
  dir *dirs; /* by wd, ascending: the kernel counts them up */
  size_t dir_count, dir_cap;
  iz_changes *changes;
  iz_timer timer; /* the next change is due */
  iz_timer again; /* the root is gone: has it come back? */
  iz_buf pending; /* folders to scan next: paths, each with its NUL */
  iz_job job;
  iz_scan scan;
};

static void begin_scan(iz_watch *w);

/* ---- the table of watched folders ---- */

/* Where wd is, or belongs. */
static size_t place_of(const iz_watch *w, int32_t wd) {
  size_t low = 0, high = w->dir_count;
  while (low < high) {
    size_t mid = low + (high - low) / 2;
    if (w->dirs[mid].wd < wd)
      low = mid + 1;
    else
      high = mid;
  }
  return low;
}

static dir *find_dir(iz_watch *w, int32_t wd) {
  size_t i = place_of(w, wd);
  return i < w->dir_count && w->dirs[i].wd == wd ? &w->dirs[i] : NULL;
}

static bool grow_dirs(iz_watch *w) {
  if (w->dir_count < w->dir_cap) return true;
  size_t cap = w->dir_cap ? w->dir_cap * 2 : 16;
  dir *dirs = iz_realloc(w->dirs, cap * sizeof *dirs);
  if (!dirs) return false;
  w->dirs = dirs;
  w->dir_cap = cap;
  return true;
}

static bool put_dir(iz_watch *w, int32_t wd, const char *path) {
  char *copy = iz_strdup(path);
  if (!copy) return false;
  dir *known = find_dir(w, wd);
  if (known) {
    iz_free(known->path);
    known->path = copy;
    return true;
  }
  if (!grow_dirs(w)) return iz_free(copy), false;
  size_t i = place_of(w, wd);
  memmove(&w->dirs[i + 1], &w->dirs[i], (w->dir_count - i) * sizeof *w->dirs);
  w->dirs[i] = (dir){wd, copy};
  w->dir_count++;
  return true;
}

static void drop_dir(iz_watch *w, dir *d) {
  iz_free(d->path);
  size_t i = (size_t)(d - w->dirs);
  w->dir_count--;
  memmove(d, d + 1, (w->dir_count - i) * sizeof *d);
}

/* `path` was moved away: nothing below it is watched any more. */
static void drop_tree(iz_watch *w, const char *path) {
  size_t n = strlen(path);
  for (size_t i = w->dir_count; i-- > 0;) {
    dir *d = &w->dirs[i];
    if (strncmp(d->path, path, n) != 0 || (d->path[n] != '/' && d->path[n] != 0)) continue;
    inotify_rm_watch(w->fd, d->wd);
    drop_dir(w, d);
  }
}

/* ---- life ---- */

static void release(iz_watch *w) {
  if (event_initialized(&w->ev)) event_del(&w->ev);
  if (w->fd >= 0) close(w->fd);
  iz_timer_stop(w->loop, &w->timer);
  iz_timer_stop(w->loop, &w->again);
  for (size_t i = 0; i < w->dir_count; i++) iz_free(w->dirs[i].path);
  iz_free(w->dirs);
  iz_free(w->root);
  iz_free(w->file);
  iz_free((char *)w->opts.path);
  iz_changes_free(w->changes);
  iz_buf_free(&w->pending);
  iz_scan_free(&w->scan);
  iz_free(w);
}

static void release_if_over(iz_watch *w) {
  if (w->stopped && !w->scanning && !w->callbacks) release(w);
}

void iz_watch_stop(iz_watch *w) {
  if (!w) return;
  w->stopped = true;
  event_del(&w->ev);
  iz_timer_stop(w->loop, &w->timer);
  iz_timer_stop(w->loop, &w->again);
  release_if_over(w);
}

/* ---- telling ---- */

static void tell(iz_watch *w, const iz_change *change) {
  if (w->file && change->path && strcmp(change->path, w->opts.path) != 0) return;
  iz_change c = *change;
  if (!c.path) c.path = w->opts.path;
  w->opts.on_change(w->opts.ctx, &c);
}

static void set_timer(iz_watch *w);

static void on_due(iz_timer *t) {
  iz_watch *w = IZ_OUTER(t, iz_watch, timer);
  iz_change change;
  w->callbacks++;
  while (!w->stopped && iz_changes_pop(w->changes, iz_now(), &change)) tell(w, &change);
  w->callbacks--;
  set_timer(w);
  release_if_over(w);
}

static void set_timer(iz_watch *w) {
  int64_t due = iz_changes_due(w->changes);
  if (w->stopped || due == INT64_MAX) return;
  if (!iz_timer_start(w->loop, &w->timer, due - iz_now(), on_due))
    iz_log(IZ_WARN, "watch", "a change of \"%s\" is told late: out of memory", w->opts.path);
}

/* ---- events ---- */

static void scan_later(iz_watch *w, const char *path) {
  if (!iz_buf_add(&w->pending, path, strlen(path) + 1)) {
    iz_buf_clear(&w->pending);
    iz_changes_lost(w->changes, iz_now());
  }
}

/* A folder that is removed and made again (a checkout, a deployment) is another one to the kernel.
 */
static void look_again(iz_timer *t) {
  iz_watch *w = IZ_OUTER(t, iz_watch, again);
  if (w->scanning || access(w->root, F_OK) != 0) {
    iz_timer_start(w->loop, t, LOOK_AGAIN, look_again);
    return;
  }
  w->whole = true;
  begin_scan(w);
}

static bool is_watched(const iz_watch *w, const char *path) {
  for (size_t i = 0; i < w->dir_count; i++)
    if (!strcmp(w->dirs[i].path, path)) return true;
  return false;
}

/* What happened to it meanwhile, nobody saw. */
static void came_back(iz_watch *w) {
  w->gone = !is_watched(w, w->root);
  if (w->gone)
    iz_timer_start(w->loop, &w->again, LOOK_AGAIN, look_again);
  else
    iz_changes_lost(w->changes, iz_now());
}

static void root_is_gone(iz_watch *w) {
  w->gone = true;
  drop_tree(w, w->root);
  if (!w->file) iz_changes_add(w->changes, iz_now(), IZ_RAW_GONE, w->opts.path, 0);
  if (!iz_timer_start(w->loop, &w->again, LOOK_AGAIN, look_again))
    iz_log(IZ_WARN, "watch", "\"%s\" is not watched any more: out of memory", w->opts.path);
}

static iz_raw_event raw_of(uint32_t mask) {
  if (mask & IN_MOVED_FROM) return IZ_RAW_LEFT;
  if (mask & IN_MOVED_TO) return IZ_RAW_CAME;
  if (mask & IN_DELETE) return IZ_RAW_GONE;
  if (mask & IN_CREATE) return IZ_RAW_BORN;
  return mask & IN_CLOSE_WRITE ? IZ_RAW_SAVED : IZ_RAW_WRITING;
}

static void on_folder(iz_watch *w, const struct inotify_event *e, const char *path) {
  if (e->mask & (IN_MOVED_FROM | IN_DELETE)) drop_tree(w, path);
  if (!(e->mask & (IN_CREATE | IN_MOVED_TO))) return;
  if (e->mask & IN_CREATE) iz_changes_add(w->changes, iz_now(), IZ_RAW_SAVED, path, 0);
  if (w->opts.recursive && e->name[0] != '.') scan_later(w, path);
}

static void on_named(iz_watch *w, const struct inotify_event *e, const dir *d) {
  char path[PATH_MAX];
  if (!iz_scan_join(path, d->path, e->name)) return;
  bool is_file = w->file && strcmp(e->name, w->file) == 0;
  iz_changes_add(w->changes, iz_now(), raw_of(e->mask), is_file ? w->opts.path : path, e->cookie);
  if (e->mask & IN_ISDIR) on_folder(w, e, path);
}

static void on_event(iz_watch *w, const struct inotify_event *e) {
  if (e->mask & IN_Q_OVERFLOW) {
    iz_changes_lost(w->changes, iz_now());
    w->whole = true;
    return;
  }
  dir *d = find_dir(w, e->wd);
  if (!d) return;
  bool root = strcmp(d->path, w->root) == 0;
  if (e->mask & (IN_DELETE_SELF | IN_MOVE_SELF)) {
    if (root) root_is_gone(w);
  } else if (e->mask & IN_IGNORED) {
    drop_dir(w, d);
  } else if (e->len) {
    on_named(w, e, d);
  }
}

static void take_events(iz_watch *w) {
  _Alignas(struct inotify_event) char buf[16384];
  for (int i = 0; i < READS_PER_EVENT; i++) {
    ssize_t n = read(w->fd, buf, sizeof buf);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    for (char *p = buf; p < buf + n;) {
      struct inotify_event *e = (struct inotify_event *)(void *)p;
      on_event(w, e);
      p += sizeof *e + e->len;
    }
  }
}

static void on_readable(evutil_socket_t fd, short what, void *arg) {
  (void)fd, (void)what;
  iz_watch *w = arg;
  take_events(w);
  set_timer(w);
  if (w->pending.len || w->whole) begin_scan(w);
}

/* ---- scanning ---- */

static void run_scan(iz_job *job) {
  iz_scan_run(&IZ_OUTER(job, iz_watch, job)->scan);
}

static bool keep_dirs(iz_watch *w) {
  const iz_buf *b = &w->scan.dirs;
  for (size_t at = 0; at < b->len;) {
    int32_t wd;
    memcpy(&wd, b->data + at, sizeof wd);
    const char *path = b->data + at + sizeof wd;
    if (!put_dir(w, wd, path)) return iz_fail_oom(&w->scan.err);
    at += sizeof wd + strlen(path) + 1;
  }
  return true;
}

static void note_files(iz_watch *w) {
  const iz_buf *b = &w->scan.files;
  int64_t now = iz_now();
  if (w->scan.lost) return iz_changes_lost(w->changes, now);
  for (size_t at = 0; at < b->len; at += strlen(b->data + at) + 1)
    iz_changes_add(w->changes, now, IZ_RAW_BORN, b->data + at, 0);
}

static void tell_ready(iz_watch *w, const iz_err *err) {
  w->ready = true;
  w->callbacks++;
  if (w->opts.on_ready) w->opts.on_ready(w->opts.ctx, err);
  w->callbacks--;
}

/* A failed scan ends a watch that is not ready yet; later it only leaves new folders unwatched. */
static void finish_scan(iz_watch *w) {
  iz_err err = w->scan.err;
  bool ok = !w->scan.failed && keep_dirs(w);
  if (w->gone) came_back(w);
  if (ok && !w->scan.whole) note_files(w);
  if (!ok) err = w->scan.err;
  iz_scan_free(&w->scan);
  if (ok && event_add(&w->ev, NULL) != 0) ok = iz_fail_oom(&err);
  if (!w->ready) return tell_ready(w, ok ? NULL : &err);
  if (ok) return set_timer(w);
  iz_log(IZ_WARN, "watch", "%s", err.message);
  iz_changes_lost(w->changes, iz_now());
  event_add(&w->ev, NULL);
  set_timer(w);
}

static void scan_done(iz_job *job) {
  iz_watch *w = IZ_OUTER(job, iz_watch, job);
  w->scanning = false;
  if (!w->stopped) finish_scan(w);
  release_if_over(w);
}

/* Hands what is to be walked to the pool. */
static bool submit_scan(iz_watch *w) {
  if (w->whole) {
    iz_buf_clear(&w->pending);
    scan_later(w, w->root);
  }
  w->scan = (iz_scan){.inotify_fd = w->fd, .recursive = w->opts.recursive, .whole = w->whole};
  w->scan.todo = w->pending;
  w->pending = (iz_buf){0};
  w->whole = false;
  w->job = (iz_job){.run = run_scan, .done = scan_done};
  w->scanning = w->scan.todo.len > 0 && iz_pool_submit(w->loop, &w->job);
  return w->scanning;
}

static void begin_scan(iz_watch *w) {
  event_del(&w->ev);
  if (submit_scan(w)) return;
  w->scan.failed = true;
  iz_fail_oom(&w->scan.err);
  finish_scan(w);
}

/* ---- the start ---- */

/* A file is watched through its folder, since saving may replace it; a symbolic link through the
 * folder of its target. */
static bool choose_root(iz_watch *w, iz_err *err) {
  const char *path = w->opts.path;
  char real[PATH_MAX];
  struct stat st;
  if (stat(path, &st) != 0 || !realpath(path, real))
    return iz_fail_errno(err, errno, "watch: cannot watch \"%s\"", path);
  if (S_ISDIR(st.st_mode)) {
    w->root = iz_strdup(path);
    return w->root || iz_fail_oom(err);
  }
  w->opts.recursive = false;
  char *slash = strrchr(real, '/');
  w->file = iz_strdup(slash + 1);
  w->root = iz_strndup(real, slash == real ? 1 : (size_t)(slash - real));
  return (w->file && w->root) || iz_fail_oom(err);
}

static bool open_inotify(iz_watch *w, iz_err *err) {
  w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (w->fd >= 0) return true;
  if (errno != EMFILE) return iz_fail_errno(err, errno, "watch: cannot start inotify");
  return iz_fail(err, "limit",
                 "watch: too many watches or open files; see ulimit -n and sysctl "
                 "fs.inotify.max_user_instances");
}

static bool copy_path(iz_watch *w, const char *path) {
  size_t n = strlen(path);
  while (n > 1 && path[n - 1] == '/') n--;
  w->opts.path = iz_strndup(path, n);
  return w->opts.path != NULL;
}

iz_watch *iz_watch_start(iz_loop *loop, const iz_watch_opts *opts, iz_err *err) {
  iz_watch *w = iz_calloc(1, sizeof *w);
  if (!w) return iz_fail_oom(err), NULL;
  w->loop = loop;
  w->fd = -1;
  w->opts = *opts;
  w->changes = iz_changes_new(opts->quiet_ns > 0 ? opts->quiet_ns : IZ_WATCH_QUIET);
  bool ok = copy_path(w, opts->path) && w->changes ? true : iz_fail_oom(err);
  ok = ok && choose_root(w, err) && open_inotify(w, err);
  if (ok) {
    event_assign(&w->ev, iz_loop_base(loop), w->fd, EV_READ | EV_PERSIST, on_readable, w);
    w->whole = true;
    ok = submit_scan(w) || iz_fail_oom(err);
  }
  if (!ok) return release(w), NULL;
  return w;
}
