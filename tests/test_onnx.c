/*
 * test_onnx.c - ONNX initializers: every element type, as raw bytes, as numbers of protobuf and in another file, from
 * models that the Python package onnx wrote; one hostile model for each rule that refuses.
 */
#include "base/buf.h"
#include "format/format.h"
#include "model/state.h"
#include "parse/protobuf.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- Helpers ---- */

static h5ckpt_state *opened(const char *path, h5ckpt_external external)
{
    h5ckpt_options o = H5CKPT_OPTIONS_INIT;
    h5ckpt_error *err = NULL;
    o.allow_external = external;
    h5ckpt_state *s = h5ckpt_state_open(path, &o, &err);
    test_expect_none(&err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    return s;
}

static void refused_with(const char *path, h5ckpt_external external, const char *why)
{
    h5ckpt_options o = H5CKPT_OPTIONS_INIT;
    h5ckpt_error *err = NULL;
    o.allow_external = external;
    o.from = "onnx";
    h5ckpt_state *s = h5ckpt_state_open(path, &o, &err);
    CU_ASSERT_PTR_NULL(s);
    test_expect_error(&err, H5CKPT_INVALID, why);
    h5ckpt_state_free(s);
}

static void put_message(h5ck_buf *out, uint32_t field, const void *bytes, size_t len)
{
    h5ck_pb_put_tag(out, field, H5CK_PB_LENGTH);
    h5ck_pb_put_varint(out, len);
    h5ck_buf_add(out, bytes, len);
}

/* A model whose graph has this one field. */
static void write_model(const char *name, uint32_t field, const void *bytes, size_t len)
{
    h5ck_buf graph = H5CK_BUF_INIT, model = H5CK_BUF_INIT;
    put_message(&graph, field, bytes, len);
    h5ck_buf_add(&model, "\x08\x0a", 2);
    put_message(&model, 7, graph.data, graph.len);
    test_write(test_tmp(name), model.data, model.len);
    h5ck_buf_free(&graph);
    h5ck_buf_free(&model);
}

static const h5ckpt_tensor *first_of(const h5ckpt_state *s)
{
    return h5ckpt_tensors_at(h5ckpt_state_parameters(s), 0);
}

/* ---- The real package's ---- */

static void raw_and_typed_elements_are_the_same(void)
{
    h5ckpt_error *err = NULL;
    h5ckpt_state *a = opened(test_fixture("onnx/raw.onnx"), H5CKPT_EXTERNAL_REFUSED);
    h5ckpt_state *b = opened(test_fixture("onnx/typed.onnx"), H5CKPT_EXTERNAL_REFUSED);
    const h5ckpt_tensors *raw = h5ckpt_state_parameters(a), *typed = h5ckpt_state_parameters(b);
    CU_ASSERT_STRING_EQUAL(h5ckpt_state_format(a), "onnx");
    CU_ASSERT_EQUAL_FATAL(h5ckpt_tensors_count(raw), 17);
    CU_ASSERT_EQUAL_FATAL(h5ckpt_tensors_count(typed), 18); /* and an empty one */
    for (size_t i = 0; i < 17; i++) {
        const h5ckpt_tensor *x = h5ckpt_tensors_at(raw, i), *y = h5ckpt_tensors_at(typed, i);
        const h5ckpt_tensor_info *info = h5ckpt_tensor_get_info(x);
        const void *p = h5ckpt_tensor_data(x, &err), *q = h5ckpt_tensor_data(y, &err);
        CU_ASSERT_EQUAL(info->dtype, h5ckpt_tensor_get_info(y)->dtype);
        CU_ASSERT_TRUE(info->rank == 2 && info->shape[0] == 2 && info->shape[1] == 3);
        CU_ASSERT_TRUE(p && q && memcmp(p, q, (size_t)info->nbytes) == 0);
    }
    test_expect_none(&err);
    h5ckpt_state_free(a);
    h5ckpt_state_free(b);
}

static void values_are_the_writers(void)
{
    static const int16_t int16[] = {-2, -1, 0, 1, 2, 3};
    static const float float32[] = {-2, -1, 0, 1, 2, 3};
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = opened(test_fixture("onnx/typed.onnx"), H5CKPT_EXTERNAL_REFUSED);
    const h5ckpt_tensors *all = h5ckpt_state_parameters(s);
    CU_ASSERT_EQUAL(memcmp(h5ckpt_tensor_data(h5ckpt_tensors_get(all, "INT16"), &err), int16, sizeof int16), 0);
    CU_ASSERT_EQUAL(memcmp(h5ckpt_tensor_data(h5ckpt_tensors_get(all, "FLOAT"), &err), float32, sizeof float32), 0);
    CU_ASSERT_EQUAL(h5ckpt_tensors_get(all, "FLOAT")->extent.kind, H5CK_EXTENT_FILE);
    CU_ASSERT_EQUAL(h5ckpt_tensors_get(all, "COMPLEX128")->extent.kind, H5CK_EXTENT_FILE);
    CU_ASSERT_EQUAL(h5ckpt_tensors_get(all, "INT16")->extent.kind, H5CK_EXTENT_DECODER);
    CU_ASSERT_STRING_EQUAL(h5ckpt_value_get(h5ckpt_state_metadata(s), "language")->as.str, "\xe6\x97\xa5\xe6\x9c\xac");
    test_expect_none(&err);
    h5ckpt_state_free(s);
}

static void note_into(void *user, const char *line)
{
    h5ck_buf_printf(user, "%s|", line);
}

static void tensors_of_nodes_are_noted(void)
{
    h5ckpt_options o = H5CKPT_OPTIONS_INIT;
    h5ck_buf notes = H5CK_BUF_INIT;
    o.note = note_into;
    o.note_user = &notes;
    h5ckpt_state_free(h5ckpt_state_open(test_fixture("onnx/typed.onnx"), &o, NULL));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(h5ck_buf_cstr(&notes), "not the tensors of 1 Constant nodes and of graphs in 0 nodes|"));
    notes.len = 0;
    write_model("if.onnx", 1, "\x22\2If\x2a\x04\x0a\0\x32\0", 10);
    h5ckpt_state_free(h5ckpt_state_open(test_tmp("if.onnx"), &o, NULL));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(h5ck_buf_cstr(&notes), "not the tensors of 0 Constant nodes and of graphs in 1 nodes|"));
    h5ck_buf_free(&notes);
}

