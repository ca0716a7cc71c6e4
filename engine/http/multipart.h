/* multipart.h -- a streaming multipart/form-data parser (RFC 7578, RFC 2046 5.1).
 *
 * Push: bytes go in as they come, parts come out as events; nothing but a possible beginning of the
 * delimiter (at most 74 bytes) is ever held back. Strict like the request parser: CRLF only,
 * bounded part headers (8 KB, 16 fields), a Content-Disposition with a name in each part.
 */
#ifndef IZ_HTTP_MULTIPART_H
#define IZ_HTTP_MULTIPART_H

#include "base/buf.h"

enum { IZ_MULTIPART_BOUNDARY_MAX = 70, IZ_MULTIPART_HEAD_MAX = 8 * 1024 };

typedef enum iz_multipart_event {
  IZ_MULTIPART_MORE, /* all input taken */
  IZ_MULTIPART_PART, /* a part begins: name, filename, head are set */
  IZ_MULTIPART_DATA, /* a piece of its content */
  IZ_MULTIPART_PART_END,
  IZ_MULTIPART_END, /* the closing delimiter; what follows is ignored */
  IZ_MULTIPART_BAD, /* `why` tells */
} iz_multipart_event;

typedef struct iz_multipart {
  char delimiter[IZ_MULTIPART_BOUNDARY_MAX + 5]; /* CRLF "--" boundary */
  size_t delimiter_len;
  size_t matched; /* bytes of the delimiter seen so far */
  int state;
  iz_buf head; /* the present part's header lines, CRLF between */
  iz_buf name, filename;
  bool has_filename;
  const char *why;
} iz_multipart;

/* Reads the boundary from a Content-Type value. False: not multipart/form-data, or no good one. */
bool iz_multipart_begin(iz_multipart *m, const char *content_type, size_t n);
/* Takes bytes up to the next event; *used tells how many. For DATA: *data, *len (inside `in` or m,
 * valid until the next call). */
iz_multipart_event iz_multipart_parse(iz_multipart *m, const char *in, size_t n, size_t *used,
                                      const char **data, size_t *len);
/* A header of the present part by its name (any case); NULL when it has none. */
const char *iz_multipart_header(const iz_multipart *m, const char *name, size_t *len);
void iz_multipart_free(iz_multipart *m);

#endif
