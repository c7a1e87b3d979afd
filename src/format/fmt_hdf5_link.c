/*
 * fmt_hdf5_link.c - a view instead of a copy: datasets that point at the elements inside the source's own files, by
 * HDF5's external storage.
 *
 * A dataset is linked where its elements are a plain range of a file; what format that file has does not matter. Its
 * name is written as other programs will look it up: absolute, or as seen from the folder in which the target will
 * stand, both without symbolic links, so that it holds whatever the working folder is and however one came to that
 * folder. Beside it stand the file's size and time of modification, by which `verify` tells that it has changed, and
 * the digest if the source holds one. None is computed, unless the caller asked for one: then the mover reads the
 * elements, and writes nothing.
 */
#include "base/fs.h"
#include "format/fmt_hdf5.h"

#include <string.h>
#include <unistd.h>

enum { LONGEST_NAME = 4095 }; /* that a system opens */

/* ---- Names ---- */

/* A root's real path: all tensors of a folder have the same root. */
static int real_root(h5ck_hdf5_linker *l, const char *root, h5ckpt_error **err)
{
    if (l->root && strcmp(l->root, root) == 0)
        return 0;
    l->root = NULL;
    int rc = h5ck_fs_real_path(root, &l->arena, &l->real_root, err);
    l->root = rc ? NULL : root;
    return rc;
}

static int make_name(h5ck_hdf5_linker *l, const h5ck_file *file, h5ckpt_error **err)
{
    int rc = real_root(l, file->root, err);
    if (rc == 0 && !l->folder)
        rc = h5ck_fs_real_parent(l->plan->stage, &l->arena, &l->folder, err);
    if (rc)
        return rc;
    const h5ck_file real = {.root = l->real_root, .relative = file->relative};
    const char *path = h5ck_file_path(&real, &l->arena);
    l->name = l->plan->link == H5CKPT_LINK_ABSOLUTE ? path : h5ck_fs_from(l->folder, path, &l->arena);
    if (!l->name)
        return h5ck_fail_nomem(err);
    if (strlen(path) > LONGEST_NAME || strlen(l->name) > LONGEST_NAME)
        return h5ck_fail(err, H5CKPT_INVALID, "expected a path of at most %d bytes to point at, found a longer one",
                         LONGEST_NAME);
    return 0;
}

/* Names the file, once it is seen to be still the one that was planned. */
static int name_file(h5ck_hdf5_linker *l, const h5ck_file *file, h5ckpt_error **err)
{
    int fd, rc;
    if (l->file == file)
        return 0;
    l->file = NULL;
    if ((rc = h5ck_fs_reopen(file, &fd, err)))
        return rc;
    close(fd);
    rc = make_name(l, file, err);
    l->file = rc ? NULL : file;
    return rc ? h5ck_file_where(err, rc, file) : 0;
}

/* ---- Datasets ---- */

bool h5ck_fmt_hdf5_links(const h5ck_hdf5_linker *l, const h5ckpt_tensor *t)
{
    return l->plan->link != H5CKPT_LINK_NONE && t->extent.kind == H5CK_EXTENT_FILE && t->info.nbytes;
}

int h5ck_fmt_hdf5_link_list(h5ck_hdf5_linker *l, const h5ckpt_tensor *t, hid_t base, hid_t *list, h5ckpt_error **err)
{
    int rc = name_file(l, t->extent.file, err);
    if (rc)
        return rc;
    *list = H5Pcopy(base);
    if (*list < 0 || H5Pset_external(*list, l->name, (off_t)t->extent.offset, t->info.nbytes) < 0)
        return h5ck_hdf5_fail(err, H5CKPT_SYSTEM, "cannot point at another file");
    return 0;
}

/* A source that is a view itself says what its file was like: a change since then is not covered up. */
int h5ck_fmt_hdf5_link_attrs(h5ck_hdf5_linker *l, const h5ckpt_tensor *t, hid_t dataset, h5ckpt_error **err)
{
    const h5ck_schema *s = l->plan->schema;
    const h5ck_file *file = t->extent.file;
    const h5ck_file_mark now = {(int64_t)file->size, h5ck_file_mtime(file)};
    const h5ck_file_mark *mark = t->extent.mark ? t->extent.mark : &now;
    int rc = h5ck_hdf5_attr_put_int(dataset, s->at_source_size, mark->size, err);
    if (rc == 0)
        rc = h5ck_hdf5_attr_put_int(dataset, s->at_source_mtime, mark->mtime, err);
    if (rc == 0 && t->digest && l->plan->digest != H5CKPT_DIGEST_NONE && !l->plan->digest_links)
        rc = h5ck_hdf5_attr_put_text(dataset, s->at_digest, t->digest, err);
    l->linked += rc == 0;
    return rc;
}

/* ---- Reading for the digest alone ---- */

static int put_nothing(const h5ck_packer *self, uint64_t index, const void *data, size_t n, void **scratch,
                       h5ckpt_error **err)
{
    (void)self, (void)index, (void)data, (void)n, (void)scratch, (void)err;
    return 0;
}

const h5ck_packer h5ck_fmt_hdf5_read_only = {.piece = H5CK_COPY_SLAB, .put = put_nothing};

/* ---- At the end ---- */

void h5ck_fmt_hdf5_link_done(h5ck_hdf5_linker *l, const h5ckpt_state *state, bool whole)
{
    size_t with_elements = 0;
    for (int d = 0; d < 2; d++) {
        const h5ck_dict *dict = d ? &state->optimizer_state.dict : &state->parameters.dict;
        for (size_t i = 0; i < dict->count; i++)
            with_elements += ((const h5ckpt_tensor *)dict->entries[i].value)->info.nbytes != 0;
    }
    if (whole && l->plan->link != H5CKPT_LINK_NONE && l->linked < with_elements)
        h5ck_log_note(&l->plan->log, "%s: %zu of %zu tensors are copied: their sources hold no plain bytes to point at",
                      l->plan->target, with_elements - l->linked, with_elements);
    h5ck_arena_free(&l->arena);
}
