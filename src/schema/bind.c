/*
 * bind.c - nodes to a typed schema, by tables: one row a key, with its kind, where it goes, and whether it must be
 * there. To give the schema a new key is to add a row here, a member in schema.h, and a line in docs/schema.md.
 *
 * Every value is checked on its own here (kind, allowed words, form); what needs two values to be wrong is check.c's.
 */
#include "base/text.h"
#include "schema/clocale.h"
#include "schema/draft.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

typedef enum key_kind {
    KEY_TEXT,   /* const char * */
    KEY_TEXTS,  /* const char *const *, and its count */
    KEY_FLAG,   /* bool */
    KEY_NUMBER, /* double, and a bool that says it is there */
    KEY_DTYPE,  /* h5ckpt_dtype, by name */
    KEY_TYPE,   /* h5ck_field_type, by name */
    KEY_MAP,    /* members of the same struct, under a heading */
    KEY_LIST    /* an array of structs, and its count */
} key_kind;

/* The form of a text. */
typedef struct form {
    bool (*good)(const char *text);
    const char *expected;
} form;

typedef struct table table;

typedef struct key {
    const char *name;
    key_kind kind;
    bool required;
    size_t offset, beside; /* of the member; of the count or flag that belongs to it */
    const form *form;      /* of TEXT and TEXTS */
    const table *table;    /* of MAP and LIST */
} key;

struct table {
    const char *what;
    const key *keys;
    size_t count;
    size_t size; /* of a LIST's element; 0: a MAP, whose keys another schema may have set */
    size_t most; /* elements of a LIST */
};

/* ---- Forms ---- */

static bool any(const char *t)
{
    (void)t;
    return true;
}

static bool not_empty(const char *t)
{
    return *t != 0;
}

static bool one_line(const char *t)
{
    return *t && !strpbrk(t, "\n\r");
}

/* What HDF5 takes as a link's name and a file system as a folder's. */
static bool part(const char *t)
{
    return *t && !strchr(t, '/') && strcmp(t, ".") != 0 && strcmp(t, "..") != 0;
}

static bool separator(const char *t)
{
    return strlen(t) <= 16;
}

static bool identifier(const char *t)
{
    return h5ck_text_is_identifier(t, false);
}

static bool dotted(const char *t)
{
    return h5ck_text_is_identifier(t, true);
}

static const form form_any = {any, "a text"}, form_name = {not_empty, "a text that is not empty"},
                  form_line = {one_line, "one line of text"},
                  form_part = {part, "a name (without '/', and not '.' or '..')"},
                  form_separator = {separator, "a separator of at most 16 bytes"},
                  form_class = {identifier, "a Python class's name"},
                  form_module = {dotted, "a Python module's dotted name"};

/* ---- The tables ---- */

#define IN(struct_, member) offsetof(struct_, member)
#define COUNT(keys)         (sizeof(keys) / sizeof *(keys))
enum { MOST_KEYS = 16 };

static const key field_keys[] = {
    {"name", KEY_TEXT, true, IN(h5ck_field_spec, name), 0, &form_part, NULL},
    {"type", KEY_TYPE, true, IN(h5ck_field_spec, type), 0, NULL, NULL},
    {"unit", KEY_TEXT, false, IN(h5ck_field_spec, unit), 0, &form_line, NULL},
    {"doc", KEY_TEXT, false, IN(h5ck_field_spec, doc), 0, &form_line, NULL},
    {"parameter", KEY_TEXT, false, IN(h5ck_field_spec, parameter), 0, &form_name, NULL},
    {"optional", KEY_FLAG, false, IN(h5ck_field_spec, optional), 0, NULL, NULL},
    {"default", KEY_NUMBER, false, IN(h5ck_field_spec, default_number), IN(h5ck_field_spec, has_default), NULL, NULL},
};
static const table field_table = {"a field", field_keys, COUNT(field_keys), sizeof(h5ck_field_spec), 256};

static const key class_keys[] = {
    {"class", KEY_TEXT, true, IN(h5ck_class, name), 0, &form_class, NULL},
    {"module", KEY_TEXT, false, IN(h5ck_class, module), 0, &form_module, NULL},
    {"doc", KEY_TEXT, false, IN(h5ck_class, doc), 0, &form_line, NULL},
    {"formula", KEY_TEXT, false, IN(h5ck_class, formula), 0, &form_name, NULL},
    {"fields", KEY_LIST, false, IN(h5ck_class, fields), IN(h5ck_class, count), NULL, &field_table},
};
static const table class_table = {"a class", class_keys, COUNT(class_keys), sizeof(h5ck_class), 2048};

