/*
 * test_foreign.c - HDF5 files of other programs by schema: names, order and values of files that Keras 3 wrote
 * (tests/fixtures/keras), the way through h5ckpt's own form and back, what is written from nothing, and what is refused.
 */
#include "test.h"

#include "hdf5/h5.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char notes[4096];

static void take_note(void *user, const char *line)
{
    (void)user;
    size_t n = strlen(notes);
    snprintf(notes + n, sizeof notes - n, "%s\n", line);
}

static h5ckpt_options by(const char *schema, const char *to_schema)
{
    h5ckpt_options o = H5CKPT_OPTIONS_INIT;
    o.schema = schema;
    o.to_schema = to_schema;
    o.no_sync = 1;
    o.force = 1;
    o.note = take_note;
    notes[0] = 0;
    return o;
}

static h5ckpt_state *opened(const char *path, const char *schema)
{
    const h5ckpt_options o = by(schema, NULL);
    h5ckpt_error *err = NULL;
    h5ckpt_state *state = h5ckpt_state_open(path, &o, &err);
    test_expect_none(&err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(state);
    return state;
}

static void convert(const char *from, const char *to, const char *schema, const char *to_schema)
{
    const h5ckpt_options o = by(schema, to_schema);
    h5ckpt_error *err = NULL;
    CU_ASSERT_EQUAL(h5ckpt_convert(from, to, &o, &err), 0);
    test_expect_none(&err);
}

static const char *name_at(const h5ckpt_tensors *tensors, size_t i)
{
    const h5ckpt_tensor *t = h5ckpt_tensors_at(tensors, i);
    return t ? h5ckpt_tensor_get_info(t)->name : "(none)";
}

/* The tensor's first element, and that the dictionary has it at this place. */
static void expect(const h5ckpt_tensors *tensors, size_t i, const char *name, float first)
{
    h5ckpt_error *err = NULL;
    CU_ASSERT_STRING_EQUAL(name_at(tensors, i), name);
    const float *data = h5ckpt_tensor_data(h5ckpt_tensors_get(tensors, name), &err);
    test_expect_none(&err);
    CU_ASSERT(data && *data == first);
}

static const char *metadata(const h5ckpt_state *state, const char *key)
{
    const h5ckpt_value *v = h5ckpt_value_get(h5ckpt_state_metadata(state), key);
    return v ? v->as.str : "(none)";
}

static void expect_same_bytes(const char *a, const char *b)
{
    size_t n, m;
    unsigned char *x = test_read(a, &n), *y = test_read(b, &m);
    CU_ASSERT(n == m && memcmp(x, y, n) == 0);
    free(x);
    free(y);
}

/* ---- What Keras and Caffe wrote ---- */

static void expect_keras(const char *path, const char *schema)
{
    h5ckpt_state *state = opened(path, schema);
    const h5ckpt_tensors *p = h5ckpt_state_parameters(state), *o = h5ckpt_state_optimizer_state(state);
    CU_ASSERT_EQUAL(h5ckpt_tensors_count(p), 10);
    expect(p, 0, "layers/batch_normalization/vars/0", 3);
    expect(p, 4, "layers/dense/vars/0", 1);
    expect(p, 9, "layers/sequential/layers/dense/vars/1", 8);
    CU_ASSERT_EQUAL(h5ckpt_tensors_count(o), 18);
    expect(o, 9, "vars/9", 1010);
    expect(o, 10, "vars/10", 1011); /* by number: 10 is not between 1 and 2 */
    CU_ASSERT_STRING_EQUAL(metadata(state, "layers/dense/vars/@name"), "\"fc\"");
    CU_ASSERT_STRING_EQUAL(metadata(state, "layers/dropout/vars/@name"), "\"drop\"");
    CU_ASSERT_STRING_EQUAL(metadata(state, "vars/@name"), "\"tiny\"");
    h5ckpt_state_free(state);
}

static void reads_keras_3(void)
{
    expect_keras(test_fixture("keras/model.weights.h5"), "keras");
    CU_ASSERT_STRING_EQUAL(notes, "");
}

static void expect_keras_2(const char *path, const char *schema, bool whole)
{
    h5ckpt_state *state = opened(path, schema);
    const h5ckpt_tensors *p = h5ckpt_state_parameters(state), *o = h5ckpt_state_optimizer_state(state);
    CU_ASSERT_EQUAL(h5ckpt_tensors_count(p), 10);
    expect(p, 0, "fc/tiny/fc/kernel", 1); /* the model's order, not the alphabet's */
    expect(p, 1, "fc/tiny/fc/bias", 2);
    expect(p, 5, "norm/tiny/norm/moving_variance", 6);
    expect(p, 9, "out/tiny/out/bias", 10);
    CU_ASSERT_EQUAL(h5ckpt_tensors_count(o), whole ? 18 : 0);
    if (whole) {
        expect(o, 1, "adam/learning_rate", 1002);
        CU_ASSERT_PTR_NOT_NULL(strstr(metadata(state, "model_config"), "\"class_name\": \"Sequential\""));
        CU_ASSERT_PTR_NOT_NULL(strstr(metadata(state, "training_config"), "\"learning_rate\": 1002.0"));
        CU_ASSERT_STRING_EQUAL(metadata(state, "model_weights/@keras_version"), "\"3.15.1\"");
        CU_ASSERT_STRING_EQUAL(metadata(state, "model_weights/drop/@weight_names"), "[]");
    } else {
        CU_ASSERT_STRING_EQUAL(metadata(state, "keras_version"), "3.15.1");
    }
    h5ckpt_state_free(state);
}

static void reads_keras_2(void)
{
    expect_keras_2(test_fixture("keras/model.h5"), "keras2", true);
    expect_keras_2(test_fixture("keras/weights.h5"), "keras2-weights", false);
    CU_ASSERT_STRING_EQUAL(notes, "");
}

static void reads_caffe(void)
{
    h5ckpt_state *state = opened(test_fixture("keras/net.caffemodel.h5"), "caffe");
    const h5ckpt_tensors *p = h5ckpt_state_parameters(state), *o = h5ckpt_state_optimizer_state(state);
    CU_ASSERT_EQUAL(h5ckpt_tensors_count(p), 13);
    expect(p, 0, "conv1/0", 1);
    expect(p, 4, "many/2", 3);
    expect(p, 12, "many/10", 11);
    expect(o, 12, "many/10", 111);
    h5ckpt_state_free(state);
}

static void reads_the_same_without_a_schema_as_before(void)
{
    h5ckpt_state *state = opened(test_fixture("keras/model.weights.h5"), NULL);
    CU_ASSERT_EQUAL(h5ckpt_tensors_count(h5ckpt_state_parameters(state)), 28);
    CU_ASSERT_PTR_NOT_NULL(h5ckpt_tensors_get(h5ckpt_state_parameters(state), "optimizer/vars/0"));
    CU_ASSERT_EQUAL(h5ckpt_state_metadata(state)->count, 0);
    h5ckpt_state_free(state);
}

/* ---- There and back ---- */

static const struct {
    const char *fixture, *schema;
} files[] = {{"keras/model.weights.h5", "keras"},
             {"keras/model.h5", "keras2"},
             {"keras/weights.h5", "keras2-weights"},
             {"keras/net.caffemodel.h5", "caffe"},
             {"keras/net.caffemodel.h5", "tree"}};

static void goes_through_our_own_form(void)
{
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        convert(test_fixture(files[i].fixture), test_tmp("direct.h5"), files[i].schema, NULL);
        convert(test_fixture(files[i].fixture), test_tmp("own.h5"), files[i].schema, "paddle");
        convert(test_tmp("own.h5"), test_tmp("back.h5"), files[i].schema, NULL);
        CU_ASSERT_STRING_EQUAL(notes, "");
        expect_same_bytes(test_tmp("direct.h5"), test_tmp("back.h5"));
        h5ckpt_state *own = opened(test_tmp("own.h5"), NULL), *back = opened(test_tmp("back.h5"), NULL);
        CU_ASSERT_EQUAL(h5ckpt_state_metadata(own)->count, h5ckpt_state_metadata(back)->count);
        h5ckpt_state_free(own);
        h5ckpt_state_free(back);
    }
}

