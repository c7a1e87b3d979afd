/*
 * h5_dataset.c - where a dataset's elements are. Contiguous, allocated, unfiltered and of the table's own bytes: a
 * range of the file, which libhdf5 is not needed for. Anything else that libhdf5 can read: a decoder.
 *
 * A decoder reads the asked range as a few hyperslabs. Its dataset stays open with a chunk cache that holds one row of
 * chunks (at most 32 MiB, or one chunk where that is larger), so that slabs of any size unpack each chunk once; at most
 * four datasets are open so.
 *
 * Refused: external storage and virtual datasets (they name other files: a stranger's file must not choose what we
 * read), filters that this libhdf5 does not have, chunks larger than the file's size and 64 MiB. Passed over: an empty
 * dataspace, types that are no element type.
 */
#include "base/ckd.h"
#include "hdf5/h5.h"
#include "hdf5/h5_chunks.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MIB = 1 << 20, CACHE = 32 * MIB, SLACK = 64 * MIB, CACHE_SLOTS = 8191 };

/* ---- The open file ---- */

static void drop(h5ck_hdf5_reader *r, size_t i)
{
    h5ck_hdf5_close(r->open[i].id);
    r->open[i].owner = NULL;
    r->open[i].id = -1;
}

static void close_file(h5ck_hdf5_reader *r)
{
    for (size_t i = 0; i < H5CK_HDF5_OPEN; i++)
        if (r->open[i].owner)
            drop(r, i);
    h5ck_hdf5_file_close(&r->hdf5, 0, NULL);
}

static void close_reader(void *what)
{
    h5ck_hdf5_guard guard;
    h5ck_hdf5_reader *r = what;
    if (r->hdf5.fd < 0)
        return;
    h5ck_hdf5_enter(&guard);
    close_file(r);
    h5ck_hdf5_leave(&guard);
}

int h5ck_hdf5_reader_new(h5ckpt_state *state, h5ck_file *file, int fd, h5ck_hdf5_reader **reader, h5ckpt_error **err)
{
    h5ck_hdf5_reader *r = h5ck_arena_zalloc(&state->arena, 1, sizeof *r);
    h5ck_closer *c = h5ck_arena_zalloc(&state->arena, 1, sizeof *c);
    *reader = NULL;
    if (!r || !c)
        return h5ck_fail_nomem(err);
    r->file = file;
    *c = (h5ck_closer){close_reader, r, state->closers};
    state->closers = c; /* not by h5ck_state_on_close: on failure that would close under a lock which is held here */
    *reader = r;
    return h5ck_hdf5_file_read(&r->hdf5, fd, file->size, err);
}

h5ck_hdf5_reader *h5ck_hdf5_reader_of(const h5ckpt_state *state)
{
    for (const h5ck_closer *c = state->closers; c; c = c->next)
        if (c->close == close_reader)
            return c->what;
    return NULL;
}

void h5ck_hdf5_reader_rest(h5ck_hdf5_reader *r)
{
    if (r->decoders == 0)
        close_file(r);
}

/* ---- Decoding ---- */

typedef struct decoder {
    h5ck_decoder base; /* first: the two have one address */
    h5ck_hdf5_reader *reader;
    h5ck_hdf5_place place;
    const h5ck_dtype *dtype;
    size_t rank, cache;
    hsize_t shape[H5CK_MAX_RANK];
    h5ck_hdf5_chunks *chunks; /* NULL where there are none; used under the lock only */
} decoder;

/* Opened through its link in its own group: only so can the chunk cache be set. */
static hid_t open_dataset(const decoder *d)
{
    hid_t list = H5Pcreate(H5P_DATASET_ACCESS), dataset = -1;
    hid_t group = H5Oopen_by_addr(d->reader->hdf5.id, d->place.parent);
    if (list >= 0 && group >= 0 && H5Pset_chunk_cache(list, CACHE_SLOTS, d->cache, 1.0) >= 0)
        dataset = H5Dopen2(group, d->place.link, list);
    h5ck_hdf5_close(group);
    h5ck_hdf5_close(list);
    return dataset;
}

