/*
 * value - the typed tree behind a decay's fields (h5ckpt_value): copying into an arena, comparing, making.
 * Depth is bounded by H5CK_VALUE_DEPTH everywhere, so that recursion over a value is safe.
 */
#ifndef H5CK_MODEL_VALUE_H
#define H5CK_MODEL_VALUE_H

#include "base/arena.h"
#include "base/err.h"

#include <stdbool.h>

enum { H5CK_VALUE_DEPTH = 100 };

/* Deep copy into the arena, refusing what is no value (unknown types, nesting beyond the limit, NULL where something
 * must be, strings that are not UTF-8). */
int h5ck_value_copy(h5ck_arena *arena, const h5ckpt_value *from, h5ckpt_value *to, h5ckpt_error **err);

/* Equal in type and value (NaN equals NaN of the same bits, 0.0 is not -0.0). */
bool h5ck_value_equal(const h5ckpt_value *a, const h5ckpt_value *b);

/* "int", "list", "NaturalExpDecay": for messages. */
const char *h5ck_value_type_name(const h5ckpt_value *v);

h5ckpt_value h5ck_value_str(const char *s); /* borrows s */
h5ckpt_value h5ck_value_int(int64_t i);
h5ckpt_value h5ck_value_float(double f);
h5ckpt_value h5ck_value_bool(bool b);

/* Reads a number of any kind (bool, int, float, numpy scalar) as a double; false where it is none. */
bool h5ck_value_as_double(const h5ckpt_value *v, double *d);

#endif
