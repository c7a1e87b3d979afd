/*
 * view.c - views as extents. A view that is a plain run of a source that lies in a file or in memory costs nothing.
 * Others are made block by block: a run is read, a transpose (or any other strides) is gathered from the source as
 * memory (mapped; a compressed source is unpacked), then bytes are swapped, then numbers are cast.
 */
#include "move/view.h"

#include "base/buf.h"
#include "base/ckd.h"
#include "move/cast.h"
#include "move/digest.h"
#include "move/move.h"
#include "move/overflow.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 64 << 10, MOST_BLOCK = 8 << 20, SLAB = 1 << 20 };

typedef struct view {
    h5ck_decoder decoder; /* first: the two have one address */
    const h5ckpt_tensor *source;
    const h5ck_dtype *from, *to;
    uint64_t first;
    bool run; /* row-major without gaps */
    bool swap;
    size_t rank;
    uint64_t shape[H5CK_MAX_RANK], stride[H5CK_MAX_RANK];
    uint64_t nbytes; /* of the result */
    atomic_int own, *verified;
    bool shared; /* `verified` is not its own */
    h5ck_overflow *overflow;
} view;

/* How much of the source is read at once: a decoder's slab, where it has one, lest it unpack the same chunk anew. */
static size_t block_size(const h5ckpt_tensor *source)
{
    size_t slab = source->extent.kind == H5CK_EXTENT_DECODER ? source->extent.decoder->slab : 0;
    return slab < BLOCK ? BLOCK : slab < MOST_BLOCK ? slab : MOST_BLOCK;
}

static int verify(const view *v, unsigned char *block, size_t size, h5ckpt_error **err)
{
    char found[H5CK_DIGEST_TEXT];
    h5ckpt_digest algorithm;
    const h5ckpt_tensor *t = v->source;
    if (!t->digest || h5ck_digest_parse(t->digest, &algorithm) != H5CK_DIGEST_KNOWN ||
        !h5ck_digest_available(algorithm))
        return 0;
    h5ck_digest *d = h5ck_digest_new(algorithm);
    if (!d)
        return h5ck_fail_nomem(err);
    int rc = 0;
    for (uint64_t at = 0; rc == 0 && at < t->info.nbytes; at += size) {
        size_t n = t->info.nbytes - at < size ? (size_t)(t->info.nbytes - at) : size;
        if ((rc = h5ck_move_read(t, at, block, n, err)) == 0)
            h5ck_digest_update(d, block, n);
    }
    if (rc == 0)
        rc = h5ck_digest_text(d, found, err);
    h5ck_digest_free(d);
    if (rc == 0 && strcmp(found, t->digest) != 0)
        rc = h5ck_fail(err, H5CKPT_INVALID, "expected elements of the digest %s, found %s", t->digest, found);
    return h5ck_err_where(err, rc, NULL, t->info.name);
}

/* Every `step`-th element. The sizes are spelled out so that each is one load and one store. */
static void copy_run(unsigned char *out, const unsigned char *in, size_t size, uint64_t step, size_t count)
{
#define COPY(n)                                                                                                        \
    case n:                                                                                                            \
        for (size_t i = 0; i < count; i++)                                                                             \
            memcpy(out + i * (n), in + i * step * (n), n);                                                             \
        break
    switch (size) {
        COPY(1);
        COPY(2);
        COPY(4);
        COPY(8);
        COPY(16);
    }
#undef COPY
}

/* Elements [first, first + count) of the result, run by run along its last axis. */
static int gather(const view *v, uint64_t first, size_t count, unsigned char *out, h5ckpt_error **err)
{
    uint64_t index[H5CK_MAX_RANK], at = v->first, rest = first;
    size_t size = v->from->size, last = v->rank - 1;
    const unsigned char *data = h5ck_move_data(v->source, err);
    if (!data)
        return err && *err ? (int)(*err)->code : H5CKPT_SYSTEM;
    for (size_t i = v->rank; i-- > 0;) {
        index[i] = rest % v->shape[i];
        rest /= v->shape[i];
        at += index[i] * v->stride[i];
    }
    while (count > 0) {
        uint64_t left = v->shape[last] - index[last];
        size_t n = left < count ? (size_t)left : count;
        copy_run(out, data + at * size, size, v->stride[last], n);
        out += n * size;
        count -= n;
        index[last] += n;
        at += n * v->stride[last];
        for (size_t i = last; i > 0 && index[i] == v->shape[i]; i--) {
            at = at - index[i] * v->stride[i] + v->stride[i - 1];
            index[i] = 0;
            index[i - 1]++;
        }
    }
    return 0;
}

