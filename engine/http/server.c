/* server.c -- listening, accepting, draining: see server.h. */
#include "conditional.h"
#include "conn.h"
#include "pending.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

void iz_http_defaults(iz_http_options *o) {
  *o = (iz_http_options){
      .host = "127.0.0.1",
      .head_max = IZ_HTTP_HEAD_MAX,
      .body_max = IZ_HTTP_BODY_MAX,
      .conns_max = 10000,
      .head_ns = 10 * IZ_SEC,
      .idle_ns = 75 * IZ_SEC,
      .stall_ns = 30 * IZ_SEC,
      .body_rate = 240,
      .access_fd = -1,
  };
}

/* "Date: Tue, 15 Nov 1994 08:12:31 GMT\r\n", made once a second. */
const char *iz_http_date(iz_http_server *s) {
  int64_t now = iz_wall() / IZ_SEC;
  if (now == s->date_second) return s->date;
  s->date_second = now;
  memcpy(s->date, "Date: ", 6);
  iz_http_date_format(now, s->date + 6);
  memcpy(s->date + 35, "\r\n", 3);
  return s->date;
}

/* ---- accepting ---- */

static void accept_more(iz_http_server *s, bool on) {
  if (s->accepting == on) return;
  if (on && event_add(&s->ev, NULL) != 0) return;
  if (!on) event_del(&s->ev);
  s->accepting = on;
}

static bool is_idle(const iz_http_conn *c) {
  bool in_head =
      c->req && iz_http_parser_started(&c->parser); /* no req: the last one is answered */
  return c->state == CONN_HEAD && !iz_conn_unsent(c) && !in_head;
}

/* The connection that has been idle for longest. The list is in the order of activity, so it is
 * found near its head. */
static iz_http_conn *oldest_idle(iz_http_server *s) {
  iz_http_conn *c = s->first;
  while (c && !is_idle(c)) c = c->next;
  return c;
}

static void retry_accept(iz_timer *t) {
  iz_http_server *s = IZ_OUTER(t, iz_http_server, retry);
  if (!s->stopping) accept_more(s, true);
}

static void out_of_descriptors(iz_http_server *s) {
  iz_http_conn *idle = oldest_idle(s);
  if (idle) {
    iz_conn_close(idle);
    return;
  }
  iz_log(IZ_WARN, "http", "cannot accept connections: %s; raise `ulimit -n`",
         strerrordesc_np(errno));
  accept_more(s, false);
  iz_timer_start(s->loop, &s->retry, IZ_SEC, retry_accept);
}

static void read_addr(int fd, const struct sockaddr_storage *from, iz_http_addr *a) {
  a->family = (uint8_t)from->ss_family;
  if (from->ss_family == AF_INET) {
    memcpy(a->bytes, &((const struct sockaddr_in *)from)->sin_addr, 4);
    a->port = ntohs(((const struct sockaddr_in *)from)->sin_port);
  } else if (from->ss_family == AF_INET6) {
    memcpy(a->bytes, &((const struct sockaddr_in6 *)from)->sin6_addr, 16);
    a->port = ntohs(((const struct sockaddr_in6 *)from)->sin6_port);
  } else {
    struct ucred peer = {.uid = (uid_t)-1};
    socklen_t size = sizeof peer;
    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size);
    a->family = AF_UNIX;
    a->uid = peer.uid;
    a->own = peer.pid == getpid();
  }
}

