/* lua_http.h -- what the files of the server's Lua binding share. */
#ifndef IZ_LUA_HTTP_H
#define IZ_LUA_HTTP_H

#include "http/router.h"
#include "http/server.h"
#include "http/static.h"
#include "vm/vm.h"

/* A server and the scope its handlers live in. The registry holds it until it is over. */
typedef struct lworker lworker;
typedef struct lreq lreq;

typedef struct lserver {
  iz_http_server *http;
  iz_router *router;
  iz_vm *vm;
  iz_scope scope;
  iz_waitlist stopped;
  lworker *idle; /* workers without a request, last one first */
  int idle_count;
  iz_static **mounts;
  int mount_count;
  int access_fd;
  int self, run, handlers; /* registry references; handlers: table, index + 1 -> function */
  iz_fiber *keeper;        /* the server ends with it */
  bool over;
} lserver;

/* A task that runs handlers, one request after another: a task costs more than most handlers do.
 * A userdata, at index 1 of its task's stack; the registry holds it until that task is over. Its
 * user value is the object of its request. */
struct lworker {
  lserver *server;
  iz_fiber *fiber;
  iz_wait wait;         /* for the next request */
  lworker *prev, *next; /* among the idle */
  bool idle;
  int handler;
  iz_http_req *req; /* in work; its `user` is this worker */
  lreq *lua;        /* the object for it, once it is made */
  iz_buf text;      /* its body so far */
};

/* A request as Lua sees it. It owns no memory of C and has no finaliser: the collector's estimate
 * counts objects that await theirs as alive, and with one a request the heap would grow for good.
 * User value 1: a table of its fields and what middleware put there
 * (made when needed); 2: its body, once it was read whole. */
struct lreq {
  iz_http_req *req; /* NULL: over */
  lserver *server;
  lworker *worker;
  iz_wait wait;   /* for input or for room in the output */
  size_t written; /* since it last gave up its turn */
};

/* The request at arg; raises when it is none, or over (`live`). */
lreq *iz_check_request(lua_State *L, int arg, bool live);
/* The object lets go of its request, which its caller answers and releases. Who still waits for it
 * in another task is told. */
void iz_request_over(lreq *r);
/* Releases a request whose handler is over; without an answer by now, something stopped it. */
void iz_request_release(iz_http_req *req);
/* Suspends until the request's connection has news; k runs then. */
int iz_request_wait(lua_State *L, lreq *r, lua_KFunction k, lua_KContext ctx);
/* Pushes nil and the error that a body could not be read; its `status` is what to answer with. */
int iz_push_body_error(lua_State *L, const iz_http_req *req);

/* lua_request.c: registers the class with the methods table at the stack's top (kept there). */
void iz_open_request_class(lua_State *L);
/* Pushes the object for the request the worker has got. */
void iz_push_request(lua_State *L, lworker *w);
/* lua_worker.c: gives the request to an idle worker or a new one. */
void iz_worker_run(lserver *s, iz_http_req *req, int handler);
/* The events of a request that a worker has. */
void iz_worker_news(iz_http_req *req);
void iz_worker_gone(iz_http_req *req);
void iz_open_worker(lua_State *L);
/* lua_body.c, lua_answer.c: add their functions to the table on top. */
void iz_open_body(lua_State *L);
void iz_open_answer(lua_State *L);

#endif
