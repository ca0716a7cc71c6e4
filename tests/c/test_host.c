/* The lock of a data directory, whole-file writes, folders, and finding a project. */
#include "host/host.h"
#include "vm/project.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[PATH_MAX];

static int enter(void **state) {
  (void)state;
  char made[] = "/tmp/iza-host-XXXXXX";
  return !mkdtemp(made) || !realpath(made, dir) || chdir(dir) != 0;
}

static int leave(void **state) {
  (void)state;
  char command[PATH_MAX + 16];
  snprintf(command, sizeof command, "rm -rf '%s'", dir);
  return chdir("/") != 0 || system(command) != 0;
}

static mode_t mode_of(const char *path) {
  struct stat st;
  assert_int_equal(stat(path, &st), 0);
  return st.st_mode & 07777;
}

static void read_back(const char *path, char *text, size_t size) {
  int fd = open(path, O_RDONLY);
  assert_true(fd >= 0);
  ssize_t n = read(fd, text, size - 1);
  assert_true(n >= 0);
  text[n] = 0;
  close(fd);
}

static pid_t owner_of(const char *path) {
  iz_err err;
  iz_owner owner;
  assert_true(iz_lock_owner(path, &owner, &err));
  assert_string_equal(owner.verb, owner.pid ? "start" : "");
  return owner.pid;
}

