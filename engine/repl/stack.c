/* stack.c -- switching stacks with ucontext: see stack.h. */
#include "stack.h"

#include <sys/mman.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#define BEFORE(save, bottom, size) __sanitizer_start_switch_fiber(save, bottom, size)
#define AFTER(saved, bottom, size) __sanitizer_finish_switch_fiber(saved, bottom, size)
#else
#define BEFORE(save, bottom, size) ((void)0)
#define AFTER(saved, bottom, size) ((void)0)
#endif

#define SIZE (256 * 1024) /* below it a page that no one may touch */
#define GUARD 4096

static iz_stack *starting; /* makecontext passes only ints */

static void run(void) {
  iz_stack *s = starting;
  AFTER(NULL, &s->caller_bottom, &s->caller_size);
  s->body(s->ctx);
}

bool iz_stack_open(iz_stack *s, void (*body)(void *), void *ctx) {
  void *p = mmap(NULL, SIZE + GUARD, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (p == MAP_FAILED) return false;
  if (mprotect(p, GUARD, PROT_NONE) != 0 || getcontext(&s->inner) != 0) {
    munmap(p, SIZE + GUARD);
    return false;
  }
  s->memory = p;
  s->body = body;
  s->ctx = ctx;
  s->inner.uc_stack.ss_sp = s->memory + GUARD;
  s->inner.uc_stack.ss_size = SIZE;
  s->inner.uc_link = NULL;
  makecontext(&s->inner, run, 0);
  return true;
}

void iz_stack_close(iz_stack *s) {
  if (s->memory) munmap(s->memory, SIZE + GUARD);
  s->memory = NULL;
}

void iz_stack_enter(iz_stack *s) {
  starting = s;
  BEFORE(&s->fake_caller, s->memory + GUARD, SIZE);
  swapcontext(&s->caller, &s->inner);
  AFTER(s->fake_caller, NULL, NULL);
}

void iz_stack_leave(iz_stack *s) {
  BEFORE(&s->fake_inner, s->caller_bottom, s->caller_size);
  swapcontext(&s->inner, &s->caller);
  AFTER(s->fake_inner, &s->caller_bottom, &s->caller_size);
}
