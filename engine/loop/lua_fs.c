/* lua_fs.c -- iza.core.fs: whole files and names. Each call is one op on the pool; lua/iza/fs.lua
 * is the face of it. */
#include "lua_fs.h"

#include "base/alloc.h"
#include "fs.h"
#include "lua_op.h"

#include <lauxlib.h>
#include <string.h>

typedef struct fs_op {
  iz_op op;
  char *path, *other; /* other: a second path, or a glob */
  iz_buf data;        /* in or out */
  bool flag;          /* recursive, append */
  uint64_t max;
  iz_fs_list list;
  iz_fs_info info;
} fs_op;

static fs_op *of(iz_op *op) {
  return IZ_OUTER(op, fs_op, op);
}

static void release(iz_op *op) {
  fs_op *o = of(op);
  iz_free(o->path);
  iz_free(o->other);
  iz_buf_free(&o->data);
  iz_buf_free(&o->list.entries);
  iz_free(o);
}

const char *iz_check_path(lua_State *L, int arg) {
  size_t n;
  const char *path = luaL_checklstring(L, arg, &n);
  luaL_argcheck(L, strlen(path) == n, arg, "a path cannot contain a zero byte");
  return path;
}

/* An op on the path that is argument 1 and the string or nil that is argument `other`;
 * NULL: out of memory. */
static fs_op *new_op(lua_State *L, void (*work)(iz_op *), int other) {
  const char *path = iz_check_path(L, 1);
  const char *second = lua_isnoneornil(L, other) ? NULL : iz_check_path(L, other);
  fs_op *o = iz_calloc(1, sizeof *o);
  if (!o) return NULL;
  o->op.work = work;
  o->op.release = release;
  o->path = iz_strdup(path);
  o->other = second ? iz_strdup(second) : NULL;
  if (o->path && (o->other || !second)) return o;
  release(&o->op);
  return NULL;
}

static int await_op(lua_State *L, fs_op *o, lua_KFunction k) {
  return o ? iz_op_await(L, &o->op, k) : iz_push_oom(L);
}

static int push_true(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  iz_op *op = (iz_op *)ctx;
  if (!op->ok) return iz_push_error(L, &op->err);
  lua_pushboolean(L, 1);
  return 1;
}

/* ---- contents ---- */

static void work_read(iz_op *op) {
  fs_op *o = of(op);
  op->ok = iz_fs_read(o->path, o->max, &o->data, &op->stop, &op->err);
}

static int push_data(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  fs_op *o = of((iz_op *)ctx);
  if (!o->op.ok) return iz_push_error(L, &o->op.err);
  lua_pushlstring(L, o->data.len ? o->data.data : "", o->data.len);
  return 1;
}

/* read(path, max) -> string */
static int l_read(lua_State *L) {
  int64_t max = iz_check_size(L, 2);
  lua_settop(L, 1);
  fs_op *o = new_op(L, work_read, 2);
  if (o) o->max = (uint64_t)max;
  return await_op(L, o, push_data);
}

static void work_write(iz_op *op) {
  fs_op *o = of(op);
  op->ok = o->flag ? iz_fs_append(o->path, o->data.data, o->data.len, &op->stop, &op->err)
                   : iz_fs_write(o->path, o->data.data, o->data.len, &op->stop, &op->err);
}

/* write(path, data, append) -> true */
static int l_write(lua_State *L) {
  size_t n;
  const char *data = luaL_checklstring(L, 2, &n);
  fs_op *o = new_op(L, work_write, 4);
  if (!o) return iz_push_oom(L);
  o->flag = lua_toboolean(L, 3);
  if (iz_buf_add(&o->data, data, n)) return await_op(L, o, push_true);
  release(&o->op);
  return iz_push_oom(L);
}

static void work_copy(iz_op *op) {
  op->ok = iz_fs_copy(of(op)->path, of(op)->other, &op->stop, &op->err);
}

/* copy(from, to) -> true */
static int l_copy(lua_State *L) {
  iz_check_path(L, 2);
  return await_op(L, new_op(L, work_copy, 2), push_true);
}

/* ---- names ---- */

static void work_rename(iz_op *op) {
  op->ok = iz_fs_rename(of(op)->path, of(op)->other, &op->err);
}