/* ---- Other files ---- */

static void external_data_is_read_only_where_it_is_allowed(void)
{
    static const float a[] = {-2, -1, 0, 1, 2, 3};
    h5ckpt_error *err = NULL;
    const char *path = test_fixture("onnx/external.onnx");
    refused_with(path, H5CKPT_EXTERNAL_REFUSED, "'a': expected elements in this file, found them in 'external.bin'");
    h5ckpt_state *s = opened(path, H5CKPT_EXTERNAL_BELOW);
    CU_ASSERT_EQUAL(memcmp(h5ckpt_tensor_data(first_of(s), &err), a, sizeof a), 0);
    test_expect_none(&err);
    h5ckpt_state_free(s);
}

/* uint8 [2] in a file that the pairs say. */
static void write_external(const char *name, const char *location, const char *offset, const char *length)
{
    const char *const pairs[][2] = {{"location", location}, {"offset", offset}, {"length", length}};
    h5ck_buf tensor = H5CK_BUF_INIT;
    h5ck_buf_add(&tensor, "\x08\2\x10\2\x42\1w\x70\1", 9);
    for (size_t i = 0; i < 3; i++) {
        h5ck_buf pair = H5CK_BUF_INIT;
        if (!pairs[i][1])
            continue;
        put_message(&pair, 1, pairs[i][0], strlen(pairs[i][0]));
        put_message(&pair, 2, pairs[i][1], strlen(pairs[i][1]));
        put_message(&tensor, 13, pair.data, pair.len);
        h5ck_buf_free(&pair);
    }
    write_model(name, 5, tensor.data, tensor.len);
    h5ck_buf_free(&tensor);
}

