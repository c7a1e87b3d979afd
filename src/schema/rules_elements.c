/*
 * rules_elements.c - what a name rule does to elements, all of it by views (move/view.h): nothing is read or copied here.
 *
 *     transpose, cast   a view of the whole
 *     split             a view of each slice along an axis, transposed and cast
 *     merge             the parts, each transposed and cast, joined along an axis of what they have become
 *
 * So `split` undoes `merge` with the same axis and the inverse of its transposition. With `stack` the axis is one that the
 * parts do not have.
 *
 * A digest is of a whole tensor: parts and wholes hold none. The view checks the source's when its elements are read.
 *
 * Refused: a transposed, split or merged LoD tensor (its LoD counts rows), complex numbers cast to real ones, an axis that
 * a tensor does not have, sizes that do not add up to it, parts that do not fit each other.
 */
#include "base/ckd.h"
#include "move/cast.h"
#include "move/view.h"
#include "schema/rules.h"

#include <inttypes.h>
#include <string.h>

/* ---- One view ---- */

/* Axes on their way from the source to the result. */
typedef struct axes {
    size_t rank;
    uint64_t *shape, *strides;
} axes;

static void from_source(axes *a, const h5ckpt_tensor_info *info)
{
    uint64_t stride = 1;
    a->rank = info->rank;
    for (size_t i = info->rank; i-- > 0;) {
        a->shape[i] = info->shape[i];
        a->strides[i] = stride;
        stride *= info->shape[i]; /* no overflow: the product of all fits, or some axis is 0 and nothing is read */
    }
}

static void cut(axes *a, const h5ck_slice *slice, uint64_t *first)
{
    *first = slice->first * a->strides[slice->axis];
    a->shape[slice->axis] = slice->size;
    if (!slice->drop_axis)
        return;
    a->rank--;
    memmove(a->shape + slice->axis, a->shape + slice->axis + 1, (a->rank - slice->axis) * sizeof *a->shape);
    memmove(a->strides + slice->axis, a->strides + slice->axis + 1, (a->rank - slice->axis) * sizeof *a->strides);
}

static void permute(axes *a, const h5ck_axes *order)
{
    const axes old = *a;
    uint64_t shape[H5CK_MAX_RANK], strides[H5CK_MAX_RANK];
    memcpy(shape, old.shape, a->rank * sizeof *shape);
    memcpy(strides, old.strides, a->rank * sizeof *strides);
    for (size_t i = 0; i < a->rank; i++) {
        size_t source = order->reverse ? a->rank - 1 - i : order->at[i];
        a->shape[i] = shape[source];
        a->strides[i] = strides[source];
    }
}

/* Of a tensor of `rank` axes: whether it is another one afterwards. */
static bool turns(const h5ck_axes *order, size_t rank)
{
    bool other = order->reverse && rank > 1;
    for (size_t i = 0; i < order->count; i++)
        other = other || order->at[i] != i;
    return other;
}

bool h5ck_rule_changes(const h5ck_rule *r, const h5ckpt_tensor *t)
{
    bool wrong_rank = r->transpose.count && r->transpose.count != t->info.rank; /* which h5ck_rule_view refuses */
    return wrong_rank || turns(&r->transpose, t->info.rank) ||
           (r->cast != H5CKPT_DTYPE_NONE && r->cast != t->info.dtype);
}

static int check_view(const h5ck_rule *r, const h5ckpt_tensor *t, const h5ck_dtype *to, size_t rank,
                      const h5ck_slice *slice, h5ckpt_error **err)
{
    if (!h5ck_cast_exists(h5ck_dtype_get(t->info.dtype), to))
        return h5ck_fail(err, H5CKPT_USAGE, "rule '%s': expected a real tensor to cast to %s, found %s", r->match,
                         to->name, h5ckpt_dtype_name(t->info.dtype));
    if (r->transpose.count && r->transpose.count != rank)
        return h5ck_fail(err, H5CKPT_USAGE, "rule '%s': expected a tensor of %zu axes to transpose, found %zu",
                         r->match, r->transpose.count, rank);
    if (t->info.lod_levels && (slice || turns(&r->transpose, rank)))
        return h5ck_fail(err, H5CKPT_USAGE, "rule '%s': expected a tensor without LoD to %s, found one with it",
                         r->match, slice ? "split" : "transpose");
    return 0;
}

