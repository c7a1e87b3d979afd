/*
 * rules.c - name rules, applied to a state: another framework's names and layouts become one's own. Here it is decided
 * which rule is for which parameter, and what the new names are; what becomes of elements is rules_elements.c's, and the
 * optimizers' tensors are rules_optimizer.c's.
 *
 * Of each parameter the first rule decides whose expression, rank, type and neighbour fit. Renaming, dropping and copying
 * cost nothing: the new state's tensors have the old extents. The other rules make views, so nothing is read either.
 *
 * A merged parameter stands where the first of its parts stood. That part makes it; at the others it is only seen that
 * they are of the same whole, so that no part gets lost.
 *
 * Refused: two tensors of one new name, an empty name or one that is not UTF-8, parts that are missing or that another
 * rule is for.
 */
#include "schema/rules.h"

#include "base/buf.h"
#include "base/text.h"
#include "schema/clocale.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Names ---- */

static void replace_references(h5ck_buf *b, const char *text, const h5ck_ruling *g)
{
    for (const char *c = text; *c; c++) {
        const regmatch_t *group;
        if (*c != '\\')
            h5ck_buf_u8(b, (unsigned char)*c);
        else if (*++c == '\\')
            h5ck_buf_u8(b, '\\');
        else if ((group = &g->match[*c - '0'])->rm_so >= 0)
            h5ck_buf_add(b, g->name + group->rm_so, (size_t)(group->rm_eo - group->rm_so));
    }
}

int h5ck_rules_name(h5ck_applying *p, const h5ck_ruling *g, const char *text, bool rename, const char **name)
{
    h5ck_buf b = H5CK_BUF_INIT;
    if (rename)
        h5ck_buf_add(&b, g->name, (size_t)g->match[0].rm_so);
    replace_references(&b, text, g);
    if (rename)
        h5ck_buf_str(&b, g->name + g->match[0].rm_eo);
    const char *made = h5ck_buf_cstr(&b);
    int rc = 0;
    if (!made)
        rc = h5ck_fail_nomem(p->err);
    else if (b.len == 0 || !h5ck_text_is_utf8(made, b.len))
        rc = h5ck_fail(p->err, H5CKPT_USAGE, "rule '%s': expected a new name in UTF-8, found %s", g->rule->match,
                       b.len ? "other bytes" : "an empty one");
    else if (!(*name = h5ck_arena_strndup(&p->to->arena, made, b.len)))
        rc = h5ck_fail_nomem(p->err);
    h5ck_buf_free(&b);
    return rc;
}

/* ---- Which rule? ---- */

static int has_neighbour(const h5ck_applying *p, const h5ck_ruling *g, const char *text, bool *has)
{
    h5ck_buf b = H5CK_BUF_INIT;
    replace_references(&b, text, g);
    const char *name = h5ck_buf_cstr(&b);
    *has = name && h5ck_dict_get(&p->from->parameters.dict, name);
    int rc = name ? 0 : h5ck_fail_nomem(p->err);
    h5ck_buf_free(&b);
    return rc;
}

int h5ck_rules_find(h5ck_applying *p, const h5ckpt_tensor *t, h5ck_ruling *g)
{
    const h5ck_schema *s = p->schema;
    *g = (h5ck_ruling){.name = t->info.name};
    for (size_t i = 0; !g->rule && i < s->rule_count; i++) {
        const h5ck_rule *r = &s->rules[i];
        if ((r->has_rank && r->rank != t->info.rank) || (r->dtype != H5CKPT_DTYPE_NONE && r->dtype != t->info.dtype))
            continue;
        int got = regexec(&p->regexes[i], t->info.name, H5CK_RULE_GROUPS, g->match, 0);
        if (got != 0 && got != REG_NOMATCH)
            return h5ck_fail_nomem(p->err);
        bool fits = got == 0;
        int rc = fits && r->beside ? has_neighbour(p, g, r->beside, &fits) : 0;
        if (rc)
            return rc;
        if (fits)
            g->rule = r;
    }
    return 0;
}

/* ---- What is done, for the notes ---- */

enum { NAMED = 3 };

static void count_use(h5ck_applying *p, const h5ck_ruling *g)
{
    h5ck_rule_use *u = &p->used[g->rule - p->schema->rules];
    size_t used = strlen(u->names);
    if (u->count < NAMED && used + strlen(g->name) + 7 < sizeof u->names)
        snprintf(u->names + used, sizeof u->names - used, "%s%s", used ? ", " : "", g->name);
    else if (used && u->names[used - 1] != '.')
        snprintf(u->names + used, sizeof u->names - used, ", ...");
    u->count++;
}

/* What a rule does that a new name alone does not tell; NULL where it only renames. */
static const char *what_is_done(const h5ck_rule *r)
{
    return r->drop                                      ? "dropped"
           : r->split_count                             ? "split"
           : r->merge_count                             ? "merged"
           : r->transpose.reverse || r->transpose.count ? "transposed"
           : r->cast != H5CKPT_DTYPE_NONE               ? "cast"
           : r->zero                                    ? "given a new count of 0"
           : r->copy                                    ? "written under two names"
                                                        : NULL;
}

