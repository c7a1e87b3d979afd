/*
 * check.c - the mover without a target. Threads take the tensors, largest first, read each in slabs and digest it. What
 * is wrong with one tensor is kept with it and the others go on: whoever verifies wants to hear of all. The calling
 * thread waits and reports progress.
 */
#include "move/check.h"

#include "base/fs.h"
#include "move/digest.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MAX_JOBS = 8, PROGRESS_MS = 100 };

typedef struct checker {
    h5ck_check **order; /* as they are taken */
    size_t count;
    atomic_size_t next;
    atomic_ullong done;
    uint64_t total;
    atomic_bool stop;
    pthread_mutex_t lock;
    pthread_cond_t finished;
    int running;       /* under the lock */
    int rc;            /* under the lock: the first refusal of the system */
    h5ckpt_error *err; /* under the lock */
} checker;

/* ---- One tensor ---- */

static int read_through(checker *c, const h5ckpt_tensor *t, unsigned char *slab, h5ck_digest *digest,
                        h5ckpt_error **err)
{
    for (uint64_t at = 0; at < t->info.nbytes && !atomic_load(&c->stop);) {
        size_t n = t->info.nbytes - at < H5CK_COPY_SLAB ? (size_t)(t->info.nbytes - at) : H5CK_COPY_SLAB;
        int rc = h5ck_move_read(t, at, slab, n, err);
        if (rc)
            return t->extent.file ? h5ck_file_where(err, rc, t->extent.file) : rc;
        if (digest)
            h5ck_digest_update(digest, slab, n);
        at += n;
        atomic_fetch_add(&c->done, n);
    }
    return 0;
}

static int compare(h5ck_check *k, h5ck_digest *digest, h5ckpt_error **err)
{
    char found[H5CK_DIGEST_TEXT];
    int rc = h5ck_digest_text(digest, found, err);
    if (rc)
        return rc;
    k->held = true;
    if (strcmp(found, k->tensor->digest) == 0)
        return 0;
    return (k->found = strdup(found)) ? 0 : h5ck_fail_nomem(err);
}

/* What is not valid is a finding; what the system refuses is a failure. */
static int check(checker *c, h5ck_check *k, unsigned char *slab, h5ckpt_error **err)
{
    h5ckpt_digest algorithm = H5CKPT_DIGEST_NONE;
    h5ck_digest *digest = NULL;
    h5ckpt_error *why = NULL;
    const char *given = k->tensor->digest;
    bool holds = given && h5ck_digest_parse(given, &algorithm) == H5CK_DIGEST_KNOWN && h5ck_digest_available(algorithm);
    if (holds && !(digest = h5ck_digest_new(algorithm)))
        return h5ck_fail_nomem(err);
    int rc = read_through(c, k->tensor, slab, digest, &why);
    if (rc == 0 && holds && !atomic_load(&c->stop))
        rc = compare(k, digest, &why);
    h5ck_digest_free(digest);
    if (rc == H5CKPT_INVALID) {
        k->err = why;
        return 0;
    }
    *err = why;
    return rc;
}

/* ---- Threads ---- */

static void report(checker *c, int rc, h5ckpt_error *err)
{
    pthread_mutex_lock(&c->lock);
    if (rc && !c->rc) {
        c->rc = rc;
        c->err = err;
        err = NULL;
        atomic_store(&c->stop, true);
    }
    pthread_mutex_unlock(&c->lock);
    h5ckpt_error_free(err);
}

static void work(checker *c)
{
    h5ckpt_error *err = NULL;
    unsigned char *slab = malloc(H5CK_COPY_SLAB);
    int rc = slab ? 0 : h5ck_fail_nomem(&err);
    while (rc == 0 && !atomic_load(&c->stop)) {
        size_t i = atomic_fetch_add(&c->next, 1);
        if (i >= c->count)
            break;
        rc = check(c, c->order[i], slab, &err);
    }
    free(slab);
    report(c, rc, err);
}

