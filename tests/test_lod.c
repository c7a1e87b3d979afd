/* test_lod.c - the LoDTensor stream's header: golden bytes both ways, and one hostile header a rule. */
#include "base/fs.h"
#include "parse/lod.h"
#include "test.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct read_back {
    h5ck_arena arena;
    h5ckpt_tensor_info info;
    uint64_t data;
} read_back;

static int read_bytes(const void *bytes, size_t len, read_back *r, h5ckpt_error **err)
{
    const char *path = test_tmp("stream");
    h5ck_file f;
    int fd, rc;
    *r = (read_back){0};
    test_write(path, bytes, len);
    CU_ASSERT_EQUAL_FATAL(h5ck_fs_open_source(path, NULL, &f, &fd, err), 0);
    rc = h5ck_lod_read(fd, 0, len, &r->arena, &r->info, &r->data, NULL, err);
    close(fd);
    return rc;
}

/* The example of the format: float32 [784, 10]. */
static const unsigned char fc_w[] = {0, 0, 0, 0, 0, 0, 0, 0, 0,    0,    0,    0,    0,   0,
                                     0, 0, 7, 0, 0, 0, 8, 5, 0x10, 0x90, 0x06, 0x10, 0x0a};

static void the_golden_header_is_read(void)
{
    h5ckpt_error *err = NULL;
    read_back r;
    CU_ASSERT_EQUAL(read_bytes(fc_w, sizeof fc_w, &r, &err), 0);
    test_expect_none(&err);
    CU_ASSERT_EQUAL(r.info.dtype, H5CKPT_DTYPE_FLOAT32);
    CU_ASSERT_EQUAL(r.info.rank, 2);
    CU_ASSERT_EQUAL(r.info.shape[0], 784);
    CU_ASSERT_EQUAL(r.info.shape[1], 10);
    CU_ASSERT_EQUAL(r.info.nbytes, 31360);
    CU_ASSERT_EQUAL(r.info.lod_levels, 0);
    CU_ASSERT_EQUAL(r.data, sizeof fc_w);
    h5ck_arena_free(&r.arena);
}

static void the_golden_header_is_written(void)
{
    const uint64_t shape[] = {784, 10};
    const h5ckpt_tensor_info info = {.name = "w", .dtype = H5CKPT_DTYPE_FLOAT32, .rank = 2, .shape = shape};
    h5ck_buf out = H5CK_BUF_INIT;
    CU_ASSERT_EQUAL(h5ck_lod_write(&info, &out, NULL), 0);
    CU_ASSERT_EQUAL(out.len, sizeof fc_w);
    CU_ASSERT_EQUAL(memcmp(out.data, fc_w, sizeof fc_w), 0);
    h5ck_buf_free(&out);
}

/* Files that the real Paddle wrote come back byte for byte: their headers here, whole directories elsewhere. */
static void paddles_own_headers_come_back(void)
{
    static const char *const files[] = {"seed_mlp/mlp/MLP_0/FC_0.w_0", "seed_mlp/mlp/MLP_0/FC_0.b_0"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        h5ckpt_error *err = NULL;
        h5ck_buf out = H5CK_BUF_INIT;
        read_back r;
        size_t len;
        unsigned char *bytes = test_read(test_fixture(files[i]), &len);
        CU_ASSERT_EQUAL(read_bytes(bytes, len, &r, &err), 0);
        test_expect_none(&err);
        CU_ASSERT_EQUAL(r.data + r.info.nbytes, len);
        CU_ASSERT_EQUAL(h5ck_lod_write(&r.info, &out, &err), 0);
        CU_ASSERT_EQUAL(out.len, r.data);
        CU_ASSERT_EQUAL(memcmp(out.data, bytes, out.len), 0);
        h5ck_buf_free(&out);
        h5ck_arena_free(&r.arena);
        free(bytes);
    }
}

