/*
 * fmt_hdf5.c - HDF5: the form that h5ckpt writes (docs/format.md, version 1), and any other HDF5 file.
 *
 *     /                     attributes: the form's version, the schema's name, the metadata
 *     /parameters/...       a dataset a parameter; what the schema separates names by makes groups
 *     /optimizers/<name>    a group a learning-rate decay, its fields as attributes
 *     /optimizer_state/...  as parameters
 *
 * All these names are the schema's. A file without the version attribute is somebody else's: each of its datasets is a
 * parameter under its path.
 *
 * Where the schema says `foreign: true` it describes another program's files: their groups are what is what, too, with
 * lists of what they hold (fmt_hdf5_foreign.c) and attributes (fmt_hdf5_attrs.c).
 *
 * Reading is in fmt_hdf5_read.c, writing in fmt_hdf5_write.c; here is what a file is known by, how it is explained, and
 * the table's row.
 *
 * Refused: another version, elements in other files unless they are allowed, external and user-defined links, and what h5_dataset.c and h5_value_read.c refuse. Passed
 * over with a note: soft links, datasets of other types or without a dataspace, named types, other groups in a file of
 * ours.
 */
#include "format/fmt_hdf5.h"
#include "base/fs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool probe(const h5ck_probe *p)
{
    static const unsigned char magic[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
    unsigned char found[8];
    if (p->is_dir)
        return false;
    if (p->head_len >= sizeof magic && memcmp(p->head, magic, sizeof magic) == 0)
        return true;
    for (uint64_t at = 512; at < p->size && p->size - at >= sizeof magic; at *= 2) /* behind a user block */
        if (h5ck_fs_pread(p->fd, found, sizeof found, at, NULL) == 0 && memcmp(found, magic, sizeof magic) == 0)
            return true;
    return false;
}

h5ck_hdf5_names h5ck_fmt_hdf5_names(const h5ck_schema *s)
{
    return h5ck_hdf5_names_make(s->at_class, s->at_module, s->at_python, s->at_fields, s->at_type_suffix);
}

/* ---- Explaining ---- */

typedef struct listing {
    h5ck_buf *out;
    h5ck_arena arena;
    h5ck_hdf5_source from;
} listing;

static int list_attr(void *user, hid_t attr, const char *name, h5ckpt_error **err)
{
    listing *l = user;
    h5ck_hdf5_attr a;
    int rc = h5ck_hdf5_attr_read(attr, &l->from, &l->arena, &a, err);
    if (rc)
        return rc;
    h5ck_buf_printf(l->out, "attribute %s: ", name);
    if (a.content == H5CK_HDF5_NULL)
        h5ck_buf_str(l->out, "empty dataspace");
    else
        h5ck_buf_str(l->out, a.type);
    for (size_t i = 0; i < a.rank; i++)
        h5ck_buf_printf(l->out, "%s%" PRIu64, i ? ", " : ", shape ", a.shape[i]);
    h5ck_buf_str(l->out, "\n");
    return 0;
}

static int explain_object(const h5ck_hdf5_file *file, const h5ck_hdf5_place *place, h5ck_buf *out, h5ckpt_error **err)
{
    listing l = {.out = out};
    int rc = h5ck_hdf5_source_make(file->id, file->fd, file->size, &l.from, err);
    hid_t object = rc ? -1 : H5Oopen_by_addr(file->id, place->address);
    if (object < 0) {
        h5ck_hdf5_source_free(&l.from);
        return rc ? rc : h5ck_hdf5_fail(err, H5CKPT_INVALID, "cannot open the object again");
    }
    h5ck_buf_printf(out, "%s %s, object header at offset %" PRIu64 "\n",
                    H5Iget_type(object) == H5I_DATASET ? "dataset" : "group", place->path, (uint64_t)place->address);
    if (H5Iget_type(object) == H5I_DATASET)
        h5ck_hdf5_dataset_explain(object, out);
    rc = h5ck_hdf5_attr_each(object, list_attr, &l, err);
    h5ck_hdf5_close(object);
    h5ck_hdf5_source_free(&l.from);
    h5ck_arena_free(&l.arena);
    return rc;
}

/* Of a dataset that points into another file: which file that is. */
static void explain_elsewhere(const h5ck_file *own, const h5ck_extent *e, h5ck_buf *out)
{
    h5ck_arena scratch = {NULL};
    if (e->kind != H5CK_EXTENT_FILE || e->file == own)
        return;
    h5ck_buf_printf(out, "elements: at offset %" PRIu64 " of ", e->offset);
    h5ck_buf_printable(out, h5ck_file_path(e->file, &scratch));
    h5ck_buf_printf(out, ", %" PRIu64 " bytes%s\n", e->file->size,
                    !e->mark                   ? ""
                    : h5ck_extent_fits_mark(e) ? ", unchanged since it was linked"
                                               : ", which has changed since it was linked");
    h5ck_arena_free(&scratch);
}

static int explain(const h5ckpt_state *state, const h5ckpt_tensor *tensor, const h5ckpt_decay *decay, h5ck_buf *out,
                   h5ckpt_error **err)
{
    const h5ck_hdf5_reader *r = h5ck_hdf5_reader_of(state);
    const h5ck_hdf5_place *place = tensor ? tensor->origin : decay ? decay->origin : NULL;
    h5ck_hdf5_guard guard;
    h5ck_hdf5_file file;
    int fd;
    if (!r || !place)
        return h5ck_fail(err, H5CKPT_USAGE, "expected a tensor or decay of this state, found another");
    int rc = h5ck_fs_reopen(r->file, &fd, err);
    if (rc)
        return rc;
    h5ck_buf_printf(out, "file %s, %" PRIu64 " bytes: HDF5\n", r->file->root, r->file->size);
    h5ck_hdf5_enter(&guard);
    rc = h5ck_hdf5_file_read(&file, fd, r->file->size, err);
    if (rc == 0)
        rc = explain_object(&file, place, out, err);
    rc = h5ck_hdf5_file_close(&file, rc, err);
    h5ck_hdf5_leave(&guard);
    close(fd);
    if (rc == 0 && tensor)
        explain_elsewhere(r->file, &tensor->extent, out);
    return rc ? h5ck_file_where(err, rc, r->file) : 0;
}

static const char *const suffixes[] = {".h5", ".hdf5", ".he5", NULL};

const h5ck_format h5ck_fmt_hdf5 = {
    .info = {.name = "hdf5",
             .suffix = ".h5",
             .doc = "HDF5: a dataset a tensor, a group of attributes a learning-rate decay",
             .reads = 1,
             .writes = 1,
             .holds_decays = 1,
             .holds_optimizer_state = 1,
             .holds_metadata = 1},
    .packs = true,
    .links = true,
    .suffixes = suffixes,
    .probe = probe,
    .read = h5ck_fmt_hdf5_read,
    .plan = h5ck_fmt_hdf5_plan,
    .explain = explain,
};
