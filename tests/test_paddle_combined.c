/*
 * test_paddle_combined.c - files of many parameters: three generations of the real Paddle's are read and come back byte
 * for byte; names come from each kind of neighbour; what does not agree with them is refused.
 */
#include "base/buf.h"
#include "format/format.h"
#include "parse/program.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- Helpers ---- */

/* Two streams: int8 [1] of 42, and int8 [2] of 1, 2. */
static const unsigned char two[] = {0, 0, 0, 0, 0,  0,    0, 0,  0, 0, 0, 0, 0,  0,    0, 0, 4,
                                    0, 0, 0, 8, 21, 0x10, 1, 42, 0, 0, 0, 0, 0,  0,    0, 0, 0,
                                    0, 0, 0, 0, 0,  0,    0, 4,  0, 0, 0, 8, 21, 0x10, 2, 1, 2};

static const char *path_in(const char *dir, const char *name)
{
    static char paths[4][4096];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof *paths, "%s/%s", dir, name);
    return path;
}

/* A fresh folder with the two streams as `name`. */
static const char *fresh(const char *dir, const char *name)
{
    const char *path = test_tmp(dir);
    mkdir(path, 0777);
    test_write(path_in(path, name), two, sizeof two);
    return path;
}

static void copy_file(const char *from, const char *to)
{
    size_t len;
    unsigned char *bytes = test_read(from, &len);
    test_write(to, bytes, len);
    free(bytes);
}

static bool is_named(const h5ckpt_state *s, size_t i, const char *name)
{
    const h5ckpt_tensor *t = h5ckpt_tensors_at(h5ckpt_state_parameters(s), i);
    return t && strcmp(h5ckpt_tensor_get_info(t)->name, name) == 0;
}

static void note_into(void *user, const char *line)
{
    h5ck_buf_printf(user, "%s|", line);
}

static int convert(const char *from, const char *to, h5ckpt_error **err)
{
    h5ckpt_options o = H5CKPT_OPTIONS_INIT;
    o.to = "paddle-combined";
    o.no_sync = 1;
    return h5ckpt_convert(from, to, &o, err);
}

/* ---- The real Paddle's ---- */

static void expect_tensor(const h5ckpt_state *s, const char *name, uint64_t d0, uint64_t d1, float first)
{
    h5ckpt_error *err = NULL;
    const h5ckpt_tensor *t = h5ckpt_tensors_get(h5ckpt_state_parameters(s), name);
    float found = 0;
    CU_ASSERT_PTR_NOT_NULL_FATAL(t);
    const h5ckpt_tensor_info *info = h5ckpt_tensor_get_info(t);
    CU_ASSERT_TRUE(info->dtype == H5CKPT_DTYPE_FLOAT32 && info->rank == (d1 ? 2 : 1));
    CU_ASSERT_TRUE(info->shape[0] == d0 && (!d1 || info->shape[1] == d1));
    CU_ASSERT_EQUAL(h5ckpt_tensor_read(t, 0, &found, sizeof found, &err), 0);
    test_expect_none(&err);
    CU_ASSERT_DOUBLE_EQUAL(found, first, 1e-6);
}

/* What make.py set: RandomState(100 * rank + shape[0]). */
static void expect_jit_model(const char *path)
{
    h5ckpt_state *s = test_opened(path);
    CU_ASSERT_EQUAL(h5ckpt_tensors_count(h5ckpt_state_parameters(s)), 8);
    expect_tensor(s, "batch_norm1d_0.w_2", 3, 0, -1.2492783069610596F);
    expect_tensor(s, "embedding_0.w_0", 7, 4, -2.294382333755493F);
    expect_tensor(s, "linear_0.w_0", 4, 3, -0.17869535088539124F);
    h5ckpt_state_free(s);
}

static void paddle_2_program_tells_names(void)
{
    expect_jit_model(test_fixture("paddle_combined/program/m.pdiparams"));
}

