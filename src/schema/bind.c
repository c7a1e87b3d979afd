/*
 * bind.c - nodes to a typed schema, by the table of keys.c. Every value is checked on its own here (kind, allowed words,
 * form); what needs two values to be wrong is check.c's.
 */
#include "schema/clocale.h"
#include "schema/draft.h"
#include "schema/keys.h"

#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const char *const type_names[] = {
    [H5CK_FIELD_ANY] = "any",       [H5CK_FIELD_INT] = "int",         [H5CK_FIELD_FLOAT] = "float",
    [H5CK_FIELD_NUMBER] = "number", [H5CK_FIELD_BOOL] = "bool",       [H5CK_FIELD_STR] = "str",
    [H5CK_FIELD_INTS] = "ints",     [H5CK_FIELD_NUMBERS] = "numbers", [H5CK_FIELD_RATE] = "rate",
};

static const char *const meaning_names[] = {
    [H5CK_MEANS_NOTHING] = "nothing",
    [H5CK_MEANS_STEP] = "step",
    [H5CK_MEANS_RATE] = "rate",
    [H5CK_MEANS_BASE_RATE] = "base_rate",
};

const char *h5ck_meaning_name(h5ck_meaning meaning)
{
    return (size_t)meaning < COUNT(meaning_names) ? meaning_names[meaning] : NULL;
}

const char *h5ck_field_type_name(h5ck_field_type type)
{
    return (size_t)type < COUNT(type_names) ? type_names[type] : NULL;
}

/* ---- Single values ---- */

static void *member(void *target, size_t offset)
{
    return (char *)target + offset;
}

static int bind_text(h5ck_draft *d, const h5ck_node *node, const h5ck_form *f, const char **text)
{
    bool nothing = node->kind == H5CK_NODE_TEXT && node->plain &&
                   (node->length == 0 || strcmp(node->text, "~") == 0 || strcmp(node->text, "null") == 0);
    if (node->kind != H5CK_NODE_TEXT || nothing || !f->good(node->text))
        return h5ck_draft_wrong(d, node, NULL, "%s", f->expected);
    h5ck_mark *m = h5ck_arena_zalloc(&d->arena, 1, sizeof *m);
    char *copy = h5ck_arena_strndup(&d->schema->owner->arena, node->text, node->length);
    if (!m || !copy)
        return h5ck_fail_nomem(d->err);
    *m = (h5ck_mark){copy, d->path, node, d->marks};
    d->marks = m;
    *text = copy;
    return 0;
}

static int bind_flag(h5ck_draft *d, const h5ck_node *node, bool *flag)
{
    bool word = node->kind == H5CK_NODE_TEXT && node->plain;
    if (!word || (strcmp(node->text, "true") != 0 && strcmp(node->text, "false") != 0))
        return h5ck_draft_wrong(d, node, node->kind == H5CK_NODE_TEXT && !node->plain ? "a quoted text" : NULL,
                                "true or false");
    *flag = node->text[0] == 't';
    return 0;
}

/* Decimal only: strtod would also take hexadecimal, "inf" and "nan". */
static int bind_number(h5ck_draft *d, const h5ck_node *node, double *number, bool *present)
{
    bool word = node->kind == H5CK_NODE_TEXT && node->plain && node->length > 0 &&
                node->text[strspn(node->text, "+-.0123456789eE")] == 0;
    h5ck_clocale c;
    char *end = NULL;
    if (word) {
        if (!h5ck_clocale_enter(&c))
            return h5ck_fail_nomem(d->err);
        *number = strtod(node->text, &end);
        h5ck_clocale_leave(&c);
    }
    if (!word || *end || *number - *number != 0)
        return h5ck_draft_wrong(d, node, node->kind == H5CK_NODE_TEXT && !node->plain ? "a quoted text" : NULL,
                                "a finite number");
    *present = true;
    return 0;
}

/* Digits only, and few enough to need no check for overflow. */
static int bind_whole(h5ck_draft *d, const h5ck_node *node, uint64_t *number)
{
    enum { DIGITS = 12 };
    bool word = node->kind == H5CK_NODE_TEXT && node->plain && node->length > 0 && node->length <= DIGITS &&
                node->text[strspn(node->text, "0123456789")] == 0;
    if (!word)
        return h5ck_draft_wrong(d, node, node->kind == H5CK_NODE_TEXT && !node->plain ? "a quoted text" : NULL,
                                "a whole number of at most %d digits", DIGITS);
    *number = 0;
    for (const char *c = node->text; *c; c++)
        *number = *number * 10 + (uint64_t)(*c - '0');
    return 0;
}

