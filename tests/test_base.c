/* test_base.c - the base room: what every other room stands on. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/ckd.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/le.h"
#include "base/log.h"
#include "base/text.h"
#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void checked_arithmetic_says_when_it_overflows(void)
{
    uint64_t r;
    CU_ASSERT_FALSE(h5ck_ckd_add(UINT64_MAX - 1, 1, &r));
    CU_ASSERT_EQUAL(r, UINT64_MAX);
    CU_ASSERT_TRUE(h5ck_ckd_add(UINT64_MAX, 1, &r));
    CU_ASSERT_FALSE(h5ck_ckd_mul(UINT32_MAX, UINT32_MAX, &r));
    CU_ASSERT_TRUE(h5ck_ckd_mul((uint64_t)1 << 33, (uint64_t)1 << 31, &r));
    CU_ASSERT_FALSE(h5ck_ckd_mul(UINT64_MAX, 0, &r));
    CU_ASSERT_EQUAL(r, 0);
}

static void little_endian_at_odd_addresses(void)
{
    unsigned char bytes[9] = {0xff, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x88};
    CU_ASSERT_EQUAL(h5ck_le_get(bytes + 1, 8), 0x8807060504030201u);
    CU_ASSERT_EQUAL(h5ck_le_get(bytes + 1, 2), 0x0201);
    h5ck_le_put(bytes + 1, 0x1122334455667788u, 8);
    CU_ASSERT_EQUAL(bytes[1], 0x88);
    CU_ASSERT_EQUAL(bytes[8], 0x11);
    CU_ASSERT_EQUAL(bytes[0], 0xff);
    CU_ASSERT_EQUAL(h5ck_f64_from_bits(h5ck_f64_to_bits(-0.1)), -0.1);
}

static void the_first_error_wins_and_learns_where_it_was(void)
{
    h5ckpt_error *err = NULL;
    CU_ASSERT_EQUAL(h5ck_fail_at(&err, 12, "expected version 0, found %d", 7), H5CKPT_INVALID);
    CU_ASSERT_STRING_EQUAL(err->message, "offset 12: expected version 0, found 7");
    CU_ASSERT_EQUAL(h5ck_fail(&err, H5CKPT_SYSTEM, "a later one"), H5CKPT_SYSTEM);
    h5ck_err_where(&err, 0, "dir/w", NULL);
    h5ck_err_where(&err, 0, "another/path", "w");
    CU_ASSERT_STRING_EQUAL(err->message, "dir/w: 'w': offset 12: expected version 0, found 7");
    CU_ASSERT_STRING_EQUAL(err->path, "dir/w");
    CU_ASSERT_STRING_EQUAL(err->tensor, "w");
    CU_ASSERT_EQUAL(err->offset, 12);
    test_expect_error(&err, H5CKPT_INVALID, "found 7");
}

static void an_error_names_its_part_inside_of_the_tensor(void)
{
    h5ckpt_error *err = NULL;
    h5ck_fail(&err, H5CKPT_INVALID, "expected one string");
    h5ck_err_part(&err, 0, "digest");
    h5ck_err_part(&err, 0, "not the innermost");
    h5ck_err_where(&err, 0, "m.h5", "w");
    CU_ASSERT_STRING_EQUAL(err->message, "m.h5: 'w': 'digest': expected one string");
    CU_ASSERT_STRING_EQUAL(err->tensor, "w");
    h5ckpt_error_free(err);
}

static void a_message_stays_one_line_whatever_a_name_holds(void)
{
    h5ckpt_error *err = NULL;
    h5ck_fail(&err, H5CKPT_INVALID, "found %s", "a\nb\x1b[31m");
    h5ck_err_where(&err, 0, "x\ny", NULL);
    CU_ASSERT_STRING_EQUAL(err->message, "x\\x0ay: found a\\x0ab\\x1b[31m");
    h5ckpt_error_free(err);
}

static void an_error_may_be_unwanted(void)
{
    CU_ASSERT_EQUAL(h5ck_fail(NULL, H5CKPT_USAGE, "x"), H5CKPT_USAGE);
    CU_ASSERT_EQUAL(h5ck_fail_nomem(NULL), H5CKPT_SYSTEM);
    CU_ASSERT_EQUAL(h5ck_err_where(NULL, 3, "p", "t"), 3);
    h5ckpt_error *err = NULL;
    h5ck_fail_nomem(&err);
    h5ck_err_where(&err, 0, "p", "t"); /* the static object is left alone */
    test_expect_error(&err, H5CKPT_SYSTEM, "out of memory");
    h5ckpt_error_free(NULL);
}

