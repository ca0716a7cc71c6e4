/* test_fs.c -- engine/loop/fs.c, fs_tree.c and glob.c on real folders. */
#include "count_fds.h"

#include "base/alloc.h"
#include "loop/fs.h"
#include "loop/glob.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static iz_buf top;
static iz_err err;

static int setup(void **state) {
  (void)state;
  umask(022);
  return iz_fs_tempdir(&top, NULL) ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  bool ok = iz_fs_remove(top.data, true, NULL, &err);
  iz_buf_free(&top);
  return ok ? 0 : -1;
}

static const char *in_top(const char *name) {
  static char path[4][400];
  static int next;
  next = (next + 1) % 4;
  snprintf(path[next], sizeof path[0], "%s/%s", top.data, name);
  return path[next];
}

static void put(const char *name, const char *text) {
  if (!iz_fs_write(in_top(name), text, strlen(text), NULL, &err)) fail_msg("%s", err.message);
}

static void assert_holds(const char *name, const char *text) {
  iz_buf b = {0};
  if (!iz_fs_read(in_top(name), 1 << 20, &b, NULL, &err)) fail_msg("%s", err.message);
  assert_string_equal(iz_buf_cstr(&b), text);
  iz_buf_free(&b);
}

/* The names below a folder, each with its type before it. */
static void assert_lists(const char *name, bool recursive, const char *glob, const char *want) {
  iz_fs_list l = {0};
  if (!iz_fs_list_dir(in_top(name), recursive, glob, &l, NULL, &err)) fail_msg("%s", err.message);
  for (size_t i = 0; i < l.entries.len; i++)
    if (!l.entries.data[i]) l.entries.data[i] = ' ';
  assert_string_equal(iz_buf_cstr(&l.entries) ? l.entries.data : "", want);
  iz_buf_free(&l.entries);
}

static void assert_code(bool failed, const char *code) {
  assert_true(failed);
  assert_string_equal(err.code, code);
  if (!strstr(err.message, top.data)) fail_msg("no path in: %s", err.message);
}

static void test_write_read_append(void **state) {
  (void)state;
  put("a", "one");
  assert_holds("a", "one");
  put("a", "two");
  assert_true(iz_fs_append(in_top("a"), " three", 6, NULL, &err));
  assert_true(iz_fs_append(in_top("b"), "new", 3, NULL, &err));
  assert_holds("a", "two three");
  assert_holds("b", "new");
  assert_lists("", false, NULL, "fa fb ");
}

static void test_errors_have_code_and_path(void **state) {
  (void)state;
  iz_buf b = {0};
  iz_fs_info info;
  assert_code(!iz_fs_read(in_top("none"), 10, &b, NULL, &err), "ENOENT");
  assert_code(!iz_fs_read(top.data, 10, &b, NULL, &err), "EISDIR");
  assert_code(!iz_fs_write(top.data, "", 0, NULL, &err), "EISDIR");
  assert_code(!iz_fs_write(in_top("no/where"), "", 0, NULL, &err), "ENOENT");
  assert_code(!iz_fs_stat(in_top("none"), &info, &err), "ENOENT");
  assert_code(!iz_fs_remove(in_top("none"), true, NULL, &err), "ENOENT");
  assert_code(!iz_fs_rename(in_top("none"), in_top("b"), &err), "ENOENT");
  assert_code(!iz_fs_copy(in_top("none"), in_top("b"), NULL, &err), "ENOENT");
  put("eleven", "12345678901");
  assert_code(!iz_fs_read(in_top("eleven"), 10, &b, NULL, &err), "too_large");
  iz_buf_free(&b);
  assert_lists("", false, NULL, "feleven ");
}

static unsigned mode_of(const char *name) {
  iz_fs_info info;
  assert_true(iz_fs_stat(in_top(name), &info, &err));
  return info.mode;
}

static void test_a_write_keeps_mode_and_link(void **state) {
  (void)state;
  put("real", "1");
  assert_int_equal(mode_of("real"), 0644);
  assert_int_equal(chmod(in_top("real"), 0750), 0);
  assert_int_equal(symlink("real", in_top("link")), 0);
  put("link", "2");
  assert_holds("real", "2");
  assert_int_equal(mode_of("real"), 0750);
  assert_lists("", false, NULL, "llink freal ");
  assert_true(iz_fs_copy(in_top("real"), in_top("copy"), NULL, &err));
  assert_holds("copy", "2");
  assert_int_equal(mode_of("copy"), 0750);
}

