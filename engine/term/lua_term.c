/* lua_term.c -- iza.core.term: what lua/iza/term.lua and log.lua need of the system.
 *
 * Streams are file descriptor numbers. write() is for terminals and log files: it blocks until all
 * is written, and a line given in one call stays whole beside other processes' lines.
 */
#include "term/width.h"

#include "vm/await.h"
#include "vm/push.h"

#include <errno.h>
#include <lauxlib.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

int iz_open_term(lua_State *L);

static int check_fd(lua_State *L) {
  lua_Integer fd = luaL_checkinteger(L, 1);
  luaL_argcheck(L, fd >= 0 && fd < 1 << 20, 1, "not a file descriptor");
  return (int)fd;
}

/* isatty(fd) -> boolean */
static int l_isatty(lua_State *L) {
  lua_pushboolean(L, isatty(check_fd(L)));
  return 1;
}

/* size(fd) -> columns, rows; nothing when it is no terminal or has no size */
static int l_size(lua_State *L) {
  struct winsize w;
  if (ioctl(check_fd(L), TIOCGWINSZ, &w) != 0 || w.ws_col == 0) return 0;
  lua_pushinteger(L, w.ws_col);
  lua_pushinteger(L, w.ws_row);
  return 2;
}

/* write(fd, text) -> true, or nil and an error */
static int l_write(lua_State *L) {
  int fd = check_fd(L);
  size_t n;
  const char *s = luaL_checklstring(L, 2, &n);
  while (n > 0) {
    ssize_t wrote = write(fd, s, n);
    if (wrote >= 0) {
      s += wrote;
      n -= (size_t)wrote;
    } else if (errno == EAGAIN) {
      struct pollfd p = {.fd = fd, .events = POLLOUT};
      poll(&p, 1, -1);
    } else if (errno != EINTR) {
      iz_err err;
      iz_fail_errno(&err, errno, "write to file descriptor %d", fd);
      return iz_push_error(L, &err);
    }
  }
  lua_pushboolean(L, 1);
  return 1;
}

/* width(text) -> columns */
static int l_width(lua_State *L) {
  size_t n;
  const char *s = luaL_checklstring(L, 1, &n);
  lua_pushinteger(L, (lua_Integer)iz_text_width(s, n));
  return 1;
}

/* fit(text, columns) -> how many bytes of it fit */
static int l_fit(lua_State *L) {
  size_t n;
  const char *s = luaL_checklstring(L, 1, &n);
  lua_Integer columns = luaL_checkinteger(L, 2);
  lua_pushinteger(L, columns < 0 ? 0 : (lua_Integer)iz_text_fit(s, n, (size_t)columns));
  return 1;
}

/* clean(text) -> the text without control characters */
static int l_clean(lua_State *L) {
  size_t n;
  const char *s = luaL_checklstring(L, 1, &n);
  iz_buf b = {0};
  if (iz_text_clean(&b, s, n)) return iz_push_buf(L, &b);
  iz_buf_free(&b);
  return luaL_error(L, "not enough memory");
}

int iz_open_term(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"isatty", l_isatty}, {"size", l_size},   {"write", l_write}, {"width", l_width},
      {"fit", l_fit},       {"clean", l_clean}, {NULL, NULL},
  };
  luaL_newlib(L, functions);
  return 1;
}
