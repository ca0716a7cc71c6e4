/* test_process.c -- engine/loop/process.c and spawn.c with real children. */
#include "count_fds.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "loop/process.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static iz_loop *loop;

static int setup(void **state) {
  (void)state;
  loop = iz_loop_new(NULL);
  return loop ? 0 : -1;
}

static bool no_children(void) {
  return waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD;
}

static int teardown(void **state) {
  (void)state;
  iz_loop_free(loop);
  return no_children() ? 0 : -1; /* no zombie and no survivor after any test */
}

/* A process whose output is collected, and which holds the loop until it is finished. */
typedef struct run {
  iz_process *p;
  iz_buf out;
  bool take; /* take the output as it comes */
  bool over;
} run;

static void on_change(iz_process *p, void *ctx) {
  run *r = ctx;
  if (r->take) {
    size_t n;
    const char *data = iz_process_held(p, 1, &n);
    iz_buf_add(&r->out, data, n);
    iz_process_take(p, 1, n);
  }
  if (r->over || !iz_process_finished(p)) return;
  r->over = true;
  iz_loop_unref(loop);
}

static iz_process_opts options(const char *const *argv, run *r) {
  return (iz_process_opts){.argv = argv,
                           .in = IZ_STDIO_NULL,
                           .out = IZ_STDIO_PIPE,
                           .err = IZ_STDIO_PIPE,
                           .limit = 1 << 20,
                           .err_limit = 1 << 20,
                           .on_change = on_change,
                           .ctx = r};
}

static iz_process *begin(const iz_process_opts *o, run *r) {
  iz_err err = {0};
  r->p = iz_process_start(loop, o, &err);
  if (!r->p) fail_msg("%s", err.message);
  iz_loop_ref(loop);
  return r->p;
}

static void assert_ended(iz_process *p, int want_status, int want_sig) {
  int status = 0, sig = 0;
  assert_true(iz_process_exited(p, &status, &sig));
  assert_int_equal(status, want_status);
  assert_int_equal(sig, want_sig);
}

static void assert_held(iz_process *p, int fd, const char *want) {
  size_t n;
  const char *data = iz_process_held(p, fd, &n);
  assert_int_equal(n, strlen(want));
  assert_memory_equal(data, want, n);
}

#define SH(script) ((const char *const[]){"sh", "-c", script, NULL})

static void test_output_and_status(void **state) {
  (void)state;
  run r = {0};
  iz_process_opts o = options(SH("echo out; echo err >&2; exit 3"), &r);
  iz_process *p = begin(&o, &r);
  iz_loop_run(loop);
  assert_ended(p, 3, 0);
  assert_held(p, 1, "out\n");
  assert_held(p, 2, "err\n");
  assert_false(iz_process_signal(p, SIGTERM));
  iz_process_free(p);
}

static void test_environment_folder_and_no_shell(void **state) {
  (void)state;
  run r = {0};
  const char *const argv[] = {"sh", "-c", "pwd; echo \"$A $1 $HOME\"", "sh", "$(a) 'b'", NULL};
  iz_process_opts o = options(argv, &r);
  o.env = (const char *const[]){"A=one two", "PATH=/usr/bin:/bin", NULL};
  o.cwd = "/usr";
  iz_process *p = begin(&o, &r);
  iz_loop_run(loop);
  assert_held(p, 1, "/usr\none two $(a) 'b' \n");
  iz_process_free(p);
}

static void assert_start_fails(const iz_process_opts *o, const char *code, const char *part) {
  iz_err err = {0};
  assert_null(iz_process_start(loop, o, &err));
  assert_string_equal(err.code, code);
  if (!strstr(err.message, part)) fail_msg("%s", err.message);
}

