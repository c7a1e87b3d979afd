/*
 * view - the elements of other tensors, seen in another way: a slice, other axes, another type, another byte order, or
 * several tensors one behind the other. A view is an extent. Where the source has the very bytes that are wanted it is
 * the source's own extent, moved on; elsewhere it is a decoder over the source, whose elements are made while they are
 * moved.
 *
 * The source need not be in a dictionary (h5ck_state_make_tensor makes one). It and the arena must outlive the view.
 * Where the source holds a digest the first read of a decoder checks all of it, since the mover, who sees the new
 * elements only, cannot.
 */
#ifndef H5CK_MOVE_VIEW_H
#define H5CK_MOVE_VIEW_H

#include "base/arena.h"
#include "model/tensor.h"

#include <stdatomic.h>

typedef struct h5ck_view {
    const h5ckpt_tensor *source; /* its elements count as one row: its own shape is of no interest */
    uint64_t first;              /* where in it element (0, 0, ...) is; in elements, as the strides */
    size_t rank;
    const uint64_t *shape;
    const uint64_t *strides;        /* of each axis, in the source; NULL: row-major without gaps */
    bool swap;                      /* the source's numbers are big-endian */
    h5ckpt_dtype cast;              /* H5CKPT_DTYPE_NONE: as the source */
    struct h5ck_overflow *overflow; /* of a cast between floats: numbers that are too large become infinities, counted
                                       here; NULL: they are refused */
    atomic_int *checked; /* NULL, or a flag for all views of this source: its digest, if any, is checked by the first of
                                them that is read. Such a view is a decoder even where it is a plain run */
} h5ck_view;

/* Fills in *extent; strings and decoder lie in the arena. A view that reaches outside its source is H5CKPT_INVALID, a
 * cast that does not exist (complex to real) H5CKPT_USAGE. An element that the new type cannot hold shows when it is
 * read: H5CKPT_INVALID. */
int h5ck_view_make(h5ck_arena *arena, const h5ck_view *view, h5ck_extent *extent, h5ckpt_error **err);

/* The elements of all parts, one behind the other. `parts` is copied. */
int h5ck_view_concatenate(h5ck_arena *arena, const h5ckpt_tensor *const *parts, size_t count, h5ck_extent *extent,
                          h5ckpt_error **err);

/* Each part is cut into `rounds` equal runs: the first run of each part, then the second of each, and so on. So are
 * tensors joined along an axis that is not their first. A part whose size `rounds` does not divide is H5CKPT_INVALID. */
int h5ck_view_interleave(h5ck_arena *arena, const h5ckpt_tensor *const *parts, size_t count, uint64_t rounds,
                         h5ck_extent *extent, h5ckpt_error **err);

#endif
