/*
 * h5_value_read.c - a group as an object again: what h5_value_write.c writes, and what people make of it with h5py,
 * Octave or R. Without a marker an attribute is read as Python would take it: int64 and float64 and bool scalars are
 * int, float, bool; other numbers are NumPy's scalars; 1-D arrays of int64, float64, bool and text are lists, other
 * arrays NumPy's; text of any kind is str; an empty dataspace is None.
 *
 * Refused, for a field that is lost in silence is worse: attributes of types that are none of these (references,
 * opaque, compounds), links to anything but groups, markers that do not fit what they stand beside, groups that are
 * reached twice, nesting beyond H5CK_VALUE_DEPTH.
 */
#include "base/le.h"
#include "base/text.h"
#include "hdf5/h5.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef struct reader {
    const h5ck_hdf5_names *names;
    const h5ck_hdf5_policy *policy;
    const h5ck_hdf5_source *from;
    bool python2;
    h5ck_arena *arena;
    h5ck_dict groups; /* addresses of the groups that were read */
    h5ckpt_error **err;
} reader;

h5ck_hdf5_names h5ck_hdf5_names_make(const char *class_name, const char *module, const char *python, const char *fields,
                                     const char *type_suffix)
{
    return (h5ck_hdf5_names){class_name, module,      python,
                             fields,     type_suffix, {class_name, module, python, fields, NULL}};
}

static int read_group(reader *r, hid_t group, const char *kind, int depth, h5ckpt_value *v);

/* ---- Markers ---- */

typedef struct marker {
    const char *text;
    char kind[16];       /* the first word, "" for none */
    const char *letters; /* the second, or NULL */
    size_t letter_count;
    bool other_key;
} marker;

static int parse_marker(reader *r, const char *text, marker *m)
{
    *m = (marker){.text = text};
    for (const char *p = text; p && *p;) {
        size_t n = strcspn(p, " ");
        if (n == 4 && memcmp(p, "ukey", 4) == 0)
            m->other_key = true;
        else if (!*m->kind && n < sizeof m->kind)
            memcpy(m->kind, p, n);
        else if (!m->letters) {
            m->letters = p;
            m->letter_count = n;
        } else
            return h5ck_fail(r->err, H5CKPT_INVALID, "expected a marker of a type, found '%.40s'", text);
        p += n;
        p += *p == ' ';
    }
    return 0;
}

static bool is(const marker *m, const char *kind)
{
    return strcmp(m->kind, kind) == 0;
}

static int unfit(reader *r, const marker *m, const h5ck_hdf5_attr *a)
{
    return h5ck_fail(r->err, H5CKPT_INVALID, "expected an attribute that fits the marker '%.40s', found %s of rank %zu",
                     m->text ? m->text : "", a->type, a->rank);
}

/* ---- Attributes ---- */

static h5ckpt_value text_value(const char *s, bool python2)
{
    return (h5ckpt_value){.type = H5CKPT_STR, .python2 = python2, .count = strlen(s), .as.str = s};
}

static int text_to_value(reader *r, const h5ck_hdf5_attr *a, const marker *m, h5ckpt_value *v)
{
    if (a->rank == 0 && (is(m, "") || is(m, "unicode") || is(m, "distinct"))) {
        *v = text_value(a->texts[0], is(m, "unicode") ? false : r->python2);
        v->distinct = is(m, "distinct");
        return 0;
    }
    if (a->rank != 1 || !(is(m, "") || is(m, "list") || is(m, "tuple")) || (m->letters && m->letter_count != a->count))
        return unfit(r, m, a);
    h5ckpt_value *items = h5ck_arena_zalloc(r->arena, a->count, sizeof *items);
    if (!items)
        return h5ck_fail_nomem(r->err);
    for (size_t i = 0; i < a->count; i++)
        items[i] = text_value(a->texts[i], r->python2 && !(m->letters && m->letters[i] == 'u'));
    *v = (h5ckpt_value){.type = is(m, "tuple") ? H5CKPT_TUPLE : H5CKPT_LIST, .count = a->count, .as.items = items};
    return 0;
}

