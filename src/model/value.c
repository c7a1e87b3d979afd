/* value.c - copying, comparing and making values. Recursion goes at most H5CK_VALUE_DEPTH deep. */
#include "model/value.h"

#include "base/ckd.h"
#include "base/le.h"
#include "base/text.h"
#include "model/dtype.h"

#include <string.h>

static int copy(h5ck_arena *arena, const h5ckpt_value *from, h5ckpt_value *to, int depth, h5ckpt_error **err);

static int copy_fields(h5ck_arena *arena, const h5ckpt_field *from, size_t count, bool string_keys,
                       const h5ckpt_field **to, int depth, h5ckpt_error **err)
{
    h5ckpt_field *fields = h5ck_arena_zalloc(arena, count, sizeof *fields);
    if (!fields)
        return h5ck_fail_nomem(err);
    if (count && !from)
        return h5ck_fail(err, H5CKPT_INVALID, "a value of %zu fields without an array of fields", count);
    for (size_t i = 0; i < count; i++) {
        h5ckpt_value_type t = from[i].key.type;
        if (string_keys ? t != H5CKPT_STR : t == H5CKPT_LIST || t == H5CKPT_DICT)
            return h5ck_fail(err, H5CKPT_INVALID, "expected %s as a key, found %s",
                             string_keys ? "str" : "a hashable value", h5ck_value_type_name(&from[i].key));
        if (string_keys && (!from[i].key.as.str || memchr(from[i].key.as.str, 0, from[i].key.count)))
            return h5ck_fail(err, H5CKPT_INVALID, "expected a field's name without zero bytes, found one with some");
        int rc = copy(arena, &from[i].key, &fields[i].key, depth, err);
        if (rc == 0)
            rc = copy(arena, &from[i].value, &fields[i].value, depth, err);
        if (rc)
            return rc;
    }
    *to = fields;
    return 0;
}

static int copy_object(h5ck_arena *arena, const h5ckpt_object *from, const h5ckpt_object **to, int depth,
                       h5ckpt_error **err)
{
    if (!from || !from->class_name || !from->module)
        return h5ck_fail(err, H5CKPT_INVALID, "an object without a module or class name");
    h5ckpt_object *o = h5ck_arena_zalloc(arena, 1, sizeof *o);
    if (!o)
        return h5ck_fail_nomem(err);
    o->count = from->count;
    o->module = h5ck_arena_strdup(arena, from->module);
    o->class_name = h5ck_arena_strdup(arena, from->class_name);
    if (!o->module || !o->class_name)
        return h5ck_fail_nomem(err);
    *to = o;
    return copy_fields(arena, from->fields, from->count, true, &o->fields, depth, err);
}

static int copy_array(h5ck_arena *arena, const h5ckpt_array *from, const h5ckpt_array **to, h5ckpt_error **err)
{
    const h5ck_dtype *dtype = from ? h5ck_dtype_get(from->dtype) : NULL;
    if (!dtype)
        return h5ck_fail(err, H5CKPT_INVALID, "an array without an element type");
    if ((from->rank && !from->shape) || (from->nbytes && !from->data))
        return h5ck_fail(err, H5CKPT_INVALID, "an array without its shape or data");
    uint64_t nbytes = dtype->size;
    for (size_t i = 0; i < from->rank; i++)
        if (h5ck_ckd_mul(nbytes, from->shape[i], &nbytes))
            return h5ck_fail(err, H5CKPT_INVALID, "the shape of an array overflows");
    if (nbytes != from->nbytes || (from->scalar && from->rank != 0))
        return h5ck_fail(err, H5CKPT_INVALID, "an array of %zu bytes whose shape says %llu", from->nbytes,
                         (unsigned long long)nbytes);
    h5ckpt_array *a = h5ck_arena_memdup(arena, from, sizeof *from);
    if (!a)
        return h5ck_fail_nomem(err);
    a->shape = h5ck_arena_memdup(arena, from->shape, from->rank * sizeof *from->shape);
    a->data = h5ck_arena_memdup(arena, from->data, from->nbytes);
    if (!a->shape || !a->data)
        return h5ck_fail_nomem(err);
    *to = a;
    return 0;
}

