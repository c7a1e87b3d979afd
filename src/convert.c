/*
 * convert.c - writing: a state to a new target, and from one checkpoint to another.
 *
 * The format plans, the mover carries out, at a stage beside the target; the stage takes the target's name when it is
 * whole and on disk. Whatever fails until then, an existing target stays as it was and the stage is removed. What may
 * not be replaced, even with force: the source, a folder that holds it, a folder that is no save directory, a device.
 */
#include "base/fs.h"
#include "move/digest.h"
#include "move/move.h"
#include "recast.h"
#include "verbs.h"

#include <stdlib.h>
#include <string.h>

/* ---- May the target be written? ---- */

/* The files of a folder that a state was read from. */
static int know_files(const h5ckpt_state *state, h5ck_dict *known, h5ckpt_error **err)
{
    for (size_t i = 0; i < state->parameters.dict.count; i++) {
        const h5ckpt_tensor *t = state->parameters.dict.entries[i].value;
        if (t->extent.file && t->extent.file->relative && !h5ck_dict_set(known, t->extent.file->relative, known))
            return h5ck_fail_nomem(err);
    }
    for (size_t i = 0; i < state->decays.dict.count; i++) {
        const h5ckpt_decay *d = state->decays.dict.entries[i].value;
        if (d->file && d->file->relative && !h5ck_dict_set(known, d->file->relative, known))
            return h5ck_fail_nomem(err);
    }
    return 0;
}

static int check_known(void *known, const char *relative, h5ck_fs_kind kind, bool *enter, h5ckpt_error **err)
{
    (void)enter;
    if (kind == H5CK_FS_DIR || h5ck_dict_get(known, relative))
        return 0;
    return h5ck_fail(err, H5CKPT_USAGE,
                     "expected a save directory to replace, found '%s' in it, which is no part of one", relative);
}

/* A folder is replaced only where every file in it is a tensor or a decay, also those that a reader passes over: nobody
 * loses a home directory, or a .git, to a typing error. */
static int check_replaceable(const char *target, const char *schema, h5ckpt_error **err)
{
    h5ckpt_options as = H5CKPT_OPTIONS_INIT;
    h5ckpt_error *why = NULL;
    h5ck_dict known = {0};
    as.schema = schema;
    h5ckpt_state *old = h5ckpt_state_open(target, &as, &why);
    int rc;
    if (old)
        rc = know_files(old, &known, err);
    else if (why && why->code == H5CKPT_SYSTEM)
        rc = h5ck_fail(err, H5CKPT_SYSTEM, "%s", why->message);
    else
        rc = h5ck_fail(err, H5CKPT_USAGE, "expected a save directory to replace, found other things in it: %s",
                       why ? why->message : "");
    if (rc == 0)
        rc = h5ck_fs_walk(target, check_known, &known, err);
    if (rc == 0 && known.count == 0)
        rc = h5ck_fail(err, H5CKPT_USAGE, "expected a save directory to replace, found only folders in it");
    h5ckpt_error_free(why);
    h5ck_dict_free(&known);
    h5ckpt_state_free(old);
    return rc ? h5ck_err_where(err, rc, target, NULL) : 0;
}

/* What stands at the target, and whether it may be replaced. seen->exists is false where there is nothing to lose. */
static int check_target(const char *target, const h5ck_format *format, const h5ckpt_options *o, h5ck_fs_stat *seen,
                        h5ckpt_error **err)
{
    bool empty = false;
    int rc = h5ck_fs_status(target, seen, err);
    if (rc || !seen->exists)
        return rc;
    if (!seen->is_dir && !seen->is_file)
        return h5ck_fail(err, H5CKPT_USAGE, "%s: expected a file or folder, found a device, FIFO or socket", target);
    if (seen->is_dir && (rc = h5ck_fs_is_empty(target, &empty, err)))
        return rc;
    if (empty && format->is_dir) {
        seen->exists = false;
        return 0;
    }
    if (!o->force)
        return h5ck_fail(err, H5CKPT_USAGE, "%s: the target exists; use --force to replace it", target);
    return seen->is_dir && !empty ? check_replaceable(target, o->schema, err) : 0;
}

