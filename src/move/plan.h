/*
 * plan - what a format wants written, and nothing of how: files with their header bytes, and which tensor's elements go
 * to which file at which offset. The mover (move.h) does the rest.
 *
 * A target is one file (HDF5: its skeleton is made by libhdf5 at `stage`, tensors are moved into it, then finish()
 * writes what only the move could tell: the digests) or a folder of files, each a header and one tensor. A file may have
 * companions, files beside it that belong to it (x.pdparams and x.pdopt): they get their names before the target does.
 * All strings and headers live in the plan's arena.
 */
#ifndef H5CK_MOVE_PLAN_H
#define H5CK_MOVE_PLAN_H

#include "base/arena.h"
#include "base/fs.h"
#include "base/log.h"
#include "model/state.h"

enum { H5CK_COPY_SLAB = 1 << 20 }; /* what a thread of the mover holds of a tensor at a time */

/* A file beside the target, in the same folder. */
typedef struct h5ck_companion {
    const char *path;  /* the final one */
    const char *stage; /* where it is built */
    /* Of who publishes: */
    h5ck_fs_stat seen; /* what stood there when it was looked at */
    const char *aside; /* where that waits until all is published; NULL: there is none */
    bool published;
} h5ck_companion;

typedef struct h5ck_plan_file {
    const char *relative;      /* below stage; NULL: stage itself */
    h5ck_companion *companion; /* not NULL: it is this one, and `relative` is NULL */
    const void *head;          /* header bytes, written at 0 */
    size_t head_len;
    uint64_t size; /* the finished file's */
    bool exists;   /* the format made it already (HDF5's skeleton) */
} h5ck_plan_file;

/* Bytes of a file's own between the elements of its tensors. */
typedef struct h5ck_plan_piece {
    size_t file; /* index into files */
    uint64_t offset;
    const void *data;
    size_t len;
} h5ck_plan_piece;

/* How elements are stored where the file does not hold them as they are: packed, in pieces of one size (HDF5's
 * chunks). */
typedef struct h5ck_packer {
    size_t piece; /* bytes of elements in one, at most H5CK_COPY_SLAB; the last may be shorter */
    /* Packs and stores piece `index`. Called by several threads at once, each with another piece. Threads begin moves
     * with the most bytes first and else in the plan's order, pieces in theirs, and one only when done with the one
     * before: so put() may wait for pieces that come before its own, until plan->stopped.
     * *scratch is the thread's, NULL at first; what a packer puts there is freed by the plan's free_scratch. */
    int (*put)(const struct h5ck_packer *self, uint64_t index, const void *data, size_t n, void **scratch,
               h5ckpt_error **err);
} h5ck_packer;

typedef struct h5ck_plan_move {
    const h5ckpt_tensor *tensor;
    const h5ck_packer *packer;     /* NULL: the elements go to `offset` as they are */
    size_t file;                   /* index into files */
    uint64_t offset;               /* of the elements in that file */
    char digest[H5CK_DIGEST_TEXT]; /* set by the mover; "" for none */
} h5ck_plan_move;

typedef struct h5ck_plan {
    h5ck_arena arena;
    const char *target;       /* the final path, for messages */
    const char *stage;        /* where it is built: a sibling of the target; set by the caller of plan() */
    h5ckpt_digest digest;     /* what the format will store; H5CKPT_DIGEST_NONE where it stores none */
    h5ckpt_compress compress; /* how; the format can (h5ck_format's `packs`) */
    int compress_level;
    h5ckpt_link link;  /* whether, and how, it points at the source's files; the format can (h5ck_format's `links`) */
    bool digest_links; /* the digest of what it points at is to be computed too, not only carried over */
    const struct h5ck_schema *schema;
    h5ck_log log; /* for what the format cannot hold */
    bool is_dir;
    size_t dir_count, dir_room;
    const char **dirs; /* folders below stage, parents first */
    size_t file_count, file_room;
    h5ck_plan_file *files;
    size_t piece_count, piece_room;
    h5ck_plan_piece *pieces;
    size_t move_count, move_room;
    h5ck_plan_move *moves;
    atomic_bool stopped; /* set by the mover: some thread failed, and nobody waits for it */
    /* Both may be NULL. finish: after the moves, before fsync. discard: frees `user` in any case, called last. */
    int (*finish)(struct h5ck_plan *plan, h5ckpt_error **err);
    void (*free_scratch)(void *scratch); /* of the packers; NULL where there are none */
    void (*discard)(struct h5ck_plan *plan);
    void *user;
} h5ck_plan;

/* Makes the companion that will stand at `path` (the target's folder and a name); for h5ck_plan_file's. */
int h5ck_plan_new_companion(h5ck_plan *plan, const char *path, h5ck_companion **companion, h5ckpt_error **err);

/* Append; strings and bytes are borrowed (put them into plan->arena). */
int h5ck_plan_add_dir(h5ck_plan *plan, const char *relative, h5ckpt_error **err);
int h5ck_plan_add_file(h5ck_plan *plan, const h5ck_plan_file *file, size_t *index, h5ckpt_error **err);
int h5ck_plan_add_move(h5ck_plan *plan, const h5ckpt_tensor *tensor, size_t file, uint64_t offset, h5ckpt_error **err);
int h5ck_plan_add_piece(h5ck_plan *plan, size_t file, uint64_t offset, const void *data, size_t len,
                        h5ckpt_error **err);
void h5ck_plan_free(h5ck_plan *plan); /* calls discard */

#endif
