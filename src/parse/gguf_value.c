/*
 * gguf_value.c - see gguf_value.h. Bytes are taken by protobuf.h's reader: a checked window on a file, of which only the
 * fixed numbers are used here. An array becomes text element by element, and is read back token by token, for the
 * vocabulary of a tokenizer has hundreds of thousands.
 */
#include "parse/gguf_value.h"

#include "base/le.h"
#include "base/text.h"
#include "model/value.h"
#include "parse/json.h"
#include "parse/value_json.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { MAX_NAME = 1 << 16, F32 = 6, BOOL = 7, STRING = 8, ARRAY = 9, F64 = 12 };

/* By GGUF's number. */
static const struct {
    const char *name, *array;
    unsigned char size; /* 0: not fixed */
    bool is_signed;
} types[] = {
    {"uint8", "[uint8]", 1, false},     {"int8", "[int8]", 1, true},
    {"uint16", "[uint16]", 2, false},   {"int16", "[int16]", 2, true},
    {"uint32", "[uint32]", 4, false},   {"int32", "[int32]", 4, true},
    {"float32", "[float32]", 4, false}, {"bool", "[bool]", 1, false},
    {"string", "[string]", 0, false},   {NULL, NULL, 0, false},
    {"uint64", "[uint64]", 8, false},   {"int64", "[int64]", 8, true},
    {"float64", "[float64]", 8, false},
};

enum { TYPES = sizeof types / sizeof *types };

/* ---- Reading ---- */

int h5ck_gguf_enter_string(h5ck_pb_reader *r, const char *what, h5ck_pb_reader *in, h5ckpt_error **err)
{
    uint64_t at = r->at, n;
    int rc = h5ck_pb_fixed(r, 8, &n, err);
    return rc ? rc : h5ck_pb_take(r, at, n, what, in, err);
}

int h5ck_gguf_string(h5ck_pb_reader *r, const char *what, h5ck_arena *arena, const char **s, h5ckpt_error **err)
{
    h5ck_pb_reader in;
    int rc = h5ck_gguf_enter_string(r, what, &in, err);
    return rc ? rc : h5ck_pb_string(&in, MAX_NAME, arena, s, err);
}

/* A string's bytes behind what `out` holds; they are the caller's to look at and to take off. */
static int append_string(h5ck_pb_reader *r, h5ck_buf *out, size_t *n, h5ckpt_error **err)
{
    h5ck_pb_reader in;
    int rc = h5ck_gguf_enter_string(r, "a string", &in, err);
    if (rc)
        return rc;
    if (h5ck_pb_left(&in) > SIZE_MAX / 2 || !h5ck_buf_reserve(out, (size_t)h5ck_pb_left(&in)))
        return h5ck_fail_nomem(err);
    *n = (size_t)h5ck_pb_left(&in);
    rc = h5ck_pb_bytes(&in, out->data + out->len, err);
    out->len += rc ? 0 : *n;
    return rc;
}

static int string_to_json(h5ck_pb_reader *r, h5ck_buf *scratch, h5ck_buf *out, h5ckpt_error **err)
{
    size_t n;
    scratch->len = 0;
    int rc = append_string(r, scratch, &n, err);
    if (rc)
        return rc;
    h5ckpt_value v = {.type = H5CKPT_BYTES, .count = n, .as.bytes = scratch->data};
    if (n == 0 || h5ck_text_is_utf8_with_zeros((const char *)scratch->data, n)) {
        h5ck_json_put_string(out, n ? (const char *)scratch->data : "", n);
        return 0;
    }
    return h5ck_value_to_json(&v, out, err);
}

static int number_to_json(h5ck_pb_reader *r, uint64_t type, h5ck_buf *out, h5ckpt_error **err)
{
    uint64_t at = r->at, bits;
    unsigned size = types[type].size;
    int rc = h5ck_pb_fixed(r, size, &bits, err);
    if (rc)
        return rc;
    if (type == BOOL && bits > 1)
        return h5ck_fail_at(err, at, "expected a bool of 0 or 1, found %" PRIu64, bits);
    if (type == BOOL) {
        h5ck_buf_str(out, bits ? "true" : "false");
        return 0;
    }
    if (type == F32 || type == F64) {
        const uint32_t bits32 = (uint32_t)bits;
        float f;
        memcpy(&f, &bits32, sizeof f);
        const h5ckpt_value v = h5ck_value_float(type == F32 ? (double)f : h5ck_f64_from_bits(bits));
        return h5ck_value_to_json(&v, out, err);
    }
    if (types[type].is_signed) {
        const uint64_t sign = (uint64_t)1 << (8 * size - 1); /* extended to 64 bits */
        h5ck_buf_printf(out, "%" PRId64, (int64_t)((bits ^ sign) - sign));
    } else {
        h5ck_buf_printf(out, "%" PRIu64, bits);
    }
    return 0;
}