static void an_arena_gives_aligned_pieces_of_any_size(void)
{
    h5ck_arena a = {NULL};
    for (size_t n = 0; n < 3000; n += 7) {
        unsigned char *p = h5ck_arena_alloc(&a, n);
        CU_ASSERT_PTR_NOT_NULL_FATAL(p);
        CU_ASSERT_EQUAL((uintptr_t)p % _Alignof(max_align_t), 0);
        memset(p, 0xaa, n);
    }
    CU_ASSERT_PTR_NOT_NULL(h5ck_arena_alloc(&a, 5 << 20));
    unsigned char *zero = h5ck_arena_zalloc(&a, 10, 10);
    CU_ASSERT_EQUAL(zero[99], 0);
    CU_ASSERT_PTR_NULL(h5ck_arena_zalloc(&a, SIZE_MAX / 2, 3));
    CU_ASSERT_PTR_NULL(h5ck_arena_alloc(&a, SIZE_MAX - 1));
    CU_ASSERT_STRING_EQUAL(h5ck_arena_strndup(&a, "abc", 2), "ab");
    h5ck_arena_free(&a);
    CU_ASSERT_PTR_NULL(a.blocks);
}

static void a_buffer_grows_and_ends_in_zero(void)
{
    h5ck_buf b = H5CK_BUF_INIT;
    CU_ASSERT_STRING_EQUAL(h5ck_buf_cstr(&b), "");
    for (int i = 0; i < 1000; i++)
        h5ck_buf_printf(&b, "%d,", i);
    CU_ASSERT_EQUAL(b.len, 3890);
    CU_ASSERT_EQUAL(strlen(h5ck_buf_cstr(&b)), b.len);
    b.len = 0;
    h5ck_buf_le(&b, 0x010203, 3);
    CU_ASSERT_EQUAL(memcmp(b.data, "\x03\x02\x01", 3), 0);
    CU_ASSERT_FALSE(h5ck_buf_reserve(&b, SIZE_MAX - 2));
    CU_ASSERT_TRUE(b.failed);
    h5ck_buf_u8(&b, 'x'); /* nothing happens after a failure */
    CU_ASSERT_EQUAL(b.len, 3);
    CU_ASSERT_PTR_NULL(h5ck_buf_cstr(&b));
    h5ck_buf_free(&b);
}

