/*
 * fmt_safetensors.c - safetensors, one file or many with an index.
 *
 *     X.safetensors              a header in JSON, then the elements of all tensors (parse/safetensors.h)
 *     X.safetensors.index.json   which tensor is in which of the files beside it (fmt_safetensors_index.c)
 *
 * The format holds parameters and strings. All else of a state is carried in it (carrier.h). The dictionary's order is the
 * header's; where the elements lie is another matter (fmt_safetensors_write.c).
 *
 * Nothing of a header is believed: its length is held against the file, it is read into memory of its own (at most 100
 * MB), and parse/safetensors.c says what is refused.
 */
#include "format/fmt_safetensors.h"

#include "base/fs.h"
#include "base/le.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- Probing ---- */

/* A header's length that can be one, and its '{'. That the file is long enough is for the reader to say: half a
 * download is a damaged safetensors file, and not "none of them". */
static bool is_file(const h5ck_probe *p)
{
    if (p->is_dir || p->head_len <= H5CK_SAFETENSORS_LENGTH)
        return false;
    uint64_t n = h5ck_le_get(p->head, H5CK_SAFETENSORS_LENGTH);
    return n >= 2 && n <= H5CK_SAFETENSORS_MOST && p->head[H5CK_SAFETENSORS_LENGTH] == '{';
}

static bool probe(const h5ck_probe *p)
{
    return is_file(p) || h5ck_fmt_safetensors_is_index(p);
}

/* ---- Reading ---- */

int h5ck_fmt_safetensors_load(h5ck_file *file, int fd, h5ck_safetensors_header *h, h5ckpt_error **err)
{
    unsigned char head[H5CK_SAFETENSORS_LENGTH] = {0};
    *h = (h5ck_safetensors_header){.file = file};
    size_t have = file->size < sizeof head ? (size_t)file->size : sizeof head;
    int rc = h5ck_fs_pread(fd, head, have, 0, err);
    if (rc == 0)
        rc = h5ck_safetensors_length(head, file->size, &h->length, err);
    if (rc)
        return rc;
    h->data = H5CK_SAFETENSORS_LENGTH + h->length;
    if (!(h->text = malloc(h->length ? h->length : 1)))
        return h5ck_fail_nomem(err);
    return h5ck_fs_pread(fd, h->text, h->length, H5CK_SAFETENSORS_LENGTH, err);
}

void h5ck_fmt_safetensors_unload(h5ck_safetensors_header *h)
{
    free(h->text);
    h->text = NULL;
}

int h5ck_fmt_safetensors_string(h5ck_carrier *c, const char *key, size_t key_len, const char *text, size_t text_len,
                                h5ckpt_error **err)
{
    if (key_len && !memchr(key, 0, key_len) && !memchr(text, 0, text_len))
        return h5ck_carrier_add_string(c, key, text, err);
    h5ck_log_note(c->log, "metadata '%s': left out: %s", key,
                  key_len ? "there are zero bytes in it" : "expected a key, found an empty one");
    return 0;
}

typedef struct visit {
    const h5ck_safetensors_header *header;
    h5ck_carrier *carrier;
    h5ck_safetensors_expected *expected;
    void *user;
} visit;

static int visit_string(void *user, const char *key, size_t key_len, const char *text, size_t text_len,
                        h5ckpt_error **err)
{
    const visit *v = user;
    return h5ck_fmt_safetensors_string(v->carrier, key, key_len, text, text_len, err);
}

static int visit_tensor(void *user, const h5ck_safetensors_entry *e, h5ckpt_error **err)
{
    const visit *v = user;
    const h5ckpt_tensor_info info = {.name = e->name, .dtype = e->dtype->id, .rank = e->rank, .shape = e->shape};
    const h5ck_extent extent = {
        .kind = H5CK_EXTENT_FILE, .file = v->header->file, .offset = v->header->data + e->begin};
    int rc = v->expected ? v->expected(v->user, e->name, err) : 0;
    if (rc == 0 &&
        e->end > v->header->file->size - v->header->data) /* also of a tensor that the offsets put far away */
        rc = h5ck_fail_at(err, H5CK_SAFETENSORS_LENGTH + e->text,
                          "expected elements in the file's %" PRIu64
                          " bytes behind the header, found offsets to %" PRIu64,
                          v->header->file->size - v->header->data, e->end);
    return rc ? rc : h5ck_carrier_add_tensor(v->carrier, &info, &extent, err);
}

static int walk(const h5ck_safetensors_header *h, const h5ck_safetensors_visitor *v, h5ckpt_error **err)
{
    int rc = h5ck_safetensors_walk(h->text, h->length, h->file->size - h->data, v, err);
    return rc ? h5ck_file_where(err, rc, h->file) : 0;
}

int h5ck_fmt_safetensors_strings(const h5ck_safetensors_header *h, h5ck_carrier *c, h5ckpt_error **err)
{
    visit user = {.header = h, .carrier = c};
    return walk(h, &(h5ck_safetensors_visitor){.user = &user, .string = visit_string}, err);
}

int h5ck_fmt_safetensors_tensors(const h5ck_safetensors_header *h, h5ck_carrier *c, h5ck_safetensors_expected *expected,
                                 void *more, h5ckpt_error **err)
{
    visit user = {h, c, expected, more};
    return walk(h, &(h5ck_safetensors_visitor){.user = &user, .tensor = visit_tensor}, err);
}

