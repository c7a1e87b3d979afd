/*
 * value_json - a value (h5ckpt_value) as JSON text and back, with nothing lost: how formats that hold strings beside their
 * tensors carry decays and all else of a checkpoint.
 *
 * What JSON says itself is said plainly: None, bool, int, a finite float (it has a point or an exponent), str, list, and a
 * dict whose keys are plain strings. Everything else is an object of one key that begins with '$':
 *
 *     {"$tuple": [...]}                               tuple
 *     {"$dict": [[key, value], ...]}                  a dict with other keys, or with a string that begins with '$'
 *     {"$object": [module, class, fields]}            an instance of a class; the fields as a dict
 *     {"$float": "inf"}   "-inf"  "nan"               and {"$float": "7ff8000000000001"}, the bits of any other NaN
 *     {"$bytes": "00ff"}                              in hexadecimal
 *     {"$bigint": "000000000000000080"}               an integer outside int64: two's complement, little-endian
 *     {"$array": ["float32", [2], "0000803f0000803f"]}  a NumPy array: dtype, shape, little-endian elements
 *     {"$scalar": ["float32", "0000803f"]}            a NumPy scalar
 *     {"$python2": value}                             Python 2's `str` or `long`
 *     {"$distinct": "text"}                           a str that is an object of its own (h5ckpt_value's `distinct`)
 */
#ifndef H5CK_PARSE_VALUE_JSON_H
#define H5CK_PARSE_VALUE_JSON_H

#include "base/arena.h"
#include "base/buf.h"

/* Appends the text of *v, in one line. A value that breaks the rules of model/value.h is H5CKPT_INVALID. */
int h5ck_value_to_json(const h5ckpt_value *v, h5ck_buf *out, h5ckpt_error **err);

/* The value of a whole text, in the arena. Besides what the call above writes: any JSON whose numbers int64 or double
 * hold (an integer above int64 becomes a BIGINT). Refused: a key twice, an unknown '$', what nests deeper than
 * H5CK_VALUE_DEPTH. */
int h5ck_value_from_json(const char *text, size_t len, h5ck_arena *arena, h5ckpt_value *v, h5ckpt_error **err);

#endif
