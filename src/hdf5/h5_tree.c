/*
 * h5_tree.c - which links a dictionary's names get, decided before the first is made.
 *
 * A name is split at the schema's separator; its parts are groups and, the last, a dataset. A part is its own link
 * where it can be. It cannot where it is empty, "." or "..", holds a '/', or is too long for comfort; and a dataset
 * cannot where a group of the same name stands beside it (`a` and `a/b`). Those get an escaped link, with '%' put
 * behind it until it is free: a true name always wins over an escaped one. Then the dataset's true name has to be
 * stored beside it.
 *
 * Everything is one dictionary, parent's number and part -> node, so that 100,000 names take time in proportion to
 * their length. A dictionary's order is the order in which a reader walks, unless some group is entered a second time
 * after it was left (`a/x`, `b/y`, `a/z`).
 */
#include "base/text.h"
#include "hdf5/h5.h"

#include <stdio.h>
#include <string.h>

enum { LONGEST_LINK = 1024 };

typedef struct maker {
    h5ck_arena *arena;
    h5ck_dict nodes; /* "<parent>/<part>" -> node */
    h5ck_dict links; /* "<parent>/<link>" -> anything: escaped links that are taken */
    h5ck_hdf5_node **all;
    size_t count, room;
    h5ck_hdf5_tree *tree;
    h5ckpt_error **err;
} maker;

static const char *key_of(maker *m, const h5ck_hdf5_node *parent, const char *part, size_t n)
{
    char number[24];
    size_t digits = (size_t)snprintf(number, sizeof number, "%zu/", parent ? parent->id : 0);
    char *key = h5ck_arena_alloc(m->arena, digits + n + 1);
    if (key) {
        memcpy(key, number, digits);
        memcpy(key + digits, part, n);
        key[digits + n] = 0;
    }
    return key;
}

static int keep(maker *m, h5ck_hdf5_node *node)
{
    if (m->count == m->room) {
        size_t room = m->room ? 2 * m->room : 64;
        h5ck_hdf5_node **all = h5ck_arena_zalloc(m->arena, room, sizeof *all);
        if (!all)
            return h5ck_fail_nomem(m->err);
        if (m->count)
            memcpy(all, m->all, m->count * sizeof *all);
        m->all = all;
        m->room = room;
    }
    m->all[m->count++] = node;
    node->id = m->count; /* 0 is the dictionary's own group */
    return 0;
}

/* The node of a part below `parent`, made where it is missing. The last part of a name is that name's end. */
static int node_of(maker *m, h5ck_hdf5_node *parent, const char *part, size_t n, h5ck_hdf5_node **node)
{
    const char *key = key_of(m, parent, part, n);
    if (!key)
        return h5ck_fail_nomem(m->err);
    if ((*node = h5ck_dict_get(&m->nodes, key)))
        return 0;
    h5ck_hdf5_node *made = h5ck_arena_zalloc(m->arena, 1, sizeof *made);
    if (!made || !(made->part = part[n] ? h5ck_arena_strndup(m->arena, part, n) : part))
        return h5ck_fail_nomem(m->err);
    made->parent = parent;
    made->depth = parent ? parent->depth + 1 : 1;
    if (h5ck_dict_add(&m->nodes, key, made) != H5CK_DICT_ADDED)
        return h5ck_fail_nomem(m->err);
    *node = made;
    return keep(m, made);
}

static bool is_ancestor(const h5ck_hdf5_node *group, const h5ck_hdf5_node *last)
{
    while (last && last->depth > group->depth)
        last = last->parent;
    return last == group;
}

