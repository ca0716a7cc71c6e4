/* width.h -- how many columns a text takes on a terminal.
 *
 * Columns per character come from the C library's wcwidth, which follows Unicode (East Asian Width,
 * combining marks), in the locale C.UTF-8 whatever the program's is. On top of it: colour sequences
 * (ESC [ ... m) take none; characters joined by U+200D, a skin tone and the second half of a flag
 * belong to the emoji before them; U+FE0F makes a narrow symbol wide. Bytes that are not UTF-8 and
 * control characters count one, as the mark that is shown in their place.
 */
#ifndef IZ_WIDTH_H
#define IZ_WIDTH_H

#include "base/buf.h"

#include <stddef.h>

/* Columns of the n bytes. */
size_t iz_text_width(const char *s, size_t n);
/* Length in bytes of the longest start of s that takes at most `columns` and cuts no character. */
size_t iz_text_fit(const char *s, size_t n, size_t columns);
/* Appends s with each control character and broken byte replaced by U+FFFD, tabs and line ends by a
 * space; colour sequences stay. False: out of memory. */
bool iz_text_clean(iz_buf *out, const char *s, size_t n);

#endif