static void a_lod_of_two_levels_goes_both_ways(void)
{
    const uint64_t shape[] = {6, 1}, outer[] = {0, 1, 2}, inner[] = {0, 2, 6};
    const h5ckpt_lod_level lod[] = {{3, outer}, {3, inner}};
    const h5ckpt_tensor_info info = {
        .name = "w", .dtype = H5CKPT_DTYPE_INT64, .rank = 2, .shape = shape, .lod_levels = 2, .lod = lod};
    h5ck_buf out = H5CK_BUF_INIT;
    h5ckpt_error *err = NULL;
    read_back r;
    CU_ASSERT_EQUAL(h5ck_lod_write(&info, &out, &err), 0);
    CU_ASSERT_EQUAL(memcmp(out.data + 4, "\x02\0\0\0\0\0\0\0\x18\0\0\0\0\0\0\0", 16), 0);
    CU_ASSERT_EQUAL(read_bytes(out.data, out.len, &r, &err), 0);
    test_expect_none(&err);
    CU_ASSERT_EQUAL(r.info.lod_levels, 2);
    CU_ASSERT_EQUAL(r.info.lod[1].count, 3);
    CU_ASSERT_EQUAL(memcmp(r.info.lod[0].offsets, outer, sizeof outer), 0);
    CU_ASSERT_EQUAL(memcmp(r.info.lod[1].offsets, inner, sizeof inner), 0);
    h5ck_arena_free(&r.arena);
    h5ck_buf_free(&out);
}

static void packed_dims_are_read_too(void)
{
    static const unsigned char packed[] = {0, 0, 0, 0, 0, 0, 0, 0, 0,    0, 0,    0,    0,   0,
                                           0, 0, 7, 0, 0, 0, 8, 5, 0x12, 3, 0x90, 0x06, 0x0a};
    h5ckpt_error *err = NULL;
    read_back r;
    CU_ASSERT_EQUAL(read_bytes(packed, sizeof packed, &r, &err), 0);
    test_expect_none(&err);
    CU_ASSERT_EQUAL(r.info.nbytes, 31360);
    h5ck_arena_free(&r.arena);
}

static void a_header_cut_at_any_offset_is_refused_there(void)
{
    const uint64_t shape[] = {6, 1}, offsets[] = {0, 2, 6};
    const h5ckpt_lod_level lod[] = {{3, offsets}};
    const h5ckpt_tensor_info info = {
        .name = "w", .dtype = H5CKPT_DTYPE_INT64, .rank = 2, .shape = shape, .lod_levels = 1, .lod = lod};
    h5ck_buf out = H5CK_BUF_INIT;
    CU_ASSERT_EQUAL(h5ck_lod_write(&info, &out, NULL), 0);
    for (size_t cut = 0; cut < out.len; cut++) {
        h5ckpt_error *err = NULL;
        read_back r;
        CU_ASSERT_EQUAL(read_bytes(out.data, cut, &r, &err), H5CKPT_INVALID);
        CU_ASSERT_TRUE(err && err->offset <= cut);
        test_expect_error(&err, H5CKPT_INVALID, "expected");
        h5ck_arena_free(&r.arena);
    }
    h5ck_buf_free(&out);
}

#define ZERO8 "\0\0\0\0\0\0\0\0"
#define DESC  "\x07\0\0\0\x08\x05\x10\x90\x06\x10\x0a"

