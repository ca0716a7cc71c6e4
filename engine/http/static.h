/* static.h -- files of a folder as answers: ETag, Last-Modified, Range, HEAD.
 *
 * Names are resolved by the kernel beneath the folder (openat2 RESOLVE_BENEATH): neither "..", nor
 * an absolute symlink, nor one that points outside can leave it. Names beginning with a dot are not
 * served, but for ".well-known". A folder answers with its index.html. Opening and reading happens
 * in the worker pool; a large file goes out in pieces as the client takes them.
 */
#ifndef IZ_HTTP_STATIC_H
#define IZ_HTTP_STATIC_H

#include "http/server.h"

typedef struct iz_static iz_static;

/* Opens the folder. NULL: err names it. */
iz_static *iz_static_new(iz_loop *loop, const char *dir, iz_err *err);
/* Requests in work keep what they need. */
void iz_static_free(iz_static *s);
/* Answers with the file `path` (decoded, relative to the folder, may be empty). From here on the
 * request is ours: we release it. */
void iz_static_serve(iz_static *s, iz_http_req *req, const char *path, size_t len);

/* Answers with the file at `path`, which the program itself chose, and this status. Conditions and
 * ranges are for 200 alone: an error page is sent whole. */
void iz_static_send(iz_loop *loop, iz_http_req *req, const char *path, int status);

/* The type for a file name: "text/html; charset=utf-8"; "application/octet-stream" when unknown. */
const char *iz_mime_type(const char *name, size_t len);

#endif
