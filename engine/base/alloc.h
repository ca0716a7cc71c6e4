/* alloc.h -- the one door to the heap.
 *
 * Every allocation of the engine, of Lua and of libevent goes through here, so that a test can make
 * the n-th one fail and demand a clean error.
 * All functions may be called from any thread. A NULL result means "no memory" and is always to be
 * checked; sizes of 0 are served as 1.
 */
#ifndef IZ_ALLOC_H
#define IZ_ALLOC_H

#include <stddef.h>
#include <stdint.h>

void *iz_alloc(size_t size);
void *iz_calloc(size_t count, size_t size); /* zeroed; NULL as well when count * size overflows */
void *iz_realloc(void *p, size_t size);     /* p may be NULL; on failure p stays valid */
void iz_free(void *p);                      /* p may be NULL */
char *iz_strndup(const char *s, size_t n);  /* always NUL-terminated */
char *iz_strdup(const char *s);

/* Fault injection, for tests. The n-th allocation from now (1 = the next) fails, and so does the
 * one after it when it is an iz_realloc that asks for the very same: Lua tries again after a
 * collection, and would never see a failure. 0 turns it off. `every` makes all later ones fail too.
 */
void iz_alloc_fail(uint64_t n, int every);
/* Allocations since the last iz_alloc_fail() call; it counts only while injection is on. */
uint64_t iz_alloc_seen(void);
/* Whether an injected failure has happened since the last iz_alloc_fail(). */
int iz_alloc_failed(void);
/* Blocks taken less blocks given back since injection was turned on (UINT64_MAX as n: it is on and
 * nothing fails). Two runs that end in the same state differ by what one of them leaked. */
int64_t iz_alloc_live(void);

#endif
