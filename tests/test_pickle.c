/*
 * test_pickle.c - pickles read and written: the real ones of CPython, NumPy and Paddle byte for byte, and hostile ones.
 *
 * fixtures/pickles comes from CPython 3.7 and 3.11 (make_pickles.py), fixtures/decays and fixtures/python2 from the
 * real Paddle under Python 3.7 and 2.7.
 */
#include "test.h"

#include "base/arena.h"
#include "base/buf.h"
#include "model/dtype.h"
#include "model/value.h"
#include "parse/pickle.h"

#include <dirent.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DECAYS     "paddle.fluid.dygraph.learning_rate_scheduler"
#define LEN(array) (sizeof(array) / sizeof *(array))

/* A pickle as a literal, which may hold zero bytes. */
#define P(literal) (const unsigned char *)(literal), sizeof(literal) - 1

/* ---- Helpers ---- */

static bool has(const h5ckpt_object *o, const char *field)
{
    const h5ckpt_value v = {.type = H5CKPT_OBJECT, .as.object = o};
    return h5ckpt_value_get(&v, field) != NULL;
}

static unsigned asked; /* how often the policy was */

/* Paddle's own classes; a user's where it is a decay by its fields. */
static int allow_decays(void *user, const h5ckpt_object *o, h5ckpt_error **err)
{
    (void)user;
    asked++;
    if (strcmp(o->module, DECAYS) == 0 || (has(o, "step_num") && has(o, "step_size") && has(o, "dtype")))
        return 0;
    return h5ck_fail(err, H5CKPT_INVALID, "no decay");
}

static int allow_all(void *user, const h5ckpt_object *o, h5ckpt_error **err)
{
    (void)user;
    (void)o;
    (void)err;
    asked++;
    return 0;
}

static const h5ck_pickle_policy decays = {.check_object = allow_decays}, all = {.check_object = allow_all};

static h5ck_arena arena;

/* Reads a pickle that must be good. */
static h5ckpt_value read_good(const unsigned char *data, size_t len, const h5ck_pickle_policy *policy)
{
    h5ckpt_value v = {.type = H5CKPT_NONE};
    h5ckpt_error *err = NULL;
    CU_ASSERT_EQUAL(h5ck_pickle_read(data, len, policy, &arena, &v, &err), 0);
    test_expect_none(&err);
    return v;
}

static h5ckpt_value read_fixture(const char *name)
{
    size_t len;
    unsigned char *data = test_read(test_fixture(name), &len);
    h5ckpt_value v = read_good(data, len, &all);
    free(data);
    return v;
}

/* Writes a value that must be good. The caller frees the buffer. */
static h5ck_buf write_good(const h5ckpt_value *v)
{
    h5ck_buf out = H5CK_BUF_INIT;
    h5ckpt_error *err = NULL;
    CU_ASSERT_EQUAL(h5ck_pickle_write(v, &out, &err), 0);
    test_expect_none(&err);
    return out;
}

/* The pickle must be refused at this offset, and the message must say this. */
static void refused(const unsigned char *data, size_t len, uint64_t offset, const char *part)
{
    /* A copy of its own size, so that a sanitizer sees the slightest step beyond it. */
    unsigned char *copy = malloc(len ? len : 1);
    if (len)
        memcpy(copy, data, len);
    h5ckpt_value v;
    h5ckpt_error *err = NULL;
    CU_ASSERT_EQUAL(h5ck_pickle_read(copy, len, &decays, &arena, &v, &err), H5CKPT_INVALID);
    if (err) {
        if (err->offset != offset || !strstr(err->message, part))
            printf("\n  expected offset %" PRIu64 ", '%s'; found '%s'\n", offset, part, err->message);
        CU_ASSERT_EQUAL(err->offset, offset);
    }
    test_expect_error(&err, H5CKPT_INVALID, part);
    free(copy);
    h5ck_arena_free(&arena);
}

static const h5ckpt_value *field(const h5ckpt_value *v, const char *name)
{
    static const h5ckpt_value missing = {.type = H5CKPT_NONE};
    const h5ckpt_value *found = h5ckpt_value_get(v, name);
    CU_ASSERT_PTR_NOT_NULL(found);
    return found ? found : &missing;
}

static bool is_str(const h5ckpt_value *v, const char *text)
{
    return v->type == H5CKPT_STR && v->count == strlen(text) && strcmp(v->as.str, text) == 0;
}

/* ---- What CPython writes ---- */

static void writes_what_cpython_writes(void)
{
    static const char *const names[] = {"pickles/golden_plain", "pickles/golden_batches", "pickles/numpy1_arrays"};
    for (size_t i = 0; i < LEN(names); i++) {
        size_t len;
        unsigned char *data = test_read(test_fixture(names[i]), &len);
        h5ckpt_value v = read_good(data, len, &all);
        h5ck_buf out = write_good(&v);
        CU_ASSERT_EQUAL(out.len, len);
        CU_ASSERT(out.len == len && memcmp(out.data, data, len) == 0);
        h5ck_buf_free(&out);
        free(data);
    }
    h5ck_arena_free(&arena);
}

static void finds_the_golden_values(void)
{
    h5ckpt_value v = read_fixture("pickles/golden_plain");
    CU_ASSERT_EQUAL_FATAL(v.type, H5CKPT_OBJECT);
    CU_ASSERT_STRING_EQUAL(v.as.object->module, "my_decays");
    CU_ASSERT_STRING_EQUAL(v.as.object->class_name, "Decay");
    CU_ASSERT(is_str(&v.as.object->fields[0].key, "step_num"));
    CU_ASSERT_EQUAL(field(&v, "step_num")->as.i, 5);
    CU_ASSERT_EQUAL(field(&v, "none")->type, H5CKPT_NONE);
    CU_ASSERT(field(&v, "yes")->type == H5CKPT_BOOL && field(&v, "yes")->as.i == 1);
    CU_ASSERT(field(&v, "no")->type == H5CKPT_BOOL && field(&v, "no")->as.i == 0);

    static const int64_t ints[] = {0,         1,          -1,        255,         256,       65535,    65536,
                                   INT32_MAX, 2147483648, INT32_MIN, -2147483649, INT64_MAX, INT64_MIN};
    const h5ckpt_value *list = field(&v, "ints");
    CU_ASSERT_EQUAL_FATAL(list->count, LEN(ints) + 2);
    for (size_t i = 0; i < LEN(ints); i++)
        CU_ASSERT(list->as.items[i].type == H5CKPT_INT && list->as.items[i].as.i == ints[i]);
    CU_ASSERT(list->as.items[13].type == H5CKPT_BIGINT && list->as.items[13].count == 9);
    CU_ASSERT(memcmp(list->as.items[13].as.bytes, "\0\0\0\0\0\0\0\x80\0", 9) == 0);
    CU_ASSERT(memcmp(list->as.items[14].as.bytes, "\xff\xff\xff\xff\xff\xff\xff\x7f\xff", 9) == 0);
    CU_ASSERT_EQUAL(field(&v, "huge")->as.items[4].count, 256); /* 2**2040: the first that LONG4 is needed for */

    const h5ckpt_value *floats = field(&v, "floats");
    CU_ASSERT(floats->as.items[1].type == H5CKPT_FLOAT && signbit(floats->as.items[1].as.f));
    CU_ASSERT_EQUAL(floats->as.items[2].as.f, 0.1);
    CU_ASSERT_EQUAL(floats->as.items[6].as.f, -INFINITY);
    CU_ASSERT(is_str(&field(&v, "text")->as.items[5], "back\\slash \\u0041"));
    CU_ASSERT(is_str(&field(&v, "text")->as.items[4], "\xf0\x9f\x98\x80"));
    const h5ckpt_value *raw = field(&v, "raw");
    CU_ASSERT(raw->as.items[0].type == H5CKPT_BYTES && raw->as.items[0].count == 0);
    CU_ASSERT(raw->as.items[5].count == 2 && memcmp(raw->as.items[5].as.bytes, "\x80\xff", 2) == 0);
    CU_ASSERT_EQUAL(raw->as.items[6].count, 256);
    CU_ASSERT(field(&v, "tuples")->type == H5CKPT_TUPLE && field(&v, "tuples")->as.items[4].count == 4);
    const h5ckpt_value *table = field(&v, "table");
    CU_ASSERT_EQUAL_FATAL(table->count, 6);
    CU_ASSERT_EQUAL(table->as.fields[2].key.as.f, 3.5);
    CU_ASSERT_EQUAL(table->as.fields[3].key.type, H5CKPT_TUPLE);
    CU_ASSERT_STRING_EQUAL(field(&v, "inner")->as.object->class_name, "Other");
    CU_ASSERT_EQUAL(field(&v, "empty")->as.object->count, 0);
    h5ck_arena_free(&arena);
}

