/* test_repl.c -- the REPL at a real pseudo-terminal: typed at, listened to, interrupted, killed.
 *
 * Runs the program named by IZA (./iza without it). Each test has a REPL and a state directory of
 * its own; what is expected is waited for, never slept for.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#define PATIENCE_MS 20000
#define UP "\033[A"
#define DOWN "\033[B"
#define HOME "\033[H"
#define END "\033[F"

typedef struct console {
  int fd;
  pid_t pid;
  char home[64];
  struct termios before;
  char seen[1 << 20];
  size_t len, at; /* at: what was expected so far ends here */
} console;

static const char *program(void) {
  const char *iza = getenv("IZA");
  return iza ? iza : "./iza";
}

static void open_in(console *c, const char *term) {
  struct winsize size = {.ws_row = 40, .ws_col = 80};
  c->len = c->at = 0;
  c->pid = forkpty(&c->fd, NULL, NULL, &size);
  assert_true(c->pid >= 0);
  if (c->pid == 0) {
    setenv("TERM", term, 1);
    setenv("NO_COLOR", "1", 1);
    setenv("XDG_STATE_HOME", c->home, 1);
    setenv("HOME", c->home, 1);
    unsetenv("COLUMNS");
    execl(program(), "iza", (char *)NULL);
    _exit(127);
  }
  assert_int_equal(tcgetattr(c->fd, &c->before), 0);
}

static console *open_console(const char *term) {
  console *c = calloc(1, sizeof *c);
  assert_non_null(c);
  snprintf(c->home, sizeof c->home, "/tmp/iza-repl-XXXXXX");
  assert_non_null(mkdtemp(c->home));
  open_in(c, term);
  return c;
}

/* Reads what has come; false after a quiet time or at the end. */
static bool listen_for(console *c, int ms) {
  struct pollfd p = {.fd = c->fd, .events = POLLIN};
  if (poll(&p, 1, ms) <= 0 || c->len == sizeof c->seen - 1) return false;
  ssize_t n = read(c->fd, c->seen + c->len, sizeof c->seen - 1 - c->len);
  if (n <= 0) return false;
  c->len += (size_t)n;
  c->seen[c->len] = 0;
  return true;
}

static void expect(console *c, const char *text) {
  for (;;) {
    c->seen[c->len] = 0;
    char *found = strstr(c->seen + c->at, text);
    if (found) {
      c->at = (size_t)(found - c->seen) + strlen(text);
      return;
    }
    if (!listen_for(c, PATIENCE_MS)) fail_msg("no '%s' in: %s", text, c->seen + c->at);
  }
}

static void type(console *c, const char *keys) {
  size_t n = strlen(keys);
  assert_int_equal(write(c->fd, keys, n), (ssize_t)n);
}

static void prompt(console *c) {
  expect(c, "iza> ");
  expect(c, "\033[?2004h");
}

/* Types an entry at the prompt and waits for its output. */
static void enter(console *c, const char *entry, const char *output) {
  prompt(c);
  type(c, entry);
  type(c, "\r");
  expect(c, "\033[?2004l");
  expect(c, output);
}

static int wait_for(console *c) {
  int status;
  while (listen_for(c, PATIENCE_MS)) {
  }
  assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
  return status;
}

static void assert_restored(console *c) {
  struct termios after;
  assert_int_equal(tcgetattr(c->fd, &after), 0);
  assert_memory_equal(&after.c_lflag, &c->before.c_lflag, sizeof after.c_lflag);
  assert_memory_equal(&after.c_iflag, &c->before.c_iflag, sizeof after.c_iflag);
  assert_memory_equal(&after.c_oflag, &c->before.c_oflag, sizeof after.c_oflag);
  char *on = NULL, *off = NULL;
  for (char *p = c->seen; (p = strstr(p, "\033[?2004")); p += 7) {
    if (p[7] == 'h') on = p;
    if (p[7] == 'l') off = p;
  }
  assert_true(off > on); /* bracketed paste is off */
}

/* Writes a module into the home of the console. */
static void write_module(console *c, const char *text) {
  char path[128];
  snprintf(path, sizeof path, "%s/thing.lua", c->home);
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  assert_true(fputs(text, f) >= 0);
  assert_int_equal(fclose(f), 0);
}

static void history_path(console *c, char *path, size_t size) {
  snprintf(path, size, "%s/iza/history", c->home);
}

