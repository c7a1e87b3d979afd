/*
 * test_pdparams.c - Paddle's pickled states: the real ones (fixtures/pdparams, made by make.py there with Paddle 1.8.5
 * and 3.3.1) are read, come back as values, and what is written is fixed byte for byte; what is refused, and why.
 */
#include "base/buf.h"
#include "base/fs.h"
#include "model/state.h"
#include "parse/latin1.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A pickle as a literal, which may hold zero bytes. */
#define P(literal) (const unsigned char *)(literal), sizeof(literal) - 1

/* A NumPy array of one int8 in protocol 2, as NumPy writes it, up to its elements; and its end. */
#define ARRAY                                                                                                          \
    "cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85"                                                   \
    "C\1b\x87R(K\1K\1\x85"                                                                                             \
    "cnumpy\ndtype\nX\2\0\0\0i1\x89\x88\x87R(K\3X\1\0\0\0|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb\x89"
#define INT8 ARRAY "C\1\x2atb"

/* ---- Helpers ---- */

static const char *fixture(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "pdparams/%s", name);
    return test_fixture(path);
}

static void refused(const unsigned char *data, size_t len, const char *why)
{
    h5ckpt_error *err = NULL;
    test_write(test_tmp("hostile.pdparams"), data, len);
    h5ckpt_state *s = h5ckpt_state_open(test_tmp("hostile.pdparams"), NULL, &err);
    CU_ASSERT_PTR_NULL(s);
    test_expect_error(&err, H5CKPT_INVALID, why);
    h5ckpt_state_free(s);
}

/* The elements of a tensor are these floats, which begin with the first. */
static void floats_are(const h5ckpt_tensors *tensors, const char *name, size_t count, float first, float step)
{
    h5ckpt_error *err = NULL;
    const h5ckpt_tensor *t = h5ckpt_tensors_get(tensors, name);
    CU_ASSERT_PTR_NOT_NULL(t);
    const float *data = t ? h5ckpt_tensor_data(t, &err) : NULL;
    test_expect_none(&err);
    CU_ASSERT_EQUAL(t ? h5ckpt_tensor_get_info(t)->nbytes : 0, count * sizeof(float));
    for (size_t i = 0; data && i < count; i++) {
        float expected = first + step * (float)i;
        CU_ASSERT(memcmp(&data[i], &expected, sizeof expected) == 0);
    }
}

/* A state of one int8, and what may be wrong with it. */
static h5ckpt_state *small_state(const char *name)
{
    static const signed char one = 42;
    static const uint64_t shape = 1;
    const h5ckpt_tensor_info info = {.name = name, .dtype = H5CKPT_DTYPE_INT8, .rank = 1, .shape = &shape};
    h5ckpt_state *s = h5ckpt_state_new();
    CU_ASSERT_EQUAL(h5ckpt_state_add_tensor(s, 0, &info, &one, NULL), 0);
    return s;
}

static void note_into(void *user, const char *line)
{
    h5ck_buf_printf(user, "%s|", line);
}

/* ---- Reading ---- */

static void reads_paddle_1(void)
{
    h5ckpt_state *s = test_opened(fixture("v1.pdparams"));
    const h5ckpt_decay *decay = h5ckpt_decays_get(h5ckpt_state_decays(s), "LR_Scheduler");
    CU_ASSERT_STRING_EQUAL(h5ckpt_state_format(s), "pdparams");
    CU_ASSERT_EQUAL(h5ckpt_tensors_count(h5ckpt_state_parameters(s)), 8);
    CU_ASSERT_EQUAL(h5ckpt_tensors_count(h5ckpt_state_optimizer_state(s)), 25);
    CU_ASSERT_STRING_EQUAL(h5ckpt_tensor_get_info(h5ckpt_tensors_at(h5ckpt_state_parameters(s), 0))->name, "a.weight");
    CU_ASSERT_PTR_NOT_NULL(h5ckpt_tensors_get(h5ckpt_state_optimizer_state(s), "linear_0.w_0_moment1_0"));
    CU_ASSERT_PTR_NOT_NULL_FATAL(decay);
    CU_ASSERT_EQUAL(h5ckpt_value_get(h5ckpt_decay_get_info(decay)->value, "step_num")->as.i, 3);
    const h5ckpt_value *rest = h5ckpt_value_get(h5ckpt_state_metadata(s), "paddle");
    CU_ASSERT(rest && strstr(rest->as.str, "\"a.weight\": \"linear_0.w_0\""));
    h5ckpt_state_free(s);
}

