/*
 * scheduler - learning-rate state across frameworks. Where Paddle 1.5 saves a decay object, everything later saves its
 * state only: a dictionary without a class (a scheduler's state_dict()). Here one becomes a decay of the dictionary of
 * decays, and a decay the dictionary that a framework expects, by the schema's section `schedulers`.
 *
 * Frameworks are those the schema names: "paddle-1.x" (.pdopt of 1.6 to 1.8), "paddle" (2 and 3), "torch", "keras".
 */
#ifndef H5CK_SCHEMA_SCHEDULER_H
#define H5CK_SCHEMA_SCHEDULER_H

#include "base/arena.h"
#include "schema/schema.h"

/* A scheduler's state as `framework` saves it becomes an object of the class and module that the schema names, all
 * fields verbatim. The object lies in the arena and borrows the dictionary's fields. H5CKPT_INVALID for what is no
 * dictionary with text keys, H5CKPT_USAGE for a framework that the schema does not name. */
int h5ck_scheduler_read(const h5ck_schema *s, const char *framework, const h5ckpt_value *dict, h5ck_arena *arena,
                        h5ckpt_value *object, h5ckpt_error **err);

/* The dictionary that `framework` expects, in the arena. A decay that h5ck_scheduler_read made of that framework's own
 * gives its fields verbatim (borrowed). Any other gives what its fields mean: the step, and the rate, from a field or by
 * the decay's formula. *lost counts the decay's fields that the dictionary has no place for. */
int h5ck_scheduler_write(const h5ck_schema *s, const char *framework, const h5ckpt_object *decay, h5ck_arena *arena,
                         h5ckpt_value *dict, size_t *lost, h5ckpt_error **err);

/* The first field that `framework` needs and the dictionary lacks, or NULL: what a note can say of a dictionary that
 * h5ck_scheduler_write made, and how .pdopt files of Paddle 1.x are told from later ones. Borrowed from the schema. */
const char *h5ck_scheduler_lacks(const h5ck_schema *s, const char *framework, const h5ckpt_value *dict);

/* The object's field that has this meaning, or NULL. */
const h5ckpt_value *h5ck_scheduler_meaning(const h5ck_schema *s, const h5ckpt_object *object, h5ck_meaning meaning);

#endif