/* A file that says it has a built-in layout needs no --schema, and no other one misleads. */
static void knows_its_own_layouts(void)
{
    convert(test_fixture("keras/model.weights.h5"), test_tmp("k.weights.h5"), "keras", NULL);
    expect_keras(test_tmp("k.weights.h5"), NULL);
    expect_keras(test_tmp("k.weights.h5"), "keras2");
    convert(test_fixture("keras/model.h5"), test_tmp("k.h5"), "keras2", NULL);
    expect_keras_2(test_tmp("k.h5"), NULL, true);
    convert(test_fixture("keras/weights.h5"), test_tmp("w.h5"), "keras2-weights", NULL);
    expect_keras_2(test_tmp("w.h5"), "keras", false);
    h5ckpt_error *err = NULL;
    CU_ASSERT_EQUAL(h5ckpt_verify(test_tmp("k.h5"), NULL, NULL, NULL, NULL, &err), 0);
    test_expect_none(&err);
}

static hid_t file_at(const char *name)
{
    hid_t file = H5Fopen(test_tmp(name), H5F_ACC_RDONLY, H5P_DEFAULT);
    CU_ASSERT_FATAL(file >= 0);
    return file;
}

/* The texts of a list, joined by blanks. */
static void expect_list(hid_t file, const char *group, const char *attribute, const char *expected)
{
    char found[256] = "";
    char *texts[16] = {NULL};
    hid_t attr = H5Aopen_by_name(file, group, attribute, H5P_DEFAULT, H5P_DEFAULT);
    CU_ASSERT_FATAL(attr >= 0);
    hid_t type = H5Aget_type(attr), space = H5Aget_space(attr);
    hssize_t count = H5Sget_simple_extent_npoints(space);
    CU_ASSERT_FATAL(count < 16 && H5Aread(attr, type, texts) >= 0);
    for (hssize_t i = 0; i < count; i++)
        snprintf(found + strlen(found), sizeof found - strlen(found), "%s%s", i ? " " : "", texts[i]);
    CU_ASSERT_STRING_EQUAL(found, expected);
    H5Dvlen_reclaim(type, space, H5P_DEFAULT, texts);
    H5Aclose(attr);
    H5Tclose(type);
    H5Sclose(space);
}

