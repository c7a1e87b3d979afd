/*
 * fmt_torch_build.c - puts together what a checkpoint's pickle is to say: the structure that the metadata "torch" keeps
 * (fmt_torch.h), filled with the state's tensors and schedules; or where there is none, or it does not fit,
 *
 *     OrderedDict of the parameters                        a plain state_dict, where there is nothing else
 *     {"model_state_dict": OrderedDict,                    otherwise
 *      "optimizer_state": OrderedDict, "lr_schedulers": {name: {...}}}
 *
 * A skeleton fits where each tensor and decay of the state has a place in it. One that refers to more than there is
 * (the rest was left out by --include) loses those entries. A skeleton that names what a checkpoint may not hold
 * is none: it came with a file, and could be anyone's.
 *
 * Tensors are written as they are, in storages of their own. Those that shared one in the source share one again, if
 * they are still the same: the same bytes of the same file, or two of one digest.
 */
#include "format/fmt_torch.h"
#include "parse/value_json.h"
#include "schema/scheduler.h"

#include <stdio.h>
#include <string.h>

typedef struct builder {
    const h5ckpt_state *state;
    h5ck_plan *plan;
    h5ck_arena *arena;
    h5ck_torch_content *content;
    h5ck_dict placed;   /* "p name", "o name", "d name": what the skeleton refers to one by one */
    bool rest[2];       /* it has a place for all other parameters; other tensors of the optimizer state */
    bool broken;        /* it is no skeleton */
    size_t gone;        /* references to what is not there */
    h5ck_dict storages; /* the same keys -> place in content->storages, from 1 */
    size_t lost;        /* fields of schedules that torch has no place for */
    size_t rateless;    /* schedules that lack what torch's have */
    h5ckpt_field *kept; /* of content->decays */
    size_t lods;        /* tensors with a LoD */
    h5ckpt_error **err;
} builder;

static int expand(builder *b, const h5ckpt_value *v, h5ckpt_value *to, bool *gone);

/* ---- Making values ---- */

static h5ckpt_field field(const char *key, h5ckpt_value value)
{
    return (h5ckpt_field){h5ck_value_str(key), value};
}

static int make_tuple(builder *b, const h5ckpt_value *items, size_t count, h5ckpt_value *to)
{
    *to = (h5ckpt_value){.type = H5CKPT_TUPLE, .count = count};
    to->as.items = h5ck_arena_memdup(b->arena, items, count * sizeof *items);
    return to->as.items ? 0 : h5ck_fail_nomem(b->err);
}

static int make_object(builder *b, const char *module, const char *name, const h5ckpt_field *fields, size_t count,
                       h5ckpt_value *to)
{
    h5ckpt_object *o = h5ck_arena_zalloc(b->arena, 1, sizeof *o);
    if (!o || !(o->fields = h5ck_arena_memdup(b->arena, fields, count * sizeof *fields)))
        return h5ck_fail_nomem(b->err);
    o->module = module;
    o->class_name = name;
    o->count = count;
    *to = (h5ckpt_value){.type = H5CKPT_OBJECT, .as.object = o};
    return 0;
}

static int make_call(builder *b, const char *module, const char *name, const h5ckpt_value *args, size_t count,
                     h5ckpt_value *to)
{
    h5ckpt_value tuple;
    int rc = make_tuple(b, args, count, &tuple);
    const h5ckpt_field fields[] = {field("args", tuple)};
    return rc ? rc : make_object(b, module, name, fields, 1, to);
}

/* An OrderedDict of these items and this state, both of which may be NULL. */
static int make_ordered(builder *b, const h5ckpt_value *items, const h5ckpt_value *state, h5ckpt_value *to)
{
    h5ckpt_value none;
    h5ckpt_field fields[3];
    size_t n = 0;
    int rc = make_tuple(b, NULL, 0, &none);
    fields[n++] = field("args", none);
    if (state)
        fields[n++] = field("state", *state);
    if (items && items->count)
        fields[n++] = field("items", *items);
    return rc ? rc : make_object(b, "collections", "OrderedDict", fields, n, to);
}

/* ---- Storages ---- */

