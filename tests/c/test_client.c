/* test_client.c -- engine/http/client.c, transfer.c, multi.c, curl.c against real servers. */
#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "http/client.h"

#include "http_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

static iz_loop *loop;
static iz_client *client;
static peer server;
static tls_peer tls;

/* What happened to one transfer. */
typedef struct seen {
  iz_transfer *t;
  iz_buf body;
  size_t cancel_at; /* close it in notify once so many bytes came */
  bool hold;        /* take nothing */
  bool over, closed;
  int status, notified;
  iz_err err;
} seen;

static void on_change(iz_transfer *t, void *ctx) {
  seen *s = ctx;
  assert_false(s->closed);
  s->notified++;
  s->status = iz_transfer_status(t);
  size_t n;
  const char *p = iz_transfer_peek(t, &n);
  const iz_err *err;
  if (!s->hold) {
    iz_buf_add(&s->body, p, n);
    iz_transfer_take(t, n);
  }
  if (s->cancel_at && s->body.len >= s->cancel_at) {
    iz_transfer_close(t);
    s->closed = s->over = true;
    iz_loop_unref(loop);
    return;
  }
  if (s->over || !iz_transfer_over(t, &err)) return;
  s->over = true;
  iz_loop_unref(loop);
  if (err) s->err = *err;
}

static iz_request request(seen *s, const char *url) {
  return (iz_request){
      .method = "GET", .url = url, .notify = on_change, .ctx = s, .repeatable = true};
}

static const char *at(const char *path) {
  static char url[8][256];
  static int i;
  char *u = url[i++ % 8];
  snprintf(u, sizeof url[0], "http://127.0.0.1:%d%s", server.port, path);
  return u;
}

static const char *tls_at(const char *host, const char *path) {
  static char url[256];
  snprintf(url, sizeof url, "https://%s:%d%s", host, tls.port, path);
  return url;
}

/* Each transfer holds the loop until it is over, so iz_loop_run waits for all that were started. */
static void start(seen *s, const iz_request *rq) {
  iz_err err = {0};
  s->t = iz_transfer_start(client, rq, &err);
  if (!s->t) fail_msg("%s", err.message);
  iz_loop_ref(loop);
}

static void forget(seen *s) {
  if (!s->closed) iz_transfer_close(s->t);
  if (!s->over) iz_loop_unref(loop);
  s->closed = s->over = true;
  iz_buf_free(&s->body);
}

/* Runs the request to its end. */
static void fetch(seen *s, const iz_request *rq) {
  start(s, rq);
  iz_loop_run(loop);
}

static void get(seen *s, const char *url) {
  iz_request rq = request(s, url);
  fetch(s, &rq);
}

static void assert_pattern(const iz_buf *b, size_t n) {
  assert_int_equal(b->len, n);
  for (size_t i = 0; i < n; i++)
    if (b->data[i] != pattern(i)) fail_msg("byte %zu differs", i);
}

static int setup(void **state) {
  (void)state;
  loop = iz_loop_new(NULL);
  client = iz_client_new(loop, NULL);
  return loop && client ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  iz_client_free(client);
  iz_loop_free(loop);
  return 0;
}

/* ---- TLS ---- */

static void test_tls_answer_is_whole(void **state) {
  (void)state;
  seen s = {0};
  iz_request rq = request(&s, tls_at("127.0.0.1", "/data"));
  rq.ca_file = tls.ca;
  fetch(&s, &rq);
  assert_string_equal(s.err.message, "");
  assert_int_equal(s.status, 200);
  assert_pattern(&s.body, 8u << 20);
  forget(&s);
}

static void test_tls_cancelled_half_way_in_notify(void **state) {
  (void)state;
  seen s = {.cancel_at = 4u << 20};
  iz_request rq = request(&s, tls_at("127.0.0.1", "/data"));
  rq.ca_file = tls.ca;
  rq.window = 64 * 1024;
  fetch(&s, &rq);
  assert_true(s.body.len >= 4u << 20 && s.body.len < 5u << 20);
  iz_loop_turn(loop, false);
  forget(&s);
}

