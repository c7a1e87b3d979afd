/*
 * test_hdf5.c - the HDF5 form: what libhdf5 itself sees in our files, what comes back, strangers' files, hostile files.
 */
#include "test.h"

#include "base/le.h"
#include "format/format.h"
#include "hdf5/h5.h"
#include "move/digest.h"
#include "move/move.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* For the address sanitizer: libhdf5 1.10.8 loses some memory where a damaged file makes it fail. Ours is still
 * watched. */
#if defined(__GNUC__)
__attribute__((visibility("default"))) /* the sanitizer looks for it by name */
#endif
const char *
__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libhdf5\n";
}

static const h5ck_schema *schema;
static char notes[4096];

static void take_note(void *user, const char *line)
{
    (void)user;
    size_t n = strlen(notes);
    snprintf(notes + n, sizeof notes - n, "%s\n", line);
}

static const h5ck_log log_to_notes = {take_note, NULL};

/* ---- Making, writing, reading ---- */

static h5ckpt_state *new_state(void)
{
    h5ckpt_state *s = h5ckpt_state_new();
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    return s;
}

static const float ramp[64] = {0.5f, 1.5f, -2.0f, 3.25f, 4.0f, 5.0f, 6.0f, 7.0f, 8.0f};

static void add(h5ckpt_state *s, const char *name, h5ckpt_dtype dtype, size_t rank, const uint64_t *shape,
                const void *data)
{
    h5ckpt_error *err = NULL;
    h5ckpt_tensor_info info = {.name = name, .dtype = dtype, .rank = rank, .shape = shape};
    h5ckpt_state_add_tensor(s, 0, &info, data, &err);
    test_expect_none(&err);
}

static void add_floats(h5ckpt_state *s, const char *name)
{
    const uint64_t shape[] = {3};
    add(s, name, H5CKPT_DTYPE_FLOAT32, 1, shape, ramp);
}

static h5ckpt_value str(const char *text)
{
    return (h5ckpt_value){.type = H5CKPT_STR, .count = strlen(text), .as.str = text};
}

static h5ckpt_field field(const char *name, h5ckpt_value v)
{
    return (h5ckpt_field){str(name), v};
}

static h5ckpt_value integer(int64_t i)
{
    return (h5ckpt_value){.type = H5CKPT_INT, .as.i = i};
}

static h5ckpt_value real(double d)
{
    return (h5ckpt_value){.type = H5CKPT_FLOAT, .as.f = d};
}

static h5ckpt_value sequence(h5ckpt_value_type type, const h5ckpt_value *items, size_t count)
{
    return (h5ckpt_value){.type = type, .count = count, .as.items = items};
}

/* The base fields that make any class a decay. */
#define BASE field("step_num", integer(3)), field("step_size", integer(1)), field("dtype", str("float32"))

static void add_decay(h5ckpt_state *s, const char *name, const h5ckpt_field *fields, size_t count)
{
    h5ckpt_object o = {"my_schedules", "Mine", count, fields};
    h5ckpt_value v = {.type = H5CKPT_OBJECT, .as.object = &o}, copied;
    h5ckpt_error *err = NULL;
    h5ck_value_copy(&s->arena, &v, &copied, &err);
    h5ck_state_add_decay(s, name, &copied, NULL, NULL, &err);
    test_expect_none(&err);
}

static int write_as(const h5ckpt_state *s, const char *path, h5ckpt_digest digest, h5ckpt_error **err)
{
    h5ck_plan plan = {.target = path, .stage = path, .digest = digest, .schema = schema, .log = log_to_notes};
    const h5ck_move_options how = {.jobs = 1};
    unlink(path);
    int rc = h5ck_fmt_hdf5.plan(s, &plan, err);
    if (rc == 0)
        rc = h5ck_move(&plan, &how, err);
    h5ck_plan_free(&plan);
    return rc;
}

static const char *written(h5ckpt_state *s, const char *name)
{
    static char path[4096];
    h5ckpt_error *err = NULL;
    snprintf(path, sizeof path, "%s", test_tmp(name));
    write_as(s, path, H5CKPT_DIGEST_XXH3, &err);
    test_expect_none(&err);
    h5ckpt_state_free(s);
    return path;
}

static h5ckpt_state *read_as(const char *path, h5ckpt_error **err)
{
    h5ckpt_state *s = new_state();
    s->schema = schema;
    notes[0] = 0;
    if (h5ck_fmt_hdf5.read(path, s, &log_to_notes, err) == 0)
        return s;
    h5ckpt_state_free(s);
    return NULL;
}

static h5ckpt_state *read_back(const char *path)
{
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = read_as(path, &err);
    test_expect_none(&err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    return s;
}

static void refused(const char *path, const char *part)
{
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = read_as(path, &err);
    CU_ASSERT_PTR_NULL(s);
    h5ckpt_state_free(s);
    test_expect_error(&err, H5CKPT_INVALID, part);
}

static const h5ckpt_tensor *tensor(const h5ckpt_state *s, const char *name)
{
    const h5ckpt_tensor *t = h5ckpt_tensors_get(&s->parameters, name);
    CU_ASSERT_PTR_NOT_NULL_FATAL(t);
    return t;
}

static void has_bytes(const h5ckpt_state *s, const char *name, const void *data, size_t n)
{
    h5ckpt_error *err = NULL;
    const h5ckpt_tensor *t = tensor(s, name);
    CU_ASSERT_EQUAL_FATAL(t->info.nbytes, n);
    const void *found = h5ck_move_data(t, &err);
    test_expect_none(&err);
    CU_ASSERT_TRUE(found && memcmp(found, data, n) == 0);
}

/* ---- What libhdf5 sees ---- */

static void lays_tensors_out_plainly(void)
{
    h5ckpt_state *s = new_state();
    const uint64_t shape[] = {2, 4};
    add(s, "mlp/w", H5CKPT_DTYPE_FLOAT32, 2, shape, ramp);
    add_floats(s, "mlp/b");
    const char *path = written(s, "plain.h5");
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT), d = H5Dopen2(file, "/parameters/mlp/w", H5P_DEFAULT);
    hid_t type = H5Dget_type(d), list = H5Dget_create_plist(d);
    float found[8];
    CU_ASSERT(H5Tequal(type, H5T_IEEE_F32LE) > 0);
    CU_ASSERT_EQUAL(H5Pget_layout(list), H5D_CONTIGUOUS);
    CU_ASSERT_EQUAL(H5Dget_offset(d) % 64, 0);
    CU_ASSERT(H5Dread(d, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, found) >= 0);
    CU_ASSERT_EQUAL(memcmp(found, ramp, sizeof found), 0);
    CU_ASSERT(H5Aexists_by_name(file, "/parameters/mlp/b", "digest", H5P_DEFAULT) > 0);
    CU_ASSERT(H5Aexists_by_name(file, "/parameters/mlp/b", "name", H5P_DEFAULT) == 0);
    CU_ASSERT(H5Aexists_by_name(file, "/parameters/mlp/b", "order", H5P_DEFAULT) == 0);
    h5ck_hdf5_close(list);
    h5ck_hdf5_close(type);
    h5ck_hdf5_close(d);
    H5Fclose(file);
}

