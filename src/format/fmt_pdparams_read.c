/*
 * fmt_pdparams_read.c - a state out of Paddle's pickles. The story is in fmt_pdparams.c.
 *
 * The pickle's arrays are taken where they lie: each becomes an extent, and in the value an object that only this file
 * knows (struct array). Then one walk over the value names them, and leaves the value that the metadata keeps: the same,
 * with a marker where an array or a scheduler's state was (fmt_pdparams.h).
 *
 * A tensor is called by the keys that lead to it, joined by '/'. Of a file that holds several dictionaries
 * ({"model": ..., "opt": ...}) the first key is left out where there is one such dictionary of parameters, or of the
 * optimizer's tensors, only. Entries of the outermost dictionary that the state says by itself are not kept twice.
 *
 * A memo makes many arrays of the elements of one, and a path is repeated in each name below it. So a small file could
 * ask for any time and space: all arrays together may be 64 times as large as the file, or 1 GB; all names may have
 * 16 MB and 512 bytes each.
 */
#include "base/ckd.h"
#include "format/carrier.h"
#include "format/fmt_pdparams.h"
#include "move/view.h"
#include "parse/latin1.h"
#include "parse/pickle.h"
#include "parse/value_json.h"
#include "schema/scheduler.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_TIMES = 64, FREE_BYTES = 1 << 30, FREE_NAME_BYTES = 16 << 20, NAME_BYTES = 512 };

static const char array_module[] = "array"; /* its address tells an array from all objects of the pickle */

/* A NumPy array of the pickle, before it has a name. */
typedef struct array {
    h5ckpt_object object; /* module: array_module */
    h5ckpt_dtype dtype;
    size_t rank;
    const uint64_t *shape;
    uint64_t nbytes, at;
    h5ck_extent extent;
} array;

typedef struct reader {
    h5ckpt_state *state;
    h5ck_arena *scratch; /* of the value, and of what the metadata keeps */
    h5ck_file *file;
    const unsigned char *data;
    bool optimizer;                     /* a .pdopt */
    h5ck_buf path;                      /* of keys, to where the walk is */
    size_t first;                       /* the length of the first one */
    bool strip[2];                      /* the first key, of parameters and of the optimizer's tensors */
    size_t again;                       /* names that were taken */
    uint64_t nbytes, names, name_bytes; /* of all arrays; names, and their bytes */
    h5ckpt_error **err;
} reader;

/* ---- Arrays ---- */

static const array *as_array(const h5ckpt_value *v)
{
    return v->type == H5CKPT_OBJECT && v->as.object->module == array_module ? (const array *)v->as.object : NULL;
}

static int new_array(reader *r, const array *from, h5ckpt_value *value)
{
    array *a = h5ck_arena_memdup(r->scratch, from, sizeof *from);
    if (!a)
        return h5ck_fail_nomem(r->err);
    a->object = (h5ckpt_object){.module = array_module, .class_name = "array"};
    *value = (h5ckpt_value){.type = H5CKPT_OBJECT, .as.object = &a->object};
    return 0;
}

/* A tensor in no dictionary: the elements as they lie in the file. */
static int plain_tensor(reader *r, h5ckpt_dtype dtype, uint64_t nbytes, const h5ck_extent *extent,
                        h5ckpt_tensor **tensor)
{
    uint64_t count = nbytes / h5ck_dtype_get(dtype)->size;
    const h5ckpt_tensor_info info = {.name = "elements", .dtype = dtype, .rank = 1, .shape = &count};
    return h5ck_state_make_tensor(r->state, &info, extent, NULL, tensor, r->err);
}

/* Column-major or big-endian elements are seen through a view. */
static int put_in_order(reader *r, const h5ck_pickle_array *a, array *made)
{
    h5ckpt_tensor *source;
    uint64_t strides[H5CK_MAX_RANK], step = 1;
    for (size_t i = 0; i < a->rank; i++) {
        size_t axis = a->fortran ? i : a->rank - 1 - i;
        strides[axis] = step;
        step *= a->shape[axis]; /* the product was checked: nbytes */
    }
    int rc = plain_tensor(r, made->dtype, a->nbytes, &made->extent, &source);
    if (rc)
        return rc;
    const h5ck_view view = {
        .source = source, .rank = a->rank, .shape = a->shape, .strides = strides, .swap = a->big_endian};
    return h5ck_view_make(&r->state->arena, &view, &made->extent, r->err);
}