static void one_hostile_header_a_rule(void)
{
    static const struct {
        const char *bytes;
        size_t len;
        uint64_t offset;
        const char *why;
    } cases[] = {
#define CASE(s, offset, why) {s, sizeof(s) - 1, offset, why}
        CASE("\x01\0\0\0" ZERO8 "\0\0\0\0" DESC, 0, "expected LoDTensor version 0, found 1"),
        CASE("\0\0\0\0" ZERO8 "\x01\0\0\0" DESC, 12, "expected tensor version 0, found 1"),
        CASE("\0\0\0\0\x21\0\0\0\0\0\0\0\0\0\0\0" DESC, 4, "expected at most 32 LoD levels, found 33"),
        CASE("\0\0\0\0\x01\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 12, "a multiple of 8, found 7"),
        CASE("\0\0\0\0\x01\0\0\0\0\0\0\0\xf8\xff\xff\xff\xff\xff\xff\xff" ZERO8, 20,
             "expected 18446744073709551608 bytes of LoD offsets, found 8"),
        CASE("\0\0\0\0" ZERO8 "\0\0\0\0\xff\xff\xff\xff\x08\x05", 16, "at most 1024 bytes, found -1"),
        CASE("\0\0\0\0" ZERO8 "\0\0\0\0\x00\x03\0\0\x08\x05", 20, "expected 768 bytes of TensorDesc, found 2"),
        CASE("\0\0\0\0" ZERO8 "\0\0\0\0\x02\0\0\0\x10\x01", 20, "expected a data_type in the TensorDesc, found none"),
        CASE("\0\0\0\0" ZERO8 "\0\0\0\0\x02\0\0\0\x08\x07", 21, "expected the data_type of an element, found 7"),
        CASE("\0\0\0\0" ZERO8 "\0\0\0\0\x02\0\0\0\x18\x07", 20, "found field 3 of wire type 0"),
        CASE("\0\0\0\0" ZERO8 "\0\0\0\0\x0d\0\0\0\x08\x05\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 23,
             "expected a dimension of at least 0, found -1"),
        CASE("\0\0\0\0" ZERO8 "\0\0\0\0\x0e\0\0\0\x08\x05\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 23,
             "expected a varint of at most 64 bits"),
        CASE("\0\0\0\0" ZERO8 "\0\0\0\0\x03\0\0\0\x08\x05\x10", 23,
             "expected a varint in the TensorDesc, found its end"),
        CASE("\0\0\0\0" ZERO8 "\0\0\0\0\x04\0\0\0\x08\x05\x12\x7f", 23, "expected packed dims of at most 0 bytes"),
        CASE("\0\0\0\0" ZERO8 "\0\0\0\0\x0e\0\0\0\x08\x05\x10\x80\x80\x80\x80\x10\x10\x80\x80\x80\x80\x10",
             H5CKPT_NO_OFFSET, "overflows"),
#undef CASE
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        h5ckpt_error *err = NULL;
        read_back r;
        CU_ASSERT_EQUAL(read_bytes(cases[i].bytes, cases[i].len, &r, &err), H5CKPT_INVALID);
        CU_ASSERT_TRUE(err && err->offset == cases[i].offset);
        test_expect_error(&err, H5CKPT_INVALID, cases[i].why);
        h5ck_arena_free(&r.arena);
    }
}

static void more_dims_than_the_limit_are_refused(void)
{
    h5ck_buf b = H5CK_BUF_INIT;
    h5ckpt_error *err = NULL;
    read_back r;
    h5ck_buf_add(&b, "\0\0\0\0" ZERO8 "\0\0\0\0\x44\0\0\0\x08\x05", 22);
    for (int i = 0; i < 33; i++)
        h5ck_buf_add(&b, "\x10\x01", 2);
    CU_ASSERT_EQUAL(read_bytes(b.data, b.len, &r, &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, "expected at most 32 dimensions, found more");
    h5ck_arena_free(&r.arena);
    h5ck_buf_free(&b);
}

static void the_listing_names_each_field(void)
{
    h5ckpt_error *err = NULL;
    h5ck_buf listing = H5CK_BUF_INIT;
    h5ck_arena arena = {NULL};
    h5ckpt_tensor_info info;
    h5ck_file f;
    uint64_t data;
    int fd;
    test_write(test_tmp("listed"), fc_w, sizeof fc_w);
    CU_ASSERT_EQUAL(h5ck_fs_open_source(test_tmp("listed"), NULL, &f, &fd, &err), 0);
    CU_ASSERT_EQUAL(h5ck_lod_read(fd, 0, f.size, &arena, &info, &data, &listing, &err), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(h5ck_buf_cstr(&listing), "lod_level = 0"));
    CU_ASSERT_PTR_NOT_NULL(strstr(h5ck_buf_cstr(&listing), "data_type = 5 (float32), dims = [784, 10]"));
    close(fd);
    h5ck_arena_free(&arena);
    h5ck_buf_free(&listing);
}

int main(void)
{
    static const test_case cases[] = {
        {"the golden header is read", the_golden_header_is_read},
        {"the golden header is written", the_golden_header_is_written},
        {"Paddle's own headers come back", paddles_own_headers_come_back},
        {"a LoD of two levels goes both ways", a_lod_of_two_levels_goes_both_ways},
        {"packed dims are read too", packed_dims_are_read_too},
        {"a header cut at any offset is refused there", a_header_cut_at_any_offset_is_refused_there},
        {"one hostile header a rule", one_hostile_header_a_rule},
        {"more dims than the limit are refused", more_dims_than_the_limit_are_refused},
        {"the listing names each field", the_listing_names_each_field},
        {NULL, NULL},
    };
    return test_run("lod", cases);
}