/* Tensors of ones, named so, into `path`; what it said. */
static int write_named(const char *const *names, const char *path, const char *schema, h5ckpt_error **err)
{
    static const float one = 1;
    static const uint64_t shape[1] = {1};
    h5ckpt_state *state = h5ckpt_state_new();
    const h5ckpt_options o = by(schema, NULL);
    int rc = 0;
    for (; *names && rc == 0; names++) {
        const h5ckpt_tensor_info info = {.name = *names, .dtype = H5CKPT_DTYPE_FLOAT32, .rank = 1, .shape = shape};
        rc = h5ckpt_state_add_tensor(state, 0, &info, &one, err);
    }
    rc = rc ? rc : h5ckpt_state_write(state, path, &o, err);
    h5ckpt_state_free(state);
    return rc;
}

static void lists_what_it_writes(void)
{
    static const char *const names[] = {"b/w:0", "a/k", "b/deep/v", "top_level_model_weights/t", NULL};
    h5ckpt_error *err = NULL;
    CU_ASSERT_EQUAL(write_named(names, test_tmp("new.h5"), "keras2", &err), 0);
    test_expect_none(&err);
    hid_t file = file_at("new.h5");
    expect_list(file, "model_weights", "layer_names", "b a");
    expect_list(file, "model_weights/b", "weight_names", "w:0 deep/v");
    expect_list(file, "model_weights/a", "weight_names", "k");
    expect_list(file, "model_weights/top_level_model_weights", "weight_names", "t");
    expect_list(file, "model_weights", "keras_version", "2.15.0");
    CU_ASSERT_EQUAL(H5Lexists(file, "h5ckpt_optimizers", H5P_DEFAULT), 0);
    H5Fclose(file);
    CU_ASSERT_EQUAL(write_named(names, test_tmp("new.weights.h5"), "keras", &err), 0);
    test_expect_none(&err);
    file = file_at("new.weights.h5");
    CU_ASSERT(H5Lexists(file, "b", H5P_DEFAULT) > 0 && H5Lexists(file, "b/deep/v", H5P_DEFAULT) > 0);
    H5Fclose(file);
}

static void keeps_decays_of_any_state(void)
{
    convert(test_fixture("seed_mlp"), test_tmp("seed.weights.h5"), "keras", NULL);
    h5ckpt_state *state = opened(test_tmp("seed.weights.h5"), NULL);
    CU_ASSERT_PTR_NOT_NULL(h5ckpt_decays_get(h5ckpt_state_decays(state), "None"));
    CU_ASSERT_STRING_EQUAL(name_at(h5ckpt_state_parameters(state), 0), "mlp/MLP_0/FC_0.b_0");
    h5ckpt_state_free(state);
}

