/*
 * check.c - what makes a schema whole: a user's entries take the place of those they extend, every class gets the
 * base's fields, rules make sense, and no name gets in another's way. Each refusal names the place of the later of
 * the two.
 */
#include "schema/clocale.h"
#include "schema/draft.h"
#include "schema/rate.h"

#include <regex.h>
#include <stdio.h>
#include <string.h>

static bool same(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

static const char *origin(const h5ck_draft *d, const char *text)
{
    for (const h5ck_mark *m = d->marks; m; m = m->next)
        if (m->text == text)
            return m->path;
    return NULL;
}

/* Of two texts that do not go together, one may be the extended schema's: then the user's is to blame. */
static const char *blamed(const h5ck_draft *d, const char *one, const char *other)
{
    return origin(d, one) == d->path ? one : other;
}

/* Of two entries of one name, one may replace the other only where they come from different files. */
static int may_replace(h5ck_draft *d, const char *old, const char *new, const char *what)
{
    return origin(d, old) == origin(d, new) ? h5ck_draft_wrong_text(d, new, "a second", "each %s once", what) : 0;
}

/* ---- Fields ---- */

static bool is_number(const h5ck_field_spec *f)
{
    return f->type == H5CK_FIELD_INT || f->type == H5CK_FIELD_FLOAT || f->type == H5CK_FIELD_NUMBER ||
           f->type == H5CK_FIELD_RATE;
}

static int check_field(h5ck_draft *d, h5ck_field_spec *f)
{
    const char *taken[] = {d->schema->at_class, d->schema->at_module, d->schema->at_python, d->schema->at_fields};
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        if (same(f->name, taken[i]))
            return h5ck_draft_wrong_text(d, blamed(d, f->name, taken[i]), NULL,
                                         "a name that is not both a field's and an attribute's of every decay");
    if (f->has_default && !is_number(f))
        return h5ck_draft_wrong_text(d, f->name, h5ck_field_type_name(f->type), "a number's type beside 'default'");
    if (f->means != H5CK_MEANS_NOTHING && !is_number(f) && f->type != H5CK_FIELD_NUMBERS)
        return h5ck_draft_wrong_text(d, f->name, h5ck_field_type_name(f->type),
                                     "a number's type, or numbers, beside 'means'");
    if (!f->parameter)
        f->parameter = f->name;
    return 0;
}

static int finish_base(h5ck_draft *d)
{
    h5ck_schema *s = d->schema;
    h5ck_field_spec *base = h5ck_arena_zalloc(&s->owner->arena, s->base_count, sizeof *base);
    size_t count = 0;
    if (!base)
        return h5ck_fail_nomem(d->err);
    for (size_t i = 0; i < s->base_count; i++) {
        size_t at = 0;
        while (at < count && !same(base[at].name, s->base[i].name))
            at++;
        int rc = at < count ? may_replace(d, base[at].name, s->base[i].name, "field") : 0;
        base[at] = s->base[i];
        if (rc == 0)
            rc = check_field(d, &base[at]);
        if (rc)
            return rc;
        count += at == count;
    }
    s->base = base;
    s->base_count = count;
    return 0;
}

/* ---- Classes ---- */

static bool has_parameter(const h5ck_class *c, const char *parameter)
{
    for (size_t i = 0; i < c->count; i++)
        if (same(c->fields[i].parameter, parameter))
            return true;
    return false;
}

static int check_formula(h5ck_draft *d, const h5ck_class *c)
{
    char names[160] = "";
    for (size_t i = 0, used = 0; h5ck_rate_formula(i) && used < sizeof names; i++)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", h5ck_rate_formula(i));
    if (!h5ck_rate_known(c->formula))
        return h5ck_draft_wrong_text(d, c->formula, NULL, "a formula (%s)", names);
    bool required;
    const char *parameter;
    for (size_t i = 0; (parameter = h5ck_rate_parameter(c->formula, i, &required)); i++)
        if (required && !has_parameter(c, parameter))
            return h5ck_draft_wrong_text(d, c->formula, "none",
                                         "a field of %s for the parameter '%s' of the formula %s", c->name, parameter,
                                         c->formula);
    for (size_t i = 0; i < c->count; i++)
        for (size_t j = 0; j < i; j++)
            if (same(c->fields[i].parameter, c->fields[j].parameter))
                return h5ck_draft_wrong_text(d, c->fields[i].name, "a second", "one field for the parameter '%s'",
                                             c->fields[i].parameter);
    return 0;
}

/* The base's fields, then the class's own. */
static int complete_class(h5ck_draft *d, h5ck_class *c)
{
    const h5ck_schema *s = d->schema;
    size_t count = s->base_count + c->count;
    h5ck_field_spec *fields = h5ck_arena_zalloc(&d->schema->owner->arena, count, sizeof *fields);
    if (!fields)
        return h5ck_fail_nomem(d->err);
    for (size_t i = 0; i < s->base_count; i++)
        fields[i] = s->base[i];
    for (size_t i = s->base_count; i < count; i++) {
        fields[i] = c->fields[i - s->base_count];
        for (size_t j = 0; j < i; j++)
            if (same(fields[i].name, fields[j].name))
                return h5ck_draft_wrong_text(d, fields[i].name, j < s->base_count ? "one of the base's" : "a second",
                                             "each field once");
        int rc = check_field(d, &fields[i]);
        if (rc)
            return rc;
    }
    c->fields = fields;
    c->count = count;
    return c->formula ? check_formula(d, c) : 0;
}

static int finish_classes(h5ck_draft *d)
{
    h5ck_schema *s = d->schema;
    h5ck_class *classes = h5ck_arena_zalloc(&s->owner->arena, s->class_count, sizeof *classes);
    size_t count = 0;
    if (!classes)
        return h5ck_fail_nomem(d->err);
    for (size_t i = 0; i < s->class_count; i++) {
        h5ck_class c = s->classes[i];
        if (!c.module)
            c.module = s->modules[0];
        size_t at = 0;
        while (at < count && !(same(classes[at].name, c.name) && same(classes[at].module, c.module)))
            at++;
        int rc = at < count ? may_replace(d, classes[at].name, c.name, "class") : 0;
        if (rc == 0)
            rc = complete_class(d, &c);
        if (rc)
            return rc;
        classes[at] = c;
        count += at == count;
    }
    s->classes = classes;
    s->class_count = count;
    return 0;
}

/* ---- Schedulers ---- */

static int check_scheduler(h5ck_draft *d, h5ck_scheduler *s)
{
    h5ck_field_spec *fields = h5ck_arena_zalloc(&d->schema->owner->arena, s->count, sizeof *fields);
    if (!fields)
        return h5ck_fail_nomem(d->err);
    memcpy(fields, s->fields, s->count * sizeof *fields);
    for (size_t i = 0; i < s->count; i++) {
        for (size_t j = 0; j < i; j++)
            if (same(fields[i].name, fields[j].name))
                return h5ck_draft_wrong_text(d, fields[i].name, "a second", "each field once");
        int rc = check_field(d, &fields[i]);
        if (rc)
            return rc;
    }
    s->fields = fields;
    return 0;
}

static int finish_schedulers(h5ck_draft *d)
{
    h5ck_schema *s = d->schema;
    h5ck_scheduler *schedulers = h5ck_arena_zalloc(&s->owner->arena, s->scheduler_count, sizeof *schedulers);
    size_t count = 0;
    if (!schedulers)
        return h5ck_fail_nomem(d->err);
    for (size_t i = 0; i < s->scheduler_count; i++) {
        h5ck_scheduler one = s->schedulers[i];
        size_t at = 0;
        while (at < count && !same(schedulers[at].framework, one.framework))
            at++;
        int rc = at < count ? may_replace(d, schedulers[at].framework, one.framework, "framework") : 0;
        if (rc == 0)
            rc = check_scheduler(d, &one);
        if (rc)
            return rc;
        schedulers[at] = one;
        count += at == count;
    }
    s->schedulers = schedulers;
    s->scheduler_count = count;
    return 0;
}

/* ---- Names ---- */

static int check_distinct(h5ck_draft *d, const char *const *names, size_t count, const char *what)
{
    for (size_t i = 1; i < count; i++)
        for (size_t j = 0; j < i; j++)
            if (same(names[i], names[j]))
                return h5ck_draft_wrong_text(d, blamed(d, names[i], names[j]), NULL, "a name that no other %s has",
                                             what);
    return 0;
}

static bool is_level(const char *name, const char *prefix)
{
    size_t n = strlen(prefix);
    return strncmp(name, prefix, n) == 0 && name[n + strspn(name + n, "0123456789")] == 0;
}

static int check_names(h5ck_draft *d)
{
    const h5ck_schema *s = d->schema;
    const char *groups[] = {s->h5_parameters, s->h5_optimizers, s->h5_optimizer_state};
    const char *attributes[] = {s->at_version,     s->at_schema,       s->at_class,  s->at_module,
                                s->at_python,      s->at_fields,       s->at_name,   s->at_order,
                                s->at_source_size, s->at_source_mtime, s->at_digest, s->at_lod};
    enum { GROUPS = 3, ATTRIBUTES = 12, WITHOUT_LOD = 11 };
    int rc = check_distinct(d, groups, GROUPS, "group");
    if (rc == 0)
        rc = check_distinct(d, attributes, ATTRIBUTES, "attribute");
    for (size_t i = 0; rc == 0 && i < WITHOUT_LOD; i++) {
        const char *a = attributes[i];
        size_t n = strlen(a), suffix = strlen(s->at_type_suffix);
        if (is_level(a, s->at_lod))
            rc = h5ck_draft_wrong_text(d, blamed(d, a, s->at_lod), NULL,
                                       "names that keep '%s' and the levels '%s0', ... apart", a, s->at_lod);
        else if (n >= suffix && same(a + n - suffix, s->at_type_suffix))
            rc = h5ck_draft_wrong_text(d, blamed(d, a, s->at_type_suffix), NULL,
                                       "a suffix for types that no attribute ends with ('%s' does with '%s')", a,
                                       s->at_type_suffix);
    }
    return rc;
}

/* What only another program's layout may have: that of our own is docs/format.md. */
static int check_foreign(h5ck_draft *d)
{
    const h5ck_schema *s = d->schema;
    const char *lists[] = {s->list_groups, s->list_parameters, s->list_state};
    enum { LISTS = 3 };
    if (!s->h5_foreign && !*s->h5_parameters)
        return h5ck_draft_wrong_text(d, s->h5_parameters, NULL, "a group's name, or 'foreign: true' beside it");
    if (!s->h5_foreign && s->attribute_count)
        return h5ck_draft_wrong_text(d, s->attributes[0].group, NULL, "'foreign: true' beside 'group_attributes'");
    for (size_t i = 0; i < LISTS; i++) {
        if (lists[i] && !s->h5_foreign)
            return h5ck_draft_wrong_text(d, lists[i], NULL, "'foreign: true' beside 'lists'");
        if (lists[i] && !same(s->h5_separator, "/"))
            return h5ck_draft_wrong_text(d, blamed(d, lists[i], s->h5_separator), NULL,
                                         "the separator '/' beside 'lists'");
    }
    if (s->list_groups && !s->list_parameters)
        return h5ck_draft_wrong_text(d, s->list_groups, NULL, "'parameters' beside 'groups' in 'lists'");
    return 0;
}

/* ---- Rules ---- */

/* What a small expression must not do: take memory or time without bound when it is compiled or matched. */
static const char *regex_excess(const char *match, unsigned long *of_schema)
{
    enum { LENGTH = 4096, REPEATS = 1000 };
    unsigned long all = 1;
    if (strlen(match) > LENGTH)
        return "a longer one";
    for (const char *p = match; *p; p++) {
        if (*p == '\\' && p[1]) {
            p++;
            if (*p >= '1' && *p <= '9')
                return "a back reference";
        } else if (*p == '{') {
            unsigned long most = 1, n = 0;
            for (p++; *p && *p != '}'; p++) {
                n = *p >= '0' && *p <= '9' && n <= REPEATS ? n * 10 + (unsigned long)(*p - '0') : *p == ',' ? 0 : n;
                most = n > most ? n : most;
            }
            all *= most;
            if (all > REPEATS)
                return "more repeats";
            if (!*p)
                break;
        }
    }
    *of_schema += all > 1 ? all : 0; /* each takes memory for itself */
    return *of_schema > REPEATS ? "more repeats in all rules" : NULL;
}

/* A text that makes a name; NULL is none. */
static int check_references(h5ck_draft *d, const h5ck_rule *r, const char *text, size_t groups)
{
    for (const char *p = text; p && *p; p++) {
        if (*p != '\\')
            continue;
        p++;
        char found[3] = {'\\', *p, 0};
        if (*p != '\\' && !(*p >= '0' && *p <= '9'))
            return h5ck_draft_wrong_text(d, text, found, "\\0 to \\9, or \\\\ for one backslash");
        if (*p != '\\' && (size_t)(*p - '0') > groups)
            return h5ck_draft_wrong_text(d, text, found, "references to the %zu groups of '%s'", groups, r->match);
    }
    return 0;
}

static int check_all_references(h5ck_draft *d, const h5ck_rule *r, size_t groups)
{
    int rc = check_references(d, r, r->rename, groups);
    if (rc == 0)
        rc = check_references(d, r, r->beside, groups);
    if (rc == 0)
        rc = check_references(d, r, r->copy, groups);
    if (rc == 0)
        rc = check_references(d, r, r->zero, groups);
    for (size_t i = 0; rc == 0 && i < r->split_count; i++)
        rc = check_references(d, r, r->split[i], groups);
    for (size_t i = 0; rc == 0 && i < r->merge_count; i++)
        rc = check_references(d, r, r->merge[i], groups);
    return rc;
}

/* Which of a rule's keys go together. */
static int check_actions(h5ck_draft *d, const h5ck_rule *r)
{
    bool parts = r->split_count || r->merge_count;
    bool turns = r->transpose.reverse || r->transpose.count;
    if (r->drop && (r->rename || r->copy || r->zero || turns || r->cast != H5CKPT_DTYPE_NONE || parts))
        return h5ck_draft_wrong_text(d, r->match, "both", "'drop', or what else to do with '%s'", r->match);
    if (r->split_count && (r->merge_count || r->rename))
        return h5ck_draft_wrong_text(d, r->match, "both", "'split', or 'merge' or 'rename' of '%s'", r->match);
    if (parts && (r->copy || r->zero))
        return h5ck_draft_wrong_text(d, r->match, "both", "'split' or 'merge', or 'zero' and 'copy' of '%s'", r->match);
    if (r->split_count == 1 || r->merge_count == 1)
        return h5ck_draft_wrong_text(d, r->match, "one", "at least two parts of '%s'", r->match);
    if (r->merge_count && !r->rename)
        return h5ck_draft_wrong_text(d, r->match, "none", "'rename' beside 'merge': the whole's name");
    if ((r->has_axis || r->stack) && !parts)
        return h5ck_draft_wrong_text(d, r->match, "neither", "'split' or 'merge' beside 'axis' and 'stack'");
    if (r->size_count && (r->size_count != r->split_count || r->stack))
        return h5ck_draft_wrong_text(d, r->match, r->stack ? "'stack'" : "others",
                                     "'sizes' only beside 'split', one for each part, and not beside 'stack'");
    if (r->has_rank && r->transpose.count && r->rank != r->transpose.count && !parts)
        return h5ck_draft_wrong_text(d, r->match, "others", "as many axes in 'transpose' as 'rank' says");
    return 0;
}

/* What the rule matches is compiled here only to see that it can be; rules.c does it again where it is needed. */
static int check_rule(h5ck_draft *d, const h5ck_rule *r, unsigned long *repeats)
{
    regex_t regex;
    const char *excess = regex_excess(r->match, repeats);
    if (excess)
        return h5ck_draft_wrong_text(d, r->match, excess,
                                     "a regular expression of at most 4096 bytes, 1000 repeats, no back reference");
    int rc = regcomp(&regex, r->match, REG_EXTENDED);
    if (rc == REG_ESPACE)
        return h5ck_fail_nomem(d->err);
    if (rc) {
        char reason[100], found[140];
        regerror(rc, &regex, reason, sizeof reason);
        snprintf(found, sizeof found, "none (%s)", reason);
        return h5ck_draft_wrong_text(d, r->match, found, "a POSIX extended regular expression");
    }
    size_t groups = regex.re_nsub;
    regfree(&regex);
    rc = check_actions(d, r);
    return rc ? rc : check_all_references(d, r, groups);
}

static int check_rules(h5ck_draft *d)
{
    h5ck_clocale c;
    if (!h5ck_clocale_enter(&c))
        return h5ck_fail_nomem(d->err);
    unsigned long repeats = 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < d->schema->rule_count; i++)
        rc = check_rule(d, &d->schema->rules[i], &repeats);
    h5ck_clocale_leave(&c);
    return rc;
}

int h5ck_draft_finish(h5ck_draft *d)
{
    if (d->schema->is_names)
        return check_rules(d);
    int rc = check_names(d);
    if (rc == 0)
        rc = check_foreign(d);
    if (rc == 0)
        rc = finish_base(d);
    if (rc == 0)
        rc = finish_classes(d);
    if (rc == 0)
        rc = finish_schedulers(d);
    if (rc == 0)
        rc = check_rules(d);
    return rc;
}
