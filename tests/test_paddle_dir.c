/*
 * test_paddle_dir.c - save directories: the real Paddle's come back byte for byte, others' oddities are refused by
 * name, names that make no path are refused before anything is written.
 */
#include "base/buf.h"
#include "format/format.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- Helpers ---- */

static const unsigned char int8_1[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 8, 21, 0x10, 1, 42};

/* A fresh directory with one good parameter `w`. */
static const char *fresh(const char *name)
{
    char path[256];
    const char *dir = test_tmp(name);
    mkdir(dir, 0777);
    snprintf(path, sizeof path, "%s/w", name);
    test_write(test_tmp(path), int8_1, sizeof int8_1);
    return dir;
}

static const char *below(const char *dir, const char *name)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void refused(const char *dir, const char *why)
{
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = h5ckpt_state_open(dir, NULL, &err);
    CU_ASSERT_PTR_NULL(s);
    test_expect_error(&err, H5CKPT_INVALID, why);
    h5ckpt_state_free(s);
}

static void copies_whole(const char *fixture, const char *to)
{
    h5ckpt_error *err = NULL;
    CU_ASSERT_EQUAL(h5ckpt_convert(test_fixture(fixture), test_tmp(to), NULL, &err), 0);
    test_expect_none(&err);
    CU_ASSERT_TRUE(test_same_tree(test_fixture(fixture), test_tmp(to)));
}

static void note_into(void *user, const char *line)
{
    h5ck_buf_printf(user, "%s|", line);
}

/* ---- Tests ---- */

static void paddles_directories_come_back_byte_for_byte(void)
{
    copies_whole("seed_mlp", "seed_mlp");
    copies_whole("dtypes", "dtypes");
}

/* Three files come back with equal values instead: a user's decay that holds one list twice, one whose NumPy scalars
 * are each held twice (a pickle tells one object from two equal ones, values do not), and one with a big-endian
 * array. */
static void paddles_decays_come_back_byte_for_byte(void)
{
    static const char *const equal[] = {"mine_shared", "numpy_piecewise", "numpy_others"};
    h5ckpt_error *err = NULL;
    CU_ASSERT_EQUAL(h5ckpt_convert(test_fixture("decays"), test_tmp("decays"), NULL, &err), 0);
    h5ckpt_state *a = h5ckpt_state_open(test_fixture("decays"), NULL, &err);
    h5ckpt_state *b = h5ckpt_state_open(test_tmp("decays"), NULL, &err);
    test_expect_none(&err);
    for (size_t i = 0; i < sizeof equal / sizeof *equal; i++) {
        char path[64];
        size_t len;
        CU_ASSERT_TRUE(
            h5ck_value_equal(h5ckpt_decay_get_info(h5ckpt_decays_get(h5ckpt_state_decays(a), equal[i]))->value,
                             h5ckpt_decay_get_info(h5ckpt_decays_get(h5ckpt_state_decays(b), equal[i]))->value));
        snprintf(path, sizeof path, "decays/optimizers/%s", equal[i]);
        unsigned char *bytes = test_read(test_fixture(path), &len);
        test_write(test_tmp(path), bytes, len);
        free(bytes);
    }
    h5ckpt_state_free(a);
    h5ckpt_state_free(b);
    CU_ASSERT_TRUE(test_same_tree(test_fixture("decays"), test_tmp("decays")));
}

static void the_order_is_that_of_the_sorted_paths(void)
{
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = h5ckpt_state_open(test_fixture("seed_mlp"), NULL, &err);
    test_expect_none(&err);
    const h5ckpt_tensors *p = h5ckpt_state_parameters(s);
    CU_ASSERT_EQUAL(h5ckpt_tensors_count(p), 2);
    CU_ASSERT_STRING_EQUAL(h5ckpt_tensor_get_info(h5ckpt_tensors_at(p, 0))->name, "mlp/MLP_0/FC_0.b_0");
    CU_ASSERT_STRING_EQUAL(h5ckpt_tensor_get_info(h5ckpt_tensors_at(p, 1))->name, "mlp/MLP_0/FC_0.w_0");
    CU_ASSERT_EQUAL(h5ckpt_decays_count(h5ckpt_state_decays(s)), 1);
    CU_ASSERT_STRING_EQUAL(h5ckpt_decay_get_info(h5ckpt_decays_at(h5ckpt_state_decays(s), 0))->name, "None");
    CU_ASSERT_STRING_EQUAL(h5ckpt_state_format(s), "paddle-dir");
    h5ckpt_state_free(s);
}

