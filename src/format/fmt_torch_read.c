/*
 * fmt_torch_read.c - takes apart what a checkpoint's pickle says: model tensors into the parameters, under the names
 * that the model has; an optimizer's into the optimizer state; schedules into the decays; and all the rest, verbatim,
 * into a skeleton with references (fmt_torch.h), from which the same structure is written again.
 *
 * Which tensors are the model's is told by the structure:
 *
 *     a key of `model_keys` at the top holds a dictionary with tensors    that dictionary: names are its keys
 *     else exactly one dictionary there has tensors, and no other value   that one
 *     else                                                                all tensors, with names from the top
 *
 * Nested dictionaries and lists give names joined by '.'. A dictionary with "state" and "param_groups" is an
 * optimizer's. All tensors that are neither (a random generator's state, an average of the weights beside the model) are
 * kept in the optimizer state too, under their path from the top: who looks for weights finds weights only. A dictionary
 * with "last_epoch" and rates is a scheduler's; its decay is named by the path. A name that is taken gets "~" and a
 * number. All names together may have 16 MB and 512 bytes each: a path is repeated in each name below it, so that one long
 * key would make as much text as one likes.
 *
 * Recursion is bounded by H5CK_VALUE_DEPTH, to which the pickle's reader holds all values.
 */
#include "base/text.h"
#include "format/fmt_torch.h"
#include "parse/value_json.h"
#include "schema/scheduler.h"

#include <inttypes.h>
#include <string.h>

enum { FREE_NAME_BYTES = 16 << 20, NAME_BYTES = 512 };

static const char *const model_keys[] = {"state_dict", "model_state_dict", "model_state", "model", "module",
                                         "net",        "network",          "weights",     "params"};

typedef struct walker {
    h5ck_torch_reader *r;
    h5ckpt_state *state;
    h5ck_arena *arena;                              /* of the skeleton; freed when it is text */
    h5ck_buf path;                                  /* of the value that is looked at: keys joined by '.' */
    const h5ckpt_value *model, *others, *schedules; /* dictionaries whose own keys are the names; may be NULL */
    size_t skip;                                    /* bytes of the path that are no part of names here */
    bool in_model, in_optimizer, in_schedule;
    unsigned depth, schedules_depth; /* of the value; of the dictionary of schedules that it is in, or 0 */
    unsigned taken;                  /* names that were taken, so far */
    uint64_t names, name_bytes;
    h5ckpt_error **err;
} walker;

static int rewrite(walker *w, const h5ckpt_value *v, h5ckpt_value *to);
static int rewrite_dict(walker *w, const h5ckpt_value *v, h5ckpt_value *to);

/* ---- Paths ---- */

static void push_key(h5ck_buf *path, const h5ckpt_value *key, size_t place)
{
    if (path->len)
        h5ck_buf_u8(path, '.');
    if (key && key->type == H5CKPT_STR && strlen(key->as.str) == key->count)
        h5ck_buf_str(path, key->as.str);
    else if (key && key->type == H5CKPT_INT)
        h5ck_buf_printf(path, "%" PRId64, key->as.i);
    else
        h5ck_buf_printf(path, "%zu", place);
}

/* The name that the path gives, free in `dict`, in the arena. */
static int name_here(walker *w, const h5ck_dict *dict, const char **name)
{
    const char *path = h5ck_buf_cstr(&w->path);
    h5ck_buf b = H5CK_BUF_INIT;
    if (!path)
        return h5ck_fail_nomem(w->err);
    path += w->skip < w->path.len ? w->skip : w->path.len;
    h5ck_buf_str(&b, *path ? path : "tensor");
    const char *text = h5ck_buf_cstr(&b);
    for (size_t length = b.len; text && h5ck_dict_get(dict, text); text = h5ck_buf_cstr(&b)) {
        b.len = length;
        h5ck_buf_printf(&b, "~%u", ++w->taken);
    }
    w->name_bytes += b.len;
    if (w->name_bytes > FREE_NAME_BYTES + NAME_BYTES * ++w->names) {
        h5ck_buf_free(&b);
        return h5ck_fail(w->err, H5CKPT_INVALID, "expected names of at most %d bytes on average, found longer ones",
                         NAME_BYTES);
    }
    *name = text ? h5ck_arena_strdup(w->arena, text) : NULL;
    h5ck_buf_free(&b);
    return *name ? 0 : h5ck_fail_nomem(w->err);
}

