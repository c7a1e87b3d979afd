/*
 * test_plan.c - what a plan may ask of the mover besides one head and its tensors: companions, pieces between tensors, a
 * header that finish() writes, and CRC-32 as the digest, all of which a zip needs.
 */
#include "base/fs.h"
#include "move/check.h"
#include "move/digest.h"
#include "move/move.h"
#include "test.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BIG = (2 << 20) + 77 };

static const h5ckpt_tensor *add(h5ckpt_state *s, const char *name, const void *data, uint64_t n, const char *digest)
{
    const h5ckpt_tensor_info info = {.name = name, .dtype = H5CKPT_DTYPE_UINT8, .rank = 1, .shape = &n};
    const h5ck_extent e = {.kind = H5CK_EXTENT_MEMORY, .memory = data};
    CU_ASSERT_EQUAL_FATAL(h5ck_state_add_tensor(s, &s->parameters, &info, &e, digest, NULL), 0);
    return h5ckpt_tensors_get(h5ckpt_state_parameters(s), name);
}

static unsigned char *pattern(size_t n)
{
    unsigned char *p = malloc(n);
    for (size_t i = 0; p && i < n; i++)
        p[i] = (unsigned char)(i * 2654435761u >> 11);
    return p;
}

/* CRC-32 as zip's specification defines it, bit by bit. */
static uint32_t crc_of(const unsigned char *data, size_t n)
{
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < n; i++) {
        crc ^= data[i];
        for (int k = 0; k < 8; k++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ~crc;
}

/* ---- CRC-32 ---- */

/* The check value that every description of this CRC gives. */
static void crc_32_has_its_known_answer(void)
{
    char text[H5CK_DIGEST_TEXT];
    uint32_t crc = 0;
    h5ckpt_digest algorithm = H5CKPT_DIGEST_NONE;
    h5ck_digest *d = h5ck_digest_new(H5CK_DIGEST_CRC32);
    h5ck_digest_update(d, "1234", 4);
    h5ck_digest_update(d, "56789", 5);
    CU_ASSERT_EQUAL(h5ck_digest_text(d, text, NULL), 0);
    CU_ASSERT_STRING_EQUAL(text, "crc32:cbf43926");
    CU_ASSERT_TRUE(h5ck_digest_crc32(text, &crc));
    CU_ASSERT_EQUAL(crc, 0xcbf43926);
    CU_ASSERT_EQUAL(h5ck_digest_parse(text, &algorithm), H5CK_DIGEST_KNOWN);
    CU_ASSERT_EQUAL(algorithm, H5CK_DIGEST_CRC32);
    CU_ASSERT_EQUAL(h5ck_digest_length(H5CK_DIGEST_CRC32), strlen(text));
    h5ck_digest_reset(d);
    CU_ASSERT_EQUAL(h5ck_digest_text(d, text, NULL), 0);
    CU_ASSERT_STRING_EQUAL(text, "crc32:00000000");
    h5ck_digest_free(d);
    CU_ASSERT_EQUAL(h5ck_digest_parse("crc32:cbf4392", &algorithm), H5CK_DIGEST_BROKEN);
    CU_ASSERT_EQUAL(h5ck_digest_parse("crc32:cbf4392g", &algorithm), H5CK_DIGEST_BROKEN);
    CU_ASSERT_FALSE(h5ck_digest_crc32("xxh3-128:99aa06d3014798d86001c324468d497f", &crc));
}

static void a_source_with_a_crc_is_checked_as_it_moves(void)
{
    unsigned char *data = pattern(BIG);
    char right[H5CK_DIGEST_TEXT], wrong[H5CK_DIGEST_TEXT];
    snprintf(right, sizeof right, "crc32:%08" PRIx32, crc_of(data, BIG));
    snprintf(wrong, sizeof wrong, "crc32:%08" PRIx32, crc_of(data, BIG) ^ 1);
    for (int jobs = 1; jobs <= 3; jobs += 2)
        for (int good = 0; good < 2; good++) {
            h5ckpt_error *err = NULL;
            h5ckpt_state *s = h5ckpt_state_new();
            char name[16];
            snprintf(name, sizeof name, "crc%d%d", jobs, good);
            h5ck_plan plan = {.target = test_tmp(name), .stage = test_tmp(name), .digest = H5CK_DIGEST_CRC32};
            const h5ck_plan_file file = {.size = BIG};
            const h5ck_move_options how = {.jobs = jobs};
            size_t index;
            h5ck_plan_add_file(&plan, &file, &index, NULL);
            h5ck_plan_add_move(&plan, add(s, "w", data, BIG, good ? right : wrong), index, 0, NULL);
            CU_ASSERT_EQUAL(h5ck_move(&plan, &how, &err), good ? 0 : H5CKPT_INVALID);
            if (good) {
                test_expect_none(&err);
                CU_ASSERT_STRING_EQUAL(plan.moves[0].digest, right);
            } else {
                CU_ASSERT_TRUE(err && err->tensor && strcmp(err->tensor, "w") == 0);
                test_expect_error(&err, H5CKPT_INVALID, right);
            }
            h5ck_plan_free(&plan);
            h5ckpt_state_free(s);
        }
    free(data);
}

static void verify_holds_elements_against_a_crc(void)
{
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = h5ckpt_state_new();
    h5ck_check checks[2] = {{.tensor = add(s, "good", "123456789", 9, "crc32:cbf43926")},
                            {.tensor = add(s, "bad", "123456780", 9, "crc32:cbf43926")}};
    const h5ck_move_options how = {.jobs = 1};
    CU_ASSERT_EQUAL(h5ck_checks_run(checks, 2, &how, &err), 0);
    test_expect_none(&err);
    CU_ASSERT_TRUE(checks[0].held && !checks[0].differs);
    CU_ASSERT_TRUE(checks[1].held && checks[1].differs);
    h5ck_checks_free(checks, 2);
    h5ckpt_state_free(s);
}

/* ---- Pieces, and finish ---- */

static int write_header(h5ck_plan *plan, h5ckpt_error **err)
{
    int fd, rc = h5ck_fs_open_write(plan->stage, &fd, err);
    if (rc)
        return rc;
    rc = h5ck_fs_pwrite(fd, plan->moves[0].digest + strlen("crc32:"), 8, 0, err);
    int closed = h5ck_fs_close(fd, rc ? NULL : err);
    return rc ? rc : closed;
}

/* head, tensor, piece, tensor, piece: as a zip is; finish() puts the first CRC where the head left room. */
static void pieces_stand_between_tensors(void)
{
    unsigned char *data = pattern(BIG);
    for (int jobs = 1; jobs <= 4; jobs++) {
        h5ckpt_error *err = NULL;
        h5ckpt_state *s = h5ckpt_state_new();
        char name[16];
        snprintf(name, sizeof name, "zip%d", jobs);
        h5ck_plan plan = {.target = test_tmp(name), .stage = test_tmp(name), .digest = H5CK_DIGEST_CRC32};
        const h5ck_plan_file file = {.head = "........", .head_len = 8, .size = 8 + BIG + 7 + 5 + 3};
        const h5ck_move_options how = {.jobs = jobs, .sync = jobs == 2};
        size_t index, len;
        plan.finish = write_header;
        h5ck_plan_add_file(&plan, &file, &index, NULL);
        h5ck_plan_add_move(&plan, add(s, "big", data, BIG, NULL), index, 8, NULL);
        CU_ASSERT_EQUAL(h5ck_plan_add_piece(&plan, index, 8 + BIG, "between", 7, NULL), 0);
        h5ck_plan_add_move(&plan, add(s, "small", "small", 5, NULL), index, 8 + BIG + 7, NULL);
        CU_ASSERT_EQUAL(h5ck_plan_add_piece(&plan, index, 8 + BIG + 7 + 5, "end", 3, NULL), 0);
        CU_ASSERT_EQUAL(h5ck_move(&plan, &how, &err), 0);
        test_expect_none(&err);
        unsigned char *got = test_read(plan.stage, &len);
        char crc[9];
        snprintf(crc, sizeof crc, "%08" PRIx32, crc_of(data, BIG));
        CU_ASSERT_EQUAL_FATAL(len, file.size);
        CU_ASSERT_EQUAL(memcmp(got, crc, 8), 0);
        CU_ASSERT_EQUAL(memcmp(got + 8, data, BIG), 0);
        CU_ASSERT_EQUAL(memcmp(got + 8 + BIG, "betweensmallend", 15), 0);
        free(got);
        h5ck_plan_free(&plan);
        h5ckpt_state_free(s);
    }
    free(data);
}

/* ---- Companions ---- */

/* A companion is built beside where it will stand, under another name; who publishes gives it its own. */
static void a_companion_is_built_beside_its_place(void)
{
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = h5ckpt_state_new();
    h5ck_plan plan = {.target = test_tmp("m.pdparams"), .stage = test_tmp("stage"), .digest = H5CKPT_DIGEST_NONE};
    h5ck_companion *c = NULL;
    const char *path = test_tmp("m.pdopt");
    size_t index, len;
    CU_ASSERT_EQUAL_FATAL(h5ck_plan_new_companion(&plan, path, &c, &err), 0);
    CU_ASSERT_STRING_EQUAL(c->path, path);
    CU_ASSERT_STRING_NOT_EQUAL(c->stage, path);
    CU_ASSERT_TRUE(strncmp(c->stage, path, (size_t)(strrchr(path, '/') + 1 - path)) == 0);
    CU_ASSERT_PTR_NULL(strchr(c->stage + (strrchr(path, '/') + 1 - path), '/'));
    const h5ck_plan_file own = {.head = "own ", .head_len = 4, .size = 9},
                         beside = {.head = "beside ", .head_len = 7, .size = 13, .companion = c};
    h5ck_plan_add_file(&plan, &own, &index, NULL);
    h5ck_plan_add_move(&plan, add(s, "w", "param", 5, NULL), index, 4, NULL);
    h5ck_plan_add_file(&plan, &beside, &index, NULL);
    h5ck_plan_add_move(&plan, add(s, "m", "moment", 6, NULL), index, 7, NULL);
    const h5ck_move_options how = {.jobs = 2, .sync = true};
    CU_ASSERT_EQUAL(h5ck_move(&plan, &how, &err), 0);
    test_expect_none(&err);
    CU_ASSERT_FALSE(test_exists(path));
    unsigned char *got = test_read(plan.stage, &len);
    CU_ASSERT_TRUE(len == 9 && memcmp(got, "own param", 9) == 0);
    free(got);
    got = test_read(c->stage, &len);
    CU_ASSERT_TRUE(len == 13 && memcmp(got, "beside moment", 13) == 0);
    free(got);
    h5ck_plan_free(&plan);
    h5ckpt_state_free(s);
}

int main(void)
{
    static const test_case cases[] = {
        {"CRC-32 has its known answer", crc_32_has_its_known_answer},
        {"a source with a CRC is checked as it moves", a_source_with_a_crc_is_checked_as_it_moves},
        {"verify holds elements against a CRC", verify_holds_elements_against_a_crc},
        {"pieces stand between tensors", pieces_stand_between_tensors},
        {"a companion is built beside its place", a_companion_is_built_beside_its_place},
        {NULL, NULL}};
    return test_run("plan", cases);
}
