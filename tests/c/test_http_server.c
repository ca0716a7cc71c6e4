/* test_http_server.c -- engine/http/server.c, conn.c, response.c, guard.c, access.c over real
 * sockets: the loop is turned by hand, time is virtual where a deadline is tested. */
#include "base/alloc.h"
#include "base/clock.h"
#include "http/server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static iz_loop *loop;
static iz_http_server *server;
static iz_http_req *held; /* the request of /hold or /stream */
static int gone_count, drained_count, served;
static bool stopped;
static iz_buf body; /* of /echo and /late */

/* ---- the application ---- */

static bool path_is(iz_http_req *r, const char *path) {
  return r->head.path.len == strlen(path) &&
         memcmp(iz_http_text(&r->head, r->head.path), path, r->head.path.len) == 0;
}

static void echo(iz_http_req *r) {
  const char *data;
  ssize_t n;
  while ((n = iz_http_body_read(r, &data)) > 0) iz_buf_add(&body, data, (size_t)n);
  if (n == IZ_HTTP_WAIT) return;
  if (n == IZ_HTTP_FAILED)
    iz_http_error(r, r->body_error, r->body_why);
  else
    iz_http_respond(r, 200, body.data, body.len);
  iz_buf_clear(&body);
  iz_http_release(r);
}

static void on_request(void *arg, iz_http_req *r) {
  (void)arg;
  served++;
  if (path_is(r, "/hold") || path_is(r, "/stream")) {
    held = r;
    if (path_is(r, "/stream")) iz_http_start(r, 200, -1);
    return;
  }
  if (path_is(r, "/echo")) {
    echo(r);
    return;
  }
  if (path_is(r, "/silent")) {
    iz_http_release(r);
    return;
  }
  if (path_is(r, "/fields")) {
    assert_true(iz_http_header(r, "X-A", 3, "b", 1));
    assert_false(iz_http_header(r, "X-A", 3, "b\r\nX: y", 7));
    assert_false(iz_http_header(r, "X A", 3, "b", 1));
    assert_false(iz_http_header(r, "content-length", 14, "1", 1));
    assert_false(iz_http_header(r, "Transfer-Encoding", 17, "chunked", 7));
  }
  iz_http_respond(r, path_is(r, "/204") ? 204 : 200, "hello", 5);
  iz_http_release(r);
}

static void on_drained(iz_http_req *r) {
  (void)r;
  drained_count++;
}

static void on_gone(iz_http_req *r) {
  if (!r->conn || gone_count == 0) gone_count++;
}

static void on_stopped(void *arg) {
  (void)arg;
  stopped = true;
}

static void listen_with(void (*change)(iz_http_options *)) {
  iz_http_options o;
  iz_err err = {0};
  iz_http_defaults(&o);
  o.events = (iz_http_events){on_request, echo, on_drained, on_gone, on_stopped};
  if (change) change(&o);
  server = iz_http_listen(loop, &o, &err);
  if (!server) fail_msg("%s", err.message);
}

static int setup(void **state) {
  (void)state;
  loop = iz_loop_new(NULL);
  held = NULL;
  gone_count = drained_count = served = 0;
  stopped = false;
  return loop ? 0 : -1;
}

static void turns(int n) {
  for (int i = 0; i < n; i++) iz_loop_turn(loop, false);
}

static int teardown(void **state) {
  (void)state;
  if (server && !stopped) {
    iz_http_stop(server, 0);
    for (int i = 0; i < 1000 && !stopped; i++) {
      if (held) iz_http_release(held);
      held = NULL;
      turns(1);
      iz_clock_advance(IZ_SEC);
    }
    assert_true(stopped);
  }
  iz_http_server_free(server);
  server = NULL;
  iz_buf_free(&body);
  iz_loop_free(loop);
  iz_clock_real();
  return 0;
}

/* ---- the client ---- */

static int dial(void) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(iz_http_port(server))};
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  assert_true(fd >= 0);
  assert_true(connect(fd, (struct sockaddr *)&a, sizeof a) == 0 || errno == EINPROGRESS);
  turns(3);
  return fd;
}