/* Paddle 1.5 skips every folder whose path contains "optimizers", its parents included, and so loads nothing here. */
static void a_save_directory_may_lie_below_a_folder_called_optimizers(void)
{
    h5ckpt_error *err = NULL;
    mkdir(test_tmp("optimizers"), 0777);
    const char *dir = fresh("optimizers/save_dir");
    mkdir(below(dir, "more_optimizers"), 0777);
    test_write(below(dir, "more_optimizers/x"), int8_1, sizeof int8_1);
    h5ckpt_state *s = h5ckpt_state_open(dir, NULL, &err);
    test_expect_none(&err);
    CU_ASSERT_EQUAL(h5ckpt_tensors_count(h5ckpt_state_parameters(s)), 2);
    CU_ASSERT_EQUAL(h5ckpt_decays_count(h5ckpt_state_decays(s)), 0);
    h5ckpt_state_free(s);
}

static void hidden_files_are_ignored_and_a_program_is_skipped_with_a_note(void)
{
    h5ckpt_error *err = NULL;
    h5ck_buf notes = H5CK_BUF_INIT;
    h5ckpt_options o = H5CKPT_OPTIONS_INIT;
    const char *dir = fresh("skipping");
    test_write(below(dir, ".hidden"), "no tensor", 9);
    test_write(below(dir, "__model__"), "no tensor", 9);
    o.note = note_into;
    o.note_user = &notes;
    h5ckpt_state *s = h5ckpt_state_open(dir, &o, &err);
    test_expect_none(&err);
    CU_ASSERT_EQUAL(h5ckpt_tensors_count(h5ckpt_state_parameters(s)), 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(h5ck_buf_cstr(&notes), "skipping/__model__: skipped"));
    CU_ASSERT_PTR_NULL(strstr(h5ck_buf_cstr(&notes), ".hidden"));
    h5ckpt_state_free(s);
    h5ck_buf_free(&notes);
}

static void what_is_no_tensor_stream_is_an_error_that_names_it(void)
{
    const char *dir = fresh("stranger");
    test_write(below(dir, "readme.txt"), "hello, this is no tensor at all", 31);
    refused(dir, "stranger/readme.txt: offset 0: expected LoDTensor version 0, found");
    dir = fresh("empty_file");
    test_write(below(dir, "x"), "", 0);
    refused(dir, "empty_file/x: offset 0: expected 4 bytes of LoDTensor version, found 0");
    dir = fresh("trailing");
    unsigned char longer[sizeof int8_1 + 3] = {0};
    memcpy(longer, int8_1, sizeof int8_1);
    test_write(below(dir, "x"), longer, sizeof longer);
    refused(dir, "trailing/x: offset 25: expected the end of the file, found 3 more bytes");
    dir = fresh("short");
    test_write(below(dir, "x"), int8_1, sizeof int8_1 - 1);
    refused(dir, "short/x: 'x': offset 24: expected 1 bytes of data, found 0");
    dir = fresh("pickled");
    mkdir(below(dir, "optimizers"), 0777);
    test_write(below(dir, "optimizers/None"), "cos\nsystem\n.", 12);
    refused(dir, "pickled/optimizers/None: ");
    dir = fresh("number");
    mkdir(below(dir, "optimizers"), 0777);
    test_write(below(dir, "optimizers/None"), "\x80\x02K\x01.", 5);
    refused(dir, "expected a learning-rate decay object, found int");
}