static void close_console(console *c) {
  char path[128];
  close(c->fd);
  history_path(c, path, sizeof path);
  unlink(path);
  snprintf(path, sizeof path, "%s/thing.lua", c->home);
  unlink(path);
  snprintf(path, sizeof path, "%s/iza", c->home);
  rmdir(path);
  rmdir(c->home);
  free(c);
}

/* Ctrl-D at the prompt ends it well. */
static void leave(console *c) {
  prompt(c);
  type(c, "\004");
  int status = wait_for(c);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
  assert_restored(c);
  close_console(c);
}

/* ---- tests ---- */

static void values_are_shown(void **state) {
  (void)state;
  console *c = open_console("xterm");
  expect(c, "Lua 5.4");
  enter(c, "{3, 1, b = {}, a = 'x'}", "{3, 1, a = \"x\", b = {}}\r\n");
  enter(c, "#_", "2\r\n");
  enter(c, "nil, 2 // 1", "nil  2\r\n");
  enter(c, "'\303\251' .. '\346\227\245'", "\"\303\251\346\227\245\"\r\n");
  leave(c);
}

static void locals_live_on(void **state) {
  (void)state;
  console *c = open_console("xterm");
  enter(c, "local n = 40; local function inc() n = n + 1; return n end", "");
  enter(c, "inc()", "41\r\n");
  enter(c, "n = n + 1", "");
  enter(c, "n", "42\r\n");
  enter(c, "local n <const> = 7; local bad = error('later')", "later");
  enter(c, "n, inc()", "7  43\r\n"); /* a new variable; the closure keeps its own */
  enter(c, "rawget(_G, 'n')", "nil\r\n");
  leave(c);
}

static void an_entry_may_wait_and_be_stopped(void **state) {
  (void)state;
  console *c = open_console("xterm");
  enter(c, "iza.sleep(0.01) or 'slept'", "\"slept\"\r\n");
  enter(c, "print 'begun' iza.sleep(100)", "begun\r\n");
  type(c, "\003");
  expect(c, "interrupted");
  enter(c, "print 'loops' while true do pcall(function() while true do end end) end", "loops\r\n");
  type(c, "\003");
  expect(c, "interrupted");
  enter(c, "print 'sleeps' while true do pcall(iza.sleep, 1) end", "sleeps\r\n");
  type(c, "\003");
  expect(c, "interrupted");
  prompt(c);
  type(c, "not this");
  expect(c, "not this");
  type(c, "\003");
  expect(c, "not this^C");
  enter(c, "6 * 7", "42\r\n");
  leave(c);
}

static void tasks_go_on_while_a_line_is_typed(void **state) {
  (void)state;
  console *c = open_console("xterm");
  enter(c,
        "t = iza.spawn(function() go = iza.channel() go:recv() print 'tick' io.write 'tock' "
        "error 'broke' end)",
        "");
  enter(c, "iza.spawn(function() iza.sleep(0.2) go:send(1) end) and 1", "1\r\n");
  prompt(c);
  type(c, "6 *");
  expect(c, "tick\r\ntock\r\n");
  expect(c, "iza> 6 *"); /* drawn again */
  type(c, " 7\r");
  expect(c, "42\r\n");
  leave(c);
}

static void a_failure_in_the_background_is_told(void **state) {
  (void)state;
  console *c = open_console("xterm");
  enter(c, "iza.spawn(function() iza.sleep(0.05) error 'broke' end) and 1", "1\r\n");
  expect(c, "failed: entry 1:1: broke");
  expect(c, "1 | iza.spawn(");
  c->at = 0;
  enter(c, "1", "1\r\n");
  close(c->fd);
  kill(c->pid, SIGKILL);
  waitpid(c->pid, NULL, 0);
  c->fd = open("/dev/null", O_RDONLY);
  close_console(c);
}

static void a_paste_is_one_entry(void **state) {
  (void)state;
  char path[128], line[256];
  console *c = open_console("xterm");
  prompt(c);
  type(c, "\033[200~function g()\r\n\treturn 41\rend\n\033[201~");
  expect(c, "end");
  type(c, "\r");
  enter(c, "g() + 1", "42\r\n");
  history_path(c, path, sizeof path);
  FILE *f = fopen(path, "r");
  assert_non_null(f);
  assert_non_null(fgets(line, sizeof line, f));
  assert_string_equal(line, "function g()\\n\treturn 41\\nend\n");
  fclose(f);
  leave(c);
}

