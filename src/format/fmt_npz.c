/*
 * fmt_npz.c - NumPy's .npz: a zip archive of .npy files, as np.savez and np.savez_compressed write it.
 *
 *     NAME.npy     one array each, stored or deflated (src/parse/zip.c); its header is src/parse/npy.c
 *
 * Sources: numpy.lib.format and numpy.lib.npyio, files of NumPy 1.21 and 2.4.
 *
 * A member's CRC is that of header and elements. Zip's CRC-32 can be taken apart, so each tensor gets the CRC of its
 * elements as its digest: whatever moves or verifies it finds a bit that flipped, and nothing is read twice.
 * The archive is read by its directory and the members' headers; a deflated member only as far as its header goes.
 *
 * Members that are no .npy file are left out, with a note (np.load hands them out as bytes). An archive with a member
 * NAME/data.pkl is PyTorch's, whatever else is in it.
 *
 * Written: members stored and aligned, so that they can be mapped; else what np.savez writes, times (1980-01-01)
 * included. The optimizer state stands beside the parameters, which is all that a flat list of arrays can do; two of
 * one name are refused. Decays, metadata and LoD have no place. Refused are also names that would unpack to outside of
 * a folder (zip_plan.c says why), though np.savez takes them.
 */
#include "base/fs.h"
#include "format/format.h"
#include "format/npy_tensor.h"
#include "format/zip_plan.h"
#include "parse/inflate.h"
#include "parse/zip.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char suffix[] = ".npy";
static const char torch_mark[] = "/data.pkl";

static bool ends_in(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return n >= m && strcmp(name + n - m, end) == 0;
}

static bool probe(const h5ck_probe *p)
{
    h5ck_arena arena = {NULL};
    h5ck_zip zip;
    bool arrays = false, torch = false;
    if (p->is_dir || !h5ck_zip_begins(p->head, p->head_len) || h5ck_zip_list(p->fd, p->size, &arena, &zip, NULL)) {
        h5ck_arena_free(&arena);
        return false;
    }
    for (size_t i = 0; i < zip.count; i++) {
        arrays = arrays || ends_in(zip.entries[i].name, suffix);
        torch = torch || ends_in(zip.entries[i].name, torch_mark);
    }
    bool empty = zip.count == 0; /* np.savez of nothing */
    h5ck_arena_free(&arena);
    return (arrays || empty) && !torch;
}

/* ---- Reading ---- */

typedef struct reader {
    h5ckpt_state *state;
    h5ck_file *file;
    int fd;
    unsigned char *head; /* of the member at hand */
    size_t room;
} reader;

/* The member's first n bytes, or all where it has fewer; *got. */
static int read_start(reader *r, const h5ck_zip_entry *e, size_t n, size_t *got, h5ckpt_error **err)
{
    if (n > r->room) {
        unsigned char *more = realloc(r->head, n);
        if (!more)
            return h5ck_fail_nomem(err);
        r->head = more;
        r->room = n;
    }
    if (e->deflated) {
        const h5ck_inflate_range range = {r->file, e->data, e->csize, e->usize};
        return h5ck_inflate_head(&range, r->head, n, got, err);
    }
    *got = e->usize < n ? (size_t)e->usize : n;
    return h5ck_fs_pread(r->fd, r->head, *got, e->data, err);
}

static int read_header(reader *r, const h5ck_zip_entry *e, h5ck_npy *npy, h5ckpt_error **err)
{
    enum { MOSTLY = 128 };                     /* the usual header's length: one read */
    uint64_t base = e->deflated ? 0 : e->data; /* for messages: in the file, or in what the member becomes */
    size_t got, length;
    int rc = read_start(r, e, MOSTLY, &got, err);
    if (rc == 0)
        rc = h5ck_npy_length(r->head, got, base, &length, err);
    if (rc == 0 && length > e->usize)
        rc = h5ck_fail_at(err, base + 8, "expected a .npy header inside of its %" PRIu64 " bytes, found one of %zu",
                          e->usize, length);
    if (rc == 0 && length > got)
        rc = read_start(r, e, length, &got, err);
    if (rc == 0)
        rc = h5ck_npy_read(r->head, length, base, npy, err);
    return rc;
}

