/*
 * h5_dataset.c - where a dataset's elements are. Contiguous, allocated, unfiltered and of the table's own bytes: a
 * range of the file, which libhdf5 is not needed for. Anything else: a decoder, of chunks (h5_chunks.c) or of what
 * libhdf5 reads (h5_decode.c).
 *
 * A range of another file: h5_external.c, where the caller allows it.
 *
 * Refused: virtual datasets (they name other files: a stranger's file must not choose what we read), what h5_chunks.c
 * refuses, elements that the stored bytes cannot explain. Passed over: an empty dataspace, types that are no element
 * type.
 */
#include "base/ckd.h"
#include "hdf5/h5_chunks.h"
#include "hdf5/h5_decode.h"

#include <inttypes.h>
#include <stdio.h>

enum { SLACK = 64 << 20 };

/* ---- Describing ---- */

/* How a dataset is stored that is no plain range of its file. */
typedef struct storage {
    h5ck_hdf5_segment external; /* its count is 0 where there is none */
    bool chunked;
    h5ck_hdf5_chunks chunks;
} storage;

static int read_storage(hid_t dataset, const h5ckpt_tensor_info *info, hid_t type, uint64_t file_size, storage *s,
                        h5ckpt_error **err)
{
    hid_t list = H5Dget_create_plist(dataset);
    H5D_layout_t layout = list < 0 ? H5D_LAYOUT_ERROR : H5Pget_layout(list);
    int rc = 0, elsewhere = list < 0 ? 0 : H5Pget_external_count(list);
    *s = (storage){.chunked = layout == H5D_CHUNKED};
    if (layout == H5D_LAYOUT_ERROR)
        rc = h5ck_hdf5_fail(err, H5CKPT_INVALID, "cannot read how a dataset is stored");
    else if (layout == H5D_VIRTUAL)
        rc = h5ck_fail(err, H5CKPT_INVALID,
                       "expected data in this file, found a virtual dataset (other files are not read)");
    else if (elsewhere != 0) /* of any layout: libhdf5 goes by the list of files, where there is one */
        rc = h5ck_hdf5_segment_read(list, elsewhere, &s->external, err);
    else if (s->chunked)
        rc = h5ck_hdf5_chunks_make(list, info->rank, info->shape, type, file_size, &s->chunks, err);
    h5ck_hdf5_close(list);
    return rc;
}

/* What was never written, and the best that a filter does. deflate: 1032 to 1. Zstandard: a block of 4 bytes holds up
 * to 128 KiB of one byte. Memory does not depend on it where a tensor is read in slabs, only where it is wanted whole. */
static int check_explained(hid_t dataset, const h5ckpt_tensor_info *info, const h5ck_hdf5_filters *f,
                           h5ckpt_error **err)
{
    uint64_t stored = H5Dget_storage_size(dataset), most, best = 1032;
    for (size_t i = 0; i < f->count; i++)
        if (f->at[i].id == H5CK_HDF5_ZSTD)
            best = (128 << 10) / 4;
    if (!h5ck_ckd_mul(stored, best, &most) && !h5ck_ckd_add(most, SLACK, &most) && info->nbytes > most)
        return h5ck_fail(err, H5CKPT_INVALID,
                         "expected elements that the file can explain, found %" PRIu64 " bytes in %" PRIu64
                         " of storage",
                         info->nbytes, stored);
    return 0;
}

static int read_shape(hid_t dataset, h5ckpt_tensor_info *info, uint64_t *shape, bool *is_null, h5ckpt_error **err)
{
    hsize_t dims[H5S_MAX_RANK];
    hid_t space = H5Dget_space(dataset);
    H5S_class_t c = space < 0 ? H5S_NO_CLASS : H5Sget_simple_extent_type(space);
    int rank = c == H5S_SIMPLE ? H5Sget_simple_extent_dims(space, dims, NULL) : c == H5S_NO_CLASS ? -1 : 0;
    h5ck_hdf5_close(space);
    if (rank < 0 || rank > H5CK_MAX_RANK)
        return h5ck_hdf5_fail(err, H5CKPT_INVALID, "cannot read a dataset's shape");
    for (int i = 0; i < rank; i++)
        shape[i] = dims[i];
    info->rank = (size_t)rank;
    info->shape = shape;
    *is_null = c == H5S_NULL;
    return 0;
}

/* The type in the file, and what it is here. */
typedef struct types {
    hid_t file;
    const h5ck_dtype *dtype;
    bool plain;
} types;

/* Where a contiguous dataset's elements are in the file; HADDR_UNDEF where they are not. What was never written has no
 * storage: in a file with a user block libhdf5 (1.10.8) tells an offset of it all the same. */
static haddr_t offset_of(hid_t dataset)
{
    haddr_t at = H5Dget_offset(dataset);
    return at == HADDR_UNDEF || H5Dget_storage_size(dataset) == 0 ? HADDR_UNDEF : at;
}

static int find_extent(h5ckpt_state *state, h5ck_hdf5_reader *reader, hid_t dataset, const h5ck_hdf5_place *place,
                       const types *t, h5ckpt_tensor_info *info, h5ck_extent *extent, h5ckpt_error **err)
{
    storage s = {.chunked = false};
    int rc = h5ck_tensor_nbytes(t->dtype, info->rank, info->shape, &info->nbytes, err);
    if (rc)
        return rc;
    /* An offset is there only where the bytes lie plainly in this file. It saves asking for the storage: slow. */
    haddr_t at = t->plain ? offset_of(dataset) : HADDR_UNDEF;
    if (at == HADDR_UNDEF)
        rc = read_storage(dataset, info, t->file, reader->file->size, &s, err);
    if (rc == 0 && at == HADDR_UNDEF && s.external.count)
        return h5ck_hdf5_external_extent(state, reader->external, &s.external, t->plain, info, extent, err);
    *extent = (h5ck_extent){.kind = H5CK_EXTENT_FILE, .file = reader->file, .offset = info->nbytes ? at : 0};
    if (rc || at != HADDR_UNDEF || info->nbytes == 0)
        return rc;
    rc = check_explained(dataset, info, &s.chunks.filters, err);
    if (rc)
        return rc;
    return s.chunked ? h5ck_hdf5_chunks_decoder(state, reader, place, t->dtype, t->plain, info, &s.chunks, extent, err)
                     : h5ck_hdf5_decoder_make(state, reader, place, t->dtype, info, extent, err);
}

