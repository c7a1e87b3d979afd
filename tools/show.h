/* show - the views of `h5ckpt show`. All print to stdout and return an exit code, having printed the error. */
#ifndef H5CKPT_TOOLS_SHOW_H
#define H5CKPT_TOOLS_SHOW_H

#include <h5ckpt.h>

#include <stdbool.h>

/* One tensor, in full; as JSON (behind the text `before`); as one line of a table. */
int show_tensor(const h5ckpt_tensor *tensor);
int show_tensor_json(const h5ckpt_tensor *tensor, const char *before);
void show_tensor_heading(const char *title, size_t name_width);
int show_tensor_line(const h5ckpt_tensor *tensor, size_t name_width);
size_t show_name_width(const h5ckpt_tensors *tensors);

/* One decay, likewise. */
int show_decay(const h5ckpt_decay *decay);
int show_decay_json(const h5ckpt_decay *decay, const char *before);
int show_decay_line(const h5ckpt_decay *decay, bool first);

#endif
