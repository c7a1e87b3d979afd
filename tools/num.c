/*
 * num - see num.h.
 *
 * Sources: IEEE 754 for binary16/32/64; bfloat16 is the upper half of a binary32; the OCP 8-bit floating point paper
 * for float8: e5m2 follows IEEE's rules, e4m3fn has no infinities and one NaN (all bits but the sign set).
 */
#include "num.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct form {
    num_kind kind;
    unsigned exp_bits, man_bits; /* of a float narrower than float32, and 0 for all others */
    bool finite;                 /* has no infinities */
} form;

static form form_of(h5ckpt_dtype dtype)
{
    switch (dtype) {
    case H5CKPT_DTYPE_BOOL:
        return (form){.kind = NUM_BOOL};
    case H5CKPT_DTYPE_INT8:
    case H5CKPT_DTYPE_INT16:
    case H5CKPT_DTYPE_INT32:
    case H5CKPT_DTYPE_INT64:
        return (form){.kind = NUM_INT};
    case H5CKPT_DTYPE_UINT8:
    case H5CKPT_DTYPE_UINT16:
    case H5CKPT_DTYPE_UINT32:
    case H5CKPT_DTYPE_UINT64:
        return (form){.kind = NUM_UINT};
    case H5CKPT_DTYPE_FLOAT16:
        return (form){NUM_FLOAT, 5, 10, false};
    case H5CKPT_DTYPE_BFLOAT16:
        return (form){NUM_FLOAT, 8, 7, false};
    case H5CKPT_DTYPE_FLOAT8_E4M3FN:
        return (form){NUM_FLOAT, 4, 3, true};
    case H5CKPT_DTYPE_FLOAT8_E5M2:
        return (form){NUM_FLOAT, 5, 2, false};
    case H5CKPT_DTYPE_FLOAT32:
    case H5CKPT_DTYPE_FLOAT64:
        return (form){.kind = NUM_FLOAT};
    case H5CKPT_DTYPE_COMPLEX64:
    case H5CKPT_DTYPE_COMPLEX128:
        return (form){.kind = NUM_COMPLEX};
    case H5CKPT_DTYPE_NONE:
        break;
    }
    return (form){.kind = NUM_NONE};
}

num_kind num_kind_of(h5ckpt_dtype dtype)
{
    return form_of(dtype).kind;
}

/* ---- Bytes to numbers ---- */

