/* test_move.c - the mover, on plans made by hand: what it writes, digests, refuses, and how it stops. */
#include "base/fs.h"
#include "move/check.h"
#include "move/digest.h"
#include "move/move.h"
#include "test.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- Making plans ---- */

enum { BIG = (3 << 20) + 12345 };

static unsigned char *pattern(size_t n, unsigned seed)
{
    unsigned char *p = malloc(n + 1);
    for (size_t i = 0; i < n; i++)
        p[i] = (unsigned char)((i * 2654435761u + seed) >> 13);
    return p;
}

static const h5ckpt_tensor *add(h5ckpt_state *s, const char *name, const void *data, uint64_t n)
{
    const h5ckpt_tensor_info info = {.name = name, .dtype = H5CKPT_DTYPE_UINT8, .rank = 1, .shape = &n};
    const h5ck_extent e = {.kind = H5CK_EXTENT_MEMORY, .memory = data};
    CU_ASSERT_EQUAL(h5ck_state_add_tensor(s, &s->parameters, &info, &e, NULL, NULL), 0);
    return h5ckpt_tensors_get(h5ckpt_state_parameters(s), name);
}

static const h5ckpt_tensor *add_file(h5ckpt_state *s, const char *path, uint64_t skip, const char *digest)
{
    h5ckpt_error *err = NULL;
    h5ck_file *f = h5ck_state_new_file(s, path, NULL);
    int fd;
    CU_ASSERT_EQUAL(h5ck_fs_open_source(f->root, NULL, f, &fd, &err), 0);
    close(fd);
    uint64_t n = f->size - skip;
    const h5ckpt_tensor_info info = {.name = path, .dtype = H5CKPT_DTYPE_UINT8, .rank = 1, .shape = &n};
    const h5ck_extent e = {.kind = H5CK_EXTENT_FILE, .file = f, .offset = skip};
    CU_ASSERT_EQUAL(h5ck_state_add_tensor(s, &s->parameters, &info, &e, digest, &err), 0);
    test_expect_none(&err);
    return h5ckpt_tensors_get(h5ckpt_state_parameters(s), path);
}

/* A file with a head of `head` bytes 'h' and one tensor behind it. */
static void plan_one(h5ck_plan *plan, const char *relative, size_t head, const h5ckpt_tensor *t)
{
    h5ck_plan_file file = {.relative = relative, .head_len = head};
    unsigned char *bytes = h5ck_arena_alloc(&plan->arena, head);
    size_t index;
    memset(bytes, 'h', head);
    file.head = bytes;
    file.size = head + (t ? h5ckpt_tensor_get_info(t)->nbytes : 0);
    CU_ASSERT_EQUAL(h5ck_plan_add_file(plan, &file, &index, NULL), 0);
    if (t)
        CU_ASSERT_EQUAL(h5ck_plan_add_move(plan, t, index, head, NULL), 0);
}

static void expect_file(const char *path, size_t head, const void *data, size_t n)
{
    size_t len;
    unsigned char *got = test_read(path, &len);
    CU_ASSERT_EQUAL(len, head + n);
    if (len == head + n) {
        for (size_t i = 0; i < head; i++)
            if (got[i] != 'h')
                CU_FAIL("the head is not what was planned");
        CU_ASSERT_EQUAL(memcmp(got + head, data, n), 0);
    }
    free(got);
}

/* ---- Tests ---- */

static void a_folder_of_files_is_written_whatever_the_number_of_threads(void)
{
    unsigned char *big = pattern(BIG, 1), *small = pattern(100, 2);
    for (int jobs = 0; jobs <= 5; jobs++) {
        h5ckpt_error *err = NULL;
        h5ckpt_state *s = h5ckpt_state_new();
        char name[32];
        snprintf(name, sizeof name, "folder%d", jobs);
        h5ck_plan plan = {
            .target = test_tmp(name), .stage = test_tmp(name), .is_dir = true, .digest = H5CKPT_DIGEST_NONE};
        h5ck_plan_add_dir(&plan, "a", NULL);
        h5ck_plan_add_dir(&plan, "a/b", NULL);
        plan_one(&plan, "a/b/big", 25, add(s, "big", big, BIG));
        plan_one(&plan, "a/small", 25, add(s, "small", small, 100));
        plan_one(&plan, "only_head", 7, NULL);
        plan_one(&plan, "long_head", 700000, add(s, "behind", small, 100));
        const h5ck_move_options how = {.jobs = jobs, .sync = jobs == 1};
        CU_ASSERT_EQUAL(h5ck_move(&plan, &how, &err), 0);
        test_expect_none(&err);
        char path[512];
        snprintf(path, sizeof path, "%s/a/b/big", plan.stage);
        expect_file(path, 25, big, BIG);
        snprintf(path, sizeof path, "%s/a/small", plan.stage);
        expect_file(path, 25, small, 100);
        snprintf(path, sizeof path, "%s/only_head", plan.stage);
        expect_file(path, 7, "", 0);
        snprintf(path, sizeof path, "%s/long_head", plan.stage);
        expect_file(path, 700000, small, 100);
        h5ck_plan_free(&plan);
        h5ckpt_state_free(s);
    }
    free(big);
    free(small);
}

