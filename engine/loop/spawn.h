/* spawn.h -- starting a program: no shell, nothing inherited by accident.
 *
 * vfork and exec, so that the cost does not grow with our memory and a failing exec is known at
 * once with its errno. The child gets the three descriptors it is given and no other, a process
 * group of its own (so that a signal reaches what it starts as well), an empty signal mask, default
 * handlers, and dies by SIGKILL when the thread that started it does (PR_SET_PDEATHSIG).
 */
#ifndef IZ_SPAWN_H
#define IZ_SPAWN_H

#include "base/err.h"

#include <sys/types.h>

typedef struct iz_spawn {
  const char *const *argv; /* ends with NULL; argv[0] is looked up in PATH unless it has a slash */
  const char *const *env;  /* "NAME=value" ..., NULL; NULL itself: our own environment */
  const char *cwd;         /* NULL: ours; a relative argv[0] with a slash counts from here */
  int fds[3];              /* what becomes its 0, 1 and 2; stays ours to close */
} iz_spawn;

/* Starts it. On success *pid is its id and its group's id, and *pidfd a descriptor that becomes
 * readable when it ends; both are valid until the caller reaps it (waitid(P_PIDFD, ...)). Fails
 * with an errno name as the code (ENOENT, EACCES, E2BIG, EAGAIN ...) or "oom"; nothing is running
 * then. */
bool iz_spawn_start(const iz_spawn *s, pid_t *pid, int *pidfd, iz_err *err);

#endif
