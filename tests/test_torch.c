/*
 * test_torch.c - PyTorch's checkpoints: what the real torch.save wrote is taken apart and put together again, archives made
 * by hand break one rule each, and a structure from a stranger's file calls nothing.
 *
 * What the real torch.load says of what is written here: tests/peers/torch_reads.py.
 */
#include "base/buf.h"
#include "base/le.h"
#include "format/format.h"
#include "parse/zip.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Helpers ---- */

static h5ckpt_state *fixture(const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "torch/%s", name);
    return test_opened(test_fixture(path));
}

/* Asserts a float32 tensor's elements. */
static void has_floats(const h5ckpt_tensors *tensors, const char *name, size_t count, const float *expected)
{
    h5ckpt_error *err = NULL;
    const h5ckpt_tensor *t = h5ckpt_tensors_get(tensors, name);
    CU_ASSERT_PTR_NOT_NULL_FATAL(t);
    CU_ASSERT_EQUAL(h5ckpt_tensor_get_info(t)->dtype, H5CKPT_DTYPE_FLOAT32);
    CU_ASSERT_EQUAL(h5ckpt_tensor_get_info(t)->nbytes, count * sizeof *expected);
    const void *data = h5ckpt_tensor_data(t, &err);
    test_expect_none(&err);
    CU_ASSERT_TRUE(data && memcmp(data, expected, count * sizeof *expected) == 0);
}

static const char *metadata(const h5ckpt_state *s, const char *key)
{
    const h5ckpt_value *v = h5ckpt_value_get(h5ckpt_state_metadata(s), key);
    return v ? v->as.str : NULL;
}

/* ---- Archives made by hand ---- */

typedef struct member {
    const char *name;
    const void *data;
    size_t len;
} member;

static const char *archive(const member *members, size_t count)
{
    const char *path = test_tmp("made.pt");
    h5ck_buf file = H5CK_BUF_INIT, central = H5CK_BUF_INIT;
    for (size_t i = 0; i < count; i++) {
        h5ck_zip_entry e = {.name = members[i].name,
                            .header = file.len,
                            .csize = members[i].len,
                            .usize = members[i].len,
                            .crc = h5ck_zip_crc(0, members[i].data, members[i].len)};
        h5ck_zip_put_local(&file, &e, 64);
        h5ck_buf_add(&file, members[i].data, members[i].len);
        h5ck_zip_put_central(&central, &e);
    }
    size_t directory = file.len;
    h5ck_buf_add(&file, central.data, central.len);
    h5ck_zip_put_end(&file, count, directory, central.len);
    test_write(path, file.data, file.len);
    h5ck_buf_free(&file);
    h5ck_buf_free(&central);
    return path;
}

static const float four[] = {1, 2, 3, 4};

/* An archive of this pickle and one storage of four floats. */
static const char *pickled(const void *pickle, size_t len)
{
    const member members[] = {{"a/data.pkl", pickle, len},
                              {"a/data/0", four, sizeof four},
                              {"a/byteorder", "little", 6},
                              {"a/version", "3\n", 2}};
    return archive(members, 4);
}

/* The parts of a pickle: {"w": _rebuild_tensor_v2(storage of `class` and `numel`, offset, size, stride, False, {})} */
#define BEFORE_CLASS "\x80\x02}X\1\0\0\0wctorch._utils\n_rebuild_tensor_v2\n((X\7\0\0\0storage"
#define FLOATS       "ctorch\nFloatStorage\n"
#define KEY_0                                                                                                          \
    "X\1\0\0\0"                                                                                                        \
    "0"                                                                                                                \
    "X\3\0\0\0cpu"
#define BEHIND_ID "tQ"
#define BEHIND_SHAPE                                                                                                   \
    "\x89"                                                                                                             \
    "ccollections\nOrderedDict\n)RtRs."
#define TENSOR(numel, offset_size_stride) BEFORE_CLASS FLOATS KEY_0 numel BEHIND_ID offset_size_stride BEHIND_SHAPE
#define PICKLED(text)                     pickled(text, sizeof(text) - 1)

static void refused(const char *path, const char *why)
{
    h5ckpt_error *err = NULL;
    h5ckpt_options o = H5CKPT_OPTIONS_INIT;
    o.from = "torch";
    h5ckpt_state *s = h5ckpt_state_open(path, &o, &err);
    CU_ASSERT_PTR_NULL(s);
    test_expect_error(&err, H5CKPT_INVALID, why);
    h5ckpt_state_free(s);
}

/* ---- What torch.save wrote ---- */

static const char *const readable[] = {"state_dict", "state_dict_legacy",
                                       "plain_dict", "protocol4",
                                       "checkpoint", "checkpoint_legacy",
                                       "schedules",  "views",
                                       "deflated",   "dtypes",
                                       "extras",     "tensor",
                                       "numpy"};

