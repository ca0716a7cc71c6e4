/* changes.h -- many raw file events in, one change a save out.
 *
 * Editors save in many ways: write in place, write a temporary file and rename it over the old one,
 * move the old one away first. This collects the raw events of each path until the path has been
 * quiet for a while and then says what happened in all:
 *
 *   created   it was not there before, and is now
 *   changed   it was there before (or another file took its place: how editors save)
 *   removed   it was there before, and is not any more
 *   moved     it was `from` before
 *   rescan    events were lost (too many at once, or memory): look at everything again
 *
 * What came and went within the quiet time is not told at all (temporary files). A file that is
 * being written settles when its writer closes it, or after OPEN_QUIET without a write, and in any
 * case within OPEN_MOST, so that a log that is never closed is told as well. Knows no inotify and
 * no clock: times are given. Not for several threads.
 */
#ifndef IZ_CHANGES_H
#define IZ_CHANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IZ_CHANGES_MOST 4096 /* paths held; past that it is a rescan */

typedef enum iz_change_kind {
  IZ_CREATED,
  IZ_CHANGED,
  IZ_REMOVED,
  IZ_MOVED,
  IZ_RESCAN,
} iz_change_kind;

typedef struct iz_change {
  iz_change_kind kind;
  const char *path; /* valid until the next call on the iz_changes */
  const char *from; /* IZ_MOVED only */
} iz_change;

typedef enum iz_raw_event {
  IZ_RAW_BORN,    /* created, its writer still has it open */
  IZ_RAW_WRITING, /* written to, not closed */
  IZ_RAW_SAVED,   /* closed after writing */
  IZ_RAW_GONE,    /* deleted */
  IZ_RAW_LEFT,    /* renamed away; `cookie` pairs it with IZ_RAW_CAME */
  IZ_RAW_CAME,    /* renamed to here */
} iz_raw_event;

typedef struct iz_changes iz_changes;

/* quiet_ns: how long a path must be quiet. NULL: no memory. */
iz_changes *iz_changes_new(int64_t quiet_ns);
void iz_changes_free(iz_changes *c);
void iz_changes_add(iz_changes *c, int64_t now, iz_raw_event ev, const char *path, uint32_t cookie);
/* Events were lost. */
void iz_changes_lost(iz_changes *c, int64_t now);
/* When the next change is due (same clock as `now`); INT64_MAX: none is held. */
int64_t iz_changes_due(const iz_changes *c);
/* Takes the oldest change that is due; for IZ_RESCAN, path is NULL. False: none is due. */
bool iz_changes_pop(iz_changes *c, int64_t now, iz_change *out);
/* "created", "changed", "removed", "moved", "rescan". */
const char *iz_change_name(iz_change_kind kind);

#endif
