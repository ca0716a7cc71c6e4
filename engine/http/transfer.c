/* transfer.c -- one request: libcurl's options and callbacks, the limits, the two bodies.
 *
 * Within a libcurl callback nothing but this struct is touched: the owner hears of it later,
 * through iz_transfer_mark. Limits are one alarm a transfer: it is set for the earliest limit and,
 * when it fires, looks whether that moved meanwhile, so progress costs nothing but a time stamp.
 */
#include "transfer.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <ctype.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum {
  PUSH_LOW = 64 * 1024,    /* below this the next piece of a pushed body is wanted */
  KEEP_BUFFER = 16 * 1024, /* an emptied buffer larger than this is given back */
};

int64_t iz_real_now(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return ts.tv_sec * IZ_SEC + ts.tv_nsec;
}

static void doom(iz_transfer *t, const char *code, const char *what, bool retryable) {
  if (t->err.code[0]) return;
  iz_fail(&t->err, code, "%s %s: %s", t->method, t->host->key, what);
  t->err.retryable = retryable;
}

/* ---- limits ---- */

/* The earliest limit that runs in this phase; *name says which. 0 = none. */
static int64_t earliest(const iz_transfer *t, const char **name, int64_t *length) {
  int64_t at = 0;
  int64_t from = t->last, span = 0;
  const char *what = "";
  if (t->phase == IZ_CONNECTING) from = t->opened, span = t->connect, what = "connect";
  if (t->phase == IZ_SENT && !t->send_paused) span = t->first_byte, what = "first_byte";
  if (t->phase == IZ_BODY && !t->recv_paused) span = t->stall, what = "stall";
  if (span > 0) at = from + span, *name = what, *length = span;
  if (t->total > 0 && (!at || t->began + t->total < at))
    at = t->began + t->total, *name = "total", *length = t->total_name;
  return at;
}

static void set_alarm(iz_transfer *t) {
  const char *name;
  int64_t length;
  int64_t at = earliest(t, &name, &length);
  if (!at || (t->alarm_at && t->alarm_at <= at)) return;
  int64_t ns = at - iz_real_now();
  if (ns < 0) ns = 0;
  struct timeval tv = {ns / IZ_SEC, (ns % IZ_SEC + IZ_US - 1) / IZ_US};
  if (event_add(&t->alarm, &tv) == 0)
    t->alarm_at = at;
  else
    iz_fail_oom(&t->err);
}

static void on_alarm(evutil_socket_t fd, short what, void *arg) {
  (void)fd, (void)what;
  iz_transfer *t = arg;
  t->alarm_at = 0;
  const char *name;
  int64_t length;
  int64_t at = earliest(t, &name, &length);
  if (at && at <= iz_real_now()) {
    char text[96];
    snprintf(text, sizeof text, "no answer within the %s limit of %g s", name,
             (double)length / (double)IZ_SEC);
    doom(t, "timeout", text, true);
  } else {
    set_alarm(t);
  }
  if (t->err.code[0]) iz_transfer_end(t);
}

static void enter(iz_transfer *t, enum iz_phase phase) {
  t->phase = phase;
  t->last = iz_real_now();
  set_alarm(t);
}

void iz_transfer_began(iz_transfer *t) {
  t->opened = iz_real_now();
  enter(t, IZ_CONNECTING);
}

/* ---- connection ---- */

static curl_socket_t on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *addr) {
  (void)purpose;
  iz_transfer_resolved(arg, true);
  return socket(addr->family, addr->socktype | SOCK_CLOEXEC, addr->protocol);
}