/* Nothing of it is lost on the way through HDF5: the archive is the same as without it, twice. */
static void every_checkpoint_comes_back_from_hdf5_as_it_would_come_without(void)
{
    for (size_t i = 0; i < sizeof readable / sizeof *readable; i++) {
        char from[64];
        snprintf(from, sizeof from, "torch/%s.pt", readable[i]);
        test_converts(test_fixture(from), test_tmp("direct.pt"));
        test_converts(test_fixture(from), test_tmp("x.h5"));
        test_converts(test_tmp("x.h5"), test_tmp("back.pt"));
        test_converts(test_tmp("back.pt"), test_tmp("again.pt"));
        CU_ASSERT_TRUE(test_same_bytes(test_tmp("direct.pt"), test_tmp("back.pt")));
        CU_ASSERT_TRUE(test_same_bytes(test_tmp("direct.pt"), test_tmp("again.pt")));
    }
}

static void a_models_tensors_have_the_models_names(void)
{
    static const char *const names[] = {
        "0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var", "1.num_batches_tracked",
        "2.weight", "2.bias"};
    static const char *const files[] = {"state_dict.pt", "state_dict_legacy.pt", "no_crc.pt",
                                        "checkpoint.pt", "checkpoint_legacy.pt", "schedules.pt"};
    for (size_t f = 0; f < sizeof files / sizeof *files; f++) {
        h5ckpt_state *s = fixture(files[f]);
        const h5ckpt_tensors *p = h5ckpt_state_parameters(s);
        CU_ASSERT_EQUAL(h5ckpt_tensors_count(p), 9);
        for (size_t i = 0; i < 9; i++)
            CU_ASSERT_STRING_EQUAL(h5ckpt_tensor_get_info(h5ckpt_tensors_at(p, i))->name, names[i]);
        CU_ASSERT_STRING_EQUAL(h5ckpt_state_format(s), "torch");
        h5ckpt_state_free(s);
    }
}

static void a_checkpoint_is_taken_apart(void)
{
    h5ckpt_state *s = fixture("checkpoint.pt");
    const h5ckpt_tensors *o = h5ckpt_state_optimizer_state(s);
    CU_ASSERT_EQUAL(h5ckpt_tensors_count(o), 19);
    has_floats(o, "optimizer.state.0.step", 1, &four[2]);
    CU_ASSERT_PTR_NOT_NULL(h5ckpt_tensors_get(o, "optimizer.state.5.exp_avg_sq"));
    CU_ASSERT_PTR_NOT_NULL(h5ckpt_tensors_get(o, "rng"));
    const h5ckpt_decay *d = h5ckpt_decays_get(h5ckpt_state_decays(s), "lr_scheduler");
    CU_ASSERT_PTR_NOT_NULL_FATAL(d);
    const h5ckpt_value *v = h5ckpt_decay_get_info(d)->value;
    CU_ASSERT_STRING_EQUAL(v->as.object->module, "torch.optim.lr_scheduler");
    CU_ASSERT_EQUAL(h5ckpt_value_get(v, "last_epoch")->as.i, 3);
    CU_ASSERT_EQUAL(h5ckpt_value_get(v, "gamma")->as.f, 0.5);
    CU_ASSERT_PTR_NOT_NULL(strstr(metadata(s, "torch"), "\"epoch\": 3"));
    CU_ASSERT_PTR_NOT_NULL(strstr(metadata(s, "torch"), "\"weight_decay\""));
    h5ckpt_state_free(s);
}

static void views_have_the_elements_that_torch_sees(void)
{
    static const float base[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11},
                       transposed[] = {0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11}, slice[] = {4, 5, 6, 7},
                       column[] = {2, 6, 10}, steps[] = {1, 3, 9, 11}, expanded[] = {5, 5, 5, 5, 5, 5}, scalar[] = {11},
                       tied[] = {0, 1, 2, 3};
    static const char *const files[] = {"views.pt", "deflated.pt"};
    for (size_t f = 0; f < 2; f++) {
        h5ckpt_state *s = fixture(files[f]);
        const h5ckpt_tensors *p = h5ckpt_state_parameters(s);
        has_floats(p, "base", 12, base);
        has_floats(p, "transposed", 12, transposed);
        has_floats(p, "slice", 4, slice);
        has_floats(p, "column", 3, column);
        has_floats(p, "steps", 4, steps);
        has_floats(p, "expanded", 6, expanded);
        has_floats(p, "scalar", 1, scalar);
        has_floats(p, "empty", 0, scalar);
        has_floats(p, "embed.weight", 4, tied);
        has_floats(p, "head.weight", 4, tied);
        CU_ASSERT_EQUAL(h5ckpt_tensor_get_info(h5ckpt_tensors_get(p, "scalar"))->rank, 0);
        h5ckpt_state_free(s);
    }
}

