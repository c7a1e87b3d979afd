/*
 * fmt_hdf5_write.c - from a state to an HDF5 file, in two parts around the move.
 *
 * First libhdf5 makes the file with all attributes and all datasets, allocated but empty, and tells where each one's
 * elements lie: the plan. The mover fills them in. The digests, which only the move can tell, are blanks of their length
 * until then, and are written over those where they lie: to open each dataset again for its attribute would take as
 * long as to create it.
 *
 * Where datasets are compressed the file stays open in between (fmt_hdf5_pack.c). Datasets that only point into the
 * source's files: see fmt_hdf5_link.c.
 */
#include "base/fs.h"
#include "format/fmt_hdf5.h"
#include "format/fmt_hdf5_pack.h"
#include "move/digest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DTYPES = 64 };

/* Where the digest of a move will be. */
typedef struct digest_place {
    unsigned char reference[H5CK_HDF5_REFERENCE];
} digest_place;

typedef struct writer {
    h5ck_plan *plan;
    const h5ck_schema *schema;
    h5ckpt_error **err;
    hid_t file, dataset_list, group_list, link_list;
    hid_t text, scalar; /* of the digests */
    h5ck_hdf5_source source;
    size_t digest_length; /* 0 for none */
    hid_t types[DTYPES];  /* by dtype; 0 for those not needed yet */
    size_t file_index;
    digest_place *digests;      /* by move, for finish() */
    h5ck_fmt_hdf5_packs *packs; /* NULL: nothing is compressed */
    h5ck_hdf5_linker linker;
} writer;

/* What finish() and discard() need: the plan's `user`. */
typedef struct unfinished {
    const digest_place *digests;
    h5ck_fmt_hdf5_packs *packs;
} unfinished;

static hid_t type_of(writer *w, h5ckpt_dtype dtype)
{
    if ((size_t)dtype >= DTYPES)
        return -1;
    if (w->types[dtype] == 0)
        w->types[dtype] = h5ck_hdf5_type_new(h5ck_dtype_get(dtype));
    return w->types[dtype];
}

static int put_lod(writer *w, hid_t dataset, const h5ckpt_tensor_info *info)
{
    int rc = 0;
    for (size_t l = 0; rc == 0 && l < info->lod_levels; l++) {
        uint64_t count = info->lod[l].count;
        h5ck_buf name = H5CK_BUF_INIT, data = H5CK_BUF_INIT;
        h5ck_buf_printf(&name, "%s%zu", w->schema->at_lod, l);
        for (size_t i = 0; i < count; i++)
            h5ck_buf_le(&data, info->lod[l].offsets[i], 8);
        const char *text = h5ck_buf_cstr(&name);
        rc = !text || data.failed
                 ? h5ck_fail_nomem(w->err)
                 : h5ck_hdf5_attr_put_dtype(dataset, text, H5CKPT_DTYPE_INT64, 1, &count, data.data, w->err);
        h5ck_buf_free(&name);
        h5ck_buf_free(&data);
    }
    return rc;
}

static int put_dataset_attrs(writer *w, hid_t dataset, const h5ckpt_tensor *t, const h5ck_hdf5_node *leaf,
                             bool reordered, size_t position)
{
    int rc = put_lod(w, dataset, &t->info);
    bool renamed = leaf->odd || leaf->leaf != leaf->part;
    if (rc == 0 && renamed && (w->schema->list_parameters || w->schema->list_state))
        return h5ck_fail(w->err, H5CKPT_INVALID,
                         "expected a name that HDF5's links can hold, for the schema '%s' lists it", w->schema->name);
    if (rc == 0 && renamed)
        rc = h5ck_hdf5_attr_put_text(dataset, w->schema->at_name, t->info.name, w->err);
    if (rc == 0 && reordered)
        rc = h5ck_hdf5_attr_put_int(dataset, w->schema->at_order, (int64_t)position, w->err);
    return rc;
}

/* How a dataset's elements are stored, which is decided before it is made: as they are, packed, or not here but in the
 * source's own file. */
typedef struct storing {
    hid_t own; /* the list to make it with, where it is not as the others'; closed by make_dataset */
    h5ck_fmt_hdf5_packed *packed;
    bool linked;
} storing;

static int choose_storing(writer *w, const h5ckpt_tensor *t, storing *how)
{
    *how = (storing){.own = -1, .linked = h5ck_fmt_hdf5_links(&w->linker, t)};
    if (how->linked)
        return h5ck_fmt_hdf5_link_list(&w->linker, t, w->dataset_list, &how->own, w->err);
    return w->packs ? h5ck_fmt_hdf5_pack(w->packs, w->plan, t, w->dataset_list, &how->packed, &how->own, w->err) : 0;
}