/* Links could lead anywhere; what cannot be read as a file could block. Neither is left out in silence. */
static void links_and_special_files_are_refused(void)
{
    const char *dir = fresh("linked");
    CU_ASSERT_EQUAL(symlink("w", below(dir, "x")), 0);
    refused(dir, "linked/x: expected a regular file, found a symbolic link");
    dir = fresh("linked_folder");
    CU_ASSERT_EQUAL(symlink("/", below(dir, "x")), 0);
    refused(dir, "linked_folder/x: expected a regular file, found a symbolic link");
    dir = fresh("fifo");
    CU_ASSERT_EQUAL(mkfifo(below(dir, "x"), 0666), 0);
    refused(dir, "fifo/x: expected a regular file, found a device, FIFO or socket");
    dir = fresh("latin1");
    test_write(below(dir, "\xe9"), int8_1, sizeof int8_1);
    refused(dir, "expected a file name in UTF-8");
}

static void a_file_cut_at_any_offset_is_refused(void)
{
    static const char *const files[] = {"mlp/MLP_0/FC_0.b_0", "optimizers/None"};
    for (size_t i = 0; i < 2; i++) {
        char name[64];
        size_t len;
        snprintf(name, sizeof name, "seed_mlp/%s", files[i]);
        unsigned char *bytes = test_read(test_fixture(name), &len);
        const char *dir = fresh("cut");
        mkdir(below(dir, "optimizers"), 0777);
        const char *file = i ? "optimizers/None" : "b";
        for (size_t cut = 0; cut < len; cut++) {
            test_write(below(dir, file), bytes, cut);
            refused(dir, "expected");
        }
        unlink(below(dir, file));
        free(bytes);
    }
}

/* ---- Writing ---- */

static int write_named(const char *const *names, const char *to, h5ckpt_error **err)
{
    h5ckpt_state *s = h5ckpt_state_new();
    for (; *names; names++) {
        const h5ckpt_tensor_info info = {.name = *names, .dtype = H5CKPT_DTYPE_INT8};
        CU_ASSERT_EQUAL(h5ckpt_state_add_tensor(s, 0, &info, "x", NULL), 0);
    }
    int rc = h5ckpt_state_write(s, to, NULL, err);
    h5ckpt_state_free(s);
    return rc;
}