static void external_data_stays_below_the_models_folder(void)
{
    const char *model = test_tmp("in/m.onnx");
    h5ckpt_error *err = NULL;
    mkdir(test_tmp("in"), 0777);
    test_write(test_tmp("outside"), "\7\x08", 2);
    test_write(test_tmp("in/inside"), "\5\6", 2);
    CU_ASSERT_EQUAL(symlink("../outside", test_tmp("in/link")), 0);
    write_external("in/m.onnx", "inside", NULL, NULL);
    h5ckpt_state *s = opened(model, H5CKPT_EXTERNAL_BELOW);
    CU_ASSERT_EQUAL(memcmp(h5ckpt_tensor_data(first_of(s), &err), "\5\6", 2), 0);
    h5ckpt_state_free(s);
    write_external("in/m.onnx", "../outside", NULL, NULL);
    refused_with(model, H5CKPT_EXTERNAL_BELOW, "found '../outside' (--allow-external=anywhere");
    s = opened(model, H5CKPT_EXTERNAL_ANYWHERE);
    CU_ASSERT_EQUAL(memcmp(h5ckpt_tensor_data(first_of(s), &err), "\7\x08", 2), 0);
    h5ckpt_state_free(s);
    write_external("in/m.onnx", "link", NULL, NULL);
    refused_with(model, H5CKPT_EXTERNAL_BELOW, "found 'link' (--allow-external=anywhere");
    write_external("in/m.onnx", "/etc/passwd", NULL, NULL);
    refused_with(model, H5CKPT_EXTERNAL_BELOW, "found '/etc/passwd'");
    test_expect_none(&err);
}

static void external_data_that_does_not_fit_is_refused(void)
{
    static const struct {
        const char *location, *offset, *length, *why;
    } cases[] = {
        {"two", "1", NULL, "'w': expected 2 bytes at offset 1 of 'two', found a file of 2 bytes"},
        {"two", "18446744073709551615", NULL, "expected a number of bytes, found '18446744073709551615'"},
        {"two", "-1", NULL, "expected a number of bytes, found '-1'"},
        {"two", "", NULL, "expected a number of bytes, found ''"},
        {"two", "0", "1", "expected 2 bytes of elements, found 1 in 'two'"},
        {"none", "0", "2", "No such file"},
        {NULL, "0", "2", "expected the location of external data, found none"},
        {"", "0", "2", "expected the name of a file, found an empty one"},
    };
    test_write(test_tmp("two"), "\1\2", 2);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_external("misfit.onnx", cases[i].location, cases[i].offset, cases[i].length);
        refused_with(test_tmp("misfit.onnx"), H5CKPT_EXTERNAL_BELOW, cases[i].why);
    }
}

/* ---- Numbers of protobuf ---- */

static void numbers_come_packed_or_not_and_in_several_runs(void)
{
    static const char tensor[] =
        "\x08\5\x10\3\x42\1w\x28\1\x2a\2\2\3\x28\xfe\xff\xff\xff\xff\xff\xff\xff\xff\1\x2a\1\5";
    static const signed char expected[] = {1, 2, 3, -2, 5};
    h5ckpt_error *err = NULL;
    signed char two[2];
    write_model("runs.onnx", 5, tensor, sizeof tensor - 1);
    h5ckpt_state *s = opened(test_tmp("runs.onnx"), H5CKPT_EXTERNAL_REFUSED);
    CU_ASSERT_EQUAL(memcmp(h5ckpt_tensor_data(first_of(s), &err), expected, 5), 0);
    CU_ASSERT_EQUAL(h5ckpt_tensor_read(first_of(s), 3, two, 2, &err), 0);
    CU_ASSERT_TRUE(two[0] == -2 && two[1] == 5);
    test_expect_none(&err);
    h5ckpt_state_free(s);
}