static void several_tensors_share_one_file(void)
{
    enum { N = 40, EACH = 70001 };
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = h5ckpt_state_new();
    unsigned char *data = pattern((size_t)N * EACH, 3);
    h5ck_plan plan = {.target = test_tmp("shared"), .stage = test_tmp("shared"), .digest = H5CKPT_DIGEST_XXH3};
    h5ck_plan_file file = {.head = "hhhh", .head_len = 4, .size = 4 + N * EACH};
    size_t index;
    h5ck_plan_add_file(&plan, &file, &index, NULL);
    for (size_t i = 0; i < N; i++) {
        char name[8];
        snprintf(name, sizeof name, "%zu", i);
        h5ck_plan_add_move(&plan, add(s, name, data + i * EACH, EACH), index, 4 + i * EACH, NULL);
    }
    const h5ck_move_options how = {.jobs = 4};
    CU_ASSERT_EQUAL(h5ck_move(&plan, &how, &err), 0);
    test_expect_none(&err);
    expect_file(plan.stage, 4, data, (size_t)N * EACH);
    h5ck_plan_free(&plan);
    h5ckpt_state_free(s);
    free(data);
}

/* Known answers: XXH3-128 of the empty input by xxHash's own test, SHA-256 of "abc" by FIPS 180. */
static void digests_have_their_known_answers(void)
{
    char text[H5CK_DIGEST_TEXT];
    h5ckpt_digest algorithm;
    h5ck_digest *d = h5ck_digest_new(H5CKPT_DIGEST_XXH3);
    CU_ASSERT_EQUAL(h5ck_digest_text(d, text, NULL), 0);
    CU_ASSERT_STRING_EQUAL(text, "xxh3-128:99aa06d3014798d86001c324468d497f");
    CU_ASSERT_EQUAL(h5ck_digest_parse(text, &algorithm), H5CK_DIGEST_KNOWN);
    CU_ASSERT_EQUAL(algorithm, H5CKPT_DIGEST_XXH3);
    CU_ASSERT_EQUAL(h5ck_digest_length(H5CKPT_DIGEST_XXH3), strlen(text));
    CU_ASSERT_EQUAL(h5ck_digest_length(H5CKPT_DIGEST_NONE), 0);
    h5ck_digest_free(d);
    if (h5ck_digest_available(H5CKPT_DIGEST_SHA256)) {
        d = h5ck_digest_new(H5CKPT_DIGEST_SHA256);
        h5ck_digest_update(d, "ab", 2);
        h5ck_digest_update(d, "c", 1);
        CU_ASSERT_EQUAL(h5ck_digest_text(d, text, NULL), 0);
        CU_ASSERT_STRING_EQUAL(text, "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        CU_ASSERT_EQUAL(h5ck_digest_length(H5CKPT_DIGEST_SHA256), strlen(text));
        h5ck_digest_free(d);
    }
    CU_ASSERT_EQUAL(h5ck_digest_parse("md5:00", &algorithm), H5CK_DIGEST_UNKNOWN);
    CU_ASSERT_EQUAL(h5ck_digest_parse("xxh3-128:00", &algorithm), H5CK_DIGEST_BROKEN);
    CU_ASSERT_EQUAL(h5ck_digest_parse("xxh3-128:99aa06d3014798d86001c324468d497g", &algorithm), H5CK_DIGEST_BROKEN);
    CU_ASSERT_EQUAL(h5ck_digest_parse("", &algorithm), H5CK_DIGEST_BROKEN);
}

static int move_file(const h5ckpt_tensor *t, const char *to, h5ckpt_digest digest, char *text, h5ckpt_error **err)
{
    const h5ck_move_options how = {.jobs = 2};
    h5ck_plan plan = {.target = test_tmp(to), .stage = test_tmp(to), .digest = digest};
    plan_one(&plan, NULL, 10, t);
    int rc = h5ck_move(&plan, &how, err);
    strcpy(text, plan.moves[0].digest);
    h5ck_plan_free(&plan);
    return rc;
}

static void damage_is_found_on_the_way_and_named(void)
{
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = h5ckpt_state_new();
    char text[H5CK_DIGEST_TEXT], other[H5CK_DIGEST_TEXT];
    unsigned char *data = pattern(BIG, 4);
    const char *path = test_tmp("source");
    test_write(path, data, BIG);
    CU_ASSERT_EQUAL(move_file(add_file(s, path, 5, NULL), "to1", H5CKPT_DIGEST_XXH3, text, &err), 0);
    test_expect_none(&err);
    h5ckpt_state_free(s);

    s = h5ckpt_state_new(); /* the source's digest is checked also where none, or another, is stored */
    CU_ASSERT_EQUAL(move_file(add_file(s, path, 5, text), "to2", H5CKPT_DIGEST_NONE, other, &err), 0);
    CU_ASSERT_STRING_EQUAL(other, "");
    test_expect_none(&err);
    h5ckpt_state_free(s);

    data[BIG - 1] ^= 1;
    test_write(path, data, BIG);
    for (h5ckpt_digest d = H5CKPT_DIGEST_XXH3; d <= H5CKPT_DIGEST_NONE; d++) {
        if (!h5ck_digest_available(d))
            continue;
        char to[8];
        snprintf(to, sizeof to, "to3%d", (int)d);
        s = h5ckpt_state_new();
        CU_ASSERT_EQUAL(move_file(add_file(s, path, 5, text), to, d, other, &err), H5CKPT_INVALID);
        CU_ASSERT_TRUE(err && err->tensor && strcmp(err->tensor, path) == 0);
        test_expect_error(&err, H5CKPT_INVALID, "source: '");
        h5ckpt_state_free(s);
    }
    free(data);
}

static void a_source_that_changed_since_it_was_opened_is_refused(void)
{
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = h5ckpt_state_new();
    char text[H5CK_DIGEST_TEXT];
    test_write(test_tmp("changes"), "0123456789", 10);
    const h5ckpt_tensor *t = add_file(s, test_tmp("changes"), 0, NULL);
    test_write(test_tmp("changes"), "01234", 5);
    CU_ASSERT_EQUAL(move_file(t, "to4", H5CKPT_DIGEST_NONE, text, &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, "changes: '");
    CU_ASSERT_PTR_NULL(h5ckpt_tensor_get_info(t)->name ? h5ck_move_data(t, &err) : t);
    test_expect_error(&err, H5CKPT_INVALID, "expected the file as it was when first read (10 bytes)");
    h5ckpt_state_free(s);
}

static void a_target_that_cannot_be_made_names_the_target(void)
{
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = h5ckpt_state_new();
    const h5ck_move_options how = {.jobs = 2};
    h5ck_plan plan = {.target = "no_such_folder/final", .stage = test_tmp("none/such"), .digest = H5CKPT_DIGEST_NONE};
    plan_one(&plan, NULL, 4, add(s, "w", "abc", 3));
    CU_ASSERT_EQUAL(h5ck_move(&plan, &how, &err), H5CKPT_SYSTEM);
    test_expect_error(&err, H5CKPT_SYSTEM, "no_such_folder/final: 'w': cannot create: No such file");
    h5ck_plan_free(&plan);
    h5ckpt_state_free(s);
}

static int stop_at_once(void *user, uint64_t done, uint64_t total)
{
    (void)done;
    *(uint64_t *)user = total;
    return 1;
}

static int count_calls(void *user, uint64_t done, uint64_t total)
{
    if (done == total)
        ++*(int *)user;
    return 0;
}

static void progress_ends_at_the_total_and_may_stop_the_move(void)
{
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = h5ckpt_state_new();
    int complete = 0;
    uint64_t total = 0;
    h5ck_move_options how = {.jobs = 1, .progress = count_calls, .progress_user = &complete};
    h5ck_plan plan = {.target = test_tmp("progress"), .stage = test_tmp("progress"), .digest = H5CKPT_DIGEST_NONE};
    plan_one(&plan, NULL, 4, add(s, "w", "abc", 3));
    CU_ASSERT_EQUAL(h5ck_move(&plan, &how, &err), 0);
    CU_ASSERT_TRUE(complete >= 1);
    unlink(plan.stage);
    how.progress = stop_at_once;
    how.progress_user = &total;
    CU_ASSERT_EQUAL(h5ck_move(&plan, &how, &err), H5CKPT_SYSTEM);
    CU_ASSERT_EQUAL(total, 3);
    test_expect_error(&err, H5CKPT_SYSTEM, "stopped by the caller");
    h5ck_plan_free(&plan);
    h5ckpt_state_free(s);
}

/* A decoder that yields the low byte of each offset. */
static int decode(const h5ck_decoder *self, uint64_t offset, void *buf, size_t n, h5ckpt_error **err)
{
    (void)self;
    (void)err;
    for (size_t i = 0; i < n; i++)
        ((unsigned char *)buf)[i] = (unsigned char)(offset + i);
    return 0;
}

static void decoded_tensors_move_and_load_like_others(void)
{
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = h5ckpt_state_new();
    const h5ck_decoder decoder = {decode, "counting", 1};
    const h5ck_extent e = {.kind = H5CK_EXTENT_DECODER, .decoder = &decoder};
    uint64_t n = BIG;
    const h5ckpt_tensor_info info = {.name = "d", .dtype = H5CKPT_DTYPE_UINT8, .rank = 1, .shape = &n};
    char text[H5CK_DIGEST_TEXT];
    unsigned char part[4], *expected = malloc(BIG);
    decode(NULL, 0, expected, BIG, NULL);
    CU_ASSERT_EQUAL(h5ck_state_add_tensor(s, &s->parameters, &info, &e, NULL, &err), 0);
    const h5ckpt_tensor *t = h5ckpt_tensors_at(h5ckpt_state_parameters(s), 0);
    CU_ASSERT_EQUAL(move_file(t, "decoded", H5CKPT_DIGEST_NONE, text, &err), 0);
    expect_file(test_tmp("decoded"), 10, expected, BIG);
    const void *data = h5ck_move_data(t, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(data);
    CU_ASSERT_EQUAL(memcmp(data, expected, BIG), 0);
    CU_ASSERT_PTR_EQUAL(h5ck_move_data(t, &err), data);
    CU_ASSERT_EQUAL(h5ck_move_read(t, 254, part, 4, &err), 0);
    CU_ASSERT_EQUAL(memcmp(part, "\xfe\xff\x00\x01", 4), 0);
    CU_ASSERT_EQUAL(h5ck_move_read(t, BIG - 3, part, 4, &err), H5CKPT_USAGE);
    test_expect_error(&err, H5CKPT_USAGE, "expected a range inside of");
    free(expected);
    h5ckpt_state_free(s);
}

/* ---- Several threads on one tensor ---- */

enum { GIANT = (64 << 20) + (5 << 20) + 123 };

/* Read, digested in order, written: the same bytes and the same digest as by one thread. */
static void a_giant_tensor_is_shared_by_all_threads_and_comes_out_the_same(void)
{
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = h5ckpt_state_new();
    unsigned char *data = pattern(GIANT, 7);
    char text[6][H5CK_DIGEST_TEXT];
    test_write(test_tmp("giant"), data, GIANT);
    const h5ckpt_tensor *t = add_file(s, test_tmp("giant"), 3, NULL);
    for (int jobs = 1; jobs <= 5; jobs += 2) {
        h5ck_plan plan = {.target = test_tmp("giant_to"), .stage = test_tmp("giant_to"), .digest = H5CKPT_DIGEST_XXH3};
        const h5ck_move_options how = {.jobs = jobs, .sync = true};
        plan_one(&plan, NULL, 25, t);
        CU_ASSERT_EQUAL(h5ck_move(&plan, &how, &err), 0);
        test_expect_none(&err);
        expect_file(plan.stage, 25, data + 3, GIANT - 3);
        strcpy(text[jobs], plan.moves[0].digest);
        CU_ASSERT_STRING_EQUAL(text[jobs], text[1]);
        unlink(plan.stage);
        h5ck_plan_free(&plan);
    }
    h5ckpt_state_free(s);

    s = h5ckpt_state_new(); /* damage in the last slab is found as well */
    data[GIANT - 1] ^= 1;
    test_write(test_tmp("giant"), data, GIANT);
    const h5ck_move_options how = {.jobs = 4};
    h5ck_plan plan = {.target = test_tmp("giant_to"), .stage = test_tmp("giant_to"), .digest = H5CKPT_DIGEST_NONE};
    plan_one(&plan, NULL, 25, add_file(s, test_tmp("giant"), 3, text[1]));
    CU_ASSERT_EQUAL(h5ck_move(&plan, &how, &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, "the data is damaged: expected digest xxh3-128:");
    h5ck_plan_free(&plan);
    h5ckpt_state_free(s);
    unlink(test_tmp("giant"));
    unlink(test_tmp("giant_to"));
    free(data);
}

/* A packer that stores pieces in memory, and may wait, or fail, at some. */
typedef struct test_packer {
    h5ck_packer base;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned char *stored;
    unsigned puts[64], inside, most_inside; /* by piece; threads in put() now, and at most */
    unsigned meet;                          /* the first puts wait until so many threads are inside */
    int64_t fails_at;
    long pause_ms;
} test_packer;

static atomic_int scratches;

static void free_scratch(void *scratch)
{
    atomic_fetch_sub(&scratches, 1);
    free(scratch);
}

static void meet(test_packer *p)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 20; /* not a time that is measured: only so that a failure is no hang */
    pthread_mutex_lock(&p->lock);
    if (++p->inside > p->most_inside)
        p->most_inside = p->inside;
    pthread_cond_broadcast(&p->changed);
    while (p->most_inside < p->meet && pthread_cond_timedwait(&p->changed, &p->lock, &until) != ETIMEDOUT)
        ;
    pthread_mutex_unlock(&p->lock);
}

static int put(const h5ck_packer *self, uint64_t index, const void *data, size_t n, void **scratch, h5ckpt_error **err)
{
    test_packer *p = (test_packer *)(uintptr_t)self;
    if (!*scratch && (*scratch = malloc(1)))
        atomic_fetch_add(&scratches, 1);
    meet(p);
    nanosleep(&(struct timespec){0, p->pause_ms * 1000000L}, NULL);
    if ((int64_t)index == p->fails_at)
        return h5ck_fail(err, H5CKPT_SYSTEM, "this piece does not fit");
    memcpy(p->stored + index * self->piece, data, n);
    pthread_mutex_lock(&p->lock);
    p->puts[index]++;
    p->inside--;
    pthread_mutex_unlock(&p->lock);
    return 0;
}

enum { PIECE = 100003, PACKED = 30 * PIECE + 77 };

static int pack(test_packer *p, const h5ckpt_tensor *t, h5ck_move_options how, char *digest, h5ckpt_error **err)
{
    h5ck_plan plan = {.target = test_tmp("packed"),
                      .stage = test_tmp("packed"),
                      .digest = H5CKPT_DIGEST_XXH3,
                      .free_scratch = free_scratch};
    plan_one(&plan, NULL, 8, NULL);
    CU_ASSERT_EQUAL(h5ck_plan_add_move(&plan, t, 0, 8, NULL), 0);
    plan.moves[0].packer = &p->base;
    p->base = (h5ck_packer){PIECE, put};
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->changed, NULL);
    p->stored = calloc(1, PACKED);
    int rc = h5ck_move(&plan, &how, err);
    strcpy(digest, plan.moves[0].digest);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
    h5ck_plan_free(&plan);
    unlink(test_tmp("packed"));
    CU_ASSERT_EQUAL(atomic_load(&scratches), 0);
    return rc;
}

/* Three threads are inside of the packer at once, or this test fails; each piece is put once; the digest is the one of
 * the elements in order. */
static void pieces_of_one_tensor_are_packed_by_several_threads_at_once(void)
{
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = h5ckpt_state_new();
    unsigned char *data = pattern(PACKED, 8);
    const h5ckpt_tensor *t = add(s, "w", data, PACKED);
    char several[H5CK_DIGEST_TEXT], one[H5CK_DIGEST_TEXT];
    test_packer p = {.meet = 3, .fails_at = -1};
    CU_ASSERT_EQUAL(pack(&p, t, (h5ck_move_options){.jobs = 3}, several, &err), 0);
    test_expect_none(&err);
    CU_ASSERT_EQUAL(p.most_inside, 3);
    for (size_t i = 0; i <= PACKED / PIECE; i++)
        CU_ASSERT_EQUAL(p.puts[i], 1);
    CU_ASSERT_EQUAL(memcmp(p.stored, data, PACKED), 0);
    free(p.stored);
    p = (test_packer){.fails_at = -1};
    CU_ASSERT_EQUAL(pack(&p, t, (h5ck_move_options){.jobs = 1}, one, &err), 0);
    CU_ASSERT_EQUAL(p.most_inside, 1);
    CU_ASSERT_EQUAL(memcmp(p.stored, data, PACKED), 0);
    CU_ASSERT_STRING_EQUAL(several, one);
    free(p.stored);
    h5ckpt_state_free(s);
    free(data);
}

static int stop_halfway(void *user, uint64_t done, uint64_t total)
{
    (void)user;
    return done > total / 4;
}

/* The others wait for the failed piece's turn or for its opening: all must end. */
static void a_failure_or_a_stop_ends_all_threads_on_one_tensor(void)
{
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = h5ckpt_state_new();
    unsigned char *data = pattern(PACKED, 9);
    const h5ckpt_tensor *t = add(s, "w", data, PACKED);
    char digest[H5CK_DIGEST_TEXT];
    for (int64_t at = 0; at <= PACKED / PIECE; at++) {
        test_packer p = {.fails_at = at};
        CU_ASSERT_EQUAL(pack(&p, t, (h5ck_move_options){.jobs = 4}, digest, &err), H5CKPT_SYSTEM);
        test_expect_error(&err, H5CKPT_SYSTEM, "packed: 'w': this piece does not fit");
        free(p.stored);
    }
    test_packer p = {.fails_at = -1, .pause_ms = 50}; /* 31 pieces: several reports before it could be done */
    CU_ASSERT_EQUAL(pack(&p, t, (h5ck_move_options){.jobs = 2, .progress = stop_halfway}, digest, &err), H5CKPT_SYSTEM);
    test_expect_error(&err, H5CKPT_SYSTEM, "stopped by the caller");
    CU_ASSERT_EQUAL(p.puts[PACKED / PIECE], 0);
    free(p.stored);
    h5ckpt_state_free(s);
    free(data);
}

/* A decoder that fails from an offset on. */
typedef struct failing {
    h5ck_decoder base;
    uint64_t from;
} failing;

static int decode_until(const h5ck_decoder *self, uint64_t offset, void *buf, size_t n, h5ckpt_error **err)
{
    if (offset + n > ((const failing *)self)->from)
        return h5ck_fail(err, H5CKPT_INVALID, "cannot decode on");
    memset(buf, 1, n);
    return 0;
}

static void a_decoder_that_fails_ends_all_threads_on_its_tensor(void)
{
    for (uint64_t from = 0; from < BIG; from += 1 << 20) {
        h5ckpt_error *err = NULL;
        h5ckpt_state *s = h5ckpt_state_new();
        const failing decoder = {{decode_until, "failing", 1}, from};
        const h5ck_extent e = {.kind = H5CK_EXTENT_DECODER, .decoder = &decoder.base};
        uint64_t n = BIG;
        const h5ckpt_tensor_info info = {.name = "d", .dtype = H5CKPT_DTYPE_UINT8, .rank = 1, .shape = &n};
        h5ck_plan plan = {.target = test_tmp("half"), .stage = test_tmp("half"), .digest = H5CKPT_DIGEST_XXH3};
        const h5ck_move_options how = {.jobs = 4};
        CU_ASSERT_EQUAL(h5ck_state_add_tensor(s, &s->parameters, &info, &e, NULL, &err), 0);
        plan_one(&plan, NULL, 10, h5ckpt_tensors_at(h5ckpt_state_parameters(s), 0));
        CU_ASSERT_EQUAL(h5ck_move(&plan, &how, &err), H5CKPT_INVALID);
        test_expect_error(&err, H5CKPT_INVALID, "half: 'd': cannot decode on");
        h5ck_plan_free(&plan);
        h5ckpt_state_free(s);
        unlink(test_tmp("half"));
    }
}

/* ---- Many files ---- */

static size_t open_descriptors(void)
{
    size_t n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n;
}

/* More files than one batch of fsync holds. One of them in a folder that is not there makes the move fail. */
static void all_files_are_closed_however_the_move_ends(void)
{
    enum { FILES = 300 };
    unsigned char *data = pattern(FILES + 1000, 10);
    size_t before = open_descriptors();
    for (int broken = 0; broken <= 1; broken++) {
        h5ckpt_error *err = NULL;
        h5ckpt_state *s = h5ckpt_state_new();
        const char *folder = test_tmp(broken ? "many_broken" : "many");
        h5ck_plan plan = {.target = folder, .stage = folder, .is_dir = true, .digest = H5CKPT_DIGEST_NONE};
        const h5ck_move_options how = {.jobs = 3, .sync = true};
        for (int i = 0; i < FILES; i++) {
            char *name = h5ck_arena_alloc(&plan.arena, 16);
            snprintf(name, 16, broken && i == 20 ? "no/%d" : "%d", i);
            plan_one(&plan, name, 5, add(s, name, data + i, 1000 - (uint64_t)i));
        }
        CU_ASSERT_EQUAL(h5ck_move(&plan, &how, &err), broken ? H5CKPT_SYSTEM : 0);
        for (int i = 0; i < FILES && !broken; i++) {
            char path[512];
            snprintf(path, sizeof path, "%s/%d", folder, i);
            expect_file(path, 5, data + i, 1000 - (size_t)i);
        }
        if (broken)
            test_expect_error(&err, H5CKPT_SYSTEM, "many_broken/no/20: 'no/20': cannot create");
        h5ck_plan_free(&plan);
        h5ckpt_state_free(s);
    }
    CU_ASSERT_EQUAL(open_descriptors(), before);
    free(data);
}

/* Whether the file system of the temporary folder shares blocks or not, the bytes are the same. */
static void whole_blocks_are_shared_where_that_is_possible(void)
{
    enum { AT = 8192, TO = 4096, N = (3 << 20) + 100 };
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = h5ckpt_state_new();
    unsigned char *data = pattern(AT + N, 11);
    test_write(test_tmp("blocks"), data, AT + N);
    const h5ckpt_tensor *t = add_file(s, test_tmp("blocks"), AT, NULL);
    for (int jobs = 1; jobs <= 2; jobs++) {
        h5ck_plan plan = {
            .target = test_tmp("blocks_to"), .stage = test_tmp("blocks_to"), .digest = H5CKPT_DIGEST_XXH3};
        const h5ck_move_options how = {.jobs = jobs, .sync = true};
        plan_one(&plan, NULL, TO, t);
        CU_ASSERT_EQUAL(h5ck_move(&plan, &how, &err), 0);
        test_expect_none(&err);
        expect_file(plan.stage, TO, data + AT, N);
        CU_ASSERT_NOT_EQUAL(plan.moves[0].digest[0], 0);
        h5ck_plan_free(&plan);
        unlink(test_tmp("blocks_to"));
    }
    h5ckpt_state_free(s);

    h5ck_file from, to;
    int f, w;
    bool able = true;
    CU_ASSERT_EQUAL(h5ck_fs_open_source(test_tmp("blocks"), NULL, &from, &f, &err), 0);
    CU_ASSERT_EQUAL(h5ck_fs_create(test_tmp("clone"), NULL, &w, &err), 0);
    CU_ASSERT_EQUAL(h5ck_fs_clone(f, 64, w, 0, N, &able), 0); /* no whole blocks */
    CU_ASSERT_EQUAL(h5ck_fs_clone(f, 0, w, 64, N, &able), 0);
    CU_ASSERT_EQUAL(h5ck_fs_clone(f, 0, w, 0, 100, &able), 0);
    uint64_t shared = h5ck_fs_clone(f, AT, w, 0, N, &able);
    CU_ASSERT_TRUE(shared == 0 || (able && shared > N - 65536));
    close(f);
    close(w);
    if (shared) {
        fprintf(stderr, "    (blocks are shared here)\n");
        CU_ASSERT_EQUAL(h5ck_fs_open_source(test_tmp("clone"), NULL, &to, &f, &err), 0);
        CU_ASSERT_EQUAL(to.size, shared);
        close(f);
    }
    free(data);
}

/* ---- Loading ---- */

static h5ckpt_state *state_to_load(const char *path, unsigned char *data, size_t n, const char *digest)
{
    static const h5ck_decoder decoder = {decode, "counting", 1};
    const h5ck_extent e = {.kind = H5CK_EXTENT_DECODER, .decoder = &decoder};
    const uint64_t big = BIG, none = 0;
    const h5ckpt_tensor_info info = {.name = "d", .dtype = H5CKPT_DTYPE_UINT8, .rank = 1, .shape = &big};
    const h5ckpt_tensor_info empty = {.name = "empty", .dtype = H5CKPT_DTYPE_UINT8, .rank = 1, .shape = &none};
    h5ckpt_state *s = h5ckpt_state_new();
    test_write(path, data, n);
    add_file(s, path, 3, digest);
    CU_ASSERT_EQUAL(h5ck_state_add_tensor(s, &s->parameters, &info, &e, NULL, NULL), 0);
    add(s, "memory", data, 5);
    CU_ASSERT_EQUAL(
        h5ck_state_add_tensor(s, &s->parameters, &empty, &(h5ck_extent){.kind = H5CK_EXTENT_MEMORY}, NULL, NULL), 0);
    return s;
}

static void loaded_tensors_need_their_file_no_longer(void)
{
    h5ckpt_error *err = NULL;
    unsigned char *data = pattern(BIG, 12), *counted = malloc(BIG), part[4];
    const char *path = test_tmp("load");
    decode(NULL, 0, counted, BIG, NULL);
    for (int jobs = 0; jobs <= 3; jobs++) {
        h5ckpt_state *s = state_to_load(path, data, BIG, NULL);
        const h5ckpt_tensors *all = h5ckpt_state_parameters(s);
        const h5ck_move_options how = {.jobs = jobs};
        CU_ASSERT_EQUAL(h5ck_move_load(all, NULL, true, &how, &err), 0);
        test_expect_none(&err);
        unlink(path);
        const void *at[4];
        for (size_t i = 0; i < 4; i++) {
            at[i] = h5ck_move_data(h5ckpt_tensors_at(all, i), &err);
            CU_ASSERT_PTR_NOT_NULL_FATAL(at[i]);
        }
        CU_ASSERT_EQUAL(memcmp(at[0], data + 3, BIG - 3), 0);
        CU_ASSERT_EQUAL((uintptr_t)at[0] % 64, 0);
        CU_ASSERT_EQUAL(memcmp(at[1], counted, BIG), 0);
        CU_ASSERT_EQUAL((uintptr_t)at[1] % 64, 0);
        CU_ASSERT_PTR_EQUAL(at[2], data);
        CU_ASSERT_EQUAL(h5ck_move_read(h5ckpt_tensors_at(all, 0), 7, part, 4, &err), 0);
        CU_ASSERT_EQUAL(memcmp(part, data + 10, 4), 0);
        CU_ASSERT_EQUAL(h5ck_move_load(all, NULL, true, &how, &err), 0); /* all is there */
        CU_ASSERT_PTR_EQUAL(h5ck_move_data(h5ckpt_tensors_at(all, 0), &err), at[0]);
        char text[H5CK_DIGEST_TEXT]; /* and is written from there */
        CU_ASSERT_EQUAL(move_file(h5ckpt_tensors_at(all, 0), "from_memory", H5CKPT_DIGEST_XXH3, text, &err), 0);
        expect_file(test_tmp("from_memory"), 10, data + 3, BIG - 3);
        unlink(test_tmp("from_memory"));
        h5ckpt_state_free(s);
    }
    free(counted);
    free(data);
}

static void buffers_of_the_caller_are_filled_or_left_out(void)
{
    h5ckpt_error *err = NULL;
    unsigned char *data = pattern(BIG, 13), *counted = malloc(BIG), *room = malloc(BIG + 1), few[6] = {0};
    h5ckpt_state *s = state_to_load(test_tmp("load"), data, BIG, NULL);
    const h5ck_move_options how = {.jobs = 2};
    void *const buffers[] = {NULL, room + 1, few, NULL};
    decode(NULL, 0, counted, BIG, NULL);
    CU_ASSERT_EQUAL(h5ck_move_load(h5ckpt_state_parameters(s), buffers, true, &how, &err), 0);
    test_expect_none(&err);
    CU_ASSERT_EQUAL(memcmp(room + 1, counted, BIG), 0);
    CU_ASSERT_EQUAL(memcmp(few, data, 5), 0);
    CU_ASSERT_EQUAL(few[5], 0);
    h5ckpt_state_free(s);
    free(room);
    free(counted);
    free(data);
}

static void loading_checks_digests_and_promises_nothing_after_a_failure(void)
{
    h5ckpt_error *err = NULL;
    char wrong[] = "xxh3-128:99aa06d3014798d86001c324468d497f";
    unsigned char *data = pattern(BIG, 14);
    h5ckpt_state *s = state_to_load(test_tmp("load"), data, BIG, wrong);
    const h5ckpt_tensors *all = h5ckpt_state_parameters(s);
    h5ck_move_options how = {.jobs = 2};
    CU_ASSERT_EQUAL(h5ck_move_load(all, NULL, true, &how, &err), H5CKPT_INVALID);
    CU_ASSERT_TRUE(err && err->path && err->tensor && strcmp(err->tensor, test_tmp("load")) == 0);
    test_expect_error(&err, H5CKPT_INVALID, "the data is damaged");
    for (size_t i = 0; i < 2; i++)
        CU_ASSERT_PTR_NULL(h5ck_move_in_memory(h5ckpt_tensors_at(all, i)));
    const unsigned char *mapped = h5ck_move_data(h5ckpt_tensors_at(all, 0), &err);
    CU_ASSERT_TRUE(mapped && memcmp(mapped, data + 3, BIG - 3) == 0);
    uint64_t total = 0;
    how.progress = stop_at_once;
    how.progress_user = &total;
    CU_ASSERT_EQUAL(h5ck_move_load(all, NULL, false, &how, &err), H5CKPT_SYSTEM);
    CU_ASSERT_EQUAL(total, 2 * (uint64_t)BIG - 3);
    test_expect_error(&err, H5CKPT_SYSTEM, "stopped by the caller");
    CU_ASSERT_PTR_NULL(h5ck_move_in_memory(h5ckpt_tensors_at(all, 0)));
    how.progress = NULL;
    CU_ASSERT_EQUAL(h5ck_move_load(all, NULL, false, &how, &err), 0); /* asked not to check */
    test_expect_none(&err);
    CU_ASSERT_EQUAL(memcmp(h5ck_move_data(h5ckpt_tensors_at(all, 0), &err), data + 3, BIG - 3), 0);
    CU_ASSERT_EQUAL(memcmp(mapped, data + 3, BIG - 3), 0); /* what was handed out before stays */
    h5ckpt_state_free(s);

    s = state_to_load(test_tmp("load"), data, BIG, NULL);
    test_write(test_tmp("load"), data, 100);
    CU_ASSERT_EQUAL(h5ck_move_load(h5ckpt_state_parameters(s), NULL, true, &how, &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, "expected the file as it was when first read");
    h5ckpt_state_free(s);
    free(data);
}

/* ---- Checking ---- */

/* A shared tensor that fails at any of its slabs, between one that is damaged and one that is whole. */
static void what_is_wrong_with_one_tensor_is_told_of_that_one_alone(void)
{
    char wrong[] = "xxh3-128:99aa06d3014798d86001c324468d497f", right[] = "xxh3-128:06b05ab6733a618578af5f94892f3950";
    static unsigned char abc[] = "abc";
    for (uint64_t from = 0; from < BIG; from += 1 << 20)
        for (int jobs = 1; jobs <= 4; jobs += 3) {
            const failing decoder = {{decode_until, "failing", 1}, from};
            const h5ck_extent bad = {.kind = H5CK_EXTENT_DECODER, .decoder = &decoder.base};
            const h5ck_extent plain = {.kind = H5CK_EXTENT_MEMORY, .memory = abc};
            const h5ck_move_options how = {.jobs = jobs};
            h5ckpt_error *err = NULL;
            h5ckpt_state *s = h5ckpt_state_new();
            uint64_t big = BIG, three = 3;
            h5ckpt_tensor_info info = {.name = "fails", .dtype = H5CKPT_DTYPE_UINT8, .rank = 1, .shape = &big};
            h5ck_check checks[3] = {{0}};
            CU_ASSERT_EQUAL(h5ck_state_add_tensor(s, &s->parameters, &info, &bad, right, NULL), 0);
            info.shape = &three;
            info.name = "damaged";
            CU_ASSERT_EQUAL(h5ck_state_add_tensor(s, &s->parameters, &info, &plain, wrong, NULL), 0);
            info.name = "whole";
            CU_ASSERT_EQUAL(h5ck_state_add_tensor(s, &s->parameters, &info, &plain, right, NULL), 0);
            for (size_t i = 0; i < 3; i++)
                checks[i].tensor = h5ckpt_tensors_at(h5ckpt_state_parameters(s), i);
            CU_ASSERT_EQUAL(h5ck_checks_run(checks, 3, &how, &err), 0);
            test_expect_none(&err);
            CU_ASSERT_FALSE(checks[0].held);
            test_expect_error(&checks[0].err, H5CKPT_INVALID, "'fails': cannot decode on");
            CU_ASSERT_TRUE(checks[1].held && checks[1].differs && !checks[1].err);
            CU_ASSERT_STRING_EQUAL(checks[1].found, right);
            CU_ASSERT_TRUE(checks[2].held && !checks[2].differs && !checks[2].err);
            h5ck_checks_free(checks, 3);
            h5ckpt_state_free(s);
        }
}

int main(void)
{
    static const test_case cases[] = {
        {"a folder of files is written whatever the number of threads",
         a_folder_of_files_is_written_whatever_the_number_of_threads},
        {"several tensors share one file", several_tensors_share_one_file},
        {"digests have their known answers", digests_have_their_known_answers},
        {"damage is found on the way and named", damage_is_found_on_the_way_and_named},
        {"a source that changed since it was opened is refused", a_source_that_changed_since_it_was_opened_is_refused},
        {"a target that cannot be made names the target", a_target_that_cannot_be_made_names_the_target},
        {"progress ends at the total and may stop the move", progress_ends_at_the_total_and_may_stop_the_move},
        {"decoded tensors move and load like others", decoded_tensors_move_and_load_like_others},
        {"a giant tensor is shared by all threads and comes out the same",
         a_giant_tensor_is_shared_by_all_threads_and_comes_out_the_same},
        {"pieces of one tensor are packed by several threads at once",
         pieces_of_one_tensor_are_packed_by_several_threads_at_once},
        {"a failure or a stop ends all threads on one tensor", a_failure_or_a_stop_ends_all_threads_on_one_tensor},
        {"a decoder that fails ends all threads on its tensor", a_decoder_that_fails_ends_all_threads_on_its_tensor},
        {"all files are closed however the move ends", all_files_are_closed_however_the_move_ends},
        {"whole blocks are shared where that is possible", whole_blocks_are_shared_where_that_is_possible},
        {"loaded tensors need their file no longer", loaded_tensors_need_their_file_no_longer},
        {"buffers of the caller are filled or left out", buffers_of_the_caller_are_filled_or_left_out},
        {"loading checks digests and promises nothing after a failure",
         loading_checks_digests_and_promises_nothing_after_a_failure},
        {"what is wrong with one tensor is told of that one alone",
         what_is_wrong_with_one_tensor_is_told_of_that_one_alone},
        {NULL, NULL},
    };
    return test_run("move", cases);
}
