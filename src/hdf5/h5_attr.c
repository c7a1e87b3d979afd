/*
 * h5_attr.c - one attribute at a time: text, numbers, or an empty dataspace (None, h5py's Empty).
 *
 * Numbers come out little-endian whatever the file's byte order; text comes out of variable-length and of fixed-length
 * strings. How much an attribute may hold is checked against the file's size before memory is asked for.
 *
 * Refused: text that is not UTF-8, more than 32 dimensions, more content than the file has bytes. What is neither text
 * nor numbers is reported as OTHER, for the caller to refuse or pass over.
 */
#include "base/ckd.h"
#include "base/le.h"
#include "base/text.h"
#include "hdf5/h5.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { VLEN_REFERENCE = 8 }; /* at least: a length, an index, an address */

/* ---- Reading ---- */

static int read_space(hid_t attr, h5ck_hdf5_attr *a, h5ckpt_error **err)
{
    hsize_t dims[H5S_MAX_RANK];
    hid_t space = H5Aget_space(attr);
    H5S_class_t c = space < 0 ? H5S_NO_CLASS : H5Sget_simple_extent_type(space);
    int rank = c == H5S_SIMPLE ? H5Sget_simple_extent_dims(space, dims, NULL) : 0;
    h5ck_hdf5_close(space);
    if (c == H5S_NO_CLASS || rank < 0)
        return h5ck_hdf5_fail(err, H5CKPT_INVALID, "cannot read an attribute's shape");
    if (rank > H5CK_MAX_RANK)
        return h5ck_fail(err, H5CKPT_INVALID, "expected an attribute of at most %d dimensions, found %d", H5CK_MAX_RANK,
                         rank);
    uint64_t count = 1;
    for (int i = 0; i < rank; i++) {
        a->shape[i] = dims[i];
        if (h5ck_ckd_mul(count, dims[i], &count))
            return h5ck_fail(err, H5CKPT_INVALID, "the shape of an attribute overflows");
    }
    a->rank = (size_t)rank;
    a->count = (size_t)count;
    a->content = c == H5S_NULL ? H5CK_HDF5_NULL : H5CK_HDF5_OTHER;
    return 0;
}

/* Bytes of `count` elements, as long as they could be in a file of `limit` bytes. */
static int bounded(uint64_t count, uint64_t size, uint64_t limit, size_t *bytes, h5ckpt_error **err)
{
    uint64_t n;
    if (h5ck_ckd_mul(count, size, &n) || n > limit)
        return h5ck_fail(err, H5CKPT_INVALID,
                         "expected an attribute that fits into the file, found %" PRIu64 " elements of %" PRIu64
                         " bytes",
                         count, size);
    *bytes = (size_t)n;
    return 0;
}

static int check_text(const char *s, size_t n, h5ckpt_error **err)
{
    return h5ck_text_is_utf8(s, n) ? 0 : h5ck_fail(err, H5CKPT_INVALID, "expected text in UTF-8, found other bytes");
}

static int read_variable(hid_t attr, hid_t type, const h5ck_hdf5_source *from, h5ck_arena *arena, h5ck_hdf5_attr *a,
                         h5ckpt_error **err)
{
    size_t bytes, *lengths;
    int rc = bounded(a->count, VLEN_REFERENCE, from->size, &bytes, err);
    if (rc)
        return rc;
    if (!(lengths = calloc(a->count + 1, sizeof *lengths)))
        return h5ck_fail_nomem(err);
    rc = h5ck_hdf5_heap_texts(attr, type, a->count, from, arena, a->texts, lengths, err);
    for (size_t i = 0; rc == 0 && i < a->count; i++)
        rc = check_text(a->texts[i], lengths[i], err);
    free(lengths);
    return rc;
}

