/*
 * test_chunks.c - chunks that do not unpack to their size, which libhdf5 would believe, and other damage: made with its
 * own direct chunk write, read through the public calls.
 */
#include "test.h"

#include <hdf5.h>
#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

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

enum { CHUNK = 2048, CHUNKS = 3, ZSTD = 32015 };

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

/* ---- Zstandard, which libhdf5 does not have here ---- */

/* Three chunks of int16 zeros; the second is `raw` where there is some, the third is never written. */
static const char *make_zstd(const void *raw, size_t size, uint32_t skipped, int twice)
{
    const hsize_t shape[] = {CHUNKS * CHUNK}, chunk[] = {CHUNK}, first[] = {0}, second[] = {CHUNK};
    unsigned char zeros[CHUNK * 2] = {0}, packed[512];
    const unsigned level = 3;
    const char *path = test_tmp("zstd.h5");
    hid_t list = H5Pcreate(H5P_DATASET_CREATE), space = H5Screate_simple(1, shape, NULL);
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    H5Pset_chunk(list, 1, chunk);
    H5Pset_shuffle(list);
    H5Pset_filter(list, ZSTD, H5Z_FLAG_OPTIONAL, 1, &level);
    if (twice)
        H5Pset_deflate(list, 6);
    hid_t dataset = H5Dcreate2(file, "w", H5T_STD_I16LE, space, H5P_DEFAULT, list, H5P_DEFAULT);
    size_t n = ZSTD_compress(packed, sizeof packed, zeros, sizeof zeros, 3);
    CU_ASSERT_FALSE(ZSTD_isError(n));
    CU_ASSERT(H5Dwrite_chunk(dataset, H5P_DEFAULT, twice ? 4 : 0, first, n, packed) >= 0);
    if (raw)
        CU_ASSERT(H5Dwrite_chunk(dataset, H5P_DEFAULT, skipped, second, size, raw) >= 0);
    H5Dclose(dataset);
    H5Fclose(file);
    H5Sclose(space);
    H5Pclose(list);
    return path;
}

static void zstd_frame(size_t n, unsigned char **frame, size_t *size)
{
    unsigned char *plain = calloc(n + 1, 1);
    *frame = malloc(ZSTD_compressBound(n));
    *size = ZSTD_compress(*frame, ZSTD_compressBound(n), plain, n, 1);
    CU_ASSERT_FALSE(ZSTD_isError(*size));
    free(plain);
}

static void zstd_is_read_and_checked(void)
{
    h5ckpt_error *err = NULL;
    unsigned char *frame, noise[100];
    size_t size;
    memset(noise, 0xa5, sizeof noise);
    CU_ASSERT_EQUAL(read_all(make_zstd(NULL, 0, 0, 0), &err), 0);
    test_expect_none(&err);
    zstd_frame(CHUNK * 2, &frame, &size);
    CU_ASSERT_EQUAL(read_all(make_zstd(frame, size, 0, 0), &err), 0);
    test_expect_none(&err);
    refused(make_zstd(frame, size - 3, 0, 0),
            "expected a chunk that unpacks to 4096 bytes, found no whole Zstandard frame");
    refused(make_zstd(frame, size, 2, 0),
            "expected a chunk that unpacks to 4096 bytes, found one of "); /* not packed */
    free(frame);
    zstd_frame(16, &frame, &size);
    refused(make_zstd(frame, size, 0, 0), "expected a chunk that unpacks to 4096 bytes, found one of fewer");
    free(frame);
    zstd_frame(64 << 20, &frame, &size);
    refused(make_zstd(frame, size, 0, 0), "expected a chunk that unpacks to 4096 bytes, found one of more");
    free(frame);
    refused(make_zstd(noise, sizeof noise, 0, 0), "expected a chunk that unpacks to 4096 bytes, found no whole");
}

static void what_was_compressed_twice_is_refused(void)
{
    size_t size;
    unsigned char *stream = deflated(100, &size);
    h5ckpt_error *err = NULL;
    CU_ASSERT_EQUAL(read_all(make_zstd(NULL, 0, 0, 1), &err), 0); /* by one of the two */
    test_expect_none(&err);
    refused(make_zstd(stream, size, 0, 1), "found one that was compressed twice");
    free(stream);
}

