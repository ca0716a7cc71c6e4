/* host.h -- the machine and the file system as the command line sees them.
 *
 * Small synchronous calls for programs that start, stop and look at things; a server's files go
 * through the pool instead. The lock is what makes one process the owner of a data directory: it is
 * an flock, so the kernel frees it however the owner ends, and the owner's pid stands in the file.
 */
#ifndef IZ_HOST_H
#define IZ_HOST_H

#include "base/err.h"

#include <sys/types.h>

/* Takes the lock file (made 0600 if absent) and writes our pid into it. Returns its descriptor,
 * which holds the lock until it is closed and is not inherited; -1 with code "locked" when another
 * process has it, else an errno code. */
int iz_lock_take(const char *path, iz_err *err);
/* The pid of the process that holds the lock; 0 when nobody does or there is no such file; -1 with
 * an errno code when it cannot be seen, as in another user's folder. */
pid_t iz_lock_owner(const char *path, iz_err *err);

/* Replaces the file: written beside it with this mode, synced, renamed over it. What a reader finds
 * is always the old or the new content whole. */
bool iz_file_replace(const char *path, const void *data, size_t n, mode_t mode, iz_err *err);
/* Makes the folder and those above it that are missing, with this mode. One that exists is fine. */
bool iz_dir_make(const char *path, mode_t mode, iz_err *err);

#endif
