/* fs.c -- whole files, drafts and names: see fs.h. */
#include "fs.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK (256 * 1024)
#define POLL_MS 100

/* ---- reading and writing ---- */

static bool stopped(iz_fs_stop stop, const char *path, iz_err *err) {
  if (!stop || !atomic_load(stop)) return false;
  iz_fail(err, "cancelled", "fs: the work on \"%s\" was cancelled", path);
  return true;
}

/* After EAGAIN: a pipe or terminal that is not ready. */
static bool await_fd(int fd, short events, const char *path, iz_fs_stop stop, iz_err *err) {
  struct pollfd p = {.fd = fd, .events = events};
  while (poll(&p, 1, POLL_MS) <= 0)
    if (stopped(stop, path, err)) return false;
  return true;
}

bool iz_fs_read_some(int fd, const char *path, void *to, size_t n, size_t *got, iz_fs_stop stop,
                     iz_err *err) {
  for (;;) {
    if (stopped(stop, path, err)) return false;
    ssize_t r = read(fd, to, n);
    if (r >= 0) {
      *got = (size_t)r;
      return true;
    }
    if (errno == EAGAIN && !await_fd(fd, POLLIN, path, stop, err)) return false;
    if (errno != EAGAIN && errno != EINTR)
      return iz_fail_errno(err, errno, "fs: cannot read \"%s\"", path);
  }
}

bool iz_fs_write_all(int fd, const char *path, const void *data, size_t n, iz_fs_stop stop,
                     iz_err *err) {
  for (const char *p = data; n > 0;) {
    if (stopped(stop, path, err)) return false;
    ssize_t w = write(fd, p, n < CHUNK ? n : CHUNK);
    if (w >= 0) {
      p += w;
      n -= (size_t)w;
      continue;
    }
    if (errno == EAGAIN && !await_fd(fd, POLLOUT, path, stop, err)) return false;
    if (errno != EAGAIN && errno != EINTR)
      return iz_fail_errno(err, errno, "fs: cannot write \"%s\"", path);
  }
  return true;
}

static bool open_fd(const char *path, int flags, int *fd, iz_err *err) {
  *fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0666);
  return *fd >= 0 || iz_fail_errno(err, errno, "fs: cannot open \"%s\"", path);
}

bool iz_fs_open_read(const char *path, int *fd, iz_err *err) {
  return open_fd(path, O_RDONLY, fd, err);
}

bool iz_fs_open_append(const char *path, int *fd, iz_err *err) {
  return open_fd(path, O_WRONLY | O_CREAT | O_APPEND, fd, err);
}

static bool read_all(int fd, const char *path, uint64_t max, iz_buf *out, iz_fs_stop stop,
                     iz_err *err) {
  size_t start = out->len, got;
  struct stat st;
  if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size <= max &&
      !iz_buf_reserve(out, (size_t)st.st_size + 1))
    return iz_fail_oom(err);
  for (;;) {
    if (out->cap - out->len == 0 && !iz_buf_reserve(out, CHUNK)) return iz_fail_oom(err);
    size_t room = out->cap - out->len;
    if (!iz_fs_read_some(fd, path, out->data + out->len, room < CHUNK ? room : CHUNK, &got, stop,
                         err))
      return false;
    if (!got) return true;
    out->len += got;
    if (out->len - start > max)
      return iz_fail(err, "too_large", "fs: \"%s\" is larger than the %llu bytes allowed", path,
                     (unsigned long long)max);
  }
}

bool iz_fs_read(const char *path, uint64_t max, iz_buf *out, iz_fs_stop stop, iz_err *err) {
  int fd;
  if (!iz_fs_open_read(path, &fd, err)) return false;
  bool ok = read_all(fd, path, max, out, stop, err);
  close(fd);
  return ok;
}

/* ---- drafts ---- */

static void end_draft(iz_fs_draft *d) {
  if (!d->target) return;
  if (d->fd >= 0) close(d->fd);
  iz_free(d->target);
  iz_free(d->temp);
  *d = (iz_fs_draft){0};
}

