/* fmt_safetensors - private to its files: one file's header (fmt_safetensors.c), shards and their index (.._index.c),
 * writing (.._write.c). */
#ifndef H5CK_FORMAT_FMT_SAFETENSORS_H
#define H5CK_FORMAT_FMT_SAFETENSORS_H

#include "format/carrier.h"
#include "format/format.h"
#include "parse/safetensors.h"

#define H5CK_SAFETENSORS_SUFFIX ".safetensors"
#define H5CK_SAFETENSORS_INDEX  H5CK_SAFETENSORS_SUFFIX ".index.json"

/* A header in memory. */
typedef struct h5ck_safetensors_header {
    h5ck_file *file;
    char *text; /* malloc'd */
    size_t length;
    uint64_t data; /* where the elements begin in the file */
} h5ck_safetensors_header;

/* Reads the header of `file`, which is open at `fd`. The caller frees it, in any case. */
int h5ck_fmt_safetensors_load(h5ck_file *file, int fd, h5ck_safetensors_header *h, h5ckpt_error **err);
void h5ck_fmt_safetensors_unload(h5ck_safetensors_header *h);

/* Hands the header's strings to the carrier. */
int h5ck_fmt_safetensors_strings(const h5ck_safetensors_header *h, h5ck_carrier *c, h5ckpt_error **err);
/* Hands its tensors to the carrier. `expected` (or NULL) is asked before each. */
typedef int h5ck_safetensors_expected(void *user, const char *name, h5ckpt_error **err);
int h5ck_fmt_safetensors_tensors(const h5ck_safetensors_header *h, h5ck_carrier *c, h5ck_safetensors_expected *expected,
                                 void *user, h5ckpt_error **err);
/* One string, unless a state cannot hold it: then it is noted. */
int h5ck_fmt_safetensors_string(h5ck_carrier *c, const char *key, size_t key_len, const char *text, size_t text_len,
                                h5ckpt_error **err);

bool h5ck_fmt_safetensors_is_index(const h5ck_probe *p);
int h5ck_fmt_safetensors_read_index(h5ck_file *file, int fd, h5ckpt_state *state, const h5ck_log *log,
                                    h5ckpt_error **err);

int h5ck_fmt_safetensors_plan(const h5ckpt_state *state, h5ck_plan *plan, h5ckpt_error **err);
/* The same with shards of at most `most` bytes of elements, where the target is an index. */
int h5ck_fmt_safetensors_plan_shards(const h5ckpt_state *state, h5ck_plan *plan, uint64_t most, h5ckpt_error **err);

#endif
