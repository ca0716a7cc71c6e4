/* access.c -- the access log: one JSON line a request, through an appender, which never holds up
 * the loop. Lines that it could not keep are counted before the next: {"time":"...","lost":3}.
 *
 * {"time":"2026-01-31T12:00:00.123Z","id":"1f2e3d4c-2a","addr":"127.0.0.1","method":"GET",
 *  "path":"/x","status":200,"bytes":13,"ms":0.412}. `path` leaves the query out: it may hold
 * secrets. Status 499: the client left before an answer. Bytes are those of the answer's body.
 */
#include "conn.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <time.h>

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

static void add_line(const iz_http_req *r, iz_buf *b) {
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
}

void iz_http_access(const iz_http_req *r) {
  iz_http_server *s = r->server;
  if (!s->access) return;
  iz_buf *b = &s->lines;
  iz_buf_clear(b);
  if (s->lines_lost) {
    add_time(b);
    iz_buf_addf(b, ",\"lost\":%llu}\n", (unsigned long long)s->lines_lost);
  }
  add_line(r, b);
  bool kept = !b->oom && iz_appender_add(s->access, b->data, b->len);
  s->lines_lost = kept ? 0 : s->lines_lost + 1;
}