int h5ck_rule_view(h5ckpt_state *to, const h5ck_rule *r, const h5ckpt_tensor *t, const h5ck_slice *slice,
                   atomic_int *checked, h5ckpt_tensor_info *info, h5ck_extent *extent, h5ckpt_error **err)
{
    const h5ck_dtype *type = h5ck_dtype_get(r->cast != H5CKPT_DTYPE_NONE ? r->cast : t->info.dtype);
    size_t rank = t->info.rank - (slice && slice->drop_axis);
    h5ck_view view = {.source = t, .cast = type->id, .checked = checked};
    axes a = {.shape = h5ck_arena_zalloc(&to->arena, 2 * H5CK_MAX_RANK, sizeof *a.shape)};
    if (!a.shape)
        return h5ck_fail_nomem(err);
    int rc = check_view(r, t, type, rank, slice, err);
    if (rc)
        return rc;
    a.strides = a.shape + H5CK_MAX_RANK;
    from_source(&a, &t->info);
    if (slice)
        cut(&a, slice, &view.first);
    if (turns(&r->transpose, a.rank))
        permute(&a, &r->transpose);
    view.rank = a.rank;
    view.shape = a.shape;
    view.strides = a.strides;
    info->dtype = type->id;
    info->rank = a.rank;
    info->shape = a.shape;
    info->nbytes = 0; /* the state computes it */
    return h5ck_view_make(&to->arena, &view, extent, err);
}

/* ---- Splitting ---- */

int h5ck_rule_part(h5ckpt_state *to, const h5ck_rule *r, const h5ckpt_tensor *t, size_t i, uint64_t *end,
                   atomic_int *checked, h5ckpt_tensor_info *info, h5ck_extent *extent, h5ckpt_error **err)
{
    h5ck_slice slice = {.axis = (size_t)r->axis, .first = *end, .drop_axis = r->stack};
    if (r->axis >= t->info.rank)
        return h5ck_fail(err, H5CKPT_USAGE,
                         "rule '%s': expected a tensor to split along axis %" PRIu64 ", found one of %zu axes",
                         r->match, r->axis, t->info.rank);
    uint64_t has = t->info.shape[slice.axis], left = has - *end;
    if (r->stack ? has != r->split_count : r->size_count == 0 && has % r->split_count != 0)
        return h5ck_fail(err, H5CKPT_USAGE, "rule '%s': expected an axis to split into %zu %s, found one of %" PRIu64,
                         r->match, r->split_count, r->stack ? "steps" : "equal parts", has);
    slice.size = r->size_count ? r->sizes[i] : has / r->split_count;
    if (i + 1 == r->split_count ? slice.size != left : slice.size > left)
        return h5ck_fail(err, H5CKPT_USAGE, "rule '%s': expected sizes that add up to the axis, found one of %" PRIu64,
                         r->match, has);
    *end += slice.size;
    return h5ck_rule_view(to, r, t, &slice, checked, info, extent, err);
}

/* ---- Merging ---- */

/* The part as it goes into the whole: a tensor without a digest, for its elements are checked here if anywhere. */
static int prepare(h5ckpt_state *to, const h5ck_rule *r, const h5ckpt_tensor *t, const h5ckpt_tensor **part,
                   h5ckpt_error **err)
{
    h5ckpt_tensor_info info = t->info;
    h5ck_extent extent;
    h5ckpt_tensor *made;
    atomic_int *checked;
    *part = t;
    if (t->info.lod_levels)
        return h5ck_fail(err, H5CKPT_USAGE, "rule '%s': expected tensors without LoD to merge, found '%s' with it",
                         r->match, t->info.name);
    if (!h5ck_rule_changes(r, t) && !t->digest)
        return 0;
    if (!(checked = h5ck_arena_zalloc(&to->arena, 1, sizeof *checked)))
        return h5ck_fail_nomem(err);
    int rc = h5ck_rule_view(to, r, t, NULL, checked, &info, &extent, err);
    if (rc == 0)
        rc = h5ck_state_make_tensor(to, &info, &extent, NULL, &made, err);
    if (rc == 0)
        *part = made;
    return rc;
}

