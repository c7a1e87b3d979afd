/* h5_chunks - chunked datasets: how one is cut, and the decoder that reads it. Private to the room. */
#ifndef H5CK_HDF5_H5_CHUNKS_H
#define H5CK_HDF5_H5_CHUNKS_H

#include "hdf5/h5_filter.h"

typedef struct h5ck_hdf5_chunks {
    uint64_t chunk[H5CK_MAX_RANK]; /* a chunk's shape */
    uint64_t grid[H5CK_MAX_RANK];  /* how many there are in each axis */
    uint64_t bytes;                /* of one, unpacked, as the file has its elements */
    h5ck_hdf5_filters filters;
    bool whole_only; /* chunks that reach over the shape's edge are stored without filters, whatever their mask says */
    unsigned char fill[16]; /* the element that was never written, as h5ckpt has it */
} h5ck_hdf5_chunks;

/* Of a chunked dataset with this creation list, of elements of `type` in the file. Refused: other filters than those of
 * h5_filter.h, a shuffle of other elements, chunks larger than the file and 64 MiB. The guard is held. */
int h5ck_hdf5_chunks_make(hid_t list, size_t rank, const uint64_t *shape, hid_t type, uint64_t file_size,
                          h5ck_hdf5_chunks *chunks, h5ckpt_error **err);

/* Makes the extent of a chunked dataset; it lives in the state. `plain`: the file's elements are h5ckpt's. The guard is
 * held. */
int h5ck_hdf5_chunks_decoder(h5ckpt_state *state, h5ck_hdf5_reader *reader, const h5ck_hdf5_place *place,
                             const h5ck_dtype *dtype, bool plain, const h5ckpt_tensor_info *info,
                             const h5ck_hdf5_chunks *chunks, h5ck_extent *extent, h5ckpt_error **err);

#endif
