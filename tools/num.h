/*
 * num - elements as numbers and as text. The library hands out bytes and dtypes; what they are worth is read here.
 *
 * Text is the shortest decimal that reads back as the same number: of a float64 as a float64, of all narrower floats as
 * a float32. So a float32 0.1 is "0.1", and a float8 144 is "144.0", not the "140.0" that would do among the few
 * numbers of a float8. The form is Python's: "0.1", "100.0", "1e-08", "nan", "inf".
 */
#ifndef H5CKPT_TOOLS_NUM_H
#define H5CKPT_TOOLS_NUM_H

#include <h5ckpt.h>

#include <stdbool.h>

typedef enum num_kind { NUM_NONE, NUM_BOOL, NUM_INT, NUM_UINT, NUM_FLOAT, NUM_COMPLEX } num_kind;

num_kind num_kind_of(h5ckpt_dtype dtype);

enum { NUM_TEXT = 80 };

/* How an element is written: for people (nan, True, 1+2j) or as JSON ("NaN", true, [1, 2]). */
typedef enum num_style { NUM_PLAIN, NUM_JSON } num_style;

void num_text(h5ckpt_dtype dtype, const void *element, num_style style, char text[NUM_TEXT]);
/* A float of any floating dtype, given as a double. */
void num_float_text(h5ckpt_dtype dtype, double value, num_style style, char text[NUM_TEXT]);
/* A double. */
void num_double_text(double value, num_style style, char text[NUM_TEXT]);
/* A learning rate: a float32, unless its decay computes in float64. */
void num_rate_text(double rate, num_style style, char text[NUM_TEXT]);

/* n elements as doubles: bool 0 and 1, complex numbers as their magnitude, 64-bit integers rounded. */
void num_doubles(h5ckpt_dtype dtype, const void *data, size_t n, double *out);

/* The exact integer of an element of kind NUM_BOOL, NUM_INT or NUM_UINT (cast to uint64_t for the latter). */
int64_t num_integer(h5ckpt_dtype dtype, const void *element);

#endif
