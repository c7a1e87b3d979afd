/*
 * pickle_text - the textual forms inside a pickle: numbers and strings of protocol 0, latin1 text, escapes for
 * messages. No function here depends on the locale.
 */
#ifndef H5CK_PARSE_PICKLE_TEXT_H
#define H5CK_PARSE_PICKLE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As CPython by default: a longer decimal number is refused, for converting it takes the square of its length. */
enum { H5CK_PICKLE_DIGITS = 4300, H5CK_PICKLE_BIGINT = 1800 /* bytes that hold as many digits */ };

/* Decoders. Each returns the number of bytes decoded, or SIZE_MAX for text that is not of the form; `out` NULL: counts
 * and checks only. */
size_t h5ck_pickle_unquote(const unsigned char *s, size_t n, unsigned char *out);    /* of STRING: 'a\x00b' or "..." */
size_t h5ck_pickle_raw_escape(const unsigned char *s, size_t n, unsigned char *out); /* of UNICODE, to UTF-8 */
size_t h5ck_pickle_latin1(const unsigned char *s, size_t n, unsigned char *out);     /* UTF-8 up to U+00FF, to bytes */

/* A decimal integer with an optional sign, into two's complement of the fewest bytes (0 is no byte). Returns their
 * number, or SIZE_MAX; `out` has H5CK_PICKLE_BIGINT bytes. */
size_t h5ck_pickle_decimal(const unsigned char *s, size_t n, unsigned char *out);

/* Python's float, as repr writes it: digits with a point or an exponent, inf, nan. */
bool h5ck_pickle_float(const unsigned char *s, size_t n, double *value);

/* A little-endian two's complement number without the bytes that only repeat its sign. */
size_t h5ck_pickle_trim(const unsigned char *bytes, size_t n);

/* The int64 of at most 8 such bytes. */
int64_t h5ck_pickle_int64(const unsigned char *bytes, size_t n);

/* Bytes for a message: printable ASCII, the rest as \xNN, cut with "..." so that it fits `room` bytes with its zero. */
const char *h5ck_pickle_shown(const unsigned char *s, size_t n, char *out, size_t room);

#endif
