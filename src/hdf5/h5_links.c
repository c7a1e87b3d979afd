/* h5_links.c - the links of one group, as a list: nothing is opened while libhdf5 iterates. */
#include "hdf5/h5.h"

#include <string.h>

typedef struct collector {
    h5ck_arena *arena;
    h5ck_hdf5_link *links;
    size_t count, room;
} collector;

static herr_t collect(hid_t group, const char *name, const H5L_info_t *info, void *user)
{
    collector *c = user;
    (void)group;
    if (c->count == c->room) {
        size_t room = c->room ? 2 * c->room : 16;
        h5ck_hdf5_link *links = h5ck_arena_zalloc(c->arena, room, sizeof *links);
        if (!links)
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
    c->count++;
    return l->name ? 0 : -1;
}

static bool tracks_order(hid_t group)
{
    unsigned how = 0;
    hid_t list = H5Gget_create_plist(group);
    bool tracks = list >= 0 && H5Pget_link_creation_order(list, &how) >= 0 && (how & H5P_CRT_ORDER_TRACKED);
    h5ck_hdf5_close(list);
    return tracks;
}

int h5ck_hdf5_links(hid_t group, h5ck_arena *arena, h5ck_hdf5_link **links, size_t *count, h5ckpt_error **err)
{
    collector c = {arena, NULL, 0, 0};
    H5_index_t by = tracks_order(group) ? H5_INDEX_CRT_ORDER : H5_INDEX_NAME;
    if (H5Literate(group, by, H5_ITER_INC, NULL, collect, &c) < 0)
        return h5ck_hdf5_fail(err, H5CKPT_INVALID, "cannot read the links of a group");
    *links = c.links;
    *count = c.count;
    return 0;
}
