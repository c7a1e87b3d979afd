/*
 * layout - the elements of a tensor as NumPy prints an array: nested brackets, aligned columns, "..." for what is left
 * out of a large one.
 */
#ifndef H5CKPT_TOOLS_LAYOUT_H
#define H5CKPT_TOOLS_LAYOUT_H

#include <h5ckpt.h>

#include <stddef.h>

/* Prints to stdout, each line behind `indent` spaces. Reads only the elements that it prints. */
int layout_print(const h5ckpt_tensor *tensor, unsigned indent, h5ckpt_error **err);

/* Prints the first elements (at most `limit`), as a JSON list without structure. */
int layout_json(const h5ckpt_tensor *tensor, size_t limit, h5ckpt_error **err);

#endif
