/*
 * npy_tensor.c - arrays as NumPy stores them are tensors as they are, unless they are in Fortran order or big-endian:
 * then the tensor is a view (move/view.h) of the stored elements, which count as a row. The digest stays with what is
 * stored; the view checks it before it gives the first element.
 */
#include "format/npy_tensor.h"

#include "move/view.h"

#include <inttypes.h>

int h5ck_npy_nbytes(const h5ck_npy *npy, uint64_t *nbytes, h5ckpt_error **err)
{
    return h5ck_tensor_nbytes(h5ck_dtype_get(npy->dtype), npy->rank, npy->shape, nbytes, err);
}

/* True where the order of the axes makes a difference. */
static bool is_transposed(const h5ck_npy *npy)
{
    size_t long_axes = 0;
    for (size_t i = 0; i < npy->rank; i++)
        long_axes += npy->shape[i] > 1;
    return npy->fortran && long_axes > 1;
}

static int make_view(h5ckpt_state *state, const h5ckpt_tensor_info *info, const h5ck_npy *npy,
                     const h5ck_extent *stored, uint64_t nbytes, const char *digest, h5ck_extent *extent,
                     h5ckpt_error **err)
{
    uint64_t strides[H5CK_MAX_RANK], stride = 1, count = nbytes / h5ckpt_dtype_size(npy->dtype);
    h5ckpt_tensor_info row = *info;
    h5ckpt_tensor *source;
    row.rank = 1;
    row.shape = &count;
    int rc = h5ck_state_make_tensor(state, &row, stored, digest, &source, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < npy->rank;
         i++) { /* no overflow: their product fits, or some axis is 0 and nothing is read */
        strides[i] = stride;
        stride *= npy->shape[i];
    }
    const h5ck_view view = {.source = source,
                            .rank = npy->rank,
                            .shape = npy->shape,
                            .strides = is_transposed(npy) ? strides : NULL,
                            .swap = npy->big_endian,
                            .cast = H5CKPT_DTYPE_NONE};
    return h5ck_view_make(&state->arena, &view, extent, err);
}

int h5ck_npy_add_tensor(h5ckpt_state *state, const char *name, const h5ck_npy *npy, const h5ck_extent *extent,
                        const char *digest, const void *origin, h5ckpt_error **err)
{
    const h5ckpt_tensor_info info = {.name = name, .dtype = npy->dtype, .rank = npy->rank, .shape = npy->shape};
    h5ck_extent seen = *extent;
    h5ckpt_tensor *tensor;
    uint64_t nbytes;
    int rc = h5ck_npy_nbytes(npy, &nbytes, err);
    if (rc == 0 && nbytes && (npy->big_endian || is_transposed(npy))) {
        rc = make_view(state, &info, npy, extent, nbytes, digest, &seen, err);
        digest = NULL;
    }
    if (rc == 0)
        rc = h5ck_state_make_tensor(state, &info, &seen, digest, &tensor, err);
    if (rc == 0) {
        tensor->origin = origin;
        rc = h5ck_state_put_tensor(&state->parameters, tensor, err);
    }
    return h5ck_err_where(err, rc, NULL, name);
}

void h5ck_npy_explain(const h5ck_npy *npy, uint64_t header, h5ck_buf *out)
{
    h5ck_buf_printf(out, "%10" PRIu64 "  .npy header: version %u, %zu bytes: %s, %s, %s-endian, shape (", header,
                    npy->version, npy->length, h5ckpt_dtype_name(npy->dtype),
                    npy->fortran ? "Fortran order" : "C order", npy->big_endian ? "big" : "little");
    for (size_t i = 0; i < npy->rank; i++)
        h5ck_buf_printf(out, "%s%" PRIu64, i ? ", " : "", npy->shape[i]);
    h5ck_buf_str(out, ")\n");
}

static void note(size_t count, const char *what, const char *lost, const char *target, const h5ck_log *log)
{
    if (count)
        h5ck_log_note(log, "%s: %s holds no %s: %zu left out", target, what, lost, count);
}

void h5ck_npy_note_lost(const h5ckpt_state *state, const char *what, const char *target, const h5ck_log *log)
{
    const h5ckpt_tensors *all[] = {&state->parameters, &state->optimizer_state};
    size_t lods = 0;
    for (size_t d = 0; d < 2; d++)
        for (size_t i = 0; i < all[d]->dict.count; i++)
            lods += ((const h5ckpt_tensor *)all[d]->dict.entries[i].value)->info.lod_levels > 0;
    note(state->decays.dict.count, what, "learning-rate decays", target, log);
    note(state->metadata.count, what, "metadata", target, log);
    note(lods, what, "LoD", target, log);
}
