/* channel.c -- iza.core.channel: handing values from one task to another.
 *
 * A channel holds up to `size` values; beyond them senders wait, and receivers wait while there are
 * none. Whoever waits stands in the lists of the channels it waits for with one arm each; all arms
 * belong to one choice. The task that completes an arm hands the value over at once, takes the
 * whole choice out of every list and stops its timer: a value sent has been received by exactly one
 * task or lies in the room a channel has, and an arm that was not chosen leaves nothing behind.
 * Cancelling and timing out take a choice out in the same way, so that nobody can hand it a value
 * afterwards. All of it is C, where no task of an isolate can be preempted half-way.
 *
 * The values: those a channel holds are in its user value, a table from head to tail. The value of
 * a waiting sender's arm, and later the one a receiver's arm was given, is the choice's user value
 * of the arm's number; its channels are in the user values behind those. The registry's table of
 * choices leads from the C struct to its userdata.
 */
#include "vm/vm.h"

#include "loop/lua_class.h"

#include <lauxlib.h>

#define CHANNEL "iza.channel"
#define MAX_ARMS 1000

int iz_open_channel(lua_State *L);

typedef struct arm arm;
typedef struct arm_list {
  arm *first, *last;
} arm_list;

typedef struct channel {
  lua_Integer size, head, tail; /* holds tail - head values */
  arm_list senders, receivers;
  bool closed;
} channel;

typedef struct choice choice;
struct arm {
  channel *ch;
  choice *of;
  arm *prev, *next;
  bool sends, in; /* in: stands in the channel's list */
};

struct choice {
  iz_wait wait;
  iz_timer timer;
  iz_vm *vm;
  int n;      /* arms */
  int open;   /* arms whose channel is not closed */
  int chosen; /* the number of the completed arm, from 1; 0 = none */
  arm arms[];
};

static char key_choices;

/* ---- lists ---- */

static arm_list *list_of(const arm *a) {
  return a->sends ? &a->ch->senders : &a->ch->receivers;
}

static void enter(arm *a) {
  arm_list *list = list_of(a);
  a->prev = list->last;
  a->next = NULL;
  *(list->last ? &list->last->next : &list->first) = a;
  list->last = a;
  a->in = true;
}

static void leave(arm *a) {
  if (!a->in) return;
  arm_list *list = list_of(a);
  *(a->prev ? &a->prev->next : &list->first) = a->next;
  *(a->next ? &a->next->prev : &list->last) = a->prev;
  a->in = false;
}

/* Takes the choice out of everything. Never raises: the key exists, or nothing is assigned. */
static void detach(choice *c) {
  lua_State *L = c->vm->L;
  for (int i = 0; i < c->n; i++) leave(&c->arms[i]);
  iz_timer_stop(c->vm->loop, &c->timer);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key_choices);
  if (lua_rawgetp(L, -1, c) != LUA_TNIL) {
    lua_pushnil(L);
    lua_rawsetp(L, -3, c);
  }
  lua_pop(L, 2);
}

static void complete(arm *a) {
  choice *c = a->of;
  c->chosen = (int)(a - c->arms) + 1;
  detach(c);
  iz_wait_done(&c->wait);
}

static void push_choice(lua_State *L, const choice *c) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key_choices);
  lua_rawgetp(L, -1, c);
  lua_remove(L, -2);
}

/* ---- one arm, now ---- */

enum outcome { WAITS, DONE, CLOSED };

/* Puts the value on top of the stack (popped) behind those the channel holds. */
static void hold(lua_State *L, channel *ch, int at) {
  lua_getiuservalue(L, at, 1);
  lua_insert(L, -2);
  lua_rawseti(L, -2, ch->tail);
  ch->tail++;
  lua_pop(L, 1);
}

/* Sends the value at index `value` over the channel at index `at`. */
static enum outcome try_send(lua_State *L, int at, int value) {
  channel *ch = lua_touserdata(L, at);
  if (ch->closed) return CLOSED;
  arm *receiver = ch->receivers.first;
  if (receiver) {
    push_choice(L, receiver->of);
    lua_pushvalue(L, value);
    lua_setiuservalue(L, -2, (int)(receiver - receiver->of->arms) + 1);
    lua_pop(L, 1);
    complete(receiver);
    return DONE;
  }
  if (ch->tail - ch->head >= ch->size) return WAITS;
  lua_pushvalue(L, value);
  hold(L, ch, at);
  return DONE;
}

/* Pushes the value the first waiting sender brings. */
static void push_brought(lua_State *L, const arm *sender) {
  push_choice(L, sender->of);
  lua_getiuservalue(L, -1, (int)(sender - sender->of->arms) + 1);
  lua_remove(L, -2);
}

