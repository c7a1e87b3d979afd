/*
 * fmt_torch.c - PyTorch's checkpoints (.pt, .pth, .bin): what torch.save writes.
 *
 *     PREFIX/data.pkl           a pickle: dictionaries, lists, numbers, and calls that rebuild tensors
 *     PREFIX/data/KEY           the bytes of a storage
 *     PREFIX/byteorder          "little" or "big"; little where it is missing (before PyTorch 2.1)
 *     PREFIX/version            "3\n"
 *
 * as members of a zip archive, whose CRC-32 of a storage is its digest; before 1.6, and with
 * _use_new_zipfile_serialization=False, a run of pickles with the storages behind them (fmt_torch_legacy.c). What the
 * pickle may say is what torch.load(weights_only=True) takes (fmt_torch_names.c), and nothing of it is executed.
 *
 * Facts: torch/serialization.py, caffe2/serialize/inline_container.cc, torch/_utils.py; files of PyTorch 2.15.
 *
 * Refused: archives of TorchScript (torch.jit.save), which hold modules and their code, not a dictionary of tensors;
 * versions above 10, as torch does; two pickles; what the zip reader and the pickle reader refuse.
 */
#include "format/fmt_torch.h"
#include "base/ckd.h"
#include "base/fs.h"
#include "format/carrier.h"
#include "parse/inflate.h"
#include "parse/pickle.h"
#include "parse/value_json.h"
#include "parse/zip.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_TEXT = 64, FREE_BYTES = 64 << 20, MOST_TIMES = 64, LAST_VERSION = 10 };

/* ---- Probing ---- */

/* "PREFIX/data.pkl" */
static bool is_pickle(const char *name)
{
    const char *slash = strchr(name, '/');
    return slash && slash != name && strcmp(slash, "/data.pkl") == 0;
}

static bool probe(const h5ck_probe *p)
{
    h5ck_arena scratch = {NULL};
    h5ck_zip zip;
    bool found = false;
    if (p->is_dir)
        return false;
    if (h5ck_torch_is_legacy(p->head, p->head_len))
        return true;
    if (h5ck_zip_begins(p->head, p->head_len) && h5ck_zip_list(p->fd, p->size, &scratch, &zip, NULL) == 0)
        for (size_t i = 0; !found && i < zip.count; i++)
            found = is_pickle(zip.entries[i].name);
    h5ck_arena_free(&scratch);
    return found;
}

/* ---- The archive ---- */

typedef struct archive {
    h5ckpt_state *state;
    h5ck_file *file;
    int fd;
    h5ck_arena arena; /* of the directory, and of what is read */
    h5ck_zip zip;
    h5ck_dict members; /* name -> entry */
    bool unchecked;    /* no member has a CRC: torch.serialization.set_crc32_options(False) */
    const char *prefix;
} archive;

/* The member PREFIX/name, or NULL. */
static const h5ck_zip_entry *find_member(archive *a, const char *name, h5ckpt_error **err, int *rc)
{
    h5ck_buf b = H5CK_BUF_INIT;
    h5ck_buf_printf(&b, "%s/%s", a->prefix, name);
    const char *whole = h5ck_buf_cstr(&b);
    const h5ck_zip_entry *entry = whole ? h5ck_dict_get(&a->members, whole) : NULL;
    *rc = whole ? 0 : h5ck_fail_nomem(err);
    h5ck_buf_free(&b);
    return entry;
}

/* How long a pickle or a JSON text may become: those that are repetitive deflate to a fiftieth, but not to a thousandth. */
static uint64_t limit_of(const h5ck_zip_entry *entry)
{
    uint64_t most;
    if (!entry->deflated)
        return entry->usize;
    return h5ck_ckd_mul(entry->csize, MOST_TIMES, &most) || h5ck_ckd_add(most, FREE_BYTES, &most) ? UINT64_MAX : most;
}

