/* npy_tensor - what npz and npy share: a tensor from a .npy header, and words on what these formats cannot hold. */
#ifndef H5CK_FORMAT_NPY_TENSOR_H
#define H5CK_FORMAT_NPY_TENSOR_H

#include "base/log.h"
#include "model/state.h"
#include "parse/npy.h"

/* How many bytes of elements follow the header. */
int h5ck_npy_nbytes(const h5ck_npy *npy, uint64_t *nbytes, h5ckpt_error **err);

/* Adds a parameter whose elements lie in `extent`, stored as the header says; `digest` is of them as they are stored,
 * or NULL. `origin` is borrowed. */
int h5ck_npy_add_tensor(h5ckpt_state *state, const char *name, const h5ck_npy *npy, const h5ck_extent *extent,
                        const char *digest, const void *origin, h5ckpt_error **err);

/* Appends a line on the header and one on the elements, for explain(). */
void h5ck_npy_explain(const h5ck_npy *npy, uint64_t header, h5ck_buf *out);

/* One line for each kind of thing in the state that has no place in arrays. */
void h5ck_npy_note_lost(const h5ckpt_state *state, const char *what, const char *target, const h5ck_log *log);

#endif
