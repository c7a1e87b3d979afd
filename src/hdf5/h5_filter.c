/*
 * h5_filter.c - the four filters that chunks go through, as HDF5's own and its registered Zstandard filter (32015)
 * store them:
 *
 *     shuffle      the first bytes of all elements, then the second ones, ...; bytes behind the last whole element
 *                  stay where they are. Its value is the element's size
 *     deflate      a zlib stream, here by libdeflate. Its value is the level, which only a writer needs
 *     Zstandard    one frame. As deflate
 *     fletcher32   the sum of the bytes before it, in 4 bytes behind them
 *
 * A chunk whose stream says it is longer or shorter than the dataset's chunks is damaged, and refused: libhdf5 1.10.8
 * gives what lay in memory behind a short one, and takes memory without bound for a long one. So every step here knows
 * how many bytes must come out of it: the chunk's, and 4 more for each checksum that was added before. That is known
 * only where no more than one filter compresses; two are refused.
 */
#include "hdf5/h5_filter.h"
#include "base/le.h"

#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>
#include <zstd_errors.h>

typedef struct buffer {
    unsigned char *data;
    size_t room;
} buffer;

struct h5ck_hdf5_tools {
    struct libdeflate_compressor *deflate;
    struct libdeflate_decompressor *inflate;
    ZSTD_CCtx *zstd;
    ZSTD_DCtx *unzstd;
    buffer stored, step;
};

/* ---- Tools ---- */

h5ck_hdf5_tools *h5ck_hdf5_tools_new(void)
{
    return calloc(1, sizeof(h5ck_hdf5_tools));
}

void h5ck_hdf5_tools_free(h5ck_hdf5_tools *t)
{
    if (!t)
        return;
    if (t->deflate)
        libdeflate_free_compressor(t->deflate);
    if (t->inflate)
        libdeflate_free_decompressor(t->inflate);
    ZSTD_freeCCtx(t->zstd);
    ZSTD_freeDCtx(t->unzstd);
    free(t->stored.data);
    free(t->step.data);
    free(t);
}

/* What was in it is lost. */
static unsigned char *room(buffer *b, size_t size)
{
    if (b->data && size <= b->room)
        return b->data;
    free(b->data);
    b->data = malloc(size ? size : 1);
    b->room = b->data ? size : 0;
    return b->data;
}

unsigned char *h5ck_hdf5_tools_room(h5ck_hdf5_tools *t, size_t size)
{
    return room(&t->stored, size);
}

/* ---- Shuffle ---- */

/* Elements in blocks of one length, each byte of an element a lane, by way of the stack, which nothing else can point
 * to: so compilers see that they may make vectors of the loops. */
enum { BLOCK = 64 };

#define EACH_2(X) X(0) X(1)
#define EACH_4(X) EACH_2(X) X(2) X(3)
#define EACH_8(X) EACH_4(X) X(4) X(5) X(6) X(7)

#define SPLIT(j) lane[j][k] = e[k * SIZE + j];
#define JOIN(j)  e[k * SIZE + j] = lane[j][k];

