/* bench_start.c -- `iza hello.lua` beside `lua5.4 hello.lua`: CPU time and memory of whole
 * processes, run in turn. Each round is 40 runs of both. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS 9
#define RUNS 40

static const char script[] = "/tmp/iza-bench-hello.lua";

/* Adds the CPU seconds and the memory (kB) of one run. */
static void run(const char *program, double *cpu, double *rss) {
  pid_t pid = fork();
  if (pid == 0) {
    int null = open("/dev/null", O_WRONLY);
    dup2(null, 1);
    execlp(program, program, script, (char *)NULL);
    _exit(127);
  }
  int status;
  struct rusage u;
  if (pid < 0 || wait4(pid, &status, 0, &u) != pid || !WIFEXITED(status) || WEXITSTATUS(status)) {
    fprintf(stderr, "%s %s failed\n", program, script);
    exit(1);
  }
  *cpu += (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
          (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
  *rss += (double)u.ru_maxrss;
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(double *v) {
  qsort(v, ROUNDS, sizeof *v, by_size);
  return v[ROUNDS / 2];
}

int main(void) {
  const char *iza = getenv("IZA");
  FILE *f = fopen(script, "w");
  if (!iza || !f || fputs("print \"hello\"\n", f) < 0 || fclose(f) != 0) {
    fprintf(stderr, "IZA must name the program, and %s must be writable\n", script);
    return 1;
  }
  double ours[ROUNDS], theirs[ROUNDS], ratios[ROUNDS];
  double our_rss = 0, their_rss = 0;
  for (int round = 0; round < ROUNDS; round++) {
    double a = 0, b = 0;
    for (int i = 0; i < RUNS; i++) {
      run(i % 2 ? iza : "lua5.4", i % 2 ? &a : &b, i % 2 ? &our_rss : &their_rss);
      run(i % 2 ? "lua5.4" : iza, i % 2 ? &b : &a, i % 2 ? &their_rss : &our_rss);
    }
    ours[round] = a / RUNS * 1e3;
    theirs[round] = b / RUNS * 1e3;
    ratios[round] = a / b;
  }
  remove(script);
  printf("bench start.hello.cpu %.3g ms | peer lua5.4 %.3g | ratio %.2f\n", median(ours),
         median(theirs), median(ratios));
  double megabytes = ROUNDS * RUNS * 1024;
  printf("bench start.hello.rss %.3g MB | peer lua5.4 %.3g | ratio %.2f\n", our_rss / megabytes,
         their_rss / megabytes, our_rss / their_rss);
  return 0;
}
