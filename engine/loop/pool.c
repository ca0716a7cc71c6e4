/* pool.c -- the worker pool: see pool.h. */
#include "pool.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#define MAX_THREADS 4

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static iz_job *head, **tail = &head;
static pthread_t threads[MAX_THREADS];
static int thread_count, idle_count, job_count;
static bool stopping;

static void job_back(iz_defer *d) {
  iz_job *job = IZ_OUTER(d, iz_job, back);
  iz_loop_busy(job->loop, -1);
  job->done(job);
}

static iz_job *next_job(void) {
  idle_count++;
  while (!head && !stopping) pthread_cond_wait(&wake, &lock);
  idle_count--;
  iz_job *job = head;
  if (!job) return NULL;
  head = job->next;
  if (!head) tail = &head;
  job_count--;
  return job;
}

static void *worker(void *arg) {
  (void)arg;
  pthread_mutex_lock(&lock);
  for (iz_job *job; (job = next_job());) {
    pthread_mutex_unlock(&lock);
    job->run(job);
    iz_loop_post(job->loop, &job->back);
    pthread_mutex_lock(&lock);
  }
  pthread_mutex_unlock(&lock);
  return NULL;
}

/* Signals are the loop's: threads start with all of them blocked. */
static bool start_thread(void) {
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  bool ok = pthread_create(&threads[thread_count], NULL, worker, NULL) == 0;
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  if (ok) thread_count++;
  return ok;
}

static int wanted_threads(void) {
  long n = sysconf(_SC_NPROCESSORS_ONLN) + 1;
  return n < 2 ? 2 : n > MAX_THREADS ? MAX_THREADS : (int)n;
}

bool iz_pool_submit(iz_loop *loop, iz_job *job) {
  job->loop = loop;
  job->next = NULL;
  job->back = (iz_defer){.fn = job_back, .queued = true};
  pthread_mutex_lock(&lock);
  bool ok = thread_count > 0;
  if (job_count >= idle_count && thread_count < wanted_threads()) ok = start_thread() || ok;
  if (ok) {
    *tail = job;
    tail = &job->next;
    job_count++;
    pthread_cond_signal(&wake);
    iz_loop_busy(loop, 1);
  }
  pthread_mutex_unlock(&lock);
  return ok;
}

void iz_pool_stop(void) {
  pthread_mutex_lock(&lock);
  stopping = true;
  pthread_cond_broadcast(&wake);
  pthread_mutex_unlock(&lock);
  for (int i = 0; i < thread_count; i++) pthread_join(threads[i], NULL);
  thread_count = 0;
  stopping = false;
}