static void names_that_make_no_path_are_refused_and_nothing_is_written(void)
{
    char part[300];
    memset(part, 'x', sizeof part - 1);
    part[sizeof part - 1] = 0;
    const struct {
        const char *names[4], *why;
    } cases[] = {
        {{"a//b"}, "'a//b': expected a name that makes a path, found an empty part"},
        {{"/etc/passwd"}, "found an empty part"},
        {{"a/"}, "found an empty part"},
        {{"../x"}, "found the part '..'"},
        {{"a/./b"}, "found the part '.'"},
        {{"a", "a/b"}, "'a/b': expected a folder 'a', found a tensor of that name beside it"},
        {{"a/b", "a"}, "'a': expected a free path 'a', found a folder there"},
        {{part}, "expected parts of at most 255 bytes in a path, found 299"},
        {{"optimizers/x"}, "its readers pass over or take for a decay"},
        {{".hidden"}, "its readers pass over"},
        {{"sub/__model__"}, "its readers pass over"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        h5ckpt_error *err = NULL;
        CU_ASSERT_EQUAL(write_named(cases[i].names, test_tmp("refused"), &err), H5CKPT_INVALID);
        test_expect_error(&err, H5CKPT_INVALID, cases[i].why);
        CU_ASSERT_FALSE(test_exists(test_tmp("refused")));
    }
}

static void unusual_names_come_back(void)
{
    h5ckpt_error *err = NULL;
    h5ck_buf deep = H5CK_BUF_INIT;
    for (int i = 0; i < 200; i++)
        h5ck_buf_printf(&deep, "%s%s", i ? "/" : "", "part of some length, to go past the longest path of the system");
    const char *names[] = {"a b",
                           "50%",
                           "gr\xc3\xb6\xc3\x9f"
                           "e/\xe5\xb1\x82",
                           "-",
                           "a\nb",
                           "x/a...",
                           "*",
                           h5ck_buf_cstr(&deep),
                           NULL};
    CU_ASSERT_EQUAL(write_named(names, test_tmp("unusual"), &err), 0);
    test_expect_none(&err);
    h5ckpt_state *s = h5ckpt_state_open(test_tmp("unusual"), NULL, &err);
    test_expect_none(&err);
    for (size_t i = 0; names[i] && s; i++) {
        const h5ckpt_tensor *t = h5ckpt_tensors_get(h5ckpt_state_parameters(s), names[i]);
        char c = 0;
        CU_ASSERT_PTR_NOT_NULL_FATAL(t);
        CU_ASSERT_EQUAL(h5ckpt_tensor_read(t, 0, &c, 1, &err), 0);
        CU_ASSERT_EQUAL(c, 'x');
    }
    h5ckpt_state_free(s);
    h5ck_buf_free(&deep);
}

static void the_optimizers_tensors_stand_beside_and_metadata_is_told_of(void)
{
    h5ckpt_error *err = NULL;
    h5ck_buf notes = H5CK_BUF_INIT;
    h5ckpt_state *s = h5ckpt_state_new();
    h5ckpt_options o = H5CKPT_OPTIONS_INIT;
    o.note = note_into;
    o.note_user = &notes;
    const h5ckpt_tensor_info info = {.name = "w_moment1_0", .dtype = H5CKPT_DTYPE_INT8};
    CU_ASSERT_EQUAL(h5ckpt_state_add_tensor(s, 1, &info, "x", &err), 0);
    CU_ASSERT_EQUAL(h5ckpt_state_set_metadata(s, "k", "v", &err), 0);
    CU_ASSERT_EQUAL(h5ckpt_state_write(s, test_tmp("beside"), &o, &err), 0);
    test_expect_none(&err);
    CU_ASSERT_TRUE(test_exists(test_tmp("beside/w_moment1_0")));
    CU_ASSERT_PTR_NOT_NULL(strstr(h5ck_buf_cstr(&notes), "1 tensors of the optimizer state"));
    CU_ASSERT_PTR_NOT_NULL(strstr(h5ck_buf_cstr(&notes), "holds no metadata: 1 left out"));
    h5ckpt_state_free(s);
    CU_ASSERT_EQUAL(h5ckpt_convert(test_fixture("torch/checkpoint.pt"), test_tmp("schedules"), &o, &err), 0);
    test_expect_none(&err);
    CU_ASSERT_PTR_NOT_NULL(strstr(h5ck_buf_cstr(&notes), "1 scheduler's state stands among the decays"));
    h5ck_buf_free(&notes);
}

static void the_bytes_are_explained(void)
{
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = h5ckpt_state_open(test_fixture("seed_mlp"), NULL, &err);
    const h5ckpt_tensor *t = h5ckpt_tensors_at(h5ckpt_state_parameters(s), 1);
    char *text = h5ckpt_explain(s, t, NULL, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "dims = [784, 10]"));
    free(text);
    text = h5ckpt_explain(s, NULL, h5ckpt_decays_at(h5ckpt_state_decays(s), 0), &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "NEWOBJ"));
    free(text);
    CU_ASSERT_PTR_NULL(h5ckpt_explain(s, NULL, NULL, &err));
    test_expect_error(&err, H5CKPT_USAGE, "either a tensor or a decay");
    h5ckpt_state_free(s);
}

int main(void)
{
    static const test_case cases[] = {
        {"Paddle's directories come back byte for byte", paddles_directories_come_back_byte_for_byte},
        {"Paddle's decays come back byte for byte", paddles_decays_come_back_byte_for_byte},
        {"the order is that of the sorted paths", the_order_is_that_of_the_sorted_paths},
        {"a save directory may lie below a folder called optimizers",
         a_save_directory_may_lie_below_a_folder_called_optimizers},
        {"hidden files are ignored and a program is skipped with a note",
         hidden_files_are_ignored_and_a_program_is_skipped_with_a_note},
        {"what is no tensor stream is an error that names it", what_is_no_tensor_stream_is_an_error_that_names_it},
        {"links and special files are refused", links_and_special_files_are_refused},
        {"a file cut at any offset is refused", a_file_cut_at_any_offset_is_refused},
        {"names that make no path are refused and nothing is written",
         names_that_make_no_path_are_refused_and_nothing_is_written},
        {"unusual names come back", unusual_names_come_back},
        {"the optimizers' tensors stand beside, and metadata is told of",
         the_optimizers_tensors_stand_beside_and_metadata_is_told_of},
        {"the bytes are explained", the_bytes_are_explained},
        {NULL, NULL},
    };
    return test_run("paddle-dir", cases);
}
