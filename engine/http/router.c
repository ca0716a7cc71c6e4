/* router.c -- the tree of segments: see router.h. */
#include "router.h"

#include "base/alloc.h"
#include "form.h"

#include <stdio.h>
#include <string.h>

typedef struct node node;
struct node {
  node *next;  /* sibling */
  node *child; /* literal children */
  node *param; /* ":name" child */
  node *rest;  /* "*name" child */
  char *name;  /* of the segment or of the parameter */
  size_t len;
  int handlers[IZ_HTTP_OTHER]; /* + 1; 0: none */
};

struct iz_router {
  node root;
};

/* ---- building ---- */

iz_router *iz_router_new(void) {
  return iz_calloc(1, sizeof(iz_router));
}

static void free_nodes(node *n, int depth) {
  for (node *next; n; n = next) {
    next = n->next;
    if (depth < IZ_ROUTE_SEGMENTS_MAX + 2) {
      free_nodes(n->child, depth + 1);
      free_nodes(n->param, depth + 1);
      free_nodes(n->rest, depth + 1);
    }
    iz_free(n->name);
    iz_free(n);
  }
}

void iz_router_free(iz_router *r) {
  if (!r) return;
  free_nodes(r->root.child, 0);
  free_nodes(r->root.param, 0);
  free_nodes(r->root.rest, 0);
  iz_free(r);
}

static node *new_node(const char *name, size_t len, iz_err *err) {
  node *c = iz_calloc(1, sizeof *c);
  if (c && (c->name = iz_strndup(name, len))) {
    c->len = len;
    return c;
  }
  iz_free(c);
  iz_fail_oom(err);
  return NULL;
}

static bool same_name(const node *n, const char *name, size_t len) {
  return n->len == len && memcmp(n->name, name, len) == 0;
}

static node *find_literal(const node *n, const char *s, size_t len) {
  for (node *c = n->child; c; c = c->next)
    if (same_name(c, s, len)) return c;
  return NULL;
}

/* The ":name" or "*name" child in slot, made when it is missing. */
static node *named_child(node **slot, const char *name, size_t len, iz_err *err) {
  if (!*slot) return *slot = new_node(name, len, err);
  if (same_name(*slot, name, len)) return *slot;
  iz_fail(err, "invalid", "\"%.*s\" and \"%s\" name the same place differently", (int)len, name,
          (*slot)->name);
  return NULL;
}

/* The child for a segment of a pattern, made when it is missing. */
static node *child_for(node *n, const char *s, size_t len, iz_err *err) {
  if (*s == ':') return named_child(&n->param, s + 1, len - 1, err);
  if (*s == '*') return named_child(&n->rest, s + 1, len - 1, err);
  node *c = find_literal(n, s, len);
  if (c) return c;
  c = new_node(s, len, err);
  if (!c) return NULL;
  c->next = n->child;
  n->child = c;
  return c;
}

static bool set_handler(node *n, int method, int handler, const char *pattern, iz_err *err) {
  if (n->handlers[method]) return iz_fail(err, "exists", "route \"%s\" is there twice", pattern);
  n->handlers[method] = handler + 1;
  return true;
}

static bool set_handlers(node *n, const char *pattern, int handler, iz_err *err) {
  static const char *const names[] = {"GET ",   "HEAD ",   "POST ",   "PUT ",
                                      "PATCH ", "DELETE ", "OPTIONS "};
  bool any = strncmp(pattern, "ANY ", 4) == 0, ok = true;
  for (int m = 0; m < IZ_HTTP_OTHER && ok; m++)
    if (any || strncmp(pattern, names[m], strlen(names[m])) == 0)
      ok = set_handler(n, m, handler, pattern, err);
  return ok;
}

static bool known_method(const char *pattern) {
  static const char *const names[] = {"GET ",   "HEAD ",   "POST ",    "PUT ",
                                      "PATCH ", "DELETE ", "OPTIONS ", "ANY "};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strncmp(pattern, names[i], strlen(names[i])) == 0) return true;
  return false;
}

static bool bad(iz_err *err, const char *pattern, const char *why) {
  return iz_fail(err, "invalid", "route \"%s\": %s; write it like \"GET /orders/:id\"", pattern,
                 why);
}

