/* replay.c -- runs a fuzz target over its committed corpus, without a fuzzer.
 *
 * usage: NAME tests/fuzz/corpus/NAME. Each file is one test, reported in TAP; a target that fails
 * aborts, so the last file announced is the one that broke it. Linked with one fuzz_NAME.c.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads a whole file into memory of exactly its size, so that a read past the end is caught. */
static uint8_t *slurp(const char *path, size_t *size) {
  FILE *f = fopen(path, "rb");
  if (!f) return NULL;
  uint8_t *data = NULL;
  if (fseek(f, 0, SEEK_END) == 0) {
    long n = ftell(f);
    rewind(f);
    data = n >= 0 ? malloc((size_t)n + (n == 0)) : NULL;
    *size = (size_t)n;
    if (data && fread(data, 1, *size, f) != *size) {
      free(data);
      data = NULL;
    }
  }
  fclose(f);
  return data;
}

int main(int argc, char **argv) {
  struct dirent **names;
  int count = argc == 2 ? scandir(argv[1], &names, NULL, alphasort) : -1;
  if (count < 0) {
    fprintf(stderr, "usage: %s CORPUS-DIRECTORY\n", argv[0]);
    return 2;
  }
  int failed = 0;
  for (int i = 0; i < count; i++) {
    if (names[i]->d_name[0] != '.') {
      char path[4096];
      snprintf(path, sizeof path, "%s/%s", argv[1], names[i]->d_name);
      printf("# %s\n", path);
      fflush(stdout);
      size_t size = 0;
      uint8_t *data = slurp(path, &size);
      if (data) LLVMFuzzerTestOneInput(data, size);
      printf("%s %s\n", data ? "ok" : "not ok", path);
      failed += !data;
      free(data);
    }
    free(names[i]);
  }
  free(names);
  return failed != 0;
}