static void every_dtype_comes_back(void)
{
    unsigned char bytes[64];
    const uint64_t shape[] = {3};
    const h5ck_dtype *d;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i % 2);
    h5ckpt_state *s = new_state();
    for (size_t i = 0; (d = h5ck_dtype_at(i)); i++)
        add(s, d->name, d->id, 1, shape, bytes);
    s = read_back(written(s, "dtypes.h5"));
    for (size_t i = 0; (d = h5ck_dtype_at(i)); i++) {
        const h5ckpt_tensor *t = tensor(s, d->name);
        CU_ASSERT_EQUAL(t->info.dtype, d->id);
        CU_ASSERT_EQUAL(t->extent.kind, H5CK_EXTENT_FILE);
        CU_ASSERT_EQUAL(t->extent.offset % 64, 0);
        CU_ASSERT_EQUAL(strncmp(t->digest, "xxh3-128:", 9), 0);
        has_bytes(s, d->name, bytes, 3 * d->size);
    }
    h5ckpt_state_free(s);
}

static void scalars_and_empty_tensors_come_back(void)
{
    const uint64_t none[] = {0, 5};
    h5ckpt_state *s = new_state();
    add(s, "scalar", H5CKPT_DTYPE_FLOAT32, 0, NULL, ramp);
    add(s, "empty", H5CKPT_DTYPE_FLOAT32, 2, none, NULL);
    s = read_back(written(s, "shapes.h5"));
    CU_ASSERT_EQUAL(tensor(s, "scalar")->info.rank, 0);
    has_bytes(s, "scalar", ramp, 4);
    CU_ASSERT_EQUAL(tensor(s, "empty")->info.rank, 2);
    CU_ASSERT_EQUAL(tensor(s, "empty")->info.shape[1], 5);
    CU_ASSERT_PTR_NULL(tensor(s, "empty")->digest);
    h5ckpt_state_free(s);
}

static void lod_comes_back(void)
{
    const uint64_t shape[] = {5}, outer[] = {0, 2, 3}, inner[] = {0, 2, 2, 5};
    const h5ckpt_lod_level lod[] = {{3, outer}, {4, inner}};
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = new_state();
    h5ckpt_tensor_info info = {"x", H5CKPT_DTYPE_FLOAT32, 1, shape, 0, 2, lod};
    h5ckpt_state_add_tensor(s, 0, &info, ramp, &err);
    test_expect_none(&err);
    s = read_back(written(s, "lod.h5"));
    const h5ckpt_tensor_info *found = &tensor(s, "x")->info;
    CU_ASSERT_EQUAL_FATAL(found->lod_levels, 2);
    CU_ASSERT_EQUAL(found->lod[1].count, 4);
    CU_ASSERT_EQUAL(memcmp(found->lod[0].offsets, outer, sizeof outer), 0);
    CU_ASSERT_EQUAL(memcmp(found->lod[1].offsets, inner, sizeof inner), 0);
    h5ckpt_state_free(s);
}

/* ---- Names and order ---- */

static void names_come_back(const char *const *names, size_t count)
{
    h5ckpt_state *s = new_state();
    for (size_t i = 0; i < count; i++)
        add_floats(s, names[i]);
    s = read_back(written(s, "names.h5"));
    CU_ASSERT_EQUAL_FATAL(s->parameters.dict.count, count);
    for (size_t i = 0; i < count; i++)
        CU_ASSERT_STRING_EQUAL(s->parameters.dict.entries[i].key, names[i]);
    h5ckpt_state_free(s);
}

static void odd_names_come_back(void)
{
    static const char *const names[] = {"a/b",    "a",          "a%",         "/",          "//x", ".",
                                        "..",     "x/../y",     "x/.",        "x//",        "%2E", "%2F",
                                        "%",      "100% wool",  "größe/重み", "%/a",        "a/",  "/a",
                                        "a%/%2E", "parameters", "a/b/c",      "a/b/c%25/d", "\t\n"};
    names_come_back(names, sizeof names / sizeof *names);
}

static void interleaved_names_keep_their_order(void)
{
    static const char *const names[] = {"a/x", "b/y", "a/z", "b/a", "c"};
    names_come_back(names, 5);
    hid_t file = H5Fopen(test_tmp("names.h5"), H5F_ACC_RDONLY, H5P_DEFAULT);
    CU_ASSERT(H5Aexists_by_name(file, "/parameters/a/z", "order", H5P_DEFAULT) > 0);
    H5Fclose(file);
}

static void names_of_200_parts_come_back(void)
{
    char deep[1024] = "p0", beside[1040];
    for (int i = 1; i < 200; i++)
        strcat(deep, i % 2 ? "/q" : "/r");
    snprintf(beside, sizeof beside, "%s/deeper", deep);
    const char *const names[] = {deep, beside};
    names_come_back(names, 2);
}

static void names_of_more_than_1024_parts_are_refused(void)
{
    char deep[2200] = "p";
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = new_state();
    for (int i = 0; i < 1024; i++)
        strcat(deep, "/p");
    add_floats(s, deep);
    write_as(s, test_tmp("deep.h5"), H5CKPT_DIGEST_NONE, &err);
    test_expect_error(&err, H5CKPT_INVALID, "1024 parts");
    h5ckpt_state_free(s);
}

static void true_names_keep_their_links(void)
{
    h5ckpt_state *s = new_state();
    add_floats(s, "a");
    add_floats(s, "a/b");
    add_floats(s, "a%");
    const char *path = written(s, "links.h5");
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    CU_ASSERT(H5Lexists(file, "/parameters/a/b", H5P_DEFAULT) > 0);
    CU_ASSERT(H5Aexists_by_name(file, "/parameters/a%", "name", H5P_DEFAULT) == 0);
    CU_ASSERT(H5Aexists_by_name(file, "/parameters/a%%", "name", H5P_DEFAULT) > 0);
    H5Fclose(file);
}

/* ---- Decays ---- */

static void fields_come_back(const h5ckpt_field *fields, size_t count)
{
    h5ckpt_state *a = new_state();
    add_decay(a, "None", fields, count);
    h5ckpt_value before, *after;
    h5ck_arena arena = {NULL};
    h5ckpt_decay *d = h5ck_dict_get(&a->decays.dict, "None");
    h5ck_value_copy(&arena, d->info.value, &before, NULL);
    h5ckpt_state *b = read_back(written(a, "fields.h5"));
    d = h5ck_dict_get(&b->decays.dict, "None");
    CU_ASSERT_PTR_NOT_NULL_FATAL(d);
    after = (h5ckpt_value *)(uintptr_t)d->info.value;
    CU_ASSERT_TRUE(h5ck_value_equal(&before, after));
    const h5ckpt_object *x = before.as.object, *y = after->as.object;
    CU_ASSERT_EQUAL_FATAL(x->count, y->count);
    for (size_t i = 0; i < x->count; i++)
        if (!h5ck_value_equal(&x->fields[i].value, &y->fields[i].value))
            printf("field '%s' differs\n", x->fields[i].key.as.str);
    h5ckpt_state_free(b);
    h5ck_arena_free(&arena);
}

