/*
 * test_link.c - a view instead of a copy: HDF5 files whose datasets point into other files. What ours look like, what
 * comes back through them, and what a stranger's may not reach.
 */
#include "test.h"

#include "hdf5/h5.h"
#include "move/move.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char notes[4096];

static void take_note(void *user, const char *line)
{
    (void)user;
    size_t n = strlen(notes);
    snprintf(notes + n, sizeof notes - n, "%s\n", line);
}

static h5ckpt_options reading(h5ckpt_external external)
{
    h5ckpt_options o = H5CKPT_OPTIONS_INIT;
    o.no_sync = 1;
    o.note = take_note;
    o.allow_external = external;
    notes[0] = 0;
    return o;
}

static h5ckpt_options linking(h5ckpt_link link)
{
    h5ckpt_options o = reading(H5CKPT_EXTERNAL_REFUSED);
    o.link = link;
    return o;
}

static void convert(const char *from, const char *to, const h5ckpt_options *o)
{
    h5ckpt_error *err = NULL;
    CU_ASSERT_EQUAL(h5ckpt_convert(from, to, o, &err), 0);
    test_expect_none(&err);
}

/* A copy of a fixture that a test may harm; its path. */
static const char *copied(const char *fixture, const char *name)
{
    const char *path = test_tmp(name);
    const h5ckpt_options o = reading(H5CKPT_EXTERNAL_REFUSED);
    convert(test_fixture(fixture), path, &o);
    return path;
}

static h5ckpt_state *opened(const char *path, h5ckpt_external external)
{
    h5ckpt_error *err = NULL;
    const h5ckpt_options o = reading(external);
    h5ckpt_state *s = h5ckpt_state_open(path, &o, &err);
    test_expect_none(&err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    return s;
}

static void refused(const char *path, h5ckpt_external external, const char *part)
{
    h5ckpt_error *err = NULL;
    const h5ckpt_options o = reading(external);
    CU_ASSERT_PTR_NULL(h5ckpt_state_open(path, &o, &err));
    test_expect_error(&err, H5CKPT_INVALID, part);
}

static const h5ckpt_tensor *tensor(const h5ckpt_state *s, const char *name)
{
    const h5ckpt_tensor *t = h5ckpt_tensors_get(h5ckpt_state_parameters(s), name);
    CU_ASSERT_PTR_NOT_NULL_FATAL(t);
    return t;
}

static off_t size_of(const char *path)
{
    struct stat st = {0};
    CU_ASSERT_EQUAL(stat(path, &st), 0);
    return st.st_size;
}

/* What a dataset of a file of ours is said to lie in. */
static void is_stored_in(const char *path, const char *dataset, const char *name)
{
    char found[4096] = "";
    off_t offset;
    hsize_t size;
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT), d = H5Dopen2(file, dataset, H5P_DEFAULT);
    hid_t list = H5Dget_create_plist(d);
    CU_ASSERT_EQUAL(H5Pget_external_count(list), 1);
    CU_ASSERT(H5Pget_external(list, 0, sizeof found, found, &offset, &size) >= 0);
    CU_ASSERT_STRING_EQUAL(found, name);
    h5ck_hdf5_close(list);
    h5ck_hdf5_close(d);
    H5Fclose(file);
}

/* ---- Names ---- */

