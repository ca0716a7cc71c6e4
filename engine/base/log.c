/* log.c -- log lines: see log.h. */
#include "log.h"

#include "clock.h"
#include "utf8.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#define MAX_MESSAGE 4096

static iz_log_level threshold = IZ_INFO;
static bool as_json;
static void (*diverted)(const char *, size_t);
static pthread_once_t once = PTHREAD_ONCE_INIT;

static const char *const level_names[] = {"debug", "info", "warn", "error"};

static void read_settings(void) {
  const char *form = getenv("IZA_LOG"), *level = getenv("IZA_LOG_LEVEL");
  as_json = form && !strcmp(form, "json");
  if (!as_json && !(form && !strcmp(form, "text"))) as_json = !isatty(STDERR_FILENO);
  for (int i = 0; level && i < IZ_OFF; i++)
    if (!strcasecmp(level, level_names[i])) threshold = (iz_log_level)i;
}

void iz_log_set_level(iz_log_level level) {
  pthread_once(&once, read_settings);
  threshold = level;
}

iz_log_level iz_log_get_level(void) {
  pthread_once(&once, read_settings);
  return threshold;
}

void iz_log_divert(void (*fn)(const char *, size_t)) {
  diverted = fn;
}

static size_t put_time(char *out, size_t size) {
  int64_t wall = iz_wall();
  time_t sec = (time_t)(wall / IZ_SEC);
  struct tm tm;
  gmtime_r(&sec, &tm);
  size_t n = strftime(out, size, "%Y-%m-%dT%H:%M:%S", &tm);
  int m = snprintf(out + n, size - n, ".%03dZ", (int)(wall % IZ_SEC / IZ_MS));
  return n + (m > 0 ? (size_t)m : 0);
}

static size_t put_text(char *out, size_t size, iz_log_level level, const char *who,
                       const char *text) {
  static const char *const shown[] = {"DEBUG", "INFO ", "WARN ", "ERROR"};
  size_t n = put_time(out, size);
  int m = snprintf(out + n, size - n, " %s %s: %s", shown[level], who, text);
  if (m > 0) n += (size_t)m < size - n ? (size_t)m : size - n - 1;
  return n;
}

/* One character of a JSON string; what is not UTF-8 becomes "?". Returns the bytes it came from. */
static size_t put_char(char *out, size_t *n, const char *p, const char *end) {
  unsigned char c = (unsigned char)*p;
  size_t len = iz_utf8_len(p, end);
  const char *short_form = c ? strchr("\"\"\\\\\nn\rr\tt", c) : NULL;
  if (short_form && (c == '"' || c == '\\' || c < 0x20)) {
    out[(*n)++] = '\\';
    out[(*n)++] = short_form[1];
  } else if (c < 0x20) {
    *n += (size_t)snprintf(out + *n, 7, "\\u%04x", c);
  } else if (!len) {
    out[(*n)++] = '?';
  } else {
    memcpy(out + *n, p, len);
    *n += len;
  }
  return len ? len : 1;
}

static size_t put_json(char *out, size_t size, iz_log_level level, const char *who,
                       const char *text) {
  const char tail[] = "\"}";
  char time[40];
  put_time(time, sizeof time);
  int m = snprintf(out, size, "{\"time\":\"%s\",\"level\":\"%s\",\"from\":\"%s\",\"msg\":\"", time,
                   level_names[level], who);
  size_t n = m > 0 ? (size_t)m : 0;
  const char *end = text + strlen(text);
  for (const char *p = text; p < end && n + 7 + sizeof tail < size;) p += put_char(out, &n, p, end);
  memcpy(out + n, tail, sizeof tail - 1);
  return n + sizeof tail - 1;
}

void iz_log(iz_log_level level, const char *who, const char *fmt, ...) {
  pthread_once(&once, read_settings);
  if (level < threshold || level >= IZ_OFF) return;
  char text[MAX_MESSAGE], line[2 * MAX_MESSAGE];
  va_list ap;
  va_start(ap, fmt);
  int m = vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  if (m < 0) return;
  size_t n = (as_json && !diverted ? put_json : put_text)(line, sizeof line - 1, level, who, text);
  line[n++] = '\n';
  if (diverted) {
    diverted(line, n);
    return;
  }
  ssize_t ignored = write(STDERR_FILENO, line, n);
  (void)ignored;
}
