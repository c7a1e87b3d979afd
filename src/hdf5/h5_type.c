/*
 * h5_type.c - a row of the dtype table as an HDF5 type, and back.
 *
 * Written as h5py writes them: bool is an enum FALSE/TRUE on int8, a complex number a compound of r and i, float16 the
 * IEEE half. bfloat16 and the 8-bit floats are floats with the row's own fields, as HDF5 lets anyone define. Read by
 * what a type is made of, not by its name: any byte order, complex members called r and i or real and imag, gaps
 * between them. What is not exactly the row's bytes is read through libhdf5's conversion.
 *
 * No dtype: strings, other compounds and enums, references, opaque, bit fields, times, floats of other shapes.
 */
#include "hdf5/h5.h"

#include <stdio.h>
#include <string.h>

/* Sign, exponent, mantissa, from the top bit down, no padding. */
static hid_t float_new(const h5ck_dtype *d)
{
    unsigned bits = 1 + d->exp_bits + d->man_bits;
    hid_t t = H5Tcopy(bits > 32 ? H5T_IEEE_F64LE : H5T_IEEE_F32LE);
    if (bits == 32 || bits == 64 || t < 0)
        return t;
    if (H5Tset_fields(t, bits - 1, d->man_bits, d->exp_bits, 0, d->man_bits) < 0 || H5Tset_precision(t, bits) < 0 ||
        H5Tset_size(t, bits / 8) < 0 || H5Tset_ebias(t, (size_t)d->bias) < 0) {
        H5Tclose(t);
        return -1;
    }
    return t;
}

static hid_t bool_new(void)
{
    hid_t t = H5Tenum_create(H5T_STD_I8LE);
    const int8_t no = 0, yes = 1;
    if (t >= 0 && (H5Tenum_insert(t, "FALSE", &no) < 0 || H5Tenum_insert(t, "TRUE", &yes) < 0)) {
        H5Tclose(t);
        return -1;
    }
    return t;
}

static hid_t complex_new(const h5ck_dtype *d, const char *real, const char *imaginary)
{
    hid_t part = float_new(d), t = part < 0 ? -1 : H5Tcreate(H5T_COMPOUND, d->size);
    if (t >= 0 && (H5Tinsert(t, real, 0, part) < 0 || H5Tinsert(t, imaginary, d->size / 2, part) < 0)) {
        H5Tclose(t);
        t = -1;
    }
    h5ck_hdf5_close(part);
    return t;
}

static hid_t integer_new(const h5ck_dtype *d)
{
    const hid_t sign[] = {H5T_STD_I8LE, H5T_STD_I16LE, H5T_STD_I32LE, H5T_STD_I64LE};
    const hid_t none[] = {H5T_STD_U8LE, H5T_STD_U16LE, H5T_STD_U32LE, H5T_STD_U64LE};
    size_t log2 = d->size == 1 ? 0 : d->size == 2 ? 1 : d->size == 4 ? 2 : 3;
    return H5Tcopy(d->kind == H5CK_KIND_INT ? sign[log2] : none[log2]);
}

hid_t h5ck_hdf5_type_new(const h5ck_dtype *d)
{
    switch (d->kind) {
    case H5CK_KIND_BOOL:
        return bool_new();
    case H5CK_KIND_FLOAT:
        return float_new(d);
    case H5CK_KIND_COMPLEX:
        return complex_new(d, "r", "i");
    case H5CK_KIND_INT:
    case H5CK_KIND_UINT:
        break;
    }
    return integer_new(d);
}

hid_t h5ck_hdf5_type_text_new(void)
{
    hid_t t = H5Tcopy(H5T_C_S1);
    if (t >= 0 && (H5Tset_size(t, H5T_VARIABLE) < 0 || H5Tset_cset(t, H5T_CSET_UTF8) < 0)) {
        H5Tclose(t);
        return -1;
    }
    return t;
}

/* ---- Recognising ---- */