/* Counts an array's elements; before anything is done with them, for text is gone through at once. */
static int charge_array(reader *r, const h5ck_pickle_array *a)
{
    uint64_t most;
    if (h5ck_ckd_add(r->nbytes, a->nbytes, &r->nbytes))
        r->nbytes = UINT64_MAX;
    if (h5ck_ckd_mul(r->file->size, MOST_TIMES, &most) || h5ck_ckd_add(most, FREE_BYTES, &most) || r->nbytes <= most)
        return 0;
    return h5ck_fail_at(r->err, a->at,
                        "expected arrays of at most %d times what the file has, found %" PRIu64 " bytes in a file of "
                        "%" PRIu64,
                        MOST_TIMES, r->nbytes, r->file->size);
}

static int take_array(void *user, const h5ck_pickle_array *a, h5ckpt_value *value, h5ckpt_error **err)
{
    reader *r = user;
    (void)err;
    array made = {.dtype = a->dtype == H5CKPT_DTYPE_UINT16 ? H5CKPT_DTYPE_BFLOAT16 : a->dtype,
                  .rank = a->rank,
                  .shape = a->shape,
                  .nbytes = a->nbytes,
                  .at = a->at,
                  .extent = {.kind = H5CK_EXTENT_FILE, .file = r->file}};
    int rc = charge_array(r, a);
    if (rc)
        return rc;
    if (a->storage == H5CK_PICKLE_RAW) {
        made.extent.offset = (uint64_t)(a->data - r->data);
    } else if (a->storage == H5CK_PICKLE_LATIN1) {
        rc = h5ck_latin1_make(&r->state->arena, r->file, (uint64_t)(a->data - r->data), a->data, a->len, a->nbytes,
                              &made.extent, r->err);
    } else {
        made.extent.kind = H5CK_EXTENT_MEMORY;
        made.extent.memory = h5ck_arena_memdup(&r->state->arena, a->data, a->len);
        rc = made.extent.memory ? 0 : h5ck_fail_nomem(r->err);
    }
    if (rc == 0 && (a->fortran || a->big_endian))
        rc = put_in_order(r, a, &made);
    return rc ? rc : new_array(r, &made, value);
}

/* eval and tuple are how Paddle wraps a tensor: they are undone here, and never written. */
static bool allows(void *user, const char *module, const char *name)
{
    bool builtin = strcmp(module, "builtins") == 0 || strcmp(module, "__builtin__") == 0;
    return (builtin && (strcmp(name, "eval") == 0 || strcmp(name, "tuple") == 0)) ||
           h5ck_fmt_pdparams_allows(user, module, name);
}

static int check_object(void *user, const h5ckpt_object *object, h5ckpt_error **err)
{
    reader *r = user;
    if (strcmp(object->module, H5CK_PDPARAMS_MODULE) == 0)
        return h5ck_fail(err, H5CKPT_INVALID, "expected a class of another module: this one's stand for tensors");
    return h5ck_schema_check_object((void *)(uintptr_t)r->state->schema, object, err);
}

/* ---- What dictionaries are ---- */

static bool is_object(const h5ckpt_value *v, const char *class_name)
{
    return v->type == H5CKPT_OBJECT && !as_array(v) && strcmp(v->as.object->class_name, class_name) == 0 &&
           h5ck_fmt_pdparams_allows(NULL, v->as.object->module, class_name);
}

/* The dict itself, an OrderedDict's items; NULL for anything else. */
static const h5ckpt_value *dict_of(const h5ckpt_value *v)
{
    if (v->type == H5CKPT_DICT)
        return v;
    const h5ckpt_value *items = is_object(v, "OrderedDict") ? h5ckpt_value_get(v, "items") : NULL;
    return items && items->type == H5CKPT_DICT ? items : NULL;
}

static bool has_arrays(const h5ckpt_value *v)
{
    const h5ckpt_field *fields = v->type == H5CKPT_DICT     ? v->as.fields
                                 : v->type == H5CKPT_OBJECT ? v->as.object->fields
                                                            : NULL;
    size_t count = v->type == H5CKPT_OBJECT ? v->as.object->count : v->count;
    if (as_array(v))
        return true;
    for (size_t i = 0; fields && i < count; i++)
        if (has_arrays(&fields[i].value))
            return true;
    for (size_t i = 0; (v->type == H5CKPT_LIST || v->type == H5CKPT_TUPLE) && i < count; i++)
        if (has_arrays(&v->as.items[i]))
            return true;
    return false;
}