static void every_protocol_says_the_same(void)
{
    static const char *const names[] = {"pickles/protocol_0", "pickles/protocol_1", "pickles/protocol_3",
                                        "pickles/protocol_4", "pickles/protocol_5"};
    h5ckpt_value golden = read_fixture("pickles/golden_plain");
    for (size_t i = 0; i < LEN(names); i++) {
        h5ckpt_value v = read_fixture(names[i]);
        CU_ASSERT(h5ck_value_equal(&v, &golden));
    }
    h5ckpt_value arrays = read_fixture("pickles/numpy1_arrays");
    static const char *const numpy2[] = {"pickles/numpy2_arrays_0", "pickles/numpy2_arrays_2",
                                         "pickles/numpy2_arrays_4"};
    for (size_t i = 0; i < LEN(numpy2); i++) {
        h5ckpt_value v = read_fixture(numpy2[i]);
        CU_ASSERT(h5ck_value_equal(&v, &arrays));
    }
    h5ck_arena_free(&arena);
}

static void finds_numpy_arrays_and_scalars(void)
{
    h5ckpt_value v = read_fixture("pickles/numpy1_arrays");
    const h5ckpt_value *step = field(&v, "step_num"), *matrix = field(&v, "matrix");
    CU_ASSERT_EQUAL_FATAL(step->type, H5CKPT_ARRAY);
    CU_ASSERT(step->as.array->scalar && step->as.array->rank == 0 && step->as.array->dtype == H5CKPT_DTYPE_INT64);
    CU_ASSERT(memcmp(step->as.array->data, "\3\0\0\0\0\0\0\0", 8) == 0);
    CU_ASSERT_EQUAL_FATAL(matrix->type, H5CKPT_ARRAY);
    CU_ASSERT(!matrix->as.array->scalar && matrix->as.array->rank == 2 && matrix->as.array->nbytes == 48);
    CU_ASSERT(matrix->as.array->shape[0] == 2 && matrix->as.array->shape[1] == 3);
    double last;
    memcpy(&last, (const char *)matrix->as.array->data + 40, 8);
    CU_ASSERT_EQUAL(last, 5.0);
    CU_ASSERT(field(&v, "nothing")->as.array->nbytes == 0 && field(&v, "nothing")->as.array->data);
    CU_ASSERT(!field(&v, "zero")->as.array->scalar && field(&v, "zero")->as.array->rank == 0);
    h5ck_arena_free(&arena);
}

static void puts_elements_in_order(void)
{
    h5ckpt_value v = read_fixture("pickles/numpy1_orders");
    static const int32_t expected[] = {0, 1, 2, 3, 4, 5};
    CU_ASSERT_EQUAL_FATAL(v.count, 6);
    for (size_t i = 0; i < 4; i++) { /* either byte order, either memory order */
        CU_ASSERT_EQUAL_FATAL(v.as.items[i].type, H5CKPT_ARRAY);
        CU_ASSERT(memcmp(v.as.items[i].as.array->data, expected, sizeof expected) == 0);
    }
    CU_ASSERT(h5ck_value_equal(&v.as.items[4], &v.as.items[5])); /* each half of a complex number by itself */
    h5ck_arena_free(&arena);
}

/* ---- What Paddle wrote ---- */

/* Calls `check` for each file of a folder of fixtures; returns their number. */
static size_t for_each(const char *folder, void (*check)(const char *name, const unsigned char *data, size_t len))
{
    size_t count = 0;
    DIR *dir = opendir(test_fixture(folder));
    CU_ASSERT_PTR_NOT_NULL_FATAL(dir);
    for (struct dirent *e; (e = readdir(dir));) {
        char path[600];
        size_t len;
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        unsigned char *data = test_read(test_fixture(path), &len);
        check(e->d_name, data, len);
        free(data);
        count++;
    }
    closedir(dir);
    return count;
}

/* A value does not say that two of its lists, texts or NumPy scalars were one object, nor that an array was big-endian:
 * these come back as equal values. */
static bool is_inexact(const char *name)
{
    return strcmp(name, "mine_shared") == 0 || strcmp(name, "numpy_piecewise") == 0 ||
           strcmp(name, "numpy_others") == 0;
}

static void check_decay(const char *name, const unsigned char *data, size_t len)
{
    h5ckpt_value v = read_good(data, len, &decays);
    CU_ASSERT_EQUAL(v.type, H5CKPT_OBJECT);
    h5ck_buf out = write_good(&v);
    bool same = out.len == len && memcmp(out.data, data, len) == 0;
    if (!same && !is_inexact(name))
        printf("\n  %s: other bytes\n", name);
    CU_ASSERT_EQUAL(same, !is_inexact(name));
    h5ckpt_value again = read_good(out.data, out.len, &decays);
    CU_ASSERT(h5ck_value_equal(&v, &again));
    h5ck_buf_free(&out);
    h5ck_arena_free(&arena);
}

static void brings_back_paddles_decays(void)
{
    CU_ASSERT(for_each("decays/optimizers", check_decay) >= 40);
    CU_ASSERT(for_each("seed_mlp/optimizers", check_decay) == 1);
}

static void check_python2(const char *name, const unsigned char *data, size_t len)
{
    (void)name;
    h5ckpt_value v = read_good(data, len, &decays);
    h5ck_buf out = write_good(&v);
    h5ckpt_value again = read_good(out.data, out.len, &decays);
    CU_ASSERT(h5ck_value_equal(&v, &again));
    CU_ASSERT(v.type == H5CKPT_OBJECT && v.as.object->fields[0].key.python2);
    h5ck_buf_free(&out);
    h5ck_arena_free(&arena);
}

