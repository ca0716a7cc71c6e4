/* main.c -- from argv to a script, the REPL or a verb.
 *
 * What is fast stays here: `iza FILE` loads the file and runs it. Everything else is Lua: a verb is
 * lua/iza/cli/VERB.lua, run by lua/iza/cli.lua; without arguments it is the verb "repl". A word
 * that is both a verb and a file is the verb; the file is then named ./FILE.
 */
#include "loop/workers.h"
#include "vm/embed.h"
#include "vm/modules.h"
#include "vm/project.h"
#include "vm/run.h"
#include "vm/source.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

typedef struct command {
  int argc;
  char **argv;
  int script; /* index in argv of what is the script's name */
} command;

/* arg[0] is the script, arg[1..] its arguments, negative indices what stands before it. */
static void set_arg(lua_State *L, const command *c) {
  lua_createtable(L, c->argc, c->script + 1);
  for (int i = 0; i < c->argc; i++) {
    lua_pushstring(L, c->argv[i]);
    lua_rawseti(L, -2, i - c->script);
  }
  lua_setglobal(L, "arg");
}

static int push_rest(lua_State *L, const command *c) {
  int n = c->argc - c->script - 1;
  luaL_checkstack(L, n + 1, "too many arguments");
  for (int i = 0; i < n; i++) lua_pushstring(L, c->argv[c->script + 1 + i]);
  return n;
}

/* Modules beside the script are found first. */
static void add_script_dir(lua_State *L, const char *script) {
  const char *slash = strrchr(script, '/');
  if (!slash) {
    iz_modules_add_dir(L, ".");
    return;
  }
  const char *dir = lua_pushlstring(L, script, slash == script ? 1 : (size_t)(slash - script));
  iz_modules_add_dir(L, dir);
  lua_pop(L, 1);
}

static int load_script(lua_State *L, void *ctx) {
  const command *c = ctx;
  const char *name = c->argv[c->script];
  const char *file = strcmp(name, "-") ? name : NULL;
  set_arg(L, c);
  iz_project_open(L, file ? file : ".");
  add_script_dir(L, name);
  if (iz_source_load(L, file, "t") != LUA_OK) return lua_error(L);
  return push_rest(L, c);
}

static int load_code(lua_State *L, void *ctx) {
  const command *c = ctx;
  const char *code = c->argv[c->script];
  set_arg(L, c);
  iz_project_open(L, ".");
  iz_modules_add_dir(L, ".");
  lua_pushstring(L, code);
  iz_error_source(L, "(command line)"); /* its lines are quoted like a file's */
  if (luaL_loadbufferx(L, code, strlen(code), "=(command line)", "t") != LUA_OK)
    return lua_error(L);
  return push_rest(L, c);
}

static int load_verb(lua_State *L, void *ctx) {
  const command *c = ctx;
  set_arg(L, c);
  iz_project_try(L, ".");
  iz_modules_add_dir(L, ".");
  lua_getglobal(L, "require");
  lua_pushliteral(L, "iza.cli");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "main");
  lua_remove(L, -2);
  lua_pushstring(L, c->argv[c->script]);
  lua_createtable(L, c->argc, 0);
  for (int i = c->script + 1; i < c->argc; i++) {
    lua_pushstring(L, c->argv[i]);
    lua_rawseti(L, -2, i - c->script);
  }
  return 2;
}

static bool is_verb(const char *word) {
  char path[128];
  if (strchr(word, '/') || strchr(word, '.')) return false;
  int n = snprintf(path, sizeof path, "lua/iza/cli/%s.lua", word);
  return n > 0 && (size_t)n < sizeof path && iz_embedded_find(path);
}

static int run(int (*load)(lua_State *, void *), command *c) {
  iz_run r = {.load = load, .ctx = c, .returns_status = load == load_verb};
  return iz_run_main(&r);
}

/* The usual limit of 1,024 open files is for programs that use select(); a server or a fan-out of
 * requests needs more. Not beyond 65,536: a child may close every descriptor up to its limit. */
static void allow_files(void) {
  const rlim_t enough = 65536;
  struct rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= enough) return;
  files.rlim_cur = files.rlim_max < enough ? files.rlim_max : enough;
  setrlimit(RLIMIT_NOFILE, &files);
}

/* A standard stream that is closed would be the next file we open, and what is printed would go
 * there. It becomes one on which reading or writing fails, as it would if it were closed. */
static void hold_standard_streams(void) {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
    if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
      (void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

/* A worker knows itself by IZA_WORKER (1, 2, ...); a server it starts shares its port. */
static int run_worker(void *ctx, int index) {
  char number[16];
  snprintf(number, sizeof number, "%d", index + 1);
  if (setenv("IZA_WORKER", number, 1) != 0) return 1;
  return run(load_script, ctx);
}

/* iza --workers N FILE [ARGS] */
static int run_workers(command *c) {
  char *end = NULL;
  long n = c->argc > 2 ? strtol(c->argv[2], &end, 10) : 0;
  if (n < 1 || n > IZ_WORKERS_MAX || *end || c->argc < 4) {
    fprintf(stderr,
            "iza: --workers takes a number from 1 to %d and a script, as in: "
            "iza --workers 4 server.lua\n",
            IZ_WORKERS_MAX);
    return 2;
  }
  c->script = 3;
  if (access(c->argv[3], R_OK) != 0) {
    fprintf(stderr, "iza: cannot read the script '%s'\n", c->argv[3]);
    return 2;
  }
  return iz_workers_run((int)n, run_worker, c);
}

int main(int argc, char **argv) {
  static char *repl[] = {"iza", "repl", NULL}, *help[] = {"iza", "help", NULL},
              *version[] = {"iza", "version", NULL};
  hold_standard_streams();
  allow_files();
  command c = {.argc = argc, .argv = argv, .script = 1};
  const char *word = argc > 1 ? argv[1] : NULL;
  if (!word && isatty(STDIN_FILENO)) {
    c = (command){2, repl, 1};
  } else if (!word) {
    static char *from_stdin[] = {"iza", "-", NULL};
    c = (command){2, from_stdin, 1};
    return run(load_script, &c);
  } else if (!strcmp(word, "-h") || !strcmp(word, "--help")) {
    c = (command){2, help, 1};
  } else if (!strcmp(word, "-v") || !strcmp(word, "--version")) {
    c = (command){2, version, 1};
  } else if (!strcmp(word, "-e")) {
    if (argc < 3) {
      fprintf(stderr, "iza: -e needs code, as in: iza -e 'print(1 + 1)'\n");
      return 2;
    }
    c.script = 2;
    return run(load_code, &c);
  } else if (!strcmp(word, "--workers")) {
    return run_workers(&c);
  } else if (strcmp(word, "-") != 0 && is_verb(word)) {
    return run(load_verb, &c);
  } else if (!strcmp(word, "-") || access(word, F_OK) == 0) {
    return run(load_script, &c);
  }
  return run(load_verb, &c);
}