/* Before each sending of the request: a second one means that a kept connection was dead. */
/* NOLINTNEXTLINE(readability-non-const-parameter): libcurl's type */
static int on_connected(void *arg, char *ip, char *local_ip, int port, int local_port) {
  (void)ip, (void)local_ip, (void)port;
  iz_transfer *t = arg;
  t->local_port = local_port;
  iz_transfer_resolved(t, false);
  if (++t->attempts > 1 && !t->repeatable) {
    doom(t, "aborted",
         "the kept connection was lost before the answer; it is unknown whether the "
         "request was carried out, so it was not sent again",
         false);
    return CURL_PREREQFUNC_ABORT;
  }
  enter(t, IZ_SENT);
  return t->err.code[0] ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

/* ---- the head of the answer ---- */

static const char *trim(const char *p, size_t *n) {
  while (*n && (p[*n - 1] == ' ' || p[*n - 1] == '\t' || p[*n - 1] == '\r' || p[*n - 1] == '\n'))
    --*n;
  while (*n && (*p == ' ' || *p == '\t')) p++, --*n;
  return p;
}

/* A line that begins with a blank continues the value before it (RFC 9112 5.2). */
static void continue_field(iz_transfer *t, const char *p, size_t n) {
  p = trim(p, &n);
  if (!t->head.len || !n) return;
  t->head.len--;
  iz_buf_addc(&t->head, ' ');
  iz_buf_add(&t->head, p, n);
  iz_buf_addc(&t->head, 0);
}

static void add_field(iz_transfer *t, const char *p, size_t n) {
  const char *colon = memchr(p, ':', n);
  if (!colon || colon == p) return;
  size_t name_at = t->head.len, name_len = (size_t)(colon - p);
  size_t len = n - name_len - 1;
  const char *value = trim(colon + 1, &len);
  trim(p, &name_len);
  iz_buf_add(&t->head, p, name_len);
  iz_buf_addc(&t->head, 0);
  iz_buf_add(&t->head, value, len);
  iz_buf_addc(&t->head, 0);
  if (t->head.oom) return;
  for (size_t i = name_at; i < name_at + name_len; i++)
    t->head.data[i] = (char)tolower((unsigned char)t->head.data[i]);
  t->n_head++;
}

static void end_of_head(iz_transfer *t) {
  long status = 0;
  t->client->multi.curl->easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
  if (status < 200) { /* an interim answer: the final one is still to come */
    t->last = iz_real_now();
    return;
  }
  t->status = (int)status;
  enter(t, IZ_BODY);
  if (t->window) iz_transfer_mark(t); /* else the owner waits for the end */
}

static size_t on_header(char *p, size_t size, size_t count, void *arg) {
  iz_transfer *t = arg;
  size_t n = size * count;
  if (t->status) return n; /* trailers are dropped */
  if (!n) return 0;
  if (n >= 5 && memcmp(p, "HTTP/", 5) == 0) {
    iz_buf_clear(&t->head);
    t->n_head = 0;
  } else if (memchr(p, 0, n)) {
    doom(t, "protocol", "the answer has a NUL byte in a header", false);
  } else if (t->n_head >= IZ_HEADERS_MAX || t->head.len + n > IZ_HEAD_BYTES_MAX) {
    doom(t, "too_large", "the head of the answer is over 256 fields or 256 KB", false);
  } else if (p[0] == '\r' || p[0] == '\n') {
    end_of_head(t);
  } else if (p[0] == ' ' || p[0] == '\t') {
    continue_field(t, p, n);
  } else {
    add_field(t, p, n);
  }
  if (t->head.oom) iz_fail_oom(&t->err);
  return t->err.code[0] ? 0 : n;
}

/* ---- the body of the answer ---- */

static size_t waiting(const iz_transfer *t) {
  return t->in.len - t->in_at;
}

static size_t on_body(char *p, size_t size, size_t count, void *arg) {
  iz_transfer *t = arg;
  size_t n = size * count;
  if (t->window && waiting(t) >= t->window) {
    t->recv_paused = true;
    return CURL_WRITEFUNC_PAUSE;
  }
  if (t->max_size && n > t->max_size - t->received) {
    doom(t, "too_large", "the answer is larger than the limit (max_size)", false);
    return CURL_WRITEFUNC_ERROR;
  }
  if (t->in_at) {
    iz_buf_consume(&t->in, t->in_at);
    t->in_at = 0;
  }
  if (!iz_buf_add(&t->in, p, n)) {
    iz_fail_oom(&t->err);
    return CURL_WRITEFUNC_ERROR;
  }
  t->received += n;
  t->last = iz_real_now();
  if (t->window) iz_transfer_mark(t);
  return n;
}

/* Tells libcurl which directions are paused now. It may call on_body and on_push from within. */
static void set_pause(iz_transfer *t) {
  if (t->phase == IZ_OVER || t->phase == IZ_WAITING) return;
  int mask = (t->recv_paused ? CURLPAUSE_RECV : 0) | (t->send_paused ? CURLPAUSE_SEND : 0);
  t->last = iz_real_now();
  set_alarm(t);
  CURLcode code = t->client->multi.curl->easy_pause(t->easy, mask);
  if (code == CURLE_OK) return;
  iz_transfer_verdict(t, code);
  iz_transfer_end(t);
}

const char *iz_transfer_peek(const iz_transfer *t, size_t *len) {
  *len = waiting(t);
  return *len ? t->in.data + t->in_at : "";
}

void iz_transfer_take(iz_transfer *t, size_t n) {
  t->in_at += n < waiting(t) ? n : waiting(t);
  if (!waiting(t)) {
    t->in_at = t->in.len = 0;
    if (t->in.cap > KEEP_BUFFER) iz_buf_free(&t->in);
  }
  if (!t->recv_paused || waiting(t) > t->window / 2) return;
  t->recv_paused = false;
  set_pause(t);
}

/* ---- a pushed body ---- */

static size_t on_push(char *p, size_t size, size_t count, void *arg) {
  iz_transfer *t = arg;
  size_t room = size * count, left = t->out.len - t->out_at;
  if (!left && t->push_over) return 0;
  if (!left) {
    t->send_paused = true;
    iz_transfer_mark(t);
    return CURL_READFUNC_PAUSE;
  }
  size_t n = left < room ? left : room;
  memcpy(p, t->out.data + t->out_at, n);
  t->out_at += n;
  t->last = iz_real_now();
  if (iz_transfer_wants(t)) iz_transfer_mark(t);
  return n;
}

bool iz_transfer_wants(const iz_transfer *t) {
  return t->push && !t->push_over && t->phase != IZ_OVER && t->out.len - t->out_at < PUSH_LOW;
}

bool iz_transfer_push(iz_transfer *t, const void *p, size_t n) {
  if (t->phase == IZ_OVER || t->push_over) return true;
  if (t->push_left >= 0 && n > (uint64_t)t->push_left) {
    doom(t, "invalid", "the body is longer than its stated length", false);
    iz_transfer_end(t);
    return true;
  }
  if (t->push_left >= 0) t->push_left -= (int64_t)n;
  if (t->out_at) {
    iz_buf_consume(&t->out, t->out_at);
    t->out_at = 0;
  }
  if (!iz_buf_add(&t->out, p, n)) return false;
  if (!t->send_paused || !n) return true;
  t->send_paused = false;
  set_pause(t);
  return true;
}

void iz_transfer_push_end(iz_transfer *t) {
  if (t->phase == IZ_OVER || t->push_over) return;
  t->push_over = true;
  if (t->push_left > 0) {
    doom(t, "invalid", "the body ended before its stated length", false);
    iz_transfer_end(t);
    return;
  }
  if (!t->send_paused) return;
  t->send_paused = false;
  set_pause(t);
}

/* ---- setting up ---- */

static bool is_token(const char *s) {
  if (!*s) return false;
  for (; *s; s++)
    if (!isalnum((unsigned char)*s) && !strchr("!#$%&'*+-.^_`|~", *s)) return false;
  return true;
}

static bool add_line(iz_transfer *t, const char *name, const char *sep, const char *value) {
  const iz_curl *curl = t->client->multi.curl;
  iz_buf line = {0};
  iz_buf_adds(&line, name);
  iz_buf_adds(&line, sep);
  iz_buf_adds(&line, value);
  char *text = iz_buf_cstr(&line);
  struct curl_slist *list = text ? curl->slist_append(t->fields, text) : NULL;
  iz_buf_free(&line);
  if (list) t->fields = list;
  return list != NULL;
}

static bool check_field(const iz_field *f, iz_err *err) {
  if (!is_token(f->name)) return iz_fail(err, "invalid", "bad header name \"%.80s\"", f->name);
  for (const char *p = f->value; *p; p++)
    if (((unsigned char)*p < 32 && *p != '\t') || *p == 127)
      return iz_fail(err, "invalid", "header %.80s has a control character in its value", f->name);
  if (!strcasecmp(f->name, "content-length") || !strcasecmp(f->name, "transfer-encoding"))
    return iz_fail(err, "invalid", "header %s is made from the body: leave it out", f->name);
  return true;
}

static bool has_field(const iz_request *rq, const char *name) {
  for (size_t i = 0; i < rq->n_fields; i++)
    if (!strcasecmp(rq->fields[i].name, name)) return true;
  return false;
}

/* These methods have a body, if an empty one. */
static bool sends_body(const iz_request *rq) {
  const char *m = rq->method;
  return rq->push || rq->body || !strcmp(m, "POST") || !strcmp(m, "PUT") || !strcmp(m, "PATCH");
}

/* The request's fields, and without what libcurl would add to a body that the caller did not ask
 * for. */
static bool set_fields(iz_transfer *t, const iz_request *rq, iz_err *err) {
  for (size_t i = 0; i < rq->n_fields; i++) {
    const iz_field *f = &rq->fields[i];
    if (!check_field(f, err)) return false;
    bool ok = *f->value ? add_line(t, f->name, ": ", f->value) : add_line(t, f->name, ";", "");
    if (!ok) return iz_fail_oom(err);
  }
  if (!sends_body(rq)) return true;
  bool ok = (has_field(rq, "expect") || add_line(t, "Expect", ":", "")) &&
            (has_field(rq, "content-type") || add_line(t, "Content-Type", ":", "")) &&
            (!rq->push || rq->push_size >= 0 || add_line(t, "Transfer-Encoding", ": ", "chunked"));
  return ok || iz_fail_oom(err);
}

/* How long "http://name:port" is at the front of a URL that needs no closer look: no user, no
 * brackets, nothing to be encoded. 0: libcurl must judge it. */
static size_t plain_origin(const char *url) {
  size_t n = 0;
  if (!strncasecmp(url, "http://", 7)) n = 7;
  if (!strncasecmp(url, "https://", 8)) n = 8;
  if (!n) return 0;
  size_t name = n;
  while (isalnum((unsigned char)url[n]) || url[n] == '.' || url[n] == '-') n++;
  if (n == name) return 0;
  if (url[n] == ':' && isdigit((unsigned char)url[n + 1]))
    for (n++; isdigit((unsigned char)url[n]);) n++;
  if (url[n] != '/' && url[n] != '?' && url[n] != 0) return 0;
  for (const char *p = url + n; *p; p++)
    if (*p <= ' ' || *p > '~' || strchr("#\\\"<>^`{|}", *p)) return 0;
  return n;
}

/* The same for every other URL, which libcurl takes apart and writes anew. */
static bool judge_url(const iz_curl *curl, const char *url, iz_buf *full, iz_buf *origin,
                      iz_err *err) {
  char *scheme = NULL, *name = NULL, *port = NULL, *text = NULL;
  CURLU *u = curl->url();
  if (!u) return iz_fail_oom(err);
  CURLUcode code = curl->url_set(u, CURLUPART_URL, url, CURLU_URLENCODE);
  if (!code) code = curl->url_set(u, CURLUPART_FRAGMENT, NULL, 0);
  if (!code) code = curl->url_get(u, CURLUPART_SCHEME, &scheme, 0);
  if (!code) code = curl->url_get(u, CURLUPART_HOST, &name, 0);
  if (!code) code = curl->url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT);
  if (!code) code = curl->url_get(u, CURLUPART_URL, &text, 0);
  bool ok = false;
  if (code == CURLUE_OUT_OF_MEMORY)
    iz_fail_oom(err);
  else if (code)
    iz_fail(err, "invalid", "bad URL: %s", curl->url_strerror(code));
  else if (strcmp(scheme, "http") && strcmp(scheme, "https"))
    iz_fail(err, "invalid", "bad URL: the scheme %.20s is not http or https", scheme);
  else
    ok = iz_buf_adds(full, text) && iz_buf_addf(origin, "%s://%s:%s", scheme, name, port);
  if (!ok && !code && !err->code[0]) iz_fail_oom(err);
  curl->free(scheme);
  curl->free(name);
  curl->free(port);
  curl->free(text);
  curl->url_cleanup(u);
  return ok;
}

