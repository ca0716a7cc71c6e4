/* csv_io.h -- files for CSV, read ahead and written whole, on the pool.
 *
 * Reading: 256 KB at a time; the next piece is read while the last one is parsed. Writing: into a
 * new file beside the old one, which takes its place in one step when all is safely on disk; until
 * then, and for ever if anything fails, the old one is what it was. What is no regular file
 * (/dev/stdout, a FIFO) is written directly.
 *
 * One operation at a time: start it, and if it is pending, wait for `wait` before the next. Without
 * a loop it runs at once, in the caller.
 */
#ifndef IZ_CSV_IO_H
#define IZ_CSV_IO_H

#include "base/buf.h"
#include "base/err.h"
#include "loop/pool.h"
#include "loop/task.h"

#define IZ_CSV_CHUNK (256u << 10)

typedef enum iz_csv_op {
  IZ_CSV_READ,   /* opens at first; the next piece is in data */
  IZ_CSV_CREATE, /* begins the new file */
  IZ_CSV_WRITE,  /* writes data and empties it */
  IZ_CSV_COMMIT, /* writes data, syncs, renames */
} iz_csv_op;

typedef struct iz_csv_io {
  iz_job job;
  iz_wait wait; /* completed when a pending operation is over */
  bool busy;    /* an operation is pending */
  bool failed;  /* and `err` says why; later operations do nothing */
  bool ended;   /* reading: the end; writing: committed */
  bool freed;
  iz_csv_op op;
  int fd;
  char *path, *temp;
  iz_buf data;
  iz_err err;
} iz_csv_io;

/* NULL: out of memory. Nothing is opened yet. */
iz_csv_io *iz_csv_io_new(const char *path);
/* Starts an operation on the pool of `loop` (NULL: runs it here). True: pending. */
bool iz_csv_io_start(iz_csv_io *io, iz_loop *loop, iz_csv_op op);
/* Lets go of it: an uncommitted file disappears. A pending operation ends first. */
void iz_csv_io_free(iz_csv_io *io);

#endif
