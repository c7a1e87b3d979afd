/* h5_decode - decoders of what is not chunked, and what all decoders of a file use. Private to the room. */
#ifndef H5CK_HDF5_H5_DECODE_H
#define H5CK_HDF5_H5_DECODE_H

#include "hdf5/h5.h"

/* The open dataset of a decoder, which stands at `place`; negative where it cannot be opened. Closed by the reader. The
 * guard is held. */
hid_t h5ck_hdf5_reader_dataset(h5ck_hdf5_reader *reader, const h5ck_decoder *owner, const h5ck_hdf5_place *place);

/* Makes the extent of a dataset without chunks that is decoded; it lives in the state. */
int h5ck_hdf5_decoder_make(h5ckpt_state *state, h5ck_hdf5_reader *reader, const h5ck_hdf5_place *place,
                           const h5ck_dtype *dtype, const h5ckpt_tensor_info *info, h5ck_extent *extent,
                           h5ckpt_error **err);

#endif