/* The files that the elements lie in: pointing at them, or still to be read, they must not be what makes room for the
 * target. A source that points into other files has more of them than its own path says. */
static int check_file(const h5ck_file *f, const char *target, const h5ck_fs_stat *seen, h5ckpt_error **err)
{
    h5ck_arena scratch = {NULL};
    bool below = f->dev == seen->dev && f->ino == seen->ino;
    int rc = seen->is_dir ? h5ck_fs_is_below(h5ck_file_path(f, &scratch), target, &below, err) : 0;
    if (rc == 0 && below)
        rc = h5ck_fail(err, H5CKPT_USAGE, "%s: the target is, or holds, a file that elements of the source lie in",
                       target);
    h5ck_arena_free(&scratch);
    return rc;
}

static int check_files(const h5ckpt_state *state, const char *target, const h5ck_fs_stat *seen, h5ckpt_error **err)
{
    const h5ck_dict *dicts[] = {&state->parameters.dict, &state->optimizer_state.dict};
    const h5ck_file *last = NULL;
    int rc = 0;
    for (size_t d = 0; seen->exists && d < 2; d++)
        for (size_t i = 0; rc == 0 && i < dicts[d]->count; i++) {
            const h5ckpt_tensor *t = dicts[d]->entries[i].value;
            if (t->extent.file && t->extent.file != last)
                rc = check_file(last = t->extent.file, target, seen, err);
        }
    return rc;
}

/* And those that only say what the elements are: an index, a list of names, an optimizer's state beside the model. */
static int check_all_files(const h5ckpt_state *state, const char *target, const h5ck_fs_stat *seen, h5ckpt_error **err)
{
    int rc = check_files(state, target, seen, err);
    for (const h5ckpt_state *s = state; s; s = s->mapped_from)
        for (const h5ck_file *f = s->files; rc == 0 && f; f = f->next)
            rc = check_file(f, target, seen, err);
    return rc;
}

static int check_links(const h5ckpt_state *state, const char *target, const h5ck_fs_stat *seen,
                       const h5ck_format *format, const h5ckpt_options *o, h5ckpt_error **err)
{
    if (o->link != H5CKPT_LINK_NONE && !format->links)
        return h5ck_fail(err, H5CKPT_USAGE,
                         "%s: expected a target that can point into other files, found the format %s", target,
                         format->info.name);
    if (o->link != H5CKPT_LINK_NONE && o->compress)
        return h5ck_fail(err, H5CKPT_USAGE,
                         "%s: expected elements to be either compressed or pointed at (linked), found both asked for",
                         target);
    if (o->link != H5CKPT_LINK_NONE || o->allow_external != H5CKPT_EXTERNAL_REFUSED)
        return check_files(state, target, seen, err);
    return 0;
}

static int check_apart(const char *source, const char *target, h5ckpt_error **err)
{
    h5ck_fs_stat s, t;
    bool below = false;
    int rc = h5ck_fs_status(source, &s, err);
    if (rc == 0)
        rc = h5ck_fs_status(target, &t, err);
    if (rc || !s.exists)
        return rc; /* a missing source is for the reader to report */
    if (t.exists && s.dev == t.dev && s.ino == t.ino)
        return h5ck_fail(err, H5CKPT_USAGE, "%s: the target is the source", target);
    if (s.is_dir && (rc = h5ck_fs_is_below(target, source, &below, err)))
        return rc;
    if (below)
        return h5ck_fail(err, H5CKPT_USAGE, "%s: the target is inside of the source", target);
    if (t.is_dir && (rc = h5ck_fs_is_below(source, target, &below, err)))
        return rc;
    return below ? h5ck_fail(err, H5CKPT_USAGE, "%s: the target is a folder that holds the source", target) : 0;
}

/* ---- How is it compressed? ---- */

/* By h5ckpt_compress: libdeflate has levels up to 12, but HDF5's filter has no room for more than 9. */
static const struct {
    const char *name;
    int most, usual;
} compressions[] = {{"none", 0, 0}, {"gzip", 9, 1}, {"zstd", 22, 1}};

