/*
 * inflate - deflated bytes of a file (a zip archive's member), read as a stream: as the head that a parser wants, and
 * as a decoder for what comes behind it.
 */
#ifndef H5CK_PARSE_INFLATE_H
#define H5CK_PARSE_INFLATE_H

#include "model/state.h"

typedef struct h5ck_inflate_range {
    h5ck_file *file;
    uint64_t offset, csize; /* where the stream lies; no byte of it may be left over */
    uint64_t usize;         /* what it must become */
} h5ck_inflate_range;

/* The first n bytes, or all where there are fewer: *got. Nothing is kept. */
int h5ck_inflate_head(const h5ck_inflate_range *range, void *buf, size_t n, size_t *got, h5ckpt_error **err);

/* What lies behind the first `skip` bytes, as a decoder's elements. Closed with the state. */
int h5ck_inflate_new(h5ckpt_state *state, const h5ck_inflate_range *range, uint64_t skip, const h5ck_decoder **decoder,
                     h5ckpt_error **err);

#endif
