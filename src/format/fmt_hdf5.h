/* fmt_hdf5 - what the four files of the HDF5 format share. */
#ifndef H5CK_FORMAT_FMT_HDF5_H
#define H5CK_FORMAT_FMT_HDF5_H

#include "format/format.h"
#include "hdf5/h5.h"

enum { H5CK_HDF5_VERSION = 1 }; /* of the form in docs/format.md */

/* The attributes' names of a schema. */
h5ck_hdf5_names h5ck_fmt_hdf5_names(const h5ck_schema *s);

/* h5ck_format's read and plan. */
int h5ck_fmt_hdf5_read(const char *path, h5ckpt_state *state, const h5ck_log *log, h5ckpt_error **err);
int h5ck_fmt_hdf5_plan(const h5ckpt_state *state, h5ck_plan *plan, h5ckpt_error **err);

/* ---- fmt_hdf5_link.c: datasets that point into the source's files ---- */

typedef struct h5ck_hdf5_linker {
    h5ck_plan *plan;
    h5ck_arena arena;
    const char *folder;           /* the target's, a real path; NULL until it is needed */
    const char *root, *real_root; /* of the file before */
    const h5ck_file *file;        /* the file before, and what the target calls it */
    const char *name;
    size_t linked;
} h5ck_hdf5_linker;

/* Whether a tensor is linked. If so: how its dataset is created (like `base`, a new id in *list, also to be closed on
 * failure), and the attributes that it has beside the others. */
bool h5ck_fmt_hdf5_links(const h5ck_hdf5_linker *l, const h5ckpt_tensor *t);
int h5ck_fmt_hdf5_link_list(h5ck_hdf5_linker *l, const h5ckpt_tensor *t, hid_t base, hid_t *list, h5ckpt_error **err);
int h5ck_fmt_hdf5_link_attrs(h5ck_hdf5_linker *l, const h5ckpt_tensor *t, hid_t dataset, h5ckpt_error **err);
/* Of a move that is made for the digest alone. */
extern const h5ck_packer h5ck_fmt_hdf5_read_only;
/* Notes how many tensors were copied all the same, where the file is whole; frees. */
void h5ck_fmt_hdf5_link_done(h5ck_hdf5_linker *l, const h5ckpt_state *state, bool whole);

#endif
