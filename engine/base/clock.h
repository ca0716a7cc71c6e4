/* clock.h -- the one clock under everything.
 *
 * Timers, deadlines, log stamps and iza.now() read time only here, so a test can put virtual time
 * under the whole program. All times are int64 nanoseconds.
 */
#ifndef IZ_CLOCK_H
#define IZ_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define IZ_US INT64_C(1000)
#define IZ_MS INT64_C(1000000)
#define IZ_SEC INT64_C(1000000000)

/* Monotonic time; its zero is arbitrary. Any thread. */
int64_t iz_now(void);
/* Unix time (UTC). Any thread. */
int64_t iz_wall(void);

/* Puts virtual time in place: both clocks stand still until iz_clock_advance. `wall_ns` is the
 * starting Unix time. Call before the loop starts. */
void iz_clock_virtual(int64_t wall_ns);
bool iz_clock_is_virtual(void);
/* Moves virtual time forward by ns (>= 0). */
void iz_clock_advance(int64_t ns);
/* Back to the real clock. */
void iz_clock_real(void);

#endif
