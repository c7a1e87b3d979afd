/*
 * state - the two dictionaries of a checkpoint (and the optimizers' tensors and the metadata), with all they point to.
 *
 * A state owns an arena (names, shapes, values, tensors), the files its tensors lie in (unmapped at the end) and a list
 * of things to close. It is counted: the two dictionaries of h5ckpt_load_persistables hold one reference each.
 */
#ifndef H5CK_MODEL_STATE_H
#define H5CK_MODEL_STATE_H

#include "base/arena.h"
#include "model/dict.h"
#include "model/tensor.h"
#include "model/value.h"

struct h5ckpt_tensors {
    h5ck_dict dict; /* name -> h5ckpt_tensor */
    struct h5ckpt_state *state;
};

struct h5ckpt_decay {
    h5ckpt_decay_info info;
    const struct h5ck_schema *schema;    /* the state's, set when the state is complete */
    const struct h5ck_class *class_spec; /* the schema's row, or NULL */
    h5ck_file *file;                     /* where it was read from, or NULL */
    const void *origin;                  /* the format's own: where it stands in there, or NULL */
};

struct h5ckpt_decays {
    h5ck_dict dict; /* optimizer name -> h5ckpt_decay */
    struct h5ckpt_state *state;
};

/* Closed with its state. */
typedef struct h5ck_closer {
    void (*close)(void *what);
    void *what;
    struct h5ck_closer *next;
} h5ck_closer;

struct h5ckpt_state {
    atomic_int references;
    h5ck_arena arena;
    h5ckpt_tensors parameters, optimizer_state;
    h5ckpt_decays decays;
    h5ckpt_value metadata; /* H5CKPT_DICT of strings, whose fields are: */
    h5ckpt_field *metadata_fields;
    h5ck_dict metadata_keys; /* key -> its field's place, from 1 */
    size_t metadata_room;
    const struct h5ck_format *format; /* NULL: built in memory */
    h5ckpt_external external;         /* which other files a reader may take elements from; set before it reads */
    const char *written_by; /* the name of the schema that the source says it was written with, or NULL; in the arena */
    const struct h5ck_schema *schema;       /* owned: closed with the state; may be NULL in a state built in memory */
    bool mapped;                            /* made of another state by name rules; that one is closed with it */
    const char *mapped_by;                  /* then: the last rules' name; in the arena */
    h5ckpt_tensor *made;                    /* all tensors, also those in no dictionary; the last one made in front */
    h5ck_file *files;                       /* unmapped with the state; the one added last in front */
    const struct h5ckpt_state *mapped_from; /* closed with this one; NULL: it was read from files of its own */
    h5ck_closer *closers;
};

/* Adds a tensor: copies `info` (all of it) and `extent` into the state, after h5ck_tensor_check. A name that exists, is
 * empty, or is not UTF-8 is H5CKPT_INVALID. `digest` may be NULL. The error names the tensor. */
int h5ck_state_add_tensor(h5ckpt_state *state, h5ckpt_tensors *dict, const h5ckpt_tensor_info *info,
                          const h5ck_extent *extent, const char *digest, h5ckpt_error **err);

/* The same in two steps, for a format that learns the order only at the end. */
int h5ck_state_make_tensor(h5ckpt_state *state, const h5ckpt_tensor_info *info, const h5ck_extent *extent,
                           const char *digest, h5ckpt_tensor **tensor, h5ckpt_error **err);
int h5ck_state_put_tensor(h5ckpt_tensors *dict, h5ckpt_tensor *tensor, h5ckpt_error **err);

/* Adds a decay whose value already lies in the state's arena. The object must pass h5ck_state_check_decay's rules. */
int h5ck_state_add_decay(h5ckpt_state *state, const char *name, const h5ckpt_value *object,
                         const struct h5ck_class *class_spec, h5ck_file *file, h5ckpt_error **err);

int h5ck_state_set_metadata(h5ckpt_state *state, const char *key, const char *text, h5ckpt_error **err);

/* A file record in the arena (strings copied), unmapped with the state. NULL when out of memory. */
h5ck_file *h5ck_state_new_file(h5ckpt_state *state, const char *root, const char *relative);

/* `close(what)` is called when the state is freed, last added first. On failure it is called at once. */
int h5ck_state_on_close(h5ckpt_state *state, void (*close)(void *), void *what, h5ckpt_error **err);

void h5ck_state_retain(h5ckpt_state *state);

#endif