/* The key of a tensor in the builder's dictionaries, in the arena; `of` is 'p', 'o' or, for decays, 'd'. */
static const char *key_of(builder *b, char of, const char *name)
{
    size_t n = strlen(name);
    char *key = h5ck_arena_alloc(b->arena, n + 3);
    if (key) {
        key[0] = of;
        key[1] = ' ';
        memcpy(key + 2, name, n + 1);
    }
    return key;
}

static const h5ckpt_tensors *dict_of(const builder *b, char of)
{
    return of == 'p' ? &b->state->parameters : &b->state->optimizer_state;
}

/* Whether two tensors that shared a storage still hold the same. Straight from an archive they do: `origin` is its
 * storage. */
static bool still_same(const h5ckpt_state *state, const h5ckpt_tensor *a, const h5ckpt_tensor *b)
{
    const h5ck_extent *x = &a->extent, *y = &b->extent;
    if (a->info.dtype != b->info.dtype || a->info.nbytes != b->info.nbytes)
        return false;
    if (state->format == &h5ck_fmt_torch && !state->mapped_by)
        return a->origin == b->origin;
    if (a->digest && b->digest && strncmp(a->digest, "crc32:", 6) != 0)
        return strcmp(a->digest, b->digest) == 0;
    return x->kind == H5CK_EXTENT_FILE && y->kind == H5CK_EXTENT_FILE && x->file == y->file && x->offset == y->offset;
}

/* The place of a tensor's storage, which is made where there is none yet. */
static int storage_at(builder *b, char of, const h5ckpt_tensor *t, size_t *at)
{
    h5ck_torch_content *c = b->content;
    const char *key = key_of(b, of, t->info.name);
    uintptr_t place = key ? (uintptr_t)h5ck_dict_get(&b->storages, key) : 0;
    if (!key)
        return h5ck_fail_nomem(b->err);
    if (place) {
        *at = place - 1;
        return 0;
    }
    if (c->count == c->room) {
        size_t room = c->room ? 2 * c->room : 64;
        const h5ckpt_tensor **more = h5ck_arena_zalloc(b->arena, room, sizeof *more);
        if (!more)
            return h5ck_fail_nomem(b->err);
        if (c->count)
            memcpy(more, c->storages, c->count * sizeof *more);
        c->storages = more;
        c->room = room;
    }
    *at = c->count;
    c->storages[c->count++] = t;
    return h5ck_dict_set(&b->storages, key, (void *)(uintptr_t)c->count) ? 0 : h5ck_fail_nomem(b->err);
}

/* As storage_at, where `same` may name a tensor that it shares the storage with. */
static int find_storage(builder *b, char of, const h5ckpt_tensor *t, const char *same, size_t *at)
{
    const h5ckpt_tensor *other = same ? h5ck_dict_get(&dict_of(b, of)->dict, same) : NULL;
    if (!other || !still_same(b->state, t, other))
        return storage_at(b, of, t, at);
    int rc = storage_at(b, of, other, at);
    const char *key = rc ? NULL : key_of(b, of, t->info.name);
    if (rc == 0 && (!key || !h5ck_dict_set(&b->storages, key, (void *)(uintptr_t)(*at + 1))))
        rc = h5ck_fail_nomem(b->err);
    return rc;
}

/* The persistent id of a storage. */
static int make_storage(builder *b, const h5ck_dtype *dtype, size_t at, uint64_t nbytes, h5ckpt_value *to)
{
    h5ckpt_value parts[5], id = {.type = H5CKPT_NONE};
    char key[24], class_name[32];
    snprintf(key, sizeof key, "%zu", at);
    snprintf(class_name, sizeof class_name, "%sStorage", dtype->torch ? dtype->torch : "Untyped");
    const char *own_key = h5ck_arena_strdup(b->arena, key), *own_class = h5ck_arena_strdup(b->arena, class_name);
    if (!own_key || !own_class)
        return h5ck_fail_nomem(b->err);
    parts[0] = h5ck_value_str("storage");
    int rc = make_object(b, dtype->torch ? "torch" : "torch.storage", own_class, NULL, 0, &parts[1]);
    parts[2] = h5ck_value_str(own_key);
    parts[3] = h5ck_value_str("cpu");
    parts[4] = h5ck_value_int((int64_t)(nbytes / (dtype->torch ? dtype->size : 1)));
    if (rc == 0)
        rc = make_tuple(b, parts, 5, &id);
    const h5ckpt_field fields[] = {field("id", id)};
    return rc ? rc : make_object(b, "", "persistent_id", fields, 1, to);
}

