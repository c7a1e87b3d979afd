/*
 * fmt_npy.c - NumPy's .npy: one array, as np.save writes it. src/parse/npy.c has the header; the elements follow it to
 * the end of the file.
 *
 * The tensor has no name in there: it gets the file's, without the suffix. Refused: bytes behind the elements (np.save
 * called twice on one file makes such), and in writing a state that is not one tensor. An .npy file has no place for a
 * digest, a decay, metadata or LoD.
 */
#include "base/fs.h"
#include "base/text.h"
#include "format/format.h"
#include "format/npy_tensor.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static bool probe(const h5ck_probe *p)
{
    return !p->is_dir && h5ck_npy_begins(p->head, p->head_len);
}

/* ---- Reading ---- */

/* The file's name without folder and suffix. */
static const char *stem(const char *path, h5ck_arena *arena)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t n = strlen(name);
    if (n > 4 && strcasecmp(name + n - 4, ".npy") == 0)
        n -= 4;
    return h5ck_arena_strndup(arena, name, n);
}

static int read_header(int fd, uint64_t size, h5ck_npy *npy, h5ckpt_error **err)
{
    unsigned char first[H5CK_NPY_FIRST], *header = NULL;
    size_t n = size < sizeof first ? (size_t)size : sizeof first, length;
    int rc = h5ck_fs_pread(fd, first, n, 0, err);
    if (rc == 0)
        rc = h5ck_npy_length(first, n, 0, &length, err);
    if (rc)
        return rc;
    if (length > size)
        return h5ck_fail_at(err, 8, "expected a .npy header inside of the file's %" PRIu64 " bytes, found one of %zu",
                            size, length);
    if (!(header = malloc(length)))
        return h5ck_fail_nomem(err);
    rc = h5ck_fs_pread(fd, header, length, 0, err);
    if (rc == 0)
        rc = h5ck_npy_read(header, length, 0, npy, err);
    free(header);
    return rc;
}

static int read_array(h5ckpt_state *state, h5ck_file *f, int fd, h5ckpt_error **err)
{
    h5ck_npy npy;
    uint64_t nbytes;
    const char *name = stem(f->root, &state->arena);
    int rc = name ? read_header(fd, f->size, &npy, err) : h5ck_fail_nomem(err);
    if (rc == 0)
        rc = h5ck_npy_nbytes(&npy, &nbytes, err);
    if (rc)
        return rc;
    if (nbytes > f->size - npy.length)
        return h5ck_fail_at(err, npy.length, "expected %" PRIu64 " bytes of elements, found %" PRIu64, nbytes,
                            f->size - npy.length);
    if (nbytes < f->size - npy.length)
        return h5ck_fail_at(err, npy.length + nbytes, "expected the end of the file, found %" PRIu64 " more bytes",
                            f->size - npy.length - nbytes);
    const h5ck_extent extent = {.kind = H5CK_EXTENT_FILE, .file = f, .offset = npy.length};
    return h5ck_npy_add_tensor(state, name, &npy, &extent, NULL, NULL, err);
}

static int read_npy(const char *path, h5ckpt_state *state, const h5ck_log *log, h5ckpt_error **err)
{
    h5ck_file *f = h5ck_state_new_file(state, path, NULL);
    int fd, rc;
    (void)log;
    if (!f)
        return h5ck_fail_nomem(err);
    if ((rc = h5ck_fs_open_source(path, NULL, f, &fd, err)))
        return rc;
    rc = read_array(state, f, fd, err);
    if (rc == 0)
        rc = h5ck_fs_keep(f, fd, err);
    close(fd);
    return rc ? h5ck_file_where(err, rc, f) : 0;
}

/* ---- Writing ---- */

static int plan_npy(const h5ckpt_state *state, h5ck_plan *plan, h5ckpt_error **err)
{
    size_t count = state->parameters.dict.count + state->optimizer_state.dict.count, index;
    const h5ckpt_tensors *from = state->parameters.dict.count ? &state->parameters : &state->optimizer_state;
    h5ck_buf head = H5CK_BUF_INIT;
    if (count != 1)
        return h5ck_fail(err, H5CKPT_INVALID,
                         "expected one tensor for an .npy file, found %zu (an .npz file holds several; --include "
                         "chooses)",
                         count);
    const h5ckpt_tensor *t = from->dict.entries[0].value;
    plan->digest = H5CKPT_DIGEST_NONE;
    h5ck_npy_write(&t->info, &head);
    h5ck_plan_file file = {.head_len = head.len, .size = head.len + t->info.nbytes};
    file.head = head.failed ? NULL : h5ck_arena_memdup(&plan->arena, head.data, head.len);
    h5ck_buf_free(&head);
    int rc = file.head ? h5ck_plan_add_file(plan, &file, &index, err) : h5ck_fail_nomem(err);
    if (rc == 0 && t->info.nbytes)
        rc = h5ck_plan_add_move(plan, t, index, file.head_len, err);
    const char *name = stem(plan->target, &plan->arena);
    if (rc == 0 && (!name || strcmp(name, t->info.name) != 0))
        h5ck_log_note(&plan->log, "%s: an .npy file holds no name: '%s' left out", plan->target, t->info.name);
    if (rc == 0)
        h5ck_npy_note_lost(state, "an .npy file", plan->target, &plan->log);
    return rc;
}

/* ---- Explaining ---- */

static int explain(const h5ckpt_state *state, const h5ckpt_tensor *tensor, const h5ckpt_decay *decay, h5ck_buf *out,
                   h5ckpt_error **err)
{
    h5ck_arena scratch = {NULL};
    h5ck_npy npy;
    int fd, rc;
    (void)state, (void)decay;
    if (!tensor)
        return 0;
    h5ck_file *f = tensor->extent.file;
    if ((rc = h5ck_fs_reopen(f, &fd, err)))
        return rc;
    h5ck_buf_printf(out, "file %s, %" PRIu64 " bytes: an .npy file\n", h5ck_file_path(f, &scratch), f->size);
    rc = read_header(fd, f->size, &npy, err);
    if (rc == 0) {
        h5ck_npy_explain(&npy, 0, out);
        h5ck_buf_printf(out, "%10zu  data: %" PRIu64 " bytes, to the end of the file\n", npy.length,
                        tensor->info.nbytes);
    }
    close(fd);
    h5ck_arena_free(&scratch);
    return rc;
}

static const char *const suffixes[] = {".npy", NULL};

const h5ck_format h5ck_fmt_npy = {
    .info = {.name = "npy",
             .suffix = ".npy",
             .doc = "NumPy's file of one array: np.save",
             .reads = 1,
             .writes = 1,
             .holds_decays = 0,
             .holds_optimizer_state = 0,
             .holds_metadata = 0},
    .suffixes = suffixes,
    .probe = probe,
    .read = read_npy,
    .plan = plan_npy,
    .explain = explain,
};