static void unfinished_entries_go_on(void **state) {
  (void)state;
  console *c = open_console("xterm");
  prompt(c);
  type(c, "for i = 1, 2 do\r");
  expect(c, "  .. ");
  type(c, "print(i * 11)\rend\r");
  expect(c, "11\r\n22\r\n");
  prompt(c);
  type(c, UP "\r"); /* the whole statement comes back */
  expect(c, "11\r\n22\r\n");
  prompt(c);
  type(c, UP UP "\001-- "); /* the second Up moves to the line above, Ctrl-A to its start */
  expect(c, "-- ");
  type(c, "\r");
  expect(c, "\033[?2004l");
  leave(c);
}

static void history_outlives_the_session(void **state) {
  (void)state;
  console *c = open_console("xterm");
  enter(c, "'first'", "\"first\"\r\n");
  enter(c, "'second'", "\"second\"\r\n");
  prompt(c);
  type(c, "\004");
  wait_for(c);
  close(c->fd);
  open_in(c, "xterm");
  prompt(c);
  type(c, "\022firs\r"); /* Ctrl-R */
  expect(c, "\"first\"\r\n");
  prompt(c);
  type(c, "'s" UP "\r"); /* what begins like this */
  expect(c, "\"second\"\r\n");
  leave(c);
}

static void history_keeps_no_repeated_or_blank_led_entries(void **state) {
  (void)state;
  console *c = open_console("xterm");
  enter(c, "'one'", "\"one\"\r\n");
  enter(c, "'one'", "\"one\"\r\n");
  enter(c, " 'secret'", "\"secret\"\r\n");
  enter(c, "'two'", "\"two\"\r\n");
  prompt(c);
  type(c, UP UP "\r"); /* the blank-led one is not among them either */
  expect(c, "\033[?2004l");
  expect(c, "\"one\"\r\n");
  prompt(c);
  char path[128], kept[256];
  history_path(c, path, sizeof path);
  FILE *f = fopen(path, "r");
  assert_non_null(f);
  kept[fread(kept, 1, sizeof kept - 1, f)] = 0;
  fclose(f);
  assert_string_equal(kept, "'one'\n'two'\n'one'\n");
  type(c, "\004");
  wait_for(c);
  close_console(c);
}

static void arrows_home_and_end_move(void **state) {
  (void)state;
  console *c = open_console("xterm");
  enter(c, "'one'", "\"one\"\r\n");
  enter(c, "'two'", "\"two\"\r\n");
  prompt(c);
  type(c, UP UP DOWN "\r");
  expect(c, "\033[?2004l");
  expect(c, "\"two\"\r\n");
  prompt(c);
  type(c, UP DOWN "'typed'\r"); /* below the newest is the empty line again */
  expect(c, "\033[?2004l");
  expect(c, "\"typed\"\r\n");
  prompt(c);
  type(c, "'a'" HOME "'c' .. " END " .. 'b'\r");
  expect(c, "\033[?2004l");
  expect(c, "\"cab\"\r\n");
  prompt(c);
  type(c, "for i = 1, 2 do\r");
  expect(c, "  .. ");
  type(c, "print(i)" UP DOWN END " print(i * 50)\rend\r"); /* Down moves to the line below */
  expect(c, "\033[?2004l");
  expect(c, "1\r\n50\r\n2\r\n100\r\n");
  leave(c);
}

static void an_edited_module_is_live_after_reload(void **state) {
  (void)state;
  console *c = open_console("xterm");
  write_module(c, "return {n = 11}");
  enter(c, "package.path = os.getenv 'HOME' .. '/?.lua;' .. package.path", "");
  enter(c, "thing = require 'thing'", "");
  enter(c, "thing.n", "11\r\n");
  write_module(c, "return {n = 22}");
  enter(c, "thing.n", "11\r\n");
  enter(c, ":reload thing", "thing loaded again");
  enter(c, "thing.n", "22\r\n"); /* in the table that was there before */
  write_module(c, "return {n = }");
  enter(c, ":reload", "thing stays as it was: ");
  enter(c, "thing.n", "22\r\n");
  write_module(c, "return {n = 33}");
  enter(c, ":reload", "thing loaded again");
  enter(c, "thing.n + require 'thing'.n", "66\r\n");
  enter(c, ":reload thnig", "'thnig' is not loaded; did you mean 'thing'?");
  leave(c);
}