/* Pushes the next value when there is one. The first waiting sender takes the place it frees. */
static enum outcome try_receive(lua_State *L, int at) {
  channel *ch = lua_touserdata(L, at);
  arm *sender = ch->senders.first;
  if (sender) {
    push_brought(L, sender);
    if (ch->size) hold(L, ch, at); /* may raise: nothing has changed yet */
    complete(sender);
    if (!ch->size) return DONE;
  }
  if (ch->head == ch->tail) return ch->closed ? CLOSED : WAITS;
  lua_getiuservalue(L, at, 1);
  lua_rawgeti(L, -1, ch->head);
  lua_pushnil(L);
  lua_rawseti(L, -3, ch->head);
  ch->head++;
  lua_remove(L, -2);
  return DONE;
}

/* ---- waiting ---- */

static void cancel_choice(iz_wait *w) {
  detach(IZ_OUTER(w, choice, wait));
}

static void time_is_up(iz_timer *t) {
  choice *c = IZ_OUTER(t, choice, timer);
  detach(c);
  iz_wait_done(&c->wait);
}

/* A choice of n arms, pushed; set_arm sets them. */
static choice *new_choice(lua_State *L, int n) {
  choice *c = lua_newuserdatauv(L, sizeof *c + (size_t)n * sizeof *c->arms, 2 * n);
  *c = (choice){.vm = iz_vm_of(L), .n = n, .wait = {.cancel = cancel_choice}};
  for (int i = 0; i < n; i++) c->arms[i] = (arm){.of = c};
  return c;
}

/* Arm i (from 1) of the choice on top of the stack: sends the value over the channel at these
 * indices; receives when the value is nil. */
static void set_arm(lua_State *L, choice *c, int i, int at, int value) {
  c->arms[i - 1].ch = lua_touserdata(L, at);
  c->arms[i - 1].sends = !lua_isnil(L, value);
  lua_pushvalue(L, value);
  lua_setiuservalue(L, -2, i);
  lua_pushvalue(L, at);
  lua_setiuservalue(L, -2, c->n + i);
}

static int fail(lua_State *L, const char *code, const char *message) {
  lua_pushnil(L);
  iz_push_err(L, code, message, code[0] == 't');
  return 2;
}

static int fail_closed(lua_State *L) {
  return fail(L, "closed", "the channel is closed");
}

/* Waits in the lists of all arms of the choice on top of the stack whose channels are open, then
 * goes on in k with the index of the choice. `ns`: at most so long; negative: for ever. */
static int wait_for(lua_State *L, choice *c, int64_t ns, lua_KFunction k) {
  iz_await_check(L);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key_choices);
  lua_pushvalue(L, -2);
  lua_rawsetp(L, -2, c);
  lua_pop(L, 1);
  if (ns >= 0 && !iz_timer_start(c->vm->loop, &c->timer, ns, time_is_up)) {
    detach(c);
    return luaL_error(L, "not enough memory");
  }
  for (int i = 0; i < c->n; i++) {
    if (c->arms[i].ch->closed) continue;
    enter(&c->arms[i]);
    c->open++;
  }
  return iz_await(L, &c->wait, k, lua_gettop(L));
}

static int64_t time_limit(lua_State *L, int arg) {
  return lua_isnoneornil(L, arg) ? -1 : iz_check_duration(L, arg);
}

/* ---- channels ---- */

/* channel(n?) -> a channel that holds up to n values. */
static int l_channel(lua_State *L) {
  lua_Integer size = luaL_optinteger(L, 1, 0);
  luaL_argcheck(L, size >= 0, 1, "a number of values expected, 0 or more");
  channel *ch = lua_newuserdatauv(L, sizeof *ch, 1);
  *ch = (channel){.size = size, .head = 1, .tail = 1};
  luaL_setmetatable(L, CHANNEL);
  if (size) {
    lua_newtable(L);
    lua_setiuservalue(L, -2, 1);
  }
  return 1;
}

static int send_over(lua_State *L, int status, lua_KContext at) {
  (void)status;
  choice *c = lua_touserdata(L, (int)at);
  if (!c->chosen) return c->open ? fail(L, "timeout", "nobody received in time") : fail_closed(L);
  lua_pushboolean(L, 1);
  return 1;
}

/* send(channel, value, duration?) -> true, or nil and an error. */
static int l_send(lua_State *L) {
  luaL_checkudata(L, 1, CHANNEL);
  luaL_argcheck(L, !lua_isnoneornil(L, 2), 2, "a channel cannot carry nil");
  int64_t ns = time_limit(L, 3);
  lua_settop(L, 2);
  enum outcome now = try_send(L, 1, 2);
  if (now == CLOSED) return fail_closed(L);
  lua_pushboolean(L, 1);
  if (now == DONE) return 1;
  if (ns == 0) return fail(L, "timeout", "nobody received in time");
  choice *c = new_choice(L, 1);
  set_arm(L, c, 1, 1, 2);
  return wait_for(L, c, ns, send_over);
}

