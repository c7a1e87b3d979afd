/*
 * h5_filter - one chunk through its filters, there and back: shuffle, deflate, Zstandard, fletcher32. Knows nothing of
 * files; needs no lock.
 */
#ifndef H5CK_HDF5_H5_FILTER_H
#define H5CK_HDF5_H5_FILTER_H

#include "hdf5/h5.h"

enum {
    H5CK_HDF5_FILTERS = 8,
    H5CK_HDF5_ZSTD = 32015, /* its number in the HDF Group's list of filters */
    H5CK_HDF5_CHECKSUM = 4  /* bytes that fletcher32 adds */
};

/* A dataset's filters, in the order of packing. `value` is shuffle's element size, or the level of compression. */
typedef struct h5ck_hdf5_filters {
    size_t count;
    struct {
        H5Z_filter_t id;
        unsigned value;
    } at[H5CK_HDF5_FILTERS];
} h5ck_hdf5_filters;

/* What one thread packs and unpacks with: the libraries' state, made when first needed, and two buffers. One at a time.
 * NULL when out of memory; the caller frees it. */
typedef struct h5ck_hdf5_tools h5ck_hdf5_tools;
h5ck_hdf5_tools *h5ck_hdf5_tools_new(void);
void h5ck_hdf5_tools_free(h5ck_hdf5_tools *tools);

/* Room for a chunk as it is stored, for the caller to read it into; NULL when out of memory. The tools' own, until the
 * next call. */
unsigned char *h5ck_hdf5_tools_room(h5ck_hdf5_tools *tools, size_t size);

/* Packs `n` bytes, shuffled and compressed (shuffle before deflate or Zstandard; nothing else is written). *packed is
 * the tools' own, or `data` where it would not shrink; *skipped has a bit for each filter that was left out. */
int h5ck_hdf5_pack(h5ck_hdf5_tools *tools, const h5ck_hdf5_filters *filters, const unsigned char *data, size_t n,
                   const unsigned char **packed, size_t *size, uint32_t *skipped, h5ckpt_error **err);

/* Unpacks a stored chunk of `size` bytes (which may lie in the tools' room, and is written over) into exactly `n` bytes
 * at `to`. H5CKPT_INVALID where it does not unpack to that, without an offset: "expected ..., found ...". */
int h5ck_hdf5_unpack(h5ck_hdf5_tools *tools, const h5ck_hdf5_filters *filters, uint32_t skipped, unsigned char *stored,
                     size_t size, unsigned char *to, size_t n, h5ckpt_error **err);

#endif
