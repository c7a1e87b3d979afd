/* test_protobuf.c - walking a protobuf message: every wire type, from memory and from a file, and what is refused. */
#include "parse/protobuf.h"

#include "base/fs.h"
#include "test.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* 1: 150, 2: "abc", 3: eight bytes, 4: four bytes, 5: {1: 1}. */
static const unsigned char golden[] = {0x08, 0x96, 0x01, 0x12, 3,    'a', 'b', 'c', 0x19, 1,    2, 3, 4,
                                       5,    6,    7,    8,    0x25, 1,   2,   3,   4,    0x2a, 2, 8, 1};

static void walk_golden(h5ck_pb_source *source)
{
    h5ckpt_error *err = NULL;
    h5ck_arena arena = {NULL};
    h5ck_pb_reader r = h5ck_pb_all(source, "the message"), in;
    h5ck_pb_field f;
    const char *s;
    uint64_t v;
    CU_ASSERT_EQUAL(h5ck_pb_next(&r, &f, &err), 0);
    CU_ASSERT_TRUE(f.number == 1 && f.wire == H5CK_PB_VARINT && f.at == source->start);
    CU_ASSERT_TRUE(h5ck_pb_varint(&r, &v, &err) == 0 && v == 150);
    CU_ASSERT_EQUAL(h5ck_pb_next(&r, &f, &err), 0);
    CU_ASSERT_TRUE(f.number == 2 && f.wire == H5CK_PB_LENGTH && f.at == source->start + 3);
    CU_ASSERT_EQUAL(h5ck_pb_enter(&r, "the name", &in, &err), 0);
    CU_ASSERT_TRUE(in.at == source->start + 5 && h5ck_pb_left(&in) == 3);
    CU_ASSERT_EQUAL(h5ck_pb_string(&in, 3, &arena, &s, &err), 0);
    CU_ASSERT_STRING_EQUAL(s, "abc");
    CU_ASSERT_EQUAL(h5ck_pb_next(&r, &f, &err), 0);
    CU_ASSERT_TRUE(h5ck_pb_fixed(&r, 8, &v, &err) == 0 && v == 0x0807060504030201);
    CU_ASSERT_EQUAL(h5ck_pb_next(&r, &f, &err), 0);
    CU_ASSERT_TRUE(h5ck_pb_fixed(&r, 4, &v, &err) == 0 && v == 0x04030201);
    CU_ASSERT_EQUAL(h5ck_pb_next(&r, &f, &err), 0);
    CU_ASSERT_EQUAL(h5ck_pb_enter(&r, "the rest", &in, &err), 0);
    CU_ASSERT_TRUE(h5ck_pb_next(&in, &f, &err) == 0 && f.number == 1);
    CU_ASSERT_TRUE(h5ck_pb_varint(&in, &v, &err) == 0 && v == 1);
    CU_ASSERT_TRUE(h5ck_pb_next(&in, &f, &err) == 0 && f.number == 0);
    CU_ASSERT_TRUE(h5ck_pb_next(&r, &f, &err) == 0 && f.number == 0);
    test_expect_none(&err);
    h5ck_arena_free(&arena);
}

static void every_wire_type_is_read_from_memory(void)
{
    h5ck_pb_source source;
    h5ck_pb_of_memory(&source, golden, sizeof golden, 1000);
    walk_golden(&source);
}

/* The message lies across the border of the reader's window. */
static void and_from_a_file(void)
{
    h5ckpt_error *err = NULL;
    h5ck_pb_source source;
    h5ck_file f;
    int fd;
    for (size_t before = H5CK_PB_WINDOW - sizeof golden; before <= H5CK_PB_WINDOW; before++) {
        unsigned char *bytes = calloc(1, before + sizeof golden);
        CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
        memcpy(bytes + before, golden, sizeof golden);
        test_write(test_tmp("message"), bytes, before + sizeof golden);
        free(bytes);
        CU_ASSERT_EQUAL_FATAL(h5ck_fs_open_source(test_tmp("message"), NULL, &f, &fd, &err), 0);
        h5ck_pb_of_file(&source, fd, before, sizeof golden);
        walk_golden(&source);
        close(fd);
    }
}

static void fields_are_skipped(void)
{
    h5ckpt_error *err = NULL;
    h5ck_pb_source source;
    h5ck_pb_field f;
    h5ck_pb_of_memory(&source, golden, sizeof golden, 0);
    h5ck_pb_reader r = h5ck_pb_all(&source, "the message");
    size_t count = 0;
    while (h5ck_pb_next(&r, &f, &err) == 0 && f.number && h5ck_pb_skip(&r, &f, &err) == 0)
        count++;
    test_expect_none(&err);
    CU_ASSERT_EQUAL(count, 5);
}