bool iz_router_add(iz_router *r, const char *pattern, int handler, iz_err *err) {
  if (!known_method(pattern)) return bad(err, pattern, "unknown method");
  const char *s = strchr(pattern, ' ') + 1;
  if (*s != '/') return bad(err, pattern, "the path must begin with /");
  node *n = &r->root;
  int segments = 0, params = 0;
  bool rest = false;
  while (*s == '/') {
    size_t len = strcspn(++s, "/");
    if (rest) return bad(err, pattern, "*name must be last");
    if (*s == ':' || *s == '*') {
      if (len < 2) return bad(err, pattern, "a parameter needs a name");
      params++;
      rest = *s == '*';
    }
    if (++segments > IZ_ROUTE_SEGMENTS_MAX) return bad(err, pattern, "more than 32 segments");
    if (params > IZ_ROUTE_PARAMS_MAX) return bad(err, pattern, "more than 16 parameters");
    n = child_for(n, s, len, err);
    if (!n) return false;
    s += len;
  }
  return set_handlers(n, pattern, handler, err);
}

/* ---- finding ---- */

typedef struct search {
  const char *seg[IZ_ROUTE_SEGMENTS_MAX]; /* decoded segments */
  size_t len[IZ_ROUTE_SEGMENTS_MAX];
  int count;       /* of them; one more than there is room for when the path is longer */
  const char *end; /* of the decoded path: segments lie one behind another, with '/' between */
  int method;
  iz_route *out;
} search;

/* Splits at the '/' of the raw path and decodes each segment. */
static void split(search *q, const char *path, size_t len) {
  const char *s = path + 1, *end = path + len;
  bool plain = memchr(path, '%', len) == NULL;
  char *to = q->out->text;
  for (;;) {
    const char *stop = memchr(s, '/', (size_t)(end - s));
    if (!stop) stop = end;
    size_t n = (size_t)(stop - s);
    const char *seg = s;
    if (!plain) {
      seg = to;
      n = iz_http_decode(to, s, n, false);
      to += n;
      if (stop < end) *to++ = '/';
    }
    if (q->count < IZ_ROUTE_SEGMENTS_MAX) {
      q->seg[q->count] = seg;
      q->len[q->count] = n;
    }
    q->count++;
    if (stop == end) break;
    s = stop + 1;
  }
  q->end = plain ? end : to;
}

/* A node at which the path ends: takes its handler, or notes its methods. */
static bool arrive(search *q, const node *n) {
  for (int m = 0; m < IZ_HTTP_OTHER; m++)
    if (n->handlers[m]) q->out->methods |= 1u << m;
  int handler = n->handlers[q->method];
  if (!handler && q->method == IZ_HTTP_HEAD) handler = n->handlers[IZ_HTTP_GET];
  q->out->handler = handler - 1;
  return handler != 0;
}

static void push_param(search *q, const node *n, const char *value, size_t len) {
  q->out->params[q->out->param_count++] =
      (iz_route_param){.name = n->name, .value = value, .len = len};
}

/* As deep as the tree, which iz_router_add bounds. */
static bool descend(search *q, const node *n, int i) {
  if (i == q->count) return arrive(q, n);
  if (i >= IZ_ROUTE_SEGMENTS_MAX) return false;
  const char *s = q->seg[i];
  size_t len = q->len[i];
  const node *literal = find_literal(n, s, len);
  if (literal && descend(q, literal, i + 1)) return true;
  int params = q->out->param_count;
  if (n->param && len) {
    push_param(q, n->param, s, len);
    if (descend(q, n->param, i + 1)) return true;
    q->out->param_count = params;
  }
  if (n->rest && q->end > s) {
    push_param(q, n->rest, s, (size_t)(q->end - s));
    if (arrive(q, n->rest)) return true;
    q->out->param_count = params;
  }
  return false;
}

bool iz_router_find(const iz_router *r, iz_http_method method, const char *path, size_t len,
                    iz_route *out) {
  out->handler = -1;
  out->methods = 0;
  out->param_count = 0;
  if (!len || *path != '/' || method >= IZ_HTTP_OTHER) return false;
  search q;
  q.count = 0;
  q.method = method;
  q.out = out;
  split(&q, path, len);
  return descend(&q, &r->root, 0);
}

size_t iz_route_allow(unsigned methods, char *out, size_t size) {
  static const char *const names[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};
  if (methods & 1u << IZ_HTTP_GET) methods |= 1u << IZ_HTTP_HEAD;
  methods |= 1u << IZ_HTTP_OPTIONS;
  size_t n = 0;
  for (int m = 0; m < IZ_HTTP_OTHER; m++) {
    if (!(methods & 1u << m)) continue;
    int wrote = snprintf(out + n, size - n, "%s%s", n ? ", " : "", names[m]);
    if (wrote < 0 || (size_t)wrote >= size - n) break;
    n += (size_t)wrote;
  }
  return n;
}
