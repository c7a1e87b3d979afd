/*
 * test_safetensors.c - safetensors' own files come back byte for byte, one hostile file a rule, all of a state through it
 * and back, shards and their index.
 */
#include "base/buf.h"
#include "base/le.h"
#include "format/fmt_safetensors.h"
#include "move/move.h"
#include "schema/schema.h"
#include "test.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- Helpers ---- */

/* Writes a file: the header's length, the header, `data` zeros. */
static const char *made(const char *name, const char *header, size_t header_len, size_t data)
{
    const char *path = test_tmp(name);
    h5ck_buf b = H5CK_BUF_INIT;
    h5ck_buf_le(&b, header_len, 8);
    h5ck_buf_add(&b, header, header_len);
    for (size_t i = 0; i < data; i++)
        h5ck_buf_u8(&b, 0);
    test_write(path, b.data, b.len);
    h5ck_buf_free(&b);
    return path;
}

static h5ckpt_state *opened(const char *path, h5ckpt_error **err)
{
    h5ckpt_options o = H5CKPT_OPTIONS_INIT;
    o.from = "safetensors";
    return h5ckpt_state_open(path, &o, err);
}

static void refused_path(const char *path, const char *why)
{
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = opened(path, &err);
    CU_ASSERT_PTR_NULL(s);
    test_expect_error(&err, H5CKPT_INVALID, why);
    h5ckpt_state_free(s);
}

static void refused(const char *header, size_t data, const char *why)
{
    refused_path(made("refused.safetensors", header, strlen(header), data), why);
}

/* The names in order, "a b c"; freed by the next call. */
static const char *names_of(const h5ckpt_tensors *tensors)
{
    static char names[1024];
    names[0] = 0;
    for (size_t i = 0; i < h5ckpt_tensors_count(tensors); i++) {
        const char *name = h5ckpt_tensor_get_info(h5ckpt_tensors_at(tensors, i))->name;
        size_t n = strlen(names);
        snprintf(names + n, sizeof names - n, "%s%s", i ? " " : "", name);
    }
    return names;
}

