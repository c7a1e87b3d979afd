/*
 * latin1 - bytes that a file holds as UTF-8 text, of which each character up to U+00FF is a byte: how Python 3 writes
 * bytes in pickles of protocols 0 to 2.
 */
#ifndef H5CK_PARSE_LATIN1_H
#define H5CK_PARSE_LATIN1_H

#include "base/arena.h"
#include "model/tensor.h"

/* Reads the text once, which lies in `file` at `offset` and at `text` (the mapped file), and checks that it is `nbytes`
 * such characters. *extent becomes a decoder of them, in the arena; it maps the file again when it is read. */
int h5ck_latin1_make(h5ck_arena *arena, h5ck_file *file, uint64_t offset, const unsigned char *text, uint64_t len,
                     uint64_t nbytes, h5ck_extent *extent, h5ckpt_error **err);

#endif