/* Enough of them for several marks; read at odd places, across them and inside of an element. */
static void many_numbers_are_read_from_any_place(void)
{
    enum { COUNT = 200000 };
    static const uint64_t places[] = {0, 1, 131071, 131072, 262143, 262145, 399997};
    h5ck_buf numbers = H5CK_BUF_INIT, tensor = H5CK_BUF_INIT;
    h5ckpt_error *err = NULL;
    h5ck_buf_add(&tensor, "\x08\xc0\x9a\x0c\x10\4\x42\1w", 9);
    for (uint64_t i = 0; i < COUNT; i++)
        h5ck_pb_put_varint(&numbers, i % 65536);
    put_message(&tensor, 5, numbers.data, numbers.len);
    write_model("many.onnx", 5, tensor.data, tensor.len);
    h5ckpt_state *s = opened(test_tmp("many.onnx"), H5CKPT_EXTERNAL_REFUSED);
    for (size_t p = 0; p < sizeof places / sizeof *places; p++) {
        unsigned char found[3];
        CU_ASSERT_EQUAL(h5ckpt_tensor_read(first_of(s), places[p], found, sizeof found, &err), 0);
        for (uint64_t i = 0; i < sizeof found; i++) {
            uint64_t at = places[p] + i, v = at / 2 % 65536;
            CU_ASSERT_EQUAL(found[i], at % 2 ? v >> 8 : v & 255);
        }
    }
    CU_ASSERT_EQUAL(h5ckpt_convert(test_tmp("many.onnx"), test_tmp("many.h5"), NULL, &err), 0);
    test_expect_none(&err);
    h5ckpt_state_free(s);
    h5ck_buf_free(&numbers);
    h5ck_buf_free(&tensor);
}

/* ---- Refused ---- */

static void one_hostile_tensor_a_rule(void)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *why;
    } cases[] = {
#define CASE(s, why) {s, sizeof(s) - 1, why}
        CASE("\x08\1\x10\x08\x42\1w\x32\1x",
             "'w': offset 6: expected elements of a type that is known here, found STRING"),
        CASE("\x08\2\x10\x16\x42\1w\x4a\1x", "found INT4: a model is read whole or not at all"),
        CASE("\x08\1\x10\x63\x42\1w\x4a\1x", "found data_type 99"),
        CASE("\x08\1\x42\1w\x4a\1x", "found UNDEFINED"),
        CASE("\x08\2\x10\2\x42\1w\x4a\1x", "'w': offset 15: expected 2 bytes of elements, found 1"),
        CASE("\x08\2\x10\2\x42\1w", "expected 2 bytes of elements, found 0"),
        CASE("\x08\1\x10\2\x42\1w\x4a\1x\x28\1", "expected elements in one place, found several"),
        CASE("\x08\1\x10\2\x42\1w\x38\1", "expected elements in one place, found several"), /* not its field */
        CASE("\x08\1\x10\2\x42\1w\x4a\1x\x70\1", "expected elements in one place, found several"),
        CASE("\x08\1\x10\2\x42\1w\x4a\1x\x70\2", "expected a data_location of 0 or 1, found 2"),
        CASE("\x08\1\x10\2\x42\1w\x1a\0\x4a\1x", "expected a whole tensor, found a segment of one"),
        CASE("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\1\x10\2\x42\1w\x4a\1x",
             "expected a dimension of at least 0, found -1"),
        CASE("\x08\x80\x80\x80\x80\x10\x08\x80\x80\x80\x80\x10\x10\2\x42\1w", "overflows"),
        CASE("\x08\1\x10\2\x4a\1x", "expected a name for the tensor, found an empty one"),
        CASE("\x08\1\x10\2\x42\1\xff\x4a\1x", "expected the name of a tensor in UTF-8"),
        CASE("\x08\2\x10\2\x42\1w\x28\1", "'w': offset 15: expected 2 numbers, found fewer"),
        CASE("\x08\1\x10\2\x42\1w\x28\1\x28\1", "expected 1 numbers, found more"),
        CASE("\x08\1\x10\2\x42\1w\x28\x80\2", "expected a number that the tensor's type holds, found 256"),
        CASE("\x08\1\x10\3\x42\1w\x28\x80\1", "expected a number that the tensor's type holds, found 128"),
        CASE("\x08\1\x10\x09\x42\1w\x28\2", "expected a number that the tensor's type holds, found 2"),
        CASE("\x08\1\x10\x0a\x42\1w\x28\x80\x80\4", "expected a number that the tensor's type holds, found 65536"),
        CASE("\x08\1\x10\1\x42\1w\x20\1", "expected numbers of wire type 5, found type 0"),
        CASE("\x08\xff\xff\xff\xff\x0f\x10\2\x42\1w\x28\1", "numbers, found fewer"),
#undef CASE
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_model("hostile.onnx", 5, cases[i].bytes, cases[i].len);
        refused_with(test_tmp("hostile.onnx"), H5CKPT_EXTERNAL_REFUSED, cases[i].why);
    }
}

