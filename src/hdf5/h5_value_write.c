/*
 * h5_value_write.c - an object (a decay) as a group: a field each as an attribute where HDF5 has a type for it, else as
 * a subgroup. docs/format.md says the same in a table.
 *
 * What HDF5's type does not tell is written beside it, as the attribute `<field>:type`: "tuple", "list iff", "bytes"
 * and so on; most fields need none. Where the object came from Python 2 (some text of it is that Python's `str`) the
 * group says so once, and only what is not such a `str` is marked.
 *
 * Refused: an object's field name that holds a zero byte; a dictionary with such keys is written as a list of pairs.
 */
#include "base/le.h"
#include "base/text.h"
#include "hdf5/h5.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct writer {
    const h5ck_hdf5_names *names;
    bool python2; /* of the whole decay */
    hid_t text, group_list, link_list;
    h5ckpt_error **err;
} writer;

static int write_object(writer *w, hid_t group, const h5ckpt_object *o);
static int write_fields(writer *w, hid_t group, const h5ckpt_field *fields, size_t count);

/* ---- What kind of thing a value is ---- */

/* HDF5's strings end at their first zero. */
static bool is_plain_text(const h5ckpt_value *v)
{
    return v->type == H5CKPT_STR && h5ck_text_is_utf8(v->as.str, v->count);
}

/* The letter of a list's item: b, i, l (a long), f, s, u (a unicode of Python 2); 0 for what no flat list holds. */
static char letter(const writer *w, const h5ckpt_value *v)
{
    switch (v->type) {
    case H5CKPT_BOOL:
        return 'b';
    case H5CKPT_INT:
        return v->python2 ? 'l' : 'i';
    case H5CKPT_FLOAT:
        return 'f';
    case H5CKPT_STR:
        return !is_plain_text(v) || v->distinct ? 0 : !v->python2 == !w->python2 ? 's' : 'u';
    default:
        return 0;
    }
}

static bool is_exact_double(int64_t i)
{
    return i >= -(INT64_C(1) << 53) && i <= INT64_C(1) << 53;
}

typedef struct flat {
    h5ckpt_dtype dtype; /* NONE: text */
    bool uniform;       /* all items are what the HDF5 type says by itself */
} flat;

/* Whether a list or tuple becomes a 1-D array. */
static bool is_flat(const writer *w, const h5ckpt_value *v, flat *f)
{
    size_t texts = 0, floats = 0, bools = 0, odd = 0;
    bool exact = true;
    for (size_t i = 0; i < v->count; i++) {
        char c = letter(w, &v->as.items[i]);
        if (c == 0)
            return false;
        texts += c == 's' || c == 'u';
        floats += c == 'f';
        bools += c == 'b';
        odd += c == 'l' || c == 'u';
        exact &= (c != 'i' && c != 'l') || is_exact_double(v->as.items[i].as.i);
    }
    if (texts) {
        *f = (flat){H5CKPT_DTYPE_NONE, odd == 0};
        return texts == v->count;
    }
    if (floats)
        *f = (flat){H5CKPT_DTYPE_FLOAT64, floats == v->count};
    else if (bools && bools == v->count)
        *f = (flat){H5CKPT_DTYPE_BOOL, true};
    else
        *f = (flat){H5CKPT_DTYPE_INT64, odd == 0 && bools == 0};
    return !floats || exact;
}

static bool is_group(const writer *w, const h5ckpt_value *v)
{
    flat f;
    bool sequence = v->type == H5CKPT_LIST || v->type == H5CKPT_TUPLE;
    return v->type == H5CKPT_DICT || v->type == H5CKPT_OBJECT || (sequence && !is_flat(w, v, &f));
}

/* ---- Markers ---- */

static int put_marker(writer *w, hid_t group, const char *attribute, const char *marker, bool other_key)
{
    h5ck_buf name = H5CK_BUF_INIT, text = H5CK_BUF_INIT;
    if (!marker && !other_key)
        return 0;
    h5ck_buf_printf(&name, "%s%s", attribute, w->names->type_suffix);
    h5ck_buf_printf(&text, "%s%s%s", marker ? marker : "", marker && other_key ? " " : "", other_key ? "ukey" : "");
    const char *n = h5ck_buf_cstr(&name), *t = h5ck_buf_cstr(&text);
    int rc = n && t ? h5ck_hdf5_attr_put_text(group, n, t, w->err) : h5ck_fail_nomem(w->err);
    h5ck_buf_free(&name);
    h5ck_buf_free(&text);
    return rc;
}

/* ---- Attributes ---- */

typedef struct slot {
    hid_t group;
    const char *name; /* encoded */
    bool other_key;   /* the field's name is a Python 2 unicode in a group of `str` names */
} slot;

