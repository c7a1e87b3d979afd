/*
 * test_pack.c - compressed HDF5 datasets: what libhdf5 itself sees in them, what comes back, by how many threads ever.
 */
#include "test.h"

#include <hdf5.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ZSTD = 32015, KIB = 1024 };

/* A tensor of the model, and how its dataset must be cut: chunk[0] 0 means not at all. */
typedef struct cut {
    const char *name;
    h5ckpt_dtype dtype;
    size_t rank;
    uint64_t shape[4], chunk[4];
} cut;

/* float32: 262,144 elements are 1 MiB. */
static const cut cuts[] = {
    {"one_chunk", H5CKPT_DTYPE_FLOAT32, 1, {8192}, {8192}},
    {"small", H5CKPT_DTYPE_FLOAT32, 1, {8191}, {0}},
    {"two_even_chunks", H5CKPT_DTYPE_FLOAT32, 2, {1026, 512}, {342, 512}}, /* 2.004 MiB: three of 342 rows */
    {"padded", H5CKPT_DTYPE_FLOAT32, 2, {1000, 263}, {500, 263}},
    {"odd_end", H5CKPT_DTYPE_INT16, 1, {600001}, {300001}},
    {"long_rows", H5CKPT_DTYPE_FLOAT32, 2, {2, 700000}, {1, 175000}},
    {"rows_of_a_prime", H5CKPT_DTYPE_FLOAT32, 2, {2, 524309}, {0}},
    {"inner", H5CKPT_DTYPE_FLOAT32, 3, {3, 1024, 512}, {1, 512, 512}},
    {"leading_ones", H5CKPT_DTYPE_FLOAT64, 4, {1, 1, 300, 500}, {1, 1, 150, 500}},
    {"bytes", H5CKPT_DTYPE_UINT8, 1, {100000}, {100000}},
    {"bools", H5CKPT_DTYPE_BOOL, 2, {200, 200}, {200, 200}},
    {"complex", H5CKPT_DTYPE_COMPLEX64, 1, {5000}, {5000}},
    {"pairs", H5CKPT_DTYPE_COMPLEX128, 2, {70, 50}, {70, 50}},
    {"bfloat16", H5CKPT_DTYPE_BFLOAT16, 1, {20000}, {20000}},
    {"scalar", H5CKPT_DTYPE_FLOAT32, 0, {0}, {0}},
    {"empty", H5CKPT_DTYPE_FLOAT32, 2, {0, 100000}, {0}},
};
enum { CUTS = sizeof cuts / sizeof *cuts };

static unsigned char *elements[CUTS];
static uint64_t sizes[CUTS];

/* Elements whose upper bytes are alike, as weights' are; those of `bytes` are noise. */
static void make_elements(void)
{
    uint64_t x = 1;
    for (size_t i = 0; i < CUTS; i++) {
        size_t size = h5ckpt_dtype_size(cuts[i].dtype);
        sizes[i] = size;
        for (size_t k = 0; k < cuts[i].rank; k++)
            sizes[i] *= cuts[i].shape[k];
        elements[i] = malloc((size_t)sizes[i] + 1);
        for (uint64_t b = 0; b < sizes[i]; b++) {
            x = x * 6364136223846793005u + 1442695040888963407u;
            bool noise = cuts[i].dtype == H5CKPT_DTYPE_UINT8 || b % size < size / 2;
            elements[i][b] = noise ? (unsigned char)(x >> 56) : (unsigned char)(x >> 63);
        }
    }
}

static h5ckpt_state *model(void)
{
    h5ckpt_state *s = h5ckpt_state_new();
    h5ckpt_error *err = NULL;
    for (size_t i = 0; i < CUTS; i++) {
        const h5ckpt_tensor_info info = {
            .name = cuts[i].name, .dtype = cuts[i].dtype, .rank = cuts[i].rank, .shape = cuts[i].shape};
        h5ckpt_state_add_tensor(s, 0, &info, elements[i], &err);
        test_expect_none(&err);
    }
    return s;
}

static const char *written(const char *name, h5ckpt_compress compress, int level, int jobs)
{
    h5ckpt_options o = H5CKPT_OPTIONS_INIT;
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = model();
    const char *path = test_tmp(name);
    o.compress = compress;
    o.compress_level = level;
    o.jobs = jobs;
    o.force = 1;
    o.no_sync = 1;
    CU_ASSERT_EQUAL(h5ckpt_state_write(s, path, &o, &err), 0);
    test_expect_none(&err);
    h5ckpt_state_free(s);
    return path;
}

