/* workers.h -- several processes of one program under a parent that looks after them.
 *
 * `--workers N`: the parent forks before any thread, loop, library or Lua state exists, and from
 * then on only waits. Each worker serves on the same port (SO_REUSEPORT). A worker that dies by a
 * signal or fails is started again, after 100 ms at first and up to 5 s if it keeps dying; one that
 * ends with 0 is done. When a worker fails five times in a row within its first second, the parent
 * gives up: an error in the script does not heal by repeating it.
 *
 * SIGTERM, SIGINT and SIGHUP are passed on. Workers stand in process groups of their own, so a
 * Ctrl-C reaches each once; they get SIGTERM when the parent dies in whatever way. After SIGTERM or
 * SIGINT they have 30 s to drain.
 */
#ifndef IZ_WORKERS_H
#define IZ_WORKERS_H

enum { IZ_WORKERS_MAX = 64 };

/* Runs n (1 to IZ_WORKERS_MAX) workers until all are done or the parent was asked to stop. In each
 * worker `child_main(ctx, index)` runs with the signal state of the start; its result is the
 * worker's exit status. Returns the program's exit status: 0, 130 after SIGINT, or that of the
 * worker that made the parent give up (128 + signal when it was killed). */
int iz_workers_run(int n, int (*child_main)(void *ctx, int index), void *ctx);

#endif