bool iz_url_check(const iz_curl *curl, const char *url, char **full, char **key, bool *numeric,
                  iz_err *err) {
  iz_buf text = {0}, origin = {0};
  size_t n = plain_origin(url);
  iz_err why = {0};
  bool ok = n ? iz_buf_adds(&text, url) && iz_buf_add(&origin, url, n)
              : judge_url(curl, url, &text, &origin, &why);
  *full = ok ? iz_buf_cstr(&text) : NULL;
  *key = ok ? iz_buf_cstr(&origin) : NULL;
  if (!*full || !*key) {
    iz_buf_free(&text);
    iz_buf_free(&origin);
    if (!why.code[0]) iz_fail_oom(&why);
    if (err) *err = why;
    return false;
  }
  for (char *p = *key; *p; p++) *p = (char)tolower((unsigned char)*p);
  const char *name = strstr(*key, "//") + 2;
  *numeric = name[0] == '[' || name[strspn(name, "0123456789.:")] == 0;
  return true;
}

#define SET(option, value)                                                                         \
  do {                                                                                             \
    if (!code) code = curl->easy_setopt(t->easy, option, value);                                   \
  } while (0)

/* What is the same for every request: set once, since a handle is used for many. */
static CURLcode set_constants(iz_transfer *t) {
  const iz_curl *curl = t->client->multi.curl;
  CURLcode code = CURLE_OK;
  const char *ca = getenv("SSL_CERT_FILE");
  SET(CURLOPT_PROTOCOLS_STR, "http,https");
  SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
  SET(CURLOPT_USERAGENT, "iza");
  SET(CURLOPT_NOSIGNAL, 1L);
  SET(CURLOPT_QUICK_EXIT, 1L); /* a name being looked up must not hold up a cancel */
  SET(CURLOPT_TCP_KEEPALIVE, 1L);
  SET(CURLOPT_CONNECTTIMEOUT_MS, 24L * 3600 * 1000); /* ours rules; libcurl's own would be 300 s */
  SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  SET(CURLOPT_CAPATH, NULL); /* without a directory the parsed bundle is kept for later */
  if (ca && *ca) SET(CURLOPT_CAINFO, ca);
  SET(CURLOPT_CLOSESOCKETFUNCTION, iz_multi_close_socket);
  SET(CURLOPT_CLOSESOCKETDATA, &t->client->multi);
  SET(CURLOPT_OPENSOCKETFUNCTION, on_open);
  SET(CURLOPT_PREREQFUNCTION, on_connected);
  SET(CURLOPT_HEADERFUNCTION, on_header);
  SET(CURLOPT_WRITEFUNCTION, on_body);
  SET(CURLOPT_READFUNCTION, on_push);
  return code;
}

