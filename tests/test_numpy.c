/* test_numpy.c - npz and npy: NumPy's own files read, and written again as NumPy writes them. */
#include "base/le.h"
#include "parse/npy.h"
#include "test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- What the fixtures hold: tests/fixtures/make_numpy.py ---- */

typedef struct array {
    const char *name;
    const char *dtype;
    size_t rank;
    uint64_t shape[4];
} array;

static const array arrays[] = {
    {"dense/kernel", "float32", 2, {4, 3}},
    {"fortran", "float64", 3, {2, 3, 2}},
    {"fortran_row", "float32", 3, {1, 4, 1}},
    {"big", "float32", 2, {2, 3}},
    {"big_fortran", "complex64", 2, {2, 3}},
    {"scalar", "float32", 0, {0}},
    {"empty", "float64", 2, {0, 3}},
    {"bool", "bool", 1, {5}},
    {"int8", "int8", 1, {3}},
    {"uint8", "uint8", 1, {3}},
    {"int16", "int16", 1, {3}},
    {"uint16_big", "uint16", 1, {3}},
    {"int32", "int32", 1, {3}},
    {"uint32", "uint32", 1, {3}},
    {"int64", "int64", 1, {3}},
    {"uint64", "uint64", 1, {3}},
    {"float16", "float16", 1, {3}},
    {"complex128", "complex128", 1, {3}},
    {"bfloat16", "bfloat16", 1, {3}},
    {"gr\xc3\xb6\xc3\x9f"
     "e",
     "float32",
     1,
     {2}},
};

enum { ARRAYS = sizeof arrays / sizeof *arrays };

/* The element i of each. */
static double made(const h5ckpt_tensor_info *info, uint64_t i)
{
    const char *name = h5ckpt_dtype_name(info->dtype);
    if (*name == 'b' && name[1] == 'o')
        return (double)(i % 2);
    if (*name == 'u')
        return (double)(i % 2);
    return (double)i * (*name == 'i' ? 1 : 0.5) - 2;
}

/* A number of any dtype as a double; of a complex one the real part. */
static double number(h5ckpt_dtype dtype, const unsigned char *p)
{
    uint64_t bits = h5ck_le_get(p, h5ckpt_dtype_size(dtype) > 8 ? 8 : (unsigned)h5ckpt_dtype_size(dtype));
    uint32_t word = (uint32_t)bits;
    float f;
    switch (dtype) {
    case H5CKPT_DTYPE_INT8:
        return (int8_t)bits;
    case H5CKPT_DTYPE_INT16:
        return (int16_t)bits;
    case H5CKPT_DTYPE_INT32:
        return (int32_t)bits;
    case H5CKPT_DTYPE_INT64:
        return (double)(int64_t)bits;
    case H5CKPT_DTYPE_FLOAT16:
        return ldexp((double)((word & 0x3ff) | 0x400), (int)(word >> 10 & 31) - 25) * (word >> 15 ? -1 : 1);
    case H5CKPT_DTYPE_FLOAT8_E5M2:
        return ldexp((double)((word & 3) | 4), (int)(word >> 2 & 31) - 17) * (word >> 7 ? -1 : 1);
    case H5CKPT_DTYPE_BFLOAT16:
        word <<= 16;
        memcpy(&f, &word, sizeof f);
        return (double)f;
    case H5CKPT_DTYPE_FLOAT32:
    case H5CKPT_DTYPE_COMPLEX64:
        memcpy(&f, &word, sizeof f);
        return (double)f;
    case H5CKPT_DTYPE_FLOAT64:
    case H5CKPT_DTYPE_COMPLEX128:
        return h5ck_f64_from_bits(bits);
    default:
        return (double)bits;
    }
}

