/* appender.h -- lines added to a file, a pipe or a terminal that may be slow, by the pool.
 *
 * The loop never waits: what cannot be written yet is kept, up to 1 MB, in its order. On a full
 * disk, or a pipe whose reader is gone, lines are lost and a torn one is ended before the next.
 * What is kept is written at the close and when the program exits, for at most a second where
 * nobody reads.
 */
#ifndef IZ_APPENDER_H
#define IZ_APPENDER_H

#include "base/err.h"
#include "loop/loop.h"

#include <stddef.h>

typedef struct iz_appender iz_appender;

/* Duplicates fd, which should append. NULL: no descriptor or memory for it. */
iz_appender *iz_appender_new(iz_loop *loop, int fd, iz_err *err);
/* Adds whole lines; they are handed over at the end of the turn. False: too much is kept already,
 * or no memory, and they are dropped. */
bool iz_appender_add(iz_appender *a, const char *lines, size_t n);
/* Writes what is left, then frees it. NULL is fine. */
void iz_appender_close(iz_appender *a);

#endif