static void lock_has_one_owner(void **state) {
  (void)state;
  iz_err err;
  assert_int_equal(owner_of("lock"), 0);
  int fd = iz_lock_take("lock", "start", &err);
  assert_true(fd >= 0);
  assert_int_equal(mode_of("lock"), 0600);
  assert_int_equal(owner_of("lock"), getpid());
  pid_t child = fork();
  if (child == 0) {
    bool refused = iz_lock_take("lock", "start", &err) < 0 && !strcmp(err.code, "locked");
    _exit(refused && owner_of("lock") == getppid() ? 0 : 1);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
  close(fd);
  assert_int_equal(owner_of("lock"), 0);
  fd = iz_lock_take("lock", "start", &err);
  assert_true(fd >= 0);
  close(fd);
}

/* The lock is not passed on to programs, and a killed owner's lock is free. */
static void lock_dies_with_its_owner(void **state) {
  (void)state;
  iz_err err;
  int fd = iz_lock_take("lock", "start", &err);
  assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
  close(fd);
  int ready[2];
  assert_int_equal(pipe(ready), 0);
  pid_t child = fork();
  if (child == 0) {
    bool took = iz_lock_take("lock", "start", &err) >= 0;
    if (write(ready[1], took ? "y" : "n", 1) == 1) pause();
    _exit(1);
  }
  char answer = 0;
  assert_int_equal(read(ready[0], &answer, 1), 1);
  assert_int_equal(answer, 'y');
  assert_int_equal(owner_of("lock"), child);
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  assert_int_equal(owner_of("lock"), 0);
  close(ready[0]);
  close(ready[1]);
}

/* Runs f as a user without rights. 0: it was true and the error is EACCES. */
static int as_nobody(bool (*f)(iz_err *err)) {
  pid_t child = fork();
  if (child == 0) {
    iz_err err = {0};
    if (geteuid() == 0 && setuid(65534) != 0) _exit(2);
    _exit(f(&err) && !strcmp(err.code, "EACCES") ? 0 : 1);
  }
  int status = 0;
  return waitpid(child, &status, 0) == child ? status : -1;
}

static bool owner_is_unseen(iz_err *err) {
  iz_owner owner;
  return !iz_lock_owner("closed/lock", &owner, err);
}

/* Another user's server is not "nobody". */
static void lock_of_another_user_is_not_free(void **state) {
  (void)state;
  iz_err err;
  assert_int_equal(owner_of("no/such/folder"), 0);
  assert_true(mkdir("closed", 0700) == 0);
  int fd = iz_lock_take("closed/lock", "run", &err);
  assert_true(fd >= 0);
  assert_int_equal(chmod("closed", 0), 0);
  assert_int_equal(as_nobody(owner_is_unseen), 0);
  close(fd);
}

static bool folder_is_refused(iz_err *err) {
  return !iz_dir_make("new", 0700, err);
}

/* Why a folder could not be made is told, not that it is not there. */
static void folder_in_a_closed_place_says_why(void **state) {
  (void)state;
  assert_int_equal(chmod(".", 0555), 0);
  assert_int_equal(as_nobody(folder_is_refused), 0);
  assert_int_equal(chmod(".", 0700), 0);
}

static void lock_follows_no_link(void **state) {
  (void)state;
  iz_err err;
  assert_int_equal(symlink("elsewhere", "link"), 0);
  assert_int_equal(iz_lock_take("link", "run", &err), -1);
  assert_string_equal(err.code, "ELOOP");
  assert_int_equal(iz_lock_take("no/such/folder", "run", &err), -1);
  assert_string_equal(err.code, "ENOENT");
}

static void file_is_replaced_whole(void **state) {
  (void)state;
  iz_err err;
  char text[16];
  assert_true(iz_file_replace("file", "one", 3, 0600, &err));
  assert_int_equal(mode_of("file"), 0600);
  assert_true(iz_file_replace("file", "second", 6, 0644, &err));
  read_back("file", text, sizeof text);
  assert_string_equal(text, "second");
  assert_int_equal(mode_of("file"), 0644);
  assert_false(iz_file_replace("no/file", "x", 1, 0644, &err));
  assert_string_equal(err.code, "ENOENT");
  assert_true(mkdir("folder", 0700) == 0);
  assert_false(iz_file_replace("folder", "x", 1, 0644, &err));
  assert_int_equal(system("test $(ls | wc -l) = 2"), 0); /* nothing was left beside it */
}

static void folders_are_made_with_their_parents(void **state) {
  (void)state;
  iz_err err;
  assert_true(iz_dir_make("a/b/c", 0700, &err));
  assert_true(iz_dir_make("a/b/c/", 0700, &err));
  assert_int_equal(mode_of("a/b"), 0700);
  assert_true(iz_file_replace("a/file", "x", 1, 0644, &err));
  assert_false(iz_dir_make("a/file/d", 0700, &err));
  assert_string_equal(err.code, "ENOTDIR");
  assert_false(iz_dir_make("a/file", 0700, &err));
  assert_string_equal(err.code, "ENOTDIR");
  char longer[PATH_MAX + 2];
  memset(longer, 'x', sizeof longer - 1);
  longer[sizeof longer - 1] = 0;
  assert_false(iz_dir_make(longer, 0700, &err));
  assert_string_equal(err.code, "ENAMETOOLONG");
  assert_false(iz_file_replace(longer, "x", 1, 0600, &err));
}

static void project_is_the_nearest_above(void **state) {
  (void)state;
  iz_err err;
  char root[PATH_MAX], want[PATH_MAX + 8];
  assert_true(iz_dir_make("p/q/r", 0755, &err));
  assert_true(iz_file_replace("p/q/r/main.lua", "", 0, 0644, &err));
  assert_false(iz_project_find("p/q/r/main.lua", root, sizeof root));
  assert_true(iz_file_replace("p/iza.lua", "return {}", 9, 0644, &err));
  snprintf(want, sizeof want, "%s/p", dir);
  const char *const from[] = {"p/q/r/main.lua", "p/q/r", "p", "p/iza.lua", "p/q/../q/r/."};
  for (size_t i = 0; i < sizeof from / sizeof *from; i++) {
    assert_true(iz_project_find(from[i], root, sizeof root));
    assert_string_equal(root, want);
  }
  assert_true(iz_file_replace("p/q/iza.lua", "return {}", 9, 0644, &err));
  assert_true(iz_project_find("p/q/r", root, sizeof root));
  assert_string_equal(root + strlen(want), "/q");
  assert_int_equal(symlink("p/q/r/main.lua", "link.lua"), 0);
  assert_true(iz_project_find("link.lua", root, sizeof root));
  assert_string_equal(root + strlen(want), "/q");
  assert_false(iz_project_find(".", root, sizeof root));
  assert_false(iz_project_find("gone.lua", root, sizeof root));
  assert_false(iz_project_find("p", root, 4));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(lock_has_one_owner, enter, leave),
      cmocka_unit_test_setup_teardown(lock_dies_with_its_owner, enter, leave),
      cmocka_unit_test_setup_teardown(lock_of_another_user_is_not_free, enter, leave),
      cmocka_unit_test_setup_teardown(lock_follows_no_link, enter, leave),
      cmocka_unit_test_setup_teardown(file_is_replaced_whole, enter, leave),
      cmocka_unit_test_setup_teardown(folders_are_made_with_their_parents, enter, leave),
      cmocka_unit_test_setup_teardown(folder_in_a_closed_place_says_why, enter, leave),
      cmocka_unit_test_setup_teardown(project_is_the_nearest_above, enter, leave),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
