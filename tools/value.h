/* value - a decay's fields for people: as Python would print them, long ones cut short. */
#ifndef H5CKPT_TOOLS_VALUE_H
#define H5CKPT_TOOLS_VALUE_H

#include <h5ckpt.h>

#include <stdio.h>

/* The library nests no deeper than 100; these only keep the recursion here safe by itself. */
enum { VALUE_MAX_DEPTH = 128, VALUE_MAX_RANK = 64 };

/* Writes a value; of lists, dicts, strings and arrays at most `limit` items, then "... 20000 items". */
void value_put(FILE *f, const h5ckpt_value *v, size_t limit);

/* Writes its type as Python names it: "int", "list of 3", "numpy.float32". */
void value_put_type(FILE *f, const h5ckpt_value *v);

/* The decimal digits of a H5CKPT_BIGINT; one beyond 2,000 bytes, for which decimal takes quadratic time, in hexadecimal
 * ("0x..." two's complement). The caller frees it; NULL when out of memory. */
char *value_bigint(const h5ckpt_value *v);

#endif
