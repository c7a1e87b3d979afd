/* cast - elements of one type to another: to the nearest value, ties to even, never silently to one that is far off. */
#ifndef H5CK_MOVE_CAST_H
#define H5CK_MOVE_CAST_H

#include "model/dtype.h"

/* False where there is no such cast: complex numbers become no real ones. */
bool h5ck_cast_exists(const h5ck_dtype *from, const h5ck_dtype *to);

/* Casts `count` little-endian elements. Returns `count`, or the index of the first that `to` cannot hold: a number out
 * of its range, an infinity or NaN where it has none. bool is 0 or 1, and true is whatever is not 0. */
size_t h5ck_cast(const h5ck_dtype *from, const void *in, const h5ck_dtype *to, void *out, size_t count);

/* The same between real floats, where a number out of range becomes an infinity of its sign, as IEEE 754 says (in
 * float8_e4m3fn, which has none, it and the infinities become the largest number). Returns how many did; infinities that
 * stay what they are do not count. */
uint64_t h5ck_cast_float(const h5ck_dtype *from, const void *in, const h5ck_dtype *to, void *out, size_t count);

/* h5ck_cast without its short ways: what they are tested against. */
size_t h5ck_cast_exact(const h5ck_dtype *from, const void *in, const h5ck_dtype *to, void *out, size_t count);

#endif
