/*
 * test_gguf.c - GGUF: a file of the Python package gguf is read, and comes back byte for byte; a whole state goes through
 * it; one hostile file for each rule that refuses.
 */
#include "base/buf.h"
#include "parse/gguf_value.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Helpers ---- */

static const char *metadata(const h5ckpt_state *s, const char *key)
{
    const h5ckpt_value *v = h5ckpt_value_get(h5ckpt_state_metadata(s), key);
    return v ? v->as.str : "(none)";
}

/* ---- The real package's ---- */

static void every_type_of_tensor_is_read(void)
{
    static const h5ckpt_dtype dtypes[] = {H5CKPT_DTYPE_FLOAT32, H5CKPT_DTYPE_FLOAT16,  H5CKPT_DTYPE_FLOAT64,
                                          H5CKPT_DTYPE_INT8,    H5CKPT_DTYPE_INT16,    H5CKPT_DTYPE_INT32,
                                          H5CKPT_DTYPE_INT64,   H5CKPT_DTYPE_BFLOAT16, H5CKPT_DTYPE_FLOAT32};
    static const unsigned char int16[] = {0xfe, 0xff, 0xff, 0xff, 0, 0, 1, 0, 2, 0, 3, 0};
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = test_opened(test_fixture("gguf/all.gguf"));
    const h5ckpt_tensors *all = h5ckpt_state_parameters(s);
    CU_ASSERT_STRING_EQUAL(h5ckpt_state_format(s), "gguf");
    CU_ASSERT_EQUAL_FATAL(h5ckpt_tensors_count(all), 9);
    for (size_t i = 0; i < 9; i++)
        CU_ASSERT_EQUAL(h5ckpt_tensor_get_info(h5ckpt_tensors_at(all, i))->dtype, dtypes[i]);
    const h5ckpt_tensor *t = h5ckpt_tensors_get(all, "v.i2");
    unsigned char found[12];
    CU_ASSERT_EQUAL(h5ckpt_tensor_read(t, 0, found, sizeof found, &err), 0);
    CU_ASSERT_EQUAL(memcmp(found, int16, sizeof found), 0);
    const h5ckpt_tensor_info *info = h5ckpt_tensor_get_info(h5ckpt_tensors_get(all, "output.weight"));
    CU_ASSERT_TRUE(info->rank == 3 && info->shape[0] == 2 && info->shape[1] == 2 && info->shape[2] == 4);
    test_expect_none(&err);
    h5ckpt_state_free(s);
}

static void every_type_of_metadata_is_read(void)
{
    h5ckpt_state *s = test_opened(test_fixture("gguf/all.gguf"));
    CU_ASSERT_STRING_EQUAL(metadata(s, "general.name"), "tiny");
    CU_ASSERT_STRING_EQUAL(metadata(s, "t.int8"), "-128");
    CU_ASSERT_STRING_EQUAL(metadata(s, "t.uint64"), "18446744073709551615");
    CU_ASSERT_STRING_EQUAL(metadata(s, "t.int64"), "-9223372036854775808");
    CU_ASSERT_STRING_EQUAL(metadata(s, "t.float32"), "9.999999747378752e-06");
    CU_ASSERT_STRING_EQUAL(metadata(s, "t.inf"), "{\"$float\": \"-inf\"}");
    CU_ASSERT_STRING_EQUAL(metadata(s, "t.bool"), "true");
    CU_ASSERT_STRING_EQUAL(metadata(s, "t.words"), "[\"<s>\", \"h\xc3\xa9\", \"\xe2\x96\x81the\", \"a\\u0000b\"]");
    CU_ASSERT_STRING_EQUAL(metadata(s, "t.bools"), "[true, false]");
    CU_ASSERT_PTR_NOT_NULL(strstr(metadata(s, "gguf.types"), "\"t.floats\": \"[float32]\""));
    CU_ASSERT_PTR_NULL(strstr(metadata(s, "gguf.types"), "general.name"));
    h5ckpt_state_free(s);
}

static void it_comes_back_byte_for_byte_through_hdf5(void)
{
    h5ckpt_error *err = NULL;
    size_t n, m;
    CU_ASSERT_EQUAL(h5ckpt_convert(test_fixture("gguf/all.gguf"), test_tmp("all.h5"), NULL, &err), 0);
    CU_ASSERT_EQUAL(h5ckpt_convert(test_tmp("all.h5"), test_tmp("all.gguf"), NULL, &err), 0);
    test_expect_none(&err);
    unsigned char *a = test_read(test_fixture("gguf/all.gguf"), &n), *b = test_read(test_tmp("all.gguf"), &m);
    CU_ASSERT_TRUE(n == m && memcmp(a, b, n) == 0);
    free(a);
    free(b);
}

