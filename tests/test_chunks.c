/*
 * test_chunks.c - chunks that do not unpack to their size, which libhdf5 would believe: made with its own direct chunk
 * write, read through the public calls.
 */
#include "test.h"

#include <hdf5.h>
#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 2048, CHUNKS = 3 };

/* A deflated dataset `w` of three chunks, of which the second holds `raw` bytes as they are. */
static const char *make(const void *raw, size_t size, uint32_t skipped, int checksum)
{
    const hsize_t shape[] = {CHUNKS * CHUNK}, chunk[] = {CHUNK}, second[] = {CHUNK};
    unsigned char *all = calloc(CHUNKS, CHUNK);
    const char *path = test_tmp("chunks.h5");
    hid_t list = H5Pcreate(H5P_DATASET_CREATE), space = H5Screate_simple(1, shape, NULL);
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    H5Pset_chunk(list, 1, chunk);
    if (checksum)
        H5Pset_fletcher32(list);
    H5Pset_shuffle(list);
    H5Pset_deflate(list, 6);
    hid_t dataset = H5Dcreate2(file, "w", H5T_STD_I16LE, space, H5P_DEFAULT, list, H5P_DEFAULT);
    CU_ASSERT_TRUE(dataset >= 0);
    CU_ASSERT_TRUE(H5Dwrite(dataset, H5T_NATIVE_INT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, all) >= 0);
    if (raw)
        CU_ASSERT_TRUE(H5Dwrite_chunk(dataset, H5P_DEFAULT, skipped, second, size, raw) >= 0);
    H5Dclose(dataset);
    H5Fclose(file);
    H5Sclose(space);
    H5Pclose(list);
    free(all);
    return path;
}

/* The zlib stream of n zeros. */
static unsigned char *deflated(size_t n, size_t *size)
{
    struct libdeflate_compressor *c = libdeflate_alloc_compressor(6);
    size_t room = libdeflate_zlib_compress_bound(c, n);
    unsigned char *plain = calloc(n + 1, 1), *packed = malloc(room);
    *size = libdeflate_zlib_compress(c, plain, n, packed, room);
    CU_ASSERT_TRUE(*size > 0);
    libdeflate_free_compressor(c);
    free(plain);
    return packed;
}

static int read_all(const char *path, h5ckpt_error **err)
{
    static unsigned char elements[CHUNKS * CHUNK * 2];
    h5ckpt_state *s = h5ckpt_state_open(path, NULL, err);
    const h5ckpt_tensor *w = h5ckpt_tensors_get(s ? h5ckpt_state_parameters(s) : NULL, "w");
    int rc = s ? h5ckpt_tensor_read(w, 0, elements, sizeof elements, err) : (int)(*err)->code;
    h5ckpt_state_free(s);
    return rc;
}

static void refused(const char *path, const char *why)
{
    h5ckpt_error *err = NULL;
    CU_ASSERT_EQUAL(read_all(path, &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, why);
}

static void whole_chunks_are_read(void)
{
    h5ckpt_error *err = NULL;
    size_t size;
    unsigned char *right = deflated(CHUNK * 2, &size);
    CU_ASSERT_EQUAL(read_all(make(NULL, 0, 0, 0), &err), 0);
    test_expect_none(&err);
    CU_ASSERT_EQUAL(read_all(make(NULL, 0, 0, 1), &err), 0); /* checksummed before it was deflated */
    test_expect_none(&err);
    CU_ASSERT_EQUAL(read_all(make(right, size, 0, 0), &err), 0);
    test_expect_none(&err);
    free(right);
}

/* libhdf5 1.10.8 gave what lay in memory behind the 16 bytes as elements. */
static void a_chunk_that_inflates_to_less_is_refused(void)
{
    size_t size;
    unsigned char *little = deflated(16, &size);
    refused(make(little, size, 0, 0), "expected a chunk that unpacks to 4096 bytes, found one of ");
    free(little);
}

/* 64 MiB of zeros in 64 KiB: libhdf5 took the memory. */
static void a_chunk_that_inflates_to_more_is_refused(void)
{
    size_t size;
    unsigned char *much = deflated(64 << 20, &size);
    refused(make(much, size, 0, 0), "expected a chunk that unpacks to 4096 bytes, found one of ");
    free(much);
}

static void what_is_no_stream_is_refused(void)
{
    unsigned char noise[100];
    size_t size;
    memset(noise, 0xa5, sizeof noise);
    refused(make(noise, sizeof noise, 0, 0), "expected a chunk that unpacks to 4096 bytes");
    unsigned char *cut = deflated(CHUNK * 2, &size);
    refused(make(cut, size - 5, 0, 0), "expected a chunk that unpacks to 4096 bytes");
    free(cut);
}

/* A chunk may say that filters were left out; then its bytes must be all there. */
static void a_chunk_that_skips_its_filters_has_its_size(void)
{
    h5ckpt_error *err = NULL;
    unsigned char plain[CHUNK * 2] = {0};
    CU_ASSERT_EQUAL(read_all(make(plain, sizeof plain, 3, 0), &err), 0);
    test_expect_none(&err);
    refused(make(plain, 100, 3, 0), "expected a chunk that unpacks to 4096 bytes");
}

static void other_filters_are_refused(void)
{
    const hsize_t shape[] = {CHUNK}, chunk[] = {CHUNK};
    const char *path = test_tmp("nbit.h5");
    hid_t list = H5Pcreate(H5P_DATASET_CREATE), space = H5Screate_simple(1, shape, NULL);
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    H5Pset_chunk(list, 1, chunk);
    H5Pset_nbit(list);
    H5Dclose(H5Dcreate2(file, "w", H5T_STD_I16LE, space, H5P_DEFAULT, list, H5P_DEFAULT));
    H5Fclose(file);
    H5Sclose(space);
    H5Pclose(list);
    refused(path, "expected the filters deflate, zstd, shuffle and fletcher32, found 5 (nbit)");
}

/* A kilobyte of file that claims an exabyte which was never written. */
static void what_was_never_written_is_bounded(void)
{
    const hsize_t shape[] = {(hsize_t)1 << 40, 1 << 20}, chunk[] = {1024, 1024};
    const char *path = test_tmp("huge.h5");
    hid_t list = H5Pcreate(H5P_DATASET_CREATE), space = H5Screate_simple(2, shape, NULL);
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    H5Pset_chunk(list, 2, chunk);
    H5Dclose(H5Dcreate2(file, "w", H5T_STD_I8LE, space, H5P_DEFAULT, list, H5P_DEFAULT));
    H5Fclose(file);
    H5Sclose(space);
    H5Pclose(list);
    refused(path, "expected elements that the file can explain");
}

int main(void)
{
    static const test_case cases[] = {
        {"whole chunks are read", whole_chunks_are_read},
        {"a chunk that inflates to less is refused", a_chunk_that_inflates_to_less_is_refused},
        {"a chunk that inflates to more is refused", a_chunk_that_inflates_to_more_is_refused},
        {"what is no stream is refused", what_is_no_stream_is_refused},
        {"a chunk that skips its filters has its size", a_chunk_that_skips_its_filters_has_its_size},
        {"other filters are refused", other_filters_are_refused},
        {"what was never written is bounded", what_was_never_written_is_bounded},
        {NULL, NULL},
    };
    return test_run("chunks", cases);
}