static void refuses_names_that_have_no_place(void)
{
    static const char *const flat[] = {"w", NULL}, *const odd[] = {"a/./w", NULL},
                             *const taken[] = {"optimizer/vars/0", NULL}, *const near[] = {"optimizers/x", NULL};
    h5ckpt_error *err = NULL;
    CU_ASSERT_EQUAL(write_named(flat, test_tmp("no.h5"), "keras2", &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, "'w': expected a name with a group and a '/'");
    CU_ASSERT_EQUAL(write_named(odd, test_tmp("no.h5"), "keras2", &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID,
                      "expected a name that HDF5's links can hold, for the schema 'keras2' lists it");
    CU_ASSERT_EQUAL(write_named(taken, test_tmp("no.h5"), "keras", &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, "'optimizer/vars/0': expected no parameter in the group 'optimizer'");
    CU_ASSERT_FALSE(test_exists(test_tmp("no.h5")));
    CU_ASSERT_EQUAL(write_named(near, test_tmp("yes.h5"), "keras", &err), 0);
    test_expect_none(&err);
}

/* ---- Attributes ---- */

static void put_text(hid_t object, const char *name, const char *text, bool variable)
{
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
    H5Tset_size(type, variable ? H5T_VARIABLE : strlen(text) + 3);
    hid_t attr = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    char padded[64] = "";
    snprintf(padded, sizeof padded, "%s", text);
    CU_ASSERT_FATAL(attr >= 0 && H5Awrite(attr, type, variable ? (const void *)&text : padded) >= 0);
    H5Aclose(attr);
    H5Tclose(type);
    H5Sclose(space);
}

static void put_numbers(hid_t object, const char *name, hid_t type, const void *data, hsize_t count)
{
    hid_t space = count ? H5Screate_simple(1, &count, NULL) : H5Screate(H5S_SCALAR);
    hid_t attr = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    CU_ASSERT_FATAL(attr >= 0 && H5Awrite(attr, type, data) >= 0);
    H5Aclose(attr);
    H5Sclose(space);
}

static hid_t put_dataset(hid_t file, const char *path)
{
    const hsize_t n = 1;
    const float one = 1;
    hid_t links = H5Pcreate(H5P_LINK_CREATE), space = H5Screate_simple(1, &n, NULL);
    H5Pset_create_intermediate_group(links, 1);
    hid_t dataset = H5Dcreate2(file, path, H5T_IEEE_F32LE, space, links, H5P_DEFAULT, H5P_DEFAULT);
    CU_ASSERT_FATAL(dataset >= 0 && H5Dwrite(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, &one) >= 0);
    H5Pclose(links);
    H5Sclose(space);
    return dataset;
}

static void keeps_attributes_of_all_kinds(void)
{
    const int64_t numbers[3] = {1, -2, 3};
    const double half = 0.5;
    const int32_t small = 7;
    hid_t file = H5Fcreate(test_tmp("attrs.h5"), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    hid_t dataset = put_dataset(file, "g/w"), group = H5Gopen2(file, "g", H5P_DEFAULT);
    hid_t empty = H5Gcreate2(file, "empty", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    put_text(file, "about", "a text", true);
    put_numbers(file, "numbers", H5T_NATIVE_INT64, numbers, 3);
    put_numbers(group, "half", H5T_NATIVE_DOUBLE, &half, 0);
    put_text(group, "fixed", "of a length", false);
    put_numbers(dataset, "small", H5T_NATIVE_INT32, &small, 0);
    put_text(dataset, "digest", "is a word here", true);
    put_text(empty, "why", "to be seen", true);
    H5Gclose(empty);
    H5Gclose(group);
    H5Dclose(dataset);
    H5Fclose(file);
    convert(test_tmp("attrs.h5"), test_tmp("own.h5"), "tree", "paddle");
    convert(test_tmp("own.h5"), test_tmp("tree.h5"), "tree", NULL);
    const char *const paths[] = {"attrs.h5", "own.h5", "tree.h5"};
    for (size_t i = 0; i < 3; i++) {
        h5ckpt_state *state = opened(test_tmp(paths[i]), i ? NULL : "tree");
        CU_ASSERT_STRING_EQUAL(metadata(state, "about"), "a text");
        CU_ASSERT_STRING_EQUAL(metadata(state, "/@numbers"), "[1, -2, 3]");
        CU_ASSERT_STRING_EQUAL(metadata(state, "g/@half"), "0.5");
        CU_ASSERT_STRING_EQUAL(metadata(state, "g/@fixed"), "\"of a length\"");
        CU_ASSERT_STRING_EQUAL(metadata(state, "g/w@small"), "{\"$scalar\": [\"int32\", \"07000000\"]}");
        CU_ASSERT_STRING_EQUAL(metadata(state, "g/w@digest"), "\"is a word here\"");
        CU_ASSERT_STRING_EQUAL(metadata(state, "empty/@why"), "\"to be seen\"");
        CU_ASSERT_EQUAL(h5ckpt_state_metadata(state)->count, 7);
        h5ckpt_state_free(state);
    }
    file = file_at("tree.h5");
    CU_ASSERT(H5Aexists_by_name(file, "g/w", "small", H5P_DEFAULT) > 0);
    CU_ASSERT(H5Aexists_by_name(file, "empty", "why", H5P_DEFAULT) > 0);
    H5Fclose(file);
}

/* What only looks like an attribute's key is kept as what it is. */
static void keeps_texts_that_look_like_attributes(void)
{
    static const char *const keys[] = {"user@host", "w@x", "no/such@x", "w/@y", "../@z"};
    static const char *const texts[] = {"plain", "{not json", "1", "2", "3"};
    static const float one = 1;
    const h5ckpt_tensor_info info = {.name = "w", .dtype = H5CKPT_DTYPE_FLOAT32};
    const h5ckpt_options o = by("tree", NULL);
    h5ckpt_error *err = NULL;
    h5ckpt_state *state = h5ckpt_state_new();
    CU_ASSERT_EQUAL(h5ckpt_state_add_tensor(state, 0, &info, &one, &err), 0);
    for (size_t i = 0; i < 5; i++)
        CU_ASSERT_EQUAL(h5ckpt_state_set_metadata(state, keys[i], texts[i], &err), 0);
    CU_ASSERT_EQUAL(h5ckpt_state_write(state, test_tmp("like.h5"), &o, &err), 0);
    test_expect_none(&err);
    h5ckpt_state_free(state);
    state = opened(test_tmp("like.h5"), NULL);
    for (size_t i = 0; i < 5; i++)
        CU_ASSERT_STRING_EQUAL(metadata(state, keys[i]), texts[i]);
    h5ckpt_state_free(state);
}

/* ---- Refused ---- */

static void put_list(hid_t file, const char *group, const char *attribute, const char *const *names, hsize_t count)
{
    hid_t type = H5Tcopy(H5T_C_S1), object = H5Gopen2(file, group, H5P_DEFAULT);
    H5Tset_size(type, H5T_VARIABLE);
    put_numbers(object, attribute, type, names, count);
    H5Gclose(object);
    H5Tclose(type);
}

static void expect_refused(const char *path, const char *schema, const char *part)
{
    const h5ckpt_options o = by(schema, NULL);
    h5ckpt_error *err = NULL;
    h5ckpt_state *state = h5ckpt_state_open(path, &o, &err);
    CU_ASSERT_PTR_NULL(state);
    test_expect_error(&err, H5CKPT_INVALID, part);
    h5ckpt_state_free(state);
}

/* model_weights/fc/k with these lists; then opened by keras2. */
static void refuses_lists(const char *const *layers, hsize_t layer_count, const char *const *weights,
                          hsize_t weight_count, const char *part)
{
    hid_t file = H5Fcreate(test_tmp("bad.h5"), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    H5Dclose(put_dataset(file, "model_weights/fc/k"));
    put_list(file, "model_weights", "layer_names", layers, layer_count);
    put_list(file, "model_weights/fc", "weight_names", weights, weight_count);
    H5Fclose(file);
    expect_refused(test_tmp("bad.h5"), "keras2", part);
}

static void refuses_what_the_lists_get_wrong(void)
{
    static const char *const fc[] = {"fc", "fc"}, *const none[] = {"none"}, *const k[] = {"k", "k"},
                             *const gone[] = {"k", "b"};
    refuses_lists(fc, 1, gone, 2, "expected 'fc/b', which an attribute lists, found no such member");
    refuses_lists(none, 1, k, 1, "expected 'none', which an attribute lists, found no such member");
    refuses_lists(fc, 2, k, 1, "'/model_weights': 'layer_names': expected each name once in a list, found 'fc' again");
    refuses_lists(fc, 1, k, 2, "'weight_names': expected each name once in a list, found 'fc/k' again");
    const int64_t seven = 7;
    hid_t file = H5Fcreate(test_tmp("bad.h5"), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    H5Dclose(put_dataset(file, "model_weights/fc/k"));
    hid_t group = H5Gopen2(file, "model_weights/fc", H5P_DEFAULT);
    put_numbers(group, "weight_names", H5T_NATIVE_INT64, &seven, 1);
    H5Gclose(group);
    H5Fclose(file);
    expect_refused(test_tmp("bad.h5"), "keras2", "'weight_names': expected a list of names, found");
}

static void reads_a_list_in_parts(void)
{
    static const char *const fc[] = {"fc"}, *const b[] = {"b"}, *const a[] = {"a"};
    hid_t file = H5Fcreate(test_tmp("parts.h5"), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    H5Dclose(put_dataset(file, "model_weights/fc/a"));
    H5Dclose(put_dataset(file, "model_weights/fc/b"));
    H5Dclose(put_dataset(file, "model_weights/fc/0"));
    put_list(file, "model_weights", "layer_names", fc, 1);
    put_list(file, "model_weights/fc", "weight_names0", b, 1);
    put_list(file, "model_weights/fc", "weight_names1", a, 1);
    H5Fclose(file);
    h5ckpt_state *state = opened(test_tmp("parts.h5"), "keras2");
    const h5ckpt_tensors *p = h5ckpt_state_parameters(state);
    CU_ASSERT_STRING_EQUAL(name_at(p, 0), "fc/b");
    CU_ASSERT_STRING_EQUAL(name_at(p, 1), "fc/a");
    CU_ASSERT_STRING_EQUAL(name_at(p, 2), "fc/0"); /* that no list names: kept, at the end */
    CU_ASSERT_EQUAL(h5ckpt_state_metadata(state)->count, 0);
    h5ckpt_state_free(state);
}

static void refuses_another_layout(void)
{
    expect_refused(test_fixture("keras/model.weights.h5"), "keras2",
                   "expected the group /model_weights, as the schema 'keras2' says, found none");
    expect_refused(test_fixture("keras/model.h5"), "caffe",
                   "expected the group /data, as the schema 'caffe' says, found none");
}

static void finds_schemas_by_name_or_path(void)
{
    const h5ckpt_options o = by("kerass", NULL), names = by("paddle-to-torch", NULL), path = by("./keras", NULL);
    h5ckpt_error *err = NULL;
    CU_ASSERT_PTR_NULL(h5ckpt_state_open(test_fixture("keras/model.h5"), &o, &err));
    test_expect_error(&err, H5CKPT_USAGE,
                      "expected a schema (paddle, caffe, keras, keras2, keras2-weights, tree, or a file), "
                      "found nothing at 'kerass'");
    CU_ASSERT_PTR_NULL(h5ckpt_state_open(test_fixture("keras/model.h5"), &names, &err));
    test_expect_error(&err, H5CKPT_USAGE, "found the name rules 'paddle-to-torch'");
    CU_ASSERT_PTR_NULL(h5ckpt_state_open(test_fixture("keras/model.h5"), &path, &err));
    test_expect_error(&err, H5CKPT_USAGE, "./keras: expected a schema file, found nothing");
}

int main(void)
{
    static const test_case cases[] = {
        {"reads Keras 3", reads_keras_3},
        {"reads Keras 2", reads_keras_2},
        {"reads Caffe", reads_caffe},
        {"reads the same without a schema as before", reads_the_same_without_a_schema_as_before},
        {"goes through our own form", goes_through_our_own_form},
        {"knows its own layouts", knows_its_own_layouts},
        {"lists what it writes", lists_what_it_writes},
        {"keeps decays of any state", keeps_decays_of_any_state},
        {"refuses names that have no place", refuses_names_that_have_no_place},
        {"keeps attributes of all kinds", keeps_attributes_of_all_kinds},
        {"keeps texts that look like attributes", keeps_texts_that_look_like_attributes},
        {"refuses what the lists get wrong", refuses_what_the_lists_get_wrong},
        {"reads a list in parts", reads_a_list_in_parts},
        {"refuses another layout", refuses_another_layout},
        {"finds schemas by name or path", finds_schemas_by_name_or_path},
        {NULL, NULL}};
    return test_run("foreign", cases);
}
