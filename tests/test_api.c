/*
 * test_api.c - the public calls: Paddle's call and its twin, building a state, options, and what a target must never
 * suffer.
 */
#include "base/fs.h"
#include "test.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const forms[] = {"saved/", "saved.h5"};

static h5ckpt_value str(const char *s)
{
    return (h5ckpt_value){.type = H5CKPT_STR, .count = strlen(s), .as.str = s};
}

static h5ckpt_value num(double f)
{
    return (h5ckpt_value){.type = H5CKPT_FLOAT, .as.f = f};
}

static h5ckpt_value integer(int64_t i)
{
    return (h5ckpt_value){.type = H5CKPT_INT, .as.i = i};
}

static const float ramp[6] = {0, 0.5f, 1, 1.5f, 2, 2.5f};

/* A state of two tensors and one decay, as a C program builds it. */
static h5ckpt_state *build(void)
{
    const uint64_t shape[] = {2, 3};
    const h5ckpt_field fields[] = {
        {str("step_num"), integer(3)},
        {str("step_size"), integer(1)},
        {str("dtype"), str("float32")},
        {str("learning_rate"), num(0.1)},
        {str("decay_steps"), integer(10)},
        {str("decay_rate"), num(0.5)},
        {str("staircase"), {.type = H5CKPT_BOOL, .as.i = 1}},
    };
    const h5ckpt_object object = {NULL, "NaturalExpDecay", 7, fields};
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = h5ckpt_state_new();
    const h5ckpt_tensor_info w = {.name = "fc/w", .dtype = H5CKPT_DTYPE_FLOAT32, .rank = 2, .shape = shape};
    const h5ckpt_tensor_info n = {.name = "n", .dtype = H5CKPT_DTYPE_INT64};
    static const int64_t counter = 7;
    CU_ASSERT_EQUAL(h5ckpt_state_add_tensor(s, 0, &w, ramp, &err), 0);
    CU_ASSERT_EQUAL(h5ckpt_state_add_tensor(s, 0, &n, &counter, &err), 0);
    CU_ASSERT_EQUAL(
        h5ckpt_state_add_decay(s, "None", &(h5ckpt_value){.type = H5CKPT_OBJECT, .as.object = &object}, &err), 0);
    test_expect_none(&err);
    return s;
}

