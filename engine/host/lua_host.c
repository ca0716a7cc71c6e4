/* lua_host.c -- iza.core.host: host.h and plain POSIX calls for the verbs of the command line.
 *
 * Failures are nil and an error whose code is errno's name. Nothing here waits for long.
 */
#include "base/alloc.h"
#include "host/host.h"
#include "vm/await.h"

#include <dlfcn.h>
#include <errno.h>
#include <lauxlib.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

int iz_open_host(lua_State *L);

#define LOCK "iza.lock"

static int done(lua_State *L, bool ok, const iz_err *err) {
  if (!ok) return iz_push_error(L, err);
  lua_pushboolean(L, 1);
  return 1;
}

static int failed(lua_State *L, const char *what, const char *path) {
  iz_err err;
  iz_fail_errno(&err, errno, "cannot %s %s", what, path);
  return iz_push_error(L, &err);
}

/* ---- the lock ---- */

static int lock_close(lua_State *L) {
  int *fd = luaL_checkudata(L, 1, LOCK);
  if (*fd >= 0) close(*fd);
  *fd = -1;
  return 0;
}

/* lock(path, verb) -> lock object (close() frees it), or nil, err with code "locked". */
static int l_lock(lua_State *L) {
  const char *path = luaL_checkstring(L, 1), *verb = luaL_checkstring(L, 2);
  int *fd = lua_newuserdatauv(L, sizeof *fd, 0);
  *fd = -1;
  luaL_setmetatable(L, LOCK);
  iz_err err;
  *fd = iz_lock_take(path, verb, &err);
  return *fd >= 0 ? 1 : iz_push_error(L, &err);
}

/* owner(path) -> pid and verb of who holds the lock, nil when nobody does, or nil, err: it cannot
 * be seen. */
static int l_owner(lua_State *L) {
  iz_err err;
  iz_owner owner;
  if (!iz_lock_owner(luaL_checkstring(L, 1), &owner, &err)) return iz_push_error(L, &err);
  if (!owner.pid) return 0;
  lua_pushinteger(L, owner.pid);
  lua_pushstring(L, owner.verb);
  return 2;
}

static void open_lock(lua_State *L) {
  static const luaL_Reg methods[] = {{"close", lock_close}, {NULL, NULL}};
  luaL_newmetatable(L, LOCK);
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, lock_close);
  lua_setfield(L, -2, "__gc");
  lua_pushcfunction(L, lock_close);
  lua_setfield(L, -2, "__close");
  lua_pop(L, 1);
}

/* ---- files ---- */

/* kind(path) -> "file", "dir", "link", "other", or nil; of the link itself. Second: mode, a number.
 */
static int l_kind(lua_State *L) {
  struct stat st;
  if (lstat(luaL_checkstring(L, 1), &st) != 0) return 0;
  lua_pushstring(L, S_ISREG(st.st_mode)   ? "file"
                    : S_ISDIR(st.st_mode) ? "dir"
                    : S_ISLNK(st.st_mode) ? "link"
                                          : "other");
  lua_pushinteger(L, st.st_mode & 07777);
  return 2;
}

/* mkdir(path, mode): with those above it, as iz_dir_make; iza.fs.mkdir where any mode will do. */
static int l_mkdir(lua_State *L) {
  iz_err err;
  return done(L, iz_dir_make(luaL_checkstring(L, 1), (mode_t)luaL_checkinteger(L, 2), &err), &err);
}

/* replace(path, text, mode?) */
static int l_replace(lua_State *L) {
  size_t n;
  const char *path = luaL_checkstring(L, 1), *data = luaL_checklstring(L, 2, &n);
  iz_err err;
  return done(L, iz_file_replace(path, data, n, (mode_t)luaL_optinteger(L, 3, 0644), &err), &err);
}

static int l_symlink(lua_State *L) {
  const char *target = luaL_checkstring(L, 1), *path = luaL_checkstring(L, 2);
  if (symlink(target, path) != 0) return failed(L, "make the link", path);
  lua_pushboolean(L, 1);
  return 1;
}

