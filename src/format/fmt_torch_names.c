/*
 * fmt_torch_names.c - the names of Python that a checkpoint may hold: those that torch.load(weights_only=True) takes, as
 * far as they make plain data or a dense tensor with elements of its own. They are names here: nothing is imported or
 * called. The same list holds for what is written: a skeleton that came with a stranger's HDF5 file must not smuggle a
 * call into a pickle.
 *
 * Python 2 pickles an OrderedDict with its items as arguments, OrderedDict([[key, value], ...]), Python 3 with SETITEMS. The
 * former is made the latter as soon as it is read (h5ck_torch_modernize).
 *
 * Source: torch/_weights_only_unpickler.py, torch/_utils.py of PyTorch 2.15.
 */
#include "format/fmt_torch.h"

#include <string.h>

typedef struct allowed {
    const char *module, *name;
} allowed;

static const allowed calls[] = {
    {"collections", "OrderedDict"},
    {"collections", "Counter"},
    {"__builtin__", "set"},
    {"builtins", "set"},
    {"__builtin__", "complex"},
    {"builtins", "complex"},
    {"__builtin__", "bytearray"},
    {"builtins", "bytearray"},
    {"torch", "Size"},
    {"torch", "device"},
    {"torch", "Tensor"},
    {"torch.nn.parameter", "Parameter"},
    {"torch.serialization", "_get_layout"},
    {"torch._utils", "_rebuild_tensor"},
    {"torch._utils", "_rebuild_tensor_v2"},
    {"torch._utils", "_rebuild_tensor_v3"},
    {"torch._utils", "_rebuild_parameter"},
    {"torch._utils", "_rebuild_parameter_with_state"},
    {"torch._utils", "_rebuild_device_tensor_from_cpu_tensor"},
    {"torch._tensor", "_rebuild_from_type_v2"},
};

/* Tensors that have no plain elements. */
static const struct {
    const char *name, *what;
} refused[] = {
    {"_rebuild_sparse_tensor", "a sparse tensor"},
    {"_rebuild_sparse_csr_tensor", "a sparse tensor"},
    {"_rebuild_qtensor", "a quantized tensor"},
    {"_rebuild_nested_tensor", "a nested tensor"},
    {"_rebuild_meta_tensor_no_storage", "a meta tensor, which has no elements"},
    {"_rebuild_wrapper_subclass", "a tensor of a class of its own"},
    {"_rebuild_device_tensor_from_numpy", "a tensor of another device, kept as an array"},
};

/* The beginnings of the names of torch's dtypes; a dtype that stands alone is kept by its name. */
static const char *const dtypes[] = {"bfloat16", "bits", "bool", "complex", "float", "int", "qint", "quint", "uint"};

static bool is_storage(const char *module, const char *name)
{
    size_t n = strlen(name), tail = strlen("Storage");
    return n > tail && strcmp(name + n - tail, "Storage") == 0 &&
           (strcmp(module, "torch") == 0 || strcmp(module, "torch.storage") == 0 || strcmp(module, "torch.cuda") == 0);
}

static bool is_dtype(const char *module, const char *name)
{
    if (strcmp(module, "torch") != 0 || strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != strlen(name))
        return false;
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
        if (strncmp(name, dtypes[i], strlen(dtypes[i])) == 0)
            return true;
    return false;
}

static const char *refused_as(const char *module, const char *name)
{
    if (strcmp(module, "torch") == 0 && strncmp(name, "per_", 4) == 0) /* per_tensor_affine, ... */
        return "a quantized tensor";
    for (size_t i = 0; strncmp(module, "torch._", 7) == 0 && i < sizeof refused / sizeof *refused; i++)
        if (strcmp(refused[i].name, name) == 0)
            return refused[i].what;
    return strncmp(module, "__torch__", 9) == 0 ? "a module of TorchScript" : NULL;
}

bool h5ck_torch_knows(const char *module, const char *name)
{
    return refused_as(module, name) != NULL;
}

int h5ck_torch_allows(const char *module, const char *name, h5ckpt_error **err)
{
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (strcmp(calls[i].module, module) == 0 && strcmp(calls[i].name, name) == 0)
            return 0;
    if (is_storage(module, name) || is_dtype(module, name))
        return 0;
    const char *what = refused_as(module, name);
    if (what)
        return h5ck_fail(err, H5CKPT_INVALID, "expected plain data and dense tensors, found %s (%s %s)", what, module,
                         name);
    return h5ck_fail(err, H5CKPT_INVALID, "expected what torch.load(weights_only=True) allows, found the global %s %s",
                     module, name);
}

bool h5ck_torch_is(const h5ckpt_value *v, const char *module, const char *name)
{
    return v && v->type == H5CKPT_OBJECT && strcmp(v->as.object->class_name, name) == 0 &&
           strcmp(v->as.object->module, module) == 0;
}