static void tied_tensors_share_a_storage_again(void)
{
    h5ckpt_state *s;
    test_converts(test_fixture("torch/views.pt"), test_tmp("tied.h5"));
    test_converts(test_tmp("tied.h5"), test_tmp("tied.pt"));
    s = test_opened(test_tmp("tied.pt"));
    CU_ASSERT_PTR_NOT_NULL(strstr(metadata(s, "torch"), "\"shared\": {\"head.weight\": \"embed.weight\"}"));
    h5ckpt_state_free(s);
}

static void every_dtype_is_read(void)
{
    h5ckpt_state *s = fixture("dtypes.pt");
    const h5ckpt_tensors *p = h5ckpt_state_parameters(s);
    CU_ASSERT_EQUAL(h5ckpt_tensors_count(p), 17);
    for (size_t i = 0; i < h5ckpt_tensors_count(p); i++) {
        const h5ckpt_tensor_info *info = h5ckpt_tensor_get_info(h5ckpt_tensors_at(p, i));
        CU_ASSERT_STRING_EQUAL(h5ckpt_dtype_name(info->dtype), info->name);
    }
    h5ckpt_state_free(s);
}

static void what_has_no_plain_elements_is_refused_by_name(void)
{
    refused(test_fixture("torch/sparse.pt"), "found a sparse tensor (torch._utils _rebuild_sparse_tensor)");
    refused(test_fixture("torch/quantized.pt"), "found a quantized tensor");
    refused(test_fixture("torch/meta.pt"), "found a meta tensor, which has no elements");
    refused(test_fixture("torch/conjugate.pt"), "'c': expected the elements themselves, found a conjugate view");
    refused(test_fixture("torch/module.pt"), "torch.nn.modules.linear Linear");
    refused(test_fixture("torch/torchscript.pt"), "found a TorchScript archive (torchscript/constants.pkl)");
}

static void every_cut_is_refused(void)
{
    test_refuses_every_cut(test_fixture("torch/state_dict.pt"), "torch");
    test_refuses_every_cut(test_fixture("torch/state_dict_legacy.pt"), "torch");
}

/* ---- What h5ckpt writes ---- */

static h5ckpt_state *small(h5ckpt_error **err)
{
    static const uint64_t shape[] = {2, 2};
    static const uint16_t shorts[] = {7, 8};
    const h5ckpt_tensor_info w = {.name = "w", .dtype = H5CKPT_DTYPE_FLOAT32, .rank = 2, .shape = shape};
    const h5ckpt_tensor_info n = {.name = "n", .dtype = H5CKPT_DTYPE_UINT16, .rank = 1, .shape = shape};
    h5ckpt_state *s = h5ckpt_state_new();
    CU_ASSERT_EQUAL(h5ckpt_state_add_tensor(s, 0, &w, four, err), 0);
    CU_ASSERT_EQUAL(h5ckpt_state_add_tensor(s, 0, &n, shorts, err), 0);
    return s;
}

static void writes(const h5ckpt_state *s, const char *path)
{
    h5ckpt_error *err = NULL;
    h5ckpt_options o = H5CKPT_OPTIONS_INIT;
    o.force = o.no_sync = 1;
    CU_ASSERT_EQUAL(h5ckpt_state_write(s, path, &o, &err), 0);
    test_expect_none(&err);
}

/* The peer check lets the real torch.load read the same file. */
static void tensors_alone_become_a_state_dict_of_these_bytes(void)
{
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = small(&err);
    writes(s, test_tmp("written.pt"));
    h5ckpt_state_free(s);
    CU_ASSERT_TRUE(test_same_bytes(test_tmp("written.pt"), test_fixture("torch/written.pt")));
    s = test_opened(test_tmp("written.pt"));
    CU_ASSERT_EQUAL(h5ckpt_state_metadata(s)->count, 0); /* nothing needs to be kept of it */
    has_floats(h5ckpt_state_parameters(s), "w", 4, four);
    h5ckpt_state_free(s);
}

