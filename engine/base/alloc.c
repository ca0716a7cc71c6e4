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
static atomic_int_fast64_t live;
static _Thread_local const void *refused; /* what the injected failure was asked for */
static _Thread_local size_t refused_size;

void iz_alloc_fail(uint64_t n, int every) {
  atomic_store(&seen, 0);
  atomic_store(&fail_at, n);
  atomic_store(&fail_every, every != 0);
  atomic_store(&has_failed, false);
  if (!atomic_exchange(&armed, n != 0)) atomic_store(&live, 0);
}

uint64_t iz_alloc_seen(void) {
  return atomic_load(&seen);
}

int iz_alloc_failed(void) {
  return atomic_load(&has_failed);
}

int64_t iz_alloc_live(void) {
  return atomic_load(&live);
}

static bool is_armed(void) {
  return __builtin_expect(atomic_load_explicit(&armed, memory_order_relaxed), 0);
}

static bool injected(void) {
  if (!is_armed()) return false;
  uint64_t n = atomic_fetch_add(&seen, 1) + 1;
  uint64_t at = atomic_load(&fail_at);
  bool fail = n == at || (n > at && atomic_load(&fail_every));
  if (fail) atomic_store(&has_failed, true);
  return fail;
}

/* Whether this is the second try of what was refused. */
static bool is_retry(const void *p, size_t size) {
  return atomic_load(&seen) == atomic_load(&fail_at) + 1 && p == refused && size == refused_size;
}

static bool realloc_injected(const void *p, size_t size) {
  if (!is_armed()) return false;
  if (injected()) {
    refused = p;
    refused_size = size;
    return true;
  }
  return is_retry(p, size);
}

static void *counted(void *p) {
  if (is_armed() && p) atomic_fetch_add(&live, 1);
  return p;
}

void *iz_alloc(size_t size) {
  return injected() ? NULL : counted(malloc(size ? size : 1));
}

void *iz_calloc(size_t count, size_t size) {
  if (injected()) return NULL;
  return counted(count && size ? calloc(count, size) : calloc(1, 1));
}

void *iz_realloc(void *p, size_t size) {
  if (realloc_injected(p, size)) return NULL;
  return p ? realloc(p, size ? size : 1) : counted(malloc(size ? size : 1));
}

void iz_free(void *p) {
  if (is_armed() && p) atomic_fetch_sub(&live, 1);
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
