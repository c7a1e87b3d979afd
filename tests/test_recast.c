/* test_recast.c - convert's dtype and only: which tensors are cast, to what, and what is told of it. */
#include "test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 500000 };

static char notes[2000];

static void take_note(void *user, const char *line)
{
    (void)user;
    snprintf(notes + strlen(notes), sizeof notes - strlen(notes), "%s\n", line);
}

static h5ckpt_options options(h5ckpt_dtype dtype, const char *const *only)
{
    h5ckpt_options o = H5CKPT_OPTIONS_INIT;
    o.dtype = dtype;
    o.only = only;
    o.note = take_note;
    o.force = 1;
    o.no_sync = 1;
    notes[0] = 0;
    return o;
}

/* Writes a checkpoint: w, of which every 1000th is beyond float16; small, of the optimizer's a moment with one such; and
 * what is no float. */
static const char *source(void)
{
    static float w[N];
    static const float small[] = {1, NAN, INFINITY, -INFINITY, 65519, 3.14159265f}, moment[] = {1e9f, 2};
    static const int32_t index[] = {70000, -1};
    static const float complex_number[] = {70000, 1};
    static const unsigned char yes[] = {1, 0};
    const uint64_t n = N, six = 6, two = 2, one = 1;
    const char *path = test_tmp("source.h5");
    h5ckpt_error *err = NULL;
    h5ckpt_options o = options(H5CKPT_DTYPE_NONE, NULL);
    h5ckpt_state *s = h5ckpt_state_new();
    for (size_t i = 0; i < N; i++)
        w[i] = i % 1000 ? (float)i / N : 70000;
    const h5ckpt_tensor_info infos[] = {
        {.name = "w", .dtype = H5CKPT_DTYPE_FLOAT32, .rank = 1, .shape = &n},
        {.name = "small", .dtype = H5CKPT_DTYPE_FLOAT32, .rank = 1, .shape = &six},
        {.name = "index", .dtype = H5CKPT_DTYPE_INT32, .rank = 1, .shape = &two},
        {.name = "complex", .dtype = H5CKPT_DTYPE_COMPLEX64, .rank = 1, .shape = &one},
        {.name = "yes", .dtype = H5CKPT_DTYPE_BOOL, .rank = 1, .shape = &two},
        {.name = "w_moment", .dtype = H5CKPT_DTYPE_FLOAT32, .rank = 1, .shape = &two},
    };
    const void *const data[] = {w, small, index, complex_number, yes, moment};
    for (size_t i = 0; i < 6; i++)
        CU_ASSERT_EQUAL(h5ckpt_state_add_tensor(s, i == 5, &infos[i], data[i], &err), H5CKPT_OK);
    CU_ASSERT_EQUAL_FATAL(h5ckpt_state_write(s, path, &o, &err), H5CKPT_OK);
    test_expect_none(&err);
    h5ckpt_state_free(s);
    return path;
}