static void decays_and_metadata_of_others_travel_in_a_checkpoint(void)
{
    h5ckpt_state *s;
    test_converts(test_fixture("seed_mlp"), test_tmp("seed.pt"));
    s = test_opened(test_tmp("seed.pt"));
    CU_ASSERT_EQUAL(h5ckpt_tensors_count(h5ckpt_state_parameters(s)), 2);
    CU_ASSERT_PTR_NOT_NULL(h5ckpt_tensors_get(h5ckpt_state_parameters(s), "mlp/MLP_0/FC_0.w_0"));
    CU_ASSERT_PTR_NOT_NULL(h5ckpt_decays_get(h5ckpt_state_decays(s), "None"));
    h5ckpt_state_free(s);

    /* The decay is PyTorch's to read, and comes back as Paddle's. */
    h5ckpt_error *err = NULL;
    CU_ASSERT_EQUAL(h5ckpt_convert(test_tmp("seed.pt"), test_tmp("seed_back"), NULL, &err), 0);
    test_expect_none(&err);
    CU_ASSERT_TRUE(test_same_tree(test_fixture("seed_mlp"), test_tmp("seed_back")));

    /* What Paddle 1.6 to 1.8 keep of a decay has no rate, by which PyTorch's would be known. */
    test_converts(test_fixture("pdparams/v1.pdparams"), test_tmp("old.pt"));
    s = test_opened(test_tmp("old.pt"));
    const h5ckpt_decay *d = h5ckpt_decays_get(h5ckpt_state_decays(s), "LR_Scheduler");
    CU_ASSERT_PTR_NOT_NULL_FATAL(d);
    CU_ASSERT_STRING_EQUAL(h5ckpt_decay_get_info(d)->value->as.object->class_name, "LearningRateDecay");
    CU_ASSERT_EQUAL(h5ckpt_decay_get_info(d)->step->as.i, 3);
    h5ckpt_state_free(s);

    s = small(&err);
    CU_ASSERT_EQUAL(h5ckpt_state_set_metadata(s, "format", "pt", &err), 0);
    writes(s, test_tmp("strings.pt"));
    h5ckpt_state_free(s);
    s = test_opened(test_tmp("strings.pt"));
    CU_ASSERT_EQUAL(h5ckpt_state_metadata(s)->count, 1);
    CU_ASSERT_STRING_EQUAL(metadata(s, "format"), "pt");
    h5ckpt_state_free(s);
}

static void optimizer_state_of_others_comes_back_under_its_names(void)
{
    static const uint64_t shape[] = {4};
    const h5ckpt_tensor_info m = {.name = "w_moment1_0", .dtype = H5CKPT_DTYPE_FLOAT32, .rank = 1, .shape = shape};
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = small(&err);
    CU_ASSERT_EQUAL(h5ckpt_state_add_tensor(s, 1, &m, four, &err), 0);
    writes(s, test_tmp("moments.pt"));
    h5ckpt_state_free(s);
    s = test_opened(test_tmp("moments.pt"));
    CU_ASSERT_EQUAL(h5ckpt_tensors_count(h5ckpt_state_parameters(s)), 2);
    has_floats(h5ckpt_state_optimizer_state(s), "w_moment1_0", 4, four);
    h5ckpt_state_free(s);
}

/* The skeleton of a checkpoint is text in a file that anyone may have written. */
static void a_structure_that_calls_something_is_not_written(void)
{
    static const char *const bad[] = {
        "{\"$object\": [\"os\", \"system\", {\"args\": {\"$tuple\": [\"true\"]}}]}",
        ("{\"a\": {\"$object\": [\"h5ckpt\", \"tensors\", {\"of\": \"parameters\"}]}, \"b\": {\"$object\": [\"os\", "
         "\"system\", {}]}}"),
        "{\"$object\": [\"h5ckpt\", \"tensor\", {\"of\": \"parameters\"}]}",
        "{\"$object\": [\"torch._utils\", \"_rebuild_tensor_v2\", {\"args\": {\"$tuple\": []}}]}",
        "2.15.0",
        "{\"not JSON",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        h5ckpt_error *err = NULL;
        h5ckpt_state *s = small(&err);
        CU_ASSERT_EQUAL(h5ckpt_state_set_metadata(s, "torch", bad[i], &err), 0);
        writes(s, test_tmp("strange.pt"));
        h5ckpt_state_free(s);
        size_t len, at = 0;
        unsigned char *bytes = test_read(test_tmp("strange.pt"), &len);
        for (size_t k = 0; k + 10 < len; k++)
            at += memcmp(bytes + k, "cos\nsystem", 10) == 0;
        CU_ASSERT_EQUAL(at, 0);
        free(bytes);
        s = test_opened(test_tmp("strange.pt"));
        has_floats(h5ckpt_state_parameters(s), "w", 4, four);
        CU_ASSERT_STRING_EQUAL(metadata(s, "torch"), bad[i]); /* it is somebody's, and kept */
        h5ckpt_state_free(s);
    }
}

/* Renamed tensors have no place in the old structure, and are written without it. */
static void a_structure_that_does_not_fit_is_left(void)
{
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = small(&err);
    CU_ASSERT_EQUAL(h5ckpt_state_set_metadata(s, "torch",
                                              "{\"$object\": [\"h5ckpt\", \"tensor\", {\"of\": \"parameters\", "
                                              "\"name\": \"old\"}]}",
                                              &err),
                    0);
    writes(s, test_tmp("renamed.pt"));
    h5ckpt_state_free(s);
    s = test_opened(test_tmp("renamed.pt"));
    CU_ASSERT_EQUAL(h5ckpt_tensors_count(h5ckpt_state_parameters(s)), 2);
    h5ckpt_state_free(s);
}

/* ---- One file a rule ---- */

static void the_archive_made_by_hand_is_read(void)
{
    h5ckpt_state *s = test_opened(PICKLED(TENSOR("K\4", "K\0K\2K\2\x86K\2K\1\x86")));
    has_floats(h5ckpt_state_parameters(s), "w", 4, four);
    h5ckpt_state_free(s);
}