static void test_what_cannot_start_says_why(void **state) {
  (void)state;
  int before = count_fds();
  run r = {0};
  iz_process_opts o = options((const char *const[]){"no-such-program-here", NULL}, &r);
  assert_start_fails(&o, "ENOENT", "there is no program \"no-such-program-here\" in PATH");
  o.argv = (const char *const[]){"/no/such/file", NULL};
  assert_start_fails(&o, "ENOENT", "cannot run \"/no/such/file\"");
  o.argv = (const char *const[]){"/etc/passwd", NULL};
  assert_start_fails(&o, "EACCES", "/etc/passwd");
  o.argv = (const char *const[]){"", NULL};
  assert_start_fails(&o, "invalid", "empty");
  o.argv = SH("true");
  o.cwd = "/no/such/folder";
  assert_start_fails(&o, "ENOENT", "cannot enter the folder \"/no/such/folder\"");
  assert_int_equal(count_fds(), before);
}

static void test_only_three_descriptors_and_default_signals(void **state) {
  (void)state;
  int leak = open("/dev/null", O_RDONLY); /* without O_CLOEXEC, as fopen does */
  run r = {0};
  /* Of the mask, signals 1 to 28: 32 and 33 are the C library's own, and make ignores them. */
  iz_process_opts o = options(SH("ls /proc/self/fd; grep -E 'Sig(Blk|Ign)' /proc/self/status |"
                                 "sed 's/[0-9a-f]\\{9\\}\\([0-9a-f]*\\)$/\\1/'"),
                              &r);
  iz_process *p = begin(&o, &r);
  iz_loop_run(loop);
  /* 3 is the folder that ls itself has open */
  assert_held(p, 1, "0\n1\n2\n3\nSigBlk:\t0000000\nSigIgn:\t0000000\n");
  iz_process_free(p);
  close(leak);
}

static void test_more_output_than_the_pipe_holds(void **state) {
  (void)state;
  run r = {.take = true};
  iz_process_opts o = options(SH("head -c 5000000 /dev/zero"), &r);
  o.limit = 10000;
  iz_process *p = begin(&o, &r);
  iz_loop_run(loop);
  assert_ended(p, 0, 0);
  assert_int_equal(r.out.len, 5000000);
  iz_buf_free(&r.out);
  iz_process_free(p);
}

static iz_timer check;
static void stop_loop(iz_timer *t) {
  (void)t;
  iz_loop_stop(loop);
}

static void run_for(int64_t ns) {
  iz_timer_start(loop, &check, ns, stop_loop);
  iz_loop_run(loop);
  iz_timer_stop(loop, &check);
}

static void test_a_full_buffer_makes_the_child_wait(void **state) {
  (void)state;
  run r = {0};
  iz_process_opts o = options(SH("head -c 1000000 /dev/zero"), &r);
  o.limit = 1000;
  iz_process *p = begin(&o, &r);
  run_for(100 * IZ_MS);
  size_t n;
  int status = 0, sig = 0;
  iz_process_held(p, 1, &n);
  assert_int_equal(n, 1000);
  assert_false(iz_process_exited(p, &status, &sig));
  iz_process_set_limit(p, 1, 2000000);
  iz_loop_run(loop);
  iz_process_held(p, 1, &n);
  assert_int_equal(n, 1000000);
  assert_ended(p, 0, 0);
  iz_process_free(p);
}

static void test_the_tail_of_stderr_is_kept(void **state) {
  (void)state;
  run r = {0};
  iz_process_opts o = options(SH("seq 100000 >&2; printf end >&2"), &r);
  o.err_limit = 9;
  o.keep_err = IZ_KEEP_TAIL;
  iz_process *p = begin(&o, &r);
  iz_loop_run(loop);
  assert_held(p, 2, "00000\nend");
  iz_process_free(p);
}

static void test_input_passes_through(void **state) {
  (void)state;
  run r = {.take = true};
  iz_process_opts o = options((const char *const[]){"cat", NULL}, &r);
  o.in = IZ_STDIO_PIPE;
  iz_process *p = begin(&o, &r);
  char block[1000];
  for (int i = 0; i < 1000; i++) {
    memset(block, i & 127, sizeof block);
    assert_true(iz_process_write(p, block, sizeof block, NULL));
  }
  iz_process_end_input(p);
  iz_err err;
  assert_false(iz_process_write(p, "x", 1, &err));
  assert_string_equal(err.code, "EPIPE");
  iz_loop_run(loop);
  assert_ended(p, 0, 0);
  assert_int_equal(r.out.len, 1000000);
  for (int i = 0; i < 1000000; i++) assert_int_equal(r.out.data[i], (i / 1000) & 127);
  iz_buf_free(&r.out);
  iz_process_free(p);
}

