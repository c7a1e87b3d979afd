/*
 * carrier.c - a whole state in a flat list of tensors and a few strings; the header says how.
 *
 * Read strictly: a string of ours that is not what we write is refused, and so is an object in it that is no decay (a
 * decay read here may be written into a pickle next, which must not name what the schema does not allow). One thing is only
 * noted: names that the list does not have, for other programs drop tensors and keep the strings.
 */
#include "format/carrier.h"

#include "base/buf.h"
#include "parse/value_json.h"
#include "schema/schema.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PREFIX          "h5ckpt."
#define OPTIMIZER_STATE PREFIX "optimizer_state"
#define NAMES           PREFIX "names"
#define LOD             PREFIX "lod"
#define METADATA        PREFIX "metadata."

/* ---- Writing: names ---- */

typedef struct writer {
    const h5ckpt_state *state;
    const h5ck_carrier_rules *rules;
    h5ck_arena *arena;
    h5ck_carrier_tensor *tensors;
    h5ck_carrier_string *strings;
    size_t tensor_count, string_count;
    h5ck_dict taken; /* names of the list */
    size_t next;     /* number of the next name of our own making */
} writer;

static bool fits(const writer *w, const char *name)
{
    return !(w->rules->reserved && strcmp(name, w->rules->reserved) == 0) &&
           !(w->rules->longest && strlen(name) > w->rules->longest);
}

/* All parameters that can keep their names get them first, so that nothing of our own making ever takes one. */
static int take_own_names(writer *w, const h5ckpt_tensors *dict, size_t first, h5ckpt_error **err)
{
    for (size_t i = 0; i < dict->dict.count; i++) {
        h5ck_carrier_tensor *t = &w->tensors[first + i];
        *t = (h5ck_carrier_tensor){.tensor = dict->dict.entries[i].value};
        if (!fits(w, t->tensor->info.name))
            continue;
        h5ck_dict_result added = h5ck_dict_add(&w->taken, t->tensor->info.name, t);
        if (added == H5CK_DICT_NOMEM)
            return h5ck_fail_nomem(err);
        if (added == H5CK_DICT_ADDED)
            t->name = t->tensor->info.name;
    }
    return 0;
}

static int take_other_names(writer *w, h5ckpt_error **err)
{
    for (size_t i = 0; i < w->tensor_count; i++) {
        h5ck_carrier_tensor *t = &w->tensors[i];
        char name[40];
        while (!t->name) {
            snprintf(name, sizeof name, PREFIX "%zu", w->next++);
            if (h5ck_dict_get(&w->taken, name))
                continue;
            t->name = h5ck_arena_strdup(w->arena, name);
            if (!t->name || h5ck_dict_add(&w->taken, t->name, t) != H5CK_DICT_ADDED)
                return h5ck_fail_nomem(err);
        }
    }
    return 0;
}

/* ---- Writing: strings ---- */

static void add_string(writer *w, const char *key, const char *text)
{
    w->strings[w->string_count++] = (h5ck_carrier_string){key, text};
}

static int add_json(writer *w, const char *key, const h5ckpt_value *v, h5ckpt_error **err)
{
    h5ck_buf text = H5CK_BUF_INIT;
    int rc = h5ck_value_to_json(v, &text, err);
    const char *own = rc == 0 ? h5ck_arena_strndup(w->arena, (const char *)text.data, text.len) : NULL;
    h5ck_buf_free(&text);
    if (rc)
        return rc;
    if (!own)
        return h5ck_fail_nomem(err);
    add_string(w, key, own);
    return 0;
}

static int add_metadata(writer *w, h5ckpt_error **err)
{
    const h5ckpt_value *m = &w->state->metadata;
    for (size_t i = 0; i < m->count; i++) {
        const char *key = m->as.fields[i].key.as.str;
        if (strncmp(key, PREFIX, strlen(PREFIX)) == 0) {
            size_t n = strlen(key);
            char *escaped = h5ck_arena_alloc(w->arena, sizeof METADATA + n);
            if (!escaped)
                return h5ck_fail_nomem(err);
            memcpy(escaped, METADATA, strlen(METADATA));
            memcpy(escaped + strlen(METADATA), key, n + 1);
            key = escaped;
        }
        add_string(w, key, m->as.fields[i].value.as.str);
    }
    return 0;
}

