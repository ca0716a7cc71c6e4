/* spawn.c -- vfork and exec: see spawn.h.
 *
 * Between vfork and exec the child borrows our memory and our thread sleeps, so the child only
 * makes system calls and writes its failure into a struct of the parent. All signals are blocked
 * meanwhile: no handler of ours may run in borrowed memory.
 */
#include "spawn.h"

#include "base/alloc.h"
#include "base/buf.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"

typedef struct child {
  const iz_spawn *spawn;
  const char *file;
  pid_t parent;
  volatile int error;   /* errno of what failed; 0: it runs */
  volatile bool in_cwd; /* it was the change of directory */
} child;

/* ---- in the child: system calls only ---- */

static void reset_signals(void) {
  struct sigaction now;
  const struct sigaction fresh = {.sa_handler = SIG_DFL};
  for (int sig = 1; sig < NSIG; sig++) {
    if (sigaction(sig, NULL, &now) != 0) continue;
    bool caught = now.sa_handler != SIG_DFL && now.sa_handler != SIG_IGN;
    if (caught || sig == SIGPIPE) sigaction(sig, &fresh, NULL);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The descriptors are all above 2, so no dup2 overwrites one that is still to come. */
static bool place_fds(const int fds[3]) {
  for (int i = 0; i < 3; i++)
    if (dup2(fds[i], i) < 0) return false;
  close_range(3, ~0U, 0);
  return true;
}

static bool enter_cwd(child *c) {
  if (!c->spawn->cwd || chdir(c->spawn->cwd) == 0) return true;
  c->in_cwd = true;
  return false;
}

static void run_child(child *c) {
  const iz_spawn *s = c->spawn;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != c->parent) _exit(127);
  if (setpgid(0, 0) == 0 && enter_cwd(c) && place_fds(s->fds)) {
    reset_signals();
    execve(c->file, (char *const *)s->argv, s->env ? (char *const *)s->env : environ);
  }
  c->error = errno;
  _exit(127);
}

/* posix_spawn could neither bind the child's life to ours nor name what failed.
 * NOLINTBEGIN(clang-analyzer-security.insecureAPI.vfork,clang-analyzer-unix.Vfork) */
__attribute__((noinline)) static pid_t fork_and_run(child *c) {
  pid_t pid = vfork();
  if (pid == 0) run_child(c);
  return pid;
}
/* NOLINTEND(clang-analyzer-security.insecureAPI.vfork,clang-analyzer-unix.Vfork) */

/* ---- in the parent ---- */

static const char *search_path(const iz_spawn *s) {
  const char *path = s->env ? NULL : getenv("PATH");
  for (const char *const *e = s->env; e && *e; e++)
    if (strncmp(*e, "PATH=", 5) == 0) path = *e + 5;
  return path && *path ? path : DEFAULT_PATH;
}

static bool is_program(const char *file) {
  struct stat st;
  return stat(file, &st) == 0 && S_ISREG(st.st_mode) && access(file, X_OK) == 0;
}

/* Finds argv[0] in the absolute folders of PATH; `out` then holds its file name. */
static bool find_program(const iz_spawn *s, iz_buf *out, iz_err *err) {
  const char *name = s->argv[0];
  if (!*name) return iz_fail(err, "invalid", "exec: the program's name is empty");
  if (strchr(name, '/'))
    return iz_buf_adds(out, name) && iz_buf_cstr(out) ? true : iz_fail_oom(err);
  for (const char *dir = search_path(s); *dir;) {
    size_t n = strcspn(dir, ":");
    iz_buf_clear(out);
    if (!iz_buf_addf(out, "%.*s/%s", (int)n, dir, name) || !iz_buf_cstr(out))
      return iz_fail_oom(err);
    if (*dir == '/' && is_program(out->data)) return true;
    dir += n + (dir[n] == ':');
  }
  return iz_fail(err, "ENOENT", "exec: there is no program \"%s\" in PATH", name);
}

/* A SIGCHLD that our own parent left ignored would make the kernel reap children before we can. */
static void allow_zombies(void) {
  static bool done;
  struct sigaction now;
  if (!done && sigaction(SIGCHLD, NULL, &now) == 0 && now.sa_handler == SIG_IGN)
    signal(SIGCHLD, SIG_DFL);
  done = true;
}

static pid_t start_blocked(child *c) {
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  pid_t pid = fork_and_run(c);
  int saved = errno;
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  errno = saved;
  return pid;
}

static bool fail_child(const child *c, iz_err *err) {
  if (c->in_cwd)
    return iz_fail_errno(err, c->error, "exec: cannot enter the folder \"%s\"", c->spawn->cwd);
  return iz_fail_errno(err, c->error, "exec: cannot run \"%s\"", c->spawn->argv[0]);
}

bool iz_spawn_start(const iz_spawn *s, pid_t *pid, int *pidfd, iz_err *err) {
  allow_zombies();
  iz_buf file = {0};
  if (!find_program(s, &file, err)) return iz_buf_free(&file), false;
  child c = {.spawn = s, .file = file.data, .parent = getpid()};
  *pid = start_blocked(&c);
  int fork_errno = errno;
  iz_buf_free(&file);
  if (*pid < 0) return iz_fail_errno(err, fork_errno, "exec: cannot start \"%s\"", s->argv[0]);
  if (c.error) {
    while (waitpid(*pid, NULL, 0) < 0 && errno == EINTR) {
    }
    return fail_child(&c, err);
  }
  *pidfd = pidfd_open(*pid, 0);
  if (*pidfd >= 0) return true;
  int open_errno = errno;
  kill(-*pid, SIGKILL);
  while (waitpid(*pid, NULL, 0) < 0 && errno == EINTR) {
  }
  return iz_fail_errno(err, open_errno, "exec: cannot watch \"%s\"", s->argv[0]);
}
