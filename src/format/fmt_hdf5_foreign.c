/*
 * fmt_hdf5_foreign.c - what another program's layout has beside its datasets (a schema with `foreign: true`): lists of
 * what its groups hold.
 *
 *     /model_weights            layer_names = ["fc", "out"]
 *     /model_weights/fc         weight_names = ["fc/kernel", "fc/bias"]
 *
 * HDF5 by itself gives the members of such a file's groups by name only. Where the schema names attributes that list them
 * they are the order of the dictionary; what they list must be there, and what they do not list comes after. A list that
 * was too long for an attribute is in several: weight_names0, weight_names1, ... (which h5ckpt has no need to write:
 * HDF5's dense attributes have no such limit). When a file is written they are made from the names. The layout is that of
 * Keras 2 and of the legacy .h5 of Keras 3, as files written by Keras 3.15 show it.
 *
 * Refused: a list that names what is not there, or a thing twice; names to be written that such lists cannot reach.
 */
#include "format/fmt_hdf5.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Reading ---- */

/* Places of the members of one group lie together: ROOM of them from the group's own. Two lists of MOST fit. */
enum { MOST = 1 << 29 };
#define ROOM (INT64_C(1) << 32)

typedef struct listed {
    int64_t place;
    bool found;
} listed;

/* "fc" and "kernel" to "fc/kernel". */
static const char *join(const char *group, const char *member, h5ck_arena *arena)
{
    size_t n = strlen(group), m = strlen(member);
    char *name = h5ck_arena_alloc(arena, n + m + 2);
    if (name)
        sprintf(name, "%s%s%s", group, n ? "/" : "", member);
    return name;
}

static int keep_listed(h5ck_hdf5_lists *l, const char *group, const char *member, int64_t place, h5ckpt_error **err)
{
    listed *entry = h5ck_arena_zalloc(l->arena, 1, sizeof *entry);
    const char *name = join(group, member, l->arena);
    if (!entry || !name)
        return h5ck_fail_nomem(err);
    entry->place = place;
    switch (h5ck_dict_add(&l->places, name, entry)) {
    case H5CK_DICT_ADDED:
        return 0;
    case H5CK_DICT_EXISTS:
        return h5ck_fail(err, H5CKPT_INVALID, "expected each name once in a list, found '%s' again", name);
    case H5CK_DICT_NOMEM:
        break;
    }
    return h5ck_fail_nomem(err);
}

/* One attribute's part of a list; *there is false where there is no such attribute. */
static int read_part(h5ck_hdf5_lists *l, hid_t group, const char *attribute, const char *path, int64_t *place,
                     bool *there, h5ckpt_error **err)
{
    h5ck_hdf5_attr a;
    int rc = h5ck_hdf5_attr_get(group, attribute, l->from, l->arena, &a, there, err);
    if (rc || !*there || a.count == 0) /* NumPy's empty list is one of numbers */
        return rc;
    if (a.content != H5CK_HDF5_TEXT || a.rank != 1) {
        rc = h5ck_fail(err, H5CKPT_INVALID, "expected a list of names, found %s", a.type);
        return h5ck_err_part(err, rc, attribute);
    }
    if (a.count > MOST || *place % ROOM > MOST)
        rc = h5ck_fail(err, H5CKPT_INVALID, "expected at most %d names in a list, found more", MOST);
    for (size_t i = 0; rc == 0 && i < a.count; i++)
        rc = keep_listed(l, path, a.texts[i], (*place)++, err);
    return rc ? h5ck_err_part(err, rc, attribute) : 0;
}

static int read_list(h5ck_hdf5_lists *l, hid_t group, const char *attribute, const char *path, int64_t place,
                     h5ckpt_error **err)
{
    h5ck_buf name = H5CK_BUF_INIT;
    bool there;
    int rc = read_part(l, group, attribute, path, &place, &there, err);
    for (unsigned i = 0; rc == 0 && (i ? there : !there); i++) {
        name.len = 0;
        h5ck_buf_printf(&name, "%s%u", attribute, i);
        const char *part = h5ck_buf_cstr(&name);
        rc = part ? read_part(l, group, part, path, &place, &there, err) : h5ck_fail_nomem(err);
    }
    h5ck_buf_free(&name);
    return rc;
}

int h5ck_fmt_hdf5_lists_enter(h5ck_hdf5_lists *l, hid_t group, const char *name, unsigned depth, h5ckpt_error **err)
{
    listed *own = depth ? h5ck_dict_get(&l->places, name) : NULL;
    if (own)
        own->found = true;
    if (depth == 0 && l->groups)
        return read_list(l, group, l->groups, name, 0, err);
    if (!l->datasets || depth != (l->groups ? 1u : 0u))
        return 0;
    return read_list(l, group, l->datasets, name, (own ? own->place : ROOM / 4) * ROOM, err);
}

int64_t h5ck_fmt_hdf5_lists_place(h5ck_hdf5_lists *l, const char *name)
{
    listed *entry = h5ck_dict_get(&l->places, name);
    if (!entry)
        return INT64_MAX;
    entry->found = true;
    return entry->place;
}