static const key rule_keys[] = {
    {"match", KEY_TEXT, true, IN(h5ck_rule, match), 0, &form_name, NULL},
    {"rename", KEY_TEXT, false, IN(h5ck_rule, rename), 0, &form_any, NULL},
    {"drop", KEY_FLAG, false, IN(h5ck_rule, drop), 0, NULL, NULL},
    {"transpose", KEY_FLAG, false, IN(h5ck_rule, transpose), 0, NULL, NULL},
    {"cast", KEY_DTYPE, false, IN(h5ck_rule, cast), 0, NULL, NULL},
};
static const table rule_table = {"a rule", rule_keys, COUNT(rule_keys), sizeof(h5ck_rule), 1024};

static const key directory_keys[] = {
    {"decays", KEY_TEXT, true, IN(h5ck_schema, dir_decays), 0, &form_part, NULL},
    {"separator", KEY_TEXT, true, IN(h5ck_schema, dir_separator), 0, &form_separator, NULL},
    {"ignore", KEY_TEXTS, false, IN(h5ck_schema, dir_ignore.globs), IN(h5ck_schema, dir_ignore.count), &form_name,
     NULL},
    {"skip", KEY_TEXTS, false, IN(h5ck_schema, dir_skip.globs), IN(h5ck_schema, dir_skip.count), &form_name, NULL},
};
static const table directory_table = {"save_directory", directory_keys, COUNT(directory_keys), 0, 0};

static const key group_keys[] = {
    {"parameters", KEY_TEXT, true, IN(h5ck_schema, h5_parameters), 0, &form_part, NULL},
    {"optimizers", KEY_TEXT, true, IN(h5ck_schema, h5_optimizers), 0, &form_part, NULL},
    {"optimizer_state", KEY_TEXT, true, IN(h5ck_schema, h5_optimizer_state), 0, &form_part, NULL},
};
static const table group_table = {"groups", group_keys, COUNT(group_keys), 0, 0};

static const key attribute_keys[] = {
    {"version", KEY_TEXT, true, IN(h5ck_schema, at_version), 0, &form_part, NULL},
    {"schema", KEY_TEXT, true, IN(h5ck_schema, at_schema), 0, &form_part, NULL},
    {"class", KEY_TEXT, true, IN(h5ck_schema, at_class), 0, &form_part, NULL},
    {"module", KEY_TEXT, true, IN(h5ck_schema, at_module), 0, &form_part, NULL},
    {"python", KEY_TEXT, true, IN(h5ck_schema, at_python), 0, &form_part, NULL},
    {"fields", KEY_TEXT, true, IN(h5ck_schema, at_fields), 0, &form_part, NULL},
    {"type_suffix", KEY_TEXT, true, IN(h5ck_schema, at_type_suffix), 0, &form_part, NULL},
    {"name", KEY_TEXT, true, IN(h5ck_schema, at_name), 0, &form_part, NULL},
    {"order", KEY_TEXT, true, IN(h5ck_schema, at_order), 0, &form_part, NULL},
    {"lod", KEY_TEXT, true, IN(h5ck_schema, at_lod), 0, &form_part, NULL},
    {"digest", KEY_TEXT, true, IN(h5ck_schema, at_digest), 0, &form_part, NULL},
};
static const table attribute_table = {"attributes", attribute_keys, COUNT(attribute_keys), 0, 0};

static const key hdf5_keys[] = {
    {"separator", KEY_TEXT, true, IN(h5ck_schema, h5_separator), 0, &form_separator, NULL},
    {"groups", KEY_MAP, true, 0, 0, NULL, &group_table},
    {"attributes", KEY_MAP, true, 0, 0, NULL, &attribute_table},
};
static const table hdf5_table = {"hdf5", hdf5_keys, COUNT(hdf5_keys), 0, 0};

static const key decays_keys[] = {
    {"modules", KEY_TEXTS, true, IN(h5ck_schema, modules), IN(h5ck_schema, module_count), &form_module, NULL},
    {"base", KEY_LIST, true, IN(h5ck_schema, base), IN(h5ck_schema, base_count), NULL, &field_table},
    {"classes", KEY_LIST, false, IN(h5ck_schema, classes), IN(h5ck_schema, class_count), NULL, &class_table},
};
static const table decays_table = {"decays", decays_keys, COUNT(decays_keys), 0, 0};

