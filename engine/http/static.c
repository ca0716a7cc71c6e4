/* static.c -- files as answers: see static.h. */
#include "static.h"

#include "base/alloc.h"
#include "conditional.h"
#include "loop/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PIECE = 64 * 1024 };

struct iz_static {
  iz_loop *loop;
  int fd; /* of the folder */
  int refs;
};

/* A file on its way out. Belongs to a pool job while `working`. */
typedef struct file {
  iz_job job;
  iz_loop *loop;
  iz_static *folder; /* NULL: path is a whole one, given by the program */
  iz_http_req *req;  /* NULL: the client left */
  char *path;
  char *piece; /* PIECE bytes */
  size_t got;  /* in it */
  int64_t at, left;
  struct stat info;
  int fd, error, status;
  bool folder_found; /* the name is a folder with an index.html */
  bool working, blocked;
} file;

/* ---- the folder ---- */

iz_static *iz_static_new(iz_loop *loop, const char *dir, iz_err *err) {
  iz_static *s = iz_calloc(1, sizeof *s);
  if (!s) return iz_fail_oom(err), NULL;
  s->loop = loop;
  s->refs = 1;
  s->fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (s->fd >= 0) return s;
  iz_fail_errno(err, errno, "cannot serve files from %s", dir);
  iz_free(s);
  return NULL;
}

void iz_static_free(iz_static *s) {
  if (!s || --s->refs) return;
  close(s->fd);
  iz_free(s);
}

/* ---- on a pool thread ---- */

static int open_beneath(int folder, const char *path) {
  struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
                         .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
  int fd;
  do fd = (int)syscall(SYS_openat2, folder, path, &how, sizeof how);
  while (fd < 0 && (errno == EINTR || errno == EAGAIN));
  return fd;
}

static void read_piece(file *f) {
  size_t want = f->left < PIECE ? (size_t)f->left : PIECE;
  f->got = 0;
  while (f->got < want) {
    ssize_t n = pread(f->fd, f->piece + f->got, want - f->got, f->at + (int64_t)f->got);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      f->error = n < 0 ? errno : EIO; /* it became shorter under our hands */
      return;
    }
    f->got += (size_t)n;
  }
}

static void run_read(iz_job *job) {
  read_piece(IZ_OUTER(job, file, job));
}