/* The i-th number as the item that `letter` says; false where it cannot be one. */
static bool item(const h5ck_hdf5_attr *a, size_t i, char c, h5ckpt_value *v)
{
    uint64_t bits = h5ck_le_get((const unsigned char *)a->data + i * a->dtype->size, (unsigned)a->dtype->size);
    double d = h5ck_f64_from_bits(bits);
    bool number = a->dtype->id == H5CKPT_DTYPE_FLOAT64;
    *v = (h5ckpt_value){.type = H5CKPT_FLOAT};
    if (c == 'f') {
        v->as.f = d;
        return number;
    }
    if (number && !(d >= -9007199254740992.0 && d <= 9007199254740992.0 && d == (double)(int64_t)d))
        return false;
    int64_t n = number ? (int64_t)d : (int64_t)bits;
    *v = (h5ckpt_value){.type = c == 'b' ? H5CKPT_BOOL : H5CKPT_INT, .python2 = c == 'l', .as.i = n};
    if (c == 'b')
        v->as.i = n != 0;
    return c == 'b' || c == 'i' || c == 'l';
}

static char default_letter(const h5ck_dtype *d)
{
    return d->id == H5CKPT_DTYPE_FLOAT64 ? 'f'
           : d->id == H5CKPT_DTYPE_BOOL  ? 'b'
           : d->id == H5CKPT_DTYPE_INT64 ? 'i'
                                         : 0;
}

static int numbers_to_list(reader *r, const h5ck_hdf5_attr *a, const marker *m, h5ckpt_value *v)
{
    char usual = default_letter(a->dtype);
    if (!usual || a->rank != 1 || (m->letters && m->letter_count != a->count))
        return unfit(r, m, a);
    h5ckpt_value *items = h5ck_arena_zalloc(r->arena, a->count, sizeof *items);
    if (!items)
        return h5ck_fail_nomem(r->err);
    for (size_t i = 0; i < a->count; i++)
        if (!item(a, i, m->letters ? m->letters[i] : usual, &items[i]))
            return unfit(r, m, a);
    *v = (h5ckpt_value){.type = is(m, "tuple") ? H5CKPT_TUPLE : H5CKPT_LIST, .count = a->count, .as.items = items};
    return 0;
}

static int numbers_to_array(reader *r, const h5ck_hdf5_attr *a, bool scalar, h5ckpt_value *v)
{
    h5ckpt_array *array = h5ck_arena_zalloc(r->arena, 1, sizeof *array);
    uint64_t *shape = h5ck_arena_memdup(r->arena, a->shape, a->rank * sizeof *shape);
    if (!array || !shape)
        return h5ck_fail_nomem(r->err);
    *array = (h5ckpt_array){a->dtype->id, scalar, a->rank, shape, a->count * a->dtype->size, a->data};
    *v = (h5ckpt_value){.type = H5CKPT_ARRAY, .as.array = array};
    return 0;
}

/* bytes, a big integer, or text that HDF5's strings cannot hold: as uint8 */
static int raw_to_value(reader *r, const h5ck_hdf5_attr *a, const marker *m, h5ckpt_value *v)
{
    if (a->dtype->id != H5CKPT_DTYPE_UINT8 || a->rank != 1)
        return unfit(r, m, a);
    *v = (h5ckpt_value){.type = H5CKPT_BYTES, .count = a->count, .as.bytes = a->data};
    if (is(m, "bigint") || is(m, "biglong")) {
        v->type = H5CKPT_BIGINT;
        v->python2 = is(m, "biglong");
    } else if (is(m, "str") || is(m, "unicode")) {
        if (!h5ck_text_is_utf8_with_zeros(a->data, a->count))
            return h5ck_fail(r->err, H5CKPT_INVALID, "expected text in UTF-8, found other bytes");
        char *text = h5ck_arena_strndup(r->arena, (const char *)a->data, a->count);
        if (!text)
            return h5ck_fail_nomem(r->err);
        *v = (h5ckpt_value){
            .type = H5CKPT_STR, .python2 = is(m, "str") && r->python2, .count = a->count, .as.str = text};
    } else {
        v->python2 = is(m, "bytes2");
    }
    return 0;
}

