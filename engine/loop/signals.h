/* signals.h -- the process's signals, delivered on the loop.
 *
 *   SIGINT   `fn` is told ("stop, please"); a second one ends the process at once with status 130,
 *            even when the loop is stuck, unless iz_signals_answered was called in between
 *   SIGTERM  `fn` is told (drain and end)
 *   SIGHUP   `fn` is told (the terminal is gone)
 *   SIGPIPE  `fn` is told when nobody reads standard output any more (`iza x.lua | head`); any
 * other write to a reader that has gone just fails with EPIPE
 *
 * SIGINT and SIGHUP stay ignored when they were ignored at the start (nohup, a shell's background
 * job). Only handlers are used, no masks and no SIG_IGN, so every child, also one of os.execute or
 * io.popen, starts with default signals. One set of signals a process: start it on one loop.
 */
#ifndef IZ_SIGNALS_H
#define IZ_SIGNALS_H

#include "loop/loop.h"

/* Begins. fn runs on the loop, once for each kind that came since the last turn. */
bool iz_signals_start(iz_loop *loop, void (*fn)(void *ctx, int sig), void *ctx, iz_err *err);
/* Puts the former handlers back. */
void iz_signals_stop(void);

/* The SIGINTs so far have done their work (a REPL has cancelled the entry): the next is a first
 * one. */
void iz_signals_answered(void);
/* True when the program was asked to stop and the asking was not answered. From any handler or
 * thread: a running computation that never returns to the loop can be told of it this way. */
bool iz_signals_stop_asked(void);
/* Lua computed for `ms` more. When a first SIGINT was not answered after a second of that, a person
 * at the terminal is told, once, that the next one ends the program. Safe in a signal handler, on
 * the loop's thread. */
void iz_signals_computed(int ms);
/* Tells `fn` now of what came, instead of in the loop's next turn. */
void iz_signals_deliver(void);

/* fn (NULL: none) is called in the signal handler before the second SIGINT ends the process: it may
 * put the terminal's modes back. */
void iz_signals_before_exit(void (*fn)(void));

/* Makes SIGPIPE harmless before or without iz_signals_start. May be called again. */
void iz_signals_no_sigpipe(void);

#endif