/* ---- What a value is ---- */

static bool is_optimizer(const h5ckpt_value *v)
{
    const h5ckpt_value *items = h5ck_torch_items(v);
    const h5ckpt_value *state = items ? h5ckpt_value_get(items, "state") : NULL;
    const h5ckpt_value *groups = items ? h5ckpt_value_get(items, "param_groups") : NULL;
    return state && groups && h5ck_torch_items(state) && groups->type == H5CKPT_LIST;
}

static bool has_tensors(const h5ckpt_value *v)
{
    if (h5ck_torch_is_tensor(v) || h5ck_torch_is(v, "", "persistent_id") ||
        h5ck_torch_is(v, "torch._tensor", "_rebuild_from_type_v2"))
        return true;
    bool found = false;
    if (v->type == H5CKPT_LIST || v->type == H5CKPT_TUPLE)
        for (size_t i = 0; !found && i < v->count; i++)
            found = has_tensors(&v->as.items[i]);
    const h5ckpt_field *fields = v->type == H5CKPT_DICT     ? v->as.fields
                                 : v->type == H5CKPT_OBJECT ? v->as.object->fields
                                                            : NULL;
    size_t count = v->type == H5CKPT_DICT ? v->count : v->type == H5CKPT_OBJECT ? v->as.object->count : 0;
    for (size_t i = 0; !found && i < count; i++)
        found = has_tensors(&fields[i].value);
    return found;
}

/* A scheduler's state_dict: plain data with text keys. */
static bool is_schedule(const h5ckpt_value *v)
{
    if (v->type != H5CKPT_DICT || !h5ckpt_value_get(v, "last_epoch") ||
        (!h5ckpt_value_get(v, "_last_lr") && !h5ckpt_value_get(v, "base_lrs")))
        return false;
    for (size_t i = 0; i < v->count; i++)
        if (v->as.fields[i].key.type != H5CKPT_STR || v->as.fields[i].key.count == 0)
            return false;
    return !has_tensors(v);
}

/* A tensor with nothing to keep beside its elements: no gradient, no hooks, no metadata. */
static bool is_bare(const h5ckpt_value *v)
{
    const h5ckpt_value *args = h5ckpt_value_get(v, "args"), *hooks;
    if (!args || args->type != H5CKPT_TUPLE || (args->count > 4 && args->as.items[4].as.i))
        return false;
    hooks = args->count > 5 && args->as.items[5].type != H5CKPT_NONE ? &args->as.items[5] : NULL;
    if (hooks && (!h5ck_torch_items(hooks) || h5ck_torch_items(hooks)->count || h5ckpt_value_get(hooks, "state")))
        return false;
    return args->count <= 6 + (size_t)h5ck_torch_is(v, "torch._utils", "_rebuild_tensor_v3");
}

/* Tensors only, each as a model's state_dict has them, whose keys can be their names in `dict`: what one reference to all
 * of them can stand for. */
static bool is_flat(const h5ckpt_value *items, const h5ck_dict *dict)
{
    for (size_t i = 0; i < items->count; i++) {
        const h5ckpt_value *key = &items->as.fields[i].key, *v = &items->as.fields[i].value;
        if (key->type != H5CKPT_STR || key->count == 0 || strlen(key->as.str) != key->count ||
            !h5ck_torch_is_tensor(v) || !is_bare(v) || (dict && h5ck_dict_get(dict, key->as.str)))
            return false;
    }
    return items->count > 0;
}

/* ---- References ---- */

static const char *dict_name(const walker *w, const h5ckpt_tensors *dict)
{
    return dict == &w->state->parameters ? "parameters" : "optimizer_state";
}

static int refer(walker *w, const char *class_name, const h5ckpt_field *fields, size_t count, h5ckpt_value *to)
{
    h5ckpt_object *o = h5ck_arena_zalloc(w->arena, 1, sizeof *o);
    if (!o || !(o->fields = h5ck_arena_memdup(w->arena, fields, count * sizeof *fields)))
        return h5ck_fail_nomem(w->err);
    o->module = "h5ckpt";
    o->class_name = class_name;
    o->count = count;
    *to = (h5ckpt_value){.type = H5CKPT_OBJECT, .as.object = o};
    return 0;
}