static void check_back(const char *path)
{
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = h5ckpt_state_open(path, NULL, &err);
    test_expect_none(&err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    for (size_t i = 0; i < CUTS; i++) {
        const h5ckpt_tensor *t = h5ckpt_tensors_get(h5ckpt_state_parameters(s), cuts[i].name);
        const void *data = h5ckpt_tensor_data(t, &err);
        test_expect_none(&err);
        CU_ASSERT_FATAL(data && h5ckpt_tensor_get_info(t)->nbytes == sizes[i]);
        CU_ASSERT_EQUAL(memcmp(data, elements[i], (size_t)sizes[i]), 0);
    }
    h5ckpt_state_free(s);
}

static void comes_back(void)
{
    check_back(written("gzip.h5", H5CKPT_COMPRESS_GZIP, 0, 2));
    check_back(written("gzip4.h5", H5CKPT_COMPRESS_GZIP, 4, 1));
    check_back(written("zstd.h5", H5CKPT_COMPRESS_ZSTD, 0, 2));
    check_back(written("zstd7.h5", H5CKPT_COMPRESS_ZSTD, 7, 3));
}

static hid_t open_dataset(hid_t file, const cut *c)
{
    char path[64];
    snprintf(path, sizeof path, "/parameters/%s", c->name);
    return H5Dopen2(file, path, H5P_DEFAULT);
}

static void libhdf5_reads_gzip(void)
{
    hid_t file = H5Fopen(written("gzip.h5", H5CKPT_COMPRESS_GZIP, 1, 2), H5F_ACC_RDONLY, H5P_DEFAULT);
    CU_ASSERT_FATAL(file >= 0);
    for (size_t i = 0; i < CUTS; i++) {
        hid_t dataset = open_dataset(file, &cuts[i]), type = H5Dget_type(dataset);
        unsigned char *all = malloc((size_t)sizes[i] + 1);
        CU_ASSERT(H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, all) >= 0);
        CU_ASSERT_EQUAL(memcmp(all, elements[i], (size_t)sizes[i]), 0);
        free(all);
        H5Tclose(type);
        H5Dclose(dataset);
    }
    H5Fclose(file);
}

static void check_filters(hid_t list, const cut *c, H5Z_filter_t compressor, unsigned level)
{
    unsigned flags, config, value = 0;
    size_t count = 1;
    int last = h5ckpt_dtype_size(c->dtype) > 1;
    CU_ASSERT_EQUAL_FATAL(H5Pget_nfilters(list), last + 1);
    if (last) {
        CU_ASSERT_EQUAL(H5Pget_filter2(list, 0, &flags, &count, &value, 0, NULL, &config), H5Z_FILTER_SHUFFLE);
        CU_ASSERT_EQUAL(value, h5ckpt_dtype_size(c->dtype));
    }
    count = 1;
    CU_ASSERT_EQUAL(H5Pget_filter2(list, (unsigned)last, &flags, &count, &value, 0, NULL, &config), compressor);
    CU_ASSERT_EQUAL(value, level);
}

static void check_cuts(const char *path, H5Z_filter_t compressor, unsigned level)
{
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    for (size_t i = 0; i < CUTS; i++) {
        hsize_t chunk[4] = {0};
        hid_t dataset = open_dataset(file, &cuts[i]), list = H5Dget_create_plist(dataset);
        bool chunked = cuts[i].chunk[0] != 0;
        CU_ASSERT_EQUAL(H5Pget_layout(list), chunked ? H5D_CHUNKED : H5D_CONTIGUOUS);
        if (chunked && H5Pget_chunk(list, 4, chunk) == (int)cuts[i].rank) {
            for (size_t k = 0; k < cuts[i].rank; k++)
                CU_ASSERT_EQUAL(chunk[k], cuts[i].chunk[k]);
            check_filters(list, &cuts[i], compressor, level);
        }
        H5Pclose(list);
        H5Dclose(dataset);
    }
    H5Fclose(file);
}

static void chunks_are_ranges_of_at_most_a_mebibyte(void)
{
    check_cuts(written("gzip.h5", H5CKPT_COMPRESS_GZIP, 3, 2), H5Z_FILTER_DEFLATE, 3);
    check_cuts(written("zstd.h5", H5CKPT_COMPRESS_ZSTD, 2, 2), ZSTD, 2);
}