static void reads_paddle_3(void)
{
    h5ckpt_state *s = test_opened(fixture("v3.pdparams"));
    const h5ckpt_decay *decay = h5ckpt_decays_get(h5ckpt_state_decays(s), "LR_Scheduler");
    CU_ASSERT_EQUAL(h5ckpt_tensors_count(h5ckpt_state_parameters(s)), 8);
    CU_ASSERT_EQUAL(h5ckpt_tensors_count(h5ckpt_state_optimizer_state(s)), 24);
    CU_ASSERT_PTR_NOT_NULL_FATAL(decay);
    const h5ckpt_value *value = h5ckpt_decay_get_info(decay)->value;
    CU_ASSERT_STRING_EQUAL(value->as.object->module, "paddle.optimizer.lr");
    CU_ASSERT_EQUAL(h5ckpt_value_get(value, "last_epoch")->as.i, 3);
    CU_ASSERT_EQUAL(h5ckpt_value_get(h5ckpt_value_get(value, "LinearWarmup_LR"), "last_epoch")->as.i, 1);
    h5ckpt_state_free(s);
}

static void reads_a_pdopt_alone_and_tells_of_one_beside(void)
{
    h5ck_buf notes = H5CK_BUF_INIT;
    h5ckpt_options o = H5CKPT_OPTIONS_INIT;
    o.note = note_into;
    o.note_user = &notes;
    h5ckpt_state *s = test_opened(fixture("v3.pdopt"));
    CU_ASSERT_EQUAL(h5ckpt_tensors_count(h5ckpt_state_parameters(s)), 0);
    CU_ASSERT_EQUAL(h5ckpt_tensors_count(h5ckpt_state_optimizer_state(s)), 24);
    h5ckpt_state_free(s);
    s = h5ckpt_state_open(fixture("v3.pdparams"), &o, NULL);
    CU_ASSERT_PTR_NOT_NULL(strstr(h5ck_buf_cstr(&notes), "v3.pdopt: read too"));
    h5ckpt_state_free(s);
    h5ck_buf_free(&notes);
}

static void names_what_a_whole_run_holds(void)
{
    h5ckpt_state *s = test_opened(fixture("whole.pdparams"));
    CU_ASSERT_EQUAL(h5ckpt_tensors_count(h5ckpt_state_parameters(s)), 8);
    CU_ASSERT_PTR_NOT_NULL(h5ckpt_tensors_get(h5ckpt_state_parameters(s), "bn._mean"));
    CU_ASSERT_PTR_NOT_NULL(h5ckpt_tensors_get(h5ckpt_state_optimizer_state(s), "linear_0.w_0_moment1_0"));
    CU_ASSERT_EQUAL(h5ckpt_decays_count(h5ckpt_state_decays(s)), 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(h5ckpt_value_get(h5ckpt_state_metadata(s), "paddle")->as.str, "\"epoch\": 3"));
    h5ckpt_state_free(s);
    s = test_opened(fixture("groups.pdparams")); /* several dictionaries of parameters: all keys count */
    floats_are(h5ckpt_state_parameters(s), "gan/g/w", 6, 0, 1);
    floats_are(h5ckpt_state_parameters(s), "gan/d/w", 2, 0, 1);
    floats_are(h5ckpt_state_parameters(s), "generator/w", 3, 0, 1);
    floats_are(h5ckpt_state_parameters(s), "b", 1, 0, 1);
    h5ckpt_state_free(s);
    s = test_opened(fixture("master.pdparams"));
    floats_are(h5ckpt_state_optimizer_state(s), "master_weights/linear_0.w_0", 4, -0.375f, 0.125f);
    floats_are(h5ckpt_state_parameters(s), "w", 4, -0.375f, 0.125f);
    h5ckpt_state_free(s);
}