/* Text ends at its first zero; space padding (Fortran's way) is cut off. */
static int read_fixed(hid_t attr, hid_t type, const h5ck_hdf5_source *from, h5ck_arena *arena, h5ck_hdf5_attr *a,
                      h5ckpt_error **err)
{
    size_t size = H5Tget_size(type), bytes = 0;
    bool spaces = H5Tget_strpad(type) == H5T_STR_SPACEPAD;
    int rc = bounded(a->count, size, from->size, &bytes, err);
    if (rc)
        return rc;
    char *raw = malloc(bytes + 1);
    if (!raw)
        return h5ck_fail_nomem(err);
    if (a->count && H5Aread(attr, type, raw) < 0)
        rc = h5ck_hdf5_fail(err, H5CKPT_INVALID, "cannot read an attribute's text");
    for (size_t i = 0; rc == 0 && i < a->count; i++) {
        const char *s = raw + i * size;
        size_t n = strnlen(s, size);
        while (spaces && n && s[n - 1] == ' ')
            n--;
        rc = check_text(s, n, err);
        if (rc == 0 && !(a->texts[i] = h5ck_arena_strndup(arena, s, n)))
            rc = h5ck_fail_nomem(err);
    }
    free(raw);
    return rc;
}

static int read_text(hid_t attr, hid_t type, const h5ck_hdf5_source *from, h5ck_arena *arena, h5ck_hdf5_attr *a,
                     h5ckpt_error **err)
{
    size_t bytes = 0;
    htri_t variable = H5Tis_variable_str(type);
    int rc = bounded(a->count, 1, from->size, &bytes, err);
    if (rc == 0 && variable < 0)
        rc = h5ck_hdf5_fail(err, H5CKPT_INVALID, "cannot read an attribute's type");
    if (rc)
        return rc;
    a->content = H5CK_HDF5_TEXT;
    if (variable)
        strcpy(a->type, "variable-length string");
    else
        h5ck_hdf5_type_text(type, a->type, sizeof a->type);
    if (!(a->texts = h5ck_arena_zalloc(arena, a->count, sizeof *a->texts)))
        return h5ck_fail_nomem(err);
    return variable ? read_variable(attr, type, from, arena, a, err) : read_fixed(attr, type, from, arena, a, err);
}

static int read_elements(hid_t attr, hid_t memory, const h5ck_hdf5_source *from, h5ck_arena *arena, h5ck_hdf5_attr *a,
                         h5ckpt_error **err)
{
    size_t bytes = 0;
    int rc = bounded(a->count, a->dtype->size, from->size, &bytes, err);
    if (rc)
        return rc;
    void *data = h5ck_arena_zalloc(arena, bytes, 1);
    if (!data)
        return h5ck_fail_nomem(err);
    if (bytes && H5Aread(attr, memory, data) < 0)
        return h5ck_hdf5_fail(err, H5CKPT_INVALID, "cannot read an attribute");
    a->content = H5CK_HDF5_ELEMENTS;
    a->data = data;
    return 0;
}

int h5ck_hdf5_attr_read(hid_t attr, const h5ck_hdf5_source *from, h5ck_arena *arena, h5ck_hdf5_attr *a,
                        h5ckpt_error **err)
{
    bool plain;
    memset(a, 0, sizeof *a);
    int rc = read_space(attr, a, err);
    hid_t type = rc ? -1 : H5Aget_type(attr), memory = -1;
    if (rc == 0 && type < 0)
        rc = h5ck_hdf5_fail(err, H5CKPT_INVALID, "cannot read an attribute's type");
    H5T_class_t c = rc ? H5T_NO_CLASS : H5Tget_class(type);
    if (rc == 0 && (c != H5T_STRING || a->content == H5CK_HDF5_NULL)) /* read_text says it by itself */
        h5ck_hdf5_type_text(type, a->type, sizeof a->type);
    if (rc == 0 && a->content != H5CK_HDF5_NULL) {
        if (c == H5T_STRING)
            rc = read_text(attr, type, from, arena, a, err);
        else if ((rc = h5ck_hdf5_type_find(type, &a->dtype, &plain, &memory, err)) == 0 && a->dtype)
            rc = read_elements(attr, memory, from, arena, a, err);
    }
    h5ck_hdf5_close(memory);
    h5ck_hdf5_close(type);
    return rc;
}

