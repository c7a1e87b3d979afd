/*
 * carrier - how a format of one flat list of named tensors beside a few strings (safetensors, GGUF) holds a whole state.
 *
 * Parameters stand in the list under their own names, and the tensors of the optimizer state behind them. What else there
 * is goes into strings whose keys begin with "h5ckpt.", each only where it is needed:
 *
 *     h5ckpt.optimizer_state   ["w_moment1", ...]      which of the listed tensors are the optimizers'
 *     h5ckpt.names             {"h5ckpt.0": "w", ...}  true names of those that stand under another one, for theirs is
 *                                                      taken, or is one that the format cannot have
 *     h5ckpt.lod               {"w": [[0, 2, 6]], ...} levels of detail
 *     h5ckpt.decays            {"None": {"$object": ...}}
 *     h5ckpt.metadata.KEY      a string of the state's metadata whose own key begins with "h5ckpt."
 *
 * The first four are typed JSON (parse/value_json.h), and speak of tensors by the names in the list. All other strings are
 * the state's metadata as it is. A file without these keys is a list of parameters.
 *
 * Reading: h5ck_carrier_begin, all strings, then all tensors, h5ck_carrier_end in any case.
 */
#ifndef H5CK_FORMAT_CARRIER_H
#define H5CK_FORMAT_CARRIER_H

#include "base/log.h"
#include "model/state.h"

/* The decays' key: also in formats that carry only those beside what they have of their own. */
#define H5CK_CARRIER_DECAYS "h5ckpt.decays"

/* ---- Writing ---- */

/* What names the format can have. */
typedef struct h5ck_carrier_rules {
    const char *reserved; /* one that means something else in it, or NULL */
    size_t longest;       /* bytes; 0: any */
} h5ck_carrier_rules;

typedef struct h5ck_carrier_tensor {
    const char *name; /* in the list */
    const h5ckpt_tensor *tensor;
} h5ck_carrier_tensor;

typedef struct h5ck_carrier_string {
    const char *key, *text;
} h5ck_carrier_string;

typedef struct h5ck_carrier_list {
    size_t tensor_count, string_count;
    const h5ck_carrier_tensor *tensors; /* parameters, then the optimizer state, both in their order */
    const h5ck_carrier_string *strings; /* the state's own, then the carrier's */
} h5ck_carrier_list;

/* Makes the list, in the arena; names are borrowed from the state. */
int h5ck_carrier_list_state(const h5ckpt_state *state, const h5ck_carrier_rules *rules, h5ck_arena *arena,
                            h5ck_carrier_list *list, h5ckpt_error **err);

/* Notes, in one line, what of the state other programs will see in another way. */
void h5ck_carrier_note(const h5ckpt_state *state, const char *target, const h5ck_log *log);

/* ---- Reading ---- */

/* Adds the decays of a dictionary from such a string. A stranger may have written it: what is no decay is refused, also
 * within one, since it could reach a pickle. `dict` lies in the state's arena. */
int h5ck_carrier_add_decays(h5ckpt_state *state, h5ck_file *file, const h5ckpt_value *dict, h5ckpt_error **err);

typedef struct h5ck_carrier {
    h5ckpt_state *state;
    h5ck_file *file; /* of decays */
    const h5ck_log *log;
    h5ck_arena scratch;
    h5ck_dict marks; /* name in the list -> what the strings say of it */
} h5ck_carrier;

/* `file` is where the strings stand, as in h5ck_state_new_file; it may be NULL. */
void h5ck_carrier_begin(h5ck_carrier *c, h5ckpt_state *state, h5ck_file *file, const h5ck_log *log);
/* One string: its meaning is learned, or it becomes the state's metadata. */
int h5ck_carrier_add_string(h5ck_carrier *c, const char *key, const char *text, h5ckpt_error **err);
/* One tensor, under the name in the list: it goes to its dictionary under its true name. */
int h5ck_carrier_add_tensor(h5ck_carrier *c, const h5ckpt_tensor_info *info, const h5ck_extent *extent,
                            h5ckpt_error **err);
/* Where rc is 0: notes names that the strings know and the list does not have. Frees what reading took. Returns rc. */
int h5ck_carrier_end(h5ck_carrier *c, int rc);

#endif