static CURLcode set_pointers(iz_transfer *t) {
  const iz_curl *curl = t->client->multi.curl;
  CURLcode code = CURLE_OK;
  SET(CURLOPT_OPENSOCKETDATA, t);
  SET(CURLOPT_PREREQDATA, t);
  SET(CURLOPT_HEADERDATA, t);
  SET(CURLOPT_WRITEDATA, t);
  SET(CURLOPT_READDATA, t);
  SET(CURLOPT_PRIVATE, t);
  SET(CURLOPT_ERRORBUFFER, t->detail);
  SET(CURLOPT_HTTPHEADER, t->fields);
  SET(CURLOPT_URL, t->url);
  return code;
}

/* Method and body; every option they touch is set each time. */
static CURLcode set_body(iz_transfer *t, const iz_request *rq) {
  const iz_curl *curl = t->client->multi.curl;
  CURLcode code = CURLE_OK;
  const char *natural = "GET";
  if (!strcmp(rq->method, "HEAD")) {
    natural = "HEAD";
    SET(CURLOPT_NOBODY, 1L);
  } else if (sends_body(rq)) {
    natural = "POST";
    int64_t size = rq->push ? rq->push_size : (int64_t)rq->body_len;
    SET(CURLOPT_POST, 1L);
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)size);
    SET(CURLOPT_POSTFIELDS, rq->push ? NULL : rq->body ? rq->body : "");
  } else {
    SET(CURLOPT_HTTPGET, 1L);
  }
  SET(CURLOPT_CUSTOMREQUEST, strcmp(rq->method, natural) ? t->method : NULL);
  SET(CURLOPT_ACCEPT_ENCODING, has_field(rq, "accept-encoding") ? NULL : "");
  return code;
}

