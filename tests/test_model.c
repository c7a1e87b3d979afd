/* test_model.c - dtypes, dictionaries, values, and the one validator of tensors. */
#include "base/le.h"
#include "model/dict.h"
#include "model/dtype.h"
#include "model/state.h"
#include "model/value.h"
#include "test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- dtype ---- */

static void each_dtype_is_found_by_all_its_names(void)
{
    size_t rows = 0;
    for (const h5ck_dtype *d; (d = h5ck_dtype_at(rows)); rows++) {
        CU_ASSERT_PTR_EQUAL(h5ck_dtype_get(d->id), d);
        CU_ASSERT_PTR_EQUAL(h5ck_dtype_from_name(d->name), d);
        CU_ASSERT_PTR_EQUAL(h5ck_dtype_from_paddle((uint64_t)d->paddle), d);
        CU_ASSERT_STRING_EQUAL(h5ckpt_dtype_name(d->id), d->name);
        CU_ASSERT_EQUAL(h5ckpt_dtype_size(d->id), d->size);
        if (d->numpy) {
            char typestr[8];
            snprintf(typestr, sizeof typestr, "<%s", d->numpy);
            CU_ASSERT_PTR_EQUAL(h5ck_dtype_from_numpy(typestr), d);
            CU_ASSERT_EQUAL((size_t)atoi(d->numpy + 1), d->size);
        }
        if (d->kind == H5CK_KIND_FLOAT)
            CU_ASSERT_EQUAL(1 + d->exp_bits + d->man_bits, 8 * d->size);
        if (d->kind == H5CK_KIND_FLOAT)
            CU_ASSERT_EQUAL(d->bias, (1 << (d->exp_bits - 1)) - 1);
        if (d->kind == H5CK_KIND_COMPLEX)
            CU_ASSERT_EQUAL(2 * (1 + d->exp_bits + d->man_bits), 8 * d->size);
    }
    CU_ASSERT_EQUAL(rows, H5CKPT_DTYPE_FLOAT8_E5M2); /* a row for every public dtype */
    CU_ASSERT_PTR_NULL(h5ck_dtype_from_paddle(7));   /* LOD_TENSOR is no element */
    CU_ASSERT_PTR_NULL(h5ck_dtype_from_numpy("<M8"));
    CU_ASSERT_PTR_NULL(h5ckpt_dtype_name(H5CKPT_DTYPE_NONE));
    CU_ASSERT_EQUAL(h5ckpt_dtype_size((h5ckpt_dtype)99), 0);
}

/* ---- dict ---- */

static void a_dictionary_keeps_order_and_finds_names(void)
{
    enum { N = 20000 };
    static char names[N][8];
    h5ck_dict d = {0};
    CU_ASSERT_PTR_NULL(h5ck_dict_get(&d, "0"));
    for (int i = 0; i < N; i++) {
        snprintf(names[i], sizeof names[i], "%d", (i * 7919) % N);
        CU_ASSERT_EQUAL(h5ck_dict_add(&d, names[i], names[i]), H5CK_DICT_ADDED);
    }
    CU_ASSERT_EQUAL(h5ck_dict_add(&d, "77", NULL), H5CK_DICT_EXISTS);
    CU_ASSERT_EQUAL(d.count, N);
    for (int i = 0; i < N; i++) {
        CU_ASSERT_PTR_EQUAL(d.entries[i].key, names[i]);
        CU_ASSERT_PTR_EQUAL(h5ck_dict_get(&d, names[i]), names[i]);
    }
    CU_ASSERT_PTR_NULL(h5ck_dict_get(&d, "20000"));
    h5ck_dict_free(&d);
}

/* ---- value ---- */

#define ITEMS(t, ...)                                                                                                  \
    {                                                                                                                  \
        .type = (t), .count = sizeof(h5ckpt_value[]){__VA_ARGS__} / sizeof(h5ckpt_value), .as.items = (h5ckpt_value[]) \
        {                                                                                                              \
            __VA_ARGS__                                                                                                \
        }                                                                                                              \
    }