static void say(int fd, const char *s) {
  assert_int_equal(send(fd, s, strlen(s), MSG_NOSIGNAL), strlen(s));
  turns(4);
}

/* All that has come, as text. *closed: whether the server ended the connection. */
static const char *hear(int fd, bool *closed) {
  static char text[400000];
  size_t n = 0;
  bool end = false;
  for (int i = 0; i < 5; i++) {
    turns(3);
    ssize_t m;
    while ((m = recv(fd, text + n, sizeof text - 1 - n, MSG_DONTWAIT)) > 0) n += (size_t)m;
    end = m == 0 || (m < 0 && errno != EAGAIN);
    if (end) break;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    poll(&p, 1, 1);
  }
  text[n] = 0;
  if (closed) *closed = end;
  return text;
}

static void has(const char *text, const char *want) {
  if (!strstr(text, want)) fail_msg("expected \"%s\" in\n%s", want, text);
}

static void ends_with(const char *text, const char *want) {
  size_t n = strlen(text), m = strlen(want);
  if (n < m || strcmp(text + n - m, want) != 0)
    fail_msg("expected \"%s\" at the end of\n%s", want, text);
}

#define HOST "Host: localhost\r\n"

static void exchange(const char *request, const char *want, bool want_closed) {
  bool closed;
  int fd = dial();
  say(fd, request);
  const char *text = hear(fd, &closed);
  has(text, want);
  if (closed != want_closed) fail_msg("closed %d after %.60s", closed, request);
  close(fd);
  turns(3);
}

/* ---- tests ---- */

static void test_answers_and_keeps_alive(void **state) {
  (void)state;
  listen_with(NULL);
  int fd = dial();
  bool closed;
  for (int i = 0; i < 3; i++) {
    say(fd, "GET / HTTP/1.1\r\n" HOST "\r\n");
    const char *text = hear(fd, &closed);
    has(text, "HTTP/1.1 200 OK\r\nDate: ");
    has(text, " GMT\r\nContent-Length: 5\r\n\r\nhello");
    assert_false(closed);
  }
  close(fd);
}

