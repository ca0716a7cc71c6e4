/* clock.c -- real and virtual time: see clock.h. */
#include "clock.h"

#include <stdatomic.h>
#include <time.h>

static atomic_bool is_virtual;
static atomic_int_fast64_t virtual_now;
static atomic_int_fast64_t virtual_wall;

static int64_t read_clock(clockid_t id) {
  struct timespec ts;
  clock_gettime(id, &ts);
  return (int64_t)ts.tv_sec * IZ_SEC + ts.tv_nsec;
}

int64_t iz_now(void) {
  if (atomic_load_explicit(&is_virtual, memory_order_relaxed)) return atomic_load(&virtual_now);
  return read_clock(CLOCK_MONOTONIC);
}

int64_t iz_wall(void) {
  if (atomic_load_explicit(&is_virtual, memory_order_relaxed)) return atomic_load(&virtual_wall);
  return read_clock(CLOCK_REALTIME);
}

void iz_clock_virtual(int64_t wall_ns) {
  atomic_store(&virtual_now, read_clock(CLOCK_MONOTONIC));
  atomic_store(&virtual_wall, wall_ns);
  atomic_store(&is_virtual, true);
}

bool iz_clock_is_virtual(void) {
  return atomic_load(&is_virtual);
}

void iz_clock_advance(int64_t ns) {
  atomic_fetch_add(&virtual_now, ns);
  atomic_fetch_add(&virtual_wall, ns);
}

void iz_clock_real(void) {
  atomic_store(&is_virtual, false);
}
