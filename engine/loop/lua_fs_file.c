/* lua_fs_file.c -- a file read or written piece by piece; all work is done on the pool.
 *
 * Reading fills a buffer, so most lines cost no wait. Writing ("w") goes to a draft that close
 * makes visible: a file that was never closed, or closed because of an error, was never written.
 * Appending writes each piece through. The C struct outlives the Lua object while a job uses it.
 */
#include "base/alloc.h"
#include "fs.h"
#include "lua_class.h"
#include "lua_fs.h"
#include "lua_op.h"

#include <lauxlib.h>
#include <string.h>
#include <unistd.h>

#define TYPE "file"
#define READ_CHUNK (256 * 1024)
#define WRITE_CHUNK (256 * 1024)
#define MOST_HELD (64 * 1024 * 1024) /* of one line, or of one read(n) */

typedef struct file {
  int refs;  /* the Lua object, a running job */
  char mode; /* 'r', 'w', 'a' */
  bool open, busy, eof;
  bool broken; /* a write failed or was cancelled half-way: the draft is not to appear */
  int fd;
  iz_fs_draft draft;
  char *path;
  iz_buf buf;
  size_t off; /* bytes of buf already read */
} file;

typedef struct file_op {
  iz_op op;
  file *f;
  bool commit, close;
  iz_buf piece; /* read, or to append */
} file_op;

static void unref(file *f) {
  if (--f->refs > 0) return;
  if (f->mode == 'w')
    iz_fs_draft_discard(&f->draft);
  else if (f->fd >= 0)
    close(f->fd);
  iz_free(f->path);
  iz_buf_free(&f->buf);
  iz_free(f);
}

static void release(iz_op *op) {
  file_op *o = IZ_OUTER(op, file_op, op);
  o->f->busy = false;
  unref(o->f);
  iz_buf_free(&o->piece);
  iz_free(o);
}

/* A job on f; NULL: out of memory. Raises when another one runs. */
static file_op *new_op(lua_State *L, file *f, void (*work)(iz_op *)) {
  if (f->busy) luaL_error(L, "the file \"%s\" is in use by another task", f->path);
  file_op *o = iz_calloc(1, sizeof *o);
  if (!o) return NULL;
  o->op.work = work;
  o->op.release = release;
  o->f = f;
  f->refs++;
  f->busy = true;
  return o;
}

static file *check_file(lua_State *L, const char *modes) {
  file *f = *(file **)luaL_checkudata(L, 1, TYPE);
  if (!f || !f->open) {
    luaL_argerror(L, 1, "the file is closed");
    __builtin_unreachable();
  }
  if (!strchr(modes, f->mode))
    luaL_argerror(L, 1,
                  f->mode == 'r' ? "the file is open for reading" : "the file is open for writing");
  return f;
}

/* ---- opening ---- */

static void work_open(iz_op *op) {
  file *f = IZ_OUTER(op, file_op, op)->f;
  if (f->mode == 'r')
    op->ok = iz_fs_open_read(f->path, &f->fd, &op->err);
  else if (f->mode == 'a')
    op->ok = iz_fs_open_append(f->path, &f->fd, &op->err);
  else
    op->ok = iz_fs_draft_open(f->path, &f->draft, &op->err);
}

/* Stack: path, mode, file, box. */
static int open_over(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  iz_op *op = (iz_op *)ctx;
  if (!op->ok) return iz_push_error(L, &op->err);
  IZ_OUTER(op, file_op, op)->f->open = true;
  lua_pushvalue(L, 3);
  return 1;
}

static file *push_file(lua_State *L, const char *path, char mode) {
  file **box = lua_newuserdatauv(L, sizeof(void *), 0);
  *box = NULL;
  luaL_setmetatable(L, TYPE);
  file *f = iz_calloc(1, sizeof *f);
  if (!f) return NULL;
  *box = f;
  f->refs = 1;
  f->fd = -1;
  f->mode = mode;
  f->path = iz_strdup(path);
  return f->path ? f : NULL;
}