/* true, false, or a permutation. */
static int bind_axes(h5ck_draft *d, const h5ck_node *node, h5ck_axes *axes)
{
    bool seen[H5CK_MAX_RANK] = {false};
    if (node->kind != H5CK_NODE_LIST) {
        *axes = (h5ck_axes){0};
        return bind_flag(d, node, &axes->reverse);
    }
    *axes = (h5ck_axes){.count = node->count};
    if (node->count == 0 || node->count > H5CK_MAX_RANK)
        return h5ck_draft_wrong(d, node, NULL, "true, false or a list of 1 to %d axes", H5CK_MAX_RANK);
    size_t i = 0;
    for (const h5ck_node *n = node->first; n; n = n->next) {
        uint64_t axis;
        int rc = bind_whole(d, n, &axis);
        if (rc)
            return rc;
        if (axis >= node->count || seen[axis])
            return h5ck_draft_wrong(d, n, NULL, "each axis from 0 to %zu once", node->count - 1);
        seen[axis] = true;
        axes->at[i++] = (unsigned char)axis;
    }
    return 0;
}

static int bind_dtype(h5ck_draft *d, const h5ck_node *node, h5ckpt_dtype *dtype)
{
    const h5ck_dtype *row = node->kind == H5CK_NODE_TEXT ? h5ck_dtype_from_name(node->text) : NULL;
    if (!row)
        return h5ck_draft_wrong(d, node, NULL,
                                "an element type (bool, int8 ... uint64, float16, bfloat16, float32, ...)");
    *dtype = row->id;
    return 0;
}

static int bind_type(h5ck_draft *d, const h5ck_node *node, h5ck_field_type *type)
{
    for (size_t i = 0; node->kind == H5CK_NODE_TEXT && i < COUNT(type_names); i++)
        if (strcmp(node->text, type_names[i]) == 0) {
            *type = (h5ck_field_type)i;
            return 0;
        }
    return h5ck_draft_wrong(d, node, NULL, "any, int, float, number, bool, str, ints, numbers or rate");
}

static int bind_meaning(h5ck_draft *d, const h5ck_node *node, h5ck_meaning *meaning)
{
    for (size_t i = 1; node->kind == H5CK_NODE_TEXT && i < COUNT(meaning_names); i++)
        if (strcmp(node->text, meaning_names[i]) == 0) {
            *meaning = (h5ck_meaning)i;
            return 0;
        }
    return h5ck_draft_wrong(d, node, NULL, "step, rate or base_rate");
}

/* ---- Lists ---- */

/* Makes room for `more` elements behind those that an extended schema has put there. */
static int grow(h5ck_draft *d, void *array, size_t size, size_t count, size_t more, void *slot, void **added)
{
    char *all = h5ck_arena_zalloc(&d->schema->owner->arena, count + more, size);
    if (!all)
        return h5ck_fail_nomem(d->err);
    if (count)
        memcpy(all, array, count * size);
    void *start = all;
    memcpy(slot, &start, sizeof start); /* the slot is a pointer to some const type */
    *added = all + count * size;
    return 0;
}

static int bind_texts(h5ck_draft *d, const h5ck_node *node, const h5ck_key *k, void *target)
{
    enum { MOST = 1024 };
    size_t *count = member(target, k->beside);
    void *array, *added = NULL;
    memcpy(&array, member(target, k->offset), sizeof array);
    if (node->kind != H5CK_NODE_LIST)
        return h5ck_draft_wrong(d, node, NULL, "a list for '%s'", k->name);
    if (node->count > MOST)
        return h5ck_draft_wrong(d, node, "more", "at most %d texts", MOST);
    if (k->required && *count + node->count == 0)
        return h5ck_draft_wrong(d, node, "none", "at least one of '%s'", k->name);
    int rc = grow(d, array, sizeof(char *), *count, node->count, member(target, k->offset), &added);
    const char **text = added;
    for (const h5ck_node *n = node->first; rc == 0 && n; n = n->next)
        if ((rc = bind_text(d, n, k->form, text++)) == 0)
            ++*count;
    return rc;
}

static int bind_wholes(h5ck_draft *d, const h5ck_node *node, const h5ck_key *k, void *target)
{
    enum { MOST = 1024 };
    size_t *count = member(target, k->beside);
    void *added = NULL;
    if (node->kind != H5CK_NODE_LIST)
        return h5ck_draft_wrong(d, node, NULL, "a list for '%s'", k->name);
    if (node->count > MOST)
        return h5ck_draft_wrong(d, node, "more", "at most %d numbers", MOST);
    int rc = grow(d, NULL, sizeof(uint64_t), 0, node->count, member(target, k->offset), &added);
    uint64_t *number = added;
    for (const h5ck_node *n = node->first; rc == 0 && n; n = n->next)
        rc = bind_whole(d, n, number++);
    *count = node->count;
    return rc;
}

static int bind_map(h5ck_draft *d, const h5ck_node *node, const h5ck_keys *t, void *target);

