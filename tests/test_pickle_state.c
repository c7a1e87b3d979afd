/*
 * test_pickle_state.c - what only a whole state's pickle may hold: calls as data, persistent ids, NumPy arrays that stay
 * where they are, limits that grow; and how such a pickle is written.
 */
#include "test.h"

#include "base/arena.h"
#include "base/buf.h"
#include "model/tensor.h"
#include "model/value.h"
#include "parse/pickle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A pickle as a literal, which may hold zero bytes. */
#define P(literal) (const unsigned char *)(literal), sizeof(literal) - 1

#define ORDERED "ccollections\nOrderedDict\n"

static h5ck_arena arena;

static bool allows(void *user, const char *module, const char *name)
{
    (void)user;
    return (strcmp(module, "collections") == 0 && strcmp(name, "OrderedDict") == 0) ||
           (strcmp(module, "torch") == 0 && strcmp(name, "FloatStorage") == 0);
}

static const h5ck_pickle_policy policy = {.allows = allows, .persistent = true, .large = true};

static h5ckpt_value read_as(const unsigned char *data, size_t len, const h5ck_pickle_policy *p)
{
    h5ckpt_value v = {.type = H5CKPT_NONE};
    h5ckpt_error *err = NULL;
    CU_ASSERT_EQUAL(h5ck_pickle_read(data, len, p, &arena, &v, &err), 0);
    test_expect_none(&err);
    return v;
}