/* The transfer is closed after 0, 1, 2 ... turns of the loop: while the name is looked up, during
 * the TLS handshake, while the head and the body arrive, and when all is over. */
static void test_tls_cancelled_at_every_turn(void **state) {
  (void)state;
  bool over = false;
  for (int turns = 0; !over && turns < 3000; turns += 1 + turns / 8) {
    seen s = {0};
    iz_request rq = request(&s, tls_at("localhost", "/data"));
    rq.ca_file = tls.ca;
    rq.window = 64 * 1024;
    start(&s, &rq);
    for (int i = 0; i < turns; i++) iz_loop_turn(loop, true);
    over = s.over;
    assert_string_equal(s.err.message, "");
    forget(&s);
    iz_loop_turn(loop, false);
  }
  assert_true(over);
}

static void test_tls_certificates_are_verified(void **state) {
  (void)state;
  seen s = {0};
  get(&s, tls_at("127.0.0.1", "/data"));
  assert_string_equal(s.err.code, "tls");
  assert_false(s.err.retryable);
  forget(&s);
  seen trusting = {.cancel_at = 1};
  iz_request rq = request(&trusting, tls_at("127.0.0.1", "/data"));
  rq.window = 1024;
  rq.insecure = true;
  fetch(&trusting, &rq);
  assert_true(trusting.closed);
  forget(&trusting);
}

/* ---- requests ---- */

static bool has(const iz_buf *b, const char *text) {
  return b->len && memmem(b->data, b->len, text, strlen(text)) != NULL;
}