static int add_optimizer_state(writer *w, h5ckpt_error **err)
{
    size_t first = w->state->parameters.dict.count, count = w->tensor_count - first;
    h5ckpt_value *names = h5ck_arena_zalloc(w->arena, count, sizeof *names);
    if (!names)
        return h5ck_fail_nomem(err);
    for (size_t i = 0; i < count; i++)
        names[i] = h5ck_value_str(w->tensors[first + i].name);
    const h5ckpt_value list = {.type = H5CKPT_LIST, .count = count, .as.items = names};
    return count ? add_json(w, OPTIMIZER_STATE, &list, err) : 0;
}

static int add_names(writer *w, h5ckpt_error **err)
{
    h5ckpt_field *fields = h5ck_arena_zalloc(w->arena, w->next, sizeof *fields);
    size_t count = 0;
    if (!fields)
        return h5ck_fail_nomem(err);
    for (size_t i = 0; w->next && i < w->tensor_count; i++) {
        const h5ck_carrier_tensor *t = &w->tensors[i];
        if (t->name != t->tensor->info.name)
            fields[count++] = (h5ckpt_field){h5ck_value_str(t->name), h5ck_value_str(t->tensor->info.name)};
    }
    const h5ckpt_value dict = {.type = H5CKPT_DICT, .count = count, .as.fields = fields};
    return count ? add_json(w, NAMES, &dict, err) : 0;
}

/* [[0, 2, 6], ...] */
static int lod_value(writer *w, const h5ckpt_tensor_info *info, h5ckpt_value *v, h5ckpt_error **err)
{
    h5ckpt_value *levels = h5ck_arena_zalloc(w->arena, info->lod_levels, sizeof *levels);
    if (!levels)
        return h5ck_fail_nomem(err);
    for (size_t l = 0; l < info->lod_levels; l++) {
        h5ckpt_value *offsets = h5ck_arena_zalloc(w->arena, info->lod[l].count, sizeof *offsets);
        if (!offsets)
            return h5ck_fail_nomem(err);
        for (size_t i = 0; i < info->lod[l].count; i++) {
            if (info->lod[l].offsets[i] > INT64_MAX)
                return h5ck_fail(err, H5CKPT_INVALID,
                                 "expected level-of-detail offsets that an int64 holds, found %" PRIu64,
                                 info->lod[l].offsets[i]);
            offsets[i] = h5ck_value_int((int64_t)info->lod[l].offsets[i]);
        }
        levels[l] = (h5ckpt_value){.type = H5CKPT_LIST, .count = info->lod[l].count, .as.items = offsets};
    }
    *v = (h5ckpt_value){.type = H5CKPT_LIST, .count = info->lod_levels, .as.items = levels};
    return 0;
}

static int add_lod(writer *w, h5ckpt_error **err)
{
    size_t count = 0;
    for (size_t i = 0; i < w->tensor_count; i++)
        count += w->tensors[i].tensor->info.lod_levels > 0;
    h5ckpt_field *fields = h5ck_arena_zalloc(w->arena, count, sizeof *fields);
    if (!fields)
        return h5ck_fail_nomem(err);
    count = 0;
    for (size_t i = 0; i < w->tensor_count; i++) {
        const h5ck_carrier_tensor *t = &w->tensors[i];
        if (t->tensor->info.lod_levels == 0)
            continue;
        fields[count].key = h5ck_value_str(t->name);
        int rc = lod_value(w, &t->tensor->info, &fields[count++].value, err);
        if (rc)
            return h5ck_err_where(err, rc, NULL, t->tensor->info.name);
    }
    const h5ckpt_value dict = {.type = H5CKPT_DICT, .count = count, .as.fields = fields};
    return count ? add_json(w, LOD, &dict, err) : 0;
}

