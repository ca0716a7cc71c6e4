/* hold.c -- standard output and error as large buffers: see hold.h. */
#include "hold.h"

#include "base/log.h"

#include <stdio.h>
#include <stdio_ext.h>
#include <unistd.h>

#define SIZE (64 * 1024)

static char out[SIZE], err[SIZE];

static void log_line(const char *p, size_t n) {
  fwrite(p, 1, n, stderr);
}

/* glibc gives a stream that was not fully buffered its new buffer only at the next flush of
 * something: a carriage return, which a prompt begins with anyway. */
static void hold(FILE *f, char *buffer) {
  fflush(f);
  setvbuf(f, buffer, _IOFBF, SIZE);
  fputc('\r', f);
  fflush(f);
}

void iz_hold_begin(void) {
  hold(stdout, out);
  if (!isatty(STDERR_FILENO)) return;
  hold(stderr, err);
  iz_log_divert(log_line);
}

bool iz_hold_pending(void) {
  return __fpending(stdout) > 0 || __fpending(stderr) > 0; /* of an unbuffered stream it is 0 */
}

static void write_out(FILE *f, const char *buffer) {
  size_t n = __fpending(f);
  if (n > 0 && buffer[n - 1] != '\n') fputc('\n', f);
  fflush(f);
}

void iz_hold_flush(void) {
  if (isatty(STDERR_FILENO)) write_out(stderr, err);
  write_out(stdout, out);
}

void iz_hold_end(void) {
  iz_log_divert(NULL);
  fflush(stderr);
  fflush(stdout);
  if (isatty(STDERR_FILENO)) setvbuf(stderr, NULL, _IONBF, 0);
  setvbuf(stdout, NULL, _IOLBF, 0);
}
