/*
 * schema - the map between a save directory and HDF5, as data. Read from YAML (schema/paddle.yaml is built in; a user's
 * file may extend it); nothing that a schema says is written anywhere else in the code.
 *
 * schema.c reads (it is the only user of yaml.h), with bind.c and check.c; map.c answers questions about what was read;
 * rules.c applies the name rules, which may also stand in a document of their own (`names: paddle-to-torch`): an h5ck_schema
 * too, of which nothing else is set. docs/schema.md is the reference of the keys.
 *
 * A schema and all it points to are read-only, and any number of states and threads may share one. A file's lives until
 * h5ck_schema_free; a built-in one is a constant, made by precompile.c when h5ckpt is built, and for it that does nothing.
 */
#ifndef H5CK_SCHEMA_SCHEMA_H
#define H5CK_SCHEMA_SCHEMA_H

#include "base/err.h"
#include "base/log.h"
#include "model/state.h"

#include <stdbool.h>

/* What a field of a decay class should hold. */
typedef enum h5ck_field_type {
    H5CK_FIELD_ANY,
    H5CK_FIELD_INT,
    H5CK_FIELD_FLOAT,
    H5CK_FIELD_NUMBER, /* int or float */
    H5CK_FIELD_BOOL,
    H5CK_FIELD_STR,
    H5CK_FIELD_INTS,    /* list or tuple of ints */
    H5CK_FIELD_NUMBERS, /* list or tuple of numbers */
    H5CK_FIELD_RATE     /* number, or a decay object */
} h5ck_field_type;

/* What a field's value is, under whatever name: what frameworks agree on. */
typedef enum h5ck_meaning {
    H5CK_MEANS_NOTHING,  /* that others would know */
    H5CK_MEANS_STEP,     /* the step (or epoch) whose rate the next update of the optimizer takes */
    H5CK_MEANS_RATE,     /* that rate */
    H5CK_MEANS_BASE_RATE /* the rate at step 0, from which the schedule sets out */
} h5ck_meaning;

typedef struct h5ck_field_spec {
    const char *name;
    h5ck_field_type type;
    const char *unit; /* or NULL */
    const char *doc;
    const char *parameter; /* the formula's parameter it stands for; the field's own name by default */
    h5ck_meaning means;
    bool optional;    /* older versions do not write it; of a scheduler: the framework does without it */
    bool read_only;   /* of a scheduler: not made from another framework's field */
    bool has_default; /* then the formula takes `default_number` where the field is missing */
    double default_number;
} h5ck_field_spec;

typedef struct h5ck_class {
    const char *name;
    const char *module; /* its own, or the schema's first decay module */
    const char *doc;
    const char *formula; /* a name that rate.c knows, or NULL */
    size_t count;
    const h5ck_field_spec *fields; /* the base's fields first */
} h5ck_class;

/* What a framework saves of a learning-rate schedule where it does not save the object: a dictionary, which in the state
 * becomes an object of this class (schema/scheduler.h). */
typedef struct h5ck_scheduler {
    const char *framework; /* "torch" */
    const char *name, *module;
    const char *doc;
    size_t count;
    const h5ck_field_spec *fields;
} h5ck_scheduler;

typedef struct h5ck_patterns {
    size_t count;
    const char *const *globs;
} h5ck_patterns;

/* The axes of a transposition. */
typedef struct h5ck_axes {
    bool reverse;                    /* as NumPy's .T */
    size_t count;                    /* where not 0: result axis i is source axis at[i] */
    unsigned char at[H5CK_MAX_RANK]; /* each of 0 to count - 1 once */
} h5ck_axes;

/* One name rule. The first rule that is for a parameter decides about it. In the texts that make names \0 to \9 stand for
 * groups of what matched, and \\ for one \. */
typedef struct h5ck_rule {
    /* which parameters it is for */
    const char *match; /* POSIX extended regular expression, matched anywhere unless anchored */
    bool has_rank;
    uint64_t rank;      /* only those of so many axes */
    h5ckpt_dtype dtype; /* only those of this type; H5CKPT_DTYPE_NONE: of any */
    const char *beside; /* only where there is a parameter of this name, too; or NULL */

    /* what becomes of them */
    const char *rename; /* takes the place of what matched; NULL: keeps its name */
    bool drop;
    const char *copy; /* a whole name, under which the parameter appears a second time; or NULL */
    const char *zero; /* a whole name, under which a new int64 scalar, 0, follows the parameter; or NULL */
    h5ck_axes transpose;
    h5ckpt_dtype cast; /* H5CKPT_DTYPE_NONE: keeps its dtype */
    size_t split_count;
    const char *const *split; /* whole names of the parts that it becomes */
    size_t size_count;
    const uint64_t *sizes; /* of the parts; none: equal ones */
    size_t merge_count;
    const char *const *merge; /* whole names of the parameters that become one, in order */
    bool has_axis;
    uint64_t axis; /* along which it is split (before) or merged (after it is transposed) */
    bool stack;    /* that axis is a new one of the whole, each part being one step on it */

    const char *reason; /* one line, for notes; or NULL */
} h5ck_rule;

/* An attribute that another program looks for, and that is written where the state's metadata has none. */
typedef struct h5ck_group_attribute {
    const char *group; /* its path; "" is the root */
    const char *name;
    const char *text;
} h5ck_group_attribute;

