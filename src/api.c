/*
 * api.c - the public calls of h5ckpt.h: opening, building, looking. Writing is in convert.c.
 * No format's name appears here: formats.c chooses.
 */
#include "base/buf.h"
#include "base/text.h"
#include "move/move.h"
#include "schema/clocale.h"
#include "schema/rate.h"
#include "schema/scheduler.h"
#include "verbs.h"

#include <stdlib.h>
#include <string.h>

const char *h5ckpt_version(void)
{
    return PACKAGE_VERSION;
}

/* ---- Options ---- */

h5ckpt_options h5ck_options_complete(const h5ckpt_options *given)
{
    h5ckpt_options o = H5CKPT_OPTIONS_INIT;
    if (given) /* an older caller's struct is shorter: what it lacks stays at its default */
        memcpy(&o, given, given->size < sizeof o ? given->size : sizeof o);
    o.size = sizeof o;
    return o;
}

h5ck_log h5ck_options_log(const h5ckpt_options *o)
{
    return (h5ck_log){o->note, o->note_user};
}

int h5ck_options_schema(const h5ckpt_options *o, const h5ck_schema **schema, h5ckpt_error **err)
{
    return o->schema ? h5ck_schema_find(o->schema, schema, err) : h5ck_schema_builtin(NULL, schema, err);
}

/* ---- Opening ---- */

static void close_schema(void *schema)
{
    h5ck_schema_free(schema);
}

static int give_schema(h5ckpt_state *state, const h5ck_schema *schema, h5ckpt_error **err)
{
    state->schema = schema;
    return h5ck_state_on_close(state, close_schema, (void *)(uintptr_t)schema, err);
}

static int complete_decay(h5ckpt_state *state, h5ckpt_decay *d, h5ckpt_error **err)
{
    const h5ckpt_object *object = d->info.value->as.object;
    int rc = h5ck_schema_check_object((void *)(uintptr_t)state->schema, object, err);
    if (rc)
        return h5ck_err_where(err, rc, NULL, d->info.name);
    d->schema = state->schema;
    d->class_spec = h5ck_schema_class(state->schema, object->module, object->class_name);
    const h5ck_scheduler *row = h5ck_schema_scheduler(state->schema, object->module, object->class_name);
    d->info.doc = d->class_spec ? d->class_spec->doc : row ? row->doc : NULL;
    d->info.framework = row && !d->class_spec ? row->framework : NULL;
    d->info.step = h5ck_scheduler_meaning(state->schema, object, H5CK_MEANS_STEP);
    d->info.rate = h5ck_scheduler_meaning(state->schema, object, H5CK_MEANS_RATE);
    /* none asked for: this only finds out whether it, and each decay nested in it, has a formula */
    rc = h5ck_rate_next(d->schema, object, NULL, 0, NULL, NULL);
    d->info.has_rates = rc == 0 || rc == H5CKPT_INVALID;
    return rc == H5CKPT_SYSTEM ? h5ck_fail_nomem(err) : 0;
}

int h5ck_complete_decays(h5ckpt_state *state, h5ckpt_error **err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < state->decays.dict.count; i++)
        rc = complete_decay(state, state->decays.dict.entries[i].value, err);
    return rc;
}

static bool any_matches(const char *const *globs, const char *name)
{
    for (; *globs; globs++)
        if (h5ck_text_glob(*globs, name))
            return true;
    return false;
}

/* Keeps the entries that the options ask for. What is left out stays in the state's arena, unseen. */
static int filter(h5ck_dict *dict, const h5ckpt_options *o, h5ckpt_error **err)
{
    h5ck_dict kept = {0};
    for (size_t i = 0; i < dict->count; i++) {
        const char *name = dict->entries[i].key;
        if ((o->include && !any_matches(o->include, name)) || (o->exclude && any_matches(o->exclude, name)))
            continue;
        if (h5ck_dict_add(&kept, name, dict->entries[i].value) != H5CK_DICT_ADDED) {
            h5ck_dict_free(&kept);
            return h5ck_fail_nomem(err);
        }
    }
    h5ck_dict_free(dict);
    *dict = kept;
    return 0;
}

static void close_state(void *state)
{
    h5ckpt_state_free(state);
}

/* *state becomes the mapped one, which takes the other along. */
static int map_by(const h5ck_schema *rules, h5ckpt_state **state, const h5ck_log *log, h5ckpt_error **err)
{
    h5ckpt_state *from = *state, *to;
    int rc = h5ck_schema_apply_rules(rules, from, &to, log, err);
    if (rc || !to)
        return rc;
    *state = to;
    to->schema = from->schema;
    to->mapped = true;
    to->mapped_from = from;
    to->mapped_by = h5ck_arena_strdup(&to->arena, rules->name);
    rc = h5ck_state_on_close(to, close_state, from, err);
    if (rc == 0 && !to->mapped_by)
        rc = h5ck_fail_nomem(err);
    return rc ? rc : h5ck_complete_decays(to, err);
}