/* ---- Tensors ---- */

typedef struct extras {
    const char *same; /* or NULL */
    bool grad;
    const h5ckpt_value *hooks, *metadata; /* or NULL */
} extras;

/* Sizes, and strides of a row-major tensor without gaps as torch counts them: an axis of no elements counts 1. */
static int make_shape(builder *b, const h5ckpt_tensor_info *info, h5ckpt_value *size, h5ckpt_value *stride)
{
    h5ckpt_value sizes[H5CK_MAX_RANK], strides[H5CK_MAX_RANK];
    uint64_t run = 1;
    for (size_t i = info->rank; i-- > 0;) {
        sizes[i] = h5ck_value_int((int64_t)info->shape[i]);
        strides[i] = h5ck_value_int((int64_t)run);
        run *= info->shape[i] ? info->shape[i] : 1;
    }
    int rc = make_tuple(b, sizes, info->rank, size);
    return rc ? rc : make_tuple(b, strides, info->rank, stride);
}

static int make_tensor(builder *b, char of, const h5ckpt_tensor *t, const extras *x, h5ckpt_value *to)
{
    const h5ck_dtype *dtype = h5ck_dtype_get(t->info.dtype);
    h5ckpt_value args[8], none;
    size_t at, n = 6;
    int rc = find_storage(b, of, t, x->same, &at);
    if (rc == 0)
        rc = make_storage(b, dtype, at, t->info.nbytes, &args[0]);
    args[1] = h5ck_value_int(0);
    if (rc == 0)
        rc = make_shape(b, &t->info, &args[2], &args[3]);
    if (rc == 0)
        rc = make_ordered(b, NULL, NULL, &none);
    if (rc)
        return rc;
    args[4] = h5ck_value_bool(x->grad && (dtype->kind == H5CK_KIND_FLOAT || dtype->kind == H5CK_KIND_COMPLEX));
    args[5] = x->hooks ? *x->hooks : none;
    if (!dtype->torch && (rc = make_object(b, "torch", dtype->name, NULL, 0, &args[n++])))
        return rc;
    if (x->metadata)
        args[n++] = *x->metadata;
    b->lods += t->info.lod_levels > 0;
    return make_call(b, "torch._utils", dtype->torch ? "_rebuild_tensor_v2" : "_rebuild_tensor_v3", args, n, to);
}

static const char *text_of(const h5ckpt_value *object, const char *key)
{
    const h5ckpt_value *v = h5ckpt_value_get(object, key);
    return v && v->type == H5CKPT_STR ? v->as.str : NULL;
}

static bool flag_of(const h5ckpt_value *object, const char *key)
{
    const h5ckpt_value *v = h5ckpt_value_get(object, key);
    return v && v->type == H5CKPT_BOOL && v->as.i;
}

/* 'p' or 'o'; 0 where it says neither. */
static char of_reference(const h5ckpt_value *v)
{
    const char *of = text_of(v, "of");
    return !of ? 0 : strcmp(of, "parameters") == 0 ? 'p' : strcmp(of, "optimizer_state") == 0 ? 'o' : 0;
}

static int expand_tensor(builder *b, const h5ckpt_value *v, h5ckpt_value *to, bool *gone)
{
    char of = of_reference(v);
    const h5ckpt_tensor *t = h5ck_dict_get(&dict_of(b, of)->dict, text_of(v, "name"));
    extras x = {.same = text_of(v, "same"), .grad = flag_of(v, "grad")};
    h5ckpt_value hooks, metadata;
    size_t at;
    int rc = 0;
    if ((*gone = !t))
        return 0;
    if (flag_of(v, "storage")) {
        rc = find_storage(b, of, t, x.same, &at);
        return rc ? rc : make_storage(b, h5ck_dtype_get(t->info.dtype), at, t->info.nbytes, to);
    }
    if ((x.hooks = h5ckpt_value_get(v, "hooks"))) {
        rc = expand(b, x.hooks, &hooks, gone);
        x.hooks = &hooks;
    }
    if (rc == 0 && (x.metadata = h5ckpt_value_get(v, "metadata"))) {
        rc = expand(b, x.metadata, &metadata, gone);
        x.metadata = &metadata;
    }
    return rc ? rc : make_tensor(b, of, t, &x, to);
}

