/*
 * h5_chunks.c - chunks of a stranger's dataset, held against their size before libhdf5 unpacks them.
 *
 * libhdf5 unpacks a chunk and believes that what comes out has the size that the dataset's layout says. A stream that
 * inflates to less leaves the rest to whatever lies in memory, one that inflates to more takes memory without bound
 * (both seen with 1.10.8). So each chunk is read raw and taken through its filters here first, last filter first,
 * counting bytes only: fletcher32 is 4 bytes less, shuffle changes nothing, deflate is inflated into a scratch buffer.
 * Other filters are refused, for nobody can say what they will do.
 *
 * Callers go forward, so it is enough to remember which rows of chunks (by their first axis) were checked.
 */
#include "hdf5/h5_chunks.h"
#include "base/ckd.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { SCRATCH = 64 << 10, ROW_LIMIT = 1 << 20, CHECKSUM = 4 };

int h5ck_hdf5_chunks_make(hid_t list, size_t rank, const uint64_t *shape, size_t element, uint64_t file_size,
                          h5ck_hdf5_chunks *c, h5ckpt_error **err)
{
    *c = (h5ck_hdf5_chunks){.rank = rank, .bytes = element, .file_size = file_size};
    if (rank == 0 || H5Pget_chunk(list, (int)rank, c->chunk) != (int)rank)
        return h5ck_hdf5_fail(err, H5CKPT_INVALID, "cannot read the chunks' shape");
    uint64_t in_row = 1;
    for (size_t i = 0; i < rank; i++) {
        if (c->chunk[i] == 0 || h5ck_ckd_mul(c->bytes, c->chunk[i], &c->bytes))
            return h5ck_fail(err, H5CKPT_INVALID, "expected chunks whose size fits 64 bits, found others");
        c->grid[i] = shape[i] / c->chunk[i] + (shape[i] % c->chunk[i] != 0);
        if (i > 0 && (h5ck_ckd_mul(in_row, c->grid[i], &in_row) || in_row > ROW_LIMIT))
            return h5ck_fail(err, H5CKPT_INVALID, "expected at most %d chunks side by side, found more", ROW_LIMIT);
    }
    int filters = H5Pget_nfilters(list);
    for (unsigned i = 0; (int)i < filters; i++) {
        unsigned flags, config;
        size_t values = 0;
        char name[64] = "";
        H5Z_filter_t f = H5Pget_filter2(list, i, &flags, &values, NULL, sizeof name, name, &config);
        if (i == H5CK_HDF5_FILTERS ||
            (f != H5Z_FILTER_DEFLATE && f != H5Z_FILTER_SHUFFLE && f != H5Z_FILTER_FLETCHER32))
            return h5ck_fail(err, H5CKPT_INVALID, "expected the filters deflate, shuffle and fletcher32, found %d (%s)",
                             (int)f, *name ? name : "without a name");
        c->filters[c->filter_count++] = f;
    }
    return filters < 0 ? h5ck_hdf5_fail(err, H5CKPT_INVALID, "cannot read the filters") : 0;
}

/* The size that a zlib stream inflates to, up to `limit`; UINT64_MAX for what is none, or larger. */
static uint64_t inflated_size(const unsigned char *data, uint64_t size, uint64_t limit)
{
    static const size_t most = 1u << 30; /* zlib counts in unsigned */
    unsigned char *scratch = malloc(SCRATCH);
    z_stream z = {0};
    uint64_t out = 0;
    int rc = scratch ? inflateInit(&z) : Z_MEM_ERROR;
    bool made = rc == Z_OK;
    z.next_in = (unsigned char *)(uintptr_t)data; /* zlib does not write there */
    while (rc == Z_OK && out <= limit) {
        if (z.avail_in == 0 && size) {
            z.avail_in = (unsigned)(size < most ? size : most);
            size -= z.avail_in;
        }
        z.next_out = scratch;
        z.avail_out = SCRATCH;
        rc = inflate(&z, Z_NO_FLUSH);
        out += SCRATCH - z.avail_out;
    }
    if (made)
        inflateEnd(&z);
    free(scratch);
    return rc == Z_STREAM_END && out <= limit ? out : UINT64_MAX;
}

/* The size that the raw chunk unpacks to; UINT64_MAX where it cannot be unpacked. */
static uint64_t unpacked_size(const h5ck_hdf5_chunks *c, const unsigned char *raw, uint64_t size, unsigned skipped)
{
    bool inflated = false;
    for (size_t i = c->filter_count; i-- > 0;) {
        if (skipped & 1u << i)
            continue;
        if (c->filters[i] == H5Z_FILTER_FLETCHER32) {
            if (size < CHECKSUM)
                return UINT64_MAX;
            size -= CHECKSUM;
        } else if (c->filters[i] == H5Z_FILTER_DEFLATE) {
            if (inflated) /* what comes out is not kept, so a second time cannot be followed */
                return UINT64_MAX;
            inflated = true;
            size = inflated_size(raw, size, c->bytes + CHECKSUM * H5CK_HDF5_FILTERS);
            if (size == UINT64_MAX)
                return size;
        }
    }
    return size;
}

static int check_one(const h5ck_hdf5_chunks *c, hid_t dataset, const hsize_t *at, h5ckpt_error **err)
{
    unsigned skipped = 0;
    haddr_t address;
    hsize_t size = 0;
    uint32_t mask;
    if (H5Dget_chunk_info_by_coord(dataset, at, &skipped, &address, &size) < 0)
        return h5ck_hdf5_fail(err, H5CKPT_INVALID, "cannot find a chunk");
    if (address == HADDR_UNDEF)
        return 0; /* never written: it reads as the fill value */
    if (size > c->file_size || address > c->file_size - size)
        return h5ck_fail_at(err, address, "expected a chunk inside of the file, found one of %" PRIu64 " bytes",
                            (uint64_t)size);
    unsigned char *raw = malloc((size_t)size + 1);
    if (!raw)
        return h5ck_fail_nomem(err);
    int rc = 0;
    if (H5Dread_chunk(dataset, H5P_DEFAULT, at, &mask, raw) < 0)
        rc = h5ck_hdf5_fail(err, H5CKPT_INVALID, "cannot read a chunk");
    else if (unpacked_size(c, raw, size, skipped) != c->bytes)
        rc = h5ck_fail_at(err, address, "expected a chunk that unpacks to %" PRIu64 " bytes, found another", c->bytes);
    free(raw);
    return rc;
}

/* All chunks of a row: those of one index in the first axis. */
static int check_row(const h5ck_hdf5_chunks *c, hid_t dataset, uint64_t row, h5ckpt_error **err)
{
    hsize_t at[H5CK_MAX_RANK] = {row * c->chunk[0]};
    for (;;) {
        int rc = check_one(c, dataset, at, err);
        if (rc)
            return rc;
        size_t axis = c->rank - 1;
        while (axis > 0 && (at[axis] += c->chunk[axis]) >= c->grid[axis] * c->chunk[axis])
            at[axis--] = 0;
        if (axis == 0)
            return 0;
    }
}

int h5ck_hdf5_chunks_check(h5ck_hdf5_chunks *c, hid_t dataset, uint64_t first, uint64_t count, h5ckpt_error **err)
{
    uint64_t from = first / c->chunk[0], to = (first + count - 1) / c->chunk[0] + 1;
    if (from < c->checked_from || from > c->checked_to)
        c->checked_from = c->checked_to = from; /* elsewhere: what was checked is forgotten */
    for (; c->checked_to < to; c->checked_to++) {
        int rc = check_row(c, dataset, c->checked_to, err);
        if (rc)
            return rc;
    }
    return 0;
}
