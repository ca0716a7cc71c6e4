/* peer_delay.c -- the server of bench_client.lua: answers every request 50 ms after it came.
 *
 * Prints its port. Keeps connections open; ends with its standard input. It understands just enough
 * HTTP: a request without a body is over at the empty line.
 */
#include <arpa/inet.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DELAY_US = 50000 };

static struct event_base *base;
static const struct timeval *delay; /* a common timeout: a queue instead of a heap */

typedef struct visit {
  int fd;
  struct event *readable, *due;
  char buf[4096];
  size_t len;
} visit;

static void end(visit *v) {
  event_free(v->readable);
  event_free(v->due);
  close(v->fd);
  free(v);
}

static void answer(evutil_socket_t fd, short what, void *arg) {
  (void)what, (void)arg;
  static const char text[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n"
                             "\r\nHello, world!";
  if (write(fd, text, sizeof text - 1) < 0) perror("write");
}

static void due(evutil_socket_t fd, short what, void *arg) {
  (void)fd;
  answer(((visit *)arg)->fd, what, arg);
}

static void readable(evutil_socket_t fd, short what, void *arg) {
  (void)what;
  visit *v = arg;
  ssize_t n = read(fd, v->buf + v->len, sizeof v->buf - v->len);
  if (n <= 0) {
    end(v);
    return;
  }
  v->len += (size_t)n;
  if (v->len < 4 || memcmp(v->buf + v->len - 4, "\r\n\r\n", 4) != 0) return;
  v->len = 0;
  event_add(v->due, delay);
}

static void incoming(evutil_socket_t fd, short what, void *arg) {
  (void)what, (void)arg;
  for (int i = 0; i < 128; i++) {
    int c = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (c < 0) return;
    visit *v = calloc(1, sizeof *v);
    if (!v) abort();
    v->fd = c;
    v->readable = event_new(base, c, EV_READ | EV_PERSIST, readable, v);
    v->due = event_new(base, -1, 0, due, v);
    event_add(v->readable, NULL);
  }
}

static void parent_gone(evutil_socket_t fd, short what, void *arg) {
  (void)what, (void)arg;
  char c;
  if (read(fd, &c, 1) <= 0) event_base_loopbreak(base);
}

int main(void) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof a;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, 4096) ||
      getsockname(fd, (struct sockaddr *)&a, &len))
    return 1;
  base = event_base_new();
  struct timeval tv = {0, DELAY_US};
  delay = event_base_init_common_timeout(base, &tv);
  event_add(event_new(base, fd, EV_READ | EV_PERSIST, incoming, NULL), NULL);
  event_add(event_new(base, 0, EV_READ | EV_PERSIST, parent_gone, NULL), NULL);
  printf("%d\n", ntohs(a.sin_port));
  fflush(stdout);
  event_base_dispatch(base);
  return 0;
}
