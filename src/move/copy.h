/*
 * copy - one tensor from its extent to its place: what a thread of the mover does. Private to the room.
 */
#ifndef H5CK_MOVE_COPY_H
#define H5CK_MOVE_COPY_H

#include "move/digest.h"
#include "move/plan.h"

/* A thread's tools: its buffer, its digests, and the source file it has open. */
typedef struct h5ck_copier {
    unsigned char *buf;      /* H5CK_COPY_SLAB bytes */
    h5ck_digest *digests[2]; /* by h5ckpt_digest: XXH3, SHA256; made when first needed */
    void *scratch;           /* the packers' */
    const h5ck_file *file;   /* open as `fd`, or NULL */
    h5ck_fs_folder folder;   /* of the one before */
    bool other_failed;       /* the failure is of the file before, not of this tensor */
    int fd;
    atomic_ullong *done; /* bytes moved by all threads */
    atomic_bool *stop;   /* set: give up */
} h5ck_copier;

int h5ck_copier_init(h5ck_copier *c, atomic_ullong *done, atomic_bool *stop, h5ckpt_error **err);
/* Closes the source file, after checking that it did not change while it was read. */
int h5ck_copier_close_source(h5ck_copier *c, h5ckpt_error **err);
void h5ck_copier_free(h5ck_copier *c);

/* Writes the file's head (where `with_head`) and the tensor's elements to `target`, computes move->digest where
 * `algorithm` asks for one, and holds the elements against the digest that the source has. */
int h5ck_copy(h5ck_copier *c, h5ck_plan_move *move, const h5ck_plan_file *file, bool with_head, int target,
              h5ckpt_digest algorithm, h5ckpt_error **err);

#endif
