/* fs.h -- files: whole reads, atomic writes, copies, folders. Blocking: for pool threads.
 *
 * What is written appears at once or not at all: into a temporary file beside the target, synced to
 * disk, then renamed over it. Mode and owner of a replaced file are kept; a symbolic link stays
 * one, its target is replaced. Pipes, terminals and devices are read and written as they are.
 *
 * `stop` (may be NULL) is looked at between steps and while a pipe is silent: once true the call
 * ends with code "cancelled" and leaves nothing half-done behind.
 * Errors: an errno name ("ENOENT"), "too_large", "oom", "invalid"; messages name the path.
 */
#ifndef IZ_FS_H
#define IZ_FS_H

#include "base/buf.h"
#include "base/err.h"

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

typedef const atomic_bool *iz_fs_stop;

/* ---- whole files ---- */

/* Appends the file's bytes to out; "too_large" past `max` bytes. */
bool iz_fs_read(const char *path, uint64_t max, iz_buf *out, iz_fs_stop stop, iz_err *err);
bool iz_fs_write(const char *path, const void *data, size_t n, iz_fs_stop stop, iz_err *err);
/* Adds to the end of the file; makes it if there is none. */
bool iz_fs_append(const char *path, const void *data, size_t n, iz_fs_stop stop, iz_err *err);
/* Copies a file with its mode; `to` is replaced as by iz_fs_write. */
bool iz_fs_copy(const char *from, const char *to, iz_fs_stop stop, iz_err *err);

/* ---- descriptors, for streams ---- */

/* Opens for reading; *fd is non-blocking where that matters. */
bool iz_fs_open_read(const char *path, int *fd, iz_err *err);
bool iz_fs_open_append(const char *path, int *fd, iz_err *err);
/* Reads up to n bytes; *got is 0 at the end. `path` is for the message. */
bool iz_fs_read_some(int fd, const char *path, void *to, size_t n, size_t *got, iz_fs_stop stop,
                     iz_err *err);
bool iz_fs_write_all(int fd, const char *path, const void *data, size_t n, iz_fs_stop stop,
                     iz_err *err);

/* A file being written aside: commit makes it visible, discard forgets it. */
typedef struct iz_fs_draft {
  int fd;
  char *target, *temp; /* temp NULL: target is a device or pipe, written directly */
} iz_fs_draft;

bool iz_fs_draft_open(const char *path, iz_fs_draft *d, iz_err *err);
/* Ends the draft in any case; false: the target is as it was. */
bool iz_fs_draft_commit(iz_fs_draft *d, iz_err *err);
/* Safe on a zeroed or ended draft. */
void iz_fs_draft_discard(iz_fs_draft *d);

/* ---- names ---- */

typedef struct iz_fs_info {
  char type; /* 'f' file, 'd' folder, 'l' symbolic link, 'o' other */
  uint64_t size;
  int64_t mtime; /* ns since 1970 */
  uint32_t mode; /* permission bits */
} iz_fs_info;

/* Follows links. */
bool iz_fs_stat(const char *path, iz_fs_info *out, iz_err *err);
/* Makes a folder and those above it; fine if it is there. */
bool iz_fs_mkdir(const char *path, iz_err *err);
bool iz_fs_rename(const char *from, const char *to, iz_err *err);
/* Makes an empty folder of our own in $TMPDIR or /tmp; appends its path to out. */
bool iz_fs_tempdir(iz_buf *out, iz_err *err);

/* ---- trees (fs_tree.c) ---- */

#define IZ_FS_MOST_ENTRIES 1000000

typedef struct iz_fs_list {
  iz_buf entries; /* for each: its type (as in iz_fs_info), its path below the folder, a NUL */
  size_t count;
} iz_fs_list;

/* Lists a folder, sorted by name (bytes); `recursive`: and all folders below it, links not
 * followed. glob (may be NULL) is matched with the path below the folder, or, without a slash in
 * it, with the name alone. "too_large" past IZ_FS_MOST_ENTRIES. */
bool iz_fs_list_dir(const char *path, bool recursive, const char *glob, iz_fs_list *out,
                    iz_fs_stop stop, iz_err *err);
/* Removes a file, a link or an empty folder; `recursive`: a folder with all that is in it. */
bool iz_fs_remove(const char *path, bool recursive, iz_fs_stop stop, iz_err *err);

#endif
