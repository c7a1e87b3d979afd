/*
 * h5_heap.c - variable-length text without libhdf5's reader of it. In the file such a text is a reference
 *
 *     u32 length | address of a global heap collection | u32 index
 *
 * and the collection is
 *
 *     "GCOL" | u8 version = 1 | 3 zero bytes | length of all | objects
 *
 * with each object as
 *
 *     u16 index | u16 count | u32 zero | length | data
 *
 * where headers and data are padded to 8.
 *
 * Global heaps have no checksum, and several releases of libhdf5 believe their lengths (seen in 1.10.8: one flipped bit
 * is a crash). So libhdf5 only hands out the references, through a conversion to a type of our own that is no
 * conversion at all, and the collections are read here. One text that many references share costs its length each time:
 * their sum is bounded. Source: the HDF5 file format specification, version 2 and 3, III.E.
 *
 * Refused: collections and objects that are not inside the file, another version, texts of more bytes in sum than the
 * file and 64 MiB.
 *
 * For want of a checksum a text of known length can also be written later than its reference: h5_attr.c puts one of
 * that length in its place first, and h5ck_hdf5_heap_overwrite writes the true one over it where it lies.
 */
#include "base/ckd.h"
#include "base/fs.h"
#include "base/le.h"
#include "hdf5/h5.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { SLACK = 64 << 20, OBJECTS = 1 << 16 };

#define CONVERSION "h5ckpt text"
#define TAG        "h5ckpt: a reference to variable-length text, as it stands in the file"

/* The collection that was read last: the texts of neighbours lie in one. */
struct h5ck_hdf5_heap {
    hid_t reference;  /* our type, once the conversion to it is registered; negative before */
    uint64_t address; /* UINT64_MAX: none yet */
    unsigned char *data;
    uint64_t size;
    uint64_t objects[OBJECTS]; /* by index: where its header is in `data`; 0 for none */
    size_t top;                /* the highest index that is set */
    bool changed;              /* `data` is to be written back */
};

/* ---- References ---- */

/* The bytes stay as they are; only to our own type. */
static herr_t keep_reference(hid_t src, hid_t dst, H5T_cdata_t *data, size_t n, size_t stride, size_t bkg_stride,
                             void *buf, void *bkg, hid_t list)
{
    (void)src, (void)n, (void)stride, (void)bkg_stride, (void)buf, (void)bkg, (void)list;
    if (data->command != H5T_CONV_INIT)
        return 0;
    char *tag = H5Tget_class(dst) == H5T_OPAQUE ? H5Tget_tag(dst) : NULL;
    bool ours = tag && strcmp(tag, TAG) == 0;
    H5free_memory(tag);
    data->need_bkg = H5T_BKG_NO;
    return ours ? 0 : -1;
}

/* Registers the conversion with the first text of a source; h5ck_hdf5_source_free takes it back under the same lock. */
static hid_t reference_type(h5ck_hdf5_heap *heap, hid_t text, const h5ck_hdf5_source *from)
{
    if (heap->reference >= 0)
        return heap->reference;
    hid_t type = H5Tcreate(H5T_OPAQUE, 8 + from->address_size);
    if (type < 0 || H5Tset_tag(type, TAG) < 0 ||
        H5Tregister(H5T_PERS_SOFT, CONVERSION, text, type, keep_reference) < 0) {
        h5ck_hdf5_close(type);
        return -1;
    }
    heap->reference = type;
    return type;
}

static int read_references(hid_t attr, hid_t type, const h5ck_hdf5_source *from, void *to, h5ckpt_error **err)
{
    hid_t reference = reference_type(from->heap, type, from);
    return reference >= 0 && H5Aread(attr, reference, to) >= 0
               ? 0
               : h5ck_hdf5_fail(err, H5CKPT_INVALID, "cannot read an attribute's text");
}

/* ---- Sources ---- */

static int make_heap(h5ck_hdf5_source *from, h5ckpt_error **err)
{
    from->heap = calloc(1, sizeof *from->heap);
    if (!from->heap)
        return h5ck_fail_nomem(err);
    from->heap->address = UINT64_MAX;
    from->heap->reference = -1;
    return 0;
}

