/*
 * test_verify.c - what h5ckpt_verify finds, and that it finds nothing else: damage, elements that cannot be had, sources
 * that changed under a linked file.
 */
#include "test.h"

#include "hdf5/h5.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char findings[8192]; /* a line each: "what name expected found differs" */

static void take(void *user, const h5ckpt_finding *f)
{
    size_t n = strlen(findings);
    (void)user;
    snprintf(findings + n, sizeof findings - n, "%s %s %s %s %d\n", f->what, f->name, f->expected ? f->expected : "-",
             f->found, f->differs);
}

static h5ckpt_options options(void)
{
    h5ckpt_options o = H5CKPT_OPTIONS_INIT;
    o.no_sync = 1;
    o.allow_external = H5CKPT_EXTERNAL_BELOW;
    return o;
}

static h5ckpt_verified verify(const char *path, int code)
{
    h5ckpt_error *err = NULL;
    h5ckpt_verified v = H5CKPT_VERIFIED_INIT;
    const h5ckpt_options o = options();
    findings[0] = 0;
    CU_ASSERT_EQUAL(h5ckpt_verify(path, &o, take, NULL, &v, &err), code);
    test_expect_none(&err);
    return v;
}

static void fails(const char *path, int code, const char *part)
{
    h5ckpt_error *err = NULL;
    const h5ckpt_options o = options();
    findings[0] = 0;
    CU_ASSERT_EQUAL(h5ckpt_verify(path, &o, take, NULL, NULL, &err), code);
    test_expect_error(&err, (h5ckpt_code)code, part);
    CU_ASSERT_STRING_EQUAL(findings, "");
}

static void found(const char *part)
{
    if (!strstr(findings, part))
        fprintf(stderr, "\n  expected \"%s\", found:\n%s\n", part, findings);
    CU_ASSERT_PTR_NOT_NULL(strstr(findings, part));
}

/* ---- Making ---- */

static float many[100000];

static h5ckpt_state *build(void)
{
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = h5ckpt_state_new();
    for (size_t i = 0; i < sizeof many / sizeof *many; i++)
        many[i] = (float)i;
    for (int i = 0; i < 5; i++) {
        const uint64_t shape = i == 2 ? 100000 : i == 4 ? 0 : 3;
        const char name[] = {(char)('a' + i), 0};
        const h5ckpt_tensor_info info = {.name = name, .dtype = H5CKPT_DTYPE_FLOAT32, .rank = 1, .shape = &shape};
        h5ckpt_state_add_tensor(s, i == 3, &info, many, &err);
    }
    test_expect_none(&err);
    return s;
}

static const char *written(const char *name, h5ckpt_digest digest)
{
    static char path[4096];
    h5ckpt_error *err = NULL;
    h5ckpt_options o = options();
    h5ckpt_state *s = build();
    o.digest = digest;
    o.force = 1;
    snprintf(path, sizeof path, "%s", test_tmp(name));
    h5ckpt_state_write(s, path, &o, &err);
    test_expect_none(&err);
    h5ckpt_state_free(s);
    return path;
}

static void convert(const char *from, const char *to, h5ckpt_link link)
{
    h5ckpt_error *err = NULL;
    h5ckpt_options o = options();
    o.link = link;
    CU_ASSERT_EQUAL(h5ckpt_convert(from, to, &o, &err), 0);
    test_expect_none(&err);
}

/* Flips a byte where the `nth` run of `n` bytes like `like` stands; its time stays where `quietly`. */
static void flip(const char *path, const void *like, size_t n, int nth, bool quietly)
{
    size_t len, at = 0;
    struct stat st;
    unsigned char *data = test_read(path, &len);
    CU_ASSERT_EQUAL(stat(path, &st), 0);
    for (; at + n <= len; at++)
        if (memcmp(data + at, like, n) == 0 && nth-- == 0)
            break;
    CU_ASSERT_FATAL(at + n <= len);
    data[at + n - 1] ^= 1;
    FILE *f = fopen(path, "r+b");
    fwrite(data, 1, len, f);
    fclose(f);
    free(data);
    if (quietly)
        CU_ASSERT_EQUAL(utimensat(AT_FDCWD, path, (const struct timespec[]){st.st_atim, st.st_mtim}, 0), 0);
}