static void accepted(const char *header, size_t data, const char *names)
{
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = opened(made("accepted.safetensors", header, strlen(header), data), &err);
    test_expect_none(&err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    CU_ASSERT_STRING_EQUAL(names_of(h5ckpt_state_parameters(s)), names);
    h5ckpt_state_free(s);
}

static void same_file(const char *a, const char *b)
{
    size_t a_len, b_len;
    unsigned char *x = test_read(a, &a_len), *y = test_read(b, &b_len);
    CU_ASSERT_TRUE(x && y && a_len == b_len && memcmp(x, y, a_len) == 0);
    free(x);
    free(y);
}

static void convert(const char *from, const char *to)
{
    h5ckpt_error *err = NULL;
    CU_ASSERT_EQUAL(h5ckpt_convert(from, to, NULL, &err), 0);
    test_expect_none(&err);
}

static void note_into(void *user, const char *line)
{
    h5ck_buf_printf(user, "%s|", line);
}

/* ---- Golden bytes ---- */

/* {"attn.0": float32 [1, 2, 3]}: the example in the library's own tests. */
static const unsigned char attn[] =
    "\x40\0\0\0\0\0\0\0{\"attn.0\":{\"dtype\":\"F32\",\"shape\":[1,2,3],"
    "\"data_offsets\":[0,24]}}\0\0\0\0\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40\0\0\x80\x40\0\0\xa0\x40";

static void golden_bytes_are_read(void)
{
    h5ckpt_error *err = NULL;
    const char *path = test_tmp("golden.safetensors");
    test_write(path, attn, sizeof attn - 1);
    h5ckpt_state *s = h5ckpt_state_open(path, NULL, &err);
    test_expect_none(&err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    CU_ASSERT_STRING_EQUAL(h5ckpt_state_format(s), "safetensors");
    const h5ckpt_tensor *t = h5ckpt_tensors_get(h5ckpt_state_parameters(s), "attn.0");
    const h5ckpt_tensor_info *info = h5ckpt_tensor_get_info(t);
    CU_ASSERT_EQUAL(info->dtype, H5CKPT_DTYPE_FLOAT32);
    CU_ASSERT_EQUAL_FATAL(info->rank, 3);
    CU_ASSERT_EQUAL(info->shape[2], 3);
    const float *data = h5ckpt_tensor_data(t, &err);
    CU_ASSERT_EQUAL(data[5], 5.0F);
    h5ckpt_state_free(s);
}

static void golden_bytes_are_written(void)
{
    static const uint64_t shape[] = {1, 2, 3};
    static const float elements[] = {0, 1, 2, 3, 4, 5};
    const h5ckpt_tensor_info info = {.name = "attn.0", .dtype = H5CKPT_DTYPE_FLOAT32, .rank = 3, .shape = shape};
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = h5ckpt_state_new();
    CU_ASSERT_EQUAL(h5ckpt_state_add_tensor(s, 0, &info, elements, &err), 0);
    CU_ASSERT_EQUAL(h5ckpt_state_write(s, test_tmp("attn.safetensors"), NULL, &err), 0);
    test_expect_none(&err);
    size_t len;
    unsigned char *bytes = test_read(test_tmp("attn.safetensors"), &len);
    CU_ASSERT_EQUAL(len, sizeof attn - 1);
    CU_ASSERT_EQUAL(memcmp(bytes, attn, len), 0);
    free(bytes);
    h5ckpt_state_free(s);
}

static void the_librarys_files_come_back_byte_for_byte(void)
{
    static const char *const names[] = {"dtypes", "names", "nothing"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char fixture[64], h5[64], again[64];
        snprintf(fixture, sizeof fixture, "safetensors/%s.safetensors", names[i]);
        snprintf(h5, sizeof h5, "%s.h5", names[i]);
        snprintf(again, sizeof again, "%s.safetensors", names[i]);
        convert(test_fixture(fixture), test_tmp(h5));
        convert(test_tmp(h5), test_tmp(again));
        same_file(test_fixture(fixture), test_tmp(again));
    }
}

/* THE table of dtypes against the order that the library sorts them in. */
static void every_dtype_has_its_place_in_the_order(void)
{
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = h5ckpt_state_new();
    static const uint64_t shape[] = {1};
    static const unsigned char zeros[16];
    const h5ck_dtype *d;
    for (size_t i = 0; (d = h5ck_dtype_at(i)); i++) {
        const h5ckpt_tensor_info info = {.name = d->name, .dtype = d->id, .rank = 1, .shape = shape};
        if (d->safetensors)
            CU_ASSERT_EQUAL(h5ckpt_state_add_tensor(s, 0, &info, zeros, &err), 0);
    }
    CU_ASSERT_EQUAL(h5ckpt_state_write(s, test_tmp("order.safetensors"), NULL, &err), 0);
    h5ckpt_state *back = opened(test_tmp("order.safetensors"), &err);
    h5ckpt_state *library = opened(test_fixture("safetensors/dtypes.safetensors"), &err);
    test_expect_none(&err);
    CU_ASSERT_EQUAL(h5ckpt_tensors_count(h5ckpt_state_parameters(back)),
                    h5ckpt_tensors_count(h5ckpt_state_parameters(library)));
    uint64_t before = 0;
    for (size_t i = 0; i < h5ckpt_tensors_count(h5ckpt_state_parameters(library)); i++) { /* in its order */
        const h5ckpt_tensor *l = h5ckpt_tensors_at(h5ckpt_state_parameters(library), i);
        const h5ckpt_tensor *b = h5ckpt_tensors_get(h5ckpt_state_parameters(back), l->info.name);
        CU_ASSERT_PTR_NOT_NULL_FATAL(b);
        CU_ASSERT_TRUE(b->extent.offset > before);
        before = b->extent.offset;
    }
    h5ckpt_state_free(s);
    h5ckpt_state_free(back);
    h5ckpt_state_free(library);
}

static void complex128_is_refused(void)
{
    static const double one[2] = {1, 0};
    const h5ckpt_tensor_info info = {.name = "z", .dtype = H5CKPT_DTYPE_COMPLEX128};
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = h5ckpt_state_new();
    CU_ASSERT_EQUAL(h5ckpt_state_add_tensor(s, 0, &info, one, &err), 0);
    CU_ASSERT_EQUAL(h5ckpt_state_write(s, test_tmp("z.safetensors"), NULL, &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, "'z': expected a dtype that safetensors has, found complex128");
    CU_ASSERT_FALSE(test_exists(test_tmp("z.safetensors")));
    h5ckpt_state_free(s);
}

/* ---- Rules of the reader: what is fine ---- */

#define T     "{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[0,1]}"
#define T2    "{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[1,2]}"
#define E(at) "{\"dtype\":\"I8\",\"shape\":[0],\"data_offsets\":[" at "," at "]}"

static void what_the_library_takes_is_read(void)
{
    accepted("{}", 0, "");
    accepted("{}\r \t\n", 0, "");
    accepted("{\"a\":" T "}", 1, "a");
    accepted("{\"b\":" T2 ",\"a\":" T "}", 2, "b a"); /* the order is the header's */
    accepted("{\"\\u0061\":" T "}", 1, "a");
    accepted("{\"e\":" E("0") ",\"a\":" T ",\"f\":" E("0") ",\"g\":" E("1") "}", 1, "e a f g");
    accepted("{\"a\":{\"data_offsets\":[0,1],\"new\":{\"x\":[]},\"shape\":[],\"dtype\":\"BOOL\"}}", 1, "a");
    accepted("{\"a\":{\"dtype\":\"I8\",\"shape\":[0,9223372036854775807,2],\"data_offsets\":[0,0]}}", 0, "a");
    accepted("{\"__metadata__\":null}", 0, "");
    accepted("{\"b\":{\"dtype\":\"I16\",\"shape\":[1],\"data_offsets\":[1,3]},\"a\":" T "}", 3,
             "b a"); /* not aligned */
}

static void metadata_may_stand_behind_the_tensors(void)
{
    static const char header[] =
        "{\"w\":" T ",\"m\":" T2 ",\"__metadata__\":{\"k\":\"v\",\"h5ckpt.optimizer_state\":\"[\\\"m\\\"]\"}}";
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = opened(made("behind.safetensors", header, strlen(header), 2), &err);
    test_expect_none(&err);
    CU_ASSERT_STRING_EQUAL(names_of(h5ckpt_state_parameters(s)), "w");
    CU_ASSERT_STRING_EQUAL(names_of(h5ckpt_state_optimizer_state(s)), "m");
    CU_ASSERT_EQUAL(h5ckpt_state_metadata(s)->count, 1);
    CU_ASSERT_STRING_EQUAL(h5ckpt_value_get(h5ckpt_state_metadata(s), "k")->as.str, "v");
    h5ckpt_state_free(s);
}

static void metadata_that_a_state_cannot_hold_is_noted(void)
{
    static const char header[] = "{\"__metadata__\":{\"\":\"x\",\"z\":\"a\\u0000b\",\"k\":\"v\"}}";
    h5ckpt_error *err = NULL;
    h5ck_buf notes = H5CK_BUF_INIT;
    h5ckpt_options o = H5CKPT_OPTIONS_INIT;
    o.note = note_into;
    o.note_user = &notes;
    h5ckpt_state *s = h5ckpt_state_open(made("noted.safetensors", header, strlen(header), 0), &o, &err);
    test_expect_none(&err);
    CU_ASSERT_EQUAL(h5ckpt_state_metadata(s)->count, 1);
    CU_ASSERT_STRING_EQUAL(h5ck_buf_cstr(&notes), "metadata '': left out: expected a key, found an empty one|"
                                                  "metadata 'z': left out: there are zero bytes in it|");
    h5ck_buf_free(&notes);
    h5ckpt_state_free(s);
}

/* ---- What is refused ---- */

static void wrong_lengths_are_refused(void)
{
    unsigned char bytes[16] = {0};
    const char *path = test_tmp("length.safetensors");
    test_write(path, bytes, 0);
    refused_path(path, "offset 0: expected the 8 bytes of the header's length, found a file of 0");
    test_write(path, bytes, 7);
    refused_path(path, "found a file of 7");
    test_write(path, bytes, 8); /* a header of no bytes */
    refused_path(path, "offset 8: expected a value, found the end of the JSON text");
    h5ck_le_put(bytes, 9, 8);
    test_write(path, bytes, 16);
    refused_path(path, "offset 0: expected a header of 9 bytes, found 8 more in the file");
    h5ck_le_put(bytes, 100000001, 8);
    test_write(path, bytes, 16);
    refused_path(path, "expected a header of at most 100000000 bytes, found a length of 100000001");
    h5ck_le_put(bytes, UINT64_MAX, 8);
    test_write(path, bytes, 16);
    refused_path(path, "at most 100000000 bytes");
}

static void wrong_headers_are_refused(void)
{
    refused(" {}", 0, "offset 8: expected a header that begins with '{', found the byte 0x20");
    refused("[]", 0, "begins with '{'");
    refused("{", 0, "offset 9: expected a key or '}', found the end");
    refused("{}{}", 0, "offset 10: expected the end of the JSON text, found '{'");
    refused("{\"\xff\":" T "}", 1, "UTF-8");
    refused("{\"a\":" T ",\"a\":" T "}", 1, "'a': expected each name once");
    refused("{\"a\":" T ",\"\\u0061\":" T2 "}", 2, "'a': expected each name once");
    refused("{\"\":" T "}", 1, "expected a name for the tensor, found an empty one");
    refused("{\"a\\u0000\":" T "}", 1, "expected a name without zero bytes");
    refused("{\"a\":[\"I8\",[1],[0,1]]}", 1, "'a': offset 13: expected an object, found an array");
    refused("{\"a\":null}", 0, "'a': offset 13: expected an object, found null");
}

static void wrong_metadata_are_refused(void)
{
    refused("{\"__metadata__\":[]}", 0, "expected an object of strings, found an array");
    refused("{\"__metadata__\":{\"a\":1}}", 0, "expected a string in the metadata, found a number");
    refused("{\"__metadata__\":{\"a\":{}}}", 0, "expected a string in the metadata, found an object");
    refused("{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}", 0,
            "expected each key of the metadata once, found a second 'a'");
    refused("{\"__metadata__\":{},\"__metadata__\":{}}", 0, "expected the metadata once");
    refused("{\"__metadata__\":{\"h5ckpt.decays\":\"x\"}}", 0, "'h5ckpt.decays': ");
}

#define TENSOR(dtype, shape, offsets) "{\"a\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

static void wrong_fields_are_refused(void)
{
    refused("{\"a\":{\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "'a': offset 46: expected the field 'dtype'");
    refused("{\"a\":{\"dtype\":\"I8\",\"data_offsets\":[0,1]}}", 1, "expected the field 'shape'");
    refused("{\"a\":{\"dtype\":\"I8\",\"shape\":[1]}}", 1, "expected the field 'data_offsets'");
    refused("{\"a\":{\"dtype\":\"I8\",\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1,
            "expected each field once, found a second 'dtype'");
    refused(TENSOR("\"I9\"", "[1]", "[0,1]"), 1, "'a': offset 22: expected a dtype that h5ckpt knows, found 'I9'");
    refused(TENSOR("\"i8\"", "[1]", "[0,1]"), 1, "found 'i8'");
    refused(TENSOR("8", "[1]", "[0,1]"), 1, "expected a string, found a number");
    refused(TENSOR("\"F4\"", "[2]", "[0,1]"), 1, "expected elements of whole bytes, found the dtype 'F4'");
    refused(TENSOR("\"F6_E2M3\"", "[4]", "[0,3]"), 3, "expected elements of whole bytes, found the dtype 'F6_E2M3'");
    refused(TENSOR("\"F8_E8M0\"", "[1]", "[0,1]"), 1, "expected a dtype that h5ckpt knows, found 'F8_E8M0'");
    refused(TENSOR("\"F8_E4M3FNUZ\"", "[1]", "[0,1]"), 1, "found 'F8_E4M3FNUZ'");
    refused(TENSOR("\"I8\"", "[-1]", "[0,1]"), 1,
            "expected a dimension, a whole number of 64 bits that is not negative, found -1");
    refused(TENSOR("\"I8\"", "[1.0]", "[0,1]"), 1,
            "expected a dimension, a whole number of 64 bits that is not negative, found 1.0");
    refused(TENSOR("\"I8\"", "[18446744073709551616]", "[0,1]"), 1, "found 18446744073709551616");
    refused(TENSOR("\"I8\"", "[1,[1]]", "[0,1]"), 1, "expected a dimension");
    refused(TENSOR("\"I8\"", "1", "[0,1]"), 1, "expected an array, found a number");
    refused(TENSOR("\"I8\"", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", "[0,1]"), 1,
            "expected at most 32 dimensions, found more");
    refused(TENSOR("\"I8\"", "[1]", "[0]"), 1, "expected an offset");
    refused(TENSOR("\"I8\"", "[1]", "[0,1,1]"), 1, "expected two offsets, the begin and the end, found a number");
    refused(TENSOR("\"I8\"", "[1]", "[0,\"1\"]"), 1, "expected an offset");
}

static void wrong_sizes_are_refused(void)
{
    refused(TENSOR("\"I8\"", "[1]", "[1,0]"), 1,
            "'a': offset 9: expected an end behind the begin, found offsets 1 to 0");
    refused(TENSOR("\"I32\"", "[2,2]", "[0,4]"), 4,
            "'a': offset 9: expected 16 bytes, as dtype and shape say, found 4");
    refused(TENSOR("\"I32\"", "[2,18446744073709551614]", "[0,16]"), 16, "'a'");
    refused(TENSOR("\"I32\"", "[2,9223372036854775807]", "[0,16]"), 16, "'a'");
    refused(TENSOR("\"I8\"", "[18446744073709551615,2,0]", "[0,0]"), 0, "'a'");
    refused(TENSOR("\"I8\"", "[9223372036854775807,3,0]", "[0,0]"), 0, "a number of elements that 64 bits hold");
}

static void holes_and_overlaps_are_refused(void)
{
    refused(TENSOR("\"I8\"", "[1]", "[1,2]"), 2,
            "'a': offset 9: expected elements that begin at 0, where those before end, found 1");
    refused("{\"a\":" T ",\"b\":" T "}", 2, "expected elements that begin at 1, where those before end, found 0");
    refused("{\"b\":{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[2,3]},\"a\":" T "}", 3,
            "'b': offset 9: expected elements that begin at 1, where those before end, found 2");
    refused("{\"a\":" T "}", 2, "offset 61: expected 1 bytes of elements, found 2");
    refused("{\"a\":" T "}", 0, "'a': offset 9: expected elements in the file's 0 bytes behind the header");
    refused("{}", 1, "expected 0 bytes of elements, found 1");
    refused(TENSOR("\"I8\"", "[1]", "[18446744073709551614,18446744073709551615]"), 1, "'a'");
}

static void every_cut_is_refused(void)
{
    test_refuses_every_cut(test_fixture("safetensors/dtypes.safetensors"), "safetensors");
    test_refuses_every_cut(test_fixture("safetensors/names.safetensors"), "safetensors");
}

/* Half a download says so, rather than that it is nothing known. */
static void a_cut_file_is_still_known_by_its_content(void)
{
    h5ckpt_error *err = NULL;
    test_write(test_tmp("cut"), attn, 40);
    CU_ASSERT_PTR_NULL(h5ckpt_state_open(test_tmp("cut"), NULL, &err));
    test_expect_error(&err, H5CKPT_INVALID, "expected a header of 64 bytes, found 32 more in the file");
}

/* ---- All of a state ---- */

static void add(h5ckpt_state *s, int optimizer, const char *name, h5ckpt_dtype dtype)
{
    static const uint64_t shape[] = {3};
    static const unsigned char elements[64] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    const h5ckpt_tensor_info info = {.name = name, .dtype = dtype, .rank = 1, .shape = shape};
    h5ckpt_error *err = NULL;
    CU_ASSERT_EQUAL(h5ckpt_state_add_tensor(s, optimizer, &info, elements, &err), 0);
    test_expect_none(&err);
}

static h5ckpt_state *rich(void)
{
    static const h5ckpt_field fields[] = {
        {{.type = H5CKPT_STR, .count = 8, .as.str = "step_num"}, {.type = H5CKPT_INT, .as.i = 7}},
        {{.type = H5CKPT_STR, .count = 9, .as.str = "step_size"}, {.type = H5CKPT_FLOAT, .as.f = 1}},
        {{.type = H5CKPT_STR, .count = 5, .as.str = "dtype"}, {.type = H5CKPT_STR, .count = 7, .as.str = "float32"}}};
    static const h5ckpt_object decay = {"paddle.fluid.dygraph.learning_rate_scheduler", "NoamDecay", 3, fields};
    const h5ckpt_value value = {.type = H5CKPT_OBJECT, .as.object = &decay};
    h5ckpt_state *s = h5ckpt_state_new();
    add(s, 0, "z", H5CKPT_DTYPE_INT8);
    add(s, 0, "__metadata__", H5CKPT_DTYPE_FLOAT32);
    add(s, 0, "a", H5CKPT_DTYPE_FLOAT16);
    add(s, 1, "a", H5CKPT_DTYPE_FLOAT64);
    add(s, 1, "a_moment", H5CKPT_DTYPE_INT8);
    CU_ASSERT_EQUAL(h5ckpt_state_set_metadata(s, "format", "pt", NULL), 0);
    CU_ASSERT_EQUAL(h5ckpt_state_add_decay(s, "None", &value, NULL), 0);
    return s;
}

static void is_rich(const char *path)
{
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = h5ckpt_state_open(path, NULL, &err), *all = rich();
    test_expect_none(&err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    CU_ASSERT_STRING_EQUAL(names_of(h5ckpt_state_parameters(s)), "z __metadata__ a");
    CU_ASSERT_STRING_EQUAL(names_of(h5ckpt_state_optimizer_state(s)), "a a_moment");
    const double *elements = h5ckpt_tensor_data(h5ckpt_tensors_at(h5ckpt_state_optimizer_state(s), 0), &err);
    CU_ASSERT_EQUAL(memcmp(elements, "\1\2\3\4\5\6\7\10", 8), 0);
    CU_ASSERT_TRUE(h5ck_value_equal(h5ckpt_state_metadata(s), h5ckpt_state_metadata(all)));
    CU_ASSERT_TRUE(h5ck_value_equal(h5ckpt_decay_get_info(h5ckpt_decays_get(h5ckpt_state_decays(s), "None"))->value,
                                    h5ckpt_decay_get_info(h5ckpt_decays_get(h5ckpt_state_decays(all), "None"))->value));
    h5ckpt_state_free(all);
    h5ckpt_state_free(s);
}

static void all_of_a_state_comes_back_in_order(void)
{
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = rich();
    h5ck_buf notes = H5CK_BUF_INIT;
    h5ckpt_options o = H5CKPT_OPTIONS_INIT;
    o.note = note_into;
    o.note_user = &notes;
    CU_ASSERT_EQUAL(h5ckpt_state_write(s, test_tmp("rich.safetensors"), &o, &err), 0);
    test_expect_none(&err);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(h5ck_buf_cstr(&notes), "rich.safetensors: 2 tensors of the optimizer state among the parameters"));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(h5ck_buf_cstr(&notes), "rich.safetensors: 1 learning-rate decay in the metadata as 'h5ckpt.decays'"));
    h5ck_buf_free(&notes);
    h5ckpt_state_free(s);
    is_rich(test_tmp("rich.safetensors"));
    convert(test_tmp("rich.safetensors"), test_tmp("rich.h5"));
    convert(test_tmp("rich.h5"), test_tmp("rich2.safetensors"));
    same_file(test_tmp("rich.safetensors"), test_tmp("rich2.safetensors"));
}

/* The header follows the dictionary; the elements lie as the library lays them. */
static void another_order_moves_no_element(void)
{
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = h5ckpt_state_new();
    add(s, 0, "b", H5CKPT_DTYPE_FLOAT32);
    add(s, 0, "a", H5CKPT_DTYPE_FLOAT32);
    CU_ASSERT_EQUAL(h5ckpt_state_write(s, test_tmp("ba.safetensors"), NULL, &err), 0);
    test_expect_none(&err);
    size_t len;
    unsigned char *bytes = test_read(test_tmp("ba.safetensors"), &len);
    static const char header[] = "{\"b\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[12,24]},"
                                 "\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12]}}";
    CU_ASSERT_EQUAL(memcmp(bytes + 8, header, strlen(header)), 0);
    free(bytes);
    h5ckpt_state_free(s);
}

static void a_decay_is_explained(void)
{
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = opened(test_tmp("rich.safetensors"), &err);
    char *text = h5ckpt_explain(s, h5ckpt_tensors_at(h5ckpt_state_parameters(s), 2), NULL, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"a\":{\"dtype\":\"F16\",\"shape\":[3],\"data_offsets\":[36,42]}"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "data: 6 bytes of float16"));
    free(text);
    text = h5ckpt_explain(s, NULL, h5ckpt_decays_at(h5ckpt_state_decays(s), 0), &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "h5ckpt.decays"));
    free(text);
    test_expect_none(&err);
    h5ckpt_state_free(s);
}

/* ---- Shards ---- */

static void the_librarys_shards_are_read(void)
{
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = h5ckpt_state_open(test_fixture("safetensors/sharded.safetensors.index.json"), NULL, &err);
    test_expect_none(&err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    CU_ASSERT_STRING_EQUAL(names_of(h5ckpt_state_parameters(s)), "layer.0.bias layer.0.weight layer.1.weight");
    const float *w = h5ckpt_tensor_data(h5ckpt_tensors_get(h5ckpt_state_parameters(s), "layer.0.weight"), &err);
    CU_ASSERT_EQUAL(w[5], 5.0F);
    CU_ASSERT_STRING_EQUAL(h5ckpt_value_get(h5ckpt_state_metadata(s), "format")->as.str, "pt");
    h5ckpt_state_free(s);
}

/* Writes `s` as shards of at most `most` bytes, by the plan itself: the public call's 5 GB are too many for a test. */
static void write_shards(h5ckpt_state *s, const char *target, uint64_t most)
{
    h5ck_plan plan = {.target = target};
    const h5ck_move_options how = {.jobs = 1};
    h5ckpt_error *err = NULL;
    plan.stage = target;
    CU_ASSERT_EQUAL(h5ck_fmt_safetensors_plan_shards(s, &plan, most, &err), 0);
    CU_ASSERT_EQUAL(h5ck_move(&plan, &how, &err), 0);
    test_expect_none(&err);
    for (size_t i = 0; i < plan.file_count; i++)
        if (plan.files[i].companion)
            CU_ASSERT_EQUAL(rename(plan.files[i].companion->stage, plan.files[i].companion->path), 0);
    h5ck_plan_free(&plan);
}

static void shards_hold_what_they_may_and_come_back(void)
{
    h5ckpt_state *s = rich();
    size_t len;
    write_shards(s, test_tmp("r.safetensors.index.json"), 17);
    static const char index[] =
        "{\n  \"metadata\": {\n    \"total_size\": 48,\n"
        "    \"h5ckpt.optimizer_state\": \"[\\\"h5ckpt.1\\\", \\\"a_moment\\\"]\",\n"
        "    \"h5ckpt.names\": \"{\\\"h5ckpt.0\\\": \\\"__metadata__\\\", \\\"h5ckpt.1\\\": \\\"a\\\"}\",\n"
        "    \"h5ckpt.decays\": \"{\\\"None\\\": {\\\"$object\\\": "
        "[\\\"paddle.fluid.dygraph.learning_rate_scheduler\\\", "
        "\\\"NoamDecay\\\", {\\\"step_num\\\": 7, \\\"step_size\\\": 1.0, \\\"dtype\\\": \\\"float32\\\"}]}}\"\n  },\n"
        "  \"weight_map\": {\n"
        "    \"z\": \"r-00001-of-00004.safetensors\",\n"
        "    \"h5ckpt.0\": \"r-00001-of-00004.safetensors\",\n"
        "    \"a\": \"r-00002-of-00004.safetensors\",\n"
        "    \"h5ckpt.1\": \"r-00003-of-00004.safetensors\",\n"
        "    \"a_moment\": \"r-00004-of-00004.safetensors\"\n  }\n}\n";
    unsigned char *bytes = test_read(test_tmp("r.safetensors.index.json"), &len);
    CU_ASSERT_STRING_EQUAL((char *)bytes, index);
    free(bytes);
    is_rich(test_tmp("r.safetensors.index.json"));
    h5ckpt_state_free(s);
    h5ckpt_state *one = opened(test_tmp("r-00002-of-00004.safetensors"), NULL);
    CU_ASSERT_STRING_EQUAL(names_of(h5ckpt_state_parameters(one)), "a");
    CU_ASSERT_STRING_EQUAL(h5ckpt_value_get(h5ckpt_state_metadata(one), "format")->as.str, "pt");
    h5ckpt_state_free(one);
}

static void the_public_call_writes_shards_and_index(void)
{
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = rich();
    CU_ASSERT_EQUAL(h5ckpt_state_write(s, test_tmp("p.safetensors.index.json"), NULL, &err), 0);
    test_expect_none(&err);
    is_rich(test_tmp("p.safetensors.index.json"));
    CU_ASSERT_TRUE(test_exists(test_tmp("p-00001-of-00001.safetensors")));
    CU_ASSERT_EQUAL(h5ckpt_state_write(s, test_tmp("p.safetensors.index.json"), NULL, &err), H5CKPT_USAGE);
    h5ckpt_error_free(err);
    h5ckpt_state_free(s);
}

/* The source is never written to, not even where its user forces it. */
static void a_shard_of_the_source_is_no_target(void)
{
    h5ckpt_error *err = NULL;
    h5ckpt_options o = H5CKPT_OPTIONS_INIT;
    o.force = 1;
    h5ckpt_state *s = rich();
    CU_ASSERT_EQUAL(h5ckpt_state_write(s, test_tmp("own.safetensors.index.json"), &o, &err), 0);
    CU_ASSERT_EQUAL(
        h5ckpt_convert(test_tmp("own.safetensors.index.json"), test_tmp("own-00001-of-00001.safetensors"), &o, &err),
        H5CKPT_USAGE);
    test_expect_error(&err, H5CKPT_USAGE,
                      "own-00001-of-00001.safetensors: the target is, or holds, a file that elements");
    is_rich(test_tmp("own.safetensors.index.json"));
    h5ckpt_state_free(s);
}

static void an_empty_state_needs_no_shard(void)
{
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = h5ckpt_state_new();
    CU_ASSERT_EQUAL(h5ckpt_state_set_metadata(s, "k", "v", &err), 0);
    CU_ASSERT_EQUAL(h5ckpt_state_write(s, test_tmp("empty.safetensors.index.json"), NULL, &err), 0);
    h5ckpt_state_free(s);
    s = opened(test_tmp("empty.safetensors.index.json"), &err);
    test_expect_none(&err);
    CU_ASSERT_EQUAL(h5ckpt_tensors_count(h5ckpt_state_parameters(s)), 0);
    CU_ASSERT_STRING_EQUAL(h5ckpt_value_get(h5ckpt_state_metadata(s), "k")->as.str, "v");
    h5ckpt_state_free(s);
}

static void refused_index(const char *text, const char *why)
{
    const char *path = test_tmp("i.safetensors.index.json");
    test_write(path, text, strlen(text));
    refused_path(path, why);
}

static void wrong_indexes_are_refused(void)
{
    made("one.safetensors", "{\"a\":" T "}", strlen("{\"a\":" T "}"), 1);
    made("two.safetensors", "{\"b\":" T "}", strlen("{\"b\":" T "}"), 1);
    refused_index("{\"weight_map\": {\"a\": \"one.safetensors\", \"b\": \"one.safetensors\"}}",
                  "one.safetensors: 'b': expected the tensor, which the index's weight_map puts here, found none");
    refused_index("{\"weight_map\": {\"b\": \"one.safetensors\"}}",
                  "'a': expected only tensors that the index's weight_map has, found another");
    refused_index("{\"weight_map\": {\"a\": \"two.safetensors\", \"b\": \"one.safetensors\"}}",
                  "expected it in one.safetensors, as the index's weight_map says, found it here");
    refused_index("{\"weight_map\": {\"a\": \"none.safetensors\"}}", "none.safetensors: ");
    refused_index("{\"weight_map\": {\"a\": \"../one.safetensors\"}}",
                  "'a': offset 21: expected the plain name of a file");
    refused_index("{\"weight_map\": {\"a\": \"/one.safetensors\"}}", "expected the plain name of a file");
    refused_index("{\"weight_map\": {\"a\": \"one.safetensors\\u0000\"}}", "expected the plain name of a file");
    refused_index("{\"weight_map\": {\"a\": \".safetensors\"}}", "expected the plain name of a file");
    refused_index("{\"weight_map\": {\"a\": \"model-00001.bin\"}}", "expected a file whose name ends in .safetensors");
    refused_index("{\"weight_map\": {\"a\": 1}}", "'a': offset 21: expected a string, found a number");
    refused_index("{\"weight_map\": {\"a\": \"one.safetensors\", \"a\": \"two.safetensors\"}}",
                  "'a': offset 40: expected each name once");
    refused_index("{\"weight_map\": {}, \"weight_map\": {}}", "expected each key once");
    refused_index("{\"metadata\": {}, \"metadata\": {}, \"weight_map\": {}}", "expected each key once");
    refused_index("{\"metadata\": 1, \"weight_map\": {}}", "expected an object, found a number");
    refused_index("{\"weight_map\": []}", "expected an object, found an array");
}

static void every_cut_of_an_index_is_refused(void)
{
    size_t len;
    unsigned char *bytes = test_read(test_fixture("safetensors/sharded.safetensors.index.json"), &len);
    const char *path = test_tmp("cut.safetensors.index.json");
    for (size_t n = 0; n + 1 < len; n++) { /* without the last line's end it is whole */
        h5ckpt_error *err = NULL;
        test_write(path, bytes, n);
        CU_ASSERT_PTR_NULL(opened(path, &err));
        test_expect_error(&err, H5CKPT_INVALID, "");
    }
    free(bytes);
}

/* A download cache is made of links: the user's own path may be one, and so may a shard. */
static void a_shard_may_be_a_link(void)
{
    static const char index[] = "{\"weight_map\": {\"a\": \"link.safetensors\"}}";
    h5ckpt_error *err = NULL;
    made("blob", "{\"a\":" T "}", strlen("{\"a\":" T "}"), 1);
    CU_ASSERT_EQUAL(symlink("blob", test_tmp("link.safetensors")), 0);
    test_write(test_tmp("link.safetensors.index.json"), index, strlen(index));
    h5ckpt_state *s = h5ckpt_state_open(test_tmp("link.safetensors.index.json"), NULL, &err);
    test_expect_none(&err);
    CU_ASSERT_STRING_EQUAL(names_of(h5ckpt_state_parameters(s)), "a");
    h5ckpt_state_free(s);
}

int main(void)
{
    static const test_case cases[] = {
        {"golden bytes are read", golden_bytes_are_read},
        {"golden bytes are written", golden_bytes_are_written},
        {"the library's files come back byte for byte", the_librarys_files_come_back_byte_for_byte},
        {"every dtype has its place in the order", every_dtype_has_its_place_in_the_order},
        {"complex128 is refused", complex128_is_refused},
        {"what the library takes is read", what_the_library_takes_is_read},
        {"metadata may stand behind the tensors", metadata_may_stand_behind_the_tensors},
        {"metadata that a state cannot hold is noted", metadata_that_a_state_cannot_hold_is_noted},
        {"wrong lengths are refused", wrong_lengths_are_refused},
        {"wrong headers are refused", wrong_headers_are_refused},
        {"wrong metadata are refused", wrong_metadata_are_refused},
        {"wrong fields are refused", wrong_fields_are_refused},
        {"wrong sizes are refused", wrong_sizes_are_refused},
        {"holes and overlaps are refused", holes_and_overlaps_are_refused},
        {"every cut is refused", every_cut_is_refused},
        {"a cut file is still known by its content", a_cut_file_is_still_known_by_its_content},
        {"all of a state comes back in order", all_of_a_state_comes_back_in_order},
        {"another order moves no element", another_order_moves_no_element},
        {"a tensor and a decay are explained", a_decay_is_explained},
        {"the library's shards are read", the_librarys_shards_are_read},
        {"shards hold what they may and come back", shards_hold_what_they_may_and_come_back},
        {"the public call writes shards and index", the_public_call_writes_shards_and_index},
        {"a shard of the source is no target", a_shard_of_the_source_is_no_target},
        {"an empty state needs no shard", an_empty_state_needs_no_shard},
        {"wrong indexes are refused", wrong_indexes_are_refused},
        {"every cut of an index is refused", every_cut_of_an_index_is_refused},
        {"a shard may be a link", a_shard_may_be_a_link},
        {NULL, NULL}};
    return test_run("safetensors", cases);
}