static void paths_are_named_from_one_to_the_other(void)
{
    static const char *const cases[][3] = {
        {"/a/b", "/a/b/w", "w"},        {"/a/b", "/a/c/w", "../c/w"},  {"/a/b", "/a/bc/w", "../bc/w"},
        {"/a/bc", "/a/b/w", "../b/w"},  {"/a", "/b", "../b"},          {"/", "/a/w", "a/w"},
        {"/a/b/c", "/d", "../../../d"}, {"/a/b/c", "/a/b", "../../b"}, {"/a", "/a/x/y", "x/y"},
    };
    h5ck_arena arena = {NULL};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CU_ASSERT_STRING_EQUAL(h5ck_fs_from(cases[i][0], cases[i][1], &arena), cases[i][2]);
    CU_ASSERT_STRING_EQUAL(h5ck_fs_behind("/a/b", "/a/b/c"), "c");
    CU_ASSERT_STRING_EQUAL(h5ck_fs_behind("/", "/a/b"), "a/b");
    CU_ASSERT_PTR_NULL(h5ck_fs_behind("/a/b", "/a/bc"));
    CU_ASSERT_PTR_NULL(h5ck_fs_behind("/a/b", "/a/b"));
    CU_ASSERT_PTR_NULL(h5ck_fs_behind("/a/b", "/a"));
    h5ck_arena_free(&arena);
}

/* The folder is a symbolic link, the working folder another one, the source is named from there. */
static void relative_names_count_from_the_real_folder(void)
{
    char before[4096];
    h5ckpt_options o = linking(H5CKPT_LINK_RELATIVE);
    mkdir(test_tmp("real"), 0777);
    mkdir(test_tmp("real/deep"), 0777);
    CU_ASSERT_EQUAL(symlink("real/deep", test_tmp("alias")), 0);
    copied("seed_mlp", "real/dir/");
    CU_ASSERT_PTR_NOT_NULL(getcwd(before, sizeof before));
    CU_ASSERT_EQUAL(chdir(test_tmp("real")), 0);
    convert("dir", "../alias/v.h5", &o);
    CU_ASSERT_EQUAL(chdir(before), 0);
    is_stored_in(test_tmp("alias/v.h5"), "/parameters/mlp/MLP_0/FC_0.b_0", "../dir/mlp/MLP_0/FC_0.b_0");
    refused(test_tmp("alias/v.h5"), H5CKPT_EXTERNAL_BELOW, "found '../dir/mlp/MLP_0/FC_0.b_0'");
    h5ckpt_state_free(opened(test_tmp("alias/v.h5"), H5CKPT_EXTERNAL_ANYWHERE));
    /* a link to the file itself: the folder is where the file lies */
    CU_ASSERT_EQUAL(symlink("real/deep/v.h5", test_tmp("v_link.h5")), 0);
    h5ckpt_state_free(opened(test_tmp("v_link.h5"), H5CKPT_EXTERNAL_ANYWHERE));
}

static void absolute_names_are_real_paths(void)
{
    char real[4096];
    const h5ckpt_options o = linking(H5CKPT_LINK_ABSOLUTE);
    copied("seed_mlp", "absolute_dir/");
    convert(test_tmp("absolute_dir/."), test_tmp("absolute.h5"), &o);
    CU_ASSERT_PTR_NOT_NULL(realpath(test_tmp("absolute_dir/mlp/MLP_0/FC_0.b_0"), real));
    is_stored_in(test_tmp("absolute.h5"), "/parameters/mlp/MLP_0/FC_0.b_0", real);
    h5ckpt_state_free(opened(test_tmp("absolute.h5"), H5CKPT_EXTERNAL_BELOW)); /* they lie below its folder */
    mkdir(test_tmp("moved"), 0777);
    CU_ASSERT_EQUAL(rename(test_tmp("absolute.h5"), test_tmp("moved/absolute.h5")), 0);
    refused(test_tmp("moved/absolute.h5"), H5CKPT_EXTERNAL_BELOW, "expected a file below ");
    h5ckpt_state_free(opened(test_tmp("moved/absolute.h5"), H5CKPT_EXTERNAL_ANYWHERE));
}

/* ---- What comes back ---- */

