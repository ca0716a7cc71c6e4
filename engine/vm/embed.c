/* embed.c -- looks up the files inside the program.
 *
 * The table is made by embed.sh at build time: assembly that includes the files' bytes and lists
 * them sorted by path, which is what the binary search here relies on.
 */
#include "vm/embed.h"

#include <stdlib.h>
#include <string.h>

/* Made by embed.sh. */
extern const iz_embedded iz_embedded_table[];
extern const size_t iz_embedded_count;

static int by_path(const void *path, const void *entry) {
  return strcmp(path, ((const iz_embedded *)entry)->path);
}

const iz_embedded *iz_embedded_find(const char *path) {
  return bsearch(path, iz_embedded_table, iz_embedded_count, sizeof *iz_embedded_table, by_path);
}

const iz_embedded *iz_embedded_at(size_t i) {
  return i < iz_embedded_count ? &iz_embedded_table[i] : NULL;
}