/* All of a member, held against its CRC. */
static int read_member(archive *a, const h5ck_zip_entry *entry, uint64_t limit, unsigned char **data,
                       h5ckpt_error **err)
{
    const h5ck_inflate_range range = {a->file, entry->data, entry->csize, entry->usize};
    size_t n = (size_t)entry->usize, got = n;
    if (entry->usize > limit)
        return h5ck_fail_at(err, entry->header, "expected at most %" PRIu64 " bytes of the member %s, found %" PRIu64,
                            limit, entry->name, entry->usize);
    if (!(*data = h5ck_arena_alloc(&a->arena, n + 1)))
        return h5ck_fail_nomem(err);
    (*data)[n] = 0;
    int rc = entry->deflated ? h5ck_inflate_head(&range, *data, n, &got, err)
                             : h5ck_fs_pread(a->fd, *data, n, entry->data, err);
    if (rc == 0 && (got != n || (!a->unchecked && h5ck_zip_crc(0, *data, n) != entry->crc)))
        rc = h5ck_fail_at(err, entry->data,
                          "the member %s is damaged: expected the CRC-32 %08" PRIx32 ", found %08" PRIx32, entry->name,
                          entry->crc, h5ck_zip_crc(0, *data, got));
    return rc;
}

static int find_storage(h5ck_torch_reader *r, const char *key, h5ck_torch_storage *storage, h5ckpt_error **err)
{
    archive *a = r->user;
    char digest[H5CK_DIGEST_TEXT];
    h5ck_buf name = H5CK_BUF_INIT;
    int rc;
    h5ck_buf_printf(&name, "data/%s", key);
    const char *text = h5ck_buf_cstr(&name);
    const h5ck_zip_entry *entry = text ? find_member(a, text, err, &rc) : NULL;
    h5ck_buf_free(&name);
    if (!text || rc)
        return h5ck_fail_nomem(err);
    if (!entry)
        return h5ck_fail(err, H5CKPT_INVALID, "expected a member %s/data/%s with the elements, found none", a->prefix,
                         key);
    snprintf(digest, sizeof digest, "crc32:%08" PRIx32, entry->crc);
    storage->nbytes = entry->usize;
    storage->extent = (h5ck_extent){.kind = H5CK_EXTENT_FILE, .file = a->file, .offset = entry->data};
    if (!a->unchecked && !(storage->digest = h5ck_arena_strdup(&r->state->arena, digest)))
        return h5ck_fail_nomem(err);
    if (!entry->deflated)
        return 0;
    const h5ck_inflate_range range = {a->file, entry->data, entry->csize, entry->usize};
    storage->extent.kind = H5CK_EXTENT_DECODER;
    return h5ck_inflate_new(r->state, &range, 0, &storage->extent.decoder, err);
}

/* Finds the pickle, and with it the prefix; fills the table of members. */
static int open_archive(archive *a, const h5ck_zip_entry **pickle, h5ckpt_error **err)
{
    int rc = h5ck_zip_list(a->fd, a->file->size, &a->arena, &a->zip, err);
    if (rc == 0)
        rc = h5ck_zip_locate(a->fd, &a->zip, err);
    *pickle = NULL;
    a->unchecked = true;
    for (size_t i = 0; rc == 0 && i < a->zip.count; i++) {
        h5ck_zip_entry *entry = &a->zip.entries[i];
        a->unchecked = a->unchecked && entry->crc == 0;
        if (h5ck_dict_add(&a->members, entry->name, entry) == H5CK_DICT_NOMEM)
            rc = h5ck_fail_nomem(err);
        else if (is_pickle(entry->name) && *pickle)
            rc = h5ck_fail_at(err, entry->header, "expected one data.pkl, found %s and %s", (*pickle)->name,
                              entry->name);
        else if (is_pickle(entry->name))
            *pickle = entry;
    }
    if (rc == 0 && !*pickle)
        rc = h5ck_fail(err, H5CKPT_INVALID, "expected a member PREFIX/data.pkl, found none");
    if (rc)
        return rc;
    a->prefix = h5ck_arena_strndup(&a->arena, (*pickle)->name, strlen((*pickle)->name) - strlen("/data.pkl"));
    return a->prefix ? 0 : h5ck_fail_nomem(err);
}

/* A short text; "" where there is no such member. */
static int read_text(archive *a, const char *name, const char **text, h5ckpt_error **err)
{
    unsigned char *data = NULL;
    int rc;
    const h5ck_zip_entry *entry = find_member(a, name, err, &rc);
    *text = "";
    if (rc == 0 && entry)
        rc = read_member(a, entry, MOST_TEXT, &data, err);
    if (data)
        *text = (const char *)data;
    return rc;
}