static void noise_is_stored_as_it_is(void)
{
    const hsize_t start[] = {0};
    unsigned mask = 0;
    haddr_t at;
    hsize_t size = 0;
    hid_t file = H5Fopen(written("gzip.h5", H5CKPT_COMPRESS_GZIP, 1, 2), H5F_ACC_RDONLY, H5P_DEFAULT);
    hid_t dataset = H5Dopen2(file, "/parameters/bytes", H5P_DEFAULT);
    CU_ASSERT(H5Dget_chunk_info_by_coord(dataset, start, &mask, &at, &size) >= 0);
    CU_ASSERT_EQUAL(mask, 1);
    CU_ASSERT_EQUAL(size, 100000);
    H5Dclose(dataset);
    H5Fclose(file);
}

static void any_number_of_threads_gives_the_same_bytes(void)
{
    for (int i = 0; i < 2; i++) {
        h5ckpt_compress how = i ? H5CKPT_COMPRESS_ZSTD : H5CKPT_COMPRESS_GZIP;
        size_t n, m;
        unsigned char *one = test_read(written("one.h5", how, 1, 1), &n);
        unsigned char *many = test_read(written("many.h5", how, 1, 5), &m);
        CU_ASSERT_EQUAL_FATAL(n, m);
        CU_ASSERT_EQUAL(memcmp(one, many, n), 0);
        free(one);
        free(many);
    }
}

static int stop_at_once(void *user, uint64_t done, uint64_t total)
{
    (void)user, (void)done, (void)total;
    return 1;
}

/* Threads that wait for their turn hear of it. */
static void stops_when_told(void)
{
    h5ckpt_options o = H5CKPT_OPTIONS_INIT;
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = model();
    o.compress = H5CKPT_COMPRESS_ZSTD;
    o.compress_level = 9;
    o.jobs = 6;
    o.progress = stop_at_once;
    CU_ASSERT_EQUAL(h5ckpt_state_write(s, test_tmp("stopped.h5"), &o, &err), H5CKPT_SYSTEM);
    test_expect_error(&err, H5CKPT_SYSTEM, "stopped by the caller");
    CU_ASSERT_FALSE(test_exists(test_tmp("stopped.h5")));
    h5ckpt_state_free(s);
}

/* The first tensor of a source is damaged, which its digest tells while others wait for their turn. */
static void a_damaged_source_ends_it(void)
{
    h5ckpt_options o = H5CKPT_OPTIONS_INIT;
    h5ckpt_error *err = NULL;
    size_t n;
    const char *from = written("whole.h5", H5CKPT_COMPRESS_NONE, 0, 1);
    unsigned char *bytes = test_read(from, &n);
    size_t at = 0;
    while (at < n && memcmp(bytes + at, elements[5], 64) != 0)
        at++;
    CU_ASSERT_FATAL(at < n);
    bytes[at] ^= 1;
    test_write(from, bytes, n);
    free(bytes);
    o.compress = H5CKPT_COMPRESS_GZIP;
    o.jobs = 4;
    CU_ASSERT_EQUAL(h5ckpt_convert(from, test_tmp("never.h5"), &o, &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, "'long_rows': the data is damaged");
    CU_ASSERT_FALSE(test_exists(test_tmp("never.h5")));
}

/* ---- Reading, in any steps ---- */

enum { ROWS = 301, COLUMNS = 257 };
static int16_t table[ROWS][COLUMNS];

/* Tiles that fit the shape in neither axis; the rows from 290 on, and a column of tiles, are never written. */
static const char *tiled(bool big_endian)
{
    const hsize_t shape[] = {ROWS, COLUMNS}, chunk[] = {32, 50}, part[] = {290, 200}, start[] = {0, 0};
    const int16_t never = -77;
    const char *path = test_tmp("tiles.h5");
    hid_t list = H5Pcreate(H5P_DATASET_CREATE), space = H5Screate_simple(2, shape, NULL);
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    H5Pset_chunk(list, 2, chunk);
    H5Pset_fill_value(list, H5T_NATIVE_INT16, &never);
    H5Pset_shuffle(list);
    H5Pset_deflate(list, 4);
    H5Pset_fletcher32(list);
    hid_t type = big_endian ? H5T_STD_I16BE : H5T_STD_I16LE;
    hid_t dataset = H5Dcreate2(file, "w", type, space, H5P_DEFAULT, list, H5P_DEFAULT);
    for (int r = 0; r < ROWS; r++)
        for (int c = 0; c < COLUMNS; c++)
            table[r][c] = (int16_t)(r * 256 + c);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, part, NULL);
    CU_ASSERT(H5Dwrite(dataset, H5T_NATIVE_INT16, space, space, H5P_DEFAULT, table) >= 0);
    CU_ASSERT(H5Dread(dataset, H5T_NATIVE_INT16, H5S_ALL, H5S_ALL, H5P_DEFAULT, table) >= 0);
    CU_ASSERT_EQUAL(table[300][256], never);
    H5Dclose(dataset);
    H5Fclose(file);
    H5Sclose(space);
    H5Pclose(list);
    return path;
}