static void paddle_3_program_tells_names(void)
{
    expect_jit_model(test_fixture("paddle_combined/pir/m.pdiparams"));
}

static void fluid_model_file_tells_names(void)
{
    h5ckpt_state *s = test_opened(test_fixture("paddle_combined/fluid/__params__"));
    CU_ASSERT_STRING_EQUAL(h5ckpt_state_format(s), "paddle-combined");
    CU_ASSERT_EQUAL(h5ckpt_tensors_count(h5ckpt_state_parameters(s)), 8);
    expect_tensor(s, "fc_0.w_0", 4, 3, -0.17869535088539124F);
    h5ckpt_state_free(s);
}

static void the_info_alone_tells_names(void)
{
    mkdir(test_tmp("info"), 0777);
    copy_file(test_fixture("paddle_combined/program/m.pdiparams"), test_tmp("info/m.pdiparams"));
    copy_file(test_fixture("paddle_combined/program/m.pdiparams.info"), test_tmp("info/m.pdiparams.info"));
    expect_jit_model(test_tmp("info/m.pdiparams"));
}

static void they_come_back_byte_for_byte_through_hdf5(void)
{
    h5ckpt_error *err = NULL;
    const char *from = test_fixture("paddle_combined/program/m.pdiparams");
    CU_ASSERT_EQUAL(h5ckpt_convert(from, test_tmp("jit.h5"), NULL, &err), 0);
    CU_ASSERT_EQUAL(convert(test_tmp("jit.h5"), test_tmp("jit.pdiparams"), &err), 0);
    test_expect_none(&err);
    CU_ASSERT_TRUE(test_same_bytes(from, test_tmp("jit.pdiparams")));
    CU_ASSERT_TRUE(
        test_same_bytes(test_fixture("paddle_combined/program/m.pdiparams.info"), test_tmp("jit.pdiparams.info")));
    expect_jit_model(test_tmp("jit.pdiparams"));
}

static void the_info_that_is_written_is_a_pickled_dict(void)
{
    static const unsigned char info[] = "\x80\x02}q\0X\1\0\0\0wq\1}q\2(X\x0f\0\0\0structured_nameq\3h\1X\r\0\0\0stop_"
                                        "gradientq\4\x89X\t\0\0\0trainableq\5\x88us.";
    const uint64_t shape[] = {2};
    const h5ckpt_tensor_info w = {.name = "w", .dtype = H5CKPT_DTYPE_INT8, .rank = 1, .shape = shape};
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = h5ckpt_state_new();
    size_t len;
    CU_ASSERT_EQUAL(h5ckpt_state_add_tensor(s, 0, &w, "\1\2", &err), 0);
    CU_ASSERT_EQUAL(h5ckpt_state_write(s, test_tmp("one.pdiparams"), NULL, &err), 0);
    test_expect_none(&err);
    h5ckpt_state_free(s);
    unsigned char *found = test_read(test_tmp("one.pdiparams.info"), &len);
    CU_ASSERT_EQUAL(len, sizeof info - 1);
    CU_ASSERT_TRUE(len == sizeof info - 1 && memcmp(found, info, len) == 0);
    free(found);
    found = test_read(test_tmp("one.pdiparams"), &len);
    CU_ASSERT_TRUE(len == sizeof two - 25 && memcmp(found, two + 25, len) == 0);
    free(found);
}

/* ---- Names ---- */

static void a_list_tells_names_in_its_own_order(void)
{
    const char *dir = fresh("list", "model.pdparams");
    test_write(path_in(dir, "var_names.pdvar"), "w\nb\n", 4);
    h5ckpt_state *s = test_opened(path_in(dir, "model.pdparams"));
    CU_ASSERT_TRUE(is_named(s, 0, "w") && is_named(s, 1, "b"));
    h5ckpt_state_free(s);
    test_write(path_in(dir, "var_names.pdvar"), "w\nb", 3);
    s = test_opened(path_in(dir, "model.pdparams"));
    CU_ASSERT_TRUE(is_named(s, 0, "w") && is_named(s, 1, "b"));
    h5ckpt_state_free(s);
}