static void reads_every_form_of_a_tensor(void)
{
    h5ckpt_state *s = test_opened(fixture("tensor.pdparams"));
    floats_are(h5ckpt_state_parameters(s), "one", 4, -0.375f, 0.125f);
    h5ckpt_state_free(s);
    s = test_opened(fixture("list.pdparams"));
    floats_are(h5ckpt_state_parameters(s), "0", 4, -0.375f, 0.125f);
    floats_are(h5ckpt_state_parameters(s), "1/a", 4, -0.375f, 0.125f);
    floats_are(h5ckpt_state_parameters(s), "1/5/0", 4, -0.375f, 0.125f);
    h5ckpt_state_free(s);
    s = test_opened(fixture("static.pdparams")); /* by a call of eval, which is not made */
    floats_are(h5ckpt_state_parameters(s), "w", 6, -0.375f, 0.125f);
    h5ckpt_state_free(s);
    s = test_opened(fixture("split.pdparams"));
    floats_are(h5ckpt_state_parameters(s), "big", 6, 0, 1);
    CU_ASSERT_EQUAL(h5ckpt_tensor_get_info(h5ckpt_tensors_get(h5ckpt_state_parameters(s), "big"))->rank, 2);
    CU_ASSERT_EQUAL(h5ckpt_tensors_count(h5ckpt_state_parameters(s)), 2);
    h5ckpt_state_free(s);
    s = test_opened(fixture("bfloat16.pdparams"));
    CU_ASSERT_EQUAL(h5ckpt_tensor_get_info(h5ckpt_tensors_at(h5ckpt_state_parameters(s), 0))->dtype,
                    H5CKPT_DTYPE_BFLOAT16);
    h5ckpt_state_free(s);
}

static void reads_arrays_in_any_order(void)
{
    static const char *const names[] = {"rare.pdparams", "rare5.pdparams", "text.pdparams"};
    h5ckpt_options o = H5CKPT_OPTIONS_INIT;
    o.from = "pdparams"; /* protocol 0 looks like any text */
    for (size_t i = 0; i < 3; i++) {
        h5ckpt_error *err = NULL;
        h5ckpt_state *s = h5ckpt_state_open(fixture(names[i]), &o, &err);
        test_expect_none(&err);
        floats_are(h5ckpt_state_parameters(s), "fortran", 6, 0, 1);
        floats_are(h5ckpt_state_parameters(s), "big_endian", 6, 0, 1);
        floats_are(h5ckpt_state_parameters(s), "empty", 0, 0, 0);
        const h5ckpt_tensor *t = h5ckpt_tensors_get(h5ckpt_state_parameters(s), "zero_d");
        CU_ASSERT_EQUAL(h5ckpt_tensor_get_info(t)->rank, 0);
        double number = 0; /* where the pickle put it: not aligned */
        memcpy(&number, h5ckpt_tensor_data(t, &err), sizeof number);
        CU_ASSERT(number == 2.5);
        CU_ASSERT_EQUAL(h5ckpt_tensors_count(h5ckpt_state_parameters(s)), 6);
        h5ckpt_state_free(s);
    }
}

/* 200,000 bytes of latin1 text, half of them of two bytes: read at any place, as they were. */
static void decodes_text_at_any_place(void)
{
    enum { N = 200000 };
    h5ck_buf b = H5CK_BUF_INIT;
    h5ck_buf_add(&b,
                 P("\x80\2}X\1\0\0\0wcnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85"
                   "C\1b\x87R(K\1J\x40\x0d\3\0\x85"
                   "cnumpy\ndtype\nX\2\0\0\0u1\x89\x88\x87R(K\3X\1\0\0\0|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb\x89"
                   "c_codecs\nencode\nX"));
    size_t two = 0;
    for (size_t i = 0; i < N; i++)
        two += (i * 7 + i / 256) % 256 >= 0x80;
    h5ck_buf_le(&b, N + two, 4);
    for (size_t i = 0; i < N; i++) {
        unsigned c = (unsigned)((i * 7 + i / 256) % 256);
        if (c >= 0x80)
            h5ck_buf_u8(&b, 0xc0 | c >> 6);
        h5ck_buf_u8(&b, c >= 0x80 ? 0x80 | (c & 0x3f) : c);
    }
    h5ck_buf_add(&b, P("X\6\0\0\0latin1\x86Rtbs."));
    test_write(test_tmp("text.pdparams"), b.data, b.len);
    h5ck_buf_free(&b);
    h5ckpt_state *s = test_opened(test_tmp("text.pdparams"));
    const h5ckpt_tensor *t = h5ckpt_tensors_get(h5ckpt_state_parameters(s), "w");
    static const size_t places[] = {0, 1, 65535, 65536, 65537, 131072, 199000, N - 1};
    size_t wrong = 0;
    for (size_t k = 0; k < sizeof places / sizeof *places; k++) {
        unsigned char got[1000];
        size_t n = places[k] + sizeof got < N ? sizeof got : N - places[k];
        CU_ASSERT_EQUAL(h5ckpt_tensor_read(t, places[k], got, n, NULL), 0);
        for (size_t i = 0; i < n; i++)
            wrong += got[i] != ((places[k] + i) * 7 + (places[k] + i) / 256) % 256;
    }
    CU_ASSERT_EQUAL(wrong, 0);
    h5ckpt_state_free(s);
}

/* ---- Writing ---- */

