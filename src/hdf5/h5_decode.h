/* h5_decode - decoders, and how a dataset is stored that needs one. Private to the room. */
#ifndef H5CK_HDF5_H5_DECODE_H
#define H5CK_HDF5_H5_DECODE_H

#include "hdf5/h5_chunks.h"

typedef struct h5ck_hdf5_storage {
    H5D_layout_t layout;
    int filters;
    hsize_t chunk[H5CK_MAX_RANK];
    uint64_t chunk_bytes;
    h5ck_hdf5_chunks chunks;
} h5ck_hdf5_storage;

/* Makes the extent of a dataset that is decoded; it lives in the state. */
int h5ck_hdf5_decoder_make(h5ckpt_state *state, h5ck_hdf5_reader *reader, const h5ck_hdf5_place *place,
                           const h5ck_dtype *dtype, const h5ckpt_tensor_info *info, const h5ck_hdf5_storage *storage,
                           h5ck_extent *extent, h5ckpt_error **err);

#endif