static const key schema_keys[] = {
    {"schema", KEY_TEXT, true, IN(h5ck_schema, name), 0, &form_part, NULL},
    {"extends", KEY_TEXT, false, IN(h5ck_schema, extends), 0, &form_name, NULL},
    {"save_directory", KEY_MAP, true, 0, 0, NULL, &directory_table},
    {"hdf5", KEY_MAP, true, 0, 0, NULL, &hdf5_table},
    {"decays", KEY_MAP, true, 0, 0, NULL, &decays_table},
    {"rules", KEY_LIST, false, IN(h5ck_schema, rules), IN(h5ck_schema, rule_count), NULL, &rule_table},
};
_Static_assert(COUNT(attribute_keys) <= MOST_KEYS, "attributes is the longest table");
static const table schema_table = {"the schema", schema_keys, COUNT(schema_keys), 0, 0};

static const char *const type_names[] = {
    [H5CK_FIELD_ANY] = "any",       [H5CK_FIELD_INT] = "int",         [H5CK_FIELD_FLOAT] = "float",
    [H5CK_FIELD_NUMBER] = "number", [H5CK_FIELD_BOOL] = "bool",       [H5CK_FIELD_STR] = "str",
    [H5CK_FIELD_INTS] = "ints",     [H5CK_FIELD_NUMBERS] = "numbers", [H5CK_FIELD_RATE] = "rate",
};

const char *h5ck_field_type_name(h5ck_field_type type)
{
    return (size_t)type < COUNT(type_names) ? type_names[type] : NULL;
}

/* ---- Single values ---- */

static void *member(void *target, size_t offset)
{
    return (char *)target + offset;
}

static int bind_text(h5ck_draft *d, const h5ck_node *node, const form *f, const char **text)
{
    bool nothing = node->kind == H5CK_NODE_TEXT && node->plain &&
                   (node->length == 0 || strcmp(node->text, "~") == 0 || strcmp(node->text, "null") == 0);
    if (node->kind != H5CK_NODE_TEXT || nothing || !f->good(node->text))
        return h5ck_draft_wrong(d, node, NULL, "%s", f->expected);
    h5ck_mark *m = h5ck_arena_zalloc(&d->arena, 1, sizeof *m);
    char *copy = h5ck_arena_strndup(&d->schema->arena, node->text, node->length);
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

/* ---- Lists ---- */

/* Makes room for `more` elements behind those that an extended schema has put there. */
static int grow(h5ck_draft *d, void *array, size_t size, size_t count, size_t more, void *slot, void **added)
{
    char *all = h5ck_arena_zalloc(&d->schema->arena, count + more, size);
    if (!all)
        return h5ck_fail_nomem(d->err);
    if (count)
        memcpy(all, array, count * size);
    void *start = all;
    memcpy(slot, &start, sizeof start); /* the slot is a pointer to some const type */
    *added = all + count * size;
    return 0;
}

static int bind_texts(h5ck_draft *d, const h5ck_node *node, const key *k, void *target)
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

static int bind_map(h5ck_draft *d, const h5ck_node *node, const table *t, void *target);

static int bind_list(h5ck_draft *d, const h5ck_node *node, const key *k, void *target)
{
    const table *t = k->table;
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

static int bind_value(h5ck_draft *d, const h5ck_node *node, const key *k, void *target)
{
    void *at = member(target, k->offset), *beside = member(target, k->beside);
    switch (k->kind) {
    case KEY_TEXT: {
        const char *text = NULL;
        int rc = bind_text(d, node, k->form, &text);
        if (rc == 0)
            memcpy(at, &text, sizeof text);
        return rc;
    }
    case KEY_TEXTS:
        return bind_texts(d, node, k, target);
    case KEY_FLAG:
        return bind_flag(d, node, at);
    case KEY_NUMBER:
        return bind_number(d, node, at, beside);
    case KEY_DTYPE:
        return bind_dtype(d, node, at);
    case KEY_TYPE:
        return bind_type(d, node, at);
    case KEY_MAP:
        return bind_map(d, node, k->table, target);
    case KEY_LIST:
        return bind_list(d, node, k, target);
    }
    return 0;
}

/* The row of a key, or NULL with an error that lists those that there are. */
static const key *find_key(h5ck_draft *d, const h5ck_node *node, const table *t)
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
static bool may_be_missing(const h5ck_draft *d, const table *t, const key *k)
{
    return !k->required || (d->extending && t->size == 0 && !(t == &schema_table && k == &schema_keys[0]));
}

/* Recursion is as deep as the tables are nested: five. */
static int bind_map(h5ck_draft *d, const h5ck_node *node, const table *t, void *target)
{
    bool seen[MOST_KEYS] = {false};
    if (node->kind != H5CK_NODE_MAP)
        return h5ck_draft_wrong(d, node, NULL, "a mapping for %s", t->what);
    for (const h5ck_node *n = node->first; n; n = n->next->next) {
        const key *k = find_key(d, n, t);
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
    return bind_map(d, root, &schema_table, d->schema);
}
