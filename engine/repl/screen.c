/* screen.c -- libedit's output on its way to the terminal: see screen.h. */
#include "screen.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

enum { PLAIN, ESCAPE, SEQUENCE };

void iz_screen_write(int fd, const char *p, size_t n) {
  while (n > 0) {
    ssize_t wrote = write(fd, p, n);
    if (wrote >= 0) {
      p += wrote;
      n -= (size_t)wrote;
    } else if (errno == EAGAIN) {
      struct pollfd ready = {.fd = fd, .events = POLLOUT};
      poll(&ready, 1, -1);
    } else if (errno != EINTR) {
      return; /* the terminal is gone; reading will tell */
    }
  }
}

static void flush(iz_screen *s) {
  iz_screen_write(s->fd, s->out.data, s->out.len);
  iz_buf_clear(&s->out);
}

/* Follows "ESC [ n A": the cursor goes up. */
static void follow(iz_screen *s, char c) {
  if (s->state == ESCAPE) {
    s->state = c == '[' ? SEQUENCE : PLAIN;
    s->argument = 0;
  } else if (c >= '0' && c <= '9') {
    if (s->argument < 10000) s->argument = s->argument * 10 + (c - '0');
  } else if (c >= '@' && c <= '~') {
    if (c == 'A') s->row -= s->argument ? s->argument : 1;
    if (s->row < 0) s->row = 0;
    s->state = PLAIN;
  }
}

static void pass(iz_screen *s, char c) {
  if (s->state != PLAIN) {
    follow(s, c);
    iz_buf_addc(&s->out, c);
  } else if (c == '\n') {
    s->row++;
    iz_buf_adds(&s->out, "\r\n");
    iz_buf_adds(&s->out, s->more);
  } else if (c == '\r') {
    iz_buf_addf(&s->out, "\r\033[%dC", s->gutter);
  } else {
    if (c == '\033') s->state = ESCAPE;
    iz_buf_addc(&s->out, c);
  }
}

static ssize_t on_write(void *cookie, const char *p, size_t n) {
  iz_screen *s = cookie;
  if (!s->visible) return (ssize_t)n;
  for (size_t i = 0; i < n; i++) pass(s, p[i]);
  flush(s);
  return (ssize_t)n;
}

FILE *iz_screen_open(iz_screen *s) {
  cookie_io_functions_t io = {.write = on_write};
  return fopencookie(s, "w", io);
}

void iz_screen_fresh_row(iz_screen *s, int columns) {
  iz_buf_adds(&s->out, "\033[7m\\\033[0m");
  for (int i = 1; i < columns; i++) iz_buf_addc(&s->out, ' ');
  iz_buf_adds(&s->out, "\r\033[K");
  flush(s);
}

void iz_screen_begin(iz_screen *s) {
  s->row = 0;
  s->state = PLAIN;
  s->visible = true;
  iz_buf_adds(&s->out, "\r");
  iz_buf_adds(&s->out, s->prompt);
  flush(s);
}

void iz_screen_erase(iz_screen *s) {
  if (s->row > 0) iz_buf_addf(&s->out, "\033[%dA", s->row);
  iz_buf_adds(&s->out, "\r\033[J");
  flush(s);
  s->row = 0;
  s->visible = false;
}
