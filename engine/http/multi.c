/* multi.c -- sockets and the timeout of a curl multi handle on libevent: see multi.h. */
#include "multi.h"

#include "base/alloc.h"

#include <event2/event.h>
#include <string.h>
#include <unistd.h>

typedef struct iz_watch {
  struct event event;
  int what; /* CURL_POLL_* */
} watch;

static void fail_all(iz_multi *m) {
  m->is_broken = true;
  iz_loop_defer(m->loop, &m->flush);
}

static void act(iz_multi *m, curl_socket_t fd, int flags) {
  int running;
  if (m->curl->multi_socket_action(m->handle, fd, flags, &running) != CURLM_OK) fail_all(m);
}

/* ---- sockets ---- */

static void on_socket(evutil_socket_t fd, short what, void *arg) {
  int flags = 0;
  if (what & EV_READ) flags |= CURL_CSELECT_IN;
  if (what & EV_WRITE) flags |= CURL_CSELECT_OUT;
  act(arg, fd, flags);
  iz_multi_wake(arg);
}

static void unwatch(iz_multi *m, curl_socket_t fd) {
  if (fd < 0 || fd >= m->watch_cap || !m->watches[fd]) return;
  event_del(&m->watches[fd]->event);
  iz_free(m->watches[fd]);
  m->watches[fd] = NULL;
}

static bool make_room(iz_multi *m, curl_socket_t fd) {
  if (fd < m->watch_cap) return true;
  int cap = m->watch_cap ? m->watch_cap : 64;
  while (cap <= fd) cap *= 2;
  watch **table = iz_realloc(m->watches, (size_t)cap * sizeof(watch *));
  if (!table) return false;
  memset(table + m->watch_cap, 0, (size_t)(cap - m->watch_cap) * sizeof(watch *));
  m->watches = table;
  m->watch_cap = cap;
  return true;
}

static bool watch_socket(iz_multi *m, curl_socket_t fd, int what) {
  if (!make_room(m, fd)) return false;
  watch *w = m->watches[fd];
  if (w && w->what == what) return true;
  if (w)
    event_del(&w->event);
  else
    w = m->watches[fd] = iz_calloc(1, sizeof *w);
  if (!w) return false;
  short events = EV_PERSIST;
  if (what & CURL_POLL_IN) events |= EV_READ;
  if (what & CURL_POLL_OUT) events |= EV_WRITE;
  w->what = what;
  event_assign(&w->event, iz_loop_base(m->loop), fd, events, on_socket, m);
  return event_add(&w->event, NULL) == 0;
}

static int socket_wanted(CURL *easy, curl_socket_t fd, int what, void *arg, void *unused) {
  (void)easy, (void)unused;
  iz_multi *m = arg;
  if (what == CURL_POLL_REMOVE || what == CURL_POLL_NONE)
    unwatch(m, fd);
  else if (!watch_socket(m, fd, what))
    fail_all(m); /* returning -1 would make the handle unusable for ever */
  return 0;
}

int iz_multi_close_socket(void *multi, curl_socket_t fd) {
  unwatch(multi, fd);
  return close(fd);
}

/* ---- the timeout ---- */

static void on_tick(evutil_socket_t fd, short what, void *arg) {
  (void)fd, (void)what;
  act(arg, CURL_SOCKET_TIMEOUT, 0);
  iz_multi_wake(arg);
}

static int timeout_wanted(CURLM *handle, long ms, void *arg) {
  (void)handle;
  iz_multi *m = arg;
  m->due = false;
  event_del(&m->tick);
  if (ms < 0) return 0;
  struct timeval tv = {ms / 1000, ms % 1000 * 1000};
  if (ms > 0 && event_add(&m->tick, &tv) == 0) return 0;
  m->due = true;
  iz_loop_defer(m->loop, &m->flush);
  return 0;
}

/* ---- what finished ---- */

static void collect(iz_multi *m) {
  int left;
  CURLMsg *msg;
  while (m->handle && (msg = m->curl->multi_info_read(m->handle, &left)))
    if (msg->msg == CURLMSG_DONE) m->done(m->ctx, msg->easy_handle, msg->data.result);
}

static void flush(iz_defer *d) {
  iz_multi *m = IZ_OUTER(d, iz_multi, flush);
  if (m->due && m->handle) {
    m->due = false;
    act(m, CURL_SOCKET_TIMEOUT, 0);
  }
  collect(m);
  if (m->is_broken) m->broken(m->ctx);
  m->settled(m->ctx);
}

/* ---- life ---- */

bool iz_multi_init(iz_multi *m, iz_err *err) {
  m->curl = iz_curl_load(err);
  if (!m->curl) return false;
  m->flush.fn = flush;
  event_assign(&m->tick, iz_loop_base(m->loop), -1, 0, on_tick, m);
  return true;
}

static bool open_handle(iz_multi *m) {
  CURLM *h = m->curl->multi_init();
  if (!h) return false;
  m->curl->multi_setopt(h, CURLMOPT_SOCKETFUNCTION, socket_wanted);
  m->curl->multi_setopt(h, CURLMOPT_SOCKETDATA, m);
  m->curl->multi_setopt(h, CURLMOPT_TIMERFUNCTION, timeout_wanted);
  m->curl->multi_setopt(h, CURLMOPT_TIMERDATA, m);
  m->curl->multi_setopt(h, CURLMOPT_MAXCONNECTS, m->idle_max);
  m->handle = h;
  return true;
}

bool iz_multi_add(iz_multi *m, CURL *easy, iz_err *err) {
  if (!m->handle && !open_handle(m)) return iz_fail_oom(err);
  CURLMcode code = m->curl->multi_add_handle(m->handle, easy);
  if (code == CURLM_OK) return true;
  if (code == CURLM_OUT_OF_MEMORY) return iz_fail_oom(err);
  return iz_fail(err, "protocol", "libcurl refused the request: %s", m->curl->multi_strerror(code));
}

void iz_multi_remove(iz_multi *m, CURL *easy) {
  m->curl->multi_remove_handle(m->handle, easy);
}

void iz_multi_wake(iz_multi *m) {
  iz_loop_defer(m->loop, &m->flush);
}

void iz_multi_close(iz_multi *m) {
  if (m->handle) m->curl->multi_cleanup(m->handle);
  m->handle = NULL;
  for (int fd = 0; fd < m->watch_cap; fd++) unwatch(m, fd);
  iz_free(m->watches);
  m->watches = NULL;
  m->watch_cap = 0;
  if (m->curl) event_del(&m->tick);
  iz_loop_undefer(m->loop, &m->flush);
  m->due = m->is_broken = false;
}
