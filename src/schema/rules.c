/*
 * rules.c - a schema's name rules, applied to a state: another framework's names and layouts become one's own.
 *
 * Renaming and dropping cost nothing: the new state's tensors have the old extents. A transposed or cast tensor is a view
 * (move/view.h) of the old one.
 *
 * Refused: two tensors of one new name, an empty name or one that is not UTF-8, a transposed LoD tensor (its LoD counts
 * rows), complex numbers cast to real ones, and values that the new type cannot hold.
 */
#include "base/buf.h"
#include "base/text.h"
#include "move/cast.h"
#include "move/view.h"
#include "schema/clocale.h"
#include "schema/schema.h"

#include <regex.h>
#include <stdlib.h>
#include <string.h>

enum { GROUPS = 10 };

/* ---- One tensor under one rule ---- */

typedef struct applying {
    const h5ck_schema *schema;
    regex_t *regexes; /* one for each rule */
    size_t compiled;  /* the first of them */
    h5ckpt_state *to;
    h5ck_dict sources; /* new name -> the old tensor */
    const h5ck_log *log;
    h5ckpt_error **err;
} applying;

/* Puts the decoder in place of the extent, and the new shape and dtype into `info`. */
static int alter(applying *p, const h5ck_rule *r, const h5ckpt_tensor *t, const h5ck_dtype *to, bool transpose,
                 h5ckpt_tensor_info *info, h5ck_extent *extent)
{
    uint64_t *shape = h5ck_arena_zalloc(&p->to->arena, 2 * H5CK_MAX_RANK, sizeof *shape), stride = 1;
    h5ck_view view = {.source = t, .rank = info->rank, .shape = shape, .cast = to->id};
    if (!shape)
        return h5ck_fail_nomem(p->err);
    uint64_t *strides = shape + H5CK_MAX_RANK;
    for (size_t i = 0; i < info->rank; i++) { /* result axis i is source axis rank-1-i: the fastest comes first */
        shape[i] = info->shape[transpose ? info->rank - 1 - i : i];
        strides[i] = stride;
        stride *= shape[i]; /* no overflow: the product of all fits, or some axis is 0 and nothing is read */
    }
    if (transpose)
        view.strides = strides;
    if (!h5ck_cast_exists(h5ck_dtype_get(info->dtype), to))
        return h5ck_fail(p->err, H5CKPT_USAGE, "rule '%s': expected a real tensor to cast to %s, found %s", r->match,
                         to->name, h5ckpt_dtype_name(info->dtype));
    if (transpose && info->lod_levels)
        return h5ck_fail(p->err, H5CKPT_USAGE,
                         "rule '%s': expected a tensor without LoD to transpose, found one with it", r->match);
    info->dtype = to->id;
    info->shape = shape;
    return h5ck_view_make(&p->to->arena, &view, extent, p->err);
}

/* The name with what matched replaced, in the arena. */
static int rename_tensor(applying *p, const h5ck_rule *r, const char *name, const regmatch_t *match, const char **out)
{
    h5ck_buf b = H5CK_BUF_INIT;
    h5ck_buf_add(&b, name, (size_t)match[0].rm_so);
    for (const char *c = r->rename; *c; c++) {
        const regmatch_t *group;
        if (*c != '\\')
            h5ck_buf_u8(&b, (unsigned char)*c);
        else if (*++c == '\\')
            h5ck_buf_u8(&b, '\\');
        else if ((group = &match[*c - '0'])->rm_so >= 0)
            h5ck_buf_add(&b, name + group->rm_so, (size_t)(group->rm_eo - group->rm_so));
    }
    h5ck_buf_str(&b, name + match[0].rm_eo);
    const char *text = h5ck_buf_cstr(&b);
    int rc = 0;
    if (!text)
        rc = h5ck_fail_nomem(p->err);
    else if (b.len == 0 || !h5ck_text_is_utf8(text, b.len))
        rc = h5ck_fail(p->err, H5CKPT_USAGE, "rule '%s': expected a new name in UTF-8, found %s", r->match,
                       b.len ? "other bytes" : "an empty one");
    else if (!(*out = h5ck_arena_strndup(&p->to->arena, text, b.len)))
        rc = h5ck_fail_nomem(p->err);
    h5ck_buf_free(&b);
    return rc;
}