static void names_that_do_not_fit_are_refused(void)
{
    static const struct {
        const char *list;
        size_t len;
        const char *why;
    } cases[] = {
        {"w\n", 2, "offset 25: expected the end of the file after 1 tensors, as "},
        {"a\nb\nc\n", 6, "var_names.pdvar names them, found 2"},
        {"", 0, "after 0 tensors"},
        {"a\n\n", 3, "expected a name for the tensor, found an empty one"},
        {"a\na\n", 4, "'a': expected each name once"},
        {"a\n\xff\n", 4, "in UTF-8"},
        {"a\0b", 3, "var_names.pdvar: expected names, one a line, found a zero byte"},
    };
    const char *dir = fresh("misfit", "x");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        test_write(path_in(dir, "var_names.pdvar"), cases[i].list, cases[i].len);
        test_refused(path_in(dir, "x"), cases[i].why);
    }
}

static void without_a_neighbour_it_says_which_it_looked_for(void)
{
    const char *dir = fresh("alone", "m.pdiparams");
    test_refused(path_in(dir, "m.pdiparams"),
                 "m.pdiparams: expected a file beside it that tells the names of its tensors (m.pdmodel, ");
    fresh("alone", "params");
    test_refused(path_in(dir, "params"), "(params.info, __model__, model, var_names.pdvar), found none");
}

static void an_info_that_is_no_dict_of_names_is_refused(void)
{
    static const struct {
        const char *pickle;
        size_t len;
        const char *why;
    } cases[] = {
        {"\x80\x02]q\0.", 6, "m.pdiparams.info: expected a pickled dict of names, found list"},
        {"\x80\x02}q\0K\1K\2s.", 11, "expected a name as each key, found int"},
        {"\x80\x02"
         "cos\nsystem\n.",
         14, "os system"},
    };
    const char *dir = fresh("noinfo", "m.pdiparams");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        test_write(path_in(dir, "m.pdiparams.info"), cases[i].pickle, cases[i].len);
        test_refused(path_in(dir, "m.pdiparams"), cases[i].why);
    }
}

/* ---- Programs ---- */

/* A ProgramDesc of one block with the persistable variables b (of this dtype, and one dim) and a: int8 [1]; feed and a
 * variable that is not persistable, too. */
static size_t program(unsigned char *out, unsigned char dtype, unsigned char dim)
{
    const unsigned char a[] = {0x0a, 1, 'a', 0x12, 10, 8, 7, 0x1a, 6, 0x0a, 4, 8, 21, 0x10, 1, 0x18, 1};
    const unsigned char b[] = {0x0a, 1, 'b', 0x12, 10, 8, 7, 0x1a, 6, 0x0a, 4, 8, dtype, 0x10, dim, 0x18, 1};
    const unsigned char feed[] = {0x0a, 4, 'f', 'e', 'e', 'd', 0x12, 2, 8, 9, 0x18, 1};
    const unsigned char local[] = {0x0a, 1, 'c', 0x12, 2, 8, 7, 0x18, 0};
    h5ck_buf block = H5CK_BUF_INIT;
    const struct {
        const unsigned char *bytes;
        size_t len;
    } all[] = {{b, sizeof b}, {feed, sizeof feed}, {local, sizeof local}, {a, sizeof a}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        h5ck_buf_u8(&block, 0x1a);
        h5ck_buf_u8(&block, (unsigned)all[i].len);
        h5ck_buf_add(&block, all[i].bytes, all[i].len);
    }
    out[0] = 0x0a;
    out[1] = (unsigned char)block.len;
    memcpy(out + 2, block.data, block.len);
    size_t len = block.len + 2;
    h5ck_buf_free(&block);
    return len;
}