/* ---- Damage of files that were whole ---- */

/* Where `n` bytes stand in a file; the test fails where they do not. */
static size_t find(const unsigned char *bytes, size_t size, const void *what, size_t n)
{
    for (size_t at = 0; at + n <= size; at++)
        if (memcmp(bytes + at, what, n) == 0)
            return at;
    CU_FAIL_FATAL("not in the file");
    return 0;
}

/* The second chunk is stored as it is, with its checksum behind it. */
static void a_wrong_checksum_is_refused(void)
{
    unsigned char raw[CHUNK * 2 + 4];
    h5ckpt_error *err = NULL;
    uint32_t a = 0, b = 0;
    for (size_t i = 0; i < CHUNK; i++) { /* 16 bits, big-endian: the elements 1, 2, 3, ... */
        raw[2 * i] = (unsigned char)((i + 1) >> 8);
        raw[2 * i + 1] = (unsigned char)(i + 1);
        a = (uint32_t)((a + i + 1) % 65535);
        b = (b + a) % 65535;
    }
    for (size_t i = 0; i < 4; i++)
        raw[CHUNK * 2 + i] = (unsigned char)((b << 16 | a) >> 8 * i);
    /* filters: fletcher32 (kept), shuffle and deflate (skipped) */
    CU_ASSERT_EQUAL(read_all(make(raw, sizeof raw, 6, 1), &err), 0);
    test_expect_none(&err);
    raw[CHUNK] ^= 1;
    refused(make(raw, sizeof raw, 6, 1),
            "expected a chunk that unpacks to 4096 bytes, found one whose checksum does not fit");
    refused(make(raw, 3, 6, 1), "expected a chunk that unpacks to 4096 bytes, found one without its checksum");
}

/* Its value is the size of the dataset's elements, and stands behind its name. */
static void a_shuffle_of_other_elements_is_refused(void)
{
    const char *path = make(NULL, 0, 0, 0);
    size_t n;
    unsigned char *bytes = test_read(path, &n);
    size_t at = find(bytes, n, "shuffle\0\2\0\0\0", 12);
    bytes[at + 8] = 3;
    test_write(path, bytes, n);
    refused(path, "expected a shuffle of elements of 2 bytes, found one of 3");
    free(bytes);
}

/* Both are files that libhdf5 reads right; what h5ckpt reads is compared with it. */
static void as_libhdf5_reads(const char *path)
{
    h5ckpt_error *err = NULL;
    float expected[6], found[6];
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT), dataset = H5Dopen2(file, "w", H5P_DEFAULT);
    CU_ASSERT_TRUE(H5Dread(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, expected) >= 0);
    H5Dclose(dataset);
    H5Fclose(file);
    h5ckpt_state *state = h5ckpt_state_open(path, NULL, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(state);
    const h5ckpt_tensor *t = h5ckpt_tensors_get(h5ckpt_state_parameters(state), "w");
    CU_ASSERT_EQUAL(h5ckpt_tensor_read(t, 0, found, sizeof found, &err), 0);
    CU_ASSERT_EQUAL(memcmp(found, expected, sizeof found), 0);
    test_expect_none(&err);
    h5ckpt_state_free(state);
}

static const char *make_six(hid_t create, hid_t list, const float *data)
{
    const hsize_t shape[] = {6};
    const char *path = test_tmp("six.h5");
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, create, H5P_DEFAULT), space = H5Screate_simple(1, shape, NULL);
    hid_t dataset = H5Dcreate2(file, "w", H5T_IEEE_F32LE, space, H5P_DEFAULT, list, H5P_DEFAULT);
    CU_ASSERT_TRUE(dataset >= 0);
    if (data)
        CU_ASSERT_TRUE(H5Dwrite(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0);
    H5Dclose(dataset);
    H5Sclose(space);
    H5Fclose(file);
    return path;
}

