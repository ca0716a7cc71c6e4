/* conn.c -- one connection: reading, the order of its requests, sending, deadlines, its end.
 *
 * Input is parsed where recv put it (a buffer all connections share); only what nobody wants yet is
 * copied into the connection. Output goes straight to the socket; only what it does not take is
 * kept. So an idle connection owns its struct and nothing else, and a small request costs one recv
 * and one send. Closing is never done under a caller's feet: a failed send marks the connection and
 * the next turn closes it.
 */
#include "conn.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <errno.h>
#include <event2/event.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define LINGER_NS (2 * IZ_SEC)
#define BODY_WINDOW_S 5

static void process(iz_http_conn *c);

/* ---- requests' memory ---- */

static iz_http_req *req_new(iz_http_server *s) {
  iz_http_req *r = s->spare;
  if (!r) {
    r = iz_calloc(1, sizeof *r);
    if (r) *r = (iz_http_req){.server = s, .events = &s->o.events};
    return r;
  }
  s->spare = r->user;
  s->spare_count--;
  *r = (iz_http_req){.head = r->head, .fields = r->fields, .server = s, .events = &s->o.events};
  iz_buf_clear(&r->fields);
  return r;
}

static void req_free(iz_http_req *r) {
  iz_http_server *s = r->server;
  if (s->spare_count < 64 && r->head.text_cap <= 4096 && r->fields.cap <= 1024) {
    r->user = s->spare;
    s->spare = r;
    s->spare_count++;
    return;
  }
  iz_http_head_free(&r->head);
  iz_buf_free(&r->fields);
  iz_free(r);
}

void iz_http_release(iz_http_req *r) {
  iz_http_server *s = r->server;
  iz_http_conn *c = r->conn;
  if (c) {
    if (!r->status) r->status = r->left_early ? 499 : 500;
    iz_http_access(r);
    c->req = NULL;
    r->conn = NULL;
    s->stats.active--;
    iz_conn_close(c);
  }
  req_free(r);
  iz_http_request_gone(s);
}

/* ---- deadlines ---- */

static void on_timer(iz_timer *t);

void iz_conn_deadline(iz_http_conn *c, int64_t ns) {
  c->deadline = 0;
  if (!ns) return;
  c->deadline = iz_now() + ns;
  if (iz_timer_running(&c->timer) && c->timer.due <= c->deadline) return;
  if (!iz_timer_start(c->server->loop, &c->timer, ns, on_timer)) iz_conn_fail(c);
}

static void body_failed(iz_http_conn *c, int status, const char *why) {
  iz_http_req *r = c->req;
  r->body_error = (uint16_t)status;
  r->body_why = why;
  if (!r->want_body) return;
  r->want_body = false;
  r->events->readable(r);
}

/* Waiting for the body: the time spent waiting and the bytes that came of it are judged each 5 s,
 * so that neither a slow owner is held against the client nor single bytes buy it more time. */
static void wait_for_body(iz_http_conn *c) {
  c->wait_from = iz_now();
  if (!iz_conn_unsent(c)) iz_conn_deadline(c, BODY_WINDOW_S * IZ_SEC - c->waited);
}

static void check_body_rate(iz_http_conn *c) {
  if (c->window < (uint64_t)c->server->o.body_rate * BODY_WINDOW_S) {
    body_failed(c, 408, "the request body came too slowly");
    return;
  }
  c->window = 0;
  c->waited = 0;
  wait_for_body(c);
}

static void start_request(iz_http_conn *c);
static void refuse(iz_http_conn *c, int status, const char *why, bool close_it);

static void head_too_late(iz_http_conn *c) {
  if (!c->req || !iz_http_parser_started(&c->parser)) {
    iz_conn_close(c);
    return;
  }
  start_request(c);
  c->view_len = 0;
  c->req->body_error = 408;
  refuse(c, 408, "the request head was not complete in time", true);
}