/* What few requests have; their handles are not used again. */
static CURLcode set_special(iz_transfer *t, const iz_request *rq) {
  const iz_curl *curl = t->client->multi.curl;
  CURLcode code = CURLE_OK;
  t->special = rq->proxy || rq->socket || rq->ca_file || rq->insecure;
  if (rq->proxy) SET(CURLOPT_PROXY, rq->proxy);
  if (rq->socket) SET(CURLOPT_UNIX_SOCKET_PATH, rq->socket);
  if (rq->ca_file) SET(CURLOPT_CAINFO, rq->ca_file);
  if (rq->insecure) SET(CURLOPT_SSL_VERIFYPEER, 0L);
  if (rq->insecure) SET(CURLOPT_SSL_VERIFYHOST, 0L);
  return code;
}

static bool check_request(const iz_request *rq, iz_err *err) {
  if (!is_token(rq->method)) return iz_fail(err, "invalid", "bad method \"%.40s\"", rq->method);
  if (!strcmp(rq->method, "CONNECT") || !strcmp(rq->method, "TRACE"))
    return iz_fail(err, "invalid", "method %s cannot be requested", rq->method);
  if (!strcmp(rq->method, "HEAD") && (rq->body || rq->push))
    return iz_fail(err, "invalid", "a HEAD request has no body");
  return true;
}

