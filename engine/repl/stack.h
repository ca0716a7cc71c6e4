/* stack.h -- a second C stack in the same thread.
 *
 * For a library that insists on blocking: it runs on the second stack, and where it would block, it
 * switches back to the loop. Both sides see ordinary calls that return later. The sanitizers are
 * told of each switch.
 */
#ifndef IZ_STACK_H
#define IZ_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <ucontext.h>

typedef struct iz_stack {
  ucontext_t caller, inner;
  char *memory;
  void (*body)(void *);
  void *ctx;
  void *fake_caller, *fake_inner; /* the sanitizer's */
  const void *caller_bottom;
  size_t caller_size;
} iz_stack;

/* Prepares body(ctx), which must never return; it starts at the first iz_stack_enter. s must not
 * move. False: out of memory. */
bool iz_stack_open(iz_stack *s, void (*body)(void *), void *ctx);
/* Drops it wherever it is. */
void iz_stack_close(iz_stack *s);
/* Runs the body until it leaves. */
void iz_stack_enter(iz_stack *s);
/* Called in the body: returns from iz_stack_enter. */
void iz_stack_leave(iz_stack *s);

#endif
