/*
 * h5_chunks.c - reads chunked datasets, chunk by chunk, without libhdf5's own pipeline: that unpacks one chunk at a time
 * under its lock, and believes what a damaged one says of its size (h5_filter.c).
 *
 * libhdf5 is asked, under the lock, where a chunk lies, how long it is and which filters it went through. Reading and
 * unpacking go without the lock, so that threads unpack side by side. A chunk that is one range of the elements, all of
 * it asked for, is unpacked to where the caller wants it; any other goes through the cache (h5_cache.c), from which runs
 * are copied: stretches that lie together in the tensor and in the chunk.
 *
 * Elements of another byte order, or with gaps, are converted by libhdf5 in memory, a chunk at a time.
 *
 * Refused: filters that h5_filter.c does not know, for nobody can say what they will do; a shuffle of other elements
 * than the dataset's; chunks that lie outside of the file or do not unpack to exactly their size.
 */
#include "hdf5/h5_chunks.h"
#include "base/ckd.h"
#include "base/fs.h"
#include "hdf5/h5_cache.h"
#include "hdf5/h5_decode.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { SLACK = 64 << 20, SLAB = 32 << 20 };

/* ---- How a dataset is cut ---- */

static int read_shape(hid_t list, size_t rank, const uint64_t *shape, size_t element, uint64_t file_size,
                      h5ck_hdf5_chunks *c, h5ckpt_error **err)
{
    hsize_t chunk[H5S_MAX_RANK];
    if (rank == 0 || H5Pget_chunk(list, (int)rank, chunk) != (int)rank)
        return h5ck_hdf5_fail(err, H5CKPT_INVALID, "cannot read the chunks' shape");
    c->bytes = element;
    for (size_t i = 0; i < rank; i++) {
        c->chunk[i] = chunk[i];
        if (chunk[i] == 0)
            return h5ck_fail(err, H5CKPT_INVALID, "expected chunks of elements, found chunks of none");
        if (h5ck_ckd_mul(c->bytes, chunk[i], &c->bytes))
            c->bytes = UINT64_MAX;
        c->grid[i] = shape[i] / chunk[i] + (shape[i] % chunk[i] != 0);
    }
    if (c->bytes > SIZE_MAX / 2 || (c->bytes > file_size && c->bytes - file_size > SLACK))
        return h5ck_fail(err, H5CKPT_INVALID,
                         "expected chunks that the file can explain, found chunks of %" PRIu64 " bytes", c->bytes);
    return 0;
}

static int read_filters(hid_t list, size_t element, h5ck_hdf5_filters *f, h5ckpt_error **err)
{
    int filters = H5Pget_nfilters(list);
    for (unsigned i = 0; (int)i < filters; i++) {
        unsigned flags, config, values[8] = {0};
        size_t count = 8;
        char name[64] = "";
        H5Z_filter_t id = H5Pget_filter2(list, i, &flags, &count, values, sizeof name, name, &config);
        if (i == H5CK_HDF5_FILTERS || (id != H5Z_FILTER_DEFLATE && id != H5Z_FILTER_SHUFFLE &&
                                       id != H5Z_FILTER_FLETCHER32 && id != H5CK_HDF5_ZSTD))
            return h5ck_fail(err, H5CKPT_INVALID,
                             "expected the filters deflate, zstd, shuffle and fletcher32, found %d (%s)", (int)id,
                             *name ? name : "without a name");
        if (id == H5Z_FILTER_SHUFFLE && (count == 0 || values[0] != element))
            return h5ck_fail(err, H5CKPT_INVALID, "expected a shuffle of elements of %zu bytes, found one of %u",
                             element, values[0]);
        f->at[i].id = id;
        f->at[i].value = values[0];
        f->count++;
    }
    return filters < 0 ? h5ck_hdf5_fail(err, H5CKPT_INVALID, "cannot read the filters") : 0;
}

/* Zeros, where the file does not say otherwise. */
static int read_fill(hid_t list, hid_t type, h5ck_hdf5_chunks *c, h5ckpt_error **err)
{
    H5D_fill_value_t defined;
    const h5ck_dtype *dtype;
    bool plain;
    hid_t memory = -1;
    if (H5Pfill_value_defined(list, &defined) < 0)
        return h5ck_hdf5_fail(err, H5CKPT_INVALID, "cannot read the fill value");
    if (defined != H5D_FILL_VALUE_USER_DEFINED)
        return 0;
    int rc = h5ck_hdf5_type_find(type, &dtype, &plain, &memory, err);
    if (rc == 0 && memory >= 0 && H5Tget_size(memory) <= sizeof c->fill && H5Pget_fill_value(list, memory, c->fill) < 0)
        rc = h5ck_hdf5_fail(err, H5CKPT_INVALID, "cannot read the fill value");
    h5ck_hdf5_close(memory);
    return rc;
}