static bool little(hid_t type)
{
    return H5Tget_order(type) == H5T_ORDER_LE || H5Tget_size(type) == 1;
}

static const h5ck_dtype *row(h5ck_kind kind, size_t size)
{
    const h5ck_dtype *d;
    for (size_t i = 0; (d = h5ck_dtype_at(i)); i++)
        if (d->kind == kind && d->size == size)
            return d;
    return NULL;
}

/* The finders give NULL for no dtype and return negative where libhdf5 fails. */

static int find_integer(hid_t type, const h5ck_dtype **d, bool *plain)
{
    size_t size = H5Tget_size(type), precision = H5Tget_precision(type);
    H5T_sign_t sign = H5Tget_sign(type);
    *plain = little(type) && precision == 8 * size;
    *d = row(sign == H5T_SGN_NONE ? H5CK_KIND_UINT : H5CK_KIND_INT, size);
    return size == 0 || precision == 0 || sign == H5T_SGN_ERROR ? -1 : 0;
}

static int find_float(hid_t type, const h5ck_dtype **d, bool *plain)
{
    size_t sign, exp_at, exp_bits, man_at, man_bits;
    H5T_norm_t norm = H5Tget_norm(type);
    *d = NULL;
    if (norm == H5T_NORM_ERROR || H5Tget_fields(type, &sign, &exp_at, &exp_bits, &man_at, &man_bits) < 0)
        return -1;
    *plain = little(type);
    size_t size = H5Tget_size(type), bias = H5Tget_ebias(type);
    const h5ck_dtype *r;
    for (size_t i = 0; norm == H5T_NORM_IMPLIED && !*d && (r = h5ck_dtype_at(i)); i++)
        if (r->kind == H5CK_KIND_FLOAT && r->size == size && r->exp_bits == exp_bits && r->man_bits == man_bits &&
            (size_t)r->bias == bias && man_at == 0 && exp_at == man_bits && sign == man_bits + exp_bits)
            *d = r;
    return 0;
}

/* Whether the i-th member of a 1-byte enum has this name and value; negative on failure. */
static int is_member(hid_t type, unsigned i, const char *name, int8_t value)
{
    int8_t found;
    char *called = H5Tget_member_name(type, i);
    int is = !called || H5Tget_member_value(type, i, &found) < 0 ? -1 : strcmp(called, name) == 0 && found == value;
    H5free_memory(called);
    return is;
}

static int find_bool(hid_t type, const h5ck_dtype **d, bool *plain)
{
    int members = H5Tget_nmembers(type);
    *plain = true;
    *d = NULL;
    if (members != 2 || H5Tget_size(type) != 1)
        return members < 0 ? -1 : 0;
    for (unsigned no = 0; no < 2 && !*d; no++) { /* in either order */
        int is_no = is_member(type, no, "FALSE", 0), is_yes = is_member(type, 1 - no, "TRUE", 1);
        if (is_no < 0 || is_yes < 0)
            return -1;
        if (is_no && is_yes)
            *d = h5ck_dtype_get(H5CKPT_DTYPE_BOOL);
    }
    return 0;
}

/* One half of a complex number; *d NULL where it is no float. */
static int find_half(hid_t type, unsigned i, const h5ck_dtype **d, bool *plain)
{
    hid_t part = H5Tget_member_type(type, i);
    H5T_class_t c = part < 0 ? H5T_NO_CLASS : H5Tget_class(part);
    *d = NULL;
    int rc = c == H5T_NO_CLASS ? -1 : c == H5T_FLOAT ? find_float(part, d, plain) : 0;
    h5ck_hdf5_close(part);
    return rc;
}

static bool are_complex(const char *first, const char *second)
{
    return (strcmp(first, "r") == 0 && strcmp(second, "i") == 0) ||
           (strcmp(first, "real") == 0 && strcmp(second, "imag") == 0);
}