/* The CRC of the elements as a digest's text; where there are none, it is checked right here. */
static int make_digest(const reader *r, const h5ck_zip_entry *e, const h5ck_npy *npy, uint64_t nbytes,
                       char digest[H5CK_DIGEST_TEXT], h5ckpt_error **err)
{
    uint32_t head = h5ck_zip_crc(0, r->head, npy->length), rest = h5ck_zip_crc_rest(e->crc, head, nbytes);
    if (nbytes == 0 && rest != 0)
        return h5ck_fail_at(err, e->data, "expected a member of the CRC %08" PRIx32 ", found %08" PRIx32, e->crc, head);
    snprintf(digest, H5CK_DIGEST_TEXT, "crc32:%08" PRIx32, rest);
    return 0;
}

static int add_member(reader *r, const h5ck_zip_entry *e, h5ckpt_error **err)
{
    char digest[H5CK_DIGEST_TEXT];
    const h5ck_inflate_range range = {r->file, e->data, e->csize, e->usize};
    h5ck_extent extent = {.kind = H5CK_EXTENT_FILE, .file = r->file};
    h5ck_npy npy;
    uint64_t nbytes;
    char *name = h5ck_arena_strndup(&r->state->arena, e->name, strlen(e->name) - strlen(suffix));
    int rc = name ? read_header(r, e, &npy, err) : h5ck_fail_nomem(err);
    if (rc == 0)
        rc = h5ck_npy_nbytes(&npy, &nbytes, err);
    if (rc == 0 && nbytes != e->usize - npy.length)
        rc = h5ck_fail_at(err, e->data, "expected %" PRIu64 " bytes of elements in the member, found %" PRIu64, nbytes,
                          e->usize - npy.length);
    if (rc == 0)
        rc = make_digest(r, e, &npy, nbytes, digest, err);
    if (rc)
        return rc;
    extent.offset = e->data + npy.length;
    if (e->deflated && nbytes) {
        extent.kind = H5CK_EXTENT_DECODER;
        rc = h5ck_inflate_new(r->state, &range, npy.length, &extent.decoder, err);
    } else if (e->deflated) {
        extent.offset = e->data;
    }
    return rc ? rc : h5ck_npy_add_tensor(r->state, name, &npy, &extent, digest, e, err);
}

static int read_members(reader *r, const char *path, const h5ck_log *log, h5ckpt_error **err)
{
    h5ck_zip zip;
    int rc = h5ck_zip_list(r->fd, r->file->size, &r->state->arena, &zip, err);
    if (rc == 0)
        rc = h5ck_zip_locate(r->fd, &zip, err);
    if (rc == 0)
        rc = h5ck_fs_keep(r->file, r->fd, err);
    for (size_t i = 0; rc == 0 && i < zip.count; i++) {
        const h5ck_zip_entry *e = &zip.entries[i];
        if (ends_in(e->name, suffix))
            rc = h5ck_err_where(err, add_member(r, e, err), NULL, e->name);
        else
            h5ck_log_note(log, "%s: member '%s' left out: no .npy file", path, e->name);
    }
    return rc;
}

static int read_npz(const char *path, h5ckpt_state *state, const h5ck_log *log, h5ckpt_error **err)
{
    reader r = {.state = state, .file = h5ck_state_new_file(state, path, NULL)};
    if (!r.file)
        return h5ck_fail_nomem(err);
    int rc = h5ck_fs_open_source(path, NULL, r.file, &r.fd, err);
    if (rc)
        return rc;
    rc = read_members(&r, path, log, err);
    close(r.fd);
    free(r.head);
    return rc ? h5ck_file_where(err, rc, r.file) : 0;
}

/* ---- Writing ---- */

