/*
 * test.h - the frame of a test program: one CUnit suite a room, a private temporary folder, the fixtures' folder.
 *
 *     static void refuses_a_negative_dim(void) { ... CU_ASSERT_EQUAL(...); }
 *     int main(void)
 *     {
 *         static const test_case cases[] = {{"refuses a negative dim", refuses_a_negative_dim}, {NULL, NULL}};
 *         return test_run("lod", cases);
 *     }
 */
#ifndef H5CK_TEST_H
#define H5CK_TEST_H

#include <CUnit/CUnit.h>
#include <h5ckpt.h>

#include <stdbool.h>
#include <stddef.h>

typedef struct test_case {
    const char *name;
    void (*run)(void);
} test_case;

/* Runs the cases and prints CUnit's summary; the exit code of main. Removes the temporary folder. */
int test_run(const char *suite, const test_case *cases);

/* The path of `name` below tests/fixtures; below this run's temporary folder. Both from a ring of 16 static buffers. */
const char *test_fixture(const char *name);
const char *test_tmp(const char *name);

/* Whole files. test_read mallocs (with a closing zero behind *len) and fails the test where there is no such file. */
unsigned char *test_read(const char *path, size_t *len);
void test_write(const char *path, const void *data, size_t len);
bool test_exists(const char *path);
bool test_same_bytes(const char *a, const char *b);

/* A checkpoint, opened by its content; without it the test ends. From one to another, replacing what is there. Asserts that
 * one is refused as not valid, with a message that contains `why`. */
h5ckpt_state *test_opened(const char *path);
void test_converts(const char *from, const char *to);
void test_refused(const char *path, const char *why);

/* Asserts that every beginning of a file, down to the empty one, is refused as not valid when opened as `format` (NULL: by
 * its content), with a message. */
void test_refuses_every_cut(const char *path, const char *format);

/* `diff -r`: true where both trees hold the same files with the same bytes. */
bool test_same_tree(const char *a, const char *b);

/* Asserts that *err has this code and that its message contains `part`; frees it. */
void test_expect_error(h5ckpt_error **err, h5ckpt_code code, const char *part);
/* Asserts that there is no error (printing it where there is). */
void test_expect_none(h5ckpt_error **err);

#endif
