/* embed.h -- the files inside the program.
 *
 * Everything under lua/, catalog/ and data/samples/ is part of the binary, so that one file deploys
 * iza. A path is as in the checkout: "lua/iza/json.lua". The bytes are read-only, valid for the
 * life of the process, and a NUL that `size` does not count follows them.
 */
#ifndef IZ_EMBED_H
#define IZ_EMBED_H

#include <stddef.h>

typedef struct iz_embedded {
  const char *path;
  const char *data;
  size_t size;
} iz_embedded;

/* The file at `path`, or NULL. Logarithmic in the number of files. */
const iz_embedded *iz_embedded_find(const char *path);
/* The i-th file in byte order of paths, counted from 0; NULL past the last. */
const iz_embedded *iz_embedded_at(size_t i);

#endif