#define COUNT(a) (sizeof(a) / sizeof *(a))

static void values_of_every_kind_come_back(void)
{
    static const unsigned char raw[] = {0, 255, 7}, big[] = {0, 0, 0, 0, 0, 0, 0, 0, 1};
    static const int32_t i32 = 7;
    static const int64_t i64[2] = {7, -8};
    static const uint64_t two[] = {2}, square[] = {1, 2};
    const h5ckpt_array np32 = {H5CKPT_DTYPE_INT32, 1, 0, NULL, 4, &i32},
                       np64 = {H5CKPT_DTYPE_INT64, 1, 0, NULL, 8, i64};
    const h5ckpt_array a64 = {H5CKPT_DTYPE_INT64, 0, 1, two, 16, i64}, a0 = {H5CKPT_DTYPE_INT64, 0, 0, NULL, 8, i64};
    const h5ckpt_array a2 = {H5CKPT_DTYPE_INT64, 0, 2, square, 16, i64};
    const h5ckpt_value yes = {.type = H5CKPT_BOOL, .as.i = 1}, none = {.type = H5CKPT_NONE};
    const h5ckpt_value ints[] = {integer(1), integer(-2)}, mixed[] = {integer(1), real(0.1), yes};
    const h5ckpt_value huge[] = {integer(INT64_MAX), real(0.5)}, texts[] = {str(""), str("größe")};
    const h5ckpt_value any[] = {integer(1), none, str("x"), sequence(H5CKPT_TUPLE, ints, 2)}, flags[] = {yes, yes};
    const h5ckpt_value nested[] = {sequence(H5CKPT_LIST, ints, 2), sequence(H5CKPT_LIST, NULL, 0)};
    const h5ckpt_field pairs[] = {{integer(1), str("one")}, {real(2.5), none}, {none, integer(0)}};
    const h5ckpt_field table[] = {field("b", integer(1)), field("class", integer(2)), field("/", real(1))};
    const h5ckpt_object inner = {"my_schedules", "Inner", 3, (const h5ckpt_field[]){BASE}};
    const h5ckpt_field fields[] = {
        BASE,
        field("none", none),
        field("yes", yes),
        field("least", integer(INT64_MIN)),
        field("inf", real(INFINITY)),
        field("nan", real(NAN)),
        field("minus zero", real(-0.0)),
        field("text", str("größe 重み")),
        field("empty text", str("")),
        field("raw", (h5ckpt_value){.type = H5CKPT_BYTES, .count = 3, .as.bytes = raw}),
        field("big", (h5ckpt_value){.type = H5CKPT_BIGINT, .count = 9, .as.bytes = big}),
        field("ints", sequence(H5CKPT_LIST, ints, 2)),
        field("tuple", sequence(H5CKPT_TUPLE, ints, 2)),
        field("flags", sequence(H5CKPT_LIST, flags, 2)),
        field("mixed", sequence(H5CKPT_LIST, mixed, 3)),
        field("huge", sequence(H5CKPT_LIST, huge, 2)),
        field("texts", sequence(H5CKPT_TUPLE, texts, 2)),
        field("any", sequence(H5CKPT_LIST, any, 4)),
        field("nested", sequence(H5CKPT_TUPLE, nested, 2)),
        field("no list", sequence(H5CKPT_LIST, NULL, 0)),
        field("no tuple", sequence(H5CKPT_TUPLE, NULL, 0)),
        field("no table", (h5ckpt_value){.type = H5CKPT_DICT}),
        field("pairs", (h5ckpt_value){.type = H5CKPT_DICT, .count = 3, .as.fields = pairs}),
        field("table", (h5ckpt_value){.type = H5CKPT_DICT, .count = 3, .as.fields = table}),
        field("inner", (h5ckpt_value){.type = H5CKPT_OBJECT, .as.object = &inner}),
        field("np32", (h5ckpt_value){.type = H5CKPT_ARRAY, .as.array = &np32}),
        field("np64", (h5ckpt_value){.type = H5CKPT_ARRAY, .as.array = &np64}),
        field("a64", (h5ckpt_value){.type = H5CKPT_ARRAY, .as.array = &a64}),
        field("a0", (h5ckpt_value){.type = H5CKPT_ARRAY, .as.array = &a0}),
        field("a2", (h5ckpt_value){.type = H5CKPT_ARRAY, .as.array = &a2}),
        field("class", str("reserved")),
        field("module", integer(1)),
        field("python", integer(1)),
        field("fields", integer(1)),
        field("a:type", str("tuple")),
        field("a", integer(5)),
        field("", integer(6)),
        field("%", integer(7)),
        field("%41", integer(8)),
        field("A", integer(9)),
        field("a/b", sequence(H5CKPT_LIST, any, 4)),
        field(".", sequence(H5CKPT_LIST, any, 4)),
    };
    fields_come_back(fields, COUNT(fields));
}

static h5ckpt_value of_python2(h5ckpt_value v)
{
    v.python2 = 1;
    return v;
}

static void python2_values_come_back(void)
{
    static const unsigned char raw[] = {200, 1}, big[] = {0, 0, 0, 0, 0, 0, 0, 0, 1};
    const h5ckpt_value longs[] = {integer(1), of_python2(integer(2)), real(0.5)};
    const h5ckpt_value texts[] = {of_python2(str("str")), str("unicode")};
    h5ckpt_field fields[] = {
        BASE,
        field("text", of_python2(str("str"))),
        field("unicode", str("unicode")),
        field("long", of_python2(integer(5))),
        field("raw", of_python2((h5ckpt_value){.type = H5CKPT_BYTES, .count = 2, .as.bytes = raw})),
        field("big", of_python2((h5ckpt_value){.type = H5CKPT_BIGINT, .count = 9, .as.bytes = big})),
        field("longs", sequence(H5CKPT_LIST, longs, 3)),
        field("texts", sequence(H5CKPT_LIST, texts, 2)),
        field("odd key", integer(1)),
    };
    for (size_t i = 0; i + 1 < COUNT(fields); i++)
        fields[i].key.python2 = 1;
    fields_come_back(fields, COUNT(fields));
}

static void lists_past_64_KB_come_back(void)
{
    size_t counts[] = {8000, 8192, 20000, 1000000};
    for (size_t k = 0; k < COUNT(counts); k++) {
        h5ckpt_value *items = calloc(counts[k], sizeof *items);
        CU_ASSERT_PTR_NOT_NULL_FATAL(items);
        for (size_t i = 0; i < counts[k]; i++)
            items[i] = i % 3 ? integer((int64_t)i) : real((double)i + 0.5);
        const h5ckpt_field fields[] = {BASE, field("boundaries", sequence(H5CKPT_LIST, items, counts[k]))};
        fields_come_back(fields, COUNT(fields));
        free(items);
    }
}