static int receive_over(lua_State *L, int status, lua_KContext at) {
  (void)status;
  choice *c = lua_touserdata(L, (int)at);
  if (!c->chosen) return c->open ? fail(L, "timeout", "nothing was sent in time") : fail_closed(L);
  lua_getiuservalue(L, (int)at, 1);
  return 1;
}

/* recv(channel, duration?) -> the next value, or nil and an error. */
static int l_recv(lua_State *L) {
  luaL_checkudata(L, 1, CHANNEL);
  int64_t ns = time_limit(L, 2);
  enum outcome now = try_receive(L, 1);
  if (now == DONE) return 1;
  if (now == CLOSED) return fail_closed(L);
  if (ns == 0) return fail(L, "timeout", "nothing was sent in time");
  lua_settop(L, 1);
  lua_pushnil(L);
  choice *c = new_choice(L, 1);
  set_arm(L, c, 1, 1, 2);
  return wait_for(L, c, ns, receive_over);
}

static void close_list(arm_list *list) {
  for (arm *a; (a = list->first);) {
    leave(a);
    choice *c = a->of;
    if (--c->open > 0) continue;
    detach(c);
    iz_wait_done(&c->wait);
  }
}

/* close(channel): receivers get what it holds, then "closed"; senders get "closed". */
static int l_close(lua_State *L) {
  channel *ch = luaL_checkudata(L, 1, CHANNEL);
  ch->closed = true;
  close_list(&ch->receivers);
  close_list(&ch->senders);
  return 0;
}

/* ---- select ---- */

/* Reads cases[i] = {channel, send = value?}: pushes the channel and the value (or nil). */
static void push_case(lua_State *L, int i) {
  if (lua_rawgeti(L, 1, i) != LUA_TTABLE)
    luaL_error(L, "case %d: a table {channel, function} expected", i);
  lua_rawgeti(L, -1, 1);
  lua_getfield(L, -2, "send");
  lua_remove(L, -3);
  if (!luaL_testudata(L, -2, CHANNEL)) luaL_error(L, "case %d: a channel expected", i);
}

/* The number of the first case that can be completed now, its value pushed; 0: none. Counts those
 * whose channels are open. */
static int try_cases(lua_State *L, int n, int *open) {
  for (int i = 1; i <= n; i++) {
    push_case(L, i);
    int at = lua_gettop(L) - 1;
    bool sends = !lua_isnil(L, -1);
    enum outcome now = sends ? try_send(L, at, at + 1) : try_receive(L, at);
    if (now == DONE && sends) lua_pushboolean(L, 1);
    if (now == DONE) return i;
    *open += now == WAITS;
    lua_settop(L, at - 1);
  }
  return 0;
}

static int select_over(lua_State *L, int status, lua_KContext at) {
  (void)status;
  choice *c = lua_touserdata(L, (int)at);
  if (!c->chosen)
    return c->open ? fail(L, "timeout", "no channel was ready in time") : fail_closed(L);
  lua_pushinteger(L, c->chosen);
  if (c->arms[c->chosen - 1].sends)
    lua_pushboolean(L, 1);
  else
    lua_getiuservalue(L, (int)at, c->chosen);
  return 2;
}

/* select(cases) -> the number of the case that was completed, the value received or true; or nil
 * and an error. */
static int l_select(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  lua_getfield(L, 1, "timeout");
  int64_t ns = time_limit(L, 2);
  lua_Unsigned count = lua_rawlen(L, 1);
  if (count > MAX_ARMS) return luaL_error(L, "at most %d cases", MAX_ARMS);
  int n = (int)count, open = 0, i = try_cases(L, n, &open);
  if (i) {
    lua_pushinteger(L, i);
    lua_insert(L, -2);
    return 2;
  }
  if (!open) return fail_closed(L);
  if (ns == 0) return fail(L, "timeout", "no channel was ready in time");
  choice *c = new_choice(L, n);
  for (i = 1; i <= n; i++) {
    push_case(L, i);
    lua_pushvalue(L, 3);
    set_arm(L, c, i, 4, 5);
    lua_settop(L, 3);
  }
  return wait_for(L, c, ns, select_over);
}

int iz_open_channel(lua_State *L) {
  static const luaL_Reg functions[] = {{"channel", l_channel}, {"send", l_send},
                                       {"recv", l_recv},       {"close", l_close},
                                       {"select", l_select},   {NULL, NULL}};
  static const iz_class class = {CHANNEL, "methods", NULL, NULL, NULL};
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &key_choices) == LUA_TNIL) {
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &key_choices);
  }
  lua_pop(L, 1);
  luaL_newlib(L, functions);
  iz_class_add(L, &class);
  return 1;
}