static void touch(const char *path, long long seconds, long nanoseconds)
{
    const struct timespec t[2] = {{seconds, nanoseconds}, {seconds, nanoseconds}};
    CU_ASSERT_EQUAL(utimensat(AT_FDCWD, path, t, 0), 0);
}

/* ---- Tests ---- */

static void what_is_whole_has_no_findings(void)
{
    h5ckpt_verified v = verify(written("whole.h5", H5CKPT_DIGEST_XXH3), H5CKPT_OK);
    CU_ASSERT_STRING_EQUAL(findings, "");
    CU_ASSERT_EQUAL(v.tensors, 5);
    CU_ASSERT_EQUAL(v.bytes, 4 * 100009);
    CU_ASSERT_EQUAL(v.digests, 4);
    CU_ASSERT_EQUAL(v.undigested, 0); /* the fifth has no elements */
    CU_ASSERT_EQUAL(v.linked, 0);
    CU_ASSERT_STRING_EQUAL(v.format, "hdf5");
}

static void what_has_no_digest_is_counted(void)
{
    h5ckpt_verified v = verify(written("none.h5", H5CKPT_DIGEST_NONE), H5CKPT_OK);
    CU_ASSERT_EQUAL(v.digests, 0);
    CU_ASSERT_EQUAL(v.undigested, 4);
    v = verify(test_fixture("seed_mlp"), H5CKPT_OK);
    CU_ASSERT_EQUAL(v.undigested, 2);
    CU_ASSERT_EQUAL(v.decays, 1);
    CU_ASSERT_STRING_EQUAL(v.format, "paddle-dir");
}

static void all_damage_is_told_whatever_the_number_of_threads(void)
{
    const float three[] = {0, 1, 2};
    const char *path = written("damaged.h5", H5CKPT_DIGEST_XXH3);
    flip(path, three, sizeof three, 0, false); /* a */
    flip(path, &many[99000], sizeof *many * 100, 0, false);
    h5ckpt_verified first = verify(path, H5CKPT_DIFFERENT);
    char once[sizeof findings];
    memcpy(once, findings, sizeof once);
    CU_ASSERT_EQUAL(first.differences, 2);
    CU_ASSERT_EQUAL(first.digests, 4);
    CU_ASSERT_EQUAL(strncmp(findings, "digest a xxh3-128:", 18), 0);
    found("\ndigest c xxh3-128:"); /* in the dictionary's order, though it is read first */
    for (int jobs = 1; jobs <= 4; jobs++) {
        h5ckpt_error *err = NULL;
        h5ckpt_options o = options();
        o.jobs = jobs;
        findings[0] = 0;
        CU_ASSERT_EQUAL(h5ckpt_verify(path, &o, take, NULL, NULL, &err), H5CKPT_DIFFERENT);
        test_expect_none(&err);
        CU_ASSERT_STRING_EQUAL(findings, once);
    }
}

static void the_optimizers_tensors_are_verified_too(void)
{
    const float three[] = {0, 1, 2};
    const char *path = written("state.h5", H5CKPT_DIGEST_XXH3);
    flip(path, three, sizeof three, 3, false); /* a, b, the beginning of c, then d */
    CU_ASSERT_EQUAL(verify(path, H5CKPT_DIFFERENT).differences, 1);
    found("digest d xxh3-128:");
}

static void only_what_was_chosen_is_verified(void)
{
    static const char *const b[] = {"b", NULL};
    const float three[] = {0, 1, 2};
    h5ckpt_error *err = NULL;
    h5ckpt_verified v = H5CKPT_VERIFIED_INIT;
    h5ckpt_options o = options();
    const char *path = written("chosen.h5", H5CKPT_DIGEST_XXH3);
    flip(path, three, sizeof three, 0, false);
    o.include = b;
    CU_ASSERT_EQUAL(h5ckpt_verify(path, &o, NULL, NULL, &v, &err), H5CKPT_OK);
    test_expect_none(&err);
    CU_ASSERT_EQUAL(v.tensors, 1);
}