static void expect_built(const h5ckpt_tensors *p, const h5ckpt_decays *d)
{
    h5ckpt_error *err = NULL;
    CU_ASSERT_EQUAL(h5ckpt_tensors_count(p), 2);
    CU_ASSERT_EQUAL(h5ckpt_decays_count(d), 1);
    const h5ckpt_tensor *w = h5ckpt_tensors_get(p, "fc/w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(w);
    CU_ASSERT_PTR_EQUAL(h5ckpt_tensors_at(p, 0), w);
    CU_ASSERT_PTR_NULL(h5ckpt_tensors_at(p, 2));
    CU_ASSERT_PTR_NULL(h5ckpt_tensors_get(p, "fc"));
    const h5ckpt_tensor_info *i = h5ckpt_tensor_get_info(w);
    CU_ASSERT_EQUAL(i->nbytes, sizeof ramp);
    const void *data = h5ckpt_tensor_data(w, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(data);
    CU_ASSERT_EQUAL(memcmp(data, ramp, sizeof ramp), 0);
    const h5ckpt_decay *decay = h5ckpt_decays_get(d, "None");
    CU_ASSERT_PTR_NOT_NULL_FATAL(decay);
    const h5ckpt_decay_info *di = h5ckpt_decay_get_info(decay);
    CU_ASSERT_STRING_EQUAL(di->value->as.object->module, "paddle.fluid.dygraph.learning_rate_scheduler");
    CU_ASSERT_EQUAL(h5ckpt_value_get(di->value, "decay_steps")->as.i, 10);
    CU_ASSERT_TRUE(di->has_rates);
    double rates[8], at;
    CU_ASSERT_EQUAL(h5ckpt_decay_rates(decay, 8, rates, &err), 0);
    CU_ASSERT_EQUAL(rates[0], (double)0.1f); /* step 3 to 9: floor(s/10) is 0 */
    CU_ASSERT_TRUE(rates[7] > 0.06 && rates[7] < 0.061);
    CU_ASSERT_EQUAL(h5ckpt_decay_rate_at(decay, 10, &at, &err), 0);
    CU_ASSERT_EQUAL(at, rates[7]);
    test_expect_none(&err);
}

static void a_built_state_is_written_and_loaded_in_either_form(void)
{
    h5ckpt_state *s = build();
    expect_built(h5ckpt_state_parameters(s), h5ckpt_state_decays(s));
    CU_ASSERT_STRING_EQUAL(h5ckpt_state_format(s), "memory");
    for (size_t i = 0; i < 2; i++) {
        h5ckpt_error *err = NULL;
        h5ckpt_tensors *p;
        h5ckpt_decays *d;
        CU_ASSERT_EQUAL(h5ckpt_state_write(s, test_tmp(forms[i]), NULL, &err), 0);
        CU_ASSERT_EQUAL(h5ckpt_load_persistables(test_tmp(forms[i]), &p, &d, &err), 0);
        test_expect_none(&err);
        expect_built(p, d);
        h5ckpt_tensors_free(p);
        CU_ASSERT_EQUAL(h5ckpt_decays_count(d), 1); /* each dictionary lives on its own */
        h5ckpt_decays_free(d);
    }
    h5ckpt_state_free(s);
}

static void paddles_call_finds_save_dir_by_default(void)
{
    h5ckpt_error *err = NULL;
    h5ckpt_tensors *p;
    h5ckpt_decays *d;
    char before[4096];
    CU_ASSERT_PTR_NOT_NULL_FATAL(getcwd(before, sizeof before));
    mkdir(test_tmp("cwd"), 0777);
    CU_ASSERT_EQUAL_FATAL(chdir(test_tmp("cwd")), 0);
    CU_ASSERT_EQUAL(h5ckpt_load_persistables(NULL, &p, &d, &err), H5CKPT_INVALID);
    CU_ASSERT_PTR_NULL(p);
    CU_ASSERT_PTR_NULL(d);
    test_expect_error(&err, H5CKPT_INVALID, "save_dir: cannot open: No such file");
    CU_ASSERT_EQUAL(h5ckpt_load_persistables(NULL, &p, &d, NULL), H5CKPT_INVALID);
    h5ckpt_state *s = build();
    CU_ASSERT_EQUAL(h5ckpt_save_persistables(h5ckpt_state_parameters(s), NULL, h5ckpt_state_decays(s), &err), 0);
    CU_ASSERT_EQUAL(h5ckpt_save_persistables(h5ckpt_state_parameters(s), NULL, NULL, &err), H5CKPT_USAGE);
    test_expect_error(&err, H5CKPT_USAGE, "save_dir: the target exists");
    CU_ASSERT_EQUAL(h5ckpt_load_persistables(NULL, &p, NULL, &err), 0);
    h5ckpt_tensors_free(p);
    CU_ASSERT_EQUAL(h5ckpt_load_persistables(NULL, NULL, &d, &err), 0);
    h5ckpt_decays_free(d);
    CU_ASSERT_EQUAL(h5ckpt_load_persistables(NULL, NULL, NULL, &err), 0);
    test_expect_none(&err);
    h5ckpt_state_free(s);
    CU_ASSERT_EQUAL(chdir(before), 0);
}

static void loaded_tensors_outlive_their_files(void)
{
    h5ckpt_state *s = build();
    for (size_t i = 0; i < 2; i++) {
        h5ckpt_error *err = NULL;
        h5ckpt_tensors *p;
        h5ckpt_options o = H5CKPT_OPTIONS_INIT;
        o.force = 1;
        CU_ASSERT_EQUAL(h5ckpt_state_write(s, test_tmp(forms[i]), &o, &err), 0);
        CU_ASSERT_EQUAL(h5ckpt_load_persistables(test_tmp(forms[i]), &p, NULL, &err), 0);
        CU_ASSERT_EQUAL(h5ckpt_convert(test_fixture("seed_mlp"), test_tmp(forms[i]), &o, &err), 0);
        const void *data = h5ckpt_tensor_data(h5ckpt_tensors_get(p, "fc/w"), &err);
        test_expect_none(&err);
        CU_ASSERT_PTR_NOT_NULL_FATAL(data);
        CU_ASSERT_EQUAL(memcmp(data, ramp, sizeof ramp), 0);
        h5ckpt_tensors_free(p);
    }
    h5ckpt_state_free(s);
}

/* The mapped file's bytes would be gone: h5ckpt_load has its own. */
static void both_forms_are_loaded_into_memory(void)
{
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        h5ckpt_error *err = NULL;
        char path[512];
        snprintf(path, sizeof path, "%s%s", test_tmp("to_load_"), forms[i]);
        h5ckpt_state *built = build();
        CU_ASSERT_EQUAL(h5ckpt_state_write(built, path, NULL, &err), 0);
        h5ckpt_state_free(built);
        h5ckpt_state *s = h5ckpt_state_open(path, NULL, &err);
        CU_ASSERT_PTR_NOT_NULL_FATAL(s);
        const h5ckpt_tensors *all = h5ckpt_state_parameters(s);
        float w[6];
        void *const buffers[] = {w, NULL};
        CU_ASSERT_EQUAL(h5ckpt_load(all, buffers, NULL, &err), 0);
        CU_ASSERT_EQUAL(memcmp(w, ramp, sizeof ramp), 0);
        CU_ASSERT_EQUAL(h5ckpt_load(all, NULL, NULL, &err), 0);
        test_expect_none(&err);
        h5ck_fs_remove_tree(path);
        expect_built(all, h5ckpt_state_decays(s));
        for (size_t k = 0; k < 2; k++)
            CU_ASSERT_EQUAL((uintptr_t)h5ckpt_tensor_data(h5ckpt_tensors_at(all, k), &err) % 64, 0);
        h5ckpt_state_free(s);
    }
    h5ckpt_error *err = NULL;
    CU_ASSERT_EQUAL(h5ckpt_load(NULL, NULL, NULL, &err), H5CKPT_USAGE);
    test_expect_error(&err, H5CKPT_USAGE, "expected a dictionary of tensors, found NULL");
}

static void damage_is_found_by_loading_unless_digests_are_left_alone(void)
{
    h5ckpt_error *err = NULL;
    const char *path = test_tmp("damaged_load.h5");
    h5ckpt_state *s = build();
    CU_ASSERT_EQUAL(h5ckpt_state_write(s, path, NULL, &err), 0);
    h5ckpt_state_free(s);
    size_t n;
    unsigned char *file = test_read(path, &n), *at = memmem(file, n, ramp, sizeof ramp);
    CU_ASSERT_PTR_NOT_NULL_FATAL(at);
    at[5] ^= 1;
    test_write(path, file, n);
    free(file);
    s = h5ckpt_state_open(path, NULL, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    CU_ASSERT_EQUAL(h5ckpt_load(h5ckpt_state_parameters(s), NULL, NULL, &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, "damaged_load.h5: 'fc/w': the data is damaged");
    h5ckpt_options o = H5CKPT_OPTIONS_INIT;
    o.digest = H5CKPT_DIGEST_NONE;
    CU_ASSERT_EQUAL(h5ckpt_load(h5ckpt_state_parameters(s), NULL, &o, &err), 0);
    test_expect_none(&err);
    h5ckpt_state_free(s);
}

static void hdf5_tensors_are_mapped_at_64_bytes(void)
{
    h5ckpt_error *err = NULL;
    CU_ASSERT_EQUAL(h5ckpt_convert(test_fixture("dtypes"), test_tmp("aligned.h5"), NULL, &err), 0);
    h5ckpt_state *s = h5ckpt_state_open(test_tmp("aligned.h5"), NULL, &err);
    test_expect_none(&err);
    const h5ckpt_tensors *p = h5ckpt_state_parameters(s);
    CU_ASSERT_TRUE(h5ckpt_tensors_count(p) > 5);
    for (size_t i = 0; i < h5ckpt_tensors_count(p); i++)
        CU_ASSERT_EQUAL((uintptr_t)h5ckpt_tensor_data(h5ckpt_tensors_at(p, i), &err) % 64, 0);
    h5ckpt_state_free(s);
}

static void there_and_back(const char *fixture)
{
    h5ckpt_error *err = NULL;
    char h5[64], again[64], back[64];
    snprintf(h5, sizeof h5, "%s.h5", fixture);
    snprintf(again, sizeof again, "%s_again.h5", fixture);
    snprintf(back, sizeof back, "%s_back", fixture);
    CU_ASSERT_EQUAL(h5ckpt_convert(test_fixture(fixture), test_tmp(h5), NULL, &err), 0);
    CU_ASSERT_EQUAL(h5ckpt_convert(test_fixture(fixture), test_tmp(again), NULL, &err), 0);
    CU_ASSERT_EQUAL(h5ckpt_convert(test_tmp(h5), test_tmp(back), NULL, &err), 0);
    test_expect_none(&err);
    size_t n, m;
    unsigned char *a = test_read(test_tmp(h5), &n), *b = test_read(test_tmp(again), &m);
    CU_ASSERT_TRUE(n == m && memcmp(a, b, n) == 0); /* the same input gives the same bytes */
    free(a);
    free(b);
}

static void real_directories_go_to_hdf5_and_come_back_byte_for_byte(void)
{
    there_and_back("seed_mlp");
    CU_ASSERT_TRUE(test_same_tree(test_fixture("seed_mlp"), test_tmp("seed_mlp_back")));
    there_and_back("dtypes");
    CU_ASSERT_TRUE(test_same_tree(test_fixture("dtypes"), test_tmp("dtypes_back")));
    there_and_back("decays"); /* as from directory to directory: test_paddle_dir.c says which three files need not */
    CU_ASSERT_EQUAL(h5ckpt_convert(test_fixture("decays"), test_tmp("decays_direct"), NULL, NULL), 0);
    CU_ASSERT_TRUE(test_same_tree(test_tmp("decays_direct"), test_tmp("decays_back")));
}

/* A pickle that tells two equal strings apart, and holds one with a zero byte, as CPython 3.7 wrote it. */
static void pickles_of_unusual_strings_come_back_byte_for_byte(void)
{
    static const char pickle[] =
        "\x80\x02"
        "cpaddle.fluid.dygraph.learning_rate_scheduler\nCosineDecay\nq\0)\x81q\x01}q\x02("
        "X\x05\0\0\0dtypeq\x03X\x07\0\0\0float32q\x04X\x04\0\0\0noteq\x05X\x07\0\0\0float32q\x06"
        "X\x05\0\0\0againq\x07h\x06X\x04\0\0\0zeroq\x08X\x03\0\0\0a\0bq\x09ub.";
    h5ckpt_error *err = NULL;
    size_t n;
    mkdir(test_tmp("strings"), 0777);
    mkdir(test_tmp("strings/optimizers"), 0777);
    test_write(test_tmp("strings/optimizers/None"), pickle, sizeof pickle - 1);
    CU_ASSERT_EQUAL(h5ckpt_convert(test_tmp("strings"), test_tmp("strings.h5"), NULL, &err), 0);
    CU_ASSERT_EQUAL(h5ckpt_convert(test_tmp("strings.h5"), test_tmp("strings_back"), NULL, &err), 0);
    test_expect_none(&err);
    unsigned char *back = test_read(test_tmp("strings_back/optimizers/None"), &n);
    CU_ASSERT_EQUAL(n, sizeof pickle - 1);
    CU_ASSERT_EQUAL(memcmp(back, pickle, n), 0);
    free(back);
}

/* Units in the last place of float32 between two rates. */
static int64_t ulps(double a, double b)
{
    float x = (float)a, y = (float)b;
    int32_t i, j;
    if (isnan(x) && isnan(y))
        return 0; /* Paddle's own, of a negative base */
    memcpy(&i, &x, sizeof i);
    memcpy(&j, &y, sizeof j);
    return (i ^ j) < 0 ? INT32_MAX : llabs((int64_t)i - j);
}

/* A line: the optimizer's name, a tab, the rates that the real Paddle computed for its next calls. */
static void expect_rates(const h5ckpt_state *s, char *line)
{
    enum { MOST = 100, ULPS = 2 };
    h5ckpt_error *err = NULL;
    double found[MOST];
    size_t n = 0;
    char *name = strtok(line, "\t"), *expected[MOST];
    for (char *word; n < MOST && (word = strtok(NULL, " \n"));)
        expected[n++] = word;
    const h5ckpt_decay *d = h5ckpt_decays_get(h5ckpt_state_decays(s), name);
    CU_ASSERT_PTR_NOT_NULL_FATAL(d);
    CU_ASSERT_TRUE(n >= 10);
    CU_ASSERT_EQUAL(h5ckpt_decay_rates(d, n, found, &err), 0);
    test_expect_none(&err);
    for (size_t i = 0; i < n; i++)
        if (ulps(found[i], atof(expected[i])) > ULPS) {
            fprintf(stderr, "\n  %s, call %zu: expected %s, found %.9g\n", name, i, expected[i], found[i]);
            CU_FAIL("a rate that Paddle computes otherwise");
        }
}

static void rates_are_those_of_the_real_paddle(void)
{
    static const char *const fixtures[][2] = {{"decays", "rates.txt"}, {"seed_mlp", "seed_rates.txt"}};
    static char line[1 << 16];
    for (size_t i = 0; i < 2; i++) {
        h5ckpt_error *err = NULL;
        h5ckpt_state *s = h5ckpt_state_open(test_fixture(fixtures[i][0]), NULL, &err);
        test_expect_none(&err);
        FILE *f = fopen(test_fixture(fixtures[i][1]), "r");
        CU_ASSERT_PTR_NOT_NULL_FATAL(f);
        size_t lines = 0;
        for (; f && fgets(line, sizeof line, f); lines++)
            expect_rates(s, line);
        CU_ASSERT_TRUE(lines >= (i ? 1 : 25));
        if (f)
            fclose(f);
        h5ckpt_state_free(s);
    }
}

/* ---- Targets ---- */

static void convert_refused(const char *source, const char *target, int force, h5ckpt_code code, const char *why)
{
    h5ckpt_error *err = NULL;
    h5ckpt_options o = H5CKPT_OPTIONS_INIT;
    o.force = force;
    CU_ASSERT_EQUAL(h5ckpt_convert(source, target, &o, &err), (int)code);
    test_expect_error(&err, code, why);
}

static void a_target_is_not_overwritten_unless_told(void)
{
    size_t n;
    test_write(test_tmp("old.h5"), "old", 3);
    convert_refused(test_fixture("seed_mlp"), test_tmp("old.h5"), 0, H5CKPT_USAGE, "the target exists; use --force");
    convert_refused(test_fixture("python2"), test_tmp("nowhere/x.h5"), 0, H5CKPT_SYSTEM, "No such file");
    unsigned char *old = test_read(test_tmp("old.h5"), &n);
    CU_ASSERT_EQUAL(n, 3);
    free(old);
}

static void a_failed_conversion_leaves_the_old_target_and_nothing_else(void)
{
    size_t n;
    mkdir(test_tmp("bad"), 0777);
    mkdir(test_tmp("place"), 0777);
    test_write(test_tmp("bad/x"), "no tensor", 9);
    test_write(test_tmp("place/old.h5"), "old", 3);
    convert_refused(test_tmp("bad"), test_tmp("place/old.h5"), 1, H5CKPT_INVALID, "bad/x: ");
    unsigned char *old = test_read(test_tmp("place/old.h5"), &n);
    CU_ASSERT_EQUAL(n, 3);
    free(old);
    unlink(test_tmp("place/old.h5"));
    CU_ASSERT_EQUAL(rmdir(test_tmp("place")), 0); /* no unfinished file is left */
}

/* A disk that is full at any moment: the system's reason, exit code 4, no file left. libhdf5 once crashed at exit
 * here. */
static void a_full_disk_is_told_and_leaves_nothing(void)
{
    static const char *const targets[] = {"narrow/x.h5", "narrow/x/"};
    const struct rlimit before = {RLIM_INFINITY, RLIM_INFINITY};
    mkdir(test_tmp("narrow"), 0777);
    signal(SIGXFSZ, SIG_IGN);
    for (rlim_t room = 1; room < 100000; room += room / 2 + 7) {
        for (size_t i = 0; i < 2; i++) {
            h5ckpt_error *err = NULL;
            const struct rlimit limit = {room, RLIM_INFINITY};
            CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_FSIZE, &limit), 0);
            int rc = h5ckpt_convert(test_fixture("decays"), test_tmp(targets[i]), NULL, &err);
            setrlimit(RLIMIT_FSIZE, &before);
            if (rc == 0)
                continue; /* a directory's files are small */
            CU_ASSERT_EQUAL(rc, H5CKPT_SYSTEM);
            test_expect_error(&err, H5CKPT_SYSTEM, "File too large");
            CU_ASSERT_FALSE(test_exists(test_tmp(targets[i])));
        }
        h5ck_fs_remove_tree(test_tmp("narrow/x"));
        CU_ASSERT_EQUAL(rmdir(test_tmp("narrow")), 0); /* no unfinished file is left */
        mkdir(test_tmp("narrow"), 0777);
    }
    signal(SIGXFSZ, SIG_DFL);
}

static void the_source_is_never_a_target(void)
{
    h5ckpt_state *s = build();
    CU_ASSERT_EQUAL(h5ckpt_state_write(s, test_tmp("own"), NULL, NULL), 0);
    h5ckpt_state_free(s);
    mkdir(test_tmp("holder"), 0777);
    CU_ASSERT_EQUAL(rename(test_tmp("own"), test_tmp("holder/own")), 0);
    convert_refused(test_tmp("holder/own"), test_tmp("holder/own/"), 1, H5CKPT_USAGE, "the target is the source");
    convert_refused(test_tmp("holder/own"), test_tmp("holder/own/x.h5"), 1, H5CKPT_USAGE, "inside of the source");
    convert_refused(test_tmp("holder/own"), test_tmp("holder/own/new/y/"), 1, H5CKPT_USAGE, "inside of the source");
    convert_refused(test_tmp("holder/own"), test_tmp("holder/"), 1, H5CKPT_USAGE, "a folder that holds the source");
}

static void force_replaces_a_save_directory_but_no_other_folder(void)
{
    h5ckpt_error *err = NULL;
    h5ckpt_options o = H5CKPT_OPTIONS_INIT;
    o.force = 1;
    mkdir(test_tmp("home"), 0777);
    test_write(test_tmp("home/thesis.tex"), "years of work", 13);
    convert_refused(test_fixture("seed_mlp"), test_tmp("home/"), 1, H5CKPT_USAGE,
                    "expected a save directory to replace, found other things in it: ");
    CU_ASSERT_TRUE(test_exists(test_tmp("home/thesis.tex")));
    unlink(test_tmp("home/thesis.tex")); /* what a reader passes over counts, too */
    mkdir(test_tmp("home/.ssh"), 0777);
    convert_refused(test_fixture("seed_mlp"), test_tmp("home/"), 1, H5CKPT_USAGE, "found only folders in it");
    test_write(test_tmp("home/.ssh/id"), "key", 3);
    convert_refused(test_fixture("seed_mlp"), test_tmp("home/"), 1, H5CKPT_USAGE, "found '.ssh/id' in it");
    CU_ASSERT_TRUE(test_exists(test_tmp("home/.ssh/id")));
    h5ckpt_state *s = build();
    CU_ASSERT_EQUAL(h5ckpt_state_write(s, test_tmp("older/"), NULL, &err), 0);
    CU_ASSERT_EQUAL(h5ckpt_convert(test_fixture("seed_mlp"), test_tmp("older"), &o, &err), 0);
    test_expect_none(&err);
    CU_ASSERT_TRUE(test_same_tree(test_fixture("seed_mlp"), test_tmp("older")));
    h5ckpt_state_free(s);
}

static void a_link_stays_and_what_it_leads_to_is_replaced(void)
{
    h5ckpt_error *err = NULL;
    h5ckpt_options o = H5CKPT_OPTIONS_INIT;
    struct stat st;
    o.force = 1;
    test_write(test_tmp("real.h5"), "old", 3);
    CU_ASSERT_EQUAL(symlink("real.h5", test_tmp("link.h5")), 0);
    CU_ASSERT_EQUAL(h5ckpt_convert(test_fixture("seed_mlp"), test_tmp("link.h5"), &o, &err), 0);
    test_expect_none(&err);
    CU_ASSERT_TRUE(lstat(test_tmp("link.h5"), &st) == 0 && S_ISLNK(st.st_mode));
    CU_ASSERT_TRUE(stat(test_tmp("real.h5"), &st) == 0 && st.st_size > 31360);
    convert_refused(test_fixture("seed_mlp"), "/dev/null", 1, H5CKPT_USAGE, "/dev/null: ");
}

/* ---- Options ---- */

static void include_and_exclude_choose_by_name(void)
{
    static const char *const include[] = {"mlp/*", NULL}, *const exclude[] = {"*.b_0", NULL};
    h5ckpt_error *err = NULL;
    h5ckpt_options o = H5CKPT_OPTIONS_INIT;
    o.include = include;
    o.exclude = exclude;
    h5ckpt_state *s = h5ckpt_state_open(test_fixture("seed_mlp"), &o, &err);
    test_expect_none(&err);
    CU_ASSERT_EQUAL(h5ckpt_tensors_count(h5ckpt_state_parameters(s)), 1);
    CU_ASSERT_EQUAL(h5ckpt_decays_count(h5ckpt_state_decays(s)), 0);
    h5ckpt_state_free(s);
}

/* What a schema's rules made is read back by the same schema as it is: they would not be their own inverse. */
static void name_rules_run_once(void)
{
    static const char rules[] = "schema: torchlike\nextends: paddle\nrules:\n"
                                "  - {match: '^mlp/MLP_0/FC_([0-9]+)\\.w_0$', rename: 'weight\\1', transpose: true}\n"
                                "  - {match: 'weight', rename: 'again'}\n  - {match: '\\.b_0$', drop: true}\n";
    h5ckpt_error *err = NULL;
    h5ckpt_options o = H5CKPT_OPTIONS_INIT;
    test_write(test_tmp("rules.yaml"), rules, sizeof rules - 1);
    o.schema = test_tmp("rules.yaml");
    CU_ASSERT_EQUAL(h5ckpt_convert(test_fixture("seed_mlp"), test_tmp("ruled.h5"), &o, &err), 0);
    test_expect_none(&err);
    const char *const sources[] = {test_fixture("seed_mlp"), test_tmp("ruled.h5")};
    for (size_t i = 0; i < 2; i++) {
        h5ckpt_state *s = h5ckpt_state_open(sources[i], &o, &err);
        test_expect_none(&err);
        CU_ASSERT_EQUAL(h5ckpt_tensors_count(h5ckpt_state_parameters(s)), 1);
        const h5ckpt_tensor *w = h5ckpt_tensors_get(h5ckpt_state_parameters(s), "weight0");
        CU_ASSERT_PTR_NOT_NULL_FATAL(w);
        CU_ASSERT_EQUAL(h5ckpt_tensor_get_info(w)->shape[0], 10);
        const h5ckpt_decay *d = h5ckpt_decays_get(h5ckpt_state_decays(s), "None");
        double rate;
        CU_ASSERT_EQUAL(h5ckpt_decay_rates(d, 1, &rate, &err), 0);
        char *text = h5ckpt_explain(s, w, NULL, &err);
        CU_ASSERT_PTR_NOT_NULL(text);
        free(text);
        h5ckpt_state_free(s);
    }
}

static void wrong_calls_are_usage_errors(void)
{
    h5ckpt_error *err = NULL;
    h5ckpt_options o = H5CKPT_OPTIONS_INIT;
    convert_refused(test_fixture("seed_mlp"), test_tmp("x.zip"), 0, H5CKPT_USAGE, "x.zip: the suffix names no format");
    convert_refused(test_fixture("seed_mlp"), "", 0, H5CKPT_USAGE, "expected the path of a target");
    convert_refused("", test_tmp("x.h5"), 0, H5CKPT_USAGE, "expected the path of a checkpoint");
    convert_refused(NULL, NULL, 0, H5CKPT_USAGE, "expected a source and a target");
    convert_refused(test_tmp("missing"), test_tmp("x.h5"), 0, H5CKPT_INVALID, "missing: cannot open: No such file");
    o.from = "no-such";
    CU_ASSERT_PTR_NULL(h5ckpt_state_open(test_fixture("seed_mlp"), &o, &err));
    test_expect_error(&err, H5CKPT_USAGE, "expected a format of: paddle-dir, ");
    o.from = NULL;
    o.schema = test_tmp("no_such.yaml");
    CU_ASSERT_PTR_NULL(h5ckpt_state_open(test_fixture("seed_mlp"), &o, &err));
    CU_ASSERT_TRUE(err && err->code != H5CKPT_OK);
    h5ckpt_error_free(err);
    err = NULL;
    test_write(test_tmp("noise.bin"), "\x01\x02\x03", 3);
    CU_ASSERT_PTR_NULL(h5ckpt_state_open(test_tmp("noise.bin"), NULL, &err));
    test_expect_error(&err, H5CKPT_INVALID, "noise.bin: expected the content of: paddle-dir, ");
}

static void an_options_struct_of_an_older_caller_is_understood(void)
{
    h5ckpt_error *err = NULL;
    h5ckpt_options o = H5CKPT_OPTIONS_INIT;
    o.size = offsetof(h5ckpt_options, force);
    o.force = 1; /* beyond what the older struct had: not looked at */
    test_write(test_tmp("old2.h5"), "old", 3);
    CU_ASSERT_EQUAL(h5ckpt_convert(test_fixture("seed_mlp"), test_tmp("old2.h5"), &o, &err), H5CKPT_USAGE);
    test_expect_error(&err, H5CKPT_USAGE, "the target exists");
}

static void a_decay_must_be_one(void)
{
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = h5ckpt_state_new();
    const h5ckpt_field none[] = {{str("x"), integer(1)}};
    const h5ckpt_object system = {"os", "system", 1, none}, injected = {"a\nb", "C", 0, NULL};
    const h5ckpt_field base[] = {
        {str("step_num"), integer(1)}, {str("step_size"), integer(1)}, {str("dtype"), str("float32")}};
    const h5ckpt_object closer = {"tempfile", "_TemporaryFileCloser", 3, base}, codec = {"numpy", "dtype", 3, base};
    const h5ckpt_value number = integer(1);
    CU_ASSERT_EQUAL(h5ckpt_state_add_decay(s, "n", &number, &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, "'n': expected a learning-rate decay object");
    CU_ASSERT_EQUAL(h5ckpt_state_add_decay(s, "n", &(h5ckpt_value){.type = H5CKPT_OBJECT, .as.object = &system}, &err),
                    H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, "os");
    CU_ASSERT_EQUAL(
        h5ckpt_state_add_decay(s, "n", &(h5ckpt_value){.type = H5CKPT_OBJECT, .as.object = &injected}, &err),
        H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, "'n': ");
    CU_ASSERT_EQUAL(h5ckpt_state_add_decay(s, "n", &(h5ckpt_value){.type = H5CKPT_OBJECT, .as.object = &closer}, &err),
                    H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, "found tempfile._TemporaryFileCloser of Python's own library");
    CU_ASSERT_EQUAL(h5ckpt_decays_count(h5ckpt_state_decays(s)), 0);
    CU_ASSERT_EQUAL(h5ckpt_state_add_decay(s, "n", &(h5ckpt_value){.type = H5CKPT_OBJECT, .as.object = &codec}, &err),
                    0);
    CU_ASSERT_EQUAL(h5ckpt_state_write(s, test_tmp("codec/"), NULL, &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, "numpy dtype");
    h5ckpt_state_free(s);
}

/* What a look-up did not find may be handed on. */
static void a_missing_name_is_told_and_no_crash(void)
{
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = build();
    const h5ckpt_tensor *none = h5ckpt_tensors_get(h5ckpt_state_parameters(s), "none");
    char c;
    double rate;
    CU_ASSERT_PTR_NULL(h5ckpt_tensor_data(none, &err));
    test_expect_error(&err, H5CKPT_USAGE, "expected a tensor, found NULL");
    CU_ASSERT_EQUAL(h5ckpt_tensor_read(none, 0, &c, 1, &err), H5CKPT_USAGE);
    test_expect_error(&err, H5CKPT_USAGE, "expected a tensor, found NULL");
    CU_ASSERT_EQUAL(h5ckpt_decay_rates(NULL, 1, &rate, &err), H5CKPT_USAGE);
    test_expect_error(&err, H5CKPT_USAGE, "expected a decay, found NULL");
    CU_ASSERT_PTR_NULL(h5ckpt_tensors_get(NULL, "x"));
    CU_ASSERT_EQUAL(h5ckpt_decays_count(NULL), 0);
    CU_ASSERT_PTR_NULL(h5ckpt_value_get(NULL, "x"));
    const h5ckpt_tensor_info half = {.name = "x", .dtype = H5CKPT_DTYPE_INT8, .rank = 1};
    CU_ASSERT_EQUAL(h5ckpt_state_add_tensor(s, 0, &half, &c, &err), H5CKPT_USAGE);
    test_expect_error(&err, H5CKPT_USAGE, "found NULL in them");
    char *text = h5ckpt_explain(s, h5ckpt_tensors_at(h5ckpt_state_parameters(s), 0), NULL, &err);
    CU_ASSERT_PTR_NOT_NULL(text);
    free(text);
    test_expect_none(&err);
    h5ckpt_state_free(s);
}

/* A tensor that a program added to a state that was read: explained, and no file is looked for. */
static void what_was_added_is_explained(void)
{
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = h5ckpt_state_open(test_fixture("seed_mlp"), NULL, &err);
    const h5ckpt_tensor_info info = {.name = "added", .dtype = H5CKPT_DTYPE_INT8};
    CU_ASSERT_EQUAL(h5ckpt_state_add_tensor(s, 0, &info, "x", &err), 0);
    char *text = h5ckpt_explain(s, h5ckpt_tensors_get(h5ckpt_state_parameters(s), "added"), NULL, &err);
    test_expect_none(&err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "in the caller's memory"));
    free(text);
    h5ckpt_state_free(s);
}

int main(void)
{
    static const test_case cases[] = {
        {"a built state is written and loaded in either form", a_built_state_is_written_and_loaded_in_either_form},
        {"Paddle's call finds save_dir by default", paddles_call_finds_save_dir_by_default},
        {"loaded tensors outlive their files", loaded_tensors_outlive_their_files},
        {"both forms are loaded into memory", both_forms_are_loaded_into_memory},
        {"damage is found by loading unless digests are left alone",
         damage_is_found_by_loading_unless_digests_are_left_alone},
        {"HDF5 tensors are mapped at 64 bytes", hdf5_tensors_are_mapped_at_64_bytes},
        {"real directories go to HDF5 and come back byte for byte",
         real_directories_go_to_hdf5_and_come_back_byte_for_byte},
        {"pickles of unusual strings come back byte for byte", pickles_of_unusual_strings_come_back_byte_for_byte},
        {"rates are those of the real Paddle", rates_are_those_of_the_real_paddle},
        {"a target is not overwritten unless told", a_target_is_not_overwritten_unless_told},
        {"a failed conversion leaves the old target and nothing else",
         a_failed_conversion_leaves_the_old_target_and_nothing_else},
        {"a full disk is told and leaves nothing", a_full_disk_is_told_and_leaves_nothing},
        {"the source is never a target", the_source_is_never_a_target},
        {"force replaces a save directory but no other folder", force_replaces_a_save_directory_but_no_other_folder},
        {"a link stays and what it leads to is replaced", a_link_stays_and_what_it_leads_to_is_replaced},
        {"include and exclude choose by name", include_and_exclude_choose_by_name},
        {"name rules run once", name_rules_run_once},
        {"wrong calls are usage errors", wrong_calls_are_usage_errors},
        {"an options struct of an older caller is understood", an_options_struct_of_an_older_caller_is_understood},
        {"a decay must be one", a_decay_must_be_one},
        {"a missing name is told, and no crash", a_missing_name_is_told_and_no_crash},
        {"what was added is explained", what_was_added_is_explained},
        {NULL, NULL},
    };
    return test_run("api", cases);
}