/* OrderedDict([[key, value], ...]) */
static void ordered_dicts_of_python_2_are_dictionaries(void)
{
#define TENSOR_2                                                                                                       \
    "ctorch._utils\n_rebuild_tensor_v2\n((U\7storage" FLOATS "U\1"                                                     \
    "0U\3cpuK\4tQK\0K\4\x85K\1\x85\x89"                                                                                \
    "ccollections\nOrderedDict\n]\x85RtR"
    h5ckpt_state *s = test_opened(PICKLED("\x80\2"
                                          "ccollections\nOrderedDict\n](]U\1w"
                                          "a" TENSOR_2 "ae\x85R."));
    has_floats(h5ckpt_state_parameters(s), "w", 4, four);
    CU_ASSERT_EQUAL(h5ckpt_state_metadata(s)->count, 0);
    h5ckpt_state_free(s);
    refused(PICKLED("\x80\2"
                    "ccollections\nOrderedDict\n](](U\1wK\1e](U\1wK\2ee\x85R."),
            "expected each key of an OrderedDict once, found 'w' again");
}

static bool holds(const char *path, const void *bytes, size_t n)
{
    size_t len;
    unsigned char *data = test_read(path, &len);
    bool found = false;
    for (size_t i = 0; data && !found && i + n <= len; i++)
        found = memcmp(data + i, bytes, n) == 0;
    free(data);
    return found;
}

/* One reference stands for a whole dictionary only where the tensors' names are its keys. */
static void keys_that_cannot_be_names_come_back(void)
{
#define FOUR                                                                                                           \
    "ctorch._utils\n_rebuild_tensor_v2\n((X\7\0\0\0storage" FLOATS KEY_0 "K\4tQK\0K\4\x85K\1\x85\x89"                  \
    "ccollections\nOrderedDict\n)RtR"
    test_converts(PICKLED("\x80\2}(X\1\0\0\0n" FOUR "X\x10\0\0\0model_state_dict}X\1\0\0\0w" FOUR
                          "sX\x0f\0\0\0optimizer_state}X\1\0\0\0n" FOUR "su."),
                  test_tmp("back.pt"));
    CU_ASSERT_FALSE(holds(test_tmp("back.pt"), "n~1", 3));
    h5ckpt_state *s = test_opened(test_tmp("back.pt"));
    has_floats(h5ckpt_state_optimizer_state(s), "n~1", 4, four);
    h5ckpt_state_free(s);
    test_converts(PICKLED("\x80\2}(X\3\0\0\0a\0b" FOUR "X\1\0\0\0c" FOUR "u."), test_tmp("back.pt"));
    CU_ASSERT_TRUE(holds(test_tmp("back.pt"), "X\3\0\0\0a\0b", 8));
}

static void numbers_of_a_big_endian_machine_are_turned(void)
{
    static const unsigned char turned[] = {0x3f, 0x80, 0, 0, 0x40, 0, 0, 0, 0x40, 0x40, 0, 0, 0x40, 0x80, 0, 0};
    static const char pickle[] = TENSOR("K\4", "K\0K\4\x85K\1\x85");
    const member members[] = {{"a/data.pkl", pickle, sizeof pickle - 1},
                              {"a/data/0", turned, 16},
                              {"a/byteorder", "big", 3},
                              {"a/version", "3\n", 2}};
    h5ckpt_state *s = test_opened(archive(members, 4));
    has_floats(h5ckpt_state_parameters(s), "w", 4, four);
    h5ckpt_state_free(s);
}

static void storages_that_lie_are_refused(void)
{
    refused(PICKLED(TENSOR("K\5", "K\0K\4\x85K\1\x85")),
            "'w': expected the storage data/0 to have 5 elements of 4 bytes, found 16 bytes");
    refused(PICKLED(TENSOR("K\3", "K\0K\3\x85K\1\x85")), "to have 3 elements of 4 bytes, found 16 bytes");
    refused(PICKLED(TENSOR("\x8a\x08\0\0\0\0\0\0\0\x40", "K\0K\4\x85K\1\x85")), "to have 4611686018427387904 elements");
    refused(PICKLED(TENSOR("J\xff\xff\xff\xff", "K\0K\4\x85K\1\x85")),
            "expected a storage's key and number of elements");
    refused(PICKLED(BEFORE_CLASS FLOATS "X\1\0\0\0"
                                        "9"
                                        "X\3\0\0\0cpuK\4" BEHIND_ID "K\0K\4\x85K\1\x85" BEHIND_SHAPE),
            "expected a member a/data/9 with the elements, found none");
    refused(PICKLED(BEFORE_CLASS "ctorch\nQInt8Storage\n" KEY_0 "K\4" BEHIND_ID "K\0K\4\x85K\1\x85" BEHIND_SHAPE),
            "expected a storage of plain numbers, found torch QInt8Storage");
    refused(PICKLED("\x80\x02}X\1\0\0\0wX\1\0\0\0vQs."),
            "expected a storage ('storage', class, key, device, elements)");
}