static bool ends_in(const char *s, size_t n, const char *end)
{
    size_t m = strlen(end);
    return n >= m && memcmp(s + n - m, end, m) == 0;
}

/* A dictionary that only an optimizer has: a scheduler, or the accumulators that Paddle's optimizers make. */
static bool is_optimizers(const h5ckpt_value *dict)
{
    static const char *const accumulators[] = {"_moment1_0",   "_moment2_0",           "_moment_0",   "_velocity_0",
                                               "_inf_norm_0",  "_beta1_pow_acc_0",     "_momentum_0", "_mean_square_0",
                                               "_mean_grad_0", "__avg_squared_grad_0", NULL};
    if (h5ckpt_value_get(dict, H5CK_PDPARAMS_SCHEDULER) || h5ckpt_value_get(dict, "master_weights"))
        return true;
    for (size_t i = 0; i < dict->count; i++) {
        const h5ckpt_value *key = &dict->as.fields[i].key;
        for (const char *const *a = accumulators; key->type == H5CKPT_STR && *a; a++)
            if (ends_in(key->as.str, key->count, *a) && has_arrays(&dict->as.fields[i].value))
                return true;
    }
    return false;
}

/* ---- Names ---- */

/* Appends a key to the path; the length to go back to. */
static size_t enter(reader *r, const h5ckpt_value *key, size_t index)
{
    size_t before = r->path.len;
    if (before)
        h5ck_buf_u8(&r->path, '/');
    if (key && key->type == H5CKPT_STR && !memchr(key->as.str, 0, key->count))
        h5ck_buf_add(&r->path, key->as.str, key->count);
    else if (key && key->type == H5CKPT_INT)
        h5ck_buf_printf(&r->path, "%" PRId64, key->as.i);
    else
        h5ck_buf_printf(&r->path, "%zu", index);
    if (before == 0)
        r->first = r->path.len;
    return before;
}

/* The name of what is here in a dictionary: the path, and where that is taken a number behind it. In scratch. */
static int name_here(reader *r, const h5ck_dict *dict, bool strip, const char **name)
{
    const char *path = h5ck_buf_cstr(&r->path);
    size_t skip = strip && r->path.len > r->first ? r->first + 1 : 0;
    h5ck_buf b = H5CK_BUF_INIT;
    if (!path)
        return h5ck_fail_nomem(r->err);
    h5ck_buf_str(&b, path + skip);
    size_t len = b.len;
    const char *text = h5ck_buf_cstr(&b);
    for (; text && h5ck_dict_get(dict, text); text = h5ck_buf_cstr(&b)) {
        b.len = len;
        h5ck_buf_printf(&b, "#%zu", ++r->again + 1);
    }
    r->name_bytes += b.len;
    bool fits = r->name_bytes <= FREE_NAME_BYTES + NAME_BYTES * ++r->names;
    *name = text && fits ? h5ck_arena_strdup(r->scratch, text) : NULL;
    h5ck_buf_free(&b);
    if (!fits)
        return h5ck_fail(r->err, H5CKPT_INVALID, "expected names of at most %d bytes on average, found longer ones",
                         NAME_BYTES);
    return *name ? 0 : h5ck_fail_nomem(r->err);
}

/* {name: ...} of the marker's class. */
static int mark(reader *r, const char *class_name, const char *name, h5ckpt_value *out)
{
    h5ckpt_object *object = h5ck_arena_zalloc(r->scratch, 1, sizeof *object);
    h5ckpt_field *field = h5ck_arena_zalloc(r->scratch, 1, sizeof *field);
    if (!object || !field)
        return h5ck_fail_nomem(r->err);
    *field = (h5ckpt_field){h5ck_value_str("name"), h5ck_value_str(name)};
    *object = (h5ckpt_object){H5CK_PDPARAMS_MODULE, class_name, 1, field};
    *out = (h5ckpt_value){.type = H5CKPT_OBJECT, .as.object = object};
    return 0;
}