static int check_kind(archive *a, h5ck_torch_reader *r, h5ckpt_error **err)
{
    const char *version, *order;
    int rc;
    if (find_member(a, "constants.pkl", err, &rc))
        return h5ck_fail(
            err, H5CKPT_INVALID,
            "expected a checkpoint of torch.save, found a TorchScript archive (%s/constants.pkl); save the "
            "module's state_dict() instead",
            a->prefix);
    if (rc == 0)
        rc = read_text(a, "version", &version, err);
    if (rc == 0)
        rc = read_text(a, "byteorder", &order, err);
    if (rc)
        return rc;
    char *end;
    unsigned long n = strtoul(version, &end, 10);
    if (end == version || n < 1 || n > LAST_VERSION || (*end && strcmp(end, "\n") != 0))
        return h5ck_fail(err, H5CKPT_INVALID, "expected a version from 1 to %d in %s/version, found '%s'", LAST_VERSION,
                         a->prefix, *version ? version : "no such member");
    r->big_endian = strcmp(order, "big") == 0;
    if (*order && !r->big_endian && strcmp(order, "little") != 0)
        return h5ck_fail(err, H5CKPT_INVALID, "expected 'little' or 'big' in %s/byteorder, found '%s'", a->prefix,
                         order);
    return 0;
}

/* Decays of other frameworks, as they were. */
static int read_decays(archive *a, h5ck_torch_reader *r, const h5ckpt_value *text, h5ckpt_error **err)
{
    h5ckpt_value *decays = h5ck_arena_zalloc(&a->arena, 1, sizeof *decays);
    if (!decays)
        return h5ck_fail_nomem(err);
    r->originals = decays;
    return h5ck_value_from_json(text->as.str, text->count, &a->arena, decays, err);
}

/* What h5ckpt kept there (fmt_torch_write.c). */
static int read_metadata(archive *a, h5ck_torch_reader *r, h5ckpt_error **err)
{
    unsigned char *data;
    h5ckpt_value v;
    int rc;
    const h5ck_zip_entry *entry = find_member(a, H5CK_TORCH_METADATA, err, &rc);
    if (rc || !entry)
        return rc;
    rc = read_member(a, entry, limit_of(entry), &data, err);
    if (rc == 0)
        rc = h5ck_value_from_json((const char *)data, (size_t)entry->usize, &a->arena, &v, err);
    if (rc == 0 && v.type != H5CKPT_DICT)
        rc = h5ck_fail(err, H5CKPT_INVALID, "expected a JSON object of strings in %s, found %s", entry->name,
                       h5ck_value_type_name(&v));
    for (size_t i = 0; rc == 0 && i < v.count; i++) {
        const h5ckpt_field *f = &v.as.fields[i];
        if (f->key.type != H5CKPT_STR || f->value.type != H5CKPT_STR || strlen(f->value.as.str) != f->value.count)
            rc = h5ck_fail(err, H5CKPT_INVALID, "expected a JSON object of strings in %s, found other values",
                           entry->name);
        else if (strcmp(f->key.as.str, H5CK_CARRIER_DECAYS) == 0)
            rc = read_decays(a, r, &f->value, err);
        else
            rc = h5ck_state_set_metadata(a->state, f->key.as.str, f->value.as.str, err);
    }
    return rc;
}

/* ---- The pickle ---- */

/* Tensors that are refused get through here: they are refused with a word of their own when they are met. */
static bool allows(void *user, const char *module, const char *name)
{
    (void)user;
    return h5ck_torch_allows(module, name, NULL) == 0 || h5ck_torch_knows(module, name);
}

int h5ck_torch_read_pickle(const unsigned char *data, size_t len, h5ck_arena *arena, h5ckpt_value *value,
                           h5ckpt_error **err)
{
    static const h5ck_pickle_policy policy = {.allows = allows, .persistent = true, .large = true};
    int rc = h5ck_pickle_read(data, len, &policy, arena, value, err);
    return rc ? rc : h5ck_torch_modernize(value, arena, err);
}

