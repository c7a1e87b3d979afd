/* onnx.c - reading a TensorProto (onnx.h says what that is, and what is refused). */
#include "parse/onnx.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { MAX_NAME = 1 << 16, MAX_VALUE = 1 << 26, TYPED = 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 10 | 1 << 11 };

int h5ck_onnx_read_pair(h5ck_pb_reader *r, h5ck_arena *arena, const char **key, const char **value, h5ckpt_error **err)
{
    h5ck_pb_field f;
    h5ck_pb_reader in;
    int rc;
    *key = *value = "";
    while ((rc = h5ck_pb_next(r, &f, err)) == 0 && f.number) {
        if ((f.number == 1 || f.number == 2) && f.wire == H5CK_PB_LENGTH) {
            rc = h5ck_pb_enter(r, f.number == 1 ? "a key" : "a value", &in, err);
            if (rc == 0)
                rc = h5ck_pb_string(&in, f.number == 1 ? MAX_NAME : MAX_VALUE, arena, f.number == 1 ? key : value, err);
        } else {
            rc = h5ck_pb_skip(r, &f, err);
        }
        if (rc)
            return rc;
    }
    return rc;
}

/* A decimal number of a pair. */
static int parse_size(const char *text, uint64_t at, uint64_t *v, h5ckpt_error **err)
{
    const char *p = text;
    *v = 0;
    for (; *p >= '0' && *p <= '9' && *v <= (UINT64_MAX - 9) / 10; p++)
        *v = 10 * *v + (uint64_t)(*p - '0');
    return *p || p == text ? h5ck_fail_at(err, at, "expected a number of bytes, found '%s'", text) : 0;
}

static int read_external(h5ck_pb_reader *r, h5ck_arena *scratch, h5ck_onnx_tensor *t, h5ckpt_error **err)
{
    const char *key, *value;
    uint64_t at = r->at;
    h5ck_pb_reader pair;
    int rc = h5ck_pb_enter(r, "a pair of external_data", &pair, err);
    if (rc == 0)
        rc = h5ck_onnx_read_pair(&pair, scratch, &key, &value, err);
    if (rc == 0 && strcmp(key, "location") == 0)
        t->location = value;
    if (rc == 0 && strcmp(key, "offset") == 0)
        rc = parse_size(value, at, &t->offset, err);
    if (rc == 0 && strcmp(key, "length") == 0) {
        rc = parse_size(value, at, &t->length, err);
        t->has_length = true;
    }
    return rc;
}

static int read_dim(h5ck_pb_reader *r, h5ck_onnx_tensor *t, h5ckpt_error **err)
{
    uint64_t at = r->at, v;
    int rc = h5ck_pb_varint(r, &v, err);
    if (rc)
        return rc;
    if (v > INT64_MAX)
        return h5ck_fail_at(err, at, "expected a dimension of at least 0, found %" PRId64, (int64_t)v);
    if (t->info.rank == H5CK_MAX_RANK)
        return h5ck_fail_at(err, at, "expected at most %d dimensions, found more", H5CK_MAX_RANK);
    t->shape[t->info.rank++] = v;
    return 0;
}

static int read_dims(h5ck_pb_reader *r, const h5ck_pb_field *f, h5ck_onnx_tensor *t, h5ckpt_error **err)
{
    h5ck_pb_reader packed;
    if (f->wire == H5CK_PB_VARINT)
        return read_dim(r, t, err);
    int rc = h5ck_pb_enter(r, "packed dims", &packed, err);
    while (rc == 0 && h5ck_pb_left(&packed))
        rc = read_dim(&packed, t, err);
    return rc;
}

/* What the fields say, before anything is made of it. */
typedef struct said {
    uint64_t at, type, location;
    h5ck_pb_reader raw;
    bool has_raw;
    unsigned typed; /* a bit for each of the fields of numbers that are there */
} said;

