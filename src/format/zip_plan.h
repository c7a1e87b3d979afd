/*
 * zip_plan - a target that is one zip archive, planned: for formats whose tensors are members of one. Members are stored
 * as they are; each begins at a multiple of 64 bytes, so that its elements can be mapped.
 *
 *     h5ck_zip_plan *zip;
 *     rc = h5ck_zip_plan_begin(plan, &zip, err);
 *     ... h5ck_zip_plan_add(zip, "w.npy", head, head_len, tensor, err) for each member ...
 *     rc = h5ck_zip_plan_end(zip, err);
 *
 * The CRC of what the mover carries is known only then: plan->digest is set to CRC-32, and plan->finish puts the CRCs
 * into the headers. plan->user and plan->finish are this module's.
 */
#ifndef H5CK_FORMAT_ZIP_PLAN_H
#define H5CK_FORMAT_ZIP_PLAN_H

#include "move/plan.h"

typedef struct h5ck_zip_plan h5ck_zip_plan;

int h5ck_zip_plan_begin(h5ck_plan *plan, h5ck_zip_plan **zip, h5ckpt_error **err);

/* A member: `head`'s bytes, then the tensor's elements (NULL: none). Name and head are copied. A name that another
 * member has, that is too long, or that would lead whoever unpacks the archive out of his folder is H5CKPT_INVALID. */
int h5ck_zip_plan_add(h5ck_zip_plan *zip, const char *name, const void *head, size_t head_len,
                      const h5ckpt_tensor *tensor, h5ckpt_error **err);

/* After the last member: the directory. */
int h5ck_zip_plan_end(h5ck_zip_plan *zip, h5ckpt_error **err);

#endif
