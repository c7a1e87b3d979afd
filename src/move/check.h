/*
 * check - tensors read through by threads, and held against their digests; nothing is written. Memory is jobs * 1 MiB
 * and what is told of each tensor.
 */
#ifndef H5CK_MOVE_CHECK_H
#define H5CK_MOVE_CHECK_H

#include "move/move.h"

typedef struct h5ck_check {
    const h5ckpt_tensor *tensor;
    bool held;                    /* set: it has a digest that this build can compute, and was held against it, */
    bool differs;                 /* and does not fit: */
    char found[H5CK_DIGEST_TEXT]; /* the digest of the elements */
    h5ckpt_error *err;            /* set where the elements cannot be had (H5CKPT_INVALID) */
} h5ck_check;

/* Fills in what became of each. A refusal of the system, or the caller's progress function, ends it all: that alone is
 * an error. What was filled in is freed by h5ck_checks_free in any case. */
int h5ck_checks_run(h5ck_check *checks, size_t count, const h5ck_move_options *options, h5ckpt_error **err);
void h5ck_checks_free(h5ck_check *checks, size_t count);

#endif