int h5ck_fmt_hdf5_lists_done(const h5ck_hdf5_lists *l, h5ckpt_error **err)
{
    for (size_t i = 0; i < l->places.count; i++)
        if (!((const listed *)l->places.entries[i].value)->found)
            return h5ck_fail(err, H5CKPT_INVALID, "expected '%s', which an attribute lists, found no such member",
                             l->places.entries[i].key);
    return 0;
}

/* Text by text, but runs of digits as the numbers they are: "vars/2" before "vars/10". */
int h5ck_fmt_hdf5_natural(const char *a, const char *b)
{
    static const char digits[] = "0123456789";
    for (;;) {
        size_t n = strspn(a, digits), m = strspn(b, digits);
        if (n && m) {
            size_t za = strspn(a, "0"), zb = strspn(b, "0");
            za -= za == n, zb -= zb == m; /* of zeros alone one counts */
            if (n - za != m - zb)
                return n - za < m - zb ? -1 : 1;
            int c = memcmp(a + za, b + zb, n - za);
            if (c || n != m)
                return c ? c : n < m ? -1 : 1;
            a += n, b += m;
        } else if (*a != *b || !*a) {
            return *a == *b ? 0 : *a == '/' ? -1 : *b == '/' ? 1 : (unsigned char)*a < (unsigned char)*b ? -1 : 1;
        } else {
            a++, b++;
        }
    }
}

/* ---- Writing ---- */

/* What one group lists. */
typedef struct list {
    const char **names;
    size_t count, room;
} list;

static bool add_name(list *l, const char *name, h5ck_arena *arena)
{
    if (l->count == l->room) {
        size_t room = l->room ? 2 * l->room : 8;
        const char **names = h5ck_arena_zalloc(arena, room, sizeof *names);
        if (!names)
            return false;
        if (l->count)
            memcpy(names, l->names, l->count * sizeof *names);
        l->names = names;
        l->room = room;
    }
    l->names[l->count++] = name;
    return true;
}

static int put_list(hid_t group, const char *attribute, const list *l, h5ckpt_error **err)
{
    uint64_t count = l->count;
    hid_t type = h5ck_hdf5_type_text_new();
    int rc = h5ck_hdf5_attr_put(group, attribute, type, 1, &count, l->names, err);
    h5ck_hdf5_close(type);
    return rc;
}

static bool is_apart(const h5ck_schema *s, const char *group)
{
    for (size_t i = 0; i < s->list_apart_count; i++)
        if (strcmp(s->list_apart[i], group) == 0)
            return true;
    return false;
}

/* "fc/kernel" belongs to the group "fc". */
static int add_to_group(const h5ck_schema *s, h5ck_dict *groups, list *names, const char *name, h5ck_arena *arena,
                        h5ckpt_error **err)
{
    const char *end = strchr(name, '/');
    if (!end)
        return h5ck_fail(err, H5CKPT_INVALID,
                         "expected a name with a group and a '/', for groups are listed, found none");
    const char *group = h5ck_arena_strndup(arena, name, (size_t)(end - name));
    list *l = group ? h5ck_dict_get(groups, group) : NULL;
    if (group && !l) {
        l = h5ck_arena_zalloc(arena, 1, sizeof *l);
        if (!l || h5ck_dict_add(groups, group, l) != H5CK_DICT_ADDED ||
            (!is_apart(s, group) && !add_name(names, group, arena)))
            return h5ck_fail_nomem(err);
    }
    return l && add_name(l, end + 1, arena) ? 0 : h5ck_fail_nomem(err);
}

static int put_group_list(hid_t base, const char *name, const char *attribute, const list *l, h5ckpt_error **err)
{
    hid_t group = H5Gopen2(base, name, H5P_DEFAULT);
    int rc = group < 0 ? h5ck_hdf5_fail(err, H5CKPT_SYSTEM, "cannot open a group") : put_list(group, attribute, l, err);
    h5ck_hdf5_close(group);
    return rc ? h5ck_err_where(err, rc, NULL, name) : 0;
}

static int put_both(hid_t base, const h5ck_schema *s, const h5ck_dict *dict, h5ck_arena *arena, h5ckpt_error **err)
{
    h5ck_dict members = {0};
    list names = {0};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < dict->count; i++) {
        rc = add_to_group(s, &members, &names, dict->entries[i].key, arena, err);
        if (rc)
            h5ck_err_where(err, rc, NULL, dict->entries[i].key);
    }
    if (rc == 0)
        rc = put_list(base, s->list_groups, &names, err);
    for (size_t i = 0; rc == 0 && i < members.count; i++)
        rc = put_group_list(base, members.entries[i].key, s->list_parameters, members.entries[i].value, err);
    h5ck_dict_free(&members);
    return rc;
}

int h5ck_fmt_hdf5_lists_put(hid_t base, const h5ck_schema *s, bool state, const h5ck_dict *dict, h5ckpt_error **err)
{
    const char *datasets = state ? s->list_state : s->list_parameters;
    h5ck_arena arena = {NULL};
    list all = {0};
    int rc = 0;
    if (s->list_groups && !state) {
        rc = put_both(base, s, dict, &arena, err);
    } else if (datasets) {
        for (size_t i = 0; rc == 0 && i < dict->count; i++)
            rc = add_name(&all, dict->entries[i].key, &arena) ? 0 : h5ck_fail_nomem(err);
        if (rc == 0)
            rc = put_list(base, datasets, &all, err);
    }
    h5ck_arena_free(&arena);
    return rc;
}