/* All tensors of a dictionary that have no place of their own. */
static int expand_rest(builder *b, char of, const h5ckpt_value *shared, h5ckpt_value *items)
{
    const h5ck_dict *dict = &dict_of(b, of)->dict;
    h5ckpt_field *fields = h5ck_arena_zalloc(b->arena, dict->count, sizeof *fields);
    h5ck_dict same = {0};
    int rc = fields ? 0 : h5ck_fail_nomem(b->err);
    *items = (h5ckpt_value){.type = H5CKPT_DICT, .as.fields = fields};
    for (size_t i = 0; rc == 0 && shared && shared->type == H5CKPT_DICT && i < shared->count; i++) {
        const h5ckpt_field *pair = &shared->as.fields[i];
        if (pair->key.type == H5CKPT_STR && pair->value.type == H5CKPT_STR &&
            !h5ck_dict_set(&same, pair->key.as.str, (void *)(uintptr_t)pair->value.as.str))
            rc = h5ck_fail_nomem(b->err);
    }
    for (size_t i = 0; rc == 0 && i < dict->count; i++) {
        const h5ckpt_tensor *t = dict->entries[i].value;
        const char *key = key_of(b, of, t->info.name);
        if (!key)
            rc = h5ck_fail_nomem(b->err);
        if (rc || h5ck_dict_get(&b->placed, key))
            continue;
        const extras x = {.same = h5ck_dict_get(&same, t->info.name)};
        h5ckpt_field *f = &fields[items->count++];
        f->key = h5ck_value_str(t->info.name);
        rc = make_tensor(b, of, t, &x, &f->value);
    }
    h5ck_dict_free(&same);
    return rc;
}

static int expand_tensors(builder *b, const h5ckpt_value *v, h5ckpt_value *to)
{
    const h5ckpt_value *state = h5ckpt_value_get(v, "state");
    h5ckpt_value items, kept;
    bool gone = false;
    int rc = expand_rest(b, of_reference(v), h5ckpt_value_get(v, "shared"), &items);
    if (rc == 0 && state)
        rc = expand(b, state, &kept, &gone);
    if (rc)
        return rc;
    if (flag_of(v, "ordered"))
        return make_ordered(b, &items, state && !gone ? &kept : NULL, to);
    *to = items;
    return 0;
}

/* ---- Decays ---- */

/* What PyTorch's scheduler cannot hold of it goes beside the pickle, and so does what it would not be known by. */
static int keep_decay(builder *b, const h5ckpt_decay *decay)
{
    h5ckpt_value *kept = &b->content->decays;
    h5ckpt_field *fields = b->kept;
    if (!fields && !(fields = h5ck_arena_zalloc(b->arena, b->state->decays.dict.count, sizeof *fields)))
        return h5ck_fail_nomem(b->err);
    kept->type = H5CKPT_DICT;
    kept->as.fields = b->kept = fields;
    for (size_t i = 0; i < kept->count; i++)
        if (strcmp(fields[i].key.as.str, decay->info.name) == 0)
            return 0; /* a structure may name it twice */
    fields[kept->count++] = field(decay->info.name, *decay->info.value);
    return 0;
}

static int make_decay(builder *b, const h5ckpt_decay *decay, h5ckpt_value *to)
{
    size_t lost = 0;
    int rc = h5ck_scheduler_write(b->plan->schema, "torch", decay->info.value->as.object, b->arena, to, &lost, b->err);
    bool lacks = rc == 0 && h5ck_scheduler_lacks(b->plan->schema, "torch", to);
    b->lost += lost;
    b->rateless += lacks;
    if (rc == 0 && (lost || lacks))
        rc = keep_decay(b, decay);
    return rc ? h5ck_err_where(b->err, rc, NULL, decay->info.name) : 0;
}

static int expand_decay(builder *b, const h5ckpt_value *v, h5ckpt_value *to, bool *gone)
{
    const h5ckpt_decay *decay = h5ck_dict_get(&b->state->decays.dict, text_of(v, "name"));
    *gone = !decay;
    return decay ? make_decay(b, decay, to) : 0;
}