#define SHUFFLE(size)                                                                                                  \
    static size_t shuffle_##size(const unsigned char *from, unsigned char *to, size_t n)                               \
    {                                                                                                                  \
        enum { SIZE = size };                                                                                          \
        size_t i = 0;                                                                                                  \
        for (; n - i >= BLOCK; i += BLOCK) {                                                                           \
            const unsigned char *e = from + i * SIZE;                                                                  \
            unsigned char lane[SIZE][BLOCK];                                                                           \
            for (size_t k = 0; k < BLOCK; k++) {                                                                       \
                EACH_##size(SPLIT)                                                                                     \
            }                                                                                                          \
            for (size_t j = 0; j < SIZE; j++)                                                                          \
                memcpy(to + j * n + i, lane[j], BLOCK);                                                                \
        }                                                                                                              \
        return i;                                                                                                      \
    }                                                                                                                  \
    static size_t unshuffle_##size(const unsigned char *from, unsigned char *to, size_t n)                             \
    {                                                                                                                  \
        enum { SIZE = size };                                                                                          \
        size_t i = 0;                                                                                                  \
        for (; n - i >= BLOCK; i += BLOCK) {                                                                           \
            unsigned char *e = to + i * SIZE;                                                                          \
            unsigned char lane[SIZE][BLOCK];                                                                           \
            for (size_t j = 0; j < SIZE; j++)                                                                          \
                memcpy(lane[j], from + j * n + i, BLOCK);                                                              \
            for (size_t k = 0; k < BLOCK; k++) {                                                                       \
                EACH_##size(JOIN)                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
        return i;                                                                                                      \
    }

SHUFFLE(2)
SHUFFLE(4)
SHUFFLE(8)

static void shuffle(const unsigned char *from, unsigned char *to, size_t bytes, size_t size)
{
    size_t n = bytes / size;
    size_t i = size == 2 ? shuffle_2(from, to, n) : size == 4 ? shuffle_4(from, to, n) : 0;
    if (size == 8)
        i = shuffle_8(from, to, n);
    for (size_t j = 0; j < size; j++)
        for (size_t k = i; k < n; k++)
            to[j * n + k] = from[k * size + j];
    memcpy(to + n * size, from + n * size, bytes - n * size);
}

static void unshuffle(const unsigned char *from, unsigned char *to, size_t bytes, size_t size)
{
    size_t n = bytes / size;
    size_t i = size == 2 ? unshuffle_2(from, to, n) : size == 4 ? unshuffle_4(from, to, n) : 0;
    if (size == 8)
        i = unshuffle_8(from, to, n);
    for (size_t k = i; k < n; k++)
        for (size_t j = 0; j < size; j++)
            to[k * size + j] = from[j * n + k];
    memcpy(to + n * size, from + n * size, bytes - n * size);
}

/* ---- Fletcher's checksum, over big-endian words of 16 bits ---- */

/* A sum that is a multiple of 65535 counts as 65535, unless nothing but zeros was added. */
static uint64_t folded(uint64_t sum)
{
    return sum ? (sum - 1) % 65535 + 1 : 0;
}

static uint32_t fletcher32(const unsigned char *p, size_t n)
{
    enum { WORDS = 4096 }; /* between two folds; 64 bits have room for more */
    uint64_t a = 0, b = 0;
    for (size_t words = n / 2; words;) {
        size_t now = words < WORDS ? words : WORDS;
        words -= now;
        for (; now; now--, p += 2) {
            a += (unsigned)p[0] << 8 | p[1];
            b += a;
        }
        a = folded(a);
        b = folded(b);
    }
    if (n % 2) {
        a = folded(a + ((unsigned)p[0] << 8));
        b = folded(b + a);
    }
    return (uint32_t)(b << 16 | a);
}

/* HDF5 1.6.2 and older stored it with the bytes of each half swapped on some machines; HDF5 takes both. */
static bool sum_fits(const unsigned char *data, size_t n)
{
    uint32_t sum = fletcher32(data, n), stored = (uint32_t)h5ck_le_get(data + n, H5CK_HDF5_CHECKSUM);
    uint32_t swapped = (sum & 0x00ff00ffu) << 8 | (sum & 0xff00ff00u) >> 8;
    return stored == sum || stored == swapped;
}

/* ---- Packing ---- */

/* The bytes that `n` were deflated to, below `limit`, or 0. */
static size_t deflated(h5ck_hdf5_tools *t, unsigned level, const unsigned char *from, size_t n, unsigned char *to,
                       size_t limit, h5ckpt_error **err)
{
    if (!t->deflate && !(t->deflate = libdeflate_alloc_compressor((int)level))) {
        h5ck_fail_nomem(err);
        return 0;
    }
    return libdeflate_zlib_compress(t->deflate, from, n, to, limit);
}

static size_t zstd_packed(h5ck_hdf5_tools *t, unsigned level, const unsigned char *from, size_t n, unsigned char *to,
                          size_t limit, h5ckpt_error **err)
{
    if (!t->zstd && !(t->zstd = ZSTD_createCCtx())) {
        h5ck_fail_nomem(err);
        return 0;
    }
    size_t got = ZSTD_compressCCtx(t->zstd, to, limit, from, n, (int)level);
    if (!ZSTD_isError(got))
        return got;
    if (ZSTD_getErrorCode(got) == ZSTD_error_memory_allocation)
        h5ck_fail_nomem(err);
    return 0; /* no room: it does not shrink */
}

int h5ck_hdf5_pack(h5ck_hdf5_tools *t, const h5ck_hdf5_filters *f, const unsigned char *data, size_t n,
                   const unsigned char **packed, size_t *size, uint32_t *skipped, h5ckpt_error **err)
{
    h5ckpt_error *why = NULL;
    const unsigned char *from = data;
    *size = 0;
    for (size_t i = 0; i < f->count; i++) {
        bool shuffles = f->at[i].id == H5Z_FILTER_SHUFFLE;
        unsigned char *to = room(shuffles ? &t->step : &t->stored, n);
        if (!to)
            return h5ck_fail_nomem(err);
        if (shuffles)
            shuffle(from, to, n, f->at[i].value);
        else
            *size = f->at[i].id == H5CK_HDF5_ZSTD ? zstd_packed(t, f->at[i].value, from, n, to, n, &why)
                                                  : deflated(t, f->at[i].value, from, n, to, n, &why);
        from = to;
    }
    if (why) {
        h5ckpt_error_free(why);
        return h5ck_fail_nomem(err);
    }
    *packed = *size ? from : data;
    *skipped = *size ? 0 : (1u << f->count) - 1;
    *size = *size ? *size : n;
    return 0;
}

/* ---- Unpacking ---- */

static int inflated(h5ck_hdf5_tools *t, const unsigned char *from, size_t size, unsigned char *to, size_t n,
                    h5ckpt_error **err)
{
    if (!t->inflate && !(t->inflate = libdeflate_alloc_decompressor()))
        return h5ck_fail_nomem(err);
    switch (libdeflate_zlib_decompress(t->inflate, from, size, to, n, NULL)) {
    case LIBDEFLATE_SUCCESS:
        return 0;
    case LIBDEFLATE_SHORT_OUTPUT:
        return h5ck_fail(err, H5CKPT_INVALID, "found one of fewer");
    case LIBDEFLATE_INSUFFICIENT_SPACE:
        return h5ck_fail(err, H5CKPT_INVALID, "found one of more");
    default:
        return h5ck_fail(err, H5CKPT_INVALID, "found no whole zlib stream");
    }
}

static int zstd_unpacked(h5ck_hdf5_tools *t, const unsigned char *from, size_t size, unsigned char *to, size_t n,
                         h5ckpt_error **err)
{
    if (!t->unzstd && !(t->unzstd = ZSTD_createDCtx()))
        return h5ck_fail_nomem(err);
    size_t got = ZSTD_decompressDCtx(t->unzstd, to, n, from, size);
    if (!ZSTD_isError(got))
        return got == n ? 0 : h5ck_fail(err, H5CKPT_INVALID, "found one of fewer");
    switch (ZSTD_getErrorCode(got)) {
    case ZSTD_error_memory_allocation:
        return h5ck_fail_nomem(err);
    case ZSTD_error_dstSize_tooSmall:
        return h5ck_fail(err, H5CKPT_INVALID, "found one of more");
    default:
        return h5ck_fail(err, H5CKPT_INVALID, "found no whole Zstandard frame: %s", ZSTD_getErrorName(got));
    }
}

/* A chunk on its way back. */
typedef struct way {
    h5ck_hdf5_tools *tools;
    unsigned char *at; /* where its bytes are now */
    size_t size;
    unsigned char *to; /* where `n` of them must arrive */
    size_t n;
} way;

static bool compresses(H5Z_filter_t id)
{
    return id == H5Z_FILTER_DEFLATE || id == H5CK_HDF5_ZSTD;
}

/* The bytes that come out of filter `i`: known once what compresses is undone. */
static size_t size_before(const h5ck_hdf5_filters *f, uint32_t skipped, size_t i, size_t n)
{
    while (i-- > 0)
        if (f->at[i].id == H5Z_FILTER_FLETCHER32 && !(skipped & 1u << i))
            n += H5CK_HDF5_CHECKSUM;
    return n;
}

/* Where the next step writes: to the end of the way if this is the last one, else into a buffer that is free. */
static unsigned char *next_place(way *w, size_t size, bool last)
{
    if (last)
        return w->to;
    return room(w->at == w->tools->step.data ? &w->tools->stored : &w->tools->step, size);
}

static int undo(way *w, const h5ck_hdf5_filters *f, uint32_t skipped, size_t i, bool last, h5ckpt_error **err)
{
    H5Z_filter_t id = f->at[i].id;
    if (id == H5Z_FILTER_FLETCHER32) {
        if (w->size < H5CK_HDF5_CHECKSUM)
            return h5ck_fail(err, H5CKPT_INVALID, "found one without its checksum");
        w->size -= H5CK_HDF5_CHECKSUM;
        return sum_fits(w->at, w->size) ? 0 : h5ck_fail(err, H5CKPT_INVALID, "found one whose checksum does not fit");
    }
    size_t size = compresses(id) ? size_before(f, skipped, i, w->n) : w->size;
    unsigned char *to = last && size != w->n ? NULL : next_place(w, size, last);
    if (!to)
        return last ? h5ck_fail(err, H5CKPT_INVALID, "found one of %zu", size) : h5ck_fail_nomem(err);
    int rc = 0;
    if (id == H5Z_FILTER_SHUFFLE)
        unshuffle(w->at, to, size, f->at[i].value);
    else
        rc = id == H5CK_HDF5_ZSTD ? zstd_unpacked(w->tools, w->at, w->size, to, size, err)
                                  : inflated(w->tools, w->at, w->size, to, size, err);
    w->at = to;
    w->size = size;
    return rc;
}

/* The filter that is undone last and moves bytes: it writes where the caller wants them. */
static size_t last_step(const h5ck_hdf5_filters *f, uint32_t skipped)
{
    for (size_t i = 0; i < f->count; i++) {
        if (skipped & 1u << i)
            continue;
        if (f->at[i].id != H5Z_FILTER_FLETCHER32)
            return i;
        break; /* what a checksum was added to is longer than the chunk */
    }
    return f->count;
}

static size_t compressions(const h5ck_hdf5_filters *f, uint32_t skipped)
{
    size_t n = 0;
    for (size_t i = 0; i < f->count; i++)
        n += compresses(f->at[i].id) && !(skipped & 1u << i);
    return n;
}

int h5ck_hdf5_unpack(h5ck_hdf5_tools *t, const h5ck_hdf5_filters *f, uint32_t skipped, unsigned char *stored,
                     size_t size, unsigned char *to, size_t n, h5ckpt_error **err)
{
    h5ckpt_error *why = NULL;
    way w = {t, stored, size, to, n};
    size_t last = last_step(f, skipped);
    int rc = 0;
    if (compressions(f, skipped) > 1)
        rc = h5ck_fail(&why, H5CKPT_INVALID, "found one that was compressed twice");
    for (size_t i = f->count; rc == 0 && i-- > 0;)
        if (!(skipped & 1u << i))
            rc = undo(&w, f, skipped, i, i == last, &why);
    if (rc == 0 && w.size != n)
        rc = h5ck_fail(&why, H5CKPT_INVALID, "found one of %zu", w.size);
    if (rc == 0 && w.at != to)
        memcpy(to, w.at, n);
    if (rc == H5CKPT_INVALID)
        h5ck_fail(err, rc, "expected a chunk that unpacks to %zu bytes, %s", n, why ? why->message : "found another");
    else if (rc)
        h5ck_fail_nomem(err);
    h5ckpt_error_free(why);
    return rc;
}
