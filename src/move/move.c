/*
 * move.c - carries out a plan: folders, then threads that take the tasks (a move, or a file that is all head), largest
 * first, then the format's finish, then fsync.
 *
 * A file that one move fills is created by the thread that moves it. A file that several fill, or that stands already,
 * is opened before the threads start and shared: they write it at different places. The calling thread only waits and
 * reports progress, so that the caller's callback runs where he called us.
 */
#include "move/move.h"

#include "base/fs.h"
#include "move/copy.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MAX_JOBS = 8, RESERVE_FROM = 64 << 10, PROGRESS_MS = 100, NO_MOVE = -1 };

typedef struct task {
    uint64_t bytes;
    int64_t move; /* index, or NO_MOVE */
    size_t file;
} task;

typedef struct mover {
    h5ck_plan *plan;
    bool sync;
    task *tasks;
    size_t task_count;
    atomic_size_t next;
    atomic_ullong done;
    uint64_t total;
    atomic_bool stop;
    int *shared; /* by file: its descriptor where it is shared, -1 elsewhere */
    pthread_mutex_t lock;
    pthread_cond_t finished;
    int running;       /* under the lock */
    int rc;            /* under the lock: the first failure */
    h5ckpt_error *err; /* under the lock */
} mover;

/* The finished file's path, for messages. */
static int named(mover *m, const h5ck_plan_file *file, int rc, h5ckpt_error **err)
{
    h5ck_file f = {.root = m->plan->target, .relative = file->relative};
    return h5ck_file_where(err, rc, &f);
}

/* ---- Tasks ---- */

static int largest_first(const void *a, const void *b)
{
    const task *x = a, *y = b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return x->move < y->move ? -1 : x->move > y->move ? 1 : x->file < y->file ? -1 : x->file > y->file;
}

/* A task a move, and one for each new file that no move fills. */
static int make_tasks(mover *m, h5ckpt_error **err)
{
    h5ck_plan *plan = m->plan;
    m->tasks = calloc(plan->move_count + plan->file_count + 1, sizeof *m->tasks);
    m->shared = calloc(plan->file_count + 1, sizeof *m->shared);
    if (!m->tasks || !m->shared)
        return h5ck_fail_nomem(err);
    for (size_t i = 0; i < plan->move_count; i++) { /* `shared` counts the moves of each file at first */
        const h5ck_plan_move *move = &plan->moves[i];
        m->tasks[m->task_count++] = (task){move->tensor->info.nbytes, (int64_t)i, move->file};
        m->total += move->tensor->info.nbytes;
        m->shared[move->file]++;
    }
    for (size_t i = 0; i < plan->file_count; i++) {
        if (m->shared[i] == 0 && !plan->files[i].exists)
            m->tasks[m->task_count++] = (task){plan->files[i].head_len, NO_MOVE, i};
        m->shared[i] = m->shared[i] > 1 || plan->files[i].exists ? 0 : -1;
    }
    qsort(m->tasks, m->task_count, sizeof *m->tasks, largest_first);
    return 0;
}

static int create(mover *m, const h5ck_plan_file *file, int *fd, h5ckpt_error **err)
{
    int rc = h5ck_fs_create(m->plan->stage, file->relative, fd, err);
    if (rc == 0 && file->size >= RESERVE_FROM)
        rc = h5ck_fs_reserve(*fd, file->size, err);
    return rc;
}

static int open_shared(mover *m, h5ckpt_error **err)
{
    int rc = 0;
    for (size_t i = 0; i < m->plan->file_count; i++) {
        const h5ck_plan_file *file = &m->plan->files[i];
        if (m->shared[i] < 0)
            continue;
        m->shared[i] = -1;
        if (rc)
            continue; /* go on marking, so that only what is open is closed */
        if (file->exists) {
            rc = h5ck_fs_open_write(m->plan->stage, &m->shared[i], err);
            if (rc == 0)
                rc = h5ck_fs_reserve(m->shared[i], file->size, err);
        } else {
            rc = create(m, file, &m->shared[i], err);
            if (rc == 0)
                rc = h5ck_fs_pwrite(m->shared[i], file->head, file->head_len, 0, err);
        }
        if (rc)
            named(m, file, rc, err);
    }
    return rc;
}