static h5ckpt_state *convert(const h5ckpt_options *o)
{
    h5ckpt_error *err = NULL;
    const char *from = source(), *to = test_tmp("target.h5");
    notes[0] = 0;
    CU_ASSERT_EQUAL(h5ckpt_convert(from, to, o, &err), H5CKPT_OK);
    test_expect_none(&err);
    h5ckpt_state *s = h5ckpt_state_open(to, NULL, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    return s;
}

static h5ckpt_dtype dtype_of(const h5ckpt_state *s, const char *name)
{
    const h5ckpt_tensor *t = h5ckpt_tensors_get(h5ckpt_state_parameters(s), name);
    if (!t)
        t = h5ckpt_tensors_get(h5ckpt_state_optimizer_state(s), name);
    CU_ASSERT_PTR_NOT_NULL_FATAL(t);
    return h5ckpt_tensor_get_info(t)->dtype;
}

static void parameters_of_floats_are_cast_and_nothing_else(void)
{
    static const unsigned char expected[] = {0, 0x3c, 0, 0x7e, 0, 0x7c, 0, 0xfc, 0xff, 0x7b, 0x48, 0x42};
    h5ckpt_options o = options(H5CKPT_DTYPE_FLOAT16, NULL);
    h5ckpt_state *s = convert(&o);
    CU_ASSERT_EQUAL(dtype_of(s, "w"), H5CKPT_DTYPE_FLOAT16);
    CU_ASSERT_EQUAL(dtype_of(s, "small"), H5CKPT_DTYPE_FLOAT16);
    CU_ASSERT_EQUAL(dtype_of(s, "index"), H5CKPT_DTYPE_INT32);
    CU_ASSERT_EQUAL(dtype_of(s, "complex"), H5CKPT_DTYPE_COMPLEX64);
    CU_ASSERT_EQUAL(dtype_of(s, "yes"), H5CKPT_DTYPE_BOOL);
    CU_ASSERT_EQUAL(dtype_of(s, "w_moment"), H5CKPT_DTYPE_FLOAT32);
    /* the order stays */
    CU_ASSERT_STRING_EQUAL(h5ckpt_tensor_get_info(h5ckpt_tensors_at(h5ckpt_state_parameters(s), 1))->name, "small");
    CU_ASSERT_EQUAL(
        memcmp(h5ckpt_tensor_data(h5ckpt_tensors_get(h5ckpt_state_parameters(s), "small"), NULL), expected, 12), 0);
    h5ckpt_state_free(s);
}

/* The same figure from one thread and from many, plain and in compressed chunks. */
static void tells_how_many_were_too_large(void)
{
    static const char line[] =
        "500 elements of 1 tensor were too large for float16, and became infinities; the first is in 'w'\n";
    for (int jobs = 1; jobs <= 4; jobs += 3)
        for (int compress = 0; compress < 2; compress++) {
            h5ckpt_options o = options(H5CKPT_DTYPE_FLOAT16, NULL);
            o.jobs = jobs;
            o.compress = compress ? H5CKPT_COMPRESS_GZIP : H5CKPT_COMPRESS_NONE;
            h5ckpt_state_free(convert(&o));
            CU_ASSERT_STRING_EQUAL(notes, line);
        }
    h5ckpt_options o = options(H5CKPT_DTYPE_BFLOAT16, NULL); /* which has the range */
    h5ckpt_state_free(convert(&o));
    CU_ASSERT_STRING_EQUAL(notes, "");
}

static void only_chooses_among_all_tensors(void)
{
    static const char *const only[] = {"*moment", "small", NULL}, *const none[] = {"x", "index", NULL};
    h5ckpt_options o = options(H5CKPT_DTYPE_FLOAT16, only);
    h5ckpt_state *s = convert(&o);
    CU_ASSERT_EQUAL(dtype_of(s, "w"), H5CKPT_DTYPE_FLOAT32);
    CU_ASSERT_EQUAL(dtype_of(s, "small"), H5CKPT_DTYPE_FLOAT16);
    CU_ASSERT_EQUAL(dtype_of(s, "w_moment"), H5CKPT_DTYPE_FLOAT16);
    CU_ASSERT_STRING_EQUAL(notes, "1 element of 1 tensor was too large for float16, and became an infinity; it is "
                                  "in 'w_moment'\n");
    h5ckpt_state_free(s);
    o = options(H5CKPT_DTYPE_FLOAT16, none);
    s = convert(&o);
    CU_ASSERT_EQUAL(dtype_of(s, "index"), H5CKPT_DTYPE_INT32);
    CU_ASSERT_STRING_EQUAL(notes, "nothing was cast to float16: no tensor of another float type matches\n");
    h5ckpt_state_free(s);
}

static void refuses_what_is_no_cast(void)
{
    static const char *const only[] = {"w", NULL};
    static const h5ckpt_dtype wrong[] = {H5CKPT_DTYPE_INT8, H5CKPT_DTYPE_COMPLEX64, H5CKPT_DTYPE_FLOAT8_E4M3FN,
                                         (h5ckpt_dtype)99};
    h5ckpt_error *err = NULL;
    const char *from = source(), *to = test_tmp("refused.h5");
    h5ckpt_options o = options(H5CKPT_DTYPE_NONE, only);
    CU_ASSERT_EQUAL(h5ckpt_convert(from, to, &o, &err), H5CKPT_USAGE);
    test_expect_error(&err, H5CKPT_USAGE, "expected a dtype beside 'only', found none");
    for (size_t i = 0; i < 4; i++) {
        o = options(wrong[i], NULL);
        CU_ASSERT_EQUAL(h5ckpt_convert(from, to, &o, &err), H5CKPT_USAGE);
        test_expect_error(&err, H5CKPT_USAGE, "expected float16, bfloat16, float32 or float64 to cast to, found ");
    }
    CU_ASSERT_FALSE(test_exists(to));
}

/* What is read is held against its digest, though other elements are written. */
static void damage_is_found_on_the_way(void)
{
    size_t len, at = 0;
    h5ckpt_error *err = NULL;
    const char *from = source(), *to = test_tmp("damaged.h5");
    const float pi = 3.14159265f;
    unsigned char *data = test_read(from, &len);
    while (at + 4 < len && memcmp(data + at, &pi, 4) != 0)
        at++;
    data[at] ^= 1;
    test_write(from, data, len);
    free(data);
    const h5ckpt_options o = options(H5CKPT_DTYPE_FLOAT16, NULL);
    CU_ASSERT_EQUAL(h5ckpt_convert(from, to, &o, &err), H5CKPT_INVALID);
    CU_ASSERT_TRUE(err && err->tensor && strcmp(err->tensor, "small") == 0);
    test_expect_error(&err, H5CKPT_INVALID, "expected elements of the digest xxh3-128:");
    CU_ASSERT_FALSE(test_exists(to));
}

int main(void)
{
    static const test_case cases[] = {
        {"parameters of floats are cast, and nothing else", parameters_of_floats_are_cast_and_nothing_else},
        {"tells how many were too large", tells_how_many_were_too_large},
        {"only chooses among all tensors", only_chooses_among_all_tensors},
        {"refuses what is no cast", refuses_what_is_no_cast},
        {"damage is found on the way", damage_is_found_on_the_way},
        {NULL, NULL}};
    return test_run("recast", cases);
}