int h5ck_hdf5_source_make(hid_t file, int fd, uint64_t size, h5ck_hdf5_source *from, h5ckpt_error **err)
{
    hid_t list = H5Fget_create_plist(file);
    hsize_t base = 0;
    size_t address = 0, length = 0;
    bool ok = list >= 0 && H5Pget_userblock(list, &base) >= 0 && H5Pget_sizes(list, &address, &length) >= 0;
    h5ck_hdf5_close(list);
    *from = (h5ck_hdf5_source){fd, size, base, (unsigned)address, (unsigned)length, NULL};
    if (!ok || address < 2 || address > 8 || length < 2 || length > 8)
        return h5ck_hdf5_fail(err, H5CKPT_INVALID, "cannot read the file's sizes");
    return make_heap(from, err);
}

/* Files that are written have addresses and lengths of 8 bytes, and no user block. */
int h5ck_hdf5_source_again(int fd, uint64_t size, h5ck_hdf5_source *from, h5ckpt_error **err)
{
    *from = (h5ck_hdf5_source){fd, size, 0, 8, 8, NULL};
    return make_heap(from, err);
}

void h5ck_hdf5_source_free(h5ck_hdf5_source *from)
{
    h5ck_hdf5_heap *heap = from->heap;
    if (!heap)
        return;
    if (heap->reference >= 0) {
        H5Tunregister(H5T_PERS_SOFT, CONVERSION, -1, heap->reference, keep_reference);
        h5ck_hdf5_close(heap->reference);
    }
    free(heap->data);
    free(heap);
    from->heap = NULL;
}

/* ---- Collections ---- */

/* Of a collection and of an object alike: 8 bytes and a length, padded to 8. */
static unsigned header_size(const h5ck_hdf5_source *from)
{
    return (8 + from->length_size + 7) & ~7u;
}

/* Notes where each object is; index 0 is free space, the end. */
static int index_objects(h5ck_hdf5_heap *c, const h5ck_hdf5_source *from, uint64_t at, h5ckpt_error **err)
{
    unsigned head = header_size(from);
    memset(c->objects, 0, (c->top + 1) * sizeof *c->objects);
    c->top = 0;
    for (uint64_t p = head; p < c->size && c->size - p >= head;) {
        uint64_t index = h5ck_le_get(c->data + p, 2), n = h5ck_le_get(c->data + p + 8, from->length_size);
        if (index == 0)
            break;
        if (n > c->size - p - head)
            return h5ck_fail_at(err, at + p, "expected an object inside of its heap, found one of %" PRIu64 " bytes",
                                n);
        c->objects[index] = p;
        c->top = index > c->top ? index : c->top;
        p += head + ((n + 7) & ~UINT64_C(7));
    }
    return 0;
}

static int load(h5ck_hdf5_heap *c, uint64_t address, const h5ck_hdf5_source *from, uint64_t *budget, h5ckpt_error **err)
{
    unsigned char head[16];
    uint64_t at;
    unsigned n = 8 + from->length_size;
    if (h5ck_ckd_add(address, from->base, &at) || at > from->size || from->size - at < n)
        return h5ck_fail(err, H5CKPT_INVALID, "expected a heap inside of the file, found one at offset %" PRIu64,
                         address);
    int rc = h5ck_fs_pread(from->fd, head, n, at, err);
    if (rc)
        return rc;
    if (memcmp(head, "GCOL\1", 5) != 0)
        return h5ck_fail_at(err, at, "expected a heap of version 1, found other bytes");
    uint64_t size = h5ck_le_get(head + 8, from->length_size);
    if (size > from->size - at || size > *budget)
        return h5ck_fail_at(err, at, "expected a heap inside of the file, found one of %" PRIu64 " bytes", size);
    *budget -= size;
    free(c->data);
    c->address = UINT64_MAX;
    if (!(c->data = malloc((size_t)size + 1)))
        return h5ck_fail_nomem(err);
    c->size = size;
    rc = h5ck_fs_pread(from->fd, c->data, (size_t)size, at, err);
    if (rc == 0)
        rc = index_objects(c, from, at, err);
    if (rc == 0)
        c->address = address;
    return rc;
}

