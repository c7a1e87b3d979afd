/*
 * test_cast.c - casts between floats: the loops against the exact way, bit for bit, and what becomes of numbers that
 * are too large. Casts of other types are test_schema.c's, where rules do them.
 */
#include "move/cast.h"

#include "base/le.h"
#include "test.h"

#include <fenv.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const h5ckpt_dtype floats[] = {H5CKPT_DTYPE_FLOAT16, H5CKPT_DTYPE_BFLOAT16, H5CKPT_DTYPE_FLOAT32,
                                      H5CKPT_DTYPE_FLOAT64};
enum { FLOATS = sizeof floats / sizeof *floats };

/* Casts `count` patterns both ways, in runs, at odd addresses; the first that differs is told. The exact way stops at
 * what overflows, which must be an infinity then. */
static void compare(const h5ck_dtype *from, const h5ck_dtype *to, const uint64_t *patterns, size_t count)
{
    unsigned char *in = calloc(count + 1, from->size), *out = malloc(count * to->size + 1), one[8];
    uint64_t over = 0, top = (((uint64_t)1 << to->exp_bits) - 1) << to->man_bits;
    size_t wrong = 0;
    for (size_t i = 0; i < count; i++)
        h5ck_le_put(in + 1 + i * from->size, patterns[i], (unsigned)from->size);
    uint64_t counted = h5ck_cast_float(from, in + 1, to, out + 1, count);
    for (size_t i = 0; i < count; i++) {
        uint64_t expected, found = h5ck_le_get(out + 1 + i * to->size, (unsigned)to->size);
        bool fits = h5ck_cast_exact(from, in + 1 + i * from->size, to, one, 1) == 1;
        uint64_t sign = patterns[i] >> (8 * from->size - 1) & 1;
        expected = fits ? h5ck_le_get(one, (unsigned)to->size) : top | sign << (8 * to->size - 1);
        over += !fits;
        if (expected != found && wrong++ == 0)
            printf("\n    %s %" PRIx64 " to %s: expected %" PRIx64 ", found %" PRIx64 "\n", from->name, patterns[i],
                   to->name, expected, found);
    }
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_EQUAL(counted, over);
    free(in);
    free(out);
}

static void compare_to_all(h5ckpt_dtype from, const uint64_t *patterns, size_t count)
{
    for (size_t t = 0; t < FLOATS; t++)
        if (floats[t] != from)
            compare(h5ck_dtype_get(from), h5ck_dtype_get(floats[t]), patterns, count);
}

