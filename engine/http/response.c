/* response.c -- answers: the head, whole and streamed bodies, errors, SSE.
 *
 * An answer is put together in the server's scratch buffer and sent with one call; a large body
 * goes beside it uncopied. Framing belongs to the server alone: Content-Length, chunks and
 * Connection are written here and refused from the owner, so an answer can never disagree with its
 * own length.
 */
#include "conn.h"

#include "base/alloc.h"
#include "chars.h"

#include <stdio.h>
#include <string.h>

enum { COPY_MAX = 16 * 1024 }; /* bodies up to this are copied behind the head */

typedef struct reason {
  uint16_t status;
  const char *text;
} reason;

static const reason reasons[] = {
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {206, "Partial Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
};

const char *iz_http_reason(int status) {
  for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
    if (reasons[i].status == status) return reasons[i].text;
  return "Status";
}

/* ---- fields ---- */

static bool is_ours(const char *name, size_t n) {
  static const char *const ours[] = {"content-length", "transfer-encoding", "date",
                                     "keep-alive",     "upgrade",           "trailer"};
  for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
    if (iz_http_equal_nocase(name, n, ours[i], strlen(ours[i]))) return true;
  return false;
}

bool iz_http_header(iz_http_req *r, const char *name, size_t nlen, const char *value, size_t vlen) {
  if (!iz_http_is_token(name, nlen) || !iz_http_is_field_value(value, vlen)) return false;
  if (is_ours(name, nlen)) return false;
  if (iz_http_equal_nocase(name, nlen, "connection", 10)) {
    r->close = r->close || iz_http_equal_nocase(value, vlen, "close", 5);
    return true;
  }
  if (iz_http_equal_nocase(name, nlen, "content-type", 12)) r->has_type = true;
  iz_buf *b = &r->fields;
  return iz_buf_add(b, name, nlen) && iz_buf_add(b, ": ", 2) && iz_buf_add(b, value, vlen) &&
         iz_buf_add(b, "\r\n", 2);
}

static void add_number(iz_buf *b, uint64_t n) {
  char text[20];
  size_t at = sizeof text;
  do text[--at] = (char)('0' + n % 10);
  while (n /= 10);
  iz_buf_add(b, text + at, sizeof text - at);
}

static bool has_no_body(int status) {
  return status < 200 || status == 204 || status == 304;
}

/* Writes the head into the scratch buffer. length -1: chunked, or none known in HTTP/1.0. */
static void put_head(iz_http_req *r, int status, int64_t length) {
  iz_http_server *s = r->server;
  iz_buf *b = &s->scratch;
  iz_buf_clear(b);
  r->status = (uint16_t)status;
  if (s->stopping) r->close = true;
  if (status == 200) {
    iz_buf_adds(b, "HTTP/1.1 200 OK\r\n");
  } else {
    iz_buf_adds(b, "HTTP/1.1 ");
    add_number(b, (uint64_t)status);
    iz_buf_addc(b, ' ');
    iz_buf_adds(b, iz_http_reason(status));
    iz_buf_adds(b, "\r\n");
  }
  iz_buf_adds(b, iz_http_date(s));
  if (length >= 0 && !has_no_body(status)) {
    iz_buf_adds(b, "Content-Length: ");
    add_number(b, (uint64_t)length);
    iz_buf_adds(b, "\r\n");
  }
  if (r->chunked) iz_buf_adds(b, "Transfer-Encoding: chunked\r\n");
  if (r->close)
    iz_buf_adds(b, "Connection: close\r\n");
  else if (r->head.minor == 0)
    iz_buf_adds(b, "Connection: keep-alive\r\n");
  iz_buf_add(b, r->fields.data, r->fields.len);
  iz_buf_adds(b, "\r\n");
}

/* The scratch buffer must not grow with the largest answer ever sent. */
static void trim_scratch(iz_buf *b) {
  if (b->cap > 4 * COPY_MAX) iz_buf_free(b);
}

/* Sends the scratch buffer and what comes behind it. */
static void send_scratch(iz_http_req *r, const char *body, size_t len) {
  iz_buf *b = &r->server->scratch;
  if (len && len <= COPY_MAX) {
    iz_buf_add(b, body, len);
    len = 0;
  }
  if (b->oom) {
    iz_conn_fail(r->conn);
    return;
  }
  iz_conn_send(r->conn, b->data, b->len, body, len);
  trim_scratch(b);
}

/* ---- whole answers ---- */

/* Whatever its owner makes of it: a request whose body was refused has no good answer. */
static bool refused_body(iz_http_req *r, int status) {
  if (!r->body_error || status >= 400) return false;
  iz_buf_clear(&r->fields);
  r->has_type = false;
  iz_http_error(r, r->body_error, r->body_why ? r->body_why : "malformed request body");
  return true;
}

void iz_http_respond(iz_http_req *r, int status, const char *body, size_t len) {
  iz_http_conn *c = r->conn;
  if (!c || r->status) return;
  /* What has come of an unread body is dropped; if more is coming, this is the last answer here. */
  if (!r->body_done && !iz_conn_body_over(c)) r->close = c->linger = true;
  if (refused_body(r, status)) return;
  if (r->fields.oom) {
    iz_buf_clear(&r->fields);
    status = 500;
    len = 0;
  }
  put_head(r, status, (int64_t)len);
  if (r->head_only || has_no_body(status)) len = 0;
  r->sent = len;
  r->finished = true;
  send_scratch(r, body, len);
  iz_conn_answered(c);
}

static const char *error_code(int status) {
  switch (status) {
  case 400:
    return "bad_request";
  case 401:
    return "unauthorized";
  case 403:
    return "forbidden";
  case 404:
    return "not_found";
  case 405:
    return "method_not_allowed";
  case 408:
    return "timeout";
  case 412:
    return "precondition_failed";
  case 413:
    return "too_large";
  case 414:
    return "url_too_long";
  case 417:
    return "expectation_failed";
  case 421:
    return "misdirected";
  case 429:
    return "rate_limited";
  case 431:
    return "head_too_large";
  case 501:
    return "not_implemented";
  case 503:
    return "unavailable";
  case 505:
    return "version_not_supported";
  default:
    return status < 500 ? "request_failed" : "internal";
  }
}

static bool add_json_text(iz_buf *b, const char *s) {
  for (; *s; s++) {
    if (*s == '"' || *s == '\\')
      iz_buf_addf(b, "\\%c", *s);
    else if ((unsigned char)*s < 0x20)
      iz_buf_addf(b, "\\u%04x", *s);
    else
      iz_buf_addc(b, *s);
  }
  return !b->oom;
}

void iz_http_error(iz_http_req *r, int status, const char *message) {
  iz_buf b = {0};
  iz_buf_addf(&b, "{\"error\":{\"code\":\"%s\",\"message\":\"", error_code(status));
  add_json_text(&b, message);
  iz_buf_adds(&b, "\"}}\n");
  iz_http_header(r, "Content-Type", 12, "application/json", 16);
  iz_http_respond(r, status, b.data, b.oom ? 0 : b.len);
  iz_buf_free(&b);
}

/* ---- streamed answers ---- */

void iz_http_start(iz_http_req *r, int status, int64_t length) {
  if (!r->conn || r->status || refused_body(r, status)) return;
  if (r->fields.oom) {
    iz_http_respond(r, 500, NULL, 0); /* half a field would spoil the head */
    return;
  }
  r->head_only = r->head_only || has_no_body(status);
  r->left = length;
  if (length < 0 && r->head.minor == 0) r->close = true;
  r->chunked = length < 0 && r->head.minor == 1 && !has_no_body(status);
  put_head(r, status, length);
  send_scratch(r, NULL, 0);
  iz_conn_settle(r->conn);
}

void iz_http_start_sse(iz_http_req *r, int64_t heartbeat_ns) {
  iz_http_header(r, "Content-Type", 12, "text/event-stream", 17);
  iz_http_header(r, "Cache-Control", 13, "no-cache", 8);
  iz_http_header(r, "X-Accel-Buffering", 17, "no", 2);
  r->heartbeat_ns = heartbeat_ns;
  iz_http_start(r, 200, -1);
  if (r->conn && !iz_conn_unsent(r->conn)) iz_conn_deadline(r->conn, heartbeat_ns);
}

bool iz_http_wants_body(const iz_http_req *r) {
  return r->conn && !r->conn->broken && r->status && !r->finished && !r->head_only;
}

static void send_part(iz_http_req *r, const char *data, size_t n) {
  iz_buf *b = &r->server->scratch;
  iz_buf_clear(b);
  if (r->chunked) iz_buf_addf(b, "%zx\r\n", n);
  if (r->chunked && n > COPY_MAX && !b->oom) {
    iz_conn_send(r->conn, b->data, b->len, data, n);
    iz_conn_send(r->conn, "\r\n", 2, NULL, 0);
    return;
  }
  iz_buf_add(b, data, n <= COPY_MAX ? n : 0);
  if (r->chunked) iz_buf_add(b, "\r\n", 2);
  if (b->oom)
    iz_conn_fail(r->conn);
  else
    iz_conn_send(r->conn, b->data, b->len, data, n <= COPY_MAX ? 0 : n);
}

bool iz_http_write(iz_http_req *r, const char *data, size_t n) {
  iz_http_conn *c = r->conn;
  if (!c || !r->status || r->finished) return true;
  if (c->broken) return false;
  if (r->left >= 0) {
    if ((int64_t)n > r->left) n = (size_t)r->left;
    r->left -= (int64_t)n;
  }
  if (!n || r->head_only) return true;
  r->sent += n;
  send_part(r, data, n);
  if (c->broken) return false;
  iz_conn_settle(c);
  if (!iz_conn_unsent(c)) {
    if (r->heartbeat_ns) iz_conn_deadline(c, r->heartbeat_ns);
    return true;
  }
  r->want_drain = iz_conn_unsent(c) >= IZ_HTTP_OUT_HIGH;
  return !r->want_drain;
}

void iz_http_finish(iz_http_req *r) {
  iz_http_conn *c = r->conn;
  if (!c || !r->status || r->finished) return;
  r->finished = true;
  r->heartbeat_ns = 0;
  if (r->left > 0 && !r->head_only) {
    iz_conn_fail(c); /* shorter than announced: only a cut connection says so */
    return;
  }
  if (r->chunked && !r->head_only) iz_conn_send(c, "0\r\n\r\n", 5, NULL, 0);
  iz_conn_answered(c);
}

/* ---- SSE ---- */

static bool one_line(const char *s) {
  return !strpbrk(s, "\r\n");
}

bool iz_http_sse(iz_buf *out, const char *event, const char *id, int64_t retry_ms, const char *data,
                 size_t n) {
  if ((event && !one_line(event)) || (id && !one_line(id))) return false;
  if (event) iz_buf_addf(out, "event: %s\n", event);
  if (id) iz_buf_addf(out, "id: %s\n", id);
  if (retry_ms >= 0) iz_buf_addf(out, "retry: %lld\n", (long long)retry_ms);
  const char *end = data ? data + n : NULL;
  for (const char *s = data; s;) {
    const char *stop = s;
    while (stop < end && *stop != '\n' && *stop != '\r') stop++;
    iz_buf_adds(out, "data: ");
    iz_buf_add(out, s, (size_t)(stop - s));
    iz_buf_addc(out, '\n');
    if (stop == end) break;
    s = stop + (stop + 1 < end && stop[0] == '\r' && stop[1] == '\n' ? 2 : 1);
  }
  return iz_buf_addc(out, '\n');
}
