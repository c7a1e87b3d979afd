/*
 * keys.c - the table of the schema's language. What a value must be on its own is said here, by its kind and its form;
 * what needs two values to be wrong is check.c's.
 */
#include "schema/keys.h"

#include "base/text.h"
#include "schema/schema.h"

#include <string.h>

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

static bool part_or_root(const char *t)
{
    return !*t || part(t);
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

static const h5ck_form form_any = {any, "a text"}, form_name = {not_empty, "a text that is not empty"},
                       form_line = {one_line, "one line of text"},
                       form_part = {part, "a name (without '/', and not '.' or '..')"},
                       form_group = {part_or_root, "a name (without '/', and not '.' or '..'), or \"\" for the root"},
                       form_separator = {separator, "a separator of at most 16 bytes"},
                       form_class = {identifier, "a Python class's name"},
                       form_module = {dotted, "a Python module's dotted name"};

/* ---- The tables ---- */

#define IN(type, member) offsetof(type, member), #member
#define NOWHERE          0, NULL
#define OF(type)         sizeof(type), #type
#define COUNT(keys)      (sizeof(keys) / sizeof *(keys))

static const h5ck_key field_keys[] = {
    {"name", H5CK_KEY_TEXT, true, IN(h5ck_field_spec, name), NOWHERE, &form_part, NULL},
    {"type", H5CK_KEY_TYPE, true, IN(h5ck_field_spec, type), NOWHERE, NULL, NULL},
    {"unit", H5CK_KEY_TEXT, false, IN(h5ck_field_spec, unit), NOWHERE, &form_line, NULL},
    {"doc", H5CK_KEY_TEXT, false, IN(h5ck_field_spec, doc), NOWHERE, &form_line, NULL},
    {"parameter", H5CK_KEY_TEXT, false, IN(h5ck_field_spec, parameter), NOWHERE, &form_name, NULL},
    {"means", H5CK_KEY_MEANS, false, IN(h5ck_field_spec, means), NOWHERE, NULL, NULL},
    {"optional", H5CK_KEY_FLAG, false, IN(h5ck_field_spec, optional), NOWHERE, NULL, NULL},
    {"read_only", H5CK_KEY_FLAG, false, IN(h5ck_field_spec, read_only), NOWHERE, NULL, NULL},
    {"default", H5CK_KEY_NUMBER, false, IN(h5ck_field_spec, default_number), IN(h5ck_field_spec, has_default), NULL,
     NULL},
};
static const h5ck_keys field_table = {"a field", field_keys, COUNT(field_keys), OF(h5ck_field_spec), 256};

static const h5ck_key class_keys[] = {
    {"class", H5CK_KEY_TEXT, true, IN(h5ck_class, name), NOWHERE, &form_class, NULL},
    {"module", H5CK_KEY_TEXT, false, IN(h5ck_class, module), NOWHERE, &form_module, NULL},
    {"doc", H5CK_KEY_TEXT, false, IN(h5ck_class, doc), NOWHERE, &form_line, NULL},
    {"formula", H5CK_KEY_TEXT, false, IN(h5ck_class, formula), NOWHERE, &form_name, NULL},
    {"fields", H5CK_KEY_LIST, false, IN(h5ck_class, fields), IN(h5ck_class, count), NULL, &field_table},
};
static const h5ck_keys class_table = {"a class", class_keys, COUNT(class_keys), OF(h5ck_class), 2048};

static const h5ck_key scheduler_keys[] = {
    {"framework", H5CK_KEY_TEXT, true, IN(h5ck_scheduler, framework), NOWHERE, &form_name, NULL},
    {"class", H5CK_KEY_TEXT, true, IN(h5ck_scheduler, name), NOWHERE, &form_class, NULL},
    {"module", H5CK_KEY_TEXT, true, IN(h5ck_scheduler, module), NOWHERE, &form_module, NULL},
    {"doc", H5CK_KEY_TEXT, false, IN(h5ck_scheduler, doc), NOWHERE, &form_line, NULL},
    {"fields", H5CK_KEY_LIST, true, IN(h5ck_scheduler, fields), IN(h5ck_scheduler, count), NULL, &field_table},
};
static const h5ck_keys scheduler_table = {"a scheduler", scheduler_keys, COUNT(scheduler_keys), OF(h5ck_scheduler), 64};

static const h5ck_key rule_keys[] = {
    {"match", H5CK_KEY_TEXT, true, IN(h5ck_rule, match), NOWHERE, &form_name, NULL},
    {"rank", H5CK_KEY_WHOLE, false, IN(h5ck_rule, rank), IN(h5ck_rule, has_rank), NULL, NULL},
    {"dtype", H5CK_KEY_DTYPE, false, IN(h5ck_rule, dtype), NOWHERE, NULL, NULL},
    {"beside", H5CK_KEY_TEXT, false, IN(h5ck_rule, beside), NOWHERE, &form_name, NULL},
    {"rename", H5CK_KEY_TEXT, false, IN(h5ck_rule, rename), NOWHERE, &form_any, NULL},
    {"drop", H5CK_KEY_FLAG, false, IN(h5ck_rule, drop), NOWHERE, NULL, NULL},
    {"copy", H5CK_KEY_TEXT, false, IN(h5ck_rule, copy), NOWHERE, &form_name, NULL},
    {"zero", H5CK_KEY_TEXT, false, IN(h5ck_rule, zero), NOWHERE, &form_name, NULL},
    {"transpose", H5CK_KEY_AXES, false, IN(h5ck_rule, transpose), NOWHERE, NULL, NULL},
    {"cast", H5CK_KEY_DTYPE, false, IN(h5ck_rule, cast), NOWHERE, NULL, NULL},
    {"split", H5CK_KEY_TEXTS, false, IN(h5ck_rule, split), IN(h5ck_rule, split_count), &form_name, NULL},
    {"sizes", H5CK_KEY_WHOLES, false, IN(h5ck_rule, sizes), IN(h5ck_rule, size_count), NULL, NULL},
    {"merge", H5CK_KEY_TEXTS, false, IN(h5ck_rule, merge), IN(h5ck_rule, merge_count), &form_name, NULL},
    {"axis", H5CK_KEY_WHOLE, false, IN(h5ck_rule, axis), IN(h5ck_rule, has_axis), NULL, NULL},
    {"stack", H5CK_KEY_FLAG, false, IN(h5ck_rule, stack), NOWHERE, NULL, NULL},
    {"reason", H5CK_KEY_TEXT, false, IN(h5ck_rule, reason), NOWHERE, &form_line, NULL},
};
_Static_assert(COUNT(rule_keys) <= H5CK_KEYS_MOST, "a rule is the longest table");
static const h5ck_keys rule_table = {"a rule", rule_keys, COUNT(rule_keys), OF(h5ck_rule), 1024};

static const h5ck_key directory_keys[] = {
    {"decays", H5CK_KEY_TEXT, true, IN(h5ck_schema, dir_decays), NOWHERE, &form_part, NULL},
    {"separator", H5CK_KEY_TEXT, true, IN(h5ck_schema, dir_separator), NOWHERE, &form_separator, NULL},
    {"ignore", H5CK_KEY_TEXTS, false, IN(h5ck_schema, dir_ignore.globs), IN(h5ck_schema, dir_ignore.count), &form_name,
     NULL},
    {"skip", H5CK_KEY_TEXTS, false, IN(h5ck_schema, dir_skip.globs), IN(h5ck_schema, dir_skip.count), &form_name, NULL},
};
static const h5ck_keys directory_table = {"save_directory", directory_keys, COUNT(directory_keys), NOWHERE, 0};

static const h5ck_key group_keys[] = {
    {"parameters", H5CK_KEY_TEXT, true, IN(h5ck_schema, h5_parameters), NOWHERE, &form_group, NULL},
    {"optimizers", H5CK_KEY_TEXT, true, IN(h5ck_schema, h5_optimizers), NOWHERE, &form_part, NULL},
    {"optimizer_state", H5CK_KEY_TEXT, true, IN(h5ck_schema, h5_optimizer_state), NOWHERE, &form_part, NULL},
};
static const h5ck_keys group_table = {"groups", group_keys, COUNT(group_keys), NOWHERE, 0};

static const h5ck_key attribute_keys[] = {
    {"version", H5CK_KEY_TEXT, true, IN(h5ck_schema, at_version), NOWHERE, &form_part, NULL},
    {"schema", H5CK_KEY_TEXT, true, IN(h5ck_schema, at_schema), NOWHERE, &form_part, NULL},
    {"class", H5CK_KEY_TEXT, true, IN(h5ck_schema, at_class), NOWHERE, &form_part, NULL},
    {"module", H5CK_KEY_TEXT, true, IN(h5ck_schema, at_module), NOWHERE, &form_part, NULL},
    {"python", H5CK_KEY_TEXT, true, IN(h5ck_schema, at_python), NOWHERE, &form_part, NULL},
    {"fields", H5CK_KEY_TEXT, true, IN(h5ck_schema, at_fields), NOWHERE, &form_part, NULL},
    {"type_suffix", H5CK_KEY_TEXT, true, IN(h5ck_schema, at_type_suffix), NOWHERE, &form_part, NULL},
    {"name", H5CK_KEY_TEXT, true, IN(h5ck_schema, at_name), NOWHERE, &form_part, NULL},
    {"order", H5CK_KEY_TEXT, true, IN(h5ck_schema, at_order), NOWHERE, &form_part, NULL},
    {"lod", H5CK_KEY_TEXT, true, IN(h5ck_schema, at_lod), NOWHERE, &form_part, NULL},
    {"digest", H5CK_KEY_TEXT, true, IN(h5ck_schema, at_digest), NOWHERE, &form_part, NULL},
    {"source_size", H5CK_KEY_TEXT, true, IN(h5ck_schema, at_source_size), NOWHERE, &form_part, NULL},
    {"source_mtime", H5CK_KEY_TEXT, true, IN(h5ck_schema, at_source_mtime), NOWHERE, &form_part, NULL},
};
static const h5ck_keys attribute_table = {"attributes", attribute_keys, COUNT(attribute_keys), NOWHERE, 0};

static const h5ck_key list_keys[] = {
    {"groups", H5CK_KEY_TEXT, false, IN(h5ck_schema, list_groups), NOWHERE, &form_part, NULL},
    {"parameters", H5CK_KEY_TEXT, false, IN(h5ck_schema, list_parameters), NOWHERE, &form_part, NULL},
    {"optimizer_state", H5CK_KEY_TEXT, false, IN(h5ck_schema, list_state), NOWHERE, &form_part, NULL},
    {"apart", H5CK_KEY_TEXTS, false, IN(h5ck_schema, list_apart), IN(h5ck_schema, list_apart_count), &form_part, NULL},
};
static const h5ck_keys list_table = {"lists", list_keys, COUNT(list_keys), NOWHERE, 0};

static const h5ck_key group_attribute_keys[] = {
    {"group", H5CK_KEY_TEXT, true, IN(h5ck_group_attribute, group), NOWHERE, &form_any, NULL},
    {"name", H5CK_KEY_TEXT, true, IN(h5ck_group_attribute, name), NOWHERE, &form_part, NULL},
    {"text", H5CK_KEY_TEXT, true, IN(h5ck_group_attribute, text), NOWHERE, &form_any, NULL},
};
static const h5ck_keys group_attribute_table = {"an attribute of a group", group_attribute_keys,
                                                COUNT(group_attribute_keys), OF(h5ck_group_attribute), 256};

static const h5ck_key hdf5_keys[] = {
    {"separator", H5CK_KEY_TEXT, true, IN(h5ck_schema, h5_separator), NOWHERE, &form_separator, NULL},
    {"groups", H5CK_KEY_MAP, true, NOWHERE, NOWHERE, NULL, &group_table},
    {"attributes", H5CK_KEY_MAP, true, NOWHERE, NOWHERE, NULL, &attribute_table},
    {"foreign", H5CK_KEY_FLAG, false, IN(h5ck_schema, h5_foreign), NOWHERE, NULL, NULL},
    {"lists", H5CK_KEY_MAP, false, NOWHERE, NOWHERE, NULL, &list_table},
    {"group_attributes", H5CK_KEY_LIST, false, IN(h5ck_schema, attributes), IN(h5ck_schema, attribute_count), NULL,
     &group_attribute_table},
};
static const h5ck_keys hdf5_table = {"hdf5", hdf5_keys, COUNT(hdf5_keys), NOWHERE, 0};

static const h5ck_key decays_keys[] = {
    {"modules", H5CK_KEY_TEXTS, true, IN(h5ck_schema, modules), IN(h5ck_schema, module_count), &form_module, NULL},
    {"base", H5CK_KEY_LIST, true, IN(h5ck_schema, base), IN(h5ck_schema, base_count), NULL, &field_table},
    {"classes", H5CK_KEY_LIST, false, IN(h5ck_schema, classes), IN(h5ck_schema, class_count), NULL, &class_table},
};
static const h5ck_keys decays_table = {"decays", decays_keys, COUNT(decays_keys), NOWHERE, 0};

static const h5ck_key schema_keys[] = {
    {"schema", H5CK_KEY_TEXT, true, IN(h5ck_schema, name), NOWHERE, &form_part, NULL},
    {"extends", H5CK_KEY_TEXT, false, IN(h5ck_schema, extends), NOWHERE, &form_name, NULL},
    {"doc", H5CK_KEY_TEXT, false, IN(h5ck_schema, doc), NOWHERE, &form_line, NULL},
    {"save_directory", H5CK_KEY_MAP, true, NOWHERE, NOWHERE, NULL, &directory_table},
    {"hdf5", H5CK_KEY_MAP, true, NOWHERE, NOWHERE, NULL, &hdf5_table},
    {"decays", H5CK_KEY_MAP, true, NOWHERE, NOWHERE, NULL, &decays_table},
    {"schedulers", H5CK_KEY_LIST, false, IN(h5ck_schema, schedulers), IN(h5ck_schema, scheduler_count), NULL,
     &scheduler_table},
    {"rules", H5CK_KEY_LIST, false, IN(h5ck_schema, rules), IN(h5ck_schema, rule_count), NULL, &rule_table},
};
_Static_assert(COUNT(attribute_keys) <= H5CK_KEYS_MOST, "attributes is the longest mapping");
const h5ck_keys h5ck_schema_keys = {"the schema", schema_keys, COUNT(schema_keys), NOWHERE, 0};

static const h5ck_key names_keys[] = {
    {"names", H5CK_KEY_TEXT, true, IN(h5ck_schema, name), NOWHERE, &form_part, NULL},
    {"extends", H5CK_KEY_TEXT, false, IN(h5ck_schema, extends), NOWHERE, &form_name, NULL},
    {"doc", H5CK_KEY_TEXT, false, IN(h5ck_schema, doc), NOWHERE, &form_line, NULL},
    {"rules", H5CK_KEY_LIST, true, IN(h5ck_schema, rules), IN(h5ck_schema, rule_count), NULL, &rule_table},
};
const h5ck_keys h5ck_names_keys = {"the name rules", names_keys, COUNT(names_keys), NOWHERE, 0};

const void *h5ck_key_pointer(const h5ck_key *k, const void *from)
{
    const void *pointer;
    memcpy(&pointer, (const char *)from + k->offset, sizeof pointer);
    return pointer;
}