/* Each number's bytes the other way round; a complex element is two numbers. */
static void swap_bytes(const h5ck_dtype *type, unsigned char *data, size_t count)
{
    size_t size = type->size, numbers = count;
    if (type->kind == H5CK_KIND_COMPLEX) {
        size /= 2;
        numbers *= 2;
    }
    for (unsigned char *p = data; numbers > 0; numbers--, p += size)
        for (size_t i = 0; i < size / 2; i++) {
            unsigned char b = p[i];
            p[i] = p[size - 1 - i];
            p[size - 1 - i] = b;
        }
}

/* Whole elements of the result; as many of the source fit into the block. */
static int produce(const view *v, uint64_t first, size_t count, unsigned char *block, unsigned char *out,
                   h5ckpt_error **err)
{
    unsigned char *raw = v->from == v->to ? out : block;
    size_t size = v->from->size;
    int rc = v->run ? h5ck_move_read(v->source, (v->first + first) * size, raw, count * size, err)
                    : gather(v, first, count, raw, err);
    if (rc == 0 && v->swap)
        swap_bytes(v->from, raw, count);
    if (rc || v->from == v->to)
        return rc;
    if (v->overflow) {
        if (h5ck_cast_float(v->from, raw, v->to, out, count) > 0)
            rc = h5ck_overflow_find(v->overflow, first, v->from, raw, v->to, count, err);
        return rc;
    }
    size_t done = h5ck_cast(v->from, raw, v->to, out, count);
    if (done < count)
        return h5ck_fail(err, H5CKPT_INVALID,
                         "expected elements that %s can hold, found one that it cannot (element %" PRIu64
                         ", cast from %s)",
                         v->to->name, first + done, v->from->name);
    return 0;
}

/* An offset or a length in the middle of an element takes that element whole, and a part of it. */
static int read_range(const view *v, uint64_t offset, unsigned char *out, size_t n, unsigned char *block, size_t room,
                      h5ckpt_error **err)
{
    size_t size = v->to->size, most = room / (v->from->size > size ? v->from->size : size);
    unsigned char one[16];
    int rc = 0;
    while (rc == 0 && n > 0) {
        size_t skip = (size_t)(offset % size), count = n / size < most ? n / size : most, bytes = count * size;
        if (skip == 0 && count > 0) {
            rc = produce(v, offset / size, count, block, out, err);
        } else {
            rc = produce(v, offset / size, 1, block, one, err);
            bytes = size - skip < n ? size - skip : n;
            memcpy(out, one + skip, bytes);
        }
        offset += bytes;
        out += bytes;
        n -= bytes;
    }
    return rc;
}

static int read_view(const h5ck_decoder *self, uint64_t offset, void *buf, size_t n, h5ckpt_error **err)
{
    view *v = (view *)(uintptr_t)self; /* views are built non-const; this slot is atomic */
    size_t room = block_size(v->source);
    if (offset > v->nbytes || n > v->nbytes - offset)
        return h5ck_fail(err, H5CKPT_INVALID, "expected a range within %" PRIu64 " bytes, found one past them",
                         v->nbytes);
    unsigned char *block = malloc(room);
    if (!block)
        return h5ck_fail_nomem(err);
    int rc = atomic_load(v->verified) ? 0 : verify(v, block, room, err);
    if (rc == 0) {
        atomic_store(v->verified, 1);
        rc = read_range(v, offset, buf, n, block, room, err);
    }
    free(block);
    return rc ? h5ck_err_where(err, rc, NULL, v->source->info.name) : 0;
}

/* ---- Making one ---- */

