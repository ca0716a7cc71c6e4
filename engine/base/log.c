/* log.c -- log lines: see log.h. */
#include "log.h"

#include "clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static iz_log_level threshold = IZ_INFO;
static void (*diverted)(const char *, size_t);

void iz_log_set_level(iz_log_level level) {
  threshold = level;
}

iz_log_level iz_log_get_level(void) {
  return threshold;
}

void iz_log_divert(void (*fn)(const char *, size_t)) {
  diverted = fn;
}

static size_t put_prefix(char *out, size_t size, iz_log_level level, const char *who) {
  static const char *const names[] = {"DEBUG", "INFO ", "WARN ", "ERROR"};
  int64_t wall = iz_wall();
  time_t sec = (time_t)(wall / IZ_SEC);
  struct tm tm;
  gmtime_r(&sec, &tm);
  size_t n = strftime(out, size, "%Y-%m-%dT%H:%M:%S", &tm);
  int m = snprintf(out + n, size - n, ".%03dZ %s %s: ", (int)(wall % IZ_SEC / IZ_MS), names[level],
                   who);
  return n + (m > 0 ? (size_t)m : 0);
}

void iz_log(iz_log_level level, const char *who, const char *fmt, ...) {
  if (level < threshold || level >= IZ_OFF) return;
  char line[4096];
  size_t n = put_prefix(line, 128, level, who);
  va_list ap;
  va_start(ap, fmt);
  int m = vsnprintf(line + n, sizeof line - n - 1, fmt, ap);
  va_end(ap);
  if (m > 0) n += (size_t)m < sizeof line - n - 1 ? (size_t)m : sizeof line - n - 2;
  line[n++] = '\n';
  if (diverted) {
    diverted(line, n);
    return;
  }
  ssize_t ignored = write(STDERR_FILENO, line, n);
  (void)ignored;
}