static void brings_back_python_2(void)
{
    CU_ASSERT(for_each("python2/optimizers", check_python2) >= 20);

    /* pickle and cPickle, and all protocols, say the same */
    h5ckpt_value a = read_fixture("python2/optimizers/natural_exp.pickle");
    static const char *const others[] = {"natural_exp.cPickle", "natural_exp.pickle0", "natural_exp.pickle1",
                                         "natural_exp.cPickle0", "natural_exp.cPickle1"};
    for (size_t i = 0; i < LEN(others); i++) {
        char path[100];
        snprintf(path, sizeof path, "python2/optimizers/%s", others[i]);
        h5ckpt_value b = read_fixture(path);
        CU_ASSERT(h5ck_value_equal(&a, &b));
    }
    h5ck_arena_free(&arena);
}

static void tells_python_2s_types_apart(void)
{
    h5ckpt_value v = read_fixture("python2/optimizers/mine.pickle");
    const h5ckpt_value *f = field(&v, "small_long");
    CU_ASSERT(f->type == H5CKPT_INT && f->as.i == 5 && f->python2);
    f = field(&v, "step_size");
    CU_ASSERT(f->type == H5CKPT_INT && f->as.i == 1 && !f->python2);
    f = field(&v, "huge_long");
    CU_ASSERT(f->type == H5CKPT_BIGINT && f->python2);
    f = field(&v, "text");
    CU_ASSERT(is_str(f, "warm") && f->python2);
    f = field(&v, "raw");
    CU_ASSERT(f->type == H5CKPT_BYTES && f->count == 6 && f->python2 && memcmp(f->as.bytes, "\0\xff raw", 6) == 0);
    f = field(&v, "unicode_text");
    CU_ASSERT(is_str(f, "gr\xc3\xb6\xc3\x9f"
                        "e \xe9\x87\x8d") &&
              !f->python2);
    CU_ASSERT_EQUAL(field(&v, "array")->type, H5CKPT_ARRAY);
    v = read_fixture("python2/optimizers/piecewise_long.cPickle");
    f = field(&v, "boundaries");
    CU_ASSERT(f->as.items[1].as.i == (int64_t)1 << 40 && !f->as.items[1].python2); /* an int of 64 bits: text INT */
    CU_ASSERT(f->as.items[2].type == H5CKPT_BIGINT && f->as.items[2].python2);
    h5ck_arena_free(&arena);
}

/* Which Python wrote a number is told by the rest of the pickle. */
static void decides_who_wrote_a_long(void)
{
    static const struct {
        const unsigned char *data;
        size_t len;
        int python2;
    } cases[] = {
        {P("\x80\x02]\x8a\x01\x05"
           "a."),
         1},                                                  /* Python 3 has BININT1 for 5 */
        {P("\x80\x02]\x8a\x05\0\0\0\0\1a."), 0},              /* 2**32 alone: Python 3's */
        {P("\x80\x02](\x8a\x05\0\0\0\0\1U\x01xe."), 1},       /* beside a str of Python 2 */
        {P("\x80\x02](\x8a\x05\0\0\0\0\1X\x01\0\0\0xe."), 0}, /* beside a str of Python 3 */
        {P("(lL5L\na."), 0},                                  /* Python 3.6, protocol 0 */
        {P("(lL5L\naS'x'\na."), 1},                           /* Python 2, protocol 0 */
        {P("\x80\x02](I4294967296\nU\x01xe."), 0},            /* Python 2's int */
        {P("\x80\x02]\x8a\x09\0\0\0\0\0\0\0\0\1a."), 0},      /* 2**64 */
        {P("\x80\x02](\x8a\x09\0\0\0\0\0\0\0\0\1U\x01xe."), 1},
    };
    for (size_t i = 0; i < LEN(cases); i++) {
        h5ckpt_value v = read_good(cases[i].data, cases[i].len, NULL);
        CU_ASSERT_EQUAL_FATAL(v.type, H5CKPT_LIST);
        CU_ASSERT_EQUAL(v.as.items[0].python2, cases[i].python2);
    }
    h5ck_arena_free(&arena);
}

static void writes_python_2s_forms(void)
{
    h5ckpt_value items[] = {
        {.type = H5CKPT_INT, .python2 = 1, .as.i = 0},
        {.type = H5CKPT_INT, .as.i = (int64_t)1 << 40},
        {.type = H5CKPT_STR, .python2 = 1, .count = 1, .as.str = "a"},
        {.type = H5CKPT_STR, .count = 1, .as.str = "a"},
        {.type = H5CKPT_BYTES, .python2 = 1, .count = 1, .as.bytes = (const unsigned char *)"\xff"},
    };
    h5ckpt_value list = {.type = H5CKPT_LIST, .count = LEN(items), .as.items = items};
    static const char expected[] = "\x80\x02]q\0(\x8a\0I1099511627776\nU\1aq\1X\1\0\0\0aq\2U\1\xffq\3e.";
    h5ck_buf out = write_good(&list);
    CU_ASSERT_EQUAL(out.len, sizeof expected - 1);
    CU_ASSERT(out.len == sizeof expected - 1 && memcmp(out.data, expected, out.len) == 0);
    h5ck_buf_free(&out);
}

/* ---- Small forms ---- */

static void reads_the_text_forms(void)
{
    h5ckpt_value v = read_good(P("(I01\nI00\nI-7\nF0.1\nF-inf\nF1e3\nS'a\\x41\\n\\'\\\\\\101\\q'\nS\"it'"
                                 "s\"\nVgr\\u00f6\xdf\\U0001f600\\\\u0041\n"
                                 "L-18446744073709551616L\nNl."),
                               NULL);
    const h5ckpt_value *i = v.as.items;
    CU_ASSERT_EQUAL_FATAL(v.count, 11);
    CU_ASSERT(i[0].type == H5CKPT_BOOL && i[0].as.i == 1 && i[1].type == H5CKPT_BOOL && i[1].as.i == 0);
    CU_ASSERT(i[2].type == H5CKPT_INT && i[2].as.i == -7);
    CU_ASSERT(i[3].as.f == 0.1 && i[4].as.f == -INFINITY && i[5].as.f == 1000.0);
    CU_ASSERT(is_str(&i[6], "aA\n'\\A\\q"));
    CU_ASSERT(is_str(&i[7], "it's"));
    CU_ASSERT(is_str(&i[8], "gr\xc3\xb6\xc3\x9f\xf0\x9f\x98\x80\\\\u0041"));
    CU_ASSERT(i[9].type == H5CKPT_BIGINT && i[9].count == 9 && memcmp(i[9].as.bytes, "\0\0\0\0\0\0\0\0\xff", 9) == 0);
    h5ck_arena_free(&arena);
}

static void reads_what_writers_rarely_use(void)
{
    /* DUP, POP, POP_MARK, POP of a MARK, MEMOIZE, LIST, DICT */
    h5ckpt_value v = read_good(P("(NN2\x30\x30(K\1K\2"
                                 "1(0K\7\x94(h\0"
                                 "2l(K\1Ndt."),
                               NULL);
    CU_ASSERT_EQUAL_FATAL(v.count, 4);
    CU_ASSERT(v.as.items[2].type == H5CKPT_LIST && v.as.items[2].count == 2 && v.as.items[2].as.items[1].as.i == 7);
    CU_ASSERT(v.as.items[3].type == H5CKPT_DICT && v.as.items[3].count == 1);
    /* a FRAME, memo indices as text and out of sequence, an index set twice */
    v = read_good(P("\x80\x04\x95\x10\0\0\0\0\0\0\0(K\1p12\nK\2p12\ng12\nt."), NULL);
    CU_ASSERT(v.count == 3 && v.as.items[2].as.i == 2);
    /* the same tuple twice is two equal tuples */
    v = read_good(P("K\1\x85q\0h\0\x86."), NULL);
    CU_ASSERT(v.count == 2 && h5ck_value_equal(&v.as.items[0], &v.as.items[1]));
    h5ck_arena_free(&arena);
}

