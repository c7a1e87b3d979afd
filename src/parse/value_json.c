/*
 * value_json.c - values as JSON text, both ways; the header has the language.
 *
 * Both ways go down at most H5CK_VALUE_DEPTH levels of value, each of which is at most five of JSON (an object whose fields
 * are a "$dict"); H5CK_JSON_DEPTH has room for them. Numbers in hexadecimal rather than base64, for a reader with Python
 * alone has bytes.fromhex.
 */
#include "parse/value_json.h"

#include "base/ckd.h"
#include "base/le.h"
#include "model/dict.h"
#include "model/dtype.h"
#include "model/tensor.h"
#include "model/value.h"
#include "parse/json.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define PLAIN_NAN UINT64_C(0x7ff8000000000000) /* what float('nan') is */

/* ---- Writing ---- */

static int put(const h5ckpt_value *v, h5ck_buf *out, int depth, h5ckpt_error **err);

static void put_hex(h5ck_buf *out, const void *data, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *p = data;
    h5ck_buf_u8(out, '"');
    if (h5ck_buf_reserve(out, 2 * n))
        for (size_t i = 0; i < n; i++) {
            out->data[out->len++] = (unsigned char)digits[p[i] >> 4];
            out->data[out->len++] = (unsigned char)digits[p[i] & 15];
        }
    h5ck_buf_u8(out, '"');
}

static void put_float(h5ck_buf *out, double d)
{
    uint64_t bits = h5ck_f64_to_bits(d);
    if (isfinite(d))
        h5ck_json_put_double(out, d);
    else if (isinf(d) || bits == PLAIN_NAN)
        h5ck_buf_printf(out, "{\"$float\": \"%s\"}", isinf(d) ? (d < 0 ? "-inf" : "inf") : "nan");
    else
        h5ck_buf_printf(out, "{\"$float\": \"%016" PRIx64 "\"}", bits);
}

static int put_items(const h5ckpt_value *v, h5ck_buf *out, int depth, h5ckpt_error **err)
{
    int rc = 0;
    h5ck_buf_u8(out, '[');
    for (size_t i = 0; rc == 0 && i < v->count; i++) {
        h5ck_buf_str(out, i ? ", " : "");
        rc = put(&v->as.items[i], out, depth, err);
    }
    h5ck_buf_u8(out, ']');
    return rc;
}

/* A key that JSON's own keys can be: text whose meaning is only itself. */
static bool is_plain_key(const h5ckpt_value *k)
{
    return k->type == H5CKPT_STR && !k->python2 && !k->distinct && k->count && k->as.str[0] != '$' &&
           !memchr(k->as.str, 0, k->count);
}

static int put_fields(const h5ckpt_field *fields, size_t count, h5ck_buf *out, int depth, h5ckpt_error **err)
{
    bool plain = true;
    int rc = 0;
    for (size_t i = 0; i < count; i++)
        plain = plain && is_plain_key(&fields[i].key);
    h5ck_buf_str(out, plain ? "{" : "{\"$dict\": [");
    for (size_t i = 0; rc == 0 && i < count; i++) {
        h5ck_buf_str(out, i ? ", " : "");
        h5ck_buf_str(out, plain ? "" : "[");
        rc = put(&fields[i].key, out, depth, err);
        h5ck_buf_str(out, plain ? ": " : ", ");
        if (rc == 0)
            rc = put(&fields[i].value, out, depth, err);
        h5ck_buf_str(out, plain ? "" : "]");
    }
    h5ck_buf_str(out, plain ? "}" : "]}");
    return rc;
}

static int put_object(const h5ckpt_object *o, h5ck_buf *out, int depth, h5ckpt_error **err)
{
    h5ck_buf_str(out, "{\"$object\": [");
    h5ck_json_put_string(out, o->module, strlen(o->module));
    h5ck_buf_str(out, ", ");
    h5ck_json_put_string(out, o->class_name, strlen(o->class_name));
    h5ck_buf_str(out, ", ");
    int rc = put_fields(o->fields, o->count, out, depth, err);
    h5ck_buf_str(out, "]}");
    return rc;
}

static void put_array(const h5ckpt_array *a, h5ck_buf *out)
{
    h5ck_buf_printf(out, "{\"%s\": [\"%s\", ", a->scalar ? "$scalar" : "$array", h5ckpt_dtype_name(a->dtype));
    if (!a->scalar) {
        h5ck_buf_u8(out, '[');
        for (size_t i = 0; i < a->rank; i++)
            h5ck_buf_printf(out, "%s%" PRIu64, i ? ", " : "", a->shape[i]);
        h5ck_buf_str(out, "], ");
    }
    put_hex(out, a->data, a->nbytes);
    h5ck_buf_str(out, "]}");
}