static void copy_limits(iz_transfer *t, const iz_request *rq) {
  t->connect = rq->connect;
  t->first_byte = rq->first_byte;
  t->stall = rq->stall;
  t->total = rq->total;
  t->total_name = rq->total_name ? rq->total_name : rq->total;
  t->window = rq->window;
  t->max_size = rq->max_size;
  t->repeatable = rq->repeatable && !rq->push;
  t->push = rq->push;
  t->push_left = rq->push_size;
  t->notify = rq->notify;
  t->ctx = rq->ctx;
}

bool iz_transfer_setup(iz_transfer *t, const iz_request *rq, iz_err *err) {
  const iz_curl *curl = t->client->multi.curl;
  if (!check_request(rq, err)) return false;
  copy_limits(t, rq);
  event_assign(&t->alarm, iz_loop_base(t->client->loop), -1, 0, on_alarm, t);
  t->method = iz_strdup(rq->method);
  bool fresh = !t->client->spares;
  t->easy = fresh ? curl->easy_init() : t->client->spare[--t->client->spares];
  if (!t->method || !t->easy) return iz_fail_oom(err);
  if (!set_fields(t, rq, err)) return false;
  CURLcode code = fresh ? set_constants(t) : CURLE_OK;
  if (!code) code = set_pointers(t);
  if (!code) code = set_body(t, rq);
  if (!code) code = set_special(t, rq);
  if (code == CURLE_OUT_OF_MEMORY) return iz_fail_oom(err);
  if (code) return iz_fail(err, "invalid", "bad request option: %s", curl->easy_strerror(code));
  t->began = t->last = iz_real_now();
  set_alarm(t);
  return !t->err.code[0] || iz_fail_oom(err);
}

