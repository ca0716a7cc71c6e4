/* alloc.c -- malloc with fault injection: see alloc.h. */
#include "alloc.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static atomic_bool armed;
static atomic_bool fail_every;
static atomic_bool has_failed;
static atomic_uint_fast64_t seen;
static atomic_uint_fast64_t fail_at;

void iz_alloc_fail(uint64_t n, int every) {
  atomic_store(&seen, 0);
  atomic_store(&fail_at, n);
  atomic_store(&fail_every, every != 0);
  atomic_store(&has_failed, false);
  atomic_store(&armed, n != 0);
}

uint64_t iz_alloc_seen(void) {
  return atomic_load(&seen);
}

int iz_alloc_failed(void) {
  return atomic_load(&has_failed);
}

static bool injected(void) {
  if (__builtin_expect(!atomic_load_explicit(&armed, memory_order_relaxed), 1)) return false;
  uint64_t n = atomic_fetch_add(&seen, 1) + 1;
  uint64_t at = atomic_load(&fail_at);
  bool fail = n == at || (n > at && atomic_load(&fail_every));
  if (fail) atomic_store(&has_failed, true);
  return fail;
}

void *iz_alloc(size_t size) {
  return injected() ? NULL : malloc(size ? size : 1);
}

void *iz_calloc(size_t count, size_t size) {
  if (injected()) return NULL;
  return count && size ? calloc(count, size) : calloc(1, 1);
}

void *iz_realloc(void *p, size_t size) {
  return injected() ? NULL : realloc(p, size ? size : 1);
}

void iz_free(void *p) {
  free(p);
}

char *iz_strndup(const char *s, size_t n) {
  char *copy = iz_alloc(n + 1);
  if (!copy) return NULL;
  memcpy(copy, s, n);
  copy[n] = 0;
  return copy;
}

char *iz_strdup(const char *s) {
  return iz_strndup(s, strlen(s));
}