static h5ckpt_field field(const char *key, h5ckpt_value value)
{
    return (h5ckpt_field){h5ck_value_str(key), value};
}

static h5ckpt_tensors *dict_here(const walker *w)
{
    return w->in_model && !w->in_optimizer ? &w->state->parameters : &w->state->optimizer_state;
}

/* Makes the tensor and puts it into the dictionary that it belongs to. */
static int add_tensor(walker *w, const h5ckpt_value *v, h5ckpt_tensors *dict, h5ckpt_tensor **tensor,
                      h5ck_torch_extras *extras)
{
    const char *name;
    int rc = name_here(w, &dict->dict, &name);
    *extras = (h5ck_torch_extras){0};
    if (rc == 0)
        rc = h5ck_torch_is_tensor(v) ? h5ck_torch_make_tensor(w->r, v, name, tensor, extras, w->err)
                                     : h5ck_torch_make_storage(w->r, v, name, tensor, w->err);
    if (rc == 0 && extras->same && h5ck_dict_get(&dict->dict, extras->same->info.name) != extras->same)
        extras->same = NULL; /* it is in the other dictionary, which may go its own way */
    return rc ? rc : h5ck_state_put_tensor(dict, *tensor, w->err);
}

static int rewrite_tensor(walker *w, const h5ckpt_value *v, h5ckpt_value *to)
{
    h5ckpt_tensors *dict = dict_here(w);
    h5ckpt_tensor *tensor;
    h5ck_torch_extras extras;
    h5ckpt_field fields[7];
    size_t n = 0;
    int rc = add_tensor(w, v, dict, &tensor, &extras);
    if (rc)
        return rc;
    fields[n++] = field("of", h5ck_value_str(dict_name(w, dict)));
    fields[n++] = field("name", h5ck_value_str(tensor->info.name));
    if (extras.grad)
        fields[n++] = field("grad", h5ck_value_bool(true));
    if (extras.hooks)
        fields[n++] = field("hooks", *extras.hooks);
    if (extras.metadata)
        fields[n++] = field("metadata", *extras.metadata);
    if (extras.same)
        fields[n++] = field("same", h5ck_value_str(extras.same->info.name));
    if (!h5ck_torch_is_tensor(v))
        fields[n++] = field("storage", h5ck_value_bool(true));
    return refer(w, "tensor", fields, n, to);
}

/* As the readers of other formats ask of each object that they meet. */
static int check_objects(walker *w, const h5ckpt_value *v)
{
    const bool object = v->type == H5CKPT_OBJECT, dict = v->type == H5CKPT_DICT;
    const h5ckpt_field *fields = object ? v->as.object->fields : dict ? v->as.fields : NULL;
    const size_t count = object ? v->as.object->count : dict ? v->count : 0;
    int rc = object ? h5ck_schema_check_object((void *)(uintptr_t)w->state->schema, v->as.object, w->err) : 0;
    if (v->type == H5CKPT_LIST || v->type == H5CKPT_TUPLE)
        for (size_t i = 0; rc == 0 && i < v->count; i++)
            rc = check_objects(w, &v->as.items[i]);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = check_objects(w, &fields[i].key);
        if (rc == 0)
            rc = check_objects(w, &fields[i].value);
    }
    return rc;
}

static int rewrite_schedule(walker *w, const h5ckpt_value *v, h5ckpt_value *to)
{
    const char *name;
    h5ckpt_value object, kept;
    w->in_schedule = true; /* schedules inside of it are its fields */
    int rc = rewrite_dict(w, v, to);
    w->in_schedule = false;
    if (rc)
        return rc;
    rc = h5ck_scheduler_read(w->state->schema, "torch", to, w->arena, &object, NULL);
    if (rc == H5CKPT_USAGE)
        return 0; /* a schema of the user's that has no schedulers of torch: it stays where it is */
    rc = rc ? h5ck_fail_nomem(w->err) : name_here(w, &w->state->decays.dict, &name);
    if (rc)
        return rc;
    const h5ckpt_value *original = w->r->originals ? h5ckpt_value_get(w->r->originals, name) : NULL;
    if (original && original->type == H5CKPT_OBJECT) {
        rc = check_objects(w, original);
        object = *original;
    }
    if (rc == 0)
        rc = h5ck_value_copy(&w->state->arena, &object, &kept, w->err);
    if (rc == 0)
        rc = h5ck_state_add_decay(w->state, name, &kept, NULL, w->state->files, w->err);
    const h5ckpt_field fields[] = {field("name", h5ck_value_str(name))};
    return rc ? rc : refer(w, "decay", fields, 1, to);
}