static const char *marked_name(const h5ckpt_value *v, const char *class_name)
{
    bool is = v->type == H5CKPT_OBJECT && strcmp(v->as.object->module, H5CK_PDPARAMS_MODULE) == 0 &&
              strcmp(v->as.object->class_name, class_name) == 0;
    return is ? v->as.object->fields[0].value.as.str : NULL;
}

static int add_tensor(reader *r, const array *a, bool slot, h5ckpt_value *out)
{
    h5ckpt_tensors *dict = slot ? &r->state->optimizer_state : &r->state->parameters;
    h5ckpt_tensor_info info = {.dtype = a->dtype, .rank = a->rank, .shape = a->shape};
    int rc = name_here(r, &dict->dict, r->strip[slot], &info.name);
    if (rc)
        return rc;
    rc = h5ck_state_add_tensor(r->state, dict, &info, &a->extent, NULL, r->err);
    return rc ? rc : mark(r, slot ? H5CK_PDPARAMS_SLOT : H5CK_PDPARAMS_WEIGHT, info.name, out);
}

/* ---- Schedulers ---- */

static bool has_text_keys(const h5ckpt_value *dict)
{
    for (size_t i = 0; i < dict->count; i++)
        if (dict->as.fields[i].key.type != H5CKPT_STR)
            return false;
    return dict->count > 0;
}

/* Where a schema tells of no schedulers, *found stays false: their state is kept with all else. */
static int add_schedule(reader *r, const h5ckpt_value *dict, h5ckpt_value *out, bool *found)
{
    h5ckpt_value object, kept;
    bool old = h5ckpt_value_get(dict, "step_num") || h5ckpt_value_get(dict, "epoch_num");
    h5ckpt_error *why = NULL;
    int rc = h5ck_value_copy(&r->state->arena, dict, &kept, r->err);
    if (rc == 0 && (rc = h5ck_scheduler_read(r->state->schema, old ? "paddle-1.x" : "paddle", &kept, &r->state->arena,
                                             &object, &why)) == H5CKPT_USAGE) {
        h5ckpt_error_free(why);
        return 0;
    }
    if (rc) {
        if (why)
            h5ck_fail(r->err, rc, "%s", why->message);
        h5ckpt_error_free(why);
        return rc;
    }
    const char *name;
    rc = name_here(r, &r->state->decays.dict, r->strip[1] || r->strip[0], &name);
    if (rc)
        return rc;
    *found = true;
    rc = h5ck_state_add_decay(r->state, name, &object, NULL, r->file, r->err);
    return rc ? rc : mark(r, H5CK_PDPARAMS_SCHEDULE, name, out);
}

/* ---- The walk. The pickle's reader bounds its depth. ---- */

static int walk(reader *r, const h5ckpt_value *v, bool slot, h5ckpt_value *out);

static int walk_fields(reader *r, const h5ckpt_field *fields, size_t count, bool slot, const h5ckpt_field **out)
{
    h5ckpt_field *made = h5ck_arena_alloc(r->scratch, count * sizeof *made);
    if (!made)
        return h5ck_fail_nomem(r->err);
    *out = made;
    for (size_t i = 0; i < count; i++) {
        const h5ckpt_value *key = &fields[i].key, *value = &fields[i].value;
        size_t before = enter(r, key, i);
        bool schedule = key->type == H5CKPT_STR && strcmp(key->as.str, H5CK_PDPARAMS_SCHEDULER) == 0 &&
                        value->type == H5CKPT_DICT && has_text_keys(value) && !has_arrays(value);
        bool found = false;
        made[i].key = *key;
        made[i].key.python2 = made[i].key.distinct = 0; /* what is written is Python 3's */
        int rc = schedule ? add_schedule(r, value, &made[i].value, &found) : 0;
        if (rc == 0 && !found)
            rc = walk(r, value, slot, &made[i].value);
        if (rc)
            return rc;
        r->path.len = before;
    }
    return 0;
}