void iz_fs_draft_discard(iz_fs_draft *d) {
  if (d->target && d->temp && d->fd >= 0) unlink(d->temp);
  end_draft(d);
}

/* ".NAME.RANDOM.tmp" beside the target; a long name is cut. */
static char *temp_name(const char *target) {
  uint64_t random;
  if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random) return NULL;
  const char *slash = strrchr(target, '/');
  size_t dir = slash ? (size_t)(slash - target) + 1 : 0;
  iz_buf b = {0};
  iz_buf_addf(&b, "%.*s.%.200s.%016llx.tmp", (int)dir, target, target + dir,
              (unsigned long long)random);
  char *name = iz_buf_cstr(&b);
  if (!name) iz_buf_free(&b);
  return name;
}

/* The file that a write to path replaces: behind links, if it exists. */
static bool resolve(const char *path, char **target, iz_err *err) {
  char real[PATH_MAX];
  *target = iz_strdup(realpath(path, real) ? real : path);
  return *target || iz_fail_oom(err);
}

static bool open_temp(iz_fs_draft *d, const struct stat *old, iz_err *err) {
  d->temp = temp_name(d->target);
  if (!d->temp) return iz_fail_oom(err);
  d->fd = open(d->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (d->fd < 0) return iz_fail_errno(err, errno, "fs: cannot write \"%s\"", d->target);
  if (!old) return true;
  bool owned = fchown(d->fd, old->st_uid, old->st_gid) == 0;
  /* without the owner, no set-uid bits */
  if (fchmod(d->fd, old->st_mode & (owned ? 07777U : 0777U)) == 0) return true;
  return iz_fail_errno(err, errno, "fs: cannot keep the mode of \"%s\"", d->target);
}

bool iz_fs_draft_open(const char *path, iz_fs_draft *d, iz_err *err) {
  *d = (iz_fs_draft){.fd = -1};
  struct stat st;
  bool exists = stat(path, &st) == 0;
  if (exists && S_ISDIR(st.st_mode))
    return iz_fail_errno(err, EISDIR, "fs: cannot write \"%s\"", path);
  bool ok = resolve(path, &d->target, err);
  if (ok && exists && !S_ISREG(st.st_mode))
    ok = open_fd(path, O_WRONLY, &d->fd, err);
  else if (ok)
    ok = open_temp(d, exists ? &st : NULL, err);
  if (!ok) iz_fs_draft_discard(d);
  return ok;
}

static void sync_folder_of(const char *path) {
  char dir[PATH_MAX];
  const char *slash = strrchr(path, '/');
  int n =
      snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
  int fd = n > 0 && (size_t)n < sizeof dir ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
  if (fd < 0) return;
  fsync(fd);
  close(fd);
}

bool iz_fs_draft_commit(iz_fs_draft *d, iz_err *err) {
  if (d->temp && (fsync(d->fd) != 0 || rename(d->temp, d->target) != 0)) {
    iz_fail_errno(err, errno, "fs: cannot write \"%s\"", d->target);
    iz_fs_draft_discard(d);
    return false;
  }
  if (d->temp) sync_folder_of(d->target);
  end_draft(d);
  return true;
}

/* Commits when `ok`, else discards; false unless it was committed. */
static bool finish_draft(iz_fs_draft *d, bool ok, iz_err *err) {
  if (ok) return iz_fs_draft_commit(d, err);
  iz_fs_draft_discard(d);
  return false;
}

bool iz_fs_write(const char *path, const void *data, size_t n, iz_fs_stop stop, iz_err *err) {
  iz_fs_draft d;
  if (!iz_fs_draft_open(path, &d, err)) return false;
  return finish_draft(&d, iz_fs_write_all(d.fd, path, data, n, stop, err), err);
}

bool iz_fs_append(const char *path, const void *data, size_t n, iz_fs_stop stop, iz_err *err) {
  int fd;
  if (!iz_fs_open_append(path, &fd, err)) return false;
  bool ok = iz_fs_write_all(fd, path, data, n, stop, err);
  if (close(fd) != 0 && ok) ok = iz_fail_errno(err, errno, "fs: cannot write \"%s\"", path);
  return ok;
}

/* ---- copying ---- */

static bool copy_bytes(int from, const char *name, iz_fs_draft *d, iz_fs_stop stop, iz_err *err) {
  char *buf = iz_alloc(CHUNK);
  if (!buf) return iz_fail_oom(err);
  size_t got = 0;
  bool ok;
  do {
    ok = iz_fs_read_some(from, name, buf, CHUNK, &got, stop, err) &&
         iz_fs_write_all(d->fd, d->target, buf, got, stop, err);
  } while (ok && got);
  iz_free(buf);
  return ok;
}

bool iz_fs_copy(const char *from, const char *to, iz_fs_stop stop, iz_err *err) {
  int fd;
  struct stat st;
  if (!iz_fs_open_read(from, &fd, err)) return false;
  iz_fs_draft d = {0};
  bool ok = fstat(fd, &st) == 0 || iz_fail_errno(err, errno, "fs: cannot read \"%s\"", from);
  ok = ok && iz_fs_draft_open(to, &d, err);
  if (ok && d.temp && S_ISREG(st.st_mode) && fchmod(d.fd, st.st_mode & 0777) != 0)
    ok = iz_fail_errno(err, errno, "fs: cannot set the mode of \"%s\"", to);
  ok = ok && copy_bytes(fd, from, &d, stop, err);
  close(fd);
  return finish_draft(&d, ok, err);
}

/* ---- names ---- */

static char type_of(mode_t mode) {
  return S_ISREG(mode) ? 'f' : S_ISDIR(mode) ? 'd' : S_ISLNK(mode) ? 'l' : 'o';
}

bool iz_fs_stat(const char *path, iz_fs_info *out, iz_err *err) {
  struct stat st;
  if (stat(path, &st) != 0) return iz_fail_errno(err, errno, "fs: cannot look at \"%s\"", path);
  *out = (iz_fs_info){.type = type_of(st.st_mode),
                      .size = (uint64_t)st.st_size,
                      .mtime = st.st_mtim.tv_sec * IZ_SEC + st.st_mtim.tv_nsec,
                      .mode = st.st_mode & 07777};
  return true;
}

static bool make_one(const char *path) {
  struct stat st;
  if (mkdir(path, 0777) == 0) return true;
  int saved = errno;
  if (saved != EEXIST && saved != EACCES && saved != EROFS) return false;
  if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) return true;
  errno = saved;
  return false;
}

