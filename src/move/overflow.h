/*
 * overflow - which elements of a cast tensor were too large for their new type: each is counted once, however often it
 * is read, and by however many threads.
 */
#ifndef H5CK_MOVE_OVERFLOW_H
#define H5CK_MOVE_OVERFLOW_H

#include "base/arena.h"
#include "model/dtype.h"

#include <stdbool.h>

typedef struct h5ck_overflow h5ck_overflow;

/* For a tensor of `elements` elements. NULL when out of memory. The caller frees it, when nobody reads any more. */
h5ck_overflow *h5ck_overflow_new(uint64_t elements);
void h5ck_overflow_free(h5ck_overflow *overflow);

/* Looks for them among `count` elements, before the cast, from the tensor's element `first` on. */
int h5ck_overflow_find(h5ck_overflow *overflow, uint64_t first, const h5ck_dtype *from, const void *in,
                       const h5ck_dtype *to, size_t count, h5ckpt_error **err);

/* How many there are, of the elements that were read. */
uint64_t h5ck_overflow_count(h5ck_overflow *overflow);

#endif
