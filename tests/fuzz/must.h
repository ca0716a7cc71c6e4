/* must.h -- what a fuzz target says when an invariant does not hold. */
#ifndef IZ_TEST_MUST_H
#define IZ_TEST_MUST_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void must(int ok, const char *what) {
  if (ok) return;
  fprintf(stderr, "broken: %s\n", what);
  abort();
}

#endif