static void a_view_gives_all_back(void)
{
    static const char *const fixtures[] = {"seed_mlp", "dtypes", "decays"};
    for (size_t i = 0; i < 3; i++) {
        char dir[64], view[64], back[64];
        h5ckpt_options o = linking(H5CKPT_LINK_RELATIVE);
        snprintf(dir, sizeof dir, "%s_dir/", fixtures[i]);
        snprintf(view, sizeof view, "%s.h5", fixtures[i]);
        snprintf(back, sizeof back, "%s_back/", fixtures[i]);
        copied(fixtures[i], dir);
        convert(test_tmp(dir), test_tmp(view), &o);
        CU_ASSERT_STRING_EQUAL(notes, "");
        refused(test_tmp(view), H5CKPT_EXTERNAL_REFUSED, "--allow-external");
        o = reading(H5CKPT_EXTERNAL_BELOW);
        convert(test_tmp(view), test_tmp(back), &o);
        CU_ASSERT_STRING_EQUAL(notes, "");
        CU_ASSERT_TRUE(test_same_tree(test_tmp(dir), test_tmp(back)));
    }
    CU_ASSERT(size_of(test_tmp("seed_mlp.h5")) < 10000); /* of 31,400 bytes of elements none are in it */
}

/* Mapped, as any range of a file. */
static void a_linked_tensor_is_a_range_of_its_file(void)
{
    h5ckpt_error *err = NULL;
    const h5ckpt_options o = linking(H5CKPT_LINK_RELATIVE);
    const char *dir = copied("seed_mlp", "range_dir/");
    convert(dir, test_tmp("range.h5"), &o);
    h5ckpt_state *s = opened(test_tmp("range.h5"), H5CKPT_EXTERNAL_BELOW), *d = opened(dir, H5CKPT_EXTERNAL_REFUSED);
    const h5ckpt_tensor *a = tensor(s, "mlp/MLP_0/FC_0.w_0"), *b = tensor(d, "mlp/MLP_0/FC_0.w_0");
    CU_ASSERT_EQUAL(a->extent.kind, H5CK_EXTENT_FILE);
    CU_ASSERT_EQUAL(a->extent.offset, b->extent.offset);
    CU_ASSERT_EQUAL(a->extent.file->ino, b->extent.file->ino);
    CU_ASSERT_PTR_NOT_NULL(a->extent.mark);
    CU_ASSERT_PTR_NULL(a->digest); /* none was computed */
    const void *x = h5ckpt_tensor_data(a, &err), *y = h5ckpt_tensor_data(b, &err);
    CU_ASSERT_TRUE(x && y && memcmp(x, y, a->info.nbytes) == 0);
    char *text = h5ckpt_explain(s, a, NULL, &err);
    CU_ASSERT_TRUE(text && strstr(text, "external: 'range_dir/mlp/MLP_0/FC_0.w_0' from offset 27, 31360 bytes\n"));
    CU_ASSERT_TRUE(text && strstr(text, "/range_dir/mlp/MLP_0/FC_0.w_0, 31387 bytes, unchanged since it was linked\n"));
    free(text);
    test_expect_none(&err);
    h5ckpt_state_free(s);
    h5ckpt_state_free(d);
}

static void a_view_needs_no_leave_for_what_is_empty(void)
{
    const uint64_t none = 0;
    const h5ckpt_tensor_info info = {.name = "none", .dtype = H5CKPT_DTYPE_INT8, .rank = 1, .shape = &none};
    const h5ckpt_options o = linking(H5CKPT_LINK_RELATIVE);
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = h5ckpt_state_new();
    h5ckpt_state_add_tensor(s, 0, &info, NULL, &err);
    CU_ASSERT_EQUAL(h5ckpt_state_write(s, test_tmp("empty.h5"), &o, &err), 0);
    test_expect_none(&err);
    CU_ASSERT_STRING_EQUAL(notes, "");
    h5ckpt_state_free(s);
    h5ckpt_state_free(opened(test_tmp("empty.h5"), H5CKPT_EXTERNAL_REFUSED));
}

