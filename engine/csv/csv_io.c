/* csv_io.c -- see csv_io.h. The op_* functions run on a pool thread and touch only the struct. */
#include "csv/csv_io.h"

#include "base/alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void fail(iz_csv_io *io, const char *doing) {
  int e = errno;
  io->failed = true;
  iz_fail_errno(&io->err, e, "cannot %s %s", doing, io->path);
}

static void fail_oom(iz_csv_io *io) {
  io->failed = true;
  iz_fail_oom(&io->err);
}

static void op_read(iz_csv_io *io) {
  if (io->fd < 0) io->fd = open(io->path, O_RDONLY | O_CLOEXEC);
  if (io->fd < 0) {
    fail(io, "open");
    return;
  }
  iz_buf_clear(&io->data);
  if (!iz_buf_reserve(&io->data, IZ_CSV_CHUNK)) {
    fail_oom(io);
    return;
  }
  ssize_t n;
  do n = read(io->fd, io->data.data, IZ_CSV_CHUNK);
  while (n < 0 && errno == EINTR);
  if (n < 0) fail(io, "read");
  io->data.len = n > 0 ? (size_t)n : 0;
  io->ended = n == 0;
}

/* ---- writing ---- */

/* The file a symbolic link leads to is replaced, not the link. False: no memory. */
static bool resolve(iz_csv_io *io) {
  char real[PATH_MAX];
  if (!realpath(io->path, real)) return true;
  char *path = iz_strdup(real);
  if (!path) return false;
  iz_free(io->path);
  io->path = path;
  return true;
}

static char *temp_name(const char *path) {
  static _Atomic unsigned count;
  iz_buf b = {0};
  iz_buf_addf(&b, "%s.%ld-%u.tmp", path, (long)getpid(), ++count);
  char *name = iz_buf_cstr(&b);
  if (!name) iz_buf_free(&b);
  return name;
}

static void op_create(iz_csv_io *io) {
  if (!resolve(io)) {
    fail_oom(io);
    return;
  }
  struct stat old;
  bool exists = stat(io->path, &old) == 0;
  if (exists && S_ISDIR(old.st_mode)) {
    errno = EISDIR;
  } else if (exists && !S_ISREG(old.st_mode)) {
    io->fd = open(io->path, O_WRONLY | O_CLOEXEC);
  } else {
    io->temp = temp_name(io->path);
    if (!io->temp) {
      fail_oom(io);
      return;
    }
    io->fd = open(io->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (io->fd >= 0 && exists && fchmod(io->fd, old.st_mode & 07777) != 0) {
      fail(io, "set the mode of the new");
      return;
    }
  }
  if (io->fd < 0) fail(io, "write");
}

static void op_write(iz_csv_io *io) {
  for (size_t at = 0; at < io->data.len;) {
    ssize_t n = write(io->fd, io->data.data + at, io->data.len - at);
    if (n < 0 && errno != EINTR) {
      fail(io, "write");
      return;
    }
    if (n > 0) at += (size_t)n;
  }
  iz_buf_clear(&io->data);
}

/* Makes the rename itself last. A file system that cannot sync a directory is let be. */
static void sync_folder(const char *path) {
  const char *slash = strrchr(path, '/');
  char *folder = slash ? iz_strndup(path, slash == path ? 1 : (size_t)(slash - path)) : NULL;
  if (slash && !folder) return;
  int fd = open(folder ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  iz_free(folder);
  if (fd < 0) return;
  fsync(fd);
  close(fd);
}

static void op_commit(iz_csv_io *io) {
  op_write(io);
  if (io->failed) return;
  if (io->temp && fsync(io->fd) != 0) {
    fail(io, "sync");
    return;
  }
  int fd = io->fd;
  io->fd = -1;
  if (close(fd) != 0 || (io->temp && rename(io->temp, io->path) != 0)) {
    fail(io, "replace");
    return;
  }
  if (io->temp) sync_folder(io->path);
  iz_free(io->temp);
  io->temp = NULL;
  io->ended = true;
}

static void op_run(iz_job *job) {
  iz_csv_io *io = IZ_OUTER(job, iz_csv_io, job);
  switch (io->op) {
  case IZ_CSV_READ:
    op_read(io);
    break;
  case IZ_CSV_CREATE:
    op_create(io);
    break;
  case IZ_CSV_WRITE:
    op_write(io);
    break;
  case IZ_CSV_COMMIT:
    op_commit(io);
    break;
  }
}

/* ---- life ---- */

static void dispose(iz_csv_io *io) {
  if (io->fd >= 0) close(io->fd);
  if (io->temp) unlink(io->temp);
  iz_free(io->temp);
  iz_free(io->path);
  iz_buf_free(&io->data);
  iz_free(io);
}

static void op_done(iz_job *job) {
  iz_csv_io *io = IZ_OUTER(job, iz_csv_io, job);
  io->busy = false;
  if (io->freed)
    dispose(io);
  else
    iz_wait_done(&io->wait);
}

/* A read may be left alone: its result stays for the next who asks. */
static void leave(iz_wait *w) {
  (void)w;
}

iz_csv_io *iz_csv_io_new(const char *path) {
  iz_csv_io *io = iz_calloc(1, sizeof *io);
  char *copy = iz_strdup(path);
  if (!io || !copy) {
    iz_free(io);
    iz_free(copy);
    return NULL;
  }
  io->path = copy;
  io->fd = -1;
  io->job.run = op_run;
  io->job.done = op_done;
  io->wait.cancel = leave;
  return io;
}

bool iz_csv_io_start(iz_csv_io *io, iz_loop *loop, iz_csv_op op) {
  if (io->failed || io->ended) return false;
  io->op = op;
  if (op != IZ_CSV_READ) io->wait.ask = leave; /* a write under way is waited for */
  io->busy = loop && iz_pool_submit(loop, &io->job);
  if (!io->busy) op_run(&io->job);
  return io->busy;
}

void iz_csv_io_free(iz_csv_io *io) {
  if (!io) return;
  io->freed = true;
  if (!io->busy) dispose(io);
}
