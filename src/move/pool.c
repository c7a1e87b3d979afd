/*
 * pool.c - threads, tasks, and how several threads share a tensor.
 *
 * The thread with the first slab of a shared tensor opens it and reads that slab; the others wait for that. Slabs are
 * read and written in any order, but digested in theirs: a thread that has read its slab waits until the one before is
 * digested. Nobody waits for more than an earlier slab of the same tensor, and slabs are taken in order, so the earliest
 * one that is under way never waits: no deadlock. A thread that fails says so before it does anything else, which wakes
 * and ends all others; where the failure is forgiven, those that carry the same tensor leave it.
 */
#include "move/pool.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { MAX_JOBS = 8, PROGRESS_MS = 100, SHARED_FROM = 64 << 20 };

/* A tensor that several threads carry. All but the carry is under the pool's lock. */
struct h5ck_lot {
    h5ck_carry carry;
    uint64_t slabs, taken, turn, finished; /* turn: the slab to be digested next */
    bool opened, ready, closed;            /* ready: for other threads than the one that opens it */
    bool left;                             /* it failed, and that was forgiven */
};

/* ---- Setting up ---- */

int h5ck_pool_init(h5ck_pool *p, const h5ck_pool_calls *calls, void *user, size_t tasks, int jobs, h5ckpt_error **err)
{
    long n = jobs > 0 ? jobs : sysconf(_SC_NPROCESSORS_ONLN);
    if (jobs <= 0 && n > MAX_JOBS)
        n = MAX_JOBS;
    *p = (h5ck_pool){.calls = calls,
                     .user = user,
                     .jobs = n < 1 ? 1 : (int)n,
                     .lock = PTHREAD_MUTEX_INITIALIZER,
                     .finished = PTHREAD_COND_INITIALIZER,
                     .moved_on = PTHREAD_COND_INITIALIZER};
    p->tasks = calloc(tasks + 1, sizeof *p->tasks);
    return p->tasks ? 0 : h5ck_fail_nomem(err);
}

static bool worth_sharing(const h5ck_pool *p, const h5ckpt_tensor *t, const h5ck_packer *packer)
{
    bool costly = packer || t->extent.kind == H5CK_EXTENT_DECODER;
    return p->jobs > 1 && t->info.nbytes > (costly ? packer ? packer->piece : H5CK_COPY_SLAB : SHARED_FROM);
}

int h5ck_pool_add(h5ck_pool *p, size_t index, uint64_t bytes, const h5ckpt_tensor *tensor, const h5ck_packer *packer,
                  h5ckpt_error **err)
{
    h5ck_task *t = &p->tasks[p->task_count++];
    *t = (h5ck_task){bytes, index, NULL};
    p->total += tensor ? bytes : 0;
    if (tensor && worth_sharing(p, tensor, packer) && !(t->lot = calloc(1, sizeof *t->lot)))
        return h5ck_fail_nomem(err);
    if (t->lot)
        t->lot->slabs = UINT64_MAX; /* until it is open */
    return 0;
}

static int largest_first(const void *a, const void *b)
{
    const h5ck_task *x = a, *y = b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return x->index < y->index ? -1 : x->index > y->index;
}

void h5ck_pool_free(h5ck_pool *p)
{
    for (size_t i = 0; i < p->task_count; i++)
        free(p->tasks[i].lot);
    free(p->tasks);
    h5ckpt_error_free(p->err);
    p->tasks = NULL;
    p->err = NULL;
}

/* ---- Failing ---- */

/* Takes the error. */
static void report(h5ck_pool *p, int rc, h5ckpt_error *err)
{
    if (rc == 0)
        return;
    pthread_mutex_lock(&p->lock);
    if (!p->rc) {
        p->rc = rc;
        p->err = err;
        err = NULL;
        atomic_store(&p->stop, true);
        pthread_cond_broadcast(&p->moved_on);
        if (p->calls->stop)
            p->calls->stop(p->user);
    }
    pthread_mutex_unlock(&p->lock);
    h5ckpt_error_free(err);
}

