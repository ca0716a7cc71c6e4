/* lua_repl.c -- iza.core.repl: what lua/iza/cli/repl.lua and lua/iza/repl/ need of the engine.
 *
 * One editor a process; the task that reads from it is the REPL's. An entry runs as a task of its
 * own that spawns into the state's root scope: what it starts goes on when it is over. Ctrl-C
 * cancels the entry, or else clears the line being edited; nothing else.
 */
#include "repl/repl.h"

#include "vm/vm.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

int iz_open_repl(lua_State *L);

static const char editor_meta[] = "iza.editor";
static char key_entry; /* registry: the running entry's task */
static iz_editor *open_editor;

static bool on_interrupt(iz_vm *vm);
static void on_failure(iz_vm *vm, iz_fiber *f);

typedef struct box {
  iz_editor *ed;
  iz_wait wait;
} box;

/* ---- the editor ---- */

static void on_event(void *ctx) {
  iz_wait_done(&((box *)ctx)->wait);
}

static void cancel_read(iz_wait *w) {
  (void)w; /* the line stays as it is for the next read */
}

static box *check_box(lua_State *L) {
  box *b = luaL_checkudata(L, 1, editor_meta);
  if (!b->ed) luaL_error(L, "the editor is closed");
  return b;
}

/* open() -> editor, and an error that says why there are only plain lines; or nil and an error. */
static int l_open(lua_State *L) {
  iz_err err = {0};
  box *b = lua_newuserdatauv(L, sizeof *b, 0);
  memset(b, 0, sizeof *b);
  luaL_setmetatable(L, editor_meta);
  b->ed = iz_editor_open(iz_lua_loop(L), on_event, b, &err);
  if (!b->ed) return iz_push_error(L, &err);
  open_editor = b->ed;
  iz_vm *vm = iz_vm_of(L);
  vm->on_interrupt = on_interrupt;
  vm->on_failure = on_failure;
  vm->patient = true;
  if (!iz_editor_is_plain(b->ed)) return 1;
  iz_push_err(L, err.code, err.message, false);
  return 2;
}

static int read_over(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  const char *text;
  size_t n, cursor;
  iz_edit_event e = iz_editor_take(check_box(L)->ed, &text, &n, &cursor);
  lua_pushstring(L, iz_editor_event_name(e));
  lua_pushlstring(L, text ? text : "", n);
  lua_pushinteger(L, (lua_Integer)cursor);
  return 3;
}

/* editor:read(prompt, more, width) -> event, text, cursor. Starts a line unless one is open. */
static int l_read(lua_State *L) {
  box *b = check_box(L);
  const char *prompt = luaL_checkstring(L, 2), *more = luaL_checkstring(L, 3);
  lua_Integer width = luaL_checkinteger(L, 4);
  luaL_argcheck(L, width >= 0 && width < 32, 4, "too wide");
  iz_await_check(L);
  if (!iz_editor_active(b->ed) && !iz_editor_has_event(b->ed))
    iz_editor_start(b->ed, prompt, more, (int)width);
  if (iz_editor_has_event(b->ed)) return read_over(L, LUA_OK, 0);
  b->wait = (iz_wait){.cancel = cancel_read};
  return iz_await(L, &b->wait, read_over, 0);
}

/* editor:reply(text?, cursor?): answers the last event; without a text all stays as it is. */
static int l_reply(lua_State *L) {
  size_t n = 0;
  box *b = check_box(L);
  const char *text = luaL_optlstring(L, 2, NULL, &n);
  lua_Integer cursor = luaL_optinteger(L, 3, (lua_Integer)n);
  iz_editor_reply(b->ed, text, n, cursor < 0 ? 0 : (size_t)cursor);
  return 0;
}

/* editor:accept(text?): the line is finished; the event "line" follows. */
static int l_accept(lua_State *L) {
  size_t n = 0;
  box *b = check_box(L);
  const char *text = luaL_optlstring(L, 2, NULL, &n);
  iz_editor_accept(b->ed, text, n);
  return 0;
}

/* editor:remember(text): an entry for Ctrl-R to find. */
static int l_remember(lua_State *L) {
  size_t n;
  const char *text = luaL_checklstring(L, 2, &n);
  if (!iz_editor_remember(check_box(L)->ed, text, n)) luaL_error(L, "not enough memory");
  return 0;
}