static void check_tensor(const h5ckpt_tensor *t, const array *a)
{
    h5ckpt_error *err = NULL;
    const h5ckpt_tensor_info *info = h5ckpt_tensor_get_info(t);
    uint64_t count = 1;
    CU_ASSERT_STRING_EQUAL(info->name, a->name);
    CU_ASSERT_STRING_EQUAL(h5ckpt_dtype_name(info->dtype), a->dtype);
    CU_ASSERT_EQUAL_FATAL(info->rank, a->rank);
    for (size_t i = 0; i < a->rank; i++) {
        CU_ASSERT_EQUAL(info->shape[i], a->shape[i]);
        count *= a->shape[i];
    }
    const unsigned char *data = h5ckpt_tensor_data(t, &err);
    test_expect_none(&err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(data);
    for (uint64_t i = 0; i < count; i++)
        CU_ASSERT_EQUAL(number(info->dtype, data + i * h5ckpt_dtype_size(info->dtype)), made(info, i));
}

static h5ckpt_state *open_state(const char *path)
{
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = h5ckpt_state_open(path, NULL, &err);
    test_expect_none(&err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    return s;
}

static void check_npz(const char *path, const char *format)
{
    h5ckpt_state *s = open_state(path);
    const h5ckpt_tensors *p = h5ckpt_state_parameters(s);
    CU_ASSERT_STRING_EQUAL(h5ckpt_state_format(s), format);
    CU_ASSERT_EQUAL_FATAL(h5ckpt_tensors_count(p), ARRAYS);
    for (size_t i = 0; i < ARRAYS; i++)
        check_tensor(h5ckpt_tensors_at(p, i), &arrays[i]);
    h5ckpt_state_free(s);
}

/* ---- npz ---- */

static void reads_what_savez_wrote(void)
{
    check_npz(test_fixture("numpy/arrays.npz"), "npz");
}

static void reads_what_savez_compressed_wrote(void)
{
    check_npz(test_fixture("numpy/deflated.npz"), "npz");
}

static void goes_through_hdf5_and_back(void)
{
    test_converts(test_fixture("numpy/arrays.npz"), test_tmp("direct.npz"));
    test_converts(test_fixture("numpy/deflated.npz"), test_tmp("x.h5"));
    test_converts(test_tmp("x.h5"), test_tmp("back.npz"));
    check_npz(test_tmp("x.h5"), "hdf5");
    check_npz(test_tmp("back.npz"), "npz");
    CU_ASSERT_TRUE(test_same_bytes(test_tmp("direct.npz"), test_tmp("back.npz")));
}

/* The first member begins at 64: what np.save writes of that array. Its name and sizes stand before it. */
static void writes_npy_files_into_the_archive(void)
{
    size_t n, m;
    test_converts(test_fixture("numpy/kernel.npy"), test_tmp("kernel.npz"));
    unsigned char *npz = test_read(test_tmp("kernel.npz"), &n), *npy = test_read(test_fixture("numpy/kernel.npy"), &m);
    CU_ASSERT_EQUAL_FATAL(n, 64 + m + 46 + 10 + 22);
    CU_ASSERT_EQUAL(memcmp(npz, "PK\3\4", 4), 0);
    CU_ASSERT_EQUAL(h5ck_le_get(npz + 18, 4), m);
    CU_ASSERT_EQUAL(memcmp(npz + 30, "kernel.npyFB", 12), 0);
    CU_ASSERT_EQUAL(memcmp(npz + 64, npy, m), 0);
    free(npz);
    free(npy);
}

/* Damage is found, wherever it is in the elements, the headers of the arrays, or the deflated streams. In a local header 8
 * bytes mean nothing here: the version needed, flags (with the bit that is flipped), time and date. */
static void finds_every_flipped_byte(const char *fixture, size_t most)
{
    size_t n, quiet = 0, directory;
    unsigned char *bytes = test_read(test_fixture(fixture), &n);
    directory = (size_t)h5ck_le_get(bytes + n - 6, 4);
    for (size_t i = 0; i < directory; i++) {
        h5ckpt_error *err = NULL;
        bytes[i] ^= 0x10;
        test_write(test_tmp("flipped.npz"), bytes, n);
        bytes[i] ^= 0x10;
        int rc = h5ckpt_verify(test_tmp("flipped.npz"), NULL, NULL, NULL, NULL, &err);
        CU_ASSERT_TRUE(rc == 0 || rc == H5CKPT_INVALID || rc == H5CKPT_DIFFERENT);
        quiet += rc == 0;
        h5ckpt_error_free(err);
    }
    free(bytes);
    CU_ASSERT_TRUE(quiet <= most);
}

static void finds_every_flipped_byte_of_stored_members(void)
{
    finds_every_flipped_byte("numpy/arrays.npz", ARRAYS * 8);
}

static void finds_every_flipped_byte_of_deflated_members(void)
{
    finds_every_flipped_byte("numpy/deflated.npz", ARRAYS * 9); /* and bits behind a stream, in its last byte */
}

static void refuses_every_cut(void)
{
    test_refuses_every_cut(test_fixture("numpy/arrays.npz"), "npz");
    test_refuses_every_cut(test_fixture("numpy/deflated.npz"), "npz");
    test_refuses_every_cut(test_fixture("numpy/kernel.npy"), "npy");
}

static void count_notes(void *user, const char *line)
{
    char **all = user;
    size_t had = *all ? strlen(*all) : 0;
    *all = realloc(*all, had + strlen(line) + 2);
    sprintf(*all + had, "%s\n", line);
}

/* A state with one of everything. */
static h5ckpt_state *everything(const char *slot)
{
    static const float w[2] = {1, 2};
    static const uint64_t two = 2, offsets[] = {0, 2};
    static const h5ckpt_lod_level lod = {.count = 2, .offsets = offsets};
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = h5ckpt_state_new();
    h5ckpt_field step = {.key = {.type = H5CKPT_STR, .as.str = "step_num"}, .value = {.type = H5CKPT_INT, .as.i = 3}};
    h5ckpt_object noam = {.class_name = "NoamDecay", .fields = &step, .count = 1};
    h5ckpt_value decay = {.type = H5CKPT_OBJECT, .as.object = &noam};
    h5ckpt_tensor_info info = {
        .name = "w", .dtype = H5CKPT_DTYPE_FLOAT32, .rank = 1, .shape = &two, .lod_levels = 1, .lod = &lod};
    CU_ASSERT_EQUAL(h5ckpt_state_add_tensor(s, 0, &info, w, &err), 0);
    info.name = slot;
    info.lod_levels = 0;
    CU_ASSERT_EQUAL(h5ckpt_state_add_tensor(s, 1, &info, w, &err), 0);
    CU_ASSERT_EQUAL(h5ckpt_state_add_decay(s, "None", &decay, &err), 0);
    CU_ASSERT_EQUAL(h5ckpt_state_set_metadata(s, "epoch", "3", &err), 0);
    test_expect_none(&err);
    return s;
}

static void says_what_it_cannot_hold(void)
{
    char *notes = NULL;
    h5ckpt_error *err = NULL;
    h5ckpt_options o = H5CKPT_OPTIONS_INIT;
    h5ckpt_state *s = everything("w_moment_0");
    o.no_sync = 1;
    o.note = count_notes;
    o.note_user = &notes;
    CU_ASSERT_EQUAL(h5ckpt_state_write(s, test_tmp("all.npz"), &o, &err), 0);
    test_expect_none(&err);
    h5ckpt_state_free(s);
    CU_ASSERT_PTR_NOT_NULL_FATAL(strstr(notes, "1 tensors of the optimizer state stand beside the parameters"));
    CU_ASSERT_PTR_NOT_NULL(strstr(notes, "an .npz file holds no learning-rate decays: 1 left out"));
    CU_ASSERT_PTR_NOT_NULL(strstr(notes, "an .npz file holds no metadata: 1 left out"));
    CU_ASSERT_PTR_NOT_NULL(strstr(notes, "an .npz file holds no LoD: 1 left out"));
    free(notes);
    s = open_state(test_tmp("all.npz"));
    CU_ASSERT_EQUAL(h5ckpt_tensors_count(h5ckpt_state_parameters(s)), 2);
    h5ckpt_state_free(s);
}

static void write_refused(h5ckpt_state *s, const char *target, const char *part)
{
    h5ckpt_error *err = NULL;
    CU_ASSERT_EQUAL(h5ckpt_state_write(s, target, NULL, &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, part);
    CU_ASSERT_FALSE(test_exists(target));
    h5ckpt_state_free(s);
}

static void refuses_a_slot_with_a_parameters_name(void)
{
    write_refused(everything("w"), test_tmp("no.npz"), "found a second member 'w.npy'");
}

static void refuses_to_write_a_trap(void)
{
    write_refused(everything("../w"), test_tmp("no.npz"), "expected a name that stays in the folder");
    write_refused(everything("/w"), test_tmp("no.npz"), "expected a name that stays in the folder");
}

/* Changes the name of the first member of an archive, of the same length, in both headers. */
static void rename_first(const char *from, const char *to, const char *target)
{
    size_t n, length = strlen(to);
    unsigned char *bytes = test_read(test_fixture("numpy/arrays.npz"), &n);
    size_t central = (size_t)h5ck_le_get(bytes + n - 6, 4);
    CU_ASSERT_EQUAL_FATAL(memcmp(bytes + 30, from, length), 0);
    memcpy(bytes + 30, to, length);
    memcpy(bytes + central + 46, to, length);
    test_write(target, bytes, n);
    free(bytes);
}

static void leaves_out_what_is_no_array(void)
{
    char *notes = NULL;
    h5ckpt_error *err = NULL;
    h5ckpt_options o = H5CKPT_OPTIONS_INIT;
    o.note = count_notes;
    o.note_user = &notes;
    rename_first("dense/kernel.npy", "dense/readme.txt", test_tmp("mixed.npz"));
    h5ckpt_state *s = h5ckpt_state_open(test_tmp("mixed.npz"), &o, &err);
    test_expect_none(&err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    CU_ASSERT_EQUAL(h5ckpt_tensors_count(h5ckpt_state_parameters(s)), ARRAYS - 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(notes);
    CU_ASSERT_PTR_NOT_NULL(strstr(notes, "member 'dense/readme.txt' left out: no .npy file"));
    free(notes);
    h5ckpt_state_free(s);
}

static void is_not_taken_for_a_torch_archive(void)
{
    h5ckpt_error *err = NULL;
    h5ckpt_options o = H5CKPT_OPTIONS_INIT;
    rename_first("dense/kernel.npy", "archive/data.pkl", test_tmp("torch.zip"));
    h5ckpt_state *s = h5ckpt_state_open(test_tmp("torch.zip"), &o, &err);
    CU_ASSERT_TRUE(!s || strcmp(h5ckpt_state_format(s), "npz") != 0);
    h5ckpt_state_free(s);
    h5ckpt_error_free(err);
    err = NULL;
    o.from = "npz";
    s = h5ckpt_state_open(test_tmp("torch.zip"), &o, &err);
    test_expect_none(&err);
    h5ckpt_state_free(s);
}

static void reads_and_writes_an_archive_of_nothing(void)
{
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = h5ckpt_state_new();
    CU_ASSERT_EQUAL(h5ckpt_state_write(s, test_tmp("nothing.npz"), NULL, &err), 0);
    test_expect_none(&err);
    h5ckpt_state_free(s);
    s = open_state(test_tmp("nothing.npz"));
    CU_ASSERT_EQUAL(h5ckpt_tensors_count(h5ckpt_state_parameters(s)), 0);
    h5ckpt_state_free(s);
}

/* The size of the first array's elements in its header no longer fits the member. */
static void refuses_a_member_of_another_size(void)
{
    size_t n;
    h5ckpt_error *err = NULL;
    unsigned char *bytes = test_read(test_fixture("numpy/arrays.npz"), &n), *at = bytes;
    while (memcmp(at, "(4, 3)", 6) != 0)
        at++;
    at[1] = '5';
    test_write(test_tmp("size.npz"), bytes, n);
    free(bytes);
    CU_ASSERT_PTR_NULL(h5ckpt_state_open(test_tmp("size.npz"), NULL, &err));
    test_expect_error(&err, H5CKPT_INVALID, "expected 60 bytes of elements in the member, found 48");
}

static void explains_where_the_bytes_lie(void)
{
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = open_state(test_fixture("numpy/deflated.npz"));
    const h5ckpt_tensor *t = h5ckpt_tensors_get(h5ckpt_state_parameters(s), "big");
    char *text = h5ckpt_explain(s, t, NULL, &err);
    test_expect_none(&err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "member 'big.npy', CRC-32"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "152 bytes, deflated to"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "float32, C order, big-endian, shape (2, 3)"));
    free(text);
    h5ckpt_state_free(s);
}

/* ---- npy ---- */

static void reads_single_arrays(void)
{
    static const array all[] = {
        {"kernel", "float32", 2, {4, 3}},   {"fortran", "float64", 3, {2, 3, 2}},   {"big", "float32", 2, {2, 3}},
        {"scalar", "float32", 0, {0}},      {"empty", "float64", 2, {0, 3}},        {"bool", "bool", 1, {5}},
        {"bfloat16", "bfloat16", 1, {3}},   {"complex128", "complex128", 1, {3}},   {"version2", "float32", 2, {4, 3}},
        {"version3", "float32", 2, {4, 3}}, {"float8_e5m2", "float8_e5m2", 1, {3}},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char path[64];
        snprintf(path, sizeof path, "numpy/%s.npy", all[i].name);
        h5ckpt_state *s = open_state(test_fixture(path));
        CU_ASSERT_STRING_EQUAL(h5ckpt_state_format(s), "npy");
        CU_ASSERT_EQUAL_FATAL(h5ckpt_tensors_count(h5ckpt_state_parameters(s)), 1);
        check_tensor(h5ckpt_tensors_at(h5ckpt_state_parameters(s), 0), &all[i]);
        h5ckpt_state_free(s);
    }
}

/* Byte for byte what np.save writes, also of an array that came by way of HDF5. */
static void writes_what_save_writes(void)
{
    static const char *const all[] = {"kernel", "scalar", "empty", "bool", "bfloat16", "complex128", "ranks"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char path[64];
        snprintf(path, sizeof path, "numpy/%s.npy", all[i]);
        test_converts(test_fixture(path), test_tmp("x.h5"));
        test_converts(test_tmp("x.h5"), test_tmp("x.npy"));
        CU_ASSERT_TRUE(test_same_bytes(test_tmp("x.npy"), test_fixture(path)));
    }
    /* the same elements, in another order, by another version of the header */
    test_converts(test_fixture("numpy/version3.npy"), test_tmp("x.npy"));
    CU_ASSERT_TRUE(test_same_bytes(test_tmp("x.npy"), test_fixture("numpy/kernel.npy")));
}

static void gives_back_every_float8(void)
{
    static const h5ckpt_dtype types[] = {H5CKPT_DTYPE_FLOAT8_E4M3FN, H5CKPT_DTYPE_FLOAT8_E5M2};
    static const uint64_t three = 3;
    for (size_t i = 0; i < 2; i++) {
        h5ckpt_error *err = NULL;
        h5ckpt_options o = H5CKPT_OPTIONS_INIT;
        const h5ckpt_tensor_info info = {.name = "x", .dtype = types[i], .rank = 1, .shape = &three};
        h5ckpt_state *s = h5ckpt_state_new();
        o.force = 1;
        CU_ASSERT_EQUAL(h5ckpt_state_add_tensor(s, 0, &info, "\x10\x80\xff", &err), 0);
        CU_ASSERT_EQUAL(h5ckpt_state_write(s, test_tmp("x.npy"), &o, &err), 0);
        test_expect_none(&err);
        h5ckpt_state_free(s);
        s = open_state(test_tmp("x.npy"));
        const h5ckpt_tensor *t = h5ckpt_tensors_at(h5ckpt_state_parameters(s), 0);
        CU_ASSERT_EQUAL(h5ckpt_tensor_get_info(t)->dtype, types[i]);
        CU_ASSERT_EQUAL(memcmp(h5ckpt_tensor_data(t, &err), "\x10\x80\xff", 3), 0);
        h5ckpt_state_free(s);
    }
}

static void refuses_what_is_no_plain_number(void)
{
    static const struct {
        const char *name, *part;
    } all[] = {
        {"objects", "found '|O': Python objects (a pickle)"},
        {"text", "found '<U2': text"},
        {"dates", "found '<M8[D]': dates"},
        {"void", "found '|V3': raw bytes"},
        {"structured", "found a structured one"},
        {"longdouble", "found '<f16': floats"},
        {"float8_e4m3fn", "found '<V1' (ml_dtypes writes that for many types"},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char path[64];
        h5ckpt_error *err = NULL;
        snprintf(path, sizeof path, "numpy/refused_%s.npy", all[i].name);
        CU_ASSERT_PTR_NULL(h5ckpt_state_open(test_fixture(path), NULL, &err));
        test_expect_error(&err, H5CKPT_INVALID, all[i].part);
    }
}

static void refuses_bytes_behind_the_array(void)
{
    size_t n;
    h5ckpt_error *err = NULL;
    unsigned char *bytes = test_read(test_fixture("numpy/scalar.npy"), &n);
    bytes[n] = 0; /* the closing zero counts */
    test_write(test_tmp("more.npy"), bytes, n + 1);
    free(bytes);
    CU_ASSERT_PTR_NULL(h5ckpt_state_open(test_tmp("more.npy"), NULL, &err));
    test_expect_error(&err, H5CKPT_INVALID, "offset 132: expected the end of the file, found 1 more bytes");
}

static void refuses_to_write_two_tensors_into_one_array(void)
{
    write_refused(everything("m"), test_tmp("two.npy"), "expected one tensor for an .npy file, found 2");
}

/* ---- The header ---- */

static int read_text(const char *text, h5ck_npy *npy, h5ckpt_error **err)
{
    h5ck_buf b = H5CK_BUF_INIT;
    size_t length = 0;
    h5ck_buf_add(&b, "\x93NUMPY\1\0", 8);
    h5ck_buf_le(&b, strlen(text), 2);
    h5ck_buf_str(&b, text);
    int rc = h5ck_npy_length(b.data, b.len, 0, &length, err);
    CU_ASSERT_EQUAL(length, b.len);
    if (rc == 0)
        rc = h5ck_npy_read(b.data, length, 0, npy, err);
    h5ck_buf_free(&b);
    return rc;
}

static void takes_the_text_as_python_would(void)
{
    static const char *const texts[] = {
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4)}   \n",
        "{\"shape\":(3,4,),\"descr\":\"<f4\",\"fortran_order\":False}",
        "{'shape': (3L, 4L), 'fortran_order': False, 'descr': '<f4'}",
        " { 'descr' : 'float32' , 'fortran_order' : False , 'shape' : ( 3 , 4 ) , } ",
        "{'descr': 'f4', 'fortran_order': False, 'shape': (3, 4)}",
        "{'descr': '=f4', 'fortran_order': False, 'shape': (3, 4)}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        h5ck_npy npy;
        h5ckpt_error *err = NULL;
        CU_ASSERT_EQUAL(read_text(texts[i], &npy, &err), 0);
        test_expect_none(&err);
        CU_ASSERT_EQUAL(npy.dtype, H5CKPT_DTYPE_FLOAT32);
        CU_ASSERT_FALSE(npy.big_endian || npy.fortran);
        CU_ASSERT_EQUAL_FATAL(npy.rank, 2);
        CU_ASSERT_TRUE(npy.shape[0] == 3 && npy.shape[1] == 4);
    }
}

#define WITH(descr, order, shape) "{'descr': " descr ", 'fortran_order': " order ", 'shape': " shape ", }"

static void refuses_other_texts(void)
{
    static const struct {
        const char *text, *part;
    } all[] = {
        {"", "expected '{' in the .npy header, found its end"},
        {"[]", "expected '{'"},
        {"{}", "expected the key 'descr'"},
        {"{'descr': '<f4', 'shape': ()}", "expected the key 'fortran_order'"},
        {"{'descr': '<f4', 'fortran_order': True}", "expected the key 'shape'"},
        {"{'descr': '<f4', 'descr': '<f4'}", "found a second 'descr'"},
        {"{'what': 1}", "found 'what'"},
        {"{1: 1}", "expected a key"},
        {"{'descr' '<f4'}", "expected ':'"},
        {"{'descr': '<f4' 'shape': ()}", "expected ','"},
        {"{'descr': '<f4", "expected '''"},
        {WITH("'<f4'", "False", "(3)"), "expected ','"},
        {WITH("'<f4'", "False", "(3 4)"), "expected ','"},
        {WITH("'<f4'", "False", "(-3,)"), "expected an axis (a number)"},
        {WITH("'<f4'", "False", "(3,"), "expected an axis (a number)"},
        {WITH("'<f4'", "False", "(,)"), "expected an axis (a number)"},
        {WITH("'<f4'", "False", "[3]"), "expected '('"},
        {WITH("'<f4'", "False", "(18446744073709551616,)"), "fits 64 bits"},
        {WITH("'<f4'", "False", "(1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1)"),
         "at most 32 axes"},
        {WITH("'<f4'", "0", "()"), "expected True or False"},
        {WITH("'<f\\x34'", "False", "()"), "unusual"},
        {WITH("'<f4-and-much-longer-than-any-of-these'", "False", "()"), "too long"},
        {WITH("'nonsense'", "False", "()"), "found 'nonsense': an unknown dtype"},
        {WITH("('<f4', (2,))", "False", "()"), "structured"},
        {WITH("f4", "False", "()"), "expected a dtype"},
        {WITH("'<f4'", "False", "()") " import os", "only blanks behind the dict"},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        h5ck_npy npy;
        h5ckpt_error *err = NULL;
        CU_ASSERT_EQUAL(read_text(all[i].text, &npy, &err), H5CKPT_INVALID);
        test_expect_error(&err, H5CKPT_INVALID, all[i].part);
    }
}

static void refuses_other_beginnings(void)
{
    static const struct {
        const char *bytes;
        const char *part;
    } all[] = {
        {"\x94NUMPY\1\0\0\0\0\0", "expected a .npy header, found other bytes"},
        {"\x93NUMPY\4\0\0\0\0\0", "found 4.0"},
        {"\x93NUMPY\0\0\0\0\0\0", "found 0.0"},
        {"\x93NUMPY\1\1\0\0\0\0", "found 1.1"},
        {"\x93NUMPY\2\0\0\0\0\1", "expected a .npy header of at most 1048576 bytes"},
    };
    size_t length;
    h5ckpt_error *err = NULL;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        CU_ASSERT_EQUAL(h5ck_npy_length((const unsigned char *)all[i].bytes, 12, 0, &length, &err), H5CKPT_INVALID);
        test_expect_error(&err, H5CKPT_INVALID, all[i].part);
    }
    CU_ASSERT_EQUAL(h5ck_npy_length((const unsigned char *)"\x93NUMPY\2\0\0\0", 10, 7, &length, &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, "offset 17: expected a .npy header, found the end of the data");
}

int main(void)
{
    static const test_case cases[] = {
        {"reads what np.savez wrote", reads_what_savez_wrote},
        {"reads what np.savez_compressed wrote", reads_what_savez_compressed_wrote},
        {"goes through HDF5 and back", goes_through_hdf5_and_back},
        {"writes .npy files into the archive", writes_npy_files_into_the_archive},
        {"finds every flipped byte of stored members", finds_every_flipped_byte_of_stored_members},
        {"finds every flipped byte of deflated members", finds_every_flipped_byte_of_deflated_members},
        {"refuses every cut", refuses_every_cut},
        {"says what it cannot hold", says_what_it_cannot_hold},
        {"refuses a slot with a parameter's name", refuses_a_slot_with_a_parameters_name},
        {"refuses to write a trap", refuses_to_write_a_trap},
        {"leaves out what is no array", leaves_out_what_is_no_array},
        {"is not taken for a torch archive", is_not_taken_for_a_torch_archive},
        {"reads and writes an archive of nothing", reads_and_writes_an_archive_of_nothing},
        {"refuses a member of another size", refuses_a_member_of_another_size},
        {"explains where the bytes lie", explains_where_the_bytes_lie},
        {"reads single arrays", reads_single_arrays},
        {"writes what np.save writes", writes_what_save_writes},
        {"gives back every float8", gives_back_every_float8},
        {"refuses what is no plain number", refuses_what_is_no_plain_number},
        {"refuses bytes behind the array", refuses_bytes_behind_the_array},
        {"refuses to write two tensors into one array", refuses_to_write_two_tensors_into_one_array},
        {"takes the text as Python would", takes_the_text_as_python_would},
        {"refuses other texts", refuses_other_texts},
        {"refuses other beginnings", refuses_other_beginnings},
        {NULL, NULL},
    };
    return test_run("numpy", cases);
}
