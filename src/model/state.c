/* state.c - building a state, counting its users, taking it down. */
#include "model/state.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

h5ckpt_state *h5ckpt_state_new(void)
{
    h5ckpt_state *state = calloc(1, sizeof *state);
    if (!state)
        return NULL;
    atomic_init(&state->references, 1);
    state->parameters.state = state->optimizer_state.state = state;
    state->decays.state = state;
    state->metadata.type = H5CKPT_DICT;
    return state;
}

void h5ck_state_retain(h5ckpt_state *state)
{
    atomic_fetch_add(&state->references, 1);
}

/* Of all tensors: a view's source is in no dictionary, and may have been decoded for it. */
static void free_decoded(h5ckpt_tensor *made)
{
    for (h5ckpt_tensor *t = made; t; t = t->made_before)
        free(atomic_load(&t->decoded));
}

void h5ckpt_state_free(h5ckpt_state *state)
{
    if (!state || atomic_fetch_sub(&state->references, 1) > 1)
        return;
    free_decoded(state->made);
    h5ck_dict_free(&state->parameters.dict);
    h5ck_dict_free(&state->optimizer_state.dict);
    h5ck_dict_free(&state->decays.dict);
    h5ck_dict_free(&state->metadata_keys);
    for (h5ck_file *f = state->files; f; f = f->next)
        h5ck_fs_unmap(f);
    for (h5ck_closer *c = state->closers; c; c = c->next)
        c->close(c->what);
    h5ck_arena_free(&state->arena);
    free(state);
}

void h5ckpt_tensors_free(h5ckpt_tensors *tensors)
{
    if (tensors)
        h5ckpt_state_free(tensors->state);
}

void h5ckpt_decays_free(h5ckpt_decays *decays)
{
    if (decays)
        h5ckpt_state_free(decays->state);
}

int h5ck_state_on_close(h5ckpt_state *state, void (*close)(void *), void *what, h5ckpt_error **err)
{
    h5ck_closer *c = h5ck_arena_alloc(&state->arena, sizeof *c);
    if (!c) {
        close(what);
        return h5ck_fail_nomem(err);
    }
    *c = (h5ck_closer){close, what, state->closers};
    state->closers = c;
    return 0;
}

/* Files of one folder share its path. */
h5ck_file *h5ck_state_new_file(h5ckpt_state *state, const char *root, const char *relative)
{
    h5ck_file *f = h5ck_arena_zalloc(&state->arena, 1, sizeof *f);
    if (!f)
        return NULL;
    atomic_init(&f->map, NULL);
    bool shares = state->files && strcmp(state->files->root, root) == 0;
    f->root = shares ? state->files->root : h5ck_arena_strdup(&state->arena, root);
    f->relative = relative ? h5ck_arena_strdup(&state->arena, relative) : NULL;
    if (!f->root || (relative && !f->relative))
        return NULL;
    f->next = state->files;
    state->files = f;
    return f;
}

static int check_name(const char *name, const char *what, h5ckpt_error **err)
{
    if (!name || !*name)
        return h5ck_fail(err, H5CKPT_INVALID, "expected a name for the %s, found an empty one", what);
    if (!h5ck_text_is_utf8(name, strlen(name)))
        return h5ck_fail(err, H5CKPT_INVALID, "expected the %s's name in UTF-8, found other bytes", what);
    return 0;
}

static int copy_info(h5ck_arena *arena, h5ckpt_tensor_info *info, h5ckpt_error **err)
{
    h5ckpt_lod_level *lod = NULL;
    if (info->lod_levels && !(lod = h5ck_arena_memdup(arena, info->lod, info->lod_levels * sizeof *lod)))
        return h5ck_fail_nomem(err);
    info->name = h5ck_arena_strdup(arena, info->name);
    info->shape = h5ck_arena_memdup(arena, info->shape, info->rank * sizeof *info->shape);
    if (!info->name || !info->shape)
        return h5ck_fail_nomem(err);
    for (size_t l = 0; l < info->lod_levels; l++)
        if (!(lod[l].offsets = h5ck_arena_memdup(arena, lod[l].offsets, lod[l].count * sizeof *lod[l].offsets)))
            return h5ck_fail_nomem(err);
    info->lod = lod;
    return 0;
}