static int array_to_json(h5ck_pb_reader *r, h5ck_buf *out, const char **name, h5ckpt_error **err)
{
    uint64_t at = r->at, type, count;
    h5ck_buf scratch = H5CK_BUF_INIT;
    int rc = h5ck_pb_fixed(r, 4, &type, err);
    if (rc == 0)
        rc = h5ck_pb_fixed(r, 8, &count, err);
    if (rc)
        return rc;
    if (type >= TYPES || !types[type].name)
        return h5ck_fail_at(err, at, "expected an array of numbers, bools or strings, found type %" PRIu64, type);
    *name = types[type].array;
    h5ck_buf_u8(out, '[');
    for (uint64_t i = 0; rc == 0 && i < count; i++) {
        h5ck_buf_str(out, i ? ", " : "");
        rc = type == STRING ? string_to_json(r, &scratch, out, err) : number_to_json(r, type, out, err);
        if (rc == 0 && out->failed)
            rc = h5ck_fail_nomem(err);
    }
    h5ck_buf_u8(out, ']');
    h5ck_buf_free(&scratch);
    return rc;
}

/* As it is where metadata can hold it, else as JSON. */
static int read_string(h5ck_pb_reader *r, h5ck_buf *out, const char **name, h5ckpt_error **err)
{
    h5ck_pb_reader again = *r;
    h5ck_buf scratch = H5CK_BUF_INIT;
    size_t n;
    int rc = append_string(r, out, &n, err);
    *name = NULL;
    if (rc == 0 && n && !h5ck_text_is_utf8((const char *)out->data, n)) {
        out->len = 0;
        *name = types[STRING].name;
        rc = string_to_json(&again, &scratch, out, err);
    }
    h5ck_buf_free(&scratch);
    return rc;
}

int h5ck_gguf_read_value(h5ck_pb_reader *r, h5ck_arena *arena, const char **name, const char **text, h5ckpt_error **err)
{
    uint64_t at = r->at, type;
    h5ck_buf out = H5CK_BUF_INIT;
    int rc = h5ck_pb_fixed(r, 4, &type, err);
    if (rc)
        return rc;
    if (type >= TYPES)
        return h5ck_fail_at(err, at, "expected a type of metadata from 0 to %d, found %" PRIu64, TYPES - 1, type);
    if (type == STRING) {
        rc = read_string(r, &out, name, err);
    } else if (type == ARRAY) {
        rc = array_to_json(r, &out, name, err);
    } else {
        *name = types[type].name;
        rc = number_to_json(r, type, &out, err);
    }
    const char *made = rc ? NULL : h5ck_buf_cstr(&out);
    if (rc == 0 && (!made || !(*text = h5ck_arena_strdup(arena, made))))
        rc = h5ck_fail_nomem(err);
    h5ck_buf_free(&out);
    return rc;
}

/* ---- Writing ---- */

void h5ck_gguf_put_string(h5ck_buf *out, const char *s, size_t n)
{
    h5ck_buf_le(out, n, 8);
    h5ck_buf_add(out, s, n);
}

static int fail_token(const h5ck_json *j, const h5ck_json_token *t, uint64_t type, h5ckpt_error **err)
{
    char expected[64] = "a value of the type ";
    strcat(expected, types[type].name);
    return h5ck_json_refuse(j, t, expected, err);
}

/* What JSON has no word for: {"$bytes": ...}, {"$float": ...}. */
static int put_tagged(h5ck_json *j, const h5ck_json_token *t, uint64_t type, h5ck_buf *out, h5ckpt_error **err)
{
    h5ck_arena scratch = {NULL};
    h5ckpt_value v;
    int rc = h5ck_json_skip(j, t, err);
    if (rc == 0)
        rc = h5ck_value_from_json(j->text + t->begin, j->at - t->begin, &scratch, &v, err);
    if (rc == 0 && type == STRING && v.type == H5CKPT_BYTES)
        h5ck_gguf_put_string(out, (const char *)v.as.bytes, v.count);
    else if (rc == 0 && type == F64 && v.type == H5CKPT_FLOAT)
        h5ck_buf_le(out, h5ck_f64_to_bits(v.as.f), 8);
    else if (rc == 0 && type == F32 && v.type == H5CKPT_FLOAT) {
        float f = (float)v.as.f; /* not finite: only such floats are tagged */
        uint32_t bits;
        memcpy(&bits, &f, sizeof bits);
        h5ck_buf_le(out, bits, 4);
    } else if (rc == 0)
        rc = fail_token(j, t, type, err);
    h5ck_arena_free(&scratch);
    return rc;
}

