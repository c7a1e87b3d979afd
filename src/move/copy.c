/*
 * copy.c - slab by slab: read, digest, write. The head of a small file goes out in the first write, and later writes
 * begin at whole slabs of the target, so that the page cache gets whole pages.
 *
 * What lies in memory is written from there; what goes to memory is read into its place: only from file to file, and to
 * a packer, do elements pass a thread's buffer. Where both lie at whole blocks of one file system that can share blocks
 * between files, the target gets the source's blocks; they are still read, for the digest.
 */
#include "move/copy.h"

#include "base/fs.h"
#include "move/move.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- A thread's tools ---- */

int h5ck_copier_init(h5ck_copier *c, h5ckpt_error **err)
{
    *c = (h5ck_copier){.fd = -1, .folder = H5CK_FS_FOLDER_INIT};
    c->buf = malloc(H5CK_COPY_SLAB);
    return c->buf ? 0 : h5ck_fail_nomem(err);
}

int h5ck_copier_close_source(h5ck_copier *c, h5ckpt_error **err)
{
    if (c->fd < 0)
        return 0;
    int rc = h5ck_fs_unchanged(c->file, c->fd, err);
    close(c->fd);
    c->fd = -1;
    c->file = NULL;
    return rc;
}

void h5ck_copier_free(h5ck_copier *c)
{
    h5ck_copier_close_source(c, NULL);
    h5ck_fs_folder_close(&c->folder);
    for (size_t i = 0; i < H5CK_DIGEST_KINDS; i++)
        h5ck_digest_free(c->digests[i]);
    free(c->buf);
}

static int open_source(h5ck_copier *c, const h5ck_file *file, h5ckpt_error **err)
{
    if (c->file == file)
        return 0;
    int rc = h5ck_copier_close_source(c, err);
    c->other_failed = rc != 0;
    if (rc == 0)
        rc = h5ck_fs_reopen_in(&c->folder, file, &c->fd, err);
    c->file = rc ? NULL : file;
    return rc;
}

/* ---- Slabs ---- */

/* Bytes in the first slab, and in the others. The first ends where a slab of the target ends. */
static size_t slab_size(const h5ck_carry *y, size_t *first)
{
    size_t slab = y->packer ? y->packer->piece : H5CK_COPY_SLAB;
    *first = y->packer || y->memory ? slab : slab - (size_t)(y->offset % H5CK_COPY_SLAB);
    return slab;
}

uint64_t h5ck_copy_slabs(const h5ck_carry *y)
{
    uint64_t nbytes = y->tensor ? y->tensor->info.nbytes : 0;
    size_t first, slab = slab_size(y, &first);
    return nbytes <= first ? 1 : 2 + (nbytes - first - 1) / slab;
}

/* Where slab `k` begins in the elements, and its length. */
static uint64_t slab_at(const h5ck_carry *y, uint64_t k, size_t *n)
{
    uint64_t nbytes = y->tensor ? y->tensor->info.nbytes : 0;
    size_t first, slab = slab_size(y, &first), room = k ? slab : first;
    uint64_t at = k ? first + (k - 1) * slab : 0;
    *n = nbytes - at < room ? (size_t)(nbytes - at) : room;
    return at;
}

static int read_into(h5ck_copier *c, const h5ckpt_tensor *t, uint64_t offset, void *to, size_t n, h5ckpt_error **err)
{
    if (t->extent.kind != H5CK_EXTENT_FILE || h5ck_move_in_memory(t))
        return h5ck_move_read(t, offset, to, n, err);
    const unsigned char *kept = h5ck_fs_kept(t->extent.file);
    if (kept) {
        memcpy(to, kept + t->extent.offset + offset, n);
        return 0;
    }
    int rc = open_source(c, t->extent.file, err);
    if (rc == 0)
        rc = h5ck_fs_pread(c->fd, to, n, t->extent.offset + offset, err);
    return rc && !c->other_failed ? h5ck_file_where(err, rc, t->extent.file) : rc;
}

int h5ck_copy_read(h5ck_copier *c, const h5ck_carry *y, uint64_t slab, const unsigned char **data, size_t *n,
                   h5ckpt_error **err)
{
    uint64_t at = slab_at(y, slab, n);
    size_t head = slab ? 0 : y->head_left;
    unsigned char *to = y->memory ? y->memory + at : c->buf + head;
    const unsigned char *there = y->tensor && !y->memory && !head ? h5ck_move_in_memory(y->tensor) : NULL;
    *data = there && *n ? there + at : to;
    if (head)
        memcpy(c->buf, y->head, head);
    return *n == 0 || *data != to ? 0 : read_into(c, y->tensor, at, to, *n, err);
}

void h5ck_copy_digest(const h5ck_carry *y, const unsigned char *data, size_t n)
{
    if (y->store)
        h5ck_digest_update(y->store, data, n);
    if (y->check && y->check != y->store)
        h5ck_digest_update(y->check, data, n);
}