static int copy_items(h5ck_arena *arena, const h5ckpt_value *from, h5ckpt_value *to, int depth, h5ckpt_error **err)
{
    if (from->count && !from->as.items)
        return h5ck_fail(err, H5CKPT_INVALID, "a value of %zu items without an array of items", from->count);
    h5ckpt_value *items = h5ck_arena_zalloc(arena, from->count, sizeof *items);
    if (!items)
        return h5ck_fail_nomem(err);
    for (size_t i = 0; i < from->count; i++) {
        int rc = copy(arena, &from->as.items[i], &items[i], depth, err);
        if (rc)
            return rc;
    }
    to->as.items = items;
    return 0;
}

static int copy(h5ck_arena *arena, const h5ckpt_value *from, h5ckpt_value *to, int depth, h5ckpt_error **err)
{
    if (depth++ > H5CK_VALUE_DEPTH)
        return h5ck_fail(err, H5CKPT_INVALID, "values nested deeper than %d", H5CK_VALUE_DEPTH);
    *to = *from;
    switch (from->type) {
    case H5CKPT_NONE:
    case H5CKPT_INT:
    case H5CKPT_FLOAT:
        return 0;
    case H5CKPT_BOOL:
        to->as.i = from->as.i != 0;
        return 0;
    case H5CKPT_STR:
        if (!from->as.str || !h5ck_text_is_utf8_with_zeros(from->as.str, from->count))
            return h5ck_fail(err, H5CKPT_INVALID, "a str that is not UTF-8");
        to->as.str = h5ck_arena_strndup(arena, from->as.str, from->count);
        return to->as.str ? 0 : h5ck_fail_nomem(err);
    case H5CKPT_BYTES:
    case H5CKPT_BIGINT:
        if (from->count && !from->as.bytes)
            return h5ck_fail(err, H5CKPT_INVALID, "a value of %zu bytes without them", from->count);
        to->as.bytes = h5ck_arena_memdup(arena, from->as.bytes, from->count);
        return to->as.bytes ? 0 : h5ck_fail_nomem(err);
    case H5CKPT_LIST:
    case H5CKPT_TUPLE:
        return copy_items(arena, from, to, depth, err);
    case H5CKPT_DICT:
        return copy_fields(arena, from->as.fields, from->count, false, &to->as.fields, depth, err);
    case H5CKPT_OBJECT:
        return copy_object(arena, from->as.object, &to->as.object, depth, err);
    case H5CKPT_ARRAY:
        return copy_array(arena, from->as.array, &to->as.array, err);
    }
    return h5ck_fail(err, H5CKPT_INVALID, "a value of the unknown type %d", (int)from->type);
}

int h5ck_value_copy(h5ck_arena *arena, const h5ckpt_value *from, h5ckpt_value *to, h5ckpt_error **err)
{
    return copy(arena, from, to, 0, err);
}

static bool fields_equal(const h5ckpt_field *a, const h5ckpt_field *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!h5ck_value_equal(&a[i].key, &b[i].key) || !h5ck_value_equal(&a[i].value, &b[i].value))
            return false;
    return true;
}

static bool arrays_equal(const h5ckpt_array *a, const h5ckpt_array *b)
{
    return a->dtype == b->dtype && a->scalar == b->scalar && a->rank == b->rank && a->nbytes == b->nbytes &&
           (a->rank == 0 || memcmp(a->shape, b->shape, a->rank * sizeof *a->shape) == 0) &&
           (a->nbytes == 0 || memcmp(a->data, b->data, a->nbytes) == 0);
}

bool h5ck_value_equal(const h5ckpt_value *a, const h5ckpt_value *b)
{
    if (a->type != b->type || !a->python2 != !b->python2)
        return false;
    switch (a->type) {
    case H5CKPT_NONE:
        return true;
    case H5CKPT_BOOL:
    case H5CKPT_INT:
        return a->as.i == b->as.i;
    case H5CKPT_FLOAT:
        return h5ck_f64_to_bits(a->as.f) == h5ck_f64_to_bits(b->as.f);
    case H5CKPT_STR:
    case H5CKPT_BYTES:
    case H5CKPT_BIGINT:
        return a->count == b->count && (a->count == 0 || memcmp(a->as.bytes, b->as.bytes, a->count) == 0);
    case H5CKPT_LIST:
    case H5CKPT_TUPLE:
        for (size_t i = 0; a->count == b->count && i < a->count; i++)
            if (!h5ck_value_equal(&a->as.items[i], &b->as.items[i]))
                return false;
        return a->count == b->count;
    case H5CKPT_DICT:
        return a->count == b->count && fields_equal(a->as.fields, b->as.fields, a->count);
    case H5CKPT_OBJECT:
        return strcmp(a->as.object->module, b->as.object->module) == 0 &&
               strcmp(a->as.object->class_name, b->as.object->class_name) == 0 &&
               a->as.object->count == b->as.object->count &&
               fields_equal(a->as.object->fields, b->as.object->fields, a->as.object->count);
    case H5CKPT_ARRAY:
        return arrays_equal(a->as.array, b->as.array);
    }
    return false;
}

