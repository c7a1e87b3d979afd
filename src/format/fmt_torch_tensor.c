/*
 * fmt_torch_tensor.c - what a checkpoint says to rebuild a tensor, made into a tensor.
 *
 *     _rebuild_tensor    (storage, offset, size, strides)
 *     _rebuild_tensor_v2 (storage, offset, size, strides, requires_grad, backward_hooks, [metadata])
 *     _rebuild_tensor_v3 (storage, offset, size, strides, requires_grad, backward_hooks, dtype, [metadata])
 *     storage            a persistent id ('storage', its class, key, device, elements), before 1.6 with a sixth part
 *
 * Offset and strides count elements. A tensor that is the whole storage has its bytes and its digest; any other is a
 * view. A storage that several tensors share is shared here too: their extents are the same bytes.
 *
 * Refused: storages that are not as long as the pickle says, or whose two mentions differ; negative numbers, views that
 * reach outside; conjugate and negative views (their elements are not what is stored); quantized storages. Strides of 0
 * make a large tensor of a few bytes, and one storage may be viewed often: all tensors together may be 64 times as
 * large as all storages, or 1 GB.
 */
#include "base/ckd.h"
#include "format/fmt_torch.h"
#include "move/view.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TIMES = 64, FREE_BYTES = 1 << 30 };

/* A storage as elements of one dtype. */
typedef struct opened {
    h5ckpt_tensor *tensor;
    uint64_t nbytes; /* of the whole storage */
} opened;

typedef struct storage_id {
    const char *key;
    h5ckpt_dtype dtype; /* NONE: an untyped storage */
    uint64_t numel;
} storage_id;

static const char *text_of(const h5ckpt_value *v)
{
    bool plain = v->type == H5CKPT_STR && v->count && strlen(v->as.str) == v->count;
    return plain ? v->as.str : NULL;
}

static bool natural(const h5ckpt_value *v, uint64_t *n)
{
    if (v->type != H5CKPT_INT || v->as.i < 0)
        return false;
    *n = (uint64_t)v->as.i;
    return true;
}

/* ---- Storages ---- */

static int storage_dtype(const h5ckpt_value *v, h5ckpt_dtype *dtype, h5ckpt_error **err)
{
    if (v->type != H5CKPT_OBJECT || v->as.object->count)
        return h5ck_fail(err, H5CKPT_INVALID, "expected the class of a storage, found %s", h5ck_value_type_name(v));
    const char *name = v->as.object->class_name;
    const h5ck_dtype *row = h5ck_dtype_from_torch(name);
    *dtype = row ? row->id : H5CKPT_DTYPE_NONE;
    if (!row && strcmp(name, "UntypedStorage") != 0)
        return h5ck_fail(err, H5CKPT_INVALID, "expected a storage of plain numbers, found %s %s", v->as.object->module,
                         name);
    return 0;
}

static int parse_id(const h5ckpt_value *v, storage_id *id, h5ckpt_error **err)
{
    const h5ckpt_value *t = h5ck_torch_is(v, "", "persistent_id") ? h5ckpt_value_get(v, "id") : NULL;
    const char *word = t && t->type == H5CKPT_TUPLE && t->count >= 5 ? text_of(&t->as.items[0]) : NULL;
    if (!word || strcmp(word, "storage") != 0 || t->count > 6)
        return h5ck_fail(err, H5CKPT_INVALID, "expected a storage ('storage', class, key, device, elements), found %s",
                         h5ck_value_type_name(v));
    id->key = text_of(&t->as.items[2]);
    if (!id->key || !natural(&t->as.items[4], &id->numel))
        return h5ck_fail(err, H5CKPT_INVALID, "expected a storage's key and number of elements, found %s and %s",
                         h5ck_value_type_name(&t->as.items[2]), h5ck_value_type_name(&t->as.items[4]));
    if (t->count == 6 && t->as.items[5].type != H5CKPT_NONE)
        return h5ck_fail(err, H5CKPT_INVALID, "expected a whole storage, found a view of another one (PyTorch 0.3)");
    return storage_dtype(&t->as.items[1], &id->dtype, err);
}