bool iz_fs_mkdir(const char *path, iz_err *err) {
  char *copy = iz_strdup(path);
  if (!copy) return iz_fail_oom(err);
  bool ok = true;
  for (char *p = copy + (*copy == '/'); ok; p++) {
    p += strcspn(p, "/");
    bool last = !*p;
    *p = 0;
    if (*copy) ok = make_one(copy) || iz_fail_errno(err, errno, "fs: cannot make \"%s\"", copy);
    if (last) break;
    *p = '/';
  }
  iz_free(copy);
  return ok;
}

bool iz_fs_rename(const char *from, const char *to, iz_err *err) {
  if (rename(from, to) == 0) return true;
  return iz_fail_errno(err, errno, "fs: cannot rename \"%s\" to \"%s\"", from, to);
}

bool iz_fs_tempdir(iz_buf *out, iz_err *err) {
  const char *base = getenv("TMPDIR");
  if (!base || *base != '/') base = "/tmp";
  size_t start = out->len;
  if (!iz_buf_addf(out, "%s/iza-XXXXXX", base) || !iz_buf_cstr(out)) return iz_fail_oom(err);
  if (mkdtemp(out->data + start)) return true;
  return iz_fail_errno(err, errno, "fs: cannot make a folder in \"%s\"", base);
}