static void test_a_draft_is_invisible_until_committed(void **state) {
  (void)state;
  put("a", "old");
  iz_fs_draft d;
  assert_true(iz_fs_draft_open(in_top("a"), &d, &err));
  assert_true(iz_fs_write_all(d.fd, "a", "new", 3, NULL, &err));
  assert_holds("a", "old");
  iz_fs_draft_discard(&d);
  iz_fs_draft_discard(&d);
  assert_lists("", false, NULL, "fa ");
  assert_true(iz_fs_draft_open(in_top("a"), &d, &err));
  assert_true(iz_fs_write_all(d.fd, "a", "new", 3, NULL, &err));
  assert_true(iz_fs_draft_commit(&d, &err));
  assert_holds("a", "new");
  assert_lists("", false, NULL, "fa ");
}

static void test_a_cancelled_write_leaves_no_trace(void **state) {
  (void)state;
  atomic_bool stop = true;
  iz_buf b = {0};
  put("a", "old");
  assert_code(!iz_fs_write(in_top("a"), "new", 3, &stop, &err), "cancelled");
  assert_code(!iz_fs_copy(in_top("a"), in_top("b"), &stop, &err), "cancelled");
  assert_code(!iz_fs_read(in_top("a"), 100, &b, &stop, &err), "cancelled");
  iz_buf_free(&b);
  assert_holds("a", "old");
  assert_lists("", false, NULL, "fa ");
}

static void test_pipes_are_not_replaced(void **state) {
  (void)state;
  assert_int_equal(mkfifo(in_top("pipe"), 0600), 0);
  assert_code(!iz_fs_write(in_top("pipe"), "x", 1, NULL, &err), "ENXIO"); /* nobody reads */
  pid_t pid = fork();
  if (pid == 0) {
    FILE *f = fopen(in_top("pipe"), "w");
    _exit(f && (usleep(50000), fputs("from a pipe", f) >= 0) && fclose(f) == 0 ? 0 : 1);
  }
  iz_buf b = {0};
  while (b.len == 0) /* until the writer has opened it */
    assert_true(iz_fs_read(in_top("pipe"), 100, &b, NULL, &err));
  assert_string_equal(iz_buf_cstr(&b), "from a pipe");
  iz_buf_free(&b);
  assert_int_equal(waitpid(pid, NULL, 0), pid);
  assert_true(iz_fs_write("/dev/null", "x", 1, NULL, &err));
}

static void make_tree(void) {
  assert_true(iz_fs_mkdir(in_top("d/e//f/"), &err));
  put("d/b.lua", "");
  put("d/.h", "");
  put("d/e/c.lua", "");
  put("d/e/f/d.txt", "");
  assert_int_equal(symlink("..", in_top("d/e/up")), 0);
}

static void test_lists(void **state) {
  (void)state;
  make_tree();
  assert_lists("d", false, NULL, "f.h fb.lua de ");
  assert_lists("d", true, NULL, "f.h fb.lua de fe/c.lua de/f fe/f/d.txt le/up ");
  assert_lists("d", true, "*.lua", "fb.lua fe/c.lua ");
  assert_lists("d", true, "e/**", "fe/c.lua de/f fe/f/d.txt le/up ");
  assert_lists("d", true, "**/f/*", "fe/f/d.txt ");
  iz_fs_list l = {0};
  assert_code(!iz_fs_list_dir(in_top("none"), true, NULL, &l, NULL, &err), "ENOENT");
}

static void test_folders_made_and_removed(void **state) {
  (void)state;
  make_tree();
  assert_true(iz_fs_mkdir(in_top("d/e"), &err));
  assert_code(!iz_fs_mkdir(in_top("d/b.lua/x"), &err), "EEXIST");
  assert_code(!iz_fs_mkdir(in_top("d/b.lua"), &err), "EEXIST");
  assert_code(!iz_fs_remove(in_top("d"), false, NULL, &err), "ENOTEMPTY");
  put("outside", "kept");
  assert_int_equal(symlink(in_top(""), in_top("d/e/f/out")), 0);
  assert_true(iz_fs_remove(in_top("d"), true, NULL, &err));
  assert_lists("", true, NULL, "foutside ");
  assert_false(iz_fs_remove("/", true, NULL, &err));
  assert_string_equal(err.code, "invalid");
}

