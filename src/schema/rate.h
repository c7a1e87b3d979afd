/*
 * rate - the learning-rate formulas, by the names that a schema gives them: all of a decay that is C.
 * Computed as Paddle computes them, rounded to float32 where Paddle rounds.
 */
#ifndef H5CK_SCHEMA_RATE_H
#define H5CK_SCHEMA_RATE_H

#include "schema/schema.h"

/* True for a formula that rate.c has; schema.c refuses others. */
bool h5ck_rate_known(const char *formula);

/* The i-th parameter of a formula, or NULL past the last; *required says whether a class must have a field for it. */
const char *h5ck_rate_parameter(const char *formula, size_t i, bool *required);
/* The i-th formula's name, or NULL past the last. */
const char *h5ck_rate_formula(size_t i);

/* Fills rates[0..n): from the object's own step on (`from` NULL), or from global step *from; a decay inside it (a
 * warm-up's) is then as many of its own steps on as there are whole calls between the two. O(n), wherever *from lies.
 * H5CKPT_INVALID where a field is missing or of a wrong type, or where Paddle itself would raise an exception (a
 * division by zero, step 0 of noam); H5CKPT_USAGE where the class has no formula. Infinities and NaN are passed on, as
 * Paddle's tensors do. Rates are of the decay's dtype: floats, or doubles where it is float64. */
int h5ck_rate_next(const h5ck_schema *schema, const h5ckpt_object *object, const int64_t *from, size_t n, double *rates,
                   h5ckpt_error **err);

#endif