/* An HDF5 file with a contiguous and a chunked dataset. */
static void make_half_plain(const char *path)
{
    const float data[6] = {1, 2, 3, 4, 5, 6};
    const hsize_t dims[] = {6}, chunk[] = {4};
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), space = H5Screate_simple(1, dims, NULL);
    hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    for (int i = 0; i < 2; i++) {
        if (i)
            H5Pset_chunk(list, 1, chunk);
        hid_t d = H5Dcreate2(file, i ? "chunked" : "plain", H5T_IEEE_F32LE, space, H5P_DEFAULT, list, H5P_DEFAULT);
        CU_ASSERT(H5Dwrite(d, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0);
        H5Dclose(d);
    }
    H5Pclose(list);
    H5Sclose(space);
    H5Fclose(file);
}

static void what_has_no_plain_bytes_is_copied(void)
{
    const h5ckpt_options o = linking(H5CKPT_LINK_RELATIVE);
    h5ckpt_error *err = NULL;
    float found[6];
    make_half_plain(test_tmp("half.h5"));
    convert(test_tmp("half.h5"), test_tmp("half_view.h5"), &o);
    CU_ASSERT_PTR_NOT_NULL(strstr(notes, "half_view.h5: 1 of 2 tensors are copied: "));
    is_stored_in(test_tmp("half_view.h5"), "/parameters/plain", "half.h5");
    h5ckpt_state *s = opened(test_tmp("half_view.h5"), H5CKPT_EXTERNAL_BELOW);
    CU_ASSERT_PTR_NULL(tensor(s, "plain")->digest);
    CU_ASSERT_PTR_NOT_NULL(tensor(s, "chunked")->digest);
    CU_ASSERT_PTR_NULL(tensor(s, "chunked")->extent.mark);
    for (int i = 0; i < 2; i++) {
        h5ckpt_tensor_read(tensor(s, i ? "plain" : "chunked"), 0, found, sizeof found, &err);
        CU_ASSERT_TRUE(found[0] == 1 && found[5] == 6);
    }
    test_expect_none(&err);
    h5ckpt_state_free(s);
}

/* ---- Digests and marks ---- */

static void has_digest(const char *path, const char *digest)
{
    h5ckpt_state *s = opened(path, H5CKPT_EXTERNAL_BELOW);
    const h5ckpt_tensor *t = tensor(s, "mlp/MLP_0/FC_0.b_0");
    if (digest)
        CU_ASSERT_TRUE(t->digest && strcmp(t->digest, digest) == 0);
    if (!digest)
        CU_ASSERT_PTR_NULL(t->digest);
    CU_ASSERT_TRUE(h5ck_extent_fits_mark(&t->extent));
    h5ckpt_state_free(s);
}

static void a_digest_is_carried_over_or_computed_when_asked_for(void)
{
    char xxh3[H5CK_DIGEST_TEXT];
    h5ckpt_options o = reading(H5CKPT_EXTERNAL_REFUSED);
    convert(test_fixture("seed_mlp"), test_tmp("whole.h5"), &o);
    h5ckpt_state *s = opened(test_tmp("whole.h5"), H5CKPT_EXTERNAL_REFUSED);
    snprintf(xxh3, sizeof xxh3, "%s", tensor(s, "mlp/MLP_0/FC_0.b_0")->digest);
    h5ckpt_state_free(s);

    o = linking(H5CKPT_LINK_RELATIVE);
    convert(test_tmp("whole.h5"), test_tmp("carried.h5"), &o);
    has_digest(test_tmp("carried.h5"), xxh3);
    o.digest = H5CKPT_DIGEST_NONE;
    convert(test_tmp("whole.h5"), test_tmp("without.h5"), &o);
    has_digest(test_tmp("without.h5"), NULL);
    o.digest = H5CKPT_DIGEST_XXH3;
    copied("seed_mlp", "undigested/");
    convert(test_tmp("undigested"), test_tmp("computed.h5"), &o);
    has_digest(test_tmp("computed.h5"), xxh3);
    CU_ASSERT(size_of(test_tmp("computed.h5")) < 20000);
}

