/*
 * h5_links.c - the links of a group as a list (nothing is opened while libhdf5 iterates), and which may be followed.
 *
 * They are asked for in libhdf5's native order and sorted here: when asked to sort, libhdf5 (1.10.8) makes a table
 * first, and frees parts of it that it never set where the group is damaged.
 */
#include "hdf5/h5.h"

#include <stdlib.h>
#include <string.h>

typedef struct collector {
    h5ck_arena *arena;
    h5ck_hdf5_link *links;
    size_t count, room;
    bool nomem;
} collector;

static herr_t collect(hid_t group, const char *name, const H5L_info_t *info, void *user)
{
    collector *c = user;
    (void)group;
    if (c->count == c->room) {
        size_t room = c->room ? 2 * c->room : 16;
        h5ck_hdf5_link *links = h5ck_arena_zalloc(c->arena, room, sizeof *links);
        if ((c->nomem = !links))
            return -1;
        if (c->count)
            memcpy(links, c->links, c->count * sizeof *links);
        c->links = links;
        c->room = room;
    }
    h5ck_hdf5_link *l = &c->links[c->count];
    l->name = h5ck_arena_strdup(c->arena, name);
    l->type = info->type;
    l->address = info->type == H5L_TYPE_HARD ? info->u.address : HADDR_UNDEF;
    l->order = info->corder_valid ? info->corder : 0;
    c->count++;
    c->nomem = !l->name;
    return c->nomem ? -1 : 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const h5ck_hdf5_link *)a)->name, ((const h5ck_hdf5_link *)b)->name);
}

static int by_order(const void *a, const void *b)
{
    const h5ck_hdf5_link *x = a, *y = b;
    return x->order != y->order ? (x->order < y->order ? -1 : 1) : by_name(a, b);
}

int h5ck_hdf5_links(hid_t group, h5ck_arena *arena, h5ck_hdf5_link **links, size_t *count, h5ckpt_error **err)
{
    collector c = {arena, NULL, 0, 0, false};
    H5_index_t by;
    int rc = h5ck_hdf5_order(group, true, &by, err);
    if (rc)
        return rc;
    herr_t done = H5Literate(group, by, H5_ITER_NATIVE, NULL, collect, &c);
    if (c.nomem)
        return h5ck_fail_nomem(err);
    if (done < 0)
        return h5ck_hdf5_fail(err, H5CKPT_INVALID, "cannot read the links of a group");
    if (c.count)
        qsort(c.links, c.count, sizeof *c.links, by == H5_INDEX_CRT_ORDER ? by_order : by_name);
    *links = c.links;
    *count = c.count;
    return 0;
}

int h5ck_hdf5_check_link(const char *file_path, const h5ck_hdf5_link *link, const char *path, const h5ck_log *log,
                         bool *follow, h5ckpt_error **err)
{
    *follow = link->type == H5L_TYPE_HARD;
    if (link->type == H5L_TYPE_SOFT)
        h5ck_log_note(log, "%s: %s: passed over: a soft link", file_path, path);
    else if (link->type == H5L_TYPE_EXTERNAL)
        return h5ck_fail(err, H5CKPT_INVALID,
                         "expected data in this file, found an external link (no other file is read)");
    else if (link->type != H5L_TYPE_HARD)
        return h5ck_fail(err, H5CKPT_INVALID, "expected a hard link, found a user-defined one of class %d",
                         (int)link->type);
    return 0;
}
