/* count_fds.h -- the number of open descriptors, to see that none leaks. */
#ifndef IZ_TEST_COUNT_FDS_H
#define IZ_TEST_COUNT_FDS_H

#include <dirent.h>

static inline int count_fds(void) {
  int n = 0;
  DIR *d = opendir("/proc/self/fd");
  while (d && readdir(d)) n++;
  if (d) closedir(d);
  return n;
}

#endif
