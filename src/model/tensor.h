/*
 * tensor - a name, a dtype, a shape, and where the bytes lie (the extent). No tensor owns bytes.
 *
 * An extent is one of: a range of a file (mapped or read when asked), memory of the caller, or a decoder that yields
 * the elements in order where the file has no such bytes (compressed, big-endian, ...).
 */
#ifndef H5CK_MODEL_TENSOR_H
#define H5CK_MODEL_TENSOR_H

#include "base/fs.h"
#include "model/dtype.h"

enum { H5CK_MAX_RANK = 32 };

typedef enum h5ck_extent_kind { H5CK_EXTENT_FILE, H5CK_EXTENT_MEMORY, H5CK_EXTENT_DECODER } h5ck_extent_kind;

/* Yields bytes [offset, offset+n) of the elements, row-major and little-endian. Callers go forward in slabs of at least
 * `slab` bytes where they can. Safe from several threads (it may lock). */
typedef struct h5ck_decoder {
    int (*read)(const struct h5ck_decoder *self, uint64_t offset, void *buf, size_t n, h5ckpt_error **err);
    const char *what; /* "gzip chunks": for --explain */
    size_t slab;
} h5ck_decoder;

/* A file as it was when another one was made to point into it. */
typedef struct h5ck_file_mark {
    int64_t size;
    int64_t mtime; /* h5ck_file_mtime */
} h5ck_file_mark;

typedef struct h5ck_extent {
    h5ck_extent_kind kind;
    h5ck_file *file;            /* of a FILE; for messages also of a DECODER */
    const h5ck_file_mark *mark; /* of `file`, as the source that points into it remembers it; or NULL */
    uint64_t offset;            /* of a FILE */
    const void *memory;
    const h5ck_decoder *decoder;
} h5ck_extent;

enum { H5CK_DIGEST_TEXT = 80 };

struct h5ckpt_tensor {
    h5ckpt_tensor_info info;
    h5ck_extent extent;
    const char *digest;                /* "xxh3-128:<hex>" as the source holds it, or NULL */
    const void *origin;                /* the format's own: where it stands in the source, or NULL */
    struct h5ckpt_tensor *made_before; /* of the same state, or NULL */
    _Atomic(void *) decoded;           /* of a DECODER: the elements, once h5ckpt_tensor_data was called; malloc'd */
    _Atomic(void *) loaded; /* the elements in the state's memory, once h5ckpt_load was called: no file is needed */
};

/* The one validator: computes info->nbytes, refuses unknown dtypes, rank over H5CK_MAX_RANK, sizes that overflow, LoD
 * that does not ascend from 0 or whose last level's end is not the first dimension, and a file range that is not inside
 * its file. */
int h5ck_tensor_check(h5ckpt_tensor_info *info, const h5ck_extent *extent, h5ckpt_error **err);

/* Whether the extent's file is still as its mark says; true where there is no mark. */
bool h5ck_extent_fits_mark(const h5ck_extent *extent);

/* The number of bytes of a shape; overflow is H5CKPT_INVALID. */
int h5ck_tensor_nbytes(const h5ck_dtype *dtype, size_t rank, const uint64_t *shape, uint64_t *nbytes,
                       h5ckpt_error **err);

#endif