static void a_copy_is_deep_and_equal(void)
{
    h5ck_arena a = {NULL};
    h5ckpt_error *err = NULL;
    const float half = 0.5f;
    const h5ckpt_array scalar = {H5CKPT_DTYPE_FLOAT32, 1, 0, NULL, 4, &half};
    const h5ckpt_value list = ITEMS(H5CKPT_LIST, h5ck_value_int(1), h5ck_value_float(NAN), h5ck_value_bool(true),
                                    {.type = H5CKPT_NONE}, {.type = H5CKPT_ARRAY, .as.array = &scalar},
                                    {.type = H5CKPT_BYTES, .count = 2, .as.bytes = (const unsigned char *)"\0\xff"});
    const h5ckpt_field fields[] = {{h5ck_value_str("list"), list}, {h5ck_value_str("s"), h5ck_value_str("\xc3\xa9")}};
    const h5ckpt_object object = {"m", "C", 2, fields};
    const h5ckpt_value v = {.type = H5CKPT_OBJECT, .as.object = &object};
    h5ckpt_value copy;
    CU_ASSERT_EQUAL(h5ck_value_copy(&a, &v, &copy, &err), 0);
    test_expect_none(&err);
    CU_ASSERT_TRUE(h5ck_value_equal(&v, &copy));
    CU_ASSERT_PTR_NOT_EQUAL(copy.as.object->fields, fields);
    CU_ASSERT_PTR_NOT_EQUAL(h5ckpt_value_get(&copy, "s")->as.str, fields[1].value.as.str);
    CU_ASSERT_PTR_NULL(h5ckpt_value_get(&copy, "missing"));
    h5ck_arena_free(&a);
}

static void types_and_signs_are_told_apart(void)
{
    const h5ckpt_value one = h5ck_value_int(1), one_f = h5ck_value_float(1), yes = h5ck_value_bool(true);
    const h5ckpt_value zero = h5ck_value_float(0.0), minus = h5ck_value_float(-0.0);
    const h5ckpt_value list = ITEMS(H5CKPT_LIST, one), tuple = ITEMS(H5CKPT_TUPLE, one);
    h5ckpt_value long_one = one;
    long_one.python2 = 1;
    CU_ASSERT_FALSE(h5ck_value_equal(&one, &one_f));
    CU_ASSERT_FALSE(h5ck_value_equal(&one, &yes));
    CU_ASSERT_FALSE(h5ck_value_equal(&zero, &minus));
    CU_ASSERT_FALSE(h5ck_value_equal(&list, &tuple));
    CU_ASSERT_FALSE(h5ck_value_equal(&one, &long_one));
    CU_ASSERT_TRUE(h5ck_value_equal(&list, &list));
}

