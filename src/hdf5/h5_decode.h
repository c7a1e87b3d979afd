/* h5_decode - elements that are no plain range of their own file: decoders of what is not chunked and what all decoders
 * of a file use, and ranges of other files. Private to the room. */
#ifndef H5CK_HDF5_H5_DECODE_H
#define H5CK_HDF5_H5_DECODE_H

#include "hdf5/h5.h"

/* The open dataset of a decoder, which stands at `place`; negative where it cannot be opened. Closed by the reader. The
 * guard is held. */
hid_t h5ck_hdf5_reader_dataset(h5ck_hdf5_reader *reader, const h5ck_decoder *owner, const h5ck_hdf5_place *place);

/* The first range of a dataset's external storage. */
typedef struct h5ck_hdf5_segment {
    int count; /* of all ranges; 0: the dataset has none */
    char name[4097];
    uint64_t offset, size; /* H5F_UNLIMITED: to the end of the file */
} h5ck_hdf5_segment;

/* h5_external.c: reads it from the list that a dataset of `count` ranges was created with; makes an extent of it, where
 * `x` (NULL for a reader without leave) allows that. */
int h5ck_hdf5_segment_read(hid_t list, int count, h5ck_hdf5_segment *segment, h5ckpt_error **err);
int h5ck_hdf5_external_extent(h5ckpt_state *state, h5ck_hdf5_external *x, const h5ck_hdf5_segment *segment, bool plain,
                              const h5ckpt_tensor_info *info, h5ck_extent *extent, h5ckpt_error **err);
/* Appends a line a range. */
void h5ck_hdf5_external_explain(hid_t list, int count, h5ck_buf *out);

/* Makes the extent of a dataset without chunks that is decoded; it lives in the state. */
int h5ck_hdf5_decoder_make(h5ckpt_state *state, h5ck_hdf5_reader *reader, const h5ck_hdf5_place *place,
                           const h5ck_dtype *dtype, const h5ckpt_tensor_info *info, h5ck_extent *extent,
                           h5ckpt_error **err);

#endif
