/* curl.h -- libcurl, loaded on first use.
 *
 * Linking libcurl makes every start of the program several times slower (36 shared libraries), so
 * it is opened with dlopen when the first request is made and called through the table below. The
 * table is filled once and never unloaded. libcurl allocates through base/alloc.h.
 */
#ifndef IZ_CURL_H
#define IZ_CURL_H

#include "base/err.h"

#include <curl/curl.h>

/* Every function we call, without its `curl_`. */
#define IZ_CURL_FUNCTIONS(X)                                                                       \
  X(global_init)                                                                                   \
  X(version_info)                                                                                  \
  X(free)                                                                                          \
  X(slist_append)                                                                                  \
  X(slist_free_all)                                                                                \
  X(easy_init)                                                                                     \
  X(easy_setopt)                                                                                   \
  X(easy_getinfo)                                                                                  \
  X(easy_pause)                                                                                    \
  X(easy_cleanup)                                                                                  \
  X(easy_strerror)                                                                                 \
  X(multi_init)                                                                                    \
  X(multi_setopt)                                                                                  \
  X(multi_add_handle)                                                                              \
  X(multi_remove_handle)                                                                           \
  X(multi_socket_action)                                                                           \
  X(multi_info_read)                                                                               \
  X(multi_cleanup)                                                                                 \
  X(multi_strerror)                                                                                \
  X(url)                                                                                           \
  X(url_set)                                                                                       \
  X(url_get)                                                                                       \
  X(url_cleanup)                                                                                   \
  X(url_strerror)

typedef struct iz_curl {
#define IZ_CURL_FIELD(name) __typeof__(curl_##name) *name;
  IZ_CURL_FUNCTIONS(IZ_CURL_FIELD)
#undef IZ_CURL_FIELD
} iz_curl;

/* The table; NULL with code "unavailable" (the message names the package) when libcurl is absent or
 * older than 7.88. Loop thread only. */
const iz_curl *iz_curl_load(iz_err *err);

#endif
