/*
 * buf - a growing byte buffer. A failed allocation sticks (`failed`), so that a writer checks once, at its end.
 * The owner frees it with h5ck_buf_free. h5ck_buf_cstr keeps a closing zero behind `len`.
 */
#ifndef H5CK_BASE_BUF_H
#define H5CK_BASE_BUF_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct h5ck_buf {
    unsigned char *data;
    size_t len, cap;
    bool failed;
} h5ck_buf;

#define H5CK_BUF_INIT                                                                                                  \
    {                                                                                                                  \
        NULL, 0, 0, false                                                                                              \
    }

/* Makes room for `more` bytes behind len; false when out of memory. */
bool h5ck_buf_reserve(h5ck_buf *b, size_t more);
void h5ck_buf_add(h5ck_buf *b, const void *data, size_t n);
void h5ck_buf_u8(h5ck_buf *b, unsigned v);
void h5ck_buf_le(h5ck_buf *b, uint64_t v, unsigned bytes); /* little-endian */
void h5ck_buf_str(h5ck_buf *b, const char *s);             /* without its zero */
void h5ck_buf_printable(h5ck_buf *b, const char *s);       /* control characters as \xNN */
void h5ck_buf_printf(h5ck_buf *b, const char *fmt, ...) H5CK_PRINTF(2, 3);

/* The content as a C string (owned by the buffer, valid until it grows), or NULL when an allocation failed. */
const char *h5ck_buf_cstr(h5ck_buf *b);
void h5ck_buf_free(h5ck_buf *b);

#endif