static void *thread_main(void *arg)
{
    checker *c = arg;
    work(c);
    pthread_mutex_lock(&c->lock);
    c->running--;
    pthread_cond_signal(&c->finished);
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

static void tell(checker *c, const h5ck_move_options *o)
{
    if (o->progress && o->progress(o->progress_user, atomic_load(&c->done), c->total) != 0) {
        h5ckpt_error *err = NULL;
        h5ck_fail(&err, H5CKPT_SYSTEM, "stopped by the caller");
        report(c, H5CKPT_SYSTEM, err);
    }
}

/* The lock is not held while the caller's function runs. */
static void wait_for_threads(checker *c, const h5ck_move_options *o)
{
    pthread_mutex_lock(&c->lock);
    while (c->running > 0) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += PROGRESS_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        if (pthread_cond_timedwait(&c->finished, &c->lock, &until) == ETIMEDOUT && o->progress) {
            pthread_mutex_unlock(&c->lock);
            tell(c, o);
            pthread_mutex_lock(&c->lock);
        }
    }
    pthread_mutex_unlock(&c->lock);
}

static size_t job_count(const checker *c, int asked)
{
    long jobs = asked > 0 ? asked : sysconf(_SC_NPROCESSORS_ONLN);
    if (jobs < 1)
        jobs = 1;
    if (asked <= 0 && jobs > MAX_JOBS)
        jobs = MAX_JOBS;
    return (size_t)jobs < c->count ? (size_t)jobs : c->count;
}

/* Started with all signals blocked: the host's handlers run in the host's threads. */
static size_t start(checker *c, pthread_t *threads, size_t jobs)
{
    sigset_t all, before;
    size_t started = 0;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    c->running = (int)jobs; /* no thread runs yet */
    while (started < jobs && pthread_create(&threads[started], NULL, thread_main, c) == 0)
        started++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_mutex_lock(&c->lock);
    c->running -= (int)(jobs - started);
    pthread_mutex_unlock(&c->lock);
    return started;
}

static int run(checker *c, const h5ck_move_options *o, h5ckpt_error **err)
{
    size_t jobs = job_count(c, o->jobs);
    pthread_t *threads = calloc(jobs + 1, sizeof *threads);
    if (!threads)
        return h5ck_fail_nomem(err);
    size_t started = start(c, threads, jobs);
    if (started == 0)
        work(c); /* no thread to be had: this one does it */
    wait_for_threads(c, o);
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    free(threads);
    tell(c, o);
    if (c->rc && err && !*err) {
        *err = c->err;
        c->err = NULL;
    }
    return c->rc;
}

/* ---- The whole ---- */

static int largest_first(const void *a, const void *b)
{
    const h5ck_check *x = *(h5ck_check *const *)a, *y = *(h5ck_check *const *)b;
    uint64_t m = x->tensor->info.nbytes, n = y->tensor->info.nbytes;
    return m != n ? (m < n ? 1 : -1) : x < y ? -1 : x > y;
}

int h5ck_checks_run(h5ck_check *checks, size_t count, const h5ck_move_options *o, h5ckpt_error **err)
{
    checker c = {.count = count, .lock = PTHREAD_MUTEX_INITIALIZER, .finished = PTHREAD_COND_INITIALIZER};
    c.order = calloc(count + 1, sizeof(h5ck_check *));
    if (!c.order)
        return h5ck_fail_nomem(err);
    for (size_t i = 0; i < count; i++) {
        c.order[i] = &checks[i];
        c.total += checks[i].tensor->info.nbytes;
    }
    qsort(c.order, count, sizeof(h5ck_check *), largest_first);
    int rc = run(&c, o, err);
    h5ckpt_error_free(c.err);
    free(c.order);
    return rc;
}

void h5ck_checks_free(h5ck_check *checks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(checks[i].found);
        h5ckpt_error_free(checks[i].err);
    }
}
