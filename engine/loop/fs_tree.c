/* fs_tree.c -- listing and removing whole trees: see fs.h.
 *
 * Both walk a list of folders that grows as they find more: no recursion, so depth costs nothing.
 * Folders are opened with O_NOFOLLOW: a link put in a folder's place is not entered.
 */
#include "fs.h"

#include "base/alloc.h"
#include "glob.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct walk {
  const char *root;
  iz_buf folders; /* paths below the root (the root is ""), each with its NUL; walked in order */
  size_t at;      /* of the present folder in `folders` */
  DIR *dir;
  iz_fs_stop stop;
  iz_err *err;
} walk;

static bool join(char out[PATH_MAX], const char *dir, const char *name) {
  bool bare = !*dir || !*name;
  const char *slash = bare || dir[strlen(dir) - 1] == '/' ? "" : "/";
  int n = snprintf(out, PATH_MAX, "%s%s%s", dir, slash, name);
  return n >= 0 && n < PATH_MAX;
}

static bool too_long(walk *w) {
  return iz_fail_errno(w->err, ENAMETOOLONG, "fs: in \"%s\"", w->root);
}

static bool add_folder(walk *w, const char *below) {
  return iz_buf_add(&w->folders, below, strlen(below) + 1) || iz_fail_oom(w->err);
}

static const char *folder(const walk *w) {
  return w->folders.data + w->at;
}

/* Opens the present folder. Only the root may be a link. */
static bool open_folder(walk *w) {
  char path[PATH_MAX];
  if (w->stop && atomic_load(w->stop))
    return iz_fail(w->err, "cancelled", "fs: the work on \"%s\" was cancelled", w->root);
  if (!join(path, w->root, folder(w))) return too_long(w);
  int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK | (*folder(w) ? O_NOFOLLOW : 0);
  int fd = open(path, flags);
  w->dir = fd >= 0 ? fdopendir(fd) : NULL;
  if (w->dir) return true;
  int saved = errno;
  if (fd >= 0) close(fd);
  bool vanished = *folder(w) && (saved == ENOENT || saved == ENOTDIR || saved == ELOOP);
  return vanished || iz_fail_errno(w->err, saved, "fs: cannot list \"%s\"", path);
}

static char type_of_entry(DIR *dir, const struct dirent *e) {
  struct stat st;
  switch (e->d_type) {
  case DT_REG:
    return 'f';
  case DT_DIR:
    return 'd';
  case DT_LNK:
    return 'l';
  case DT_UNKNOWN:
    if (fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) return 'o';
    return S_ISREG(st.st_mode) ? 'f' : S_ISDIR(st.st_mode) ? 'd' : S_ISLNK(st.st_mode) ? 'l' : 'o';
  default:
    return 'o';
  }
}

/* Calls each(w, type, name, path below the root, ctx) for all entries of all folders that are or
 * come to be in the list. */
typedef bool each_entry(walk *w, char type, const char *name, const char *below, void *ctx);

static bool walk_folder(walk *w, each_entry *each, void *ctx) {
  if (!open_folder(w)) return false;
  if (!w->dir) return true;
  bool ok = true;
  char below[PATH_MAX];
  for (struct dirent *e; ok && (e = readdir(w->dir));) {
    if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
    ok = join(below, folder(w), e->d_name) || too_long(w);
    ok = ok && each(w, type_of_entry(w->dir, e), e->d_name, below, ctx);
  }
  closedir(w->dir);
  w->dir = NULL;
  return ok;
}

static bool walk_all(walk *w, each_entry *each, void *ctx) {
  bool ok = add_folder(w, "");
  for (; ok && w->at < w->folders.len; w->at += strlen(folder(w)) + 1)
    ok = walk_folder(w, each, ctx);
  return ok;
}

/* ---- listing ---- */

typedef struct listing {
  bool recursive;
  const char *glob;
  bool by_name; /* the glob has no slash */
  iz_fs_list *out;
} listing;

