/*
 * fmt_torch_legacy.c - checkpoints of PyTorch 0.4 to 1.5, and of torch.save(_use_new_zipfile_serialization=False).
 *
 *     pickle 0x1950a86a20f9469cfc6c      the magic number
 *     pickle 1001                        the version of the protocol
 *     pickle {"little_endian": True, "protocol_version": 1001, "type_sizes": {...}}
 *     pickle                             as an archive's data.pkl; a storage's id has a sixth part, None
 *     pickle [key, ...]                  the storages, in the order of
 *     uint64 n, n elements               for each of them
 *
 * Each pickle ends with its opcode STOP. There are no digests. Facts: torch/serialization.py, _legacy_save and
 * _legacy_load; csrc/generic/serialization.cpp.
 *
 * A storage's length in bytes is known only when the pickle has said its class. So the pickle is gone through first, then
 * the storages are measured one by one. Refused: what is not of this order, a key twice or without a mention, bytes
 * behind the last storage, and tar archives (PyTorch 0.1), which torch.load(weights_only=True) refuses too.
 */
#include "base/ckd.h"
#include "base/fs.h"
#include "base/le.h"
#include "format/fmt_torch.h"
#include "parse/pickle_ops.h"

#include <inttypes.h>
#include <string.h>

static const unsigned char magic[] = {0x80, 2,    0x8a, 10,   0x6c, 0xfc, 0x9c, 0x46,
                                      0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, '.'};

enum { VERSION = 1001 };

bool h5ck_torch_is_legacy(const unsigned char *head, size_t n)
{
    return n >= sizeof magic && memcmp(head, magic, sizeof magic) == 0;
}

typedef struct legacy {
    h5ckpt_state *state;
    h5ck_file *file;
    const unsigned char *data; /* the whole file, mapped */
    size_t len, at;            /* `at`: where the next part begins */
    h5ck_dict sizes;           /* key -> bytes an element */
    h5ck_dict storages;        /* key -> h5ck_torch_storage */
    h5ck_arena scratch;        /* of what the pickles say */
    h5ckpt_error **err;
} legacy;

/* The next pickle, which ends at its STOP. */
static int next_pickle(legacy *l, h5ck_arena *arena, h5ckpt_value *value)
{
    size_t end = 0, left = l->len - l->at;
    h5ck_pickle_item item = {0};
    while (item.code != '.') {
        int rc = h5ck_pickle_next(l->data + l->at, left, &end, &item, l->err);
        if (rc)
            return rc;
    }
    int rc = h5ck_torch_read_pickle(l->data + l->at, end, arena, value, l->err);
    l->at += end;
    return rc;
}

static int read_head(legacy *l, h5ck_arena *arena)
{
    h5ckpt_value version, system;
    l->at = sizeof magic;
    int rc = next_pickle(l, arena, &version);
    if (rc == 0 && (version.type != H5CKPT_INT || version.as.i != VERSION))
        rc = h5ck_fail_at(l->err, sizeof magic, "expected the protocol %d of PyTorch before 1.6, found another",
                          VERSION);
    if (rc == 0)
        rc = next_pickle(l, arena, &system);
    const h5ckpt_value *little = rc ? NULL : h5ckpt_value_get(&system, "little_endian");
    if (rc == 0 && (!little || little->type != H5CKPT_BOOL || !little->as.i))
        rc = h5ck_fail_at(l->err, sizeof magic, "expected storages of a little-endian machine, found others");
    return rc;
}

/* ---- Storages ---- */

/* Takes down how large the elements of each storage are. Depth is bounded as all values' is. */
static int survey(legacy *l, const h5ckpt_value *v)
{
    const h5ckpt_value *id = h5ck_torch_is(v, "", "persistent_id") ? h5ckpt_value_get(v, "id") : NULL;
    int rc = 0;
    if (id && id->type == H5CKPT_TUPLE && id->count >= 5 && id->as.items[1].type == H5CKPT_OBJECT &&
        id->as.items[2].type == H5CKPT_STR) {
        const h5ck_dtype *dtype = h5ck_dtype_from_torch(id->as.items[1].as.object->class_name);
        if (!h5ck_dict_set(&l->sizes, id->as.items[2].as.str, (void *)(uintptr_t)(dtype ? dtype->size : 1)))
            rc = h5ck_fail_nomem(l->err);
        return rc;
    }
    if (v->type == H5CKPT_LIST || v->type == H5CKPT_TUPLE)
        for (size_t i = 0; rc == 0 && i < v->count; i++)
            rc = survey(l, &v->as.items[i]);
    const bool dict = v->type == H5CKPT_DICT, object = v->type == H5CKPT_OBJECT;
    const h5ckpt_field *fields = dict ? v->as.fields : object ? v->as.object->fields : NULL;
    const size_t count = dict ? v->count : object ? v->as.object->count : 0;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = survey(l, &fields[i].value);
    return rc;
}

