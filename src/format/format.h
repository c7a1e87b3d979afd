/*
 * format - what a checkpoint format is: one file fmt_*.c, one row in formats.c, one line in Makefile.am, one test.
 *
 * A format parses and plans; it never moves a tensor's bytes. See docs/architecture.md, "How to add a format".
 */
#ifndef H5CK_FORMAT_FORMAT_H
#define H5CK_FORMAT_FORMAT_H

#include "base/buf.h"
#include "base/log.h"
#include "move/plan.h"
#include "schema/schema.h"

/* What a probe may look at. */
typedef struct h5ck_probe {
    const char *path;
    bool is_dir;
    uint64_t size;
    int fd;                    /* open for reading, or -1 for a directory */
    const unsigned char *head; /* the first bytes of a file */
    size_t head_len;
} h5ck_probe;

typedef struct h5ck_format {
    h5ckpt_format_info info;
    bool is_dir;                 /* a folder, not a file */
    bool packs;                  /* its plan() heeds plan->compress */
    bool links;                  /* its plan can point at the source's files (plan->link) */
    const char *const *suffixes; /* ends of file names, NULL-terminated; "" stands for no suffix; the longest counts */
    /* True where the content is this format's. */
    bool (*probe)(const h5ck_probe *probe);
    /* Fills an empty state (state->schema is set) with all tensors, decays and metadata. */
    int (*read)(const char *path, h5ckpt_state *state, const h5ck_log *log, h5ckpt_error **err);
    /* Plans the writing of a state to plan->stage (see plan.h). Refuses what the format cannot hold without loss of a
     * tensor or decay; notes what else it cannot hold. */
    int (*plan)(const h5ckpt_state *state, h5ck_plan *plan, h5ckpt_error **err);
    /* Appends lines on how the bytes were read; one of tensor and decay is given. */
    int (*explain)(const h5ckpt_state *state, const h5ckpt_tensor *tensor, const h5ckpt_decay *decay, h5ck_buf *out,
                   h5ckpt_error **err);
} h5ck_format;

/* H5CKPT_USAGE where there is none of that name (the message lists those that are). */
int h5ck_format_by_name(const char *name, const h5ck_format **format, h5ckpt_error **err);
/* By content; a missing path or a content that is no format's is H5CKPT_INVALID. */
int h5ck_format_of_source(const char *path, const h5ck_format **format, h5ckpt_error **err);
/* The format that is a folder. */
const h5ck_format *h5ck_format_of_folders(void);
/* By suffix, the longest one; a trailing '/' or no suffix is a directory. */
int h5ck_format_of_target(const char *path, const h5ck_format **format, h5ckpt_error **err);

extern const h5ck_format h5ck_fmt_paddle_combined;
extern const h5ck_format h5ck_fmt_paddle_dir;
extern const h5ck_format h5ck_fmt_hdf5;
extern const h5ck_format h5ck_fmt_safetensors;
extern const h5ck_format h5ck_fmt_pdparams;
extern const h5ck_format h5ck_fmt_npz;
extern const h5ck_format h5ck_fmt_npy;
extern const h5ck_format h5ck_fmt_torch;
extern const h5ck_format h5ck_fmt_gguf;
extern const h5ck_format h5ck_fmt_onnx;

#endif