/* Splits one name; `last` is the leaf before it, in whose groups a walk would still be. */
static int add_name(maker *m, const char *name, const char *separator, const h5ck_hdf5_node *last,
                    h5ck_hdf5_node **leaf)
{
    size_t step = strlen(separator);
    h5ck_hdf5_node *node = NULL;
    int rc = 0;
    for (const char *part = name, *end; rc == 0 && part; part = end ? end + step : NULL) {
        end = step ? strstr(part, separator) : NULL;
        if (node && node->depth == H5CK_HDF5_DEPTH)
            return h5ck_fail(m->err, H5CKPT_INVALID, "expected at most %d parts in a name, found more",
                             H5CK_HDF5_DEPTH);
        rc = node_of(m, node, part, end ? (size_t)(end - part) : strlen(part), &node);
        if (rc == 0 && end) {
            if (node->has_group && !is_ancestor(node, last ? last->parent : NULL))
                m->tree->reordered = true;
            node->has_group = true;
        }
    }
    if (rc == 0) {
        node->has_leaf = true;
        if (node->depth > m->tree->depth)
            m->tree->depth = node->depth;
        *leaf = node;
    }
    return rc;
}

/* ---- Links ---- */

static bool can_be_link(const char *part)
{
    return *part && strcmp(part, ".") != 0 && strcmp(part, "..") != 0 && !strchr(part, '/') &&
           strlen(part) <= LONGEST_LINK;
}

/* Taken by a part's own link, or by an escaped one before. */
static bool is_taken(maker *m, const char *key, const char *link)
{
    return (can_be_link(link) && h5ck_dict_get(&m->nodes, key)) || h5ck_dict_get(&m->links, key);
}

static int escaped(maker *m, const h5ck_hdf5_node *node, const char **link)
{
    char number[32];
    snprintf(number, sizeof number, "%%%zu", node->id);
    const char *base =
        strlen(node->part) > LONGEST_LINK ? number : h5ck_hdf5_name_encode(node->part, NULL, NULL, m->arena);
    if (base && strcmp(base, node->part) == 0) { /* a dataset beside its namesake */
        char *more = h5ck_arena_alloc(m->arena, strlen(base) + 2);
        if (more)
            sprintf(more, "%s%%", base);
        base = more;
    }
    for (size_t tails = 0; base; tails++) {
        size_t n = strlen(base);
        char *text = h5ck_arena_alloc(m->arena, n + tails + 1);
        if (!text)
            break;
        memcpy(text, base, n);
        memset(text + n, '%', tails);
        text[n + tails] = 0;
        const char *key = key_of(m, node->parent, text, n + tails);
        if (!key)
            break;
        if (is_taken(m, key, text))
            continue;
        if (h5ck_dict_add(&m->links, key, m) != H5CK_DICT_ADDED)
            break;
        *link = text;
        return 0;
    }
    return h5ck_fail_nomem(m->err);
}

/* Parents come before their children in `all`. */
static int choose_links(maker *m)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < m->count; i++) {
        h5ck_hdf5_node *node = m->all[i];
        bool fits = can_be_link(node->part);
        node->link = node->leaf = node->part;
        node->odd = !fits || (node->parent && node->parent->odd);
        if (node->has_group && !fits)
            rc = escaped(m, node, &node->link);
        if (rc == 0 && node->has_leaf && (!fits || node->has_group))
            rc = escaped(m, node, &node->leaf);
    }
    return rc;
}

int h5ck_hdf5_tree_make(const h5ck_dict *dict, const char *separator, h5ck_arena *arena, h5ck_hdf5_tree *tree,
                        h5ckpt_error **err)
{
    maker m = {.arena = arena, .tree = tree, .err = err};
    int rc = 0;
    *tree = (h5ck_hdf5_tree){.leaves = h5ck_arena_zalloc(arena, dict->count, sizeof *tree->leaves)};
    if (!tree->leaves)
        return h5ck_fail_nomem(err);
    for (size_t i = 0; rc == 0 && i < dict->count; i++) {
        rc = add_name(&m, dict->entries[i].key, separator, i ? tree->leaves[i - 1] : NULL, &tree->leaves[i]);
        if (rc)
            h5ck_err_where(err, rc, NULL, dict->entries[i].key);
    }
    if (rc == 0)
        rc = choose_links(&m);
    h5ck_dict_free(&m.nodes);
    h5ck_dict_free(&m.links);
    return rc;
}