static int check_compression(const h5ck_format *format, const h5ckpt_options *o, h5ckpt_error **err)
{
    if ((unsigned)o->compress >= sizeof compressions / sizeof *compressions)
        return h5ck_fail(err, H5CKPT_USAGE, "expected a way to compress, found %d", (int)o->compress);
    if (o->compress && !format->packs)
        return h5ck_fail(err, H5CKPT_USAGE, "expected a target format that can be compressed, found %s",
                         format->info.name);
    if (o->compress_level < 0 || o->compress_level > compressions[o->compress].most)
        return h5ck_fail(err, H5CKPT_USAGE, "expected a level from 1 to %d for %s, found %d",
                         compressions[o->compress].most, compressions[o->compress].name, o->compress_level);
    return 0;
}

/* ---- Writing ---- */

/* ---- Companions: files beside the target that belong to it ---- */

/* The target's next file, or NULL behind the last. *i is where the search goes on; 0 at first. */
static h5ck_companion *next_companion(const h5ck_plan *plan, size_t *i)
{
    while (*i < plan->file_count) {
        h5ck_companion *c = plan->files[(*i)++].companion;
        if (c)
            return c;
    }
    return NULL;
}

/* As check_target and check_parts, for each of them. */
static int check_companions(const h5ck_plan *plan, const h5ckpt_state *state, const h5ckpt_options *o,
                            h5ckpt_error **err)
{
    int rc = 0;
    size_t at = 0;
    for (h5ck_companion *c; rc == 0 && (c = next_companion(plan, &at));) {
        rc = h5ck_fs_status(c->path, &c->seen, err);
        if (rc || !c->seen.exists)
            continue;
        if (!c->seen.is_file)
            rc = h5ck_fail(err, H5CKPT_USAGE, "%s: expected a file that belongs to the target, found something else",
                           c->path);
        else if (!o->force)
            rc = h5ck_fail(err, H5CKPT_USAGE, "%s: it belongs to the target and exists; use --force to replace it",
                           c->path);
        else
            rc = check_all_files(state, c->path, &c->seen, err);
    }
    return rc;
}

/* Whether what was looked at stands at `path` still. A system may give a new file an old one's number at once. */
static int check_same(const h5ck_companion *c, const char *path, h5ckpt_error **err)
{
    h5ck_fs_stat now;
    int rc = h5ck_fs_status(path, &now, err);
    if (rc == 0 && (!now.is_file || now.size != c->seen.size || now.dev != c->seen.dev || now.ino != c->seen.ino))
        rc = h5ck_fail(err, H5CKPT_USAGE, "%s: it belongs to the target and changed while that was being written",
                       c->path);
    return rc;
}

/* An old one waits aside, so that it can come back. What came there since it was looked at is left alone. */
static int publish_companion(h5ck_plan *plan, h5ck_companion *c, h5ckpt_error **err)
{
    const char *aside;
    int rc = 0;
    if (c->seen.exists) {
        rc = check_same(c, c->path, err);
        if (rc == 0)
            rc = h5ck_fs_stage_path(c->path, &plan->arena, &aside, err);
        if (rc == 0)
            rc = h5ck_fs_publish(c->path, aside, NULL, err);
        if (rc == 0)
            rc = check_same(c, c->aside = aside, err);
    }
    if (rc == 0)
        rc = h5ck_fs_publish(c->stage, c->path, NULL, err);
    c->published = rc == 0;
    return rc;
}

/* All of them are in their place, or after a failure as they were. */
static int publish_companions(h5ck_plan *plan, h5ckpt_error **err)
{
    int rc = 0;
    size_t at = 0;
    for (h5ck_companion *c; rc == 0 && (c = next_companion(plan, &at));)
        rc = publish_companion(plan, c, err);
    return rc;
}

/* After a failure: the new ones go, the old ones come back. Where one cannot, the error says where it is. */
static void take_back(const h5ck_plan *plan, h5ckpt_error **err)
{
    size_t at = 0;
    for (h5ck_companion *c; (c = next_companion(plan, &at));) {
        h5ck_fs_remove_tree(c->published ? c->path : c->stage);
        if (!c->aside || h5ck_fs_publish(c->aside, c->path, NULL, NULL) == 0)
            continue;
        h5ckpt_error *why = err ? *err : NULL;
        if (err)
            *err = NULL;
        h5ck_fail(err, why ? (int)why->code : H5CKPT_SYSTEM, "%s; what was %s is now %s", why ? why->message : "",
                  c->path, c->aside);
        h5ckpt_error_free(why);
    }
}