static void write_at(const char *path, long offset, const char *text)
{
    FILE *f = fopen(path, "r+b");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fseek(f, offset, SEEK_SET);
    fputs(text, f);
    fclose(f);
}

/* A change is noted when a view is opened, and a view of the view does not cover it up. */
static void a_changed_source_is_noted(void)
{
    const struct timespec earlier[2] = {{1000000000, 5}, {1000000000, 5}};
    h5ckpt_options o = linking(H5CKPT_LINK_RELATIVE);
    copied("seed_mlp", "stale_dir/");
    const char *file = test_tmp("stale_dir/mlp/MLP_0/FC_0.b_0");
    CU_ASSERT_EQUAL(utimensat(AT_FDCWD, file, earlier, 0), 0);
    convert(test_tmp("stale_dir"), test_tmp("stale.h5"), &o);
    h5ckpt_state *s = opened(test_tmp("stale.h5"), H5CKPT_EXTERNAL_BELOW);
    CU_ASSERT_EQUAL(tensor(s, "mlp/MLP_0/FC_0.b_0")->extent.mark->mtime, 1000000000000000005);
    CU_ASSERT_STRING_EQUAL(notes, "");
    h5ckpt_state_free(s);

    write_at(file, 60, "xx");
    h5ckpt_state_free(opened(test_tmp("stale.h5"), H5CKPT_EXTERNAL_BELOW));
    CU_ASSERT_PTR_NOT_NULL(strstr(notes, "stale.h5: 1 tensor lies in files that have changed since they were linked"));
    o.allow_external = H5CKPT_EXTERNAL_BELOW;
    convert(test_tmp("stale.h5"), test_tmp("stale2.h5"), &o);
    is_stored_in(test_tmp("stale2.h5"), "/parameters/mlp/MLP_0/FC_0.b_0", "stale_dir/mlp/MLP_0/FC_0.b_0");
    s = opened(test_tmp("stale2.h5"), H5CKPT_EXTERNAL_BELOW);
    CU_ASSERT_FALSE(h5ck_extent_fits_mark(&tensor(s, "mlp/MLP_0/FC_0.b_0")->extent));
    h5ckpt_state_free(s);
}

/* ---- What must not happen ---- */

static void does_not_convert(const char *from, const char *to, const h5ckpt_options *o, const char *part)
{
    h5ckpt_error *err = NULL;
    CU_ASSERT_EQUAL(h5ckpt_convert(from, to, o, &err), H5CKPT_USAGE);
    test_expect_error(&err, H5CKPT_USAGE, part);
}

static void a_view_does_not_replace_what_it_shows(void)
{
    h5ckpt_options o = linking(H5CKPT_LINK_RELATIVE);
    size_t n, m;
    copied("seed_mlp", "shown_dir/");
    convert(test_tmp("shown_dir"), test_tmp("shown.h5"), &o);
    o.link = H5CKPT_LINK_NONE;
    convert(test_tmp("shown_dir"), test_tmp("raw.h5"), &o);
    o.link = H5CKPT_LINK_RELATIVE;
    convert(test_tmp("raw.h5"), test_tmp("raw_view.h5"), &o);
    unsigned char *before = test_read(test_tmp("raw.h5"), &n);

    o.force = 1;
    o.allow_external = H5CKPT_EXTERNAL_BELOW;
    o.to = "hdf5";
    static const char *const part = "a file that elements of the source lie in";
    does_not_convert(test_tmp("raw_view.h5"), test_tmp("raw.h5"), &o, part);
    does_not_convert(test_tmp("shown.h5"), test_tmp("shown_dir"), &o, part);
    does_not_convert(test_tmp("raw.h5"), test_tmp("raw.h5"), &o, "the target is the source");
    o.link = H5CKPT_LINK_NONE;
    does_not_convert(test_tmp("raw_view.h5"), test_tmp("raw.h5"), &o, part);
    o.to = NULL;
    does_not_convert(test_tmp("shown.h5"), test_tmp("shown_dir/"), &o, part);
    unsigned char *after = test_read(test_tmp("raw.h5"), &m);
    CU_ASSERT_TRUE(n == m && memcmp(before, after, n) == 0);
    CU_ASSERT_TRUE(test_same_tree(test_fixture("seed_mlp"), test_tmp("shown_dir")));
    free(before);
    free(after);

    o.link = H5CKPT_LINK_ABSOLUTE;
    does_not_convert(test_tmp("shown_dir"), test_tmp("copy/"), &o, "expected a target that can point into other files");
}