static bool list_entry(walk *w, char type, const char *name, const char *below, void *ctx) {
  listing *l = ctx;
  if (type == 'd' && l->recursive && !add_folder(w, below)) return false;
  if (l->glob && !iz_glob(l->glob, l->by_name ? name : below)) return true;
  if (++l->out->count > IZ_FS_MOST_ENTRIES)
    return iz_fail(w->err, "too_large",
                   "fs: \"%s\" has more than %d entries; narrow it with a glob", w->root,
                   IZ_FS_MOST_ENTRIES);
  iz_buf *b = &l->out->entries;
  return (iz_buf_addc(b, type) && iz_buf_add(b, below, strlen(below) + 1)) || iz_fail_oom(w->err);
}

static int compare(const void *a, const void *b) {
  const char *const *x = a, *const *y = b;
  return strcmp(*x + 1, *y + 1);
}

static bool sort_entries(iz_fs_list *l, iz_err *err) {
  const char **order = iz_alloc((l->count + 1) * sizeof *order);
  iz_buf sorted = {0};
  if (!order || !iz_buf_reserve(&sorted, l->entries.len)) return iz_free(order), iz_fail_oom(err);
  size_t n = 0;
  for (size_t at = 0; at < l->entries.len; at += strlen(l->entries.data + at) + 1)
    order[n++] = l->entries.data + at;
  qsort(order, n, sizeof *order, compare);
  for (size_t i = 0; i < n; i++) iz_buf_add(&sorted, order[i], strlen(order[i]) + 1);
  iz_free(order);
  iz_buf_free(&l->entries);
  l->entries = sorted;
  return true;
}

bool iz_fs_list_dir(const char *path, bool recursive, const char *glob, iz_fs_list *out,
                    iz_fs_stop stop, iz_err *err) {
  walk w = {.root = path, .stop = stop, .err = err};
  listing l = {.recursive = recursive, .glob = glob, .out = out};
  l.by_name = glob && !strchr(glob, '/');
  bool ok = walk_all(&w, list_entry, &l) && sort_entries(out, err);
  iz_buf_free(&w.folders);
  return ok;
}

/* ---- removing ---- */

static bool remove_entry(walk *w, char type, const char *name, const char *below, void *ctx) {
  (void)ctx;
  if (type == 'd') return add_folder(w, below);
  if (unlinkat(dirfd(w->dir), name, 0) == 0 || errno == ENOENT) return true;
  return iz_fail_errno(w->err, errno, "fs: cannot remove \"%s\" in \"%s\"", below, w->root);
}

/* Folders are listed before those in them: empty them from the end. */
static bool remove_folders(walk *w) {
  char path[PATH_MAX];
  for (size_t at = w->folders.len; at > 0;) {
    for (at--; at > 0 && w->folders.data[at - 1]; at--) {
    }
    if (!join(path, w->root, w->folders.data + at)) return too_long(w);
    if (rmdir(path) != 0 && errno != ENOENT)
      return iz_fail_errno(w->err, errno, "fs: cannot remove \"%s\"", path);
  }
  return true;
}

static bool remove_tree(const char *path, iz_fs_stop stop, iz_err *err) {
  char real[PATH_MAX];
  if (realpath(path, real) && strcmp(real, "/") == 0)
    return iz_fail(err, "invalid", "fs: the root folder is not removed");
  walk w = {.root = path, .stop = stop, .err = err};
  bool ok = walk_all(&w, remove_entry, NULL) && remove_folders(&w);
  iz_buf_free(&w.folders);
  return ok;
}

bool iz_fs_remove(const char *path, bool recursive, iz_fs_stop stop, iz_err *err) {
  struct stat st;
  if (lstat(path, &st) != 0) return iz_fail_errno(err, errno, "fs: cannot remove \"%s\"", path);
  if (recursive && S_ISDIR(st.st_mode)) return remove_tree(path, stop, err);
  if (S_ISDIR(st.st_mode) ? rmdir(path) == 0 : unlink(path) == 0) return true;
  return iz_fail_errno(err, errno, "fs: cannot remove \"%s\"", path);
}