/* The name rules of a schema map another layout onto its own: they do not apply to what it has mapped already. Those that
 * are asked for by options->names always do, after those. */
static int map_names(h5ckpt_state **state, const h5ck_schema *names, const h5ck_log *log, h5ckpt_error **err)
{
    const h5ck_schema *s = (*state)->schema;
    bool own = (*state)->written_by && strcmp((*state)->written_by, s->name) == 0;
    int rc = own ? 0 : map_by(s, state, log, err);
    return rc || !names ? rc : map_by(names, state, log, err);
}

static int fill(h5ckpt_state *state, const char *path, const h5ckpt_options *o, h5ckpt_error **err)
{
    const h5ck_schema *schema;
    const h5ck_log log = h5ck_options_log(o);
    int rc = h5ck_options_schema(o, &schema, err);
    if (rc == 0)
        rc = give_schema(state, schema, err);
    if (rc == 0)
        rc = o->from ? h5ck_format_by_name(o->from, &state->format, err)
                     : h5ck_format_of_source(path, &state->format, err);
    state->external = o->allow_external;
    if (rc == 0)
        rc = h5ck_err_where(err, state->format->read(path, state, &log, err), path, NULL);
    if (rc == 0)
        rc = h5ck_err_where(err, h5ck_complete_decays(state, err), path, NULL);
    return rc;
}

static int choose(h5ckpt_state *state, const h5ckpt_options *o, h5ckpt_error **err)
{
    if (!o->include && !o->exclude)
        return 0;
    int rc = filter(&state->parameters.dict, o, err);
    if (rc == 0)
        rc = filter(&state->optimizer_state.dict, o, err);
    return rc ? rc : filter(&state->decays.dict, o, err);
}

h5ckpt_state *h5ck_open(const char *path, const h5ckpt_options *options, h5ckpt_error **err)
{
    const h5ckpt_options o = h5ck_options_complete(options);
    if (!path || !*path) {
        h5ck_fail(err, H5CKPT_USAGE, "expected the path of a checkpoint, found none");
        return NULL;
    }
    const h5ck_log log = h5ck_options_log(&o);
    const h5ck_schema *names = NULL;
    h5ckpt_state *state = h5ckpt_state_new();
    int rc = state ? 0 : h5ck_fail_nomem(err);
    if (rc == 0 && o.names)
        rc = h5ck_names_load(o.names, &names, err);
    if (rc == 0)
        rc = fill(state, path, &o, err);
    if (rc == 0)
        rc = h5ck_err_where(err, map_names(&state, names, &log, err), path, NULL);
    if (rc == 0)
        rc = choose(state, &o, err);
    h5ck_schema_free(names);
    if (rc == 0)
        return state;
    h5ckpt_state_free(state);
    return NULL;
}

static size_t count_stale(const h5ck_dict *dict)
{
    size_t n = 0;
    for (size_t i = 0; i < dict->count; i++)
        n += !h5ck_extent_fits_mark(&((const h5ckpt_tensor *)dict->entries[i].value)->extent);
    return n;
}

h5ckpt_state *h5ckpt_state_open(const char *path, const h5ckpt_options *options, h5ckpt_error **err)
{
    h5ckpt_state *state = h5ck_open(path, options, err);
    size_t stale = state ? count_stale(&state->parameters.dict) + count_stale(&state->optimizer_state.dict) : 0;
    if (stale) {
        const h5ckpt_options o = h5ck_options_complete(options);
        const h5ck_log log = h5ck_options_log(&o);
        h5ck_log_note(&log, "%s: %zu tensor%s in files that have changed since they were linked; 'verify' says which",
                      path, stale, stale == 1 ? " lies" : "s lie");
    }
    return state;
}

const char *h5ckpt_state_format(const h5ckpt_state *state)
{
    return state->format ? state->format->info.name : "memory";
}

/* ---- Paddle's call ---- */

/* Maps all that can be mapped, so that files may be replaced while the dictionaries live. */
static int map_all(const h5ckpt_tensors *tensors, h5ckpt_error **err)
{
    for (size_t i = 0; i < tensors->dict.count; i++) {
        const h5ckpt_tensor *t = tensors->dict.entries[i].value;
        if (t->extent.kind == H5CK_EXTENT_FILE && !h5ck_move_data(t, err))
            return H5CKPT_SYSTEM;
    }
    return 0;
}