static void a_program_that_disagrees_is_refused(void)
{
    const char *dir = fresh("disagrees", "m.pdiparams");
    unsigned char bytes[256];
    test_write(path_in(dir, "m.pdmodel"), bytes, program(bytes, 21, 2));
    h5ckpt_state *s = test_opened(path_in(dir, "m.pdiparams"));
    CU_ASSERT_TRUE(is_named(s, 0, "a") && is_named(s, 1, "b"));
    CU_ASSERT_EQUAL(h5ckpt_tensors_count(h5ckpt_state_parameters(s)), 2);
    h5ckpt_state_free(s);
    test_write(path_in(dir, "m.pdmodel"), bytes, program(bytes, 21, 3));
    test_refused(path_in(dir, "m.pdiparams"), "'b': expected the shape [3], as ");
    test_write(path_in(dir, "m.pdmodel"), bytes, program(bytes, 5, 2));
    test_refused(path_in(dir, "m.pdiparams"), "'b': expected float32, as ");
}

/* A cut program is refused, or has fewer names. */
static void a_program_cut_anywhere_is_refused(void)
{
    const char *dir = fresh("cutprogram", "m.pdiparams");
    unsigned char bytes[256];
    size_t len = program(bytes, 21, 2);
    for (size_t cut = 0; cut < len; cut++) {
        test_write(path_in(dir, "m.pdmodel"), bytes, cut);
        test_refused(path_in(dir, "m.pdiparams"), "expected");
    }
}

#define PIR(magic, ops)                                                                                                \
    "{\"base_code\":{\"magic\":\"" magic "\"},\"program\":{\"regions\":[{\"blocks\":[{\"ops\":[" ops "]}]}]}}"
#define OP(kind, name, type, dims, persistable)                                                                        \
    "{\"#\":\"" kind "\",\"A\":[0,1,1,\"" name                                                                         \
    "\"],\"O\":{\"%\":1,\"TT\":{\"#\":\"0.t_dtensor\",\"D\":[{\"#\":\"0.t_" type "\"},[" dims                          \
    "],\"NCHW\",[],0]}},\"OA\":[" persistable ",0,1]}"

static void a_program_of_paddle_3_is_checked_too(void)
{
    static const struct {
        const char *text, *why; /* NULL: it is read */
    } cases[] = {
        {PIR("pir", OP("p", "b", "i8", "2", "1") "," OP("p", "a", "i8", "-1", "1")), NULL},
        {PIR("pir", OP("p", "b", "i8", "2", "1") "," OP("p", "a", "i8", "1", "1") "," OP("p", "t", "i8", "1", "0")),
         NULL},
        {PIR("pir", OP("p", "b", "i8", "2", "1") "," OP("1.x", "c", "i8", "2", "1") "," OP("p", "a", "new", "1", "1")),
         NULL},
        {PIR("pir", OP("p", "b", "ui8", "2", "1") "," OP("p", "a", "i8", "1", "1")), "'b': expected uint8, as "},
        {PIR("pir", OP("p", "b", "i8", "2", "1") "," OP("p", "a", "f8e4m3fn", "1", "1")),
         "expected float8_e4m3fn, as "},
        {PIR("pir", OP("p", "b", "bf16", "2", "1") "," OP("p", "a", "i8", "1", "1")), "expected bfloat16, as "},
        {PIR("pir", OP("p", "b", "c128", "2", "1") "," OP("p", "a", "i8", "1", "1")), "expected complex128, as "},
        {PIR("pir", OP("p", "b", "i8", "2, 1", "1") "," OP("p", "a", "i8", "1", "1")),
         "expected the shape [2, 1], as "},
        {PIR("pir", OP("p", "b", "i8", "\"2\"", "1")), "m.json: offset 151: expected a dimension, found a string"},
        {PIR("pir", "{\"#\":\"p\",\"A\":[0]}"), "expected a parameter with a name"},
        {PIR("pir", "{\"#\":\"p\",\"A\":[\"a\\u0000\"]}"), "expected the name of a parameter"},
        {PIR("mlir", OP("p", "b", "i8", "2", "1")), "m.json: expected a program of Paddle 3, found other JSON"},
        {"{}", "expected a program of Paddle 3, found other JSON"},
        {"[]", "expected an object"},
        {"{\"base_code\":", "m.json: offset"},
    };
    const char *dir = fresh("pir", "m.pdiparams");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        test_write(path_in(dir, "m.json"), cases[i].text, strlen(cases[i].text));
        if (cases[i].why) {
            test_refused(path_in(dir, "m.pdiparams"), cases[i].why);
            continue;
        }
        h5ckpt_state *s = test_opened(path_in(dir, "m.pdiparams"));
        CU_ASSERT_TRUE(is_named(s, 0, "a") && is_named(s, 1, "b"));
        CU_ASSERT_EQUAL(h5ckpt_tensors_count(h5ckpt_state_parameters(s)), 2);
        h5ckpt_state_free(s);
    }
}