static void refused(const unsigned char *data, size_t len, const h5ck_pickle_policy *p, const char *part)
{
    h5ckpt_value v;
    h5ckpt_error *err = NULL;
    unsigned char *copy = malloc(len); /* so that a sanitizer sees a step beyond */
    memcpy(copy, data, len);
    CU_ASSERT_EQUAL(h5ck_pickle_read(copy, len, p, &arena, &v, &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, part);
    free(copy);
}

/* What is read is written back: in protocol 2 as these very bytes, in protocol 4 so that it is read again. */
static void comes_back(const unsigned char *data, size_t len)
{
    h5ckpt_value v = read_as(data, len, &policy), again;
    for (int protocol = 2; protocol <= 4; protocol += 2) {
        const h5ck_pickle_style style = {.protocol = protocol, .policy = &policy};
        h5ck_buf out = H5CK_BUF_INIT;
        h5ckpt_error *err = NULL;
        CU_ASSERT_EQUAL(h5ck_pickle_write_as(&v, &style, &out, &err), 0);
        test_expect_none(&err);
        CU_ASSERT(protocol == 4 || (out.len == len && memcmp(out.data, data, len) == 0));
        again = read_as(out.data, out.len, &policy);
        CU_ASSERT(h5ck_value_equal(&v, &again));
        h5ck_buf_free(&out);
    }
}

static void reads_a_call_as_data(void)
{
    h5ckpt_value v = read_as(P("\x80\2" ORDERED ")R(K\1K\2K\3K\4u}X\1\0\0\0mK\5sb."), &policy);
    CU_ASSERT_EQUAL(v.type, H5CKPT_OBJECT);
    CU_ASSERT_STRING_EQUAL(v.as.object->module, "collections");
    CU_ASSERT_STRING_EQUAL(v.as.object->class_name, "OrderedDict");
    CU_ASSERT_EQUAL(v.as.object->count, 3);
    CU_ASSERT_EQUAL(h5ckpt_value_get(&v, "args")->type, H5CKPT_TUPLE);
    CU_ASSERT_EQUAL(h5ckpt_value_get(&v, "items")->count, 2);
    CU_ASSERT_EQUAL(h5ckpt_value_get(h5ckpt_value_get(&v, "state"), "m")->as.i, 5);
    v = read_as(P("\x80\2" ORDERED ")\x81]K\1aa."), &policy); /* what has "new" was NEWOBJ's; APPEND fills its list */
    CU_ASSERT_EQUAL(h5ckpt_value_get(&v, "new")->count, 0);
    CU_ASSERT_EQUAL(h5ckpt_value_get(&v, "list")->count, 1);
    v = read_as(P("\x80\2"
                  "ctorch\nFloatStorage\n."),
                &policy);
    CU_ASSERT(v.type == H5CKPT_OBJECT && v.as.object->count == 0);
    h5ck_arena_free(&arena);
}

static void reads_persistent_ids(void)
{
    h5ckpt_value v = read_as(P("\x80\2(X\7\0\0\0storagectorch\nFloatStorage\nK\1tQ."), &policy);
    CU_ASSERT_STRING_EQUAL(v.as.object->module, "");
    CU_ASSERT_STRING_EQUAL(v.as.object->class_name, "persistent_id");
    CU_ASSERT_EQUAL(h5ckpt_value_get(&v, "id")->count, 3);
    v = read_as(P("Pabc\n."), &policy);
    CU_ASSERT_STRING_EQUAL(h5ckpt_value_get(&v, "id")->as.str, "abc");
    h5ck_arena_free(&arena);
}

static void brings_back_calls_and_ids(void)
{
    comes_back(P("\x80\2" ORDERED "q\0)Rq\1X\1\0\0\0aq\2K\1s}q\3X\1\0\0\0mq\4Nsb."));
    comes_back(P("\x80\2" ORDERED "q\0)Rq\1(X\1\0\0\0aq\2h\0)Rq\3X\1\0\0\0bq\4h\0)\x81q\5u."));
    comes_back(P("\x80\2X\7\0\0\0storageq\0ctorch\nFloatStorage\nq\1X\1\0\0\0000q\2\x87q\3Q."));
    h5ck_arena_free(&arena);
}

static void refuses_what_the_policy_does_not_allow(void)
{
    static const h5ck_pickle_policy no_ids = {.allows = allows}, nothing = {.large = true};
    refused(P("\x80\2"
              "cos\nsystem\n(X\2\0\0\0lstR."),
            &policy, "found the global os system");
    refused(P("\x80\2"
              "cos\nsystem\n."),
            &policy, "found the global os system");
    refused(P("\x80\2"
              "cos\nsystem\n0N."),
            &policy, "found the global os system that no object uses");
    refused(P("\x80\2" ORDERED ")R."), &nothing, "found the global collections OrderedDict");
    refused(P("K\1Q."), &no_ids, "BINPERSID: a persistent id");
    refused(P("Q."), &policy, "expected 1 value on the stack for BINPERSID");
    refused(P("\x80\2" ORDERED ")RNbNb."), &policy, "expected one BUILD");
    refused(P("\x80\2" ORDERED "NR."), &policy, "expected a tuple of arguments");
    refused(P("\x80\2" ORDERED ")Rq\0h\0b."), &policy, "an object that contains itself");
    refused(P("\x80\2" ORDERED ")Rq\0K\1h\0s."), &policy, "that contains itself");
    refused(P("\x80\5\x96\2\0\0\0\0\0\0\0ab."), &policy, "a bytearray");
    refused(P("\x80\5\x97."), &policy, "a buffer outside of the pickle");
    h5ck_arena_free(&arena);
}

static void does_not_write_what_it_would_not_read(void)
{
    static const h5ckpt_value no_args = {.type = H5CKPT_TUPLE};
    static const h5ckpt_object plain = {"os", "system", 0, NULL}, other = {"m", "C", 0, NULL},
                               id = {"", "persistent_id", 0, NULL};
    const h5ckpt_field args = {{.type = H5CKPT_STR, .count = 4, .as.str = "args"}, no_args};
    const h5ckpt_object call = {"os", "system", 1, &args};
    const h5ckpt_object *const objects[] = {&plain, &other, &id, &call};
    const h5ck_pickle_style style = {.protocol = 4, .policy = &policy};
    for (size_t i = 0; i < sizeof objects / sizeof *objects; i++) {
        const h5ckpt_value v = {.type = H5CKPT_OBJECT, .as.object = objects[i]};
        h5ck_buf out = H5CK_BUF_INIT;
        h5ckpt_error *err = NULL;
        CU_ASSERT_EQUAL(h5ck_pickle_write_as(&v, &style, &out, &err), H5CKPT_INVALID);
        test_expect_error(&err, H5CKPT_INVALID, "expected plain data for a pickle, found an object");
        CU_ASSERT_EQUAL(out.len, 0);
        h5ck_buf_free(&out);
    }
}

int main(void)
{
    static const test_case cases[] = {
        {"reads a call as data", reads_a_call_as_data},
        {"reads persistent ids", reads_persistent_ids},
        {"brings back calls and ids", brings_back_calls_and_ids},
        {"refuses what the policy does not allow", refuses_what_the_policy_does_not_allow},
        {"does not write what it would not read", does_not_write_what_it_would_not_read},
        {NULL, NULL},
    };
    return test_run("pickle_state", cases);
}