static int put(writer *w, const slot *s, h5ckpt_dtype dtype, int rank, const uint64_t *shape, const void *data,
               const char *marker)
{
    int rc = h5ck_hdf5_attr_put_dtype(s->group, s->name, dtype, rank, shape, data, w->err);
    return rc ? rc : put_marker(w, s->group, s->name, marker, s->other_key);
}

static int put_bytes(writer *w, const slot *s, const void *data, size_t n, const char *marker)
{
    uint64_t shape = n;
    return put(w, s, H5CKPT_DTYPE_UINT8, 1, &shape, data, marker);
}

static int put_text(writer *w, const slot *s, const h5ckpt_value *v)
{
    bool odd = !v->python2 != !w->python2;
    if (!is_plain_text(v))
        return put_bytes(w, s, v->as.str, v->count, odd ? "unicode" : "str");
    int rc = h5ck_hdf5_attr_put(s->group, s->name, w->text, 0, NULL, &v->as.str, w->err);
    return rc ? rc : put_marker(w, s->group, s->name, odd ? "unicode" : v->distinct ? "distinct" : NULL, s->other_key);
}

static int put_array(writer *w, const slot *s, const h5ckpt_array *a)
{
    bool python_has =
        a->dtype == H5CKPT_DTYPE_BOOL || a->dtype == H5CKPT_DTYPE_INT64 || a->dtype == H5CKPT_DTYPE_FLOAT64;
    const char *marker = python_has && a->rank <= 1 ? "numpy" : NULL;
    if (!a->scalar && a->rank == 0)
        marker = "array";
    if (a->rank > H5CK_MAX_RANK)
        return h5ck_fail(w->err, H5CKPT_INVALID, "expected an array of at most %d dimensions, found %zu", H5CK_MAX_RANK,
                         a->rank);
    return put(w, s, a->dtype, (int)a->rank, a->shape, a->data, marker);
}

/* One item of a flat list of numbers, at its place. */
static void store(const h5ckpt_value *v, h5ckpt_dtype dtype, unsigned char *to)
{
    if (dtype == H5CKPT_DTYPE_BOOL)
        *to = v->as.i != 0;
    else if (dtype == H5CKPT_DTYPE_INT64)
        h5ck_le_put(to, (uint64_t)v->as.i, 8);
    else
        h5ck_le_put(to, h5ck_f64_to_bits(v->type == H5CKPT_FLOAT ? v->as.f : (double)v->as.i), 8);
}

static int put_items(writer *w, const slot *s, const h5ckpt_value *v, const flat *f, const char *marker)
{
    uint64_t shape = v->count;
    size_t size = f->dtype == H5CKPT_DTYPE_NONE ? sizeof(char *) : h5ckpt_dtype_size(f->dtype);
    unsigned char *data = calloc(v->count + 1, size);
    int rc;
    if (!data)
        return h5ck_fail_nomem(w->err);
    for (size_t i = 0; i < v->count; i++) {
        if (f->dtype == H5CKPT_DTYPE_NONE)
            memcpy(data + i * size, &v->as.items[i].as.str, size);
        else
            store(&v->as.items[i], f->dtype, data + i * size);
    }
    if (f->dtype != H5CKPT_DTYPE_NONE)
        rc = put(w, s, f->dtype, 1, &shape, data, marker);
    else if ((rc = h5ck_hdf5_attr_put(s->group, s->name, w->text, 1, &shape, data, w->err)) == 0)
        rc = put_marker(w, s->group, s->name, marker, s->other_key);
    free(data);
    return rc;
}

static int put_flat(writer *w, const slot *s, const h5ckpt_value *v, const flat *f)
{
    bool tuple = v->type == H5CKPT_TUPLE;
    h5ck_buf marker = H5CK_BUF_INIT;
    if (f->uniform)
        return put_items(w, s, v, f, tuple ? "tuple" : NULL);
    h5ck_buf_str(&marker, tuple ? "tuple " : "list ");
    for (size_t i = 0; i < v->count; i++)
        h5ck_buf_u8(&marker, (unsigned char)letter(w, &v->as.items[i]));
    const char *text = h5ck_buf_cstr(&marker);
    int rc = text ? put_items(w, s, v, f, text) : h5ck_fail_nomem(w->err);
    h5ck_buf_free(&marker);
    return rc;
}

/* ---- Groups ---- */

static bool has_plain_keys(const h5ckpt_value *v)
{
    for (size_t i = 0; i < v->count; i++)
        if (!is_plain_text(&v->as.fields[i].key))
            return false;
    return true;
}

