/* hold.h -- what tasks print while a line is being edited.
 *
 * stdout, stderr and the log are held back in memory until the end of the loop's turn; then the
 * line is taken off the screen, they are written where it stood, and it is drawn again below. What
 * a child process or a direct write(2) prints is not held, and more than 64 KB in one turn goes
 * straight out; Ctrl-L draws the screen afresh.
 */
#ifndef IZ_HOLD_H
#define IZ_HOLD_H

#include <stdbool.h>

/* From now on output is held. */
void iz_hold_begin(void);
/* Is there some? */
bool iz_hold_pending(void);
/* Writes it, and a line feed if the last line has none. */
void iz_hold_flush(void);
/* Writes what is left; from now on nothing is held. */
void iz_hold_end(void);

#endif