static int put_tuple(const h5ckpt_value *v, h5ck_buf *out, int depth, h5ckpt_error **err)
{
    h5ck_buf_str(out, "{\"$tuple\": ");
    int rc = put_items(v, out, depth, err);
    h5ck_buf_u8(out, '}');
    return rc;
}

static void put_blob(const char *tag, const h5ckpt_value *v, h5ck_buf *out)
{
    h5ck_buf_printf(out, "{\"%s\": ", tag);
    put_hex(out, v->as.bytes, v->count);
    h5ck_buf_u8(out, '}');
}

static int put_untagged(const h5ckpt_value *v, h5ck_buf *out, int depth, h5ckpt_error **err)
{
    switch (v->type) {
    case H5CKPT_NONE:
        h5ck_buf_str(out, "null");
        return 0;
    case H5CKPT_BOOL:
        h5ck_buf_str(out, v->as.i ? "true" : "false");
        return 0;
    case H5CKPT_INT:
        h5ck_buf_printf(out, "%" PRId64, v->as.i);
        return 0;
    case H5CKPT_FLOAT:
        put_float(out, v->as.f);
        return 0;
    case H5CKPT_STR:
        h5ck_json_put_string(out, v->as.str, v->count);
        return 0;
    case H5CKPT_BYTES:
        put_blob("$bytes", v, out);
        return 0;
    case H5CKPT_BIGINT:
        put_blob("$bigint", v, out);
        return 0;
    case H5CKPT_LIST:
        return put_items(v, out, depth, err);
    case H5CKPT_TUPLE:
        return put_tuple(v, out, depth, err);
    case H5CKPT_DICT:
        return put_fields(v->as.fields, v->count, out, depth, err);
    case H5CKPT_OBJECT:
        return put_object(v->as.object, out, depth, err);
    case H5CKPT_ARRAY:
        put_array(v->as.array, out);
        return 0;
    }
    return h5ck_fail(err, H5CKPT_INVALID, "a value of the unknown type %d", (int)v->type);
}

/* The types for which the flag says something. */
static bool may_be_python2(const h5ckpt_value *v)
{
    return v->type == H5CKPT_STR || v->type == H5CKPT_BYTES || v->type == H5CKPT_INT || v->type == H5CKPT_BIGINT;
}

static int put(const h5ckpt_value *v, h5ck_buf *out, int depth, h5ckpt_error **err)
{
    bool python2 = v->python2 && may_be_python2(v), distinct = v->distinct && v->type == H5CKPT_STR;
    if (depth++ > H5CK_VALUE_DEPTH)
        return h5ck_fail(err, H5CKPT_INVALID, "values nested deeper than %d", H5CK_VALUE_DEPTH);
    h5ck_buf_str(out, python2 ? "{\"$python2\": " : "");
    h5ck_buf_str(out, distinct ? "{\"$distinct\": " : "");
    int rc = put_untagged(v, out, depth, err);
    h5ck_buf_str(out, distinct ? "}" : "");
    h5ck_buf_str(out, python2 ? "}" : "");
    return rc;
}

int h5ck_value_to_json(const h5ckpt_value *v, h5ck_buf *out, h5ckpt_error **err)
{
    h5ck_arena scratch = {NULL};
    h5ckpt_value checked;
    int rc = h5ck_value_copy(&scratch, v, &checked, err);
    if (rc == 0)
        rc = put(&checked, out, 0, err);
    if (rc == 0 && out->failed)
        rc = h5ck_fail_nomem(err);
    h5ck_arena_free(&scratch);
    return rc;
}

/* ---- Reading ---- */

typedef struct reader {
    h5ck_json j;
    h5ck_arena *arena;
    h5ckpt_error **err;
} reader;

static int get(reader *r, const h5ck_json_token *t, h5ckpt_value *v, int depth);

static int next(reader *r, h5ck_json_token *t)
{
    return h5ck_json_next(&r->j, t, r->err);
}

static int expect(reader *r, h5ck_json_kind kind, h5ck_json_token *t)
{
    return h5ck_json_expect(&r->j, kind, t, r->err);
}

