/* err.c -- filling an iz_err: see err.h. */
#include "err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void set_code(iz_err *err, const char *code) {
  snprintf(err->code, sizeof err->code, "%s", code);
  err->retryable = false;
}

bool iz_fail(iz_err *err, const char *code, const char *fmt, ...) {
  if (!err) return false;
  set_code(err, code);
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(err->message, sizeof err->message, fmt, ap);
  va_end(ap);
  return false;
}

static bool is_transient(int e) {
  return e == EAGAIN || e == EINTR || e == ECONNREFUSED || e == ECONNRESET || e == ETIMEDOUT ||
         e == EMFILE || e == ENFILE || e == ENOBUFS;
}

bool iz_fail_errno(iz_err *err, int errnum, const char *fmt, ...) {
  if (!err) return false;
  const char *name = strerrorname_np(errnum);
  set_code(err, name ? name : "EUNKNOWN");
  err->retryable = is_transient(errnum);
  va_list ap;
  va_start(ap, fmt);
  int n = vsnprintf(err->message, sizeof err->message, fmt, ap);
  va_end(ap);
  if (n < 0) n = 0;
  if ((size_t)n < sizeof err->message - 1)
    snprintf(err->message + n, sizeof err->message - (size_t)n, ": %s", strerrordesc_np(errnum));
  return false;
}

bool iz_fail_oom(iz_err *err) {
  if (!err) return false;
  set_code(err, "oom");
  memcpy(err->message, "out of memory", sizeof "out of memory");
  return false;
}