static void settle_companions(const h5ck_plan *plan, int rc, h5ckpt_error **err)
{
    size_t at = 0;
    if (rc) {
        take_back(plan, err);
        return;
    }
    for (h5ck_companion *c; (c = next_companion(plan, &at));)
        if (c->aside)
            h5ck_fs_remove_tree(c->aside);
}

/* Plans and moves to the stage. */
static int build(h5ck_plan *plan, const h5ckpt_state *state, const h5ck_format *format, const h5ckpt_options *o,
                 h5ckpt_error **err)
{
    const h5ck_move_options how = {o->jobs, !o->no_sync, o->progress, o->progress_user};
    int rc = format->plan(state, plan, err);
    if (rc == H5CKPT_SYSTEM)
        h5ck_err_where(err, rc, plan->target, NULL);
    if (rc == 0)
        rc = check_companions(plan, state, o, err);
    return rc ? rc : h5ck_move(plan, &how, err); /* what the target cannot hold is the source's */
}

/* The target stands already: only its folder's entry may not have reached the disk yet. */
static int sync_entry(const char *target, h5ckpt_error **err)
{
    h5ckpt_error *why = NULL;
    int rc = h5ck_fs_sync_parent(target, &why);
    if (rc)
        h5ck_fail(err, rc, "%s: written and in its place, but not known to be on disk: %s", target,
                  why ? why->message : "");
    h5ckpt_error_free(why);
    return rc;
}

static h5ckpt_digest digest_of(const h5ckpt_options *o)
{
    return o->digest == H5CKPT_DIGEST_DEFAULT ? H5CKPT_DIGEST_XXH3 : o->digest;
}

static int write_to(const h5ckpt_state *state, const char *target, const h5ck_fs_stat *seen, const h5ck_format *format,
                    const h5ck_schema *schema, const h5ckpt_options *o, h5ckpt_error **err)
{
    h5ck_arena paths = {NULL};
    const char *stage;
    int rc = h5ck_fs_stage_path(target, &paths, &stage, err);
    if (rc == 0) {
        h5ck_plan plan = {
            .target = target, .stage = stage, .digest = digest_of(o), .schema = schema, .log = h5ck_options_log(o)};
        plan.compress = o->compress;
        plan.compress_level = o->compress_level ? o->compress_level : compressions[o->compress].usual;
        plan.link = o->link;
        plan.digest_links = o->digest != H5CKPT_DIGEST_DEFAULT && o->digest != H5CKPT_DIGEST_NONE;
        rc = build(&plan, state, format, o, err);
        if (rc == 0)
            rc = publish_companions(&plan, err);
        if (rc == 0)
            rc = h5ck_fs_publish(stage, target, seen->exists ? seen : NULL, err);
        settle_companions(&plan, rc, err);
        h5ck_plan_free(&plan);
        if (rc)
            h5ck_fs_remove_tree(stage);
        else if (!o->no_sync)
            rc = sync_entry(target, err);
    }
    h5ck_arena_free(&paths);
    return rc;
}

int h5ck_write(const h5ckpt_state *state, const char *target, const h5ck_schema *schema, const h5ckpt_options *o,
               h5ckpt_error **err)
{
    const h5ck_format *format;
    h5ck_fs_stat seen;
    char *resolved = NULL;
    int rc;
    if (!target || !*target)
        return h5ck_fail(err, H5CKPT_USAGE, "expected the path of a target, found none");
    if (!h5ck_digest_available(digest_of(o)))
        return h5ck_fail(err, H5CKPT_USAGE, "expected a digest that this build has, found %s",
                         o->digest == H5CKPT_DIGEST_SHA256 ? "SHA-256, which it was built without" : "none of them");
    rc = o->to ? h5ck_format_by_name(o->to, &format, err) : h5ck_format_of_target(target, &format, err);
    if (rc == 0 && !format->plan)
        rc = h5ck_fail(err, H5CKPT_USAGE, "%s: expected a format that is written, found %s, which is only read", target,
                       format->info.name);
    if (rc == 0)
        rc = check_compression(format, o, err);
    if (rc == 0)
        rc = check_target(target, format, o, &seen, err);
    if (rc == 0)
        rc = check_links(state, target, &seen, format, o, err);
    if (rc == 0)
        rc = h5ck_fs_resolve_link(target, &resolved, err); /* what a link leads to is replaced, not the link */
    if (rc == 0)
        rc = write_to(state, resolved ? resolved : target, &seen, format, schema, o, err);
    free(resolved);
    return rc;
}