static void help_knows_what_the_user_wrote(void **state) {
  (void)state;
  console *c = open_console("xterm");
  write_module(c, "local thing = {}\n--- Doubles a number, whichever it is, and gives "
                  "back what came of it, on one line or on two.\n--- @param x number\n"
                  "function thing.twice(x)\n  return 2 * x\nend\nreturn thing\n");
  enter(c, "package.path = os.getenv 'HOME' .. '/?.lua;' .. package.path", "");
  enter(c, "thing = require 'thing'", "");
  enter(c, ":help thing.twice",
        "Doubles a number, whichever it is, and gives back what came of it, on one line\r\nor on");
  expect(c, "function thing.twice(x)");
  enter(c, "thing.twice?", "Doubles a number, ");
  enter(c, "iza", "  iza.csv       CSV (RFC 4180)");
  expect(c, "  iza.sleep      Suspends the running task");
  leave(c);
}

static void tab_completes(void **state) {
  (void)state;
  console *c = open_console("xterm");
  prompt(c);
  type(c, "iza.json.enc\t{1}\r");
  expect(c, "\"[1]\"\r\n");
  enter(c, "local greeting = 'hi'", "");
  prompt(c);
  type(c, "greet\t:upp\t()\r");
  expect(c, "\"HI\"\r\n");
  prompt(c);
  type(c, "#io.open('/etc/host\t");
  expect(c, "hosts");
  type(c, "\025");
  type(c, "endless = setmetatable({}, {__index = function() while true do end end})\r");
  prompt(c);
  type(c, "endless.x.\t\0250 + 5\r");
  expect(c, "5\r\n");
  leave(c);
}

static void help_is_found_by_tab(void **state) {
  (void)state;
  console *c = open_console("xterm");
  prompt(c);
  type(c, ":help \t");
  expect(c, "csv ");
  expect(c, "quickstart");
  type(c, "quicks\t\r");
  expect(c, "Quickstart\r\n");
  prompt(c);
  type(c, ":help json.enc\t\r");
  expect(c, "The value as JSON text.");
  enter(c, ":help js", "did you mean 'json'?");
  enter(c, ":help quickstrat", "did you mean 'quickstart'?");
  prompt(c);
  type(c, "iza.http.ser\t\r");
  expect(c, "/iza/http/server.lua:");
  enter(c, "iza.http", "  get = function (");
  leave(c);
}

static void words_that_people_try_work(void **state) {
  (void)state;
  static const char *const words[] = {"exit", "quit()"};
  for (size_t i = 0; i < 2; i++) {
    console *c = open_console("xterm");
    enter(c, "?", ":quit ");
    enter(c, "help", ":quit ");
    enter(c, "exit = 41", "");
    enter(c, "exit", "41\r\n");
    enter(c, "exit = nil", "");
    enter(c, words[i], "");
    int status = wait_for(c);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_restored(c);
    close_console(c);
  }
}

static void long_values_fill_a_screen(void **state) {
  (void)state;
  console *c = open_console("xterm");
  prompt(c);
  size_t from = c->len;
  type(c, "_G\r");
  expect(c, "_VERSION = ");
  expect(c, " more\r\n}\r\n");
  size_t lines = 0;
  for (size_t i = from; i < c->at; i++) lines += c->seen[i] == '\n';
  assert_in_range(lines, 30, 40); /* the terminal has 40 */
  leave(c);
}

static void names_are_checked_as_in_scripts(void **state) {
  (void)state;
  console *c = open_console("xterm"); /* in a checkout, which is a project */
  enter(c, "y = undefned", "there is no global 'undefned'");
  enter(c, "y = 20", "");
  enter(c, "y + 1", "21\r\n");
  enter(c, ":reload iza.csv", "'iza.csv' is not loaded yet");
  enter(c, "iza.csv and 1", "1\r\n");
  enter(c, ":reload iza.csv", "iza.csv loaded again");
  leave(c);
}

