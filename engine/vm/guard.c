/* guard.c -- CPU slices without a standing hook.
 *
 * A standing count hook costs 43 % in Lua 5.4. Instead a timer on the Lua thread's CPU clock sends
 * a signal each 10 ms of CPU time actually used; its handler arms a one-shot count hook on the
 * innermost running coroutine (lua_sethook is safe there: lua.c does the same on Ctrl-C). At the
 * next instruction the hook decides: yield (another fiber's turn), stop (budget spent), or go on.
 *
 * A hook cannot fire inside a C function; the sandbox's long ones call iz_guard_check themselves.
 * The main state has no budget and is not preempted, but a request to stop (Ctrl-C, SIGTERM) is
 * raised as a cancellation in whatever computes there. Isolates see any cancellation at a slice's
 * end.
 *
 * A fiber stopped by a limit gets GRACE_TIMES slices of GRACE_SLICES for its <close> handlers, then
 * no instruction runs any more.
 */
#include "vm/vm.h"

#include "base/log.h"
#include "loop/signals.h"

#include <errno.h>
#include <lauxlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define GRACE_SLICES 2
#define GRACE_TIMES 3
#define LONG_TURN 10 /* slices; then the main state's turn is reported once */

static timer_t timer;
static bool started;
static iz_vm *volatile active; /* the state whose Lua runs now */

static void slice_over(lua_State *L, lua_Debug *ar);

/* The main state is not preempted: its hook has work only on Ctrl-C or when others wait long. */
static bool has_reason(const iz_vm *vm, const iz_fiber *f) {
  if (vm->cpu_slices || f->limit || f->budget || iz_signals_stop_asked()) return true;
  return f->ticks >= LONG_TURN && (!vm->patient || (f->task.flags & IZ_TASK_CANCELLED));
}

static void on_slice(int sig, siginfo_t *info, void *context) {
  (void)sig, (void)context;
  int saved = errno;
  iz_signals_computed((1 + info->si_overrun) * (IZ_SLICE_NS / 1000000));
  iz_vm *vm = active;
  lua_State *L = vm ? vm->running : NULL;
  if (L && vm->current) {
    vm->current->ticks += 1 + info->si_overrun;
    /* arming walks all frames: of a deep recursion, longer than a slice */
    if (!lua_gethook(L) && has_reason(vm, vm->current))
      lua_sethook(L, slice_over, LUA_MASKCOUNT, 1);
  }
  errno = saved;
}

bool iz_guard_start(iz_err *err) {
  if (started) return true;
  struct sigaction sa = {.sa_sigaction = on_slice, .sa_flags = SA_SIGINFO | SA_RESTART};
  sigfillset(&sa.sa_mask);
  struct sigevent ev = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN};
  ev._sigev_un._tid = (pid_t)syscall(SYS_gettid);
  struct itimerspec every = {{0, IZ_SLICE_NS}, {0, IZ_SLICE_NS}};
  if (sigaction(SIGRTMIN, &sa, NULL) != 0 ||
      timer_create(CLOCK_THREAD_CPUTIME_ID, &ev, &timer) != 0)
    return iz_fail_errno(err, errno, "cannot start the CPU guard's timer");
  started = true;
  if (timer_settime(timer, 0, &every, NULL) != 0)
    return iz_fail_errno(err, errno, "cannot set the CPU guard's timer");
  return true;
}

void iz_guard_stop(void) {
  if (started) timer_delete(timer);
  started = false;
}

void iz_guard_enter(iz_vm *vm) {
  active = vm;
}

void iz_guard_forget(iz_vm *vm) {
  if (active == vm) active = NULL;
}

/* ---- decisions ---- */

static int raise_limit(lua_State *L, iz_fiber *f) {
  static const char *const texts[] = {
      "", "stopped: it used more CPU time between two waits than its budget allows",
      "stopped: it reached its memory limit", "stopped: the program ends"};
  iz_push_err(L, "limit", texts[f->limit], false);
  return lua_error(L);
}

/* Fires the limit, or grants <close> its grace. Returns only if code may go on. */
static void enforce(lua_State *L, iz_fiber *f) {
  if (!f->limit) {
    int budget = f->budget ? f->budget : f->vm->cpu_slices;
    if (!budget || f->ticks < budget) return;
    f->limit = IZ_LIMIT_CPU;
    f->ticks = 0;
    raise_limit(L, f);
  }
  if (f->grace >= GRACE_TIMES) {
    lua_sethook(L, slice_over, LUA_MASKCOUNT, 1);
    raise_limit(L, f);
  }
  if (f->ticks < GRACE_SLICES) return;
  f->grace++;
  f->ticks = 0;
  raise_limit(L, f);
}

/* Once, and only if somebody else may have waited: a script that computes alone disturbs nobody. */
static void report_long_turn(lua_State *L, iz_vm *vm) {
  if (iz_loop_refs(vm->loop) < 2) return;
  vm->patient = true;
  luaL_traceback(L, L, NULL, 0);
  iz_log(
      IZ_WARN, "vm",
      "a turn took over 100 ms and other tasks waited (iza.sleep(0) lets them run); this is told "
      "once: %s",
      lua_tostring(L, -1));
  lua_pop(L, 1);
}

/* A cancelled task that computes does not see its cancellation at a wait; it is raised here, and no
 * pcall escapes it. */
static void stop_cancelled(lua_State *L, iz_fiber *f) {
  if (!(f->task.flags & IZ_TASK_CANCELLED)) return;
  if (!iz_task_must_stop(&f->task, iz_co_shielded(L))) return;
  lua_sethook(L, slice_over, LUA_MASKCOUNT, 1);
  iz_raise_cancelled(L);
}

static void slice_of_main(lua_State *L, iz_vm *vm, iz_fiber *f) {
  bool asked = iz_signals_stop_asked();
  if (asked) iz_signals_deliver();
  if (asked || f->ticks >= LONG_TURN) stop_cancelled(L, f);
  if (f->ticks >= LONG_TURN && !vm->patient) report_long_turn(L, vm);
}

static void slice_over(lua_State *L, lua_Debug *ar) {
  (void)ar;
  lua_sethook(L, NULL, 0, 0);
  iz_vm *vm = iz_vm_of(L);
  iz_fiber *f = vm->current;
  if (!f) return;
  if (!vm->cpu_slices && !f->limit && !f->budget) {
    slice_of_main(L, vm, f);
    return;
  }
  enforce(L, f);
  stop_cancelled(L, f);
  if (!lua_isyieldable(L) || (iz_co_of(L)->flags & IZ_CO_BLOCKED)) return;
  f->preempted = true;
  vm->suspending = true;
  lua_yield(L, 0);
}

void iz_guard_check(lua_State *L) {
  iz_fiber *f = iz_vm_of(L)->current;
  if (!f) return;
  enforce(L, f);
  if (iz_vm_of(L)->cpu_slices) stop_cancelled(L, f);
}

bool iz_guard_preempt(lua_State *L) {
  iz_vm *vm = iz_vm_of(L);
  iz_fiber *f = vm->current;
  if (!f || !lua_gethook(L)) return false; /* the slice signal has not come */
  if (!vm->cpu_slices && !f->budget) return false;
  lua_sethook(L, NULL, 0, 0);
  iz_guard_check(L);
  if (!lua_isyieldable(L) || (iz_co_of(L)->flags & IZ_CO_BLOCKED)) return false;
  f->preempted = true;
  vm->suspending = true;
  return true;
}