static int add_decays(writer *w, h5ckpt_error **err)
{
    const h5ck_dict *decays = &w->state->decays.dict;
    h5ckpt_field *fields = h5ck_arena_zalloc(w->arena, decays->count, sizeof *fields);
    if (!fields)
        return h5ck_fail_nomem(err);
    for (size_t i = 0; i < decays->count; i++) {
        const h5ckpt_decay *d = decays->entries[i].value;
        fields[i] = (h5ckpt_field){h5ck_value_str(d->info.name), *d->info.value};
    }
    const h5ckpt_value dict = {.type = H5CKPT_DICT, .count = decays->count, .as.fields = fields};
    return decays->count ? add_json(w, H5CK_CARRIER_DECAYS, &dict, err) : 0;
}

int h5ck_carrier_list_state(const h5ckpt_state *state, const h5ck_carrier_rules *rules, h5ck_arena *arena,
                            h5ck_carrier_list *list, h5ckpt_error **err)
{
    size_t parameters = state->parameters.dict.count;
    writer w = {.state = state, .rules = rules, .arena = arena};
    w.tensor_count = parameters + state->optimizer_state.dict.count;
    w.tensors = h5ck_arena_zalloc(arena, w.tensor_count, sizeof *w.tensors);
    w.strings = h5ck_arena_zalloc(arena, state->metadata.count + 4, sizeof *w.strings);
    int rc = w.tensors && w.strings ? 0 : h5ck_fail_nomem(err);
    if (rc == 0)
        rc = take_own_names(&w, &state->parameters, 0, err);
    if (rc == 0)
        rc = take_own_names(&w, &state->optimizer_state, parameters, err);
    if (rc == 0)
        rc = take_other_names(&w, err);
    h5ck_dict_free(&w.taken);
    if (rc == 0)
        rc = add_metadata(&w, err);
    if (rc == 0)
        rc = add_optimizer_state(&w, err);
    if (rc == 0)
        rc = add_names(&w, err);
    if (rc == 0)
        rc = add_lod(&w, err);
    if (rc == 0)
        rc = add_decays(&w, err);
    *list = (h5ck_carrier_list){w.tensor_count, w.string_count, w.tensors, w.strings};
    return rc;
}

void h5ck_carrier_note(const h5ckpt_state *state, const char *target, const h5ck_log *log)
{
    size_t tensors = state->optimizer_state.dict.count, decays = state->decays.dict.count;
    if (tensors)
        h5ck_log_note(
            log, "%s: %zu tensor%s of the optimizer state among the parameters, where only h5ckpt tells them apart",
            target, tensors, tensors == 1 ? "" : "s");
    if (decays)
        h5ck_log_note(
            log, "%s: %zu learning-rate decay%s in the metadata as '" H5CK_CARRIER_DECAYS "', where only h5ckpt looks",
            target, decays, decays == 1 ? "" : "s");
}

/* ---- Reading: what the strings say ---- */

typedef struct mark {
    const char *true_name; /* NULL: the one in the list */
    const h5ckpt_value *lod;
    bool optimizer, seen;
} mark;

void h5ck_carrier_begin(h5ck_carrier *c, h5ckpt_state *state, h5ck_file *file, const h5ck_log *log)
{
    *c = (h5ck_carrier){.state = state, .file = file, .log = log};
}

static int mark_of(h5ck_carrier *c, const h5ckpt_value *name, mark **m, h5ckpt_error **err)
{
    if (name->type != H5CKPT_STR || name->count == 0 || memchr(name->as.str, 0, name->count))
        return h5ck_fail(err, H5CKPT_INVALID, "expected the name of a tensor, found another value");
    if ((*m = h5ck_dict_get(&c->marks, name->as.str)))
        return 0;
    *m = h5ck_arena_zalloc(&c->scratch, 1, sizeof **m);
    if (!*m || h5ck_dict_add(&c->marks, name->as.str, *m) != H5CK_DICT_ADDED)
        return h5ck_fail_nomem(err);
    return 0;
}

