/* conditional.h -- conditional and range requests (RFC 9110, sections 13 and 14). */
#ifndef IZ_HTTP_CONDITIONAL_H
#define IZ_HTTP_CONDITIONAL_H

#include "http/parser.h"

/* "Tue, 15 Nov 1994 08:12:31 GMT" (IMF-fixdate only) from and to Unix seconds; -1: not such a date.
 * `out` has room for 30 bytes. */
int64_t iz_http_date_parse(const char *s, size_t n);
void iz_http_date_format(int64_t seconds, char *out);

/* What the conditions of a GET or HEAD make of an answer, in the order of RFC 9110 13.2.2: 412 when
 * If-Match, else If-Unmodified-Since, fails; 304 when the client's copy is still good by
 * If-None-Match, else If-Modified-Since; otherwise 200. */
int iz_http_precondition(const iz_http_head *h, const char *etag, int64_t modified);

typedef enum iz_range { IZ_RANGE_ALL, IZ_RANGE_PART, IZ_RANGE_NONE } iz_range;
/* The part of `size` bytes that is asked for: all (no GET, no Range, several, malformed, or
 * If-Range says the copy is old), a part (*from, *length), or none of it exists (416). */
iz_range iz_http_range(const iz_http_head *h, const char *etag, int64_t modified, int64_t size,
                       int64_t *from, int64_t *length);

#endif
