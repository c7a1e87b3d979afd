/*
 * pickle_ops - the opcodes of a pickle as a table, and the scanner that takes them off the bytes one by one. The
 * scanner is the only code that reads a length out of a pickle: whoever has an item has all of its argument.
 */
#ifndef H5CK_PARSE_PICKLE_OPS_H
#define H5CK_PARSE_PICKLE_OPS_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

/* What follows an opcode's byte. */
typedef enum h5ck_pickle_form {
    H5CK_PICKLE_BARE, /* nothing */
    H5CK_PICKLE_U1,   /* a number of 1, 2, 4 or 8 bytes, little-endian */
    H5CK_PICKLE_U2,
    H5CK_PICKLE_U4,
    H5CK_PICKLE_I4,
    H5CK_PICKLE_U8,
    H5CK_PICKLE_F8,        /* an IEEE double, big-endian */
    H5CK_PICKLE_LINE,      /* text up to a newline */
    H5CK_PICKLE_TWO_LINES, /* two of them */
    H5CK_PICKLE_DATA1,     /* a length of 1, 4 or 8 bytes, then as many bytes */
    H5CK_PICKLE_DATA4,
    H5CK_PICKLE_DATA4S, /* the same with a signed length, which must not be negative */
    H5CK_PICKLE_DATA8
} h5ck_pickle_form;

typedef struct h5ck_pickle_op {
    const char *name; /* as pickletools names it; NULL: there is no such opcode */
    h5ck_pickle_form form;
    const char *refused; /* what it stands for, where that is never read; else NULL */
} h5ck_pickle_op;

/* One opcode with its argument. The bytes are borrowed from the pickle. */
typedef struct h5ck_pickle_item {
    uint64_t at; /* offset of the opcode */
    unsigned char code;
    const h5ck_pickle_op *op;
    uint64_t number;                   /* of U1 to F8 (I4 sign-extended, F8 as bits) */
    const unsigned char *data, *data2; /* of LINE, TWO_LINES, DATA* */
    size_t len, len2;
} h5ck_pickle_item;

/* Takes the item at *pos and moves *pos behind it. H5CKPT_INVALID for an unknown opcode or a cut argument. */
int h5ck_pickle_next(const unsigned char *data, size_t len, size_t *pos, h5ck_pickle_item *item, h5ckpt_error **err);

#endif