static int check_fit(const h5ck_rule *r, const h5ckpt_tensor *a, const h5ckpt_tensor *b, h5ckpt_error **err)
{
    bool fits = a->info.dtype == b->info.dtype && a->info.rank == b->info.rank;
    for (size_t i = 0; fits && i < a->info.rank; i++)
        fits = a->info.shape[i] == b->info.shape[i] || (i == r->axis && !r->stack);
    return fits ? 0
                : h5ck_fail(err, H5CKPT_USAGE,
                            "rule '%s': expected parts of one type, and of one shape but for the axis, found '%s' and "
                            "'%s', which differ",
                            r->match, a->info.name, b->info.name);
}

/* The shape of the whole, and how many runs each part goes in. */
static int join_shape(h5ckpt_state *to, const h5ck_rule *r, const h5ckpt_tensor *const *parts, h5ckpt_tensor_info *info,
                      uint64_t *rounds, h5ckpt_error **err)
{
    const h5ckpt_tensor_info *one = &parts[0]->info;
    size_t axis = (size_t)r->axis;
    uint64_t *shape = h5ck_arena_zalloc(&to->arena, H5CK_MAX_RANK + 1, sizeof *shape);
    if (!shape)
        return h5ck_fail_nomem(err);
    if (r->stack ? axis > one->rank : axis >= one->rank)
        return h5ck_fail(err, H5CKPT_USAGE,
                         "rule '%s': expected parts to merge along axis %" PRIu64 ", found parts of %zu axes", r->match,
                         r->axis, one->rank);
    info->rank = one->rank + r->stack;
    info->shape = shape;
    info->dtype = one->dtype;
    info->nbytes = 0;
    for (size_t i = 0, from = 0; i < info->rank && i < H5CK_MAX_RANK + 1; i++)
        shape[i] = i == axis ? 0 : one->shape[r->stack ? from++ : i];
    for (size_t i = 0; i < r->merge_count; i++)
        if (h5ck_ckd_add(shape[axis], r->stack ? 1 : parts[i]->info.shape[axis], &shape[axis]))
            return h5ck_fail(err, H5CKPT_INVALID, "rule '%s': expected an axis that fits 64 bits, found more",
                             r->match);
    *rounds = 1;
    for (size_t i = 0; i < axis; i++)
        if (h5ck_ckd_mul(*rounds, shape[i], rounds))
            return h5ck_fail(err, H5CKPT_INVALID, "rule '%s': expected parts that fit 64 bits, found more", r->match);
    if (*rounds == 0)
        *rounds = 1; /* no elements */
    return 0;
}

int h5ck_rule_join(h5ckpt_state *to, const h5ck_rule *r, const h5ckpt_tensor *const *sources, h5ckpt_tensor_info *info,
                   h5ck_extent *extent, h5ckpt_error **err)
{
    uint64_t rounds = 1;
    int rc = 0;
    const h5ckpt_tensor **parts = h5ck_arena_zalloc(&to->arena, r->merge_count, sizeof *parts);
    if (!parts)
        return h5ck_fail_nomem(err);
    for (size_t i = 0; rc == 0 && i < r->merge_count; i++) {
        rc = prepare(to, r, sources[i], &parts[i], err);
        if (rc == 0)
            rc = check_fit(r, parts[0], parts[i], err);
    }
    if (rc == 0)
        rc = join_shape(to, r, parts, info, &rounds, err);
    return rc ? rc : h5ck_view_interleave(&to->arena, parts, r->merge_count, rounds, extent, err);
}