static void writes_these_bytes(void)
{
    static const unsigned char golden[] =
        "\200\004}\224\214\001w\224\214\025numpy.core.multiarray\224\214\014_reconstruct\224\223\224\214\005"
        "numpy\224\214\007ndarray\224\223\224K\000\205\224C\001b\224\207\224R\224(K\001K\001\205\224h\005"
        "\214\005dtype\224\223\224\214\002i1\224\211\210\207\224R\224(K\003\214\001|\224NNNJ\377\377\377\377"
        "J\377\377\377\377K\000t\224b\211C2\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000"
        "\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000"
        "\000\000\000\000\000\000\000\000\000\0000C\001*\224t\224bs.";
    size_t len;
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = small_state("w");
    CU_ASSERT_EQUAL(h5ckpt_state_write(s, test_tmp("golden.pdparams"), NULL, &err), 0);
    test_expect_none(&err);
    unsigned char *found = test_read(test_tmp("golden.pdparams"), &len);
    CU_ASSERT(found && len == sizeof golden - 1 && memcmp(found, golden, len) == 0);
    CU_ASSERT_FALSE(test_exists(test_tmp("golden.pdopt")));
    free(found);
    h5ckpt_state_free(s);
}

/* Through HDF5 and without it the same bytes are written; and those are written again when read. */
static void brings_all_fixtures_back(void)
{
    static const char *const names[] = {"v1",   "v3",     "protocol2", "whole", "bfloat16", "tensor",
                                        "list", "master", "static",    "split", "rare",     "groups"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char name[64], opt[64];
        snprintf(name, sizeof name, "%s.pdparams", names[i]);
        test_converts(fixture(name), test_tmp("all.h5"));
        test_converts(test_tmp("all.h5"), test_tmp("a.pdparams"));
        test_converts(fixture(name), test_tmp("b.pdparams"));
        test_converts(test_tmp("b.pdparams"), test_tmp("c.pdparams"));
        CU_ASSERT(test_same_bytes(test_tmp("a.pdparams"), test_tmp("b.pdparams")));
        CU_ASSERT(test_same_bytes(test_tmp("a.pdparams"), test_tmp("c.pdparams")));
        snprintf(opt, sizeof opt, "%s.pdopt", names[i]);
        CU_ASSERT_EQUAL(test_exists(test_tmp("a.pdopt")), test_exists(fixture(opt)));
        if (test_exists(fixture(opt))) {
            CU_ASSERT(test_same_bytes(test_tmp("a.pdopt"), test_tmp("b.pdopt")));
            remove(test_tmp("a.pdopt"));
            remove(test_tmp("b.pdopt"));
            remove(test_tmp("c.pdopt"));
        }
    }
}

static void leaves_out_of_the_table_what_is_gone(void)
{
    static const char *const only[] = {"a.*", NULL};
    h5ckpt_options o = H5CKPT_OPTIONS_INIT;
    h5ckpt_error *err = NULL;
    o.include = only;
    CU_ASSERT_EQUAL(h5ckpt_convert(fixture("protocol2.pdparams"), test_tmp("part.pdparams"), &o, &err), 0);
    test_expect_none(&err);
    h5ckpt_state *s = test_opened(test_tmp("part.pdparams"));
    CU_ASSERT_EQUAL(h5ckpt_tensors_count(h5ckpt_state_parameters(s)), 2);
    CU_ASSERT_STRING_EQUAL(
        h5ckpt_value_get(h5ckpt_state_metadata(s), "paddle")->as.str,
        "{\"pdparams\": {\"StructuredToParameterName@@\": {\"a.weight\": \"linear_0.w_0\", \"a.bias\": "
        "\"linear_0.b_0\"}}}");
    h5ckpt_state_free(s);
    CU_ASSERT_EQUAL(h5ckpt_convert(fixture("whole.pdparams"), test_tmp("part2.pdparams"), &o, &err), 0);
    test_expect_none(&err);
    s = test_opened(test_tmp("part2.pdparams"));
    CU_ASSERT_EQUAL(h5ckpt_tensors_count(h5ckpt_state_parameters(s)), 2);
    h5ckpt_state_free(s);
}