/* One chunk that does not unpack: a finding, and the tensor beside it is read all the same. */
static void elements_that_cannot_be_had_are_a_finding(void)
{
    const hsize_t dims[] = {64};
    unsigned char data[64];
    char path[4096];
    size_t len;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)(i * 7);
    snprintf(path, sizeof path, "%s", test_tmp("chunk.h5"));
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), space = H5Screate_simple(1, dims, NULL);
    hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(list, 1, dims);
    H5Pset_deflate(list, 6);
    for (int i = 0; i < 2; i++) {
        hid_t d = H5Dcreate2(file, i ? "good" : "bad", H5T_STD_U8LE, space, H5P_DEFAULT, list, H5P_DEFAULT);
        H5Dwrite(d, H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, data);
        H5Dclose(d);
    }
    H5Pclose(list);
    H5Sclose(space);
    H5Fclose(file);
    unsigned char *bytes = test_read(path, &len);
    size_t at = 0;
    while (at + 2 < len && (bytes[at] != 0x78 || bytes[at + 1] != 0x9c)) /* zlib's first bytes */
        at++;
    CU_ASSERT_FATAL(at + 2 < len);
    memset(bytes + at + 2, 0xff, 8);
    test_write(path, bytes, len);
    free(bytes);
    h5ckpt_verified v = verify(path, H5CKPT_DIFFERENT);
    CU_ASSERT_EQUAL(v.tensors, 2);
    CU_ASSERT_EQUAL(v.differences, 1);
    found("elements bad - ");
    found("chunk.h5: 'bad': ");
}

/* ---- Linked files ---- */

static const char *view_of(const char *source, const char *name)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s", test_tmp(name));
    convert(source, path, H5CKPT_LINK_RELATIVE);
    return path;
}

static void a_view_is_held_against_its_source(void)
{
    const char *view = view_of(written("source.h5", H5CKPT_DIGEST_NONE), "view.h5");
    h5ckpt_verified v = verify(view, H5CKPT_OK);
    CU_ASSERT_EQUAL(v.linked, 4);
    CU_ASSERT_EQUAL(v.undigested, 4);
    CU_ASSERT_EQUAL(v.bytes, 4 * 100009);
}

static void a_touched_source_is_a_difference_unless_a_digest_proves_it_equal(void)
{
    const char *source = written("touched.h5", H5CKPT_DIGEST_NONE);
    touch(source, 1700000000, 42);
    const char *view = view_of(source, "touched_view.h5");
    touch(source, -1, 7);
    CU_ASSERT_EQUAL(verify(view, H5CKPT_DIFFERENT).differences, 4);
    found("source_mtime a 2023-11-14T22:13:20.000000042Z 1969-12-31T23:59:59.000000007Z 1\n");

    source = written("digested.h5", H5CKPT_DIGEST_XXH3);
    touch(source, 1700000000, 42);
    view = view_of(source, "digested_view.h5");
    touch(source, 1700000000, 43);
    h5ckpt_verified v = verify(view, H5CKPT_OK);
    CU_ASSERT_EQUAL(v.findings, 4);
    CU_ASSERT_EQUAL(v.differences, 0);
    found("source_mtime a 2023-11-14T22:13:20.000000042Z 2023-11-14T22:13:20.000000043Z 0\n");
}

static void a_source_of_other_content_is_told_by_digest_alone(void)
{
    const float three[] = {0, 1, 2};
    const char *source = written("quiet.h5", H5CKPT_DIGEST_XXH3), *view = view_of(source, "quiet_view.h5");
    flip(source, three, sizeof three, 0, true); /* same size, same time */
    CU_ASSERT_EQUAL(verify(view, H5CKPT_DIFFERENT).findings, 1);
    found("digest a xxh3-128:");
}

static void a_grown_source_is_told_by_its_size(void)
{
    char file[4096];
    convert(test_fixture("seed_mlp"), test_tmp("grown/"), H5CKPT_LINK_NONE);
    const char *view = view_of(test_tmp("grown"), "grown_view.h5");
    snprintf(file, sizeof file, "%s", test_tmp("grown/mlp/MLP_0/FC_0.b_0"));
    FILE *f = fopen(file, "ab");
    fputs("more", f);
    fclose(f);
    verify(view, H5CKPT_DIFFERENT);
    found("source_size mlp/MLP_0/FC_0.b_0 64 68 1\n");
}

