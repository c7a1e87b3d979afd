/*
 * cast.c - by way of exact numbers: an element is taken apart into sign, 64-bit mantissa and power of two, which holds
 * every element type exactly, and put together again with one rounding, to nearest, ties to even. So there is no pair
 * of types with a path, or a double rounding, of its own. The layouts are those of the dtype table.
 *
 * Only floats of common sizes have a second way, for speed: loops that compilers vectorise, with the same bits for every
 * pattern (tests/test_cast.c holds the two against each other). They use the machine's float unit, so they are left
 * where that does not round to nearest, or takes small numbers for 0, as a host may have set it.
 */
#include "move/cast.h"

#include "base/le.h"

#include <float.h>
#include <string.h>

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

/* ---- One element ---- */

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

/* ---- The second way: floats by loops ---- */

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ && FLT_EVAL_METHOD == 0
#define H5CK_CAST_LOOPS 1

#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#endif

enum { LOOP = 256 }; /* elements: a count that is known is what lets compilers vectorise without being asked to */

static inline float as_float(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline uint32_t float_bits(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

/* `a` or `b`, without a branch. */
static inline uint32_t choose(bool first, uint32_t a, uint32_t b)
{
    uint32_t mask = 0u - first;
    return (a & mask) | (b & ~mask);
}

/* All NaNs of a sign are one, as by way of exact numbers. */
static inline uint32_t one_nan(uint32_t bits)
{
    return choose((bits & 0x7fffffff) > 0x7f800000, (bits & 0x80000000) | 0x7fc00000, bits);
}

/* To float32. A float64 is rounded to odd: towards 0, and the last bit then says whether anything was lost; so the
 * rounding to a shorter type that follows is the only one. */

static inline uint32_t from_float16(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, rest = half & 0x7fff;
    uint32_t normal = (rest << 13) + (112u << 23), small = float_bits((float)(int32_t)rest * 0x1p-24f);
    uint32_t special = 0x7f800000 | (uint32_t)(rest > 0x7c00) << 22;
    return sign | choose(rest < 0x400, small, choose(rest < 0x7c00, normal, special));
}

static inline uint32_t from_bfloat16(uint16_t half)
{
    return one_nan((uint32_t)half << 16);
}

static inline uint32_t from_float32(uint32_t bits)
{
    return one_nan(bits);
}

static inline uint32_t odd_from_float64(double d)
{
    float f = (float)d;
    double back = (double)f;
    uint32_t bits = float_bits(f), beyond = (d < 0 ? -back : back) > (d < 0 ? -d : d), lost = back < d || back > d;
    return one_nan((bits - beyond) | lost);
}

/* From float32; *over is set where a number became an infinity. */

static inline uint16_t to_bfloat16(uint32_t bits, uint32_t *over)
{
    uint32_t rest = bits & 0x7fffffff, rounded = (rest + 0x7fff + ((rest >> 16) & 1)) >> 16;
    *over = rest < 0x7f800000 && rounded >= 0x7f80;
    return (uint16_t)((bits >> 16 & 0x8000) | choose(rest > 0x7f800000, 0x7fc0, rounded));
}

/* Below float16's normal numbers, adding 1/2 moves its last bit to float32's last bit, rounded by the float unit. */
static inline uint16_t to_float16(uint32_t bits, uint32_t *over)
{
    uint32_t rest = bits & 0x7fffffff;
    uint32_t normal = (rest - (112u << 23) + 0xfff + ((rest >> 13) & 1)) >> 13;
    uint32_t small = float_bits(as_float(choose(rest < 0x38800000, rest, 0)) + 0.5f) - 0x3f000000;
    uint32_t number = choose(rest < 0x38800000, small, choose(rest < 0x477ff000, normal, 0x7c00));
    *over = rest < 0x7f800000 && rest >= 0x477ff000;
    return (uint16_t)((bits >> 16 & 0x8000) | choose(rest > 0x7f800000, 0x7e00, number));
}

static inline uint32_t to_float32(uint32_t bits, uint32_t *over)
{
    *over = 0;
    return bits;
}

static inline uint64_t to_float64(uint32_t bits, uint32_t *over)
{
    double d = (double)as_float(bits);
    uint64_t wide;
    memcpy(&wide, &d, sizeof wide);
    *over = 0;
    return wide;
}

/* float64 to float32 by itself, rounded to nearest at once. */
static inline uint32_t nearest_from_float64(double d)
{
    return one_nan(float_bits((float)d));
}

static inline uint32_t counted_from_float64(double d, uint32_t *over)
{
    uint32_t bits = nearest_from_float64(d);
    *over = (bits & 0x7fffffff) == 0x7f800000 && d >= -DBL_MAX && d <= DBL_MAX;
    return bits;
}

/* Casts LOOP elements; the number of those that became infinities. */
typedef uint32_t loop(const unsigned char *restrict in, unsigned char *restrict out);

#define CAST_LOOP(name, from_type, to_type, step)                                                                      \
    static uint32_t name(const unsigned char *restrict in, unsigned char *restrict out)                                \
    {                                                                                                                  \
        uint32_t sum = 0;                                                                                              \
        for (size_t i = 0; i < LOOP; i++) {                                                                            \
            uint32_t over;                                                                                             \
            from_type x;                                                                                               \
            memcpy(&x, in + i * sizeof x, sizeof x);                                                                   \
            to_type y = step;                                                                                          \
            memcpy(out + i * sizeof y, &y, sizeof y);                                                                  \
            sum += over;                                                                                               \
        }                                                                                                              \
        return sum;                                                                                                    \
    }

CAST_LOOP(float16_bfloat16, uint16_t, uint16_t, to_bfloat16(from_float16(x), &over))
CAST_LOOP(float16_float32, uint16_t, uint32_t, to_float32(from_float16(x), &over))
CAST_LOOP(float16_float64, uint16_t, uint64_t, to_float64(from_float16(x), &over))
CAST_LOOP(bfloat16_float16, uint16_t, uint16_t, to_float16(from_bfloat16(x), &over))
CAST_LOOP(bfloat16_float32, uint16_t, uint32_t, to_float32(from_bfloat16(x), &over))
CAST_LOOP(bfloat16_float64, uint16_t, uint64_t, to_float64(from_bfloat16(x), &over))
CAST_LOOP(float32_float16, uint32_t, uint16_t, to_float16(x, &over))
CAST_LOOP(float32_bfloat16, uint32_t, uint16_t, to_bfloat16(x, &over))
CAST_LOOP(float32_float64, uint32_t, uint64_t, to_float64(from_float32(x), &over))
CAST_LOOP(float64_float16, double, uint16_t, to_float16(odd_from_float64(x), &over))
CAST_LOOP(float64_bfloat16, double, uint16_t, to_bfloat16(odd_from_float64(x), &over))
CAST_LOOP(float64_float32, double, uint32_t, counted_from_float64(x, &over))

static const struct {
    h5ckpt_dtype from, to;
    loop *run;
} loops[] = {
    {H5CKPT_DTYPE_FLOAT16, H5CKPT_DTYPE_BFLOAT16, float16_bfloat16},
    {H5CKPT_DTYPE_FLOAT16, H5CKPT_DTYPE_FLOAT32, float16_float32},
    {H5CKPT_DTYPE_FLOAT16, H5CKPT_DTYPE_FLOAT64, float16_float64},
    {H5CKPT_DTYPE_BFLOAT16, H5CKPT_DTYPE_FLOAT16, bfloat16_float16},
    {H5CKPT_DTYPE_BFLOAT16, H5CKPT_DTYPE_FLOAT32, bfloat16_float32},
    {H5CKPT_DTYPE_BFLOAT16, H5CKPT_DTYPE_FLOAT64, bfloat16_float64},
    {H5CKPT_DTYPE_FLOAT32, H5CKPT_DTYPE_FLOAT16, float32_float16},
    {H5CKPT_DTYPE_FLOAT32, H5CKPT_DTYPE_BFLOAT16, float32_bfloat16},
    {H5CKPT_DTYPE_FLOAT32, H5CKPT_DTYPE_FLOAT64, float32_float64},
    {H5CKPT_DTYPE_FLOAT64, H5CKPT_DTYPE_FLOAT16, float64_float16},
    {H5CKPT_DTYPE_FLOAT64, H5CKPT_DTYPE_BFLOAT16, float64_bfloat16},
    {H5CKPT_DTYPE_FLOAT64, H5CKPT_DTYPE_FLOAT32, float64_float32},
};

/* Rounds to nearest, in sums and in conversions (an emulator may keep them apart), and knows numbers below the normal
 * ones. */
static bool float_unit_is_usual(void)
{
    volatile float one = 1, half_step = 0x1p-24f, most_of_step = 0x1.8p-24f, least = 0x1p-149f;
    volatile double above = 1 + 0x1p-40, below = 1 + 0x1p-23 - 0x1p-40, under = -1 - 0x1p-40, small = 0x1p-140;
    volatile float down = one + half_step, up = one + most_of_step, minus = -one - half_step;
    volatile float cast_down = (float)above, cast_up = (float)below, cast_minus = (float)under,
                   cast_small = (float)small;
    volatile double wide = (double)least;
    return down == 1 && up > 1 && minus == -1 && cast_down == 1 && cast_up > 1 && cast_minus == -1 && cast_small > 0 &&
           wide > 0;
}

static loop *find_loop(const h5ck_dtype *from, const h5ck_dtype *to)
{
    for (size_t i = 0; i < sizeof loops / sizeof *loops; i++)
        if (loops[i].from == from->id && loops[i].to == to->id)
            return float_unit_is_usual() ? loops[i].run : NULL;
    return NULL;
}
#endif

/* ---- Many ---- */

size_t h5ck_cast_exact(const h5ck_dtype *from, const void *in, const h5ck_dtype *to, void *out, size_t count)
{
    const unsigned char *source = in;
    unsigned char *target = out;
    size_t i = 0;
    while (i < count && cast_one(from, source + i * from->size, to, target + i * to->size))
        i++;
    return i;
}

#ifdef H5CK_CAST_LOOPS
/* False where there is no loop for the two types. What is left over at the end goes through it among zeros. */
static bool cast_by_loop(const h5ck_dtype *from, const unsigned char *in, const h5ck_dtype *to, unsigned char *out,
                         size_t count, uint64_t *over)
{
    unsigned char rest[LOOP * sizeof(double)] = {0}, rest_cast[LOOP * sizeof(double)];
    loop *run = find_loop(from, to);
    if (!run)
        return false;
    for (; count >= LOOP; count -= LOOP) {
        *over += run(in, out);
        in += LOOP * from->size;
        out += LOOP * to->size;
    }
    memcpy(rest, in, count * from->size);
    *over += run(rest, rest_cast);
    memcpy(out, rest_cast, count * to->size);
    return true;
}
#else
static bool cast_by_loop(const h5ck_dtype *from, const unsigned char *in, const h5ck_dtype *to, unsigned char *out,
                         size_t count, uint64_t *over)
{
    (void)from, (void)in, (void)to, (void)out, (void)count, (void)over;
    return false;
}
#endif

size_t h5ck_cast(const h5ck_dtype *from, const void *in, const h5ck_dtype *to, void *out, size_t count)
{
    uint64_t over = 0;
    return cast_by_loop(from, in, to, out, count, &over) && over == 0 ? count
                                                                      : h5ck_cast_exact(from, in, to, out, count);
}

/* What stands for a number that is too large: an infinity of its sign, or the largest number where there is none. */
static void put_overflow(const h5ck_dtype *from, const unsigned char *in, const h5ck_dtype *to, unsigned char *out)
{
    bool negative = take(from, in).negative;
    uint64_t sign = (uint64_t)negative << (to->man_bits + to->exp_bits);
    uint64_t infinity = (((uint64_t)1 << to->exp_bits) - 1) << to->man_bits;
    uint64_t ones = ((uint64_t)1 << to->man_bits) - 1;
    h5ck_le_put(out, sign | (to->finite ? (infinity | ones) - 1 : infinity), (unsigned)to->size);
}

uint64_t h5ck_cast_float(const h5ck_dtype *from, const void *in, const h5ck_dtype *to, void *out, size_t count)
{
    const unsigned char *source = in;
    unsigned char *target = out;
    uint64_t over = 0;
    if (cast_by_loop(from, source, to, target, count, &over))
        return over;
    for (size_t at = 0;
         (at += h5ck_cast_exact(from, source + at * from->size, to, target + at * to->size, count - at)) < count;
         at++, over++)
        put_overflow(from, source + at * from->size, to, target + at * to->size);
    return over;
}
