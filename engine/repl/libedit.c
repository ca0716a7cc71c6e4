/* libedit.c -- finding libedit's functions: see libedit.h. */
#include "libedit.h"

#include <dlfcn.h>
#include <locale.h>
#include <stddef.h>
#include <string.h>

#define ROW(fn)                                                                                    \
  { #fn, offsetof(iz_libedit, fn) }

static const struct {
  const char *name;
  size_t offset;
} symbols[] = {
    ROW(el_init_fd),   ROW(el_end),        ROW(el_reset),  ROW(el_source),    ROW(el_set),
    ROW(el_get),       ROW(el_wset),       ROW(el_wgets),  ROW(el_wgetc),     ROW(el_wpush),
    ROW(el_wline),     ROW(el_winsertstr), ROW(el_cursor), ROW(el_deletestr), ROW(history_winit),
    ROW(history_wend), ROW(history_w),
};

const iz_libedit *iz_libedit_load(iz_err *err) {
  static iz_libedit table;
  static bool ready;
  if (ready) return &table;
  setlocale(LC_CTYPE, "C.UTF-8"); /* it reads and shows characters by it */
  void *lib = dlopen("libedit.so.2", RTLD_NOW | RTLD_LOCAL);
  if (!lib) {
    iz_fail(err, "missing_library", "line editing needs libedit: install the package libedit2 (%s)",
            dlerror());
    return NULL;
  }
  for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
    void *fn = dlsym(lib, symbols[i].name);
    if (!fn) {
      iz_fail(err, "missing_library", "libedit.so.2 has no %s: install a newer libedit2",
              symbols[i].name);
      return NULL;
    }
    memcpy((char *)&table + symbols[i].offset, &fn, sizeof fn);
  }
  ready = true;
  return &table;
}
