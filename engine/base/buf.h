/* buf.h -- a growable run of bytes.
 *
 * Zero-initialise it (`iz_buf b = {0};`), append, then iz_buf_free. When memory runs out the append
 * returns false, `oom` stays set and every later append is refused: a writer may append many times
 * and check once at the end. `data` is not NUL-terminated unless iz_buf_cstr made it so.
 */
#ifndef IZ_BUF_H
#define IZ_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

typedef struct iz_buf {
  char *data;
  size_t len, cap;
  bool oom;
} iz_buf;

/* Makes room for `extra` more bytes behind `len`. */
bool iz_buf_reserve(iz_buf *b, size_t extra);
bool iz_buf_addf(iz_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The bytes with a NUL behind them (not counted in len); NULL when memory ran out. */
char *iz_buf_cstr(iz_buf *b);
/* Drops the first n bytes (n <= len); the rest moves to the front. */
void iz_buf_consume(iz_buf *b, size_t n);
/* Releases the memory and zeroes the struct. */
void iz_buf_free(iz_buf *b);

static inline bool iz_buf_add(iz_buf *b, const void *p, size_t n) {
  if (b->cap - b->len < n || b->oom) {
    if (!iz_buf_reserve(b, n)) return false;
  }
  if (n) memcpy(b->data + b->len, p, n);
  b->len += n;
  return true;
}

static inline bool iz_buf_adds(iz_buf *b, const char *s) {
  return iz_buf_add(b, s, strlen(s));
}

static inline bool iz_buf_addc(iz_buf *b, char c) {
  return iz_buf_add(b, &c, 1);
}

/* Empties it, keeps the memory and clears oom. */
static inline void iz_buf_clear(iz_buf *b) {
  b->len = 0;
  b->oom = false;
}

#endif