static int add(applying *p, h5ckpt_tensor *t, const h5ckpt_tensor_info *info, const h5ck_extent *extent)
{
    const h5ckpt_tensor *other = h5ck_dict_get(&p->sources, info->name);
    if (other)
        return h5ck_fail(p->err, H5CKPT_USAGE,
                         "expected rules that keep names apart, found both '%s' and '%s' become '%s'", other->info.name,
                         t->info.name, info->name);
    bool same_bytes = extent->kind == t->extent.kind && extent->decoder == t->extent.decoder;
    int rc = h5ck_state_add_tensor(p->to, &p->to->parameters, info, extent, same_bytes ? t->digest : NULL, p->err);
    if (rc)
        return rc;
    const h5ckpt_tensor *added = h5ckpt_tensors_get(&p->to->parameters, info->name);
    return h5ck_dict_add(&p->sources, added->info.name, t) == H5CK_DICT_ADDED ? 0 : h5ck_fail_nomem(p->err);
}

static int apply_to(applying *p, h5ckpt_tensor *t)
{
    regmatch_t match[GROUPS];
    const h5ck_rule *r = NULL;
    h5ckpt_tensor_info info = t->info;
    h5ck_extent extent = t->extent;
    for (size_t i = 0; !r && i < p->schema->rule_count; i++) {
        int got = regexec(&p->regexes[i], info.name, GROUPS, match, 0);
        if (got != 0 && got != REG_NOMATCH)
            return h5ck_fail_nomem(p->err);
        if (got == 0)
            r = &p->schema->rules[i];
    }
    if (!r)
        return add(p, t, &info, &extent);
    if (r->drop) {
        h5ck_log_note(p->log, "%s: dropped by the rule '%s'", info.name, r->match);
        return 0;
    }
    int rc = r->rename ? rename_tensor(p, r, t->info.name, match, &info.name) : 0;
    const h5ck_dtype *to = h5ck_dtype_get(r->cast != H5CKPT_DTYPE_NONE ? r->cast : info.dtype);
    bool transpose = r->transpose && info.rank > 1;
    if (rc == 0 && (transpose || to->id != info.dtype))
        rc = alter(p, r, t, to, transpose, &info, &extent);
    return rc ? rc : add(p, t, &info, &extent);
}

/* ---- The whole state ---- */

/* They are known to compile (check.c), so only memory can be short. */
static int compile(applying *p)
{
    const h5ck_schema *s = p->schema;
    p->regexes = calloc(s->rule_count, sizeof *p->regexes);
    while (p->regexes && p->compiled < s->rule_count &&
           regcomp(&p->regexes[p->compiled], s->rules[p->compiled].match, REG_EXTENDED) == 0)
        p->compiled++;
    return p->regexes && p->compiled == s->rule_count ? 0 : h5ck_fail_nomem(p->err);
}

static int carry_over(applying *p, const h5ckpt_state *from)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < h5ckpt_tensors_count(&from->optimizer_state); i++) {
        const h5ckpt_tensor *t = h5ckpt_tensors_at(&from->optimizer_state, i);
        rc = h5ck_state_add_tensor(p->to, &p->to->optimizer_state, &t->info, &t->extent, t->digest, p->err);
    }
    for (size_t i = 0; rc == 0 && i < h5ckpt_decays_count(&from->decays); i++) {
        const h5ckpt_decay *d = h5ckpt_decays_at(&from->decays, i);
        rc = h5ck_state_add_decay(p->to, d->info.name, d->info.value, d->class_spec, d->file, p->err);
    }
    for (size_t i = 0; rc == 0 && i < from->metadata.count; i++) {
        const h5ckpt_field *f = &from->metadata.as.fields[i];
        rc = h5ck_state_set_metadata(p->to, f->key.as.str, f->value.as.str, p->err);
    }
    return rc;
}

int h5ck_schema_apply_rules(const h5ck_schema *s, const h5ckpt_state *from, h5ckpt_state **to, const h5ck_log *log,
                            h5ckpt_error **err)
{
    applying p = {.schema = s, .log = log, .err = err};
    h5ck_clocale c;
    *to = NULL;
    if (s->rule_count == 0)
        return 0;
    if (!(p.to = h5ckpt_state_new()) || !h5ck_clocale_enter(&c)) {
        h5ckpt_state_free(p.to);
        return h5ck_fail_nomem(err);
    }
    p.to->format = from->format;
    int rc = compile(&p);
    for (size_t i = 0; rc == 0 && i < from->parameters.dict.count; i++) {
        h5ckpt_tensor *t = from->parameters.dict.entries[i].value;
        rc = apply_to(&p, t);
        if (rc && rc != H5CKPT_SYSTEM)
            h5ck_err_where(err, rc, NULL, t->info.name);
    }
    if (rc == 0)
        rc = carry_over(&p, from);
    h5ck_clocale_leave(&c);
    while (p.compiled > 0)
        regfree(&p.regexes[--p.compiled]);
    free(p.regexes);
    h5ck_dict_free(&p.sources);
    if (rc)
        h5ckpt_state_free(p.to);
    else
        *to = p.to;
    return rc;
}