/* The dataset of a decoder, moved to the front of those open. */
static hid_t dataset_of(const decoder *d)
{
    h5ck_hdf5_reader *r = d->reader;
    size_t i = 0;
    while (i + 1 < H5CK_HDF5_OPEN && r->open[i].owner && r->open[i].owner != &d->base)
        i++;
    if (r->open[i].owner != &d->base) {
        if (r->open[i].owner)
            drop(r, i);
        if ((r->open[i].id = open_dataset(d)) < 0)
            return -1;
        r->open[i].owner = &d->base;
    }
    hid_t id = r->open[i].id;
    memmove(&r->open[1], &r->open[0], i * sizeof r->open[0]);
    r->open[0].owner = &d->base;
    r->open[0].id = id;
    return id;
}

/* Of the elements from `at` on, the largest block that is one hyperslab and has at most `left` elements. */
static hsize_t block_at(const decoder *d, hsize_t at, hsize_t left, hsize_t *start, hsize_t *count)
{
    hsize_t inner = 1, rest = at;
    for (size_t k = d->rank; k-- > 0; rest /= d->shape[k]) {
        start[k] = rest % d->shape[k];
        count[k] = 1;
    }
    size_t k = d->rank;
    while (k-- > 0) {
        hsize_t room = d->shape[k] - start[k];
        count[k] = left / inner < room ? left / inner : room;
        if (k == 0 || start[k] != 0 || count[k] < d->shape[k] || left / inner < 2 * d->shape[k])
            break; /* the block is whole in this axis only where the next one outwards can take a step */
        inner *= d->shape[k];
    }
    hsize_t n = 1;
    for (size_t i = 0; i < d->rank; i++)
        n *= count[i];
    return n;
}

static int read_block(const decoder *d, hid_t dataset, hid_t type, const hsize_t *start, const hsize_t *count,
                      hsize_t n, void *to)
{
    hid_t file = H5Dget_space(dataset), memory = H5Screate_simple(1, &n, NULL);
    int rc = file < 0 || memory < 0 ||
                     (d->rank && H5Sselect_hyperslab(file, H5S_SELECT_SET, start, NULL, count, NULL) < 0) ||
                     H5Dread(dataset, type, memory, file, H5P_DEFAULT, to) < 0
                 ? -1
                 : 0;
    h5ck_hdf5_close(file);
    h5ck_hdf5_close(memory);
    return rc;
}

static int read_elements(const decoder *d, hid_t dataset, hid_t type, hsize_t at, hsize_t n, unsigned char *to)
{
    hsize_t start[H5CK_MAX_RANK], count[H5CK_MAX_RANK];
    while (n) {
        hsize_t got = block_at(d, at, n, start, count);
        if (read_block(d, dataset, type, start, count, got, to))
            return -1;
        at += got;
        n -= got;
        to += got * d->dtype->size;
    }
    return 0;
}

/* Any bytes: the elements that are cut at either end go through a small buffer. */
static int read_bytes(const decoder *d, hid_t dataset, hid_t type, uint64_t offset, unsigned char *to, size_t n)
{
    size_t size = d->dtype->size;
    unsigned char one[16];
    int rc = 0;
    while (rc == 0 && n) {
        size_t skip = (size_t)(offset % size), part = n - n % size;
        if (skip || part == 0) {
            part = size - skip < n ? size - skip : n;
            if ((rc = read_elements(d, dataset, type, offset / size, 1, one)) == 0)
                memcpy(to, one + skip, part);
        } else {
            rc = read_elements(d, dataset, type, offset / size, part / size, to);
        }
        offset += part;
        to += part;
        n -= part;
    }
    return rc;
}

/* The chunks that hold bytes [offset, offset + n) of the elements. */
static int check_chunks(const decoder *d, hid_t dataset, uint64_t offset, size_t n, h5ckpt_error **err)
{
    uint64_t row = d->dtype->size; /* bytes of one index of the first axis */
    if (!d->chunks || n == 0)
        return 0;
    for (size_t i = 1; i < d->rank; i++)
        row *= d->shape[i]; /* no overflow: all of the tensor's bytes have been counted */
    uint64_t first = offset / row, last = (offset + n - 1) / row;
    return h5ck_hdf5_chunks_check(d->chunks, dataset, first, last - first + 1, err);
}

