/* buf.c -- the slow paths of buf.h. */
#include "buf.h"

#include "alloc.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

bool iz_buf_reserve(iz_buf *b, size_t extra) {
  if (b->oom) return false;
  if (b->cap - b->len >= extra) return true;
  if (extra > SIZE_MAX / 4 - b->len) {
    b->oom = true;
    return false;
  }
  size_t need = b->len + extra;
  size_t cap = b->cap ? b->cap + b->cap / 2 : 64;
  if (cap < need) cap = need;
  char *data = iz_realloc(b->data, cap);
  if (!data) {
    b->oom = true;
    return false;
  }
  b->data = data;
  b->cap = cap;
  return true;
}

bool iz_buf_addf(iz_buf *b, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  va_list again;
  va_copy(again, ap);
  int n = vsnprintf(NULL, 0, fmt, ap);
  va_end(ap);
  bool ok = n >= 0 && iz_buf_reserve(b, (size_t)n + 1);
  if (ok) {
    vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
    b->len += (size_t)n;
  }
  va_end(again);
  return ok;
}

char *iz_buf_cstr(iz_buf *b) {
  if (!iz_buf_reserve(b, 1)) return NULL;
  b->data[b->len] = 0;
  return b->data;
}

void iz_buf_consume(iz_buf *b, size_t n) {
  if (n >= b->len) {
    b->len = 0;
    return;
  }
  memmove(b->data, b->data + n, b->len - n);
  b->len -= n;
}

void iz_buf_free(iz_buf *b) {
  iz_free(b->data);
  *b = (iz_buf){0};
}