static int l_readlink(lua_State *L) {
  char target[PATH_MAX];
  const char *path = luaL_checkstring(L, 1);
  ssize_t n = readlink(path, target, sizeof target);
  if (n < 0) return failed(L, "read the link", path);
  lua_pushlstring(L, target, (size_t)n);
  return 1;
}

/* real(path) -> the absolute path without links. */
static int l_real(lua_State *L) {
  char real[PATH_MAX];
  const char *path = luaL_checkstring(L, 1);
  if (!realpath(path, real)) return failed(L, "find", path);
  lua_pushstring(L, real);
  return 1;
}

static int l_cwd(lua_State *L) {
  char dir[PATH_MAX];
  if (!getcwd(dir, sizeof dir)) return failed(L, "find", "the working directory");
  lua_pushstring(L, dir);
  return 1;
}

/* access(path, "r"|"w"|"x") -> boolean, by the real user. */
static int l_access(lua_State *L) {
  static const char *const names[] = {"r", "w", "x", NULL};
  static const int modes[] = {R_OK, W_OK, X_OK};
  const char *path = luaL_checkstring(L, 1);
  lua_pushboolean(L, access(path, modes[luaL_checkoption(L, 2, "r", names)]) == 0);
  return 1;
}

/* ---- the machine ---- */

static int l_uid(lua_State *L) {
  lua_pushinteger(L, geteuid());
  return 1;
}

static int l_pid(lua_State *L) {
  lua_pushinteger(L, getpid());
  return 1;
}

/* kill(pid, "TERM"|"KILL"|"HUP"|0) */
static int l_kill(lua_State *L) {
  static const char *const names[] = {"TERM", "KILL", "HUP", NULL};
  static const int numbers[] = {SIGTERM, SIGKILL, SIGHUP};
  lua_Integer pid = luaL_checkinteger(L, 1);
  luaL_argcheck(L, pid > 1 && pid <= INT_MAX, 1, "no process id");
  if (kill((pid_t)pid, numbers[luaL_checkoption(L, 2, "TERM", names)]) != 0)
    return failed(L, "signal", "the process");
  lua_pushboolean(L, 1);
  return 1;
}

/* library(name) -> true when the loader finds the shared library, else nil and its words. */
static int l_library(lua_State *L) {
  void *handle = dlopen(luaL_checkstring(L, 1), RTLD_LAZY | RTLD_LOCAL);
  if (!handle) {
    lua_pushnil(L);
    lua_pushstring(L, dlerror());
    return 2;
  }
  dlclose(handle);
  lua_pushboolean(L, 1);
  return 1;
}

/* open_files() -> how many descriptors this process may open, and how many it could ask for. */
static int l_open_files(lua_State *L) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return failed(L, "read", "the limits");
  bool none = limit.rlim_max == RLIM_INFINITY;
  lua_pushinteger(L,
                  limit.rlim_cur == RLIM_INFINITY ? LUA_MAXINTEGER : (lua_Integer)limit.rlim_cur);
  lua_pushinteger(L, none ? LUA_MAXINTEGER : (lua_Integer)limit.rlim_max);
  return 2;
}

#ifndef IZ_LIBEVENT
#define IZ_LIBEVENT ""
#endif

/* libevent() -> the Debian version of the libevent that is linked in; "" where it is not known. */
static int l_libevent(lua_State *L) {
  lua_pushliteral(L, IZ_LIBEVENT);
  return 1;
}

int iz_open_host(lua_State *L) {
  static const luaL_Reg functions[] = {{"lock", l_lock},
                                       {"owner", l_owner},
                                       {"kind", l_kind},
                                       {"mkdir", l_mkdir},
                                       {"replace", l_replace},
                                       {"symlink", l_symlink},
                                       {"readlink", l_readlink},
                                       {"real", l_real},
                                       {"cwd", l_cwd},
                                       {"access", l_access},
                                       {"uid", l_uid},
                                       {"pid", l_pid},
                                       {"kill", l_kill},
                                       {"library", l_library},
                                       {"open_files", l_open_files},
                                       {"libevent", l_libevent},
                                       {NULL, NULL}};
  open_lock(L);
  luaL_newlib(L, functions);
  return 1;
}