/* Where the elements go: of a plain dataset to its offset, of others where their packer knows. */
static int plan_elements(writer *w, hid_t dataset, const h5ckpt_tensor *t, const storing *how)
{
    if (how->packed)
        return h5ck_fmt_hdf5_pack_move(how->packed, w->plan, t, w->file_index, dataset, w->err);
    haddr_t at = how->linked ? 0 : H5Dget_offset(dataset);
    if (at == HADDR_UNDEF)
        return h5ck_hdf5_fail(w->err, H5CKPT_SYSTEM, "cannot tell where a dataset lies");
    int rc = h5ck_plan_add_move(w->plan, t, w->file_index, at, w->err);
    if (rc == 0 && how->linked)
        w->plan->moves[w->plan->move_count - 1].packer = &h5ck_fmt_hdf5_read_only;
    return rc;
}

/* The move of a dataset's elements (a linked one's are moved nowhere, and read only for a digest), and where their
 * digest goes. */
static int plan_move(writer *w, hid_t dataset, const h5ckpt_tensor *t, const storing *how)
{
    if (t->info.nbytes == 0 || (how->linked && !w->plan->digest_links))
        return 0;
    unsigned char *reference = w->digest_length ? w->digests[w->plan->move_count].reference : NULL;
    int rc = plan_elements(w, dataset, t, how);
    if (rc == 0 && reference)
        rc = h5ck_hdf5_attr_put_later(dataset, w->schema->at_digest, w->text, w->scalar, w->digest_length, &w->source,
                                      reference, w->err);
    return rc;
}

static int make_dataset(writer *w, hid_t group, const h5ckpt_tensor *t, const h5ck_hdf5_node *leaf, bool reordered,
                        size_t position)
{
    hsize_t dims[H5CK_MAX_RANK];
    storing how;
    int rc = choose_storing(w, t, &how);
    if (rc)
        h5ck_hdf5_close(how.own);
    if (rc)
        return h5ck_err_where(w->err, rc, NULL, t->info.name);
    for (size_t i = 0; i < t->info.rank; i++)
        dims[i] = t->info.shape[i];
    hid_t space = t->info.rank ? H5Screate_simple((int)t->info.rank, dims, NULL) : H5Screate(H5S_SCALAR);
    hid_t dataset = H5Dcreate2(group, leaf->leaf, type_of(w, t->info.dtype), space, w->link_list,
                               how.own < 0 ? w->dataset_list : how.own, H5P_DEFAULT);
    rc = dataset < 0 ? h5ck_hdf5_fail(w->err, H5CKPT_SYSTEM, "cannot create a dataset")
                     : put_dataset_attrs(w, dataset, t, leaf, reordered, position);
    if (rc == 0 && how.linked)
        rc = h5ck_fmt_hdf5_link_attrs(&w->linker, t, dataset, w->err);
    if (rc == 0)
        rc = plan_move(w, dataset, t, &how);
    h5ck_hdf5_close(how.own);
    h5ck_hdf5_close(dataset);
    h5ck_hdf5_close(space);
    return rc ? h5ck_err_where(w->err, rc, NULL, t->info.name) : 0;
}

/* The groups that are open: those of the dataset made last, outermost first. */
typedef struct open_groups {
    struct {
        const h5ck_hdf5_node *node;
        hid_t id;
    } * at;
    unsigned depth;
    hid_t base;
} open_groups;

static void pop_group(open_groups *g)
{
    h5ck_hdf5_close(g->at[--g->depth].id);
}

static hid_t top_group(const open_groups *g)
{
    return g->depth ? g->at[g->depth - 1].id : g->base;
}

/* Opens the groups above a leaf, as far as they are not open from the leaf before. */
static int enter_groups(writer *w, open_groups *g, h5ck_hdf5_node *leaf, h5ck_hdf5_node **chain)
{
    unsigned need = leaf->depth - 1;
    for (h5ck_hdf5_node *n = leaf->parent; n; n = n->parent)
        chain[n->depth - 1] = n;
    while (g->depth > need || (g->depth && g->at[g->depth - 1].node != chain[g->depth - 1]))
        pop_group(g);
    while (g->depth < need) {
        h5ck_hdf5_node *n = chain[g->depth];
        hid_t id = n->made ? H5Gopen2(top_group(g), n->link, H5P_DEFAULT)
                           : H5Gcreate2(top_group(g), n->link, w->link_list, w->group_list, H5P_DEFAULT);
        if (id < 0)
            return h5ck_hdf5_fail(w->err, H5CKPT_SYSTEM, "cannot create a group");
        n->made = true;
        g->at[g->depth].node = n;
        g->at[g->depth++].id = id;
    }
    return 0;
}

