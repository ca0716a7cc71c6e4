/* http_peer.h -- the other side for client tests: a small HTTP server in threads over real sockets,
 * and `openssl s_server` as a TLS server. What a path does is listed at answer(). */
#ifndef HTTP_PEER_H
#define HTTP_PEER_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct peer {
  int fd, port;
  pthread_t thread;
  atomic_int open, most_open, requests;
  atomic_int visits, living; /* connections: ever, now */
} peer;

typedef struct visit {
  peer *server;
  int fd;
} visit;

static inline void peer_sleep(int ms) {
  usleep((useconds_t)ms * 1000);
}

static inline bool say(int fd, const char *p, size_t n) {
  while (n) {
    ssize_t w = send(fd, p, n, MSG_NOSIGNAL);
    if (w <= 0) return false;
    p += w;
    n -= (size_t)w;
  }
  return true;
}

static inline bool says(int fd, const char *s) {
  return say(fd, s, strlen(s));
}

/* n bytes of a pattern that shows lost or repeated pieces. */
static inline char pattern(size_t i) {
  return (char)('a' + i % 25);
}

static inline void send_pattern(int fd, size_t n) {
  static _Thread_local char block[16000];
  for (size_t at = 0; at < n;) {
    size_t part = n - at < sizeof block ? n - at : sizeof block;
    for (size_t i = 0; i < part; i++) block[i] = pattern(at + i);
    if (!say(fd, block, part)) return;
    at += part;
  }
}

/* Reads until the client is gone, so that a test sees a cancel as soon as it happens. */
static inline void until_gone(int fd) {
  char c[256];
  while (recv(fd, c, sizeof c, 0) > 0) {
  }
}

static inline void reply(int fd, const char *fields, const char *body, size_t n) {
  char head[512];
  snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\n%sContent-Length: %zu\r\n\r\n", fields, n);
  says(fd, head);
  say(fd, body, n);
}

/* What a command writes. */
static inline size_t output_of(const char *cmd, char *out, size_t room) {
  FILE *f = popen(cmd, "r");
  size_t n = f ? fread(out, 1, room, f) : 0;
  if (f) pclose(f);
  return n;
}