static void every_half_is_cast_as_exactly_as_can_be(void)
{
    uint64_t *all = malloc(65536 * sizeof *all);
    for (size_t i = 0; i < 65536; i++)
        all[i] = i;
    compare_to_all(H5CKPT_DTYPE_FLOAT16, all, 65536);
    compare_to_all(H5CKPT_DTYPE_BFLOAT16, all, 65536);
    free(all);
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Around each half, and around the middle between two, where ties are: the pattern itself, and one to each side. */
static void numbers_at_every_edge_are_cast_as_exactly_as_can_be(void)
{
    enum { SIDES = 3, EACH = 2 * SIDES };
    static const h5ckpt_dtype shorts[] = {H5CKPT_DTYPE_FLOAT16, H5CKPT_DTYPE_BFLOAT16};
    static const h5ckpt_dtype longs[] = {H5CKPT_DTYPE_FLOAT32, H5CKPT_DTYPE_FLOAT64};
    uint64_t *edges = malloc(65536 * EACH * sizeof *edges);
    for (size_t s = 0; s < 2; s++)
        for (size_t l = 0; l < 2; l++) {
            const h5ck_dtype *from = h5ck_dtype_get(longs[l]), *to = h5ck_dtype_get(shorts[s]);
            size_t count = 0;
            for (unsigned half = 0; half < 65535; half++) {
                unsigned char in[4], out[16];
                h5ck_le_put(in, half, 2);
                h5ck_le_put(in + 2, half + 1, 2);
                h5ck_cast_exact(to, in, from, out, 2);
                uint64_t a = h5ck_le_get(out, (unsigned)from->size),
                         b = h5ck_le_get(out + from->size, (unsigned)from->size), middle = a + (b - a) / 2;
                for (unsigned side = 0; side < SIDES; side++) {
                    edges[count++] = a + side - 1;
                    edges[count++] = middle + side - 1;
                }
            }
            compare(from, to, edges, count);
        }
    free(edges);
}

/* Random patterns: half of them any, half of them near the exponents at which something changes. */
static void a_million_numbers_are_cast_as_exactly_as_can_be(void)
{
    enum { COUNT = 1000003 };
    uint64_t *patterns = malloc(COUNT * sizeof *patterns), state = 88172645463325252u;
    for (size_t i = 0; i < COUNT; i++)
        patterns[i] = next_random(&state) & 0xffffffff;
    for (size_t i = 0; i < COUNT; i += 2) /* float16's, from below its least to above its largest */
        patterns[i] = (patterns[i] & 0x807fffff) | (uint64_t)(100 + patterns[i + (i + 1 < COUNT)] % 46) << 23;
    compare_to_all(H5CKPT_DTYPE_FLOAT32, patterns, COUNT);
    for (size_t i = 0; i < COUNT; i++)
        patterns[i] = next_random(&state);
    for (size_t i = 0; i < COUNT; i += 2) /* float32's, the same */
        patterns[i] = (patterns[i] & 0x800fffffffffffff) | (uint64_t)(870 + patterns[i] % 284) << 52;
    for (size_t i = 1; i < COUNT; i += 6) /* ties of float32, and one beside */
        patterns[i] = (patterns[i] & 0xffffffffe0000000) | (0x10000000 + i % 3 - 1);
    compare_to_all(H5CKPT_DTYPE_FLOAT64, patterns, COUNT);
    free(patterns);
}

/* Runs of every length up to some more than a loop takes at once; what lies behind is not touched. */
static void every_length_is_cast_and_no_more(void)
{
    float in[700];
    unsigned char out[2 * 700];
    const h5ck_dtype *from = h5ck_dtype_get(H5CKPT_DTYPE_FLOAT32), *to = h5ck_dtype_get(H5CKPT_DTYPE_BFLOAT16);
    for (size_t i = 0; i < 700; i++)
        in[i] = (float)(i & 255); /* which bfloat16 has */
    for (size_t n = 0; n < 690; n++) {
        memset(out, 0xee, sizeof out);
        CU_ASSERT_EQUAL(h5ck_cast(from, in, to, out, n), n);
        CU_ASSERT_EQUAL(out[2 * n], 0xee);
        CU_ASSERT_TRUE(n == 0 || h5ck_le_get(out + 2 * (n - 1), 2) == h5ck_le_get((unsigned char *)&in[n - 1] + 2, 2));
    }
}

static void counts_what_becomes_an_infinity(void)
{
    const float in[] = {65504, 65519.996f, 65520, -65520, 1e30f, INFINITY, -INFINITY, NAN, -1, 0};
    static const unsigned out[] = {0x7bff, 0x7bff, 0x7c00, 0xfc00, 0x7c00, 0x7c00, 0xfc00, 0x7e00, 0xbc00, 0};
    unsigned char got[20];
    const h5ck_dtype *from = h5ck_dtype_get(H5CKPT_DTYPE_FLOAT32), *to = h5ck_dtype_get(H5CKPT_DTYPE_FLOAT16);
    CU_ASSERT_EQUAL(h5ck_cast_float(from, in, to, got, 10), 3);
    for (size_t i = 0; i < 10; i++)
        CU_ASSERT_EQUAL(h5ck_le_get(got + 2 * i, 2), out[i]);
    CU_ASSERT_EQUAL(h5ck_cast(from, in, to, got, 10), 2); /* who wants none is told where the first is */
}

/* float8_e4m3fn has no infinities: 448 is its largest number. */
static void saturates_where_there_are_no_infinities(void)
{
    const float in[] = {448, 464, 465, -1e9f, INFINITY, NAN};
    static const unsigned out[] = {0x7e, 0x7e, 0x7e, 0xfe, 0x7e, 0x7f};
    unsigned char got[6];
    CU_ASSERT_EQUAL(
        h5ck_cast_float(h5ck_dtype_get(H5CKPT_DTYPE_FLOAT32), in, h5ck_dtype_get(H5CKPT_DTYPE_FLOAT8_E4M3FN), got, 6),
        3);
    for (size_t i = 0; i < 6; i++)
        CU_ASSERT_EQUAL(got[i], out[i]);
}

/* A host may have set another rounding: the result stays. */
static void rounds_to_nearest_whatever_the_host_has_set(void)
{
#ifdef FE_UPWARD
    const double in = 1 + 0x1p-40;
    uint32_t out = 0;
    CU_ASSERT_EQUAL(fesetround(FE_UPWARD), 0);
    size_t done = h5ck_cast(h5ck_dtype_get(H5CKPT_DTYPE_FLOAT64), &in, h5ck_dtype_get(H5CKPT_DTYPE_FLOAT32), &out, 1);
    CU_ASSERT_EQUAL(fesetround(FE_TONEAREST), 0);
    CU_ASSERT_EQUAL(done, 1);
    CU_ASSERT_EQUAL(out, 0x3f800000);
#endif
}

int main(void)
{
    static const test_case cases[] = {
        {"every half is cast as exactly as can be", every_half_is_cast_as_exactly_as_can_be},
        {"numbers at every edge are cast as exactly as can be", numbers_at_every_edge_are_cast_as_exactly_as_can_be},
        {"a million numbers are cast as exactly as can be", a_million_numbers_are_cast_as_exactly_as_can_be},
        {"every length is cast, and no more", every_length_is_cast_and_no_more},
        {"counts what becomes an infinity", counts_what_becomes_an_infinity},
        {"saturates where there are no infinities", saturates_where_there_are_no_infinities},
        {"rounds to nearest whatever the host has set", rounds_to_nearest_whatever_the_host_has_set},
        {NULL, NULL}};
    return test_run("cast", cases);
}