static void optimizers_keep_names_and_order(void)
{
    static const char *const names[] = {"z", "None", "a/b", "..", "%2F", "größe 100%", "%"};
    const h5ckpt_field fields[] = {BASE};
    h5ckpt_state *s = new_state();
    for (size_t i = 0; i < COUNT(names); i++)
        add_decay(s, names[i], fields, COUNT(fields));
    s = read_back(written(s, "optimizers.h5"));
    CU_ASSERT_EQUAL_FATAL(s->decays.dict.count, COUNT(names));
    for (size_t i = 0; i < COUNT(names); i++)
        CU_ASSERT_STRING_EQUAL(s->decays.dict.entries[i].key, names[i]);
    h5ckpt_state_free(s);
}

static void metadata_comes_back(void)
{
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = new_state();
    h5ckpt_state_set_metadata(s, "author", "größe", &err);
    h5ckpt_state_set_metadata(s, "h5ckpt_version", "text", &err);
    test_expect_none(&err);
    s = read_back(written(s, "metadata.h5"));
    CU_ASSERT_EQUAL_FATAL(s->metadata.count, 2);
    CU_ASSERT_STRING_EQUAL(s->metadata.as.fields[0].value.as.str, "größe");
    CU_ASSERT_STRING_EQUAL(s->metadata.as.fields[1].key.as.str, "h5ckpt_version");
    h5ckpt_state_free(s);
}

/* ---- The same input, the same bytes ---- */

static h5ckpt_state *a_bit_of_all(void)
{
    const h5ckpt_value ints[] = {integer(1), str("x")};
    const h5ckpt_field fields[] = {BASE, field("rate", real(0.1)), field("list", sequence(H5CKPT_LIST, ints, 2))};
    h5ckpt_state *s = new_state();
    add_floats(s, "a/x");
    add_floats(s, "b");
    add_floats(s, "a");
    add_decay(s, "None", fields, COUNT(fields));
    return s;
}

static void is_deterministic(void)
{
    size_t n, m;
    unsigned char *a = test_read(written(a_bit_of_all(), "one.h5"), &n);
    unsigned char *b = test_read(written(a_bit_of_all(), "two.h5"), &m);
    CU_ASSERT_EQUAL_FATAL(n, m);
    CU_ASSERT_EQUAL(memcmp(a, b, n), 0);
    free(a);
    free(b);
}

static void the_hosts_error_handler_stays(void)
{
    H5E_auto2_t report = NULL;
    void *data = NULL;
    H5Eset_auto2(H5E_DEFAULT, (H5E_auto2_t)H5Eprint2, stderr);
    h5ckpt_state_free(read_back(written(a_bit_of_all(), "host.h5")));
    H5Eget_auto2(H5E_DEFAULT, &report, &data);
    CU_ASSERT(report == (H5E_auto2_t)H5Eprint2 && data == stderr);
}

static void explains_a_tensor_and_a_decay(void)
{
    h5ck_buf out = H5CK_BUF_INIT;
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = read_back(written(a_bit_of_all(), "explain.h5"));
    h5ck_fmt_hdf5.explain(s, tensor(s, "a/x"), NULL, &out, &err);
    h5ck_fmt_hdf5.explain(s, NULL, s->decays.dict.entries[0].value, &out, &err);
    test_expect_none(&err);
    const char *text = h5ck_buf_cstr(&out);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "dataset /parameters/a/x"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "layout: contiguous at offset"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "group /optimizers/None"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "attribute rate: little-endian float (float64)"));
    h5ck_buf_free(&out);
    h5ckpt_state_free(s);
}

/* What include and exclude do to a dictionary. */
static void explains_what_is_left_of_a_dictionary(void)
{
    h5ck_buf out = H5CK_BUF_INIT;
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = read_back(written(a_bit_of_all(), "left.h5"));
    h5ck_dict *dict = &s->parameters.dict;
    const h5ckpt_tensor *b = tensor(s, "b");
    dict->entries[0] = dict->entries[1];
    dict->count = 1;
    h5ck_fmt_hdf5.explain(s, b, NULL, &out, &err);
    test_expect_none(&err);
    CU_ASSERT_PTR_NOT_NULL(strstr(h5ck_buf_cstr(&out), "dataset /parameters/b,"));
    h5ck_buf_free(&out);
    h5ckpt_state_free(s);
}

/* ---- The file and the system ---- */

static int read_descriptor(const char *path, int how, h5ckpt_error **err)
{
    h5ck_hdf5_guard guard;
    h5ck_hdf5_file file;
    h5ck_fs_stat st;
    int fd = open(path, how | O_CLOEXEC);
    CU_ASSERT_FATAL(fd >= 0 && h5ck_fs_status(path, &st, err) == 0);
    h5ck_hdf5_enter(&guard);
    int rc = h5ck_hdf5_file_read(&file, fd, st.size, err);
    rc = h5ck_hdf5_file_close(&file, rc, err);
    h5ck_hdf5_leave(&guard);
    close(fd);
    return rc;
}

static void says_why_the_system_cannot_read(void)
{
    h5ckpt_error *err = NULL;
    const char *path = written(a_bit_of_all(), "reason.h5");
    CU_ASSERT_EQUAL(read_descriptor(path, O_RDONLY, &err), 0);
    test_expect_none(&err);
    CU_ASSERT_EQUAL(read_descriptor(path, O_WRONLY, &err), H5CKPT_SYSTEM);
    test_expect_error(&err, H5CKPT_SYSTEM, "cannot read: Bad file descriptor");
}

static void reads_the_descriptor_whatever_has_its_name(void)
{
    h5ckpt_error *err = NULL;
    h5ck_hdf5_guard guard;
    h5ck_hdf5_file file;
    h5ck_fs_stat st;
    const char *path = written(a_bit_of_all(), "name.h5");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    CU_ASSERT_FATAL(fd >= 0 && h5ck_fs_status(path, &st, &err) == 0);
    unlink(path);
    test_write(path, "another", 7);
    h5ck_hdf5_enter(&guard);
    int rc = h5ck_hdf5_file_read(&file, fd, st.size, &err);
    close(fd); /* the driver has its own */
    CU_ASSERT(rc == 0 && H5Lexists(file.id, "/parameters/b", H5P_DEFAULT) > 0);
    h5ck_hdf5_file_close(&file, rc, &err);
    h5ck_hdf5_leave(&guard);
    test_expect_none(&err);
}

/* A damaged length asks for more memory than there is: the file's fault. What we write has no such lengths. */
static void memory_that_libhdf5_lacks_is_the_files_or_the_systems(void)
{
    h5ckpt_error *err = NULL;
    h5ck_hdf5_guard guard;
    h5ck_hdf5_enter(&guard);
    H5Epush2(H5E_DEFAULT, "file", "function", 1, H5E_ERR_CLS, H5E_RESOURCE, H5E_NOSPACE, "memory allocation failed");
    CU_ASSERT_EQUAL(h5ck_hdf5_fail(&err, H5CKPT_SYSTEM, "cannot create"), H5CKPT_SYSTEM);
    test_expect_error(&err, H5CKPT_SYSTEM, "out of memory");
    H5Epush2(H5E_DEFAULT, "file", "function", 1, H5E_ERR_CLS, H5E_RESOURCE, H5E_NOSPACE, "memory allocation failed");
    CU_ASSERT_EQUAL(h5ck_hdf5_fail(&err, H5CKPT_INVALID, "cannot open"), H5CKPT_INVALID);
    h5ck_hdf5_leave(&guard);
    test_expect_error(&err, H5CKPT_INVALID, "memory allocation failed");
}