/* A schema reads its own layout, which needs no words; but what is left out is always said. */
static void note_uses(const h5ck_applying *p)
{
    for (size_t i = 0; i < p->schema->rule_count; i++) {
        const h5ck_rule *r = &p->schema->rules[i];
        const h5ck_rule_use *u = &p->used[i];
        const char *done = what_is_done(r);
        if (u->count && done && (r->drop || p->schema->is_names))
            h5ck_log_note(p->log, "%zu parameter%s %s by the rule '%s'%s%s%s%s%s", u->count, u->count == 1 ? "" : "s",
                          done, r->match, r->reason ? " (" : "", r->reason ? r->reason : "", r->reason ? ")" : "",
                          *u->names ? ": " : "", u->names);
    }
}

/* ---- One parameter ---- */

static bool same_bytes(const h5ck_extent *a, const h5ck_extent *b)
{
    return a->kind == b->kind && a->file == b->file && a->offset == b->offset && a->memory == b->memory &&
           a->decoder == b->decoder;
}

int h5ck_rules_add(h5ck_applying *p, bool optimizer_state, const h5ckpt_tensor *t, const h5ckpt_tensor_info *info,
                   const h5ck_extent *extent)
{
    h5ck_dict *sources = optimizer_state ? &p->optimizer_sources : &p->sources;
    h5ckpt_tensors *dict = optimizer_state ? &p->to->optimizer_state : &p->to->parameters;
    const h5ckpt_tensor *other = h5ck_dict_get(sources, info->name);
    if (other)
        return h5ck_fail(p->err, H5CKPT_USAGE,
                         "expected rules that keep names apart, found both '%s' and '%s' become '%s'", other->info.name,
                         t->info.name, info->name);
    const char *digest = same_bytes(extent, &t->extent) ? t->digest : NULL;
    int rc = h5ck_state_add_tensor(p->to, dict, info, extent, digest, p->err);
    if (rc)
        return rc;
    const h5ckpt_tensor *added = h5ckpt_tensors_get(dict, info->name);
    void *source = (void *)(uintptr_t)t; /* a dictionary's values are not const; nothing is done to this one */
    return h5ck_dict_add(sources, added->info.name, source) == H5CK_DICT_ADDED ? 0 : h5ck_fail_nomem(p->err);
}

static int split(h5ck_applying *p, const h5ckpt_tensor *t, const h5ck_ruling *g)
{
    uint64_t end = 0;
    atomic_int *checked = t->digest ? h5ck_arena_zalloc(&p->to->arena, 1, sizeof *checked) : NULL;
    int rc = t->digest && !checked ? h5ck_fail_nomem(p->err) : 0;
    for (size_t i = 0; rc == 0 && i < g->rule->split_count; i++) {
        h5ckpt_tensor_info info = t->info;
        h5ck_extent extent;
        rc = h5ck_rules_name(p, g, g->rule->split[i], false, &info.name);
        if (rc == 0)
            rc = h5ck_rule_part(p->to, g->rule, t, i, &end, checked, &info, &extent, p->err);
        if (rc == 0)
            rc = h5ck_rules_add(p, false, t, &info, &extent);
    }
    return rc;
}

/* All parts of the whole that `t` is one of. `own` is its place among them. */
static int find_parts(h5ck_applying *p, const h5ckpt_tensor *t, const h5ck_ruling *g, const h5ckpt_tensor **parts,
                      size_t *own, h5ck_ruling *first)
{
    *own = g->rule->merge_count;
    for (size_t i = 0; i < g->rule->merge_count; i++) {
        const char *name;
        h5ck_ruling of_part;
        int rc = h5ck_rules_name(p, g, g->rule->merge[i], false, &name);
        if (rc == 0 && !(parts[i] = h5ck_dict_get(&p->from->parameters.dict, name)))
            rc = h5ck_fail(p->err, H5CKPT_USAGE, "rule '%s': expected its part '%s', found no such parameter",
                           g->rule->match, name);
        if (rc == 0)
            rc = h5ck_rules_find(p, parts[i], i ? &of_part : first);
        if (rc == 0 && (i ? &of_part : first)->rule != g->rule)
            rc = h5ck_fail(p->err, H5CKPT_USAGE, "rule '%s': expected to decide about its part '%s', found %s",
                           g->rule->match, name, (i ? &of_part : first)->rule ? "an earlier rule" : "that it does not");
        if (rc)
            return rc;
        if (parts[i] == t && i < *own)
            *own = i;
    }
    return *own < g->rule->merge_count
               ? 0
               : h5ck_fail(p->err, H5CKPT_USAGE,
                           "rule '%s': expected this parameter among its parts, found others only", g->rule->match);
}

