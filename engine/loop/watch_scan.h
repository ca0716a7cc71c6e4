/* watch_scan.h -- walking folders for a watch, off the loop; private to watch.c.
 *
 * A scan adds an inotify watch to each folder before it lists it: what is created meanwhile is
 * either listed or told by an event, perhaps both, never neither.
 */
#ifndef IZ_WATCH_SCAN_H
#define IZ_WATCH_SCAN_H

#include "base/buf.h"
#include "base/err.h"

#include <limits.h>
#include <stdint.h>

typedef struct iz_scan {
  int inotify_fd;
  bool recursive;
  bool whole;   /* the root is walked: it must be there, and nothing found in it is reported */
  iz_buf todo;  /* folders to walk: paths, each with its NUL. The caller puts the first in */
  iz_buf dirs;  /* out: for each watched folder an int32 wd, then its path and a NUL */
  iz_buf files; /* out, unless `whole`: what lies in them; paths, each with its NUL */
  uint32_t file_count;
  bool lost;   /* out: more files than a watch reports one by one */
  bool failed; /* out: err says why */
  iz_err err;
} iz_scan;

/* "dir/name"; false when that is too long to be a path. */
bool iz_scan_join(char out[PATH_MAX], const char *dir, const char *name);
/* Walks everything in s->todo. Any thread. */
void iz_scan_run(iz_scan *s);
void iz_scan_free(iz_scan *s);

#endif