static int expect_type(const h5ckpt_value *v, h5ckpt_value_type type, const char *what, h5ckpt_error **err)
{
    if (v->type == type)
        return 0;
    return h5ck_fail(err, H5CKPT_INVALID, "expected %s, found %s", what, h5ck_value_type_name(v));
}

static int learn_optimizer_state(h5ck_carrier *c, const h5ckpt_value *v, h5ckpt_error **err)
{
    int rc = expect_type(v, H5CKPT_LIST, "a list of names", err);
    for (size_t i = 0; rc == 0 && i < v->count; i++) {
        mark *m;
        if ((rc = mark_of(c, &v->as.items[i], &m, err)) == 0)
            m->optimizer = true;
    }
    return rc;
}

static int learn_names(h5ck_carrier *c, const h5ckpt_value *v, h5ckpt_error **err)
{
    int rc = expect_type(v, H5CKPT_DICT, "a dict of names", err);
    for (size_t i = 0; rc == 0 && i < v->count; i++) {
        const h5ckpt_value *to = &v->as.fields[i].value;
        mark *m;
        rc = mark_of(c, &v->as.fields[i].key, &m, err);
        if (rc == 0)
            rc = expect_type(to, H5CKPT_STR, "the true name of a tensor", err);
        if (rc == 0 && memchr(to->as.str, 0, to->count))
            rc = h5ck_fail(err, H5CKPT_INVALID, "expected a true name without zero bytes, found one with some");
        if (rc == 0)
            m->true_name = to->as.str;
    }
    return rc;
}

static int learn_lod(h5ck_carrier *c, const h5ckpt_value *v, h5ckpt_error **err)
{
    int rc = expect_type(v, H5CKPT_DICT, "a dict of levels of detail", err);
    for (size_t i = 0; rc == 0 && i < v->count; i++) {
        mark *m;
        rc = mark_of(c, &v->as.fields[i].key, &m, err);
        if (rc == 0)
            rc = expect_type(&v->as.fields[i].value, H5CKPT_LIST, "a list of levels of detail", err);
        if (rc == 0)
            m->lod = &v->as.fields[i].value;
    }
    return rc;
}

/* At most H5CK_VALUE_DEPTH deep. */
static int check_objects(const h5ck_schema *s, const h5ckpt_value *v, h5ckpt_error **err)
{
    const h5ckpt_object *o = v->type == H5CKPT_OBJECT ? v->as.object : NULL;
    const h5ckpt_field *fields = o ? o->fields : v->type == H5CKPT_DICT ? v->as.fields : NULL;
    size_t items = v->type == H5CKPT_LIST || v->type == H5CKPT_TUPLE ? v->count : 0;
    int rc = o ? h5ck_schema_check_object((void *)(uintptr_t)s, o, err) : 0;
    for (size_t i = 0; rc == 0 && fields && i < (o ? o->count : v->count); i++) {
        rc = check_objects(s, &fields[i].key, err);
        if (rc == 0)
            rc = check_objects(s, &fields[i].value, err);
    }
    for (size_t i = 0; rc == 0 && i < items; i++)
        rc = check_objects(s, &v->as.items[i], err);
    return rc;
}

int h5ck_carrier_add_decays(h5ckpt_state *state, h5ck_file *file, const h5ckpt_value *v, h5ckpt_error **err)
{
    int rc = expect_type(v, H5CKPT_DICT, "a dict of decays", err);
    for (size_t i = 0; rc == 0 && i < v->count; i++) {
        const h5ckpt_field *f = &v->as.fields[i];
        rc = expect_type(&f->key, H5CKPT_STR, "the name of an optimizer", err);
        if (rc == 0 && memchr(f->key.as.str, 0, f->key.count))
            rc = h5ck_fail(err, H5CKPT_INVALID, "expected an optimizer's name without zero bytes, found one with some");
        if (rc == 0)
            rc = check_objects(state->schema, &f->value, err);
        if (rc == 0)
            rc = h5ck_state_add_decay(state, f->key.as.str, &f->value, NULL, file, err);
    }
    return rc;
}

