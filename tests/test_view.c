/* test_view.c - views: which elements they show, in which order and type, and what they refuse. */
#include "move/view.h"

#include "base/le.h"
#include "model/state.h"
#include "move/digest.h"
#include "move/move.h"
#include "move/overflow.h"
#include "test.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static h5ckpt_state *state;

/* A tensor of `count` elements that is in no dictionary. */
static h5ckpt_tensor *tensor(h5ckpt_dtype dtype, uint64_t count, const void *data, const char *digest)
{
    h5ckpt_tensor *t = NULL;
    if (!state)
        state = h5ckpt_state_new();
    const h5ckpt_tensor_info info = {.name = "source", .dtype = dtype, .rank = 1, .shape = &count};
    const h5ck_extent e = {.kind = H5CK_EXTENT_MEMORY, .memory = data};
    CU_ASSERT_EQUAL_FATAL(h5ck_state_make_tensor(state, &info, &e, digest, &t, NULL), 0);
    return t;
}

/* The same elements, but as a decoder, as compressed ones are: the bytes of `inner`. */
typedef struct hidden {
    h5ck_decoder decoder;
    const h5ckpt_tensor *inner;
} hidden;

static int read_hidden(const h5ck_decoder *self, uint64_t offset, void *buf, size_t n, h5ckpt_error **err)
{
    return h5ck_move_read(((const hidden *)self)->inner, offset, buf, n, err);
}

static h5ckpt_tensor *hide(h5ckpt_tensor *t, hidden *h)
{
    h5ckpt_tensor *out = NULL;
    *h = (hidden){{read_hidden, "hidden", 1 << 20}, t};
    const h5ck_extent e = {.kind = H5CK_EXTENT_DECODER, .decoder = &h->decoder};
    CU_ASSERT_EQUAL_FATAL(h5ck_state_make_tensor(state, &t->info, &e, t->digest, &out, NULL), 0);
    return out;
}

static void end(void)
{
    h5ckpt_state_free(state);
    state = NULL;
}

/* The view as a tensor, or NULL with *err. */
static h5ckpt_tensor *look(const h5ck_view *v, h5ckpt_error **err)
{
    h5ckpt_tensor *t = NULL;
    h5ck_extent e;
    h5ckpt_tensor_info info = {.name = "view", .rank = v->rank, .shape = v->shape};
    info.dtype = v->cast != H5CKPT_DTYPE_NONE ? v->cast : v->source->info.dtype;
    if (h5ck_view_make(&state->arena, v, &e, err) == 0)
        CU_ASSERT_EQUAL_FATAL(h5ck_state_make_tensor(state, &info, &e, NULL, &t, err), 0);
    return t;
}