static int insert(h5ck_dict *dict, const char *name, void *value, const char *what, h5ckpt_error **err)
{
    switch (h5ck_dict_add(dict, name, value)) {
    case H5CK_DICT_ADDED:
        return 0;
    case H5CK_DICT_EXISTS:
        return h5ck_fail(err, H5CKPT_INVALID, "expected each name once, found a second %s of this name", what);
    case H5CK_DICT_NOMEM:
        break;
    }
    return h5ck_fail_nomem(err);
}

static int make_tensor(h5ckpt_state *state, const h5ckpt_tensor_info *info, const h5ck_extent *extent,
                       const char *digest, h5ckpt_tensor **tensor, h5ckpt_error **err)
{
    int rc = check_name(info->name, "tensor", err);
    h5ckpt_tensor_info checked = *info;
    if (rc == 0)
        rc = h5ck_tensor_check(&checked, extent, err);
    if (rc == 0)
        rc = copy_info(&state->arena, &checked, err);
    if (rc)
        return rc;
    h5ckpt_tensor *t = h5ck_arena_zalloc(&state->arena, 1, sizeof *t);
    if (!t)
        return h5ck_fail_nomem(err);
    t->info = checked;
    t->extent = *extent;
    atomic_init(&t->decoded, NULL);
    atomic_init(&t->loaded, NULL);
    if (digest && !(t->digest = h5ck_arena_strdup(&state->arena, digest)))
        return h5ck_fail_nomem(err);
    t->made_before = state->made;
    *tensor = state->made = t;
    return 0;
}

int h5ck_state_make_tensor(h5ckpt_state *state, const h5ckpt_tensor_info *info, const h5ck_extent *extent,
                           const char *digest, h5ckpt_tensor **tensor, h5ckpt_error **err)
{
    int rc = make_tensor(state, info, extent, digest, tensor, err);
    return rc ? h5ck_err_where(err, rc, NULL, info->name) : 0;
}

int h5ck_state_put_tensor(h5ckpt_tensors *dict, h5ckpt_tensor *t, h5ckpt_error **err)
{
    int rc = insert(&dict->dict, t->info.name, t, "tensor", err);
    return rc ? h5ck_err_where(err, rc, NULL, t->info.name) : 0;
}

int h5ck_state_add_tensor(h5ckpt_state *state, h5ckpt_tensors *dict, const h5ckpt_tensor_info *info,
                          const h5ck_extent *extent, const char *digest, h5ckpt_error **err)
{
    h5ckpt_tensor *t;
    int rc = h5ck_state_make_tensor(state, info, extent, digest, &t, err);
    return rc ? rc : h5ck_state_put_tensor(dict, t, err);
}

static int add_decay(h5ckpt_state *state, const char *name, const h5ckpt_value *object, const struct h5ck_class *spec,
                     h5ck_file *file, h5ckpt_error **err)
{
    int rc = check_name(name, "optimizer", err);
    if (rc)
        return rc;
    if (object->type != H5CKPT_OBJECT)
        return h5ck_fail(err, H5CKPT_INVALID, "expected a learning-rate decay object, found %s",
                         h5ck_value_type_name(object));
    h5ckpt_decay *d = h5ck_arena_zalloc(&state->arena, 1, sizeof *d);
    h5ckpt_value *value = h5ck_arena_memdup(&state->arena, object, sizeof *object);
    char *own_name = h5ck_arena_strdup(&state->arena, name);
    if (!d || !value || !own_name)
        return h5ck_fail_nomem(err);
    d->info = (h5ckpt_decay_info){.name = own_name, .value = value};
    d->class_spec = spec;
    d->file = file;
    return insert(&state->decays.dict, own_name, d, "decay", err);
}