/* A folder is answered by its index.html. */
static void open_index(file *f) {
  int folder = f->fd;
  f->folder_found = true;
  f->fd = openat(folder, "index.html", O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
  f->error = f->fd < 0 ? ENOENT : 0;
  close(folder);
  if (f->fd >= 0 && fstat(f->fd, &f->info) != 0) f->error = errno;
}

static void run_open(iz_job *job) {
  file *f = IZ_OUTER(job, file, job);
  f->fd = f->folder ? open_beneath(f->folder->fd, *f->path ? f->path : ".")
                    : open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (f->fd < 0 || fstat(f->fd, &f->info) != 0) {
    f->error = errno;
    return;
  }
  if (f->folder && S_ISDIR(f->info.st_mode)) open_index(f);
  if (!f->error && !S_ISREG(f->info.st_mode)) f->error = ENOENT;
  f->left = f->info.st_size;
  if (!f->error) read_piece(f);
}

/* ---- on the loop ---- */

static void finish(file *f) {
  if (f->req) iz_http_release(f->req);
  if (f->fd >= 0) close(f->fd);
  iz_static_free(f->folder);
  iz_free(f->path);
  iz_free(f->piece);
  iz_free(f);
}

static void submit(file *f, void (*run)(iz_job *), void (*done)(iz_job *)) {
  f->job.run = run;
  f->job.done = done;
  f->working = true;
  if (iz_pool_submit(f->loop, &f->job)) return;
  f->working = false;
  iz_http_error(f->req, 503, "no worker to read the file");
  finish(f);
}

static void piece_read(iz_job *job);

/* Sends the piece; reads the next unless the client must catch up first. */
static void send_piece(file *f) {
  f->at += (int64_t)f->got;
  f->left -= (int64_t)f->got;
  bool more = iz_http_write(f->req, f->piece, f->got);
  if (f->left == 0) {
    iz_http_finish(f->req);
    finish(f);
  } else if (more) {
    submit(f, run_read, piece_read);
  } else {
    f->blocked = true;
  }
}

static void piece_read(iz_job *job) {
  file *f = IZ_OUTER(job, file, job);
  f->working = false;
  if (!f->req || f->error)
    finish(f); /* unfinished: the connection is cut, the client sees the answer is short */
  else
    send_piece(f);
}

static void add(iz_http_req *r, const char *name, const char *value) {
  iz_http_header(r, name, strlen(name), value, strlen(value));
}

static void redirect_to_folder(iz_http_req *r) {
  const char *path = iz_http_text(&r->head, r->head.path);
  iz_buf b = {0};
  iz_buf_add(&b, path, r->head.path.len);
  iz_buf_addc(&b, '/');
  if (r->head.query.len) iz_buf_addc(&b, '?');
  iz_buf_add(&b, iz_http_text(&r->head, r->head.query), r->head.query.len);
  bool oom = b.oom || !iz_http_header(r, "Location", 8, b.data, b.len);
  iz_buf_free(&b);
  if (oom)
    iz_http_error(r, 503, "out of memory");
  else
    iz_http_respond(r, 301, NULL, 0);
}

static void refuse(file *f) {
  bool hidden = f->error == ENOENT || f->error == ENOTDIR || f->error == EXDEV ||
                f->error == ELOOP || f->error == ENAMETOOLONG || f->error == EINVAL ||
                f->error == EACCES || f->error == EPERM;
  if (hidden)
    iz_http_error(f->req, 404, "no such file");
  else
    iz_http_error(f->req, 500, strerrordesc_np(f->error));
}

/* The part to send begins in the piece that was read already, or it must be read. */
static void send_body(file *f, int status, int64_t from, int64_t length) {
  iz_http_req *r = f->req;
  if (r->head_only || (from == 0 && length <= (int64_t)f->got)) {
    /* HEAD tells the length without sending: a started answer knows how */
    iz_http_start(r, status, length);
    iz_http_write(r, f->piece, r->head_only ? 0 : (size_t)length);
    r->left = 0;
    iz_http_finish(r);
    finish(f);
    return;
  }
  iz_http_start(r, status, length);
  f->at = from;
  f->left = length;
  if (from == 0)
    send_piece(f);
  else
    submit(f, run_read, piece_read);
}

static void add_type(file *f) {
  const char *name = f->folder_found ? "index.html" : f->path;
  if (!f->req->has_type) add(f->req, "Content-Type", iz_mime_type(name, strlen(name)));
  add(f->req, "X-Content-Type-Options", "nosniff");
}

/* Sends what conditions and Range ask for. */
static void answer_conditionally(file *f) {
  iz_http_req *r = f->req;
  char etag[64], text[64];
  int64_t size = f->info.st_size, modified = f->info.st_mtim.tv_sec, from = 0, length = size;
  snprintf(etag, sizeof etag, "\"%llx-%llx%08lx\"", (unsigned long long)size,
           (unsigned long long)modified, f->info.st_mtim.tv_nsec);
  iz_http_date_format(modified, text);
  add(r, "ETag", etag);
  add(r, "Last-Modified", text);
  int status = iz_http_precondition(&r->head, etag, modified);
  if (status != 200) {
    status == 304 ? iz_http_respond(r, 304, NULL, 0)
                  : iz_http_error(r, status, "the file is not the one that was expected");
    finish(f);
    return;
  }
  add(r, "Accept-Ranges", "bytes");
  iz_range range = iz_http_range(&r->head, etag, modified, size, &from, &length);
  if (range == IZ_RANGE_NONE) {
    snprintf(text, sizeof text, "bytes */%lld", (long long)size);
    add(r, "Content-Range", text);
    iz_http_error(r, 416, "the file is shorter");
    finish(f);
    return;
  }
  if (range == IZ_RANGE_PART) {
    snprintf(text, sizeof text, "bytes %lld-%lld/%lld", (long long)from,
             (long long)(from + length - 1), (long long)size);
    add(r, "Content-Range", text);
  }
  add_type(f);
  send_body(f, range == IZ_RANGE_PART ? 206 : 200, from, length);
}

static void answer(file *f) {
  iz_http_req *r = f->req;
  const char *path = iz_http_text(&r->head, r->head.path);
  if (f->folder_found && path[r->head.path.len - 1] != '/') {
    if (path[1] == '/') /* "//host" would lead elsewhere */
      iz_http_error(r, 404, "no such file");
    else
      redirect_to_folder(r);
    finish(f);
  } else if (f->status == 200 &&
             (r->head.method == IZ_HTTP_GET || r->head.method == IZ_HTTP_HEAD)) {
    answer_conditionally(f);
  } else {
    add_type(f);
    send_body(f, f->status, 0, f->info.st_size);
  }
}

static void opened(iz_job *job) {
  file *f = IZ_OUTER(job, file, job);
  f->working = false;
  if (f->req && !f->error) {
    answer(f);
    return;
  }
  if (f->req) refuse(f);
  finish(f);
}

static void on_drained(iz_http_req *r) {
  file *f = r->user;
  if (!f->blocked) return;
  f->blocked = false;
  submit(f, run_read, piece_read);
}

static void on_gone(iz_http_req *r) {
  file *f = r->user;
  if (r->conn) return; /* only its sending half is closed */
  iz_http_release(r);
  f->req = NULL;
  if (!f->working) finish(f);
}

static void on_readable(iz_http_req *r) {
  (void)r; /* the body of a GET is never asked for */
}

/* Hidden files stay hidden: .git, .env, .htpasswd. */
static bool is_hidden(const char *path, size_t n) {
  for (size_t i = 0; i < n; i++) {
    if (path[i] != '.' || (i > 0 && path[i - 1] != '/')) continue;
    if (n - i < 11 || memcmp(path + i, ".well-known", 11) != 0) return true;
    if (n - i > 11 && path[i + 11] != '/') return true;
  }
  return false;
}

static void serve(iz_loop *loop, iz_static *folder, iz_http_req *r, const char *path, size_t len,
                  int status) {
  static const iz_http_events events = {
      .readable = on_readable, .drained = on_drained, .gone = on_gone};
  file *f = iz_calloc(1, sizeof *f);
  char *copy = iz_strndup(path, len), *piece = iz_alloc(PIECE);
  if (!f || !copy || !piece) {
    iz_free(f);
    iz_free(copy);
    iz_free(piece);
    iz_http_error(r, 503, "out of memory");
    iz_http_release(r);
    return;
  }
  *f = (file){.loop = loop, .folder = folder, .req = r, .path = copy, .piece = piece, .fd = -1};
  f->status = status;
  if (folder) folder->refs++;
  r->user = f;
  r->events = &events;
  submit(f, run_open, opened);
}

void iz_static_serve(iz_static *s, iz_http_req *r, const char *path, size_t len) {
  while (len && *path == '/') path++, len--;
  if (is_hidden(path, len) || memchr(path, 0, len)) {
    iz_http_error(r, 404, "no such file");
    iz_http_release(r);
    return;
  }
  serve(s->loop, s, r, path, len, 200);
}

void iz_static_send(iz_loop *loop, iz_http_req *r, const char *path, int status) {
  serve(loop, NULL, r, path, strlen(path), status);
}