static int l_close(lua_State *L) {
  box *b = luaL_checkudata(L, 1, editor_meta);
  if (!b->ed) return 0;
  iz_vm_of(L)->on_interrupt = NULL;
  open_editor = NULL;
  iz_editor_close(b->ed);
  b->ed = NULL;
  return 0;
}

/* ---- entries ---- */

static iz_fiber *running_entry(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key_entry);
  iz_fiber *f = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return f && !(f->task.flags & IZ_TASK_DONE) ? f : NULL;
}

static bool on_interrupt(iz_vm *vm) {
  iz_fiber *f = running_entry(vm->L);
  if (f)
    iz_task_cancel(&f->task);
  else if (open_editor)
    iz_editor_interrupt(open_editor);
  return true;
}

static int report_failure(lua_State *L) {
  iz_fiber *f = lua_touserdata(L, 1);
  iz_fiber_push_error(L, f);
  iz_error_report(L, -1);
  fprintf(stderr, "task %llu failed: %s\n", (unsigned long long)f->task.id, lua_tostring(L, -1));
  return 0;
}

static void on_failure(iz_vm *vm, iz_fiber *f) {
  lua_pushcfunction(vm->L, report_failure);
  lua_pushlightuserdata(vm->L, f);
  if (lua_pcall(vm->L, 1, 0, 0) != LUA_OK) lua_pop(vm->L, 1);
}

/* spawn(f) -> task. Ctrl-C cancels it. */
static int l_spawn(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  iz_vm *vm = iz_vm_of(L);
  lua_settop(L, 1);
  iz_fiber *f = iz_fiber_spawn(L, 0, &vm->root, 0);
  f->task.inner = &vm->root;
  lua_pushliteral(L, ""); /* where it was spawned tells nothing */
  lua_setiuservalue(L, -2, 2);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &key_entry);
  return 1;
}

/* held() -> is a line on the screen, so that what is printed is held back? */
static int l_held(lua_State *L) {
  lua_pushboolean(L,
                  open_editor && iz_editor_active(open_editor) && !iz_editor_is_plain(open_editor));
  return 1;
}

/* quit(): cancels every task. */
static int l_quit(lua_State *L) {
  iz_scope_cancel(&iz_vm_of(L)->root);
  return 0;
}

/* report(error) -> its text as scripts and servers show it. */
static int l_report(lua_State *L) {
  luaL_checkany(L, 1);
  iz_error_report(L, 1);
  return 1;
}

/* source(name, text): what a chunk of this name contains, for error reports. */
static int l_source(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  lua_settop(L, 2);
  iz_error_source(L, name);
  return 0;
}

/* find_source(name) -> the text of a chunk that is in no file, or nil. */
static int l_find_source(lua_State *L) {
  size_t n;
  const char *text = iz_error_find_source(L, luaL_checkstring(L, 1), &n);
  if (!text) return 0;
  lua_pushlstring(L, text, n);
  return 1;
}

/* memory() -> bytes that Lua holds, bytes it ever allocated. */
static int l_memory(lua_State *L) {
  iz_vm *vm = iz_vm_of(L);
  lua_pushinteger(L, (lua_Integer)vm->mem_used);
  lua_pushinteger(L, (lua_Integer)vm->mem_total);
  return 2;
}

int iz_open_repl(lua_State *L) {
  static const luaL_Reg methods[] = {{"read", l_read},     {"reply", l_reply},
                                     {"accept", l_accept}, {"remember", l_remember},
                                     {"close", l_close},   {NULL, NULL}};
  static const luaL_Reg functions[] = {{"open", l_open},     {"spawn", l_spawn},
                                       {"quit", l_quit},     {"held", l_held},
                                       {"report", l_report}, {"source", l_source},
                                       {"memory", l_memory}, {"find_source", l_find_source},
                                       {NULL, NULL}};
  luaL_newmetatable(L, editor_meta);
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, l_close);
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, "__close");
  lua_setfield(L, -2, "__gc");
  luaL_newlib(L, functions);
  return 1;
}
