/*
 * recast.c - convert's --dtype and --only: each chosen tensor is a view (move/view.h) of the one that was read, in its
 * place.
 *
 * Chosen are floats only: integers count or index something, bools are bools, and a complex number is not one number. By
 * themselves they are the parameters; the optimizers' own tensors (moments, which often need more range than the
 * weights) only where `only` names them. Casts round to nearest, ties to even, NaN stays NaN, and what is too large
 * becomes an infinity: asked for as a whole that is no error, as it is where a single name rule asks, but it is told.
 */
#include "recast.h"

#include "base/text.h"
#include "move/cast.h"
#include "move/overflow.h"
#include "move/view.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct h5ck_recast {
    const h5ck_dtype *to;
    size_t count, room; /* tensors */
    struct {
        const char *name;
        h5ck_overflow *overflow;
    } * tensors;
};

static void close_recast(void *what)
{
    h5ck_recast *r = what;
    for (size_t i = 0; i < r->count; i++)
        h5ck_overflow_free(r->tensors[i].overflow);
    free(r->tensors);
    free(r);
}

static bool is_chosen(const h5ckpt_tensor *t, const h5ck_dtype *to, const char *const *only)
{
    const h5ck_dtype *from = h5ck_dtype_get(t->info.dtype);
    if (from->kind != H5CK_KIND_FLOAT || from == to)
        return false;
    for (const char *const *glob = only; glob && *glob; glob++)
        if (h5ck_text_glob(*glob, t->info.name))
            return true;
    return only == NULL;
}

/* The tensor that takes the place of `t`. */
static int cast_tensor(h5ckpt_state *state, h5ck_recast *r, h5ckpt_tensor *t, h5ckpt_tensor **made, h5ckpt_error **err)
{
    h5ckpt_tensor_info info = t->info;
    h5ck_extent extent;
    h5ck_overflow *o = h5ck_overflow_new(t->info.nbytes / h5ckpt_dtype_size(t->info.dtype));
    if (!o)
        return h5ck_fail_nomem(err);
    r->tensors[r->count].name = t->info.name;
    r->tensors[r->count++].overflow = o;
    const h5ck_view view = {.source = t, .rank = info.rank, .shape = info.shape, .cast = r->to->id, .overflow = o};
    int rc = h5ck_view_make(&state->arena, &view, &extent, err);
    info.dtype = r->to->id;
    return rc ? rc : h5ck_state_make_tensor(state, &info, &extent, NULL, made, err);
}

static int cast_dict(h5ckpt_state *state, h5ck_recast *r, h5ckpt_tensors *tensors, const char *const *only,
                     h5ckpt_error **err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < tensors->dict.count; i++) {
        h5ckpt_tensor *t = tensors->dict.entries[i].value, *made = NULL;
        if (!is_chosen(t, r->to, only))
            continue;
        rc = h5ck_err_where(err, cast_tensor(state, r, t, &made, err), NULL, t->info.name);
        if (rc == 0)
            tensors->dict.entries[i].value = made;
    }
    return rc;
}

/* Exponents as IEEE 754 has them, with infinities: the others would need rules of their own for what is too large. */
static int check_dtype(const h5ckpt_options *o, const h5ck_dtype **to, h5ckpt_error **err)
{
    *to = h5ck_dtype_get(o->dtype);
    if (!*to || (*to)->kind != H5CK_KIND_FLOAT || (*to)->size < 2)
        return h5ck_fail(err, H5CKPT_USAGE, "expected float16, bfloat16, float32 or float64 to cast to, found %s",
                         *to ? (*to)->name : "no dtype");
    return 0;
}

int h5ck_recast_state(h5ckpt_state *state, const h5ckpt_options *o, h5ck_recast **recast, h5ckpt_error **err)
{
    const h5ck_dtype *to;
    *recast = NULL;
    if (o->dtype == H5CKPT_DTYPE_NONE)
        return o->only ? h5ck_fail(err, H5CKPT_USAGE, "expected a dtype beside 'only', found none") : 0;
    int rc = check_dtype(o, &to, err);
    if (rc)
        return rc;
    h5ck_recast *r = calloc(1, sizeof *r);
    if (!r)
        return h5ck_fail_nomem(err);
    r->to = to;
    r->room = state->parameters.dict.count + state->optimizer_state.dict.count;
    r->tensors = calloc(r->room + 1, sizeof *r->tensors);
    rc = h5ck_state_on_close(state, close_recast, r, err);
    if (rc)
        return rc;
    if (!r->tensors)
        return h5ck_fail_nomem(err);
    rc = cast_dict(state, r, &state->parameters, o->only, err);
    if (rc == 0 && o->only)
        rc = cast_dict(state, r, &state->optimizer_state, o->only, err);
    *recast = r;
    return rc;
}

void h5ck_recast_report(const h5ck_recast *r, const h5ck_log *log)
{
    uint64_t elements = 0;
    size_t tensors = 0;
    const char *first = NULL;
    for (size_t i = 0; r && i < r->count; i++) {
        uint64_t n = h5ck_overflow_count(r->tensors[i].overflow);
        elements += n;
        tensors += n > 0;
        first = n > 0 && !first ? r->tensors[i].name : first;
    }
    if (r && r->count == 0)
        h5ck_log_note(log, "nothing was cast to %s: no tensor of another float type matches", r->to->name);
    if (elements == 1)
        h5ck_log_note(log, "1 element of 1 tensor was too large for %s, and became an infinity; it is in '%s'",
                      r->to->name, first);
    else if (elements)
        h5ck_log_note(log,
                      "%" PRIu64
                      " elements of %zu tensor%s were too large for %s, and became infinities; the first is in "
                      "'%s'",
                      elements, tensors, tensors == 1 ? "" : "s", r->to->name, first);
}