/* What a level of the text holds is gathered in a buffer first, for nothing says how much it is. */
static const void *moved(h5ck_arena *arena, h5ck_buf *from)
{
    const void *p = from->failed ? NULL : h5ck_arena_memdup(arena, from->data, from->len);
    h5ck_buf_free(from);
    return p;
}

static int get_str(reader *r, const h5ck_json_token *t, h5ckpt_value *v)
{
    *v = (h5ckpt_value){.type = H5CKPT_STR, .count = t->len};
    v->as.str = h5ck_arena_strndup(r->arena, t->str, t->len);
    return v->as.str ? 0 : h5ck_fail_nomem(r->err);
}

/* Behind '[': values until it is closed. */
static int get_items(reader *r, h5ckpt_value_type type, h5ckpt_value *v, int depth)
{
    h5ck_buf items = H5CK_BUF_INIT;
    h5ckpt_value item;
    h5ck_json_token t;
    int rc;
    while ((rc = next(r, &t)) == 0 && t.kind != H5CK_JSON_CLOSE && (rc = get(r, &t, &item, depth)) == 0)
        h5ck_buf_add(&items, &item, sizeof item);
    *v = (h5ckpt_value){.type = type, .count = items.len / sizeof item};
    v->as.items = moved(r->arena, &items);
    return rc || v->as.items ? rc : h5ck_fail_nomem(r->err);
}

static int refuse_second(reader *r, const h5ck_json_token *key)
{
    return h5ck_fail_at(r->err, key->begin, "expected each key once, found one a second time");
}

/* Behind the first key of an object that begins with no '$', or (`first` NULL) behind '{' of an empty one. */
static int get_plain_dict(reader *r, const h5ck_json_token *first, h5ckpt_value *v, int depth)
{
    h5ck_buf fields = H5CK_BUF_INIT;
    h5ckpt_field f;
    h5ck_dict seen = {0};
    h5ck_json_token key = {0}, t;
    int rc = 0;
    if (first)
        key = *first;
    while (rc == 0 && key.kind == H5CK_JSON_KEY) {
        h5ck_dict_result added = H5CK_DICT_ADDED;
        if (memchr(key.str, 0, key.len))
            rc = h5ck_fail_at(r->err, key.begin, "expected a key without zero bytes, found one with some");
        if (rc == 0 && (rc = get_str(r, &key, &f.key)) == 0)
            added = h5ck_dict_add(&seen, f.key.as.str, &seen);
        if (rc == 0 && added != H5CK_DICT_ADDED)
            rc = added == H5CK_DICT_EXISTS ? refuse_second(r, &key) : h5ck_fail_nomem(r->err);
        if (rc == 0 && (rc = next(r, &t)) == 0)
            rc = get(r, &t, &f.value, depth);
        if (rc == 0) {
            h5ck_buf_add(&fields, &f, sizeof f);
            rc = next(r, &key);
        }
    }
    h5ck_dict_free(&seen);
    *v = (h5ckpt_value){.type = H5CKPT_DICT, .count = fields.len / sizeof f};
    v->as.fields = moved(r->arena, &fields);
    return rc || v->as.fields ? rc : h5ck_fail_nomem(r->err);
}

/* [[key, value], ...] */
static int get_pairs(reader *r, const h5ck_json_token *t, h5ckpt_value *v, int depth)
{
    h5ck_buf fields = H5CK_BUF_INIT;
    h5ckpt_field f;
    h5ck_json_token in, end;
    int rc = t->kind == H5CK_JSON_ARRAY ? 0 : h5ck_json_refuse(&r->j, t, "an array of pairs", r->err);
    while (rc == 0 && (rc = next(r, &in)) == 0 && in.kind != H5CK_JSON_CLOSE) {
        if (in.kind != H5CK_JSON_ARRAY)
            rc = h5ck_json_refuse(&r->j, &in, "an array of a key and a value", r->err);
        if (rc == 0 && (rc = next(r, &in)) == 0)
            rc = get(r, &in, &f.key, depth);
        if (rc == 0 && (f.key.type == H5CKPT_LIST || f.key.type == H5CKPT_DICT))
            rc = h5ck_json_refuse(&r->j, &in, "a key that can be hashed", r->err);
        if (rc == 0 && (rc = next(r, &in)) == 0)
            rc = get(r, &in, &f.value, depth);
        if (rc == 0 && (rc = expect(r, H5CK_JSON_CLOSE, &end)) == 0)
            h5ck_buf_add(&fields, &f, sizeof f);
    }
    *v = (h5ckpt_value){.type = H5CKPT_DICT, .count = fields.len / sizeof f};
    v->as.fields = moved(r->arena, &fields);
    return rc || v->as.fields ? rc : h5ck_fail_nomem(r->err);
}