/* Walks to the end or to the first error. */
static int skip_all(const void *bytes, size_t len, h5ckpt_error **err)
{
    h5ck_pb_source source;
    h5ck_pb_field f;
    h5ck_pb_of_memory(&source, bytes, len, 100);
    h5ck_pb_reader r = h5ck_pb_all(&source, "the message");
    int rc;
    while ((rc = h5ck_pb_next(&r, &f, err)) == 0 && f.number)
        if ((rc = h5ck_pb_skip(&r, &f, err)))
            break;
    return rc;
}

static void a_cut_inside_of_a_field_is_refused(void)
{
    static const size_t between[] = {0, 3, 8, 17, 22, 26};
    for (size_t cut = 0, next = 0; cut <= sizeof golden; cut++) {
        h5ckpt_error *err = NULL;
        int rc = skip_all(golden, cut, &err);
        if (cut == between[next]) {
            next++;
            CU_ASSERT_EQUAL(rc, 0);
            continue;
        }
        CU_ASSERT_TRUE(err && err->offset >= 100 && err->offset <= 100 + cut);
        test_expect_error(&err, H5CKPT_INVALID, "expected");
    }
}

static void one_hostile_message_a_rule(void)
{
    static const struct {
        const char *bytes;
        size_t len;
        uint64_t offset;
        const char *why;
    } cases[] = {
#define CASE(s, offset, why) {s, sizeof(s) - 1, offset, why}
        CASE("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 101, "expected a varint of at most 64 bits"),
        CASE("\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 101, "expected a varint of at most 64 bits"),
        CASE("\x08\x80", 101, "expected a varint in the message, found its end"),
        CASE("\x12\x05"
             "abc",
             101, "expected a field of at most 3 bytes, found 5"),
        CASE("\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 101, "found 18446744073709551615"),
        CASE("\x25\x01\x02", 101, "expected a number of 4 bytes in the message, found 2 bytes"),
        CASE("\x00\x01", 100, "expected the number of a field in the message, found 0"),
        CASE("\x80\x80\x80\x80\x10\x01", 100, "expected the number of a field in the message, found 536870912"),
        CASE("\x0b\x0c", 100, "expected a field of wire type 0, 1, 2 or 5 in the message, found type 3"),
        CASE("\x0f", 100, "found type 7"),
#undef CASE
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        h5ckpt_error *err = NULL;
        CU_ASSERT_EQUAL(skip_all(cases[i].bytes, cases[i].len, &err), H5CKPT_INVALID);
        CU_ASSERT_TRUE(err && err->offset == cases[i].offset);
        test_expect_error(&err, H5CKPT_INVALID, cases[i].why);
    }
}

static void a_string_is_bounded_and_utf8(void)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *why;
    } cases[] = {
        {"abcd", 4, "expected the name of at most 3 bytes, found 4"},
        {"a\0b", 3, "expected the name in UTF-8"},
        {"\xff", 1, "expected the name in UTF-8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        h5ckpt_error *err = NULL;
        h5ck_arena arena = {NULL};
        h5ck_pb_source source;
        const char *s;
        h5ck_pb_of_memory(&source, cases[i].bytes, cases[i].len, 0);
        h5ck_pb_reader r = h5ck_pb_all(&source, "the name");
        CU_ASSERT_EQUAL(h5ck_pb_string(&r, 3, &arena, &s, &err), H5CKPT_INVALID);
        test_expect_error(&err, H5CKPT_INVALID, cases[i].why);
        h5ck_arena_free(&arena);
    }
}

static void varints_and_tags_are_written(void)
{
    h5ck_buf out = H5CK_BUF_INIT;
    h5ck_pb_put_tag(&out, 1, H5CK_PB_VARINT);
    h5ck_pb_put_varint(&out, 150);
    h5ck_pb_put_tag(&out, 16, H5CK_PB_LENGTH);
    h5ck_pb_put_varint(&out, UINT64_MAX);
    CU_ASSERT_EQUAL(out.len, 15);
    CU_ASSERT_EQUAL(memcmp(out.data, "\x08\x96\x01\x82\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 15), 0);
    h5ck_buf_free(&out);
}

int main(void)
{
    static const test_case cases[] = {
        {"every wire type is read from memory", every_wire_type_is_read_from_memory},
        {"and from a file", and_from_a_file},
        {"fields are skipped", fields_are_skipped},
        {"a cut inside of a field is refused", a_cut_inside_of_a_field_is_refused},
        {"one hostile message a rule", one_hostile_message_a_rule},
        {"a string is bounded and UTF-8", a_string_is_bounded_and_utf8},
        {"varints and tags are written", varints_and_tags_are_written},
        {NULL, NULL},
    };
    return test_run("protobuf", cases);
}
