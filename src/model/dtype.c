/* dtype.c - the table. */
#include "model/dtype.h"

#include <string.h>

enum { NO = H5CK_DTYPE_NO_CODE };

/* clang-format off */
static const h5ck_dtype table[] = {
    /* id                       name              numpy  sz  kind              paddle safetensors torch          gguf onnx exp  man  bias  finite */
    {H5CKPT_DTYPE_BOOL,          "bool",           "b1",   1, H5CK_KIND_BOOL,      0, "BOOL",    "Bool",           NO,   9,  0,  0,    0, true},
    {H5CKPT_DTYPE_INT8,          "int8",           "i1",   1, H5CK_KIND_INT,      21, "I8",      "Char",           24,   3,  0,  0,    0, true},
    {H5CKPT_DTYPE_UINT8,         "uint8",          "u1",   1, H5CK_KIND_UINT,     20, "U8",      "Byte",           NO,   2,  0,  0,    0, true},
    {H5CKPT_DTYPE_INT16,         "int16",          "i2",   2, H5CK_KIND_INT,       1, "I16",     "Short",          25,   5,  0,  0,    0, true},
    {H5CKPT_DTYPE_UINT16,        "uint16",         "u2",   2, H5CK_KIND_UINT,     36, "U16",     NULL,             NO,   4,  0,  0,    0, true},
    {H5CKPT_DTYPE_INT32,         "int32",          "i4",   4, H5CK_KIND_INT,       2, "I32",     "Int",            26,   6,  0,  0,    0, true},
    {H5CKPT_DTYPE_UINT32,        "uint32",         "u4",   4, H5CK_KIND_UINT,     37, "U32",     NULL,             NO,  12,  0,  0,    0, true},
    {H5CKPT_DTYPE_INT64,         "int64",          "i8",   8, H5CK_KIND_INT,       3, "I64",     "Long",           27,   7,  0,  0,    0, true},
    {H5CKPT_DTYPE_UINT64,        "uint64",         "u8",   8, H5CK_KIND_UINT,     38, "U64",     NULL,             NO,  13,  0,  0,    0, true},
    {H5CKPT_DTYPE_FLOAT16,       "float16",        "f2",   2, H5CK_KIND_FLOAT,     4, "F16",     "Half",            1,  10,  5, 10,   15, false},
    {H5CKPT_DTYPE_BFLOAT16,      "bfloat16",       NULL,   2, H5CK_KIND_FLOAT,    22, "BF16",    "BFloat16",       30,  16,  8,  7,  127, false},
    {H5CKPT_DTYPE_FLOAT32,       "float32",        "f4",   4, H5CK_KIND_FLOAT,     5, "F32",     "Float",           0,   1,  8, 23,  127, false},
    {H5CKPT_DTYPE_FLOAT64,       "float64",        "f8",   8, H5CK_KIND_FLOAT,     6, "F64",     "Double",         28,  11, 11, 52, 1023, false},
    {H5CKPT_DTYPE_COMPLEX64,     "complex64",      "c8",   8, H5CK_KIND_COMPLEX,  23, "C64",     "ComplexFloat",   NO,  14,  8, 23,  127, false},
    {H5CKPT_DTYPE_COMPLEX128,    "complex128",     "c16", 16, H5CK_KIND_COMPLEX,  24, NULL,      "ComplexDouble",  NO,  15, 11, 52, 1023, false},
    {H5CKPT_DTYPE_FLOAT8_E4M3FN, "float8_e4m3fn",  NULL,   1, H5CK_KIND_FLOAT,    32, "F8_E4M3", NULL,             NO,  17,  4,  3,    7, true},
    {H5CKPT_DTYPE_FLOAT8_E5M2,   "float8_e5m2",    NULL,   1, H5CK_KIND_FLOAT,    33, "F8_E5M2", NULL,             NO,  19,  5,  2,   15, false},
};
/* clang-format on */

enum { ROWS = sizeof table / sizeof *table };

const h5ck_dtype *h5ck_dtype_at(size_t i)
{
    return i < ROWS ? &table[i] : NULL;
}

const h5ck_dtype *h5ck_dtype_get(h5ckpt_dtype id)
{
    for (size_t i = 0; i < ROWS; i++)
        if (table[i].id == id)
            return &table[i];
    return NULL;
}

const h5ck_dtype *h5ck_dtype_from_paddle(uint64_t code)
{
    for (size_t i = 0; i < ROWS; i++)
        if ((uint64_t)table[i].paddle == code)
            return &table[i];
    return NULL;
}

const h5ck_dtype *h5ck_dtype_from_gguf(uint64_t code)
{
    for (size_t i = 0; i < ROWS; i++)
        if (table[i].gguf != NO && (uint64_t)table[i].gguf == code)
            return &table[i];
    return NULL;
}

const h5ck_dtype *h5ck_dtype_from_onnx(uint64_t code)
{
    for (size_t i = 0; i < ROWS; i++)
        if ((uint64_t)table[i].onnx == code)
            return &table[i];
    return NULL;
}

const h5ck_dtype *h5ck_dtype_from_safetensors(const char *name)
{
    for (size_t i = 0; i < ROWS; i++)
        if (table[i].safetensors && strcmp(table[i].safetensors, name) == 0)
            return &table[i];
    return NULL;
}

const h5ck_dtype *h5ck_dtype_from_torch(const char *storage)
{
    for (size_t i = 0; i < ROWS; i++) {
        size_t n = table[i].torch ? strlen(table[i].torch) : 0;
        if (n && strncmp(table[i].torch, storage, n) == 0 && strcmp(storage + n, "Storage") == 0)
            return &table[i];
    }
    return NULL;
}

const h5ck_dtype *h5ck_dtype_from_numpy(const char *typestr)
{
    if (*typestr && strchr("<>|=", *typestr))
        typestr++;
    for (size_t i = 0; i < ROWS; i++)
        if (table[i].numpy && strcmp(table[i].numpy, typestr) == 0)
            return &table[i];
    return NULL;
}

const h5ck_dtype *h5ck_dtype_from_name(const char *name)
{
    for (size_t i = 0; i < ROWS; i++)
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    return NULL;
}

const char *h5ckpt_dtype_name(h5ckpt_dtype dtype)
{
    const h5ck_dtype *row = h5ck_dtype_get(dtype);
    return row ? row->name : NULL;
}

size_t h5ckpt_dtype_size(h5ckpt_dtype dtype)
{
    const h5ck_dtype *row = h5ck_dtype_get(dtype);
    return row ? row->size : 0;
}