static int walk_items(reader *r, const h5ckpt_value *v, bool slot, h5ckpt_value *out)
{
    h5ckpt_value *items = h5ck_arena_alloc(r->scratch, v->count * sizeof *items);
    if (!items)
        return h5ck_fail_nomem(r->err);
    /* (name, array): a tensor of Paddle 2.1 and later. Elsewhere its name is that of the place where it is. */
    bool tensor =
        v->type == H5CKPT_TUPLE && v->count == 2 && v->as.items[0].type == H5CKPT_STR && as_array(&v->as.items[1]);
    size_t outside = r->path.len;
    if (tensor && outside == 0)
        enter(r, &v->as.items[0], 0);
    *out = (h5ckpt_value){.type = v->type, .count = v->count, .as.items = items};
    for (size_t i = 0; i < v->count; i++) {
        size_t before = tensor ? r->path.len : enter(r, NULL, i);
        int rc = walk(r, &v->as.items[i], slot, &items[i]);
        if (rc)
            return rc;
        r->path.len = before;
    }
    r->path.len = outside;
    return 0;
}

/* eval('data', {'data': array}) is how a static program's tensor is saved: the array. tuple((name, array),): the tuple. */
static int walk_builtin(reader *r, const h5ckpt_value *v, bool slot, h5ckpt_value *out)
{
    const h5ckpt_object *o = v->as.object;
    const h5ckpt_value *args = h5ckpt_value_get(v, "args"), *data = NULL;
    if (o->count == 1 && args && strcmp(o->class_name, "tuple") == 0 && args->count == 1 &&
        (args->as.items[0].type == H5CKPT_TUPLE || args->as.items[0].type == H5CKPT_LIST)) {
        h5ckpt_value tuple = args->as.items[0];
        tuple.type = H5CKPT_TUPLE;
        return walk(r, &tuple, slot, out);
    }
    if (o->count == 1 && args && strcmp(o->class_name, "eval") == 0 && args->count == 2 &&
        args->as.items[0].type == H5CKPT_STR && strcmp(args->as.items[0].as.str, "data") == 0 &&
        args->as.items[1].type == H5CKPT_DICT && args->as.items[1].count == 1)
        data = h5ckpt_value_get(&args->as.items[1], "data");
    if (data && as_array(data))
        return walk(r, data, slot, out);
    return h5ck_fail(r->err, H5CKPT_INVALID, "expected %s only as Paddle writes a tensor, found another call of it",
                     o->class_name);
}

static int walk_object(reader *r, const h5ckpt_value *v, bool slot, h5ckpt_value *out)
{
    const h5ckpt_object *o = v->as.object;
    bool wraps = (strcmp(o->class_name, "eval") == 0 || strcmp(o->class_name, "tuple") == 0) &&
                 allows(NULL, o->module, o->class_name);
    if (wraps)
        return walk_builtin(r, v, slot, out);
    h5ckpt_object *made = h5ck_arena_memdup(r->scratch, o, sizeof *o);
    h5ckpt_field *fields = h5ck_arena_alloc(r->scratch, o->count * sizeof *fields);
    if (!made || !fields)
        return h5ck_fail_nomem(r->err);
    made->fields = fields;
    *out = (h5ckpt_value){.type = H5CKPT_OBJECT, .as.object = made};
    bool call = h5ck_fmt_pdparams_allows(NULL, o->module, o->class_name);
    for (size_t i = 0; i < o->count; i++) {
        bool items = call && strcmp(o->fields[i].key.as.str, "items") == 0; /* no step of the path */
        size_t before = items ? r->path.len : enter(r, &o->fields[i].key, i);
        fields[i].key = o->fields[i].key;
        int rc = walk(r, &o->fields[i].value, slot, &fields[i].value);
        if (rc)
            return rc;
        r->path.len = before;
    }
    return 0;
}

static int walk(reader *r, const h5ckpt_value *v, bool slot, h5ckpt_value *out)
{
    const array *a = as_array(v);
    const h5ckpt_value *dict = dict_of(v);
    if (a)
        return add_tensor(r, a, slot, out);
    *out = *v;
    out->python2 = out->distinct = 0;
    if (dict && !slot)
        slot = is_optimizers(dict);
    if (v->type == H5CKPT_DICT)
        return walk_fields(r, v->as.fields, v->count, slot, &out->as.fields);
    if (v->type == H5CKPT_OBJECT)
        return walk_object(r, v, slot, out);
    if (v->type == H5CKPT_LIST || v->type == H5CKPT_TUPLE)
        return walk_items(r, v, slot, out);
    return 0;
}

/* ---- The outermost dictionary ---- */

