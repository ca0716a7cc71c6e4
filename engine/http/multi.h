/* multi.h -- a curl multi handle driven by the loop.
 *
 * libcurl tells us which sockets and which one timeout to watch; we tell it what happened. The
 * rules that keep this sound: libcurl is never called from one of its own callbacks, finished
 * transfers are collected after every action, and whoever uses this room hears of anything only in
 * `done`, `settled` and `broken`, which run as a deferred call with no libcurl frame below them. So
 * they may add and remove transfers freely.
 *
 * The timeout is libevent's and runs on real time: the network does not know a virtual clock.
 */
#ifndef IZ_MULTI_H
#define IZ_MULTI_H

#include "base/err.h"
#include "http/curl.h"
#include "loop/loop.h"

#include <event2/event_struct.h>

struct iz_watch;

typedef struct iz_multi {
  const iz_curl *curl;
  iz_loop *loop;
  CURLM *handle; /* NULL until the first transfer and after iz_multi_close */
  long idle_max; /* idle connections kept */
  void *ctx;     /* handed to the three below */
  void (*done)(void *ctx, CURL *easy, CURLcode code); /* over; remove it */
  void (*settled)(void *ctx); /* after iz_multi_wake, or when sockets were served */
  void (*broken)(void *ctx);  /* libcurl or libevent ran out of memory half-way: the state of the
                                 transfers is unknown; remove all, then iz_multi_close */
  struct event tick;
  struct iz_watch **watches; /* by descriptor */
  int watch_cap;
  iz_defer flush;
  bool due, is_broken;
} iz_multi;

/* Fill loop, idle_max, ctx and the three functions of a zeroed struct first. Loads libcurl. */
bool iz_multi_init(iz_multi *m, iz_err *err);
/* Starts a transfer. Its closing and opening of sockets must go through the two functions below. */
bool iz_multi_add(iz_multi *m, CURL *easy, iz_err *err);
/* Stops it, at any time but within a libcurl callback. */
void iz_multi_remove(iz_multi *m, CURL *easy);
/* Runs `settled` soon; allowed within libcurl callbacks. */
void iz_multi_wake(iz_multi *m);
/* Drops every idle connection, cached name and session. No transfer may be left in it. */
void iz_multi_close(iz_multi *m);

/* For CURLOPT_CLOSESOCKETFUNCTION, with the iz_multi as its data: the watch ends before the
 * descriptor does, since libcurl's own removal may come later or never. */
int iz_multi_close_socket(void *multi, curl_socket_t fd);

#endif