/* The dtype of a dataset's type; where it is the type of the dataset before, from memory. */
static int find_type(h5ck_hdf5_reader *reader, hid_t type, const h5ck_dtype **dtype, bool *plain, h5ckpt_error **err)
{
    if (reader->last_type.id > 0 && H5Tequal(type, reader->last_type.id) > 0) {
        *dtype = reader->last_type.dtype;
        *plain = reader->last_type.plain;
        return 0;
    }
    int rc = h5ck_hdf5_type_find(type, dtype, plain, NULL, err);
    if (rc || H5Iinc_ref(type) < 0)
        return rc;
    if (reader->last_type.id > 0)
        h5ck_hdf5_close(reader->last_type.id);
    reader->last_type.id = type;
    reader->last_type.dtype = *dtype;
    reader->last_type.plain = *plain;
    return 0;
}

int h5ck_hdf5_dataset(h5ckpt_state *state, h5ck_hdf5_reader *reader, hid_t dataset, const h5ck_hdf5_place *place,
                      h5ckpt_tensor_info *info, uint64_t shape[H5CK_MAX_RANK], h5ck_extent *extent, bool *is_tensor,
                      char reason[128], h5ckpt_error **err)
{
    char words[64];
    bool is_null = false;
    types t = {.file = H5Dget_type(dataset)};
    int rc = t.file < 0 ? h5ck_hdf5_fail(err, H5CKPT_INVALID, "cannot read a dataset's type")
                        : find_type(reader, t.file, &t.dtype, &t.plain, err);
    if (rc == 0)
        rc = read_shape(dataset, info, shape, &is_null, err);
    *is_tensor = rc == 0 && t.dtype && !is_null;
    if (rc == 0 && is_null)
        snprintf(reason, 128, "its dataspace is empty (H5S_NULL)");
    else if (rc == 0 && !t.dtype)
        snprintf(reason, 128, "no element type: %s", h5ck_hdf5_type_text(t.file, words, sizeof words));
    if (*is_tensor) {
        info->dtype = t.dtype->id;
        rc = find_extent(state, reader, dataset, place, &t, info, extent, err);
    }
    h5ck_hdf5_close(t.file);
    return rc;
}

/* ---- In words ---- */

static void explain_filters(hid_t list, h5ck_buf *out)
{
    for (unsigned i = 0; (int)i < H5Pget_nfilters(list); i++) {
        unsigned flags, config, v[8] = {0};
        size_t values = 8;
        char name[64] = "";
        H5Z_filter_t f = H5Pget_filter2(list, i, &flags, &values, v, sizeof name, name, &config);
        h5ck_buf_printf(out, "filter %u: %d %s", i, (int)f, *name || f != H5CK_HDF5_ZSTD ? name : "zstd");
        for (size_t k = 0; k < values && k < 8; k++)
            h5ck_buf_printf(out, " %u", v[k]);
        h5ck_buf_str(out, "\n");
    }
}

static void explain_layout(hid_t dataset, hid_t list, h5ck_buf *out)
{
    hsize_t chunk[H5S_MAX_RANK];
    int rank, elsewhere = H5Pget_external_count(list);
    haddr_t at;
    if (elsewhere > 0) {
        h5ck_hdf5_external_explain(list, elsewhere, out);
        return;
    }
    switch (H5Pget_layout(list)) {
    case H5D_CONTIGUOUS:
        at = offset_of(dataset);
        if (at == HADDR_UNDEF)
            h5ck_buf_str(out, "layout: contiguous, nothing stored\n");
        else
            h5ck_buf_printf(
                out, "layout: contiguous at offset %" PRIu64 ", %" PRIu64 " bytes, aligned to %" PRIu64 "\n",
                (uint64_t)at, (uint64_t)H5Dget_storage_size(dataset), (uint64_t)(at ? (at & (~at + 1)) : 0));
        break;
    case H5D_COMPACT:
        h5ck_buf_str(out, "layout: compact, in the object header\n");
        break;
    case H5D_CHUNKED:
        rank = H5Pget_chunk(list, H5S_MAX_RANK, chunk);
        h5ck_buf_str(out, "layout: chunks of [");
        for (int i = 0; i < rank; i++)
            h5ck_buf_printf(out, "%s%" PRIu64, i ? ", " : "", (uint64_t)chunk[i]);
        h5ck_buf_printf(out, "], %" PRIu64 " bytes stored\n", (uint64_t)H5Dget_storage_size(dataset));
        break;
    default:
        h5ck_buf_str(out, "layout: of another kind\n");
    }
}

void h5ck_hdf5_dataset_explain(hid_t dataset, h5ck_buf *out)
{
    char words[64];
    hid_t list = H5Dget_create_plist(dataset), type = H5Dget_type(dataset);
    h5ck_buf_printf(out, "type: %s\n", h5ck_hdf5_type_text(type, words, sizeof words));
    if (list >= 0) {
        explain_layout(dataset, list, out);
        explain_filters(list, out);
    }
    h5ck_hdf5_close(list);
    h5ck_hdf5_close(type);
}
