/* text - what is asked of names: UTF-8, glob patterns, printable form. */
#ifndef H5CK_BASE_TEXT_H
#define H5CK_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* True for well-formed UTF-8 (no surrogates, no overlong forms, no zero bytes). */
bool h5ck_text_is_utf8(const char *s, size_t n);

/* The same, where zero bytes are characters too: what a Python str may hold. */
bool h5ck_text_is_utf8_with_zeros(const char *s, size_t n);

/* Shell-like match of a whole name: * (any run, '/' included), ? (one byte), [a-z], \ quotes. Linear in
 * |pattern|*|name|. */
bool h5ck_text_glob(const char *pattern, const char *name);

/* True for a dotted ASCII Python identifier, such as "paddle.fluid.dygraph"; `dots` false: without dots. */
bool h5ck_text_is_identifier(const char *s, bool dots);

#endif