static int make_datasets(writer *w, hid_t base, const h5ckpt_tensors *dict, h5ck_arena *scratch)
{
    h5ck_hdf5_tree tree;
    open_groups g = {.base = base};
    int rc = h5ck_hdf5_tree_make(&dict->dict, w->schema->h5_separator, scratch, &tree, w->err);
    if (rc)
        return rc;
    h5ck_hdf5_node **chain = h5ck_arena_zalloc(scratch, tree.depth + 1, sizeof *chain);
    g.at = h5ck_arena_zalloc(scratch, tree.depth + 1, sizeof *g.at);
    if (!chain || !g.at)
        return h5ck_fail_nomem(w->err);
    for (size_t i = 0; rc == 0 && i < dict->dict.count; i++) {
        rc = enter_groups(w, &g, tree.leaves[i], chain);
        if (rc == 0)
            rc = make_dataset(w, top_group(&g), dict->dict.entries[i].value, tree.leaves[i], tree.reordered, i);
    }
    while (g.depth)
        pop_group(&g);
    return rc;
}

static hid_t make_group(writer *w, hid_t base, const char *link)
{
    hid_t id = H5Gcreate2(base, link, w->link_list, w->group_list, H5P_DEFAULT);
    if (id < 0)
        h5ck_hdf5_fail(w->err, H5CKPT_SYSTEM, "cannot create a group");
    return id;
}

/* What stands at the root must not get into the other groups there. */
static int check_root(writer *w, const h5ckpt_tensors *dict)
{
    const h5ck_schema *s = w->schema;
    const char *others[] = {s->h5_optimizers, s->h5_optimizer_state};
    for (size_t i = 0; i < dict->dict.count; i++)
        for (size_t j = 0; j < 2; j++) {
            const char *name = dict->dict.entries[i].key;
            size_t n = strlen(others[j]), step = strlen(s->h5_separator);
            if (strncmp(name, others[j], n) == 0 &&
                (!name[n] || (step && strncmp(name + n, s->h5_separator, step) == 0))) {
                int rc = h5ck_fail(w->err, H5CKPT_INVALID,
                                   "expected no parameter in the group '%s', which the schema '%s' has another use for",
                                   others[j], s->name);
                return h5ck_err_where(w->err, rc, NULL, name);
            }
        }
    return 0;
}

static int make_tensors(writer *w, const char *link, const h5ckpt_tensors *dict)
{
    const h5ck_schema *s = w->schema;
    bool state = dict == &dict->state->optimizer_state;
    h5ck_arena scratch = {NULL};
    int rc = *link ? 0 : check_root(w, dict);
    hid_t group = rc ? -1 : *link ? make_group(w, w->file, link) : H5Gopen2(w->file, "/", H5P_DEFAULT);
    if (rc == 0)
        rc = group < 0 ? H5CKPT_SYSTEM : make_datasets(w, group, dict, &scratch);
    if (rc == 0)
        rc = h5ck_fmt_hdf5_lists_put(group, s, state, &dict->dict, w->err);
    h5ck_hdf5_close(group);
    h5ck_arena_free(&scratch);
    return rc;
}

static int make_decay(writer *w, hid_t base, const h5ckpt_decay *decay, h5ck_arena *scratch)
{
    const h5ck_hdf5_names names = h5ck_fmt_hdf5_names(w->schema);
    const char *link = h5ck_hdf5_name_encode(decay->info.name, NULL, NULL, scratch);
    hid_t group = link ? make_group(w, base, link) : -1;
    int rc = !link ? h5ck_fail_nomem(w->err) : H5CKPT_SYSTEM;
    if (group >= 0)
        rc = h5ck_hdf5_value_write(group, &names, decay->info.value->as.object, w->err);
    h5ck_hdf5_close(group);
    return rc ? h5ck_err_where(w->err, rc, NULL, decay->info.name) : 0;
}

static int make_decays(writer *w, const h5ckpt_decays *decays)
{
    h5ck_arena scratch = {NULL};
    hid_t group = make_group(w, w->file, w->schema->h5_optimizers);
    int rc = group < 0 ? H5CKPT_SYSTEM : 0;
    for (size_t i = 0; rc == 0 && i < decays->dict.count; i++)
        rc = make_decay(w, group, decays->dict.entries[i].value, &scratch);
    h5ck_hdf5_close(group);
    h5ck_arena_free(&scratch);
    return rc;
}

