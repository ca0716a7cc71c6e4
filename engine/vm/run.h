/* run.h -- a main state from start to end: open it, run one entry as its main task, drain, close.
 */
#ifndef IZ_RUN_H
#define IZ_RUN_H

#include "vm/vm.h"

typedef struct iz_run {
  /* Pushes the function to run and its arguments; returns the number of arguments. May raise. */
  int (*load)(lua_State *L, void *ctx);
  void *ctx;
  bool returns_status; /* the function's first result, if an integer, is the exit status */
} iz_run;

/* Runs it and returns the process's exit status: 0, 1 after an error (reported on stderr), 130
 * after Ctrl-C, 143 after SIGTERM (but a server's drain ends as if nothing had come), what the
 * function returned, or what os.exit was given. `os.exit(code, true)` cancels every task, so that
 * <close> handlers run, and then ends; `os.exit(code)` ends at once, as in Lua. */
int iz_run_main(const iz_run *run);

#endif
