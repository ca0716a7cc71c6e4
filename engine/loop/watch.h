/* watch.h -- a file or a folder is watched; what changed is told on the loop, once a save.
 *
 * inotify under changes.h. Folders are walked on the pool, so a large tree does not block the loop;
 * folders that appear later are picked up with what already lies in them. Below the root, hidden
 * folders (".git") and symbolic links to folders are not entered. When the kernel's queue overflows
 * or too much happens at once, IZ_RESCAN says that events were lost; the watch itself goes on.
 * One inotify instance a watch (Linux allows 128 a user by default).
 */
#ifndef IZ_WATCH_H
#define IZ_WATCH_H

#include "loop/changes.h"
#include "loop/loop.h"

#define IZ_WATCH_QUIET INT64_C(10000000) /* ns without an event that end a save */

typedef struct iz_watch iz_watch;

typedef struct iz_watch_opts {
  const char *path; /* a folder, or one file (also one that is replaced by renaming) */
  bool recursive;   /* with all folders below */
  int64_t quiet_ns; /* 0: IZ_WATCH_QUIET */
  /* A change. Paths begin with opts.path; change->path is opts.path itself for IZ_RESCAN, and when
   * the root is removed or moved away (IZ_RESCAN says that it is back). May stop the watch. */
  void (*on_change)(void *ctx, const iz_change *change);
  /* The watch is complete (err NULL): every change from now on is told. Or it failed: stop it. May
   * be NULL; may stop the watch. Errors: an errno name; "limit" when the kernel's limit on watched
   * folders is reached. */
  void (*on_ready)(void *ctx, const iz_err *err);
  void *ctx;
} iz_watch_opts;

/* Begins. opts is copied, opts->path too. NULL: "limit", "oom" or an errno name. */
iz_watch *iz_watch_start(iz_loop *loop, const iz_watch_opts *opts, iz_err *err);
/* Ends it; no callback comes after. w may be NULL. */
void iz_watch_stop(iz_watch *w);

#endif
