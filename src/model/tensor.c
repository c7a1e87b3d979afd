/* tensor.c - the one validator. No tensor enters a state, and so no byte moves, without passing here. */
#include "model/tensor.h"

#include "base/ckd.h"

#include <inttypes.h>

int h5ck_tensor_nbytes(const h5ck_dtype *dtype, size_t rank, const uint64_t *shape, uint64_t *nbytes,
                       h5ckpt_error **err)
{
    uint64_t n = dtype->size;
    bool empty = false;
    if (rank > H5CK_MAX_RANK)
        return h5ck_fail(err, H5CKPT_INVALID, "expected at most %d dimensions, found %zu", H5CK_MAX_RANK, rank);
    for (size_t i = 0; i < rank; i++) {
        if (shape[i] > INT64_MAX)
            return h5ck_fail(err, H5CKPT_INVALID, "expected dimension %zu of at most 2^63-1, found %" PRIu64, i,
                             shape[i]);
        empty |= shape[i] == 0;
    }
    for (size_t i = 0; i < rank && !empty; i++)
        if (h5ck_ckd_mul(n, shape[i], &n) || n > INT64_MAX)
            return h5ck_fail(err, H5CKPT_INVALID, "expected a shape of at most 2^63-1 bytes, found one that overflows");
    *nbytes = empty ? 0 : n;
    return 0;
}

/* Offsets index the level below, the last level's index rows: a program that follows them must stay inside. */
static int check_lod(const h5ckpt_tensor_info *info, h5ckpt_error **err)
{
    for (size_t l = 0; l < info->lod_levels; l++) {
        const h5ckpt_lod_level *level = &info->lod[l];
        bool last = l + 1 == info->lod_levels;
        uint64_t end = last ? (info->rank ? info->shape[0] : 1) : info->lod[l + 1].count;
        if (level->count == 0)
            return h5ck_fail(err, H5CKPT_INVALID, "LoD level %zu: expected offsets, found none", l);
        if (!last && end > 0)
            end--; /* n offsets bound n-1 sequences */
        if (level->offsets[0] != 0)
            return h5ck_fail(err, H5CKPT_INVALID, "LoD level %zu: expected the first offset 0, found %" PRIu64, l,
                             level->offsets[0]);
        for (size_t i = 1; i < level->count; i++)
            if (level->offsets[i] < level->offsets[i - 1])
                return h5ck_fail(err, H5CKPT_INVALID,
                                 "LoD level %zu: expected ascending offsets, found %" PRIu64 " after %" PRIu64, l,
                                 level->offsets[i], level->offsets[i - 1]);
        if (level->offsets[level->count - 1] != end)
            return h5ck_fail(err, H5CKPT_INVALID, "LoD level %zu: expected the last offset %" PRIu64 ", found %" PRIu64,
                             l, end, level->offsets[level->count - 1]);
    }
    return 0;
}

int h5ck_tensor_check(h5ckpt_tensor_info *info, const h5ck_extent *extent, h5ckpt_error **err)
{
    const h5ck_dtype *dtype = h5ck_dtype_get(info->dtype);
    if (!dtype)
        return h5ck_fail(err, H5CKPT_INVALID, "expected an element type, found the code %d", (int)info->dtype);
    int rc = h5ck_tensor_nbytes(dtype, info->rank, info->shape, &info->nbytes, err);
    if (rc == 0)
        rc = check_lod(info, err);
    if (rc)
        return rc;
    uint64_t end;
    if (extent->kind == H5CK_EXTENT_FILE &&
        (h5ck_ckd_add(extent->offset, info->nbytes, &end) || end > extent->file->size))
        return h5ck_fail_at(err, extent->offset, "expected %" PRIu64 " bytes of data, found %" PRIu64, info->nbytes,
                            extent->file->size > extent->offset ? extent->file->size - extent->offset : 0);
    if (extent->kind == H5CK_EXTENT_MEMORY && info->nbytes && !extent->memory)
        return h5ck_fail(err, H5CKPT_USAGE, "expected %" PRIu64 " bytes of data, found a NULL pointer", info->nbytes);
    return 0;
}

bool h5ck_extent_fits_mark(const h5ck_extent *e)
{
    return !e->mark || ((uint64_t)e->mark->size == e->file->size && e->mark->mtime == h5ck_file_mtime(e->file));
}

const h5ckpt_tensor_info *h5ckpt_tensor_get_info(const h5ckpt_tensor *tensor)
{
    return &tensor->info;
}
