/*
 * fmt_hdf5_read.c - from an HDF5 file to a state (docs/format.md).
 *
 * A walk opens each object once, by its address, through hard links only, without recursion; a group that is reached a
 * second time is passed over, so cycles end. Tensors are made first and put into the dictionary in the order that the
 * file says. What is refused and what is passed over: see fmt_hdf5.c.
 */
#include "base/fs.h"
#include "format/fmt_hdf5.h"
#include "move/digest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A dataset while it is read. */
typedef struct found {
    h5ckpt_tensor_info info;
    h5ck_extent extent;
    const char *digest;
    int64_t order; /* INT64_MAX where the file says none */
    h5ck_file_mark mark;
    bool has_size, has_mtime; /* of the mark */
} found;

/* What is kept of it until all are known. */
typedef struct made {
    h5ckpt_tensor *tensor;
    int64_t order;
    size_t walked; /* when the walk came by */
} made;

typedef struct scan {
    const char *path;
    h5ckpt_state *state;
    const h5ck_schema *schema;
    const h5ck_log *log;
    h5ckpt_error **err;
    h5ck_arena scratch, attrs; /* attrs: of the dataset at hand */
    h5ck_hdf5_reader *reader;
    h5ck_hdf5_source from;
    h5ck_hdf5_external external;
    bool ours;
    bool found_parameters; /* their group */
    bool at_root;          /* the walk is of all the file */
    bool by_groups;        /* the schema's groups say what is what; else all is parameters */
    h5ck_hdf5_lists lists; /* of the dictionary being read, in a file that is not ours */
    h5ck_dict groups;      /* addresses that were walked */
    made *list;            /* of the dictionary being read */
    size_t count, room;
    bool told_of_digest;
} scan;

static hid_t file_of(const scan *s)
{
    return s->reader->hdf5.id;
}

/* ---- One dataset ---- */

typedef struct lod_part {
    uint64_t index;
    h5ckpt_lod_level level;
    struct lod_part *next;
} lod_part;

typedef struct dataset_attrs {
    scan *s;
    found *f;
    const char *path; /* in the file, without the first '/' */
    lod_part *lod;
} dataset_attrs;

static int read_lod(dataset_attrs *d, const h5ck_hdf5_attr *a, const char *digits)
{
    lod_part *part = h5ck_arena_zalloc(&d->s->attrs, 1, sizeof *part);
    uint64_t *offsets = h5ck_arena_zalloc(&d->s->attrs, a->count, sizeof *offsets);
    if (!part || !offsets)
        return h5ck_fail_nomem(d->s->err);
    for (const char *p = digits; *p && part->index < INT32_MAX; p++)
        part->index = 10 * part->index + (uint64_t)(*p - '0');
    for (size_t i = 0; i < a->count; i++) {
        int64_t n;
        if (a->rank != 1 || !h5ck_hdf5_attr_int_at(a, i, &n) || n < 0)
            return h5ck_fail(d->s->err, H5CKPT_INVALID, "expected a list of offsets from 0 up, found other");
        offsets[i] = (uint64_t)n;
    }
    part->level = (h5ckpt_lod_level){a->count, offsets};
    part->next = d->lod;
    d->lod = part;
    d->f->info.lod_levels++;
    return 0;
}

static bool all_digits(const char *s)
{
    return *s && s[strspn(s, "0123456789")] == 0;
}

/* An attribute of another program's layout. */
static int keep_attr(scan *s, const char *path, const char *name, const h5ck_hdf5_attr *a)
{
    bool kept;
    int rc = h5ck_fmt_hdf5_attr_keep(s->state, s->schema, path, name, a, &kept, s->err);
    if (rc == 0 && !kept)
        h5ck_log_note(s->log, "%s: /%s: passed over: the attribute '%s': %s", s->path, path, name, a->type);
    return rc;
}

static int keep_dataset_attr(dataset_attrs *d, hid_t attr, const char *name)
{
    h5ck_hdf5_attr a;
    int rc = h5ck_hdf5_attr_read(attr, &d->s->from, &d->s->attrs, &a, d->s->err);
    return rc ? rc : keep_attr(d->s, d->path, name, &a);
}