static int read_pickle(archive *a, const h5ck_zip_entry *entry, h5ckpt_value *root, h5ckpt_error **err)
{
    unsigned char *data;
    int rc = read_member(a, entry, limit_of(entry), &data, err);
    if (rc == 0)
        rc = h5ck_torch_read_pickle(data, (size_t)entry->usize, &a->arena, root, err);
    if (rc && err && *err && (*err)->offset != H5CKPT_NO_OFFSET)
        h5ck_err_part(err, rc, entry->name);
    return rc;
}

static int read_archive(archive *a, h5ckpt_error **err)
{
    h5ck_torch_reader r = {.state = a->state, .find = find_storage, .user = a};
    const h5ck_zip_entry *pickle;
    h5ckpt_value root;
    int rc = open_archive(a, &pickle, err);
    if (rc == 0)
        rc = check_kind(a, &r, err);
    if (rc == 0)
        rc = read_metadata(a, &r, err);
    if (rc == 0)
        rc = read_pickle(a, pickle, &root, err);
    if (rc == 0)
        rc = h5ck_torch_take_apart(&r, &root, &a->arena, err);
    h5ck_torch_reader_free(&r);
    return rc;
}

static int read_file(const char *path, h5ckpt_state *state, const h5ck_log *log, h5ckpt_error **err)
{
    archive a = {.state = state};
    unsigned char head[32];
    (void)log;
    if (!(a.file = h5ck_state_new_file(state, path, NULL)))
        return h5ck_fail_nomem(err);
    int rc = h5ck_fs_open_source(path, NULL, a.file, &a.fd, err);
    if (rc)
        return rc;
    size_t n = a.file->size < sizeof head ? (size_t)a.file->size : sizeof head;
    rc = h5ck_fs_pread(a.fd, head, n, 0, err);
    if (rc == 0)
        rc = h5ck_torch_is_legacy(head, n) ? h5ck_torch_read_legacy(state, a.file, err) : read_archive(&a, err);
    close(a.fd);
    h5ck_dict_free(&a.members);
    h5ck_arena_free(&a.arena);
    return rc ? h5ck_file_where(err, rc, a.file) : 0;
}

/* ---- Explaining ---- */

static int explain(const h5ckpt_state *state, const h5ckpt_tensor *tensor, const h5ckpt_decay *decay, h5ck_buf *out,
                   h5ckpt_error **err)
{
    const h5ck_file *file = state->files;
    (void)err;
    h5ck_buf_printf(out, "file %s, %" PRIu64 " bytes: a checkpoint of PyTorch\n", file->root, file->size);
    if (decay)
        h5ck_buf_str(out, "a scheduler's state_dict in the pickle, read without executing it\n");
    if (!tensor)
        return 0;
    h5ck_buf_printf(out, "storage %s: ", tensor->origin ? (const char *)tensor->origin : "?");
    if (tensor->extent.kind == H5CK_EXTENT_FILE)
        h5ck_buf_printf(out, "elements at offset %" PRIu64 " of the file, %" PRIu64 " bytes of %s\n",
                        tensor->extent.offset, tensor->info.nbytes, h5ckpt_dtype_name(tensor->info.dtype));
    else
        h5ck_buf_printf(out, "%s, %" PRIu64 " bytes of %s\n", tensor->extent.decoder->what, tensor->info.nbytes,
                        h5ckpt_dtype_name(tensor->info.dtype));
    if (tensor->digest)
        h5ck_buf_printf(out, "digest of the whole storage, from the archive: %s\n", tensor->digest);
    return 0;
}

static const char *const suffixes[] = {".pt", ".pth", ".bin", ".ckpt", NULL};

const h5ck_format h5ck_fmt_torch = {
    .info = {.name = "torch",
             .suffix = ".pt",
             .doc = "PyTorch checkpoint: model, optimizer and scheduler state, as torch.save writes it",
             .reads = 1,
             .writes = 1,
             .holds_decays = 1,
             .holds_optimizer_state = 1,
             .holds_metadata = 1},
    .suffixes = suffixes,
    .probe = probe,
    .read = read_file,
    .plan = h5ck_torch_plan,
    .explain = explain,
};