bool h5ck_torch_is_tensor(const h5ckpt_value *v)
{
    return h5ck_torch_is(v, "torch._utils", "_rebuild_tensor_v2") ||
           h5ck_torch_is(v, "torch._utils", "_rebuild_tensor_v3") ||
           h5ck_torch_is(v, "torch._utils", "_rebuild_tensor");
}

const h5ckpt_value *h5ck_torch_items(const h5ckpt_value *v)
{
    static const h5ckpt_value empty = {.type = H5CKPT_DICT};
    if (v && v->type == H5CKPT_DICT)
        return v;
    if (!h5ck_torch_is(v, "collections", "OrderedDict"))
        return NULL;
    const h5ckpt_value *items = h5ckpt_value_get(v, "items");
    return items && items->type == H5CKPT_DICT ? items : &empty;
}

/* ---- Python 2's OrderedDict ---- */

/* The list of pairs that is an OrderedDict's only argument, or NULL. */
static const h5ckpt_value *pairs_of(const h5ckpt_value *v)
{
    const h5ckpt_value *args = h5ck_torch_is(v, "collections", "OrderedDict") ? h5ckpt_value_get(v, "args") : NULL;
    const h5ckpt_value *list = args && args->type == H5CKPT_TUPLE && args->count == 1 ? &args->as.items[0] : NULL;
    if (!list || list->type != H5CKPT_LIST || h5ckpt_value_get(v, "items"))
        return NULL;
    for (size_t i = 0; i < list->count; i++) {
        const h5ckpt_value *pair = &list->as.items[i];
        if ((pair->type != H5CKPT_LIST && pair->type != H5CKPT_TUPLE) || pair->count != 2 ||
            pair->as.items[0].type != H5CKPT_STR)
            return NULL;
    }
    return list;
}

static int make_items(const h5ckpt_value *pairs, h5ck_arena *arena, h5ckpt_value *items, h5ckpt_error **err)
{
    h5ckpt_field *fields = h5ck_arena_zalloc(arena, pairs->count, sizeof *fields);
    h5ck_dict seen = {0};
    int rc = fields ? 0 : h5ck_fail_nomem(err);
    for (size_t i = 0; rc == 0 && i < pairs->count; i++) {
        const h5ckpt_value *pair = pairs->as.items[i].as.items;
        fields[i] = (h5ckpt_field){pair[0], pair[1]};
        h5ck_dict_result result = h5ck_dict_add(&seen, pair[0].as.str, fields);
        if (result == H5CK_DICT_EXISTS)
            rc = h5ck_fail(err, H5CKPT_INVALID, "expected each key of an OrderedDict once, found '%s' again",
                           pair[0].as.str);
        else if (result == H5CK_DICT_NOMEM)
            rc = h5ck_fail_nomem(err);
    }
    h5ck_dict_free(&seen);
    *items = (h5ckpt_value){.type = H5CKPT_DICT, .count = pairs->count, .as.fields = fields};
    return rc;
}

static int modernize_object(h5ckpt_value *v, h5ck_arena *arena, h5ckpt_error **err)
{
    const h5ckpt_value *pairs = pairs_of(v), *state = h5ckpt_value_get(v, "state");
    h5ckpt_object *o = pairs ? h5ck_arena_memdup(arena, v->as.object, sizeof *o) : NULL;
    h5ckpt_field *fields = pairs ? h5ck_arena_zalloc(arena, 3, sizeof *fields) : NULL;
    if (!pairs)
        return 0;
    if (!o || !fields)
        return h5ck_fail_nomem(err);
    o->fields = fields;
    o->count = 0;
    fields[o->count++] = (h5ckpt_field){h5ck_value_str("args"), {.type = H5CKPT_TUPLE}};
    if (state)
        fields[o->count++] = (h5ckpt_field){h5ck_value_str("state"), *state};
    fields[o->count].key = h5ck_value_str("items");
    int rc = make_items(pairs, arena, &fields[o->count++].value, err);
    v->as.object = o;
    return rc;
}

int h5ck_torch_modernize(h5ckpt_value *v, h5ck_arena *arena, h5ckpt_error **err)
{
    int rc = v->type == H5CKPT_OBJECT ? modernize_object(v, arena, err) : 0;
    if (v->type == H5CKPT_LIST || v->type == H5CKPT_TUPLE)
        for (size_t i = 0; rc == 0 && i < v->count; i++)
            rc = h5ck_torch_modernize((h5ckpt_value *)(uintptr_t)&v->as.items[i], arena, err);
    const bool dict = v->type == H5CKPT_DICT, object = v->type == H5CKPT_OBJECT;
    const h5ckpt_field *fields = dict ? v->as.fields : object ? v->as.object->fields : NULL;
    const size_t count = dict ? v->count : object ? v->as.object->count : 0;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = h5ck_torch_modernize((h5ckpt_value *)(uintptr_t)&fields[i].value, arena, err);
    return rc;
}
