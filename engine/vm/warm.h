/* warm.h -- fresh sandboxed states, made ahead.
 *
 * Code that must not share a state gets a new one each run. Opening one takes 40 to 130 µs; a few
 * are kept ready, and made again in later turns of the loop. None has ever run code.
 */
#ifndef IZ_WARM_H
#define IZ_WARM_H

#include "vm/vm.h"

/* A state opened by iz_sandbox_open and iz_bridge_open, owned by nobody yet; NULL: out of memory.
 * L is a stack of the main state, whose end also ends what is kept ready. */
iz_vm *iz_warm_take(lua_State *L);
/* The same, opened now. */
iz_vm *iz_warm_open(iz_loop *loop);

#endif
