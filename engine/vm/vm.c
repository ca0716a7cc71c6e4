/* vm.c -- making and closing a Lua state; its counting allocator. */
#include "vm/vm.h"

#include "base/alloc.h"
#include "vm/copy.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

static void *vm_alloc(void *ud, void *p, size_t osize, size_t nsize) {
  iz_vm *vm = ud;
  if (!p) osize = 0; /* Lua passes the kind of object here */
  if (!nsize) {
    iz_free(p);
    vm->mem_used -= osize;
    return NULL;
  }
  if (nsize > osize && vm->mem_limit && vm->mem_used - osize + nsize > vm->mem_limit) {
    vm->mem_hit = true;
    return NULL;
  }
  void *q = iz_realloc(p, nsize);
  if (!q) {
    if (nsize > osize) return NULL;
    q = p; /* Lua assumes that shrinking never fails */
  }
  vm->mem_used += nsize - osize;
  if (nsize > osize) vm->mem_total += nsize - osize;
  return q;
}

iz_vm *iz_vm_of(lua_State *L) {
  void *ud;
  lua_getallocf(L, &ud);
  return ud;
}

/* Only an error outside every protected call comes here: a bug of ours, or no memory for a first
 * message. */
static int panic(lua_State *L) {
  const char *text = lua_tostring(L, -1);
  fprintf(stderr, "iza: fatal: %s\n", text ? text : "unprotected error");
  return 0;
}

static int open_kernel(lua_State *L) {
  iz_error_open(L);
  iz_fiber_open(L);
  iz_copy_open(L);
  return 0;
}

iz_vm *iz_vm_new(iz_loop *loop, size_t mem_limit) {
  iz_vm *vm = iz_calloc(1, sizeof *vm);
  if (!vm) return NULL;
  vm->loop = loop;
  iz_scope_init(&vm->root, NULL);
  vm->L = lua_newstate(vm_alloc, vm);
  if (!vm->L) {
    iz_free(vm);
    return NULL;
  }
  memset(lua_getextraspace(vm->L), 0, sizeof(iz_co));
  lua_atpanic(vm->L, panic);
  lua_pushcfunction(vm->L, open_kernel);
  if (lua_pcall(vm->L, 0, 0, 0) != LUA_OK) {
    iz_vm_free(vm);
    return NULL;
  }
  vm->mem_limit = mem_limit;
  return vm;
}

void iz_vm_free(iz_vm *vm) {
  if (!vm) return;
  iz_guard_forget(vm);
  lua_close(vm->L);
  iz_free(vm);
}