static int add_read_decays(h5ck_carrier *c, const h5ckpt_value *v, h5ckpt_error **err)
{
    return h5ck_carrier_add_decays(c->state, c->file, v, err);
}

int h5ck_carrier_add_string(h5ck_carrier *c, const char *key, const char *text, h5ckpt_error **err)
{
    static const struct {
        const char *key;
        int (*learn)(h5ck_carrier *c, const h5ckpt_value *v, h5ckpt_error **err);
    } ours[] = {{OPTIMIZER_STATE, learn_optimizer_state},
                {NAMES, learn_names},
                {LOD, learn_lod},
                {H5CK_CARRIER_DECAYS, add_read_decays}};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        h5ckpt_value v;
        if (strcmp(key, ours[i].key) != 0)
            continue;
        bool stays = ours[i].learn == add_read_decays;
        int rc = h5ck_value_from_json(text, strlen(text), stays ? &c->state->arena : &c->scratch, &v, err);
        if (rc == 0)
            rc = ours[i].learn(c, &v, err);
        return rc ? h5ck_err_part(err, rc, key) : 0;
    }
    if (strncmp(key, METADATA, strlen(METADATA)) == 0)
        key += strlen(METADATA);
    return h5ck_state_set_metadata(c->state, key, text, err);
}

/* ---- Reading: tensors ---- */

static int read_lod(h5ck_carrier *c, const h5ckpt_value *v, h5ckpt_tensor_info *info, h5ckpt_error **err)
{
    h5ckpt_lod_level *levels = h5ck_arena_zalloc(&c->scratch, v->count, sizeof *levels);
    if (!levels)
        return h5ck_fail_nomem(err);
    for (size_t l = 0; l < v->count; l++) {
        const h5ckpt_value *from = &v->as.items[l];
        int rc = expect_type(from, H5CKPT_LIST, "a level of detail", err);
        uint64_t *offsets = rc == 0 ? h5ck_arena_zalloc(&c->scratch, from->count, sizeof *offsets) : NULL;
        if (!offsets)
            return rc ? rc : h5ck_fail_nomem(err);
        for (size_t i = 0; i < from->count; i++) {
            if (from->as.items[i].type != H5CKPT_INT || from->as.items[i].as.i < 0)
                return h5ck_fail(err, H5CKPT_INVALID, "expected an offset of a level of detail, found another value");
            offsets[i] = (uint64_t)from->as.items[i].as.i;
        }
        levels[l] = (h5ckpt_lod_level){from->count, offsets};
    }
    info->lod = levels;
    info->lod_levels = v->count;
    return 0;
}

int h5ck_carrier_add_tensor(h5ck_carrier *c, const h5ckpt_tensor_info *info, const h5ck_extent *extent,
                            h5ckpt_error **err)
{
    mark *m = c->marks.count ? h5ck_dict_get(&c->marks, info->name) : NULL;
    h5ckpt_tensors *dict = m && m->optimizer ? &c->state->optimizer_state : &c->state->parameters;
    h5ckpt_tensor_info own = *info;
    int rc = 0;
    if (m) {
        m->seen = true;
        own.name = m->true_name ? m->true_name : info->name;
        if (m->lod && (rc = read_lod(c, m->lod, &own, err)))
            return h5ck_err_where(err, rc, NULL, info->name);
    }
    return h5ck_state_add_tensor(c->state, dict, &own, extent, NULL, err);
}

int h5ck_carrier_end(h5ck_carrier *c, int rc)
{
    size_t missing = 0;
    const char *first = NULL;
    for (size_t i = 0; i < c->marks.count; i++) {
        const mark *m = c->marks.entries[i].value;
        first = m->seen || missing ? first : c->marks.entries[i].key;
        missing += !m->seen;
    }
    if (rc == 0 && missing)
        h5ck_log_note(c->log, "the metadata speak of %zu tensors that are not there, '%s' the first", missing, first);
    h5ck_dict_free(&c->marks);
    h5ck_arena_free(&c->scratch);
    return rc;
}