/* Without the file that was planned there is nothing to point at. */
static void a_source_that_changed_meanwhile_is_not_linked(void)
{
    h5ckpt_error *err = NULL;
    const h5ckpt_options o = linking(H5CKPT_LINK_RELATIVE);
    copied("seed_mlp", "meanwhile/");
    h5ckpt_state *s = opened(test_tmp("meanwhile"), H5CKPT_EXTERNAL_REFUSED);
    test_write(test_tmp("meanwhile/mlp/MLP_0/FC_0.b_0"), "other", 5);
    CU_ASSERT_EQUAL(h5ckpt_state_write(s, test_tmp("meanwhile.h5"), &o, &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, "meanwhile/mlp/MLP_0/FC_0.b_0: ");
    CU_ASSERT_FALSE(test_exists(test_tmp("meanwhile.h5")));
    h5ckpt_state_free(s);
}

/* ---- Strangers' files ---- */

/* box/x.h5 with one dataset of eight bytes that lies in `name`. */
static const char *stranger(const char *name, off_t offset, hsize_t size, hid_t type, int ranges)
{
    static char path[4096];
    const hsize_t dims[] = {8 / H5Tget_size(type)};
    snprintf(path, sizeof path, "%s", test_tmp("box/x.h5"));
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), space = H5Screate_simple(1, dims, NULL);
    hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    for (int i = 0; i < ranges; i++)
        CU_ASSERT(H5Pset_external(list, name, offset, size) >= 0);
    hid_t d = H5Dcreate2(file, "x", type, space, H5P_DEFAULT, list, H5P_DEFAULT);
    CU_ASSERT(d >= 0);
    H5Dclose(d);
    H5Pclose(list);
    H5Sclose(space);
    H5Fclose(file);
    return path;
}

/* box/ with files, links and a FIFO in it; outside beside it. */
static const char *make_box(void)
{
    static char box[4096];
    snprintf(box, sizeof box, "%s", test_tmp("box"));
    if (test_exists(box))
        return box;
    mkdir(box, 0777);
    mkdir(test_tmp("box/sub"), 0777);
    test_write(test_tmp("outside"), "12345678", 8);
    test_write(test_tmp("box/w"), "abcdefgh", 8);
    test_write(test_tmp("box/sub/w"), "ABCDEFGH", 8);
    test_write(test_tmp("box/short"), "abcdefg", 7);
    CU_ASSERT_EQUAL(symlink("../outside", test_tmp("box/leads_out")), 0);
    CU_ASSERT_EQUAL(symlink("..", test_tmp("box/up")), 0);
    CU_ASSERT_EQUAL(symlink("sub", test_tmp("box/stays")), 0);
    CU_ASSERT_EQUAL(symlink("circle", test_tmp("box/circle")), 0);
    CU_ASSERT_EQUAL(symlink("/etc/passwd", test_tmp("box/passwd")), 0);
    CU_ASSERT_EQUAL(mkfifo(test_tmp("box/fifo"), 0666), 0);
    return box;
}

