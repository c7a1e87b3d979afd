/*
 * test_companions.c - files beside the target that belong to it, by the example of m.pdparams and its m.pdopt: both are
 * replaced, or none; what comes in between stays; nothing unfinished is left behind.
 */
#include "test.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char old_model[] = "the old model", old_optimizer[] = "the old optimizer's state";

/* ---- Helpers ---- */

/* A folder of its own for each case, where the target goes. */
static char folder[300];

static const char *in(const char *name)
{
    static char paths[8][400];
    static unsigned at;
    char *path = paths[at++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void begin(const char *name)
{
    snprintf(folder, sizeof folder, "%s", test_tmp(name));
    CU_ASSERT_EQUAL_FATAL(mkdir(folder, 0777), 0);
}

static void write_old(void)
{
    test_write(in("m.pdparams"), old_model, sizeof old_model);
    test_write(in("m.pdopt"), old_optimizer, sizeof old_optimizer);
}

static bool holds(const char *name, const char *data, size_t len)
{
    size_t n;
    unsigned char *found = test_read(in(name), &n);
    bool same = found && n == len && memcmp(found, data, n) == 0;
    free(found);
    return same;
}

/* How many things are in the folder, hidden ones too. */
static int things(void)
{
    DIR *d = opendir(folder);
    int n = -2; /* "." and ".." */
    CU_ASSERT_PTR_NOT_NULL_FATAL(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

/* Called in the middle of the writing. */
static void (*meanwhile)(void);

static int go_on(void *user, uint64_t done, uint64_t total)
{
    (void)user, (void)done, (void)total;
    void (*once)(void) = meanwhile;
    meanwhile = NULL;
    if (once)
        once();
    return 0;
}

static int converts(int force, void (*then)(void), h5ckpt_error **err)
{
    h5ckpt_options o = H5CKPT_OPTIONS_INIT;
    o.force = force;
    o.progress = go_on;
    o.jobs = 1;
    meanwhile = then;
    int rc = h5ckpt_convert(test_fixture("pdparams/v3.pdparams"), in("m.pdparams"), &o, err);
    CU_ASSERT_PTR_NULL(meanwhile);
    meanwhile = NULL;
    return rc;
}

static void is_whole(void)
{
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = h5ckpt_state_open(in("m.pdparams"), NULL, &err);
    test_expect_none(&err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    CU_ASSERT(h5ckpt_tensors_count(h5ckpt_state_parameters(s)) > 0);
    CU_ASSERT(h5ckpt_tensors_count(h5ckpt_state_optimizer_state(s)) > 0);
    h5ckpt_state_free(s);
    CU_ASSERT_EQUAL(things(), 2);
}

/* ---- Cases ---- */

static void writes_both(void)
{
    h5ckpt_error *err = NULL;
    begin("new");
    CU_ASSERT_EQUAL(converts(0, NULL, &err), 0);
    test_expect_none(&err);
    is_whole();
}

static void refuses_one_that_exists(void)
{
    h5ckpt_error *err = NULL;
    begin("exists");
    test_write(in("m.pdopt"), old_optimizer, sizeof old_optimizer);
    CU_ASSERT_EQUAL(converts(0, NULL, &err), H5CKPT_USAGE);
    test_expect_error(&err, H5CKPT_USAGE, "m.pdopt: it belongs to the target and exists; use --force");
    CU_ASSERT(holds("m.pdopt", old_optimizer, sizeof old_optimizer));
    CU_ASSERT_EQUAL(things(), 1);
}

static void refuses_a_folder(void)
{
    h5ckpt_error *err = NULL;
    begin("folder");
    CU_ASSERT_EQUAL(mkdir(in("m.pdopt"), 0777), 0);
    test_write(in("m.pdopt/kept"), old_model, sizeof old_model);
    CU_ASSERT_EQUAL(converts(1, NULL, &err), H5CKPT_USAGE);
    test_expect_error(&err, H5CKPT_USAGE, "m.pdopt: expected a file that belongs to the target");
    CU_ASSERT(holds("m.pdopt/kept", old_model, sizeof old_model));
    CU_ASSERT_EQUAL(things(), 1);
}

static void replaces_both(void)
{
    h5ckpt_error *err = NULL;
    begin("replaced");
    write_old();
    CU_ASSERT_EQUAL(converts(1, NULL, &err), 0);
    test_expect_none(&err);
    is_whole();
}

static void replace_target(void)
{
    test_write(in("other"), "another's", 9);
    CU_ASSERT_EQUAL(rename(in("other"), in("m.pdparams")), 0);
}

/* The optimizer's state has its place by then, and gives it back. */
static void brings_back_what_was_there(void)
{
    h5ckpt_error *err = NULL;
    begin("back");
    write_old();
    CU_ASSERT_EQUAL(converts(1, replace_target, &err), H5CKPT_USAGE);
    test_expect_error(&err, H5CKPT_USAGE, "m.pdparams: the target changed while it was being replaced");
    CU_ASSERT(holds("m.pdparams", "another's", 9));
    CU_ASSERT(holds("m.pdopt", old_optimizer, sizeof old_optimizer));
    CU_ASSERT_EQUAL(things(), 2);
}

static void make_target(void)
{
    test_write(in("m.pdparams"), old_model, sizeof old_model);
}

static void leaves_none_behind(void)
{
    h5ckpt_error *err = NULL;
    begin("behind");
    CU_ASSERT_EQUAL(converts(0, make_target, &err), H5CKPT_USAGE);
    test_expect_error(&err, H5CKPT_USAGE, "m.pdparams: the target exists");
    CU_ASSERT(holds("m.pdparams", old_model, sizeof old_model));
    CU_ASSERT_EQUAL(things(), 1);
}

static void make_optimizer(void)
{
    test_write(in("m.pdopt"), "another's", 9);
}

static void make_folder(void)
{
    CU_ASSERT_EQUAL(mkdir(in("m.pdopt"), 0777), 0);
    test_write(in("m.pdopt/kept"), "another's", 9);
}

static void replace_optimizer(void)
{
    CU_ASSERT_EQUAL(unlink(in("m.pdopt")), 0);
    make_folder();
}

/* Nobody was asked about it, so that not even force replaces it. */
static void leaves_what_comes_in_between(void)
{
    h5ckpt_error *err = NULL;
    begin("between");
    for (int force = 0; force < 2; force++) {
        CU_ASSERT_EQUAL(converts(force, make_optimizer, &err), H5CKPT_USAGE);
        test_expect_error(&err, H5CKPT_USAGE, "m.pdopt: the target exists");
        CU_ASSERT(holds("m.pdopt", "another's", 9));
        CU_ASSERT_EQUAL(things(), 1);
        unlink(in("m.pdopt"));
    }
    CU_ASSERT_EQUAL(converts(1, make_folder, &err), H5CKPT_USAGE);
    test_expect_error(&err, H5CKPT_USAGE, "m.pdopt: the target exists");
    CU_ASSERT(holds("m.pdopt/kept", "another's", 9));
    CU_ASSERT_EQUAL(things(), 1);
}

static void leaves_what_took_its_place(void)
{
    h5ckpt_error *err = NULL;
    begin("place");
    write_old();
    CU_ASSERT_EQUAL(converts(1, replace_optimizer, &err), H5CKPT_USAGE);
    test_expect_error(&err, H5CKPT_USAGE, "m.pdopt: it belongs to the target and changed");
    CU_ASSERT(holds("m.pdparams", old_model, sizeof old_model));
    CU_ASSERT(holds("m.pdopt/kept", "another's", 9));
    CU_ASSERT_EQUAL(things(), 2);
}

static void copy(const char *fixture, const char *to)
{
    size_t n;
    unsigned char *data = test_read(test_fixture(fixture), &n);
    test_write(to, data, n);
    free(data);
}

static void refuse(const char *source, const char *target, const char *to, const char *names)
{
    h5ckpt_options o = H5CKPT_OPTIONS_INIT;
    h5ckpt_error *err = NULL;
    o.force = 1;
    o.to = to;
    o.names = names;
    CU_ASSERT_EQUAL(h5ckpt_convert(in(source), in(target), &o, &err), H5CKPT_USAGE);
    test_expect_error(&err, H5CKPT_USAGE, "that elements of the source lie in");
}

/* Neither as the target nor as what goes beside it. */
static void keeps_all_files_of_the_source(void)
{
    begin("source");
    copy("pdparams/v3.pdparams", in("m.pdparams"));
    copy("pdparams/v3.pdopt", in("m.pdopt"));
    refuse("m.pdparams", "m.pdopt", NULL, NULL);
    refuse("m.pdopt", "m.pdparams", NULL, NULL);
    copy("paddle_combined/program/m.pdiparams", in("p.pdiparams"));
    copy("paddle_combined/program/m.pdmodel", in("p.pdmodel"));
    copy("paddle_combined/program/m.pdiparams.info", in("p.pdiparams.info"));
    for (int mapped = 0; mapped < 2; mapped++) {
        refuse("p.pdiparams", "p.pdmodel", "safetensors", mapped ? "paddle-to-torch" : NULL);
        refuse("p.pdiparams", "p.pdiparams.info", "safetensors", mapped ? "paddle-to-torch" : NULL);
    }
    CU_ASSERT_EQUAL(things(), 5);
}

int main(void)
{
    static const test_case cases[] = {{"writes both", writes_both},
                                      {"refuses one that exists", refuses_one_that_exists},
                                      {"refuses a folder in its place", refuses_a_folder},
                                      {"replaces both", replaces_both},
                                      {"brings back what was there", brings_back_what_was_there},
                                      {"leaves none behind", leaves_none_behind},
                                      {"leaves what comes in between", leaves_what_comes_in_between},
                                      {"leaves what took its place", leaves_what_took_its_place},
                                      {"keeps all files of the source", keeps_all_files_of_the_source},
                                      {NULL, NULL}};
    return test_run("companions", cases);
}
