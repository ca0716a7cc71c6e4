/* peer_client.c -- what bench_client.lua compares with: a plain C program, libcurl on libevent.
 *
 * peer_client URL N: three rounds of N concurrent GETs. Prints the wall time of the first (cold)
 * round, that of the other two together, the CPU time of all (milliseconds) and the peak RSS (MB).
 */
#include <curl/curl.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

static struct event_base *base;
static CURLM *multi;
static struct event *tick;
static int left, failed;

static void collect(void) {
  int queued;
  CURLMsg *m;
  while ((m = curl_multi_info_read(multi, &queued))) {
    if (m->msg != CURLMSG_DONE) continue;
    CURL *easy = m->easy_handle;
    if (m->data.result != CURLE_OK) failed++;
    left--;
    curl_multi_remove_handle(multi, easy);
    curl_easy_cleanup(easy);
  }
  if (!left) event_base_loopbreak(base);
}

static void act(curl_socket_t fd, int flags) {
  int running;
  curl_multi_socket_action(multi, fd, flags, &running);
  collect();
}

static void on_event(evutil_socket_t fd, short what, void *arg) {
  (void)arg;
  act(fd, (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0));
}

static void on_tick(evutil_socket_t fd, short what, void *arg) {
  (void)fd, (void)what, (void)arg;
  act(CURL_SOCKET_TIMEOUT, 0);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *mine) {
  (void)easy, (void)arg;
  struct event *e = mine;
  if (e) event_free(e);
  if (what == CURL_POLL_REMOVE) {
    curl_multi_assign(multi, fd, NULL);
    return 0;
  }
  short kind = EV_PERSIST;
  if (what & CURL_POLL_IN) kind |= EV_READ;
  if (what & CURL_POLL_OUT) kind |= EV_WRITE;
  e = event_new(base, fd, kind, on_event, NULL);
  event_add(e, NULL);
  curl_multi_assign(multi, fd, e);
  return 0;
}

static int on_timeout(CURLM *m, long ms, void *arg) {
  (void)m, (void)arg;
  struct timeval tv = {ms / 1000, ms % 1000 * 1000};
  if (ms < 0)
    event_del(tick);
  else
    event_add(tick, &tv);
  return 0;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): libcurl's type */
static size_t drop(char *p, size_t size, size_t n, void *arg) {
  (void)p, (void)arg;
  return size * n;
}

static double now_ms(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static double round_of(const char *url, int n) {
  double start = now_ms();
  left = n;
  for (int i = 0; i < n; i++) {
    CURL *easy = curl_easy_init();
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, drop);
    curl_multi_add_handle(multi, easy);
  }
  event_base_dispatch(base);
  return now_ms() - start;
}

int main(int argc, char **argv) {
  if (argc < 3) return 1;
  int n = (int)strtol(argv[2], NULL, 10);
  curl_global_init(CURL_GLOBAL_ALL);
  base = event_base_new();
  multi = curl_multi_init();
  tick = event_new(base, -1, 0, on_tick, NULL);
  curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
  curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timeout);
  curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)n);
  double cold = round_of(argv[1], n);
  double warm = round_of(argv[1], n) + round_of(argv[1], n);
  struct rusage u;
  getrusage(RUSAGE_SELF, &u);
  double cpu = (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e3 +
               (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e3;
  printf("%.1f %.1f %.1f %.1f\n", cold, warm, cpu, (double)u.ru_maxrss / 1024);
  return failed != 0;
}