/* The type to read as has the members' names of the file's, so it is asked of the dataset. */
static int decode(const h5ck_decoder *self, uint64_t offset, void *buf, size_t n, h5ckpt_error **err)
{
    const decoder *d = (const decoder *)self;
    h5ck_hdf5_guard guard;
    const h5ck_dtype *dtype = NULL;
    bool plain;
    h5ck_hdf5_enter(&guard);
    hid_t dataset = dataset_of(d), type = dataset < 0 ? -1 : H5Dget_type(dataset), memory = -1;
    int rc = type < 0 ? -1 : h5ck_hdf5_type_find(type, &dtype, &plain, &memory, err);
    if (rc == 0 && dtype != d->dtype)
        rc = h5ck_fail(err, H5CKPT_INVALID, "the type of the elements changed while they were read");
    if (rc == 0)
        rc = check_chunks(d, dataset, offset, n, err);
    if (rc < 0 || (rc == 0 && read_bytes(d, dataset, memory, offset, buf, n)))
        rc = h5ck_hdf5_fail(err, H5CKPT_INVALID, "cannot decode the elements");
    h5ck_hdf5_close(memory);
    h5ck_hdf5_close(type);
    rc = h5ck_hdf5_file_told(&d->reader->hdf5, rc, err);
    h5ck_hdf5_leave(&guard);
    return rc ? h5ck_file_where(err, rc, d->reader->file) : 0;
}

/* ---- Describing ---- */

typedef struct storage {
    H5D_layout_t layout;
    int filters;
    hsize_t chunk[H5CK_MAX_RANK];
    uint64_t chunk_bytes;
    h5ck_hdf5_chunks chunks;
} storage;

static int check_chunk(hid_t list, size_t rank, size_t element, uint64_t file_size, storage *s, h5ckpt_error **err)
{
    uint64_t n = element;
    if (H5Pget_chunk(list, (int)rank, s->chunk) != (int)rank)
        return h5ck_hdf5_fail(err, H5CKPT_INVALID, "cannot read the chunks' shape");
    for (size_t i = 0; i < rank; i++)
        if (h5ck_ckd_mul(n, s->chunk[i], &n))
            n = UINT64_MAX, s->chunk[i] = 1;
    if (n > file_size && n - file_size > SLACK)
        return h5ck_fail(err, H5CKPT_INVALID,
                         "expected chunks that the file can explain, found chunks of %" PRIu64 " bytes", n);
    s->chunk_bytes = n;
    return 0;
}

static int read_storage(hid_t dataset, size_t rank, const uint64_t *shape, size_t element, uint64_t file_size,
                        storage *s, h5ckpt_error **err)
{
    hid_t list = H5Dget_create_plist(dataset);
    int rc = 0;
    *s = (storage){.layout = list < 0 ? H5D_LAYOUT_ERROR : H5Pget_layout(list)};
    if (s->layout == H5D_LAYOUT_ERROR)
        rc = h5ck_hdf5_fail(err, H5CKPT_INVALID, "cannot read how a dataset is stored");
    else if (s->layout == H5D_VIRTUAL)
        rc = h5ck_fail(err, H5CKPT_INVALID,
                       "expected data in this file, found a virtual dataset (other files are not read)");
    else if (s->layout == H5D_CONTIGUOUS && H5Pget_external_count(list) != 0)
        rc = h5ck_fail(err, H5CKPT_INVALID,
                       "expected data in this file, found external storage (other files are not read)");
    else if (s->layout == H5D_CHUNKED) {
        rc = check_chunk(list, rank, element, file_size, s, err);
        if (rc == 0)
            rc = h5ck_hdf5_chunks_make(list, rank, shape, element, file_size, &s->chunks, err);
        s->filters = (int)s->chunks.filter_count;
    }
    h5ck_hdf5_close(list);
    return rc;
}

/* One row of chunks, or what of it the cache may hold; never less than a chunk. */
static size_t cache_size(const storage *s, size_t rank, const uint64_t *shape)
{
    uint64_t row = s->chunk_bytes;
    for (size_t i = 1; i < rank && row < CACHE; i++)
        if (s->chunk[i] && h5ck_ckd_mul(row, shape[i] / s->chunk[i] + (shape[i] % s->chunk[i] != 0), &row))
            row = UINT64_MAX;
    if (row > CACHE)
        row = s->chunk_bytes > CACHE ? s->chunk_bytes : CACHE;
    return (size_t)(row < MIB ? MIB : row);
}