static void views_that_lie_are_refused(void)
{
    refused(PICKLED(TENSOR("K\4", "K\1K\4\x85K\1\x85")), "'w'");         /* one too far */
    refused(PICKLED(TENSOR("K\4", "K\0K\2\x85J\0\0\0\x40\x85")), "'w'"); /* a stride of 2^30 */
    refused(PICKLED(TENSOR("K\4", "K\0K\2\x85\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x85")),
            "'w'"); /* that overflows */
    refused(PICKLED(TENSOR("K\4", "K\0J\xff\xff\xff\xff\x85K\1\x85")), "expected sizes and strides from 0 on");
    refused(PICKLED(TENSOR("K\4", "K\0K\4\x85K\1K\1\x86")), "as many strides, found 1 and 2");
    refused(PICKLED(TENSOR("K\4", "K\0NK\1\x85")),
            "expected a tensor's offset, size and strides, found int, None and tuple");
    refused(PICKLED(TENSOR("K\4",
                           "K\0(K\1K\1K\1K\1K\1K\1K\1K\1K\1K\1K\1K\1K\1K\1K\1K\1K\1K\1K\1K\1K\1K\1K\1K\1K\1K\1K\1K\1K\1"
                           "K\1K\1K\1K\1tK\1\x85")),
            "expected at most 32 sizes and as many strides, found 33 and 1");
}

/* Sixteen bytes, seen as a terabyte by a stride of 0. */
static void elements_are_not_multiplied_without_bound(void)
{
    refused(PICKLED(TENSOR("K\4", "K\0\x8a\6\0\0\0\0\x40\0\x85K\0\x85")),
            "expected tensors of at most 64 times what is stored, found tensors of 1099511627776 bytes over storages "
            "of 16");
    h5ckpt_state *s = test_opened(PICKLED(TENSOR("K\4", "K\0M\0\x10\x85K\0\x85")));
    CU_ASSERT_EQUAL(h5ckpt_tensor_get_info(h5ckpt_tensors_get(h5ckpt_state_parameters(s), "w"))->nbytes, 16384);
    h5ckpt_state_free(s);
}

static void nothing_else_is_called(void)
{
    refused(PICKLED("\x80\x02"
                    "cos\nsystem\nX\4\0\0\0true\x85R."),
            "os system");
    refused(PICKLED("\x80\x02"
                    "c__torch__.m\nNet\n)\x81}b."),
            "__torch__.m Net");
    refused(PICKLED("\x80\x02"
                    "ctorch._utils\n_rebuild_tensor_v2\n)R."),
            "expected 6 arguments for _rebuild_tensor_v2");
    refused(PICKLED("\x80\x02"
                    "ctorch._utils\n_rebuild_nested_tensor\n)R."),
            "found a nested tensor");
    refused(PICKLED("\x80\x02"
                    "ctorch._tensor\n_rebuild_from_type_v2\n)R."),
            "expected 4 arguments for _rebuild_from_type_v2");
}

/* {a long key: [w, w, w, ...]}: each name has the key in it. */
static void names_do_not_grow_without_bound(void)
{
    enum { LONG = 100000, MANY = 1000, TOO_LONG = 17 << 20 };
    static const char tensor[] = "]q\1(ctorch._utils\n_rebuild_tensor_v2\n((X\7\0\0\0storage" FLOATS KEY_0
                                 "K\4" BEHIND_ID "K\0K\4\x85K\1\x85\x89"
                                 "ccollections\nOrderedDict\n)RtRq\2";
    static const char head[] = "\x80\x02}X\xa0\x86\1\0";
    static const char schedule[] = "}(X\x0a\0\0\0last_epochK\1X\x08\0\0\0base_lrs]us.";
    h5ck_buf b = H5CK_BUF_INIT;
    h5ck_buf_add(&b, head, sizeof head - 1);
    for (size_t i = 0; i < LONG; i++)
        h5ck_buf_u8(&b, 'k');
    h5ck_buf_add(&b, tensor, sizeof tensor - 1);
    for (size_t i = 1; i < MANY; i++)
        h5ck_buf_add(&b, "h\2", 2);
    h5ck_buf_str(&b, "es.");
    refused(pickled(b.data, b.len), "expected names of at most 512 bytes on average");
    b.len = sizeof head - 1 - 4; /* one schedule, whose name alone is too long */
    h5ck_buf_le(&b, TOO_LONG, 4);
    for (size_t i = 0; i < TOO_LONG; i++)
        h5ck_buf_u8(&b, 'k');
    h5ck_buf_add(&b, schedule, sizeof schedule - 1);
    refused(pickled(b.data, b.len), "expected names of at most 512 bytes on average");
    h5ck_buf_free(&b);
}