/* Attributes that the schema does not name are others', and of no interest in a layout of ours. */
static int visit_dataset_attr(void *user, hid_t attr, const char *name, h5ckpt_error **err)
{
    dataset_attrs *d = user;
    const h5ck_schema *schema = d->s->schema;
    size_t prefix = strlen(schema->at_lod);
    bool is_name = strcmp(name, schema->at_name) == 0, is_digest = strcmp(name, schema->at_digest) == 0;
    bool is_order = strcmp(name, schema->at_order) == 0;
    bool is_lod = strncmp(name, schema->at_lod, prefix) == 0 && all_digits(name + prefix);
    bool is_size = strcmp(name, schema->at_source_size) == 0, is_time = strcmp(name, schema->at_source_mtime) == 0;
    h5ck_hdf5_attr a;
    if (!d->s->ours || (!is_name && !is_digest && !is_order && !is_lod && !is_size && !is_time))
        return schema->h5_foreign ? keep_dataset_attr(d, attr, name) : 0;
    int rc = h5ck_hdf5_attr_read(attr, &d->s->from, &d->s->attrs, &a, err);
    if (rc)
        return rc;
    if (is_name)
        return h5ck_hdf5_attr_as_text(&a, &d->f->info.name, err);
    if (is_digest)
        return h5ck_hdf5_attr_as_text(&a, &d->f->digest, err);
    if (is_lod)
        return read_lod(d, &a, name + prefix);
    d->f->has_size |= is_size;
    d->f->has_mtime |= is_time;
    int64_t *number = is_size ? &d->f->mark.size : is_time ? &d->f->mark.mtime : &d->f->order;
    return h5ck_hdf5_attr_as_int(&a, number) ? 0
                                             : h5ck_fail(err, H5CKPT_INVALID, "expected one integer, found %s", a.type);
}

/* Levels come in any order; each must be there once. */
static int arrange_lod(dataset_attrs *d)
{
    size_t n = d->f->info.lod_levels;
    h5ckpt_lod_level *levels = n ? h5ck_arena_zalloc(&d->s->attrs, n, sizeof *levels) : NULL;
    if (n && !levels)
        return h5ck_fail_nomem(d->s->err);
    for (const lod_part *p = d->lod; p; p = p->next) {
        if (p->index >= n || levels[p->index].offsets)
            return h5ck_fail(d->s->err, H5CKPT_INVALID, "expected %s0 to %s%zu, found level %" PRIu64,
                             d->s->schema->at_lod, d->s->schema->at_lod, n - 1, p->index);
        levels[p->index] = p->level;
    }
    d->f->info.lod = levels;
    return 0;
}

static int keep_found(scan *s, const found *f, const h5ck_hdf5_place *place)
{
    if (s->count == s->room) {
        size_t room = s->room ? 2 * s->room : 64;
        made *list = room > SIZE_MAX / sizeof *list ? NULL : realloc(s->list, room * sizeof *list);
        if (!list)
            return h5ck_fail_nomem(s->err);
        s->list = list;
        s->room = room;
    }
    h5ckpt_tensor *t;
    int rc = h5ck_state_make_tensor(s->state, &f->info, &f->extent, f->digest, &t, s->err);
    if (rc)
        return rc;
    if (!(t->origin = h5ck_arena_memdup(&s->state->arena, place, sizeof *place)))
        return h5ck_fail_nomem(s->err);
    s->list[s->count] = (made){t, f->order, s->count};
    s->count++;
    return 0;
}

/* What the file says of another one that it points into belongs to the extent. */
static int keep_mark(scan *s, found *f)
{
    if (!f->has_size || !f->has_mtime || f->extent.file == s->reader->file)
        return 0;
    f->extent.mark = h5ck_arena_memdup(&s->state->arena, &f->mark, sizeof f->mark);
    return f->extent.mark ? 0 : h5ck_fail_nomem(s->err);
}

