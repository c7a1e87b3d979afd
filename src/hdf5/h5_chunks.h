/*
 * h5_chunks - checks that a chunk unpacks to exactly its size before libhdf5 is let at it (h5_chunks.c says why).
 * Private to the room. Every call needs the guard held.
 */
#ifndef H5CK_HDF5_H5_CHUNKS_H
#define H5CK_HDF5_H5_CHUNKS_H

#include "hdf5/h5.h"

enum { H5CK_HDF5_FILTERS = 8 };

typedef struct h5ck_hdf5_chunks {
    size_t rank;
    hsize_t chunk[H5S_MAX_RANK];  /* a chunk's shape */
    uint64_t grid[H5CK_MAX_RANK]; /* how many there are in each axis */
    uint64_t bytes;               /* of one, unpacked */
    uint64_t file_size;
    H5Z_filter_t filters[H5CK_HDF5_FILTERS]; /* in the order of packing */
    size_t filter_count;
    uint64_t checked_from, checked_to; /* rows of chunks, by the first axis */
} h5ck_hdf5_chunks;

/* Of a chunked dataset with this creation list. Refused: filters other than deflate, shuffle and fletcher32. */
int h5ck_hdf5_chunks_make(hid_t list, size_t rank, const uint64_t *shape, size_t element, uint64_t file_size,
                          h5ck_hdf5_chunks *chunks, h5ckpt_error **err);

/* Checks all chunks that hold indices [first, first + count) of the first axis; count is not 0. */
int h5ck_hdf5_chunks_check(h5ck_hdf5_chunks *chunks, hid_t dataset, uint64_t first, uint64_t count, h5ckpt_error **err);

#endif
