/*
 * dtype - THE table of element types. Whoever needs to know anything of a dtype asks here: its NumPy name, its size,
 * its code in Paddle's VarType, its layout as a number. One test walks the table.
 *
 * Sources: Paddle's framework.proto (VarType.Type), NumPy's and ml_dtypes' names, IEEE 754, the OCP 8-bit float paper;
 * safetensors' format description, PyTorch's storage classes, GGUF's ggml_type, ONNX's onnx.proto (TensorProto.DataType).
 */
#ifndef H5CK_MODEL_DTYPE_H
#define H5CK_MODEL_DTYPE_H

#include <h5ckpt.h>

#include <stdbool.h>

typedef enum h5ck_kind { H5CK_KIND_BOOL, H5CK_KIND_INT, H5CK_KIND_UINT, H5CK_KIND_FLOAT, H5CK_KIND_COMPLEX } h5ck_kind;

typedef struct h5ck_dtype {
    h5ckpt_dtype id;
    const char *name;  /* NumPy's or ml_dtypes' name */
    const char *numpy; /* NumPy's type string without byte order ("f4", "b1"), or NULL where NumPy has none */
    size_t size;       /* bytes an element */
    h5ck_kind kind;
    int paddle; /* VarType.Type */
    /* in other frameworks' files; NULL or NONE where they have none */
    const char *safetensors; /* "F32" */
    const char *torch;       /* a typed storage's class without "Storage": "Float" */
    int gguf;                /* ggml_type */
    int onnx;                /* TensorProto.DataType */
    /* of a float, or of each part of a complex number: exponent bits, mantissa bits, bias */
    unsigned exp_bits, man_bits;
    int bias;
    bool finite; /* has no infinities (float8_e4m3fn) */
} h5ck_dtype;

enum { H5CK_DTYPE_NO_CODE = -1 };

/* The row of a dtype, or NULL. */
const h5ck_dtype *h5ck_dtype_get(h5ckpt_dtype id);
/* By Paddle's code, by NumPy's type string ("<f4", "|b1", "f4"), by name; NULL where there is none. */
const h5ck_dtype *h5ck_dtype_from_paddle(uint64_t code);
const h5ck_dtype *h5ck_dtype_from_numpy(const char *typestr);
/* By the columns of other frameworks. */
const h5ck_dtype *h5ck_dtype_from_safetensors(const char *name);
const h5ck_dtype *h5ck_dtype_from_torch(const char *storage); /* "FloatStorage" */
const h5ck_dtype *h5ck_dtype_from_gguf(uint64_t code);
const h5ck_dtype *h5ck_dtype_from_onnx(uint64_t code);
const h5ck_dtype *h5ck_dtype_from_name(const char *name);
/* The i-th row; NULL past the last. */
const h5ck_dtype *h5ck_dtype_at(size_t i);

#endif