const char *h5ck_value_type_name(const h5ckpt_value *v)
{
    switch (v->type) {
    case H5CKPT_NONE:
        return "None";
    case H5CKPT_BOOL:
        return "bool";
    case H5CKPT_INT:
    case H5CKPT_BIGINT:
        return "int";
    case H5CKPT_FLOAT:
        return "float";
    case H5CKPT_STR:
        return "str";
    case H5CKPT_BYTES:
        return "bytes";
    case H5CKPT_LIST:
        return "list";
    case H5CKPT_TUPLE:
        return "tuple";
    case H5CKPT_DICT:
        return "dict";
    case H5CKPT_OBJECT:
        return v->as.object->class_name;
    case H5CKPT_ARRAY:
        return v->as.array->scalar ? "NumPy scalar" : "NumPy array";
    }
    return "unknown";
}

h5ckpt_value h5ck_value_str(const char *s)
{
    return (h5ckpt_value){.type = H5CKPT_STR, .count = strlen(s), .as.str = s};
}

h5ckpt_value h5ck_value_int(int64_t i)
{
    return (h5ckpt_value){.type = H5CKPT_INT, .as.i = i};
}

h5ckpt_value h5ck_value_float(double f)
{
    return (h5ckpt_value){.type = H5CKPT_FLOAT, .as.f = f};
}

h5ckpt_value h5ck_value_bool(bool b)
{
    return (h5ckpt_value){.type = H5CKPT_BOOL, .as.i = b};
}

static bool scalar_as_double(const h5ckpt_array *a, double *d)
{
    if (!a->scalar)
        return false;
    uint64_t bits = h5ck_le_get(a->data, (unsigned)(a->nbytes <= 8 ? a->nbytes : 8));
    uint32_t half = (uint32_t)bits;
    float f;
    switch (h5ck_dtype_get(a->dtype)->kind) {
    case H5CK_KIND_BOOL:
    case H5CK_KIND_UINT:
        *d = (double)bits;
        return true;
    case H5CK_KIND_INT:
        if (a->nbytes < 8 && bits >> (8 * a->nbytes - 1))
            bits |= UINT64_MAX << (8 * a->nbytes); /* sign */
        *d = (double)(int64_t)bits;
        return true;
    case H5CK_KIND_FLOAT:
        if (a->dtype == H5CKPT_DTYPE_FLOAT64)
            *d = h5ck_f64_from_bits(bits);
        else if (a->dtype == H5CKPT_DTYPE_FLOAT32)
            *d = (double)*(float *)memcpy(&f, &half, sizeof f);
        return a->nbytes >= 4;
    case H5CK_KIND_COMPLEX:
        return false;
    }
    return false;
}

bool h5ck_value_as_double(const h5ckpt_value *v, double *d)
{
    switch (v->type) {
    case H5CKPT_BOOL:
    case H5CKPT_INT:
        *d = (double)v->as.i;
        return true;
    case H5CKPT_FLOAT:
        *d = v->as.f;
        return true;
    case H5CKPT_ARRAY:
        return scalar_as_double(v->as.array, d);
    default:
        return false;
    }
}

const h5ckpt_value *h5ckpt_value_get(const h5ckpt_value *container, const char *key)
{
    const h5ckpt_field *fields = NULL;
    size_t count = 0, length = key ? strlen(key) : 0;
    if (key && container && container->type == H5CKPT_DICT) {
        fields = container->as.fields;
        count = container->count;
    } else if (key && container && container->type == H5CKPT_OBJECT) {
        fields = container->as.object->fields;
        count = container->as.object->count;
    }
    for (size_t i = 0; i < count; i++)
        if (fields[i].key.type == H5CKPT_STR && fields[i].key.count == length &&
            memcmp(fields[i].key.as.str, key, length) == 0)
            return &fields[i].value;
    return NULL;
}