static int measure(legacy *l, const h5ckpt_value *key)
{
    uint64_t size, nbytes;
    const char *name = key->type == H5CKPT_STR && strlen(key->as.str) == key->count ? key->as.str : NULL;
    if (!name || !(size = (uintptr_t)h5ck_dict_get(&l->sizes, name)))
        return h5ck_fail_at(l->err, l->at, "expected the key of a storage that a tensor has, found another");
    if (l->len - l->at < 8)
        return h5ck_fail_at(l->err, l->at, "expected 8 bytes that count the elements of storage %s, found %zu", name,
                            l->len - l->at);
    uint64_t count = h5ck_le_get(l->data + l->at, 8);
    l->at += 8;
    if (h5ck_ckd_mul(count, size, &nbytes) || nbytes > l->len - l->at)
        return h5ck_fail_at(l->err, l->at,
                            "expected %" PRIu64 " elements of %" PRIu64 " bytes of storage %s, found %zu bytes", count,
                            size, name, l->len - l->at);
    h5ck_torch_storage *s = h5ck_arena_zalloc(&l->scratch, 1, sizeof *s);
    if (!s)
        return h5ck_fail_nomem(l->err);
    s->extent = (h5ck_extent){.kind = H5CK_EXTENT_FILE, .file = l->file, .offset = l->at};
    s->nbytes = nbytes;
    l->at += (size_t)nbytes;
    switch (h5ck_dict_add(&l->storages, name, s)) {
    case H5CK_DICT_ADDED:
        return 0;
    case H5CK_DICT_EXISTS:
        return h5ck_fail_at(l->err, l->at, "expected each storage once, found %s again", name);
    case H5CK_DICT_NOMEM:
        break;
    }
    return h5ck_fail_nomem(l->err);
}

static int find_storage(h5ck_torch_reader *r, const char *key, h5ck_torch_storage *storage, h5ckpt_error **err)
{
    legacy *l = r->user;
    const h5ck_torch_storage *s = h5ck_dict_get(&l->storages, key);
    if (!s)
        return h5ck_fail(err, H5CKPT_INVALID, "expected the elements of storage %s behind the pickles, found none",
                         key);
    *storage = *s;
    return 0;
}

static int read_all(legacy *l, h5ck_torch_reader *r)
{
    h5ckpt_value root, keys;
    int rc = read_head(l, &l->scratch);
    if (rc == 0)
        rc = next_pickle(l, &l->scratch, &root);
    if (rc == 0)
        rc = survey(l, &root);
    if (rc == 0)
        rc = next_pickle(l, &l->scratch, &keys);
    if (rc == 0 && keys.type != H5CKPT_LIST)
        rc = h5ck_fail_at(l->err, l->at, "expected the list of storages, found %s", h5ck_value_type_name(&keys));
    for (size_t i = 0; rc == 0 && i < keys.count; i++)
        rc = measure(l, &keys.as.items[i]);
    if (rc == 0 && l->at != l->len)
        rc = h5ck_fail_at(l->err, l->at, "expected the end of the file, found %zu more bytes", l->len - l->at);
    return rc ? rc : h5ck_torch_take_apart(r, &root, &l->scratch, l->err);
}

int h5ck_torch_read_legacy(h5ckpt_state *state, h5ck_file *file, h5ckpt_error **err)
{
    legacy l = {.state = state, .file = file, .len = (size_t)file->size, .err = err};
    h5ck_torch_reader r = {.state = state, .find = find_storage, .user = &l};
    int rc = h5ck_fs_map(file, &l.data, err);
    if (rc == 0)
        rc = read_all(&l, &r);
    h5ck_torch_reader_free(&r);
    h5ck_dict_free(&l.sizes);
    h5ck_dict_free(&l.storages);
    h5ck_arena_free(&l.scratch);
    return rc;
}