static void nothing_outside_of_the_folder_is_reached(void)
{
    static const struct {
        const char *name, *below, *anywhere; /* what is said with either leave; NULL: it is read */
    } cases[] = {
        {"/etc/passwd", "'/x': expected a file below ", NULL},
        {"../outside", "found '../outside' (--allow-external=anywhere", NULL},
        {"sub/../../outside", "'/x': expected a file below ", NULL},
        {"./../box/../outside", "'/x': expected a file below ", NULL},
        {"../../../../../../../../../../../../../etc/passwd", "'/x': expected a file below ", NULL},
        {"leads_out", "'/x': expected a file below ", NULL},
        {"up/outside", "'/x': expected a file below ", NULL},
        {"up/box/leads_out", "'/x': expected a file below ", NULL},
        {"passwd", "'/x': expected a file below ", NULL},
        {".", "'/x': expected a file below ", "found a folder"},
        {"sub", "box/sub: '/x': expected a regular file, found a folder", "found a folder"},
        {"fifo", "box/fifo: '/x': expected a regular file, found a device", "found a device, FIFO"},
        {"missing", "box/missing: '/x': cannot find: No such file", "box/missing: '/x': cannot open: No such file"},
        {"w/w", "box/w/w: '/x': cannot find: Not a directory", "cannot open: Not a directory"},
        {"circle", "box/circle: '/x': cannot find: ", "box/circle: '/x': "},
        {"short", "box/short: '/x': offset 0: expected 8 bytes of data, found 7", "found 7"},
        {"new\nline", "new\\x0aline: '/x': cannot find", "new\\x0aline"},
        {"w", NULL, NULL},
        {"./w", NULL, NULL},
        {"sub//../w", NULL, NULL},
        {"../box/w", NULL, NULL},
        {"stays/w", NULL, NULL},
        {"up/box/w", NULL, NULL},
        {"x.h5", NULL, NULL},
    };
    make_box();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *path = stranger(cases[i].name, 0, 8, H5T_STD_I8LE, 1);
        refused(path, H5CKPT_EXTERNAL_REFUSED, "'/x': expected data in this file, found external storage in '");
        for (int a = 0; a < 2; a++) {
            const char *part = a ? cases[i].anywhere : cases[i].below;
            h5ckpt_external external = a ? H5CKPT_EXTERNAL_ANYWHERE : H5CKPT_EXTERNAL_BELOW;
            if (part)
                refused(path, external, part);
            else
                h5ckpt_state_free(opened(path, external));
        }
    }
}

static void absolute_names_below_the_folder_are_taken(void)
{
    char real[4096], name[4200];
    h5ckpt_error *err = NULL;
    char found[8];
    CU_ASSERT_PTR_NOT_NULL(realpath(make_box(), real));
    snprintf(name, sizeof name, "%s/stays/w", real);
    h5ckpt_state *s = opened(stranger(name, 0, 8, H5T_STD_I8LE, 1), H5CKPT_EXTERNAL_BELOW);
    CU_ASSERT_EQUAL(h5ckpt_tensor_read(tensor(s, "x"), 0, found, 8, &err), 0);
    CU_ASSERT_EQUAL(memcmp(found, "ABCDEFGH", 8), 0);
    test_expect_none(&err);
    h5ckpt_state_free(s);
}

static void ranges_are_checked(void)
{
    static const h5ckpt_external below = H5CKPT_EXTERNAL_BELOW;
    make_box();
    refused(stranger("w", 1, 8, H5T_STD_I8LE, 1), below, "offset 1: expected 8 bytes of data, found 7");
    refused(stranger("w", 9, 8, H5T_STD_I8LE, 1), below, "offset 9: expected 8 bytes of data, found 0");
    refused(stranger("w", INT64_MAX, 8, H5T_STD_I8LE, 1), below, "expected 8 bytes of data, found 0");
    refused(stranger("w", 0, 8, H5T_STD_I32BE, 1), below,
            "'/x': expected plain little-endian elements in the external");
    refused(stranger("w", 0, 4, H5T_STD_I8LE, 2), below,
            "'/x': expected 8 bytes in one range of external storage, found 4 in the first of 2");
    h5ckpt_state_free(opened(stranger("w", 0, 16, H5T_STD_I8LE, 1), below)); /* a range may be longer than is needed */
    h5ckpt_state_free(opened(stranger("w", 0, 8, H5T_STD_I8LE, 2), below));  /* the first of two holds it all */
    h5ckpt_state_free(opened(stranger("w", 0, H5F_UNLIMITED, H5T_STD_I8LE, 1), below));
    refused(stranger("short", 0, H5F_UNLIMITED, H5T_STD_I8LE, 1), below, "expected 8 bytes of data, found 7");
}

