/*
 * json - JSON onto stdout as it goes: no tree is built, so a million tensors take no memory.
 *
 * Strings are valid for any name: controls, and whatever a terminal should not see (term_is_hazard), are \u escapes;
 * bytes that are no UTF-8 become U+FFFD. What JSON lacks: NaN and infinities are the strings "NaN", "Infinity" and
 * "-Infinity"; see json_value for the values of Python.
 */
#ifndef H5CKPT_TOOLS_JSON_H
#define H5CKPT_TOOLS_JSON_H

#include <h5ckpt.h>

void json_string_n(const char *s, size_t n);
void json_string(const char *s); /* NULL: null */

/* A value of a decay or of the metadata: tuples as lists; bytes as {"bytes": "<hex>"}; an object as {"class", "module",
 * "fields"}; a dict with a key that is no string as a list of pairs; NumPy scalars as numbers, arrays as nested lists,
 * complex numbers as [real, imaginary]. */
void json_value(const h5ckpt_value *v);
/* The fields of an object as a JSON object. */
void json_fields(const h5ckpt_object *object);

#endif
