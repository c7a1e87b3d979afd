/*
 * lod.c - reading and writing the header of a LoDTensor stream (the layout is in lod.h).
 *
 * The header is small, but for the LoD itself: it is read through a window of a page, the LoD straight into its array
 * after its size was held against what is left of the file.
 */
#include "parse/lod.h"

#include "base/fs.h"
#include "base/le.h"
#include "model/dtype.h"
#include "model/tensor.h"
#include "parse/protobuf.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    WINDOW = 4096,
    MAX_LEVELS = 32,
    MAX_DESC = 1024 /* data_type and 32 dims need 2 + 32 * 11 bytes */
};

/* A forward reader over [at, end) of the file. */
typedef struct stream {
    int fd;
    uint64_t at, end;
    uint64_t window_at;
    size_t window_len;
    unsigned char window[WINDOW];
    h5ck_buf *listing;
    h5ckpt_error **err;
} stream;

static int need(stream *s, uint64_t n, const char *what)
{
    if (s->end - s->at < n)
        return h5ck_fail_at(s->err, s->at, "expected %" PRIu64 " bytes of %s, found %" PRIu64, n, what, s->end - s->at);
    return 0;
}

/* Steps over n <= WINDOW bytes and points at them. */
static int take(stream *s, size_t n, const char *what, const unsigned char **p)
{
    int rc = need(s, n, what);
    if (rc)
        return rc;
    if (s->window_len == 0 || s->at < s->window_at || s->at + n > s->window_at + s->window_len) {
        uint64_t left = s->end - s->at;
        s->window_len = left < WINDOW ? (size_t)left : WINDOW;
        s->window_at = s->at;
        if ((rc = h5ck_fs_pread(s->fd, s->window, s->window_len, s->at, s->err)))
            return rc;
    }
    *p = s->window + (s->at - s->window_at);
    s->at += n;
    return 0;
}

/* One line of --explain: where, which bytes (the first few), what they mean. */
static void say(stream *s, uint64_t at, size_t n, const unsigned char *bytes, const char *what, uint64_t value)
{
    if (!s->listing)
        return;
    char hex[3 * 8 + 4] = "";
    size_t shown = n < 8 ? n : 8;
    for (size_t i = 0; i < shown; i++)
        snprintf(hex + 3 * i, sizeof hex - 3 * i, "%02x ", bytes[i]);
    h5ck_buf_printf(s->listing, "%10" PRIu64 "  %-24s%s  %s = %" PRIu64 "\n", at, hex, n > shown ? ".." : "  ", what,
                    value);
}

static int number(stream *s, unsigned bytes, const char *what, uint64_t *v)
{
    const unsigned char *p;
    uint64_t at = s->at;
    int rc = take(s, bytes, what, &p);
    if (rc)
        return rc;
    *v = h5ck_le_get(p, bytes);
    say(s, at, bytes, p, what, *v);
    return 0;
}

static int version(stream *s, const char *what)
{
    uint64_t at = s->at, v;
    int rc = number(s, 4, what, &v);
    return rc || v == 0 ? rc : h5ck_fail_at(s->err, at, "expected %s 0, found %" PRIu64, what, v);
}

static int read_level(stream *s, h5ck_arena *arena, h5ckpt_lod_level *level)
{
    uint64_t at = s->at, nbytes;
    int rc = number(s, 8, "LoD level size", &nbytes);
    if (rc)
        return rc;
    if (nbytes % 8)
        return h5ck_fail_at(s->err, at, "expected a LoD level size that is a multiple of 8, found %" PRIu64, nbytes);
    if ((rc = need(s, nbytes, "LoD offsets")))
        return rc;
    uint64_t *offsets = nbytes <= SIZE_MAX ? h5ck_arena_alloc(arena, (size_t)nbytes) : NULL;
    if (!offsets)
        return h5ck_fail_nomem(s->err);
    if ((rc = h5ck_fs_pread(s->fd, offsets, (size_t)nbytes, s->at, s->err)))
        return rc;
    s->at += nbytes;
    level->count = (size_t)(nbytes / 8);
    level->offsets = offsets;
    for (size_t i = 0; i < level->count; i++)
        offsets[i] = h5ck_le_get(&offsets[i], 8);
    return 0;
}

