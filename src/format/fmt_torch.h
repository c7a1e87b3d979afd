/*
 * fmt_torch.h - what the files of the format torch share.
 *
 *     fmt_torch.c         the row of the table; a zip archive, from its members to a pickle and its storages
 *     fmt_torch_legacy.c  the same for the form before PyTorch 1.6, which is no archive
 *     fmt_torch_names.c   which names of Python a pickle may hold
 *     fmt_torch_tensor.c  calls that rebuild tensors, made into tensors over storages
 *     fmt_torch_read.c    what the pickle says, taken apart: tensors, schedules, and a skeleton of all the rest
 *     fmt_torch_build.c   a skeleton and a state, put together to what a pickle says
 *     fmt_torch_write.c   that as an archive
 *
 * The skeleton is the value of the pickle with references where tensors and schedules were. It is kept as one string of
 * typed JSON in the metadata "torch". References are objects of a module "h5ckpt", which Python has not:
 *
 *     tensor {of, name, [grad, hooks, metadata], [same], [storage]}   one tensor
 *     tensors {of, ordered, [state], [shared]}    a dictionary of all tensors of `of` that no reference names
 *     decay {name}                                a schedule's dictionary
 *
 * `of` is "parameters" or "optimizer_state"; `same` names an earlier tensor that is the same view of the same storage,
 * as `shared` does for several.
 */
#ifndef H5CK_FORMAT_FMT_TORCH_H
#define H5CK_FORMAT_FMT_TORCH_H

#include "base/buf.h"
#include "format/format.h"
#include "model/dict.h"
#include "model/state.h"

/* ---- fmt_torch_names.c ---- */

/* Whether a pickle of torch may name this; where not, it is refused by name. */
int h5ck_torch_allows(const char *module, const char *name, h5ckpt_error **err);
/* Whether it is refused with a word of its own (a sparse tensor, TorchScript): known, but not allowed. */
bool h5ck_torch_knows(const char *module, const char *name);
/* An object of this module and class. */
bool h5ck_torch_is(const h5ckpt_value *v, const char *module, const char *name);
/* A call whose result is a tensor over a storage. */
bool h5ck_torch_is_tensor(const h5ckpt_value *v);
/* A dict or an OrderedDict: its items, else NULL. */
const h5ckpt_value *h5ck_torch_items(const h5ckpt_value *v);

/* Makes the OrderedDicts of Python 2 those of Python 3, in place: `v` and all below it lie in the arena. */
int h5ck_torch_modernize(h5ckpt_value *v, h5ck_arena *arena, h5ckpt_error **err);

/* ---- Reading ---- */

/* The bytes of one storage. */
typedef struct h5ck_torch_storage {
    h5ck_extent extent;
    uint64_t nbytes;
    const char *digest; /* or NULL */
} h5ck_torch_storage;

typedef struct h5ck_torch_reader {
    h5ckpt_state *state;
    int (*find)(struct h5ck_torch_reader *r, const char *key, h5ck_torch_storage *storage, h5ckpt_error **err);
    void *user;                    /* of find */
    bool big_endian;               /* the storages' numbers are */
    h5ck_dict sources;             /* dtype and key of a storage -> its tensor */
    h5ck_dict views;               /* a view, as text -> the first tensor that is it */
    uint64_t stored, viewed;       /* bytes of all storages, and of all tensors */
    const h5ckpt_value *originals; /* what schedules were before PyTorch's fields were made of them; or NULL */
} h5ck_torch_reader;

/* What is kept of a tensor beside its elements. */
typedef struct h5ck_torch_extras {
    bool grad;
    const h5ckpt_value *hooks, *metadata; /* NULL: none */
    const h5ckpt_tensor *same;            /* an earlier tensor that is the same view, or NULL */
} h5ck_torch_extras;

/* ---- fmt_torch.c ---- */

/* A pickle, as data. */
int h5ck_torch_read_pickle(const unsigned char *data, size_t len, h5ck_arena *arena, h5ckpt_value *value,
                           h5ckpt_error **err);

/* The member, behind the prefix, that keeps a state's metadata; and decays of other frameworks as they were, as typed JSON
 * (carrier.h). */
#define H5CK_TORCH_METADATA ".data/h5ckpt_metadata"

/* ---- fmt_torch_legacy.c ---- */

bool h5ck_torch_is_legacy(const unsigned char *head, size_t n);
int h5ck_torch_read_legacy(h5ckpt_state *state, h5ck_file *file, h5ckpt_error **err);

/* ---- fmt_torch_tensor.c ---- */

/* Makes the tensor of a call, or of a storage that stands alone, and gives it a name. */
int h5ck_torch_make_tensor(h5ck_torch_reader *r, const h5ckpt_value *call, const char *name, h5ckpt_tensor **tensor,
                           h5ck_torch_extras *extras, h5ckpt_error **err);
int h5ck_torch_make_storage(h5ck_torch_reader *r, const h5ckpt_value *id, const char *name, h5ckpt_tensor **tensor,
                            h5ckpt_error **err);
/* Refuses tensors that are together far larger than what is stored. */
int h5ck_torch_check_views(const h5ck_torch_reader *r, h5ckpt_error **err);
void h5ck_torch_reader_free(h5ck_torch_reader *r);

/* ---- fmt_torch_read.c ---- */

/* Fills the state from what the pickle says. What is made only on the way lies in `scratch`. */
int h5ck_torch_take_apart(h5ck_torch_reader *r, const h5ckpt_value *root, h5ck_arena *scratch, h5ckpt_error **err);

/* ---- Writing ---- */

/* What is to be written: a pickle's value, and the tensors whose storages are data/0, data/1, ... */
typedef struct h5ck_torch_content {
    h5ckpt_value root;
    const h5ckpt_tensor **storages;
    size_t count, room;
    bool used_skeleton;  /* the metadata "torch" is in it */
    h5ckpt_value decays; /* a dict of those that PyTorch's schedulers cannot hold */
} h5ck_torch_content;

/* ---- fmt_torch_build.c: all in the plan's arena ---- */

int h5ck_torch_build(const h5ckpt_state *state, h5ck_plan *plan, h5ck_torch_content *content, h5ckpt_error **err);

/* ---- fmt_torch_write.c ---- */

int h5ck_torch_plan(const h5ckpt_state *state, h5ck_plan *plan, h5ckpt_error **err);

#endif