static void writes_a_pdopt_alone(void)
{
    h5ckpt_error *err = NULL;
    test_converts(fixture("v3.pdopt"), test_tmp("alone.pdopt"));
    h5ckpt_state *s = test_opened(test_tmp("alone.pdopt"));
    CU_ASSERT_EQUAL(h5ckpt_tensors_count(h5ckpt_state_optimizer_state(s)), 24);
    CU_ASSERT_EQUAL(h5ckpt_decays_count(h5ckpt_state_decays(s)), 1);
    h5ckpt_state_free(s);
    CU_ASSERT_EQUAL(h5ckpt_convert(fixture("v3.pdparams"), test_tmp("no.pdopt"), NULL, &err), H5CKPT_USAGE);
    test_expect_error(&err, H5CKPT_USAGE, "found parameters");
    CU_ASSERT_FALSE(test_exists(test_tmp("no.pdopt")));
}

/* The tensor is called by its place, "0", which is how the key begins. */
static void brings_a_key_with_a_zero_byte_back(void)
{
    size_t len;
    test_write(test_tmp("zero.pdparams"), P("\x80\2}X\3\0\0\0000\0b" INT8 "s."));
    test_converts(test_tmp("zero.pdparams"), test_tmp("back.pdparams"));
    unsigned char *data = test_read(test_tmp("back.pdparams"), &len);
    bool found = false;
    for (size_t i = 0; i + 5 <= len; i++)
        found = found || memcmp(data + i, "\x8c\0030\0b", 5) == 0;
    CU_ASSERT_TRUE(found);
    free(data);
}

/* The metadata comes from a file: what it may put into a pickle is little. */
static void refuses_hostile_metadata(void)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"{\"pdparams\": {\"x\": {\"$object\": [\"os\", \"system\", {\"args\": {\"$tuple\": [\"ls\"]}}]}}}", "os"},
        {"{\"pdparams\": {\"x\": {\"$object\": [\"os\", \"system\", {}]}}}", "os"},
        {"{\"pdparams\": {\"x\": {\"$object\": [\"builtins\", \"eval\", {\"args\": {\"$tuple\": [\"1\"]}}]}}}", "eval"},
        {"{\"pdparams\": {\"x\": {\"$object\": [\"\", \"persistent_id\", {\"id\": 1}]}}}", "expected a name"},
        {"{\"pdparams\": {\"w\": 1}}", "expected each key once"},
        {"{\"pdparams\": [1]}", "expected a dictionary to add tensors to"},
        {"{\"pdparams\": [{\"$object\": [\"h5ckpt\", \"parameter\", {\"name\": \"w\"}]}, {\"$object\": [\"h5ckpt\", "
         "\"parameter\", {\"name\": \"w\"}]}]}",
         "expected each name once"},
        {"{", "metadata 'paddle'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        h5ckpt_error *err = NULL;
        h5ckpt_state *s = small_state("w");
        CU_ASSERT_EQUAL(h5ckpt_state_set_metadata(s, "paddle", cases[i].text, NULL), 0);
        CU_ASSERT_EQUAL(h5ckpt_state_write(s, test_tmp("bad.pdparams"), NULL, &err), H5CKPT_INVALID);
        test_expect_error(&err, H5CKPT_INVALID, cases[i].why);
        CU_ASSERT_FALSE(test_exists(test_tmp("bad.pdparams")));
        h5ckpt_state_free(s);
    }
}