/* rename(from, to) -> true */
static int l_rename(lua_State *L) {
  iz_check_path(L, 2);
  return await_op(L, new_op(L, work_rename, 2), push_true);
}

static void work_mkdir(iz_op *op) {
  op->ok = iz_fs_mkdir(of(op)->path, &op->err);
}

/* mkdir(path) -> true */
static int l_mkdir(lua_State *L) {
  return await_op(L, new_op(L, work_mkdir, 2), push_true);
}

static void work_remove(iz_op *op) {
  op->ok = iz_fs_remove(of(op)->path, of(op)->flag, &op->stop, &op->err);
}

/* remove(path, recursive) -> true */
static int l_remove(lua_State *L) {
  bool recursive = lua_toboolean(L, 2);
  fs_op *o = new_op(L, work_remove, 3);
  if (o) o->flag = recursive;
  return await_op(L, o, push_true);
}

static void work_tempdir(iz_op *op) {
  op->ok = iz_fs_tempdir(&of(op)->data, &op->err);
}

static int push_path(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  fs_op *o = of((iz_op *)ctx);
  if (!o->op.ok) return iz_push_error(L, &o->op.err);
  lua_pushstring(L, o->data.data);
  return 1;
}

/* tempdir() -> path */
static int l_tempdir(lua_State *L) {
  lua_settop(L, 0);
  lua_pushliteral(L, "");
  return await_op(L, new_op(L, work_tempdir, 2), push_path);
}

static const char *type_name(char type) {
  return type == 'f' ? "file" : type == 'd' ? "folder" : type == 'l' ? "link" : "other";
}

static void work_stat(iz_op *op) {
  op->ok = iz_fs_stat(of(op)->path, &of(op)->info, &op->err);
}

static int push_info(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  fs_op *o = of((iz_op *)ctx);
  if (!o->op.ok) return iz_push_error(L, &o->op.err);
  lua_createtable(L, 0, 4);
  lua_pushstring(L, type_name(o->info.type));
  lua_setfield(L, -2, "type");
  lua_pushinteger(L, (lua_Integer)o->info.size);
  lua_setfield(L, -2, "size");
  lua_pushnumber(L, (lua_Number)o->info.mtime / 1e9);
  lua_setfield(L, -2, "mtime");
  lua_pushinteger(L, o->info.mode);
  lua_setfield(L, -2, "mode");
  return 1;
}

/* stat(path) -> {type, size, mtime, mode} */
static int l_stat(lua_State *L) {
  return await_op(L, new_op(L, work_stat, 2), push_info);
}

static void work_list(iz_op *op) {
  fs_op *o = of(op);
  op->ok = iz_fs_list_dir(o->path, o->flag, o->other, &o->list, &op->stop, &op->err);
}

static int push_list(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  fs_op *o = of((iz_op *)ctx);
  if (!o->op.ok) return iz_push_error(L, &o->op.err);
  const iz_buf *b = &o->list.entries;
  lua_createtable(L, (int)o->list.count, 0);
  lua_Integer i = 0;
  for (size_t at = 0; at < b->len; at += strlen(b->data + at) + 1) {
    lua_createtable(L, 0, 2);
    lua_pushstring(L, b->data + at + 1);
    lua_setfield(L, -2, "name");
    lua_pushstring(L, type_name(b->data[at]));
    lua_setfield(L, -2, "type");
    lua_rawseti(L, -2, ++i);
  }
  return 1;
}

/* list(path, recursive, glob|nil) -> {{name=, type=}, ...} */
static int l_list(lua_State *L) {
  bool recursive = lua_toboolean(L, 2);
  fs_op *o = new_op(L, work_list, 3);
  if (o) o->flag = recursive;
  return await_op(L, o, push_list);
}

int iz_open_fs(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"read", l_read},       {"write", l_write},   {"copy", l_copy}, {"rename", l_rename},
      {"mkdir", l_mkdir},     {"remove", l_remove}, {"stat", l_stat}, {"list", l_list},
      {"tempdir", l_tempdir}, {NULL, NULL}};
  luaL_newlib(L, functions);
  iz_fs_add_file(L);
  iz_fs_add_watch(L);
  return 1;
}
