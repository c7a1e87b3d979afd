/*
 * gguf_value - a metadata value of GGUF as text, and back.
 *
 *     u32 type | value                                type 0-5: u8 i8 u16 i16 u32 i32, 6: f32, 7: bool (u8),
 *     string: u64 length, bytes                       8: string, 9: array, 10: u64, 11: i64, 12: f64
 *     array:  u32 type of elements | u64 count | elements
 *
 * A string's text is the string itself, and it has no type name: so it is metadata like any other. Other values are JSON
 * (parse/value_json.h), with the name of their type beside it: "uint32" and "4096", "[string]" and "[\"a\", \"b\"]". So is
 * a string that is not UTF-8, or holds zero bytes: "string" and "{\"$bytes\": ...}". Back it is to the last bit.
 *
 * Refused: unknown types, arrays of arrays (which the reference implementation does not read either), a bool that is
 * neither 0 nor 1. Source: GGUF's description, the reader of the Python package gguf 0.19.
 */
#ifndef H5CK_PARSE_GGUF_VALUE_H
#define H5CK_PARSE_GGUF_VALUE_H

#include "parse/protobuf.h"

/* Reads the type and the value that stand there; *text lies in the arena, *type is static or NULL. */
int h5ck_gguf_read_value(h5ck_pb_reader *r, h5ck_arena *arena, const char **type, const char **text,
                         h5ckpt_error **err);

/* Appends type and value. `type` is as above. A text that is none of that type is H5CKPT_INVALID. */
int h5ck_gguf_write_value(const char *type, const char *text, h5ck_buf *out, h5ckpt_error **err);

/* The bytes of a string, as a range to be read; a string in the arena, which must be UTF-8. */
int h5ck_gguf_enter_string(h5ck_pb_reader *r, const char *what, h5ck_pb_reader *in, h5ckpt_error **err);
int h5ck_gguf_string(h5ck_pb_reader *r, const char *what, h5ck_arena *arena, const char **s, h5ckpt_error **err);
void h5ck_gguf_put_string(h5ck_buf *out, const char *s, size_t n);

#endif
