/* recast - convert's --dtype: tensors of a state cast to another float type on their way. Private to the verbs. */
#ifndef H5CK_RECAST_H
#define H5CK_RECAST_H

#include "base/log.h"
#include "model/state.h"

/* Counts of what was too large, until the state is freed. */
typedef struct h5ck_recast h5ck_recast;

/* Puts casting views in place of the tensors that options->dtype and ->only ask for. *recast, which lies in the state, is
 * NULL where nothing is asked for. H5CKPT_USAGE for a dtype that is no float of IEEE 754's kind. */
int h5ck_recast_state(h5ckpt_state *state, const h5ckpt_options *options, h5ck_recast **recast, h5ckpt_error **err);

/* Once all is written: says in one line how many elements were too large. */
void h5ck_recast_report(const h5ck_recast *recast, const h5ck_log *log);

#endif
