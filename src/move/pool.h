/*
 * pool - threads that carry tensors: each takes the next task, largest first. A tensor that is large, or whose slabs
 * cost more than copying (packed, decoded), is shared: each of its slabs goes to whoever is free. Private to the room.
 *
 * Memory is jobs * 1 MiB whatever the tensors' sizes.
 */
#ifndef H5CK_MOVE_POOL_H
#define H5CK_MOVE_POOL_H

#include "move/copy.h"

#include <pthread.h>

typedef struct h5ck_lot h5ck_lot;

typedef struct h5ck_task {
    uint64_t bytes;
    size_t index;  /* the owner's number for it */
    h5ck_lot *lot; /* not NULL: shared */
} h5ck_task;

/* What the pool asks its owner. Calls come from any thread, several at once, with `user`. */
typedef struct h5ck_pool_calls {
    /* Fills in the first part of a carry, which is all zeros but for fd -1. */
    int (*open)(void *user, size_t index, h5ck_carry *y, h5ckpt_error **err);
    /* After the last slab, or where the task failed (rc): always called once open was. Returns rc or its own failure. */
    int (*close)(void *user, size_t index, h5ck_carry *y, int rc, h5ckpt_error **err);
    /* Adds to an error of this task whose it is. */
    void (*blame)(void *user, const h5ck_copier *c, size_t index, int rc, h5ckpt_error **err);
    /* After that: 0 where the task's failure is noted, *err taken, and the others go on. NULL: it ends all. */
    int (*forgive)(void *user, const h5ck_copier *c, size_t index, int rc, h5ckpt_error **err);
    /* No tasks are left for this thread; NULL for nothing to do. */
    int (*rest)(void *user, h5ckpt_error **err);
    void (*stop)(void *user);            /* something failed: all shall stop, also who waits elsewhere; may be NULL */
    void (*free_scratch)(void *scratch); /* the packers'; may be NULL */
} h5ck_pool_calls;

typedef struct h5ck_pool {
    const h5ck_pool_calls *calls;
    void *user;
    h5ck_task *tasks;
    size_t task_count, next; /* next: under the lock */
    int jobs;
    atomic_ullong done;
    uint64_t total;
    atomic_bool stop; /* set under the lock */
    pthread_mutex_t lock;
    pthread_cond_t finished; /* a thread ended */
    pthread_cond_t moved_on; /* a shared tensor is open, its next slab's turn has come, or all shall stop */
    int running;             /* under the lock */
    int rc;                  /* under the lock: the first failure */
    h5ckpt_error *err;       /* under the lock */
} h5ck_pool;

/* `tasks` has room for that many; `jobs` as in h5ck_move_options. */
int h5ck_pool_init(h5ck_pool *p, const h5ck_pool_calls *calls, void *user, size_t tasks, int jobs, h5ckpt_error **err);

/* Adds a task. `tensor` and `packer` may be NULL. */
int h5ck_pool_add(h5ck_pool *p, size_t index, uint64_t bytes, const h5ckpt_tensor *tensor, const h5ck_packer *packer,
                  h5ckpt_error **err);

/* Carries all of them. The calling thread waits, and reports progress, so that the caller's callback runs where he
 * called us. */
int h5ck_pool_run(h5ck_pool *p, h5ckpt_progress_fn *progress, void *progress_user, h5ckpt_error **err);

void h5ck_pool_free(h5ck_pool *p);

#endif