static void quantised_tensors_are_refused_by_name_and_type(void)
{
    test_refused(test_fixture("gguf/quantised.gguf"),
                 "'attn.weight': offset 159: expected elements that are numbers, found "
                 "Q8_0: quantised tensors are not read");
}

static void a_file_cut_anywhere_is_refused(void)
{
    test_refuses_every_cut(test_fixture("gguf/all.gguf"), NULL);
    test_refuses_every_cut(test_fixture("gguf/all.gguf"), "gguf");
}

/* ---- Golden bytes ---- */

#define ONE "\1\0\0\0\0\0\0\0"
#define GOLDEN                                                                                                         \
    "GGUF\3\0\0\0" ONE ONE "\1\0\0\0\0\0\0\0k\x08\0\0\0\1\0\0\0\0\0\0\0v"                                              \
    "\1\0\0\0\0\0\0\0w\2\0\0\0\2\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\x18\0\0\0\0\0\0\0\0\0\0\0"
enum { GOLDEN_LEN = 24 + 22 + 9 + 4 + 16 + 4 + 8, DATA = 96 };

static void the_golden_file_is_written(void)
{
    const uint64_t shape[] = {1, 2};
    const h5ckpt_tensor_info w = {.name = "w", .dtype = H5CKPT_DTYPE_INT8, .rank = 2, .shape = shape};
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = h5ckpt_state_new();
    size_t len;
    CU_ASSERT_EQUAL(h5ckpt_state_add_tensor(s, 0, &w, "\5\6", &err), 0);
    CU_ASSERT_EQUAL(h5ckpt_state_set_metadata(s, "k", "v", &err), 0);
    CU_ASSERT_EQUAL(h5ckpt_state_write(s, test_tmp("golden.gguf"), NULL, &err), 0);
    test_expect_none(&err);
    h5ckpt_state_free(s);
    unsigned char expected[DATA + 32] = {0}, *found = test_read(test_tmp("golden.gguf"), &len);
    memcpy(expected, GOLDEN, GOLDEN_LEN);
    expected[DATA] = 5;
    expected[DATA + 1] = 6;
    CU_ASSERT_EQUAL(len, sizeof expected);
    CU_ASSERT_TRUE(len == sizeof expected && memcmp(found, expected, len) == 0);
    free(found);
}

/* The same file in version 2, and one whose alignment is 8. */
static void version_2_and_other_alignments_are_read(void)
{
    unsigned char bytes[DATA + 2] = {0};
    h5ckpt_error *err = NULL;
    char value = 0;
    memcpy(bytes, GOLDEN, GOLDEN_LEN);
    bytes[4] = 2;
    bytes[DATA + 1] = 6;
    test_write(test_tmp("two.gguf"), bytes, sizeof bytes);
    h5ckpt_state *s = test_opened(test_tmp("two.gguf"));
    CU_ASSERT_EQUAL(h5ckpt_tensor_read(h5ckpt_tensors_at(h5ckpt_state_parameters(s), 0), 1, &value, 1, &err), 0);
    CU_ASSERT_EQUAL(value, 6);
    h5ckpt_state_free(s);
    s = h5ckpt_state_new();
    const uint64_t shape[] = {3};
    const h5ckpt_tensor_info w = {.name = "w", .dtype = H5CKPT_DTYPE_INT8, .rank = 1, .shape = shape};
    const h5ckpt_tensor_info v = {.name = "v", .dtype = H5CKPT_DTYPE_INT8, .rank = 1, .shape = shape};
    CU_ASSERT_EQUAL(h5ckpt_state_add_tensor(s, 0, &w, "\5\6\7", &err), 0);
    CU_ASSERT_EQUAL(h5ckpt_state_add_tensor(s, 0, &v, "\1\2\3", &err), 0);
    CU_ASSERT_EQUAL(h5ckpt_state_set_metadata(s, "general.alignment", "8", &err), 0);
    CU_ASSERT_EQUAL(h5ckpt_state_set_metadata(s, "gguf.types", "{\"general.alignment\": \"uint32\"}", &err), 0);
    CU_ASSERT_EQUAL(h5ckpt_state_write(s, test_tmp("eight.gguf"), NULL, &err), 0);
    h5ckpt_state_free(s);
    s = test_opened(test_tmp("eight.gguf"));
    CU_ASSERT_EQUAL(h5ckpt_tensor_read(h5ckpt_tensors_at(h5ckpt_state_parameters(s), 1), 2, &value, 1, &err), 0);
    CU_ASSERT_EQUAL(value, 3);
    test_expect_none(&err);
    h5ckpt_state_free(s);
}