static void test_a_child_that_does_not_read_is_no_death_of_ours(void **state) {
  (void)state;
  run r = {0};
  iz_process_opts o = options(SH("exec <&-; sleep 0.05"), &r);
  o.in = IZ_STDIO_PIPE;
  iz_process *p = begin(&o, &r);
  char *big = calloc(1, 1 << 20);
  iz_process_write(p, big, 1 << 20, NULL);
  free(big);
  iz_loop_run(loop);
  assert_ended(p, 0, 0);
  assert_int_equal(iz_process_unwritten(p), 0);
  iz_process_free(p);
}

/* Dead, whether or not its new parent has reaped it yet. */
static bool gone(pid_t pid) {
  char path[40], line[256] = "";
  snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
  for (int i = 0; i < 500; i++) {
    FILE *f = fopen(path, "r");
    if (!f) return true;
    char *state = fgets(line, sizeof line, f) ? strstr(line, ") ") : NULL;
    fclose(f);
    if (!state || state[2] == 'Z') return true;
    usleep(10000);
  }
  return false;
}

/* Runs the loop until the child has said its own children's ids. */
static pid_t read_pid(run *r) {
  size_t n = 0;
  const char *data = "";
  while (!memchr(data, '\n', n)) {
    run_for(10 * IZ_MS);
    data = iz_process_held(r->p, 1, &n);
  }
  return (pid_t)strtol(data, NULL, 10);
}

static void test_stop_ends_the_whole_group_even_what_ignores_sigterm(void **state) {
  (void)state;
  run r = {0};
  iz_process_opts o = options(SH("trap '' TERM; sleep 1000 & echo $!; wait; sleep 1000"), &r);
  iz_process *p = begin(&o, &r);
  pid_t grandchild = read_pid(&r);
  iz_process_stop(p, 30 * IZ_MS);
  iz_loop_run(loop);
  assert_ended(p, -1, SIGKILL);
  iz_process_free(p);
  assert_true(gone(grandchild));
}

static void test_stop_is_gentle_first(void **state) {
  (void)state;
  run r = {0};
  iz_process_opts o =
      options(SH("trap 'echo bye; exit 5' TERM; echo $$; while :; do sleep 0.01; done"), &r);
  iz_process *p = begin(&o, &r);
  read_pid(&r);
  size_t n;
  iz_process_held(p, 1, &n);
  iz_process_take(p, 1, n);
  iz_process_stop(p, 60 * IZ_SEC);
  iz_loop_run(loop);
  assert_ended(p, 5, 0);
  assert_held(p, 1, "bye\n");
  iz_process_free(p);
}

static void test_free_kills_and_the_loop_waits_for_the_death(void **state) {
  (void)state;
  run r = {0};
  iz_process_opts o = options(SH("sleep 1000 & echo $!; wait"), &r);
  iz_process *p = begin(&o, &r);
  pid_t grandchild = read_pid(&r);
  pid_t pid = iz_process_pid(p);
  iz_process_free(p);
  iz_loop_unref(loop);
  iz_loop_run(loop);
  assert_true(no_children());
  assert_true(gone(pid));
  assert_true(gone(grandchild));
}

static void test_a_background_child_does_not_hold_the_end(void **state) {
  (void)state;
  run r = {0};
  iz_process_opts o = options(SH("sleep 1000 & echo $!"), &r);
  iz_process *p = begin(&o, &r);
  iz_loop_run(loop);
  assert_ended(p, 0, 0);
  pid_t left = read_pid(&r);
  iz_process_free(p);
  assert_int_equal(kill(left, SIGKILL), 0);
}

