/* hold.c -- standard output and error as large buffers: see hold.h. */
#include "hold.h"

#include "base/log.h"

#include <stdio.h>
#include <stdio_ext.h>

static char out[64 * 1024], err[64 * 1024];

static void log_line(const char *p, size_t n) {
  fwrite(p, 1, n, stderr);
}

void iz_hold_begin(void) {
  fflush(stdout);
  setvbuf(stdout, out, _IOFBF, sizeof out);
  setvbuf(stderr, err, _IOFBF, sizeof err);
  iz_log_divert(log_line);
}

bool iz_hold_pending(void) {
  return __fpending(stdout) > 0 || __fpending(stderr) > 0;
}

static void write_out(FILE *f, const char *buffer) {
  size_t n = __fpending(f);
  if (n > 0 && buffer[n - 1] != '\n') fputc('\n', f);
  fflush(f);
}

void iz_hold_flush(void) {
  write_out(stderr, err);
  write_out(stdout, out);
}

void iz_hold_end(void) {
  iz_log_divert(NULL);
  fflush(stderr);
  fflush(stdout);
  setvbuf(stderr, NULL, _IONBF, 0);
  setvbuf(stdout, NULL, _IOLBF, 0);
}
