/*
 * convert.c - writing: a state to a new target, and from one checkpoint to another.
 *
 * The format plans, the mover carries out, at a stage beside the target; the stage takes the target's name when it is whole
 * and on disk. Whatever fails, an existing target stays as it was and the stage is removed. What may not be replaced, even
 * with force: the source, a folder that holds it, a folder that is no save directory, a device.
 */
#include "base/fs.h"
#include "move/digest.h"
#include "move/move.h"
#include "verbs.h"

#include <stdlib.h>
#include <string.h>

/* ---- May the target be written? ---- */

/* A folder is replaced only where all in it is a checkpoint: nobody loses a home directory to a typing error. */
static int check_replaceable(const char *target, const char *schema, h5ckpt_error **err)
{
    h5ckpt_options as = H5CKPT_OPTIONS_INIT;
    as.schema = schema;
    h5ckpt_state *old = h5ckpt_state_open(target, &as, NULL);
    if (!old)
        return h5ck_fail(err, H5CKPT_USAGE,
                         "%s: expected a save directory to replace, found a folder with other things in it", target);
    h5ckpt_state_free(old);
    return 0;
}

static int check_target(const char *target, const h5ck_format *format, const h5ckpt_options *o, h5ckpt_error **err)
{
    h5ck_fs_stat st;
    bool empty;
    int rc = h5ck_fs_status(target, &st, err);
    if (rc || !st.exists)
        return rc;
    if (!st.is_dir && !st.is_file)
        return h5ck_fail(err, H5CKPT_USAGE, "%s: expected a file or folder, found a device, FIFO or socket", target);
    if (st.is_dir && (rc = h5ck_fs_is_empty(target, &empty, err)))
        return rc;
    if (st.is_dir && empty && format->info.suffix == NULL)
        return 0; /* an empty folder holds nothing to lose */
    if (!o->force)
        return h5ck_fail(err, H5CKPT_USAGE, "%s: the target exists; use --force to replace it", target);
    return st.is_dir ? check_replaceable(target, o->schema, err) : 0;
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

/* ---- Writing ---- */

/* Plans and moves to the stage. */
static int build(h5ck_plan *plan, const h5ckpt_state *state, const h5ck_format *format, const h5ckpt_options *o,
                 h5ckpt_error **err)
{
    const h5ck_move_options how = {o->jobs, !o->no_sync, o->progress, o->progress_user};
    int rc = format->plan(state, plan, err);
    return rc ? h5ck_err_where(err, rc, plan->target, NULL) : h5ck_move(plan, &how, err);
}

static int write_to(const h5ckpt_state *state, const char *target, const h5ck_format *format, const h5ck_schema *schema,
                    const h5ckpt_options *o, h5ckpt_error **err)
{
    h5ck_arena paths = {NULL};
    const char *stage;
    int rc = h5ck_fs_stage_path(target, &paths, &stage, err);
    if (rc == 0) {
        h5ck_plan plan = {
            .target = target, .stage = stage, .digest = o->digest, .schema = schema, .log = h5ck_options_log(o)};
        rc = build(&plan, state, format, o, err);
        h5ck_plan_free(&plan);
        if (rc == 0)
            rc = h5ck_fs_publish(stage, target, o->force, err);
        if (rc)
            h5ck_fs_remove_tree(stage);
        else if (!o->no_sync)
            rc = h5ck_fs_sync_parent(target, err);
    }
    h5ck_arena_free(&paths);
    return rc;
}

int h5ck_write(const h5ckpt_state *state, const char *target, const h5ck_schema *schema, const h5ckpt_options *o,
               h5ckpt_error **err)
{
    const h5ck_format *format;
    char *resolved = NULL;
    int rc;
    if (!target || !*target)
        return h5ck_fail(err, H5CKPT_USAGE, "expected the path of a target, found none");
    if (!h5ck_digest_available(o->digest))
        return h5ck_fail(err, H5CKPT_USAGE, "expected a digest that this build has: it was built without SHA-256");
    rc = o->to ? h5ck_format_by_name(o->to, &format, err) : h5ck_format_of_target(target, &format, err);
    if (rc == 0)
        rc = check_target(target, format, o, err);
    if (rc == 0)
        rc = h5ck_fs_resolve_link(target, &resolved, err); /* what a link points to is replaced, not the link */
    if (rc == 0)
        rc = write_to(state, resolved ? resolved : target, format, schema, o, err);
    free(resolved);
    return rc;
}

int h5ckpt_state_write(const h5ckpt_state *state, const char *path, const h5ckpt_options *options, h5ckpt_error **err)
{
    const h5ckpt_options o = h5ck_options_complete(options);
    h5ck_schema *schema = NULL;
    int rc = h5ck_options_schema(&o, &schema, err);
    if (rc == 0)
        rc = h5ck_write(state, path, schema, &o, err);
    h5ck_schema_free(schema);
    return rc;
}

int h5ckpt_save_persistables(const h5ckpt_tensors *parameters, const char *dirname, const h5ckpt_decays *decays,
                             h5ckpt_error **err)
{
    h5ckpt_options o = H5CKPT_OPTIONS_INIT;
    h5ckpt_state both = {.parameters = *parameters}; /* a view of two dictionaries, which may be of two states */
    const h5ck_format *directory;
    int rc = h5ck_format_of_target("/", &directory, err);
    if (rc)
        return rc;
    o.to = directory->info.name;
    if (decays)
        both.decays = *decays;
    return h5ckpt_state_write(&both, dirname ? dirname : "save_dir", &o, err);
}

/* ---- Converting ---- */

int h5ckpt_convert(const char *source, const char *target, const h5ckpt_options *options, h5ckpt_error **err)
{
    const h5ckpt_options o = h5ck_options_complete(options);
    h5ckpt_error *own = NULL, **e = err ? err : &own;
    h5ckpt_state *state = NULL;
    int rc = source && target ? check_apart(source, target, e)
                              : h5ck_fail(e, H5CKPT_USAGE, "expected a source and a target");
    if (rc == 0 && !(state = h5ckpt_state_open(source, &o, e)))
        rc = *e ? (int)(*e)->code : H5CKPT_SYSTEM;
    if (rc == 0)
        rc = h5ck_write(state, target, state->schema, &o, e);
    h5ckpt_state_free(state);
    h5ckpt_error_free(own);
    return rc;
}