/* A million tuples in each other: no stack is used up. */
static void depth_is_bounded(void)
{
    enum { DEEP = 1000000 };
    unsigned char *pickle = malloc(2 * DEEP + 3);
    CU_ASSERT_PTR_NOT_NULL_FATAL(pickle);
    memset(pickle, '(', DEEP);
    memset(pickle + DEEP, 't', DEEP);
    pickle[2 * DEEP] = '.';
    refused(pickled(pickle, 2 * DEEP + 1), "data.pkl");
    free(pickle);
}

static void archives_of_other_forms_are_refused(void)
{
    static const char pickle[] = "\x80\x02}.";
    const member good[] = {{"a/data.pkl", pickle, 4}, {"a/version", "3\n", 2}, {"a/byteorder", "little", 6}};
    member m[3];
    h5ckpt_state *s = test_opened(archive(good, 3));
    CU_ASSERT_EQUAL(h5ckpt_tensors_count(h5ckpt_state_parameters(s)), 0);
    h5ckpt_state_free(s);
    refused(archive(good, 1), "expected a version from 1 to 10 in a/version, found 'no such member'");
    memcpy(m, good, sizeof m);
    m[1].data = "11";
    refused(archive(m, 3), "expected a version from 1 to 10 in a/version, found '11'");
    memcpy(m, good, sizeof m);
    m[2].data = "middle";
    refused(archive(m, 3), "expected 'little' or 'big' in a/byteorder, found 'middle'");
    m[2] = (member){"b/data.pkl", pickle, 4};
    refused(archive(m, 3), "expected one data.pkl, found a/data.pkl and b/data.pkl");
    m[2] = (member){"a/.data/h5ckpt_metadata", "[]", 2};
    refused(archive(m, 3), "expected a JSON object of strings in a/.data/h5ckpt_metadata, found list");
    m[2] = (member){"a/.data/h5ckpt_metadata", "{\"a\": 1}", 8};
    refused(archive(m, 3), "expected a JSON object of strings in a/.data/h5ckpt_metadata, found other values");
    refused(archive(good + 1, 2), "expected a member PREFIX/data.pkl, found none");
}

/* The decay of another framework that stands beside the pickle is held to the schema's rules. */
static void a_decay_of_another_framework_is_no_call(void)
{
    static const char pickle[] = "\x80\2}(X\x10\0\0\0model_state_dict}X\r\0\0\0lr_schedulers}X\1\0\0\0"
                                 "a}("
                                 "X\x0a\0\0\0last_epochK\1X\x08\0\0\0_last_lr]G\x3f\xe0\0\0\0\0\0\0"
                                 "ausu.";
    static const char *const bad[] = {
        "[\"os\", \"system\", {\"args\": {\"$tuple\": [1]}}]",
        "[\"m\", \"C\", {\"step_num\": 1, \"x\": [{\"$object\": [\"os\", \"system\", {}]}]}]"};
    for (size_t i = 0; i < 2; i++) {
        h5ck_buf inner = H5CK_BUF_INIT, outer = H5CK_BUF_INIT;
        h5ck_buf_printf(&inner, "{\"a\": {\"$object\": %s}}", bad[i]);
        h5ck_buf_str(&outer, "{\"h5ckpt.decays\": \"");
        for (size_t k = 0; k < inner.len; k++) {
            if (inner.data[k] == '"')
                h5ck_buf_u8(&outer, '\\');
            h5ck_buf_u8(&outer, inner.data[k]);
        }
        h5ck_buf_str(&outer, "\"}");
        const member members[] = {{"a/data.pkl", pickle, sizeof pickle - 1},
                                  {"a/version", "3\n", 2},
                                  {"a/.data/h5ckpt_metadata", outer.data, outer.len}};
        refused(archive(members, 3), "expected a learning-rate decay");
        h5ck_buf_free(&inner);
        h5ck_buf_free(&outer);
    }
}

static void a_damaged_pickle_is_refused_by_its_crc(void)
{
    size_t len;
    unsigned char *bytes = test_read(PICKLED(TENSOR("K\4", "K\0K\4\x85K\1\x85")), &len);
    bytes[64 + 7] ^= 1; /* "w" becomes "v" */
    test_write(test_tmp("damaged.pt"), bytes, len);
    free(bytes);
    refused(test_tmp("damaged.pt"), "the member a/data.pkl is damaged: expected the CRC-32");
}