int h5ck_hdf5_attr_get(hid_t object, const char *name, const h5ck_hdf5_source *from, h5ck_arena *arena,
                       h5ck_hdf5_attr *a, bool *found, h5ckpt_error **err)
{
    htri_t exists = H5Aexists(object, name);
    *found = exists > 0;
    if (exists < 0)
        return h5ck_hdf5_fail(err, H5CKPT_INVALID, "cannot look up an attribute");
    if (!exists)
        return 0;
    hid_t attr = H5Aopen(object, name, H5P_DEFAULT);
    int rc = attr < 0 ? h5ck_hdf5_fail(err, H5CKPT_INVALID, "cannot open an attribute")
                      : h5ck_hdf5_attr_read(attr, from, arena, a, err);
    h5ck_hdf5_close(attr);
    return rc ? h5ck_err_part(err, rc, name) : 0;
}

int h5ck_hdf5_attr_text(hid_t object, const char *name, const h5ck_hdf5_source *from, h5ck_arena *arena,
                        const char **text, h5ckpt_error **err)
{
    h5ck_hdf5_attr a;
    bool found;
    *text = NULL;
    int rc = h5ck_hdf5_attr_get(object, name, from, arena, &a, &found, err);
    if (rc || !found)
        return rc;
    rc = h5ck_hdf5_attr_as_text(&a, text, err);
    return rc ? h5ck_err_part(err, rc, name) : 0;
}

int h5ck_hdf5_attr_as_text(const h5ck_hdf5_attr *a, const char **text, h5ckpt_error **err)
{
    if (a->content != H5CK_HDF5_TEXT || a->count != 1)
        return h5ck_fail(err, H5CKPT_INVALID, "expected one string, found %zu of %s", a->count, a->type);
    *text = a->texts[0];
    return 0;
}

bool h5ck_hdf5_attr_int_at(const h5ck_hdf5_attr *a, size_t i, int64_t *value)
{
    if (a->content != H5CK_HDF5_ELEMENTS || i >= a->count ||
        (a->dtype->kind != H5CK_KIND_INT && a->dtype->kind != H5CK_KIND_UINT))
        return false;
    unsigned size = (unsigned)a->dtype->size;
    uint64_t bits = h5ck_le_get((const char *)a->data + i * size, size);
    if (a->dtype->kind == H5CK_KIND_INT && size < 8 && bits >> (8 * size - 1))
        bits |= ~UINT64_C(0) << (8 * size);
    *value = (int64_t)bits;
    return a->dtype->kind == H5CK_KIND_INT || *value >= 0;
}

bool h5ck_hdf5_attr_as_int(const h5ck_hdf5_attr *a, int64_t *i)
{
    return a->count == 1 && h5ck_hdf5_attr_int_at(a, 0, i);
}

/* ---- Writing ---- */

/* How an attribute is made: names beyond ASCII are marked as UTF-8. */
static hid_t create_list(const char *name)
{
    hid_t list = H5P_DEFAULT;
    for (const char *p = name; *p && list == H5P_DEFAULT; p++)
        if ((unsigned char)*p >= 0x80 && (list = H5Pcreate(H5P_ATTRIBUTE_CREATE)) >= 0)
            H5Pset_char_encoding(list, H5T_CSET_UTF8);
    return list;
}

int h5ck_hdf5_attr_put(hid_t object, const char *name, hid_t type, int rank, const uint64_t *shape, const void *data,
                       h5ckpt_error **err)
{
    hsize_t dims[H5S_MAX_RANK];
    bool empty = rank < 0;
    if (rank > H5S_MAX_RANK)
        return h5ck_fail(err, H5CKPT_INVALID, "expected at most %d dimensions, found %d", H5S_MAX_RANK, rank);
    for (int i = 0; i < rank; i++) {
        dims[i] = shape[i];
        empty |= shape[i] == 0;
    }
    hid_t space = rank > 0 ? H5Screate_simple(rank, dims, NULL) : H5Screate(rank < 0 ? H5S_NULL : H5S_SCALAR);
    hid_t list = create_list(name);
    hid_t attr = space < 0 || type < 0 || list < 0 ? -1 : H5Acreate2(object, name, type, space, list, H5P_DEFAULT);
    int rc = attr < 0 || (!empty && H5Awrite(attr, type, data) < 0) ? -1 : 0;
    if (rc)
        rc = h5ck_hdf5_fail(err, H5CKPT_SYSTEM, "cannot write an attribute");
    h5ck_hdf5_close(attr);
    h5ck_hdf5_close(space);
    if (list != H5P_DEFAULT)
        h5ck_hdf5_close(list);
    return rc ? h5ck_err_part(err, rc, name) : 0;
}