static void refuses_a_file_that_is_being_written(void)
{
    h5ckpt_error *err = NULL;
    const char *path = written(a_bit_of_all(), "locked.h5");
    int fd = open(path, O_RDWR | O_CLOEXEC);
    bool locks = !getenv("HDF5_USE_FILE_LOCKING") && flock(fd, LOCK_EX | LOCK_NB) == 0;
    close(fd);
    if (!locks)
        return;
    hid_t writer = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    CU_ASSERT_FATAL(writer >= 0);
    CU_ASSERT_PTR_NULL(read_as(path, &err));
    test_expect_error(&err, H5CKPT_SYSTEM, "another program is writing the file");
    H5Fclose(writer);
    hid_t reader = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    h5ckpt_state_free(read_back(path)); /* beside other readers */
    H5Fclose(reader);
}

/* ---- Strangers' files ---- */

static hid_t stranger(const char *name)
{
    return H5Fcreate(test_tmp(name), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
}

static void put_dataset(hid_t at, const char *name, hid_t type, hid_t memory, int rank, const hsize_t *dims, hid_t list,
                        const void *data)
{
    hid_t space = rank ? H5Screate_simple(rank, dims, NULL) : H5Screate(H5S_SCALAR);
    hid_t d = H5Dcreate2(at, name, type, space, H5P_DEFAULT, list, H5P_DEFAULT);
    CU_ASSERT(d >= 0);
    if (data)
        CU_ASSERT(H5Dwrite(d, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0);
    H5Dclose(d);
    H5Sclose(space);
}

static void put_attr(hid_t object, const char *name, hid_t type, hid_t memory, int rank, const hsize_t *dims,
                     const void *data)
{
    hid_t space = rank ? H5Screate_simple(rank, dims, NULL) : H5Screate(H5S_SCALAR);
    hid_t a = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    CU_ASSERT(a >= 0 && H5Awrite(a, memory, data) >= 0);
    H5Aclose(a);
    H5Sclose(space);
}

enum { ROWS = 70, COLUMNS = 33 };

static hid_t chunked(bool filtered)
{
    const hsize_t chunk[] = {16, 8};
    hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(list, 2, chunk);
    if (filtered) {
        H5Pset_shuffle(list);
        H5Pset_deflate(list, 4);
    }
    return list;
}

static void decodes_chunks_and_byte_orders(void)
{
    static int32_t grid[ROWS * COLUMNS];
    const hsize_t dims[] = {ROWS, COLUMNS};
    for (int i = 0; i < ROWS * COLUMNS; i++)
        grid[i] = i * 7919;
    hid_t file = stranger("chunks.h5"),
          lists[] = {chunked(true), chunked(false), H5P_DEFAULT, H5Pcreate(H5P_DATASET_CREATE)};
    H5Pset_layout(lists[3], H5D_COMPACT);
    put_dataset(file, "gzip", H5T_STD_I32LE, H5T_NATIVE_INT32, 2, dims, lists[0], grid);
    put_dataset(file, "chunks", H5T_STD_I32BE, H5T_NATIVE_INT32, 2, dims, lists[1], grid);
    put_dataset(file, "big", H5T_STD_I32BE, H5T_NATIVE_INT32, 2, dims, lists[2], grid);
    put_dataset(file, "compact", H5T_STD_I32LE, H5T_NATIVE_INT32, 2, dims, lists[3], grid);
    H5Pclose(lists[0]);
    H5Pclose(lists[1]);
    H5Pclose(lists[3]);
    H5Fclose(file);
    h5ckpt_state *s = read_back(test_tmp("chunks.h5"));
    static const char *const names[] = {"gzip", "chunks", "big", "compact"};
    for (size_t i = 0; i < COUNT(names); i++) {
        CU_ASSERT_EQUAL(tensor(s, names[i])->extent.kind, H5CK_EXTENT_DECODER);
        has_bytes(s, names[i], grid, sizeof grid);
        h5ckpt_error *err = NULL; /* any range, at any byte */
        for (size_t at = 0; at < sizeof grid; at += 37) {
            unsigned char part[1000];
            size_t n = (at * 13) % sizeof part;
            n = at + n > sizeof grid ? sizeof grid - at : n;
            h5ck_move_read(tensor(s, names[i]), at, part, n, &err);
            CU_ASSERT_EQUAL(memcmp(part, (const char *)grid + at, n), 0);
        }
        test_expect_none(&err);
    }
    h5ckpt_state_free(s);
}

static void reads_behind_a_user_block(void)
{
    static int32_t grid[ROWS * COLUMNS] = {5, 6, 7};
    const hsize_t dims[] = {ROWS, COLUMNS};
    const char *path = test_tmp("block.h5"), *value = "behind";
    hid_t list = H5Pcreate(H5P_FILE_CREATE), access = H5Pcreate(H5P_FILE_ACCESS), chunks = chunked(true);
    H5Pset_userblock(list, 1024);
    H5Pset_libver_bounds(access, H5F_LIBVER_LATEST, H5F_LIBVER_LATEST);
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, list, access), text = h5ck_hdf5_type_text_new();
    put_dataset(file, "plain", H5T_STD_I32LE, H5T_NATIVE_INT32, 2, dims, H5P_DEFAULT, grid);
    put_dataset(file, "gzip", H5T_STD_I32LE, H5T_NATIVE_INT32, 2, dims, chunks, grid);
    put_attr(file, "where", text, text, 0, NULL, &value);
    H5Tclose(text);
    H5Pclose(chunks);
    H5Pclose(access);
    H5Pclose(list);
    H5Fclose(file);
    h5ckpt_state *s = read_back(path);
    has_bytes(s, "plain", grid, sizeof grid);
    has_bytes(s, "gzip", grid, sizeof grid);
    CU_ASSERT_STRING_EQUAL(s->metadata.as.fields[0].value.as.str, value);
    h5ckpt_state_free(s);
}

static void a_file_that_shrinks_is_told_as_that(void)
{
    static int32_t grid[ROWS * COLUMNS];
    const hsize_t dims[] = {ROWS, COLUMNS};
    hid_t file = stranger("shrinks.h5"), list = chunked(false);
    put_dataset(file, "x", H5T_STD_I32LE, H5T_NATIVE_INT32, 2, dims, list, grid);
    H5Pclose(list);
    H5Fclose(file);
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = read_back(test_tmp("shrinks.h5"));
    CU_ASSERT_EQUAL(truncate(test_tmp("shrinks.h5"), 1000), 0);
    CU_ASSERT_PTR_NULL(h5ck_move_data(tensor(s, "x"), &err));
    test_expect_error(&err, H5CKPT_INVALID, "found the end of the file");
    h5ckpt_state_free(s);
}

/* Lengths of 4 bytes leave a gap behind an object's header in a heap. The damaged text claims too much by that gap. */
static void texts_of_4_byte_lengths_stay_in_their_heap(void)
{
    const char *path = test_tmp("lengths.h5"), *value = "largely";
    unsigned char address[8], *reference = NULL;
    size_t n, heap = 0;
    hid_t list = H5Pcreate(H5P_FILE_CREATE), text = h5ck_hdf5_type_text_new(), space = H5Screate(H5S_SCALAR);
    H5Pset_sizes(list, 8, 4);
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, list, H5P_DEFAULT);
    hid_t a = H5Acreate2(file, "how", text, space, H5P_DEFAULT, H5P_DEFAULT);
    CU_ASSERT_FATAL(H5Awrite(a, text, &value) >= 0);
    H5Aclose(a);
    H5Fclose(file);
    H5Pclose(list);
    H5Tclose(text);
    H5Sclose(space);
    h5ckpt_state *s = read_back(path);
    CU_ASSERT_EQUAL_FATAL(s->metadata.count, 1);
    CU_ASSERT_STRING_EQUAL(s->metadata.as.fields[0].value.as.str, value);
    h5ckpt_state_free(s);

    unsigned char *bytes = test_read(path, &n);
    while (heap + 16 < n && memcmp(bytes + heap, "GCOL", 4) != 0)
        heap++;
    CU_ASSERT_FATAL(heap + 32 < n);
    uint64_t size = h5ck_le_get(bytes + heap + 8, 4), most = size - 16 - 12;
    h5ck_le_put(address, heap, 8);
    for (size_t i = 4; i + 8 < n && !reference; i++)
        if (memcmp(bytes + i, address, 8) == 0 && h5ck_le_get(bytes + i - 4, 4) == strlen(value))
            reference = bytes + i - 4;
    CU_ASSERT_FATAL(reference != NULL && heap + size <= n);
    h5ck_le_put(reference, most, 4);
    h5ck_le_put(bytes + heap + 16 + 8, most, 4);
    memset(bytes + heap + 32, 'x', (size_t)size - 32);
    test_write(path, bytes, n);
    free(bytes);
    refused(path, "expected an object inside of its heap");
}