static void a_flipped_bit_of_an_element_is_found_by_verify(void)
{
    size_t len;
    h5ckpt_error *err = NULL;
    h5ckpt_verified v = H5CKPT_VERIFIED_INIT;
    h5ckpt_state *s = fixture("state_dict.pt");
    CU_ASSERT_EQUAL(h5ckpt_verify(test_fixture("torch/state_dict.pt"), NULL, NULL, NULL, &v, &err), 0);
    CU_ASSERT_EQUAL(v.digests, 9);
    unsigned char *bytes = test_read(test_fixture("torch/state_dict.pt"), &len);
    const h5ckpt_tensor *t = h5ckpt_tensors_get(h5ckpt_state_parameters(s), "1.bias");
    bytes[t->extent.offset] ^= 1;
    h5ckpt_state_free(s);
    test_write(test_tmp("flipped.pt"), bytes, len);
    free(bytes);
    CU_ASSERT_EQUAL(h5ckpt_verify(test_tmp("flipped.pt"), NULL, NULL, NULL, &v, &err), H5CKPT_DIFFERENT);
    CU_ASSERT_EQUAL(v.differences, 1);
    CU_ASSERT_EQUAL(h5ckpt_convert(test_tmp("flipped.pt"), test_tmp("flipped.h5"), NULL, &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, "1.bias");
}

/* ---- Before 1.6 ---- */

static void legacy_files_are_held_to_their_order(void)
{
    size_t len;
    h5ck_buf b = H5CK_BUF_INIT;
    unsigned char *bytes = test_read(test_fixture("torch/state_dict_legacy.pt"), &len);
    h5ck_buf_add(&b, bytes, len);
    h5ck_buf_u8(&b, 0);
    test_write(test_tmp("longer.pt"), b.data, b.len);
    refused(test_tmp("longer.pt"), "expected the end of the file, found 1 more bytes");
    b.data[18]++; /* of the protocol's 1001 */
    test_write(test_tmp("newer.pt"), b.data, len);
    refused(test_tmp("newer.pt"), "expected the protocol 1001 of PyTorch before 1.6");
    b.data[18]--;
    h5ckpt_state *state = fixture("state_dict_legacy.pt");
    for (size_t i = 0; i < 9; i++) {
        const h5ckpt_tensor *t = h5ckpt_tensors_at(h5ckpt_state_parameters(state), i);
        unsigned char *count = b.data + t->extent.offset - 8; /* of a storage; they stand one behind the other */
        const uint64_t right = h5ck_le_get(count, 8);
        h5ck_le_put(count, UINT64_MAX, 8);
        test_write(test_tmp("lies.pt"), b.data, len);
        refused(test_tmp("lies.pt"), "expected 18446744073709551615 elements of");
        h5ck_le_put(count, 1000, 8);
        test_write(test_tmp("lies.pt"), b.data, len);
        refused(test_tmp("lies.pt"), "expected 1000 elements of");
        h5ck_le_put(count, right, 8);
    }
    h5ckpt_state_free(state);
    h5ck_buf_free(&b);
    free(bytes);
}

int main(void)
{
    static const test_case cases[] = {
        {"every checkpoint comes back from HDF5 as it would come without",
         every_checkpoint_comes_back_from_hdf5_as_it_would_come_without},
        {"a model's tensors have the model's names", a_models_tensors_have_the_models_names},
        {"a checkpoint is taken apart", a_checkpoint_is_taken_apart},
        {"views have the elements that torch sees", views_have_the_elements_that_torch_sees},
        {"tied tensors share a storage again", tied_tensors_share_a_storage_again},
        {"every dtype is read", every_dtype_is_read},
        {"what has no plain elements is refused by name", what_has_no_plain_elements_is_refused_by_name},
        {"every cut is refused", every_cut_is_refused},
        {"tensors alone become a state_dict of these bytes", tensors_alone_become_a_state_dict_of_these_bytes},
        {"decays and metadata of others travel in a checkpoint", decays_and_metadata_of_others_travel_in_a_checkpoint},
        {"optimizer state of others comes back under its names", optimizer_state_of_others_comes_back_under_its_names},
        {"a structure that calls something is not written", a_structure_that_calls_something_is_not_written},
        {"a structure that does not fit is left", a_structure_that_does_not_fit_is_left},
        {"the archive made by hand is read", the_archive_made_by_hand_is_read},
        {"OrderedDicts of Python 2 are dictionaries", ordered_dicts_of_python_2_are_dictionaries},
        {"keys that cannot be names come back", keys_that_cannot_be_names_come_back},
        {"numbers of a big-endian machine are turned", numbers_of_a_big_endian_machine_are_turned},
        {"storages that lie are refused", storages_that_lie_are_refused},
        {"views that lie are refused", views_that_lie_are_refused},
        {"elements are not multiplied without bound", elements_are_not_multiplied_without_bound},
        {"nothing else is called", nothing_else_is_called},
        {"names do not grow without bound", names_do_not_grow_without_bound},
        {"depth is bounded", depth_is_bounded},
        {"archives of other forms are refused", archives_of_other_forms_are_refused},
        {"a decay of another framework is no call", a_decay_of_another_framework_is_no_call},
        {"a damaged pickle is refused by its CRC", a_damaged_pickle_is_refused_by_its_crc},
        {"a flipped bit of an element is found by verify", a_flipped_bit_of_an_element_is_found_by_verify},
        {"legacy files are held to their order", legacy_files_are_held_to_their_order},
        {NULL, NULL}};
    return test_run("torch", cases);
}