static int bind_list(h5ck_draft *d, const h5ck_node *node, const h5ck_key *k, void *target)
{
    const h5ck_keys *t = k->table;
    size_t *count = member(target, k->beside);
    void *array, *added = NULL;
    memcpy(&array, member(target, k->offset), sizeof array);
    if (node->kind != H5CK_NODE_LIST)
        return h5ck_draft_wrong(d, node, NULL, "a list for '%s'", k->name);
    if (node->count > t->most)
        return h5ck_draft_wrong(d, node, "more", "at most %zu elements of '%s'", t->most, k->name);
    if (k->required && *count + node->count == 0)
        return h5ck_draft_wrong(d, node, "none", "at least one of '%s'", k->name);
    int rc = grow(d, array, t->size, *count, node->count, member(target, k->offset), &added);
    char *element = added;
    for (const h5ck_node *n = node->first; rc == 0 && n; n = n->next, element += t->size)
        rc = bind_map(d, n, t, element);
    if (rc == 0)
        *count += node->count;
    return rc;
}

/* ---- Mappings ---- */

static int bind_value(h5ck_draft *d, const h5ck_node *node, const h5ck_key *k, void *target)
{
    void *at = member(target, k->offset), *beside = member(target, k->beside);
    switch (k->kind) {
    case H5CK_KEY_TEXT: {
        const char *text = NULL;
        int rc = bind_text(d, node, k->form, &text);
        if (rc == 0)
            memcpy(at, &text, sizeof text);
        return rc;
    }
    case H5CK_KEY_TEXTS:
        return bind_texts(d, node, k, target);
    case H5CK_KEY_FLAG:
        return bind_flag(d, node, at);
    case H5CK_KEY_NUMBER:
        return bind_number(d, node, at, beside);
    case H5CK_KEY_WHOLE: {
        int rc = bind_whole(d, node, at);
        *(bool *)beside = rc == 0;
        return rc;
    }
    case H5CK_KEY_WHOLES:
        return bind_wholes(d, node, k, target);
    case H5CK_KEY_AXES:
        return bind_axes(d, node, at);
    case H5CK_KEY_DTYPE:
        return bind_dtype(d, node, at);
    case H5CK_KEY_TYPE:
        return bind_type(d, node, at);
    case H5CK_KEY_MEANS:
        return bind_meaning(d, node, at);
    case H5CK_KEY_MAP:
        return bind_map(d, node, k->table, target);
    case H5CK_KEY_LIST:
        return bind_list(d, node, k, target);
    }
    return 0;
}

/* The row of a key, or NULL with an error that lists those that there are. */
static const h5ck_key *find_key(h5ck_draft *d, const h5ck_node *node, const h5ck_keys *t)
{
    char names[240] = "";
    for (size_t i = 0, used = 0; i < t->count; i++) {
        size_t n = strlen(t->keys[i].name);
        if (node->kind == H5CK_NODE_TEXT && strcmp(node->text, t->keys[i].name) == 0)
            return &t->keys[i];
        if (used + n + 3 < sizeof names) {
            if (i) {
                memcpy(names + used, ", ", 2);
                used += 2;
            }
            memcpy(names + used, t->keys[i].name, n + 1);
            used += n;
        }
    }
    h5ck_draft_wrong(d, node, NULL, "a key of %s (%s)", t->what, names);
    return NULL;
}

/* A schema must have its own name even where it extends another; so must an element its required keys. */
static bool may_be_missing(const h5ck_draft *d, const h5ck_keys *t, const h5ck_key *k)
{
    bool own_name = (t == &h5ck_schema_keys || t == &h5ck_names_keys) && k == t->keys;
    return !k->required || (d->extending && t->size == 0 && !own_name);
}

/* Recursion is as deep as the tables are nested: five. */
static int bind_map(h5ck_draft *d, const h5ck_node *node, const h5ck_keys *t, void *target)
{
    bool seen[H5CK_KEYS_MOST] = {false};
    if (node->kind != H5CK_NODE_MAP)
        return h5ck_draft_wrong(d, node, NULL, "a mapping for %s", t->what);
    for (const h5ck_node *n = node->first; n; n = n->next->next) {
        const h5ck_key *k = find_key(d, n, t);
        if (!k)
            return H5CKPT_USAGE;
        if (seen[k - t->keys])
            return h5ck_draft_wrong(d, n, "it twice", "the key '%s' once", k->name);
        seen[k - t->keys] = true;
        int rc = bind_value(d, n->next, k, target);
        if (rc)
            return rc;
    }
    for (size_t i = 0; i < t->count; i++)
        if (!seen[i] && !may_be_missing(d, t, &t->keys[i]))
            return h5ck_draft_wrong(d, node, "none", "the key '%s' in %s", t->keys[i].name, t->what);
    return 0;
}

int h5ck_draft_bind(h5ck_draft *d, const h5ck_node *root)
{
    return bind_map(d, root, d->schema->is_names ? &h5ck_names_keys : &h5ck_schema_keys, d->schema);
}