/* The items of a list, or keys and values in turn, as fields "0", "1", ... */
static int write_numbered(writer *w, hid_t group, const h5ckpt_value *v)
{
    bool pairs = v->type == H5CKPT_DICT;
    size_t count = pairs ? 2 * v->count : v->count;
    h5ckpt_field *fields = calloc(count + 1, sizeof *fields);
    char(*names)[24] = calloc(count + 1, sizeof *names);
    int rc = fields && names ? 0 : h5ck_fail_nomem(w->err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        snprintf(names[i], sizeof names[i], "%zu", i);
        fields[i].key =
            (h5ckpt_value){.type = H5CKPT_STR, .python2 = w->python2, .count = strlen(names[i]), .as.str = names[i]};
        if (pairs)
            fields[i].value = i % 2 ? v->as.fields[i / 2].value : v->as.fields[i / 2].key;
        else
            fields[i].value = v->as.items[i];
    }
    if (rc == 0)
        rc = write_fields(w, group, fields, count);
    free(fields);
    free(names);
    return rc;
}

static int write_group(writer *w, const slot *s, const h5ckpt_value *v)
{
    bool pairs = v->type == H5CKPT_DICT && !has_plain_keys(v);
    const char *marker = v->type == H5CKPT_LIST ? "list" : v->type == H5CKPT_TUPLE ? "tuple" : pairs ? "items" : NULL;
    hid_t group = H5Gcreate2(s->group, s->name, w->link_list, w->group_list, H5P_DEFAULT);
    if (group < 0)
        return h5ck_hdf5_fail(w->err, H5CKPT_SYSTEM, "cannot create a group");
    int rc = put_marker(w, s->group, s->name, marker, s->other_key);
    if (rc == 0) {
        if (v->type == H5CKPT_OBJECT)
            rc = write_object(w, group, v->as.object);
        else if (v->type == H5CKPT_DICT && !pairs)
            rc = write_fields(w, group, v->as.fields, v->count);
        else
            rc = write_numbered(w, group, v);
    }
    h5ck_hdf5_close(group);
    return rc;
}

static int write_value(writer *w, const slot *s, const h5ckpt_value *v)
{
    unsigned char bits[8];
    flat f;
    switch (v->type) {
    case H5CKPT_NONE:
        return put(w, s, H5CKPT_DTYPE_FLOAT64, -1, NULL, NULL, NULL);
    case H5CKPT_BOOL:
        store(v, H5CKPT_DTYPE_BOOL, bits);
        return put(w, s, H5CKPT_DTYPE_BOOL, 0, NULL, bits, NULL);
    case H5CKPT_INT:
        store(v, H5CKPT_DTYPE_INT64, bits);
        return put(w, s, H5CKPT_DTYPE_INT64, 0, NULL, bits, v->python2 ? "long" : NULL);
    case H5CKPT_FLOAT:
        store(v, H5CKPT_DTYPE_FLOAT64, bits);
        return put(w, s, H5CKPT_DTYPE_FLOAT64, 0, NULL, bits, NULL);
    case H5CKPT_STR:
        return put_text(w, s, v);
    case H5CKPT_BYTES:
        return put_bytes(w, s, v->as.bytes, v->count, v->python2 ? "bytes2" : "bytes");
    case H5CKPT_BIGINT:
        return put_bytes(w, s, v->as.bytes, v->count, v->python2 ? "biglong" : "bigint");
    case H5CKPT_ARRAY:
        return put_array(w, s, v->as.array);
    case H5CKPT_LIST:
    case H5CKPT_TUPLE:
        return is_flat(w, v, &f) ? put_flat(w, s, v, &f) : write_group(w, s, v);
    case H5CKPT_DICT:
    case H5CKPT_OBJECT:
        return write_group(w, s, v);
    }
    return h5ck_fail(w->err, H5CKPT_INVALID, "a value of the unknown type %d", (int)v->type);
}

/* Whether HDF5's type says all of a value, so that it needs no marker. */
static bool is_bare(const writer *w, const h5ckpt_value *v)
{
    flat f;
    switch (v->type) {
    case H5CKPT_NONE:
    case H5CKPT_BOOL:
    case H5CKPT_FLOAT:
        return true;
    case H5CKPT_INT:
        return !v->python2;
    case H5CKPT_STR:
        return is_plain_text(v) && !v->python2 && !v->distinct;
    case H5CKPT_LIST:
        return is_flat(w, v, &f) && f.uniform;
    case H5CKPT_ARRAY:
        return v->as.array->rank <= H5CK_MAX_RANK;
    default:
        return false;
    }
}

int h5ck_hdf5_value_put_attr(hid_t object, const char *name, const h5ckpt_value *value, bool *is_attr,
                             h5ckpt_error **err)
{
    writer w = {.err = err};
    const slot s = {object, name, false};
    if (!(*is_attr = is_bare(&w, value)))
        return 0;
    if (value->type == H5CKPT_ARRAY)
        return h5ck_hdf5_attr_put_dtype(object, name, value->as.array->dtype, (int)value->as.array->rank,
                                        value->as.array->shape, value->as.array->data, err);
    w.text = h5ck_hdf5_type_text_new();
    int rc =
        w.text < 0 ? h5ck_hdf5_fail(err, H5CKPT_SYSTEM, "cannot make HDF5's type of text") : write_value(&w, &s, value);
    h5ck_hdf5_close(w.text);
    return rc;
}

