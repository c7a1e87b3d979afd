/* units - numbers of bytes for people, and shapes. */
#ifndef H5CKPT_TOOLS_UNITS_H
#define H5CKPT_TOOLS_UNITS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { UNITS_TEXT = 32 };

/* "40 B", "30.6 KiB". */
void units_bytes(uint64_t n, char text[UNITS_TEXT]);

/* Writes "[784, 10]" and returns its columns; `f` NULL only measures. Valid JSON. */
size_t units_shape(FILE *f, size_t rank, const uint64_t *shape);

/* The number of elements of a shape whose size in bytes is known to fit. */
uint64_t units_elements(size_t rank, const uint64_t *shape);

/* Writes `n` spaces. */
void units_pad(FILE *f, size_t n);

#endif