/* The target's own, or NULL. */
static int target_schema(const h5ckpt_options *o, const h5ck_schema **schema, h5ckpt_error **err)
{
    *schema = NULL;
    return o->to_schema ? h5ck_schema_find(o->to_schema, schema, err) : 0;
}

int h5ckpt_state_write(const h5ckpt_state *state, const char *path, const h5ckpt_options *options, h5ckpt_error **err)
{
    const h5ckpt_options o = h5ck_options_complete(options);
    const h5ck_schema *schema = NULL;
    if (!state)
        return h5ck_fail(err, H5CKPT_USAGE, "expected a state to write, found NULL");
    int rc = target_schema(&o, &schema, err);
    if (rc == 0 && !schema)
        rc = h5ck_options_schema(&o, &schema, err);
    if (rc == 0)
        rc = h5ck_write(state, path, schema, &o, err);
    h5ck_schema_free(schema);
    return rc;
}

int h5ckpt_save_persistables(const h5ckpt_tensors *parameters, const char *dirname, const h5ckpt_decays *decays,
                             h5ckpt_error **err)
{
    h5ckpt_options o = H5CKPT_OPTIONS_INIT;
    if (!parameters)
        return h5ck_fail(err, H5CKPT_USAGE, "expected parameters to save, found NULL");
    h5ckpt_state both = {.parameters = *parameters}; /* a view of two dictionaries, which may be of two states */
    o.to = h5ck_format_of_folders()->info.name;
    if (decays)
        both.decays = *decays;
    return h5ckpt_state_write(&both, dirname ? dirname : "save_dir", &o, err);
}

/* ---- Converting ---- */

/* A source may be more files than the one it is called by (an index and its shards): none of them is replaced. */
static int check_parts(const h5ckpt_state *state, const char *target, h5ckpt_error **err)
{
    h5ck_fs_stat seen;
    int rc = h5ck_fs_status(target, &seen, err);
    return rc || !seen.is_file ? rc : check_all_files(state, target, &seen, err);
}

int h5ckpt_convert(const char *source, const char *target, const h5ckpt_options *options, h5ckpt_error **err)
{
    const h5ckpt_options o = h5ck_options_complete(options);
    h5ckpt_error *own = NULL, **e = err ? err : &own;
    h5ckpt_state *state = NULL;
    const h5ck_schema *own_schema = NULL;
    h5ck_recast *recast = NULL;
    const h5ck_log log = h5ck_options_log(&o);
    int rc = source && target ? check_apart(source, target, e)
                              : h5ck_fail(e, H5CKPT_USAGE, "expected a source and a target");
    if (rc == 0)
        rc = target_schema(&o, &own_schema, e);
    if (rc == 0 && !(state = h5ckpt_state_open(source, &o, e)))
        rc = *e ? (int)(*e)->code : H5CKPT_SYSTEM;
    if (rc == 0)
        rc = check_parts(state, target, e);
    if (rc == 0)
        rc = h5ck_recast_state(state, &o, &recast, e);
    if (rc == 0)
        rc = h5ck_write(state, target, own_schema ? own_schema : state->schema, &o, e);
    if (rc == 0)
        h5ck_recast_report(recast, &log);
    if (rc == H5CKPT_INVALID)
        h5ck_err_where(e, rc, source, NULL);
    h5ckpt_state_free(state);
    h5ck_schema_free(own_schema);
    h5ckpt_error_free(own);
    return rc;
}
