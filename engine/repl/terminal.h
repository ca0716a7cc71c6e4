/* terminal.h -- the terminal's modes, put back on every way out.
 *
 * While a line is edited the terminal is in raw mode with bracketed paste on. However the program
 * ends then (return, exit, a crash by signal, Ctrl-\), and while it is stopped by Ctrl-Z, the modes
 * are those found at the start. One terminal a process. SIGKILL cannot be helped.
 */
#ifndef IZ_TERMINAL_H
#define IZ_TERMINAL_H

#include "loop/loop.h"

/* Remembers the modes of fd. `changed` is told on the loop when the window has another size or the
 * program was continued after a stop: draw again. False: fd is no terminal, or no memory. */
bool iz_terminal_open(iz_loop *loop, int fd, void (*changed)(void *), void *ctx, iz_err *err);
/* Puts the modes and the signal handlers back. */
void iz_terminal_close(void);
/* The line editor has just made the terminal raw. */
void iz_terminal_is_raw(void);
/* Puts the modes back until the next line. */
void iz_terminal_restore(void);
/* Its size; 80 by 24 when it does not say. */
void iz_terminal_size(int *columns, int *rows);

#endif