/* ---- the end ---- */

static const char *error_code(CURLcode code, bool *retryable) {
  *retryable = false;
  switch (code) {
  case CURLE_COULDNT_RESOLVE_HOST:
  case CURLE_COULDNT_RESOLVE_PROXY:
    *retryable = true;
    return "dns";
  case CURLE_URL_MALFORMAT:
    return "invalid";
  case CURLE_COULDNT_CONNECT:
  case CURLE_PROXY:
    *retryable = true;
    return "connect";
  case CURLE_OPERATION_TIMEDOUT:
    *retryable = true;
    return "timeout";
  case CURLE_SSL_CONNECT_ERROR: /* the handshake was cut off, or no common version */
    *retryable = true;
    return "tls";
  case CURLE_PEER_FAILED_VERIFICATION:
  case CURLE_SSL_CERTPROBLEM:
  case CURLE_SSL_CIPHER:
  case CURLE_SSL_CACERT_BADFILE:
  case CURLE_SSL_ISSUER_ERROR:
  case CURLE_SSL_INVALIDCERTSTATUS:
  case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
  case CURLE_USE_SSL_FAILED:
    return "tls";
  case CURLE_RECV_ERROR:
  case CURLE_SEND_ERROR:
  case CURLE_SEND_FAIL_REWIND:
  case CURLE_GOT_NOTHING:
  case CURLE_PARTIAL_FILE:
    *retryable = true;
    return "aborted";
  default:
    return "protocol";
  }
}

void iz_transfer_verdict(iz_transfer *t, CURLcode code) {
  if (t->err.code[0] || code == CURLE_OK) return;
  if (code == CURLE_OUT_OF_MEMORY) {
    iz_fail_oom(&t->err);
    return;
  }
  bool retryable;
  const char *word = error_code(code, &retryable);
  const char *text = t->detail[0] ? t->detail : t->client->multi.curl->easy_strerror(code);
  doom(t, word, text, retryable);
}

/* Keeps the handle of a request that went well, without pointers into what is freed. */
static void give_back(iz_transfer *t) {
  const iz_curl *curl = t->client->multi.curl;
  CURLcode code = CURLE_OK;
  SET(CURLOPT_ERRORBUFFER, NULL);
  SET(CURLOPT_POSTFIELDS, NULL);
  SET(CURLOPT_HTTPHEADER, NULL);
  bool well = t->done && !code && !t->err.code[0] && !t->special;
  if (well && t->client->spares < IZ_SPARE_MAX)
    t->client->spare[t->client->spares++] = t->easy;
  else
    curl->easy_cleanup(t->easy);
}
#undef SET

void iz_transfer_clear(iz_transfer *t) {
  const iz_curl *curl = t->client->multi.curl;
  if (event_initialized(&t->alarm)) event_del(&t->alarm);
  if (t->easy) give_back(t);
  curl->slist_free_all(t->fields);
  iz_buf_free(&t->out);
  t->easy = NULL;
  t->fields = NULL;
}