/* ---- A whole state ---- */

static void decays_optimizer_state_and_long_names_come_back(void)
{
    static const char long_name[] = "encoder.layers.0.self_attention.query_key_value.projection.weight.original";
    const uint64_t shape[] = {1};
    const h5ckpt_tensor_info w = {.name = long_name, .dtype = H5CKPT_DTYPE_FLOAT32, .rank = 1, .shape = shape};
    const h5ckpt_tensor_info m = {.name = "moment", .dtype = H5CKPT_DTYPE_FLOAT32, .rank = 0, .shape = NULL};
    const h5ckpt_field fields[] = {
        {{.type = H5CKPT_STR, .count = 4, .as.str = "rate"}, {.type = H5CKPT_FLOAT, .as.f = 0.1}}};
    const h5ckpt_object object = {.class_name = "Mine", .count = 1, .fields = fields};
    const h5ckpt_value decay = {.type = H5CKPT_OBJECT, .as.object = &object};
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = h5ckpt_state_new();
    CU_ASSERT_EQUAL(h5ckpt_state_add_tensor(s, 0, &w, "\0\0\x80\x3f", &err), 0);
    CU_ASSERT_EQUAL(h5ckpt_state_add_tensor(s, 1, &m, "\0\0\0\x40", &err), 0);
    CU_ASSERT_EQUAL(h5ckpt_state_add_decay(s, "None", &decay, &err), 0);
    CU_ASSERT_EQUAL(h5ckpt_state_write(s, test_tmp("whole.gguf"), NULL, &err), 0);
    test_expect_none(&err);
    h5ckpt_state_free(s);
    s = test_opened(test_tmp("whole.gguf"));
    CU_ASSERT_PTR_NOT_NULL(h5ckpt_tensors_get(h5ckpt_state_parameters(s), long_name));
    CU_ASSERT_PTR_NOT_NULL(h5ckpt_tensors_get(h5ckpt_state_optimizer_state(s), "moment"));
    const h5ckpt_decay *d = h5ckpt_decays_get(h5ckpt_state_decays(s), "None");
    CU_ASSERT_PTR_NOT_NULL_FATAL(d);
    CU_ASSERT_EQUAL(h5ckpt_value_get(h5ckpt_decay_get_info(d)->value, "rate")->as.f, 0.1);
    char *text = h5ckpt_explain(s, NULL, d, &err);
    CU_ASSERT_TRUE(text && strstr(text, "GGUF"));
    free(text);
    h5ckpt_state_free(s);
}

static void what_it_has_no_type_for_is_refused(void)
{
    static const struct {
        h5ckpt_dtype dtype;
        size_t rank;
        const char *why;
    } cases[] = {
        {H5CKPT_DTYPE_BOOL, 1, "'w': expected a type that GGUF has"},
        {H5CKPT_DTYPE_UINT8, 1, "found uint8"},
        {H5CKPT_DTYPE_INT8, 5, "'w': expected at most 4 dimensions for GGUF, found 5"},
    };
    const uint64_t shape[] = {1, 1, 1, 1, 1};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const h5ckpt_tensor_info w = {.name = "w", .dtype = cases[i].dtype, .rank = cases[i].rank, .shape = shape};
        h5ckpt_error *err = NULL;
        h5ckpt_state *s = h5ckpt_state_new();
        CU_ASSERT_EQUAL(h5ckpt_state_add_tensor(s, 0, &w, "\1", &err), 0);
        CU_ASSERT_EQUAL(h5ckpt_state_write(s, test_tmp("no.gguf"), NULL, &err), H5CKPT_INVALID);
        test_expect_error(&err, H5CKPT_INVALID, cases[i].why);
        CU_ASSERT_FALSE(test_exists(test_tmp("no.gguf")));
        h5ckpt_state_free(s);
    }
}

/* ---- Hostile files ---- */