static void test_persistence(void **state) {
  (void)state;
  listen_with(NULL);
  exchange("GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", "Connection: close\r\n", true);
  exchange("GET / HTTP/1.0\r\n\r\n", "Connection: close\r\n", true);
  exchange("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "Connection: keep-alive\r\n", false);
  exchange("GET /silent HTTP/1.1\r\n" HOST "\r\n", "", true);
}

static void test_head_and_bodiless(void **state) {
  (void)state;
  listen_with(NULL);
  int fd = dial();
  say(fd, "HEAD / HTTP/1.1\r\n" HOST "\r\nGET /204 HTTP/1.1\r\n" HOST "\r\n");
  const char *text = hear(fd, NULL);
  has(text, "Content-Length: 5\r\n\r\nHTTP/1.1 204 No Content\r\n");
  assert_null(strstr(text, "hello"));
  ends_with(text, " GMT\r\n\r\n");
  close(fd);
}

static void test_pipelining_in_order(void **state) {
  (void)state;
  listen_with(NULL);
  int fd = dial();
  say(fd, "GET /hold HTTP/1.1\r\n" HOST "\r\nPOST /echo HTTP/1.1\r\n" HOST
          "Content-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n" HOST "\r\n");
  assert_string_equal(hear(fd, NULL), "");
  assert_int_equal(served, 1);
  iz_http_respond(held, 200, "first", 5);
  iz_http_release(held);
  held = NULL;
  const char *text = hear(fd, NULL);
  const char *first = strstr(text, "first"), *second = strstr(text, "abc"),
             *third = strstr(text, "hello");
  assert_true(first && second && third && first < second && second < third);
  close(fd);
}

static void test_refuses_and_closes(void **state) {
  (void)state;
  listen_with(NULL);
  exchange("POST / HTTP/1.1\r\n" HOST
           "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
           "HTTP/1.1 400 Bad Request", true);
  exchange("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip\r\n\r\n", "HTTP/1.1 501 ", true);
  exchange("POST / HTTP/1.1\r\n" HOST "Content-Length: 2000000\r\n\r\n", "HTTP/1.1 413 ", true);
  exchange("BREW / HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 501 ", false);
  assert_int_equal(served, 0);
  exchange("POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0x5\r\n",
           "HTTP/1.1 400 ", true);
}

static void test_fields(void **state) {
  (void)state;
  listen_with(NULL);
  exchange("GET /fields HTTP/1.1\r\n" HOST "\r\n", "\r\nX-A: b\r\n\r\nhello", false);
}

static void test_expect_continue_waits_for_the_reader(void **state) {
  (void)state;
  listen_with(NULL);
  int fd = dial();
  say(fd, "POST /echo HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  assert_string_equal(hear(fd, NULL), "HTTP/1.1 100 Continue\r\n\r\n");
  say(fd, "abc");
  ends_with(hear(fd, NULL), "\r\n\r\nabc");
  close(fd);
  /* nobody asks for the body: the answer comes without 100, and the connection ends */
  exchange("POST / HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n",
           "HTTP/1.1 200 OK", true);
  exchange("POST / HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 2000000\r\n\r\n",
           "HTTP/1.1 413 ", true);
}

static void test_streams_a_large_body_with_back_pressure(void **state) {
  (void)state;
  listen_with(NULL);
  int fd = dial();
  say(fd, "GET /stream HTTP/1.1\r\n" HOST "\r\n");
  has(hear(fd, NULL), "Transfer-Encoding: chunked\r\n");
  static char piece[100000];
  memset(piece, 'x', sizeof piece);
  int writes = 0;
  while (iz_http_write(held, piece, sizeof piece)) assert_true(++writes < 1000);
  assert_int_equal(drained_count, 0);
  size_t got = 0;
  while (!drained_count) got += strlen(hear(fd, NULL));
  iz_http_finish(held);
  iz_http_release(held);
  held = NULL;
  const char *text;
  for (got += strlen(text = hear(fd, NULL)); !strstr(text, "\r\n0\r\n\r\n");)
    got += strlen(text = hear(fd, NULL));
  assert_true(got > (size_t)(writes + 1) * sizeof piece);
  say(fd, "GET / HTTP/1.1\r\n" HOST "\r\n");
  ends_with(hear(fd, NULL), "hello");
  close(fd);
}

static void test_leaving_is_seen(void **state) {
  (void)state;
  listen_with(NULL);
  int fd = dial();
  say(fd, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
  assert_int_equal(gone_count, 0);
  close(fd);
  hear(dial(), NULL);
  assert_int_equal(gone_count, 1);
  iz_http_respond(held, 200, "late", 4);
  iz_http_release(held);
  held = NULL;
}

static void test_a_half_closed_client_gets_its_answer(void **state) {
  (void)state;
  listen_with(NULL);
  int fd = dial();
  say(fd, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
  shutdown(fd, SHUT_WR);
  hear(fd, NULL);
  assert_int_equal(gone_count, 1);
  iz_http_respond(held, 200, "late", 4);
  iz_http_release(held);
  held = NULL;
  ends_with(hear(fd, NULL), "late");
  close(fd);
  fd = dial();
  static const char cut[] = "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nab";
  send(fd, cut, sizeof cut - 1, 0);
  shutdown(fd, SHUT_WR);
  bool closed;
  has(hear(fd, &closed), "HTTP/1.1 400 ");
  assert_true(closed);
  close(fd);
}

static void virtual_clock(iz_http_options *o) {
  (void)o;
  iz_clock_virtual(0);
}

static void test_a_slow_head_is_cut_at_10_s(void **state) {
  (void)state;
  listen_with(virtual_clock);
  int fd = dial();
  bool closed = false;
  int second = 0;
  for (; second < 20 && !closed; second++) {
    if (second < 11) send(fd, "GET / HTTP/1.1\r\n" + second, 1, MSG_NOSIGNAL);
    turns(3);
    iz_clock_advance(IZ_SEC);
    has(hear(fd, &closed), second >= 9 ? "408" : "");
  }
  assert_in_range(second, 9, 11);
  close(fd);
}

static void test_a_slow_body_is_refused(void **state) {
  (void)state;
  listen_with(virtual_clock);
  int fd = dial();
  say(fd, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 100000\r\n\r\n");
  int second = 0;
  const char *text = "";
  for (; second < 20 && !*text; second++) {
    send(fd, "abcdefghij", 10, MSG_NOSIGNAL);
    turns(3);
    iz_clock_advance(IZ_SEC);
    text = hear(fd, NULL);
  }
  has(text, "HTTP/1.1 408 ");
  assert_in_range(second, 5, 6);
  close(fd);
}

static void test_idle_connections_end(void **state) {
  (void)state;
  listen_with(virtual_clock);
  int silent = dial(), idle = dial();
  bool closed;
  say(idle, "GET / HTTP/1.1\r\n" HOST "\r\n");
  hear(idle, &closed);
  iz_clock_advance(11 * IZ_SEC);
  hear(silent, &closed);
  assert_true(closed);
  iz_clock_advance(60 * IZ_SEC);
  hear(idle, &closed);
  assert_false(closed);
  iz_clock_advance(5 * IZ_SEC);
  hear(idle, &closed);
  assert_true(closed);
  close(silent);
  close(idle);
}

static void test_heartbeat_keeps_a_stream(void **state) {
  (void)state;
  listen_with(virtual_clock);
  int fd = dial();
  say(fd, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
  iz_http_start_sse(held, 15 * IZ_SEC);
  has(hear(fd, NULL), "Content-Type: text/event-stream\r\n");
  for (int i = 0; i < 10; i++) {
    iz_clock_advance(16 * IZ_SEC);
    assert_string_equal(hear(fd, NULL), "3\r\n:\n\n\r\n");
  }
  close(fd);
}

static void few_connections(iz_http_options *o) {
  o->conns_max = 2;
}

static void test_connections_are_limited(void **state) {
  (void)state;
  listen_with(few_connections);
  int a = dial(), b = dial();
  say(a, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
  int c = dial();
  bool closed;
  hear(b, &closed);
  assert_true(closed); /* the idle one made room */
  say(c, "GET / HTTP/1.1\r\n" HOST "\r\n");
  ends_with(hear(c, NULL), "hello");
  hear(a, &closed);
  assert_false(closed);
  close(a), close(b), close(c);
}

static void rate_limited(iz_http_options *o) {
  iz_clock_virtual(0);
  o->rate = 1;
  o->burst = 2;
}

static void test_rate_is_limited(void **state) {
  (void)state;
  listen_with(rate_limited);
  exchange("GET / HTTP/1.1\r\n" HOST "\r\n", "200 OK", false);
  exchange("GET / HTTP/1.1\r\n" HOST "\r\n", "200 OK", false);
  exchange("GET / HTTP/1.1\r\n" HOST "\r\n", "429 Too Many Requests", false);
  exchange("GET / HTTP/1.1\r\n" HOST "\r\n", "Retry-After: 1\r\n", false);
  iz_clock_advance(IZ_SEC);
  exchange("GET / HTTP/1.1\r\n" HOST "\r\n", "200 OK", false);
}

static void test_loopback_serves_only_its_names(void **state) {
  (void)state;
  listen_with(NULL);
  exchange("GET / HTTP/1.1\r\nHost: 127.0.0.1:9\r\n\r\n", "200 OK", false);
  exchange("GET / HTTP/1.1\r\nHost: [::1]\r\n\r\n", "200 OK", false);
  exchange("GET / HTTP/1.1\r\nHost: LocalHost\r\n\r\n", "200 OK", false);
  exchange("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", "421 ", false);
  exchange("GET http://evil.example/ HTTP/1.1\r\n" HOST "\r\n", "421 ", false);
  exchange("POST / HTTP/1.1\r\n" HOST "Origin: http://localhost\r\nContent-Length: 0\r\n\r\n",
           "200 OK", false);
  exchange("POST / HTTP/1.1\r\n" HOST "Origin: http://evil.example\r\nContent-Length: 0\r\n\r\n",
           "403 ", false);
  exchange("POST / HTTP/1.1\r\n" HOST "Origin: http://localhost:81\r\nContent-Length: 0\r\n\r\n",
           "403 ", false);
  exchange("POST / HTTP/1.1\r\n" HOST "Origin: null\r\nContent-Length: 0\r\n\r\n", "403 ", false);
}

static void more_hosts(iz_http_options *o) {
  o->hosts = "shop.example  api.example";
}

static void test_listed_hosts_are_served(void **state) {
  (void)state;
  listen_with(more_hosts);
  exchange("GET / HTTP/1.1\r\nHost: API.example:80\r\n\r\n", "200 OK", false);
  exchange("GET / HTTP/1.1\r\nHost: p.example\r\n\r\n", "421 ", false);
  exchange("POST / HTTP/1.1\r\nHost: api.example\r\nOrigin: https://shop.example\r\n"
           "Content-Length: 0\r\n\r\n",
           "200 OK", false);
}

static int log_pipe[2];
static void logged(iz_http_options *o) {
  assert_int_equal(pipe(log_pipe), 0);
  o->access_fd = log_pipe[1];
}

static void test_access_log(void **state) {
  (void)state;
  listen_with(logged);
  exchange("GET /a\"b\\?secret HTTP/1.1\r\n" HOST "\r\n", "200 OK", false);
  exchange("GET / HTTP/1.1\n", "400 ", true);
  char text[1024] = "";
  size_t n = 0;
  fcntl(log_pipe[0], F_SETFL, O_NONBLOCK);
  for (int i = 0; i < 1000 && !strstr(text, "\"status\":400,"); i++) { /* a helper thread writes */
    turns(1);
    ssize_t got = read(log_pipe[0], text + n, sizeof text - 1 - n);
    if (got > 0) n += (size_t)got;
    text[n] = 0;
    usleep(1000);
  }
  has(text, "\"addr\":\"127.0.0.1\",\"method\":\"GET\",\"path\":\"/"
            "a\\\"b\\\\\",\"status\":200,\"bytes\":5,"
            "\"ms\":");
  has(text, "\"status\":400,");
  assert_null(strstr(text, "secret"));
  close(log_pipe[0]), close(log_pipe[1]);
}

static void test_drain(void **state) {
  (void)state;
  listen_with(virtual_clock);
  int idle = dial(), busy = dial(), stuck = dial();
  bool closed;
  say(stuck, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
  iz_http_req *other = held;
  say(busy, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
  iz_http_stop(server, 5 * IZ_SEC);
  hear(idle, &closed);
  assert_true(closed);
  iz_http_respond(held, 200, "done", 4);
  iz_http_release(held);
  held = NULL;
  const char *text = hear(busy, &closed);
  has(text, "Connection: close\r\n");
  ends_with(text, "done");
  assert_true(closed);
  assert_false(stopped);
  iz_clock_advance(6 * IZ_SEC);
  hear(stuck, &closed);
  assert_true(closed);
  assert_int_equal(gone_count, 1);
  iz_http_release(other);
  iz_http_stop(server, IZ_SEC); /* all is over but not yet told: leaves no timer behind */
  turns(3);
  assert_true(stopped);
  close(idle), close(busy), close(stuck);
}

/* An answered connection is idle again: stopping closes it, and nothing is left to wait for. */
static void test_stop_closes_what_is_kept_alive(void **state) {
  (void)state;
  listen_with(virtual_clock);
  int fd = dial();
  bool closed;
  say(fd, "GET / HTTP/1.1\r\n" HOST "\r\n");
  hear(fd, &closed);
  assert_false(closed);
  iz_http_stop(server, 5 * IZ_SEC);
  turns(3);
  assert_true(stopped);
  hear(fd, &closed);
  assert_true(closed);
  close(fd);
  iz_http_server_free(server);
  server = NULL;
  iz_clock_advance(6 * IZ_SEC); /* a timer left behind would fire into freed memory */
  turns(3);
}

static void on_unix(iz_http_options *o) {
  static char path[64];
  snprintf(path, sizeof path, "unix:/tmp/iz-test-%d.sock", (int)getpid());
  o->host = path;
}

static void test_bind_errors_say_what_to_do(void **state) {
  (void)state;
  listen_with(NULL);
  iz_http_options o;
  iz_err err = {0};
  iz_http_defaults(&o);
  o.port = iz_http_port(server);
  assert_null(iz_http_listen(loop, &o, &err));
  assert_string_equal(err.code, "EADDRINUSE");
  has(err.message, "choose another port");
  o.host = "203.0.113.1";
  assert_null(iz_http_listen(loop, &o, &err));
  assert_string_equal(err.code, "EADDRNOTAVAIL");
}

static void test_unix_socket(void **state) {
  (void)state;
  listen_with(on_unix);
  iz_http_stats st;
  iz_http_get_stats(server, &st);
  assert_int_equal(st.connections, 0);
  char path[64];
  snprintf(path, sizeof path, "/tmp/iz-test-%d.sock", (int)getpid());
  assert_int_equal(access(path, F_OK), 0);
  iz_http_stop(server, 0);
  assert_int_not_equal(access(path, F_OK), 0);
  turns(3);
}

static void test_sse_form(void **state) {
  (void)state;
  iz_buf b = {0};
  assert_true(iz_http_sse(&b, "tick", "7", 1500, "a\nb\r\nc\r", 7));
  assert_string_equal(iz_buf_cstr(&b),
                      "event: tick\nid: 7\nretry: 1500\ndata: a\ndata: b\ndata: c\ndata: \n\n");
  assert_false(iz_http_sse(&b, "a\nb", NULL, -1, "", 0));
  assert_false(iz_http_sse(&b, NULL, "a\rb", -1, "", 0));
  iz_buf_free(&b);
}

/* Whatever allocation fails while a request is served, the server lives on. */
static void test_each_allocation_may_fail(void **state) {
  (void)state;
  listen_with(NULL);
  static const char two[] = "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc"
                            "GET / HTTP/1.1\r\n" HOST "\r\n";
  for (uint64_t n = 1; n < 40; n++) {
    int fd = dial();
    iz_alloc_fail(n, 0);
    if (send(fd, two, sizeof two - 1, MSG_NOSIGNAL) > 0) hear(fd, NULL);
    close(fd);
    turns(3);
    iz_alloc_fail(0, 0);
    iz_buf_free(&body);
  }
  exchange("GET / HTTP/1.1\r\n" HOST "\r\n", "hello", false);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_answers_and_keeps_alive),
      TEST(test_persistence),
      TEST(test_head_and_bodiless),
      TEST(test_pipelining_in_order),
      TEST(test_refuses_and_closes),
      TEST(test_fields),
      TEST(test_expect_continue_waits_for_the_reader),
      TEST(test_streams_a_large_body_with_back_pressure),
      TEST(test_leaving_is_seen),
      TEST(test_a_half_closed_client_gets_its_answer),
      TEST(test_a_slow_head_is_cut_at_10_s),
      TEST(test_a_slow_body_is_refused),
      TEST(test_idle_connections_end),
      TEST(test_heartbeat_keeps_a_stream),
      TEST(test_connections_are_limited),
      TEST(test_rate_is_limited),
      TEST(test_loopback_serves_only_its_names),
      TEST(test_listed_hosts_are_served),
      TEST(test_access_log),
      TEST(test_drain),
      TEST(test_stop_closes_what_is_kept_alive),
      TEST(test_bind_errors_say_what_to_do),
      TEST(test_unix_socket),
      TEST(test_sse_form),
      TEST(test_each_allocation_may_fail),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