typedef struct h5ck_schema {
    struct h5ck_schema_owner *owner; /* what h5ck_schema_free frees; NULL: a constant */
    bool is_names;                   /* name rules alone: `name`, `extends`, `doc` and `rules` are all there is */
    const char *name;                /* "paddle" */
    const char *doc;                 /* one line, or NULL */
    const char *extends;             /* the built-in schema it began with, or NULL */

    /* the save directory's side */
    const char *dir_decays;    /* the folder of pickled decays: "optimizers" */
    const char *dir_separator; /* what in a name makes a folder: "/"; "" for flat names */
    h5ck_patterns dir_ignore;  /* file names (last part) passed over in silence: ".*" */
    h5ck_patterns dir_skip;    /* paths passed over with a note: "__model__" */

    /* the HDF5 side */
    const char *h5_parameters, *h5_optimizers, *h5_optimizer_state; /* groups */
    const char *h5_separator;                                       /* what in a name makes a group; "" flat */
    bool h5_foreign; /* another program's layout: files without our version attribute have it, too; the group of
                        parameters may be "", the root */
    const char *list_groups, *list_parameters,
        *list_state; /* attributes that list what groups hold, in order; or NULL */
    size_t list_apart_count;
    const char *const *list_apart; /* groups that have a list, and are in none */
    size_t attribute_count;
    const h5ck_group_attribute *attributes;                   /* that groups must have */
    const char *at_version, *at_schema;                       /* root attributes */
    const char *at_class, *at_module, *at_python, *at_fields; /* of a decay's group (docs/format.md) */
    const char *at_type_suffix;                               /* "<field>:type" */
    const char *at_name, *at_order, *at_lod, *at_digest;      /* of a dataset; at_lod is a prefix: "lod_" */
    const char *at_source_size, *at_source_mtime;             /* of a dataset that lies in another file */

    /* the decays */
    size_t module_count;
    const char *const *modules; /* where Paddle's own decay classes live; the first is the default */
    size_t base_count;
    const h5ck_field_spec *base; /* fields that every decay has */
    size_t class_count;
    const h5ck_class *classes;

    size_t scheduler_count;
    const h5ck_scheduler *schedulers; /* one for each framework */

    size_t rule_count;
    const h5ck_rule *rules;
} h5ck_schema;

/* The built-in schema `name` (NULL: "paddle"), or the file `path`. H5CKPT_USAGE with file:line:column for a wrong one, or
 * for an unknown name or a missing file; also for one of name rules alone. The message is complete: it needs no
 * h5ck_err_where. The caller gives *schema to h5ck_schema_free, whichever it is; NULL on failure. */
int h5ck_schema_builtin(const char *name, const h5ck_schema **schema, h5ckpt_error **err);
int h5ck_schema_load(const char *path, const h5ck_schema **schema, h5ckpt_error **err);
/* Either: what is not a built-in schema's name is a path. */
int h5ck_schema_find(const char *name_or_path, const h5ck_schema **schema, h5ckpt_error **err);
void h5ck_schema_free(const h5ck_schema *schema);
/* The same for name rules alone: a built-in one's name, or a file's path. A schema is H5CKPT_USAGE. */
int h5ck_names_load(const char *name_or_path, const h5ck_schema **names, h5ckpt_error **err);
/* A file of either kind. */
int h5ck_schema_load_any(const char *path, const h5ck_schema **schema, h5ckpt_error **err);
/* The text of a built-in one of either kind, or NULL. A static string. */
const char *h5ck_schema_builtin_text(const char *name);
/* The i-th built-in one of either kind, or NULL past the last. Static. */
const h5ckpt_schema_info *h5ck_schema_builtin_at(size_t i);

/* "ints", "rate"; "step": as a schema writes it. */
const char *h5ck_field_type_name(h5ck_field_type type);
const char *h5ck_meaning_name(h5ck_meaning meaning);

/* ---- map.c ---- */

bool h5ck_patterns_match(const h5ck_patterns *patterns, const char *text);

/* The class's row, or NULL. */
const h5ck_class *h5ck_schema_class(const h5ck_schema *s, const char *module, const char *class_name);
const h5ck_field_spec *h5ck_class_field(const h5ck_class *c, const char *name);
/* The field of that name, or NULL. */
const h5ck_field_spec *h5ck_field_named(const h5ck_field_spec *fields, size_t count, const char *name);
/* The scheduler of that class, or NULL. */
const h5ck_scheduler *h5ck_schema_scheduler(const h5ck_schema *s, const char *module, const char *class_name);

/* What is known of an object's fields: its class's, its scheduler's, or those that every decay has. */
size_t h5ck_schema_fields(const h5ck_schema *s, const h5ckpt_object *object, const h5ck_field_spec **fields);

/* THE rule of what counts as a decay, for every reader and writer. Allowed are the classes of the schema's decay
 * modules, the classes and schedulers the schema names, and a user's own class in any module where the object shows itself to be a
 * subclass of LearningRateDecay: it has all base fields, and its module is not of Python's own library. Module and
 * class must be (dotted) ASCII identifiers, for they become a line of a pickle. Otherwise H5CKPT_INVALID with the
 * reason. `schema` is a const h5ck_schema * (void for the pickle reader's policy). */
int h5ck_schema_check_object(void *schema, const h5ckpt_object *object, h5ckpt_error **err);

/* ---- rules.c ---- */

/* Applies the name rules to a state's parameters, and to the optimizers' tensors that carry a parameter's name: a new
 * state with renamed, dropped, copied, transposed, cast, split and merged tensors; the rest is carried over as it is; the
 * decays' descriptions are for the caller to complete. Tensors' extents and decays borrow from `from`, which must outlive
 * it. Where the schema has no rules *to is NULL. Two parameters of one new name are H5CKPT_USAGE, and so is a rule that
 * cannot be carried out (a transposed LoD tensor, a part that is missing, complex numbers cast to real ones). A value
 * that its new type cannot hold shows when it is read: H5CKPT_INVALID. */
int h5ck_schema_apply_rules(const h5ck_schema *s, const h5ckpt_state *from, h5ckpt_state **to, const h5ck_log *log,
                            h5ckpt_error **err);

#endif
