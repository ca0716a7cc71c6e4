/* router.h -- which handler a method and a path belong to.
 *
 * A pattern is "METHOD /path": segments are literal, ":name" (one segment) or, as the last, "*name"
 * (the rest, at least one byte). METHOD "ANY" stands for all. A literal wins over a ":name", that
 * over a "*name"; when a more special branch does not lead to an end, the next is tried. "GET"
 * answers HEAD too. Paths are compared and captured after percent-decoding, segment by segment, so
 * "%2F" never makes a segment. Patterns are a tree of segments; a look-up allocates nothing.
 */
#ifndef IZ_HTTP_ROUTER_H
#define IZ_HTTP_ROUTER_H

#include "base/err.h"
#include "http/parser.h"

enum { IZ_ROUTE_SEGMENTS_MAX = 32, IZ_ROUTE_PARAMS_MAX = 16 };

typedef struct iz_router iz_router;

typedef struct iz_route_param {
  const char *name; /* the router's; NUL-terminated */
  const char *value;
  size_t len;
} iz_route_param;

typedef struct iz_route {
  int handler;      /* as given to iz_router_add; -1: none */
  unsigned methods; /* bit 1 << iz_http_method for each the path knows; 0: the path is unknown */
  int param_count;
  iz_route_param params[IZ_ROUTE_PARAMS_MAX];
  char text[IZ_HTTP_URL_MAX]; /* the decoded path */
} iz_route;

iz_router *iz_router_new(void);
void iz_router_free(iz_router *r);
/* Adds a pattern. `handler` >= 0. False: malformed ("invalid"), or there already ("exists"). */
bool iz_router_add(iz_router *r, const char *pattern, int handler, iz_err *err);
/* Looks up. True when out->handler >= 0; else out->methods tells 404 (0) from 405. Values of
 * parameters lie in `path` or in out->text. */
bool iz_router_find(const iz_router *r, iz_http_method method, const char *path, size_t len,
                    iz_route *out);
/* "GET, HEAD, OPTIONS" for a set of methods; returns its length. size at least 64. */
size_t iz_route_allow(unsigned methods, char *out, size_t size);

#endif