static void keeps_the_first_of_equal_keys(void)
{
    /* {'a': 1, 'b': 2, 'a': 3}: Python keeps the first place and the last value */
    h5ckpt_value v = read_good(P("\x80\x02}(X\1\0\0\0aK\1X\1\0\0\0bK\2X\1\0\0\0aK\3u."), NULL);
    CU_ASSERT_EQUAL_FATAL(v.count, 2);
    CU_ASSERT(is_str(&v.as.fields[0].key, "a") && v.as.fields[0].value.as.i == 3);
    CU_ASSERT(is_str(&v.as.fields[1].key, "b") && v.as.fields[1].value.as.i == 2);
    /* 1, True and 1.0 are one key, 2.5 another, and so is '1'; NaN (twice) equals nothing; (1,) equals (True,) */
    v = read_good(P("\x80\x02}(K\1K\1\x88K\2G\x3f\xf0\0\0\0\0\0\0K\3G\x40\x04\0\0\0\0\0\0K\4X\1\0\0\0"
                    "1K\5"
                    "G\x7f\xf8\0\0\0\0\0\0K\6G\x7f\xf8\0\0\0\0\0\0K\7K\1\x85K\x08\x88\x85K\x09NK\x0aNK\x0bu."),
                  NULL);
    CU_ASSERT_EQUAL_FATAL(v.count, 7);
    CU_ASSERT(v.as.fields[0].key.type == H5CKPT_INT && v.as.fields[0].value.as.i == 3);
    CU_ASSERT_EQUAL(v.as.fields[5].value.as.i, 9);
    CU_ASSERT_EQUAL(v.as.fields[6].value.as.i, 11);
    /* fields of an object, too */
    v = read_good(P("\x80\x02"
                    "cm\nC\n)\x81}(X\1\0\0\0aK\1X\1\0\0\0aK\2ub."),
                  &all);
    CU_ASSERT_EQUAL_FATAL(v.type, H5CKPT_OBJECT);
    CU_ASSERT(v.as.object->count == 1 && v.as.object->fields[0].value.as.i == 2);
    h5ck_arena_free(&arena);
}

/* ---- Objects and the policy ---- */