/* Whether one dictionary in it holds all parameters, or all of the optimizer's tensors. */
static void find_groups(reader *r, const h5ckpt_value *root)
{
    const h5ckpt_value *dict = dict_of(root);
    size_t groups[2] = {0, 0}, alone = 0;
    if (!dict || r->optimizer || is_optimizers(dict))
        return;
    for (size_t i = 0; i < dict->count; i++) {
        const h5ckpt_value *value = &dict->as.fields[i].value, *inner = dict_of(value);
        bool slot = inner && is_optimizers(inner), arrays = has_arrays(value);
        if (inner && (arrays || slot))
            groups[slot]++;
        else if (arrays)
            alone++;
    }
    r->strip[0] = groups[0] == 1 && alone == 0;
    r->strip[1] = groups[1] == 1;
}

/* An array that was split: its pieces one behind the other. `arrays` has those of the dictionary that no other took. */
static int join(reader *r, h5ck_dict *arrays, const h5ckpt_value *key, const h5ckpt_value *how, h5ckpt_value *joined)
{
    const h5ckpt_value *shape = h5ckpt_value_get(how, "OriginShape"), *slices = h5ckpt_value_get(how, "slices");
    array made = {.nbytes = 0};
    bool good = shape && slices && shape->type == H5CKPT_TUPLE && shape->count <= H5CK_MAX_RANK &&
                slices->type == H5CKPT_LIST && slices->count;
    uint64_t *dims = good ? h5ck_arena_alloc(r->scratch, shape->count * sizeof *dims) : NULL;
    const h5ckpt_tensor **parts = good ? h5ck_arena_alloc(r->scratch, slices->count * sizeof *parts) : NULL;
    if (good && (!dims || !parts))
        return h5ck_fail_nomem(r->err);
    for (size_t i = 0; good && i < slices->count; i++) {
        const h5ckpt_value *name = &slices->as.items[i];
        const array *a = name->type == H5CKPT_STR ? h5ck_dict_get(arrays, name->as.str) : NULL;
        h5ckpt_tensor *tensor;
        if (!(good = a && (i == 0 || a->dtype == made.dtype)))
            break;
        if (!h5ck_dict_set(arrays, name->as.str, NULL))
            return h5ck_fail_nomem(r->err);
        int rc = plain_tensor(r, a->dtype, a->nbytes, &a->extent, &tensor);
        if (rc)
            return rc;
        made.dtype = a->dtype;
        parts[i] = tensor;
        good = !h5ck_ckd_add(made.nbytes, a->nbytes, &made.nbytes);
    }
    uint64_t nbytes = good ? h5ck_dtype_get(made.dtype)->size : 0;
    for (size_t i = 0; good && i < shape->count; i++) {
        good = shape->as.items[i].type == H5CKPT_INT && shape->as.items[i].as.i >= 0;
        dims[i] = good ? (uint64_t)shape->as.items[i].as.i : 0;
        good = good && !h5ck_ckd_mul(nbytes, dims[i], &nbytes);
    }
    if (!good || nbytes != made.nbytes)
        return h5ck_fail(r->err, H5CKPT_INVALID,
                         "expected the slices of '%s', each once, and their shape in " H5CK_PDPARAMS_SPLIT
                         ", found others",
                         key->type == H5CKPT_STR ? key->as.str : "?");
    made.rank = shape->count;
    made.shape = dims;
    int rc = h5ck_view_concatenate(&r->state->arena, parts, slices->count, &made.extent, r->err);
    return rc ? rc : new_array(r, &made, joined);
}

static bool is_plain_key(const h5ckpt_value *key)
{
    return key->type == H5CKPT_STR && !memchr(key->as.str, 0, key->count);
}