static uint64_t little_endian(const unsigned char *p, size_t bytes)
{
    uint64_t v = 0;
    for (size_t i = 0; i < bytes; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

static double float32_at(const unsigned char *p)
{
    uint32_t bits = (uint32_t)little_endian(p, 4);
    float v;
    memcpy(&v, &bits, sizeof v);
    return (double)v;
}

static double float64_at(const unsigned char *p)
{
    uint64_t bits = little_endian(p, 8);
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static int bias_of(const form *f)
{
    return (1 << (f->exp_bits - 1)) - 1;
}

static double narrow_float(const form *f, uint64_t bits)
{
    unsigned exp_max = (1u << f->exp_bits) - 1, man_max = (1u << f->man_bits) - 1;
    unsigned man = (unsigned)bits & man_max, exp = (unsigned)(bits >> f->man_bits) & exp_max;
    bool negative = bits >> (f->man_bits + f->exp_bits) & 1;
    double v;
    if (f->finite ? exp == exp_max && man == man_max : exp == exp_max && man != 0)
        v = (double)NAN;
    else if (!f->finite && exp == exp_max)
        v = (double)INFINITY;
    else if (exp == 0)
        v = ldexp(man, 1 - bias_of(f) - (int)f->man_bits);
    else
        v = ldexp(man + man_max + 1, (int)exp - bias_of(f) - (int)f->man_bits);
    return negative ? -v : v;
}

int64_t num_integer(h5ckpt_dtype dtype, const void *element)
{
    size_t size = h5ckpt_dtype_size(dtype);
    uint64_t v = little_endian(element, size);
    if (num_kind_of(dtype) == NUM_BOOL)
        return v != 0;
    if (num_kind_of(dtype) == NUM_INT && size < 8 && v >> (8 * size - 1))
        v |= ~(uint64_t)0 << (8 * size);
    return (int64_t)v;
}

static double part_at(h5ckpt_dtype dtype, const unsigned char *p)
{
    return dtype == H5CKPT_DTYPE_COMPLEX64 ? float32_at(p) : float64_at(p);
}

void num_doubles(h5ckpt_dtype dtype, const void *data, size_t n, double *out)
{
    const unsigned char *p = data;
    size_t size = h5ckpt_dtype_size(dtype);
    form f = form_of(dtype);
    if (dtype == H5CKPT_DTYPE_FLOAT32)
        for (size_t i = 0; i < n; i++)
            out[i] = float32_at(p + 4 * i);
    else if (dtype == H5CKPT_DTYPE_FLOAT64)
        for (size_t i = 0; i < n; i++)
            out[i] = float64_at(p + 8 * i);
    else if (f.kind == NUM_COMPLEX)
        for (size_t i = 0; i < n; i++)
            out[i] = hypot(part_at(dtype, p + size * i), part_at(dtype, p + size * i + size / 2));
    else if (f.kind == NUM_FLOAT)
        for (size_t i = 0; i < n; i++)
            out[i] = narrow_float(&f, little_endian(p + size * i, size));
    else if (f.kind == NUM_UINT)
        for (size_t i = 0; i < n; i++)
            out[i] = (double)little_endian(p + size * i, size);
    else
        for (size_t i = 0; i < n; i++)
            out[i] = (double)num_integer(dtype, p + size * i);
}

/* ---- Numbers to text ---- */

/* True where the decimal `text` reads back as `x`: as a double, or as a float32. */
static bool reads_back(bool wide, double x, const char *text)
{
    return wide ? strtod(text, NULL) == x : (double)strtof(text, NULL) == x;
}

/* "-1.25e-03" as Python writes it. */
static void as_python(const char *scientific, char text[NUM_TEXT])
{
    const char *p = scientific;
    char digits[32];
    int count = 0;
    char *t = text;
    if (*p == '-')
        *t++ = *p++;
    for (; *p != 'e'; p++)
        if (*p != '.')
            digits[count++] = *p;
    int exp = atoi(p + 1);
    while (count > 1 && digits[count - 1] == '0')
        count--;
    if (exp < -4 || exp >= 16) {
        *t++ = digits[0];
        if (count > 1) {
            *t++ = '.';
            memcpy(t, digits + 1, (size_t)count - 1);
            t += count - 1;
        }
        sprintf(t, "e%c%02d", exp < 0 ? '-' : '+', abs(exp));
        return;
    }
    for (int place = exp < 0 ? 0 : exp; place >= 0 || place > exp - count; place--) {
        int i = exp - place; /* which digit stands at 10^place */
        if (place == -1)
            *t++ = '.';
        *t++ = i >= 0 && i < count ? digits[i] : '0';
    }
    *t = 0;
    if (!strchr(text, '.'))
        strcpy(t, ".0");
}

void num_float_text(h5ckpt_dtype dtype, double x, num_style style, char text[NUM_TEXT])
{
    if (isnan(x)) {
        strcpy(text, style == NUM_JSON ? "\"NaN\"" : "nan");
        return;
    }
    if (isinf(x)) {
        strcpy(text, style == NUM_JSON ? (x < 0 ? "\"-Infinity\"" : "\"Infinity\"") : (x < 0 ? "-inf" : "inf"));
        return;
    }
    /* Any decimal of 15 digits survives a double, of 6 a float: where fewer do, 15 or 6 end in zeros. */
    bool wide = dtype == H5CKPT_DTYPE_FLOAT64;
    double least_normal = wide ? DBL_MIN : (double)FLT_MIN;
    bool usual = fabs(x) >= least_normal;
    char scientific[48];
    for (int precision = usual ? (wide ? 15 : 6) : 1; precision <= 17; precision++) {
        snprintf(scientific, sizeof scientific, "%.*e", precision - 1, x);
        if (reads_back(wide, x, scientific))
            break;
    }
    as_python(scientific, text);
}

void num_double_text(double value, num_style style, char text[NUM_TEXT])
{
    num_float_text(H5CKPT_DTYPE_FLOAT64, value, style, text);
}

void num_rate_text(double rate, num_style style, char text[NUM_TEXT])
{
    bool narrow = fabs(rate) <= (double)FLT_MAX && (double)(float)rate == rate;
    num_float_text(narrow ? H5CKPT_DTYPE_FLOAT32 : H5CKPT_DTYPE_FLOAT64, rate, style, text);
}

static void complex_text(h5ckpt_dtype dtype, const unsigned char *p, num_style style, char text[NUM_TEXT])
{
    char re[NUM_TEXT], im[NUM_TEXT];
    h5ckpt_dtype part = dtype == H5CKPT_DTYPE_COMPLEX64 ? H5CKPT_DTYPE_FLOAT32 : H5CKPT_DTYPE_FLOAT64;
    num_float_text(part, part_at(dtype, p), style, re);
    num_float_text(part, part_at(dtype, p + h5ckpt_dtype_size(part)), style, im);
    const char *format = style == NUM_JSON ? "[%.30s, %.30s]" : im[0] == '-' ? "%.30s%.30sj" : "%.30s+%.30sj";
    snprintf(text, NUM_TEXT, format, re, im);
}

void num_text(h5ckpt_dtype dtype, const void *element, num_style style, char text[NUM_TEXT])
{
    double x;
    switch (num_kind_of(dtype)) {
    case NUM_BOOL:
        strcpy(text, num_integer(dtype, element) ? (style == NUM_JSON ? "true" : "True")
                                                 : (style == NUM_JSON ? "false" : "False"));
        return;
    case NUM_INT:
        snprintf(text, NUM_TEXT, "%" PRId64, num_integer(dtype, element));
        return;
    case NUM_UINT:
        snprintf(text, NUM_TEXT, "%" PRIu64, (uint64_t)num_integer(dtype, element));
        return;
    case NUM_FLOAT:
        num_doubles(dtype, element, 1, &x);
        num_float_text(dtype, x, style, text);
        return;
    case NUM_COMPLEX:
        complex_text(dtype, element, style, text);
        return;
    case NUM_NONE:
        break;
    }
    strcpy(text, style == NUM_JSON ? "null" : "?");
}