static void new_weights_go_beside_their_program(void)
{
    const char *dir = fresh("beside", "x");
    unsigned char bytes[256];
    h5ckpt_error *err = NULL;
    test_write(path_in(dir, "var_names.pdvar"), "a\nb\n", 4);
    test_write(path_in(dir, "m.pdmodel"), bytes, program(bytes, 21, 2));
    CU_ASSERT_EQUAL(convert(path_in(dir, "x"), path_in(dir, "m.pdiparams"), &err), 0);
    test_expect_none(&err);
    CU_ASSERT_TRUE(test_same_bytes(path_in(dir, "x"), path_in(dir, "m.pdiparams")));
    CU_ASSERT_FALSE(test_exists(path_in(dir, "m.pdiparams.info")));
}

static void weights_that_are_not_the_programs_are_refused(void)
{
    static const struct {
        const char *names;
        unsigned char dtype, dim;
        const char *why;
    } cases[] = {
        {"a\nc\n", 21, 2, "'b': expected the tensors of "}, /* the first that differs, in order */
        {"a\nB\n", 21, 2, "'B': expected the tensors of "},
        {"a\nb\n", 21, 3, "'b': expected the shape [3], as "},
        {"a\nb\n", 20, 2, "'b': expected uint8, as "},
    };
    const char *dir = fresh("foreign", "x");
    unsigned char bytes[256];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        h5ckpt_error *err = NULL;
        test_write(path_in(dir, "var_names.pdvar"), cases[i].names, 4);
        test_write(path_in(dir, "m.pdmodel"), bytes, program(bytes, cases[i].dtype, cases[i].dim));
        CU_ASSERT_EQUAL(convert(path_in(dir, "x"), path_in(dir, "m.pdiparams"), &err), H5CKPT_INVALID);
        test_expect_error(&err, H5CKPT_INVALID, cases[i].why);
        CU_ASSERT_FALSE(test_exists(path_in(dir, "m.pdiparams")));
    }
}

/* ---- The rest ---- */

static void a_file_cut_anywhere_is_refused(void)
{
    const char *from = test_fixture("paddle_combined/program/m.pdiparams");
    copy_file(test_fixture("paddle_combined/program/m.pdmodel"), test_tmp("cut.pdmodel"));
    test_refuses_every_cut(from, NULL);
    test_refuses_every_cut(from, "paddle-combined");
}