static void reads_tiles_in_steps_of(const h5ckpt_tensor *t, size_t step)
{
    unsigned char *all = calloc(1, sizeof table);
    h5ckpt_error *err = NULL;
    for (size_t at = 0; at < sizeof table; at += step) {
        size_t n = sizeof table - at < step ? sizeof table - at : step;
        CU_ASSERT_EQUAL(h5ckpt_tensor_read(t, at, all + at, n, &err), 0);
        test_expect_none(&err);
    }
    CU_ASSERT_EQUAL(memcmp(all, table, sizeof table), 0);
    free(all);
}

static void reads_tiles_in_any_steps(void)
{
    for (int big_endian = 0; big_endian < 2; big_endian++) {
        h5ckpt_error *err = NULL;
        h5ckpt_state *s = h5ckpt_state_open(tiled(big_endian), NULL, &err);
        test_expect_none(&err);
        const h5ckpt_tensor *t = h5ckpt_tensors_get(h5ckpt_state_parameters(s), "w");
        reads_tiles_in_steps_of(t, sizeof table);
        reads_tiles_in_steps_of(t, 10007);
        reads_tiles_in_steps_of(t, 101);
        h5ckpt_state_free(s);
    }
}

typedef struct reading {
    const h5ckpt_tensor *tensor;
    size_t from;
    unsigned char *all;
    int rc;
} reading;

/* Every third kilobyte. */
static void *read_a_third(void *arg)
{
    reading *r = arg;
    for (size_t at = r->from * KIB; r->rc == 0 && at < sizeof table; at += 3 * KIB) {
        size_t n = sizeof table - at < KIB ? sizeof table - at : KIB;
        r->rc = h5ckpt_tensor_read(r->tensor, at, r->all + at, n, NULL);
    }
    return NULL;
}

static void three_threads_read_one_tensor(void)
{
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = h5ckpt_state_open(tiled(false), NULL, &err);
    test_expect_none(&err);
    unsigned char *all = calloc(1, sizeof table);
    pthread_t threads[3];
    reading parts[3];
    for (size_t i = 0; i < 3; i++) {
        parts[i] = (reading){h5ckpt_tensors_get(h5ckpt_state_parameters(s), "w"), i, all, 0};
        pthread_create(&threads[i], NULL, read_a_third, &parts[i]);
    }
    for (size_t i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        CU_ASSERT_EQUAL(parts[i].rc, 0);
    }
    CU_ASSERT_EQUAL(memcmp(all, table, sizeof table), 0);
    free(all);
    h5ckpt_state_free(s);
}

int main(void)
{
    static const test_case cases[] = {
        {"comes back", comes_back},
        {"libhdf5 reads gzip", libhdf5_reads_gzip},
        {"chunks are ranges of at most a mebibyte", chunks_are_ranges_of_at_most_a_mebibyte},
        {"noise is stored as it is", noise_is_stored_as_it_is},
        {"any number of threads gives the same bytes", any_number_of_threads_gives_the_same_bytes},
        {"stops when told", stops_when_told},
        {"a damaged source ends it", a_damaged_source_ends_it},
        {"reads tiles in any steps", reads_tiles_in_any_steps},
        {"three threads read one tensor", three_threads_read_one_tensor},
        {NULL, NULL},
    };
    make_elements();
    int rc = test_run("pack", cases);
    for (size_t i = 0; i < CUTS; i++)
        free(elements[i]);
    return rc;
}