static void a_source_that_is_short_or_gone_is_no_checkpoint(void)
{
    char file[4096];
    convert(test_fixture("seed_mlp"), test_tmp("short/"), H5CKPT_LINK_NONE);
    const char *view = view_of(test_tmp("short"), "short_view.h5");
    snprintf(file, sizeof file, "%s", test_tmp("short/mlp/MLP_0/FC_0.b_0"));
    CU_ASSERT_EQUAL(truncate(file, 63), 0);
    fails(view, H5CKPT_INVALID,
          "short/mlp/MLP_0/FC_0.b_0: '/parameters/mlp/MLP_0/FC_0.b_0': offset 24: expected 40 bytes of data, found 39");
    unlink(file);
    fails(view, H5CKPT_INVALID, "short/mlp/MLP_0/FC_0.b_0: '/parameters/mlp/MLP_0/FC_0.b_0': cannot find");
    mkfifo(file, 0666);
    fails(view, H5CKPT_INVALID, "FC_0.b_0': expected a regular file, found a device, FIFO or socket");
}

/* ---- Calls ---- */

static int stop(void *user, uint64_t done, uint64_t total)
{
    (void)user;
    CU_ASSERT(done <= total);
    return 1;
}

static void the_caller_can_stop_it(void)
{
    h5ckpt_error *err = NULL;
    h5ckpt_options o = options();
    o.progress = stop;
    findings[0] = 0;
    CU_ASSERT_EQUAL(h5ckpt_verify(written("stop.h5", H5CKPT_DIGEST_XXH3), &o, take, NULL, NULL, &err), H5CKPT_SYSTEM);
    test_expect_error(&err, H5CKPT_SYSTEM, "stopped by the caller");
}

static void what_is_no_checkpoint_has_no_findings(void)
{
    fails(test_tmp("nothing"), H5CKPT_INVALID, "nothing: ");
    test_write(test_tmp("text"), "text", 4);
    fails(test_tmp("text"), H5CKPT_INVALID, "text: ");
    fails(NULL, H5CKPT_USAGE, "expected the path of a checkpoint");
}

static void a_struct_of_an_older_caller_is_not_overrun(void)
{
    h5ckpt_error *err = NULL;
    h5ckpt_verified v = H5CKPT_VERIFIED_INIT;
    v.size = offsetof(h5ckpt_verified, bytes);
    v.bytes = 77;
    CU_ASSERT_EQUAL(h5ckpt_verify(test_fixture("seed_mlp"), NULL, NULL, NULL, &v, &err), H5CKPT_OK);
    test_expect_none(&err);
    CU_ASSERT_EQUAL(v.tensors, 2);
    CU_ASSERT_EQUAL(v.bytes, 77);
    CU_ASSERT_EQUAL(v.size, offsetof(h5ckpt_verified, bytes));
}

int main(void)
{
    static const test_case cases[] = {
        {"what is whole has no findings", what_is_whole_has_no_findings},
        {"what has no digest is counted", what_has_no_digest_is_counted},
        {"all damage is told, whatever the number of threads", all_damage_is_told_whatever_the_number_of_threads},
        {"the optimizers' tensors are verified too", the_optimizers_tensors_are_verified_too},
        {"only what was chosen is verified", only_what_was_chosen_is_verified},
        {"elements that cannot be had are a finding", elements_that_cannot_be_had_are_a_finding},
        {"a view is held against its source", a_view_is_held_against_its_source},
        {"a touched source is a difference unless a digest proves it equal",
         a_touched_source_is_a_difference_unless_a_digest_proves_it_equal},
        {"a source of other content is told by digest alone", a_source_of_other_content_is_told_by_digest_alone},
        {"a grown source is told by its size", a_grown_source_is_told_by_its_size},
        {"a source that is short or gone is no checkpoint", a_source_that_is_short_or_gone_is_no_checkpoint},
        {"the caller can stop it", the_caller_can_stop_it},
        {"what is no checkpoint has no findings", what_is_no_checkpoint_has_no_findings},
        {"a struct of an older caller is not overrun", a_struct_of_an_older_caller_is_not_overrun},
        {NULL, NULL},
    };
    return test_run("verify", cases);
}