int h5ck_hdf5_chunks_make(hid_t list, size_t rank, const uint64_t *shape, hid_t type, uint64_t file_size,
                          h5ck_hdf5_chunks *c, h5ckpt_error **err)
{
    size_t element = H5Tget_size(type);
    unsigned options = 0;
    *c = (h5ck_hdf5_chunks){.bytes = 0};
    int rc = H5Pget_chunk_opts(list, &options) < 0
                 ? h5ck_hdf5_fail(err, H5CKPT_INVALID, "cannot read how chunks are stored")
                 : read_shape(list, rank, shape, element, file_size, c, err);
    c->whole_only = options & H5D_CHUNK_DONT_FILTER_PARTIAL_CHUNKS;
    if (rc == 0)
        rc = read_filters(list, element, &c->filters, err);
    return rc ? rc : read_fill(list, type, c, err);
}

/* ---- Decoding ---- */

typedef struct decoder {
    h5ck_decoder base; /* first: the two have one address */
    h5ck_hdf5_reader *reader;
    h5ck_hdf5_place place;
    const h5ck_dtype *dtype;
    bool plain;
    size_t rank, run_axis; /* along which elements lie together in a chunk: behind it chunks have the whole shape */
    size_t elements;       /* of a chunk */
    uint64_t run_tail;     /* elements behind one index of that axis */
    uint64_t shape[H5CK_MAX_RANK];
    h5ck_hdf5_chunks chunks;
} decoder;

/* Bytes that lie together in the tensor and in a chunk. */
typedef struct run {
    uint64_t index;               /* of the chunk */
    hsize_t start[H5CK_MAX_RANK]; /* its first element */
    uint64_t unread;              /* its bytes inside of the shape */
    uint64_t at;                  /* of the first byte, in the chunk */
    uint64_t bytes;               /* from there to the run's end */
} run;

/* The run from byte `offset` of the elements on. No overflow: all of the tensor's bytes, and a chunk's, are counted. */
static void find_run(const decoder *d, uint64_t offset, run *r)
{
    uint64_t at[H5CK_MAX_RANK], element = offset / d->dtype->size, skip = offset % d->dtype->size, in_chunk = 0;
    for (size_t k = d->rank; k-- > 0; element /= d->shape[k])
        at[k] = element % d->shape[k];
    r->index = 0;
    r->unread = d->dtype->size;
    for (size_t k = 0; k < d->rank; k++) {
        uint64_t chunk = d->chunks.chunk[k], left;
        r->start[k] = at[k] - at[k] % chunk;
        left = d->shape[k] - r->start[k];
        r->index = r->index * d->chunks.grid[k] + at[k] / chunk;
        r->unread *= left < chunk ? left : chunk;
        in_chunk = in_chunk * chunk + at[k] % chunk;
    }
    uint64_t first = at[d->run_axis], end = r->start[d->run_axis] + d->chunks.chunk[d->run_axis];
    if (end > d->shape[d->run_axis])
        end = d->shape[d->run_axis];
    r->at = in_chunk * d->dtype->size + skip;
    r->bytes = ((end - first) * d->run_tail - in_chunk % d->run_tail) * d->dtype->size - skip;
}

/* How a chunk is stored: `size` 0 where it was never written. */
typedef struct stored {
    uint64_t at;
    hsize_t size;
    uint32_t skipped;
    unsigned char *bytes; /* the tools' */
} stored;

/* libhdf5 1.10 calls the size of a chunk that was never written an error, so it is asked a second time, in a way that
 * walks through all chunks that there are. */
static int find_size(hid_t dataset, const run *r, hsize_t *size, h5ckpt_error **err)
{
    unsigned skipped;
    haddr_t at;
    if (H5Dget_chunk_storage_size(dataset, r->start, size) >= 0)
        return 0;
    if (H5Dget_chunk_info_by_coord(dataset, r->start, &skipped, &at, size) >= 0 && at == HADDR_UNDEF) {
        *size = 0;
        return 0;
    }
    return h5ck_hdf5_fail(err, H5CKPT_INVALID, "cannot find a chunk");
}