static int make_decoder(h5ckpt_state *state, h5ck_hdf5_reader *reader, const h5ck_hdf5_place *place,
                        const h5ck_dtype *dtype, const h5ckpt_tensor_info *info, const storage *s, h5ck_extent *extent,
                        h5ckpt_error **err)
{
    decoder *d = h5ck_arena_zalloc(&state->arena, 1, sizeof *d);
    if (!d)
        return h5ck_fail_nomem(err);
    d->reader = reader;
    d->place = *place;
    d->dtype = dtype;
    d->rank = info->rank;
    for (size_t i = 0; i < info->rank; i++)
        d->shape[i] = info->shape[i];
    d->cache = cache_size(s, info->rank, info->shape);
    if (s->layout == H5D_CHUNKED && !(d->chunks = h5ck_arena_memdup(&state->arena, &s->chunks, sizeof s->chunks)))
        return h5ck_fail_nomem(err);
    d->base = (h5ck_decoder){decode,
                             s->filters                 ? "filtered chunks"
                             : s->layout == H5D_CHUNKED ? "chunks"
                                                        : "converted",
                             s->layout == H5D_CHUNKED ? d->cache : MIB};
    *extent = (h5ck_extent){.kind = H5CK_EXTENT_DECODER, .file = reader->file, .decoder = &d->base};
    reader->decoders++;
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

static int find_extent(h5ckpt_state *state, h5ck_hdf5_reader *reader, hid_t dataset, const h5ck_hdf5_place *place,
                       const h5ck_dtype *dtype, bool plain, h5ckpt_tensor_info *info, h5ck_extent *extent,
                       h5ckpt_error **err)
{
    storage s;
    int rc = h5ck_tensor_nbytes(dtype, info->rank, info->shape, &info->nbytes, err);
    if (rc)
        return rc;
    /* An offset is there only where the bytes lie plainly in this file. It saves asking for the storage: slow. */
    haddr_t at = plain ? H5Dget_offset(dataset) : HADDR_UNDEF;
    if (at == HADDR_UNDEF)
        rc = read_storage(dataset, info->rank, info->shape, dtype->size, reader->file->size, &s, err);
    *extent = (h5ck_extent){.kind = H5CK_EXTENT_FILE, .file = reader->file, .offset = info->nbytes ? at : 0};
    if (rc || at != HADDR_UNDEF || info->nbytes == 0)
        return rc;
    /* what was never written, and deflate's best, 1032 to 1 */
    uint64_t stored = H5Dget_storage_size(dataset), most;
    if (!h5ck_ckd_mul(stored, 1032, &most) && !h5ck_ckd_add(most, SLACK, &most) && info->nbytes > most)
        return h5ck_fail(err, H5CKPT_INVALID,
                         "expected elements that the file can explain, found %" PRIu64 " bytes in %" PRIu64
                         " of storage",
                         info->nbytes, stored);
    return make_decoder(state, reader, place, dtype, info, &s, extent, err);
}

int h5ck_hdf5_dataset(h5ckpt_state *state, h5ck_hdf5_reader *reader, hid_t dataset, const h5ck_hdf5_place *place,
                      h5ckpt_tensor_info *info, uint64_t shape[H5CK_MAX_RANK], h5ck_extent *extent, bool *is_tensor,
                      char reason[128], h5ckpt_error **err)
{
    char words[64];
    bool plain, is_null = false;
    hid_t memory = -1, type = H5Dget_type(dataset);
    const h5ck_dtype *dtype = NULL;
    int rc = type < 0 ? h5ck_hdf5_fail(err, H5CKPT_INVALID, "cannot read a dataset's type")
                      : h5ck_hdf5_type_find(type, &dtype, &plain, &memory, err);
    if (rc == 0)
        rc = read_shape(dataset, info, shape, &is_null, err);
    *is_tensor = rc == 0 && dtype && !is_null;
    if (rc == 0 && is_null)
        snprintf(reason, 128, "its dataspace is empty (H5S_NULL)");
    else if (rc == 0 && !dtype)
        snprintf(reason, 128, "no element type: %s", h5ck_hdf5_type_text(type, words, sizeof words));
    if (*is_tensor) {
        info->dtype = dtype->id;
        rc = find_extent(state, reader, dataset, place, dtype, plain, info, extent, err);
    }
    h5ck_hdf5_close(memory);
    h5ck_hdf5_close(type);
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
        h5ck_buf_printf(out, "filter %u: %d %s", i, (int)f, name);
        for (size_t k = 0; k < values && k < 8; k++)
            h5ck_buf_printf(out, " %u", v[k]);
        h5ck_buf_str(out, "\n");
    }
}

static void explain_layout(hid_t dataset, hid_t list, h5ck_buf *out)
{
    hsize_t chunk[H5S_MAX_RANK];
    int rank;
    haddr_t at;
    switch (H5Pget_layout(list)) {
    case H5D_CONTIGUOUS:
        at = H5Dget_offset(dataset);
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