/* A name: a string without zeros that is not empty. */
static int get_name(reader *r, const char **name)
{
    h5ck_json_token t;
    int rc = expect(r, H5CK_JSON_STRING, &t);
    if (rc)
        return rc;
    if (t.len == 0 || memchr(t.str, 0, t.len))
        return h5ck_json_refuse(&r->j, &t, "a name", r->err);
    *name = h5ck_arena_strndup(r->arena, t.str, t.len);
    return *name ? 0 : h5ck_fail_nomem(r->err);
}

/* [module, class, fields] */
static int get_object(reader *r, const h5ck_json_token *t, h5ckpt_value *v, int depth)
{
    h5ckpt_object *o = h5ck_arena_zalloc(r->arena, 1, sizeof *o);
    h5ckpt_value fields;
    h5ck_json_token in;
    if (!o)
        return h5ck_fail_nomem(r->err);
    int rc = t->kind == H5CK_JSON_ARRAY ? 0 : h5ck_json_refuse(&r->j, t, "an array", r->err);
    if (rc == 0)
        rc = get_name(r, &o->module);
    if (rc == 0)
        rc = get_name(r, &o->class_name);
    if (rc == 0)
        rc = expect(r, H5CK_JSON_OBJECT, &in);
    if (rc == 0)
        rc = get(r, &in, &fields, depth - 1); /* they are no level of their own */
    if (rc == 0 && fields.type != H5CKPT_DICT)
        rc = h5ck_json_refuse(&r->j, &in, "the fields of an object", r->err);
    for (size_t i = 0; rc == 0 && i < fields.count; i++)
        if (fields.as.fields[i].key.type != H5CKPT_STR ||
            memchr(fields.as.fields[i].key.as.str, 0, fields.as.fields[i].key.count))
            rc = h5ck_json_refuse(&r->j, &in, "fields whose names are strings without zero bytes", r->err);
    if (rc == 0)
        rc = expect(r, H5CK_JSON_CLOSE, &in);
    if (rc)
        return rc;
    o->count = fields.count;
    o->fields = fields.as.fields;
    *v = (h5ckpt_value){.type = H5CKPT_OBJECT, .as.object = o};
    return 0;
}

static int digit_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The bytes of a string in hexadecimal. */
static int get_hex(reader *r, const h5ck_json_token *t, const unsigned char **data, size_t *n)
{
    if (t->kind != H5CK_JSON_STRING || t->len % 2)
        return h5ck_json_refuse(&r->j, t, "a string of pairs of hexadecimal digits", r->err);
    unsigned char *p = h5ck_arena_alloc(r->arena, t->len / 2);
    if (!p)
        return h5ck_fail_nomem(r->err);
    for (size_t i = 0; i < t->len / 2; i++) {
        int high = digit_of(t->str[2 * i]), low = digit_of(t->str[2 * i + 1]);
        if (high < 0 || low < 0)
            return h5ck_json_refuse(&r->j, t, "a string of hexadecimal digits, in lower case", r->err);
        p[i] = (unsigned char)(16 * high + low);
    }
    *data = p;
    *n = t->len / 2;
    return 0;
}

static int get_float(reader *r, const h5ck_json_token *t, h5ckpt_value *v)
{
    static const struct {
        const char *text;
        uint64_t bits;
    } known[] = {{"inf", UINT64_C(0x7ff0000000000000)}, {"-inf", UINT64_C(0xfff0000000000000)}, {"nan", PLAIN_NAN}};
    *v = (h5ckpt_value){.type = H5CKPT_FLOAT};
    for (size_t i = 0; t->kind == H5CK_JSON_STRING && i < sizeof known / sizeof *known; i++)
        if (t->len == strlen(known[i].text) && memcmp(t->str, known[i].text, t->len) == 0) {
            v->as.f = h5ck_f64_from_bits(known[i].bits);
            return 0;
        }
    uint64_t bits = 0;
    bool hex = t->kind == H5CK_JSON_STRING && t->len == 16;
    for (size_t i = 0; hex && i < 16; i++) {
        int digit = digit_of(t->str[i]);
        hex = digit >= 0;
        bits = bits << 4 | (uint64_t)(digit & 15);
    }
    if (!hex)
        return h5ck_json_refuse(&r->j, t, "inf, -inf, nan, or the 16 hexadecimal digits of a double", r->err);
    v->as.f = h5ck_f64_from_bits(bits);
    return 0;
}