/* ---- A dictionary of tensors as one reference ---- */

/* Adds all tensors; `shared`: a dict of those that are others too. */
static int add_all(walker *w, const h5ckpt_value *items, h5ckpt_tensors *dict, h5ckpt_value *shared)
{
    h5ckpt_field *pairs = h5ck_arena_zalloc(w->arena, items->count, sizeof *pairs);
    int rc = pairs ? 0 : h5ck_fail_nomem(w->err);
    *shared = (h5ckpt_value){.type = H5CKPT_DICT, .as.fields = pairs};
    for (size_t i = 0; rc == 0 && i < items->count; i++) {
        h5ckpt_tensor *tensor;
        h5ck_torch_extras extras;
        size_t length = w->path.len;
        push_key(&w->path, &items->as.fields[i].key, i);
        rc = add_tensor(w, &items->as.fields[i].value, dict, &tensor, &extras);
        w->path.len = length;
        if (rc == 0 && extras.same)
            pairs[shared->count++] = field(tensor->info.name, h5ck_value_str(extras.same->info.name));
    }
    return rc;
}

static int rewrite_flat(walker *w, const h5ckpt_value *v, h5ckpt_value *to)
{
    h5ckpt_tensors *dict = dict_here(w);
    const h5ckpt_value *state = v->type == H5CKPT_OBJECT ? h5ckpt_value_get(v, "state") : NULL;
    h5ckpt_value shared, kept;
    h5ckpt_field fields[4];
    size_t n = 0;
    int rc = add_all(w, h5ck_torch_items(v), dict, &shared);
    if (rc == 0 && state)
        rc = rewrite(w, state, &kept);
    if (rc)
        return rc;
    fields[n++] = field("of", h5ck_value_str(dict_name(w, dict)));
    fields[n++] = field("ordered", h5ck_value_bool(v->type == H5CKPT_OBJECT));
    if (state)
        fields[n++] = field("state", kept);
    if (shared.count)
        fields[n++] = field("shared", shared);
    return refer(w, "tensors", fields, n, to);
}

/* ---- Everything ---- */

/* A text or a number without what only its pickle knew of it: that it was Python 2's, that it was an object of its own.
 * torch.load gives a str all the same. */
static h5ckpt_value plain(const h5ckpt_value *v)
{
    h5ckpt_value copy = *v;
    copy.python2 = copy.distinct = 0;
    return copy;
}

static int rewrite_items(walker *w, const h5ckpt_value *v, h5ckpt_value *to)
{
    h5ckpt_value *items = h5ck_arena_zalloc(w->arena, v->count, sizeof *items);
    int rc = items ? 0 : h5ck_fail_nomem(w->err);
    for (size_t i = 0; rc == 0 && i < v->count; i++) {
        size_t length = w->path.len;
        push_key(&w->path, NULL, i);
        rc = rewrite(w, &v->as.items[i], &items[i]);
        w->path.len = length;
    }
    to->as.items = items;
    return rc;
}

static int rewrite_dict(walker *w, const h5ckpt_value *v, h5ckpt_value *to)
{
    h5ckpt_field *fields = h5ck_arena_zalloc(w->arena, v->count, sizeof *fields);
    int rc = fields ? 0 : h5ck_fail_nomem(w->err);
    for (size_t i = 0; rc == 0 && i < v->count; i++) {
        size_t length = w->path.len;
        push_key(&w->path, &v->as.fields[i].key, i);
        fields[i].key = plain(&v->as.fields[i].key);
        rc = has_tensors(&v->as.fields[i].key)
                 ? h5ck_fail(w->err, H5CKPT_INVALID, "expected keys that are plain data, found a tensor as a key")
                 : rewrite(w, &v->as.fields[i].value, &fields[i].value);
        w->path.len = length;
    }
    to->as.fields = fields;
    return rc;
}

/* A tensor with fields or a class of its own: (function, class, arguments, fields). The call that makes the tensor
 * becomes the reference, in the place of the function. */