/* A digest that cannot be one would hide damage; of a kind that is not known here, another h5ckpt's. */
static int check_digest(scan *s, found *f)
{
    h5ckpt_digest algorithm;
    switch (f->digest ? h5ck_digest_parse(f->digest, &algorithm) : H5CK_DIGEST_KNOWN) {
    case H5CK_DIGEST_BROKEN:
        return h5ck_fail(s->err, H5CKPT_INVALID, "expected a digest, found '%.80s'", f->digest);
    case H5CK_DIGEST_UNKNOWN:
        if (!s->told_of_digest)
            h5ck_log_note(s->log, "%s: digests of an unknown kind (%.*s:...) are not checked", s->path,
                          (int)strcspn(f->digest, ":"), f->digest);
        s->told_of_digest = true;
        f->digest = NULL;
        break;
    case H5CK_DIGEST_KNOWN:
        break;
    }
    return 0;
}

static int read_dataset(scan *s, hid_t dataset, const h5ck_hdf5_place *place, const char *name)
{
    found f = {.info.name = name, .order = s->ours ? INT64_MAX : h5ck_fmt_hdf5_lists_place(&s->lists, name)};
    dataset_attrs attrs = {s, &f, place->path + 1, NULL};
    uint64_t shape[H5CK_MAX_RANK];
    char reason[128];
    bool is_tensor;
    int rc =
        h5ck_hdf5_dataset(s->state, s->reader, dataset, place, &f.info, shape, &f.extent, &is_tensor, reason, s->err);
    if (rc == 0 && !is_tensor) {
        h5ck_log_note(s->log, "%s: %s: passed over: %s", s->path, place->path, reason);
        return 0;
    }
    if (rc == 0 && (s->ours || s->schema->h5_foreign))
        rc = h5ck_hdf5_attr_each(dataset, visit_dataset_attr, &attrs, s->err);
    if (rc == 0)
        rc = check_digest(s, &f);
    if (rc == 0)
        rc = keep_mark(s, &f);
    if (rc == 0)
        rc = arrange_lod(&attrs);
    if (rc == 0)
        rc = keep_found(s, &f, place);
    h5ck_arena_free(&s->attrs);
    return rc;
}

/* ---- The walk ---- */

static int is_decays(scan *s, const h5ck_hdf5_link *link, bool *yes);
static int read_decays(scan *s, haddr_t address, const char *path);

static int visit_dataset(void *user, hid_t dataset, const h5ck_hdf5_place *place, const char *name, h5ckpt_error **err)
{
    (void)err;
    return read_dataset(user, dataset, place, name);
}

typedef struct group_attrs {
    scan *s;
    const char *path; /* as keys have it: "layers/dense/vars/" */
} group_attrs;

static int visit_group_attr(void *user, hid_t attr, const char *name, h5ckpt_error **err)
{
    group_attrs *g = user;
    h5ck_hdf5_attr a;
    int rc = h5ck_hdf5_attr_read(attr, &g->s->from, &g->s->attrs, &a, err);
    return rc ? rc : keep_attr(g->s, g->path, name, &a);
}

/* The root's are seen to by read_root. */
static int keep_group_attrs(scan *s, hid_t group, const char *path)
{
    h5ck_buf text = H5CK_BUF_INIT;
    h5ck_buf_printf(&text, "%s/", path + 1);
    group_attrs g = {s, h5ck_buf_cstr(&text)};
    int rc = g.path ? h5ck_hdf5_attr_each(group, visit_group_attr, &g, s->err) : h5ck_fail_nomem(s->err);
    h5ck_buf_free(&text);
    h5ck_arena_free(&s->attrs);
    return rc;
}

static int visit_group(void *user, hid_t group, const char *path, const char *name, unsigned depth, h5ckpt_error **err)
{
    scan *s = user;
    if (!path || !name)
        return h5ck_fail_nomem(err);
    int rc = s->ours ? 0 : h5ck_fmt_hdf5_lists_enter(&s->lists, group, name, depth, err);
    return rc || !s->schema->h5_foreign || !*path ? rc : keep_group_attrs(s, group, path);
}

/* Parameters may be all that is in the file, with the other groups beside them. In another's file the group of decays is
 * one only where its groups look like decays. */