/* Finds the bytes and makes a tensor of them that is in no dictionary. */
static int open_storage(h5ck_torch_reader *r, const char *key, const h5ck_dtype *dtype, opened *s, h5ckpt_error **err)
{
    h5ck_torch_storage found = {0};
    h5ck_buf name = H5CK_BUF_INIT;
    int rc = r->find(r, key, &found, err);
    if (rc)
        return rc;
    uint64_t count = found.nbytes / dtype->size;
    h5ck_buf_printf(&name, "data/%s", key);
    h5ckpt_tensor_info info = {.name = h5ck_buf_cstr(&name), .dtype = dtype->id, .rank = 1, .shape = &count};
    if (!info.name)
        rc = h5ck_fail_nomem(err);
    else
        rc = h5ck_state_make_tensor(r->state, &info, &found.extent,
                                    count * dtype->size == found.nbytes ? found.digest : NULL, &s->tensor, err);
    h5ck_buf_free(&name);
    s->nbytes = found.nbytes;
    if (rc == 0 && h5ck_ckd_add(r->stored, found.nbytes, &r->stored))
        r->stored = UINT64_MAX;
    return rc;
}

/* The storage as elements of `dtype`; made once. */
static int storage_of(h5ck_torch_reader *r, const storage_id *id, h5ckpt_dtype dtype, const h5ckpt_tensor **tensor,
                      h5ckpt_error **err)
{
    const h5ck_dtype *row = h5ck_dtype_get(dtype), *own = h5ck_dtype_get(id->dtype);
    h5ck_buf b = H5CK_BUF_INIT;
    uint64_t expected;
    int rc = 0;
    h5ck_buf_printf(&b, "%d %s", (int)dtype, id->key);
    const char *text = h5ck_buf_cstr(&b), *place;
    opened *s = text ? h5ck_dict_get(&r->sources, text) : NULL;
    if (!s) {
        s = h5ck_arena_zalloc(&r->state->arena, 1, sizeof *s);
        place = text ? h5ck_arena_strdup(&r->state->arena, text) : NULL;
        rc = s && place ? open_storage(r, id->key, row, s, err) : h5ck_fail_nomem(err);
        if (rc == 0 && h5ck_dict_add(&r->sources, place, s) != H5CK_DICT_ADDED)
            rc = h5ck_fail_nomem(err);
    }
    h5ck_buf_free(&b);
    if (rc == 0 && (h5ck_ckd_mul(id->numel, own ? own->size : 1, &expected) || expected != s->nbytes))
        rc =
            h5ck_fail(err, H5CKPT_INVALID,
                      "expected the storage data/%s to have %" PRIu64 " elements of %zu bytes, found %" PRIu64 " bytes",
                      id->key, id->numel, own ? own->size : (size_t)1, s->nbytes);
    *tensor = rc ? NULL : s->tensor;
    return rc;
}

/* ---- Views ---- */

typedef struct shape {
    size_t rank;
    uint64_t offset, size[H5CK_MAX_RANK], stride[H5CK_MAX_RANK];
} shape;

static int parse_shape(const h5ckpt_value *args, shape *s, h5ckpt_error **err)
{
    const h5ckpt_value *size = &args[2], *stride = &args[3];
    if (!natural(&args[1], &s->offset) || size->type != H5CKPT_TUPLE || stride->type != H5CKPT_TUPLE)
        return h5ck_fail(err, H5CKPT_INVALID, "expected a tensor's offset, size and strides, found %s, %s and %s",
                         h5ck_value_type_name(&args[1]), h5ck_value_type_name(size), h5ck_value_type_name(stride));
    if (size->count != stride->count || size->count > H5CK_MAX_RANK)
        return h5ck_fail(err, H5CKPT_INVALID, "expected at most %d sizes and as many strides, found %zu and %zu",
                         H5CK_MAX_RANK, size->count, stride->count);
    s->rank = size->count;
    for (size_t i = 0; i < s->rank; i++)
        if (!natural(&size->as.items[i], &s->size[i]) || !natural(&stride->as.items[i], &s->stride[i]))
            return h5ck_fail(err, H5CKPT_INVALID, "expected sizes and strides from 0 on, found others");
    return 0;
}

/* Whether the tensor is the storage from its start to its end; `empty`: it has no elements. */
static bool is_whole(const shape *s, uint64_t stored, bool *empty)
{
    uint64_t run = 1;
    bool dense = true;
    *empty = false;
    for (size_t i = s->rank; i-- > 0;) {
        *empty |= s->size[i] == 0;
        dense = dense && (s->size[i] == 1 || s->stride[i] == run);
        dense = dense && !h5ck_ckd_mul(run, s->size[i], &run);
    }
    return dense && s->offset == 0 && run == stored;
}