static bool is_number(const h5ck_json_token *t)
{
    return t->kind == H5CK_JSON_INT || t->kind == H5CK_JSON_UINT || t->kind == H5CK_JSON_DOUBLE;
}

/* A finite number as a float of 32 or 64 bits; one that 32 bits do not hold is refused. */
static int put_float(h5ck_json *j, const h5ck_json_token *t, uint64_t type, h5ck_buf *out, h5ckpt_error **err)
{
    if (!is_number(t) || !isfinite(t->d) || (type == F32 && (t->d > FLT_MAX || t->d < -FLT_MAX)))
        return fail_token(j, t, type, err);
    float f = type == F32 ? (float)t->d : 0;
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    h5ck_buf_le(out, type == F32 ? bits : h5ck_f64_to_bits(t->d), types[type].size);
    return 0;
}

static int put_int(h5ck_json *j, const h5ck_json_token *t, uint64_t type, h5ck_buf *out, h5ckpt_error **err)
{
    unsigned bits = 8 * types[type].size;
    bool fits = false;
    if (types[type].is_signed && t->kind == H5CK_JSON_INT)
        fits = bits == 64 || (t->i >= -((int64_t)1 << (bits - 1)) && t->i < (int64_t)1 << (bits - 1));
    else if (t->kind == H5CK_JSON_UINT || (t->kind == H5CK_JSON_INT && t->i >= 0))
        fits = !types[type].is_signed && (bits == 64 || t->u < (uint64_t)1 << bits);
    if (!fits)
        return fail_token(j, t, type, err);
    h5ck_buf_le(out, t->kind == H5CK_JSON_UINT ? t->u : (uint64_t)t->i, types[type].size);
    return 0;
}

static int put_element(h5ck_json *j, const h5ck_json_token *t, uint64_t type, h5ck_buf *out, h5ckpt_error **err)
{
    if (t->kind == H5CK_JSON_OBJECT)
        return put_tagged(j, t, type, out, err);
    if (type == F32 || type == F64)
        return put_float(j, t, type, out, err);
    if (type == STRING && t->kind == H5CK_JSON_STRING) {
        h5ck_gguf_put_string(out, t->str, t->len);
        return 0;
    }
    if (type == BOOL && (t->kind == H5CK_JSON_TRUE || t->kind == H5CK_JSON_FALSE)) {
        h5ck_buf_u8(out, t->kind == H5CK_JSON_TRUE);
        return 0;
    }
    return type == STRING || type == BOOL ? fail_token(j, t, type, err) : put_int(j, t, type, out, err);
}

static int put_array(h5ck_json *j, const h5ck_json_token *t, uint64_t type, h5ck_buf *out, h5ckpt_error **err)
{
    h5ck_json_token element;
    uint64_t count = 0;
    if (t->kind != H5CK_JSON_ARRAY)
        return h5ck_json_refuse(j, t, "an array", err);
    h5ck_buf_le(out, type, 4);
    size_t count_at = out->len;
    h5ck_buf_le(out, 0, 8);
    int rc;
    while ((rc = h5ck_json_next(j, &element, err)) == 0 && element.kind != H5CK_JSON_CLOSE) {
        if ((rc = put_element(j, &element, type, out, err)))
            return rc;
        count++;
    }
    if (rc == 0 && !out->failed)
        h5ck_le_put(out->data + count_at, count, 8);
    return rc;
}

int h5ck_gguf_write_value(const char *name, const char *text, h5ck_buf *out, h5ckpt_error **err)
{
    uint64_t type = 0;
    if (!name) {
        h5ck_buf_le(out, STRING, 4);
        h5ck_gguf_put_string(out, text, strlen(text));
        return 0;
    }
    while (type < TYPES &&
           !(types[type].name && (strcmp(name, types[type].name) == 0 || strcmp(name, types[type].array) == 0)))
        type++;
    if (type == TYPES)
        return h5ck_fail(err, H5CKPT_INVALID, "expected a type of GGUF's metadata, found '%s'", name);
    h5ck_json j;
    h5ck_json_token t;
    h5ck_json_begin(&j, text, strlen(text), 0);
    int rc = h5ck_json_next(&j, &t, err);
    h5ck_buf_le(out, *name == '[' ? ARRAY : type, 4);
    if (rc == 0)
        rc = *name == '[' ? put_array(&j, &t, type, out, err) : put_element(&j, &t, type, out, err);
    if (rc == 0)
        rc = h5ck_json_expect(&j, H5CK_JSON_END, &t, err);
    h5ck_json_end(&j);
    if (rc == 0 && out->failed)
        rc = h5ck_fail_nomem(err);
    return rc;
}