static void on_deadline(iz_http_conn *c) {
  iz_http_req *r = c->req;
  if (iz_conn_unsent(c) || c->state == CONN_LINGER)
    iz_conn_close(c); /* output made no progress, or lingering is over */
  else if (c->state == CONN_HEAD)
    head_too_late(c);
  else if (r->want_body)
    check_body_rate(c);
  else if (r->heartbeat_ns)
    iz_http_write(r, ":\n\n", 3);
}

static void on_timer(iz_timer *t) {
  iz_http_conn *c = IZ_OUTER(t, iz_http_conn, timer);
  if (!c->deadline) return;
  int64_t left = c->deadline - iz_now();
  if (left > 0) {
    if (!iz_timer_start(c->server->loop, t, left, on_timer)) iz_conn_close(c);
    return;
  }
  c->deadline = 0;
  on_deadline(c);
}

/* ---- the end ---- */

static void free_later(iz_defer *d) {
  iz_free(IZ_OUTER(d, iz_http_conn, later));
}

static void unlink_conn(iz_http_conn *c) {
  iz_http_server *s = c->server;
  *(c->prev ? &c->prev->next : &s->first) = c->next;
  *(c->next ? &c->next->prev : &s->last) = c->prev;
}

static void link_conn(iz_http_conn *c) {
  iz_http_server *s = c->server;
  c->prev = s->last;
  c->next = NULL;
  *(s->last ? &s->last->next : &s->first) = c;
  s->last = c;
}

/* The request in work loses its connection; its owner hears of it unless it is through. */
static void orphan(iz_http_conn *c) {
  iz_http_req *r = c->req;
  c->req = NULL;
  if (!r) return;
  if (c->state != CONN_REQUEST) {
    req_free(r);
    return;
  }
  c->server->stats.active--;
  r->conn = NULL;
  if (!r->status) r->status = 499;
  iz_http_access(r);
  r->left_early = true;
  r->events->gone(r);
}

void iz_conn_close(iz_http_conn *c) {
  if (c->state == CONN_CLOSED) return;
  iz_http_server *s = c->server;
  event_del(&c->ev);
  close(c->fd);
  iz_timer_stop(s->loop, &c->timer);
  iz_loop_undefer(s->loop, &c->flush);
  iz_loop_undefer(s->loop, &c->later);
  unlink_conn(c);
  iz_tls_free(c->tls);
  iz_buf_free(&c->in);
  iz_buf_free(&c->out);
  c->view = NULL;
  c->view_len = c->out_at = 0;
  c->deadline = 0;
  orphan(c);
  c->state = CONN_CLOSED;
  c->later.fn = free_later;
  if (s->abandoned)
    iz_free(c);
  else
    iz_loop_defer(s->loop, &c->later);
  iz_http_conn_gone(s);
}

static void close_later(iz_defer *d) {
  iz_conn_close(IZ_OUTER(d, iz_http_conn, later));
}

/* The connection is lost, seen while somebody else's code is on the stack. */
void iz_conn_fail(iz_http_conn *c) {
  if (c->broken || c->state == CONN_CLOSED) return;
  c->broken = true;
  event_del(&c->ev);
  iz_buf_free(&c->out);
  c->out_at = 0;
  c->later.fn = close_later;
  iz_loop_defer(c->server->loop, &c->later);
}

/* All is sent and the connection is to end. When the client may still be sending, closing at once
 * would make the kernel reset it and the answer could be lost: shut, then wait for its end. */
