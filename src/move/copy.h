/*
 * copy - one tensor from its extent to its place, slab by slab: what a thread of the pool does. Private to the room.
 *
 * A slab is read, digested, and written, by h5ck_copy_read, _digest and _write in this order. Slabs of one tensor may be
 * read and written by several threads at once; they are digested one after another, from the first on.
 */
#ifndef H5CK_MOVE_COPY_H
#define H5CK_MOVE_COPY_H

#include "move/digest.h"
#include "move/plan.h"

/* A thread's tools: its buffer, its digests, and the source file it has open. */
typedef struct h5ck_copier {
    unsigned char *buf;                      /* H5CK_COPY_SLAB bytes */
    h5ck_digest *digests[H5CK_DIGEST_KINDS]; /* made when first needed */
    void *scratch;                           /* the packers' */
    const h5ck_file *file;                   /* open as `fd`, or NULL */
    h5ck_fs_folder folder;                   /* of the one before */
    bool other_failed;                       /* the failure is of the file before, not of this tensor */
    int fd;
} h5ck_copier;

int h5ck_copier_init(h5ck_copier *c, h5ckpt_error **err);
/* Closes the source file, after checking that it did not change while it was read. */
int h5ck_copier_close_source(h5ck_copier *c, h5ckpt_error **err);
void h5ck_copier_free(h5ck_copier *c);

/* One tensor on its way. Who makes it sets the first part; the second is copy.c's. */
typedef struct h5ck_carry {
    const h5ckpt_tensor *tensor; /* NULL: only a head */
    const h5ck_packer *packer;   /* NULL: the elements go to their place as they are */
    int fd;                      /* the target; -1, and no packer nor memory: the elements are only read */
    uint64_t offset;             /* of the elements in it */
    unsigned char *memory;       /* not NULL: the elements go there, and to no file */
    const void *head;            /* the first bytes of the file, written along; NULL where there are none to write */
    size_t head_len;
    h5ckpt_digest algorithm; /* to be computed: H5CKPT_DIGEST_NONE, or into `text` */
    char *text;              /* H5CK_DIGEST_TEXT bytes, or NULL */
    bool unchecked;          /* the source's digest is of no interest */
    bool start;              /* what is written shall be on its way to the disk at once */
    bool clones;             /* the target's file system may share blocks with the source's */

    uint64_t cloned;                     /* so many bytes are in their place without a copy */
    size_t head_left;                    /* of the head, to go out in the first write */
    h5ck_digest *store, *check;          /* the digest to store, and the one to hold against the source's: often one */
    h5ck_digest *own[H5CK_DIGEST_KINDS]; /* those of them that are not a thread's */
} h5ck_carry;

/* How many slabs it takes; at least one. */
uint64_t h5ck_copy_slabs(const h5ck_carry *y);

/* Before the first slab: digests, the head where it cannot go along, cloning. The digests are the thread's, or where
 * `shared` by several threads the tensor's own. */
int h5ck_copy_begin(h5ck_copier *c, h5ck_carry *y, bool shared, h5ckpt_error **err);
int h5ck_copy_read(h5ck_copier *c, const h5ck_carry *y, uint64_t slab, const unsigned char **data, size_t *n,
                   h5ckpt_error **err);
void h5ck_copy_digest(const h5ck_carry *y, const unsigned char *data, size_t n);
int h5ck_copy_write(h5ck_copier *c, const h5ck_carry *y, uint64_t slab, const unsigned char *data, size_t n,
                    h5ckpt_error **err);
/* After the last slab: the digest as text, and held against the source's. */
int h5ck_copy_end(h5ck_carry *y, h5ckpt_error **err);
/* In any case. */
void h5ck_copy_free(h5ck_carry *y);

#endif
