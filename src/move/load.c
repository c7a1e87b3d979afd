/*
 * load.c - reading the elements of a dictionary into memory: the pool's threads read each tensor straight into its
 * place, and digest it there while it is in the processor's cache.
 *
 * One mapping for all tensors, in huge pages where the system has them: filling it costs a page fault each 2 MiB in
 * place of one each 4 KiB, which would take longer than the reading. Tensors begin at 64 bytes, a cache line, and what
 * the widest vector instructions like. The state gets the mapping, and its tensors their addresses, only after all was
 * read and found right.
 */
#include "move/move.h"

#include "base/ckd.h"
#include "move/pool.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { ALIGNMENT = 64, HUGE_PAGE = 2 << 20 };

/* Memory of a state. */
typedef struct arena {
    void *map;
    size_t size;
    unsigned char *start; /* at a huge page */
} arena;

typedef struct loader {
    const h5ckpt_tensors *tensors;
    void *const *buffers; /* or NULL: */
    arena *arena;
    uint64_t *offsets; /* in the arena, by tensor */
    bool check;
    h5ck_pool pool;
} loader;

/* ---- The arena ---- */

static void unmap(void *what)
{
    arena *a = what;
    if (a->map)
        munmap(a->map, a->size);
    a->map = NULL;
}

static int map(arena *a, uint64_t n, h5ckpt_error **err)
{
    uint64_t size;
    if (h5ck_ckd_add(n, (uint64_t)HUGE_PAGE, &size) || size > SIZE_MAX)
        return h5ck_fail_nomem(err);
    void *p = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return h5ck_fail(err, H5CKPT_SYSTEM, "cannot get memory for %" PRIu64 " bytes of tensors", n);
    a->map = p;
    a->size = (size_t)size;
    a->start = (unsigned char *)p + (HUGE_PAGE - (uintptr_t)p % HUGE_PAGE) % HUGE_PAGE;
#ifdef MADV_HUGEPAGE
    madvise(p, (size_t)size, MADV_HUGEPAGE); /* where it is refused, small pages do */
#endif
    return 0;
}

/* Places for all that does not lie in memory yet. The state unmaps them in the end, whatever comes of the load. */
static int make_arena(loader *l, h5ckpt_error **err)
{
    h5ckpt_state *state = l->tensors->state;
    uint64_t n = 0;
    l->offsets = calloc(l->tensors->dict.count + 1, sizeof *l->offsets);
    l->arena = h5ck_arena_zalloc(&state->arena, 1, sizeof *l->arena);
    if (!l->offsets || !l->arena)
        return h5ck_fail_nomem(err);
    for (size_t i = 0; i < l->tensors->dict.count; i++) {
        const h5ckpt_tensor *t = l->tensors->dict.entries[i].value;
        l->offsets[i] = n;
        if (h5ck_move_in_memory(t))
            continue;
        if (h5ck_ckd_add(n, t->info.nbytes, &n) || h5ck_ckd_add(n, (uint64_t)ALIGNMENT - 1, &n))
            return h5ck_fail_nomem(err);
        n -= n % ALIGNMENT;
    }
    int rc = h5ck_state_on_close(state, unmap, l->arena, err);
    return rc || n == 0 ? rc : map(l->arena, n, err);
}

/* ---- The pool's calls ---- */

static int open_task(void *user, size_t index, h5ck_carry *y, h5ckpt_error **err)
{
    loader *l = user;
    (void)err;
    y->tensor = l->tensors->dict.entries[index].value;
    y->memory = l->buffers ? l->buffers[index] : l->arena->start + l->offsets[index];
    y->algorithm = H5CKPT_DIGEST_NONE;
    y->unchecked = !l->check;
    return 0;
}

static int close_task(void *user, size_t index, h5ck_carry *y, int rc, h5ckpt_error **err)
{
    (void)user, (void)index, (void)y, (void)err;
    return rc;
}

static void blame(void *user, const h5ck_copier *c, size_t index, int rc, h5ckpt_error **err)
{
    const loader *l = user;
    const h5ckpt_tensor *t = l->tensors->dict.entries[index].value;
    if (!c->other_failed)
        h5ck_err_where(err, rc, NULL, t->info.name);
}

static int add_tasks(loader *l, h5ckpt_error **err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < l->tensors->dict.count; i++) {
        const h5ckpt_tensor *t = l->tensors->dict.entries[i].value;
        if (t->info.nbytes && (l->buffers ? l->buffers[i] != NULL : !h5ck_move_in_memory(t)))
            rc = h5ck_pool_add(&l->pool, i, t->info.nbytes, t, NULL, err);
    }
    return rc;
}

/* The tensors learn where they lie. */
static void publish(const loader *l)
{
    for (size_t i = 0; i < l->tensors->dict.count; i++) {
        h5ckpt_tensor *t = l->tensors->dict.entries[i].value;
        if (t->info.nbytes && !h5ck_move_in_memory(t))
            atomic_store(&t->loaded, l->arena->start + l->offsets[i]);
    }
}

int h5ck_move_load(const h5ckpt_tensors *tensors, void *const *buffers, bool check, const h5ck_move_options *o,
                   h5ckpt_error **err)
{
    const h5ck_pool_calls calls = {.open = open_task, .close = close_task, .blame = blame};
    loader l = {.tensors = tensors, .buffers = buffers, .check = check};
    int rc = h5ck_pool_init(&l.pool, &calls, &l, tensors->dict.count, o->jobs, err);
    if (rc == 0 && !buffers)
        rc = make_arena(&l, err);
    if (rc == 0)
        rc = add_tasks(&l, err);
    if (rc == 0)
        rc = h5ck_pool_run(&l.pool, o->progress, o->progress_user, err);
    if (rc == 0 && !buffers)
        publish(&l);
    else if (l.arena)
        unmap(l.arena);
    h5ck_pool_free(&l.pool);
    free(l.offsets);
    return rc;
}