/* The order of all fields, where attributes alone do not tell it. */
static int put_order(writer *w, hid_t group, const h5ckpt_field *fields, size_t count)
{
    uint64_t shape = count;
    const char **names = calloc(count + 1, sizeof *names);
    if (!names)
        return h5ck_fail_nomem(w->err);
    for (size_t i = 0; i < count; i++)
        names[i] = fields[i].key.as.str;
    int rc = h5ck_hdf5_attr_put(group, w->names->fields, w->text, 1, &shape, names, w->err);
    free((void *)names);
    return rc;
}

static int write_field(writer *w, hid_t group, const h5ckpt_field *f)
{
    h5ck_arena scratch = {NULL};
    slot s = {group, NULL, !f->key.python2 != !w->python2};
    int rc = 0;
    if (!is_plain_text(&f->key))
        rc = h5ck_fail(w->err, H5CKPT_INVALID, "expected text without zero bytes as a field's name, found other");
    else if (!(s.name = h5ck_hdf5_name_encode(f->key.as.str, w->names->reserved, w->names->type_suffix, &scratch)))
        rc = h5ck_fail_nomem(w->err);
    else
        rc = write_value(w, &s, &f->value);
    h5ck_arena_free(&scratch);
    return rc;
}

static int write_fields(writer *w, hid_t group, const h5ckpt_field *fields, size_t count)
{
    bool groups = false, texts = true;
    int rc = 0;
    for (size_t i = 0; i < count; i++) {
        groups |= is_group(w, &fields[i].value);
        texts &= is_plain_text(&fields[i].key);
    }
    if (groups && texts)
        rc = put_order(w, group, fields, count);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = write_field(w, group, &fields[i]);
    return rc;
}

static int write_object(writer *w, hid_t group, const h5ckpt_object *o)
{
    int rc = h5ck_hdf5_attr_put_text(group, w->names->class_name, o->class_name, w->err);
    if (rc == 0)
        rc = h5ck_hdf5_attr_put_text(group, w->names->module, o->module, w->err);
    return rc ? rc : write_fields(w, group, o->fields, o->count);
}

/* ---- The whole ---- */

static bool is_python2(const h5ckpt_value *v, int depth);

static bool any_python2(const h5ckpt_field *fields, size_t count, int depth)
{
    for (size_t i = 0; i < count; i++)
        if (is_python2(&fields[i].key, depth) || is_python2(&fields[i].value, depth))
            return true;
    return false;
}

/* Whether any text below is Python 2's `str`. Values are nested at most H5CK_VALUE_DEPTH deep; so is this. */
static bool is_python2(const h5ckpt_value *v, int depth)
{
    if (depth > H5CK_VALUE_DEPTH + 1)
        return false;
    switch (v->type) {
    case H5CKPT_STR:
        return v->python2;
    case H5CKPT_LIST:
    case H5CKPT_TUPLE:
        for (size_t i = 0; i < v->count; i++)
            if (is_python2(&v->as.items[i], depth + 1))
                return true;
        return false;
    case H5CKPT_DICT:
        return any_python2(v->as.fields, v->count, depth + 1);
    case H5CKPT_OBJECT:
        return any_python2(v->as.object->fields, v->as.object->count, depth + 1);
    default:
        return false;
    }
}

int h5ck_hdf5_value_write(hid_t group, const h5ck_hdf5_names *names, const h5ckpt_object *object, h5ckpt_error **err)
{
    writer w = {.names = names, .err = err};
    const unsigned char two[8] = {2};
    w.python2 = any_python2(object->fields, object->count, 1);
    w.text = h5ck_hdf5_type_text_new();
    w.group_list = h5ck_hdf5_group_list();
    w.link_list = h5ck_hdf5_link_list();
    int rc = w.text < 0 || w.group_list < 0 || w.link_list < 0
                 ? h5ck_hdf5_fail(err, H5CKPT_SYSTEM, "cannot make HDF5's lists")
                 : 0;
    if (rc == 0 && w.python2)
        rc = h5ck_hdf5_attr_put_dtype(group, names->python, H5CKPT_DTYPE_INT64, 0, NULL, two, err);
    if (rc == 0)
        rc = write_object(&w, group, object);
    h5ck_hdf5_close(w.text);
    h5ck_hdf5_close(w.group_list);
    h5ck_hdf5_close(w.link_list);
    return rc;
}