static void on_accept(evutil_socket_t fd, short what, void *arg) {
  (void)what;
  iz_http_server *s = arg;
  for (int i = 0; i < 64 && s->accepting; i++) {
    iz_http_conn *idle = s->stats.connections >= s->o.conns_max ? oldest_idle(s) : NULL;
    if (s->stats.connections >= s->o.conns_max && !idle) {
      accept_more(s, false); /* goes on when one closes; the kernel's queue waits meanwhile */
      return;
    }
    struct sockaddr_storage from = {0};
    socklen_t size = sizeof from;
    int client = accept4(fd, (struct sockaddr *)&from, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (client < 0) {
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
        out_of_descriptors(s);
      return;
    }
    if (idle) iz_conn_close(idle);
    iz_http_addr addr = {0};
    read_addr(client, &from, &addr);
    iz_conn_open(s, client, &addr);
  }
}

/* ---- binding ---- */

static bool bind_failed(const iz_http_options *o, int e, iz_err *err) {
  if (e == EADDRINUSE)
    return iz_fail(err, "EADDRINUSE",
                   "cannot listen on %s port %u: another program uses it (`ss -ltnp` shows which); "
                   "stop it or choose another port",
                   o->host, o->port);
  if (e == EACCES)
    return iz_fail(err, "EACCES",
                   "cannot listen on %s port %u: no permission; ports below 1024 need root or "
                   "CAP_NET_BIND_SERVICE, choose a higher one",
                   o->host, o->port);
  if (e == EADDRNOTAVAIL)
    return iz_fail(err, "EADDRNOTAVAIL",
                   "cannot listen on %s: this machine has no such address (`ip addr` lists them)",
                   o->host);
  return iz_fail_errno(err, e, "cannot listen on %s port %u", o->host, o->port);
}

static bool listen_on(iz_http_server *s, const struct sockaddr *addr, socklen_t size, iz_err *err) {
  int one = 1;
  s->fd = socket(addr->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (s->fd < 0) return bind_failed(&s->o, errno, err);
  if (addr->sa_family != AF_UNIX) {
    setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* accepted ones inherit it */
    if (s->o.reuse_port) setsockopt(s->fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
  }
  if (bind(s->fd, addr, size) != 0 || listen(s->fd, 4096) != 0)
    return bind_failed(&s->o, errno, err);
  return true;
}

/* A socket file that nobody listens on any more (its owner died) is removed first. */
static void remove_dead_socket(const struct sockaddr_un *a) {
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct stat st;
  if (fd >= 0 && stat(a->sun_path, &st) == 0 && S_ISSOCK(st.st_mode) &&
      connect(fd, (const struct sockaddr *)a, sizeof *a) != 0 && errno == ECONNREFUSED)
    unlink(a->sun_path);
  if (fd >= 0) close(fd);
}

static bool listen_unix(iz_http_server *s, const char *path, iz_err *err) {
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  size_t n = strlen(path);
  if (n == 0 || n >= sizeof a.sun_path)
    return iz_fail(err, "invalid", "socket path must have 1 to %zu bytes: %s",
                   sizeof a.sun_path - 1, path);
  memcpy(a.sun_path, path, n);
  remove_dead_socket(&a);
  mode_t old = umask(0177); /* the owner alone may connect */
  bool ok = listen_on(s, (struct sockaddr *)&a, sizeof a, err);
  umask(old);
  if (!ok) return false;
  s->unix_path = iz_strdup(path);
  return s->unix_path || iz_fail_oom(err);
}

static bool is_loopback(const struct sockaddr *a) {
  if (a->sa_family == AF_INET)
    return ntohl(((const struct sockaddr_in *)a)->sin_addr.s_addr) >> 24 == 127;
  return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)a)->sin6_addr);
}

static bool listen_tcp(iz_http_server *s, iz_err *err) {
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *list = NULL;
  char port[8];
  snprintf(port, sizeof port, "%u", s->o.port);
  int e = getaddrinfo(s->o.host, port, &hints, &list);
  if (e != 0 || !list)
    return iz_fail(err, "invalid", "cannot listen on host %s: %s", s->o.host, gai_strerror(e));
  bool ok = listen_on(s, list->ai_addr, list->ai_addrlen, err);
  s->loopback = is_loopback(list->ai_addr);
  freeaddrinfo(list);
  union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
  } a;
  socklen_t size = sizeof a;
  if (!ok) return false;
  memset(&a, 0, sizeof a);
  getsockname(s->fd, &a.any, &size);
  s->port = ntohs(a.any.sa_family == AF_INET ? a.v4.sin_port : a.v6.sin6_port);
  return true;
}

/* The Host names that pass: those asked for; on loopback, its own; elsewhere all (NULL). */
static bool set_hosts(iz_http_server *s, iz_err *err) {
  iz_buf b = {0};
  if (!s->o.hosts && !s->loopback) return true;
  if (s->loopback) iz_buf_addf(&b, "localhost 127.0.0.1 [::1] %s ", s->o.host);
  if (s->o.hosts) iz_buf_adds(&b, s->o.hosts);
  s->hosts = iz_buf_cstr(&b);
  if (!s->hosts) iz_buf_free(&b);
  return s->hosts || iz_fail_oom(err);
}

static bool start(iz_http_server *s, iz_err *err) {
  if (!s->read_buf || (s->o.tls && !s->tls_buf) || !iz_http_limiter_new(s)) return iz_fail_oom(err);
  if (getrandom(&s->boot, sizeof s->boot, 0) < 0) s->boot = (uint32_t)iz_wall();
  bool local = strncmp(s->o.host, "unix:", 5) == 0;
  if (!(local ? listen_unix(s, s->o.host + 5, err) : listen_tcp(s, err))) return false;
  if (!set_hosts(s, err)) return false;
  if (s->o.access_fd >= 0 && !(s->access = iz_appender_new(s->loop, s->o.access_fd, err)))
    return false;
  event_assign(&s->ev, iz_loop_base(s->loop), s->fd, EV_READ | EV_PERSIST, on_accept, s);
  accept_more(s, true);
  return s->accepting || iz_fail_oom(err);
}