static void what_it_cannot_hold_is_noted(void)
{
    const uint64_t shape[] = {1};
    const h5ckpt_tensor_info w = {.name = "w", .dtype = H5CKPT_DTYPE_INT8, .rank = 1, .shape = shape};
    const h5ckpt_tensor_info m = {.name = "w_moment1_0", .dtype = H5CKPT_DTYPE_INT8, .rank = 1, .shape = shape};
    const h5ckpt_object object = {.class_name = "Mine"};
    const h5ckpt_value decay = {.type = H5CKPT_OBJECT, .as.object = &object};
    h5ckpt_options o = H5CKPT_OPTIONS_INIT;
    h5ckpt_error *err = NULL;
    h5ck_buf notes = H5CK_BUF_INIT;
    h5ckpt_state *s = h5ckpt_state_new();
    CU_ASSERT_EQUAL(h5ckpt_state_add_tensor(s, 0, &w, "\1", &err), 0);
    CU_ASSERT_EQUAL(h5ckpt_state_add_tensor(s, 1, &m, "\2", &err), 0);
    CU_ASSERT_EQUAL(h5ckpt_state_add_decay(s, "None", &decay, &err), 0);
    CU_ASSERT_EQUAL(h5ckpt_state_set_metadata(s, "k", "v", &err), 0);
    o.note = note_into;
    o.note_user = &notes;
    CU_ASSERT_EQUAL(h5ckpt_state_write(s, test_tmp("noted.pdiparams"), &o, &err), 0);
    test_expect_none(&err);
    const char *text = h5ck_buf_cstr(&notes);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "holds no learning-rate decays: 1 left out|"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "1 tensors of the optimizer state stand among the parameters"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "holds no metadata: 1 left out|"));
    h5ckpt_state_free(s);
    s = test_opened(test_tmp("noted.pdiparams"));
    CU_ASSERT_TRUE(is_named(s, 0, "w") && is_named(s, 1, "w_moment1_0"));
    h5ckpt_state_free(s);
    h5ck_buf_free(&notes);
}

static void a_folder_with_such_a_file_says_how_to_open_it(void)
{
    test_refused(test_fixture("paddle_combined/fluid"),
                 "__params__: offset 36: expected the end of the file, found 300 more "
                 "bytes (a second tensor: a file of many parameters is opened by its "
                 "own path)");
}

static void each_tensor_is_explained(void)
{
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = test_opened(test_fixture("paddle_combined/fluid/__params__"));
    char *text = h5ckpt_explain(s, h5ckpt_tensors_get(h5ckpt_state_parameters(s), "batch_norm_0.w_0"), NULL, &err);
    test_expect_none(&err);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "LoDTensor streams, one behind the other"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "        36  00 00 00 00                 LoDTensor version = 0"));
    free(text);
    h5ckpt_state_free(s);
}

int main(void)
{
    static const test_case cases[] = {
        {"Paddle 2's program tells names", paddle_2_program_tells_names},
        {"Paddle 3's program tells names", paddle_3_program_tells_names},
        {"fluid's __model__ tells names", fluid_model_file_tells_names},
        {"the info alone tells names", the_info_alone_tells_names},
        {"they come back byte for byte through HDF5", they_come_back_byte_for_byte_through_hdf5},
        {"the info that is written is a pickled dict", the_info_that_is_written_is_a_pickled_dict},
        {"a list tells names in its own order", a_list_tells_names_in_its_own_order},
        {"names that do not fit are refused", names_that_do_not_fit_are_refused},
        {"without a neighbour it says which it looked for", without_a_neighbour_it_says_which_it_looked_for},
        {"an info that is no dict of names is refused", an_info_that_is_no_dict_of_names_is_refused},
        {"a program that disagrees is refused", a_program_that_disagrees_is_refused},
        {"a program cut anywhere is refused", a_program_cut_anywhere_is_refused},
        {"a program of Paddle 3 is checked too", a_program_of_paddle_3_is_checked_too},
        {"new weights go beside their program", new_weights_go_beside_their_program},
        {"weights that are not the program's are refused", weights_that_are_not_the_programs_are_refused},
        {"a file cut anywhere is refused", a_file_cut_anywhere_is_refused},
        {"what it cannot hold is noted", what_it_cannot_hold_is_noted},
        {"a folder with such a file says how to open it", a_folder_with_such_a_file_says_how_to_open_it},
        {"each tensor is explained", each_tensor_is_explained},
        {NULL, NULL},
    };
    return test_run("paddle-combined", cases);
}
