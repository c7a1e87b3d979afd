/*
 * h5_type.c - a row of the dtype table as an HDF5 type, and back.
 *
 * Written as h5py writes them: bool is an enum FALSE/TRUE on int8, a complex number a compound of r and i, float16 the IEEE
 * half. bfloat16 and the 8-bit floats are floats with the row's own fields, as HDF5 lets anyone define. Read by what a type
 * is made of, not by its name: any byte order, complex members of any two names in this order, gaps between them. What is
 * not exactly the row's bytes is read through libhdf5's conversion.
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

static const h5ck_dtype *find_integer(hid_t type, bool *plain)
{
    size_t size = H5Tget_size(type);
    *plain = little(type) && H5Tget_precision(type) == 8 * size;
    return row(H5Tget_sign(type) == H5T_SGN_NONE ? H5CK_KIND_UINT : H5CK_KIND_INT, size);
}

static const h5ck_dtype *find_float(hid_t type, bool *plain)
{
    size_t sign, exp_at, exp_bits, man_at, man_bits;
    const h5ck_dtype *d;
    if (H5Tget_fields(type, &sign, &exp_at, &exp_bits, &man_at, &man_bits) < 0 || H5Tget_norm(type) != H5T_NORM_IMPLIED)
        return NULL;
    *plain = little(type);
    for (size_t i = 0; (d = h5ck_dtype_at(i)); i++)
        if (d->kind == H5CK_KIND_FLOAT && d->size == H5Tget_size(type) && d->exp_bits == exp_bits &&
            d->man_bits == man_bits && (size_t)d->bias == H5Tget_ebias(type) && man_at == 0 && exp_at == man_bits &&
            sign == man_bits + exp_bits)
            return d;
    return NULL;
}

static bool has_member(hid_t type, const char *name, long long value)
{
    long long found = 0;
    char bytes[16] = {0};
    int8_t byte;
    if (H5Tget_member_index(type, name) < 0 || H5Tget_size(type) != 1 || H5Tenum_valueof(type, name, bytes) < 0)
        return false;
    memcpy(&byte, bytes, 1);
    found = byte;
    return found == value;
}

static const h5ck_dtype *find_bool(hid_t type, bool *plain)
{
    *plain = true;
    if (H5Tget_nmembers(type) != 2 || !has_member(type, "FALSE", 0) || !has_member(type, "TRUE", 1))
        return NULL;
    return h5ck_dtype_get(H5CKPT_DTYPE_BOOL);
}

/* Two floats of one kind, whatever they are called: (r, i) by h5py, (real, imag) by Octave. */
static const h5ck_dtype *find_complex(hid_t type, bool *plain, hid_t *memory)
{
    if (H5Tget_nmembers(type) != 2)
        return NULL;
    hid_t part[2] = {H5Tget_member_type(type, 0), H5Tget_member_type(type, 1)};
    char *name[2] = {H5Tget_member_name(type, 0), H5Tget_member_name(type, 1)};
    const h5ck_dtype *d = NULL, *halves[2] = {NULL, NULL};
    bool plains[2] = {false, false};
    for (int i = 0; i < 2; i++)
        if (part[i] >= 0 && H5Tget_class(part[i]) == H5T_FLOAT)
            halves[i] = find_float(part[i], &plains[i]);
    bool known = name[0] && name[1] &&
                 ((strcmp(name[0], "r") == 0 && strcmp(name[1], "i") == 0) ||
                  (strcmp(name[0], "real") == 0 && strcmp(name[1], "imag") == 0));
    if (known && halves[0] && halves[0] == halves[1] && (halves[0]->size == 4 || halves[0]->size == 8))
        d = row(H5CK_KIND_COMPLEX, 2 * halves[0]->size);
    if (d) {
        *plain = plains[0] && plains[1] && H5Tget_size(type) == d->size && H5Tget_member_offset(type, 0) == 0 &&
                 H5Tget_member_offset(type, 1) == d->size / 2;
        *memory = complex_new(d, name[0], name[1]);
    }
    for (int i = 0; i < 2; i++) {
        h5ck_hdf5_close(part[i]);
        H5free_memory(name[i]);
    }
    return d;
}

const h5ck_dtype *h5ck_hdf5_type_find(hid_t type, bool *plain, hid_t *memory)
{
    const h5ck_dtype *d = NULL;
    *plain = false;
    *memory = -1;
    switch (H5Tget_class(type)) {
    case H5T_INTEGER:
        d = find_integer(type, plain);
        break;
    case H5T_FLOAT:
        d = find_float(type, plain);
        break;
    case H5T_ENUM:
        d = find_bool(type, plain);
        break;
    case H5T_COMPOUND:
        d = find_complex(type, plain, memory);
        break;
    default:
        break;
    }
    if (d && *memory < 0)
        *memory = h5ck_hdf5_type_new(d);
    return *memory < 0 ? NULL : d;
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
    bool plain;
    hid_t memory;
    H5T_class_t c = H5Tget_class(type);
    const h5ck_dtype *d = h5ck_hdf5_type_find(type, &plain, &memory);
    h5ck_hdf5_close(memory);
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
