/*
 * cast.c - by way of exact numbers: an element is taken apart into sign, 64-bit mantissa and power of two, which holds
 * every element type exactly, and put together again with one rounding, to nearest, ties to even. So there is no pair
 * of types with a path, or a double rounding, of its own. The layouts are those of the dtype table.
 */
#include "move/cast.h"

#include "base/le.h"

typedef enum exact_kind { FINITE, INFINITE, NOT_A_NUMBER } exact_kind;

/* mantissa * 2^exponent */
typedef struct exact {
    exact_kind kind;
    bool negative;
    uint64_t mantissa;
    int exponent;
} exact;

static int bit_length(uint64_t v)
{
    int n = 0;
    for (int step = 32; step > 0; step /= 2)
        if (v >> step) {
            v >>= step;
            n += step;
        }
    return n + (v != 0);
}

/* v / 2^shift, to nearest, ties to even. */
static uint64_t shift_rounded(uint64_t v, int shift)
{
    if (shift <= 0)
        return v << -shift;
    if (shift > 64)
        return 0;
    uint64_t quotient = shift < 64 ? v >> shift : 0, half = UINT64_C(1) << (shift - 1);
    uint64_t rest = shift < 64 ? v & (((half - 1) << 1) | 1) : v;
    return quotient + (rest > half || (rest == half && (quotient & 1)));
}

/* ---- Taking apart ---- */

static exact from_int(uint64_t bits, size_t size, bool has_sign)
{
    exact x = {.mantissa = bits};
    if (has_sign && bits >> (8 * size - 1)) {
        x.negative = true;
        x.mantissa = (size < 8 ? (UINT64_C(1) << (8 * size)) : 0) - bits;
    }
    return x;
}

static exact from_float(const h5ck_dtype *t, uint64_t bits)
{
    int exp_max = (1 << t->exp_bits) - 1, exp = (int)(bits >> t->man_bits) & exp_max;
    uint64_t ones = (UINT64_C(1) << t->man_bits) - 1, man = bits & ones;
    exact x = {.negative = (bits >> (t->man_bits + t->exp_bits)) & 1, .mantissa = man};
    if (exp == exp_max && (!t->finite || man == ones)) {
        x.kind = man ? NOT_A_NUMBER : INFINITE;
        return x;
    }
    x.exponent = (exp ? exp : 1) - t->bias - (int)t->man_bits;
    x.mantissa |= exp ? ones + 1 : 0;
    return x;
}

static exact take(const h5ck_dtype *t, const unsigned char *p)
{
    switch (t->kind) {
    case H5CK_KIND_BOOL:
        return (exact){.mantissa = *p != 0};
    case H5CK_KIND_INT:
    case H5CK_KIND_UINT:
        return from_int(h5ck_le_get(p, (unsigned)t->size), t->size, t->kind == H5CK_KIND_INT);
    case H5CK_KIND_FLOAT:
        return from_float(t, h5ck_le_get(p, (unsigned)t->size));
    case H5CK_KIND_COMPLEX:
        return from_float(t, h5ck_le_get(p, (unsigned)t->size / 2));
    }
    return (exact){.kind = NOT_A_NUMBER};
}

/* ---- Putting together: false where the type cannot hold it ---- */

static bool to_int(const exact *x, size_t size, bool has_sign, uint64_t *bits)
{
    if (x->kind != FINITE)
        return false;
    if (x->exponent > 0 && bit_length(x->mantissa) + x->exponent > 64)
        return false;
    uint64_t v = shift_rounded(x->mantissa, -x->exponent);
    unsigned width = (unsigned)(8 * size) - has_sign;
    uint64_t most = width == 64 ? UINT64_MAX : (UINT64_C(1) << width) - 1;
    if (v > (x->negative ? (has_sign ? most + 1 : 0) : most))
        return false;
    *bits = x->negative ? 0 - v : v;
    return true;
}

static bool to_float(const exact *x, const h5ck_dtype *t, uint64_t *bits)
{
    uint64_t sign = (uint64_t)x->negative << (t->man_bits + t->exp_bits);
    uint64_t ones = (UINT64_C(1) << t->man_bits) - 1;
    uint64_t top = (uint64_t)((1 << t->exp_bits) - 1) << t->man_bits;
    uint64_t limit = t->finite ? top | ones : top; /* the first pattern that is no number */
    if (x->kind == NOT_A_NUMBER) {
        *bits = sign | top | (t->finite ? ones : UINT64_C(1) << (t->man_bits - 1));
        return true;
    }
    if (x->kind == INFINITE) {
        *bits = sign | top;
        return !t->finite;
    }
    if (x->mantissa == 0) {
        *bits = sign;
        return true;
    }
    /* `lowest` is the exponent of the result's last bit: below the normal numbers it does not go down further */
    int man = (int)t->man_bits, lowest = x->exponent + bit_length(x->mantissa) - 1 - man, floor_ = 1 - t->bias - man;
    if (lowest < floor_)
        lowest = floor_;
    if (lowest + man + t->bias >= 1 << t->exp_bits)
        return false;
    /* the leading bit of the quotient, and a carry out of rounding, both add into the exponent field */
    uint64_t v = ((uint64_t)(lowest - floor_) << man) + shift_rounded(x->mantissa, lowest - x->exponent);
    *bits = sign | v;
    return v < limit;
}

static bool put(const exact *x, const h5ck_dtype *t, unsigned char *p)
{
    uint64_t bits = 0;
    bool fits = true;
    unsigned size = (unsigned)t->size;
    switch (t->kind) {
    case H5CK_KIND_BOOL:
        bits = x->kind != FINITE || x->mantissa != 0;
        break;
    case H5CK_KIND_INT:
    case H5CK_KIND_UINT:
        fits = to_int(x, t->size, t->kind == H5CK_KIND_INT, &bits);
        break;
    case H5CK_KIND_COMPLEX:
        size /= 2;
        fits = to_float(x, t, &bits);
        break;
    case H5CK_KIND_FLOAT:
        fits = to_float(x, t, &bits);
        break;
    }
    h5ck_le_put(p, bits, size);
    return fits;
}

/* ---- */

bool h5ck_cast_exists(const h5ck_dtype *from, const h5ck_dtype *to)
{
    return from->kind != H5CK_KIND_COMPLEX || to->kind == H5CK_KIND_COMPLEX || to->kind == H5CK_KIND_BOOL;
}

/* One element: its real part, and where there is one its imaginary part. */
static bool cast_one(const h5ck_dtype *from, const unsigned char *in, const h5ck_dtype *to, unsigned char *out)
{
    exact real = take(from, in), imaginary = {.kind = FINITE};
    if (from->kind == H5CK_KIND_COMPLEX)
        imaginary = take(from, in + from->size / 2);
    if (to->kind == H5CK_KIND_BOOL && (imaginary.kind != FINITE || imaginary.mantissa))
        real = imaginary;
    bool fits = put(&real, to, out);
    return to->kind == H5CK_KIND_COMPLEX ? put(&imaginary, to, out + to->size / 2) && fits : fits;
}

size_t h5ck_cast(const h5ck_dtype *from, const void *in, const h5ck_dtype *to, void *out, size_t count)
{
    const unsigned char *source = in;
    unsigned char *target = out;
    size_t i = 0;
    while (i < count && cast_one(from, source + i * from->size, to, target + i * to->size))
        i++;
    return i;
}