/* The dictionary with its split arrays whole again. A slice that one took is in `arrays` with nothing behind it. */
static int join_fields(reader *r, h5ckpt_value *root, const h5ckpt_value *split, h5ck_dict *arrays)
{
    h5ckpt_field *fields = h5ck_arena_alloc(r->scratch, (root->count + split->count) * sizeof *fields);
    size_t count = 0;
    int rc = fields ? 0 : h5ck_fail_nomem(r->err);
    for (size_t i = 0; rc == 0 && i < root->count; i++) {
        const array *a = as_array(&root->as.fields[i].value);
        if (a && is_plain_key(&root->as.fields[i].key) &&
            !h5ck_dict_set(arrays, root->as.fields[i].key.as.str, (void *)(uintptr_t)a))
            rc = h5ck_fail_nomem(r->err);
    }
    for (size_t i = 0; rc == 0 && i < split->count; i++, count++) {
        fields[count].key = split->as.fields[i].key;
        rc = join(r, arrays, &fields[count].key, &split->as.fields[i].value, &fields[count].value);
    }
    for (size_t i = 0; rc == 0 && i < root->count; i++) {
        const h5ckpt_field *f = &root->as.fields[i];
        bool taken = as_array(&f->value) && is_plain_key(&f->key) && !h5ck_dict_get(arrays, f->key.as.str);
        if (!taken && &f->value != split)
            fields[count++] = *f;
    }
    *root = (h5ckpt_value){.type = H5CKPT_DICT, .count = count, .as.fields = fields};
    return rc;
}

static int join_all(reader *r, h5ckpt_value *root)
{
    const h5ckpt_value *split = root->type == H5CKPT_DICT ? h5ckpt_value_get(root, H5CK_PDPARAMS_SPLIT) : NULL;
    h5ck_dict arrays = {0};
    if (!split || split->type != H5CKPT_DICT)
        return 0;
    int rc = join_fields(r, root, split, &arrays);
    h5ck_dict_free(&arrays);
    return rc;
}

/* Takes out what the state says by itself: tensors under their own names, the one scheduler of a .pdopt. */
static void drop_what_is_known(const reader *r, h5ckpt_value *root)
{
    h5ckpt_field *fields = (h5ckpt_field *)(uintptr_t)root->as.fields; /* in scratch, made by walk_fields */
    size_t count = 0;
    for (size_t i = 0; i < root->count; i++) {
        const char *name = marked_name(&fields[i].value, r->optimizer ? H5CK_PDPARAMS_SLOT : H5CK_PDPARAMS_WEIGHT);
        if (!name && r->optimizer)
            name = marked_name(&fields[i].value, H5CK_PDPARAMS_SCHEDULE);
        if (!name || !is_plain_key(&fields[i].key) || strcmp(name, fields[i].key.as.str) != 0)
            fields[count++] = fields[i];
    }
    root->count = count;
}

/* ---- Files ---- */

/* The decays that h5ckpt kept in a .pdopt as they were; then LR_Scheduler is what it made of them for Paddle. */
static int take_decays(reader *r, h5ckpt_value *root)
{
    const h5ckpt_value *text =
        r->optimizer && root->type == H5CKPT_DICT ? h5ckpt_value_get(root, H5CK_CARRIER_DECAYS) : NULL;
    h5ckpt_value decays;
    if (!text)
        return 0;
    int rc = text->type == H5CKPT_STR
                 ? h5ck_value_from_json(text->as.str, text->count, &r->state->arena, &decays, r->err)
                 : h5ck_fail(r->err, H5CKPT_INVALID, "expected text, found %s", h5ck_value_type_name(text));
    if (rc == 0)
        rc = h5ck_carrier_add_decays(r->state, r->file, &decays, r->err);
    h5ckpt_field *fields = (h5ckpt_field *)(uintptr_t)root->as.fields; /* in scratch, made by the pickle's reader */
    size_t count = 0;
    for (size_t i = 0; i < root->count; i++) {
        const char *key = fields[i].key.type == H5CKPT_STR ? fields[i].key.as.str : "";
        if (strcmp(key, H5CK_CARRIER_DECAYS) != 0 && strcmp(key, H5CK_PDPARAMS_SCHEDULER) != 0)
            fields[count++] = fields[i];
    }
    root->count = count;
    return rc ? h5ck_err_part(r->err, rc, H5CK_CARRIER_DECAYS) : 0;
}

