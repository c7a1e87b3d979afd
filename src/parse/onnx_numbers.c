/*
 * onnx_numbers.c - the elements of a TensorProto that are numbers of protobuf: repeated, packed or not, in as many runs
 * as the writer liked.
 *
 * First all are counted and checked, and every 65,536th is marked; then a decoder reads on from a mark. Its memory is the
 * marks: 24 bytes for 64 KiB of the file or more.
 */
#include "base/le.h"
#include "parse/onnx.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

enum { STEP = 65536, FLOAT_DATA = 4, INT32_DATA = 5, INT64_DATA = 7, DOUBLE_DATA = 10, UINT64_DATA = 11 };

uint32_t h5ck_onnx_field_of(const h5ck_dtype *d)
{
    switch (d->id) {
    case H5CKPT_DTYPE_FLOAT32:
    case H5CKPT_DTYPE_COMPLEX64:
        return FLOAT_DATA;
    case H5CKPT_DTYPE_FLOAT64:
    case H5CKPT_DTYPE_COMPLEX128:
        return DOUBLE_DATA;
    case H5CKPT_DTYPE_INT64:
        return INT64_DATA;
    case H5CKPT_DTYPE_UINT32:
    case H5CKPT_DTYPE_UINT64:
        return UINT64_DATA;
    default:
        return INT32_DATA; /* smaller ones, and the bits of small floats */
    }
}

/* ---- Number by number ---- */

typedef struct mark {
    uint64_t at;              /* of the message: what is behind the run */
    uint64_t run_at, run_end; /* of the packed run */
} mark;

typedef struct numbers {
    h5ck_decoder decoder; /* first: the two have one address */
    h5ck_file *file;
    uint64_t end; /* of the message */
    uint32_t field;
    h5ck_pb_wire wire; /* of one number */
    h5ck_kind kind;
    unsigned size; /* bytes of a number among the elements */
    uint64_t count;
    mark *marks;
} numbers;

typedef struct cursor {
    const numbers *n;
    h5ck_pb_reader message, run;
} cursor;

static cursor cursor_at(const numbers *n, h5ck_pb_source *source, const mark *m)
{
    return (cursor){n, {source, m->at, n->end, "a tensor"}, {source, m->run_at, m->run_end, "a run of numbers"}};
}

static int take(const numbers *n, h5ck_pb_reader *r, uint64_t *v, h5ckpt_error **err)
{
    return n->wire == H5CK_PB_VARINT ? h5ck_pb_varint(r, v, err) : h5ck_pb_fixed(r, n->size, v, err);
}

/* The next number; *there is false behind the last. */
static int next(cursor *c, uint64_t *v, bool *there, h5ckpt_error **err)
{
    *there = true;
    while (h5ck_pb_left(&c->run) == 0) {
        h5ck_pb_field f;
        int rc = h5ck_pb_next(&c->message, &f, err);
        if (rc || f.number == 0) {
            *there = false;
            return rc;
        }
        if (f.number == c->n->field && f.wire == c->n->wire)
            return take(c->n, &c->message, v, err);
        if (f.number == c->n->field && f.wire == H5CK_PB_LENGTH)
            rc = h5ck_pb_enter(&c->message, "a run of numbers", &c->run, err);
        else if (f.number == c->n->field)
            rc = h5ck_fail_at(err, f.at, "expected numbers of wire type %d, found type %d", c->n->wire, f.wire);
        else
            rc = h5ck_pb_skip(&c->message, &f, err);
        if (rc)
            return rc;
    }
    return take(c->n, &c->run, v, err);
}

/* Whether the element's type holds the number. */
static bool fits(const numbers *n, uint64_t v)
{
    unsigned bits = 8 * n->size;
    if (n->wire != H5CK_PB_VARINT || bits == 64)
        return true;
    if (n->kind == H5CK_KIND_BOOL)
        return v <= 1;
    const uint64_t half = (uint64_t)1 << (bits - 1);
    return n->kind == H5CK_KIND_INT ? v + half < 2 * half : v < 2 * half;
}

static int index_all(const numbers *n, h5ck_pb_source *source, const mark *first, h5ckpt_error **err)
{
    cursor c = cursor_at(n, source, first);
    for (uint64_t i = 0;; i++) {
        bool there;
        uint64_t v = 0, at;
        if (i < n->count && i % STEP == 0)
            n->marks[i / STEP] = (mark){c.message.at, c.run.at, c.run.end};
        at = h5ck_pb_left(&c.run) ? c.run.at : c.message.at;
        int rc = next(&c, &v, &there, err);
        if (rc)
            return rc;
        if (there != (i < n->count))
            return h5ck_fail_at(err, at, "expected %" PRIu64 " numbers, found %s", n->count, there ? "more" : "fewer");
        if (!there)
            return 0;
        if (!fits(n, v))
            return h5ck_fail_at(err, at, "expected a number that the tensor's type holds, found %" PRId64, (int64_t)v);
    }
}

