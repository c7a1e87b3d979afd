/*
 * check.c - the mover without a target: the pool's threads read each tensor and digest it. What is wrong with one tensor
 * is kept with it and the others go on, for whoever verifies wants to hear of all.
 */
#include "move/check.h"

#include "move/pool.h"

#include <stdlib.h>
#include <string.h>

static int open_task(void *user, size_t index, h5ck_carry *y, h5ckpt_error **err)
{
    h5ck_check *k = &((h5ck_check *)user)[index];
    const char *given = k->tensor->digest;
    (void)err;
    y->tensor = k->tensor;
    y->unchecked = true; /* close_task does it, to keep what was found */
    y->algorithm = H5CKPT_DIGEST_NONE;
    if (given && h5ck_digest_parse(given, &y->algorithm) == H5CK_DIGEST_KNOWN && h5ck_digest_available(y->algorithm))
        y->text = k->found;
    else
        y->algorithm = H5CKPT_DIGEST_NONE;
    return 0;
}

static int close_task(void *user, size_t index, h5ck_carry *y, int rc, h5ckpt_error **err)
{
    h5ck_check *k = &((h5ck_check *)user)[index];
    (void)err;
    if (rc == 0 && y->text) {
        k->held = true;
        k->differs = strcmp(k->found, k->tensor->digest) != 0;
    }
    return rc;
}

static void blame(void *user, const h5ck_copier *c, size_t index, int rc, h5ckpt_error **err)
{
    const h5ckpt_tensor *t = ((const h5ck_check *)user)[index].tensor;
    if (!c->other_failed)
        h5ck_err_where(err, rc, NULL, t->info.name);
    if (!c->other_failed && t->extent.file)
        h5ck_file_where(err, rc, t->extent.file);
}

/* What is not valid is a finding; what the system refuses is a failure. */
static int forgive(void *user, const h5ck_copier *c, size_t index, int rc, h5ckpt_error **err)
{
    h5ck_check *k = &((h5ck_check *)user)[index];
    if (rc != H5CKPT_INVALID || c->other_failed)
        return rc;
    k->err = *err;
    *err = NULL;
    return 0;
}

int h5ck_checks_run(h5ck_check *checks, size_t count, const h5ck_move_options *o, h5ckpt_error **err)
{
    const h5ck_pool_calls calls = {.open = open_task, .close = close_task, .blame = blame, .forgive = forgive};
    h5ck_pool pool;
    int rc = h5ck_pool_init(&pool, &calls, checks, count, o->jobs, err);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = h5ck_pool_add(&pool, i, checks[i].tensor->info.nbytes, checks[i].tensor, NULL, err);
    if (rc == 0)
        rc = h5ck_pool_run(&pool, o->progress, o->progress_user, err);
    h5ck_pool_free(&pool);
    return rc;
}

void h5ck_checks_free(h5ck_check *checks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        h5ckpt_error_free(checks[i].err);
}