static void one_hostile_file_a_rule(void)
{
    static const struct {
        size_t at; /* in the golden file, is replaced */
        const char *by;
        size_t len;
        const char *why;
    } cases[] = {
        {4, "\1", 1, "offset 4: expected version 2 or 3, found 1"},
        {4, "\0\0\0\3", 4, "offset 4: expected a little-endian file, found a big-endian one"},
        {8, "\xff\xff\xff\xff\xff\xff\xff\xff", 8, "expected"}, /* tensors, up to the end */
        {16, "\xff\xff\xff\xff\xff\xff\xff\xff", 8, "expected"},
        {16, "\2", 1, "expected"}, /* the list of tensors is no pair */
        {24, "\xff\xff\xff\xff\xff\xff\xff\xff", 8,
         "offset 24: expected a key of at most 66 bytes, found 18446744073709551615"},
        {32, "\xff", 1, "expected a key in UTF-8"},
        {33, "\x0d", 1, "'k': offset 33: expected a type of metadata from 0 to 12, found 13"},
        {33, "\x07\0\0\0\2", 5, "expected a bool of 0 or 1, found 2"},
        {33, "\x09\0\0\0\x09\0\0\0", 8, "offset 37: expected an array of numbers, bools or strings, found type 9"},
        {33, "\x09\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\x7f", 16, "expected a number of 1 bytes"},
        {37, "\xff", 1, "expected a string of at most 53 bytes, found 255"},
        {54, "\0", 1, "expected the name of a tensor in UTF-8, found other bytes"},
        {55, "\x21", 1, "'w': offset 55: expected at most 32 dimensions, found 33"},
        {59, "\xff\xff\xff\xff\xff\xff\xff\x7f", 8, "'w': offset"},
        {75, "\x02", 1, "found Q4_0: quantised tensors are not read"},
        {75, "\x63", 1, "found ggml_type 99"},
        {79, "\x01", 1, "expected an offset that is a multiple of 32, found 1"},
        {79, "\x20", 1, "expected"}, /* behind the end */
        {79, "\xe0\xff\xff\xff\xff\xff\xff\xff", 8, "expected an offset inside of the file"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned char bytes[DATA + 2] = {0};
        memcpy(bytes, GOLDEN, GOLDEN_LEN);
        memcpy(bytes + cases[i].at, cases[i].by, cases[i].len);
        test_write(test_tmp("hostile.gguf"), bytes, sizeof bytes);
        test_refused(test_tmp("hostile.gguf"), cases[i].why);
    }
}

/* Pairs of one key "k" and this value, `count` times. */
static void with_pairs(const char *key, const char *value, size_t len, unsigned count, const char *why)
{
    h5ck_buf b = H5CK_BUF_INIT;
    h5ck_buf_add(&b, "GGUF\3\0\0\0\0\0\0\0\0\0\0\0", 16);
    h5ck_buf_le(&b, count, 8);
    for (unsigned i = 0; i < count; i++) {
        h5ck_gguf_put_string(&b, key, strlen(key));
        h5ck_buf_add(&b, value, len);
    }
    test_write(test_tmp("pairs.gguf"), b.data, b.len);
    h5ck_buf_free(&b);
    test_refused(test_tmp("pairs.gguf"), why);
}

static void keys_twice_and_alignments_that_are_none_are_refused(void)
{
    with_pairs("k", "\7\0\0\0\1", 5, 2, "expected each key once and none called gguf.types, found 'k'");
    with_pairs("gguf.types", "\7\0\0\0\1", 5, 1, "expected each key once and none called gguf.types");
    with_pairs("general.alignment", "\4\0\0\0\x0c\0\0\0", 8, 1, "expected an alignment of uint32, a power of two");
    with_pairs("general.alignment", "\4\0\0\0\0\0\0\0", 8, 1, "found 0");
    with_pairs("general.alignment", "\0\0\0\0\x20", 5, 1, "expected an alignment of uint32");
}

/* ---- Values ---- */

static void values_go_both_ways(void)
{
    static const struct {
        const char *type, *text;
        const char *bytes;
        size_t len;
    } cases[] = {
        {NULL, "x", "\x08\0\0\0\1\0\0\0\0\0\0\0x", 13},
        {"string", "{\"$bytes\": \"ff00\"}", "\x08\0\0\0\2\0\0\0\0\0\0\0\xff\0", 14},
        {"string", "\"a\\u0000\"", "\x08\0\0\0\2\0\0\0\0\0\0\0a\0", 14},
        {"[string]", "[\"\", {\"$bytes\": \"ff\"}]",
         "\x09\0\0\0\x08\0\0\0\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\xff", 33},
        {"[uint8]", "[]", "\x09\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16},
        {"int16", "-32768", "\3\0\0\0\0\x80", 6},
        {"uint64", "18446744073709551615", "\x0a\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", 12},
        {"float32", "0.5", "\6\0\0\0\0\0\0\x3f", 8},
        {"float32", "{\"$float\": \"nan\"}", "\6\0\0\0\0\0\xc0\x7f", 8},
        {"float64", "-0.0", "\x0c\0\0\0\0\0\0\0\0\0\0\x80", 12},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        h5ckpt_error *err = NULL;
        h5ck_arena arena = {NULL};
        h5ck_buf out = H5CK_BUF_INIT;
        h5ck_pb_source source;
        const char *type = NULL, *text = "";
        CU_ASSERT_EQUAL(h5ck_gguf_write_value(cases[i].type, cases[i].text, &out, &err), 0);
        CU_ASSERT_TRUE(out.len == cases[i].len && memcmp(out.data, cases[i].bytes, out.len) == 0);
        h5ck_pb_of_memory(&source, cases[i].bytes, cases[i].len, 0);
        h5ck_pb_reader r = h5ck_pb_all(&source, "the value");
        CU_ASSERT_EQUAL(h5ck_gguf_read_value(&r, &arena, &type, &text, &err), 0);
        test_expect_none(&err);
        CU_ASSERT_EQUAL(h5ck_pb_left(&r), 0);
        CU_ASSERT_STRING_EQUAL(text, cases[i].text);
        CU_ASSERT_STRING_EQUAL(type ? type : "", cases[i].type ? cases[i].type : "");
        h5ck_buf_free(&out);
        h5ck_arena_free(&arena);
    }
}

static void text_that_is_not_of_its_type_is_refused(void)
{
    static const struct {
        const char *type, *text, *why;
    } cases[] = {
        {"uint8", "256", "expected a value of the type uint8"},
        {"uint8", "-1", "expected a value of the type uint8"},
        {"int8", "128", "expected a value of the type int8"},
        {"int8", "1.0", "expected a value of the type int8"},
        {"int64", "9223372036854775808", "expected a value of the type int64"},
        {"float32", "1e39", "expected a value of the type float32"},
        {"float64", "1e999", "expected a value of the type float64"},
        {"float64", "{\"$bytes\": \"\"}", "expected a value of the type float64"},
        {"bool", "1", "expected a value of the type bool"},
        {"string", "1", "expected a value of the type string"},
        {"[int8]", "1", "expected an array"},
        {"[int8]", "[[1]]", "expected a value of the type int8"},
        {"int8", "1 2", "expected"},
        {"int8", "", "expected"},
        {"float16", "1", "expected a type of GGUF's metadata, found 'float16'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        h5ckpt_error *err = NULL;
        h5ck_buf out = H5CK_BUF_INIT;
        CU_ASSERT_EQUAL(h5ck_gguf_write_value(cases[i].type, cases[i].text, &out, &err), H5CKPT_INVALID);
        test_expect_error(&err, H5CKPT_INVALID, cases[i].why);
        h5ck_buf_free(&out);
    }
}

/* The error of a conversion names the key. */
static void metadata_that_does_not_fit_names_its_key(void)
{
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = h5ckpt_state_new();
    CU_ASSERT_EQUAL(h5ckpt_state_set_metadata(s, "llama.block_count", "many", &err), 0);
    CU_ASSERT_EQUAL(h5ckpt_state_set_metadata(s, "gguf.types", "{\"llama.block_count\": \"uint32\"}", &err), 0);
    CU_ASSERT_EQUAL(h5ckpt_state_write(s, test_tmp("misfit.gguf"), NULL, &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, "llama.block_count");
    CU_ASSERT_EQUAL(h5ckpt_state_set_metadata(s, "gguf.types", "[]", &err), 0);
    CU_ASSERT_EQUAL(h5ckpt_state_write(s, test_tmp("misfit.gguf"), NULL, &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, "gguf.types");
    h5ckpt_state_free(s);
}

int main(void)
{
    static const test_case cases[] = {
        {"every type of tensor is read", every_type_of_tensor_is_read},
        {"every type of metadata is read", every_type_of_metadata_is_read},
        {"it comes back byte for byte through HDF5", it_comes_back_byte_for_byte_through_hdf5},
        {"quantised tensors are refused by name and type", quantised_tensors_are_refused_by_name_and_type},
        {"a file cut anywhere is refused", a_file_cut_anywhere_is_refused},
        {"the golden file is written", the_golden_file_is_written},
        {"version 2 and other alignments are read", version_2_and_other_alignments_are_read},
        {"decays, optimizer state and long names come back", decays_optimizer_state_and_long_names_come_back},
        {"what it has no type for is refused", what_it_has_no_type_for_is_refused},
        {"one hostile file a rule", one_hostile_file_a_rule},
        {"keys twice and alignments that are none are refused", keys_twice_and_alignments_that_are_none_are_refused},
        {"values go both ways", values_go_both_ways},
        {"text that is not of its type is refused", text_that_is_not_of_its_type_is_refused},
        {"metadata that does not fit names its key", metadata_that_does_not_fit_names_its_key},
        {NULL, NULL},
    };
    return test_run("gguf", cases);
}