/* Their mask says that they went through the filters; the layout says that they did not. */
static void chunks_over_the_edge_may_be_without_filters(void)
{
    const float data[6] = {0, 1, 2, 3, 4, 5};
    const hsize_t chunk[] = {4};
    for (int deflate = 0; deflate < 2; deflate++) {
        hid_t list = H5Pcreate(H5P_DATASET_CREATE);
        H5Pset_chunk(list, 1, chunk);
        H5Pset_chunk_opts(list, H5D_CHUNK_DONT_FILTER_PARTIAL_CHUNKS);
        H5Pset_shuffle(list);
        if (deflate)
            H5Pset_deflate(list, 6);
        as_libhdf5_reads(make_six(H5P_DEFAULT, list, data));
        H5Pclose(list);
    }
}

/* libhdf5 1.10.8 tells an offset of it that is the user block's size less one. */
static void what_was_never_written_is_zeros_behind_a_user_block_too(void)
{
    hid_t create = H5Pcreate(H5P_FILE_CREATE);
    H5Pset_userblock(create, 512);
    as_libhdf5_reads(make_six(create, H5P_DEFAULT, NULL));
    H5Pclose(create);
}

/* The error says at which offset of the file the chunk begins, and of which tensor it is. */
static void damage_is_told_with_its_place(void)
{
    unsigned char noise[100];
    h5ckpt_error *err = NULL;
    memset(noise, 0xa5, sizeof noise);
    const char *path = make(noise, sizeof noise, 0, 0);
    size_t n;
    unsigned char *bytes = test_read(path, &n);
    CU_ASSERT_EQUAL(read_all(path, &err), H5CKPT_INVALID);
    CU_ASSERT_PTR_NOT_NULL_FATAL(err);
    CU_ASSERT_EQUAL(err->offset, find(bytes, n, noise, sizeof noise));
    CU_ASSERT_STRING_EQUAL(err->tensor, "w");
    CU_ASSERT_PTR_NOT_NULL(strstr(err->path, "chunks.h5"));
    h5ckpt_error_free(err);
    free(bytes);
}

/* Whatever a flipped bit does to chunks, filters and indexes, nothing crashes: it is read, or refused with a reason. */
static void survives_flipped_bits(const char *path)
{
    const char *count = getenv("H5CKPT_FLIPS");
    uint64_t seed = 7;
    size_t n;
    unsigned char *bytes = test_read(path, &n);
    for (int i = count ? atoi(count) : 400; i > 0; i--) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        size_t at = (size_t)(seed >> 33) % n;
        unsigned char old = bytes[at];
        h5ckpt_error *err = NULL;
        bytes[at] ^= (unsigned char)(1u << (seed >> 20 & 7));
        test_write(path, bytes, n);
        bytes[at] = old;
        int rc = read_all(path, &err);
        CU_ASSERT((rc == 0) == (err == NULL));
        h5ckpt_error_free(err);
    }
    free(bytes);
}

static void survives_flipped_bits_of_all_kinds(void)
{
    unsigned char *frame;
    size_t size;
    survives_flipped_bits(make(NULL, 0, 0, 1));
    zstd_frame(CHUNK * 2, &frame, &size);
    survives_flipped_bits(make_zstd(frame, size, 0, 0));
    free(frame);
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
        {"zstd is read and checked", zstd_is_read_and_checked},
        {"what was compressed twice is refused", what_was_compressed_twice_is_refused},
        {"a wrong checksum is refused", a_wrong_checksum_is_refused},
        {"a shuffle of other elements is refused", a_shuffle_of_other_elements_is_refused},
        {"chunks over the edge may be without filters", chunks_over_the_edge_may_be_without_filters},
        {"what was never written is zeros behind a user block too",
         what_was_never_written_is_zeros_behind_a_user_block_too},
        {"damage is told with its place", damage_is_told_with_its_place},
        {"survives flipped bits", survives_flipped_bits_of_all_kinds},
        {"other filters are refused", other_filters_are_refused},
        {"what was never written is bounded", what_was_never_written_is_bounded},
        {NULL, NULL},
    };
    return test_run("chunks", cases);
}