static int scalar_to_value(reader *r, const h5ck_hdf5_attr *a, const marker *m, h5ckpt_value *v)
{
    char usual = default_letter(a->dtype);
    if (is(m, "array") || is(m, "numpy") || !usual)
        return numbers_to_array(r, a, !is(m, "array"), v);
    if (is(m, "long") && usual == 'i')
        usual = 'l';
    else if (!is(m, ""))
        return unfit(r, m, a);
    return item(a, 0, usual, v) ? 0 : unfit(r, m, a);
}

static int numbers_to_value(reader *r, const h5ck_hdf5_attr *a, const marker *m, h5ckpt_value *v)
{
    if (a->rank == 0)
        return scalar_to_value(r, a, m, v);
    if (is(m, "list") || is(m, "tuple") || (is(m, "") && a->rank == 1 && default_letter(a->dtype)))
        return numbers_to_list(r, a, m, v);
    if (is(m, "") || is(m, "numpy"))
        return numbers_to_array(r, a, false, v);
    static const char *const raw[] = {"bytes", "bytes2", "bigint", "biglong", "str", "unicode"};
    for (size_t i = 0; i < sizeof raw / sizeof *raw; i++)
        if (is(m, raw[i]))
            return raw_to_value(r, a, m, v);
    return unfit(r, m, a);
}

static int attr_to_value(reader *r, const h5ck_hdf5_attr *a, const marker *m, h5ckpt_value *v)
{
    switch (a->content) {
    case H5CK_HDF5_NULL:
        *v = (h5ckpt_value){.type = H5CKPT_NONE};
        return 0;
    case H5CK_HDF5_TEXT:
        return text_to_value(r, a, m, v);
    case H5CK_HDF5_ELEMENTS:
        return numbers_to_value(r, a, m, v);
    case H5CK_HDF5_OTHER:
        break;
    }
    return h5ck_fail(r->err, H5CKPT_INVALID, "expected text, numbers or nothing as an attribute, found %s", a->type);
}

int h5ck_hdf5_value_of_attr(const h5ck_hdf5_attr *a, h5ck_arena *arena, h5ckpt_value *value, bool *is_value,
                            h5ckpt_error **err)
{
    reader r = {.arena = arena, .err = err};
    marker none;
    int rc = parse_marker(&r, NULL, &none);
    *is_value = a->content != H5CK_HDF5_OTHER && !(a->content == H5CK_HDF5_TEXT && a->rank > 1);
    return rc || !*is_value ? rc : attr_to_value(&r, a, &none, value);
}

/* ---- The fields of a group ---- */

typedef struct entry {
    const char *name; /* in the file */
    h5ck_hdf5_attr attr;
    haddr_t address; /* of a subgroup; HADDR_UNDEF for an attribute */
    h5ckpt_field field;
    bool placed;
} entry;

typedef struct fields {
    reader *r;
    entry **entries;
    size_t count, room;
    h5ck_dict markers;  /* "<field>:type" -> text */
    const char **order; /* the attribute `fields`, or NULL */
    size_t order_count;
} fields;

static int add_entry(fields *f, const char *name, entry **added)
{
    reader *r = f->r;
    if (f->count == f->room) {
        size_t room = f->room ? 2 * f->room : 16;
        entry **more = h5ck_arena_zalloc(r->arena, room, sizeof(entry *));
        if (!more)
            return h5ck_fail_nomem(r->err);
        if (f->count)
            memcpy(more, f->entries, f->count * sizeof *more);
        f->entries = more;
        f->room = room;
    }
    entry *e = h5ck_arena_zalloc(r->arena, 1, sizeof *e);
    if (!e || !(e->name = h5ck_arena_strdup(r->arena, name)))
        return h5ck_fail_nomem(r->err);
    e->address = HADDR_UNDEF;
    f->entries[f->count++] = e;
    *added = e;
    return 0;
}

static int read_order(fields *f, hid_t attr)
{
    h5ck_hdf5_attr a;
    int rc = h5ck_hdf5_attr_read(attr, f->r->from, f->r->arena, &a, f->r->err);
    if (rc == 0 && (a.content != H5CK_HDF5_TEXT || a.rank != 1))
        return h5ck_fail(f->r->err, H5CKPT_INVALID, "expected a list of names, found %s", a.type);
    f->order = a.texts;
    f->order_count = rc ? 0 : a.count;
    return rc;
}