static int read_numbers(const h5ck_decoder *self, uint64_t offset, void *buf, size_t len, h5ckpt_error **err)
{
    const numbers *n = (const numbers *)(const void *)self;
    unsigned char *to = buf;
    h5ck_pb_source source;
    int fd;
    if (len == 0)
        return 0;
    int rc = h5ck_fs_reopen(n->file, &fd, err);
    if (rc)
        return rc;
    h5ck_pb_of_file(&source, fd, 0, n->file->size);
    uint64_t at = offset / n->size / STEP * STEP; /* of the number that is next */
    cursor c = cursor_at(n, &source, &n->marks[at / STEP]);
    for (; rc == 0 && at * n->size < offset + len; at++) {
        unsigned char bytes[8];
        uint64_t v = 0, begin = at * n->size;
        bool there;
        rc = next(&c, &v, &there, err);
        h5ck_le_put(bytes, v, 8);
        for (unsigned i = 0; rc == 0 && i < n->size; i++) /* what of it was asked for */
            if (begin + i >= offset && begin + i < offset + len)
                *to++ = bytes[i];
    }
    close(fd);
    return rc;
}

/* ---- The extent ---- */

/* Where all numbers are one packed run of little-endian floats: where that is. */
static int find_plain(const numbers *n, const h5ck_pb_reader *message, uint64_t nbytes, bool *plain, uint64_t *offset,
                      h5ckpt_error **err)
{
    h5ck_pb_reader r = *message, run;
    h5ck_pb_field f;
    size_t runs = 0, others = 0;
    int rc;
    uint64_t len = 0;
    while ((rc = h5ck_pb_next(&r, &f, err)) == 0 && f.number) {
        if (f.number == n->field && f.wire == H5CK_PB_LENGTH) {
            rc = h5ck_pb_enter(&r, "a run of numbers", &run, err);
            *offset = run.at;
            len = h5ck_pb_left(&run);
            runs++;
        } else {
            others += f.number == n->field;
            rc = h5ck_pb_skip(&r, &f, err);
        }
        if (rc)
            return rc;
    }
    *plain = n->wire != H5CK_PB_VARINT && runs == 1 && others == 0 && len == nbytes;
    return rc;
}

int h5ck_onnx_numbers(const h5ck_pb_reader *message, h5ck_file *file, const h5ckpt_tensor_info *info, h5ck_arena *arena,
                      h5ck_extent *extent, h5ckpt_error **err)
{
    const h5ck_dtype *d = h5ck_dtype_get(info->dtype);
    const uint32_t field = h5ck_onnx_field_of(d);
    const unsigned size = (unsigned)(d->kind == H5CK_KIND_COMPLEX ? d->size / 2 : d->size);
    const mark first = {message->at, message->at, message->at};
    numbers made = {.file = file, .end = message->end, .field = field, .kind = d->kind, .size = size};
    bool plain = false;
    made.decoder = (h5ck_decoder){read_numbers, "numbers of protobuf", (size_t)STEP * size};
    made.wire = field == FLOAT_DATA ? H5CK_PB_FIXED32 : field == DOUBLE_DATA ? H5CK_PB_FIXED64 : H5CK_PB_VARINT;
    made.count = info->nbytes / size;
    *extent = (h5ck_extent){.kind = H5CK_EXTENT_FILE, .file = file};
    int rc = find_plain(&made, message, info->nbytes, &plain, &extent->offset, err);
    if (rc || plain)
        return rc;
    if (made.count > h5ck_pb_left(message)) /* each takes a byte or more */
        return h5ck_fail_at(err, message->at, "expected %" PRIu64 " numbers, found fewer", made.count);
    numbers *n = h5ck_arena_memdup(arena, &made, sizeof made);
    if (!n || !(n->marks = h5ck_arena_zalloc(arena, (size_t)(made.count / STEP + 1), sizeof *n->marks)))
        return h5ck_fail_nomem(err);
    *extent = (h5ck_extent){.kind = H5CK_EXTENT_DECODER, .file = file, .decoder = &n->decoder};
    return index_all(n, message->source, &first, err);
}
