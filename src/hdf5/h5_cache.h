/*
 * h5_cache - what the decoders of one file share: unpacked chunks of which a part was asked for, and the threads' tools.
 * Private to the room; has a lock of its own.
 */
#ifndef H5CK_HDF5_H5_CACHE_H
#define H5CK_HDF5_H5_CACHE_H

#include "hdf5/h5_filter.h"

typedef struct h5ck_hdf5_cache h5ck_hdf5_cache;

/* One unpacked chunk. */
typedef struct h5ck_hdf5_cached {
    struct h5ck_hdf5_cached *next;          /* in its bucket */
    struct h5ck_hdf5_cached *older, *newer; /* by use; only while nobody uses it */
    const void *owner;
    uint64_t index;
    uint64_t unread; /* bytes that nobody copied yet */
    size_t size;
    unsigned users;
    bool ready, failed;
    unsigned char *data;
} h5ck_hdf5_cached;

h5ck_hdf5_cache *h5ck_hdf5_cache_new(void); /* NULL when out of memory */
void h5ck_hdf5_cache_free(h5ck_hdf5_cache *cache);

/* Tools for one thread; NULL when out of memory. Given back with done. */
h5ck_hdf5_tools *h5ck_hdf5_cache_tools(h5ck_hdf5_cache *cache);
void h5ck_hdf5_cache_tools_done(h5ck_hdf5_cache *cache, h5ck_hdf5_tools *tools);

/* The chunk `index` of `owner`, which has room for `size` bytes; waits where another thread is filling it. Where it is
 * not `ready` the caller fills it and says filled(). NULL when out of memory. Given back with release. */
h5ck_hdf5_cached *h5ck_hdf5_cache_get(h5ck_hdf5_cache *cache, const void *owner, uint64_t index, size_t size,
                                      uint64_t unread);
void h5ck_hdf5_cache_filled(h5ck_hdf5_cache *cache, h5ck_hdf5_cached *chunk, bool ok);
/* `read` bytes of it were copied: once all were, it goes. */
void h5ck_hdf5_cache_release(h5ck_hdf5_cache *cache, h5ck_hdf5_cached *chunk, size_t read);

#endif
