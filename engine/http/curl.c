/* curl.c -- opening libcurl and filling its function table: see curl.h. */
#include "curl.h"

#include <dlfcn.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>

#define LIBRARY "libcurl.so.4"
#define OLDEST                                                                                     \
  0x075800u /* CA_CACHE_TIMEOUT and QUICK_EXIT came with 7.87, PROTOCOLS_STR with 7.85 */
#define CURE "install Debian's package libcurl4"

static const struct {
  const char *name;
  size_t at;
} functions[] = {
#define ENTRY(name) {"curl_" #name, offsetof(iz_curl, name)},
    IZ_CURL_FUNCTIONS(ENTRY)
#undef ENTRY
};

static bool fill(void *lib, iz_curl *table, iz_err *err) {
  for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
    void *symbol = dlsym(lib, functions[i].name);
    if (!symbol)
      return iz_fail(err, "unavailable", "%s lacks %s: " CURE, LIBRARY, functions[i].name);
    memcpy((char *)table + functions[i].at, &symbol, sizeof symbol);
  }
  return true;
}

static bool check(const iz_curl *curl, iz_err *err) {
  const curl_version_info_data *v = curl->version_info(CURLVERSION_NOW);
  if (v->version_num < OLDEST)
    return iz_fail(err, "unavailable", "%s is %s, 7.88 or later is needed: " CURE, LIBRARY,
                   v->version);
  if (!(v->features & CURL_VERSION_SSL))
    return iz_fail(err, "unavailable", "%s was built without TLS: " CURE, LIBRARY);
  return true;
}

/* libcurl is told NOSIGNAL, which leaves a write to a closed TLS connection to us. */
static void ignore_sigpipe(void) {
  struct sigaction now;
  if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL) signal(SIGPIPE, SIG_IGN);
}

const iz_curl *iz_curl_load(iz_err *err) {
  static iz_curl table;
  static void *lib;
  static bool ready;
  if (ready) return &table;
  if (!lib) lib = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
  if (!lib)
    return iz_fail(err, "unavailable", "HTTP needs %s: " CURE " (%s)", LIBRARY, dlerror()), NULL;
  if (!fill(lib, &table, err) || !check(&table, err)) return NULL;
  /* With malloc of its own, not with iz_alloc: libcurl 7.88 frees a TLS session twice when memory
   * ends just where it keeps it, so a failure injected there would only find that. */
  if (table.global_init(CURL_GLOBAL_ALL)) return iz_fail_oom(err), NULL;
  ignore_sigpipe();
  ready = true;
  return &table;
}
