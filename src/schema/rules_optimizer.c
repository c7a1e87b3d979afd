/*
 * rules_optimizer.c - the optimizers' tensors follow the parameters that they belong to, where their names say which:
 *
 *     fc.weight_moment1_0, fc.weight.exp_avg, fc.weight/m     the parameter's name, then one of _ . / :
 *     exp_avg/fc.weight                                       its name, behind a /
 *
 * The longest such name counts. The tensor's name gets the parameter's new one in the old one's place. Where its shape is
 * the parameter's it is transposed and cast along with it; otherwise (a step count) it only changes its name. It is dropped
 * with its parameter, and not copied.
 *
 * All others stay as they are, and for `--names` a note counts them: those whose parameter is split or merged, and those
 * that carry no parameter's name, as Paddle's accumulators, which are called after its variables (linear_0.w_0_moment1_0),
 * and PyTorch's, which are numbered.
 */
#include "schema/rules.h"

#include "base/buf.h"

#include <string.h>

/* Names with more separators than this are looked at no further: the work must not grow with the square of a name. */
enum { CUTS = 64 };

/* The parameter that an optimizer's tensor belongs to, and where its name stands in the tensor's: NULL for none. */
static const h5ckpt_tensor *owner(const h5ck_applying *p, h5ck_buf *scratch, const char *name, size_t *at,
                                  size_t *length)
{
    const h5ck_dict *parameters = &p->from->parameters.dict;
    const h5ckpt_tensor *t, *found = h5ck_dict_get(parameters, name);
    size_t cuts = 0;
    *at = 0;
    *length = strlen(name);
    for (const char *c = name + *length; !found && c > name && cuts < CUTS; c--)
        if (strchr("_./:", *c) && *c && ++cuts) {
            scratch->len = 0;
            h5ck_buf_add(scratch, name, (size_t)(c - name));
            const char *prefix = h5ck_buf_cstr(scratch);
            if (prefix && (t = h5ck_dict_get(parameters, prefix))) {
                found = t;
                *length = (size_t)(c - name);
            }
        }
    for (const char *c = strchr(name, '/'); !found && c && cuts < 2 * CUTS; c = strchr(c + 1, '/'), cuts++)
        if ((found = h5ck_dict_get(parameters, c + 1))) {
            *at = (size_t)(c + 1 - name);
            *length = strlen(c + 1);
        }
    return found;
}

static bool same_shape(const h5ckpt_tensor_info *a, const h5ckpt_tensor_info *b)
{
    return a->rank == b->rank && (a->rank == 0 || memcmp(a->shape, b->shape, a->rank * sizeof *a->shape) == 0);
}

/* The tensor's name with its parameter's new name in it. */
static int follow_name(h5ck_applying *p, const h5ck_ruling *g, const char *old, size_t at, size_t length,
                       const char **name)
{
    h5ck_buf b = H5CK_BUF_INIT;
    const char *parameter = NULL;
    int rc = h5ck_rules_name(p, g, g->rule->rename, true, &parameter);
    if (rc)
        return rc;
    h5ck_buf_add(&b, old, at);
    h5ck_buf_str(&b, parameter);
    h5ck_buf_str(&b, old + at + length);
    const char *text = h5ck_buf_cstr(&b);
    *name = text ? h5ck_arena_strdup(&p->to->arena, text) : NULL;
    h5ck_buf_free(&b);
    return *name ? 0 : h5ck_fail_nomem(p->err);
}

/* *left counts those that do not follow. */
static int carry(h5ck_applying *p, h5ck_buf *scratch, const h5ckpt_tensor *t, size_t *left)
{
    size_t at, length;
    h5ck_ruling g = {0};
    h5ckpt_tensor_info info = t->info;
    h5ck_extent extent = t->extent;
    const h5ckpt_tensor *parameter = owner(p, scratch, t->info.name, &at, &length);
    int rc = parameter ? h5ck_rules_find(p, parameter, &g) : 0;
    if (rc)
        return rc;
    const h5ck_rule *r = g.rule;
    if (!parameter || (r && (r->split_count || r->merge_count))) {
        ++*left;
        return h5ck_rules_add(p, true, t, &info, &extent);
    }
    if (r && r->drop)
        return 0;
    if (r && r->rename)
        rc = follow_name(p, &g, t->info.name, at, length, &info.name);
    if (rc == 0 && r && same_shape(&t->info, &parameter->info) && h5ck_rule_changes(r, t))
        rc = h5ck_rule_view(p->to, r, t, NULL, NULL, &info, &extent, p->err);
    return rc ? rc : h5ck_rules_add(p, true, t, &info, &extent);
}

int h5ck_rules_optimizer_state(h5ck_applying *p)
{
    const h5ck_dict *tensors = &p->from->optimizer_state.dict;
    h5ck_buf scratch = H5CK_BUF_INIT;
    size_t left = 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < tensors->count; i++) {
        const h5ckpt_tensor *t = tensors->entries[i].value;
        rc = carry(p, &scratch, t, &left);
        if (rc && rc != H5CKPT_SYSTEM)
            h5ck_err_where(p->err, rc, NULL, t->info.name);
    }
    if (rc == 0 && left && p->schema->is_names)
        h5ck_log_note(p->log,
                      "%zu of %zu tensors of the optimizers keep their names and axes: they carry no name of a "
                      "parameter that is whole",
                      left, tensors->count);
    h5ck_buf_free(&scratch);
    return rc;
}
