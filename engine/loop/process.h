/* process.h -- a child process on the loop: its three streams, its end, its death.
 *
 * Output is read as it comes into a bounded buffer per stream; when a buffer is full the pipe is
 * left alone, so the child waits (back-pressure), or the oldest bytes are dropped (IZ_KEEP_TAIL).
 * Input is queued and written as the child takes it. After every change `on_change` is called once
 * on the loop; look then at what is there.
 *
 * The end: when the child has exited and its pipes are at their end. What it left running in the
 * background may hold a pipe open: half a second after the exit the streams end all the same.
 *
 * Death: iz_process_stop sends SIGTERM to the child's whole process group, and SIGKILL once the
 * grace is over or the child itself has gone. iz_process_free on a running child does that too; the
 * bookkeeping then lives on by itself, and keeps the loop running, until the child is reaped.
 */
#ifndef IZ_PROCESS_H
#define IZ_PROCESS_H

#include "loop/loop.h"

#include <sys/types.h>

#define IZ_STOP_GRACE (2 * INT64_C(1000000000)) /* from SIGTERM to SIGKILL, ns */

typedef struct iz_process iz_process;

typedef enum iz_stdio {
  IZ_STDIO_NULL,    /* /dev/null */
  IZ_STDIO_PIPE,    /* a pipe to us */
  IZ_STDIO_INHERIT, /* our own */
  IZ_STDIO_STDOUT,  /* stderr only: where stdout goes */
} iz_stdio;

typedef enum iz_keep {
  IZ_KEEP_ALL,  /* a full buffer stops the reading */
  IZ_KEEP_TAIL, /* only the last `limit` bytes are kept */
} iz_keep;

typedef struct iz_process_opts {
  const char *const *argv; /* see spawn.h for these three */
  const char *const *env;
  const char *cwd;
  iz_stdio in, out, err;
  size_t limit, err_limit; /* bytes held of stdout and stderr, at least 1 */
  iz_keep keep_err;        /* what a full stderr buffer does; stdout's stops the reading */
  /* May be NULL. Must not free the process. */
  void (*on_change)(iz_process *p, void *ctx);
  void *ctx;
} iz_process_opts;

/* Starts it. NULL with err: "ENOENT" (no such program), "EACCES", "EMFILE", "oom" ... */
iz_process *iz_process_start(iz_loop *loop, const iz_process_opts *opts, iz_err *err);
/* Lets go of it; a running child is stopped. on_change is not called again. p may be NULL. */
void iz_process_free(iz_process *p);

pid_t iz_process_pid(const iz_process *p);

/* What is held of stream `fd` (1 or 2). Valid until the next turn of the loop or call on p. */
const char *iz_process_held(const iz_process *p, int fd, size_t *len);
/* Drops the first n held bytes; reading goes on if it had stopped. */
void iz_process_take(iz_process *p, int fd, size_t n);
/* Nothing more will come (what is held is still there). True as well for a stream that has no pipe.
 */
bool iz_process_eof(const iz_process *p, int fd);
/* Changes the bound of stream `fd`'s buffer. */
void iz_process_set_limit(iz_process *p, int fd, size_t limit);

/* Queues bytes for the child's input (copied). Fails with "EPIPE" when the child closed it or
 * iz_process_end_input was called, or with "oom". */
bool iz_process_write(iz_process *p, const void *data, size_t n, iz_err *err);
/* Bytes the child has not taken yet; 0 as well once its input is closed. */
size_t iz_process_unwritten(const iz_process *p);
/* Closes the child's input after what is queued. */
void iz_process_end_input(iz_process *p);

/* True when it has ended. *status is its exit code, or -1 when a signal ended it: then *sig is that
 * signal, else 0. */
bool iz_process_exited(const iz_process *p, int *status, int *sig);
/* Exited, and both output streams are at their end. */
bool iz_process_finished(const iz_process *p);
/* Reading failed because memory ran out; the child was killed. */
bool iz_process_out_of_memory(const iz_process *p);

/* Sends sig to its process group. False when it has ended already. */
bool iz_process_signal(iz_process *p, int sig);
/* SIGTERM to the group now, SIGKILL after `grace_ns`. */
void iz_process_stop(iz_process *p, int64_t grace_ns);

#endif
