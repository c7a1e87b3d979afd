/* npy - the header of NumPy's .npy files: which elements follow, and how. Its bytes read and written. */
#ifndef H5CK_PARSE_NPY_H
#define H5CK_PARSE_NPY_H

#include "base/buf.h"
#include "model/tensor.h"

enum { H5CK_NPY_FIRST = 12 }; /* so many bytes say how long the header is */

typedef struct h5ck_npy {
    h5ckpt_dtype dtype;
    bool big_endian, fortran; /* the order of a number's bytes; of the axes: the first one varies fastest */
    size_t rank;
    uint64_t shape[H5CK_MAX_RANK];
    unsigned version; /* 1, 2 or 3 */
    size_t length;    /* of the header: where the elements begin */
} h5ck_npy;

/* True where a file's first bytes are a .npy file's. */
bool h5ck_npy_begins(const unsigned char *head, size_t n);

/* The header's length, from the first bytes (H5CK_NPY_FIRST, or all of a shorter file). `base` is where they lie in the
 * file, for messages. */
int h5ck_npy_length(const unsigned char *first, size_t n, uint64_t base, size_t *length, h5ckpt_error **err);

/* The header itself, of that length. What is no header, or of elements that are no plain numbers, is H5CKPT_INVALID. */
int h5ck_npy_read(const unsigned char *header, size_t length, uint64_t base, h5ck_npy *npy, h5ckpt_error **err);

/* Appends what np.save writes for a C-contiguous array of this dtype and shape. */
void h5ck_npy_write(const h5ckpt_tensor_info *info, h5ck_buf *out);

#endif