/* Of a task that failed: 0 where the others go on. A shared tensor fails once; who finds it left says nothing. */
static int forgive(h5ck_pool *p, const h5ck_copier *c, const h5ck_task *t, int rc, h5ckpt_error **err)
{
    if (!p->calls->forgive || atomic_load(&p->stop))
        return rc;
    pthread_mutex_lock(&p->lock);
    bool again = t->lot && t->lot->left && !c->other_failed;
    if (again) {
        h5ckpt_error_free(*err);
        *err = NULL;
        rc = 0;
    } else if ((rc = p->calls->forgive(p->user, c, t->index, rc, err)) == 0 && t->lot) {
        t->lot->left = true;
        t->lot->slabs = t->lot->taken;
        pthread_cond_broadcast(&p->moved_on);
    }
    pthread_mutex_unlock(&p->lock);
    return rc;
}

/* What a thread says that ends because another failed: nobody hears it. */
static int stopped(h5ckpt_error **err)
{
    return h5ck_fail(err, H5CKPT_SYSTEM, "stopped");
}

static int carried(h5ck_pool *p, size_t n, h5ckpt_error **err)
{
    atomic_fetch_add(&p->done, n);
    return atomic_load(&p->stop) ? stopped(err) : 0;
}

/* ---- A task of one thread ---- */

static int carry_slabs(h5ck_pool *p, h5ck_copier *c, const h5ck_carry *y, h5ckpt_error **err)
{
    const unsigned char *data;
    size_t n;
    int rc = 0;
    for (uint64_t k = 0, slabs = h5ck_copy_slabs(y); rc == 0 && k < slabs; k++) {
        rc = h5ck_copy_read(c, y, k, &data, &n, err);
        if (rc)
            break;
        h5ck_copy_digest(y, data, n);
        rc = h5ck_copy_write(c, y, k, data, n, err);
        if (rc == 0)
            rc = carried(p, n, err);
    }
    return rc;
}

static int carry_alone(h5ck_pool *p, h5ck_copier *c, size_t index, h5ckpt_error **err)
{
    h5ck_carry y = {.fd = -1};
    int rc = p->calls->open(p->user, index, &y, err);
    if (rc == 0)
        rc = h5ck_copy_begin(c, &y, false, err);
    if (rc == 0)
        rc = carry_slabs(p, c, &y, err);
    if (rc == 0)
        rc = h5ck_copy_end(&y, err);
    return p->calls->close(p->user, index, &y, rc, err);
}

/* ---- A task of several ---- */

static int open_lot(h5ck_pool *p, h5ck_copier *c, const h5ck_task *t, h5ckpt_error **err)
{
    h5ck_lot *l = t->lot;
    l->carry = (h5ck_carry){.fd = -1};
    l->opened = true;
    int rc = p->calls->open(p->user, t->index, &l->carry, err);
    return rc ? rc : h5ck_copy_begin(c, &l->carry, true, err);
}

/* Lets the other threads in. */
static void let_in(h5ck_pool *p, h5ck_lot *l)
{
    pthread_mutex_lock(&p->lock);
    l->slabs = h5ck_copy_slabs(&l->carry);
    l->ready = true;
    pthread_cond_broadcast(&p->moved_on);
    pthread_mutex_unlock(&p->lock);
}

/* Waits until it is open. False: all shall stop, it was left, or it has no such slab. */
static bool wait_to_get_in(h5ck_pool *p, h5ck_lot *l, uint64_t slab)
{
    pthread_mutex_lock(&p->lock);
    while (!l->ready && !l->left && !atomic_load(&p->stop))
        pthread_cond_wait(&p->moved_on, &p->lock);
    bool in = l->ready && !l->left && slab < l->slabs;
    pthread_mutex_unlock(&p->lock);
    return in;
}