static int visit_link(void *user, const h5ck_hdf5_link *link, unsigned depth, bool *taken, h5ckpt_error **err)
{
    scan *s = user;
    (void)err;
    *taken = false;
    if (!s->at_root || depth != 1)
        return 0;
    if (s->by_groups && strcmp(link->name, s->schema->h5_optimizer_state) == 0)
        *taken = true; /* read_root sees to it */
    if (strcmp(link->name, s->schema->h5_optimizers) != 0)
        return 0;
    int rc = is_decays(s, link, taken);
    return rc || !*taken ? rc : read_decays(s, link->address, s->schema->h5_optimizers);
}

/* All tensors below the group at `address`, whose path is `path` ("" for the root). */
static int walk_group(scan *s, haddr_t address, const char *path)
{
    s->at_root = !*path;
    const h5ck_hdf5_walk w = {.file = file_of(s),
                              .file_path = s->path,
                              .separator = s->schema->h5_separator,
                              .log = s->log,
                              .strings = &s->state->arena,
                              .scratch = &s->scratch,
                              .groups = &s->groups,
                              .group = visit_group,
                              .dataset = visit_dataset,
                              .link = visit_link,
                              .user = s};
    return h5ck_hdf5_walk_group(&w, address, path, s->err);
}

static int check_link(const scan *s, const h5ck_hdf5_link *link, const char *path, bool *follow)
{
    return h5ck_hdf5_check_link(s->path, link, path, s->log, follow, s->err);
}

/* ---- The dictionaries ---- */

static int by_order(const void *a, const void *b)
{
    const made *x = a, *y = b;
    if (x->order != y->order)
        return x->order < y->order ? -1 : 1;
    return x->walked < y->walked ? -1 : x->walked > y->walked;
}

/* In another program's layout names are all there is to go by, where no list is. */
static int by_place_and_name(const void *a, const void *b)
{
    const made *x = a, *y = b;
    if (x->order != y->order)
        return x->order < y->order ? -1 : 1;
    int c = h5ck_fmt_hdf5_natural(x->tensor->info.name, y->tensor->info.name);
    return c ? c : by_order(a, b);
}

/* What the walk found goes into a dictionary, in its order. */
static int fill_tensors(scan *s, h5ckpt_tensors *dict)
{
    bool foreign = s->by_groups && !s->ours;
    int rc = foreign ? h5ck_fmt_hdf5_lists_done(&s->lists, s->err) : 0;
    if (s->count)
        qsort(s->list, s->count, sizeof *s->list, foreign ? by_place_and_name : by_order);
    for (size_t i = 0; rc == 0 && i < s->count; i++)
        rc = h5ck_state_put_tensor(dict, s->list[i].tensor, s->err);
    s->count = 0;
    return rc;
}

/* A whole dictionary: all below one group. */
static int read_tensors(scan *s, haddr_t address, const char *path, bool state)
{
    const h5ck_schema *schema = s->schema;
    s->lists = (h5ck_hdf5_lists){.groups = state ? NULL : schema->list_groups,
                                 .datasets = state ? schema->list_state : schema->list_parameters,
                                 .arena = &s->scratch,
                                 .from = &s->from};
    int rc = walk_group(s, address, path);
    if (rc == 0)
        rc = fill_tensors(s, state ? &s->state->optimizer_state : &s->state->parameters);
    h5ck_dict_free(&s->lists.places);
    return rc;
}

static const h5ck_hdf5_place *decay_place(scan *s, haddr_t address, const char *folder, const char *link)
{
    h5ck_arena *arena = &s->state->arena;
    h5ck_buf path = H5CK_BUF_INIT;
    h5ck_buf_printf(&path, "/%s/%s", folder, link);
    const char *text = h5ck_buf_cstr(&path);
    h5ck_hdf5_place *place = h5ck_arena_zalloc(arena, 1, sizeof *place);
    if (place)
        *place = (h5ck_hdf5_place){.address = address, .path = text ? h5ck_arena_strdup(arena, text) : NULL};
    h5ck_buf_free(&path);
    return place && place->path ? place : NULL;
}

