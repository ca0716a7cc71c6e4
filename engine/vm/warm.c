/* warm.c -- see warm.h. The store is a userdata of the main state's registry. */
#include "vm/warm.h"

#include "vm/bridge.h"
#include "vm/sandbox.h"

#include <lauxlib.h>
#include <string.h>

#define READY 4

typedef struct warm {
  iz_loop *loop;
  iz_vm *ready[READY];
  int n;
  iz_defer refill;
} warm;

static char key_warm;

static int open_state(lua_State *I) {
  iz_sandbox_open(I);
  iz_bridge_open(I);
  return 0;
}

iz_vm *iz_warm_open(iz_loop *loop) {
  iz_vm *vm = iz_vm_new(loop, 0);
  if (!vm) return NULL;
  lua_pushcfunction(vm->L, open_state);
  if (lua_pcall(vm->L, 0, 0, 0) == LUA_OK) return vm;
  iz_vm_free(vm);
  return NULL;
}

/* One a turn, so that nobody waits long. */
static void refill(iz_defer *d) {
  warm *w = IZ_OUTER(d, warm, refill);
  iz_vm *vm = iz_warm_open(w->loop);
  if (!vm) return;
  w->ready[w->n++] = vm;
  if (w->n < READY) iz_loop_defer(w->loop, d);
}

static int collect(lua_State *L) {
  warm *w = lua_touserdata(L, 1);
  iz_loop_undefer(w->loop, &w->refill);
  while (w->n) iz_vm_free(w->ready[--w->n]);
  return 0;
}

static warm *push_warm(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &key_warm) != LUA_TNIL) return lua_touserdata(L, -1);
  lua_pop(L, 1);
  warm *w = lua_newuserdatauv(L, sizeof *w, 0);
  memset(w, 0, sizeof *w);
  w->loop = iz_lua_loop(L);
  w->refill.fn = refill;
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, collect);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &key_warm);
  return w;
}

iz_vm *iz_warm_take(lua_State *L) {
  warm *w = push_warm(L);
  lua_pop(L, 1); /* the registry has it */
  iz_vm *vm = w->n ? w->ready[--w->n] : iz_warm_open(w->loop);
  if (!w->refill.queued) iz_loop_defer(w->loop, &w->refill);
  return vm;
}