/* The slab without what was cloned. */
static int write_rest(const h5ck_carry *y, size_t head, uint64_t at, const unsigned char *data, size_t n,
                      h5ckpt_error **err)
{
    size_t skip = y->cloned - at < n ? (size_t)(y->cloned - at) : n;
    int rc = head ? h5ck_fs_pwrite(y->fd, data - head, head, y->offset - head, err) : 0;
    if (rc == 0 && n > skip)
        rc = h5ck_fs_pwrite(y->fd, data + skip, n - skip, y->offset + at + skip, err);
    return rc;
}

int h5ck_copy_write(h5ck_copier *c, const h5ck_carry *y, uint64_t slab, const unsigned char *data, size_t n,
                    h5ckpt_error **err)
{
    size_t head = slab ? 0 : y->head_left, length;
    uint64_t at = slab_at(y, slab, &length);
    if (y->memory || head + n == 0)
        return 0;
    if (y->packer)
        return y->packer->put(y->packer, slab, data, n, &c->scratch, err);
    if (y->fd < 0)
        return 0;
    if (y->cloned > at)
        return write_rest(y, head, at, data, n, err);
    int rc = h5ck_fs_pwrite(y->fd, data - head, head + n, y->offset + at - head, err);
    if (rc == 0 && y->start)
        h5ck_fs_start_writing(y->fd, y->offset + at - head, head + n);
    return rc;
}

/* ---- Before and after ---- */

static h5ck_digest *digest_for(h5ck_copier *c, h5ck_carry *y, h5ckpt_digest algorithm, bool shared)
{
    if (algorithm == H5CKPT_DIGEST_NONE)
        return NULL;
    size_t kind = h5ck_digest_kind(algorithm);
    h5ck_digest **slot = shared ? &y->own[kind] : &c->digests[kind];
    if (!*slot)
        *slot = h5ck_digest_new(algorithm);
    else
        h5ck_digest_reset(*slot);
    return *slot;
}

static int begin_digests(h5ck_copier *c, h5ck_carry *y, bool shared, h5ckpt_error **err)
{
    const char *text = y->unchecked || !y->tensor ? NULL : y->tensor->digest;
    h5ckpt_digest known = H5CKPT_DIGEST_NONE;
    bool checks = text && h5ck_digest_parse(text, &known) == H5CK_DIGEST_KNOWN && h5ck_digest_available(known);
    y->store = digest_for(c, y, y->algorithm, shared);
    if (checks)
        y->check = known == y->algorithm ? y->store : digest_for(c, y, known, shared);
    bool missing = (y->algorithm != H5CKPT_DIGEST_NONE && !y->store) || (checks && !y->check);
    return missing ? h5ck_fail_nomem(err) : 0;
}

/* Only from a slab's size on: a small tensor is copied sooner than cloned. */
static int try_to_clone(h5ck_copier *c, h5ck_carry *y, h5ckpt_error **err)
{
    const h5ckpt_tensor *t = y->tensor;
    if (!y->clones || !t || t->extent.kind != H5CK_EXTENT_FILE || t->info.nbytes < H5CK_COPY_SLAB || y->packer ||
        y->memory || h5ck_move_in_memory(t))
        return 0;
    int rc = open_source(c, t->extent.file, err);
    if (rc == 0)
        y->cloned = h5ck_fs_clone(c->fd, t->extent.offset, y->fd, y->offset, t->info.nbytes, &y->clones);
    return rc;
}

int h5ck_copy_begin(h5ck_copier *c, h5ck_carry *y, bool shared, h5ckpt_error **err)
{
    int rc = begin_digests(c, y, shared, err);
    if (rc == 0 && y->head_len) {
        if (!y->packer && y->head_len == y->offset && y->head_len <= H5CK_COPY_SLAB / 2)
            y->head_left = y->head_len;
        else
            rc = h5ck_fs_pwrite(y->fd, y->head, y->head_len, 0, err);
    }
    return rc ? rc : try_to_clone(c, y, err);
}

int h5ck_copy_end(h5ck_carry *y, h5ckpt_error **err)
{
    char found[H5CK_DIGEST_TEXT];
    const h5ckpt_tensor *t = y->tensor;
    int rc = y->store ? h5ck_digest_text(y->store, y->text, err) : 0;
    if (rc || !y->check)
        return rc;
    if (y->check == y->store)
        memcpy(found, y->text, sizeof found);
    else if ((rc = h5ck_digest_text(y->check, found, err)))
        return rc;
    if (strcmp(found, t->digest) == 0)
        return 0;
    h5ck_fail(err, H5CKPT_INVALID, "the data is damaged: expected digest %s, found %s", t->digest, found);
    return t->extent.file ? h5ck_file_where(err, H5CKPT_INVALID, t->extent.file) : H5CKPT_INVALID;
}

void h5ck_copy_free(h5ck_carry *y)
{
    for (size_t i = 0; i < H5CK_DIGEST_KINDS; i++) {
        h5ck_digest_free(y->own[i]);
        y->own[i] = NULL;
    }
    y->store = y->check = NULL;
}