static int get_blob(reader *r, const h5ck_json_token *t, h5ckpt_value_type type, h5ckpt_value *v)
{
    *v = (h5ckpt_value){.type = type};
    return get_hex(r, t, &v->as.bytes, &v->count);
}

static int get_shape(reader *r, h5ckpt_array *a)
{
    uint64_t shape[H5CK_MAX_RANK];
    h5ck_json_token t;
    int rc = expect(r, H5CK_JSON_ARRAY, &t);
    while (rc == 0 && (rc = next(r, &t)) == 0 && t.kind != H5CK_JSON_CLOSE) {
        if (a->rank == H5CK_MAX_RANK || (t.kind != H5CK_JSON_UINT && (t.kind != H5CK_JSON_INT || t.i < 0)))
            return h5ck_json_refuse(&r->j, &t, "a shape: at most 32 numbers that are not negative", r->err);
        shape[a->rank++] = t.u;
    }
    if (rc == 0 && !(a->shape = h5ck_arena_memdup(r->arena, shape, a->rank * sizeof *shape)))
        return h5ck_fail_nomem(r->err);
    return rc;
}

/* [dtype, shape, elements], of a scalar [dtype, element] */
static int get_array(reader *r, const h5ck_json_token *t, bool scalar, h5ckpt_value *v)
{
    h5ckpt_array *a = h5ck_arena_zalloc(r->arena, 1, sizeof *a);
    const char *name;
    const unsigned char *data;
    h5ck_json_token in;
    uint64_t nbytes;
    if (!a)
        return h5ck_fail_nomem(r->err);
    int rc = t->kind == H5CK_JSON_ARRAY ? 0 : h5ck_json_refuse(&r->j, t, "an array", r->err);
    if (rc == 0)
        rc = get_name(r, &name);
    const h5ck_dtype *dtype = rc == 0 ? h5ck_dtype_from_name(name) : NULL;
    if (rc == 0 && !dtype)
        rc = h5ck_json_refuse(&r->j, t, "the name of a dtype", r->err);
    a->scalar = scalar;
    if (rc == 0 && !scalar)
        rc = get_shape(r, a);
    if (rc == 0 && (rc = next(r, &in)) == 0)
        rc = get_hex(r, &in, &data, &a->nbytes);
    if (rc == 0)
        rc = h5ck_tensor_nbytes(dtype, a->rank, a->shape, &nbytes, r->err);
    if (rc == 0 && nbytes != a->nbytes)
        rc = h5ck_json_refuse(&r->j, &in, "as many bytes as the shape says", r->err);
    if (rc == 0)
        rc = expect(r, H5CK_JSON_CLOSE, &in);
    if (rc)
        return rc;
    a->dtype = dtype->id;
    a->data = data;
    *v = (h5ckpt_value){.type = H5CKPT_ARRAY, .as.array = a};
    return 0;
}

/* The flag is no level of its own: *t is the value that has it. */
static int get_flagged(reader *r, const h5ck_json_token *t, bool python2, h5ckpt_value *v, int depth)
{
    int rc = get(r, t, v, depth - 1);
    if (rc)
        return rc;
    if (python2 ? !may_be_python2(v) || v->python2 : v->type != H5CKPT_STR || v->python2 || v->distinct)
        return h5ck_json_refuse(&r->j, t, python2 ? "a str, bytes or an int" : "a str", r->err);
    if (python2)
        v->python2 = 1;
    else
        v->distinct = 1;
    return 0;
}

typedef enum tag { TUPLE, DICT, OBJECT, FLOAT, BYTES, BIGINT, ARRAY, SCALAR, PYTHON2, DISTINCT, NONE } tag;

static tag tag_of(const h5ck_json_token *key)
{
    static const char *const names[] = {"$tuple",  "$dict",  "$object", "$float",   "$bytes",
                                        "$bigint", "$array", "$scalar", "$python2", "$distinct"};
    size_t i = 0;
    while (i < NONE && (strlen(names[i]) != key->len || memcmp(names[i], key->str, key->len) != 0))
        i++;
    return (tag)i;
}

