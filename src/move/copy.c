/*
 * copy.c - slab by slab through one buffer: read, digest, write. The head of a small file goes out in the first write,
 * and later writes begin at whole slabs of the target, so that the page cache gets whole pages.
 */
#include "move/copy.h"

#include "base/fs.h"
#include "move/move.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int h5ck_copier_init(h5ck_copier *c, atomic_ullong *done, atomic_bool *stop, h5ckpt_error **err)
{
    *c = (h5ck_copier){.fd = -1, .folder = H5CK_FS_FOLDER_INIT, .done = done, .stop = stop};
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
    h5ck_digest_free(c->digests[0]);
    h5ck_digest_free(c->digests[1]);
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

static int read_slab(h5ck_copier *c, const h5ckpt_tensor *t, uint64_t offset, void *to, size_t n, h5ckpt_error **err)
{
    if (t->extent.kind != H5CK_EXTENT_FILE)
        return h5ck_move_read(t, offset, to, n, err);
    int rc = open_source(c, t->extent.file, err);
    if (rc == 0)
        rc = h5ck_fs_pread(c->fd, to, n, t->extent.offset + offset, err);
    return rc && !c->other_failed ? h5ck_file_where(err, rc, t->extent.file) : rc;
}

static h5ck_digest *digest_for(h5ck_copier *c, h5ckpt_digest algorithm)
{
    if (algorithm == H5CKPT_DIGEST_NONE)
        return NULL;
    h5ck_digest **slot = &c->digests[algorithm == H5CKPT_DIGEST_SHA256];
    if (!*slot)
        *slot = h5ck_digest_new(algorithm);
    else
        h5ck_digest_reset(*slot);
    return *slot;
}

/* What is computed on the way: the digest to store, and the one to hold against the source's. Often they are one. */
typedef struct on_the_way {
    h5ck_digest *store, *check;
} on_the_way;

static int begin_digests(h5ck_copier *c, const h5ckpt_tensor *t, h5ckpt_digest algorithm, on_the_way *d,
                         h5ckpt_error **err)
{
    h5ckpt_digest known = H5CKPT_DIGEST_NONE;
    bool checks =
        t->digest && h5ck_digest_parse(t->digest, &known) == H5CK_DIGEST_KNOWN && h5ck_digest_available(known);
    *d = (on_the_way){digest_for(c, algorithm), NULL};
    if (checks)
        d->check = known == algorithm ? d->store : digest_for(c, known);
    bool missing = (algorithm != H5CKPT_DIGEST_NONE && !d->store) || (checks && !d->check);
    return missing ? h5ck_fail_nomem(err) : 0;
}

static int end_digests(const on_the_way *d, const h5ckpt_tensor *t, char *text, h5ckpt_error **err)
{
    char found[H5CK_DIGEST_TEXT];
    int rc = d->store ? h5ck_digest_text(d->store, text, err) : 0;
    if (rc || !d->check)
        return rc;
    if (d->check == d->store)
        memcpy(found, text, sizeof found);
    else if ((rc = h5ck_digest_text(d->check, found, err)))
        return rc;
    if (strcmp(found, t->digest) == 0)
        return 0;
    h5ck_fail(err, H5CKPT_INVALID, "the data is damaged: expected digest %s, found %s", t->digest, found);
    return t->extent.file ? h5ck_file_where(err, H5CKPT_INVALID, t->extent.file) : H5CKPT_INVALID;
}

static int copy_slabs(h5ck_copier *c, const h5ck_plan_move *move, size_t head, int target, const on_the_way *d,
                      h5ckpt_error **err)
{
    const h5ckpt_tensor *t = move->tensor;
    uint64_t nbytes = t->info.nbytes;
    const h5ck_packer *packer = move->packer;
    /* the first write ends where a slab of the target ends */
    size_t slab = packer ? packer->piece : H5CK_COPY_SLAB;
    size_t room = packer ? slab : slab - (size_t)(move->offset % H5CK_COPY_SLAB);
    for (uint64_t at = 0; at < nbytes;) {
        size_t n = nbytes - at < room ? (size_t)(nbytes - at) : room;
        int rc = read_slab(c, t, at, c->buf + head, n, err);
        if (rc)
            return rc;
        if (d->store)
            h5ck_digest_update(d->store, c->buf + head, n);
        if (d->check && d->check != d->store)
            h5ck_digest_update(d->check, c->buf + head, n);
        rc = packer ? packer->put(packer, at / slab, c->buf, n, &c->scratch, err)
                    : h5ck_fs_pwrite(target, c->buf, head + n, move->offset + at - head, err);
        if (rc)
            return rc;
        at += n;
        atomic_fetch_add(c->done, n);
        if (atomic_load(c->stop))
            return h5ck_fail(err, H5CKPT_SYSTEM, "stopped");
        head = 0;
        room = slab;
    }
    return 0;
}

int h5ck_copy(h5ck_copier *c, h5ck_plan_move *move, const h5ck_plan_file *file, bool with_head, int target,
              h5ckpt_digest algorithm, h5ckpt_error **err)
{
    on_the_way d;
    size_t head = 0;
    int rc = begin_digests(c, move->tensor, algorithm, &d, err);
    if (rc == 0 && with_head && file->head_len) {
        if (file->head_len == move->offset && file->head_len <= H5CK_COPY_SLAB / 2)
            memcpy(c->buf, file->head, head = file->head_len);
        else
            rc = h5ck_fs_pwrite(target, file->head, file->head_len, 0, err);
    }
    if (rc == 0)
        rc = copy_slabs(c, move, head, target, &d, err);
    if (rc == 0)
        rc = end_digests(&d, move->tensor, move->digest, err);
    return rc;
}