/* Asserts the view's bytes: read at once, and in pieces of every small size. */
static void expect(const h5ck_view *v, const void *bytes, size_t n)
{
    h5ckpt_error *err = NULL;
    h5ckpt_tensor *t = look(v, &err);
    test_expect_none(&err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(t);
    CU_ASSERT_EQUAL_FATAL(t->info.nbytes, n);
    unsigned char *got = malloc(n + 1);
    for (size_t piece = 1; piece <= 17; piece++) {
        memset(got, 0xee, n + 1);
        for (size_t at = 0; at < n; at += piece)
            CU_ASSERT_EQUAL(h5ck_move_read(t, at, got + at, n - at < piece ? n - at : piece, &err), 0);
        CU_ASSERT_EQUAL(memcmp(got, bytes, n), 0);
        CU_ASSERT_EQUAL(got[n], 0xee);
    }
    CU_ASSERT_EQUAL(h5ck_move_read(t, 0, got, n, &err), 0);
    CU_ASSERT_EQUAL(memcmp(got, bytes, n), 0);
    test_expect_none(&err);
    free(got);
}

static void refuse(const h5ck_view *v, h5ckpt_code code, const char *part)
{
    h5ckpt_error *err = NULL;
    CU_ASSERT_PTR_NULL(look(v, &err));
    test_expect_error(&err, code, part);
}

static const unsigned char bytes12[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};

/* ---- Which elements ---- */

static void a_slice_without_gaps_is_the_source_moved_on(void)
{
    const uint64_t shape[] = {2, 3};
    h5ck_view v = {.source = tensor(H5CKPT_DTYPE_UINT8, 12, bytes12, NULL), .first = 4, .rank = 2, .shape = shape};
    h5ck_extent e;
    expect(&v, bytes12 + 4, 6);
    CU_ASSERT_EQUAL(h5ck_view_make(&state->arena, &v, &e, NULL), 0);
    CU_ASSERT_EQUAL(e.kind, H5CK_EXTENT_MEMORY);
    CU_ASSERT_PTR_EQUAL(e.memory, bytes12 + 4);
    hidden h; /* in a decoder's it is a decoder */
    v.source = hide(tensor(H5CKPT_DTYPE_UINT8, 12, bytes12, NULL), &h);
    expect(&v, bytes12 + 4, 6);
    end();
}

static void a_transpose_goes_along_the_other_axis(void)
{
    static const unsigned char turned[] = {0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11};
    const uint64_t shape[] = {4, 3}, strides[] = {1, 4};
    h5ck_view v = {
        .source = tensor(H5CKPT_DTYPE_UINT8, 12, bytes12, NULL), .rank = 2, .shape = shape, .strides = strides};
    hidden h;
    expect(&v, turned, 12);
    v.source = hide(tensor(H5CKPT_DTYPE_UINT8, 12, bytes12, NULL), &h);
    expect(&v, turned, 12);
    end();
}

/* Elements of each size; a column of a matrix of three. */
static void any_strides_pick_elements_of_any_size(void)
{
    static const h5ckpt_dtype types[] = {H5CKPT_DTYPE_UINT8, H5CKPT_DTYPE_INT16, H5CKPT_DTYPE_FLOAT32,
                                         H5CKPT_DTYPE_FLOAT64, H5CKPT_DTYPE_COMPLEX128};
    const uint64_t shape[] = {4}, strides[] = {3};
    unsigned char all[12 * 16], some[4 * 16];
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (unsigned char)(7 * i);
    for (size_t i = 0; i < 5; i++) {
        size_t size = h5ckpt_dtype_size(types[i]);
        for (size_t k = 0; k < 4; k++)
            memcpy(some + k * size, all + (3 * k + 2) * size, size);
        const h5ck_view v = {
            .source = tensor(types[i], 12, all, NULL), .first = 2, .rank = 1, .shape = shape, .strides = strides};
        expect(&v, some, 4 * size);
    }
    end();
}

static void a_stride_of_0_repeats(void)
{
    static const unsigned char rows[] = {3, 4, 5, 3, 4, 5}, ones[] = {7, 7, 7};
    const uint64_t shape[] = {2, 3}, strides[] = {0, 1}, three[] = {3}, none[] = {0};
    const h5ckpt_tensor *source = tensor(H5CKPT_DTYPE_UINT8, 12, bytes12, NULL);
    expect(&(h5ck_view){.source = source, .first = 3, .rank = 2, .shape = shape, .strides = strides}, rows, 6);
    expect(&(h5ck_view){.source = source, .first = 7, .rank = 1, .shape = three, .strides = none}, ones, 3);
    end();
}

static void a_scalar_and_nothing_are_views_too(void)
{
    const uint64_t none[] = {3, 0}, far[] = {99, 99};
    const h5ckpt_tensor *source = tensor(H5CKPT_DTYPE_UINT8, 12, bytes12, NULL);
    expect(&(h5ck_view){.source = source, .first = 11}, bytes12 + 11, 1);
    expect(&(h5ck_view){.source = source, .first = 500, .rank = 2, .shape = none, .strides = far}, "", 0);
    end();
}

/* ---- In which order and type ---- */

static void big_endian_numbers_are_turned_round(void)
{
    static const unsigned char big[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    static const unsigned char two[] = {1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14};
    static const unsigned char eight[] = {7, 6, 5, 4, 3, 2, 1, 0, 15, 14, 13, 12, 11, 10, 9, 8};
    static const unsigned char four[] = {3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12};
    uint64_t n = 8;
    expect(&(h5ck_view){.source = tensor(H5CKPT_DTYPE_INT16, 8, big, NULL), .rank = 1, .shape = &n, .swap = true}, two,
           16);
    n = 2; /* a complex number is two: the real part stays the first */
    expect(&(h5ck_view){.source = tensor(H5CKPT_DTYPE_COMPLEX64, 2, big, NULL), .rank = 1, .shape = &n, .swap = true},
           four, 16);
    n = 1;
    expect(&(h5ck_view){.source = tensor(H5CKPT_DTYPE_COMPLEX128, 1, big, NULL), .rank = 1, .shape = &n, .swap = true},
           eight, 16);
    n = 12;
    expect(&(h5ck_view){.source = tensor(H5CKPT_DTYPE_UINT8, 12, bytes12, NULL), .rank = 1, .shape = &n, .swap = true},
           bytes12, 12);
    end();
}

/* Big-endian float32 of a transposed matrix, as bfloat16: all at once. */
static void turns_transposes_and_casts_together(void)
{
    static const unsigned char in[] = {0x3f, 0x80, 0, 0, 0x40, 0, 0, 0, 0x40, 0x40, 0, 0, 0x40, 0x80, 0, 0};
    static const unsigned char out[] = {0x80, 0x3f, 0x40, 0x40, 0, 0x40, 0x80, 0x40}; /* 1, 3, 2, 4 */
    const uint64_t shape[] = {2, 2}, strides[] = {1, 2};
    expect(&(h5ck_view){.source = tensor(H5CKPT_DTYPE_FLOAT32, 4, in, NULL),
                        .rank = 2,
                        .shape = shape,
                        .strides = strides,
                        .swap = true,
                        .cast = H5CKPT_DTYPE_BFLOAT16},
           out, 8);
    end();
}

static void says_how_it_is_made(void)
{
    const uint64_t shape[] = {2, 3}, turned[] = {1, 2}, odd[] = {6, 1};
    const h5ckpt_tensor *source =
        tensor(H5CKPT_DTYPE_FLOAT32, 12, "0123456789abcdef0123456789abcdef0123456789abcdef", NULL);
    h5ck_view v = {
        .source = source, .rank = 2, .shape = shape, .strides = turned, .swap = true, .cast = H5CKPT_DTYPE_FLOAT64};
    CU_ASSERT_STRING_EQUAL(look(&v, NULL)->extent.decoder->what, "transposed, big-endian, cast from float32");
    v = (h5ck_view){.source = source, .rank = 2, .shape = shape, .strides = odd};
    CU_ASSERT_STRING_EQUAL(look(&v, NULL)->extent.decoder->what, "strided");
    end();
}

/* ---- Several ---- */

static void parts_follow_each_other(void)
{
    h5ck_extent e;
    h5ckpt_error *err = NULL;
    hidden h;
    const h5ckpt_tensor *parts[] = {tensor(H5CKPT_DTYPE_UINT8, 5, bytes12, NULL),
                                    tensor(H5CKPT_DTYPE_UINT8, 0, bytes12, NULL),
                                    hide(tensor(H5CKPT_DTYPE_UINT8, 7, bytes12 + 5, NULL), &h)};
    CU_ASSERT_EQUAL_FATAL(h5ck_view_concatenate(&state->arena, parts, 3, &e, &err), 0);
    for (size_t from = 0; from < 12; from++)
        for (size_t to = from; to <= 12; to++) {
            unsigned char got[13] = {0};
            CU_ASSERT_EQUAL(e.decoder->read(e.decoder, from, got, to - from, &err), 0);
            CU_ASSERT_EQUAL(memcmp(got, bytes12 + from, to - from), 0);
        }
    end();
}

/* ---- Refusals ---- */

static void refuses_to_reach_outside(void)
{
    const uint64_t four[] = {4}, three[] = {3}, shape[] = {3, 4}, wide[] = {5, 1}, huge[] = {UINT64_MAX, 1},
                   one[] = {1};
    const h5ckpt_tensor *source = tensor(H5CKPT_DTYPE_UINT8, 12, bytes12, NULL);
    expect(&(h5ck_view){.source = source, .first = 8, .rank = 1, .shape = four}, bytes12 + 8, 4);
    refuse(&(h5ck_view){.source = source, .first = 9, .rank = 1, .shape = four}, H5CKPT_INVALID,
           "expected elements inside of the 12 that are stored, found some past them");
    refuse(&(h5ck_view){.source = source, .first = 12, .rank = 1, .shape = one}, H5CKPT_INVALID, "some past them");
    refuse(&(h5ck_view){.source = source, .rank = 2, .shape = shape, .strides = wide}, H5CKPT_INVALID, "past them");
    refuse(&(h5ck_view){.source = source, .rank = 2, .shape = shape, .strides = huge}, H5CKPT_INVALID, "past them");
    refuse(&(h5ck_view){.source = source, .first = UINT64_MAX, .rank = 1, .shape = three}, H5CKPT_INVALID, "past them");
    end();
}

static void refuses_shapes_and_casts_that_cannot_be(void)
{
    uint64_t axes[H5CK_MAX_RANK + 1], huge[] = {UINT64_MAX, 2}, n = 1;
    for (size_t i = 0; i <= H5CK_MAX_RANK; i++)
        axes[i] = 1;
    const h5ckpt_tensor *bytes = tensor(H5CKPT_DTYPE_UINT8, 12, bytes12, NULL),
                        *complex_number = tensor(H5CKPT_DTYPE_COMPLEX64, 1, bytes12, NULL);
    refuse(&(h5ck_view){.source = bytes, .rank = H5CK_MAX_RANK + 1, .shape = axes}, H5CKPT_INVALID,
           "expected at most 32 axes, found 33");
    refuse(&(h5ck_view){.source = bytes, .rank = 2, .shape = huge}, H5CKPT_INVALID,
           "expected dimension 0 of at most 2^63-1");
    refuse(&(h5ck_view){.source = complex_number, .rank = 1, .shape = &n, .cast = H5CKPT_DTYPE_FLOAT32}, H5CKPT_USAGE,
           "expected a real tensor to cast to float32, found complex64");
    refuse(&(h5ck_view){.source = bytes, .rank = 1, .shape = &n, .cast = (h5ckpt_dtype)99}, H5CKPT_USAGE,
           "expected an element type to cast to, found 99");
    end();
}

/* The mover sees the new elements only: so the view holds the source against its digest, all of it, at its first read. */
static void damage_in_the_source_is_found(void)
{
    h5ckpt_error *err = NULL;
    unsigned char got[4];
    const uint64_t shape[] = {2, 2}, strides[] = {1, 2};
    char digest[H5CK_DIGEST_TEXT];
    h5ck_digest *d = h5ck_digest_new(H5CKPT_DIGEST_XXH3);
    h5ck_digest_update(d, bytes12, 12);
    CU_ASSERT_EQUAL(h5ck_digest_text(d, digest, NULL), 0);
    h5ck_digest_free(d);
    unsigned char damaged[12];
    memcpy(damaged, bytes12, 12);
    damaged[11] ^= 1; /* where the view does not look */
    h5ck_view v = {
        .source = tensor(H5CKPT_DTYPE_UINT8, 12, bytes12, digest), .rank = 2, .shape = shape, .strides = strides};
    CU_ASSERT_EQUAL(h5ck_move_read(look(&v, NULL), 0, got, 4, &err), 0);
    test_expect_none(&err);
    v.source = tensor(H5CKPT_DTYPE_UINT8, 12, damaged, digest);
    CU_ASSERT_EQUAL(h5ck_move_read(look(&v, NULL), 0, got, 1, &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, "expected elements of the digest xxh3-128:");
    end();
}

/* ---- Numbers that are too large ---- */

enum { MANY = 300000 };

static h5ckpt_tensor *casting;

static void *read_some(void *unused)
{
    unsigned char buf[999];
    (void)unused;
    for (uint64_t at = 0; at < 2 * MANY; at += sizeof buf) {
        size_t n = 2 * MANY - at < sizeof buf ? (size_t)(2 * MANY - at) : sizeof buf;
        if (h5ck_move_read(casting, at, buf, n, NULL))
            return &casting;
    }
    return NULL;
}

/* Every seventh float32 is beyond float16. Four threads read all of it, in pieces that cut elements in two. */
static void each_is_counted_once_however_often_it_is_read(void)
{
    float *in = malloc(MANY * sizeof *in);
    uint64_t n = MANY;
    pthread_t threads[4];
    h5ck_overflow *o = h5ck_overflow_new(MANY);
    for (size_t i = 0; i < MANY; i++)
        in[i] = i % 7 ? 1 : 70000;
    const h5ck_view v = {.source = tensor(H5CKPT_DTYPE_FLOAT32, MANY, in, NULL),
                         .rank = 1,
                         .shape = &n,
                         .cast = H5CKPT_DTYPE_FLOAT16,
                         .overflow = o};
    casting = look(&v, NULL);
    CU_ASSERT_EQUAL(h5ck_overflow_count(o), 0);
    for (size_t i = 0; i < 4; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, read_some, NULL), 0);
    for (size_t i = 0; i < 4; i++) {
        void *failed = &casting;
        pthread_join(threads[i], &failed);
        CU_ASSERT_PTR_NULL(failed);
    }
    CU_ASSERT_EQUAL(h5ck_overflow_count(o), (MANY + 6) / 7);
    unsigned char two[4];
    CU_ASSERT_EQUAL(h5ck_move_read(casting, 0, two, 4, NULL), 0);
    CU_ASSERT_EQUAL(h5ck_le_get(two, 2), 0x7c00);
    CU_ASSERT_EQUAL(h5ck_le_get(two + 2, 2), 0x3c00);
    h5ck_overflow_free(o);
    free(in);
    end();
}

static void without_a_counter_they_are_refused(void)
{
    const float in[] = {1, 70000};
    uint64_t n = 2;
    unsigned char got[4];
    h5ckpt_error *err = NULL;
    const h5ck_view v = {
        .source = tensor(H5CKPT_DTYPE_FLOAT32, 2, in, NULL), .rank = 1, .shape = &n, .cast = H5CKPT_DTYPE_FLOAT16};
    CU_ASSERT_EQUAL(h5ck_move_read(look(&v, NULL), 0, got, 4, &err), H5CKPT_INVALID);
    test_expect_error(
        &err, H5CKPT_INVALID,
        "expected elements that float16 can hold, found one that it cannot (element 1, cast from float32)");
    end();
}

int main(void)
{
    static const test_case cases[] = {
        {"a slice without gaps is the source, moved on", a_slice_without_gaps_is_the_source_moved_on},
        {"a transpose goes along the other axis", a_transpose_goes_along_the_other_axis},
        {"any strides pick elements of any size", any_strides_pick_elements_of_any_size},
        {"a stride of 0 repeats", a_stride_of_0_repeats},
        {"a scalar and nothing are views too", a_scalar_and_nothing_are_views_too},
        {"big-endian numbers are turned round", big_endian_numbers_are_turned_round},
        {"turns, transposes and casts together", turns_transposes_and_casts_together},
        {"says how it is made", says_how_it_is_made},
        {"parts follow each other", parts_follow_each_other},
        {"refuses to reach outside", refuses_to_reach_outside},
        {"refuses shapes and casts that cannot be", refuses_shapes_and_casts_that_cannot_be},
        {"damage in the source is found", damage_in_the_source_is_found},
        {"each is counted once, however often it is read", each_is_counted_once_however_often_it_is_read},
        {"without a counter they are refused", without_a_counter_they_are_refused},
        {NULL, NULL}};
    return test_run("view", cases);
}
