/* test.c - the frame of the test programs (test.h). */
#include "test.h"

#include "base/fs.h"

#include <CUnit/Basic.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATHS = 16, PATH_ROOM = 8192 };

static char tmp_root[PATH_ROOM];

static const char *join(const char *root, const char *name)
{
    static char paths[PATHS][PATH_ROOM];
    static int next;
    char *path = paths[next++ % PATHS];
    if (snprintf(path, PATH_ROOM, "%s/%s", root, name) >= PATH_ROOM)
        CU_FAIL_FATAL("a path is longer than this frame takes");
    return path;
}

const char *test_fixture(const char *name)
{
    return join(H5CK_TEST_SRCDIR "/fixtures", name);
}

const char *test_tmp(const char *name)
{
    return join(tmp_root, name);
}

int test_run(const char *suite, const test_case *cases)
{
    const char *base = getenv("TMPDIR");
    snprintf(tmp_root, sizeof tmp_root, "%s/h5ckpt-test-XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(tmp_root) || CU_initialize_registry() != CUE_SUCCESS)
        return 99;
    CU_pSuite s = CU_add_suite(suite, NULL, NULL);
    for (; s && cases->name; cases++)
        if (!CU_add_test(s, cases->name, cases->run))
            return 99;
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures(), run = CU_get_number_of_tests_run();
    CU_cleanup_registry();
    h5ck_fs_remove_tree(tmp_root);
    return failures || !run;
}

unsigned char *test_read(const char *path, size_t *len)
{
    FILE *f = fopen(path, "rb");
    unsigned char *data = NULL;
    *len = 0;
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    if (!f)
        return NULL;
    fseek(f, 0, SEEK_END);
    long n = ftell(f);
    rewind(f);
    data = malloc((size_t)n + 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(data);
    if (data) {
        *len = fread(data, 1, (size_t)n, f);
        data[*len] = 0;
        CU_ASSERT_EQUAL(*len, (size_t)n);
    }
    fclose(f);
    return data;
}

void test_write(const char *path, const void *data, size_t len)
{
    FILE *f = fopen(path, "wb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    if (!f)
        return;
    CU_ASSERT_EQUAL(fwrite(data, 1, len, f), len);
    CU_ASSERT_EQUAL(fclose(f), 0);
}

bool test_exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

/* ---- Trees ---- */

bool test_same_bytes(const char *a, const char *b)
{
    size_t n, m;
    unsigned char *x = test_read(a, &n), *y = test_read(b, &m);
    bool same = n == m && memcmp(x, y, n) == 0;
    if (!same)
        fprintf(stderr, "%s and %s differ\n", a, b);
    free(x);
    free(y);
    return same;
}

static size_t count_entries(const char *dir)
{
    DIR *d = opendir(dir);
    size_t n = 0;
    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n;
}

bool test_same_tree(const char *a, const char *b)
{
    DIR *d = opendir(a);
    bool same = d && count_entries(a) == count_entries(b);
    for (struct dirent *e; same && (e = readdir(d));) {
        char x[PATH_ROOM], y[PATH_ROOM];
        struct stat st;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (snprintf(x, sizeof x, "%s/%s", a, e->d_name) >= PATH_ROOM ||
            snprintf(y, sizeof y, "%s/%s", b, e->d_name) >= PATH_ROOM)
            same = false;
        else
            same = stat(x, &st) == 0 && test_exists(y) &&
                   (S_ISDIR(st.st_mode) ? test_same_tree(x, y) : test_same_bytes(x, y));
    }
    if (d)
        closedir(d);
    return same;
}

/* ---- Errors ---- */

void test_expect_error(h5ckpt_error **err, h5ckpt_code code, const char *part)
{
    CU_ASSERT_PTR_NOT_NULL(*err);
    if (!*err)
        return;
    bool as_expected = (*err)->code == code && strstr((*err)->message, part) && !strchr((*err)->message, '\n');
    if (!as_expected)
        fprintf(stderr, "\n  expected code %d and \"%s\", found %d: %s\n", (int)code, part, (int)(*err)->code,
                (*err)->message);
    CU_ASSERT_TRUE(as_expected);
    h5ckpt_error_free(*err);
    *err = NULL;
}

void test_expect_none(h5ckpt_error **err)
{
    if (*err)
        fprintf(stderr, "\n  unexpected error: %s\n", (*err)->message);
    CU_ASSERT_PTR_NULL(*err);
    h5ckpt_error_free(*err);
    *err = NULL;
}

h5ckpt_state *test_opened(const char *path)
{
    h5ckpt_error *err = NULL;
    h5ckpt_state *state = h5ckpt_state_open(path, NULL, &err);
    test_expect_none(&err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(state);
    return state;
}

void test_converts(const char *from, const char *to)
{
    h5ckpt_error *err = NULL;
    h5ckpt_options o = H5CKPT_OPTIONS_INIT;
    o.force = o.no_sync = 1;
    CU_ASSERT_EQUAL(h5ckpt_convert(from, to, &o, &err), H5CKPT_OK);
    test_expect_none(&err);
}

void test_refused(const char *path, const char *why)
{
    h5ckpt_error *err = NULL;
    h5ckpt_state *state = h5ckpt_state_open(path, NULL, &err);
    CU_ASSERT_PTR_NULL(state);
    test_expect_error(&err, H5CKPT_INVALID, why);
    h5ckpt_state_free(state);
}

void test_refuses_every_cut(const char *path, const char *format)
{
    size_t len, wrong = 0;
    unsigned char *whole = test_read(path, &len);
    const char *dot = strrchr(path, '.');
    char name[64];
    snprintf(name, sizeof name, "cut%s", dot && !strchr(dot, '/') ? dot : "");
    for (size_t n = 0; whole && n < len; n++) {
        h5ckpt_options o = H5CKPT_OPTIONS_INIT;
        h5ckpt_error *err = NULL;
        o.from = format;
        test_write(test_tmp(name), whole, n);
        h5ckpt_state *state = h5ckpt_state_open(test_tmp(name), &o, &err);
        if (state || !err || err->code != H5CKPT_INVALID) {
            wrong++;
            fprintf(stderr, "cut at %zu of %zu: %s\n", n, len, err ? err->message : "accepted");
        }
        h5ckpt_state_free(state);
        h5ckpt_error_free(err);
    }
    CU_ASSERT_EQUAL(wrong, 0);
    free(whole);
}