int h5ckpt_load_persistables(const char *dirname, h5ckpt_tensors **parameters, h5ckpt_decays **decays,
                             h5ckpt_error **err)
{
    h5ckpt_error *own = NULL, **e = err ? err : &own;
    if (parameters)
        *parameters = NULL;
    if (decays)
        *decays = NULL;
    h5ckpt_state *state = h5ckpt_state_open(dirname ? dirname : "save_dir", NULL, e);
    if (state && map_all(&state->parameters, e)) {
        h5ckpt_state_free(state);
        state = NULL;
    }
    if (!state) {
        int rc = *e ? (int)(*e)->code : H5CKPT_SYSTEM;
        h5ckpt_error_free(own);
        return rc;
    }
    if (parameters) {
        h5ck_state_retain(state);
        *parameters = &state->parameters;
    }
    if (decays) {
        h5ck_state_retain(state);
        *decays = &state->decays;
    }
    h5ckpt_state_free(state); /* the dictionaries hold it from here on */
    return H5CKPT_OK;
}

/* ---- Building ---- */

int h5ckpt_state_add_tensor(h5ckpt_state *state, int optimizer_state, const h5ckpt_tensor_info *info, const void *data,
                            h5ckpt_error **err)
{
    const h5ck_extent extent = {.kind = H5CK_EXTENT_MEMORY, .memory = data};
    bool whole = state && info && (info->shape || info->rank == 0) && (info->lod || info->lod_levels == 0);
    for (size_t i = 0; whole && i < info->lod_levels; i++)
        whole = info->lod[i].offsets || info->lod[i].count == 0;
    if (!whole)
        return h5ck_fail(err, H5CKPT_USAGE, "expected a state and a tensor's description, found NULL in them");
    h5ckpt_tensors *dict = optimizer_state ? &state->optimizer_state : &state->parameters;
    return h5ck_state_add_tensor(state, dict, info, &extent, NULL, err);
}

int h5ckpt_state_add_decay(h5ckpt_state *state, const char *name, const h5ckpt_value *given, h5ckpt_error **err)
{
    h5ckpt_value value;
    h5ckpt_object object;
    int rc = 0;
    if (!state || !given)
        return h5ck_fail(err, H5CKPT_USAGE, "expected a state and a decay, found NULL");
    if (!state->schema) { /* built in memory: the rules are Paddle's */
        const h5ck_schema *schema;
        rc = h5ck_schema_builtin(NULL, &schema, err);
        if (rc == 0)
            rc = give_schema(state, schema, err);
    }
    if (rc == 0 && (given->type != H5CKPT_OBJECT || !given->as.object))
        rc = h5ck_fail(err, H5CKPT_INVALID, "expected a learning-rate decay object");
    if (rc)
        return h5ck_err_where(err, rc, NULL, name);
    object = *given->as.object;
    if (!object.module)
        object.module = state->schema->modules[0];
    rc = h5ck_value_copy(&state->arena, &(h5ckpt_value){.type = H5CKPT_OBJECT, .as.object = &object}, &value, err);
    if (rc == 0) /* before it is added: a decay that is none stays out */
        rc = h5ck_schema_check_object((void *)(uintptr_t)state->schema, value.as.object, err);
    if (rc == 0)
        rc = h5ck_state_add_decay(state, name, &value, NULL, NULL, err);
    if (rc == 0)
        rc = complete_decay(state, h5ck_dict_get(&state->decays.dict, name), err);
    return rc ? h5ck_err_where(err, rc, NULL, name) : 0;
}

int h5ckpt_state_set_metadata(h5ckpt_state *state, const char *key, const char *text, h5ckpt_error **err)
{
    if (!state)
        return h5ck_fail(err, H5CKPT_USAGE, "expected a state, found NULL");
    return h5ck_state_set_metadata(state, key, text, err);
}

/* ---- Elements and rates ---- */

/* What a look-up that found nothing gave. */
static int fail_missing(h5ckpt_error **err, const char *what)
{
    return h5ck_fail(err, H5CKPT_USAGE, "expected a %s, found NULL: there is none of the name that was asked for",
                     what);
}

const void *h5ckpt_tensor_data(const h5ckpt_tensor *tensor, h5ckpt_error **err)
{
    if (tensor)
        return h5ck_move_data(tensor, err);
    fail_missing(err, "tensor");
    return NULL;
}

int h5ckpt_tensor_read(const h5ckpt_tensor *tensor, uint64_t offset, void *buffer, size_t length, h5ckpt_error **err)
{
    return tensor ? h5ck_move_read(tensor, offset, buffer, length, err) : fail_missing(err, "tensor");
}

