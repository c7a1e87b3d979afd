/* fmt_hdf5 - what the three files of the HDF5 format share. */
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

#endif
