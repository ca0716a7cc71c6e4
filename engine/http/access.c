/* access.c -- the access log: one JSON line a request, written once a turn of the loop.
 *
 * {"time":"2026-01-31T12:00:00.123Z","id":"1f2e3d4c-2a","addr":"127.0.0.1","method":"GET",
 *  "path":"/x","status":200,"bytes":13,"ms":0.412}. `path` leaves the query out: it may hold
 * secrets. Status 499: the client left before an answer. Bytes are those of the answer's body.
 */
#include "conn.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

void iz_http_addr_text(const iz_http_addr *a, char *out, size_t size) {
  if (a->family == AF_UNIX)
    snprintf(out, size, "unix:%u", a->uid);
  else if (!inet_ntop(a->family, a->bytes, out, (socklen_t)size))
    snprintf(out, size, "?");
}

void iz_http_peer(const iz_http_req *r, char *out, size_t size) {
  if (r->conn)
    iz_http_addr_text(&r->conn->addr, out, size);
  else
    snprintf(out, size, "?");
}

void iz_http_id(const iz_http_req *r, char *out, size_t size) {
  snprintf(out, size, "%08x-%llx", r->server->boot, (unsigned long long)r->serial);
}

static void add_time(iz_buf *b) {
  int64_t wall = iz_wall();
  time_t sec = (time_t)(wall / IZ_SEC);
  struct tm tm;
  char text[40];
  gmtime_r(&sec, &tm);
  strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
  iz_buf_addf(b, "{\"time\":\"%s.%03dZ\"", text, (int)(wall % IZ_SEC / IZ_MS));
}

/* Heads are visible ASCII by the parser's rules: only quotes and backslashes need care. */
static void add_text(iz_buf *b, const iz_http_head *h, iz_http_span s) {
  for (uint16_t i = 0; i < s.len; i++) {
    char c = h->text[s.at + i];
    if (c == '"' || c == '\\') iz_buf_addc(b, '\\');
    iz_buf_addc(b, c);
  }
}

void iz_http_access(iz_http_req *r) {
  iz_http_server *s = r->server;
  if (s->o.access_fd < 0) return;
  iz_buf *b = &s->log;
  size_t from = b->len;
  char id[32], addr[64];
  iz_http_id(r, id, sizeof id);
  iz_http_peer(r, addr, sizeof addr);
  add_time(b);
  iz_buf_addf(b, ",\"id\":\"%s\",\"addr\":\"%s\",\"method\":\"", id, addr);
  add_text(b, &r->head, r->head.method_name);
  iz_buf_adds(b, "\",\"path\":\"");
  add_text(b, &r->head, r->head.path);
  double ms = r->started ? (double)(iz_now() - r->started) / (double)IZ_MS : 0;
  iz_buf_addf(b, "\",\"status\":%d,\"bytes\":%llu,\"ms\":%.3f}\n", r->status,
              (unsigned long long)r->sent, ms);
  if (b->oom) {
    b->len = from; /* a line that did not fit is lost, the ones before it are not */
    b->oom = false;
  }
  iz_loop_at_turn_end(s->loop, &s->log_flush);
}

void iz_http_access_flush(iz_defer *d) {
  iz_http_server *s = IZ_OUTER(d, iz_http_server, log_flush);
  size_t at = 0;
  while (at < s->log.len) {
    ssize_t n = write(s->o.access_fd, s->log.data + at, s->log.len - at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break; /* a full disk must not stop the service */
    at += (size_t)n;
  }
  iz_buf_clear(&s->log);
  if (s->log.cap > 256 * 1024) iz_buf_free(&s->log);
}