/* False ends the connection. `request` is the whole request, head and body. */
static inline bool answer(visit *v, const char *path, const char *request, size_t len) {
  int fd = v->fd;
  if (!strncmp(path, "/len/", 5)) {
    char head[128];
    size_t n = strtoul(path + 5, NULL, 10);
    snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", n);
    says(fd, head);
    send_pattern(fd, n);
  } else if (!strcmp(path, "/echo")) { /* the request itself */
    reply(fd, "X-Echo: yes\r\n", request, len);
  } else if (!strcmp(path, "/slow")) { /* 50 ms */
    peer_sleep(50);
    reply(fd, "", "slow", 4);
  } else if (!strcmp(path, "/hang")) { /* never answers */
    until_gone(fd);
    return false;
  } else if (!strcmp(path, "/hang-body")) {
    says(fd, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    until_gone(fd);
    return false;
  } else if (!strcmp(path, "/drip")) { /* a byte each 20 ms, for ever */
    says(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    while (says(fd, "1\r\nx\r\n")) peer_sleep(20);
    return false;
  } else if (!strcmp(path, "/cut")) {
    says(fd, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    return false;
  } else if (!strcmp(path, "/close-on-second")) { /* as a server does that tires of a connection */
    if (atomic_load(&v->server->requests) > 1) return false;
    reply(fd, "", "first", 5);
  } else if (!strcmp(path, "/fields")) {
    says(fd,
         "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
         "HTTP/1.1 200 OK\r\nX-One:  1 \r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"
         "X-Empty:\r\nX-Folded: a\r\n  b\r\nTransfer-Encoding: chunked\r\nTrailer: X-Late\r\n\r\n"
         "5;ext=1\r\nhello\r\n0\r\nX-Late: no\r\n\r\n");
  } else if (!strcmp(path, "/many-fields")) {
    says(fd, "HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < 300; i++) says(fd, "X-N: 1\r\n");
    says(fd, "Content-Length: 0\r\n\r\n");
  } else if (!strncmp(path, "/to/", 4)) { /* redirects to what follows */
    char head[512];
    snprintf(head, sizeof head, "HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n",
             path + 4);
    says(fd, head);
  } else if (!strcmp(path, "/gzip")) {
    char body[4096];
    size_t n = output_of("head -c 100000 /dev/zero | tr '\\0' a | gzip -c", body, sizeof body);
    reply(fd, "Content-Encoding: gzip\r\n", body, n);
  } else if (!strcmp(path, "/brotli")) { /* 100,000 times 'a', as /gzip */
    static const char body[] = "\x5b\x9f\x86\x81\x5f\x22\x2c\x1e\x0b\x04\xb2\xfc\x02";
    reply(fd, "Content-Encoding: br\r\n", body, sizeof body); /* its last byte is a zero */
  } else if (!strcmp(path, "/zstd")) {
    static const char body[] =
        "\x28\xb5\x2f\xfd\x04\x68\x4d\x00\x00\x08\x61\x01\x00\x9c\x86\x39\x10\x02\x2f\x4e\xfe\xfd";
    reply(fd, "Content-Encoding: zstd\r\n", body, sizeof body - 1);
  } else if (!strcmp(path, "/garbage")) {
    says(fd, "SSH-2.0-nothing\r\n\r\n");
    return false;
  } else {
    says(fd, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
  }
  return true;
}

/* The length of the request at the front of buf, 0 while it is incomplete. */
static inline size_t request_length(const char *buf, size_t n) {
  const char *end = memmem(buf, n, "\r\n\r\n", 4);
  if (!end) return 0;
  size_t head = (size_t)(end - buf) + 4;
  const char *cl = memmem(buf, head, "Content-Length: ", 16);
  if (cl) {
    size_t total = head + strtoul(cl + 16, NULL, 10);
    return n >= total ? total : 0;
  }
  if (!memmem(buf, head, "Transfer-Encoding: chunked", 26)) return head;
  const char *last = memmem(end, n - head + 4, "\r\n0\r\n\r\n", 7);
  return last ? (size_t)(last - buf) + 7 : 0;
}

static inline void *serve_visit(void *arg) {
  visit *v = arg;
  size_t cap = 1 << 21, n = 0;
  char *buf = malloc(cap + 1);
  for (bool more = true; more;) {
    size_t len = request_length(buf, n);
    if (!len) {
      ssize_t r = n < cap ? recv(v->fd, buf + n, cap - n, 0) : 0;
      if (r <= 0) break;
      n += (size_t)r;
      buf[n] = 0;
      continue;
    }
    char path[256];
    const char *from = strchr(buf, ' ') + 1;
    snprintf(path, sizeof path, "%.*s", (int)strcspn(from, " "), from);
    atomic_fetch_add(&v->server->requests, 1);
    int open = atomic_fetch_add(&v->server->open, 1) + 1;
    int most = atomic_load(&v->server->most_open);
    while (open > most && !atomic_compare_exchange_weak(&v->server->most_open, &most, open)) {
    }
    more = answer(v, path, buf, len);
    atomic_fetch_sub(&v->server->open, 1);
    memmove(buf, buf + len, n - len);
    n -= len;
  }
  free(buf);
  close(v->fd);
  atomic_fetch_sub(&v->server->living, 1);
  free(v);
  return NULL;
}

static inline void *serve(void *arg) {
  peer *p = arg;
  for (;;) {
    int fd = accept(p->fd, NULL, NULL);
    if (fd < 0) return NULL;
    visit *v = malloc(sizeof *v);
    *v = (visit){p, fd};
    atomic_fetch_add(&p->visits, 1);
    atomic_fetch_add(&p->living, 1);
    pthread_t t;
    pthread_create(&t, NULL, serve_visit, v);
    pthread_detach(t);
  }
}

static inline int bind_loopback(int *port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof a;
  if (bind(fd, (struct sockaddr *)&a, sizeof a) || getsockname(fd, (struct sockaddr *)&a, &len))
    abort();
  *port = ntohs(a.sin_port);
  return fd;
}

static inline void peer_start(peer *p) {
  memset(p, 0, sizeof *p);
  p->fd = bind_loopback(&p->port);
  listen(p->fd, 512);
  pthread_create(&p->thread, NULL, serve, p);
}

/* Every client connection must be closed by then. */
static inline void peer_stop(peer *p) {
  shutdown(p->fd, SHUT_RDWR);
  close(p->fd);
  pthread_join(p->thread, NULL);
  for (int i = 0; i < 500 && atomic_load(&p->living); i++) peer_sleep(10);
}

/* ---- TLS ---- */

typedef struct tls_peer {
  pid_t pid;
  int port;
  char dir[64];
  char ca[96];
} tls_peer;

static inline void shell(const char *fmt, const char *arg) {
  char cmd[512];
  snprintf(cmd, sizeof cmd, fmt, arg, arg, arg);
  if (system(cmd) != 0) abort();
}

/* Serves DIR/data (8 MB of the pattern) over HTTPS with a certificate for localhost and 127.0.0.1.
 */
static inline void tls_start(tls_peer *t) {
  snprintf(t->dir, sizeof t->dir, "/tmp/iza-tls-XXXXXX");
  if (!mkdtemp(t->dir)) abort();
  snprintf(t->ca, sizeof t->ca, "%s/cert.pem", t->dir);
  shell("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "
        "/CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 "
        "-keyout %s/key.pem -out %s/cert.pem 2>/dev/null",
        t->dir);
  char name[96];
  snprintf(name, sizeof name, "%s/data", t->dir);
  FILE *f = fopen(name, "w");
  for (size_t i = 0; i < 8u << 20; i++) fputc(pattern(i), f);
  fclose(f);
  close(bind_loopback(&t->port));
  t->pid = fork();
  if (t->pid == 0) {
    char port[16];
    snprintf(port, sizeof port, "%d", t->port);
    if (chdir(t->dir) || !freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr))
      _exit(127);
    execlp("openssl", "openssl", "s_server", "-accept", port, "-cert", "cert.pem", "-key",
           "key.pem", "-WWW", (char *)NULL);
    _exit(127);
  }
  struct sockaddr_in a = {.sin_family = AF_INET,
                          .sin_port = htons((uint16_t)t->port),
                          .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  for (int i = 0; i < 500; i++) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool up = connect(fd, (struct sockaddr *)&a, sizeof a) == 0;
    close(fd);
    if (up) return;
    peer_sleep(10);
  }
  abort();
}

static inline void tls_stop(tls_peer *t) {
  kill(t->pid, SIGKILL);
  waitpid(t->pid, NULL, 0);
  shell("rm -rf %s", t->dir);
}

#endif