static int get_by_tag(reader *r, tag what, const h5ck_json_token *t, h5ckpt_value *v, int depth)
{
    switch (what) {
    case TUPLE:
        return t->kind == H5CK_JSON_ARRAY ? get_items(r, H5CKPT_TUPLE, v, depth)
                                          : h5ck_json_refuse(&r->j, t, "an array", r->err);
    case DICT:
        return get_pairs(r, t, v, depth);
    case OBJECT:
        return get_object(r, t, v, depth);
    case FLOAT:
        return get_float(r, t, v);
    case BYTES:
        return get_blob(r, t, H5CKPT_BYTES, v);
    case BIGINT:
        return get_blob(r, t, H5CKPT_BIGINT, v);
    case ARRAY:
    case SCALAR:
        return get_array(r, t, what == SCALAR, v);
    case PYTHON2:
    case DISTINCT:
        return get_flagged(r, t, what == PYTHON2, v, depth);
    case NONE:
        break;
    }
    return h5ck_fail_at(r->err, t->begin, "expected a value behind a '$' that is known, found another");
}

/* Behind '{': a dict, or what a '$' says. */
static int get_braced(reader *r, h5ckpt_value *v, int depth)
{
    h5ck_json_token key, t;
    int rc = next(r, &key);
    if (rc || key.kind == H5CK_JSON_CLOSE)
        return rc ? rc : get_plain_dict(r, NULL, v, depth);
    if (key.len == 0 || key.str[0] != '$')
        return get_plain_dict(r, &key, v, depth);
    tag what = tag_of(&key);
    if ((rc = next(r, &t)) == 0)
        rc = get_by_tag(r, what, &t, v, depth);
    return rc ? rc : expect(r, H5CK_JSON_CLOSE, &t);
}

/* An integer above int64, in as many bytes as Python's pickles take for it. */
static int get_uint(reader *r, const h5ck_json_token *t, h5ckpt_value *v)
{
    unsigned char *p = h5ck_arena_zalloc(r->arena, 1, 9);
    if (!p)
        return h5ck_fail_nomem(r->err);
    h5ck_le_put(p, t->u, 8);
    *v = (h5ckpt_value){.type = H5CKPT_BIGINT, .count = 9, .as.bytes = p};
    return 0;
}

static int get_number(reader *r, const h5ck_json_token *t, h5ckpt_value *v)
{
    size_t n = t->end - t->begin;
    const char *text = r->j.text + t->begin;
    bool whole = !memchr(text, '.', n) && !memchr(text, 'e', n) && !memchr(text, 'E', n);
    if (whole || isinf(t->d))
        return h5ck_json_refuse(&r->j, t, "a number that 64 bits hold", r->err);
    *v = h5ck_value_float(t->d);
    return 0;
}

static int get(reader *r, const h5ck_json_token *t, h5ckpt_value *v, int depth)
{
    if (depth++ > H5CK_VALUE_DEPTH)
        return h5ck_fail_at(r->err, t->begin, "values nested deeper than %d", H5CK_VALUE_DEPTH);
    switch (t->kind) {
    case H5CK_JSON_OBJECT:
        return get_braced(r, v, depth);
    case H5CK_JSON_ARRAY:
        return get_items(r, H5CKPT_LIST, v, depth);
    case H5CK_JSON_STRING:
        return get_str(r, t, v);
    case H5CK_JSON_INT:
        *v = h5ck_value_int(t->i);
        return 0;
    case H5CK_JSON_UINT:
        return get_uint(r, t, v);
    case H5CK_JSON_DOUBLE:
        return get_number(r, t, v);
    case H5CK_JSON_TRUE:
    case H5CK_JSON_FALSE:
        *v = h5ck_value_bool(t->kind == H5CK_JSON_TRUE);
        return 0;
    case H5CK_JSON_NULL:
        *v = (h5ckpt_value){.type = H5CKPT_NONE};
        return 0;
    case H5CK_JSON_END:
    case H5CK_JSON_CLOSE:
    case H5CK_JSON_KEY:
        break;
    }
    return h5ck_json_refuse(&r->j, t, "a value", r->err);
}

int h5ck_value_from_json(const char *text, size_t len, h5ck_arena *arena, h5ckpt_value *v, h5ckpt_error **err)
{
    reader r = {.arena = arena, .err = err};
    h5ck_json_token t;
    h5ck_json_begin(&r.j, text, len, 0);
    int rc = next(&r, &t);
    if (rc == 0)
        rc = get(&r, &t, v, 0);
    if (rc == 0)
        rc = expect(&r, H5CK_JSON_END, &t);
    h5ck_json_end(&r.j);
    return rc;
}