static int make_view(h5ck_torch_reader *r, const h5ckpt_tensor *source, shape *s, const char *name,
                     h5ckpt_tensor **tensor, h5ckpt_error **err)
{
    h5ckpt_tensor_info info = {.name = name, .dtype = source->info.dtype, .rank = s->rank, .shape = s->size};
    h5ck_extent extent = source->extent;
    bool empty, whole = is_whole(s, source->info.shape[0], &empty), single = h5ckpt_dtype_size(info.dtype) == 1;
    if (empty || (whole && (!r->big_endian || single)))
        return h5ck_state_make_tensor(r->state, &info, &extent, whole ? source->digest : NULL, tensor, err);
    for (size_t i = 0; i < s->rank; i++)
        if (s->size[i] == 1)
            s->stride[i] = 0; /* never gone along: any number may stand there */
    const h5ck_view view = {.source = source,
                            .first = s->offset,
                            .rank = s->rank,
                            .shape = s->size,
                            .strides = s->stride,
                            .swap = r->big_endian && !single};
    int rc = h5ck_view_make(&r->state->arena, &view, &extent, err);
    return rc ? rc : h5ck_state_make_tensor(r->state, &info, &extent, NULL, tensor, err);
}

/* The first tensor that is this view of this storage; remembers `tensor` where there was none. */
static int remember(h5ck_torch_reader *r, const h5ckpt_tensor *source, const shape *s, h5ckpt_tensor *tensor,
                    const h5ckpt_tensor **same, h5ckpt_error **err)
{
    h5ck_buf b = H5CK_BUF_INIT;
    int rc = 0;
    h5ck_buf_printf(&b, "%d %s %" PRIu64, (int)source->info.dtype, source->info.name, s->offset);
    for (size_t i = 0; i < s->rank; i++)
        h5ck_buf_printf(&b, ",%" PRIu64 ":%" PRIu64, s->size[i], s->stride[i]);
    const char *text = h5ck_buf_cstr(&b);
    *same = text ? h5ck_dict_get(&r->views, text) : NULL;
    if (!*same && (!text || !(text = h5ck_arena_strdup(&r->state->arena, text)) ||
                   h5ck_dict_add(&r->views, text, tensor) != H5CK_DICT_ADDED))
        rc = h5ck_fail_nomem(err);
    h5ck_buf_free(&b);
    return rc;
}

/* ---- Calls ---- */

static bool is_true(const h5ckpt_value *v)
{
    return v && v->type == H5CKPT_BOOL && v->as.i;
}

/* An empty OrderedDict, or None: what all tensors have. */
static bool is_nothing(const h5ckpt_value *v)
{
    const h5ckpt_value *items = h5ck_torch_items(v);
    return v->type == H5CKPT_NONE || (items && items->count == 0 && !h5ckpt_value_get(v, "state"));
}

static int parse_extras(const h5ckpt_value *args, const h5ckpt_value *metadata, h5ck_torch_extras *extras,
                        h5ckpt_error **err)
{
    if (args[4].type != H5CKPT_BOOL)
        return h5ck_fail(err, H5CKPT_INVALID, "expected requires_grad to be a bool, found %s",
                         h5ck_value_type_name(&args[4]));
    extras->grad = args[4].as.i;
    extras->hooks = is_nothing(&args[5]) ? NULL : &args[5];
    extras->metadata = metadata && metadata->type == H5CKPT_DICT && metadata->count ? metadata : NULL;
    if (extras->metadata && is_true(h5ckpt_value_get(metadata, "conj")))
        return h5ck_fail(err, H5CKPT_INVALID,
                         "expected the elements themselves, found a conjugate view; save tensor.resolve_conj()");
    if (extras->metadata && is_true(h5ckpt_value_get(metadata, "neg")))
        return h5ck_fail(err, H5CKPT_INVALID,
                         "expected the elements themselves, found a negative view; save tensor.resolve_neg()");
    return 0;
}

/* The dtype that the call names (v3), or the storage's. */
static int dtype_of(const h5ckpt_value *v, const storage_id *id, h5ckpt_dtype *dtype, h5ckpt_error **err)
{
    const h5ck_dtype *row = NULL;
    *dtype = id->dtype;
    if (v && v->type == H5CKPT_OBJECT && strcmp(v->as.object->module, "torch") == 0) {
        row = h5ck_dtype_from_name(v->as.object->class_name);
        *dtype = row ? row->id : H5CKPT_DTYPE_NONE;
    }
    if (*dtype == H5CKPT_DTYPE_NONE || (v && !row))
        return h5ck_fail(err, H5CKPT_INVALID, "expected the dtype of a tensor, found %s",
                         v && v->type == H5CKPT_OBJECT ? v->as.object->class_name : "none");
    return 0;
}