/* A child starts a grandchild and is killed before it can say good-bye. */
static void test_children_die_with_us(void **state) {
  (void)state;
  int ends[2];
  assert_int_equal(pipe(ends), 0);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  pid_t parent = fork();
  if (parent == 0) {
    run r = {0};
    iz_process_opts o = options(SH("exec sleep 1000"), &r);
    iz_process *p = iz_process_start(loop, &o, NULL);
    pid_t pid = p ? iz_process_pid(p) : -1;
    _exit(write(ends[1], &pid, sizeof pid) == sizeof pid ? (pause(), 0) : 1);
  }
  pid_t pid;
  assert_int_equal(read(ends[0], &pid, sizeof pid), sizeof pid);
  kill(parent, SIGKILL);
  assert_int_equal(waitpid(parent, NULL, 0), parent);
  int status;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  prctl(PR_SET_CHILD_SUBREAPER, 0);
  close(ends[0]);
  close(ends[1]);
}

enum { MANY = 200 };

static void test_two_hundred_at_once(void **state) {
  (void)state;
  int before = count_fds();
  static run runs[MANY];
  memset(runs, 0, sizeof runs);
  char word[16];
  for (int i = 0; i < MANY; i++) {
    snprintf(word, sizeof word, "%d", i);
    iz_process_opts o =
        options((const char *const[]){"sh", "-c", "read x; echo $x $0", word, NULL}, &runs[i]);
    o.in = IZ_STDIO_PIPE;
    begin(&o, &runs[i]);
  }
  for (int i = 0; i < MANY; i++) assert_true(iz_process_write(runs[i].p, "go\n", 3, NULL));
  iz_loop_run(loop);
  for (int i = 0; i < MANY; i++) {
    snprintf(word, sizeof word, "go %d\n", i);
    assert_held(runs[i].p, 1, word);
    assert_ended(runs[i].p, 0, 0);
    iz_process_free(runs[i].p);
  }
  assert_int_equal(count_fds(), before);
}

/* One full life with the n-th allocation failing: started or not, nothing may leak or hang. */
static void live_once(void) {
  run r = {0};
  iz_process_opts o = options(SH("cat; seq 30000"), &r);
  o.in = IZ_STDIO_PIPE;
  iz_err err = {0};
  r.p = iz_process_start(loop, &o, &err);
  if (!r.p) {
    assert_string_equal(err.code, "oom");
    return;
  }
  iz_loop_ref(loop);
  iz_process_write(r.p, "abc\n", 4, NULL);
  iz_process_end_input(r.p);
  iz_loop_run(loop);
  int status = 0, sig = 0;
  assert_true(iz_process_exited(r.p, &status, &sig));
  if (!iz_alloc_failed()) assert_int_equal(status, 0);
  iz_process_free(r.p);
}

static void test_every_allocation_may_fail(void **state) {
  (void)state;
  int before = count_fds();
  for (uint64_t n = 1;; n++) {
    iz_alloc_fail(n, 0);
    live_once();
    bool failed = iz_alloc_failed();
    iz_alloc_fail(0, 0);
    assert_int_equal(count_fds(), before);
    assert_true(no_children());
    if (!failed) break;
  }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_output_and_status),
      TEST(test_environment_folder_and_no_shell),
      TEST(test_what_cannot_start_says_why),
      TEST(test_only_three_descriptors_and_default_signals),
      TEST(test_more_output_than_the_pipe_holds),
      TEST(test_a_full_buffer_makes_the_child_wait),
      TEST(test_the_tail_of_stderr_is_kept),
      TEST(test_input_passes_through),
      TEST(test_a_child_that_does_not_read_is_no_death_of_ours),
      TEST(test_stop_ends_the_whole_group_even_what_ignores_sigterm),
      TEST(test_stop_is_gentle_first),
      TEST(test_free_kills_and_the_loop_waits_for_the_death),
      TEST(test_a_background_child_does_not_hold_the_end),
      TEST(test_children_die_with_us),
      TEST(test_two_hundred_at_once),
      TEST(test_every_allocation_may_fail),
  };
  return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
