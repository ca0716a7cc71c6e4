/* pool.h -- a few helper threads for work that would block the loop (files, hashing, long reads).
 *
 * A job runs once on some thread, then `done` runs on the loop. A job cannot be interrupted;
 * whoever loses interest marks its own struct and lets `done` free it. Threads start with the first
 * job and stay; their number is min(4, cores + 1).
 */
#ifndef IZ_POOL_H
#define IZ_POOL_H

#include "loop/loop.h"

typedef struct iz_job iz_job;
struct iz_job {
  void (*run)(iz_job *);  /* on a pool thread: no Lua, no loop calls */
  void (*done)(iz_job *); /* on the loop's thread, afterwards; may free the job */
  iz_defer back;          /* the pool's */
  iz_loop *loop;          /* the pool's */
  iz_job *next;           /* the pool's */
};

/* Hands the job over. False: no thread could be started (memory); `done` is then not called. */
bool iz_pool_submit(iz_loop *loop, iz_job *job);
/* Waits for running jobs and ends the threads (program end). */
void iz_pool_stop(void);

#endif
