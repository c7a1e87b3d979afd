/*
 * safetensors - a safetensors file's header, checked by all rules of the format.
 *
 *     u64     length of the header, little-endian, at most 100,000,000
 *     JSON    {"__metadata__": {"key": "text", ...}, "name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ...}
 *     data    the tensors' elements; offsets count from here
 */
#ifndef H5CK_PARSE_SAFETENSORS_H
#define H5CK_PARSE_SAFETENSORS_H

#include "model/tensor.h"

#define H5CK_SAFETENSORS_METADATA "__metadata__"
enum { H5CK_SAFETENSORS_LENGTH = 8, H5CK_SAFETENSORS_MOST = 100000000 };

/* The first 8 bytes of a file of `size` bytes: the header's length. */
int h5ck_safetensors_length(const unsigned char *head, uint64_t size, size_t *length, h5ckpt_error **err);

/* A tensor as the header has it; valid during the call. */
typedef struct h5ck_safetensors_entry {
    const char *name;
    const h5ck_dtype *dtype;
    size_t rank;
    uint64_t shape[H5CK_MAX_RANK];
    uint64_t begin, end;   /* of the elements, from the start of the data */
    size_t text, text_len; /* where the header says so, from its own start */
} h5ck_safetensors_entry;

/* What is told of a header; the calls return an h5ckpt_code, and what is not 0 ends the reading. */
typedef struct h5ck_safetensors_visitor {
    void *user;
    /* One string of the metadata; text_len tells whether zeros are in it, for they may be. */
    int (*string)(void *user, const char *key, size_t key_len, const char *text, size_t text_len, h5ckpt_error **err);
    int (*tensor)(void *user, const h5ck_safetensors_entry *entry, h5ckpt_error **err);
} h5ck_safetensors_visitor;

/* Reads a header of which `data_size` bytes of data follow. In one of two ways, for the strings may stand behind the
 * tensors: only the strings, where v->tensor is NULL, which stops when it has them; or all tensors in the header's order,
 * with every check, where v->string is NULL. A name that comes twice is v->tensor's to refuse. */
int h5ck_safetensors_walk(const char *text, size_t length, uint64_t data_size, const h5ck_safetensors_visitor *v,
                          h5ckpt_error **err);

#endif
