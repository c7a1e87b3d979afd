/*
 * pickle_build.c - a value out of the graph: sharing is undone, so it is here that a small pickle could become a large
 * value. Everything made is counted (values, and bytes of text and elements), a node that contains itself is noticed by
 * its OPEN flag, and the recursion ends at H5CK_VALUE_DEPTH.
 *
 * A str is UTF-8 without zero bytes. Python 2's `str` may be text or bytes: it is taken for text where it can be.
 */
#include "model/value.h"
#include "parse/pickle_graph.h"
#include "parse/pickle_text.h"

#include "base/text.h"

#include <string.h>

static int make(h5ck_pickle_build *b, uint32_t index, int depth, h5ckpt_value *value);

int h5ck_pickle_charge(h5ck_pickle_build *b, const h5ck_pickle_node *n, size_t bytes)
{
    size_t most = b->g->limits.bytes;
    if (bytes > most - b->bytes)
        return h5ck_fail_at(b->err, n->at, "expected at most %zu bytes of text and elements in a pickle, found more",
                            most);
    b->bytes += bytes;
    return 0;
}

typedef size_t decode_fn(const unsigned char *s, size_t n, unsigned char *out);

/* Gives `n` the bytes that `decode` makes of [data, data + len), in the value's arena. */
static int decode_into(h5ck_pickle_build *b, h5ck_pickle_node *n, const unsigned char *data, size_t len,
                       decode_fn *decode, h5ck_pickle_kind kind)
{
    size_t decoded = decode ? decode(data, len, NULL) : len;
    if (decoded == SIZE_MAX)
        return h5ck_fail_at(b->err, n->at, "expected text of latin1 characters for bytes, found others");
    int rc = h5ck_pickle_charge(b, n, decoded);
    if (rc)
        return rc;
    unsigned char *out = h5ck_arena_alloc(b->arena, decoded + 1);
    if (!out)
        return h5ck_fail_nomem(b->err);
    if (decode)
        decode(data, len, out);
    else if (len)
        memcpy(out, data, len);
    out[decoded] = 0;
    n->u.data = out;
    n->count = decoded;
    n->kind = (unsigned char)kind;
    n->flags |= H5CK_NODE_KEPT;
    return 0;
}

int h5ck_pickle_keep(h5ck_pickle_build *b, h5ck_pickle_node *n)
{
    if (n->flags & H5CK_NODE_KEPT) /* shared: whoever writes the value will write it again */
        return h5ck_pickle_charge(b, n, n->count);
    if (n->kind == H5CK_NODE_TEXT_RAW)
        return decode_into(b, n, n->u.data, n->count, h5ck_pickle_raw_escape, H5CK_NODE_TEXT);
    if (n->kind == H5CK_NODE_STR2_QUOTE)
        return decode_into(b, n, n->u.data, n->count, h5ck_pickle_unquote, H5CK_NODE_STR2);
    if (n->flags & H5CK_NODE_UNCHECKED && !h5ck_text_is_utf8_with_zeros((const char *)n->u.data, (size_t)n->count))
        return h5ck_fail_at(b->err, n->at, "expected UTF-8 (without surrogates) as text, found other bytes");
    if (n->kind != H5CK_NODE_ENCODE)
        return decode_into(b, n, n->u.data, n->count, NULL, (h5ck_pickle_kind)n->kind);
    h5ck_pickle_node *text = h5ck_pickle_at(b->g, n->u.ref.a);
    if (text->kind == H5CK_NODE_TEXT_RAW) {
        int rc = h5ck_pickle_keep(b, text);
        if (rc)
            return rc;
    }
    return decode_into(b, n, text->u.data, text->count, h5ck_pickle_latin1, H5CK_NODE_BYTES);
}

/* CPython writes a str once for each object: most equal ones are one object (names are interned), but not all. Notes
 * where one is not the object that an equal one before it was. */
static int tell_apart(h5ck_pickle_build *b, const h5ck_pickle_node *n, h5ckpt_value *value)
{
    const char *text = (const char *)n->u.data;
    if (memchr(text, 0, n->count))
        return 0;
    const h5ck_pickle_node **latest = h5ck_dict_get(&b->texts, text);
    if (!latest) {
        latest = h5ck_arena_memdup(&b->g->arena, &n, sizeof n);
        return latest && h5ck_dict_add(&b->texts, text, latest) != H5CK_DICT_NOMEM ? 0 : h5ck_fail_nomem(b->err);
    }
    value->distinct = *latest != n;
    *latest = n;
    return 0;
}