/* open(path, mode) -> file */
static int l_open(lua_State *L) {
  static const char *const modes[] = {"r", "w", "a", NULL};
  const char *path = iz_check_path(L, 1);
  char mode = modes[luaL_checkoption(L, 2, "r", modes)][0];
  lua_settop(L, 2);
  file *f = push_file(L, path, mode);
  file_op *o = f ? new_op(L, f, work_open) : NULL;
  return o ? iz_op_await(L, &o->op, open_over) : iz_push_oom(L);
}

/* ---- reading ---- */

static void work_read(iz_op *op) {
  file_op *o = IZ_OUTER(op, file_op, op);
  size_t got = 0;
  if (!iz_buf_reserve(&o->piece, READ_CHUNK)) {
    iz_fail_oom(&op->err);
    return;
  }
  op->ok =
      iz_fs_read_some(o->f->fd, o->f->path, o->piece.data, READ_CHUNK, &got, &op->stop, &op->err);
  o->piece.len = got;
}

static size_t held(const file *f) {
  return f->buf.len - f->off;
}

static int take(lua_State *L, file *f, size_t n, size_t skip) {
  lua_pushlstring(L, n ? f->buf.data + f->off : "", n);
  f->off += n + skip;
  if (f->off < f->buf.len) return 1;
  f->off = 0;
  iz_buf_clear(&f->buf);
  return 1;
}

static int read_over(lua_State *L, int status, lua_KContext ctx);

static int read_more(lua_State *L, file *f) {
  if (held(f) > MOST_HELD) {
    iz_err err;
    iz_fail(&err, "too_large", "fs: a piece of \"%s\" is larger than 64 MB", f->path);
    return iz_push_error(L, &err);
  }
  lua_settop(L, 2);
  file_op *o = new_op(L, f, work_read);
  return o ? iz_op_await(L, &o->op, read_over) : iz_push_oom(L);
}

/* What is wanted, when it is there; -1: more must be read. Stack: file, how. */
static int give(lua_State *L, file *f) {
  size_t n = held(f);
  if (f->eof && !n) {
    lua_pushnil(L);
    return 1;
  }
  if (lua_type(L, 2) == LUA_TSTRING) {
    const char *nl = n ? memchr(f->buf.data + f->off, '\n', n) : NULL;
    if (nl) return take(L, f, (size_t)(nl - (f->buf.data + f->off)), 1);
    return f->eof ? take(L, f, n, 0) : -1;
  }
  size_t want = lua_isnil(L, 2) ? 1 : (size_t)lua_tointeger(L, 2);
  if (n < want && !f->eof) return -1;
  return take(L, f, lua_isnil(L, 2) || want > n ? n : want, 0);
}

static bool keep(file *f, const iz_buf *piece) {
  if (f->off > f->buf.len / 2) {
    iz_buf_consume(&f->buf, f->off);
    f->off = 0;
  }
  if (!piece->len) f->eof = true;
  if (iz_buf_add(&f->buf, piece->data, piece->len)) return true;
  f->buf.oom = false;
  return false;
}

static int read_over(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  file_op *o = IZ_OUTER((iz_op *)ctx, file_op, op);
  if (!o->op.ok) return iz_push_error(L, &o->op.err);
  file *f = o->f; /* the Lua object is on the stack: it stays */
  bool kept = keep(f, &o->piece);
  iz_op_end(&o->op);
  if (!kept) return iz_push_oom(L);
  int n = give(L, f);
  return n >= 0 ? n : read_more(L, f);
}

/* read(file, n | "l" | nil) -> string; nil at the end; nil, err */
static int l_read(lua_State *L) {
  file *f = check_file(L, "r");
  lua_settop(L, 2);
  if (lua_type(L, 2) == LUA_TNUMBER) {
    lua_Integer n = luaL_checkinteger(L, 2);
    luaL_argcheck(L, n > 0 && n <= MOST_HELD, 2, "a number of bytes from 1 to 64 MB expected");
  } else if (!lua_isnil(L, 2)) {
    luaL_argcheck(L, strcmp(luaL_checkstring(L, 2), "l") == 0, 2, "\"l\" or a number expected");
  }
  int n = give(L, f);
  return n >= 0 ? n : read_more(L, f);
}

/* ---- writing ---- */

