/*
 * json - JSON text (RFC 8259) in memory, token by token, and the pieces that writers of JSON need.
 *
 * There is no tree: the caller asks for the next token and keeps what it wants. So a header of 100 MB takes its own size in
 * memory, and what its tensors take. Every token says where it stands.
 *
 *     h5ck_json j;
 *     h5ck_json_token t;
 *     h5ck_json_begin(&j, text, len, 8);
 *     rc = h5ck_json_expect(&j, H5CK_JSON_OBJECT, &t, err);
 *     while (rc == 0 && (rc = h5ck_json_next(&j, &t, err)) == 0 && t.kind == H5CK_JSON_KEY)
 *         rc = read_value_of(&j, t.str, t.len, err);        (or h5ck_json_skip)
 *     if (rc == 0)
 *         rc = h5ck_json_expect(&j, H5CK_JSON_END, &t, err);
 *     h5ck_json_end(&j);
 *
 * What comes is always well formed: after a KEY comes a value, what was opened is closed, behind the one value there is
 * only END. Refused: everything that RFC 8259 has no place for, text that is not UTF-8, halves of surrogate pairs, more than
 * H5CK_JSON_DEPTH levels. A key that comes twice is the caller's to refuse.
 */
#ifndef H5CK_PARSE_JSON_H
#define H5CK_PARSE_JSON_H

#include "base/buf.h"

#include <locale.h>
#include <stdint.h>

/* A value of H5CK_VALUE_DEPTH levels, each of them tagged (value_json.h), fits. */
enum { H5CK_JSON_DEPTH = 640 };

typedef enum h5ck_json_kind {
    H5CK_JSON_END,
    H5CK_JSON_OBJECT, /* '{'; then KEY and its value, ..., then CLOSE */
    H5CK_JSON_ARRAY,  /* '['; then values, then CLOSE */
    H5CK_JSON_CLOSE,
    H5CK_JSON_KEY,
    H5CK_JSON_STRING,
    H5CK_JSON_INT,    /* a number without point and exponent that an int64 holds */
    H5CK_JSON_UINT,   /* one above that which a uint64 holds */
    H5CK_JSON_DOUBLE, /* any other number, rounded to nearest even; infinite where it is too large */
    H5CK_JSON_TRUE,
    H5CK_JSON_FALSE,
    H5CK_JSON_NULL
} h5ck_json_kind;

typedef struct h5ck_json_token {
    h5ck_json_kind kind;
    size_t begin, end; /* where it stands in the text, quotes included */
    const char
        *str;   /* of a KEY or STRING: what it says, `len` bytes of UTF-8, which may be zeros; valid until the next */
    size_t len; /* call; no zero stands behind it */
    int64_t i;  /* of an INT */
    uint64_t u; /* of an INT that is not negative, and of a UINT */
    double d;   /* of all numbers */
} h5ck_json_token;

typedef struct h5ck_json {
    const char *text;
    size_t len, at;
    uint64_t base; /* offset of the text in its file: for messages */
    unsigned state;
    unsigned depth;
    uint64_t objects[H5CK_JSON_DEPTH / 64]; /* a bit for each level: whether it is an object */
    h5ck_buf unescaped;
    locale_t c; /* the C locale, once a number needed it */
} h5ck_json;

/* `text` is borrowed; `base` is its offset in the file. Nothing is allocated. */
void h5ck_json_begin(h5ck_json *j, const char *text, size_t len, uint64_t base);
/* The next token; H5CKPT_INVALID, with the offset, where there is none. */
int h5ck_json_next(h5ck_json *j, h5ck_json_token *t, h5ckpt_error **err);
/* The next token, which must be of this kind. */
int h5ck_json_expect(h5ck_json *j, h5ck_json_kind kind, h5ck_json_token *t, h5ckpt_error **err);
/* Reads on to the end of the value that begins with *t, which was the last token. */
int h5ck_json_skip(h5ck_json *j, const h5ck_json_token *t, h5ckpt_error **err);
/* Refuses *t, "offset 17: expected a string, found a number". Returns H5CKPT_INVALID. */
int h5ck_json_refuse(const h5ck_json *j, const h5ck_json_token *t, const char *expected, h5ckpt_error **err);
/* Frees what reading took; the tokens' strings go with it. */
void h5ck_json_end(h5ck_json *j);

/* ---- Writing ---- */

/* A string with its quotes. Escaped is only what must be: '"', '\\' and control characters; the text is UTF-8 as it is. */
void h5ck_json_put_string(h5ck_buf *out, const char *s, size_t n);
/* A finite number, with a point or exponent, as short as it can be read back exactly: 0.1, 1.0, 1e+300. */
void h5ck_json_put_double(h5ck_buf *out, double d);

#endif
