/* vm.h -- a Lua state on the loop, and the fibers (Lua tasks) that run in it.
 *
 * iz_vm is the main state or an isolate. Its allocator counts and limits memory; `iz_vm_of` finds
 * it from any lua_State of it. Every Lua entry runs as a fiber: a task whose body is a coroutine.
 * The state's coroutine.*, pcall and xpcall are ours (co.c), so that waits, cancellation, limits
 * and preemption pass through a user's own coroutines to the scheduler.
 *
 * Per coroutine we keep 8 bytes in Lua's extra space (iz_co): no table look-up at a resume.
 */
#ifndef IZ_VM_H
#define IZ_VM_H

#include "base/err.h"
#include "loop/task.h"
#include "vm/await.h"

#include <lua.h>
#include <signal.h>

typedef struct iz_vm iz_vm;
typedef struct iz_fiber iz_fiber;

/* CPU time is counted in slices. */
#define IZ_SLICE_NS 10000000
/* How many a budget of so many nanoseconds is. */
static inline int64_t iz_slices(int64_t ns) {
  return (ns + IZ_SLICE_NS - 1) / IZ_SLICE_NS;
}

/* Why a fiber was stopped by force. After one fired, nothing in it can catch the error. */
enum iz_limit { IZ_LIMIT_NONE, IZ_LIMIT_CPU, IZ_LIMIT_MEMORY, IZ_LIMIT_EXIT };

struct iz_fiber {
  iz_task task;
  iz_vm *vm;
  lua_State *co;     /* its base coroutine */
  lua_State *waiter; /* the coroutine that called the present wait */
  lua_KFunction k;   /* what to run when the wait is over */
  lua_KContext ctx;
  iz_waiter wait;              /* for sleep, park, join and scope: one at a time */
  iz_timer timer;              /* their time limit */
  int nargs;                   /* on co's stack before the first step */
  volatile sig_atomic_t ticks; /* slices of CPU since the last wait */
  uint16_t budget;             /* its own number of slices; 0 = the state's */
  uint8_t limit;               /* enum iz_limit: which one fired */
  uint8_t grace;               /* extra slices granted to <close> since */
  bool preempted;              /* suspended by the guard, not by a wait */
  bool parked;                 /* the present wait is a park */
  bool permit;                 /* unpark came before park */
  bool failed;                 /* ended with an error, which is on co's stack */
  bool cancelled;              /* it failed because it was cancelled */
  bool crossing;     /* another state waits for it: never raised or reported in this one */
  bool pinned;       /* anchored past its end, until iz_fiber_unpin */
  iz_scope *held_by; /* the scope whose `failure` it is */
  /* C that gave it something to look after hears of its end here, however that came. */
  void (*over)(void *ctx);
  void *over_ctx;
};

struct iz_vm {
  lua_State *L;
  iz_loop *loop;
  iz_fiber *current;           /* running fiber */
  lua_State *volatile running; /* innermost running coroutine; read by the slice signal */
  bool suspending;             /* a wait or preemption is on its way out to the scheduler */
  iz_scope root;               /* fibers that belong to nobody else */
  size_t mem_used, mem_limit;  /* bytes; limit 0 = none */
  bool mem_hit;                /* the limit refused an allocation since it was last looked at */
  uint64_t mem_total;          /* bytes ever allocated */
  int cpu_slices;              /* budget between waits in 10 ms slices; 0 = none (main state) */
  int fibers;                  /* that live in it, or are pinned */
  void (*on_gone)(iz_vm *vm, iz_fiber *f);    /* one of them is over and its results were taken */
  void (*on_idle)(iz_vm *vm);                 /* the last of them ended */
  void (*on_failure)(iz_vm *vm, iz_fiber *f); /* a fiber failed and nobody joined it */
  /* Ctrl-C came: true when it was dealt with (a REPL). NULL: all tasks are cancelled. */
  bool (*on_interrupt)(iz_vm *vm);
  int servers;  /* that listen or drain */
  bool patient; /* long turns are what the user wants: say nothing */
  void *owner;  /* the isolate, for vm/isolate.c */
};

/* The fiber it lives in; NULL for one of a root scope, or after its end. */
static inline iz_fiber *iz_fiber_parent(const iz_fiber *f) {
  iz_task *owner = f->task.scope ? f->task.scope->owner : NULL;
  return owner ? IZ_OUTER(owner, iz_fiber, task) : NULL;
}

/* What we know of each coroutine, in its extra space. */
typedef struct iz_co {
  uint16_t depth;  /* protected calls open in it */
  uint16_t unwind; /* depth at which a cancel was raised that is not yet caught; 0 = none */
  uint16_t flags;
} iz_co;
enum { IZ_CO_BASE = 1, IZ_CO_WAITING = 2, IZ_CO_SHIELDED = 4, IZ_CO_BLOCKED = 8 };