static int rewrite_typed(walker *w, const h5ckpt_value *v, h5ckpt_value *to)
{
    const h5ckpt_value *args = h5ckpt_value_get(v, "args");
    if (!args || args->type != H5CKPT_TUPLE || args->count != 4 || args->as.items[0].type != H5CKPT_OBJECT)
        return h5ck_fail(w->err, H5CKPT_INVALID, "expected 4 arguments for _rebuild_from_type_v2, found others");
    const h5ckpt_field inner[] = {field("args", args->as.items[2])};
    h5ckpt_object call = {args->as.items[0].as.object->module, args->as.items[0].as.object->class_name, 1, inner};
    const h5ckpt_value made = {.type = H5CKPT_OBJECT, .as.object = &call};
    h5ckpt_value *parts = h5ck_arena_memdup(w->arena, args->as.items, 4 * sizeof *parts);
    if (!parts)
        return h5ck_fail_nomem(w->err);
    int rc = rewrite(w, &made, &parts[0]);
    parts[2] = (h5ckpt_value){.type = H5CKPT_TUPLE};
    if (rc == 0)
        rc = rewrite(w, &args->as.items[3], &parts[3]);
    const h5ckpt_value four = {.type = H5CKPT_TUPLE, .count = 4, .as.items = parts};
    h5ckpt_object *o = h5ck_arena_memdup(w->arena, v->as.object, sizeof *o);
    h5ckpt_field *fields = h5ck_arena_zalloc(w->arena, 1, sizeof *fields);
    if (rc || !o || !fields)
        return rc ? rc : h5ck_fail_nomem(w->err);
    fields[0] = field("args", four);
    o->fields = fields;
    o->count = 1;
    to->as.object = o;
    return 0;
}

static int rewrite_object(walker *w, const h5ckpt_value *v, h5ckpt_value *to)
{
    if (h5ck_torch_is_tensor(v) || h5ck_torch_is(v, "", "persistent_id"))
        return rewrite_tensor(w, v, to);
    int rc = h5ck_torch_allows(v->as.object->module, v->as.object->class_name, w->err);
    if (rc)
        return rc;
    if (h5ck_torch_is(v, "torch._tensor", "_rebuild_from_type_v2"))
        return rewrite_typed(w, v, to);
    h5ckpt_object *o = h5ck_arena_memdup(w->arena, v->as.object, sizeof *o);
    h5ckpt_field *fields = o ? h5ck_arena_memdup(w->arena, o->fields, o->count * sizeof *fields) : NULL;
    if (!fields)
        return h5ck_fail_nomem(w->err);
    for (size_t i = 0; rc == 0 && i < o->count; i++) {
        const h5ckpt_value *part = &v->as.object->fields[i].value;
        if (strcmp(o->fields[i].key.as.str, "args") != 0) {
            rc = rewrite(w, part, &fields[i].value);
            continue;
        }
        /* what wraps a tensor adds nothing to its name */
        h5ckpt_value *args = h5ck_arena_zalloc(w->arena, part->count, sizeof *args);
        rc = args ? 0 : h5ck_fail_nomem(w->err);
        for (size_t k = 0; rc == 0 && k < part->count; k++)
            rc = rewrite(w, &part->as.items[k], &args[k]);
        fields[i].value.as.items = args;
    }
    o->fields = fields;
    to->as.object = o;
    return rc;
}

/* A schedule that PyTorch's own fields do not show to be one (it has no rate): the original beside it does. */
static bool original_here(walker *w)
{
    const bool schedule = w->schedules_depth && w->depth == w->schedules_depth + 1 && w->r->originals;
    const char *path = schedule ? h5ck_buf_cstr(&w->path) : NULL;
    return path && w->skip < w->path.len && h5ckpt_value_get(w->r->originals, path + w->skip);
}

static int rewrite_container(walker *w, const h5ckpt_value *v, h5ckpt_value *to)
{
    const h5ckpt_value *items = h5ck_torch_items(v);
    bool named = v == w->model || v == w->others;
    if (items && named && is_flat(items, &dict_here(w)->dict))
        return rewrite_flat(w, v, to);
    if (v->type == H5CKPT_DICT)
        return !w->in_schedule && (is_schedule(v) || original_here(w)) ? rewrite_schedule(w, v, to)
                                                                       : rewrite_dict(w, v, to);
    return v->type == H5CKPT_OBJECT ? rewrite_object(w, v, to) : rewrite_items(w, v, to);
}