static int read_decay(scan *s, hid_t group, haddr_t address, const char *folder, const char *link)
{
    const h5ck_hdf5_names names = h5ck_fmt_hdf5_names(s->schema);
    const h5ck_hdf5_policy policy = {h5ck_schema_check_object, (void *)(uintptr_t)s->schema};
    h5ckpt_value value;
    const char *name = h5ck_hdf5_name_decode(link, &s->scratch);
    if (!name)
        return h5ck_fail_nomem(s->err);
    const h5ck_hdf5_place *place = decay_place(s, address, folder, link);
    int rc = place ? h5ck_hdf5_value_read(group, &names, &policy, &s->from, &s->state->arena, &value, s->err)
                   : h5ck_fail_nomem(s->err);
    if (rc == 0)
        rc = h5ck_state_add_decay(s->state, name, &value, NULL, s->reader->file, s->err);
    const h5ck_dict *decays = &s->state->decays.dict;
    if (rc == 0)
        ((h5ckpt_decay *)decays->entries[decays->count - 1].value)->origin = place;
    return rc ? h5ck_err_where(s->err, rc, NULL, name) : 0;
}

static int has_class(scan *s, hid_t group, bool *yes)
{
    htri_t exists = H5Aexists(group, s->schema->at_class);
    *yes = exists > 0;
    return exists < 0 ? h5ck_hdf5_fail(s->err, H5CKPT_INVALID, "cannot look up an attribute") : 0;
}

/* In another's file only the groups that have a class are decays. */
static int read_decay_link(scan *s, const h5ck_hdf5_link *link, const char *folder)
{
    bool follow, is_decay = s->ours;
    int rc = check_link(s, link, link->name, &follow);
    if (rc || !follow)
        return rc;
    hid_t group = H5Oopen_by_addr(file_of(s), link->address);
    bool is_group = group >= 0 && H5Iget_type(group) == H5I_GROUP;
    if (group < 0)
        rc = h5ck_hdf5_fail(s->err, H5CKPT_INVALID, "cannot open the object");
    else if (!is_group && s->ours)
        rc = h5ck_fail(s->err, H5CKPT_INVALID, "expected a group with a decay's fields, found another object");
    else if (is_group && !s->ours)
        rc = has_class(s, group, &is_decay);
    if (rc == 0 && is_decay)
        rc = read_decay(s, group, link->address, folder, link->name);
    else if (rc == 0)
        h5ck_log_note(s->log, "%s: /%s/%s: passed over: no decay", s->path, folder, link->name);
    h5ck_hdf5_close(group);
    return rc;
}

static int links_at(scan *s, haddr_t address, h5ck_hdf5_link **links, size_t *count)
{
    hid_t group = H5Oopen_by_addr(file_of(s), address);
    int rc;
    if (group < 0)
        rc = h5ck_hdf5_fail(s->err, H5CKPT_INVALID, "cannot open a group");
    else if (H5Iget_type(group) != H5I_GROUP)
        rc = h5ck_fail(s->err, H5CKPT_INVALID, "expected a group, found another object");
    else
        rc = h5ck_hdf5_links(group, &s->scratch, links, count, s->err);
    h5ck_hdf5_close(group);
    return rc;
}

static int read_decays(scan *s, haddr_t address, const char *folder)
{
    h5ck_hdf5_link *links;
    size_t count = 0;
    int rc = links_at(s, address, &links, &count);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = read_decay_link(s, &links[i], folder);
        if (rc)
            h5ck_err_where(s->err, rc, NULL, links[i].name);
    }
    return rc ? h5ck_err_where(s->err, rc, NULL, folder) : 0;
}

/* Opens what a hard link leads to; *id is negative for other links and for what is no group. */
static int open_if_group(scan *s, const h5ck_hdf5_link *link, hid_t *id)
{
    *id = -1;
    if (link->type != H5L_TYPE_HARD)
        return 0;
    hid_t object = H5Oopen_by_addr(file_of(s), link->address);
    if (object < 0)
        return h5ck_hdf5_fail(s->err, H5CKPT_INVALID, "cannot open the object");
    if (H5Iget_type(object) == H5I_GROUP)
        *id = object;
    else
        h5ck_hdf5_close(object);
    return 0;
}