static int read_levels(stream *s, h5ck_arena *arena, h5ckpt_tensor_info *info)
{
    uint64_t at = s->at, count;
    int rc = number(s, 8, "lod_level", &count);
    if (rc)
        return rc;
    if (count > MAX_LEVELS)
        return h5ck_fail_at(s->err, at, "expected at most %d LoD levels, found %" PRIu64, MAX_LEVELS, count);
    h5ckpt_lod_level *lod = h5ck_arena_zalloc(arena, (size_t)count, sizeof *lod);
    if (!lod)
        return h5ck_fail_nomem(s->err);
    for (size_t i = 0; i < count; i++)
        if ((rc = read_level(s, arena, &lod[i])))
            return rc;
    info->lod_levels = (size_t)count;
    info->lod = lod;
    return 0;
}

/* ---- TensorDesc ---- */

typedef struct dims {
    size_t rank;
    uint64_t shape[H5CK_MAX_RANK];
} dims;

static int read_dim(h5ck_pb_reader *r, dims *to, h5ckpt_error **err)
{
    uint64_t at = r->at, v;
    int rc = h5ck_pb_varint(r, &v, err);
    if (rc)
        return rc;
    if (v > INT64_MAX)
        return h5ck_fail_at(err, at, "expected a dimension of at least 0, found %" PRId64, (int64_t)v);
    if (to->rank == H5CK_MAX_RANK)
        return h5ck_fail_at(err, at, "expected at most %d dimensions, found more", H5CK_MAX_RANK);
    to->shape[to->rank++] = v;
    return 0;
}

static int read_packed_dims(h5ck_pb_reader *r, dims *to, h5ckpt_error **err)
{
    h5ck_pb_reader packed;
    int rc = h5ck_pb_enter(r, "packed dims", &packed, err);
    while (rc == 0 && h5ck_pb_left(&packed))
        rc = read_dim(&packed, to, err);
    return rc;
}

static int read_dtype(h5ck_pb_reader *r, h5ckpt_dtype *dtype, h5ckpt_error **err)
{
    uint64_t at = r->at, v;
    int rc = h5ck_pb_varint(r, &v, err);
    if (rc)
        return rc;
    const h5ck_dtype *row = h5ck_dtype_from_paddle(v);
    if (!row)
        return h5ck_fail_at(err, at, "expected the data_type of an element, found %" PRIu64, v);
    *dtype = row->id;
    return 0;
}

static int read_desc_fields(h5ck_pb_reader *r, h5ckpt_dtype *dtype, dims *to, h5ckpt_error **err)
{
    h5ck_pb_field f;
    int rc;
    while ((rc = h5ck_pb_next(r, &f, err)) == 0 && f.number) {
        if (f.number == 1 && f.wire == H5CK_PB_VARINT)
            rc = read_dtype(r, dtype, err);
        else if (f.number == 2 && f.wire == H5CK_PB_VARINT)
            rc = read_dim(r, to, err);
        else if (f.number == 2 && f.wire == H5CK_PB_LENGTH)
            rc = read_packed_dims(r, to, err);
        else
            rc = h5ck_fail_at(err, f.at, "expected TensorDesc field 1 or 2, found field %" PRIu32 " of wire type %d",
                              f.number, f.wire);
        if (rc)
            return rc;
    }
    return rc;
}

static void list_desc(stream *s, uint64_t at, size_t len, const unsigned char *bytes, const h5ckpt_tensor_info *info)
{
    if (!s->listing)
        return;
    say(s, at, len, bytes, "TensorDesc, bytes", len);
    h5ck_buf_printf(s->listing, "%40s  data_type = %d (%s), dims = [", "", h5ck_dtype_get(info->dtype)->paddle,
                    h5ckpt_dtype_name(info->dtype));
    for (size_t i = 0; i < info->rank; i++)
        h5ck_buf_printf(s->listing, "%s%" PRIu64, i ? ", " : "", info->shape[i]);
    h5ck_buf_str(s->listing, "]\n");
}