static inline iz_co *iz_co_of(lua_State *L) {
  return (iz_co *)lua_getextraspace(L);
}
iz_vm *iz_vm_of(lua_State *L);

/* A bare state: allocator and bookkeeping, no libraries. NULL: out of memory. */
iz_vm *iz_vm_new(iz_loop *loop, size_t mem_limit);
/* Closes it. Its fibers must be done (iz_scope_cancel(&vm->root), then turns of the loop). */
void iz_vm_free(iz_vm *vm);

/* Registers what fibers need in a new state. */
void iz_fiber_open(lua_State *L);
/* Makes a fiber of the function and its nargs arguments on top of L's stack (popped), in `scope`.
 * Pushes the fiber's userdata, which anchors it while it lives. Raises on memory. */
iz_fiber *iz_fiber_spawn(lua_State *L, int nargs, iz_scope *scope, uint32_t flags);
/* Suspends the running fiber of L until f, a fiber of another state that was spawned with
 * `crossing` and `pinned` set, is over; then runs k with f as its context, which must unpin it. */
int iz_fiber_await(lua_State *L, iz_fiber *f, lua_KFunction k);
void iz_fiber_unpin(iz_fiber *f);
/* The fiber behind an argument; raises if it is none. */
iz_fiber *iz_check_fiber(lua_State *L, int arg);
/* Pushes where the running fiber was spawned, a line a generation; false (nothing pushed) when it
 * is the main one or none runs. */
bool iz_fiber_push_origin(lua_State *L);
/* Lua: list() -> the living tasks of the state, as iza.list. */
int iz_fiber_list(lua_State *L);
/* Pushes the error a failed fiber ended with (an error object). */
void iz_fiber_push_error(lua_State *L, iz_fiber *f);

/* co.c: replaces coroutine.*, pcall and xpcall in the state's globals. */
void iz_co_open(lua_State *L);
/* The body under which every coroutine runs: a protected call that takes the traceback. */
int iz_co_body(lua_State *L);
/* Is L, or a frame of it, inside a <close> that waits must be allowed in? */
bool iz_co_shielded(lua_State *L);
/* Raises the cancellation error in L. */
int iz_raise_cancelled(lua_State *L);
/* Notes that a cancel is being raised in L, so that <close> is shielded while it unwinds. */
void iz_co_unwind(lua_State *L);

/* fiber.c: the method table of task objects, and iza.core.task. */
int iz_open_task(lua_State *L);

/* error.c: error objects {code, message, retryable, trace, origin}. */

/* Message handlers. `note` keeps the value as it is and remembers the traceback beside it, for a
 * coroutine that may be resumed under pcall semantics; `wrap` makes an error object of any value.
 */
int iz_error_note(lua_State *L);
int iz_error_wrap(lua_State *L);
/* Is the value at index an error object? */
bool iz_error_is(lua_State *L, int index);
/* Pushes the whole report of the error value at index, as script, REPL and server show it: message,
 * the failing line quoted, traceback, spawn chain. Never raises but for memory. */
void iz_error_report(lua_State *L, int index);
/* Remembers the text on top of the stack (popped) as the source of chunk `name`, to be quoted. nil
 * forgets it. */
void iz_error_source(lua_State *L, const char *name);
/* The source of a chunk that is in no file: remembered, or embedded. NULL: unknown. */
const char *iz_error_find_source(lua_State *L, const char *name, size_t *n);
/* Makes the table on top an error object. */
void iz_error_mark(lua_State *L);
/* Lua: iza.error(code, message, retryable?) -> error object. */
int iz_error_new(lua_State *L);
/* Whether a source is one of the library's own. */
bool iz_error_in_library(const char *file);
/* Lua: misuse(message), raised with the place of the first function outside the library. */
int iz_error_misuse(lua_State *L);
/* Registers the error metatable of a new state. */
void iz_error_open(lua_State *L);

/* guard.c: the slice timer. Start once a process, on the Lua thread. */
bool iz_guard_start(iz_err *err);
void iz_guard_stop(void);
/* Names the state whose fibers run from now on. */
void iz_guard_enter(iz_vm *vm);
/* The state is about to end. */
void iz_guard_forget(iz_vm *vm);
/* For long C functions of a sandbox, every few thousand steps: raises when the running fiber's
 * budget is spent. `preempt` also tells whether the slice is over and the function can yield: it
 * must then `return lua_yieldk(L, 0, ctx, k)` at once and go on in k. */
void iz_guard_check(lua_State *L);
bool iz_guard_preempt(lua_State *L);

#endif