static int read_marker(fields *f, hid_t attr, const char *name)
{
    h5ck_hdf5_attr a;
    const char *key = h5ck_arena_strdup(f->r->arena, name), *text;
    int rc = h5ck_hdf5_attr_read(attr, f->r->from, f->r->arena, &a, f->r->err);
    if (rc)
        return rc;
    rc = h5ck_hdf5_attr_as_text(&a, &text, f->r->err);
    if (rc == 0 && (!key || h5ck_dict_add(&f->markers, key, (void *)(uintptr_t)text) != H5CK_DICT_ADDED))
        rc = h5ck_fail_nomem(f->r->err);
    return rc;
}

static int visit_attr(void *user, hid_t attr, const char *name, h5ckpt_error **err)
{
    fields *f = user;
    const h5ck_hdf5_names *names = f->r->names;
    entry *e;
    (void)err;
    if (strcmp(name, names->fields) == 0)
        return read_order(f, attr);
    for (size_t i = 0; names->reserved[i]; i++)
        if (strcmp(name, names->reserved[i]) == 0)
            return 0;
    if (h5ck_hdf5_name_ends_with(name, names->type_suffix))
        return read_marker(f, attr, name);
    int rc = add_entry(f, name, &e);
    return rc ? rc : h5ck_hdf5_attr_read(attr, f->r->from, f->r->arena, &e->attr, f->r->err);
}

static int add_subgroups(fields *f, hid_t group)
{
    h5ck_hdf5_link *links;
    size_t count;
    entry *e;
    int rc = h5ck_hdf5_links(group, f->r->arena, &links, &count, f->r->err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (links[i].type != H5L_TYPE_HARD)
            rc = h5ck_fail(f->r->err, H5CKPT_INVALID, "expected a group, found a link that is no hard link");
        else if ((rc = add_entry(f, links[i].name, &e)) == 0)
            e->address = links[i].address;
        if (rc)
            h5ck_err_part(f->r->err, rc, links[i].name);
    }
    return rc;
}

static int read_subgroup(reader *r, hid_t near, const entry *e, const char *kind, int depth, h5ckpt_value *v)
{
    hid_t group = H5Oopen_by_addr(near, e->address);
    int rc;
    if (group < 0)
        rc = h5ck_hdf5_fail(r->err, H5CKPT_INVALID, "cannot open a group");
    else if (H5Iget_type(group) != H5I_GROUP)
        rc = h5ck_fail(r->err, H5CKPT_INVALID, "expected a group, found another object");
    else
        rc = read_group(r, group, kind, depth + 1, v);
    h5ck_hdf5_close(group);
    return rc;
}

/* Entry to field: its true name, and its value. */
static int finish_entry(fields *f, hid_t group, entry *e, int depth)
{
    reader *r = f->r;
    marker m;
    h5ck_buf key = H5CK_BUF_INIT;
    h5ck_buf_printf(&key, "%s%s", e->name, r->names->type_suffix);
    const char *k = h5ck_buf_cstr(&key), *text = k ? h5ck_dict_get(&f->markers, k) : NULL;
    h5ck_buf_free(&key);
    if (!k)
        return h5ck_fail_nomem(r->err);
    const char *name = h5ck_hdf5_name_decode(e->name, r->arena);
    if (!name)
        return h5ck_fail_nomem(r->err);
    if (!h5ck_text_is_utf8(name, strlen(name)))
        return h5ck_fail(r->err, H5CKPT_INVALID, "expected a field's name in UTF-8, found other bytes");
    int rc = parse_marker(r, text, &m);
    if (rc)
        return rc;
    e->field.key = text_value(name, r->python2 && !m.other_key);
    if (e->address == HADDR_UNDEF)
        rc = attr_to_value(r, &e->attr, &m, &e->field.value);
    else
        rc = read_subgroup(r, group, e, m.kind, depth, &e->field.value);
    return rc ? h5ck_err_part(r->err, rc, name) : 0;
}