/* ---- The skeleton ---- */

/* A list keeps its places: None stands for what is gone. */
static int expand_items(builder *b, const h5ckpt_value *v, h5ckpt_value *to, bool *any)
{
    h5ckpt_value *items = h5ck_arena_zalloc(b->arena, v->count, sizeof *items);
    int rc = items ? 0 : h5ck_fail_nomem(b->err);
    for (size_t i = 0; rc == 0 && i < v->count; i++) {
        bool gone = false;
        rc = expand(b, &v->as.items[i], &items[i], &gone);
        if (gone)
            items[i] = (h5ckpt_value){.type = H5CKPT_NONE};
        *any |= gone;
    }
    to->as.items = items;
    return rc;
}

static int expand_dict(builder *b, const h5ckpt_value *v, h5ckpt_value *to)
{
    h5ckpt_field *fields = h5ck_arena_zalloc(b->arena, v->count, sizeof *fields);
    int rc = fields ? 0 : h5ck_fail_nomem(b->err);
    size_t n = 0;
    for (size_t i = 0; rc == 0 && i < v->count; i++) {
        bool gone = false;
        fields[n].key = v->as.fields[i].key;
        rc = expand(b, &v->as.fields[i].value, &fields[n].value, &gone);
        n += !gone;
    }
    to->as.fields = fields;
    to->count = n;
    return rc;
}

/* (reference, class, (), fields) of _rebuild_from_type_v2: the call becomes a function and its arguments again. */
static int split_call(builder *b, const h5ckpt_value *typed)
{
    h5ckpt_value *args = (h5ckpt_value *)(uintptr_t)h5ckpt_value_get(typed, "args")->as.items; /* our own copy */
    const h5ckpt_value *call = h5ckpt_value_get(&args[0], "args");
    if (!call)
        return h5ck_fail(b->err, H5CKPT_INVALID, "expected a tensor in _rebuild_from_type_v2, found none");
    args[2] = *call;
    return make_object(b, args[0].as.object->module, args[0].as.object->class_name, NULL, 0, &args[0]);
}

static int expand_object(builder *b, const h5ckpt_value *v, h5ckpt_value *to, bool *gone)
{
    if (h5ck_torch_is(v, "h5ckpt", "tensor"))
        return expand_tensor(b, v, to, gone);
    if (h5ck_torch_is(v, "h5ckpt", "tensors"))
        return expand_tensors(b, v, to);
    if (h5ck_torch_is(v, "h5ckpt", "decay"))
        return expand_decay(b, v, to, gone);
    h5ckpt_object *o = h5ck_arena_memdup(b->arena, v->as.object, sizeof *o);
    h5ckpt_field *fields = o ? h5ck_arena_memdup(b->arena, o->fields, o->count * sizeof *fields) : NULL;
    int rc = fields ? 0 : h5ck_fail_nomem(b->err);
    for (size_t i = 0; rc == 0 && i < o->count; i++) {
        const h5ckpt_value *part = &v->as.object->fields[i].value;
        if (strcmp(fields[i].key.as.str, "args") == 0)
            rc = expand_items(b, part, &fields[i].value, gone);
        else
            rc = expand(b, part, &fields[i].value, gone);
    }
    if (rc)
        return rc;
    o->fields = fields;
    to->as.object = o;
    return !*gone && h5ck_torch_is(v, "torch._tensor", "_rebuild_from_type_v2") ? split_call(b, to) : 0;
}

static int expand(builder *b, const h5ckpt_value *v, h5ckpt_value *to, bool *gone)
{
    bool some = false;
    *to = *v;
    switch (v->type) {
    case H5CKPT_LIST:
    case H5CKPT_TUPLE:
        return expand_items(b, v, to, &some);
    case H5CKPT_DICT:
        return expand_dict(b, v, to);
    case H5CKPT_OBJECT:
        return expand_object(b, v, to, gone);
    default:
        return 0;
    }
}

/* ---- Does it fit? ---- */

static int survey(builder *b, const h5ckpt_value *v);

