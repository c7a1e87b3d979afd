/*
 * h5_external.c - HDF5's external storage: a dataset whose elements are a range of another file. h5ckpt's own linked
 * files are made of it (docs/format.md).
 *
 * A stranger's file must not choose what we read. So without the caller's leave such a dataset is refused; with it, only
 * files below the HDF5 file's own folder are taken, unless the leave is for any. libhdf5 only tells the name, the offset
 * and the size: it never opens the other file, and neither HDF5_EXTFILE_PREFIX nor the working folder plays a part.
 *
 * Relative names count from the folder in which the HDF5 file really lies.
 *
 * Refused, leave or not: several ranges for one dataset (each would need its part of the elements put together), other
 * than plain little-endian elements, a range that its file does not hold to the end (libhdf5 would make zeros of it).
 */
#include "base/ckd.h"
#include "hdf5/h5_decode.h"

#include <inttypes.h>
#include <unistd.h>

enum { LONGEST_NAME = 4096 };

static bool covers(const h5ck_hdf5_segment *s, uint64_t nbytes)
{
    return s->size == H5F_UNLIMITED || s->size >= nbytes;
}

int h5ck_hdf5_segment_read(hid_t list, int count, h5ck_hdf5_segment *s, h5ckpt_error **err)
{
    off_t offset = 0;
    hsize_t size = 0;
    *s = (h5ck_hdf5_segment){.count = count};
    if (count < 0 || H5Pget_external(list, 0, sizeof s->name, s->name, &offset, &size) < 0)
        return h5ck_hdf5_fail(err, H5CKPT_INVALID, "cannot read which file a dataset is stored in");
    if (s->name[sizeof s->name - 1])
        return h5ck_fail(err, H5CKPT_INVALID, "expected the name of an external file, found one of over %zu bytes",
                         sizeof s->name - 1);
    if (offset < 0)
        return h5ck_fail(err, H5CKPT_INVALID, "expected an offset in the external file '%s', found %" PRId64, s->name,
                         (int64_t)offset);
    s->offset = (uint64_t)offset;
    s->size = size;
    return 0;
}

/* The file of that name, known from another dataset or found now. */
static int find_file(h5ckpt_state *state, h5ck_hdf5_external *x, const char *name, h5ck_file **file, h5ckpt_error **err)
{
    const char *real, *root, *relative;
    int fd, rc = 0;
    if ((*file = h5ck_dict_get(&x->files, name)))
        return 0;
    if (!x->folder) {
        rc = h5ck_fs_real_path(x->path, &state->arena, &real, err);
        if (rc == 0)
            rc = h5ck_fs_real_parent(real, &state->arena, &x->folder, err);
    }
    if (rc == 0)
        rc =
            h5ck_fs_find(x->folder, name, x->allowed != H5CKPT_EXTERNAL_ANYWHERE, &state->arena, &root, &relative, err);
    if (rc)
        return rc;
    const char *key = h5ck_arena_strdup(&state->arena, name);
    h5ck_file *found = h5ck_state_new_file(state, root, relative);
    if (!key || !found)
        return h5ck_fail_nomem(err);
    if ((rc = h5ck_fs_open_source(found->root, found->relative, found, &fd, err)))
        return rc;
    close(fd);
    *file = found;
    return h5ck_dict_set(&x->files, key, found) ? 0 : h5ck_fail_nomem(err);
}

int h5ck_hdf5_external_extent(h5ckpt_state *state, h5ck_hdf5_external *x, const h5ck_hdf5_segment *s, bool plain,
                              const h5ckpt_tensor_info *info, h5ck_extent *extent, h5ckpt_error **err)
{
    h5ck_file *file;
    uint64_t end;
    if (!x || x->allowed == H5CKPT_EXTERNAL_REFUSED)
        return h5ck_fail(err, H5CKPT_INVALID,
                         "expected data in this file, found external storage in '%s' (other files are read only with "
                         "--allow-external)",
                         s->name);
    if (!plain)
        return h5ck_fail(err, H5CKPT_INVALID,
                         "expected plain little-endian elements in the external file '%s', found others", s->name);
    if (!covers(s, info->nbytes))
        return h5ck_fail(err, H5CKPT_INVALID,
                         "expected %" PRIu64 " bytes in one range of external storage, found %" PRIu64
                         " in the first of %d",
                         info->nbytes, s->size, s->count);
    int rc = find_file(state, x, s->name, &file, err);
    if (rc)
        return rc;
    if (h5ck_ckd_add(s->offset, info->nbytes, &end) || end > file->size) {
        h5ck_fail_at(err, s->offset, "expected %" PRIu64 " bytes of data, found %" PRIu64, info->nbytes,
                     file->size > s->offset ? file->size - s->offset : 0);
        return h5ck_file_where(err, H5CKPT_INVALID, file);
    }
    *extent = (h5ck_extent){.kind = H5CK_EXTENT_FILE, .file = file, .offset = s->offset};
    return 0;
}

void h5ck_hdf5_external_explain(hid_t list, int count, h5ck_buf *out)
{
    h5ck_buf_printf(out, "layout: external storage, %d range%s\n", count, count == 1 ? "" : "s");
    for (int i = 0; i < count; i++) {
        char name[LONGEST_NAME] = "";
        off_t offset = 0;
        hsize_t size = 0;
        if (H5Pget_external(list, (unsigned)i, sizeof name - 1, name, &offset, &size) < 0)
            return;
        h5ck_buf_str(out, "external: '");
        h5ck_buf_printable(out, name);
        h5ck_buf_printf(out, "' from offset %" PRId64 ", ", (int64_t)offset);
        if (size == H5F_UNLIMITED)
            h5ck_buf_str(out, "to the end of the file\n");
        else
            h5ck_buf_printf(out, "%" PRIu64 " bytes\n", (uint64_t)size);
    }
}
