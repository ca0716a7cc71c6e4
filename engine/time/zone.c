/* zone.c -- reading zone files: see zone.h. */
#include "zone.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ZONE_DIR "/usr/share/zoneinfo"
enum { FILE_MAX = 256 * 1024 }; /* the largest real one has 4 KB */

static bool is_name_char(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '+' || c == '-';
}

bool iz_zone_name_ok(const char *name) {
  size_t n = strnlen(name, IZ_ZONE_NAME_MAX + 1);
  if (n == 0 || n > IZ_ZONE_NAME_MAX) return false;
  for (size_t i = 0; i < n; i++) {
    if (is_name_char(name[i])) continue;
    bool joins = name[i] == '/' && i > 0 && i + 1 < n && name[i - 1] != '/';
    if (!joins) return false;
  }
  return true;
}

static bool read_all(int fd, const char *name, iz_buf *out, iz_err *err) {
  struct stat st;
  if (fstat(fd, &st) != 0) return iz_fail_errno(err, errno, "time zone %s", name);
  if (!S_ISREG(st.st_mode)) return iz_fail(err, "not_found", "no time zone is named %s", name);
  if (st.st_size > FILE_MAX) return iz_fail(err, "invalid", "time zone %s: file too large", name);
  if (!iz_buf_reserve(out, FILE_MAX)) return iz_fail_oom(err);
  size_t start = out->len;
  while (out->len - start < FILE_MAX) {
    ssize_t got = read(fd, out->data + out->len, FILE_MAX - (out->len - start));
    if (got == 0) return true;
    if (got > 0)
      out->len += (size_t)got;
    else if (errno != EINTR)
      return iz_fail_errno(err, errno, "time zone %s", name);
  }
  return true;
}

bool iz_zone_read(const char *name, iz_buf *out, iz_err *err) {
  if (!iz_zone_name_ok(name)) return iz_fail(err, "invalid", "not the name of a time zone");
  char path[sizeof ZONE_DIR + 1 + IZ_ZONE_NAME_MAX];
  snprintf(path, sizeof path, "%s/%s", ZONE_DIR, name);
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    if (errno != ENOENT && errno != ENOTDIR) return iz_fail_errno(err, errno, "time zone %s", name);
    if (access(ZONE_DIR, F_OK) != 0)
      return iz_fail(err, "missing_tzdata",
                     "no time zones on this machine: install the package tzdata "
                     "(UTC and offsets like +02:00 work without it)");
    return iz_fail(err, "not_found", "no time zone is named %s", name);
  }
  bool ok = read_all(fd, name, out, err);
  close(fd);
  return ok;
}

static bool take_name(char out[IZ_ZONE_NAME_MAX + 1], const char *name) {
  if (!iz_zone_name_ok(name)) return false;
  snprintf(out, IZ_ZONE_NAME_MAX + 1, "%s", name);
  return true;
}

void iz_zone_local(char out[IZ_ZONE_NAME_MAX + 1]) {
  const char *tz = getenv("TZ");
  if (tz && take_name(out, tz[0] == ':' ? tz + 1 : tz)) return;
  char target[512];
  ssize_t n = readlink("/etc/localtime", target, sizeof target - 1);
  if (n > 0) {
    target[n] = '\0';
    const char *at = strstr(target, "zoneinfo/");
    if (at && take_name(out, at + strlen("zoneinfo/"))) return;
  }
  take_name(out, "UTC");
}
