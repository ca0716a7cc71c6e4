/* host.c -- see host.h. */
#include "host/host.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- the lock ---- */

/* What stands in the file; pid 0: nothing yet. */
static iz_owner read_owner(int fd) {
  iz_owner owner = {0};
  char text[40] = {0}, *end;
  if (pread(fd, text, sizeof text - 1, 0) <= 0) return owner;
  long pid = strtol(text, &end, 10);
  if (pid <= 0 || pid > INT_MAX) return owner;
  owner.pid = (pid_t)pid;
  if (*end == ' ') end++;
  for (size_t i = 0; end[i] >= 'a' && end[i] <= 'z' && i < sizeof owner.verb - 1; i++)
    owner.verb[i] = end[i];
  return owner;
}

static bool write_all(int fd, const char *data, size_t n) {
  while (n > 0) {
    ssize_t put = write(fd, data, n);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return false;
    data += put;
    n -= (size_t)put;
  }
  return true;
}

static void pause_1ms(void) {
  nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* Somebody who asks for the owner holds a shared lock for an instant: that is no owner. */
static bool try_lock(int fd) {
  for (int tries = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; tries++) {
    if (errno != EWOULDBLOCK || tries == 20) return false;
    pause_1ms();
  }
  return true;
}

int iz_lock_take(const char *path, const char *verb, iz_err *err) {
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) {
    iz_fail_errno(err, errno, "cannot open %s", path);
    return -1;
  }
  if (!try_lock(fd)) {
    if (errno == EWOULDBLOCK)
      iz_fail(err, "locked", "%s is held by process %d", path, (int)read_owner(fd).pid);
    else
      iz_fail_errno(err, errno, "cannot lock %s", path);
    close(fd);
    return -1;
  }
  char text[40];
  int n = snprintf(text, sizeof text, "%d %.15s\n", (int)getpid(), verb);
  if (ftruncate(fd, 0) != 0 || !write_all(fd, text, (size_t)n)) {
    iz_fail_errno(err, errno, "cannot write %s", path);
    close(fd);
    return -1;
  }
  return fd;
}

bool iz_lock_owner(const char *path, iz_owner *owner, iz_err *err) {
  *owner = (iz_owner){0};
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 && (errno == ENOENT || errno == ENOTDIR)) return true;
  if (fd < 0) return iz_fail_errno(err, errno, "cannot see who holds %s", path);
  /* A new owner needs an instant to write its pid. */
  for (int i = 0; i < 20 && flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK; i++) {
    *owner = read_owner(fd);
    if (owner->pid) break;
    pause_1ms();
  }
  close(fd);
  return true;
}

/* ---- files ---- */

static bool fill(int fd, const void *data, size_t n, mode_t mode) {
  return fchmod(fd, mode) == 0 && write_all(fd, data, n) && fsync(fd) == 0;
}

bool iz_file_replace(const char *path, const void *data, size_t n, mode_t mode, iz_err *err) {
  char beside[PATH_MAX];
  int len = snprintf(beside, sizeof beside, "%s.XXXXXX", path);
  if (len < 0 || (size_t)len >= sizeof beside)
    return iz_fail_errno(err, ENAMETOOLONG, "cannot write %s", path);
  int fd = mkostemp(beside, O_CLOEXEC);
  if (fd < 0) return iz_fail_errno(err, errno, "cannot write %s", path);
  bool ok = fill(fd, data, n, mode);
  int saved = errno;
  if (close(fd) != 0 && ok) {
    ok = false;
    saved = errno;
  }
  if (ok && rename(beside, path) != 0) {
    ok = false;
    saved = errno;
  }
  if (ok) return true;
  unlink(beside);
  return iz_fail_errno(err, saved, "cannot write %s", path);
}

/* Whether there is a folder; errno stays what it was. */
static bool is_dir(const char *path) {
  struct stat st;
  int saved = errno;
  bool is = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
  errno = saved;
  return is;
}

bool iz_dir_make(const char *path, mode_t mode, iz_err *err) {
  char part[PATH_MAX];
  size_t n = strlen(path);
  if (n >= sizeof part) return iz_fail_errno(err, ENAMETOOLONG, "cannot make the folder %s", path);
  memcpy(part, path, n + 1);
  for (char *p = part + 1; n > 0; p++) {
    if (*p && *p != '/') continue;
    char kept = *p;
    *p = 0;
    if (mkdir(part, mode) != 0 && !is_dir(part))
      return iz_fail_errno(err, errno == EEXIST ? ENOTDIR : errno, "cannot make the folder %s",
                           part);
    *p = kept;
    if (!kept) break;
  }
  return true;
}
