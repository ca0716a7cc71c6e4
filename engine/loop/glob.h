/* glob.h -- matching of paths with patterns, as shells do. */
#ifndef IZ_GLOB_H
#define IZ_GLOB_H

#include <stdbool.h>

/* Does the whole path match? In a pattern
 *   *       is any run of bytes without a slash
 *   ?       is one byte but a slash
 *   [a-z]   is one byte of a set, [!a-z] one that is not in it
 *   **      as a whole part of the path is any number of folders, also none; at the end, everything
 *   \       takes the next byte as it is
 * A leading dot is nothing special. Time is bounded by the product of both lengths for each folder
 * in the path. */
bool iz_glob(const char *pattern, const char *path);

#endif