static int make_tensor(h5ck_torch_reader *r, const h5ckpt_value *call, const char *name, h5ckpt_tensor **tensor,
                       h5ck_torch_extras *extras, h5ckpt_error **err)
{
    const h5ckpt_value *args = h5ckpt_value_get(call, "args"), *a;
    bool v3 = h5ck_torch_is(call, "torch._utils", "_rebuild_tensor_v3");
    bool v1 = h5ck_torch_is(call, "torch._utils", "_rebuild_tensor");
    size_t least = v1 ? 4 : 6 + (size_t)v3, most = v1 ? 4 : least + 1;
    if (!args || args->type != H5CKPT_TUPLE || args->count < least || args->count > most ||
        h5ckpt_value_get(call, "state") || h5ckpt_value_get(call, "items") || h5ckpt_value_get(call, "list"))
        return h5ck_fail(err, H5CKPT_INVALID, "expected %zu arguments for %s, found others", least,
                         call->as.object->class_name);
    storage_id id;
    shape s;
    h5ckpt_dtype dtype;
    const h5ckpt_tensor *source;
    a = args->as.items;
    int rc = parse_id(&a[0], &id, err);
    if (rc == 0)
        rc = parse_shape(a, &s, err);
    if (rc == 0 && !v1)
        rc = parse_extras(a, args->count == most ? &a[most - 1] : NULL, extras, err);
    if (rc == 0)
        rc = dtype_of(v3 ? &a[6] : NULL, &id, &dtype, err);
    if (rc == 0)
        rc = storage_of(r, &id, dtype, &source, err);
    if (rc == 0)
        rc = make_view(r, source, &s, name, tensor, err);
    if (rc == 0)
        (*tensor)->origin = source->info.name;
    if (rc == 0 && (*tensor)->info.nbytes)
        rc = remember(r, source, &s, *tensor, &extras->same, err);
    if (rc == 0 && h5ck_ckd_add(r->viewed, (*tensor)->info.nbytes, &r->viewed))
        r->viewed = UINT64_MAX;
    return rc;
}

int h5ck_torch_make_tensor(h5ck_torch_reader *r, const h5ckpt_value *call, const char *name, h5ckpt_tensor **tensor,
                           h5ck_torch_extras *extras, h5ckpt_error **err)
{
    *extras = (h5ck_torch_extras){0};
    int rc = make_tensor(r, call, name, tensor, extras, err);
    return rc ? h5ck_err_where(err, rc, NULL, name) : 0;
}

static int make_storage(h5ck_torch_reader *r, const h5ckpt_value *v, const char *name, h5ckpt_tensor **tensor,
                        h5ckpt_error **err)
{
    storage_id id;
    const h5ckpt_tensor *source;
    int rc = parse_id(v, &id, err);
    if (rc == 0)
        rc = storage_of(r, &id, id.dtype ? id.dtype : H5CKPT_DTYPE_UINT8, &source, err);
    if (rc)
        return rc;
    shape s = {.rank = 1, .size = {source->info.shape[0]}, .stride = {1}};
    if (h5ck_ckd_add(r->viewed, source->info.nbytes, &r->viewed))
        r->viewed = UINT64_MAX;
    rc = make_view(r, source, &s, name, tensor, err);
    if (rc == 0)
        (*tensor)->origin = source->info.name;
    return rc;
}

int h5ck_torch_make_storage(h5ck_torch_reader *r, const h5ckpt_value *id, const char *name, h5ckpt_tensor **tensor,
                            h5ckpt_error **err)
{
    int rc = make_storage(r, id, name, tensor, err);
    return rc ? h5ck_err_where(err, rc, NULL, name) : 0;
}

int h5ck_torch_check_views(const h5ck_torch_reader *r, h5ckpt_error **err)
{
    uint64_t most;
    if (h5ck_ckd_mul(r->stored, MOST_TIMES, &most) || h5ck_ckd_add(most, FREE_BYTES, &most) || r->viewed <= most)
        return 0;
    return h5ck_fail(err, H5CKPT_INVALID,
                     "expected tensors of at most %d times what is stored, found tensors of %" PRIu64
                     " bytes over storages of %" PRIu64,
                     MOST_TIMES, r->viewed, r->stored);
}

void h5ck_torch_reader_free(h5ck_torch_reader *r)
{
    h5ck_dict_free(&r->sources);
    h5ck_dict_free(&r->views);
}