int h5ck_hdf5_attr_put_text(hid_t object, const char *name, const char *text, h5ckpt_error **err)
{
    hid_t type = h5ck_hdf5_type_text_new();
    int rc = h5ck_hdf5_attr_put(object, name, type, 0, NULL, &text, err);
    h5ck_hdf5_close(type);
    return rc;
}

int h5ck_hdf5_attr_put_later(hid_t object, const char *name, hid_t type, hid_t space, size_t length,
                             const h5ck_hdf5_source *from, unsigned char reference[H5CK_HDF5_REFERENCE],
                             h5ckpt_error **err)
{
    char blanks[H5CK_DIGEST_TEXT];
    const char *text = blanks;
    if (length >= sizeof blanks)
        return h5ck_fail(err, H5CKPT_SYSTEM, "expected a text of less than %zu bytes", sizeof blanks);
    memset(blanks, ' ', length);
    blanks[length] = 0;
    hid_t list = create_list(name);
    hid_t attr = list < 0 ? -1 : H5Acreate2(object, name, type, space, list, H5P_DEFAULT);
    int rc = attr < 0 || H5Awrite(attr, type, &text) < 0
                 ? h5ck_hdf5_fail(err, H5CKPT_SYSTEM, "cannot write an attribute")
                 : h5ck_hdf5_heap_reference(attr, type, from, reference, err);
    h5ck_hdf5_close(attr);
    if (list != H5P_DEFAULT)
        h5ck_hdf5_close(list);
    return rc ? h5ck_err_part(err, rc, name) : 0;
}

int h5ck_hdf5_attr_put_dtype(hid_t object, const char *name, h5ckpt_dtype dtype, int rank, const uint64_t *shape,
                             const void *data, h5ckpt_error **err)
{
    hid_t type = h5ck_hdf5_type_new(h5ck_dtype_get(dtype));
    int rc = h5ck_hdf5_attr_put(object, name, type, rank, shape, data, err);
    h5ck_hdf5_close(type);
    return rc;
}

/* ---- All of an object ---- */

typedef struct each {
    h5ck_hdf5_attr_visit *visit;
    void *user;
    h5ckpt_error **err;
    int rc;
} each;

static herr_t visit_one(hid_t object, const char *name, const H5A_info_t *info, void *user)
{
    each *e = user;
    (void)info;
    hid_t attr = H5Aopen(object, name, H5P_DEFAULT);
    e->rc = attr < 0 ? h5ck_hdf5_fail(e->err, H5CKPT_INVALID, "cannot open an attribute")
                     : e->visit(e->user, attr, name, e->err);
    h5ck_hdf5_close(attr);
    if (e->rc)
        h5ck_err_part(e->err, e->rc, name);
    return e->rc ? -1 : 0;
}

/* Only groups are asked: the order of a dataset's attributes says nothing, and asking is slow. */
int h5ck_hdf5_attr_each(hid_t object, h5ck_hdf5_attr_visit *visit, void *user, h5ckpt_error **err)
{
    each e = {visit, user, err, 0};
    H5_index_t by = H5_INDEX_NAME;
    int rc = H5Iget_type(object) == H5I_GROUP ? h5ck_hdf5_order(object, false, &by, err) : 0;
    if (rc)
        return rc;
    herr_t done = H5Aiterate2(object, by, H5_ITER_INC, NULL, visit_one, &e);
    return e.rc ? e.rc : done < 0 ? h5ck_hdf5_fail(err, H5CKPT_INVALID, "cannot read the attributes") : 0;
}

int h5ck_hdf5_attr_put_int(hid_t object, const char *name, int64_t number, h5ckpt_error **err)
{
    unsigned char bytes[8];
    h5ck_le_put(bytes, (uint64_t)number, 8);
    return h5ck_hdf5_attr_put_dtype(object, name, H5CKPT_DTYPE_INT64, 0, NULL, bytes, err);
}