static void reads_strangers_types(void)
{
    const hsize_t two[] = {2};
    const double pair[] = {1, 2, 3, 4};
    const unsigned char half[] = {0, 0x3c, 0, 0xc0}, flags[] = {0, 1};
    hid_t file = stranger("types.h5"), complex_type = H5Tcreate(H5T_COMPOUND, 16);
    H5Tinsert(complex_type, "real", 0, H5T_NATIVE_DOUBLE);
    H5Tinsert(complex_type, "imag", 8, H5T_NATIVE_DOUBLE);
    hid_t half_type = h5ck_hdf5_type_new(h5ck_dtype_get(H5CKPT_DTYPE_FLOAT16));
    hid_t bool_type = h5ck_hdf5_type_new(h5ck_dtype_get(H5CKPT_DTYPE_BOOL)), text = H5Tcopy(H5T_C_S1);
    put_dataset(file, "complex", complex_type, complex_type, 1, two, H5P_DEFAULT, pair);
    put_dataset(file, "half", half_type, half_type, 1, two, H5P_DEFAULT, half);
    put_dataset(file, "bool", bool_type, bool_type, 1, two, H5P_DEFAULT, flags);
    put_dataset(file, "scalar", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 0, NULL, H5P_DEFAULT, pair);
    put_dataset(file, "text", text, text, 1, two, H5P_DEFAULT, "ab");
    H5Lcreate_soft("/scalar", file, "soft", H5P_DEFAULT, H5P_DEFAULT);
    H5Tclose(complex_type);
    H5Tclose(half_type);
    H5Tclose(bool_type);
    H5Tclose(text);
    H5Fclose(file);
    h5ckpt_state *s = read_back(test_tmp("types.h5"));
    CU_ASSERT_EQUAL(s->parameters.dict.count, 4);
    CU_ASSERT_EQUAL(tensor(s, "complex")->info.dtype, H5CKPT_DTYPE_COMPLEX128);
    CU_ASSERT_EQUAL(tensor(s, "half")->info.dtype, H5CKPT_DTYPE_FLOAT16);
    CU_ASSERT_EQUAL(tensor(s, "bool")->info.dtype, H5CKPT_DTYPE_BOOL);
    has_bytes(s, "complex", pair, 32);
    has_bytes(s, "half", half, 4);
    has_bytes(s, "scalar", pair, 8);
    CU_ASSERT_PTR_NOT_NULL(strstr(notes, "/text: passed over: no element type: 1-byte string"));
    CU_ASSERT_PTR_NOT_NULL(strstr(notes, "/soft: passed over: a soft link"));
    h5ckpt_state_free(s);
}

static void refuses_external_storage(void)
{
    const hsize_t two[] = {2};
    hid_t file = stranger("external.h5"), list = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_external(list, "/etc/passwd", 0, 8);
    put_dataset(file, "x", H5T_STD_I32LE, H5T_NATIVE_INT32, 1, two, list, NULL);
    H5Pclose(list);
    H5Fclose(file);
    refused(test_tmp("external.h5"), "'/x': expected data in this file, found external storage");
}

static void refuses_external_links(void)
{
    hid_t file = stranger("link.h5");
    H5Lcreate_external("/etc/passwd", "/x", file, "x", H5P_DEFAULT, H5P_DEFAULT);
    H5Fclose(file);
    refused(test_tmp("link.h5"), "'/x': expected data in this file, found an external link");
}

static void refuses_virtual_datasets(void)
{
    const hsize_t two[] = {2};
    hid_t file = stranger("virtual.h5"), list = H5Pcreate(H5P_DATASET_CREATE), space = H5Screate_simple(1, two, NULL);
    H5Pset_virtual(list, space, "other.h5", "x", space);
    put_dataset(file, "x", H5T_STD_I32LE, H5T_NATIVE_INT32, 1, two, list, NULL);
    H5Sclose(space);
    H5Pclose(list);
    H5Fclose(file);
    refused(test_tmp("virtual.h5"), "'/x': expected data in this file, found a virtual dataset");
}

static void refuses_chunks_that_the_file_cannot_explain(void)
{
    const hsize_t dims[] = {1u << 28};
    hid_t file = stranger("bomb.h5"), list = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(list, 1, dims);
    put_dataset(file, "x", H5T_STD_I32LE, H5T_NATIVE_INT32, 1, dims, list, NULL);
    H5Pclose(list);
    H5Fclose(file);
    refused(test_tmp("bomb.h5"), "'/x': expected chunks that the file can explain, found chunks of 1073741824 bytes");
}