static int plan_tensors(h5ck_zip_plan *zip, const h5ckpt_tensors *tensors, h5ckpt_error **err)
{
    h5ck_buf head = H5CK_BUF_INIT, name = H5CK_BUF_INIT;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < tensors->dict.count; i++) {
        const h5ckpt_tensor *t = tensors->dict.entries[i].value;
        head.len = name.len = 0;
        h5ck_buf_printf(&name, "%s%s", t->info.name, suffix);
        h5ck_npy_write(&t->info, &head);
        const char *member = h5ck_buf_cstr(&name);
        rc =
            member && !head.failed ? h5ck_zip_plan_add(zip, member, head.data, head.len, t, err) : h5ck_fail_nomem(err);
        h5ck_err_where(err, rc, NULL, t->info.name);
    }
    h5ck_buf_free(&head);
    h5ck_buf_free(&name);
    return rc;
}

static int plan_npz(const h5ckpt_state *state, h5ck_plan *plan, h5ckpt_error **err)
{
    h5ck_zip_plan *zip;
    int rc = h5ck_zip_plan_begin(plan, &zip, err);
    if (rc == 0)
        rc = plan_tensors(zip, &state->parameters, err);
    if (rc == 0)
        rc = plan_tensors(zip, &state->optimizer_state, err);
    if (rc == 0)
        rc = h5ck_zip_plan_end(zip, err);
    if (rc)
        return rc;
    if (state->optimizer_state.dict.count)
        h5ck_log_note(&plan->log, "%s: %zu tensors of the optimizer state stand beside the parameters", plan->target,
                      state->optimizer_state.dict.count);
    h5ck_npy_note_lost(state, "an .npz file", plan->target, &plan->log);
    return 0;
}

/* ---- Explaining ---- */

static int explain(const h5ckpt_state *state, const h5ckpt_tensor *tensor, const h5ckpt_decay *decay, h5ck_buf *out,
                   h5ckpt_error **err)
{
    const h5ck_zip_entry *e = tensor ? tensor->origin : NULL;
    reader r = {.file = tensor ? tensor->extent.file : NULL};
    h5ck_arena scratch = {NULL};
    h5ck_npy npy;
    (void)state, (void)decay;
    if (!e)
        return 0;
    int rc = h5ck_fs_reopen(r.file, &r.fd, err);
    if (rc)
        return rc;
    h5ck_buf_printf(out, "file %s, %" PRIu64 " bytes: a zip archive of .npy files\n", h5ck_file_path(r.file, &scratch),
                    r.file->size);
    h5ck_buf_printf(out, "%10" PRIu64 "  member '", e->header);
    h5ck_buf_printable(out, e->name);
    h5ck_buf_printf(out, "', CRC-32 %08" PRIx32 "\n%10" PRIu64 "  its %" PRIu64 " bytes, %s", e->crc, e->data, e->usize,
                    e->deflated ? "deflated to " : "stored\n");
    if (e->deflated)
        h5ck_buf_printf(out, "%" PRIu64 "; in them:\n", e->csize);
    rc = read_header(&r, e, &npy, err);
    if (rc == 0) {
        uint64_t at = e->deflated ? 0 : e->data;
        h5ck_npy_explain(&npy, at, out);
        h5ck_buf_printf(out, "%10" PRIu64 "  data: %" PRIu64 " bytes\n", at + npy.length, tensor->info.nbytes);
    }
    close(r.fd);
    free(r.head);
    h5ck_arena_free(&scratch);
    return rc;
}

static const char *const suffixes[] = {".npz", NULL};

const h5ck_format h5ck_fmt_npz = {
    .info = {.name = "npz",
             .suffix = ".npz",
             .doc = "NumPy's archive of arrays: np.savez, np.savez_compressed",
             .reads = 1,
             .writes = 1,
             .holds_decays = 0,
             .holds_optimizer_state = 0,
             .holds_metadata = 0},
    .suffixes = suffixes,
    .probe = probe,
    .read = read_npz,
    .plan = plan_npz,
    .explain = explain,
};
