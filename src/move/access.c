/* access.c - a tensor's elements for the loader: copied on request, or as memory without a copy. */
#include "base/fs.h"
#include "move/move.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int read_file(const h5ck_extent *e, uint64_t offset, void *buf, size_t n, h5ckpt_error **err)
{
    const unsigned char *kept = h5ck_fs_kept(e->file);
    if (kept) {
        memcpy(buf, kept + e->offset + offset, n);
        return 0;
    }
    int fd, rc = h5ck_fs_reopen(e->file, &fd, err);
    if (rc)
        return rc;
    rc = h5ck_fs_pread(fd, buf, n, e->offset + offset, err);
    close(fd);
    return rc;
}

const unsigned char *h5ck_move_in_memory(const h5ckpt_tensor *t)
{
    const void *loaded = atomic_load(&((h5ckpt_tensor *)(uintptr_t)t)->loaded);
    return loaded ? loaded : t->extent.kind == H5CK_EXTENT_MEMORY ? t->extent.memory : NULL;
}

int h5ck_move_read(const h5ckpt_tensor *t, uint64_t offset, void *buf, size_t n, h5ckpt_error **err)
{
    const unsigned char *there = h5ck_move_in_memory(t);
    int rc = 0;
    if (offset > t->info.nbytes || n > t->info.nbytes - offset)
        rc = h5ck_fail(err, H5CKPT_USAGE, "expected a range inside of %llu bytes, found %zu bytes at %llu",
                       (unsigned long long)t->info.nbytes, n, (unsigned long long)offset);
    else if (n == 0)
        return 0;
    else if (there)
        memcpy(buf, there + offset, n);
    else if (t->extent.kind == H5CK_EXTENT_FILE)
        rc = read_file(&t->extent, offset, buf, n, err);
    else
        rc = t->extent.decoder->read(t->extent.decoder, offset, buf, n, err);
    return rc ? h5ck_err_where(err, rc, NULL, t->info.name) : 0;
}

/* Decodes once; of two threads that come at the same time one throws its copy away. */
static const void *decoded(const h5ckpt_tensor *t, h5ckpt_error **err)
{
    h5ckpt_tensor *cache = (h5ckpt_tensor *)(uintptr_t)t; /* states are built non-const; this slot is atomic */
    void *data = atomic_load(&cache->decoded);
    if (data)
        return data;
    if (t->info.nbytes > SIZE_MAX || !(data = malloc((size_t)t->info.nbytes))) {
        h5ck_fail_nomem(err);
        return NULL;
    }
    if (h5ck_move_read(t, 0, data, (size_t)t->info.nbytes, err)) {
        free(data);
        return NULL;
    }
    void *other = NULL;
    if (!atomic_compare_exchange_strong(&cache->decoded, &other, data)) {
        free(data);
        data = other;
    }
    return data;
}

const void *h5ck_move_data(const h5ckpt_tensor *t, h5ckpt_error **err)
{
    static const uint64_t no_elements[8];
    const unsigned char *map, *there = h5ck_move_in_memory(t);
    if (t->info.nbytes == 0)
        return no_elements;
    if (there)
        return there;
    if (t->extent.kind != H5CK_EXTENT_FILE)
        return decoded(t, err);
    if (h5ck_fs_map(t->extent.file, &map, err)) {
        h5ck_err_where(err, 0, NULL, t->info.name);
        return NULL;
    }
    return map + t->extent.offset;
}
