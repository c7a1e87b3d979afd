/*
 * move - the only code that moves tensor bytes: a pool of threads, each with one buffer; each tensor is read in slabs,
 * digested, checked against the digest its source holds, and written, or left in memory. Memory of a conversion is
 * jobs * 1 MiB whatever the model's size.
 */
#ifndef H5CK_MOVE_MOVE_H
#define H5CK_MOVE_MOVE_H

#include "move/plan.h"

typedef struct h5ck_move_options {
    int jobs; /* 0: as many as cores, at most 8 */
    bool sync;
    h5ckpt_progress_fn *progress;
    void *progress_user;
} h5ck_move_options;

/* Carries out a plan: folders, files, moves, finish, fsync. On failure what was made stays for the caller to remove. */
int h5ck_move(h5ck_plan *plan, const h5ck_move_options *options, h5ckpt_error **err);

/* Reads bytes [offset, offset+n) of a tensor's elements from wherever they lie. */
int h5ck_move_read(const h5ckpt_tensor *tensor, uint64_t offset, void *buf, size_t n, h5ckpt_error **err);

/* The elements as memory: the caller's, loaded, mapped, or decoded once. NULL on failure. */
const void *h5ck_move_data(const h5ckpt_tensor *tensor, h5ckpt_error **err);

/* The elements where they lie in memory already: the caller's, or loaded. NULL where they do not. */
const unsigned char *h5ck_move_in_memory(const h5ckpt_tensor *tensor);

/* Reads all tensors of a dictionary: into `buffers` (one a tensor; NULL leaves it out), or where that is NULL into
 * memory of its state, where h5ck_move_data finds them from then on. `check`: holds them against the source's
 * digests. */
int h5ck_move_load(const h5ckpt_tensors *tensors, void *const *buffers, bool check, const h5ck_move_options *options,
                   h5ckpt_error **err);

#endif
