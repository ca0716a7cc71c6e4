/* pending.c -- see pending.h. */
#include "pending.h"

#include <sys/socket.h>

static LIST_HEAD(, iz_client) clients = LIST_HEAD_INITIALIZER(clients);
static LIST_HEAD(, iz_http_server) servers = LIST_HEAD_INITIALIZER(servers);

/* Are these the two ends of one connection? The port tells on one machine; on a unix socket, where
 * there is none, any connection from this process is taken for it. */
static bool joined(const iz_transfer *t, const iz_http_conn *c) {
  if (t->phase < IZ_SENT || t->phase == IZ_OVER) return false;
  if (c->addr.family == AF_UNIX) return c->addr.own && t->local_port <= 0;
  return t->local_port > 0 && c->addr.port == t->local_port;
}

static bool is_served_here(const iz_transfer *t) {
  const iz_http_server *s;
  LIST_FOREACH(s, &servers, all)
  for (const iz_http_conn *c = s->first; c; c = c->next)
    if (c->state == CONN_REQUEST && !iz_conn_unsent(c) && joined(t, c)) return true;
  return false;
}

static bool is_asked_here(const iz_http_conn *c) {
  const iz_client *client;
  const iz_transfer *t;
  LIST_FOREACH(client, &clients, all)
  TAILQ_FOREACH(t, &client->running, link)
  if (joined(t, c)) return true;
  return false;
}

static bool waits_for_client(const iz_http_conn *c) {
  if (iz_conn_unsent(c)) return true;
  if (c->state == CONN_REQUEST) return c->req->want_body;
  return c->state == CONN_HEAD && c->req && iz_http_parser_started(&c->parser);
}

static bool is_pending(iz_loop *loop) {
  const iz_client *client;
  const iz_transfer *t;
  LIST_FOREACH(client, &clients, all)
  if (client->loop == loop) TAILQ_FOREACH(t, &client->running, link)
  if (!t->recv_paused && !t->send_paused && !is_served_here(t)) return true;
  const iz_http_server *s;
  LIST_FOREACH(s, &servers, all)
  for (const iz_http_conn *c = s->loop == loop ? s->first : NULL; c; c = c->next)
    if (waits_for_client(c) && !is_asked_here(c)) return true;
  return false;
}

void iz_pending_add_client(iz_client *c) {
  LIST_INSERT_HEAD(&clients, c, all);
  iz_loop_ask_pending(c->loop, is_pending);
}

void iz_pending_remove_client(iz_client *c) {
  LIST_REMOVE(c, all);
}

void iz_pending_add_server(iz_http_server *s) {
  LIST_INSERT_HEAD(&servers, s, all);
  iz_loop_ask_pending(s->loop, is_pending);
}

void iz_pending_remove_server(iz_http_server *s) {
  LIST_REMOVE(s, all);
}