/* Two floats of one kind: (r, i) by h5py, (real, imag) by Octave. `memory` may be NULL. */
static int find_complex(hid_t type, const h5ck_dtype **d, bool *plain, hid_t *memory)
{
    const h5ck_dtype *halves[2];
    bool plains[2] = {false, false};
    int members = H5Tget_nmembers(type);
    *d = NULL;
    if (members != 2)
        return members < 0 ? -1 : 0;
    if (find_half(type, 0, &halves[0], &plains[0]) || find_half(type, 1, &halves[1], &plains[1]))
        return -1;
    char *name[2] = {H5Tget_member_name(type, 0), H5Tget_member_name(type, 1)};
    int rc = name[0] && name[1] ? 0 : -1;
    if (rc == 0 && are_complex(name[0], name[1]) && halves[0] && halves[0] == halves[1])
        *d = row(H5CK_KIND_COMPLEX, 2 * halves[0]->size);
    if (*d) {
        *plain = plains[0] && plains[1] && H5Tget_size(type) == (*d)->size && H5Tget_member_offset(type, 0) == 0 &&
                 H5Tget_member_offset(type, 1) == (*d)->size / 2;
        if (memory)
            *memory = complex_new(*d, name[0], name[1]);
    }
    H5free_memory(name[0]);
    H5free_memory(name[1]);
    return rc;
}

int h5ck_hdf5_type_find(hid_t type, const h5ck_dtype **dtype, bool *plain, hid_t *memory, h5ckpt_error **err)
{
    int rc = 0;
    *dtype = NULL;
    *plain = false;
    if (memory)
        *memory = -1;
    switch (H5Tget_class(type)) {
    case H5T_NO_CLASS:
        rc = -1;
        break;
    case H5T_INTEGER:
        rc = find_integer(type, dtype, plain);
        break;
    case H5T_FLOAT:
        rc = find_float(type, dtype, plain);
        break;
    case H5T_ENUM:
        rc = find_bool(type, dtype, plain);
        break;
    case H5T_COMPOUND:
        rc = find_complex(type, dtype, plain, memory);
        break;
    default:
        break;
    }
    if (rc == 0 && *dtype && memory && *memory < 0)
        *memory = h5ck_hdf5_type_new(*dtype);
    if (rc == 0 && (!*dtype || !memory || *memory >= 0))
        return 0;
    rc = h5ck_hdf5_fail(err, H5CKPT_INVALID, "cannot read a type");
    if (memory) {
        h5ck_hdf5_close(*memory);
        *memory = -1;
    }
    *dtype = NULL;
    return rc;
}

/* ---- In words ---- */

static const char *class_text(H5T_class_t c)
{
    switch (c) {
    case H5T_INTEGER:
        return "integer";
    case H5T_FLOAT:
        return "float";
    case H5T_STRING:
        return "string";
    case H5T_BITFIELD:
        return "bit field";
    case H5T_OPAQUE:
        return "opaque";
    case H5T_COMPOUND:
        return "compound";
    case H5T_REFERENCE:
        return "reference";
    case H5T_ENUM:
        return "enum";
    case H5T_VLEN:
        return "variable-length sequence";
    case H5T_ARRAY:
        return "array";
    case H5T_TIME:
        return "time";
    default:
        return "unknown type";
    }
}

const char *h5ck_hdf5_type_text(hid_t type, char *text, size_t room)
{
    bool plain = false;
    H5T_class_t c = H5Tget_class(type);
    const h5ck_dtype *d = NULL;
    if (c != H5T_STRING)
        h5ck_hdf5_type_find(type, &d, &plain, NULL, NULL); /* what cannot be read has no dtype's words */
    if (c == H5T_STRING && H5Tis_variable_str(type) > 0)
        snprintf(text, room, "variable-length string");
    else if (d && d->size > 1)
        snprintf(text, room, "%s %s (%s)", plain ? "little-endian" : "to be converted", class_text(c), d->name);
    else if (d)
        snprintf(text, room, "%s (%s)", class_text(c), d->name);
    else
        snprintf(text, room, "%zu-byte %s", H5Tget_size(type), class_text(c));
    return text;
}