/* Row-major strides, and whether the view's are the same (an axis of one element has no say in it). */
static bool is_run(const view *v, uint64_t row_major[H5CK_MAX_RANK])
{
    uint64_t stride = 1;
    bool run = true;
    for (size_t i = v->rank; i-- > 0;) {
        row_major[i] = stride;
        run = run && (v->shape[i] == 1 || v->stride[i] == stride);
        stride *= v->shape[i]; /* no overflow: the product of all fits, or some axis is 0 and nothing is read */
    }
    return run;
}

/* The last element that is reached must be in the source. */
static int check_reach(const view *v, h5ckpt_error **err)
{
    uint64_t has = v->source->info.nbytes / v->from->size, last = v->first, step;
    bool beyond = false;
    for (size_t i = 0; i < v->rank; i++)
        beyond = beyond || h5ck_ckd_mul(v->shape[i] - 1, v->stride[i], &step) || h5ck_ckd_add(last, step, &last);
    if (beyond || last >= has)
        return h5ck_fail(err, H5CKPT_INVALID,
                         "expected elements inside of the %" PRIu64 " that are stored, found some past them", has);
    return 0;
}

static const char *describe(const view *v, h5ck_arena *arena)
{
    h5ck_buf b = H5CK_BUF_INIT;
    bool transposed = v->rank > 1 && !v->run;
    for (size_t i = 1; i < v->rank; i++)
        transposed = transposed && v->stride[i - 1] <= v->stride[i];
    if (!v->run)
        h5ck_buf_str(&b, transposed ? "transposed" : "strided");
    if (v->swap)
        h5ck_buf_printf(&b, "%sbig-endian", b.len ? ", " : "");
    if (v->from != v->to)
        h5ck_buf_printf(&b, "%scast from %s", b.len ? ", " : "", v->from->name);
    if (b.len == 0)
        h5ck_buf_str(&b, "a part");
    const char *text = h5ck_buf_cstr(&b);
    text = text ? h5ck_arena_strdup(arena, text) : NULL;
    h5ck_buf_free(&b);
    return text;
}

/* The source's own extent, moved on, where that will do. */
static bool is_plain(const view *v)
{
    return v->run && !v->swap && !v->shared && v->from == v->to && v->source->extent.kind != H5CK_EXTENT_DECODER;
}

static void move_on(const view *v, h5ck_extent *extent)
{
    uint64_t bytes = v->first * v->from->size;
    *extent = v->source->extent;
    if (extent->kind == H5CK_EXTENT_FILE)
        extent->offset += bytes;
    else if (extent->memory)
        extent->memory = (const unsigned char *)extent->memory + bytes;
}

/* Takes over what is given, but for where it reads. */
static int describe_result(view *v, const h5ck_view *given, h5ckpt_error **err)
{
    h5ckpt_dtype source = given->source->info.dtype;
    if (given->rank > H5CK_MAX_RANK)
        return h5ck_fail(err, H5CKPT_INVALID, "expected at most %d axes, found %zu", H5CK_MAX_RANK, given->rank);
    v->source = given->source;
    v->from = h5ck_dtype_get(source);
    v->to = h5ck_dtype_get(given->cast == H5CKPT_DTYPE_NONE ? source : given->cast);
    if (!v->to)
        return h5ck_fail(err, H5CKPT_USAGE, "expected an element type to cast to, found %d", (int)given->cast);
    v->swap = given->swap && v->from->size > 1;
    v->overflow = given->overflow;
    v->shared = given->checked != NULL;
    v->verified = v->shared ? given->checked : &v->own;
    atomic_init(&v->own, 0);
    v->rank = given->rank;
    for (size_t i = 0; i < v->rank; i++)
        v->shape[i] = given->shape[i];
    int rc = h5ck_tensor_nbytes(v->to, v->rank, v->shape, &v->nbytes, err);
    if (rc == 0 && !h5ck_cast_exists(v->from, v->to))
        rc = h5ck_fail(err, H5CKPT_USAGE, "expected a real tensor to cast to %s, found %s", v->to->name, v->from->name);
    return rc;
}

/* Where its elements are in the source. A view of nothing begins at 0, wherever it is said to: nothing is read. */
static int place(view *v, const h5ck_view *given, h5ckpt_error **err)
{
    uint64_t row_major[H5CK_MAX_RANK];
    is_run(v, row_major);
    for (size_t i = 0; i < v->rank; i++)
        v->stride[i] = given->strides ? given->strides[i] : row_major[i];
    v->run = v->nbytes == 0 || is_run(v, row_major);
    v->first = v->nbytes ? given->first : 0;
    return v->nbytes ? check_reach(v, err) : 0;
}