static void cycles_of_groups_end(void)
{
    hid_t file = stranger("cycle.h5"), group = H5Gcreate2(file, "g", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    put_dataset(group, "x", H5T_STD_I32LE, H5T_NATIVE_INT32, 0, NULL, H5P_DEFAULT, ramp);
    H5Lcreate_hard(file, "/", group, "root", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_hard(file, "/g", group, "self", H5P_DEFAULT, H5P_DEFAULT);
    H5Gclose(group);
    H5Fclose(file);
    h5ckpt_state *s = read_back(test_tmp("cycle.h5"));
    CU_ASSERT_EQUAL(s->parameters.dict.count, 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(notes, "/g/self: passed over: a second link to one group"));
    h5ckpt_state_free(s);
}

/* ---- Our files, changed by others ---- */

static hid_t reopened(const char *name)
{
    const char *path = written(a_bit_of_all(), name);
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    CU_ASSERT_FATAL(file >= 0);
    return file;
}

static void takes_edited_attributes(void)
{
    const hsize_t two[] = {2};
    const int ints[] = {5, -6};
    const double d = 0.25;
    hid_t file = reopened("edited.h5"), group = H5Gopen2(file, "/optimizers/None", H5P_DEFAULT),
          text = H5Tcopy(H5T_FORTRAN_S1);
    H5Tset_size(text, 6);
    put_attr(group, "i32", H5T_STD_I32BE, H5T_NATIVE_INT, 0, NULL, ints);
    put_attr(group, "numbers", H5T_STD_I64BE, H5T_NATIVE_INT, 1, two, ints);
    put_attr(group, "double", H5T_IEEE_F64BE, H5T_NATIVE_DOUBLE, 0, NULL, &d);
    put_attr(group, "text", text, text, 0, NULL, "abc   ");
    H5Tclose(text);
    H5Gclose(group);
    H5Fclose(file);
    h5ckpt_state *s = read_back(test_tmp("edited.h5"));
    const h5ckpt_decay *decay = s->decays.dict.entries[0].value;
    const h5ckpt_value *i32 = h5ckpt_value_get(decay->info.value, "i32"),
                       *list = h5ckpt_value_get(decay->info.value, "numbers");
    CU_ASSERT(i32 && i32->type == H5CKPT_ARRAY && i32->as.array->scalar && i32->as.array->dtype == H5CKPT_DTYPE_INT32);
    CU_ASSERT(list && list->type == H5CKPT_LIST);
    CU_ASSERT_EQUAL(h5ckpt_value_get(decay->info.value, "double")->as.f, 0.25);
    CU_ASSERT_STRING_EQUAL(h5ckpt_value_get(decay->info.value, "text")->as.str, "abc");
    h5ckpt_state_free(s);
}

static void refuses_another_version(void)
{
    const int two = 2;
    hid_t file = reopened("version.h5");
    H5Adelete(file, "h5ckpt_version");
    put_attr(file, "h5ckpt_version", H5T_STD_I64LE, H5T_NATIVE_INT, 0, NULL, &two);
    H5Fclose(file);
    refused(test_tmp("version.h5"), "expected version 1 of h5ckpt's form of HDF5, found 2");
}

static void hostile_attribute(const char *object, const char *name, hid_t type, hid_t memory, const void *data,
                              const char *part)
{
    const hsize_t three[] = {3};
    bool list = strncmp(name, "lod_", 4) == 0;
    hid_t file = reopened("hostile.h5"), o = H5Oopen(file, object, H5P_DEFAULT);
    if (H5Aexists(o, name) > 0)
        H5Adelete(o, name);
    put_attr(o, name, type, memory, list ? 1 : 0, three, data);
    H5Oclose(o);
    H5Fclose(file);
    refused(test_tmp("hostile.h5"), part);
}

static void refuses_hostile_attributes(void)
{
    const int down[] = {0, 2, 1}, minus[] = {0, -1, 3}, one = 1;
    const char *second = "b", *marker = "list iff", *unknown = "what";
    hid_t text = h5ck_hdf5_type_text_new();
    hostile_attribute("/parameters/b", "lod_0", H5T_STD_I64LE, H5T_NATIVE_INT, down, "expected ascending offsets");
    hostile_attribute("/parameters/b", "lod_0", H5T_STD_I64LE, H5T_NATIVE_INT, minus, "expected a list of offsets");
    hostile_attribute("/parameters/b", "lod_7", H5T_STD_I64LE, H5T_NATIVE_INT, down, "found level 7");
    hostile_attribute("/parameters/b", "name", H5T_STD_I64LE, H5T_NATIVE_INT, &one, "expected one string");
    hostile_attribute("/parameters/b", "order", text, text, &second, "expected one integer");
    hostile_attribute("/parameters/a/x", "name", text, text, &second, "found a second tensor");
    hostile_attribute("/optimizers/None", "rate:type", text, text, &marker, "fits the marker 'list iff'");
    hostile_attribute("/optimizers/None", "rate:type", text, text, &unknown, "fits the marker 'what'");
    hostile_attribute("/optimizers/None", "list:type", text, text, &unknown, "expected a marker of a group");
    hostile_attribute("/optimizers/None", "ref", H5T_STD_REF_OBJ, H5T_STD_REF_OBJ, down,
                      "expected text, numbers or nothing");
    H5Tclose(text);
}

static void hostile_text(const char *marker)
{
    const unsigned char bytes[] = {'a', 0, 0xff};
    const hsize_t three[] = {3};
    hid_t file = reopened("bytes.h5"), group = H5Gopen2(file, "/optimizers/None", H5P_DEFAULT);
    hid_t text = h5ck_hdf5_type_text_new();
    put_attr(group, "raw", H5T_STD_U8LE, H5T_NATIVE_UCHAR, 1, three, bytes);
    put_attr(group, "raw:type", text, text, 0, NULL, &marker);
    H5Tclose(text);
    H5Gclose(group);
    H5Fclose(file);
}

static void text_in_bytes_is_utf8(void)
{
    hostile_text("str");
    refused(test_tmp("bytes.h5"), "expected text in UTF-8");
    hostile_text("unicode");
    refused(test_tmp("bytes.h5"), "expected text in UTF-8");
    hostile_text("bytes");
    h5ckpt_state_free(read_back(test_tmp("bytes.h5")));
}

/* Enough tensors for several heaps of texts, one without elements among them. Each digest is held against a fresh one
 * of the elements; metadata of the same length stays what it is. */
static void each_tensor_gets_its_own_digest(void)
{
    enum { COUNT = 300, EMPTY = 150 };
    static uint64_t data[COUNT];
    const uint64_t one[] = {1}, none[] = {0};
    char name[16], text[H5CK_DIGEST_TEXT];
    const char *blanks = "                                         "; /* 41, as many as a digest has */
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = new_state();
    for (size_t i = 0; i < COUNT; i++) {
        data[i] = i * 0x9E3779B97F4A7C15;
        snprintf(name, sizeof name, "t%zu", i);
        add(s, name, H5CKPT_DTYPE_UINT64, 1, i == EMPTY ? none : one, &data[i]);
    }
    h5ckpt_state_set_metadata(s, "blanks", blanks, &err);
    s = read_back(written(s, "digests.h5"));
    h5ck_digest *d = h5ck_digest_new(H5CKPT_DIGEST_XXH3);
    CU_ASSERT_EQUAL_FATAL(s->parameters.dict.count, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        const h5ckpt_tensor *t = s->parameters.dict.entries[i].value;
        h5ck_digest_reset(d);
        h5ck_digest_update(d, &data[i], sizeof data[i]);
        h5ck_digest_text(d, text, &err);
        CU_ASSERT_TRUE(i == EMPTY ? !t->digest : t->digest && strcmp(t->digest, text) == 0);
    }
    CU_ASSERT_STRING_EQUAL(h5ckpt_value_get(&s->metadata, "blanks")->as.str, blanks);
    h5ck_digest_free(d);
    h5ckpt_state_free(s);
    test_expect_none(&err);
}

static void digests_are_digests_or_of_another_kind(void)
{
    const char *cut = "xxh3-128:00", *none = "0123", *other = "blake3:00ff";
    hid_t text = h5ck_hdf5_type_text_new();
    hostile_attribute("/parameters/b", "digest", text, text, &cut, "'/parameters/b': expected a digest");
    hostile_attribute("/parameters/b", "digest", text, text, &none, "'/parameters/b': expected a digest");
    hid_t file = reopened("kinds.h5");
    static const char *const names[] = {"/parameters/b", "/parameters/a%"};
    for (size_t i = 0; i < COUNT(names); i++) {
        hid_t d = H5Oopen(file, names[i], H5P_DEFAULT);
        CU_ASSERT_FATAL(d >= 0);
        H5Adelete(d, "digest");
        put_attr(d, "digest", text, text, 0, NULL, &other);
        H5Oclose(d);
    }
    H5Fclose(file);
    H5Tclose(text);
    h5ckpt_state *s = read_back(test_tmp("kinds.h5"));
    CU_ASSERT_PTR_NULL(tensor(s, "b")->digest);
    CU_ASSERT_PTR_NOT_NULL(tensor(s, "a/x")->digest);
    const char *note = strstr(notes, "digests of an unknown kind (blake3:...) are not checked");
    CU_ASSERT_PTR_NOT_NULL_FATAL(note);
    CU_ASSERT_PTR_NULL(strstr(note + 1, "digests of")); /* once */
    h5ckpt_state_free(s);
}

/* ---- Damage ---- */

static void refuses_a_cut_at_every_offset(void)
{
    size_t n;
    unsigned char *bytes = test_read(written(a_bit_of_all(), "whole.h5"), &n);
    const char *path = test_tmp("cut.h5");
    for (size_t cut = 0; cut < n; cut++) {
        test_write(path, bytes, cut);
        h5ckpt_error *err = NULL;
        h5ckpt_state *s = read_as(path, &err);
        if (s || !err || err->code != H5CKPT_INVALID)
            printf("cut at %zu of %zu: %s\n", cut, n, err ? err->message : "accepted");
        CU_ASSERT_FATAL(!s && err && err->code == H5CKPT_INVALID);
        h5ckpt_error_free(err);
    }
    free(bytes);
}

/* Whatever a flipped byte does, nothing crashes, and what is accepted can be read or says why not. */
static void survives_flipped_bytes(void)
{
    size_t n;
    unsigned char *bytes = test_read(written(a_bit_of_all(), "whole.h5"), &n);
    const char *path = test_tmp("flip.h5"), *count = getenv("H5CKPT_FLIPS");
    uint64_t seed = 42;
    for (int i = count ? atoi(count) : 500; i > 0; i--) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        size_t at = (size_t)(seed >> 33) % n;
        unsigned char old = bytes[at];
        bytes[at] ^= (unsigned char)(1u << (seed >> 20 & 7));
        test_write(path, bytes, n);
        bytes[at] = old;
        h5ckpt_error *err = NULL;
        h5ckpt_state *s = read_as(path, &err);
        CU_ASSERT_FATAL((s != NULL) != (err != NULL));
        for (size_t k = 0; s && k < s->parameters.dict.count; k++) {
            h5ckpt_error *why = NULL;
            const h5ckpt_tensor *t = s->parameters.dict.entries[k].value;
            CU_ASSERT((h5ck_move_data(t, &why) != NULL) != (why != NULL));
            h5ckpt_error_free(why);
        }
        h5ckpt_state_free(s);
        h5ckpt_error_free(err);
    }
    free(bytes);
}

int main(void)
{
    static const test_case cases[] = {
        {"lays tensors out plainly", lays_tensors_out_plainly},
        {"every dtype comes back", every_dtype_comes_back},
        {"scalars and empty tensors come back", scalars_and_empty_tensors_come_back},
        {"lod comes back", lod_comes_back},
        {"odd names come back", odd_names_come_back},
        {"interleaved names keep their order", interleaved_names_keep_their_order},
        {"names of 200 parts come back", names_of_200_parts_come_back},
        {"names of more than 1024 parts are refused", names_of_more_than_1024_parts_are_refused},
        {"true names keep their links", true_names_keep_their_links},
        {"values of every kind come back", values_of_every_kind_come_back},
        {"python 2 values come back", python2_values_come_back},
        {"lists past 64 KB come back", lists_past_64_KB_come_back},
        {"optimizers keep names and order", optimizers_keep_names_and_order},
        {"metadata comes back", metadata_comes_back},
        {"is deterministic", is_deterministic},
        {"the host's error handler stays", the_hosts_error_handler_stays},
        {"explains a tensor and a decay", explains_a_tensor_and_a_decay},
        {"explains what is left of a dictionary", explains_what_is_left_of_a_dictionary},
        {"says why the system cannot read", says_why_the_system_cannot_read},
        {"reads the descriptor whatever has its name", reads_the_descriptor_whatever_has_its_name},
        {"memory that libhdf5 lacks is no damage", memory_that_libhdf5_lacks_is_the_files_or_the_systems},
        {"refuses a file that is being written", refuses_a_file_that_is_being_written},
        {"decodes chunks and byte orders", decodes_chunks_and_byte_orders},
        {"reads behind a user block", reads_behind_a_user_block},
        {"a file that shrinks is told as that", a_file_that_shrinks_is_told_as_that},
        {"texts of 4-byte lengths stay in their heap", texts_of_4_byte_lengths_stay_in_their_heap},
        {"reads strangers' types", reads_strangers_types},
        {"refuses external storage", refuses_external_storage},
        {"refuses external links", refuses_external_links},
        {"refuses virtual datasets", refuses_virtual_datasets},
        {"refuses chunks that the file cannot explain", refuses_chunks_that_the_file_cannot_explain},
        {"cycles of groups end", cycles_of_groups_end},
        {"takes edited attributes", takes_edited_attributes},
        {"refuses another version", refuses_another_version},
        {"refuses hostile attributes", refuses_hostile_attributes},
        {"text in bytes is UTF-8", text_in_bytes_is_utf8},
        {"each tensor gets its own digest", each_tensor_gets_its_own_digest},
        {"digests are digests or of another kind", digests_are_digests_or_of_another_kind},
        {"refuses a cut at every offset", refuses_a_cut_at_every_offset},
        {"survives flipped bytes", survives_flipped_bytes},
        {NULL, NULL},
    };
    h5ckpt_error *err = NULL;
    if (h5ck_schema_builtin(NULL, &schema, &err)) {
        h5ckpt_error_free(err);
        return 1;
    }
    int rc = test_run("hdf5", cases);
    h5ck_schema_free(schema);
    return rc;
}
