/*
 * raw_packed - what libhdf5 alone takes to compress and to decompress the datasets of a file: the baseline of h5ckpt's.
 *
 *     raw_packed write gzip:N|zstd:N FROM.h5 TO.h5     prints the seconds of H5Dcreate, H5Dwrite and H5Fclose
 *     raw_packed read FROM.h5                          prints the seconds of H5Dopen and H5Dread
 *
 * Datasets of rank 1 and 2 below /parameters, as bench/make_bert's; shuffled, in chunks of whole rows and about 1 MiB
 * (libhdf5's chunk cache is made to hold one). zstd needs hdf5plugin's plugins: HDF5_PLUGIN_PATH. What is read before a
 * write, and pages of memory touched for the first time, are not counted.
 */
#include <hdf5.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CHUNK = 1 << 20, PATH = 512, ZSTD = 32015 };

typedef struct run {
    hid_t from, to;
    int zstd;
    unsigned level;
    double seconds;
    double bytes;
    void *buffer;
    size_t room;
} run;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *room(run *r, size_t n)
{
    if (n > r->room) {
        free(r->buffer);
        r->buffer = malloc(n);
        r->room = r->buffer ? n : 0;
        if (r->buffer)
            memset(r->buffer, 1, n);
    }
    return r->buffer;
}

static hid_t packed_list(const run *r, int rank, const hsize_t *shape, size_t size)
{
    hsize_t chunk[2] = {shape[0], rank > 1 ? shape[1] : 1};
    size_t row = size * (size_t)chunk[1];
    hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    if (chunk[0] > CHUNK / row)
        chunk[0] = CHUNK / row;
    H5Pset_chunk(list, rank, chunk);
    H5Pset_shuffle(list);
    if (r->zstd)
        H5Pset_filter(list, ZSTD, H5Z_FLAG_MANDATORY, 1, &r->level);
    else
        H5Pset_deflate(list, r->level);
    return list;
}

static herr_t write_one(run *r, const char *name, hid_t dataset, hid_t space, hid_t type, const hsize_t *shape,
                        int rank, size_t bytes)
{
    if (H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, r->buffer) < 0)
        return -1;
    double start = now();
    hid_t list = packed_list(r, rank, shape, H5Tget_size(type)), access = H5Pcreate(H5P_DATASET_ACCESS);
    H5Pset_chunk_cache(access, 101, 2 * CHUNK, 1.0);
    hid_t to = H5Dcreate2(r->to, name, type, space, H5P_DEFAULT, list, access);
    herr_t rc = to < 0 ? -1 : H5Dwrite(to, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, r->buffer);
    H5Dclose(to);
    H5Pclose(list);
    H5Pclose(access);
    r->seconds += now() - start;
    r->bytes += (double)bytes;
    return rc;
}

static herr_t one(hid_t group, const char *name, const H5L_info_t *info, void *user)
{
    run *r = user;
    hsize_t shape[2];
    (void)info;
    double start = now();
    hid_t access = H5Pcreate(H5P_DATASET_ACCESS);
    H5Pset_chunk_cache(access, 101, 2 * CHUNK, 1.0);
    hid_t dataset = H5Dopen2(group, name, access);
    hid_t space = H5Dget_space(dataset), type = H5Dget_type(dataset);
    size_t bytes = (size_t)H5Sget_simple_extent_npoints(space) * H5Tget_size(type);
    int rank = H5Sget_simple_extent_ndims(space);
    r->seconds += r->to < 0 ? now() - start : 0;
    herr_t rc = rank < 1 || rank > 2 || H5Sget_simple_extent_dims(space, shape, NULL) < 0 || !room(r, bytes) ? -1 : 0;
    if (rc == 0 && r->to >= 0) {
        rc = write_one(r, name, dataset, space, type, shape, rank, bytes);
    } else if (rc == 0) {
        start = now();
        rc = H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, r->buffer);
        r->seconds += now() - start;
        r->bytes += (double)bytes;
    }
    H5Pclose(access);
    H5Tclose(type);
    H5Sclose(space);
    H5Dclose(dataset);
    return rc;
}

int main(int argc, char **argv)
{
    run r = {.from = -1, .to = -1};
    int writes = argc == 5 && strcmp(argv[1], "write") == 0;
    if (!writes && !(argc == 3 && strcmp(argv[1], "read") == 0)) {
        fprintf(stderr, "usage: raw_packed write gzip:N|zstd:N FROM.h5 TO.h5, or raw_packed read FROM.h5\n");
        return 2;
    }
    r.from = H5Fopen(argv[writes ? 3 : 2], H5F_ACC_RDONLY, H5P_DEFAULT);
    if (writes) {
        r.zstd = strncmp(argv[2], "zstd:", 5) == 0;
        r.level = (unsigned)atoi(argv[2] + 5);
        r.to = H5Fcreate(argv[4], H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    }
    hid_t group = H5Gopen2(r.from, "/parameters", H5P_DEFAULT);
    room(&r, 256u << 20);
    herr_t rc =
        group < 0 || (writes && r.to < 0) ? -1 : H5Literate(group, H5_INDEX_CRT_ORDER, H5_ITER_INC, NULL, one, &r);
    double start = now();
    if (r.to >= 0)
        H5Fclose(r.to);
    r.seconds += r.to >= 0 ? now() - start : 0;
    if (rc < 0)
        return 1;
    printf("%.4f s %.0f MB/s\n", r.seconds, r.bytes / r.seconds / 1e6);
    free(r.buffer);
    return 0;
}