/* Waits for the slab's turn, digests it, and lets the next one. */
static int digest_in_turn(h5ck_pool *p, h5ck_lot *l, uint64_t slab, const unsigned char *data, size_t n,
                          h5ckpt_error **err)
{
    if (!l->carry.store && !l->carry.check)
        return 0;
    pthread_mutex_lock(&p->lock);
    while (l->turn != slab && !l->left && !atomic_load(&p->stop))
        pthread_cond_wait(&p->moved_on, &p->lock);
    bool ours = l->turn == slab;
    pthread_mutex_unlock(&p->lock);
    if (!ours)
        return stopped(err);
    h5ck_copy_digest(&l->carry, data, n);
    pthread_mutex_lock(&p->lock);
    l->turn++;
    pthread_cond_broadcast(&p->moved_on);
    pthread_mutex_unlock(&p->lock);
    return 0;
}

/* After its last slab. */
static int close_lot(h5ck_pool *p, const h5ck_task *t, h5ckpt_error **err)
{
    h5ck_lot *l = t->lot;
    l->closed = true;
    int rc = h5ck_copy_end(&l->carry, err);
    rc = p->calls->close(p->user, t->index, &l->carry, rc, err);
    h5ck_copy_free(&l->carry);
    return rc;
}

/* One slab. The first is read before others come in: a decoder may begin with a check of all its source, once. */
static int carry_shared(h5ck_pool *p, h5ck_copier *c, const h5ck_task *t, uint64_t slab, h5ckpt_error **err)
{
    h5ck_lot *l = t->lot;
    const unsigned char *data;
    size_t n;
    if (slab && !wait_to_get_in(p, l, slab))
        return atomic_load(&p->stop) ? stopped(err) : 0;
    int rc = slab ? 0 : open_lot(p, c, t, err);
    if (rc == 0)
        rc = h5ck_copy_read(c, &l->carry, slab, &data, &n, err);
    if (rc)
        return rc;
    if (slab == 0)
        let_in(p, l);
    rc = digest_in_turn(p, l, slab, data, n, err);
    if (rc == 0)
        rc = h5ck_copy_write(c, &l->carry, slab, data, n, err);
    if (rc == 0)
        rc = carried(p, n, err);
    if (rc)
        return rc;
    pthread_mutex_lock(&p->lock);
    bool last = ++l->finished == l->slabs;
    pthread_mutex_unlock(&p->lock);
    return last ? close_lot(p, t, err) : 0;
}

/* Those that a failure left open; after the threads. */
static void close_lots(h5ck_pool *p)
{
    for (size_t i = 0; i < p->task_count; i++) {
        h5ck_lot *l = p->tasks[i].lot;
        if (!l || !l->opened || l->closed)
            continue;
        p->calls->close(p->user, p->tasks[i].index, &l->carry, H5CKPT_SYSTEM, NULL);
        h5ck_copy_free(&l->carry);
    }
}

/* ---- Threads ---- */

/* The next task, and where it is shared its slab. NULL: none is left. */
static const h5ck_task *take(h5ck_pool *p, uint64_t *slab)
{
    const h5ck_task *t = NULL;
    pthread_mutex_lock(&p->lock);
    while (!t && p->next < p->task_count) {
        h5ck_task *at = &p->tasks[p->next];
        if (at->lot && at->lot->taken < at->lot->slabs) {
            *slab = at->lot->taken++;
            t = at;
        } else {
            p->next++;
            t = at->lot ? NULL : at;
        }
    }
    pthread_mutex_unlock(&p->lock);
    return t;
}

static int do_tasks(h5ck_pool *p, h5ck_copier *c, h5ckpt_error **err)
{
    const h5ck_task *t;
    uint64_t slab = 0;
    int rc = 0;
    while (rc == 0 && !atomic_load(&p->stop) && (t = take(p, &slab))) {
        c->other_failed = false;
        rc = t->lot ? carry_shared(p, c, t, slab, err) : carry_alone(p, c, t->index, err);
        if (rc) {
            p->calls->blame(p->user, c, t->index, rc, err);
            rc = forgive(p, c, t, rc, err);
        }
    }
    return rc;
}