static int is_decays(scan *s, const h5ck_hdf5_link *link, bool *yes)
{
    h5ck_hdf5_link *links;
    size_t count = 0;
    hid_t group, child;
    *yes = false;
    int rc = open_if_group(s, link, &group);
    if (rc == 0 && group >= 0)
        rc = h5ck_hdf5_links(group, &s->scratch, &links, &count, s->err);
    for (size_t i = 0; rc == 0 && i < count && !*yes; i++) {
        rc = open_if_group(s, &links[i], &child);
        if (rc == 0 && child >= 0)
            rc = has_class(s, child, yes);
        h5ck_hdf5_close(child);
    }
    h5ck_hdf5_close(group);
    return rc;
}

/* ---- The root ---- */

static void free_schema(void *schema)
{
    h5ck_schema_free(schema);
}

static int check_version(scan *s, hid_t root)
{
    h5ck_hdf5_attr a;
    int64_t version;
    int rc = h5ck_hdf5_attr_get(root, s->schema->at_version, &s->from, &s->scratch, &a, &s->ours, s->err);
    if (rc || !s->ours)
        return rc;
    if (!h5ck_hdf5_attr_as_int(&a, &version))
        return h5ck_fail(s->err, H5CKPT_INVALID, "expected the integer %d as the attribute '%s', found %s",
                         H5CK_HDF5_VERSION, s->schema->at_version, a.type);
    if (version != H5CK_HDF5_VERSION)
        return h5ck_fail(s->err, H5CKPT_INVALID, "expected version %d of h5ckpt's form of HDF5, found %" PRId64,
                         H5CK_HDF5_VERSION, version);
    return 0;
}

/* A file says by which schema it was written. If that is a built-in one, its layout is known: no other is needed. */
static int choose_layout(scan *s, hid_t root)
{
    const char *name;
    const h5ck_schema *layout;
    int rc = s->ours ? h5ck_hdf5_attr_text(root, s->schema->at_schema, &s->from, &s->scratch, &name, s->err) : 0;
    if (rc || !s->ours || !name || strcmp(name, s->schema->name) == 0 || !h5ck_schema_builtin_text(name))
        return rc;
    rc = h5ck_schema_builtin(name, &layout, s->err);
    if (rc == 0)
        rc = h5ck_state_on_close(s->state, free_schema, (void *)(uintptr_t)layout, s->err);
    if (rc == 0)
        s->schema = layout;
    return rc;
}

/* The root's other strings are the metadata. */
static int visit_root_attr(void *user, hid_t attr, const char *name, h5ckpt_error **err)
{
    scan *s = user;
    h5ck_hdf5_attr a;
    if (strcmp(name, s->schema->at_version) == 0)
        return 0;
    int rc = h5ck_hdf5_attr_read(attr, &s->from, &s->scratch, &a, err);
    if (rc)
        return rc;
    if (s->schema->h5_foreign && (a.content != H5CK_HDF5_TEXT || a.rank))
        return keep_attr(s, "/", name, &a);
    if (a.content != H5CK_HDF5_TEXT || a.count != 1) {
        h5ck_log_note(s->log, "%s: passed over: the attribute '%s' of the root: %s", s->path, name, a.type);
        return 0;
    }
    if (s->ours && strcmp(name, s->schema->at_schema) == 0) {
        if (!(s->state->written_by = h5ck_arena_strdup(&s->state->arena, a.texts[0])))
            return h5ck_fail_nomem(err);
        if (strcmp(a.texts[0], s->schema->name) != 0)
            h5ck_log_note(s->log, "%s: written by the schema '%s', read by '%s'", s->path, a.texts[0], s->schema->name);
        return 0;
    }
    const char *key = s->ours ? h5ck_hdf5_name_decode(name, &s->scratch) : name;
    return key ? h5ck_state_set_metadata(s->state, key, a.texts[0], err) : h5ck_fail_nomem(err);
}