/* Takes down what a reference stands for. */
static int survey_reference(builder *b, const h5ckpt_value *v)
{
    bool decay = h5ck_torch_is(v, "h5ckpt", "decay"), all = h5ck_torch_is(v, "h5ckpt", "tensors");
    char of = decay ? 'd' : of_reference(v);
    const char *name = text_of(v, "name"), *key;
    if (!of || (!all && !name) || (!all && !decay && !h5ck_torch_is(v, "h5ckpt", "tensor"))) {
        b->broken = true;
        return 0;
    }
    if (all) {
        b->broken |= b->rest[of == 'o']; /* two places for the same tensors */
        b->rest[of == 'o'] = true;
        const h5ckpt_value *state = h5ckpt_value_get(v, "state");
        return state ? survey(b, state) : 0;
    }
    if (!(key = key_of(b, of, name)) || !h5ck_dict_set(&b->placed, key, b))
        return h5ck_fail_nomem(b->err);
    b->gone += !h5ck_dict_get(decay ? &b->state->decays.dict : &dict_of(b, of)->dict, name);
    for (size_t i = 0; i < v->as.object->count; i++) {
        int rc = survey(b, &v->as.object->fields[i].value);
        if (rc)
            return rc;
    }
    return 0;
}

static int survey_object(builder *b, const h5ckpt_value *v)
{
    const h5ckpt_object *o = v->as.object;
    if (strcmp(o->module, "h5ckpt") == 0)
        return survey_reference(b, v);
    int rc = 0;
    b->broken |= h5ck_torch_is_tensor(v) || h5ck_torch_allows(o->module, o->class_name, NULL) != 0;
    for (size_t i = 0; rc == 0 && i < o->count; i++) {
        const char *key = o->fields[i].key.as.str;
        const h5ckpt_value *part = &o->fields[i].value;
        b->broken |= strcmp(key, "args") == 0 && part->type != H5CKPT_TUPLE;
        rc = survey(b, part);
    }
    if (h5ck_torch_is(v, "torch._tensor", "_rebuild_from_type_v2")) {
        const h5ckpt_value *args = h5ckpt_value_get(v, "args");
        b->broken |= !args || args->count != 4 || !h5ck_torch_is(&args->as.items[0], "h5ckpt", "tensor");
    }
    return rc;
}

/* Takes down all references, and whether it names anything that is not allowed. Its depth is bounded, as all values'. */
static int survey(builder *b, const h5ckpt_value *v)
{
    int rc = 0;
    if (v->type == H5CKPT_OBJECT)
        return survey_object(b, v);
    if (v->type == H5CKPT_LIST || v->type == H5CKPT_TUPLE)
        for (size_t i = 0; rc == 0 && i < v->count; i++)
            rc = survey(b, &v->as.items[i]);
    if (v->type == H5CKPT_DICT)
        for (size_t i = 0; rc == 0 && i < v->count; i++) {
            rc = survey(b, &v->as.fields[i].key);
            if (rc == 0)
                rc = survey(b, &v->as.fields[i].value);
        }
    return rc;
}

/* Whether each entry of a dictionary has a place of its own. */
static int all_placed(builder *b, char of, const h5ck_dict *dict, bool *fits)
{
    for (size_t i = 0; *fits && i < dict->count; i++) {
        const char *key = key_of(b, of, dict->entries[i].key);
        if (!key)
            return h5ck_fail_nomem(b->err);
        *fits = h5ck_dict_get(&b->placed, key) != NULL;
    }
    return 0;
}

/* The skeleton of the state, where there is one that fits. */
static int find_skeleton(builder *b, h5ckpt_value *skeleton, bool *fits)
{
    const char *text = text_of(&b->state->metadata, "torch");
    *fits = text && h5ck_value_from_json(text, strlen(text), b->arena, skeleton, NULL) == 0;
    if (!*fits)
        return 0;
    int rc = survey(b, skeleton);
    if (rc == 0 && !b->rest[0])
        rc = all_placed(b, 'p', &b->state->parameters.dict, fits);
    if (rc == 0 && !b->rest[1])
        rc = all_placed(b, 'o', &b->state->optimizer_state.dict, fits);
    if (rc == 0)
        rc = all_placed(b, 'd', &b->state->decays.dict, fits);
    if (b->broken || (b->placed.count == 0 && !b->rest[0] && !b->rest[1]))
        *fits = false;
    else if (rc == 0 && !*fits)
        h5ck_log_note(&b->plan->log,
                      "%s: the tensors' names are not those that the source's structure (metadata 'torch') has: "
                      "written without it",
                      b->plan->target);
    return rc;
}

