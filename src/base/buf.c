/* buf.c - doubles when full; a failure sticks, and further additions do nothing. */
#include "base/buf.h"

#include "base/le.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool h5ck_buf_reserve(h5ck_buf *b, size_t more)
{
    if (b->failed)
        return false;
    if (b->cap - b->len > more) /* one byte is always left for the closing zero */
        return true;
    size_t cap = b->cap ? b->cap : 64;
    while (cap - b->len <= more && cap <= SIZE_MAX / 2)
        cap *= 2;
    unsigned char *data = cap - b->len > more ? realloc(b->data, cap) : NULL;
    if (!data) {
        b->failed = true;
        return false;
    }
    b->data = data;
    b->cap = cap;
    return true;
}

void h5ck_buf_add(h5ck_buf *b, const void *data, size_t n)
{
    if (n && h5ck_buf_reserve(b, n)) {
        memcpy(b->data + b->len, data, n);
        b->len += n;
    }
}

void h5ck_buf_u8(h5ck_buf *b, unsigned v)
{
    unsigned char c = (unsigned char)v;
    h5ck_buf_add(b, &c, 1);
}

void h5ck_buf_le(h5ck_buf *b, uint64_t v, unsigned bytes)
{
    unsigned char p[8];
    h5ck_le_put(p, v, bytes);
    h5ck_buf_add(b, p, bytes);
}

void h5ck_buf_str(h5ck_buf *b, const char *s)
{
    h5ck_buf_add(b, s, strlen(s));
}

void h5ck_buf_printable(h5ck_buf *b, const char *s)
{
    for (const unsigned char *p = (const unsigned char *)s; *p; p++) {
        if (*p < 0x20 || *p == 0x7f)
            h5ck_buf_printf(b, "\\x%02x", *p);
        else
            h5ck_buf_u8(b, *p);
    }
}

void h5ck_buf_printf(h5ck_buf *b, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n < 0 || !h5ck_buf_reserve(b, (size_t)n))
        return;
    va_start(args, fmt);
    vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, args);
    va_end(args);
    b->len += (size_t)n;
}

const char *h5ck_buf_cstr(h5ck_buf *b)
{
    if (!h5ck_buf_reserve(b, 0))
        return NULL;
    b->data[b->len] = 0;
    return (const char *)b->data;
}

void h5ck_buf_free(h5ck_buf *b)
{
    free(b->data);
    *b = (h5ck_buf)H5CK_BUF_INIT;
}
