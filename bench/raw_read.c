/*
 * raw_read - the seconds that libhdf5 alone takes in-process to read every dataset of a file: H5Dread into memory by
 * malloc, which is what a C program without h5ckpt would do.
 *
 *     raw_read FILE      prints the seconds, then the number of datasets and of their bytes
 */
#define H5_USE_110_API
#include <hdf5.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

typedef struct totals {
    size_t count;
    unsigned long long nbytes;
} totals;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static herr_t read_one(hid_t file, const char *path, totals *t)
{
    hid_t dataset = H5Dopen2(file, path, H5P_DEFAULT), type = H5Dget_type(dataset), space = H5Dget_space(dataset);
    size_t n = (size_t)H5Sget_simple_extent_npoints(space) * H5Tget_size(type);
    void *memory = malloc(n + 1); /* kept, as a caller keeps it; it goes with the process */
    herr_t rc = memory ? H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, memory) : -1;
    H5Sclose(space);
    H5Tclose(type);
    H5Dclose(dataset);
    t->count++;
    t->nbytes += n;
    return rc;
}

static herr_t visit(hid_t file, const char *path, const H5O_info_t *info, void *user)
{
    return info->type == H5O_TYPE_DATASET ? read_one(file, path, user) : 0;
}

int main(int argc, char **argv)
{
    totals t = {0, 0};
    double start = now();
    hid_t file = argc == 2 ? H5Fopen(argv[1], H5F_ACC_RDONLY, H5P_DEFAULT) : -1;
    herr_t rc = file < 0 ? -1 : H5Ovisit2(file, H5_INDEX_NAME, H5_ITER_NATIVE, visit, &t, H5O_INFO_BASIC);
    double seconds = now() - start;
    if (rc < 0) {
        fputs("raw_read: usage: raw_read FILE, of HDF5\n", stderr);
        return 1;
    }
    printf("%.6f %zu %llu\n", seconds, t.count, t.nbytes);
    return H5Fclose(file) < 0;
}
