/* fmt_hdf5_pack - the packed datasets of a file being written: for fmt_hdf5_write.c. */
#ifndef H5CK_FORMAT_FMT_HDF5_PACK_H
#define H5CK_FORMAT_FMT_HDF5_PACK_H

#include "format/fmt_hdf5.h"

#include <pthread.h>

typedef struct h5ck_fmt_hdf5_packed h5ck_fmt_hdf5_packed; /* one dataset */

typedef struct h5ck_fmt_hdf5_chunk h5ck_fmt_hdf5_chunk;

enum { H5CK_FMT_HDF5_HELD = 16 };

/* All of them. It keeps libhdf5's file open until the chunks are known. */
typedef struct h5ck_fmt_hdf5_packs {
    h5ck_hdf5_file file;
    const h5ck_plan *plan;
    h5ck_fmt_hdf5_packed *first, *last;
    size_t count;
    pthread_mutex_t lock;
    pthread_cond_t moved_on;
    uint64_t turn, next; /* under the lock: whose chunk is placed next, and where */
    struct {
        h5ck_fmt_hdf5_chunk *chunk; /* NULL: free */
        unsigned char *bytes;
    } held[H5CK_FMT_HDF5_HELD]; /* under the lock: chunks that were done before their turn, which is the index modulo */
    bool started;
} h5ck_fmt_hdf5_packs;

/* In the plan's arena; the caller opens and closes ->file. */
h5ck_fmt_hdf5_packs *h5ck_fmt_hdf5_packs_new(h5ck_plan *plan);

/* How a tensor is packed; *packed is NULL where it better stays as it is. `list` is how other datasets are made. *own is
 * the list for this one, which the caller closes. */
int h5ck_fmt_hdf5_pack(h5ck_fmt_hdf5_packs *packs, h5ck_plan *plan, const h5ckpt_tensor *tensor, hid_t list,
                       h5ck_fmt_hdf5_packed **packed, hid_t *own, h5ckpt_error **err);

/* Plans the move of a dataset that was made so. */
int h5ck_fmt_hdf5_pack_move(h5ck_fmt_hdf5_packed *packed, h5ck_plan *plan, const h5ckpt_tensor *tensor, size_t file,
                            hid_t dataset, h5ckpt_error **err);

/* All datasets are made: from here on the mover packs. And after it: tells libhdf5 where the chunks are. Last, in any
 * case: frees what the arena does not. */
int h5ck_fmt_hdf5_packs_start(h5ck_fmt_hdf5_packs *packs, h5ck_plan *plan, h5ckpt_error **err);
int h5ck_fmt_hdf5_packs_finish(h5ck_fmt_hdf5_packs *packs, h5ckpt_error **err);
void h5ck_fmt_hdf5_packs_end(h5ck_fmt_hdf5_packs *packs);

#endif
