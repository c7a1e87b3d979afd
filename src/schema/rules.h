/*
 * rules - what rules.c (names), rules_elements.c (elements) and rules_optimizer.c (the optimizers' tensors) share, and
 * nobody else.
 */
#ifndef H5CK_SCHEMA_RULES_H
#define H5CK_SCHEMA_RULES_H

#include "schema/schema.h"

#include <regex.h>
#include <stdatomic.h>

enum { H5CK_RULE_GROUPS = 10 };

/* A name and the rule that decides about it. */
typedef struct h5ck_ruling {
    const h5ck_rule *rule; /* NULL: none does */
    const char *name;
    regmatch_t match[H5CK_RULE_GROUPS];
} h5ck_ruling;

/* What one rule has done, for a note. */
typedef struct h5ck_rule_use {
    size_t count;
    char names[120]; /* of the first few */
} h5ck_rule_use;

/* Rules while they are applied. */
typedef struct h5ck_applying {
    const h5ck_schema *schema;
    regex_t *regexes; /* one for each rule */
    size_t compiled;  /* the first of them */
    h5ck_rule_use *used;
    const h5ckpt_state *from;
    h5ckpt_state *to;
    h5ck_dict sources, optimizer_sources; /* new name -> the old tensor */
    const h5ck_log *log;
    h5ckpt_error **err;
} h5ck_applying;

/* ---- rules.c ---- */

/* Finds the rule that decides about a parameter. */
int h5ck_rules_find(h5ck_applying *p, const h5ckpt_tensor *t, h5ck_ruling *ruling);

/* A text of the rule with its references replaced; where `rename` the text takes the place of what matched. In the new
 * state's arena. */
int h5ck_rules_name(h5ck_applying *p, const h5ck_ruling *g, const char *text, bool rename, const char **name);

/* Adds a tensor to the new parameters, or to the new optimizer state; `t` is the old one. A name that is taken is
 * H5CKPT_USAGE. */
int h5ck_rules_add(h5ck_applying *p, bool optimizer_state, const h5ckpt_tensor *t, const h5ckpt_tensor_info *info,
                   const h5ck_extent *extent);

/* ---- rules_elements.c ---- */

/* Some steps on one axis of a tensor. */
typedef struct h5ck_slice {
    size_t axis;
    uint64_t first, size;
    bool drop_axis; /* the axis goes away; size is 1 */
} h5ck_slice;

/* True where the rule has something to do with the elements of a tensor as a whole. */
bool h5ck_rule_changes(const h5ck_rule *r, const h5ckpt_tensor *t);

/* The tensor, or a slice of it, transposed and cast as the rule says: dtype, rank and shape of *info, which else is the
 * tensor's, and *extent. `checked` as in move/view.h: NULL, or one flag for all views of the tensor. */
int h5ck_rule_view(h5ckpt_state *to, const h5ck_rule *r, const h5ckpt_tensor *t, const h5ck_slice *slice,
                   atomic_int *checked, h5ckpt_tensor_info *info, h5ck_extent *extent, h5ckpt_error **err);

/* Part i of those that the rule splits a tensor into. *end is where it begins on the axis, and is moved to its end. */
int h5ck_rule_part(h5ckpt_state *to, const h5ck_rule *r, const h5ckpt_tensor *t, size_t i, uint64_t *end,
                   atomic_int *checked, h5ckpt_tensor_info *info, h5ck_extent *extent, h5ckpt_error **err);

/* All that the rule merges, r->merge_count of them, as one. */
int h5ck_rule_join(h5ckpt_state *to, const h5ck_rule *r, const h5ckpt_tensor *const *parts, h5ckpt_tensor_info *info,
                   h5ck_extent *extent, h5ckpt_error **err);

/* ---- rules_optimizer.c ---- */

/* Carries the optimizers' tensors over; those that carry a parameter's name follow it. */
int h5ck_rules_optimizer_state(h5ck_applying *p);

#endif
