/*
 * fmt_hdf5_attrs.c - the attributes in another program's layout (a schema with `foreign: true`), as metadata and back.
 *
 *     key                            value
 *     model_config                   a text of the root: as it is
 *     /@count                        another attribute of the root: typed JSON (parse/value_json.h)
 *     layers/dense/vars/@name        an attribute of a group, which ends in '/': typed JSON, "fc" with its quotes
 *     data/w@units                   an attribute of a dataset: the same
 *
 * So a state holds all of them as strings, in any format that has metadata, and they get back to their places. A group
 * that is there for its attributes alone is made again with them. What is no value (references, compounds), and
 * attributes of what has an '@' in its path, are passed over with a note.
 */
#include "base/text.h"
#include "format/fmt_hdf5.h"
#include "parse/value_json.h"

#include <stdlib.h>
#include <string.h>

/* ---- Reading ---- */

/* "weight_names" itself, and "weight_names0", the first part of a long list. */
static bool is_list(const char *name, const char *list)
{
    size_t n = list ? strlen(list) : 0;
    return n && strncmp(name, list, n) == 0 && name[n + strspn(name + n, "0123456789")] == 0;
}

/* Lists are made anew from the names. Only an empty one is kept, and its group with it. */
static bool is_implied(const h5ck_schema *s, const char *name, const h5ck_hdf5_attr *a)
{
    return a->count &&
           (is_list(name, s->list_groups) || is_list(name, s->list_parameters) || is_list(name, s->list_state));
}

int h5ck_fmt_hdf5_attr_keep(h5ckpt_state *state, const h5ck_schema *s, const char *path, const char *name,
                            const h5ck_hdf5_attr *a, bool *kept, h5ckpt_error **err)
{
    h5ck_arena scratch = {NULL};
    h5ck_buf key = H5CK_BUF_INIT, text = H5CK_BUF_INIT;
    h5ckpt_value value;
    bool implied = is_implied(s, name, a);
    *kept = true;
    int rc = implied ? 0 : h5ck_hdf5_value_of_attr(a, &scratch, &value, kept, err);
    *kept &= implied || !strchr(path, '@');
    if (rc == 0 && *kept && !implied) {
        h5ck_buf_printf(&key, "%s@%s", path, name);
        rc = h5ck_value_to_json(&value, &text, err);
        const char *k = h5ck_buf_cstr(&key), *t = h5ck_buf_cstr(&text);
        if (rc == 0)
            rc = k && t ? h5ck_state_set_metadata(state, k, t, err) : h5ck_fail_nomem(err);
    }
    h5ck_buf_free(&key);
    h5ck_buf_free(&text);
    h5ck_arena_free(&scratch);
    return rc;
}

/* ---- Writing ---- */

bool h5ck_fmt_hdf5_attr_is_key(const char *key)
{
    const char *at = strchr(key, '@');
    return at && at > key && at[1];
}

/* Opens what is at `path`, which ends in '/' where it is a group; makes groups where `how` says how. *id is negative
 * where there is no such thing. */
static int open_at(hid_t file, const char *path, const h5ck_hdf5_group_lists *how, h5ck_arena *scratch, hid_t *id,
                   h5ckpt_error **err)
{
    hid_t at = H5Gopen2(file, "/", H5P_DEFAULT);
    *id = -1;
    while (at >= 0 && *path && strcmp(path, "/") != 0) {
        size_t n = strcspn(path, "/");
        const char *part = h5ck_arena_strndup(scratch, path, n);
        bool good = part && n && strcmp(part, ".") != 0 && strcmp(part, "..") != 0;
        htri_t there = good && H5Iget_type(at) == H5I_GROUP ? H5Lexists(at, part, H5P_DEFAULT) : -1;
        hid_t next = there > 0                      ? H5Oopen(at, part, H5P_DEFAULT)
                     : there == 0 && path[n] && how ? H5Gcreate2(at, part, how->link_list, how->group_list, H5P_DEFAULT)
                                                    : -1;
        h5ck_hdf5_close(at);
        if (!part)
            return h5ck_fail_nomem(err);
        at = next;
        path += n + (path[n] == '/');
    }
    *id = at;
    return 0;
}

/* A group's attribute belongs to a group, a dataset's to a dataset. */
static bool fits(hid_t object, bool group)
{
    return object >= 0 && H5Iget_type(object) == (group ? H5I_GROUP : H5I_DATASET);
}

int h5ck_fmt_hdf5_attr_put_back(hid_t file, const char *key, const char *text, const h5ck_hdf5_group_lists *how,
                                bool *put, h5ckpt_error **err)
{
    h5ck_arena scratch = {NULL};
    h5ckpt_value value;
    const char *at = strchr(key, '@');
    const char *path = h5ck_arena_strndup(&scratch, key, (size_t)(at - key));
    bool group = at > key && at[-1] == '/';
    hid_t object = -1;
    *put = false;
    int rc = path ? h5ck_value_from_json(text, strlen(text), &scratch, &value, NULL) : h5ck_fail_nomem(err);
    bool is_json = rc == 0;
    if (rc == H5CKPT_INVALID)
        rc = 0; /* then it is somebody's text, and stays one */
    if (is_json)
        rc = open_at(file, path, how, &scratch, &object, err);
    if (rc == 0 && fits(object, group)) {
        if (H5Aexists(object, at + 1) > 0)
            *put = true; /* a list, or one of ours: that is made anew */
        else
            rc = h5ck_hdf5_value_put_attr(object, at + 1, &value, put, err);
    }
    h5ck_hdf5_close(object);
    h5ck_arena_free(&scratch);
    return rc ? h5ck_err_part(err, rc, key) : 0;
}

/* Those that the other program looks for. */
int h5ck_fmt_hdf5_attr_defaults(hid_t file, const h5ck_schema *s, h5ckpt_error **err)
{
    h5ck_arena scratch = {NULL};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < s->attribute_count; i++) {
        const h5ck_group_attribute *a = &s->attributes[i];
        hid_t object;
        rc = open_at(file, a->group, NULL, &scratch, &object, err);
        if (rc == 0 && fits(object, true) && H5Aexists(object, a->name) == 0)
            rc = h5ck_hdf5_attr_put_text(object, a->name, a->text, err);
        h5ck_hdf5_close(object);
    }
    h5ck_arena_free(&scratch);
    return rc;
}