static int read_value(reader *r, h5ckpt_value *rest)
{
    const h5ck_pickle_policy policy = {
        .check_object = check_object, .user = r, .allows = allows, .take_array = take_array, .large = true};
    h5ckpt_value value;
    int rc = h5ck_pickle_read(r->data, (size_t)r->file->size, &policy, r->scratch, &value, r->err);
    if (rc == 0)
        rc = join_all(r, &value);
    if (rc == 0)
        rc = take_decays(r, &value);
    if (rc)
        return rc;
    if (!dict_of(&value) && !has_arrays(&value))
        return h5ck_fail(r->err, H5CKPT_INVALID, "expected a dictionary or tensors in a pickle, found %s",
                         h5ck_value_type_name(&value));
    if (as_array(&value))
        enter(r, &(h5ckpt_value){.type = H5CKPT_STR, .count = 6, .as.str = "tensor"}, 0);
    find_groups(r, &value);
    rc = walk(r, &value, r->optimizer, rest);
    if (rc == 0 && r->path.failed)
        rc = h5ck_fail_nomem(r->err);
    if (rc == 0 && rest->type == H5CKPT_DICT)
        drop_what_is_known(r, rest);
    return rc;
}

/* Reads one file; *rest is what the state does not say. */
static int read_file(const char *path, bool optimizer, h5ckpt_state *state, h5ck_arena *scratch, h5ckpt_value *rest,
                     h5ckpt_error **err)
{
    reader r = {.state = state, .scratch = scratch, .optimizer = optimizer, .err = err};
    int fd;
    if (!(r.file = h5ck_state_new_file(state, path, NULL)))
        return h5ck_fail_nomem(err);
    int rc = h5ck_fs_open_source(r.file->root, NULL, r.file, &fd, err); /* the root is borrowed: our copy */
    if (rc)
        return rc;
    rc = h5ck_fs_map(r.file, &r.data, err);
    if (rc == 0)
        rc = read_value(&r, rest);
    if (rc == 0)
        rc = h5ck_fs_unchanged(r.file, fd, err);
    close(fd);
    h5ck_buf_free(&r.path);
    return rc ? h5ck_file_where(err, rc, r.file) : 0;
}

static int keep_rest(h5ckpt_state *state, const h5ckpt_field *rests, size_t count, h5ckpt_error **err)
{
    h5ck_buf text = H5CK_BUF_INIT;
    const h5ckpt_value dict = {.type = H5CKPT_DICT, .count = count, .as.fields = rests};
    int rc = h5ck_value_to_json(&dict, &text, err);
    const char *s = rc ? NULL : h5ck_buf_cstr(&text);
    if (rc == 0)
        rc = s ? h5ck_state_set_metadata(state, H5CK_PDPARAMS_METADATA, s, err) : h5ck_fail_nomem(err);
    h5ck_buf_free(&text);
    return rc;
}

static bool is_empty_dict(const h5ckpt_value *v)
{
    return v->type == H5CKPT_DICT && v->count == 0;
}

int h5ck_fmt_pdparams_read(const char *path, h5ckpt_state *state, const h5ck_log *log, h5ckpt_error **err)
{
    h5ck_arena scratch = {NULL};
    h5ckpt_field rests[2];
    h5ckpt_value rest;
    size_t count = 0;
    bool optimizer = h5ck_fmt_pdparams_is_optimizer(path), failed;
    h5ck_fs_stat st = {0};
    int rc = read_file(path, optimizer, state, &scratch, &rest, err);
    if (rc == 0 && !is_empty_dict(&rest))
        rests[count++] =
            (h5ckpt_field){h5ck_value_str(optimizer ? H5CK_PDPARAMS_OPTIMIZER : H5CK_PDPARAMS_MODEL), rest};
    const char *beside = h5ck_fmt_pdparams_beside(path, &scratch, &failed);
    if (rc == 0)
        rc = failed ? h5ck_fail_nomem(err) : beside ? h5ck_fs_status(beside, &st, NULL), 0 : 0;
    if (rc == 0 && st.exists && st.is_file) {
        size_t known = state->optimizer_state.dict.count + state->decays.dict.count;
        h5ck_log_note(log, "%s: read too: the optimizer's state", beside);
        rc = read_file(beside, true, state, &scratch, &rest, err);
        bool says_nothing = state->optimizer_state.dict.count + state->decays.dict.count == known;
        if (rc == 0 && (!is_empty_dict(&rest) || says_nothing))
            rests[count++] = (h5ckpt_field){h5ck_value_str(H5CK_PDPARAMS_OPTIMIZER), rest};
    }
    if (rc == 0 && count)
        rc = keep_rest(state, rests, count, err);
    h5ck_arena_free(&scratch);
    return rc;
}
