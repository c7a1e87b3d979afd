/*
 * h5_decode.c - elements that do not lie in the file as they are, without chunks: of another byte order, or inside of
 * the dataset's own header. Chunks are h5_chunks.c's.
 *
 * A decoder has libhdf5 read the asked range as a few hyperslabs. Datasets stay open, the last few that were used.
 */
#include "hdf5/h5_decode.h"
#include "hdf5/h5_cache.h"

#include <string.h>

enum { SLAB = 1 << 20 };

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
    if (r->last_type.id > 0)
        h5ck_hdf5_close(r->last_type.id);
    r->last_type.id = 0;
    h5ck_hdf5_file_close(&r->hdf5, 0, NULL);
}

static void close_reader(void *what)
{
    h5ck_hdf5_guard guard;
    h5ck_hdf5_reader *r = what;
    h5ck_hdf5_cache_free(r->cache);
    r->cache = NULL;
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

hid_t h5ck_hdf5_reader_dataset(h5ck_hdf5_reader *r, const h5ck_decoder *owner, const h5ck_hdf5_place *place)
{
    size_t i = 0;
    while (i + 1 < H5CK_HDF5_OPEN && r->open[i].owner && r->open[i].owner != owner)
        i++;
    if (r->open[i].owner != owner) {
        if (r->open[i].owner)
            drop(r, i);
        if ((r->open[i].id = H5Oopen_by_addr(r->hdf5.id, place->address)) < 0)
            return -1;
        r->open[i].owner = owner;
    }
    hid_t id = r->open[i].id;
    memmove(&r->open[1], &r->open[0], i * sizeof r->open[0]);
    r->open[0].owner = owner;
    r->open[0].id = id;
    return id;
}

/* ---- Decoding ---- */

typedef struct decoder {
    h5ck_decoder base; /* first: the two have one address */
    h5ck_hdf5_reader *reader;
    h5ck_hdf5_place place;
    const h5ck_dtype *dtype;
    size_t rank;
    hsize_t shape[H5CK_MAX_RANK];
} decoder;

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

/* The type to read as has the members' names of the file's, so it is asked of the dataset. */
static int decode(const h5ck_decoder *self, uint64_t offset, void *buf, size_t n, h5ckpt_error **err)
{
    const decoder *d = (const decoder *)self;
    h5ck_hdf5_guard guard;
    const h5ck_dtype *dtype = NULL;
    bool plain;
    h5ck_hdf5_enter(&guard);
    hid_t dataset = h5ck_hdf5_reader_dataset(d->reader, &d->base, &d->place), memory = -1;
    hid_t type = dataset < 0 ? -1 : H5Dget_type(dataset);
    int rc = type < 0 ? -1 : h5ck_hdf5_type_find(type, &dtype, &plain, &memory, err);
    if (rc == 0 && dtype != d->dtype)
        rc = h5ck_fail(err, H5CKPT_INVALID, "the type of the elements changed while they were read");
    if (rc < 0 || (rc == 0 && read_bytes(d, dataset, memory, offset, buf, n)))
        rc = h5ck_hdf5_fail(err, H5CKPT_INVALID, "cannot decode the elements");
    h5ck_hdf5_close(memory);
    h5ck_hdf5_close(type);
    rc = h5ck_hdf5_file_told(&d->reader->hdf5, rc, err);
    h5ck_hdf5_leave(&guard);
    return rc ? h5ck_file_where(err, rc, d->reader->file) : 0;
}

/* ---- Making one ---- */

int h5ck_hdf5_decoder_make(h5ckpt_state *state, h5ck_hdf5_reader *reader, const h5ck_hdf5_place *place,
                           const h5ck_dtype *dtype, const h5ckpt_tensor_info *info, h5ck_extent *extent,
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
    d->base = (h5ck_decoder){decode, "converted", SLAB};
    *extent = (h5ck_extent){.kind = H5CK_EXTENT_DECODER, .file = reader->file, .decoder = &d->base};
    reader->decoders++;
    return 0;
}