static void test_a_deep_tree(void **state) {
  (void)state;
  char path[4000] = "";
  for (int i = 0; i < 900; i++) memcpy(path + i * 2, "d/", 2);
  assert_true(iz_fs_mkdir(in_top("x"), &err));
  char whole[4300];
  snprintf(whole, sizeof whole, "%s/x/%s", top.data, path);
  assert_true(iz_fs_mkdir(whole, &err));
  iz_fs_list l = {0};
  assert_true(iz_fs_list_dir(top.data, true, NULL, &l, NULL, &err));
  assert_int_equal(l.count, 901);
  iz_buf_free(&l.entries);
  assert_true(iz_fs_remove(in_top("x"), true, NULL, &err));
}

static void test_glob(void **state) {
  (void)state;
  static const char *const yes[][2] = {{"", ""},
                                       {"a", "a"},
                                       {"*", "abc"},
                                       {"a*c", "abbc"},
                                       {"*.lua", ".lua"},
                                       {"a?c", "abc"},
                                       {"[a-c]x", "bx"},
                                       {"[!a-c]x", "dx"},
                                       {"[]]", "]"},
                                       {"[a", "[a"},
                                       {"\\*", "*"},
                                       {"a/*/c", "a/b/c"},
                                       {"**", "a/b"},
                                       {"**/c", "c"},
                                       {"**/c", "a/b/c"},
                                       {"a/**/c", "a/c"},
                                       {"a/**", "a/b/c"},
                                       {"**/a*/b", "a1/x/a2/b"},
                                       {"*a*b*c", "xaabbabc"},
                                       {"a/**/b/**/c", "a/x/b/y/b/c"},
                                       {"[\xc3-\xc4]*", "\xc3\xa4"}};
  static const char *const no[][2] = {
      {"a", "b"},         {"", "a"},       {"*", "a/b"},          {"a?c", "a/c"},
      {"[a-c]", "d"},     {"[!/]x", "/x"}, {"\\*", "a"},          {"**/c", "a/bc"},
      {"a/**/c", "ab/c"}, {"a*", "b"},     {"*a*b*c", "xaabbab"}, {"a/**/b", "a/b/c"},
      {"a", "ab"}};
  for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
    if (!iz_glob(yes[i][0], yes[i][1])) fail_msg("%s should match %s", yes[i][0], yes[i][1]);
  for (size_t i = 0; i < sizeof no / sizeof *no; i++)
    if (iz_glob(no[i][0], no[i][1])) fail_msg("%s should not match %s", no[i][0], no[i][1]);
}

static bool work_once(void) {
  iz_buf b = {0};
  iz_fs_list l = {0};
  bool ok = iz_fs_write(in_top("w"), "text", 4, NULL, &err) &&
            iz_fs_copy(in_top("w"), in_top("v"), NULL, &err) && iz_fs_mkdir(in_top("m/n"), &err) &&
            iz_fs_read(in_top("v"), 100, &b, NULL, &err) &&
            iz_fs_list_dir(top.data, true, "*", &l, NULL, &err) &&
            iz_fs_remove(in_top("m"), true, NULL, &err);
  iz_buf_free(&b);
  iz_buf_free(&l.entries);
  return ok;
}

static void test_every_allocation_may_fail(void **state) {
  (void)state;
  int before = count_fds();
  for (uint64_t n = 1;; n++) {
    iz_alloc_fail(n, 0);
    bool ok = work_once(), failed = iz_alloc_failed();
    iz_alloc_fail(0, 0);
    assert_int_equal(count_fds(), before);
    if (!ok) assert_string_equal(err.code, "oom");
    if (!failed) break;
  }
  assert_lists("", false, "*.tmp", "");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_write_read_append),
      TEST(test_errors_have_code_and_path),
      TEST(test_a_write_keeps_mode_and_link),
      TEST(test_a_draft_is_invisible_until_committed),
      TEST(test_a_cancelled_write_leaves_no_trace),
      TEST(test_pipes_are_not_replaced),
      TEST(test_lists),
      TEST(test_folders_made_and_removed),
      TEST(test_a_deep_tree),
      TEST(test_glob),
      TEST(test_every_allocation_may_fail),
  };
  return cmocka_run_group_tests_name("fs", tests, NULL, NULL);
}
