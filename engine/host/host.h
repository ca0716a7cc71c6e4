/* host.h -- the machine and the file system as the command line sees them.
 *
 * Small synchronous calls for programs that start, stop and look at things; a server's files go
 * through the pool instead. The lock is what makes one process the owner of a data directory: it is
 * an flock, so the kernel frees it however the owner ends. In the file stand the owner's pid and
 * verb, as in "4711 start".
 */
#ifndef IZ_HOST_H
#define IZ_HOST_H

#include "base/err.h"

#include <sys/types.h>

typedef struct iz_owner {
  pid_t pid;     /* 0: nobody */
  char verb[16]; /* what it does: lower-case letters */
} iz_owner;

/* Takes the lock file (made 0600 if absent) and writes our pid and the verb (cut to 15 bytes) into
 * it. Returns its descriptor, which holds the lock until it is closed and is not inherited; -1 with
 * code "locked" when another process has it, else an errno code. */
int iz_lock_take(const char *path, const char *verb, iz_err *err);
/* Tells who holds the lock: nobody too when there is no such file. False with an errno code when it
 * cannot be seen, as in another user's folder. */
bool iz_lock_owner(const char *path, iz_owner *owner, iz_err *err);

/* Replaces the file: written beside it with this mode, synced, renamed over it. What a reader finds
 * is always the old or the new content whole. */
bool iz_file_replace(const char *path, const void *data, size_t n, mode_t mode, iz_err *err);
/* Makes the folder and those above it that are missing, with this mode. One that exists is fine. */
bool iz_dir_make(const char *path, mode_t mode, iz_err *err);

#endif