/* The fields in their order: as `fields` says, then those it does not name, as they were found. */
static int arrange(fields *f, h5ckpt_field **out)
{
    h5ck_dict by_name = {0};
    size_t n = 0;
    int rc = 0;
    h5ckpt_field *list = h5ck_arena_zalloc(f->r->arena, f->count, sizeof *list);
    if (!list)
        return h5ck_fail_nomem(f->r->err);
    for (size_t i = 0; rc == 0 && i < f->count; i++) {
        const char *name = f->entries[i]->field.key.as.str;
        h5ck_dict_result added = h5ck_dict_add(&by_name, name, f->entries[i]);
        if (added == H5CK_DICT_EXISTS)
            rc = h5ck_fail(f->r->err, H5CKPT_INVALID, "expected each field once, found a second '%s'", name);
        else if (added == H5CK_DICT_NOMEM)
            rc = h5ck_fail_nomem(f->r->err);
    }
    for (size_t i = 0; rc == 0 && i < f->order_count; i++) {
        entry *e = h5ck_dict_get(&by_name, f->order[i]);
        if (e && !e->placed) {
            e->placed = true;
            list[n++] = e->field;
        }
    }
    for (size_t i = 0; rc == 0 && i < f->count; i++)
        if (!f->entries[i]->placed)
            list[n++] = f->entries[i]->field;
    h5ck_dict_free(&by_name);
    *out = list;
    return rc;
}

static int read_fields(reader *r, hid_t group, int depth, h5ckpt_field **list, size_t *count)
{
    fields f = {.r = r};
    int rc = h5ck_hdf5_attr_each(group, visit_attr, &f, r->err);
    if (rc == 0)
        rc = add_subgroups(&f, group);
    for (size_t i = 0; rc == 0 && i < f.count; i++)
        rc = finish_entry(&f, group, f.entries[i], depth);
    if (rc == 0)
        rc = arrange(&f, list);
    *count = f.count;
    h5ck_dict_free(&f.markers);
    return rc;
}

/* ---- Groups ---- */

/* Fields "0", "1", ... in any order, as an array. */
static int unnumber(reader *r, const h5ckpt_field *list, size_t count, h5ckpt_value **items)
{
    h5ckpt_value *out = h5ck_arena_zalloc(r->arena, count, sizeof *out);
    bool *seen = h5ck_arena_zalloc(r->arena, count, sizeof *seen);
    if (!out || !seen)
        return h5ck_fail_nomem(r->err);
    for (size_t i = 0; i < count; i++) {
        const char *name = list[i].key.as.str;
        char again[24];
        size_t at = 0;
        for (const char *p = name; *p >= '0' && *p <= '9' && at <= count; p++)
            at = 10 * at + (size_t)(*p - '0');
        snprintf(again, sizeof again, "%zu", at);
        if (at >= count || seen[at] || strcmp(again, name) != 0)
            return h5ck_fail(r->err, H5CKPT_INVALID, "expected the items 0 to %zu, found '%s'", count - 1, name);
        out[at] = list[i].value;
        seen[at] = true;
    }
    *items = out;
    return 0;
}

static int pair_up(reader *r, const h5ckpt_value *items, size_t count, h5ckpt_value *v)
{
    h5ckpt_field *list = h5ck_arena_zalloc(r->arena, count / 2, sizeof *list);
    if (!list)
        return h5ck_fail_nomem(r->err);
    if (count % 2)
        return h5ck_fail(r->err, H5CKPT_INVALID, "expected keys and values in turn, found %zu items", count);
    for (size_t i = 0; i < count; i++) {
        h5ckpt_value_type t = items[i].type;
        if (i % 2 == 0 && (t == H5CKPT_LIST || t == H5CKPT_DICT))
            return h5ck_fail(r->err, H5CKPT_INVALID,
                             "expected a value that can be a key as item %zu, found a container", i);
        *(i % 2 ? &list[i / 2].value : &list[i / 2].key) = items[i];
    }
    *v = (h5ckpt_value){.type = H5CKPT_DICT, .count = count / 2, .as.fields = list};
    return 0;
}