static int put_metadata(writer *w, const h5ckpt_field *f, h5ck_arena *scratch)
{
    const char *const reserved[] = {w->schema->at_version, w->schema->at_schema, NULL};
    const char *name = h5ck_hdf5_name_encode(f->key.as.str, reserved, NULL, scratch);
    return name ? h5ck_hdf5_attr_put_text(w->file, name, f->value.as.str, w->err) : h5ck_fail_nomem(w->err);
}

/* In another program's layout some metadata are attributes of groups and datasets, once those are there. */
static bool comes_later(const writer *w, const h5ckpt_field *f)
{
    return w->schema->h5_foreign && h5ck_fmt_hdf5_attr_is_key(f->key.as.str);
}

static int put_other_attrs(writer *w, const h5ckpt_value *metadata)
{
    const h5ck_hdf5_group_lists how = {w->link_list, w->group_list};
    h5ck_arena scratch = {NULL};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < metadata->count; i++) {
        const h5ckpt_field *f = &metadata->as.fields[i];
        bool put = true;
        if (comes_later(w, f))
            rc = h5ck_fmt_hdf5_attr_put_back(w->file, f->key.as.str, f->value.as.str, &how, &put, w->err);
        if (rc == 0 && !put)
            rc = put_metadata(w, f, &scratch);
    }
    h5ck_arena_free(&scratch);
    return rc ? rc : h5ck_fmt_hdf5_attr_defaults(w->file, w->schema, w->err);
}

static int put_root_attrs(writer *w, const h5ckpt_value *metadata)
{
    h5ck_arena scratch = {NULL};
    int rc = h5ck_hdf5_attr_put_int(w->file, w->schema->at_version, H5CK_HDF5_VERSION, w->err);
    if (rc == 0)
        rc = h5ck_hdf5_attr_put_text(w->file, w->schema->at_schema, w->schema->name, w->err);
    for (size_t i = 0; rc == 0 && i < metadata->count; i++) {
        if (!comes_later(w, &metadata->as.fields[i]))
            rc = put_metadata(w, &metadata->as.fields[i], &scratch);
    }
    h5ck_arena_free(&scratch);
    return rc;
}

/* No times, space at once, never filled: the mover fills it. */
static int make_lists(writer *w)
{
    w->dataset_list = H5Pcreate(H5P_DATASET_CREATE);
    w->group_list = h5ck_hdf5_group_list();
    w->link_list = h5ck_hdf5_link_list();
    w->text = h5ck_hdf5_type_text_new();
    w->scalar = H5Screate(H5S_SCALAR);
    if (w->dataset_list < 0 || w->group_list < 0 || w->link_list < 0 || w->text < 0 || w->scalar < 0 ||
        H5Pset_obj_track_times(w->dataset_list, false) < 0 ||
        H5Pset_alloc_time(w->dataset_list, H5D_ALLOC_TIME_EARLY) < 0 ||
        H5Pset_fill_time(w->dataset_list, H5D_FILL_TIME_NEVER) < 0)
        return h5ck_hdf5_fail(w->err, H5CKPT_SYSTEM, "cannot make HDF5's lists");
    return 0;
}

static int make_skeleton(writer *w, const h5ckpt_state *state)
{
    int rc = make_lists(w);
    if (rc == 0 && w->digest_length)
        rc = h5ck_hdf5_source_make(w->file, -1, 0, &w->source, w->err);
    if (rc == 0)
        rc = put_root_attrs(w, &state->metadata);
    if (rc == 0)
        rc = make_tensors(w, w->schema->h5_parameters, &state->parameters);
    if (rc == 0 && (state->decays.dict.count || !w->schema->h5_foreign))
        rc = make_decays(w, &state->decays);
    if (rc == 0 && state->optimizer_state.dict.count)
        rc = make_tensors(w, w->schema->h5_optimizer_state, &state->optimizer_state);
    if (rc == 0 && w->schema->h5_foreign)
        rc = put_other_attrs(w, &state->metadata);
    for (size_t i = 0; i < DTYPES; i++)
        if (w->types[i] > 0)
            h5ck_hdf5_close(w->types[i]);
    h5ck_hdf5_close(w->dataset_list);
    h5ck_hdf5_close(w->group_list);
    h5ck_hdf5_close(w->link_list);
    h5ck_hdf5_close(w->text);
    h5ck_hdf5_close(w->scalar);
    h5ck_hdf5_source_free(&w->source);
    return rc;
}