static void asks_the_policy(void)
{
    static const char nested[] = "\x80\x02"
                                 "c" DECAYS "\nLinearLrWarmup\n)\x81}X\2\0\0\0lrc" DECAYS "\nNoamDecay\n)\x81sb.";
    asked = 0;
    h5ckpt_value v = read_good(P(nested), &decays);
    CU_ASSERT_EQUAL(asked, 2);
    CU_ASSERT_STRING_EQUAL(field(&v, "lr")->as.object->class_name, "NoamDecay");
    h5ck_arena_free(&arena);
    refused(P("\x80\x02"
              "cposix\nsystem\n)\x81}b."),
            2, "posix system: no decay");
    refused(P("\x80\x02"
              "cmine\nDecay\n)\x81}(X\x08\0\0\0step_numK\1X\x09\0\0\0step_sizeK\1ub."),
            2, "mine Decay: no decay");
    /* without a policy no object is allowed */
    h5ckpt_error *err = NULL;
    CU_ASSERT_EQUAL(h5ck_pickle_read(P(nested), NULL, &arena, &v, &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, "found an object of the class " DECAYS " NoamDecay");
    CU_ASSERT_EQUAL(h5ck_pickle_read(P(nested), NULL, &arena, &v, NULL), H5CKPT_INVALID);
    h5ck_arena_free(&arena);
}

static int out_of_memory(void *user, const h5ckpt_object *o, h5ckpt_error **err)
{
    (void)user;
    (void)o;
    return h5ck_fail_nomem(err);
}

static void passes_the_policys_code_on(void)
{
    static const h5ck_pickle_policy policy = {.check_object = out_of_memory};
    h5ckpt_value v;
    h5ckpt_error *err = NULL;
    CU_ASSERT_EQUAL(h5ck_pickle_read(P("cm\nC\n)\x81."), &policy, &arena, &v, &err), H5CKPT_SYSTEM);
    test_expect_error(&err, H5CKPT_SYSTEM, "out of memory");
    h5ck_arena_free(&arena);
}

/* ---- Refusals, one a rule ---- */

#define DTYPE_F8 "cnumpy\ndtype\n(X\2\0\0\0f8\x89\x88tR"
#define STATE    "(K\3X\1\0\0\0<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
#define ARRAY                                                                                                          \
    "cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85"                                                   \
    "C\1b\x87R"
#define SCALAR "cnumpy.core.multiarray\nscalar\n"

static void refuses_what_is_no_plain_data(void)
{
    static const struct {
        const unsigned char *data;
        size_t len;
        uint64_t offset;
        const char *part;
    } cases[] = {
        {P(""), 0, "found the end"},
        {P("\xff."), 0, "expected an opcode of the pickle, found 0xff"},
        {P("N.N"), 2, "found 1 more bytes"},
        {P("NN."), 2, "expected one value on the stack at STOP, found 2"},
        {P("(N."), 2, "1 marks"},
        {P("."), 0, "expected 1 value on the stack for STOP"},
        {P("\x80\x06N."), 0, "protocol from 0 to 5, found 6"},
        {P("N\x80\x02."), 1, "expected PROTO at the beginning only"},
        {P("\x80\x04\x95\x03\0\0\0\0\0\0\0N."), 2, "expected a FRAME of 3 bytes, found 2"},
        /* what is never read */
        {P("Pid\n."), 0, "PERSID: a persistent id"},
        {P("NQ."), 1, "BINPERSID: a persistent id"},
        {P("\x82\1."), 0, "EXT1: an extension code"},
        {P("\x83\1\0."), 0, "EXT2: an extension code"},
        {P("\x84\1\0\0\0."), 0, "EXT4: an extension code"},
        {P("(ios\nsystem\n."), 1, "INST: an old-style instance"},
        {P("(cos\nsystem\no."), 12, "OBJ: an old-style instance"},
        {P("\x8f."), 0, "EMPTY_SET: a set"},
        {P("(\x91."), 1, "FROZENSET: a set"},
        {P("\x96\0\0\0\0\0\0\0\0."), 0, "BYTEARRAY8: a bytearray"},
        {P("\x97."), 0, "NEXT_BUFFER"},
        {P("\x98."), 0, "READONLY_BUFFER"},
        /* globals */
        {P("cos\nsystem\n(X\2\0\0\0lstR."), 20, "found the global os system"},
        {P("cbuiltins\neval\n(tR."), 17, "found the global builtins eval"},
        {P("\x8c\2os\x8c\6system\x93)R."), 14, "found the global os system"},
        {P("cos\nsystem\n."), 0, "found the global os system"},
        {P("cos\nsystem\n0N."), 0, "found the global os system that no object uses"},
        {P("cos\nsystem\n)\x81"
           "0N."),
         0, "found the global os system that no object uses"},
        {P("cnumpy\nndarray\n."), 0, "found the global numpy ndarray"},
        {P("cnumpy\nndarray\n)\x81."), 16, "expected the class of a plain object, found the global numpy ndarray"},
        {P("cnumpy\nndarray\n)R."), 16, "found the global numpy ndarray"},
        {P("c__builtin__\nobject\n)R."), 21, "found the global __builtin__ object"},
        {P("c\nx\n."), 0, "expected the names of a module and a class"},
        {P("ca\0b\nx\n."), 0, "expected the names of a module and a class"},
        {P("c\xff\nx\n."), 0, "expected UTF-8"},
        {P("NN\x93."), 2, "expected the names of a module and a class, found None"},
        {P("N)R."), 2, "expected one of the constructors of plain data for REDUCE, found None"},
        {P("N)\x81."), 2, "expected the class of a plain object, found None"},
        {P("c_codecs\nencode\nNR."), 17, "expected a tuple of arguments for REDUCE, found None"},
        {P("c_codecs\nencode\n(X\1\0\0\0aX\4\0\0\0zlibtR."), 33, "expected a text and 'latin1'"},
        {P("c_codecs\nencode\n(X\3\0\0\0\xe9\x87\x8dX\6\0\0\0latin1tR."), 37, "latin1 characters"},
        {P("cbuiltins\nbytes\n(K\1tR."), 20, "expected no arguments for bytes"},
        /* objects */
        {P("cm\nC\n(K\1t\x81."), 9, "expected an object made without arguments"},
        {P("cm\nC\n)}X\1\0\0\0aNs\x92."), 15, "expected an object made without keywords"},
        {P("cm\nC\n)\x81K\1b."), 9, "expected a dict as the state of an object, found an int"},
        {P("cm\nC\n)\x81}b}b."), 10, "expected one BUILD for each object"},
        {P("cm\nC\n)\x81}K\1Nsb."), 8, "expected the name of a field as a key, found int"},
        {P("cm\nC\n)\x81}U\1\xffNsb."), 8, "expected the name of a field as a key, found bytes"},
        {P("]}b."), 2, "expected an object for BUILD, found a list"},
        {P("cm\nC\n)\x81}q\0bh\0U\1aNs0."), 17, "became an object's fields"},
        {P("ccopy_reg\n_reconstructor\n(cm\nC\nc__builtin__\nobject\nK\1tR."), 54, "expected (class, object, None)"},
        {P("ccopy_reg\n_reconstructor\n(cm\nC\ncm\nC\nNtR."), 38, "expected (class, object, None)"},
        /* the stack, marks, the memo */
        {P("0."), 0, "expected 1 value on the stack for POP, found 0"},
        {P("2."), 0, "expected 1 value on the stack for DUP"},
        {P("N(2."), 2, "expected 1 value on the stack for DUP"},
        {P("N\x86."), 1, "expected 2 values on the stack for TUPLE2, found 1"},
        {P("](K\1\x86."), 4, "expected 2 values on the stack for TUPLE2, found 1"},
        {P("t."), 0, "expected a MARK for TUPLE"},
        {P("1."), 0, "expected a MARK for POP_MARK"},
        {P("]e."), 1, "expected a MARK for APPENDS"},
        {P("(e."), 1, "expected 1 value on the stack for APPENDS"},
        {P("}(NNNu."), 5, "expected a value for each key of SETITEMS"},
        {P("(Nd."), 2, "expected a value for each key of DICT"},
        {P("}Na."), 2, "expected a list for APPEND, found a dict"},
        {P("]NNs."), 3, "expected a dict for SETITEM, found a list"},
        {P("K\1(Ne."), 4, "expected a list for APPENDS, found an int"},
        {P("h\0."), 0, "expected a memo index that was set, found 0"},
        {P("]q\1h\0."), 3, "expected a memo index that was set, found 0"},
        {P("Nr\xff\xff\xff\xff."), 1, "expected a memo index below 524288, found 4294967295"},
        {P("j\xff\xff\xff\xff."), 0, "expected a memo index that was set, found 4294967295"},
        {P("Np99999999999999999999\n."), 1, "expected a memo index behind PUT"},
        {P("Np-1\n."), 1, "expected a memo index behind PUT, found '-1'"},
        {P("g\n."), 0, "expected a memo index behind GET"},
        {P("q\0."), 0, "expected 1 value on the stack for BINPUT"},
        /* lengths that lie */
        {P("X\xff\xff\xff\xff"
           "abc."),
         0, "expected 4294967295 bytes behind BINUNICODE, found 4"},
        {P("\x8d\xff\xff\xff\xff\xff\xff\xff\xff."), 0, "expected 18446744073709551615 bytes behind BINUNICODE8"},
        {P("\x8e\0\0\0\0\0\0\0\x80."), 0, "expected 9223372036854775808 bytes behind BINBYTES8"},
        {P("T\xff\xff\xff\xff."), 0, "expected a length of BINSTRING that is not negative, found -1"},
        {P("\x8b\0\0\0\x80."), 0, "expected a length of LONG4 that is not negative"},
        {P("\x8b\x10\0\0\0\1."), 0, "expected 16 bytes behind LONG4, found 2"},
        {P("J\0\0."), 0, "expected 4 bytes behind BININT, found 3"},
        {P("I5"), 0, "expected a newline behind the argument of INT"},
        {P("cos\nsystem"), 0, "expected a newline behind the argument of GLOBAL"},
        /* text that is none */
        {P("X\1\0\0\0\xff."), 0, "expected UTF-8 (without surrogates) behind BINUNICODE"},
        {P("X\3\0\0\0\xed\xa0\x80."), 0, "expected UTF-8 (without surrogates)"},
        {P("\x8c\2\xc0\x80."), 0, "expected UTF-8 (without surrogates) behind SHORT_BINUNICODE"},
        {P("V\\ud800\n."), 0, "no surrogates"},
        {P("V\\u12\n."), 0, "four or eight hexadecimal digits"},
        {P("V\\U00110000\n."), 0, "four or eight hexadecimal digits"},
        {P("Sabc\n."), 0, "expected a quoted string behind STRING, found abc"},
        {P("S'abc\n."), 0, "expected a quoted string"},
        {P("S'\\'\n."), 0, "expected a quoted string"},
        {P("S'\\xg0'\n."), 0, "expected a quoted string"},
        {P("S'\n."), 0, "expected a quoted string"},
        {P("I\n."), 0, "expected a decimal number"},
        {P("I0x10\n."), 0, "expected a decimal number of at most 4300 digits behind INT, found '0x10'"},
        {P("L5LL\n."), 0, "expected a decimal number"},
        {P("I5 \n."), 0, "expected a decimal number"},
        {P("F1,5\n."), 0, "expected a number behind FLOAT, found '1,5'"},
        {P("F0x1p3\n."), 0, "expected a number behind FLOAT"},
        {P("F1e\n."), 0, "expected a number behind FLOAT"},
        {P("F.\n."), 0, "expected a number behind FLOAT"},
        {P("Fnan(1)\n."), 0, "expected a number behind FLOAT"},
        {P("F1\0\n."), 0, "expected a number behind FLOAT, found '1\\x00'"},
        /* keys */
        {P("}]Ns."), 1, "expected a hashable value as a key, found list"},
        {P("}}Ns."), 1, "expected a hashable value as a key, found dict"},
        {P("}]\x85Ns."), 2, "expected a hashable value as a key, found tuple"},
        {P("}" ARRAY "(K\1)" DTYPE_F8 STATE "\x89"
           "C\x08"
           "12345678tbNs."),
         59, "found NumPy array"},
        /* itself */
        {P("]q\0h\0a."), 0, "found a list that contains itself"},
        {P("}q\0K\1h\0s."), 0, "found a dict that contains itself"},
        {P("]q\0h\0\x85"
           "a."),
         0, "found a list that contains itself"},
        {P("cm\nC\n)\x81q\0}U\1ah\0sb."), 6, "found an object that contains itself"},
        {P("cm\nC\n)\x81}q\0U\1ah\0sb."), 7, "found a dict that contains itself"},
        /* NumPy */
        {P(DTYPE_F8 STATE "."), 24, "found a NumPy dtype"},
        {P("cnumpy\ndtype\n(X\2\0\0\0O8\x89\x88tR."), 24, "found numpy dtype 'O8'"},
        {P("cnumpy\ndtype\n(X\2\0\0\0U5\x89\x88tR."), 24, "found numpy dtype 'U5'"},
        {P("cnumpy\ndtype\n(X\3\0\0\0<f8\x89\x88tR."), 25, "found numpy dtype '<f8'"},
        {P("cnumpy\ndtype\n(X\2\0\0\0f8\x88\x88tR."), 24, "expected (type, False, True)"},
        {P(DTYPE_F8 "(K\4X\1\0\0\0<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb."), 50, "as a dtype's state"},
        {P(DTYPE_F8 "(K\3X\1\0\0\0!NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb."), 50, "as a dtype's state"},
        {P(DTYPE_F8 "(K\3X\1\0\0\0<]NNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb."), 50, "as a dtype's state"},
        {P(DTYPE_F8 "(K\3X\1\0\0\0<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\1tb."), 50, "as a dtype's state"},
        {P(DTYPE_F8 STATE "(tb."), 53, "expected one BUILD for each object"},
        {P(SCALAR "(" DTYPE_F8 "C\x08"
                  "12345678tR."),
         67, "expected (dtype, bytes) for a NumPy scalar"},
        {P(SCALAR "(NC\1atR."), 36, "expected (dtype, bytes) for a NumPy scalar"},
        {P(SCALAR "(" DTYPE_F8 STATE "C\x07"
                  "1234567tR."),
         82, "expected 8 bytes of NumPy elements, found 7"},
        {P(SCALAR "(" DTYPE_F8 STATE "NtR."), 84, "expected the elements of a NumPy array as bytes, found None"},
        {P(ARRAY "."), 58, "state, found none"},
        {P(ARRAY "(K\2)" DTYPE_F8 STATE "\x89"
                 "C\x08"
                 "12345678tb."),
         58, "state, found another"},
        {P(ARRAY "(K\1)" DTYPE_F8 STATE "\x89]tb."), 115, "as bytes, found a list"},
        {P(ARRAY "(K\1K\2\x85" DTYPE_F8 STATE "\x89"
                 "C\x08"
                 "12345678tb."),
         117, "expected 16 bytes of NumPy elements, found 8"},
        {P(ARRAY "(K\1J\xff\xff\xff\xff\x85" DTYPE_F8 STATE "\x89"
                 "C\x08"
                 "12345678tb."),
         62, "found a negative one"},
        {P(ARRAY "(K\1N\x85" DTYPE_F8 STATE "\x89"
                 "C\x08"
                 "12345678tb."),
         58, "found None"},
        {P(ARRAY "(K\1\x8a\x08\0\0\0\0\0\0\0\x40\x85" DTYPE_F8 STATE "\x89"
                 "C\x08"
                 "12345678tb."),
         58, "a shape that overflows"},
        {P("cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\1tC\1btR."), 60,
         "expected (ndarray, (0,), b'b')"},
        {P("cnumpy.core.numeric\n_frombuffer\n)R."), 33, "(bytes, dtype, shape"},
    };
    for (size_t i = 0; i < LEN(cases); i++)
        refused(cases[i].data, cases[i].len, cases[i].offset, cases[i].part);
}

static void refuses_more_dimensions_than_numpy_has(void)
{
    h5ck_buf b = H5CK_BUF_INIT;
    h5ck_buf_add(&b, P(ARRAY "(K\1("));
    for (int i = 0; i < 33; i++)
        h5ck_buf_add(&b, P("K\1"));
    h5ck_buf_add(&b, P("t" DTYPE_F8 STATE "\x89"
                       "C\x08"
                       "12345678tb."));
    refused(b.data, b.len, 129, "at most 32 dimensions, found 33");
    h5ck_buf_free(&b);
}

static void check_cuts(const char *name, const unsigned char *data, size_t len)
{
    (void)name;
    for (size_t cut = 0; cut < len; cut++) {
        unsigned char *copy = malloc(cut ? cut : 1);
        memcpy(copy, data, cut);
        h5ckpt_value v;
        h5ckpt_error *err = NULL;
        CU_ASSERT_EQUAL(h5ck_pickle_read(copy, cut, &all, &arena, &v, &err), H5CKPT_INVALID);
        CU_ASSERT(err && err->offset <= cut);
        h5ckpt_error_free(err);
        h5ck_arena_free(&arena);
        free(copy);
    }
}

static void refuses_a_cut_at_every_offset(void)
{
    static const char *const names[] = {"pickles/golden_plain",
                                        "pickles/protocol_0",
                                        "pickles/protocol_4",
                                        "pickles/numpy1_arrays",
                                        "pickles/numpy2_arrays_4",
                                        "python2/optimizers/natural_exp.cPickle0",
                                        "python2/optimizers/warmup.pickle"};
    for (size_t i = 0; i < LEN(names); i++) {
        size_t len;
        unsigned char *data = test_read(test_fixture(names[i]), &len);
        check_cuts(names[i], data, len);
        free(data);
    }
}

/* Whatever a byte is turned into, the pickle is read or refused. What is read can be written and read again. */
static void survives_any_wrong_byte(void)
{
    static const char *const names[] = {"decays/optimizers/numpy_array", "python2/optimizers/natural_exp.pickle0",
                                        "pickles/numpy2_arrays_4"};
    static const unsigned char values[] = {0,   1,   0x7f, 0xff, '(',  '0',  '2',  'h', 'q',
                                           'R', 'b', 't',  '.',  0x81, 0x85, 0x94, ']', 'a'};
    for (size_t i = 0; i < LEN(names); i++) {
        size_t len;
        unsigned char *data = test_read(test_fixture(names[i]), &len);
        for (size_t at = 0; at < len * LEN(values); at++) {
            unsigned char was = data[at / LEN(values)];
            h5ckpt_value v, again;
            data[at / LEN(values)] = values[at % LEN(values)];
            int rc = h5ck_pickle_read(data, len, &all, &arena, &v, NULL);
            CU_ASSERT(rc == 0 || rc == H5CKPT_INVALID);
            h5ck_buf out = H5CK_BUF_INIT;
            if (rc == 0 && h5ck_pickle_write(&v, &out, NULL) == 0)
                CU_ASSERT_EQUAL(h5ck_pickle_read(out.data, out.len, &all, &arena, &again, NULL), 0);
            h5ck_buf_free(&out);
            h5ck_arena_free(&arena);
            data[at / LEN(values)] = was;
        }
        free(data);
    }
}

/* ---- Pickles that are small and mean something large ---- */

static void repeat(h5ck_buf *b, const void *data, size_t len, size_t times)
{
    while (times--)
        h5ck_buf_add(b, data, len);
}

static void refuses_depth(void)
{
    static const struct {
        const char *open, *middle, *close;
    } forms[] = {{"]", "]", "a"}, {"(", "", "t"}, {"}N", "N", "s"}};
    for (size_t i = 0; i < LEN(forms); i++)
        for (size_t depth = 1000; depth <= 1000000; depth *= 1000) {
            h5ck_buf b = H5CK_BUF_INIT;
            repeat(&b, forms[i].open, strlen(forms[i].open), depth);
            h5ck_buf_str(&b, forms[i].middle);
            repeat(&b, forms[i].close, strlen(forms[i].close), depth);
            h5ck_buf_u8(&b, '.');
            h5ckpt_value v;
            h5ckpt_error *err = NULL;
            CU_ASSERT_EQUAL(h5ck_pickle_read(b.data, b.len, &all, &arena, &v, &err), H5CKPT_INVALID);
            test_expect_error(&err, H5CKPT_INVALID,
                              depth == 1000 ? "nested at most 100 deep" : "at most 524288 objects");
            h5ck_buf_free(&b);
            h5ck_arena_free(&arena);
        }
    h5ck_buf b = H5CK_BUF_INIT; /* an object in an object in an object */
    repeat(&b, P("cm\nC\n)\x81}U\1a"), 50000);
    h5ck_buf_u8(&b, 'N');
    repeat(&b, "sb", 2, 50000);
    h5ck_buf_u8(&b, '.');
    refused(b.data, b.len, 100 * 11 + 8, "nested at most 100 deep");
    h5ck_buf_free(&b);
}

/* The deepest value that is allowed comes back; both sides agree with h5ck_value_copy. */
static void allows_the_limit_of_depth(void)
{
    h5ck_buf b = H5CK_BUF_INIT;
    repeat(&b, "]", 1, H5CK_VALUE_DEPTH + 1);
    repeat(&b, "a", 1, H5CK_VALUE_DEPTH);
    h5ck_buf_u8(&b, '.');
    h5ckpt_value v = read_good(b.data, b.len, NULL), copy;
    CU_ASSERT_EQUAL(h5ck_value_copy(&arena, &v, &copy, NULL), 0);
    h5ck_buf out = write_good(&v);
    h5ck_buf_free(&out);
    h5ckpt_value deeper = {.type = H5CKPT_LIST, .count = 1, .as.items = &v};
    h5ckpt_error *err = NULL;
    h5ck_buf_add(&out, "kept", 4);
    CU_ASSERT_EQUAL(h5ck_pickle_write(&deeper, &out, &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, "nested at most 100 deep");
    CU_ASSERT(out.len == 4 && memcmp(out.data, "kept", 4) == 0);
    h5ck_buf_free(&out);
    h5ck_buf_free(&b);
    h5ck_arena_free(&arena);
}

static void refuses_what_would_expand(void)
{
    h5ck_buf b = H5CK_BUF_INIT;
    h5ck_buf_u8(&b, 'N'); /* 2^90 times None */
    repeat(&b, "2\x86", 2, 90);
    h5ck_buf_u8(&b, '.');
    h5ckpt_value v;
    h5ckpt_error *err = NULL;
    CU_ASSERT_EQUAL(h5ck_pickle_read(b.data, b.len, NULL, &arena, &v, &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, "expected at most 262144 values in a pickle");
    h5ck_buf_free(&b);

    h5ck_buf_add(&b, P("]X\0\0\x10\0")); /* 1 MiB of text, 17 times */
    repeat(&b, "x", 1, 1 << 20);
    h5ck_buf_add(&b, P("q\0"
                       "0("));
    repeat(&b, "h\0", 2, 17);
    h5ck_buf_add(&b, P("e."));
    CU_ASSERT_EQUAL(h5ck_pickle_read(b.data, b.len, NULL, &arena, &v, &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, "expected at most 16777216 bytes of text and elements");
    h5ck_buf_free(&b);

    h5ck_buf_add(&b, P("(N"));
    repeat(&b, "2", 1, H5CK_PICKLE_NODES);
    h5ck_buf_add(&b, P("t."));
    refused(b.data, b.len, H5CK_PICKLE_NODES + 2, "expected at most 262144 values");
    h5ck_buf_free(&b);

    h5ck_buf_u8(&b, '('); /* decimal numbers take time to read */
    for (int i = 0; i < 3000; i++) {
        h5ck_buf_u8(&b, 'L');
        repeat(&b, "9", 1, 4300);
        h5ck_buf_u8(&b, '\n');
    }
    h5ck_buf_add(&b, P("t."));
    CU_ASSERT_EQUAL(h5ck_pickle_read(b.data, b.len, NULL, &arena, &v, &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, "bytes of large decimal numbers");
    h5ck_buf_free(&b);
    h5ck_arena_free(&arena);
}

static void reads_large_dicts_in_no_time(void)
{
    /* 100,000 entries, first each key once, then ten keys only */
    for (unsigned keys = 100000; keys >= 10; keys /= 10000) {
        h5ck_buf b = H5CK_BUF_INIT;
        h5ck_buf_add(&b, "}(", 2);
        for (unsigned i = 0; i < 100000; i++) {
            h5ck_buf_u8(&b, 'J');
            h5ck_buf_le(&b, i * 7919 % keys, 4);
            h5ck_buf_u8(&b, 'J');
            h5ck_buf_le(&b, i, 4);
        }
        h5ck_buf_add(&b, "u.", 2);
        h5ckpt_value v = read_good(b.data, b.len, NULL);
        CU_ASSERT_EQUAL(v.count, keys);
        CU_ASSERT(v.as.fields[1].key.as.i == 7919 % keys && v.as.fields[1].value.as.i == (keys == 10 ? 99991 : 1));
        h5ck_buf_free(&b);
        h5ck_arena_free(&arena);
    }
}

static void brings_back_20000_boundaries(void)
{
    enum { N = 20000 };
    static h5ckpt_value boundaries[N], values[N + 1];
    for (size_t i = 0; i < N; i++) {
        boundaries[i] = h5ck_value_int((int64_t)i * 100);
        values[i] = h5ck_value_float(1.0 / (double)(i + 1));
    }
    values[N] = h5ck_value_float(0);
    h5ckpt_field fields[] = {
        {h5ck_value_str("boundaries"), {.type = H5CKPT_LIST, .count = N, .as.items = boundaries}},
        {h5ck_value_str("values"), {.type = H5CKPT_LIST, .count = N + 1, .as.items = values}},
        {h5ck_value_str("vars"), {.type = H5CKPT_LIST, .count = N + 1, .as.items = values}},
    };
    h5ckpt_object object = {DECAYS, "PiecewiseDecay", LEN(fields), fields};
    h5ckpt_value v = {.type = H5CKPT_OBJECT, .as.object = &object};
    h5ck_buf out = write_good(&v);
    h5ckpt_value again = read_good(out.data, out.len, &decays);
    CU_ASSERT(h5ck_value_equal(&v, &again));
    h5ck_buf_free(&out);
    h5ck_arena_free(&arena);
}

/* ---- Writing what cannot be written ---- */

static void refuses_to_write_other_names(void)
{
    static const char *const bad[][2] = {
        {"os\nsystem\n(S'ls'\ntR.\nc", "C"}, {"m", "C\nD"}, {"", "C"}, {"m", ""}, {"m.", "C"}, {"gr\xc3\xb6", "C"}};
    for (size_t i = 0; i < LEN(bad); i++) {
        h5ckpt_object o = {bad[i][0], bad[i][1], 0, NULL};
        h5ckpt_value v = {.type = H5CKPT_OBJECT, .as.object = &o};
        h5ck_buf out = H5CK_BUF_INIT;
        h5ckpt_error *err = NULL;
        CU_ASSERT_EQUAL(h5ck_pickle_write(&v, &out, &err), H5CKPT_INVALID);
        test_expect_error(&err, H5CKPT_INVALID, "expected the name of a module or class");
        CU_ASSERT_EQUAL(out.len, 0);
        h5ck_buf_free(&out);
    }
}

/* Every dtype that NumPy has a type string for comes back; the others are refused by name. */
static void writes_every_dtype_of_numpy(void)
{
    static const unsigned char data[16] = {1};
    for (size_t i = 0; h5ck_dtype_at(i); i++) {
        const h5ck_dtype *dtype = h5ck_dtype_at(i);
        h5ckpt_array a = {.dtype = dtype->id, .scalar = 1, .nbytes = dtype->size, .data = data};
        h5ckpt_value v = {.type = H5CKPT_ARRAY, .as.array = &a};
        h5ck_buf out = H5CK_BUF_INIT;
        h5ckpt_error *err = NULL;
        int rc = h5ck_pickle_write(&v, &out, &err);
        if (dtype->numpy) {
            test_expect_none(&err);
            h5ckpt_value again = read_good(out.data, out.len, NULL);
            CU_ASSERT(h5ck_value_equal(&v, &again));
        } else {
            CU_ASSERT_EQUAL(rc, H5CKPT_INVALID);
            test_expect_error(&err, H5CKPT_INVALID, dtype->name);
        }
        h5ck_buf_free(&out);
    }
    h5ck_arena_free(&arena);
}

/* numpy.True_ is one object; a stranger's bool of another byte is not that object. */
static void keeps_odd_bools(void)
{
    h5ckpt_array one = {.dtype = H5CKPT_DTYPE_BOOL, .scalar = 1, .nbytes = 1, .data = "\1"}, two = one;
    two.data = "\2";
    h5ckpt_value items[] = {{.type = H5CKPT_ARRAY, .as.array = &one}, {.type = H5CKPT_ARRAY, .as.array = &two}};
    h5ckpt_value list = {.type = H5CKPT_LIST, .count = 2, .as.items = items};
    h5ck_buf out = write_good(&list);
    h5ckpt_value again = read_good(out.data, out.len, NULL);
    CU_ASSERT(h5ck_value_equal(&list, &again));
    h5ck_buf_free(&out);
    h5ck_arena_free(&arena);
}

static void refuses_an_unknown_type(void)
{
    h5ckpt_value v = {.type = (h5ckpt_value_type)99};
    h5ck_buf out = H5CK_BUF_INIT;
    h5ckpt_error *err = NULL;
    CU_ASSERT_EQUAL(h5ck_pickle_write(&v, &out, &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, "unknown type 99");
    h5ck_buf_free(&out);
}

/* ---- The listing ---- */

static void listing_is(const unsigned char *data, size_t len, const char *expected)
{
    h5ck_buf out = H5CK_BUF_INIT;
    h5ck_pickle_list(data, len, &out);
    const char *text = h5ck_buf_cstr(&out);
    if (strcmp(text, expected) != 0)
        printf("\n%s", text);
    CU_ASSERT_STRING_EQUAL(text, expected);
    h5ck_buf_free(&out);
}

static void lists_opcodes(void)
{
    listing_is(P("\x80\x02"
                 "cm\nC\n)\x81}X\2\0\0\0a\nJ\xff\xff\xff\xffs\x8a\2\0\1G\x3f\xf0\0\0\0\0\0\0I5\n."),
               "       0  PROTO             2\n"
               "       2  GLOBAL            m C\n"
               "       7  EMPTY_TUPLE\n"
               "       8  NEWOBJ\n"
               "       9  EMPTY_DICT\n"
               "      10  BINUNICODE        'a\\x0a'\n"
               "      17  BININT            -1\n"
               "      22  SETITEM\n"
               "      23  LONG1             256\n"
               "      27  BINFLOAT          1\n"
               "      36  INT               5\n"
               "      39  STOP\n");
}

static void lists_garbage(void)
{
    listing_is(P(""), "       0  not valid: offset 0: expected an opcode of the pickle, found the end\n");
    listing_is(P("N\xff"),
               "       0  NONE\n       1  not valid: offset 1: expected an opcode of the pickle, found 0xff\n");
    listing_is(P("X\xff\xff\xff\xff"),
               "       0  not valid: offset 0: expected 4294967295 bytes behind BINUNICODE, found 0\n");
    listing_is(P("N.N"), "       0  NONE\n       1  STOP\n       2  not valid: 1 more bytes behind STOP\n");
    h5ck_buf b = H5CK_BUF_INIT, out = H5CK_BUF_INIT;
    h5ck_buf_add(&b, P("X\0\0\1\0"));
    repeat(&b, "\x1b", 1, 1 << 16);
    h5ck_buf_u8(&b, '.');
    h5ck_pickle_list(b.data, b.len, &out); /* cut, and nothing that a terminal would obey */
    CU_ASSERT(out.len < 250 && !memchr(out.data, 0x1b, out.len) && strstr(h5ck_buf_cstr(&out), "\\x1b...'\n"));
    h5ck_buf_free(&b);
    h5ck_buf_free(&out);
}

int main(void)
{
    static const test_case cases[] = {
        {"writes what CPython writes", writes_what_cpython_writes},
        {"finds the golden values", finds_the_golden_values},
        {"every protocol says the same", every_protocol_says_the_same},
        {"finds NumPy arrays and scalars", finds_numpy_arrays_and_scalars},
        {"puts elements in order", puts_elements_in_order},
        {"brings back Paddle's decays", brings_back_paddles_decays},
        {"brings back Python 2's pickles", brings_back_python_2},
        {"tells Python 2's types apart", tells_python_2s_types_apart},
        {"decides who wrote a long", decides_who_wrote_a_long},
        {"writes Python 2's forms", writes_python_2s_forms},
        {"reads the text forms", reads_the_text_forms},
        {"reads what writers rarely use", reads_what_writers_rarely_use},
        {"keeps the first of equal keys", keeps_the_first_of_equal_keys},
        {"asks the policy", asks_the_policy},
        {"passes the policy's code on", passes_the_policys_code_on},
        {"refuses what is no plain data", refuses_what_is_no_plain_data},
        {"refuses more dimensions than NumPy has", refuses_more_dimensions_than_numpy_has},
        {"refuses a cut at every offset", refuses_a_cut_at_every_offset},
        {"survives any wrong byte", survives_any_wrong_byte},
        {"refuses depth", refuses_depth},
        {"allows the limit of depth", allows_the_limit_of_depth},
        {"refuses what would expand", refuses_what_would_expand},
        {"reads large dicts in no time", reads_large_dicts_in_no_time},
        {"brings back 20,000 boundaries", brings_back_20000_boundaries},
        {"refuses to write other names", refuses_to_write_other_names},
        {"writes every dtype of NumPy", writes_every_dtype_of_numpy},
        {"keeps odd bools", keeps_odd_bools},
        {"refuses an unknown type", refuses_an_unknown_type},
        {"lists opcodes", lists_opcodes},
        {"lists garbage", lists_garbage},
        {NULL, NULL},
    };
    return test_run("pickle", cases);
}