static int rewrite(walker *w, const h5ckpt_value *v, h5ckpt_value *to)
{
    *to = plain(v);
    if (v->type != H5CKPT_DICT && v->type != H5CKPT_LIST && v->type != H5CKPT_TUPLE && v->type != H5CKPT_OBJECT)
        return 0;
    bool in_model = w->in_model, in_optimizer = w->in_optimizer;
    size_t skip = w->skip;
    unsigned schedules_depth = w->schedules_depth;
    w->depth++;
    if (v == w->schedules)
        w->schedules_depth = w->depth;
    if (v == w->model || v == w->others || v == w->schedules)
        w->skip = w->path.len ? w->path.len + 1 : 0;
    w->in_model |= v == w->model;
    w->in_optimizer |= is_optimizer(v);
    if (w->in_optimizer && !in_optimizer)
        w->skip = 0; /* an optimizer inside of a model has its whole path */
    int rc = rewrite_container(w, v, to);
    w->in_model = in_model;
    w->in_optimizer = in_optimizer;
    w->skip = skip;
    w->schedules_depth = schedules_depth;
    w->depth--;
    return rc;
}

/* ---- The model ---- */

static const h5ckpt_value *model_of(const h5ckpt_value *root)
{
    const h5ckpt_value *top = h5ck_torch_items(root), *only = NULL;
    size_t dicts = 0, direct = 0;
    if (!top)
        return root;
    if (is_optimizer(root))
        return NULL;
    const bool ours = h5ckpt_value_get(top, "optimizer_state") || h5ckpt_value_get(top, "lr_schedulers");
    for (size_t i = 0; i < sizeof model_keys / sizeof *model_keys; i++) {
        const h5ckpt_value *v = h5ckpt_value_get(top, model_keys[i]);
        if (v && h5ck_torch_items(v) && !is_optimizer(v) && (ours || has_tensors(v)))
            return v;
    }
    for (size_t i = 0; i < top->count; i++) {
        const h5ckpt_value *v = &top->as.fields[i].value;
        if (!has_tensors(v) || is_optimizer(v))
            continue;
        if (h5ck_torch_items(v)) {
            only = v;
            dicts++;
        } else {
            direct++;
        }
    }
    return dicts == 1 && direct == 0 ? only : root;
}

/* The dictionaries that h5ckpt itself writes (fmt_torch_build.c) have their names without the path. */
static void find_roles(walker *w, const h5ckpt_value *root)
{
    const h5ckpt_value *top = h5ck_torch_items(root);
    w->model = model_of(root);
    if (!top || w->model == root)
        return;
    const h5ckpt_value *others = h5ckpt_value_get(top, "optimizer_state");
    const h5ckpt_value *schedules = h5ckpt_value_get(top, "lr_schedulers");
    if (others && h5ck_torch_items(others) && is_flat(h5ck_torch_items(others), NULL))
        w->others = others;
    if (schedules && schedules->type == H5CKPT_DICT)
        w->schedules = schedules;
}

/* An OrderedDict of tensors and nothing else is what is written without a skeleton. */
static bool is_needed(const h5ckpt_value *skeleton)
{
    return !h5ck_torch_is(skeleton, "h5ckpt", "tensors") || skeleton->as.object->count > 2 ||
           skeleton->as.object->fields[1].value.as.i == 0;
}

static int keep_skeleton(walker *w, const h5ckpt_value *skeleton)
{
    h5ck_buf json = H5CK_BUF_INIT;
    int rc = h5ck_value_to_json(skeleton, &json, w->err);
    const char *text = rc ? NULL : h5ck_buf_cstr(&json);
    if (rc == 0)
        rc = text ? h5ck_state_set_metadata(w->state, "torch", text, w->err) : h5ck_fail_nomem(w->err);
    h5ck_buf_free(&json);
    return rc;
}

int h5ck_torch_take_apart(h5ck_torch_reader *r, const h5ckpt_value *root, h5ck_arena *scratch, h5ckpt_error **err)
{
    walker w = {.r = r, .state = r->state, .arena = scratch, .err = err};
    h5ckpt_value skeleton;
    find_roles(&w, root);
    int rc = rewrite(&w, root, &skeleton);
    if (rc == 0)
        rc = h5ck_torch_check_views(r, err);
    if (rc == 0 && is_needed(&skeleton))
        rc = keep_skeleton(&w, &skeleton);
    h5ck_buf_free(&w.path);
    return rc;
}