static int make_string(h5ck_pickle_build *b, h5ck_pickle_node *n, h5ckpt_value *value)
{
    int rc = h5ck_pickle_keep(b, n);
    if (rc)
        return rc;
    bool text = n->kind == H5CK_NODE_TEXT || /* the machine checked that it is UTF-8 */
                (n->kind == H5CK_NODE_STR2 && h5ck_text_is_utf8((const char *)n->u.data, n->count));
    *value = (h5ckpt_value){.type = text                          ? H5CKPT_STR
                                    : n->kind == H5CK_NODE_BIGINT ? H5CKPT_BIGINT
                                                                  : H5CKPT_BYTES,
                            .count = n->count,
                            .as.bytes = n->u.data};
    value->python2 = n->kind == H5CK_NODE_STR2;
    return n->kind == H5CK_NODE_TEXT && !b->g->python2 ? tell_apart(b, n, value) : 0;
}

static int too_many(const h5ck_pickle_build *b, uint64_t at)
{
    return h5ck_fail_at(b->err, at, "expected at most %zu values in a pickle, found more", b->g->limits.values);
}

static int make_items(h5ck_pickle_build *b, const h5ck_pickle_node *n, int depth, h5ckpt_value *value)
{
    /* Counted before they are made, so that no memory is taken for what is refused. */
    if (n->count > b->g->limits.values - b->values)
        return too_many(b, n->at);
    h5ckpt_value *items = h5ck_arena_alloc(b->arena, n->count * sizeof *items);
    int rc = items ? 0 : h5ck_fail_nomem(b->err);
    for (uint32_t i = 0; rc == 0 && i < n->count; i++)
        rc = make(b, n->u.items[i], depth + 1, &items[i]);
    *value = (h5ckpt_value){
        .type = n->kind == H5CK_NODE_LIST ? H5CKPT_LIST : H5CKPT_TUPLE, .count = n->count, .as.items = items};
    return rc;
}

static bool is_hashable(const h5ckpt_value *key)
{
    if (key->type == H5CKPT_LIST || key->type == H5CKPT_DICT || key->type == H5CKPT_OBJECT)
        return false;
    if (key->type == H5CKPT_ARRAY)
        return key->as.array->scalar;
    for (size_t i = 0; key->type == H5CKPT_TUPLE && i < key->count; i++)
        if (!is_hashable(&key->as.items[i]))
            return false;
    return true;
}

static bool is_field_name(const h5ckpt_value *key)
{
    return key->type == H5CKPT_STR && !memchr(key->as.str, 0, key->count);
}

static int make_fields(h5ck_pickle_build *b, const h5ck_pickle_node *n, int depth, bool string_keys,
                       const h5ckpt_field **result, size_t *result_count)
{
    size_t count = n->count / 2;
    if (n->count > b->g->limits.values - b->values)
        return too_many(b, n->at);
    h5ckpt_field *fields = h5ck_arena_alloc(b->arena, count * sizeof *fields);
    if (!fields)
        return h5ck_fail_nomem(b->err);
    for (size_t i = 0; i < count; i++) {
        const h5ck_pickle_node *key = h5ck_pickle_at(b->g, n->u.items[2 * i]);
        int rc = make(b, n->u.items[2 * i], depth + 1, &fields[i].key);
        if (rc)
            return rc;
        if (string_keys ? !is_field_name(&fields[i].key) : !is_hashable(&fields[i].key))
            return h5ck_fail_at(b->err, h5ck_pickle_offset(b, key), "expected %s as a key, found %s",
                                string_keys ? "the name of a field" : "a hashable value",
                                h5ck_value_type_name(&fields[i].key));
        rc = make(b, n->u.items[2 * i + 1], depth + 1, &fields[i].value);
        if (rc)
            return rc;
    }
    *result = fields;
    *result_count = count;
    return h5ck_pickle_unique(fields, result_count, b->err);
}

/* Asks the policy; its reason gets the offset of the class's name. */
static int ask(h5ck_pickle_build *b, const h5ck_pickle_node *class_, const h5ckpt_object *object)
{
    char name[240];
    if (!b->policy || !b->policy->check_object)
        return h5ck_fail_at(b->err, class_->at, "expected plain data, found an object of the class %s",
                            h5ck_pickle_global_name(b->g, class_, name, sizeof name));
    h5ckpt_error *why = NULL;
    int rc = b->policy->check_object(b->policy->user, object, b->err ? &why : NULL);
    if (rc == H5CKPT_INVALID)
        h5ck_fail_at(b->err, class_->at, "%s: %s", h5ck_pickle_global_name(b->g, class_, name, sizeof name),
                     why ? why->message : "not allowed");
    else if (rc)
        h5ck_fail(b->err, rc, "%s", why ? why->message : "an object could not be checked");
    h5ckpt_error_free(why);
    return rc;
}

