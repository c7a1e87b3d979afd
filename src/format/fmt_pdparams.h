/*
 * fmt_pdparams - what reading and writing Paddle's pickled states share. The story is in fmt_pdparams.c.
 */
#ifndef H5CK_FORMAT_FMT_PDPARAMS_H
#define H5CK_FORMAT_FMT_PDPARAMS_H

#include "format/format.h"

/* What stands for a tensor or a decay in the rest of a file that the metadata keeps: an object of this module, its class
 * the dictionary that it is in, its one field ("name") the name there. No pickle holds such an object: neither Paddle's
 * classes nor a decay's are of this module. */
#define H5CK_PDPARAMS_MODULE   "h5ckpt"
#define H5CK_PDPARAMS_WEIGHT   "parameter"
#define H5CK_PDPARAMS_SLOT     "optimizer_state"
#define H5CK_PDPARAMS_SCHEDULE "learning_rate"

#define H5CK_PDPARAMS_METADATA  "paddle" /* the metadata's key; in its dictionary, what is left of each file: */
#define H5CK_PDPARAMS_MODEL     "pdparams"
#define H5CK_PDPARAMS_OPTIMIZER "pdopt"

#define H5CK_PDPARAMS_SCHEDULER "LR_Scheduler"
#define H5CK_PDPARAMS_NAMES     "StructuredToParameterName@@"
#define H5CK_PDPARAMS_SPLIT     "UnpackBigParamInfor@@"

/* The globals of such a pickle that are read as data, and written again. */
bool h5ck_fmt_pdparams_allows(void *user, const char *module, const char *name);

/* "x.pdopt" for "x.pdparams", in the arena; NULL where the path does not end in .pdparams. *failed: out of memory. */
const char *h5ck_fmt_pdparams_beside(const char *path, h5ck_arena *arena, bool *failed);
bool h5ck_fmt_pdparams_is_optimizer(const char *path); /* ends in .pdopt */

int h5ck_fmt_pdparams_read(const char *path, h5ckpt_state *state, const h5ck_log *log, h5ckpt_error **err);
int h5ck_fmt_pdparams_plan(const h5ckpt_state *state, h5ck_plan *plan, h5ckpt_error **err);

#endif