static int find_stored(const decoder *d, const run *r, h5ck_hdf5_tools *tools, stored *s, h5ckpt_error **err)
{
    hid_t dataset = h5ck_hdf5_reader_dataset(d->reader, &d->base, &d->place);
    *s = (stored){.size = 0};
    int rc = dataset < 0 ? h5ck_hdf5_fail(err, H5CKPT_INVALID, "cannot open a dataset again")
                         : find_size(dataset, r, &s->size, err);
    if (rc)
        return rc;
    if (s->size == 0)
        return 0;
    if (s->size > d->reader->file->size)
        return h5ck_fail(err, H5CKPT_INVALID, "expected a chunk inside of the file, found one of %" PRIu64 " bytes",
                         (uint64_t)s->size);
    if (!(s->bytes = h5ck_hdf5_tools_room(tools, (size_t)s->size)))
        return h5ck_fail_nomem(err);
    h5ck_hdf5_file_ask(&d->reader->hdf5, s->size);
    herr_t got = H5Dread_chunk(dataset, H5P_DEFAULT, r->start, &s->skipped, s->bytes);
    if (!h5ck_hdf5_file_asked(&d->reader->hdf5, &s->at) || got < 0)
        return h5ck_hdf5_fail(err, H5CKPT_INVALID, "cannot find a chunk");
    if (s->at > d->reader->file->size || s->size > d->reader->file->size - s->at)
        return h5ck_fail_at(err, s->at, "expected a chunk inside of the file, found one of %" PRIu64 " bytes",
                            (uint64_t)s->size);
    return 0;
}

/* As find_stored, with the lock. */
static int look_up(const decoder *d, const run *r, h5ck_hdf5_tools *tools, stored *s, h5ckpt_error **err)
{
    h5ck_hdf5_guard guard;
    h5ck_hdf5_enter(&guard);
    int rc = find_stored(d, r, tools, s, err);
    rc = h5ck_hdf5_file_told(&d->reader->hdf5, rc, err);
    h5ck_hdf5_leave(&guard);
    return rc;
}

static int convert_locked(const decoder *d, unsigned char *data, void *background, h5ckpt_error **err)
{
    const h5ck_dtype *dtype = NULL;
    bool plain;
    hid_t dataset = h5ck_hdf5_reader_dataset(d->reader, &d->base, &d->place), memory = -1;
    hid_t type = dataset < 0 ? -1 : H5Dget_type(dataset);
    int rc = type < 0 ? -1 : h5ck_hdf5_type_find(type, &dtype, &plain, &memory, err);
    if (rc == 0 && dtype != d->dtype)
        rc = h5ck_fail(err, H5CKPT_INVALID, "the type of the elements changed while they were read");
    if (rc < 0 || (rc == 0 && H5Tconvert(type, memory, d->elements, data, background, H5P_DEFAULT) < 0))
        rc = h5ck_hdf5_fail(err, H5CKPT_INVALID, "cannot decode the elements");
    h5ck_hdf5_close(memory);
    h5ck_hdf5_close(type);
    return rc;
}

/* From the file's elements to h5ckpt's, in place. */
static int convert(const decoder *d, unsigned char *data, h5ckpt_error **err)
{
    h5ck_hdf5_guard guard;
    void *background = calloc(d->elements, d->dtype->size); /* for compounds: what stands between their members */
    if (!background)
        return h5ck_fail_nomem(err);
    h5ck_hdf5_enter(&guard);
    int rc = convert_locked(d, data, background, err);
    rc = h5ck_hdf5_file_told(&d->reader->hdf5, rc, err);
    h5ck_hdf5_leave(&guard);
    free(background);
    return rc;
}

static void fill(const decoder *d, unsigned char *to)
{
    for (size_t i = 0; i < d->elements; i++)
        memcpy(to + i * d->dtype->size, d->chunks.fill, d->dtype->size);
}

/* The run's chunk, all of it. */
static int unpack(const decoder *d, const run *r, h5ck_hdf5_tools *tools, unsigned char *to, h5ckpt_error **err)
{
    stored s;
    h5ckpt_error *why = NULL;
    int rc = look_up(d, r, tools, &s, err);
    if (rc == 0 && s.size == 0) {
        fill(d, to);
        return 0;
    }
    if (d->chunks.whole_only && r->unread < d->elements * d->dtype->size)
        s.skipped = UINT32_MAX;
    if (rc == 0)
        rc = h5ck_fs_pread(d->reader->hdf5.fd, s.bytes, (size_t)s.size, s.at, err);
    if (rc)
        return rc;
    rc = h5ck_hdf5_unpack(tools, &d->chunks.filters, s.skipped, s.bytes, (size_t)s.size, to, (size_t)d->chunks.bytes,
                          &why);
    if (rc == H5CKPT_INVALID)
        h5ck_fail_at(err, s.at, "%s", why ? why->message : "expected a whole chunk");
    else if (rc)
        h5ck_fail_nomem(err);
    h5ckpt_error_free(why);
    return rc || d->plain ? rc : convert(d, to, err);
}