static int put_each_digest(const h5ck_plan *plan, const h5ck_hdf5_source *file, h5ckpt_error **err)
{
    const digest_place *places = ((const unfinished *)plan->user)->digests;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < plan->move_count; i++) {
        rc = h5ck_hdf5_heap_overwrite(places[i].reference, plan->moves[i].digest, file, err);
        if (rc)
            h5ck_err_where(err, rc, NULL, plan->moves[i].tensor->info.name);
    }
    return rc ? rc : h5ck_hdf5_heap_flush(file, err);
}

/* libhdf5 has closed the file. */
static int put_digests(const h5ck_plan *plan, h5ckpt_error **err)
{
    h5ck_hdf5_source file;
    h5ck_fs_stat st;
    int fd, rc = h5ck_fs_open_write(plan->stage, &fd, err);
    if (rc)
        return rc;
    rc = h5ck_fs_status(plan->stage, &st, err);
    if (rc == 0)
        rc = h5ck_hdf5_source_again(fd, st.size, &file, err);
    if (rc == 0) {
        rc = put_each_digest(plan, &file, err);
        h5ck_hdf5_source_free(&file);
    }
    int closed = h5ck_fs_close(fd, rc ? NULL : err);
    return rc ? rc : closed;
}

static int finish_packed(h5ck_fmt_hdf5_packs *packs, h5ckpt_error **err)
{
    h5ck_hdf5_guard guard;
    h5ck_hdf5_enter(&guard);
    int rc = h5ck_fmt_hdf5_packs_finish(packs, err);
    rc = h5ck_hdf5_file_close(&packs->file, rc, err);
    h5ck_hdf5_leave(&guard);
    return rc;
}

static int finish(h5ck_plan *plan, h5ckpt_error **err)
{
    const unfinished *u = plan->user;
    int rc = u->packs ? finish_packed(u->packs, err) : 0;
    return rc || plan->digest == H5CKPT_DIGEST_NONE ? rc : put_digests(plan, err);
}

/* Also the file of a move that failed. */
static void discard(h5ck_plan *plan)
{
    const unfinished *u = plan->user;
    h5ck_hdf5_guard guard;
    if (!u || !u->packs)
        return;
    if (u->packs->file.fd >= 0) {
        h5ck_hdf5_enter(&guard);
        h5ck_hdf5_file_close(&u->packs->file, 0, NULL);
        h5ck_hdf5_leave(&guard);
    }
    h5ck_fmt_hdf5_packs_end(u->packs);
}

int h5ck_fmt_hdf5_plan(const h5ckpt_state *state, h5ck_plan *plan, h5ckpt_error **err)
{
    writer w = {.plan = plan, .schema = plan->schema, .err = err, .file = -1, .linker.plan = plan};
    const h5ck_plan_file file = {.exists = true};
    size_t tensors = state->parameters.dict.count + state->optimizer_state.dict.count;
    h5ck_hdf5_file own, *target = &own;
    h5ck_hdf5_guard guard;
    h5ck_fs_stat st;
    plan->is_dir = false;
    unfinished *u = h5ck_arena_zalloc(&plan->arena, 1, sizeof *u);
    w.digest_length = h5ck_digest_length(plan->digest);
    w.digests = h5ck_arena_zalloc(&plan->arena, w.digest_length ? tensors : 0, sizeof *w.digests);
    w.packs = plan->compress ? h5ck_fmt_hdf5_packs_new(plan) : NULL;
    if (!u || !w.digests || (plan->compress && !w.packs))
        return h5ck_fail_nomem(err);
    if (w.packs)
        target = &w.packs->file;
    *u = (unfinished){w.digests, w.packs};
    plan->user = u;
    plan->finish = finish;
    plan->discard = discard;
    int rc = h5ck_plan_add_file(plan, &file, &w.file_index, err);
    if (rc)
        return rc;
    h5ck_hdf5_enter(&guard);
    rc = h5ck_hdf5_file_create(target, plan->stage, tensors, err);
    w.file = target->id;
    if (rc == 0)
        rc = make_skeleton(&w, state);
    if (w.packs && rc == 0)
        rc = h5ck_fmt_hdf5_packs_start(w.packs, plan, err); /* it stays open */
    else
        rc = h5ck_hdf5_file_close(target, rc, err);
    h5ck_hdf5_leave(&guard);
    h5ck_fmt_hdf5_link_done(&w.linker, state, rc == 0);
    if (rc == 0)
        rc = h5ck_fs_status(plan->stage, &st, err);
    if (rc == 0)
        plan->files[w.file_index].size = st.size;
    return rc;
}