static void work_write(iz_op *op) {
  file_op *o = IZ_OUTER(op, file_op, op);
  file *f = o->f;
  int fd = f->mode == 'w' ? f->draft.fd : f->fd;
  op->ok = iz_fs_write_all(fd, f->path, o->piece.data, o->piece.len, &op->stop, &op->err);
  f->broken = !op->ok;
  if (op->ok && o->commit) op->ok = iz_fs_draft_commit(&f->draft, &op->err);
}

static int write_over(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  file_op *o = IZ_OUTER((iz_op *)ctx, file_op, op);
  if (o->commit) o->f->open = false;
  if (!o->op.ok) return iz_push_error(L, &o->op.err);
  lua_pushboolean(L, 1);
  return 1;
}

/* A job that writes what f has buffered. */
static file_op *flush_op(lua_State *L, file *f, bool commit) {
  file_op *o = new_op(L, f, work_write);
  if (!o) return NULL;
  o->commit = commit;
  o->piece = f->buf;
  f->buf = (iz_buf){0};
  f->broken = true; /* until it is written */
  return o;
}

static int flush(lua_State *L, file *f, bool commit) {
  file_op *o = flush_op(L, f, commit);
  return o ? iz_op_await(L, &o->op, write_over) : iz_push_oom(L);
}

static int push_broken(lua_State *L, file *f) {
  iz_err err;
  iz_fail(&err, "broken", "fs: an earlier write to \"%s\" failed; the file stays as it was",
          f->path);
  return iz_push_error(L, &err);
}

/* write(file, string) -> true; nil, err */
static int l_write(lua_State *L) {
  file *f = check_file(L, "wa");
  size_t n;
  const char *data = luaL_checklstring(L, 2, &n);
  if (f->busy) luaL_error(L, "the file \"%s\" is in use by another task", f->path);
  if (f->broken && f->mode == 'w') return push_broken(L, f);
  if (!iz_buf_add(&f->buf, data, n)) {
    f->buf.oom = false;
    return iz_push_oom(L);
  }
  if (f->mode == 'a' || f->buf.len >= WRITE_CHUNK) return flush(L, f, false);
  lua_pushboolean(L, 1);
  return 1;
}

/* ---- closing ---- */

static void forget(file *f) {
  f->open = false;
  if (f->busy) return; /* the job's end closes it */
  if (f->mode == 'w') iz_fs_draft_discard(&f->draft);
  if (f->mode != 'w' && f->fd >= 0) close(f->fd);
  f->fd = -1;
}

/* close(file) -> true; nil, err. What was written ("w") appears now. */
static int l_close(lua_State *L) {
  file *f = *(file **)luaL_checkudata(L, 1, TYPE);
  if (f && f->open && f->mode == 'w' && !f->broken) return flush(L, f, true);
  bool broken = f && f->open && f->mode == 'w';
  if (f && f->open) forget(f);
  if (broken) return push_broken(L, f);
  lua_pushboolean(L, 1);
  return 1;
}

/* The end of a block: as close, but after an error what was written is dropped, and a failure to
 * write is raised. */
static int close_checked(lua_State *L, int status, lua_KContext ctx) {
  int n = write_over(L, status, ctx);
  return n == 2 ? lua_error(L) : 0;
}

static int l_block_end(lua_State *L) {
  file *f = *(file **)luaL_checkudata(L, 1, TYPE);
  if (!f || !f->open) return 0;
  if (f->mode != 'w' || !lua_isnil(L, 2) || f->busy || f->broken) {
    forget(f);
    return 0;
  }
  file_op *o = flush_op(L, f, true);
  return o ? iz_op_await(L, &o->op, close_checked) : luaL_error(L, "not enough memory");
}

static int l_gc(lua_State *L) {
  file **box = luaL_checkudata(L, 1, TYPE);
  file *f = *box;
  *box = NULL;
  if (f) unref(f);
  return 0;
}

void iz_fs_add_file(lua_State *L) {
  static const luaL_Reg functions[] = {{"open", l_open},
                                       {"file_read", l_read},
                                       {"file_write", l_write},
                                       {"file_close", l_close},
                                       {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
  iz_class_add(
      L, &(iz_class){.type = TYPE, .methods = "file_methods", .gc = l_gc, .close = l_block_end});
}