/* Where in its collection, which is loaded, the text of a reference begins; its length is not 0. */
static int find(const unsigned char *reference, const h5ck_hdf5_source *from, uint64_t *budget, uint64_t *at,
                h5ckpt_error **err)
{
    h5ck_hdf5_heap *c = from->heap;
    uint64_t n = h5ck_le_get(reference, 4), address = h5ck_le_get(reference + 4, from->address_size);
    uint64_t index = h5ck_le_get(reference + 4 + from->address_size, 4);
    int rc = address == c->address ? 0 : load(c, address, from, budget, err);
    if (rc)
        return rc;
    uint64_t p = index < OBJECTS ? c->objects[index] : 0;
    uint64_t has = p ? h5ck_le_get(c->data + p + 8, from->length_size) : 0;
    if (n > has || n > *budget)
        return h5ck_fail(err, H5CKPT_INVALID, "expected text of %" PRIu64 " bytes in the heap, found %" PRIu64, n, has);
    *at = p + header_size(from);
    *budget -= n;
    return 0;
}

/* One reference to text in the arena. A length of 0 is "", whatever the rest says. */
static int follow(const unsigned char *reference, const h5ck_hdf5_source *from, uint64_t *budget, h5ck_arena *arena,
                  const char **text, size_t *length, h5ckpt_error **err)
{
    uint64_t at = 0, n = h5ck_le_get(reference, 4);
    int rc = n ? find(reference, from, budget, &at, err) : 0;
    if (rc)
        return rc;
    const char *data = n ? (const char *)from->heap->data + at : "";
    *length = strnlen(data, (size_t)n);
    *text = h5ck_arena_strndup(arena, data, *length);
    return *text ? 0 : h5ck_fail_nomem(err);
}

int h5ck_hdf5_heap_texts(hid_t attr, hid_t type, size_t count, const h5ck_hdf5_source *from, h5ck_arena *arena,
                         const char **texts, size_t *lengths, h5ckpt_error **err)
{
    size_t step = 8 + from->address_size;
    uint64_t budget, bytes;
    if (h5ck_ckd_mul(count, step, &bytes) || bytes > from->size)
        return h5ck_fail(err, H5CKPT_INVALID, "expected an attribute that fits into the file, found %zu texts", count);
    if (count == 0)
        return 0;
    if (h5ck_ckd_mul(from->size, 2, &budget) || h5ck_ckd_add(budget, SLACK, &budget))
        budget = UINT64_MAX;
    unsigned char *references = malloc((size_t)bytes);
    int rc = references ? read_references(attr, type, from, references, err) : h5ck_fail_nomem(err);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = follow(references + i * step, from, &budget, arena, &texts[i], &lengths[i], err);
    free(references);
    return rc;
}

/* ---- Written later ---- */

int h5ck_hdf5_heap_reference(hid_t attr, hid_t type, const h5ck_hdf5_source *from,
                             unsigned char reference[H5CK_HDF5_REFERENCE], h5ckpt_error **err)
{
    return read_references(attr, type, from, reference, err);
}

int h5ck_hdf5_heap_flush(const h5ck_hdf5_source *from, h5ckpt_error **err)
{
    h5ck_hdf5_heap *c = from->heap;
    bool changed = c->changed;
    c->changed = false;
    return changed ? h5ck_fs_pwrite(from->fd, c->data, (size_t)c->size, from->base + c->address, err) : 0;
}

int h5ck_hdf5_heap_overwrite(const unsigned char reference[H5CK_HDF5_REFERENCE], const char *text,
                             const h5ck_hdf5_source *from, h5ckpt_error **err)
{
    h5ck_hdf5_heap *c = from->heap;
    uint64_t at, budget = UINT64_MAX, room = h5ck_le_get(reference, 4);
    size_t n = strlen(text);
    if (n != room)
        return h5ck_fail(err, H5CKPT_SYSTEM, "expected a text of %" PRIu64 " bytes, for which there is room, found %zu",
                         room, n);
    int rc = h5ck_le_get(reference + 4, from->address_size) == c->address ? 0 : h5ck_hdf5_heap_flush(from, err);
    if (rc == 0)
        rc = find(reference, from, &budget, &at, err);
    if (rc)
        return rc;
    memcpy(c->data + at, text, n);
    c->changed = true;
    return 0;
}