static int read_root_link(scan *s, const h5ck_hdf5_link *link)
{
    const h5ck_schema *schema = s->schema;
    bool follow;
    char *path = h5ck_arena_alloc(&s->scratch, strlen(link->name) + 2);
    if (!path)
        return h5ck_fail_nomem(s->err);
    sprintf(path, "/%s", link->name);
    int rc = check_link(s, link, path, &follow);
    if (rc)
        return h5ck_err_where(s->err, rc, NULL, path);
    if (!follow)
        return 0;
    if (strcmp(link->name, schema->h5_optimizers) == 0)
        return *schema->h5_parameters ? read_decays(s, link->address, link->name) : 0; /* or the walk of the root has */
    bool state = strcmp(link->name, schema->h5_optimizer_state) == 0;
    if (!state && !*schema->h5_parameters)
        return 0;
    if (!state && strcmp(link->name, schema->h5_parameters) != 0) {
        h5ck_log_note(s->log, "%s: %s: passed over: not of the schema '%s'", s->path, path, schema->name);
        return 0;
    }
    s->found_parameters |= !state;
    return read_tensors(s, link->address, path, state);
}

static int read_root(scan *s)
{
    h5ck_hdf5_link *links;
    size_t count = 0;
    H5O_info_t info;
    hid_t root = H5Gopen2(file_of(s), "/", H5P_DEFAULT);
    int rc = root < 0 || H5Oget_info(root, &info) < 0
                 ? h5ck_hdf5_fail(s->err, H5CKPT_INVALID, "cannot open the root group")
                 : check_version(s, root);
    if (rc == 0)
        rc = choose_layout(s, root);
    if (rc == 0)
        rc = h5ck_hdf5_attr_each(root, visit_root_attr, s, s->err);
    s->by_groups = s->ours || s->schema->h5_foreign;
    bool all = !s->by_groups || !*s->schema->h5_parameters;
    if (rc == 0 && all)
        rc = read_tensors(s, info.addr, "", false);
    if (rc == 0 && s->by_groups)
        rc = h5ck_hdf5_links(root, &s->scratch, &links, &count, s->err);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = read_root_link(s, &links[i]);
    if (rc == 0 && !all && !s->ours && !s->found_parameters)
        rc = h5ck_fail(s->err, H5CKPT_INVALID, "expected the group /%s, as the schema '%s' says, found none",
                       s->schema->h5_parameters, s->schema->name);
    h5ck_hdf5_close(root);
    return rc;
}

int h5ck_fmt_hdf5_read(const char *path, h5ckpt_state *state, const h5ck_log *log, h5ckpt_error **err)
{
    scan s = {.path = path, .state = state, .schema = state->schema, .log = log, .err = err};
    h5ck_file *file = h5ck_state_new_file(state, path, NULL);
    h5ck_hdf5_guard guard;
    int fd;
    if (!file)
        return h5ck_fail_nomem(err);
    int rc = h5ck_fs_open_source(file->root, NULL, file, &fd, err);
    if (rc)
        return rc;
    h5ck_hdf5_enter(&guard);
    rc = h5ck_hdf5_reader_new(state, file, fd, &s.reader, err);
    s.external = (h5ck_hdf5_external){.allowed = state->external, .path = file->root};
    if (s.reader)
        s.reader->external = &s.external;
    if (rc == 0)
        rc = h5ck_hdf5_source_make(file_of(&s), fd, file->size, &s.from, err);
    if (rc == 0)
        rc = read_root(&s);
    h5ck_hdf5_source_free(&s.from);
    if (s.reader) {
        s.reader->external = NULL;
        rc = h5ck_hdf5_file_told(&s.reader->hdf5, rc, err);
    }
    if (rc == 0)
        h5ck_hdf5_reader_rest(s.reader);
    h5ck_hdf5_leave(&guard);
    close(fd);
    h5ck_dict_free(&s.groups);
    h5ck_dict_free(&s.external.files);
    h5ck_arena_free(&s.attrs);
    h5ck_arena_free(&s.scratch);
    free(s.list);
    return rc ? h5ck_file_where(err, rc, file) : 0;
}
