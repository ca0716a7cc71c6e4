/* test_loop_lua.c -- iza.exec and iza.fs with the n-th allocation failing, ours or Lua's, on the
 * loop's thread or a pool's: a clean error each time, no descriptor, child or memory left. */
#include "count_fds.h"
#include "run_script.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/wait.h>

/* Everything is loaded, and the folder made, before allocations fail. */
static const char before[] = "fs, exec = iza.fs, iza.exec\n"
                             "timeout, all = iza.timeout, iza.all\n"
                             "dir = os.tmpname()\n"
                             "os.remove(dir)\n"
                             "function soft(v, err)\n"
                             "  if v == nil and err then error(err, 0) end\n"
                             "  return v\n"
                             "end\n";

static const char processes[] =
    "local r = soft(exec{'sh', '-c', 'cat; echo err >&2; exit 3', stdin = 'text'})\n"
    "assert(r.status == 3 and r.stdout == 'text' and r.stderr == 'err\\n')\n"
    "local p <close> = soft(exec{'cat', stdin = true, stream = true})\n"
    "soft(p:write('a\\nb\\n'))\n"
    "assert(soft(p:read('l')) == 'a')\n"
    "p:close_stdin()\n"
    "assert(soft(p:read('a')) == 'b\\n')\n"
    "exec{'sleep', '1000', stream = true}\n";

static const char files[] =
    "local cleaner <close> = setmetatable({}, {__close = function() os.execute('rm -rf ' .. dir) "
    "end})\n"
    "soft(fs.mkdir(dir .. '/d'))\n"
    "soft(fs.write(dir .. '/d/a', 'text'))\n"
    "assert(soft(fs.read(dir .. '/d/a')) == 'text')\n"
    "soft(fs.copy(dir .. '/d/a', dir .. '/b'))\n"
    "assert(#soft(fs.list(dir, {recursive = true})) == 3)\n"
    "soft(fs.stat(dir))\n"
    "do\n"
    "  local f <close> = soft(fs.open(dir .. '/c', 'w'))\n"
    "  soft(f:write('one\\ntwo\\n'))\n"
    "end\n"
    "local f <close> = soft(fs.open(dir .. '/c'))\n"
    "for line in f:lines() do assert(line == 'one' or line == 'two') end\n"
    "local w <close> = soft(fs.watch(dir, {recursive = true, quiet = '1ms'}))\n"
    "soft(fs.write(dir .. '/b', 'again'))\n"
    "assert(w:next())\n"
    "soft(fs.remove(dir, {recursive = true}))\n";

static bool no_children(void) {
  return waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD;
}

static void fail_each(const char *script) {
  assert_false(run_script(before, script, 0));
  if (script_failure[0]) fail_msg("%s", script_failure);
  int fds = count_fds();
  uint64_t n = 1;
  while (run_script(before, script, n)) {
    if (script_failure[0] && !strstr(script_failure, "memory"))
      fail_msg("allocation %d: %s", (int)n, script_failure);
    if (count_fds() != fds) fail_msg("allocation %d: a descriptor is left", (int)n);
    if (!no_children()) fail_msg("allocation %d: a child is left", (int)n);
    n++;
  }
  assert_true(n > 60);
}

static void test_processes(void **state) {
  (void)state;
  fail_each(processes);
}

static void test_files(void **state) {
  (void)state;
  fail_each(files);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_processes),
      cmocka_unit_test(test_files),
  };
  return cmocka_run_group_tests_name("exec and fs", tests, NULL, NULL);
}