/* A file that this thread makes alone: head, elements, fsync, close. */
static int write_file(mover *m, h5ck_copier *c, h5ck_plan_move *move, const h5ck_plan_file *file, h5ckpt_error **err)
{
    int fd, rc = create(m, file, &fd, err);
    if (rc == 0 && move)
        rc = h5ck_copy(c, move, file, true, fd, m->plan->digest, err);
    else if (rc == 0)
        rc = h5ck_fs_pwrite(fd, file->head, file->head_len, 0, err);
    if (rc == 0 && m->sync)
        rc = h5ck_fs_sync(fd, err);
    if (fd >= 0) {
        int closed = h5ck_fs_close(fd, err);
        rc = rc ? rc : closed;
    }
    return rc;
}

static int carry_out(mover *m, h5ck_copier *c, const task *t, h5ckpt_error **err)
{
    const h5ck_plan_file *file = &m->plan->files[t->file];
    h5ck_plan_move *move = t->move == NO_MOVE ? NULL : &m->plan->moves[t->move];
    int rc, shared = m->shared[t->file];
    if (shared >= 0)
        rc = h5ck_copy(c, move, file, false, shared, m->plan->digest, err);
    else
        rc = write_file(m, c, move, file, err);
    if (rc == 0)
        return 0;
    if (move && !c->other_failed)
        h5ck_err_where(err, rc, NULL, move->tensor->info.name);
    return named(m, file, rc, err);
}

/* ---- Threads ---- */

static void report(mover *m, int rc, h5ckpt_error *err)
{
    pthread_mutex_lock(&m->lock);
    if (rc && !m->rc) {
        m->rc = rc;
        m->err = err;
        err = NULL;
        atomic_store(&m->stop, true);
        atomic_store(&m->plan->stopped, true); /* wakes packers */
    }
    pthread_mutex_unlock(&m->lock);
    h5ckpt_error_free(err);
}

static void work(mover *m)
{
    h5ck_copier c;
    h5ckpt_error *err = NULL;
    int rc = h5ck_copier_init(&c, &m->done, &m->stop, &err);
    while (rc == 0 && !atomic_load(&m->stop)) {
        size_t i = atomic_fetch_add(&m->next, 1);
        if (i >= m->task_count)
            break;
        rc = carry_out(m, &c, &m->tasks[i], &err);
    }
    if (rc == 0)
        rc = h5ck_copier_close_source(&c, &err);
    if (c.scratch)
        m->plan->free_scratch(c.scratch);
    h5ck_copier_free(&c);
    report(m, rc, err);
}

static void *thread_main(void *arg)
{
    mover *m = arg;
    work(m);
    pthread_mutex_lock(&m->lock);
    m->running--;
    pthread_cond_signal(&m->finished);
    pthread_mutex_unlock(&m->lock);
    return NULL;
}

static void tell(mover *m, const h5ck_move_options *o)
{
    if (o->progress && o->progress(o->progress_user, atomic_load(&m->done), m->total) != 0) {
        h5ckpt_error *err = NULL;
        h5ck_fail(&err, H5CKPT_SYSTEM, "stopped by the caller");
        report(m, H5CKPT_SYSTEM, err);
    }
}

/* Waits for the threads; the lock is not held while the caller's callback runs. */
static void wait_for_threads(mover *m, const h5ck_move_options *o)
{
    pthread_mutex_lock(&m->lock);
    while (m->running > 0) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += PROGRESS_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        if (pthread_cond_timedwait(&m->finished, &m->lock, &until) == ETIMEDOUT && o->progress) {
            pthread_mutex_unlock(&m->lock);
            tell(m, o);
            pthread_mutex_lock(&m->lock);
        }
    }
    pthread_mutex_unlock(&m->lock);
}

