/*
 * h5_walk.c - all datasets below a group: depth first, each group's links in the order of creation, each object opened
 * once, by its address. No recursion: a stranger's file decides how deep it is, and 1024 groups are enough.
 *
 * A group that is reached a second time is passed over, so that cycles of hard links end and no file expands. Soft
 * links are passed over; external and user-defined links are refused, for they name other files.
 */
#include "hdf5/h5.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct frame {
    h5ck_hdf5_link *links;
    size_t count, next;
    size_t path_len, name_len;
    haddr_t address;
} frame;

typedef struct walker {
    const h5ck_hdf5_walk *w;
    h5ckpt_error **err;
    frame *frames;
    unsigned depth;
    h5ck_buf path, name; /* of the object at hand: links joined by '/', and by the separator */
} walker;

static int mark_group(walker *k, haddr_t address, bool *again)
{
    char key[24];
    snprintf(key, sizeof key, "%" PRIx64, (uint64_t)address);
    const char *kept = h5ck_arena_strdup(k->w->scratch, key);
    h5ck_dict_result added = kept ? h5ck_dict_add(k->w->groups, kept, k) : H5CK_DICT_NOMEM;
    *again = added == H5CK_DICT_EXISTS;
    return added == H5CK_DICT_NOMEM ? h5ck_fail_nomem(k->err) : 0;
}

static int push_group(walker *k, hid_t group, haddr_t address)
{
    bool again;
    int rc = mark_group(k, address, &again);
    if (rc)
        return rc;
    if (again) {
        h5ck_log_note(k->w->log, "%s: %s: passed over: a second link to one group", k->w->file_path,
                      h5ck_buf_cstr(&k->path));
        return 0;
    }
    if (k->depth == H5CK_HDF5_DEPTH + 1)
        return h5ck_fail(k->err, H5CKPT_INVALID, "expected groups nested at most %d deep, found more", H5CK_HDF5_DEPTH);
    frame *f = &k->frames[k->depth];
    *f = (frame){.path_len = k->path.len, .name_len = k->name.len, .address = address};
    rc = h5ck_hdf5_links(group, k->w->scratch, &f->links, &f->count, k->err);
    if (rc == 0 && k->w->group)
        rc = k->w->group(k->w->user, group, h5ck_buf_cstr(&k->path), h5ck_buf_cstr(&k->name), k->depth, k->err);
    if (rc == 0)
        k->depth++;
    return rc;
}

static int visit_dataset(walker *k, hid_t dataset, const frame *f, const h5ck_hdf5_link *link)
{
    const char *path = h5ck_arena_strdup(k->w->strings, h5ck_buf_cstr(&k->path));
    if (!path)
        return h5ck_fail_nomem(k->err);
    h5ck_hdf5_place place = {link->address, f->address, path + strlen(path) - strlen(link->name), path};
    return k->w->dataset(k->w->user, dataset, &place, h5ck_buf_cstr(&k->name), k->err);
}

static int walk_object(walker *k, const frame *f, const h5ck_hdf5_link *link)
{
    hid_t object = H5Oopen_by_addr(k->w->file, link->address);
    int rc = 0;
    switch (object < 0 ? H5I_BADID : H5Iget_type(object)) {
    case H5I_GROUP:
        rc = push_group(k, object, link->address);
        break;
    case H5I_DATASET:
        rc = visit_dataset(k, object, f, link);
        break;
    case H5I_DATATYPE:
        h5ck_log_note(k->w->log, "%s: %s: passed over: a named type", k->w->file_path, h5ck_buf_cstr(&k->path));
        break;
    default:
        rc = h5ck_hdf5_fail(k->err, H5CKPT_INVALID, "cannot open the object");
    }
    h5ck_hdf5_close(object);
    return rc;
}

static int walk_link(walker *k, frame *f, const h5ck_hdf5_link *link)
{
    bool follow, taken;
    k->path.len = f->path_len;
    k->name.len = f->name_len;
    h5ck_buf_str(&k->path, "/");
    h5ck_buf_str(&k->path, link->name);
    h5ck_buf_str(&k->name, f->name_len ? k->w->separator : "");
    h5ck_buf_str(&k->name, link->name);
    const char *path = h5ck_buf_cstr(&k->path);
    if (!path || !h5ck_buf_cstr(&k->name))
        return h5ck_fail_nomem(k->err);
    int rc = h5ck_hdf5_check_link(k->w->file_path, link, path, k->w->log, &follow, k->err);
    if (rc == 0 && follow) {
        rc = k->w->link(k->w->user, link, k->depth, &taken, k->err);
        if (rc == 0 && !taken)
            rc = walk_object(k, f, link);
    }
    return rc ? h5ck_err_where(k->err, rc, NULL, path) : 0;
}

static int begin(walker *k, haddr_t address)
{
    hid_t group = H5Oopen_by_addr(k->w->file, address);
    int rc;
    if (group < 0)
        rc = h5ck_hdf5_fail(k->err, H5CKPT_INVALID, "cannot open a group");
    else if (H5Iget_type(group) != H5I_GROUP)
        rc = h5ck_fail(k->err, H5CKPT_INVALID, "expected a group, found another object");
    else
        rc = push_group(k, group, address);
    h5ck_hdf5_close(group);
    return rc;
}

int h5ck_hdf5_walk_group(const h5ck_hdf5_walk *w, haddr_t address, const char *path, h5ckpt_error **err)
{
    walker k = {.w = w, .err = err, .path = H5CK_BUF_INIT, .name = H5CK_BUF_INIT};
    h5ck_buf_str(&k.path, path);
    k.frames = calloc(H5CK_HDF5_DEPTH + 1, sizeof *k.frames);
    int rc = k.frames ? begin(&k, address) : h5ck_fail_nomem(err);
    if (rc)
        h5ck_err_where(err, rc, NULL, *path ? path : "/");
    while (rc == 0 && k.depth) {
        frame *f = &k.frames[k.depth - 1];
        if (f->next == f->count)
            k.depth--;
        else
            rc = walk_link(&k, f, &f->links[f->next++]);
    }
    free(k.frames);
    h5ck_buf_free(&k.path);
    h5ck_buf_free(&k.name);
    return rc;
}