int h5ck_view_make(h5ck_arena *arena, const h5ck_view *given, h5ck_extent *extent, h5ckpt_error **err)
{
    view *v = h5ck_arena_zalloc(arena, 1, sizeof *v);
    int rc = v ? describe_result(v, given, err) : h5ck_fail_nomem(err);
    if (rc == 0)
        rc = place(v, given, err);
    if (rc)
        return rc;
    if (is_plain(v)) {
        move_on(v, extent);
        return 0;
    }
    size_t slab = block_size(v->source);
    v->decoder = (h5ck_decoder){read_view, describe(v, arena), slab < SLAB ? SLAB : slab};
    *extent = (h5ck_extent){.kind = H5CK_EXTENT_DECODER,
                            .file = v->source->extent.file,
                            .mark = v->source->extent.mark,
                            .decoder = &v->decoder};
    return v->decoder.what ? 0 : h5ck_fail_nomem(err);
}

/* ---- Several, in turns ---- */

typedef struct row {
    h5ck_decoder decoder; /* first */
    size_t count;
    const h5ckpt_tensor **parts;
    uint64_t *ends; /* where each part's run ends in a round */
    uint64_t round; /* bytes of all runs */
} row;

static int read_row(const h5ck_decoder *self, uint64_t offset, void *buf, size_t n, h5ckpt_error **err)
{
    const row *r = (const row *)self;
    unsigned char *out = buf;
    uint64_t round = r->round ? offset / r->round : 0, at = r->round ? offset % r->round : 0;
    int rc = r->round == 0 && n > 0 ? h5ck_fail(err, H5CKPT_INVALID, "expected a range inside of the parts") : 0;
    for (size_t i = 0; rc == 0 && n > 0;) {
        while (r->ends[i] <= at)
            i++;
        uint64_t begin = i ? r->ends[i - 1] : 0, left = r->ends[i] - at;
        size_t part = left < n ? (size_t)left : n;
        rc = h5ck_move_read(r->parts[i], round * (r->ends[i] - begin) + at - begin, out, part, err);
        out += part;
        at += part;
        n -= part;
        if (at == r->round) {
            at = 0;
            round++;
            i = 0;
        }
    }
    return rc;
}

int h5ck_view_interleave(h5ck_arena *arena, const h5ckpt_tensor *const *parts, size_t count, uint64_t rounds,
                         h5ck_extent *extent, h5ckpt_error **err)
{
    row *r = h5ck_arena_zalloc(arena, 1, sizeof *r);
    uint64_t all = 0;
    if (!r || !(r->parts = h5ck_arena_zalloc(arena, count, sizeof *r->parts)) ||
        !(r->ends = h5ck_arena_zalloc(arena, count, sizeof *r->ends)))
        return h5ck_fail_nomem(err);
    for (size_t i = 0; i < count; i++) {
        uint64_t nbytes = parts[i]->info.nbytes;
        r->parts[i] = parts[i];
        if (h5ck_ckd_add(all, nbytes, &all))
            return h5ck_fail(err, H5CKPT_INVALID, "expected parts whose size fits 64 bits, found more");
        if (rounds ? nbytes % rounds != 0 : nbytes != 0)
            return h5ck_fail(err, H5CKPT_INVALID, "expected a part of %" PRIu64 " equal runs, found %" PRIu64 " bytes",
                             rounds, nbytes);
        r->ends[i] = r->round += rounds ? nbytes / rounds : 0;
    }
    r->count = count;
    r->decoder = (h5ck_decoder){read_row, "joined from parts", SLAB};
    *extent = (h5ck_extent){
        .kind = H5CK_EXTENT_DECODER, .file = count ? parts[0]->extent.file : NULL, .decoder = &r->decoder};
    return 0;
}

int h5ck_view_concatenate(h5ck_arena *arena, const h5ckpt_tensor *const *parts, size_t count, h5ck_extent *extent,
                          h5ckpt_error **err)
{
    return h5ck_view_interleave(arena, parts, count, 1, extent, err);
}