static void commands_answer(void **state) {
  (void)state;
  console *c = open_console("xterm");
  enter(c, ":help json.encode", "The value as JSON text.");
  enter(c, "json.encode?", "The value as JSON text.");
  enter(c, ":hepl", "did you mean :help?");
  enter(c, "function f(x)\n  return x\nend", "");
  enter(c, ":source f", "1  function f(x)");
  enter(c, ":time iza.sleep(0.01)", "wall ");
  enter(c, ":time 6 * 7", "42\r\nwall ");
  enter(c, ":mem", "Lua holds ");
  enter(c, "iza.spawn(function() iza.sleep(50) end) and 1", "1\r\n");
  enter(c, ":tasks", "waiting  sleep  entry");
  enter(c, ":quit", "");
  int status = wait_for(c);
  assert_true(WIFEXITED(status));
  assert_restored(c);
  close_console(c);
}

static void what_cannot_be_stopped_is_told(void **state) {
  (void)state;
  console *c = open_console("xterm");
  enter(c, "print 'matches' local a = ('a'):rep(60) a:find(('a?'):rep(60) .. a)", "matches\r\n");
  type(c, "\003");
  expect(c, "Ctrl-C again ends the program\r\n");
  type(c, "\003");
  int status = wait_for(c);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 130);
  assert_restored(c);
  close_console(c);
}

static void errors_show_their_line(void **state) {
  (void)state;
  console *c = open_console("xterm");
  enter(c, "local function deep() error 'boom' end deep()", "entry 1:1: boom\r\n");
  expect(c, "1 | local function deep()");
  expect(c, "stack:");
  enter(c, "x x", "syntax error near 'x'");
  leave(c);
}

static void leaving_runs_close(void **state) {
  (void)state;
  console *c = open_console("xterm");
  enter(c,
        "iza.spawn(function() local c <close> = setmetatable({}, {__close = function() "
        "print 'closed' end}) iza.sleep(100) end) and 1",
        "1\r\n");
  prompt(c);
  type(c, "\004");
  expect(c, "closed\r\n");
  wait_for(c);
  close_console(c);
}

static void a_crash_leaves_the_terminal_usable(void **state) {
  (void)state;
  static const int signals[] = {SIGSEGV, SIGABRT, SIGQUIT, SIGTERM};
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
    console *c = open_console("xterm");
    prompt(c);
    type(c, "half");
    expect(c, "half");
    kill(c->pid, signals[i]);
    wait_for(c);
    assert_restored(c);
    close_console(c);
  }
}

static void a_dumb_terminal_reads_plain_lines(void **state) {
  (void)state;
  console *c = open_console("dumb");
  expect(c, "plain line input");
  expect(c, "iza> ");
  type(c, "for i = 1, 2 do\nprint(i * 11)\nend\n");
  expect(c, "11\r\n22\r\n");
  type(c, "print 'begun' iza.sleep(100)\n");
  expect(c, "begun\r\n");
  type(c, "\003");
  expect(c, "interrupted");
  type(c, "\004");
  wait_for(c);
  close_console(c);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(values_are_shown),
      cmocka_unit_test(locals_live_on),
      cmocka_unit_test(an_entry_may_wait_and_be_stopped),
      cmocka_unit_test(tasks_go_on_while_a_line_is_typed),
      cmocka_unit_test(a_failure_in_the_background_is_told),
      cmocka_unit_test(a_paste_is_one_entry),
      cmocka_unit_test(unfinished_entries_go_on),
      cmocka_unit_test(history_outlives_the_session),
      cmocka_unit_test(history_keeps_no_repeated_or_blank_led_entries),
      cmocka_unit_test(arrows_home_and_end_move),
      cmocka_unit_test(an_edited_module_is_live_after_reload),
      cmocka_unit_test(help_knows_what_the_user_wrote),
      cmocka_unit_test(tab_completes),
      cmocka_unit_test(help_is_found_by_tab),
      cmocka_unit_test(words_that_people_try_work),
      cmocka_unit_test(long_values_fill_a_screen),
      cmocka_unit_test(names_are_checked_as_in_scripts),
      cmocka_unit_test(commands_answer),
      cmocka_unit_test(what_cannot_be_stopped_is_told),
      cmocka_unit_test(errors_show_their_line),
      cmocka_unit_test(leaving_runs_close),
      cmocka_unit_test(a_crash_leaves_the_terminal_usable),
      cmocka_unit_test(a_dumb_terminal_reads_plain_lines),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