int h5ckpt_load(const h5ckpt_tensors *tensors, void *const *buffers, const h5ckpt_options *options, h5ckpt_error **err)
{
    const h5ckpt_options o = h5ck_options_complete(options);
    const h5ck_move_options how = {.jobs = o.jobs, .progress = o.progress, .progress_user = o.progress_user};
    return tensors ? h5ck_move_load(tensors, buffers, o.digest != H5CKPT_DIGEST_NONE, &how, err)
                   : fail_missing(err, "dictionary of tensors");
}

static int rates(const h5ckpt_decay *d, const int64_t *from, size_t n, double *out, h5ckpt_error **err)
{
    if (!d)
        return fail_missing(err, "decay");
    int rc = h5ck_rate_next(d->schema, d->info.value->as.object, from, n, out, err);
    if (rc && d->file)
        h5ck_file_where(err, rc, d->file);
    return rc ? h5ck_err_where(err, rc, NULL, d->info.name) : 0;
}

int h5ckpt_decay_rates(const h5ckpt_decay *decay, size_t n, double *out, h5ckpt_error **err)
{
    return rates(decay, NULL, n, out, err);
}

int h5ckpt_decay_rate_at(const h5ckpt_decay *decay, int64_t step, double *rate, h5ckpt_error **err)
{
    return rates(decay, &step, 1, rate, err);
}

/* ---- Looking closer ---- */

/* Of a tensor that went through name rules its format knows nothing; the view that was made of it does. */
static void explain_mapping(const h5ckpt_state *state, const h5ckpt_tensor *t, h5ck_buf *out)
{
    h5ck_buf_printf(out, "read through the name rules of '%s'\n", state->mapped_by);
    if (t && t->extent.kind == H5CK_EXTENT_DECODER)
        h5ck_buf_printf(out, "elements: %s\n", t->extent.decoder->what);
}

/* What the schema says of the decay's class and fields. */
static void explain_class(const h5ckpt_decay *d, h5ck_buf *out)
{
    const h5ckpt_object *object = d->info.value->as.object;
    const h5ck_field_spec *fields;
    size_t count = h5ck_schema_fields(d->schema, object, &fields);
    bool known = d->class_spec || d->info.framework;
    h5ck_buf_printf(out, "class %s of %s: %s\n", object->class_name, object->module,
                    d->info.doc ? d->info.doc : "not in the schema; kept as it is");
    for (size_t i = 0; i < object->count; i++) {
        const char *name = object->fields[i].key.as.str;
        const h5ck_field_spec *f = known ? h5ck_field_named(fields, count, name) : NULL;
        h5ck_buf_printf(out, "    %s: %s%s%s%s\n", name, f && f->doc ? f->doc : "not in the schema; kept as it is",
                        f && f->unit ? " [" : "", f && f->unit ? f->unit : "", f && f->unit ? "]" : "");
    }
}

char *h5ckpt_explain(const h5ckpt_state *state, const h5ckpt_tensor *tensor, const h5ckpt_decay *decay,
                     h5ckpt_error **err)
{
    h5ck_buf out = H5CK_BUF_INIT;
    h5ck_clocale locale = {0}; /* the host's does not put commas into numbers */
    int rc = state && h5ck_clocale_enter(&locale) ? 0 : h5ck_fail_nomem(err);
    bool entered = rc == 0;
    /* what a program added to a state that was read from a file lies in its memory */
    const h5ck_file *file = tensor ? tensor->extent.file : decay ? decay->file : NULL;
    if (rc == 0 && !tensor == !decay)
        rc = h5ck_fail(err, H5CKPT_USAGE, "expected either a tensor or a decay to explain");
    if (rc == 0 && decay)
        explain_class(decay, &out);
    if (rc == 0 && state->mapped)
        explain_mapping(state, tensor, &out);
    else if (rc == 0 && file && state->format && state->format->explain)
        rc = state->format->explain(state, tensor, decay, &out, err);
    else if (rc == 0)
        h5ck_buf_str(&out, "in the caller's memory\n");
    if (rc == 0 && !h5ck_buf_cstr(&out))
        rc = h5ck_fail_nomem(err);
    if (entered)
        h5ck_clocale_leave(&locale);
    if (rc) {
        h5ck_buf_free(&out);
        return NULL;
    }
    return (char *)out.data; /* the buffer's memory is the caller's from here on */
}

const h5ckpt_schema_info *h5ckpt_schema_at(size_t i)
{
    return h5ck_schema_builtin_at(i);
}

const char *h5ckpt_schema_text(const char *name)
{
    return h5ck_schema_builtin_text(name);
}

int h5ckpt_schema_check(const char *path, h5ckpt_error **err)
{
    const h5ck_schema *schema = NULL;
    if (!path)
        return h5ck_fail(err, H5CKPT_USAGE, "expected the path of a schema, found none");
    int rc = h5ck_schema_load_any(path, &schema, err);
    h5ck_schema_free(schema);
    return rc;
}