static void work(h5ck_pool *p)
{
    h5ck_copier c;
    h5ckpt_error *err = NULL;
    int rc = h5ck_copier_init(&c, &err);
    if (rc == 0)
        rc = do_tasks(p, &c, &err);
    if (rc == 0)
        rc = h5ck_copier_close_source(&c, &err);
    if (rc == 0 && p->calls->rest && !atomic_load(&p->stop))
        rc = p->calls->rest(p->user, &err);
    report(p, rc, err);
    if (c.scratch)
        p->calls->free_scratch(c.scratch);
    h5ck_copier_free(&c);
}

static void *thread_main(void *arg)
{
    h5ck_pool *p = arg;
    work(p);
    pthread_mutex_lock(&p->lock);
    p->running--;
    pthread_cond_signal(&p->finished);
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

static void tell(h5ck_pool *p, h5ckpt_progress_fn *progress, void *user)
{
    if (progress && progress(user, atomic_load(&p->done), p->total) != 0) {
        h5ckpt_error *err = NULL;
        h5ck_fail(&err, H5CKPT_SYSTEM, "stopped by the caller");
        report(p, H5CKPT_SYSTEM, err);
    }
}

/* Waits for the threads; the lock is not held while the caller's callback runs. */
static void wait_for_threads(h5ck_pool *p, h5ckpt_progress_fn *progress, void *user)
{
    pthread_mutex_lock(&p->lock);
    while (p->running > 0) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += PROGRESS_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        if (pthread_cond_timedwait(&p->finished, &p->lock, &until) == ETIMEDOUT && progress) {
            pthread_mutex_unlock(&p->lock);
            tell(p, progress, user);
            pthread_mutex_lock(&p->lock);
        }
    }
    pthread_mutex_unlock(&p->lock);
}

/* No more threads than can be busy. */
static int useful_jobs(const h5ck_pool *p)
{
    uint64_t parts = 0;
    for (size_t i = 0; i < p->task_count && parts < (uint64_t)p->jobs; i++)
        parts += p->tasks[i].lot ? p->tasks[i].bytes / H5CK_COPY_SLAB + 2 : 1;
    return parts < (uint64_t)p->jobs ? (int)parts : p->jobs;
}

/* Starts the threads with all signals blocked: the host's handlers run in the host's threads. */
static int start_threads(h5ck_pool *p, pthread_t *threads, int jobs)
{
    int started = 0;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (; started < jobs; started++) {
        pthread_mutex_lock(&p->lock);
        p->running++;
        pthread_mutex_unlock(&p->lock);
        if (pthread_create(&threads[started], NULL, thread_main, p) != 0) {
            pthread_mutex_lock(&p->lock);
            p->running--;
            pthread_mutex_unlock(&p->lock);
            break;
        }
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

int h5ck_pool_run(h5ck_pool *p, h5ckpt_progress_fn *progress, void *progress_user, h5ckpt_error **err)
{
    if (p->task_count)
        qsort(p->tasks, p->task_count, sizeof *p->tasks, largest_first);
    int jobs = useful_jobs(p);
    pthread_t *threads = calloc((size_t)jobs + 1, sizeof *threads);
    if (!threads)
        return h5ck_fail_nomem(err);
    int started = start_threads(p, threads, jobs);
    if (started == 0)
        work(p); /* no thread to be had: this one does it */
    wait_for_threads(p, progress, progress_user);
    for (int i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    free(threads);
    close_lots(p);
    tell(p, progress, progress_user);
    if (p->rc && err && !*err) {
        *err = p->err;
        p->err = NULL;
    }
    return p->rc;
}