iz_http_server *iz_http_listen(iz_loop *loop, const iz_http_options *o, iz_err *err) {
  iz_http_server *s = iz_calloc(1, sizeof *s);
  if (!s) return iz_fail_oom(err), NULL;
  s->loop = loop;
  s->o = *o;
  s->fd = -1;
  s->date_second = -1;
  s->o.host = iz_strdup(o->host);
  s->o.hosts = o->hosts ? iz_strdup(o->hosts) : NULL;
  s->read_buf = iz_alloc(IZ_HTTP_READ_SIZE);
  s->tls_buf = o->tls ? iz_alloc(IZ_HTTP_READ_SIZE) : NULL;
  bool copied = s->o.host && (!o->hosts || s->o.hosts);
  if (!copied) iz_fail_oom(err);
  if (!copied || !start(s, err)) {
    s->o.tls = NULL; /* stays the caller's when listening failed */
    iz_http_server_free(s);
    return NULL;
  }
  s->listening = true;
  iz_pending_add_server(s);
  iz_loop_ref(loop);
  return s;
}

uint16_t iz_http_port(const iz_http_server *s) {
  return s->port;
}

void iz_http_get_stats(const iz_http_server *s, iz_http_stats *out) {
  *out = s->stats;
}

/* ---- stopping ---- */

static void ended(iz_defer *d) {
  iz_http_server *s = IZ_OUTER(d, iz_http_server, ended);
  s->over = true;
  iz_loop_unref(s->loop);
  if (s->o.events.stopped) s->o.events.stopped(s->o.arg);
}

/* Once nothing is left. Runs behind the deferred freeing of the last connection. */
static void check_ended(iz_http_server *s) {
  if (!s->stopping || s->stopped || s->stats.connections || s->live) return;
  s->stopped = true;
  iz_timer_stop(s->loop, &s->cut);
  s->ended.fn = ended;
  iz_loop_defer(s->loop, &s->ended);
}

void iz_http_conn_gone(iz_http_server *s) {
  s->stats.connections--;
  if (!s->stopping && !s->accepting && !iz_timer_running(&s->retry)) accept_more(s, true);
  check_ended(s);
}

void iz_http_request_gone(iz_http_server *s) {
  s->live--;
  check_ended(s);
}

static void close_all(iz_http_server *s, bool idle_only) {
  for (iz_http_conn *c = s->first, *next; c; c = next) {
    next = c->next;
    if (!idle_only || is_idle(c)) iz_conn_close(c);
  }
}

static void cut_off(iz_timer *t) {
  close_all(IZ_OUTER(t, iz_http_server, cut), false);
}

void iz_http_stop(iz_http_server *s, int64_t drain_ns) {
  if (s->stopped) return;
  if (!s->stopping) {
    accept_more(s, false);
    iz_timer_stop(s->loop, &s->retry);
    close(s->fd);
    s->fd = -1;
    if (s->unix_path) unlink(s->unix_path);
    s->stopping = true;
  }
  close_all(s, true);
  if (s->stopped) return; /* with the last idle connection all was over */
  if (!iz_timer_start(s->loop, &s->cut, drain_ns, cut_off)) close_all(s, false);
  check_ended(s);
}

/* The program ends while it still serves: nobody is told any more. */
static void abandon(iz_http_server *s) {
  if (s->accepting) accept_more(s, false);
  s->stopping = s->stopped = s->abandoned = true;
  iz_timer_stop(s->loop, &s->retry);
  iz_timer_stop(s->loop, &s->cut);
  close_all(s, false);
  iz_loop_undefer(s->loop, &s->ended);
  iz_loop_unref(s->loop);
}

void iz_http_server_free(iz_http_server *s) {
  if (!s) return;
  if (s->listening) iz_pending_remove_server(s);
  if (s->listening && !s->over) abandon(s);
  iz_appender_close(s->access);
  for (iz_http_req *r = s->spare, *next; r; r = next) {
    next = r->user;
    iz_http_head_free(&r->head);
    iz_buf_free(&r->fields);
    iz_free(r);
  }
  if (s->fd >= 0) close(s->fd);
  iz_http_limiter_free(s);
  if (s->o.tls) iz_tls_context_free(s->o.tls);
  iz_buf_free(&s->scratch);
  iz_buf_free(&s->lines);
  iz_free(s->read_buf);
  iz_free(s->tls_buf);
  iz_free(s->hosts);
  iz_free(s->unix_path);
  iz_free((char *)s->o.host);
  iz_free((char *)s->o.hosts);
  iz_free(s);
}
