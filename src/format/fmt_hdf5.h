/* fmt_hdf5 - what the files of the HDF5 format share. */
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

/* ---- fmt_hdf5_foreign.c: another program's lists of what its groups hold ---- */

/* While a dictionary is read. The owner frees `places`. */
typedef struct h5ck_hdf5_lists {
    const char *groups, *datasets; /* the attributes: of the dictionary's own group, of those in it; or NULL */
    h5ck_arena *arena;
    const h5ck_hdf5_source *from;
    h5ck_dict places;
} h5ck_hdf5_lists;

/* Called for each group that a walk enters: `name` below the dictionary's own, whose depth is 0. */
int h5ck_fmt_hdf5_lists_enter(h5ck_hdf5_lists *lists, hid_t group, const char *name, unsigned depth,
                              h5ckpt_error **err);
/* A dataset's place; INT64_MAX where nothing lists it. */
int64_t h5ck_fmt_hdf5_lists_place(h5ck_hdf5_lists *lists, const char *name);
/* H5CKPT_INVALID where something that is listed was not found. */
int h5ck_fmt_hdf5_lists_done(const h5ck_hdf5_lists *lists, h5ckpt_error **err);
/* The order of names that nothing lists: by their texts, numbers in them by value. */
int h5ck_fmt_hdf5_natural(const char *a, const char *b);
/* Makes the lists of a dictionary whose datasets are below `base`. */
int h5ck_fmt_hdf5_lists_put(hid_t base, const h5ck_schema *s, bool state, const h5ck_dict *dict, h5ckpt_error **err);

/* ---- fmt_hdf5_attrs.c: another program's attributes ---- */

/* Keeps an attribute of the group (`path` ends in '/') or dataset at `path` as metadata; *kept is false for what cannot be. */
int h5ck_fmt_hdf5_attr_keep(h5ckpt_state *state, const h5ck_schema *s, const char *path, const char *name,
                            const h5ck_hdf5_attr *a, bool *kept, h5ckpt_error **err);

/* How a group is made. */
typedef struct h5ck_hdf5_group_lists {
    hid_t link_list, group_list;
} h5ck_hdf5_group_lists;

/* Whether a metadata key looks like one of those. */
bool h5ck_fmt_hdf5_attr_is_key(const char *key);
/* Puts one back to its place; *put is false where it has none. */
int h5ck_fmt_hdf5_attr_put_back(hid_t file, const char *key, const char *text, const h5ck_hdf5_group_lists *how,
                                bool *put, h5ckpt_error **err);
/* Writes the schema's group_attributes, where they are missing. */
int h5ck_fmt_hdf5_attr_defaults(hid_t file, const h5ck_schema *s, h5ckpt_error **err);

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
