/* verbs - what the public calls share among themselves. Private to api.c, convert.c and verify.c. */
#ifndef H5CK_VERBS_H
#define H5CK_VERBS_H

#include "base/log.h"
#include "format/format.h"

/* The caller's options with every field present (NULL: all defaults). */
h5ckpt_options h5ck_options_complete(const h5ckpt_options *given);
h5ck_log h5ck_options_log(const h5ckpt_options *options);

/* The schema that the options name, or the built-in one. The caller gives it to h5ck_schema_free. */
int h5ck_options_schema(const h5ckpt_options *options, const h5ck_schema **schema, h5ckpt_error **err);

/* h5ckpt_state_open, without a note on files that changed since they were linked. */
h5ckpt_state *h5ck_open(const char *path, const h5ckpt_options *options, h5ckpt_error **err);

/* Writes `state` (whose dictionaries alone are looked at) to `target`. `schema` as loaded; see h5ckpt_state_write. */
int h5ck_write(const h5ckpt_state *state, const char *target, const h5ck_schema *schema, const h5ckpt_options *options,
               h5ckpt_error **err);

/* Every decay of a state passes here before anyone sees it: it is held against the one rule of what a decay is, and
 * learns its class's row. */
int h5ck_complete_decays(h5ckpt_state *state, h5ckpt_error **err);

#endif