/* An object of this class, without fields. */
static int new_object(h5ck_pickle_build *b, const h5ck_pickle_node *class_, h5ckpt_object **made)
{
    const h5ck_pickle_node *module = h5ck_pickle_at(b->g, class_->u.ref.a);
    const h5ck_pickle_node *name = h5ck_pickle_at(b->g, class_->u.ref.b);
    int rc = h5ck_pickle_charge(b, class_, (size_t)module->count + (size_t)name->count);
    if (rc)
        return rc;
    h5ckpt_object *object = h5ck_arena_zalloc(b->arena, 1, sizeof *object);
    if (object) {
        object->module = h5ck_arena_strndup(b->arena, (const char *)module->u.data, module->count);
        object->class_name = h5ck_arena_strndup(b->arena, (const char *)name->u.data, name->count);
        object->fields = h5ck_arena_alloc(b->arena, 0);
    }
    *made = object;
    return object && object->module && object->class_name && object->fields ? 0 : h5ck_fail_nomem(b->err);
}

/* What stands for a call, or for a persistent id: see pickle.h. */
static int make_call(h5ck_pickle_build *b, const h5ck_pickle_node *n, int depth, h5ckpt_value *value)
{
    static const char *const names[H5CK_CALL_PARTS] = {NULL, "args", "state", "items", "list"};
    h5ckpt_object *object;
    h5ckpt_field *fields = h5ck_arena_zalloc(b->arena, H5CK_CALL_PARTS, sizeof *fields);
    int rc = new_object(b, h5ck_pickle_at(b->g, n->u.items[H5CK_CALL_CLASS]), &object);
    if (rc || !fields)
        return rc ? rc : h5ck_fail_nomem(b->err);
    for (size_t i = H5CK_CALL_ARGS; rc == 0 && i < H5CK_CALL_PARTS; i++) {
        uint32_t part = n->u.items[i];
        if (i != H5CK_CALL_ARGS && part-- == 0)
            continue;
        h5ckpt_field *field = &fields[object->count++];
        field->key = h5ck_value_str(i == H5CK_CALL_ARGS && (n->flags & H5CK_NODE_NEW) ? "new" : names[i]);
        rc = make(b, part, depth + 1, &field->value);
    }
    object->fields = fields;
    *value = (h5ckpt_value){.type = H5CKPT_OBJECT, .as.object = object};
    return rc;
}

static int make_persistent_id(h5ck_pickle_build *b, const h5ck_pickle_node *n, int depth, h5ckpt_value *value)
{
    h5ckpt_object *object = h5ck_arena_zalloc(b->arena, 1, sizeof *object);
    h5ckpt_field *id = h5ck_arena_zalloc(b->arena, 1, sizeof *id);
    if (!object || !id)
        return h5ck_fail_nomem(b->err);
    id->key = h5ck_value_str("id");
    *object = (h5ckpt_object){.module = "", .class_name = H5CK_PICKLE_PERSISTENT, .count = 1, .fields = id};
    *value = (h5ckpt_value){.type = H5CKPT_OBJECT, .as.object = object};
    return make(b, n->u.ref.a, depth + 1, &id->value);
}

static int make_instance(h5ck_pickle_build *b, const h5ck_pickle_node *n, int depth, h5ckpt_value *value)
{
    h5ck_pickle_node *class_ = h5ck_pickle_at(b->g, n->u.ref.a);
    h5ckpt_object *object;
    int rc = new_object(b, class_, &object);
    if (rc)
        return rc;
    if (n->count) {
        h5ck_pickle_node *state = h5ck_pickle_at(b->g, (uint32_t)(n->count - 1));
        if (state->flags & H5CK_NODE_OPEN)
            return h5ck_fail_at(b->err, state->at, "expected plain data, found a dict that contains itself");
        state->flags |= H5CK_NODE_OPEN;
        rc = make_fields(b, state, depth, true, &object->fields, &object->count);
        state->flags &= (unsigned short)~H5CK_NODE_OPEN;
    }
    if (rc == 0)
        rc = ask(b, class_, object);
    if (rc)
        return rc;
    class_->flags |= H5CK_NODE_ALLOWED;
    *value = (h5ckpt_value){.type = H5CKPT_OBJECT, .as.object = object};
    return 0;
}