static int merge(h5ck_applying *p, const h5ckpt_tensor *t, const h5ck_ruling *g)
{
    size_t own = 0;
    h5ck_ruling first;
    h5ckpt_tensor_info info = t->info;
    h5ck_extent extent;
    const h5ckpt_tensor **parts = h5ck_arena_zalloc(&p->to->arena, g->rule->merge_count, sizeof *parts);
    int rc = parts ? find_parts(p, t, g, parts, &own, &first) : h5ck_fail_nomem(p->err);
    if (rc || own > 0)
        return rc;
    rc = h5ck_rules_name(p, &first, g->rule->rename, true, &info.name);
    if (rc == 0)
        rc = h5ck_rule_join(p->to, g->rule, parts, &info, &extent, p->err);
    return rc ? rc : h5ck_rules_add(p, false, t, &info, &extent);
}

/* What one framework counts and the other does not begins at 0. */
static int add_zero(h5ck_applying *p, const h5ckpt_tensor *t, const h5ck_ruling *g)
{
    static const uint64_t zero = 0;
    const h5ck_extent extent = {.kind = H5CK_EXTENT_MEMORY, .memory = &zero};
    h5ckpt_tensor_info info = {.dtype = H5CKPT_DTYPE_INT64};
    int rc = h5ck_rules_name(p, g, g->rule->zero, false, &info.name);
    return rc ? rc : h5ck_rules_add(p, false, t, &info, &extent);
}

static int keep(h5ck_applying *p, const h5ckpt_tensor *t, const h5ck_ruling *g)
{
    const h5ck_rule *r = g->rule;
    h5ckpt_tensor_info info = t->info;
    h5ck_extent extent = t->extent;
    int rc = r && r->rename ? h5ck_rules_name(p, g, r->rename, true, &info.name) : 0;
    if (rc == 0 && r && h5ck_rule_changes(r, t))
        rc = h5ck_rule_view(p->to, r, t, NULL, NULL, &info, &extent, p->err);
    if (rc == 0)
        rc = h5ck_rules_add(p, false, t, &info, &extent);
    if (rc == 0 && r && r->copy) {
        rc = h5ck_rules_name(p, g, r->copy, false, &info.name);
        if (rc == 0)
            rc = h5ck_rules_add(p, false, t, &info, &extent);
    }
    return rc == 0 && r && r->zero ? add_zero(p, t, g) : rc;
}

static int apply_to(h5ck_applying *p, const h5ckpt_tensor *t)
{
    h5ck_ruling g;
    int rc = h5ck_rules_find(p, t, &g);
    if (rc)
        return rc;
    const h5ck_rule *r = g.rule;
    bool says = r && (!(r->transpose.reverse || r->transpose.count) || r->split_count || r->merge_count ||
                      h5ck_rule_changes(r, t));
    if (says)
        count_use(p, &g);
    if (r && r->drop)
        return 0;
    return r && r->split_count ? split(p, t, &g) : r && r->merge_count ? merge(p, t, &g) : keep(p, t, &g);
}

/* ---- The whole state ---- */

/* They are known to compile (check.c), so only memory can be short. */
static int begin(h5ck_applying *p)
{
    const h5ck_schema *s = p->schema;
    p->used = calloc(s->rule_count, sizeof *p->used);
    p->regexes = calloc(s->rule_count, sizeof *p->regexes);
    while (p->regexes && p->compiled < s->rule_count &&
           regcomp(&p->regexes[p->compiled], s->rules[p->compiled].match, REG_EXTENDED) == 0)
        p->compiled++;
    return p->used && p->regexes && p->compiled == s->rule_count ? 0 : h5ck_fail_nomem(p->err);
}

static void end(h5ck_applying *p)
{
    while (p->compiled > 0)
        regfree(&p->regexes[--p->compiled]);
    free(p->regexes);
    free(p->used);
    h5ck_dict_free(&p->sources);
    h5ck_dict_free(&p->optimizer_sources);
}

static int carry_over(h5ck_applying *p)
{
    const h5ckpt_state *from = p->from;
    int rc = h5ck_rules_optimizer_state(p);
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
    h5ck_applying p = {.schema = s, .from = from, .log = log, .err = err};
    h5ck_clocale c;
    *to = NULL;
    if (s->rule_count == 0)
        return 0;
    if (!(p.to = h5ckpt_state_new()) || !h5ck_clocale_enter(&c)) {
        h5ckpt_state_free(p.to);
        return h5ck_fail_nomem(err);
    }
    p.to->format = from->format;
    int rc = begin(&p);
    for (size_t i = 0; rc == 0 && i < from->parameters.dict.count; i++) {
        const h5ckpt_tensor *t = from->parameters.dict.entries[i].value;
        rc = apply_to(&p, t);
        if (rc && rc != H5CKPT_SYSTEM)
            h5ck_err_where(err, rc, NULL, t->info.name);
    }
    if (rc == 0)
        rc = carry_over(&p);
    if (rc == 0)
        note_uses(&p);
    h5ck_clocale_leave(&c);
    end(&p);
    if (rc)
        h5ckpt_state_free(p.to);
    else
        *to = p.to;
    return rc;
}
