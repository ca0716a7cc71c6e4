/* watch_scan.c -- see watch_scan.h. The folders still to walk are a list, not a recursion. */
#include "watch_scan.h"

#include "changes.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#define MASK                                                                                       \
  (IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |              \
   IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR | IN_EXCL_UNLINK)

bool iz_scan_join(char out[PATH_MAX], const char *dir, const char *name) {
  size_t n = strlen(dir);
  const char *slash = n && dir[n - 1] == '/' ? "" : "/";
  int m = snprintf(out, PATH_MAX, "%s%s%s", dir, slash, name);
  return m >= 0 && m < PATH_MAX;
}

static void fail_limit(iz_scan *s, const char *dir) {
  s->failed = true;
  char most[32] = "?";
  FILE *f = fopen("/proc/sys/fs/inotify/max_user_watches", "re");
  if (f) {
    if (!fgets(most, sizeof most, f)) most[0] = '?';
    fclose(f);
  }
  most[strcspn(most, "\n")] = 0;
  iz_fail(&s->err, "limit",
          "watch: cannot watch \"%s\": the limit of %s watched folders is reached; watch fewer, or "
          "raise it: sudo sysctl fs.inotify.max_user_watches=1048576",
          dir, most);
}

static void fail_scan(iz_scan *s, int errnum, const char *dir) {
  s->failed = true;
  iz_fail_errno(&s->err, errnum, "watch: cannot watch \"%s\"", dir);
}

/* False when the folder cannot be watched: that fails the scan only for the root and for limits;
 * any other folder may have gone meanwhile or be closed to us. */
static bool add_watch(iz_scan *s, const char *dir) {
  int32_t wd = inotify_add_watch(s->inotify_fd, dir, MASK);
  if (wd >= 0)
    return iz_buf_add(&s->dirs, &wd, sizeof wd) && iz_buf_add(&s->dirs, dir, strlen(dir) + 1);
  if (errno == ENOSPC)
    fail_limit(s, dir);
  else if (s->whole && !s->dirs.len)
    fail_scan(s, errno, dir);
  return false;
}

static bool is_folder(DIR *d, const struct dirent *e) {
  if (e->d_type != DT_UNKNOWN) return e->d_type == DT_DIR;
  struct stat st;
  return fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

static void note_entry(iz_scan *s, const char *dir, const char *name, bool folder) {
  char path[PATH_MAX];
  if (!iz_scan_join(path, dir, name)) return;
  size_t n = strlen(path) + 1;
  if (folder && s->recursive && name[0] != '.') iz_buf_add(&s->todo, path, n);
  if (s->whole) return;
  if (++s->file_count > IZ_CHANGES_MOST)
    s->lost = true;
  else
    iz_buf_add(&s->files, path, n);
}

static void list_folder(iz_scan *s, const char *dir) {
  DIR *d = opendir(dir);
  if (!d) return;
  for (struct dirent *e; (e = readdir(d));) {
    if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
    note_entry(s, dir, e->d_name, is_folder(d, e));
  }
  closedir(d);
}

static bool out_of_memory(const iz_scan *s) {
  return s->todo.oom || s->dirs.oom || s->files.oom;
}

void iz_scan_run(iz_scan *s) {
  char dir[PATH_MAX];
  for (size_t at = 0; at < s->todo.len && !s->failed && !out_of_memory(s);) {
    /* a copy: the list grows and moves while the folder is read */
    size_t n = strnlen(s->todo.data + at, s->todo.len - at);
    if (n < sizeof dir) {
      memcpy(dir, s->todo.data + at, n);
      dir[n] = 0;
      if (add_watch(s, dir) && (s->recursive || !s->whole)) list_folder(s, dir);
    }
    at += n + 1;
  }
  if (!out_of_memory(s)) return;
  s->failed = true;
  iz_fail_oom(&s->err);
}

void iz_scan_free(iz_scan *s) {
  iz_buf_free(&s->todo);
  iz_buf_free(&s->dirs);
  iz_buf_free(&s->files);
}