static int make_object(reader *r, hid_t group, const char *class_name, const h5ckpt_field *list, size_t count,
                       h5ckpt_value *v)
{
    h5ckpt_object *o = h5ck_arena_zalloc(r->arena, 1, sizeof *o);
    if (!o)
        return h5ck_fail_nomem(r->err);
    *o = (h5ckpt_object){.class_name = class_name, .count = count, .fields = list};
    int rc = h5ck_hdf5_attr_text(group, r->names->module, r->from, r->arena, &o->module, r->err);
    if (rc == 0 && !o->module)
        rc = h5ck_fail(r->err, H5CKPT_INVALID, "expected the attribute '%s' beside '%s', found none", r->names->module,
                       r->names->class_name);
    if (rc == 0 && r->policy->check)
        rc = r->policy->check(r->policy->user, o, r->err);
    *v = (h5ckpt_value){.type = H5CKPT_OBJECT, .as.object = o};
    return rc;
}

static int make_value(reader *r, hid_t group, const char *kind, const h5ckpt_field *list, size_t count, h5ckpt_value *v)
{
    const char *class_name;
    h5ckpt_value *items = NULL;
    int rc;
    if (strcmp(kind, "list") == 0 || strcmp(kind, "tuple") == 0 || strcmp(kind, "items") == 0) {
        if ((rc = unnumber(r, list, count, &items)) || kind[0] == 'i')
            return rc ? rc : pair_up(r, items, count, v);
        *v = (h5ckpt_value){.type = kind[0] == 'l' ? H5CKPT_LIST : H5CKPT_TUPLE, .count = count, .as.items = items};
        return 0;
    }
    if (*kind)
        return h5ck_fail(r->err, H5CKPT_INVALID, "expected a marker of a group, found '%s'", kind);
    rc = h5ck_hdf5_attr_text(group, r->names->class_name, r->from, r->arena, &class_name, r->err);
    if (rc == 0 && class_name)
        return make_object(r, group, class_name, list, count, v);
    *v = (h5ckpt_value){.type = H5CKPT_DICT, .count = count, .as.fields = list};
    return rc;
}

static int enter_group(reader *r, hid_t group, int depth)
{
    H5O_info_t info;
    char key[24];
    if (depth > H5CK_VALUE_DEPTH)
        return h5ck_fail(r->err, H5CKPT_INVALID, "expected values nested at most %d deep, found more",
                         H5CK_VALUE_DEPTH);
    if (H5Oget_info(group, &info) < 0)
        return h5ck_hdf5_fail(r->err, H5CKPT_INVALID, "cannot read a group");
    snprintf(key, sizeof key, "%" PRIx64, (uint64_t)info.addr);
    const char *kept = h5ck_arena_strdup(r->arena, key);
    h5ck_dict_result added = kept ? h5ck_dict_add(&r->groups, kept, r) : H5CK_DICT_NOMEM;
    if (added == H5CK_DICT_EXISTS)
        return h5ck_fail(r->err, H5CKPT_INVALID, "expected each group once, found a second link to one");
    return added == H5CK_DICT_ADDED ? 0 : h5ck_fail_nomem(r->err);
}

static int read_group(reader *r, hid_t group, const char *kind, int depth, h5ckpt_value *v)
{
    h5ckpt_field *list = NULL;
    size_t count = 0;
    int rc = enter_group(r, group, depth);
    if (rc == 0)
        rc = read_fields(r, group, depth, &list, &count);
    return rc ? rc : make_value(r, group, kind, list, count, v);
}

int h5ck_hdf5_value_read(hid_t group, const h5ck_hdf5_names *names, const h5ck_hdf5_policy *policy,
                         const h5ck_hdf5_source *from, h5ck_arena *arena, h5ckpt_value *value, h5ckpt_error **err)
{
    reader r = {.names = names, .policy = policy, .from = from, .arena = arena, .err = err};
    h5ck_hdf5_attr a;
    bool found;
    int64_t python = 0;
    int rc = h5ck_hdf5_attr_get(group, names->python, from, arena, &a, &found, err);
    if (rc == 0 && found && (!h5ck_hdf5_attr_as_int(&a, &python) || (python != 2 && python != 3)))
        rc = h5ck_fail(err, H5CKPT_INVALID, "expected 2 or 3 as the attribute '%s', found other", names->python);
    r.python2 = python == 2;
    if (rc == 0)
        rc = read_group(&r, group, "", 0, value);
    h5ck_dict_free(&r.groups);
    return rc;
}
