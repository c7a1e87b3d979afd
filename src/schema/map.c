/*
 * map.c - questions about a schema: does a pattern match, what is known of a class, is this object a decay at all.
 */
#include "base/text.h"
#include "schema/python_library.h"
#include "schema/schema.h"

#include <string.h>

bool h5ck_patterns_match(const h5ck_patterns *patterns, const char *text)
{
    for (size_t i = 0; i < patterns->count; i++)
        if (h5ck_text_glob(patterns->globs[i], text))
            return true;
    return false;
}

const h5ck_class *h5ck_schema_class(const h5ck_schema *s, const char *module, const char *class_name)
{
    for (size_t i = 0; i < s->class_count; i++)
        if (strcmp(s->classes[i].name, class_name) == 0 && strcmp(s->classes[i].module, module) == 0)
            return &s->classes[i];
    return NULL;
}

const h5ck_scheduler *h5ck_schema_scheduler(const h5ck_schema *s, const char *module, const char *class_name)
{
    for (size_t i = 0; i < s->scheduler_count; i++)
        if (strcmp(s->schedulers[i].name, class_name) == 0 && strcmp(s->schedulers[i].module, module) == 0)
            return &s->schedulers[i];
    return NULL;
}

const h5ck_field_spec *h5ck_class_field(const h5ck_class *c, const char *name)
{
    return c ? h5ck_field_named(c->fields, c->count, name) : NULL;
}

const h5ck_field_spec *h5ck_field_named(const h5ck_field_spec *fields, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(fields[i].name, name) == 0)
            return &fields[i];
    return NULL;
}

size_t h5ck_schema_fields(const h5ck_schema *s, const h5ckpt_object *object, const h5ck_field_spec **fields)
{
    const h5ck_class *c = h5ck_schema_class(s, object->module, object->class_name);
    const h5ck_scheduler *row = c ? NULL : h5ck_schema_scheduler(s, object->module, object->class_name);
    *fields = c ? c->fields : row ? row->fields : s->base;
    return c ? c->count : row ? row->count : s->base_count;
}

static bool is_decay_module(const h5ck_schema *s, const char *module)
{
    for (size_t i = 0; i < s->module_count; i++)
        if (strcmp(s->modules[i], module) == 0)
            return true;
    return false;
}

/* The first field of the base that the object lacks, or NULL. */
static const char *missing_base_field(const h5ck_schema *s, const h5ckpt_object *object)
{
    const h5ckpt_value v = {.type = H5CKPT_OBJECT, .as.object = object};
    for (size_t i = 0; i < s->base_count; i++)
        if (!h5ckpt_value_get(&v, s->base[i].name))
            return s->base[i].name;
    return NULL;
}

int h5ck_schema_check_object(void *schema, const h5ckpt_object *object, h5ckpt_error **err)
{
    const h5ck_schema *s = schema;
    if (!object->module || !h5ck_text_is_identifier(object->module, true))
        return h5ck_fail(err, H5CKPT_INVALID, "expected a Python module's dotted name, found '%s'",
                         object->module ? object->module : "");
    if (!object->class_name || !h5ck_text_is_identifier(object->class_name, false))
        return h5ck_fail(err, H5CKPT_INVALID, "expected a Python class's name, found '%s'",
                         object->class_name ? object->class_name : "");
    if (is_decay_module(s, object->module) || h5ck_schema_class(s, object->module, object->class_name) ||
        h5ck_schema_scheduler(s, object->module, object->class_name))
        return 0;
    if (h5ck_python_has(object->module))
        return h5ck_fail(err, H5CKPT_INVALID, "expected a learning-rate decay, found %s.%s of Python's own library",
                         object->module, object->class_name);
    const char *missing = missing_base_field(s, object);
    if (missing)
        return h5ck_fail(err, H5CKPT_INVALID, "expected a learning-rate decay, found %s.%s, which has no field '%s'",
                         object->module, object->class_name, missing);
    return 0;
}