static void end(iz_http_conn *c) {
  if (c->tls) {
    iz_tls_bye(c->tls, &c->out);
    if (iz_conn_unsent(c)) send(c->fd, c->out.data, c->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    iz_buf_free(&c->out);
  }
  if (!c->linger || c->eof) {
    iz_conn_fail(c);
    return;
  }
  shutdown(c->fd, SHUT_WR);
  c->state = CONN_LINGER;
  c->view_len = 0;
  iz_conn_deadline(c, LINGER_NS);
}

/* ---- sending ---- */

static void keep(iz_http_conn *c, const char *p, size_t n) {
  if (!iz_buf_add(&c->out, p, n)) iz_conn_fail(c);
}

/* One sendmsg; how many bytes went, 0 when the socket is full or lost. */
static size_t send_now(iz_http_conn *c, const struct iovec *parts, int count) {
  struct msghdr m = {.msg_iov = (struct iovec *)parts, .msg_iovlen = (size_t)count};
  ssize_t n;
  do
    n = count == 1 ? send(c->fd, parts->iov_base, parts->iov_len, MSG_NOSIGNAL)
                   : sendmsg(c->fd, &m, MSG_NOSIGNAL);
  while (n < 0 && errno == EINTR);
  if (n >= 0) {
    c->server->stats.bytes_out += (uint64_t)n;
    return (size_t)n;
  }
  if (errno != EAGAIN && errno != EWOULDBLOCK) iz_conn_fail(c);
  return 0;
}

/* Sends what waits; false when some still does. */
static bool flush(iz_http_conn *c) {
  while (iz_conn_unsent(c)) {
    struct iovec part = {c->out.data + c->out_at, iz_conn_unsent(c)};
    size_t n = send_now(c, &part, 1);
    if (c->broken || !n) return false;
    c->out_at += n;
    iz_conn_deadline(c, c->server->o.stall_ns);
  }
  iz_buf_free(&c->out);
  c->out_at = 0;
  return true;
}

/* The deadline that takes over when all output is sent. */
static void after_flush(iz_http_conn *c) {
  if (c->state == CONN_HEAD)
    iz_conn_deadline(c, c->server->o.idle_ns);
  else if (c->state == CONN_REQUEST && c->req->want_body)
    wait_for_body(c);
  else if (c->state == CONN_REQUEST)
    iz_conn_deadline(c, c->req->heartbeat_ns);
}

static void flush_at_turn_end(iz_defer *d) {
  iz_http_conn *c = IZ_OUTER(d, iz_http_conn, flush);
  if (c->state == CONN_CLOSED || c->broken) return;
  if (flush(c)) {
    if (c->closing)
      end(c);
    else
      after_flush(c);
  }
  iz_conn_settle(c);
}

static void send_tls(iz_http_conn *c, const char *a, size_t an, const char *b, size_t bn) {
  if ((an && !iz_tls_write(c->tls, a, an, &c->out)) ||
      (bn && !iz_tls_write(c->tls, b, bn, &c->out)))
    iz_conn_fail(c);
}

void iz_conn_send(iz_http_conn *c, const char *a, size_t an, const char *b, size_t bn) {
  if (c->broken) return;
  bool waiting = iz_conn_unsent(c) > 0;
  /* More requests lie here already: their answers go out together. */
  bool corked = c->view_len && c->state == CONN_REQUEST && c->req && c->req->body_done;
  if (c->tls) {
    send_tls(c, a, an, b, bn);
    if (!waiting && !corked && !c->broken) flush(c);
  } else if (waiting || corked) {
    keep(c, a, an);
    keep(c, b, bn);
  } else {
    struct iovec parts[2] = {{(char *)a, an}, {(char *)b, bn}};
    size_t n = send_now(c, parts, bn ? 2 : 1);
    if (c->broken) return;
    if (n < an) keep(c, a + n, an - n);
    n = n < an ? 0 : n - an;
    if (n < bn) keep(c, b + n, bn - n);
  }
  if (!iz_conn_unsent(c)) return;
  if (corked && !c->flush.queued) iz_loop_at_turn_end(c->server->loop, &c->flush);
  if (!waiting) iz_conn_deadline(c, c->server->o.stall_ns);
}

/* ---- requests ---- */

/* What is left of the shared read buffer moves into the connection. */
static void keep_input(iz_http_conn *c) {
  bool inside = c->in.data && c->view >= c->in.data && c->view <= c->in.data + c->in.cap;
  if (!c->view_len) {
    if (c->in.data) iz_buf_free(&c->in);
    c->view = NULL;
  } else if (!inside) {
    iz_buf_clear(&c->in);
    if (!iz_buf_add(&c->in, c->view, c->view_len)) {
      c->view_len = 0;
      iz_conn_fail(c);
      return;
    }
    c->view = c->in.data;
  }
}

bool iz_conn_body_over(iz_http_conn *c) {
  iz_http_req *r = c->req;
  while (!r->body_done && !r->body_error) {
    size_t used, len;
    const char *body;
    iz_http_event e = iz_http_parse(&c->parser, c->view, c->view_len, &used, &body, &len);
    c->view += used;
    c->view_len -= used;
    if (e == IZ_HTTP_END) r->body_done = true;
    if (e == IZ_HTTP_BAD) {
      r->body_error = c->parser.status;
      r->body_why = c->parser.why;
    }
    if (e == IZ_HTTP_MORE) break;
  }
  return r->body_done;
}

void iz_conn_answered(iz_http_conn *c) {
  iz_http_server *s = c->server;
  iz_http_req *r = c->req;
  if (!iz_conn_body_over(c)) c->linger = r->close = true;
  iz_http_access(r);
  bool over = r->close || c->broken;
  c->req = NULL;
  r->conn = NULL;
  s->stats.active--;
  c->state = CONN_HEAD;
  c->head_timed = false;
  if (over || (c->eof && !c->view_len)) {
    c->closing = true;
    if (!c->broken && !iz_conn_unsent(c)) end(c);
  } else {
    unlink_conn(c);
    link_conn(c);
    if (!iz_conn_unsent(c)) iz_conn_deadline(c, s->o.idle_ns);
    process(c);
  }
  if (c->processing || c->state == CONN_CLOSED) return;
  keep_input(c);
  iz_conn_settle(c);
}

static void start_request(iz_http_conn *c) {
  iz_http_server *s = c->server;
  iz_http_req *r = c->req;
  c->state = CONN_REQUEST;
  r->conn = c;
  r->serial = ++s->serial;
  r->started = s->o.access_fd >= 0 || s->limiter ? iz_now() : 0;
  r->close = !r->head.keep_alive;
  r->head_only = r->head.method == IZ_HTTP_HEAD;
  c->window = 0;
  c->waited = 0;
  s->stats.requests++;
  s->stats.active++;
  s->live++;
  if (!iz_conn_unsent(c)) c->deadline = 0;
}

/* Refused before any owner saw it. */
static void refuse(iz_http_conn *c, int status, const char *why, bool close_it) {
  iz_http_req *r = c->req;
  c->server->stats.refused++;
  if (close_it) {
    r->close = true;
    c->linger = true;
  }
  iz_http_error(r, status, why);
  iz_http_release(r);
}

static void hand_over(iz_http_conn *c) {
  const char *why = NULL;
  iz_http_req *r = c->req;
  start_request(c);
  if (!r->head.chunked && r->head.content_length == 0) iz_conn_body_over(c);
  int status = iz_http_guard(r, &why);
  if (status)
    refuse(c, status, why, false);
  else
    c->server->o.events.request(c->server->o.arg, r);
}

/* One step of the present head; false when there is nothing more to do now. */
static bool step(iz_http_conn *c) {
  iz_http_server *s = c->server;
  if (!c->req) {
    c->req = req_new(s);
    if (!c->req) {
      iz_conn_fail(c);
      return false;
    }
    iz_http_parser_begin(&c->parser, &c->req->head, s->o.head_max, s->o.body_max);
  }
  size_t used, len;
  const char *body;
  iz_http_event e = iz_http_parse(&c->parser, c->view, c->view_len, &used, &body, &len);
  c->view += used;
  c->view_len -= used;
  if (e == IZ_HTTP_HEADED) {
    hand_over(c);
  } else if (e == IZ_HTTP_BAD) {
    start_request(c);
    c->view_len = 0;
    c->req->body_error = c->parser.status;
    refuse(c, c->parser.status, c->parser.why, true);
  } else if (!c->head_timed && iz_http_parser_started(&c->parser)) {
    c->head_timed = true;
    iz_conn_deadline(c, s->o.head_ns);
  }
  return e != IZ_HTTP_MORE;
}

/* Takes up requests as long as none is in work: they are answered in their order. */
static void process(iz_http_conn *c) {
  if (c->processing) return;
  c->processing = true;
  while (c->state == CONN_HEAD && !c->broken && !c->closing && c->view_len &&
         iz_conn_unsent(c) < IZ_HTTP_OUT_HIGH)
    if (!step(c)) break;
  c->processing = false;
}

/* ---- bodies ---- */

static void ask_for_body(iz_http_conn *c) {
  iz_http_req *r = c->req;
  static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
  if (r->head.expect_continue && !r->continued && !r->status) {
    r->continued = true;
    iz_conn_send(c, go_on, sizeof go_on - 1, NULL, 0);
  }
  if (!r->want_body) {
    r->want_body = true;
    wait_for_body(c);
  }
  iz_conn_settle(c);
}

ssize_t iz_http_body_read(iz_http_req *r, const char **data) {
  iz_http_conn *c = r->conn;
  if (r->body_done) return 0;
  if (!c && !r->body_error) {
    r->body_error = 400;
    r->body_why = "the client left";
  }
  if (r->body_error) return IZ_HTTP_FAILED;
  size_t used, len;
  iz_http_event e = iz_http_parse(&c->parser, c->view, c->view_len, &used, data, &len);
  c->view += used;
  c->view_len -= used;
  if (e == IZ_HTTP_DATA || e == IZ_HTTP_END) {
    if (e == IZ_HTTP_END) r->body_done = true;
    if (!r->want_drain && !iz_conn_unsent(c)) c->deadline = 0;
    iz_conn_settle(c);
    return e == IZ_HTTP_END ? 0 : (ssize_t)len;
  }
  if (e == IZ_HTTP_BAD) {
    r->body_error = c->parser.status;
    r->body_why = c->parser.why;
    r->close = c->linger = true;
    return IZ_HTTP_FAILED;
  }
  ask_for_body(c);
  return IZ_HTTP_WAIT;
}

/* ---- events ---- */

/* Whether the rest of the body lies in the unread input: tried on a copy of the parser. */
static bool body_is_here(const iz_http_conn *c) {
  iz_http_parser p = c->parser;
  size_t at = 0, used, len;
  const char *body;
  iz_http_event e;
  do {
    e = iz_http_parse(&p, c->view + at, c->view_len - at, &used, &body, &len);
    at += used;
  } while (e == IZ_HTTP_DATA);
  return e == IZ_HTTP_END;
}

/* After the last byte from the client. A request whose body is complete may still be answered: a
 * client may close only its sending half. Its owner hears that the client (probably) left. */
static void at_eof(iz_http_conn *c) {
  iz_http_req *r = c->req;
  c->eof = true;
  if (c->state != CONN_REQUEST) {
    if (!iz_conn_unsent(c) || c->state == CONN_LINGER)
      iz_conn_close(c);
    else
      c->closing = true;
    return;
  }
  if (!r->body_done && !body_is_here(c)) {
    r->close = true;
    if (!r->body_error) body_failed(c, 400, "the client left before its request was complete");
  }
  if (c->state != CONN_REQUEST || c->req != r || r->left_early) return;
  r->left_early = true;
  r->events->gone(r);
}

/* Puts new bytes behind those that wait; the view covers both. */
static bool add_input(iz_http_conn *c, const char *p, size_t n) {
  if (!c->view_len) {
    c->view = p;
    c->view_len = n;
    return true;
  }
  if (c->view != c->in.data) memmove(c->in.data, c->view, c->view_len);
  c->in.len = c->view_len;
  if (!iz_buf_add(&c->in, p, n)) return false;
  c->view = c->in.data;
  c->view_len = c->in.len;
  return true;
}

static void take_input(iz_http_conn *c, const char *p, size_t n) {
  if (c->state == CONN_LINGER) return;
  if (!add_input(c, p, n)) {
    iz_conn_fail(c);
    return;
  }
  iz_http_req *r = c->req;
  if (c->state == CONN_REQUEST && r->want_body) {
    r->want_body = false;
    c->window += n;
    c->waited += iz_now() - c->wait_from;
    r->events->readable(r);
  } else {
    process(c);
  }
}

static bool take_tls(iz_http_conn *c, const char *p, size_t n) {
  iz_http_server *s = c->server;
  if (!iz_tls_feed(c->tls, p, n)) return false;
  for (;;) {
    ssize_t m = iz_tls_read(c->tls, s->tls_buf, IZ_HTTP_READ_SIZE, &c->out);
    if (iz_conn_unsent(c)) flush(c);
    if (c->broken || c->state == CONN_CLOSED) return true;
    if (m == 0) return true;
    if (m < 0) return false;
    take_input(c, s->tls_buf, (size_t)m);
    if (c->state == CONN_CLOSED) return true;
    keep_input(c);
  }
}

static void on_readable(iz_http_conn *c) {
  iz_http_server *s = c->server;
  bool waiting = c->state == CONN_REQUEST && !c->req->want_body;
  size_t size = waiting ? IZ_HTTP_IN_PAUSE : IZ_HTTP_READ_SIZE;
  ssize_t n;
  do n = recv(c->fd, s->read_buf, size, 0);
  while (n < 0 && errno == EINTR);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
  if (n < 0) {
    iz_conn_close(c);
  } else if (n == 0) {
    at_eof(c);
  } else {
    s->stats.bytes_in += (uint64_t)n;
    if (!c->tls)
      take_input(c, s->read_buf, (size_t)n);
    else if (!take_tls(c, s->read_buf, (size_t)n))
      iz_conn_close(c);
  }
}

static void on_writable(iz_http_conn *c) {
  bool done = flush(c);
  if (c->broken) return;
  if (done && c->closing) {
    end(c);
    return;
  }
  iz_http_req *r = c->req;
  if (c->state == CONN_REQUEST && r->want_drain && iz_conn_unsent(c) <= IZ_HTTP_OUT_LOW) {
    r->want_drain = false;
    if (done) after_flush(c);
    r->events->drained(r);
  } else if (done) {
    after_flush(c);
  }
  if (c->state == CONN_HEAD) process(c);
}

static void on_event(evutil_socket_t fd, short what, void *arg) {
  (void)fd;
  iz_http_conn *c = arg;
  if (c->broken) return;
  if (what & EV_WRITE) on_writable(c);
  if (c->state != CONN_CLOSED && what & EV_READ) on_readable(c);
  if (c->state != CONN_CLOSED && !(what & EV_READ) && what & EV_CLOSED) at_eof(c);
  if (c->state == CONN_CLOSED) return;
  keep_input(c);
  iz_conn_settle(c);
}

void iz_conn_settle(iz_http_conn *c) {
  if (c->broken || c->state == CONN_CLOSED) return;
  short want = EV_PERSIST;
  if (!c->eof)
    want |= c->view_len < IZ_HTTP_IN_PAUSE || c->state == CONN_LINGER ? EV_READ : EV_CLOSED;
  if (iz_conn_unsent(c)) want |= EV_WRITE;
  if (want == c->watch) return;
  struct event_base *base = iz_loop_base(c->server->loop);
  if (c->watch != EV_PERSIST) event_del(&c->ev);
  c->watch = want;
  if (want == EV_PERSIST) return;
  event_assign(&c->ev, base, c->fd, want, on_event, c);
  if (event_add(&c->ev, NULL) != 0) iz_conn_fail(c);
}

void iz_conn_open(iz_http_server *s, int fd, const iz_http_addr *addr) {
  iz_http_conn *c = iz_calloc(1, sizeof *c);
  if (c && s->o.tls) c->tls = iz_tls_new(s->o.tls);
  if (!c || (s->o.tls && !c->tls)) {
    iz_free(c);
    close(fd);
    return;
  }
  c->server = s;
  c->fd = fd;
  c->addr = *addr;
  c->flush.fn = flush_at_turn_end;
  c->watch = EV_PERSIST;
  link_conn(c);
  s->stats.accepted++;
  s->stats.connections++;
  event_assign(&c->ev, iz_loop_base(s->loop), fd, EV_READ | EV_PERSIST, on_event, c);
  iz_conn_deadline(c, s->o.head_ns);
  iz_conn_settle(c);
}