static int read_field(h5ck_pb_reader *r, const h5ck_pb_field *f, h5ck_arena *scratch, h5ck_onnx_tensor *t, said *s,
                      h5ckpt_error **err)
{
    h5ck_pb_reader in;
    int rc;
    if (f->number == 1 && (f->wire == H5CK_PB_VARINT || f->wire == H5CK_PB_LENGTH))
        return read_dims(r, f, t, err);
    if (f->number == 2 && f->wire == H5CK_PB_VARINT)
        return h5ck_pb_varint(r, &s->type, err);
    if (f->number == 3)
        return h5ck_fail_at(err, f->at, "expected a whole tensor, found a segment of one");
    if (f->number == 8 && f->wire == H5CK_PB_LENGTH) {
        rc = h5ck_pb_enter(r, "the name of a tensor", &in, err);
        return rc ? rc : h5ck_pb_string(&in, MAX_NAME, scratch, &t->info.name, err);
    }
    if (f->number == 9 && f->wire == H5CK_PB_LENGTH) {
        s->has_raw = true;
        return h5ck_pb_enter(r, "raw_data", &s->raw, err);
    }
    if (f->number == 13 && f->wire == H5CK_PB_LENGTH)
        return read_external(r, scratch, t, err);
    if (f->number == 14 && f->wire == H5CK_PB_VARINT)
        return h5ck_pb_varint(r, &s->location, err);
    if (f->number < 16 && TYPED >> f->number & 1)
        s->typed |= 1U << f->number;
    return h5ck_pb_skip(r, f, err);
}

static int fail_type(uint64_t type, uint64_t at, h5ckpt_error **err)
{
    static const char *const names[] = {
        [0] = "UNDEFINED", [8] = "STRING",      [18] = "FLOAT8E4M3FNUZ", [20] = "FLOAT8E5M2FNUZ", [21] = "UINT4",
        [22] = "INT4",     [23] = "FLOAT4E2M1", [24] = "FLOAT8E8M0",     [25] = "UINT2",          [26] = "INT2",
    };
    char number[32];
    snprintf(number, sizeof number, "data_type %" PRIu64, type);
    return h5ck_fail_at(err, at,
                        "expected elements of a type that is known here, found %s: a model is read whole or not at all",
                        type < sizeof names / sizeof *names && names[type] ? names[type] : number);
}

/* Says where the elements are: in one place, all of them. */
static int place(const h5ck_pb_reader *message, h5ck_file *file, h5ck_arena *arena, h5ck_onnx_tensor *t, const said *s,
                 h5ckpt_error **err)
{
    const h5ck_dtype *d = h5ck_dtype_from_onnx(s->type);
    if (!d)
        return fail_type(s->type, s->at, err);
    t->info.dtype = d->id;
    t->external = s->location == 1;
    if (s->location > 1)
        return h5ck_fail_at(err, s->at, "expected a data_location of 0 or 1, found %" PRIu64, s->location);
    int rc = h5ck_tensor_nbytes(d, t->info.rank, t->shape, &t->info.nbytes, err);
    if (rc)
        return rc;
    const unsigned own = s->typed & 1U << h5ck_onnx_field_of(d);
    if ((own != 0) + s->has_raw + t->external > 1 || s->typed != own)
        return h5ck_fail_at(err, s->at, "expected elements in one place, found several");
    if (t->external)
        return t->location ? 0 : h5ck_fail_at(err, s->at, "expected the location of external data, found none");
    if (own)
        return h5ck_onnx_numbers(message, file, &t->info, arena, &t->extent, err);
    if (s->has_raw ? h5ck_pb_left(&s->raw) != t->info.nbytes : t->info.nbytes != 0)
        return h5ck_fail_at(err, s->has_raw ? s->raw.at : s->at,
                            "expected %" PRIu64 " bytes of elements, found %" PRIu64, t->info.nbytes,
                            s->has_raw ? h5ck_pb_left(&s->raw) : 0);
    t->extent = (h5ck_extent){.kind = H5CK_EXTENT_FILE, .file = file, .offset = s->has_raw ? s->raw.at : s->at};
    return 0;
}

int h5ck_onnx_read_tensor(h5ck_pb_reader *r, h5ck_file *file, h5ck_arena *scratch, h5ck_arena *arena,
                          h5ck_onnx_tensor *t, h5ckpt_error **err)
{
    const h5ck_pb_reader message = *r;
    said s = {.at = r->at};
    h5ck_pb_field f;
    int rc;
    memset(t, 0, sizeof *t);
    t->info.name = "";
    t->info.shape = t->shape;
    while ((rc = h5ck_pb_next(r, &f, err)) == 0 && f.number)
        if ((rc = read_field(r, &f, scratch, t, &s, err)))
            break;
    if (rc == 0)
        rc = place(&message, file, arena, t, &s, err);
    return rc && *t->info.name ? h5ck_err_where(err, rc, NULL, t->info.name) : rc;
}
