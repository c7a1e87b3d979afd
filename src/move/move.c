/*
 * move.c - carries out a plan: folders, then the pool's threads that carry the moves and the files that are all head,
 * then the format's finish; and all of it to the disk.
 *
 * A file that one move fills is created by the thread that opens the move. A file that several fill, that has bytes of its
 * own between them, or that stands already, is opened before the threads start: they write it at different places.
 *
 * To the disk: a file's bytes are sent on their way while the next are still copied (h5ck_fs_start_writing), and its
 * fsync waits, descriptor kept, until a batch of files is written. Then the newest is synced first: one commit of the
 * file system's journal serves all of the batch, where file by file each took one of its own. What a write-back could
 * not do, fsync reports on the descriptor that was written through.
 */
#include "move/move.h"

#include "base/fs.h"
#include "move/pool.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RESERVE_FROM = 64 << 10, MAX_BATCH = 64 };

/* A file that is written and not yet synced. */
typedef struct written {
    int fd;
    size_t file;
} written;

typedef struct mover {
    h5ck_plan *plan;
    bool sync;
    int *shared; /* by file: its descriptor where it is shared, -1 elsewhere */
    h5ck_pool pool;
    atomic_bool clones;   /* the target's file system may share blocks between files */
    pthread_mutex_t lock; /* of what follows */
    written batch[MAX_BATCH];
    size_t waiting, most; /* in the batch; how many may be */
} mover;

/* The finished file's path, for messages. */
static int named(mover *m, size_t file, int rc, h5ckpt_error **err)
{
    const h5ck_plan_file *planned = &m->plan->files[file];
    h5ck_file f = {.root = planned->companion ? planned->companion->path : m->plan->target,
                   .relative = planned->relative};
    return rc ? h5ck_file_where(err, rc, &f) : 0;
}

/* ---- To the disk ---- */

static int sync_and_close(mover *m, const written *w, int rc, h5ckpt_error **err)
{
    if (rc == 0)
        rc = named(m, w->file, h5ck_fs_sync(w->fd, err), err);
    int closed = named(m, w->file, h5ck_fs_close(w->fd, rc ? NULL : err), rc ? NULL : err);
    return rc ? rc : closed;
}

/* The newest first. All are closed, also after a failure. */
static int sync_batch(mover *m, const written *batch, size_t n, h5ckpt_error **err)
{
    int rc = 0;
    while (n > 0)
        rc = sync_and_close(m, &batch[--n], rc, err);
    return rc;
}

/* Takes a descriptor that is written. A full batch is synced by the thread that filled it. */
static int put_into_batch(mover *m, int fd, size_t file, h5ckpt_error **err)
{
    written full[MAX_BATCH];
    size_t n = 0;
    pthread_mutex_lock(&m->lock);
    m->batch[m->waiting++] = (written){fd, file};
    if (m->waiting == m->most) {
        memcpy(full, m->batch, m->waiting * sizeof *full);
        n = m->waiting;
        m->waiting = 0;
    }
    pthread_mutex_unlock(&m->lock);
    return sync_batch(m, full, n, err);
}

/* What is left of it, by all threads that have nothing else to do. */
static int sync_rest(void *user, h5ckpt_error **err)
{
    mover *m = user;
    int rc = 0;
    for (bool any = true; any && rc == 0;) {
        written w;
        pthread_mutex_lock(&m->lock);
        any = m->waiting > 0;
        if (any)
            w = m->batch[--m->waiting];
        pthread_mutex_unlock(&m->lock);
        if (any)
            rc = sync_and_close(m, &w, 0, err);
    }
    return rc;
}

/* A batch is small beside what a process may open, whose every thread may be syncing one. */
static size_t batch_size(int jobs)
{
    long most = sysconf(_SC_OPEN_MAX);
    most = most < 0 ? MAX_BATCH : most / 4 / (jobs + 1);
    return most < 1 ? 1 : most > MAX_BATCH ? MAX_BATCH : (size_t)most;
}

/* ---- Tasks: a move each, and one for each new file that no move fills, numbered behind them ---- */

static int make_tasks(mover *m, const h5ck_pool_calls *calls, int jobs, h5ckpt_error **err)
{
    h5ck_plan *plan = m->plan;
    int rc = h5ck_pool_init(&m->pool, calls, m, plan->move_count + plan->file_count, jobs, err);
    m->shared = calloc(plan->file_count + 1, sizeof *m->shared);
    if (rc == 0 && !m->shared)
        rc = h5ck_fail_nomem(err);
    for (size_t i = 0; rc == 0 && i < plan->move_count; i++) { /* `shared` counts the moves of each file at first */
        const h5ck_plan_move *move = &plan->moves[i];
        rc = h5ck_pool_add(&m->pool, i, move->tensor->info.nbytes, move->tensor, move->packer, err);
        m->shared[move->file] += m->shared[move->file] < 2;
    }
    for (size_t i = 0; rc == 0 && i < plan->piece_count; i++)
        m->shared[plan->pieces[i].file] = 2;
    for (size_t i = 0; rc == 0 && i < plan->file_count; i++) {
        if (m->shared[i] == 0 && !plan->files[i].exists)
            rc = h5ck_pool_add(&m->pool, plan->move_count + i, plan->files[i].head_len, NULL, NULL, err);
        m->shared[i] = m->shared[i] > 1 || plan->files[i].exists ? 0 : -1;
    }
    return rc;
}