static void refuse_value(const h5ckpt_value *v, const char *why)
{
    h5ck_arena a = {NULL};
    h5ckpt_error *err = NULL;
    h5ckpt_value copy;
    CU_ASSERT_EQUAL(h5ck_value_copy(&a, v, &copy, &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, why);
    h5ck_arena_free(&a);
}

static void what_is_no_value_is_refused(void)
{
    const uint64_t shape[] = {3};
    const h5ckpt_array wrong = {H5CKPT_DTYPE_FLOAT32, 0, 1, shape, 8, "12345678"};
    const h5ckpt_field list_key = {ITEMS(H5CKPT_LIST, h5ck_value_int(1)), h5ck_value_int(1)};
    const h5ckpt_value loop = {.type = H5CKPT_LIST, .count = 1, .as.items = &loop};
    const h5ckpt_object unnamed = {"m", NULL, 0, NULL};
    refuse_value(&(h5ckpt_value){.type = (h5ckpt_value_type)77}, "unknown type 77");
    refuse_value(&(h5ckpt_value){.type = H5CKPT_STR, .count = 1, .as.str = "\xff"}, "not UTF-8");
    refuse_value(&(h5ckpt_value){.type = H5CKPT_STR, .count = 1, .as.str = NULL}, "not UTF-8");
    refuse_value(&(h5ckpt_value){.type = H5CKPT_LIST, .count = 1}, "1 items without an array");
    refuse_value(&(h5ckpt_value){.type = H5CKPT_DICT, .count = 1, .as.fields = &list_key}, "expected a hashable value");
    refuse_value(&(h5ckpt_value){.type = H5CKPT_OBJECT, .as.object = &unnamed}, "without a module or class name");
    refuse_value(&(h5ckpt_value){.type = H5CKPT_ARRAY, .as.array = &wrong}, "an array of 8 bytes whose shape says 12");
    refuse_value(&loop, "nested deeper than 100");
}

static void a_str_may_hold_zeros_but_a_fields_name_may_not(void)
{
    h5ck_arena a = {NULL};
    h5ckpt_value copy;
    const h5ckpt_value zeros = {.type = H5CKPT_STR, .count = 3, .as.str = "a\0b"};
    CU_ASSERT_EQUAL(h5ck_value_copy(&a, &zeros, &copy, NULL), 0);
    CU_ASSERT_TRUE(h5ck_value_equal(&zeros, &copy));
    const h5ckpt_field field = {zeros, h5ck_value_int(1)};
    const h5ckpt_object object = {"m", "C", 1, &field};
    refuse_value(&(h5ckpt_value){.type = H5CKPT_OBJECT, .as.object = &object}, "without zero bytes");
    h5ck_arena_free(&a);
}

static void numbers_of_every_kind_become_doubles(void)
{
    static const struct {
        h5ckpt_dtype dtype;
        unsigned char bytes[8];
        size_t n;
        double expected;
    } cases[] = {
        {H5CKPT_DTYPE_INT8, {0xff}, 1, -1},
        {H5CKPT_DTYPE_UINT8, {0xff}, 1, 255},
        {H5CKPT_DTYPE_INT64, {0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 8, -2},
        {H5CKPT_DTYPE_FLOAT32, {0, 0, 0x80, 0x3e}, 4, 0.25},
        {H5CKPT_DTYPE_BOOL, {1}, 1, 1},
    };
    double d = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const h5ckpt_array array = {cases[i].dtype, 1, 0, NULL, cases[i].n, cases[i].bytes};
        CU_ASSERT_TRUE(h5ck_value_as_double(&(h5ckpt_value){.type = H5CKPT_ARRAY, .as.array = &array}, &d));
        CU_ASSERT_EQUAL(d, cases[i].expected);
    }
    const h5ckpt_value text = h5ck_value_str("1");
    CU_ASSERT_FALSE(h5ck_value_as_double(&text, &d));
}

/* ---- tensors ---- */

static int add(h5ckpt_state *s, const h5ckpt_tensor_info *info, uint64_t offset, uint64_t file_size, h5ckpt_error **err)
{
    h5ck_file *f = h5ck_state_new_file(s, "file", NULL);
    f->size = file_size;
    const h5ck_extent extent = {.kind = H5CK_EXTENT_FILE, .file = f, .offset = offset};
    return h5ck_state_add_tensor(s, &s->parameters, info, &extent, NULL, err);
}

static void refuse_tensor(const h5ckpt_tensor_info *info, uint64_t offset, uint64_t file_size, const char *why)
{
    h5ckpt_state *s = h5ckpt_state_new();
    h5ckpt_error *err = NULL;
    CU_ASSERT_EQUAL(add(s, info, offset, file_size, &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, why);
    CU_ASSERT_EQUAL(h5ckpt_tensors_count(h5ckpt_state_parameters(s)), 0);
    h5ckpt_state_free(s);
}

static void the_validator_refuses_by_each_of_its_rules(void)
{
    const uint64_t shape[40] = {3, 2}, huge[] = {(uint64_t)1 << 40, (uint64_t)1 << 40}, top[] = {(uint64_t)1 << 63};
    const h5ckpt_tensor_info good = {.name = "w", .dtype = H5CKPT_DTYPE_FLOAT32, .rank = 2, .shape = shape};
    h5ckpt_tensor_info i = good;
    i.dtype = (h5ckpt_dtype)99;
    refuse_tensor(&i, 0, 100, "expected an element type, found the code 99");
    i = good, i.rank = 33;
    refuse_tensor(&i, 0, 100, "expected at most 32 dimensions, found 33");
    i = good, i.shape = huge;
    refuse_tensor(&i, 0, 100, "overflows");
    i = good, i.shape = top, i.rank = 1;
    refuse_tensor(&i, 0, 100, "expected dimension 0 of at most 2^63-1");
    i = good, i.name = "";
    refuse_tensor(&i, 0, 100, "found an empty one");
    i = good, i.name = "\xff";
    refuse_tensor(&i, 0, 100, "expected the tensor's name in UTF-8");
    refuse_tensor(&good, 10, 33, "'w': offset 10: expected 24 bytes of data, found 23");
    refuse_tensor(&good, UINT64_MAX - 3, 100, "found 0");
}

static void refuse_lod(size_t levels, const h5ckpt_lod_level *lod, const char *why)
{
    const uint64_t shape[] = {6, 1};
    const h5ckpt_tensor_info i = {
        .name = "w", .dtype = H5CKPT_DTYPE_INT8, .rank = 2, .shape = shape, .lod_levels = levels, .lod = lod};
    refuse_tensor(&i, 0, 100, why);
}

static void a_lod_leads_nowhere_outside(void)
{
    refuse_lod(1, &(h5ckpt_lod_level){0, NULL}, "expected offsets, found none");
    refuse_lod(1, &(h5ckpt_lod_level){2, (uint64_t[]){1, 6}}, "expected the first offset 0, found 1");
    refuse_lod(1, &(h5ckpt_lod_level){3, (uint64_t[]){0, 7, 6}}, "expected ascending offsets, found 6 after 7");
    refuse_lod(1, &(h5ckpt_lod_level){2, (uint64_t[]){0, 7}}, "expected the last offset 6, found 7");
    const h5ckpt_lod_level two[] = {{2, (uint64_t[]){0, 3}}, {3, (uint64_t[]){0, 2, 6}}};
    refuse_lod(2, two, "LoD level 0: expected the last offset 2, found 3");
}

static void names_are_given_once(void)
{
    h5ckpt_state *s = h5ckpt_state_new();
    h5ckpt_error *err = NULL;
    const h5ckpt_tensor_info i = {.name = "w", .dtype = H5CKPT_DTYPE_INT8};
    CU_ASSERT_EQUAL(add(s, &i, 0, 1, &err), 0);
    CU_ASSERT_EQUAL(add(s, &i, 0, 1, &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, "'w': expected each name once, found a second tensor");
    h5ckpt_state_free(s);
}

static void an_empty_tensor_may_have_any_other_dimensions(void)
{
    h5ckpt_state *s = h5ckpt_state_new();
    h5ckpt_error *err = NULL;
    const uint64_t shape[] = {(uint64_t)1 << 62, 0, (uint64_t)1 << 62};
    const h5ckpt_tensor_info i = {.name = "w", .dtype = H5CKPT_DTYPE_FLOAT64, .rank = 3, .shape = shape};
    CU_ASSERT_EQUAL(add(s, &i, 5, 5, &err), 0);
    test_expect_none(&err);
    CU_ASSERT_EQUAL(h5ckpt_tensor_get_info(h5ckpt_tensors_at(h5ckpt_state_parameters(s), 0))->nbytes, 0);
    h5ckpt_state_free(s);
}

static void metadata_is_set_and_set_again(void)
{
    h5ckpt_state *s = h5ckpt_state_new();
    h5ckpt_error *err = NULL;
    char key[16];
    for (int i = 0; i < 50; i++) {
        snprintf(key, sizeof key, "k%d", i);
        CU_ASSERT_EQUAL(h5ck_state_set_metadata(s, key, "old", &err), 0);
    }
    CU_ASSERT_EQUAL(h5ck_state_set_metadata(s, "k7", "new", &err), 0);
    CU_ASSERT_EQUAL(h5ckpt_state_metadata(s)->count, 50);
    CU_ASSERT_STRING_EQUAL(h5ckpt_value_get(h5ckpt_state_metadata(s), "k7")->as.str, "new");
    CU_ASSERT_EQUAL(h5ck_state_set_metadata(s, "k7", "\xff", &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, "metadata 'k7': expected UTF-8");
    h5ckpt_state_free(s);
    h5ckpt_state_free(NULL);
}

static int closed[3], closings;

static void note_closing(void *what)
{
    closed[closings++] = *(int *)what;
}

static void things_are_closed_last_first_when_the_last_user_goes(void)
{
    h5ckpt_state *s = h5ckpt_state_new();
    int one = 1, two = 2;
    closings = 0;
    h5ck_state_on_close(s, note_closing, &one, NULL);
    h5ck_state_on_close(s, note_closing, &two, NULL);
    h5ck_state_retain(s);
    h5ckpt_state_free(s);
    CU_ASSERT_EQUAL(closings, 0);
    h5ckpt_state_free(s);
    CU_ASSERT_EQUAL(closings, 2);
    CU_ASSERT_EQUAL(closed[0], 2);
    CU_ASSERT_EQUAL(closed[1], 1);
}

int main(void)
{
    static const test_case cases[] = {
        {"each dtype is found by all its names", each_dtype_is_found_by_all_its_names},
        {"a dictionary keeps order and finds names", a_dictionary_keeps_order_and_finds_names},
        {"a copy is deep and equal", a_copy_is_deep_and_equal},
        {"types and signs are told apart", types_and_signs_are_told_apart},
        {"what is no value is refused", what_is_no_value_is_refused},
        {"a str may hold zeros, but a field's name may not", a_str_may_hold_zeros_but_a_fields_name_may_not},
        {"numbers of every kind become doubles", numbers_of_every_kind_become_doubles},
        {"the validator refuses by each of its rules", the_validator_refuses_by_each_of_its_rules},
        {"a LoD leads nowhere outside", a_lod_leads_nowhere_outside},
        {"names are given once", names_are_given_once},
        {"an empty tensor may have any other dimensions", an_empty_tensor_may_have_any_other_dimensions},
        {"metadata is set and set again", metadata_is_set_and_set_again},
        {"things are closed last first when the last user goes", things_are_closed_last_first_when_the_last_user_goes},
        {NULL, NULL},
    };
    return test_run("model", cases);
}