/* Of a node that has others in it. */
static int make_container(h5ck_pickle_build *b, h5ck_pickle_node *n, int depth, h5ckpt_value *value)
{
    if (n->flags & H5CK_NODE_OPEN)
        return h5ck_fail_at(b->err, n->at, "expected plain data, found %s that contains itself",
                            h5ck_pickle_kind_name(n));
    int rc;
    n->flags |= H5CK_NODE_OPEN;
    if (n->kind == H5CK_NODE_DICT) {
        *value = (h5ckpt_value){.type = H5CKPT_DICT};
        rc = make_fields(b, n, depth, false, &value->as.fields, &value->count);
    } else if (n->kind == H5CK_NODE_INSTANCE) {
        rc = make_instance(b, n, depth, value);
    } else if (n->kind == H5CK_NODE_CALL) {
        rc = make_call(b, n, depth, value);
    } else if (n->kind == H5CK_NODE_PERSID) {
        rc = make_persistent_id(b, n, depth, value);
    } else {
        rc = make_items(b, n, depth, value);
    }
    n->flags &= (unsigned short)~H5CK_NODE_OPEN;
    return rc;
}

static int make(h5ck_pickle_build *b, uint32_t index, int depth, h5ckpt_value *value)
{
    h5ck_pickle_node *n = h5ck_pickle_at(b->g, index);
    char name[240];
    b->at = h5ck_pickle_offset(b, n);
    if (depth > H5CK_VALUE_DEPTH)
        return h5ck_fail_at(b->err, b->at, "expected values nested at most %d deep, found deeper ones",
                            (int)H5CK_VALUE_DEPTH);
    if (b->values >= b->g->limits.values)
        return too_many(b, b->at);
    b->values++;
    switch ((h5ck_pickle_kind)n->kind) {
    case H5CK_NODE_NONE:
        *value = (h5ckpt_value){.type = H5CKPT_NONE};
        return 0;
    case H5CK_NODE_BOOL:
        *value = (h5ckpt_value){.type = H5CKPT_BOOL, .as.i = n->u.i};
        return 0;
    case H5CK_NODE_INT:
        *value = (h5ckpt_value){.type = H5CKPT_INT, .as.i = n->u.i};
        value->python2 = b->g->python2 && (n->flags & H5CK_NODE_LONG);
        return 0;
    case H5CK_NODE_FLOAT:
        *value = (h5ckpt_value){.type = H5CKPT_FLOAT, .as.f = n->u.f};
        return 0;
    case H5CK_NODE_BIGINT:
    case H5CK_NODE_TEXT:
    case H5CK_NODE_TEXT_RAW:
    case H5CK_NODE_STR2:
    case H5CK_NODE_STR2_QUOTE:
    case H5CK_NODE_BYTES:
    case H5CK_NODE_ENCODE: {
        int rc = make_string(b, n, value);
        if (n->kind == H5CK_NODE_BIGINT)
            value->python2 = b->g->python2;
        return rc;
    }
    case H5CK_NODE_TUPLE:
    case H5CK_NODE_LIST:
    case H5CK_NODE_DICT:
    case H5CK_NODE_INSTANCE:
    case H5CK_NODE_CALL:
    case H5CK_NODE_PERSID:
        return make_container(b, n, depth, value);
    case H5CK_NODE_SCALAR:
        return h5ck_pickle_make_scalar(b, n, value);
    case H5CK_NODE_ARRAY:
        return h5ck_pickle_make_array(b, n, value);
    case H5CK_NODE_DTYPE:
        return h5ck_fail_at(b->err, n->at, "expected plain data, found a NumPy dtype");
    case H5CK_NODE_BYTEARRAY:
        return h5ck_fail_at(b->err, n->at, "expected plain data, found BYTEARRAY8: a bytearray");
    case H5CK_NODE_GLOBAL:
        if (n->count == H5CK_CALL_DATA) {
            h5ckpt_object *global;
            int rc = new_object(b, n, &global);
            *value = (h5ckpt_value){.type = H5CKPT_OBJECT, .as.object = global};
            return rc;
        }
        return h5ck_fail_at(b->err, n->at, "expected plain data, found the global %s",
                            h5ck_pickle_global_name(b->g, n, name, sizeof name));
    }
    return h5ck_fail_at(b->err, n->at, "expected plain data");
}

/* Python imports every global that a pickle names, also one that the value does not use in the end. None of those may
 * be there but the understood ones and the classes that the policy allowed. */
static int check_globals(h5ck_pickle_build *b)
{
    char name[240];
    for (uint32_t i = 0; i < b->g->count; i++) {
        const h5ck_pickle_node *n = h5ck_pickle_at(b->g, i);
        if (n->kind == H5CK_NODE_GLOBAL && n->count == H5CK_CALL_NONE && !(n->flags & H5CK_NODE_ALLOWED))
            return h5ck_fail_at(b->err, n->at, "expected plain data, found the global %s that no object uses",
                                h5ck_pickle_global_name(b->g, n, name, sizeof name));
    }
    return 0;
}

int h5ck_pickle_make(h5ck_pickle_build *b, uint32_t root, h5ckpt_value *value)
{
    int rc = make(b, root, 0, value);
    h5ck_dict_free(&b->texts);
    return rc ? rc : check_globals(b);
}