static int read_desc(stream *s, h5ck_arena *arena, h5ckpt_tensor_info *info)
{
    uint64_t at = s->at, len;
    int rc = number(s, 4, "TensorDesc length", &len);
    if (rc)
        return rc;
    if (len > MAX_DESC)
        return h5ck_fail_at(s->err, at, "expected a TensorDesc of at most %d bytes, found %" PRId32, MAX_DESC,
                            (int32_t)(uint32_t)len);
    const unsigned char *bytes;
    const uint64_t begin = s->at;
    dims found = {0};
    if ((rc = take(s, (size_t)len, "TensorDesc", &bytes)))
        return rc;
    h5ck_pb_source source;
    h5ck_pb_of_memory(&source, bytes, (size_t)len, begin);
    h5ck_pb_reader fields = h5ck_pb_all(&source, "the TensorDesc");
    info->dtype = H5CKPT_DTYPE_NONE;
    if ((rc = read_desc_fields(&fields, &info->dtype, &found, s->err)))
        return rc;
    if (info->dtype == H5CKPT_DTYPE_NONE)
        return h5ck_fail_at(s->err, begin, "expected a data_type in the TensorDesc, found none");
    info->rank = found.rank;
    info->shape = h5ck_arena_memdup(arena, found.shape, found.rank * sizeof *found.shape);
    if (!info->shape)
        return h5ck_fail_nomem(s->err);
    list_desc(s, begin, (size_t)len, bytes, info);
    return h5ck_tensor_nbytes(h5ck_dtype_get(info->dtype), info->rank, info->shape, &info->nbytes, s->err);
}

int h5ck_lod_read(int fd, uint64_t offset, uint64_t size, h5ck_arena *arena, h5ckpt_tensor_info *info,
                  uint64_t *data_offset, h5ck_buf *listing, h5ckpt_error **err)
{
    stream s; /* its window is not cleared */
    s.fd = fd, s.at = offset, s.end = size;
    s.window_at = 0, s.window_len = 0;
    s.listing = listing, s.err = err;
    int rc = version(&s, "LoDTensor version");
    if (rc == 0)
        rc = read_levels(&s, arena, info);
    if (rc == 0)
        rc = version(&s, "tensor version");
    if (rc == 0)
        rc = read_desc(&s, arena, info);
    *data_offset = s.at;
    return rc;
}

/* ---- Writing ---- */

int h5ck_lod_write(const h5ckpt_tensor_info *info, h5ck_buf *out, h5ckpt_error **err)
{
    h5ck_buf_le(out, 0, 4);
    h5ck_buf_le(out, info->lod_levels, 8);
    for (size_t l = 0; l < info->lod_levels; l++) {
        h5ck_buf_le(out, (uint64_t)info->lod[l].count * 8, 8);
        for (size_t i = 0; i < info->lod[l].count; i++)
            h5ck_buf_le(out, info->lod[l].offsets[i], 8);
    }
    h5ck_buf_le(out, 0, 4);
    size_t length_at = out->len;
    h5ck_buf_le(out, 0, 4);
    h5ck_pb_put_tag(out, 1, H5CK_PB_VARINT);
    h5ck_pb_put_varint(out, (uint64_t)h5ck_dtype_get(info->dtype)->paddle);
    for (size_t i = 0; i < info->rank; i++) {
        h5ck_pb_put_tag(out, 2, H5CK_PB_VARINT);
        h5ck_pb_put_varint(out, info->shape[i]);
    }
    if (out->failed)
        return h5ck_fail_nomem(err);
    h5ck_le_put(out->data + length_at, out->len - length_at - 4, 4);
    return 0;
}