static void utf8_is_what_the_standard_says(void)
{
    static const char *const good[] = {"", "abc", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {
        "\x80", "\xc0\xaf", "\xc3", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80",
        "a\xff"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        CU_ASSERT_TRUE(h5ck_text_is_utf8(good[i], strlen(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CU_ASSERT_FALSE(h5ck_text_is_utf8(bad[i], strlen(bad[i])));
    CU_ASSERT_FALSE(h5ck_text_is_utf8("a\0b", 3));
}

static void globs_match_whole_names(void)
{
    static const struct {
        const char *pattern, *name;
        bool match;
    } cases[] = {
        {"*", "", true},
        {"*.w_0", "a/fc.w_0", true},
        {"*.w_0", "fc.w_01", false},
        {"fc?", "fc1", true},
        {"fc?", "fc", false},
        {"[a-c]x", "bx", true},
        {"[!a-c]x", "bx", false},
        {"[!a-c]x", "dx", true},
        {"\\*", "*", true},
        {"\\*", "x", false},
        {"[", "[", true},
        {"[]]", "]", true},
        {"a*b*c", "a-b-b-c", true},
        {"a*b*c", "a-c-b", false},
        {"", "x", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CU_ASSERT_EQUAL(h5ck_text_glob(cases[i].pattern, cases[i].name), cases[i].match);
}

/* With backtracking into every star this would take longer than the universe. */
static void a_glob_of_many_stars_is_not_exponential(void)
{
    char name[5001];
    memset(name, 'a', 5000);
    name[5000] = 0;
    CU_ASSERT_FALSE(h5ck_text_glob("a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", name));
}

static void identifiers(void)
{
    CU_ASSERT_TRUE(h5ck_text_is_identifier("paddle.fluid_1.x", true));
    CU_ASSERT_FALSE(h5ck_text_is_identifier("a.b", false));
    static const char *const bad[] = {"", ".", "a.", ".a", "a..b", "1a", "a\nb", "a b", "\xc3\xa9"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CU_ASSERT_FALSE(h5ck_text_is_identifier(bad[i], true));
}

static void note_into(void *user, const char *line)
{
    snprintf(user, 64, "%s", line);
}

static void a_note_is_one_line_for_the_caller(void)
{
    char seen[64] = "";
    h5ck_log_note(&(h5ck_log){note_into, seen}, "skipped %s", "a\nb");
    CU_ASSERT_STRING_EQUAL(seen, "skipped a\\x0ab");
    h5ck_log_note(&(h5ck_log){NULL, NULL}, "to nobody");
    h5ck_log_note(NULL, "to nobody");
}

/* ---- fs ---- */

static int collect(void *user, const char *relative, h5ck_fs_kind kind, bool *enter, h5ckpt_error **err)
{
    (void)err;
    h5ck_buf_printf(user, "%s%c ", relative, "fdlo"[kind]);
    if (strcmp(relative, "not") == 0)
        *enter = false;
    return 0;
}

static void a_walk_is_sorted_and_follows_no_links(void)
{
    h5ckpt_error *err = NULL;
    h5ck_buf seen = H5CK_BUF_INIT;
    const char *root = test_tmp("walk");
    mkdir(root, 0777);
    mkdir(test_tmp("walk/b"), 0777);
    mkdir(test_tmp("walk/not"), 0777);
    test_write(test_tmp("walk/b/x"), "", 0);
    test_write(test_tmp("walk/not/y"), "", 0);
    test_write(test_tmp("walk/a"), "", 0);
    CU_ASSERT_EQUAL(symlink("/", test_tmp("walk/c")), 0);
    CU_ASSERT_EQUAL(mkfifo(test_tmp("walk/d"), 0666), 0);
    CU_ASSERT_EQUAL(h5ck_fs_walk(root, collect, &seen, &err), 0);
    CU_ASSERT_STRING_EQUAL(h5ck_buf_cstr(&seen), "af bd b/xf cl do notd ");
    test_expect_none(&err);
    CU_ASSERT_EQUAL(h5ck_fs_walk(test_tmp("nowhere"), collect, &seen, &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, "nowhere: cannot open the folder: No such file");
    h5ck_buf_free(&seen);
}

static void only_regular_files_are_opened_below_a_root(void)
{
    static const struct {
        const char *relative, *message;
    } cases[] = {{"c", "walk/c: expected a regular file, found a symbolic link"},
                 {"c/etc/passwd", "cannot open"},
                 {"d", "found a device, FIFO or socket"},
                 {"b", "found a folder"},
                 {"b/none", "walk/b/none: cannot open: No such file"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        h5ckpt_error *err = NULL;
        h5ck_file f;
        int fd;
        CU_ASSERT_EQUAL(h5ck_fs_open_source(test_tmp("walk"), cases[i].relative, &f, &fd, &err), H5CKPT_INVALID);
        test_expect_error(&err, H5CKPT_INVALID, cases[i].message);
    }
}

/* Folders that are almost each other's: every file has its own path as its bytes. */
static void an_open_folder_is_taken_only_for_its_own_files(void)
{
    static const char *const files[] = {"x", "a/x", "a/y", "ab/x", "a/b/x", "a/x", "x", "b/x", "a/none", "a/y"};
    h5ck_fs_folder in = H5CK_FS_FOLDER_INIT;
    const char *root = test_tmp("folders");
    static const char *const folders[] = {"folders", "folders/a", "folders/ab", "folders/a/b", "folders/b"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        mkdir(test_tmp(folders[i]), 0777);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char name[32], found[32] = "";
        h5ckpt_error *err = NULL;
        h5ck_file f;
        int fd;
        snprintf(name, sizeof name, "folders/%s", files[i]);
        if (strcmp(files[i], "a/none") != 0)
            test_write(test_tmp(name), files[i], strlen(files[i]));
        if (h5ck_fs_open_source_in(&in, root, files[i], &f, &fd, &err) == 0) {
            CU_ASSERT_EQUAL(h5ck_fs_pread(fd, found, (size_t)f.size, 0, &err), 0);
            CU_ASSERT_STRING_EQUAL(found, files[i]);
            close(fd);
            CU_ASSERT_EQUAL(h5ck_fs_reopen_in(&in, &f, &fd, &err), 0);
            close(fd);
            test_expect_none(&err);
        } else {
            test_expect_error(&err, H5CKPT_INVALID, "folders/a/none: cannot open: No such file");
        }
    }
    h5ck_fs_folder_close(&in);
    CU_ASSERT_EQUAL(in.fd, -1);
}

/* There may be more files than a process may have mappings. */
static void a_small_file_is_read_instead_of_mapped(void)
{
    h5ckpt_error *err = NULL;
    h5ck_file f = {0};
    const unsigned char *data = NULL;
    const char *path = test_tmp("small");
    int fd;
    test_write(path, "0123456789", 10);
    CU_ASSERT_EQUAL(h5ck_fs_open_source(path, NULL, &f, &fd, &err), 0);
    close(fd);
    CU_ASSERT_EQUAL_FATAL(h5ck_fs_map(&f, &data, &err), 0);
    CU_ASSERT_EQUAL((uintptr_t)data % 64, 0);
    CU_ASSERT_EQUAL(truncate(path, 0), 0); /* a mapping would raise SIGBUS now */
    CU_ASSERT_EQUAL(memcmp(data, "0123456789", 10), 0);
    CU_ASSERT_PTR_EQUAL(h5ck_fs_kept(&f), data);
    h5ck_fs_unmap(&f);
    test_expect_none(&err);
}

/* Of up to 256 bytes: what a save directory of many scalars is made of. */
static void a_tiny_file_is_kept_when_first_seen(void)
{
    static const char bytes[300] = "0123456789";
    h5ckpt_error *err = NULL;
    for (size_t n = 0; n <= 300; n += 50) {
        h5ck_file f = {0};
        int fd;
        test_write(test_tmp("tiny"), bytes, n);
        CU_ASSERT_EQUAL(h5ck_fs_open_source(test_tmp("tiny"), NULL, &f, &fd, &err), 0);
        CU_ASSERT_EQUAL(h5ck_fs_keep(&f, fd, &err), 0);
        const unsigned char *kept = h5ck_fs_kept(&f);
        CU_ASSERT_TRUE(n && n <= 256 ? kept && memcmp(kept, bytes, n) == 0 : !kept);
        h5ck_fs_unmap(&f);
        close(fd);
    }
    test_expect_none(&err);
}

static void a_file_that_changed_is_not_read_on(void)
{
    h5ckpt_error *err = NULL;
    h5ck_file f = {0};
    const char *path = test_tmp("changing");
    int fd;
    test_write(path, "0123456789", 10);
    CU_ASSERT_EQUAL(h5ck_fs_open_source(path, NULL, &f, &fd, &err), 0);
    CU_ASSERT_EQUAL(h5ck_fs_unchanged(&f, fd, &err), 0);
    char buf[20];
    CU_ASSERT_EQUAL(h5ck_fs_pread(fd, buf, 20, 0, &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, "offset 10: expected 10 more bytes, found the end of the file");
    test_write(path, "0123", 4);
    CU_ASSERT_EQUAL(h5ck_fs_unchanged(&f, fd, &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, "changing: expected the file as it was when first read (10 bytes)");
    close(fd);
    CU_ASSERT_EQUAL(h5ck_fs_reopen(&f, &fd, &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, "found it changed (4 bytes)");
}

static void paths_beyond_the_systems_limit_are_opened_by_parts(void)
{
    enum { PARTS = 200, PART = 60 };
    h5ckpt_error *err = NULL;
    h5ck_buf path = H5CK_BUF_INIT;
    const char *root = test_tmp("deep");
    mkdir(root, 0777);
    for (int i = 0; i < PARTS; i++) {
        for (int c = 0; c < PART; c++)
            h5ck_buf_u8(&path, 'a' + (unsigned)i % 26);
        CU_ASSERT_EQUAL(h5ck_fs_mkdir(root, h5ck_buf_cstr(&path), &err), 0);
        h5ck_buf_u8(&path, '/');
    }
    h5ck_buf_str(&path, "file");
    int fd;
    CU_ASSERT_EQUAL(h5ck_fs_create(root, h5ck_buf_cstr(&path), &fd, &err), 0);
    CU_ASSERT_EQUAL(h5ck_fs_pwrite(fd, "x", 1, 0, &err), 0);
    close(fd);
    h5ck_file f;
    CU_ASSERT_EQUAL(h5ck_fs_open_source(root, h5ck_buf_cstr(&path), &f, &fd, &err), 0);
    CU_ASSERT_EQUAL(f.size, 1);
    close(fd);
    test_expect_none(&err);
    h5ck_fs_remove_tree(root);
    CU_ASSERT_FALSE(test_exists(root));
    h5ck_buf_free(&path);
}

static const char *stage_of(const char *target, h5ck_arena *a)
{
    const char *stage = NULL;
    h5ckpt_error *err = NULL;
    CU_ASSERT_EQUAL(h5ck_fs_stage_path(target, a, &stage, &err), 0);
    test_expect_none(&err);
    return stage;
}

static int publish_over(const char *stage, const char *target, h5ckpt_error **err)
{
    h5ck_fs_stat seen;
    CU_ASSERT_EQUAL(h5ck_fs_status(target, &seen, err), 0);
    return h5ck_fs_publish(stage, target, &seen, err);
}

static void a_target_is_published_whole_and_never_by_accident(void)
{
    h5ck_arena a = {NULL};
    h5ckpt_error *err = NULL;
    const char *target = test_tmp("target"), *stage = stage_of(target, &a);
    CU_ASSERT_PTR_NOT_NULL(strstr(stage, "/.target.h5ckpt-"));
    test_write(stage, "new", 3);
    CU_ASSERT_EQUAL(h5ck_fs_publish(stage, target, NULL, &err), 0);
    CU_ASSERT_FALSE(test_exists(stage));
    test_write(stage, "newer", 5);
    CU_ASSERT_EQUAL(h5ck_fs_publish(stage, target, NULL, &err), H5CKPT_USAGE);
    test_expect_error(&err, H5CKPT_USAGE, "the target exists");
    CU_ASSERT_EQUAL(publish_over(stage, target, &err), 0);
    size_t n;
    unsigned char *now = test_read(target, &n);
    CU_ASSERT_EQUAL(n, 5);
    free(now);
    test_expect_none(&err);
    h5ck_arena_free(&a);
}

static void a_folder_replaces_a_folder_or_a_file(void)
{
    h5ck_arena a = {NULL};
    h5ckpt_error *err = NULL;
    const char *target = test_tmp("folder"), *stage;
    mkdir(target, 0777);
    stage = stage_of(target, &a);
    mkdir(stage, 0777);
    CU_ASSERT_EQUAL(h5ck_fs_publish(stage, test_tmp("folder/"), NULL, &err),
                    0); /* over an empty one: nothing is lost */
    test_write(test_tmp("folder/old"), "", 0);
    mkdir(stage, 0777);
    CU_ASSERT_EQUAL(h5ck_fs_publish(stage, target, NULL, &err), H5CKPT_USAGE);
    test_expect_error(&err, H5CKPT_USAGE, "the target exists");
    CU_ASSERT_TRUE(test_exists(test_tmp("folder/old")));
    CU_ASSERT_EQUAL(publish_over(stage, target, &err), 0);
    CU_ASSERT_FALSE(test_exists(test_tmp("folder/old")));
    CU_ASSERT_FALSE(test_exists(stage));
    test_write(stage, "a file", 6);
    CU_ASSERT_EQUAL(publish_over(stage, target, &err), 0);
    mkdir(stage, 0777);
    CU_ASSERT_EQUAL(publish_over(stage, target, &err), 0);
    test_expect_none(&err);
    h5ck_arena_free(&a);
}

/* Somebody put another folder there after we looked: it is not ours to remove. */
static void only_what_was_looked_at_is_replaced(void)
{
    h5ck_arena a = {NULL};
    h5ckpt_error *err = NULL;
    h5ck_fs_stat seen;
    mkdir(test_tmp("looked_at"), 0777);
    CU_ASSERT_EQUAL(h5ck_fs_status(test_tmp("looked_at"), &seen, &err), 0);
    CU_ASSERT_EQUAL(rename(test_tmp("looked_at"), test_tmp("moved_away")), 0);
    mkdir(test_tmp("looked_at"), 0777);
    test_write(test_tmp("looked_at/precious"), "", 0);
    const char *stage = stage_of(test_tmp("looked_at"), &a);
    mkdir(stage, 0777);
    CU_ASSERT_EQUAL(h5ck_fs_publish(stage, test_tmp("looked_at"), &seen, &err), H5CKPT_USAGE);
    test_expect_error(&err, H5CKPT_USAGE, "the target changed while it was being replaced");
    CU_ASSERT_TRUE(test_exists(test_tmp("looked_at/precious")));
    h5ck_fs_remove_tree(stage);
    h5ck_arena_free(&a);
}

static void a_link_with_a_slash_is_still_a_link(void)
{
    h5ckpt_error *err = NULL;
    char *to;
    mkdir(test_tmp("led_to"), 0777);
    CU_ASSERT_EQUAL(symlink("led_to", test_tmp("leads")), 0);
    CU_ASSERT_EQUAL(h5ck_fs_resolve_link(test_tmp("leads/"), &to, &err), 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(to);
    CU_ASSERT_PTR_NOT_NULL(strstr(to, "/led_to"));
    free(to);
    CU_ASSERT_EQUAL(h5ck_fs_resolve_link(test_tmp("led_to/"), &to, &err), 0);
    CU_ASSERT_PTR_NULL(to);
    test_expect_none(&err);
}

static void a_stage_needs_a_name(void)
{
    static const char *const bad[] = {"/", ".", "..", "a/..", "//"};
    h5ck_arena a = {NULL};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        h5ckpt_error *err = NULL;
        const char *stage;
        CU_ASSERT_EQUAL(h5ck_fs_stage_path(bad[i], &a, &stage, &err), H5CKPT_USAGE);
        test_expect_error(&err, H5CKPT_USAGE, "expected the name of a new file or folder");
    }
    h5ck_arena_free(&a);
}

static void below_follows_links_and_missing_parts(void)
{
    h5ckpt_error *err = NULL;
    bool below;
    mkdir(test_tmp("top"), 0777);
    mkdir(test_tmp("top/sub"), 0777);
    CU_ASSERT_EQUAL(symlink(test_tmp("top"), test_tmp("alias")), 0);
    CU_ASSERT_EQUAL(h5ck_fs_is_below(test_tmp("alias/sub/not/yet"), test_tmp("top"), &below, &err), 0);
    CU_ASSERT_TRUE(below);
    CU_ASSERT_EQUAL(h5ck_fs_is_below(test_tmp("top"), test_tmp("top"), &below, &err), 0);
    CU_ASSERT_TRUE(below);
    CU_ASSERT_EQUAL(h5ck_fs_is_below(test_tmp("topper"), test_tmp("top"), &below, &err), 0);
    CU_ASSERT_FALSE(below);
    CU_ASSERT_EQUAL(h5ck_fs_is_below("relative.h5", test_tmp("top"), &below, &err), 0);
    CU_ASSERT_FALSE(below);
    CU_ASSERT_EQUAL(h5ck_fs_is_below("", test_tmp("top"), &below, &err), 0); /* once wrote behind the empty path */
    CU_ASSERT_FALSE(below);
    test_expect_none(&err);
}

int main(void)
{
    static const test_case cases[] = {
        {"checked arithmetic says when it overflows", checked_arithmetic_says_when_it_overflows},
        {"little-endian numbers at odd addresses", little_endian_at_odd_addresses},
        {"the first error wins and learns where it was", the_first_error_wins_and_learns_where_it_was},
        {"an error names its part inside of the tensor", an_error_names_its_part_inside_of_the_tensor},
        {"a message stays one line whatever a name holds", a_message_stays_one_line_whatever_a_name_holds},
        {"an error may be unwanted", an_error_may_be_unwanted},
        {"an arena gives aligned pieces of any size", an_arena_gives_aligned_pieces_of_any_size},
        {"a buffer grows and ends in zero", a_buffer_grows_and_ends_in_zero},
        {"UTF-8 is what the standard says", utf8_is_what_the_standard_says},
        {"globs match whole names", globs_match_whole_names},
        {"a glob of many stars is not exponential", a_glob_of_many_stars_is_not_exponential},
        {"identifiers", identifiers},
        {"a note is one line for the caller", a_note_is_one_line_for_the_caller},
        {"a walk is sorted and follows no links", a_walk_is_sorted_and_follows_no_links},
        {"only regular files are opened below a root", only_regular_files_are_opened_below_a_root},
        {"an open folder is taken only for its own files", an_open_folder_is_taken_only_for_its_own_files},
        {"a small file is read instead of mapped", a_small_file_is_read_instead_of_mapped},
        {"a tiny file is kept when first seen", a_tiny_file_is_kept_when_first_seen},
        {"a file that changed is not read on", a_file_that_changed_is_not_read_on},
        {"paths beyond the system's limit are opened by parts", paths_beyond_the_systems_limit_are_opened_by_parts},
        {"a target is published whole and never by accident", a_target_is_published_whole_and_never_by_accident},
        {"a folder replaces a folder or a file", a_folder_replaces_a_folder_or_a_file},
        {"only what was looked at is replaced", only_what_was_looked_at_is_replaced},
        {"a link with a slash is still a link", a_link_with_a_slash_is_still_a_link},
        {"a stage needs a name", a_stage_needs_a_name},
        {"below follows links and missing parts", below_follows_links_and_missing_parts},
        {NULL, NULL},
    };
    return test_run("base", cases);
}