static void says_what_it_cannot_hold(void)
{
    static const unsigned char bits[4] = {1, 0, 2, 0};
    static const uint64_t shape = 2, offsets[] = {0, 1, 2};
    static const h5ckpt_lod_level lod = {3, offsets};
    const h5ckpt_tensor_info info = {
        .name = "u", .dtype = H5CKPT_DTYPE_UINT16, .rank = 1, .shape = &shape, .lod_levels = 1, .lod = &lod};
    h5ck_buf notes = H5CK_BUF_INIT;
    h5ckpt_options o = H5CKPT_OPTIONS_INIT;
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = small_state("w");
    o.note = note_into;
    o.note_user = &notes;
    CU_ASSERT_EQUAL(h5ckpt_state_add_tensor(s, 0, &info, bits, NULL), 0);
    CU_ASSERT_EQUAL(h5ckpt_state_set_metadata(s, "author", "me", NULL), 0);
    CU_ASSERT_EQUAL(h5ckpt_state_write(s, test_tmp("notes.pdparams"), &o, &err), 0);
    test_expect_none(&err);
    const char *said = h5ck_buf_cstr(&notes);
    CU_ASSERT_PTR_NOT_NULL(strstr(said, "no metadata of others: 1 left out"));
    CU_ASSERT_PTR_NOT_NULL(strstr(said, "arrays have no LoD: that of 1 tensors left out"));
    CU_ASSERT_PTR_NOT_NULL(strstr(said, "1 tensors of uint16: paddle.load takes them for bfloat16"));
    h5ckpt_state_free(s);
    h5ck_buf_free(&notes);
    const h5ckpt_tensor_info tiny = {.name = "t", .dtype = H5CKPT_DTYPE_FLOAT8_E4M3FN, .rank = 0};
    s = small_state("w");
    CU_ASSERT_EQUAL(h5ckpt_state_add_tensor(s, 0, &tiny, bits, NULL), 0);
    CU_ASSERT_EQUAL(h5ckpt_state_write(s, test_tmp("tiny.pdparams"), NULL, &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, "an element type that NumPy can pickle, found float8_e4m3fn");
    h5ckpt_state_free(s);
}

/* ---- Refusals ---- */

#define LATIN1(text, n) "\x80\2}X\1\0\0\0w" ARRAY "c_codecs\nencode\nX" n "\0\0\0" text "X\6\0\0\0latin1\x86Rtbs."
#define SPLIT(what)                                                                                                    \
    "\x80\2}(X\1\0\0\0w" INT8 "X\x15\0\0\0UnpackBigParamInfor@@}X\3\0\0\0big}(X\x0b\0\0\0OriginShape" what "usu."

static void refuses_what_is_no_state(void)
{
    refused(P("\x80\2K\1."), "expected a dictionary or tensors in a pickle, found int");
    refused(P("\x80\2}X\1\0\0\0xcos\nsystem\nX\2\0\0\0ls\x85Rs."), "found the global os system");
    refused(P("\x80\2}X\1\0\0\0xcos\nsystem\ns."), "found the global os system");
    refused(P("\x80\2}X\1\0\0\0xc__builtin__\neval\nX\2\0\0\0ls\x85Rs."), "expected eval only as Paddle writes");
    refused(P("\x80\2}X\1\0\0\0xcbuiltins\neval\nX\1\0\0\0d}X\4\0\0\0data" INT8 "s\x86Rs."),
            "expected eval only as Paddle writes");
    refused(P("\x80\2}X\1\0\0\0xcbuiltins\ntuple\nK\1\x85Rs."), "expected tuple only as Paddle writes");
    refused(P("\x80\2}X\1\0\0\0xK\1Qs."), "a persistent id");
    refused(P("\x80\2}X\1\0\0\0xcm\nC\n)\x81s."), "m C");
    refused(
        P("\x80\2}X\1\0\0\0xch5ckpt\nparameter\n)\x81}(X\x08\0\0\0step_numK\1X\x09\0\0\0step_sizeK\1X\5\0\0\0dtypeX\7"
          "\0\0\0float32ubs."),
        "expected a class of another module");
    refused(P("\x80\2}X\0\0\0\0" INT8 "s."), "expected a name");
    refused(P("\x80\2}X\1\0\0\0w" ARRAY "C\2\x2a\x2atbs."), "expected 1 bytes of NumPy elements, found 2");
    refused(P(LATIN1("ab", "\2")), "expected 1 bytes of NumPy elements, found 2");
    refused(P(LATIN1("abcd", "\4")), "expected 1 bytes of NumPy elements, found 4 of text");
    refused(P(LATIN1("\xc4\x80", "\2")), "expected text of latin1 characters");
    refused(P(SPLIT("K\1X\6\0\0\0slices]X\1\0\0\0wa")), "expected the slices of 'big'");
    refused(P(SPLIT("K\2\x85X\6\0\0\0slices]X\1\0\0\0wa")), "expected the slices of 'big'");
    refused(P(SPLIT("K\1\x85X\6\0\0\0slices]X\1\0\0\0va")), "expected the slices of 'big'");
    refused(P(SPLIT("K\1\x85X\6\0\0\0slices]")), "expected the slices of 'big'");
    refused(P(SPLIT("K\2\x85X\6\0\0\0slices](X\1\0\0\0wX\1\0\0\0we")), "expected the slices of 'big', each once");
}

/* {0: array, 1: array, ...}, all of the same elements. */
static void share(size_t arrays, size_t nbytes, h5ck_buf *b)
{
    b->len = 0;
    h5ck_buf_add(b, P("\x80\2"
                      "B"));
    h5ck_buf_le(b, nbytes, 4);
    for (size_t i = 0; i < nbytes; i++)
        h5ck_buf_u8(b, i & 0x7f);
    h5ck_buf_add(b, P("q\xc8"
                      "0}("));
    for (size_t i = 0; i < arrays; i++) {
        h5ck_buf_u8(b, 'M');
        h5ck_buf_le(b, i, 2);
        h5ck_buf_add(b, P("cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85"
                          "C\1b\x87R(K\1J"));
        h5ck_buf_le(b, nbytes, 4);
        h5ck_buf_add(b, P("\x85"
                          "cnumpy\ndtype\nX\2\0\0\0i1\x89\x88\x87R(K\3X\1\0\0\0|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff"
                          "K\0tb\x89h\xc8tb"));
    }
    h5ck_buf_add(b, P("u."));
}

static void refuses_elements_without_bound(void)
{
    enum { N = 4 << 20, MANY = 330 }; /* 1 GB, and 64 times the file */
    h5ck_buf b = H5CK_BUF_INIT;
    share(MANY, N, &b);
    refused((const unsigned char *)b.data, b.len, "expected arrays of at most 64 times what the file has");
    share(20, N, &b);
    test_write(test_tmp("shared.pdparams"), b.data, b.len);
    h5ckpt_state *s = test_opened(test_tmp("shared.pdparams"));
    CU_ASSERT_EQUAL(h5ckpt_tensors_count(h5ckpt_state_parameters(s)), 20);
    h5ckpt_state_free(s);
    h5ck_buf_free(&b);
}

static void refuses_names_without_bound(void)
{
    enum { KEY = 1 << 16, MANY = 300 };
    h5ck_buf b = H5CK_BUF_INIT;
    h5ck_buf_add(&b, P("\x80\2}(X\1\0\0\0w" INT8 "X"));
    h5ck_buf_le(&b, KEY, 4);
    for (size_t i = 0; i < KEY; i++)
        h5ck_buf_u8(&b, 'k');
    h5ck_buf_add(&b, P("}("));
    for (size_t i = 0; i < MANY; i++) {
        h5ck_buf_u8(&b, 'M');
        h5ck_buf_le(&b, i, 2);
        h5ck_buf_add(&b, P(INT8));
    }
    h5ck_buf_add(&b, P("uu."));
    refused((const unsigned char *)b.data, b.len, "expected names of at most 512 bytes on average");
    h5ck_buf_free(&b);
}

/* The file may be another by the time it is read: here its characters are of two bytes, where they were of one. */
static void reads_no_byte_past_a_changed_text(void)
{
    enum { N = 30000 };
    unsigned char *text = malloc(N), *out = malloc(N);
    h5ckpt_state *s = h5ckpt_state_new();
    h5ckpt_error *err = NULL;
    h5ck_extent extent;
    int fd = -1;
    for (size_t i = 0; i < N; i++)
        text[i] = i % 2 ? 0x80 : 0xc3;
    test_write(test_tmp("changed"), text, N);
    memset(text, 'x', N);
    h5ck_file *file = h5ck_state_new_file(s, test_tmp("changed"), NULL);
    CU_ASSERT_EQUAL_FATAL(h5ck_fs_open_source(file->root, NULL, file, &fd, NULL), 0);
    close(fd);
    CU_ASSERT_EQUAL_FATAL(h5ck_latin1_make(&s->arena, file, 0, text, N, N, &extent, NULL), 0);
    CU_ASSERT_EQUAL(extent.decoder->read(extent.decoder, 0, out, N, &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, "expected the text that was checked, found another");
    h5ckpt_state_free(s);
    free(text);
    free(out);
}

static void refuses_a_cut_at_every_offset(void)
{
    test_converts(fixture("protocol2.pdparams"), test_tmp("ours.pdparams"));
    test_refuses_every_cut(test_tmp("ours.pdparams"), "pdparams");
    test_refuses_every_cut(fixture("v1.pdparams"), "pdparams");
    test_refuses_every_cut(fixture("v1.pdopt"), "pdparams");
    test_refuses_every_cut(fixture("whole.pdparams"), "pdparams");
    test_refuses_every_cut(fixture("static.pdparams"), "pdparams");
}

/* Any one wrong byte is either refused as not valid or read; what was read can be written or is refused. */
static void survives_any_wrong_byte(void)
{
    static const char *const names[] = {"whole.pdparams", "split.pdparams", "static.pdparams"};
    for (size_t k = 0; k < 3; k++) {
        size_t len, odd = 0;
        unsigned char *data = test_read(fixture(names[k]), &len);
        for (size_t i = 0; i < len; i++) {
            h5ckpt_error *err = NULL;
            data[i] ^= 0x15;
            test_write(test_tmp("wrong.pdparams"), data, len);
            data[i] ^= 0x15;
            h5ckpt_options o = H5CKPT_OPTIONS_INIT;
            o.from = "pdparams";
            h5ckpt_state *s = h5ckpt_state_open(test_tmp("wrong.pdparams"), &o, &err);
            odd += !s && (!err || err->code != H5CKPT_INVALID);
            h5ckpt_error_free(err);
            h5ckpt_state_free(s);
        }
        CU_ASSERT_EQUAL(odd, 0);
        free(data);
    }
}

/* Paddle gets the scheduler's state that it expects, and what that cannot say is not lost. */
static void brings_a_decay_of_paddle_1_5_back_whole(void)
{
    h5ckpt_error *err = NULL;
    h5ckpt_options o = H5CKPT_OPTIONS_INIT;
    o.no_sync = 1;
    CU_ASSERT_EQUAL(h5ckpt_convert(test_fixture("seed_mlp"), test_tmp("whole.pdparams"), &o, &err), 0);
    CU_ASSERT_EQUAL(h5ckpt_convert(test_tmp("whole.pdparams"), test_tmp("whole_back/"), &o, &err), 0);
    test_expect_none(&err);
    CU_ASSERT(test_same_tree(test_fixture("seed_mlp"), test_tmp("whole_back")));
    size_t len;
    unsigned char *pickle = test_read(test_tmp("whole.pdopt"), &len), *json = NULL;
    for (size_t i = 0; !json && i + 8 < len; i++)
        if (memcmp(pickle + i, "{\"None\":", 8) == 0)
            json = pickle + i;
    CU_ASSERT_PTR_NOT_NULL_FATAL(json);
    json[0] = '[';
    test_write(test_tmp("wrong.pdopt"), pickle, len);
    CU_ASSERT_PTR_NULL(h5ckpt_state_open(test_tmp("wrong.pdopt"), NULL, &err));
    test_expect_error(&err, H5CKPT_INVALID, "h5ckpt.decays");
    free(pickle);
}

/* What is kept as text is a stranger's, too: an object in it would reach the pickle of a save directory. */
static void refuses_an_object_within_a_decay(void)
{
    static const char key[] = "h5ckpt.decays",
                      text[] =
                          "{\"None\": {\"$object\": [\"paddle.fluid.dygraph.learning_rate_scheduler\", \"NoamDecay\", "
                          "{\"step_num\": {\"$object\": [\"os\", \"system\", {}]}}]}}";
    unsigned char data[512];
    size_t n = 3;
    const char *const texts[] = {key, text};
    memcpy(data, "\x80\x02}", n);
    for (size_t i = 0; i < 2; i++) {
        size_t length = strlen(texts[i]);
        const unsigned char head[] = {'X', (unsigned char)length, (unsigned char)(length >> 8), 0, 0};
        memcpy(data + n, head, sizeof head);
        memcpy(data + n + sizeof head, texts[i], length);
        n += sizeof head + length;
    }
    memcpy(data + n, "s.", 2);
    test_write(test_tmp("calls.pdopt"), data, n + 2);
    test_refused(test_tmp("calls.pdopt"), "os");
}

int main(void)
{
    static const test_case cases[] = {
        {"reads Paddle 1", reads_paddle_1},
        {"reads Paddle 3", reads_paddle_3},
        {"reads a .pdopt alone, and tells of one beside", reads_a_pdopt_alone_and_tells_of_one_beside},
        {"names what a whole run holds", names_what_a_whole_run_holds},
        {"reads every form of a tensor", reads_every_form_of_a_tensor},
        {"reads arrays in any order", reads_arrays_in_any_order},
        {"decodes text at any place", decodes_text_at_any_place},
        {"writes these bytes", writes_these_bytes},
        {"brings all fixtures back", brings_all_fixtures_back},
        {"leaves out of the table what is gone", leaves_out_of_the_table_what_is_gone},
        {"writes a .pdopt alone", writes_a_pdopt_alone},
        {"brings a key with a zero byte back", brings_a_key_with_a_zero_byte_back},
        {"refuses hostile metadata", refuses_hostile_metadata},
        {"says what it cannot hold", says_what_it_cannot_hold},
        {"brings a decay of Paddle 1.5 back whole", brings_a_decay_of_paddle_1_5_back_whole},
        {"refuses an object within a decay", refuses_an_object_within_a_decay},
        {"refuses what is no state", refuses_what_is_no_state},
        {"refuses elements without bound", refuses_elements_without_bound},
        {"refuses names without bound", refuses_names_without_bound},
        {"reads no byte past a changed text", reads_no_byte_past_a_changed_text},
        {"refuses a cut at every offset", refuses_a_cut_at_every_offset},
        {"survives any wrong byte", survives_any_wrong_byte},
        {NULL, NULL},
    };
    return test_run("pdparams", cases);
}