/* `n` bytes from the run's first on, by way of the cache. */
static int copy_run(const decoder *d, const run *r, h5ck_hdf5_tools *tools, unsigned char *to, size_t n,
                    h5ckpt_error **err)
{
    size_t ours = d->elements * d->dtype->size, theirs = (size_t)d->chunks.bytes;
    h5ck_hdf5_cache *cache = d->reader->cache;
    h5ck_hdf5_cached *chunk = h5ck_hdf5_cache_get(cache, d, r->index, ours > theirs ? ours : theirs, r->unread);
    if (!chunk)
        return h5ck_fail_nomem(err);
    int rc = 0;
    if (!chunk->ready) {
        rc = unpack(d, r, tools, chunk->data, err);
        h5ck_hdf5_cache_filled(cache, chunk, rc == 0);
    }
    if (rc == 0)
        memcpy(to, chunk->data + r->at, n);
    h5ck_hdf5_cache_release(cache, chunk, n);
    return rc;
}

static int decode(const h5ck_decoder *self, uint64_t offset, void *buf, size_t n, h5ckpt_error **err)
{
    const decoder *d = (const decoder *)self;
    h5ck_hdf5_tools *tools = h5ck_hdf5_cache_tools(d->reader->cache);
    unsigned char *to = buf;
    int rc = tools ? 0 : h5ck_fail_nomem(err);
    while (rc == 0 && n) {
        run r;
        find_run(d, offset, &r);
        size_t now = r.bytes < n ? (size_t)r.bytes : n;
        bool whole = r.at == 0 && now == d->chunks.bytes && d->plain;
        rc = whole ? unpack(d, &r, tools, to, err) : copy_run(d, &r, tools, to, now, err);
        offset += now;
        to += now;
        n -= now;
    }
    if (tools)
        h5ck_hdf5_cache_tools_done(d->reader->cache, tools);
    return rc ? h5ck_file_where(err, rc, d->reader->file) : 0;
}

/* ---- Making one ---- */

/* Bytes of the tensor that hold whole chunks: one row of chunks, or one chunk where that is a range by itself. */
static size_t slab_of(const decoder *d)
{
    uint64_t slab = (uint64_t)d->elements * d->dtype->size;
    for (size_t i = 0; i < d->rank && slab < SLAB; i++)
        if (d->chunks.chunk[i] > 1) {
            for (size_t k = i + 1; k < d->rank && slab < SLAB; k++)
                if (h5ck_ckd_mul(slab, d->chunks.grid[k], &slab))
                    slab = SLAB;
            break;
        }
    return slab < SLAB ? (size_t)slab : SLAB;
}

int h5ck_hdf5_chunks_decoder(h5ckpt_state *state, h5ck_hdf5_reader *reader, const h5ck_hdf5_place *place,
                             const h5ck_dtype *dtype, bool plain, const h5ckpt_tensor_info *info,
                             const h5ck_hdf5_chunks *chunks, h5ck_extent *extent, h5ckpt_error **err)
{
    decoder *d = h5ck_arena_zalloc(&state->arena, 1, sizeof *d);
    uint64_t elements = 1, ours;
    if (!d || (!reader->cache && !(reader->cache = h5ck_hdf5_cache_new())))
        return h5ck_fail_nomem(err);
    d->reader = reader;
    d->place = *place;
    d->dtype = dtype;
    d->plain = plain;
    d->rank = info->rank;
    d->chunks = *chunks;
    d->run_tail = 1;
    d->run_axis = info->rank - 1;
    for (size_t i = 0; i < info->rank; i++) {
        d->shape[i] = info->shape[i];
        elements *= chunks->chunk[i]; /* no more than the bytes of a chunk, which are counted */
    }
    while (d->run_axis > 0 && chunks->chunk[d->run_axis] == info->shape[d->run_axis])
        d->run_tail *= info->shape[d->run_axis--];
    if (h5ck_ckd_mul(elements, dtype->size, &ours) || ours > SIZE_MAX / 2)
        return h5ck_fail(err, H5CKPT_INVALID, "expected chunks that fit into memory, found larger ones");
    d->elements = (size_t)elements;
    d->base = (h5ck_decoder){decode, chunks->filters.count ? "filtered chunks" : "chunks", slab_of(d)};
    *extent = (h5ck_extent){.kind = H5CK_EXTENT_DECODER, .file = reader->file, .decoder = &d->base};
    reader->decoders++;
    return 0;
}