/* ---- Without a skeleton ---- */

static int make_model(builder *b, char of, h5ckpt_value *to)
{
    h5ckpt_value items;
    int rc = expand_rest(b, of, NULL, &items);
    return rc ? rc : make_ordered(b, &items, NULL, to);
}

static int make_schedules(builder *b, h5ckpt_value *to)
{
    const h5ck_dict *dict = &b->state->decays.dict;
    h5ckpt_field *fields = h5ck_arena_zalloc(b->arena, dict->count, sizeof *fields);
    int rc = fields ? 0 : h5ck_fail_nomem(b->err);
    for (size_t i = 0; rc == 0 && i < dict->count; i++) {
        fields[i].key = h5ck_value_str(dict->entries[i].key);
        rc = make_decay(b, dict->entries[i].value, &fields[i].value);
    }
    *to = (h5ckpt_value){.type = H5CKPT_DICT, .count = dict->count, .as.fields = fields};
    return rc;
}

static int make_plain(builder *b, h5ckpt_value *root)
{
    h5ckpt_field *fields = h5ck_arena_zalloc(b->arena, 3, sizeof *fields);
    size_t n = 0;
    h5ck_dict_free(&b->placed);
    if (b->state->optimizer_state.dict.count == 0 && b->state->decays.dict.count == 0)
        return make_model(b, 'p', root);
    int rc = fields ? 0 : h5ck_fail_nomem(b->err);
    if (rc == 0) {
        fields[n].key = h5ck_value_str("model_state_dict");
        rc = make_model(b, 'p', &fields[n++].value);
    }
    if (rc == 0 && b->state->optimizer_state.dict.count) {
        fields[n].key = h5ck_value_str("optimizer_state");
        rc = make_model(b, 'o', &fields[n++].value);
    }
    if (rc == 0 && b->state->decays.dict.count) {
        fields[n].key = h5ck_value_str("lr_schedulers");
        rc = make_schedules(b, &fields[n++].value);
    }
    *root = (h5ckpt_value){.type = H5CKPT_DICT, .count = n, .as.fields = fields};
    return rc;
}

static void note_what_is_lost(const builder *b)
{
    const h5ck_log *log = &b->plan->log;
    const char *target = b->plan->target;
    if (b->content->used_skeleton && b->gone)
        h5ck_log_note(log, "%s: %zu entries of the source's structure are left out, for they are not in the state",
                      target, b->gone);
    if (b->lost)
        h5ck_log_note(log,
                      "%s: PyTorch's schedulers have no place for %zu fields of the learning-rate decays: kept beside "
                      "them, where only h5ckpt finds them",
                      target, b->lost);
    if (b->rateless)
        h5ck_log_note(
            log,
            "%s: %zu learning-rate decay%s with no step or no rate, which PyTorch's schedulers have: where only "
            "h5ckpt finds %s",
            target, b->rateless, b->rateless == 1 ? "" : "s", b->rateless == 1 ? "it" : "them");
    if (b->lods)
        h5ck_log_note(log, "%s: a tensor of PyTorch holds no LoD: those of %zu tensors left out", target, b->lods);
}

int h5ck_torch_build(const h5ckpt_state *state, h5ck_plan *plan, h5ck_torch_content *content, h5ckpt_error **err)
{
    builder b = {.state = state, .plan = plan, .arena = &plan->arena, .content = content, .err = err};
    h5ckpt_value skeleton;
    bool gone = false;
    int rc = find_skeleton(&b, &skeleton, &content->used_skeleton);
    if (rc == 0)
        rc = content->used_skeleton ? expand(&b, &skeleton, &content->root, &gone) : make_plain(&b, &content->root);
    if (rc == 0 && gone)
        content->root = (h5ckpt_value){.type = H5CKPT_NONE};
    if (rc == 0)
        note_what_is_lost(&b);
    h5ck_dict_free(&b.placed);
    h5ck_dict_free(&b.storages);
    return rc;
}