static int job_count(const mover *m, int asked)
{
    long jobs = asked > 0 ? asked : sysconf(_SC_NPROCESSORS_ONLN);
    if (jobs < 1)
        jobs = 1;
    if (asked <= 0 && jobs > MAX_JOBS)
        jobs = MAX_JOBS;
    if ((size_t)jobs > m->task_count)
        jobs = (long)m->task_count;
    return (int)jobs;
}

/* Starts the threads with all signals blocked: the host's handlers run in the host's threads. */
static int run_threads(mover *m, const h5ck_move_options *o, h5ckpt_error **err)
{
    int jobs = job_count(m, o->jobs), started = 0;
    pthread_t *threads = calloc((size_t)jobs + 1, sizeof *threads);
    sigset_t all, before;
    if (!threads)
        return h5ck_fail_nomem(err);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (; started < jobs; started++) {
        pthread_mutex_lock(&m->lock);
        m->running++;
        pthread_mutex_unlock(&m->lock);
        if (pthread_create(&threads[started], NULL, thread_main, m) != 0) {
            pthread_mutex_lock(&m->lock);
            m->running--;
            pthread_mutex_unlock(&m->lock);
            break;
        }
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (started == 0)
        work(m); /* no thread to be had: this one does it */
    wait_for_threads(m, o);
    for (int i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    free(threads);
    tell(m, o);
    if (m->rc && err && !*err) {
        *err = m->err;
        m->err = NULL;
    }
    return m->rc;
}

/* ---- The whole ---- */

static int make_dirs(h5ck_plan *plan, h5ckpt_error **err)
{
    int rc = plan->is_dir ? h5ck_fs_mkdir(plan->stage, NULL, err) : 0;
    for (size_t i = 0; rc == 0 && i < plan->dir_count; i++)
        rc = h5ck_fs_mkdir(plan->stage, plan->dirs[i], err);
    return rc ? h5ck_err_where(err, rc, plan->target, NULL) : 0;
}

static int finish(mover *m, h5ckpt_error **err)
{
    h5ck_plan *plan = m->plan;
    int rc = plan->finish ? plan->finish(plan, err) : 0;
    for (size_t i = 0; i < plan->file_count && rc == 0; i++)
        if (m->sync && m->shared[i] >= 0)
            rc = named(m, &plan->files[i], h5ck_fs_sync(m->shared[i], err), err);
    for (size_t i = plan->dir_count; m->sync && rc == 0 && i > 0; i--)
        rc = h5ck_fs_sync_dir(plan->stage, plan->dirs[i - 1], err);
    if (rc == 0 && m->sync && plan->is_dir)
        rc = h5ck_fs_sync_dir(plan->stage, NULL, err);
    return rc ? h5ck_err_where(err, rc, plan->target, NULL) : 0;
}

static int close_shared(mover *m, h5ckpt_error **err)
{
    int rc = 0;
    for (size_t i = 0; m->shared && i < m->plan->file_count; i++)
        if (m->shared[i] >= 0) {
            int closed = h5ck_fs_close(m->shared[i], rc ? NULL : err);
            rc = rc ? rc : closed;
        }
    return rc;
}

int h5ck_move(h5ck_plan *plan, const h5ck_move_options *o, h5ckpt_error **err)
{
    mover m = {.plan = plan, .sync = o->sync, .lock = PTHREAD_MUTEX_INITIALIZER, .finished = PTHREAD_COND_INITIALIZER};
    bool opened = false;
    int rc = make_tasks(&m, err);
    if (rc == 0)
        rc = make_dirs(plan, err);
    if (rc == 0) {
        opened = true;
        rc = open_shared(&m, err);
    }
    if (rc == 0)
        rc = run_threads(&m, o, err);
    if (rc == 0)
        rc = finish(&m, err);
    if (opened) {
        int closed = close_shared(&m, rc ? NULL : err);
        rc = rc ? rc : closed;
    }
    h5ckpt_error_free(m.err);
    free(m.tasks);
    free(m.shared);
    return rc;
}