static int create(mover *m, const h5ck_plan_file *file, int *fd, h5ckpt_error **err)
{
    const char *root = file->companion ? file->companion->stage : m->plan->stage;
    int rc = h5ck_fs_create(root, file->relative, fd, err);
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
        named(m, i, rc, err);
    }
    return rc;
}

static int write_pieces(mover *m, h5ckpt_error **err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < m->plan->piece_count; i++) {
        const h5ck_plan_piece *p = &m->plan->pieces[i];
        rc = named(m, p->file, h5ck_fs_pwrite(m->shared[p->file], p->data, p->len, p->offset, err), err);
    }
    return rc;
}

static size_t file_of(const mover *m, size_t index)
{
    return index < m->plan->move_count ? m->plan->moves[index].file : index - m->plan->move_count;
}

static int open_task(void *user, size_t index, h5ck_carry *y, h5ckpt_error **err)
{
    mover *m = user;
    size_t at = file_of(m, index);
    const h5ck_plan_file *file = &m->plan->files[at];
    if (index < m->plan->move_count) {
        h5ck_plan_move *move = &m->plan->moves[index];
        *y = (h5ck_carry){.fd = -1,
                          .tensor = move->tensor,
                          .packer = move->packer,
                          .offset = move->offset,
                          .algorithm = m->plan->digest,
                          .text = move->digest};
    } else {
        y->offset = file->head_len;
        y->algorithm = H5CKPT_DIGEST_NONE;
    }
    y->start = m->sync;
    y->clones = atomic_load(&m->clones);
    y->fd = m->shared[at];
    if (y->fd >= 0)
        return 0;
    y->head = file->head;
    y->head_len = file->head_len;
    return create(m, file, &y->fd, err);
}

/* A file of its own goes into the batch, or is closed. */
static int close_task(void *user, size_t index, h5ck_carry *y, int rc, h5ckpt_error **err)
{
    mover *m = user;
    size_t file = file_of(m, index);
    if (!y->clones)
        atomic_store(&m->clones, false);
    if (y->fd < 0 || m->shared[file] >= 0)
        return rc;
    if (rc == 0 && m->sync) {
        h5ck_fs_start_writing(y->fd, 0, 0);
        return put_into_batch(m, y->fd, file, err);
    }
    int closed = h5ck_fs_close(y->fd, rc ? NULL : err);
    return rc ? rc : closed;
}

static void blame(void *user, const h5ck_copier *c, size_t index, int rc, h5ckpt_error **err)
{
    mover *m = user;
    if (index < m->plan->move_count && !c->other_failed)
        h5ck_err_where(err, rc, NULL, m->plan->moves[index].tensor->info.name);
    named(m, file_of(m, index), rc, err);
}

/* Packers may be waiting for each other. */
static void stop(void *user)
{
    atomic_store(&((mover *)user)->plan->stopped, true);
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
            rc = named(m, i, h5ck_fs_sync(m->shared[i], err), err);
    for (size_t i = plan->dir_count; m->sync && rc == 0 && i > 0; i--)
        rc = h5ck_fs_sync_dir(plan->stage, plan->dirs[i - 1], err);
    if (rc == 0 && m->sync && plan->is_dir)
        rc = h5ck_fs_sync_dir(plan->stage, NULL, err);
    return rc ? h5ck_err_where(err, rc, plan->target, NULL) : 0;
}

static int close_all(mover *m, int rc, h5ckpt_error **err)
{
    for (size_t i = 0; m->shared && i < m->plan->file_count; i++)
        if (m->shared[i] >= 0) {
            int closed = h5ck_fs_close(m->shared[i], rc ? NULL : err);
            rc = rc ? rc : closed;
        }
    while (m->waiting > 0) /* only after a failure */
        h5ck_fs_close(m->batch[--m->waiting].fd, NULL);
    return rc;
}

int h5ck_move(h5ck_plan *plan, const h5ck_move_options *o, h5ckpt_error **err)
{
    const h5ck_pool_calls calls = {.open = open_task,
                                   .close = close_task,
                                   .blame = blame,
                                   .rest = sync_rest,
                                   .stop = stop,
                                   .free_scratch = plan->free_scratch};
    mover m = {.plan = plan, .sync = o->sync, .clones = true, .lock = PTHREAD_MUTEX_INITIALIZER};
    bool opened = false;
    int rc = make_tasks(&m, &calls, o->jobs, err);
    m.most = batch_size(m.pool.jobs);
    if (rc == 0)
        rc = make_dirs(plan, err);
    if (rc == 0) {
        opened = true;
        rc = open_shared(&m, err);
    }
    if (rc == 0)
        rc = write_pieces(&m, err);
    if (rc == 0)
        rc = h5ck_pool_run(&m.pool, o->progress, o->progress_user, err);
    if (rc == 0)
        rc = finish(&m, err);
    if (opened)
        rc = close_all(&m, rc, err);
    h5ck_pool_free(&m.pool);
    free(m.shared);
    return rc;
}