static void sparse_initializers_and_models_without_a_graph_are_refused(void)
{
    write_model("sparse.onnx", 15, "", 0);
    refused_with(test_tmp("sparse.onnx"), H5CKPT_EXTERNAL_REFUSED, "offset 4: expected dense tensors, found a sparse");
    test_write(test_tmp("none.onnx"), "\x08\x0a", 2);
    refused_with(test_tmp("none.onnx"), H5CKPT_EXTERNAL_REFUSED, "expected an ONNX model with a graph, found none");
}

static void a_model_cut_anywhere_is_refused(void)
{
    static const char tensor[] = "\x08\2\x10\2\x42\1w\x2a\2\1\2";
    write_model("whole.onnx", 5, tensor, sizeof tensor - 1);
    h5ckpt_state_free(opened(test_tmp("whole.onnx"), H5CKPT_EXTERNAL_REFUSED));
    test_refuses_every_cut(test_tmp("whole.onnx"), NULL);
    test_refuses_every_cut(test_tmp("whole.onnx"), "onnx");
}

static void other_protobufs_are_no_models(void)
{
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = h5ckpt_state_open(test_fixture("paddle_combined/fluid/__model__"), NULL, &err);
    CU_ASSERT_PTR_NULL(s);
    test_expect_error(&err, H5CKPT_INVALID, "found none of them");
    h5ckpt_state_free(s);
    test_write(test_tmp("nothing.onnx"), "", 0);
    CU_ASSERT_PTR_NULL(h5ckpt_state_open(test_tmp("nothing.onnx"), NULL, &err));
    test_expect_error(&err, H5CKPT_INVALID, "found an empty file");
    test_write(test_tmp("cut.pt"), "PK\3\4 and no directory", 22);
    CU_ASSERT_PTR_NULL(h5ckpt_state_open(test_tmp("cut.pt"), NULL, &err));
    test_expect_error(&err, H5CKPT_INVALID, "found a zip archive that is none of them, or that is cut short");
}

static void it_is_not_written(void)
{
    h5ckpt_error *err = NULL;
    CU_ASSERT_EQUAL(h5ckpt_convert(test_fixture("seed_mlp"), test_tmp("x.onnx"), NULL, &err), H5CKPT_USAGE);
    test_expect_error(&err, H5CKPT_USAGE, "x.onnx: expected a format that is written, found onnx, which is only read");
}

int main(void)
{
    static const test_case cases[] = {
        {"raw and typed elements are the same", raw_and_typed_elements_are_the_same},
        {"values are the writer's", values_are_the_writers},
        {"tensors of nodes are noted", tensors_of_nodes_are_noted},
        {"external data is read only where it is allowed", external_data_is_read_only_where_it_is_allowed},
        {"external data stays below the model's folder", external_data_stays_below_the_models_folder},
        {"external data that does not fit is refused", external_data_that_does_not_fit_is_refused},
        {"numbers come packed or not, and in several runs", numbers_come_packed_or_not_and_in_several_runs},
        {"many numbers are read from any place", many_numbers_are_read_from_any_place},
        {"one hostile tensor a rule", one_hostile_tensor_a_rule},
        {"sparse initializers and models without a graph are refused",
         sparse_initializers_and_models_without_a_graph_are_refused},
        {"a model cut anywhere is refused", a_model_cut_anywhere_is_refused},
        {"other protobufs are no models", other_protobufs_are_no_models},
        {"it is not written", it_is_not_written},
        {NULL, NULL},
    };
    return test_run("onnx", cases);
}