/* Where a dataset has a list of external files, libhdf5 (1.10) reads those, whatever its layout is said to be. */
static void external_storage_is_seen_behind_any_layout(void)
{
    static const unsigned char contiguous[10] = {3, 1, 255, 255, 255, 255, 255, 255, 255, 255};
    static const unsigned char others[][20] = {
        {3, 0, 8, 0, 'i', 'n', 's', 'i', 'd', 'e', '!', '!'},                      /* compact */
        {3, 2, 2, 255, 255, 255, 255, 255, 255, 255, 255, 4, 0, 0, 0, 1, 0, 0, 0}, /* chunked */
    };
    make_box();
    for (size_t i = 0; i < 2; i++) {
        size_t n, at = 0;
        const char *path = stranger("w", 0, 8, H5T_STD_I8LE, 1);
        unsigned char *file = test_read(path, &n);
        while (at + 20 < n && memcmp(file + at, contiguous, sizeof contiguous) != 0)
            at++;
        CU_ASSERT_FATAL(at + 20 < n);
        memcpy(file + at, others[i], 20);
        test_write(path, file, n);
        free(file);
        refused(path, H5CKPT_EXTERNAL_REFUSED, "'/x': expected data in this file, found external storage in 'w'");
        h5ckpt_state *s = opened(path, H5CKPT_EXTERNAL_BELOW);
        CU_ASSERT_EQUAL(tensor(s, "x")->extent.kind, H5CK_EXTENT_FILE);
        h5ckpt_state_free(s);
    }
}

static void names_of_any_length_are_safe(void)
{
    static const size_t lengths[] = {255, 256, 4095, 4096, 4097, 60000};
    make_box();
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        char *name = malloc(lengths[i] + 1);
        memset(name, 'n', lengths[i]);
        name[lengths[i]] = 0;
        const char *path = stranger(name, 0, 8, H5T_STD_I8LE, 1);
        refused(path, H5CKPT_EXTERNAL_BELOW, "'/x': ");
        free(name);
    }
}

int main(void)
{
    static const test_case cases[] = {
        {"paths are named from one to the other", paths_are_named_from_one_to_the_other},
        {"relative names count from the real folder", relative_names_count_from_the_real_folder},
        {"absolute names are real paths", absolute_names_are_real_paths},
        {"a view gives all back", a_view_gives_all_back},
        {"a linked tensor is a range of its file", a_linked_tensor_is_a_range_of_its_file},
        {"a view needs no leave for what is empty", a_view_needs_no_leave_for_what_is_empty},
        {"what has no plain bytes is copied", what_has_no_plain_bytes_is_copied},
        {"a digest is carried over, or computed when asked for", a_digest_is_carried_over_or_computed_when_asked_for},
        {"a changed source is noted", a_changed_source_is_noted},
        {"a view does not replace what it shows", a_view_does_not_replace_what_it_shows},
        {"a source that changed meanwhile is not linked", a_source_that_changed_meanwhile_is_not_linked},
        {"nothing outside of the folder is reached", nothing_outside_of_the_folder_is_reached},
        {"absolute names below the folder are taken", absolute_names_below_the_folder_are_taken},
        {"ranges are checked", ranges_are_checked},
        {"external storage is seen behind any layout", external_storage_is_seen_behind_any_layout},
        {"names of any length are safe", names_of_any_length_are_safe},
        {NULL, NULL},
    };
    return test_run("link", cases);
}