static void test_methods_and_borrowed_bodies(void **state) {
  (void)state;
  static const struct {
    const char *method, *body, *expect;
  } rows[] = {
      {"GET", NULL, "GET /echo HTTP/1.1\r\n"},
      {"POST", "hello", "Content-Length: 5\r\n"},
      {"POST", NULL, "Content-Length: 0\r\n"},
      {"PUT", "x=1", "PUT /echo HTTP/1.1\r\n"},
      {"PATCH", "", "Content-Length: 0\r\n"},
      {"DELETE", NULL, "DELETE /echo HTTP/1.1\r\n"},
      {"DELETE", "why", "\r\n\r\nwhy"},
      {"OPTIONS", NULL, "OPTIONS /echo HTTP/1.1\r\n"},
      {"QUERY", "select", "QUERY /echo HTTP/1.1\r\n"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    seen s = {0};
    iz_request rq = request(&s, at("/echo"));
    rq.method = rows[i].method;
    rq.body = rows[i].body;
    rq.body_len = rows[i].body ? strlen(rows[i].body) : 0;
    fetch(&s, &rq);
    assert_int_equal(s.status, 200);
    assert_true(has(&s.body, rows[i].expect));
    if (!rows[i].body && strcmp(rows[i].method, "POST") != 0) /* nothing of the request before */
      assert_false(has(&s.body, "Content-Length"));
    assert_false(has(&s.body, "Content-Type"));
    assert_false(has(&s.body, "Expect"));
    forget(&s);
  }
  seen s = {0};
  iz_request rq = request(&s, at("/echo"));
  rq.method = "HEAD";
  fetch(&s, &rq);
  assert_int_equal(s.status, 200);
  assert_int_equal(s.body.len, 0);
  forget(&s);
}

static void test_fields_are_sent_as_given(void **state) {
  (void)state;
  seen s = {0};
  iz_request rq = request(&s, at("/echo"));
  iz_field f[] = {{"X-A", "1"}, {"X-A", "2"}, {"X-Empty", ""}, {"User-Agent", "test/1"}};
  rq.fields = f;
  rq.n_fields = 4;
  fetch(&s, &rq);
  assert_true(has(&s.body, "X-A: 1\r\nX-A: 2\r\nX-Empty:\r\nUser-Agent: test/1\r\n"));
  assert_true(has(&s.body, "Accept-Encoding: "));
  forget(&s);
}

static void test_unsendable_requests_are_refused(void **state) {
  (void)state;
  static const struct {
    const char *method, *url;
    iz_field field;
  } rows[] = {
      {"GET", "ftp://127.0.0.1/", {0}},
      {"GET", "file:///etc/passwd", {0}},
      {"GET", "127.0.0.1/x", {0}},
      {"GET", "http://", {0}},
      {"GET", "http://a b/", {0}},
      {"GET", "http://h/\r\nX: y", {0}},
      {"G ET", "http://h/", {0}},
      {"", "http://h/", {0}},
      {"CONNECT", "http://h/", {0}},
      {"GET", "http://h/", {"X\r\nY", "1"}},
      {"GET", "http://h/", {"X", "1\r\nY: 2"}},
      {"GET", "http://h/", {"Content-Length", "5"}},
      {"GET", "http://h/", {"transfer-encoding", "chunked"}},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    seen s = {0};
    iz_err err = {0};
    iz_request rq = request(&s, rows[i].url);
    rq.method = rows[i].method;
    rq.fields = &rows[i].field;
    rq.n_fields = rows[i].field.name ? 1 : 0;
    assert_null(iz_transfer_start(client, &rq, &err));
    assert_string_equal(err.code, "invalid");
  }
}

/* ---- the answer ---- */

static void test_head_of_the_answer(void **state) {
  (void)state;
  seen s = {0};
  get(&s, at("/fields"));
  static const iz_field expect[] = {
      {"x-one", "1"},        {"set-cookie", "a=1"}, {"set-cookie", "b=2"},
      {"x-empty", ""},       {"x-folded", "a b"},   {"transfer-encoding", "chunked"},
      {"trailer", "X-Late"},
  };
  size_t place = 0, i = 0;
  for (iz_field f; iz_transfer_field(s.t, &place, &f); i++) {
    assert_string_equal(f.name, expect[i].name);
    assert_string_equal(f.value, expect[i].value);
  }
  assert_int_equal(i, 7);
  assert_true(has(&s.body, "hello"));
  forget(&s);
}

static void test_errors_have_their_code(void **state) {
  (void)state;
  close(bind_loopback(&(int){0}));
  int nobody;
  close(bind_loopback(&nobody));
  char refused[64];
  snprintf(refused, sizeof refused, "http://127.0.0.1:%d/", nobody);
  const struct {
    const char *url, *code;
    bool retryable;
  } rows[] = {
      {refused, "connect", true},
      {"http://127.0.0.1:99999/", "invalid", false},
      {at("/cut"), "aborted", true},
      {at("/garbage"), "protocol", false},
      {at("/many-fields"), "too_large", false},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    seen s = {0};
    get(&s, rows[i].url);
    assert_string_equal(s.err.code, rows[i].code);
    assert_int_equal(s.err.retryable, rows[i].retryable);
    forget(&s);
  }
}

static void test_redirect_is_resolved_not_followed(void **state) {
  (void)state;
  static const struct {
    const char *to, *full;
  } rows[] = {
      {"/to/len?a=b", "http://127.0.0.1:%d/to/len?a=b"},
      {"/to/http://other.test/x", "http://other.test/x"},
      {"/to//abs", "http://127.0.0.1:%d/abs"},
      {"/to/ftp://h/x", "ftp://h/x"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    seen s = {0};
    char full[128];
    snprintf(full, sizeof full, rows[i].full, server.port);
    iz_request rq = request(&s, at(rows[i].to));
    fetch(&s, &rq);
    assert_int_equal(s.status, 302);
    const char *to;
    assert_true(iz_transfer_redirect(s.t, &to));
    assert_string_equal(to, full);
    forget(&s);
  }
}

static void test_size_limit_counts_decoded_bytes(void **state) {
  (void)state;
  static const char *const paths[] = {"/gzip", "/brotli", "/zstd"};
  for (int i = 0; i < 3; i++) {
    seen whole = {0}, cut = {0};
    get(&whole, at(paths[i]));
    assert_int_equal(whole.body.len, 100000);
    for (size_t k = 0; k < 100000; k++) assert_int_equal(whole.body.data[k], 'a');
    forget(&whole);
    iz_request rq = request(&cut, at(paths[i]));
    rq.max_size = 50000;
    fetch(&cut, &rq);
    assert_string_equal(cut.err.code, "too_large");
    forget(&cut);
  }
}

static void test_window_holds_the_sender_back(void **state) {
  (void)state;
  seen s = {.hold = true};
  iz_request rq = request(&s, at("/len/8000000"));
  rq.window = 64 * 1024;
  rq.stall = 50 * IZ_MS; /* does not run while paused */
  start(&s, &rq);
  for (int i = 0; i < 200; i++) {
    iz_loop_turn(loop, false);
    peer_sleep(1);
  }
  size_t n;
  iz_transfer_peek(s.t, &n);
  assert_true(n >= 64 * 1024 && n < 96 * 1024);
  assert_false(s.over);
  s.hold = false;
  on_change(s.t, &s);
  iz_loop_run(loop);
  assert_string_equal(s.err.message, "");
  assert_pattern(&s.body, 8000000);
  forget(&s);
}

/* ---- a pushed body ---- */

typedef struct pushed {
  seen s; /* first: on_change takes it */
  size_t total, given, piece;
} pushed;

static void push_more(iz_transfer *t, void *ctx) {
  pushed *p = ctx;
  while (iz_transfer_wants(t)) {
    char block[5000];
    size_t n = p->total - p->given < p->piece ? p->total - p->given : p->piece;
    for (size_t i = 0; i < n; i++) block[i] = pattern(p->given + i);
    if (n) assert_true(iz_transfer_push(t, block, n));
    p->given += n;
    if (p->given == p->total) iz_transfer_push_end(t);
  }
  on_change(t, &p->s);
}

static void push_body(pushed *p, int64_t stated) {
  iz_request rq = request(&p->s, at("/echo"));
  rq.method = "POST";
  rq.push = true;
  rq.push_size = stated;
  rq.notify = push_more;
  rq.ctx = p;
  start(&p->s, &rq);
  push_more(p->s.t, p);
  iz_loop_run(loop);
}

static void test_pushed_body_with_and_without_length(void **state) {
  (void)state;
  pushed sized = {.total = 300000, .piece = 4999};
  push_body(&sized, 300000);
  assert_string_equal(sized.s.err.message, "");
  assert_true(has(&sized.s.body, "Content-Length: 300000\r\n"));
  iz_buf_consume(&sized.s.body, sized.s.body.len - 300000);
  assert_pattern(&sized.s.body, 300000);
  forget(&sized.s);
  pushed chunked = {.total = 1000, .piece = 10};
  push_body(&chunked, -1);
  assert_string_equal(chunked.s.err.message, "");
  assert_true(has(&chunked.s.body, "Transfer-Encoding: chunked\r\n"));
  forget(&chunked.s);
  pushed empty = {.total = 0, .piece = 10};
  push_body(&empty, -1);
  assert_int_equal(empty.s.status, 200);
  forget(&empty.s);
}

static void test_pushed_body_must_keep_its_length(void **state) {
  (void)state;
  pushed shorter = {.total = 10, .piece = 5}, longer = {.total = 10, .piece = 10};
  push_body(&shorter, 11);
  assert_string_equal(shorter.s.err.code, "invalid");
  forget(&shorter.s);
  push_body(&longer, 9);
  assert_string_equal(longer.s.err.code, "invalid");
  forget(&longer.s);
}

/* ---- limits ---- */

static void test_each_limit_is_named(void **state) {
  (void)state;
  char handshake[64];
  snprintf(handshake, sizeof handshake, "https://127.0.0.1:%d/", server.port);
  const struct {
    const char *url, *name;
    iz_request limits;
  } rows[] = {
      {handshake, "connect", {.connect = 50 * IZ_MS}},
      {at("/hang"), "first_byte", {.first_byte = 50 * IZ_MS}},
      {at("/hang-body"), "stall", {.stall = 50 * IZ_MS}},
      {at("/drip"), "total", {.total = 100 * IZ_MS, .stall = 10 * IZ_SEC}},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    seen s = {0};
    iz_request rq = request(&s, rows[i].url);
    rq.connect = rows[i].limits.connect;
    rq.first_byte = rows[i].limits.first_byte;
    rq.stall = rows[i].limits.stall;
    rq.total = rows[i].limits.total;
    fetch(&s, &rq);
    assert_string_equal(s.err.code, "timeout");
    assert_non_null(strstr(s.err.message, rows[i].name));
    assert_true(s.err.retryable);
    forget(&s);
  }
}

static void test_limits_hold_under_virtual_time(void **state) {
  (void)state;
  iz_clock_virtual(0);
  seen s = {0}, ok = {0};
  iz_request rq = request(&s, at("/hang"));
  rq.first_byte = 50 * IZ_MS;
  fetch(&s, &rq);
  assert_string_equal(s.err.code, "timeout");
  forget(&s);
  get(&ok, at("/slow"));
  assert_int_equal(ok.status, 200);
  forget(&ok);
  iz_clock_real();
}

static void test_connections_per_host_are_limited(void **state) {
  (void)state;
  iz_client_free(client);
  client = iz_client_new(loop, NULL);
  iz_client_set_limits(client, 2, IZ_CLIENT_TOTAL);
  atomic_store(&server.most_open, 0);
  seen s[7] = {0};
  for (int i = 0; i < 7; i++) {
    iz_request rq = request(&s[i], at("/slow"));
    start(&s[i], &rq);
  }
  forget(&s[5]); /* while it waits in the queue */
  iz_loop_run(loop);
  assert_int_equal(atomic_load(&server.most_open), 2);
  for (int i = 0; i < 7; i++) {
    if (i != 5) assert_int_equal(s[i].status, 200);
    forget(&s[i]);
  }
}

static void test_total_limit_lets_hosts_take_turns(void **state) {
  (void)state;
  iz_client_free(client);
  client = iz_client_new(loop, NULL);
  iz_client_set_limits(client, IZ_CLIENT_PER_HOST, 1);
  seen s[6] = {0};
  char other[64];
  snprintf(other, sizeof other, "http://localhost:%d/slow", server.port);
  for (int i = 0; i < 6; i++) {
    iz_request rq = request(&s[i], i < 5 ? at("/slow") : other);
    start(&s[i], &rq);
  }
  while (!s[5].over) iz_loop_turn(loop, true);
  assert_false(s[4].over);
  iz_loop_run(loop);
  for (int i = 0; i < 6; i++) forget(&s[i]);
}

/* The server is the proxy: it is asked for whole URLs, and nobody looks their host up. */
static void test_proxy_of_the_environment(void **state) {
  (void)state;
  seen proxied = {0}, direct = {0}, asked = {0};
  setenv("http_proxy", at(""), 1);
  setenv("no_proxy", "127.0.0.1", 1);
  atomic_store(&server.requests, 0);
  get(&proxied, "http://nowhere.invalid/echo");
  assert_int_equal(proxied.status, 404);
  forget(&proxied);
  get(&direct, at("/echo"));
  assert_true(has(&direct.body, "GET /echo HTTP/1.1"));
  forget(&direct);
  unsetenv("http_proxy");
  unsetenv("no_proxy");
  iz_request rq = request(&asked, "http://nowhere.invalid/echo");
  rq.proxy = at("");
  fetch(&asked, &rq);
  assert_int_equal(asked.status, 404);
  assert_int_equal(atomic_load(&server.requests), 3);
  forget(&asked);
}

/* ---- kept connections ---- */

static void test_connection_is_kept(void **state) {
  (void)state;
  int before = atomic_load(&server.visits);
  for (int i = 0; i < 5; i++) {
    seen s = {0};
    get(&s, at("/len/10"));
    forget(&s);
  }
  assert_int_equal(atomic_load(&server.visits) - before, 1);
}

/* The server takes the second request of a connection and hangs up without a word. */
static void test_unrepeatable_request_is_never_sent_twice(void **state) {
  (void)state;
  for (int repeatable = 0; repeatable < 2; repeatable++) {
    seen first = {0}, second = {0};
    atomic_store(&server.requests, 0);
    get(&first, at("/close-on-second"));
    assert_int_equal(first.status, 200);
    forget(&first);
    iz_request rq = request(&second, at("/close-on-second"));
    rq.method = "POST";
    rq.repeatable = repeatable;
    fetch(&second, &rq);
    assert_string_equal(second.err.code, "aborted");
    assert_int_equal(second.err.retryable, repeatable);
    assert_int_equal(atomic_load(&server.requests), repeatable ? 3 : 2);
    forget(&second);
  }
}

/* ---- when things go wrong ---- */

static void test_any_transfer_may_be_closed_in_notify(void **state) {
  (void)state;
  seen s[8] = {0};
  for (int i = 0; i < 8; i++) {
    s[i].cancel_at = 1;
    iz_request rq = request(&s[i], at("/len/100000"));
    rq.window = 1000;
    start(&s[i], &rq);
  }
  iz_loop_run(loop);
  for (int i = 0; i < 8; i++) forget(&s[i]);
}

/* The n-th allocation fails, for every n until one is reached that is not made: the request
 * succeeds or fails cleanly, and the client works afterwards. */
static void test_every_allocation_may_fail(void **state) {
  (void)state;
  seen warm = {0};
  get(&warm, at("/len/100"));
  forget(&warm);
  bool failed = true;
  for (uint64_t n = 1; failed && n < 3000; n++) {
    seen s = {0};
    iz_err err = {0};
    iz_request rq = request(&s, at("/gzip"));
    rq.window = 1000;
    rq.total = 20 * IZ_SEC;
    iz_alloc_fail(n, 0);
    s.t = iz_transfer_start(client, &rq, &err);
    if (s.t) {
      iz_loop_ref(loop);
      iz_loop_run(loop);
    }
    failed = iz_alloc_failed();
    iz_alloc_fail(0, 0);
    if (s.t) {
      if (!s.body.oom && !s.err.code[0]) assert_int_equal(s.body.len, 100000);
      forget(&s);
    } else {
      assert_string_equal(err.code, "oom");
    }
    seen after = {0};
    get(&after, at("/len/10"));
    assert_pattern(&after.body, 10);
    forget(&after);
  }
  assert_false(failed);
}

static int start_peers(void **state) {
  (void)state;
  signal(SIGPIPE, SIG_IGN);
  tls_start(&tls);
  peer_start(&server);
  return 0;
}

static int stop_peers(void **state) {
  (void)state;
  tls_stop(&tls);
  peer_stop(&server);
  return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
  alarm(120);
  const struct CMUnitTest tests[] = {
      TEST(test_tls_answer_is_whole),
      TEST(test_tls_cancelled_half_way_in_notify),
      TEST(test_tls_cancelled_at_every_turn),
      TEST(test_tls_certificates_are_verified),
      TEST(test_methods_and_borrowed_bodies),
      TEST(test_fields_are_sent_as_given),
      TEST(test_unsendable_requests_are_refused),
      TEST(test_head_of_the_answer),
      TEST(test_errors_have_their_code),
      TEST(test_redirect_is_resolved_not_followed),
      TEST(test_size_limit_counts_decoded_bytes),
      TEST(test_window_holds_the_sender_back),
      TEST(test_pushed_body_with_and_without_length),
      TEST(test_pushed_body_must_keep_its_length),
      TEST(test_each_limit_is_named),
      TEST(test_limits_hold_under_virtual_time),
      TEST(test_connections_per_host_are_limited),
      TEST(test_total_limit_lets_hosts_take_turns),
      TEST(test_proxy_of_the_environment),
      TEST(test_connection_is_kept),
      TEST(test_unrepeatable_request_is_never_sent_twice),
      TEST(test_any_transfer_may_be_closed_in_notify),
      TEST(test_every_allocation_may_fail),
  };
  return cmocka_run_group_tests_name("client", tests, start_peers, stop_peers);
}