int h5ck_state_add_decay(h5ckpt_state *state, const char *name, const h5ckpt_value *object,
                         const struct h5ck_class *spec, h5ck_file *file, h5ckpt_error **err)
{
    int rc = add_decay(state, name, object, spec, file, err);
    return rc ? h5ck_err_where(err, rc, NULL, name) : 0;
}

int h5ck_state_set_metadata(h5ckpt_state *state, const char *key, const char *text, h5ckpt_error **err)
{
    int rc = check_name(key, "metadata", err);
    if (rc)
        return rc;
    if (!text || !h5ck_text_is_utf8(text, strlen(text)))
        return h5ck_fail(err, H5CKPT_INVALID, "metadata '%s': expected UTF-8, found other bytes", key);
    char *own_key = h5ck_arena_strdup(&state->arena, key), *own_text = h5ck_arena_strdup(&state->arena, text);
    if (!own_key || !own_text)
        return h5ck_fail_nomem(err);
    h5ckpt_value *m = &state->metadata;
    uintptr_t place = (uintptr_t)h5ck_dict_get(&state->metadata_keys, key); /* counted from 1 */
    if (place) {
        state->metadata_fields[place - 1].value = h5ck_value_str(own_text);
        return 0;
    }
    if (m->count == state->metadata_room) {
        size_t room = state->metadata_room ? 2 * state->metadata_room : 8;
        h5ckpt_field *more = h5ck_arena_zalloc(&state->arena, room, sizeof *more);
        if (!more)
            return h5ck_fail_nomem(err);
        if (m->count)
            memcpy(more, state->metadata_fields, m->count * sizeof *more);
        m->as.fields = state->metadata_fields = more;
        state->metadata_room = room;
    }
    if (!h5ck_dict_set(&state->metadata_keys, own_key, (void *)(uintptr_t)(m->count + 1)))
        return h5ck_fail_nomem(err);
    state->metadata_fields[m->count++] = (h5ckpt_field){h5ck_value_str(own_key), h5ck_value_str(own_text)};
    return 0;
}

/* ---- The public look at it ---- */

const h5ckpt_tensors *h5ckpt_state_parameters(const h5ckpt_state *state)
{
    return &state->parameters;
}

const h5ckpt_tensors *h5ckpt_state_optimizer_state(const h5ckpt_state *state)
{
    return &state->optimizer_state;
}

const h5ckpt_decays *h5ckpt_state_decays(const h5ckpt_state *state)
{
    return &state->decays;
}

const h5ckpt_value *h5ckpt_state_metadata(const h5ckpt_state *state)
{
    return &state->metadata;
}

size_t h5ckpt_tensors_count(const h5ckpt_tensors *tensors)
{
    return tensors ? tensors->dict.count : 0;
}

const h5ckpt_tensor *h5ckpt_tensors_at(const h5ckpt_tensors *tensors, size_t i)
{
    return tensors && i < tensors->dict.count ? tensors->dict.entries[i].value : NULL;
}

const h5ckpt_tensor *h5ckpt_tensors_get(const h5ckpt_tensors *tensors, const char *name)
{
    return tensors && name ? h5ck_dict_get(&tensors->dict, name) : NULL;
}

size_t h5ckpt_decays_count(const h5ckpt_decays *decays)
{
    return decays ? decays->dict.count : 0;
}

const h5ckpt_decay *h5ckpt_decays_at(const h5ckpt_decays *decays, size_t i)
{
    return decays && i < decays->dict.count ? decays->dict.entries[i].value : NULL;
}

const h5ckpt_decay *h5ckpt_decays_get(const h5ckpt_decays *decays, const char *name)
{
    return decays && name ? h5ck_dict_get(&decays->dict, name) : NULL;
}

const h5ckpt_decay_info *h5ckpt_decay_get_info(const h5ckpt_decay *decay)
{
    return &decay->info;
}