static int read_one(h5ck_file *f, int fd, h5ckpt_state *state, const h5ck_log *log, h5ckpt_error **err)
{
    h5ck_safetensors_header h;
    h5ck_carrier c;
    h5ck_carrier_begin(&c, state, f, log);
    int rc = h5ck_fmt_safetensors_load(f, fd, &h, err);
    if (rc == 0)
        rc = h5ck_fmt_safetensors_strings(&h, &c, err);
    if (rc == 0)
        rc = h5ck_fmt_safetensors_tensors(&h, &c, NULL, NULL, err);
    h5ck_fmt_safetensors_unload(&h);
    return h5ck_carrier_end(&c, rc);
}

/* Which of the two it is: --from may have brought us here, so the content says it once more. */
static int read_any(const char *path, h5ckpt_state *state, const h5ck_log *log, h5ckpt_error **err)
{
    unsigned char head[4096];
    h5ck_probe p = {.path = path, .fd = -1, .head = head};
    h5ck_file *f = h5ck_state_new_file(state, path, NULL);
    if (!f)
        return h5ck_fail_nomem(err);
    int rc = h5ck_fs_open_source(f->root, NULL, f, &p.fd, err);
    if (rc)
        return rc;
    p.size = f->size;
    p.head_len = f->size < sizeof head ? (size_t)f->size : sizeof head;
    rc = h5ck_fs_pread(p.fd, head, p.head_len, 0, err);
    if (rc == 0)
        rc = h5ck_fmt_safetensors_is_index(&p) ? h5ck_fmt_safetensors_read_index(f, p.fd, state, log, err)
                                               : read_one(f, p.fd, state, log, err);
    close(p.fd);
    return rc ? h5ck_file_where(err, rc, f) : 0;
}

/* ---- Explaining ---- */

typedef struct search {
    const char *name; /* it may stand in the list under another one */
    uint64_t begin, nbytes;
    bool found;
    size_t text, text_len; /* of what was found */
} search;

static int look_at(void *user, const h5ck_safetensors_entry *e, h5ckpt_error **err)
{
    search *s = user;
    (void)err;
    bool there = e->begin == s->begin && e->end - e->begin == s->nbytes; /* so may others be that have no elements */
    if (there && (!s->found || strcmp(e->name, s->name) == 0)) {
        s->found = true;
        s->text = e->text;
        s->text_len = e->text_len;
    }
    return 0;
}

static int explain_tensor(const h5ckpt_tensor *tensor, h5ck_buf *out, h5ckpt_error **err)
{
    const h5ck_extent *e = &tensor->extent;
    h5ck_arena scratch = {NULL};
    h5ck_safetensors_header h;
    int fd, rc = h5ck_fs_reopen(e->file, &fd, err);
    if (rc)
        return rc;
    rc = h5ck_fmt_safetensors_load(e->file, fd, &h, err);
    search s = {.name = tensor->info.name, .begin = e->offset - h.data, .nbytes = tensor->info.nbytes};
    if (rc == 0)
        rc = walk(&h, &(h5ck_safetensors_visitor){.user = &s, .tensor = look_at}, err);
    if (rc == 0) {
        h5ck_buf_printf(out, "file %s, %" PRIu64 " bytes: a safetensors file\n", h5ck_file_path(e->file, &scratch),
                        e->file->size);
        h5ck_buf_printf(out, "%10d  length of the header: %zu bytes\n", 0, h.length);
        h5ck_buf_printf(out, "%10d  header, JSON; in it, at %zu: %.*s\n", H5CK_SAFETENSORS_LENGTH,
                        H5CK_SAFETENSORS_LENGTH + s.text, (int)s.text_len, h.text + s.text);
        h5ck_buf_printf(out, "%10" PRIu64 "  data: %" PRIu64 " bytes of %s, row-major, little-endian\n", e->offset,
                        tensor->info.nbytes, h5ckpt_dtype_name(tensor->info.dtype));
    }
    h5ck_fmt_safetensors_unload(&h);
    close(fd);
    h5ck_arena_free(&scratch);
    return rc;
}

static int explain(const h5ckpt_state *state, const h5ckpt_tensor *tensor, const h5ckpt_decay *decay, h5ck_buf *out,
                   h5ckpt_error **err)
{
    (void)state;
    if (tensor)
        return explain_tensor(tensor, out, err);
    h5ck_arena scratch = {NULL};
    h5ck_buf_printf(out, "file %s: a decay in the metadata's string '" H5CK_CARRIER_DECAYS "', as JSON\n",
                    h5ck_file_path(decay->file, &scratch));
    h5ck_arena_free(&scratch);
    return 0;
}

static const char *const suffixes[] = {H5CK_SAFETENSORS_SUFFIX, H5CK_SAFETENSORS_INDEX, NULL};

const h5ck_format h5ck_fmt_safetensors = {
    .info = {.name = "safetensors",
             .suffix = H5CK_SAFETENSORS_SUFFIX,
             .doc = "safetensors, one file or shards by their .safetensors.index.json",
             .reads = 1,
             .writes = 1,
             .holds_decays = 1,
             .holds_optimizer_state = 1,
             .holds_metadata = 1},
    .suffixes = suffixes,
    .probe = probe,
    .read = read_any,
    .plan = h5ck_fmt_safetensors_plan,
    .explain = explain,
};
